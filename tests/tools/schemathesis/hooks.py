# SPDX-License-Identifier: Apache-2.0
"""What schemathesis must know of the API that a description has no words for; loaded by schemathesis itself.

Only requests that are right in all that the description says are changed here: those that are wrong on purpose stay so.
"""
import itertools
import os

import requests.adapters
import schemathesis
import yaml

BYTES_MAX = {"region": 256, "reason": 1000}  # of UTF-8; maxLength counts characters

answered = set()
revisions = []
turns = itertools.count()
sources = itertools.count(2)


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or case.meta.generation.mode.is_negative:
        return
    if revisions and case.path_parameters:
        use_revisions(case.path_parameters)
    if case.query:
        say_what_goes_together(case)
    if case.headers and "If-Match" in case.headers:
        case.headers["If-Match"] = entity_tag(case.headers["If-Match"])
    if isinstance(case.body, dict):
        case.body = readable(case.body)
        if case.operation.path.endswith("/changes") and case.media_type == "application/json":
            ask_for_something(case.body)
        stay_on_the_path(case.body, case.path_parameters or {})


@schemathesis.hook
def after_call(context, case, response):
    """Where a page begins, and which commits there are, only an answer knows."""
    if response.status_code == 200 and "json" in response.headers.get("content-type", [""])[0]:
        answer = response.json()
        if isinstance(answer, dict) and "continue" in answer:
            answered.add((list_of(case), answer["continue"]))
        if isinstance(answer, dict) and "revisions" in answer:
            revisions.extend(revision["revision"] for revision in answer["revisions"])


def list_of(case):
    return case.formatted_path, (case.query or {}).get("namespace")


def use_revisions(path):
    """Every other time one that is there."""
    turn = next(turns)
    if turn % 2:
        return
    one, another = (revisions[turn // n % len(revisions)] for n in (2, 3))
    if "revision" in path:
        path["revision"] = one
    if "range" in path:
        path["range"] = f"{one}..{another}"


def say_what_goes_together(case):
    """timeout is that of wait, and a dry run has nothing to wait for; nor does it make what a later step could find."""
    query = case.query
    if "timeout" in query:
        query["wait"] = "applied"
    if "wait" in query or case.meta.phase.name.value == "stateful":
        query.pop("dryRun", None)
    if (list_of(case), query.get("continue")) not in answered:
        query.pop("continue", None)


def entity_tag(value):
    """It generates no headers with quotes in them."""
    return value if value == "*" or value.endswith('"') else f'"{value}"'


def readable(value):
    """1.0 is an integer to JSON Schema, and none here, where numbers are written in digits only."""
    if isinstance(value, dict):
        return {key: in_bytes(readable(item), BYTES_MAX.get(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [readable(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def in_bytes(text, most):
    return text.encode()[:most].decode(errors="ignore") if isinstance(text, str) and most else text


def stay_on_the_path(body, path):
    """A body names the same namespace and name as its path."""
    places = [place_of(change) for change in body.get("changes", [body])]
    for place in places:
        if "namespace" in place:
            place["namespace"] = path.get("namespace", "default")
        if "name" in place and "name" in path:
            place["name"] = path["name"]
    if "prune" in body and "namespace" in path:
        body["prune"]["namespaces"] = [path["namespace"]]


def ask_for_something(body):
    """Each resource once; without any, and nothing to prune, it is no change; what is new has no version yet."""
    changes = {place_of(change)["name"]: change for change in body.get("changes", [])}
    body["changes"] = list(changes.values())
    for change in body["changes"]:
        if change.get("operation") == "create":
            change.pop("ifMatch", None)
    if not body["changes"]:
        body.setdefault("prune", {"namespaces": ["default"]})


def place_of(change):
    """Where its name and namespace are."""
    resource = change.get("resource", change)
    return resource.get("metadata", resource)


class Dumper(yaml.SafeDumper):
    """Quotes all text: some readers of YAML take n for false, and others for a name, so here it is refused."""

    def ignore_aliases(self, data):
        return True


Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


@schemathesis.serializer("text/yaml", "application/yaml")
def serialize_yaml(context, value):
    return value if isinstance(value, bytes) else yaml.dump(value, Dumper=Dumper, width=float("inf")).encode()


class Adapter(requests.adapters.HTTPAdapter):
    """Writes a space in a query as %20, as + stands for itself.

    Of one address so many wrong credentials are taken, and then none for a while. ignored_auth tries more, and wants
    each of them refused for what it is: so a request with a wrong one comes from an address of its own.
    """

    def send(self, request, **kwargs):
        request.url = request.url.replace("+", "%20")
        if request.headers.get("Authorization") in (None, os.environ["GSQ_AUTHORIZATION"]):
            return super().send(request, **kwargs)
        n = next(sources)
        other = requests.adapters.HTTPAdapter()
        other.init_poolmanager(1, 1, source_address=(f"127.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", 0))
        try:
            return other.send(request, **kwargs)
        finally:
            other.close()


requests.sessions.HTTPAdapter = Adapter
