# SPDX-License-Identifier: Apache-2.0
"""Lists in pages and through filters, of both layouts."""
import json
import random
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from tests.lib.gsq import Gsq
from tests.system.resources import declare, in_list, path, remove

# By bytes "team" is before "team-a"; by the names of their catalogs' repositories it is not.
NAMESPACES = ["crowd", "default", "moving", "team", "team-a", "void"]
LAYOUTS = {"single": (), "split": ("--layout", "split", "--catalogs", "4")}
TYPES, SIZES = ("vm", "database", "bucket"), ("small", "medium", "large")
REGIONS = (None, "", "us-east-1", "Zürich 東京 & co+1%")
CROWD = 1200
LOOKS = 512  # resources that the server looks at before it sends something


@pytest.fixture(scope="module", params=LAYOUTS)
def server(request, tmp_path_factory):
    with Gsq(tmp_path_factory.mktemp("gsq"), namespaces=NAMESPACES, args=LAYOUTS[request.param]) as server:
        yield server


def declare_all(server, names, namespace, **spec):
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda name: declare(server, name, namespace, **spec), names))


@pytest.fixture(scope="module")
def declared(server):
    """All that is in the default namespace, as a list has it, in order."""
    resources = []
    for i in range(36):
        region = {} if REGIONS[i % 4] is None else {"region": REGIONS[i % 4]}
        answer = declare(server, f"r{i * 7 % 36}", type=TYPES[i % 3], size=SIZES[i // 3 % 3], **region)
        resources.append(in_list(answer))
    return sorted(resources, key=lambda item: item["name"])


@pytest.fixture(scope="module")
def everything(server, declared):
    """All of all namespaces in order, but for those that tests write to."""
    for namespace in ("team-a", "team"):
        declare_all(server, ["web", "db", "z" * 63], namespace)
    lists = [server.get(path(namespace)).json["resources"] for namespace in ("team", "team-a")]
    return [*declared, *lists[0], *lists[1]]


def query(**parameters):
    return "&".join(f"{name}={quote(str(value), safe='*')}" for name, value in parameters.items())


def ask(server, where=path(), **parameters):
    answer = server.get(f"{where}?{query(**parameters)}")
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["count"] == len(answer.json["resources"])
    assert set(answer.json) <= {"resources", "count", "continue"}
    return answer.json


def pages(server, where=path(), **parameters):
    """Page by page, to the end."""
    token = {}
    while True:
        page = ask(server, where, **parameters, **token)
        yield page["resources"]
        if "continue" not in page:
            return
        token = {"continue": page["continue"]}


def refused(server, text, where=path()):
    answer = server.get(f"{where}?{text}")
    assert (answer.status, answer.json["code"]) == (400, "invalid"), (text, answer.body)
    return answer.json


# ---- pages ----

@pytest.mark.parametrize("limit", [1, 2, 7, 18, 35, 36, 37, 10**18])
def test_pages_together_are_the_list(server, declared, limit):
    found = list(pages(server, limit=limit))
    assert [item for page in found for item in page] == declared
    assert all(len(page) == limit for page in found[:-1])
    assert 0 < len(found[-1]) <= limit


@pytest.mark.parametrize("parameters", [{}, {"limit": 0}, {"limit": 0, "continue": ""}, {"limit": "00"}])
def test_without_a_limit_all_is_listed_at_once(server, declared, parameters):
    assert ask(server, **parameters) == {"resources": declared, "count": len(declared)}


def test_the_rest_is_listed_without_a_limit(server, declared):
    token = ask(server, limit=5)["continue"]
    assert ask(server, **{"continue": token}) == {"resources": declared[5:], "count": len(declared) - 5}


def test_a_token_needs_no_escapes(server, declared):
    token = ask(server, limit=1, namespace="*")["continue"]
    assert quote(token, safe="") == token


def test_the_last_page_has_no_token_even_when_it_is_full(server, declared):
    assert "continue" not in ask(server, limit=len(declared))
    assert "continue" in ask(server, limit=len(declared) - 1)


def test_the_path_of_a_namespace_has_pages_too(server, everything):
    found = list(pages(server, path("team-a"), limit=2))
    assert [[item["name"] for item in page] for page in found] == [["db", "web"], ["z" * 63]]


def test_an_empty_namespace_is_one_empty_page(server):
    assert ask(server, path("void"), limit=3) == {"resources": [], "count": 0}


def test_what_stays_is_listed_once_whatever_is_written_between_pages(server):
    random.seed(1)
    staying = [f"stays-{i:02}" for i in range(30)]
    declare_all(server, staying, "moving")
    others = [f"stays-{i:02}-{j}" for i in range(30) for j in range(2)]
    present, seen = set(), []
    for page in pages(server, path("moving"), limit=3):
        seen += [item["name"] for item in page]
        for name in random.sample(others, 4):
            if name in present:
                remove(server, name, "moving")
            else:
                declare(server, name, "moving")
            present ^= {name}
    assert seen == sorted(set(seen))
    assert [name for name in seen if name in staying] == staying


def test_a_page_goes_on_where_its_last_resource_was_deleted(server):
    names = [f"gone-{i}" for i in range(5)]
    declare_all(server, names, "moving")
    page = ask(server, path("moving"), limit=2)
    assert [item["name"] for item in page["resources"]] == names[:2]
    remove(server, "gone-1", "moving")
    assert [item["name"] for item in ask(server, path("moving"), limit=3, **{"continue": page["continue"]})
            ["resources"]] == names[2:]
    for name in ("gone-0", "gone-2", "gone-3", "gone-4"):
        remove(server, name, "moving")


@pytest.mark.parametrize("token", [
    "x", "v1", "v1.", "v1.default", "v1.default.", "v1..r1", "v1.Default.r1", "v1.default.r1.x", "v1.default.R1",
    "v2.default.r1", "v1al.default.r1", ".default.r1", "v1.default.r1%20", "v1.default." + "x" * 64, "%C3%A4", "-" * 8000])
def test_a_bad_token_is_refused(server, declared, token):
    error = refused(server, f"limit=2&continue={token}")
    assert error["field"] == "continue"
    assert "start again without it" in error["error"]


def test_a_token_is_of_its_namespace(server, everything):
    of_default = ask(server, limit=2)["continue"]
    of_all = ask(server, limit=2, namespace="*")["continue"]
    for where, text in [(path("team-a"), f"continue={of_default}"),
                        (path(), f"continue={of_default}&namespace=team-a"),
                        (path(), f"namespace=*&continue={of_default}"),
                        (path(), f"continue={of_all}"),
                        (path("default"), f"continue={of_all}")]:
        error = refused(server, text, where)
        assert error["field"] == "continue"
        assert "another namespace" in error["error"]
    assert ask(server, namespace="default", **{"continue": of_default})["count"] == 34


# ---- filters ----

@pytest.mark.parametrize("kind", TYPES)
def test_by_type(server, declared, kind):
    assert ask(server, type=kind)["resources"] == [item for item in declared if item["spec"]["type"] == kind] != []


@pytest.mark.parametrize("size", SIZES)
def test_by_size(server, declared, size):
    assert ask(server, size=size)["resources"] == [item for item in declared if item["spec"]["size"] == size] != []


@pytest.mark.parametrize("region", REGIONS[1:])
def test_by_region(server, declared, region):
    matching = [item for item in declared if item["spec"].get("region") == region]
    assert ask(server, region=region)["resources"] == matching != []


@pytest.mark.parametrize("region", ["US-EAST-1", "us-east", "us-east-11", "x" * 1000, "\u00ff"])
def test_a_region_matches_exactly_or_not_at_all(server, declared, region):
    assert ask(server, region=region) == {"resources": [], "count": 0}


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_filters_together_page_by_page(server, declared, limit):
    wanted = {"type": "vm", "region": "us-east-1"}
    matching = [item for item in declared if wanted.items() <= item["spec"].items()]
    found = list(pages(server, limit=limit, **wanted))
    assert [item for page in found for item in page] == matching
    assert all(len(page) == limit for page in found[:-1])
    assert len(matching) == 3


@pytest.mark.parametrize("limit", [0, 1, 5])
@pytest.mark.parametrize("phase", ["pending", "applied", "failed", "unknown"])
def test_by_phase(server, declared, phase, limit):
    found = [item for page in pages(server, limit=limit, phase=phase, type="vm") for item in page]
    assert found == [item for item in declared if phase == "unknown" and item["spec"]["type"] == "vm"]


def test_filters_may_change_from_page_to_page(server, declared):
    token = ask(server, limit=10)["continue"]
    assert ask(server, type="bucket", **{"continue": token})["resources"] == [
        item for item in declared[10:] if item["spec"]["type"] == "bucket"]


# ---- namespaces ----

def test_a_namespace_may_be_a_parameter(server, everything):
    for namespace in ("default", "team", "team-a", "void"):
        assert ask(server, namespace=namespace) == server.get(path(namespace)).json
    assert ask(server, "/api/v1/namespaces/team/resources", namespace="team") == server.get(path("team")).json


@pytest.mark.parametrize("namespace", ["default", "team-a", "*"])
def test_a_parameter_must_not_contradict_the_path(server, namespace):
    error = refused(server, f"namespace={namespace}", path("team"))
    assert error["field"] == "namespace"
    assert "team" in error["error"]


@pytest.mark.parametrize("limit", [0, 1, 4, 1000])
def test_all_namespaces_are_listed_in_order(server, everything, limit):
    for namespace in ("crowd", "moving"):
        for item in server.get(path(namespace)).json["resources"]:
            remove(server, item["name"], namespace)
    assert [item for page in pages(server, limit=limit, namespace="*") for item in page] == everything


def test_all_namespaces_may_be_filtered(server, everything):
    matching = [item for item in everything if item["spec"]["type"] == "vm"]
    assert {item["namespace"] for item in matching} == {"default", "team", "team-a"}
    assert [item for page in pages(server, limit=5, namespace="*", type="vm") for item in page] == matching


# ---- bad parameters ----

BAD = {
    "limit=-1": ("limit", "digits"),
    "limit=": ("limit", "digits"),
    "limit=1.5": ("limit", "digits"),
    "limit=+1": ("limit", "digits"),
    "limit=ten": ("limit", "digits"),
    f"limit={2**64}": ("limit", "digits"),
    "type=": ("type", "vm, database or bucket"),
    "type=VM": ("type", "vm, database or bucket"),
    "type=vm%2Cbucket": ("type", "vm, database or bucket"),
    "size=": ("size", "small, medium or large"),
    "size=tiny": ("size", "small, medium or large"),
    "namespace=": ("namespace", "lower-case"),
    "namespace=Team": ("namespace", "lower-case"),
    "namespace=**": ("namespace", "lower-case"),
    "type=vm&size=small&type=vm": ("type", "twice"),
    "phase=": ("phase", "pending, applied, failed or unknown"),
    "phase=Applied": ("phase", "pending, applied, failed or unknown"),
    "phase=deleting": ("phase", "/status"),
    "limit=1&limit=1": ("limit", "twice"),
    "%6Cimit=1&limit=1": ("limit", "twice"),
    "regoin=us-east-1": ("regoin", "limit, continue, namespace, type, size, region, phase and labelSelector"),
    "Type=vm": ("Type", "limit, continue, namespace, type, size, region, phase and labelSelector"),
    "limit=1&=x": ("", "limit, continue, namespace, type, size, region, phase and labelSelector"),
    "fieldSelector=a": ("fieldSelector", "limit, continue, namespace, type, size, region, phase and labelSelector"),
    "%C3%A4=1": ("ä", "limit, continue, namespace, type, size, region, phase and labelSelector"),
    "x" * 500: ("x", "limit, continue, namespace, type, size, region, phase and labelSelector"),
    "region=%": ("", "escape"),
    "region=%00": ("", "escape"),
    "%zz=1": ("", "escape"),
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_parameter_is_named_with_what_is_allowed(server, text):
    field, allowed = BAD[text]
    error = refused(server, text)
    assert error.get("field", "").startswith(field)
    assert allowed in error["error"]


@pytest.mark.parametrize("text", ["", "&", "limit=3&", "&&limit=3", "%6cimit=3", "t%79pe=vm&limit=3"])
def test_odd_but_good_queries_are_read(server, declared, text):
    assert server.get(f"{path()}?{text}").status == 200


def test_head_judges_the_query_and_sends_no_body(server, declared):
    for text, status in (("limit=2", 200), ("type=vm", 200), ("type=x", 400), ("regoin=x", 400)):
        answer = server.request("HEAD", f"{path()}?{text}")
        assert (answer.status, answer.body) == (status, b"")


# ---- many ----

@pytest.fixture(scope="module")
def crowd(server):
    names = sorted(f"c{i}" for i in range(CROWD))
    declare_all(server, names[:-1], "crowd")
    declare(server, names[-1], "crowd", region="far")
    return names


def chunks(server, where):
    """The chunks of a body, as they are on the wire."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(f"GET {where} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            assert answer.readline().split()[1] == b"200"
            while answer.readline() != b"\r\n":
                pass
            while size := int(answer.readline(), 16):
                yield answer.read(size)
                assert answer.readline() == b"\r\n"


def test_a_list_is_sent_in_pieces(server, crowd):
    pieces = list(chunks(server, path("crowd")))
    assert len(pieces) > 5
    assert max(map(len, pieces)) < 64 * 1024
    assert [item["name"] for item in json.loads(b"".join(pieces))["resources"]] == crowd


@pytest.mark.parametrize("parameters, count", [("region=nowhere", 0), ("region=far", 1), ("region=far&limit=1", 1)])
def test_a_filter_that_matches_little_looks_at_some_resources_for_each_piece(server, crowd, parameters, count):
    pieces = list(chunks(server, f"{path('crowd')}?{parameters}"))
    assert len(pieces) >= CROWD // LOOKS
    found = json.loads(b"".join(pieces))
    assert found == {"resources": found["resources"], "count": count}
    assert [item["name"] for item in found["resources"]] == crowd[len(crowd) - count:]


def test_pages_of_many_are_the_list(server, crowd):
    found = list(pages(server, path("crowd"), limit=500))
    assert [len(page) for page in found] == [500, 500, 200]
    assert [item["name"] for page in found for item in page] == crowd


def test_a_token_passes_what_no_filter_matches(server, crowd):
    """There may be much of it between a page's last resource and the next that matches: it is not looked at twice."""
    declare(server, crowd[0], "crowd", region="far")
    first = ask(server, path("crowd"), region="far", limit=1)
    assert [item["name"] for item in first["resources"]] == [crowd[0]]
    rest = ask(server, path("crowd"), **{"continue": first["continue"]})
    assert [item["name"] for item in rest["resources"]] == [crowd[-1]]
