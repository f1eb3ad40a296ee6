# SPDX-License-Identifier: Apache-2.0
"""The wire contract, field by field: the answers of the API, and the artifacts as any OCI client sees them."""
import gzip
import io
import re
import subprocess
import tarfile
from datetime import datetime, timezone

import pytest
import yaml

from tests.lib.gsq import Gsq
from tests.lib.oci import CATALOG, EMPTY, RECORDS, Oci, sha256
from tests.system.resources import assert_whole, declare, in_list, intent, is_later, listed, path, remove, without_status

NAMESPACES = ["default", "a", "a-b"]
EMPTY_CONFIG = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(EMPTY), "size": 2}
LABELS = {"team": "shop", "example.com/tier": "1"}
SPEC = {"type": "database", "size": "large", "region": "eu-west-1", "replicas": 3}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gsq(tmp_path_factory.mktemp("gsq"), namespaces=NAMESPACES) as server:
        yield server


@pytest.fixture(scope="module")
def oci(server):
    return Oci(server.registry_host)


def instant(version):
    """RFC 3339 of a version's microseconds, to the microsecond."""
    seconds, microseconds = divmod(int(version.lstrip("vc")), 1_000_000)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{microseconds:06}Z"


# ---- answers ----

def test_a_create_answers_201_with_the_full_object(server, oci):
    answer = server.post(path(), intent("created", LABELS, **SPEC))
    assert answer.status == 201
    assert answer.headers["Location"] == "/api/v1/resources/created"
    assert answer.headers["Content-Type"] == "application/json"
    resource = dict(answer.json)
    assert re.fullmatch(r"v\d{16}", resource["version"])
    assert resource.pop("digest") == oci.digest("gitops-squared/resources/default/created", resource["version"])
    assert resource.pop("updatedAt") == instant(resource.pop("version"))
    assert resource == {"name": "created", "namespace": "default", "labels": LABELS,
                        "repository": "gitops-squared/resources/default/created", "spec": SPEC}


def test_defaults_are_filled_in(server):
    resource = declare(server, "plain")
    assert resource["labels"] == {}
    assert resource["spec"] == {"type": "vm", "size": "small", "replicas": 1}


def test_an_update_answers_200_with_a_new_version(server):
    first = declare(server, "updated")
    answer = server.post(path(), intent("updated", size="large"))
    assert answer.status == 200
    assert "Location" not in answer.headers
    assert is_later(answer.json["version"], than=first["version"])
    assert answer.json["digest"] != first["digest"]
    assert answer.json["spec"]["size"] == "large"


def test_an_update_replaces_all_of_it(server):
    declare(server, "replaced", labels=LABELS, **SPEC)
    assert declare(server, "replaced")["spec"] == {"type": "vm", "size": "small", "replicas": 1}
    assert server.get(path(name="replaced")).json["labels"] == {}


def test_equal_intent_is_no_change(server, oci):
    first = declare(server, "repeated", labels=LABELS, **SPEC)
    tags = oci.tags(first["repository"]), oci.tags(CATALOG), oci.tags(RECORDS)
    answer = server.post(path(), intent("repeated", dict(reversed(LABELS.items())), **SPEC))
    assert answer.status == 200
    assert answer.json == first
    assert (oci.tags(first["repository"]), oci.tags(CATALOG), oci.tags(RECORDS)) == tags


def test_get_answers_what_the_write_did(server):
    resource = declare(server, "fetched", labels=LABELS, **SPEC)
    answer = server.get(path(name="fetched"))
    assert answer.status == 200
    status = answer.json.pop("status")
    assert answer.json == resource
    assert status["phase"] == "unknown"


def test_list_answers_full_objects_in_order_and_their_number(server):
    declared = [declare(server, name, "a", labels=LABELS, **SPEC) for name in ("zeta", "alpha", "mid-1", "mid", "mid1")]
    answer = server.get(path("a"))
    assert answer.status == 200
    assert answer.json == {"resources": [in_list(item) for item in sorted(declared, key=lambda item: item["name"])],
                           "count": 5}
    for name in ("zeta", "alpha", "mid-1", "mid", "mid1"):
        remove(server, name, "a")
    assert server.get(path("a")).json == {"resources": [], "count": 0}


