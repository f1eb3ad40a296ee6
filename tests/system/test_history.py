# SPDX-License-Identifier: Apache-2.0
"""The history of a resource: every version that it ever had, who made it, when and why, and what was different."""
import subprocess
import time

import pytest
import yaml

from tests.lib.gsq import binary
from tests.lib.wait import wait_until
from tests.system.fault_registry import FaultProxy
from tests.system.resources import assert_503, declare, intent, path, remove
from tests.system.revisions import REASON, diff, history, names_in, newest, pages, patched, resources_at, revisions

WEB = f"{path(name='web')}/history"


@pytest.fixture
def server(store):
    with store.server(namespaces=("default", "other")) as server:
        yield server


@pytest.fixture
def embedded(embedded_store):
    with embedded_store.server(namespaces=("default", "other")) as server:
        yield server


def put(server, name, why=None, **spec):
    answer = server.put(path(name=name), intent(name, **spec), headers={REASON: why and why.encode()})
    assert answer.status in (200, 201), answer.body
    return answer.json


def two_lives(server):
    """Makes, changes, deletes and makes again; returns the versions, the oldest first."""
    made = [put(server, "web", "ticket 1"),
            put(server, "web", "ticket 2", size="large"),
            remove(server, "web"),
            put(server, "web", "ticket 3", size="medium")]
    return [item["version"] for item in made]


def operations(entries):
    return [entry["operation"] for entry in entries]


# ---- what it says ----

def test_each_version_says_what_it_was_and_who_made_it_when_and_why(server):
    made = [put(server, "web", "ticket 12", region="eu"), put(server, "web", "ticket 13: Größe", size="large"),
            put(server, "web")]
    found = history(server, "web")
    assert operations(found) == ["update", "update", "create"]
    assert [entry["why"] for entry in found] == [None, "ticket 13: Größe", "ticket 12"]
    for entry, answer in zip(found, reversed(made)):
        assert (entry["who"], entry["from"]) == ("anonymous", "127.0.0.1")
        assert {key: entry[key] for key in ("version", "digest", "spec", "labels")} == {
            key: answer[key] for key in ("version", "digest", "spec", "labels")}
        assert entry["at"] == answer["updatedAt"]
        assert "expired" not in entry


def test_each_version_names_the_commit_that_made_it(server):
    versions = two_lives(server)
    made_by = {change["version"]: record["revision"] for record in revisions(server) for change in record["changes"]}
    found = history(server, "web")
    assert [entry["version"] for entry in reversed(found)] == versions
    assert [entry["revision"] for entry in found] == [made_by[entry["version"]] for entry in found]


def test_a_resource_that_is_deleted_and_made_again_shows_all_of_it(server):
    versions = two_lives(server)
    found = history(server, "web")
    assert [entry["version"] for entry in found] == versions[::-1]
    assert operations(found) == ["create", "delete", "update", "create"]
    assert [entry.get("spec", {}).get("size") for entry in found] == ["medium", None, "large", "small"]
    assert "labels" not in found[1] and "spec" not in found[1]


def test_a_resource_that_is_gone_still_has_its_history(server):
    put(server, "web")
    remove(server, "web")
    assert server.get(path(name="web")).status == 404
    assert operations(history(server, "web")) == ["delete", "create"]


def test_the_differences_lead_from_each_version_to_the_next(server):
    put(server, "web", region="a")
    two_lives(server)
    declare(server, "web", labels={"team": "shop", "tier": "a"}, size="medium", replicas=3)
    text, before = "", "/dev/null"
    for entry in reversed(history(server, "web")):
        now = "/dev/null" if entry["operation"] == "delete" else f"default/web@{entry['version']}"
        assert names_in(entry["diff"]) == (before, now)
        text, before = patched(text, entry["diff"]), now
        if entry["operation"] == "delete":
            assert text == ""
            continue
        written = yaml.safe_load(text)
        assert (written["metadata"]["name"], written["metadata"]["namespace"]) == ("web", "default")
        assert written["spec"] == entry["spec"]
        assert written["metadata"].get("labels", {}) == entry["labels"]


def test_a_difference_shows_what_changed_and_no_more(server):
    put(server, "web")
    put(server, "web", replicas=4)
    changed = [line for line in history(server, "web")[0]["diff"].splitlines()[2:] if line[0] in "+-"]
    assert changed == ["-  replicas: 1", "+  replicas: 4"]


def test_equal_intent_adds_nothing(server):
    put(server, "web")
    put(server, "web", "again")
    assert operations(history(server, "web")) == ["create"]


def test_of_another_namespace_nothing_is_shown(server):
    here, there = declare(server, "web"), declare(server, "web", "other", size="large")
    assert [entry["version"] for entry in history(server, "web")] == [here["version"]]
    assert [entry["version"] for entry in history(server, "web", "other")] == [there["version"]]
    declare(server, "only", "other")
    assert server.get(f"{path(name='only')}/history").status == 404


