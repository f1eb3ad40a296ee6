# SPDX-License-Identifier: Apache-2.0
"""registry_probe: the program's remote registry behind a line protocol. See registry_probe.c for the commands."""
import os
import subprocess
from collections import namedtuple
from pathlib import Path

from tests.lib.gsq import binary

# error: None, or the name of the error code ("unavailable"); text: what follows, without it.
Answer = namedtuple("Answer", "error retry_after text")


class Probe:
    """location as for --registry; config, ca: files; times in milliseconds."""

    def __init__(self, location, config=None, ca=None, timeout_ms=None, retries=None, env=None):
        program = os.environ.get("GSQ_PROBE") or Path(binary()).parent / "tests" / "system" / "registry_probe"
        arguments = ["-" if value is None else str(value) for value in (location, config, ca, timeout_ms, retries)]
        # The developer's own docker login and proxy are none of our business.
        own = {"DOCKER_CONFIG": "/nonexistent", "no_proxy": "127.0.0.1,localhost"}
        self._popen = subprocess.Popen([program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                       env={**os.environ, **own, **(env or {})})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._popen.stdin.close()
        # Sanitizers speak at the end.
        status = self._popen.wait(60)
        self._popen.stdout.close()
        assert status == 0

    def start(self, *words):
        """Sends a command whose answer is read later, with finish()."""
        self._popen.stdin.write(" ".join(map(str, words)) + "\n")
        self._popen.stdin.flush()

    def finish(self):
        line = self._popen.stdout.readline().strip()
        result, _, rest = line.partition(" ")
        if result == "error":
            error, retry_after, text = rest.split(" ", 2)
            return Answer(error, int(retry_after), text)
        assert result == "ok", line
        return Answer(None, 0, rest)

    def do(self, *words):
        self.start(*words)
        return self.finish()

    def ok(self, *words):
        answer = self.do(*words)
        assert answer.error is None, answer
        return answer.text

    def error(self, *words):
        answer = self.do(*words)
        assert answer.error, f"{words} should have failed: {answer.text}"
        return answer.error
