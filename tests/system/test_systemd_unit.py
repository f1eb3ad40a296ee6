# SPDX-License-Identifier: Apache-2.0
"""deploy/systemd/gsq.service.in: systemd understands it, it exposes little, and the server needs no more than it leaves."""
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.lib.certificate import self_signed
from tests.lib.gsq import ROOT, Gsq, binary, resource_path, variables
from tests.lib.wait import wait_until

UNIT = ROOT / "deploy" / "systemd" / "gsq.service.in"
AS_ROOT = {"fchown"}  # what SQLite calls only then
MOST_EXPOSED = 15  # tenths, of 100; a unit without any of this has 96


@pytest.fixture(autouse=True)
def systemd():
    if shutil.which("systemd-analyze") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("systemd-analyze is missing: scripts/packages test")
        pytest.skip("needs systemd-analyze")


@pytest.fixture
def unit(tmp_path):
    """It, with the program under test."""
    path = tmp_path / UNIT.stem
    path.write_text(UNIT.read_text().replace("@bindir@/gsq", str(binary())))
    return path


def settings(name):
    """The values of all lines with that name, in their order."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.M)


def analyze(*args):
    return subprocess.run(["systemd-analyze", "--no-pager", *map(str, args)], capture_output=True, text=True, check=False,
                          timeout=60)


def test_systemd_understands_it(unit):
    done = analyze("verify", "--man=no", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_names_a_mistake(unit):
    """So the test above can fail."""
    unit.write_text(unit.read_text().replace("NoNewPrivileges=yes", "NoNewPrivilege=yes"))
    assert "NoNewPrivilege" in analyze("verify", "--man=no", unit).stderr


def test_it_exposes_little(unit):
    done = analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", unit)
    assert done.returncode == 0, done.stdout


def test_without_its_hardening_it_would_expose_too_much(unit):
    unit.write_text(re.sub(r"^(Restrict|Protect|SystemCall|Private|Capability).*$", "", unit.read_text(), flags=re.M))
    assert analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", unit).returncode != 0


def test_it_sets_options_that_the_server_has():
    names = {pair.partition("=")[0] for value in settings("Environment") for pair in value.split()}
    assert names and names <= set(variables())


# ---- what the filter leaves ----

def calls_of(group, seen=()):
    """The system calls of a group, those of the groups in it included."""
    done = analyze("syscall-filter", group)
    assert done.returncode == 0, done.stderr
    found = set()
    for name in re.findall(r"^ +([@\w-]+)$", done.stdout, re.M):
        found |= (calls_of(name, (*seen, name)) if name not in seen else set()) if name.startswith("@") else {name}
    return found


def allowed_calls():
    allowed, refused = set(), set()
    for value in settings("SystemCallFilter"):
        groups = value.removeprefix("~").split()
        (refused if value.startswith("~") else allowed).update(*map(calls_of, groups))
    return allowed - refused


@pytest.fixture
def traced(tmp_path):
    """A server whose system calls are written down."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    if b"__asan_init" in Path(binary()).read_bytes():
        pytest.skip("a sanitizer makes calls of its own, and none under strace at the end")
    certificate, key = self_signed(tmp_path)
    tracer = ["strace", "-D", "-f", "-e", "signal=none", "-o", tmp_path / "calls"]
    with Gsq(tmp_path / "gsq", prefix=tracer, tls=SimpleNamespace(ca=certificate, certificate=certificate, key=key)) as server:
        yield server


def test_the_server_makes_no_call_that_the_filter_refuses(traced, tmp_path):
    for i in range(20):
        assert traced.post(resource_path(), {"name": f"web-{i}", "spec": {"type": "vm", "size": "small"}}).status == 201
    assert traced.get("/metrics").status == 200
    subprocess.run([binary(), "registry", "gc", "--data-dir", traced.folder / "data"], check=True, timeout=60)
    os.kill(traced.process.pid, signal.SIGHUP)
    wait_until(lambda: "certificate read" in traced.log(), "the certificate to be read again")
    traced.stop()
    ended = f"{traced.process.pid} +++ exited with 0 +++"
    wait_until(lambda: ended in re.sub(" +", " ", (tmp_path / "calls").read_text()), "strace to have written all")
    calls = set(re.findall(r"^\d+ +(?:<\.\.\. )?(\w+)[( ]", (tmp_path / "calls").read_text(), re.M))
    assert {"execve", "openat", "accept4", "fdatasync"} <= calls, "it was traced"
    assert calls - allowed_calls() - AS_ROOT == set()
