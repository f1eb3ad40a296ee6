# SPDX-License-Identifier: Apache-2.0
"""Steady load: what the cluster can dry-run, and the rate of writes at which it keeps up."""
import itertools
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from bench.common import Failed
from tests.lib.kube import RESOURCES

# What kustomize-controller does at once by default: --concurrent 4, each with --concurrent-ssa 4.
WORKERS = 4 * 4
WRITERS = 32
LAG_MAX_S = 5
GROWTH = 1.25
FIRST = 0.4             # of what the dry-runs allow


def dry_run_capacity(kube, keys, seconds):
    """Server-side dry-run applies per second, of objects that are there, with as many workers as Flux has."""
    objects = kube.items(RESOURCES)
    manifests = []
    for namespace, name in keys:
        item = objects[namespace, name]
        manifests.append((path_of(namespace, name), {
            "apiVersion": item["apiVersion"], "kind": item["kind"], "spec": item["spec"],
            "metadata": {"name": name, "namespace": namespace,
                         "annotations": item["metadata"].get("annotations", {}),
                         "labels": item["metadata"].get("labels", {})}}))
    end = time.monotonic() + seconds
    turn = itertools.cycle(manifests)
    lock = threading.Lock()

    def work():
        count = 0
        while time.monotonic() < end:
            with lock:
                path, manifest = next(turn)
            kube.apply(path, manifest, dry_run=True)
            count += 1
        return count

    started = time.monotonic()
    with ThreadPoolExecutor(WORKERS) as pool:
        counts = [future.result() for future in [pool.submit(work) for _ in range(WORKERS)]]
    return sum(counts) / (time.monotonic() - started)


def path_of(namespace, name):
    group, kind = RESOURCES.rsplit("/", 1)
    return f"{group}/namespaces/{namespace}/{kind}/{name}"


class Steady:
    """write(key): updates a resource and returns its version. Resources are drawn at random, with a seed of its own."""

    def __init__(self, write, arrivals, keys, seconds):
        self._write, self._arrivals, self._keys, self._seconds = write, arrivals, keys, seconds
        self._random = random.Random(1)

    def run(self, rate, deadline_s=300):
        """Writes at a steady rate; returns the lags, from an answer to the object, in ascending order. None may be
        lost, however high the rate is."""
        self._arrivals.forget()
        writes = []
        count = max(1, int(rate * self._seconds))
        started = time.monotonic()

        def write(number, key):
            pause = started + number / rate - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            version = self._write(key)
            return key, version, time.monotonic()

        with ThreadPoolExecutor(WRITERS) as pool:
            futures = [pool.submit(write, number, self._random.choice(self._keys)) for number in range(count)]
            writes = [future.result() for future in futures]
        taken = time.monotonic() - started
        if count > 10 and taken > 1.2 * self._seconds:
            raise Failed(f"writes at {rate:.1f} per second took {taken:.1f} s in place of {self._seconds}: "
                         f"this program or the server is too slow for the rate")
        last = {}
        for key, version, _ in sorted(writes, key=lambda w: int(w[1][1:])):
            last[key] = version
        if not self._arrivals.wait_all(last, deadline_s):
            raise Failed(f"writes were lost: at {rate:.1f} per second not all of {len(last)} resources have arrived")
        return sorted(self._arrivals.wait(key, version) - at for key, version, at in writes)

    def highest_rate(self, allowed, told):
        """The highest rate whose lag, even the longest, is at most LAG_MAX_S: up in steps, then once between."""
        def keeps_up(rate):
            lags = self.run(rate)
            told(rate, lags)
            return lags[-1] <= LAG_MAX_S

        rate, best = FIRST * allowed, 0
        while not keeps_up(rate):
            rate /= GROWTH ** 2
            if rate < 0.05 * allowed:
                return 0
        while True:
            best, rate = rate, rate * GROWTH
            if not keeps_up(rate):
                break
        between = (best * rate) ** 0.5
        return between if keeps_up(between) else best
