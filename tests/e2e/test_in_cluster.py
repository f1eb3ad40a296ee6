# SPDX-License-Identifier: Apache-2.0
"""gsq serve --in-cluster: with the service account of deploy/api, where a pod has it."""
import pytest

from tests.e2e.chain import chain
from tests.lib.pod import Pod
from tests.lib.proxy import Proxy
from tests.lib.wait import wait_until


class InPod:
    """A chain whose server is in a pod, and reaches the cluster through a proxy."""

    def __init__(self, made, pod, proxy):
        self.made, self.pod, self.proxy = made, pod, proxy


@pytest.fixture(scope="module")
def inside(control_plane, tmp_path_factory):
    folder = tmp_path_factory.mktemp("in-cluster")
    control_plane.install_account()
    with Proxy(int(control_plane.url.rpartition(":")[2])) as proxy:
        pod = Pod(folder / "account", control_plane.authority, proxy.port, control_plane.account_token())
        with chain(control_plane, folder, pod=pod) as made:
            yield InPod(made, pod, proxy)


def test_a_pod_wakes_flux_and_sees_what_becomes_of_a_change(inside):
    version = inside.made.declare_applied("web")
    assert inside.made.versions()["default", "web"] == version
    inside.made.remove("web", query="?wait=applied&timeout=120s")
    assert ("default", "web") not in inside.made.objects()


def test_a_token_that_is_replaced_is_the_one_that_counts(inside):
    made = inside.made
    first = made.declare_applied("lasting")
    inside.pod.replace_token("of-somebody-who-is-not-known")
    inside.proxy.cut()
    status = made.wait_phase("unknown", "lasting")
    assert status["reason"] == "ClusterUnreachable", status
    inside.pod.replace_token(made.cluster.account_token())
    made.wait_phase("applied", "lasting", version=first)
    made.declare_applied("lasting", replicas=2)


def test_a_restart_takes_the_token_that_is_there_now(inside):
    inside.pod.replace_token(inside.made.cluster.account_token())
    inside.made.server.restart()
    inside.made.wait_writable()
    inside.made.declare_applied("restarted")
    wait_until(lambda: "\ngsq_cluster_watch_up 1\n" in inside.made.server.metrics(), "the watch to be up")
