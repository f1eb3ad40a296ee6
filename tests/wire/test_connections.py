# SPDX-License-Identifier: Apache-2.0
"""Keep-alive, pipelining, closing, and clients that go away."""
import time

import pytest

from tests.wire.client import HOST, Closed, counted

TRANSPORTS = ["plain", "tls"]


def test_many_requests_share_a_connection(connection):
    for n in range(100):
        answer = connection.call("POST", "/echo", body=str(n).encode())
        assert answer.body == str(n).encode()
        assert answer.header("Connection") is None


def test_pipelined_requests_are_answered_in_order(connection):
    requests = b""
    for n in range(500):
        body = f"{n}".encode() * (n % 7)
        if n % 3 == 0:
            requests += b"GET /later?ms=1 HTTP/1.1\r\n" + HOST + b"\r\n" if n % 50 == 0 else \
                b"GET /bytes?n=%d HTTP/1.1\r\n" % n + HOST + b"\r\n"
        else:
            requests += b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    connection.send(requests)
    for n in range(500):
        answer = connection.answer()
        assert answer.status == 200
        if n % 3 != 0:
            assert answer.body == f"{n}".encode() * (n % 7)
        elif n % 50 == 0:
            assert answer.body == b"later"
        else:
            assert len(answer.body) == n


def test_pipelined_large_answers_all_arrive(connection):
    connection.send((b"GET /bytes?n=400000 HTTP/1.1\r\n" + HOST + b"\r\n") * 20)
    time.sleep(0.2)
    for _ in range(20):
        assert len(connection.answer().body) == 400000


def test_connection_close_is_honoured(connection):
    answer = connection.call("GET", "/", "Connection: close")
    assert answer.closes
    assert connection.is_closed()


def test_the_service_may_close(connection):
    answer = connection.call("GET", "/bytes?n=5&close=1")
    assert answer.closes and answer.body == b"xxxxx"
    assert connection.is_closed()


