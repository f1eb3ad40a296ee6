# SPDX-License-Identifier: Apache-2.0
"""gsq status: what became of resources in the cluster, and waiting for it."""
import json
import re
import signal

import pytest
import yaml

from tests.lib.cli import Cli, cli_of
from tests.lib.gsq import Gsq
from tests.lib.wait import wait_until
from tests.system.resources import ANNOTATION_VERSION, declare
from tests.system.stub_api import StubApi
from tests.system.stub_kube import StubKube

MANY = 200  # so many that lists are asked, not each
MESSAGE = "admission webhook denied the request: replicas of the bucket must be 1, as buckets are not replicated here"


@pytest.fixture
def api():
    with StubApi() as api:
        yield api


@pytest.fixture
def gsq(api):
    return Cli(api.url)


def fields(text):
    """{head: text} of one resource; lines that go on are joined."""
    found = {}
    for line in text.splitlines():
        if match := re.match(r"(\w+): +(.*)", line):
            head, found[match[1]] = match[1], match[2]
        else:
            found[head] += " " + line.strip()
    return found


# ---- telling ----

def test_a_name_is_told_with_its_reason(gsq, api):
    api.set("web", "failed", "ReconciliationFailed", MESSAGE)
    told = fields(gsq.ok("status", "web"))
    assert (told["Name"], told["Phase"], told["Version"]) == ("default/web", "failed", "v1")
    assert (told["Reason"], told["Message"]) == ("ReconciliationFailed", MESSAGE)


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_long_messages_are_wrapped_at_the_terminal_between_words(gsq, api, columns):
    api.set("web", "failed", None, MESSAGE)
    shown = gsq.terminal("status", "web", columns=columns, env={"NO_COLOR": "1"}).output
    assert fields(shown)["Message"] == MESSAGE
    lines = shown[shown.index("Message:"):].splitlines()
    assert all(len(line) <= columns or " " not in line.strip() for line in lines), lines


def test_several_names_are_told_one_after_the_other_and_the_missing_one_is_an_error(gsq, api):
    for name in ("web", "db"):
        api.set(name, "applied")
    result = gsq.run("status", "web", "bd", "db")
    assert result.returncode == 1
    assert re.findall(r"Name: +(\S+)", result.stdout) == ["default/web", "default/db"]
    assert result.stderr == "gsq status: there is no resource bd in the namespace default; did you mean db?\n"


def test_without_a_name_phases_are_counted_and_the_failed_ones_told(gsq, api):
    for name, phase in (("a", "applied"), ("b", "applied"), ("c", "pending")):
        api.set(name, phase)
    api.set("d", "failed", "Quarantined", "it is held")
    head, _, columns, row = gsq.ok("status").splitlines()
    assert head == "4 resources: 2 applied, 1 pending, 1 failed"
    assert columns.split() == ["NAME", "SINCE", "REASON", "MESSAGE"]
    assert row.split()[0] == "d" and row.endswith("Quarantined  it is held")


def test_without_a_cluster_it_says_so_once(tmp_path):
    with Gsq(tmp_path / "gsq") as server:
        for name in ("a", "b"):
            declare(server, name)
        assert cli_of(server).ok("status").splitlines() == [
            "2 resources: 2 unknown",
            "Unknown:  No cluster is watched; give the server access to one, to know what becomes of resources."]


def test_nothing_there_is_no_error(gsq):
    result = gsq.run("status")
    assert (result.returncode, result.stdout, result.stderr) == (
        0, "", "No resources found in default namespace.\n")


@pytest.mark.parametrize("args, said", [
    (("web", "-A"), "--all-namespaces"), (("web", "-l", "a=b"), "--selector"),
    (("--wait", "--timeout", "5"), "--timeout"), (("--timeout", "5m"), "--timeout goes with --wait"),
    (("--wait", "-o", "json"), "give --wait or --output"), (("-o", "table"), "not one of text, json and yaml")])
def test_wrong_usage_exits_with_2(gsq, api, args, said):
    api.set("web", "applied")
    result = gsq.run("status", *args)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr


@pytest.mark.parametrize("read, output", [(json.loads, "json"), (yaml.safe_load, "yaml")])
def test_programs_get_a_list_with_the_status_of_each(tmp_path, read, output):
    with Gsq(tmp_path / "gsq", namespaces=("default", "shop")) as server:
        gsq = cli_of(server)
        assert read(gsq.ok("status", "-o", output)) == []
        versions = {name: declare(server, name)["version"] for name in ("db", "web")}
        declare(server, "web", "shop")
        found = read(gsq.ok("status", "-o", output))
        assert {item["name"]: item["version"] for item in found} == versions
        assert all(item["status"]["phase"] == "unknown" and item["status"]["message"] for item in found)
        assert read(gsq.ok("status", "web", "-o", output)) == found[1:]
        assert len(read(gsq.ok("status", "-A", "-o", output))) == 3
        assert gsq.run("status", "wbe", "-o", output).returncode == 1


# ---- waiting ----

def waits(api, asked=1):
    """Until the verb has opened its stream, and had so many answers after that."""
    def does():
        paths = [path for path, _ in api.requests]
        return "/api/v1/watch" in paths and len(paths) - paths.index("/api/v1/watch") > asked
    wait_until(does, "the verb to wait")


def test_what_is_applied_already_is_not_waited_for(gsq, api):
    api.set("web", "applied")
    assert gsq.ok("status", "web", "--wait") == "web is applied\n"


