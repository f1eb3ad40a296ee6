# SPDX-License-Identifier: Apache-2.0
"""The servers that bench/api starts, and what they cost while they run."""
import getpass
import os
import re
import shutil
import subprocess
import time
from types import SimpleNamespace

from bench.common import Failed
from tests.lib.certificate import self_signed
from tests.lib.gsq import Gsq
from tests.lib.process import free_port, port_answers
from tests.lib.tokens import create_token
from tests.lib.wait import wait_until

# A commit is logged after its answers.
LOGGED_S = 0.1
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Server(Gsq):
    """gsq, with an address, and waited for by the millisecond.

    token       whoever has none may do nothing, and the generator has one; else everybody may do everything
    tls         it speaks TLS only
    signs       it signs what it stores, with a P-256 key
    arguments   what the generator needs beside the address: {option: value},
    env         and variables
    """

    def __init__(self, folder, layout=(), registry=None, flags=(), token=False, tls=False, signs=False):
        folder.mkdir(parents=True)
        self.arguments, self.env = {}, {}
        certificate = None
        if tls:
            paths = self_signed(folder)
            certificate = SimpleNamespace(ca=paths[0], certificate=paths[0], key=paths[1])
            self.env["SSL_CERT_FILE"] = str(paths[0])
        if signs:
            flags = [*flags, "--sign-key", signing_key(folder)]
        super().__init__(folder, registry=registry, layout=layout, args=flags, tls=certificate,
                         anonymous=None if token else "write")
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        if token:
            self._take_token()

    def _take_token(self):
        self.token = create_token(self, "bench", "editor", "default")
        path = self.folder / "token"
        path.write_text(self.token, encoding="ascii")
        self.arguments["token_file"] = path

    def start(self, wait="/readyz"):
        super().start(wait=None)
        if wait:
            self._wait_ready()
        return self

    def restart_measured(self):
        """Seconds to stop, seconds until it is ready again, and its own figure in ms, None where it gives none."""
        begin = time.monotonic()
        self.stop()
        stopped = time.monotonic()
        end_of_log = self.process.log_path.stat().st_size
        self.start()
        ready = time.monotonic()
        own = self._logged(end_of_log, b"restore_ms")
        return stopped - begin, ready - stopped, own[-1] if own else None

    def _wait_ready(self, deadline_s=600):
        """Asks every millisecond or so: that is what a restart is measured with."""
        end = time.monotonic() + deadline_s
        while not self._is_ready():
            if not self.process.running():
                raise Failed(f"gsq has ended:\n{self.process.log_tail()}")
            if time.monotonic() > end:
                raise Failed(f"gsq is not ready after {deadline_s} s:\n{self.process.log_tail()}")
            time.sleep(0.001)

    def _is_ready(self):
        connection = self.connect()
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def memory(self):
        """Bytes, VmRSS."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return 1024 * int(next(line for line in status if line.startswith("VmRSS:")).split()[1])

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def mark(self):
        time.sleep(LOGGED_S)
        return self.process.log_path.stat().st_size, self.cpu_seconds()

    def since(self, mark):
        """What has happened since mark(): commits, changes in them, and the server's CPU seconds."""
        cpu = self.cpu_seconds() - mark[1]
        time.sleep(LOGGED_S)
        changes = self._logged(mark[0], b"changes")
        return {"commits": len(changes), "changes": sum(changes), "server_cpu_s": round(cpu, 3)}

    def _logged(self, offset, name):
        """The numbers that the log's lines give under a name, from an offset on."""
        with open(self.process.log_path, "rb") as log:
            log.seek(offset)
            return [int(number) for number in re.findall(rb" " + name + rb"=(\d+)", log.read())]


def signing_key(folder):
    """The path of a new one."""
    path = folder / "sign.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path],
                   check=True, capture_output=True)
    return path


NGINX_CONF = """
daemon off;
user {user};
worker_processes auto;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  default_type application/json;
  sendfile on;
  keepalive_timeout 3600;
  keepalive_requests 1000000000;
  open_file_cache max=100;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {folder}/files; }}
}}
"""


def nginx_program():
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class Nginx:
    """Serves files of given sizes, with a worker per core and no log: what a server can do that only reads."""

    def __init__(self, folder):
        self._folder = folder
        self._port = free_port()
        self._popen = None
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self):
        (self._folder / "files").mkdir(parents=True)
        conf = self._folder / "nginx.conf"
        conf.write_text(NGINX_CONF.format(user=getpass.getuser(), folder=self._folder, port=self._port))
        with open(self._folder / "nginx.log", "ab") as log:
            # TERM, which takes its workers with it.
            self._popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "--", nginx_program(), "-p", self._folder, "-c", conf],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_until(lambda: port_answers(self._port), lambda: (self._folder / "nginx.log").read_text())
        return self

    def __exit__(self, *_):
        self._popen.terminate()
        self._popen.wait(30)

    def file(self, size):
        """The path of a file of that size."""
        path = self._folder / "files" / str(size)
        if not path.exists():
            path.write_bytes(b"x" * size)
        return f"/{size}"
