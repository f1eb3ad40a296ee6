# SPDX-License-Identifier: Apache-2.0
"""PATCH of one resource by a JSON merge patch (RFC 7396)."""
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lib.gsq import Gsq
from tests.lib.tokens import create_token
from tests.lib.wait import wait_until
from tests.system.fault_registry import FaultProxy
from tests.system.resources import declare, intent, is_later, listed, path, remove, without_status

MERGE_PATCH = "application/merge-patch+json"
PATCHERS = 16
COMMIT_POINT = r"/gitops-squared/commits/manifests/latest$"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with Gsq(tmp_path_factory.mktemp("gsq"), namespaces=("default", "team-a")) as server:
        yield server


@pytest.fixture
def server(running):
    """Without resources."""
    for name in listed(running):
        remove(running, name)
    return running


def patch(server, body, name="web", namespace="default", query="", **headers):
    headers = {"Content-Type": MERGE_PATCH, **{key.replace("_", "-"): value for key, value in headers.items()}}
    return server.request("PATCH", path(namespace, name) + query, body, headers=headers)


def patched(server, body):
    answer = patch(server, body)
    assert answer.status == 200, answer.body
    return answer.json


# ---- what it changes ----

def test_it_changes_what_it_names_and_nothing_else(server):
    old = declare(server, "web", labels={"team": "shop"}, region="eu", replicas=2, size="medium")
    new = patched(server, {"spec": {"replicas": 3}})
    assert new["spec"] == {"type": "vm", "size": "medium", "region": "eu", "replicas": 3}
    assert new["labels"] == old["labels"]
    assert is_later(new["version"], old["version"])
    assert without_status(server.get(path(name="web")).json) == new


def test_null_takes_away(server):
    declare(server, "web", region="eu", replicas=2)
    assert patched(server, {"spec": {"region": None}})["spec"] == {"type": "vm", "size": "small", "replicas": 2}
    assert patched(server, {"spec": {"replicas": None}})["spec"] == {"type": "vm", "size": "small", "replicas": 1}


def test_labels_are_added_changed_and_taken_off_one_by_one(server):
    declare(server, "web", labels={"team": "shop", "tier": "front", "old": "yes"})
    new = patched(server, {"labels": {"tier": "back", "new": "yes", "old": None, "never-there": None}})
    assert new["labels"] == {"team": "shop", "tier": "back", "new": "yes"}
    assert patched(server, {"labels": None})["labels"] == {}


def test_protection_can_be_taken_off_by_itself(server):
    declare(server, "web", labels={"gitops-squared.io/protect": "true", "team": "shop"})
    assert server.delete(path(name="web")).status == 409
    assert patched(server, {"labels": {"gitops-squared.io/protect": None}})["labels"] == {"team": "shop"}
    remove(server, "web")


@pytest.mark.parametrize("body", [{}, {"spec": {}}, {"spec": {"size": "small"}}, {"name": "web"},
                                  {"labels": {"never-there": None}}])
def test_a_patch_that_changes_nothing_makes_no_version(server, body):
    old = declare(server, "web")
    assert patched(server, body) == old


def test_it_takes_the_kubernetes_form_too(server):
    declare(server, "web", labels={"team": "shop"})
    new = patched(server, {"metadata": {"labels": {"team": "it"}}, "spec": {"size": "large"}})
    assert (new["labels"], new["spec"]["size"]) == ({"team": "it"}, "large")


def test_it_works_in_any_namespace_and_of_no_other(server):
    declare(server, "web")
    declare(server, "web", "team-a")
    answer = patch(server, {"spec": {"size": "large"}}, namespace="team-a")
    assert (answer.status, answer.json["namespace"], answer.json["spec"]["size"]) == (200, "team-a", "large")
    assert listed(server)["web"]["spec"]["size"] == "small"
    remove(server, "web", "team-a")


# ---- what is refused ----

@pytest.mark.parametrize("body, field", [
    ({"spec": {"sizze": "large"}}, "spec.sizze"),
    ({"spec": {"size": "huge"}}, "spec.size"),
    ({"spec": {"size": None}}, "spec.size"),
    ({"spec": {"type": None}}, "spec.type"),
    ({"spec": {"replicas": "3"}}, "spec.replicas"),
    ({"spec": {"replicas": 11}}, "spec.replicas"),
    ({"spec": "large"}, "spec"),
    ({"spec": None}, "spec"),
    ({"labels": {"team": 7}}, "labels"),
    ({"labels": ["team"]}, "labels"),
    ({"nameee": "web"}, "nameee"),
    ({"name": "db"}, "name"),
    ({"namespace": "team-a"}, "namespace"),
])
def test_what_a_resource_may_not_be_is_refused_by_field(server, body, field):
    old = declare(server, "web")
    answer = patch(server, body)
    assert (answer.status, answer.json["code"]) == (400, "invalid"), answer.body
    assert answer.json["field"].startswith(field)
    assert without_status(server.get(path(name="web")).json) == old


@pytest.mark.parametrize("body", [b"", b"large", b"[]", b"null", b'{"spec":{"size":"large"}', b'{"spec":{},"spec":{}}'])
def test_what_is_no_patch_is_refused(server, body):
    declare(server, "web")
    answer = patch(server, body)
    assert (answer.status, answer.json["code"]) == (400, "invalid"), answer.body


def test_what_is_not_there_is_not_made(server):
    answer = patch(server, intent("web"))
    assert (answer.status, answer.json["error"]) == (404, "there is no resource web in namespace default")
    assert not listed(server)


