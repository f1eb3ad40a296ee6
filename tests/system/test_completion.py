# SPDX-License-Identifier: Apache-2.0
"""gsq completion: what Tab offers in bash, zsh and fish."""
import os
import re
import shutil
import subprocess

import pytest

from tests.lib.gsq import Gsq, binary
from tests.lib.process import free_port
from tests.lib.terminal import Terminal
from tests.system.resources import declare
from tests.system.revisions import history, revisions

SHELLS = ["bash", "zsh", "fish"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With gsq by its name, and a few files."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "gsq").symlink_to(os.path.abspath(binary()))
    (folder / "ca.pem").touch()
    return folder


def environment(folder, **more):
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder), "TERM": "xterm", **more}


def words(*typed, **env):
    """What the scripts are answered: candidates without what they mean."""
    result = subprocess.run([binary(), "completion", "words", "--", *typed], env={**os.environ, **env},
                            capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    return [line.partition("\t")[0] for line in result.stdout.splitlines()]


# ---- the answers ----

def test_verbs_are_completed():
    assert {"get", "apply", "serve", "help"} <= set(words(""))
    assert words("repar") == ["repartition"]
    assert words("token", "") == ["create", "list", "revoke"]
    assert words("help", "tok") == ["token"]
    assert words("token", "create", "na") == []


def test_a_verb_is_completed_after_options_too():
    assert words("-n", "shop", "--server=http://x", "repar") == ["repartition"]


def test_flags_are_completed_those_left():
    assert words("freeze", "--r") == ["--reason"]
    assert words("freeze", "--reason", "x", "--r") == []
    assert "--help" in words("version", "-")


def test_values_are_completed_in_both_forms():
    assert words("token", "create", "--role", "") == ["viewer", "editor", "admin", "puller"]
    assert words("token", "create", "--role=e") == ["--role=editor"]
    assert words("freeze", "--reason", "") == []


def test_files_are_left_to_the_shell():
    assert words("thaw", "--server-ca", "") == [":files"]
    assert words("thaw", "--server-ca=c") == [":files"]
    assert words("registry", "backup", "") == [":files"]


def test_nothing_is_an_option_after_two_dashes():
    assert words("token", "create", "--", "--r") == []


def test_names_of_resources_are_completed_of_the_namespace_that_is_named(tmp_path):
    with Gsq(tmp_path / "gsq", namespaces=("default", "team-a")) as server:
        declare(server, "web")
        declare(server, "worker")
        declare(server, "db", "team-a")
        url = f"http://127.0.0.1:{server.port}"
        assert words("get", "--server", url, "w") == ["web", "worker"]
        assert words("get", "--server", url, "web", "wo") == ["worker"]
        assert words("get", "-n", "team-a", "", GSQ_SERVER=url) == ["db"]


def test_namespaces_versions_and_revisions_are_completed_of_the_server(tmp_path):
    with Gsq(tmp_path / "gsq", namespaces=("default", "shop")) as server:
        env = {"GSQ_SERVER": f"http://127.0.0.1:{server.port}"}
        for size in ("small", "large"):
            declare(server, "web", "shop", size=size)
        declare(server, "db")
        versions = [entry["version"] for entry in history(server, "web", "shop")]
        tags = [entry["revision"] for entry in revisions(server, "shop")]
        assert words("get", "-n", "", **env) == ["default", "shop"]
        assert words("get", "--namespace=s", **env) == ["--namespace=shop"]
        assert words("rollback", "web", "-n", "shop", "--to", "", **env) == versions
        assert words("rollback", "-n", "shop", "--to", "c", **env) == tags
        assert words("log", "-n", "shop", "", **env) == tags
        assert words("diff", "-n", "shop", "", **env) == tags
        assert words("diff", "-n", "shop", f"{tags[1]}..", **env) == [f"{tags[1]}..{tag}" for tag in tags]
        assert words("export", "-n", "shop", "--revision", "", **env) == tags


def test_contexts_are_completed(tmp_path):
    config = tmp_path / "config.json"
    config.write_text('{"contexts":[{"name":"prod","server":"https://a"},{"name":"test","server":"https://b"}]}',
                      encoding="utf-8")
    config.chmod(0o600)
    assert words("context", "use", "p", GSQ_CONFIG=str(config)) == ["prod"]
    assert words("thaw", "--context", "", GSQ_CONFIG=str(config)) == ["prod", "test"]


def test_kubectl_is_answered_for_its_plugin(tmp_path):
    plugin = tmp_path / "kubectl_complete-intent"
    plugin.symlink_to(os.path.abspath(binary()))

    def answer(*typed):
        return subprocess.run([plugin, *typed], capture_output=True, text=True, timeout=60, check=True).stdout
    assert answer("token", "cr") == "create\tMake an API token and print its secret\n:4\n"
    assert answer("thaw", "--server-ca", "") == ":0\n"


def test_it_is_silent_where_nothing_can_be_known(tmp_path):
    assert words("get", "--server", f"http://127.0.0.1:{free_port()}", "") == []
    assert words("get", "--nonsense", "") == []
    damaged = tmp_path / "config.json"
    damaged.write_text("{", encoding="utf-8")
    damaged.chmod(0o600)
    assert words("get", "", GSQ_CONFIG=str(damaged)) == []


# ---- the shells ----

BEGIN = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source <(gsq completion bash)"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u; source <(gsq completion zsh)"),
    "fish": (["fish", "--no-config", "-i"], "gsq completion fish | source"),
}


