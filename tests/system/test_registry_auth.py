# SPDX-License-Identifier: Apache-2.0
"""Who may do what on the embedded registry: routes by roles, /token, what other tenants do not learn, real clients."""
import base64
import contextlib
import http.client
import http.server
import json
import re
import socket
import ssl
import subprocess
import threading
import urllib.parse
from types import SimpleNamespace

import pytest

from tests.conftest import tools_or_skip
from tests.lib.certificate import self_signed
from tests.lib.gsq import ROOT, Gsq
from tests.lib.layout import Layout, write_image
from tests.lib.oci import artifact, sha256
from tests.lib.registry import MANIFEST, Answer, Client, code
from tests.lib.tokens import create_token, token_verb
from tests.lib.tools import tool, tools_dir
from tests.lib.wait import wait_until
from tests.system.resources import declare

TEAMS = ("team-a", "team-b")
ROLES = ("puller", "viewer", "editor", "admin")
PULL, PUSH = "pull", "pull,push"
UPLOAD = "00000000-0000-0000-0000-000000000000"
NOTHING = sha256(b"nothing has this digest")
LAYER = b"a layer of team-a"
MISSING = "team-a/nil"  # as long as team-a/app, for answers that quote it


# ---- tokens, and who sends them ----

def bearer(token):
    return f"Bearer {token}"


def basic(token, user="anybody"):
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


class Caller(Client):
    """Requests with an Authorization header; None: without."""

    def __init__(self, host, authorization):
        super().__init__(host)
        self._authorization = authorization

    def __call__(self, method, path, body=None, headers=None):
        return self.request(method, f"/v2/{path}", body, headers)

    def request(self, method, target, body=None, headers=None):
        headers = dict(headers or {})
        if self._authorization:
            headers["Authorization"] = self._authorization
        connection = http.client.HTTPConnection(self.host, timeout=120)
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


class Tenants:
    """A server with a token for each role in each team, and one for everything."""

    def __init__(self, folder, **kwargs):
        self.server = Gsq(folder, namespaces=TEAMS, anonymous=kwargs.pop("anonymous", None), **kwargs)
        self.root = self.create("root", "admin", "*")
        self.tokens = {(role, team): self.create(f"{role}-{team}", role, team) for role in ROLES for team in TEAMS}
        self.server.token = self.root

    def create(self, name, role, namespaces):
        return create_token(self.server, name, role, namespaces)

    @property
    def host(self):
        return self.server.registry_host

    def caller(self, authorization=None):
        return Caller(self.host, authorization)

    def has(self, role, team):
        return self.caller(bearer(self.tokens[role, team]))

    def everything(self):
        return self.caller(bearer(self.root))

    def ask_token(self, authorization, *scopes, **parameters):
        """The answer of /token."""
        query = urllib.parse.urlencode([("service", "gsq"), *(("scope", scope) for scope in scopes),
                                        *parameters.items()])
        return self.caller(authorization).request("GET", f"/token?{query}")

    def registry_token(self, api_token, *scopes):
        answer = self.ask_token(basic(api_token), *scopes)
        assert answer.status == 200, answer
        return json.loads(answer.body)["token"]


@pytest.fixture(scope="module")
def tenants(tmp_path_factory):
    found = Tenants(tmp_path_factory.mktemp("tenants") / "gsq")
    with found.server:
        found.everything().push("team-a/app", "v1", LAYER)
        found.everything().push("team-b/app", "v1", b"a layer of team-b")
        for team in TEAMS:
            declare(found.server, "web", team)
        yield found


# ---- every route, by role ----

DIGEST = sha256(artifact(LAYER))
ROUTES = [
    ("GET", "{}/tags/list", PULL, 200),
    ("GET", f"{{}}/referrers/{DIGEST}", PULL, 200),
    ("GET", "{}/manifests/v1", PULL, 200),
    ("HEAD", "{}/manifests/v1", PULL, 200),
    ("GET", f"{{}}/manifests/{DIGEST}", PULL, 200),
    ("GET", f"{{}}/blobs/{sha256(LAYER)}", PULL, 200),
    ("HEAD", f"{{}}/blobs/{sha256(LAYER)}", PULL, 200),
    ("PUT", "{}/manifests/v1", PUSH, 400),
    ("DELETE", f"{{}}/manifests/{NOTHING}", PUSH, 404),
    ("DELETE", f"{{}}/blobs/{NOTHING}", PUSH, 404),
    ("POST", "{}/blobs/uploads/", PUSH, 202),
    ("POST", f"{{}}/blobs/uploads/?digest={NOTHING}", PUSH, 400),
    ("GET", f"{{}}/blobs/uploads/{UPLOAD}", PUSH, 404),
    ("PATCH", f"{{}}/blobs/uploads/{UPLOAD}", PUSH, 404),
    ("PUT", f"{{}}/blobs/uploads/{UPLOAD}?digest={NOTHING}", PUSH, 404),
    ("DELETE", f"{{}}/blobs/uploads/{UPLOAD}", PUSH, 404),
]
each_route = pytest.mark.parametrize("method, path, need, status", ROUTES, ids=[" ".join(row[:2]) for row in ROUTES])
BODIES = {"PUT": b"{}", "PATCH": b"x", "POST": b""}


