# SPDX-License-Identifier: Apache-2.0
"""A registry as the original proof of concept leaves it, byte for byte in what matters.

    python3 -m tests.lib.original HOST:PORT

writes a small one: the original is in Go, and wrote artifacts with oras-go, a YAML that says "pending" where the
version should be, tags of whole seconds (so that two writes within one share a tag), file names in the catalog that
collide, and no commit record.
"""
import gzip
import io
import json
import sys
import tarfile
import time

from tests.lib.catalog import MANIFEST
from tests.lib.oci import CATALOG, EMPTY, Oci, sha256

RESOURCE = "application/vnd.gitops-squared.resource.v1"
YAML = "application/vnd.gitops-squared.manifest.v1+yaml"
FLUX_CONFIG = "application/vnd.cncf.flux.config.v1+json"
FLUX_CONTENT = "application/vnd.cncf.flux.content.v1.tar+gzip"
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"


class Original:
    """The original's client of a registry. now: the second in which it writes."""

    def __init__(self, host, now=1764005082):
        self.oci, self.now = Oci(host), now
        self._catalog = {}

    def put(self, name, namespace="default", tag_latest=True, **spec):
        """What its POST does; the catalog takes the YAML with the real version, the artifact does not."""
        version = f"v{self.now}"
        layer = self._yaml(namespace, name, "pending", spec)
        self._push(namespace, name, version, layer, {"org.opencontainers.image.title": "platformresource.yaml"},
                   {**_names(namespace, name)}, tag_latest)
        self._catalog[f"{namespace}/{name}"] = self._yaml(namespace, name, version, spec)
        self.push_catalog()

    def delete(self, name, namespace="default"):
        layer = f"# deleted: {namespace}/{name}\n".encode()
        deleted = {"io.gitops-squared.resource.deleted": "true"}
        self._push(namespace, name, f"v{self.now}", layer, deleted, deleted, True)
        self._catalog.pop(f"{namespace}/{name}", None)
        self.push_catalog()

    def push_catalog(self):
        layer = _tar_gz(self._catalog)
        self.oci.push_blob(CATALOG, EMPTY)
        self.oci.push_blob(CATALOG, layer)
        manifest = json.dumps({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": FLUX_CONFIG,
            "config": _descriptor(FLUX_CONFIG, EMPTY),
            "layers": [_descriptor(FLUX_CONTENT, layer)],
            "annotations": {"org.opencontainers.image.created": self._time()},
        }).encode()
        self.oci.push_manifest(CATALOG, "latest", manifest)

    def _push(self, namespace, name, version, layer, layer_annotations, annotations, tag_latest):
        repository = f"gitops-squared/resources/{namespace}/{name}"
        self.oci.push_blob(repository, EMPTY)
        self.oci.push_blob(repository, layer)
        manifest = json.dumps({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": RESOURCE,
            "config": {**_descriptor(EMPTY_CONFIG, EMPTY), "data": "e30="},
            "layers": [{**_descriptor(YAML, layer),
                        "annotations": {**layer_annotations, **_names(namespace, name),
                                        "io.gitops-squared.resource.version": version}}],
            "annotations": {**annotations, "org.opencontainers.image.created": self._time()},
        }).encode()
        self.oci.push_manifest(repository, version, manifest)
        if tag_latest:
            self.oci.push_manifest(repository, "latest", manifest)

    def _yaml(self, namespace, name, version, spec):
        """As sigs.k8s.io/yaml writes it."""
        lines = [
            "apiVersion: gitops-squared.io/v1alpha1",
            "kind: PlatformResource",
            "metadata:",
            "  annotations:",
            f'    gitops-squared.io/pushed-at: "{self._time()}"',
            f"    gitops-squared.io/version: {version}",
            "  labels:",
            "    app.kubernetes.io/managed-by: gitops-squared",
            f"  name: {name}",
            f"  namespace: {namespace}",
            "spec:",
        ]
        spec = {"replicas": 1, **spec}
        lines += [f"  {key}: {spec[key]}" for key in sorted(spec)]
        return ("\n".join(lines) + "\n").encode()

    def _time(self):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now))


def _names(namespace, name):
    return {"io.gitops-squared.resource.name": name, "io.gitops-squared.resource.namespace": namespace}


def _descriptor(media_type, content):
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content)}


def _tar_gz(resources):
    """"a/b-c" and "a-b/c" are both manifests/a-b-c.yaml: the second is what a reader finds."""
    names = [key.replace("/", "-") + ".yaml" for key in resources]
    listing = "".join(f"  - {name}\n" for name in names) or "  []\n"
    files = list(zip(names, resources.values()))
    files.append(("kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
                  f"resources:\n{listing}".encode()))
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as compressed, tarfile.open(fileobj=compressed, mode="w") as tar:
        for name, content in files:
            member = tarfile.TarInfo(f"manifests/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def write_small(host):
    """Nine resources, one of them written twice within a second, and two that were deleted."""
    original = Original(host)
    for i in range(6):
        original.put(f"web-{i}", type="vm", size="small")
        original.now += 1
    original.put("db", type="database", size="large", region="us-east-1", replicas=3)
    original.put("db", type="database", size="medium", region="us-east-1", replicas=2)
    original.now += 1
    original.put("b-c", namespace="a", type="bucket", size="small")
    original.put("c", namespace="a-b", type="bucket", size="large")
    original.now += 1
    for name in ("gone", "back"):
        original.put(name, type="vm", size="small")
        original.now += 1
        original.delete(name)
        original.now += 1
    return original


if __name__ == "__main__":
    write_small(sys.argv[1])
