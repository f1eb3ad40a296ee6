# SPDX-License-Identifier: Apache-2.0
"""Tokens of an OpenID Connect issuer at the real server: who they make somebody, and which of them prove nothing."""
import base64
import contextlib
import hashlib
import hmac
import http.client
import itertools
import json
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.lib.certificate import self_signed
from tests.lib.gsq import Gsq, Response, binary, parse_json
from tests.lib.oci import Oci, OciError
from tests.lib.oidc import AUDIENCE, DISCOVERY, KEYS, Answer, Issuer, Key, base64url, token_of
from tests.lib.wait import wait_until
from tests.system.resources import intent, path

POLICY = """
rules:
- role: admin
  namespaces: ["*"]
  groups: [oidc:platform]
- role: editor
  namespaces: [team-a]
  users: [oidc:alice]
- role: viewer
  namespaces: [team-b]
  groups: ["oidc:team-b"]
"""

AGAIN_S = 10  # between two fetches of keys because of a token
SKEW_S = 60   # between the clocks of an issuer and the server


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def basic(token):
    return {"Authorization": "Basic " + base64.b64encode(f"alice:{token}".encode()).decode()}


NEIGHBOURS = itertools.count(1)


def get(server, token, namespace="team-a"):
    """A list, each time from another address: so many wrong tokens are not taken from one."""
    neighbour = next(NEIGHBOURS)
    source = f"127.1.{neighbour // 250}.{neighbour % 250 + 1}"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60, source_address=(source, 0))
    try:
        connection.request("GET", path(namespace), headers=bearer(token))
        answer = connection.getresponse()
        content = answer.read()
        return Response(answer.status, answer.headers, parse_json(answer, content), content)
    finally:
        connection.close()


def ask(server, token, namespace="team-a"):
    """The status of a list."""
    return get(server, token, namespace).status


def refusal(server, token):
    """The message of the 401 that a token gets."""
    answer = get(server, token)
    assert answer.status == 401, answer.body
    assert "Bearer" in answer.headers["WWW-Authenticate"]
    return answer.body.decode()


def wait_accepted(server, token):
    wait_until(lambda: ask(server, token) == 200, lambda: f"the token to count:\n{server.process.log_tail()}")


def warnings(server):
    return [line for line in server.log().splitlines() if "cannot fetch the keys" in line]


@contextlib.contextmanager
def serving(folder, issuer, *flags):
    """A server that takes this issuer's tokens; beside them it knows an operator, whose API token requests have that
    bring none."""
    folder.mkdir(exist_ok=True)
    policy, tokens = folder / "policy.yaml", folder / "tokens.json"
    policy.write_text(POLICY, encoding="utf-8")
    operator = subprocess.run([binary(), "token", "create", "operator", "--role", "admin", "--token-file", tokens],
                              check=True, capture_output=True, text=True).stdout.strip()
    with Gsq(folder / "gsq", namespaces=["team-a", "team-b"], anonymous=None, token=operator,
             args=[*issuer.flags(), "--policy", policy, "--token-file", tokens, *flags]) as server:
        yield server


@pytest.fixture(scope="module")
def keys():
    """One of each kind."""
    return [Key("RS256"), Key("ES256"), Key("EdDSA")]


@pytest.fixture(scope="module")
def issuer(keys):
    """One that is honest: tests must not change it."""
    with Issuer(*keys) as honest:
        yield honest


@pytest.fixture(scope="module")
def server(tmp_path_factory, issuer):
    with serving(tmp_path_factory.mktemp("oidc"), issuer) as running:
        wait_accepted(running, issuer.token())
        yield running


# ---- who a token makes somebody ----

@pytest.mark.parametrize("kind", ["RS256", "ES256", "EdDSA"])
def test_each_algorithm_proves_who_it_is(server, issuer, keys, kind):
    key, = (key for key in keys if key.alg == kind)
    assert ask(server, issuer.token(key=key)) == 200


def test_users_and_groups_have_the_roles_of_the_policy(server, issuer):
    alice, viewer = issuer.token("alice"), issuer.token("bob", groups=["x", "team-b"])
    admin = issuer.token("carol", groups="platform")
    for token, namespace, may_list, may_declare in [
            (alice, "team-a", True, True), (alice, "team-b", False, False),
            (viewer, "team-b", True, False), (viewer, "team-a", False, False),
            (admin, "team-a", True, True), (admin, "team-b", True, True)]:
        assert (ask(server, token, namespace) == 200) == may_list
        declared = server.post(path(namespace), intent("from-a-test"), headers=bearer(token))
        assert (declared.status in (200, 201)) == may_declare, declared.body


