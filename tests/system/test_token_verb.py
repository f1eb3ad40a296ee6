# SPDX-License-Identifier: Apache-2.0
"""gsq token: API tokens are made, listed and revoked in a file, of which the server keeps only hashes."""
import hashlib
import json
import os
import re
import resource
import signal
import stat
import subprocess

import pytest

from tests.lib.gsq import binary

SECRET = re.compile(r"gsq_[A-Za-z0-9_-]{43}\n")


def gsq(folder, *args, env=None, **kwargs):
    environment = {key: value for key, value in os.environ.items() if key not in ("DATA_DIR", "TOKEN_FILE")}
    return subprocess.run([binary(), "token", *args], cwd=folder, env={**environment, **(env or {})},
                          capture_output=True, text=True, timeout=60, **kwargs)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path


def create(folder, name, *args):
    """Its secret."""
    result = gsq(folder, "create", name, *args)
    assert result.returncode == 0, result.stderr
    assert SECRET.fullmatch(result.stdout), "the secret stands alone, for TOKEN=$(gsq token create ...)"
    return result.stdout.strip()


def rows(folder, file="data/tokens.json"):
    return json.loads((folder / file).read_text(encoding="utf-8"))["tokens"]


def listed(folder, *args):
    """{name: the other cells}"""
    result = gsq(folder, "list", *args)
    assert (result.returncode, result.stderr) == (0, "")
    head, *lines = [re.split(r" {2,}", line) for line in result.stdout.splitlines()]
    assert head == ["NAME", "ROLE", "NAMESPACES", "CREATED", "EXPIRES", "LAST USED"]
    return {name: cells for name, *cells in lines}


# ---- create ----

def test_a_token_is_a_row_with_the_hash_of_its_secret(folder):
    secret = create(folder, "ci", "--role", "editor", "--namespace", "team-a,team-b")
    row, = rows(folder)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row.pop("created"))
    assert row == {"name": "ci", "role": "editor", "namespaces": ["team-a", "team-b"],
                   "hash": "sha256:" + hashlib.sha256(secret.encode()).hexdigest()}


def test_the_file_is_private(folder):
    create(folder, "ci", "--role", "admin")
    assert stat.S_IMODE((folder / "data/tokens.json").stat().st_mode) == 0o600


def test_what_was_made_is_told_beside_the_secret(folder):
    result = gsq(folder, "create", "ci", "--role", "viewer", "--namespace", "team-a",
                 "--expires", "2099-01-31T12:00:00Z")
    for said in ("ci", "viewer", "team-a", "2099-01-31T12:00:00Z"):
        assert said in result.stderr
    assert result.stdout.strip() not in result.stderr


@pytest.mark.parametrize("role", ["admin", "puller"])
def test_an_admin_and_a_puller_are_for_all_namespaces_where_none_is_named(folder, role):
    create(folder, "one", "--role", role)
    create(folder, "two", "--role", role, "--namespace", "team-a")
    assert [row["namespaces"] for row in rows(folder)] == [["*"], ["team-a"]]


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_others_are_for_all_namespaces_only_where_that_is_said(folder, role):
    result = gsq(folder, "create", "ci", "--role", role)
    assert result.returncode == 2
    assert "--namespace is missing" in result.stderr
    assert not (folder / "data/tokens.json").exists()
    create(folder, "ci", "--role", role, "--namespace", "*")
    assert rows(folder)[0]["namespaces"] == ["*"]


@pytest.mark.parametrize("value, expires", [
    ("2099-01-31T12:00:00Z", "2099-01-31T12:00:00Z"),
    ("2099-01-31T12:00:00.5+02:00", "2099-01-31T10:00:00Z"),
])
def test_a_token_ends_at_a_time(folder, value, expires):
    create(folder, "ci", "--role", "admin", "--expires", value)
    assert rows(folder)[0]["expires"] == expires


def test_a_token_ends_after_a_duration(folder):
    create(folder, "ci", "--role", "admin", "--expires", "36500d")
    row, = rows(folder)
    assert int(row["expires"][:4]) - int(row["created"][:4]) in (99, 100)


