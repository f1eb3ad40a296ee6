# SPDX-License-Identifier: Apache-2.0
"""What is TLS's own: handshakes good, bad and unfinished, its end, and certificates that change.

That HTTP is the same over TLS is the other modules' matter: they run with both TRANSPORTS."""
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import zlib

import pytest

from tests.lib.certificate import self_signed
from tests.wire.client import DEADLINE_S, HOST, Closed, Connection, Server, raise_file_limit, sanitized, trusting

TRANSPORTS = ["tls"]
MIB = 1024 * 1024


def client_hello():
    """The first bytes that a client sends."""
    into = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), into, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return into.read()


def s_client(server, *options, lines):
    """Tells the command each line when it has written the mark before it; its exit status and what it wrote."""
    written = b""
    with subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-no_ign_eof", *options],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for mark, line in lines:
            while mark not in written:
                piece = os.read(process.stdout.fileno(), 65536)
                assert piece, written
                written += piece
            written = written.replace(mark, b"", 1)
            process.stdin.write(line)
            process.stdin.flush()
        rest, _ = process.communicate(timeout=DEADLINE_S)
    return process.returncode, written + rest


# ---- handshakes ----

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(server, version):
    context = trusting(server.certificate)
    context.minimum_version = context.maximum_version = version
    with server.connect(tls=context) as connection:
        assert connection.socket.version() == version.name.replace("_", ".")
        assert connection.call("POST", "/echo", body=b"hello").body == b"hello"
        assert connection.call("GET", "/peer").body == b"127.0.0.1 tls"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_older_versions_are_refused(server, version):
    context = trusting(server.certificate)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        server.connect(tls=context)