def test_a_long_list_is_whole(server):
    for i in range(300):
        declare(server, f"long-{i:03}", "a-b", region="r" * 256)
    assert list(listed(server, "a-b")) == [f"long-{i:03}" for i in range(300)]
    for i in range(300):
        remove(server, f"long-{i:03}", "a-b")


def test_a_delete_answers_200_with_the_tombstones_version(server, oci):
    first = declare(server, "deleted")
    answer = server.delete(path(name="deleted"))
    assert answer.status == 200
    assert answer.json == {"name": "deleted", "version": answer.json["version"],
                           "digest": oci.digest(first["repository"], answer.json["version"]), "deleted": True}
    assert is_later(answer.json["version"], than=first["version"])
    assert server.get(path(name="deleted")).status == 404
    assert server.delete(path(name="deleted")).status == 404


def test_what_is_created_again_has_a_later_version(server):
    versions = [declare(server, "again")["version"], remove(server, "again")["version"],
                declare(server, "again")["version"]]
    assert is_later(versions[1], than=versions[0]) and is_later(versions[2], than=versions[1])


def test_other_namespaces_have_their_own_paths(server):
    answer = server.post(path("a"), intent("elsewhere"))
    assert answer.status == 201
    assert answer.headers["Location"] == "/api/v1/namespaces/a/resources/elsewhere"
    assert answer.json["namespace"] == "a"
    assert answer.json["repository"] == "gitops-squared/resources/a/elsewhere"
    assert without_status(server.get(answer.headers["Location"]).json) == answer.json
    assert server.get(path(name="elsewhere")).status == 404
    assert server.get("/api/v1/namespaces/default/resources").json == server.get(path()).json


@pytest.mark.parametrize("where", ["/healthz", "/readyz"])
def test_health(server, where):
    answer = server.get(where)
    assert (answer.status, answer.json) == (200, {"status": "ok"})


def test_head_is_get_without_the_body(server):
    declare(server, "headed")
    for where in ("/healthz", "/readyz", path(name="headed"), path(name="missing")):
        get, head = server.get(where), server.request("HEAD", where)
        assert head.status == get.status
        assert head.body == b""
        assert {key: head.headers[key] for key in ("Content-Type", "Content-Length")} == {
            key: get.headers[key] for key in ("Content-Type", "Content-Length")}
    assert server.request("HEAD", path()).status == 200


# ---- the resource artifact ----

def test_a_resource_artifact(server, oci):
    resource = declare(server, "stored", labels=LABELS, **SPEC)
    version, repository = resource["version"], resource["repository"]
    manifest = oci.manifest(repository, version)
    assert manifest.digest == resource["digest"] == oci.digest(repository, "latest")
    [layer] = manifest.json.pop("layers")
    assert manifest.json == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.gitops-squared.resource.v1",
        "config": EMPTY_CONFIG,
        "annotations": {
            "io.gitops-squared.resource.name": "stored",
            "io.gitops-squared.resource.namespace": "default",
            "org.opencontainers.image.created": instant(version),
        }}
    content = oci.blob(repository, layer["digest"])
    assert layer == {
        "mediaType": "application/vnd.gitops-squared.manifest.v1+yaml",
        "digest": sha256(content),
        "size": len(content),
        "annotations": {
            "org.opencontainers.image.title": "platformresource.yaml",
            "io.gitops-squared.resource.name": "stored",
            "io.gitops-squared.resource.namespace": "default",
            "io.gitops-squared.resource.version": version,
        }}
    assert oci.blob(repository, sha256(EMPTY)) == EMPTY


