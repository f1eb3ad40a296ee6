# SPDX-License-Identifier: Apache-2.0
"""A bare push and wake: a catalog that is pushed by plain OCI requests and followed by Flux, with no server between."""
import gzip
import http.client
import io
import json
import tarfile
import time

from tests.lib.catalog import MANIFEST
from tests.lib.kube import KUSTOMIZATIONS, REQUESTED_AT, SOURCES, VERSION
from tests.lib.oci import sha256

CONFIG_TYPE = "application/vnd.cncf.flux.config.v1+json"
LAYER_TYPE = "application/vnd.cncf.flux.content.v1.tar+gzip"
NAMESPACE = "bare"

OBJECT = """apiVersion: gitops-squared.io/v1alpha1
kind: PlatformResource
metadata:
  name: {name}
  namespace: {namespace}
  annotations:
    {version_key}: v{version}
spec:
  type: vm
  size: small
  region: r{version}
  replicas: 1
"""


class BareCatalog:
    """So many resources of the namespace "bare", in one catalog with its two Flux objects."""

    def __init__(self, kube, registry_host, number, resources):
        self._kube = kube
        self._name = f"bare-{number:02}"
        self._repository = f"bench/{self._name}"
        self._host = registry_host
        self._connection = http.client.HTTPConnection(registry_host, timeout=60)
        self._versions = {f"{self._name}-{i:02}": 1 for i in range(resources)}

    def connect(self):
        """Pushes it, and has Flux follow it; returns {key: version}."""
        self._push()
        self._kube.apply(f"{SOURCES}/{self._name}", {
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository", "metadata": {"name": self._name},
            "spec": {"interval": "10m", "insecure": True, "url": f"oci://{self._host}/{self._repository}",
                     "ref": {"tag": "latest"}}})
        self._kube.apply(f"{KUSTOMIZATIONS}/{self._name}", {
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": self._name},
            "spec": {"interval": "10m", "prune": True, "wait": False, "path": "./manifests",
                     "sourceRef": {"kind": "OCIRepository", "name": self._name}}})
        return {(NAMESPACE, name): f"v{version}" for name, version in self._versions.items()}

    def update(self, i):
        """Pushes a new version of one of its resources and wakes Flux; returns its key and version."""
        name = sorted(self._versions)[i % len(self._versions)]
        self._versions[name] = time.time_ns() // 1000
        self._push()
        self._kube.patch(f"{SOURCES}/{self._name}", {"metadata": {"annotations": {REQUESTED_AT: str(time.time_ns())}}})
        return (NAMESPACE, name), f"v{self._versions[name]}"

    def _push(self):
        layer = catalog_layer({name: OBJECT.format(name=name, namespace=NAMESPACE, version_key=VERSION, version=version)
                               for name, version in self._versions.items()})
        config = b"{}"
        for blob in (config, layer):
            location = self._request("POST", f"{self._repository}/blobs/uploads/").headers["Location"]
            self._request("PUT", f"{location.removeprefix('/v2/')}?digest={sha256(blob)}", blob,
                          "application/octet-stream")
        self._request("PUT", f"{self._repository}/manifests/latest", json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": described(CONFIG_TYPE, config),
            "layers": [described(LAYER_TYPE, layer)]}).encode(), MANIFEST)

    def _request(self, method, path, body=None, content_type=None):
        headers = {"Content-Type": content_type} if content_type else {}
        try:
            self._connection.request(method, f"/v2/{path}", body, headers)
            answer = self._connection.getresponse()
        except http.client.RemoteDisconnected:  # it was idle for so long that the server has closed it
            self._connection.close()
            self._connection.request(method, f"/v2/{path}", body, headers)
            answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise OSError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return answer


def described(media_type, content):
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content)}


def catalog_layer(manifests):
    """tar.gz of {name: manifest}, as Flux expects it."""
    files = {f"manifests/{name}.yaml": text for name, text in sorted(manifests.items())}
    lines = "".join(f"- {name}.yaml\n" for name in sorted(manifests))
    files["manifests/kustomization.yaml"] = (
        f"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{lines}")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(buffer.getvalue(), compresslevel=6, mtime=0)
