# SPDX-License-Identifier: Apache-2.0
"""gsq apply: what files say, in one change, or nothing of it."""
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.lib.cli import Cli, cli_of
from tests.lib.gsq import Gsq, binary
from tests.lib.oci import Oci
from tests.lib.process import free_port
from tests.lib.wait import wait_until
from tests.system.resources import declare, listed, remove
from tests.system.revisions import history, newest, revisions
from tests.system.stub_kube import in_cluster

MANY = 5000
MOST = 10000  # LIMIT_CHANGES
LINES = 9  # of one document
EARLY, LATER = 0.05, 0.3  # seconds until a server is killed


@pytest.fixture
def server(tmp_path):
    with Gsq(tmp_path / "gsq", namespaces=("default", "shop")) as server:
        yield server


@pytest.fixture
def gsq(server):
    return cli_of(server)


def document(name, namespace="default", size="small", labels=""):
    """Nine lines, as kubectl has them."""
    return (f"---\napiVersion: gitops-squared.io/v1alpha1\nkind: PlatformResource\nmetadata:\n  name: {name}\n"
            f"  namespace: {namespace}\n  labels: {{{labels}}}\nspec: {{type: vm,\n  size: {size}}}\n")


def documents(n, bad=None, **wrong):
    """n of them, that one with something else than the others."""
    return "".join(document(f"r{i:05}", **(wrong if i == bad else {})) for i in range(n))


