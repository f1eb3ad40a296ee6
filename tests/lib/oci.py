# SPDX-License-Identifier: Apache-2.0
"""A registry as any OCI client sees it. Whatever is read is checked against its digest."""
import hashlib
import http.client
import io
import json
import tarfile
from collections import namedtuple

from tests.lib.catalog import MANIFEST

CATALOG = "gitops-squared/catalog"
RECORDS = "gitops-squared/commits"
EMPTY = b"{}"

Manifest = namedtuple("Manifest", "digest bytes json")


class OciError(Exception):
    def __init__(self, method, path, status, body):
        super().__init__(f"{method} {path}: {status} {body[:500]!r}")
        self.status = status


class Oci:
    """A client of the registry at host ("127.0.0.1:5000"), for repositories below prefix ("acme/")."""

    def __init__(self, host, prefix=""):
        self.host, self._prefix = host, prefix

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise OciError(method, path, answer.status, content)
        return answer, content

    # ---- reading ----

    def digest(self, repository, tag):
        """What a tag names, None where there is no such tag."""
        try:
            return self.manifest(repository, tag).digest
        except OciError as error:
            if error.status != 404:
                raise
            return None

    def manifest(self, repository, reference):
        answer, content = self.request(
            "GET", self._path(repository, "manifests", reference), headers={"Accept": MANIFEST})
        assert answer.headers["Content-Type"] == MANIFEST
        digest = sha256(content)
        assert answer.headers["Docker-Content-Digest"] == digest
        assert ":" not in reference or reference == digest
        return Manifest(digest, content, json.loads(content))

    def blob(self, repository, digest):
        _, content = self.request("GET", self._path(repository, "blobs", digest))
        assert sha256(content) == digest
        return content

    def layer(self, repository, reference):
        """The only layer of an artifact."""
        [layer] = self.manifest(repository, reference).json["layers"]
        content = self.blob(repository, layer["digest"])
        assert len(content) == layer["size"]
        return content

    def tags(self, repository):
        try:
            _, content = self.request("GET", self._path(repository, "tags", "list"))
        except OciError as error:
            if error.status != 404:
                raise
            return []
        return json.loads(content)["tags"] or []

    def repositories(self):
        _, content = self.request("GET", "/v2/_catalog")
        return json.loads(content)["repositories"] or []

    def catalog(self, reference="latest"):
        """{path: content} of a catalog, in its order."""
        return untar(self.layer(CATALOG, reference))

    def record(self, reference="latest"):
        return json.loads(self.layer(RECORDS, reference))

    # ---- writing ----

    def push_blob(self, repository, content):
        answer, _ = self.request("POST", self._path(repository, "blobs", "uploads/"))
        location = answer.headers["Location"]
        if location.startswith("http"):
            location = location.partition(self.host)[2]
        separator = "&" if "?" in location else "?"
        self.request("PUT", f"{location}{separator}digest={sha256(content)}", content,
                     {"Content-Type": "application/octet-stream"})

    def push_manifest(self, repository, tag, content):
        self.request("PUT", self._path(repository, "manifests", tag), content, {"Content-Type": MANIFEST})

    def push_artifact(self, repository, tag, layer):
        self.push_blob(repository, EMPTY)
        self.push_blob(repository, layer)
        self.push_manifest(repository, tag, artifact(layer))

    def _path(self, repository, *parts):
        return "/".join(["/v2", self._prefix + repository, *parts])


def sha256(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def artifact(layer):
    """A manifest around one layer."""
    return json.dumps({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/vnd.example.test",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(EMPTY), "size": len(EMPTY)},
        "layers": [{"mediaType": "application/octet-stream", "digest": sha256(layer), "size": len(layer)}],
    }).encode()


def untar(layer):
    with tarfile.open(fileobj=io.BytesIO(layer), mode="r:gz") as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}
