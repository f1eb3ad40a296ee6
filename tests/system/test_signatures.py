# SPDX-License-Identifier: Apache-2.0
"""Signatures: the real cosign verifies what was pushed, and the server reads nothing else where it is told to."""
import json
import re
import subprocess

import pytest

from tests.conftest import tools_or_skip
from tests.lib.cosign import PASSWORD, SigningKey
from tests.lib.gsq import Gsq, binary
from tests.lib.oci import CATALOG, RECORDS, Oci, OciError
from tests.lib.tools import tool
from tests.lib.wait import wait_until
from tests.system.resources import declare, intent, listed, not_ready_reason, path, remove
from tests.system.test_retention import GRACE, KEPT, expired, write

WEB = "gitops-squared/resources/default/web"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two key pairs: making one takes a while."""
    folder = tmp_path_factory.mktemp("keys")
    with tools_or_skip():
        return [SigningKey(folder, name) for name in ("own", "other")]


@pytest.fixture
def key(keys):
    return keys[0]


@pytest.fixture
def other_key(keys):
    return keys[1]


def assert_signed(oci, repository, signer, reference="latest"):
    """Of a record there is no bundle, so cosign goes on to the older format."""
    digest = oci.digest(repository, reference)
    for bundle in (True, False):
        verified, said = signer.verifies(oci.host, repository, digest, bundle)
        assert verified, f"{repository}:{reference} ({bundle=}): {said}"


def assert_not_signed(oci, repository, signer, reference="latest"):
    digest = oci.digest(repository, reference)
    assert not any(signer.verifies(oci.host, repository, digest, bundle)[0] for bundle in (True, False))


def trusts(signer, *others):
    """Flags that take in what the others have signed, too."""
    together = signer.public.parent / "together.pub"
    together.write_text("".join(other.public.read_text() for other in others))
    return [*signer.signs(), "--verify", together]


def signatures(oci, repository):
    return [tag for tag in oci.tags(repository) if tag.startswith("sha256-")]


def index(oci, subject):
    """What a client finds where there is no API for referrers."""
    _, content = oci.request("GET", f"/v2/{CATALOG}/manifests/{stem(subject)}", headers={"Accept": INDEX})
    return json.loads(content)["manifests"]


def stem(digest):
    return digest.replace(":", "-")


def refused(server, *args):
    """Starts it with these flags and returns why it does not come to be ready."""
    server.stop()
    server.args = args
    server.start(wait="/healthz")
    reason = not_ready_reason(server)
    server.stop()
    return reason


# ---- what others find ----

def test_cosign_verifies_catalog_and_record(store, key, other_key):
    server = store.server(args=key.signs()).start()
    declare(server, "web")
    oci = store.oci()
    for repository in (CATALOG, RECORDS):
        assert_signed(oci, repository, key)
        assert_not_signed(oci, repository, other_key)
    assert not signatures(oci, WEB)
    assert {tag.rpartition(".")[2] for tag in signatures(oci, CATALOG)} >= {"sig", "bundle"}
    assert {tag.rpartition(".")[2] for tag in signatures(oci, RECORDS)} == {"sig"}


def test_cosign_verifies_artifacts_where_they_are_signed_and_those_of_deleted_resources(store, key):
    server = store.server(args=[*key.signs(), "--sign-resources"]).start()
    declare(server, "web")
    assert_signed(store.oci(), WEB, key)
    remove(server, "web")
    assert_signed(store.oci(), WEB, key)


def test_cosign_verifies_the_root_and_each_catalog_of_a_split_store(store, key):
    server = store.server(args=key.signs(), layout=["--layout", "split"], namespaces=("default", "other")).start()
    declare(server, "web")
    declare(server, "ci", "other")
    for repository in (CATALOG, "gitops-squared/catalogs/default/00", "gitops-squared/catalogs/other/00"):
        assert_signed(store.oci(), repository, key)


def test_oras_discovers_the_bundle_as_a_referrer(store, key):
    server = store.server(args=key.signs()).start()
    declare(server, "web")
    oci = store.oci()
    done = subprocess.run([tool("oras"), "discover", "--plain-http", "--format", "json",
                           f"{oci.host}/{CATALOG}:latest"], capture_output=True, text=True, check=True, timeout=60)
    [referrer] = json.loads(done.stdout)["referrers"]
    assert referrer["artifactType"] == BUNDLE
    assert referrer["digest"] == oci.digest(CATALOG, f"{stem(oci.digest(CATALOG, 'latest'))}.bundle")


def test_a_registry_without_an_api_for_referrers_gets_their_index(distribution_store, key):
    server = distribution_store.server(args=key.signs()).start()
    declare(server, "web")
    oci = distribution_store.oci()
    subject = oci.digest(CATALOG, "latest")
    with pytest.raises(OciError, match="404"):
        oci.request("GET", f"/v2/{CATALOG}/referrers/{subject}")
    [bundle] = index(oci, subject)
    assert bundle["artifactType"] == BUNDLE
    assert oci.manifest(CATALOG, bundle["digest"]).json["subject"]["digest"] == subject


def test_a_registry_with_that_api_gets_no_index(gsq, tmp_path, key):
    prefix = f"http://{gsq.registry_host}/acme"
    with Gsq(tmp_path / "second", registry=prefix, args=[*key.signs(), "--verify", key.public]) as server:
        declare(server, "web")
        oci = Oci(gsq.registry_host, "acme/")
        subject = oci.digest(CATALOG, "latest")
        assert {f"{stem(subject)}.bundle", f"{stem(subject)}.sig"} <= set(oci.tags(CATALOG))
        assert stem(subject) not in oci.tags(CATALOG)
        _, content = oci.request("GET", f"/v2/acme/{CATALOG}/referrers/{subject}")
        assert [item["artifactType"] for item in json.loads(content)["manifests"]] == [BUNDLE]
        server.restart()


def test_that_index_keeps_what_others_have_put_there(distribution_store, key, other_key):
    server = distribution_store.server(args=key.signs()).start()
    declare(server, "web")
    oci = distribution_store.oci()
    subject = oci.digest(CATALOG, "latest")
    before = index(oci, subject)
    server.args = trusts(other_key, key)
    server.restart()
    assert index(oci, subject)[:-1] == before
    for signer in (key, other_key):
        verified, said = signer.verifies(oci.host, CATALOG, subject, bundle=True)
        assert verified, said


# ---- the start ----

def test_a_store_that_was_there_before_is_signed_by_a_start_that_is_told_so(store, key):
    server = store.server().start()
    declare(server, "web")
    assert not signatures(store.oci(), CATALOG)
    server.stop()
    server.args = [*key.signs(), "--sign-existing"]
    server.start()
    for repository in (CATALOG, RECORDS):
        assert_signed(store.oci(), repository, key)
    before = signatures(store.oci(), CATALOG)
    server.args = key.signs()
    server.restart()
    assert signatures(store.oci(), CATALOG) == before
    assert server.log().count("signed what had no signature") == 1


def test_what_nobody_signed_is_refused_until_a_start_is_told_to_sign_it(store, key):
    server = store.server().start()
    declare(server, "web")
    reason = refused(server, *key.signs())
    assert re.search(r"gitops-squared/commits@sha256:\w+ is not signed by a key of --sign-key or --verify", reason)
    assert "start once with --sign-existing" in reason
    server.args = [*key.signs(), "--sign-existing"]
    server.restart()
    server.args = key.signs()
    server.restart()
    assert set(listed(server)) == {"web"}
    declare(server, "web", replicas=2)
    server.restart()
    assert listed(server)["web"]["spec"]["replicas"] == 2


def test_what_another_key_signed_is_refused_and_a_catalog_of_it_by_name(store, key, other_key):
    server = store.server(args=key.signs()).start()
    declare(server, "web")
    digest = store.oci().digest(CATALOG, "latest")
    assert "commits@" in refused(server, "--hold", "--verify", other_key.public)
    store.drop_tag(CATALOG, f"{stem(digest)}.sig")
    assert f"{CATALOG}@{digest} is not signed" in refused(server, "--hold", "--verify", key.public)


def test_a_catalog_that_was_tampered_with_is_refused(store, key):
    server = store.server(args=key.signs()).start()
    declare(server, "web")
    layer = store.oci().manifest(CATALOG, "latest").json["layers"][0]["digest"]
    server.stop()
    store.alter_blob(layer)
    assert CATALOG in refused(server, *key.signs(), "--verify", key.public)


def test_keys_are_changed_while_a_file_holds_the_old_one(store, key, other_key):
    server = store.server(args=key.signs()).start()
    declare(server, "web")
    assert "--verify" in refused(server, *other_key.signs())
    server.args = trusts(other_key, key)
    server.restart()
    assert_signed(store.oci(), CATALOG, other_key)
    server.args = other_key.signs()
    server.restart()
    assert set(listed(server)) == {"web"}


def test_the_server_signs_nothing_that_it_has_not_made(distribution_store, key):
    """Who has the registry and not the key commits something: the server does not put its name to it."""
    server = distribution_store.server(args=key.signs()).start()
    declare(server, "web")
    stranger = distribution_store.server().start()
    declare(stranger, "web", replicas=3)
    stranger.stop()
    assert server.post(path(), intent("web", replicas=2)).status == 503
    wait_until(lambda: "it has no signature" in not_ready_reason(server), "the server to refuse it")
    oci = distribution_store.oci()
    for repository in (CATALOG, RECORDS):
        assert_not_signed(oci, repository, key)


def test_a_rebuild_signs_and_verifies_what_there_was(store, key, other_key):
    server = store.server().start()
    declare(server, "web")
    server.stop()

    def rebuild(*args):
        return subprocess.run([binary(), "rebuild", *store.rebuild_args(), *map(str, args)],
                              capture_output=True, text=True, check=False, timeout=60)
    done = rebuild(*key.signs(), "--verify", other_key.public)
    assert done.returncode == 1 and "does not pass --verify" in done.stderr
    assert rebuild(*key.signs()).returncode == 0
    server.args = key.signs()
    server.start()
    assert set(listed(server)) == {"web"}
    for repository in (CATALOG, RECORDS):
        assert_signed(store.oci(), repository, key)


# ---- what becomes of them ----

def test_signatures_go_with_the_catalogs_that_they_sign(store, key):
    server = store.server(args=[*key.signs(), *GRACE]).start()
    write(server, 2 * KEPT)
    oci = store.oci()
    subjects = {stem(oci.digest(CATALOG, tag)) for tag in expired(oci, CATALOG, KEPT)}

    def left():
        found = {tag.partition(".")[0] for tag in signatures(oci, CATALOG)}
        assert found == subjects
        return True
    wait_until(left, "signatures of what is left, and no others")
    assert_signed(oci, CATALOG, key)
    server.args = [*key.signs(), "--verify", key.public]
    server.restart()


def test_expired_catalogs_and_their_signatures_leave_nothing_behind(embedded_store, key):
    server = embedded_store.server(args=[*key.signs(), *GRACE]).start()
    write(server, 2 * KEPT)
    expired(embedded_store.oci(), CATALOG, KEPT)

    def manifests():
        [(n,)] = embedded_store._sql(  # pylint: disable=protected-access
            "SELECT count(*) FROM manifest m JOIN repository r ON r.id = m.repository WHERE r.name = ?", CATALOG)
        assert n == 3 * KEPT
        return True
    wait_until(manifests, "a catalog, a signature and a bundle of each")


def test_the_bundle_of_a_key_that_was_changed_leaves_nothing_behind(embedded_store, key, other_key):
    server = embedded_store.server(args=key.signs()).start()
    declare(server, "web")
    server.args = trusts(other_key, key)
    server.restart()
    oci = embedded_store.oci()
    subject = oci.digest(CATALOG, "latest")
    _, content = oci.request("GET", f"/v2/{CATALOG}/referrers/{subject}")
    [bundle] = json.loads(content)["manifests"]
    assert bundle["digest"] == oci.digest(CATALOG, f"{stem(subject)}.bundle")


def test_signatures_of_resources_go_with_their_versions(store, key):
    server = store.server(args=[*key.signs(), "--sign-resources", *GRACE, "--keep-versions", "2"]).start()
    for i in range(6):
        declare(server, "web", replicas=1 + i)
    oci = store.oci()
    kept = {stem(oci.digest(WEB, tag)) for tag in expired(oci, WEB, 2, "v")}

    def left():
        assert {tag.partition(".")[0] for tag in signatures(oci, WEB)} == kept
        return True
    wait_until(left, "signatures of what is left, and no others")


# ---- the command line ----

@pytest.mark.parametrize("args, why", [
    (["--sign-resources"], "--sign-resources goes with --sign-key"),
    (["--sign-password-file", "KEY"], "--sign-password-file goes with --sign-key"),
    (["--sign-existing"], "--sign-existing goes with --sign-key"),
    (["--sign-key", "KEY", "--sign-existing", "--hold"], "--sign-existing would sign nothing"),
    (["--verify", "PUBLIC"], "--verify needs --sign-key"),
    (["--sign-key", "KEY"], "--sign-key: "),
    (["--sign-key", "MISSING"], "--sign-key: "),
    (["--sign-key", "KEY", "--sign-password-file", "WRONG"], "--sign-key: "),
    (["--sign-key", "KEY", "--sign-password-file", "PASSWORD", "--verify", "KEY"], "--verify: "),
])
def test_flags_that_would_not_do_what_they_say_are_refused(args, why, key, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("horse correct")
    files = {"KEY": key.private, "PASSWORD": key.password_file, "PUBLIC": key.public, "WRONG": wrong,
             "MISSING": tmp_path / "missing"}
    done = subprocess.run([binary(), "serve", "--listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0",
                           "--data-dir", tmp_path / "data", "--anonymous", "read",
                           *[files.get(arg, arg) for arg in args]],
                          capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert why in done.stderr
    assert PASSWORD not in done.stderr and "horse" not in done.stderr
