# SPDX-License-Identifier: Apache-2.0
"""gsq man: manual pages that say what --help says, and that man and mandoc take without a warning."""
import os
import re
import shutil
import subprocess

import pytest

from tests.lib.gsq import binary


def run(*args, **env):
    return subprocess.run([binary(), *args], env={**os.environ, **env}, capture_output=True, text=True, timeout=60)


def verbs_of(*group):
    """Of the program, or of a group of verbs, as its help lists them."""
    return re.findall(r"^  ([a-z-]+)  +[A-Z]", run(*group, "--help").stdout, re.M)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("man") / "man1"
    result = run("man", folder)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    return folder


def plain(page):
    """As a terminal of 100 columns shows it, without its bold and underlined characters."""
    shown = subprocess.run(["man", "-l", page], env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"},
                           capture_output=True, text=True, timeout=60, check=True).stdout
    return re.sub(r".\x08", "", shown)


def test_there_is_a_page_for_each_verb_and_one_for_all(pages):
    verbs = verbs_of()
    assert {"get", "apply", "serve", "version"} <= set(verbs)
    assert {page.name for page in pages.iterdir()} == {"gsq.1", *(f"gsq-{verb}.1" for verb in verbs)}


def test_the_page_of_a_verb_has_its_options_variables_and_examples(pages):
    shown = plain(pages / "gsq-freeze.1")
    assert re.search(r"^ +-n, --namespace NAMESPACE \(GSQ_NAMESPACE\)$", shown, re.M)
    assert re.search(r"^ +--reason TEXT$", shown, re.M)
    assert 'gsq freeze --reason "the registry moves, until 18:00"' in shown


def test_the_page_of_a_group_has_all_its_verbs(pages):
    shown = plain(pages / "gsq-token.1")
    for verb in verbs_of("token"):
        assert re.search(rf"^ +gsq token {verb}$", shown, re.M), verb


def test_the_main_page_has_all_verbs_and_the_exit_statuses(pages):
    shown = plain(pages / "gsq.1")
    for verb in verbs_of():
        assert re.search(rf"^ +gsq-{verb}\(1\)$", shown, re.M), verb
    assert "EXIT STATUS" in shown and "130" in shown


def test_what_programs_alone_call_has_no_page_and_no_help(pages):
    assert "words" in run("completion", "words", "--help").stdout
    assert "completion words" not in (pages / "gsq-completion.1").read_text(encoding="utf-8")
    assert "words" not in verbs_of("completion")


def test_mandoc_has_nothing_to_say(pages):
    mandoc = shutil.which("mandoc")
    if mandoc is None:
        pytest.skip("mandoc is not installed")
    result = subprocess.run([mandoc, "-T", "lint", "-W", "style", *sorted(pages.iterdir())], capture_output=True,
                            text=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, "")


def test_man_warns_of_nothing(pages):
    for page in pages.iterdir():
        result = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page],
                                env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}, capture_output=True,
                                text=True, timeout=60)
        assert (result.returncode, result.stderr) == (0, ""), page.name


def test_the_pages_of_one_source_are_the_same(tmp_path):
    for folder in ("a", "b"):
        assert run("man", tmp_path / folder, SOURCE_DATE_EPOCH="1795893153").returncode == 0
    assert "2026-11-28" in (tmp_path / "a" / "gsq.1").read_text(encoding="utf-8")
    for page in (tmp_path / "a").iterdir():
        assert page.read_bytes() == (tmp_path / "b" / page.name).read_bytes()


def test_without_a_folder_it_prints_the_main_page_and_writes_no_file(pages, tmp_path):
    result = subprocess.run([os.path.abspath(binary()), "man"], cwd=tmp_path, capture_output=True, text=True,
                            timeout=60, check=True)
    assert result.stdout == (pages / "gsq.1").read_text(encoding="utf-8")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named():
    result = run("man", "/dev/null/man1")
    assert result.returncode == 1
    assert result.stderr == "gsq man: cannot make the folder /dev/null/man1: Not a directory\n"
