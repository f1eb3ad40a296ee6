# SPDX-License-Identifier: Apache-2.0
"""When a version of an object was first seen in the cluster, by a watch."""
import threading
import time

from tests.lib.kube import condition, key_of, version_of


class Arrivals:
    """Collects a watch of PlatformResources (tests/lib/kube.py): what wait() asks for, at the price of a look-up."""

    def __init__(self):
        self._condition = threading.Condition()
        self._versions = {}     # key: number of the version that it has now
        self._seen = {}         # (key, number): when
        self._failure = None

    def add(self, *events):
        with self._condition:
            for event in events:
                key = key_of(event.object)
                number = number_of(version_of(event.object)) if event.type != "DELETED" else 0
                if self._versions.get(key) != number:
                    self._versions[key] = number
                    self._seen[key, number] = event.at
            self._condition.notify_all()

    def fail(self, failure):
        with self._condition:
            self._failure = failure
            self._condition.notify_all()

    def wait(self, key, version, deadline_s=120):
        """When the object had this version, or a later one that took its place."""
        number = number_of(version)
        with self._condition:
            if not self._condition.wait_for(
                    lambda: self._failure or self._versions.get(key, 0) >= number, deadline_s):
                raise TimeoutError(f"{key} has not got version {version} in {deadline_s} s")
            if self._failure:
                raise self._failure
            return self._first_seen(key, number)

    def _first_seen(self, key, number):
        exact = self._seen.get((key, number))
        if exact is not None:
            return exact
        return min(at for (other, later), at in self._seen.items() if other == key and later > number)

    def wait_all(self, wanted, deadline_s, progress=None):
        """wanted: {key: version}. True when all of them have it, or a later one."""
        left = {key: number_of(version) for key, version in wanted.items()}
        end = time.monotonic() + deadline_s
        with self._condition:
            while True:
                if self._failure:
                    raise self._failure
                left = {key: number for key, number in left.items() if self._versions.get(key, 0) < number}
                if not left or time.monotonic() > end:
                    return not left
                if progress:
                    progress(len(wanted) - len(left), len(wanted))
                self._condition.wait(1)

    def forget(self):
        """What was seen until now is not asked for any more."""
        with self._condition:
            self._seen.clear()


class Failures:
    """Collects a watch of Kustomizations: when Flux said that one is not ready, and what it said."""

    def __init__(self):
        self._condition = threading.Condition()
        self._failures = []     # (when, message)
        self._failure = None    # of the watch itself

    def add(self, *events):
        with self._condition:
            for event in events:
                ready = condition(event.object)
                if ready.get("status") == "False":
                    self._failures.append((event.at, ready.get("message", "")))
            self._condition.notify_all()

    def fail(self, failure):
        with self._condition:
            self._failure = failure
            self._condition.notify_all()

    def wait(self, text, since, deadline_s=120):
        """When a failure was first reported, not before `since`, whose message contains text."""
        def found():
            return next((at for at, message in self._failures if at >= since and text in message), None)
        with self._condition:
            if not self._condition.wait_for(lambda: self._failure or found() is not None, deadline_s):
                raise TimeoutError(f"Flux has not reported a failure of {text} in {deadline_s} s")
            if self._failure:
                raise self._failure
            return found()


def number_of(version):
    """123 of "v123"; 0 of None."""
    return int(version[1:]) if version else 0
