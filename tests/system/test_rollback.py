# SPDX-License-Identifier: Apache-2.0
"""Back to what was: one resource, a namespace or everything, as a new change through the guards of any other."""
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lib.tokens import create_token
from tests.lib.wait import wait_until
from tests.system.resources import assert_whole, declare, intent, listed, path, remove
from tests.system.revisions import (REASON, everything, history, intents, newest, resources_at, revisions, roll_back,
                                    roll_back_one, rolled_back, root)

NAMESPACES = ("default", "team")
PROTECTED = {"gitops-squared.io/protect": "true"}


@pytest.fixture
def server(embedded_store):
    with embedded_store.server(namespaces=NAMESPACES) as server:
        yield server


def three_versions(server):
    return [declare(server, "web", size=size)["version"] for size in ("small", "medium", "large")]


def size_of(server, name="web", namespace="default"):
    return server.get(path(namespace, name)).json["spec"]["size"]


def counts(**given):
    return {"created": 0, "updated": 0, "unchanged": 0, "deleted": 0, **given}


def refused(answer, status, code):
    assert (answer.status, answer.json["code"]) == (status, code), answer.body
    return answer.json["error"]


# ---- one resource ----

def test_a_resource_becomes_what_it_was_as_a_new_version(store):
    with store.server() as server:
        versions = three_versions(server)
        answer = roll_back_one(server, "web", versions[0])
        assert answer.status == 200, answer.body
        [change] = answer.json["changes"]
        assert (change["result"], change["namespace"], change["name"]) == ("updated", "default", "web")
        assert answer.json["counts"] == counts(updated=1)
        assert change["version"] not in versions
        assert size_of(server) == "small"
        latest = history(server, "web")[0]
        assert (latest["version"], latest["revision"]) == (change["version"], answer.json["revision"])
        assert len(history(server, "web")) == 4
        assert_whole(server, store.oci())
        server.restart()
        assert size_of(server) == "small"


def test_its_record_says_where_it_went_back_to_unless_they_say_why(server):
    versions = three_versions(server)
    roll_back_one(server, "web", versions[0])
    assert history(server, "web")[0]["why"] == f"rollback to {versions[0]}"
    roll_back_one(server, "web", versions[1], headers={REASON: "the small one is too slow"})
    assert history(server, "web")[0]["why"] == "the small one is too slow"
    assert history(server, "web")[0]["who"] == "anonymous"


def test_a_deleted_resource_comes_back(server):
    versions = three_versions(server)
    remove(server, "web")
    assert rolled_back(roll_back_one(server, "web", versions[1])) == {("default", "web"): "created"}
    assert size_of(server) == "medium"


def test_a_version_of_before_a_deletion_and_a_new_life_can_be_had_again(server):
    old = declare(server, "web", size="large")["version"]
    remove(server, "web")
    declare(server, "web", size="small")
    assert rolled_back(roll_back_one(server, "web", old)) == {("default", "web"): "updated"}
    assert size_of(server) == "large"


def test_back_to_the_version_that_is_current_changes_nothing(server):
    versions = three_versions(server)
    answer = roll_back_one(server, "web", versions[2])
    assert rolled_back(answer) == {("default", "web"): "unchanged"}
    assert answer.json["revision"] is None
    assert len(history(server, "web")) == 3


def test_a_version_that_is_a_deletion_is_refused_with_what_to_do_instead(server):
    three_versions(server)
    gone = remove(server, "web")["version"]
    answer = roll_back_one(server, "web", gone)
    assert "DELETE" in refused(answer, 422, "unprocessable")
    assert answer.json["field"] == "to"


@pytest.mark.parametrize("name", ["web", "db"])
def test_a_version_that_the_resource_never_had_is_404(server, name):
    declare(server, "web")
    other = declare(server, "other")["version"]
    assert other in refused(roll_back_one(server, name, other), 404, "not_found")


def test_a_version_of_the_same_name_elsewhere_is_404(server):
    there = declare(server, "web", "team")["version"]
    declare(server, "web")
    refused(roll_back_one(server, "web", there), 404, "not_found")
    assert rolled_back(roll_back_one(server, "web", there, "team")) == {("team", "web"): "unchanged"}


