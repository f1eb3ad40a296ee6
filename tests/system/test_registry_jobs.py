# SPDX-License-Identifier: Apache-2.0
"""`gsq registry VERB`: by the running server, over its socket, or on a folder that nobody has."""
import contextlib
import fcntl
import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lib.gsq import Gsq, binary
from tests.lib.oci import sha256
from tests.lib.process import free_port
from tests.lib.registry import BLOB_IN_ROW, MIB, Client, assert_verifies, blob_file, upkeep
from tests.lib.wait import wait_until
from tests.system.resources import declare, listed

VERBS = ("gc", "verify", "backup", "export", "import")
TAKES_PATH = ("backup", "export", "import")
BIG = os.urandom(3 * MIB)


def run(*args, cwd=None, env=None):
    """`gsq registry ARGS`, ended."""
    return subprocess.run([str(part) for part in (binary(), "registry", *args)], cwd=cwd, capture_output=True,
                          text=True, check=False, timeout=120, env={**os.environ, **(env or {})})


def start(verb, server, *args):
    """`gsq registry VERB`, under way."""
    command = [binary(), "registry", verb, "--data-dir", server.folder / "data", *args]
    return subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def succeeds(result):
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout


def fails(result, said):
    assert result.returncode == 1, result
    assert said in result.stderr, result
    assert re.fullmatch(r"gsq registry \w+: [^\n]+\n", result.stderr), result


def number(report, what):
    """What a line of a report counts."""
    return int(re.search(rf"^{what}: (\d+)", report, re.M)[1])


def admin_socket(server):
    return server.folder / "data" / "admin.sock"


class Registry:
    """A store with an artifact of each size; `online`: its server runs while verbs do."""

    def __init__(self, server, online):
        self.server, self.online = server, online
        server.start()
        declare(server, "web")
        self.client = Client(server.registry_host)
        self.small = self.client.push("team/small", "v1", b"small layer")
        self.big = self.client.push("team/big", "v1", BIG)
        if not online:
            server.stop()

    @contextlib.contextmanager
    def running(self):
        """The server, for as long as requests to it are made."""
        if self.online:
            yield self.client
            return
        self.server.start()
        yield self.client
        self.server.stop()

    def __call__(self, verb, *args):
        return upkeep(verb, self.server, *args)


@pytest.fixture(params=["online", "offline"])
def registry(request, tmp_path):
    server = Gsq(tmp_path / "gsq")
    yield Registry(server, online=request.param == "online")
    server.stop()


@pytest.fixture
def server(tmp_path):
    with Gsq(tmp_path / "gsq") as gsq:
        yield gsq


def read_back(server, registry):
    """Everything that the registry's store held is in this server's."""
    client = Client(server.registry_host)
    client.assert_whole("team/small", "v1", registry.small)
    client.assert_whole("team/big", "v1", registry.big)
    assert list(listed(server)) == ["web"]


# ---- each verb, online and offline ----

def test_gc_removes_what_nothing_refers_to_after_its_grace(registry):
    orphans = [b"a small one", os.urandom(BLOB_IN_ROW + 1)]
    with registry.running() as client:
        for content in orphans:
            client.push_blob("team/small", content)
    size = sum(map(len, orphans))
    assert number(succeeds(registry("gc")), "blobs removed") == 0
    dry = succeeds(registry("gc", "--grace", "0", "--dry-run"))
    assert f"blobs removed: 2 ({size} bytes)\n" in dry and "dry run" in dry
    assert blob_file(registry.server, sha256(orphans[1])).exists()
    report = succeeds(registry("gc", "--grace", "0"))
    assert dry.splitlines()[:2] == report.splitlines()[:2], "a dry run says the same"
    assert not blob_file(registry.server, sha256(orphans[1])).exists()
    assert number(succeeds(registry("gc", "--grace", "0")), "blobs removed") == 0
    with registry.running() as client:
        for content in orphans:
            assert client("GET", f"team/small/blobs/{sha256(content)}").status == 404
        read_back(registry.server, registry)


def test_gc_takes_its_grace_from_the_server_else_the_environment(registry):
    with registry.running() as client:
        client.push_blob("team/small", b"an orphan")
    data_dir = registry.server.folder / "data"
    env = {"DATA_DIR": str(data_dir), "GC_GRACE": "0"}
    servers_own = registry.online  # of 1h
    assert number(succeeds(run("gc", "--dry-run", env=env)), "blobs removed") == (0 if servers_own else 1)
    assert number(succeeds(run("gc", "--dry-run", "--grace", "1d", env=env)), "blobs removed") == 0
    assert number(succeeds(run("gc", "--dry-run", "--grace=0", env=env)), "blobs removed") == 1


