# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow, stalled or silent, alone and in crowds."""
import select
import socket
import time

import pytest

from tests.wire.client import HOST, Closed, raise_file_limit, sanitized

TRANSPORTS = ["plain", "tls"]


class Timed:
    def __enter__(self):
        self.began = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.began


def test_a_head_that_does_not_end_is_answered_408(start):
    server = start(head_ms=400)
    with server.connect() as connection, Timed() as took:
        connection.send(b"GET / HTTP/1.1\r\n")
        answer = connection.answer()
        assert answer.status == 408
        assert answer.closes
        assert connection.is_closed()
    assert 0.35 < took.seconds < 5


def test_a_byte_now_and_then_does_not_move_the_deadline_of_the_head(start):
    server = start(head_ms=500)
    with server.connect() as connection, Timed() as took:
        connection.send(b"GET / HTTP/1.1\r\nA: ")
        while connection.is_quiet(0.05):
            connection.send(b"b")
        assert connection.answer().status == 408
    assert took.seconds < 5


def test_an_idle_connection_is_closed_without_a_word(start):
    server = start(idle_ms=300)
    with server.connect() as fresh, server.connect() as used:
        with Timed() as took:
            assert used.call("GET", "/").status == 200
            assert used.is_closed()
            assert fresh.is_closed()
    assert 0.2 < took.seconds < 5


def test_requests_now_and_then_keep_a_connection(start):
    server = start(idle_ms=600, head_ms=300)
    with server.connect() as connection:
        for _ in range(5):
            time.sleep(0.2)
            assert connection.call("GET", "/").status == 200


@pytest.mark.parametrize("target", ["/echo", "/count"])
def test_a_body_slower_than_the_rate_is_answered_408(start, target):
    server = start(body_grace_ms=400, body_rate=1000)
    with server.connect() as connection, Timed() as took:
        connection.send(f"POST {target} HTTP/1.1\r\n", HOST, b"Content-Length: 100000\r\n\r\n")
        while connection.is_quiet(0.05):
            connection.send(b"b")
        answer = connection.answer()
        assert answer.status == 408
        assert answer.closes
    assert 0.35 < took.seconds < 5


def test_a_body_faster_than_the_rate_may_take_its_time(start):
    server = start(body_grace_ms=200, body_rate=100)
    with server.connect() as connection:
        connection.send(b"POST /echo HTTP/1.1\r\n", HOST, b"Content-Length: 1000\r\n\r\n")
        for _ in range(20):
            connection.send(b"b" * 50)
            time.sleep(0.05)
        assert connection.answer().body == b"b" * 1000


def test_a_large_body_must_come_faster_than_others(start):
    server = start(body_grace_ms=400, body_rate=10, large_rate=100000)
    with server.connect() as large, server.connect() as small, Timed() as took:
        large.send(b"POST /echo-large HTTP/1.1\r\n", HOST, b"Content-Length: 100000\r\n\r\n")
        small.send(b"POST /echo-large HTTP/1.1\r\n", HOST, b"Content-Length: 1000\r\n\r\n")
        while large.is_quiet(0.05):
            large.send(b"b" * 100)
            small.send(b"b" * 10)
        assert large.answer().status == 408
        assert small.is_quiet(0.05)
    assert 0.35 < took.seconds < 5


@pytest.mark.parametrize("target", ["/echo", "/count"])
def test_a_body_that_came_fast_and_then_stalls_is_answered_408_soon(start, target):
    """At the mean rate it could be silent for 50 seconds."""
    server = start(body_grace_ms=400, body_rate=1000)
    with server.connect() as connection, Timed() as took:
        connection.send(f"POST {target} HTTP/1.1\r\n", HOST, b"Content-Length: 100000\r\n\r\n", b"b" * 50000)
        assert connection.answer().status == 408
    assert 0.7 < took.seconds < 5


@pytest.mark.parametrize("pause_ms", [0, 1])
def test_a_large_body_that_stalls_is_answered_408(start, pause_ms):
    server = start(body_grace_ms=400, body_rate=1000)
    with server.connect() as connection, Timed() as took:
        connection.send(f"POST /count?pause_ms={pause_ms} HTTP/1.1\r\n", HOST, b"Content-Length: 3000001\r\n\r\n",
                        b"b" * 3000000)
        answer = connection.answer()
        assert answer.status == 408
        assert answer.closes
    assert took.seconds < 5


def test_all_that_comes_of_a_large_body_counts_for_its_rate(start):
    """By the 4 KiB that libevent reads at a time, it would be too slow."""
    server = start(body_grace_ms=400, body_rate=100000)
    with server.connect() as connection:
        connection.send(b"POST /count HTTP/1.1\r\n", HOST, b"Content-Length: 1200000\r\n\r\n")
        for _ in range(12):
            connection.send(b"b" * 100000)
            time.sleep(0.1)
        assert connection.answer().status == 200


