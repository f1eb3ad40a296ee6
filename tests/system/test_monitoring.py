# SPDX-License-Identifier: Apache-2.0
"""deploy/monitoring: whatever the alerts and the dashboard ask for is told by a server, and Prometheus can read it."""
import json
import re
import shutil
import subprocess

import pytest
import yaml

from tests.lib.controlplane import DEPLOY
from tests.system.resources import declare

MONITORING = DEPLOY / "monitoring"
METRIC = re.compile(r"\b(?:gsq|process)_[a-z_]+")


def types_of(text):
    """{metric: its type}, as a server tells it."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))


def labels_of(expression):
    """Names of labels that an expression filters by or sums by."""
    filtered = re.findall(r"\b([a-z_]+)(?:=|!=|=~|!~)\"", expression)
    summed = [name for names in re.findall(r"\b(?:by|on) ?\(([^)]*)\)", expression) for name in names.split(",")]
    return {name.strip() for name in (*filtered, *summed)}


@pytest.fixture(scope="module")
def expressions():
    """{where: expression}"""
    rules = yaml.safe_load((MONITORING / "rules.yaml").read_text())
    found = {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            found[f"{panel['title']}, {target['refId']}"] = target["expr"]
    return found


def promtool(*args, stdin=None):
    if not shutil.which("promtool"):
        pytest.skip("promtool is missing: run scripts/packages test")
    return subprocess.run(["promtool", *map(str, args)], input=stdin, capture_output=True, text=True, check=False)


def test_every_metric_that_is_asked_for_is_told(gsq, expressions):
    told = types_of(gsq.get("/metrics").body.decode())
    for where, expression in expressions.items():
        for name in METRIC.findall(expression):
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            kind = told.get(name) or told.get(family)
            assert kind, f"{where}: there is no {name}"
            assert (name == family) == (kind != "histogram"), f"{where}: {name} is a {kind}"


def test_every_label_that_is_asked_for_is_told(gsq, expressions):
    declare(gsq, "web")
    samples = gsq.get("/metrics").body.decode()
    told = set(re.findall(r"[{,]([a-z_]+)=\"", samples)) | {"job", "instance", "le", "outcome", "phase", "code"}
    for where, expression in expressions.items():
        assert labels_of(expression) <= told, where


def test_counters_are_asked_for_their_growth_only(expressions):
    """The value of a counter alone says nothing: it begins at 0 with each start."""
    for where, expression in expressions.items():
        for name in re.findall(r"\b(?:gsq|process)_[a-z_]+_total", expression):
            assert re.search(rf"\b(rate|increase)\({name}", expression), where


def test_promtool_reads_all_expressions(tmp_path, expressions):
    """Those of the dashboard too, with Grafana's variables filled in."""
    rules = [{"record": f"test:expression:{number}",
              "expr": expression.replace("$__rate_interval", "5m").replace("$instance", ".*")}
             for number, expression in enumerate(expressions.values())]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    checked = promtool("check", "rules", tmp_path / "rules.yaml")
    assert checked.returncode == 0, checked.stderr


def test_prometheus_has_nothing_to_object_to_in_the_metrics(gsq):
    declare(gsq, "web")
    checked = promtool("check", "metrics", stdin=gsq.get("/metrics").body.decode())
    assert checked.returncode == 0 and not checked.stderr.strip(), checked.stdout + checked.stderr


def test_every_alert_has_a_test_that_it_fires_and_says_what_to_do():
    rules = yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"][0]["rules"]
    tests = yaml.safe_load((MONITORING / "rules-test.yaml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    silent = {case["alertname"] for case in tests[0]["alert_rule_test"]}
    assert fired == silent == {rule["alert"] for rule in rules}
    for rule in rules:
        assert rule["annotations"]["summary"] and rule["annotations"]["description"], rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]


def test_panels_do_not_overlap():
    taken = {}
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]
