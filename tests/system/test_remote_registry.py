# SPDX-License-Identifier: Apache-2.0
"""The remote registry against a real one, with faults in between.

GSQ_TEST_REGISTRY=host:port runs the tests of plain pushes, reads and faults against that registry instead of
distribution; those of authentication and TLS bring their own.
"""
import base64
import hashlib
import http.client
import json
import os
import random
import threading
import time
import uuid

import pytest

from tests.conftest import tools_or_skip
from tests.lib.certificate import self_signed
from tests.lib.distribution import Distribution
from tests.system.fault_registry import FaultProxy
from tests.system.probe import Probe
from tests.system.stub_registry import StubRegistry
from tests.system.token_server import SERVICE, TokenServer

EMPTY_DIGEST = "sha256:" + hashlib.sha256(b"{}").hexdigest()
is_distribution = "GSQ_TEST_REGISTRY" not in os.environ
# LIMIT_PARALLEL_TRANSFERS
PARALLEL_MAX = 64


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """host:port of a registry without authentication that all tests here share."""
    if not is_distribution:
        yield os.environ["GSQ_TEST_REGISTRY"]
        return
    distribution = Distribution(tmp_path_factory.mktemp("registry") / "distribution")
    with tools_or_skip():
        distribution.start()
    yield distribution.host
    distribution.stop()


@pytest.fixture
def own_registry(tmp_path):
    """Starts a distribution registry with these options."""
    started = []

    def start(**options):
        registry = Distribution(tmp_path / "distribution", **options)
        with tools_or_skip():
            registry.start()
        started.append(registry)
        return registry
    yield start
    for registry in started:
        registry.stop()


@pytest.fixture
def proxy(registry):
    with FaultProxy(registry) as proxy:
        yield proxy


@pytest.fixture
def probe(proxy):
    with Probe(proxy.host) as probe:
        yield probe


@pytest.fixture
def repository():
    return f"probe/{uuid.uuid4().hex[:12]}"


def methods(proxy):
    return [request.method for request in proxy.log]


def warm_up(probe, proxy):
    """As after the first write: the registry's ways are known, and a repository that holds the empty blob."""
    probe.ok("put", f"probe/{uuid.uuid4().hex[:12]}", "v1", "first")
    proxy.reset()


# ---- what a registry is for ----

def test_what_is_pushed_is_resolved_read_back_listed_and_deleted(probe, repository):
    digest = probe.ok("put", repository, "v1", "hello")
    assert probe.ok("resolve", repository, "v1") == digest
    assert probe.ok("manifest", repository, "v1") == digest
    assert probe.ok("manifest", repository, digest) == digest
    assert probe.ok("blob", repository, "hello", 100) == "hello"
    second = probe.ok("put", repository, "v2", "again")
    assert probe.ok("move", repository, "latest", "again") == second
    assert probe.ok("resolve", repository, "latest") == second
    assert probe.ok("tags", repository).split() == ["latest", "v1", "v2"]
    by_digest = probe.ok("put-digest", repository, "untagged")
    assert probe.ok("manifest", repository, by_digest) == by_digest
    deleted = probe.do("delete", repository, "v1")
    if deleted.error != "not_implemented":
        assert deleted.error is None
        assert probe.error("resolve", repository, "v1") == "not_found"
        assert probe.ok("manifest", repository, digest) == digest


def test_tags_after_one_come_in_the_order_of_bytes_and_no_more_than_are_wanted(probe, repository):
    for tag in ["v2", "v10", "c3", "v1", "latest"]:
        probe.ok("put", repository, tag, tag)
    assert probe.ok("tags-after", repository, "v1", 10).split() == ["v10", "v2"]
    assert probe.ok("tags-after", repository, "c", 2).split() == ["c3", "latest"]
    # None is called so.
    assert probe.ok("tags-after", repository, "v100", 10).split() == ["v2"]
    assert probe.ok("tags-after", repository, "v2", 10) == ""
    assert probe.ok("tags-after", f"{repository}/none", "v2", 10) == ""


def test_what_is_not_there_is_not_found(probe, repository):
    assert probe.error("resolve", repository, "v1") == "not_found"
    assert probe.error("manifest", repository, "v1") == "not_found"
    assert probe.error("blob", repository, "hello", 100) == "not_found"
    assert probe.error("delete", repository, "v1") == "not_found"
    assert probe.ok("tags", repository) == ""


def test_a_new_tag_that_names_something_else_is_a_conflict(probe, repository):
    digest = probe.ok("put", repository, "v1", "mine")
    assert probe.ok("put-careful", repository, "v1", "mine") == digest
    assert probe.error("put-careful", repository, "v1", "other") == "conflict"
    assert probe.ok("put-careful", repository, "v2", "other") != digest


def test_a_blob_larger_than_its_reader_allows_is_refused(probe, repository):
    probe.ok("put", repository, "v1", "hello")
    assert probe.error("blob", repository, "hello", 4) == "too_large"


def test_repositories_are_listed_over_pages(probe):
    prefix = f"many/{uuid.uuid4().hex[:12]}-"
    probe.ok("put-many", 120, f"{prefix}#", "v1")
    listed = [name for name in probe.ok("repositories").split() if name.startswith(prefix)]
    assert sorted(listed) == sorted(f"{prefix}{i}" for i in range(120))


