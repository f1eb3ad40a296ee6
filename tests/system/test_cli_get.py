# SPDX-License-Identifier: Apache-2.0
"""gsq get: tables, Kubernetes objects and names, of some or of all, and what becomes of them."""
import json
import re
import signal
import subprocess

import pytest
import yaml

from tests.lib.cli import Cli, cli_of
from tests.lib.gsq import Gsq, binary
from tests.lib.process import free_port
from tests.lib.wait import wait_until
from tests.system.resources import declare, remove

MANY = 1200  # more than two pages
ESCAPES = re.compile(r"\x1b\[\d*m")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gsq(tmp_path_factory.mktemp("gsq"), namespaces=("default", "shop", "many", "moving")) as server:
        declare(server, "web", labels={"team": "shop"}, size="medium", region="eu: 1", replicas=3)
        declare(server, "db", labels={"team": "data"}, type="database")
        declare(server, "cart", "shop", labels={"team": "shop"})
        yield server


@pytest.fixture(scope="module")
def many(server):
    for i in range(MANY):
        declare(server, f"r{i:04}", "many")


@pytest.fixture
def gsq(server):
    return cli_of(server)


def rows(text):
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


# ---- tables ----

def test_without_a_name_all_of_the_namespace_are_shown_in_a_table(gsq):
    head, *lines = rows(gsq.ok("get"))
    assert head == ["NAME", "TYPE", "SIZE", "REGION", "REPLICAS", "STATUS", "AGE"]
    assert [line[:6] for line in lines] == [
        ["db", "database", "small", "-", "1", "unknown"], ["web", "vm", "medium", "eu: 1", "3", "unknown"]]
    assert all(re.fullmatch(r"\d+[smhd]", line[6]) for line in lines)


def test_of_all_namespaces_each_line_says_which(gsq):
    head, *lines = rows(gsq.ok("get", "-A"))
    assert head[:2] == ["NAMESPACE", "NAME"]
    assert [line[:2] for line in lines] == [["default", "db"], ["default", "web"], ["shop", "cart"]]


def test_a_wide_table_has_versions_digests_and_reasons(gsq, server):
    web = server.get("/api/v1/resources/web").json
    head, line = rows(gsq.ok("get", "web", "-o", "wide"))
    assert head[7:] == ["VERSION", "DIGEST", "REASON"]
    assert line[7:] == [web["version"], web["digest"], "NoCluster"]


def test_no_headers_leaves_the_rows(gsq):
    assert [row[0] for row in rows(gsq.ok("get", "--no-headers"))] == ["db", "web"]


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_every_line_fits_the_terminal(gsq, columns):
    shown = gsq.terminal("get", "-A", columns=columns)
    lines = [ESCAPES.sub("", line) for line in shown.output.splitlines()]
    assert shown.returncode == 0
    assert len(lines) == 4 and max(map(len, lines)) <= columns, lines
    assert lines[0].startswith("NAME")


def test_wide_lines_are_whole_on_any_terminal(gsq):
    shown = gsq.terminal("get", "-A", "-o", "wide", columns=40)
    lines = [ESCAPES.sub("", line) for line in shown.output.splitlines()]
    assert len(lines) == 4 and "…" not in shown.output
    assert all(re.search(r"sha256:[0-9a-f]{64}", line) for line in lines[1:]), lines
    assert lines[0].split()[-3:] == ["VERSION", "DIGEST", "REASON"]


def test_colour_is_for_terminals_that_want_it(gsq):
    assert not ESCAPES.search(gsq.ok("get"))
    assert not ESCAPES.search(gsq.terminal("get", env={"NO_COLOR": "1"}).output)


# ---- some ----

def test_names_choose_and_may_be_written_as_get_writes_them(gsq):
    assert gsq.ok("get", "-o", "name") == "platformresource/db\nplatformresource/web\n"
    assert [row[0] for row in rows(gsq.ok("get", "web", "platformresource/db", "--no-headers"))] == ["web", "db"]


def test_an_unknown_name_is_an_error_that_suggests_the_nearest_and_the_others_are_shown(gsq):
    result = gsq.run("get", "wbe", "db", "--no-headers")
    assert result.returncode == 1
    assert result.stderr == "gsq get: there is no resource wbe in the namespace default; did you mean web?\n"
    assert [row[0] for row in rows(result.stdout)] == ["db"]


@pytest.mark.parametrize("name", ["Web?x=1", "../../freeze", "no-such-thing-at-all"])
def test_what_cannot_be_a_name_is_not_found(gsq, name):
    result = gsq.run("get", name)
    assert (result.returncode, result.stdout) == (1, "")
    assert "there is no resource" in result.stderr and "did you mean" not in result.stderr


def test_nothing_found_is_no_error(gsq):
    result = gsq.run("get", "-n", "empty")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "No resources found in empty namespace.\n"


@pytest.mark.parametrize("selector, names", [
    ("team=shop", ["web"]), ("team!=shop", ["db"]), ("team in (shop,data)", ["db", "web"]), ("!team", [])])
def test_a_selector_chooses_by_labels(gsq, selector, names):
    assert [row[0] for row in rows(gsq.ok("get", "-l", selector, "--no-headers"))] == names


