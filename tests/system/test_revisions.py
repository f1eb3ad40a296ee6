# SPDX-License-Identifier: Apache-2.0
"""Commit records, the state that each of them left, and what two of them differ in: all of it as a model has it."""
import copy
import random
import subprocess

import pytest

from tests.conftest import tools_or_skip
from tests.lib.gsq import binary
from tests.lib.tokens import create_token
from tests.lib.wait import wait_until
from tests.system.resources import declare, intent, listed, path, remove, without_status
from tests.system.revisions import (REASON, ask, diff, everything, history, intents, names_in, newest, pages, patched,
                                    resources_at, revisions, root, together)
from tests.system.stores import DistributionStore, EmbeddedStore

NAMESPACES = ("default", "team", "team-a")
NAMES = ("api", "db", "web", "web-1")
COMMITS = 50
LAYOUTS = {"embedded": (), "embedded, split": ("--layout", "split", "--catalogs", "3"), "distribution": ()}


# ---- fifty commits, and a model of them ----

def one_change(server, resources, chance):
    """Changes one resource at random, and the model likewise."""
    namespace, name = chance.choice(NAMESPACES), chance.choice(NAMES)
    key = (namespace, name)
    if key in resources and chance.random() < 0.35:
        remove(server, name, namespace)
        del resources[key]
        return
    labels = {"team": chance.choice("abc")} if chance.random() < 0.5 else None
    made = declare(server, name, namespace, labels, size=chance.choice(("small", "medium", "large")),
                   replicas=chance.randint(1, 3))
    resources[key] = {key: value for key, value in made.items() if key != "status"}


class Written:
    """A server with COMMITS commits, and what each of them left: [(revision, {key: resource})], the oldest first."""

    def __init__(self, server):
        self.server = server
        self.states = [(newest(server), {})]
        chance, resources = random.Random(8), {}
        while len(self.states) <= COMMITS:
            before = copy.deepcopy(resources)
            one_change(server, resources, chance)
            if resources == before:
                continue
            self.states.append((newest(server), copy.deepcopy(resources)))

    def texts(self):
        """{version: the YAML that it was}, as the differences of its history lead there."""
        found = {}
        for namespace, name in {key for _, resources in self.states for key in resources}:
            text = ""
            for entry in reversed(history(self.server, name, namespace)):
                found[entry["version"]] = text = patched(text, entry["diff"])
        return found


@pytest.fixture(scope="module", params=LAYOUTS)
def written(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    store = DistributionStore(folder) if request.param == "distribution" else EmbeddedStore(folder)
    if request.param == "distribution":
        with tools_or_skip():
            store.start()
    with store, store.server(namespaces=NAMESPACES, layout=LAYOUTS[request.param]) as server:
        yield Written(server)


def test_the_state_at_each_commit_is_what_it_left(written):
    for revision, resources in written.states:
        found = resources_at(written.server, revision)
        assert [(item["namespace"], item["name"]) for item in found] == sorted(resources), revision
        assert found == [resources[key] for key in sorted(resources)], revision


def test_the_state_of_a_namespace_is_its_part_of_it(written):
    for revision, resources in written.states[::7]:
        for namespace in NAMESPACES:
            assert resources_at(written.server, revision, namespace) == [
                resources[key] for key in sorted(resources) if key[0] == namespace]


def test_a_commit_that_changed_nothing_in_a_namespace_left_a_state_there_too(written):
    revision = next(record["revision"] for record in revisions(written.server, "team"))
    assert intents(resources_at(written.server, revision, "default")) == {
        key: (item["spec"], item["labels"])
        for key, item in dict(written.states)[revision].items() if key[0] == "default"}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 11, 12])
def test_pages_of_a_state_together_are_the_state(written, limit):
    for revision, _ in written.states[::11]:
        whole = resources_at(written.server, revision)
        found = list(pages(written.server, f"{root()}/revisions/{revision}/resources", limit))
        assert [item for page in found for item in page["resources"]] == whole
        assert all(page["count"] == len(page["resources"]) for page in found)
        assert all(page["count"] == limit for page in found[:-1])
        assert found[-1]["count"] > 0 or len(found) == 1


