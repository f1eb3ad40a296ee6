# SPDX-License-Identifier: Apache-2.0
"""The command line over the real Flux and API server: what it says is applied is in the cluster, and undo is undone there."""
import pytest

from tests.e2e.chain import chain
from tests.lib.cli import cli_of
from tests.lib.kube import RESOURCES


@pytest.fixture(scope="module", params=["single", "split"])
def made(request, control_plane, tmp_path_factory):
    with chain(control_plane, tmp_path_factory.mktemp(request.param), split=2 if request.param == "split" else None) as started:
        yield started


def gsq(made, *arguments, **kwargs):
    return cli_of(made.server).ok(*arguments, **kwargs)


def documents(sizes):
    return "---\n".join(f"name: {name}\nlabels: {{team: shop}}\nspec: {{type: vm, size: {size}}}\n"
                        for name, size in sizes.items())


def sizes(made):
    return {name: item["spec"]["size"] for (_, name), item in made.kube.items(RESOURCES).items()}


def test_apply_waits_until_the_cluster_has_all_of_it(made):
    gsq(made, "apply", "-f", "-", "--wait", input=documents({"web": "small", "db": "small", "queue": "small"}))
    assert sizes(made) == {"web": "small", "db": "small", "queue": "small"}
    assert gsq(made, "get", "web").split()[-2] == "applied"


def test_a_prune_is_gone_from_the_cluster_when_the_wait_ends(made):
    gsq(made, "apply", "-f", "-", "--prune", "-l", "team=shop", "--wait",
        input=documents({"web": "large", "db": "small"}))
    assert sizes(made) == {"web": "large", "db": "small"}


def test_a_rollback_of_everything_is_undone_in_the_cluster_too(made):
    before = [line.split()[0] for line in gsq(made, "log", "--oneline").splitlines()[1:]]
    gsq(made, "delete", "db", "--wait")
    assert "db" not in sizes(made)
    gsq(made, "rollback", "--to", before[-1], "--wait")
    assert sizes(made) == {"web": "small", "db": "small", "queue": "small"}


def test_status_waits_and_doctor_finds_all_well(made):
    gsq(made, "status", "--wait")
    gsq(made, "doctor")
