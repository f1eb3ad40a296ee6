# SPDX-License-Identifier: Apache-2.0
"""The commands that documents show: what is in their code blocks, fenced or indented, and how to run it."""
import os
import re
import shutil
from collections import namedtuple

from tests.lib.gsq import ROOT

# Of one document. line: where its first line is, from 1. lines: without the block's indentation or fence.
Block = namedtuple("Block", "document line lines")
# text: a whole command, on one line if it was continued. comment: what follows its " # ", if anything.
Command = namedtuple("Command", "document line text comment")

# Those that a machine which runs the tests need not have.
PROGRAMS = {"crane", "cosign", "docker", "flux", "gsq", "helm", "kind", "kubectl", "oras", "skopeo", "sudo", "for", "source"}
# They are files or options in blocks of text; no document runs them.
NOT_PROGRAMS = {"id", "data", "link", "event"}
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=(\"[^\"]*\"|'[^']*'|\$\([^)]*\)|\S*)")


def documents():
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]


def blocks(path):
    """All code blocks of a document."""
    lines = path.read_text(encoding="utf-8").splitlines()
    document, at = path.relative_to(ROOT).as_posix(), 0
    while at < len(lines):
        if re.match(r"\s*```", lines[at]):
            end = next(i for i in range(at + 1, len(lines)) if re.match(r"\s*```\s*$", lines[i]))
            yield Block(document, at + 2, dedent(lines[at + 1:end]))
            at = end + 1
        elif begins_block(lines, at):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end]):
                end += 1
            yield Block(document, at + 1, dedent(lines[at:end]))
            at = end
        else:
            at += 1


def begins_block(lines, at):
    """Indented by four columns, after an empty line."""
    return lines[at].startswith("    ") and (at == 0 or not lines[at - 1].strip())


def dedent(lines):
    while lines and not lines[-1].strip():
        lines.pop()
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return [line[margin:] for line in lines]


def commands(block):
    """Its commands: what stands behind a prompt "$ ", or, where there is none, each line that begins with a program.
    Lines that a backslash or a quote continues are one."""
    prompts = any(line.startswith("$ ") for line in block.lines)
    at, depth = 0, 0
    while at < len(block.lines):
        line, first = block.lines[at], at
        at += 1
        if prompts and not line.startswith("$ "):
            continue
        text = line.removeprefix("$ ") if prompts else line
        if not begins_with_program(text):
            continue
        while at < len(block.lines) and is_open(text):
            text = text.removesuffix("\\").rstrip() + (" " if text.endswith("\\") else "\n") + (
                block.lines[at].strip() if text.endswith("\\") else block.lines[at])
            at += 1
        yield Command(block.document, block.line + first, *cut_comment(text))


def is_open(text):
    """It goes on: on the next line, or until the end of a quote or a here-document."""
    here = re.search(r"<<-?\s*'?(\w+)'?", text)
    if here and "\n" in text:
        return text.rsplit("\n", 1)[1].strip() != here[1]
    return bool(here) or text.endswith("\\") or text.count("'") % 2 == 1


def begins_with_program(text):
    words = text.split()
    while words and ASSIGNMENT.fullmatch(words[0]):
        words.pop(0)
    if not words or words[0] in NOT_PROGRAMS:
        return bool(ASSIGNMENT.match(text)) and "$(" in text
    word = words[0]
    if re.match(r"\.?[\w-]*/[\w./-]+$", word):
        return os.access(ROOT / word, os.X_OK) and (ROOT / word).is_file()
    return word in PROGRAMS or (re.fullmatch(r"[a-z][\w-]*", word) is not None and shutil.which(word) is not None)


def cut_comment(text):
    """A "#" after a space, outside of quotes."""
    quote = None
    for i, c in enumerate(text):
        if quote:
            quote = None if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c == "#" and i > 0 and text[i - 1] == " " and "\n" not in text:
            return text[:i].rstrip(), text[i + 1:].strip()
    return text.rstrip(), ""


def all_commands(path):
    return [command for block in blocks(path) for command in commands(block)]
