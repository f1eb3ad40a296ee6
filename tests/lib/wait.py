# SPDX-License-Identifier: Apache-2.0
"""Waiting for something to become true: deadlines are generous, because a slow machine is not a failure."""
import threading
import time

DEADLINE_S = 120


def wait_until(probe, what, deadline_s=DEADLINE_S, every_s=0.05):
    """Calls probe until it returns something true, and returns that.

    A probe may also assert: an AssertionError means "not yet", and the last one explains the timeout.
    `what` names the thing waited for; it may be a function, called only when time has run out.
    """
    end = time.monotonic() + deadline_s
    while True:
        reason = None
        try:
            result = probe()
            if result:
                return result
        except AssertionError as error:
            reason = error
        if time.monotonic() >= end:
            text = what() if callable(what) else what
            raise TimeoutError(f"waited {deadline_s} s in vain for {text}") from reason
        time.sleep(every_s)


class Collected:
    """What a thread reads from somewhere, for others to wait for."""

    def __init__(self):
        self._condition = threading.Condition()
        self._items = []
        self._failure = None

    def add(self, *items):
        with self._condition:
            self._items.extend(items)
            self._condition.notify_all()

    def fail(self, failure):
        """No more will come: whoever asks from now on gets this exception."""
        with self._condition:
            self._failure = failure
            self._condition.notify_all()

    def all(self):
        with self._condition:
            if self._failure:
                raise self._failure
            return list(self._items)

    def wait_for(self, fits, what, deadline_s=DEADLINE_S):
        """The first one that fits(item), of those before and of those to come."""
        seen = 0
        end = time.monotonic() + deadline_s
        with self._condition:
            while True:
                for item in self._items[seen:]:
                    if fits(item):
                        return item
                seen = len(self._items)
                if self._failure:
                    raise self._failure
                left = end - time.monotonic()
                if left <= 0:
                    text = what() if callable(what) else what
                    raise TimeoutError(f"waited {deadline_s} s in vain for {text}; the last: {self._items[-3:]}")
                self._condition.wait(left)