def test_a_prefix_is_part_of_the_name_on_the_wire_and_nowhere_else(registry, probe, repository):
    with Probe(f"http://{registry}/acme/{repository}") as below:
        digest = below.ok("put", "inner", "v1", "hello")
        assert below.ok("repositories").split() == ["inner"]
    assert probe.ok("resolve", f"acme/{repository}/inner", "v1") == digest


def test_a_large_blob_is_pushed(probe, repository):
    probe.ok("put-large", repository, "v1", 20_000_000)


# ---- as few requests as the protocol allows ----

def test_a_create_and_an_update_take_as_few_requests_as_the_protocol_allows(probe, proxy, repository):
    warm_up(probe, proxy)
    blob = ["POST", "PUT"] if is_distribution else ["POST"]
    probe.ok("put", repository, "v1", "created")
    create = methods(proxy)
    proxy.reset()
    probe.ok("put", repository, "v2", "updated")
    update = methods(proxy)
    proxy.reset()
    probe.ok("move", repository, "latest", "updated")
    assert methods(proxy) == ["PUT"]
    if is_distribution:
        # Mount of the config, upload of the layer, manifest; then without the mount.
        assert create == ["POST", *blob, "PUT"]
        assert update == [*blob, "PUT"]
    else:
        assert len(create) <= 5 and len(update) <= 3


def test_a_blob_that_is_known_to_be_there_is_not_sent_again(probe, proxy, repository):
    probe.ok("put", repository, "v1", "same")
    proxy.reset()
    probe.ok("put", repository, "v2", "same")
    assert methods(proxy) == ["PUT"]


@pytest.mark.skipif(not is_distribution, reason="deletes blobs")
def test_a_blob_that_was_deleted_behind_our_back_is_sent_after_all(probe, proxy, registry, repository):
    probe.ok("put", repository, "v1", "same")
    connection = http.client.HTTPConnection(registry)
    connection.request("DELETE", f"/v2/{repository}/blobs/{EMPTY_DIGEST}")
    assert connection.getresponse().status == 202
    connection.close()
    probe.ok("put", repository, "v2", "more")
    assert probe.ok("blob", repository, "more", 100) == "more"


def test_connections_are_kept_and_no_more_are_made_than_transfers_run(probe, proxy, repository):
    for i in range(10):
        probe.ok("put", repository, f"v{i}", f"text{i}")
    assert proxy.connections == 1
    probe.ok("put-many", 100, f"{repository}-#", "v1")
    assert 2 <= proxy.most_connections <= PARALLEL_MAX
    assert proxy.connections <= PARALLEL_MAX


# ---- faults ----

# A registry that takes a whole blob in its POST needs one request less.
PUSH_STEPS = ["mount", "start of upload", "upload", "manifest"] if is_distribution else ["mount", "upload", "manifest"]
FAULTS = {
    "500": {"kind": 500},
    "502": {"kind": 502},
    "503": {"kind": 503},
    "504": {"kind": 504},
    "429 with seconds": {"kind": 429, "retry_after": 1},
    "429 with a date": {"kind": 429, "retry_after": "Thu, 01 Jan 2026 00:00:00 GMT"},
    "slow": {"kind": "delay", "delay_s": 0.3},
    "too slow": {"kind": "delay", "delay_s": 2.0},
    "cut before it": {"kind": "cut"},
    "cut mid-upload": {"kind": "cut_upload"},
    "answer dropped": {"kind": "drop_answer"},
    "answer late": {"kind": "hang_answer", "delay_s": 2.0},
    "done but 500": {"kind": "lie"},
}


@pytest.mark.parametrize("step", range(len(PUSH_STEPS)), ids=PUSH_STEPS)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_one_fault_at_any_request_of_a_push_is_overcome(proxy, repository, step, fault):
    with Probe(proxy.host, timeout_ms=1000) as probe:
        warm_up(probe, proxy)
        rule = proxy.fail(nth=step + 1, **fault)
        digest = probe.ok("put", repository, "v1", "hello")
        assert rule.hits == 1
        proxy.reset()
        assert probe.ok("resolve", repository, "v1") == digest
        assert probe.ok("blob", repository, "hello", 100) == "hello"


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_one_fault_at_the_move_of_a_tag_is_overcome(proxy, repository, fault):
    with Probe(proxy.host, timeout_ms=1000) as probe:
        probe.ok("put", repository, "v1", "old")
        probe.ok("move", repository, "latest", "old")
        digest = probe.ok("put", repository, "v2", "new")
        probe.ok("resolve", repository, "latest")
        rule = proxy.fail(method="PUT", **fault)
        assert probe.ok("move", repository, "latest", "new") == digest
        assert rule.hits == 1
        assert probe.ok("resolve", repository, "latest") == digest


@pytest.mark.parametrize("step", range(len(PUSH_STEPS)), ids=PUSH_STEPS)
@pytest.mark.parametrize("kind", [500, 503, 429, "cut", "cut_upload", "drop_answer"])
def test_a_fault_that_stays_makes_the_registry_unavailable(proxy, repository, step, kind):
    with Probe(proxy.host, retries=1) as probe:
        warm_up(probe, proxy)
        proxy.fail(kind, nth=step + 1, times=None)
        assert probe.error("put", repository, "v1", "hello") == "unavailable"
        proxy.reset()
        probe.ok("put", repository, "v1", "hello")


