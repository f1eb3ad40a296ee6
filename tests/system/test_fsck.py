# SPDX-License-Identifier: Apache-2.0
"""gsq fsck: every difference between the last record and the registry is named, and nothing else is."""
import re
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest

from tests.lib.gsq import binary
from tests.lib.oci import CATALOG, RECORDS
from tests.system.resources import declare, intent, listed, path, remove

RESOURCES = "gitops-squared/resources"
WEB = f"{RESOURCES}/default/web"
IDLE = f"{RESOURCES}/idle/db"
GONE = f"{RESOURCES}/default/gone"
LAYOUTS = {"single": [], "split": ["--layout", "split"]}
SUMMARY = re.compile(r"record (?:c(\d+)|none), catalogs (\d+), resources (\d+), unfinished (\d+), "
                     r"differences (\d+), repaired (\d+)")


def fsck(location, *args):
    """location: arguments that say where the store is. Returns status, lines of differences and notes, and counts."""
    done = subprocess.run([binary(), "fsck", *location, *args], capture_output=True, text=True, timeout=120)
    *lines, summary = done.stdout.splitlines() or [""]
    match = SUMMARY.fullmatch(summary)
    assert match, done.stdout + done.stderr
    version, catalogs, resources, unfinished, differences, repaired = (int(n or 0) for n in match.groups())
    return SimpleNamespace(status=done.returncode, lines=lines, version=version, catalogs=catalogs,
                           resources=resources, unfinished=unfinished, differences=differences, repaired=repaired)


def make_store(store, layout):
    """A stopped server whose store has: idle/db (declared twice, long ago), web (declared twice), other, and gone,
    which is deleted. The last record is about `other`."""
    server = store.server(args=LAYOUTS[layout], namespaces=("default", "idle")).start()
    oci = store.oci()
    idle_catalog = "gitops-squared/catalogs/idle/00" if layout == "split" else CATALOG
    made = SimpleNamespace(store=store, server=server, layout=layout, idle_catalog=idle_catalog)
    made.db_before = declare(server, "db", "idle")
    made.idle_catalog_before = oci.digest(idle_catalog, "latest")
    made.db = declare(server, "db", "idle", size="large")
    made.gone_before = declare(server, "gone")
    made.gone = remove(server, "gone")
    made.web_before = declare(server, "web")
    made.web = declare(server, "web", size="large")
    made.other = declare(server, "other")
    made.idle_catalog_now = oci.digest(idle_catalog, "latest")
    made.catalog = oci.manifest(CATALOG, "latest")
    made.record = oci.manifest(RECORDS, "latest")
    made.web_layer = oci.manifest(WEB, "latest").json["layers"][0]["digest"]
    made.before = listed(server), listed(server, "idle")
    server.stop()
    made.fsck = lambda *args: fsck(store.rebuild_args(), *args)
    return made


@pytest.fixture(params=["embedded-single", "embedded-split", "distribution-split"])
def made(request):
    kind, layout = request.param.split("-")
    return make_store(request.getfixturevalue(f"{kind}_store"), layout)


@pytest.fixture(params=["single", "split"])
def embedded(request, embedded_store):
    return make_store(embedded_store, request.param)


def assert_finds(made, *differences, notes=0):
    """Each difference is a list of words that one line has; nothing is written."""
    before = made.store.snapshot()
    found = made.fsck()
    assert made.store.snapshot() == before
    assert found.status == 1
    assert found.differences == len(differences) == len(found.lines) - notes, found.lines
    for words in differences:
        [_] = [line for line in found.lines if all(word in line for word in words)]
    return found


def assert_clean(made):
    found = made.fsck()
    assert (found.status, found.lines, found.differences) == (0, [], 0)


def assert_repairs(made, n):
    """All of it; then the store is clean, and a server starts and goes on."""
    found = made.fsck("--repair")
    assert (found.status, found.differences, found.repaired) == (0, n, n), found.lines
    assert all(line.endswith(": repaired") for line in found.lines) and len(found.lines) == n
    assert_clean(made)
    made.server.start()
    assert (listed(made.server), listed(made.server, "idle")) == made.before
    declare(made.server, "web", size="medium")
    made.server.stop()
    assert_clean(made)


