# SPDX-License-Identifier: Apache-2.0
"""gsq doctor: one check after the other, each with what to do."""
import json
import re
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from tests.lib.certificate import self_signed
from tests.lib.cli import Cli, cli_of
from tests.lib.gsq import Gsq
from tests.lib.process import free_port
from tests.lib.tokens import create_token
from tests.lib.wait import wait_until
from tests.system.resources import declare, listed
from tests.system.revisions import newest
from tests.system.stub_kube import StubKube, in_cluster

CHECKS = ["configuration", "server", "encryption", "clock", "version", "ready", "writes", "reading", "changing",
          "registry", "commits", "catalogs", "cluster", "flux"]
OF_METRICS = ("registry", "commits", "catalogs")


@pytest.fixture
def server(tmp_path):
    with Gsq(tmp_path / "gsq", namespaces=("default", "shop")) as server:
        yield server


@pytest.fixture
def gsq(server):
    return cli_of(server)


class Report:
    """What it says as JSON; check["ready"] has result, message and advice."""

    def __init__(self, gsq, *args):
        result = gsq.run("doctor", "-o", "json", *args)
        assert result.stderr == ""
        self.status, found = result.returncode, json.loads(result.stdout)
        self.names = [one["check"] for one in found["checks"]]
        self.check = {one["check"]: SimpleNamespace(**{"advice": None, **one}) for one in found["checks"]}
        self.failed, self.warnings = found["failed"], found["warnings"]
        results = [one["result"] for one in found["checks"]]
        assert (results.count("failed"), results.count("warning")) == (self.failed, self.warnings)
        assert set(results) <= {"ok", "warning", "failed", "unknown"}

    def result(self, name):
        return self.check[name].result


# ---- all is well ----

def test_where_all_is_well_every_check_says_so(watching, kube):
    answer = declare(watching, "web")
    kube.show("ADDED", in_cluster("web", answer["version"]))
    watching.wait_phase("applied", "web")
    report = Report(cli_of(watching))
    assert report.names == CHECKS
    report.check.pop("flux")  # there is none that could be woken
    assert {one.result for one in report.check.values()} == {"ok"}, report.check
    assert (report.status, report.failed) == (0, 0)


def test_it_changes_nothing(gsq, server):
    before = newest(server)
    gsq.ok("doctor")
    assert newest(server) == before and listed(server) == {}


def test_people_get_a_line_each_with_what_to_do_below(gsq):
    lines = gsq.ok("doctor").splitlines()
    assert [line.split()[1] for line in lines[:-2] if line[0] != " "] == CHECKS
    cluster = next(i for i, line in enumerate(lines) if line.split()[1:2] == ["cluster"])
    assert lines[cluster].startswith("warning  cluster  ") and "none is watched" in lines[cluster]
    assert "--kubeconfig" in lines[cluster + 1]
    assert lines[-1] == "nothing failed, 1 warning"


def test_colour_is_for_terminals_that_want_it(gsq):
    assert "\x1b[" in gsq.terminal("doctor").output
    assert "\x1b[" not in gsq.terminal("doctor", env={"NO_COLOR": "1"}).output
    assert "\x1b[" not in gsq.ok("doctor")


# ---- finding it ----

def test_without_a_server_it_says_how_to_start_one_or_to_log_in(tmp_path):
    gsq = Cli(f"http://127.0.0.1:{free_port()}")
    report = Report(gsq)
    assert report.names == ["configuration", "server"]
    assert (report.status, report.failed, report.result("server")) == (1, 1, "failed")
    assert "is it running" in report.check["server"].message


def test_the_configuration_says_where_the_server_is_named(gsq, server, tmp_path):
    assert "of GSQ_SERVER, namespace default" in Report(gsq).check["configuration"].message
    url = f"http://127.0.0.1:{server.port}"
    assert "of --server, namespace shop" in Report(gsq, "--server", url, "-n", "shop").check["configuration"].message
    config = tmp_path / "config.json"
    context = {"name": "home", "server": url, "namespace": "shop"}
    config.write_text(json.dumps({"current": "home", "contexts": [context]}))
    config.chmod(0o600)
    gsq.env["GSQ_CONFIG"] = str(config)
    del gsq.env["GSQ_SERVER"]
    assert Report(gsq).check["configuration"].message == f"server {url} of the context home, namespace shop"
    report = Report(gsq, "--context", "hoem")
    assert (report.status, report.names) == (1, ["configuration"])
    assert "home" in report.check["configuration"].message


def test_a_damaged_configuration_is_the_first_to_fail(gsq, tmp_path):
    config = tmp_path / "config.json"
    config.write_text("{")
    config.chmod(0o600)
    gsq.env["GSQ_CONFIG"] = str(config)
    report = Report(gsq)
    assert (report.status, report.names, report.result("configuration")) == (1, ["configuration"], "failed")


