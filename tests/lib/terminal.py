# SPDX-License-Identifier: Apache-2.0
"""A program on a terminal of its own: what it shows, and what is typed."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time


class Terminal:
    """stdin, stdout and stderr of the command are a pseudo-terminal of that size; it ends with the block."""

    def __init__(self, command, columns=80, rows=40, env=None):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen([str(word) for word in command], stdin=slave, stdout=slave, stderr=slave,
                                        env=env, start_new_session=True, preexec_fn=control_terminal)
        os.close(slave)
        self.shown = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)

    def type(self, text):
        os.write(self._master, text.encode())

    def wait_for(self, is_there, timeout=20):
        """Reads until is_there(all that was shown), and returns that; an assertion after the timeout."""
        end = time.monotonic() + timeout
        while not is_there(self.shown):
            ready, _, _ = select.select([self._master], [], [], max(0, end - time.monotonic()))
            assert ready, f"it shows only: {self.shown!r}"
            assert self._read(), f"it has ended: {self.shown!r}"
        return self.shown

    def wait(self, timeout=20):
        """Reads to the end; returns the exit status."""
        end = time.monotonic() + timeout
        while True:
            ready, _, _ = select.select([self._master], [], [], max(0, end - time.monotonic()))
            assert ready, f"it does not end, and shows: {self.shown!r}"
            if not self._read():
                return self.process.wait(timeout)

    def echoes(self):
        """Whether what is typed is shown."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def _read(self):
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has the other end any more
            return False
        self.shown += piece.decode(errors="replace").replace("\r\n", "\n")
        return bool(piece)


def control_terminal():
    """In the child: so that Ctrl-C, when it is typed, is a signal to it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def left_in_colour(shown):
    """The lines whose end is not in the terminal's own colour."""
    lines, colour = [], False
    for line in shown.splitlines():
        for sequence in re.findall(r"\x1b\[([0-9;]*)m", line):
            colour = sequence not in ("", "0")
        if colour:
            lines.append(line)
    return lines


def show(command, **kwargs):
    """Runs it to its end: what it showed, and its exit status."""
    with Terminal(command, **kwargs) as terminal:
        status = terminal.wait()
        return terminal.shown, status
