# SPDX-License-Identifier: Apache-2.0
"""gsq watch: a line for each change and each phase, as it happens."""
import json
import re
import signal

import pytest

from tests.lib.cli import Cli, cli_of
from tests.lib.gsq import Gsq
from tests.lib.process import free_port
from tests.lib.wait import wait_until
from tests.system.resources import declare, remove
from tests.system.stub_api import StubApi


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gsq(tmp_path_factory.mktemp("gsq"), namespaces=("default", "shop")) as server:
        yield server


def watch(server, *args):
    watching = cli_of(server).start("watch", *args)
    wait_until(lambda: server.metric("gsq_api_watchers") == 1, "the stream to be open")
    return watching


def end(server, watching):
    watching.send(signal.SIGINT)
    status = watching.end()
    wait_until(lambda: server.metric("gsq_api_watchers") == 0, "the stream to be closed")
    return status


def test_each_change_is_a_line_with_time_name_and_what_until_ctrl_c(server):
    with watch(server) as watching:
        declare(server, "web")
        declare(server, "web", size="large")
        declare(server, "other", "shop")
        remove(server, "web")
        watching.wait_line("default/web", "deleted")
        assert end(server, watching) == 130
        assert [line.split()[1:3] for line in watching.lines] == [
            ["default/web", "created"], ["default/web", "updated"], ["default/web", "deleted"]]
        assert all(re.match(r"\d\d:\d\d:\d\d  ", line) for line in watching.lines)


def test_of_all_namespaces_where_that_is_asked_for(server):
    with watch(server, "-A") as watching:
        declare(server, "all", "shop")
        declare(server, "all")
        watching.wait_line("shop/all", "created")
        watching.wait_line("default/all", "created")
        end(server, watching)


def test_as_json_it_is_an_object_a_line(server):
    with watch(server, "-o", "json") as watching:
        version = declare(server, "lines")["version"]
        watching.wait_line('"lines"')
        end(server, watching)
        events = [json.loads(line) for line in watching.lines]
    assert [event["event"] for event in events] == ["hello", "change"]
    assert (events[1]["op"], events[1]["name"], events[1]["version"]) == ("created", "lines", version)


def test_phases_are_told_with_their_reason_and_missed_events_too():
    with StubApi() as api:
        api.set("web", "pending")
        with Cli(api.url).start("watch") as watching:
            wait_until(lambda: api.streams, "the stream")
            api.set("web", "failed", "Quarantined", "it is held")
            line = watching.wait_line("failed")
            assert re.fullmatch(r"\S+  default/web +phase +failed  Quarantined: it is held", line)
            api.break_streams()
            wait_until(lambda: any("missed" in line for line in watching.errors), "the gap to be told")
            watching.send(signal.SIGINT)
            assert watching.end() == 130


def test_a_server_that_is_not_there_is_an_error():
    result = Cli(f"http://127.0.0.1:{free_port()}").run("watch")
    assert (result.returncode, result.stdout) == (1, "")
    assert "--server" in result.stderr
