# SPDX-License-Identifier: Apache-2.0
"""Retention: superseded catalogs lose their tags, and versions of resources where it is asked for; nothing else goes."""
import re
import time

import pytest

from tests.lib.oci import CATALOG, RECORDS, OciError
from tests.lib.registry import assert_verifies, upkeep
from tests.lib.wait import wait_until
from tests.system.fault_registry import FaultProxy
from tests.system.resources import assert_whole, declare, listed, not_ready_reason, remove

KEPT = 10
COMMITS = 30
GRACE = ("--catalog-grace", "2s", "--gc-interval", "0s")


def versions(oci, where, letter="c"):
    """Its version tags, the oldest first."""
    return sorted((tag for tag in oci.tags(where) if re.fullmatch(letter + "[0-9]+", tag)),
                  key=lambda tag: int(tag[1:]))


def write(server, n, name="web", namespace="default"):
    """n commits, one after the other; returns their versions."""
    return [declare(server, f"{name}-{i % 3}", namespace, region=f"region-{time.monotonic_ns()}")["version"]
            for i in range(n)]


def expired(oci, where, kept, letter="c"):
    """Waits until so many versions are left, and returns them."""
    def left():
        found = versions(oci, where, letter)
        assert len(found) <= kept
        return found
    return wait_until(left, f"{kept} versions of {where}")


# ---- catalogs ----

def test_the_last_ten_catalogs_stay_and_all_records(store):
    server = store.server(args=GRACE).start()
    write(server, COMMITS)
    oci = store.oci()
    all_of_them = versions(oci, RECORDS)
    assert len(all_of_them) == COMMITS + 1
    catalogs = {tag: oci.manifest(CATALOG, tag) for tag in all_of_them[-KEPT:]}

    left = expired(oci, CATALOG, KEPT)
    assert left == all_of_them[-KEPT:]
    assert oci.digest(CATALOG, "latest") == catalogs[left[-1]].digest
    for tag in left:
        by_digest = oci.manifest(CATALOG, catalogs[tag].digest)
        assert by_digest.bytes == catalogs[tag].bytes
        oci.layer(CATALOG, by_digest.digest)
    assert versions(oci, RECORDS) == all_of_them
    assert sum(len(versions(oci, item["repository"], "v")) for item in listed(server).values()) == COMMITS
    assert_whole(server, oci)
    assert "took old tags away" in server.log()
    assert server.metric("gsq_expired_tags_total", kind="catalogs") > 0

    server.restart()
    oci = store.oci()
    assert_whole(server, oci)
    write(server, 3)
    assert expired(oci, CATALOG, KEPT)[-3:] == versions(oci, RECORDS)[-3:]
    assert_whole(server, oci)


def test_a_catalog_stays_while_it_may_still_be_pulled(store):
    server = store.server(args=("--catalog-grace", "1h")).start()
    write(server, COMMITS)
    time.sleep(3)
    assert len(versions(store.oci(), CATALOG)) == COMMITS + 1


def test_garbage_collection_gives_back_what_expired(embedded_store):
    server = embedded_store.server(args=GRACE).start()
    for i in range(200):
        declare(server, f"filler-{i}", region=f"region {i * 7919 % 1009}")
    oci = embedded_store.oci()
    expired(oci, CATALOG, KEPT)

    def catalog_bytes():
        """What the repository of catalogs holds, after garbage collection."""
        assert upkeep("gc", server, "--grace", "0s").returncode == 0
        [(blobs, size, manifests)] = embedded_store._sql(  # pylint: disable=protected-access
            "SELECT count(*), sum(b.size), (SELECT count(*) FROM manifest WHERE repository = r.id)"
            " FROM repository r JOIN repository_blob rb ON rb.repository = r.id JOIN blob b ON b.id = rb.blob"
            " WHERE r.name = 'gitops-squared/catalog'")
        assert (blobs, manifests) == (KEPT + 1, KEPT)
        return size

    before = catalog_bytes()
    first = versions(oci, CATALOG)[0]
    layer = oci.manifest(CATALOG, first).json["layers"][0]["digest"]
    for _ in range(2):
        write(server, 2 * KEPT)
        expired(oci, CATALOG, KEPT)
        assert catalog_bytes() < 1.5 * before
    with pytest.raises(OciError, match="404"):
        oci.blob(CATALOG, layer)
    assert_whole(server, oci)
    assert_verifies(server)


def test_every_catalog_of_a_split_store_has_its_own_last_ten(store):
    namespaces = ("default", "other")
    server = store.server(args=(*GRACE, "--layout", "split"), namespaces=namespaces).start()
    write(server, 2 * KEPT)
    write(server, 3, namespace="other")
    oci = store.oci()
    one, other = (f"gitops-squared/catalogs/{namespace}/00" for namespace in namespaces)
    of_other = versions(oci, other)
    assert len(of_other) == 3
    assert expired(oci, one, KEPT) == versions(oci, RECORDS)[-3 - KEPT:-3]
    assert versions(oci, other) == of_other
    assert len(versions(oci, CATALOG)) == 3  # of the store, and of each namespace
    before = [listed(server, namespace) for namespace in namespaces]
    server.restart()
    assert [listed(server, namespace) for namespace in namespaces] == before


