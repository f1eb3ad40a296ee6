# SPDX-License-Identifier: Apache-2.0
"""Request smuggling: whatever nginx and HAProxy let through, no byte of a body becomes a request of its own.

An attacker (a token of team-a) and a victim (one of team-b) come through a proxy, which sends the requests of both over
one connection. Each attack hides a request where the two ends may disagree about where a body ends. It has worked when
the server has seen the hidden one (its X-Request-Id has not got the proxy's mark), when the victim's answer is not its
own, or when the attacker reads anything of team-b.
"""
import contextlib
import http.client
import itertools
import json
import os
import re
import socket
import ssl
import threading
from types import SimpleNamespace

import pytest

from tests.lib.certificate import self_signed
from tests.lib.frontend import MARK, Haproxy, Nginx, Passthrough, program
from tests.lib.gsq import Gsq, Response, parse_json
from tests.lib.tokens import create_token
from tests.lib.wait import DEADLINE_S, wait_until
from tests.system.resources import declare, intent, path

ATTACKER, VICTIM = "team-a", "team-b"
SECRET = "only-for-team-b"
HIDDEN_ID = "smuggled"
# How long an attack may go without an answer before the victim comes: many are never whole.
SILENCE_S = 0.4
numbers = itertools.count()


# ---- what an attack hides ----

def whole(token):
    """A request of its own, whose answer would be the victim's."""
    return (f"GET {path(ATTACKER)} HTTP/1.1\r\nHost: hidden\r\nX-Request-Id: {HIDDEN_ID}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n").encode()


def head(token):  # pylint: disable=unused-argument
    """The beginning of one, that would go on with the victim's headers, and so be the victim's."""
    return f"DELETE {path(VICTIM, 'marker')} HTTP/1.1\r\nX-Request-Id: {HIDDEN_ID}\r\nX-Rest: ".encode()


def body(token):
    """One whose body would be the victim's request, with its token."""
    return (f"POST {path(ATTACKER)} HTTP/1.1\r\nHost: hidden\r\nX-Request-Id: {HIDDEN_ID}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 150\r\n\r\n").encode()


# ---- attacks: the bytes on the wire, from what is hidden ----

# Where an attack's own head has the attacker's token and its number.
OWN = b"@OWN@"


def request(*fields, line=b"POST /api/v1/namespaces/team-a/resources HTTP/1.1", host=b"Host: proxy\r\n",
            kind=b"Content-Type: application/json\r\n"):
    """Fields are whole lines, or what is to stand in their place."""
    return line + b"\r\n" + host + OWN + kind + b"".join(fields) + b"\r\n"


def length(n):
    return b"Content-Length: %d\r\n" % n


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


CHUNKED = b"Transfer-Encoding: chunked\r\n"
LAST = b"0\r\n\r\n"
ATTACKS = {}


def attack(name, make):
    assert name not in ATTACKS
    ATTACKS[name] = make


def shown(line):
    return line.decode("latin-1").replace("\r\n", "|").encode("unicode_escape").decode()


CODINGS = [
    CHUNKED,
    b"Transfer-Encoding: Chunked\r\n",
    b"TRANSFER-ENCODING:chunked\r\n",
    b"Transfer-Encoding:\tchunked\r\n",
    b"Transfer-Encoding: chunked \t\r\n",
    b"Transfer-Encoding: \x0bchunked\r\n",
    b"Transfer-Encoding: chunked\x0b\r\n",
    b"Transfer-Encoding: \x0cchunked\r\n",
    b"Transfer-Encoding: chunked\x00\r\n",
    b"Transfer-Encoding: \xa0chunked\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: chunkedx\r\n",
    b"Transfer-Encoding: \"chunked\"\r\n",
    b"Transfer-Encoding: chunked;q=1\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: identity, chunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: , chunked\r\n",
    b"Transfer-Encoding: chunked,\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding:\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n",
    b"Transfer-Encoding: chunked\r\n, identity\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding\t: chunked\r\n",
    b"Transfer-Encoding\x0b: chunked\r\n",
    b" Transfer-Encoding: chunked\r\n",
    b"Transfer_Encoding: chunked\r\n",
    b"Transfer\x00-Encoding: chunked\r\n",
    b"X: x\nTransfer-Encoding: chunked\r\n",
    b"X: x\rTransfer-Encoding: chunked\r\n",
    b"X: x\r\n\x00Transfer-Encoding: chunked\r\n",
    CHUNKED + CHUNKED,
    CHUNKED + b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: identity\r\n" + CHUNKED,
    CHUNKED + b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: xchunked\r\n" + CHUNKED,
    CHUNKED + b"Connection: Transfer-Encoding\r\n",
]