def test_a_body_that_pauses_for_less_than_the_period_is_taken(start):
    server = start(body_grace_ms=1500, body_rate=100)
    with server.connect() as connection:
        connection.send(b"POST /echo HTTP/1.1\r\n", HOST, b"Content-Length: 2000\r\n\r\n")
        for _ in range(4):
            connection.send(b"b" * 500)
            time.sleep(0.7)
        assert connection.answer().body == b"b" * 2000


def test_our_own_pauses_are_not_held_against_the_body(start):
    server = start(body_grace_ms=200, body_rate=1000000)
    with server.connect() as connection:
        connection.send(b"POST /count?pause_ms=800 HTTP/1.1\r\n", HOST, b"Content-Length: 1000\r\n\r\n",
                        b"b" * 1000)
        assert connection.answer().status == 200


def test_a_body_that_nobody_asked_for_yet_has_no_deadline(start):
    server = start(body_grace_ms=100, body_rate=1000)
    with server.connect() as connection:
        connection.send(b"POST /echo-later?ms=600 HTTP/1.1\r\n", HOST, b"Content-Length: 5\r\n\r\n")
        assert connection.is_quiet(0.65 - 0.1)
        connection.send(b"hello")
        assert connection.answer().body == b"hello"


def test_a_slow_rest_of_a_body_that_is_dropped_is_cut(start):
    server = start(body_grace_ms=300, body_rate=1000)
    with server.connect() as connection:
        connection.send(b"POST /early HTTP/1.1\r\n", HOST, b"Content-Length: 5000\r\n\r\n")
        assert connection.answer().status == 403
        with Timed() as took:
            assert connection.is_closed()
    assert took.seconds < 5


@pytest.mark.parametrize("target", ["/bytes?n=50000000", "/file?n=1", "/generate?pieces=100000&size=60000"])
def test_a_reader_that_stalls_is_dropped(start, target):
    server = start(send_stall_ms=400)
    with server.connect(receive_buffer=4096) as connection:
        connection.request("GET", target)
        connection.fill()
        time.sleep(1.5)
        with pytest.raises((Closed, ConnectionError)):
            while True:
                connection.answer()


def test_a_reader_that_is_only_slow_is_not_dropped(start):
    server = start(send_stall_ms=400, idle_ms=400)
    with server.connect(receive_buffer=65536) as connection:
        connection.request("GET", "/bytes?n=20000000")
        _, headers = connection.head()
        left = int(headers["content-length"])
        while left > 0:
            left -= len(connection.take(min(left, 2000000)))
            time.sleep(0.15)


@pytest.mark.plain
def test_a_lingering_connection_is_closed_in_the_end(server):
    with server.connect() as connection, Timed() as took:
        connection.send(b"BAD\r\n\r\n")
        assert connection.answer().status == 400
        assert connection.is_closed()
        with pytest.raises(ConnectionError):
            while took.began + 10 > time.monotonic():
                connection.send(b"x")
                time.sleep(0.05)
    assert 1.5 < took.seconds < 6


def test_1000_idle_and_1000_slow_connections_cost_little_and_others_are_served(start):
    raise_file_limit()
    server = start(head_ms=60000)
    idle = [server.connect() for _ in range(1000)]
    slow = [server.connect() for _ in range(1000)]
    for connection in slow:
        connection.send(b"GET / HTTP/1.1\r\nA: ")
    cpu, worst = server.cpu_s(), 0
    for second in range(3):
        end = time.monotonic() + 1
        for connection in slow:
            connection.send(b"b")
        with server.connect() as connection:
            while time.monotonic() < end:
                began = time.monotonic()
                assert connection.call("GET", "/").status == 200
                worst = max(worst, time.monotonic() - began)
                time.sleep(0.02)
    cost = server.cpu_s() - cpu
    assert cost < (3 if sanitized() else 0.5), f"{cost} s in 3 s"
    assert worst < 2, f"an answer took {worst} s"
    for connection in slow[:20]:
        connection.send(b"\r\nHost: wire\r\n\r\n")
        assert connection.answer().status == 200
    for connection in idle[:20]:
        assert connection.call("GET", "/").status == 200
    for connection in idle + slow:
        connection.socket.close()


@pytest.mark.plain
def test_connections_wait_while_descriptors_are_short(start):
    """The server has a few descriptors left: what it cannot accept it serves when others have gone."""
    raise_file_limit()
    server = start()
    import resource
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (40, 40))
    held = [server.connect() for _ in range(60)]
    time.sleep(0.3)
    cpu = server.cpu_s()
    time.sleep(1)
    assert server.cpu_s() - cpu < 0.3
    served = [connection for connection in held if _is_served(connection)]
    assert 0 < len(served) < len(held)
    for connection in served:
        connection.socket.close()
    for connection in held:
        if connection not in served:
            assert connection.answer().status == 200
            connection.socket.close()
    assert server.stop().count("cannot accept connections") >= 1


def _is_served(connection):
    connection.request("GET", "/")
    readable, _, _ = select.select([connection.socket], [], [], 0.1)
    return bool(readable) and connection.answer().status == 200
