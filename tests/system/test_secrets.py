# SPDX-License-Identifier: Apache-2.0
"""Secrets stay where they belong: whatever a client sends, the server puts none of them into its log, its answers, its
metrics, its data folder, or a core file; and its command line and environment have none either."""
import base64
import http.client
import json
import os
import resource
import signal
import subprocess
from contextlib import closing
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from tests.lib.certificate import self_signed
from tests.lib.gsq import Gsq, binary, resource_path
from tests.lib.process import Process
from tests.lib.wait import wait_until

PASSWORD = "correct-horse-battery-staple"
UNKNOWN = "gsq_" + base64.urlsafe_b64encode(bytes(range(200, 232))).decode().rstrip("=")
WRONG = "Wr0ng-password-of-somebody"
FORGED = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (
    b'{"alg":"none","kid":"a-key-that-nobody-has"}', b'{"iss":"https://issuer.example","sub":"somebody"}', b"forged" * 8))


def forms(secret):
    """The ways in which it could stand somewhere, as bytes: of base64 each alignment, without the ends."""
    text = secret.encode()
    found = {text, quote(secret, safe="").encode()}
    for i in range(3):
        found.add(base64.b64encode(b"\0" * i + text)[4:-4])
    return found


def lines_of_key(path):
    """A PEM file's text in lines; the first holds only what all keys of a kind have."""
    return [line for line in path.read_text().splitlines() if len(line) > 40 and not line.startswith("-----")][-1:]


def holds(content, secrets):
    return sorted(name for name, secret in secrets.items() if any(form in content for form in forms(secret)))


def test_a_secret_is_found_in_each_form():
    """So the tests below can fail."""
    for form in forms(UNKNOWN):
        assert holds(b"ts=now path=/v2/" + form + b" status=404", {"a token": UNKNOWN}) == ["a token"]
    for lead in ("", "a", "ab"):
        header = base64.b64encode(f"{lead}:{UNKNOWN}".encode())
        assert holds(b'{"authorization":"Basic ' + header + b'"}', {"a token": UNKNOWN}) == ["a token"]
    assert holds(b"nothing of that kind", {"a token": UNKNOWN}) == []


# ---- a server with all of them ----

class Guarded:
    """A server with TLS, a token file, an issuer, and a signing key with a password; its first token is in a file."""

    def __init__(self, folder, log_format):
        self.folder = folder
        certificate, key = self_signed(folder)
        sign_key = self._make_sign_key()
        self.first_token = folder / "gsq" / "data" / "admin-token"
        self.server = Gsq(
            folder / "gsq", anonymous=None, tls=SimpleNamespace(ca=certificate, certificate=certificate, key=key),
            args=["--log-format", log_format, "--sign-key", sign_key, "--sign-password-file", folder / "password",
                  "--sign-resources", "--token-file", folder / "tokens.json"])
        self.keys = {"the key of TLS": lines_of_key(key)[0], "the key that signs": lines_of_key(sign_key)[0],
                     "its password": PASSWORD}
        self.seen = []  # what the server has answered

    def _make_sign_key(self):
        path, password = self.folder / "sign.key", self.folder / "password"
        password.write_text(PASSWORD + "\n")
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-aes256",
                        "-pass", f"file:{password}", "-out", path], check=True, capture_output=True)
        return path

    def __enter__(self):
        self.server.start()
        self.admin = self.first_token.read_text().strip()
        self.first_token.unlink()  # as the operator who takes it
        self.editor = subprocess.run(
            [binary(), "token", "create", "ci", "--role", "editor", "--namespace", "default",
             "--token-file", self.folder / "tokens.json"], check=True, capture_output=True, text=True).stdout.strip()
        self.secrets = {**self.keys, "the admin's token": self.admin, "an editor's token": self.editor,
                        "a token that nobody has": UNKNOWN, "a wrong password": WRONG, "a forged token": FORGED}
        wait_until(lambda: self.send("GET", resource_path(), bearer(self.editor)) == 200, "the editor's token to count")
        return self

    def __exit__(self, *_):
        self.server.stop()

    def send(self, method, path, headers=None, body=None, port=None):
        """Returns the status."""
        connection = self.server.connect()
        if port:
            connection.port = port
        with closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            self.seen.append((path, str(answer.headers).encode() + answer.read()))
            return answer.status

    def registry(self, method, path, headers=None, body=None):
        return self.send(method, path, headers, body, self.server.registry_port)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def credentials(secret):
    """Headers with it, where clients put it or might."""
    return [bearer(secret), basic("ci", secret), basic(secret, ""), basic(secret, "x-oauth-basic"),
            {"Authorization": secret}, {"Authorization": f"Token {secret}"}, {"Authorization": f"Negotiate {secret}"},
            {"X-Api-Key": secret}, {"Cookie": f"session={secret}"}, {"Proxy-Authorization": f"Bearer {secret}"},
            {"Referer": f"https://portal.example/?token={secret}"}]


def body_of(name):
    return {"Content-Type": "application/json"}, json.dumps({"name": name, "spec": {"type": "vm", "size": "small"}})