def test_the_table_of_routes_has_all_that_name_a_repository():
    """So that a new route is tried with every role."""
    source = (ROOT / "src/registry/service.c").read_text(encoding="utf-8")
    macros = dict(re.findall(r"^#define (UPLOADS|UPLOAD|BLOB|MANIFEST) (.*)$", source, re.M))
    served = set()
    for method, path in re.findall(r'^\t\{"([A-Z]+)", ("[^"]+"|[A-Z]+), NEED_PU', source, re.M):
        path = macros.get(path, path).replace("UPLOADS", macros["UPLOADS"])
        path = re.sub(r'["\s]', "", path).removeprefix("/v2/").replace("<name>", "{}")
        served.add((method, path[:path.index("<")] if "<" in path else path))
    assert served, "none was found"
    tried = {("GET" if method == "HEAD" else method, re.sub(r"(sha256:|0000|v1|\?).*", "", path))
             for method, path, _, _ in ROUTES}
    assert served == tried


@each_route
@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_what_it_is_for_in_its_own_namespace_alone(tenants, role, method, path, need, status):
    allowed = need == PULL or role in ("editor", "admin")
    for authorization in (bearer(tenants.tokens[role, "team-a"]), basic(tenants.tokens[role, "team-a"])):
        caller = tenants.caller(authorization)
        own = caller(method, path.format("team-a/app"), BODIES.get(method))
        assert own.status == (status if allowed else 403), own
        for other in ("team-b/app", "team-b", "gitops-squared/resources/team-b/web", "gitops-squared/catalog",
                      "gitops-squared/commits", "team_a/app", "team-ab/app"):
            answer = caller(method, path.format(other), BODIES.get(method))
            assert answer.status == 403, (other, answer)
            assert method == "HEAD" or code(answer) == "DENIED"


@each_route
@pytest.mark.parametrize("role", ROLES)
def test_a_registry_token_may_what_it_was_asked_for(tenants, role, method, path, need, status):
    allowed = need == PULL or role in ("editor", "admin")
    token = tenants.registry_token(tenants.tokens[role, "team-a"], "repository:team-a/app:pull,push",
                                   "repository:team-b/app:pull,push")
    caller = tenants.caller(bearer(token))
    assert caller(method, path.format("team-a/app"), BODIES.get(method)).status == (status if allowed else 403)
    assert caller(method, path.format("team-b/app"), BODIES.get(method)).status == 403


@each_route
def test_without_a_credential_the_answer_says_where_to_get_a_token(tenants, method, path, need, status):
    for repository in ("team-a/app", MISSING, "gitops-squared/catalog"):
        answer = tenants.caller()(method, path.format(repository), BODIES.get(method))
        assert answer.status == 401
        assert method == "HEAD" or code(answer) == "UNAUTHORIZED"
        assert answer.headers["WWW-Authenticate"] == (
            f'Bearer realm="http://{tenants.host}/token",service="gsq",scope="repository:{repository}:{need}"')


@each_route
def test_a_token_for_one_repository_is_not_for_another_of_the_same_namespace(tenants, method, path, need, status):
    token = tenants.registry_token(tenants.tokens["admin", "team-a"], "repository:team-a/other:pull,push")
    answer = tenants.caller(bearer(token))(method, path.format("team-a/app"), BODIES.get(method))
    assert answer.status == 401
    challenge = answer.headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in challenge and f'scope="repository:team-a/app:{need}"' in challenge


def test_a_token_to_pull_is_none_to_push(tenants):
    token = tenants.registry_token(tenants.tokens["admin", "team-a"], "repository:team-a/app:pull")
    caller = tenants.caller(bearer(token))
    assert caller("GET", "team-a/app/manifests/v1").status == 200
    assert caller("POST", "team-a/app/blobs/uploads/").status == 401


def test_a_push_comes_back_whole(tenants):
    layer = b"pushed by an editor" * 1000
    manifest = tenants.has("editor", "team-a").push("team-a/pushed", "v1", layer)
    tenants.has("puller", "team-a").assert_whole("team-a/pushed", "v1", manifest)


def test_nobody_pushes_where_intent_is(tenants):
    for repository in ("gitops-squared/resources/team-a/web", "gitops-squared/catalogs/team-a/00"):
        answer = tenants.has("admin", "team-a")("POST", f"{repository}/blobs/uploads/")
        assert (answer.status, code(answer)) == (403, "DENIED")
        assert "only the API writes" in answer.body.decode()
        answer = tenants.has("admin", "team-b")("POST", f"{repository}/blobs/uploads/")
        assert answer.status == 403 and b"only the API" not in answer.body
    assert tenants.everything()("POST", "gitops-squared/catalog/blobs/uploads/").status == 403


