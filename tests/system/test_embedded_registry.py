# SPDX-License-Identifier: Apache-2.0
"""The embedded registry over HTTP (distribution-spec v1.1): `gsq serve`, seen by raw requests and real clients."""
import hashlib
import http.client
import json
import os
import socket
import subprocess
import threading
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import tools_or_skip
from tests.lib.gsq import Gsq, binary
from tests.lib.oci import EMPTY, artifact, sha256
from tests.lib.process import ProcessDied
from tests.lib.rounds import rounds
from tests.lib.tools import tool
from tests.lib.wait import wait_until

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
MIB = 1024 * 1024
BLOB_IN_ROW = 64 * 1024

Answer = namedtuple("Answer", "status headers body")


class Client:
    def __init__(self, host):
        self.host = host

    def __call__(self, method, path, body=None, headers=None):
        """body: bytes, or an iterable for a chunked one."""
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, f"/v2/{path}", body, headers or {},
                               encode_chunked=body is not None and not isinstance(body, bytes))
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def start_upload(self, repository):
        answer = self("POST", f"{repository}/blobs/uploads/")
        assert answer.status == 202
        return answer.headers["Location"].removeprefix("/v2/")

    def push_blob(self, repository, content):
        answer = self("PUT", f"{self.start_upload(repository)}?digest={sha256(content)}", content)
        assert answer.status == 201, answer
        return sha256(content)

    def push_manifest(self, repository, reference, content, media_type=MANIFEST):
        return self("PUT", f"{repository}/manifests/{reference}", content, {"Content-Type": media_type})

    def push(self, repository, tag, layer=b"layer"):
        """A whole artifact. Returns its manifest."""
        self.push_blob(repository, EMPTY)
        self.push_blob(repository, layer)
        manifest = artifact(layer)
        assert self.push_manifest(repository, tag, manifest).status == 201
        return manifest


