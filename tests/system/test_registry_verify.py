# SPDX-License-Identifier: Apache-2.0
"""`gsq registry verify`, on a folder that nobody has and through its running server: it names what is damaged."""
import os
import sqlite3
import threading

import pytest

from tests.lib.gsq import Gsq
from tests.lib.oci import sha256
from tests.lib.registry import BLOB_IN_ROW, Client, assert_verifies, blob_file, upkeep
from tests.system.resources import declare
from tests.system.stores import altered

BIG = bytes(range(256)) * (BLOB_IN_ROW // 256 + 1)


@pytest.fixture
def server(tmp_path):
    with Gsq(tmp_path / "gsq") as server:
        yield server


@pytest.fixture(params=["running", "stopped"])
def filled(request, server):
    """A server with an artifact in a row, one in a file, and intent; running or not."""
    client = Client(server.registry_host)
    client.push("team/app", "v1")
    client.push("team/app", "big", BIG)
    declare(server, "web")
    if request.param == "stopped":
        server.stop()
    return server


def problems(server):
    """The report must fail, and end with its totals. Returns its lines of problems."""
    done = upkeep("verify", server)
    assert done.returncode != 0, done.stdout
    assert "problems found" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == f"problems: {len(lines) - 2}", done.stdout
    assert lines[-2].startswith("verified: ")
    return lines[:-2]


def sql(server, statement, *arguments):
    with sqlite3.connect(server.folder / "data" / "registry.db") as database:
        database.execute(statement, arguments)
    database.close()


def test_what_was_pushed_is_clean(filled):
    done = upkeep("verify", filled)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "problems: 0"


def test_a_flipped_byte_in_a_row_is_named(filled):
    sql(filled, "UPDATE blob SET data = ? WHERE data = ?", b"lAyer", b"layer")
    assert problems(filled) == [f"blob {sha256(b'layer')}: its bytes do not match the digest"]


def test_a_flipped_byte_in_a_file_is_named(filled):
    path = blob_file(filled, sha256(BIG))
    path.write_bytes(altered(BIG))
    [line] = problems(filled)
    assert line.startswith(f"blob {sha256(BIG)}: the file blobs/sha256/") and "damaged" in line


def test_a_missing_file_is_named(filled):
    blob_file(filled, sha256(BIG)).unlink()
    [line] = problems(filled)
    assert line.startswith(f"blob {sha256(BIG)}: the file blobs/sha256/") and line.endswith("is missing")


def test_an_image_without_one_of_its_blobs_is_named_as_clients_may_push_it_so(filled):
    sql(filled, "DELETE FROM repository_blob WHERE blob = (SELECT id FROM blob WHERE data = ?)", b"layer")
    done = upkeep("verify", filled)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("incomplete: manifest sha256:")
    assert lines[0].endswith(f" in team/app names the blob {sha256(b'layer')}, which is not there")
    assert lines[-2:] == ["incomplete manifests, which lack blobs: 1", "problems: 0"]


def test_a_name_that_is_not_utf8_is_reported(filled):
    (blob_file(filled, sha256(BIG)).parents[2] / os.fsdecode(b"caf\xe9")).touch()
    assert problems(filled) == ["blobs/caf? is no folder of blobs"]


def test_a_file_that_nothing_names_is_no_problem(filled):
    orphan = blob_file(filled, sha256(b"orphan"))
    orphan.write_bytes(b"orphan")
    done = upkeep("verify", filled)
    assert done.returncode == 0, done.stdout
    assert "stray files, which gc removes: 1" in done.stdout


@pytest.mark.concurrent
def test_pushes_meanwhile_are_no_problem(server):
    stop = threading.Event()

    def push(number):
        client = Client(server.registry_host, kept=True)
        for i in range(10**6):
            if stop.is_set():
                return
            layer = b"%d of %d" % (i, number)
            client.push(f"busy/{number}", f"v{i}", layer if i % 4 else layer + BIG)

    threads = [threading.Thread(target=push, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            assert_verifies(server)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert_verifies(server)