def test_what_never_was_is_404(server):
    put(server, "web")
    answer = server.get(f"{path(name='wed')}/history")
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert "wed" in answer.json["error"]


def test_versions_that_no_record_names_are_not_shown(distribution_store):
    with distribution_store.server() as server:
        put(server, "web")
        newer = put(server, "web", size="large")
        oci, repository = distribution_store.oci(), newer["repository"]
        content = oci.manifest(repository, newer["version"]).bytes
        for tag in (f"v{int(newer['version'][1:]) - 1}", f"v{int(newer['version'][1:]) + 1}"):
            oci.push_manifest(repository, tag, content)
        assert operations(history(server, "web")) == ["update", "create"]


# ---- pages ----

@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 500])
def test_pages_together_are_the_history(embedded, limit):
    two_lives(embedded)
    whole = history(embedded, "web")
    found = [page["history"] for page in pages(embedded, WEB, limit)]
    assert [entry for page in found for entry in page] == whole
    assert all(len(page) == limit for page in found[:-1])


def test_without_a_limit_a_page_has_fifty(embedded):
    for i in range(52):
        put(embedded, "web", region=f"r{i}")
    page = embedded.get(WEB).json
    assert len(page["history"]) == 50
    rest = embedded.get(f"{WEB}?continue={page['continue']}").json
    assert [entry["spec"]["region"] for entry in rest["history"]] == ["r1", "r0"]
    assert "continue" not in rest


def test_a_page_goes_on_where_it_was_whatever_is_written_between(embedded):
    versions = two_lives(embedded)
    page = embedded.get(f"{WEB}?limit=2").json
    put(embedded, "web", region="new")
    rest = embedded.get(f"{WEB}?limit=2&continue={page['continue']}").json
    assert [entry["version"] for entry in page["history"] + rest["history"]] == versions[::-1]


@pytest.mark.parametrize("query, field", [
    ("limit=0", "limit"), ("limit=501", "limit"), ("limit=ten", "limit"), ("limit=1&limit=2", "limit"),
    ("continue=web", "continue"), ("continue=c12", "continue"), ("continue=" + "v" * 400, "continue"),
    ("namespace=other", "namespace"), ("limt=3", "limt")])
def test_a_wrong_parameter_is_refused_by_name(embedded, query, field):
    put(embedded, "web")
    answer = embedded.get(f"{WEB}?{query}")
    assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "invalid", field)


def test_a_mistyped_parameter_is_told_the_nearest(embedded):
    assert "did you mean limit?" in embedded.get(f"{WEB}?limt=3").json["error"]


def test_head_is_answered_as_get_without_the_body(embedded):
    put(embedded, "web")
    answer = embedded.request("HEAD", WEB)
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(embedded.get(WEB).body)


# ---- what time does to it ----

def test_it_is_the_same_after_a_restart(server):
    two_lives(server)
    before = history(server, "web")
    server.restart()
    assert history(server, "web") == before


def test_a_rebuilt_store_still_has_every_version(store):
    server = store.server().start()
    two_lives(server)
    before = history(server, "web")
    server.stop()
    subprocess.run([binary(), "rebuild", *store.rebuild_args()], check=True, capture_output=True, timeout=120)
    with server:
        put(server, "web", "after", size="small")
        found = history(server, "web")
        assert operations(found) == ["update", "create", "delete", "update", "create"]
        assert found[1:] == before


def test_what_retention_took_is_not_shown_and_nothing_is_compared_with_it(store):
    with store.server() as server:
        versions = [put(server, "web", f"ticket {i}", region=f"r{i}")["version"] for i in range(8)]
        server.stop()
        server.args = ("--catalog-grace", "2s", "--gc-interval", "0s", "--keep-versions", "3")
        server.start()

        def expired():
            found = [entry for entry in history(server, "web") if "expired" not in entry]
            assert [entry["version"] for entry in found] == versions[:-4:-1]
            return found
        found = wait_until(expired, "five versions to expire")
        assert [(entry["operation"], entry["why"]) for entry in found] == [
            ("update", f"ticket {i}") for i in (7, 6, 5)]
        assert [entry["diff"] is None for entry in found] == [False, False, True]


# ---- when it cannot be read ----

def test_a_registry_that_fails_is_503_and_the_next_try_may_succeed(distribution_store):
    with FaultProxy(distribution_store.location) as proxy:
        distribution_store.location = proxy.host
        with distribution_store.server() as server:
            put(server, "web")
            for status in (500, 403, 401):
                proxy.fail(status, method="GET", path_re="/commits/", times=None)
                assert_503(server.get(WEB))
                assert server.get(path(name="web")).status == 200  # what is current is read from memory
                proxy.reset()
            assert operations(history(server, "web")) == ["create"]