def test_a_version_that_retention_took_is_gone(embedded_store):
    with embedded_store.server() as server:
        versions = three_versions(server)
        server.stop()
        server.args = ("--catalog-grace", "2s", "--gc-interval", "0s", "--keep-versions", "1")
        server.start()

        def gone():
            answer = roll_back_one(server, "web", versions[0], query="?dryRun=true")
            assert answer.status == 410, answer.body
            return answer
        assert versions[0] in refused(wait_until(gone, "the version to be taken"), 410, "gone")
        assert size_of(server) == "large"


def test_only_from_the_version_that_the_caller_has_seen(server):
    versions = three_versions(server)
    stale = roll_back_one(server, "web", versions[0], headers={"If-Match": f'"{versions[1]}"'})
    assert versions[2] in refused(stale, 412, "precondition_failed")
    assert size_of(server) == "large"
    assert roll_back_one(server, "web", versions[0], headers={"If-Match": f'"{versions[2]}"'}).status == 200
    assert size_of(server) == "small"


def test_one_that_comes_again_with_its_key_is_answered_as_the_first_time(server):
    versions, key = three_versions(server), {"Idempotency-Key": "k1"}
    first = roll_back_one(server, "web", versions[0], headers=key)
    assert first.status == 200 and "replayed" not in first.json
    declare(server, "web", size="medium")
    remove(server, "web")
    again = roll_back_one(server, "web", versions[0], headers=key)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json == {**first.json, "replayed": True}
    assert server.get(path(name="web")).status == 404
    assert "Idempotency-Key" in refused(roll_back_one(server, "web", versions[1], headers=key), 422, "unprocessable")


def test_a_deleted_resource_comes_back_only_if_nobody_has_made_it_meanwhile(server):
    versions, unless_there = three_versions(server), {"If-None-Match": "*"}
    remove(server, "web")
    made = declare(server, "web", size="medium")["version"]
    assert made in refused(roll_back_one(server, "web", versions[0], headers=unless_there), 412, "precondition_failed")
    assert size_of(server) == "medium"
    remove(server, "web")
    assert rolled_back(roll_back_one(server, "web", versions[0], headers=unless_there)) == {("default", "web"): "created"}


def test_a_dry_run_of_one_says_what_would_change_and_changes_nothing(server):
    versions = three_versions(server)
    before = newest(server)
    answer = roll_back_one(server, "web", versions[0], query="?dryRun=true")
    assert answer.json["dryRun"] is True
    assert (answer.json["revision"], answer.json["counts"]) == (None, counts(updated=1))
    assert "-  size: large\n+  size: small" in answer.json["changes"][0]["diff"]
    assert (size_of(server), newest(server)) == ("large", before)


def test_into_a_namespace_that_is_gone_is_422(server):
    old = declare(server, "web", "team")["version"]
    remove(server, "web", "team")
    server.namespaces = ["default"]
    server.restart()
    assert "team" in refused(roll_back_one(server, "web", old, "team"), 422, "unprocessable")


# ---- everything ----

def some_changes(server):
    """A state to go back to, and then one of each kind of change; returns the revision and what was there."""
    declare(server, "changed", size="small")
    declare(server, "deleted", "team", labels={"tier": "a"}, replicas=2)
    declare(server, "remade", size="medium", region="eu")
    declare(server, "same")
    revision, before = newest(server), everything(server)
    declare(server, "changed", size="large")
    remove(server, "deleted", "team")
    remove(server, "remade")
    declare(server, "remade", size="small")
    declare(server, "new", "team")
    declare(server, "there-and-back", size="large")
    remove(server, "there-and-back")
    return revision, before


WHAT_IT_TAKES = {("default", "changed"): "updated", ("team", "deleted"): "created", ("default", "remade"): "updated",
                 ("team", "new"): "deleted"}


def test_everything_becomes_what_it_was_in_one_commit(store):
    with store.server(namespaces=NAMESPACES) as server:
        revision, before = some_changes(server)
        n = len(revisions(server))
        answer = roll_back(server, revision)
        assert rolled_back(answer) == WHAT_IT_TAKES
        assert answer.json["counts"] == counts(updated=2, created=1, deleted=1)
        assert everything(server) == before
        assert len(revisions(server)) == n + 1
        latest = revisions(server)[0]
        assert (latest["revision"], latest["why"]) == (answer.json["revision"], f"rollback to {revision}")
        assert intents(resources_at(server, latest["revision"])) == before
        assert_whole(server, store.oci(), NAMESPACES)
        server.restart()
        assert everything(server) == before