def assert_not_repaired(made):
    """A repair writes nothing."""
    before = made.store.snapshot()
    found = made.fsck("--repair")
    assert (found.status, found.repaired) == (1, 0)
    assert made.store.snapshot() == before


# ---- a store that is whole ----

def test_a_whole_store_has_no_differences(made):
    found = made.fsck()
    assert (found.status, found.lines, found.differences) == (0, [], 0)
    assert found.version == int(made.other["version"][1:])
    assert (found.resources, found.catalogs) == (3, 2 if made.layout == "split" else 1)
    assert found.unfinished == 0
    assert_not_changed_by_repair(made)


def assert_not_changed_by_repair(made):
    before = made.store.snapshot()
    assert made.fsck("--repair").status == 0
    assert made.store.snapshot() == before


def test_a_store_without_any_resource_has_no_differences(store):
    server = store.server().start()
    server.stop()
    found = fsck(store.rebuild_args())
    assert (found.status, found.lines, found.resources) == (0, [], 0)


def test_what_a_failed_write_left_behind_is_no_difference(distribution_store):
    made = make_store(distribution_store, "single")
    distribution_store.oci().push_artifact(f"{RESOURCES}/default/debris", "v1700000000000000", b"debris")
    found = made.fsck()
    assert (found.status, found.lines, found.unfinished) == (0, [], 1)


# ---- derived tags, which a repair mends ----

def test_a_latest_of_a_resource_that_was_moved_is_named_and_mended(made):
    made.store.point_tag(WEB, "latest", made.web_before["digest"])
    assert_finds(made, [f"{WEB}:latest names {made.web_before['digest']}, the record says {made.web['digest']}"])
    assert_repairs(made, 1)


def test_a_latest_of_a_resource_that_is_missing_is_named_and_mended(embedded):
    embedded.store.drop_tag(IDLE, "latest")
    assert_finds(embedded, [f"{IDLE}:latest is missing, the record says {embedded.db['digest']}"])
    assert_repairs(embedded, 1)


def test_a_latest_of_a_catalog_that_was_moved_is_named_and_mended(made):
    """Also where the last record does not name the catalog, so that a server does not start."""
    made.store.point_tag(made.idle_catalog, "latest", made.idle_catalog_before)
    assert_finds(made, [f"{made.idle_catalog}:latest names {made.idle_catalog_before}, "
                        f"the record says {made.idle_catalog_now}"])
    assert_repairs(made, 1)


def test_a_latest_of_a_catalog_that_is_missing_is_named_and_mended(embedded):
    """The root's, where the layout is split."""
    embedded.store.drop_tag(CATALOG, "latest")
    assert_finds(embedded, [f"{CATALOG}:latest is missing, the record says {embedded.catalog.digest}"])
    assert_repairs(embedded, 1)


def test_a_deleted_resource_that_was_revived_is_named_and_mended(made):
    """gsq rebuild would bring it back."""
    made.store.point_tag(GONE, "latest", made.gone_before["digest"])
    assert_finds(made, [f"{GONE}:latest names {made.gone_before['digest']}, the record says {made.gone['digest']}"])
    assert_repairs(made, 1)


def test_a_tombstone_that_the_last_record_names_is_compared_with_it(embedded):
    embedded.server.start()
    doomed = remove(embedded.server, "other")
    embedded.server.stop()
    repository = f"{RESOURCES}/default/other"
    embedded.store.drop_tag(repository, "latest")
    assert_finds(embedded, [f"{repository}:latest is missing, the record says {doomed['digest']}"])
    embedded.before[0].pop("other")
    assert_repairs(embedded, 1)


def test_many_differences_are_all_named_and_mended(made):
    made.store.point_tag(WEB, "latest", made.web_before["digest"])
    made.store.point_tag(IDLE, "latest", made.db_before["digest"])
    made.store.point_tag(GONE, "latest", made.gone_before["digest"])
    made.store.point_tag(made.idle_catalog, "latest", made.idle_catalog_before)
    assert_finds(made, [f"{WEB}:latest"], [f"{IDLE}:latest"], [f"{GONE}:latest"], [f"{made.idle_catalog}:latest"])
    assert_repairs(made, 4)


