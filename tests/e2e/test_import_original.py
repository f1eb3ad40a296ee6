# SPDX-License-Identifier: Apache-2.0
"""gsq import-original under a Flux that follows the original's catalog: objects are updated, none is made anew."""
import subprocess

import pytest

from tests.e2e.chain import Chain
from tests.lib.distribution import Distribution
from tests.lib.gsq import binary
from tests.lib.original import Original
from tests.lib.wait import wait_until


@pytest.fixture
def chain(control_plane, tmp_path):
    with Distribution(tmp_path / "registry") as registry:
        chain = Chain(control_plane, tmp_path / "chain", registry=registry.host)
        chain.server._init = False  # the import makes the first record
        yield chain
        chain.clear()


def test_objects_that_the_original_declared_are_taken_over_and_stay(chain):
    original = Original(chain.server.registry_host)
    for i in range(4):
        original.put(f"web-{i}", type="vm", size="small")
        original.now += 1
    original.put("gone", type="vm", size="small")
    original.delete("gone")
    chain.cluster.connect_flux(chain.server.registry_host, "5s")
    expected = {("default", f"web-{i}") for i in range(4)}
    wait_until(lambda: set(chain.objects()) == expected, lambda: f"{chain.objects().keys()}", deadline_s=60)
    uids = chain.uids()
    done = subprocess.run([binary(), "import-original", f"http://{chain.server.registry_host}"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    chain.server.start()
    chain.wait_writable()
    wait_until(lambda: set(chain.versions()) == expected and chain.resource("web-0")["version"] ==
               chain.versions()[("default", "web-0")], lambda: str(chain.versions()), deadline_s=60)
    assert chain.uids() == uids
    version = chain.declare("web-1", size="large")
    chain.wait_object("web-1", version)
    assert chain.uids() == uids