def test_a_registry_that_does_not_delete_is_logged_once_and_written_to(distribution_store):
    with FaultProxy(distribution_store.location) as proxy:
        refusal = proxy.fail(405, method="DELETE", times=None)
        distribution_store.location = proxy.host
        server = distribution_store.server(args=GRACE).start()
        write(server, COMMITS)
        wait_until(lambda: "does not delete tags" in server.log(), "the log line")
        write(server, 3)
        time.sleep(5)
        assert refusal.hits == 1
        assert server.log().count("does not delete tags") == 1
        assert len(versions(distribution_store.oci(), CATALOG)) == COMMITS + 4
        assert_whole(server, distribution_store.oci())


def test_a_registry_that_fails_is_tried_again(distribution_store):
    with FaultProxy(distribution_store.location) as proxy:
        fault = proxy.fail(503, method="DELETE", times=2)
        distribution_store.location = proxy.host
        server = distribution_store.server(args=GRACE).start()
        written = write(server, COMMITS)
        expired(distribution_store.oci(), CATALOG, KEPT)
        assert fault.hits == 2 and written
        assert server.log().count("could not take old tags away") == 2


def test_a_server_that_is_not_ready_takes_nothing_away(distribution_store):
    server = distribution_store.server(args=("--catalog-grace", "1h")).start()
    write(server, 2 * KEPT)
    oci = distribution_store.oci()
    before = versions(oci, CATALOG)
    server.stop()
    layer = oci.manifest(CATALOG, "latest").json["layers"][0]["digest"]
    content = distribution_store.alter_blob(layer)
    server = distribution_store.server(args=GRACE).start(wait="/healthz")
    not_ready_reason(server)
    time.sleep(5)
    assert versions(oci, CATALOG) == before
    distribution_store.restore_blob(layer, content)
    expired(oci, CATALOG, KEPT)


# ---- versions of resources ----

@pytest.fixture
def history(store):
    """A resource with eight versions, one with two, and one that is deleted after five and its tombstone."""
    server = store.server(args=GRACE).start()
    for i in range(8):
        declare(server, "many", region=f"r{i}")
    for i in range(2):
        declare(server, "few", region=f"r{i}")
    for i in range(5):
        declare(server, "gone", region=f"r{i}")
    remove(server, "gone")
    server.stop()
    return store


def repository(name):
    return f"gitops-squared/resources/default/{name}"


def test_as_many_versions_stay_as_are_to_be_kept(history):
    with history.server(args=(*GRACE, "--keep-versions", "3")) as server:
        oci = history.oci()
        before = {name: versions(oci, repository(name), "v") for name in ("many", "few", "gone")}
        latest = {name: oci.digest(repository(name), "latest") for name in before}

        def left():
            found = {name: versions(oci, repository(name), "v") for name in before}
            assert found == {name: tags[-3:] for name, tags in before.items()}
            return True
        wait_until(left, "three versions of each")
        assert {name: oci.digest(repository(name), "latest") for name in before} == latest
        assert_whole(server, oci)
        declare(server, "gone", region="again")
        assert_whole(server, oci)
        server.restart()
        assert_whole(server, history.oci())


def test_where_repositories_are_not_listed_what_is_deleted_stays(distribution_store):
    with FaultProxy(distribution_store.location) as proxy:
        distribution_store.location = proxy.host
        server = distribution_store.server(args=(*GRACE, "--keep-versions", "3")).start()
        refusal = proxy.fail(401, path_re="/v2/_catalog", times=None)
        for name in ("many", "gone"):
            for i in range(5):
                declare(server, name, region=f"r{i}")
        remove(server, "gone")
        server.restart()
        oci = distribution_store.oci()
        expired(oci, repository("many"), 3, "v")
        assert refusal.hits > 0
        assert len(versions(oci, repository("gone"), "v")) == 6
        assert_whole(server, oci)


def test_versions_stay_that_are_younger_than_the_days(history):
    with history.server(args=(*GRACE, "--keep-versions", "1", "--keep-days", "1")):
        oci = history.oci()
        time.sleep(6)
        assert [len(versions(oci, repository(name), "v")) for name in ("many", "few", "gone")] == [8, 2, 6]


@pytest.mark.parametrize("flag, value, said", [
    ("--catalog-grace", "0", "at least 1s"), ("--catalog-grace", "15", "unit"),
    ("--keep-versions", "1001", "from 0 to 1000"), ("--keep-versions", "-1", "from 0 to 1000"),
    ("--keep-days", "many", "from 0 to 36500")])
def test_a_wrong_period_is_refused_before_anything_starts(tmp_path, embedded_store, flag, value, said):
    server = embedded_store.server(args=(f"{flag}={value}",))
    server.start(wait=None)
    wait_until(lambda: not server.process.running(), "its end")
    assert flag in server.log() and said in server.log()
    assert not (tmp_path / "gsq" / "data").exists()