@pytest.mark.parametrize("days, result", [(90, "ok"), (3, "warning")])
def test_of_tls_it_says_when_the_certificate_expires(tmp_path, days, result):
    certificate, key = self_signed(tmp_path, days=days)
    tls = SimpleNamespace(ca=certificate, certificate=certificate, key=key)
    with Gsq(tmp_path / "gsq", tls=tls) as server:
        gsq = Cli(f"https://127.0.0.1:{server.port}", env={"GSQ_SERVER_CA": str(certificate)})
        check = Report(gsq).check["encryption"]
        assert check.result == result and re.search(f"expires in ({days - 1}|{days}) days", check.message)
        del gsq.env["GSQ_SERVER_CA"]
        report = Report(gsq)
        assert (report.status, report.names[-1], report.result("server")) == (1, "server", "failed")
        assert "certificate" in report.check["server"].message


# ---- who we are ----

@pytest.fixture
def closed(tmp_path):
    """A server that knows viewer and editor of shop, and of everything."""
    server = Gsq(tmp_path / "gsq", namespaces=("default", "shop"), anonymous=None)
    server.tokens = {(role, namespace): create_token(server, f"{role}-{i}", role, namespace)
                     for i, (role, namespace) in enumerate((("viewer", "shop"), ("editor", "shop"), ("viewer", "*")))}
    with server:
        yield server


def with_token(server, folder, role, namespace):
    file = folder / "token"
    file.write_text(server.tokens[role, namespace] + "\n")
    return cli_of(server, env={"GSQ_BEARER_FILE": str(file)})


def test_without_a_token_it_says_that_we_have_to_log_in(closed):
    report = Report(cli_of(closed))
    assert (report.status, report.result("reading")) == (1, "failed")
    assert "gsq login" in report.check["reading"].message
    assert report.result("ready") == report.result("version") == "ok"


def test_who_may_only_read_is_warned_and_what_needs_more_is_unknown(closed, tmp_path):
    report = Report(with_token(closed, tmp_path, "viewer", "shop"), "-n", "shop")
    assert report.status == 0
    assert (report.result("reading"), report.result("changing")) == ("ok", "warning")
    assert "editor" in report.check["changing"].advice
    for name in OF_METRICS:
        assert report.check[name].result == "unknown"
        assert report.check[name].message == "needs the role viewer for all namespaces"


def test_who_may_change_is_told_so(closed, tmp_path):
    report = Report(with_token(closed, tmp_path, "editor", "shop"), "-n", "shop")
    assert (report.result("reading"), report.result("changing")) == ("ok", "ok")
    report = Report(with_token(closed, tmp_path, "editor", "shop"))
    assert (report.status, report.result("reading")) == (1, "failed")
    assert "viewer" in report.check["reading"].advice


def test_a_viewer_of_everything_sees_what_the_server_counts(closed, tmp_path):
    report = Report(with_token(closed, tmp_path, "viewer", "*"))
    assert [report.result(name) for name in OF_METRICS] == ["ok", "ok", "ok"]


def test_a_namespace_that_takes_no_changes_is_told(gsq):
    check = Report(gsq, "-n", "shpo").check["changing"]
    assert check.result == "warning" and "namespace shpo is not known" in check.message


# ---- whether it works ----

def test_a_frozen_store_fails_with_its_reason_and_what_ends_it(gsq):
    gsq.ok("freeze", "--reason", "we move")
    report = Report(gsq)
    assert (report.status, report.result("ready"), report.result("writes")) == (1, "ok", "failed")
    assert "we move" in report.check["writes"].message and "gsq thaw" in report.check["writes"].advice
    gsq.ok("thaw")
    assert Report(gsq).result("writes") == "ok"


def test_a_server_that_is_held_fails_and_says_so(gsq, server):
    server.stop()
    server.args = ("--hold",)
    server.start()
    report = Report(gsq)
    assert (report.status, report.result("writes")) == (1, "failed")
    assert "--hold" in report.check["writes"].advice


def test_one_that_is_not_ready_fails_with_the_reason(tmp_path):
    server = Gsq(tmp_path / "gsq", init=False).start(wait="/healthz")
    report = Report(cli_of(server))
    assert (report.status, report.result("ready")) == (1, "failed")
    assert "--init" in report.check["ready"].message
    server.stop()


