# SPDX-License-Identifier: Apache-2.0
"""Quotas of the policy file: how many resources a namespace may have."""
import pytest

from tests.lib.wait import wait_until
from tests.system.resources import declare, intent, path, remove

POLICY = """\
quotas:
  "*": 4
  team-a: {quota}
"""


@pytest.fixture
def policy(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.format(quota=2), encoding="utf-8")
    return file


@pytest.fixture
def server(embedded_store, policy):
    with embedded_store.server(namespaces=("default", "team-a"), args=["--policy", policy]) as server:
        yield server


def create(server, name, namespace):
    return server.request("POST", path(namespace), intent(name))


def fill(server, namespace, n):
    for i in range(n):
        declare(server, f"r{i}", namespace)


def test_one_more_than_the_quota_is_refused(server):
    fill(server, "team-a", 2)
    answer = create(server, "one-more", "team-a")
    assert answer.status == 403
    assert answer.json["error"] == (
        "namespace team-a has 2 resources, and its quota is 2: delete some, or ask an operator for more")
    assert answer.json["code"] == "denied"


def test_each_namespace_has_its_own(server):
    fill(server, "team-a", 2)
    fill(server, "default", 4)
    assert create(server, "one-more", "default").status == 403


def test_what_is_there_can_be_changed_and_deleted(server):
    fill(server, "team-a", 2)
    declare(server, "r0", "team-a", size="large")
    remove(server, "r1", "team-a")
    declare(server, "another", "team-a")
    assert create(server, "one-more", "team-a").status == 403


def test_a_new_quota_counts_without_a_restart(server, policy):
    fill(server, "team-a", 2)
    policy.write_text(POLICY.format(quota=3), encoding="utf-8")
    wait_until(lambda: create(server, "third", "team-a").status in (200, 201), "the policy to be read again")
    assert create(server, "fourth", "team-a").status == 403


def test_what_was_there_before_counts_too(server):
    fill(server, "team-a", 2)
    server.restart()
    assert create(server, "one-more", "team-a").status == 403
