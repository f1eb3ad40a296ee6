# SPDX-License-Identifier: Apache-2.0
"""Every command in the documents is run: in their order, in a folder with what their text says is there. What cannot
run here stands in one table, with what tests it instead."""
import re
import shutil

import pytest

from tests.conftest import tools_or_skip
from tests.lib.certificate import self_signed
from tests.lib.distribution import Distribution
from tests.lib.docs import ROOT, Shell, blocks, commands, documents
from tests.lib.original import write_small
from tests.lib.tools import tool

# document, command, why it does not run here, what runs it instead. Regular expressions of the whole name and command.
ELSEWHERE = [
    (r".*", r"(\./run|\./run demo)", "builds the program, on a machine of its own", "scripts/clean-debian"),
    (r".*", r"(scripts/packages build|meson setup .*)", "installs and builds", "scripts/clean-debian"),
    (r".*", r"meson install -C build", "installs into the system", "tests/system/test_install.py"),
    (r".*", r"\./run cluster", "the same parts, started by the test", "tests/e2e/test_story.py"),
    (r"(README|CONTRIBUTING).md", r"\./test.*", "runs this test", "test"),
    (r"CONTRIBUTING.md", r"GSQ=.* -m pytest .*", "runs tests", "scripts/suites/system"),
    (r"docs/BENCHMARKS.md", r"(bench/|scripts/packages bench).*", "takes hours", "scripts/suites/bench"),

    (r"docs/.*", r"flux install .*", "a real cluster", "deploy/setup"),
    (r"docs/.*", r"flux (get|suspend) .*", "a real cluster", "tests/e2e/test_truth.py"),
    (r"docs/.*", r"kubectl apply -f deploy/(crd|flux)", "a real API server", "tests/e2e/test_deploy.py"),
    (r"docs/.*", r"kubectl (-n flux-system )?get .*", "a real API server", "tests/e2e/test_story.py"),
    (r"docs/.*", r"kubectl create token .*", "a real API server", "tests/e2e/test_identity.py"),
    (r"docs/.*", r"kubectl -n gitops-squared exec .*", "a pod", "tests/system/test_registry_backup.py"),
    (r"docs/.*", r"gsq serve --(kubeconfig|in-cluster).*", "a real cluster", "tests/e2e/test_in_cluster.py"),
    (r"docs/.*", r"gsq adopt .*", "a real cluster", "tests/e2e/test_adopt.py"),
    (r"docs/.*", r"gsq repartition .*", "a real cluster, with Flux", "tests/e2e/test_repartition.py"),
    (r"docs/.*", r"gsq .* --wait.*", "a real cluster, with Flux", "tests/e2e/test_wait.py"),
    (r"docs/API.md", r"curl -X PUT .*/layout .*", "a real cluster, with Flux", "tests/e2e/test_repartition.py"),

    (r"docs/.*", r"gsq serve .*--oidc-issuer .*", "an issuer", "tests/system/test_oidc.py"),
    (r"docs/.*", r"docker login .*", "a daemon", "tests/system/test_registry_auth.py"),
    (r"docs/CLI.md", r"gsq import-original .*", "another document's, where it runs", "docs/MIGRATING.md"),
    (r"docs/.*", r".*gsq completion (zsh|fish).*", "other shells", "tests/system/test_completion.py"),
]

NEEDS_NOTHING = r"gsq import-original|cosign "
ENDLESS = r"(gsq watch|gsq get .*-w$|curl -N )"
NEEDS_FOLDER = r"gsq (audit|fsck|rebuild)(?!.*--registry)"
EXAMPLE = re.compile(r"\b([vc])1795893(153160483|160000000)\b")


# ---- what a reader of each document has ----

def reader(shell):
    """A server with the token of an admin, whom gsq knows, and a file with two resources."""
    for path in documents():
        for block in blocks(path):
            if block.lines[0] == "name: web" and not (shell.folder / "shop.yaml").exists():
                (shell.folder / "shop.yaml").write_text("\n".join(block.lines) + "\n")
    (shell.folder / "password").write_text("secret")
    shell.env["TOKEN"] = "$(cat data/admin-token)"


def with_server(shell):
    reader(shell)
    shell.serve("gsq serve --init")
    shell.env["TOKEN"] = (shell.folder / "data" / "admin-token").read_text().strip()
    shell.answer("gsq login http://localhost:8080 --name all --token-file data/admin-token")
    shell.answer("gsq apply -f shop.yaml --reason 'as the text says'")


def for_api(shell):
    """Its examples leave the credential out."""
    with_server(shell)
    shell.serve("gsq serve --anonymous write")


def for_operations(shell):
    with_server(shell)
    backup, etc = shell.folder / "backup", shell.folder / "etc"
    for folder in (backup, etc):
        folder.mkdir()
    shell.replace += [(r"/backup/", f"{backup}/"), (r"/etc/gsq/", f"{etc}/"), (r"HOST:5000", "gsq.example.com:5000")]
    policy = next(block.lines for block in blocks(ROOT / "docs/OPERATIONS.md") if "rules:" in block.lines)
    (etc / "policy.yaml").write_text("\n".join(policy[policy.index("rules:"):]) + "\n")
    certificate = self_signed(etc)
    assert (certificate.certificate, certificate.key) == (etc / "tls.crt", etc / "tls.key")


def for_migrating(shell):
    reader(shell)
    write_small(shell.registry.host)
    shell.replace.append((r"zot\.example:5000", shell.registry.host))


GIVEN = {
    "README.md": None,  # test_readme.py
    "docs/GETTING_STARTED.md": reader,
    "docs/API.md": for_api,
    "docs/OPERATIONS.md": for_operations,
    "docs/MIGRATING.md": for_migrating,
}


