# SPDX-License-Identifier: Apache-2.0
"""Every command in the documents is run: in their order, in a folder with what their text says is there. What cannot
run here stands in one table, with what tests it instead."""
import json
import re

import pytest
import yaml

from tests.conftest import tools_or_skip
from tests.lib.certificate import self_signed
from tests.lib.distribution import Distribution
from tests.lib.docs import ROOT, Block, Shell, blocks, commands, documents
from tests.lib.original import write_small
from tests.lib.tools import tool

# document, command, why it does not run here, what runs it instead. Regular expressions of the whole name and command.
ELSEWHERE = [
    (r".*", r"(\./run|\./run demo)", "builds the program, on a machine of its own", "scripts/clean-debian"),
    (r".*", r"(scripts/packages build|meson setup .*)", "installs and builds", "scripts/clean-debian"),
    (r".*", r"meson install -C build", "installs into the system", "scripts/suites/package"),
    (r"docs/OPERATIONS.md", r"(dpkg-buildpackage|sudo|systemctl) .*", "builds and installs", "scripts/suites/package"),
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
    (r"docs/.*", r"gsq .* --wait.*", "a real cluster, with Flux", "tests/e2e/test_cli.py"),
    (r"docs/API.md", r"curl -X PUT .*/layout .*", "a real cluster, with Flux", "tests/e2e/test_repartition.py"),

    (r"docs/.*", r"gsq serve .*--oidc-issuer .*", "an issuer", "tests/system/test_oidc.py"),
    (r"docs/.*", r"docker login .*", "a daemon", "tests/system/test_registry_auth.py"),
    (r"docs/CLI.md", r"gsq import-original .*", "another document's, where it runs", "docs/MIGRATING.md"),
    (r"docs/.*", r".*gsq completion (zsh|fish).*", "other shells", "tests/system/test_completion.py"),
]

NEEDS_MORE = r"/status|/watch"  # a cluster, to answer all that the text shows
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
    shell.answer("gsq login http://localhost:8080 --name all --bearer-file data/admin-token")
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
    shell.replace += [(r"/backup/", f"{backup}/"), (r"/etc/gsq/", f"{etc}/")]
    policy = next(block.lines for block in blocks(ROOT / "docs/OPERATIONS.md") if "rules:" in block.lines)
    (etc / "policy.yaml").write_text("\n".join(policy[policy.index("rules:"):]) + "\n")
    self_signed(etc)
    assert (etc / "tls.crt").exists() and (etc / "tls.key").exists()


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

def members(answer):
    """The names of all members of what is JSON, or nearly; a short page has no token for the next one."""
    return set(re.findall(r'(?<!\\)"([\w.]+)":', answer)) - {"continue"}



def versions(shell, text):
    """The example versions of the text, as they are here: those of "web", and of the commits that made it so."""
    if not EXAMPLE.search(text):
        return text
    if shell.server is None:
        shell.serve("gsq serve")
    history = json.loads(shell.answer("gsq history web -o json"))
    created = next(entry for entry in reversed(history) if entry["operation"] == "create")
    newest = json.loads(shell.answer("gsq log -A --limit 1 -o json"))[0]
    here = {"v153160483": created["version"], "c153160483": created["revision"],
            "v160000000": history[0]["version"], "c160000000": newest["revision"]}
    return EXAMPLE.sub(lambda match: here["".join(match.groups())], text)


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
        shell.answer("gsq login http://localhost:8080 --bearer-file data/admin-token")


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
    if shell.server and given in (for_api, with_server) and not re.match(r"gsq (login|context)", text):
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
    if text.startswith("curl") and not re.search(NEEDS_MORE, text):
        told = members("\n".join(command.shown))
        assert told <= members(shell.shown), f"{command.document}:{command.line}: {shell.shown}"


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


def mentioned(path):
    """Commands of gsq in its blocks and in its text, with the line of the former."""
    for command in of_document(path):
        for part in re.findall(r"\bgsq ([^|;&)]*)", command.text.replace("\\\n", " ")):
            yield f"{command.document}:{command.line}", part
    for part in re.findall(r"`gsq ([^`]+)`", path.read_text(encoding="utf-8")):
        yield f"{name_of(path)}: gsq {part}", part.replace("\n", " ")


