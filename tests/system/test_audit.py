# SPDX-License-Identifier: Apache-2.0
"""gsq audit: who changed what, from where and why; and the proof that nothing of it was changed since."""
import json
import subprocess

import pytest

from tests.lib.gsq import binary
from tests.lib.oci import RECORDS
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


def test_the_newest_commit_that_is_not_signed_is_named(store, key):
    """A server without the key makes two commits; the one after it signs what it finds current, which is the second."""
    with store.server() as server:
        unsigned = declare(server, "web")["version"]
        declare(server, "db")
        server.args = ["--sign-key", key.private]
        server.restart()
        declare(server, "web", size="large")
    assert audit(store, "verify").returncode == 0
    result = audit(store, "verify", "--key", key.public)
    assert result.returncode == 1
    assert f"c{unsigned[1:]} is not signed by the key: it has no signature" in result.stderr