def knock(guarded, secret):
    """Everywhere but in a path, with a secret that is right or wrong."""
    headers, body = body_of("web")
    for credential in credentials(secret):
        guarded.send("GET", resource_path(), credential)
        guarded.send("POST", resource_path(), {**headers, **credential}, body)
        guarded.send("GET", "/api/v1/nothing", credential)
        guarded.send("GET", "/metrics", credential)
        guarded.registry("GET", "/v2/", credential)
        guarded.registry("GET", "/v2/gitops-squared/catalog/manifests/latest", credential)
        guarded.registry("GET", "/token?service=gsq&scope=repository:team-a/app:pull,push", credential)
    for query in (f"token={secret}", f"access_token={secret}", f"limit={secret}", f"wait={secret}"):
        guarded.send("GET", f"{resource_path()}?{query}")
        guarded.registry("GET", f"/token?{query}")
        guarded.registry("GET", f"/v2/_catalog?{query}")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for field in ("password", "refresh_token", "client_secret"):
        guarded.registry("POST", "/token", form, f"grant_type=password&username=ci&service=gsq&{field}={secret}")


def knock_by_path(guarded, secret):
    """With a token: they are told by their look, which passwords have none of."""
    for path in (f"/{secret}", f"/api/v1/resources/{secret}", f"/api/v1/namespaces/{secret}/resources"):
        guarded.send("GET", path, bearer(guarded.admin))
    for path in (f"/v2/{secret}/manifests/latest", f"/v2/a/manifests/{secret}"):
        guarded.registry("GET", path, bearer(guarded.admin))


@pytest.fixture(scope="module", params=["logfmt", "json"])
def guarded(request, tmp_path_factory):
    with Guarded(tmp_path_factory.mktemp("guarded"), request.param) as made:
        for secret in (made.admin, made.editor, UNKNOWN, FORGED, WRONG):
            knock(made, secret)
        for secret in (made.admin, made.editor, UNKNOWN, FORGED):
            knock_by_path(made, secret)
        yield made


def files(folder):
    """{path: content} of all files below it that can be read whole."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def test_right_and_wrong_ones_were_tried(guarded):
    log = guarded.server.log()
    for status in (200, 201, 401, 403, 404, 429):
        assert f"status={status}" in log or f'"status":{status}' in log, f"nothing was answered {status}"
    assert guarded.admin.startswith("gsq_") and guarded.editor.startswith("gsq_")


def test_none_is_in_the_log(guarded):
    assert holds(guarded.server.log().encode(), guarded.secrets) == []


def test_none_is_in_its_command_line_or_environment(guarded):
    for name in ("cmdline", "environ"):
        with open(f"/proc/{guarded.server.process.pid}/{name}", "rb") as file:
            content = file.read()
        assert content and holds(content, guarded.secrets) == []


def test_none_is_in_what_it_keeps(guarded):
    kept = files(guarded.server.folder / "data")
    assert any(path.suffix == ".db" or "sqlite" in path.name for path in kept), list(kept)
    kept[guarded.folder / "tokens.json"] = (guarded.folder / "tokens.json").read_bytes()
    for path, content in kept.items():
        assert holds(content, guarded.secrets) == [], path


def test_none_is_in_an_answer(guarded):
    """But for a path, which the answer may name: whoever sent it knows it."""
    for path, content in guarded.seen:
        others = {name: secret for name, secret in guarded.secrets.items() if secret not in path.partition("?")[0]}
        assert holds(content, others) == [], path


def test_none_is_in_the_metrics(guarded):
    assert guarded.send("GET", "/metrics", bearer(guarded.admin)) == 200
    assert holds(guarded.seen[-1][1], guarded.secrets) == []


def test_a_token_of_the_registry_is_not_in_the_log(guarded):
    guarded.registry("GET", "/token?service=gsq&scope=repository:team-a/app:pull,push", basic("ci", guarded.admin))
    token = json.loads(guarded.seen[-1][1].partition(b"\n\n")[2])["token"]
    assert guarded.registry("GET", "/v2/", bearer(token)) == 200
    guarded.registry("GET", f"/v2/{token}/manifests/latest", bearer(token))
    assert holds(guarded.server.log().encode(), {"its signature": token[-40:], "it": token}) == []


# ---- core files ----

def die_of_abort(folder, *command):
    """The files that it leaves in its folder, of which it may leave core files of any size."""
    folder.mkdir()
    allow = 'ulimit -c unlimited && cd "$0" && exec "$@"'
    process = Process("aborted", ["sh", "-c", allow, folder, *command], folder.with_suffix(".log"))
    program = os.path.basename(str(command[0]))
    wait_until(lambda: program in os.readlink(f"/proc/{process.pid}/exe") and
               b"listens" in folder.with_suffix(".log").read_bytes() + b"listens" * (program == "sleep"), f"{program} to run")
    os.kill(process.pid, signal.SIGABRT)
    assert process.wait() == -signal.SIGABRT
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_a_server_that_aborts_leaves_no_core_file(tmp_path):
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        pytest.skip("core files are limited here")
    if not die_of_abort(tmp_path / "other", "sleep", "600"):
        pytest.skip("no program leaves a core file in its folder here: see /proc/sys/kernel/core_pattern")
    server = Gsq(tmp_path / "gsq")
    command = [binary(), "serve", "--listen", f"127.0.0.1:{server.port}", "--registry-listen", server.registry_host,
               "--data-dir", tmp_path / "data", "--init", "--anonymous", "read"]
    assert die_of_abort(tmp_path / "server", *command) == []


def test_its_memory_is_closed_to_other_processes_of_its_user(tmp_path):
    """The kernel lets those that share a user see a process, unless it may not be dumped."""
    with Gsq(tmp_path / "gsq") as server:
        environ = f"/proc/{server.process.pid}/environ"
        assert os.stat(f"/proc/{os.getpid()}/environ").st_uid == os.getuid()
        if os.getuid() != 0:
            assert os.stat(environ).st_uid == 0
        reader = subprocess.run(["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--", "cat", environ],
                                capture_output=True, text=True, check=False)
        assert reader.returncode != 0 and "ermission denied" in reader.stderr, reader
