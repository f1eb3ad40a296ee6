# SPDX-License-Identifier: Apache-2.0
"""Who may do what on the API: every route by role and namespace, as the program's own table says; policy, rates, rotation.

The embedded registry's half is in test_registry_auth.py.
"""
import base64
import itertools
import os
import pty
import re
import subprocess
import time
from collections import namedtuple
from pathlib import Path

import pytest

from tests.lib.events import WATCH, Events
from tests.lib.gsq import ROOT, Gsq, binary
from tests.lib.process import free_port
from tests.lib.tokens import create_token, token_verb
from tests.lib.wait import wait_until
from tests.system.resources import declare, intent, path

ROLES = ("viewer", "editor", "admin", "puller")
TEAMS = ("team-a", "team-b")
ALL = "*"
BODY = {"POST": intent("made"), "PUT": {"spec": {"type": "vm", "size": "small"}},
        "PATCH": {"spec": {"size": "small"}}}

Route = namedtuple("Route", "method path action scope roles")


def table():
    """The page that the program makes of its routes."""
    program = os.environ.get("GSQ_ROUTES") or Path(binary()).parent / "tests" / "system" / "route_table"
    return subprocess.run([program], capture_output=True, text=True, check=True, timeout=60).stdout


def routes():
    api = table().split("\n## ")[1]
    rows = re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \|([^|]*)\|([^|]*)\|([^|]*)\|[^|]*\|$", api, re.M)
    assert len(rows) > 10
    return [Route(*(cell.strip() for cell in row)) for row in rows]


ROUTES = routes()
ASKING = [route for route in ROUTES if route.action]
each_route = pytest.mark.parametrize("route", ASKING, ids=[f"{route.method} {route.path}" for route in ASKING])


def test_the_page_about_authorization_is_what_the_program_does():
    """scripts/authorization BUILD writes it anew."""
    assert (ROOT / "docs/AUTHORIZATION.md").read_text(encoding="utf-8") == table()


def test_only_probes_and_the_documentation_ask_nobody():
    assert {route.path for route in ROUTES if not route.action} == {"/healthz", "/readyz", "/openapi.json", "/docs"}


class Tenants:
    """A server where each role has a token in each team, and one everywhere."""

    def __init__(self, folder, **kwargs):
        self.server = Gsq(folder, namespaces=("default", *TEAMS), anonymous=None, **kwargs)
        self.tokens = {(role, where): create_token(self.server, f"{role}-{where.replace('*', 'all')}", role, where)
                       for role, where in itertools.product(ROLES, (*TEAMS, ALL))}
        self.server.token = self.tokens["admin", ALL]

    def send(self, role, given, method, where, body=None):
        return self.send_token(self.tokens[role, given], method, where, body)

    def send_token(self, token, method, where, body=None):
        headers = {"Authorization": f"Bearer {token}" if token else None}
        return self.server.request(method, where, body, headers=headers)


@pytest.fixture(scope="module")
def tenants(tmp_path_factory):
    found = Tenants(tmp_path_factory.mktemp("tenants"))
    with found.server:
        for team in TEAMS:
            declare(found.server, "web", team)
        yield found


def target(route, namespace):
    """What the route is called by to be about a namespace, or about all."""
    if asks_each_item(route) and "{namespace}" not in route.path:
        return None if namespace == ALL else route.path
    where = route.path.replace("{name}", "web").replace("{revision}", "c1").replace("{range}", "c1..c2")
    if "{namespace}" in where:
        return None if namespace == ALL else where.replace("{namespace}", namespace)
    if "?namespace=" in route.scope:
        return f"{where}?namespace={namespace}"
    return where if namespace == (ALL if route.scope == "all" else "default") else None


def asks_each_item(route):
    return route.scope.startswith("each item's")


def body(route, namespace):
    if asks_each_item(route):
        return {"changes": [{"resource": {**intent("made"), "namespace": namespace}}]}
    return BODY.get(route.method)


def refused(tenants, token, route, asked):
    """Whether it was; the answer to a stream is not waited for."""
    where = target(route, asked)
    if route.path.endswith("/watch"):
        return stream_status(tenants.server, where, token) == 403
    answer = tenants.send_token(token, route.method, where, body(route, asked))
    assert answer.status != 401, answer.body
    assert answer.status != 403 or answer.json["code"] == "denied"
    return answer.status == 403


