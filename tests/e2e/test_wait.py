# SPDX-License-Identifier: Apache-2.0
"""?wait=applied: the answer comes when the cluster has it, or says how far it is."""
import http.client
import json
import threading

import pytest

from tests.e2e.chain import chain
from tests.lib.gsq import resource_path
from tests.lib.policy import FORBIDDEN, MESSAGE, install_policy, remove_policy
from tests.lib.wait import wait_until

APPLIED = "?wait=applied&timeout=120s"
SOON = "?wait=applied&timeout=300ms"


@pytest.fixture(scope="module")
def made(control_plane, tmp_path_factory):
    with chain(control_plane, tmp_path_factory.mktemp("wait")) as started:
        yield started


def waiting(made):
    """How many requests wait, by the metric."""
    return made.server.metric("gsq_api_waiting_requests")


def test_create_update_and_repeat_answer_when_the_cluster_has_it(made):
    for replicas, status in ((1, 201), (2, 200), (2, 200)):
        answer = made.post("web", query=APPLIED, replicas=replicas)
        assert answer.status == status, answer.body
        assert answer.json["status"]["phase"] == "applied", answer.json
        assert answer.json["status"]["version"] == answer.json["version"]
        assert made.versions()["default", "web"] == answer.json["version"]


def test_put_answers_when_the_cluster_has_it(made):
    answer = made.server.put(resource_path("default", "put") + APPLIED, {"spec": {"type": "vm", "size": "small"}})
    assert answer.status == 201, answer.body
    assert answer.json["status"]["phase"] == "applied"
    assert made.versions()["default", "put"] == answer.json["version"]


def test_delete_answers_when_the_object_is_gone(made):
    made.declare_applied("doomed")
    answer = made.remove("doomed", query=APPLIED)
    assert (answer.status, answer.json["deleted"]) == (200, True), answer.body
    assert ("default", "doomed") not in made.objects()


def test_what_is_not_there_in_time_is_accepted_and_still_comes(made):
    with made.without("kustomize-controller"):
        answer = made.post("late", query=SOON)
        assert (answer.status, answer.json["status"]["phase"]) == (202, "pending"), answer.body
    made.wait_phase("applied", "late", version=answer.json["version"])


def test_what_is_not_gone_in_time_is_accepted_and_still_goes(made):
    version = made.declare_applied("lingering")
    with made.without("kustomize-controller"):
        answer = made.remove("lingering", query=SOON)
        assert (answer.status, answer.json["deleted"]) == (202, True), answer.body
        assert (answer.json["status"]["phase"], answer.json["status"]["version"]) == ("deleting", version), answer.body
    wait_until(lambda: made.server.status("lingering") is None, "the status to be gone with the object")
    assert ("default", "lingering") not in made.objects()


def test_what_is_refused_is_answered_with_the_reason(made):
    install_policy(made.cluster)
    try:
        answer = made.post("refused", query=APPLIED, region=FORBIDDEN)
        assert (answer.status, answer.json["status"]["phase"]) == (202, "failed"), answer.body
        assert MESSAGE in answer.json["status"]["message"]
        made.remove("refused", query=APPLIED)
    finally:
        remove_policy(made.cluster)


def test_a_client_that_leaves_costs_nothing(made):
    with made.without("kustomize-controller"):
        connection = http.client.HTTPConnection("127.0.0.1", made.server.port, timeout=60)
        connection.request("POST", resource_path() + APPLIED, json.dumps(
            {"name": "left", "spec": {"type": "vm", "size": "small"}}), {"Content-Type": "application/json"})
        wait_until(lambda: waiting(made) == 1, "the request to wait")
        connection.close()
        wait_until(lambda: waiting(made) == 0, "the wait to be given up")
    made.wait_phase("applied", "left")


def test_many_wait_at_once_and_each_gets_its_own(made):
    answers = {}

    def post(name):
        answers[name] = made.post(name, query=APPLIED)

    threads = [threading.Thread(target=post, args=(f"crowd-{i}",)) for i in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers.values()} == {201}
    assert {name: answer.json["name"] for name, answer in answers.items()} == {name: name for name in answers}
    assert {answer.json["status"]["phase"] for answer in answers.values()} == {"applied"}


def test_a_server_that_stops_answers_those_who_wait(made):
    answers = []
    with made.without("kustomize-controller"):
        thread = threading.Thread(target=lambda: answers.append(made.post("stopped", query=APPLIED)))
        thread.start()
        wait_until(lambda: waiting(made) == 1, "the request to wait")
        made.server.stop()
        thread.join()
        assert (answers[0].status, answers[0].json["status"]["phase"]) == (202, "pending"), answers
        made.server.start()
        made.wait_writable()
    made.wait_phase("applied", "stopped", version=answers[0].json["version"])
