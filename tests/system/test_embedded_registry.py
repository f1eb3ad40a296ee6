# SPDX-License-Identifier: Apache-2.0
"""The embedded registry over HTTP (distribution-spec v1.1): `gsq serve`, seen by raw requests."""
import hashlib
import http.client
import itertools
import json
import os
import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lib.gsq import Gsq
from tests.lib.oci import EMPTY, artifact, sha256
from tests.lib.registry import BLOB_IN_ROW, DOCKER, INDEX, MANIFEST, MIB, Answer, Client, code
from tests.lib.wait import wait_until


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
    ("v1", b"", MANIFEST, "MANIFEST_INVALID"),
    ("v1", b"[]", MANIFEST, "MANIFEST_INVALID"),
    ("v1", b"{}", MANIFEST, "MANIFEST_INVALID"),
    ("v1", artifact(b"layer")[:-1], MANIFEST, "MANIFEST_INVALID"),
    ("v1", artifact(b"layer") + b"}", MANIFEST, "MANIFEST_INVALID"),
    ("v1", artifact(b"layer") + bytes(1), MANIFEST, "MANIFEST_INVALID"),
    ("v1", bytes(range(256)), MANIFEST, "MANIFEST_INVALID"),
    ("v1", artifact(b"layer").replace(b"example", b"\xff\xfe"), MANIFEST, "MANIFEST_INVALID"),
    ("v1", b'{"schemaVersion":2,' + artifact(b"layer")[1:], MANIFEST, "MANIFEST_INVALID"),
    ("v1", b'{"x":' + b"[" * MIB + b"]" * MIB, MANIFEST, "MANIFEST_INVALID"),
    ("v1", b'{"x":' * 100_000, MANIFEST, "MANIFEST_INVALID"),
    ("v1", artifact(b"layer").replace(b'"schemaVersion": 2', b'"schemaVersion": 2e999'), MANIFEST, "MANIFEST_INVALID"),
    ("v1", artifact(b"layer").replace(b'"size": 5', b'"size": -5'), MANIFEST, "MANIFEST_INVALID"),
    ("v1", artifact(b"layer").replace(b'"size": 5', b'"size": 99999999999999999999'), MANIFEST, "MANIFEST_INVALID"),
    ("v1", artifact(b"layer").replace(sha256(b"layer").encode(), b"sha256:../../x"), MANIFEST, "MANIFEST_INVALID"),
    ("v1", artifact(b"layer"), INDEX, "MANIFEST_INVALID"),
    ("v1", artifact(b"layer"), "text/plain", "MANIFEST_INVALID"),
    (".bad", artifact(b"layer"), MANIFEST, "MANIFEST_INVALID"),
    ("x" * 129, artifact(b"layer"), MANIFEST, "MANIFEST_INVALID"),
    (sha256(b"another"), artifact(b"layer"), MANIFEST, "DIGEST_INVALID"),
    ("sha256:12", artifact(b"layer"), MANIFEST, "DIGEST_INVALID"),
], ids=lambda value: repr(value[:40]))
def test_a_bad_manifest_is_refused_and_leaves_nothing(client, repository, reference, content, media_type, expected):
    client.push_blob(repository, EMPTY)
    client.push_blob(repository, b"layer")
    answer = client.push_manifest(repository, reference, content, media_type)
    assert (answer.status, code(answer)) == (400, expected)
    assert json.loads(client("GET", f"{repository}/tags/list").body)["tags"] == []


def test_a_manifest_of_4_mib_is_taken_and_over_4_mib_is_413(client, repository):
    client.push(repository, "v1")

    def of_size(size):
        return artifact(b"layer")[:-1] + b" " * (size - len(artifact(b"layer"))) + b"}"

    assert client.push_manifest(repository, "most", of_size(4 * MIB)).status == 201
    assert client("GET", f"{repository}/manifests/most").body == of_size(4 * MIB)
    for body in (of_size(4 * MIB + 1), iter([of_size(5 * MIB)])):  # said before, or seen on the way
        answer = client("PUT", f"{repository}/manifests/over", body, {"Content-Type": MANIFEST})
        assert (answer.status, code(answer)) == (413, "SIZE_INVALID")
    assert client("GET", f"{repository}/manifests/over").status == 404


def test_a_docker_manifest_keeps_its_media_type(client, repository):
    client.push(repository, "oci")
    manifest = with_fields(artifact(b"layer"), mediaType=DOCKER)
    assert client.push_manifest(repository, "docker", manifest, DOCKER).status == 201
    assert client("GET", f"{repository}/manifests/docker").headers["Content-Type"] == DOCKER


def test_a_sparse_manifest_is_whole_once_its_blob_is_there(client, repository):
    """As the spec's data model has it since 1.1: what a manifest names may come later, or never."""
    client.push_blob(repository, EMPTY)
    manifest = artifact(b"comes later")
    assert client.push_manifest(repository, "v1", manifest).status == 201
    assert client("GET", f"{repository}/manifests/v1").body == manifest
    assert client("GET", f"{repository}/blobs/{sha256(b'comes later')}").status == 404
    client.push_blob(repository, b"comes later")
    assert client("GET", f"{repository}/blobs/{sha256(b'comes later')}").body == b"comes later"


