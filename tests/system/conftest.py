# SPDX-License-Identifier: Apache-2.0
import pytest

from tests.conftest import tools_or_skip
from tests.lib.gsq import Gsq
from tests.lib.wait import wait_until
from tests.system.stores import DistributionStore, EmbeddedStore
from tests.system.stub_kube import StubKube


def pytest_configure(config):
    config.addinivalue_line("markers", "concurrent: many threads of the server at work, for ThreadSanitizer")


@pytest.fixture
def embedded_store(tmp_path):
    with EmbeddedStore(tmp_path) as store:
        yield store


@pytest.fixture
def distribution_store(tmp_path):
    store = DistributionStore(tmp_path)
    with tools_or_skip():
        store.start()
    with store:
        yield store


@pytest.fixture(params=["embedded", "distribution"])
def store(request):
    """Each of the two registries that the server may keep everything in."""
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture
def kube(tmp_path):
    """A cluster that gets what a test shows it."""
    with StubKube(tmp_path) as kube:
        yield kube


@pytest.fixture
def watching(tmp_path, kube):
    """A server that hears from it, and takes changes."""
    with Gsq(tmp_path / "watching", kubeconfig=kube.kubeconfig) as server:
        wait_until(lambda: server.metric("gsq_cluster_watch_up") == 1, "the cluster to be heard")
        wait_until(lambda: server.get("/readyz").json == {"status": "ok"}, "changes to be taken")
        yield server
