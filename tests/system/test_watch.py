# SPDX-License-Identifier: Apache-2.0
"""Streams of events, without a cluster: what is told, resuming, and what many or slow clients cost."""
import json
import re
import resource
import selectors
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lib.events import WATCH, Events
from tests.lib.gsq import Gsq
from tests.lib.wait import wait_until
from tests.system.resources import declare, remove

NAMESPACES = ["default", "team-a"]
WATCHERS = 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gsq(tmp_path_factory.mktemp("gsq"), namespaces=NAMESPACES) as server:
        yield server


def watchers(server):
    """How many streams the server holds open."""
    return server.metric("gsq_api_watchers")


def told(event):
    return event.event, event.data["op"], event.data["namespace"], event.data["name"], event.data["version"]


def change(op, answer, namespace="default"):
    return "change", op, namespace, answer["name"], answer["version"]


def resident(server):
    """Bytes of memory of the server."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"^VmRSS:\s+(\d+) kB", status.read(), re.M)[1]) * 1024


# ---- what is told ----

def test_a_stream_begins_with_where_it_is(server):
    with Events(server) as events:
        assert events.answer.headers["Content-Type"] == "text/event-stream"
        assert events.answer.headers["Cache-Control"] == "no-store"
        assert events.answer.headers["X-Accel-Buffering"] == "no"
        assert events.retry == "2000"
        assert events.first.event == "hello"
        assert events.first.data == {"namespace": "*"}
        assert events.first.id


def test_each_change_is_told_in_order(server):
    with Events(server) as events:
        expected = [
            change("created", declare(server, "told")),
            change("updated", declare(server, "told", size="large")),
            change("created", declare(server, "told", "team-a"), "team-a"),
            change("deleted", remove(server, "told")),
        ]
        got = events.take(4)
        assert [told(event) for event in got] == expected
        assert len({event.id for event in [events.first, *got]}) == 5
        assert {event.data["phase"] for event in got} == {"unknown"}
    remove(server, "told", "team-a")


def test_a_change_is_told_with_its_artifact(server):
    with Events(server) as events:
        resource_ = declare(server, "pulled")
        assert events.next().data["digest"] == resource_["digest"]


def test_equal_intent_is_no_event(server):
    declare(server, "same")
    with Events(server) as events:
        declare(server, "same")
        after = declare(server, "after-same")
        assert told(events.next()) == change("created", after)


@pytest.mark.parametrize("where", ["/api/v1/namespaces/team-a/watch", f"{WATCH}?namespace=team-a",
                                   "/api/v1/namespaces/team-a/watch?namespace=team-a"])
def test_one_namespace_may_be_watched(server, where):
    name = f"only-{len(where)}"
    with Events(server, where) as events, Events(server, f"{WATCH}?namespace=*") as all_events:
        assert events.first.data == {"namespace": "team-a"}
        here = declare(server, name)
        there = declare(server, name, "team-a")
        assert told(events.next()) == change("created", there, "team-a")
        assert [told(event) for event in all_events.take(2)] == [
            change("created", here), change("created", there, "team-a")]


def test_head_is_answered_without_a_stream(server):
    answer = server.request("HEAD", WATCH)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Type"] == "text/event-stream"


@pytest.mark.parametrize("text, field", [
    ("namespace=Team", "namespace"), ("namespace=", "namespace"), ("since=1", "since"),
    ("lastEventId=a&lastEventId=b", "lastEventId")])
def test_a_bad_parameter_is_named(server, text, field):
    answer = server.get(f"{WATCH}?{text}")
    assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "invalid", field)


@pytest.mark.parametrize("namespace", ["default", "%2A"])
def test_a_parameter_must_not_contradict_the_path(server, namespace):
    answer = server.get(f"/api/v1/namespaces/team-a/watch?namespace={namespace}")
    assert (answer.status, answer.json["field"]) == (400, "namespace")


# ---- resuming ----

@pytest.mark.parametrize("form", ["header", "parameter", "both"])
def test_a_stream_goes_on_after_the_last_event_that_was_seen(server, form):
    with Events(server) as events:
        declare(server, f"seen-{form}")
        last = events.next().id
        first = events.first.id
    missed = [change("created", declare(server, f"missed-{form}-{i}")) for i in range(3)]
    where, headers = {
        "header": (WATCH, {"Last-Event-ID": last}),
        "parameter": (f"{WATCH}?lastEventId={last}", {}),
        "both": (f"{WATCH}?lastEventId={first}", {"Last-Event-ID": last}),
    }[form]
    with Events(server, where, headers) as events:
        assert (events.first.event, events.first.id) == ("hello", last)
        assert [told(event) for event in events.take(3)] == missed
        live = declare(server, f"live-{form}")
        assert told(events.next()) == change("created", live)


def test_the_id_of_the_beginning_resumes_too(server):
    with Events(server) as events:
        first = events.first.id
    missed = declare(server, "from-the-beginning")
    with Events(server, headers={"Last-Event-ID": first}) as events:
        assert told(events.next()) == change("created", missed)


def test_the_id_of_one_namespace_is_an_id_of_all(server):
    with Events(server, "/api/v1/namespaces/team-a/watch") as events:
        first = events.first.id
    missed = declare(server, "of-another-namespace")
    with Events(server, headers={"Last-Event-ID": first}) as events:
        assert told(events.next()) == change("created", missed)


@pytest.mark.parametrize("last", ["x", "1-1", "-", "0", "a" * 500, "18446744073709551615-18446744073709551615"])
def test_an_id_that_is_not_known_is_told_to_list_again(server, last):
    with Events(server, headers={"Last-Event-ID": last}) as events:
        assert events.first.event == "reset"
        assert "list" in events.first.data["message"]
        live = declare(server, "after")
        assert told(events.next()) == change("created", live)
    with Events(server, headers={"Last-Event-ID": events.first.id}) as events:
        assert events.first.event == "hello"
        assert events.next().data["version"] == live["version"]
    remove(server, "after")


def test_an_id_of_another_process_is_told_to_list_again(tmp_path):
    with Gsq(tmp_path / "gsq") as server:
        with Events(server) as events:
            declare(server, "before")
            last = events.next().id
        server.restart()
        declare(server, "between")
        with Events(server, headers={"Last-Event-ID": last}) as events:
            assert events.first.event == "reset"
            now = declare(server, "now")
            assert told(events.next()) == change("created", now)


# ---- life ----

def test_an_idle_stream_has_heartbeats(server):
    with Events(server) as events:
        assert events.line() == ": heartbeat"
        assert events.line() == ""
        live = declare(server, "after-a-heartbeat")
        assert told(events.next()) == change("created", live)


@pytest.mark.concurrent
def test_a_client_that_leaves_leaves_nothing(server):
    wait_until(lambda: watchers(server) == 0, "no streams")
    streams = [Events(server) for _ in range(20)]
    assert watchers(server) == 20
    for stream in streams:
        stream.close()
    wait_until(lambda: watchers(server) == 0, "no streams")


@pytest.mark.concurrent
def test_streams_that_come_and_go_while_changes_are_made(server):
    def watch(i):
        with Events(server) as events:
            declare(server, f"busy-{i}", size="small" if i % 2 else "large")
            while events.next().data.get("name") != f"busy-{i}":
                pass

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(watch, range(100)))
    wait_until(lambda: watchers(server) == 0, "no streams")


@pytest.mark.concurrent
def test_a_stop_ends_streams_whole(tmp_path):
    with Gsq(tmp_path / "gsq") as server:
        streams = [Events(server) for _ in range(10)]
        changed = declare(server, "last")
        assert [told(stream.next()) for stream in streams] == [change("created", changed)] * 10
        server.stop()
        # Cut off, the last chunk would be missing, and reading would fail.
        assert [stream.next() for stream in streams] == [None] * 10


# ---- many, and slow ones ----

class Many:
    """Raw connections that watch, with what each has received."""

    def __init__(self, server, n, receive_buffer=None):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < n + 500:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.received = {}
        self._selector = selectors.DefaultSelector()
        for _ in range(n):
            connection = socket.socket()
            if receive_buffer:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(f"GET {WATCH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            self.received[connection] = bytearray()
            self._selector.register(connection, selectors.EVENT_READ)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self.received:
            connection.close()
        self._selector.close()

    def read_until(self, n):
        """Until each has so many events."""
        def is_there():
            for key, _ in self._selector.select(timeout=1):
                part = key.fileobj.recv(1 << 16)
                assert part, "the server has closed a stream"
                self.received[key.fileobj] += part
            return all(content.count(b"\ndata: ") >= n for content in self.received.values())
        wait_until(is_there, f"{n} events on each stream", every_s=0)

    def versions(self):
        """Of each stream's changes, in their order."""
        return [re.findall(rb'"version":"(v\d+)"', content) for content in self.received.values()]


