# SPDX-License-Identifier: Apache-2.0
"""Bytes in, bytes out: a raw HTTP client that does nothing by itself, and the program that it talks to."""
import json
import os
import resource
import signal
import socket
import ssl
import struct
import subprocess
import time
import zlib

PROGRAM = os.environ.get("GSQ_WIRE_SERVER", "build/tests/wire/server")
DEADLINE_S = 20
HOST = b"Host: wire\r\n"


def counted(body):
    """What /count answers to a body."""
    return b"%d %d" % (len(body), zlib.adler32(body))


def trusting(certificate):
    """A client's side of TLS that trusts just this one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate)
    return context


class Closed(Exception):
    """The server closed the connection where an answer was expected."""


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def header(self, name):
        return self.headers.get(name.lower())

    @property
    def error(self):
        return json.loads(self.body)["error"]

    @property
    def closes(self):
        return self.header("Connection") == "close"


class Connection:
    def __init__(self, port, receive_buffer=None, tls=None):
        """tls: an SSLContext, or None."""
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(("127.0.0.1", port))
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.received = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *parts):
        self.socket.sendall(b"".join(part.encode() if isinstance(part, str) else part for part in parts))

    def send_past_tls(self, data):
        socket.socket.sendall(self.socket, data)

    def request(self, method, target, *headers, body=b""):
        """Sends a request, with Content-Length where there is a body."""
        lines = [f"{method} {target} HTTP/1.1", "Host: wire", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines), "\r\n\r\n", body)

    def fill(self):
        """Reads some more; False at the end."""
        piece = self.socket.recv(65536)
        self.received += piece
        return piece != b""

    def take_until(self, end):
        while end not in self.received:
            if not self.fill():
                raise Closed(self.received)
        at = self.received.index(end)
        taken = bytes(self.received[:at])
        del self.received[:at + len(end)]
        return taken

    def take(self, n):
        while len(self.received) < n:
            if not self.fill():
                raise Closed(self.received)
        taken = bytes(self.received[:n])
        del self.received[:n]
        return taken

    def take_rest(self):
        while self.fill():
            pass
        taken, self.received = bytes(self.received), bytearray()
        return taken

    def _take_chunks(self):
        chunks = []
        while True:
            size = int(self.take_until(b"\r\n"), 16)
            chunks.append(self.take(size))
            assert self.take(2) == b"\r\n"
            if size == 0:
                return b"".join(chunks)

    def head(self):
        """Status and headers (names in lower case) of the next answer."""
        lines = self.take_until(b"\r\n\r\n").decode().split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {}
        for line in lines[1:]:
            name, value = line.split(": ", 1)
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value
        return int(status), headers

    def answer(self, to="GET"):
        status, headers = self.head()
        if status == 100:
            assert headers == {}
            return Answer(status, headers, b"")
        assert headers["date"].endswith(" GMT")
        if to == "HEAD" or status in (204, 304):
            return Answer(status, headers, b"")
        if "transfer-encoding" in headers:
            assert headers["transfer-encoding"] == "chunked" and "content-length" not in headers
            return Answer(status, headers, self._take_chunks())
        if "content-length" in headers:
            return Answer(status, headers, self.take(int(headers["content-length"])))
        return Answer(status, headers, self.take_rest())

    def call(self, method, target, *headers, body=b""):
        self.request(method, target, *headers, body=body)
        return self.answer(to=method)

    def is_closed(self):
        """Waits for the server's end; False when there are bytes instead, or nothing comes."""
        try:
            return self.received == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False

    def is_quiet(self, seconds):
        """Nothing comes, not even the end, for so long."""
        self.socket.settimeout(seconds)
        try:
            self.fill()
            return False
        except socket.timeout:
            return True
        finally:
            self.socket.settimeout(DEADLINE_S)

    def half_close(self):
        """Of the socket: TLS is not told."""
        socket.socket.shutdown(self.socket, socket.SHUT_WR)

    def reset(self):
        """Closes with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Server:
    def __init__(self, **options):
        self.certificate = options.get("certificate")
        self.tls = trusting(self.certificate) if self.certificate else None
        self.process = subprocess.Popen(
            [PROGRAM, *(f"{name}={value}" for name, value in options.items())],
            # Freed memory that the sanitizer keeps would look like ours.
            env={"ASAN_OPTIONS": "quarantine_size_mb=1", **os.environ},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.stderr.read())
        self.port = int(line)

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def connect(self, **options):
        options.setdefault("tls", self.tls)
        return Connection(self.port, **options)

    def reload(self):
        """Has it read its certificate again; what it says of that."""
        self.process.send_signal(signal.SIGHUP)
        return self.process.stdout.readline().strip()

    def call(self, method, target, *headers, body=b""):
        with self.connect() as connection:
            return connection.call(method, target, *headers, body=body)

    def stats(self):
        return json.loads(self.call("GET", "/stats").body)

    def wait_for_stat(self, name, value):
        end = time.monotonic() + DEADLINE_S
        while (got := self.stats()[name]) != value:
            assert time.monotonic() < end, f"{name} is {got} instead of {value}"
            time.sleep(0.02)

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        """Drains; what the sanitizers or assertions have to say is a failure."""
        if self.process.poll() is None:
            self.terminate()
        try:
            _, errors = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert self.process.returncode == 0, errors
        return errors


def sanitized():
    """Memory and time are not what they are in the real program."""
    with open(PROGRAM, "rb") as file:
        program = file.read()
    return b"__asan_init" in program or b"__tsan_init" in program


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
