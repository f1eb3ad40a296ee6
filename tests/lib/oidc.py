# SPDX-License-Identifier: Apache-2.0
"""An OpenID Connect issuer on loopback: discovery, its keys, and tokens that it has signed, or that it should not."""
import base64
import itertools
import json
import ssl
import threading
import time
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.lib.process import free_port

AUDIENCE = "gitops-squared"
DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"

NUMBERS = itertools.count(1)

# A whole answer in place of what the issuer would say.
Answer = namedtuple("Answer", "status body headers", defaults=({},))


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, length=None):
    return base64url(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


class Key:
    """One key pair, for RS256, ES256 or EdDSA."""

    def __init__(self, alg, kid=None):
        self.alg, self.kid = alg, kid or f"key-{next(NUMBERS)}"
        if alg == "RS256":
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        elif alg == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()
        self.public = self.private.public_key()

    def jwk(self):
        return {"kid": self.kid, "use": "sig", "alg": self.alg, **self._members()}

    def sign(self, text):
        if self.alg == "RS256":
            return self.private.sign(text, padding.PKCS1v15(), hashes.SHA256())
        if self.alg == "EdDSA":
            return self.private.sign(text)
        pair = decode_dss_signature(self.private.sign(text, ec.ECDSA(hashes.SHA256())))
        return b"".join(half.to_bytes(32, "big") for half in pair)

    def _members(self):
        if self.alg == "RS256":
            numbers = self.public.public_numbers()
            return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        if self.alg == "EdDSA":
            raw = self.public.public_bytes(Encoding.Raw, PublicFormat.Raw)
            return {"kty": "OKP", "crv": "Ed25519", "x": base64url(raw)}
        numbers = self.public.public_numbers()
        return {"kty": "EC", "crv": "P-256", "x": number(numbers.x, 32), "y": number(numbers.y, 32)}


def token_of(header, claims, sign):
    """sign: a function of the signed bytes."""
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{base64url(sign(signed.encode()))}"


class Issuer:
    """start() and stop() may be repeated; the port stays.

    keys     those that it announces; may be changed at any time
    answers  {path: Answer} in place of what it would say
    asked    the paths that were asked for, in their order
    tls      (certificate, key) files; None: http
    """

    def __init__(self, *keys, tls=None):
        self.keys = list(keys) or [Key("RS256")]
        self.answers, self.asked = {}, []
        self._tls, self._server = tls, None
        self._port = free_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._port}"

    def start(self):
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), handler_of(self))
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self):
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def flags(self):
        return ["--oidc-issuer", self.url, "--oidc-audience", AUDIENCE]

    def claims(self, sub="alice", **claims):
        """Good ones; those given are added or in place, and those that are None are left out."""
        now = int(time.time())
        good = {"iss": self.url, "aud": AUDIENCE, "sub": sub, "iat": now, "nbf": now, "exp": now + 600,
                "jti": str(next(NUMBERS))}
        return {name: value for name, value in {**good, **claims}.items() if value is not None}

    def token(self, sub="alice", key=None, header=None, **claims):
        """A token signed by a key, the first where none is given. header: added to it, or in place."""
        key = key or self.keys[0]
        full = {"alg": key.alg, "kid": key.kid, "typ": "JWT", **(header or {})}
        return token_of(full, self.claims(sub, **claims), key.sign)

    def answer(self, path):
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        if path == DISCOVERY:
            return Answer(200, {"issuer": self.url, "jwks_uri": self.url + KEYS,
                                "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"]})
        if path == KEYS:
            return Answer(200, {"keys": [key.jwk() for key in self.keys]})
        return Answer(404, b"")


def handler_of(issuer):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body, headers = issuer.answer(self.path)
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": len(body), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler
