# SPDX-License-Identifier: Apache-2.0
"""TLS of the whole server, and files that are read again while it serves: certificate, policy, tokens.

What is HTTP's own is in tests/wire/test_tls.py.
"""
import contextlib
import http.client
import itertools
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import tools_or_skip
from tests.lib.certificate import self_signed
from tests.lib.events import Events
from tests.lib.gsq import Gsq, binary
from tests.lib.layout import Layout, write_image
from tests.lib.process import Process, free_port
from tests.lib.tokens import create_token, token_verb
from tests.lib.tools import tool, tools_dir
from tests.lib.wait import wait_until
from tests.system.resources import declare, intent, listed, path

KEPT = "file not taken over: what was read before stays"
CERTIFICATE_KEPT = "certificate not taken over: the one before stays"


def pair(folder, name="tls", days=2):
    certificate, key = self_signed(folder, name, days)
    return SimpleNamespace(ca=certificate, certificate=certificate, key=key)


@pytest.fixture
def certificate(tmp_path):
    return pair(tmp_path)


@pytest.fixture
def server(tmp_path, certificate):
    with Gsq(tmp_path / "gsq", tls=certificate) as server:
        yield server


def ask(port, target, context=None):
    """The status of a GET, over TLS where there is a context."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60) if context is None else \
        http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)
    with contextlib.closing(connection):
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def trusting(*pairs):
    context = ssl.create_default_context(cafile=pairs[0].ca)
    for other in pairs[1:]:
        context.load_verify_locations(other.ca)
    return context


# ---- both listeners ----

def test_both_listeners_speak_tls(server, certificate):
    context = trusting(certificate)
    assert ask(server.port, "/readyz", context)[0] == 200
    assert ask(server.registry_port, "/v2/", context)[0] == 200


def test_both_tell_plain_http_to_use_https(server):
    for port, target in ((server.port, "/readyz"), (server.registry_port, "/v2/")):
        status, said = ask(port, target)
        assert status == 400 and "https://" in said


def test_a_token_is_asked_for_over_tls_too(tmp_path, certificate):
    server = Gsq(tmp_path / "gsq", tls=certificate, anonymous=None)
    token = create_token(server, "ci", "viewer", "default")
    with server:
        assert server.get(path()).status == 401
        assert server.get(path(), headers={"Authorization": f"Bearer {token}"}).status == 200
        status, said = ask(server.registry_port, "/v2/_catalog", trusting(certificate))
        assert (status, "UNAUTHORIZED" in said) == (401, True)


@pytest.fixture
def client(tmp_path, certificate, monkeypatch):
    """Runs a registry client with a folder of its own, that trusts the certificate."""
    monkeypatch.setenv("GSQ_TOOLS_DIR", str(tools_dir()))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "docker" / "config.json"))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.ca))
    (tmp_path / "docker").mkdir()

    def run(program, *arguments, **kwargs):
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False,
                              timeout=120, **kwargs)
        return done.returncode, done.stdout + done.stderr
    return run


def test_clients_push_and_pull_with_the_authority_of_the_certificate(client, tmp_path, certificate, monkeypatch):
    server = Gsq(tmp_path / "gsq", tls=certificate, anonymous=None)
    token = create_token(server, "ci", "editor", "default")
    layout = write_image(tmp_path / "layout", "v1")
    with tools_or_skip():
        crane = tool("crane")
    with server:
        host = f"localhost:{server.registry_port}"
        code, said = client(crane, "auth", "login", host, "-u", "ci", "--password-stdin", input=token)
        assert code == 0, said
        code, said = client(crane, "push", layout, f"{host}/default/app:v1")
        assert code == 0, said
        code, said = client("skopeo", "copy", "--all", f"docker://{host}/default/app:v1", f"oci:{tmp_path}/pulled:v1")
        assert code == 0, said
        assert Layout(tmp_path / "pulled").blobs() == layout.blobs()
        monkeypatch.delenv("SSL_CERT_FILE")
        code, said = client(crane, "ls", f"{host}/default/app")
        assert code != 0 and "certificate" in said


def test_the_server_uses_a_remote_registry_with_tls_of_its_own(tmp_path, certificate):
    """Its own certificate and the authority that it trusts are two things."""
    other = pair(tmp_path, "other")
    with Gsq(tmp_path / "registry", tls=other) as registry:
        server = Gsq(tmp_path / "gsq", registry=f"https://localhost:{registry.registry_port}/default", tls=certificate,
                     args=["--registry-ca", other.ca])
        with server:
            declare(server, "web")
            server.restart()
            assert list(listed(server)) == ["web"]


# ---- without TLS ----

def listens_at(port):
    """Addresses of this machine, as the kernel writes them."""
    return {line.split()[1].partition(":")[0] for table in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]
            if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"}


LOOPBACK = {"0100007F"}


@pytest.fixture
def serve(tmp_path):
    """Starts gsq serve with ports alone, and these flags; (process, port of the API, port of the registry)."""
    started = []

    def start(*flags, address=":"):
        ports = free_port(), free_port()
        process = Process("gsq", [binary(), "serve", "--init", "--data-dir", tmp_path / "data", "--anonymous", "read",
                                  "--listen", f"{address}{ports[0]}", "--registry-listen", f"{address}{ports[1]}",
                                  *flags], tmp_path / "log")
        started.append(process)
        for port in ports:
            process.wait_for_port(port)
        return process, *ports
    yield start
    for process in started:
        assert process.stop() == 0


def test_without_tls_a_port_is_one_of_loopback(serve):
    process, *ports = serve()
    for port in ports:
        assert listens_at(port) == LOOPBACK
    assert "--insecure" not in process.log()


def test_insecure_is_everywhere_and_warns(serve):
    process, *ports = serve("--insecure")
    for port in ports:
        found = listens_at(port)
        assert found and found != LOOPBACK
    assert re.search("level=warn msg=\"--insecure: .*tokens", process.log())


def test_with_tls_a_port_is_everywhere(serve, certificate):
    process, *ports = serve("--tls-cert", certificate.certificate, "--tls-key", certificate.key)
    for port in ports:
        found = listens_at(port)
        assert found and found != LOOPBACK
    assert "--insecure" not in process.log()


@pytest.mark.parametrize("flag", ["--listen", "--registry-listen"])
@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "gsq.example.com", "128.0.0.1", "127.evil.example"])
def test_without_tls_another_address_is_refused_with_the_remedy(tmp_path, flag, host):
    result = subprocess.run([binary(), "serve", "--data-dir", tmp_path / "data", flag, f"{host}:{free_port()}"],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert flag in result.stderr and f"{host}:" in result.stderr
    assert "--tls-cert and --tls-key, or --insecure" in result.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:", "localhost:"])
def test_loopback_may_be_named(serve, address):
    _, *ports = serve(address=address)
    for port in ports:
        assert listens_at(port) == LOOPBACK


@pytest.mark.parametrize("given, missing", [("--tls-cert", "--tls-key"), ("--tls-key", "--tls-cert")])
def test_one_file_of_two_is_refused(tmp_path, given, missing):
    result = subprocess.run([binary(), "serve", "--data-dir", tmp_path / "data", given, "file"],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert f"{missing} is missing" in result.stderr


@pytest.mark.parametrize("make, said", [
    (lambda folder: (folder / "absent", self_signed(folder)[1]), "absent"),
    (lambda folder: (self_signed(folder)[0], self_signed(folder, "other")[1]), "does not belong"),
    (lambda folder: self_signed(folder, days=-1), "has expired"),
], ids=["no file", "another's key", "expired"])
def test_a_bad_certificate_is_no_start(tmp_path, make, said):
    cert, key = make(tmp_path)
    result = subprocess.run([binary(), "serve", "--init", "--data-dir", tmp_path / "data", "--tls-cert", cert,
                             "--tls-key", key, "--listen", f":{free_port()}", "--registry-listen", f":{free_port()}"],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert said in result.stderr


# ---- certificates that change ----

def replace(target, source):
    """As a program that renews them does: each file at once, one after the other."""
    for name in ("certificate", "key"):
        new = getattr(target, name).with_suffix(".new")
        shutil.copy(getattr(source, name), new)
        os.rename(new, getattr(target, name))


def shown(port):
    """The certificate that a new client sees, unchecked."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=60) as plain, context.wrap_socket(plain) as connection:
        return connection.getpeercert(binary_form=True)


def wait_shown(server, expected):
    wanted = ssl.PEM_cert_to_DER_cert(expected.certificate.read_text(encoding="ascii"))
    for port in (server.port, server.registry_port):
        wait_until(lambda p=port: shown(p) == wanted, f"the certificate at {port}:\n{server.process.log_tail()}")


class Load:
    """Clients that write and read until the end of the with statement, half of them over a new connection each time."""

    def __init__(self, server, context):
        self._server, self._context = server, context
        self._end = threading.Event()
        self.served, self.failures = [], []
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(4)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join(120)

    def _run(self, number):
        kept = number % 2 == 0
        connection = None
        try:
            for i in itertools.count():
                if self._end.is_set():
                    return
                connection = connection or http.client.HTTPSConnection(
                    "127.0.0.1", self._server.port, timeout=60, context=self._context)
                connection.request("POST", path(), intent_json(f"load-{number}", i),
                                   {"Content-Type": "application/json"})
                self._take(connection.getresponse())
                connection.request("GET", path(name=f"load-{number}"))
                self._take(connection.getresponse())
                if not kept:
                    connection.close()
                    connection = None
        except Exception as failure:  # pylint: disable=broad-except
            self.failures.append(failure)

    def _take(self, answer):
        answer.read()
        self.served.append(answer.status)


def intent_json(name, number):
    return '{"name":"%s","spec":{"type":"vm","size":"small","region":"r%d"}}' % (name, number)


@pytest.mark.parametrize("tell", [False, True], ids=["seen by itself", "told by SIGHUP"])
def test_a_certificate_is_replaced_under_load(tmp_path, tell):
    """Both listeners show the new one, and no request of those that write and read meanwhile fails."""
    current = pair(tmp_path, "current")
    others = [pair(tmp_path, "one"), pair(tmp_path, "two")]
    context = trusting(current, *others)
    with Gsq(tmp_path / "gsq", tls=current) as server:
        with Load(server, context) as load:
            for other in others * 2:
                before = len(load.served)
                replace(current, other)
                if tell:
                    os.kill(server.process.pid, signal.SIGHUP)
                wait_shown(server, other)
                wait_until(lambda n=before: load.failures or len(load.served) > n + 8, "requests after it")
        assert not load.failures
        assert set(load.served) <= {200, 201} and load.served


@pytest.mark.parametrize("damage, said", [
    (lambda files, new: files.certificate.write_text("nonsense"), "no certificate"),
    (lambda files, new: files.certificate.write_bytes(files.certificate.read_bytes()[:200]), "no certificate"),
    (lambda files, new: files.key.write_text("nonsense"), "no private key"),
    (lambda files, new: shutil.copy(new.certificate, files.certificate), "does not belong"),
    (lambda files, new: files.key.unlink(), "does not exist"),
], ids=["nonsense", "half a certificate", "no key in it", "the new one without its key", "no file"])
def test_a_bad_certificate_leaves_the_old_one_and_is_said(server, certificate, tmp_path, damage, said):
    old = shown(server.port)
    new = pair(tmp_path, "new")
    damage(certificate, new)
    wait_until(lambda: CERTIFICATE_KEPT in server.log(), "the log to say so")
    line = next(line for line in server.log().splitlines() if CERTIFICATE_KEPT in line)
    assert said in line and str(tmp_path) in line
    assert shown(server.port) == shown(server.registry_port) == old
    replace(certificate, new)
    wait_shown(server, new)
    assert server.get("/readyz").status == 200


# ---- the policy ----

POLICY = """\
rules:
- role: editor
  namespaces: [default]
  users: ["token:ci"]
"""
WIDER = POLICY + """\
- role: editor
  namespaces: [team-a]
  users: ["token:ci"]
"""


@pytest.fixture
def governed(tmp_path):
    """A server with a policy file, and a token that may write what the policy says."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    server = Gsq(tmp_path / "gsq", anonymous=None, namespaces=("default", "team-a"), args=["--policy", policy])
    token = create_token(server, "ci", "viewer", "default,team-a")
    with server:
        server.token = token
        yield SimpleNamespace(server=server, policy=policy)


def may_write(server, namespace):
    answer = server.post(path(namespace), intent("web"))
    assert answer.status in (200, 201, 403), answer
    return answer.status != 403


@pytest.mark.parametrize("content", [
    "", WIDER[:WIDER.index("team-a") + 3], WIDER[:WIDER.rindex("\"")], WIDER + "rul", WIDER + "quotas:\n  \"*\"",
    WIDER.replace("editor", "edit"), "\0" * len(WIDER), WIDER.replace("role", "rolle"), POLICY + "rules: []\n"],
    ids=["nothing", "half a namespace", "half a user", "half a key", "no value", "an unknown role", "zeros",
         "an unknown key", "a key twice"])
def test_half_a_policy_leaves_the_old_one_and_is_said(governed, content):
    server = governed.server
    governed.policy.write_text(content, encoding="utf-8")
    wait_until(lambda: KEPT in server.log(), "the log to say so")
    assert str(governed.policy) in next(line for line in server.log().splitlines() if KEPT in line)
    assert may_write(server, "default") and not may_write(server, "team-a")
    governed.policy.write_text(WIDER, encoding="utf-8")
    wait_until(lambda: may_write(server, "team-a"), "the whole policy to count")


def test_a_policy_that_is_gone_leaves_the_old_one(governed):
    governed.policy.unlink()
    wait_until(lambda: KEPT in governed.server.log(), "the log to say so")
    assert may_write(governed.server, "default")


def test_a_policy_takes_away_what_it_gave(governed):
    assert may_write(governed.server, "default")
    governed.policy.write_text(POLICY.replace("editor", "viewer"), encoding="utf-8")
    wait_until(lambda: not may_write(governed.server, "default"), "the policy to be read again")


# ---- streams that are open when a token ends ----

@pytest.fixture(params=["plain", "tls"])
def watched(request, tmp_path, certificate):
    """A server that tells only who has a token what happens; its own is an admin's."""
    tls = certificate if request.param == "tls" else None
    server = Gsq(tmp_path / "gsq", anonymous=None, tls=tls)
    server.token = create_token(server, "root", "admin", "*")
    with server:
        yield server


def watch(server, token):
    return Events(server, "/api/v1/watch?namespace=default", bearer(token))


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def wait_refused(server, token):
    wait_until(lambda: server.get(path(), headers=bearer(token)).status == 401, "the token to count no more")


def assert_ends(server, stream):
    """With the event "end", and nothing of what happens now."""
    declare(server, "later")
    last = stream.next()
    assert last.event == "end"
    assert "revoked" in last.data["message"]
    assert stream.next() is None


def test_a_revoked_token_ends_its_stream_before_the_next_event(watched):
    token = create_token(watched, "ci", "viewer", "default")
    wait_until(lambda: watched.get(path(), headers=bearer(token)).status == 200, "the token to count")
    with watch(watched, token) as stream:
        declare(watched, "before")
        assert stream.next().data["name"] == "before"
        token_verb(watched, "revoke", "ci")
        wait_refused(watched, token)
        assert_ends(watched, stream)


def test_a_token_that_expires_ends_its_stream_before_the_next_event(watched):
    token = token_verb(watched, "create", "ci", "--role", "viewer", "--namespace", "default", "--expires", "10s")
    wait_until(lambda: watched.get(path(), headers=bearer(token)).status == 200, "the token to count")
    with watch(watched, token) as stream:
        wait_refused(watched, token)
        assert_ends(watched, stream)


@pytest.mark.parametrize("watched", ["tls"], indirect=True)
def test_a_stream_ends_by_itself_when_nothing_happens(watched):
    """With its next heartbeat."""
    token = create_token(watched, "ci", "viewer", "default")
    wait_until(lambda: watched.get(path(), headers=bearer(token)).status == 200, "the token to count")
    with watch(watched, token) as stream:
        token_verb(watched, "revoke", "ci")
        assert stream.next().event == "end"
        assert stream.next() is None


def test_a_token_that_is_revoked_ends_no_other_stream(watched):
    tokens = {name: create_token(watched, name, "viewer", "default") for name in ("ci", "other")}
    wait_until(lambda: watched.get(path(), headers=bearer(tokens["other"])).status == 200, "the tokens to count")
    with watch(watched, tokens["ci"]) as revoked, watch(watched, tokens["other"]) as other:
        token_verb(watched, "revoke", "ci")
        wait_refused(watched, tokens["ci"])
        assert_ends(watched, revoked)
        assert other.next().data["name"] == "later"


def test_who_comes_back_with_a_revoked_token_is_refused(watched):
    token = create_token(watched, "ci", "viewer", "default")
    token_verb(watched, "revoke", "ci")
    wait_refused(watched, token)
    answer = watched.get("/api/v1/watch?namespace=default", headers=bearer(token))
    assert answer.status == 401


def test_a_role_that_is_taken_away_ends_the_stream(governed):
    """Where the policy gave it, not the token."""
    server = governed.server
    governed.policy.write_text(POLICY.replace("ci", "guest"), encoding="utf-8")
    token = create_token(server, "guest", "viewer", "team-a")
    wait_until(lambda: server.get(path(), headers=bearer(token)).status == 200, "policy and token to count")
    with watch(server, token) as stream:
        governed.policy.write_text(POLICY.replace("default", "team-a"), encoding="utf-8")
        wait_until(lambda: server.get(path(), headers=bearer(token)).status == 403, "the role to be gone")
        server.token = create_token(server, "root", "admin", "*")
        wait_until(lambda: server.get(path()).status == 200, "the admin's token to count")
        assert_ends(server, stream)