def add_codings():
    """By each in both ways: the length says more than the chunks, or less."""
    for coding in CODINGS:
        attack(f"length beyond the chunks: {shown(coding)}",
               lambda hidden, c=coding: request(length(len(LAST + hidden)), c) + LAST + hidden)
        attack(f"chunks beyond the length: {shown(coding)}",
               lambda hidden, c=coding: request(c, length(len(b"%x\r\n" % len(hidden)))) + chunk(hidden) + LAST)
    attack("chunks beyond the length, which comes first",
           lambda hidden: request(length(len(b"%x\r\n" % len(hidden))), CHUNKED) + chunk(hidden) + LAST)
    attack("chunks, and a length of 0", lambda hidden: request(CHUNKED, length(0)) + chunk(hidden) + LAST)


# %: the length of what is hidden
LENGTHS = [
    b"Content-Length: %\r\nContent-Length: %\r\n",
    b"Content-Length: 0\r\nContent-Length: %\r\n",
    b"Content-Length: %\r\nContent-Length: 0\r\n",
    b"Content-Length: %, %\r\n",
    b"Content-Length: 0, %\r\n",
    b"Content-Length: %, 0\r\n",
    b"Content-Length: +%\r\n",
    b"Content-Length: -%\r\n",
    b"Content-Length: -0\r\nX: %\r\n",
    b"Content-Length: 0%\r\n",
    b"Content-Length: 0000000000000000000000000000000000000000%\r\n",
    b"Content-Length: 0x%\r\n",
    b"Content-Length: % 0\r\n",
    b"Content-Length: 0 %\r\n",
    b"Content-Length: %\x0b\r\n",
    b"Content-Length: \x0b%\r\n",
    b"Content-Length: %\x00\r\n",
    b"Content-Length: %;0\r\n",
    b"Content-Length: %.0\r\n",
    b"Content-Length: %e0\r\n",
    b"Content-Length: \"%\"\r\n",
    b"Content-Length: %\r\n 0\r\n",
    b"Content-Length:\r\n %\r\n",
    b"Content-Length : %\r\n",
    b"Content_Length: %\r\n",
    b"Content-Length: \r\n",
    b"Content-Length\r\n",
    b"Content-Length: 18446744073709551616\r\n",
    b"X: x\nContent-Length: %\r\n",
    b"X: x\rContent-Length: %\r\n",
    b"Content-Length: %\r\nConnection: Content-Length\r\n",
    b"Content-Length: %\r\nConnection: keep-alive, Content-Length, Host\r\n",
]


def add_lengths():
    for line in LENGTHS:
        attack(f"length: {shown(line)}",
               lambda hidden, l=line: request(l.replace(b"%", b"%d" % len(hidden))) + hidden)
    attack("length beyond 64 bits", lambda hidden: request(length(2 ** 64 + len(hidden))) + hidden)
    attack("no length", lambda hidden: request() + hidden)


ONE = path(ATTACKER, "app").encode()


def add_methods():
    for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"get", b"NONE"):
        line = method + b" " + ONE + b" HTTP/1.1"
        attack(f"{method.decode()} with a length",
               lambda hidden, l=line: request(length(len(hidden)), line=l) + hidden)
        attack(f"{method.decode()} with chunks",
               lambda hidden, l=line: request(CHUNKED, line=l) + chunk(hidden) + LAST)


