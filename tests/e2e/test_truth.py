# SPDX-License-Identifier: Apache-2.0
"""A start against the truth: a registry that was restored from a backup is older than what the cluster shows."""
import shutil

import pytest

from tests.e2e.chain import chain
from tests.e2e.test_adopt import adopt
from tests.lib.catalog import catalog_digest
from tests.lib.gsq import resource_path
from tests.lib.oci import RECORDS, Oci
from tests.lib.wait import wait_until

WEB = {"name": "web", "spec": {"type": "vm", "size": "large"}}


@pytest.fixture
def made(control_plane, tmp_path_factory):
    """"web" was declared before the backup and changed after it, "new" came after it; Flux is stopped, so that the cluster
    keeps showing what there was."""
    with chain(control_plane, tmp_path_factory.mktemp("truth")) as started:
        started.layout = []
        started.old = started.declare_applied("web", region="old")
        data, backup = started.server.folder / "data", started.server.folder / "backup"
        started.server.stop()
        shutil.copytree(data, backup)
        started.server.start()
        started.wait_writable()
        started.newer = started.declare_applied("web", region="newer")
        started.newest = started.declare_applied("new")
        started.settle()
        started.server.stop()
        with control_plane.without("kustomize-controller"):
            shutil.rmtree(data)
            shutil.copytree(backup, data)
            yield started


def written(made):
    """All that a server could have pushed."""
    oci = Oci(made.server.registry_host)
    return {repository: sorted(oci.tags(repository)) for repository in oci.repositories()}, \
        oci.digest(RECORDS, "latest"), catalog_digest(f"http://{made.server.registry_host}")


def refusal(made):
    answer = made.server.post(resource_path(), WEB)
    assert answer.status == 503, answer.body
    return answer.json["error"]


def test_a_record_older_than_the_cluster_is_read_only_and_says_so(made):
    made.server.start()
    reason = wait_until(lambda: refusal(made) if "--trust-registry" in refusal(made) else None,
                        lambda: f"the reason, not {refusal(made)}")
    assert made.newest in reason and "adopt" in reason, reason
    assert made.resource("web")["version"] == made.old
    before = written(made)
    assert made.server.delete(resource_path("default", "web")).status == 503
    made.server.restart()
    wait_until(lambda: "--trust-registry" in refusal(made), "the reason")
    assert written(made) == before
    assert made.versions() == {("default", "web"): made.newer, ("default", "new"): made.newest}


def test_an_operator_may_say_that_the_registry_is_right(made):
    made.restart("--trust-registry")
    made.wait_writable()
    version = made.declare("web", region="after")
    assert int(version[1:]) > int(made.newest[1:])
    made.cluster.start_part("kustomize-controller")
    made.wait_object("web", version)
    made.wait_no_object("new")
    # Once it has written, nothing is newer than its record: no flag is needed any more.
    made.restart()
    made.wait_writable()


def test_an_operator_may_say_that_the_cluster_is_right(made):
    done = adopt(made)
    assert done.returncode == 0, done.stdout + done.stderr
    before = made.identities()
    made.restart()
    made.wait_writable()
    assert made.resource("web")["version"] == made.newer
    assert made.resource("new")["version"] == made.newest
    made.cluster.start_part("kustomize-controller")
    made.reconcile()
    assert made.identities() == before
    made.declare_applied("web", region="after")


def test_held_it_serves_reads_and_pushes_nothing(made):
    made.restart("--hold")
    before = written(made)
    assert made.resource("web")["version"] == made.old
    assert made.server.get(resource_path()).json["count"] == 1
    assert refusal(made)
    assert made.server.delete(resource_path("default", "web")).status == 503
    made.server.stop()
    made.server.start()
    assert written(made) == before
