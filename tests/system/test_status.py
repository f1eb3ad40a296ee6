# SPDX-License-Identifier: Apache-2.0
"""What the API says of a resource's way into the cluster where none is watched, and the calls about writing at all."""
import pytest

from tests.lib.gsq import Gsq
from tests.system.resources import assert_503, declare, in_list, intent, path, remove, without_status

NAMESPACES = ["default", "team-a"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gsq(tmp_path_factory.mktemp("gsq"), namespaces=NAMESPACES) as server:
        yield server


# ---- status ----

def test_without_a_cluster_every_phase_is_unknown_and_says_why(server):
    resource = declare(server, "web")
    status = server.get(path(name="web")).json["status"]
    assert status["phase"] == "unknown"
    assert status["reason"] == "NoCluster"
    assert "No cluster is watched" in status["message"]
    assert set(status) == {"phase", "reason", "message", "since"}
    assert server.get(path()).json["resources"] == [in_list(resource)]
    remove(server, "web")


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_the_status_alone_is_that_of_the_resource(server, namespace):
    declare(server, "alone", namespace)
    answer = server.get(path(namespace, "alone") + "/status")
    assert (answer.status, answer.json) == (200, server.get(path(namespace, "alone")).json["status"])
    head = server.request("HEAD", path(namespace, "alone") + "/status")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", answer.headers["Content-Length"])


def test_what_is_not_there_has_no_status(server):
    declare(server, "going")
    remove(server, "going")
    for name in ("going", "never", "Bad_Name"):
        answer = server.get(path(name=name) + "/status")
        assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_calls_about_one_resource_take_no_parameters(server):
    declare(server, "plain")
    for where in (path(name="plain"), path(name="never"), path("team-a", "plain"), path(name="plain") + "/status",
                  "/api/v1/layout"):
        answer = server.get(f"{where}?phase=applied")
        assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "invalid", "phase"), where
    assert server.get("/healthz?verbose").status == server.get("/metrics?x=1").status == 200
    remove(server, "plain")


# ---- PUT ----

def test_a_put_creates_and_updates_what_its_path_names(server):
    answer = server.put(path("team-a", "put"), {"spec": {"type": "vm", "size": "small"}})
    assert answer.status == 201
    assert answer.headers["Location"] == path("team-a", "put")
    assert without_status(server.get(path("team-a", "put")).json) == answer.json
    again = server.put(path("team-a", "put"), intent("put"))
    assert (again.status, again.json) == (200, answer.json)
    changed = server.put(path("team-a", "put"), intent("put", size="large"))
    assert (changed.status, changed.json["spec"]["size"]) == (200, "large")
    assert changed.json["version"] > answer.json["version"]


@pytest.mark.parametrize("body, field", [
    (intent("other"), "name"), (intent(None), "name"), ({"labels": {}}, "spec"), ([], None)])
def test_a_put_of_something_else_is_refused(server, body, field):
    answer = server.put(path(name="refused"), body)
    assert (answer.status, answer.json["code"], answer.json.get("field")) == (400, "invalid", field)
    assert server.get(path(name="refused")).status == 404


def test_a_put_is_judged_like_a_post(server):
    where = path("elsewhere", "web")
    assert server.put(where, intent("web")).status == 422
    assert server.put(path(name="web"), "x", headers={"Content-Type": "text/plain"}).status == 415
    assert server.put(path(name="Web"), intent("Web")).status == 404


# ---- the layout ----

@pytest.mark.parametrize("layout, catalogs, args", [
    ("single", 1, ()), ("split", 3, ("--layout", "split", "--catalogs", "3"))])
def test_the_layout_is_told(tmp_path, layout, catalogs, args):
    with Gsq(tmp_path / "gsq", args=args) as server:
        answer = server.get("/api/v1/layout")
        assert (answer.status, answer.json) == (
            200, {"layout": layout, "catalogs": catalogs, "repartition": {"step": "none"}})


@pytest.mark.parametrize("body, field", [
    ({"layout": "both"}, "layout"), ({}, "layout"), ({"layout": 1}, "layout"),
    ({"layout": "split", "catalogs": 0}, "catalogs"), ({"layout": "split", "catalogs": "2"}, "catalogs"),
    ({"layout": "split", "catalogs": 2501}, "catalogs"), ({"layout": "split", "catalogs": 1.0}, "catalogs"),
    ({"layout": "single", "catalogs": 2}, "catalogs"), ({"layout": "split", "parts": 2}, "parts")])
def test_a_layout_that_is_none_is_refused(server, body, field):
    answer = server.put("/api/v1/layout", body)
    assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "invalid", field)


def test_a_put_of_the_layout_takes_no_parameters(server):
    answer = server.put("/api/v1/layout?dryRun=true", {"layout": "split"})
    assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "invalid", "dryRun")


def test_without_a_cluster_the_layout_stays(server):
    answer = server.put("/api/v1/layout", {"layout": "split", "catalogs": 4})
    assert (answer.status, answer.json["code"]) == (422, "unprocessable")
    assert "cluster" in answer.json["error"]
    assert server.get("/api/v1/layout").json["layout"] == "single"


def test_the_layout_is_json_too(server):
    assert server.put("/api/v1/layout", "{}", headers={"Content-Type": "text/plain"}).status == 415


# ---- who may write ----

def test_on_hold_reads_are_served_and_nothing_is_pushed(embedded_store):
    server = embedded_store.server(args=())
    with server:
        resource = declare(server, "here")
    before = embedded_store.snapshot()
    server.args = ("--hold",)
    with server:
        ready = server.get("/readyz")
        assert (ready.status, ready.json["status"]) == (200, "ok")
        assert "hold" in ready.json["writes"]
        assert server.get(path()).json["resources"] == [in_list(resource)]
        for answer in (server.post(path(), intent("new")), server.put(path(name="here"), intent("here", size="large")),
                       server.delete(path(name="here")), server.post(path() + "?wait=applied", intent("new"))):
            assert_503(answer)
            assert answer.json["error"] == ready.json["writes"]
    assert embedded_store.snapshot() == before
    server.args = ()
    with server:
        assert server.get("/readyz").json == {"status": "ok"}
        assert declare(server, "new")["name"] == "new"


def test_a_protected_resource_is_deleted_only_once_that_is_taken_off(server):
    declare(server, "kept", labels={"gitops-squared.io/protect": "true"})
    answer = server.delete(path(name="kept"))
    assert (answer.status, answer.json["code"]) == (409, "conflict")
    assert "gitops-squared.io/protect" in answer.json["error"]
    assert server.get(path(name="kept")).status == 200
    declare(server, "kept")
    remove(server, "kept")