@pytest.mark.parametrize("kind", [500, 503, "drop_answer", "cut", "cut_upload", "lie"])
def test_a_tag_that_may_have_moved_is_an_unknown_outcome(proxy, repository, kind):
    with Probe(proxy.host, retries=1) as probe:
        digest = probe.ok("put", repository, "v1", "hello")
        proxy.fail(kind, times=None)
        assert probe.error("move", repository, "latest", "hello") == "unknown_outcome"
        proxy.reset()
        if kind in ("drop_answer", "lie"):
            assert probe.ok("resolve", repository, "latest") == digest
        else:
            assert probe.error("resolve", repository, "latest") == "not_found"


def test_a_tag_whose_move_was_turned_away_is_no_unknown_outcome(proxy, repository):
    with Probe(proxy.host, retries=1) as probe:
        probe.ok("put", repository, "v1", "hello")
        proxy.fail(429, times=None, retry_after=1)
        answer = probe.do("move", repository, "latest", "hello")
        assert (answer.error, answer.retry_after) == ("unavailable", 1)


def test_a_tag_that_another_writer_moved_meanwhile_is_not_moved_back(proxy, registry, repository):
    with Probe(proxy.host) as ours, Probe(registry) as other:
        for version in ("old", "ours", "theirs"):
            ours.ok("put", repository, version, version)
        ours.ok("move", repository, "latest", "old")
        ours.ok("resolve", repository, "latest")
        proxy.fail(503, method="PUT", retry_after=1)
        ours.start("move", repository, "latest", "ours")
        time.sleep(0.3)
        theirs = other.ok("move", repository, "latest", "theirs")
        assert ours.finish().error == "unknown_outcome"
        assert other.ok("resolve", repository, "latest") == theirs


def test_a_tag_that_was_looked_at_again_is_remembered_better_than_those_between(proxy, registry, repository):
    with Probe(proxy.host) as ours, Probe(registry) as other:
        for version in ("old", "ours", "theirs"):
            ours.ok("put", repository, version, version)
        ours.ok("move", repository, "latest", "old")
        ours.ok("put-many", 8, f"{repository}-#", "v1")
        ours.ok("resolve", repository, "latest")
        ours.ok("look-many", 7, f"{repository}-#", "v1")
        ours.ok("resolve", repository, "latest")
        ours.ok("resolve", f"{repository}-7", "v1")
        proxy.fail(503, method="PUT", retry_after=1)
        ours.start("move", repository, "latest", "ours")
        time.sleep(0.3)
        theirs = other.ok("move", repository, "latest", "theirs")
        assert ours.finish().error == "unknown_outcome"
        assert other.ok("resolve", repository, "latest") == theirs


def test_retry_after_is_waited_for_and_holds_up_nobody_else(probe, proxy, repository):
    warm_up(probe, proxy)
    proxy.fail(429, path_re=f"{repository}-7/", retry_after=2)
    began = time.monotonic()
    probe.ok("put-many", 20, f"{repository}-#", "v1")
    took = time.monotonic() - began
    assert 2 <= took < 10
    late = [request.at - began for request in proxy.log if f"{repository}-7/" not in request.target]
    assert max(late) < 2


def test_retries_end_after_half_a_minute_at_the_latest(proxy, repository):
    with Probe(proxy.host, retries=1000) as probe:
        proxy.fail(503, times=None, retry_after=9)
        began = time.monotonic()
        answer = probe.do("put", repository, "v1", "hello")
        assert (answer.error, answer.retry_after) == ("unavailable", 9)
        assert 18 <= time.monotonic() - began <= 32


@pytest.mark.parametrize("status, error", [
    (400, "internal"), (403, "denied"), (404, "denied"), (405, "denied"), (413, "denied"), (415, "internal"),
    (422, "internal"), (507, "insufficient_storage")])
def test_a_refusal_is_final_and_carries_the_registrys_words(probe, proxy, repository, status, error):
    probe.ok("put", repository, "v1", "hello")
    proxy.reset()
    proxy.fail(status, times=None, body=b'{"errors":[{"code":"NOPE","message":"because"}]}')
    answer = probe.do("put", repository, "v2", "hello")
    assert answer.error == error
    assert f"{status} NOPE: because" in answer.text
    assert len(proxy.log) == 1


def test_a_full_disk_of_distribution_is_told_apart(probe, proxy, repository):
    probe.ok("put", repository, "v1", "hello")
    proxy.fail(500, body=b'{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":'
                         b'{"DriverName":"filesystem","Enclosed":{"Op":"write","Path":"/x","Err":28}}}]}')
    assert probe.error("put", repository, "v2", "hello") == "insufficient_storage"


@pytest.mark.parametrize("command", ["resolve", "manifest", "blob", "tags", "tags-after", "repositories"])
def test_a_read_is_repeated_too_and_an_outage_is_never_taken_for_absence(proxy, repository, command):
    arguments = {"resolve": [repository, "v1"], "manifest": [repository, "v1"], "blob": [repository, "hello", 100],
                 "tags": [repository], "tags-after": [repository, "v", 1], "repositories": []}[command]
    with Probe(proxy.host, retries=1) as probe:
        probe.ok("put", repository, "v1", "hello")
        proxy.fail(503)
        probe.ok(command, *arguments)
        proxy.fail("cut", times=None)
        assert probe.error(command, *arguments) == "unavailable"


