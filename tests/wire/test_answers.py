# SPDX-License-Identifier: Apache-2.0
"""Bodies of answers in all their forms."""
import pytest

from tests.wire.client import HOST, counted

TRANSPORTS = ["plain", "tls"]
FILE_SIZE = 8 * 1024 * 1024


def file_bytes(first, last):
    return bytes(i % 251 for i in range(first, last + 1))


def test_a_generated_answer_is_chunked(connection):
    answer = connection.call("GET", "/generate?pieces=3&size=2")
    assert answer.header("Transfer-Encoding") == "chunked"
    assert answer.body == b"ccbbaa"
    assert connection.call("GET", "/generate?pieces=0").body == b""
    assert connection.call("GET", "/").status == 200


def test_a_large_generated_answer_arrives_whole(connection):
    answer = connection.call("GET", "/generate?pieces=1000&size=40000")
    assert len(answer.body) == 40_000_000


def test_http_1_0_gets_a_generated_answer_until_the_close(server):
    with server.connect() as connection:
        connection.send(b"GET /generate?pieces=3&size=2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = connection.answer()
        assert answer.header("Transfer-Encoding") is None
        assert answer.closes
        assert answer.body == b"ccbbaa"


def test_an_answer_larger_than_the_socket_takes_arrives_whole(connection):
    connection.request("GET", "/bytes?n=30000000")
    assert connection.answer().body == b"x" * 30_000_000
    assert connection.call("GET", "/").status == 200


def test_a_file_is_sent_whole_and_in_ranges(connection):
    assert connection.call("GET", "/file").body == file_bytes(0, FILE_SIZE - 1)
    for first, last in ((0, 0), (1, 1), (250, 1000), (4095, 70000), (FILE_SIZE - 1, FILE_SIZE - 1)):
        answer = connection.call("GET", "/file", f"Range: bytes={first}-{last}")
        assert answer.status == 206
        assert answer.header("Content-Range") == f"bytes {first}-{last}/{FILE_SIZE}"
        assert answer.body == file_bytes(first, last)
    answer = connection.call("GET", "/file", "Range: bytes=-5")
    assert answer.body == file_bytes(FILE_SIZE - 5, FILE_SIZE - 1)
    assert connection.call("GET", "/file", f"Range: bytes={FILE_SIZE}-").status == 416


def test_a_file_shorter_than_promised_breaks_the_connection(server):
    with server.connect() as connection:
        connection.request("GET", "/file?lie=10")
        status, headers = connection.head()
        assert status == 200 and int(headers["content-length"]) == FILE_SIZE + 10
        assert len(connection.take_rest()) <= FILE_SIZE


@pytest.mark.parametrize("target, length", [
    ("/", "512"), ("/bytes?n=100000", "100000"), ("/file", str(FILE_SIZE)), ("/length", "1234567890123"),
    ("/generate", None), ("/nothing", "13"),
])
def test_head_has_the_length_and_no_body(connection, target, length):
    for _ in range(2):
        answer = connection.call("HEAD", target)
        assert answer.header("Content-Length") == length
    assert connection.call("GET", "/").status == 200


def test_204_has_neither_body_nor_length(connection):
    answer = connection.call("GET", "/bytes?status=204&n=5")
    assert answer.status == 204
    assert answer.header("Content-Length") is None
    assert connection.call("GET", "/").status == 200


def test_304_has_no_body_and_its_length_only_where_it_is_known(connection):
    assert connection.call("GET", "/bytes?status=304").header("Content-Length") is None
    assert connection.call("GET", "/bytes?status=304&n=5").header("Content-Length") == "5"
    assert connection.call("GET", "/").status == 200


def test_an_empty_answer_says_so(connection):
    answer = connection.call("GET", "/bytes?n=0")
    assert answer.header("Content-Length") == "0"
    assert answer.body == b""


def test_an_answer_too_large_for_memory_is_503(connection):
    answer = connection.call("GET", "/bytes?n=300000000")
    assert answer.status == 503
    assert answer.header("Retry-After")


def test_answers_come_from_other_threads(connection):
    for _ in range(20):
        assert connection.call("GET", "/later?ms=1").body == b"later"


def test_the_body_may_be_asked_for_later_and_from_another_thread(connection):
    for size in (0, 10, 100_000, 1_000_000):
        assert connection.call("POST", "/echo-later?ms=20", body=b"y" * size).body == b"y" * size


def test_requests_without_a_body_can_be_read(connection):
    connection.send(b"POST /echo HTTP/1.1\r\n", HOST, b"\r\n")
    assert connection.answer().body == b""
    connection.send(b"POST /count HTTP/1.1\r\n", HOST, b"Content-Length: 0\r\n\r\n")
    assert connection.answer().body == counted(b"")
