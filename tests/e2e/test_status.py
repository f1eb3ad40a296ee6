# SPDX-License-Identifier: Apache-2.0
"""What became of a resource in the cluster comes back to who asks: phase, version, reason, and the object's own status."""
import json

import pytest

from tests.e2e.chain import chain
from tests.lib.catalog import catalog_digest
from tests.lib.gsq import resource_path
from tests.lib.kube import SOURCES
from tests.lib.policy import FORBIDDEN, MESSAGE, install_policy, remove_policy
from tests.lib.wait import wait_until


@pytest.fixture(scope="module")
def made(control_plane, tmp_path_factory):
    with chain(control_plane, tmp_path_factory.mktemp("status"), namespaces=["default", "team-a"]) as started:
        yield started


@pytest.fixture
def policy(control_plane):
    install_policy(control_plane)
    yield
    remove_policy(control_plane)


def test_what_the_cluster_has_is_applied_with_version_and_revision(made):
    version = made.declare("web")
    status = made.wait_phase("applied", "web", version=version)
    assert made.versions()["default", "web"] == version
    # Flux says so only after it has applied all of the catalog.
    digest = catalog_digest(f"http://{made.server.registry_host}")
    status = wait_until(lambda: made.server.status("web") if made.server.status("web").get("revision") == digest else None,
                        lambda: f"the revision {digest}, not {made.server.status('web')}")
    assert status["since"].endswith("Z") and not {"reason", "message"} & status.keys()
    assert made.resource("web")["status"] == status


def test_the_objects_own_status_is_handed_through(made):
    version = made.declare("reported", "team-a")
    made.wait_phase("applied", "reported", "team-a", version)
    own = {"phase": "Ready", "addresses": ["10.0.0.7"], "detail": {"text": "\"quoted\" \u00fc", "zone": 1}}
    made.cluster.kubectl("-n", "team-a", "patch", "pr", "reported", "--subresource=status", "--type=merge",
                         "-p", json.dumps({"status": own}))
    wait_until(lambda: made.server.status("reported", "team-a").get("object") == own, "the object's status")
    assert made.resource("reported", "team-a")["status"]["object"] == own


def test_a_change_is_pending_until_the_cluster_has_it(made):
    first = made.declare("waiting", replicas=1)
    made.wait_phase("applied", "waiting", version=first)
    with made.without("kustomize-controller"):
        second = made.declare("waiting", replicas=2)
        status = made.server.status("waiting")
        assert (status["phase"], status["version"]) == ("pending", first)
        assert made.phases(phase="pending") == {"waiting": "pending"}
    assert made.wait_phase("applied", "waiting")["version"] == second
    assert made.phases(phase="pending") == {}


def test_what_is_deleted_is_deleting_until_it_is_gone(made):
    version = made.declare("doomed")
    made.wait_phase("applied", "doomed", version=version)
    with made.without("kustomize-controller"):
        made.remove("doomed")
        status = made.server.status("doomed")
        assert (status["phase"], status["version"]) == ("deleting", version)
        assert made.server.get(resource_path("default", "doomed")).status == 404
    wait_until(lambda: made.server.status("doomed") is None, "the status to be gone with the object")
    assert ("default", "doomed") not in made.objects()


def test_the_api_servers_own_sentence_says_why_it_has_failed(made, policy):
    version = made.declare_applied("refused", region="eu")
    made.declare("refused", region=FORBIDDEN)
    status = made.wait_phase("failed", "refused")
    assert MESSAGE in status["message"] and status["reason"] == "ReconciliationFailed", status
    assert status["version"] == version
    assert "refused" in made.phases(phase="failed")
    repaired = made.declare("refused", region="us")
    status = made.wait_phase("applied", "refused", version=repaired)
    assert not {"reason", "message"} & status.keys()


def test_without_quarantine_others_wait_and_are_told_for_what(made, policy):
    made.declare("refused-too", region=FORBIDDEN)
    made.wait_phase("failed", "refused-too")
    made.declare("bystander")
    status = wait_until(lambda: made.server.status("bystander") if "reason" in made.server.status("bystander") else None,
                        "a reason")
    assert status["phase"] == "pending" and "refused-too" in status["message"], status
    made.remove("refused-too")
    made.wait_phase("applied", "bystander")


def test_a_registry_that_flux_cannot_reach_is_the_reason(made):
    source = f"{SOURCES}/gitops-squared-catalog"
    url = made.kube.get(source)["spec"]["url"]
    made.kube.patch(source, {"spec": {"url": "oci://127.0.0.1:1/gitops-squared/catalog"}})
    try:
        made.declare("unreachable")
        status = made.wait_phase("failed", "unreachable")
        assert "127.0.0.1:1" in status["message"], status
    finally:
        made.kube.patch(source, {"spec": {"url": url}})
    made.wait_phase("applied", "unreachable")


def test_an_object_that_somebody_deletes_is_not_applied_any_more(made):
    version = made.declare_applied("stolen")
    made.cluster.kubectl("delete", "pr", "stolen")
    status = made.wait_phase("pending", "stolen")
    assert "version" not in status
    made.reconcile()
    made.wait_phase("applied", "stolen", version=version)


def test_every_resource_of_a_list_has_its_phase(made):
    names = [f"listed-{i}" for i in range(5)]
    for name in names:
        made.declare(name, "team-a")
    for name in names:
        made.wait_phase("applied", name, "team-a")
    found = made.phases("team-a", phase="applied")
    assert set(names) <= found.keys() and set(found.values()) == {"applied"}
    assert made.phases("team-a", phase="failed") == {}


def test_there_is_no_status_of_what_was_never_there(made):
    assert made.server.status("never") is None


def test_a_restart_knows_what_the_cluster_has(made):
    version = made.declare_applied("lasting")
    made.server.restart()
    made.wait_phase("applied", "lasting", version=version)