def test_a_registry_that_is_down_is_unavailable(repository):
    with Probe("127.0.0.1:1", retries=1) as probe:
        assert probe.error("resolve", repository, "v1") == "unavailable"
        assert probe.error("move", repository, "v1", "hello") == "unavailable"


def test_the_proxy_of_the_environment_is_used(proxy, registry, repository):
    environment = {"http_proxy": f"http://{proxy.host}", "no_proxy": ""}
    with Probe(f"registry.invalid:{registry.rpartition(':')[2]}", env=environment) as probe:
        assert probe.error("resolve", repository, "v1") == "not_found"
    assert len(proxy.log) == 1


# ---- who may ----

def write_config(path, value):
    # As docker does it: a new file in its place.
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value))
    new.rename(path)
    return path


def auths(host, user, password):
    return {"auths": {host: {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}}}


def test_a_password_comes_from_dockers_config_and_is_read_again_when_it_changes(own_registry, tmp_path):
    registry = own_registry(users={"ann": "right"})
    config = write_config(tmp_path / "config.json", auths(f"https://{registry.host}/v1/", "ann", "wrong"))
    with Probe(registry.host, config=config) as probe, Probe(registry.host) as nobody:
        assert nobody.error("put", "a", "v1", "hello") == "unauthorized"
        assert probe.error("put", "a", "v1", "hello") == "unauthorized"
        write_config(config, {"auths": {registry.host: {"username": "ann", "password": "right"}}})
        probe.ok("put", "a", "v1", "hello")
        probe.ok("put-many", 30, "many#", "v1")
        write_config(config, auths(registry.host, "ann", "wrong again"))
        assert probe.error("put", "a", "v2", "more") == "unauthorized"
        config.write_text("{")
        assert probe.error("resolve", "a", "v1") == "unauthorized"


def helper_script(folder, name, lines):
    program = folder / f"docker-credential-{name}"
    program.write_text("#!/bin/sh\n" + lines)
    program.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_a_credential_helper_is_asked_again_when_its_password_has_expired(own_registry, tmp_path):
    registry = own_registry(users={"ann": "right"})
    password = tmp_path / "password"
    password.write_text("right")
    path = helper_script(tmp_path, "test", f'read -r host\n[ "$1" = get ] && [ "$host" = {registry.host} ] || exit 1\n'
                         f'echo x >>{tmp_path}/asked\n'
                         f'echo "{{\\"Username\\":\\"ann\\",\\"Secret\\":\\"$(cat {password})\\"}}"\n')
    config = write_config(tmp_path / "config.json", {"credHelpers": {registry.host: "test"}})
    with Probe(registry.host, config=config, env=path) as probe:
        probe.ok("put", "a", "v1", "hello")
        probe.ok("put", "a", "v2", "hello")
        assert (tmp_path / "asked").read_text() == "x\n"
        password.write_text("old")
        probe.ok("put", "a", "v3", "hello")
        # A registry whose password changes is what a token of twelve hours looks like.
        registry.stop()
        registry._users = {"ann": "new"}
        registry.start()
        password.write_text("new")
        probe.ok("put", "a", "v4", "hello")
        assert (tmp_path / "asked").read_text() == "x\nx\n"


@pytest.mark.parametrize("lines", ["exit 1\n", "echo nonsense\n", "exec yes\n"])
def test_a_credential_helper_that_fails_is_an_error_and_not_a_hang(own_registry, tmp_path, lines):
    registry = own_registry(users={"ann": "right"})
    config = write_config(tmp_path / "config.json", {"credsStore": "bad"})
    with Probe(registry.host, config=config, env=helper_script(tmp_path, "bad", lines)) as probe:
        assert probe.error("put", "a", "v1", "hello") == "unauthorized"


def test_a_credential_helper_that_knows_nothing_leaves_it_to_the_file(own_registry, tmp_path):
    registry = own_registry(users={"ann": "right"})
    config = write_config(tmp_path / "config.json", {**auths(registry.host, "ann", "right"), "credsStore": "empty"})
    path = helper_script(tmp_path, "empty", "echo credentials not found in native keychain\nexit 1\n")
    with Probe(registry.host, config=config, env=path) as probe:
        probe.ok("put", "a", "v1", "hello")


@pytest.fixture
def tokens(tmp_path):
    with TokenServer(tmp_path, users={"ann": "right"}, refresh_tokens={"refresh": "ann"}) as tokens:
        yield tokens