@pytest.mark.parametrize("args, said", [
    (("-l", "team in shop"), "selector"), (("web", "-A"), "--all-namespaces"), (("web", "-l", "a=b"), "--selector"),
    (("-o", "tabble"), "did you mean table")])
def test_wrong_usage_is_told_and_exits_with_2(gsq, args, said):
    result = gsq.run("get", *args)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr


# ---- objects ----

def test_one_name_as_yaml_is_that_object_with_its_status(gsq, server):
    web = server.get("/api/v1/resources/web").json
    text = gsq.ok("get", "web", "-o", "yaml")
    assert yaml.safe_load(text) == {
        "apiVersion": "gitops-squared.io/v1alpha1", "kind": "PlatformResource",
        "metadata": {"name": "web", "namespace": "default", "labels": {"team": "shop"}, "annotations": {
            "gitops-squared.io/digest": web["digest"], "gitops-squared.io/pushed-at": web["updatedAt"],
            "gitops-squared.io/version": web["version"]}},
        "spec": web["spec"], "status": web["status"]}
    assert json.loads(gsq.ok("get", "web", "-o", "json")) == yaml.safe_load(text)


@pytest.mark.parametrize("args", [(), ("web", "db"), ("-A",), ("-n", "empty")])
def test_several_are_a_list_of_kubernetes(gsq, args):
    text = gsq.ok("get", *args, "-o", "yaml")
    found = yaml.safe_load(text)
    assert (found["apiVersion"], found["kind"]) == ("v1", "List")
    assert found == json.loads(gsq.ok("get", *args, "-o", "json"))
    assert [item["metadata"]["name"] for item in found["items"]] == {
        (): ["db", "web"], ("web", "db"): ["web", "db"], ("-A",): ["db", "web", "cart"], ("-n", "empty"): []}[args]


def test_strings_that_yaml_would_take_for_something_else_stay_strings(gsq, server):
    labels = {"a": "yes", "b": "1e3", "c": "null", "d": ""}
    declare(server, "odd", "shop", labels=labels, region="#1: \"é\" \\ 'x'")
    found = yaml.safe_load(gsq.ok("get", "odd", "-n", "shop", "-o", "yaml"))
    remove(server, "odd", "shop")
    assert (found["metadata"]["labels"], found["spec"]["region"]) == (labels, "#1: \"é\" \\ 'x'")


@pytest.mark.parametrize("output", ["yaml", "json"])
@pytest.mark.parametrize("args", [("web",), ("-A",)])
def test_what_is_shown_can_be_applied_again_and_changes_nothing(gsq, server, args, output):
    before = gsq.ok("get", *args, "-o", "json")
    applied = gsq.ok("apply", "-f", "-", input=gsq.ok("get", *args, "-o", output))
    assert applied and all(" unchanged" in line for line in applied.splitlines()), applied
    assert gsq.ok("get", *args, "-o", "json") == before


# ---- long lists ----

def test_of_a_long_list_every_row_is_shown_below_one_head(gsq, many):
    names = [row[0] for row in rows(gsq.ok("get", "-n", "many"))]
    assert names == ["NAME", *(f"r{i:04}" for i in range(MANY))]


def test_a_long_list_of_objects_is_one_list(gsq, many):
    assert len(json.loads(gsq.ok("get", "-n", "many", "-o", "json"))["items"]) == MANY


def test_a_closed_pipe_ends_it_quietly(gsq, many):
    for output in ("table", "yaml", "json", "name"):
        script = f'{{ "$0" get -n many -o {output}; echo "$?" >&2; }} | head -1'
        result = subprocess.run(["bash", "-c", script, binary()], env=gsq.env, capture_output=True, text=True,
                                timeout=60)
        assert len(result.stdout.splitlines()) == 1
        assert result.stderr in ("141\n", "0\n")  # whether it had written all before


# ---- watching ----

def test_watching_shows_all_then_what_changes_until_ctrl_c(gsq, server):
    declare(server, "first", "moving")
    with gsq.start("get", "-w", "-n", "moving") as watching:
        watching.wait_line("first", "small")
        declare(server, "second", "moving")
        watching.wait_line("second", "small")
        declare(server, "second", "moving", size="large")
        watching.wait_line("second", "large")
        remove(server, "first", "moving")
        watching.wait_line("first", "deleted")
        watching.send(signal.SIGINT)
        assert watching.end() == 130
    remove(server, "second", "moving")


def test_watching_by_labels_leaves_the_others_away(gsq, server):
    with gsq.start("get", "-w", "-n", "moving", "-l", "team=a", "-o", "name") as watching:
        wait_for_stream(server)
        declare(server, "other", "moving", labels={"team": "b"})
        declare(server, "own", "moving", labels={"team": "a"})
        watching.wait_line("platformresource/own")
        assert set(watching.lines) == {"platformresource/own"}


def wait_for_stream(server):
    wait_until(lambda: server.metric("gsq_api_watchers") > 0, "a stream to be open")


# ---- a server that is not there ----

def test_a_server_that_does_not_answer_is_named_with_what_to_try():
    port = free_port()
    result = Cli(f"http://127.0.0.1:{port}").run("get")
    assert (result.returncode, result.stdout) == (1, "")
    assert f"127.0.0.1:{port}" in result.stderr and "--server" in result.stderr
