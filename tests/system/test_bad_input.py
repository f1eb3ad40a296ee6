# SPDX-License-Identifier: Apache-2.0
"""What a client may get wrong, and what it is told."""
import json
import re
import socket

import pytest
import yaml

from tests.lib.gsq import Gsq
from tests.lib.oci import Oci
from tests.system.resources import declare, intent, listed, path, without_status

BODY_MAX = 1 << 20
REGION_MAX = 256
GOOD = {"name": "good", "spec": {"type": "vm", "size": "small"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gsq(tmp_path_factory.mktemp("gsq"), namespaces=("default", "team-a")) as server:
        declare(server, "here")
        yield server


@pytest.fixture(autouse=True)
def nothing_changes(request, server):
    """Bad input changes nothing; a test that writes on purpose asks for the fixture `writes`."""
    before = server.get(path()).body
    yield
    if "writes" not in request.fixturenames:
        assert server.get(path()).body == before


@pytest.fixture
def writes():
    pass


def refused(answer, status, code=None, field=None):
    assert answer.status == status, (answer.status, answer.body)
    assert answer.headers.get_content_type() == "application/json"
    assert len(answer.json["error"]) > 10
    assert answer.json["code"] == code if code else answer.json["code"]
    assert answer.json.get("field") == field
    return answer.json["error"]


def post(server, body, where=None):
    return server.post(where or path(), body, headers={"Content-Type": "application/json"})


# ---- 400: syntax, with line and column ----

SYNTAX = {
    "empty": (b"", 1, 1),
    "not JSON": (b"hello", 1, 1),
    "a list": (b"[1]", 1, 1),
    "a string": (b'"vm"', 1, 1),
    "cut short": (b'{"name": "x",\n "spec": {', 2, None),
    "trailing comma": (b'{"name": "x",\n}', 2, None),
    "trailing bytes": (b'{"name": "x", "spec": {"type": "vm", "size": "small"}}\n x', 2, None),
    "a second object": (b'{"name": "x", "spec": {"type": "vm", "size": "small"}}{}', 1, None),
    "duplicate key": (b'{"name": "x",\n"name": "y", "spec": {"type": "vm", "size": "small"}}', 2, None),
    "duplicate key below": (b'{"name": "x", "spec": {"type": "vm",\n\n"type": "vm", "size": "small"}}', 3, None),
    "NaN": (b'{"name": "x", "spec": {"type": "vm", "size": "small",\n"replicas": NaN}}', 2, None),
    "Infinity": (b'{"name": "x", "spec": {"type": "vm", "size": "small",\n"replicas": -Infinity}}', 2, None),
    "single quotes": (b"{'name': 'x'}", 1, None),
    "comment": (b'{"name": "x",\n // here\n "spec": {}}', 2, None),
    "invalid UTF-8": (b'{"name": "x",\n "spec": {"type": "vm", "size": "small", "region": "\xff"}}', 2, None),
    "overlong UTF-8": (b'{"name": "x",\n "spec": {"type": "vm", "size": "small", "region": "\xc0\xaf"}}', 2, None),
    "surrogate in UTF-8": (b'{"name": "x",\n "spec": {"type": "vm", "region": "\xed\xa0\x80"}}', 2, None),
    "lone surrogate escaped": (b'{"name": "x",\n "spec": {"type": "vm", "region": "\\ud800"}}', 2, None),
    "byte-order mark": (b'\xef\xbb\xbf{"name": "x"}', 1, 1),
    "65 levels": (b'{"name": "x",\n "spec": ' + b"[" * 64 + b"]" * 64 + b"}", 2, None),
    "100,000 levels": (b"{" + b'"a":[' + b"[" * 100000, 1, None),
}


@pytest.mark.parametrize("case", SYNTAX)
def test_syntax_errors_have_line_and_column(server, case):
    body, line, column = SYNTAX[case]
    error = refused(post(server, body), 400, "invalid")
    found = re.search(r"line (\d+), column (\d+)", error)
    assert found, error
    assert int(found[1]) == line
    assert int(found[2]) >= 1
    assert column is None or int(found[2]) == column


def test_64_levels_are_not_too_deep(server):
    # Only the field is wrong then.
    body = b'{"name": "x", "spec": {"type": "vm", "size": "small"}, "extra": ' + b"[" * 63 + b"]" * 63 + b"}"
    refused(post(server, body), 400, "invalid", "extra")


# ---- 400: a field ----

def spec(**changes):
    return {"name": "bad", "spec": {**GOOD["spec"], **changes}}


def raw(replicas):
    return f'{{"name": "bad", "spec": {{"type": "vm", "size": "small", "replicas": {replicas}}}}}'


FIELDS = {
    "unknown field": ({**GOOD, "naem": "x"}, "naem", ""),
    "unknown field of spec": (spec(replica=2), "spec.replica", "replicas"),
    "namespace in the body": ({**GOOD, "namespace": "default"}, "namespace", ""),
    "missing name": ({"spec": GOOD["spec"]}, "name", ""),
    "missing spec": ({"name": "bad"}, "spec", ""),
    "missing type": ({"name": "bad", "spec": {"size": "small"}}, "spec.type", "vm.*database.*bucket"),
    "missing size": ({"name": "bad", "spec": {"type": "vm"}}, "spec.size", "small.*medium.*large"),
    "name is a number": ({**GOOD, "name": 7}, "name", ""),
    "name is null": ({**GOOD, "name": None}, "name", ""),
    "name with capitals": ({**GOOD, "name": "Bad_Name!"}, "name", "lower-case"),
    "name with a dot": ({**GOOD, "name": "a.b"}, "name", "lower-case"),
    "name with a slash": ({**GOOD, "name": "a/b"}, "name", "lower-case"),
    "name starts with a dash": ({**GOOD, "name": "-a"}, "name", "lower-case"),
    "name ends with a dash": ({**GOOD, "name": "a-"}, "name", "lower-case"),
    "name ends with a newline": ({**GOOD, "name": "a\n"}, "name", "lower-case"),
    "name of 64 characters": ({**GOOD, "name": "a" * 64}, "name", "63"),
    "empty name": ({**GOOD, "name": ""}, "name", "63"),
    "spec is a list": ({"name": "bad", "spec": []}, "spec", ""),
    "spec is null": ({"name": "bad", "spec": None}, "spec", ""),
    "type is a number": (spec(type=1), "spec.type", "vm.*database.*bucket"),
    "unknown type": (spec(type="container"), "spec.type", "vm.*database.*bucket"),
    "type in capitals": (spec(type="VM"), "spec.type", "vm.*database.*bucket"),
    "unknown size": (spec(size="huge"), "spec.size", "small.*medium.*large"),
    "size with a space": (spec(size="small "), "spec.size", "small.*medium.*large"),
    "region is a number": (spec(region=1), "spec.region", ""),
    "region is null": (spec(region=None), "spec.region", ""),
    "region of 257 bytes": (spec(region="r" * (REGION_MAX + 1)), "spec.region", "256"),
    "region of 258 bytes, 129 characters": (spec(region="é" * 129), "spec.region", "256"),
    "replicas 0": (spec(replicas=0), "spec.replicas", "1.*10"),
    "replicas -3": (spec(replicas=-3), "spec.replicas", "1.*10"),
    "replicas 11": (spec(replicas=11), "spec.replicas", "1.*10"),
    "replicas 2.5": (spec(replicas=2.5), "spec.replicas", "1.*10"),
    "replicas 1e1": (raw("1e1"), "spec.replicas", "1.*10"),
    "replicas 2.0": (raw("2.0"), "spec.replicas", "1.*10"),
    "replicas beyond 64 bits": (raw("18446744073709551618"), "spec.replicas", "1.*10"),
    "replicas is a string": (spec(replicas="3"), "spec.replicas", "1.*10"),
    "replicas is true": (spec(replicas=True), "spec.replicas", "1.*10"),
    "replicas is null": (spec(replicas=None), "spec.replicas", "1.*10"),
    "labels is a list": ({**GOOD, "labels": []}, "labels", ""),
}


@pytest.mark.parametrize("case", FIELDS)
def test_a_wrong_field_is_named_with_what_is_allowed(server, case):
    body, field, allowed = FIELDS[case]
    error = refused(post(server, body), 400, "invalid", field)
    assert re.search(allowed, error), error


LABELS = {
    "value is a number": {"a": 1},
    "value with a space": {"a": "b c"},
    "value of 64 characters": {"a": "b" * 64},
    "value ends with a dash": {"a": "b-"},
    "empty key": {"": "b"},
    "key with a space": {"a b": "c"},
    "key of 64 characters": {"a" * 64: "b"},
    "key with two slashes": {"a/b/c": "d"},
    "key with an empty prefix": {"/a": "b"},
    "prefix with capitals": {"Example.com/a": "b"},
    "our prefix": {"gitops-squared.io/version": "v1"},
    "Flux's prefix": {"kustomize.toolkit.fluxcd.io/name": "x"},
    "kustomize's prefix": {"config.kubernetes.io/local-config": "true"},
    "our managed-by": {"app.kubernetes.io/managed-by": "somebody-else"},
}


@pytest.mark.parametrize("case", LABELS)
def test_a_wrong_label_is_named(server, case):
    answer = post(server, {**GOOD, "labels": LABELS[case]})
    assert answer.status == 400, answer.body
    assert answer.json["field"].startswith("labels"), answer.body


def test_65_labels_are_too_many(server):
    answer = post(server, {**GOOD, "labels": {f"l{i}": "x" for i in range(65)}})
    refused(answer, 400, "invalid", "labels")


# ---- regions ----

STORED = [
    'a "quoted" region', "it's", "yes", "no", "on", "y", "null", "~", "true", "0o7", "0x1f", "1e3", "1_000",
    "1.0", "12:30:45",
    ".inf", ".nan", "=", "<<", "2024-01-01", " leading and trailing ", "${HOME}", "$HOME", "#", "# no comment", "a # b",
    "a: b", "a:", "- a", "-", "---", "...", "? a", "[a]", "{a: b}", "!!int 3", "&a", "*a", "|", ">",
    "%YAML 1.1", "@a", "`a`",
    "back\\slash", "\\u0041", "/", "ünïcödé", "東京", "😀", "\u00a0", "\u200b", "\u202e", "e\u0301", "\ud7ff", "\ue000",
    "\ufffd", "\U0010fffd", "r" * REGION_MAX, "é" * (REGION_MAX // 2),
]


def test_regions_are_stored_and_read_back_unchanged(server, writes):
    for i, region in enumerate(STORED):
        assert declare(server, f"region-{i}", region=region)["spec"]["region"] == region
    resources = listed(server)
    assert [resources[f"region-{i}"]["spec"]["region"] for i in range(len(STORED))] == STORED
    assert without_status(server.get(path(name="region-0")).json) == resources["region-0"]
    files = Oci(server.registry_host).catalog()
    manifests = [yaml.safe_load(files[f"manifests/default-region-{i}.yaml"]) for i in range(len(STORED))]
    assert [manifest["spec"]["region"] for manifest in manifests] == STORED
    server.restart()
    assert listed(server) == resources


def test_a_region_may_be_left_out(server, writes):
    assert "region" not in declare(server, "nowhere")["spec"]


FORBIDDEN = [
    *range(1, 0x20), *range(0x7f, 0xa0), 0x2028, 0x2029, 0xfeff, *range(0xfdd0, 0xfdf0),
    *(plane << 16 | low for plane in range(17) for low in (0xfffe, 0xffff)),
]


def test_regions_that_kustomize_cannot_read_are_refused(server):
    for code in FORBIDDEN:
        # Raw where JSON allows it, and escaped.
        for ascii_only in {code < 0x20, True}:
            answer = post(server, json.dumps(spec(region=f"a{chr(code)}b"), ensure_ascii=ascii_only))
            assert answer.status == 400, f"U+{code:04X}: {answer.body}"
            assert answer.json["field"] == "spec.region", f"U+{code:04X}: {answer.body}"


def test_a_raw_noncharacter_is_refused_too(server):
    for code in (0x81, 0x85, 0x2028, 0xfffe, 0x1ffff):
        refused(post(server, json.dumps(spec(region=chr(code)), ensure_ascii=False)), 400, "invalid", "spec.region")


def test_a_nul_is_refused(server):
    assert post(server, json.dumps(spec(region="a\0b"))).status == 400


# ---- 404, 405, 415, 422 ----

@pytest.mark.parametrize("where", [
    "/", "/api", "/api/v1", "/api/v1/", "/api/v2/resources", "/api/v1/resource", "/api/v1/resources/",
    "/api/v1/resources/here/x",
    "/api/v1/namespaces", "/api/v1/namespaces/default", "//api/v1/resources",
    "/api/v1/resources/../resources", "/HEALTHZ", "/v2/",
])
def test_an_unknown_route_is_404(server, where):
    for method in ("GET", "POST", "DELETE", "PATCH"):
        refused(server.request(method, where), 404, "not_found")


@pytest.mark.parametrize("name", ["missing", "Bad_Name!", "a" * 64, "%2e%2e", "a%00", "a%2fb"])
def test_a_resource_that_is_not_there_is_404(server, name):
    refused(server.get(path(name=name)), 404, "not_found")
    refused(server.delete(path(name=name)), 404, "not_found")


@pytest.mark.parametrize("where, allowed", [
    ("/healthz", "GET, HEAD"),
    ("/readyz", "GET, HEAD"),
    ("/api/v1/resources", "GET, HEAD, POST"),
    ("/api/v1/resources/here", "DELETE, GET, HEAD, PATCH, PUT"),
    ("/api/v1/namespaces/team-a/resources", "GET, HEAD, POST"),
    ("/api/v1/resources/here/status", "GET, HEAD"),
    ("/api/v1/namespaces/team-a/resources/here/status", "GET, HEAD"),
    ("/api/v1/watch", "GET, HEAD"),
    ("/api/v1/namespaces/team-a/watch", "GET, HEAD"),
    ("/api/v1/layout", "GET, HEAD, PUT"),
    ("/api/v1/namespaces/team-a/resources/here", "DELETE, GET, HEAD, PATCH, PUT"),
])
def test_a_wrong_method_is_405_with_allow(server, where, allowed):
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - set(allowed.split(", ")):
        answer = server.request(method, where)
        refused(answer, 405, "method_not_allowed")
        assert sorted(answer.headers["Allow"].split(", ")) == allowed.split(", ")


@pytest.mark.parametrize("content_type", [
    "text/plain", "application/x-www-form-urlencoded", "application/yaml", "application/json-patch+json", "json",
    None])
def test_another_content_type_or_none_is_415(server, content_type):
    answer = server.post(path(), json.dumps(GOOD), headers={"Content-Type": content_type})
    error = refused(answer, 415, "unsupported_media_type")
    assert "application/json" in error


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
def test_json_by_any_name_is_taken(server, writes, content_type):
    assert server.post(path(), json.dumps(GOOD), headers={"Content-Type": content_type}).status in (200, 201)


def test_a_namespace_that_is_not_known_is_422_and_the_others_go_on(server, writes):
    refused(post(server, GOOD, path("elsewhere")), 422, "unprocessable", "namespace")
    assert post(server, GOOD, path("team-a")).status == 201
    assert list(listed(server, "team-a")) == ["good"]
    assert listed(server, "elsewhere") == {}


@pytest.mark.parametrize("namespace", ["Team", "a.b", "-a", "n" * 64, "%2e"])
def test_an_impossible_namespace_is_404(server, namespace):
    refused(post(server, GOOD, path(namespace)), 404, "not_found")


# ---- 413 ----

class Wire:
    """A connection on which the bytes are the test's."""

    def __init__(self, server):
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, data):
        self._socket.sendall(data)

    def head(self, *headers, content_type="application/json"):
        self.send("\r\n".join(["POST /api/v1/resources HTTP/1.1", "Host: x", f"Content-Type: {content_type}",
                               *headers, "", ""]).encode())

    def status(self):
        """Of the next answer, an interim one too; its head is read."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self._socket.recv(1)
            assert byte, head
            head += byte
        return int(head.split()[1])

    def rest(self):
        """All until the server closes."""
        received = b""
        try:
            while chunk := self._socket.recv(1 << 16):
                received += chunk
        except ConnectionResetError:
            pass
        return received


def test_a_body_over_1_mib_is_413_before_it_is_read(server):
    with Wire(server) as wire:
        wire.head(f"Content-Length: {BODY_MAX + 1}")
        assert wire.status() == 413
        body = json.loads(wire.rest())
        assert body["code"] == "too_large" and body["error"]


def test_a_client_that_asks_first_is_told_413(server):
    with Wire(server) as wire:
        wire.head(f"Content-Length: {BODY_MAX + 1}", "Expect: 100-continue")
        assert wire.status() == 413


def test_a_client_that_asks_first_is_told_415(server):
    with Wire(server) as wire:
        wire.head("Content-Length: 2", "Expect: 100-continue", content_type="text/plain")
        assert wire.status() == 415


def test_a_client_that_asks_first_may_go_on(server, writes):
    body = json.dumps(intent("asked-first")).encode()
    with Wire(server) as wire:
        wire.head(f"Content-Length: {len(body)}", "Expect: 100-continue")
        assert wire.status() == 100
        wire.send(body)
        assert wire.status() == 201


def test_a_chunked_body_that_grows_over_1_mib_is_413(server):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with Wire(server) as wire:
        wire.head("Transfer-Encoding: chunked")
        for _ in range(BODY_MAX // 0x10000):
            wire.send(chunk)
        wire.send(b"1\r\n \r\n")
        assert wire.status() == 413


def test_a_body_of_just_1_mib_is_taken(server, writes):
    body = json.dumps(intent("one-mib")).encode()
    assert server.post(path(), body + b" " * (BODY_MAX - len(body))).status == 201