def test_verify_counts_everything_and_names_what_is_damaged(registry):
    report = succeeds(registry("verify"))
    assert number(report, "problems") == 0
    assert re.search(r"^verified: \d+ manifests, \d+ tags, \d+ blobs, \d+ bytes$", report, re.M)
    damaged = blob_file(registry.server, sha256(BIG))
    content = bytearray(damaged.read_bytes())
    content[MIB] ^= 1
    damaged.write_bytes(content)
    result = registry("verify")
    fails(result, "problem")
    assert sha256(BIG) in result.stdout
    assert number(result.stdout, "problems") >= 1


def test_a_backup_is_unpacked_and_started(registry, tmp_path):
    file = tmp_path / "backup.tar"
    assert number(succeeds(registry("backup", file)), "backed up") == file.stat().st_size
    with registry.running() as client:
        client.push("team/later", "v1")
    (tmp_path / "restored" / "data").mkdir(parents=True)
    with tarfile.open(file) as tar:
        tar.extractall(tmp_path / "restored" / "data")
    with Gsq(tmp_path / "restored", init=False) as restored:
        read_back(restored, registry)
        assert Client(restored.registry_host)("GET", "team/later/manifests/v1").status == 404
    assert_verifies(restored)


def test_an_export_is_imported_into_a_new_folder(registry, tmp_path):
    report = succeeds(registry("export", tmp_path / "layout"))
    assert (tmp_path / "layout" / "oci-layout").exists()
    imported = run("import", "--data-dir", tmp_path / "copy" / "data", tmp_path / "layout")
    assert succeeds(imported).replace("imported", "exported") == report
    with Gsq(tmp_path / "copy", init=False) as copy:
        read_back(copy, registry)
    assert_verifies(copy)


def test_one_repository_is_exported_and_imported(registry, tmp_path):
    report = succeeds(registry("export", tmp_path / "layout", "--repository", "team/big"))
    assert report.startswith("exported: 1 repositories, 1 manifests, 1 tags, 2 blobs")
    with Gsq(tmp_path / "other") as other:
        succeeds(upkeep("import", other, tmp_path / "layout"))
        Client(other.registry_host).assert_whole("team/big", "v1", registry.big)
        assert Client(other.registry_host)("GET", "team/small/manifests/v1").status == 404


def test_an_export_does_not_touch_a_folder_that_is_not_empty(registry, tmp_path):
    (tmp_path / "layout").mkdir()
    (tmp_path / "layout" / "mine").write_text("keep")
    fails(registry("export", tmp_path / "layout"), "not empty")
    assert os.listdir(tmp_path / "layout") == ["mine"]


def test_an_export_does_not_go_into_the_data_folder(registry):
    data = registry.server.folder / "data"
    fails(registry("export", data / "layout"), "data folder")
    fails(registry("export", data / "uploads"), "data folder")
    assert os.listdir(data / "uploads") == []
    assert_verifies(registry.server)


def test_import_names_the_repository_of_what_has_none(registry, tmp_path):
    succeeds(registry("export", tmp_path / "layout", "--repository", "team/small"))
    index = json.loads((tmp_path / "layout" / "index.json").read_text())
    for descriptor in index["manifests"]:
        descriptor["annotations"] = {"org.opencontainers.image.ref.name": "v9"}
    (tmp_path / "layout" / "index.json").write_text(json.dumps(index))
    assert registry("import", tmp_path / "layout").returncode == 1
    succeeds(registry("import", tmp_path / "layout", "--repository", "new/place"))
    with registry.running() as client:
        client.assert_whole("new/place", "v9", registry.small)


def test_paths_are_the_callers_own(registry, tmp_path):
    elsewhere = tmp_path / "else where & more"
    elsewhere.mkdir()
    data_dir = os.path.relpath(registry.server.folder / "data", elsewhere)
    succeeds(run("backup", "b.tar", "--data-dir", data_dir, cwd=elsewhere))
    succeeds(run("export", "./layout", "--data-dir", data_dir, cwd=elsewhere))
    assert {"b.tar", "layout"} <= set(os.listdir(elsewhere))


