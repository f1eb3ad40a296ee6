# SPDX-License-Identifier: Apache-2.0
"""What is a request, where it ends, and what is refused because that is not clear."""
import pytest

from tests.wire.client import HOST

GET = b"GET / HTTP/1.1\r\n"
POST = b"POST /echo HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED = {
    "length and coding": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "the same length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "a signed length": POST + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": POST + b"Content-Length: -1\r\n\r\nhello",
    "a length with a space": POST + b"Content-Length: 1 1\r\n\r\nhello",
    "a length in hex": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "an empty length": POST + b"Content-Length: \r\n\r\nhello",
    "a length that overflows": POST + b"Content-Length: 18446744073709551616\r\n\r\nhello",
    "gzip, chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "chunked with HTTP/1.0": b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded header": GET + HOST + b"A: b\r\n c\r\n\r\n",
    "a first header that begins with a space": GET + b" A: b\r\n" + HOST + b"\r\n",
    "a bare LF after the request line": b"GET / HTTP/1.1\n" + HOST + b"\r\n",
    "a bare LF after a header": GET + b"Host: wire\nA: b\r\n\r\n",
    "a bare LF at the end": GET + HOST + b"\n",
    "a bare CR in a header": GET + HOST + b"A: b\rc\r\n\r\n",
    "a space before the colon": GET + b"Host : wire\r\n\r\n",
    "an empty name": GET + HOST + b": b\r\n\r\n",
    "a line without a colon": GET + HOST + b"nothing\r\n\r\n",
    "a NUL in a value": GET + HOST + b"A: b\0c\r\n\r\n",
    "a control character in a value": GET + HOST + b"A: b\x01c\r\n\r\n",
    "a control character in a name": GET + HOST + b"A\x01: b\r\n\r\n",
    "a method that is no token": b"G@T / HTTP/1.1\r\n" + HOST + b"\r\n",
    "two spaces in the request line": b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n",
    "no version": b"GET /\r\n" + HOST + b"\r\n",
    "a target with a byte over 7f": b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a control character": b"GET /\x01 HTTP/1.1\r\n" + HOST + b"\r\n",
    "an absolute target": b"GET http://wire/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a star with GET": b"GET * HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT": b"CONNECT wire:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "no Host": GET + b"\r\n",
    "two Hosts": GET + HOST + HOST + b"\r\n",
    "two Authorizations": GET + HOST + b"Authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n",
    "two empty lines before the request": b"\r\n\r\n" + GET + HOST + b"\r\n",
    "a chunk size that is no number": CHUNKED + b"x\r\nhello\r\n0\r\n\r\n",
    "an empty chunk size": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "a signed chunk size": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "a space after the chunk size": CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
    "a chunk size that overflows": CHUNKED + b"10000000000000000\r\nhello\r\n0\r\n\r\n",
    "a chunk line with a bare LF": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "chunk data with a bare LF after it": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
    "a chunk extension that never ends": CHUNKED + b"5;" + b"a" * 300,
    "trailers that never end": CHUNKED + b"0\r\nA: " + b"a" * 9000,
    "a trailer with a bare LF": CHUNKED + b"0\r\nA: b\n\r\n",
    "a trailer that is none": CHUNKED + b"0\r\nnothing\r\n\r\n",
}


@pytest.mark.parametrize("bytes_in", REFUSED.values(), ids=REFUSED.keys())
def test_unclear_framing_is_answered_400_and_the_connection_closed(server, bytes_in):
    with server.connect() as connection:
        connection.send(bytes_in)
        answer = connection.answer()
        assert answer.status == 400
        assert answer.closes
        assert answer.header("Content-Type") == "application/json"
        assert answer.error
        assert connection.is_closed()


@pytest.mark.parametrize("head, status", [
    (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    (POST + b"Content-Length: 5\r\nExpect: a miracle\r\n\r\n", 417),
    (b"GET /" + b"a" * 33000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    (GET + HOST + b"A: " + b"b" * 33000 + b"\r\n\r\n", 431),
    (GET + HOST + b"A: b\r\n" * 100 + b"\r\n", 431),
])
def test_other_refusals_have_their_own_status_and_close(server, head, status):
    with server.connect() as connection:
        connection.send(head)
        answer = connection.answer()
        assert answer.status == status
        assert answer.closes
        assert connection.is_closed()


def test_what_follows_a_refused_request_is_not_answered(server):
    before = server.stats()["exchanges"]
    with server.connect() as connection:
        connection.send(REFUSED["length and coding"], GET, HOST, b"\r\n")
        assert connection.answer().status == 400
        assert connection.is_closed()
    assert server.stats()["exchanges"] == before + 1


def test_a_hundred_headers_are_accepted(connection):
    connection.send(GET, HOST, b"A: b\r\n" * 99, b"\r\n")
    assert connection.answer().status == 200


def test_a_head_of_32_kib_is_accepted(connection):
    head = GET + HOST + b"A: "
    connection.send(head, b"b" * (32 * 1024 - len(head) - 4), b"\r\n\r\n")
    assert connection.answer().status == 200


def test_a_request_may_be_cut_at_each_byte(connection):
    request = POST + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
    for cut in range(1, len(request)):
        connection.send(request[:cut])
        if cut % 8 == 0:  # mostly trust the loop to be fast; sometimes make sure of it
            assert connection.is_quiet(0.005)
        connection.send(request[cut:])
        assert connection.answer().body == b"abcde"


def test_a_request_may_come_byte_by_byte(connection):
    for byte in POST + b"Content-Length: 3\r\n\r\nabc":
        connection.send(bytes([byte]))
    assert connection.answer().body == b"abc"


def test_an_empty_line_before_the_request_is_skipped(connection):
    for _ in range(3):
        connection.send(b"\r\n", GET, HOST, b"\r\n")
        assert connection.answer().status == 200


def test_the_head_is_still_there_when_the_body_has_been_read(connection):
    answer = connection.call("PUT", "/show?a=b&c", "X-One: 1", "X-Two:  two words\t", body=b"x" * 100000)
    assert answer.body == (b"PUT|/show|a=b&c|Host=wire|X-One=1|X-Two=two words|Content-Length=100000|"
                           + b"x" * 100000)


def test_options_takes_a_star(connection):
    assert connection.call("OPTIONS", "*").status == 200


def test_chunked_bodies_of_any_shape_are_decoded(connection):
    for sizes in ([1], [1] * 1000, [65536, 1, 65537], [300000]):
        connection.send(CHUNKED)
        for size in sizes:
            connection.send(f"{size:X}\r\n", b"z" * size, b"\r\n")
        connection.send(b"0\r\n\r\n")
        assert connection.answer().body == b"z" * sum(sizes)


def test_a_body_over_the_limit_of_the_route_is_413(server):
    with server.connect() as connection:
        connection.send(POST.replace(b"/echo", b"/echo?max=10"), b"Content-Length: 11\r\n\r\n", b"x" * 11)
        answer = connection.answer()
        assert answer.status == 413
        assert "10 bytes" in answer.error


def test_a_chunked_body_over_the_limit_of_the_route_is_413(server):
    with server.connect() as connection:
        connection.send(CHUNKED.replace(b"/echo", b"/echo?max=10"), b"6\r\nabcdef\r\n")
        assert connection.is_quiet(0.1)
        connection.send(b"5\r\nabcde\r\n")
        answer = connection.answer()
        assert answer.status == 413
        assert answer.closes
