# SPDX-License-Identifier: Apache-2.0
"""gsq import-original: a registry of the original proof of concept is taken over without losing a resource."""
import subprocess

import pytest

from tests.lib.distribution import Distribution
from tests.lib.gsq import Gsq, binary
from tests.lib.oci import RECORDS
from tests.lib.original import Original, write_small
from tests.system.resources import declare, listed, wait_ready

ALL = {("a", "b-c"), ("a-b", "c"), ("default", "db"), *(("default", f"web-{i}") for i in range(6))}
NAMESPACES = ["default", "a", "a-b"]


@pytest.fixture
def registry(tmp_path):
    with Distribution(tmp_path / "registry") as registry:
        yield registry


def import_original(registry, *options):
    return subprocess.run([binary(), "import-original", registry.url, *options], capture_output=True, text=True, timeout=120)


def snapshot(oci):
    return {(repository, tag): oci.digest(repository, tag)
            for repository in oci.repositories() for tag in oci.tags(repository)}


@pytest.fixture
def server(registry, tmp_path):
    server = Gsq(tmp_path / "server", registry=registry.url, namespaces=NAMESPACES, init=False)
    yield server
    server.stop()


def names(server):
    answer = server.get("/api/v1/resources?namespace=*")
    assert answer.status == 200
    return {(r["namespace"], r["name"]) for r in answer.json["resources"]}


def test_every_resource_is_taken_over_and_serve_starts_on_it(registry, server):
    oci = write_small(registry.host).oci
    done = import_original(registry)
    assert (done.returncode, done.stderr) == (0, "")
    assert "took over 9 resources (2 were deleted, 0 skipped); the first record is c" in done.stdout
    server.start()
    wait_ready(server)
    assert names(server) == ALL
    db = listed(server)["db"]
    assert db["spec"] == {"type": "database", "size": "medium", "region": "us-east-1", "replicas": 2}
    files = oci.catalog()
    assert b"pending" not in b"".join(files.values())
    assert {name for name in files if name.endswith("c.yaml")} == {"manifests/a/b-c.yaml", "manifests/a-b/c.yaml"}
    assert oci.record()["why"] == "import-original"
    assert declare(server, "web-0", size="large")["version"] > db["version"]
    server.stop()
    assert subprocess.run([binary(), "fsck", "--registry", registry.url], timeout=60).returncode == 0


def test_what_it_had_stays_below_its_old_tags(registry):
    oci = write_small(registry.host).oci
    before = {key: digest for key, digest in snapshot(oci).items() if key[1] != "latest"}
    assert import_original(registry).returncode == 0
    after = snapshot(oci)
    assert {key: after[key] for key in before} == before


def test_a_dry_run_tells_of_each_resource_and_writes_nothing(registry):
    oci = write_small(registry.host).oci
    before = snapshot(oci)
    done = import_original(registry, "--dry-run")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert {tuple(line.split()) for line in lines[:-1]} == {
        *(("take", f"{namespace}/{name}") for namespace, name in ALL), ("deleted", "default/gone"), ("deleted", "default/back")}
    assert lines[-1] == "would take over 9 resources (2 were deleted, 0 skipped)"
    assert snapshot(oci) == before


def test_a_write_whose_latest_tag_never_came_is_taken_over_too(registry, server):
    original = write_small(registry.host)
    original.put("unfinished", tag_latest=False, type="vm", size="small")
    assert import_original(registry).returncode == 0
    server.start()
    wait_ready(server)
    assert names(server) == ALL | {("default", "unfinished")}


@pytest.mark.parametrize("name, spec, says", [
    ("few", {"replicas": -3}, "replicas"),
    ("far", {"region": '"a\\u2028b"'}, "region"),
    ("dotted.name", {}, "names are 1 to 63"),
])
def test_what_kubernetes_would_refuse_is_named_and_nothing_is_written(registry, name, spec, says):
    original = write_small(registry.host)
    original.put(name, type="vm", size="small", **spec)
    before = snapshot(original.oci)
    done = import_original(registry)
    assert done.returncode == 1
    assert f"default/{name}: " in done.stderr and says in done.stderr
    assert "1 of the resources cannot be taken over" in done.stderr
    assert snapshot(original.oci) == before


def test_what_is_skipped_is_left_out(registry, server):
    original = write_small(registry.host)
    original.put("few", type="vm", size="small", replicas=-3)
    done = import_original(registry, "--skip", "default/few", "--skip", "default/db")
    assert done.returncode == 0, done.stderr
    server.start()
    wait_ready(server)
    assert names(server) == ALL - {("default", "db")}


def test_a_registry_with_a_record_is_refused(registry):
    oci = write_small(registry.host).oci
    assert import_original(registry).returncode == 0
    record = oci.digest(RECORDS, "latest")
    done = import_original(registry)
    assert done.returncode == 1
    assert "it is not the original's any more" in done.stderr
    assert oci.digest(RECORDS, "latest") == record


def test_a_registry_without_anything_is_refused(registry):
    done = import_original(registry)
    assert done.returncode == 1
    assert "is it the one that the original wrote to?" in done.stderr
    assert Original(registry.host).oci.repositories() == []


def test_a_damaged_artifact_stops_it_by_name(registry):
    original = write_small(registry.host)
    original.oci.push_artifact("gitops-squared/resources/default/web-0", "latest", b"not: [yaml")
    done = import_original(registry)
    assert done.returncode == 1
    assert "default/web-0: " in done.stderr
    assert "nothing was written" in done.stderr


def test_it_may_go_into_a_split_layout(registry, server):
    write_small(registry.host)
    done = import_original(registry, "--layout", "split", "--catalogs", "2", "--catalog-url", registry.url)
    assert done.returncode == 0, done.stderr
    server.start()
    wait_ready(server)
    assert names(server) == ALL
