# SPDX-License-Identifier: Apache-2.0
"""Many changes as one: all of them are made, or none; every refusal names the item."""
import json
import threading
import uuid

import pytest

from tests.lib.gsq import Gsq
from tests.lib.registry import keeps_freed_memory, memory_kib
from tests.lib.tokens import create_token
from tests.lib.wait import wait_until
from tests.system.resources import assert_whole, declare, intent, listed, path
from tests.system.revisions import history
from tests.system.stub_kube import StubKube

CHANGES = "/api/v1/changes"
TEAMS = ("default", "team-a", "team-b")
YAML = {"Content-Type": "application/yaml"}


def changes_path(namespace=None):
    return CHANGES if namespace is None else f"/api/v1/namespaces/{namespace}/changes"


def put(resource, operation=None, **members):
    item = {"resource": resource, **members}
    return item if operation is None else {"operation": operation, **item}


def gone(name, namespace=None, **members):
    item = {"operation": "delete", "name": name, **members}
    return item if namespace is None else {**item, "namespace": namespace}


def in_namespace(resource, namespace):
    return {**resource, "namespace": namespace}


def manifest(name, namespace=None, labels=None, **spec):
    metadata = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "gitops-squared.io/v1alpha1", "kind": "PlatformResource", "metadata": metadata,
            "spec": {"type": "vm", "size": "small", **spec}}


def send(server, *items, query="", where=CHANGES, headers=None, **members):
    return server.post(where + query, {"changes": list(items), **members}, headers=headers)


def done(answer):
    assert answer.status == 200, answer.body
    return answer.json


def results(answer):
    return [(item["result"], item["namespace"], item["name"]) for item in done(answer)["changes"]]


def refused(answer, status, **members):
    assert answer.status == status, answer.body
    assert {key: answer.json.get(key) for key in members} == members
    return answer.json["error"]


def everything(server):
    return {namespace: listed(server, namespace) for namespace in server.namespaces}


@pytest.fixture
def server(embedded_store):
    with embedded_store.server(namespaces=TEAMS) as server:
        yield server


@pytest.fixture
def filled(server):
    for name in ("web", "db", "old"):
        declare(server, name)
    return server


# ---- one commit ----

def test_a_mix_of_changes_is_one_commit_and_each_has_its_result(store):
    with store.server(namespaces=TEAMS) as server:
        web, same = declare(server, "web"), declare(server, "same")
        declare(server, "old", "team-a")
        before = store.oci().record()
        answer = send(server, put(intent("web", size="large")), put(intent("same")), gone("old", "team-a"),
                      put(in_namespace(intent("new"), "team-b"), "create"))
        assert results(answer) == [("updated", "default", "web"), ("unchanged", "default", "same"),
                                   ("deleted", "team-a", "old"), ("created", "team-b", "new")]
        assert answer.json["counts"] == {"created": 1, "updated": 1, "unchanged": 1, "deleted": 1}
        assert answer.headers["ETag"] == f'"{answer.json["revision"]}"'
        record = store.oci().record()
        assert record["parent"] != before.get("parent")
        assert len(record["changes"]) == 3
        live = {**listed(server), **listed(server, "team-b")}
        versions = {item["name"]: (item["version"], item["digest"]) for item in answer.json["changes"]}
        assert live["web"]["spec"]["size"] == "large" and live["web"]["version"] != web["version"]
        assert versions["same"] == (same["version"], same["digest"])
        for name in ("web", "same", "new"):
            assert versions[name] == (live[name]["version"], live[name]["digest"])
        assert_whole(server, store.oci(), TEAMS)


def test_what_is_so_already_makes_no_commit(filled):
    before = filled.get(path()).headers["ETag"]
    answer = send(filled, put(intent("web")), put(intent("db")))
    assert done(answer)["revision"] is None
    assert "ETag" not in answer.headers
    assert filled.get(path()).headers["ETag"] == before


def test_a_list_has_the_etag_of_the_last_commit(filled):
    answer = send(filled, put(intent("web", size="large")))
    for where in (path(), path("team-a"), f"{path()}?namespace=*"):
        assert filled.get(where).headers["ETag"] == answer.headers["ETag"]


def test_the_commit_says_who_and_why(server, embedded_store):
    done(send(server, put(intent("web")), headers={"X-Change-Reason": "TICKET-7"}))
    record = embedded_store.oci().record()
    assert (record["who"], record["why"]) == ("anonymous", "TICKET-7")


# ---- the forms of a body ----

MULTI_DOCUMENT = """\
# as kubectl writes it
apiVersion: gitops-squared.io/v1alpha1
kind: PlatformResource
metadata:
  name: web
  namespace: team-a
spec:
  type: vm
  size: large
---
name: db
spec: {type: database, size: small}
---
"""


@pytest.mark.parametrize("content_type", ["application/yaml", "application/x-yaml", "text/yaml; charset=utf-8"])
def test_yaml_documents_are_applied(server, content_type):
    answer = server.post(CHANGES, MULTI_DOCUMENT, headers={"Content-Type": content_type})
    assert results(answer) == [("created", "team-a", "web"), ("created", "default", "db")]
    assert listed(server, "team-a")["web"]["spec"]["size"] == "large"


