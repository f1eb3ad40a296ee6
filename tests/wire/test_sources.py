# SPDX-License-Identifier: Apache-2.0
"""Answers whose source waits until there is more: /watch. /news?TEXT wakes all of them."""
import time

import pytest

from tests.wire.client import HOST, raise_file_limit

TRANSPORTS = ["plain", "tls"]


def watch(server, *headers, target="/watch?close=1"):
    """A connection whose source waits, its first piece taken."""
    connection = server.connect()
    connection.request("GET", target, *headers)
    status, connection.watch_headers = connection.head()
    assert status == 200
    assert take_chunk(connection) == b"begin\n"
    return connection


def take_chunk(connection):
    """The next piece; b"" is the end of the answer."""
    size = int(connection.take_until(b"\r\n"), 16)
    chunk = connection.take(size)
    assert connection.take(2) == b"\r\n"
    return chunk


def test_what_there_is_comes_before_the_source_waits(server):
    with watch(server) as connection:
        assert connection.watch_headers["transfer-encoding"] == "chunked"
        assert connection.is_quiet(0.1)


def test_news_comes_while_the_source_waits_for_more(server):
    with watch(server) as connection:
        for text in (b"one", b"two", b"three"):
            server.call("GET", f"/news?{text.decode()}")
            assert take_chunk(connection) == text
            assert connection.is_quiet(0.05)


def test_a_wake_for_nothing_sends_nothing(server):
    with watch(server) as connection:
        server.call("GET", "/news")
        assert connection.is_quiet(0.1)
        server.call("GET", "/news?text")
        assert take_chunk(connection) == b"text"


def test_a_source_that_is_over_ends_the_answer_and_the_connection_goes_on(server):
    with watch(server, target="/watch") as connection:
        server.call("GET", "/news?over=1")
        assert take_chunk(connection) == b"over=1"
        assert take_chunk(connection) == b""
        assert connection.call("GET", "/").status == 200


def test_a_request_behind_one_that_waits_is_answered_after_it(server):
    with watch(server, target="/watch") as connection:
        connection.request("GET", "/later")
        assert connection.is_quiet(0.1)
        server.call("GET", "/news?over=1")
        assert take_chunk(connection) == b"over=1"
        assert take_chunk(connection) == b""
        assert connection.answer().body == b"later"


def test_http_1_0_gets_what_there_is_until_the_close(server):
    with server.connect() as connection:
        connection.send(b"GET /watch HTTP/1.0\r\n", HOST, b"\r\n")
        assert connection.head()[0] == 200
        assert connection.take(6) == b"begin\n"
        server.call("GET", "/news?over=1")
        assert connection.take_rest() == b"over=1"


def test_a_wait_has_no_deadline(start):
    server = start(idle_ms=200, head_ms=200, send_stall_ms=200, body_grace_ms=200)
    with watch(server) as connection:
        assert connection.is_quiet(1.0)
        server.call("GET", "/news?text")
        assert take_chunk(connection) == b"text"


def test_a_watcher_that_reads_nothing_is_dropped_once_news_piles_up(start):
    server = start(send_stall_ms=500)
    connection = server.connect(receive_buffer=4096)
    connection.request("GET", "/watch")
    server.wait_for_stat("watchers", 1)
    news = "x" * 20000
    end = time.monotonic() + 20
    while server.stats()["watchers"] > 0:
        assert time.monotonic() < end
        server.call("GET", f"/news?{news}")
    connection.socket.close()


@pytest.mark.parametrize("target", ["/watch", "/watch?close=1"])
@pytest.mark.parametrize("leave", ["close", "reset", "half_close"])
def test_a_client_that_leaves_frees_the_source_that_waits(server, target, leave):
    connection = watch(server, target=target)
    freed = server.stats()["sources_freed"]
    if leave == "close":
        connection.socket.close()
    else:
        getattr(connection, leave)()
    server.wait_for_stat("sources_freed", freed + 1)
    assert server.stats()["watchers"] == 0
    connection.socket.close()


def test_an_answer_to_a_client_that_half_closes_is_whole(server):
    with watch(server) as connection:
        server.call("GET", "/news?text")
        connection.half_close()
        assert take_chunk(connection) == b"text"
        assert take_chunk(connection) == b""
        assert connection.is_closed()


def test_a_wake_after_the_client_has_left_is_harmless(server):
    before = server.stats()["posts_gone"]
    connection = watch(server)
    server.call("GET", "/news?ms=300")
    connection.reset()
    server.wait_for_stat("watchers", 0)
    assert server.stats()["posts_gone"] == before
    server.wait_for_stat("posts_gone", before + 1)


def test_a_wake_while_the_client_leaves_is_harmless(server):
    for _ in range(30):
        connections = [watch(server) for _ in range(4)]
        for connection in connections:
            connection.reset()
        server.call("GET", "/news?text")
    server.wait_for_stat("watchers", 0)


def test_a_drain_ends_the_sources_that_wait(start):
    server = start(drain_ms=60000)
    connections = [watch(server) for _ in range(5)]
    began = time.monotonic()
    server.terminate()
    for connection in connections:
        assert take_chunk(connection) == b""
        assert connection.is_closed()
    server.stop()
    assert time.monotonic() - began < 30, "the drain has waited for what waits for ever"


def test_500_wait_at_once_and_all_get_the_news(start):
    raise_file_limit()
    server = start()
    connections = [watch(server) for _ in range(500)]
    cpu = server.cpu_s()
    assert connections[0].is_quiet(1.0)
    assert server.cpu_s() - cpu < 0.5, "waiting is busy"
    for text in (b"one", b"two"):
        assert server.call("GET", f"/news?{text.decode()}").body == b"500"
        for connection in connections:
            assert take_chunk(connection) == text
    for connection in connections:
        connection.socket.close()
    server.wait_for_stat("watchers", 0)
