# SPDX-License-Identifier: Apache-2.0
"""Flux is woken after each commit: it looks by itself only every ten minutes, and no test waits that long."""
import pytest

from tests.e2e.chain import ROOT, ROOT_SOURCE, chain
from tests.lib.kube import KUSTOMIZATIONS, REQUESTED_AT, SOURCES
from tests.lib.wait import wait_until


@pytest.fixture(scope="module", params=["single", "split"])
def made(request, control_plane, tmp_path_factory):
    with chain(control_plane, tmp_path_factory.mktemp(request.param), namespaces=["default", "team-a", "team-b"],
               split=2 if request.param == "split" else None) as started:
        started.is_split = request.param == "split"
        yield started


def requested(made, name):
    return made.kube.get(f"{SOURCES}/{name}")["metadata"].get("annotations", {}).get(REQUESTED_AT)


def source_of(made, namespace, name):
    """The OCIRepository of the catalog that an object came from, by the label that Flux gives it."""
    owner = made.objects()[namespace, name]["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"]
    return ROOT_SOURCE if owner == ROOT else owner


def wakes(made, outcome="sent"):
    return made.server.metric("gsq_flux_wakes_total", outcome=outcome)


def test_a_change_is_in_the_cluster_without_a_poll(made):
    for replicas in (1, 2, 3):
        version = made.declare("web", replicas=replicas)
        made.wait_object("web", version)
    made.remove("web")
    made.wait_no_object("web")


def test_the_first_resource_of_a_catalog_is_there_without_a_poll(made):
    """With the layout split its catalog is not known to Flux yet: the root is woken."""
    version = made.declare("first", "team-b")
    made.wait_object("first", version, "team-b")


def test_equal_intent_wakes_flux_too(made):
    version = made.declare_applied("repeated")
    source = source_of(made, "default", "repeated")
    before = requested(made, source)
    assert made.declare("repeated") == version
    wait_until(lambda: requested(made, source) != before, "Flux to be woken")


def test_many_changes_are_few_wakes(made):
    made.declare_applied("busy")
    before = wakes(made)
    for replicas in range(1, 11):
        for count in range(20):
            version = made.declare("busy", replicas=replicas, region=f"r{count}")
    made.wait_object("busy", version)
    assert 1 <= wakes(made) - before < 200


def test_a_catalog_that_somebody_took_from_flux_comes_back(made):
    if not made.is_split:
        pytest.skip("the single layout has no children")
    made.declare_applied("orphan", "team-a")
    source = source_of(made, "team-a", "orphan")
    made.kube.request("DELETE", f"{SOURCES}/{source}")
    wait_until(lambda: source not in made.children()[1], "the OCIRepository to be gone")
    version = made.declare("orphan", "team-a", replicas=4)
    made.wait_object("orphan", version, "team-a")


def test_children_wait_long_and_keep_their_objects(made):
    if not made.is_split:
        pytest.skip("the single layout has no children")
    made.declare_applied("child", "team-a")
    name = source_of(made, "team-a", "child")
    spec = made.kube.get(f"{KUSTOMIZATIONS}/{name}")["spec"]
    assert (spec["deletionPolicy"], spec["prune"], spec["wait"]) == ("Orphan", True, False)
    assert spec["interval"] in ("10m", "10m0s")
    assert made.kube.get(f"{SOURCES}/{name}")["spec"]["interval"] in ("10m", "10m0s")
