# SPDX-License-Identifier: Apache-2.0
"""GET /openapi.json is valid, knows every route and no other, and says of each what the server does."""
import copy
import json
import re
import subprocess

import jsonschema
import pytest
import yaml

from tests.conftest import tools_or_skip
from tests.lib.controlplane import DEPLOY
from tests.lib.events import Events
from tests.lib.gsq import Gsq
from tests.lib.tokens import create_token
from tests.lib.tools import MissingTool, tools_dir
from tests.system.resources import declare, intent
from tests.system.test_authorization import ROUTES

ANY = {"Authorization": None}
PATCH = {"Content-Type": "application/merge-patch+json"}
YAML = {"Content-Type": "application/yaml"}
SPEC = {"spec": {"type": "vm", "size": "small"}}
NO_PARAMETERS = {"getHealth", "getReady", "getMetrics"}  # they pass over any


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    gsq = Gsq(tmp_path_factory.mktemp("openapi") / "gsq", anonymous=None)
    gsq.token = create_token(gsq, "openapi", "admin", "*")
    with gsq:
        yield gsq


@pytest.fixture(scope="module")
def document(server):
    answer = server.get("/openapi.json", headers=ANY)
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    return answer.json


def operations(document):
    """(METHOD, path, operation)"""
    return [(method.upper(), path, operation) for path, methods in document["paths"].items()
            for method, operation in methods.items()]


def resolve(document, item):
    while "$ref" in item:
        part = document
        for key in item["$ref"].removeprefix("#/").split("/"):
            part = part[key]
        item = part
    return item


def test_it_is_valid_openapi_3_1(document, tmp_path):
    validator = tools_dir() / "schemathesis" / "bin" / "openapi-spec-validator"
    with tools_or_skip():
        if not validator.exists():
            raise MissingTool("schemathesis is not built: run tests/tools/build")
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document))
    done = subprocess.run([validator, "--errors", "all", path], capture_output=True, text=True, check=False, timeout=120)
    assert document["openapi"].startswith("3.1.")
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_has_every_route_and_no_other(document):
    described = {(method, path) for method, path, _ in operations(document)}
    assert described == {(route.method, route.path) for route in ROUTES}


def test_operations_have_names_of_their_own(document):
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))


def test_only_routes_that_ask_nobody_are_said_to_need_no_credential(document):
    assert {scheme["scheme"] for scheme in document["components"]["securitySchemes"].values()} == {"bearer", "basic"}
    unasked = {(method, path) for method, path, operation in operations(document) if operation.get("security") == []}
    assert unasked == {(route.method, route.path) for route in ROUTES if not route.action}
    assert document["security"] == [{"bearer": []}, {"basic": []}]


def test_every_variable_of_a_path_is_a_parameter(document):
    for method, path, operation in operations(document):
        parameters = [resolve(document, parameter) for parameter in operation["parameters"]]
        names = [parameter["name"] for parameter in parameters if parameter["in"] == "path"]
        assert names == re.findall(r"\{(\w+)\}", path), (method, path)


def test_parameters_are_those_that_the_handlers_read(server, document):
    """Each of them says what it takes when it is given another."""
    for method, path, operation in operations(document):
        if operation["operationId"] in NO_PARAMETERS:
            continue
        answer = server.request(method, f"{filled(path)}?zzzzzzzz=1")
        assert answer.status == 400, (method, path, answer.body)
        said = re.search(r"takes (?:no parameters|the parameters? (.*)), not", answer.json["error"])
        assert said, answer.json
        takes = set(re.split(r", | and ", said.group(1) or "")) - {""}
        if "{namespace}" in path:
            takes.discard("namespace")  # that of the path, or refused
        parameters = [resolve(document, parameter) for parameter in operation["parameters"]]
        assert {each["name"] for each in parameters if each["in"] == "query"} == takes, (method, path)


def filled(path, name="web", revision="c1", range_="c1..c2"):
    return path.format(namespace="default", name=name, revision=revision, range=range_)


# ---- answers ----

def closed(schema):
    """What is not said of an object is not in it."""
    if isinstance(schema, dict):
        schema = {key: closed(value) for key, value in schema.items()}
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return [closed(item) for item in schema] if isinstance(schema, list) else schema


