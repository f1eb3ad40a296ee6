# SPDX-License-Identifier: Apache-2.0
"""gsq delete: by name, by file, by label: all of it in one change, or nothing."""
import signal

import pytest

from tests.lib.cli import cli_of
from tests.lib.gsq import Gsq
from tests.lib.wait import wait_until
from tests.system.resources import declare, listed, remove
from tests.system.stub_kube import in_cluster

PROTECTED = {"gitops-squared.io/protect": "true"}


@pytest.fixture
def server(tmp_path):
    with Gsq(tmp_path / "gsq", namespaces=("default", "shop")) as server:
        for name in ("web", "db", "cache"):
            declare(server, name, labels={"team": "shop" if name == "web" else "data"})
        yield server


@pytest.fixture
def gsq(server):
    return cli_of(server)


def revision(server):
    return server.get("/api/v1/revisions?limit=1").json["revisions"][0]


# ---- by name ----

def test_names_are_deleted_in_one_change_with_its_reason(gsq, server):
    told = gsq.ok("delete", "web", "platformresource/db", "web", "--reason", "OPS-1217")
    assert told == 'platformresource "web" deleted\nplatformresource "db" deleted\n'
    assert set(listed(server)) == {"cache"}
    commit = revision(server)
    assert {change["name"] for change in commit["changes"]} == {"db", "web"}
    assert commit["why"] == "OPS-1217"


def test_where_one_is_not_there_nothing_is_deleted_and_the_nearest_name_suggested(gsq, server):
    result = gsq.run("delete", "web", "bd")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "gsq delete: there is no resource bd in the namespace default; did you mean db?\n"
    assert set(listed(server)) == {"web", "db", "cache"}


def test_where_one_is_protected_nothing_is_deleted(gsq, server):
    declare(server, "safe", labels=PROTECTED)
    result = gsq.run("delete", "web", "safe")
    assert result.returncode == 1
    assert "safe" in result.stderr and "protect" in result.stderr and "--confirm" not in result.stderr
    assert set(listed(server)) == {"web", "db", "cache", "safe"}


def test_what_is_not_there_may_be_ignored(gsq, server):
    assert gsq.ok("delete", "gone", "Bad_Name", "web", "--ignore-not-found") == 'platformresource "web" deleted\n'
    result = gsq.run("delete", "gone", "--ignore-not-found")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "No resources found\n")


def test_of_another_namespace_only_there(gsq, server):
    declare(server, "web", "shop")
    gsq.ok("delete", "web", "-n", "shop")
    assert listed(server, "shop") == {} and "web" in listed(server)


def test_a_dry_run_says_what_would_go_and_changes_nothing(gsq, server):
    assert gsq.ok("delete", "web", "--dry-run") == 'platformresource "web" deleted (dry run)\n'
    assert gsq.run("delete", "web", "gone", "--dry-run").returncode == 1
    assert set(listed(server)) == {"web", "db", "cache"}


# ---- by file ----

def test_files_name_what_is_deleted_whatever_it_is_now(gsq, server, tmp_path):
    gsq.ok("export", tmp_path / "out")
    declare(server, "web", size="large")
    (tmp_path / "out" / "default" / "cache.yaml").unlink()
    gsq.ok("delete", "-R", "-f", tmp_path / "out")
    assert set(listed(server)) == {"cache"}


def test_standard_input_is_a_file_too(gsq, server):
    text = gsq.ok("get", "web", "db", "-o", "yaml")
    assert gsq.ok("delete", "-f", "-", input=text).count("deleted") == 2


def test_a_file_of_another_namespace_than_the_one_that_is_given_is_refused(gsq, server, tmp_path):
    gsq.ok("export", tmp_path / "out")
    result = gsq.run("delete", "-R", "-f", tmp_path / "out", "-n", "shop")
    assert result.returncode == 1 and "namespace" in result.stderr and "cache.yaml" in result.stderr
    assert set(listed(server)) == {"web", "db", "cache"}


