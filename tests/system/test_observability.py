# SPDX-License-Identifier: Apache-2.0
"""What an operator sees of a running server: /metrics, the log, and the ids by which requests are found there."""
import base64
import http.client
import json
import re
import socket
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lib.gsq import Gsq, binary
from tests.lib.oci import Oci, sha256
from tests.lib.wait import wait_until
from tests.system.resources import declare, not_ready_reason
from tests.system.stub_registry import StubRegistry

ID = re.compile(r"[0-9a-f]{16}")

# ---- the exposition format (0.0.4), strictly ----

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\d+(?:\.\d+)?)")
SUFFIXES = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}


class Metrics:
    """types: {name: type}; at(sample, **labels): the value; all of it was checked."""

    def __init__(self, text):
        self.types, self._samples = {}, {}
        assert text.endswith("\n")
        lines = text.splitlines()
        while lines:
            name = re.fullmatch(rf"# HELP ({NAME}) (.+)", lines.pop(0))[1]
            kind = re.fullmatch(rf"# TYPE {name} (counter|gauge|histogram)", lines.pop(0))[1]
            assert name not in self.types, f"{name} comes twice"
            assert name.endswith("_total") == (kind == "counter"), name
            self.types[name] = kind
            while lines and not lines[0].startswith("#"):
                self._add(name, kind, lines.pop(0))
            if kind == "histogram":
                self._check_histogram(name)

    def _add(self, family, kind, line):
        sample = SAMPLE.fullmatch(line)
        assert sample, line
        assert sample[1] in [family + suffix for suffix in SUFFIXES[kind]], line
        labels = re.findall(LABEL, sample[2] or "")
        assert len(dict(labels)) == len(labels), line
        key = sample[1], frozenset(labels)
        assert key not in self._samples, f"twice: {line}"
        self._samples[key] = float(sample[sample.re.groups])

    def _check_histogram(self, name):
        """Buckets ascend and are cumulative; the last one is +Inf and equals the count; the sum can be."""
        for labels in self.labels(f"{name}_count"):
            mine = [(float(dict(found)["le"]), value) for (sample, found), value in self._samples.items()
                    if sample == f"{name}_bucket" and dict(found).items() - {("le", dict(found)["le"])} == set(labels)]
            bounds, counts = [bound for bound, _ in mine], [count for _, count in mine]
            assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), name
            assert counts == sorted(counts), name
            assert counts[-1] == self._samples[f"{name}_count", labels], name
            least = sum((count - before) * bound for bound, count, before
                        in zip([0, *bounds], counts, [0, *counts]))
            assert self._samples[f"{name}_sum", labels] >= least * (1 - 1e-9), name

    def labels(self, sample):
        return [labels for name, labels in self._samples if name == sample]

    def at(self, sample, **labels):
        return self._samples.get((sample, frozenset(labels.items())))

    def total(self, sample, **labels):
        """The sum of all that have these labels, whatever others they have."""
        return sum(value for (name, found), value in self._samples.items()
                   if name == sample and labels.items() <= dict(found).items())


def metrics(server):
    answer = server.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Metrics(answer.body.decode())


def version():
    """As in "gsq 0.1.0"."""
    run = subprocess.run([binary(), "version"], check=True, capture_output=True, text=True)
    return run.stdout.split()[1]


def wait_for_count(server, count, **labels):
    """A request is counted when its answer has gone, which may be a moment after the client has it."""
    def counted():
        found = metrics(server)
        assert found.total("gsq_http_requests_total", **labels) == count, labels
        return found
    return wait_until(counted, f"{count} requests {labels}")


# ---- the log, strictly ----

FIELD = re.compile(r'(?:^| )([a-z0-9_]+)=(?:("(?:[^"\\\x00-\x1f]|\\.)*")|([^\s"=\\]+))')


def parse_logfmt(line):
    fields, end = {}, 0
    for match in FIELD.finditer(line):
        assert match.start() == end, line
        key, quoted, plain = match.groups()
        assert key not in fields, line
        fields[key] = json.loads(quoted) if quoted else plain
        end = match.end()
    assert end == len(line), line
    return fields


def parse_json(line):
    return json.loads(line, object_pairs_hook=unique)


def unique(pairs):
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


