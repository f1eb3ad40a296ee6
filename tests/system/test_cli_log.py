# SPDX-License-Identifier: Apache-2.0
"""gsq log: the commits, newest first."""
import json
import signal
import subprocess

import pytest
import yaml

from tests.lib.cli import cli_of
from tests.lib.gsq import Gsq, binary
from tests.system.resources import declare, intent, remove
from tests.system.revisions import newest, revisions
from tests.system.test_terminal import columns

PAGE = 500  # LIMIT_CLIENT_PAGE
SHOWN = 20  # changes of one commit
MANY = 5000


@pytest.fixture
def server(tmp_path):
    with Gsq(tmp_path / "gsq", namespaces=("default", "shop")) as server:
        yield server


@pytest.fixture
def gsq(server):
    return cli_of(server)


def change(server, n, reason=None):
    body = {"changes": [{"resource": intent(f"r{i:04}")} for i in range(n)]}
    answer = server.post("/api/v1/changes", body, headers={"X-Change-Reason": reason})
    assert answer.status == 200, answer.body
    return answer.json["revision"]


def shown_revisions(text):
    return [line.split()[1] for line in text.splitlines() if line.startswith("revision ")]


def test_each_commit_says_who_when_why_and_what(gsq, server):
    version = declare(server, "web")["version"]
    first = newest(server)
    second = change(server, 2, "OPS-1217")
    told = gsq.ok("log")
    assert shown_revisions(told) == [second, first]
    newer, older = told.split(f"revision {first}\n")
    assert "Who:  anonymous (127.0.0.1)\n" in newer and "Why:  OPS-1217\n" in newer
    assert "    create  default/r0000 v" in newer and "    create  default/r0001 v" in newer
    assert f"    create  default/web {version}\n" in older and "Why:" not in older
    assert f"Date: {revisions(server)[1]['at']}" in older


def test_a_commit_of_many_changes_shows_some_and_says_how_many_more(gsq, server):
    version = change(server, SHOWN + 7)
    told = gsq.ok("log", version)
    assert told.count("    create ") == SHOWN and "    and 7 more\n" in told


def test_one_commit_alone(gsq, server):
    declare(server, "web")
    first = newest(server)
    declare(server, "db")
    assert shown_revisions(gsq.ok("log", first)) == [first]


def test_in_one_line_each(gsq, server):
    declare(server, "web")
    change(server, 3, "OPS-1217")
    remove(server, "web")
    head, *lines = gsq.ok("log", "--oneline").splitlines()
    assert head.split() == ["REVISION", "AGE", "WHO", "CHANGES", "WHY"]
    assert [line.split()[0] for line in lines] == [commit["revision"] for commit in revisions(server, "default")]
    assert "delete web" in lines[0] and "create web" in lines[2]
    assert lines[1].split()[3:] == ["3", "OPS-1217"]


def test_the_namespace_shows_its_own_and_all_namespaces_everything(gsq, server):
    declare(server, "web")
    declare(server, "db", "shop")
    assert "shop/db" not in gsq.ok("log") and "default/web" not in gsq.ok("log", "-n", "shop")
    told = gsq.ok("log", "-A")
    assert "shop/db" in told and "default/web" in told
    assert shown_revisions(told) == [commit["revision"] for commit in revisions(server)]


def test_programs_get_all_of_it(gsq, server):
    change(server, 3, "OPS-1217")
    declare(server, "web")
    expected = revisions(server, "default")
    assert json.loads(gsq.ok("log", "-o", "json")) == expected
    assert yaml.safe_load(gsq.ok("log", "-o", "yaml", "--limit", "1")) == expected[:1]
    assert json.loads(gsq.ok("log", expected[1]["revision"], "-o", "json")) == expected[1:2]


def test_a_limit_shows_the_newest_and_pages_are_read_to_the_end(gsq, server):
    for i in range(PAGE + 3):
        declare(server, "web", region=f"r{i}")
    expected = [commit["revision"] for commit in revisions(server, "default")]
    assert shown_revisions(gsq.ok("log")) == expected
    assert shown_revisions(gsq.ok("log", "--limit", "2")) == expected[:2]
    assert shown_revisions(gsq.ok("log", "--limit", str(PAGE + 1))) == expected[:PAGE + 1]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_one_line_each_fits_the_terminal(gsq, server, width):
    change(server, 3, "a reason that is longer than any terminal of these few columns would take")
    shown = gsq.terminal("log", "--oneline", columns=width)
    assert shown.returncode == 0
    assert all(columns(line) <= width for line in shown.output.splitlines()), shown.output


def test_a_closed_pipe_ends_it_quietly(gsq, server):
    version = change(server, MANY)
    with subprocess.Popen([binary(), "log", version, "-o", "json"], env=gsq.env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == -signal.SIGPIPE


def test_without_a_commit_it_says_nothing(gsq):
    assert gsq.ok("log", "-n", "shop") == ""


def test_a_commit_that_is_not_there_is_an_error(gsq):
    result = gsq.run("log", "c12")
    assert (result.returncode, result.stdout) == (1, "")
    assert "c12" in result.stderr and "gsq log shows" in result.stderr


@pytest.mark.parametrize("args, said", [
    (("web",), "gsq history NAME"),
    (("v12",), '"v12" is no revision'),
    (("c12/../..",), "is no revision"),
    (("--limit", "-1"), "--limit must be a number"),
    (("--limit", "0"), "--limit must be a number of 1 or more"),
    (("-p", "-o", "json"), "--patch goes with --output text"),
    (("-p", "--oneline"), "--patch goes with --output text"),
])
def test_bad_usage_is_status_2(gsq, args, said):
    result = gsq.run("log", *args)
    assert result.returncode == 2 and said in result.stderr, result.stderr
