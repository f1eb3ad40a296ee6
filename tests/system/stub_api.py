# SPDX-License-Identifier: Apache-2.0
"""As much of the API as a verb that waits needs, with whatever phases and events a test wants."""
import json
import queue
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RESOURCES = re.compile(r"/api/v1/namespaces/([a-z-]+)/resources(?:/([a-z0-9-]+))?(/status)?")


class StubApi:
    """set() makes a resource, or changes its phase and tells those who watch, remove() takes it away; broken streams
    are begun again by their clients. requests: (path, query) of each that is answered, or a stream that is open."""

    def __init__(self):
        self.resources = {}
        self.streams = []
        self.requests = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.break_streams()
        self._server.shutdown()
        self._server.server_close()

    def set(self, name, phase, reason=None, message=None, namespace="default", told=True):
        status = {"phase": phase, "since": "2026-11-29T07:00:00.000000Z"}
        status.update({key: value for key, value in (("reason", reason), ("message", message)) if value})
        self.resources[namespace, name] = status
        if told:
            self.tell("phase", {"namespace": namespace, "name": name, "version": "v1", "status": status})

    def remove(self, name, namespace="default"):
        del self.resources[namespace, name]
        self.tell("change", {"op": "deleted", "namespace": namespace, "name": name, "version": "v2",
                             "phase": "deleting"})

    def tell(self, event, data):
        for stream in self.streams:
            stream.put((event, data))

    def break_streams(self):
        for stream in self.streams:
            stream.put(None)
        self.streams = []


def resource(key, status):
    namespace, name = key
    return {"namespace": namespace, "name": name, "labels": {}, "version": "v1", "digest": "sha256:" + 64 * "0",
            "repository": f"gitops-squared/resources/{namespace}/{name}", "updatedAt": "2026-11-29T07:00:00.000000Z",
            "spec": {"type": "vm", "size": "small", "replicas": 1}, "status": status}


def handler_of(stub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path, _, query = self.path.partition("?")
            if path == "/api/v1/watch":
                stub.requests.append((path, query))
                self._watch()
                return
            if path == "/api/v1/resources":
                namespace = name = None
            else:
                namespace, name, status = RESOURCES.fullmatch(path).groups()
            if name is None:
                found = [resource(key, {"phase": value["phase"]}) for key, value in sorted(stub.resources.items())
                         if namespace in (None, key[0])]
                self._answer(200, {"resources": found, "count": len(found)})
            elif (namespace, name) not in stub.resources:
                self._answer(404, {"error": "there is no such resource", "code": "not_found"})
            else:
                own = stub.resources[namespace, name]
                self._answer(200, own if status else resource((namespace, name), own))
            stub.requests.append((path, query))

        def _answer(self, status, body):
            body = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _watch(self):
            events = queue.SimpleQueue()
            events.put(("reset" if "Last-Event-ID" in self.headers else "hello", {"namespace": "*"}))
            stub.streams.append(events)
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            while item := events.get():
                event, data = item
                try:
                    self.wfile.write(f"id: stub-1\nevent: {event}\ndata: {json.dumps(data)}\n\n".encode())
                except OSError:
                    return

        def log_message(self, *_):
            pass

    return Handler