def test_somebody_the_policy_does_not_know_may_nothing(server, issuer):
    assert ask(server, issuer.token("mallory", groups=["unknown"])) in (403, 404)


def test_a_name_that_looks_like_another_method_s_is_the_issuer_s(server, issuer):
    """No issuer can make an API token's name, or one of the policy's with its prefix."""
    for name in ("token:ci", "oidc:alice", "kubernetes:admin"):
        assert ask(server, issuer.token(name)) in (403, 404)


def test_a_token_is_a_password_too(server, issuer):
    """As docker login sends it."""
    answer = server.get(path("team-a"), headers=basic(issuer.token()))
    assert answer.status == 200, answer.body


def test_a_token_is_taken_by_the_registry(server, issuer):
    """A group's role counts there as it does in the API."""
    admin = issuer.token("carol", groups="platform")
    declared = server.post(path("team-b"), intent("to-be-pulled"), headers=bearer(admin))
    assert declared.status in (200, 201), declared.body
    tags = "/v2/gitops-squared/resources/team-b/to-be-pulled/tags/list"
    registry = Oci(server.registry_host)
    assert registry.request("GET", tags, headers=basic(admin))[0].status == 200
    forged = issuer.token("carol", Key("ES256", kid=issuer.keys[1].kid), groups="platform")
    with pytest.raises(OciError) as refused:
        registry.request("GET", tags, headers=basic(forged))
    assert refused.value.status == 401


# ---- what proves nothing ----

def now():
    return int(time.time())


@pytest.mark.parametrize("claims, said", [
    (lambda: {"exp": now() - SKEW_S - 5}, "expired"),
    (lambda: {"exp": None}, "exp"),
    (lambda: {"exp": "tomorrow"}, "exp"),
    (lambda: {"exp": -1}, "exp"),
    (lambda: {"exp": 1e300}, "exp"),
    (lambda: {"exp": 10**30}, "not known"),  # too large for our JSON, so nobody's
    (lambda: {"nbf": now() + SKEW_S + 30}, "not valid yet"),
    (lambda: {"iat": now() + SKEW_S + 30}, "future"),
    (lambda: {"aud": "another"}, "aud"),
    (lambda: {"aud": ["another", AUDIENCE + "2"]}, "aud"),
    (lambda: {"aud": None}, "aud"),
    (lambda: {"sub": 7}, "sub"),
    (lambda: {"groups": [7]}, "groups"),
    (lambda: {"groups": ["g"] * 201}, "groups"),
], ids=["expired", "no-expiry", "expiry-text", "expiry-negative", "expiry-infinite", "expiry-huge", "not-yet",
        "from-the-future", "audience", "audiences", "no-audience", "name", "group", "groups"])
def test_claims_that_are_refused(server, issuer, claims, said):
    assert said in refusal(server, issuer.token(**claims()))


def test_a_token_of_another_issuer_is_refused(server, issuer):
    refusal(server, issuer.token(iss=issuer.url + "/"))
    refusal(server, issuer.token(iss="https://other.example"))
    refusal(server, issuer.token(iss=None))


def test_alg_none_is_refused(server, issuer):
    for alg in ("none", "None", "NONE", ""):
        for sign in (lambda _: b"", lambda _: b"x", issuer.keys[0].sign):
            refusal(server, token_of({"alg": alg, "kid": issuer.keys[0].kid}, issuer.claims(), sign))


def test_an_hmac_with_a_public_key_is_refused(server, issuer, keys):
    """What a library would take that lets the token choose the algorithm."""
    for key in keys:
        secrets = [key.public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
                   for encoding in (Encoding.PEM, Encoding.DER)]
        secrets += [secrets[0].strip(), json.dumps(key.jwk()).encode(), b""]
        for secret in secrets:
            token = token_of({"alg": "HS256", "kid": key.kid}, issuer.claims(),
                             lambda text, secret=secret: hmac.new(secret, text, hashlib.sha256).digest())
            assert "alg" in refusal(server, token)


def test_an_algorithm_of_another_key_is_refused(server, issuer, keys):
    for key in keys:
        for other in keys:
            if key is not other:
                assert "alg" in refusal(server, issuer.token(key=key, header={"alg": other.alg}))


