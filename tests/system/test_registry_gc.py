# SPDX-License-Identifier: Apache-2.0
"""Garbage collection of the embedded registry, beside pushes: it takes what nothing refers to, and nothing else."""
import json
import os
import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lib.gsq import Gsq
from tests.lib.oci import EMPTY, artifact, sha256
from tests.lib.registry import BLOB_IN_ROW, MIB, Client, assert_verifies, blob_file, files_of, upkeep
from tests.lib.rounds import rounds
from tests.lib.wait import wait_until

GRACE_S = 4
CLIENTS = 32
PAUSES_S = [0, 0, 0, 0, 0, 0.3, 0.9, 1.5, 3.7]
SIZES = [100, 3000, BLOB_IN_ROW, BLOB_IN_ROW + 1, 150_000]
REPORT = re.compile(r"blobs taken out of repositories: (\d+)\n"
                    r"blobs removed: (\d+) \((\d+) bytes\)\n"
                    r"blob files removed: (\d+) \((\d+) bytes\)\n"
                    r"abandoned uploads removed: (\d+) \((\d+) bytes\)\n")


@pytest.fixture
def server(tmp_path):
    """It collects nothing by itself."""
    with Gsq(tmp_path / "gsq", args=("--gc-interval", "0s", "--gc-grace", f"{GRACE_S}s")) as server:
        yield server


@pytest.fixture
def client(server):
    return Client(server.registry_host)


def collect(server, grace, *args):
    """Numbers of the report: unlinked, blobs, their bytes, files, their bytes, uploads, their bytes."""
    done = upkeep("gc", server, "--grace", grace, *args)
    assert done.returncode == 0, done.stdout + done.stderr
    return [int(number) for number in REPORT.match(done.stdout).groups()]


# ---- what goes and what stays ----

def test_what_nothing_refers_to_goes_and_everything_else_stays(server, client):
    kept = {f"v{size}": client.push("kept", f"v{size}", os.urandom(size)) for size in SIZES}
    untagged = client.push("kept", "moved", os.urandom(100_000))
    kept["moved"] = client.push("kept", "moved", os.urandom(100_001))
    kept[sha256(untagged)] = untagged
    garbage = [os.urandom(size) for size in SIZES]
    for content in garbage:
        client.push_blob("garbage", content)
        client.push_blob("other", content)
    upload = client.start_upload("garbage")
    assert client("PATCH", upload, bytes(MIB)).status == 202
    unlinked = client.push("unlinked", "v1", b"layer of a manifest that goes")
    assert client("DELETE", f"unlinked/manifests/{sha256(unlinked)}").status == 202

    assert collect(server, "1h") == [0] * 7
    found = collect(server, "0s", "--dry-run")
    for content in garbage:
        assert client("GET", f"garbage/blobs/{sha256(content)}").body == content
    assert client("GET", upload).status == 204
    done = collect(server, "0s")
    # A dry run cannot see the files that lose their rows by a real one.
    assert done[:3] == found[:3] and done[5:] == found[5:] == [1, MIB]
    # Twice each of the garbage, and what the deleted manifest named.
    assert done[0] == 2 * len(SIZES) + 2
    assert done[1:3] == [len(SIZES) + 1, sum(SIZES) + len(b"layer of a manifest that goes")]

    for content in garbage:
        for repository in ("garbage", "other"):
            assert client("GET", f"{repository}/blobs/{sha256(content)}").status == 404
    assert client("GET", upload).status == 404
    for reference, manifest in kept.items():
        client.assert_whole("kept", reference, manifest)
    assert collect(server, "0s") == [0] * 7
    # The files are those of what is kept, no more.
    assert {path.name for path in files_of(server, "blobs")} == {
        layer["digest"].partition(":")[2] for manifest in kept.values() for layer in json.loads(manifest)["layers"]
        if layer["size"] > BLOB_IN_ROW}
    assert_verifies(server)


def test_what_a_push_was_told_is_there_stays_for_the_grace_period(server, client):
    contents = [os.urandom(size) for size in SIZES]
    for content in contents:
        client.push_blob("a", content)
    time.sleep(GRACE_S + 2)  # ages are whole seconds, and rounded for the blob
    for content in contents[:-1]:
        assert client("HEAD", f"a/blobs/{sha256(content)}").status == 200
        assert client("POST", f"b/blobs/uploads/?mount={sha256(content)}&from=a").status == 201
    collect(server, f"{GRACE_S}s")
    for content in contents[:-1]:
        for repository in ("a", "b"):
            assert client("GET", f"{repository}/blobs/{sha256(content)}").body == content
    assert client("GET", f"a/blobs/{sha256(contents[-1])}").status == 404
    assert_verifies(server)


