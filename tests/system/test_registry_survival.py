# SPDX-License-Identifier: Apache-2.0
"""What the embedded registry survives: kill -9, full disks, damage, crowds, clients that stop, big blobs."""
import hashlib
import http.client
import json
import os
import random
import select
import shutil
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.lib.disk import Ballast, small_disk
from tests.lib.gsq import Gsq
from tests.lib.oci import EMPTY, artifact, sha256
from tests.lib.process import ProcessDied
from tests.lib.registry import (
    BLOB_IN_ROW, MIB, Client, assert_verifies, blob_file, code, files_of, in_ci, keeps_freed_memory,
    memory_kib, upkeep)
from tests.lib.rounds import rounds
from tests.lib.wait import wait_until


@pytest.fixture
def server(gsq):
    return gsq


@pytest.fixture
def client(server):
    return Client(server.registry_host)


# ---- the folder ----

def test_what_was_pushed_is_there_after_a_restart_and_open_uploads_are_not(server, client):
    manifest = client.push("a", "v1", os.urandom(200_000))
    location = client.start_upload("a")
    client("PATCH", location, os.urandom(200_000))
    server.restart()
    client.assert_whole("a", "v1", manifest)
    answer = client("PATCH", location, b"x")
    assert (answer.status, code(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert not files_of(server, "uploads")


def test_a_second_server_on_the_folder_refuses_to_start(server, client):
    second = Gsq(server.folder)
    with pytest.raises(ProcessDied, match="another process"):
        second.start()
    assert client("GET", "").status == 200


def test_data_of_a_newer_program_is_refused(server):
    server.stop()
    subprocess.run(["sqlite3", server.folder / "data" / "registry.db", "PRAGMA user_version = 99"], check=True)
    with pytest.raises(ProcessDied, match="newer gsq"):
        server.start()


# ---- kill -9 ----

class Pusher(threading.Thread):
    """Pushes artifacts until the server is gone, and remembers what was acknowledged."""

    def __init__(self, host, repository, sizes):
        super().__init__()
        self._client, self.repository, self._sizes = Client(host, kept=True), repository, sizes
        self.blobs, self.manifests, self.surprise = set(), {}, None

    def run(self):
        number = 0
        try:
            while True:
                self._push(number)
                number += 1
        except (OSError, http.client.HTTPException):
            return
        except AssertionError as error:
            self.surprise = error

    def _push(self, number):
        layer = os.urandom(self._sizes[number % len(self._sizes)])
        for content in (EMPTY, layer):
            self.blobs.add(self._client.push_blob(self.repository, content))
        manifest = artifact(layer)
        answer = self._client.push_manifest(self.repository, f"v{number}", manifest)
        assert answer.status == 201, answer
        self.manifests[f"v{number}"] = manifest

    def check(self, client):
        assert self.surprise is None
        for digest in self.blobs:
            assert sha256(client("GET", f"{self.repository}/blobs/{digest}").body) == digest
        for tag, manifest in self.manifests.items():
            client.assert_whole(self.repository, tag, manifest)
            client.assert_whole(self.repository, sha256(manifest), manifest)


@pytest.mark.concurrent
def test_killed_during_pushes_of_small_and_big_blobs_nothing_acknowledged_is_lost(server):
    client, everyone = Client(server.registry_host, kept=True), []
    for number in range(rounds(20, 200)):
        pushers = [Pusher(server.registry_host, f"killed/{name}{number}", sizes) for name, sizes in (
            ("small", [100]), ("big", [MIB]), ("mixed", [10, 300_000, BLOB_IN_ROW, BLOB_IN_ROW + 1]))]
        for pusher in pushers:
            pusher.start()
        wait_until(lambda: all(len(pusher.manifests) >= 2 + number % 4 for pusher in pushers), "pushes", every_s=0.005)
        server.kill()
        for pusher in pushers:
            pusher.join()
        server.start()
        client = Client(server.registry_host, kept=True)
        for pusher in pushers:
            pusher.check(client)
        assert not files_of(server, "uploads")
        everyone += pushers
    for pusher in everyone:
        pusher.check(client)
    assert_verifies(server)

    # What a crash has left of pushes that nobody was told of goes with the next collection.
    assert upkeep("gc", server, "--grace", "0s").returncode == 0
    named = {layer["digest"] for pusher in everyone for manifest in pusher.manifests.values()
             for layer in json.loads(manifest)["layers"] if layer["size"] > BLOB_IN_ROW}
    in_files = {f"sha256:{path.name}" for path in files_of(server, "blobs")}
    # At most the manifest in flight was stored without being acknowledged, one of each pusher.
    assert named <= in_files and len(in_files - named) <= len(everyone)
    for pusher in everyone:
        for tag, manifest in pusher.manifests.items():
            client.assert_whole(pusher.repository, tag, manifest)
    assert_verifies(server)


# ---- a full disk ----

@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", "24m") as path:
        yield path


@pytest.fixture
def on_small_disk(disk):
    with Gsq(disk / "gsq") as server:
        yield server


def big_manifest(size):
    return json.dumps({**json.loads(artifact(b"layer")), "annotations": {"a": os.urandom(size // 2).hex()}}).encode()


def test_a_full_disk_refuses_blobs_and_manifests_with_507_and_loses_nothing(disk, on_small_disk):
    server, ballast = on_small_disk, Ballast(disk)
    client = Client(server.registry_host)
    acknowledged = {"small": client.push("a", "small"), "large": client.push("a", "large", os.urandom(MIB))}
    for number in range(3):
        ballast.fill()
        big = os.urandom(2 * MIB)
        answer = client("POST", f"a/blobs/uploads/?digest={sha256(big)}", big)
        assert (answer.status, code(answer)) == (507, "INSUFFICIENT_STORAGE")
        answer = client("PUT", f"{client.start_upload('a')}?digest={sha256(big)}", big)
        assert (answer.status, code(answer)) == (507, "INSUFFICIENT_STORAGE")
        location = client.start_upload("a")
        assert client("PATCH", location, big).status == 507
        assert client("GET", location).status == 404
        # The write-ahead log has some room of its own.
        statuses = [client.push_manifest("a", f"refused{number}", big_manifest(3 * MIB)).status for _ in range(3)]
        assert statuses[-1] == 507 and set(statuses) <= {201, 507}
        for tag, manifest in acknowledged.items():
            client.assert_whole("a", tag, manifest)
        assert not files_of(server, "uploads")

        ballast.remove()
        acknowledged[f"after{number}"] = client.push("a", f"after{number}", big)
    server.restart()
    for tag, manifest in acknowledged.items():
        client.assert_whole("a", tag, manifest)
    assert_verifies(server)


@pytest.mark.parametrize("size", [1000, 50_000, 200_000], ids=["rows", "long rows", "files"])
def test_wherever_a_push_finds_the_disk_full_it_is_whole_or_refused(disk, on_small_disk, size):
    server, ballast = on_small_disk, Ballast(disk)
    client, acknowledged, statuses = Client(server.registry_host), {}, []

    def push(tag, layer):
        """A client that goes on as long as it is told to."""
        for content in (EMPTY, layer):
            yield client("POST", f"a/blobs/uploads/?digest={sha256(content)}", content)
        yield client.push_manifest("a", tag, artifact(layer))
        acknowledged[tag] = artifact(layer)

    for number, room in enumerate(range(0, 2 * size + 120_000, (2 * size + 120_000) // 24)):
        ballast.leave(room)
        for again in range(3):  # each takes some of the room that was left
            for answer in push(f"v{number}-{again}", os.urandom(size)):
                statuses.append(answer.status)
                if answer.status != 201:
                    assert code(answer) == "INSUFFICIENT_STORAGE"
                    break
        assert not files_of(server, "uploads")
        ballast.remove()
    assert set(statuses) == {201, 507}
    for answer in push("last", os.urandom(size)):
        assert answer.status == 201
    server.kill()
    server.start()
    for tag, manifest in acknowledged.items():
        client.assert_whole("a", tag, manifest)
    assert_verifies(server)


# ---- damage ----

def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def lengthen(path):
    with open(path, "ab") as file:
        file.write(b"x")


def replace(path):
    """As another program does that restores a file: another one under the same name, of the same age."""
    other = path.with_name("other")
    shutil.copy2(path, other)
    flip(other, 5)
    shutil.copystat(path, other)
    other.rename(path)


DAMAGES = {
    "a flipped first byte": lambda path: flip(path, 0),
    "a flipped last byte": lambda path: flip(path, -1),
    "a flipped byte in the middle": lambda path: flip(path, path.stat().st_size // 2),
    "a truncated file": lambda path: os.truncate(path, path.stat().st_size - 1),
    "an empty file": lambda path: os.truncate(path, 0),
    "a longer file": lengthen,
    "a replaced file": replace,
    "a missing file": lambda path: path.unlink(),
}


def assert_damaged(client, path):
    for headers in ({}, {"Range": "bytes=0-0"}, {"Range": "bytes=100-199"}, {"Range": "bytes=-10"}):
        answer = client("GET", path, headers=headers)
        assert answer.status >= 500, (headers, answer.status)
        assert code(answer)
    assert client("HEAD", path).status >= 500


def assert_verify_names(server, digest):
    done = upkeep("verify", server)
    assert done.returncode not in (0, None) and done.returncode > 0, done
    assert digest in done.stdout + done.stderr


@pytest.mark.parametrize("when", ["before the start", "while it runs"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_blob_file_is_an_error_never_wrong_bytes_and_heals_with_a_push(server, client, damage, when):
    content, other = os.urandom(300_000), os.urandom(300_000)
    client.push("a", "v1", content)
    client.push("a", "v2", other)
    path = f"a/blobs/{sha256(content)}"
    assert client("GET", path).body == content
    if when == "before the start":
        server.stop()
    damage(blob_file(server, sha256(content)))
    if when == "before the start":
        server.start()
    assert_damaged(client, path)
    assert_verify_names(server, sha256(content))
    assert client("GET", f"a/blobs/{sha256(other)}").body == other

    client.push_blob("a", content)
    assert client("GET", path).body == content
    assert client("GET", path, headers={"Range": "bytes=100-199"}).body == content[100:200]
    assert_verifies(server)


def flip_in_database(server, content):
    """A bit of the content, wherever the database has it."""
    path = server.folder / "data" / "registry.db"
    data, at = path.read_bytes(), -1
    assert content in data
    while (at := data.find(content, at + 1)) >= 0:
        flip(path, at + len(content) // 2)


def test_a_damaged_blob_row_is_an_error_never_wrong_bytes_and_heals_with_a_push(server, client):
    content = os.urandom(1000)
    client.push("a", "v1", content)
    server.stop()
    flip_in_database(server, content)
    server.start()
    path = f"a/blobs/{sha256(content)}"
    assert_damaged(client, path)
    assert_verify_names(server, sha256(content))

    client.push_blob("a", content)
    assert client("GET", path).body == content
    assert_verifies(server)


def test_a_damaged_manifest_row_is_an_error_never_wrong_bytes_and_heals_with_a_push(server, client):
    manifest = client.push("a", "v1")
    server.stop()
    flip_in_database(server, manifest)
    server.start()
    for reference in ("v1", sha256(manifest)):
        for method in ("GET", "HEAD"):
            assert client(method, f"a/manifests/{reference}").status >= 500
    assert_verify_names(server, sha256(manifest))

    assert client.push_manifest("a", "v1", manifest).status == 201
    client.assert_whole("a", "v1", manifest)
    assert_verifies(server)


def test_a_byte_flipped_anywhere_in_the_database_never_gives_wrong_bytes(server, client):
    """Most places hold no content but SQLite's own structure and keys."""
    acknowledged = [client.push(f"r{number}", "v1", os.urandom(size))
                    for number, size in enumerate((10, 1000, 60_000, 100_000))]
    server.stop()
    path = server.folder / "data" / "registry.db"
    pristine, places, refusals = path.read_bytes(), random.Random(1), 0
    for _ in range(rounds(30, 1000)):
        path.write_bytes(pristine)
        at = places.randrange(len(pristine))
        flip(path, at)
        try:
            server.start(wait="/healthz")
        except ProcessDied:
            # It does not serve what it cannot open. An abort or a fault would be negative.
            assert server.process.wait() > 0, (at, server.process.log_tail())
            refusals += 1
            continue
        for number, manifest in enumerate(acknowledged):
            blobs = [manifest_part["digest"] for manifest_part in json.loads(manifest)["layers"]]
            for route in (f"manifests/{sha256(manifest)}", *(f"blobs/{digest}" for digest in blobs)):
                answer = client("GET", f"r{number}/{route}")
                assert answer.status in (404, 500) or (
                    answer.status == 200 and sha256(answer.body) == route.partition("/")[2]), (at, route, answer.status)
        assert upkeep("verify", server).returncode >= 0
        server.process.stop()
    assert refusals < rounds(30, 1000) // 2


# ---- crowds ----

class Upload:
    """A session on a connection of its own, whose requests are sent in pieces."""

    def __init__(self, host, repository, content):
        self.connection = http.client.HTTPConnection(host, timeout=120)
        self.repository, self.content, self.at, self._left = repository, content, 0, b""

    def start(self):
        self.connection.request("POST", f"/v2/{self.repository}/blobs/uploads/")
        self._expect(202)

    def begin_chunk(self, size):
        """The head and half of the body."""
        body = self.content[self.at:self.at + size]
        self._begin("PATCH", self._location, body, {"Content-Range": f"{self.at}-{self.at + len(body) - 1}"})
        self.at += len(body)

    def begin_last(self):
        separator = "&" if "?" in self._location else "?"
        self._begin("PUT", f"{self._location}{separator}digest={sha256(self.content)}", self.content[self.at:], {})

    def end(self, status):
        self.connection.send(self._left)
        self._expect(status)

    def _begin(self, method, path, body, headers):
        self.connection.putrequest(method, path)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.connection.putheader(name, value)
        self.connection.endheaders()
        self.connection.send(body[:len(body) // 2])
        self._left = body[len(body) // 2:]

    def _expect(self, status):
        answer = self.connection.getresponse()
        body = answer.read()
        assert answer.status == status, body
        self._location = answer.headers["Location"]


@pytest.mark.concurrent
def test_1000_parallel_uploads_in_interleaved_chunks(server, client):
    sizes = [3, 40_000, BLOB_IN_ROW, 100_000]
    uploads = [Upload(server.registry_host, f"crowd/{number % 50}", os.urandom(sizes[number % len(sizes)]))
               for number in range(1000)]

    def step(act):
        random.Random(1).shuffle(uploads)
        for upload in uploads:
            act(upload)

    step(Upload.start)
    for _ in range(2):
        step(lambda upload: upload.begin_chunk(len(upload.content) // 3))
        step(lambda upload: upload.end(202))
    step(Upload.begin_last)
    step(lambda upload: upload.end(201))
    for upload in uploads:
        upload.connection.close()
    client = Client(server.registry_host, kept=True)
    for upload in uploads:
        assert client("GET", f"{upload.repository}/blobs/{sha256(upload.content)}").body == upload.content
    assert not files_of(server, "uploads")
    assert_verifies(server)


MAX_UPLOADS = 4096  # LIMIT_UPLOADS


OPEN_SIZES = {"small": [4096], "rows": [BLOB_IN_ROW], "files": [70_000], "mixed": [70_000, 4000, 5000, BLOB_IN_ROW]}


def open_files(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@pytest.mark.parametrize("sizes", OPEN_SIZES.values(), ids=OPEN_SIZES)
def test_uploads_left_open_are_bounded_and_room_comes_back(server, sizes):
    client = Client(server.registry_host, kept=True)
    client.start_upload("open")
    idle, idle_files = memory_kib(server), open_files(server)
    open_uploads = [client.start_upload("open") for _ in range(MAX_UPLOADS - 1)]
    for number, location in enumerate(open_uploads):
        assert client("PATCH", location, bytes(sizes[number % len(sizes)])).status == 202
    assert open_files(server) - idle_files <= 256 + 10  # LIMIT_UPLOADS_FILES
    if not keeps_freed_memory():
        assert memory_kib(server, "VmHWM") - idle < 64 * 1024

    answer = client("POST", "open/blobs/uploads/")
    assert (answer.status, code(answer)) == (429, "TOOMANYREQUESTS")
    assert int(answer.headers["Retry-After"]) >= 1
    # Nobody else is in their way.
    assert client("GET", open_uploads[0]).headers["Range"] == f"0-{sizes[0] - 1}"
    assert client("GET", "open/tags/list").status in (200, 404)
    assert client("DELETE", open_uploads.pop()).status == 204
    manifest_layer = os.urandom(100_000)
    client.push_blob("open", manifest_layer)

    # Each of them can still be finished: the first, which hold memory and open files, and the last, which do not.
    for location in open_uploads[:8] + open_uploads[-8:]:
        content = bytes(int(client("GET", location).headers["Range"].partition("-")[2]) + 1)
        assert client("PUT", f"{location}?digest={sha256(content)}").status == 201
        assert client("GET", f"open/blobs/{sha256(content)}").body == content
    for location in open_uploads[8:MAX_UPLOADS // 2]:
        assert client("DELETE", location).status == 204
    assert upkeep("gc", server, "--grace", "0s").returncode == 0
    assert client("GET", open_uploads[MAX_UPLOADS // 2]).status == 404
    assert not files_of(server, "uploads")
    if not keeps_freed_memory():
        assert memory_kib(server) - idle < 32 * 1024
    client.push("open", "v1", manifest_layer)


# ---- clients that stop ----

def raw(host, request):
    connection = socket.create_connection(tuple(host.split(":")))
    connection.sendall(request)
    return connection


def is_cut(connection):
    """Has the peer closed it, whatever else it has sent?"""
    connection.setblocking(False)
    try:
        while connection.recv(MIB):
            pass
        return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.mark.concurrent
def test_clients_that_stop_reading_or_sending_hold_nobody_up_and_are_cut(server, client):
    content = os.urandom(16 * MIB)
    digest = client.push_blob("a", content)
    idle_fds = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    readers = [raw(client.host, f"GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) for _ in range(50)]

    def send_some(method, path):
        head = f"{method} /v2/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {MIB}\r\n\r\n"
        return raw(client.host, head.encode() + content[:200_000])

    patched = [client.start_upload("a") for _ in range(20)]
    put = [client.start_upload("a") for _ in range(20)]
    posted = [f"a/blobs/uploads/?digest={sha256(content[:MIB])}"] * 10
    senders = [send_some("PATCH", location) for location in patched]
    senders += [send_some("PUT", f"{location}?digest={sha256(content[:MIB])}") for location in put]
    senders += [send_some("POST", path) for path in posted]

    # Others go on.
    for number in range(10):
        client.assert_whole("b", f"v{number}", client.push("b", f"v{number}", os.urandom(100_000)))
    assert client("GET", f"a/blobs/{digest}").body == content

    # One that stopped sending is cut; a PATCH can be continued, of anything else nothing is left.
    wait_until(lambda: all(is_cut(connection) for connection in senders), "the senders to be cut")

    def go_on(location):
        at = int(client("GET", location).headers["Range"].partition("-")[2]) + 1
        answer = client("PATCH", location, content[at:MIB], {"Content-Range": f"{at}-{MIB - 1}"})
        assert answer.status == 202, answer
        return at

    for location in patched:
        assert wait_until(lambda location=location: go_on(location), "the rest of an upload") > 1
        assert client("PUT", f"{location}?digest={sha256(content[:MIB])}").status == 201
    wait_until(lambda: not files_of(server, "uploads"), "the files of the uploads to go")
    for location in put:
        assert client("GET", location).status == 404

    # One that stopped reading is too, later; nothing of either is left open.
    wait_until(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) <= idle_fds + 5, "their connections to go")
    for connection in (*readers, *senders):
        connection.close()


# ---- big blobs ----

def big_content(size, seed):
    """Pieces of content that nobody has to keep: a random one, told apart by its number."""
    piece = random.Random(seed).randbytes(MIB - 8)
    for number in range(size // MIB):
        yield number.to_bytes(8, "big") + piece


def digest_of_big(size, seed):
    hasher = hashlib.sha256()
    for piece in big_content(size, seed):
        hasher.update(piece)
    return f"sha256:{hasher.hexdigest()}"


def push_monolithic(client, repository, size, seed, digest):
    answer = client("PUT", f"{client.start_upload(repository)}?digest={digest}", big_content(size, seed),
                    {"Content-Length": str(size)})
    assert answer.status == 201, answer


def push_streamed(client, repository, size, seed, digest):
    location = client.start_upload(repository)
    assert client("PATCH", location, big_content(size, seed)).status == 202
    assert client("PUT", f"{location}?digest={digest}").status == 201


def push_chunked(client, repository, size, seed, digest):
    location, at = client.start_upload(repository), 0
    chunk, pieces = 16 * MIB, big_content(size, seed)
    while at < size:
        length = min(chunk, size - at)
        body = (next(pieces) for _ in range(length // MIB))
        answer = client("PATCH", location, body,
                        {"Content-Length": str(length), "Content-Range": f"{at}-{at + length - 1}"})
        assert answer.status == 202, answer
        at += length
    assert client("PUT", f"{location}?digest={digest}").status == 201


def pull(host, repository, digest, size):
    connection, got, buffer = http.client.HTTPConnection(host, timeout=600), hashlib.sha256(), bytearray(MIB)
    connection.request("GET", f"/v2/{repository}/blobs/{digest}")
    answer, length = connection.getresponse(), 0
    assert answer.status == 200
    while n := answer.readinto(buffer):
        got.update(memoryview(buffer)[:n])
        length += n
    connection.close()
    assert (length, f"sha256:{got.hexdigest()}") == (size, digest)


@contextmanager
def bounded_memory(server):
    """64 MiB above idle, at any time."""
    if keeps_freed_memory():
        pytest.skip("a sanitizer keeps freed memory")
    idle = memory_kib(server)
    yield
    assert memory_kib(server, "VmHWM") - idle < 64 * 1024


@pytest.mark.parametrize("push", [push_monolithic, push_streamed, push_chunked])
def test_a_blob_of_any_size_takes_constant_memory(server, client, push):
    size = rounds(512, 4096) * MIB
    digest = digest_of_big(size, 1)
    with bounded_memory(server):
        push(client, "big", size, 1, digest)
        pull(client.host, "big", digest, size)
    # Once more after a start, when nothing is known of the file.
    server.restart()
    with bounded_memory(server):
        pull(client.host, "big", digest, size)


def test_several_big_blobs_at_once_take_constant_memory(server, client):
    size, pushes = 256 * MIB, [push_monolithic, push_streamed, push_chunked, push_monolithic]

    def transfer(number):
        digest = digest_of_big(size, number)
        pushes[number](client, f"big/{number}", size, number, digest)
        pull(client.host, f"big/{number}", digest, size)

    with bounded_memory(server), ThreadPoolExecutor(len(pushes)) as pool:
        list(pool.map(transfer, range(len(pushes))))


def test_others_go_on_while_big_blobs_are_checked_for_the_first_time(server, client):
    size = 512 * MIB
    digest, manifest = digest_of_big(size, 1), client.push("small", "v1")
    push_monolithic(client, "big", size, 1, digest)
    server.restart()
    request = f"GET /v2/big/blobs/{digest} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-0\r\n\r\n".encode()
    waiting = [raw(client.host, request) for _ in range(8)]
    for _ in range(20):
        client.assert_whole("small", "v1", manifest)
    assert not select.select(waiting, [], [], 0)[0]  # the small ones were first
    for connection in waiting:
        with connection:
            assert connection.recv(100).startswith(b"HTTP/1.1 206")


# ---- group commit ----

CLIENTS = 32
PUTS_EACH = 10


@pytest.fixture
def syncs(server, tmp_path):
    """How often the server has synced anything to disk, each made slow enough for others to come meanwhile."""
    if not shutil.which("strace"):
        assert not in_ci()
        pytest.skip("strace is not installed")
    log = tmp_path / "syncs"
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", log, "-e", "trace=fsync,fdatasync",
         "-e", "inject=fsync,fdatasync:delay_enter=20000", "-p", str(server.process.pid)], stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: tracer.poll() is not None or is_traced(server.process.pid), "strace")
        if tracer.poll() is not None:
            pytest.skip(f"strace is not permitted here: {tracer.stderr.read().strip()}")
        yield lambda: log.read_text().count("sync(")
    finally:
        tracer.terminate()
        tracer.wait()


def is_traced(pid):
    def tracer_of(thread):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as status:
            return next(line for line in status if line.startswith("TracerPid:")).split()[1]
    return all(tracer_of(thread) != "0" for thread in os.listdir(f"/proc/{pid}/task"))


def test_manifests_that_32_clients_put_at_once_share_transactions(server, client, syncs):
    for content in (EMPTY, b"layer"):
        client.push_blob("group", content)
    before = syncs()

    def put(number):
        kept = Client(server.registry_host, kept=True)
        for i in range(PUTS_EACH):
            manifest = json.dumps({**json.loads(artifact(b"layer")), "annotations": {"a": f"{number} {i}"}}).encode()
            assert kept.push_manifest("group", f"v{number}-{i}", manifest).status == 201

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(put, range(CLIENTS)))
    assert len(json.loads(client("GET", "group/tags/list").body)["tags"]) == CLIENTS * PUTS_EACH
    # Each PUT was answered after a sync; alone each would have had its own.
    assert 1 <= syncs() - before < CLIENTS * PUTS_EACH / 4