def test_a_token_is_fetched_once_for_each_set_of_scopes(own_registry, tokens, tmp_path):
    registry = own_registry(token=tokens.distribution_config())
    config = write_config(tmp_path / "config.json", auths(registry.host, "ann", "right"))
    with Probe(registry.host, config=config) as probe:
        probe.ok("put", "a", "v1", "hello")
        probe.ok("move", "a", "latest", "hello")
        assert probe.ok("tags", "a").split() == ["latest", "v1"]
        assert tokens.log == [("GET", "ann", ["repository:a:pull,push"])]
        probe.ok("put", "b", "v1", "hello")
        assert tokens.log[1:] == [("GET", "ann", ["repository:b:pull,push", "repository:a:pull"])]
        tokens.log.clear()
        probe.ok("put-many", 10, "many#", "v1")
        assert len(tokens.log) == 10
        tokens.log.clear()
        assert len(probe.ok("repositories").split()) == 12
        probe.ok("delete", "a", "v1")
        assert [scopes for _, _, scopes in tokens.log] == [["registry:catalog:*"], ["repository:a:delete,pull,push"]]


def test_many_reads_of_one_repository_share_a_token(own_registry, tokens, tmp_path):
    registry = own_registry(token=tokens.distribution_config())
    config = write_config(tmp_path / "config.json", auths(registry.host, "ann", "right"))
    with Probe(registry.host, config=config) as probe:
        probe.ok("put-many", 50, "a", "v#")
    for command in ("look-many", "pull-many"):
        tokens.log.clear()
        with Probe(registry.host, config=config) as probe:
            found = probe.ok(command, 50, "a", "v#").split()
        assert len(set(found)) == 1 and found[0].startswith("sha256:")
        assert tokens.log == [("GET", "ann", ["repository:a:pull,push"])]


def test_a_token_is_renewed_before_it_expires(own_registry, tokens, tmp_path):
    registry = own_registry(token=tokens.distribution_config())
    tokens.expires_in = 2
    config = write_config(tmp_path / "config.json", auths(registry.host, "ann", "right"))
    with FaultProxy(registry.host) as proxy, Probe(proxy.host, config=write_config(
            config, auths(proxy.host, "ann", "right"))) as probe:
        probe.ok("put", "a", "v1", "hello")
        time.sleep(2)
        proxy.reset()
        probe.ok("resolve", "a", "v1")
        assert [request.status for request in proxy.log] == [200]
        assert len(tokens.log) == 2


def test_a_token_that_is_refused_is_fetched_anew(own_registry, tokens, tmp_path):
    registry = own_registry(token=tokens.distribution_config())
    with FaultProxy(registry.host) as proxy, Probe(proxy.host, config=write_config(
            tmp_path / "config.json", auths(proxy.host, "ann", "right"))) as probe:
        probe.ok("put", "a", "v1", "hello")
        tokens.log.clear()
        challenge = {"WWW-Authenticate": f'Bearer realm="{tokens.realm}",service="{SERVICE}"'}
        proxy.fail(401, headers=challenge)
        probe.ok("resolve", "a", "v1")
        assert len(tokens.log) == 1
        proxy.fail(401, headers=challenge, times=2)
        assert probe.error("resolve", "a", "v1") == "unauthorized"
        proxy.fail(401)
        assert probe.error("resolve", "a", "v1") == "unauthorized", "a 401 without a challenge"
        probe.ok("resolve", "a", "v1")


def test_an_identity_token_is_exchanged(own_registry, tokens, tmp_path):
    registry = own_registry(token=tokens.distribution_config())
    config = write_config(tmp_path / "config.json", {"auths": {registry.host: {"identitytoken": "refresh"}}})
    with Probe(registry.host, config=config) as probe:
        probe.ok("put", "a", "v1", "hello")
    assert tokens.log == [("POST", "ann", ["repository:a:pull,push"])]


def test_wrong_credentials_and_none_are_unauthorized(own_registry, tokens, tmp_path):
    registry = own_registry(token=tokens.distribution_config())
    config = write_config(tmp_path / "config.json", auths(registry.host, "ann", "wrong"))
    with Probe(registry.host, config=config) as wrong, Probe(registry.host) as nobody:
        answer = wrong.do("put", "a", "v1", "hello")
        assert answer.error == "unauthorized" and "wrong" not in answer.text
        assert nobody.error("put", "a", "v1", "hello") == "unauthorized"


def test_tls_needs_the_ca_file(own_registry, tmp_path):
    certificate, key = self_signed(tmp_path)
    registry = own_registry(tls=(certificate, key), users={"ann": "right"})
    config = write_config(tmp_path / "config.json", auths(registry.host, "ann", "right"))
    with Probe(registry.url, config=config, ca=certificate) as probe, Probe(registry.url, config=config) as untrusting:
        digest = probe.ok("put", "a", "v1", "hello")
        assert probe.ok("resolve", "a", "v1") == digest
        assert untrusting.error("resolve", "a", "v1") == "denied"


# ---- what other registries do ----

def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def test_a_registry_that_takes_a_blob_in_its_post_gets_one_request_for_each():
    def answer(request):
        return (201, {}, b"") if request.method in ("POST", "PUT") else (404, {}, b"")
    with StubRegistry(answer) as stub, Probe(stub.host) as probe:
        probe.ok("put", "a", "v1", "hello")
        assert [(request.method, request.body) for request in stub.log[:2]] == [("POST", b"{}"), ("POST", b"hello")]
        assert len(stub.log) == 3


