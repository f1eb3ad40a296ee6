# SPDX-License-Identifier: Apache-2.0
"""Everything under deploy/ is accepted by the real kube-apiserver, and the CRD accepts what the API accepts."""
import itertools
import json
from types import SimpleNamespace

import pytest

from tests.lib.certificate import self_signed
from tests.lib.controlplane import DEPLOY, KubectlError
from tests.lib.gsq import Gsq, binary, resource_path
from tests.lib.pod import Pod
from tests.lib.wait import wait_until

FLUX = [("source.toolkit.fluxcd.io", "ocirepositories"), ("kustomize.toolkit.fluxcd.io", "kustomizations")]
AUDIENCE = "gitops-squared"  # as deploy/api says


@pytest.fixture(scope="module")
def cluster(control_plane):
    for folder in ("namespace.yaml", "crd", "zot", "api", "flux"):
        control_plane.kubectl("apply", "--server-side", "--validate=strict", "-f", str(DEPLOY / folder))
    control_plane.wait_established()
    yield control_plane
    control_plane.kubectl("delete", "platformresources", "--all")
    control_plane.disconnect_flux()


def resource(name, spec):
    return json.dumps({
        "apiVersion": "gitops-squared.io/v1alpha1", "kind": "PlatformResource",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec})


def apply_resource(cluster, name, spec):
    """As Flux does it: server-side apply."""
    cluster.apply(resource(name, spec))
    return cluster.kubectl_json("get", "platformresource", name)


def test_api_has_one_writer_and_finds_zot(cluster):
    deployment = cluster.kubectl_json("-n", "gitops-squared", "get", "deployment", "api")["spec"]
    assert deployment["replicas"] == 1
    assert deployment["strategy"] == {"type": "Recreate"}
    container = deployment["template"]["spec"]["containers"][0]
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    zot = cluster.kubectl_json("-n", "gitops-squared", "get", "service", "zot")
    assert env["REGISTRY_HOST"] == f"zot.gitops-squared.svc.cluster.local:{zot['spec']['ports'][0]['port']}"
    assert "GSQ_INIT" not in env
    source = cluster.kubectl_json("-n", "flux-system", "get", "ocirepository", "gitops-squared-catalog")
    assert source["spec"]["url"] == f"oci://{env['REGISTRY_HOST']}/gitops-squared/catalog"


def user_may(cluster, user, verb, group, resource, namespace=""):
    review = cluster.kube.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": user,
                 "resourceAttributes": {"verb": verb, "group": group, "resource": resource, "namespace": namespace}}})
    return review["status"]["allowed"]


def may(cluster, verb, group, resource, namespace=""):
    """Is the server's service account allowed to?"""
    deployment = cluster.kubectl_json("-n", "gitops-squared", "get", "deployment", "api")
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    return user_may(cluster, f"system:serviceaccount:gitops-squared:{account}", verb, group, resource, namespace)


def test_api_may_do_what_it_does_in_the_cluster(cluster):
    # What is refused is read alone, before it is held.
    assert may(cluster, "get", "gitops-squared.io", "platformresources")
    for verb in ("list", "watch"):
        assert may(cluster, verb, "gitops-squared.io", "platformresources"), verb
        for group, resource in FLUX:
            assert may(cluster, verb, group, resource, "flux-system"), (verb, resource)
        assert may(cluster, verb, "", "namespaces"), verb
    for group, resource in FLUX:
        assert may(cluster, "patch", group, resource, "flux-system"), resource


def test_api_may_do_nothing_else(cluster):
    """What is applied and pruned is Flux's to do, with Flux's rights."""
    for verb in ("create", "update", "patch", "delete", "deletecollection"):
        assert not may(cluster, verb, "gitops-squared.io", "platformresources", "default"), verb
        assert not may(cluster, verb, "", "namespaces"), verb
    assert not may(cluster, "get", "", "namespaces")
    for group, resource in FLUX:
        assert not may(cluster, "list", group, resource, "default"), resource
        for verb in ("get", "create", "update", "delete", "deletecollection"):
            assert not may(cluster, verb, group, resource, "flux-system"), (verb, resource)
    for namespace in ("default", "flux-system", "gitops-squared"):
        for verb in ("get", "list"):
            assert not may(cluster, verb, "", "secrets", namespace), (verb, namespace)
    assert not may(cluster, "list", "*", "*")