def test_the_flags_of_every_command_are_those_of_its_verb(shell):
    help_of = {}

    def help_text(words):
        if words not in help_of:
            found = shell.run(f"gsq {' '.join(words)} --help") == 0
            help_of[words] = shell.shown if found else help_text(words[:-1])
        return help_of[words]

    verbs = verbs_of(shell)
    for path in documents():
        for place, part in mentioned(path):
            words = re.split("['\"]", part)[0].split()
            at = next((i for i, word in enumerate(words) if word in verbs), 0)  # options may stand before it
            verb = tuple(word for word in words[at:at + 2] if re.fullmatch(r"[a-z][a-z-]*", word))
            for flag in {word.split("=")[0] for word in words if re.match(r"--[a-z]", word)} - {"--help"}:
                assert re.search(rf"{flag}\b", help_text(verb)), f"{place}: {flag}"


def verbs_of(shell):
    verbs = re.findall(r"^  ([a-z-]+) {2,}\S", shell.answer("gsq --help"), re.M)
    assert len(verbs) > 20
    return verbs


def test_the_objects_for_flux_are_those_of_deploy():
    """But for where the registry is, and the credential for it."""
    shown = next(yaml.safe_load("\n".join(block.lines)) for block in blocks(ROOT / "docs" / "FLUX.md")
                 if block.lines[0].startswith("apiVersion: "))
    there = yaml.safe_load((ROOT / "deploy" / "flux" / "ocirepository.yaml").read_text(encoding="utf-8"))
    assert shown["spec"].pop("url").endswith("/gitops-squared/catalog") and shown["spec"].pop("secretRef")
    assert there["spec"].pop("url").endswith("/gitops-squared/catalog") and there["spec"].pop("insecure")
    assert shown == there


def test_the_api_page_names_every_route_and_parameter(gsq):
    text = (ROOT / "docs" / "API.md").read_text(encoding="utf-8")
    described = gsq.get("/openapi.json").json
    for path in described["paths"]:
        there = path.replace("{range}", "{from}..{to}")
        assert "/namespaces/" in path or f"{there}`" in text, path
    for parameter in described["components"]["parameters"].values():
        assert parameter["in"] == "path" or parameter["name"] in text, parameter["name"]


def test_the_page_of_the_command_line_explains_every_verb(shell):
    text = (ROOT / "docs" / "CLI.md").read_text(encoding="utf-8")
    for verb in verbs_of(shell):
        assert f"**{verb}**" in text, verb


def test_links_between_documents_lead_somewhere():
    for path in [*documents(), ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"]:
        text = path.read_text(encoding="utf-8")
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
            there = (path.parent / target).resolve() if target else path
            assert there.exists(), f"{name_of(path)}: {target}"
            assert not anchor or anchor in anchors(there), f"{name_of(path)}: {target}#{anchor}"


def test_the_files_that_documents_name_are_there():
    """As in `publish/commit.c`, a file of src/."""
    for path in documents():
        for name in re.findall(r"`((?:[a-z]+/)+[a-z_]+\.[chpy]+)`", path.read_text(encoding="utf-8")):
            assert any((ROOT / folder / name).exists() for folder in ("src", "tests", "")), f"{name_of(path)}: {name}"


def anchors(path):
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_a_command_is_found_however_it_is_written():
    plain = Block("", 1, ["gsq get    # a comment", "NAME  TYPE", "curl -d '{", " \"a\": 1}' \\", "  localhost",
                          "KUBE_EDITOR=\"sed -i s/a/b/\" gsq edit web", "for r in a b; do", "    echo $r", "done",
                          "apiVersion: v1", "no-such-program here", "echo 'a # b'"])
    assert [(command.text, command.comment) for command in commands(plain)] == [
        ("gsq get", "a comment"), ("curl -d '{\n \"a\": 1}' \\\n  localhost", ""),
        ('KUBE_EDITOR="sed -i s/a/b/" gsq edit web', ""), ("for r in a b; do\n    echo $r\ndone", ""),
        ("echo 'a # b'", "")]
    prompt = Block("", 1, ["$ cat >f <<END", "gsq: no command", "END", "$ gsq get", "gsq is shown", "more"])
    assert [(command.text, command.shown) for command in commands(prompt)] == [
        ("cat >f <<END\ngsq: no command\nEND", []), ("gsq get", ["gsq is shown", "more"])]
