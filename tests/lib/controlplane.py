# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes control plane with Flux on loopback: etcd, kube-apiserver, source- and kustomize-controller.

No kubelet, no scheduler, no kube-controller-manager: objects are stored, validated and reconciled by Flux, but no
pod runs, and a namespace that is deleted stays Terminating.

From the root of the repository:

    /usr/bin/python3 -m tests.lib.controlplane --dir data/cluster --registry-host 127.0.0.1:5000
"""
import argparse
import json
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.lib.process import Process, free_port
from tests.lib.tools import MissingTool, crds, tool
from tests.lib.wait import wait_until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
TOKEN = "loopback"
SOURCE = "ocirepository/gitops-squared-catalog"
KUSTOMIZATION = "kustomization/gitops-squared-resources"


class KubectlError(Exception):
    pass


class ControlPlane:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.kubeconfig = self.folder / "kubeconfig"
        self._processes = []

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._start_apiserver(self._start_etcd())
            self._install_flux()
            self._start_controllers()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        for process in reversed(self._processes):
            process.stop()
        self._processes.clear()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

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

    def connect_flux(self, registry_host):
        """Applies deploy/crd and deploy/flux, so that Flux follows the catalog in the registry at host:port."""
        for path in sorted((DEPLOY / "crd").glob("*.yaml")):
            self.apply(path.read_text())
        self.wait_established()
        for path in sorted((DEPLOY / "flux").glob("*.yaml")):
            self.apply(re.sub(r"oci://[^/]+/", f"oci://{registry_host}/", path.read_text()))

    def disconnect_flux(self):
        """Removes what connect_flux applied to flux-system; Flux prunes the objects with it."""
        self.kubectl("-n", "flux-system", "delete", "--ignore-not-found", "--timeout=120s", KUSTOMIZATION, SOURCE)

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

    def _start(self, name, *args, env=None):
        process = Process(name, [tool(name), *args], self.folder / f"{name}.log", env)
        self._processes.append(process)
        return process

    def _subfolder(self, name):
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path

    def _start_etcd(self):
        url = f"http://127.0.0.1:{free_port()}"
        self._start("etcd", "--data-dir", self._subfolder("etcd"), "--unsafe-no-fsync",
                    "--listen-client-urls", url, "--advertise-client-urls", url,
                    "--listen-peer-urls", f"http://127.0.0.1:{free_port()}"
                    ).wait_for_url(f"{url}/health")
        return url

    def _start_apiserver(self, etcd_url):
        key = self.folder / "sa.key"
        tokens = self.folder / "tokens.csv"
        port = free_port()
        url = f"https://127.0.0.1:{port}"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        tokens.write_text(f"{TOKEN},admin,1,system:masters\n")
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "loopback",
            "clusters": [{"name": "loopback", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "loopback", "context": {"cluster": "loopback", "user": "admin"}}],
        }, indent=2))
        self._start("kube-apiserver",
                    f"--etcd-servers={etcd_url}", f"--cert-dir={self._subfolder('apiserver')}",
                    f"--secure-port={port}", "--bind-address=127.0.0.1",
                    "--service-account-issuer=https://kubernetes.default.svc",
                    f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
                    f"--token-auth-file={tokens}", "--authorization-mode=RBAC",
                    "--service-cluster-ip-range=10.0.0.0/24", "--disable-admission-plugins=ServiceAccount"
                    ).wait_for_url(f"{url}/readyz", {"Authorization": f"Bearer {TOKEN}"},
                                   ssl._create_unverified_context())

    def _install_flux(self):
        for module in ("source-controller", "kustomize-controller"):
            self.kubectl("apply", "--server-side", "-f", str(crds(module)))
        self.create_namespace("flux-system")
        self.wait_established()

    def wait_established(self):
        self.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")

    def _start_controllers(self):
        env = {"RUNTIME_NAMESPACE": "flux-system", "KUBECONFIG": str(self.kubeconfig)}
        storage = f"127.0.0.1:{free_port()}"
        self._start_controller("source-controller", env, "--watch-all-namespaces=true",
                               f"--storage-path={self._subfolder('artifacts')}",
                               f"--storage-addr={storage}", f"--storage-adv-addr={storage}")
        self._start_controller("kustomize-controller", env)

    def _start_controller(self, name, env, *args):
        health = f"127.0.0.1:{free_port()}"
        self._start(name, "--enable-leader-election=false", f"--health-addr={health}",
                    f"--metrics-addr=127.0.0.1:{free_port()}", *args, env=env).wait_for_url(f"http://{health}/readyz")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", help="keep state and logs here (default: a temporary folder)")
    parser.add_argument("--registry-host", default="127.0.0.1:5000", help="host:port of the registry with the catalog")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="gsq-cluster-") as temporary:
        try:
            with ControlPlane(options.dir or temporary) as cluster:
                cluster.connect_flux(options.registry_host)
                print(f"export KUBECONFIG={cluster.kubeconfig.resolve()}", flush=True)
                print("Flux follows", options.registry_host, "- Ctrl-C ends the cluster", file=sys.stderr)
                signal.pause()
        except MissingTool as missing:
            sys.exit(str(missing))
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