class Answers:
    """Holds what a server answers to the description."""

    def __init__(self, server, document):
        self.server, self.document, self.seen = server, document, set()
        self.components = closed(copy.deepcopy(document["components"]))

    def ask(self, method, path, status, body=None, headers=None, where=None):
        """path is that of the table; where is that of the request, with its query."""
        answer = self.server.request(method, where or filled(path), body, headers=headers)
        assert answer.status == status, (method, path, answer.body)
        self.check(method, path, answer)
        return answer

    def begin_stream(self, path):
        """It has no end, so only its head is looked at."""
        credential = {"Authorization": f"Bearer {self.server.token}"}
        with Events(self.server, filled(path), headers=credential) as events:
            operation = self.document["paths"][path]["get"]
            self.seen.add(operation["operationId"])
            assert list(operation["responses"]["200"]["content"]) == [events.answer.headers.get_content_type()]

    def check(self, method, path, answer):
        operation = self.document["paths"][path][method.lower()]
        self.seen.add(operation["operationId"])
        assert str(answer.status) in operation["responses"], (method, path, answer.status)
        response = resolve(self.document, operation["responses"][str(answer.status)])
        for name, header in response["headers"].items():
            assert not header["required"] or name in answer.headers, (method, path, name)
        media = answer.headers.get_content_type()
        schema = response["content"][media]["schema"]
        if media == "application/json":
            jsonschema.Draft202012Validator({**schema, "components": self.components}).validate(answer.json)


def test_answers_are_as_described(server, document):
    answers = Answers(server, document)
    ask = answers.ask
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/api/v1/layout", "/api/v1/freeze"):
        ask("GET", path, 200)
    for base in ("/api/v1/", "/api/v1/namespaces/{namespace}/"):
        ask_about_resources(server, ask, base)
        ask_about_history(ask, base)
        answers.begin_stream(f"{base}watch")
    ask("PUT", "/api/v1/layout", 422, {"layout": "split", "catalogs": 2})
    ask("PUT", "/api/v1/freeze", 200, {"reason": "a test"})
    ask("POST", "/api/v1/resources", 503, intent("late"))
    ask("GET", "/api/v1/freeze", 200)
    ask("DELETE", "/api/v1/freeze", 200)
    assert answers.seen == {operation["operationId"] for _, _, operation in operations(document)}


def ask_about_resources(server, ask, base):
    resources, resource = f"{base}resources", f"{base}resources/{{name}}"
    server.delete("/api/v1/resources/web")
    dry = filled(resources) + "?dryRun=true"
    ask("POST", resources, 201, intent("web"), where=dry)
    ask("POST", resources, 201, intent("web", {"team": "shop"}, region="eu-1"))
    ask("POST", resources, 200, intent("web"), where=dry)
    ask("POST", resources, 202, intent("web"), where=filled(resources) + "?wait=applied&timeout=10ms")
    ask("POST", resources, 400, "{")
    ask("POST", resources, 401, intent("web"), headers=ANY)
    ask("POST", resources, 412, intent("web"), headers={"If-None-Match": "*"})
    ask("POST", resources, 415, intent("web"), headers={"Content-Type": "text/plain"})
    ask("GET", resources, 200)
    ask("GET", resources, 400, where=filled(resources) + "?limit=many")
    ask("GET", resource, 200)
    ask("GET", resource, 404, where=filled(resource, "missing"))
    ask("GET", f"{resource}/status", 200)
    ask("PUT", resource, 200, SPEC)
    ask("PUT", resource, 412, SPEC, headers={"If-Match": '"v1"'})
    ask("PATCH", resource, 200, {"spec": {"replicas": 3}}, headers=PATCH)
    ask("PATCH", resource, 404, {}, headers=PATCH, where=filled(resource, "missing"))
    ask("DELETE", resource, 200, where=filled(resource) + "?dryRun=true")
    changes = {"changes": [{"resource": intent("db")}, {"operation": "delete", "name": "web"}]}
    ask("POST", f"{base}changes", 200, changes, where=filled(f"{base}changes") + "?dryRun=true")
    ask("POST", f"{base}changes", 200, changes)
    ask("POST", f"{base}changes", 400, {"changes": [{"resource": {"name": "db"}}]})
    ask("POST", f"{base}changes", 200, "name: web\nspec: {type: vm, size: large}\n", headers=YAML)
    ask("DELETE", resource, 200)
    ask("DELETE", resource, 404)


