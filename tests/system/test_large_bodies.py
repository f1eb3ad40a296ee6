# SPDX-License-Identifier: Apache-2.0
"""Bodies of changes that are large, slow, or made to cost more than they are: others have their turn, and memory is
bounded."""
import json
import threading

import pytest

from tests.lib.gsq import Gsq
from tests.lib.registry import keeps_freed_memory, memory_kib
from tests.lib.tokens import create_token
from tests.lib.wait import wait_until
from tests.system.resources import intent, listed

CHANGES = "/api/v1/changes"
TEAMS = ("default", "team-a", "team-b")
JSON, YAML = {"Content-Type": "application/json"}, {"Content-Type": "application/yaml"}
MIB = 1024 * 1024
BODY_MAX = 16 * MIB


def changes_path(namespace=None):
    return CHANGES if namespace is None else f"/api/v1/namespaces/{namespace}/changes"


class Slow:
    """A body of which most is there, and the rest is on its way."""

    def __init__(self, server, size=14 * MIB, rest=2 * MIB, token=None, where=CHANGES, chunked=False):
        self.connection = server.connect(timeout=20)
        self.connection.putrequest("POST", where)
        self.connection.putheader("Content-Type", "application/json")
        if token:
            self.connection.putheader("Authorization", f"Bearer {token}")
        if chunked:
            self.connection.putheader("Transfer-Encoding", "chunked")
        else:
            self.connection.putheader("Content-Length", str(size + rest))
        self.connection.endheaders()
        head = b"%x\r\n" % size if chunked else b""
        self.sent = True
        try:
            self.connection.send(head + b'{"changes":[' + b" " * (size - 12))
        except (BrokenPipeError, ConnectionResetError):
            self.sent = False  # it was answered before it was whole

    def finish(self, text):
        self.connection.send(text)
        return self.answer()

    def answer(self):
        found = self.connection.getresponse()
        return found, json.loads(found.read())

    def close(self):
        self.connection.close()


# ---- what they cost ----

def many(piece, first="", last="", separator=",", size=BODY_MAX):
    n = (size - len(first) - len(last)) // (len(piece) + len(separator))
    return first + separator.join([piece] * n) + last


BOMBS = {
    "a JSON list": (JSON, lambda: many("{}", "[", "]"), 400),
    "a member of a resource": (JSON, lambda: many("{}", '{"name":"x","spec":{"type":"vm","size":"small"},"x":[', "]}"),
                               413),
    "a small item of a JSON list": (JSON, lambda: many("{}", '[{"a":[', "]}]", size=MIB), 413),
    "a List": (JSON, lambda: many("{}", '{"apiVersion":"v1","kind":"List","items":[', "]}"), 400),
    "beside the items of a List": (
        JSON, lambda: many('"a":{}', '{"apiVersion":"v1","kind":"List","items":[],', "}"), 413),
    "the changes": (JSON, lambda: many("{}", '{"changes":[', "]}"), 400),
    "an item of the changes": (JSON, lambda: many("{}", '{"changes":[{"resource":[', "]}]}"), 413),
    "a prune": (JSON, lambda: many("{}", '{"prune":{"namespaces":[', "]}}"), 413),
    "a YAML list": (YAML, lambda: many("- {}", separator="\n"), 413),
    "a YAML list in brackets": (YAML, lambda: many("{}", "[", "]"), 413),
    "a YAML mapping": (YAML, lambda: "\n".join(f"k{i:06}: {{}}" for i in range(1000000)), 413),
    "YAML strings": (YAML, lambda: many("- a", separator="\n"), 413),
    "YAML documents": (YAML, lambda: many("--- ~", separator="\n"), 400),
    "one long string": (YAML, lambda: "name: " + "a" * (BODY_MAX - 6), 400),
}


@pytest.mark.skipif(keeps_freed_memory(), reason="says nothing about memory")
@pytest.mark.parametrize("what", BOMBS)
def test_a_body_of_many_small_values_is_refused_and_takes_a_few_times_its_size(embedded_store, what):
    headers, make, status = BOMBS[what]
    with embedded_store.server(namespaces=TEAMS) as server:
        before = memory_kib(server, "VmHWM")
        answer = server.post(CHANGES, make(), headers=headers)
        assert answer.status == status, answer.body
        assert memory_kib(server, "VmHWM") - before < 8 * BODY_MAX // 1024
        assert server.post(CHANGES, {"changes": [{"resource": intent("web")}]}).status == 200