def stream_status(server, where, token):
    connection = server.connect()
    try:
        connection.request("GET", where, headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


@each_route
@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_what_it_is_for_where_it_was_given(tenants, role, route):
    for asked in ("default", *TEAMS, ALL):
        where = target(route, asked)
        for given in (*TEAMS, ALL):
            if where is None or (route.method == "DELETE" and (given, asked) not in (("team-a", "team-b"),)):
                continue
            allowed = role in route.roles.split(", ") and given in (asked, ALL)
            assert refused(tenants, tenants.tokens[role, given], route, asked) is not allowed, (where, given)


@pytest.mark.parametrize("role", ROLES)
def test_who_may_delete_may_do_it_in_their_own_namespace(tenants, role):
    declare(tenants.server, f"goes-{role}", "team-a")
    answer = tenants.send(role, "team-a", "DELETE", path("team-a", f"goes-{role}"))
    assert answer.status == (200 if role in ("editor", "admin") else 403)


@each_route
def test_without_a_token_the_answer_is_401_and_says_how(tenants, route):
    asked = next(found for found in ("default", "team-a", ALL) if target(route, found))
    answer = tenants.send_token(None, route.method, target(route, asked), body(route, asked))
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert "Authorization: Bearer" in answer.json["error"]


# ---- what other tenants do not learn ----

def test_another_tenants_names_cannot_be_told_from_names_that_are_not_there(tenants):
    for method, suffix in (("GET", ""), ("GET", "/status"), ("DELETE", ""), ("PUT", "")):
        there, missing, nowhere = (
            tenants.send("editor", "team-a", method, f"/api/v1/namespaces/{team}/resources/{name}{suffix}",
                         BODY.get(method))
            for team, name in (("team-b", "web"), ("team-b", "bew"), ("team-c", "web")))
        assert there.status == missing.status == nowhere.status == 403
        assert there.body == missing.body
        assert there.body.replace(b"team-b", b"team-c") == nowhere.body


@pytest.mark.parametrize("query", [
    "namespace=team-b", "namespace=%74eam-b", "name%73pace=team-b", "n%61mespace=*", "namespace=%2a", "limit=1&namespace=*",
    "namespace=team-a&namespace=team-b", "namespace=team-b&namespace=team-a", "&&namespace=team-b", "namespace=team-b;x",
    "namespace=", "Namespace=team-b", "namespace=team-b%00", "continue=a.team-b.web&namespace=*",
])
@pytest.mark.parametrize("collection", ["/api/v1/resources", "/api/v1/namespaces/team-a/resources"])
def test_no_query_lists_what_is_another_tenants(tenants, collection, query):
    answer = tenants.send("viewer", "team-a", "GET", f"{collection}?{query}")
    assert answer.status in (400, 403)
    assert b"web" not in answer.body


@pytest.mark.parametrize("where", [
    "/api/v1/namespaces/team%2db/resources", "/api/v1/namespaces/team-a/../team-b/resources",
    "/api/v1/namespaces/team-a/resources/..%2f..%2fteam-b%2fresources%2fweb", "/api/v1//namespaces/team-b/resources",
    "/api/v1/namespaces/team-a%2f..%2fteam-b/resources", "/api/v1/namespaces/TEAM-B/resources",
    "/api/v1/namespaces/team-b/resources/web?x=/namespaces/team-a/", "/api/v1/namespaces/*/resources",
])
def test_no_path_leads_to_another_tenants(tenants, where):
    answer = tenants.send("admin", "team-a", "GET", where)
    assert answer.status in (400, 403, 404)
    assert b'"size"' not in answer.body


def test_a_watch_tells_of_the_own_namespace_alone(tenants):
    token = tenants.tokens["viewer", "team-a"]
    headers = {"Authorization": f"Bearer {token}"}
    with Events(tenants.server, "/api/v1/namespaces/team-a/watch", headers) as events:
        declare(tenants.server, "secret", "team-b")
        declare(tenants.server, "own", "team-a")
        assert events.next().data["name"] == "own"


def test_a_watch_ends_before_the_next_event_when_its_token_is_revoked(tmp_path):
    with Gsq(tmp_path, anonymous=None) as server:
        token, server.token = (create_token(server, name, "admin", ALL) for name in ("goes", "stays"))
        wait_until(lambda: server.get(path()).status == 200, "the tokens to be known")
        with Events(server, headers={"Authorization": f"Bearer {token}"}) as events:
            declare(server, "seen")
            assert events.next().data["name"] == "seen"
            token_verb(server, "revoke", "goes")
            wait_until(lambda: stream_status(server, WATCH, token) == 401, "the token to be gone")
            declare(server, "unseen")
            last = events.next()
            assert last.event == "end" and "revoked" in last.data["message"]
            assert events.next() is None


# ---- credentials ----

@pytest.mark.parametrize("header", [
    "Bearer", "Bearer ", "bearer {}", "BEARER {}", "Basic e30=", "Basic !!!!", "Basic", "Digest x", "{}", "Bearer {} {}",
    "Bearer {}x", "Bearer x{}", "Token {}", "Bearer gsq_", "Bearer " + "x" * 20000,
])
def test_a_credential_is_taken_as_it_is_meant_or_refused(tenants, header):
    token = tenants.tokens["viewer", ALL]
    answer = tenants.server.get("/api/v1/resources", headers={"Authorization": header.format(token, token)})
    assert answer.status == (200 if header in ("bearer {}", "BEARER {}") else 401)
    assert token.encode() not in answer.body


def test_a_token_can_be_the_password_of_any_user(tenants):
    pair = base64.b64encode(f"me:{tenants.tokens['viewer', ALL]}".encode()).decode()
    assert tenants.server.get("/api/v1/resources", headers={"Authorization": f"Basic {pair}"}).status == 200


def test_a_revoked_token_counts_no_more_and_others_do(tmp_path):
    with Gsq(tmp_path, anonymous=None, token=None) as server:
        token, other = (create_token(server, name, "viewer", ALL) for name in ("goes", "stays"))
        headers = {"Authorization": f"Bearer {token}"}
        wait_until(lambda: server.get("/api/v1/resources", headers=headers).status == 200, "the token to be known")
        token_verb(server, "revoke", "goes")
        wait_until(lambda: server.get("/api/v1/resources", headers=headers).status == 401, "the token to be gone")
        server.token = other
        assert server.get("/api/v1/resources").status == 200


def test_the_first_start_makes_an_admin_and_no_later_one_does(tmp_path):
    """Its token is in a file, since standard output is a log where nobody sits at it."""
    server = Gsq(tmp_path, anonymous=None)
    kept = tmp_path / "data" / "admin-token"
    kept.parent.mkdir()
    kept.write_text("of an earlier store\n")
    kept.chmod(0o644)
    for _ in ("first", "second"):
        with server:
            server.token = kept.read_text().removesuffix("\n")
            assert re.fullmatch(r"gsq_\S{43}", server.token)
            assert kept.stat().st_mode & 0o777 == 0o600
            assert server.get("/api/v1/layout").status == 200
            assert server.log().count("first token made") == 1 and str(kept) in server.log()
            assert "gsq_" not in server.log()


def test_on_a_terminal_the_first_token_is_shown_and_not_kept(tmp_path):
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [binary(), "serve", "--init", "--data-dir", tmp_path, "--listen", f"127.0.0.1:{free_port()}",
         "--registry-listen", f"127.0.0.1:{free_port()}"], stdout=end, stderr=subprocess.DEVNULL)
    os.close(end)
    try:
        shown = b""
        while not re.search(rb"^ +gsq_[\w-]{43}\r$", shown, re.M):
            shown += os.read(terminal, 4096)
        assert not (tmp_path / "admin-token").exists()
    finally:
        process.terminate()
        process.wait(timeout=60)
        os.close(terminal)


