# SPDX-License-Identifier: Apache-2.0
"""The embedded registry under the clients that people have, alone and beside the distribution registry."""
import hashlib
import json
import os
import subprocess
import tarfile

import pytest

from tests.conftest import tools_or_skip
from tests.lib.catalog import MANIFEST
from tests.lib.distribution import Distribution
from tests.lib.gsq import Gsq
from tests.lib.layout import INDEX, Layout, tar_of, write_image
from tests.lib.oci import Oci
from tests.lib.tools import tool, tools_dir

MIB = 1024 * 1024
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with Gsq(tmp_path_factory.mktemp("registry") / "gsq") as gsq:
        yield gsq.registry_host


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    other = Distribution(tmp_path_factory.mktemp("peer") / "distribution")
    with tools_or_skip():
        other.start()
    with other:
        yield other.host


@pytest.fixture
def repository(request):
    """One for each test: they share the registries."""
    return "t/" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


@pytest.fixture
def layout(tmp_path):
    """An image for amd64 and arm64, with layers that the registry keeps in both of its ways."""
    return write_image(tmp_path / "layout", "v1", layer_size=3 * MIB)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """No credentials of the user's, and no way out of this machine."""
    monkeypatch.setenv("GSQ_TOOLS_DIR", str(tools_dir()))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")


def run(program, *arguments, succeeds=True, **kwargs):
    if program != "skopeo":
        with tools_or_skip():
            program = tool(program)
    command = [program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **kwargs)
    assert (done.returncode == 0) == succeeds, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


class Crane:
    @staticmethod
    def push(layout, image):
        run("crane", "push", layout, image)

    @staticmethod
    def pull(image, folder, architecture=None):
        run("crane", "pull", "--format", "oci", "--platform", f"linux/{architecture}" if architecture else "all",
            image, folder)

    @staticmethod
    def copy(source, target):
        run("crane", "copy", source, target)

    @staticmethod
    def tags(repository):
        return run("crane", "ls", repository).split()

    @staticmethod
    def delete(image):
        run("crane", "delete", image)


class Oras:
    @staticmethod
    def push(layout, image):
        run("oras", "cp", "--from-oci-layout", f"{layout}:v1", "--to-plain-http", image)

    @staticmethod
    def pull(image, folder, architecture=None):
        platform = ["--platform", f"linux/{architecture}"] if architecture else []
        run("oras", "cp", *platform, "--from-plain-http", image, "--to-oci-layout", f"{folder}:v1")

    @staticmethod
    def copy(source, target):
        run("oras", "cp", "--from-plain-http", source, "--to-plain-http", target)

    @staticmethod
    def tags(repository):
        return run("oras", "repo", "tags", "--plain-http", repository).split()

    @staticmethod
    def delete(image):
        run("oras", "manifest", "delete", "--plain-http", "--force", image)


class Skopeo:
    @staticmethod
    def push(layout, image, *options):
        run("skopeo", "copy", "--all", *options, "--dest-tls-verify=false", f"oci:{layout}:v1", f"docker://{image}")

    @staticmethod
    def pull(image, folder, architecture=None):
        platform = ["--override-os", "linux", "--override-arch", architecture] if architecture else []
        run("skopeo", *platform, "copy", *([] if architecture else ["--all"]), "--src-tls-verify=false",
            f"docker://{image}", f"oci:{folder}:v1")

    @staticmethod
    def copy(source, target):
        run("skopeo", "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", f"docker://{source}",
            f"docker://{target}")

    @staticmethod
    def tags(repository):
        return json.loads(run("skopeo", "list-tags", "--tls-verify=false", f"docker://{repository}"))["Tags"]

    @staticmethod
    def delete(image):
        run("skopeo", "delete", "--tls-verify=false", f"docker://{image}")


each_client = pytest.mark.parametrize("client", [Crane, Oras, Skopeo])


# ---- what all of them do ----

@each_client
def test_an_image_for_two_platforms_comes_back_whole(client, registry, repository, layout, tmp_path):
    image = f"{registry}/{repository}:v1"
    client.push(layout, image)
    client.pull(image, tmp_path / "pulled")
    pulled = Layout(tmp_path / "pulled")
    assert pulled.digest == layout.digest
    assert pulled.blobs() == layout.blobs()
    run("crane", "validate", "--remote", image)