def test_a_registry_that_does_not_answer_is_seen_in_what_is_counted(tmp_path):
    server = Gsq(tmp_path / "gsq", registry=f"http://127.0.0.1:{free_port()}").start(wait="/healthz")
    wait_until(lambda: server.metric("gsq_registry_requests_total", outcome="transient") > 0, "a request to fail")
    report = Report(cli_of(server))
    assert (report.status, report.result("ready"), report.result("registry")) == (1, "failed", "warning")
    server.stop()


def test_a_large_catalog_is_a_warning(gsq, server):
    n = 1000  # LIMIT_CATALOG_WARN
    changes = [{"resource": {"name": f"r{i}", "spec": {"type": "vm", "size": "small"}}} for i in range(n)]
    assert server.post("/api/v1/changes", {"changes": changes[1:]}).status == 200
    assert Report(gsq).result("catalogs") == "ok"
    assert server.post("/api/v1/changes", {"changes": changes}).status == 200
    check = Report(gsq).check["catalogs"]
    assert check.result == "warning" and f"has {n} of" in check.message and "gsq repartition" in check.advice


# ---- the cluster ----

def test_without_a_cluster_it_says_which_option_there_is(gsq, server):
    declare(server, "web")
    check = Report(gsq).check["cluster"]
    assert check.result == "warning"
    assert check.message.startswith("No cluster is watched") and "--kubeconfig" in check.advice


def test_a_cluster_that_cannot_be_reached_is_told_with_the_reason(tmp_path):
    kube = StubKube(tmp_path)  # it does not run
    with Gsq(tmp_path / "gsq", kubeconfig=kube.kubeconfig) as server:
        declare(server, "web")
        check = Report(cli_of(server)).check["cluster"]
    assert check.result == "warning" and "cluster has not been heard from" in check.message


def test_wakes_of_flux_that_failed_are_a_warning(watching):
    declare(watching, "web")
    wait_until(lambda: watching.metric("gsq_flux_wakes_total", outcome="failed") > 0, "a wake to fail")
    check = Report(cli_of(watching)).check["flux"]
    assert check.result == "warning" and "server's log" in check.advice
    assert re.match(r"0 failed, 1 pending, the oldest for \d+ s; [1-9]\d* wakes? of Flux failed", check.message)


def test_who_may_not_see_the_counts_is_told_of_the_namespace(closed, tmp_path):
    gsq = with_token(closed, tmp_path, "editor", "shop")
    report = Report(gsq, "-n", "shop")
    assert (report.result("cluster"), report.result("flux")) == ("unknown", "ok")
    gsq.ok("apply", "-n", "shop", "-f", "-", input="name: web\nspec: {type: vm, size: small}\n")
    report = Report(gsq, "-n", "shop")
    assert report.result("cluster") == "warning"
    assert report.check["flux"].message == "nothing failed in the namespace shop"


# ---- another program, or another clock ----

class Other:
    """A server of another version, whose clock is so many seconds ahead."""

    def __init__(self, version, ahead_s, failed=()):
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), other_handler(version, ahead_s, failed))
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self):
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()


def other_handler(version, ahead_s, failed):
    resources = [{"namespace": "default", "name": name} for name in failed]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, query = self.path.partition("?")
            found = resources if "phase=failed" in query else []
            answers = {"/openapi.json": {"info": {"version": version}}, "/healthz": {"status": "ok"},
                       "/readyz": {"status": "ok"},
                       "/api/v1/namespaces/default/resources": {"resources": found, "count": len(found)}}
            self.answer(200 if path in answers else 403,
                        answers.get(path, {"error": "you may not", "code": "denied"}))

        def do_POST(self):
            self.answer(403, {"error": "you may not", "code": "denied"})

        def answer(self, status, body):
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def date_time_string(self, timestamp=None):
            return formatdate(time.time() + ahead_s, usegmt=True)

        def log_message(self, *_):
            pass

    return Handler


@pytest.mark.parametrize("ahead_s, said", [(60, "ahead of ours"), (-60, "behind ours")])
def test_a_clock_that_is_off_is_a_warning(ahead_s, said):
    with Other("0.0.9", ahead_s) as other:
        check = Report(Cli(other.url)).check["clock"]
    assert check.result == "warning" and said in check.message and "NTP" in check.advice


def test_a_clock_that_is_a_second_off_is_not():
    with Other("0.0.9", 2) as other:
        assert Report(Cli(other.url)).result("clock") == "ok"


def test_another_version_is_a_warning_that_names_both():
    with Other("99.1", 0) as other:
        check = Report(Cli(other.url)).check["version"]
    assert check.result == "warning" and "99.1" in check.message


def test_what_failed_in_the_namespace_is_a_warning():
    with Other("99.1", 0, failed=["web"]) as other:
        check = Report(Cli(other.url)).check["flux"]
    assert check.result == "warning" and "gsq status" in check.advice
