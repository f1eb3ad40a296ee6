# SPDX-License-Identifier: Apache-2.0
"""--quarantine: what the cluster refuses is held, so that the others go on, and comes back by itself."""
import pytest

from tests.e2e.chain import chain
from tests.lib.catalog import catalog_digest
from tests.lib.oci import Oci
from tests.lib.policy import FORBIDDEN, MESSAGE, install_policy, remove_policy


@pytest.fixture(scope="module")
def made(control_plane, tmp_path_factory):
    with chain(control_plane, tmp_path_factory.mktemp("quarantine"), args=["--quarantine"]) as started:
        yield started


@pytest.fixture
def policy(control_plane):
    install_policy(control_plane)
    yield
    remove_policy(control_plane)


def held(made):
    """Files that are kept where Flux does not look."""
    return [name for name in Oci(made.server.registry_host).catalog() if name.startswith("held/")]


def wait_held(made, name):
    """Returns its status, once it is held."""
    return made.wait_reason("Quarantined", name)


def test_a_new_one_that_is_refused_is_left_off_and_the_others_go_on(made, policy):
    made.declare("refused", region=FORBIDDEN)
    version = made.declare("bystander")
    made.wait_phase("applied", "bystander", version=version)
    status = wait_held(made, "refused")
    assert status["phase"] == "failed" and MESSAGE in status["message"], status
    assert "version" not in status
    assert ("default", "refused") not in made.objects()
    assert made.resource("refused")["spec"]["region"] == FORBIDDEN
    assert any("refused" in name for name in held(made))


def test_an_update_that_is_refused_leaves_the_last_version_in_the_cluster(made, policy):
    before = made.declare_applied("updated", region="eu")
    uid = made.uids()["default", "updated"]
    made.declare("updated", region=FORBIDDEN)
    status = wait_held(made, "updated")
    assert (status["phase"], status["version"]) == ("failed", before)
    made.declare_applied("bystander", region="eu")
    assert made.versions()["default", "updated"] == before
    assert made.uids()["default", "updated"] == uid


def test_a_restart_keeps_it(made, policy):
    before = made.declare_applied("lasting", region="eu")
    made.declare("lasting", region=FORBIDDEN)
    wait_held(made, "lasting")
    digest, files = catalog_digest(f"http://{made.server.registry_host}"), held(made)
    made.server.kill()
    made.server.start()
    made.wait_writable()
    status = wait_held(made, "lasting")
    assert (status["phase"], status["version"]) == ("failed", before) and MESSAGE in status["message"]
    assert catalog_digest(f"http://{made.server.registry_host}") == digest
    assert held(made) == files
    assert made.resource("lasting")["spec"]["region"] == FORBIDDEN


def test_it_comes_back_when_it_is_changed(made, policy):
    made.declare("changed", region=FORBIDDEN)
    wait_held(made, "changed")
    version = made.declare_applied("changed", region="eu")
    assert made.versions()["default", "changed"] == version
    assert not any("changed" in name for name in held(made))


def test_it_comes_back_when_it_is_tried_again_and_the_policy_is_gone(made):
    install_policy(made.cluster)
    try:
        version = made.declare("retried", region=FORBIDDEN)
        wait_held(made, "retried")
    finally:
        remove_policy(made.cluster)
    assert made.declare_applied("retried", region=FORBIDDEN) == version
    assert made.versions()["default", "retried"] == version
    assert not any("retried" in name for name in held(made))
    made.remove("retried", query="?wait=applied&timeout=120s")


def test_trying_again_while_the_policy_stands_holds_it_again(made, policy):
    made.declare("stubborn", region=FORBIDDEN)
    wait_held(made, "stubborn")
    made.declare("stubborn", region=FORBIDDEN)
    made.declare_applied("bystander", region="us")
    assert wait_held(made, "stubborn")["phase"] == "failed"


def test_what_is_held_can_be_deleted(made, policy):
    made.declare_applied("unwanted", region="eu")
    made.declare("unwanted", region=FORBIDDEN)
    wait_held(made, "unwanted")
    assert made.remove("unwanted", query="?wait=applied&timeout=120s").status == 200
    assert ("default", "unwanted") not in made.objects()
    assert not any("unwanted" in name for name in held(made))


def test_many_that_are_refused_are_held_one_after_the_other(made, policy):
    refused = [f"many-{i}" for i in range(4)]
    for name in refused:
        made.declare(name, region=FORBIDDEN)
    version = made.declare("last", replicas=3)
    for name in refused:
        wait_held(made, name)
    made.wait_phase("applied", "last", version=version)
    assert set(refused) <= made.phases(phase="failed").keys()


def test_a_policy_that_refuses_what_is_applied_already_is_told_to_those_it_stops(made):
    """There is no earlier version to put in its place, and without one Flux would delete the object."""
    version = made.declare_applied("older-than-the-policy", region=FORBIDDEN)
    uid = made.uids()["default", "older-than-the-policy"]
    install_policy(made.cluster)
    try:
        made.declare("bystander", region="asia")
        status = made.wait_reason("Blocked", "bystander")
        assert "PlatformResource/default/older-than-the-policy" in status["message"]
        assert made.versions()["default", "older-than-the-policy"] == version
    finally:
        remove_policy(made.cluster)
    made.declare("bystander", region="africa")
    made.wait_phase("applied", "bystander")
    assert made.uids()["default", "older-than-the-policy"] == uid