def test_a_namespace_becomes_what_it_was_and_others_stay(store):
    with store.server(namespaces=NAMESPACES) as server:
        revision, before = some_changes(server)
        now = everything(server)
        assert rolled_back(roll_back(server, revision, "team")) == {
            key: operation for key, operation in WHAT_IT_TAKES.items() if key[0] == "team"}
        found = everything(server)
        for namespace, wanted in (("team", before), ("default", now)):
            assert {key: item for key, item in found.items() if key[0] == namespace} == {
                key: item for key, item in wanted.items() if key[0] == namespace}


def test_a_rollback_is_undone_by_another(server):
    revision, before = some_changes(server)
    undone, now = newest(server), everything(server)
    rolled_back(roll_back(server, revision))
    rolled_back(roll_back(server, undone))
    assert everything(server) == now
    rolled_back(roll_back(server, revision))
    assert everything(server) == before


def test_back_to_what_is_current_changes_nothing(server):
    some_changes(server)
    revision = newest(server)
    answer = roll_back(server, revision)
    assert rolled_back(answer) == {}
    assert (answer.json["revision"], answer.json["counts"]) == (None, counts())
    assert newest(server) == revision


def test_what_is_equal_by_now_is_left_alone(server):
    old = declare(server, "web", size="small")
    revision = newest(server)
    declare(server, "web", size="large")
    again = declare(server, "web", size="small")
    declare(server, "new")
    assert rolled_back(roll_back(server, revision)) == {("default", "new"): "deleted"}
    assert listed(server)["web"]["version"] == again["version"] != old["version"]


def test_to_the_first_commit_is_to_nothing(server):
    revision = newest(server)
    declare(server, "web")
    declare(server, "db", "team")
    assert rolled_back(roll_back(server, revision)) == {("default", "web"): "deleted", ("team", "db"): "deleted"}
    assert everything(server) == {}


def test_every_one_of_many_states_can_be_had_again(server):
    states = []
    for i in range(12):
        declare(server, f"web-{i % 5}", NAMESPACES[i % 2], replicas=i % 9 + 1)
        if i % 3 == 2:
            name, namespace = f"web-{(i - 1) % 5}", NAMESPACES[(i - 1) % 2]
            remove(server, name, namespace)
        states.append((newest(server), everything(server)))
    for revision, wanted in (*states[::-1], *states[::5]):
        assert roll_back(server, revision).status == 200
        assert everything(server) == wanted


def test_a_dry_run_says_what_would_change_and_changes_nothing(server):
    revision, _ = some_changes(server)
    now, latest = everything(server), newest(server)
    answer = roll_back(server, revision, query="?dryRun=true")
    assert rolled_back(answer) == WHAT_IT_TAKES
    assert answer.json["dryRun"] is True
    assert all(change["diff"].startswith("--- ") for change in answer.json["changes"])
    assert (everything(server), newest(server)) == (now, latest)


def test_a_revision_that_never_was_is_404(server):
    declare(server, "web")
    later = f"c{int(newest(server)[1:]) + 10**12}"
    for revision in ("c12", later):
        assert "/api/v1/revisions" in refused(roll_back(server, revision), 404, "not_found")
    assert "/api/v1/namespaces/team/revisions" in refused(roll_back(server, "c12", "team"), 404, "not_found")


@pytest.mark.parametrize("namespace", [None, "team"])
def test_a_rollback_that_comes_again_with_its_key_is_answered_as_the_first_time(store, namespace):
    key = {"Idempotency-Key": "k1"}
    with store.server(namespaces=NAMESPACES) as server:
        revision, _ = some_changes(server)
        first = roll_back(server, revision, namespace, headers=key)
        assert first.status == 200 and first.json["changes"] and "replayed" not in first.json
        declare(server, "new", "team")
        declare(server, "newer")
        server.restart()
        now = everything(server)
        again = roll_back(server, revision, namespace, headers=key)
        assert (again.status, again.headers["Idempotency-Replayed"]) == (200, "true"), again.body
        assert again.json == {**first.json, "replayed": True}
        assert again.headers["ETag"] == first.headers["ETag"]
        assert everything(server) == now
        assert "Idempotency-Key" in refused(roll_back(server, newest(server), namespace, headers=key), 422,
                                            "unprocessable")


