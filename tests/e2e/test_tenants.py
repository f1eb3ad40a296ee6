# SPDX-License-Identifier: Apache-2.0
"""Each namespace's catalogs are applied by a service account that may touch its PlatformResources and nothing else: so
whoever can write one tenant's catalog in the registry can reach no other tenant, and not the cluster.

The registry is one that takes pushes from anybody: the forger's way, past the server.
"""
import gzip
import io
import json
import subprocess
import tarfile

import pytest

from tests.conftest import tools_or_skip
from tests.e2e.chain import chain
from tests.lib.distribution import Distribution
from tests.lib.kube import KUSTOMIZATIONS, NAMESPACES, RESOURCES, SOURCES, KubeError, condition
from tests.lib.oci import RECORDS, Oci
from tests.lib.wait import wait_until

TENANTS = ["team-a", "team-b"]
KEYS = "gitops-squared-keys"
ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/gitops-squared-tenant"
RBAC = "rbac.authorization.k8s.io"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with tools_or_skip(), Distribution(tmp_path_factory.mktemp("distribution")) as started:
        yield started


@pytest.fixture(scope="module")
def made(control_plane, registry, tmp_path_factory):
    with chain(control_plane, tmp_path_factory.mktemp("tenants"), namespaces=["default", *TENANTS], split=1,
               registry=registry.host) as started:
        for namespace in TENANTS:
            started.declare_applied("web", namespace)
        yield started


def child(namespace):
    return f"gitops-squared-{namespace}-00"


def repository(namespace):
    return f"gitops-squared/catalogs/{namespace}/00"


def account(namespace):
    return f"system:serviceaccount:flux-system:gitops-squared-{namespace}"


# ---- what an account may do ----

def may(made, user, verb, group, resource, namespace=""):
    review = made.kube.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": {
            "verb": verb, "group": group, "resource": resource, "namespace": namespace}}})
    return review["status"]["allowed"]


def test_an_account_may_do_all_with_the_resources_of_its_namespace(made):
    for verb in ("get", "list", "watch", "create", "update", "patch", "delete"):
        assert may(made, account("team-a"), verb, "gitops-squared.io", "platformresources", "team-a"), verb


OTHERS = [("", "secrets"), ("", "configmaps"), ("", "serviceaccounts"), (RBAC, "rolebindings"),
          (RBAC, "clusterrolebindings"), ("kustomize.toolkit.fluxcd.io", "kustomizations")]


def test_an_account_may_do_nothing_else(made):
    user = account("team-a")
    for verb in ("get", "list", "create", "patch", "delete"):
        for namespace in ("team-b", "default", "flux-system", "kube-system", ""):
            assert not may(made, user, verb, "gitops-squared.io", "platformresources", namespace), (verb, namespace)
        for namespace in ("team-a", "flux-system", ""):
            for group, kind in OTHERS:
                assert not may(made, user, verb, group, kind, namespace), (verb, kind, namespace)
    assert not may(made, user, "deletecollection", "gitops-squared.io", "platformresources", "team-a")
    assert not may(made, user, "impersonate", "", "serviceaccounts", "flux-system")