@pytest.mark.parametrize("body", [
    {"apiVersion": "v1", "kind": "List", "items": [manifest("web"), manifest("db")]},
    [manifest("web"), manifest("db")], [intent("web"), intent("db")],
    {"changes": [put(manifest("web")), put(intent("db"))]},
], ids=["List", "list", "short", "changes"])
def test_json_in_every_form_is_applied(server, body):
    assert results(server.post(CHANGES, body)) == [("created", "default", "web"), ("created", "default", "db")]


@pytest.mark.parametrize("body", [intent("web"), manifest("web")], ids=["short", "manifest"])
def test_one_object_is_applied(server, body):
    assert results(server.post(CHANGES, body)) == [("created", "default", "web")]


def test_what_names_no_namespace_is_in_that_of_the_path(server):
    where = changes_path("team-a")
    assert results(send(server, put(intent("web")), put(manifest("db", "team-a")), where=where)) == [
        ("created", "team-a", "web"), ("created", "team-a", "db")]
    assert results(send(server, gone("web"), where=where)) == [("deleted", "team-a", "web")]


@pytest.mark.parametrize("item, field", [
    (put(in_namespace(intent("web"), "team-b")), "resource.namespace"), (gone("web", "team-b"), "namespace")])
def test_a_path_with_a_namespace_takes_no_other(server, item, field):
    answer = send(server, put(intent("ok")), item, where=changes_path("team-a"))
    error = refused(answer, 400, index=1, namespace="team-b", name="web", field=f"changes[1].{field}")
    assert "team-a" in error
    assert not listed(server, "team-a")


