# SPDX-License-Identifier: Apache-2.0
"""gsq audit: who changed what, from where and why; and the proof that nothing of it was changed since."""
import json
import subprocess

import pytest

from tests.lib.gsq import binary
from tests.lib.oci import RECORDS
from tests.system.fault_registry import FaultProxy
from tests.system.resources import declare, intent, path

LOCAL = "127.0.0.1"


def audit(store, *args):
    """On the store itself; with the embedded one no server may run."""
    return subprocess.run([binary(), "audit", *args, *store.rebuild_args()], capture_output=True, text=True, timeout=60)


def entries(store, *args):
    result = audit(store, "--output", "json", *args)
    assert (result.returncode, result.stderr) == (0, "")
    return [json.loads(line) for line in result.stdout.splitlines()]


def change(server, name, why=None, method="PUT", **spec):
    body = intent(name, **spec) if method == "PUT" else None
    answer = server.request(method, path(name=name), body, headers={"X-Change-Reason": why and why.encode()})
    assert answer.status in (200, 201)
    return answer.json


@pytest.fixture
def history(store):
    """A store with some changes, whose server has stopped."""
    with store.server() as server:
        change(server, "web", "ticket 12")
        change(server, "db")
        change(server, "web", "ticket 13: Größe", size="large")
        change(server, "db", "not needed", method="DELETE")
    return store


def ops(listed):
    return [(e["op"], e.get("name")) for e in listed]


# ---- reading it ----

def test_each_change_says_who_from_where_and_why(history):
    listed = entries(history)
    assert ops(listed) == [("delete", "db"), ("update", "web"), ("create", "db"), ("create", "web"), ("init", None)]
    assert [e.get("why") for e in listed] == ["not needed", "ticket 13: Größe", None, "ticket 12", None]
    assert all((e["who"], e["from"], e["namespace"]) == ("anonymous", LOCAL, "default") for e in listed[:-1])
    assert listed[-1]["who"] == "gsq"
    assert "from" not in listed[-1]
    assert [e["when"] for e in listed] == sorted((e["when"] for e in listed), reverse=True)


def test_for_people_it_is_a_table(history):
    header, newest, *rest = audit(history).stdout.splitlines()
    assert header.split() == ["WHEN", "WHO", "FROM", "OP", "RESOURCE", "VERSION", "WHY"]
    _, who, origin, op, resource, version, why = newest.split(None, 6)
    assert (who, origin, op, resource, why) == ("anonymous", LOCAL, "delete", "default/db", "not needed")
    assert version.startswith("v")
    assert len(rest) == 4


def test_it_can_be_about_some_resources_only(history):
    assert ops(entries(history, "--name", "web")) == [("update", "web"), ("create", "web")]
    assert ops(entries(history, "--namespace", "default", "--limit", "2")) == [("delete", "db"), ("update", "web")]
    assert entries(history, "--namespace", "other") == []


def test_it_can_be_about_what_is_new_only(history):
    listed = entries(history)
    assert entries(history, "--since", listed[1]["when"]) == listed[:2]
    assert entries(history, "--since", "1h") == listed
    assert entries(history, "--since", "2999-01-01T00:00:00Z") == []


