# SPDX-License-Identifier: Apache-2.0
"""gsq adopt --from-cluster: the registry is lost, and the cluster still has everything."""
import json
import shutil
import subprocess

import pytest

from tests.e2e.chain import chain
from tests.lib.gsq import binary, resource_path
from tests.lib.kube import KUSTOMIZATIONS, RESOURCES, version_of

NAMESPACES = ["default", "team-a"]


@pytest.fixture(scope="module", params=["single", "split"])
def made(request, control_plane, tmp_path_factory):
    with chain(control_plane, tmp_path_factory.mktemp(request.param), namespaces=NAMESPACES,
               split=2 if request.param == "split" else None) as started:
        started.layout = ["--layout", "split", "--catalogs", 2] if request.param == "split" else []
        yield started


def adopt(made, *flags):
    return subprocess.run(
        [str(part) for part in (binary(), "adopt", "--from-cluster", "--kubeconfig", made.kubeconfig,
                                "--data-dir", made.server.folder / "data", *made.layout,
                                *(made.catalog_url if made.layout else []), *flags)],
        capture_output=True, text=True, timeout=120, check=False)


def lose_registry(made):
    made.server.stop()
    shutil.rmtree(made.server.folder / "data")
    (made.server.folder / "data").mkdir()


def listed(made):
    """{(namespace, name): (version, spec, labels)}"""
    return {(item["namespace"], item["name"]): (item["version"], item["spec"], item["labels"])
            for namespace in NAMESPACES for item in made.server.get(resource_path(namespace)).json["resources"]}


def test_everything_is_as_it_was_and_no_object_is_touched(made):
    for namespace in NAMESPACES:
        for i in range(6):
            made.declare(f"r{i}", namespace, labels={"team": f"t{i}"}, region="Z\u00fcrich: \"1\"", replicas=i + 1)
        for i in range(6):
            made.wait_phase("applied", f"r{i}", namespace)
    before, identities = listed(made), made.identities()
    assert len(before) == 12
    lose_registry(made)
    done = adopt(made, "--dry-run")
    assert done.returncode == 0, done.stderr
    done = adopt(made)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12" in done.stdout
    made.server.start()
    made.wait_writable()
    with made.kube.watch(RESOURCES) as watch:
        # Flux fetches what was rebuilt, and applies all of it.
        for name in [name for _, name in made.kube.items(KUSTOMIZATIONS)]:
            made.reconcile("gitops-squared-catalog" if name == "gitops-squared-resources" else name)
        assert watch.events("ADDED", "MODIFIED", "DELETED") == []
    assert made.identities() == identities
    assert listed(made) == before


def test_life_goes_on_after_it(made):
    before = max(version_of(item) for item in made.objects().values())
    version = made.declare_applied("r0", region="after")
    assert int(version[1:]) > int(before[1:])
    made.remove("r1", query="?wait=applied&timeout=120s")
    assert ("default", "r1") not in made.objects()


def test_what_somebody_else_made_in_the_cluster_is_left_alone(made):
    made.cluster.apply(json.dumps({
        "apiVersion": "gitops-squared.io/v1alpha1", "kind": "PlatformResource",
        "metadata": {"name": "foreign", "namespace": "default"}, "spec": {"type": "vm", "size": "small"}}))
    try:
        before = listed(made)
        lose_registry(made)
        done = adopt(made)
        assert done.returncode == 0, done.stdout + done.stderr
        made.server.start()
        made.wait_writable()
        assert listed(made) == before
        made.declare_applied("r2", region="beside-the-foreign-one")
        assert ("default", "foreign") in made.objects()
    finally:
        made.cluster.kubectl("delete", "pr", "foreign")


def test_a_server_that_runs_is_not_disturbed(made):
    done = adopt(made)
    assert done.returncode != 0 and done.stderr.strip()
    made.declare_applied("r3", region="undisturbed")
