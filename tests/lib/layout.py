# SPDX-License-Identifier: Apache-2.0
"""OCI image layouts (image-spec, image-layout.md): folders that every client reads and writes."""
import gzip
import hashlib
import io
import json
import os
import tarfile

from tests.lib.catalog import MANIFEST
from tests.lib.oci import sha256

INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
REF_NAME = "org.opencontainers.image.ref.name"


class Layout:
    def __init__(self, folder):
        self.folder = folder

    def __str__(self):
        return str(self.folder)

    @property
    def digest(self):
        """Of the image that has a name, or is the only one: some clients list the manifests of an index beside it."""
        images = json.loads((self.folder / "index.json").read_text())["manifests"]
        [image] = [image for image in images if REF_NAME in image.get("annotations", {})] or images
        return image["digest"]

    def blobs(self):
        """{digest: content}, each of them checked."""
        blobs = {f"sha256:{path.name}": path.read_bytes() for path in (self.folder / "blobs" / "sha256").iterdir()}
        for digest, content in blobs.items():
            assert sha256(content) == digest
        return blobs

    def manifest_of(self, architecture):
        """The digest of an index's manifest for a platform."""
        [digest] = (manifest["digest"] for manifest in json.loads(self.blobs()[self.digest])["manifests"]
                    if manifest["platform"]["architecture"] == architecture)
        return digest

    def reachable(self, digest):
        """{digest: content} of a manifest and its blobs."""
        blobs = self.blobs()
        manifest = json.loads(blobs[digest])
        parts = [digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
        return {part: blobs[part] for part in parts}


def write_image(folder, tag, architectures=("amd64", "arm64"), layer_size=100):
    """An image for each of some platforms, with a layer of its own and one that they share, below an index."""
    (folder / "blobs" / "sha256").mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    shared = tar_of("shared", os.urandom(layer_size))
    manifests = [{**_image(folder, architecture, [shared, tar_of(architecture, architecture.encode())]),
                  "platform": {"os": "linux", "architecture": architecture}} for architecture in architectures]
    index = _add(folder, INDEX, _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}))
    index["annotations"] = {REF_NAME: tag}
    (folder / "index.json").write_bytes(_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [index]}))
    return Layout(folder)


def tar_of(name, content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _image(folder, architecture, tars):
    config = {"os": "linux", "architecture": architecture, "config": {},
              "rootfs": {"type": "layers", "diff_ids": [sha256(tar) for tar in tars]}}
    return _add(folder, MANIFEST, _json({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _add(folder, CONFIG, _json(config)),
        "layers": [_add(folder, LAYER, gzip.compress(tar, mtime=0)) for tar in tars],
    }))


def _add(folder, media_type, content):
    (folder / "blobs" / "sha256" / hashlib.sha256(content).hexdigest()).write_bytes(content)
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content)}


def _json(value):
    return json.dumps(value).encode()