@pytest.mark.parametrize("args, status, said", [
    (("create",), 2, "NAME is missing"),
    (("create", "ci"), 2, "--role is missing"),
    (("create", "ci", "--role", "root"), 2, "\"root\" is not one of viewer, editor, admin and puller"),
    (("create", "ci", "--role", "admin", "--expires", "soon"), 2, "--expires: \"soon\" is neither"),
    (("create", "ci", "--role", "admin", "--expires", "2020-01-01T00:00:00Z"), 2, "not in the future"),
    (("create", "ci", "--role", "admin", "--expires", "1970-01-01T00:00:00Z"), 2, "not in the future"),
    (("create", "ci", "--role", "admin", "--expires", "0"), 2, "not in the future"),
    (("create", "C.I.", "--role", "admin"), 1, "lower-case letters, digits and dashes"),
    (("create", "ci", "--role", "viewer", "--namespace", "a,,b"), 1, "cannot be the name of a namespace"),
    (("create", "ci", "--role", "viewer", "--namespace", "a,*"), 1, "leave the others out"),
    (("create", "ci", "--role", "admin", "--data-dir", "dada"), 1, "no folder dada"),
    (("revoke",), 2, "NAME is missing"),
    (("revoke", "ci"), 1, "no token ci"),
    (("revoke", "ci", "--role", "admin"), 2, "--role"),
    (("list", "ci"), 2, "unexpected argument ci"),
    (("lst",), 2, "unknown verb lst"),
])
def test_what_cannot_be_is_an_error_that_says_what_to_change(folder, args, status, said):
    result = gsq(folder, *args)
    assert (result.returncode, result.stdout) == (status, "")
    assert said in result.stderr, result.stderr
    assert not (folder / "data/tokens.json").exists()


def test_a_name_is_given_once(folder):
    create(folder, "ci", "--role", "admin")
    before = rows(folder)
    result = gsq(folder, "create", "ci", "--role", "admin")
    assert (result.returncode, result.stdout) == (1, "")
    assert "there is a token ci already" in result.stderr
    assert rows(folder) == before


def test_a_secret_that_nobody_could_see_is_of_no_token(folder):
    create(folder, "other", "--role", "admin")
    with open("/dev/full", "wb") as full:
        result = subprocess.run([binary(), "token", "create", "ci", "--role", "admin"], cwd=folder, stdout=full,
                                stderr=subprocess.PIPE, text=True, timeout=60)
    assert result.returncode == 1
    assert "there is no token ci" in result.stderr
    assert list(listed(folder)) == ["other"]


# ---- list and revoke ----

def test_tokens_are_listed_in_a_table(folder):
    create(folder, "ci", "--role", "editor", "--namespace", "team-a,team-b", "--expires", "2099-01-31T12:00:00Z")
    create(folder, "a-longer-name", "--role", "puller")
    table = listed(folder)
    created = [row["created"] for row in rows(folder)]
    assert table == {
        "ci": ["editor", "team-a,team-b", created[0], "2099-01-31T12:00:00Z", "never"],
        "a-longer-name": ["puller", "*", created[1], "never", "never"],
    }


def test_the_list_shows_what_has_expired_and_when_it_was_used(folder):
    create(folder, "ci", "--role", "admin")
    row, = rows(folder)
    (folder / "data/tokens.json").write_text(
        json.dumps({"tokens": [{**row, "expires": "2020-01-01T00:00:00Z"}]}), encoding="utf-8")
    (folder / "data/tokens.json.used").write_text(
        json.dumps({"used": {row["hash"]: "2019-12-31T00:00:00Z"}}), encoding="utf-8")
    assert listed(folder)["ci"][3:] == ["2020-01-01T00:00:00Z (expired)", "2019-12-31T00:00:00Z"]


def test_the_list_shows_no_secret_and_no_hash(folder):
    secret = create(folder, "ci", "--role", "admin")
    shown = gsq(folder, "list").stdout
    assert "ci" in shown
    assert secret not in shown and rows(folder)[0]["hash"].removeprefix("sha256:") not in shown


def test_without_tokens_the_list_says_where_it_looked(folder):
    result = gsq(folder, "list")
    assert (result.returncode, result.stdout) == (0, "")
    assert "no tokens in data/tokens.json" in result.stderr


def test_a_revoked_token_is_gone_and_its_name_free(folder):
    for name in ("one", "two", "three"):
        create(folder, name, "--role", "admin")
    result = gsq(folder, "revoke", "two")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(listed(folder)) == ["one", "three"]
    create(folder, "two", "--role", "admin")
    assert list(listed(folder)) == ["one", "three", "two"]


# ---- which file ----