def test_only_a_merge_patch_is_taken(server):
    old = declare(server, "web")
    for content_type in ("application/json", "application/json-patch+json", "application/strategic-merge-patch+json",
                         "text/plain", None):
        answer = patch(server, {"spec": {"size": "large"}}, Content_Type=content_type)
        assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type"), content_type
        assert answer.headers["Accept-Patch"] == MERGE_PATCH
        assert f"Content-Type: {MERGE_PATCH}" in answer.json["error"]
    assert listed(server)["web"] == old
    assert patch(server, {"spec": {"size": "large"}}, Content_Type=f"{MERGE_PATCH}; charset=utf-8").status == 200


def test_it_takes_the_parameters_of_a_change_and_no_others(server):
    declare(server, "web")
    answer = patch(server, {"spec": {"size": "large"}}, query="?wait=applied&timeout=0")
    assert (answer.status, answer.json["status"]["phase"]) == (202, "unknown")
    answer = patch(server, {"spec": {"size": "small"}}, query="?waait=applied")
    assert (answer.status, answer.json["field"]) == (400, "waait")
    assert answer.json["error"].endswith("did you mean wait?")
    assert listed(server)["web"]["spec"]["size"] == "large"


def test_a_frozen_store_takes_no_patch(server):
    declare(server, "web")
    server.put("/api/v1/freeze", {"reason": "a move"})
    answer = patch(server, {"spec": {"size": "large"}})
    server.delete("/api/v1/freeze")
    assert (answer.status, answer.json["error"]) == (503, "the store is frozen: a move (by anonymous)")
    assert patch(server, {"spec": {"size": "large"}}).status == 200


def test_who_may_not_change_may_not_patch(tmp_path):
    server = Gsq(tmp_path / "gsq", anonymous=None)
    tokens = {role: create_token(server, role, role, "default") for role in ("viewer", "editor")}
    with server:
        server.token = tokens["editor"]
        declare(server, "web")
        server.token = tokens["viewer"]
        assert patch(server, {"spec": {"size": "large"}}).status == 403
        server.token = None
        assert patch(server, {"spec": {"size": "large"}}).status == 401
        server.token = tokens["editor"]
        assert patch(server, {"spec": {"size": "large"}}).status == 200


def test_why_it_was_made_is_kept_or_refused(server):
    declare(server, "web")
    answer = patch(server, {"spec": {"size": "large"}}, X_Change_Reason="a\tb")
    assert (answer.status, answer.json["code"]) == (400, "invalid")
    assert listed(server)["web"]["spec"]["size"] == "small"


# ---- many at once ----

def patch_until_taken(server, body):
    """409 says that it may be sent again."""
    def attempt():
        answer = patch(server, body)
        assert answer.status in (200, 409), answer.body
        assert answer.status == 200 or "send it again" in answer.json["error"]
        return answer.status == 200
    wait_until(attempt, "the patch to be taken", every_s=0)


@pytest.mark.concurrent
def test_patches_at_the_same_time_all_take_effect(server):
    declare(server, "web")
    with ThreadPoolExecutor(PATCHERS) as pool:
        list(pool.map(lambda n: patch_until_taken(server, {"labels": {f"label-{n}": f"{n}"}}), range(PATCHERS)))
    assert listed(server)["web"]["labels"] == {f"label-{n}": f"{n}" for n in range(PATCHERS)}


@pytest.mark.concurrent
def test_one_that_finds_another_version_each_time_is_given_back(distribution_store):
    """Each commit takes so long that all who lose have made theirs anew before it is over."""
    with FaultProxy(distribution_store.location) as proxy:
        with distribution_store.server(args=("--registry", proxy.host)) as server:
            declare(server, "web")
            proxy.fail("delay", method="PUT", path_re=COMMIT_POINT, times=None, delay_s=0.5)
            with ThreadPoolExecutor(PATCHERS) as pool:
                answers = list(pool.map(lambda n: patch(server, {"labels": {f"label-{n}": "x"}}), range(PATCHERS)))
            assert {answer.status for answer in answers} == {200, 409}
            [said] = {answer.json["error"] for answer in answers if answer.status == 409}
            assert said == "others have changed web each of the 4 times that this patch was made: send it again"
            made = {f"label-{n}": "x" for n, answer in enumerate(answers) if answer.status == 200}
            assert listed(server)["web"]["labels"] == made


@pytest.mark.concurrent
def test_a_few_at_the_same_time_need_not_be_sent_again(server):
    """Each of them that loses has found the change of another, so of three the last is made by its third try."""
    declare(server, "web")
    bodies = [{"labels": {"team": "shop"}}, {"spec": {"region": "eu"}}, {"spec": {"replicas": 7}}]
    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(lambda body: patch(server, body), bodies))
    assert [answer.status for answer in answers] == [200] * len(bodies)
    now = listed(server)["web"]
    assert (now["labels"], now["spec"]["region"], now["spec"]["replicas"]) == ({"team": "shop"}, "eu", 7)


@pytest.mark.concurrent
def test_with_an_etag_it_is_not_made_from_another_version(server):
    version = declare(server, "web")["version"]
    with ThreadPoolExecutor(PATCHERS) as pool:
        answers = list(pool.map(lambda n: patch(server, {"labels": {f"label-{n}": "x"}}, If_Match=f'"{version}"'),
                                range(PATCHERS)))
    assert sorted(answer.status for answer in answers) == [200] + [412] * (PATCHERS - 1)
    assert len(listed(server)["web"]["labels"]) == 1