class Shell(Terminal):
    """It has read the script, and waits."""

    def __init__(self, name, folder):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
        command, script = BEGIN[name]
        super().__init__(command, env=environment(folder, PS1="% "), columns=200)
        self.type(f"{script}; cd {folder}; echo read'y'\n")
        self.wait_for(lambda shown: "ready" in shown)


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_verbs_flags_and_values(name, folder):
    with Shell(name, folder) as shell:
        shell.type("gsq tok\tcre\t--ro\tvi\t --data-dir nowhere ci\n")
        shell.wait_for(lambda shown: "gsq token create: --namespace is missing" in shown)
        shell.type("gsq vers\t\n")
        shell.wait_for(lambda shown: re.search(r"gsq \d+\.\d+\.\d+", shown))


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_files(name, folder):
    with Shell(name, folder) as shell:
        shell.type("gsq thaw --server-ca ca\t --context none\n")
        shell.wait_for(lambda shown: "ca.pem" in shown and "--context: there is no context" in shown)


def in_bash(line, folder):
    """COMPREPLY of that line with the cursor at its end."""
    script = ('source <(gsq completion bash); compopt() { :; }; COMP_LINE=$1; COMP_POINT=${#1}; _gsq gsq; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    result = subprocess.run(["bash", "-c", script, "bash", line], env=environment(folder), cwd=folder,
                            capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.split()


def test_bash_gets_of_a_word_what_it_takes_for_a_word(folder):
    assert in_bash("gsq token create --role=e", folder) == ["editor"]
    assert in_bash("gsq token create --role=", folder) == ["viewer", "editor", "admin", "puller"]
    assert in_bash("gsq thaw --server-ca=ca", folder) == ["ca.pem"]
    assert in_bash("gsq repar", folder) == ["repartition"]


@pytest.mark.parametrize("name", SHELLS)
def test_the_script_has_no_mistake_that_the_shell_sees(name):
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    script = subprocess.run([binary(), "completion", name], capture_output=True, timeout=60, check=True).stdout
    result = subprocess.run([name, "-n"], input=script, capture_output=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, b"")


def test_shellcheck_has_nothing_to_say_of_the_script_for_bash(folder):
    script = subprocess.run([binary(), "completion", "bash"], capture_output=True, timeout=60, check=True).stdout
    result = subprocess.run(["shellcheck", "--shell=bash", "-"], input=script, capture_output=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, b"")


def test_another_shell_is_an_error_that_names_those_there_are():
    result = subprocess.run([binary(), "completion", "tcsh"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "unknown verb tcsh" in result.stderr