@each_client
def test_one_platform_of_two_is_pulled(client, registry, repository, layout, tmp_path):
    image = f"{registry}/{repository}:v1"
    client.push(layout, image)
    for architecture in ("amd64", "arm64"):
        folder = tmp_path / architecture
        client.pull(image, folder, architecture)
        pulled = Layout(folder)
        assert pulled.digest == layout.manifest_of(architecture)
        assert pulled.blobs() == layout.reachable(layout.manifest_of(architecture))


@each_client
@pytest.mark.parametrize("direction", ["to_distribution", "from_distribution", "within"])
def test_an_image_is_copied_whole(client, direction, registry, peer, repository, layout, tmp_path):
    source, target = {"to_distribution": (registry, peer), "from_distribution": (peer, registry),
                      "within": (registry, registry)}[direction]
    client.push(layout, f"{source}/{repository}:v1")
    client.copy(f"{source}/{repository}:v1", f"{target}/{repository}/copy:v2")
    client.pull(f"{target}/{repository}/copy:v2", tmp_path / "pulled")
    pulled = Layout(tmp_path / "pulled")
    assert pulled.digest == layout.digest
    assert pulled.blobs() == layout.blobs()


@each_client
def test_tags_are_listed_and_go_with_their_manifest(client, registry, repository, layout, tmp_path):
    image = f"{registry}/{repository}"
    other = write_image(tmp_path / "other", "v1")
    client.push(other, f"{image}:other")
    for tag in ("v1", "v2", "latest"):
        client.push(layout, f"{image}:{tag}")
    assert client.tags(image) == ["latest", "other", "v1", "v2"]
    client.delete(f"{image}@{layout.digest}")
    assert client.tags(image) == ["other"]
    client.delete(f"{image}@{other.digest}")
    assert client.tags(image) == []


# ---- oras ----

def referrers(image, *options):
    return json.loads(run("oras", "discover", "--plain-http", "--format", "json", *options, image))["referrers"]


