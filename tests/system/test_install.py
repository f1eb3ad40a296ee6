# SPDX-License-Identifier: Apache-2.0
"""meson install: where everything goes. That it works from there, scripts/debian-package tests in a clean Debian."""
import os
import re
import shutil
import subprocess

import pytest

from tests.lib.gsq import ROOT, binary, variables

PREFIX = "usr/local"
COMPLETIONS = {
    "bash": "share/bash-completion/completions/gsq.bash",
    "zsh": "share/zsh/site-functions/_gsq",
    "fish": "share/fish/vendor_completions.d/gsq.fish",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The prefix, in a folder that stands for the root of the system."""
    build = os.environ.get("GSQ_BUILD")
    if build is None or shutil.which("meson") is None:
        pytest.skip("needs meson, and GSQ_BUILD, a build folder")
    root = tmp_path_factory.mktemp("root")
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild"], env={**os.environ, "DESTDIR": str(root)},
                   check=True, capture_output=True, timeout=120)
    assert [entry.name for entry in root.iterdir()] == ["usr"], "nothing is outside the prefix, /etc least of all"
    return root / PREFIX


def run(*args):
    return subprocess.run(args, check=True, capture_output=True, text=True, timeout=60).stdout


def test_the_program_has_the_name_that_kubectl_looks_for_too(installed):
    assert (installed / "bin" / "kubectl-intent").readlink().name == "gsq"
    assert run(installed / "bin" / "kubectl-intent", "--version") == run(installed / "bin" / "gsq", "--version")


def test_its_version_is_that_of_the_debian_package(installed):
    version = re.search(r"\((.*)\)", (ROOT / "debian" / "changelog").read_text())[1]
    assert run(installed / "bin" / "gsq", "--version") == f"gsq {version}\n"


def test_only_what_kubectl_and_people_call_is_in_bin(installed):
    assert {entry.name for entry in (installed / "bin").iterdir()} == {"gsq", "kubectl-intent", "kubectl_complete-intent"}


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_the_completion_is_where_the_shell_looks(installed, shell):
    assert (installed / COMPLETIONS[shell]).read_text() == run(binary(), "completion", shell)


def test_man_finds_the_pages(installed):
    pages = installed / "share" / "man" / "man1"
    assert {"gsq.1", "gsq-serve.1", "gsq-apply.1"} <= {page.name for page in pages.iterdir()}
    assert (pages / "kubectl-intent.1").read_text() == (pages / "gsq.1").read_text()


def test_the_unit_starts_what_was_installed(installed):
    unit = (installed / "lib" / "systemd" / "system" / "gsq.service").read_text()
    assert re.findall("^ExecStart=(.*)$", unit, re.M) == [f"/{PREFIX}/bin/gsq serve"]


def test_the_user_of_the_unit_is_made_by_sysusers(installed):
    unit = (installed / "lib" / "systemd" / "system" / "gsq.service").read_text()
    user = re.search("^User=(.*)$", unit, re.M)[1]
    assert re.search(f"^u {user} ", (installed / "lib" / "sysusers.d" / "gsq.conf").read_text(), re.M)


def test_the_examples_set_variables_that_the_server_has(installed):
    examples = installed / "share" / "doc" / "gsq" / "examples"
    names = set(re.findall("^#?([A-Z_]+)=", (examples / "gsq.env").read_text(), re.M))
    names |= set(re.findall("([A-Z_]+)=", re.search("^Environment=(.*)$", (examples / "tls.conf").read_text(), re.M)[1]))
    assert {"LISTEN_ADDR", "TLS_CERT", "REGISTRY_HOST"} <= names
    assert names - set(variables()) == set()


def test_the_options_as_they_are_shipped_set_nothing():
    """The package makes a store where they are still so."""
    assert [line for line in (ROOT / "deploy" / "systemd" / "gsq.env").read_text().splitlines()
            if line and not line.startswith("#")] == []


def test_the_docs_are_there(installed):
    docs = installed / "share" / "doc" / "gsq"
    assert (docs / "README.md").read_text() == (ROOT / "README.md").read_text()
    assert {path.name for path in (docs / "docs").iterdir()} >= {"API.md", "OPERATIONS.md"}
