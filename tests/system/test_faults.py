# SPDX-License-Identifier: Apache-2.0
"""A remote registry that fails at any single request of a write: nothing acknowledged is lost, nothing is half-done."""
import os
import re
import threading
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from tests.conftest import tools_or_skip
from tests.lib.distribution import Distribution
from tests.lib.gsq import Gsq
from tests.lib.oci import CATALOG, RECORDS, Oci
from tests.lib.rounds import LONG
from tests.lib.wait import wait_until
from tests.system.fault_registry import FaultProxy
from tests.system.resources import (
    assert_503, assert_whole, declare, intent, listed, not_ready_reason, path, try_again_until_done, wait_ready,
    without_status)

pytestmark = pytest.mark.usefixtures("distribution_host")

# Scenarios mostly wait: for retries, and for each other's processes.
WORKERS = 6
COMMIT_POINT = r"/gitops-squared/commits/manifests/latest$"

KINDS = {
    "500": {"kind": 500},
    "429": {"kind": 429, "retry_after": 1},
    "503": {"kind": 503, "retry_after": 1},
    "slow": {"kind": "delay", "delay_s": 0.5},
    "cut before": {"kind": "cut"},
    "cut mid-upload": {"kind": "cut_upload"},
    "answer lost": {"kind": "drop_answer"},
    "done, but answered 500": {"kind": "lie"},
}


@pytest.fixture(scope="module")
def distribution_host(tmp_path_factory):
    registry = Distribution(tmp_path_factory.mktemp("distribution"))
    with tools_or_skip():
        registry.start()
    yield registry.host
    registry.stop()


class Rig:
    """A server whose registry is a proxy before a part of the distribution registry of its own."""

    def __init__(self, folder, distribution_host, prefix):
        self.proxy = FaultProxy(distribution_host)
        self.server = Gsq(folder / prefix, registry=f"http://{self.proxy.host}/{prefix}")
        # What is really there, whatever the proxy says.
        self.oci = Oci(distribution_host, f"{prefix}/")
        self._names = 0

    def __enter__(self):
        self.proxy.__enter__()
        self.server.start()
        return self

    def __exit__(self, *_):
        self.server.kill()
        self.proxy.close()

    def new_name(self, operation):
        self._names += 1
        return f"{operation}-{self._names}"

    def lift(self):
        self.proxy.reset()

    def get(self, name):
        answer = self.server.get(path(name=name))
        return answer.json if answer.status == 200 else None

    def head(self):
        return self.oci.digest(RECORDS, "latest")


@pytest.fixture
def rig(tmp_path, distribution_host):
    with Rig(tmp_path, distribution_host, f"{tmp_path.name[:40].lower().rstrip('_')}x") as rig:
        yield rig


# ---- the three kinds of write ----

class Operation:
    """A write on a resource of its own: prepared without faults, then run under them."""

    def __init__(self, rig):
        self.rig, self.name = rig, rig.new_name(self.label)
        self.where, self.method, self.body = path(), "POST", None
        self.prepare()
        self.before = rig.get(self.name)

    def run(self):
        return self.rig.server.request(self.method, self.where, self.body)

    def again(self):
        return try_again_until_done(self.rig.server, self.method, self.where, self.body)

    def wanted(self, resource):
        return resource is not None and resource["spec"]["size"] == "large"


class Create(Operation):
    label = "create"

    def prepare(self):
        self.body = intent(self.name, size="large")


class Update(Create):
    label = "update"

    def prepare(self):
        super().prepare()
        declare(self.rig.server, self.name, size="small")


class Delete(Operation):
    label = "delete"

    def prepare(self):
        self.method, self.where = "DELETE", path(name=self.name)
        declare(self.rig.server, self.name)

    def wanted(self, resource):
        return resource is None


# One request of a write: the nth that matches. committed: it comes after the commit point.
Step = namedtuple("Step", "method pattern nth committed")


def steps_of(operation):
    """The requests of a write, from one that nothing disturbs."""
    write = operation
    write.rig.lift()
    answer = write.run()
    assert answer.status in (200, 201), answer.body
    steps, seen, committed = [], {}, False
    for request in list(write.rig.proxy.log):
        line = request.method, pattern_of(request.target, write.name)
        seen[line] = seen.get(line, 0) + 1
        is_point = request.method == "PUT" and re.search(COMMIT_POINT, request.target)
        committed = committed or bool(is_point)
        steps.append(Step(*line, seen[line], committed))
    write.rig.lift()
    assert sum(step.method == "PUT" and step.pattern.endswith("/commits/manifests/latest$") for step in steps) == 1
    assert any(not step.committed for step in steps) and len(steps) > 8
    return steps