@pytest.mark.parametrize("location", ["/elsewhere/7", "7?state=x", "http://{host}/up?state=x"])
def test_a_location_may_be_relative_and_may_have_a_query(location):
    def answer(request):
        if request.method == "POST":
            return 202, {"Location": location.format(host=stub.host)}, b""
        return 201, {}, b""
    with StubRegistry(answer) as stub, Probe(stub.host) as probe:
        probe.ok("put-digest", "a", "hello")
    put = stub.log[1]
    expected = {"/elsewhere/7": "/elsewhere/7?", "7?state=x": "/v2/a/blobs/uploads/7?state=x&",
                "http://{host}/up?state=x": "/up?state=x&"}[location]
    assert (put.method, put.path, put.body) == ("PUT", f"{expected}digest={EMPTY_DIGEST}", b"{}")


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://user:pass@127.0.0.1/x", ""])
def test_a_location_that_is_no_plain_web_address_is_refused(location):
    with StubRegistry(lambda request: (202, {"Location": location}, b"")) as stub, Probe(stub.host) as probe:
        assert probe.error("put", "a", "v1", "hello") == "internal"
        assert len(stub.log) == 1


def test_a_blob_may_be_elsewhere_which_is_not_told_our_password(tmp_path):
    def registry(request):
        if "Authorization" not in request.headers:
            return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
        return 307, {"Location": f"http://{storage.host}/bucket/hello?signature=s"}, b""
    with StubRegistry(lambda request: (200, {}, b"hello")) as storage, StubRegistry(registry) as stub:
        config = write_config(tmp_path / "config.json", auths(stub.host, "ann", "right"))
        with Probe(stub.host, config=config) as probe:
            assert probe.ok("blob", "a", "hello", 100) == "hello"
    assert "Authorization" in stub.log[-1].headers
    assert [("Authorization" in request.headers, request.path) for request in storage.log] == [
        (False, "/bucket/hello?signature=s")]


def test_redirects_end():
    with StubRegistry(lambda request: (302, {"Location": "/again"}, b"")) as stub, Probe(stub.host) as probe:
        assert probe.error("blob", "a", "hello", 100) == "internal"
        assert len(stub.log) == 6


def test_bytes_that_do_not_match_their_digest_are_an_error():
    def answer(request):
        return 200, {"Docker-Content-Digest": sha256(b"{}")}, b"something else"
    with StubRegistry(answer) as stub, Probe(stub.host) as probe:
        assert probe.error("blob", "a", "hello", 100) == "internal"
        assert probe.error("manifest", "a", "latest") == "internal"
        assert probe.error("manifest", "a", sha256(b"x")) == "internal"


def test_a_registry_that_names_no_digest_is_asked_for_the_manifest():
    with StubRegistry(lambda request: (200, {}, b'{"a":1}')) as stub, Probe(stub.host) as probe:
        assert probe.ok("resolve", "a", "latest") == sha256(b'{"a":1}')
        assert probe.ok("manifest", "a", "latest") == sha256(b'{"a":1}')


def test_a_manifest_that_is_stored_under_another_digest_is_an_error():
    def answer(request):
        return 201, {"Docker-Content-Digest": sha256(b"x")}, b""
    with StubRegistry(answer) as stub, Probe(stub.host) as probe:
        assert probe.error("put", "a", "v1", "hello") == "internal"


# ---- many reads at once ----

class Shelf:
    """Artifacts of one text each in repositories a0, a1, ... under the tag v1; an answer may take a moment, or another.

    fail(request) may return an answer of its own; without_digest: the repositories whose HEAD names none
    """

    def __init__(self, n, fail=lambda request: None, without_digest=()):
        self.contents, self.digests, self.texts = {}, [], [f"text{i}" for i in range(n)]
        self._fail, self._without_digest = fail, without_digest
        for i, text in enumerate(self.texts):
            layer = {"mediaType": "text/plain", "digest": sha256(text.encode()), "size": len(text)}
            self.put_manifest(i, [layer])
            self.contents[f"/v2/a{i}/blobs/{layer['digest']}"] = text.encode()

    def put_manifest(self, i, layers):
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": layers,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": EMPTY_DIGEST, "size": 2}}).encode()
        self.digests[i:i + 1] = [sha256(manifest)]
        self.contents[f"/v2/a{i}/manifests/v1"] = manifest

    def blob(self, i):
        return f"/v2/a{i}/blobs/{sha256(self.texts[i].encode())}"

    def pulled(self):
        return [f"{digest}={text}" for digest, text in zip(self.digests, self.texts)]

    def answer(self, request):
        time.sleep(random.choice((0, 0.01, 0.03)))
        failure = self._fail(request)
        if failure:
            return failure
        content = self.contents.get(request.path)
        if content is None:
            return 404, {}, b""
        if request.method == "HEAD" and request.path.split("/")[2] in self._without_digest:
            return 200, {}, b""
        return 200, {"Docker-Content-Digest": sha256(content)}, content


def once(status, matches):
    """An answer with this status for the first request that matches."""
    left, lock = [status], threading.Lock()

    def fail(request):
        with lock:
            return (left.pop(), {}, b"") if matches(request) and left else None
    return fail


