# SPDX-License-Identifier: Apache-2.0
"""gsq diff: what apply would change, and what two commits differ in; 0 same, 1 different, 2 trouble."""
import pytest

from tests.lib.cli import Cli, cli_of
from tests.lib.gsq import Gsq
from tests.lib.process import free_port
from tests.system.resources import declare, listed, remove
from tests.system.revisions import names_in, newest

WEB = "name: web\nspec: {type: vm, size: %s}\n"


@pytest.fixture
def server(tmp_path):
    with Gsq(tmp_path / "gsq", namespaces=("default", "shop")) as server:
        declare(server, "web")
        yield server


@pytest.fixture
def gsq(server):
    return cli_of(server)


def changed(text):
    """The lines that are taken away, and those that come, without the heads."""
    return [line for line in text.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]


# ---- files ----

def test_the_same_is_no_difference(gsq):
    result = gsq.run("diff", "-f", "-", input=WEB % "small")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_difference_is_shown_as_yaml_and_nothing_is_changed(gsq, server):
    before = newest(server)
    result = gsq.run("diff", "-f", "-", input=WEB % "large")
    assert (result.returncode, result.stderr) == (1, "")
    assert names_in(result.stdout) == (f"default/web@{listed(server)['web']['version']}", "default/web")
    assert changed(result.stdout) == ["-  size: small", "+  size: large"]
    assert newest(server) == before


def test_what_is_new_differs_from_nothing(gsq):
    result = gsq.run("diff", "-f", "-", input=WEB.replace("web", "new") % "small")
    assert result.returncode == 1
    assert names_in(result.stdout) == ("/dev/null", "default/new")
    assert "+  name: new" in changed(result.stdout) and not any(line[0] == "-" for line in changed(result.stdout))


def test_folders_are_compared_with_theirs_on_demand(gsq, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "web.yaml").write_text(WEB % "small")
    (tmp_path / "in" / "deep" / "db.yaml").write_text(WEB.replace("web", "db") % "small")
    assert gsq.run("diff", "-f", tmp_path / "in").returncode == 0
    result = gsq.run("diff", "-f", tmp_path / "in", "-R")
    assert result.returncode == 1 and "+  name: db" in result.stdout


def test_on_a_terminal_it_is_in_colour(gsq, tmp_path):
    (tmp_path / "web.yaml").write_text(WEB % "large")
    coloured = gsq.terminal("diff", "-f", tmp_path / "web.yaml").output
    plain = gsq.terminal("diff", "-f", tmp_path / "web.yaml", env={"NO_COLOR": "1"}).output
    assert "\x1b[" in coloured and "\x1b[" not in plain
    assert changed(plain) == ["-  size: small", "+  size: large"]


# ---- commits ----

@pytest.fixture
def commits(server):
    """Those after which web is small, and is large, with shop/db, and is gone."""
    found = [newest(server)]
    declare(server, "db", "shop", type="database")
    declare(server, "web", size="large")
    found.append(newest(server))
    remove(server, "web")
    return [*found, newest(server)]


def test_two_commits_differ_in_what_came_between(gsq, commits):
    a, b, _ = commits
    result = gsq.run("diff", f"{a}..{b}")
    assert result.returncode == 1
    assert changed(result.stdout) == ["-  size: small", "+  size: large"]
    back = gsq.run("diff", f"{b}..{a}")
    assert changed(back.stdout) == ["-  size: large", "+  size: small"]


def test_of_all_namespaces_there_is_more(gsq, commits):
    a, b, _ = commits
    assert "+  name: db" not in gsq.run("diff", f"{a}..{b}").stdout
    result = gsq.run("diff", f"{a}..{b}", "-A")
    assert result.returncode == 1 and "+  name: db" in changed(result.stdout)


def test_a_deletion_leaves_nothing(gsq, commits):
    _, b, c = commits
    result = gsq.run("diff", f"{b}..{c}")
    assert result.returncode == 1
    assert names_in(result.stdout)[1] == "/dev/null"


def test_a_commit_is_the_same_as_itself(gsq, commits):
    result = gsq.run("diff", f"{commits[0]}..{commits[0]}")
    assert (result.returncode, result.stdout) == (0, "")


# ---- trouble ----

@pytest.mark.parametrize("args, said", [
    ((), "give -f FILE, or two revisions"),
    (("-f", "-", "c1..c2"), "give -f FILE, or two revisions"),
    (("c1",), '"c1" is not two revisions'),
    (("v1..v2",), '"v1..v2" is not two revisions'),
    (("../../c1..c2",), "is not two revisions"),
    (("-f", "-", "-A"), "--all-namespaces goes with two revisions"),
])
def test_what_cannot_be_compared_is_status_2(gsq, args, said):
    result = gsq.run("diff", *args)
    assert result.returncode == 2
    assert said in result.stderr and "See gsq diff --help." in result.stderr


def test_a_commit_that_is_not_there_is_status_2_and_log_shows_those_that_are(gsq, commits):
    result = gsq.run("diff", f"c1..{commits[0]}")
    assert (result.returncode, result.stdout) == (2, "")
    assert "gsq log shows those there are" in result.stderr


def test_a_bad_file_is_status_2_with_its_place(gsq, server, tmp_path):
    path = tmp_path / "web.yaml"
    path.write_text("---\n" + WEB % "smalll")
    result = gsq.run("diff", "-f", path)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"{path}:2: web: spec.size must be" in result.stderr
    path.write_text("---\nnamespace: shpo\n" + WEB % "small")
    result = gsq.run("diff", "-f", path)
    assert result.returncode == 2 and f"{path}:2: shpo/web: namespace shpo is not known" in result.stderr
    assert set(listed(server)) == {"web"}


def test_files_without_a_resource_are_status_2(gsq):
    result = gsq.run("diff", "-f", "-", input="# nothing\n")
    assert result.returncode == 2 and "there is no resource" in result.stderr


def test_a_server_that_is_not_there_is_status_2(tmp_path):
    (tmp_path / "web.yaml").write_text(WEB % "small")
    result = Cli(f"http://127.0.0.1:{free_port()}").run("diff", "-f", tmp_path / "web.yaml")
    assert (result.returncode, result.stdout) == (2, "")
    assert "is it running" in result.stderr
