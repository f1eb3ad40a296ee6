# SPDX-License-Identifier: Apache-2.0
"""The session of the README, line by line on a fresh server: what it shows there is what comes."""
import re

import pytest

from tests.lib.docs import ROOT, Shell, blocks, commands

MASKS = [
    (r"\b([vc])\d{16}\b", r"\1N"),
    (r"sha256:[0-9a-f]{64}", "sha256:N"),
    (r"\b\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"(?<= )\d+s(?= )", "AGE"),
    (r"localhost:\d+", "localhost:PORT"),
    (r"(?<=\S)  +(?=\S)", "  "),  # columns are as wide as what is in them
]


def masked(text):
    for pattern, mask in MASKS:
        text = re.sub(pattern, mask, text)
    return text.rstrip("\n").split("\n")


@pytest.fixture
def shell(tmp_path):
    with Shell(tmp_path / "home") as here:
        here.serve("gsq serve --init")
        yield here


def session():
    found = [block for block in blocks(ROOT / "README.md") if block.lines[0].startswith("$ ")]
    assert len(found) == 1
    return commands(found[0])


def test_the_session_of_the_readme_is_what_happens(shell):
    for command in session():
        status = shell.run(command.text)
        assert masked(shell.shown) == masked("\n".join(command.shown)), f"README.md:{command.line}: {command.text}"
        assert status == (1 if command.text.startswith("gsq diff") else 0), command.text


def test_it_shows_what_a_newcomer_needs():
    shown = {command.text.split()[1] for command in session() if command.text.startswith("gsq ")}
    assert shown >= {"apply", "get", "diff", "history", "rollback", "log"}
