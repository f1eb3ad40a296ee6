# SPDX-License-Identifier: Apache-2.0
"""The whole chain on real parts: what is POSTed appears in Kubernetes through Flux, and is pruned when deleted."""
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import tools_or_skip
from tests.lib.catalog import catalog_digest
from tests.lib.distribution import Distribution
from tests.lib.gsq import Gsq
from tests.lib.wait import wait_until

NAMESPACES = ["default", "team-a", "a", "a-b"]

REGIONS = [
    "us-east-1", "", " ", " padded ", "it's \"quoted\"", "back\\slash", "yes", "no", "on", "null", "~", "true",
    "0o7", "0x1f", "012", "1e3", "1_000", ".5", ".inf", "12:30:45", "2024-01-01", "<<", "=", "-", "--- a", "- a", "? a",
    "a: b", "a:", "a #b", "#a", "*a", "&a", "!a", "%a", "@a", "`a", "|", ">-", "[a]", "{a: b}", "a,b", "${HOME}",
    "$(HOME)", "{{ .Name }}", "Zürich", "東京", "🌍", "e\u0301", "a\u00a0b", "\u200bzero-width", "\u202eright-to-left",
    "é" * 128,
]

NAMES = [
    "null", "yes", "no", "on", "y", "true", "1e3", "0x1f", "0o7", "123", "012", "1-2", "2024-01-01", "a--b",
    "kustomization", "x" * 63,
]


class Chain:
    """A server, the registry it writes to, and the cluster whose Flux reads from there."""

    def __init__(self, server, registry_url, cluster):
        self.server = server
        self.registry_url = registry_url
        self.cluster = cluster

    def declare(self, name, namespace="default", labels=None, **spec):
        body = {"name": name, "spec": {"type": "vm", "size": "small", **spec}}
        if labels is not None:
            body["labels"] = labels
        answer = self.server.post(path(namespace), body)
        assert answer.status in (200, 201), answer.body
        return answer.json

    def remove(self, name, namespace="default"):
        answer = self.server.delete(path(namespace, name))
        assert answer.status == 200, answer.body
        assert answer.json["deleted"] is True
        return answer.json

    def declare_all(self, resources):
        """(name, namespace, spec) of each; many at a time, as each alone is a commit."""
        at_once(lambda resource: self.declare(resource[0], resource[1], **resource[2]), resources)

    def settle(self):
        """Returns when Flux has applied the catalog that the registry has now."""
        digest = catalog_digest(self.registry_url)
        self.cluster.wake_flux()
        wait_until(lambda: self.cluster.applied_revision() == digest,
                   lambda: f"Flux to apply {digest}:\n{self.cluster.flux_conditions()}")

    def objects(self):
        """{(namespace, name): object} of the cluster."""
        items = self.cluster.kubectl_json("get", "platformresources", "--all-namespaces")["items"]
        return {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in items}


def at_once(call, items):
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(call, items))


def path(namespace, name=None):
    collection = "/api/v1/resources" if namespace == "default" else f"/api/v1/namespaces/{namespace}/resources"
    return f"{collection}/{name}" if name else collection


def identity(item):
    """What changes when Kubernetes has touched an object."""
    return [item["metadata"][key] for key in ("uid", "resourceVersion", "generation")]


@pytest.fixture(scope="module", params=["embedded", "distribution"])
def chain(request, tmp_path_factory, control_plane):
    folder = tmp_path_factory.mktemp(request.param)
    distribution = None
    if request.param == "distribution":
        distribution = Distribution(folder / "distribution")
        with tools_or_skip():
            distribution.start()
    server = Gsq(folder / "gsq", registry=distribution and distribution.host, namespaces=NAMESPACES)
    registry_host = distribution.host if distribution else server.registry_host
    for namespace in NAMESPACES:
        control_plane.create_namespace(namespace)
    server.start()
    control_plane.connect_flux(registry_host)
    yield Chain(server, f"http://{registry_host}", control_plane)
    control_plane.disconnect_flux()
    server.stop()
    if distribution:
        distribution.stop()


def test_created_resources_appear(chain):
    web = chain.declare("web-server", type="vm", size="medium", region="us-east-1", replicas=2,
                        labels={"team": "shop"})
    chain.declare("app-db", type="database", size="large")
    chain.settle()
    objects = chain.objects()
    assert objects["default", "web-server"]["spec"] == {
        "type": "vm", "size": "medium", "region": "us-east-1", "replicas": 2}
    assert objects["default", "app-db"]["spec"] == {"type": "database", "size": "large", "replicas": 1}
    metadata = objects["default", "web-server"]["metadata"]
    assert metadata["labels"]["app.kubernetes.io/managed-by"] == "gitops-squared"
    assert metadata["labels"]["team"] == "shop"
    assert metadata["annotations"]["gitops-squared.io/version"] == web["version"]