def test_the_server_collects_by_itself(tmp_path):
    with Gsq(tmp_path / "gsq", args=("--gc-interval", "1s", "--gc-grace", "1s")) as server:
        client = Client(server.registry_host)
        manifest = client.push("a", "v1", os.urandom(100_000))
        big, small = os.urandom(MIB), os.urandom(100)
        for content in (big, small):
            client.push_blob("a", content)
        upload = client.start_upload("a")
        wait_until(lambda: not blob_file(server, sha256(big)).exists(), "the garbage to go")
        for content in (big, small):
            assert client("GET", f"a/blobs/{sha256(content)}").status == 404
        wait_until(lambda: client("GET", upload).status == 404, "the abandoned upload to go")
        client.assert_whole("a", "v1", manifest)
        assert_verifies(server)


def test_uploads_left_open_make_room_when_they_are_idle(server):
    client = Client(server.registry_host, kept=True)
    while (answer := client("POST", "open/blobs/uploads/")).status == 202:
        location = answer.headers["Location"].removeprefix("/v2/")
        if int(location[-4:], 16) % 8 == 0:
            assert client("PATCH", location, bytes(BLOB_IN_ROW + 1)).status == 202
    assert answer.status == 429
    files = len(files_of(server, "uploads"))
    assert collect(server, "1h")[5] == 0
    assert files > 0 and len(files_of(server, "uploads")) == files
    assert collect(server, "0s")[5:] == [4096, files * (BLOB_IN_ROW + 1)]
    assert not files_of(server, "uploads")
    client.push("open", "v1")


# ---- beside pushes ----

class Collector(threading.Thread):
    """Collects without pause."""

    def __init__(self, server):
        super().__init__()
        self._server, self._end = server, threading.Event()
        self.totals, self.runs, self.surprise = [0] * 7, 0, None

    def run(self):
        try:
            while not self._end.is_set():
                self.totals = [a + b for a, b in zip(self.totals, collect(self._server, f"{GRACE_S}s"))]
                self.runs += 1
        except AssertionError as error:
            self.surprise = error

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self.join()
        assert self.surprise is None, self.surprise


class Contents:
    """What is pushed: from a small pool, so that clients come upon each other's, and upon what was just collected."""

    def __init__(self):
        self._pool = [os.urandom(random.choice(SIZES)) for _ in range(48)]

    def choose(self, choice):
        return choice.choice(self._pool) if choice.random() < 0.8 else os.urandom(choice.choice(SIZES))


class Pusher:
    """Pushes in each way that a client may, with pauses before the manifest; deletes what it pushed earlier."""

    def __init__(self, host, number, contents):
        self._client = Client(host, kept=True)
        self._own, self._shared = f"gc/own{number}", [f"gc/shared{i}" for i in range(3)]
        self._choice, self._contents, self._number = random.Random(number), contents, number
        self._mine, self.acknowledged, self.late = [], {}, 0
        self.told = {"upload": 0, "head": 0, "mount": 0, "again": 0}

    def run(self, n_rounds):
        for i in range(n_rounds):
            self._push(i)
            while len(self.acknowledged) > 8:
                self._delete(self._choice.choice(list(self.acknowledged)))

    def _push(self, i):
        choice, content = self._choice, self._contents.choose(self._choice)
        way = choice.choice([self._upload, self._head, self._mount, self._again, self._slowly])
        repository = choice.choice([self._own, *self._shared])
        if way == self._again and self._mine:
            # Not of a shared one, where others count on it.
            repository, content = self._own, self._mine.pop()
        if repository == self._own:
            self._mine.append(content)
        manifest = json.dumps({**json.loads(artifact(content)), "annotations": {"by": f"{self._number} {i}"}}).encode()
        told_at = time.monotonic()
        self._upload(repository, EMPTY)
        way(repository, content)
        time.sleep(choice.choice(PAUSES_S))
        answer = self._client.push_manifest(repository, f"v{self._number}-{i}", manifest)
        took_s = time.monotonic() - told_at
        # HEAD renews what has used up half of it.
        if answer.status == 404 and took_s >= (GRACE_S / 2 if way == self._head else GRACE_S):
            # No promise holds for that long: it is refused, never acknowledged without its blobs.
            self.late += 1
            self._upload(repository, EMPTY)
            self._upload(repository, content)
            answer = self._client.push_manifest(repository, f"v{self._number}-{i}", manifest)
        assert answer.status == 201, (answer, took_s, way.__name__)
        self.acknowledged[repository, f"v{self._number}-{i}"] = manifest
        try:
            self._client.assert_whole(repository, sha256(manifest), manifest)
        except AssertionError as error:
            raise AssertionError(f"{took_s:.2f} s after {way.__name__}") from error

    def _delete(self, key):
        manifest = self.acknowledged.pop(key)
        assert self._client("DELETE", f"{key[0]}/manifests/{sha256(manifest)}").status == 202

    def _upload(self, repository, content):
        self._client.push_blob(repository, content)
        self.told["upload"] += 1

    def _slowly(self, repository, content):
        location = self._client.start_upload(repository)
        assert self._client("PATCH", location, content).status == 202
        time.sleep(self._choice.choice([0, 0.3]))
        answer = self._client("PUT", f"{location}?digest={sha256(content)}")
        assert answer.status == 201, answer

    def _head(self, repository, content):
        answer = self._client("HEAD", f"{repository}/blobs/{sha256(content)}")
        if answer.status == 404:
            return self._upload(repository, content)
        assert answer.status == 200, answer
        self.told["head"] += 1

    def _mount(self, repository, content):
        source = self._choice.choice(self._shared)
        answer = self._client("POST", f"{repository}/blobs/uploads/?mount={sha256(content)}&from={source}")
        if answer.status == 201:
            self.told["mount"] += 1
            return
        assert answer.status == 202, answer
        location = answer.headers["Location"].removeprefix("/v2/")
        answer = self._client("PUT", f"{location}?digest={sha256(content)}", content)
        assert answer.status == 201, answer

    def _again(self, repository, content):
        deleted = 404
        if repository == self._own:
            deleted = self._client("DELETE", f"{repository}/blobs/{sha256(content)}").status
            assert deleted in (202, 404)
        self._upload(repository, content)
        self.told["again"] += deleted == 202