def pattern_of(target, name):
    """A regular expression for the same request of another write: {name}, and any version, digest and session."""
    where, _, query = target.partition("?")
    pattern = where.replace(f"/{name}/", "/{name}/")  # filled in by run_scenario
    pattern = re.sub(r"/([vc])\d{16}$", r"/\1\\d+", pattern)
    pattern = re.sub(r"[0-9a-f]{64}", "[0-9a-f]{64}", pattern)
    pattern = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[0-9a-f-]{36}", pattern)
    pattern = re.sub(r"^/v2/[^/]+/", "/", pattern)
    return pattern + (rf"\?{query.partition('=')[0]}=" if query else "$")


# ---- one fault ----

Scenario = namedtuple("Scenario", "operation step kind times")


def run_scenario(rig, scenario):
    """The answer is true, whatever the registry did; and when the fault is over the same request succeeds."""
    write = scenario.operation(rig)
    head = rig.head()
    rule = rig.proxy.fail(method=scenario.step.method, path_re=scenario.step.pattern.replace("{name}", write.name),
                          nth=scenario.step.nth, times=scenario.times, **KINDS[scenario.kind])
    answer = write.run()
    assert rule.hits > 0, rig.proxy.log
    assert rig.server.get(path()).status == 200
    if answer.status == 503:
        assert_503(answer)
        if not scenario.step.committed:
            assert rig.get(write.name) == write.before
            assert rig.head() == head
    else:
        assert answer.status in (200, 201), answer.body
        assert rig.head() != head
        assert_acknowledged(rig, write, answer)
    rig.lift()
    done = write.again()
    # A delete that was answered 503 after the commit point is done already.
    was_done = write.method == "DELETE" and (answer.status == 200 or scenario.step.committed)
    assert done.status in (200, 201) or (was_done and done.status == 404), done.body
    assert_acknowledged(rig, write, done)


def assert_acknowledged(rig, write, answer):
    """It is current for readers of the API, and for those of the registry."""
    assert write.wanted(rig.get(write.name))
    assert rig.oci.digest(CATALOG, "latest") == rig.oci.record()["catalogs"][0]["digest"]
    if answer.status != 404:
        assert rig.oci.digest(f"gitops-squared/resources/default/{write.name}", "latest") == answer.json["digest"]


def run_scenarios(rig, scenarios):
    """Returns what went wrong."""
    failures = []
    for scenario in scenarios:
        try:
            run_scenario(rig, scenario)
        except Exception as error:
            failures.append(f"{scenario.kind} at {scenario.step}, times={scenario.times}: {error!r}")
            rig.lift()
            wait_ready(rig.server)
    assert_whole(rig.server, rig.oci)
    before = listed(rig.server)
    rig.server.restart()
    assert listed(rig.server) == before
    assert_whole(rig.server, rig.oci)
    return failures


def run_in_parallel(folder, host, label, scenarios):
    def work(i):
        with Rig(folder, host, f"{label}-{i}") as rig:
            # The catalog's repository and the server know the blobs that every write needs.
            declare(rig.server, "first")
            return run_scenarios(rig, scenarios[i::WORKERS])

    with ThreadPoolExecutor(WORKERS) as pool:
        failures = [failure for some in pool.map(work, range(WORKERS)) for failure in some]
    assert not failures, "\n".join(failures)


def fits(kind, step):
    return kind != "cut mid-upload" or step.method == "PUT"


@pytest.fixture(params=[Create, Update, Delete], ids=lambda operation: operation.label)
def operation(request):
    return request.param


@pytest.fixture
def steps(operation, tmp_path, distribution_host):
    with Rig(tmp_path, distribution_host, f"{operation.label}-clean-{os.urandom(3).hex()}") as rig:
        declare(rig.server, "first")
        return steps_of(operation(rig))


def test_a_fault_that_passes_at_any_request_of_a_write(operation, steps, tmp_path, distribution_host):
    scenarios = [Scenario(operation, step, kind, 1) for step in steps for kind in KINDS if fits(kind, step)]
    run_in_parallel(tmp_path, distribution_host, f"{operation.label}-once", scenarios)


def test_a_fault_that_lasts_at_any_request_of_a_write(operation, steps, tmp_path, distribution_host):
    """Each request sees two kinds of fault, the commit point and what follows it all of them; --long: all see all."""
    scenarios = []
    for i, step in enumerate(steps):
        kinds = list(KINDS)
        if not (LONG or step.committed):
            kinds = [kinds[i % len(kinds)], kinds[(i + 3) % len(kinds)]]
        scenarios += [Scenario(operation, step, kind, None) for kind in kinds if fits(kind, step)]
    run_in_parallel(tmp_path, distribution_host, f"{operation.label}-lasting", scenarios)


# ---- the answer to the commit itself is lost ----

@contextmanager
def in_background(function):
    """Runs it in a thread; yields the thread, which has .result once it has ended."""
    def run():
        thread.result = function()
    thread = threading.Thread(target=run)
    thread.start()
    yield thread
    thread.join()