def test_many_looks_overlap_and_each_gets_the_answer_to_its_own_tag():
    shelf = Shelf(100, without_digest={"a3", "a50", "a99"})
    del shelf.contents["/v2/a7/manifests/v1"]
    with StubRegistry(shelf.answer) as stub, Probe(stub.host) as probe:
        found = probe.ok("look-many", 100, "a#", "v1").split()
        assert found == [digest if i != 7 else "not_found" for i, digest in enumerate(shelf.digests)]
        assert 1 < stub.most_open <= PARALLEL_MAX
        assert sorted(request.path for request in stub.log if request.method == "GET") == [
            "/v2/a3/manifests/v1", "/v2/a50/manifests/v1", "/v2/a99/manifests/v1"]
        assert len(stub.log) == 103


def test_many_pulls_overlap_and_each_gets_its_own_artifact():
    shelf = Shelf(100)
    with StubRegistry(shelf.answer) as stub, Probe(stub.host) as probe:
        assert probe.ok("pull-many", 100, "a#", "v1").split() == shelf.pulled()
        assert 1 < stub.most_open <= PARALLEL_MAX
        assert len(stub.log) == 200


def test_a_pull_that_fails_fails_alone():
    shelf = Shelf(40)
    other_layer = {"mediaType": "text/plain", "digest": EMPTY_DIGEST, "size": 2}
    shelf.contents[shelf.blob(3)] = b"rotten"
    del shelf.contents[shelf.blob(7)]
    del shelf.contents["/v2/a11/manifests/v1"]
    shelf.put_manifest(20, [])
    shelf.put_manifest(21, [other_layer, other_layer])
    shelf.contents["/v2/a30/manifests/v1"] = b"no manifest"
    expected = shelf.pulled()
    for i in (3, 7, 20, 21, 30):
        expected[i] = "internal"
    expected[11] = "not_found"
    with StubRegistry(shelf.answer) as stub, Probe(stub.host) as probe:
        assert probe.ok("pull-many", 40, "a#", "v1").split() == expected


@pytest.mark.parametrize("command", ["look-many", "pull-many"])
@pytest.mark.parametrize("status, error", [(403, "denied"), (503, "unavailable")])
def test_a_refusal_of_one_of_many_reads_is_its_own(command, status, error):
    shelf = Shelf(30, fail=lambda request: (status, {}, b"") if "/a9/" in request.path else None)
    with StubRegistry(shelf.answer) as stub, Probe(stub.host, retries=1) as probe:
        expected = shelf.pulled() if command == "pull-many" else shelf.digests
        assert probe.ok(command, 30, "a#", "v1").split() == [*expected[:9], error, *expected[10:]]


@pytest.mark.parametrize("what", ["manifest", "layer"])
def test_a_503_amid_many_pulls_is_repeated(what):
    shelf = Shelf(30)
    path = "/v2/a12/manifests/v1" if what == "manifest" else shelf.blob(12)
    shelf = Shelf(30, fail=once(503, lambda request: request.path == path))
    with StubRegistry(shelf.answer) as stub, Probe(stub.host) as probe:
        assert probe.ok("pull-many", 30, "a#", "v1").split() == shelf.pulled()
        assert len([request for request in stub.log if request.path == path]) == 2
        assert len(stub.log) == 61


def test_a_503_amid_many_looks_is_repeated():
    shelf = Shelf(30, fail=once(503, lambda request: "/a12/" in request.path))
    with StubRegistry(shelf.answer) as stub, Probe(stub.host) as probe:
        assert probe.ok("look-many", 30, "a#", "v1").split() == shelf.digests
        assert len(stub.log) == 31


