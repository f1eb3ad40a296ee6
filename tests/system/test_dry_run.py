# SPDX-License-Identifier: Apache-2.0
"""?dryRun=true answers what a change would be answered, with its difference, and changes nothing."""
import pytest

from tests.lib.events import Events
from tests.lib.gsq import Gsq
from tests.lib.tokens import create_token
from tests.system.resources import declare, intent, listed, path

DRY = "?dryRun=true"
MERGE_PATCH = "application/merge-patch+json"
MADE = ("version", "digest", "updatedAt")  # what only a version has
POLICY = """\
quotas:
  team-a: 1
"""


@pytest.fixture
def server(embedded_store, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    with embedded_store.server(namespaces=("default", "team-a"), args=["--policy", policy]) as server:
        yield server


def send(server, method, where, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if method == "PATCH":
        headers.setdefault("Content-Type", MERGE_PATCH)
    return server.request(method, where, body, headers=headers)


def everything(server, store):
    """All that a change would change: what the API lists, and each tag of the registry."""
    oci = store.oci()
    return (listed(server), listed(server, "team-a"),
            {repository: {tag: oci.digest(repository, tag) for tag in oci.tags(repository)}
             for repository in oci.repositories()})


def both(server, store, method, where, body=None, **headers):
    """The answers to a dry run, which changed nothing, and to the same request in earnest."""
    before = everything(server, store)
    dry = send(server, method, where + DRY, body, **headers)
    assert everything(server, store) == before
    return dry, send(server, method, where, body, **headers)


def assert_same_refusal(dry, real, status):
    assert (dry.status, dry.json) == (real.status, real.json)
    assert dry.status == status, dry.body
    for header in ("Retry-After", "ETag", "Allow", "Accept-Patch", "WWW-Authenticate"):
        assert dry.headers[header] == real.headers[header]


def without(item, *keys):
    return {key: value for key, value in item.items() if key not in keys}


def assert_would_make(dry, real):
    """The same, but for what only a version has."""
    assert dry.status == real.status
    assert dry.headers["Location"] == real.headers["Location"]
    assert dry.headers["ETag"] is None
    assert dry.json["dryRun"] is True
    there = [key for key in MADE if key in real.json]
    assert [dry.json[key] for key in there] == [None] * len(there)
    assert without(dry.json, "dryRun", "diff", *MADE) == without(real.json, *MADE)


def changed_lines(dry):
    return [line for line in dry.json["diff"].splitlines()[2:] if line[0] in "+-"]


# ---- what would be made ----

@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_would_be_created(server, embedded_store, method):
    where = path() if method == "POST" else path(name="web")
    dry, real = both(server, embedded_store, method, where, intent("web", {"team": "shop"}, region="eu"))
    assert real.status == 201
    assert_would_make(dry, real)
    lines = dry.json["diff"].splitlines()
    assert lines[:3] == ["--- /dev/null", "+++ default/web", f"@@ -0,0 +1,{len(lines) - 3} @@"]
    assert all(line.startswith("+") for line in lines[3:])
    assert {"+  name: web", "+  namespace: default", "+  type: vm"} <= set(lines)


@pytest.mark.parametrize("method, body", [("POST", intent("web", size="large")), ("PUT", intent("web", size="large")),
                                          ("PATCH", {"spec": {"size": "large"}})])
def test_what_would_be_updated(server, embedded_store, method, body):
    version = declare(server, "web")["version"]
    where = path() if method == "POST" else path(name="web")
    dry, real = both(server, embedded_store, method, where, body)
    assert real.status == 200
    assert_would_make(dry, real)
    assert dry.json["diff"].splitlines()[:2] == [f"--- default/web@{version}", "+++ default/web"]
    assert changed_lines(dry) == ["-  size: small", "+  size: large"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_what_would_be_unchanged(server, embedded_store, method):
    there = declare(server, "web")
    where = path() if method == "POST" else path(name="web")
    dry, real = both(server, embedded_store, method, where, {} if method == "PATCH" else intent("web"))
    assert (real.status, real.json) == (200, there)
    assert (dry.status, dry.json) == (200, {**there, "dryRun": True, "diff": ""})
    assert dry.headers["ETag"] == real.headers["ETag"] is not None


def test_what_would_be_deleted(server, embedded_store):
    version = declare(server, "web")["version"]
    dry, real = both(server, embedded_store, "DELETE", path(name="web"))
    assert (real.status, real.json["deleted"]) == (200, True)
    assert_would_make(dry, real)
    lines = dry.json["diff"].splitlines()
    assert lines[:3] == [f"--- default/web@{version}", "+++ /dev/null", f"@@ -1,{len(lines) - 3} +0,0 @@"]
    assert all(line.startswith("-") for line in lines[3:])


def test_the_difference_shows_text_as_it_is(server):
    declare(server, "web", labels={"team": "shop"}, region="\"quoted\" ${VAR} ü")
    dry = send(server, "PATCH", path(name="web") + DRY, {"labels": {"team": None, "gitops-squared.io/protect": "true"},
                                                         "spec": {"region": None, "replicas": 3}})
    assert dry.status == 200, dry.body
    removed = [line for line in changed_lines(dry) if line.startswith("-")]
    assert any("team: shop" in line for line in removed)
    assert any("${VAR} ü" in line for line in removed)
    assert any(line == "+  replicas: 3" for line in changed_lines(dry))


def test_what_is_not_there_cannot_be_tried_twice(server):
    """A dry run leaves nothing behind that the next would find."""
    for _ in range(3):
        assert send(server, "POST", path() + DRY, intent("web")).status == 201
    assert server.get(path(name="web")).status == 404
    declare(server, "web")
    for _ in range(3):
        assert send(server, "DELETE", path(name="web") + DRY).status == 200
    assert list(listed(server)) == ["web"]


def test_false_is_a_change(server):
    assert server.post(path() + "?dryRun=false", intent("web")).status == 201
    assert list(listed(server)) == ["web"]


def test_who_watches_is_told_of_changes_only(server):
    declare(server, "web")
    with Events(server) as events:
        for method, where, body in (("POST", path(), intent("db")), ("DELETE", path(name="web"), None),
                                    ("PATCH", path(name="web"), {"spec": {"size": "large"}})):
            assert send(server, method, where + DRY, body).json["dryRun"] is True
        now = declare(server, "web", size="medium")
        assert events.next().data["version"] == now["version"]


# ---- what would be refused ----

@pytest.mark.parametrize("method, body", [("DELETE", None), ("PATCH", {"spec": {"size": "large"}})])
def test_what_is_not_there(server, embedded_store, method, body):
    assert_same_refusal(*both(server, embedded_store, method, path(name="web"), body), 404)


def test_a_field_that_is_wrong(server, embedded_store):
    declare(server, "web")
    assert_same_refusal(*both(server, embedded_store, "POST", path(), intent("web", size="huge")), 400)
    assert_same_refusal(*both(server, embedded_store, "PATCH", path(name="web"), {"spec": {"replicas": 11}}), 400)
    assert_same_refusal(*both(server, embedded_store, "PATCH", path(name="web"), {}, Content_Type="text/plain"), 415)


def test_what_is_protected(server, embedded_store):
    declare(server, "web", labels={"gitops-squared.io/protect": "true"})
    assert_same_refusal(*both(server, embedded_store, "DELETE", path(name="web")), 409)


def test_one_more_than_the_quota(server, embedded_store):
    declare(server, "r0", "team-a")
    assert_same_refusal(*both(server, embedded_store, "POST", path("team-a"), intent("one-more")), 403)
    dry, real = both(server, embedded_store, "POST", path("team-a"), intent("r0", size="large"))
    assert_would_make(dry, real)


def test_a_frozen_store(server, embedded_store):
    declare(server, "web")
    server.put("/api/v1/freeze", {"reason": "a move"})
    web = path(name="web")
    for method, where, body in (("POST", path(), intent("db")), ("PUT", web, intent("web")), ("DELETE", web, None),
                                ("PATCH", web, {"spec": {"size": "large"}})):
        assert_same_refusal(*both(server, embedded_store, method, where, body), 503)


def test_a_namespace_that_is_not_known(server, embedded_store):
    assert_same_refusal(*both(server, embedded_store, "POST", path("elsewhere"), intent("web")), 422)


def test_another_version_than_was_seen(server, embedded_store):
    declare(server, "web")
    web = path(name="web")
    for method, body in (("PUT", intent("web", size="large")), ("PATCH", {"spec": {"size": "large"}}), ("DELETE", None)):
        assert_same_refusal(*both(server, embedded_store, method, web, body, If_Match='"v1"'), 412)
    assert_same_refusal(*both(server, embedded_store, "POST", path(), intent("web"), If_None_Match="*"), 412)
    dry, real = both(server, embedded_store, "POST", path(), intent("db"), If_None_Match="*")
    assert_would_make(dry, real)


def test_who_may_not_change_may_not_try(tmp_path):
    server = Gsq(tmp_path / "gsq", anonymous=None)
    tokens = {role: create_token(server, role, role, "default") for role in ("viewer", "editor")}
    with server:
        for token, status in ((tokens["viewer"], 403), (None, 401)):
            server.token = token
            for method, where, body in (("POST", path(), intent("web")), ("DELETE", path(name="web"), None)):
                assert_same_refusal(send(server, method, where + DRY, body), send(server, method, where, body), status)
        server.token = tokens["editor"]
        assert send(server, "POST", path() + DRY, intent("web")).status == 201
        assert not listed(server)


# ---- the parameter ----

@pytest.mark.parametrize("value", ["", "All", "True", "1", "yes"])
def test_anything_but_true_and_false_is_refused(server, value):
    answer = server.post(f"{path()}?dryRun={value}", intent("web"))
    assert (answer.status, answer.json["field"]) == (400, "dryRun")
    assert answer.json["error"] == (f'dryRun must be true or false, not "{value}": dryRun=true answers as the change '
                                    "would, and makes none")
    assert not listed(server)


@pytest.mark.parametrize("query, field, says", [
    ("dryRun=true&wait=applied", "wait", "leave out wait, or dryRun"),
    ("dryRun=true&dryRun=false", "dryRun", "given twice"),
    ("dryrun=true", "dryrun", "did you mean dryRun?"),
    ("dry-run=true", "dry-run", "did you mean dryRun?"),
])
def test_a_query_that_may_mean_a_dry_run_makes_no_change(server, query, field, says):
    declare(server, "there")
    for method, where in (("POST", path()), ("DELETE", path(name="there"))):
        answer = send(server, method, f"{where}?{query}", intent("web") if method == "POST" else None)
        assert (answer.status, answer.json["field"]) == (400, field)
        assert says in answer.json["error"]
    assert list(listed(server)) == ["there"]


def test_a_dry_run_does_not_count_as_a_change(server, embedded_store):
    """Neither a version nor a commit is used up by it."""
    declare(server, "web")
    record = embedded_store.oci().record()
    for _ in range(3):
        send(server, "PUT", path(name="web") + DRY, intent("web", size="large"))
    assert embedded_store.oci().record() == record
