# SPDX-License-Identifier: Apache-2.0
"""A self-signed certificate for 127.0.0.1 and localhost: it is its own CA file."""
import subprocess


def self_signed(folder):
    """Writes and returns (certificate, key)."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    return certificate, key
