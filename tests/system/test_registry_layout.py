# SPDX-License-Identifier: Apache-2.0
"""`gsq registry export` and `import`: OCI image layouts that other programs read and write."""
import filecmp
import hashlib
import itertools
import json
import os
import resource
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import tools_or_skip
from tests.lib.gsq import Gsq, binary
from tests.lib.layout import REF_NAME, Layout, write_image
from tests.lib.oci import EMPTY, Oci, artifact, sha256
from tests.lib.registry import INDEX, MANIFEST, MIB, Client, assert_verifies, upkeep
from tests.lib.rounds import rounds
from tests.lib.tools import tool, tools_dir
from tests.system.resources import without_status

APP = "acme/app"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """No credentials of the user's, and no way out of this machine."""
    monkeypatch.setenv("GSQ_TOOLS_DIR", str(tools_dir()))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")


@pytest.fixture
def client(gsq):
    return Client(gsq.registry_host)


@pytest.fixture
def image(gsq, tmp_path):
    """An image for two platforms, pushed as acme/app:v1."""
    image = write_image(tmp_path / "image", "v1", layer_size=MIB)
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{image}:v1", f"docker://{gsq.registry_host}/{APP}:v1")
    return image


def run(program, *args):
    done = subprocess.run([program, *map(str, args)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{program} {args}:\n{done.stdout}{done.stderr}"
    return done.stdout


def skopeo(*args):
    return run("skopeo", "--insecure-policy", *args)


def client_program(name):
    with tools_or_skip():
        return tool(name)


def oras(*args):
    return run(client_program("oras"), *args)


def crane(*args):
    return run(client_program("crane"), *args)


def export(server, folder, *args):
    done = upkeep("export", server, folder, *args)
    assert done.returncode == 0, done.stderr
    return Layout(folder)


def import_into(server, folder, *args):
    done = upkeep("import", server, folder, *args)
    assert done.returncode == 0, done.stderr


def refused(server, folder, *args):
    """What import says when it fails."""
    done = upkeep("import", server, folder, *args)
    assert done.returncode == 1, done.stdout
    return done.stderr


def descriptors(layout):
    """{name: descriptor} of index.json."""
    index = json.loads((layout.folder / "index.json").read_text())
    return {descriptor["annotations"][REF_NAME]: descriptor for descriptor in index["manifests"]}


def same(one, other):
    """Do two folders hold the same files?"""
    compared = filecmp.dircmp(one, other)
    return (not compared.left_only and not compared.right_only and
            filecmp.cmpfiles(one, other, compared.common_files, shallow=False)[1:] == ([], []) and
            all(same(one / name, other / name) for name in compared.common_dirs))


def whole(server, repository, reference, image):
    """The server has the image of the layout, every content of it."""
    got = Oci(server.registry_host)
    answer, index = got.request("GET", f"/v2/{repository}/manifests/{reference}", headers={"Accept": INDEX})
    assert answer.headers["Content-Type"] == INDEX
    assert sha256(index) == image.digest
    for child in json.loads(index)["manifests"]:
        manifest = got.manifest(repository, child["digest"])
        for descriptor in (manifest.json["config"], *manifest.json["layers"]):
            got.blob(repository, descriptor["digest"])


# ---- what we write, others read ----

def test_skopeo_copies_out_of_an_export(gsq, image, tmp_path):
    layout = export(gsq, tmp_path / "layout")
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{layout}:{APP}:v1",
           f"docker://{gsq.registry_host}/copied/by-skopeo:v1")
    whole(gsq, "copied/by-skopeo", "v1", image)


def test_oras_copies_out_of_an_export(gsq, image, tmp_path):
    layout = export(gsq, tmp_path / "layout")
    target = f"{gsq.registry_host}/copied/by-oras"
    oras("cp", "--from-oci-layout-path", layout, "--to-plain-http", f"{APP}:v1", f"{target}:name")
    oras("cp", "--from-oci-layout", f"{layout}@{image.digest}", "--to-plain-http", f"{target}:digest")
    whole(gsq, "copied/by-oras", "name", image)
    whole(gsq, "copied/by-oras", "digest", image)
    assert f"{APP}:v1" in oras("repo", "tags", "--oci-layout", layout).split()


def test_oras_finds_referrers_in_an_export(gsq, image, client, tmp_path):
    client.push_blob(APP, EMPTY)
    client.push_blob(APP, b"signature")
    referrer = json.dumps({**json.loads(artifact(b"signature")), "subject": {
        "mediaType": INDEX, "digest": image.digest, "size": len(image.blobs()[image.digest])}}).encode()
    assert client.push_manifest(APP, sha256(referrer), referrer).status == 201
    layout = export(gsq, tmp_path / "layout")
    assert descriptors(layout)[f"{APP}@{sha256(referrer)}"]["artifactType"] == "application/vnd.example.test"
    found = oras("discover", "--oci-layout", "--format", "json", f"{layout}@{image.digest}")
    assert [each["digest"] for each in json.loads(found)["referrers"]] == [sha256(referrer)]


def test_crane_pushes_an_export_of_one_image(gsq, image, tmp_path):
    layout = export(gsq, tmp_path / "layout", "--repository", APP)
    crane("push", layout, f"{gsq.registry_host}/copied/by-crane:v1")
    whole(gsq, "copied/by-crane", "v1", image)


# ---- what others write, we read ----

def write_with_skopeo(_, image, folder):
    skopeo("copy", "--all", f"oci:{image}:v1", f"oci:{folder}:v1")


def write_with_oras(server, _, folder):
    oras("cp", "--from-plain-http", f"{server.registry_host}/{APP}:v1", "--to-oci-layout", f"{folder}:v1")


@pytest.mark.parametrize("write", [write_with_skopeo, write_with_oras])
def test_a_tag_alone_goes_to_the_repository_that_is_named(gsq, image, tmp_path, write):
    write(gsq, image, tmp_path / "layout")
    assert "--repository" in refused(gsq, tmp_path / "layout")
    import_into(gsq, tmp_path / "layout", "--repository", "from/elsewhere")
    whole(gsq, "from/elsewhere", "v1", image)
    assert_verifies(gsq)


def test_a_name_with_a_repository_is_kept(gsq, image, tmp_path):
    skopeo("copy", "--all", f"oci:{image}:v1", f"oci:{tmp_path / 'layout'}:by/skopeo:v2")
    import_into(gsq, tmp_path / "layout")
    whole(gsq, "by/skopeo", "v2", image)


def test_an_image_without_a_name_is_there_by_digest(gsq, image, tmp_path):
    crane("pull", "--format=oci", f"{gsq.registry_host}/{APP}:v1", tmp_path / "layout")
    import_into(gsq, tmp_path / "layout", "--repository", "by/crane")
    whole(gsq, "by/crane", image.digest, image)
    assert Oci(gsq.registry_host).tags("by/crane") == []


def test_an_index_whose_platforms_were_not_copied_is_taken(gsq, image, tmp_path):
    layout = write_image(tmp_path / "layout", "v1")
    child = layout.manifest_of("arm64")
    (layout.folder / "blobs" / "sha256" / child.removeprefix("sha256:")).unlink()
    import_into(gsq, layout, "--repository", "from/sparse")
    assert Client(gsq.registry_host)("GET", f"from/sparse/manifests/{child}").status == 404
    assert Oci(gsq.registry_host).manifest("from/sparse", layout.manifest_of("amd64"))


# ---- there and back ----

def fill(client):
    """Many repositories with shared layers, and one of each kind of content."""
    big = os.urandom(10 * MIB)
    for i in range(100):
        client.push(f"team/r{i % 50}", f"v{i // 50}", big if i % 10 == 0 else b"layer %d" % (i % 7))
    one = client.push(APP, "one", b"one")
    child = {"mediaType": MANIFEST, "digest": sha256(one), "size": len(one)}
    inner = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}).encode()
    outer = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": INDEX, "digest": sha256(inner), "size": len(inner)},
        {"mediaType": MANIFEST, "digest": sha256(b"not here"), "size": 8}]}).encode()
    assert client.push_manifest(APP, sha256(inner), inner, INDEX).status == 201
    assert client.push_manifest(APP, "nested", outer, INDEX).status == 201
    digest = f"sha512:{hashlib.sha512(one).hexdigest()}"
    assert client.push_manifest(APP, digest, one).status == 201