def test_the_manifest_in_it(server, oci):
    resource = declare(server, "rendered", labels=LABELS, **SPEC)
    content = oci.layer(resource["repository"], resource["version"])
    manifest = yaml.safe_load(content)
    assert manifest == {
        "apiVersion": "gitops-squared.io/v1alpha1",
        "kind": "PlatformResource",
        "metadata": {
            "name": "rendered",
            "namespace": "default",
            "labels": {"app.kubernetes.io/managed-by": "gitops-squared", **LABELS},
            "annotations": {
                "gitops-squared.io/version": resource["version"],
                "gitops-squared.io/pushed-at": instant(resource["version"]),
                "kustomize.toolkit.fluxcd.io/substitute": "disabled",
            },
        },
        "spec": SPEC,
    }
    # Sorted at every level.
    for mapping in (manifest, manifest["metadata"], manifest["metadata"]["labels"],
                    manifest["metadata"]["annotations"], manifest["spec"]):
        assert list(mapping) == sorted(mapping)


def test_a_tombstone(server, oci):
    repository = declare(server, "buried", "a")["repository"]
    deleted = remove(server, "buried", "a")
    manifest = oci.manifest(repository, "latest")
    assert manifest.digest == deleted["digest"] == oci.digest(repository, deleted["version"])
    assert manifest.json["artifactType"] == "application/vnd.gitops-squared.resource.v1"
    assert manifest.json["annotations"] == {
        "io.gitops-squared.resource.deleted": "true",
        "io.gitops-squared.resource.name": "buried",
        "io.gitops-squared.resource.namespace": "a",
        "org.opencontainers.image.created": instant(deleted["version"]),
    }
    assert manifest.json["layers"][0]["annotations"]["io.gitops-squared.resource.deleted"] == "true"
    assert oci.layer(repository, "latest").decode().rstrip("\n") == "# deleted: a/buried"


def test_the_registry_takes_no_intent_from_outside(server, oci):
    declare(server, "ours")
    for repository in ("gitops-squared/resources/default/ours", CATALOG, RECORDS):
        before = oci.digest(repository, "latest")
        with pytest.raises(Exception, match="POST .*: 40[35]"):
            oci.push_artifact(repository, "latest", b"forged")
        with pytest.raises(Exception, match="PUT .*: 40[35]"):
            oci.push_manifest(repository, "latest", oci.manifest(repository, "latest").bytes)
        with pytest.raises(Exception, match="DELETE .*: 40[35]"):
            oci.request("DELETE", f"/v2/{repository}/manifests/{before}")
        assert oci.digest(repository, "latest") == before


# ---- the catalog ----

def test_a_catalog_artifact(server, oci):
    version = declare(server, "listed")["version"]
    manifest = oci.manifest(CATALOG, "latest")
    revision = f"c{version[1:]}"
    assert manifest.digest == oci.digest(CATALOG, revision)
    assert manifest.json["config"]["mediaType"] == "application/vnd.cncf.flux.config.v1+json"
    config = oci.blob(CATALOG, manifest.json["config"]["digest"])
    assert len(config) == manifest.json["config"]["size"]
    [layer] = manifest.json["layers"]
    assert layer["mediaType"] == "application/vnd.cncf.flux.content.v1.tar+gzip"
    assert layer["size"] == len(oci.blob(CATALOG, layer["digest"]))
    assert manifest.json["annotations"]["org.opencontainers.image.revision"] == revision


def test_catalog_files_are_the_artifacts_layers(server, oci, tmp_path):
    for i in range(40):
        declare(server, f"same-{i}", region=f"region {i}")
    layer = oci.layer(CATALOG, "latest")
    (tmp_path / "catalog.tar.gz").write_bytes(layer)
    subprocess.run(["tar", "-xzf", "catalog.tar.gz"], cwd=tmp_path, check=True)
    for name, resource in listed(server).items():
        stored = oci.layer(resource["repository"], resource["version"])
        assert oci.catalog()[f"manifests/default-{name}.yaml"] == stored
        assert (tmp_path / f"manifests/default-{name}.yaml").read_bytes() == stored
    assert_whole(server, oci, NAMESPACES)


