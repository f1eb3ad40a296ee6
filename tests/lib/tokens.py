# SPDX-License-Identifier: Apache-2.0
"""API tokens of a server, made by the real gsq token."""
import subprocess

from tests.lib.gsq import binary


def token_verb(server, *args):
    """What gsq token prints, of the server's data folder."""
    folder = server.folder / "data"
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([str(part) for part in (binary(), "token", *args, "--data-dir", folder)],
                          capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def create_token(server, name, role, namespaces):
    return token_verb(server, "create", name, "--role", role, "--namespace", namespaces)
