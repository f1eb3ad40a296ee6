# SPDX-License-Identifier: Apache-2.0
"""The command line as people have it: a verb that runs to its end, or beside the test, with a terminal or without."""
import os
import subprocess
import threading
from collections import namedtuple

from tests.lib.gsq import binary
from tests.lib.terminal import Terminal
from tests.lib.wait import DEADLINE_S, wait_until


# What a verb showed on a terminal, and its status.
Shown = namedtuple("Shown", "output returncode")


class Cli:
    """gsq with one server. env: variables beside those of this process."""

    def __init__(self, url, env=None):
        self.env = {**os.environ, "GSQ_SERVER": url, **(env or {})}
        self.env.pop("NO_COLOR", None)
        self.env.pop("COLUMNS", None)

    def run(self, *args, input=None, env=None):
        """stdin is input, else nothing; the result has returncode, stdout and stderr."""
        given = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        return subprocess.run([binary(), *map(str, args)], env={**self.env, **(env or {})}, text=True,
                              timeout=DEADLINE_S, capture_output=True, **given)

    def ok(self, *args, **kwargs):
        """What a verb that succeeds says on standard output."""
        result = self.run(*args, **kwargs)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def start(self, *args):
        return Running(subprocess.Popen([binary(), *map(str, args)], env=self.env, text=True, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE))

    def terminal(self, *args, columns=80, env=None, typed=""):
        """To its end, where all three streams are a terminal; what is typed waits there for whoever reads."""
        with self.open_terminal(*args, columns=columns, env=env) as terminal:
            terminal.type(typed)
            status = terminal.wait(DEADLINE_S)
            return Shown(terminal.shown, status)

    def open_terminal(self, *args, columns=80, env=None):
        return Terminal([binary(), *args], columns=columns, env={**self.env, "TERM": "xterm", **(env or {})})


def cli_of(server, **kwargs):
    return Cli(f"http://127.0.0.1:{server.port}", **kwargs)


class Running:
    """A verb that goes on until it is told to stop."""

    def __init__(self, process):
        self._process = process
        self.lines, self.errors = [], []
        self._readers = [threading.Thread(target=self._read, args=pair, daemon=True)
                         for pair in ((process.stdout, self.lines), (process.stderr, self.errors))]
        for reader in self._readers:
            reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    @staticmethod
    def _read(stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))

    def wait_line(self, *words):
        """Waits for a line with all of these words, and returns it."""
        def is_there():
            return next((line for line in list(self.lines) if all(word in line for word in words)), None)
        return wait_until(is_there, lambda: f"a line with {words} in {self.lines}, {self.errors}")

    def send(self, signal):
        self._process.send_signal(signal)

    def end(self):
        """The status, when it has ended by itself."""
        status = self._process.wait(DEADLINE_S)
        for reader in self._readers:
            reader.join(DEADLINE_S)
        return status
