# SPDX-License-Identifier: Apache-2.0
"""Namespaces come and go: an object in one that is not there would stop Flux from applying all the others."""
import itertools

import pytest

from tests.e2e.chain import chain
from tests.lib.gsq import resource_path
from tests.lib.oci import Oci
from tests.lib.wait import wait_until

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def made(control_plane, tmp_path_factory):
    with chain(control_plane, tmp_path_factory.mktemp("namespaces")) as started:
        yield started


@pytest.fixture
def namespace(made):
    """One of its own for each test, which is gone at the end."""
    name = f"guest-{next(NUMBERS)}"
    made.cluster.create_namespace(name)
    yield name
    if name in made_namespaces(made):
        made.cluster.kubectl("-n", name, "delete", "platformresources", "--all")
        if made_namespaces(made)[name] == "Active":
            made.cluster.delete_namespace(name)
        made.cluster.remove_namespace(name)


def made_namespaces(made):
    """{name: phase}"""
    return {name: item["status"]["phase"] for (_, name), item in made.kube.items("/api/v1/namespaces").items()}


def in_catalog(made, namespace):
    """Files that Flux would apply."""
    return [name for name in Oci(made.server.registry_host).catalog() if name.startswith(f"manifests/{namespace}/")]


def post_when_seen(made, name, namespace, status):
    """The answer, once the server has seen the namespace as it is now."""
    def answered():
        answer = made.post(name, namespace)
        assert answer.status == status, answer.body
        return answer
    return wait_until(answered, f"{status} in {namespace}")


def test_one_that_the_cluster_has_need_not_be_listed(made, namespace):
    version = post_when_seen(made, "web", namespace, 201).json["version"]
    made.wait_object("web", version, namespace)


def test_one_that_is_not_there_is_refused_until_it_is(made):
    answer = made.post("web", "not-yet")
    assert (answer.status, answer.json["field"]) == (422, "namespace"), answer.body
    assert "not-yet" in answer.json["error"]
    made.cluster.create_namespace("not-yet")
    try:
        version = post_when_seen(made, "web", "not-yet", 201).json["version"]
        made.wait_object("web", version, "not-yet")
        made.remove("web", "not-yet", "?wait=applied&timeout=120s")
    finally:
        made.cluster.delete_namespace("not-yet")
        made.cluster.remove_namespace("not-yet")


def test_one_that_goes_away_stops_nobody_and_comes_back_as_it_was(made, namespace):
    version = post_when_seen(made, "web", namespace, 201).json["version"]
    made.wait_object("web", version, namespace)
    # Something else's finalizer keeps it Terminating: there is no kube-controller-manager here that would end it.
    made.cluster.delete_namespace(namespace)

    refused = post_when_seen(made, "too-late", namespace, 422)
    assert "being deleted" in refused.json["error"]
    wait_until(lambda: not in_catalog(made, namespace), "its resources to leave what Flux applies")
    status = made.wait_reason("NamespaceMissing", "web", namespace)
    assert namespace in status["message"]
    assert made.resource("web", namespace)["version"] == version
    assert made.declare_applied("bystander") == made.versions()["default", "bystander"]

    made.cluster.kubectl("-n", namespace, "delete", "platformresources", "--all")
    made.cluster.remove_namespace(namespace)
    wait_until(lambda: namespace not in made_namespaces(made), "the namespace to be gone")
    made.server.restart()
    made.wait_writable()
    assert not in_catalog(made, namespace)
    assert made.resource("web", namespace)["version"] == version
    assert made.declare_applied("bystander", replicas=2)

    made.cluster.create_namespace(namespace)
    made.wait_phase("applied", "web", namespace, version)
    assert made.versions()[namespace, "web"] == version


def test_what_is_held_with_its_namespace_can_be_deleted(made, namespace):
    post_when_seen(made, "held", namespace, 201)
    made.wait_phase("applied", "held", namespace)
    made.cluster.delete_namespace(namespace)
    wait_until(lambda: not in_catalog(made, namespace), "its resources to leave what Flux applies")
    made.remove("held", namespace)
    assert made.server.get(resource_path(namespace, "held")).status == 404
    assert made.declare_applied("bystander", region=namespace)