def test_a_server_that_runs_can_be_asked(embedded_store):
    with embedded_store.server() as server:
        declare(server, "web")
        result = subprocess.run(
            [binary(), "audit", "verify", "--registry", f"http://{server.registry_host}"],
            capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("2 records, unbroken from c")


def test_what_the_flags_cannot_be_is_said(tmp_path):
    for args, said in ((("--since", "yesterday"), "--since"), (("--limit", "0"), "--limit"),
                       (("--output", "yaml"), "--output")):
        result = subprocess.run(
            [binary(), "audit", *args, "--data-dir", tmp_path], capture_output=True, text=True, timeout=60)
        assert result.returncode == 2
        assert said in result.stderr


def test_a_folder_without_a_registry_is_left_as_it_is(tmp_path):
    result = subprocess.run([binary(), "audit", "--data-dir", tmp_path], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "there is no registry" in result.stderr
    assert list(tmp_path.iterdir()) == []


# ---- reasons ----

@pytest.mark.parametrize("why", ["x" * 1001, "a\tb", b"\xff\xfe"], ids=["too long", "control", "no UTF-8"])
def test_a_reason_that_cannot_be_kept_is_refused(embedded_store, why):
    with embedded_store.server() as server:
        for method, body in (("PUT", intent("web")), ("DELETE", None)):
            answer = server.request(method, path(name="web"), body, headers={"X-Change-Reason": why})
            assert answer.status == 400
            assert "X-Change-Reason" in answer.json["error"]
        assert server.get(path(name="web")).status == 404


# ---- proving it ----

def verify(store):
    return audit(store, "verify")


def expect_break(store, *said):
    result = verify(store)
    assert (result.returncode, result.stdout) == (1, "")
    for text in said:
        assert text in result.stderr


@pytest.fixture
def records(history):
    """Tags and contents of the records, the newest first, as a registry's client sees them."""
    with history.server() as _:
        oci = history.oci()
        tags = sorted((tag for tag in oci.tags(RECORDS) if tag != "latest"), reverse=True)
        return [(tag, oci.digest(RECORDS, tag), oci.record(tag)) for tag in tags]


def layer_digest(history, digest):
    with history.server() as _:
        [layer] = history.oci().manifest(RECORDS, digest).json["layers"]
        return layer["digest"]


def test_an_untouched_chain_is_unbroken(history, records):
    result = verify(history)
    assert (result.returncode, result.stderr) == (0, "")
    (newest, head, _), (oldest, _, _) = records[0], records[-1]
    assert result.stdout == f"5 records, unbroken from {oldest} to {newest}; head {head}\n"


def test_a_record_that_was_edited_is_found(history, records):
    history.alter_blob(layer_digest(history, records[2][1]))
    expect_break(history, f"{records[1][0]} was committed on top of {records[2][1]}")


def test_a_record_that_was_removed_is_found(history, records):
    history.drop_blob(layer_digest(history, records[2][1]))
    history.drop_tag(RECORDS, records[2][0])
    expect_break(history, f"{records[1][0]} was committed on top of {records[2][1]}", records[3][0])


def test_a_tag_that_was_removed_is_found(history, records):
    history.drop_tag(RECORDS, records[3][0])
    expect_break(history, f"{records[3][0]} has lost its tag")


def test_a_tag_that_was_moved_is_found(history, records):
    history.point_tag(RECORDS, records[2][0], records[3][1])
    expect_break(history, records[2][0], "names another record")


def test_a_head_that_was_moved_back_is_found(history, records):
    """Somebody undoes the last two commits."""
    history.point_tag(RECORDS, "latest", records[2][1])
    expect_break(history, f"{records[1][0]} is left out of the chain", records[0][0])


def test_a_chain_that_was_forked_is_found(history, records):
    """Somebody leaves out a change by a record of their own, with the state that they want."""
    forged = dict(records[0][2], parent=records[3][1])
    history.push_record(forged)
    expect_break(history, f"the tag {records[0][0]} names another record")


def test_a_record_that_is_newer_than_the_head_is_named(history, records):
    """Somebody undoes the last commit: it looks like one that failed, which is no break."""
    history.point_tag(RECORDS, "latest", records[1][1])
    result = verify(history)
    assert (result.returncode, result.stderr) == (0, "")
    first, second = result.stdout.splitlines()
    assert first.startswith("4 records, unbroken from c")
    assert second == f"{records[0][0]} is newer than the head: its commit failed, or the head was moved back"


@pytest.mark.parametrize("output", ["table", "json"])
@pytest.mark.parametrize("forged", [
    {"who": "ci\n2026-01-01T00:00:00Z  root"}, {"who": "\x1b[1A"}, {"from": "127.0.0.1  delete"}, {"who": "x" * 20000},
    {"why": "a\tb"}], ids=["line", "escape", "from", "long", "why"])
def test_a_record_that_could_forge_the_list_is_damaged(embedded_store, forged, output):
    with embedded_store.server() as server:
        change(server, "web")
        record = embedded_store.oci().record()
    embedded_store.push_record(record | forged)
    result = audit(embedded_store, "--output", output)
    assert result.returncode == 1
    assert "the commit record is damaged" in result.stderr
    assert len(result.stdout.splitlines()) == (1 if output == "table" else 0)


def test_the_list_ends_at_a_break_and_says_so(history, records):
    history.drop_tag(RECORDS, records[3][0])
    result = audit(history, "--output", "json")
    assert result.returncode == 1
    assert [json.loads(line)["op"] for line in result.stdout.splitlines()] == ["delete", "update"]
    assert records[3][0] in result.stderr


def test_a_rebuilt_store_goes_on_with_its_chain(history):
    subprocess.run([binary(), "rebuild", *history.rebuild_args()], check=True, capture_output=True, timeout=60)
    assert ops(entries(history))[:2] == [("rebuild", None), ("delete", "db")]
    assert verify(history).returncode == 0


def test_a_store_rebuilt_without_its_last_record_tells_of_those_before(history):
    history.drop_tag(RECORDS, "latest")
    expect_break(history, "latest")
    subprocess.run([binary(), "rebuild", *history.rebuild_args()], check=True, capture_output=True, timeout=60)
    result = verify(history)
    assert result.returncode == 0
    assert "before them 5" in result.stdout


# ---- with a key ----

class Key:
    """PKCS#8 and PEM files of a key pair on P-256."""

    def __init__(self, folder, name):
        self.private, self.public = folder / f"{name}.key", folder / f"{name}.pub"
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-out", self.private], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", self.private, "-pubout", "-out", self.public],
                       check=True, capture_output=True)


