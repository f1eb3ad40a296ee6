# SPDX-License-Identifier: Apache-2.0
"""How long the long tests are: ./test --long sets GSQ_LONG=1."""
import os

LONG = os.environ.get("GSQ_LONG") == "1"


def rounds(normal, long):
    return long if LONG else normal