def code(answer):
    """The error code of an answer, which must be in the spec's form."""
    [error] = json.loads(answer.body)["errors"]
    assert answer.headers["Content-Type"] == "application/json"
    assert error["message"] and "detail" in error
    return error["code"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Gsq(tmp_path_factory.mktemp("registry") / "gsq") as gsq:
        yield gsq


@pytest.fixture
def client(server):
    return Client(server.registry_host)


@pytest.fixture
def repository(request):
    """One for each test: they share a server."""
    return "t/" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


# ---- the API's frame ----

def test_the_version_check_answers(client):
    answer = client("GET", "")
    assert answer.status == 200
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


def test_an_unknown_route_is_404(client):
    for path in ("nothing", "a/b", "a/tags", "a/blobs/", "a/manifests/", "a/blobs/uploads/x/y/z"):
        answer = client("GET", path)
        assert (answer.status, code(answer)) == (404, "UNSUPPORTED"), path


@pytest.mark.parametrize("method, path, allow", [
    ("POST", "", "GET, HEAD"),
    ("PUT", "_catalog", "GET, HEAD"),
    ("DELETE", "a/tags/list", "GET, HEAD"),
    ("POST", "a/manifests/x", "GET, HEAD, PUT, DELETE"),
    ("PATCH", f"a/blobs/sha256:{'0' * 64}", "GET, HEAD, DELETE"),
    ("GET", "a/blobs/uploads/", "POST"),
    ("POST", "a/blobs/uploads/x", "GET, HEAD, PATCH, PUT, DELETE"),
])
def test_a_wrong_method_is_405_with_allow(client, method, path, allow):
    answer = client(method, path)
    assert (answer.status, answer.headers["Allow"]) == (405, allow)
    assert code(answer) == "UNSUPPORTED"


@pytest.mark.parametrize("name", [
    "UPPER", "a//b", "../etc", "a/../b", "%2e%2e/b", "a/.hidden", "-a", "a-", "a b".replace(" ", "%20"), "a" * 256,
])
def test_a_bad_repository_name_is_refused(client, name):
    answer = client("GET", f"{name}/tags/list")
    assert (answer.status, code(answer)) == (400, "NAME_INVALID")


def test_words_of_the_api_may_be_part_of_a_name(client, repository):
    name = f"{repository}/manifests/blobs/uploads/tags"
    manifest = client.push(name, "list")
    assert client("GET", f"{name}/manifests/list").body == manifest
    assert json.loads(client("GET", f"{name}/tags/list").body)["tags"] == ["list"]


def test_only_the_api_writes_below_its_own_repositories(client):
    digest = sha256(b"x")
    for method, path in (
            ("POST", "blobs/uploads/"), ("PUT", "manifests/latest"), ("DELETE", "manifests/latest"),
            ("PATCH", "blobs/uploads/0"), ("DELETE", f"blobs/{digest}")):
        answer = client(method, f"gitops-squared/catalog/{path}", b"")
        assert (answer.status, code(answer)) == (403, "DENIED"), path
    assert client("GET", "gitops-squared/catalog/manifests/latest").status == 200


# ---- manifests ----

def test_a_manifest_is_pulled_by_tag_and_digest(client, repository):
    manifest = client.push(repository, "v1")
    for reference in ("v1", sha256(manifest), sha256(manifest).replace(":", "%3A")):
        for method, body in (("GET", manifest), ("HEAD", b"")):
            answer = client(method, f"{repository}/manifests/{reference}", headers={"Accept": "text/html"})
            assert (answer.status, answer.body) == (200, body)
            assert answer.headers["Content-Type"] == MANIFEST
            assert answer.headers["Content-Length"] == str(len(manifest))
            assert answer.headers["Docker-Content-Digest"] == sha256(manifest)
            assert answer.headers["ETag"] == f'"{sha256(manifest)}"'


def test_a_manifest_that_the_client_has_is_304(client, repository):
    manifest = client.push(repository, "v1")
    answer = client("GET", f"{repository}/manifests/v1", headers={"If-None-Match": f'"{sha256(manifest)}"'})
    assert (answer.status, answer.body) == (304, b"")


def test_unknown_manifests_are_404(client, repository):
    client.push(repository, "v1")
    for path in (f"{repository}/manifests/v2", f"{repository}/manifests/{sha256(b'x')}", f"{repository}/manifests/.bad",
                 "nobody/here/manifests/v1"):
        answer = client("GET", path)
        assert (answer.status, code(answer)) == (404, "MANIFEST_UNKNOWN"), path
        assert client("HEAD", path).status == 404
    answer = client("GET", f"{repository}/manifests/sha256:12")
    assert (answer.status, code(answer)) == (400, "DIGEST_INVALID")


def test_a_pushed_manifest_says_where_it_is(client, repository):
    manifest = client.push(repository, "v1")
    for reference in ("v2", sha256(manifest)):
        answer = client.push_manifest(repository, reference, manifest)
        assert answer.status == 201
        assert answer.headers["Location"] == f"/v2/{repository}/manifests/{sha256(manifest)}"
        assert answer.headers["Docker-Content-Digest"] == sha256(manifest)
    assert client("GET", answer.headers["Location"].removeprefix("/v2/")).body == manifest


def with_fields(manifest, **fields):
    return json.dumps({**json.loads(manifest), **fields}).encode()


@pytest.mark.parametrize("reference, content, media_type, expected", [
    ("v1", b"not json", MANIFEST, "MANIFEST_INVALID"),
    ("v1", b'{"schemaVersion":2,"schemaVersion":2}', MANIFEST, "MANIFEST_INVALID"),
    ("v1", artifact(b"layer"), INDEX, "MANIFEST_INVALID"),
    ("v1", artifact(b"layer"), "text/plain", "MANIFEST_INVALID"),
    ("v1", artifact(b"not there"), MANIFEST, "MANIFEST_BLOB_UNKNOWN"),
    (".bad", artifact(b"layer"), MANIFEST, "MANIFEST_INVALID"),
    ("x" * 129, artifact(b"layer"), MANIFEST, "MANIFEST_INVALID"),
    (sha256(b"another"), artifact(b"layer"), MANIFEST, "DIGEST_INVALID"),
    ("sha256:12", artifact(b"layer"), MANIFEST, "DIGEST_INVALID"),
])
def test_a_bad_manifest_is_refused_and_leaves_nothing(client, repository, reference, content, media_type, expected):
    client.push_blob(repository, EMPTY)
    client.push_blob(repository, b"layer")
    answer = client.push_manifest(repository, reference, content, media_type)
    assert (answer.status, code(answer)) == (404 if expected == "MANIFEST_BLOB_UNKNOWN" else 400, expected)
    assert json.loads(client("GET", f"{repository}/tags/list").body)["tags"] == []


def test_a_manifest_over_4_mib_is_413(client, repository):
    answer = client.push_manifest(repository, "v1", b" " * (4 * MIB + 1))
    assert (answer.status, code(answer)) == (413, "SIZE_INVALID")


def test_a_docker_manifest_keeps_its_media_type(client, repository):
    client.push(repository, "oci")
    manifest = with_fields(artifact(b"layer"), mediaType=DOCKER)
    assert client.push_manifest(repository, "docker", manifest, DOCKER).status == 201
    assert client("GET", f"{repository}/manifests/docker").headers["Content-Type"] == DOCKER


def test_an_index_takes_manifests_that_are_there(client, repository):
    manifest = client.push(repository, "v1")

    def index(digest):
        return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": MANIFEST, "digest": digest, "size": len(manifest)}]}).encode()

    assert client.push_manifest(repository, "index", index(sha256(manifest)), INDEX).status == 201
    assert code(client.push_manifest(repository, "other", index(sha256(b"x")), INDEX)) == "MANIFEST_BLOB_UNKNOWN"


def test_a_tag_is_deleted_alone_and_a_manifest_with_its_tags(client, repository):
    manifest = client.push(repository, "v1")
    client.push_manifest(repository, "v2", manifest)
    assert client("DELETE", f"{repository}/manifests/v1").status == 202
    assert client("GET", f"{repository}/manifests/v1").status == 404
    assert client("GET", f"{repository}/manifests/v2").status == 200
    assert client("DELETE", f"{repository}/manifests/{sha256(manifest)}").status == 202
    assert client("GET", f"{repository}/manifests/v2").status == 404
    assert code(client("DELETE", f"{repository}/manifests/{sha256(manifest)}")) == "MANIFEST_UNKNOWN"


# ---- referrers ----

def test_referrers_of_a_subject_that_need_not_be_there(client, repository):
    subject = {"mediaType": MANIFEST, "digest": sha256(b"not pushed yet"), "size": 14}
    client.push(repository, "plain")
    pushed = []
    for kind in ("a/signature", "a/sbom"):
        manifest = with_fields(artifact(b"layer"), subject=subject, artifactType=kind, annotations={"k": kind})
        answer = client.push_manifest(repository, sha256(manifest), manifest)
        assert (answer.status, answer.headers["OCI-Subject"]) == (201, subject["digest"])
        pushed.append({"mediaType": MANIFEST, "digest": sha256(manifest), "size": len(manifest),
                       "artifactType": kind, "annotations": {"k": kind}})

    path = f"{repository}/referrers/{subject['digest']}"
    answer = client("GET", path)
    assert answer.headers["Content-Type"] == INDEX
    assert json.loads(answer.body) == {"schemaVersion": 2, "mediaType": INDEX, "manifests": pushed}
    answer = client("GET", f"{path}?artifactType=a/sbom")
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    assert json.loads(answer.body)["manifests"] == pushed[1:]
    first = client("GET", f"{path}?n=1")
    assert json.loads(first.body)["manifests"] == pushed[:1]
    assert json.loads(client("GET", next_page(first)).body)["manifests"] == pushed[1:]
    assert json.loads(client("GET", f"{repository}/referrers/{sha256(b'nobody')}").body)["manifests"] == []


# ---- blobs ----

@pytest.mark.parametrize("size", [0, 1, BLOB_IN_ROW, BLOB_IN_ROW + 1, 3 * MIB])
def test_blobs_of_any_size_come_back(client, repository, size):
    content = os.urandom(size)
    digest = client.push_blob(repository, content)
    for method, body in (("GET", content), ("HEAD", b"")):
        answer = client(method, f"{repository}/blobs/{digest}")
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["Content-Length"] == str(size)
        assert answer.headers["Docker-Content-Digest"] == digest


@pytest.mark.parametrize("size", [1000, 200_000])
def test_a_part_of_a_blob(client, repository, size):
    content = os.urandom(size)
    path = f"{repository}/blobs/{client.push_blob(repository, content)}"
    for value, part in (("bytes=0-0", slice(0, 1)), ("bytes=10-99", slice(10, 100)), ("bytes=900-", slice(900, size)),
                        ("bytes=-5", slice(size - 5, size)), (f"bytes=5-{size * 2}", slice(5, size))):
        answer = client("GET", path, headers={"Range": value})
        assert (answer.status, answer.body) == (206, content[part]), value
        assert answer.headers["Content-Range"] == f"bytes {part.start}-{part.stop - 1}/{size}"
    answer = client("GET", path, headers={"Range": f"bytes={size}-"})
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{size}")
    assert client("GET", path, headers={"Range": "lines=1-2"}).body == content


def test_unknown_and_malformed_blobs(client, repository):
    content = b"elsewhere"
    client.push_blob(f"{repository}/other", content)
    answer = client("GET", f"{repository}/blobs/{sha256(content)}")
    assert (answer.status, code(answer)) == (404, "BLOB_UNKNOWN")
    for digest in ("sha256:12", "md5:" + "0" * 32, "sha256:" + "G" * 64, "latest"):
        answer = client("GET", f"{repository}/blobs/{digest}")
        assert (answer.status, code(answer)) == (400, "DIGEST_INVALID"), digest


def test_a_blob_is_deleted_from_one_repository(client, repository):
    digest = client.push_blob(repository, b"shared")
    client.push_blob(f"{repository}/other", b"shared")
    assert client("DELETE", f"{repository}/blobs/{digest}").status == 202
    assert client("GET", f"{repository}/blobs/{digest}").status == 404
    assert client("GET", f"{repository}/other/blobs/{digest}").status == 200
    assert code(client("DELETE", f"{repository}/blobs/{digest}")) == "BLOB_UNKNOWN"


def test_a_blob_is_mounted_from_where_it_is_or_uploaded(client, repository):
    digest = client.push_blob(f"{repository}/from", b"content of " + repository.encode())
    answer = client("POST", f"{repository}/blobs/uploads/?mount={digest}&from={repository}/from")
    assert (answer.status, answer.headers["Location"]) == (201, f"/v2/{repository}/blobs/{digest}")
    assert client("GET", f"{repository}/blobs/{digest}").status == 200
    assert client("POST", f"{repository}/two/blobs/uploads/?mount={digest}").status == 201
    for query in (f"mount={digest}&from=nobody", f"mount={sha256(b'none')}", f"mount={digest}&from=..", "mount=x"):
        answer = client("POST", f"{repository}/three/blobs/uploads/?{query}")
        assert (answer.status, "/uploads/" in answer.headers["Location"]) == (202, True), query
    assert client("GET", f"{repository}/three/blobs/{digest}").status == 404


# ---- uploads ----

def test_a_single_post_uploads_a_blob(client, repository):
    content = os.urandom(100_000)
    answer = client("POST", f"{repository}/blobs/uploads/?digest={sha256(content)}", content)
    assert (answer.status, answer.headers["Location"]) == (201, f"/v2/{repository}/blobs/{sha256(content)}")
    assert client("GET", f"{repository}/blobs/{sha256(content)}").body == content


def test_sha512_digests_work_for_blobs_and_manifests(client, repository):
    def sha512(content):
        return f"sha512:{hashlib.sha512(content).hexdigest()}"

    client.push(repository, "v1")
    for content in (b"small", os.urandom(MIB)):
        assert client("PUT", f"{client.start_upload(repository)}?digest={sha512(content)}", content).status == 201
        assert client("GET", f"{repository}/blobs/{sha512(content)}").body == content
    manifest = artifact(b"layer")
    assert client.push_manifest(repository, sha512(manifest), manifest).status == 201
    answer = client("GET", f"{repository}/manifests/{sha512(manifest)}")
    assert (answer.body, answer.headers["Docker-Content-Digest"]) == (manifest, sha512(manifest))


@pytest.mark.parametrize("sizes", [(10, 20, 30), (BLOB_IN_ROW - 1, 1, 1), (MIB, 3 * MIB + 7, 1)])
def test_chunks_in_order_make_a_blob(client, repository, sizes):
    content = os.urandom(sum(sizes))
    location, at = client.start_upload(repository), 0
    for size in sizes:
        answer = client("PATCH", location, content[at:at + size], {"Content-Range": f"{at}-{at + size - 1}"})
        at += size
        assert (answer.status, answer.headers["Range"]) == (202, f"0-{at - 1}")
        status = client("GET", location)
        assert (status.status, status.headers["Range"]) == (204, f"0-{at - 1}")
        location = answer.headers["Location"].removeprefix("/v2/")
    answer = client("PUT", f"{location}?digest={sha256(content)}")
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, sha256(content))
    assert client("GET", f"{repository}/blobs/{sha256(content)}").body == content
    assert code(client("GET", location)) == "BLOB_UPLOAD_UNKNOWN"


