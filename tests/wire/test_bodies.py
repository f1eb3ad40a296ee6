# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests: 100 Continue, answers before the end, large bodies, back-pressure."""
import itertools
import random
import subprocess
import threading
import time

import pytest

from tests.wire.client import HOST, counted, sanitized

TRANSPORTS = ["plain", "tls"]
MIB = 1024 * 1024


def expecting(target, length):
    return (b"POST %s HTTP/1.1\r\n" % target) + HOST + \
        b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % length


def test_100_continue_comes_when_the_service_wants_the_body(connection):
    for target, body in ((b"/echo", b"hello"), (b"/count", counted(b"hello"))):
        connection.send(expecting(target, 5))
        assert connection.answer().status == 100
        connection.send(b"hello")
        assert connection.answer().body == body


def test_100_continue_waits_until_the_service_wants_the_body(connection):
    connection.send(expecting(b"/echo-later?ms=300", 5))
    assert connection.is_quiet(0.15)
    assert connection.answer().status == 100
    connection.send(b"hello")
    assert connection.answer().body == b"hello"


def test_100_continue_is_not_sent_to_who_did_not_wait(connection):
    connection.send(expecting(b"/echo", 5), b"hello")
    assert connection.answer().body == b"hello"


def test_100_continue_is_not_sent_where_there_is_no_body(connection):
    connection.send(expecting(b"/echo", 0))
    assert connection.answer().status == 200


def test_an_early_answer_comes_instead_of_100_continue_and_closes(server):
    with server.connect() as connection:
        connection.send(expecting(b"/early", 5))
        answer = connection.answer()
        assert answer.status == 403
        assert answer.closes  # the client may or may not send those 5 bytes
        assert connection.is_closed()


def test_413_comes_instead_of_100_continue(server):
    with server.connect() as connection:
        connection.send(expecting(b"/echo", 2 * MIB))
        answer = connection.answer()
        assert answer.status == 413
        assert answer.closes
        assert connection.is_closed()


def test_curl_does_not_send_a_body_that_is_too_large(server, tmp_path):
    (tmp_path / "body").write_bytes(b"x" * 2 * MIB)
    done = subprocess.run(
        ["curl", "-sSk", "--noproxy", "*", "--expect100-timeout", "10", "-H", "Expect: 100-continue",
         "--data-binary", f"@{tmp_path}/body", "-o", "/dev/null", "-w", "%{http_code} %{size_upload}",
         f"{server.url}/echo"], stdout=subprocess.PIPE, check=True, timeout=30)
    assert done.stdout == b"413 0"


def test_an_early_answer_with_little_body_left_keeps_the_connection(connection):
    for _ in range(3):
        connection.send(b"POST /early HTTP/1.1\r\n", HOST, b"Content-Length: 60000\r\n\r\n")
        answer = connection.answer()
        assert answer.status == 403
        assert not answer.closes
        connection.send(b"x" * 60000)
    assert connection.call("GET", "/").status == 200


def test_an_early_answer_to_a_chunked_body_keeps_the_connection_only_if_it_is_there(server):
    head = b"POST /early HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    with server.connect() as connection:
        connection.send(head, b"5\r\nhello\r\n0\r\n\r\n")
        assert not connection.answer().closes
        connection.send(head, b"5\r\nhel")
        assert connection.answer().closes
        assert connection.is_closed()


def test_a_dropped_body_with_bad_chunks_closes(server):
    with server.connect() as connection:
        connection.send(b"POST /early HTTP/1.1\r\n", HOST, b"Transfer-Encoding: chunked\r\n\r\nx\r\n")
        assert connection.answer().closes
        assert connection.is_closed()


@pytest.mark.parametrize("target, status", [("/early", 403), ("/abort", 409), ("/echo", 413)])
def test_an_early_answer_is_seen_by_a_client_that_is_still_sending(server, target, status):
    for _ in range(5):
        with server.connect() as connection:
            connection.send(f"POST {target} HTTP/1.1\r\n", HOST, b"Content-Length: 20000000\r\n\r\n")
            try:
                for _ in range(100):
                    connection.send(b"x" * 20000)
            except ConnectionError:
                pytest.fail("reset before the answer was read")
            answer = connection.answer()
            assert answer.status == status
            assert answer.closes
            assert connection.is_closed()


def test_a_stream_can_be_answered_in_its_middle(connection):
    answer = connection.call("POST", "/abort", body=b"x" * 50000)
    assert answer.status == 409
    assert connection.call("GET", "/").status == 200


def test_a_paused_stream_does_not_lose_a_byte(connection):
    body = bytes(range(256)) * 2000
    answer = connection.call("POST", "/count?pause_ms=1", body=body)
    assert answer.body == counted(body)


