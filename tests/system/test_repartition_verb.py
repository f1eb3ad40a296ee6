# SPDX-License-Identifier: Apache-2.0
"""gsq repartition: asks a server, and says how it goes on. What the server does: tests/e2e."""
import json
import subprocess

import pytest

from tests.lib.gsq import binary
from tests.lib.process import free_port
from tests.system.stub_registry import StubRegistry

SINGLE = {"layout": "single", "catalogs": 1}
SPLIT = {"layout": "split", "catalogs": 16}


def progress(layout, step, **more):
    return 200, {**layout, "repartition": {"step": step, "to": SPLIT, **more}}


def api(*answers):
    """A server that gives these answers in turn, then the last one for ever."""
    answers = list(answers)

    def answer(_):
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        return status, {"Content-Type": "application/json"}, json.dumps(body).encode()
    return StubRegistry(answer)


def repartition(server, *args):
    return subprocess.run(
        [binary(), "repartition", "--server", f"http://{server.host}", "--layout", "split", "--catalogs", "16", *args],
        capture_output=True, text=True, timeout=60)


def test_each_step_is_said_once_until_it_is_done():
    with api(progress(SINGLE, "freeze"), progress(SINGLE, "freeze", waitsFor="Flux"), progress(SPLIT, "switch"),
             progress(SPLIT, "thaw"), progress(SPLIT, "done")) as server:
        result = repartition(server)
        assert (result.returncode, result.stderr) == (0, "")
        assert [line.partition(":")[0] for line in result.stdout.splitlines()] == ["freeze", "switch", "thaw", "done"]
        first, *others = server.log
        assert (first.method, first.path, json.loads(first.body)) == ("PUT", "/api/v1/layout", SPLIT)
        assert {(request.method, request.path) for request in others} == {("GET", "/api/v1/layout")}


def test_it_need_not_wait():
    with api(progress(SINGLE, "freeze")) as server:
        result = repartition(server, "--no-wait")
        assert result.returncode == 0
        assert len(server.log) == 1


def test_the_servers_reason_is_passed_on():
    with api((409, {"error": "the store has that layout already", "code": "conflict"})) as server:
        result = repartition(server)
        assert result.returncode == 1
        assert result.stderr == "gsq repartition: the store has that layout already\n"


def test_a_server_that_is_started_again_meanwhile_is_waited_for():
    with api(progress(SINGLE, "freeze"), (503, {"error": "reading the registry", "code": "unavailable"}),
             (200, {**SPLIT, "repartition": {"step": "none"}})) as server:
        result = repartition(server)
        assert result.returncode == 0, result.stderr
        assert "reading the registry; asking again" in result.stderr


def test_after_the_timeout_it_says_what_is_waited_for():
    with api(progress(SINGLE, "freeze", waitsFor="the Kustomization gitops-squared-resources")) as server:
        result = repartition(server, "--timeout", "1s")
        assert result.returncode == 1
        assert "goes on by itself" in result.stderr
        assert "the Kustomization gitops-squared-resources" in result.stderr


def test_the_single_layout_has_one_catalog():
    with api((200, {**SINGLE, "repartition": {"step": "done"}})) as server:
        result = repartition(server, "--layout", "single", "--catalogs", "1")
        assert result.returncode == 0, result.stderr
        assert json.loads(server.log[0].body) == SINGLE


def test_a_server_that_has_given_up_is_not_waited_for():
    with api(progress(SINGLE, "freeze"), (200, {**SINGLE, "repartition": {"step": "none"}})) as server:
        result = repartition(server)
        assert result.returncode == 1
        assert "begin again" in result.stderr


@pytest.mark.parametrize("answer", [(200, {"kind": "Status"}), (404, {"errors": []})])
def test_what_is_no_server_of_gsq_is_told(answer):
    with api(answer) as server:
        result = repartition(server)
        assert result.returncode == 1
        assert "--server" in result.stderr


def test_a_server_that_is_not_there_is_an_error():
    result = subprocess.run(
        [binary(), "repartition", "--server", f"http://127.0.0.1:{free_port()}", "--layout", "single"],
        capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr.startswith("gsq repartition: ")