def test_thousands_of_reads_that_cannot_even_begin_each_fail():
    with StubRegistry(lambda request: (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")) as stub, \
            Probe(stub.host) as probe:
        assert set(probe.ok("look-many", 10000, "a#", "v1").split()) == {"unauthorized"}
        assert set(probe.ok("pull-many", 10000, "a#", "v1").split()) == {"unauthorized"}
        assert len(stub.log) <= PARALLEL_MAX


def test_no_reads_at_all_are_none(probe):
    assert probe.ok("look-many", 0, "a#", "v1") == ""
    assert probe.ok("pull-many", 0, "a#", "v1") == ""


def test_what_many_pushed_many_pull_through_faults(probe, proxy, repository):
    probe.ok("put-many", 60, f"{repository}-#", "v1")
    looked = probe.ok("look-many", 60, f"{repository}-#", "v1").split()
    proxy.fail(503, nth=20)
    proxy.fail("cut", nth=50, times=3)
    proxy.fail("drop_answer", nth=100)
    pulled = probe.ok("pull-many", 60, f"{repository}-#", "v1").split()
    assert pulled == [f"{digest}={repository}-{i}" for i, digest in enumerate(looked)]


# ---- listings ----

def pages(link):
    """Tags t0, t1, ... one a page; link(n) is the target of the next."""
    def answer(request):
        n = int(request.path.partition("last=")[2] or 0)
        headers = {"Link": f'<{link(n + 1)}>; rel="next"'} if n < 4 else {}
        return 200, headers, json.dumps({"name": "a", "tags": [f"t{n}"]}).encode()
    return answer


def test_tags_are_listed_over_pages_with_relative_and_absolute_links():
    with StubRegistry(pages(lambda n: f"/v2/a/tags/list?last={n}")) as stub, Probe(stub.host) as probe:
        assert probe.ok("tags", "a") == "t0 t1 t2 t3 t4"
    with StubRegistry(pages(lambda n: f"http://{stub.host}/v2/a/tags/list?last={n}")) as stub, \
            Probe(stub.host) as probe:
        assert probe.ok("tags", "a") == "t0 t1 t2 t3 t4"


def test_a_listing_that_leads_to_another_host_is_refused():
    with StubRegistry(pages(lambda n: "http://127.0.0.2:1/v2/a/tags/list")) as stub, Probe(stub.host) as probe:
        assert probe.error("tags", "a") == "internal"


def listing(*tags, link=None):
    headers = {} if link is None else {"Link": f'<{link}>; rel="next"'}
    return 200, headers, json.dumps({"name": "a", "tags": tags}).encode()


def test_a_registry_that_does_not_know_where_to_begin_is_read_from_the_first_tag():
    with StubRegistry(lambda _: listing("t0", "t1", "t2", "t3")) as stub, Probe(stub.host) as probe:
        assert probe.ok("tags-after", "a", "t1", 10) == "t2 t3"
        assert "last=t1" in stub.log[0].path


# 404 is Zot's, unless the place is one of its tags.
@pytest.mark.parametrize("status", [400, 404, 405, 422])
def test_a_registry_that_refuses_to_be_told_where_to_begin_is_not_told_again(status):
    def answer(request):
        return (status, {}, b"") if "last=" in request.path else listing("t0", "t1", "t2")
    with StubRegistry(answer) as stub, Probe(stub.host) as probe:
        assert probe.ok("tags-after", "a", "t0", 10) == "t1 t2"
        assert probe.ok("tags-after", "a", "t1", 10) == "t2"
        assert ["last=" in request.path for request in stub.log] == [True, False, False]


def test_a_registry_that_has_no_such_repository_refuses_nothing():
    def answer(request):
        return listing("t0", "t1") if "/b/" in request.path else (404, {}, b"")
    with StubRegistry(answer) as stub, Probe(stub.host) as probe:
        assert probe.ok("tags-after", "a", "t0", 10) == ""
        assert probe.ok("tags-after", "b", "t0", 10) == "t1"
        assert ["last=" in request.path for request in stub.log] == [True, False, True]


def test_a_listing_that_a_registry_cannot_go_on_with_is_not_taken_for_all_of_it():
    def answer(request):
        return (404, {}, b"") if "page=2" in request.path else listing("t0", "t1", link="/v2/a/tags/list?page=2")
    with StubRegistry(answer) as stub, Probe(stub.host) as probe:
        assert probe.error("tags", "a") == "unavailable"
        assert probe.error("tags-after", "a", "t0", 10) == "unavailable"


@pytest.mark.parametrize("status, error", [(401, "unauthorized"), (403, "denied"), (500, "unavailable")])
def test_other_refusals_of_a_listing_are_no_matter_of_where_it_begins(status, error):
    with StubRegistry(lambda _: (status, {}, b"")) as stub, Probe(stub.host, retries=0) as probe:
        assert probe.error("tags-after", "a", "t0", 10) == error
        assert all("last=" in request.path for request in stub.log)


def test_tags_that_a_registry_has_in_another_order_are_sorted():
    def answer(request):
        second = "/v2/a/tags/list?page=2"
        return listing("t3", "t0") if "page=2" in request.path else listing("t4", "t1", "t2", link=second)
    with StubRegistry(answer) as stub, Probe(stub.host) as probe:
        assert probe.ok("tags-after", "a", "t1", 10) == "t2 t3 t4"
        assert probe.ok("tags-after", "a", "t", 2) == "t0 t1"
        assert ["last=" in request.path for request in stub.log] == [True] + 4 * [False]


def test_an_order_that_is_found_out_late_makes_the_listing_fail_once():
    def answer(request):
        second = "/v2/a/tags/list?page=2"
        return listing("t0", "t3") if "page=2" in request.path else listing("t1", "t2", link=second)
    with StubRegistry(answer) as stub, Probe(stub.host) as probe:
        assert probe.error("tags-after", "a", "t", 10) == "unavailable"
        assert probe.ok("tags-after", "a", "t", 10) == "t0 t1 t2 t3"


def test_no_page_is_read_after_the_one_with_what_was_wanted():
    with StubRegistry(pages(lambda n: f"/v2/a/tags/list?last={n}")) as stub, Probe(stub.host) as probe:
        assert probe.ok("tags-after", "a", "0", 2) == "t0 t1"
        assert len(stub.log) == 2


@pytest.mark.parametrize("status", [400, 403, 405, 501])
def test_a_registry_that_does_not_delete_tags_says_so(status):
    with StubRegistry(lambda request: (status, {}, b"")) as stub, Probe(stub.host) as probe:
        assert probe.error("delete", "a", "v1") == "not_implemented"


def test_a_token_server_that_would_leak_the_password_is_not_asked(tmp_path):
    certificate, key = self_signed(tmp_path)
    with TokenServer(tmp_path) as plain:
        registry = Distribution(tmp_path / "distribution", tls=(certificate, key), token=plain.distribution_config())
        with tools_or_skip():
            registry.start()
        config = write_config(tmp_path / "config.json", auths(registry.host, "ann", "right"))
        with Probe(registry.url, config=config, ca=certificate) as probe:
            assert probe.error("resolve", "a", "v1") == "unauthorized"
        registry.stop()
        assert plain.log == []