def test_a_paused_chunked_stream_does_not_lose_a_byte(connection):
    connection.send(b"POST /count?pause_ms=1 HTTP/1.1\r\n", HOST, b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(200):
        connection.send(b"100\r\n", bytes(range(256)), b"\r\n")
    connection.send(b"0\r\n\r\n")
    assert connection.answer().body == counted(bytes(range(256)) * 200)


@pytest.mark.parametrize("target, answered", [
    ("/count", counted),
    ("/count?pause_ms=2", counted),
    ("/echo?max=10000000", bytes),
])
def test_a_large_body_in_odd_pieces_arrives_whole(connection, target, answered):
    body = random.Random(1).randbytes(5 * MIB + 17)
    connection.send(f"POST {target} HTTP/1.1\r\n", HOST, b"Content-Length: %d\r\n\r\n" % len(body))
    sizes = itertools.cycle([1, 4095, 4097, 70001, 3, 300007, 65536, 1000003])
    at = 0
    while at < len(body):
        size = next(sizes)
        connection.send(body[at:at + size])
        at += size
        if size < 10:
            time.sleep(0.005)  # so that it is a piece of its own
    assert connection.answer().body == answered(body)
    assert connection.call("GET", "/").status == 200


@pytest.mark.parametrize("target", ["/count", "/count?pause_ms=2"])
def test_the_request_right_behind_a_large_body_is_answered(connection, target):
    for length in (256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 3 * MIB):
        body = random.Random(length).randbytes(length)
        for _ in range(2):
            connection.request("POST", target, body=body)
        connection.request("HEAD", "/length")
        connection.request("POST", "/echo", body=b"next")
        for _ in range(2):
            assert connection.answer().body == counted(body)
        assert connection.answer("HEAD").header("Content-Length") == "1234567890123"
        assert connection.answer().body == b"next"


@pytest.mark.parametrize("left", [1, 60000])
def test_the_rest_of_a_large_body_answered_in_its_middle_is_dropped(connection, left):
    body = b"x" * (2 * MIB + left)
    for _ in range(5):
        connection.request("POST", f"/abort?after={2 * MIB}", body=body)
        connection.request("POST", "/echo", body=b"next")
        assert connection.answer().status == 409
        assert connection.answer().body == b"next"


@pytest.mark.parametrize("leave", ["half_close", "reset"])
@pytest.mark.parametrize("target", ["/count", "/count?pause_ms=100"])
def test_a_stream_is_told_when_a_large_body_is_cut(server, target, leave):
    before = server.stats()["streams_gone"]
    connection = server.connect()
    connection.send(f"POST {target} HTTP/1.1\r\n", HOST, b"Content-Length: %d\r\n\r\n" % (4 * MIB),
                    b"x" * MIB)
    getattr(connection, leave)()
    server.wait_for_stat("streams_gone", before + 1)
    connection.socket.close()


def test_an_endless_body_leaves_the_others_their_turns(start):
    """It comes faster than the loop can take it, so the socket is never empty."""
    server = start(loops=1)
    done = threading.Event()

    def send_on():
        with server.connect() as connection:
            connection.send(b"POST /count?work_ms=5 HTTP/1.1\r\n", HOST, b"Content-Length: %d\r\n\r\n" % 10 ** 15)
            while not done.is_set():
                connection.send(b"x" * MIB)
            connection.reset()

    sender = threading.Thread(target=send_on)
    sender.start()
    try:
        for _ in range(20):
            assert server.call("GET", "/").status == 200
    finally:
        done.set()
        sender.join()


def test_a_large_body_to_a_slow_consumer_keeps_memory_flat(start):
    server = start()
    assert server.call("POST", "/count", body=b"x" * MIB).status == 200
    before, most, done = server.memory_kib(), 0, threading.Event()

    def watch():
        nonlocal most
        while not done.is_set():
            most = max(most, server.memory_kib())
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with server.connect() as connection:
        connection.send(b"POST /count?pause_ms=1 HTTP/1.1\r\n", HOST, b"Content-Length: %d\r\n\r\n" % (64 * MIB))
        for _ in range(64):
            connection.send(b"\1" * MIB)
        assert connection.answer().body == counted(b"\1" * 64 * MIB)
    done.set()
    watcher.join()
    assert most - before < (20000 if sanitized() else 2000), f"{before} KiB grew to {most} KiB"


def test_a_generated_answer_to_a_slow_reader_keeps_memory_flat(start):
    server = start()
    assert server.call("GET", "/generate?pieces=100&size=65536").status == 200
    before = server.memory_kib()
    with server.connect() as connection:
        connection.request("GET", "/generate?pieces=1000000&size=65536")
        connection.take(1000)
        time.sleep(0.5)
        assert server.memory_kib() - before < (20000 if sanitized() else 2000)
        connection.reset()


def test_pipelined_bytes_wait_in_the_kernel_and_not_in_memory(start):
    server = start()
    before = server.memory_kib()
    with server.connect() as connection:
        connection.request("GET", "/later?ms=1000")
        connection.socket.settimeout(0.3)
        try:
            connection.send(b"x" * 64 * MIB)
        except (TimeoutError, OSError):
            pass
        assert server.memory_kib() - before < (20000 if sanitized() else 2000)
        connection.reset()


def begin_body(connection, length, sent):
    """A body that the server collects, without its end."""
    connection.send(b"POST /echo HTTP/1.1\r\n", HOST, b"Content-Length: %d\r\n\r\n" % length, b"x" * sent)


def test_bodies_together_take_no_more_memory_than_allowed(start):
    server = start(collected=4 * MIB)
    held = [server.connect() for _ in range(40)]
    for connection in held:
        begin_body(connection, MIB - 1, sent=MIB - 2)
    kept = [connection for connection in held if connection.is_quiet(0.5)]
    assert len(kept) == 4
    for connection in held:
        if connection in kept:
            connection.send(b"x")
            assert connection.answer().body == b"x" * (MIB - 1)
        else:
            answer = connection.answer()
            assert answer.status == 503
            assert answer.closes
            assert int(answer.header("Retry-After")) >= 1
            assert "try again" in answer.error
            assert connection.is_closed()
        connection.socket.close()


def test_small_bodies_have_room_when_large_ones_fill_the_rest(start):
    server = start(collected=4 * MIB, reserved=MIB)
    held = [server.connect() for _ in range(40)]
    for connection in held:
        begin_body(connection, MIB - 1, sent=MIB - 2)
    assert len([connection for connection in held if connection.is_quiet(0.5)]) == 3
    assert server.call("POST", "/echo", body=b"x" * 600000).status == 503
    assert server.call("POST", "/echo", body=b"x" * 60000).status == 200
    for connection in held:
        connection.socket.close()


def test_a_body_that_was_only_announced_takes_no_memory(start):
    server = start(collected=MIB)
    held = [server.connect() for _ in range(40)]
    for connection in held:
        begin_body(connection, MIB, sent=1)
    assert server.call("POST", "/echo", body=b"x" * 500000).status == 200
    for connection in held:
        connection.socket.close()


@pytest.mark.parametrize("end, status", [
    (b"0\r\n\r\n", 200),
    (b"", 408),
    (b"10000\r\n" + b"x" * 65536, 413),
    (b"no chunk\r\n", 400),
    (None, None),
], ids=["answered", "stalled", "too large", "malformed", "broken"])
def test_the_memory_of_a_body_is_given_back_however_its_request_ends(start, end, status):
    server = start(loops=1, collected=MIB, body_grace_ms=700, body_rate=1000)
    body = b"x" * 590000  # there is memory for one of these
    for _ in range(3):
        with server.connect() as connection:
            connection.send(b"POST /echo?max=600000 HTTP/1.1\r\n", HOST, b"Transfer-Encoding: chunked\r\n\r\n",
                            b"%x\r\n" % len(body), body, b"\r\n")
            assert connection.is_quiet(0.3)
            assert server.call("POST", "/echo", body=body).status == 503
            if status:
                connection.send(end)
                assert connection.answer().status == status
            else:
                connection.reset()
        deadline = time.monotonic() + 10
        while server.call("POST", "/echo", body=body).status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)