def test_a_store_comes_back_whole(gsq, client, tmp_path):
    fill(client)
    other = Gsq(tmp_path / "other")
    export(gsq, tmp_path / "first")
    import_into(other, tmp_path / "first")
    export(other, tmp_path / "second")
    assert same(tmp_path / "first", tmp_path / "second")
    assert_verifies(other)


def test_a_server_starts_from_an_import(gsq, tmp_path):
    assert gsq.post("/api/v1/resources", {"name": "web", "spec": {"type": "vm", "size": "small"}}).status == 201
    layout = export(gsq, tmp_path / "layout")
    immutable = {name for name, descriptor in descriptors(layout).items()
                 if descriptor["annotations"].get("io.gitops-squared.immutable") == "true"}
    assert any(name.startswith("gitops-squared/resources/default/web:v") for name in immutable)
    assert not any(name.endswith(":latest") for name in immutable)
    other = Gsq(tmp_path / "other", init=False)
    import_into(other, layout)
    with other:
        assert without_status(other.get("/api/v1/resources/web").json) == \
            without_status(gsq.get("/api/v1/resources/web").json)


def test_a_running_server_keeps_what_its_api_alone_writes(gsq, client, tmp_path):
    client.push(APP, "v1")
    export(gsq, tmp_path / "all")
    assert "stop it" in refused(gsq, tmp_path / "all")
    export(gsq, tmp_path / "app", "--repository", APP)
    import_into(gsq, tmp_path / "app")
    gsq.stop()
    import_into(gsq, tmp_path / "all")