def test_intent_is_pulled_with_a_role_in_its_namespace(tenants):
    for team in TEAMS:
        repository = f"gitops-squared/resources/{team}/web"
        for puller in TEAMS:
            expected = 200 if puller == team else 403
            assert tenants.has("puller", puller)("GET", f"{repository}/tags/list").status == expected
    assert tenants.everything()("GET", "gitops-squared/catalog/manifests/latest").status == 200


# ---- what others do not learn ----

def comparable(answer, repository):
    """All of it that a client sees, with the name that it gave itself left out."""
    headers = {name: value.replace(repository, "NAME") for name, value in answer.headers.items()
               if name not in ("Date", "X-Request-Id")}
    return answer.status, headers, answer.body.decode().replace(repository, "NAME")


@each_route
@pytest.mark.parametrize("who", ["puller", "admin", "registry token", "nobody", "garbage"])
def test_what_is_there_is_refused_like_what_is_not(tenants, who, method, path, need, status):
    scopes = [f"repository:team-a/{name}:pull,push" for name in ("app", "nil")]
    authorization = {
        "puller": bearer(tenants.tokens["puller", "team-b"]),
        "admin": bearer(tenants.tokens["admin", "team-b"]),
        "registry token": bearer(tenants.registry_token(tenants.tokens["admin", "team-b"], *scopes)),
        "nobody": None,
        "garbage": bearer("gsqr.garbage"),
    }[who]
    caller = tenants.caller(authorization)
    there, missing = (comparable(caller(method, path.format(repository), BODIES.get(method)), repository)
                      for repository in ("team-a/app", MISSING))
    assert there == missing
    assert there[0] in (401, 403)


def test_a_token_says_nothing_of_what_was_left_out(tenants):
    answers = [json.loads(tenants.ask_token(basic(tenants.tokens["admin", "team-b"]),
                                            f"repository:team-a/{name}:pull").body) for name in ("app", "nil")]
    assert len({len(answer["token"]) for answer in answers}) == 1
    assert answers[0].keys() == answers[1].keys()


def mount(caller, repository, digest, source=None):
    """What the registry says, but for the ids of the upload that it may have begun."""
    query = {"mount": digest, **({"from": source} if source else {})}
    answer = caller("POST", f"{repository}/blobs/uploads/?{urllib.parse.urlencode(query)}")
    upload = answer.headers.get("Docker-Upload-UUID", "no upload")
    return answer.status, {name: value.replace(upload, "ID") for name, value in answer.headers.items()
                           if name not in ("Date", "X-Request-Id")}


def test_a_blob_is_mounted_from_where_it_may_be_pulled(tenants):
    digest = sha256(LAYER)
    assert mount(tenants.has("editor", "team-a"), "team-a/mounted", digest, "team-a/app")[0] == 201
    assert mount(tenants.everything(), "team-b/mounted", digest, "team-a/app")[0] == 201
    assert mount(tenants.everything(), "team-b/mounted-too", digest)[0] == 201
    assert mount(tenants.has("puller", "team-a"), "team-a/mounted", digest, "team-a/app")[0] == 403


def test_a_mount_of_what_others_have_is_one_of_what_nobody_has(tenants):
    tenants.everything().push("team-a/secret", "v1", b"a secret")
    caller = tenants.has("admin", "team-b")
    missing = mount(caller, "team-b/thief", NOTHING)
    assert missing[0] == 202
    for source in (None, "team-a/secret", MISSING, "other/secret"):
        assert mount(caller, "team-b/thief", sha256(b"a secret"), source) == missing
        assert caller("HEAD", f"team-b/thief/blobs/{sha256(b'a secret')}").status == 404


def test_a_registry_token_mounts_from_the_repositories_in_it(tenants):
    digest = sha256(LAYER)
    scopes = ["repository:team-a/mounter:pull,push", "repository:team-a/app:pull"]
    for api_token, wanted, status in ((tenants.tokens["editor", "team-a"], scopes, 201),
                                      (tenants.tokens["editor", "team-a"], scopes[:1], 202),
                                      (tenants.root, scopes[:1], 202)):
        caller = tenants.caller(bearer(tenants.registry_token(api_token, *wanted)))
        assert mount(caller, "team-a/mounter", digest, "team-a/app")[0] == status
        assert mount(caller, "team-a/mounter", digest)[0] == 202


def test_a_manifest_that_names_what_others_have_is_one_that_names_what_nobody_has(tenants):
    """The specification lets it be pushed; that does not bring the blob."""
    tenants.everything().push("team-a/secret", "v1", b"a secret")
    caller = tenants.has("admin", "team-b")
    answers = [caller.push_manifest("team-b/thief", "v1", artifact(layer)) for layer in (b"a secret", b"a mystery")]
    assert [answer.status for answer in answers] == [201, 201]
    for layer in (b"a secret", b"a mystery"):
        assert caller("GET", f"team-b/thief/blobs/{sha256(layer)}").status == 404


