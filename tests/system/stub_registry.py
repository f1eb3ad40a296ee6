# SPDX-License-Identifier: Apache-2.0
"""A registry that answers as a test says, for what the real one never does."""
import threading
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


# path: with its query
Request = namedtuple("Request", "method path headers body")


class Server(ThreadingHTTPServer):
    # All of a client's connections may come at once.
    request_queue_size = 128


class StubRegistry:
    """answer(request) returns (status, headers, body); most_open: requests in its hands at one time."""

    def __init__(self, answer):
        self.log = []
        self.most_open = 0
        self._open = 0
        self._lock = threading.Lock()
        self._answer = answer
        self._server = Server(("127.0.0.1", 0), handler_of(self))
        self.host = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request):
        with self._lock:
            self.log.append(request)
            self._open += 1
            self.most_open = max(self.most_open, self._open)
        try:
            return self._answer(request)
        finally:
            with self._lock:
                self._open -= 1


def handler_of(stub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers, body = stub.answer(Request(self.command, self.path, self.headers, body))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

        def log_message(self, *_):
            pass

    return Handler
