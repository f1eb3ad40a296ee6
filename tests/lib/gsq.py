# SPDX-License-Identifier: Apache-2.0
"""The server under test: $GSQ serve (default build/gsq), and requests to its API."""
import functools
import http.client
import json
import os
import re
import ssl
from collections import namedtuple
from pathlib import Path

from tests.lib.process import Process, free_port
from tests.lib.wait import wait_until

# headers: a mapping without regard to case. json: None where there is no body, or it is not JSON.
Response = namedtuple("Response", "status headers json body")

ROOT = Path(__file__).resolve().parents[2]


class Gsq:
    """One server; start() and stop() may be repeated, data folder and ports stay.

    registry    None: the embedded one; else what --registry takes
    init        give --init at the first start only, as an operator would
    layout      of a new store, also given at the first start only: ["--layout", "split"]
    kubeconfig  the file for --kubeconfig; None: no cluster
    args        more flags; may be changed between starts
    anonymous   what who does not say who it is may do: None (nothing), "read" or "write" (everything)
    token       the API token that request() sends; None: none
    tls         a Certificate (tests/lib/certificate.py) for both listeners; None: plain HTTP
    env         variables; of those that gsq reads it has no others
    prefix      the beginning of its command line: a program that executes it, with its arguments
    """

    def __init__(self, folder, registry=None, init=True, namespaces=("default",), args=(), env=None, layout=(),
                 kubeconfig=None, prefix=(), anonymous="write", token=None, tls=None):
        self.folder = Path(folder)
        self.port = free_port()
        self.registry_port = free_port()
        self.registry_host = f"127.0.0.1:{self.registry_port}"
        self.namespaces = list(namespaces)
        self.kubeconfig, self.args = kubeconfig, args
        self._registry, self._init, self._layout = registry, init, layout
        self._env = {**dict.fromkeys(variables()), **(env or {})}
        self._prefix = prefix
        self.anonymous, self.token, self.tls = anonymous, token, tls
        self.process = None

    def start(self, wait="/readyz"):
        """Starts the server and waits until `wait` answers 200; None does not wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = Process("gsq", self._command(), self.folder / "gsq.log", self._env)
        self._init = False
        if wait:
            self._wait_for(wait)
        return self

    def _wait_for(self, path):
        if self.tls is None:
            self.process.wait_for_url(f"http://127.0.0.1:{self.port}{path}")
            return

        def answers():
            assert self.process.running(), "it has ended"
            try:
                assert self.get(path, timeout=2).status == 200
            except OSError as error:
                raise AssertionError(error) from error
            return True
        wait_until(answers, lambda: f"{path} to answer 200:\n{self.process.log_tail()}")

    def stop(self):
        """SIGTERM must drain and exit 0."""
        if self.process and self.process.running():
            status = self.process.stop()
            assert status == 0, f"gsq exited with {status}:\n{self.process.log_tail()}"

    def kill(self):
        self.process.kill()

    def restart(self, wait="/readyz"):
        self.stop()
        return self.start(wait)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def log(self):
        return self.process.log()

    def request(self, method, path, body=None, headers=None, timeout=60):
        """body: bytes or text as they are, anything else as JSON. A header with the value None is left out."""
        headers = dict(headers or {})
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        headers = {name: value for name, value in headers.items() if value is not None}
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body, ensure_ascii=False)
        if isinstance(body, str):
            body = body.encode()
        connection = self.connect(timeout)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            return Response(answer.status, answer.headers, parse_json(answer, content), content)
        finally:
            connection.close()

    def connect(self, timeout=60):
        """A connection to its API."""
        if self.tls is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        context = ssl.create_default_context(cafile=self.tls.ca)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=context)

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, path, body, **kwargs):
        return self.request("POST", path, body, **kwargs)

    def put(self, path, body, **kwargs):
        return self.request("PUT", path, body, **kwargs)

    def delete(self, path, **kwargs):
        return self.request("DELETE", path, **kwargs)

    # ---- what became of a resource ----

    def status(self, name, namespace="default"):
        """Its status, None where there is no such resource."""
        answer = self.get(f"{resource_path(namespace, name)}/status")
        if answer.status == 404:
            return None
        assert answer.status == 200, answer.body
        return answer.json

    def wait_phase(self, phase, name, namespace="default", version=None):
        """Waits until that is its phase, of that version where one is given; returns the status."""
        def is_there():
            status = self.status(name, namespace)
            assert status is not None, f"there is no {namespace}/{name}"
            assert status["phase"] == phase and version in (None, status.get("version")), status
            return status
        return wait_until(is_there, lambda: f"{namespace}/{name} to be {phase}:\n{self.process.log_tail()}")

    def wait_reason(self, reason, name, namespace="default"):
        """Waits until that is its status' reason; returns the status."""
        def is_there():
            status = self.status(name, namespace)
            assert status is not None and status.get("reason") == reason, status
            return status
        return wait_until(is_there, lambda: f"{namespace}/{name} to be {reason}:\n{self.process.log_tail()}")

    def metrics(self):
        return self.get("/metrics").body.decode()

    def metric(self, name, **labels):
        """The sum of all samples of that name which have these labels, whatever others they have."""
        samples = re.findall(rf"^{re.escape(name)}(?:\{{(.*)\}})? (\S+)$", self.metrics(), re.M)
        wanted = {f'{label}="{value}"' for label, value in labels.items()}
        return sum(float(value) for found, value in samples if wanted <= set(found.split(",")))

    def _command(self):
        command = [*self._prefix, binary(), "serve",
                   "--listen", f"127.0.0.1:{self.port}",
                   "--data-dir", self.folder / "data",
                   "--namespaces", ",".join(self.namespaces)]
        if self._registry:
            command += ["--registry", self._registry]
        else:
            command += ["--registry-listen", self.registry_host]
        if self._init:
            command += ["--init", *self._layout]
        if self.kubeconfig:
            command += ["--kubeconfig", self.kubeconfig]
        if self.anonymous:
            command += ["--anonymous", self.anonymous]
        if self.tls:
            command += ["--tls-cert", self.tls.certificate, "--tls-key", self.tls.key]
        return [*command, *self.args]


def resource_path(namespace="default", name=None):
    collection = "/api/v1/resources" if namespace == "default" else f"/api/v1/namespaces/{namespace}/resources"
    return f"{collection}/{name}" if name else collection


def binary():
    return os.environ.get("GSQ") or ROOT / "build" / "gsq"


@functools.cache
def variables():
    """Environment variables that stand for a flag of gsq: {"listen", "LISTEN_ADDR", ...}, of all verbs."""
    found = set()
    for path in (ROOT / "src" / "cli").glob("*.[ch]"):
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'\{[\s\\]*["\w-]+,[\s\\]*"([A-Z_]+)",', text))
        found |= set(re.findall(r'\.env = "([A-Z_]+)"', text))
    assert {"DATA_DIR", "GC_GRACE", "GSQ_SERVER", "KUBECONFIG", "REGISTRY_HOST"} <= found, found
    return sorted(found)


def forget_variables():
    """What this process starts from now on has none of them: they are a developer's, for another server."""
    for name in variables():
        os.environ.pop(name, None)
    os.environ["GSQ_CONFIG"] = "/nowhere/gsq.json"


def parse_json(answer, content):
    if not content or answer.headers.get_content_type() != "application/json":
        return None
    return json.loads(content)
