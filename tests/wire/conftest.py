# SPDX-License-Identifier: Apache-2.0
import pytest

from tests.wire.client import Server


@pytest.fixture
def start():
    """Starts servers with options, and stops them after the test."""
    servers = []

    def start_one(**options):
        servers.append(Server(**options))
        return servers[-1]

    yield start_one
    for one in servers:
        one.stop()


@pytest.fixture(scope="module")
def server():
    """A server with the ordinary limits, for all tests of a module."""
    one = Server()
    yield one
    one.stop()


@pytest.fixture
def connection(server):
    with server.connect() as one:
        yield one