def index_of(*manifests):
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": MANIFEST, "digest": digest, "size": 100} for digest in manifests]}).encode()


def test_an_index_takes_manifests_that_are_there_or_not(client, repository):
    manifest, missing = client.push(repository, "v1"), artifact(b"not there yet")
    index = index_of(sha256(manifest), sha256(missing))
    assert client.push_manifest(repository, "index", index, INDEX).status == 201
    assert client("GET", f"{repository}/manifests/index").body == index
    assert client("GET", f"{repository}/manifests/{sha256(missing)}").status == 404
    assert client.push_manifest(repository, sha256(missing), missing).status == 201
    assert client("GET", f"{repository}/manifests/{sha256(missing)}").body == missing


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


@pytest.mark.parametrize("extra", [b"x" * 10, b"GET / HTTP/1.1\r\n\r\n", bytes(100_000)],
                         ids=["text", "a request", "zeros"])
def test_what_follows_a_body_of_the_stated_length_is_no_part_of_it(client, repository, extra):
    content = os.urandom(1000)
    location = client.start_upload(repository)
    with socket.create_connection(tuple(client.host.split(":"))) as connection:
        connection.sendall(f"PATCH /v2/{location} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode())
        connection.sendall(content + extra)
        connection.recv(MIB)
    wait_until(lambda: client("GET", location).headers["Range"] == "0-999", "the chunk")
    assert client("PUT", f"{location}?digest={sha256(content)}").status == 201


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_content_range_that_does_not_fit_the_body_is_416(client, repository, method):
    location = client.start_upload(repository)
    assert client("PATCH", location, b"0123456789").status == 202
    query = f"?digest={sha256(b'0123456789abcde')}" if method == "PUT" else ""
    for content_range in ("10-13", "10-15", "9-13", "11-15", "0-4", "10-9", "-5", "10-", "a-b",
                          "10-18446744073709551630"):
        answer = client(method, f"{location}{query}", b"abcde", {"Content-Range": content_range})
        assert answer.status == 416, content_range
        assert code(answer) == "BLOB_UPLOAD_INVALID"
        assert client("GET", location).headers["Range"] == "0-9", content_range
    assert client("PUT", f"{location}?digest={sha256(b'0123456789abcde')}", b"abcde").status == 201


def test_a_streamed_chunk_that_does_not_fit_its_content_range_makes_no_blob(client, repository):
    location = client.start_upload(repository)
    answer = client("PATCH", location, iter([b"0123456789"]), {"Content-Range": "0-4"})
    assert answer.status in (400, 416)


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
    again = client("GET", f"_catalog?n=2&last={repository}")
    assert again.body == answer.body
    assert all(again.headers[name] == answer.headers[name] for name in ("Link", "Content-Type", "Content-Length"))
    head = client("HEAD", f"_catalog?n=2&last={repository}")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", answer.headers["Content-Length"])
    assert json.loads(client("GET", f"_catalog?n=1&last={repository}").body)["repositories"] == [f"{repository}/a"]
    assert client("GET", "_catalog?n=x").status == 400


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
def test_the_catalog_has_what_was_acknowledged_while_others_list_it(client, server, repository):
    path, done = f"_catalog?last={repository}/", threading.Event()

    def listed(connection, name):
        answer = connection("GET", path)
        assert answer.status == 200
        return name in json.loads(answer.body)["repositories"]

    def list_all_the_time():
        connection, n = Client(server.registry_host, kept=True), 0
        while not done.is_set():
            listed(connection, repository)
            n += 1
        return n

    def push_and_delete(number):
        connection = Client(server.registry_host, kept=True)
        for round_ in range(25):
            name = f"{repository}/{number}-{round_ % 5}"
            manifest = connection.push(name, "v1")
            assert listed(connection, name), name
            assert connection("DELETE", f"{name}/manifests/{sha256(manifest)}").status == 202
            assert not listed(connection, name), name

    with ThreadPoolExecutor(6) as pool:
        listers = [pool.submit(list_all_the_time) for _ in range(4)]
        try:
            for pusher in [pool.submit(push_and_delete, number) for number in range(2)]:
                pusher.result()
        finally:
            done.set()
        assert all(lister.result() > 0 for lister in listers)


# ---- names that lead elsewhere ----

BAD_NAMES = [
    "..", "../etc", "a/..", "a/../b", "../../../../etc/passwd", "a//b", "/a", "a/", "//", ".", "./a", "a/./b",
    "a/.hidden", "UPPER", "a/Upper", "-a", "a-", "a.", "a..b", "a___b", "_a", "a.-b", "a" * 256, "/".join(["a"] * 129),
    "%2e%2e", "%2e%2e/b", "a%2fb", "a%2f..%2fb", "..%2f..%2fx", "%2fetc", "a%00b", "a%00", "%00", "a%20b", "a%", "a%zz",
    "a\\b", "..\\..\\x", "a%5cb", "a:b", "a@b", "~", "a;b", "%c0%ae%c0%ae", "%c3%a9",
]
BAD_LAST = [
    "..", ".", "sha256:../../x", "sha256:..%2f..%2fx", "..%2f..%2fregistry.db", "%2e%2e", "%2e%2e%2fregistry.db", "%00",
    "x%00", "sha256:%00", "\\..\\x", "sha256:" + "0" * 63, "sha256:" + "0" * 65, "sha256:" + "A" * 64,
    "sha256:" + "0" * 62 + "%2f0", "sha256%3a..%2f" + "0" * 61, "sha512:" + "0" * 64, "sha256:", ":",
    "x" * 10_000, "%", "%zz",
]


def tree(folder):
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def outside(server):
    """All around the data folder, and what there is in it but for the database."""
    return {path: content for path, content in tree(server.folder.parent).items()
            if not path.endswith("/gsq.log") and "/registry.db" not in path}


def plainly(host, method, target, body=b""):
    """A request whose path no library has looked at."""
    with socket.create_connection(tuple(host.split(":")), timeout=60) as connection:
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode("latin-1") + body)
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        return Answer(answer.status, answer.headers, answer.read())


