# SPDX-License-Identifier: Apache-2.0
"""`gsq registry backup`, taken from a running server or a folder that nobody has, and a server on what is restored."""
import hashlib
import subprocess
import tarfile
import threading

import pytest

from tests.lib.disk import Ballast, small_disk
from tests.lib.gsq import Gsq
from tests.lib.oci import sha256
from tests.lib.registry import (BLOB_IN_ROW, MIB, Client, assert_verifies, blob_file, keeps_freed_memory, memory_kib,
                                upkeep)
from tests.system.resources import declare, listed
from tests.system.stores import altered

BIG = bytes(range(256)) * (BLOB_IN_ROW // 256 + 1)


@pytest.fixture
def server(tmp_path):
    with Gsq(tmp_path / "gsq") as server:
        yield server


def back_up(server, path):
    """Returns nothing: it must succeed, and say how large the file is."""
    done = upkeep("backup", server, path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"backed up: {path.stat().st_size} bytes\n"


def restored(path, folder):
    """A server on what is in the backup, not started."""
    data = folder / "data"
    data.mkdir(parents=True)
    subprocess.run(["tar", "-xf", path, "-C", data], check=True)
    return Gsq(folder, init=False)


def snapshot(server, names):
    client = Client(server.registry_host)
    answers = (client("GET", f"{repository}/manifests/{tag}") for repository, tag in names)
    return [(answer.status, answer.headers["Docker-Content-Digest"], answer.body) for answer in answers]


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_a_restored_server_has_everything(server, tmp_path, running):
    names = [("team/app", "v1"), ("team/app", "big"), ("gitops-squared/commits", "latest")]
    client = Client(server.registry_host)
    client.push("team/app", "v1")
    big = client.push("team/app", "big", BIG)
    declare(server, "web")
    before, resources = snapshot(server, names), listed(server)
    if not running:
        server.stop()
    back_up(server, tmp_path / "b.tar")

    with restored(tmp_path / "b.tar", tmp_path / "second") as second:
        assert_verifies(second)
        assert snapshot(second, names) == before
        assert listed(second) == resources
        client = Client(second.registry_host)
        client.assert_whole("team/app", "big", big)
        declare(second, "app-db")
        client.push("team/app", "v2", b"after")
    assert_verifies(second)


def test_other_programs_read_it(server, tmp_path):
    Client(server.registry_host).push("team/app", "big", BIG)
    back_up(server, tmp_path / "b.tar")
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    with tarfile.open(tmp_path / "b.tar", "r:") as tar:
        names = tar.getnames()
        assert names[0] == "registry.db"
        [name] = [name for name in names if name.count("/") == 3]
        content = tar.extractfile(name).read()
    assert content == BIG and name.endswith(hashlib.sha256(BIG).hexdigest())
    listing = subprocess.run(["tar", "-tf", tmp_path / "b.tar"], capture_output=True, text=True, check=True)
    assert [line.rstrip("/") for line in listing.stdout.splitlines()] == names
    assert listing.stderr == ""


@pytest.mark.concurrent
def test_what_was_acknowledged_before_is_in_it(server, tmp_path):
    stop, pushed = threading.Event(), [0] * 4

    def push(number):
        client = Client(server.registry_host, kept=True)
        for i in range(10**6):
            if stop.is_set():
                return
            layer = b"%d of %d" % (i, number)
            client.push(f"busy/{number}", f"v{i}", layer if i % 4 else layer + BIG)
            pushed[number] = i + 1

    threads = [threading.Thread(target=push, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for attempt in range(3):
            before = list(pushed)
            back_up(server, tmp_path / "b.tar")
            with restored(tmp_path / "b.tar", tmp_path / f"restored-{attempt}") as second:
                assert_verifies(second)
                client = Client(second.registry_host)
                for number, count in enumerate(before):
                    for i in range(count):
                        assert client("GET", f"busy/{number}/manifests/v{i}").status == 200, (number, i)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_large_one_takes_no_more_memory(server, tmp_path):
    client = Client(server.registry_host)
    for i in range(12):
        client.push_blob("team/app", b"%d" % i + bytes(16 * MIB))
    before = memory_kib(server)
    back_up(server, tmp_path / "b.tar")
    assert (tmp_path / "b.tar").stat().st_size > 12 * 16 * MIB
    if not keeps_freed_memory():
        assert memory_kib(server, "VmHWM") < max(before, 16 * 1024) + 64 * 1024


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_everything_but_a_damaged_blob_is_in_it(server, tmp_path, running):
    path, other = tmp_path / "b.tar", BIG + b"other"
    client = Client(server.registry_host)
    client.push("team/app", "big", BIG)
    whole = client.push("team/app", "other", other)
    blob_file(server, sha256(BIG)).write_bytes(altered(BIG))
    if not running:
        server.stop()
    done = upkeep("backup", server, path)
    assert done.returncode == 1
    assert sha256(BIG) in done.stdout and "damaged" in done.stdout
    assert f"backed up: {path.stat().st_size} bytes\n" in done.stdout
    assert f"{path} holds everything but the damaged blobs" in done.stderr
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["b.tar", "gsq"]

    with restored(path, tmp_path / "second") as second:
        client = Client(second.registry_host)
        client.assert_whole("team/app", "other", whole)
        assert client("GET", f"team/app/blobs/{sha256(BIG)}").status == 500
        client.push_blob("team/app", BIG)
        assert_verifies(second)


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_the_data_folder_is_no_place_for_it(server, running):
    declare(server, "web")
    if not running:
        server.stop()
    data = server.folder / "data"
    for path in (data / "registry.db", data / "uploads" / "b.tar"):
        done = upkeep("backup", server, path)
        assert done.returncode == 1 and "data folder" in done.stderr, done
    server.stop()
    server.start()
    assert list(listed(server)) == ["web"]
    assert_verifies(server)


def test_a_full_disk_fails_it_and_the_older_file_stays(server, tmp_path):
    client = Client(server.registry_host)
    client.push("team/app", "big", bytes(4 * MIB))
    with small_disk(tmp_path / "small", "2m") as disk:
        path = disk / "b.tar"
        path.write_bytes(b"older")
        done = upkeep("backup", server, path)
        assert done.returncode != 0
        assert "No space left on device" in done.stderr
        assert path.read_bytes() == b"older"
        assert [entry.name for entry in disk.iterdir()] == ["b.tar"]
    assert list((server.folder / "data" / "uploads").iterdir()) == []
    client.push("team/app", "v2")
    back_up(server, tmp_path / "b.tar")


def test_it_needs_no_room_in_the_data_folder(tmp_path):
    (tmp_path / "gsq").mkdir()
    with small_disk(tmp_path / "gsq" / "data", "64m") as data, Gsq(tmp_path / "gsq") as server:
        client = Client(server.registry_host)
        for i in range(64):
            client.push_blob("team/app", b"%d" % i + bytes(BLOB_IN_ROW - 10))
        client.push("team/app", "v1")
        ballast = Ballast(data)
        ballast.fill()
        back_up(server, tmp_path / "b.tar")
        ballast.remove()
        client.push("team/app", "v2")
        assert_verifies(server)
    with restored(tmp_path / "b.tar", tmp_path / "second") as second:
        assert_verifies(second)


def test_a_disk_too_small_for_the_database_fails_it(server, tmp_path):
    client = Client(server.registry_host)
    for i in range(64):
        client.push_blob("team/app", b"%d" % i + bytes(BLOB_IN_ROW - 10))
    with small_disk(tmp_path / "small", "1m") as disk:
        done = upkeep("backup", server, disk / "b.tar")
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert not list(disk.iterdir())
    client.push("team/app", "v1")
    assert_verifies(server)