def test_update_is_applied(chain):
    chain.declare("updated", size="small")
    chain.settle()
    before = chain.objects()["default", "updated"]
    version = chain.declare("updated", size="large", replicas=5)["version"]
    chain.settle()
    after = chain.objects()["default", "updated"]
    assert after["spec"] == {"type": "vm", "size": "large", "replicas": 5}
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["annotations"]["gitops-squared.io/version"] == version


def test_deleted_resource_is_pruned_and_others_stay(chain):
    chain.declare("doomed")
    chain.declare("survivor")
    chain.settle()
    before = chain.objects()
    assert ("default", "doomed") in before
    chain.remove("doomed")
    chain.settle()
    after = chain.objects()
    assert before.keys() - after.keys() == {("default", "doomed")}
    assert {key: identity(item) for key, item in after.items()} == {key: identity(before[key]) for key in after}


def test_restart_changes_nothing(chain):
    chain.declare("lasting", region="eu-west-1")
    chain.settle()
    objects, digest = chain.objects(), catalog_digest(chain.registry_url)
    listed = chain.server.get(path("default")).json
    chain.server.restart()
    chain.cluster.reconcile()
    assert catalog_digest(chain.registry_url) == digest
    assert chain.server.get(path("default")).json == listed
    assert {key: identity(item) for key, item in chain.objects().items()} == {
        key: identity(item) for key, item in objects.items()}


def test_equal_intent_changes_nothing(chain):
    first = chain.declare("repeated", replicas=3)
    chain.settle()
    before, digest = chain.objects()["default", "repeated"], catalog_digest(chain.registry_url)
    assert chain.declare("repeated", replicas=3)["version"] == first["version"]
    chain.cluster.reconcile()
    assert catalog_digest(chain.registry_url) == digest
    assert identity(chain.objects()["default", "repeated"]) == identity(before)


def test_regions_are_read_back_unchanged(chain):
    chain.declare_all((f"region-{i}", "default", {"region": region}) for i, region in enumerate(REGIONS))
    chain.settle()
    objects = chain.objects()
    assert [objects["default", f"region-{i}"]["spec"].get("region") for i in range(len(REGIONS))] == REGIONS


def test_names_that_yaml_or_kustomize_might_misread(chain):
    keys = {(namespace, name) for namespace in ("default", "team-a") for name in NAMES}
    chain.declare_all((name, namespace, {}) for namespace, name in keys)
    chain.settle()
    assert keys <= chain.objects().keys()


def test_labels_that_yaml_might_misread(chain):
    labels = {
        "a": "true", "b": "1", "c": "", "d": "null", "e": "1e3", "f": "0x1f", "g": "yes", "h": "1.0", "i": "1_000",
        "true": "a", "1": "b", "null": "c", "y": "d", "1e3": "e", "example.com/role": "2024-01-01"}
    chain.declare("labelled", labels=labels)
    chain.settle()
    in_cluster = chain.objects()["default", "labelled"]["metadata"]["labels"]
    assert labels.items() <= in_cluster.items()


def test_other_namespaces_do_not_collide(chain):
    chain.declare("b-c", namespace="a", size="small")
    chain.declare("c", namespace="a-b", size="large")
    chain.settle()
    objects = chain.objects()
    assert objects["a", "b-c"]["spec"]["size"] == "small"
    assert objects["a-b", "c"]["spec"]["size"] == "large"
    chain.remove("b-c", namespace="a")
    chain.settle()
    objects = chain.objects()
    assert ("a", "b-c") not in objects
    assert ("a-b", "c") in objects


def test_namespace_that_is_not_allowed_is_refused(chain):
    before = catalog_digest(chain.registry_url)
    answer = chain.server.post(path("elsewhere"), {"name": "lost", "spec": {"type": "vm", "size": "small"}})
    assert answer.status == 422, answer.body
    assert catalog_digest(chain.registry_url) == before


def test_deleting_the_last_resource_prunes_everything(chain):
    chain.declare("last")
    chain.settle()
    at_once(lambda key: chain.remove(key[1], key[0]), chain.objects())
    chain.settle()
    assert chain.objects() == {}
    chain.declare("again")
    chain.settle()
    assert chain.objects().keys() == {("default", "again")}