def test_a_key_that_is_not_the_issuer_s_is_refused(server, issuer, keys):
    """Under a kid of its own, under one of the issuer's, or brought along."""
    forger = Key("ES256", kid=keys[1].kid)
    refusal(server, issuer.token(key=forger))
    refusal(server, issuer.token(key=forger, header={"jwk": forger.jwk(), "jku": "http://127.0.0.1:1/"}))
    refusal(server, issuer.token(key=forger, header={"kid": "unknown"}))
    for kid in ("../../etc/passwd", "' OR 1=1 --", "%s%n", "\n", "\u202e", "x" * 5000):
        refusal(server, issuer.token(key=forger, header={"kid": kid}))


def test_unknown_kids_do_not_make_the_server_ask_the_issuer_all_the_time(server, issuer):
    asked, started = len(issuer.asked), time.monotonic()
    for _ in range(200):
        refusal(server, issuer.token(key=Key("EdDSA")))
    fetches = 1 + (time.monotonic() - started) // AGAIN_S
    assert len(issuer.asked) - asked <= 2 * fetches


def test_crit_is_refused(server, issuer):
    assert "crit" in refusal(server, issuer.token(header={"crit": ["b64"], "b64": False}))


def test_a_token_for_something_else_is_refused(server, issuer):
    assert "typ" in refusal(server, issuer.token(header={"typ": "logout+jwt"}))


def test_duplicate_claims_are_refused(server, issuer):
    key, claims = issuer.keys[0], json.dumps(issuer.claims())
    twice = claims[:-1] + ', "sub": "carol"}'
    signed = ".".join(base64url(part.encode()) for part in (json.dumps({"alg": key.alg, "kid": key.kid}), twice))
    refusal(server, f"{signed}.{base64url(key.sign(signed.encode()))}")


def test_a_truncated_token_is_refused(server, issuer, keys):
    token = issuer.token(key=keys[1])
    for length in range(1, len(token), 7):
        refusal(server, token[:length])
    refusal(server, token[:-1])


def test_padding_is_refused(server, issuer, keys):
    refusal(server, issuer.token(key=keys[1]) + "==")


def test_a_huge_token_is_refused(server, issuer):
    """Up to what a head may hold it is a credential that is too long; beyond it is no request."""
    refusal(server, issuer.token(padding="x" * 13000))
    for size in (40000, 1 << 20):
        with contextlib.suppress(ConnectionError):
            assert ask(server, "x" * size) in (400, 431)
    assert ask(server, issuer.token()) == 200


def test_nothing_of_a_token_is_in_the_log(server, issuer):
    token = issuer.token("alice", secret="a-secret-claim")
    assert ask(server, token) == 200
    refused = issuer.token("alice", Key("ES256"))
    refusal(server, refused)
    for part in (*token.split("."), *refused.split(".")[1:]):
        assert part not in server.log()


def test_tokens_and_fetches_of_keys_are_counted(server, issuer):
    def tokens(result):
        return server.metric("gsq_oidc_tokens_total", result=result)
    accepted, refused = tokens("accepted"), tokens("refused")
    assert ask(server, issuer.token()) == 200
    refusal(server, issuer.token(exp=1))
    assert tokens("accepted") == accepted + 1
    assert tokens("refused") == refused + 1
    assert server.metric("gsq_oidc_key_fetches_total", result="ok") >= 1


# ---- other claims, and TLS ----

def test_other_claims_for_name_and_groups(tmp_path):
    with Issuer() as issuer, serving(
            tmp_path, issuer, "--oidc-username-claim", "email", "--oidc-groups-claim", "roles") as server:
        wait_accepted(server, issuer.token("7", email="c@x", roles=["platform"]))
        assert ask(server, issuer.token("7", email="alice", email_verified=True)) == 200
        assert "email" in refusal(server, issuer.token("7", email="alice", email_verified=False))
        assert "email" in refusal(server, issuer.token("alice"))
        assert ask(server, issuer.token("7", email="c@x", groups=["platform"])) in (403, 404)


def test_an_issuer_with_https_needs_a_certificate_that_is_trusted(tmp_path):
    certificate, key = self_signed(tmp_path)
    with Issuer(Key("ES256"), tls=(certificate, key)) as issuer:
        with serving(tmp_path / "with-ca", issuer, "--oidc-ca", str(certificate)) as server:
            wait_accepted(server, issuer.token())
        with serving(tmp_path / "without", issuer) as server:
            assert ask(server, issuer.token()) == 503
            assert "not trusted" in warnings(server)[0]