@pytest.mark.concurrent
def test_collecting_without_pause_takes_nothing_of_thousands_of_pushes(server):
    client, contents, n_rounds = Client(server.registry_host, kept=True), Contents(), rounds(1024, 20_000)
    pushers = [Pusher(server.registry_host, number, contents) for number in range(CLIENTS)]
    with Collector(server) as collector, ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda pusher: pusher.run(n_rounds // CLIENTS), pushers))
    acknowledged = {key: manifest for pusher in pushers for key, manifest in pusher.acknowledged.items()}
    for (repository, tag), manifest in acknowledged.items():
        client.assert_whole(repository, tag, manifest)
    assert_verifies(server)

    # It has met what it was to meet: the ways of a push, and garbage beside them.
    told = {way: sum(pusher.told[way] for pusher in pushers) for way in pushers[0].told}
    assert all(times >= n_rounds // 100 for times in told.values()), told
    assert sum(pusher.late for pusher in pushers) < n_rounds / 2
    assert collector.runs >= 5 and collector.totals[1] >= n_rounds // 100, (collector.runs, collector.totals)

    # And the disk gets back what it had, once nothing refers to anything.
    for (repository, _), manifest in acknowledged.items():
        assert client("DELETE", f"{repository}/manifests/{sha256(manifest)}").status in (202, 404)
    assert sum(files_of(server, "blobs").values()) > 0
    collect(server, "0s")
    assert not files_of(server, "blobs")
    for (repository, _), manifest in acknowledged.items():
        [layer] = json.loads(manifest)["layers"]
        assert client("GET", f"{repository}/blobs/{layer['digest']}").status == 404
    assert_verifies(server)


@pytest.mark.concurrent
def test_collecting_without_any_grace_refuses_a_push_or_leaves_it_whole(server):
    """Nobody should, but then no acknowledgement may be a lie either."""
    end, refused = threading.Event(), []

    def collect_all():
        while not end.is_set():
            collect(server, "0s")

    def push(number):
        client, repository = Client(server.registry_host, kept=True), f"none/{number}"
        for i in range(rounds(40, 1000)):
            content = os.urandom(SIZES[i % len(SIZES)])
            manifest = artifact(content)
            # From here on its blobs are named, and so protected.
            assert client.push_manifest(repository, f"v{i}", manifest).status == 201
            for part in (EMPTY, content):
                path = f"{repository}/blobs/uploads/?digest={sha256(part)}"
                while (answer := client("POST", path, part)).status != 201:
                    refused.append(answer)
                    assert answer.status == 503 and answer.headers["Retry-After"], answer
            client.assert_whole(repository, f"v{i}", manifest)

    with ThreadPoolExecutor(9) as pool:
        collecting = pool.submit(collect_all)
        try:
            list(pool.map(push, range(8)))
        finally:
            end.set()
        collecting.result()
    assert len(refused) < 8 * rounds(40, 1000)
    assert_verifies(server)


def test_killed_while_it_collects_it_goes_on_after_the_restart(server):
    choice = random.Random(1)
    for i in range(rounds(10, 100)):
        client = Client(server.registry_host, kept=True)
        kept = client.push("killed", f"v{i}", os.urandom(100_000))
        garbage = [os.urandom(choice.choice([50, BLOB_IN_ROW + 1])) for _ in range(60)]
        for content in garbage:
            client.push_blob("killed", content)
        collecting = threading.Thread(target=upkeep, args=("gc", server, "--grace", "0s"))
        collecting.start()
        time.sleep(choice.uniform(0, 0.05))
        server.kill()
        collecting.join()
        server.start()
        client = Client(server.registry_host, kept=True)
        for content in garbage:
            answer = client("GET", f"killed/blobs/{sha256(content)}")
            assert answer.status == 404 or answer.body == content
        client.assert_whole("killed", f"v{i}", kept)
        assert_verifies(server)
    collect(server, "0s")
    assert len(files_of(server, "blobs")) == rounds(10, 100)