def test_api_may_ask_who_somebody_is_and_what_they_may(cluster):
    assert may(cluster, "create", "authentication.k8s.io", "tokenreviews")
    assert may(cluster, "create", "authorization.k8s.io", "subjectaccessreviews")


VIEW = {"get", "list", "watch"}
ROLES = {"viewer": VIEW, "editor": VIEW | {"update", "delete"},
         "admin": VIEW | {"update", "delete", "create", "patch", "deletecollection", "*"}}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_the_verbs_that_the_server_asks_for(cluster, role):
    """Of those who are bound to it in one namespace: there, and of platformresources alone."""
    cluster.kubectl("-n", "default", "create", "rolebinding", f"test-{role}", f"--clusterrole=gitops-squared-{role}",
                    f"--user={role}")
    for verb in ROLES["admin"]:
        allowed = verb in ROLES[role]
        assert user_may(cluster, role, verb, "gitops-squared.io", "platformresources", "default") == allowed, verb
        assert not user_may(cluster, role, verb, "gitops-squared.io", "platformresources", "flux-system"), verb
        assert not user_may(cluster, role, verb, "", "secrets", "default"), verb


# ---- the server, as the Deployment starts it ----

def pod_spec(cluster):
    return cluster.kubectl_json("-n", "gitops-squared", "get", "deployment", "api")["spec"]["template"]["spec"]


def test_api_speaks_tls_and_its_probes_too(cluster):
    container = pod_spec(cluster)["containers"][0]
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["scheme"] == "HTTPS", probe
    assert "--insecure" not in container["args"]
    assert not any(name in json.dumps(container) for name in ("GSQ_INSECURE", "GSQ_ANONYMOUS", "anonymous"))


def test_api_runs_without_rights_and_writes_nowhere(cluster):
    spec = pod_spec(cluster)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    container = spec["containers"][0]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert all(mount["readOnly"] for mount in container["volumeMounts"])


class Deployed(Gsq):
    """The server of the Deployment, with its arguments and environment, in a folder where it must write nothing."""

    def __init__(self, cluster, folder, registry_host):
        folder.mkdir()
        certificate, key = self_signed(folder)
        self.root = folder / "root"
        mounted = self._mount(cluster, certificate, key)
        container = pod_spec(cluster)["containers"][0]
        env = {variable["name"]: variable["value"] for variable in container["env"]}
        pod = Pod(folder / "account", cluster.authority, cluster.url.rpartition(":")[2], cluster.account_token())
        super().__init__(folder, tls=SimpleNamespace(ca=certificate, certificate=certificate, key=key),
                         prefix=[*pod.prefix, "env", "--chdir", self.root],
                         env={**env, **pod.env, "REGISTRY_HOST": registry_host, "GSQ_INIT": "1"})
        self._env["LISTEN_ADDR"] = f":{self.port}"
        self._arguments = [arg.replace("/etc/gsq", str(mounted)) for arg in container["args"]]

    def _mount(self, cluster, certificate, key):
        """Files where the Deployment's volumes have them, below a folder in place of /etc/gsq."""
        folder = self.root.parent / "etc"
        policy = cluster.kubectl_json("-n", "gitops-squared", "get", "configmap", "api-policy")["data"]
        for name, files in (("tls", {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}), ("policy", policy)):
            (folder / name).mkdir(parents=True)
            for file, content in files.items():
                (folder / name / file).write_text(content)
        self.root.mkdir()
        return folder

    def _command(self):
        return [*self._prefix, binary(), *self._arguments]


@pytest.fixture
def deployed(cluster, distribution, tmp_path):
    with Deployed(cluster, tmp_path / "deployed", distribution.host) as server:
        yield server


def account_token(cluster, name, *bindings):
    """A service account's in default; bindings: (role, namespace)"""
    cluster.kubectl("-n", "default", "create", "serviceaccount", name)
    for role, namespace in bindings:
        cluster.kubectl("-n", namespace, "create", "rolebinding", name, f"--clusterrole=gitops-squared-{role}",
                        f"--serviceaccount=default:{name}")
    return cluster.kubectl("-n", "default", "create", "token", name, "--audience", AUDIENCE).strip()


