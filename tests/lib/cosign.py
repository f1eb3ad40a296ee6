# SPDX-License-Identifier: Apache-2.0
"""Keys for signatures, and the real cosign, which judges them."""
import os
import subprocess

from tests.lib.tools import tool

PASSWORD = "correct horse"


class SigningKey:
    """A key pair as cosign makes it, its private half encrypted."""

    def __init__(self, folder, name):
        self.private, self.public = folder / f"{name}.key", folder / f"{name}.pub"
        self.password_file = folder / f"{name}.password"
        self.password_file.write_text(PASSWORD + "\n")
        done = _cosign(folder, "generate-key-pair", "--output-key-prefix", folder / name)
        assert done.returncode == 0, done.stderr

    def signs(self):
        """Flags of gsq serve."""
        return ["--sign-key", self.private, "--sign-password-file", self.password_file]

    def verifies(self, host, repository, digest, bundle):
        """Whether cosign finds a signature by this key, as a bundle or in its older format; and what it said."""
        done = _cosign(self.public.parent, "verify", "--key", self.public, "--insecure-ignore-tlog=true",
                       "--allow-http-registry", f"--new-bundle-format={'true' if bundle else 'false'}",
                       f"{host}/{repository}@{digest}")
        return done.returncode == 0, done.stderr


def _cosign(home, *arguments):
    """Without a way out of this machine: nothing is asked of a transparency log."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:1")
    return subprocess.run([tool("cosign"), *map(str, arguments)], capture_output=True, text=True, check=False,
                          timeout=120, env={**os.environ, **nowhere, "HOME": str(home), "COSIGN_PASSWORD": PASSWORD})
