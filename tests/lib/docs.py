# SPDX-License-Identifier: Apache-2.0
"""The commands that documents show in their code blocks, and a folder to run them in, one after the other."""
import os
import re
import shlex
import shutil
import subprocess
from collections import namedtuple
from pathlib import Path

from tests.lib.gsq import ROOT, binary, variables
from tests.lib.process import Process, free_port
from tests.lib.tools import tools_dir

# Of one document. line: that of its first line, from 1. lines: without the block's indentation or fence.
Block = namedtuple("Block", "document line lines")
# text: all of the command, whatever continued it. comment: what follows " # ". shown: the lines below it.
Command = namedtuple("Command", "document line text comment shown")

# Commands also where this machine has no such program.
PROGRAMS = {"cosign", "crane", "docker", "dpkg-buildpackage", "flux", "for", "gsq", "kind", "kubectl", "oras", "skopeo",
            "source", "sudo", "systemctl"}
# They begin lines of other text.
NO_PROGRAMS = {"id", "data", "link"}
ASSIGNMENT = re.compile(r"""[A-Za-z_][A-Za-z0-9_]*=("[^"]*"|'[^']*'|[^\s"']*)""")
DEADLINE_S = 60


# ---- reading ----

def documents():
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path):
    """All code blocks of a document."""
    lines = path.read_text(encoding="utf-8").splitlines()
    document, at = path.relative_to(ROOT).as_posix(), 0
    while at < len(lines):
        if re.match(r"\s*```", lines[at]):
            end = next(i for i in range(at + 1, len(lines)) if re.match(r"\s*```\s*$", lines[i]))
            yield Block(document, at + 2, dedent(lines[at + 1:end]))
            at = end + 1
        elif lines[at].startswith("    ") and (at == 0 or not lines[at - 1].strip()):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end]):
                end += 1
            yield Block(document, at + 1, dedent(lines[at:end]))
            at = end
        else:
            at += 1


def dedent(lines):
    while lines and not lines[-1].strip():
        lines.pop()
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [line[margin:] for line in lines]


def commands(block):
    """Its commands: what stands behind a prompt "$ ", or where there is none each line that begins with a program."""
    prompts = any(line.startswith("$ ") for line in block.lines)
    found, at = [], 0
    while at < len(block.lines):
        line, first = block.lines[at], at
        at += 1
        text = line.removeprefix("$ ") if prompts else line
        if not (line.startswith("$ ") if prompts else begins_with_program(text)):
            if found:
                found[-1].shown.append(line)
            continue
        while at < len(block.lines) and is_open(text):
            text += "\n" + block.lines[at]
            at += 1
        found.append(Command(block.document, block.line + first, *cut_comment(text), []))
    return found


def is_open(text):
    """Does it go on in the next line: after a backslash, inside of quotes, a here-document or a loop?"""
    code, last = cut_comment(text)[0], text.rsplit("\n", 1)[-1]
    here = re.search(r"<<'?(\w+)'?", code)
    if here:
        return last.strip() != here[1]
    loops = len(re.findall(r"\bdo\s*$", code, re.M)) - len(re.findall(r"^\s*done\b", code, re.M))
    return code.endswith("\\") or quote_at_end(code) is not None or loops > 0


def quote_at_end(text):
    quote = None
    for c in text:
        if c in "'\"" and quote in (None, c):
            quote = c if quote is None else None
    return quote


def cut_comment(text):
    """The command without the comment of its last line: "#" after a space, outside of quotes."""
    for match in re.finditer(r" #(?![^\n]*\n)\s*", text):
        if quote_at_end(text[:match.start()]) is None:
            return text[:match.start()].rstrip(), text[match.end():].strip()
    return text.rstrip(), ""


def begins_with_program(text):
    rest = text.lstrip()
    while (match := ASSIGNMENT.match(rest)) and rest[match.end():match.end() + 1] == " ":
        rest = rest[match.end():].lstrip()
    word = rest.split(" ", 1)[0]
    if "/" in word:
        return (ROOT / word).is_file() and os.access(ROOT / word, os.X_OK)
    if word in NO_PROGRAMS or re.fullmatch(r"[a-z][a-z0-9-]*", word) is None:
        return False
    return word in PROGRAMS or shutil.which(word) is not None


# ---- running ----

CURL = """#!/bin/bash
# As people run it; but for the test an error of the server is one, and a stream ends.
exec {curl} --silent --show-error --fail-with-body --max-time "${{CURL_MAX_S:-30}}" "$@"
"""
SKOPEO = """#!/bin/bash
exec {skopeo} --insecure-policy --registries-conf "${{CONTAINERS_REGISTRIES_CONF:-/dev/null}}" "$@"
"""