def test_a_thousand_clients_watch_at_once(tmp_path):
    with Gsq(tmp_path / "gsq") as server:
        declare(server, "before")
        before = resident(server)
        with Many(server, WATCHERS) as many:
            many.read_until(1)
            assert watchers(server) == WATCHERS
            versions = [declare(server, "first")["version"]]
            many.read_until(2)
            with ThreadPoolExecutor(8) as pool:
                versions += list(pool.map(lambda i: declare(server, f"burst-{i}")["version"], range(100)))
            many.read_until(1 + len(versions))
            expected = [version.encode() for version in sorted(versions)]
            assert all(got == expected for got in many.versions())
            # Each has a connection, and a little of its own.
            assert resident(server) - before < WATCHERS * 64 * 1024
        wait_until(lambda: watchers(server) == 0, "no streams")


def test_one_stream_too_many_is_told_to_come_later_and_nothing_else_is(tmp_path):
    most = 4000  # LIMIT_WATCHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * most)), hard))
    with Gsq(tmp_path / "gsq") as server:
        with Many(server, most) as many:
            many.read_until(1)
            answer = server.get("/api/v1/watch")
            assert (answer.status, answer.json["code"]) == (503, "unavailable"), answer.body
            assert int(answer.headers["Retry-After"]) > 0
            declare(server, "others-go-on")
        wait_until(lambda: watchers(server) == 0, "no streams")
        assert server.request("HEAD", WATCH).status == 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_clients_that_do_not_read_cost_a_bounded_buffer_and_miss_nothing(tmp_path):
    clients, changes = 100, 4000
    with Gsq(tmp_path / "gsq") as server:
        with Many(server, clients, receive_buffer=4096) as many:
            many.read_until(1)
            before = resident(server)
            with ThreadPoolExecutor(32) as pool:
                answers = list(pool.map(lambda i: declare(server, f"w{i % 50}", region=str(i)), range(changes)))
            grown = resident(server) - before
            with Events(server) as events:
                last = declare(server, "last")
                assert told(events.next()) == change("created", last)
            # A megabyte of events for each: what it has not taken stays in the one ring.
            assert grown < clients * (256 + 128) * 1024 + (32 << 20)
            many.read_until(1 + changes + 1)
        versions = sorted(answer["version"].encode() for answer in [*answers, last])
        assert all(got == versions for got in many.versions())


def test_events_are_json_of_one_line(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(f"GET {WATCH} HTTP/1.0\r\n\r\n".encode())
        with connection.makefile("rb") as stream:
            while stream.readline() != b"\r\n":
                pass
            declare(server, "one-line", region='a "quoted"\\ region')
            assert stream.readline() == b"retry: 2000\n"
            lines = [stream.readline().decode() for _ in range(9)]
    assert [line.partition(":")[0] for line in lines] == ["\n", "event", "id", "data", "\n", "id", "event", "data", "\n"]
    assert json.loads(lines[7].removeprefix("data: "))["name"] == "one-line"
