# SPDX-License-Identifier: Apache-2.0
"""Starting from what the registry holds, and nothing less: what is missing or altered is named, and nothing pushed."""
import re
import subprocess

import pytest

from tests.lib.gsq import binary
from tests.lib.oci import CATALOG, RECORDS, sha256
from tests.lib.wait import wait_until
from tests.system.fault_registry import FaultProxy
from tests.system.resources import (
    assert_503, assert_whole, declare, intent, is_later, listed, not_ready_reason, path, remove, try_again_until_done,
    wait_ready)

WEB = "gitops-squared/resources/default/web"


@pytest.fixture
def stopped(store):
    """A stopped server, whose store has web (declared twice) and app-db, and had gone."""
    server = store.server().start()
    declare(server, "web")
    declare(server, "gone")
    declare(server, "app-db", type="database", region="eu-west-1")
    remove(server, "gone")
    server.before = declare(server, "web", size="large"), listed(server)
    server.catalog = store.oci().manifest(CATALOG, "latest")
    server.record = store.oci().manifest(RECORDS, "latest")
    server.web_layer = layer_of(store.oci().manifest(WEB, "latest"))
    server.stop()
    return server


def start_not_ready(store, server):
    """Starts the server, which must refuse to write and push nothing; returns why it is not ready."""
    snapshot = store.snapshot()
    server.start(wait="/healthz")
    reason = not_ready_reason(server)
    assert_503(server.post(path(), intent("new")))
    assert_503(server.delete(path(name="web")))
    assert_503(server.get(path()))
    server.stop()
    assert store.snapshot() == snapshot
    return reason


def gsq_rebuild(store):
    return subprocess.run([binary(), "rebuild", *store.rebuild_args()], capture_output=True, text=True, timeout=120)


def layer_of(manifest):
    return manifest.json["layers"][0]["digest"]


# ---- no record ----

def test_an_empty_store_is_refused_without_init(store):
    server = store.server(init=False)
    server.start(wait="/healthz")
    assert "--init" in not_ready_reason(server)
    assert_503(server.post(path(), intent("new")))
    assert store.oci().repositories() == []
    server.stop()
    # The operator's word, once.
    server = store.server(init=True).start()
    declare(server, "web")
    server.restart()
    assert list(listed(server)) == ["web"]


@pytest.mark.parametrize("args", [(), ("--init",)], ids=["plain", "init"])
def test_a_store_that_lost_its_record_is_refused(store, stopped, args):
    store.drop_tag(RECORDS, "latest")
    again = store.server(init=False, args=args)
    reason = start_not_ready(store, again)
    assert "gsq rebuild" in reason and "record" in reason


def test_a_store_that_loses_everything_under_the_server_is_not_taken_for_a_new_one(distribution_store):
    server = distribution_store.server(args=("--init",)).start()
    declare(server, "web")
    distribution_store.drop_everything()
    assert_503(server.post(path(), intent("new")))
    not_ready_reason(server)
    assert_503(server.post(path(), intent("new")))
    assert distribution_store.oci().tags(RECORDS) == distribution_store.oci().tags(CATALOG) == []
    # It still knows what there was.
    assert list(listed(server)) == ["web"]


def test_a_record_of_a_newer_format_is_refused(store, stopped):
    store.push_record({"format": 2, "version": 1, "layout": "single", "changes": [], "catalogs": []})
    reason = start_not_ready(store, stopped)
    assert "format 2" in reason and "newer gsq" in reason


def test_an_unknown_layout_is_refused(store, stopped):
    store.push_record(
        {"format": 1, "version": 1, "who": "anonymous", "layout": "sharded", "changes": [], "catalogs": [], "state": sha256(b"")})
    reason = start_not_ready(store, stopped)
    assert "sharded" in reason and "newer gsq" in reason


# ---- something is missing or altered ----

def test_an_altered_catalog_is_refused_until_it_is_whole_again(store, stopped):
    layer = layer_of(stopped.catalog)
    content = store.alter_blob(layer)
    assert CATALOG in start_not_ready(store, stopped)
    store.restore_blob(layer, content)
    stopped.start()
    assert listed(stopped) == stopped.before[1]


