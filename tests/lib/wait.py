# SPDX-License-Identifier: Apache-2.0
"""Waiting for something to become true: deadlines are generous, because a slow machine is not a failure."""
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