def test_documents_are_held_to_the_namespace_of_the_path(server):
    answer = server.post(changes_path("team-b"), MULTI_DOCUMENT, headers=YAML)
    assert answer.status == 400 and "team-b" in answer.json["error"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/jsonp", "", None])
def test_another_media_type_is_refused(server, content_type):
    connection = server.connect()
    headers = {} if content_type is None else {"Content-Type": content_type}
    connection.request("POST", CHANGES, b"{}", headers)
    answer = connection.getresponse()
    assert answer.status == 415
    assert "application/yaml" in json.loads(answer.read())["error"]
    connection.close()


# ---- what the operations want ----

def test_create_wants_nothing_there_and_update_wants_something(filled):
    before = everything(filled)
    refused(send(filled, put(intent("new")), put(intent("web", size="large"), "create")), 412, index=1, name="web")
    refused(send(filled, put(intent("web", size="large")), put(intent("nothing"), "update")), 412, index=1,
            name="nothing")
    refused(send(filled, put(intent("web", size="large")), gone("nothing")), 404, index=1, name="nothing")
    assert everything(filled) == before
    assert results(send(filled, put(intent("new"), "create"), put(intent("web", size="large"), "update"))) == [
        ("created", "default", "new"), ("updated", "default", "web")]


@pytest.mark.parametrize("item", [
    lambda version: put(intent("web", size="large"), ifMatch=version), lambda version: gone("web", ifMatch=version)],
    ids=["apply", "delete"])
def test_if_match_of_an_item_holds_of_that_version_alone(filled, item):
    version = listed(filled)["web"]["version"]
    changed = declare(filled, "web", size="medium")["version"]
    before = everything(filled)
    error = refused(send(filled, put(intent("other")), item(version)), 412, index=1, namespace="default", name="web")
    assert changed in error
    assert everything(filled) == before
    done(send(filled, put(intent("other")), item(changed)))


# ---- refusals name the item ----

@pytest.mark.parametrize("item, field, says", [
    (put(intent("web"), "deletee"), "operation", "did you mean delete?"),
    (put(intent("web"), 7), "operation", "apply, create, update and delete"),
    ({**put(intent("web")), "resourcce": 1}, "resourcce", "did you mean resource?"),
    ({**put(intent("web")), "name": "web"}, "name", "belongs into the resource"),
    ({**gone("web"), "resource": intent("web")}, "resource", "name and namespace"),
    ({"operation": "apply"}, "resource", "must be an object"),
    (put([]), "resource", "must be an object"),
    (put(intent("web", size="huge")), "resource.spec.size", "small, medium or large"),
    (put(intent("web", sizze="small")), "resource.spec.sizze", "spec.size"),
    (put(manifest("web", replicas=11)), "resource.spec.replicas", "1 to 10"),
    (put(intent("Web")), "resource.name", "lower-case"),
    ({"operation": "delete"}, "name", "lower-case"),
    (gone("Web"), "name", "lower-case"),
    (gone("web", "*"), "namespace", "lower-case"),
    (gone("web", ifMatch="17"), "ifMatch", "v1795893153160483"),
    (put(intent("web"), ifMatch=17), "ifMatch", "v1795893153160483"),
    (put(intent("web"), "create", ifMatch="v17"), "ifMatch", "contradicts"),
])
def test_what_is_wrong_is_named_by_item_and_field(server, item, field, says):
    answer = send(server, put(intent("good")), item)
    error = refused(answer, 400, code="invalid", index=1, field=f"changes[1].{field}")
    assert error.startswith("changes[1]") and says in error
    assert not listed(server)


@pytest.mark.parametrize("body, says", [
    ('{"changes":[]}', "empty"), ("{}", "empty"), ("[]", ""), ('{"changs":[]}', "did you mean changes?"),
    ('{"changes":{}}', "must be a list"), ('{"changes":[],"changes":[]}', "twice"), ('{"changes":[1]}', "changes[0]"),
    ('{"changes":[{"operation":"delete","name":"a"}', "line 1, column 46"),
    ('{"changes":[{},]}', ""), ('{"changes":[]} x', "line 1, column 16"),
    ('{"changes":[\n {"resource":{"name":"a"},,}]}', "line 2, column 27"), ("", ""), ("null", ""),
    ('{"changes":[{"resource":{"name":"a","name":"b"}}]}', "changes[0]"), ('{"changes":["', ""), ("{", ""), ('{"', ""),
    ('{"changes":[{"resource":"\\u0000"}]}', "changes[0]"), ("{" * 1000, ""), ('{"changes":' + "[" * 1000, ""),
])
def test_what_is_no_change_is_refused(server, body, says):
    answer = server.post(CHANGES, body)
    assert answer.status == 400 and says in answer.json["error"], answer.body
    assert answer.json["code"] == "invalid"


@pytest.mark.parametrize("text", ["a: [", "a: &x 1\nb: *x\n", "", "# nothing\n", "---\n---\n", "\t", "name: web\nname: db\n"])
def test_yaml_that_is_no_resource_is_refused(server, text):
    answer = server.post(CHANGES, text, headers=YAML)
    assert answer.status == 400, answer.body


def test_a_wrong_document_is_named_by_its_place_and_field(server):
    answer = server.post(CHANGES, MULTI_DOCUMENT + "name: bad\nspec: {type: vm, size: huge}\n", headers=YAML)
    error = refused(answer, 400, field="spec.size", index=2)
    assert "bad" in error and "huge" in error
    assert not listed(server)


def test_one_resource_twice_is_refused_with_both_places(server):
    answer = send(server, put(intent("a")), put(intent("web")), gone("b"), put(manifest("web", "default")))
    error = refused(answer, 400, index=3, namespace="default", name="web", field="changes[3]")
    assert "changes[1] and changes[3]" in error
    twice = server.post(CHANGES, MULTI_DOCUMENT + "name: db\nspec: {type: vm, size: small}\n", headers=YAML)
    assert "at lines 11 and 14" in refused(twice, 400, index=2, name="db")
    assert not listed(server)


def test_a_namespace_that_is_not_there_is_refused_with_the_item(server):
    answer = send(server, put(intent("ok")), put(in_namespace(intent("web"), "nowhere")), gone("x", "elsewhere"))
    error = refused(answer, 422, index=1, namespace="nowhere", name="web", field="changes[1].resource.namespace")
    assert "nowhere" in error
    assert not listed(server)


@pytest.mark.parametrize("query, field", [
    ("?dryrun=true", "dryrun"), ("?dryRun=yes", "dryRun"), ("?confirm=yes", "confirm"),
    ("?dryRun=true&dryRun=true", "dryRun"), ("?wait=applied", "wait")])
def test_other_parameters_are_refused(server, query, field):
    refused(send(server, put(intent("web")), query=query), 400, field=field)
    assert not listed(server)


def test_a_reason_that_is_no_text_is_refused_and_nothing_changes(server):
    assert send(server, put(intent("web")), headers={"X-Change-Reason": "x" * 1001}).status == 400
    assert not listed(server)


# ---- many ----

MANY = 5000


def test_five_thousand_are_one_commit(embedded_store):
    with embedded_store.server() as server:
        answer = send(server, *(put(intent(f"r-{i:04}")) for i in range(MANY)))
        assert done(answer)["counts"]["created"] == MANY
        assert [item["name"] for item in answer.json["changes"]] == [f"r-{i:04}" for i in range(MANY)]
        assert len(listed(server)) == MANY
        assert len(embedded_store.oci().record()["changes"]) == MANY


@pytest.mark.parametrize("item, status, field, says", [
    (put(intent("bad", size="huge")), 400, "changes[4321].resource.spec.size", "huge"),
    (gone("bad"), 404, "changes[4321]", "no resource"),
    (put(intent("bad"), "update"), 412, "changes[4321]", "bad"),
    (put(in_namespace(intent("bad"), "nowhere")), 422, "changes[4321].resource.namespace", "nowhere")])
def test_one_bad_item_of_five_thousand_commits_nothing_and_is_named(server, item, status, field, says):
    before = server.get(path()).headers["ETag"]
    items = [put(intent(f"r-{i:04}")) for i in range(MANY)]
    items[4321] = item
    error = refused(send(server, *items), status, index=4321, name="bad", field=field)
    assert "changes[4321]" in error and says in error
    assert server.get(path()).headers["ETag"] == before
    assert not listed(server)


def test_more_than_ten_thousand_are_refused(server):
    answer = send(server, *(gone(f"r-{i}") for i in range(10001)))
    assert "10000" in refused(answer, 413, code="too_large")
    documents = server.post(CHANGES, [intent(f"r-{i}") for i in range(10001)])
    assert "10000" in refused(documents, 413, code="too_large")
    assert not listed(server)


def test_a_body_of_more_than_sixteen_mebibytes_is_refused(server):
    answer = server.post(CHANGES, b" " * (16 * 1024 * 1024 + 1))
    refused(answer, 413, code="too_large")


def test_a_huge_item_is_refused_and_the_others_are_not_made(server):
    answer = server.post(CHANGES, '{"changes":[%s,{"resource":[%s]}]}' % (
        json.dumps(put(intent("web"))), ",".join("0" * 600000)))
    refused(answer, 413, index=1)
    assert not listed(server)


# ---- permission ----

class Teams:
    """A server with a token for each team."""

    def __init__(self, folder):
        self.server = Gsq(folder, namespaces=TEAMS, anonymous=None)
        self.editor, self.viewer, self.server.token = (
            create_token(self.server, name, role, where)
            for name, role, where in (("a", "editor", "team-a"), ("v", "viewer", "team-a"), ("root", "admin", "*")))

    def send(self, token, *items, where=CHANGES, **kwargs):
        return send(self.server, *items, where=where, headers={"Authorization": f"Bearer {token}"}, **kwargs)


@pytest.fixture(scope="module")
def teams(tmp_path_factory):
    found = Teams(tmp_path_factory.mktemp("teams"))
    with found.server:
        declare(found.server, "secret", "team-b")
        yield found


def test_a_forbidden_namespace_in_a_mix_leaves_nothing(teams):
    answer = teams.send(teams.editor, put(in_namespace(intent("web"), "team-a")),
                        put(in_namespace(intent("web"), "team-b")))
    assert "team-b" in refused(answer, 403, code="denied")
    assert not listed(teams.server, "team-a") and list(listed(teams.server, "team-b")) == ["secret"]
    assert results(teams.send(teams.editor, put(in_namespace(intent("web"), "team-a")))) == [
        ("created", "team-a", "web")]
    assert results(teams.send(teams.editor, gone("web", "team-a"))) == [("deleted", "team-a", "web")]


@pytest.mark.parametrize("make", [
    lambda name, namespace: gone(name, namespace), lambda name, namespace: put(in_namespace(intent(name), namespace)),
    lambda name, namespace: put(in_namespace(intent(name), namespace), "create"),
    lambda name, namespace: put(in_namespace(intent(name), namespace), ifMatch="v1")])
@pytest.mark.parametrize("query", ["", "?dryRun=true"])
def test_what_is_forbidden_reveals_nothing(teams, make, query):
    there, missing, nowhere = (
        teams.send(teams.editor, make(name, namespace), query=query)
        for name, namespace in (("secret", "team-b"), ("other", "team-b"), ("secret", "team-c")))
    assert there.status == missing.status == nowhere.status == 403
    assert there.body == missing.body
    assert there.body.replace(b"team-b", b"team-c") == nowhere.body


@pytest.mark.parametrize("selector", ["app=none", "", None])
def test_a_prune_asks_whether_there_is_something_or_not(teams, selector):
    prune = {"namespaces": ["team-b"], **({} if selector is None else {"selector": selector})}
    answer = teams.send(teams.editor, put(in_namespace(intent("web"), "team-a")), prune=prune)
    assert "team-b" in refused(answer, 403, code="denied")
    assert list(listed(teams.server, "team-b")) == ["secret"]


def test_viewers_change_nothing(teams):
    for item in (put(in_namespace(intent("web"), "team-a")), gone("web", "team-a")):
        for where in (CHANGES, changes_path("team-a")):
            assert teams.send(teams.viewer, item, where=where).status == 403


def test_without_a_token_the_body_is_not_waited_for(teams):
    connection = teams.server.connect()
    connection.putrequest("POST", CHANGES)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(16 * 1024 * 1024))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    connection.close()


