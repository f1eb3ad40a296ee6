# SPDX-License-Identifier: Apache-2.0
"""Runs the OCI distribution-spec's own conformance program against `gsq serve`, with everything switched on.

    python3 -m tests.conformance.run RESULTS_DIR

Prints "PASSED FAILED SKIPPED", and on standard error the name and reason of every case that did not pass. Nothing may
go untested: what the program skips counts as failed, and so does a switch of it that is off. Its reports (report.html
shows every request), its output and the server's log stay in RESULTS_DIR.
"""
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

from tests.lib.gsq import Gsq
from tests.lib.tools import tool

DEADLINE_S = 600

SETTINGS = {
    "OCI_VERSION": "dev",
    "OCI_TLS": "disabled",
    "OCI_REPO1": "conformance/one",
    "OCI_REPO2": "conformance/two",
    "OCI_API_BLOBS_DIGEST_HEADER": "true",
    "OCI_API_BLOBS_UPLOAD_CANCEL": "true",
    "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
    "OCI_API_MANIFESTS_TAG_PARAM": "true",
    "OCI_DATA_SPARSE": "true",
}


def run_program(results):
    # The caller's settings would quietly switch tests off.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OCI_")}
    with Gsq(results / "gsq") as server, open(results / "output.txt", "w", encoding="utf-8") as output:
        environment.update(SETTINGS, OCI_REGISTRY=server.registry_host, OCI_RESULTS_DIR=str(results))
        # Its exit status says less than its report. In this folder there is no oci-conformance.yaml.
        subprocess.run([tool("conformance")], cwd=results, env=environment, stdout=output, stderr=output, check=False,
                       timeout=DEADLINE_S)


def complain(what, name, reason):
    print(f"{what}: {name}", *reason.splitlines(), sep="\n    ", file=sys.stderr)


def count(results):
    """The program counts the checks of a case, so they are more than its cases."""
    [suite] = xml.parse(results / "junit.xml").getroot().iter("testsuite")
    tests, *bad = (int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped", "disabled"))
    for case in suite.iter("testcase"):
        if case.get("status") != "passed":
            complain(case.get("status"), case.get("name"), case.findtext("system-out") or "")
    off = re.findall(r"^ +(\w+): false$", (results / "results.yaml").read_text(), re.MULTILINE)
    for switch in off:
        complain("failure", f"{switch} is off", "switch it on in SETTINGS")
    return tests - sum(bad), sum(bad) + len(off), 0


def main():
    results = Path(sys.argv[1]).resolve()
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    run_program(results)
    print(*count(results))


main()