def test_catalog_entries_are_plain(server, oci):
    declare(server, "plain-file")
    with tarfile.open(fileobj=io.BytesIO(oci.layer(CATALOG, "latest"))) as tar:
        members = tar.getmembers()
    for member in members:
        assert member.isfile()
        assert (member.mode, member.mtime, member.uid, member.gid) == (0o644, 0, 0, 0)
        assert re.fullmatch(r"manifests/[a-z0-9./-]+\.yaml", member.name) and ".." not in member.name
    assert len({member.name for member in members}) == len(members)
    assert members[-1].name == "manifests/kustomization.yaml"


def test_kustomization_lists_every_file(server, oci):
    declare(server, "in-default")
    declare(server, "in-a", "a")
    files = oci.catalog()
    kustomization = yaml.safe_load(files.pop("manifests/kustomization.yaml"))
    assert kustomization["apiVersion"] == "kustomize.config.k8s.io/v1beta1"
    assert kustomization["kind"] == "Kustomization"
    assert [f"manifests/{name}" for name in kustomization["resources"]] == list(files)
    assert {"default-in-default.yaml", "a/in-a.yaml"} <= set(kustomization["resources"])


def test_an_empty_catalog_lists_an_empty_list(tmp_path):
    with Gsq(tmp_path / "gsq") as server:
        oci = Oci(server.registry_host)
        empty = oci.catalog()
        assert list(empty) == ["manifests/kustomization.yaml"]
        assert empty["manifests/kustomization.yaml"].endswith(b"\nresources: []\n")
        layer = oci.layer(CATALOG, "latest")
        declare(server, "passing")
        assert len(oci.catalog()) == 2
        remove(server, "passing")
        # The same set is the same bytes, whatever came between.
        assert oci.layer(CATALOG, "latest") == layer


def test_names_of_two_namespaces_do_not_share_a_file(server, oci):
    declare(server, "b-c", "a", size="small")
    declare(server, "c", "a-b", size="large")
    files = oci.catalog()
    assert yaml.safe_load(files["manifests/a/b-c.yaml"])["spec"]["size"] == "small"
    assert yaml.safe_load(files["manifests/a-b/c.yaml"])["spec"]["size"] == "large"
    remove(server, "b-c", "a")
    assert "manifests/a/b-c.yaml" not in oci.catalog()
    assert "manifests/a-b/c.yaml" in oci.catalog()


def test_a_name_that_begins_like_another_namespaces_file_is_its_own(server, oci):
    declare(server, "kustomization")
    assert "manifests/default-kustomization.yaml" in oci.catalog()
    declare(server, "kustomization", "a")
    assert "manifests/a/kustomization.yaml" in oci.catalog()


def test_the_order_of_files_is_the_same_whatever_the_history(tmp_path):
    names = [f"web-{i}" for i in range(60)]

    def files(order, folder):
        with Gsq(folder) as server:
            for name in order:
                declare(server, name)
            remove(server, names[7])
            declare(server, names[7])
            return list(Oci(server.registry_host).catalog())

    assert files(names, tmp_path / "a") == files(names[::-1], tmp_path / "b")


def test_the_catalog_is_one_gzip_stream_for_any_reader(server, oci):
    assert gzip.decompress(oci.layer(CATALOG, "latest")).endswith(b"\0" * 1024)


# ---- the record ----

def test_a_commit_record(server, oci):
    before = oci.manifest(RECORDS, "latest")
    resource = declare(server, "recorded")
    manifest = oci.manifest(RECORDS, "latest")
    revision = f"c{resource['version'][1:]}"
    assert manifest.digest == oci.digest(RECORDS, revision)
    assert manifest.json["artifactType"] == "application/vnd.gitops-squared.commit.v1"
    assert manifest.json["config"] == EMPTY_CONFIG
    [layer] = manifest.json["layers"]
    assert layer["mediaType"] == "application/vnd.gitops-squared.commit.v1+json"
    record = oci.record()
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", record.pop("state"))
    assert record.pop("height") == oci.record(before.digest)["height"] + 1
    assert record.pop("parentVersion") == oci.record(before.digest)["version"]
    for ancestor in record.pop("ancestors"):
        assert oci.record(ancestor["digest"])["version"] == ancestor["version"]
    assert record == {
        "format": 1,
        "version": int(resource["version"][1:]),
        "when": resource["updatedAt"],
        "who": "anonymous",
        "from": "127.0.0.1",
        "parent": before.digest,
        "layout": "single",
        "changes": [{"op": "create", "namespace": "default", "name": "recorded", "version": resource["version"],
                     "digest": resource["digest"]}],
        "catalogs": [{"repository": CATALOG, "digest": oci.digest(CATALOG, "latest")}],
    }