def expected_changes(old, new):
    """{key: (operation, version before, version after)}: what is not equal."""
    changes = {}
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if before and after and (before["spec"], before["labels"]) == (after["spec"], after["labels"]):
            continue
        operation = "create" if before is None else "delete" if after is None else "update"
        changes[key] = (operation, before and before["version"], after and after["version"])
    return changes


def test_two_commits_differ_in_what_the_model_says_in_both_directions(written):
    chance = random.Random(9)
    texts = {**written.texts(), None: ""}
    for _ in range(25):
        (a, old), (b, new) = chance.choice(written.states), chance.choice(written.states)
        found = diff(written.server, a, b)
        assert [(change["namespace"], change["name"]) for change in found] == sorted(expected_changes(old, new))
        for change in found:
            key = (change["namespace"], change["name"])
            assert (change["operation"], change["from"], change["to"]) == expected_changes(old, new)[key]
            assert patched(texts[change["from"]], change["diff"]) == texts[change["to"]]


def test_a_difference_names_resource_and_version_of_both_sides(written):
    (a, _), (b, _) = written.states[3], written.states[-1]
    found = diff(written.server, a, b)
    assert found
    for change in found:
        sides = [version and f"{change['namespace']}/{change['name']}@{version}"
                 for version in (change["from"], change["to"])]
        assert names_in(change["diff"]) == tuple(side or "/dev/null" for side in sides)


@pytest.mark.parametrize("limit", [1, 2, 500])
def test_pages_of_a_difference_together_are_the_difference(written, limit):
    (a, old), (b, new) = written.states[5], written.states[-5]
    found = diff(written.server, a, b, limit=limit)
    assert [(change["namespace"], change["name"]) for change in found] == sorted(expected_changes(old, new))


def test_the_difference_of_a_namespace_is_its_part_of_it(written):
    (a, _), (b, _) = written.states[5], written.states[-1]
    for namespace in NAMESPACES:
        assert diff(written.server, a, b, namespace) == [
            change for change in diff(written.server, a, b) if change["namespace"] == namespace]


def test_a_commit_differs_from_itself_in_nothing(written):
    revision = written.states[7][0]
    assert ask(written.server, f"{root()}/diff/{revision}..{revision}") == {
        "from": revision, "to": revision, "changes": []}


def test_every_commit_is_listed_with_the_newest_first_and_each_names_the_one_before(written):
    found = revisions(written.server)
    assert [record["revision"] for record in found] == [revision for revision, _ in reversed(written.states)]
    assert [record["parent"] for record in found] == [record["digest"] for record in found[1:]] + [None]
    assert [record["at"] for record in found] == sorted((record["at"] for record in found), reverse=True)
    assert all("frozen" not in record for record in found)


@pytest.mark.parametrize("limit", [1, 7, 50, 51, 52])
def test_pages_of_commits_together_are_all_of_them(written, limit):
    found = [page["revisions"] for page in pages(written.server, f"{root()}/revisions", limit)]
    assert [record for page in found for record in page] == revisions(written.server)
    assert all(len(page) == limit for page in found[:-1])


def test_one_commit_is_answered_as_in_the_list(written):
    for record in revisions(written.server)[::10]:
        assert ask(written.server, f"{root()}/revisions/{record['revision']}") == record


def test_a_namespace_has_the_commits_that_changed_something_in_it(written):
    whole = revisions(written.server)
    for namespace in NAMESPACES:
        found = revisions(written.server, namespace, limit=4)
        assert found == [record for record in whole
                         if any(change["namespace"] == namespace for change in record["changes"])]
        for record in found[::5]:
            assert ask(written.server, f"{root(namespace)}/revisions/{record['revision']}") == record


def test_a_commit_of_another_namespace_is_404_there(written):
    revision = revisions(written.server, "team")[0]["revision"]
    answer = written.server.get(f"{root('team-a')}/revisions/{revision}")
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert "/api/v1/namespaces/team-a/revisions" in answer.json["error"]