# ---- all else, which it leaves alone ----

def test_a_missing_version_is_named_and_left_alone(made):
    made.store.drop_tag(WEB, made.web["version"])
    assert_finds(made, [f"{WEB}:{made.web['version']} is missing", made.web["digest"], "change the resource"])
    assert_not_repaired(made)


def test_a_version_that_names_another_artifact_is_named_and_left_alone(made):
    made.store.point_tag(WEB, made.web["version"], made.web_before["digest"])
    assert_finds(made, [f"{WEB}:{made.web['version']} names {made.web_before['digest']}", made.web["digest"]])
    assert_not_repaired(made)


def test_a_damaged_artifact_is_named_and_left_alone(made):
    made.store.alter_blob(made.web_layer)
    assert_finds(made, [f"{WEB}:{made.web['version']}: ", "damaged", "change the resource"])
    assert_not_repaired(made)


def test_an_artifact_without_its_layer_is_named_and_left_alone(embedded):
    embedded.store.drop_blob(embedded.web_layer)
    assert_finds(embedded, [f"{WEB}:{embedded.web['version']}: "])
    assert_not_repaired(embedded)


def test_a_live_repository_that_is_in_no_catalog_is_named_and_left_alone(made):
    made.store.point_tag(GONE, "latest", made.gone_before["digest"])
    made.store.drop_tag(GONE, made.gone["version"])
    assert_finds(made, [f"{GONE}:latest names {made.gone_before['digest']}, which is no resource of any catalog"])
    assert_not_repaired(made)


def test_a_repository_whose_name_is_no_resources_is_named_and_left_alone(distribution_store):
    made = make_store(distribution_store, "single")
    distribution_store.oci().push_artifact(f"{RESOURCES}/default/not_a_name", "latest", b"something")
    assert_finds(made, [f"{RESOURCES}/default/not_a_name:latest names ", "take the tag away"])
    assert_not_repaired(made)


def test_a_missing_tag_of_the_record_is_named_and_left_alone(made):
    tag = f"c{made.other['version'][1:]}"
    made.store.drop_tag(RECORDS, tag)
    assert_finds(made, [f"{RECORDS}:{tag} is missing, the record says {made.record.digest}"])
    assert_not_repaired(made)


def test_a_damaged_parent_of_the_record_is_named_and_left_alone(embedded):
    embedded.server.start()
    oci = embedded.store.oci()
    parent = oci.manifest(RECORDS, oci.record()["parent"])
    embedded.server.stop()
    embedded.store.alter_blob(parent.json["layers"][0]["digest"])
    assert_finds(embedded, [f"{RECORDS}@{parent.digest}: "])
    assert_not_repaired(embedded)


def test_derived_tags_are_mended_where_something_else_stays_broken(embedded):
    embedded.store.drop_tag(IDLE, embedded.db["version"])
    embedded.store.drop_tag(WEB, "latest")
    found = embedded.fsck("--repair")
    assert (found.status, found.differences, found.repaired) == (1, 2, 1)
    [repaired] = [line for line in found.lines if line.endswith(": repaired")]
    assert repaired.startswith(f"{WEB}:latest")
    assert_finds(embedded, [f"{IDLE}:{embedded.db['version']} is missing"])


# ---- a state that cannot be read ----

def test_a_damaged_catalog_is_named_and_what_the_record_names_is_still_checked(made):
    made.store.alter_blob(made.catalog.json["layers"][0]["digest"])
    found = assert_finds(made, [CATALOG, "gsq rebuild"], notes=1)
    assert "not checked" in found.lines[-1]
    made.store.drop_tag(f"{RESOURCES}/default/other", made.other["version"])
    assert_finds(made, [f"{CATALOG}"], [f"{RESOURCES}/default/other:{made.other['version']} is missing"], notes=1)
    assert_not_repaired(made)