def write(folder, text, name="shop.yaml"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def lines(*changes):
    return "".join(f"platformresource/{name} {what}\n" for name, what in changes)


# ---- what it does ----

def test_it_creates_configures_and_leaves_unchanged_in_one_change(gsq, server):
    declare(server, "db", type="database")
    declare(server, "web")
    told = gsq.ok("apply", "-f", "-", "--reason", "OPS-1217",
                  input='[{"name":"web","spec":{"type":"vm","size":"large"}},'
                  '{"name":"db","spec":{"type":"database","size":"small"}},'
                  '{"name":"new","spec":{"type":"bucket","size":"small"}}]')
    assert told == lines(("web", "configured"), ("db", "unchanged"), ("new", "created"))
    commit = revisions(server)[0]
    assert {change["name"]: change["operation"] for change in commit["changes"]} == {"web": "update", "new": "create"}
    assert commit["why"] == "OPS-1217"


def test_the_namespace_is_said_where_it_is_another(gsq, server, tmp_path):
    path = write(tmp_path, document("web") + document("web", "shop"))
    assert gsq.ok("apply", "-f", path) == lines(("web", "created"), ("web", "created in the namespace shop"))
    assert "web" in listed(server) and "web" in listed(server, "shop")


def test_the_namespace_option_holds_for_those_that_name_none(gsq, server):
    gsq.ok("apply", "-f", "-", "-n", "shop", input="name: web\nspec: {type: vm, size: small}\n")
    assert listed(server) == {} and "web" in listed(server, "shop")


def test_applied_again_nothing_changes(gsq, server, tmp_path):
    path = write(tmp_path, documents(3))
    gsq.ok("apply", "-f", path)
    before = newest(server)
    assert gsq.ok("apply", "-f", path) == lines(*((f"r0000{i}", "unchanged") for i in range(3)))
    assert newest(server) == before


def test_files_and_folders_and_theirs_are_one_change(gsq, server, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    write(tmp_path / "in", document("b"), "b.yml")
    write(tmp_path / "in" / "deep", document("c"), "c.yaml")
    single = write(tmp_path, document("a"), "a.yaml")
    gsq.ok("apply", "-f", single, "-f", tmp_path / "in", "-R")
    assert set(listed(server)) == {"a", "b", "c"}
    assert len([commit for commit in revisions(server) if commit["changes"]]) == 1


def test_a_dry_run_says_the_same_and_changes_nothing(gsq, server, tmp_path):
    declare(server, "r00000", size="large")
    path = write(tmp_path, documents(2))
    before = newest(server)
    assert gsq.ok("apply", "-f", path, "--dry-run") == lines(
        ("r00000", "configured (dry run)"), ("r00001", "created (dry run)"))
    assert newest(server) == before


def test_what_was_exported_goes_back_to_the_same_catalog(gsq, server, tmp_path):
    declare(server, "web", labels={"team": "shop"}, region="eu \"1\" é", replicas=3)
    declare(server, "db", "shop", type="database")
    gsq.ok("export", "-A", tmp_path / "out")
    oci = Oci(server.registry_host)
    before = oci.digest("gitops-squared/catalog", "latest")
    gsq.ok("apply", "-f", tmp_path / "out", "-R")
    gsq.ok("apply", "-f", "-", input=gsq.ok("export", "-A"))
    assert oci.digest("gitops-squared/catalog", "latest") == before


# ---- errors ----

def test_of_five_thousand_one_bad_item_is_named_with_its_file_and_line_and_nothing_is_committed(gsq, server, tmp_path):
    before, bad = newest(server), 4321
    path = write(tmp_path, documents(MANY, bad, size="smalll"))
    result = gsq.run("apply", "-f", path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (f"gsq apply: {path}:{LINES * bad + 2}: r0{bad}: "
                             'spec.size must be small, medium or large, not "smalll"\n')
    assert newest(server) == before and listed(server) == {}


def test_of_five_thousand_the_one_that_the_server_refuses_is_named_with_its_file_and_line_too(gsq, server, tmp_path):
    before, bad = newest(server), 4321
    path = write(tmp_path, documents(MANY, bad, namespace="shpo"))
    result = gsq.run("apply", "-f", path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"gsq apply: {path}:{LINES * bad + 2}: shpo/r0{bad}: namespace shpo is not known")
    assert "changes[" not in result.stderr
    assert newest(server) == before and listed(server) == {}
    write(tmp_path, documents(MANY))
    assert gsq.ok("apply", "-f", path).count(" created\n") == MANY
    assert len(listed(server)) == MANY


@pytest.mark.parametrize("text, said", [
    ("name: web\nspec: {type: vm, sizee: small}\n", ':1: web: unknown field spec.sizee; did you mean spec.size?'),
    ("name: web\nspec: {type: vmm, size: small}\n", ':1: web: spec.type must be vm, database or bucket, not "vmm"'),
    ("\n\nspec: {type: vm, size: small}\n", ":3: name is missing"),
    ("name: web\nspec: {type: vm, size: small\n", ":3:1: not YAML: "),
])
def test_errors_name_the_place_and_the_field_and_suggest(gsq, server, tmp_path, text, said):
    path = write(tmp_path, text)
    result = gsq.run("apply", "-f", path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"gsq apply: {path}{said}"), result.stderr
    assert listed(server) == {}


@pytest.mark.parametrize("args, said", [
    ((), "Give -f FILE"),
    (("-f", "-", "--prune"), "--prune needs --selector, or --all"),
    (("-f", "-", "--prune", "--all", "-l", "a=b"), "--prune needs --selector, or --all"),
    (("-f", "-", "--all"), "--all goes with --prune"),
    (("-f", "-", "-l", "a=b"), "--selector goes with --prune"),
    (("-f", "-", "--confirm", "purne"), "prune"),
    (("-f", "-", "--timeout", "1m"), "--timeout goes with --wait"),
    (("-f", "-", "--reason", "a\r\nX-Evil: b"), "--reason must be one line"),
    (("-f", "-", "--reason", "first\n\nrest"), "--reason must be one line of printable text: the first"),
    (("-f", "-", "--reason", "a\x1b[31m"), "--reason must be one line"),
    (("-f", "-", "--wait", "--timeout", "soon"), '"soon" is not a duration'),
    (("-f", "-", "--reason", "a\nX-Other: b"), "--reason must be one line"),
    (("-f", "-", "--reason", 1001 * "x"), "--reason may have 1000 bytes at most"),
])
def test_what_does_not_go_together_is_refused_before_anything_is_read(gsq, args, said):
    result = gsq.run("apply", *args)
    assert result.returncode == 2
    assert said in result.stderr and "See gsq apply --help." in result.stderr


def test_without_a_resource_there_is_nothing_to_apply(gsq):
    result = gsq.run("apply", "-f", "-", input="# nothing\n---\n")
    assert (result.returncode, result.stderr) == (1, "gsq apply: there is no resource in what was given\n")


def test_a_server_that_is_not_there_is_told_at_once_with_what_to_do(tmp_path):
    result = Cli(f"http://127.0.0.1:{free_port()}").run("apply", "-f", write(tmp_path, document("web")))
    assert result.returncode == 1
    assert "is it running" in result.stderr and "not known whether" not in result.stderr


# ---- pruning ----

def test_what_the_files_do_not_have_any_more_is_pruned_of_those_with_the_labels(gsq, server):
    for name, team in (("old", "shop"), ("web", "shop"), ("other", "data")):
        declare(server, name, labels={"team": team})
    told = gsq.ok("apply", "-f", "-", "--prune", "-l", "team=shop", input=document("web", labels="team: shop"))
    assert told == lines(("web", "unchanged"), ("old", "pruned"))
    assert set(listed(server)) == {"web", "other"}


def test_all_is_everything_in_the_namespaces_of_the_files_and_no_other(gsq, server):
    declare(server, "old")
    declare(server, "old", "shop")
    gsq.ok("apply", "-f", "-", "--prune", "--all", input=document("web"))
    assert set(listed(server)) == {"web"} and set(listed(server, "shop")) == {"old"}


def test_files_without_a_resource_prune_nothing(gsq, server):
    declare(server, "old")
    result = gsq.run("apply", "-f", "-", "--prune", "--all", input="# a template that failed\n")
    assert result.returncode == 1
    assert "nothing is pruned" in result.stderr and "gsq delete" in result.stderr
    assert set(listed(server)) == {"old"}


@pytest.mark.parametrize("answer, left", [("n", 8), ("y", 1)])
def test_on_a_terminal_it_is_asked_before_all_that_files_do_not_have_is_pruned(gsq, server, tmp_path, answer, left):
    for i in range(7):
        declare(server, f"r{i}")
    declare(server, "web")
    file = write(tmp_path, document("web"))
    done = gsq.terminal("apply", "-f", file, "--prune", "--all", typed=f"{answer}\n")
    assert done.returncode == (1 if answer == "n" else 0), done.output
    assert "platformresource/r0 pruned (dry run)" in done.output
    assert done.output.count("[y/N]") == 1 and "Delete 7 resources that the files do not have?" in done.output
    assert len(listed(server)) == left


def test_nothing_is_asked_where_nothing_would_be_pruned_or_yes_is_given(gsq, server, tmp_path):
    file = write(tmp_path, document("web"))
    assert "?" not in gsq.terminal("apply", "-f", file, "--prune", "--all").output
    declare(server, "db")
    done = gsq.terminal("apply", "-f", file, "--prune", "--all", "--yes")
    assert done.returncode == 0 and "?" not in done.output and set(listed(server)) == {"web"}


def test_so_many_that_nobody_named_go_only_where_that_is_confirmed(gsq, server):
    for i in range(6):
        declare(server, f"old{i}")
    prune = ("apply", "-f", "-", "--prune", "--all")
    result = gsq.run(*prune, input=document("web"))
    assert result.returncode == 1 and "--confirm prune" in result.stderr
    assert len(listed(server)) == 6
    assert gsq.ok(*prune, "--confirm", "prune", input=document("web")).count(" pruned\n") == 6
    assert set(listed(server)) == {"web"}


# ---- much ----

def test_a_million_lines_of_comments_are_taken(gsq, server, tmp_path):
    path = write(tmp_path, "# nobody reads this\n" * 1_000_000 + documents(2))
    assert gsq.ok("apply", "-f", path) == lines(("r00000", "created"), ("r00001", "created"))
    path = write(tmp_path, "# nobody reads this\n" * 1_000_000 + documents(2, 1, size="smalll"))
    assert f"{path}:{1_000_000 + LINES + 2}: r00001: spec.size" in gsq.run("apply", "-f", path).stderr


def test_a_million_lines_of_resources_are_refused_with_their_number(gsq, server, tmp_path):
    n = 1_000_000 // LINES + 1
    path = write(tmp_path, documents(n))
    result = gsq.run("apply", "-f", path)
    assert result.returncode == 1
    assert f"there are {n} resources" in result.stderr and str(MOST) in result.stderr
    assert listed(server) == {}


def test_a_closed_pipe_ends_it_quietly_and_the_change_is_made(gsq, server, tmp_path):
    path = write(tmp_path, documents(MANY))
    with subprocess.Popen([binary(), "apply", "-f", path], env=gsq.env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == -signal.SIGPIPE
    assert len(listed(server)) == MANY


def test_on_a_terminal_a_long_one_shows_that_it_goes_on(gsq, tmp_path):
    shown = gsq.terminal("apply", "-f", write(tmp_path, documents(MANY)), columns=60)
    assert shown.returncode == 0
    assert f"{MANY}/{MANY} " in shown.output.split("platformresource/")[0]


# ---- a server that goes away ----

class Losing:
    """Passes requests on to a server, and loses the first so many answers."""

    def __init__(self, server, losses):
        self.keys, self.losses = [], losses
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), losing_handler(self, server))
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self):
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()


def losing_handler(losing, server):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            losing.keys.append(self.headers["Idempotency-Key"])
            answer = server.post(self.path, body, headers={"Idempotency-Key": losing.keys[-1]})
            if len(losing.keys) <= losing.losses:
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_):
            pass

    return Handler