# ---- the catalog ----

def pages(caller, n=None):
    """The names of each page, by its links."""
    path = "_catalog" if n is None else f"_catalog?n={n}"
    while path:
        answer = caller("GET", path)
        assert answer.status == 200, answer
        names = json.loads(answer.body)["repositories"]
        yield names
        link = answer.headers.get("Link")
        path = re.fullmatch(r'</v2/(_catalog\?n=\d+&last=(.*))>; rel="next"', link).group(1) if link else None
        assert not link or urllib.parse.unquote(path.rpartition("last=")[2]) == names[-1], "it names a visible one"


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """Some repositories of team-a among many of others, more than are read together."""
    found = Tenants(tmp_path_factory.mktemp("crowd") / "gsq")
    visible = ["team-a", "team-a-but-another", "team-a/a", "team-a/b/c", "team-a/d"]
    hidden = [f"{prefix}{i:03}{rest}" for prefix in ("a", "team-a0", "x") for i in range(50) for rest in ("", "/app")]
    hidden += [f"team-0/{i:03}" for i in range(200)]
    hidden += ["team-a.dot/x", "team_a/x", "team-ab/x"]
    with found.server:
        everything = Caller(found.host, bearer(found.root))
        for repository in visible + hidden:
            everything.push_blob(repository, b"config")
            manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(b"config"), "size": 6}})
            assert everything.push_manifest(repository, "v1", manifest.encode()).status == 201
        declare(found.server, "web", "team-a")
        declare(found.server, "web", "team-b")
        found.visible = sorted(["gitops-squared/resources/team-a/web", *visible])
        found.visible.remove("team-a-but-another")
        found.all = sorted([*visible, *hidden, *(f"gitops-squared/resources/{team}/web" for team in TEAMS),
                            "gitops-squared/catalog", "gitops-squared/commits"])
        yield found


@pytest.mark.parametrize("n", [None, 1, 2, 5, 1000])
def test_the_catalog_lists_what_may_be_pulled_page_by_page(crowd, n):
    found = list(pages(crowd.has("puller", "team-a"), n))
    assert [name for page in found for name in page] == crowd.visible
    assert all(len(page) == n for page in found[:-1])
    assert found[-1], "no page is empty"


def test_the_catalog_lists_all_to_who_may_pull_everything(crowd):
    for n in (None, 7):
        assert [name for page in pages(crowd.everything(), n) for name in page] == crowd.all


def test_the_catalog_of_who_may_pull_nothing_is_empty(crowd):
    stranger = crowd.create("stranger", "puller", "elsewhere")

    def is_empty():
        assert list(pages(crowd.caller(bearer(stranger)))) == [[]]
        return True
    wait_until(is_empty, "the server to have read the new token")


def test_the_catalog_needs_its_scope_of_a_registry_token(crowd):
    api_token = crowd.tokens["viewer", "team-a"]
    token = crowd.registry_token(api_token, "registry:catalog:*")
    assert [name for page in pages(crowd.caller(bearer(token))) for name in page] == crowd.visible
    for scopes in ([], ["repository:team-a/a:pull"]):
        answer = crowd.caller(bearer(crowd.registry_token(api_token, *scopes)))("GET", "_catalog")
        assert answer.status == 401
        assert 'scope="registry:catalog:*"' in answer.headers["WWW-Authenticate"]
    assert crowd.caller()("GET", "_catalog").status == 401


# ---- /v2/ and /token ----

def test_the_version_is_told_to_whoever_is_proven(tenants):
    token = tenants.tokens["puller", "team-a"]
    for authorization in (bearer(token), basic(token), bearer(tenants.registry_token(token))):
        assert tenants.caller(authorization)("GET", "").status == 200
    answer = tenants.caller()("GET", "")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="http://{tenants.host}/token",service="gsq"'
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


def test_a_token_answer_is_that_of_the_specification(tenants):
    answer = tenants.ask_token(basic(tenants.root), "repository:a/b:pull", account="x", client_id="y",
                               offline_token="true")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    document = json.loads(answer.body)
    assert document.keys() == {"token", "access_token", "expires_in", "issued_at"}
    assert document["token"] == document["access_token"]
    assert document["expires_in"] >= 60
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", document["issued_at"])


