# SPDX-License-Identifier: Apache-2.0
"""gsq edit: the editor is a script, which does to the file what a test wants."""
import re
import stat
from pathlib import Path

import pytest

from tests.lib.cli import cli_of
from tests.lib.gsq import Gsq
from tests.system.resources import declare

KEPT = re.compile(r"What you wrote is in (\S+\.yaml)")


@pytest.fixture
def server(tmp_path):
    with Gsq(tmp_path / "gsq") as server:
        declare(server, "web", labels={"team": "shop"}, region="eu")
        yield server


@pytest.fixture
def edit(server, tmp_path):
    """edit(script, *args): the script finds the file's name in $1; its n-th run finds n in the file runs."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    def run(script, *args, name="web", variable="EDITOR"):
        editor = tmp_path / "editor"
        editor.write_text(f"#!/bin/sh\nset -e\necho x >> {tmp_path}/runs\n"
                          f'cp "$1" {tmp_path}/seen.$(wc -l < {tmp_path}/runs)\n{script}\n')
        editor.chmod(0o755)
        result = cli_of(server, env={"TMPDIR": str(temporary), variable: str(editor)}).run("edit", name, *args)
        result.left = list(temporary.rglob("*.yaml"))
        result.seen = [path.read_text() for path in sorted(tmp_path.glob("seen.*"))]
        return result
    return run


def size(server, name="web"):
    return server.get(f"/api/v1/resources/{name}").json["spec"]["size"]


def test_what_is_saved_becomes_the_resource(server, edit):
    result = edit('sed -i s/small/large/ "$1"', "--reason", "it grows")
    assert (result.returncode, result.stdout) == (0, "platformresource/web edited\n"), result.stderr
    web = server.get("/api/v1/resources/web").json
    assert (web["spec"], web["labels"]) == (
        {"type": "vm", "size": "large", "region": "eu", "replicas": 1}, {"team": "shop"})
    assert server.get("/api/v1/revisions?limit=1").json["revisions"][0]["why"] == "it grows"
    assert result.left == []


def test_after_saving_it_waits_where_that_is_asked_for(server, edit):
    result = edit('sed -i s/small/large/ "$1"', "--wait")
    assert (result.returncode, result.stdout) == (1, "platformresource/web edited\n")
    assert "watches no cluster" in result.stderr and size(server) == "large"
    result = edit("true", "--wait")
    assert (result.returncode, result.stderr) == (0, "Edit cancelled, no changes made.\n")


@pytest.mark.parametrize("args, said", [
    (("--timeout", "1m"), "--timeout goes with --wait"),
    (("--reason", "a\r\nX-Evil: b"), "--reason must be one line"),
])
def test_wrong_usage_is_told_before_the_editor_opens(edit, args, said):
    result = edit("true", *args)
    assert result.returncode == 2 and said in result.stderr
    assert not result.seen


def test_the_file_is_yaml_below_instructions_without_what_the_server_puts_there(server, edit):
    result = edit("true")
    head = re.match(r"(#.*\n)+", result.seen[0])[0]
    assert "Lines that begin with # are ignored" in head
    assert result.seen[0][len(head):] == cli_of(server).ok("export")


def test_nobody_else_can_read_the_file(server, edit, tmp_path):
    edit(f'stat -c %a "$1" "$(dirname "$1")" > {tmp_path}/modes')
    assert (tmp_path / "modes").read_text().split() == [oct(stat.S_IRUSR | stat.S_IWUSR)[2:], "700"]


@pytest.mark.parametrize("script, said", [
    ("true", "Edit cancelled, no changes made.\n"),
    ('echo "# more" >> "$1"', "Edit cancelled, no changes made.\n"),
    (': > "$1"', "Edit cancelled, saved file was empty.\n"),
    ('grep "^#" "$1" > "$1.new"; mv "$1.new" "$1"', "Edit cancelled, saved file was empty.\n")])
def test_without_a_change_nothing_is_sent(server, edit, script, said):
    before = server.get("/api/v1/resources/web").json
    result = edit(script)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", said)
    assert server.get("/api/v1/resources/web").json == before
    assert result.left == []


def test_what_cannot_be_taken_is_shown_again_with_the_reason(server, edit, tmp_path):
    result = edit(f'if [ $(wc -l < {tmp_path}/runs) = 1 ]; then sed -i s/small/tiny/ "$1"; '
                  'else sed -i s/tiny$/medium/ "$1"; fi')
    assert result.returncode == 0, result.stderr
    assert len(result.seen) == 2
    assert "spec.size must be small, medium or large" in " ".join(
        line.removeprefix("# ") for line in result.seen[1].splitlines() if line.startswith("#"))
    assert "size: tiny\n" in result.seen[1]
    assert size(server) == "medium"


def test_what_the_server_refuses_is_shown_again_too(server, edit, tmp_path):
    result = edit(f'if [ $(wc -l < {tmp_path}/runs) = 1 ]; then sed -i "s/name: web/name: wob/" "$1"; '
                  'else sed -i "s/name: wob/name: web/; s/small/large/" "$1"; fi')
    assert result.returncode == 0, result.stderr
    assert "metadata.name must stay web" in result.seen[1]
    assert size(server) == "large"


def test_what_is_wrong_twice_is_kept_and_its_path_told(server, edit):
    result = edit('sed -i s/small/tiny/ "$1"')
    assert (result.returncode, result.stdout) == (1, "")
    assert "no valid changes were saved" in result.stderr and "spec.size" in result.stderr
    [left] = result.left
    assert KEPT.search(result.stderr)[1] == str(left)
    assert "size: tiny\n" in left.read_text()
    assert size(server) == "small"


def test_of_two_editors_the_later_is_told_who_was_first_and_keeps_the_file(server, edit):
    url = f"http://127.0.0.1:{server.port}/api/v1/resources/web"
    body = '{"spec":{"type":"vm","size":"medium"}}'
    result = edit(f"curl -sf -X PUT -H 'Content-Type: application/json' {url} -d '{body}' > /dev/null\n"
                  'sed -i s/small/large/ "$1"')
    newer = server.get("/api/v1/resources/web").json
    assert (result.returncode, result.stdout, len(result.seen)) == (1, "", 1)
    assert newer["spec"]["size"] == "medium"
    assert "has changed default/web" in result.stderr and newer["version"] in result.stderr
    assert "size: large\n" in Path(KEPT.search(result.stderr)[1]).read_text()


def test_what_is_deleted_meanwhile_is_not_made_again(server, edit):
    url = f"http://127.0.0.1:{server.port}/api/v1/resources/web"
    result = edit(f'curl -sf -X DELETE {url} > /dev/null\nsed -i s/small/large/ "$1"')
    assert result.returncode == 1 and KEPT.search(result.stderr)
    assert server.get("/api/v1/resources/web").status == 404


def test_an_editor_that_fails_changes_nothing(server, edit):
    result = edit('sed -i s/small/large/ "$1"; exit 1')
    assert (result.returncode, result.stdout) == (1, "")
    assert "editor" in result.stderr and "EDITOR" in result.stderr
    assert size(server) == "small" and result.left == []


def test_a_server_that_is_gone_leaves_the_file(server, edit, tmp_path):
    pid = server.process.pid
    result = edit(f'sed -i s/small/large/ "$1"; kill -9 {pid}; while kill -0 {pid} 2> /dev/null && '
                  f'[ "$(cut -d" " -f3 /proc/{pid}/stat)" != Z ]; do sleep 0.05; done')
    assert result.returncode == 1
    assert "size: large\n" in Path(KEPT.search(result.stderr)[1]).read_text()


def test_kube_editor_comes_first(server, edit, monkeypatch):
    monkeypatch.setenv("EDITOR", "/nowhere/editor")
    assert edit('sed -i s/small/large/ "$1"', variable="KUBE_EDITOR").returncode == 0
    assert size(server) == "large"


def test_an_unknown_name_is_told_before_the_editor_opens(server, edit):
    result = edit("true", name="wbe")
    assert result.returncode == 1 and result.seen == []
    assert result.stderr == "gsq edit: there is no resource wbe in the namespace default; did you mean web?\n"
