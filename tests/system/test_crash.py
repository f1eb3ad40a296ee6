# SPDX-License-Identifier: Apache-2.0
"""kill -9 at any moment, under load: every 2xx-answered write is there after the restart, and the catalog is whole."""
import http.client
import random
import threading
import time

import pytest

from tests.lib.rounds import rounds
from tests.lib.wait import wait_until
from tests.system.resources import assert_whole, intent, listed, path

pytestmark = pytest.mark.concurrent

WRITERS = 8
NAMES_EACH = 4


class Writer(threading.Thread):
    """Creates, updates and deletes resources of its own, one request at a time, until the server is gone.

    acknowledged    {name: spec, or None where it does not exist} by the answers
    in_flight       (name, spec) of the request that has no answer
    """

    def __init__(self, server, number, acknowledged, seed):
        super().__init__()
        self._server, self._random = server, random.Random(seed)
        self._names = [f"w{number}-{i}" for i in range(NAMES_EACH)]
        self.acknowledged = acknowledged
        self.in_flight = None
        self.answers = 0
        self.surprise = None

    def run(self):
        while True:
            name = self._random.choice(self._names)
            spec = None
            if self.acknowledged.get(name) is None or self._random.random() < 0.7:
                spec = {"type": "vm", "size": "small", "region": f"r{self._random.random()}", "replicas": 1}
            self.in_flight = name, spec
            try:
                answer = self._send(name, spec)
            except (OSError, http.client.HTTPException):
                return
            if answer.status not in (200, 201):
                self.surprise = answer
                return
            self.acknowledged[name] = spec
            self.in_flight = None
            self.answers += 1

    def _send(self, name, spec):
        if spec is None:
            return self._server.delete(path(name=name))
        return self._server.post(path(), intent(name, **spec))


def crash_under_load(server, oci, crashes, seed):
    acknowledged, answers = [{} for _ in range(WRITERS)], 0
    moments = random.Random(seed)
    for i in range(crashes):
        server.start()
        check(server, oci, acknowledged)
        writers = [Writer(server, n, acknowledged[n], seed * 1000003 + i * WRITERS + n) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        if i % 2:
            wait_until(lambda: any(writer.answers for writer in writers), "an answer")
        time.sleep(moments.uniform(0.02, 0.4))
        server.kill()
        for writer in writers:
            writer.join()
            assert writer.surprise is None, writer.surprise
            answers += writer.answers
        server.start()
        settle(server, writers)
        check(server, oci, acknowledged)
        server.kill()
    # Else this has tested nothing.
    assert answers >= crashes // 2


def settle(server, writers):
    """A request without an answer may have happened or not: now it is known which."""
    found = listed(server)
    for writer in writers:
        if writer.in_flight:
            name, spec = writer.in_flight
            now = found[name]["spec"] if name in found else None
            assert now in (spec, writer.acknowledged.get(name)), (name, spec, now)
            writer.acknowledged[name] = now


def check(server, oci, acknowledged):
    wanted = {name: spec for some in acknowledged for name, spec in some.items() if spec is not None}
    assert {name: item["spec"] for name, item in listed(server).items()} == wanted
    assert_whole(server, oci())


def test_kill_under_load_with_the_embedded_registry(embedded_store):
    crash_under_load(embedded_store.server(), embedded_store.oci, crashes=rounds(20, 200), seed=1)


def test_kill_under_load_with_a_remote_registry(distribution_store):
    crash_under_load(distribution_store.server(), distribution_store.oci, crashes=rounds(20, 200), seed=2)


def test_a_start_that_is_killed_is_nothing_the_next_one_trips_over(store):
    server = store.server().start()
    server.post(path(), intent("web"))
    before = listed(server)
    server.stop()
    for wait_ms in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55):
        server.start(wait=None)
        time.sleep(wait_ms / 1000)
        server.kill()
    server.start()
    assert listed(server) == before
    assert_whole(server, store.oci())
