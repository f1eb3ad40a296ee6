# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes control plane with Flux on loopback: etcd, kube-apiserver, source- and kustomize-controller.

No kubelet, no scheduler, no kube-controller-manager: objects are stored, validated and reconciled by Flux, but no
pod runs, and a namespace that is deleted stays Terminating.

From the root of the repository:

    /usr/bin/python3 -m tests.lib.controlplane --dir data/cluster --registry-host 127.0.0.1:5000
"""
import argparse
import base64
import json
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from tests.lib.kube import NAMESPACES, Kube
from tests.lib.process import Process, free_port
from tests.lib.tools import MissingTool, crds, tool
from tests.lib.wait import wait_until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
TOKEN = "loopback"
ISSUER = "https://kubernetes.default.svc"
CONTROLLERS = ("source-controller", "kustomize-controller")
PARTS = ("etcd", "kube-apiserver", *CONTROLLERS)
LEEWAY_S = 60  # for how long kube-apiserver takes a token that has expired
SOURCE = "ocirepository/gitops-squared-catalog"
KUSTOMIZATION = "kustomization/gitops-squared-resources"
PULL_SECRET = "gitops-squared-pull"


class KubectlError(Exception):
    pass


class ControlPlane:
    """Each part may be stopped and started again by its name; state and ports stay.

    kube        the API as an administrator, without kubectl
    authority   PEM file that clients of the API server trust: its certificate, for 127.0.0.1, is signed by itself
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.kubeconfig = self.folder / "kubeconfig"
        self.authority = self.folder / "apiserver" / "apiserver.crt"
        self._etcd, self._etcd_peer, self._port = free_port(), free_port(), free_port()
        self._health = {name: free_port() for name in CONTROLLERS}
        self._metrics = {name: free_port() for name in CONTROLLERS}
        self._storage = free_port()
        self.url = f"https://127.0.0.1:{self._port}"
        self.kube = Kube(self.url, TOKEN)
        self._processes = {}

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._write_credentials()
            for name in ("etcd", "kube-apiserver"):
                self.start_part(name)
            self._install_flux()
            self.start_part(*CONTROLLERS)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        for name in reversed(PARTS):
            if name in self._processes:
                self.stop_part(name)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # ---- parts ----

    def start_part(self, *names):
        """etcd, kube-apiserver, source-controller, kustomize-controller; returns when they answer."""
        started = [(name, *self._part(name)) for name in names]
        for name, arguments, env, _ in started:
            self._processes[name] = Process(
                name, [tool(name), *arguments], self.folder / f"{name}.log", env)
        for name, _, _, ready in started:
            self._processes[name].wait_for_url(ready, self.kube.headers, ssl._create_unverified_context())

    def stop_part(self, name):
        # kube-apiserver would wait half a minute for those who watch.
        self._processes.pop(name).stop(deadline_s=5)

    @contextmanager
    def without(self, *names):
        """They are killed, and those that nobody has started meanwhile are started again at the end."""
        for name in names:
            self._processes.pop(name).kill()
        try:
            yield
        finally:
            self.start_part(*(name for name in names if name not in self._processes))

    def _part(self, name):
        """Its arguments, its environment, and the URL that answers when it is ready."""
        if name == "etcd":
            url = f"http://127.0.0.1:{self._etcd}"
            return ("--data-dir", self._subfolder("etcd"), "--unsafe-no-fsync",
                    "--listen-client-urls", url, "--advertise-client-urls", url,
                    "--listen-peer-urls", f"http://127.0.0.1:{self._etcd_peer}"), None, f"{url}/health"
        if name == "kube-apiserver":
            key = self.folder / "sa.key"
            return (f"--etcd-servers=http://127.0.0.1:{self._etcd}", f"--cert-dir={self._subfolder('apiserver')}",
                    f"--secure-port={self._port}", "--bind-address=127.0.0.1", f"--service-account-issuer={ISSUER}",
                    f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
                    f"--token-auth-file={self.folder / 'tokens.csv'}", "--authorization-mode=RBAC",
                    "--service-cluster-ip-range=10.0.0.0/24", "--disable-admission-plugins=ServiceAccount"
                    ), None, f"{self.url}/readyz"
        health = f"127.0.0.1:{self._health[name]}"
        arguments = ["--enable-leader-election=false", f"--health-addr={health}",
                     f"--metrics-addr=127.0.0.1:{self._metrics[name]}"]
        if name == "source-controller":
            storage = f"127.0.0.1:{self._storage}"
            arguments += ["--watch-all-namespaces=true", f"--storage-path={self._subfolder('artifacts')}",
                          f"--storage-addr={storage}", f"--storage-adv-addr={storage}"]
        # A folder of its own for what it unpacks: kustomize-controller empties that of others when it starts.
        env = {"RUNTIME_NAMESPACE": "flux-system", "KUBECONFIG": str(self.kubeconfig),
               "TMPDIR": str(self._subfolder(f"{name}-tmp"))}
        return arguments, env, f"http://{health}/readyz"

    # ---- credentials ----

    def write_kubeconfig(self, path, user, server=None):
        """For a user of the kubeconfig format, such as {"tokenFile": PATH}; server: through a proxy."""
        path.write_text(json.dumps(kubeconfig(
            {"server": server or self.url, "certificate-authority": str(self.authority)}, user), indent=2))
        return path

    def account_token(self, lifetime_s=3600):
        """A token of the service account that deploy/api gives the server; made here, since the API gives none that
        ends within ten minutes. A token that was seen is taken for 10 s more."""
        account = self.kube.get("/api/v1/namespaces/gitops-squared/serviceaccounts/api")["metadata"]
        now = int(time.time())
        return signed_token(self.folder / "sa.key", {
            "iss": ISSUER, "aud": [ISSUER], "sub": "system:serviceaccount:gitops-squared:api",
            "iat": now - LEEWAY_S, "nbf": now - LEEWAY_S, "exp": now + lifetime_s - LEEWAY_S,
            "kubernetes.io": {"namespace": "gitops-squared",
                              "serviceaccount": {"name": "api", "uid": account["uid"]}}})

    def install_account(self):
        """The service account of deploy/api and what it may do."""
        for path in ("namespace.yaml", "api/rbac.yaml"):
            self.apply((DEPLOY / path).read_text())

    def _write_credentials(self):
        subprocess.run(["openssl", "genrsa", "-out", self.folder / "sa.key", "2048"], check=True, capture_output=True)
        (self.folder / "tokens.csv").write_text(f"{TOKEN},admin,1,system:masters\n")
        self.kubeconfig.write_text(json.dumps(kubeconfig(
            {"server": self.url, "insecure-skip-tls-verify": True}, {"token": TOKEN}), indent=2))

    # ---- the API ----

    def kubectl(self, *args, stdin=None):
        """What kubectl prints; KubectlError, with its message, when it fails."""
        result = subprocess.run(
            [tool("kubectl"), "--kubeconfig", self.kubeconfig, "--cache-dir", self.folder / "kubectl", *args],
            input=stdin, capture_output=True, text=True)
        if result.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(map(str, args))}: {result.stderr.strip()}")
        return result.stdout

    def kubectl_json(self, *args):
        return json.loads(self.kubectl(*args, "-o", "json"))

    def apply(self, manifests):
        self.kubectl("apply", "--server-side", "-f", "-", stdin=manifests)

    def create_namespace(self, name):
        self.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))

    def delete_namespace(self, name):
        """It is Terminating then, until remove_namespace()."""
        self.kube.request("DELETE", f"{NAMESPACES}/{name}")

    def remove_namespace(self, name):
        """What kube-controller-manager does when nothing is left in a namespace that was deleted."""
        namespace = self.kube.get(f"{NAMESPACES}/{name}")
        namespace["spec"]["finalizers"] = []
        self.kube.request("PUT", f"{NAMESPACES}/{name}/finalize", namespace)

    def install_crd(self):
        for path in sorted((DEPLOY / "crd").glob("*.yaml")):
            self.apply(path.read_text())
        self.wait_established()

    def connect_flux(self, registry_host, interval=None, token=None):
        """Applies deploy/crd and deploy/flux, so that Flux follows the catalog in the registry at host:port.

        interval: how often it looks by itself, in place of what deploy/flux says
        token: what it pulls with; None: nothing
        """
        self.install_crd()
        if token:
            self.create_pull_secret(registry_host, token)
        for path in sorted((DEPLOY / "flux").glob("*.yaml")):
            text = re.sub(r"oci://[^/]+/", f"oci://{registry_host}/", path.read_text())
            text = re.sub(r"interval: .*", f"interval: {interval}", text) if interval else text
            self.apply(re.sub(r"\n  insecure:", f"\n  secretRef:\n    name: {PULL_SECRET}\\g<0>", text) if token else text)

    def create_pull_secret(self, registry_host, token, name=PULL_SECRET):
        """A Secret of Flux's namespace with that token, as docker login writes it."""
        auth = base64.b64encode(f"flux:{token}".encode()).decode()
        content = json.dumps({"auths": {registry_host: {"auth": auth}}})
        self.apply(json.dumps({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "metadata": {"name": name, "namespace": "flux-system"}, "stringData": {".dockerconfigjson": content}}))

    def disconnect_flux(self):
        """Removes what connect_flux applied to flux-system; Flux prunes the objects with it, and what a root has made,
        whose objects stay."""
        self.kubectl("-n", "flux-system", "delete", "--ignore-not-found", "--timeout=120s", KUSTOMIZATION, SOURCE)

    def clear(self):
        """Nothing of a store is left, whatever its layout."""
        self.disconnect_flux()
        self.kubectl("-n", "flux-system", "delete", "--timeout=120s", "--all", "kustomizations,ocirepositories")
        self.kubectl("delete", "--all-namespaces", "--all", "--timeout=120s", "platformresources")

    def wake_flux(self):
        """Makes Flux look at the registry now instead of at its next interval; what is new it applies at once."""
        self._request_reconcile(SOURCE)

    def reconcile(self):
        """Makes Flux look at the registry and apply all of the catalog, new or not, and waits until it has."""
        for flux_object in (SOURCE, KUSTOMIZATION):
            token = self._request_reconcile(flux_object)
            wait_until(lambda: self._flux_status(flux_object).get("lastHandledReconcileAt") == token,
                       lambda: f"{flux_object} to be reconciled:\n{self.flux_conditions()}")

    def flux_conditions(self):
        """One line per condition of the two Flux objects: the reason when something is not applied."""
        return self.kubectl("-n", "flux-system", "get", SOURCE, KUSTOMIZATION, "-o", (
            'jsonpath={range .items[*]}{.kind}: {range .status.conditions[*]}{.type}={.status} {.message}{"\\n"}'
            '{end}{end}'))

    def applied_revision(self):
        """Digest of the catalog that Flux applied last, None before the first."""
        return self._flux_status(KUSTOMIZATION).get("lastAppliedRevision", "").partition("@")[2] or None

    def _request_reconcile(self, flux_object):
        token = str(time.time_ns())
        self.kubectl("-n", "flux-system", "annotate", "--overwrite", flux_object,
                     f"reconcile.fluxcd.io/requestedAt={token}")
        return token

    def _flux_status(self, flux_object):
        return self.kubectl_json("-n", "flux-system", "get", flux_object).get("status", {})

    def _subfolder(self, name):
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path

    def _install_flux(self):
        for module in CONTROLLERS:
            self.kubectl("apply", "--server-side", "-f", str(crds(module)))
        self.create_namespace("flux-system")
        self.wait_established()

    def wait_established(self):
        self.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")


def kubeconfig(cluster, user):
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "loopback",
        "clusters": [{"name": "loopback", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "loopback", "context": {"cluster": "loopback", "user": "user"}}],
    }


def signed_token(key, claims):
    """A JSON Web Token (RFC 7519), RS256."""
    text = b".".join(base64url(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text, check=True, capture_output=True)
    return b".".join((text, base64url(signature.stdout))).decode()


def base64url(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", help="keep state and logs here (default: a temporary folder)")
    parser.add_argument("--registry-host", default="127.0.0.1:5000", help="host:port of the registry with the catalog")
    parser.add_argument("--registry-token", help="file of the token that Flux pulls the catalog with")
    options = parser.parse_args()
    token = Path(options.registry_token).read_text().strip() if options.registry_token else None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="gsq-cluster-") as temporary:
        try:
            with ControlPlane(options.dir or temporary) as cluster:
                cluster.connect_flux(options.registry_host, token=token)
                print(f"export KUBECONFIG={cluster.kubeconfig.resolve()}", flush=True)
                print("Flux follows", options.registry_host, "- Ctrl-C ends the cluster", file=sys.stderr)
                signal.pause()
        except MissingTool as missing:
            sys.exit(str(missing))
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