def test_addresses_that_fail_too_often_wait_and_good_tokens_do_not(tenants):
    def attempt():
        return tenants.send_token("gsq_" + "x" * 43, "GET", "/api/v1/resources")
    answer = wait_until(lambda: next((found for found in (attempt(),) if found.status == 429), None), "the limit")
    assert int(answer.headers["Retry-After"]) >= 1
    assert tenants.server.get("/api/v1/resources").status == 200


def test_denied_requests_are_in_the_log_with_who_and_where(tenants):
    tenants.send("viewer", "team-a", "GET", path("team-b", "web"))
    line = [line for line in tenants.server.log().splitlines() if "msg=denied" in line][-1]
    for said in ('subject=token:viewer-team-a', "action=get", "namespace=team-b", "peer=127.0.0.1"):
        assert said in line


# ---- the policy file ----

POLICY = """
rules:
- role: editor
  namespaces: [team-b]
  users: ["token:viewer-team-a"]
rates:
  token:puller-team-a: 5
"""


def test_a_policy_adds_roles_and_a_bad_one_changes_nothing(tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("rules: []\n", encoding="utf-8")
    tenants = Tenants(tmp_path / "gsq", args=("--policy", policy))
    with tenants.server:
        assert tenants.send("viewer", "team-a", "POST", path("team-b"), intent("made")).status == 403
        policy.write_text(POLICY, encoding="utf-8")
        wait_until(lambda: tenants.send("viewer", "team-a", "POST", path("team-b"), intent("made")).status == 201,
                   "the rule to count")
        policy.write_text("rules:\n- role: edit", encoding="utf-8")
        wait_until(lambda: "file not taken over" in tenants.server.log(), "the complaint")
        assert tenants.send("viewer", "team-a", "POST", path("team-b"), intent("made")).status == 200


def test_a_subject_that_asks_too_often_is_told_when_to_come_again(tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    tenants = Tenants(tmp_path / "gsq", args=("--policy", policy))
    with tenants.server:
        answer = wait_until(
            lambda: next((found for found in (tenants.send("puller", "team-a", "GET", path()),) if found.status == 429),
                         None), "the rate", every_s=0)
        assert int(answer.headers["Retry-After"]) >= 1 and "5 requests a second" in answer.json["error"]
        time.sleep(int(answer.headers["Retry-After"]))
        assert tenants.send("puller", "team-a", "GET", path()).status == 403


# ---- anonymous ----

@pytest.mark.parametrize("anonymous, read, write", [(None, 401, 401), ("read", 200, 403), ("write", 200, 201)])
def test_who_does_not_say_who_they_are(tmp_path, anonymous, read, write):
    with Gsq(tmp_path, anonymous=anonymous) as server:
        assert server.get(path()).status == read
        assert server.post(path(), intent("web")).status == write
        assert ('level=warn msg="--anonymous' in server.log()) is (anonymous is not None)
