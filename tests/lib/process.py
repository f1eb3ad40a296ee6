# SPDX-License-Identifier: Apache-2.0
"""Processes of a test: each with its log file, waited for, and stopped by its pid."""
import functools
import itertools
import os
import random
import signal
import socket
import subprocess
import urllib.error
import urllib.request

from tests.lib.wait import DEADLINE_S, wait_until


# Below the range that the kernel hands to outgoing connections, so that a server which is stopped and started again
# finds its port still free.
PORTS = range(10000, 30000)
PORTS_EACH = 1000


@functools.cache
def own_ports():
    """Ports that no other process which asks here gets, over and over, as long as this one lives.

    The claim is a name that only one process can have bound: the kernel frees it, however the process ends. Like the
    ports, it belongs to the network namespace.
    """
    for first in random.sample(PORTS[::PORTS_EACH], len(PORTS) // PORTS_EACH):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0gsq-test-ports-{first}")
        except OSError:
            claim.close()
            continue
        return claim, itertools.cycle(range(first, first + PORTS_EACH))
    raise OSError(f"{len(PORTS) // PORTS_EACH} test runs have taken all ports")


def free_port():
    """A port that nobody listens on, and that nobody else who asks is given meanwhile."""
    _, ports = own_ports()
    while True:
        port = next(ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class ProcessDied(Exception):
    pass


class Process:
    """One running program. Dies with the thread that started it, so an aborted test run leaves nothing behind.

    env     variables beside those of this process; None: not that one
    """

    def __init__(self, name, args, log_path, env=None):
        self.name = name
        self.log_path = log_path
        variables = {**os.environ, **(env or {})}
        with open(log_path, "ab") as log:
            self._popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *map(str, args)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={name: value for name, value in variables.items() if value is not None},
                # A Ctrl-C in the terminal is ours to handle: it must not reach all parts at once.
                start_new_session=True)

    @property
    def pid(self):
        return self._popen.pid

    def running(self):
        return self._popen.poll() is None

    def log(self):
        return self.log_path.read_text(errors="replace")

    def log_tail(self, lines=20):
        return "\n".join(self.log().splitlines()[-lines:])

    def wait_for_port(self, port, deadline_s=DEADLINE_S):
        self._wait_for(lambda: port_answers(port), f"port {port}", deadline_s)

    def wait_for_url(self, url, headers=None, context=None, deadline_s=DEADLINE_S):
        """Waits for a 2xx answer."""
        self._wait_for(lambda: url_answers(url, headers, context), url, deadline_s)

    def _wait_for(self, answers, what, deadline_s):
        def answers_or_died():
            if not self.running():
                raise ProcessDied(f"{self.name} exited with {self._popen.returncode}:\n{self.log_tail()}")
            return answers()
        wait_until(answers_or_died, lambda: f"{self.name} at {what}:\n{self.log_tail()}", deadline_s)

    def wait(self, deadline_s=DEADLINE_S):
        return self._popen.wait(deadline_s)

    def stop(self, deadline_s=30):
        """SIGTERM, and SIGKILL when that is ignored. Returns the exit status, negative for a signal."""
        if self.running():
            self._popen.send_signal(signal.SIGTERM)
        try:
            return self._popen.wait(deadline_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self):
        self._popen.kill()
        return self._popen.wait()


def port_answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def url_answers(url, headers=None, context=None):
    request = urllib.request.Request(url, headers=headers or {})
    # No proxy: everything a test starts is on this machine.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=2):
            return True
    except (OSError, urllib.error.HTTPError):
        return False