def test_oras_pushes_files_and_pulls_them(registry, repository, tmp_path):
    image = f"{registry}/{repository}:v1"
    files = {"small.txt": b"hello\n", "big.bin": os.urandom(3 * MIB), "empty": b""}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    run("oras", "push", "--plain-http", "--artifact-type", "test/files", image, *files, cwd=tmp_path)
    run("oras", "pull", "--plain-http", image, "-o", tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == files


def test_oras_attaches_and_discovers_by_type(registry, repository, layout, tmp_path):
    image = f"{registry}/{repository}:v1"
    Oras.push(layout, image)
    for kind in ("test/note", "test/sbom"):
        (tmp_path / "file").write_text(kind)
        run("oras", "attach", "--plain-http", "--artifact-type", kind, "--annotation", f"kind={kind}", image, "file",
            cwd=tmp_path)
    assert {(r["artifactType"], r["annotations"]["kind"]) for r in referrers(image)} == {
        ("test/note", "test/note"), ("test/sbom", "test/sbom")}
    [sbom] = referrers(image, "--artifact-type", "test/sbom")
    assert Oci(registry).layer(repository, sbom["digest"]) == b"test/sbom"
    # The API answered: there is no fallback tag.
    assert Oras.tags(f"{registry}/{repository}") == ["v1"]

    Oras.delete(f"{registry}/{repository}@{sbom['digest']}")
    assert [r["artifactType"] for r in referrers(image)] == ["test/note"]


def test_oras_copies_referrers_to_distribution_and_back(registry, peer, repository, layout, tmp_path):
    """Distribution has no referrers API: there they hang on a tag."""
    def copy_all(source, target):
        run("oras", "cp", "-r", "--from-plain-http", source, "--to-plain-http", target)

    image = f"{registry}/{repository}:v1"
    Oras.push(layout, image)
    (tmp_path / "file").write_text("note")
    run("oras", "attach", "--plain-http", "--artifact-type", "test/note", image, "file", cwd=tmp_path)
    digest = [r["digest"] for r in referrers(image)]
    copy_all(image, f"{peer}/{repository}:v1")
    assert Oras.tags(f"{peer}/{repository}") == [layout.digest.replace(":", "-"), "v1"]
    copy_all(f"{peer}/{repository}:v1", f"{registry}/{repository}/back:v1")
    assert [r["digest"] for r in referrers(f"{registry}/{repository}/back:v1")] == digest
    assert Oci(registry).layer(f"{repository}/back", digest[0]) == b"note"


# ---- crane ----

def test_crane_builds_an_index_of_what_it_appends(registry, repository, tmp_path):
    image = f"{registry}/{repository}"
    for architecture in ("amd64", "arm64"):
        (tmp_path / "layer.tar").write_bytes(tar_of("file", architecture.encode()))
        run("crane", "append", "-f", tmp_path / "layer.tar", "-t", f"{image}:{architecture}")
        run("crane", "mutate", "--set-platform", f"linux/{architecture}", f"{image}:{architecture}",
            "-t", f"{image}:{architecture}")
    run("crane", "index", "append", "-m", f"{image}:amd64", "-m", f"{image}:arm64", "-t", f"{image}:all")
    run("crane", "validate", "--remote", f"{image}:all")
    for architecture in ("amd64", "arm64"):
        run("crane", "pull", "--platform", f"linux/{architecture}", f"{image}:all", tmp_path / "image.tar")
        run("crane", "validate", "--tarball", tmp_path / "image.tar")
        run("crane", "export", "--platform", f"linux/{architecture}", f"{image}:all", tmp_path / "files.tar")
        with tarfile.open(tmp_path / "files.tar") as files:
            assert files.extractfile("file").read() == architecture.encode()


def test_crane_tags_untags_and_lists_the_catalog(registry, repository, layout):
    image = f"{registry}/{repository}"
    Crane.push(layout, f"{image}:v1")
    run("crane", "tag", f"{image}:v1", "v2")
    assert run("crane", "digest", f"{image}:v2").strip() == layout.digest
    assert repository in run("crane", "catalog", registry).split()
    Crane.delete(f"{image}:v1")
    assert Crane.tags(image) == ["v2"]


# ---- skopeo ----

@pytest.mark.parametrize("image_format, index_type, manifest_type", [
    ("oci", INDEX, MANIFEST), ("v2s2", DOCKER_LIST, DOCKER),
])
def test_skopeo_pushes_both_formats(registry, repository, layout, image_format, index_type, manifest_type):
    image = f"{registry}/{repository}:v1"
    Skopeo.push(layout, image, "--format", image_format)
    index = json.loads(run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{image}"))
    assert index["mediaType"] == index_type
    assert [manifest["mediaType"] for manifest in index["manifests"]] == [manifest_type] * 2
    run("crane", "validate", "--remote", image)


# ---- cosign ----

OFFLINE_SIGN = ["--tlog-upload=false", "--use-signing-config=false", "--allow-http-registry", "--yes"]
OFFLINE_VERIFY = ["--insecure-ignore-tlog", "--allow-http-registry"]


@pytest.mark.parametrize("form, options", [("tag", ["--new-bundle-format=false"]), ("referrers", [])],
                         ids=["tag", "referrers"])
def test_cosign_signs_and_verifies(form, options, registry, repository, layout, tmp_path, monkeypatch):
    monkeypatch.setenv("COSIGN_PASSWORD", "")
    digest = layout.digest
    image, signed = f"{registry}/{repository}", f"{registry}/{repository}@{digest}"
    Crane.push(layout, f"{image}:v1")
    for name in ("ours", "other"):
        run("cosign", "generate-key-pair", "--output-key-prefix", name, cwd=tmp_path)

    def verify(key, **kwargs):
        return run("cosign", "verify", "--key", tmp_path / key, *OFFLINE_VERIFY, *options, signed, **kwargs)

    verify("ours.pub", succeeds=False)
    run("cosign", "sign", "--key", tmp_path / "ours.key", *OFFLINE_SIGN, *options, signed)
    [claim] = json.loads(verify("ours.pub"))
    assert claim["critical"]["image"]["docker-manifest-digest"] == digest
    verify("other.pub", succeeds=False)

    signature_tag = digest.replace(":", "-") + ".sig"
    assert Crane.tags(image) == ([signature_tag, "v1"] if form == "tag" else ["v1"])
    assert [r["artifactType"] for r in referrers(signed)] == (
        [] if form == "tag" else ["application/vnd.dev.sigstore.bundle.v0.3+json"])