def test_one_resource_of_many_values_is_refused_too(embedded_store):
    with embedded_store.server() as server:
        answer = server.post("/api/v1/resources", many("{}", '{"name":"x","x":[', "]}", size=MIB), headers=JSON)
        assert answer.status == 413 and "10000 values" in answer.json["error"]


@pytest.mark.parametrize("first,last,says", [
    ('{"name":"x","x":[', "]}", "document 1: more than the 10000 values"),
    ('[{"a":[', "]}]", "document 1, item 1: more than the 10000 values"),
    ('{"changes":[{"resource":[', "]}]}", "changes[0]: more than the 10000 values")])
def test_the_one_that_is_too_large_is_named(embedded_store, first, last, says):
    with embedded_store.server() as server:
        answer = server.post(CHANGES, many("{}", first, last, size=MIB), headers=JSON)
        assert answer.status == 413 and answer.json["error"].startswith(says), answer.body


def test_directives_of_tags_are_refused_with_their_line(embedded_store):
    with embedded_store.server() as server:
        text = "# resources\n" + "".join(f"%TAG !a{i}! b\n" for i in range(40000)) + "--- a\n"
        answer = server.post(CHANGES, text, headers=YAML)
        assert answer.status == 400
        assert "%TAG" in answer.json["error"] and "line 2, column 1" in answer.json["error"]


def test_five_thousand_resources_in_one_yaml_list_are_taken(embedded_store):
    """As kubectl get -o yaml writes them, with what the cluster adds."""
    item = ("- apiVersion: gitops-squared.io/v1alpha1\n  kind: PlatformResource\n  metadata:\n"
            "    annotations: {{gitops-squared.io/version: v1, kustomize.toolkit.fluxcd.io/x: z}}\n"
            "    creationTimestamp: \"2026-01-01T00:00:00Z\"\n    generation: 1\n    labels: {{app: a, team: b}}\n"
            "    name: r-{}\n    namespace: default\n    resourceVersion: \"1\"\n    uid: a-b-c\n"
            "  spec: {{type: vm, size: small, region: eu, replicas: 2}}\n"
            "  status:\n    conditions: [{{type: Ready, status: \"True\", reason: a, message: b}}]\n"
            "    observedGeneration: 1\n")
    text = "apiVersion: v1\nitems:\n" + "".join(item.format(i) for i in range(5000)) + "kind: List\n"
    with embedded_store.server() as server:
        answer = server.post(CHANGES, text, headers=YAML)
        assert answer.status == 200, answer.body[:500]
        assert answer.json["counts"]["created"] == 5000


# ---- whose turn it is ----

class Teams:
    """A server with a token for each team."""

    def __init__(self, folder):
        self.server = Gsq(folder, namespaces=TEAMS, anonymous=None)
        self.a, self.b, self.viewer, self.server.token = (
            create_token(self.server, name, role, where)
            for name, role, where in (("a", "editor", "team-a"), ("b", "editor", "team-b"), ("v", "viewer", "team-a"),
                                      ("root", "admin", "*")))

    def send(self, token, body, where=CHANGES):
        return self.server.post(where, body, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def teams(tmp_path):
    found = Teams(tmp_path / "gsq")
    with found.server:
        yield found


def change(name, namespace):
    return {"changes": [{"resource": {**intent(name), "namespace": namespace}}]}


def test_slow_large_bodies_leave_room_for_the_changes_of_others(teams):
    slow = [Slow(teams.server, token=teams.a) for _ in range(6)]
    for refused in slow[1:]:
        if refused.sent:
            answer, content = refused.answer()
            assert answer.status == 429 and content["code"] == "too_many_requests"
            assert "token:a" in content["error"] and int(answer.headers["Retry-After"]) >= 1
    for i in range(20):
        assert teams.send(teams.b, change(f"w-{i}", "team-b")).status == 200
        assert teams.server.post("/api/v1/namespaces/team-b/resources", intent(f"x-{i}")).status == 201
    assert teams.send(teams.a, change("small", "team-a")).status == 200
    answer, content = slow[0].finish(b" " * (2 * MIB - 2) + b"]}")
    assert answer.status == 400 and "empty" in content["error"]
    for one in slow:
        one.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_second_large_body_of_one_subject_is_told_when_to_come_again(teams, chunked):
    first = Slow(teams.server, token=teams.a)
    second = teams.server.connect()
    second.putrequest("POST", CHANGES)
    for name, value in (("Authorization", f"Bearer {teams.a}"), ("Content-Type", "application/json"),
                        ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(2 * MIB))):
        second.putheader(name, value)
    second.endheaders()
    if chunked:
        second.send(b"%x\r\n" % (MIB + 1) + b" " * (MIB + 1))
    answer = second.getresponse()
    assert answer.status == 429 and int(answer.headers["Retry-After"]) >= 1
    second.close()
    first.close()
    body = many(" ", '{"changes":[', "]}", size=2 * MIB)
    wait_until(lambda: teams.send(teams.a, body).status == 400, "the seat to be free")


