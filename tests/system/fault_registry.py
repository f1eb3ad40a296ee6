# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy before a real registry that injects a fault at the k-th matching request.

    with FaultProxy(distribution.host) as proxy:
        rule = proxy.fail(nth=3, method="PUT", path_re="/manifests/", kind="drop_answer")
        ... drive a client at proxy.host ...
        assert rule.hits == 1 and len(proxy.log) == 5 and proxy.connections == 1

Kinds of fault:
    500, 429, ...  any status: that answer, nothing forwarded (retry_after: seconds or a date; headers, body)
    delay          forwarded after delay_s
    cut            the request is read and the connection closed, nothing forwarded
    cut_upload     the head and half of the body reach the registry, then both connections break
    drop_answer    forwarded, and the connection closed in place of the answer
    hang_answer    forwarded, and no answer for delay_s; then as drop_answer
    lie            forwarded, and answered with status (default 500) whatever the registry says
"""
import http.client
import re
import socket
import threading
import time
from contextlib import suppress

HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "content-length"}
# Above this a head is no head: whoever sends it is not one of our clients.
HEAD_MAX = 64 * 1024


class Request:
    """One request seen: status is what the registry answered (None: not asked), fault what was done to it."""

    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers, self.body = method, target, headers, body
        self.at = time.monotonic()
        self.status = None
        self.fault = None

    def __repr__(self):
        return f"{self.method} {self.target} {self.status} {self.fault or ''}".rstrip()


class Rule:
    """From the nth request that matches, so many times (None: for ever)."""

    def __init__(self, kind, nth=1, method=None, path_re=None, times=1, delay_s=0.0, retry_after=None, status=500,
                 headers=None, body=b'{"errors":[{"code":"FAULT","message":"injected"}]}'):
        self.kind, self.nth, self.method, self.times = kind, nth, method, times
        self.path = re.compile(path_re or "")
        self.delay_s, self.status, self.body = delay_s, status, body
        self.headers = {"Content-Type": "application/json", **(headers or {})}
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)
        self.seen = 0
        self.hits = 0

    def applies(self, request):
        if (self.method and request.method != self.method) or not self.path.search(request.target):
            return False
        self.seen += 1
        if self.seen < self.nth or (self.times is not None and self.seen >= self.nth + self.times):
            return False
        self.hits += 1
        return True


class Cut(Exception):
    """The client's connection is to be closed without an answer."""


class FaultProxy:
    """Answers at .host ("127.0.0.1:port"), before the registry at upstream ("host:port", plain HTTP)."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.log = []
        self.connections = 0
        self.most_connections = 0
        self._open = 0
        self._rules = []
        self._lock = threading.Lock()
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._closing = True
        # A listening socket that is only closed goes on accepting while accept() waits on it.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def fail(self, kind, **how):
        rule = Rule(kind, **how)
        with self._lock:
            self._rules.append(rule)
        return rule

    def reset(self):
        """Forgets rules and what was seen."""
        with self._lock:
            self._rules.clear()
            self.log.clear()
            self.connections = self.most_connections = 0

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self.connections += 1
            self._open += 1
            self.most_connections = max(self.most_connections, self._open)
        upstream = http.client.HTTPConnection(self.upstream, timeout=120)
        try:
            with client, client.makefile("rb") as reader, suppress(Cut, OSError, http.client.HTTPException):
                while not self._closing and self._one(client, reader, upstream):
                    pass
        finally:
            upstream.close()
            with self._lock:
                self._open -= 1

    def _one(self, client, reader, upstream):
        """Serves one request; returns whether the connection stays open."""
        request = read_request(reader, client)
        if request is None:
            return False
        with self._lock:
            self.log.append(request)
            # Every rule counts every request, so that several can be set at once.
            applying = [rule for rule in self._rules if rule.applies(request)]
        rule = applying[0] if applying else None
        if rule:
            request.fault = rule.kind
        client.sendall(self._answer(request, rule, upstream))
        return True

    def _answer(self, request, rule, upstream):
        kind = rule.kind if rule else None
        if isinstance(kind, int):
            return render(request.method, kind, rule.headers.items(), rule.body)
        if kind == "cut":
            raise Cut
        if kind == "cut_upload":
            self._forward_half(request)
            raise Cut
        if kind == "delay":
            time.sleep(rule.delay_s)
        answer = forward(request, upstream)
        if kind == "hang_answer":
            time.sleep(rule.delay_s)
        if kind in ("drop_answer", "hang_answer"):
            raise Cut
        if kind == "lie":
            return render(request.method, rule.status, rule.headers.items(), rule.body)
        return answer

    def _forward_half(self, request):
        host, _, port = self.upstream.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as registry:
            registry.sendall(head_of(request) + request.body[:len(request.body) // 2])


def read_request(reader, client):
    """None at the end of the connection."""
    line = reader.readline(HEAD_MAX)
    if not line.strip():
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    if target.startswith("http://"):
        # As a client sends it that takes us for its proxy.
        target = "/" + target.split("/", 3)[3]
    headers = []
    while (line := reader.readline(HEAD_MAX)).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.strip(), value.strip()))
    lower = {name.lower(): value for name, value in headers}
    if lower.get("expect", "").lower() == "100-continue":
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if lower.get("transfer-encoding", "").lower() == "chunked":
        body = read_chunked(reader)
    else:
        body = read_exactly(reader, int(lower.get("content-length", 0)))
    return Request(method, target, headers, body)


def read_exactly(reader, n):
    data = reader.read(n)
    if len(data) < n:
        raise Cut
    return data


def read_chunked(reader):
    body = b""
    while size := int(reader.readline(HEAD_MAX).split(b";")[0], 16):
        body += read_exactly(reader, size)
        reader.readline(HEAD_MAX)
    while reader.readline(HEAD_MAX).strip():
        pass
    return body


def head_of(request):
    lines = [f"{request.method} {request.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in end_to_end(request.headers)]
    lines += [f"Content-Length: {len(request.body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1")


def end_to_end(headers):
    return [(name, value) for name, value in headers if name.lower() not in HOP_BY_HOP | {"expect"}]


def forward(request, upstream):
    """Asks the registry and returns its answer as bytes. The Host header stays: Locations lead back to the proxy."""
    upstream.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
    for name, value in end_to_end(request.headers):
        upstream.putheader(name, value)
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        upstream.putheader("Content-Length", str(len(request.body)))
    upstream.endheaders(request.body)
    response = upstream.getresponse()
    body = response.read()
    request.status = response.status
    return render(request.method, response.status, end_to_end(response.getheaders()), body,
                  length=response.getheader("Content-Length"))


def render(method, status, headers, body, length=None):
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if method == "HEAD":
        body = b""
        lines += [f"Content-Length: {length or 0}"]
    elif status >= 200 and status != 204:
        lines += [f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
