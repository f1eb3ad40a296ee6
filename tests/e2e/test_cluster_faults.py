# SPDX-License-Identifier: Apache-2.0
"""The cluster fails in every way: the API server restarts, watches are cut, tokens expire, Flux is stopped. Writes go on
all the while, and what was missed is known when the cluster is back."""
import json

import pytest

from tests.e2e.chain import chain
from tests.lib.controlplane import TOKEN
from tests.lib.gsq import Gsq, resource_path
from tests.lib.kube import Kube, KubeError
from tests.lib.process import free_port
from tests.lib.proxy import Proxy
from tests.lib.stream import EventStream
from tests.lib.wait import wait_until

APISERVER = "kube-apiserver"


class Faulty:
    """A chain whose server reaches the cluster through a proxy, with a token from a file."""

    def __init__(self, made, proxy, token_file):
        self.made, self.proxy, self.token_file = made, proxy, token_file


@pytest.fixture(scope="module")
def faulty(control_plane, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    token_file = folder / "token"
    control_plane.install_account()
    token_file.write_text(control_plane.account_token())
    port = int(control_plane.url.rpartition(":")[2])
    with Proxy(port) as proxy, chain(control_plane, folder, user={"tokenFile": str(token_file)},
                                     api=f"https://127.0.0.1:{proxy.port}") as made:
        yield Faulty(made, proxy, token_file)


def watch_is_up(server):
    return server.metric("gsq_cluster_watch_up") == 1


def test_a_watch_that_is_cut_goes_on(faulty):
    made = faulty.made
    for replicas in (1, 2, 3):
        wait_until(lambda: faulty.proxy.cut() > 0, "a connection, to be cut in the middle of things")
        version = made.declare("cut", replicas=replicas)
        made.wait_phase("applied", "cut", version=version)


def test_what_happens_while_nothing_is_heard_is_known_afterwards(faulty):
    made = faulty.made
    first = made.declare_applied("missed")
    made.declare_applied("missed-too")
    # Without Flux, which would put back at once what somebody deletes.
    with made.without("kustomize-controller"):
        faulty.proxy.refuse()
        try:
            made.cluster.kubectl("patch", "pr", "missed", "--subresource=status", "--type=merge",
                                 "-p", json.dumps({"status": {"note": "while you were away"}}))
            made.cluster.kubectl("delete", "pr", "missed-too")
            made.wait_phase("unknown", "missed")
            assert made.phases() and set(made.phases().values()) == {"unknown"}
            assert not watch_is_up(made.server)
            reason = made.server.status("missed")
            assert reason["reason"] == "ClusterUnreachable" and reason["message"], reason
            answer = made.post("meanwhile", query="?wait=applied&timeout=60s")
            assert (answer.status, answer.json["status"]["phase"]) == (202, "unknown"), answer.body
        finally:
            faulty.proxy.accept()
        made.wait_phase("applied", "missed", version=first)
        wait_until(lambda: made.server.status("missed").get("object") == {"note": "while you were away"}, "its status")
        made.wait_phase("pending", "missed-too")
    # What was written meanwhile wakes Flux when that can be reached again.
    made.wait_phase("applied", "meanwhile", version=answer.json["version"])
    made.wait_phase("applied", "missed-too")
    assert watch_is_up(made.server)


def test_a_restart_of_the_api_server_is_passed_over(faulty):
    made = faulty.made
    version = made.declare_applied("restarted")
    with EventStream(made.server) as stream:
        with made.without(APISERVER):
            answer = made.post("restarted", replicas=2)
            assert answer.status == 200, answer.body
            assert made.resource("restarted")["spec"]["replicas"] == 2
        made.wait_phase("applied", "restarted", version=answer.json["version"])
        assert answer.json["version"] != version
        stream.wait_for(lambda event: event.type == "phase" and event.data["name"] == "restarted" and
                        event.data["status"]["phase"] == "applied", "the word to those who watch")


@pytest.mark.parametrize("controller", ["source-controller", "kustomize-controller"])
def test_flux_may_be_stopped_and_started(faulty, controller):
    made = faulty.made
    made.declare_applied("paused", region=controller)
    with made.without(controller):
        version = made.declare("paused", region=f"{controller}-stopped")
        made.declare("paused-too", region=controller)
        assert made.server.status("paused")["phase"] == "pending"
    made.wait_phase("applied", "paused", version=version)
    made.wait_phase("applied", "paused-too")


def test_a_token_that_expires_is_read_again_from_its_file(faulty):
    made = faulty.made
    made.declare_applied("lasting")
    short = made.cluster.account_token(lifetime_s=2)
    good = made.cluster.account_token()
    faulty.token_file.write_text(short)
    faulty.proxy.cut()
    expired = Kube(made.cluster.url, short)

    def is_expired():
        try:
            expired.get("/api/v1/namespaces")
            return False
        except KubeError as error:
            assert error.status == 401
            return True
    wait_until(is_expired, "the token to expire")
    faulty.proxy.cut()
    wait_until(lambda: not watch_is_up(made.server), "the watch to end")
    made.wait_phase("unknown", "lasting")
    faulty.token_file.write_text(f"{good}\n")
    version = made.declare("lasting", replicas=2)
    made.wait_phase("applied", "lasting", version=version)


def test_a_user_who_may_not_see_is_told_what_is_missing(faulty, tmp_path):
    """A token that is good, of somebody without rights."""
    cluster = faulty.made.cluster
    cluster.kubectl("-n", "gitops-squared", "create", "serviceaccount", "nobody")
    token = cluster.kubectl("-n", "gitops-squared", "create", "token", "nobody").strip()
    server = Gsq(tmp_path / "gsq", kubeconfig=cluster.write_kubeconfig(tmp_path / "kubeconfig", {"token": token}))
    with server:
        def answered():
            answer = server.post(resource_path(), {"name": "blind", "spec": {"type": "vm", "size": "small"}})
            assert answer.status == 201, answer.body
            return answer
        wait_until(answered, "writes to be taken, although the cluster cannot be asked")
        status = server.wait_phase("unknown", "blind")
        assert "forbidden" in status["message"], status
    cluster.kubectl("-n", "gitops-squared", "delete", "serviceaccount", "nobody")


def test_without_a_cluster_everything_else_works(tmp_path):
    with Gsq(tmp_path / "gsq") as server:
        answer = server.post(f"{resource_path()}?wait=applied&timeout=60s",
                             {"name": "web", "spec": {"type": "vm", "size": "small"}})
        assert (answer.status, answer.json["status"]["phase"]) == (202, "unknown"), answer.body
        assert server.status("web")["phase"] == "unknown"
        assert server.get(f"{resource_path()}?phase=unknown").json["count"] == 1
        assert server.get(f"{resource_path()}?phase=applied").json["count"] == 0
        with EventStream(server) as stream:
            assert server.delete(resource_path("default", "web")).status == 200
            stream.wait_for(lambda event: event.type == "change" and event.data["op"] == "deleted", "the deletion")


def test_a_cluster_that_does_not_answer_delays_writes_for_a_while_only(tmp_path, control_plane):
    kubeconfig = control_plane.write_kubeconfig(
        tmp_path / "kubeconfig", {"token": TOKEN}, f"https://127.0.0.1:{free_port()}")
    with Gsq(tmp_path / "gsq", kubeconfig=kubeconfig) as server:
        assert server.get(resource_path()).status == 200
        refused = server.post(resource_path(), {"name": "web", "spec": {"type": "vm", "size": "small"}})
        assert refused.status in (201, 503), refused.body

        def accepted():
            answer = server.post(resource_path(), {"name": "web", "spec": {"type": "vm", "size": "small"}})
            assert answer.status in (200, 201), answer.body
            return True
        wait_until(accepted, "writes to be taken")
        assert server.status("web")["phase"] == "unknown"