def test_the_last_chunk_may_come_with_the_put(client, repository):
    content = os.urandom(200_000)
    location = client.start_upload(repository)
    client("PATCH", location, content[:150_000])
    answer = client("PUT", f"{location}?digest={sha256(content)}", content[150_000:],
                    {"Content-Range": "150000-199999"})
    assert answer.status == 201
    assert client("GET", f"{repository}/blobs/{sha256(content)}").body == content


def test_a_streamed_chunk_without_a_length(client, repository):
    pieces = [os.urandom(size) for size in (1, 70_000, 500_000, 3)]
    location = client.start_upload(repository)
    assert client("PATCH", location, iter(pieces)).headers["Range"] == "0-570003"
    content = b"".join(pieces)
    assert client("PUT", f"{location}?digest={sha256(content)}").status == 201
    assert client("GET", f"{repository}/blobs/{sha256(content)}").body == content


@pytest.mark.parametrize("content_range", ["5-9", "0-4", "11-15", "10-20", "x", "15-10"])
def test_a_chunk_out_of_order_is_416_and_the_upload_goes_on(client, repository, content_range):
    location = client.start_upload(repository)
    client("PATCH", location, b"0123456789")
    answer = client("PATCH", location, b"abcde", {"Content-Range": content_range})
    assert (answer.status, answer.headers["Range"], code(answer)) == (416, "0-9", "BLOB_UPLOAD_INVALID")
    assert answer.headers["Location"] == f"/v2/{location}"
    assert client("PATCH", location, b"abcde", {"Content-Range": "10-14"}).headers["Range"] == "0-14"