def ask_about_history(ask, base):
    history, rollback = f"{base}resources/{{name}}/history", f"{base}resources/{{name}}/rollback"
    version = ask("GET", history, 200).json["history"][1]["version"]
    ask("GET", history, 200, where=filled(history) + "?limit=1")
    ask("GET", history, 404, where=filled(history, "missing"))
    ask("POST", rollback, 200, {"to": version}, where=filled(rollback) + "?dryRun=true")
    ask("POST", rollback, 200, {"to": version})
    ask("POST", rollback, 404, {"to": "v1"})
    commits = [commit["revision"] for commit in ask("GET", f"{base}revisions", 200).json["revisions"]]
    last, before = commits[:2]
    for path in (f"{base}revisions/{{revision}}", f"{base}revisions/{{revision}}/resources"):
        ask("GET", path, 200, where=filled(path, revision=last))
        ask("GET", path, 404)
    ask("GET", f"{base}diff/{{range}}", 200, where=filled(f"{base}diff/{{range}}", range_=f"{before}..{last}"))
    ask("GET", f"{base}diff/{{range}}", 404)
    ask("POST", f"{base}rollback", 200, {"to": before}, where=filled(f"{base}rollback") + "?dryRun=true")
    ask("POST", f"{base}rollback", 200, {"to": before})
    ask("POST", f"{base}rollback", 404, {"to": "c1"})


def test_an_answer_with_a_member_that_is_not_described_is_noticed(server, document):
    """The test above can fail."""
    answers = Answers(server, document)
    answer = server.get("/api/v1/freeze")
    answers.check("GET", "/api/v1/freeze", answer)
    with pytest.raises(jsonschema.ValidationError):
        answers.check("GET", "/api/v1/freeze", answer._replace(json={**answer.json, "thawed": True}))


def test_what_is_declared_is_what_is_described(server, document):
    """A spec that the description allows is taken, and one that it forbids is not."""
    validator = jsonschema.Draft202012Validator(document["components"]["schemas"]["Spec"])
    rights = ({"replicas": 1}, {"replicas": 10}, {"region": ""}, {"region": "x" * 256}, {"region": "Zürich 中"}, {})
    wrongs = ({"replicas": 0}, {"replicas": 11}, {"region": "x" * 257}, {"region": "a\nb"}, {"region": "\u2028"},
              {"type": "vmm"}, {"size": ""}, {"zone": "a"}, {"replicas": None})
    for spec in rights:
        assert validator.is_valid(intent("fits", **spec)["spec"]), spec
        declare(server, "fits", **spec)
    for spec in wrongs:
        assert not validator.is_valid(intent("fits", **spec)["spec"]), spec
        assert server.post("/api/v1/resources", intent("fits", **spec)).status == 400, spec


# ---- the CRD ----

def test_the_crd_says_the_same_of_a_spec(document):
    """It may accept more, never less: one object that it refuses stops the whole catalog."""
    crd = yaml.safe_load((DEPLOY / "crd" / "platformresource.yaml").read_text())["spec"]
    (version,) = crd["versions"]
    theirs = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schemas = document["components"]["schemas"]
    ours = schemas["Spec"]
    assert schemas["ApiVersion"]["enum"] == [f"{crd['group']}/{version['name']}"]
    assert schemas["Kind"]["enum"] == [crd["names"]["kind"]]
    assert theirs["type"] == ours["type"]
    assert set(theirs["required"]) == set(ours["required"])
    assert set(theirs["properties"]) == set(ours["properties"])
    for name, field in ours["properties"].items():
        said = {key: value for key, value in field.items() if key not in ("description", "pattern")}
        assert {key: value for key, value in theirs["properties"][name].items() if key != "description"} == said, name