def test_anonymous_readers_may_not_and_anonymous_writers_may(tmp_path):
    for anonymous, status in (("read", 403), ("write", 200)):
        with Gsq(tmp_path / anonymous, anonymous=anonymous) as server:
            assert send(server, put(intent("web"))).status == status


def test_many_namespaces_are_asked_one_after_the_other(teams):
    items = [gone("web", f"team-{i}") for i in range(1000)]
    refused(teams.send(teams.server.token, *items), 404, index=0, namespace="team-0")
    refused(teams.send(teams.editor, *items), 403, code="denied")
    refused(teams.send(teams.server.token, *items, gone("web", "team-1000")), 413, code="too_large")


def test_a_change_is_one_request_of_its_subject_and_too_many_are_told_when_to_come_again(tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("rates:\n  token:eager: 3\n", encoding="utf-8")
    server = Gsq(tmp_path / "gsq", namespaces=TEAMS, anonymous=None, args=("--policy", policy))
    server.token = create_token(server, "eager", "admin", "*")
    with server:
        done(send(server, *(put(in_namespace(intent(f"r-{i}"), team)) for team in TEAMS for i in range(5))))
        answer = wait_until(lambda: next((found for found in (send(server, put(intent("web"))),) if found.status == 429),
                                         None), "the rate", every_s=0)
        assert int(answer.headers["Retry-After"]) >= 1 and answer.json["code"] == "too_many_requests"


class Reviewer:
    """A Kubernetes that knows one user, who may update in team-a and delete in team-b; asked: what it was asked."""

    MAY = (("update", "team-a"), ("delete", "team-b"))

    def __init__(self, kube):
        self.asked = asked = []
        handler = kube._server.RequestHandlerClass

        class Handler(handler):
            def do_POST(self):
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path.endswith("/tokenreviews"):
                    review["status"] = {"authenticated": True, "user": {"username": "alice"},
                                        "audiences": review["spec"].get("audiences")}
                else:
                    what = review["spec"]["resourceAttributes"]
                    asked.append((what["verb"], what["namespace"]))
                    review["status"] = {"allowed": asked[-1] in Reviewer.MAY}
                self._answer(201, review)
        kube._server.RequestHandlerClass = Handler


def test_kubernetes_is_asked_once_for_each_action_and_namespace(tmp_path):
    with StubKube(tmp_path) as kube:
        reviewer = Reviewer(kube)
        server = Gsq(tmp_path / "gsq", namespaces=TEAMS, anonymous=None, token="of-alice", kubeconfig=kube.kubeconfig,
                     args=("--auth-kubernetes", "--authz", "kubernetes"))
        with server:
            items = [put(in_namespace(intent(name), "team-a")) for name in ("web", "db")]
            assert done(send(server, *items))["counts"]["created"] == 2
            refused(send(server, *items, gone("web", "team-b"), gone("db", "team-b")), 404, index=2)
            assert sorted(reviewer.asked) == [("delete", "team-b"), ("update", "team-a")]
            for item in (gone("x", "team-a"), put(in_namespace(intent("x"), "team-b")), put(intent("x"))):
                refused(send(server, *items, item), 403, code="denied")
            assert done(send(server, *items))["counts"]["unchanged"] == 2


def test_who_may_only_delete_in_the_namespace_of_a_path_is_not_refused_there(tmp_path):
    """Roles of Kubernetes may be like that."""
    with StubKube(tmp_path) as kube:
        reviewer = Reviewer(kube)
        server = Gsq(tmp_path / "gsq", namespaces=(*TEAMS, "team-c"), anonymous=None, token="of-alice",
                     kubeconfig=kube.kubeconfig, args=("--auth-kubernetes", "--authz", "kubernetes"))
        with server:
            refused(send(server, gone("web"), where=changes_path("team-b")), 404, index=0)
            refused(send(server, put(intent("web")), where=changes_path("team-b")), 403, code="denied")
            done(send(server, put(intent("web")), where=changes_path("team-a")))
            reviewer.asked.clear()
            assert "may not update" in refused(send(server, gone("web"), where=changes_path("team-c")), 403)
            assert sorted(reviewer.asked) == [("delete", "team-c"), ("update", "team-c")]


# ---- prune ----

def test_what_a_change_does_not_name_is_pruned(filled):
    declare(filled, "other", "team-a")
    answer = send(filled, put(intent("web", size="large")), put(intent("new")), prune={"namespaces": ["default"]})
    assert results(answer) == [("updated", "default", "web"), ("created", "default", "new"),
                               ("deleted", "default", "db"), ("deleted", "default", "old")]
    assert {name: list(found) for name, found in everything(filled).items()} == {
        "default": ["new", "web"], "team-a": ["other"], "team-b": []}


def test_a_prune_takes_what_its_selector_matches(server):
    for name, labels in (("a", {"app": "x"}), ("b", {"app": "x", "keep": "yes"}), ("c", {"app": "y"}), ("d", None)):
        declare(server, name, labels=labels)
    answer = send(server, put(intent("new")), prune={"namespaces": ["default"], "selector": "app=x,keep!=yes"})
    assert results(answer) == [("created", "default", "new"), ("deleted", "default", "a")]


def test_a_prune_alone_is_a_change(filled):
    assert done(filled.post(CHANGES, {"prune": {"namespaces": ["default"]}}))["counts"]["deleted"] == 3
    again = filled.post(CHANGES, {"prune": {"namespaces": ["default"]}})
    assert (done(again)["revision"], again.json["changes"]) == (None, [])


def test_below_a_namespace_its_own_is_pruned(filled):
    declare(filled, "web", "team-a")
    answer = filled.post(changes_path("team-a"), {"prune": {}})
    assert results(answer) == [("deleted", "team-a", "web")]
    assert len(listed(filled)) == 3


@pytest.mark.parametrize("prune, where, field", [
    ({}, CHANGES, "namespaces"), ({"namespaces": []}, CHANGES, "namespaces"),
    ({"namespaces": "default"}, CHANGES, "namespaces"), ({"namespaces": ["*"]}, CHANGES, "namespaces"),
    ({"namespaces": [7]}, CHANGES, "namespaces"), ({"namespaces": ["default", "default"]}, CHANGES, "namespaces"),
    ({"namespace": ["default"]}, CHANGES, "namespace"), ({"namespaces": ["default"]}, changes_path("team-a"), "namespaces"),
    ({"namespaces": ["default"], "selector": "app in"}, CHANGES, "selector"),
    ({"namespaces": ["default"], "selector": {}}, CHANGES, "selector"),
])
def test_a_prune_that_is_not_clear_is_refused(filled, prune, where, field):
    refused(send(filled, put(intent("new")), where=where, prune=prune), 400, field=f"prune.{field}")
    assert len(listed(filled)) == 3


def test_a_prune_of_no_object_is_refused(filled):
    for prune in ("default", ["default"], None, True):
        refused(send(filled, put(intent("new")), prune=prune), 400, field="prune")
    assert len(listed(filled)) == 3


def test_a_large_prune_wants_to_be_confirmed(server):
    done(send(server, *(put(intent(f"r-{i}")) for i in range(20))))
    prune = {"namespaces": ["default"]}
    error = refused(send(server, put(intent("r-0")), prune=prune), 409, code="conflict", confirm="prune")
    assert "19 of the 20" in error and "confirm=prune" in error
    tried = send(server, put(intent("r-0")), prune=prune, query="?dryRun=true")
    assert refused(tried, 409, confirm="prune") == error
    assert len(listed(server)) == 20
    answer = send(server, put(intent("r-0")), prune=prune, query="?confirm=prune")
    assert done(answer)["counts"] == {"created": 0, "updated": 0, "unchanged": 1, "deleted": 19}
    assert list(listed(server)) == ["r-0"]


def test_what_is_named_one_by_one_is_not_guarded(server):
    done(send(server, *(put(intent(f"r-{i}")) for i in range(20))))
    assert done(send(server, *(gone(f"r-{i}") for i in range(20))))["counts"]["deleted"] == 20


PROTECTED = {"gitops-squared.io/protect": "true"}


def test_the_protected_are_neither_deleted_nor_pruned(filled):
    declare(filled, "kept", labels=PROTECTED)
    before = everything(filled)
    refused(send(filled, gone("web"), gone("kept")), 409, index=1, name="kept")
    answer = send(filled, put(intent("web", size="large")), prune={"namespaces": ["default"]}, query="?confirm=prune")
    refused(answer, 409, namespace="default", name="kept", index=None, confirm=None)
    assert everything(filled) == before


# ---- dry run ----

def test_a_dry_run_answers_what_the_change_does_and_changes_nothing(filled, embedded_store):
    items = [put(intent("web", size="large")), put(intent("db")), gone("old"), put(intent("new"), "create")]
    before, store = everything(filled), embedded_store.oci().record()
    tried = send(filled, *items, query="?dryRun=true")
    assert done(tried)["dryRun"] is True and tried.json["revision"] is None
    assert everything(filled) == before and embedded_store.oci().record() == store
    assert send(filled, *items, query="?dryRun=true").body == tried.body
    made = send(filled, *items)
    assert results(made) == results(tried) and made.json["counts"] == tried.json["counts"]
    unchanged = tried.json["changes"][1]
    assert (unchanged["version"], unchanged["diff"]) == (before["default"]["db"]["version"], "")
    assert all("diff" not in item for item in made.json["changes"])


def test_a_dry_run_has_the_difference_of_each(filled):
    answer = send(filled, put(intent("web", size="large")), gone("old"), put(intent("new")), query="?dryRun=true")
    web, old, new = (item["diff"] for item in done(answer)["changes"])
    there = listed(filled)
    assert web.startswith(f"--- default/web@{there['web']['version']}\n+++ default/web\n@@ ")
    assert old.startswith(f"--- default/old@{there['old']['version']}\n+++ /dev/null\n@@ ")
    assert new.startswith("--- /dev/null\n+++ default/new\n@@ ")
    assert "\n-  size: small\n" in web.replace('"', "") and "\n+  size: large\n" in web.replace('"', "")
    assert "+" not in "".join(line[0] for line in old.splitlines()[3:])
    assert "-" not in "".join(line[0] for line in new.splitlines()[3:])


@pytest.mark.parametrize("items, status", [
    ([gone("nothing")], 404), ([put(intent("web"), "create")], 412), ([put(intent("bad", size="huge"))], 400),
    ([put(in_namespace(intent("x"), "nowhere"))], 422), ([gone("kept")], 409)])
def test_a_dry_run_is_refused_as_the_change_would_be(filled, items, status):
    declare(filled, "kept", labels=PROTECTED)
    tried = send(filled, put(intent("ok")), *items, query="?dryRun=true")
    made = send(filled, put(intent("ok")), *items)
    assert tried.status == made.status == status
    assert tried.json == made.json


def test_a_dry_run_of_a_frozen_store_is_refused_too(filled):
    assert filled.put("/api/v1/freeze", {"reason": "migration"}).status == 200
    for query in ("", "?dryRun=true"):
        assert "migration" in refused(send(filled, put(intent("new")), query=query), 503)


# ---- preconditions of the whole ----

def test_if_match_holds_of_the_catalog_that_was_read(filled):
    seen = filled.get(path()).headers["ETag"]
    declare(filled, "web", size="medium")
    before = everything(filled)
    for query in ("", "?dryRun=true"):
        answer = send(filled, put(intent("db", size="large")), headers={"If-Match": seen}, query=query)
        refused(answer, 412, code="precondition_failed")
    assert everything(filled) == before
    now = filled.get(path()).headers["ETag"]
    after = send(filled, put(intent("db", size="large")), headers={"If-Match": now})
    assert done(after)["revision"] and after.headers["ETag"] != now
    done(send(filled, put(intent("db", size="small")), headers={"If-Match": "*"}))


@pytest.mark.parametrize("tag", ['"v17"', '"c0"', '""', 'W/"c17"', '"c17", "c18"'])
def test_what_is_no_etag_of_the_catalog_is_none_that_is_current(filled, tag):
    refused(send(filled, put(intent("new")), headers={"If-Match": tag}), 412)
    assert "new" not in listed(filled)


def test_the_etag_of_the_catalog_may_be_one_of_a_list(filled):
    now = filled.get(path()).headers["ETag"]
    done(send(filled, put(intent("new")), headers={"If-Match": f'"c17", "x",{now}'}))


@pytest.mark.parametrize("tag", ["", "c17", '"', '"c17', '*, "c17"', '"c17" "c18"'])
def test_what_is_no_etag_at_all_is_malformed(filled, tag):
    said = refused(send(filled, put(intent("new")), headers={"If-Match": tag}), 400, field="If-Match")
    assert said.startswith('If-Match must be * or ETags in their quotes, as in "c')
    assert "new" not in listed(filled)


def test_if_none_match_is_refused_with_what_to_do_instead(filled):
    answer = send(filled, put(intent("new")), headers={"If-None-Match": "*"})
    assert "create" in refused(answer, 400, field="If-None-Match")
    assert "new" not in listed(filled)


# ---- the same again ----

def keyed(key=None):
    return {"Idempotency-Key": key or str(uuid.uuid4())}


def test_a_change_that_comes_again_with_its_key_is_answered_as_the_first_time(filled):
    items, headers = [put(intent("new"), "create"), gone("old"), put(intent("web"))], keyed()
    first = send(filled, *items, headers=headers)
    assert "Idempotency-Replayed" not in first.headers
    declare(filled, "later")
    before = everything(filled)
    again = send(filled, *items, headers=headers)
    assert again.headers["Idempotency-Replayed"] == "true" and done(again)["replayed"] is True
    assert (again.json["revision"], again.headers["ETag"]) == (first.json["revision"], first.headers["ETag"])
    assert results(again) == results(first)
    assert again.json["changes"][:2] == first.json["changes"][:2]
    assert everything(filled) == before


def test_a_prune_that_comes_again_is_answered_as_the_first_time_whatever_there_is_now(filled):
    sent = {"prune": {"namespaces": ["default"]}, "headers": keyed()}
    first = send(filled, put(intent("web")), put(intent("new")), **sent)
    assert results(first) == [("unchanged", "default", "web"), ("created", "default", "new"),
                              ("deleted", "default", "db"), ("deleted", "default", "old")]
    for name in ("db", "later"):
        declare(filled, name)
    before = everything(filled)
    again = send(filled, put(intent("web")), put(intent("new")), **sent)
    assert (again.json["replayed"], again.json["counts"]) == (True, first.json["counts"])
    assert again.json["changes"][1:] == first.json["changes"][1:]
    assert again.json["changes"][0] == {**first.json["changes"][0], "version": None, "digest": None}
    assert everything(filled) == before


def test_a_key_is_remembered_over_a_restart(store):
    with store.server() as server:
        headers = keyed()
        first = send(server, put(intent("web"), "create"), headers=headers)
        server.restart()
        again = send(server, put(intent("web"), "create"), headers=headers)
        assert done(again)["revision"] == done(first)["revision"] and again.json["replayed"] is True


@pytest.mark.parametrize("other", [
    {"where": changes_path("default")}, {"query": "?confirm=prune"}, {"items": [put(intent("web", size="large"))]}])
def test_a_key_of_another_request_is_refused(server, other):
    headers = keyed()
    done(send(server, put(intent("web")), headers=headers))
    before = everything(server)
    answer = send(server, *other.get("items", [put(intent("web"))]), where=other.get("where", CHANGES),
                  query=other.get("query", ""), headers=headers)
    assert "Idempotency-Key" in refused(answer, 422)
    assert everything(server) == before


def test_a_key_is_that_of_its_subject(tmp_path):
    server = Gsq(tmp_path, anonymous=None)
    tokens = [create_token(server, name, "editor", "default") for name in ("one", "two")]
    with server:
        for token, name in zip(tokens, ("web", "db")):
            headers = {**keyed("same"), "Authorization": f"Bearer {token}"}
            assert results(send(server, put(intent(name)), headers=headers)) == [("created", "default", name)]


def test_a_change_that_was_refused_may_come_again_with_its_key(server):
    headers = keyed()
    assert send(server, put(intent("web"), "update"), headers=headers).status == 412
    declare(server, "web", size="large")
    assert results(send(server, put(intent("web"), "update"), headers=headers)) == [("updated", "default", "web")]


def test_a_dry_run_does_not_use_up_its_key(server):
    headers = keyed()
    done(send(server, put(intent("web")), query="?dryRun=true", headers=headers))
    assert results(send(server, put(intent("web")), headers=headers)) == [("created", "default", "web")]


@pytest.mark.parametrize("key", ["", "x" * 256, "käse", "a\tb"])
def test_a_key_that_is_none_is_refused(server, key):
    answer = send(server, put(intent("web")), headers={"Idempotency-Key": key.encode("latin-1")})
    refused(answer, 400, field="Idempotency-Key")
    assert not listed(server)


def test_the_longest_key_is_taken(server):
    headers = keyed("~ " * 127 + "~")
    done(send(server, put(intent("web")), headers=headers))
    assert done(send(server, put(intent("web")), headers=headers))["replayed"] is True


# ---- at the same time, and at the wrong time ----

@pytest.mark.concurrent
def test_a_prune_takes_nothing_that_got_other_labels_meanwhile(server):
    """Those that are the prune's when it looks, and not any more when it is made: each deletion is of what it asked."""
    names = [f"r-{i}" for i in range(4)]
    stop = threading.Event()

    def relabel(name):
        while not stop.is_set():
            for app in ("mine", "theirs"):
                assert server.put(path(name=name), intent(name, labels={"app": app})).status in (200, 201)
    threads = [threading.Thread(target=relabel, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    prune = {"prune": {"namespaces": ["default"], "selector": "app=mine"}}
    answers = [server.post(f"{CHANGES}?confirm=prune", prune) for _ in range(60)]
    stop.set()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} <= {200, 409}
    assert all("send it again" in answer.json["error"] for answer in answers if answer.status == 409)
    gone_then = 0
    for name in names:
        entries = history(server, name)
        for deletion, version in zip(entries, entries[1:]):
            if deletion["operation"] == "delete":
                gone_then += 1
                assert version["labels"] == {"app": "mine"}
    assert gone_then > 0


@pytest.mark.concurrent
def test_changes_at_the_same_time_are_made_one_after_the_other(server):
    names = [f"r-{i:02}" for i in range(30)]
    answers = {}

    def change(size):
        answers[size] = send(server, *(put(intent(name, size=size)) for name in names))
    threads = [threading.Thread(target=change, args=(size,)) for size in ("small", "medium", "large")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = max(answers, key=lambda size: int(done(answers[size])["revision"].removeprefix("c")))
    assert len({answer.json["revision"] for answer in answers.values()}) == 3
    assert {item["spec"]["size"] for item in listed(server).values()} == {last}


@pytest.mark.concurrent
def test_of_two_editors_of_one_catalog_one_is_told(filled):
    headers = {"If-Match": filled.get(path()).headers["ETag"]}
    answers = []
    threads = [threading.Thread(target=lambda name=name: answers.append(
        send(filled, put(intent(name)), headers=headers))) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [200, 412]
    assert len({"one", "two"} & set(listed(filled))) == 1


def test_a_server_that_dies_in_a_change_has_made_all_of_it_or_nothing(embedded_store):
    """Killed at other moments each time; the same change again then makes the rest of it, which is all or nothing."""
    with embedded_store.server() as server:
        for turn in range(6):
            items = [put(intent(f"r-{i:04}", replicas=turn + 1)) for i in range(1000)]
            thread = threading.Thread(target=lambda sent=items: try_sending(server, sent))
            thread.start()
            thread.join(0.03 * turn)
            server.kill()
            thread.join()
            server.start()
            assert len({item["spec"]["replicas"] for item in listed(server).values()}) <= 1
            assert len(listed(server)) in (0, 1000)
            assert done(send(server, *items))["counts"]["deleted"] == 0
            assert {item["spec"]["replicas"] for item in listed(server).values()} == {turn + 1}
        assert_whole(server, embedded_store.oci())


def try_sending(server, items):
    try:
        send(server, *items)
    except OSError:
        pass  # it is dead: what became of the change is what the test asks


BIG = {f"{i:02}-{'k' * 60}": "v" * 63 for i in range(64)}


@pytest.mark.skipif(keeps_freed_memory(), reason="says nothing about memory")
def test_long_answers_that_nobody_reads_keep_the_memory_bounded(server):
    """What is more than it may hold is told to come again, a real change never."""
    for first in range(0, 3000, 1000):
        done(send(server, *(put(intent(f"r-{i}", BIG)) for i in range(first, first + 1000))))
    body = json.dumps({"changes": [gone(f"r-{i}") for i in range(3000)]})
    connections = [server.connect() for _ in range(20)]
    for connection in connections:
        connection.request("POST", f"{CHANGES}?dryRun=true", body, {"Content-Type": "application/json"})
    statuses = [connection.getresponse().status for connection in connections]
    assert set(statuses) == {200, 503}
    assert memory_kib(server, "VmHWM") < 512 * 1024
    assert done(server.post(CHANGES, body))["counts"]["deleted"] == 3000
    for connection in connections:
        connection.close()
    answer = wait_until(lambda: next((found for found in (send(server, put(intent("web")), query="?dryRun=true"),)
                                      if found.status == 200), None), "the answers to be gone")
    assert done(answer)["counts"]["created"] == 1


def test_large_bodies_of_many_keep_the_memory_bounded(server):
    """What does not fit is told to come again, and what fits is judged."""
    body = b'{"changes":[' + b" " * (15 * 1024 * 1024) + b"]}"
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(server.post(CHANGES, body))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} <= {400, 429}
    if not keeps_freed_memory():
        assert memory_kib(server, "VmHWM") < 256 * 1024
    assert send(server, put(intent("web"))).status == 200