# ---- keys that change, and an issuer that fails ----

def test_keys_are_rotated(tmp_path):
    """The first token with a new key makes the server ask for it; what is announced no more counts no more."""
    old, new = Key("RS256"), Key("ES256")
    with Issuer(old) as issuer, serving(tmp_path, issuer) as server:
        wait_accepted(server, issuer.token(key=old))
        issuer.keys = [old, new]
        wait_accepted(server, issuer.token(key=new))
        assert ask(server, issuer.token(key=old)) == 200
        issuer.keys = [new]
        # Somebody comes with a key that nobody has announced.
        wait_until(lambda: refusal(server, issuer.token(key=Key("EdDSA"))) and
                   ask(server, issuer.token(key=old)) == 401, "the old key to be forgotten", every_s=1)
        assert ask(server, issuer.token(key=new)) == 200


def test_an_issuer_that_is_down_at_the_start(tmp_path):
    issuer = Issuer()
    with serving(tmp_path, issuer) as server:
        answer = get(server, issuer.token())
        assert answer.status == 503
        assert 1 <= int(answer.headers["Retry-After"]) <= AGAIN_S
        assert len(warnings(server)) == 1
        with issuer:
            wait_accepted(server, issuer.token())
    issuer.stop()


# More of them are in tests/unit/test_auth_oidc.c, whose clock is its own: here each takes AGAIN_S.
LIES = {
    "of another issuer": {
        DISCOVERY: Answer(200, {"issuer": "https://evil.example", "jwks_uri": "https://evil.example/keys"})},
    "not a JSON object": {KEYS: Answer(200, b"<html>Sign in</html>", {"Content-Type": "text/html"})},
    "redirects": {KEYS: Answer(302, b"", {"Location": "/other"})},
    "larger than": {KEYS: Answer(200, b"{" + b" " * (1 << 20))},
}


def wait_warning(server, said, cause):
    """Asks for keys until the log has one more line about them, which says so."""
    before = len(warnings(server))

    def is_there():
        cause()
        return warnings(server)[before:]
    lines = wait_until(is_there, lambda: f"a warning:\n{server.process.log_tail()}", every_s=0.5)
    assert len(lines) == 1 and said in lines[0], lines


def test_an_issuer_that_is_down_or_lies_changes_nothing_for_known_keys(tmp_path):
    """One server, and all the ways one after the other: each is one line in its log. A key that was never seen cannot
    be asked for, which is no fault of the token's."""
    known, new = Key("ES256"), Key("ES256")
    with Issuer(known) as issuer, serving(tmp_path, issuer) as server:
        wait_accepted(server, issuer.token(key=known))
        for said, answers in LIES.items():
            issuer.answers = answers
            wait_warning(server, said, lambda: ask(server, issuer.token(key=new)))
            assert ask(server, issuer.token(key=new)) == 503, said
            assert ask(server, issuer.token(key=known)) == 200, said
        issuer.stop()
        wait_warning(server, "no answer from", lambda: ask(server, issuer.token(key=new)))
        assert ask(server, issuer.token(key=known)) == 200
        assert "/other" not in issuer.asked
        issuer.answers, issuer.keys = {}, [known, new]
        issuer.start()
        wait_accepted(server, issuer.token(key=new))


def test_the_server_stops_while_tokens_wait_for_keys(tmp_path):
    """The issuer takes connections and says nothing."""
    issuer = Issuer()
    port = urllib.parse.urlsplit(issuer.url).port
    with socket.create_server(("127.0.0.1", port)), serving(tmp_path, issuer) as server:
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(ask(server, issuer.token()))) for _ in range(20)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        assert not answers
        server.stop()
        for thread in threads:
            thread.join(60)
        assert answers == [503] * 20


# ---- flags ----

@pytest.mark.parametrize("flags, said", [
    (["--oidc-issuer", "http://issuer.example", "--oidc-audience", "a"], "https"),
    (["--oidc-issuer", "issuer.example", "--oidc-audience", "a"], "https"),
    (["--oidc-issuer", "https://issuer.example"], "audience"),
])
def test_flags_that_are_refused(tmp_path, flags, said):
    server = Gsq(tmp_path, anonymous=None, args=flags)
    server.start(wait=None)
    wait_until(lambda: not server.process.running(), "the server to refuse its flags")
    assert said in server.log()