@pytest.mark.parametrize("content, said", [
    ("spec: {", "bad.yaml"), ("name: web\nspec: {type: vm, size: smalll}\n", "spec.size"), (None, "bad.yaml")])
def test_what_cannot_be_read_is_named(gsq, server, tmp_path, content, said):
    if content is not None:
        (tmp_path / "bad.yaml").write_text(content)
    result = gsq.run("delete", "-f", tmp_path / "bad.yaml")
    assert (result.returncode, result.stdout) == (1, "")
    assert said in result.stderr and "bad.yaml" in result.stderr


# ---- input in general ----

def test_a_resource_that_is_there_twice_is_refused_with_both_places(gsq, tmp_path):
    one = "name: web\nspec: {type: vm, size: small}\n"
    (tmp_path / "a.yaml").write_text(f"{one}---\n{one.replace('web', 'db')}")
    (tmp_path / "b.yml").write_text(f"# comment\n{one}")
    result = gsq.run("delete", "-f", tmp_path)
    assert result.returncode == 1
    assert "a.yaml:1" in result.stderr and "b.yml:2" in result.stderr


def test_folders_are_read_in_the_order_of_names_without_other_files(gsq, server, tmp_path):
    for file, name in (("b.json", "web"), ("a.yaml", "db")):
        (tmp_path / file).write_text(f'{{"name": "{name}", "spec": {{"type": "vm", "size": "small"}}}}')
    (tmp_path / "README.md").write_text("not: [a resource")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.yaml").write_text("name: cache\nspec: {type: vm, size: small}\n")
    assert gsq.ok("delete", "-f", tmp_path, "--dry-run").splitlines() == [
        f'platformresource "{name}" deleted (dry run)' for name in ("db", "web")]
    assert gsq.ok("delete", "-f", tmp_path, "-R", "--dry-run").count("deleted") == 3


def test_a_folder_that_has_nothing_but_folders_is_read_where_that_is_asked_for(gsq, tmp_path):
    for name in ("web", "db"):
        (tmp_path / "top" / name / "old").mkdir(parents=True)
        (tmp_path / "top" / name / "it.yaml").write_text(f"name: {name}\nspec: {{type: vm, size: small}}\n")
    (tmp_path / "top" / "round").symlink_to(tmp_path)
    for path in (tmp_path / "top", f"{tmp_path}/top/"):
        result = gsq.run("delete", "-f", path, "--dry-run")
        assert (result.returncode, result.stdout) == (1, "") and "give -R to read its folders too" in result.stderr
        assert gsq.ok("delete", "-R", "-f", path, "--dry-run").splitlines() == [
            f'platformresource "{name}" deleted (dry run)' for name in ("db", "web")]


def test_links_to_files_are_followed(gsq, tmp_path):
    (tmp_path / "data").write_text("name: web\nspec: {type: vm, size: small}\n")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "web.yaml").symlink_to(tmp_path / "data")
    assert gsq.ok("delete", "-f", tmp_path / "in", "--dry-run").count("deleted") == 1


def test_a_folder_without_resources_is_an_error(gsq, tmp_path):
    (tmp_path / "README.md").write_text("hello")
    result = gsq.run("delete", "-f", tmp_path)
    assert result.returncode == 1 and ".yaml" in result.stderr


def test_a_million_lines_are_read_and_their_resources_counted(gsq, tmp_path):
    count = 125000
    with open(tmp_path / "huge.yaml", "w", encoding="utf-8") as file:
        for i in range(count):
            file.write(f"---\nname: r{i}\nlabels:\n  a: b\nspec:\n  type: vm\n  size: small\n  replicas: 1\n")
    result = gsq.run("delete", "-f", tmp_path / "huge.yaml")
    assert (result.returncode, result.stdout) == (1, "")
    assert f"{count} resources" in result.stderr and "10000" in result.stderr


# ---- by label ----

