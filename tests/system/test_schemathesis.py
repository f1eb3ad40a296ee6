# SPDX-License-Identifier: Apache-2.0
"""schemathesis finds nothing: what /openapi.json says, and what the server does, for requests right and wrong."""
import os
import random
import subprocess
import time

import pytest

from tests.conftest import tools_or_skip
from tests.lib.gsq import ROOT, Gsq
from tests.lib.tokens import create_token
from tests.lib.tools import tool
from tests.system.resources import intent

FOLDER = ROOT / "tests" / "tools" / "schemathesis"
LONG = os.environ.get("GSQ_LONG") == "1"
EXAMPLES = 200 if LONG else 20
DEADLINE_S = 2400 if LONG else 240
FIXED_SEED = 1
PHASES = ("examples", "coverage", "fuzzing", "stateful")
# A stream of events has no end that it could wait for; test_openapi.py holds its events to what is said of it.
ENDLESS = ("watch", "watchInNamespace")
# Freezing a store makes all that comes after it a 503: these have a server of their own.
FREEZING = ("getFreeze", "putFreeze", "deleteFreeze")


@pytest.fixture
def server(tmp_path):
    """One that asks for a credential, with two resources that have a history."""
    gsq = Gsq(tmp_path / "gsq", anonymous=None)
    gsq.token = create_token(gsq, "schemathesis", "admin", "*")
    with gsq:
        for name in ("web", "db"):
            gsq.post("/api/v1/resources", intent(name))
            gsq.post("/api/v1/resources", {**intent(name), "labels": {"changed": "once"}})
        yield gsq


def run(server, seed, selection, phases=PHASES):
    """With all checks."""
    with tools_or_skip():
        schemathesis = tool("schemathesis")
    credential = f"Bearer {server.token}"
    command = [schemathesis, "--config-file", FOLDER / "schemathesis.toml", "run",
               f"http://127.0.0.1:{server.port}/openapi.json", "--header", f"Authorization: {credential}",
               "--checks", "all", "--phases", ",".join(phases),
               "--max-examples", str(EXAMPLES), "--seed", str(seed), "--no-color", *selection]
    started = time.monotonic()
    env = {**os.environ, "SCHEMATHESIS_HOOKS": str(FOLDER / "hooks.py"), "GSQ_AUTHORIZATION": credential}
    done = subprocess.run([str(part) for part in command], cwd=server.folder, capture_output=True, text=True,
                          check=False, timeout=DEADLINE_S, env=env)
    print(f"seed {seed}: {time.monotonic() - started:.0f} s")
    assert server.process.running(), f"seed {seed}: the server is gone:\n{server.process.log_tail()}"
    assert done.returncode == 0, f"seed {seed}:\n{done.stdout[-20000:]}{done.stderr[-2000:]}"
    for phase in phases:
        assert f"{phase.capitalize()} (in" in done.stdout, done.stdout


def without(*operations):
    return [part for operation in operations for part in ("--exclude-operation-id", operation)]


def only(*operations):
    return [part for operation in operations for part in ("--include-operation-id", operation)]


def test_schemathesis_finds_nothing(server):
    run(server, FIXED_SEED, without(*ENDLESS, *FREEZING))


def test_schemathesis_finds_nothing_with_another_seed_each_time(server):
    """The two phases that depend on it."""
    run(server, random.SystemRandom().randrange(1 << 32), without(*ENDLESS, *FREEZING), ("fuzzing", "stateful"))


def test_schemathesis_finds_nothing_in_freezing(server):
    run(server, FIXED_SEED, only(*FREEZING), ("examples", "coverage", "fuzzing"))