def test_a_missing_record_is_named(made):
    made.store.drop_tag(RECORDS, "latest")
    found = assert_finds(made, [f"{RECORDS}:latest", "gsq rebuild"], notes=1)
    assert "not checked" in found.lines[-1] and found.version == 0
    assert_not_repaired(made)


def test_a_damaged_record_is_named(embedded):
    embedded.store.alter_blob(embedded.record.json["layers"][0]["digest"])
    assert_finds(embedded, [f"{RECORDS}:latest"], notes=1)


def test_a_record_that_disagrees_with_its_catalog_is_named(embedded_store):
    made = make_store(embedded_store, "single")
    made.server.start()
    record = embedded_store.oci().record()
    made.server.stop()
    record["changes"][0]["version"] = made.web["version"]
    embedded_store.push_record(record)
    found = made.fsck()
    assert found.status == 1
    assert any("the catalog does not hold default/other" in line for line in found.lines), found.lines


# ---- beside a server ----

def test_the_folder_of_a_running_server_is_left_to_it_and_the_error_says_how_to_look(embedded):
    embedded.server.start()
    done = run_gsq_fsck("--data-dir", embedded.store.data_dir)
    assert done.returncode == 1
    assert "another process" in done.stderr and "gsq fsck --registry http://" in done.stderr


def test_over_http_it_looks_beside_the_server_and_may_not_repair(embedded):
    embedded.store.point_tag(WEB, "latest", embedded.web_before["digest"])
    embedded.server.start()
    location = ["--registry", embedded.server.registry_host]
    found = fsck(location)
    assert (found.status, found.differences, found.resources) == (1, 1, 3)
    found = fsck(location, "--repair")
    assert (found.status, found.differences, found.repaired) == (1, 1, 0)
    assert "only the API writes" in found.lines[-1] and "--data-dir" in found.lines[-1]
    embedded.server.stop()
    assert_repairs(embedded, 1)


@pytest.mark.parametrize("layout", ["single", "split"])
def test_beside_a_server_that_writes_all_the_time_nothing_seems_to_differ(store, layout):
    server = store.server(args=LAYOUTS[layout], namespaces=("default", "idle")).start()
    for i in range(8):
        declare(server, f"old-{i}", "idle")
    end = threading.Event()
    writers = [threading.Thread(target=write_until, args=(server, i, end)) for i in range(16)]
    for writer in writers:
        writer.start()
    location = ["--registry", store.location or server.registry_host]
    try:
        until = time.monotonic() + 2
        while time.monotonic() < until:
            found = fsck(location)
            assert (found.status, found.differences) == (0, 0), found.lines
    finally:
        end.set()
        for writer in writers:
            writer.join()
    found = fsck(location)
    assert (found.status, found.lines, found.differences) == (0, [], 0)
    assert found.resources >= 8


def write_until(server, i, end):
    """Creates, changes and deletes a few resources, over and over."""
    for turn in range(1000000):
        if end.is_set():
            return
        name = f"w{i}-{turn % 3}"
        size = ("small", "medium", "large")[turn % 3]
        if turn % 7 == 6:
            server.delete(path(name=name))
        else:
            assert server.post(path(), intent(name, size=size, replicas=turn % 10 + 1)).status in (200, 201)


# ---- what is no difference but an error ----

def run_gsq_fsck(*args):
    return subprocess.run([binary(), "fsck", *args], capture_output=True, text=True, timeout=60)


def test_a_folder_without_a_registry_is_refused(tmp_path):
    done = run_gsq_fsck("--data-dir", tmp_path / "none")
    assert done.returncode == 1
    assert "there is no registry" in done.stderr
    assert not (tmp_path / "none").exists()


def test_a_word_too_many_is_a_mistake_in_the_command():
    assert run_gsq_fsck("--repair", "extra").returncode == 2


def test_a_record_of_a_newer_format_is_an_error_and_no_difference(embedded_store):
    make_store(embedded_store, "single")
    embedded_store.push_record({"format": 2, "version": 1, "layout": "single", "changes": [], "catalogs": []})
    done = run_gsq_fsck(*embedded_store.rebuild_args())
    assert (done.returncode, done.stdout) == (1, "")
    assert "newer gsq" in done.stderr
