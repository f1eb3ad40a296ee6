# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes API with nothing but PlatformResources, listed in pages, over plain HTTP as kubectl takes it too."""
import json
import queue
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

RESOURCES = "/apis/gitops-squared.io/v1alpha1/platformresources"
FLUX = ("/apis/source.toolkit.fluxcd.io/", "/apis/kustomize.toolkit.fluxcd.io/")  # there, without any object
OURS = "app.kubernetes.io/managed-by"
KUSTOMIZATION = "kustomize.toolkit.fluxcd.io/name"


class StubKube:
    """objects may be changed at any time, which show() tells those who watch; failure: a status that every list is
    answered with."""

    def __init__(self, folder, page=2):
        self.objects, self.page, self.failure = [], page, None
        self.requests = []  # (path, query, token) of each
        self.watches = []  # a queue of events for each
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self._server.daemon_threads = True
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "stub",
            "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "stub"}}],
            "clusters": [{"name": "stub", "cluster": {"server": f"http://127.0.0.1:{self._server.server_port}"}}],
            "users": [{"name": "stub", "user": {"token": "secret"}}]}))

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        for events in self.watches:
            events.put(None)
        self._server.shutdown()
        self._server.server_close()

    def apply(self, files, kustomization="gitops-squared-resources"):
        """The manifests of a catalog, as Flux leaves them in the cluster."""
        self.objects = [yaml.safe_load(content) for name, content in sorted(files.items())
                        if not name.endswith("/kustomization.yaml")]
        for item in self.objects:
            item["metadata"]["uid"] = item["metadata"]["name"]
            item["metadata"]["labels"].update({
                KUSTOMIZATION: kustomization, "kustomize.toolkit.fluxcd.io/namespace": "flux-system"})
        return self

    def show(self, kind, item):
        """An event, ADDED, MODIFIED or DELETED, to all who watch."""
        for events in self.watches:
            events.put({"type": kind, "object": item})

    def find(self, name, namespace="default"):
        [item] = (item for item in self.objects
                  if (item["metadata"]["namespace"], item["metadata"]["name"]) == (namespace, name))
        return item

    def remove(self, *names):
        self.objects = [item for item in self.objects if item["metadata"]["name"] not in names]

    def list(self, query):
        key, _, value = query["labelSelector"].partition("=")
        items = [item for item in self.objects if item["metadata"].get("labels", {}).get(key) == value]
        first = int(query.get("continue", 0))
        last = first + min(self.page, int(query["limit"]))
        return {"kind": "PlatformResourceList", "apiVersion": "gitops-squared.io/v1alpha1",
                "metadata": {"resourceVersion": "1", "continue": str(last) if last < len(items) else ""},
                "items": items[first:last]}


def in_cluster(name, version, namespace="default"):
    """The object of a resource at that version, as far as the server looks at it."""
    return {"metadata": {"namespace": namespace, "name": name, "resourceVersion": "2",
                         "annotations": {"gitops-squared.io/version": version}}}


def handler_of(stub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path, _, query = self.path.partition("?")
            query = dict(urllib.parse.parse_qsl(query))
            stub.requests.append((path, query, self.headers.get("Authorization")))
            if path != RESOURCES and not path.startswith(FLUX):
                self._answer(404, {"kind": "Status", "message": "the server could not find the requested resource"})
            elif "watch" in query:
                self._watch(path == RESOURCES)
            elif path != RESOURCES:
                self._answer(200, {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": []})
            elif stub.failure:
                self._answer(stub.failure, {"kind": "Status", "message": "the stub refuses"})
            else:
                self._answer(200, stub.list(query))

        def _answer(self, status, body):
            body = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _watch(self, is_told):
            """What is shown, or nothing, until all ends; one whose client has gone is told in vain."""
            events = queue.SimpleQueue()
            stub.watches.append(events)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            while event := events.get():
                try:
                    if is_told:
                        self.wfile.write(json.dumps(event).encode() + b"\n")
                except OSError:
                    return

        def log_message(self, *_):
            pass

    return Handler