# What a chunk of 5 bytes may begin with, in a body whose last chunk comes early or late by it.
SIZES = [b"5;x\r\n", b"5;x=\"y\"\r\n", b"5;x=\"\r\n", b"5; x = y\r\n", b"5 ;x\r\n", b"5;\r\n", b"5;x\n", b"5;x\rx\r\n",
         b"5;\x00\r\n", b"0x5\r\n", b"x5\r\n", b"+5\r\n", b"-5\r\n", b" 5\r\n", b"5 \r\n", b"\t5\r\n", b"5\x0b\r\n",
         b"05\r\n", b"0000000000000000000000000000005\r\n", b"10000000000000005\r\n", b"100000005\r\n", b"5g\r\n",
         b"5\n", b"5\r", b"5\r\r\n", b"\r\n5\r\n", b"\n5\r\n", b";\r\n", b"\r\n", b"5,5\r\n", b"5.0\r\n"]


def add_chunks():
    for size in SIZES:
        attack(f"chunk size {shown(size)}",
               lambda hidden, s=size: request(CHUNKED) + s + b"abcde\r\n" + LAST + hidden)
        attack(f"hidden behind chunk size {shown(size)}",
               lambda hidden, s=size: request(CHUNKED) + s + b"abcde\r\n" + chunk(hidden) + LAST)
    for end in (b"", b"\n", b"\r", b"xx", b"\n\r", b"\r\r\n"):
        attack(f"chunk ended by {shown(end) or 'nothing'}",
               lambda hidden, e=end: request(CHUNKED) + b"5\r\nabcde" + e + chunk(hidden) + LAST)
    for last in (b"0\n\n", b"0\r\n\n", b"0\n\r\n", b"00\r\n\r\n", b"0;x\r\n\r\n", b"0\r\n\r", b"0\r\n"):
        attack(f"last chunk {shown(last)}", lambda hidden, l=last: request(CHUNKED) + l + hidden)
        attack(f"last chunk {shown(last)} in a length",
               lambda hidden, l=last: request(length(len(l + hidden)), CHUNKED) + l + hidden)
    for trailer in (length(5), CHUNKED, b"Host: other\r\n", b"X: x\n", b" folded\r\n", b"X : x\r\n", b"\x00: x\r\n",
                    b"Authorization: Bearer x\r\n"):
        attack(f"trailer {shown(trailer)}",
               lambda hidden, t=trailer: request(CHUNKED) + chunk(hidden) + b"0\r\n" + t + b"\r\n")
    attack("a request in the trailers", lambda hidden: request(CHUNKED) + b"0\r\n" + hidden)
    attack("a request in an extension",
           lambda hidden: request(CHUNKED) + b"5;x=\"\r\nabcde\r\n" + LAST + hidden)