def test_all_of_it_is_the_same_after_a_restart(written):
    (a, _), (b, resources) = written.states[4], written.states[-9]
    before = [revisions(written.server), diff(written.server, a, b)]
    written.server.restart()
    assert [revisions(written.server), diff(written.server, a, b)] == before
    assert resources_at(written.server, b) == [resources[key] for key in sorted(resources)]


# ---- what a record says ----

@pytest.fixture
def server(embedded_store):
    with embedded_store.server(namespaces=("default", "team")) as server:
        yield server


def put(server, name, why=None, namespace="default", **spec):
    answer = server.put(path(namespace, name), intent(name, **spec), headers={REASON: why and why.encode()})
    assert answer.status in (200, 201), answer.body
    return answer.json


def test_a_record_says_who_when_why_and_what(server):
    made = put(server, "web", "ticket 12: Größe")
    gone = remove(server, "web")
    deletion, creation, first = revisions(server)
    change = {"operation": "create", "namespace": "default", "name": "web", "version": made["version"],
              "digest": made["digest"]}
    assert (creation["who"], creation["from"], creation["why"]) == ("anonymous", "127.0.0.1", "ticket 12: Größe")
    assert creation["changes"] == [change]
    assert deletion["why"] is None
    assert deletion["changes"] == [
        {**change, "operation": "delete", "version": gone["version"], "digest": gone["digest"]}]
    assert (first["who"], first["from"], first["why"], first["changes"]) == ("gsq", None, "init", [])


def test_a_freeze_shows_from_its_commit_until_the_thaw(server):
    server.put("/api/v1/freeze", {"reason": "we move"})
    assert revisions(server)[0]["frozen"] is True
    assert revisions(server)[0]["why"] == "we move"
    server.delete("/api/v1/freeze")
    assert ["frozen" in record for record in revisions(server)] == [False, True, False]


def changes_of(server, *resources):
    """One commit with all of them."""
    answer = server.post("/api/v1/changes", {"changes": [
        {"operation": "apply", "resource": {"namespace": namespace, **intent(name)}} for namespace, name in resources]})
    assert answer.status == 200, answer.body
    return answer.json["revision"]


def test_a_commit_of_several_namespaces_shows_each_its_own_part(server):
    revision = changes_of(server, ("default", "web"), ("team", "db"))
    shown = {namespace: [(change["namespace"], change["name"])
                         for change in ask(server, f"{root(namespace)}/revisions/{revision}")["changes"]]
             for namespace in (None, "default", "team")}
    assert shown == {None: [("default", "web"), ("team", "db")], "default": [("default", "web")],
                     "team": [("team", "db")]}


def test_a_server_with_nothing_but_its_first_record_answers_all_of_it(server):
    [first] = revisions(server)
    assert resources_at(server, first["revision"]) == []
    assert revisions(server, "team") == []
    assert ask(server, f"{root()}/revisions/{first['revision']}") == first


# ---- what is not there ----

@pytest.mark.parametrize("where", ["revisions/c12", "revisions/c12/resources", "diff/c12..c13", "diff/{now}..c13",
                                   "diff/c12..{now}"])
def test_a_revision_that_never_was_is_404_and_says_where_there_are_some(server, where):
    put(server, "web")
    answer = server.get(f"{root()}/{where.format(now=newest(server))}")
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert "/api/v1/revisions" in answer.json["error"]


def test_a_revision_of_the_future_is_404(server):
    put(server, "web")
    later = f"c{int(newest(server)[1:]) + 10**12}"
    for where in (f"revisions/{later}", f"revisions/{later}/resources", f"diff/{newest(server)}..{later}"):
        assert server.get(f"{root()}/{where}").status == 404


@pytest.mark.parametrize("where", ["revisions/v12", "revisions/web", "revisions/c", "diff/c1", "diff/c1..", "diff/c1...c2",
                                   "diff/v1..v2"])
def test_what_is_no_revision_is_404_and_says_how_they_look(server, where):
    answer = server.get(f"{root()}/{where}")
    assert answer.status == 404
    assert "c1795893153160483" in answer.json["error"]


