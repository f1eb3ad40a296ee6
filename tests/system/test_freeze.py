# SPDX-License-Identifier: Apache-2.0
"""A frozen server takes no changes, and every refusal says why."""
import json
import subprocess
from types import SimpleNamespace

import pytest

from tests.lib.certificate import self_signed
from tests.lib.gsq import binary
from tests.lib.process import free_port
from tests.system.resources import declare, intent, listed, path, remove
from tests.system.stub_registry import StubRegistry

FREEZE = "/api/v1/freeze"
REASON = "migration until 17:00"


def gsq(verb, *args, **env):
    return subprocess.run([binary(), verb, *args], env=env, capture_output=True, text=True, timeout=60)


def freeze(server, reason=REASON, **kwargs):
    return server.request("PUT", FREEZE, {"reason": reason}, **kwargs)


def assert_frozen(answer, reason=REASON):
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "60"
    assert answer.json["error"] == f"the store is frozen: {reason} (by anonymous)"


@pytest.fixture
def server(embedded_store):
    with embedded_store.server() as server:
        yield server


# ---- the API ----

def test_every_change_is_refused_and_reading_goes_on(store):
    with store.server() as server:
        declare(server, "web")
        assert freeze(server).status == 200
        web = path(name="web")
        for method, where, body in (("POST", path(), intent("db")), ("PUT", web, intent("web", size="large")),
                                    ("PUT", web, intent("web")), ("DELETE", web, None)):
            assert_frozen(server.request(method, where, body))
        assert list(listed(server)) == ["web"]
        assert server.request("DELETE", FREEZE).json == {"frozen": False}
        remove(server, "web")


def test_it_lasts_over_a_restart(store):
    with store.server() as server:
        freeze(server)
        server.restart()
        assert_frozen(server.request("PUT", path(name="web"), intent("web")))
        assert server.get(FREEZE).json["reason"] == REASON


def test_who_asks_is_told_why_by_whom_and_since_when(server, embedded_store):
    assert server.get(FREEZE).json == {"frozen": False}
    answer = freeze(server)
    assert answer.json == server.get(FREEZE).json
    since = embedded_store.oci().record()["when"]
    assert answer.json == {"frozen": True, "reason": REASON, "who": "anonymous", "since": since}


def test_it_is_ready_and_says_that_it_takes_no_writes(server):
    assert server.get("/readyz").json == {"status": "ok"}
    freeze(server)
    answer = server.get("/readyz")
    assert answer.status == 200
    assert answer.json == {"status": "ok", "writes": f"the store is frozen: {REASON} (by anonymous)"}
    server.request("DELETE", FREEZE)
    assert server.get("/readyz").json == {"status": "ok"}


def test_a_long_reason_is_kept_whole_and_shown_in_part(server):
    reason = "Größe " * 100 + "ä"
    assert freeze(server, reason).json["reason"] == reason
    shown = server.request("PUT", path(name="web"), intent("web")).json["error"]
    assert shown.startswith("the store is frozen: Größe Größe")
    assert shown.endswith(" (by anonymous)")


@pytest.mark.parametrize("body, field", [
    ({}, "reason"), ({"reason": None}, "reason"), ({"reason": 7}, "reason"),
    ({"reason": "x", "until": "17:00"}, "until")])
def test_what_is_no_freeze_is_refused_by_field(server, body, field):
    answer = server.request("PUT", FREEZE, body)
    assert (answer.status, answer.json["field"]) == (400, field)


@pytest.mark.parametrize("reason", ["", "two\nlines", "x" * 1001])
def test_a_reason_that_cannot_be_shown_is_refused(server, reason):
    assert freeze(server, reason).status == 400
    assert server.get(FREEZE).json == {"frozen": False}


def test_it_is_in_the_audit(server):
    freeze(server)
    server.request("DELETE", FREEZE, headers={"X-Change-Reason": "done early"})
    result = gsq("audit", "--registry", f"http://{server.registry_host}", "--output", "json", "--limit", "2")
    thaw, frozen = [json.loads(line) for line in result.stdout.splitlines()]
    assert (frozen["op"], frozen["why"], frozen["who"], frozen["from"]) == ("freeze", REASON, "anonymous", "127.0.0.1")
    assert (thaw["op"], thaw["why"]) == ("thaw", "done early")