@pytest.mark.parametrize("role, wanted, granted", [
    ("puller", "repository:team-a/app:pull", "repository:team-a/app:pull"),
    ("puller", "repository:team-a/app:pull,push", "repository:team-a/app:pull"),
    ("puller", "repository:team-a/app:push", ""),
    ("editor", "repository:team-a/app:push,pull", "repository:team-a/app:pull,push"),
    ("editor", "repository:team-a/app:*", "repository:team-a/app:pull,push"),
    ("editor", "repository:team-a/app:delete", "repository:team-a/app:push"),
    ("admin", "repository:team-b/app:pull", ""),
    ("admin", "repository:team-b/app:pull repository:team-a/app:pull", "repository:team-a/app:pull"),
    ("admin", "repository:team-a/x:pull repository:team-a/y:pull,push registry:catalog:*",
     "repository:team-a/x:pull repository:team-a/y:pull,push registry:catalog:*"),
    ("admin", "nonsense repository:: repository:UPPER:pull", ""),
    ("admin", "", ""),
])
def test_a_token_has_what_is_asked_and_allowed(tenants, role, wanted, granted):
    """By the form of OAuth2, whose answer says it; clients ask so with a password."""
    form = {"grant_type": "password", "username": "x", "password": tenants.tokens[role, "team-a"], "service": "gsq",
            "client_id": "test", "access_type": "offline", "scope": wanted}
    answer = tenants.caller().request("POST", "/token", urllib.parse.urlencode(form).encode(),
                              {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 200, answer
    document = json.loads(answer.body)
    assert document["scope"] == granted
    assert tenants.caller(bearer(document["access_token"]))("GET", "").status == 200


def test_a_form_without_a_password_sends_clients_to_get(tenants):
    """containerd tries GET after a 400."""
    for form in ("grant_type=refresh_token&refresh_token=x", "grant_type=password", "", "grant_type=%zz"):
        answer = tenants.caller().request("POST", "/token", form.encode())
        assert answer.status == 400, form
        code(answer)


def test_too_many_scopes_are_refused_and_not_cut(tenants):
    scopes = [f"repository:team-a/{i}:pull" for i in range(33)]
    assert tenants.ask_token(basic(tenants.root), *scopes[1:]).status == 200
    assert tenants.ask_token(basic(tenants.root), " ".join(scopes)).status == 400
    assert tenants.ask_token(basic(tenants.root), *scopes).status == 400


def test_a_wrong_credential_gets_no_token_and_no_answer(tenants):
    wrong = "gsq_" + "A" * 43
    for authorization in (basic(wrong), bearer(wrong), "Basic !", "Negotiate x"):
        for answer in (tenants.ask_token(authorization), tenants.caller(authorization)("GET", "team-a/app/tags/list")):
            assert (answer.status, code(answer)) == (401, "UNAUTHORIZED")
            assert "WWW-Authenticate" in answer.headers
    assert tenants.ask_token(None).status == 401


@pytest.mark.parametrize("garbage", ["gsqr.", "gsqr.x", "gsqr..", "gsqr.e30." + "A" * 43, "gsqr." + "A" * 20000],
                         ids=["nothing", "short", "empty", "signed with something else", "long"])
def test_a_forged_registry_token_is_refused(tenants, garbage):
    answer = tenants.caller(bearer(garbage))("GET", "team-a/app/tags/list")
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_changed_registry_token_is_refused(tenants):
    token = tenants.registry_token(tenants.root, "repository:team-a/app:pull")
    assert tenants.caller(bearer(token))("GET", "team-a/app/tags/list").status == 200
    prefix, payload, mac = token.split(".")
    text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).replace(b"team-a", b"team-b")
    forged = base64.urlsafe_b64encode(text).decode().rstrip("=")
    assert tenants.caller(bearer(f"{prefix}.{forged}.{mac}"))("GET", "team-b/app/tags/list").status == 401


def test_a_revoked_token_takes_its_registry_tokens_with_it(tenants):
    secret = tenants.create("leaver", "editor", "team-a")

    def asked():
        answer = tenants.ask_token(basic(secret), "repository:team-a/app:pull,push", "registry:catalog:*")
        assert answer.status == 200
        return json.loads(answer.body)["token"]
    caller = tenants.caller(bearer(wait_until(asked, "the server to have read the new token")))
    assert caller("GET", "team-a/app/tags/list").status == 200

    token_verb(tenants.server, "revoke", "leaver")
    wait_until(lambda: tenants.caller(bearer(secret))("GET", "").status == 401, "the server to have read the change",
               every_s=0.5)
    for path in ("", "_catalog", "team-a/app/tags/list", "team-a/app/blobs/uploads/x"):
        answer = caller("GET", path)
        assert answer.status == 401, path
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_restart_ends_registry_tokens(tmp_path):
    own = Tenants(tmp_path / "gsq")
    with own.server:
        caller = own.caller(bearer(own.registry_token(own.root)))
        assert caller("GET", "").status == 200
        own.server.restart()
        assert caller("GET", "").status == 401


def test_clients_are_sent_to_the_url_that_the_server_was_given(tmp_path):
    own = Tenants(tmp_path / "gsq", args=["--registry-url", "https://registry.example.com"])
    with own.server:
        challenge = own.caller()("GET", "").headers["WWW-Authenticate"]
        assert challenge.startswith('Bearer realm="https://registry.example.com/token",')


@pytest.mark.parametrize("host, scheme", [
    ("localhost", "Bearer"), ("localhost:5000", "Bearer"), ("127.1.2.3:5000", "Bearer"), ("[::1]:5000", "Bearer"),
    ("registry.example.com", "Basic"), ("registry.example.com:5000", "Basic"), ("10.0.0.1:5000", "Basic"),
    ("localhost.example.com", "Basic"), ("[fd00::1]", "Basic"), ("", "Basic")])
def test_no_client_is_sent_elsewhere_without_tls(tenants, host, scheme):
    """TLS may have ended at a proxy: a realm of http:// would have the client send its token in the clear."""
    challenges = {"Bearer": f'Bearer realm="http://{host}/token",service="gsq"', "Basic": 'Basic realm="gsq"'}
    answer = tenants.caller()("GET", "", headers={"Host": host})
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, challenges[scheme])