PARSERS = {"logfmt": parse_logfmt, "json": parse_json}


def lines(server, parse=parse_logfmt, **fields):
    """The lines of the log that have these fields; every line must parse."""
    found = [parse(line) for line in server.log().splitlines()]
    for line in found:
        assert list(line)[:3] == ["ts", "level", "msg"], line
    return [line for line in found if fields.items() <= line.items()]


def wait_for_line(server, parse=parse_logfmt, **fields):
    [line] = wait_until(lambda: lines(server, parse, **fields), lambda: f"a line with {fields} in\n{server.log()}")
    return line


def send(port, data, half=False):
    """Raw bytes; returns what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(data)
        if half:
            return b""
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


# ---- metrics ----

def test_metrics_parse_strictly_and_name_everything_once(gsq):
    declare(gsq, "web")
    found = metrics(gsq)
    assert {name: kind for name, kind in found.types.items() if name.startswith("gsq_")} == {
        "gsq_build_info": "gauge",
        "gsq_auth_failed_total": "counter",
        "gsq_oidc_key_fetches_total": "counter",
        "gsq_oidc_tokens_total": "counter",
        "gsq_http_requests_total": "counter",
        "gsq_http_request_duration_seconds": "histogram",
        "gsq_ready": "gauge",
        "gsq_writable": "gauge",
        "gsq_restore_seconds": "gauge",
        "gsq_queue_depth": "gauge",
        "gsq_commits_total": "counter",
        "gsq_commit_batch_size": "histogram",
        "gsq_commit_duration_seconds": "histogram",
        "gsq_catalog_resources": "gauge",
        "gsq_largest_catalog_resources": "gauge",
        "gsq_catalog_bytes": "gauge",
        "gsq_catalog_build_seconds": "histogram",
        "gsq_expired_tags_total": "counter",
        "gsq_cluster_watch_up": "gauge",
        "gsq_resources": "gauge",
        "gsq_applied_seconds": "histogram",
        "gsq_applied_lag_seconds": "gauge",
        "gsq_flux_wakes_total": "counter",
        "gsq_api_waiting_requests": "gauge",
        "gsq_api_watchers": "gauge",
        "gsq_registry_requests_total": "counter",
        "gsq_store_bytes": "gauge",
    }
    assert found.at("gsq_build_info", version=version()) == 1
    for name in ("cpu_seconds_total", "resident_memory_bytes", "virtual_memory_bytes", "open_fds", "max_fds",
                 "start_time_seconds"):
        assert found.at(f"process_{name}") > 0, name


def test_requests_are_counted_by_route_method_and_code(gsq):
    declare(gsq, "web")
    for _ in range(3):
        gsq.get("/api/v1/resources/web")
    gsq.request("HEAD", "/api/v1/resources/web")
    gsq.get("/api/v1/namespaces/default/resources/web")
    gsq.get("/api/v1/resources/missing")
    gsq.get("/api/v1/resources/No-Name")
    gsq.request("POST", "/api/v1/resources/web")
    gsq.request("PURGE", "/api/v1/resources/web")
    gsq.get("/nowhere")

    one, many = "/api/v1/resources/{name}", "/api/v1/resources"
    wait_for_count(gsq, 1, route="none")
    found = wait_for_count(gsq, 8, route=one)
    assert Counter({labels: found.at("gsq_http_requests_total", **dict(labels))
                    for labels in found.labels("gsq_http_requests_total")
                    if dict(labels)["route"] not in ("/readyz", "/metrics")}) == {
        frozenset({"route": route, "method": method, "code": code}.items()): count
        for route, method, code, count in (
            (many, "POST", "201", 1),
            (one, "GET", "200", 3),
            (one, "HEAD", "200", 1),
            (one, "GET", "404", 2),
            (one, "POST", "405", 1),
            (one, "other", "405", 1),
            ("/api/v1/namespaces/{namespace}/resources/{name}", "GET", "200", 1),
            ("none", "GET", "404", 1))}


def test_each_request_that_is_counted_has_its_duration(gsq):
    for name in ("a", "b", "c"):
        declare(gsq, name)
        gsq.get(f"/api/v1/resources/{name}")
    found = wait_for_count(gsq, 3, route="/api/v1/resources/{name}")
    durations = found.labels("gsq_http_request_duration_seconds_count")
    assert durations
    for labels in durations:
        assert found.at("gsq_http_request_duration_seconds_count", **dict(labels)) == \
            found.total("gsq_http_requests_total", **dict(labels)), labels
    assert found.at("gsq_http_request_duration_seconds_sum", route="/api/v1/resources", method="POST") > 0


def test_the_embedded_registrys_requests_are_counted_by_pattern(gsq):
    declare(gsq, "web")
    oci = Oci(gsq.registry_host)
    oci.manifest("gitops-squared/catalog", "latest")
    oci.blob("gitops-squared/catalog", oci.manifest("gitops-squared/catalog", "latest").json["layers"][0]["digest"])
    wait_for_count(gsq, 2, route="/v2/<name>/manifests/<reference>", code="200")
    wait_for_count(gsq, 1, route="/v2/<name>/blobs/<digest>", code="200")
    line = wait_for_line(gsq, route="/v2/<name>/blobs/<digest>")
    assert line["path"].startswith("/v2/gitops-squared/catalog/blobs/sha256:") and line["status"] == "200"


def test_the_size_of_the_store_is_told_by_part(gsq):
    content = bytes(range(256)) * 1024
    Oci(gsq.registry_host).push_blob("acme/app", content)
    gsq.restart()  # else it is measured every ten seconds

    def parts():
        found = metrics(gsq)
        assert len(found.labels("gsq_store_bytes")) == 4
        return found
    found = wait_until(parts, "the store to be measured")
    assert found.at("gsq_store_bytes", part="blobs") == len(content)
    assert found.at("gsq_store_bytes", part="uploads") == 0
    assert found.total("gsq_store_bytes", part="database") + found.total("gsq_store_bytes", part="wal") > 0


def test_commits_are_told_by_size_and_stage_and_the_catalog_by_what_is_in_it(gsq):
    for name in ("a", "b", "c"):
        declare(gsq, name)
    declare(gsq, "c")  # no change, and so no commit
    assert gsq.delete("/api/v1/resources/none").status == 404
    gsq.delete("/api/v1/resources/a")
    found = metrics(gsq)
    assert found.at("gsq_commits_total", outcome="done") == found.at("gsq_commit_batch_size_count") == 4
    assert found.at("gsq_commit_batch_size_sum") == 4
    for stage in ("artifacts", "catalog", "record", "sync", "all"):
        assert found.at("gsq_commit_duration_seconds_count", stage=stage) == 4, stage
    everything = found.at("gsq_commit_duration_seconds_sum", stage="all")
    assert 0 < found.at("gsq_commit_duration_seconds_sum", stage="sync") < everything
    assert found.at("gsq_catalog_build_seconds_count") >= 4
    assert found.at("gsq_catalog_resources") == 2
    assert found.at("gsq_catalog_bytes") == len(Oci(gsq.registry_host).layer("gitops-squared/catalog", "latest"))
    assert found.at("gsq_queue_depth") == 0
    assert found.at("gsq_ready") == 1
    assert found.at("gsq_restore_seconds") > 0


def test_metrics_answer_before_the_server_is_ready(tmp_path):
    server = Gsq(tmp_path / "gsq", init=False)
    server.start(wait="/healthz")
    try:
        not_ready_reason(server)
        assert metrics(server).at("gsq_build_info", version=version()) == 1
    finally:
        server.stop()


# ---- what breaks and what the HTTP layer refuses ----

@pytest.mark.parametrize("form", PARSERS)
def test_a_head_that_cannot_be_read_is_counted_and_logged(tmp_path, form):
    with Gsq(tmp_path / "gsq", args=["--log-format", form]) as gsq:
        answer = send(gsq.port, b"GET /secret-in-a-bad-head HTTP/1.1\r\nNo colon\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
        identifier = re.search(rb"\r\nX-Request-Id: ([0-9a-f]{16})\r\n", answer)[1].decode()
        line = wait_for_line(gsq, PARSERS[form], id=identifier)
        assert str(line["status"]) == "400" and line["peer"] == "127.0.0.1"
        assert not {"method", "path", "route"} & line.keys()
        assert int(line["bytes"]) == len(answer)
        wait_for_count(gsq, 1, route="none", method="none", code="400")


def test_what_the_http_layer_refuses_later_keeps_its_route_and_id(gsq):
    answer = send(gsq.port, b"POST /api/v1/resources HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                            b"X-Request-Id: too-large\r\nContent-Length: 99999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ") and b"\r\nX-Request-Id: too-large\r\n" in answer
    line = wait_for_line(gsq, id="too-large")
    assert (line["status"], line["method"], line["route"]) == ("413", "POST", "/api/v1/resources")
    wait_for_count(gsq, 1, route="/api/v1/resources", method="POST", code="413")


def test_a_client_that_leaves_before_its_answer_is_counted_as_499(gsq):
    send(gsq.port, b"POST /api/v1/resources HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                   b"X-Request-Id: gone\r\nContent-Length: 100\r\n\r\n{", half=True)
    line = wait_for_line(gsq, id="gone")
    assert (line["status"], line["broken"], line["bytes"]) == ("499", "1", "0")
    wait_for_count(gsq, 1, route="/api/v1/resources", code="499")


def test_a_large_answer_is_over_when_the_client_has_taken_or_left_it(gsq):
    size = 24 * 1024 * 1024  # more than the kernel holds of it
    Oci(gsq.registry_host).push_blob("acme/app", bytes(size))
    path = f"/v2/acme/app/blobs/{sha256(bytes(size))}"
    head = f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: %s\r\n\r\n"
    whole = send(gsq.registry_port, (head % "whole").encode())
    with socket.create_connection(("127.0.0.1", gsq.registry_port), timeout=60) as connection:
        connection.sendall((head % "part").encode())
        assert connection.recv(1000)
        assert not lines(gsq, id="part")
    line = wait_for_line(gsq, id="whole")
    assert line["bytes"] == str(len(whole)) and len(whole) > size and "broken" not in line
    line = wait_for_line(gsq, id="part")
    assert line["status"] == "200" and line["broken"] == "1" and 1000 <= int(line["bytes"]) < size


def test_requests_in_a_row_on_one_connection_are_told_apart(gsq):
    head = "GET /api/v1/resources{} HTTP/1.1\r\nHost: a\r\nX-Request-Id: {}\r\n\r\n"
    answer = send(gsq.port, "".join(head.format(f"/n{i}" if i % 2 else "", f"row-{i}") for i in range(6)).encode())
    assert re.findall(rb"X-Request-Id: (.*)\r\n", answer) == [b"row-%d" % i for i in range(6)]
    found = [wait_for_line(gsq, id=f"row-{i}") for i in range(6)]
    assert [line["status"] for line in found] == 3 * ["200", "404"]
    assert sum(int(line["bytes"]) for line in found) == len(answer)


def test_bytes_that_are_left_of_answers_before_are_not_taken_from_the_last_one(gsq):
    content, count = bytes(20 * 1024), 800  # together more than the kernel holds of it
    Oci(gsq.registry_host).push_blob("acme/app", content)
    head = f"GET /v2/acme/app/blobs/{sha256(content)} HTTP/1.1\r\nHost: a\r\nX-Request-Id: row-%d\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gsq.registry_port), timeout=60) as connection:
        connection.sendall("".join(head % i for i in range(count)).encode())
        wait_until(lambda: lines(gsq, id="row-0"), "the first answer to be taken by the kernel")
    line = wait_for_line(gsq, broken="1")
    assert 0 <= int(line["bytes"]) < len(content) + 1000


# ---- ids ----

def test_a_good_request_id_is_kept_and_sent_back(gsq):
    for identifier in ("a", "x" * 128, "4bf92f35-77b3 {\"quoted\"} = ~!"):
        answer = gsq.get("/api/v1/resources", headers={"X-Request-Id": identifier})
        assert answer.headers["X-Request-Id"] == identifier
        assert wait_for_line(gsq, id=identifier)["status"] == "200"


@pytest.mark.parametrize("identifier", [b"", b"x" * 129, b"a\tb", b"caf\xc3\xa9", b"\x80"])
def test_a_bad_request_id_is_replaced(gsq, identifier):
    answer = send(gsq.port, b"GET /api/v1/resources HTTP/1.1\r\nHost: a\r\nX-Request-Id: " + identifier + b"\r\n\r\n")
    fresh = re.search(rb"\r\nX-Request-Id: (.*)\r\n", answer)[1].decode()
    assert answer.startswith(b"HTTP/1.1 200 ") and ID.fullmatch(fresh)
    assert wait_for_line(gsq, id=fresh)


def test_requests_without_an_id_get_one_each_whatever_their_answer(gsq):
    declare(gsq, "web")
    answers = [gsq.get(path) for path in ("/api/v1/resources", "/api/v1/resources/web", "/nowhere", "/healthz")]
    answers += [gsq.post("/api/v1/resources", "{"), gsq.delete("/api/v1/resources/web")]
    identifiers = [answer.headers["X-Request-Id"] for answer in answers]
    assert all(ID.fullmatch(identifier) for identifier in identifiers)
    assert len(set(identifiers)) == len(identifiers)


def test_the_embedded_registry_has_ids_too(gsq):
    connection = http.client.HTTPConnection("127.0.0.1", gsq.registry_port, timeout=60)
    connection.request("GET", "/v2/", headers={"X-Request-Id": "pull-1"})
    assert connection.getresponse().headers["X-Request-Id"] == "pull-1"
    connection.close()
    assert wait_for_line(gsq, id="pull-1")["route"] == "/v2/"


# ---- lines ----

@pytest.mark.parametrize("form", PARSERS)
def test_a_request_and_its_commit_are_a_line_each(tmp_path, form):
    with Gsq(tmp_path / "gsq", env={"LOG_FORMAT": form}) as gsq:
        body = {"name": "web", "spec": {"type": "vm", "size": "small"}}
        answer = gsq.post("/api/v1/resources?wait=applied", body, headers={"X-Request-Id": "create-web"})
        line = wait_for_line(gsq, PARSERS[form], id="create-web")
        number = int if form == "logfmt" else lambda value: value
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("ts"))
        assert float(line.pop("ms")) > 0
        assert number(line.pop("received")) > len(json.dumps(body))
        assert number(line.pop("bytes")) > len(answer.body)
        assert number(line.pop("status")) == 202
        assert line == {"level": "info", "msg": "request", "id": "create-web", "method": "POST",
                        "route": "/api/v1/resources", "path": "/api/v1/resources", "peer": "127.0.0.1"}
        commit = wait_for_line(gsq, PARSERS[form], msg="committed")
        assert number(commit["changes"]) == number(commit["resources"]) == 1
        assert f"v{number(commit['version'])}" >= answer.json["version"]


def test_probes_are_logged_only_when_they_fail(tmp_path):
    server = Gsq(tmp_path / "gsq", init=False)
    server.start(wait="/healthz")
    try:
        not_ready_reason(server)
        server.get("/metrics")
        server.get("/nowhere", headers={"X-Request-Id": "last"})
        assert wait_for_line(server, id="last")
        assert {(line["route"], line["status"]) for line in lines(server, msg="request")} == {
            ("/readyz", "503"), ("none", "404")}
    finally:
        server.stop()


@pytest.mark.parametrize("which, expected", [("on", {"200", "404"}), ("errors", {"404"}), ("off", set())])
def test_which_requests_are_logged_can_be_chosen(tmp_path, which, expected):
    with Gsq(tmp_path / "gsq", args=["--log-requests", which]) as gsq:
        gsq.get("/api/v1/resources")
        gsq.get("/nowhere")
        wait_for_count(gsq, 1, route="none")
        gsq.stop()
        assert {line["status"] for line in lines(gsq, msg="request") if line["route"] != "/readyz"} == expected
        assert lines(gsq, msg="stopping")


@pytest.mark.parametrize("flag, value", [("--log-format", "xml"), ("--log-requests", "some")])
def test_a_choice_that_there_is_not_is_wrong_usage(flag, value):
    run = subprocess.run([binary(), "serve", flag, value], capture_output=True, text=True, timeout=60)
    assert run.returncode == 2
    assert f'{flag}: "{value}" is not one of' in run.stderr


@pytest.mark.parametrize("form", PARSERS)
def test_nothing_that_a_client_sends_can_forge_a_line_or_a_field(tmp_path, form):
    path = rb'/a"b\c%0ats=1%20msg=forged=x,{"msg":"forged"}'
    with Gsq(tmp_path / "gsq", args=["--log-format", form]) as gsq:
        answer = send(gsq.port, b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n"
                                b'X-Request-Id: " msg=forged {"msg":"forged"}\\\r\n\r\n')
        assert answer.startswith(b"HTTP/1.1 404 ")
        send(gsq.port, b"F\"ORGED\nmsg=forged / HTTP/1.1\r\n\r\n")
        line = wait_for_line(gsq, PARSERS[form], id='" msg=forged {"msg":"forged"}\\')
        assert line["path"] == path.decode() and line["msg"] == "request"
        wait_for_count(gsq, 1, method="none", code="400")
        assert not lines(gsq, PARSERS[form], msg="forged")


def test_a_long_path_is_cut(gsq):
    path = "/" + 3000 * "x"
    gsq.get(path, headers={"X-Request-Id": "long"})
    assert wait_for_line(gsq, id="long")["path"] == path[:256]


@pytest.mark.concurrent
def test_lines_of_many_requests_at_once_are_whole(gsq):
    clients, each = 8, 200

    def run(client):
        connection = http.client.HTTPConnection("127.0.0.1", gsq.port, timeout=60)
        for i in range(each):
            connection.request("GET", "/api/v1/resources", headers={"X-Request-Id": f"{client}-{i}"})
            connection.getresponse().read()
        connection.close()

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(run, range(clients)))
    wait_until(lambda: len(lines(gsq, route="/api/v1/resources")) >= clients * each, "all lines")
    assert Counter(line["id"] for line in lines(gsq, route="/api/v1/resources")) == Counter(
        f"{client}-{i}" for client in range(clients) for i in range(each))
    wait_for_count(gsq, clients * each, route="/api/v1/resources", code="200")


# ---- secrets ----

SECRET = "correct-horse-battery"


def test_queries_and_headers_are_in_neither_log_nor_metrics(gsq):
    basic = base64.b64encode(f"ann:{SECRET}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Cookie": SECRET, "X-Request-Id": "with-secrets"}
    for path in (f"/api/v1/resources?token={SECRET}", f"/nowhere?token={SECRET}"):
        gsq.get(path, headers=headers)
    wait_until(lambda: len(lines(gsq, id="with-secrets")) == 2, "two lines")
    seen = gsq.log() + gsq.get("/metrics").body.decode()
    assert SECRET not in seen and basic not in seen


def test_requests_to_a_remote_registry_are_counted_by_outcome_and_its_password_is_told_to_nobody(tmp_path):
    basic = base64.b64encode(f"ann:{SECRET}".encode()).decode()
    turn = []

    def answer(request):
        if request.headers["Authorization"] != f"Basic {basic}":
            return 401, {"WWW-Authenticate": 'Basic realm="registry"'}, b""
        turn.append(request)
        if len(turn) == 1:
            return 503, {"Connection": "close"}, b""  # on a used connection curl would hide the next one
        if len(turn) == 2:
            raise ConnectionAbortedError("no answer")
        if len(turn) == 3:
            return 403, {}, SECRET.encode()
        return 404, {}, b""

    with StubRegistry(answer) as stub:
        (tmp_path / "config.json").write_text(json.dumps({"auths": {stub.host: {"auth": basic}}}))
        server = Gsq(tmp_path / "gsq", registry=f"http://{stub.host}", init=False,
                     env={"DOCKER_CONFIG": str(tmp_path), "no_proxy": "127.0.0.1"})
        server.start(wait="/healthz")
        try:
            def all_outcomes():
                found = metrics(server)
                for outcome in ("challenged", "transient", "lost", "refused", "ok"):
                    assert found.total("gsq_registry_requests_total", outcome=outcome) > 0, outcome
                return found
            found = wait_until(all_outcomes, lambda: server.get("/metrics").body.decode() + server.log())
            for labels in found.labels("gsq_registry_requests_total"):
                assert re.fullmatch(r"(GET|HEAD) (manifest|catalog)", dict(labels)["operation"]), labels
            assert server.get("/readyz").status == 503
            seen = server.log() + server.get("/metrics").body.decode()
            assert SECRET not in seen and basic not in seen
        finally:
            server.stop()
