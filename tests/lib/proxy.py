# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy on loopback whose connections a test can cut, refuse, or let fall silent."""
import contextlib
import socket
import threading

from tests.lib.process import free_port

CHUNK = 65536


class Proxy:
    """Forwards to a port of this machine.

    cut()      ends every connection; new ones are taken
    refuse()   cuts, and takes no new ones, until accept()
    stall()    forwards nothing more of any connection, new ones included, until flow()
    """

    def __init__(self, target_port):
        self.port = free_port()
        self._target_port = target_port
        self._lock = threading.Lock()
        self._open = set()
        self._listener = None
        self._flows = threading.Event()
        self._flows.set()

    def __enter__(self):
        self.accept()
        return self

    def __exit__(self, *_):
        self._flows.set()
        self.refuse()

    def accept(self):
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept_all, args=(self._listener,), daemon=True).start()

    def refuse(self):
        if self._listener:
            # close() alone does not wake the thread that accepts.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self):
        """Returns how many connections there were."""
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            shut_down(end)
        return len(ends) // 2

    def stall(self):
        self._flows.clear()

    def flow(self):
        self._flows.set()

    def _accept_all(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port), timeout=10)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source, sink):
        with contextlib.suppress(OSError):
            while piece := source.recv(CHUNK):
                self._flows.wait()
                sink.sendall(piece)
        with self._lock:
            self._open -= {source, sink}
        shut_down(source)
        shut_down(sink)


def shut_down(end):
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
