# SPDX-License-Identifier: Apache-2.0
"""gsq login and gsq context: which server a verb speaks to, as whom, and where that is kept."""
import json
import os
import stat
import subprocess
import threading

import pytest

from tests.lib.gsq import binary
from tests.lib.process import free_port
from tests.lib.terminal import Terminal
from tests.system.stub_registry import StubRegistry

LIST = (200, {"resources": [], "count": 0})
UNKNOWN = (401, {"error": "the token is not known", "code": "unauthorized"})
DENIED = (403, {"error": "no role allows it", "code": "denied"})


def api(*answers):
    """A server that gives these answers in turn, then the last one for ever."""
    answers = list(answers)

    def answer(_):
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        return status, {"Content-Type": "application/json"}, json.dumps(body).encode()
    return StubRegistry(answer)


class Config:
    """A configuration of its own."""

    def __init__(self, folder):
        self.path = folder / "gsq" / "config.json"
        self.env = {"XDG_CONFIG_HOME": str(folder), "PATH": os.environ["PATH"]}

    def run(self, *args, text=None, **env):
        return subprocess.run([binary(), *args], env={**self.env, **env}, input=text, capture_output=True, text=True,
                              timeout=60)

    def succeed(self, *args, **kwargs):
        result = self.run(*args, **kwargs)
        assert (result.returncode, result.stderr) == (0, ""), result.stderr
        return result.stdout

    def login(self, url, *args, token="gsq_secret"):
        return self.run("login", url, *args, "--bearer-file", "-", text=f"{token}\n")

    def write(self, content, mode=0o600):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        self.path.chmod(mode)

    def read(self):
        return json.loads(self.path.read_text(encoding="utf-8"))


@pytest.fixture
def config(tmp_path):
    return Config(tmp_path)


def contexts(*names, current=None, server="https://example.org"):
    found = {"contexts": [{"name": name, "server": server} for name in names]}
    return {**found, "current": current} if current else found


def tokens(server):
    return [request.headers.get("Authorization") for request in server.log]


# ---- login ----

def test_login_tries_the_token_keeps_it_and_later_verbs_send_it(config):
    with api(LIST) as server:
        url = f"http://{server.host}"
        result = config.login(url, "--name", "home", "-n", "shop")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == f"logged in to {url}: the context home is current\n"
        assert server.log[0].path == "/api/v1/namespaces/shop/resources?limit=1"
        config.succeed("thaw")
        assert tokens(server) == ["Bearer gsq_secret"] * 2
    assert config.read() == {"current": "home", "contexts": [
        {"name": "home", "server": url, "namespace": "shop", "token": "gsq_secret"}]}


def test_the_file_is_for_its_owner_alone(config):
    with api(LIST) as server:
        assert config.login(f"http://{server.host}").returncode == 0
    assert stat.S_IMODE(config.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.path.parent.stat().st_mode) == 0o700


def test_the_host_is_the_name_where_none_is_given(config):
    with api(LIST) as server:
        assert config.login(f"http://{server.host}/").returncode == 0
        assert config.succeed("context", "-o", "name") == f"{server.host}\n"


def test_a_token_that_the_server_does_not_know_is_not_kept(config):
    with api(UNKNOWN) as server:
        result = config.login(f"http://{server.host}")
    assert (result.returncode, result.stdout) == (1, "")
    assert "the token is not known" in result.stderr
    assert "gsq_secret" not in result.stderr
    assert not config.path.exists()


def test_who_is_known_and_may_not_list_is_logged_in_and_told(config):
    with api(DENIED) as server:
        result = config.login(f"http://{server.host}")
    assert result.returncode == 0
    assert "no role allows it" in result.stderr
    assert config.read()["contexts"][0]["token"] == "gsq_secret"


@pytest.mark.parametrize("answer", [(200, {"kind": "Status"}), (404, {"errors": []})])
def test_what_is_no_server_of_gsq_is_not_kept(config, answer):
    with api(answer) as server:
        result = config.login(f"http://{server.host}")
    assert result.returncode == 1
    assert "is this the API of gsq" in result.stderr
    assert not config.path.exists()


def test_a_server_that_is_not_there_is_not_kept(config):
    result = config.login(f"http://127.0.0.1:{free_port()}")
    assert result.returncode == 1
    assert "is it running, and the URL right?" in result.stderr and "--server" not in result.stderr
    assert not config.path.exists()


