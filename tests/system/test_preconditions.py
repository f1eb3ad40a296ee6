# SPDX-License-Identifier: Apache-2.0
"""If-Match and If-None-Match (RFC 9110 sections 8.8.3 and 13): nobody overwrites what they have not seen."""
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lib.gsq import Gsq
from tests.lib.rounds import rounds
from tests.system.resources import declare, intent, is_later, listed, path, remove, without_status

WRITERS = 32
MERGE_PATCH = "application/merge-patch+json"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with Gsq(tmp_path_factory.mktemp("gsq"), namespaces=("default", "team-a")) as server:
        yield server


@pytest.fixture
def server(running):
    """Without resources."""
    for name in listed(running):
        remove(running, name)
    return running


def etag(version):
    return f'"{version}"'


def change(server, method, name, headers, **spec):
    """Changes it by any method; spec: of what is put."""
    body = {"POST": intent(name, **spec), "PUT": intent(name, **spec), "PATCH": {"spec": spec}, "DELETE": None}[method]
    headers = {"Content-Type": MERGE_PATCH if method == "PATCH" else "application/json", **headers}
    return server.request(method, path(name=None if method == "POST" else name), body, headers=headers)


def put_if(server, name, value, header="If-Match", **spec):
    return change(server, "PUT", name, {header: value}, **spec)


def get(server, name="web"):
    return without_status(server.get(path(name=name)).json)


def assert_failed(answer, current):
    """412, which names the version that is current; None: there is nothing."""
    assert answer.status == 412, (answer.status, answer.body)
    assert answer.json["code"] == "precondition_failed"
    assert answer.json.get("version") == current
    assert answer.headers["ETag"] == (current and etag(current))
    return answer.json["error"]


# ---- ETags ----

def test_every_answer_about_one_resource_has_its_version_as_etag(server):
    created = server.post(path(), intent("web"))
    unchanged = server.post(path(), intent("web"))
    updated = server.put(path(name="web"), intent("web", size="large"))
    patched = change(server, "PATCH", "web", {}, replicas=3)
    for answer in (created, unchanged, updated, patched, server.get(path(name="web"))):
        assert answer.headers["ETag"] == etag(answer.json["version"]), answer.body
    head = server.request("HEAD", path(name="web"))
    assert head.headers["ETag"] == patched.headers["ETag"]
    assert len({answer.headers["ETag"] for answer in (created, unchanged, updated, patched)}) == 3


def test_an_answer_without_a_resource_has_no_etag(server):
    declare(server, "web")
    assert server.get(f"{path(name='web')}/status").headers["ETag"] is None
    assert server.delete(path(name="web")).headers["ETag"] is None
    assert server.get(path(name="web")).headers["ETag"] is None


def test_a_read_is_answered_whole_whatever_its_conditions(server):
    version = declare(server, "web")["version"]
    for headers in ({"If-None-Match": etag(version)}, {"If-None-Match": "*"}, {"If-Match": etag("v1")}):
        answer = server.get(path(name="web"), headers=headers)
        assert (answer.status, answer.json["version"]) == (200, version)


# ---- two editors ----

def test_of_two_editors_one_is_told_what_to_do(server):
    seen = declare(server, "web")["version"]
    first = put_if(server, "web", etag(seen), size="medium")
    assert first.status == 200, first.body
    now = first.json["version"]
    second = put_if(server, "web", etag(seen), size="large")
    said = assert_failed(second, now)
    assert said == (f"web was changed since: it is at {now} now ({first.json['updatedAt']}), and the request is about "
                    f"{seen}: read it again, and send the change again with If-Match: {etag(now)}")
    assert get(server) == first.json
    again = put_if(server, "web", second.headers["ETag"], size="large")
    assert (again.status, again.json["spec"]["size"]) == (200, "large")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_change_of_another_version_than_was_seen_is_refused(server, method):
    seen = declare(server, "web")["version"]
    now = declare(server, "web", size="medium")
    assert_failed(change(server, method, "web", {"If-Match": etag(seen)}, size="large"), now["version"])
    assert get(server) == now
    answer = change(server, method, "web", {"If-Match": etag(now["version"])}, size="large")
    assert answer.status == 200, answer.body
    assert is_later(answer.json["version"], now["version"])


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_version_that_was_deleted_is_not_made_again(server, method):
    seen = declare(server, "web")["version"]
    remove(server, "web")
    said = assert_failed(change(server, method, "web", {"If-Match": etag(seen)}), None)
    assert f"web is not there any more, and the request is about {seen}" in said
    assert not listed(server)
    now = declare(server, "web")["version"]  # the same intent, and yet another version
    assert_failed(change(server, method, "web", {"If-Match": etag(seen)}, size="large"), now)