def test_a_path_that_cannot_be_written_is_an_error(registry, tmp_path):
    fails(registry("backup", tmp_path / "nowhere" / "b.tar"), "nowhere")
    fails(registry("import", tmp_path / "nowhere"), "nowhere")


# ---- what only a server has ----

def test_gc_drops_uploads_that_were_given_up(server):
    client = Client(server.registry_host)
    upload = client.start_upload("team/app")
    assert client("PATCH", upload, os.urandom(BLOB_IN_ROW + 1)).status == 202
    assert number(succeeds(upkeep("gc", server)), "abandoned uploads removed") == 0
    assert client("GET", upload).status == 204
    report = succeeds(upkeep("gc", server, "--grace", "0"))
    assert f"abandoned uploads removed: 1 ({BLOB_IN_ROW + 1} bytes)\n" in report
    assert client("GET", upload).status == 404
    assert os.listdir(server.folder / "data" / "uploads") == []


def test_under_a_running_server_import_leaves_the_apis_own_repositories_alone(registry, tmp_path):
    succeeds(registry("export", tmp_path / "layout", "--repository", "gitops-squared/commits"))
    with Gsq(tmp_path / "other") as other:
        fails(upkeep("import", other, tmp_path / "layout"), "gitops-squared/")


def test_garbage_is_collected_in_the_background(tmp_path):
    with Gsq(tmp_path / "gsq", args=("--gc-interval", "1s", "--gc-grace", "1s")) as server:
        client = Client(server.registry_host)
        orphan = client.push_blob("team/app", BIG)
        kept = client.push("team/app", "v1", os.urandom(MIB))
        wait_until(lambda: not blob_file(server, orphan).exists(), "the orphan to be removed")
        wait_until(lambda: "collected garbage" in server.log(), "the log to say so")
        assert client("GET", f"team/app/blobs/{orphan}").status == 404
        client.assert_whole("team/app", "v1", kept)
    assert f"blob_bytes={len(BIG)}" in server.log()


def test_a_server_with_a_remote_registry_has_no_folder(tmp_path):
    server = Gsq(tmp_path / "gsq", registry=f"127.0.0.1:{free_port()}").start(wait="/healthz")
    assert not (server.folder / "data").exists()
    server.stop()


# ---- the socket ----

def test_the_socket_is_its_users_alone_and_goes_with_the_server(server):
    mode = admin_socket(server).lstat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    server.stop()
    assert not admin_socket(server).exists()


def test_a_socket_left_behind_by_kill_9_is_in_nobodys_way(server):
    server.kill()
    assert stat.S_ISSOCK(admin_socket(server).lstat().st_mode)
    succeeds(upkeep("verify", server))
    server.start()
    succeeds(upkeep("verify", server))
    server.stop()
    assert not admin_socket(server).exists()


@pytest.mark.parametrize("online", [True, False])
def test_the_path_of_the_folder_may_be_long(tmp_path, online):
    server = Gsq(tmp_path / ("a" * 150) / "gsq")
    with server:
        if online:
            succeeds(upkeep("verify", server))
            assert stat.S_IMODE(admin_socket(server).lstat().st_mode) == 0o600
    if not online:
        succeeds(upkeep("verify", server))
    assert not admin_socket(server).exists()


def test_the_server_refuses_nonsense_on_its_socket(server):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.path.relpath(admin_socket(server)))
        connection.sendall(b"POST /v1/jobs/format HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 404 ") and b'"error"' in answer


# ---- at the same time ----

def test_verbs_at_the_same_time_all_do_their_work(registry, tmp_path):
    jobs = [(verb, *([tmp_path / f"{verb}-{i}"] if verb in ("backup", "export") else []))
            for i in range(3) for verb in ("gc", "verify", "backup", "export")]
    with ThreadPoolExecutor(len(jobs)) as pool:
        for result in pool.map(lambda job: registry(*job), jobs):
            assert result.returncode == 0, result


