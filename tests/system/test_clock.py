# SPDX-License-Identifier: Apache-2.0
"""A clock that steps back: new versions still sort after old ones, and none is overwritten."""
import os
import time
from pathlib import Path

import pytest

from tests.lib.gsq import binary
from tests.system.resources import assert_whole, declare, listed, remove

WEB = "gitops-squared/resources/default/web"
HOUR_S = 3600


class Clock:
    """The clock of a server under libfaketime, which reads it from a file."""

    def __init__(self, folder):
        self._file = folder / "clock"
        self.set(0)
        [library] = [*Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")] or [None]
        self.library = library

    def set(self, offset_s):
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+}")
        new.rename(self._file)

    def env(self):
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # Read the file again each time; timers and waits keep the real clock.
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }


@pytest.fixture
def clock(tmp_path):
    program = Path(binary()).read_bytes()
    if b"__asan_init" in program or b"__tsan_init" in program:
        pytest.skip("a sanitizer and libfaketime cannot both be in a program: they hang each other")
    clock = Clock(tmp_path)
    if clock.library is None:
        assert os.environ.get("CI") != "true", "the package faketime is missing"
        pytest.skip("the package faketime is missing")
    return clock


def number(version):
    return int(version[1:])


def seconds_ago(version):
    return time.time() - number(version) / 1e6


def assert_all_there(store, versions):
    """In the order in which they were issued, each with an artifact of its own."""
    assert [number(version) for version in versions] == sorted({number(version) for version in versions})
    assert set(store.oci().tags(WEB)) == {"latest", *versions}
    digests = {store.oci().digest(WEB, version) for version in versions}
    assert len(digests) == len(versions)


def test_the_clock_steps_back_an_hour_while_the_server_runs(store, clock):
    with store.server(env=clock.env()) as server:
        versions = [declare(server, "web", region="before")["version"]]
        digest = store.oci().digest(WEB, versions[0])
        clock.set(-HOUR_S)
        versions += [declare(server, "web", replicas=1 + i)["version"] for i in range(5)]
        versions += [remove(server, "web")["version"], declare(server, "web")["version"]]
        assert_all_there(store, versions)
        assert store.oci().digest(WEB, versions[0]) == digest
        # They go on from the highest: the clock says an hour less.
        assert number(versions[-1]) - number(versions[0]) < 60 * 1_000_000
        clock.set(0)
        versions += [declare(server, "web", region="after")["version"]]
        assert_all_there(store, versions)
        assert_whole(server, store.oci())


def test_the_server_starts_again_with_the_clock_an_hour_back(store, clock):
    server = store.server(env=clock.env()).start()
    versions = [declare(server, "web", replicas=1 + i)["version"] for i in range(3)]
    clock.set(-HOUR_S)
    for _ in range(2):
        before = listed(server)
        server.restart()
        assert listed(server) == before
        versions += [declare(server, "web", region=f"restart {len(versions)}")["version"]]
        versions += [declare(server, "web", size="large")["version"]]
    assert_all_there(store, versions)
    assert_whole(server, store.oci())


def test_the_faked_clock_is_the_one_that_versions_come_from(embedded_store, clock):
    """Else the tests above would prove nothing."""
    clock.set(-HOUR_S)
    with embedded_store.server(env=clock.env()) as server:
        assert seconds_ago(declare(server, "web")["version"]) > HOUR_S / 2
        clock.set(0)
        assert seconds_ago(declare(server, "web", size="large")["version"]) < HOUR_S / 2
