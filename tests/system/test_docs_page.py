# SPDX-License-Identifier: Apache-2.0
"""GET /docs: a page that needs nothing from elsewhere, has every route, and whose commands run."""
import base64
import hashlib
import html
import re
import shlex
import subprocess
from html.parser import HTMLParser

import pytest

from tests.lib.gsq import Gsq
from tests.system.resources import declare
from tests.system.revisions import history, revisions
from tests.system.test_authorization import ROUTES

VOID = {"meta", "link", "br", "hr", "img"}


class Page(HTMLParser):
    """Tags, and that each is closed where it must be."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())

    def all(self, attribute):
        return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gsq(tmp_path_factory.mktemp("docs") / "gsq") as gsq:
        for name in ("web", "db"):
            declare(gsq, name)
        yield gsq


@pytest.fixture(scope="module")
def answer(server):
    answer = server.get("/docs")
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/html; charset=utf-8"
    return answer


@pytest.fixture(scope="module")
def text(answer):
    return answer.body.decode()


def test_whoever_asks_sees_it_without_a_credential(tmp_path):
    with Gsq(tmp_path / "gsq", anonymous=None) as closed:
        assert closed.get("/docs").status == 200
        assert closed.get("/openapi.json").status == 200
        assert closed.get("/api/v1/resources").status == 401


def test_nothing_but_its_own_style_is_allowed(answer, text):
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy == {"default-src": "'none'", "style-src": f"'sha256-{digest}'", "base-uri": "'none'",
                      "form-action": "'none'", "frame-ancestors": "'none'"}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_it_is_well_formed_and_needs_nothing_from_elsewhere(text):
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert not {tag for tag, _ in page.tags} & {"script", "img", "link", "iframe", "object", "form"}
    assert not page.all("src") and not page.all("style")
    assert "url(" not in text and "@import" not in text
    assert {href for href in page.all("href") if not href.startswith("#")} == {"/openapi.json"}


def test_every_link_leads_to_something_on_it(text):
    page = Page(text)
    names = page.all("id")
    assert len(names) == len(set(names))
    assert {href[1:] for href in page.all("href") if href.startswith("#")} <= set(names)


def test_it_has_every_route(text):
    shown = set(re.findall(r'<b class="\w+">(\w+)</b> <code>([^<]+)</code>', text))
    assert shown == {(route.method, route.path) for route in ROUTES}


def test_every_operation_and_type_of_the_description_is_on_it(server, text):
    document = server.get("/openapi.json").json
    names = set(Page(text).all("id"))
    operations = {operation["operationId"].removesuffix("InNamespace")
                  for methods in document["paths"].values() for operation in methods.values()}
    assert operations <= names
    assert set(document["components"]["schemas"]) <= names


def test_it_reads_in_light_and_in_dark(text):
    assert "prefers-color-scheme:dark" in text and "color-scheme:light dark" in text


def filled_in(command, server):
    """With versions and revisions that are there, in place of those of the example."""
    for size in ("small", "large"):
        declare(server, "web", size=size)
    found = revisions(server)
    for example, real in (("v1795893153160483", history(server, "web")[-1]["version"]),
                          ("c1795893153160483", found[1]["revision"]), ("c1795893160000000", found[0]["revision"]),
                          ("localhost:8080", f"http://127.0.0.1:{server.port}")):
        command = command.replace(example, real)
    return command


def test_its_commands_run(server, text):
    """There is one catalog, so no other layout is taken: that is all that may go wrong."""
    commands = [html.unescape(command) for command in re.findall(r"<pre>(curl .*?)</pre>", text)]
    assert len(commands) > 20
    for command in sorted(commands, key=lambda each: "/freeze" in each):
        words = shlex.split(filled_in(command, server) if "/freeze" not in command else command.replace(
            "localhost:8080", f"http://127.0.0.1:{server.port}"))
        limits = ["--silent", "--max-time", "2" if "/watch" in command else "60"]
        if "-X" not in words:
            limits.append("--get")
        done = subprocess.run([*words, *limits, "--write-out", "\n%{http_code}"], capture_output=True, text=True,
                              check=False, timeout=90)
        status = done.stdout.rsplit("\n", 1)[1]
        assert status in ({"422"} if "/layout" in command and "-X" in words else {"200", "201", "202"}), (
            command, done.stdout)
