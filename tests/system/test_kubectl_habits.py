# SPDX-License-Identifier: Apache-2.0
"""docs/KUBECTL.md: each of its commands is run, and does what is said there; gsq as a plugin of the real kubectl."""
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.conftest import tools_or_skip
from tests.lib.gsq import Gsq, binary
from tests.lib.tokens import create_token
from tests.lib.tools import tool
from tests.lib.wait import DEADLINE_S, wait_until
from tests.system.resources import declare
from tests.system.revisions import everything, history, revisions
from tests.system.stub_kube import in_cluster

PAGE = Path(__file__).resolve().parents[2] / "docs" / "KUBECTL.md"
DIFFERENT = 1
GO_ON = ("gsq get -w", "gsq watch")
SHOP = """name: web
labels: {team: shop}
spec: {type: vm, size: large}
---
name: db
labels: {team: shop}
spec: {type: database, size: small}
"""


def rows():
    """(habit, command) of all tables of the page."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 3 and cells[1] != "with gsq" and not cells[1].startswith("---"):
            assert re.fullmatch(r"`[^`]+`", cells[1]), f"one command, in one pair of backquotes: {line}"
            found.append((cells[0].strip("`"), cells[1].strip("`")))
    return found


class Flux:
    """Shows in the cluster what is current in the server, over and over."""

    def __init__(self, server, kube):
        self._server, self._kube, self._shown = server, kube, {}
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join(DEADLINE_S)

    def _run(self):
        while not self._ends.wait(0.05):
            listed = self._server.get("/api/v1/resources?namespace=*").json["resources"]
            current = {(item["namespace"], item["name"]): item["version"] for item in listed}
            for key in self._shown.keys() - current.keys():
                self._kube.show("DELETED", in_cluster(key[1], self._shown[key], key[0]))
            for key, version in current.items():
                if self._shown.get(key) != version:
                    self._kube.show("MODIFIED" if key in self._shown else "ADDED", in_cluster(key[1], version, key[0]))
            self._shown = current


@pytest.fixture
def server(tmp_path, kube):
    server = Gsq(tmp_path / "gsq", namespaces=("default", "shop"), kubeconfig=kube.kubeconfig)
    server.secret = create_token(server, "me", "admin", "*")
    with server:
        wait_until(lambda: server.metric("gsq_cluster_watch_up") == 1, "the cluster to be heard")
        for size in ("small", "medium"):
            declare(server, "web", labels={"team": "shop"}, size=size, replicas=2)
            declare(server, "db", type="database")
        declare(server, "web", "shop")
        yield server


@pytest.fixture
def shell(tmp_path, server):
    """The environment of somebody who has gsq, kubectl and kubectl-intent, a context and some files."""
    folder = tmp_path / "home"
    (folder / "bin").mkdir(parents=True)
    for name in ("gsq", "kubectl-intent"):
        (folder / "bin" / name).symlink_to(Path(binary()).resolve())
    (folder / "shop").mkdir()
    (folder / "shop" / "shop.yaml").write_text(SHOP)
    (folder / "shop.yaml").write_text(SHOP)
    (folder / "overlay").mkdir()
    (folder / "overlay" / "web.yaml").write_text(
        "apiVersion: gitops-squared.io/v1alpha1\nkind: PlatformResource\nmetadata: {name: web}\n"
        "spec: {type: vm, size: small}\n")
    (folder / "overlay" / "kustomization.yaml").write_text("resources: [web.yaml]\nnamespace: shop\n")
    (folder / "token").write_text(f"{server.secret}\n")
    url = f"http://127.0.0.1:{server.port}"
    config = folder / "config.json"
    config.write_text(json.dumps({"current": "home", "contexts": [
        {"name": name, "server": url} for name in ("home", "other")]}))
    config.chmod(0o600)
    found = revisions(server)
    return {**os.environ, "HOME": str(folder), "PATH": f"{folder}/bin:{os.environ['PATH']}", "GSQ_CONFIG": str(config),
            "SERVER": url, "VERSION": history(server, "web")[-1]["version"], "COMMIT": found[-2]["revision"],
            "NEWEST": found[0]["revision"], "EDITOR": "sed -i s/medium/large/", "COLUMNS": "200"}


def run(command, shell):
    return subprocess.run(["bash", "-o", "pipefail", "-c", command], env=shell, cwd=shell["HOME"], capture_output=True,
                          text=True, timeout=DEADLINE_S, stdin=subprocess.DEVNULL)


def end_by_ctrl_c(command, shell, server):
    """What it says first while something changes, and its status when it is interrupted then."""
    with subprocess.Popen(["bash", "-c", f"exec {command}"], env=shell, cwd=shell["HOME"], text=True,
                          stdout=subprocess.PIPE) as process:
        wait_until(lambda: server.metric("gsq_api_watchers") > 0, "it to watch")
        declare(server, "new")
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        return line, process.wait(DEADLINE_S)


# ---- the page ----

@pytest.mark.parametrize("command", dict.fromkeys(command for _, command in rows()))
def test_the_command_works(command, shell, server, kube):
    with tools_or_skip():
        if command.startswith("kubectl"):
            shell["PATH"] = f"{Path(tool('kubectl')).parent}:{shell['PATH']}"
    if command in GO_ON:
        line, status = end_by_ctrl_c(command, shell, server)
        assert line and status == 130
        return
    with Flux(server, kube):
        done = run(command, shell)
    assert done.returncode == (DIFFERENT if command.startswith("gsq diff") else 0), done.stderr + done.stdout
    assert done.stdout or done.stderr


def test_the_page_has_the_habits_that_people_have():
    habits = " ".join(habit for habit, _ in rows())
    for word in ("get", "get vm -o wide", "get vm -w", "apply -f", "apply -k", "delete -f", "diff -f", "edit",
                 "rollout undo", "rollout history", "rollout status", "get-contexts", "use-context", "auth can-i",
                 "explain", "version",
                 "describe", "scale", "wait", "completion", "git log", "git diff", "git revert", "git show"):
        assert word in habits, word


def test_every_verb_for_resources_is_on_the_page():
    commands = " ".join(command for _, command in rows())
    text = subprocess.run([binary(), "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    verbs = re.findall(r"^  ([a-z-]+) ", text.partition("Resources:")[2].partition("Running the server:")[0], re.M)
    assert "get" in verbs and "doctor" in verbs
    for verb in verbs:
        assert re.search(rf"gsq( -n shop| --context home)? {verb}\b", commands), verb


@pytest.mark.parametrize("habit, meant", [
    ("list", "get"), ("describe", "status"), ("create", "apply"), ("replace", "apply"), ("rollout", "rollback"),
    ("config", "context"), ("applyy", "apply"), ("show", "get"), ("wait", "status")])
def test_a_verb_of_kubectl_or_git_that_it_does_not_have_leads_to_the_one_that_is_meant(habit, meant):
    done = subprocess.run([binary(), habit], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and f"did you mean {meant}?" in done.stderr


@pytest.mark.parametrize("words", ["get vm", "get platformresources", "get pr web", "history vm"])
def test_a_kind_before_the_name_is_said_to_be_left_away(words, shell, server):
    done = run(f"gsq {words}", shell)
    assert done.returncode != 0 and "by their names alone, without a kind" in done.stderr + done.stdout, done


def test_going_back_does_what_the_page_says(shell, server, kube):
    state = everything(server)
    with Flux(server, kube):
        assert run("gsq delete web db --wait", shell).returncode == 0
        assert run("gsq rollback --to $NEWEST", shell).returncode == 0
        assert everything(server) == state
        assert run("gsq rollback web --to $VERSION", shell).returncode == 0
    assert everything(server)["default", "web"][0]["size"] == "small"


# ---- the plugin ----

@pytest.fixture
def kubectl(shell, tmp_path):
    with tools_or_skip():
        shell["PATH"] = f"{Path(tool('kubectl')).parent}:{shell['PATH']}"
    shell["KUBECONFIG"] = str(tmp_path / "none")
    return lambda words: run(f"kubectl {words}", shell)


def test_kubectl_has_it_as_a_plugin(kubectl, shell):
    assert "kubectl-intent" in kubectl("plugin list").stdout
    plugin, own = kubectl("intent get -o wide --no-headers"), run("gsq get -o wide --no-headers", shell)
    assert plugin.returncode == 0, plugin.stderr
    assert "web" in plugin.stdout and plugin.stdout.split()[0] == own.stdout.split()[0]


def test_the_plugin_changes_and_goes_back_too(kubectl, server):
    assert kubectl("intent apply -f shop.yaml").stdout.splitlines() == [
        "platformresource/web configured", "platformresource/db configured"]
    assert kubectl("intent diff -f shop.yaml").returncode == 0
    assert kubectl("intent rollback web").returncode == 0
    assert everything(server)["default", "web"][0]["size"] == "medium"


def test_the_plugin_calls_itself_as_it_is_called(kubectl):
    assert kubectl("intent get --help").stdout.startswith("Usage: kubectl intent get ")
    failed = kubectl("intent get nope")
    assert failed.returncode == 1 and failed.stderr.startswith("kubectl intent get: there is no resource nope")
