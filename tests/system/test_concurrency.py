# SPDX-License-Identifier: Apache-2.0
"""Many at once: writers, of whom none is lost, and connections that do nothing, who are in nobody's way."""
import json
import resource
import selectors
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from tests.lib.wait import DEADLINE_S
from tests.system.resources import assert_whole, declare, intent, listed, path, without_status

pytestmark = pytest.mark.concurrent

WRITERS = 100
ROUNDS = 3
IDLE = 1000
SLOW = 1000


def write_all(server, writes):
    """Sends them all at the same time; returns their answers."""
    with ThreadPoolExecutor(len(writes)) as pool:
        return list(pool.map(lambda write: server.request(*write), writes))


def test_100_writers_to_100_resources(store):
    with store.server() as server:
        versions, wanted = [], {}
        for i in range(ROUNDS):
            writes = [("POST", path(), intent(f"web-{n}", region=f"{i} {n}")) for n in range(WRITERS)]
            for answer in write_all(server, writes):
                assert answer.status == (200 if i else 201), answer.body
                versions.append(answer.json["version"])
                wanted[answer.json["name"]] = answer.json
        assert len(set(versions)) == ROUNDS * WRITERS
        assert listed(server) == wanted
        assert {name: item["spec"]["region"] for name, item in wanted.items()} == {
            f"web-{n}": f"{ROUNDS - 1} {n}" for n in range(WRITERS)}
        assert_whole(server, store.oci())
        server.restart()
        assert listed(server) == wanted


def test_100_writers_to_one_resource(embedded_store):
    many_writers_to_one_resource(embedded_store, WRITERS)


def test_many_writers_to_one_resource_in_a_remote_registry(distribution_store):
    # Each is a commit of its own, and distribution makes about ten of these a second.
    many_writers_to_one_resource(distribution_store, WRITERS // 4)


def many_writers_to_one_resource(store, n_writers):
    with store.server() as server:
        answers = write_all(server, [("POST", path(), intent("web", region=f"writer {n}")) for n in range(n_writers)])
        assert sorted(answer.status for answer in answers) == [200] * (n_writers - 1) + [201]
        by_version = {answer.json["version"]: answer.json for answer in answers}
        # Each has a version and an artifact of its own, with what it wrote.
        assert len(by_version) == n_writers
        assert {item["spec"]["region"] for item in by_version.values()} == {f"writer {n}" for n in range(n_writers)}
        oci, repository = store.oci(), "gitops-squared/resources/default/web"
        assert set(oci.tags(repository)) == {"latest", *by_version}
        for version, item in by_version.items():
            assert yaml.safe_load(oci.layer(repository, version))["spec"] == item["spec"]
        last = by_version[max(by_version, key=lambda version: int(version[1:]))]
        assert without_status(server.get(path(name="web")).json) == last
        assert yaml.safe_load(oci.catalog()["manifests/default-web.yaml"])["spec"] == last["spec"]
        assert_whole(server, oci)
        server.restart()
        assert without_status(server.get(path(name="web")).json) == last


def test_creates_and_deletes_of_one_resource_at_once(embedded_store):
    with embedded_store.server() as server:
        writes = [("POST", path(), intent("web", region=f"{n}")) if n % 2 else ("DELETE", path(name="web"), None)
                  for n in range(WRITERS)]
        answers = write_all(server, writes)
        assert {answer.status for answer in answers} <= {200, 201, 404}
        created = sum(answer.status == 201 for answer in answers)
        deleted = sum(answer.json.get("deleted", False) for answer in answers)
        assert len(listed(server)) == created - deleted
        assert_whole(server, embedded_store.oci())


# ---- connections ----

@pytest.fixture
def many_files():
    """Room for the connections of this process, and for as many in the server that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * (IDLE + SLOW)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"only {hard} open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class SlowClients:
    """Connections that send a byte now and then: half of them of a head, half of a body, as long as the server lets
    them."""
    HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"x" * 4096
    BODY_HEAD = b"POST /api/v1/resources HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n"

    def __init__(self, port, n):
        self._selector = selectors.DefaultSelector()
        self._left = {}
        for i in range(n):
            client = socket.create_connection(("127.0.0.1", port), timeout=60)
            client.setblocking(False)
            if i % 2:
                client.send(self.BODY_HEAD)
            self._left[client] = b" " * 4096 if i % 2 else self.HEAD
            self._selector.register(client, selectors.EVENT_READ)

    def __len__(self):
        return len(self._left)

    def send_a_byte_each(self):
        self._drop_closed()
        for client in list(self._left):
            try:
                client.send(self._left[client][:1])
                self._left[client] = self._left[client][1:]
            except OSError:
                self._drop(client)

    def _drop_closed(self):
        while ready := self._selector.select(0):
            for key, _ in ready:
                try:
                    if not key.fileobj.recv(4096):
                        self._drop(key.fileobj)
                except OSError:
                    self._drop(key.fileobj)

    def _drop(self, client):
        if client in self._left:
            del self._left[client]
            self._selector.unregister(client)
            client.close()

    def close(self):
        for client in list(self._left):
            self._drop(client)


def test_idle_and_slow_connections_are_in_nobodys_way(many_files, embedded_store):
    with embedded_store.server() as server:
        idle = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(IDLE)]
        waiting = idle[:5]
        slow = SlowClients(server.port, SLOW)
        assert len(slow) == SLOW
        end, round_ = time.monotonic() + DEADLINE_S, 0
        # Until the server has lost patience with the slow ones.
        while len(slow) > 0:
            assert time.monotonic() < end, f"{len(slow)} connections that send a byte a second are open still"
            slow.send_a_byte_each()
            second = time.monotonic() + 1
            while time.monotonic() < second:
                round_ += 1
                item = declare(server, f"web-{round_ % 10}", region=f"round {round_}")
                assert without_status(server.get(path(name=item["name"])).json) == item
                assert server.get("/healthz").status == 200
                time.sleep(0.02)
            # Those that have sent nothing yet may still do so, for a while.
            assert not waiting or is_answered(waiting.pop())
        slow.close()
        for client in idle:
            client.close()
        assert len(listed(server)) == 10
        assert_whole(server, embedded_store.oci())


def is_answered(client):
    try:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return b"200 OK" in client.recv(4096)
    except OSError:
        return False


def test_a_kept_connection_serves_many_requests(gsq):
    body = json.dumps(intent("web")).encode()
    request = b"POST /api/v1/resources HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" \
              b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    with socket.create_connection(("127.0.0.1", gsq.port), timeout=60) as client, client.makefile("rb") as reader:
        for _ in range(200):
            client.sendall(request)
            assert reader.readline().split()[1] in (b"200", b"201")
            length = 0
            while line := reader.readline().strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            assert json.loads(reader.read(length))["name"] == "web"
