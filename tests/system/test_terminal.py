# SPDX-License-Identifier: Apache-2.0
"""What goes to people: tables and help that fit their terminal, colour, closed pipes, full disks, Ctrl-C."""
import os
import re
import signal
import subprocess
import unicodedata

import pytest

from tests.lib.gsq import Gsq, binary
from tests.lib.process import free_port
from tests.lib.terminal import Terminal, left_in_colour, show
from tests.system.resources import declare, remove
from tests.system.test_repartition_verb import SINGLE, api, progress

ROWS = 3


@pytest.fixture
def tokens(tmp_path):
    """The arguments that list a few tokens, of which one is for many namespaces."""
    for name, namespaces in (("ci", "shop"), ("deploy", ",".join(f"team-{i}" for i in range(20))), ("x" * 40, "shop")):
        subprocess.run([binary(), "token", "create", name, "--role", "editor", "--namespace", namespaces,
                        "--data-dir", tmp_path], capture_output=True, timeout=60, check=True)
    return [binary(), "token", "list", "--data-dir", tmp_path]


def columns(line):
    """Of a terminal, without escape sequences."""
    line = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def environment(**more):
    return {**{key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")},
            "TERM": "xterm", **more}


# ---- tables ----

@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_table_fits_the_terminal(tokens, width):
    shown, status = show(tokens, columns=width, env=environment())
    lines = shown.splitlines()
    assert status == 0
    assert len(lines) == 1 + ROWS
    assert all(columns(line) <= width for line in lines), shown
    assert [line.split()[0][:2] for line in lines] == ["NA", "ci", "de", "xx"]


def test_what_is_cut_shows_that_it_is(tokens):
    shown, _ = show(tokens, columns=150, env=environment())
    assert re.search(r"^deploy +editor +team-0,\S*… ", shown, re.M)
    assert "LAST USED" in shown


def test_columns_from_the_right_go_where_there_is_no_room(tokens):
    shown, _ = show(tokens, columns=60, env=environment())
    assert "NAME" in shown and "LAST USED" not in shown


def test_nothing_is_cut_where_it_is_no_terminal(tokens):
    result = subprocess.run(tokens, capture_output=True, text=True, timeout=60, check=True,
                            env=environment(COLUMNS="20"))
    assert "x" * 40 in result.stdout and "team-19" in result.stdout
    assert "\x1b" not in result.stdout and "…" not in result.stdout


def test_the_variable_columns_is_believed_on_a_terminal(tokens):
    shown, _ = show(tokens, columns=200, env=environment(COLUMNS="30"))
    assert all(columns(line) <= 30 for line in shown.splitlines())


def test_wide_characters_take_two_columns_and_none_is_cut_in_two(tmp_path):
    config = tmp_path / "config.json"
    config.write_text('{"contexts":[{"name":"a","server":"https://日本語日本語日本語日本語日本語"},'
                      '{"name":"b","server":"https://e\u0301e\u0301"}]}', encoding="utf-8")
    config.chmod(0o600)
    for width in range(20, 60):
        shown, status = show([binary(), "context"], columns=width, env=environment(GSQ_CONFIG=str(config)))
        assert status == 0
        assert "\ufffd" not in shown
        shown = shown.replace("\u0301", "")
        assert all(columns(line) <= width for line in shown.splitlines()), shown
    head, *rows = shown.splitlines()
    assert {columns(row[:row.index("default")]) for row in rows} == {head.index("NAMESPACE")}


def test_what_would_move_the_cursor_is_not_printed(tmp_path):
    config = tmp_path / "config.json"
    config.write_text('{"contexts":[{"name":"a","server":"https://x\\u001b[2J\\n\\u0007"}]}', encoding="utf-8")
    config.chmod(0o600)
    shown, _ = show([binary(), "context"], env=environment(GSQ_CONFIG=str(config)))
    assert "https://x?[2J??" in shown


# ---- colour ----

@pytest.fixture
def resources(tmp_path):
    """The arguments that list a resource, whose phase has a colour."""
    with Gsq(tmp_path / "gsq") as server:
        declare(server, "web")
        yield [binary(), "get", "--server", f"http://127.0.0.1:{server.port}"]


def test_colour_is_for_terminals(resources):
    shown, status = show(resources, env=environment())
    assert status == 0 and "\x1b[" in shown
    result = subprocess.run(resources, capture_output=True, text=True, timeout=60, check=True, env=environment())
    assert "web" in result.stdout and "\x1b" not in result.stdout


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_is_for_who_wants_it(resources, env):
    shown, status = show(resources, env=environment(**env))
    assert status == 0 and "web" in shown and "\x1b" not in shown


def test_an_empty_no_color_is_none(resources):
    shown, _ = show(resources, env=environment(NO_COLOR=""))
    assert "\x1b[" in shown


@pytest.mark.parametrize("args", [
    ("get", "-A"), ("status",), ("status", "web"), ("log",), ("log", "--oneline"), ("history", "web"),
    ("history", "web", "-p"), ("doctor",), ("rollback", "web", "--dry-run"), ("diff", "-f", "web.yaml"),
])
def test_every_line_ends_in_the_terminals_own_colour(tmp_path, args):
    (tmp_path / "web.yaml").write_text("name: web\nspec: {type: vm, size: large}\n", encoding="utf-8")
    args = [tmp_path / arg if arg == "web.yaml" else arg for arg in args]
    with Gsq(tmp_path / "gsq") as server:
        for size in ("small", "medium"):
            declare(server, "web", size=size)
        declare(server, "db")
        remove(server, "db")
        shown, _ = show([binary(), *args, "--server", f"http://127.0.0.1:{server.port}"], env=environment())
    assert shown and not left_in_colour(shown), shown


def test_a_line_left_in_colour_is_found():
    assert left_in_colour("a\n\x1b[32mb\nc\x1b[0m\nx\n") == ["\x1b[32mb"]


# ---- help ----

@pytest.mark.parametrize("width", [20, 40, 80])
@pytest.mark.parametrize("args", [("--help",), ("serve", "--help"), ("token", "--help")])
def test_help_is_wrapped_between_words(args, width):
    shown, status = show([binary(), *args], columns=width, env=environment())
    assert status == 0
    for line in shown.splitlines():
        assert columns(line) <= width or len(line.split()) == 1, line


def test_help_in_a_pipe_is_as_wide_as_most_terminals():
    lines = subprocess.run([binary(), "apply", "--help"], capture_output=True, text=True, timeout=60, check=True,
                           env=environment()).stdout.splitlines()
    assert max(map(len, lines)) <= 80 and len(lines) > 20


# ---- who reads ----

def closed_pipe(*args):
    """Its status and complaints, where nobody reads what it writes."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        result = subprocess.run([binary(), *args], stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=60)
    return result.returncode, result.stderr


def test_a_closed_pipe_ends_it_quietly(resources, tokens):
    assert closed_pipe(*resources[1:]) == (-signal.SIGPIPE, "")
    assert closed_pipe(*tokens[1:]) == (-signal.SIGPIPE, "")
    assert closed_pipe("--help") == (-signal.SIGPIPE, "")


def test_head_gets_its_line():
    result = subprocess.run(["sh", "-c", '"$1" serve --help | head -1', "sh", binary()], capture_output=True, text=True,
                            timeout=60)
    assert (result.stdout, result.stderr) == ("Usage: gsq serve [OPTION]...\n", "")


@pytest.mark.parametrize("args", [("--help",), ("version",), ("completion", "bash"), ("serve", "--help")])
def test_a_full_disk_is_an_error(args):
    with open("/dev/full", "wb") as full:
        result = subprocess.run([binary(), *args], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert result.returncode == 1
    assert "cannot write to standard output: No space left on device" in result.stderr


def test_a_full_disk_is_an_error_of_a_client_verb_too(resources):
    with open("/dev/full", "wb") as full:
        result = subprocess.run(resources, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr.startswith("gsq get: cannot write to standard output")


# ---- Ctrl-C ----

def test_ctrl_c_in_a_wait_says_what_goes_on_and_ends_with_130():
    with api(progress(SINGLE, "freeze")) as server, Terminal(
            [binary(), "repartition", "--server", f"http://{server.host}", "--layout", "split", "--catalogs", "16"],
            env=environment()) as terminal:
        terminal.wait_for(lambda shown: "freeze: " in shown)
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert "gsq repartition: interrupted; the server goes on by itself" in terminal.shown


def test_of_a_server_that_is_not_there_it_is_said_what_to_look_at():
    result = subprocess.run([binary(), "thaw", "--server", f"http://127.0.0.1:{free_port()}"], capture_output=True,
                            text=True, timeout=60)
    assert result.returncode == 1
    assert "is it running, and --server or the context right?" in result.stderr