def test_a_damaged_layout_leaves_no_tag(gsq, client, tmp_path):
    client.push(APP, "v1", b"layer")
    layout = export(gsq, tmp_path / "layout", "--repository", APP)
    name = sha256(b"layer").removeprefix("sha256:")
    (layout.folder / "blobs" / "sha256" / name).write_bytes(b"lay3r")
    with Gsq(tmp_path / "other") as other:
        assert f"blobs/sha256/{name}" in refused(other, layout)
        assert Oci(other.registry_host).tags(APP) == []
        assert_verifies(other)


def test_an_export_that_was_killed_is_no_layout(gsq, client, tmp_path):
    fill(client)
    gsq.stop()
    killed = subprocess.run(
        [binary(), "registry", "export", "--data-dir", gsq.folder / "data", tmp_path / "layout"], check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB)))
    assert killed.returncode == -signal.SIGXFSZ
    assert "not a complete image layout" in refused(Gsq(tmp_path / "other"), tmp_path / "layout")
    assert_verifies(gsq)


def test_an_import_that_was_killed_is_done_again(gsq, client, tmp_path):
    fill(client)
    export(gsq, tmp_path / "first")
    for i in range(rounds(3, 30)):
        other = Gsq(tmp_path / f"other{i}")
        command = [binary(), "registry", "import", "--data-dir", other.folder / "data", tmp_path / "first"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            time.sleep(0.02 * (i + 1))
            process.kill()
        import_into(other, tmp_path / "first")
        assert_verifies(other)
        export(other, tmp_path / f"again{i}")
        assert same(tmp_path / "first", tmp_path / f"again{i}")


def test_an_export_is_whole_while_others_push_and_delete(gsq, client, tmp_path):
    def push(name):
        own = Client(gsq.registry_host)
        for i in itertools.count():
            if ended.is_set():
                return
            manifest = own.push(f"busy/{name}", "latest", b"%s %d" % (name.encode(), i))
            assert own.push_manifest(f"busy/{name}", f"v{i % 5}", manifest).status == 201
            if i % 3 == 0:
                assert own("DELETE", f"busy/{name}/manifests/{sha256(manifest)}").status == 202

    fill(client)
    ended = threading.Event()
    with ThreadPoolExecutor() as pool:
        pushes = [pool.submit(push, name) for name in ("a", "b", "c", "team")]
        try:
            for i in range(rounds(5, 50)):
                layout = export(gsq, tmp_path / f"layout{i}")
                assert "annotations" not in json.loads((layout.folder / "index.json").read_text())
        finally:
            ended.set()
        for each in pushes:
            each.result()
    for i in range(rounds(5, 50)):
        other = Gsq(tmp_path / f"other{i}")
        import_into(other, tmp_path / f"layout{i}")
        assert_verifies(other)