# ---- gsq freeze, gsq thaw ----

def test_the_verbs_do_it_too(server):
    url = f"http://127.0.0.1:{server.port}/"
    result = gsq("freeze", "--reason", REASON, "--server", url)
    assert (result.returncode, result.stderr) == (0, "")
    assert_frozen(server.request("PUT", path(name="web"), intent("web")))
    result = gsq("thaw", GSQ_SERVER=url)
    assert (result.returncode, result.stderr) == (0, "")
    declare(server, "web")


def test_a_freeze_needs_a_reason():
    result = gsq("freeze")
    assert result.returncode == 2
    assert "--reason is missing" in result.stderr


def test_the_verbs_pass_on_what_the_server_says(server):
    result = gsq("freeze", "--reason", "x" * 1001, "--server", f"http://127.0.0.1:{server.port}")
    assert (result.returncode, result.stdout) == (1, "")
    assert "1001 bytes" in result.stderr


def test_a_server_that_is_not_there_is_said():
    result = gsq("thaw", "--server", f"http://127.0.0.1:{free_port()}")
    assert (result.returncode, result.stdout) == (1, "")
    assert "gsq thaw: " in result.stderr


# ---- who they are ----

def recording(*answers):
    answers = list(answers)

    def answer(_):
        status, body = answers.pop(0)
        return status, {"Content-Type": "application/json"}, json.dumps(body).encode()
    return StubRegistry(answer)


def test_the_token_comes_from_a_file(tmp_path):
    token = tmp_path / "token"
    token.write_text("gsq_secret\n", encoding="utf-8")
    with recording((200, {"frozen": False}), (200, {"frozen": False})) as server:
        url = f"http://{server.host}"
        assert gsq("thaw", "--server", url, "--bearer-file", token).returncode == 0
        assert gsq("thaw", "--server", url, GSQ_BEARER_FILE=str(token)).returncode == 0
        assert [request.headers["Authorization"] for request in server.log] == ["Bearer gsq_secret"] * 2


def test_the_token_stays_on_this_machine_unless_it_may_be_read_on_the_way(tmp_path):
    token = tmp_path / "token"
    token.write_text("gsq_secret\n", encoding="utf-8")
    with recording((200, {"frozen": False}), (200, {"frozen": False})) as server:
        url = f"http://{server.host.replace('127.0.0.1', '0.0.0.0')}"  # which leads to the same server
        refused = gsq("thaw", "--server", url, "--bearer-file", token)
        assert server.log == []
        assert gsq("thaw", "--server", url, "--bearer-file", token, "--insecure").returncode == 0
        assert gsq("thaw", "--server", url).returncode == 0
        assert [request.headers.get("Authorization") for request in server.log] == ["Bearer gsq_secret", None]
    assert refused.returncode == 2
    assert "--insecure" in refused.stderr
    assert "gsq_secret" not in refused.stderr


def test_without_a_token_the_flag_is_named(embedded_store):
    with embedded_store.server(anonymous=None) as server:
        result = gsq("thaw", "--server", f"http://127.0.0.1:{server.port}")
    assert result.returncode == 1
    assert "--bearer-file" in result.stderr


@pytest.mark.parametrize("content", ["", "two\nlines\n", "my secret\n"])
def test_a_file_without_a_token_is_refused(tmp_path, content):
    token = tmp_path / "token"
    token.write_text(content, encoding="utf-8")
    result = gsq("thaw", "--bearer-file", token)
    assert result.returncode == 2
    assert "--bearer-file" in result.stderr
    assert content.strip() == "" or content.strip() not in result.stderr


def test_a_server_with_a_certificate_of_its_own_is_trusted_by_flag(tmp_path, embedded_store):
    certificate, key = self_signed(tmp_path)
    with embedded_store.server(tls=SimpleNamespace(ca=certificate, certificate=certificate, key=key)) as server:
        url = f"https://127.0.0.1:{server.port}"
        refused = gsq("thaw", "--server", url)
        result = gsq("thaw", "--server", url, "--server-ca", certificate)
    assert refused.returncode == 1
    assert (result.returncode, result.stderr) == (0, "")