def test_where_the_answer_is_lost_it_is_asked_for_again_and_made_once(server):
    with Losing(server, losses=2) as losing:
        assert Cli(losing.url).ok("apply", "-f", "-", input=document("web")) == lines(("web", "created"))
    assert len(losing.keys) == 3 and len(set(losing.keys)) == 1
    assert len(history(server, "web")) == 1


def test_where_no_answer_comes_it_says_that_the_same_may_be_run_again(server):
    with Losing(server, losses=1000) as losing:
        result = Cli(losing.url).run("apply", "-f", "-", input=document("web"))
    assert result.returncode == 1
    assert "not known whether the change was made: run the same again, which is safe" in result.stderr
    assert cli_of(server).ok("apply", "-f", "-", input=document("web")) == lines(("web", "unchanged"))
    assert len(history(server, "web")) == 1


@pytest.mark.parametrize("after_s", [EARLY, LATER])
def test_a_server_killed_in_the_middle_has_all_or_nothing_and_apply_again_gives_the_same(
        gsq, server, tmp_path, after_s):
    path = write(tmp_path, documents(MANY))
    with gsq.start("apply", "-f", path) as applying:
        threading.Event().wait(after_s)
        server.kill()
        server.start()
        assert len(listed(server)) in (0, MANY)
        applying.end()
    again = gsq.ok("apply", "-f", path)
    assert again.count(" created\n") in (0, MANY) and again.count("\n") == MANY
    assert len(listed(server)) == MANY
    assert len([commit for commit in revisions(server) if commit["changes"]]) == 1
    assert gsq.ok("apply", "-f", path).count(" unchanged\n") == MANY


