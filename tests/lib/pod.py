# SPDX-License-Identifier: Apache-2.0
"""A process that finds what every pod has: the folder of its service account, and where the API server is."""
import os
import subprocess

import pytest

FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
# On a file system of its own, so that the machine's folders stay as they are.
ENTER = f'mount -t tmpfs tmpfs /var/run/ && mkdir -p {FOLDER} && mount --bind "$0" {FOLDER} && exec "$@"'


class Pod:
    """
    prefix      of the command that runs in it: a mount namespace, which ends with the process
    env         its variables
    """

    def __init__(self, folder, authority, port, token):
        """authority: PEM file of the CA of the API server, which listens on a port of this machine"""
        require_mount_namespaces()
        self._folder = folder
        self._authority = authority.read_text()
        self._updates = 0
        self.prefix = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", ENTER, folder]
        self.env = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)}
        folder.mkdir()
        self.replace_token(token)
        for name in ("ca.crt", "token"):
            (folder / name).symlink_to(f"..data/{name}")

    def replace_token(self, token):
        """All files at once, as the kubelet does it: by another target of a link."""
        self._updates += 1
        content = self._folder / f"..{self._updates}"
        content.mkdir()
        (content / "ca.crt").write_text(self._authority)
        (content / "token").write_text(token)
        link = self._folder / "..data_tmp"
        link.symlink_to(content.name)
        link.rename(self._folder / "..data")


def require_mount_namespaces():
    """Without the right to make one the test is skipped by name, which in CI is an error."""
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "--", "true"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        if os.environ.get("CI") == "true":
            pytest.fail(done.stderr)
        pytest.skip(f"mount namespaces are not permitted here: {done.stderr.strip()}")
