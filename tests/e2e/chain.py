# SPDX-License-Identifier: Apache-2.0
"""A server that watches the cluster, and Flux that follows its catalogs and looks by itself only every ten minutes: what
is in the cluster before that, it was woken for."""
from contextlib import contextmanager

from tests.lib.gsq import Gsq, resource_path
from tests.lib.kube import KUSTOMIZATIONS, RESOURCES, SOURCES, condition, version_of
from tests.lib.oci import Oci
from tests.lib.wait import wait_until

INTERVAL = "10m"
ROOT = "gitops-squared-resources"
ROOT_SOURCE = "gitops-squared-catalog"


class Chain:
    """
    user    of the kubeconfig format; None: a token of deploy/api's service account
    api     URL of the API server as this server sees it, as through a proxy
    pod     a Pod that the server is in, whose service account it has then; None: it has a kubeconfig
    split   number of catalogs for each namespace; None: the layout is single
    registry    HOST:PORT of a registry that is there; None: the embedded one
    """

    def __init__(self, cluster, folder, namespaces=("default",), split=None, args=(), user=None, api=None,
                 pod=None, registry=None):
        self.cluster, self.kube = cluster, cluster.kube
        folder.mkdir(parents=True, exist_ok=True)
        cluster.install_crd()
        cluster.install_account()
        for namespace in namespaces:
            cluster.create_namespace(namespace)
        self.kubeconfig = None if pod else cluster.write_kubeconfig(
            folder / "kubeconfig", user or {"token": cluster.account_token()}, api)
        layout = ["--layout", "split", "--catalogs", split] if split else []
        self.server = Gsq(folder / "gsq", registry=registry, layout=layout, kubeconfig=self.kubeconfig,
                          prefix=pod.prefix if pod else (), env=pod.env if pod else None)
        if registry:
            self.server.registry_host = registry
        self.catalog_url = ["--catalog-url", f"http://{self.server.registry_host}"]
        self.args = [*args, *self.catalog_url, *(["--in-cluster"] if pod else [])]
        self.server.args = self.args

    def start(self):
        self.server.start()
        self.wait_writable()
        self.cluster.connect_flux(self.server.registry_host, INTERVAL)
        self.settle()
        return self

    def restart(self, *args):
        """args: more flags than those of the chain, this time."""
        self.server.stop()
        self.server.args = [*self.args, *args]
        self.server.start()

    def clear(self):
        self.server.stop()
        self.cluster.clear()

    def wait_writable(self):
        """After a start it asks the cluster first whether that knows better."""
        def is_writable():
            answer = self.server.delete(resource_path("default", "is-it-writable"))
            assert answer.status == 404, answer.body
            return True
        wait_until(is_writable, lambda: f"changes to be taken:\n{self.server.process.log_tail()}")

    # ---- what is declared ----

    def post(self, name, namespace="default", query="", labels=None, **spec):
        body = {"name": name, "spec": {"type": "vm", "size": "small", **spec}}
        if labels is not None:
            body["labels"] = labels
        return self.server.post(resource_path(namespace) + query, body)

    def declare(self, name, namespace="default", **spec):
        """Returns the version."""
        answer = self.post(name, namespace, **spec)
        assert answer.status in (200, 201), answer.body
        return answer.json["version"]

    def declare_applied(self, name, namespace="default", **spec):
        """Declares it, and waits until the cluster has it; returns the version."""
        answer = self.post(name, namespace, "?wait=applied&timeout=120s", **spec)
        assert answer.status in (200, 201), (answer.status, answer.body)
        assert answer.json["status"]["phase"] == "applied", answer.json
        return answer.json["version"]

    def remove(self, name, namespace="default", query=""):
        answer = self.server.delete(resource_path(namespace, name) + query)
        assert answer.status in (200, 202), answer.body
        return answer

    def resource(self, name, namespace="default"):
        answer = self.server.get(resource_path(namespace, name))
        assert answer.status == 200, answer.body
        return answer.json

    def phases(self, namespace="default", **query):
        """{name: phase} as the list says."""
        text = "&".join(f"{key}={value}" for key, value in query.items())
        answer = self.server.get(resource_path(namespace) + (f"?{text}" if text else ""))
        assert answer.status == 200, answer.body
        return {item["name"]: item["status"]["phase"] for item in answer.json["resources"]}

    def wait_phase(self, phase, name, namespace="default", version=None):
        return self.server.wait_phase(phase, name, namespace, version)

    def wait_reason(self, reason, name, namespace="default"):
        return self.server.wait_reason(reason, name, namespace)

    # ---- what the cluster has ----

    def objects(self):
        """{(namespace, name): object}"""
        return self.kube.items(RESOURCES)

    def versions(self):
        return {key: version_of(item) for key, item in self.objects().items()}

    def identities(self):
        """What changes when Kubernetes has touched an object."""
        return {key: (item["metadata"]["uid"], item["metadata"]["resourceVersion"])
                for key, item in self.objects().items()}

    def uids(self):
        return {key: item["metadata"]["uid"] for key, item in self.objects().items()}

    def wait_object(self, name, version, namespace="default"):
        wait_until(lambda: self.versions().get((namespace, name)) == version,
                   lambda: f"{namespace}/{name} to be {version}:\n{self.cluster.flux_conditions()}")

    def wait_no_object(self, name, namespace="default"):
        wait_until(lambda: (namespace, name) not in self.objects(), f"{namespace}/{name} to be gone")

    def settle(self, but=()):
        """Returns when Flux has fetched all that the registry has, and has applied, and put down, all but these."""
        oci = Oci(self.server.registry_host)

        def settled():
            kustomizations = self.kube.items(KUSTOMIZATIONS)
            for (namespace, name), source in self.kube.items(SOURCES).items():
                repository = source["spec"]["url"].removeprefix(f"oci://{self.server.registry_host}/")
                revision = f"latest@{oci.digest(repository, 'latest')}"
                assert source.get("status", {}).get("artifact", {}).get("revision") == revision, name
                if name in but:
                    continue
                kustomization = kustomizations[namespace, ROOT if name == ROOT_SOURCE else name]
                assert kustomization.get("status", {}).get("lastAppliedRevision") == revision, name
                assert condition(kustomization).get("status") == "True", name
            return True
        wait_until(settled, lambda: f"Flux to settle:\n{self.cluster.flux_conditions()}")

    @contextmanager
    def without(self, *names):
        """Parts of the cluster are killed, and started again at the end. First Flux puts down what it has applied: what a
        Kustomization's inventory lacks it would never prune."""
        self.settle()
        with self.cluster.without(*names):
            yield

    def children(self):
        """Names of the Kustomizations and of the OCIRepositories that a root has made."""
        return ({name for _, name in self.kube.items(KUSTOMIZATIONS)} - {ROOT},
                {name for _, name in self.kube.items(SOURCES)} - {ROOT_SOURCE})

    def reconcile(self, *sources):
        """Flux looks at these OCIRepositories, and applies what they have, new or not; returns when it has."""
        sources = sources or (ROOT_SOURCE,)
        for path in (*(f"{SOURCES}/{source}" for source in sources), *map(kustomization_of, sources)):
            token = self.kube.wake(path)
            wait_until(lambda path=path, token=token:
                       self.kube.get(path).get("status", {}).get("lastHandledReconcileAt") == token,
                       lambda path=path: f"{path} to be reconciled")


def kustomization_of(source):
    return f"{KUSTOMIZATIONS}/{ROOT if source == ROOT_SOURCE else source}"


@contextmanager
def chain(*args, **kwargs):
    """One that is started, and whose traces are removed at the end."""
    made = Chain(*args, **kwargs)
    try:
        yield made.start()
    finally:
        made.clear()