def test_a_verb_waits_for_another_that_has_the_folder(server):
    server.stop()
    with open(server.folder / "data" / "lock", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        verb = start("verify", server)
        assert "waiting" in verb.stderr.readline()
        assert verb.poll() is None
    report, said = verb.communicate(timeout=120)
    assert (verb.returncode, said) == (0, "")
    assert number(report, "problems") == 0


@pytest.mark.concurrent
def test_pushes_go_on_while_jobs_run(server, tmp_path):
    def push(worker):
        client = Client(server.registry_host, kept=True)
        return [(f"load/{worker}", f"v{i}", client.push(f"load/{worker}", f"v{i}", os.urandom(size)))
                for i in range(15) for size in (100, 2 * BLOB_IN_ROW)]

    def work(_):
        for i, verb in enumerate(("gc", "verify", "backup", "export", "verify", "gc")):
            succeeds(upkeep(verb, server, *([tmp_path / f"{verb}-{i}"] if verb in TAKES_PATH else [])))

    with ThreadPoolExecutor(5) as pool:
        busy = pool.map(work, [0])
        pushed = [artifact for artifacts in pool.map(push, range(4)) for artifact in artifacts]
        list(busy)
    client = Client(server.registry_host)
    for repository, tag, manifest in pushed[1::2]:  # a tag's second artifact stays
        client.assert_whole(repository, tag, manifest)
    assert_verifies(server)


# ---- a server that ends during a job ----

def put_endless_blob(server):
    """A blob file of many GiB without a byte on the disk: it takes minutes to verify. Returns its path."""
    client = Client(server.registry_host)
    digest = client.push_blob("team/app", BIG)
    server.stop()
    file, size = blob_file(server, digest), 400 * 1024 * MIB
    os.truncate(file, size)
    with contextlib.closing(sqlite3.connect(server.folder / "data" / "registry.db")) as database, database:
        changed = database.execute("UPDATE blob SET size = ? WHERE digest = ?",
                                   (size, b"\x12" + hashlib.sha256(BIG).digest()))
        assert changed.rowcount == 1
    server.start()
    return file


def has_open(server, file):
    folder = f"/proc/{server.process.pid}/fd"
    for number_ in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"{folder}/{number_}") == str(file):
                return True
    return False


@pytest.mark.parametrize("number_, said", [(signal.SIGTERM, "stopping"), (signal.SIGKILL, "ended before the job did")])
def test_a_server_that_ends_during_a_job_ends_the_verb(server, number_, said):
    file = put_endless_blob(server)
    verify = start("verify", server)
    wait_until(lambda: has_open(server, file), "the job to read the file")
    waiting = start("gc", server)
    os.kill(server.process.pid, number_)
    assert server.process.wait() == (0 if number_ == signal.SIGTERM else -signal.SIGKILL)
    _, stderr = verify.communicate(timeout=120)
    assert verify.returncode == 1
    assert said in stderr
    waiting.communicate(timeout=120)  # refused, cut off, or, when it came too late, done without the server
    assert waiting.returncode in (0, 1)


# ---- usage ----

@pytest.mark.parametrize("args, said", [
    ((), "Usage"),
    (("fsck",), "fsck"),
    (("gc", "extra"), "extra"),
    (("gc", "--force"), "--force"),
    (("gc", "--dry-run=yes"), "--dry-run"),
    (("gc", "--grace"), "--grace"),
    (("gc", "--grace", "5"), "5"),
    (("gc", "--grace", "1y"), "1y"),
    (("verify", "--dry-run"), "--dry-run"),
    (("backup",), "FILE"),
    (("backup", "a", "b"), "b"),
    (("backup", ""), "empty"),
    (("export",), "DIR"),
    (("export", "a", "--grace", "1h"), "--grace"),
    (("import",), "DIR"),
    (("import", "-x"), "-x"),
])
def test_wrong_usage_exits_with_2_and_a_hint(tmp_path, args, said):
    result = run(*args, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, ""), result
    assert said in result.stderr and "--help" in result.stderr
    assert os.listdir(tmp_path) == []


def test_help_lists_the_verbs_and_each_has_its_own():
    lines = succeeds(run("--help"))
    for verb in VERBS:
        assert re.search(rf"^  {verb}  ", lines, re.M)
        said = succeeds(run(verb, "--help"))
        assert said.startswith(f"Usage: gsq registry {verb} ")
        assert "--data-dir FOLDER (DATA_DIR)" in said
    assert "Usage: gsq registry backup FILE [OPTION]..." in succeeds(run("backup", "--help"))


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "import"])
def test_a_folder_without_a_registry_is_refused_and_left_as_it_is(tmp_path, verb):
    (tmp_path / "empty").mkdir()
    for folder in ("missing", "empty"):
        args = [tmp_path / "out"] if verb in TAKES_PATH else []
        fails(run(verb, *args, "--data-dir", tmp_path / folder), folder)
    assert os.listdir(tmp_path) == ["empty"] and os.listdir(tmp_path / "empty") == []
