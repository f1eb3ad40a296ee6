# SPDX-License-Identifier: Apache-2.0
import pytest

from tests.lib.certificate import self_signed
from tests.wire.client import Server


def pytest_configure(config):
    config.addinivalue_line("markers", "plain: the test is about sockets, so not for TLS")


def pytest_generate_tests(metafunc):
    """Tests of a module that says so are run with each of its TRANSPORTS, others in plain."""
    if "transport" not in metafunc.fixturenames:
        return
    transports = getattr(metafunc.module, "TRANSPORTS", ["plain"])
    if metafunc.definition.get_closest_marker("plain"):
        transports = ["plain"]
    metafunc.parametrize("transport", transports, scope="module", indirect=True)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """The server's options for TLS."""
    file, key = self_signed(tmp_path_factory.mktemp("tls"))
    return {"certificate": file, "key": key}


@pytest.fixture(scope="module")
def transport(request, certificate):
    """The options that every server of the module gets."""
    return certificate if request.param == "tls" else {}


@pytest.fixture
def start(transport):
    """Starts servers with options, and stops them after the test."""
    servers = []

    def start_one(**options):
        servers.append(Server(**transport, **options))
        return servers[-1]

    yield start_one
    for one in servers:
        one.stop()


@pytest.fixture(scope="module")
def server(transport):
    """A server with the ordinary limits, for all tests of a module."""
    one = Server(**transport)
    yield one
    one.stop()


@pytest.fixture
def connection(server):
    with server.connect() as one:
        yield one
