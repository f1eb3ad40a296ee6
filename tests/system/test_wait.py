# SPDX-License-Identifier: Apache-2.0
"""?wait=applied without a cluster, and with one that never gets what was changed."""
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lib.gsq import Gsq
from tests.lib.wait import wait_until
from tests.system.resources import ANNOTATION_VERSION, declare, intent, path, remove
from tests.system.stub_kube import StubKube

NEVER = "wait=applied&timeout=5m"
SOON = "wait=applied&timeout=50ms"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gsq(tmp_path_factory.mktemp("gsq"), namespaces=("default", "team-a")) as server:
        yield server


@pytest.fixture(scope="module")
def kube(tmp_path_factory):
    with StubKube(tmp_path_factory.mktemp("kube")) as kube:
        yield kube


@pytest.fixture
def watching(tmp_path, kube):
    """A server that hears from a cluster, which gets nothing."""
    with Gsq(tmp_path / "gsq", kubeconfig=kube.kubeconfig) as server:
        wait_until(lambda: server.metric("gsq_cluster_watch_up") == 1, "the cluster to be heard")
        wait_until(lambda: server.get("/readyz").json == {"status": "ok"}, "changes to be taken")
        yield server


def waiting(server):
    """How many requests wait for the cluster."""
    return server.metric("gsq_api_waiting_requests")


# ---- without a cluster ----

def test_without_a_cluster_there_is_nothing_to_wait_for(server):
    """Were it waited for, that would take longer than these requests may."""
    created = server.post(f"{path()}?{NEVER}", intent("web"))
    updated = server.put(f"{path(name='web')}?{NEVER}", intent("web", size="large"))
    repeated = server.post(f"{path()}?{NEVER}", intent("web", size="large"))
    for answer in (created, updated, repeated):
        assert answer.status == 202, answer.body
        assert answer.json["status"]["phase"] == "unknown"
        assert answer.json["status"]["reason"] == "NoCluster"
    assert created.headers["Location"] == path(name="web")
    assert repeated.json == updated.json == server.get(path(name="web")).json
    deleted = server.delete(f"{path(name='web')}?{NEVER}")
    assert (deleted.status, deleted.json["deleted"], deleted.json["status"]["phase"]) == (202, True, "unknown")
    assert server.get(path(name="web")).status == 404


def test_without_wait_nothing_is_said_of_the_cluster(server):
    for answer in (declare(server, "plain"), remove(server, "plain")):
        assert "status" not in answer


def test_errors_are_what_they_are_without(server):
    for method, where, body, status in (
            ("POST", path(), {"name": "x"}, 400), ("POST", path("elsewhere"), intent("x"), 422),
            ("PUT", path(name="x"), intent("y"), 400), ("DELETE", path(name="missing"), None, 404)):
        plain, waits = server.request(method, where, body), server.request(method, f"{where}?{NEVER}", body)
        assert (waits.status, waits.json) == (plain.status, plain.json) == (status, plain.json)


BAD = {
    "wait=": "wait",
    "wait=ready": "wait",
    "wait=applied&wait=applied": "wait",
    "timeout=30s": "timeout",
    "wait=applied&timeout=": "timeout",
    "wait=applied&timeout=30": "timeout",
    "wait=applied&timeout=-1s": "timeout",
    "wait=applied&timeout=1.5s": "timeout",
    "wait=applied&timeout=301s": "timeout",
    "wait=applied&timeout=6m": "timeout",
    "wait=applied&timeout=300001ms": "timeout",
    "soon=applied": "soon",
    "confirm=prune": "confirm",
    "Wait=applied": "Wait",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_parameter_is_named_and_nothing_is_changed(server, text):
    declare(server, "stays")
    for method, where, body in (("POST", path(), intent("bad")), ("PUT", path(name="bad"), intent("bad")),
                                ("DELETE", path(name="stays"), None)):
        answer = server.request(method, f"{where}?{text}", body)
        assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "invalid", BAD[text]), answer.body
    assert server.get(path(name="bad")).status == 404
    assert server.get(path(name="stays")).status == 200


@pytest.mark.parametrize("timeout", ["0", "0s", "500ms", "30s", "2m", "300s", "5m"])
def test_timeouts_have_a_unit(server, timeout):
    assert server.post(f"{path()}?wait=applied&timeout={timeout}", intent("timed")).status == 202


# ---- with a cluster that gets nothing ----