def test_records_name_each_kind_of_change(server, oci):
    declare(server, "history")
    assert oci.record()["changes"][0]["op"] == "create"
    declare(server, "history", size="large")
    assert oci.record()["changes"][0]["op"] == "update"
    deleted = remove(server, "history")
    assert oci.record()["changes"] == [{"op": "delete", "namespace": "default", "name": "history",
                                        "version": deleted["version"], "digest": deleted["digest"]}]
    assert (oci.record()["who"], oci.record()["from"]) == ("anonymous", "127.0.0.1")


def test_records_are_a_chain_to_the_first(server, oci):
    declare(server, "chained")
    tags = {oci.digest(RECORDS, tag): tag for tag in oci.tags(RECORDS) if tag != "latest"}
    digest, seen = oci.digest(RECORDS, "latest"), []
    while digest:
        record = oci.record(digest)
        assert tags[digest] == f"c{record['version']}"
        seen.append(record["version"])
        digest = record.get("parent")
    assert seen == sorted(seen, reverse=True)
    assert record["why"] == "init"
    assert len(seen) == len(tags)


# ---- faults of the original ----

def test_ten_updates_leave_ten_version_tags(store):
    with store.server() as server:
        versions = [declare(server, "busy", replicas=1 + i % 10)["version"] for i in range(10)]
        tags = store.oci().tags("gitops-squared/resources/default/busy")
        assert sorted(tags) == ["latest", *sorted(versions)]
        assert len(set(versions)) == 10
        for i, version in enumerate(versions):
            stored = yaml.safe_load(store.oci().layer("gitops-squared/resources/default/busy", version))
            assert stored["spec"]["replicas"] == 1 + i


def test_a_restart_changes_and_pushes_nothing(store):
    server = store.server(namespaces=NAMESPACES).start()
    for i in range(40):
        declare(server, f"web-{i}", NAMESPACES[i % 3], labels=LABELS, region=f"region {i}")
    remove(server, "web-0")
    before = [listed(server, namespace) for namespace in NAMESPACES]
    digests = [store.oci().digest(repository, "latest") for repository in (CATALOG, RECORDS)]
    server.stop()
    snapshot = store.snapshot()
    for _ in range(2):
        server.start()
        assert [listed(server, namespace) for namespace in NAMESPACES] == before
        assert [store.oci().digest(repository, "latest") for repository in (CATALOG, RECORDS)] == digests
        server.stop()
        assert store.snapshot() == snapshot


def restart_requests(store, server):
    """What a restart asks of the distribution registry."""
    server.stop()
    seen = len(access_log(store))
    server.start()
    return access_log(store)[seen:]


def access_log(store):
    return re.findall(r'"((?:GET|HEAD|PUT|POST|PATCH|DELETE) /v2/\S*) HTTP', store.distribution.log())


def test_a_restart_does_not_read_each_resource(distribution_store):
    server = distribution_store.server().start()
    for i in range(3):
        declare(server, f"web-{i}")
    few = restart_requests(distribution_store, server)
    for i in range(3, 30):
        declare(server, f"web-{i}")
    many = restart_requests(distribution_store, server)
    server.stop()
    assert len(many) == len(few) > 0
    assert not [line for line in many if line.startswith(("PUT", "POST", "PATCH", "DELETE"))]
    # Only the resource of the last record is looked at: whether its tag had moved.
    of_resources = {line for line in many if "/resources/" in line}
    assert of_resources <= {"HEAD /v2/gitops-squared/resources/default/web-29/manifests/latest"}
