# SPDX-License-Identifier: Apache-2.0
"""Streams of Server-Sent Events (WHATWG HTML, section 9.2), read as they come."""
import json
from collections import namedtuple

WATCH = "/api/v1/watch"

# data: the parsed JSON.
Event = namedtuple("Event", "id event data")


class Events:
    """One stream; it has begun when this is made, and first is how."""

    def __init__(self, server, path=WATCH, headers=None, timeout=120):
        self.comments = []
        self.retry = None
        self._connection = server.connect(timeout)
        self._connection.request("GET", path, headers=headers or {})
        self.answer = self._connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        self.first = self.next()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._connection.close()
        self.answer.close()

    def line(self):
        """Without its end; None at the end of the whole stream."""
        line = self.answer.readline()
        return line.decode().removesuffix("\n") if line else None

    def next(self):
        """The next event, or None at the end."""
        fields = {}
        while (line := self.line()) is not None:
            if line.startswith(":"):
                self.comments.append(line)
            elif line:
                key, _, value = line.partition(": ")
                fields[key] = value
            elif "data" in fields:
                return Event(fields["id"], fields["event"], json.loads(fields["data"]))
            else:
                self.retry = fields.get("retry", self.retry)
                fields = {}
        return None

    def take(self, n):
        return [self.next() for _ in range(n)]
