# SPDX-License-Identifier: Apache-2.0
"""gsq rollback: one resource at a version, or everything at a commit, as a new change."""
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.lib.cli import Cli, cli_of
from tests.lib.gsq import Gsq, binary
from tests.lib.terminal import Terminal
from tests.system.resources import declare, listed, remove
from tests.system.revisions import everything, history, newest, revisions


@pytest.fixture
def server(tmp_path):
    with Gsq(tmp_path / "gsq", namespaces=("default", "shop", "new")) as server:
        yield server


@pytest.fixture
def gsq(server):
    return cli_of(server)


@pytest.fixture
def versions(server):
    """Of web: small, medium, large."""
    return [declare(server, "web", size=size)["version"] for size in ("small", "medium", "large")]


def size(server, name="web"):
    return listed(server)[name]["spec"]["size"]


# ---- one ----

def test_without_a_version_it_goes_back_to_the_one_before(gsq, server, versions):
    assert gsq.ok("rollback", "web") == "platformresource/web configured\n"
    assert size(server) == "medium"
    assert revisions(server)[0]["why"] == f"rollback to {versions[1]}"


def test_it_goes_back_to_any_version_and_history_goes_on(gsq, server, versions):
    gsq.ok("rollback", "platformresource/web", "--to", versions[0], "--reason", "OPS-1217")
    assert size(server) == "small"
    entries = history(server, "web")
    assert [entry["version"] for entry in entries[1:]] == versions[::-1]
    assert "OPS-1217" in entries[0]["why"]


def test_what_was_deleted_comes_back(gsq, server, versions):
    remove(server, "web")
    assert gsq.ok("rollback", "web") == "platformresource/web created\n"
    assert size(server) == "large"


def test_of_what_was_deleted_and_made_again_the_version_before_is_the_one_before_the_deletion(gsq, server, versions):
    remove(server, "web")
    declare(server, "web", type="bucket")
    gsq.ok("rollback", "web")
    assert listed(server)["web"]["spec"] == {"type": "vm", "size": "large", "replicas": 1}
    assert [entry["version"] for entry in history(server, "web")][-3:] == versions[::-1]


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(gsq, server, versions):
    before = newest(server)
    assert gsq.ok("rollback", "web", "--dry-run") == "platformresource/web configured (dry run)\n"
    assert newest(server) == before


def behind_a_proxy(server, meanwhile):
    """The server; meanwhile(method) is called before each call goes on to it."""
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def go_on(self):
            meanwhile(self.command)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            headers = {name: value for name, value in self.headers.items()
                       if name.lower() not in ("host", "connection")}
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = go_on

        def log_message(self, *_):
            pass
    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def test_what_somebody_changes_meanwhile_does_not_go_back(server, versions):
    def change(method):
        if method == "POST":
            declare(server, "web", region="theirs")
    with behind_a_proxy(server, change) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        result = Cli(f"http://127.0.0.1:{proxy.server_port}").run("rollback", "web")
        proxy.shutdown()
    assert (result.returncode, result.stdout) == (1, "")
    assert "somebody has changed it just now" in result.stderr
    assert listed(server)["web"]["spec"]["region"] == "theirs"


def test_at_the_version_that_is_current_nothing_changes(gsq, server, versions):
    before = newest(server)
    assert gsq.ok("rollback", "web", "--to", versions[2]) == "platformresource/web unchanged\n"
    assert newest(server) == before


def test_without_a_version_before_there_is_nowhere_to_go(gsq, server):
    declare(server, "web")
    result = gsq.run("rollback", "web")
    assert (result.returncode, result.stdout) == (1, "")
    assert "web has no version before the current one" in result.stderr


def test_a_name_that_was_never_there_is_an_error_that_suggests(gsq, versions):
    result = gsq.run("rollback", "wbe")
    assert result.returncode == 1
    assert "did you mean web?" in result.stderr


def test_a_version_that_is_not_there_is_an_error(gsq, server, versions):
    result = gsq.run("rollback", "web", "--to", "v12")
    assert result.returncode == 1
    assert "there is no version v12 of web" in result.stderr and "see gsq history" in result.stderr
    assert size(server) == "large"


# ---- everything ----

@pytest.fixture
def then(server):
    """A commit after which much was deleted, made again, changed and added, and the state at it."""
    for name, namespace in (("web", "default"), ("db", "default"), ("web", "shop")):
        declare(server, name, namespace)
    commit, state = newest(server), everything(server)
    remove(server, "db")
    remove(server, "web", "shop")
    declare(server, "db", type="database")
    declare(server, "web", size="large")
    declare(server, "cache")
    declare(server, "web", "new")
    return commit, state