def test_the_root_is_applied_with_the_rights_of_flux(made):
    """It is what makes the accounts."""
    assert "serviceAccountName" not in made.kube.get(f"{KUSTOMIZATIONS}/gitops-squared-resources")["spec"]
    assert made.kube.get(ROLE)["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] == "gitops-squared-resources"


# ---- a forged catalog ----

def manifest_of(kind, name, namespace=None, version="v1", **more):
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def resource(name, namespace, region="forged"):
    return manifest_of("PlatformResource", name, namespace, "gitops-squared.io/v1alpha1",
                       spec={"type": "vm", "size": "small", "region": region, "replicas": 1})


SUBJECTS = [{"kind": "ServiceAccount", "name": "gitops-squared-team-a", "namespace": "flux-system"}]
ADMIN = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"}

# What the catalog of team-a holds, and where that would be in the cluster.
FORGED = {
    "a resource of another tenant": (
        resource("forged", "team-b"),
        "/apis/gitops-squared.io/v1alpha1/namespaces/team-b/platformresources/forged"),
    "an object of another kind in its own namespace": (
        manifest_of("ConfigMap", "forged", "team-a", data={"a": "b"}), "/api/v1/namespaces/team-a/configmaps/forged"),
    "an object of another kind": (
        manifest_of("ConfigMap", "forged", "kube-system", data={"a": "b"}),
        "/api/v1/namespaces/kube-system/configmaps/forged"),
    "all rights in the cluster": (
        manifest_of("ClusterRoleBinding", "forged", None, f"{RBAC}/v1", roleRef=ADMIN, subjects=SUBJECTS),
        f"/apis/{RBAC}/v1/clusterrolebindings/forged"),
    "more rights in its own namespace": (
        manifest_of("RoleBinding", "forged", "team-a", f"{RBAC}/v1", roleRef=ADMIN, subjects=SUBJECTS),
        f"/apis/{RBAC}/v1/namespaces/team-a/rolebindings/forged"),
    "a Kustomization with the rights of Flux": (
        manifest_of("Kustomization", "forged", "flux-system", "kustomize.toolkit.fluxcd.io/v1", spec={
            "interval": "10m", "prune": True, "path": "./manifests",
            "sourceRef": {"kind": "OCIRepository", "name": child("team-a")}}),
        f"{KUSTOMIZATIONS}/forged"),
    "a namespace": (manifest_of("Namespace", "forged"), f"{NAMESPACES}/forged"),
}


def layer_of(*objects):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for i, item in enumerate(objects):
            text = json.dumps(item).encode()
            info = tarfile.TarInfo(f"manifests/forged-{i}.yaml")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    return gzip.compress(content.getvalue())


@pytest.fixture
def forge(made):
    """forge(object, ...) makes them all that the catalog of team-a holds; returns the digest, when Flux was told. At the
    end the catalog is what it was, unless the server has written it since."""
    oci, pushed = Oci(made.server.registry_host), []
    true = oci.manifest(repository("team-a"), "latest").bytes

    def push(*objects):
        oci.push_artifact(repository("team-a"), "latest", layer_of(*objects))
        made.kube.wake(f"{SOURCES}/{child('team-a')}")
        pushed.append(oci.digest(repository("team-a"), "latest"))
        return pushed[-1]
    yield push
    if oci.digest(repository("team-a"), "latest") in pushed:
        oci.push_manifest(repository("team-a"), "latest", true)
        made.kube.wake(f"{SOURCES}/{child('team-a')}")
    made.settle()


def is_there(made, path):
    try:
        made.kube.get(path)
    except KubeError as error:
        assert error.status == 404, error
        return False
    return True


def wait_forbidden(made, digest):
    """The real kustomize-controller has tried that catalog, and was refused."""
    def forbidden():
        status = made.kube.get(f"{KUSTOMIZATIONS}/{child('team-a')}")["status"]
        assert status["lastAttemptedRevision"] == f"latest@{digest}", status
        ready = condition({"status": status})
        assert ready["status"] == "False" and "forbidden" in ready["message"], ready
        return ready["message"]
    return wait_until(forbidden, lambda: made.cluster.kubectl(
        "-n", "flux-system", "describe", "kustomization", child("team-a")))


@pytest.mark.parametrize("what", FORGED)
def test_what_is_no_resource_of_its_namespace_is_refused(made, forge, what):
    forged, path = FORGED[what]
    before = made.identities()
    message = wait_forbidden(made, forge(forged))
    assert f'User "{account("team-a")}"' in message, message
    assert not is_there(made, path)
    assert made.identities() == before


def test_a_resource_of_another_tenant_is_neither_changed_nor_taken_over(made, forge):
    before = made.identities()
    wait_forbidden(made, forge(resource("web", "team-a", region="eu"), resource("web", "team-b")))
    assert made.identities()["team-b", "web"] == before["team-b", "web"]
    assert ("team-a", "web") in made.objects()


def test_all_at_once_stop_nobody_else_and_the_true_catalog_mends_it(made, forge):
    wait_forbidden(made, forge(*(forged for forged, _ in FORGED.values())))
    version = made.declare_applied("goes-on", "team-b")
    assert made.versions()["team-b", "goes-on"] == version
    for what, (_, path) in FORGED.items():
        assert not is_there(made, path), what
    version = made.declare("mended", "team-a")  # the server pushes the catalog as it should be
    made.wait_phase("applied", "mended", "team-a", version)
    assert ("team-a", "web") in made.objects()


def test_a_tenant_recovers_when_its_catalog_is_put_back(made, registry):
    oci = Oci(registry.host)
    true = oci.manifest(repository("team-a"), "latest").bytes
    oci.push_artifact(repository("team-a"), "latest", layer_of(FORGED["an object of another kind"][0]))
    made.kube.wake(f"{SOURCES}/{child('team-a')}")
    wait_forbidden(made, oci.digest(repository("team-a"), "latest"))
    oci.push_manifest(repository("team-a"), "latest", true)
    made.kube.wake(f"{SOURCES}/{child('team-a')}")
    made.settle()
    made.declare_applied("web", "team-a", replicas=2)


# ---- the objects of an account ----

def take_binding(made, namespace):
    """Somebody with all rights in a namespace has a RoleBinding of the account's name there, with a roleRef that can
    never be changed."""
    path = f"/apis/{RBAC}/v1/namespaces/{namespace}/rolebindings/gitops-squared"
    if is_there(made, path):
        made.kube.request("DELETE", path)
    made.cluster.apply(json.dumps(manifest_of(
        "RoleBinding", "gitops-squared", namespace, f"{RBAC}/v1", roleRef=ADMIN, subjects=[])))
    return path


def test_a_tenant_who_takes_the_name_of_the_binding_stops_nobody(made):
    made.cluster.create_namespace("team-first")
    first = take_binding(made, "team-first")
    later = take_binding(made, "team-b")
    version = declare_when_seen(made, "web", "team-first", query="")["version"]
    made.wait_phase("applied", "web", "team-first", version)  # Flux may need two tries, and waits between them
    made.settle()
    for path in (first, later):
        assert made.kube.get(path)["roleRef"]["name"] == "gitops-squared-tenant"
    made.declare_applied("web", "team-b", replicas=2)


# ---- namespaces come and go ----

def has_account(made, namespace):
    return (is_there(made, f"/api/v1/namespaces/flux-system/serviceaccounts/gitops-squared-{namespace}"),
            is_there(made, f"/apis/{RBAC}/v1/namespaces/{namespace}/rolebindings/gitops-squared"))


def declare_when_seen(made, name, namespace, query="?wait=applied&timeout=120s"):
    """In a namespace that the server may not have seen yet."""
    def answered():
        answer = made.post(name, namespace, query)
        assert answer.status in (200, 201), answer.body
        return answer.json
    return wait_until(answered, f"a resource in {namespace}")


def test_the_first_resource_of_a_namespace_is_applied_at_the_first_try(made):
    """The account is there, with its rights, before the catalog is."""
    made.cluster.create_namespace("team-new")
    with made.kube.watch(KUSTOMIZATIONS) as watch:
        assert declare_when_seen(made, "web", "team-new")["status"]["phase"] == "applied"
        messages = [condition(event.object).get("message", "") for event in watch.events()
                    if event.object["metadata"]["name"] == child("team-new")]
    assert messages and not any("forbidden" in message for message in messages), messages
    assert has_account(made, "team-new") == (True, True)


@pytest.mark.parametrize("emptied", [False, True], ids=["with-resources", "emptied-before"])
def test_a_namespace_that_goes_away_stops_no_new_one(made, emptied):
    """Its RoleBinding, which could not be made any more, would stop Flux from applying all of the root."""
    gone, fresh = f"gone-{emptied}".lower(), f"fresh-{emptied}".lower()
    made.cluster.create_namespace(gone)
    assert declare_when_seen(made, "web", gone)["status"]["phase"] == "applied"
    if emptied:
        made.remove("web", gone, "?wait=applied&timeout=120s")
    made.cluster.delete_namespace(gone)
    wait_until(lambda: has_account(made, gone) == (False, False),
               lambda: f"its account to go:\n{made.server.process.log_tail()}")
    made.cluster.kubectl("-n", gone, "delete", "platformresources", "--all")
    made.cluster.remove_namespace(gone)

    made.cluster.create_namespace(fresh)
    assert declare_when_seen(made, "web", fresh)["status"]["phase"] == "applied"
    made.settle(but=(child(gone),))  # whose account may have gone before it had pruned what went with the namespace
    records = len(Oci(made.server.registry_host).tags(RECORDS))
    for i in range(3):
        made.server.restart()
        made.wait_writable()
        assert declare_when_seen(made, f"another-{i}", fresh)["status"]["phase"] == "applied"
    assert len(Oci(made.server.registry_host).tags(RECORDS)) == records + 3, "a start commits nothing by itself"

    made.cluster.create_namespace(gone)
    version = declare_when_seen(made, "back", gone, query="")["version"]
    made.wait_phase("applied", "back", gone, version)
    assert has_account(made, gone) == (True, True)
    assert ((gone, "web") in made.objects()) == (not emptied)


# ---- on and off ----

def test_accounts_are_given_up_and_taken_on_where_that_is_asked_for(made):
    made.restart("--catalog-accounts", "off")
    made.wait_writable()
    made.declare_applied("switched", "team-a")
    wait_until(lambda: not is_there(made, ROLE), "the role to go")
    assert "serviceAccountName" not in made.kube.get(f"{KUSTOMIZATIONS}/{child('team-b')}")["spec"]
    made.restart()  # the store has it
    made.wait_writable()
    made.declare_applied("switched", "team-a", replicas=2)
    assert not is_there(made, ROLE)
    made.restart("--catalog-accounts", "on")
    made.wait_writable()
    made.declare("switched", "team-a", replicas=3)
    wait_until(lambda: made.kube.get(f"{KUSTOMIZATIONS}/{child('team-b')}")["spec"].get("serviceAccountName"),
               "the catalogs to be applied by accounts")
    made.declare_applied("switched", "team-a", replicas=4)
    made.remove("switched", "team-a", "?wait=applied&timeout=120s")
    assert ("team-a", "switched") not in made.objects()


# ---- signatures ----

def openssl(*args):
    return subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def signed(made, tmp_path):
    """The chain with a key, which Flux has to find in what it pulls."""
    key = tmp_path / "key.pem"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    made.cluster.apply(json.dumps(manifest_of(
        "Secret", KEYS, "flux-system", stringData={"cosign.pub": openssl("pkey", "-in", key, "-pubout")})))
    made.restart("--sign-key", key, "--sign-existing", "--catalog-verify-secret", KEYS)
    made.wait_writable()
    yield made
    made.restart("--catalog-verify-secret", "")
    made.wait_writable()
    made.wait_phase("applied", "web", "team-a", made.declare("web", "team-a", replicas=1))
    made.settle()


def test_flux_verifies_each_catalog_and_takes_none_that_is_not_signed(signed, registry):
    signed.declare_applied("signed", "team-a")
    source = f"{SOURCES}/{child('team-a')}"
    wait_until(lambda: condition(signed.kube.get(source), "SourceVerified").get("status") == "True",
               lambda: f"a verified source: {signed.kube.get(source)}")
    for namespace in TENANTS:
        assert signed.kube.get(f"{SOURCES}/{child(namespace)}")["spec"]["verify"] == {
            "provider": "cosign", "secretRef": {"name": KEYS}}

    before = signed.kube.get(source)["status"]["artifact"]["digest"]
    oci = Oci(registry.host)
    oci.push_artifact(repository("team-a"), "latest", layer_of(resource("unsigned", "team-a")))
    signed.kube.wake(source)
    wait_until(lambda: condition(signed.kube.get(source), "SourceVerified").get("status") == "False",
               lambda: f"a source that is refused: {signed.kube.get(source)}")
    assert signed.kube.get(source)["status"]["artifact"]["digest"] == before
    assert ("team-a", "unsigned") not in signed.objects()
    signed.wait_phase("applied", "signed", "team-a", signed.declare("signed", "team-a", replicas=2))
