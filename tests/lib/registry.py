# SPDX-License-Identifier: Apache-2.0
"""The embedded registry by plain requests: whatever it answers, well or badly, and its upkeep by command."""
import http.client
import json
import os
import subprocess
from collections import namedtuple

from tests.lib.gsq import binary
from tests.lib.oci import EMPTY, artifact, sha256

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
MIB = 1024 * 1024
BLOB_IN_ROW = 64 * 1024  # LIMIT_BLOB_IN_ROW

Answer = namedtuple("Answer", "status headers body")


class Client:
    """A connection for each request, or one that is kept (`kept=True`), which is for one thread."""

    def __init__(self, host, kept=False):
        self.host = host
        self._kept = http.client.HTTPConnection(host, timeout=120) if kept else None

    def __call__(self, method, path, body=None, headers=None):
        """body: bytes, or an iterable: chunked, or of the Content-Length in headers."""
        connection = self._kept or http.client.HTTPConnection(self.host, timeout=120)
        try:
            connection.request(method, f"/v2/{path}", body, headers or {},
                               encode_chunked=body is not None and not isinstance(body, bytes))
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            if connection is not self._kept:
                connection.close()

    def start_upload(self, repository):
        answer = self("POST", f"{repository}/blobs/uploads/")
        assert answer.status == 202, answer
        return answer.headers["Location"].removeprefix("/v2/")

    def push_blob(self, repository, content):
        answer = self("PUT", f"{self.start_upload(repository)}?digest={sha256(content)}", content)
        assert answer.status == 201, answer
        return sha256(content)

    def push_manifest(self, repository, reference, content, media_type=MANIFEST):
        return self("PUT", f"{repository}/manifests/{reference}", content, {"Content-Type": media_type})

    def push(self, repository, tag, layer=b"layer"):
        """A whole artifact. Returns its manifest."""
        self.push_blob(repository, EMPTY)
        self.push_blob(repository, layer)
        manifest = artifact(layer)
        answer = self.push_manifest(repository, tag, manifest)
        assert answer.status == 201, answer
        return manifest

    def assert_whole(self, repository, reference, manifest):
        """The manifest is there, and every blob that it names."""
        assert self("GET", f"{repository}/manifests/{reference}").body == manifest, (repository, reference)
        document = json.loads(manifest)
        for descriptor in (document["config"], *document["layers"]):
            answer = self("GET", f"{repository}/blobs/{descriptor['digest']}")
            assert answer.status == 200, (repository, reference, descriptor, answer)
            assert sha256(answer.body) == descriptor["digest"]


def code(answer):
    """The error code of an answer, which must be in the spec's form."""
    [error] = json.loads(answer.body)["errors"]
    assert answer.headers["Content-Type"] == "application/json"
    assert error["message"] and "detail" in error
    return error["code"]


def upkeep(verb, server, *args):
    """Runs `gsq registry VERB` on the server's folder, whether it is running or not."""
    return subprocess.run(
        [str(part) for part in (binary(), "registry", verb, "--data-dir", server.folder / "data", *args)],
        capture_output=True, text=True, check=False, timeout=600)


def assert_verifies(server):
    done = upkeep("verify", server)
    assert done.returncode == 0, done.stdout + done.stderr


def files_of(server, folder):
    """What lies below a folder of the data, with its size on the disk."""
    return {path: path.stat().st_blocks * 512
            for path in (server.folder / "data" / folder).rglob("*") if path.is_file()}


def blob_file(server, digest):
    algorithm, _, text = digest.partition(":")
    return server.folder / "data" / "blobs" / algorithm / text[:2] / text


def memory_kib(server, what="VmRSS"):
    """VmRSS: the memory now; VmHWM: the most since the start."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith(f"{what}:")).split()[1])


def keeps_freed_memory():
    """A build for AddressSanitizer or ThreadSanitizer says nothing about memory."""
    with open(binary(), "rb") as file:
        program = file.read()
    return b"__asan_init" in program or b"__tsan_init" in program


def in_ci():
    return os.environ.get("CI") == "true"