def test_a_selector_deletes_those_that_match(gsq, server):
    assert gsq.ok("delete", "-l", "team=shop") == 'platformresource "web" deleted\n'
    assert set(listed(server)) == {"db", "cache"}


def test_on_a_terminal_it_is_asked_first(gsq, server):
    refused = gsq.terminal("delete", "--all", typed="n\n")
    assert "Delete 3 resources of the namespace default?" in refused.output
    assert refused.returncode == 1 and set(listed(server)) == {"web", "db", "cache"}
    assert gsq.terminal("delete", "--all", typed="y\n").returncode == 0
    assert listed(server) == {}


def test_yes_answers_the_question_before(gsq, server):
    done = gsq.terminal("delete", "-l", "team=data", "--yes")
    assert done.returncode == 0 and "?" not in done.output
    assert set(listed(server)) == {"web"}


def test_whoever_has_seen_what_goes_and_says_yes_has_confirmed_it(gsq, server):
    for i in range(7):
        declare(server, f"more{i}")
    refused = gsq.terminal("delete", "--all", typed="n\n")
    assert refused.returncode == 1 and "nothing is changed" in refused.output and len(listed(server)) == 10
    done = gsq.terminal("delete", "--all", typed="y\n")
    assert done.returncode == 0 and done.output.count("[y/N]") == 1
    assert "platformresource/more0 deleted (dry run)" in done.output
    assert listed(server) == {}


def test_many_that_nobody_named_have_to_be_confirmed(gsq, server):
    for i in range(7):
        declare(server, f"more{i}")
    result = gsq.run("delete", "--all", "--yes")
    assert (result.returncode, result.stdout) == (1, "")
    assert "10 of the 10 resources" in result.stderr and result.stderr.endswith("give --confirm prune\n")
    assert len(listed(server)) == 10
    assert gsq.ok("delete", "--all", "--confirm", "prune").count("deleted") == 10


def test_none_that_match_is_no_error(gsq):
    result = gsq.run("delete", "-l", "team=none")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "No resources found\n")


@pytest.mark.parametrize("args", [(), ("web", "--all"), ("web", "-l", "a=b"), ("--all", "-f", "x.yaml")])
def test_what_is_meant_must_be_said_in_one_way(gsq, server, args):
    result = gsq.run("delete", *args)
    assert result.returncode == 2 and "--selector" in result.stderr
    assert set(listed(server)) == {"web", "db", "cache"}


# ---- waiting ----

def delete_and_wait(server, kube):
    item = in_cluster("web", declare(server, "web")["version"])
    kube.show("ADDED", item)
    server.wait_phase("applied", "web")
    waiting = cli_of(server).start("delete", "web", "--wait")
    wait_until(lambda: server.metric("gsq_api_watchers") == 1, "it to wait")
    return item, waiting


def test_waiting_ends_when_the_object_is_gone(watching, kube):
    item, running = delete_and_wait(watching, kube)
    with running as waiting:
        kube.show("DELETED", item)
        assert waiting.end() == 0
        assert waiting.lines == ['platformresource "web" deleted', "web is gone"]


def test_without_a_cluster_there_is_nothing_to_wait_for(gsq, server):
    result = gsq.run("delete", "web", "--wait", "--timeout", "0")
    assert (result.returncode, result.stdout) == (1, 'platformresource "web" deleted\n')
    assert "watches no cluster" in result.stderr
    assert set(listed(server)) == {"db", "cache"}


def test_ctrl_c_leaves_it_deleted(watching, kube):
    _, running = delete_and_wait(watching, kube)
    with running as waiting:
        waiting.send(signal.SIGINT)
        assert waiting.end() == 130
        assert "interrupted" in waiting.errors[-1]
    assert watching.get("/api/v1/resources/web").status == 404


def test_what_is_made_again_meanwhile_is_told(watching, kube):
    _, running = delete_and_wait(watching, kube)
    with running as waiting:
        declare(watching, "web")
        assert waiting.end() == 1
        assert "web: was made again meanwhile" in waiting.errors
    remove(watching, "web")