# ---- bodies that are asked about once they are large ----

@pytest.mark.parametrize("size", [0, 1000, 1001, 300000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_there_is_room_for_is_taken(server, size, chunked):
    with server.connect() as connection:
        body = b"x" * size
        if chunked:
            head = b"Transfer-Encoding: chunked\r\n\r\n"
            body = (b"%x\r\n" % size + body + b"\r\n" if size else b"") + b"0\r\n\r\n"
        else:
            head = b"Content-Length: %d\r\n\r\n" % size
        for _ in range(2):
            connection.send(b"POST /echo-large HTTP/1.1\r\n", HOST, head, body)
            assert connection.answer().body == b"x" * size


def test_a_large_body_that_there_is_no_room_for_is_not_waited_for(server):
    with server.connect() as connection:
        connection.send(b"POST /echo-large?room=5000 HTTP/1.1\r\n", HOST, b"Content-Length: 5001\r\n",
                        b"Expect: 100-continue\r\n\r\n")
        answer = connection.answer()
        assert answer.status == 429 and "5001 bytes" in answer.error


def test_a_body_of_no_declared_length_is_asked_about_once_it_is_large(server):
    with server.connect() as connection:
        connection.send(b"POST /echo-large?room=5000&max=6000 HTTP/1.1\r\n", HOST,
                        b"Transfer-Encoding: chunked\r\n\r\n", b"3e8\r\n", b"x" * 1000, b"\r\n")
        assert connection.is_quiet(0.3)
        connection.send(b"1\r\nx\r\n")
        answer = connection.answer()
        assert answer.status == 429 and "6000 bytes" in answer.error


def test_the_memory_of_a_body_that_was_taken_over_is_given_back(start):
    server = start(loops=1, collected=MIB)
    for _ in range(5):
        assert server.call("POST", "/echo-large", body=b"x" * 600000).status == 200