@pytest.mark.parametrize("args, env, file", [
    (("--data-dir", "elsewhere"), {}, "elsewhere/tokens.json"),
    ((), {"DATA_DIR": "elsewhere"}, "elsewhere/tokens.json"),
    (("--token-file", "elsewhere/keys"), {}, "elsewhere/keys"),
    ((), {"TOKEN_FILE": "elsewhere/keys"}, "elsewhere/keys"),
    (("--token-file", "keys"), {"TOKEN_FILE": "other", "DATA_DIR": "elsewhere"}, "keys"),
])
def test_the_file_is_where_the_server_looks(folder, args, env, file):
    (folder / "elsewhere").mkdir()
    assert gsq(folder, "create", "ci", "--role", "admin", *args, env=env).returncode == 0
    assert [row["name"] for row in rows(folder, file)] == ["ci"]
    assert "ci" in gsq(folder, "list", *args, env=env).stdout
    assert gsq(folder, "revoke", "ci", *args, env=env).returncode == 0
    assert rows(folder, file) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_makes_belongs_to_the_owner_of_the_folder(folder):
    """Who runs it with sudo must not lock the server out."""
    os.chown(folder / "data", 12345, 12346)
    create(folder, "ci", "--role", "admin")
    create(folder, "other", "--role", "admin")
    for file in ("tokens.json", "tokens.json.lock"):
        found = (folder / "data" / file).stat()
        assert (found.st_uid, found.st_gid) == (12345, 12346), file


# ---- at once, and when it goes wrong ----

def test_tokens_that_are_made_at_once_are_all_there(folder):
    names = [f"t-{i}" for i in range(12)]
    running = [subprocess.Popen([binary(), "token", "create", name, "--role", "admin"], cwd=folder,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for name in names]
    secrets = [process.communicate(timeout=60)[0].strip() for process in running]
    assert [process.returncode for process in running] == [0] * len(names)
    hashes = {row["name"]: row["hash"] for row in rows(folder)}
    assert hashes == {name: "sha256:" + hashlib.sha256(secret.encode()).hexdigest()
                      for name, secret in zip(names, secrets)}


def test_one_name_made_at_once_is_one_token(folder):
    running = [subprocess.Popen([binary(), "token", "create", "ci", "--role", "admin"], cwd=folder,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    secrets = [process.communicate(timeout=60)[0].strip() for process in running]
    assert sorted(process.returncode for process in running) == [0] + 5 * [1]
    assert len(rows(folder)) == len([secret for secret in secrets if secret]) == 1


def small_files():
    """The kernel kills who writes more than 50 bytes to a file, after the first 50."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def small_files_are_an_error():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))


@pytest.mark.parametrize("verb", [("create", "two", "--role", "admin"), ("revoke", "one")])
def test_a_crash_in_the_middle_leaves_the_old_file(folder, verb):
    create(folder, "one", "--role", "admin")
    create(folder, "other", "--role", "admin")
    before = (folder / "data/tokens.json").read_bytes()
    result = gsq(folder, *verb, preexec_fn=small_files)
    assert (result.returncode, result.stdout) == (-signal.SIGXFSZ, "")
    assert (folder / "data/tokens.json.new").stat().st_size == 50, "it was killed while it wrote"
    assert (folder / "data/tokens.json").read_bytes() == before
    result = gsq(folder, *verb)
    assert result.returncode == 0, result.stderr
    assert (folder / "data/tokens.json").read_bytes() != before
    assert not (folder / "data/tokens.json.new").exists()


def test_a_write_that_fails_leaves_the_old_file_and_shows_no_secret(folder):
    create(folder, "one", "--role", "admin")
    before = (folder / "data/tokens.json").read_bytes()
    result = gsq(folder, "create", "two", "--role", "admin", preexec_fn=small_files_are_an_error, restore_signals=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert "tokens.json.new" in result.stderr and "too large" in result.stderr
    assert (folder / "data/tokens.json").read_bytes() == before
    assert not (folder / "data/tokens.json.new").exists()


@pytest.mark.parametrize("verb", [("create", "two", "--role", "admin"), ("list",), ("revoke", "one")])
def test_a_damaged_file_is_named_and_left_as_it_is(folder, verb):
    create(folder, "one", "--role", "admin")
    file = folder / "data/tokens.json"
    half = file.read_bytes()[:100]
    file.write_bytes(half)
    result = gsq(folder, *verb)
    assert (result.returncode, result.stdout) == (1, "")
    assert "data/tokens.json: the JSON ends too early" in result.stderr and "put a copy" in result.stderr
    assert file.read_bytes() == half


# ---- help ----

@pytest.mark.parametrize("verb, flags", [
    ("create", ("--role", "--namespace", "--expires", "--token-file", "--data-dir")),
    ("list", ("--token-file", "--data-dir")),
    ("revoke", ("--token-file", "--data-dir")),
])
def test_each_verb_has_help(folder, verb, flags):
    result = gsq(folder, verb, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    for flag in flags:
        assert re.search(rf"^  {flag}\b", result.stdout, re.M)
