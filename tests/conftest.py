# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all suites. Run with /usr/bin/python3 -m pytest tests/..., from anywhere."""
import os
from contextlib import contextmanager

import pytest

from tests.lib.controlplane import ControlPlane
from tests.lib.distribution import Distribution
from tests.lib.gsq import Gsq, forget_variables
from tests.lib.tools import MissingTool


forget_variables()


@contextmanager
def tools_or_skip():
    """A machine without Go skips what needs the real parts, by name; CI must not."""
    try:
        yield
    except MissingTool as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))


@pytest.fixture
def gsq(tmp_path):
    """A ready server with the embedded registry, empty."""
    with Gsq(tmp_path / "gsq") as server:
        yield server


@pytest.fixture
def distribution(tmp_path):
    """An empty distribution registry without authentication."""
    registry = Distribution(tmp_path / "distribution")
    with tools_or_skip():
        registry.start()
    yield registry
    registry.stop()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory):
    """Kubernetes and Flux; connect_flux() is the test's to call."""
    cluster = ControlPlane(tmp_path_factory.mktemp("cluster"))
    with tools_or_skip():
        cluster.start()
    yield cluster
    cluster.stop()