def test_preconditions_are_of_one_namespace(server):
    version = declare(server, "web")["version"]
    other = path("team-a", "web")
    assert_failed(server.put(other, intent("web"), headers={"If-Match": etag(version)}), None)
    assert server.put(other, intent("web"), headers={"If-None-Match": "*"}).status == 201
    assert server.delete(other).status == 200


# ---- create only, must be there ----

@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_create_only_changes_nothing_that_is_there(server, method):
    created = change(server, method, "web", {"If-None-Match": "*"})
    assert created.status == 201, created.body
    said = assert_failed(change(server, method, "web", {"If-None-Match": "*"}, size="large"), created.json["version"])
    assert said.startswith(f"web is there already, at {created.json['version']} ({created.json['updatedAt']}): ")
    assert f"If-Match: {etag(created.json['version'])}" in said
    assert get(server) == created.json


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_change_only_creates_nothing(server, method):
    said = assert_failed(change(server, method, "web", {"If-Match": "*"}), None)
    assert said == ("web is not there, and the request changes only what is: to make it, send If-None-Match: * in "
                    "place of If-Match")
    assert not listed(server)
    declare(server, "web")
    answer = change(server, method, "web", {"If-Match": "*"}, size="large")
    assert (answer.status, answer.json["spec"]["size"]) == (200, "large")


@pytest.mark.parametrize("value", ["*", '"v1"'])
def test_what_is_not_there_is_not_found_whatever_the_condition(server, value):
    """RFC 9110 section 13.2.1: a condition counts where the answer were a success without it."""
    for method in ("DELETE", "PATCH"):
        assert change(server, method, "web", {"If-Match": value}).status == 404


def test_a_request_that_is_wrong_is_told_so_first(server):
    declare(server, "web")
    answer = put_if(server, "web", etag("v1"), size="huge")
    assert (answer.status, answer.json["field"]) == (400, "spec.size")


# ---- lists ----

def test_any_etag_of_a_list_may_match(server):
    version = declare(server, "web")["version"]
    for n, value in enumerate([f'"v1", {etag(version)}', f'"v1" ,,{{}},"x,y"', f'W/"v1",\t{{}} , "v2"']):
        version = get(server)["version"]
        answer = put_if(server, "web", value.format(etag(version)) if n else value, region=f"{n}")
        assert answer.status == 200, answer.body
        assert answer.json["spec"]["region"] == f"{n}"


def test_several_lines_are_one_list(server):
    version = declare(server, "web")["version"]
    assert lines(server, 'If-Match: "v1"', f"If-Match: {etag(version)}").startswith("HTTP/1.1 200 ")
    assert lines(server, 'If-Match: "v1"', 'If-Match: "v2"').startswith("HTTP/1.1 412 ")
    assert lines(server, 'If-Match: "v1"', "If-Match: *").startswith("HTTP/1.1 400 ")
    assert lines(server, "If-Match: *", 'If-Match: "v1"').startswith("HTTP/1.1 400 ")


def lines(server, *headers):
    """The answer to a PUT with these header lines."""
    connection = server.connect()
    try:
        connection.connect()
        body = '{"spec":{"type":"vm","size":"large"}}'
        head = "\r\n".join([f"PUT {path(name='web')} HTTP/1.1", "Host: x", "Connection: close",
                            "Content-Type: application/json", f"Content-Length: {len(body)}", *headers])
        connection.sock.sendall(f"{head}\r\n\r\n{body}".encode())
        return b"".join(iter(lambda: connection.sock.recv(65536), b"")).decode()
    finally:
        connection.close()