def test_who_is_not_known_at_login_is_told_what_helps_there(config):
    with api(UNKNOWN) as server:
        result = config.run("login", f"http://{server.host}", text="")
    assert result.returncode == 1
    assert "give --bearer-file FILE, or - for standard input" in result.stderr
    assert "gsq login http" not in result.stderr


def test_without_a_terminal_and_a_file_no_token_is_sent(config):
    with api(LIST) as server:
        config.succeed("login", f"http://{server.host}", text="")
        assert tokens(server) == [None]
    assert "token" not in config.read()["contexts"][0]


def test_logging_in_again_replaces_the_context_of_that_name(config):
    with api(LIST) as server:
        url = f"http://{server.host}"
        config.login(url, "--name", "a")
        config.login(url, "--name", "b")
        config.login(url, "--name", "a", token="gsq_next")
    assert [(c["name"], c["token"]) for c in config.read()["contexts"]] == [("a", "gsq_next"), ("b", "gsq_secret")]
    assert config.read()["current"] == "a"


@pytest.mark.parametrize("args, said", [
    (("ftp://example.org",), "must start with http:// or https://"),
    (("https://user@example.org",), "without user"),
    (("https://example.org", "--name", "two words"), "--name: "),
    (("https://example.org", "--server-ca", "/nowhere/ca.pem"), "--server-ca: cannot find /nowhere/ca.pem"),
    (("https://example.org", "--bearer-file", "/nowhere/token"), "--bearer-file: "),
    (("http://example.org", "--bearer-file", "-"), "use https://, or --insecure"),
    (("https://example.org", "--token-file", "-"), "unknown option --token-file; did you mean --bearer-file?"),
    (("https://example.org", "-n", ""), "--namespace is empty"),
    (("https://example.org", "-n", "a/b"), '--namespace: "a/b" is no namespace'),
    ((), "URL is missing"),
])
def test_wrong_usage_is_said_before_anything_is_sent(config, args, said):
    result = config.run("login", *args, text="gsq_secret\n")
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
    assert not config.path.exists()


@pytest.mark.parametrize("content", ["", "\n", "two words\n", "two\nlines\n"])
def test_what_is_no_token_is_refused(config, content):
    result = config.run("login", "https://example.org", "--bearer-file", "-", text=content)
    assert result.returncode == 2
    assert "token" in result.stderr and "two" not in result.stderr


def test_a_token_may_go_over_http_to_another_machine_where_that_is_said_once(config):
    with api(LIST) as server:
        url = f"http://{server.host.replace('127.0.0.1', '0.0.0.0')}"  # which leads to the same server
        assert config.login(url, "--insecure").returncode == 0
        config.succeed("thaw")
        assert tokens(server) == ["Bearer gsq_secret"] * 2


def test_on_a_terminal_the_token_is_asked_for_and_not_shown(config):
    with api(LIST) as server, Terminal([binary(), "login", f"http://{server.host}"], env=config.env) as terminal:
        terminal.wait_for(lambda shown: "(empty: none): " in shown)
        assert not terminal.echoes()
        terminal.type("gsq_typed\n")
        assert terminal.wait() == 0
        assert tokens(server) == ["Bearer gsq_typed"]
    assert "gsq_typed" not in terminal.shown


def test_ctrl_c_at_the_question_keeps_nothing_and_leaves_the_terminal_as_it_was(config):
    with Terminal(["sh", "-c", '"$1" login https://example.org; echo "status $?"; sleep 60', "sh", binary()],
                  env=config.env) as terminal:
        terminal.wait_for(lambda shown: "(empty: none): " in shown)
        assert not terminal.echoes()
        os.kill(child_of(terminal.process.pid), 2)
        shown = terminal.wait_for(lambda shown: "status 130" in shown)
        assert terminal.echoes()
    assert "interrupted; nothing is kept" in shown
    assert not config.path.exists()


def child_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return int(file.read().split()[0])


# ---- context ----

def test_contexts_are_listed_with_the_current_one_marked(config):
    config.write({"current": "b", "contexts": [
        {"name": "a", "server": "https://a.example"},
        {"name": "b", "server": "https://b.example", "namespace": "shop", "token": "gsq_x"}]})
    lines = [line.split() for line in config.succeed("context").splitlines()]
    assert lines == [["CURRENT", "NAME", "SERVER", "NAMESPACE", "TOKEN"],
                     ["a", "https://a.example", "default", "no"],
                     ["*", "b", "https://b.example", "shop", "yes"]]