def test_a_bad_repository_name_is_refused_and_touches_nothing(server, client):
    (server.folder / "decoy").write_bytes(b"decoy")
    before, digest = outside(server), sha256(b"x")
    requests = [("GET", "tags/list"), ("GET", "manifests/v1"), ("HEAD", "manifests/v1"), ("PUT", "manifests/v1"),
                ("DELETE", "manifests/v1"), ("GET", f"blobs/{digest}"), ("DELETE", f"blobs/{digest}"),
                ("GET", f"referrers/{digest}"), ("POST", "blobs/uploads/"), ("POST", f"blobs/uploads/?digest={digest}"),
                ("PATCH", f"blobs/uploads/{'0' * 32}"), ("PUT", f"blobs/uploads/{'0' * 32}?digest={digest}")]
    for name, (method, rest) in itertools.product(BAD_NAMES, requests):
        target = f"/v2/{name}/{rest}"
        answer = plainly(client.host, method, target, b"" if method in ("GET", "HEAD", "DELETE") else b"x")
        assert (answer.status, method == "HEAD" or code(answer)) == (400, method == "HEAD" or "NAME_INVALID"), target
    assert outside(server) == before


def test_a_bad_digest_or_upload_id_is_refused_and_touches_nothing(server, client, repository):
    (server.folder / "decoy").write_bytes(b"decoy")
    manifest = client.push(repository, "v1")
    client.push(repository, "x")
    before = outside(server)
    requests = [(method, f"{kind}/") for kind, methods in (
        ("blobs", "GET HEAD DELETE"), ("referrers", "GET"), ("manifests", "GET HEAD PUT DELETE"),
        ("blobs/uploads", "GET PATCH PUT DELETE")) for method in methods.split()]
    codes = ("DIGEST_INVALID", "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN",
             "UNSUPPORTED")
    for last, (method, kind) in itertools.product(BAD_LAST, requests):
        target = f"/v2/{repository}/{kind}{last}"
        if (method, kind) == ("PUT", "blobs/uploads/"):
            target += f"?digest={sha256(manifest)}"
        answer = plainly(client.host, method, target, manifest if method in ("PUT", "PATCH") else b"")
        assert answer.status in (400, 404, 405), (method, target, answer)
        assert method == "HEAD" or code(answer) in codes, (method, target, answer)
    for last in BAD_LAST:
        for query in (f"digest={last}", f"mount={last}&from={repository}", f"mount={sha256(b'layer')}&from={last}"):
            answer = plainly(client.host, "POST", f"/v2/{repository}/elsewhere/blobs/uploads/?{query}", b"layer")
            # A mount that cannot be is an upload.
            assert answer.status in (400, 404) or (answer.status == 202 and "mount" in query), (query, answer)
    assert outside(server) == before
    client.assert_whole(repository, "v1", manifest)


def test_paths_of_random_bytes_are_refused(server, client):
    before, bytes_of = outside(server), random.Random(1)
    pieces = ["/v2/", "a", "/", "..", ".", "%2e", "%2f", "%00", "\\", "blobs/", "manifests/", "uploads/", "tags/list",
              ":", "sha256:", "0" * 64, "?", "&", "digest=", "%", "_catalog", "referrers/", "\xff", "#"]
    for _ in range(3000):
        target = "/v2/" + "".join(bytes_of.choices(pieces, k=bytes_of.randrange(1, 8)))
        answer = plainly(client.host, bytes_of.choice(["GET", "HEAD", "DELETE", "PATCH", "PUT"]), target)
        assert answer.status < 500, (target, answer)
    assert outside(server) == before
