# SPDX-License-Identifier: Apache-2.0
"""POST and PUT take a resource as a Kubernetes object, too: what kubectl get -o json shows."""
import pytest

from tests.lib.gsq import Gsq
from tests.system.resources import path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gsq(tmp_path_factory.mktemp("gsq"), namespaces=("default", "team-a")) as server:
        yield server


def manifest(**metadata):
    return {
        "apiVersion": "gitops-squared.io/v1alpha1",
        "kind": "PlatformResource",
        "metadata": metadata,
        "spec": {"type": "vm", "size": "small"},
    }


def test_an_object_is_the_same_intent_as_the_short_form(server):
    assert server.post(path(), manifest(name="web", labels={"team": "shop"})).status == 201
    short = {"name": "web", "labels": {"team": "shop"}, "spec": {"type": "vm", "size": "small"}}
    first = server.get(path(name="web")).json
    answer = server.post(path(), short)
    assert answer.status == 200
    assert answer.json["version"] == first["version"]


def test_an_object_as_the_cluster_has_it_is_taken_and_changes_nothing(server):
    server.post(path(), manifest(name="db"))
    version = server.get(path(name="db")).json["version"]
    found = manifest(
        name="db",
        namespace="default",
        uid="0b0c",
        resourceVersion="17",
        generation=2,
        creationTimestamp="2026-11-28T19:12:33Z",
        managedFields=[{"manager": "kustomize-controller"}],
        annotations={"gitops-squared.io/version": version, "kustomize.toolkit.fluxcd.io/substitute": "disabled"},
        labels={"app.kubernetes.io/managed-by": "gitops-squared", "kustomize.toolkit.fluxcd.io/name": "gsq"},
    )
    found["status"] = {"state": "Running"}
    answer = server.put(path(name="db"), found)
    assert answer.status == 200
    assert answer.json["version"] == version


@pytest.mark.parametrize("metadata, field", [
    ({"name": "x", "namespace": "team-a"}, "metadata.namespace"),
    ({"name": "X"}, "metadata.name"),
    ({"name": "x", "labels": {"a b": "c"}}, "metadata.labels"),
    ({"name": "x", "annotations": {"example.com/a": "b"}}, "metadata.annotations"),
    ({"name": "x", "finalizers": []}, "metadata.finalizers"),
])
def test_errors_name_the_field_in_metadata(server, metadata, field):
    answer = server.post(path(), manifest(**metadata))
    assert answer.status == 400
    assert answer.json["field"] == field


def test_a_namespace_in_it_must_be_that_of_the_path(server):
    where = path("team-a")
    assert server.post(where, manifest(name="x", namespace="team-a")).status == 201
    assert "must be team-a" in server.post(where, manifest(name="x", namespace="default")).json["error"]


def test_a_name_in_it_must_be_that_of_the_path(server):
    answer = server.put(path(name="web"), manifest(name="db"))
    assert answer.status == 400
    assert answer.json["field"] == "metadata.name"


def test_of_other_kinds_is_said_that_none_are_taken(server):
    answer = server.post(path(), {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {}})
    assert answer.status == 400
    assert answer.json["field"] == "kind"
    assert "only PlatformResources are taken" in answer.json["error"]
