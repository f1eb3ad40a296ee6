# SPDX-License-Identifier: Apache-2.0
"""The examples of each verb's help: they are run as they stand there, against a server that has what they name."""
import re
import subprocess

import pytest

from tests.lib.gsq import binary
from tests.system.resources import declare
from tests.system.revisions import history, revisions
from tests.system.test_kubectl_habits import Flux, end_by_ctrl_c, run
from tests.system.test_kubectl_habits import server, shell  # noqa: F401  pylint: disable=unused-import

GO_ON = ("gsq get -w", "gsq watch", "gsq watch -A -o json")
# Those that cannot be run here, and why; each is tried elsewhere, or names a host that nobody has.
ELSEWHERE = {
    "KUBE_EDITOR='code --wait' gsq edit web -n shop": "an editor with windows",
    "gsq export -n shop | gsq apply --server https://other.example -f -": "another server",
    "gsq login https://gsq.example.org --name prod -n shop": "a server that asks for its token on a terminal",
    "gsq import-original --dry-run http://zot:5000": "test_import_original.py",
    "gsq import-original http://zot:5000": "test_import_original.py",
    "gsq serve --registry http://zot:5000": "test_import_original.py",
    "gsq man | man -l -": "test_man.py",
    "gsq man man1 && man -l man1/gsq-get.1": "test_man.py",
}
DIFFERENT = 1


def examples():
    """Each line of each verb's help."""
    def help_of(*verb):
        return subprocess.run([binary(), *verb, "--help"], capture_output=True, text=True, timeout=60,
                              check=True).stdout
    lines = []
    for verb in re.findall(r"^  ([a-z-]+)  +[A-Z]", help_of(), re.M):
        _, _, text = help_of(verb).partition("\nExamples:\n")
        lines += re.findall(r"^  (\S.*)$", text, re.M)
    return list(dict.fromkeys(lines))


@pytest.fixture
def prepared(server, shell):  # noqa: F811  pylint: disable=redefined-outer-name
    """What the examples name: labels, a context, versions and revisions."""
    declare(server, "db", "shop", labels={"team": "shop"})
    config = open(shell["GSQ_CONFIG"], encoding="utf-8").read()
    with open(shell["GSQ_CONFIG"], "w", encoding="utf-8") as file:
        file.write(config.replace('"other"', '"prod"'))
    found = revisions(server)
    return {"v1795893153160483": history(server, "web")[-1]["version"], "c1795893153160483": found[-2]["revision"],
            "c1764005082123456": found[-2]["revision"], "c1795893160000000": found[0]["revision"],
            "http://127.0.0.1:8080": shell["SERVER"]}


@pytest.mark.parametrize("example", examples())
def test_an_example_does_what_it_says(
        example, prepared, server, shell, kube):  # noqa: F811  pylint: disable=redefined-outer-name
    if example in ELSEWHERE:
        pytest.skip(ELSEWHERE[example])
    command = example
    for placeholder, real in prepared.items():
        command = command.replace(placeholder, real)
    if example in GO_ON:
        line, status = end_by_ctrl_c(command, shell, server)
        assert line and status == 130
        return
    with Flux(server, kube):
        done = run(command, shell)
    assert done.returncode == (DIFFERENT if example.startswith("gsq diff") else 0), done.stderr + done.stdout
    assert done.stdout or done.stderr or example.startswith("source ")


def test_what_is_not_run_here_is_still_an_example():
    assert set(ELSEWHERE) <= set(examples())