def test_no_contexts_are_said_on_standard_error(config):
    result = config.run("context")
    assert (result.returncode, result.stdout) == (0, "")
    assert "gsq login URL makes one" in result.stderr


def test_another_context_is_used_from_then_on(config):
    with api(LIST) as server:
        config.write(contexts("a", current="a"))
        config.write({**contexts("a"), "contexts": [*contexts("a")["contexts"],
                                                   {"name": "b", "server": f"http://{server.host}"}]})
        assert config.succeed("context", "use", "b") == "the context b is current\n"
        config.succeed("thaw")
        assert len(server.log) == 1


def test_a_deleted_context_is_gone_and_current_no_more(config):
    config.write(contexts("a", "b", current="b"))
    config.succeed("context", "delete", "b")
    assert config.read() == contexts("a")


@pytest.mark.parametrize("verb", ["use", "delete"])
def test_a_context_that_is_not_there_is_an_error_that_suggests_the_nearest(config, verb):
    config.write(contexts("production", "test"))
    result = config.run("context", verb, "prodution")
    assert result.returncode == 1
    assert 'did you mean "production"?' in result.stderr


def test_using_a_context_is_no_good_while_a_variable_is_stronger_and_says_so(config):
    config.write(contexts("a", "b"))
    result = config.run("context", "use", "b", GSQ_CONTEXT="a")
    assert result.returncode == 0
    assert "GSQ_CONTEXT is set to a" in result.stderr


# ---- which server ----

def test_the_flag_is_stronger_than_the_variable_and_that_than_the_context(config):
    with api(LIST) as one, api(LIST) as two, api(LIST) as three:
        config.write(contexts("a", current="a", server=f"http://{one.host}"))
        config.succeed("thaw")
        config.succeed("thaw", GSQ_SERVER=f"http://{two.host}")
        config.succeed("thaw", "--server", f"http://{three.host}", GSQ_SERVER=f"http://{two.host}")
        assert [len(server.log) for server in (one, two, three)] == [1, 1, 1]


def test_a_context_may_be_named_by_flag_or_variable(config):
    with api(LIST) as one, api(LIST) as two:
        config.write({"current": "a", "contexts": [{"name": "a", "server": f"http://{one.host}"},
                                                   {"name": "b", "server": f"http://{two.host}"}]})
        config.succeed("thaw", "--context", "b")
        config.succeed("thaw", GSQ_CONTEXT="b")
        assert (len(one.log), len(two.log)) == (0, 2)
    result = config.run("thaw", "--context", "c")
    assert result.returncode == 2
    assert "--context: there is no context" in result.stderr


def test_the_token_of_a_context_is_for_its_own_server(config):
    with api(LIST) as one, api(LIST) as two:
        config.write({"current": "a", "contexts": [{"name": "a", "server": f"http://{one.host}/", "token": "gsq_a"}]})
        config.succeed("thaw", "--server", f"http://{two.host}")
        config.succeed("thaw", "--server", f"http://{one.host}")
        config.succeed("thaw", "--server", f"http://{two.host}", "--context", "a")  # as with a tunnel
        assert (tokens(two), tokens(one)) == ([None, "Bearer gsq_a"], ["Bearer gsq_a"])


def test_a_file_with_a_token_is_stronger_than_the_contexts(config, tmp_path):
    (tmp_path / "token").write_text("gsq_file\n", encoding="utf-8")
    with api(LIST) as server:
        config.write({"current": "a", "contexts": [{"name": "a", "server": f"http://{server.host}", "token": "gsq_a"}]})
        config.succeed("thaw", "--bearer-file", tmp_path / "token")
        assert tokens(server) == ["Bearer gsq_file"]


def test_a_current_context_that_is_gone_is_an_error_unless_a_server_is_named(config):
    config.write(contexts("a", current="b"))
    result = config.run("thaw")
    assert result.returncode == 2
    assert "the current context is gone" in result.stderr
    with api(LIST) as server:
        config.succeed("thaw", "--server", f"http://{server.host}")


def test_who_is_not_known_is_told_to_log_in(config):
    with api(UNKNOWN) as server:
        result = config.run("thaw", "--server", f"http://{server.host}")
    assert result.returncode == 1
    assert f"gsq login http://{server.host}" in result.stderr


# ---- which namespace ----

