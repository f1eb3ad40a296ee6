# SPDX-License-Identifier: Apache-2.0
"""GET /api/v1/watch on the real parts: what happens to a resource, from its change to the cluster."""
import pytest

from tests.e2e.chain import chain
from tests.lib.policy import FORBIDDEN, MESSAGE, install_policy, remove_policy
from tests.lib.stream import EventStream

WATCHERS = 100


@pytest.fixture(scope="module")
def made(control_plane, tmp_path_factory):
    with chain(control_plane, tmp_path_factory.mktemp("watch"), namespaces=["default", "team-a"]) as started:
        yield started


def of(name):
    return lambda event: event.data is not None and event.data.get("name") == name


def applied(name, version):
    return lambda event: of(name)(event) and event.type == "phase" and event.data["version"] == version and \
        event.data["status"]["phase"] == "applied"


def about(stream, name):
    """(type, op or phase) of all that was told of it."""
    return [(event.type, event.data.get("op") or event.data.get("status", {}).get("phase"))
            for event in stream.events() if of(name)(event)]


def test_a_life_is_told_in_its_order(made):
    with EventStream(made.server) as stream:
        created = made.declare("web")
        stream.wait_for(applied("web", created), "the creation to be applied")
        updated = made.declare("web", replicas=2)
        stream.wait_for(applied("web", updated), "the update to be applied")
        made.remove("web")
        stream.wait_for(lambda event: of("web")(event) and event.type == "gone", "the end")
        told = about(stream, "web")
        assert [op for kind, op in told if kind == "change"] == ["created", "updated", "deleted"]
        assert [op for kind, op in told if kind == "phase" and op == "applied"] == ["applied", "applied"]
        assert told[-1][0] == "gone"
        assert told.index(("change", "created")) < told.index(("phase", "applied")) < told.index(("change", "updated"))


def test_a_failure_is_told_with_its_reason(made):
    install_policy(made.cluster)
    try:
        with EventStream(made.server) as stream:
            made.declare("refused", region=FORBIDDEN)
            event = stream.wait_for(lambda event: of("refused")(event) and event.type == "phase" and
                                    event.data["status"]["phase"] == "failed", "the failure")
            assert MESSAGE in event.data["status"]["message"]
    finally:
        remove_policy(made.cluster)
    made.remove("refused")


def test_a_watcher_that_comes_again_misses_nothing(made):
    with EventStream(made.server) as stream:
        first = made.declare("resumed")
        last = stream.wait_for(applied("resumed", first), "the creation to be applied")
    second = made.declare_applied("resumed", replicas=2)
    made.remove("resumed")
    with EventStream(made.server, last_id=last.id) as stream:
        stream.wait_for(lambda event: of("resumed")(event) and event.type == "gone", "the end")
        told = about(stream, "resumed")
        assert [op for kind, op in told if kind == "change"] == ["updated", "deleted"]
        assert ("phase", "applied") in told
        assert stream.wait_for(applied("resumed", second), "the update")


def test_one_namespace_can_be_watched(made):
    with EventStream(made.server, "/api/v1/watch?namespace=team-a") as stream:
        made.declare_applied("elsewhere")
        version = made.declare("mine", "team-a")
        stream.wait_for(applied("mine", version), "the one in team-a")
        assert {event.data["namespace"] for event in stream.events() if event.data and "namespace" in event.data} == {
            "team-a"}


def test_after_a_restart_a_watcher_is_told_to_list_again(made):
    with EventStream(made.server) as stream:
        version = made.declare("before")
        last = stream.wait_for(applied("before", version), "the creation to be applied")
    made.server.restart()
    made.wait_writable()
    with EventStream(made.server, last_id=last.id) as stream:
        assert stream.wait_for(lambda event: event.type == "reset", "the word to list again")
        version = made.declare("after")
        stream.wait_for(applied("after", version), "what happens from then on")


def test_all_watchers_are_told_the_same(made):
    streams = [EventStream(made.server) for _ in range(WATCHERS)]
    for stream in streams:
        stream.__enter__()
    try:
        version = made.declare("seen-by-all")
        for stream in streams:
            stream.wait_for(applied("seen-by-all", version), "the creation to be applied")
        assert len({tuple(about(stream, "seen-by-all")) for stream in streams}) == 1
    finally:
        for stream in streams:
            stream.__exit__()