def test_large_bodies_of_many_have_half_of_the_room(teams):
    tokens = [create_token(teams.server, f"t-{i}", "editor", "team-a") for i in range(3)]
    teams.server.restart()
    slow = [Slow(teams.server, token=token) for token in tokens[:2]]
    answer = teams.send(tokens[2], many(" ", '{"changes":[', "]}", size=2 * MIB))
    assert answer.status == 429 and "others" in answer.json["error"] and int(answer.headers["Retry-After"]) >= 1
    assert teams.send(tokens[2], change("small", "team-a")).status == 200
    for one in slow:
        one.close()


@pytest.mark.parametrize("where", [CHANGES, changes_path("team-a"), changes_path("team-b")])
def test_who_may_change_nothing_is_refused_before_the_body(teams, where):
    connection = teams.server.connect(timeout=20)
    connection.putrequest("POST", where)
    for name, value in (("Authorization", f"Bearer {teams.viewer}"), ("Content-Type", "application/json"),
                        ("Content-Length", str(BODY_MAX))):
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 403 and json.loads(answer.read())["code"] == "denied"
    connection.close()


def test_who_may_change_another_namespace_is_refused_before_the_body_of_this_one(teams):
    slow = Slow(teams.server, size=1000, token=teams.a, where=changes_path("team-b"))
    answer, content = slow.answer()
    assert answer.status == 403 and "team-b" in content["error"]
    slow.close()


# ---- the event loops ----

def test_others_are_answered_while_large_bodies_are_decoded(embedded_store):
    """More than there are event loops, and all of them at once."""
    body = many("--- ~", separator="\n", size=MIB)
    with embedded_store.server() as server:
        threads = [threading.Thread(target=lambda: server.post(CHANGES, body, headers=YAML)) for _ in range(12)]
        for thread in threads:
            thread.start()
        answered = 0
        while any(thread.is_alive() for thread in threads):
            assert server.get("/healthz").status == 200
            answered += 1
        assert answered > len(threads)


def test_a_client_that_leaves_while_its_body_is_decoded_harms_nothing(embedded_store):
    body = many("--- ~", separator="\n", size=4 * MIB).encode()
    with embedded_store.server() as server:
        for _ in range(10):
            connection = server.connect()
            connection.request("POST", CHANGES, body, YAML)
            connection.close()
        wait_until(lambda: server.post(CHANGES, body, headers=YAML).status == 400, "the seat to be free")
        assert server.post(CHANGES, {"changes": [{"resource": intent("web")}]}).status == 200
        assert list(listed(server)) == ["web"]


def test_a_server_that_is_stopped_while_it_decodes_ends_well(embedded_store):
    body = many("--- ~", separator="\n", size=8 * MIB).encode()
    server = embedded_store.server()
    with server:
        connection = server.connect()
        connection.request("POST", CHANGES, body, YAML)
        server.stop()
        connection.close()
    with embedded_store.server() as server:
        assert server.get("/healthz").status == 200
