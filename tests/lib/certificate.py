# SPDX-License-Identifier: Apache-2.0
"""Self-signed certificates, of 127.0.0.1 and localhost unless a test has other names: each is its own CA file."""
import subprocess


def self_signed(folder, name="tls", days=2, names="IP:127.0.0.1,DNS:localhost"):
    """Writes and returns (certificate, key). days: it is good for so long; negative: it has expired."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    # "req -x509" can make none that has expired; a certificate signed with its own key is the same.
    request = subprocess.run(
        ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}",
         "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", key],
        check=True, capture_output=True).stdout
    subprocess.run(
        ["openssl", "x509", "-req", "-signkey", key, "-days", str(days), "-copy_extensions", "copy",
         "-out", certificate],
        input=request, check=True, capture_output=True)
    return certificate, key