def add_heads():
    def get(*fields, **kwargs):
        return request(*fields, **{"line": b"GET " + ONE + b" HTTP/1.1", "kind": b"", **kwargs})

    attack("bare LF for all of it", lambda hidden: (request(length(len(hidden)))).replace(b"\r\n", b"\n") + hidden)
    attack("bare LF before the end", lambda hidden: get()[:-2] + b"\n" + hidden)
    attack("CR alone in the end", lambda hidden: get()[:-2] + b"\r\r\n" + hidden)
    attack("a folded header", lambda hidden: get(b"X: x\r\n " + hidden.partition(b"\r\n")[0] + b"\r\n"))
    attack("NUL in a header", lambda hidden: get(b"X: x\x00y\r\n", length(len(hidden))) + hidden)
    attack("NUL in the path", lambda hidden: get(length(len(hidden)), line=b"GET /\x00 HTTP/1.1") + hidden)
    attack("a header without a colon", lambda hidden: get(b"nothing\r\n", length(len(hidden))) + hidden)
    attack("a header without a name", lambda hidden: get(b": x\r\n", length(len(hidden))) + hidden)
    attack("a space in a name", lambda hidden: get(b"X y: x\r\n", length(len(hidden))) + hidden)
    attack("an underscore in a name", lambda hidden: get(b"X_Request_Id: x\r\n", length(len(hidden))) + hidden)
    attack("CR LF before the request", lambda hidden: b"\r\n" + get(length(len(hidden))) + hidden)
    attack("a request in the path",
           lambda hidden: get(line=b"GET /" + hidden.partition(b"\r\n")[0].replace(b" ", b"%20%0d%0a") + b" HTTP/1.1"))
    attack("two spaces in the line", lambda hidden: get(length(len(hidden)), line=b"GET  " + ONE + b" HTTP/1.1")
           + hidden)
    attack("more behind the version",
           lambda hidden: get(length(len(hidden)), line=b"GET " + ONE + b" HTTP/1.1 HTTP/1.1") + hidden)
    for version in (b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/01.1", b""):
        for name, fields in (("a length", lambda hidden: length(len(hidden)) + b"Connection: keep-alive\r\n"),
                             ("chunks", lambda hidden: CHUNKED + b"Connection: keep-alive\r\n")):
            attack(f"{version.decode() or 'no version'} with {name}",
                   lambda hidden, v=version, f=fields: request(
                       f(hidden), line=(b"POST " + path(ATTACKER).encode() + b" " + v).rstrip()) +
                   (LAST + hidden if b"chunked" in f(hidden) else hidden))
    for host in (b"Host: other\r\n", b"Host: proxy\r\nHost: other\r\n", b"Host: proxy\r\nhost: proxy\r\n",
                 b"Host: proxy, other\r\n", b"Host: proxy other\r\n", b"Host: other/path\r\n", b"Host: a@b\r\n",
                 b"Host:\r\n", b"Host: proxy:99999\r\n", b"Host : proxy\r\n", b" Host: proxy\r\n", b""):
        attack(f"host {shown(host) or 'missing'}",
               lambda hidden, h=host: get(length(len(hidden)), host=h) + hidden)
    for target in (b"http://other" + ONE, b"http://proxy" + ONE, b"http://user@proxy" + ONE, b"https://proxy" + ONE,
                   b"//other" + ONE, b"http:" + ONE, b"*", b"other:80", b"@other" + ONE,
                   b"/../.." + ONE, ONE + b"#x"):
        attack(f"target {target.decode()}",
               lambda hidden, t=target: get(length(len(hidden)), line=b"GET " + t + b" HTTP/1.1") + hidden)


def add_early_answers():
    """The answer is given before the body is read, which comes all the same."""
    refused = {
        "of another type": lambda *f: request(*f, kind=b"Content-Type: text/plain\r\n"),
        "of nobody": lambda *f: request(*f).replace(OWN, b""),
        "to nowhere": lambda *f: request(*f, line=b"POST /nowhere HTTP/1.1"),
        "with a method that is not there": lambda *f: request(*f, line=b"POST " + ONE + b"/status HTTP/1.1"),
        "to another tenant": lambda *f: request(*f, line=b"POST " + path(VICTIM).encode() + b" HTTP/1.1"),
        "that is no JSON": request,
    }
    for name, make in refused.items():
        attack(f"a body {name}", lambda hidden, m=make: m(length(len(hidden))) + hidden)
        attack(f"chunks {name}", lambda hidden, m=make: m(CHUNKED) + chunk(hidden) + LAST)
        for expect in (b"Expect: 100-continue\r\n", b"Expect: 100-Continue\r\nExpect: x\r\n",
                       b"Expect: y 100-continue\r\n", b"Expect:\r\n 100-continue\r\n"):
            attack(f"{shown(expect)} and a body {name}",
                   lambda hidden, m=make, e=expect: m(e, length(len(hidden))) + hidden)
        attack(f"a body {name}, larger than may be",
               lambda hidden, m=make: m(length(1024 * 1024 + 1 + len(hidden))) + hidden)
    attack("Expect: 100-continue without a body", lambda hidden: request(
        b"Expect: 100-continue\r\n", line=b"GET " + ONE + b" HTTP/1.1") + b"")
    for upgrade in (b"h2c", b"websocket", b"TLS/1.2"):
        attack(f"an upgrade to {upgrade.decode()}", lambda hidden, u=upgrade: request(
            b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: ", u, b"\r\n",
            length(len(hidden)), line=b"GET " + ONE + b" HTTP/1.1") + hidden)


add_codings()
add_lengths()
add_methods()
add_chunks()
add_heads()
add_early_answers()


# ---- clients ----

def connect(front):
    found = socket.create_connection(("127.0.0.1", front.port), timeout=DEADLINE_S)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if front.tls is None:
        return found
    return ssl.create_default_context(cafile=front.tls.ca).wrap_socket(found, server_hostname="localhost")


def take(connection, silence_s):
    """What comes until nothing comes."""
    taken = b""
    connection.settimeout(silence_s)
    try:
        while piece := connection.recv(65536):
            taken += piece
            connection.settimeout(0.02)
    except (OSError, ssl.SSLError):
        pass
    return taken


def ask(front, token, target, identity, method="GET", content=None):
    """A well-behaved client with a connection of its own; None: it has no answer."""
    context = ssl.create_default_context(cafile=front.tls.ca) if front.tls else None
    connection = http.client.HTTPSConnection("127.0.0.1", front.port, timeout=DEADLINE_S, context=context) \
        if front.tls else http.client.HTTPConnection("127.0.0.1", front.port, timeout=DEADLINE_S)
    headers = {"X-Request-Id": identity, "Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, target, content, headers)
        answer = connection.getresponse()
        content = answer.read()
        return Response(answer.status, answer.headers, parse_json(answer, content), content)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


class Strike:
    """One attack, with the victim's requests right behind it, and what both have got."""

    def __init__(self, front, tokens, content):
        self.front, self.tokens = front, tokens
        own = f"X-Request-Id: attack-{next(numbers)}\r\nAuthorization: Bearer {tokens[ATTACKER]}\r\n"
        self.victims = []
        with connect(front) as attacker:
            attacker.sendall(content.replace(OWN, own.encode()))
            self.taken = take(attacker, SILENCE_S)
            self.ask(path(VICTIM, "marker"))
            self.ask(path(VICTIM))
            self.taken += take(attacker, 0.001)
        self.ask(path(VICTIM, "marker"))

    def ask(self, target):
        identity = f"victim-{next(numbers)}"
        self.victims.append((identity, ask(self.front, self.tokens[VICTIM], target, identity)))

    def is_own(self, identity, answer):
        return (answer is not None and answer.status == 200 and answer.headers["X-Request-Id"] == MARK + identity
                and SECRET in answer.body.decode())

    def all_own(self):
        return all(self.is_own(identity, answer) for identity, answer in self.victims)


# ---- what is before the server, and what behind the proxy ----

def make_front(name, folder, target, certificate, target_tls):
    """The strict ones speak plain HTTP, the lenient ones TLS on both sides."""
    make = {"nginx": Nginx, "haproxy": Haproxy}[name.partition(" ")[0]]
    if program(make.program) is None:
        if os.environ.get("CI") == "true":
            raise FileNotFoundError(f"{make.program} is not installed: run scripts/packages test")
        pytest.skip(f"{make.program} is not installed: run scripts/packages test")
    lenient = "lenient" in name
    return make(folder / "front", target, lenient, certificate if lenient else None,
                certificate if lenient and target_tls else None)


FRONTS = ["nginx", "nginx lenient", "haproxy", "haproxy lenient"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    cert, key = self_signed(tmp_path_factory.mktemp("tls"))
    return SimpleNamespace(ca=cert, certificate=cert, key=key)


def saw_hidden(log):
    """Whether the server has taken the hidden request, which the proxy has not seen."""
    return re.search(rf"\bid=\"?{HIDDEN_ID}", log)


@pytest.fixture(scope="module", params=FRONTS)
def scene(request, tmp_path_factory, certificate):  # pylint: disable=redefined-outer-name
    """A server with a resource of each team, tokens of both, and what is before it."""
    folder = tmp_path_factory.mktemp("proxies")
    tls = certificate if "lenient" in request.param else None
    server = Gsq(folder / "gsq", namespaces=(ATTACKER, VICTIM), anonymous=None, tls=tls)
    tokens = {team: create_token(server, team, "editor", team) for team in (ATTACKER, VICTIM)}
    server.token = create_token(server, "root", "admin", "*")
    front = make_front(request.param, folder, server.port, certificate, True)
    with server, front:
        declare(server, "app", ATTACKER)
        declare(server, "marker", VICTIM, region=SECRET)
        yield SimpleNamespace(server=server, front=front, tokens=tokens)
        assert not saw_hidden(server.log())


# ---- the tests ----

def test_honest_requests_come_through(scene):
    """With a body of known length and of chunks, and with the marks by which the other tests tell requests."""
    for name, content in (("by-length", json.dumps(intent("by-length"))),
                          ("in-chunks", iter([json.dumps(intent("in-chunks")).encode()]))):
        answer = ask(scene.front, scene.tokens[ATTACKER], path(ATTACKER), name, "POST", content)
        assert answer.status in (200, 201), answer
        assert answer.headers["X-Request-Id"] == MARK + name
        assert scene.server.get(path(ATTACKER, name)).status == 200
        assert scene.server.delete(path(ATTACKER, name)).status == 200
    assert ask(scene.front, scene.tokens[ATTACKER], path(VICTIM, "marker"), "curious").status in (403, 404)
    assert ask(scene.front, None, path(ATTACKER), "nobody").status == 401


@pytest.mark.parametrize("name, hide", zip(ATTACKS, itertools.cycle([whole, head, body])),
                         ids=[f"{name}." for name in ATTACKS])
def test_nothing_is_smuggled(scene, name, hide):
    strike = Strike(scene.front, scene.tokens, ATTACKS[name](hide(scene.tokens[ATTACKER])))
    assert strike.all_own(), (strike.victims, strike.taken)
    assert SECRET.encode() not in strike.taken
    last, _ = strike.victims[-1]
    log = wait_until(lambda: f"{MARK}{last}" in scene.server.log() and scene.server.log(), "the line of the last one")
    assert not saw_hidden(log)


# ---- that it would be noticed ----

class Naive:
    """A server that takes requests by the letter: a GET has no body, whatever its headers say."""

    def __init__(self):
        self.seen = []      # (number of the connection, X-Request-Id)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        for number in itertools.count():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(number, connection), daemon=True).start()

    def _serve(self, number, connection):
        received = b""
        with connection, contextlib.suppress(OSError):
            while piece := connection.recv(65536):
                received += piece
                while b"\r\n\r\n" in received:
                    first, _, received = received.partition(b"\r\n\r\n")
                    identity = re.search(rb"(?i)\r\nx-request-id: (\S*)", first)[1].decode()
                    self.seen.append((number, identity))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n%s" % (
                        identity.encode(), len(SECRET), SECRET.encode()))


@pytest.fixture(params=FRONTS)
def naive(request, tmp_path, certificate):  # pylint: disable=redefined-outer-name
    server = Naive()
    tokens = {ATTACKER: "a", VICTIM: "b"}
    with make_front(request.param, tmp_path, server.port, certificate, False) as front:
        server.seen.clear()
        yield SimpleNamespace(server=server, front=front, tokens=tokens)
    server.close()


def test_two_clients_share_a_connection(naive):  # pylint: disable=redefined-outer-name
    for identity in ("one", "other"):
        assert ask(naive.front, "x", "/", identity).status == 200
    assert [identity for _, identity in naive.server.seen] == [f"{MARK}one", f"{MARK}other"]
    assert len({connection for connection, _ in naive.server.seen}) == 1


@pytest.mark.parametrize("hide", [whole, head], ids=["whole", "head"])
def test_smuggling_is_noticed(naive, hide):  # pylint: disable=redefined-outer-name
    """By what the server has seen, and by the victim, whose request is the rest of the hidden one."""
    strike = Strike(naive.front, naive.tokens, ATTACKS["GET with a length"](hide("a")))
    wait_until(lambda: HIDDEN_ID in [identity for _, identity in naive.server.seen], "the hidden request")
    if hide is head:
        assert not strike.all_own()


# ---- bytes passed on ----

def test_tls_of_the_server_through_a_proxy_of_bytes(tmp_path, certificate):  # pylint: disable=redefined-outer-name
    """The certificate that a client sees is the server's, on both listeners."""
    if program(Passthrough.program) is None and os.environ.get("CI") != "true":
        pytest.skip(f"{Passthrough.program} is not installed: run scripts/packages test")
    with Gsq(tmp_path / "gsq", tls=certificate) as server:
        for i, (port, target) in enumerate(((server.port, path()), (server.registry_port, "/v2/"))):
            with Passthrough(tmp_path / f"front-{i}", port, certificate) as front:
                answer = ask(front, None, target, "through")
                assert answer.status == 200
                assert answer.headers["X-Request-Id"] == "through"
