# SPDX-License-Identifier: Apache-2.0
"""The command line: help, flags and their environment variables, start and stop."""
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from tests.lib.gsq import Gsq, binary
from tests.lib.oci import Oci
from tests.lib.process import Process, free_port, port_answers
from tests.lib.wait import wait_until
from tests.system.resources import declare, intent, listed, not_ready_reason, path

FLAGS = {
    "--listen": "LISTEN_ADDR",
    "--registry": "REGISTRY_HOST",
    "--registry-listen": "REGISTRY_LISTEN",
    "--data-dir": "DATA_DIR",
    "--init": "GSQ_INIT",
    "--namespaces": "NAMESPACES",
    "--gc-interval": "GC_INTERVAL",
    "--gc-grace": "GC_GRACE",
    "--kubeconfig": "KUBECONFIG",
    "--kube-context": "KUBE_CONTEXT",
    "--in-cluster": "IN_CLUSTER",
    "--quarantine": "QUARANTINE",
    "--hold": "GSQ_HOLD",
    "--trust-registry": "TRUST_REGISTRY",
}


def run(*args):
    environment = {key: value for key, value in os.environ.items() if key not in FLAGS.values()}
    return subprocess.run([binary(), *args], env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("args", [("--help",), ("-h",), ("help",)])
def test_help_lists_the_verbs(args):
    result = run(*args)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: gsq")
    for verb in ("serve", "registry", "rebuild", "version"):
        assert re.search(rf"^  {verb}  ", result.stdout, re.M)


def test_help_of_serve_lists_every_flag_with_its_variable_and_default():
    result = run("serve", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    for flag, variable in FLAGS.items():
        assert re.search(rf"^  {flag}\b.*\({variable}\)", result.stdout, re.M), flag
    for initial in (":8080", ":5000", "default", "1h"):
        assert f"default {initial}" in result.stdout


@pytest.mark.parametrize("verb", ["registry", "rebuild", "version"])
def test_each_verb_has_help(verb):
    result = run(verb, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith(f"Usage: gsq {verb}")


@pytest.mark.parametrize("args", [("version",), ("--version",)])
def test_version(args):
    result = run(*args)
    assert result.returncode == 0
    assert re.fullmatch(r"gsq \d+\.\d+\.\d+\n", result.stdout)


@pytest.mark.parametrize("args, said", [
    ((), "Usage"),
    (("sevre",), "sevre"),
    (("serve", "--lisen", ":1"), "--lisen"),
    (("serve", "--listen"), "--listen"),
    (("serve", "extra"), "extra"),
    (("serve", "--init=yes"), "--init"),
    (("version", "--long"), "--long"),
    (("rebuild", "--init"), "--init"),
])
def test_wrong_usage_exits_with_2_and_a_hint(args, said):
    result = run(*args)
    assert result.returncode == 2
    assert result.stdout == ""
    assert said in result.stderr and "--help" in result.stderr


@pytest.mark.parametrize("args, said", [
    (("--listen", "nonsense"), "nonsense"),
    (("--listen", "127.0.0.1:99999"), "99999"),
    (("--registry-listen", "127.0.0.1:http-ish"), "http-ish"),
    (("--namespaces", "default,Bad_Name"), "Bad_Name"),
    (("--namespaces", "default,,other"), "namespaces"),
    (("--registry", "ftp://example.com"), "registry's address"),
    (("--registry", "https://"), "registry's address"),
    (("--data-dir", "/dev/null/data"), "/dev/null"),
    (("--gc-interval", "10"), "--gc-interval"),
    (("--gc-grace", "soon"), "--gc-grace"),
    (("--kubeconfig", "/nowhere/config"), "/nowhere/config"),
    (("--kubeconfig", "/dev/null"), "--kubeconfig"),
    (("--kubeconfig", "/nowhere/config", "--in-cluster"), "give one of them"),
    (("--kube-context", "here"), "goes with --kubeconfig"),
    (("--in-cluster",), "--in-cluster"),
    (("--quarantine",), "--quarantine goes with"),
    (("--trust-registry",), "--trust-registry goes with"),
])
def test_a_wrong_value_ends_it_with_an_error_that_says_which(tmp_path, args, said):
    good = ("--listen", f"127.0.0.1:{free_port()}", "--registry-listen", f"127.0.0.1:{free_port()}",
            "--data-dir", tmp_path / "data")
    result = run("serve", *good, *args)
    assert result.returncode in (1, 2), result.stderr
    assert said in result.stderr, result.stderr


# ---- options ----

@pytest.mark.parametrize("args", [
    ("-n", "shop"), ("-nshop",), ("-n=shop",), ("--namespace", "shop"), ("--namespace=shop",)])
def test_an_option_may_be_given_in_any_form(gsq, args):
    result = run("get", *args, "--server", f"http://127.0.0.1:{gsq.port}", "web")
    assert result.returncode == 1
    assert "shop" in result.stderr


def test_options_may_stand_anywhere_also_before_the_verb(gsq):
    server = f"http://127.0.0.1:{gsq.port}"
    for args in (("get", "web", "-n", "shop", "--server", server), ("-n", "shop", "--server", server, "get", "web"),
                 (f"--server={server}", "-nshop", "get", "web")):
        result = run(*args)
        assert result.returncode == 1
        assert "shop" in result.stderr


def test_after_two_dashes_everything_is_an_argument():
    result = run("token", "create", "--", "--role")
    assert "--role is missing" in result.stderr
    assert "unexpected argument -x" in run("token", "list", "--", "-x").stderr


def test_a_dash_alone_is_an_argument():
    assert "unexpected argument -\n" in run("version", "-").stderr


@pytest.mark.parametrize("args, said", [
    (("gte",), "unknown verb gte; did you mean get?"),
    (("describe",), "unknown verb describe; did you mean status?"),
    (("token", "revok"), "unknown verb revok; did you mean revoke?"),
    (("help", "tokn"), "unknown verb tokn; did you mean token?"),
    (("freeze", "--raeson", "x"), "unknown option --raeson; did you mean --reason?"),
    (("repartition", "--layout", "splt"), '--layout: "splt" is not one of single and split; did you mean split?'),
    (("token", "create", "ci", "--role", "editr"), "did you mean editor?"),
    (("version", "-x"), "unknown option -x"),
    (("rollback", "web", "--revision", "v1"), "unknown option --revision; did you mean --to?"),
    (("rollback", "web", "--to-revision=3"), "unknown option --to-revision; did you mean --to?"),
    (("apply", "-f", "x.yaml", "--dry-run=server"), "--dry-run takes no value: say --dry-run"),
    (("apply", "x.yaml"), "unexpected argument x.yaml: files are given as -f x.yaml"),
    (("history", ""), "a name is empty"),
    (("delete", "web", ""), "a name is empty"),
    (("history", "web", "--limit", "0"), "--limit must be a number of 1 or more"),
    (("log", "--limit", "0"), "--limit must be a number of 1 or more"),
    (("freeze", "-n"), "-n needs a value: NAMESPACE"),
    (("context", "use"), "CONTEXT is missing"),
    (("context", "use", "a", "b"), "unexpected argument b"),
])
def test_a_mistake_is_said_with_what_was_meant(args, said):
    result = run(*args)
    assert result.returncode == 2
    assert result.stdout == ""
    assert said in result.stderr, result.stderr
    assert "--help" in result.stderr


def test_a_word_that_is_near_to_nothing_gets_no_suggestion():
    assert "did you mean" not in run("xylophone").stderr


# ---- help ----

def test_the_main_help_has_the_verbs_in_groups():
    headings = re.findall(r"^([A-Z].*):$", run("--help").stdout, re.M)
    assert headings == ["Resources", "Running the server", "The program itself"]


def test_help_has_letters_and_examples():
    shown = run("freeze", "--help").stdout
    assert re.search(r"^  -n, --namespace NAMESPACE \(GSQ_NAMESPACE\)$", shown, re.M)
    assert "\nExamples:\n  gsq freeze --reason " in shown


def test_help_says_what_an_option_may_be():
    shown = " ".join(run("get", "--help").stdout.split())
    assert "; one of table, wide, yaml, json and name; default table" in shown
    assert " ".join(run("import-original", "--help").stdout.split()).count("several times") == 1


def test_which_server_it_is_comes_last_in_the_help():
    shown = run("get", "--help").stdout
    own, connection = shown.split("\nConnection:\n")
    assert "--selector" in own and "--server" not in own
    connection = connection.split("\nExamples:\n")[0]
    assert re.findall(r"^  (?:-\w, )?--([a-z-]+)", connection, re.M) == [
        "namespace", "context", "server", "bearer-file", "server-ca", "insecure"]
    assert "Connection" not in run("serve", "--help").stdout


def test_help_with_a_verb_is_the_verbs_help():
    assert run("help", "token", "create").stdout == run("token", "create", "--help").stdout


def test_a_group_that_runs_lists_its_verbs_too():
    shown = run("context", "--help").stdout
    assert re.search(r"^  use +Make", shown, re.M) and "--output" in shown


def test_as_a_plugin_of_kubectl_it_is_called_so(tmp_path):
    plugin = tmp_path / "kubectl-intent"
    plugin.symlink_to(os.path.abspath(binary()))
    result = subprocess.run([plugin, "freeze", "--help"], capture_output=True, text=True, timeout=60)
    assert result.stdout.startswith("Usage: kubectl intent freeze ")
    assert "\n  kubectl intent freeze --reason " in result.stdout and "  gsq " not in result.stdout
    result = subprocess.run([plugin, "gte"], capture_output=True, text=True, timeout=60)
    assert result.stderr == "kubectl intent: unknown verb gte; did you mean get?\nSee kubectl intent --help.\n"


# ---- the environment ----

def start_by_environment(folder, env, args=()):
    return Process("gsq", [binary(), "serve", *args], folder / "gsq.log", env)


def test_a_context_for_other_programs_ends_nothing(tmp_path):
    """KUBE_CONTEXT without a KUBECONFIG; the flag --kube-context would be an error."""
    with Gsq(tmp_path / "gsq", env={"KUBE_CONTEXT": "here"}) as server:
        assert declare(server, "web")


def test_each_flag_is_an_environment_variable_too(tmp_path):
    port, registry_port = free_port(), free_port()
    process = start_by_environment(tmp_path, {
        "LISTEN_ADDR": f"127.0.0.1:{port}", "REGISTRY_LISTEN": f"127.0.0.1:{registry_port}",
        "DATA_DIR": str(tmp_path / "somewhere"), "GSQ_INIT": "1", "NAMESPACES": "team-a,team-b",
        "GSQ_ANONYMOUS": "write"})
    process.wait_for_url(f"http://127.0.0.1:{port}/readyz")
    server = Gsq(tmp_path)
    server.port = port
    assert declare(server, "web", "team-b")
    assert server.post(path(), intent("web")).status == 422
    assert (tmp_path / "somewhere").is_dir()
    assert "gitops-squared/resources/team-b/web" in Oci(f"127.0.0.1:{registry_port}").repositories()
    assert process.stop() == 0


def test_the_registry_is_an_environment_variable_too(tmp_path, distribution):
    port = free_port()
    process = start_by_environment(tmp_path, {
        "LISTEN_ADDR": f"127.0.0.1:{port}", "REGISTRY_HOST": distribution.host, "GSQ_INIT": "true",
        "DATA_DIR": str(tmp_path / "tokens")})
    process.wait_for_url(f"http://127.0.0.1:{port}/readyz")
    assert "gitops-squared/commits" in Oci(distribution.host).repositories()
    assert process.stop() == 0


@pytest.mark.parametrize("value", ["0", "false", ""])
def test_a_switch_may_be_off_in_the_environment(tmp_path, value):
    server = Gsq(tmp_path / "gsq", init=False, env={"GSQ_INIT": value}).start(wait="/healthz")
    assert "--init" in not_ready_reason(server)
    server.stop()


def test_a_flag_is_stronger_than_the_environment(tmp_path):
    with Gsq(tmp_path / "gsq", env={"LISTEN_ADDR": "127.0.0.1:1", "NAMESPACES": "elsewhere",
                                    "DATA_DIR": "/dev/null/data"}) as server:
        assert declare(server, "web")


def test_a_path_prefix_keeps_two_stores_apart_in_one_registry(tmp_path, distribution):
    with Gsq(tmp_path / "one", registry=f"http://{distribution.host}/acme/one") as one, \
            Gsq(tmp_path / "two", registry=f"http://{distribution.host}/acme/two") as two:
        declare(one, "web")
        declare(two, "app-db")
        assert (list(listed(one)), list(listed(two))) == (["web"], ["app-db"])
    assert {"acme/one/gitops-squared/catalog", "acme/two/gitops-squared/catalog"} <= set(
        Oci(distribution.host).repositories())


# ---- start ----

def test_a_taken_port_is_a_clear_error(tmp_path):
    for flag in ("--listen", "--registry-listen"):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            server = Gsq(tmp_path / flag, args=(flag, address)).start(wait=None)
            assert server.process.wait() == 1
            said = server.log().splitlines()[-1]
            assert address in said and "taken" in said, said


def test_a_second_server_on_the_same_port_is_refused(gsq, tmp_path):
    second = Gsq(tmp_path / "second", args=("--listen", f"127.0.0.1:{gsq.port}")).start(wait=None)
    assert second.process.wait() == 1
    assert gsq.get("/readyz").status == 200


def test_a_server_that_could_not_listen_starts_once_it_can(store):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = store.server(args=("--listen", f"127.0.0.1:{taken.getsockname()[1]}")).start(wait=None)
        assert server.process.wait() == 1
    with store.server() as server:
        assert listed(server) == {}
        assert declare(server, "web")


def test_the_api_answers_only_once_the_registry_does(tmp_path):
    server = Gsq(tmp_path / "gsq").start(wait="/healthz")
    assert port_answers(server.registry_port)
    log = server.log()
    assert log.index("registry listens") < log.index("api listens")
    server.stop()


# ---- stop ----

class HalfSent:
    """A request whose last byte is still to come."""

    def __init__(self, server, body):
        self._body = json.dumps(body).encode()
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self._socket.sendall(
            b"POST /api/v1/resources HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(self._body))
        # So the server has begun with it.
        assert self._socket.recv(1024).startswith(b"HTTP/1.1 100 ")
        self._socket.sendall(self._body[:-1])

    def finish(self):
        """Everything that the server answers until it closes."""
        answer = b""
        with self._socket:
            self._socket.sendall(self._body[-1:])
            while chunk := self._socket.recv(4096):
                answer += chunk
        return answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_exits_with_0(store, number):
    server = store.server().start()
    kept = socket.create_connection(("127.0.0.1", server.port))
    request = HalfSent(server, intent("last"))
    os.kill(server.process.pid, number)
    wait_until(lambda: not port_answers(server.port), "the server to take no more connections")
    assert server.process.running()
    answer = request.finish()
    assert answer.startswith(b"HTTP/1.1 201 "), answer
    assert server.process.wait() == 0
    assert kept.recv(1) == b""
    kept.close()
    server.start()
    assert list(listed(server)) == ["last"]


def test_a_signal_before_it_is_ready_ends_it_too(tmp_path):
    server = Gsq(tmp_path / "gsq", registry=f"127.0.0.1:{free_port()}").start(wait="/healthz")
    assert not_ready_reason(server)
    server.stop()


def test_a_signal_while_it_starts_ends_it_too(tmp_path):
    for i in range(10):
        server = Gsq(tmp_path / f"gsq-{i}").start(wait=None)
        wait_until(lambda: "gsq" in os.readlink(f"/proc/{server.process.pid}/exe"), "setpriv to become gsq")
        assert server.process.stop() in (0, -signal.SIGTERM)
