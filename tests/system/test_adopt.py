# SPDX-License-Identifier: Apache-2.0
"""gsq adopt: a store that was lost, or restored from an old backup, says again what the cluster has."""
import os
import shutil
import subprocess

import pytest

from tests.lib.gsq import binary
from tests.lib.oci import CATALOG
from tests.system.resources import assert_whole, declare, is_later, listed, remove
from tests.system.stub_kube import OURS, StubKube

VERSION = "gitops-squared.io/version"


@pytest.fixture
def kube(tmp_path):
    with StubKube(tmp_path) as stub:
        yield stub


def adopt(store, kube, *args, expect=0):
    """Returns what it printed: on standard error where it is to fail."""
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST")}
    result = subprocess.run(
        [binary(), "adopt", "--from-cluster", "--kubeconfig", kube.kubeconfig, *store.rebuild_args(), *args],
        env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == expect, (result.stdout, result.stderr)
    return result.stderr if expect else result.stdout


def lose(store):
    """Everything that the registry had."""
    if store.location is None:
        shutil.rmtree(store.data_dir)
    else:
        store.drop_everything()


def applied_by_flux(store, kube):
    """A stopped server with web (declared twice), app-db and kept, which the cluster has too."""
    server = store.server().start()
    declare(server, "web")
    declare(server, "app-db", type="database", region="eu-west-1", labels={"team": "a"})
    declare(server, "kept", labels={"gitops-squared.io/protect": "true"})
    declare(server, "web", size="large")
    server.before = listed(server)
    server.catalog = store.oci().manifest(CATALOG, "latest").json["layers"][0]["digest"]
    kube.apply(store.oci().catalog())
    server.stop()
    return server


@pytest.fixture
def applied(store, kube):
    return applied_by_flux(store, kube)


@pytest.fixture
def applied_embedded(embedded_store, kube):
    return applied_by_flux(embedded_store, kube)


# ---- a lost registry ----

def test_a_lost_registry_comes_back_as_it_was_so_that_flux_changes_nothing(store, kube, applied):
    lose(store)
    assert "adopted 3 resources: added 3, changed 0, kept 0, removed 0" in adopt(store, kube)
    applied.start()
    assert listed(applied) == applied.before
    assert store.oci().manifest(CATALOG, "latest").json["layers"][0]["digest"] == applied.catalog
    assert store.oci().record()["why"] == "adopt"
    assert_whole(applied, store.oci())
    newest = max((item["version"] for item in applied.before.values()), key=lambda version: int(version[1:]))
    assert is_later(declare(applied, "web", size="small")["version"], than=newest)


def test_all_pages_of_the_cluster_are_read_with_its_token(embedded_store, kube, applied_embedded):
    lose(embedded_store)
    adopt(embedded_store, kube)
    lists = [(query, token) for _, query, token in kube.requests if "watch" not in query]
    assert len(lists) == 2
    assert {token for _, token in lists} == {"Bearer secret"}


def test_objects_of_others_are_left_alone(embedded_store, kube, applied_embedded):
    lose(embedded_store)
    del kube.find("app-db")["metadata"]["labels"][OURS]
    adopt(embedded_store, kube)
    applied_embedded.start()
    assert set(listed(applied_embedded)) == {"web", "kept"}


def test_what_the_cluster_is_deleting_stays_deleted(embedded_store, kube, applied_embedded):
    lose(embedded_store)
    kube.find("app-db")["metadata"]["deletionTimestamp"] = "2026-11-24T17:24:42Z"
    adopt(embedded_store, kube)
    applied_embedded.start()
    assert set(listed(applied_embedded)) == {"web", "kept"}


def test_objects_that_cannot_be_taken_over_are_named(embedded_store, kube, applied_embedded):
    lose(embedded_store)
    del kube.find("web")["metadata"]["annotations"][VERSION]
    kube.find("kept")["metadata"]["annotations"][VERSION] = "newest"
    kube.find("app-db")["spec"]["size"] = "huge"
    said = adopt(embedded_store, kube, expect=1)
    for part in ("3 objects", "default/web", VERSION, "default/kept", "default/app-db", "spec.size", OURS):
        assert part in said
    # Nothing was made: it is as lost as before.
    again = embedded_store.server(init=False)
    again.start(wait="/healthz")
    assert again.get("/readyz").status == 503


def test_a_dry_run_says_what_would_be_done(embedded_store, kube, applied_embedded):
    lose(embedded_store)
    said = adopt(embedded_store, kube, "--dry-run").splitlines()
    versions = {name: item["version"] for name, item in applied_embedded.before.items()}
    assert said[:-1] == [f"add     default/{name} {versions[name]}" for name in ("app-db", "kept", "web")]
    assert said[-1].startswith("would adopt 3 resources")
    assert "adopted 3 resources" in adopt(embedded_store, kube)


def test_another_layout_than_the_clusters_is_refused(embedded_store, kube, applied_embedded):
    lose(embedded_store)
    said = adopt(embedded_store, kube, "--layout", "split", "--catalogs", "4", expect=1)
    assert "gitops-squared-resources" in said and "--layout" in said


def test_a_cluster_that_does_not_answer_is_an_error(embedded_store, kube, applied_embedded):
    lose(embedded_store)
    kube.failure = 403
    assert "the stub refuses" in adopt(embedded_store, kube, expect=1)


def test_an_empty_cluster_is_the_wrong_one(embedded_store, kube):
    assert "right cluster" in adopt(embedded_store, kube, expect=1)


# ---- a store that is there ----

def test_a_store_that_is_not_older_is_left_alone(store, kube, applied):
    snapshot = store.snapshot()
    assert "nothing to adopt" in adopt(store, kube, expect=1)
    assert store.snapshot() == snapshot


def test_a_running_server_keeps_its_folder(embedded_store, kube, applied_embedded):
    applied_embedded.start()
    assert "another process" in adopt(embedded_store, kube, expect=1)


@pytest.fixture
def backup(embedded_store, kube, applied_embedded):
    """A backup of all that, put back after app-db was deleted, web changed and new declared."""
    shutil.copytree(embedded_store.data_dir, embedded_store.folder / "backup")
    applied_embedded.start()
    remove(applied_embedded, "app-db")
    declare(applied_embedded, "web", size="medium")
    declare(applied_embedded, "new")
    applied_embedded.now = listed(applied_embedded)
    kube.apply(embedded_store.oci().catalog())
    applied_embedded.stop()
    shutil.rmtree(embedded_store.data_dir)
    (embedded_store.folder / "backup").rename(embedded_store.data_dir)
    return applied_embedded


def test_a_backup_that_was_put_back_catches_up(embedded_store, kube, backup):
    said = adopt(embedded_store, kube)
    assert "added 1, changed 1, kept 1, removed 1" in said and "on top of record c" in said
    backup.start()
    assert listed(backup) == backup.now
    assert_whole(backup, embedded_store.oci())
    fsck = subprocess.run([binary(), "fsck", "--registry", f"http://{backup.registry_host}"], capture_output=True,
                          text=True, timeout=60)
    assert fsck.returncode == 0, fsck.stdout
    assert is_later(declare(backup, "app-db")["version"], than=backup.now["new"]["version"])


def test_a_backup_with_much_that_the_cluster_lacks_needs_a_confirmation(embedded_store, kube):
    server = embedded_store.server().start()
    for i in range(12):
        declare(server, f"r{i:02}")
    server.stop()
    shutil.copytree(embedded_store.data_dir, embedded_store.folder / "backup")
    server.start()
    declare(server, "r00", size="large")
    kube.apply(embedded_store.oci().catalog())
    server.stop()
    shutil.rmtree(embedded_store.data_dir)
    (embedded_store.folder / "backup").rename(embedded_store.data_dir)
    kube.remove(*(f"r{i:02}" for i in range(5, 12)))
    said = adopt(embedded_store, kube, expect=1)
    assert "7 of the 12 resources in namespace default" in said and "--confirm prune" in said
    assert "removed 7" in adopt(embedded_store, kube, "--confirm", "prune")
    server.start()
    assert sorted(listed(server)) == [f"r{i:02}" for i in range(5)]


# ---- wrong usage ----

@pytest.mark.parametrize("args, said", [
    (("adopt",), "--from-cluster"),
    (("adopt", "--from-cluster", "--kube-context", "x"), "--kubeconfig"),
    (("adopt", "--from-cluster", "--layout", "sharded"), "--layout"),
    (("adopt", "--from-cluster", "--max-prune", "much"), "--max-prune"),
    (("adopt", "--from-cluster", "--confirm", "yes"), "--confirm"),
    (("repartition",), "--layout"),
    (("repartition", "--layout", "sharded"), "--layout"),
    (("repartition", "--layout", "single", "--catalogs", "2"), "--catalogs"),
    (("repartition", "--layout", "split", "--server", "somewhere"), "--server"),
    (("repartition", "--layout", "split", "--timeout", "soon"), "--timeout"),
])
def test_wrong_usage_exits_with_2_and_names_the_flag(args, said):
    environment = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "KUBE_CONTEXT", "GSQ_SERVER")}
    result = subprocess.run([binary(), *args], env=environment, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr


def test_without_a_kubeconfig_only_a_pod_can_reach_the_cluster(tmp_path):
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST")}
    result = subprocess.run([binary(), "adopt", "--from-cluster", "--data-dir", tmp_path / "data"], env=environment,
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "--kubeconfig" in result.stderr
