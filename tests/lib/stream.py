# SPDX-License-Identifier: Apache-2.0
"""GET /api/v1/watch, read by a thread while a test does other things."""
import contextlib
import os
import socket
import threading
import time
from collections import namedtuple

from tests.lib.events import WATCH, Events
from tests.lib.wait import DEADLINE_S, Collected

# at: time.monotonic() when it was read.
StreamEvent = namedtuple("StreamEvent", "at id type data")


class EventStream:
    """All events from entering the context on, the first included; last_id: those after that one."""

    def __init__(self, server, path=WATCH, last_id=None):
        self._server, self._path = server, path
        self._headers = {"Last-Event-ID": last_id} if last_id else {}
        self._seen = Collected()
        self._closing = False
        self._events = None
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        self._events = Events(self._server, self._path, self._headers)
        self._add(self._events.first)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._closing = True
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._events.answer.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self._events.close()

    def events(self):
        return self._seen.all()

    def wait_for(self, fits, what, deadline_s=DEADLINE_S):
        """The first event that fits(event), of those before and of those to come."""
        return self._seen.wait_for(fits, what, deadline_s)

    def _add(self, event):
        self._seen.add(StreamEvent(time.monotonic(), event.id, event.event, event.data))

    def _read(self):
        try:
            while (event := self._events.next()) is not None:
                self._add(event)
            raise ConnectionError("the server has ended the stream")
        except Exception as failure:  # pylint: disable=broad-except
            if not self._closing:
                self._seen.fail(failure)
