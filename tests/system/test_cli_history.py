# SPDX-License-Identifier: Apache-2.0
"""gsq history: the versions of a resource, its deletions among them."""
import json

import pytest
import yaml

from tests.lib.cli import cli_of
from tests.lib.gsq import Gsq
from tests.system.resources import declare, path, remove
from tests.system.revisions import history
from tests.system.test_terminal import columns

PAGE = 500  # LIMIT_CLIENT_PAGE
REASON = "X-Change-Reason"


@pytest.fixture
def server(tmp_path):
    with Gsq(tmp_path / "gsq", namespaces=("default", "shop")) as server:
        yield server


@pytest.fixture
def gsq(server):
    return cli_of(server)


@pytest.fixture
def versions(server):
    """Of web, newest first: made, changed with a reason, deleted and made again."""
    declare(server, "web")
    server.put(path(name="web"), {"spec": {"type": "vm", "size": "large"}}, headers={REASON: "OPS-1217"})
    remove(server, "web")
    declare(server, "web", size="medium")
    return [entry["version"] for entry in history(server, "web")]


def rows(text):
    """(version, operation) of each line."""
    return [tuple(line.split()[:2]) for line in text.splitlines()[1:]]


def test_versions_are_listed_newest_first_with_the_deletion_between(gsq, versions):
    told = gsq.ok("history", "web")
    assert told.splitlines()[0].split() == ["VERSION", "OPERATION", "AGE", "WHO", "WHY", "REVISION"]
    assert rows(told) == list(zip(versions, ("create", "delete", "update", "create")))
    update = told.splitlines()[3]
    assert "anonymous" in update and "OPS-1217" in update


def test_what_is_deleted_has_its_history_still(gsq, server, versions):
    remove(server, "web")
    told = rows(gsq.ok("history", "platformresource/web"))
    assert told[0][1] == "delete" and told[1:] == list(zip(versions, ("create", "delete", "update", "create")))


def test_a_limit_shows_the_newest(gsq, versions):
    assert rows(gsq.ok("history", "web", "--limit", "2")) == [(versions[0], "create"), (versions[1], "delete")]


def test_patches_show_what_each_version_changed(gsq, versions):
    told = gsq.ok("history", "web", "-p")
    parts = told.split(f"{versions[2]} update\n")
    assert "Why:  OPS-1217" in parts[1] and "-  size: small\n+  size: large\n" in parts[1]
    assert f"@{versions[0]}\n" in parts[0] and "+  size: medium" in parts[0]
    assert "Who:  anonymous\n" in told


def test_programs_get_all_of_it(gsq, server, versions):
    expected = history(server, "web")
    assert json.loads(gsq.ok("history", "web", "-o", "json")) == expected
    text = gsq.ok("history", "web", "-o", "yaml")
    assert yaml.safe_load(text) == expected
    assert "  diff: |\n    --- " in text and "\n    -  size: small\n    +  size: large\n" in text
    assert json.loads(gsq.ok("history", "web", "-o", "json", "--limit", "3")) == expected[:3]


def test_more_than_a_page_is_read_to_the_end(gsq, server):
    n = PAGE + 3
    for i in range(n):
        declare(server, "web", region=f"r{i}")
    told = rows(gsq.ok("history", "web"))
    assert len(told) == n and len(set(told)) == n
    assert len(rows(gsq.ok("history", "web", "--limit", str(PAGE + 1)))) == PAGE + 1


def test_a_namespace_has_its_own(gsq, server):
    declare(server, "web")
    version = declare(server, "web", "shop")["version"]
    assert rows(gsq.ok("history", "web", "-n", "shop")) == [(version, "create")]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_it_fits_the_terminal(gsq, versions, width):
    shown = gsq.terminal("history", "web", columns=width)
    assert shown.returncode == 0
    assert all(columns(line) <= width for line in shown.output.splitlines()), shown.output
    assert versions[0][:18] in shown.output


def test_a_name_that_was_never_there_is_an_error_that_suggests(gsq, server):
    declare(server, "web")
    result = gsq.run("history", "wbe")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "gsq history: there is no resource wbe in the namespace default; did you mean web?\n"


def test_several_are_told_by_their_names(gsq, server, versions):
    declare(server, "db")
    told = gsq.ok("history", "web", "db", "--limit", "1").splitlines()
    assert [line.split()[:2] for line in told[1:]] == [["web", versions[0]], ["db", history(server, "db")[0]["version"]]]
    assert told[0].split()[:2] == ["NAME", "VERSION"]
    assert [entry["name"] for entry in json.loads(gsq.ok("history", "web", "db", "-o", "json"))] == ["web"] * 4 + ["db"]
    assert f"db {history(server, 'db')[0]['version']} create\n" in gsq.ok("history", "-p", "web", "db")


def test_of_several_one_that_was_never_there_is_an_error(gsq, versions):
    result = gsq.run("history", "web", "wbe")
    assert result.returncode == 1 and "did you mean web?" in result.stderr


@pytest.mark.parametrize("args, said", [
    (("web", "--limit", "many"), "--limit must be a number"),
    (("web", "--limit", "0"), "--limit must be a number of 1 or more"),
    (("web", "-o", "wide"), "not one of table, json and yaml"),
    ((), "NAME"),
])
def test_bad_usage_is_status_2(gsq, args, said):
    result = gsq.run("history", *args)
    assert result.returncode == 2 and said in result.stderr, result.stderr