@pytest.fixture
def shell(tmp_path):
    with tools_or_skip():
        for name in ("cosign", "crane", "kubectl", "oras"):
            tool(name)
    with Distribution(tmp_path / "registry") as registry, Shell(tmp_path / "home", registry) as here:
        here.registry = registry
        yield here


# ---- running one ----

def versions(shell, text):
    """The example versions of the text, as they are here: those of "web", and of the commits."""
    def here(match):
        kind, number = match.groups()
        oldest = number.startswith("153")
        if kind == "c" and not oldest:
            return shell.answer("gsq log -A --limit 1 -o json | jq -r '.[0].version // .version'").strip()
        field = "version" if kind == "v" else "revision"
        created = "map(select(.operation == \"create\")) | last" if oldest else "first"
        return shell.answer(f"gsq history web -o json | jq -r '{created} | .{field}'").strip()
    return EXAMPLE.sub(here, text)


def expected(command):
    """"# 412" and "# status 1" say what becomes of a command that does not succeed."""
    match = re.match(r"(\d{3})\b|status (\d+)\b", command.comment)
    if not match:
        return 0, None
    return (22, match[1]) if match[1] else (int(match[2]), None)


def run_endless(shell, text):
    """As long as it lives: until somebody ends it."""
    if text.startswith("curl"):
        assert shell.run(text, {"CURL_MAX_S": "1"}) == 28, shell.shown
    else:
        assert shell.run(f"timeout --preserve-status -s INT 1 {text}") == 130, shell.shown


def run_serve(shell, command):
    words = command.text.replace("\\\n", " ")
    more = []
    if "--layout" in words and "--data-dir" not in words:
        more += ["--data-dir", "split"]  # of a new store
    if re.search(r"--data-dir (one|many)|--layout", words):
        more += ["--token-file", "data/tokens.json"]
    first = not (shell.folder / "data" / "tokens.json").exists()
    shell.serve(words, more)
    if first and command.document != "docs/GETTING_STARTED.md":
        shell.answer("gsq login http://localhost:8080 --token-file data/admin-token")


def run(shell, command, given):
    text = command.text
    if re.match(r"gsq serve\b", text):
        run_serve(shell, command)
        return
    if re.match(NEEDS_FOLDER, text):
        text = versions(shell, text)
        shell.stop()
    elif (shell.server is None or shell.serves_tls) and not re.match(NEEDS_NOTHING, text):
        shell.serve("gsq serve" + (" --anonymous write" if given is for_api else ""))
    if given in (for_api, with_server) and not re.match(r"gsq (login|context)", text):
        shell.answer("for name in web db old; do gsq get $name >/dev/null 2>&1 || printf "
                     "'name: %s\nlabels: {team: shop}\nspec: {type: vm, size: small}\n' $name | gsq apply -f -; done")
    text = versions(shell, text)
    if re.match(ENDLESS, text):
        run_endless(shell, text)
        return
    if re.match(r"kubectl -n \S+ create secret", text):
        text += " --dry-run=client"
    status, code = expected(command)
    assert shell.run(text) == status, f"{command.document}:{command.line}: {text}\n{shell.shown}"
    assert code is None or f"error: {code}" in shell.shown, f"{command.document}:{command.line}: {shell.shown}"


# ---- the tests ----

def elsewhere(command):
    return next((row for row in ELSEWHERE
                 if re.fullmatch(row[0], command.document) and re.fullmatch(row[1], command.text, re.S)), None)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def of_document(path):
    return [command for block in blocks(path) for command in commands(block)
            if not block.lines[0].startswith("$ ")]


@pytest.mark.parametrize("path", [path for path in documents() if of_document(path)], ids=name_of)
def test_every_command_of_it_does_what_the_text_says(path, shell):
    here = [command for command in of_document(path) if not elsewhere(command)]
    given = GIVEN.get(name_of(path), with_server)
    if here and given:
        given(shell)
    for command in here:
        run(shell, command, given)


def test_what_runs_elsewhere_is_still_there_and_is_run_there():
    found = [elsewhere(command) for path in documents() for command in of_document(path)]
    for row in ELSEWHERE:
        assert row in found, f"no document has this any more: {row[1]}"
        assert (ROOT / row[3]).exists(), row


def test_the_flags_of_every_command_are_those_of_its_verb(shell):
    for path in documents():
        for command in of_document(path):
            for part in re.findall(r"\bgsq ([^|;&)]*)", command.text.replace("\\\n", " ")):
                words = part.split("'")[0].split('"')[0].split()
                verb = [word for word in words[:2] if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")]
                flags = {word.split("=")[0] for word in words if re.match(r"--\w", word)} - {"--help"}
                while verb and shell.run(f"gsq {' '.join(verb)} --help") != 0:
                    verb.pop()
                for flag in flags:
                    shell.run(f"gsq {' '.join(verb)} --help")
                    assert re.search(rf"{flag}\b", shell.shown), f"{command.document}:{command.line}: {flag}"


def test_links_between_documents_lead_somewhere():
    for path in [*documents(), ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"]:
        text = path.read_text(encoding="utf-8")
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
            there = (path.parent / target).resolve() if target else path
            assert there.exists(), f"{name_of(path)}: {target}"
            assert not anchor or anchor in anchors(there), f"{name_of(path)}: {target}#{anchor}"


def anchors(path):
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_a_command_is_found_however_it_is_written(tmp_path):
    path = ROOT / "docs" / "API.md"
    found = [command.text for block in blocks(path) for command in commands(block)]
    assert any(text.startswith("curl") and "\n" in text for text in found)
    assert shutil.which("jq"), "the tests need jq"