@pytest.fixture
def key(tmp_path):
    return Key(tmp_path, "own")


def test_a_signed_chain_is_proven_by_the_key(store, key, tmp_path):
    with store.server(args=["--sign-key", key.private]) as server:
        declare(server, "web")
        declare(server, "db")
    result = audit(store, "verify", "--key", key.public)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("3 records, unbroken and signed from c")
    result = audit(store, "verify", "--key", Key(tmp_path, "other").public)
    assert result.returncode == 1
    assert "is not signed by the key" in result.stderr


@pytest.fixture
def signed_late(store, key):
    """A server without the key makes two commits; the one after it signs what it finds current, which is the second.
    Versions of them all."""
    with store.server() as server:
        versions = [declare(server, "web")["version"], declare(server, "db")["version"]]
        server.args = ["--sign-key", key.private, "--sign-existing"]
        server.restart()
        versions.append(declare(server, "web", size="large")["version"])
    return [f"c{version[1:]}" for version in versions]


def verify_with(store, key, *args):
    return audit(store, "verify", "--key", key.public, *args)


def test_the_newest_commit_that_is_not_signed_is_named(store, key, signed_late):
    unsigned, first, _ = signed_late
    assert audit(store, "verify").returncode == 0
    result = verify_with(store, key)
    assert result.returncode == 1
    assert f"{unsigned} is not signed by the key: it has no signature" in result.stderr
    assert f"--signed-since {first}" in result.stderr


def test_a_store_that_was_signed_later_is_proven_since_then(store, key, signed_late):
    unsigned, first, newest = signed_late
    result = verify_with(store, key, "--signed-since", first)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0].startswith("4 records, unbroken from c")
    assert result.stdout.splitlines()[1:] == [f"signed back to {first}, not before"]
    result = verify_with(store, key, "--signed-since", unsigned)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"{unsigned} is not signed by the key" in result.stderr
    assert "--signed-since" not in result.stderr
    result = verify_with(store, key, "--signed-since", f"c{int(newest[1:]) + 1}")
    assert (result.returncode, result.stdout) == (1, "")
    assert f"the head is {newest}" in result.stderr


def test_the_head_is_signed_whatever_is_said(store, key, signed_late):
    with store.server() as server:
        head = declare(server, "unsigned")["version"].replace("v", "c")
    for args in ((), ("--signed-since", signed_late[1])):
        result = verify_with(store, key, *args)
        assert result.returncode == 1
        assert f"{head} is not signed by the key" in result.stderr


def test_what_signed_since_needs_is_said(tmp_path, key):
    for args, said in ((("--signed-since", "c1"), "--key"),
                       (("--signed-since", "v1", "--key", key.public), "--signed-since is a commit")):
        result = subprocess.run([binary(), "audit", "verify", *args, "--data-dir", tmp_path],
                                capture_output=True, text=True, timeout=60)
        assert result.returncode == 2
        assert said in result.stderr


def test_a_damaged_record_is_named_with_a_key_too(store, key):
    with store.server(args=["--sign-key", key.private]) as server:
        versions = [declare(server, name)["version"] for name in ("web", "db", "cache")]
    digest, damaged = record_of(store, versions[1])
    store.alter_blob(damaged)
    result = verify_with(store, key)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"c{versions[2][1:]} was committed on top of {digest}" in result.stderr


def record_of(store, version):
    """Digests of its manifest and of its layer."""
    with store.server() as _:
        manifest = store.oci().manifest(RECORDS, f"c{version[1:]}")
        return manifest.digest, manifest.json["layers"][0]["digest"]


def test_a_registry_that_is_down_is_no_break_with_a_key_either(distribution_store, key):
    with distribution_store.server(args=["--sign-key", key.private]) as server:
        declare(server, "web")
    with FaultProxy(distribution_store.location) as proxy:
        rule = proxy.fail(503, path_re=r"/manifests/c\d+", times=None)
        result = subprocess.run(
            [binary(), "audit", "verify", "--registry", f"http://{proxy.host}", "--key", key.public],
            capture_output=True, text=True, timeout=120)
    assert rule.hits > 0
    assert (result.returncode, result.stdout) == (1, "")
    assert "503" in result.stderr
