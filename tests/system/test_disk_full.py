# SPDX-License-Identifier: Apache-2.0
"""A full disk under the embedded registry: an error, nothing half-written, and on it goes when there is room."""
import os
import subprocess

import pytest

from tests.lib.gsq import Gsq
from tests.lib.oci import Oci, OciError
from tests.system.resources import assert_whole, declare, intent, listed, path

DISK = "24m"


@pytest.fixture
def disk(tmp_path):
    """A small file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder], capture_output=True, text=True)
    if mount.returncode != 0:
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            pytest.fail(mount.stderr)
        pytest.skip(f"mounting is not permitted here: {mount.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def server(tmp_path, disk):
    with Gsq(tmp_path / "gsq", args=("--data-dir", disk / "data")) as server:
        yield server


def fill(disk):
    """Takes all room that is left; returns the file that does."""
    ballast = disk / "ballast"
    with open(ballast, "ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                pass
    return ballast


def assert_no_room(answer):
    assert answer.status in (503, 507), (answer.status, answer.body)
    assert answer.json["error"] and int(answer.headers["Retry-After"]) >= 1


def test_a_full_disk_refuses_writes_and_recovers(server, disk):
    oci = Oci(server.registry_host)
    declare(server, "web")
    declare(server, "app-db", region="r" * 200)
    before = listed(server)
    for _ in range(3):
        ballast = fill(disk)
        refusals = refused_writes(server, before)
        assert 507 in refusals
        assert listed(server) == before
        assert server.get("/healthz").status == 200
        assert_whole(server, oci)
        ballast.unlink()
        # The same request succeeds.
        declare(server, "web", size="large", region="once there is room")
        declare(server, "web")
        before = listed(server)
    server.restart()
    assert listed(server) == before
    assert_whole(server, oci)


def refused_writes(server, before):
    """Writes until three in a row have found no room: what the log has left is used up first."""
    statuses = []
    for i in range(20000):
        answer = server.post(path(), intent("web", size="large", region=f"{i} {'x' * 200}"))
        if answer.status == 200:
            # There was a page left; that write counts.
            before["web"] = answer.json
            statuses.clear()
            continue
        assert_no_room(answer)
        statuses.append(answer.status)
        if len(statuses) == 3:
            assert_no_room(server.post(path(), intent("new")))
            assert_no_room(server.delete(path(name="app-db")))
            return statuses
    raise AssertionError("the disk never filled up")


def test_a_crash_on_a_full_disk_loses_nothing(server, disk):
    declare(server, "app-db")
    declare(server, "web")
    before = listed(server)
    ballast = fill(disk)
    refused_writes(server, before)
    server.kill()
    server.start(wait="/healthz")
    ballast.unlink()
    server.process.wait_for_url(f"http://127.0.0.1:{server.port}/readyz")
    assert listed(server) == before
    declare(server, "web", size="medium")
    assert_whole(server, Oci(server.registry_host))


def test_a_push_that_finds_no_room_leaves_nothing(server, disk):
    """Blobs of others in the same folder: too large for the room that is left, then not."""
    oci = Oci(server.registry_host)
    declare(server, "web")
    blob = os.urandom(40 << 20)
    with pytest.raises(OciError) as refused:
        oci.push_blob("acme/image", blob)
    assert refused.value.status in (503, 507)
    declare(server, "web", size="large")
    small = os.urandom(4 << 20)
    oci.push_artifact("acme/image", "v1", small)
    assert oci.layer("acme/image", "v1") == small
    assert_whole(server, oci)