def test_a_rollback_that_came_to_nothing_may_come_again_with_its_key(server):
    revision, key = newest(server), {"Idempotency-Key": "k1"}
    assert rolled_back(roll_back(server, revision, headers=key)) == {}
    declare(server, "web")
    assert rolled_back(roll_back(server, revision, query="?dryRun=true", headers=key)) == {("default", "web"): "deleted"}
    assert rolled_back(roll_back(server, revision, headers=key)) == {("default", "web"): "deleted"}


@pytest.mark.parametrize("namespace", [None, "team"])
def test_only_from_the_revision_that_the_caller_has_seen(server, namespace):
    revision, _ = some_changes(server)
    seen = server.get("/api/v1/resources").headers["ETag"]
    declare(server, "later")
    now, before = newest(server), everything(server)
    for query in ("", "?dryRun=true"):
        answer = roll_back(server, revision, namespace, query, headers={"If-Match": seen})
        assert now in refused(answer, 412, "precondition_failed")
    assert everything(server) == before
    assert roll_back(server, revision, namespace, headers={"If-Match": f'{seen}, "{now}"'}).status == 200


# ---- its guards ----

def test_a_rollback_that_would_remove_much_is_asked_about(server):
    declare(server, "web")
    revision = newest(server)
    for i in range(8):
        declare(server, f"new-{i}")
    now = everything(server)
    for query in ("", "?dryRun=true"):
        error = refused(roll_back(server, revision, query=query), 409, "conflict")
        assert "8 of the 9 resources in namespace default" in error and "confirm=prune" in error
        assert roll_back(server, revision, query=query).json["confirm"] == "prune"
    assert everything(server) == now
    assert len(rolled_back(roll_back(server, revision, query="?confirm=prune"))) == 8
    assert list(listed(server)) == ["web"]


def test_a_protected_resource_is_in_the_way_of_all_of_it(server):
    revision, _ = some_changes(server)
    declare(server, "precious", labels=PROTECTED)
    now = everything(server)
    answer = roll_back(server, revision, query="?confirm=prune")
    assert "precious" in refused(answer, 409, "conflict")
    assert everything(server) == now


def test_a_frozen_server_rolls_nothing_back(server):
    revision, _ = some_changes(server)
    versions = [entry["version"] for entry in history(server, "changed")]
    now = everything(server)
    server.put("/api/v1/freeze", {"reason": "we move"})
    for answer in (roll_back(server, revision), roll_back(server, revision, "team"),
                   roll_back_one(server, "changed", versions[-1])):
        assert "we move" in refused(answer, 503, "unavailable")
    assert everything(server) == now


def test_namespaces_that_are_gone_are_named_and_the_others_can_go_alone(embedded_store):
    server = embedded_store.server(namespaces=["default", "team", "tmp-1", "tmp-2"]).start()
    for namespace in server.namespaces:
        declare(server, "web", namespace)
    revision, before = newest(server), everything(server)
    for namespace in server.namespaces:
        remove(server, "web", namespace)
    server.namespaces = ["default", "team"]
    server.restart()
    error = refused(roll_back(server, revision), 422, "unprocessable")
    assert "tmp-1, tmp-2" in error and "team" not in error
    assert everything(server) == {}
    assert "tmp-1" in refused(roll_back(server, revision, "tmp-1"), 422, "unprocessable")
    for namespace in server.namespaces:
        rolled_back(roll_back(server, revision, namespace))
    assert everything(server) == {key: item for key, item in before.items() if key[0] in server.namespaces}


def test_what_was_new_in_a_namespace_that_is_gone_can_still_be_taken_away(server):
    revision = newest(server)
    declare(server, "web", "team")
    server.namespaces = ["default"]
    server.restart()
    assert rolled_back(roll_back(server, revision)) == {("team", "web"): "deleted"}