def test_it_runs_and_takes_the_tokens_of_the_cluster(cluster, deployed):
    body = {"name": "web", "spec": {"type": "vm", "size": "small"}}
    assert deployed.get(resource_path()).status == 401
    deployed.token = account_token(cluster, "nobody")
    assert deployed.get(resource_path()).status == 403
    deployed.token = account_token(cluster, "demo", ("editor", "default"))

    def posted():
        answer = deployed.post(resource_path(), body)
        assert answer.status in (200, 201), answer.body
        return True
    wait_until(posted, lambda: f"a change to be taken:\n{deployed.process.log_tail()}")
    assert deployed.get(resource_path("default", "web")).json["spec"]["type"] == "vm"
    assert deployed.post(resource_path("flux-system"), body).status == 403
    assert deployed.get("/api/v1/layout").status == 403
    assert list(deployed.root.iterdir()) == []


def test_api_gets_the_token_that_it_asks_the_cluster_with(cluster):
    pod = cluster.kubectl_json("-n", "gitops-squared", "get", "deployment", "api")["spec"]["template"]["spec"]
    assert pod.get("automountServiceAccountToken", True) is True
    assert "--in-cluster" in pod["containers"][0]["args"]
    assert cluster.kubectl_json("-n", "gitops-squared", "get", "serviceaccount", pod["serviceAccountName"])


def test_services_select_their_pods(cluster):
    for name in ("api", "zot"):
        service = cluster.kubectl_json("-n", "gitops-squared", "get", "service", name)["spec"]
        pod = cluster.kubectl_json("-n", "gitops-squared", "get", "deployment", name)["spec"]["template"]
        assert service["selector"].items() <= pod["metadata"]["labels"].items()
        ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["ports"]} <= ports


def test_crd_accepts_every_type_size_and_replicas(cluster):
    specs = itertools.product(("vm", "database", "bucket"), ("small", "medium", "large"), (1, 10))
    for i, (kind, size, replicas) in enumerate(specs):
        spec = {"type": kind, "size": size, "replicas": replicas}
        assert apply_resource(cluster, f"accepted-{i}", spec)["spec"] == spec


@pytest.mark.parametrize("region", ["", "a" * 256, "é" * 128, "🌍" * 64, "null"])
def test_crd_accepts_region(cluster, region):
    spec = {"type": "vm", "size": "small", "replicas": 1, "region": region}
    assert apply_resource(cluster, "region", spec)["spec"] == spec


def test_crd_defaults_replicas(cluster):
    assert apply_resource(cluster, "defaulted", {"type": "vm", "size": "small"})["spec"]["replicas"] == 1


@pytest.mark.parametrize("spec", [
    {"size": "small"}, {"type": "vm"}, {"type": "lambda", "size": "small"}, {"type": "vm", "size": "huge"},
    {"type": "vm", "size": "small", "replicas": 0}, {"type": "vm", "size": "small", "replicas": 11},
    {"type": "vm", "size": "small", "replicas": 2.5}, {"type": "vm", "size": "small", "replica": 2},
    {"type": "vm", "size": "small", "region": "a" * 257},
], ids=lambda spec: json.dumps(spec)[:60])
def test_crd_refuses(cluster, spec):
    with pytest.raises(KubectlError):
        apply_resource(cluster, "refused", spec)


def test_crd_prunes_unknown_fields(cluster):
    spec = {"type": "vm", "size": "small", "replicas": 1}
    cluster.kubectl("create", "--validate=ignore", "-f", "-", stdin=resource("pruned", {**spec, "unknown": 1}))
    assert cluster.kubectl_json("get", "platformresource", "pruned")["spec"] == spec


def test_kubectl_shows_the_spec(cluster):
    apply_resource(cluster, "shown", {"type": "bucket", "size": "large", "region": "eu", "replicas": 3})
    header, row = cluster.kubectl("get", "pr", "shown").splitlines()
    assert header.split() == ["NAME", "TYPE", "SIZE", "REGION", "REPLICAS"]
    assert row.split() == ["shown", "bucket", "large", "eu", "3"]


def test_status_is_a_subresource_of_any_shape(cluster):
    before = apply_resource(cluster, "reported", {"type": "vm", "size": "small"})
    status = {"phase": "Ready", "addresses": ["10.0.0.7"], "detail": {"zone": 1}}
    cluster.kubectl("patch", "pr", "reported", "--subresource=status", "--type=merge",
                    "-p", json.dumps({"status": status, "spec": {"replicas": 9}}))
    after = cluster.kubectl_json("get", "pr", "reported")
    assert after["status"] == status
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
