# SPDX-License-Identifier: Apache-2.0
"""Label selectors, as kubectl -l takes them: on lists, and on what a change prunes."""
from urllib.parse import quote

import pytest

from tests.lib.gsq import Gsq
from tests.system.resources import declare, path

LABELS = {
    "plain": None,
    "web": {"app": "web", "tier": "front", "env": "prod"},
    "web-test": {"app": "web", "tier": "front", "env": "test"},
    "db": {"app": "db", "tier": "back", "env": "prod", "example.com/backup": "daily"},
    "empty": {"app": ""},
    "odd": {"in": "notin", "exists": "true"},
}
ALL = set(LABELS)


def listing(selector, **query):
    query = {"labelSelector": selector, **query}
    return f"{path()}?" + "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())


def names(answer):
    assert answer.status == 200, answer.body
    return [item["name"] for item in answer.json["resources"]]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gsq(tmp_path_factory.mktemp("selector"), namespaces=("default", "team-a")) as server:
        for name, labels in LABELS.items():
            declare(server, name, labels=labels)
        declare(server, "elsewhere", "team-a", labels={"app": "web"})
        yield server


SELECTORS = [
    ("", ALL), (" ", ALL),
    ("app=web", {"web", "web-test"}), ("app==web", {"web", "web-test"}), (" app = web ", {"web", "web-test"}),
    ("app=", {"empty"}), ("app==", {"empty"}), ("app!=", ALL - {"empty"}),
    ("app!=web", ALL - {"web", "web-test"}), ("app=web,env!=test", {"web"}),
    ("env=prod,tier=back", {"db"}), ("app=web,app=db", set()),
    ("app in (web,db)", {"web", "web-test", "db"}), ("app in ( db , web )", {"web", "web-test", "db"}),
    ("app in (web)", {"web", "web-test"}), ("app in (,web)", {"web", "web-test", "empty"}), ("app in ()", {"empty"}),
    ("app notin (web,db)", {"plain", "empty", "odd"}), ("env notin (test),app", {"web", "db", "empty"}),
    ("app", {"web", "web-test", "db", "empty"}), ("!app", {"plain", "odd"}), ("! app", {"plain", "odd"}),
    ("tier,!example.com/backup", {"web", "web-test"}), ("example.com/backup=daily", {"db"}),
    ("in in (notin)", {"odd"}), ("in=notin", {"odd"}), ("exists", {"odd"}), ("APP=web", set()), ("app=WEB", set()),
    ("nothing", set()), ("app=web,!app", set()),
]


@pytest.mark.parametrize("selector, wanted", SELECTORS)
def test_a_list_has_what_the_selector_matches(server, selector, wanted):
    assert set(names(server.get(listing(selector)))) == wanted


@pytest.mark.parametrize("selector, wanted", SELECTORS)
def test_a_prune_takes_what_the_selector_matches(server, selector, wanted):
    answer = server.post("/api/v1/changes?dryRun=true&confirm=prune",
                         {"prune": {"namespaces": ["default"], "selector": selector}})
    assert answer.status == 200, answer.body
    assert {item["name"] for item in answer.json["changes"]} == wanted
    assert {item["result"] for item in answer.json["changes"]} <= {"deleted"}


@pytest.mark.parametrize("selector, says", [
    ("app=web,", "the key of a label"), (",app", "character 1"), ("=web", "character 1"), ("app=web db", "character 9"),
    ("app=web=db", "character 8"), ("app in web", "("), ("app in (web", ", or )"), ("app in (web db)", "character 13"),
    ("app notin", "("), ("app is web", "in, notin"), ("!", "the key"), ("!app=web", "a comma"), ("!!app", "the key"),
    ("app>3", "character 4"), ("a b", "character 3"), ("app=web)", "a comma"), ("()", "the key"), ("app=a/b", "the value"),
    ("a/b/c=d", "the key"), ("/a=b", "the key"), ("a/=b", "the key"), ("app=" + "x" * 64, "the value"),
    ("x" * 64, "the key"), ("app=wäb", "the value"), ("app in (a,b))", "a comma"), ("app=*", "the value"),
])
def test_what_is_no_selector_is_refused_with_its_place(server, selector, says):
    answer = server.get(listing(selector))
    assert (answer.status, answer.json["field"]) == (400, "labelSelector"), answer.body
    assert says in answer.json["error"]
    answer = server.post("/api/v1/changes", {"prune": {"namespaces": ["default"], "selector": selector}})
    assert (answer.status, answer.json["field"]) == (400, "prune.selector")
    assert says in answer.json["error"]


@pytest.mark.parametrize("selector", [",".join(["app=web"] * 65), f"app in ({','.join(['a'] * 257)})"])
def test_a_selector_has_limits(server, selector):
    answer = server.get(listing(selector))
    assert (answer.status, answer.json["field"]) == (400, "labelSelector")


def test_it_goes_with_the_other_filters_and_with_pages(server):
    assert names(server.get(listing("app", namespace="*"))) == ["db", "empty", "web", "web-test", "elsewhere"]
    assert names(server.get(listing("app=web", type="database"))) == []
    first = server.get(listing("app", limit=3))
    assert names(first) == ["db", "empty", "web"]
    rest = server.get(listing("app", limit=3, **{"continue": first.json["continue"]}))
    assert names(rest) == ["web-test"] and "continue" not in rest.json
    assert names(server.get(listing("app=web").replace("resources?", "resources?limit=1&"))) == ["web"]


def test_a_selector_is_given_once_and_spelt_right(server):
    for query in ("labelSelector=a&labelSelector=b", "labelselector=a", "labelSelector=%zz"):
        assert server.get(f"{path()}?{query}").status == 400