def test_a_resource_that_moved_to_a_namespace_of_another_name_moves_back(server):
    """What a renamed namespace looks like: its resources are deleted in one and made in the other."""
    for name in ("web", "db"):
        declare(server, name, "team", labels={"team": "shop"})
    revision, before = newest(server), everything(server)
    for name in ("web", "db"):
        remove(server, name, "team")
        declare(server, name, labels={"team": "shop"})
    assert rolled_back(roll_back(server, revision)) == {
        ("default", "db"): "deleted", ("default", "web"): "deleted", ("team", "db"): "created",
        ("team", "web"): "created"}
    assert everything(server) == before


# ---- who may ----

@pytest.fixture
def tokens(embedded_store):
    """A server with something to undo, and tokens for it."""
    server = embedded_store.server(namespaces=NAMESPACES, anonymous=None)
    tokens = {f"{role} {where}": create_token(server, f"{role}-{where.replace('*', 'all')}", role, where)
              for role in ("viewer", "editor") for where in ("team", "*")}
    with server:
        server.token = tokens["editor *"]
        server.undo_to, server.before = some_changes(server)
        yield server, tokens


def test_who_may_change_one_namespace_may_roll_that_back(tokens):
    server, tokens = tokens
    server.token = tokens["editor team"]
    refused(roll_back(server, server.undo_to), 403, "denied")
    refused(roll_back(server, server.undo_to, "default"), 403, "denied")
    assert roll_back(server, server.undo_to, "team").status == 200
    server.token = tokens["editor *"]
    assert roll_back(server, server.undo_to).status == 200
    assert everything(server) == server.before
    assert history(server, "deleted", "team")[0]["who"] == "token:editor-team"


def test_who_may_only_see_rolls_nothing_back(tokens):
    server, tokens = tokens
    version = history(server, "changed")[-1]["version"]
    for token in (tokens["viewer *"], tokens["viewer team"], None):
        server.token = token
        for query in ("", "?dryRun=true"):
            for answer in (roll_back(server, server.undo_to, query=query),
                           roll_back(server, server.undo_to, "default", query),
                           roll_back_one(server, "changed", version, query=query)):
                assert answer.status == (403 if token else 401), answer.body
    server.token = tokens["editor *"]
    assert size_of(server, "changed") == "large"


# ---- beside others ----

def test_beside_a_writer_of_the_same_resources_it_overwrites_nothing_unseen(embedded_store):
    with embedded_store.server(namespaces=NAMESPACES) as server:
        for i in range(5):
            declare(server, f"web-{i}", size="small")
        revision, wanted = newest(server), everything(server)
        stop = threading.Event()

        def write():
            i = 0
            while not stop.is_set():
                declare(server, f"web-{i % 5}", size="large", replicas=i % 9 + 1)
                i += 1
            return i

        with ThreadPoolExecutor(1) as pool:
            writer = pool.submit(write)
            try:
                answers = [roll_back(server, revision) for _ in range(30)]
            finally:
                stop.set()
            assert writer.result() > 0
        assert {answer.status for answer in answers} <= {200, 409}
        for answer in answers:
            if answer.status == 200 and answer.json["revision"]:
                then = intents(resources_at(server, answer.json["revision"]))
                for change in answer.json["changes"]:
                    key = change["namespace"], change["name"]
                    assert then[key] == wanted[key]
        assert roll_back(server, revision).status == 200
        assert everything(server) == wanted


def test_writers_of_other_resources_are_in_no_rollbacks_way(embedded_store):
    with embedded_store.server(namespaces=NAMESPACES) as server:
        for i in range(5):
            declare(server, f"web-{i}", size="small")
        revision, wanted = newest(server), everything(server)
        stop = threading.Event()

        def write(number):
            i = 0
            while not stop.is_set():
                declare(server, f"busy-{number}", "team", replicas=i % 9 + 1)
                i += 1
            return i

        with ThreadPoolExecutor(2) as pool:
            writers = [pool.submit(write, number) for number in range(2)]
            try:
                for i in range(10):
                    for name in range(5):
                        declare(server, f"web-{name}", size="large", replicas=i % 9 + 1)
                    answer = roll_back(server, revision, "default")
                    assert answer.status == 200, answer.body
                    assert everything(server).items() >= wanted.items()
            finally:
                stop.set()
            assert all(writer.result() > 0 for writer in writers)


def test_rollbacks_to_two_states_at_once_leave_one_of_them(server):
    revision, before = some_changes(server)
    other, now = newest(server), everything(server)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda to: roll_back(server, to), [revision, other] * 8))
    assert {answer.status for answer in answers} <= {200, 409}
    assert everything(server) in (before, now)