def test_what_the_cluster_does_not_get_in_time_is_accepted(watching):
    answer = watching.post(f"{path()}?{SOON}", intent("web"))
    assert (answer.status, answer.json["status"]["phase"]) == (202, "pending")
    assert answer.json["version"] == watching.get(path(name="web")).json["version"]
    repeated = watching.post(f"{path()}?{SOON}", intent("web"))
    assert (repeated.status, repeated.json["version"]) == (202, answer.json["version"])
    assert waiting(watching) == 0


def test_what_flux_may_just_be_applying_is_not_gone(watching):
    declare(watching, "web")
    answer = watching.delete(f"{path(name='web')}?{SOON}")
    assert (answer.status, answer.json["status"]["phase"]) == (202, "deleting")
    assert watching.status("web")["phase"] == "deleting"
    assert watching.get(path(name="web")).status == 404


def in_cluster(answer):
    """The object as Flux applies it."""
    return {"metadata": {"namespace": "default", "name": answer["name"], "resourceVersion": "2",
                         "annotations": {ANNOTATION_VERSION: answer["version"]}}}


def test_of_two_writers_the_first_is_told_that_his_version_is_applied(watching, kube):
    """Though it is not the current one any more, which is pending."""
    first = declare(watching, "web")
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(watching.put, f"{path(name='web')}?{NEVER}", intent("web"))
        wait_until(lambda: waiting(watching) == 1, "the request to wait")
        second = declare(watching, "web", size="large")
        kube.show("ADDED", in_cluster(first))
        answer = waits.result()
    assert (answer.status, answer.json["version"]) == (200, first["version"])
    assert (answer.json["status"]["phase"], answer.json["status"]["version"]) == ("applied", first["version"])
    assert watching.status("web")["phase"] == "pending"
    kube.show("MODIFIED", in_cluster(second))
    watching.wait_phase("applied", "web", version=second["version"])
    assert watching.put(f"{path(name='web')}?{NEVER}", intent("web", size="large")).status == 200


def test_a_deletion_is_answered_when_the_object_is_gone(watching, kube):
    item = in_cluster(declare(watching, "web"))
    kube.show("ADDED", item)
    watching.wait_phase("applied", "web")
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(watching.delete, f"{path(name='web')}?{NEVER}")
        wait_until(lambda: waiting(watching) == 1, "the request to wait")
        kube.show("DELETED", item)
        answer = waits.result()
    assert (answer.status, answer.json["deleted"], answer.json["status"]["phase"]) == (200, True, "applied")


def test_lists_and_status_say_pending(watching):
    declare(watching, "web")
    assert [item["status"] for item in watching.get(f"{path()}?phase=pending").json["resources"]] == [
        {"phase": "pending"}]
    assert watching.get(f"{path()}?phase=unknown").json["count"] == 0
    assert watching.status("web")["phase"] == "pending"


def test_what_is_deleted_meanwhile_is_not_waited_for(watching):
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(watching.post, f"{path()}?{NEVER}", intent("web"))
        wait_until(lambda: waiting(watching) == 1, "the request to wait")
        remove(watching, "web")
        answer = waits.result()
    assert (answer.status, answer.json["status"]["phase"]) == (202, "deleting")


def leave(server, reset):
    """A client that waits for ever, and goes."""
    body = b'{"name":"left","spec":{"type":"vm","size":"small"}}'
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(b"POST %s?%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                           b"Content-Length: %d\r\n\r\n%s" % (path().encode(), NEVER.encode(), len(body), body))
        wait_until(lambda: waiting(server) == 1, "the request to wait")
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.concurrent
@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
def test_a_client_that_leaves_leaves_nothing(watching, reset):
    for _ in range(3):
        leave(watching, reset)
        wait_until(lambda: waiting(watching) == 0, "no requests to wait")
    assert watching.get(path(name="left")).status == 200


@pytest.mark.concurrent
def test_a_stop_answers_those_that_wait(watching):
    with ThreadPoolExecutor(50) as pool:
        waits = [pool.submit(watching.post, f"{path()}?{NEVER}", intent(f"web-{i}")) for i in range(50)]
        wait_until(lambda: waiting(watching) == 50, "the requests to wait")
        watching.stop()
        answers = [request.result() for request in waits]
    assert {answer.status for answer in answers} == {202}
    assert {answer.json["status"]["phase"] for answer in answers} == {"pending"}
