# SPDX-License-Identifier: Apache-2.0
"""gsq repartition on live data, with a crash after each step: no object is deleted or made again.

Proven by the objects' UIDs and by a watch from the beginning to the end: a UID that changes is an object that was lost
with all that a controller had built for it.
"""
import subprocess

import pytest

from tests.e2e.chain import chain
from tests.lib.gsq import binary
from tests.lib.kube import RESOURCES
from tests.lib.oci import CATALOG, RECORDS, Oci
from tests.lib.wait import wait_until

NAMESPACES = ["default", "team-a", "team-b"]
EACH = 8
STEPS = ("freeze", "switch", "thaw")
RECORDED = ("freeze", "switch")     # after the last one the record names none


@pytest.fixture(scope="module")
def made(control_plane, tmp_path_factory):
    with chain(control_plane, tmp_path_factory.mktemp("repartition"), namespaces=NAMESPACES) as started:
        for namespace in NAMESPACES:
            for i in range(EACH):
                started.declare(f"r{i}", namespace)
        for namespace in NAMESPACES:
            for i in range(EACH):
                started.wait_phase("applied", f"r{i}", namespace)
        yield started


def repartition(made, layout, catalogs, *flags):
    return subprocess.run(
        [str(part) for part in (binary(), "repartition", "--server", f"http://127.0.0.1:{made.server.port}",
                                "--layout", layout, "--catalogs", catalogs, *flags)],
        capture_output=True, text=True, timeout=120, check=False)


def progress(made):
    answer = made.server.get("/api/v1/layout")
    assert answer.status == 200, answer.body
    return answer.json


def layout_now(made):
    found = progress(made)
    return found["layout"], found["catalogs"]


def step_of(made):
    return progress(made)["repartition"]["step"]


def wait_done(made):
    wait_until(lambda: step_of(made) not in STEPS, lambda: f"the end: {progress(made)}\n{made.server.process.log_tail()}")


def steps(made, since):
    """The steps that the commit records after that one name, in their order; None at the end: they name none any more.

    since: digest of a record's manifest
    """
    oci, found = Oci(made.server.registry_host), []
    reference = oci.digest(RECORDS, "latest")
    while reference != since:
        record = oci.record(reference)
        step = record.get("repartition", {}).get("step")
        if found[:1] != [step]:
            found.insert(0, step)
        reference = record["parent"]
    return found[1:] if found[:1] == [None] else found


def repartition_with_a_crash_after_each_step(made, layout, catalogs):
    """Kills the server as soon as there is another step in the record; a slow machine may see two at once."""
    since = Oci(made.server.registry_host).digest(RECORDS, "latest")
    assert repartition(made, layout, catalogs, "--no-wait").returncode == 0
    known = []
    while known != [*RECORDED, None]:
        def more(known=known):
            found = steps(made, since)
            return found if found != known else None
        known = wait_until(more, lambda: f"a step after {known}: {progress(made)}\n{made.server.process.log_tail()}",
                           every_s=0.005)
        assert known == [*RECORDED, None][:len(known)]
        made.server.kill()
        made.server.start()
    wait_done(made)
    assert layout_now(made) == (layout, catalogs)


@pytest.fixture
def nothing_is_lost(made):
    """During a test no object is deleted or made again."""
    before = made.uids()
    assert len(before) == len(NAMESPACES) * EACH
    made.wait_writable()
    with made.kube.watch(RESOURCES) as watch:
        yield
        assert made.uids() == before
        assert [event.object["metadata"]["name"] for event in watch.events("DELETED")] == []
        assert {event.object["metadata"]["uid"] for event in watch.events()} <= set(before.values())


def assert_alive(made):
    """Flux applies what is changed, and prunes what is deleted, in every namespace."""
    made.wait_writable()
    for namespace in NAMESPACES:
        version = made.declare("extra", namespace, region="eu")
        made.wait_object("extra", version, namespace)
        made.declare_applied("r0", namespace, region=str(version))
    for namespace in NAMESPACES:
        made.remove("extra", namespace, "?wait=applied&timeout=120s")
        assert (namespace, "extra") not in made.objects()


def assert_children(made, count):
    """So many catalogs, each with its Kustomization and its OCIRepository, which may prune and is not suspended."""
    def settled():
        kustomizations, sources = made.children()
        assert kustomizations == sources and len(kustomizations) == count, (kustomizations, sources)
        return True
    wait_until(settled, lambda: f"{count} children: {made.children()}")
    everywhere = made.kube.get("/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations")["items"]
    assert {item["spec"]["prune"] for item in everywhere} == {True}


def test_from_single_to_split_with_a_crash_after_each_step(made, nothing_is_lost):
    repartition_with_a_crash_after_each_step(made, "split", 3)


def test_the_split_layout_is_alive(made):
    assert_alive(made)
    assert len({name.rpartition("-")[0] for name in made.children()[0]}) == len(NAMESPACES)


def test_from_split_to_split_with_a_crash_after_each_step(made, nothing_is_lost):
    repartition_with_a_crash_after_each_step(made, "split", 1)


def test_the_old_catalogs_are_gone_and_the_new_ones_are_alive(made):
    assert_alive(made)
    assert_children(made, len(NAMESPACES))


def test_from_split_to_single_with_a_crash_after_each_step(made, nothing_is_lost):
    repartition_with_a_crash_after_each_step(made, "single", 1)


def test_the_single_layout_is_alive(made):
    assert_alive(made)
    assert_children(made, 0)
    files = Oci(made.server.registry_host).catalog()
    assert len(files) == len(NAMESPACES) * EACH + 1, (CATALOG, list(files))


def test_the_command_waits_and_says_how_far_it_is(made, nothing_is_lost):
    done = repartition(made, "split", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert layout_now(made) == ("split", 2) and step_of(made) not in STEPS
    again = repartition(made, "split", 2)
    assert "already" in again.stdout + again.stderr


def test_it_waits_for_flux_and_takes_no_deletions_meanwhile(made, nothing_is_lost):
    with made.without("kustomize-controller"):
        assert repartition(made, "single", 1, "--no-wait").returncode == 0
        wait_until(lambda: "prune: false" in progress(made)["repartition"].get("waitsFor", ""), "Flux to be waited for")
        assert step_of(made) == "freeze"
        answer = made.server.delete("/api/v1/resources/r1")
        assert answer.status == 503, answer.body
        other = repartition(made, "split", 5, "--no-wait")
        assert other.returncode != 0 and "under way" in other.stdout + other.stderr
        made.declare("r1", region="meanwhile")
    wait_done(made)
    made.wait_phase("applied", "r1")
    assert made.resource("r1")["spec"]["region"] == "meanwhile"


def test_deletions_are_taken_again_afterwards(made):
    assert_alive(made)