def test_a_list_of_others_is_refused(server):
    version = declare(server, "web")["version"]
    said = assert_failed(put_if(server, "web", '"v2", "v1"', size="large"), version)
    assert "the request is about v2" in said


@pytest.mark.parametrize("value", ['W/{}', '"{}', '"0{}"', '"V{}"'], ids=["weak", "with a quote", "zero", "case"])
def test_what_is_nearly_the_etag_never_matches(server, value):
    version = declare(server, "web")["version"]
    tag = value.format(etag(version) if value.startswith("W") else version)
    if value == '"{}':
        tag += '-gzip"'  # as some proxies make of it
    said = assert_failed(put_if(server, "web", tag, size="large"), version)
    assert f"If-Match: {etag(version)}" in said
    assert get(server)["spec"]["size"] == "small"


# ---- If-None-Match with ETags ----

def test_not_that_version(server):
    version = declare(server, "web")["version"]
    for value in (etag(version), f"W/{etag(version)}", f'"v1", {etag(version)}'):
        assert_failed(put_if(server, "web", value, "If-None-Match", size="large"), version)
    answer = put_if(server, "web", '"v1", "x"', "If-None-Match", size="large")
    assert answer.status == 200, answer.body
    remove(server, "web")
    assert put_if(server, "web", etag(version), "If-None-Match").status == 201


def test_both_headers_must_hold(server):
    version = declare(server, "web")["version"]
    both = {"If-Match": etag(version), "If-None-Match": "*"}
    assert_failed(change(server, "PUT", "web", both, size="large"), version)
    both = {"If-Match": "*", "If-None-Match": etag(version)}
    assert_failed(change(server, "PUT", "web", both, size="large"), version)
    both = {"If-Match": "*", "If-None-Match": etag("v1")}
    assert change(server, "PUT", "web", both, size="large").status == 200


# ---- malformed ----

MALFORMED = ["", ",", "v1", "'v1'", '"v1', 'v1"', '"v1" "v2"', '"v1";"v2"', 'w/"v1"', 'W/v1', 'W/', '"v 1"', '*, "v1"',
             '"v1", *', "**"]


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("value", MALFORMED)
def test_a_malformed_header_is_named(server, header, value):
    declare(server, "web")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = change(server, method, "web", {header: value}, size="large")
        assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "invalid", header)
        assert answer.json["error"].startswith(f"{header} must be * or ETags in their quotes, as in \"v")
    assert get(server)["spec"]["size"] == "small"


# ---- races ----

@pytest.mark.concurrent
def test_of_many_who_have_seen_the_same_version_exactly_one_wins(server):
    now = declare(server, "web", region="start")
    with ThreadPoolExecutor(WRITERS) as pool:
        for i in range(rounds(5, 100)):
            seen = now["version"]
            answers = list(pool.map(lambda n: put_if(server, "web", etag(seen), region=f"{i} {n}"), range(WRITERS)))
            won = [answer for answer in answers if answer.status == 200]
            assert len(won) == 1, [answer.status for answer in answers]
            now = won[0].json
            assert get(server) == now
            for answer in answers:
                if answer is not won[0]:
                    assert_failed(answer, now["version"])


@pytest.mark.concurrent
def test_of_many_who_create_it_exactly_one_does(server):
    with ThreadPoolExecutor(WRITERS) as pool:
        for i in range(rounds(5, 100)):
            answers = list(pool.map(lambda n: put_if(server, f"web-{i}", "*", "If-None-Match", region=f"{n}"),
                                    range(WRITERS)))
            [won] = [answer for answer in answers if answer.status == 201]
            assert sorted({answer.status for answer in answers}) == [201, 412]
            assert get(server, f"web-{i}") == won.json