def test_what_a_token_is_not_granted_is_no_refusal(tenants):
    """Clients ask for what they might need."""
    before = tenants.server.metric("gsq_auth_failed_total"), tenants.server.log().count("msg=denied")
    tenants.registry_token(tenants.tokens["puller", "team-a"], "repository:team-a/app:pull,push",
                           "repository:team-b/app:pull")
    tenants.has("puller", "team-a")("GET", "_catalog")
    mount(tenants.has("editor", "team-a"), "team-a/quiet", NOTHING, "team-b/app")
    assert (tenants.server.metric("gsq_auth_failed_total"), tenants.server.log().count("msg=denied")) == before
    tenants.has("puller", "team-a")("GET", "team-b/app/tags/list")
    assert tenants.server.log().count("msg=denied") == before[1] + 1


def test_no_secret_is_in_the_log(tenants):
    token = tenants.registry_token(tenants.root, "repository:team-a/app:pull")
    tenants.caller(bearer(token))("GET", "team-a/app/tags/list")
    tenants.caller(bearer(token[:-1]))("GET", "team-a/app/tags/list")
    tenants.has("puller", "team-a")("POST", "team-a/app/blobs/uploads/")
    log = tenants.server.log()
    assert "denied" in log and "registry token refused" in log
    for secret in (token[:-1], tenants.root, *tenants.tokens.values()):
        assert secret not in log and secret[4:24] not in log


# ---- without a credential ----

@pytest.fixture(scope="module")
def readable(tmp_path_factory):
    found = Tenants(tmp_path_factory.mktemp("readable") / "gsq", anonymous="read")
    with found.server:
        found.everything().push("team-a/app", "v1", LAYER)
        yield found


@each_route
def test_whoever_may_read_pulls_without_a_credential(readable, method, path, need, status):
    token = json.loads(readable.ask_token(None, "repository:team-a/app:pull,push").body)["token"]
    for authorization in (None, bearer(token)):
        answer = readable.caller(authorization)(method, path.format("team-a/app"), BODIES.get(method))
        assert answer.status == (status if need == PULL else 401)
        assert ("WWW-Authenticate" in answer.headers) == (need == PUSH)


def test_whoever_may_read_is_told_that_there_is_more_with_a_credential(readable):
    """Clients that are let in at /v2/ without one send none later, when they push."""
    assert readable.caller()("GET", "").status == 401
    token = json.loads(readable.ask_token(None).body)["token"]
    assert readable.caller(bearer(token))("GET", "").status == 200
    assert json.loads(readable.caller()("GET", "_catalog").body)["repositories"] == [
        "gitops-squared/catalog", "gitops-squared/commits", "team-a/app"]


def test_whoever_may_write_needs_no_credential(gsq):
    client = Client(gsq.registry_host)
    assert client("GET", "").status == 200
    client.push("team-a/app", "v1")
    assert client("POST", "gitops-squared/x/blobs/uploads/").status == 403


# ---- real clients ----

