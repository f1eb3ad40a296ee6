# SPDX-License-Identifier: Apache-2.0
"""Small file systems, to be filled."""
import os
import subprocess
from contextlib import contextmanager

import pytest


@contextmanager
def small_disk(path, size):
    """Mounts one; without the right to, the test is skipped by name, which in CI is an error."""
    path.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path],
                           capture_output=True, text=True, check=False)
    if mount.returncode != 0:
        if os.environ.get("CI") == "true":
            pytest.fail(mount.stderr)
        pytest.skip(f"mounting is not permitted here: {mount.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


class Ballast:
    """A file that takes all the room that is left."""

    def __init__(self, disk):
        self._path = disk / "ballast"

    def fill(self):
        with open(self._path, "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass

    def leave(self, room):
        """Fills the disk but for some bytes."""
        self.fill()
        os.truncate(self._path, max(0, self._path.stat().st_size - room))

    def remove(self):
        self._path.unlink()
