# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes API by plain requests, and its watches: what kubectl does, without a process for each call."""
import contextlib
import http.client
import json
import os
import socket
import ssl
import threading
import time
import urllib.parse
from collections import namedtuple

from tests.lib.wait import DEADLINE_S, Collected

RESOURCES = "/apis/gitops-squared.io/v1alpha1/platformresources"
KUSTOMIZATIONS = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations"
SOURCES = "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/ocirepositories"
NAMESPACES = "/api/v1/namespaces"
VERSION = "gitops-squared.io/version"
REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
JSON = "application/json"
BUSY_S = 30

# at: time.monotonic() when it was read. type: ADDED, MODIFIED, DELETED; LISTED for what was there before the watch.
Event = namedtuple("Event", "at type object")


class KubeError(Exception):
    def __init__(self, method, path, status, body):
        super().__init__(f"{method} {path}: {status} {body[:500]!r}")
        self.status = status


class Kube:
    """Any thread; each has its connection, which is kept."""

    def __init__(self, server, token):
        """server: https://HOST:PORT"""
        self.server = server
        self.headers = {"Authorization": f"Bearer {token}", "Accept": JSON}
        self._own = threading.local()

    def request(self, method, path, body=None, content_type=JSON):
        payload = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = self.headers if payload is None else {**self.headers, "Content-Type": content_type}
        # 429: a kind that is just being made known, or more requests than it takes.
        end = time.monotonic() + BUSY_S
        while True:
            answer, content = self._exchange(method, path, payload, headers)
            if answer.status != 429 or time.monotonic() > end:
                break
            time.sleep(0.1)
        if answer.status >= 300:
            raise KubeError(method, path, answer.status, content)
        return json.loads(content)

    def get(self, path):
        return self.request("GET", path)

    def patch(self, path, body):
        """JSON merge patch."""
        return self.request("PATCH", path, body, MERGE_PATCH)

    def apply(self, path, manifest, dry_run=False):
        """Server-side apply, as Flux does it. manifest: bytes of YAML, or an object."""
        query = "?fieldManager=test&force=true" + ("&dryRun=All" if dry_run else "")
        return self.request("PATCH", path + query, manifest, APPLY_PATCH)

    def wake(self, path):
        """Makes Flux look at this object now; returns what it will set lastHandledReconcileAt to."""
        token = str(time.time_ns())
        self.patch(path, {"metadata": {"annotations": {REQUESTED_AT: token}}})
        return token

    def items(self, path):
        """{(namespace, name): object}"""
        return {key_of(item): item for item in self.get(path)["items"]}

    def watch(self, path, seen=None):
        return Watch(self, path, seen)

    def connect(self, timeout=60):
        host = urllib.parse.urlsplit(self.server).netloc
        # The test's own API server, on loopback.
        return http.client.HTTPSConnection(host, timeout=timeout, context=ssl._create_unverified_context())

    def _exchange(self, method, path, payload, headers):
        """A kept connection may have been closed meanwhile: then once more, on a new one."""
        for is_kept in (True, False):
            connection = getattr(self._own, "connection", None) if is_kept else None
            if is_kept and connection is None:
                continue
            try:
                return self._once(connection or self.connect(), method, path, payload, headers)
            except (OSError, http.client.HTTPException):
                self._own.connection = None
                if not is_kept:
                    raise
        raise AssertionError("not reached")

    def _once(self, connection, method, path, payload, headers):
        connection.request(method, path, payload, headers)
        answer = connection.getresponse()
        content = answer.read()
        self._own.connection = connection
        return answer, content


class Watch:
    """What happens below a path, from entering the context on: list, then watch, in a thread of its own.

    seen    gets the events, with add() and fail() as Collected has them
    """

    def __init__(self, kube, path, seen=None):
        self._kube, self._path = kube, path
        self._seen = seen or Collected()
        self._connection = self._answer = None
        self._closing = False
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        listed = self._kube.get(self._path)
        self._seen.add(*(Event(time.monotonic(), "LISTED", item) for item in listed["items"]))
        self._connection = self._kube.connect(timeout=None)
        self._connection.request(
            "GET", f"{self._path}?watch=true&resourceVersion={listed['metadata']['resourceVersion']}",
            headers=self._kube.headers)
        self._answer = self._connection.getresponse()
        if self._answer.status != 200:
            raise KubeError("GET", self._path, self._answer.status, self._answer.read())
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._closing = True
        # The descriptor, which is behind TLS: closing what another thread reads from would wait for it.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._answer.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)

    def events(self, *types):
        """All until now; only those of these types, where some are named."""
        return [event for event in self._seen.all() if not types or event.type in types]

    def wait_for(self, fits, what, deadline_s=DEADLINE_S):
        """The first event that fits(event)."""
        return self._seen.wait_for(fits, what, deadline_s)

    def _read(self):
        try:
            for line in self._answer:
                at = time.monotonic()
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise KubeError("WATCH", self._path, event["object"].get("code"), line)
                self._seen.add(Event(at, event["type"], event["object"]))
            raise ConnectionError(f"the watch of {self._path} has ended")
        except Exception as failure:  # pylint: disable=broad-except
            if not self._closing:
                self._seen.fail(failure)


def key_of(item):
    return item["metadata"].get("namespace"), item["metadata"]["name"]


def version_of(item):
    return item["metadata"].get("annotations", {}).get(VERSION)


def condition(item, kind="Ready"):
    """{"status", "reason", "message", ...} of an object's condition, {} where it has none."""
    return next((c for c in item.get("status", {}).get("conditions", []) if c["type"] == kind), {})
