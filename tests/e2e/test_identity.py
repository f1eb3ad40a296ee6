# SPDX-License-Identifier: Apache-2.0
"""--auth-kubernetes and --authz kubernetes: people and programs come with the tokens that they have for the cluster, and the
cluster's RBAC says what they may do here."""
from contextlib import contextmanager

import pytest

from tests.lib.gsq import Gsq, resource_path
from tests.lib.wait import wait_until

CACHED_S = 30  # an answer of Kubernetes counts for so long
RBAC = "/apis/rbac.authorization.k8s.io/v1"
TEAMS = ("team-a", "team-b")
VERBS = {"viewer": ["get", "list", "watch"], "editor": ["get", "list", "watch", "update", "delete"]}
BODY = {"name": "web", "spec": {"type": "vm", "size": "small"}}


class Accounts:
    """Service accounts of one namespace, and what RBAC gives them in others."""

    def __init__(self, cluster, namespace):
        self.cluster, self.kube, self.namespace = cluster, cluster.kube, namespace

    def make(self, name):
        self.kube.apply(f"{self._path(name)}", {
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": self.namespace}})

    def token(self, name, **spec):
        """TokenRequest: a new one each time, so nothing is remembered of it."""
        return self.kube.request("POST", f"{self._path(name)}/token", {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})["status"]["token"]

    def remove(self, name):
        self.kube.request("DELETE", self._path(name))

    def bind(self, name, role, namespace):
        for kind, more in (("Role", {"rules": [{"apiGroups": ["gitops-squared.io"], "resources": ["platformresources"],
                                                "verbs": VERBS[role]}]}),
                           ("RoleBinding", {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role",
                                                        "name": f"{name}-{role}"},
                                            "subjects": [{"kind": "ServiceAccount", "name": name,
                                                          "namespace": self.namespace}]})):
            self.kube.apply(f"{RBAC}/namespaces/{namespace}/{kind.lower()}s/{name}-{role}", {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
                "metadata": {"name": f"{name}-{role}", "namespace": namespace}, **more})

    def unbind(self, name, role, namespace):
        self.kube.request("DELETE", f"{RBAC}/namespaces/{namespace}/rolebindings/{name}-{role}")

    def _path(self, name):
        return f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{name}"


@pytest.fixture(scope="module")
def accounts(control_plane):
    control_plane.install_crd()
    control_plane.install_account()
    for namespace in TEAMS:
        control_plane.create_namespace(namespace)
    made = Accounts(control_plane, "team-a")
    made.make("deployer")
    made.bind("deployer", "editor", "team-a")
    return made


@contextmanager
def server(accounts, folder, *args, user=None):
    """user: of the server itself; None: the account of deploy/api."""
    cluster = accounts.cluster
    kubeconfig = folder / "kubeconfig"
    cluster.write_kubeconfig(kubeconfig, user or {"token": cluster.account_token()})
    with Gsq(folder / "gsq", namespaces=TEAMS, kubeconfig=kubeconfig, anonymous=None,
             args=["--auth-kubernetes", *args]) as started:
        yield started


@pytest.fixture(scope="module")
def by_rbac(accounts, tmp_path_factory):
    with server(accounts, tmp_path_factory.mktemp("rbac"), "--authz", "kubernetes") as started:
        yield started


def ask(gsq, token, method="GET", namespace="team-a", body=None):
    return gsq.request(method, resource_path(namespace), body, {"Authorization": f"Bearer {token}"})


def assert_refused(answer, status, *words):
    assert answer.status == status, (answer.status, answer.body)
    for word in words:
        assert word in answer.body.decode(), answer.body


def post_when_writable(gsq, token, namespace="team-a", body=None):
    """After a start the server asks the cluster first whether that knows better."""
    def posted():
        answer = ask(gsq, token, "POST", namespace, body or BODY)
        assert answer.status in (200, 201), answer.body
        return answer
    return wait_until(posted, lambda: f"a change to be taken:\n{gsq.process.log_tail()}")


# ---- who it is ----

def test_a_service_account_is_known_by_its_own_token(by_rbac, accounts):
    token = accounts.token("deployer")
    assert ask(by_rbac, token).status == 200
    assert post_when_writable(by_rbac, token).json["name"] == "web"
    assert token not in by_rbac.log()


@pytest.mark.parametrize("token", ["garbage", "eyJhbGciOiJub25lIn0.e30.", pytest.param("a" * 4000, id="long")])
def test_a_token_that_kubernetes_does_not_know_is_refused(by_rbac, token):
    answer = ask(by_rbac, token)
    assert_refused(answer, 401)
    assert "WWW-Authenticate" in answer.headers
    assert token not in answer.body.decode()


def test_a_token_for_somebody_else_is_refused(by_rbac, accounts):
    """One for a vault, say, which the vault could send here."""
    assert_refused(ask(by_rbac, accounts.token("deployer", audiences=["vault"])), 401)


def test_a_token_can_be_asked_for_that_is_for_nobody_else(accounts, tmp_path):
    """With --kubernetes-audience one that is good at the API server, and could be used there, is refused."""
    with server(accounts, tmp_path, "--authz", "kubernetes", "--kubernetes-audience", "gitops-squared") as strict:
        assert ask(strict, accounts.token("deployer", audiences=["gitops-squared"])).status == 200
        assert_refused(ask(strict, accounts.token("deployer")), 401)


def test_a_changed_token_is_refused(by_rbac, accounts):
    head, claims, signature = accounts.token("deployer").split(".")
    first = "B" if signature[0] == "A" else "A"
    assert_refused(ask(by_rbac, f"{head}.{claims}.{first}{signature[1:]}"), 401)


# ---- what it may ----

def test_a_role_in_one_namespace_says_nothing_of_another(by_rbac, accounts):
    token = accounts.token("deployer")
    assert ask(by_rbac, token).status == 200
    for method, body in (("GET", None), ("POST", BODY)):
        assert_refused(ask(by_rbac, token, method, "team-b", body), 403)


def test_a_viewer_may_read_and_not_write(by_rbac, accounts):
    accounts.make("reader")
    accounts.bind("reader", "viewer", "team-b")
    token = accounts.token("reader")
    assert ask(by_rbac, token, namespace="team-b").status == 200
    assert_refused(ask(by_rbac, token, "POST", "team-b", BODY), 403)


def test_what_is_taken_away_in_the_cluster_is_soon_of_no_use(by_rbac, accounts):
    tokens = {}
    for name in ("leaver", "guest"):
        accounts.make(name)
        accounts.bind(name, "viewer", "team-b")
        tokens[name] = accounts.token(name)
        assert ask(by_rbac, tokens[name], namespace="team-b").status == 200
    accounts.remove("leaver")
    accounts.unbind("guest", "viewer", "team-b")
    for name, status in (("leaver", 401), ("guest", 403)):
        wait_until(lambda name=name, status=status: ask(by_rbac, tokens[name], namespace="team-b").status == status,
                   f"{name} to be refused", deadline_s=CACHED_S * 4, every_s=1)


def test_the_policy_can_name_what_kubernetes_knows(accounts, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("rules:\n- role: editor\n  namespaces: [team-b]\n"
                      '  groups: ["kubernetes:system:serviceaccounts:team-a"]\n')
    with server(accounts, tmp_path, "--policy", policy) as by_policy:
        token = accounts.token("deployer")
        post_when_writable(by_policy, token, "team-b")
        assert ask(by_policy, token, namespace="team-b").status == 200
        assert_refused(ask(by_policy, token, namespace="team-a"), 403)


# ---- who cannot be asked ----

def test_without_the_right_to_ask_the_log_says_which_one_is_missing(accounts, tmp_path):
    accounts.make("powerless")
    with server(accounts, tmp_path, user={"token": accounts.token("powerless")}) as started:
        answer = ask(started, accounts.token("deployer"))
        assert_refused(answer, 503, "log")
        assert "auth-delegator" not in answer.body.decode(), "whoever asks can do nothing about it"
        assert "tokenreviews" in started.log() and "system:auth-delegator" in started.log()


def test_while_the_cluster_is_away_nobody_new_is_let_in_or_called_unknown(by_rbac, accounts):
    token = accounts.token("deployer")
    with accounts.cluster.without("kube-apiserver"):
        assert_refused(ask(by_rbac, token), 503)
    wait_until(lambda: ask(by_rbac, token).status == 200, "the token to be taken")