@pytest.mark.parametrize("size", [10, 300_000])
def test_a_wrong_digest_is_refused_and_ends_the_upload(client, repository, size):
    location = client.start_upload(repository)
    answer = client("PUT", f"{location}?digest={sha256(b'something else')}", os.urandom(size))
    assert (answer.status, code(answer)) == (400, "DIGEST_INVALID")
    assert client("GET", location).status == 404
    assert client("GET", f"{repository}/blobs/{sha256(b'something else')}").status == 404


def test_a_put_needs_a_digest(client, repository):
    location = client.start_upload(repository)
    for query in ("", "?digest=", "?digest=x"):
        answer = client("PUT", f"{location}{query}", b"content")
        assert (answer.status, code(answer)) == (400, "DIGEST_INVALID")
    assert client("PUT", f"{location}?digest={sha256(b'content')}", b"content").status == 201


def test_an_upload_is_cancelled(client, repository):
    location = client.start_upload(repository)
    client("PATCH", location, os.urandom(200_000))
    assert client("DELETE", location).status == 204
    for method in ("GET", "PATCH", "DELETE"):
        answer = client(method, location)
        assert (answer.status, code(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_an_upload_belongs_to_its_repository(client, repository):
    upload = client.start_upload(repository).rpartition("/")[2]
    assert code(client("PATCH", f"{repository}/other/blobs/uploads/{upload}", b"x")) == "BLOB_UPLOAD_UNKNOWN"


def cut_after(host, method, path, sent, length):
    """A request whose connection breaks in its body."""
    with socket.create_connection(tuple(host.split(":"))) as connection:
        connection.sendall(f"{method} /v2/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
        connection.sendall(sent)


def test_a_patch_that_was_cut_can_be_continued(client, repository):
    content = os.urandom(MIB)
    location = client.start_upload(repository)
    cut_after(client.host, "PATCH", location, content[:MIB // 2], MIB)

    def go_on():
        at = int(client("GET", location).headers["Range"].partition("-")[2])
        assert at > 0
        at += 1
        answer = client("PATCH", location, content[at:], {"Content-Range": f"{at}-{MIB - 1}"})
        assert answer.status == 202  # 409 until the server has seen the cut
        return True
    wait_until(go_on, "the rest of the upload")
    assert client("PUT", f"{location}?digest={sha256(content)}").status == 201


def test_a_put_that_was_cut_is_gone(client, server, repository):
    location = client.start_upload(repository)
    uploads = server.folder / "data" / "uploads"
    cut_after(client.host, "PUT", f"{location}?digest={sha256(b'x')}", os.urandom(MIB // 2), MIB)
    wait_until(lambda: client("GET", location).status == 404, "the end of the upload")
    wait_until(lambda: not (uploads / location.rpartition("/")[2]).exists(), "its file to go")


# ---- lists ----

def next_page(answer):
    target, relation = answer.headers["Link"].split(";")
    assert relation.strip() == 'rel="next"'
    return target.strip("<>").removeprefix("/v2/")


def test_tags_are_listed_in_pages(client, repository):
    manifest = client.push(repository, "v1")
    for tag in ("v10", "v2", "B", "_x"):
        client.push_manifest(repository, tag, manifest)
    expected = ["B", "_x", "v1", "v10", "v2"]
    answer = client("GET", f"{repository}/tags/list")
    assert json.loads(answer.body) == {"name": repository, "tags": expected}
    assert "Link" not in answer.headers
    got, path = [], f"{repository}/tags/list?n=2"
    while path:
        answer = client("GET", path)
        got.append(json.loads(answer.body)["tags"])
        path = next_page(answer) if "Link" in answer.headers else None
    assert got == [expected[:2], expected[2:4], expected[4:]]
    assert json.loads(client("GET", f"{repository}/tags/list?last=v1").body)["tags"] == ["v10", "v2"]
    answer = client("GET", f"{repository}/tags/list?n=0")
    assert (json.loads(answer.body)["tags"], answer.headers["Link"]) == ([], None)
    assert client("GET", f"{repository}/tags/list?n=x").status == 400
    answer = client("GET", "nobody/here/tags/list")
    assert (answer.status, code(answer)) == (404, "NAME_UNKNOWN")


def test_repositories_are_listed_in_pages(client, repository):
    for name in ("c", "a", "b"):
        client.push(f"{repository}/{name}", "v1")
    answer = client("GET", f"_catalog?n=2&last={repository}")
    assert json.loads(answer.body) == {"repositories": [f"{repository}/a", f"{repository}/b"]}
    assert json.loads(client("GET", next_page(answer)).body)["repositories"][0] == f"{repository}/c"


# ---- under load ----

@pytest.mark.concurrent
def test_many_clients_push_and_pull_at_once(client, repository):
    def work(number):
        layer = os.urandom(10) if number % 3 else os.urandom(300_000)
        manifest = client.push(f"{repository}/{number % 5}", f"v{number}", layer)
        assert client("GET", f"{repository}/{number % 5}/manifests/v{number}").body == manifest
        assert client("GET", f"{repository}/{number % 5}/blobs/{sha256(layer)}").body == layer
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(160)))
    assert len(json.loads(client("GET", f"{repository}/0/tags/list").body)["tags"]) == 32


@pytest.mark.concurrent
def test_a_client_that_stops_reading_holds_nobody_up(client, repository):
    digest = client.push_blob(repository, os.urandom(8 * MIB))
    stuck = []
    for _ in range(20):
        connection = socket.create_connection(tuple(client.host.split(":")))
        connection.sendall(f"GET /v2/{repository}/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        stuck.append(connection)
    client.push(repository, "v1")
    assert client("GET", f"{repository}/manifests/v1").status == 200
    for connection in stuck:
        connection.close()


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmRSS:")).split()[1])


def test_a_big_blob_takes_constant_memory(tmp_path):
    if b"__asan_init" in Path(binary()).read_bytes():
        pytest.skip("AddressSanitizer keeps freed memory")
    piece, count = os.urandom(MIB), 256
    hasher = hashlib.sha256()
    for _ in range(count):
        hasher.update(piece)
    digest = f"sha256:{hasher.hexdigest()}"
    with Gsq(tmp_path / "gsq") as server:
        client = Client(server.registry_host)
        idle = resident_kib(server.process.pid)
        location = client.start_upload("big")
        assert client("PATCH", location, (piece for _ in range(count))).status == 202
        assert client("PUT", f"{location}?digest={digest}").status == 201
        connection = http.client.HTTPConnection(client.host, timeout=60)
        connection.request("GET", f"/v2/big/blobs/{digest}")
        answer, got = connection.getresponse(), hashlib.sha256()
        while content := answer.read(MIB):
            got.update(content)
        assert f"sha256:{got.hexdigest()}" == digest
        assert resident_kib(server.process.pid) - idle < 16 * 1024


# ---- the folder ----

def test_what_was_pushed_is_there_after_a_restart_and_open_uploads_are_not(tmp_path):
    with Gsq(tmp_path / "gsq") as server:
        client = Client(server.registry_host)
        manifest = client.push("a", "v1", os.urandom(200_000))
        location = client.start_upload("a")
        client("PATCH", location, os.urandom(200_000))
        server.restart()
        assert client("GET", "a/manifests/v1").body == manifest
        answer = client("PATCH", location, b"x")
        assert (answer.status, code(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")
        assert not list((server.folder / "data" / "uploads").iterdir())


def test_a_second_server_on_the_folder_refuses_to_start(tmp_path):
    with Gsq(tmp_path / "gsq") as first:
        second = Gsq(tmp_path / "gsq")
        with pytest.raises(ProcessDied, match="another process"):
            second.start()
        assert Client(first.registry_host)("GET", "").status == 200


def test_data_of_a_newer_program_is_refused(tmp_path):
    with Gsq(tmp_path / "gsq") as server:
        server.stop()
        subprocess.run(["sqlite3", tmp_path / "gsq" / "data" / "registry.db", "PRAGMA user_version = 99"], check=True)
        with pytest.raises(ProcessDied, match="newer gsq"):
            server.start()


def test_a_flipped_bit_in_a_row_is_an_error_and_never_wrong_bytes(tmp_path):
    with Gsq(tmp_path / "gsq") as server:
        client = Client(server.registry_host)
        client.push("a", "v1", b"content to be damaged")
        server.stop()
        subprocess.run(["sqlite3", tmp_path / "gsq" / "data" / "registry.db",
                        "UPDATE blob SET data = CAST('Content to be damaged' AS BLOB) WHERE size = 21"], check=True)
        server.start()
        answer = client("GET", f"a/blobs/{sha256(b'content to be damaged')}")
        assert (answer.status, code(answer)) == (500, "INTERNAL")


# ---- kill -9 ----

class Pusher(threading.Thread):
    """Pushes artifacts until the server is gone, and remembers those that were acknowledged."""

    def __init__(self, client, name, sizes):
        super().__init__()
        self.client, self.repository, self.sizes = client, f"killed/{name}", sizes
        self.acknowledged = {}

    def run(self):
        number = 0
        while True:
            layer = os.urandom(self.sizes[number % len(self.sizes)])
            try:
                self.acknowledged[f"v{number}"] = self.client.push(self.repository, f"v{number}", layer)
            except (OSError, http.client.HTTPException):
                return
            number += 1


def test_killed_during_pushes_nothing_acknowledged_is_lost(tmp_path):
    with Gsq(tmp_path / "gsq") as server:
        client = Client(server.registry_host)
        for number in range(rounds(20, 200)):
            pushers = [Pusher(client, f"small{number}", [100]), Pusher(client, f"big{number}", [MIB]),
                       Pusher(client, f"mixed{number}", [10, 300_000, BLOB_IN_ROW])]
            for pusher in pushers:
                pusher.start()
            wait_until(lambda: all(len(pusher.acknowledged) >= 3 + number % 5 for pusher in pushers), "pushes")
            server.kill()
            for pusher in pushers:
                pusher.join()
            server.start()
            for pusher in pushers:
                for tag, manifest in pusher.acknowledged.items():
                    assert client("GET", f"{pusher.repository}/manifests/{tag}").body == manifest
                    [layer] = json.loads(manifest)["layers"]
                    assert sha256(client("GET", f"{pusher.repository}/blobs/{layer['digest']}").body) == layer["digest"]
            assert not list((server.folder / "data" / "uploads").iterdir())


# ---- a full disk ----

@contextmanager
def small_disk(path, size):
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=False).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


def test_a_full_disk_is_507_and_passes(tmp_path):
    with small_disk(tmp_path / "disk", "24m"), Gsq(tmp_path / "disk" / "gsq") as server:
        client = Client(server.registry_host)
        small = client.push("a", "small")
        ballast = tmp_path / "disk" / "ballast"
        with open(ballast, "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))

        big = os.urandom(2 * MIB)
        answer = client("POST", f"a/blobs/uploads/?digest={sha256(big)}", big)
        assert (answer.status, code(answer)) == (507, "INSUFFICIENT_STORAGE")
        location = client.start_upload("a")
        assert client("PATCH", location, big).status == 507
        assert client("GET", location).status == 404
        statuses = set()
        for _ in range(100):
            content = os.urandom(60_000)
            statuses.add(client("POST", f"a/blobs/uploads/?digest={sha256(content)}", content).status)
        assert 507 in statuses and statuses <= {201, 507}
        assert client("GET", "a/manifests/small").body == small
        assert not list((server.folder / "data" / "uploads").iterdir())

        ballast.unlink()
        manifest = client.push("a", "big", big)
        server.restart()
        assert client("GET", "a/manifests/big").body == manifest
        assert client("GET", f"a/blobs/{sha256(big)}").body == big


# ---- real clients ----

def run(*command, **kwargs):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=120,
                          **kwargs)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


def optional(name):
    """A program built by tests/tools/build."""
    with tools_or_skip():
        return tool(name)


def test_oras_pushes_pulls_attaches_and_discovers(client, repository, tmp_path):
    oras, reference = optional("oras"), f"{client.host}/{repository}:v1"
    (tmp_path / "small.txt").write_text("hello\n")
    (tmp_path / "big.bin").write_bytes(os.urandom(3 * MIB))
    run(oras, "push", "--plain-http", reference, "small.txt", "big.bin", cwd=tmp_path)
    run(oras, "pull", "--plain-http", reference, "-o", tmp_path / "out")
    for name in ("small.txt", "big.bin"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / name).read_bytes()
    run(oras, "attach", "--plain-http", "--artifact-type", "test/note", reference, "small.txt", cwd=tmp_path)
    assert "test/note" in run(oras, "discover", "--plain-http", reference)
    assert run(oras, "repo", "tags", "--plain-http", f"{client.host}/{repository}").split() == ["v1"]
    run(oras, "manifest", "delete", "--plain-http", "--force", reference)
    assert client("GET", f"{repository}/manifests/v1").status == 404


def test_crane_appends_copies_lists_and_deletes(client, repository, tmp_path):
    crane, host = optional("crane"), client.host
    (tmp_path / "file").write_text("hello\n")
    run("tar", "cf", tmp_path / "layer.tar", "-C", tmp_path, "file")
    run(crane, "append", "-f", tmp_path / "layer.tar", "-t", f"{host}/{repository}:v1")
    run(crane, "copy", f"{host}/{repository}:v1", f"{host}/{repository}/copy:v2")
    digest = run(crane, "digest", f"{host}/{repository}:v1").strip()
    assert run(crane, "digest", f"{host}/{repository}/copy:v2").strip() == digest
    assert run(crane, "ls", f"{host}/{repository}").split() == ["v1"]
    assert f"{repository}/copy" in run(crane, "catalog", host).split()
    run(crane, "pull", f"{host}/{repository}:v1", tmp_path / "image.tar")
    run(crane, "validate", "--remote", f"{host}/{repository}:v1")
    run(crane, "delete", f"{host}/{repository}@{digest}")
    assert client("GET", f"{repository}/manifests/v1").status == 404


def test_crane_pushes_an_index_with_two_platforms(client, repository, tmp_path):
    crane, host = optional("crane"), client.host
    (tmp_path / "file").write_text("hello\n")
    run("tar", "cf", tmp_path / "layer.tar", "-C", tmp_path, "file")
    for arch in ("amd64", "arm64"):
        run(crane, "append", "--platform", f"linux/{arch}", "-f", tmp_path / "layer.tar",
            "-t", f"{host}/{repository}:{arch}")
        run(crane, "mutate", "--set-platform", f"linux/{arch}", f"{host}/{repository}:{arch}",
            "-t", f"{host}/{repository}:{arch}")
    run(crane, "index", "append", "-m", f"{host}/{repository}:amd64", "-m", f"{host}/{repository}:arm64",
        "-t", f"{host}/{repository}:all")
    run(crane, "copy", f"{host}/{repository}:all", f"{host}/{repository}/copy:all")
    run(crane, "validate", "--remote", f"{host}/{repository}/copy:all")
    index = json.loads(run(crane, "manifest", f"{host}/{repository}/copy:all"))
    assert {m["platform"]["architecture"] for m in index["manifests"]} == {"amd64", "arm64"}


@pytest.mark.parametrize("image_format", ["oci", "v2s2"])
def test_skopeo_copies_lists_and_deletes(client, repository, tmp_path, image_format):
    crane, image = optional("crane"), f"{client.host}/{repository}"
    (tmp_path / "file").write_bytes(os.urandom(MIB))
    run("tar", "cf", tmp_path / "layer.tar", "-C", tmp_path, "file")
    run(crane, "append", "-f", tmp_path / "layer.tar", "-t", f"{image}:v1")
    run("skopeo", "copy", "--src-tls-verify=false", f"docker://{image}:v1", f"oci:{tmp_path / 'layout'}:v1")
    run("skopeo", "copy", "--dest-tls-verify=false", "--format", image_format, f"oci:{tmp_path / 'layout'}:v1",
        f"docker://{image}:v2")
    expected = MANIFEST if image_format == "oci" else DOCKER
    assert client("GET", f"{repository}/manifests/v2").headers["Content-Type"] == expected
    assert json.loads(run("skopeo", "list-tags", "--tls-verify=false", f"docker://{image}"))["Tags"] == ["v1", "v2"]
    run("skopeo", "delete", "--tls-verify=false", f"docker://{image}:v2")
    assert client("GET", f"{repository}/manifests/v2").status == 404
