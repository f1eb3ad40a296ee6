# SPDX-License-Identifier: Apache-2.0
import pytest

from tests.conftest import tools_or_skip
from tests.system.stores import DistributionStore, EmbeddedStore


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
