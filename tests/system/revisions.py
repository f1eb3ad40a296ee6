# SPDX-License-Identifier: Apache-2.0
"""History, revisions, differences and rollbacks over the API, and texts that differences lead to."""
from tests.system.resources import path

REASON = "X-Change-Reason"


def root(namespace=None):
    """Where the paths begin that are about everything, or about one namespace."""
    return "/api/v1" if namespace is None else f"/api/v1/namespaces/{namespace}"


def ask(server, where):
    answer = server.get(where)
    assert answer.status == 200, (where, answer.body)
    return answer.json


def pages(server, where, limit):
    """Page by page, to the end."""
    token = ""
    while True:
        page = ask(server, f"{where}?limit={limit}{token}")
        yield page
        if "continue" not in page:
            return
        token = f"&continue={page['continue']}"


def together(server, where, key, limit=500):
    """All of all pages."""
    return [item for page in pages(server, where, limit) for item in page[key]]


def history(server, name, namespace="default", limit=500):
    """All versions of a resource, newest first."""
    return together(server, f"{path(namespace, name)}/history", "history", limit)


def revisions(server, namespace=None, limit=500):
    """All commit records, newest first."""
    return together(server, f"{root(namespace)}/revisions", "revisions", limit)


def newest(server):
    """The version of the last commit."""
    return ask(server, f"{root()}/revisions?limit=1")["revisions"][0]["revision"]


def resources_at(server, revision, namespace=None, limit=500):
    return together(server, f"{root(namespace)}/revisions/{revision}/resources", "resources", limit)


def diff(server, a, b, namespace=None, limit=500):
    return together(server, f"{root(namespace)}/diff/{a}..{b}", "changes", limit)


def intents(resources):
    """{(namespace, name): what was wanted} of resources as the API answers them."""
    return {(item["namespace"], item["name"]): (item["spec"], item["labels"]) for item in resources}


def everything(server):
    return intents(ask(server, "/api/v1/resources?namespace=*")["resources"])


def roll_back(server, to, namespace=None, query="", **kwargs):
    return server.post(f"{root(namespace)}/rollback{query}", {"to": to}, **kwargs)


def roll_back_one(server, name, to, namespace="default", query="", **kwargs):
    return server.post(f"{path(namespace, name)}/rollback{query}", {"to": to}, **kwargs)


def rolled_back(answer):
    """{(namespace, name): result} of a rollback that was made."""
    assert answer.status == 200, answer.body
    return {(item["namespace"], item["name"]): item["result"] for item in answer.json["changes"]}


def patched(text, difference):
    """What a unified difference makes of a text; each line that it keeps or takes away must be there."""
    lines, result, at = text.splitlines(keepends=True), [], 0
    if not difference:
        return text
    old, new, *rest = difference.splitlines(keepends=True)
    assert old.startswith("--- ") and new.startswith("+++ "), difference
    for line in rest:
        if line.startswith("@@ "):
            start, _, count = line.split()[1].removeprefix("-").partition(",")
            start = int(start) - (count != "0")
            result += lines[at:start]
            at = start
            continue
        if line[0] in " -":
            assert lines[at] == line[1:], difference
            at += 1
        if line[0] in " +":
            result.append(line[1:])
    return "".join(result + lines[at:])


def names_in(difference):
    """What its two texts are called."""
    old, new = difference.splitlines()[:2]
    return old.removeprefix("--- "), new.removeprefix("+++ ")