@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a client with a folder of its own for its logins, as docker has it."""
    monkeypatch.setenv("GSQ_TOOLS_DIR", str(tools_dir()))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "docker" / "config.json"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    (tmp_path / "docker").mkdir()

    def run_program(program, *arguments, succeeds=True, **kwargs):
        if program != "skopeo":
            with tools_or_skip():
                program = tool(program)
        command = [program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **kwargs)
        assert (done.returncode == 0) == succeeds, f"{command}:\n{done.stdout}{done.stderr}"
        return done.stdout + ("" if succeeds else done.stderr)

    def log_in(host, token):
        """As `docker login` would leave it, or a Secret of type dockerconfigjson has it."""
        auth = base64.b64encode(f"somebody:{token}".encode()).decode()
        (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))

    run_program.log_in = log_in
    return run_program


PLAIN = {"skopeo": "--tls-verify=false", "oras": "--plain-http"}


def push(run, client, layout, image, **kwargs):
    return {
        "crane": lambda: run("crane", "push", layout, image, **kwargs),
        "oras": lambda: run("oras", "cp", "--from-oci-layout", f"{layout}:v1", "--to-plain-http", image, **kwargs),
        "skopeo": lambda: run("skopeo", "copy", "--all", "--dest-tls-verify=false", f"oci:{layout}:v1",
                              f"docker://{image}", **kwargs),
    }[client]()


def pull(run, client, image, folder, **kwargs):
    return {
        "crane": lambda: run("crane", "pull", "--format", "oci", "--platform", "all", image, folder, **kwargs),
        "oras": lambda: run("oras", "cp", "--from-plain-http", image, "--to-oci-layout", f"{folder}:v1", **kwargs),
        "skopeo": lambda: run("skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{image}",
                              f"oci:{folder}:v1", **kwargs),
    }[client]()


def copy(run, client, source, target, **kwargs):
    return {
        "crane": lambda: run("crane", "copy", source, target, **kwargs),
        "oras": lambda: run("oras", "cp", "--from-plain-http", source, "--to-plain-http", target, **kwargs),
        "skopeo": lambda: run("skopeo", "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false",
                              f"docker://{source}", f"docker://{target}", **kwargs),
    }[client]()


each_client = pytest.mark.parametrize("client", ["crane", "oras", "skopeo"])


@each_client
def test_clients_push_and_pull_with_their_roles(client, tenants, run, tmp_path):
    image = f"{tenants.host}/team-a/{client}:v1"
    layout = write_image(tmp_path / "layout", "v1")
    run.log_in(tenants.host, tenants.tokens["editor", "team-a"])
    push(run, client, layout, image)
    run.log_in(tenants.host, tenants.tokens["puller", "team-a"])
    pull(run, client, image, tmp_path / "pulled")
    assert Layout(tmp_path / "pulled").blobs() == layout.blobs()
    other = write_image(tmp_path / "other", "v1")
    push(run, client, other, image, succeeds=False)
    push(run, client, other, f"{tenants.host}/team-b/{client}:v1", succeeds=False)


@each_client
def test_clients_of_another_tenant_are_denied(client, tenants, run, tmp_path):
    layout = write_image(tmp_path / "layout", "v1")
    run.log_in(tenants.host, tenants.tokens["admin", "team-b"])
    for image in ("team-a/app:v1", f"{MISSING}:v1"):
        pull(run, client, f"{tenants.host}/{image}", tmp_path / "pulled", succeeds=False)
    push(run, client, layout, f"{tenants.host}/team-a/{client}:v1", succeeds=False)


@each_client
def test_clients_without_a_login_are_refused(client, tenants, run, tmp_path):
    layout = write_image(tmp_path / "layout", "v1")
    pull(run, client, f"{tenants.host}/team-a/app:v1", tmp_path / "pulled", succeeds=False)
    push(run, client, layout, f"{tenants.host}/team-a/{client}:v1", succeeds=False)


@each_client
def test_clients_copy_within_what_they_may(client, tenants, run, tmp_path):
    image = f"{tenants.host}/team-a/{client}-source:v1"
    layout = write_image(tmp_path / "layout", "v1")
    run.log_in(tenants.host, tenants.tokens["editor", "team-a"])
    push(run, client, layout, image)
    copy(run, client, image, f"{tenants.host}/team-a/{client}-copy:v1")
    copy(run, client, image, f"{tenants.host}/team-b/{client}-copy:v1", succeeds=False)
    run.log_in(tenants.host, tenants.root)
    copy(run, client, image, f"{tenants.host}/team-b/{client}-copy:v1")
    run.log_in(tenants.host, tenants.tokens["puller", "team-b"])
    pull(run, client, f"{tenants.host}/team-b/{client}-copy:v1", tmp_path / "pulled")
    assert Layout(tmp_path / "pulled").digest == layout.digest


@each_client
def test_clients_read_without_a_login_and_write_with_one(client, readable, run, tmp_path):
    image = f"{readable.host}/team-a/{client}:v1"
    layout = write_image(tmp_path / "layout", "v1")
    push(run, client, layout, image, succeeds=False)
    run.log_in(readable.host, readable.tokens["editor", "team-a"])
    push(run, client, layout, image)
    run.log_in("elsewhere.example.com", "x")
    pull(run, client, image, tmp_path / "pulled")
    assert Layout(tmp_path / "pulled").digest == layout.digest


@pytest.mark.parametrize("client", ["oras", "skopeo"])
def test_clients_check_a_login(client, tenants, run):
    def log_in(token, **kwargs):
        return run(client, "login", PLAIN[client], "--username", "ci", "--password-stdin", tenants.host,
                   input=token, **kwargs)

    log_in("gsq_" + "B" * 43, succeeds=False)
    log_in(tenants.tokens["puller", "team-a"])
    if client == "oras":
        assert run("oras", "repo", "tags", "--plain-http", f"{tenants.host}/team-a/app").split() == ["v1"]
    else:
        tags = run("skopeo", "list-tags", "--tls-verify=false", f"docker://{tenants.host}/team-a/app")
        assert json.loads(tags)["Tags"] == ["v1"]
        run("skopeo", "list-tags", "--tls-verify=false", f"docker://{tenants.host}/team-b/app", succeeds=False)


def test_crane_logs_in_and_lists_its_own(crowd, run):
    run("crane", "auth", "login", crowd.host, "-u", "ci", "--password-stdin", input=crowd.tokens["puller", "team-a"])
    assert run("crane", "catalog", crowd.host).split() == crowd.visible
    assert run("crane", "ls", f"{crowd.host}/team-a/a").split() == ["v1"]
    run("crane", "ls", f"{crowd.host}/team-ab/x", succeeds=False)


def test_oras_lists_attaches_and_discovers(tenants, run, tmp_path):
    image = f"{tenants.host}/team-a/files:v1"
    (tmp_path / "file").write_text("content")
    run.log_in(tenants.host, tenants.tokens["editor", "team-a"])
    run("oras", "push", "--plain-http", "--artifact-type", "test/files", image, "file", cwd=tmp_path)
    run("oras", "attach", "--plain-http", "--artifact-type", "test/note", image, "file", cwd=tmp_path)
    run.log_in(tenants.host, tenants.tokens["puller", "team-a"])
    found = json.loads(run("oras", "discover", "--plain-http", "--format", "json", image))
    assert [referrer["artifactType"] for referrer in found["referrers"]] == ["test/note"]
    run("oras", "pull", "--plain-http", image, "-o", tmp_path / "out")
    assert (tmp_path / "out" / "file").read_text() == "content"
    names = run("oras", "repo", "ls", "--plain-http", tenants.host).split()
    assert "team-a/files" in names and "team-b/app" not in names
    run("oras", "manifest", "delete", "--plain-http", "--force", image, succeeds=False)
    run.log_in(tenants.host, tenants.tokens["editor", "team-a"])
    run("oras", "manifest", "delete", "--plain-http", "--force", image)


def test_clients_log_in_through_tls(run, tmp_path, monkeypatch):
    certificate, key = self_signed(tmp_path)
    own = Tenants(tmp_path / "gsq", tls=SimpleNamespace(certificate=certificate, key=key, ca=certificate))
    layout = write_image(tmp_path / "layout", "v1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with own.server:
        image = f"localhost:{own.server.registry_port}/team-a/app:v1"
        run.log_in(f"localhost:{own.server.registry_port}", own.tokens["editor", "team-a"])
        run("skopeo", "copy", "--all", f"oci:{layout}:v1", f"docker://{image}")
        run("oras", "cp", "--from-plain-http=false", image, "--to-oci-layout", f"{tmp_path / 'pulled'}:v1")
        assert Layout(tmp_path / "pulled").digest == layout.digest
        run.log_in(f"localhost:{own.server.registry_port}", own.tokens["puller", "team-b"])
        run("skopeo", "inspect", "--raw", f"docker://{image}", succeeds=False)


class TlsEnd:
    """For HTTPS_PROXY: TLS ends here, whatever host it is for, and what was in it goes on to the server."""

    def __init__(self, target, certificate, key):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_CONNECT(self):  # pylint: disable=invalid-name
                self.send_response_only(200)
                self.end_headers()
                with contextlib.suppress(OSError), \
                        context.wrap_socket(self.connection, server_side=True) as client, \
                        socket.create_connection(target) as server:
                    back = threading.Thread(target=forward, args=(server, client), daemon=True)
                    back.start()
                    forward(client, server)
                    back.join()

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


def forward(source, sink):
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


def test_clients_log_in_where_tls_ends_at_a_proxy(tenants, run, tmp_path, monkeypatch):
    """Their tokens come with each request, and never in the clear: there is no other proxy for that."""
    host = "registry.example.com"
    certificate, key = self_signed(tmp_path, names=f"DNS:{host}")
    layout = write_image(tmp_path / "layout", "v1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with TlsEnd(("127.0.0.1", tenants.server.registry_port), certificate, key) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        run.log_in(host, tenants.tokens["editor", "team-a"])
        run("crane", "push", layout, f"{host}/team-a/behind:v1")
        run("skopeo", "copy", "--all", f"docker://{host}/team-a/behind:v1", f"docker://{host}/team-a/behind:v2")
        run("oras", "cp", f"{host}/team-a/behind:v2", "--to-oci-layout", f"{tmp_path / 'pulled'}:v2")
        assert Layout(tmp_path / "pulled").digest == layout.digest
        assert "team-a/behind" in run("crane", "catalog", host).split()
        for client in ("crane", "oras", "skopeo"):
            verb = {"crane": ["auth", "login"], "oras": ["login"], "skopeo": ["login"]}[client]
            run(client, *verb, host, "--username", "ci", "--password-stdin", input=tenants.tokens["puller", "team-b"])
        run("skopeo", "inspect", "--raw", f"docker://{host}/team-a/behind:v1", succeeds=False)