def test_waiting_ends_when_the_last_one_is_applied(gsq, api):
    for name in ("a", "b"):
        api.set(name, "pending")
    with gsq.start("status", "--wait") as waiting:
        waits(api, asked=2)
        api.set("b", "applied")
        api.set("a", "applied")
        assert waiting.end() == 0
        assert waiting.lines == ["all 2 are applied"]


def test_of_several_namespaces_each_is_named(gsq, api):
    api.set("web", "pending")
    api.set("web", "pending", namespace="shop")
    with gsq.start("status", "-A", "--wait") as waiting:
        waits(api, asked=2)
        api.set("web", "failed", "Blocked", namespace="shop")
        api.set("web", "applied")
        assert waiting.end() == 1
        assert waiting.errors == ["shop/web: failed, Blocked", "gsq status: 1 of 2 is done"]


def test_of_one_that_is_held_meanwhile_the_reason_is_asked_for(gsq, api):
    api.set("web", "pending")
    with gsq.start("status", "web", "--wait") as waiting:
        waits(api)
        api.set("web", "failed", "Quarantined", "it is held", told=False)
        api.tell("change", {"op": "held", "namespace": "default", "name": "web", "version": "v1", "phase": "failed"})
        assert waiting.end() == 1
        assert waiting.errors[0] == "web: failed, Quarantined: it is held"


def test_of_many_those_that_fail_are_told_with_the_reason(gsq, api):
    for i in range(MANY):
        api.set(f"r{i:03}", "applied" if i != 7 else "pending")
    with gsq.start("status", "--wait") as waiting:
        waits(api)
        api.set("r007", "failed", "ReconciliationFailed", MESSAGE)
        assert waiting.end() == 1
        assert waiting.errors == [f"r007: failed, ReconciliationFailed: {MESSAGE}",
                                  f"gsq status: {MANY - 1} of {MANY} are done"]


def test_what_had_failed_before_may_still_come_while_others_are_waited_for(gsq, api):
    api.set("a", "failed", "Blocked")
    api.set("b", "pending")
    with gsq.start("status", "--wait") as waiting:
        waits(api, asked=2)
        api.set("a", "applied")
        api.set("b", "applied")
        assert waiting.end() == 0


def test_when_the_time_is_over_it_says_which_are_missing(gsq, api):
    api.set("a", "applied")
    api.set("b", "pending", "Progressing", "Flux is at it")
    result = gsq.run("status", "--wait", "--timeout", "1s")
    assert (result.returncode, result.stdout) == (1, "")
    missing, end = result.stderr.splitlines()
    assert missing == "b: pending, Progressing: Flux is at it"
    assert end.startswith("gsq status: the time is over: 1 of 2 is done")


def test_what_is_deleted_meanwhile_is_told(gsq, api):
    api.set("web", "pending")
    with gsq.start("status", "web", "--wait") as waiting:
        waits(api)
        api.remove("web")
        assert waiting.end() == 1
        assert waiting.errors[0] == "web: was deleted meanwhile"


def test_ctrl_c_ends_a_wait_with_130_and_says_what_goes_on(gsq, api):
    api.set("web", "pending")
    with gsq.start("status", "--wait") as waiting:
        waits(api)
        waiting.send(signal.SIGINT)
        assert waiting.end() == 130
        assert "interrupted" in waiting.errors[0] and "0 of 1 are done" in waiting.errors[0]


def test_a_stream_that_breaks_is_opened_again_and_what_was_missed_is_asked_for(gsq, api):
    api.set("web", "pending")
    with gsq.start("status", "web", "--wait") as waiting:
        waits(api)
        api.set("web", "applied", told=False)
        api.break_streams()
        assert waiting.end() == 0
        assert waiting.lines == ["web is applied"]


def test_a_server_that_is_gone_is_tried_again_until_the_time_is_over(gsq, api):
    api.set("web", "pending")
    with gsq.start("status", "web", "--wait", "--timeout", "3s") as waiting:
        waits(api)
        api.stop()
        assert waiting.end() == 1
        assert "connecting again" in waiting.errors[0]
        assert "web: pending" in waiting.errors and "the time is over" in waiting.errors[-1]


def test_a_terminal_shows_a_bar_that_is_gone_in_the_end(gsq, api):
    api.set("a", "applied")
    api.set("b", "pending")
    shown = gsq.terminal("status", "--wait", "--timeout", "1s")
    assert shown.returncode == 1 and "1/2 applied" in shown.output


def test_without_a_cluster_there_is_nothing_to_wait_for(gsq, api):
    api.set("web", "unknown", "NoCluster", "No cluster is watched")
    result = gsq.run("status", "--wait", "--timeout", "0")
    assert result.returncode == 1
    assert "watches no cluster" in result.stderr


def test_a_real_server_tells_when_the_cluster_has_it(tmp_path):
    with StubKube(tmp_path) as kube, Gsq(tmp_path / "gsq", kubeconfig=kube.kubeconfig) as server:
        wait_until(lambda: server.metric("gsq_cluster_watch_up") == 1, "the cluster to be heard")
        web = declare(server, "web")
        with cli_of(server).start("status", "web", "--wait") as waiting:
            wait_until(lambda: server.metric("gsq_api_watchers") == 1, "it to wait")
            kube.show("ADDED", {"metadata": {
                "namespace": "default", "name": "web", "resourceVersion": "2",
                "annotations": {ANNOTATION_VERSION: web["version"]}}})
            assert waiting.end() == 0
        assert fields(cli_of(server).ok("status", "web"))["Phase"] == "applied"