@pytest.mark.parametrize("verb", ["get", "log", "export", "watch", "thaw"])
@pytest.mark.parametrize("namespace, said", [
    ("", "--namespace is empty"),
    ("*", "-A means all namespaces"),
    ("../x", '--namespace: "../x" is no namespace'),
    ("Shop", '--namespace: "Shop" is no namespace'),
])
def test_what_is_no_namespace_is_said_before_anything_is_sent(config, verb, namespace, said):
    with api(LIST) as server:
        result = config.run(verb, "-n", namespace, "--server", f"http://{server.host}")
        assert not server.log
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr and "--help" in result.stderr


def test_what_is_no_namespace_is_said_with_where_it_comes_from(config):
    config.write({"current": "a", "contexts": [{"name": "a", "server": "https://a.example", "namespace": "S"}]})
    assert 'the namespace of the context a: "S" is no namespace' in config.run("get").stderr
    assert 'GSQ_NAMESPACE: "T" is no namespace' in config.run("get", GSQ_NAMESPACE="T").stderr


# ---- the file ----

def test_the_null_device_is_an_empty_configuration(config):
    result = config.run("context", GSQ_CONFIG="/dev/null")
    assert result.returncode == 0 and "there are none in /dev/null" in result.stderr
    with api(LIST) as server:
        config.succeed("thaw", "--server", f"http://{server.host}", GSQ_CONFIG="/dev/null")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev"])
def test_what_is_no_file_is_none_for_contexts(config, path):
    result = config.run("context", GSQ_CONFIG=path)
    assert result.returncode == 1 and f"{path} is not a file" in result.stderr


@pytest.mark.parametrize("content, said", [
    ("", "is damaged"),
    ("{", "is damaged"),
    ("[]", "is damaged"),
    ({"current": 7}, "current is a string"),
    ({"contexts": {}}, "contexts a list"),
    ({"contexts": [{"name": "a"}]}, "a context has a name and a server"),
    ({"contexts": [{"name": "a", "server": "https://x", "token": 7}]}, "a context has a name and a server"),
    ({"contexts": [{"name": "a b", "server": "https://x"}]}, "without spaces"),
    (contexts("a", "a"), "two contexts have the same name"),
])
def test_a_damaged_file_is_named_and_left_as_it_is(config, content, said):
    config.write(content)
    before = config.path.read_bytes()
    for args in (("context",), ("context", "use", "a"), ("thaw",)):
        result = config.run(*args)
        assert result.returncode in (1, 2)
        assert str(config.path) in result.stderr and said in result.stderr
    assert config.path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_read_or_change_is_refused(config, mode):
    config.write(contexts("a"), mode)
    result = config.run("context")
    assert result.returncode == 1
    assert "chmod 600" in result.stderr


def test_the_file_is_where_the_variables_say(tmp_path):
    config = Config(tmp_path / "unused")
    for number, env in enumerate(({"GSQ_CONFIG": str(tmp_path / "0" / "mine.json"), "HOME": "/nowhere"},
                                  {"XDG_CONFIG_HOME": str(tmp_path / "1"), "HOME": "/nowhere"},
                                  {"XDG_CONFIG_HOME": "", "HOME": str(tmp_path / "2")})):
        with api(LIST) as server:
            config.succeed("login", f"http://{server.host}", text="", **env)
        expected = ("mine.json", "gsq/config.json", ".config/gsq/config.json")[number]
        assert (tmp_path / str(number) / expected).is_file()


def test_without_a_home_the_variable_is_named(config):
    config.env = {"PATH": os.environ["PATH"]}
    with api(LIST) as server:
        result = config.run("login", f"http://{server.host}", text="")
    assert result.returncode == 1
    assert "GSQ_CONFIG" in result.stderr


def test_a_link_to_the_file_stays_one(config, tmp_path):
    target = tmp_path / "dotfiles.json"
    config.write(contexts("a"))
    config.path.rename(target)
    config.path.symlink_to(target)
    config.succeed("context", "use", "a")
    assert config.path.is_symlink()
    assert json.loads(target.read_text(encoding="utf-8"))["current"] == "a"


def test_who_logs_in_at_once_is_kept_all_the_same(config):
    with api(LIST) as server:
        threads = [threading.Thread(target=config.login, args=(f"http://{server.host}", "--name", f"c{number}"))
                   for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {context["name"] for context in config.read()["contexts"]} == {f"c{number}" for number in range(8)}