@pytest.mark.parametrize("kind, committed", [("drop_answer", True), ("cut", False)])
def test_a_commit_whose_answer_is_lost_is_settled_before_it_is_answered(rig, kind, committed):
    declare(rig.server, "web", size="small")
    head = rig.head()
    rig.proxy.fail(kind, method="PUT", path_re=COMMIT_POINT, times=None)
    # The look before the commit sees the tag, all later ones do not.
    with ExitStack() as stack:
        for method, nth in (("HEAD", 2), ("GET", 1)):
            rig.proxy.fail(503, method=method, path_re=COMMIT_POINT, nth=nth, times=None)
        writer = stack.enter_context(in_background(
            lambda: rig.server.post(path(), intent("web", size="large"), timeout=600)))
        # Until it knows, it reads as before, takes no other change, and is not ready.
        not_ready_reason(rig.server)
        assert rig.get("web")["spec"]["size"] == "small"
        assert_503(rig.server.post(path(), intent("other")))
        assert writer.is_alive()
        rig.lift()
    if committed:
        assert writer.result.status == 200, writer.result.body
        assert rig.head() != head
    else:
        assert_503(writer.result)
        assert rig.head() == head
    done = try_again_until_done(rig.server, "POST", path(), intent("web", size="large"))
    assert done.status == 200
    assert not committed or done.json == writer.result.json
    assert_whole(rig.server, rig.oci)


# ---- the whole registry ----

def test_reads_answer_while_a_write_waits_for_the_registry(rig):
    declare(rig.server, "web")
    rig.proxy.fail("delay", times=None, delay_s=2)
    with in_background(lambda: rig.server.post(path(), intent("web", size="large"))) as writer:
        wait_until(lambda: rig.proxy.log, "the write to begin")
        for _ in range(20):
            assert rig.get("web")["spec"]["size"] == "small"
            assert list(listed(rig.server)) == ["web"]
        assert writer.is_alive()
        rig.lift()
    assert writer.result.status == 200, writer.result.body


def test_a_registry_that_is_down_stops_writes_only(distribution_store):
    server = distribution_store.server().start()
    before = declare(server, "web")
    distribution_store.distribution.stop()
    assert_503(server.post(path(), intent("web", size="large")))
    assert_503(server.post(path(), intent("other")))
    assert_503(server.delete(path(name="web")))
    assert without_status(server.get(path(name="web")).json) == before
    assert listed(server) == {"web": before}
    assert server.get("/healthz").status == 200
    # Whether equal intent is still current, only the registry knows.
    assert_503(server.post(path(), intent("web")))
    distribution_store.start()
    assert try_again_until_done(server, "POST", path(), intent("web", size="large")).status == 200
    assert_whole(server, distribution_store.oci())


def test_a_registry_that_is_down_at_start_is_waited_for(distribution_store):
    server = distribution_store.server().start()
    before = declare(server, "web")
    server.stop()
    snapshot = distribution_store.snapshot()
    distribution_store.distribution.stop()
    server.start(wait="/healthz")
    reason = not_ready_reason(server)
    assert "gitops-squared/commits:latest" in reason
    assert_503(server.post(path(), intent("web", size="large")))
    assert_503(server.delete(path(name="web")))
    assert_503(server.get(path()))
    assert_503(server.get(path(name="web")))
    distribution_store.start()
    wait_ready(server)
    assert distribution_store.snapshot() == snapshot
    assert listed(server) == {"web": before}
    assert declare(server, "web", size="large")["spec"]["size"] == "large"


@pytest.mark.parametrize("where", [
    r"/catalog/blobs/uploads/", r"/commits/blobs/uploads/", r"/catalog/manifests/c\d+$", r"/commits/manifests/c\d+$",
    COMMIT_POINT, r"/catalog/manifests/latest$"])
def test_a_first_start_that_was_interrupted_is_finished_by_the_next(distribution_store, where):
    with FaultProxy(distribution_store.location) as proxy:
        first = distribution_store.server(args=("--registry", proxy.host))
        rule = proxy.fail("cut", method="PUT", path_re=where, times=None)
        first.start(wait="/healthz")
        wait_until(lambda: rule.hits, "the first start to come that far")
        not_ready_reason(first)
        first.kill()
    server = distribution_store.server().start()
    assert declare(server, "web")
    assert_whole(server, distribution_store.oci())


def test_a_first_start_goes_on_by_itself_when_the_registry_is_well_again(rig, tmp_path, distribution_host):
    with FaultProxy(distribution_host) as proxy:
        server = Gsq(tmp_path / "new", registry=f"http://{proxy.host}/new-{os.urandom(3).hex()}")
        rule = proxy.fail(503, method="PUT", path_re=COMMIT_POINT, times=None)
        server.start(wait="/healthz")
        try:
            wait_until(lambda: rule.hits, "the first start to come that far")
            not_ready_reason(server)
            proxy.reset()
            wait_ready(server)
            declare(server, "web")
        finally:
            server.kill()