def test_everything_goes_back_over_deletions_and_namespaces_in_one_change(gsq, server, then):
    commit, state = then
    n = len(revisions(server))
    told = set(gsq.ok("rollback", "--to", commit, "-A").splitlines())
    assert everything(server) == state
    assert told == {"platformresource/web configured", "platformresource/db configured",
                    "platformresource/cache deleted", "platformresource/web created in the namespace shop",
                    "platformresource/web deleted in the namespace new"}
    assert len(revisions(server)) == n + 1


def test_a_namespace_goes_back_alone(gsq, server, then):
    commit, state = then
    gsq.ok("rollback", "--to", commit, "-n", "shop")
    assert set(listed(server, "shop")) == {"web"}
    gsq.ok("rollback", "--to", commit)
    assert {key: value for key, value in everything(server).items() if key[0] != "new"} == state
    assert set(listed(server, "new")) == {"web"}


def test_a_namespace_that_is_called_otherwise_now_is_named_and_nothing_goes_back(gsq, server, then):
    commit, state = then
    server.namespaces = ["default", "new", "store"]
    server.restart()
    before = everything(server)
    result = gsq.run("rollback", "--to", commit, "-A")
    assert (result.returncode, result.stdout) == (1, "")
    assert "not known to exist in the cluster: shop;" in result.stderr
    assert everything(server) == before
    gsq.ok("rollback", "--to", commit)
    assert listed(server).keys() == {name for namespace, name in state if namespace == "default"}


def test_gone_back_it_can_be_gone_forward_again(gsq, server, then):
    later, state = newest(server), everything(server)
    gsq.ok("rollback", "--to", then[0], "-A")
    gsq.ok("rollback", "--to", later, "-A")
    assert everything(server) == state


def test_at_the_newest_commit_there_is_nothing_to_change(gsq, server, then):
    before = newest(server)
    assert gsq.ok("rollback", "--to", before, "-A") == "nothing to change\n"
    assert newest(server) == before


def test_many_removals_have_to_be_confirmed(gsq, server):
    declare(server, "web")
    commit = newest(server)
    for i in range(6):
        declare(server, f"r{i}")
    result = gsq.run("rollback", "--to", commit)
    assert result.returncode == 1 and "--confirm prune" in result.stderr
    assert len(listed(server)) == 7
    gsq.ok("rollback", "--to", commit, "--confirm", "prune")
    assert set(listed(server)) == {"web"}


@pytest.mark.parametrize("answer, gone", [("y", True), ("n", False)])
def test_on_a_terminal_it_is_asked_first(gsq, server, then, answer, gone):
    commit, state = then
    before = everything(server)
    with Terminal([binary(), "rollback", "--to", commit, "-A"], env=gsq.env) as terminal:
        shown = terminal.wait_for(lambda shown: "[y/N]" in shown)
        assert "platformresource/cache deleted (dry run)" in shown and f"Take 5 resources back to {commit}?" in shown
        terminal.type(answer + "\n")
        assert terminal.wait() == (0 if gone else 1)
    assert everything(server) == (state if gone else before)


def test_whoever_has_seen_what_goes_and_says_yes_has_confirmed_it(gsq, server):
    declare(server, "web")
    revision = newest(server)
    for i in range(6):
        declare(server, f"r{i}")
    done = gsq.terminal("rollback", "--to", revision, typed="y\n")
    assert done.returncode == 0 and "Take 6 resources back" in done.output and done.output.count("[y/N]") == 1
    assert set(listed(server)) == {"web"}


def test_yes_answers_the_question_before(gsq, server, then):
    assert gsq.terminal("rollback", "--to", then[0], "-A", "--yes").returncode == 0
    assert everything(server) == then[1]


def test_a_commit_that_is_not_there_is_an_error(gsq, server, then):
    result = gsq.run("rollback", "--to", "c12", "-A")
    assert (result.returncode, result.stdout) == (1, "")
    assert "c12" in result.stderr and "gsq log shows" in result.stderr


@pytest.mark.parametrize("args, said", [
    ((), "--to is missing"),
    (("-A",), "--to is missing"),
    (("web", "-A"), "give a NAME or --all-namespaces"),
    (("web", "--to", "c12"), "a resource goes back to a version"),
    (("web", "--to", "v"), "a resource goes back to a version"),
    (("--to", "v12"), "everything goes back to a revision"),
    (("web", "db"), "db"),
    (("web", "--timeout", "soon"), '"soon" is not a duration'),
    (("web", "--reason", "a\tb"), "--reason must be one line"),
])
def test_bad_usage_is_status_2(gsq, args, said):
    result = gsq.run("rollback", *args)
    assert result.returncode == 2 and said in result.stderr, result.stderr


# ---- waiting ----

def test_without_a_cluster_there_is_nothing_to_wait_for_and_it_is_back(gsq, server, versions):
    result = gsq.run("rollback", "web", "--wait")
    assert (result.returncode, result.stdout) == (1, "platformresource/web configured\n")
    assert "watches no cluster" in result.stderr
    assert size(server) == "medium"
