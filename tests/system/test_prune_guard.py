# SPDX-License-Identifier: Apache-2.0
"""gsq rebuild does not quietly leave out what was lost: much of a namespace goes only when that is confirmed."""
import subprocess

import pytest

from tests.lib.gsq import binary
from tests.lib.oci import CATALOG
from tests.system.resources import declare, listed

NAMES = [f"r{i:02}" for i in range(20)]


@pytest.fixture
def server(store):
    """Stopped, with twenty resources."""
    server = store.server().start()
    for name in NAMES:
        declare(server, name)
    server.stop()
    return server


def lose(store, names):
    """Resources of which nothing says any more that they are current."""
    for name in names:
        store.drop_tag(f"gitops-squared/resources/default/{name}", "latest")


def rebuild(store, *args):
    return subprocess.run([binary(), "rebuild", *store.rebuild_args(), *args], capture_output=True, text=True,
                          timeout=120)


def test_a_rebuild_that_would_remove_much_is_refused_and_writes_nothing(store, server):
    lose(store, NAMES[:6])
    snapshot = store.snapshot()
    result = rebuild(store)
    assert result.returncode == 1
    assert "6 of the 20 resources in namespace default" in result.stderr
    assert "20 percent" in result.stderr and "--confirm prune" in result.stderr
    assert store.snapshot() == snapshot


def test_it_goes_on_when_that_is_confirmed(store, server):
    lose(store, NAMES[:6])
    result = rebuild(store, "--confirm", "prune")
    assert result.returncode == 0, result.stderr
    server.start()
    assert sorted(listed(server)) == NAMES[6:]


def test_or_when_the_percentage_allows_it(store, server):
    lose(store, NAMES[:6])
    assert rebuild(store, "--max-prune", "29").returncode == 1
    assert rebuild(store, "--max-prune", "30").returncode == 0


def test_a_few_are_left_out_without_a_question(store, server):
    lose(store, NAMES[:5])
    assert rebuild(store, "--max-prune", "0").returncode == 0


def test_without_the_old_catalog_there_is_nothing_to_compare_with(embedded_store):
    server = embedded_store.server().start()
    for name in NAMES:
        declare(server, name)
    layer = embedded_store.oci().manifest(CATALOG, "latest").json["layers"][0]["digest"]
    server.stop()
    lose(embedded_store, NAMES[:10])
    embedded_store.alter_blob(layer)
    result = rebuild(embedded_store)
    assert result.returncode == 0, result.stderr
    assert "nothing to compare with" in result.stderr and CATALOG in result.stderr
    assert "10 resources" in result.stdout


@pytest.mark.parametrize("args, said", [
    (("--max-prune", "101"), "--max-prune"),
    (("--max-prune", "20%"), "--max-prune"),
    (("--confirm", "yes"), "--confirm"),
])
def test_wrong_usage_exits_with_2(tmp_path, args, said):
    result = subprocess.run([binary(), "rebuild", "--data-dir", tmp_path, *args], capture_output=True, text=True,
                            timeout=60)
    assert result.returncode == 2
    assert said in result.stderr