# ---- waiting ----

def apply_and_wait(server, tmp_path):
    waiting = cli_of(server).start("apply", "-f", write(tmp_path, documents(2)), "--wait")
    wait_until(lambda: server.metric("gsq_api_watchers") == 1, "it to wait")
    return waiting


def test_it_waits_until_the_cluster_has_all_of_them(watching, kube, tmp_path):
    with apply_and_wait(watching, tmp_path) as waiting:
        for name, item in listed(watching).items():
            kube.show("ADDED", in_cluster(name, item["version"]))
        assert waiting.end() == 0
        assert waiting.lines == ["platformresource/r00000 created", "platformresource/r00001 created",
                                 "all 2 are applied"]


def test_ctrl_c_in_the_wait_ends_it_and_says_that_the_change_stays(watching, tmp_path):
    with apply_and_wait(watching, tmp_path) as waiting:
        waiting.send(signal.SIGINT)
        assert waiting.end() == 130
        assert "What is changed stays changed" in waiting.errors[-1]
    assert set(listed(watching)) == {"r00000", "r00001"}


def test_a_pruned_one_is_waited_for_until_it_is_gone(watching, kube, tmp_path):
    old = in_cluster("old", declare(watching, "old")["version"])
    kube.show("ADDED", old)
    watching.wait_phase("applied", "old")
    path = write(tmp_path, document("old", labels="a: b") + document("web"))
    with cli_of(watching).start("apply", "-f", path, "--wait", "--timeout", "0") as first:
        wait_until(lambda: watching.metric("gsq_api_watchers") == 1, "it to wait")
        for name, item in listed(watching).items():
            kube.show("MODIFIED" if name == "old" else "ADDED", in_cluster(name, item["version"]))
        assert first.end() == 0
    wait_until(lambda: watching.metric("gsq_api_watchers") == 0, "nobody to wait")
    path = write(tmp_path, document("web"))
    with cli_of(watching).start("apply", "-f", path, "--prune", "--all", "--wait") as waiting:
        waiting.wait_line("old pruned")
        kube.show("DELETED", old)
        assert waiting.end() == 0
        assert waiting.lines[-1] == "1 applied, 1 gone"


def test_without_a_cluster_nobody_can_tell_and_the_change_is_made(gsq, server):
    result = gsq.run("apply", "-f", "-", "--wait", input=document("web"))
    assert (result.returncode, result.stdout) == (1, lines(("web", "created")))
    assert "watches no cluster" in result.stderr
    assert set(listed(server)) == {"web"}
    remove(server, "web")


# ---- the reason ----

def test_a_reason_may_end_with_the_end_of_its_line(gsq, server):
    gsq.ok("apply", "-f", "-", "--reason", "OPS-1217\n", input=document("web"))
    assert revisions(server)[0]["why"] == "OPS-1217"


# ---- folders of folders ----

def test_folders_in_a_folder_are_read_where_that_is_asked_for(gsq, server, tmp_path):
    (tmp_path / "out" / "default").mkdir(parents=True)
    write(tmp_path / "out" / "default", document("web"))
    result = gsq.run("apply", "-f", tmp_path / "out")
    assert result.returncode == 1 and "give -R to read its folders too" in result.stderr
    assert listed(server) == {}
    gsq.ok("apply", "-R", "-f", tmp_path / "out")
    assert set(listed(server)) == {"web"}
    (tmp_path / "empty").mkdir()
    assert "-R" not in gsq.run("apply", "-f", tmp_path / "empty").stderr