@pytest.mark.parametrize("where", ["revisions", "revisions/{now}/resources", "diff/{now}..{now}"])
@pytest.mark.parametrize("query, field", [
    ("limit=0", "limit"), ("limit=501", "limit"), ("limit=-1", "limit"), ("continue=nonsense", "continue"),
    ("continue=" + "x" * 500, "continue"), ("namespace=team", "namespace"), ("limt=1", "limt")])
def test_a_wrong_parameter_is_refused_by_name(server, where, query, field):
    answer = server.get(f"{root()}/{where.format(now=newest(server))}?{query}")
    assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "invalid", field)


def test_a_token_of_a_record_that_is_not_there_is_refused(server):
    answer = server.get(f"{root()}/revisions?continue=sha256:{'0' * 64}")
    assert (answer.status, answer.json["field"]) == (400, "continue")


def test_one_commit_takes_no_parameters(server):
    assert server.get(f"{root()}/revisions/{newest(server)}?limit=1").status == 400


def test_where_retention_took_a_version_the_state_is_gone_and_what_is_missing_is_named(store):
    with store.server() as server:
        versions, states = [], []
        for i in range(6):
            versions.append(put(server, "web", region=f"r{i}")["version"])
            states.append(newest(server))
        put(server, "db")
        server.stop()
        server.args = ("--catalog-grace", "2s", "--gc-interval", "0s", "--keep-versions", "2")
        server.start()

        def gone():
            answer = server.get(f"{root()}/revisions/{states[3]}/resources")
            assert answer.status == 410, answer.body
            return answer.json
        error = wait_until(gone, "the version to be taken")
        assert error["code"] == "gone" and "web" in error["error"] and states[3] in error["error"]
        assert server.get(f"{root()}/diff/{states[3]}..{states[5]}").status == 410
        assert [item["version"] for item in resources_at(server, states[4])] == [versions[4]]
        assert len(revisions(server)) == 8  # records stay


def test_a_rebuild_does_not_say_what_it_changed_so_nothing_is_compared_across_it(store):
    server = store.server().start()
    put(server, "web")
    one = newest(server)
    put(server, "web", size="large")
    two = newest(server)
    server.stop()
    subprocess.run([binary(), "rebuild", *store.rebuild_args()], check=True, capture_output=True, timeout=120)
    with server:
        rebuilt = newest(server)
        put(server, "db")
        assert [record["why"] for record in revisions(server)[:2]] == [None, "rebuild"]
        assert [change["name"] for change in diff(server, one, two)] == ["web"]
        assert [change["name"] for change in diff(server, rebuilt, newest(server))] == ["db"]
        assert [item["name"] for item in resources_at(server, rebuilt)] == ["web"]
        for where in (f"revisions/{one}/resources", f"diff/{one}..{newest(server)}"):
            answer = server.get(f"{root()}/{where}")
            assert (answer.status, answer.json["code"]) == (422, "unprocessable"), answer.body
            assert rebuilt in answer.json["error"]


def test_the_state_of_the_last_commit_is_what_is_listed(server):
    for name in NAMES:
        put(server, name)
    assert resources_at(server, newest(server)) == [without_status(item) for item in listed(server).values()]


# ---- who may see it ----

def test_who_sees_one_namespace_sees_its_history_and_nothing_of_others(embedded_store):
    server = embedded_store.server(namespaces=("default", "team"), anonymous=None)
    admin = create_token(server, "admin", "admin", "*")
    viewer = create_token(server, "viewer", "viewer", "team")
    with server:
        server.token = admin
        put(server, "web", "secret plan")
        put(server, "db", "ours", "team")
        revision = newest(server)
        server.token = viewer
        assert [record["why"] for record in revisions(server, "team")] == ["ours"]
        assert [item["name"] for item in resources_at(server, revision, "team")] == ["db"]
        assert together(server, f"{root('team')}/diff/{revision}..{revision}", "changes") == []
        for where in ("revisions", f"revisions/{revision}", f"revisions/{revision}/resources",
                      f"diff/{revision}..{revision}"):
            for base in (root(), root("default")):
                answer = server.get(f"{base}/{where}")
                assert (answer.status, answer.json["code"]) == (403, "denied"), (base, where)
