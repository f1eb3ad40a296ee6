# SPDX-License-Identifier: Apache-2.0
"""The distribution registry: the other implementation that a remote registry is tested against."""
import json
import ssl
import subprocess
from pathlib import Path

from tests.lib.process import Process, free_port
from tests.lib.tools import tool


class Distribution:
    """A registry whose blobs lie in folder; start() and stop() may be repeated, content and port stay.

    users   {name: password}: basic auth
    tls     (certificate, key) files
    token   distribution's auth.token section: realm, service, issuer, rootcertbundle
    config  more sections of its config.yml, replacing those written here
    """

    def __init__(self, folder, users=None, tls=None, token=None, config=None):
        self.folder = Path(folder)
        self.host = f"127.0.0.1:{free_port()}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self._users, self._tls, self._token, self._more = users, tls, token, config or {}
        self._process = None

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "config.yml"
        # JSON is YAML.
        config.write_text(json.dumps(self._config(), indent=2))
        self._process = Process(
            "distribution", [tool("distribution"), "serve", config], self.folder / "distribution.log",
            {"OTEL_TRACES_EXPORTER": "none"})
        # The port, not /v2/: that one may need credentials.
        self._process.wait_for_port(int(self.host.rpartition(":")[2]))
        return self

    def stop(self):
        if self._process:
            self._process.stop()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def log(self):
        return self._process.log()

    def ssl_context(self):
        return ssl.create_default_context(cafile=self._tls[0])

    def _config(self):
        config = {
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "storage")}, "delete": {"enabled": True}},
            "http": {"addr": self.host},
        }
        if self._tls:
            certificate, key = self._tls
            config["http"]["tls"] = {"certificate": str(certificate), "key": str(key)}
        if self._users:
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(self._write_htpasswd())}}
        if self._token:
            config["auth"] = {"token": self._token}
        return {**config, **self._more}

    def _write_htpasswd(self):
        path = self.folder / "htpasswd"
        path.write_text("".join(f"{user}:{bcrypt(password)}\n" for user, password in self._users.items()))
        return path


def bcrypt(password):
    # distribution takes no other hash. Python has lost its crypt module; perl, part of every Debian, has it.
    return subprocess.run(
        ["perl", "-e", r'print crypt($ARGV[0], q($2b$05$) . "a" x 22)', password],
        check=True, capture_output=True, text=True).stdout
