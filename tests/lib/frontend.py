# SPDX-License-Identifier: Apache-2.0
"""nginx and HAProxy before a server of this machine: what an operator may put there.

Both keep connections to the server open and send the requests of all clients over them, and both give each request that
they see an X-Request-Id beginning with MARK: one that arrives without it is none that they have seen.
"""
import os
import shutil

from tests.lib.process import Process, free_port

MARK = "via-"

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  {lenient}
  upstream behind {{ server 127.0.0.1:{target}; keepalive 1; }}
  server {{
    listen 127.0.0.1:{port}{listen};
    {tls}
    location / {{
      proxy_pass {scheme}://behind;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Request-Id {mark}$http_x_request_id;
    }}
  }}
}}
"""
NGINX_LENIENT = "underscores_in_headers on; ignore_invalid_headers off; proxy_request_buffering off;"
NGINX_TLS = "ssl_certificate {certificate}; ssl_certificate_key {key};"
NGINX_TARGET_TLS = "proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca}; proxy_ssl_name localhost;"

TIMEOUTS = """
  timeout connect 30s
  timeout client 60s
  timeout server 60s
"""
HAPROXY = """
global
  nbthread 1
  maxconn 256
defaults
  mode http""" + TIMEOUTS + """
frontend before
  bind 127.0.0.1:{port}{bind}
  {lenient}
  http-request set-header X-Request-Id {mark}%[req.hdr(x-request-id)]
  default_backend behind
backend behind
  http-reuse always
  server one 127.0.0.1:{target} pool-max-conn 1{server}
"""
HAPROXY_TCP = """
global
  nbthread 1
  maxconn 256
defaults
  mode tcp""" + TIMEOUTS + """
listen through
  bind 127.0.0.1:{port}
  server one 127.0.0.1:{target}
"""


class Frontend:
    """One of them, running inside a with statement.

    target          the port behind it
    lenient         it lets through what it can be told to let through
    tls             a Certificate that it shows; None: it speaks plain HTTP
    target_tls      the Certificate that the server behind shows; None: that speaks plain HTTP
    """
    program = None
    tls = None

    def __init__(self, folder, target):
        self.folder, self.target = folder, target
        self.port = free_port()
        self.process = None

    def __enter__(self):
        self.folder.mkdir(parents=True)
        path = self.folder / "configuration"
        path.write_text(self._configuration(), encoding="utf-8")
        self.process = Process(self.program, self._command(path), self.folder / "log")
        self.process.wait_for_port(self.port)
        return self

    def __exit__(self, *_):
        self.process.stop()

    def _configuration(self):
        raise NotImplementedError

    def _command(self, path):
        raise NotImplementedError


class Nginx(Frontend):
    program = "nginx"

    def __init__(self, folder, target, lenient=False, tls=None, target_tls=None):
        super().__init__(folder, target)
        self.lenient, self.tls, self.target_tls = lenient, tls, target_tls

    def _configuration(self):
        tls = NGINX_TLS.format(certificate=self.tls.certificate, key=self.tls.key) if self.tls else ""
        tls += NGINX_TARGET_TLS.format(ca=self.target_tls.ca) if self.target_tls else ""
        return NGINX.format(
            folder=self.folder, port=self.port, target=self.target, tls=tls, mark=MARK,
            listen=" ssl" if self.tls else "", lenient=NGINX_LENIENT if self.lenient else "",
            scheme="https" if self.target_tls else "http")

    def _command(self, path):
        return [program(self.program), "-p", self.folder, "-c", path]


class Haproxy(Frontend):
    program = "haproxy"

    def __init__(self, folder, target, lenient=False, tls=None, target_tls=None):
        super().__init__(folder, target)
        self.lenient, self.tls, self.target_tls = lenient, tls, target_tls

    def _configuration(self):
        return HAPROXY.format(
            port=self.port, target=self.target, mark=MARK,
            bind=f" ssl crt {self._pair()}" if self.tls else "",
            lenient="option accept-invalid-http-request" if self.lenient else "",
            server=f" ssl verify required ca-file {self.target_tls.ca} verifyhost localhost" if self.target_tls
            else "")

    def _pair(self):
        path = self.folder / "pair.pem"
        path.write_bytes(self.tls.certificate.read_bytes() + self.tls.key.read_bytes())
        return path

    def _command(self, path):
        return [program(self.program), "-db", "-f", path]


class Passthrough(Haproxy):
    """HAProxy that passes bytes on, and sees no requests; TLS is the server's own."""

    def __init__(self, folder, target, target_tls):
        super().__init__(folder, target)
        self.tls = target_tls

    def _configuration(self):
        return HAPROXY_TCP.format(port=self.port, target=self.target)


def program(name):
    """Its path, None where it is not installed: Debian has both where only root looks."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