def test_a_catalog_without_its_layer_is_refused(store, stopped):
    store.drop_blob(layer_of(stopped.catalog))
    assert CATALOG in start_not_ready(store, stopped)


def test_an_altered_record_is_refused(store, stopped):
    store.alter_blob(layer_of(stopped.record))
    assert RECORDS in start_not_ready(store, stopped)


def test_a_record_that_names_no_catalog_there_is_is_refused(store, stopped):
    store.push_record({
        "format": 1, "version": 1, "who": "anonymous", "layout": "single", "changes": [], "state": sha256(b""),
        "catalogs": [{"repository": CATALOG, "digest": sha256(b"nothing")}]})
    assert CATALOG in start_not_ready(store, stopped)


def test_a_record_whose_hash_over_all_catalogs_differs_is_refused(store, stopped):
    store.push_record({
        "format": 1, "version": 1, "who": "anonymous", "layout": "single", "changes": [], "state": sha256(b"another"),
        "catalogs": [{"repository": CATALOG, "digest": stopped.catalog.digest}]})
    reason = start_not_ready(store, stopped)
    assert "default" not in reason and "the server's log names it" in reason, "anybody may read it"
    assert re.search(rf"{CATALOG}@\S+ default/\S+ has version", stopped.log())


def test_an_altered_catalog_becomes_ready_by_itself(distribution_store):
    server = distribution_store.server().start()
    declare(server, "web")
    layer = layer_of(distribution_store.oci().manifest(CATALOG, "latest"))
    server.stop()
    content = distribution_store.alter_blob(layer)
    server.start(wait="/healthz")
    not_ready_reason(server)
    distribution_store.restore_blob(layer, content)
    wait_ready(server)
    assert list(listed(server)) == ["web"]


def test_an_unreadable_artifact_does_not_take_its_resource_out_of_the_catalog(store, stopped):
    """Restoring reads no artifacts, so a damaged one cannot be dropped from what is current."""
    store.alter_blob(stopped.web_layer)
    stopped.start()
    assert listed(stopped) == stopped.before[1]
    assert store.oci().digest(CATALOG, "latest") == stopped.catalog.digest
    declare(stopped, "app-db", size="medium")
    assert listed(stopped).keys() == stopped.before[1].keys()


# ---- derived tags ----

def test_a_resource_tag_that_lags_behind_is_rolled_forward(store, stopped):
    store.drop_tag(WEB, "latest")
    stopped.start()
    assert store.oci().digest(WEB, "latest") == stopped.before[0]["digest"]
    assert listed(stopped) == stopped.before[1]


def test_a_catalog_tag_that_lags_behind_is_rolled_forward(store, stopped):
    store.drop_tag(CATALOG, "latest")
    stopped.start()
    assert store.oci().digest(CATALOG, "latest") == stopped.catalog.digest
    assert listed(stopped) == stopped.before[1]
    assert_whole(stopped, store.oci())


@pytest.mark.parametrize("operation", ["delete", "update"])
def test_a_crash_after_the_commit_point_is_rolled_forward(distribution_store, tmp_path, operation):
    with FaultProxy(distribution_store.location) as proxy:
        server = distribution_store.server()
        behind_proxy = distribution_store.server(init=False, args=("--registry", proxy.host))
        server.start()
        old = declare(server, "doomed")
        declare(server, "other")
        server.stop()
        behind_proxy.start()
        oci = distribution_store.oci()
        old_catalog = oci.digest(CATALOG, "latest")
        # All that comes after the commit point is lost, the answer too.
        moved = proxy.fail("drop_answer", method="PUT", path_re=f"/{RECORDS}/manifests/latest", times=None)
        proxy.fail("cut", method="PUT", path_re="/manifests/latest", times=None)
        proxy.fail("cut", method="HEAD", path_re="/manifests/latest", nth=2, times=None)
        proxy.fail("cut", method="GET", times=None)
        before = oci.digest(RECORDS, "latest")
        try_to(behind_proxy, operation)
        wait_until(lambda: oci.digest(RECORDS, "latest") != before, "the commit point")
        behind_proxy.kill()
        assert moved.hits > 0
        assert oci.digest(CATALOG, "latest") == old_catalog
        assert oci.digest(old["repository"], "latest") == old["digest"]

    for _ in range(2):
        server.start()
        if operation == "delete":
            assert list(listed(server)) == ["other"]
            assert server.get(path(name="doomed")).status == 404
            assert "io.gitops-squared.resource.deleted" in oci.manifest(old["repository"], "latest").json["annotations"]
        else:
            assert listed(server)["doomed"]["spec"]["size"] == "large"
        assert oci.digest(CATALOG, "latest") == oci.record()["catalogs"][0]["digest"] != old_catalog
        assert_whole(server, oci)
        server.stop()
    server.start()
    assert is_later(declare(server, "doomed", size="medium")["version"], than=old["version"])


def try_to(server, operation):
    """Sends the write and does not wait for its answer."""
    try:
        if operation == "delete":
            server.delete(path(name="doomed"), timeout=1)
        else:
            server.post(path(), intent("doomed", size="large"), timeout=1)
    except OSError:
        pass


# ---- gsq rebuild ----

def test_rebuild_makes_a_record_of_what_the_resource_repositories_hold(store, stopped):
    store.drop_tag(RECORDS, "latest")
    store.drop_tag(CATALOG, "latest")
    result = gsq_rebuild(store)
    assert result.returncode == 0, result.stderr
    assert "2 resources" in result.stdout
    stopped.start()
    assert listed(stopped) == stopped.before[1]
    assert store.oci().record()["why"] == "rebuild"
    assert layer_of(store.oci().manifest(CATALOG, "latest")) == layer_of(stopped.catalog)
    assert_whole(stopped, store.oci())
    newest = max((item["version"] for item in listed(stopped).values()), key=lambda version: int(version[1:]))
    assert is_later(declare(stopped, "web", size="medium")["version"], than=newest)
    assert is_later(declare(stopped, "gone")["version"], than=newest)


def test_rebuild_ignores_what_a_failed_write_left_behind(distribution_store):
    server = distribution_store.server().start()
    declare(server, "web")
    before = listed(server)
    server.stop()
    # A version that no record names: it is in no catalog, and its repository has no latest.
    distribution_store.oci().push_artifact("gitops-squared/resources/default/debris", "v1700000000000000", b"debris")
    distribution_store.drop_tag(RECORDS, "latest")
    assert gsq_rebuild(distribution_store).returncode == 0
    server.start()
    assert listed(server) == before


def test_rebuild_stops_at_an_altered_artifact_and_names_it(store, stopped):
    store.drop_tag(RECORDS, "latest")
    content = store.alter_blob(stopped.web_layer)
    assert_rebuild_stops_at_web(store)
    store.restore_blob(stopped.web_layer, content)
    assert gsq_rebuild(store).returncode == 0


def test_rebuild_stops_at_an_unreadable_artifact_and_names_it(store, stopped):
    store.drop_tag(RECORDS, "latest")
    store.drop_blob(stopped.web_layer)
    assert_rebuild_stops_at_web(store)


def assert_rebuild_stops_at_web(store):
    snapshot = store.snapshot()
    result = gsq_rebuild(store)
    assert result.returncode == 1
    assert WEB in result.stderr
    assert store.snapshot() == snapshot


def test_rebuild_stops_at_an_artifact_that_is_not_ours(distribution_store):
    server = distribution_store.server().start()
    declare(server, "web")
    server.stop()
    distribution_store.drop_tag(RECORDS, "latest")
    distribution_store.oci().push_artifact(WEB, "latest", b"kind: Forged\n")
    assert_rebuild_stops_at_web(distribution_store)


def test_rebuild_keeps_off_a_data_folder_in_use(embedded_store):
    server = embedded_store.server().start()
    declare(server, "web")
    record = embedded_store.oci().digest(RECORDS, "latest")
    result = gsq_rebuild(embedded_store)
    assert result.returncode == 1
    assert "another process" in result.stderr
    assert embedded_store.oci().digest(RECORDS, "latest") == record


def test_a_running_server_notices_a_rebuild(distribution_store):
    server = distribution_store.server().start()
    declare(server, "web")
    assert gsq_rebuild(distribution_store).returncode == 0
    assert_503(server.post(path(), intent("web", size="large")))
    assert try_again_until_done(server, "POST", path(), intent("web", size="large")).status == 200
    assert_whole(server, distribution_store.oci())