@pytest.mark.parametrize("offered, chosen", [(["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), ([], None)])
def test_http_1_1_is_what_is_chosen(server, offered, chosen):
    context = trusting(server.certificate)
    context.set_alpn_protocols(offered)
    with server.connect(tls=context) as connection:
        assert connection.socket.selected_alpn_protocol() == chosen
        assert connection.call("GET", "/").status == 200


def test_a_client_that_speaks_only_http_2_is_refused(server):
    context = trusting(server.certificate)
    context.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        server.connect(tls=context)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed(server, version):
    context = trusting(server.certificate)
    context.minimum_version = context.maximum_version = version
    with server.connect(tls=context) as connection:
        assert connection.call("GET", "/").status == 200
        session = connection.socket.session
    with server.connect(tls=None) as connection:
        connection.socket = context.wrap_socket(connection.socket, server_hostname="localhost", session=session)
        assert connection.call("GET", "/").status == 200
        assert connection.socket.session_reused


def test_renegotiation_is_refused(server):
    code, written = s_client(server, "-tls1_2", lines=[(b"Verify return code", b"R\n")])
    assert code != 0
    assert b"RENEGOTIATING" in written and b"no renegotiation" in written


def test_keys_may_be_renewed_between_requests(server):
    """The client asks for new keys of both sides (RFC 8446 section 4.6.3)."""
    request = b"GET /peer HTTP/1.1\r\nHost: wire\r\nConnection: close\r\n\r\n"
    code, _ = s_client(server, "-tls1_3", lines=[
        (b"Verify return code", b"K\n"), (b"KEYUPDATE", b"K\n"), (b"KEYUPDATE", request), (b"127.0.0.1 tls", b"")])
    assert code == 0


def test_a_client_that_only_renews_keys_is_cut_off(server):
    """As long as such records come, nothing else would be done on the loop: 64 in a row are enough. Three of them are
    the handshake's."""
    request = b"GET /peer HTTP/1.1\r\nHost: wire\r\nConnection: close\r\n\r\n"

    def renewed(times):
        return [(b"Verify return code", b"k\n")] + [(b"KEYUPDATE", b"k\n")] * (times - 1)

    s_client(server, "-tls1_3", lines=renewed(60) + [(b"KEYUPDATE", request), (b"127.0.0.1 tls", b"")])
    s_client(server, "-tls1_3", lines=renewed(62) + [(b"closed", b"")])


def test_a_handshake_may_come_byte_by_byte(server):
    """By way of a relay that passes on single bytes."""
    relay = socket.create_server(("127.0.0.1", 0))

    def pass_on():
        client, _ = relay.accept()
        with client, socket.create_connection(("127.0.0.1", server.port)) as behind:
            behind.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answers = threading.Thread(target=copy, args=(behind, client), daemon=True)
            answers.start()
            while byte := client.recv(1):
                behind.sendall(byte)
            behind.shutdown(socket.SHUT_WR)
            answers.join()

    def copy(source, target):
        while piece := source.recv(65536):
            target.sendall(piece)

    thread = threading.Thread(target=pass_on, daemon=True)
    thread.start()
    with Connection(relay.getsockname()[1], tls=server.tls) as connection:
        assert connection.call("POST", "/echo", body=b"x" * 5000).body == b"x" * 5000
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    relay.close()


# ---- what is no handshake ----

def test_plain_http_is_told_to_use_https(server):
    with server.connect(tls=None) as connection:
        answer = connection.call("GET", "/")
        assert answer.status == 400
        assert "use https://" in answer.error
        assert answer.closes
        assert connection.is_closed()


def test_tls_to_a_plain_port_is_a_bad_request():
    plain = Server()
    with plain.connect() as connection:
        connection.send(client_hello(), b"\r\n\r\n")
        assert connection.answer().status == 400
        assert connection.is_closed()
    plain.stop()


@pytest.mark.parametrize("garbage", [
    b"\x16" * 500,
    b"\x16\x03\x01\xff\xff" + b"\0" * 500,
    b"\x16\x03\x01\x00\x05hello" + b"\0" * 500,
    b"\x16\x03\x03\x00\x00" * 100,
], ids=["handshakes", "a long record", "no hello", "empty records"])
def test_garbage_ends_the_handshake(server, garbage):
    with server.connect(tls=None) as connection:
        connection.send(garbage)
        connection.half_close()
        assert b"HTTP" not in connection.take_rest()
    assert server.call("GET", "/").status == 200


def test_garbage_after_the_handshake_ends_the_connection(server):
    with server.connect() as connection:
        assert connection.call("GET", "/").status == 200
        connection.send_past_tls(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
            connection.take_rest()


def test_garbage_in_a_body_is_its_end(server):
    before = server.stats()["streams_gone"]
    with server.connect() as connection:
        connection.send(b"POST /count HTTP/1.1\r\n", HOST, b"Content-Length: 1000000\r\n\r\n", b"x" * 300000)
        connection.send_past_tls(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        server.wait_for_stat("streams_gone", before + 1)


def test_a_hello_may_be_cut_anywhere(server):
    hello = client_hello()
    for n in (1, 4, 5, 6, 100, len(hello) - 1, len(hello)):
        for leave in ("half_close", "reset"):
            with server.connect(tls=None) as connection:
                connection.send(hello[:n])
                getattr(connection, leave)()
                if leave == "half_close":
                    connection.take_rest()
    assert server.call("GET", "/").status == 200


def test_1000_half_open_handshakes_are_cut_and_others_are_served(start):
    raise_file_limit()
    server = start(head_ms=3000)
    hello, before = client_hello(), server.memory_kib()
    silent = [server.connect(tls=None) for _ in range(500)]
    half = [server.connect(tls=None) for _ in range(500)]
    for connection in half:
        connection.send(hello[:100])
    assert server.call("GET", "/").status == 200
    if not sanitized():
        assert server.memory_kib() - before < 50 * 1024
    cpu = server.cpu_s()
    for connection in silent + half:
        assert connection.take_rest() == b""
        connection.socket.close()
    assert server.cpu_s() - cpu < 1
    assert server.call("GET", "/").status == 200


def test_a_byte_now_and_then_does_not_move_the_deadline_of_the_handshake(start):
    server = start(head_ms=500)
    began, sent = time.monotonic(), 0
    hello = client_hello()
    with server.connect(tls=None) as connection:
        while connection.is_quiet(0.02):
            connection.send(hello[sent:sent + 1])
            sent += 1
        assert sent < len(hello) - 1
    assert time.monotonic() - began < 5


def test_after_the_handshake_a_client_may_take_its_time(start):
    server = start(head_ms=300)
    with server.connect() as connection:
        time.sleep(1)
        assert connection.call("GET", "/").status == 200


def test_a_drain_does_not_wait_for_handshakes(start):
    server = start(drain_ms=60000)
    with server.connect(tls=None) as silent, server.connect(tls=None) as half:
        half.send(client_hello()[:50])
        time.sleep(0.2)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 10
        assert silent.take_rest() == half.take_rest() == b""


# ---- the end ----

def connect_strictly(server):
    """An end without a word (close_notify) is an error."""
    context = trusting(server.certificate)
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    connection = server.connect(tls=context)
    connection.socket.suppress_ragged_eofs = False
    return connection


def test_the_last_answer_is_followed_by_the_end_of_tls(server):
    with connect_strictly(server) as connection:
        assert connection.call("GET", "/", "Connection: close").closes
        assert connection.is_closed()


def test_an_idle_connection_is_closed_with_the_end_of_tls(start):
    server = start(idle_ms=60000)
    with connect_strictly(server) as used, connect_strictly(server) as fresh:
        assert used.call("GET", "/").status == 200
        server.terminate()
        assert used.is_closed()
        assert fresh.is_closed()


def test_an_answer_that_breaks_is_not_followed_by_the_end_of_tls(server):
    """Until close: nothing else tells the client that it has not had all."""
    with connect_strictly(server) as connection:
        connection.send(b"GET /generate?pieces=2&size=5&breaks=1 HTTP/1.0\r\n\r\n")
        with pytest.raises(ssl.SSLError, match="(?i)unexpected.eof"):
            connection.take_rest()


def test_a_client_may_say_the_end_and_be_answered(server):
    """It says close_notify behind its request, and still reads."""
    with server.connect() as connection:
        connection.request("GET", "/later?ms=100")
        # Sends it, and is told of a server that has not said it yet.
        connection.socket.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            connection.socket.unwrap()
        connection.socket.settimeout(DEADLINE_S)
        connection.take_until(b"later")


def test_a_client_may_say_all_at_once(server):
    """The last of its handshake, its request and the end come together."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = server.tls.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with server.connect(tls=None) as connection:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.send(outgoing.read())
                incoming.write(connection.socket.recv(65536))
        client.write(b"GET /later?ms=100 HTTP/1.1\r\n" + HOST + b"\r\n")
        with pytest.raises(ssl.SSLWantReadError):
            client.unwrap()
        connection.send(outgoing.read())
        incoming.write(connection.take_rest())
        assert b"later" in client.read()


def test_one_connection_too_many_is_told_so_after_its_handshake(start):
    server = start(connections=1)
    with server.connect() as held:
        assert held.call("GET", "/").status == 200
        with server.connect() as one:
            assert one.call("GET", "/").status == 503
            assert one.is_closed()
        with server.connect(tls=None) as one:
            one.request("GET", "/")
            assert one.is_closed()
        assert held.call("GET", "/").status == 200


# ---- large bodies ----

def test_large_bodies_take_little_memory(start):
    server = start()
    size, before = 256 * MIB, server.memory_kib()
    piece, sum_ = b"0123456789abcdef" * 65536, 1
    for _ in range(size // len(piece)):
        sum_ = zlib.adler32(piece, sum_)
    with server.connect() as connection:
        connection.send(b"POST /count HTTP/1.1\r\n", HOST, b"Content-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(piece)):
            connection.send(piece)
        assert connection.answer().body == b"%d %d" % (size, sum_)
        connection.request("GET", f"/generate?pieces={size // 65536}&size=65536")
        connection.head()
        got = 0
        while got < size:
            connection.fill()
            got += len(connection.received)
            connection.received.clear()
        if not sanitized():
            assert server.memory_kib() - before < 8 * 1024


def test_a_file_that_has_become_shorter_breaks_only_its_answer(server):
    with server.connect() as connection:
        connection.request("GET", "/file?lie=1")
        with pytest.raises(Closed):
            connection.answer()
    assert server.call("GET", "/").status == 200


# ---- certificates ----

@pytest.fixture
def files(tmp_path):
    """Certificate and key of a server, to be replaced."""
    certificate, key = self_signed(tmp_path)
    return {"certificate": certificate, "key": key}


@pytest.fixture
def rotating(files):
    server = Server(**files)
    yield server
    server.stop()


def replace(files, certificate, key):
    shutil.copy(certificate, files["certificate"])
    shutil.copy(key, files["key"])


def test_a_certificate_is_replaced_under_load(rotating, files, tmp_path):
    """Clients with the old one go on, and no request fails; who comes later sees the new one."""
    stop, served, failures = threading.Event(), [], []
    old, new = (self_signed(tmp_path, name) for name in ("old", "new"))
    replace(files, *old)
    assert rotating.reload() == "reloaded"
    either = trusting(old[0])
    either.load_verify_locations(new[0])

    def ask(fresh):
        connection = rotating.connect(tls=either)
        try:
            while not stop.is_set():
                if fresh:
                    connection.socket.close()
                    connection = rotating.connect(tls=either)
                served.append(connection.call("GET", "/").status)
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=ask, args=(i % 2 == 0,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for pair in [new, old] * 10 + [new]:
        replace(files, *pair)
        assert rotating.reload() == "reloaded"
        time.sleep(0.02)
    with rotating.connect(tls=trusting(new[0])) as connection:
        assert connection.call("GET", "/").status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        rotating.connect(tls=trusting(old[0]))
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert set(served) == {200}


def test_an_open_connection_keeps_its_certificate(rotating, files, tmp_path):
    with rotating.connect() as connection:
        replace(files, *self_signed(tmp_path, "new"))
        assert rotating.reload() == "reloaded"
        assert connection.call("GET", "/").status == 200


def test_a_bad_new_certificate_leaves_the_old_one(rotating, files, tmp_path):
    new, other, old = (self_signed(tmp_path, name) for name in ("new", "other", "kept"))
    replace(files, *old)
    assert rotating.reload() == "reloaded"
    nonsense = tmp_path / "nonsense"
    nonsense.write_bytes(b"nonsense")
    for pair, problem in [((nonsense, new[1]), "no certificate"), ((new[0], nonsense), "no private key"),
                          ((new[0], other[1]), "does not belong"),
                          (self_signed(tmp_path, "stale", days=-1), "has expired")]:
        replace(files, *pair)
        said = rotating.reload()
        assert problem in said and str(tmp_path) in said
        with rotating.connect(tls=trusting(old[0])) as connection:
            assert connection.call("GET", "/").status == 200
    os.unlink(files["key"])
    replace({**files, "key": tmp_path / "elsewhere"}, *new)
    assert "does not exist" in rotating.reload()
    with rotating.connect(tls=trusting(old[0])) as connection:
        assert connection.call("GET", "/").status == 200