# ---- what is no rollback ----

WHERE = [f"{root()}/rollback", f"{root('team')}/rollback", f"{path(name='web')}/rollback"]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("body, field", [
    ({}, "to"), ({"to": None}, "to"), ({"to": 7}, "to"), ({"to": ""}, "to"), ({"to": "web"}, "to"),
    ({"too": "c1"}, "too"), ({"to": "x1", "dryRun": True}, "dryRun")])
def test_a_body_that_is_none_is_refused_by_field(server, where, body, field):
    declare(server, "web")
    answer = server.post(where, body)
    assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "invalid", field)


def test_a_version_is_no_revision_and_a_revision_no_version(server):
    version = declare(server, "web")["version"]
    assert "/api/v1/revisions" in refused(roll_back(server, version), 400, "invalid")
    assert "history" in refused(roll_back_one(server, "web", newest(server)), 400, "invalid")


def test_a_mistyped_field_is_told_the_nearest(server):
    assert "did you mean to?" in server.post(WHERE[0], {"too": "c1"}).json["error"]


@pytest.mark.parametrize("where", WHERE)
def test_what_is_no_json_is_refused(server, where):
    declare(server, "web")
    assert server.post(where, '{"to":').status == 400
    assert server.post(where, '{"to":"c1","to":"c2"}').status == 400
    assert server.post(where, "to=c1", headers={"Content-Type": "application/x-www-form-urlencoded"}).status == 415


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("query, field", [
    ("dryRun=yes", "dryRun"), ("confirm=true", "confirm"), ("dry-run=true", "dry-run"), ("limit=1", "limit")])
def test_a_wrong_parameter_is_refused_by_name(server, where, query, field):
    declare(server, "web")
    answer = server.post(f"{where}?{query}", {"to": newest(server)})
    assert (answer.status, answer.json["field"]) == (400, field)


@pytest.mark.parametrize("where", WHERE[:2])
@pytest.mark.parametrize("value", ["*", '"c1"'])
def test_of_more_than_one_resource_if_none_match_is_refused(server, where, value):
    answer = server.post(where, {"to": newest(server)}, headers={"If-None-Match": value})
    assert (answer.status, answer.json["field"]) == (400, "If-None-Match")


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("header, value", [
    ("Idempotency-Key", ""), ("Idempotency-Key", "x" * 256),
    ("If-Match", "c1"), ("If-Match", '"c1')])
def test_a_header_that_makes_no_sense_is_refused_by_name(server, where, header, value):
    version = declare(server, "web")["version"]
    answer = server.post(where, {"to": version if where == WHERE[2] else newest(server)}, headers={header: value})
    assert (answer.status, answer.json["field"]) == (400, header), answer.body


def test_a_reason_that_is_no_text_is_refused(server):
    version = declare(server, "web")["version"]
    long = {REASON: "x" * 1001}
    assert refused(roll_back_one(server, "web", version, headers=long), 400, "invalid").startswith(REASON)
    assert refused(roll_back(server, newest(server), headers=long), 400, "invalid").startswith(REASON)


# ---- many ----

def test_more_than_one_commit_takes_is_rolled_back_namespace_by_namespace(embedded_store):
    with embedded_store.server(namespaces=NAMESPACES, layout=("--layout", "split", "--catalogs", "4")) as server:
        first = newest(server)
        for namespace in NAMESPACES:
            changes = [{"resource": intent(f"web-{i}")} for i in range(5001)]
            answer = server.post(f"{root(namespace)}/changes", {"changes": changes})
            assert answer.status == 200, answer.body[:300]
        full, wanted = newest(server), everything(server)
        error = refused(roll_back(server, first, query="?confirm=prune"), 422, "unprocessable")
        assert "/api/v1/namespaces/{namespace}/rollback" in error
        assert everything(server) == wanted
        for namespace in NAMESPACES:
            assert roll_back(server, first, namespace, "?confirm=prune").json["counts"] == counts(deleted=5001)
        assert everything(server) == {}
        for namespace in NAMESPACES:
            assert roll_back(server, full, namespace).json["counts"] == counts(created=5001)
        assert everything(server) == wanted