class Shell:
    """A folder with what a reader has there, and the programs that they use. One gsq serve at a time; the others that
    documents start on the same port take its place.

    registry    a Distribution that is registry.example.com here
    replace     pairs of a regular expression and what stands for it here: ports, names of hosts
    """

    def __init__(self, folder, registry=None):
        self.folder = Path(folder)
        self.port, self.registry_port = free_port(), free_port()
        self.replace = [(r"localhost:8080", f"localhost:{self.port}"),
                        (r"localhost:5000", f"localhost:{self.registry_port}")]
        self.server, self.serves_tls, self.shown = None, False, ""
        self._log = self.folder / "gsq.log"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_programs()
        self.env = {**os.environ, **dict.fromkeys(variables(), None), "HOME": str(self.folder / "home"),
                    "GSQ_CONFIG": str(self.folder / "home" / "gsq.json"), "XDG_RUNTIME_DIR": str(self.folder / "home"),
                    "PATH": f"{self.folder / 'bin'}:{tools_dir() / 'bin'}:{os.environ['PATH']}",
                    "REGISTRY_AUTH_FILE": str(self.folder / "home" / ".docker" / "config.json"),
                    "no_proxy": "localhost,127.0.0.1", "COSIGN_PASSWORD": "secret"}
        self.env = {name: value for name, value in self.env.items() if value is not None}
        if registry:
            self._know_registry(registry)

    def _write_programs(self):
        programs = self.folder / "bin"
        (self.folder / "home" / ".docker").mkdir(parents=True, exist_ok=True)
        programs.mkdir(exist_ok=True)
        for name in ("gsq", "kubectl-intent"):
            (programs / name).symlink_to(Path(binary()).resolve())
        for name, script in (("curl", CURL), ("skopeo", SKOPEO)):
            path = programs / name
            path.write_text(script.format(**{name: shutil.which(name) or f"/usr/bin/{name}"}))
            path.chmod(0o755)

    def _know_registry(self, registry):
        """registry.example.com is that one."""
        self.replace += [(r"https://registry\.example\.com", registry.url), (r"registry\.example\.com", registry.host)]
        conf = self.folder / "registries.conf"
        conf.write_text("".join(f'[[registry]]\nlocation = "{host}"\ninsecure = true\n'
                                for host in (registry.host, f"localhost:{self.registry_port}")))
        self.env["CONTAINERS_REGISTRIES_CONF"] = str(conf)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def here(self, text):
        """The command as it is run here."""
        for pattern, what in self.replace:
            text = re.sub(pattern, what, text)
        return text

    def run(self, text, env=None):
        """Runs it with bash, and returns its status; what it showed is in shown."""
        done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", self.here(text)], env={**self.env, **(env or {})},
                              cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=DEADLINE_S, check=False)
        self.shown = done.stdout
        return done.returncode

    def answer(self, text):
        """What it shows, when it succeeds."""
        assert self.run(text) == 0, f"{text}\n{self.shown}"
        return self.shown

    def serve(self, text, more=()):
        """gsq serve, in the place of the one before: ready, at the ports of this shell."""
        words = [word for word in shlex.split(self.here(text)) if not re.match(r"\d?>", word)]  # it has a log here
        assert words[:2] == ["gsq", "serve"], text
        self.stop()
        listen = ["--listen", f"127.0.0.1:{self.port}", "--registry-listen", f"127.0.0.1:{self.registry_port}"]
        self.server = Process("gsq", ["env", "-C", self.folder, *words, *listen, *more], self._log, self.env)
        self.server.wait_for_port(self.port)
        self.serves_tls = "--tls-cert" in words
        secure = ["--insecure"] if self.serves_tls else []
        scheme = "https" if secure else "http"
        ready = f"for i in $(seq 600); do {shutil.which('curl')} -sf {' '.join(secure)} " \
                f"{scheme}://localhost:{self.port}/readyz && exit 0; sleep 0.05; done; exit 1"
        assert self.run(ready) == 0, self.server.log_tail()
        self._header()

    def _header(self):
        token = self.folder / "data" / "admin-token"
        if token.exists():
            (self.folder / "auth").write_text(f"Authorization: Bearer {token.read_text()}\n")

    def stop(self):
        if self.server and self.server.running():
            assert self.server.stop() == 0, self.server.log_tail()
        self.server = None