def test_a_registry_that_lists_nothing_after_what_is_none_of_its_tags_keeps_all_history(distribution_store):
    with FaultProxy(distribution_store.location) as proxy:
        rule = proxy.fail(404, method="GET", path_re=r"/tags/list\?.*last=", times=None)  # as Zot does
        distribution_store.location = proxy.host
        with distribution_store.server() as server:
            put(server, "web")
            first = newest(server)
            put(server, "web", size="large")
            put(server, "db")
            assert operations(history(server, "web")) == ["update", "create"]
            assert [item["name"] for item in resources_at(server, first)] == ["web"]
            assert [change["name"] for change in diff(server, first, newest(server))] == ["db", "web"]
            answer = server.post("/api/v1/rollback", {"to": first})
            assert answer.status == 200, answer.body
            assert server.get(path(name="web")).json["spec"]["size"] == "small"
            assert 0 < rule.hits < 10  # and soon it is not asked so any more


def test_damage_is_told_to_operators_alone(distribution_store):
    with distribution_store.server() as server:
        put(server, "web")
        put(server, "web", size="large")
        server.stop()
        digest = distribution_store.oci().record()["parent"]
        layer = distribution_store.oci().manifest("gitops-squared/commits", digest).json["layers"][0]["digest"]
        distribution_store.alter_blob(layer)
        server.start()
        answer = server.get(WEB)
        assert (answer.status, answer.json["code"]) == (500, "internal"), answer.body
        assert layer not in answer.json["error"]
        assert "history cannot be read" in server.log()


def test_who_leaves_before_the_answer_does_no_harm(distribution_store):
    with FaultProxy(distribution_store.location) as proxy:
        distribution_store.location = proxy.host
        with distribution_store.server() as server:
            put(server, "web")
            slow = proxy.fail("delay", method="GET", path_re="/commits/", delay_s=1.0, times=1)
            connection = server.connect()
            connection.request("GET", WEB)
            wait_until(lambda: slow.hits == 1, "the registry to be asked")
            connection.close()
            assert operations(history(server, "web")) == ["create"]


# ---- who waits for how long ----

SLOW_S = 0.3  # each request to the registry, so that what follows would take many seconds
MANY = 12


@pytest.fixture
def slow(distribution_store):
    """A server that has MANY commits, and the rule that makes their records slow to read."""
    with FaultProxy(distribution_store.location) as proxy:
        distribution_store.location = proxy.host
        with distribution_store.server() as server:
            for i in range(MANY):
                put(server, "web", region=f"r{i}")
            rule = proxy.fail("delay", method="GET", path_re="/commits/", delay_s=SLOW_S, times=None)
            yield server, rule


def ask_without_waiting(server, where, n):
    connections = [server.connect() for _ in range(n)]
    for connection in connections:
        connection.request("GET", where)
    return connections


def statuses_of(connections):
    answers = [connection.getresponse() for connection in connections]
    for answer in answers:
        answer.read()
    return [answer.status for answer in answers]


def hits_at_rest(rule):
    """How often it was met, once that has ended."""
    seen = [-1, 0]

    def rests():
        time.sleep(5 * SLOW_S)
        seen.append(rule.hits)
        return seen[-1] == seen[-2]
    wait_until(rests, "the reading to end")
    return rule.hits


@pytest.mark.parametrize("where", ["/api/v1/revisions", WEB])
def test_nothing_more_is_read_for_who_has_left(slow, where):
    server, rule = slow
    connections = ask_without_waiting(server, where, 6)
    wait_until(lambda: rule.hits > 0, "the registry to be asked")
    for connection in connections:
        connection.close()
    assert hits_at_rest(rule) < MANY  # one alone would read more


def test_a_stop_does_not_wait_for_what_is_being_read(slow):
    server, rule = slow
    connections = ask_without_waiting(server, "/api/v1/revisions", 6)
    wait_until(lambda: rule.hits > 0, "the registry to be asked")
    server.stop()
    assert set(statuses_of(connections)) == {503}
    assert rule.hits < MANY


def test_of_one_client_only_so_many_requests_wait(slow):
    server, _ = slow
    statuses = statuses_of(ask_without_waiting(server, "/api/v1/revisions?limit=3", 14))
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 8


def test_a_stop_answers_who_waits(distribution_store):
    with FaultProxy(distribution_store.location) as proxy:
        distribution_store.location = proxy.host
        with distribution_store.server() as server:
            put(server, "web")
            slow = proxy.fail("delay", method="GET", path_re="/commits/", delay_s=1.0, times=1)
            connection = server.connect()
            connection.request("GET", WEB)
            wait_until(lambda: slow.hits == 1, "the registry to be asked")
            server.stop()
            answer = connection.getresponse()
            assert answer.status in (200, 503)
            answer.read()
            connection.close()