def test_http_1_0_closes_unless_asked_to_keep(server):
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = connection.answer()
        assert answer.header("Connection") == "keep-alive"
        connection.send(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.answer().closes
        assert connection.is_closed()


def test_a_client_may_close_its_side_after_the_request(server):
    with server.connect() as connection:
        connection.request("GET", "/later?ms=100")
        connection.half_close()
        assert connection.answer().body == b"later"
        assert connection.is_closed()


def test_pipelined_requests_before_a_half_close_are_all_answered(server):
    with server.connect() as connection:
        connection.send((b"GET /later?ms=5 HTTP/1.1\r\n" + HOST + b"\r\n") * 10)
        connection.half_close()
        for _ in range(10):
            assert connection.answer().body == b"later"
        assert connection.is_closed()


def test_an_answer_is_not_cut_by_half_a_request_after_it(server):
    with server.connect() as connection:
        connection.send(b"GET /bytes?n=3000000 HTTP/1.1\r\n", HOST, b"\r\nGET / HT")
        connection.half_close()
        time.sleep(0.2)
        assert len(connection.answer().body) == 3000000
        assert connection.is_closed()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: w", b"\r\n"])
def test_an_end_before_the_request_is_answered_with_the_end(server, sent):
    with server.connect() as connection:
        connection.send(sent)
        connection.half_close()
        assert connection.is_closed()


def test_a_reset_while_the_answer_is_prepared_elsewhere_frees_the_exchange(server):
    before = server.stats()["posts_gone"]
    connection = server.connect()
    connection.request("GET", "/later?ms=300")
    time.sleep(0.1)
    connection.reset()
    server.wait_for_stat("posts_gone", before + 1)


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_an_exchange_that_waits_for_its_answer_is_freed_when_its_client_leaves(server, leave):
    connection = server.connect()
    connection.request("GET", "/hang")
    server.wait_for_stat("hung", 1)
    if leave == "close":
        connection.socket.close()
    else:
        connection.reset()
    server.wait_for_stat("hung", 0)


def test_a_client_that_leaves_with_requests_behind_the_one_that_waits_is_noticed(server):
    connection = server.connect()
    connection.send((b"GET /hang HTTP/1.1\r\n" + HOST + b"\r\n") * 3)
    server.wait_for_stat("hung", 1)
    connection.socket.close()
    server.wait_for_stat("hung", 0)


def test_a_client_that_closes_its_side_and_waits_is_answered(server):
    with server.connect() as connection:
        connection.request("GET", "/later?ms=1500")
        connection.half_close()
        while (answer := connection.answer()).status == 100:
            pass
        assert answer.body == b"later"
        assert connection.is_closed()


def test_http_1_0_gets_no_interim_answer(server):
    with server.connect() as connection:
        connection.send(b"GET /later?ms=1500 HTTP/1.0\r\n\r\n")
        connection.half_close()
        assert connection.answer().body == b"later"


def test_the_second_of_two_posts_finds_the_exchange_gone(server):
    before = server.stats()["posts_gone"]
    with server.connect() as connection:
        assert connection.call("GET", "/twice").body == b"later"
        assert connection.call("GET", "/").status == 200
    server.wait_for_stat("posts_gone", before + 1)


def test_a_stream_is_told_when_its_client_goes_away(server):
    for leave in ("half_close", "reset"):
        before = server.stats()["streams_gone"]
        connection = server.connect()
        connection.send(b"POST /count HTTP/1.1\r\n", HOST, b"Content-Length: 100\r\n\r\nabc")
        time.sleep(0.05)
        getattr(connection, leave)()
        server.wait_for_stat("streams_gone", before + 1)


def test_a_stream_is_told_when_its_framing_is_bad(server):
    before = server.stats()["streams_gone"]
    with server.connect() as connection:
        connection.send(b"POST /count HTTP/1.1\r\n", HOST, b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx")
        assert connection.answer().status == 400
        assert connection.is_closed()
    server.wait_for_stat("streams_gone", before + 1)


def test_a_source_is_freed_when_its_client_goes_away(server):
    before = server.stats()["sources_freed"]
    connection = server.connect()
    connection.request("GET", "/generate?pieces=1000000&size=65536")
    connection.take(1000)
    connection.reset()
    server.wait_for_stat("sources_freed", before + 1)


def test_a_source_can_break_the_connection(server):
    with server.connect() as connection:
        connection.request("GET", "/generate?pieces=2&size=5&breaks=1")
        with pytest.raises(Closed):
            connection.answer()


def test_connections_over_the_limit_are_told_to_come_back(start):
    server = start(connections=10)
    held = [server.connect() for _ in range(10)]
    for connection in held:
        assert connection.call("GET", "/").status == 200
    for _ in range(5):
        with server.connect() as connection:
            connection.request("GET", "/")
            answer = connection.answer()
            assert answer.status == 503
            assert answer.header("Retry-After") == "1"
            assert answer.closes
            assert connection.is_closed()
    held.pop().socket.close()
    deadline = time.monotonic() + 10
    while server.call("GET", "/").status != 200:
        assert time.monotonic() < deadline
    for connection in held:
        assert connection.call("GET", "/").status == 200
        connection.socket.close()


def test_a_taken_port_is_named(start, server):
    with pytest.raises(RuntimeError, match=f"port {server.port} is taken"):
        start(port=server.port)


def test_drain_lets_an_open_request_finish_and_closes_the_idle(start):
    server = start()
    idle, busy, silent = server.connect(), server.connect(), server.connect()
    assert idle.call("GET", "/").status == 200
    busy.request("GET", "/later?ms=700")
    time.sleep(0.2)
    server.terminate()
    assert idle.is_closed()
    assert silent.is_closed()
    answer = busy.answer()
    assert answer.body == b"later"
    assert answer.closes
    busy.socket.close()
    with pytest.raises(ConnectionError):
        server.connect()
    server.stop()


def test_drain_lets_a_large_body_come_to_its_end(start):
    server = start()
    body = b"x" * 3000000
    with server.connect() as connection:
        connection.send(b"POST /count?pause_ms=1 HTTP/1.1\r\n", HOST, b"Content-Length: 3000000\r\n\r\n",
                        body[:2000000])
        time.sleep(0.2)
        server.terminate()
        connection.send(body[2000000:])
        answer = connection.answer()
        assert answer.body == counted(body)
        assert answer.closes
    server.stop()


def test_drain_cuts_a_large_body_that_takes_too_long(start):
    server = start(drain_ms=200)
    with server.connect() as connection:
        connection.send(b"POST /count HTTP/1.1\r\n", HOST, b"Content-Length: 3000000\r\n\r\n", b"x" * 2000000)
        time.sleep(0.2)
        server.terminate()
        assert connection.is_closed()
    server.stop()


def test_drain_cuts_what_takes_too_long(start):
    server = start(drain_ms=200)
    connection = server.connect()
    connection.request("GET", "/later?ms=1500")
    time.sleep(0.2)
    server.terminate()
    began = time.monotonic()
    assert connection.is_closed()
    assert time.monotonic() - began < 1.2
    server.stop()
