# SPDX-License-Identifier: Apache-2.0
"""Declaring resources, and the two places where they must look the same: the API and the catalog."""
import yaml

from tests.lib.oci import sha256
from tests.lib.wait import wait_until

ANNOTATION_VERSION = "gitops-squared.io/version"


def path(namespace="default", name=None):
    collection = "/api/v1/resources" if namespace == "default" else f"/api/v1/namespaces/{namespace}/resources"
    return f"{collection}/{name}" if name else collection


def intent(name, labels=None, **spec):
    body = {"name": name, "spec": {"type": "vm", "size": "small", **spec}}
    return body if labels is None else {**body, "labels": labels}


def declare(server, name, namespace="default", labels=None, **spec):
    """Creates or updates, and returns the object that the server answers."""
    answer = server.post(path(namespace), intent(name, labels, **spec))
    assert answer.status in (200, 201), answer.body
    return answer.json


def in_list(answer, phase="unknown"):
    """What a list has of a resource: what was answered to its declaration, and its phase."""
    return {**answer, "status": {"phase": phase}}


def without_status(item):
    """The resource as its declaration was answered."""
    return {key: value for key, value in item.items() if key != "status"}


def remove(server, name, namespace="default"):
    answer = server.delete(path(namespace, name))
    assert answer.status == 200, answer.body
    return answer.json


def listed(server, namespace="default"):
    """{name: object} as the API lists it, each as its declaration was answered."""
    answer = server.get(path(namespace))
    assert answer.status == 200, answer.body
    assert answer.json["count"] == len(answer.json["resources"])
    return {item["name"]: without_status(item) for item in answer.json["resources"]}


def try_again_until_done(server, method, where, body=None):
    """The same request again until it is not 503 any more; returns that answer."""
    def attempt():
        answer = server.request(method, where, body)
        assert answer.status != 503, answer.body
        return answer
    return wait_until(attempt, f"{method} {where}")


def wait_ready(server):
    server.process.wait_for_url(f"http://127.0.0.1:{server.port}/readyz")


def not_ready_reason(server):
    """Why /readyz says 503, once the registry has been asked."""
    def reason():
        answer = server.get("/readyz")
        assert answer.status == 503, answer.body
        assert int(answer.headers["Retry-After"]) >= 1
        return answer.json["error"] != "reading the registry" and answer.json["error"]
    return wait_until(reason, "a reason")


def assert_503(answer):
    assert answer.status == 503, (answer.status, answer.body)
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json["error"] and answer.json["code"], answer.body


def is_later(version, than):
    return int(version.removeprefix("v")) > int(than.removeprefix("v"))


def assert_whole(server, oci, namespaces=("default",)):
    """What the API lists, what the catalog holds and what the artifacts store is the same, byte for byte, and the
    last record names that catalog."""
    resources = [item for namespace in namespaces for item in listed(server, namespace).values()]
    files = oci.catalog()
    assert oci.record()["catalogs"] == [
        {"repository": "gitops-squared/catalog", "digest": oci.digest("gitops-squared/catalog", "latest")}]
    kustomization = yaml.safe_load(files.pop("manifests/kustomization.yaml"))
    assert [f"manifests/{file}" for file in kustomization["resources"]] == list(files)
    assert len(files) == len(resources)
    in_catalog = {(m["metadata"]["namespace"], m["metadata"]["name"]): (m, content)
                  for m, content in ((yaml.safe_load(content), content) for content in files.values())}
    for item in resources:
        manifest, content = in_catalog[item["namespace"], item["name"]]
        assert manifest["metadata"]["annotations"][ANNOTATION_VERSION] == item["version"]
        assert manifest["spec"] == item["spec"]
        artifact = oci.manifest(item["repository"], item["version"])
        assert artifact.digest == item["digest"] == oci.digest(item["repository"], "latest")
        assert artifact.json["layers"][0]["digest"] == sha256(content)
