# SPDX-License-Identifier: Apache-2.0
"""A token server for the distribution registry (its "token authentication specification"), RS256 by openssl."""
import base64
import json
import subprocess
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SERVICE, ISSUER = "test-registry", "test-issuer"


class TokenServer:
    """users: {name: password}; refresh_tokens: {token: user}. log has one (method, user, scopes) per token asked."""

    def __init__(self, folder, users=None, refresh_tokens=None, expires_in=None):
        self.users, self.refresh_tokens = users or {}, refresh_tokens or {}
        self.expires_in = expires_in
        self.log = []
        self._key, self.certificate = folder / "token.key", folder / "token.crt"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tokens",
             "-keyout", self._key, "-out", self.certificate], check=True, capture_output=True)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self.realm = f"http://127.0.0.1:{self._server.server_port}/token"

    def distribution_config(self):
        return {"realm": self.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(self.certificate)}

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def answer_get(self, query, authorization):
        user = self._user_of(authorization)
        if authorization and user is None:
            self.log.append(("GET", None, query.get("scope", [])))
            return 401, {"errors": [{"code": "UNAUTHORIZED"}]}
        return self._grant("GET", user, query.get("service"), query.get("scope", []))

    def answer_post(self, form):
        user = self.refresh_tokens.get(form["refresh_token"][0])
        if form["grant_type"] != ["refresh_token"] or user is None:
            return 401, {"errors": [{"code": "UNAUTHORIZED"}]}
        return self._grant("POST", user, form.get("service"), form["scope"][0].split())

    def _user_of(self, authorization):
        kind, _, value = (authorization or "").partition(" ")
        if kind != "Basic":
            return None
        user, _, password = base64.b64decode(value).decode().partition(":")
        return user if self.users.get(user) == password else None

    def _grant(self, method, user, service, scopes):
        self.log.append((method, user, scopes))
        assert service == [SERVICE]
        # A stranger may do nothing, as with a private registry.
        access = [access_of(scope) for scope in scopes] if user else []
        answer = {"token": self._sign(user, access)}
        if self.expires_in:
            answer["expires_in"] = self.expires_in
        return 200, answer

    def _sign(self, user, access):
        now = int(time.time())
        der = subprocess.run(["openssl", "x509", "-in", self.certificate, "-outform", "DER"],
                             check=True, capture_output=True).stdout
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        claims = {"iss": ISSUER, "sub": user or "", "aud": SERVICE, "iat": now, "nbf": now - 10,
                  "exp": now + (self.expires_in or 60), "jti": str(time.monotonic_ns()), "access": access}
        signed = b".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self._key], input=signed,
                                   check=True, capture_output=True).stdout
        return (signed + b"." + base64url(signature)).decode()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def access_of(scope):
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


def handler_of(tokens):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            self._reply(*tokens.answer_get(query, self.headers.get("Authorization")))

        def do_POST(self):
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._reply(*tokens.answer_post(urllib.parse.parse_qs(form)))

        def _reply(self, status, value):
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler
