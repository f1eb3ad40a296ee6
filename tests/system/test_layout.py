# SPDX-License-Identifier: Apache-2.0
"""The split layout: catalogs of their own for each namespace, and the root that makes Flux apply them."""
import subprocess

import pytest
import yaml

from tests.lib.gsq import Gsq, binary
from tests.lib.oci import CATALOG, Oci, sha256, untar
from tests.lib.process import free_port
from tests.system.resources import (
    ANNOTATION_VERSION, declare, intent, listed, not_ready_reason, path, remove, without_status)

CATALOGS = 4
SPLIT = ("--layout", "split", "--catalogs", str(CATALOGS), "--catalog-url", "http://registry.example:5000")
NAMESPACES = ["default", "team-a"]
MASK = 2**64 - 1


def place(namespace, name, catalogs=CATALOGS):
    """FNV-1a of the key, then MurmurHash3's finalizer."""
    mixed = 0xcbf29ce484222325
    for byte in f"{namespace}/{name}".encode():
        mixed = ((mixed ^ byte) * 0x100000001b3) & MASK
    for factor in (0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53):
        mixed = ((mixed ^ (mixed >> 33)) * factor) & MASK
    return (mixed ^ (mixed >> 33)) % catalogs


def repository(namespace, number):
    return f"gitops-squared/catalogs/{namespace}/{number:02}"


def object_name(child):
    return child.replace("gitops-squared/catalogs/", "gitops-squared-").replace("/", "-")


def children(oci):
    return [name for name in oci.repositories() if name.startswith("gitops-squared/catalogs/")]


def files_of(oci, child):
    """{path: content} of a catalog, and what its kustomization lists, which must be just that."""
    files = untar(oci.layer(child, "latest"))
    kustomization = yaml.safe_load(files.pop("manifests/kustomization.yaml"))
    assert kustomization["kind"] == "Kustomization"
    assert [f"manifests/{file}" for file in kustomization["resources"]] == list(files)
    return files


def root_of(oci):
    """{path: content} of the root, but for what accounts need."""
    return {path: content for path, content in files_of(oci, CATALOG).items()
            if not path.endswith(("/account.yaml", "/tenant-role.yaml"))}


def access_of(oci):
    """What the root has for accounts: {(kind, namespace, name): object}"""
    root = root_of(oci)
    objects = [item for path, content in files_of(oci, CATALOG).items() if path not in root
               for item in yaml.safe_load_all(content)]
    return {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]): item for item in objects}


def keys_of(oci, child):
    manifests = [yaml.safe_load(content)["metadata"] for content in files_of(oci, child).values()]
    return [(metadata["namespace"], metadata["name"]) for metadata in manifests]


def everything(server):
    return {namespace: listed(server, namespace) for namespace in NAMESPACES}


def start(folder, args=SPLIT):
    return Gsq(folder / "gsq", namespaces=NAMESPACES, args=args)


@pytest.fixture
def server(tmp_path):
    """With resources in all catalogs of one namespace and in one of another."""
    with start(tmp_path) as server:
        for i in range(30):
            declare(server, f"web-{i}")
        declare(server, "web", "team-a")
        yield server


@pytest.fixture
def oci(server):
    return Oci(server.registry_host)


def test_a_new_store_has_an_empty_root_and_no_other_catalog(tmp_path):
    with start(tmp_path) as server:
        oci = Oci(server.registry_host)
        assert root_of(oci) == {}
        assert children(oci) == []
        assert everything(server) == {"default": {}, "team-a": {}}


def test_every_resource_is_in_the_catalog_of_its_place_and_in_no_other(server, oci):
    wanted = {}
    for namespace, resources in everything(server).items():
        for name in resources:
            wanted.setdefault(repository(namespace, place(namespace, name)), []).append((namespace, name))
    assert len(wanted) == CATALOGS + 1
    assert {child: keys_of(oci, child) for child in children(oci)} == wanted


def test_a_catalogs_files_are_the_layers_of_the_artifacts(server, oci):
    for child in children(oci):
        for content in files_of(oci, child).values():
            metadata = yaml.safe_load(content)["metadata"]
            artifact = f"gitops-squared/resources/{metadata['namespace']}/{metadata['name']}"
            assert oci.layer(artifact, metadata["annotations"][ANNOTATION_VERSION]) == content


def test_the_root_holds_the_two_objects_of_each_catalog(server, oci):
    files = root_of(oci)
    assert list(files) == [f"manifests/{child.removeprefix('gitops-squared/catalogs/')}.yaml"
                           for child in sorted(children(oci))]
    for child, content in zip(sorted(children(oci)), files.values()):
        source, kustomization = yaml.safe_load_all(content)
        metadata = {"name": object_name(child), "namespace": "flux-system"}
        assert source == {
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository", "metadata": metadata,
            "spec": {"url": f"oci://registry.example:5000/{child}", "insecure": True, "interval": "60s",
                     "ref": {"tag": "latest"}}}
        assert kustomization == {
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": metadata,
            "spec": {"sourceRef": {"kind": "OCIRepository", "name": metadata["name"]}, "path": "./manifests",
                     "interval": "60s", "prune": True, "wait": False, "deletionPolicy": "Orphan",
                     "serviceAccountName": f"gitops-squared-{child.split('/')[2]}"}}


def test_the_root_holds_an_account_for_each_namespace_that_may_touch_its_resources_only(oci):
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "gitops-squared-tenant"}
    access = access_of(oci)
    assert set(access) == {("ClusterRole", None, role["name"])} | {
        key for namespace in NAMESPACES for key in (("ServiceAccount", "flux-system", f"gitops-squared-{namespace}"),
                                                    ("RoleBinding", namespace, "gitops-squared"))}
    assert access["ClusterRole", None, role["name"]]["rules"] == [{
        "apiGroups": ["gitops-squared.io"], "resources": ["platformresources"],
        "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]}]
    for namespace in NAMESPACES:
        binding = access["RoleBinding", namespace, "gitops-squared"]
        assert binding["roleRef"] == role
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": f"gitops-squared-{namespace}", "namespace": "flux-system"}]


def accounts(oci):
    """Of all catalogs in the root: what they are applied by, and whether the root has what that needs."""
    kustomizations = [list(yaml.safe_load_all(content))[1] for content in root_of(oci).values()]
    return {item["spec"].get("serviceAccountName") for item in kustomizations}, len(access_of(oci)) > 0


def test_accounts_are_what_the_store_has_until_it_is_told_otherwise(tmp_path):
    stored(tmp_path, (*SPLIT, "--catalog-accounts", "off"))
    for args, has in (((), False), (("--catalog-accounts", "on"), True), ((), True),
                      (("--catalog-accounts", "off"), False)):
        with start_again(tmp_path, *args) as server:
            declare(server, "web", size="small")
            declare(server, "web", size="large")
            oci = Oci(server.registry_host)
            assert accounts(oci) == ({"gitops-squared-default" if has else None}, has), args
            assert oci.record().get("catalogAccounts", False) is has


def test_keys_and_authority_are_what_the_store_has_until_it_is_told_otherwise(tmp_path):
    stored(tmp_path, (*SPLIT, "--catalog-verify-secret", "keys", "--catalog-ca-secret", "authority"))

    def told(server):
        oci = Oci(server.registry_host)
        [spec] = [next(yaml.safe_load_all(content))["spec"] for content in root_of(oci).values()]
        record = oci.record()
        assert (record.get("catalogVerify"), record.get("catalogCa")) == (
            spec.get("verify", {}).get("secretRef", {}).get("name"), spec.get("certSecretRef", {}).get("name"))
        return spec.get("verify"), spec.get("certSecretRef")

    with start_again(tmp_path) as server:
        declare(server, "web", size="large")
        assert told(server) == ({"provider": "cosign", "secretRef": {"name": "keys"}}, {"name": "authority"})
    with start_again(tmp_path, "--catalog-verify-secret", "others") as server:
        declare(server, "web", size="small")
        assert told(server) == ({"provider": "cosign", "secretRef": {"name": "others"}}, {"name": "authority"})
    with start_again(tmp_path, "--catalog-verify-secret", "", "--catalog-ca-secret", "") as server:
        declare(server, "web", size="large")
        assert told(server) == (None, None)


def test_a_long_namespace_is_short_enough_for_flux(tmp_path):
    namespace = "n" * 63
    with Gsq(tmp_path / "gsq", namespaces=[namespace], args=SPLIT) as server:
        declare(server, "web", namespace)
        [content] = root_of(Oci(server.registry_host)).values()
        names = {manifest["metadata"]["name"] for manifest in yaml.safe_load_all(content)}
        assert len(names) == 1 and len(names.pop()) <= 63
        assert list(listed(server.restart(), namespace)) == ["web"]


def test_a_change_moves_its_own_catalog_only(server, oci):
    before = {child: oci.digest(child, "latest") for child in [CATALOG, *children(oci)]}
    declare(server, "web-1", size="large")
    touched = repository("default", place("default", "web-1"))
    after = {child: oci.digest(child, "latest") for child in before}
    assert [child for child, digest in after.items() if digest != before[child]] == [touched]
    assert oci.record()["catalogs"] == [{"repository": touched, "digest": after[touched]}]


def test_a_catalog_that_comes_into_being_is_in_the_record_with_the_root(server, oci):
    name = next(f"db-{i}" for i in range(100) if place("team-a", f"db-{i}") != place("team-a", "web"))
    child = repository("team-a", place("team-a", name))
    assert child not in children(oci)
    declare(server, name, "team-a")
    record = oci.record()
    assert (record["layout"], record["catalogsPerNamespace"]) == ("split", CATALOGS)
    assert sorted(catalog["repository"] for catalog in record["catalogs"]) == [CATALOG, child]
    for catalog in record["catalogs"]:
        assert oci.digest(catalog["repository"], "latest") == catalog["digest"]


def test_the_records_state_is_a_hash_over_all_catalogs(server, oci):
    lines = [f"{child} {oci.digest(child, 'latest')}\n" for child in [CATALOG, *sorted(children(oci))]]
    assert oci.record()["state"] == sha256("".join(lines).encode())


def test_an_emptied_catalog_stays_for_flux_to_prune(server, oci):
    child = repository("team-a", place("team-a", "web"))
    root = oci.digest(CATALOG, "latest")
    remove(server, "web", "team-a")
    assert untar(oci.layer(child, "latest"))["manifests/kustomization.yaml"].endswith(b"resources: []\n")
    assert oci.digest(CATALOG, "latest") == root
    server.restart()
    assert listed(server, "team-a") == {}
    declare(server, "web", "team-a")
    assert keys_of(oci, child) == [("team-a", "web")]
    assert oci.digest(CATALOG, "latest") == root


def test_everything_is_there_after_a_restart_and_nothing_is_pushed(server, oci):
    def tags():
        return {name: oci.tags(name) for name in oci.repositories()}

    before, tags_before = everything(server), tags()
    server.restart()
    assert everything(server) == before
    assert tags() == tags_before
    assert without_status(server.get(path("team-a", "web")).json) == before["team-a"]["web"]
    assert declare(server, "web", "team-a") == before["team-a"]["web"]


def test_without_flags_a_store_is_what_it_was_made(tmp_path):
    server = start(tmp_path)
    with server:
        declare(server, "web")
    again = Gsq(tmp_path / "gsq", namespaces=NAMESPACES, init=False)
    with again:
        declare(again, "db")
        assert list(listed(again)) == ["db", "web"]
        oci = Oci(again.registry_host)
        assert set(children(oci)) == {repository("default", place("default", name)) for name in ("web", "db")}


def urls(oci):
    """Of all catalogs in the root: where Flux looks for them, and with which credentials."""
    specs = [next(yaml.safe_load_all(content))["spec"] for content in root_of(oci).values()]
    return {(spec["url"].removeprefix("oci://").split("/")[0], spec["insecure"],
             spec.get("secretRef", {}).get("name")) for spec in specs}


def stored(folder, args=SPLIT):
    """A stopped store with one catalog."""
    with start(folder, args) as server:
        declare(server, "web")


def start_again(folder, *args):
    return Gsq(folder / "gsq", namespaces=NAMESPACES, init=False, args=args)


def test_a_restart_without_flags_keeps_the_way_to_the_catalogs(tmp_path):
    stored(tmp_path, (*SPLIT, "--catalog-secret", "registry-login"))
    with start_again(tmp_path) as server:
        declare(server, "web", "team-a")
        oci = Oci(server.registry_host)
        assert len(children(oci)) == 2
        assert urls(oci) == {("registry.example:5000", True, "registry-login")}
        record = oci.record()
        assert (record["catalogUrl"], record["catalogSecret"]) == ("http://registry.example:5000", "registry-login")


def test_another_way_to_the_catalogs_is_in_the_root_after_the_next_commit(tmp_path):
    stored(tmp_path)
    with start_again(tmp_path, "--catalog-url", "https://other.example", "--catalog-secret", "login") as server:
        oci = Oci(server.registry_host)
        assert urls(oci) == {("registry.example:5000", True, None)}
        declare(server, "web", size="large")
        assert urls(oci) == {("other.example", False, "login")}
        root = oci.digest(CATALOG, "latest")
        declare(server, "web", size="small")
        assert oci.digest(CATALOG, "latest") == root
    with start_again(tmp_path, "--catalog-secret", "") as server:
        declare(server, "web", size="large")
        assert urls(Oci(server.registry_host)) == {("other.example", False, None)}
        server.restart()
    # Not at the last start: by then the store had what was asked for.
    assert server.log().count("the next commit tells Flux another way") == 2


def test_a_rebuild_keeps_the_way_to_the_catalogs_unless_it_is_told_another(tmp_path):
    stored(tmp_path)

    def rebuild(*args):
        subprocess.run([binary(), "rebuild", "--data-dir", tmp_path / "gsq" / "data", *args], check=True, timeout=60)
        with start_again(tmp_path) as server:
            return urls(Oci(server.registry_host))

    assert rebuild() == {("registry.example:5000", True, None)}
    assert rebuild("--catalog-url", "https://other.example") == {("other.example", False, None)}


@pytest.mark.parametrize("made, asked, said", [
    (SPLIT, ("--layout", "single"), ("split", str(CATALOGS))),
    (SPLIT, ("--layout", "split"), ("split", str(CATALOGS))),
    (SPLIT, ("--layout", "split", "--catalogs", "5"), ("split", str(CATALOGS))),
    ((), SPLIT, ("single",)),
])
def test_flags_that_differ_from_the_store_keep_it_from_being_ready(tmp_path, made, asked, said):
    with start(tmp_path, made) as server:
        declare(server, "web")
    other = Gsq(tmp_path / "gsq", namespaces=NAMESPACES, init=False, args=asked).start(wait="/healthz")
    try:
        reason = not_ready_reason(other)
        assert "--layout" in reason and all(word in reason for word in said)
        assert other.post(path(), intent("db")).status == 503
    finally:
        other.stop()


@pytest.mark.parametrize("args, said", [
    (("--layout", "double"), "--layout"),
    (("--layout", "Split"), "--layout"),
    (("--layout", ""), "--layout"),
    (("--catalogs", "4"), "--layout split"),
    (("--layout", "single", "--catalogs", "1"), "--layout split"),
    (("--layout", "split", "--catalogs", "0"), "1 to 2500"),
    (("--layout", "split", "--catalogs", "2501"), "1 to 2500"),
    (("--layout", "split", "--catalogs", "-1"), "1 to 2500"),
    (("--layout", "split", "--catalogs", "many"), "1 to 2500"),
    (("--layout", "split", "--catalog-url", "ftp://registry.example"), "--catalog-url"),
    (("--layout", "split", "--catalog-secret", "No Name"), "--catalog-secret"),
    (("--layout", "split", "--catalog-verify-secret", "No Name"), "--catalog-verify-secret"),
    (("--layout", "split", "--catalog-ca-secret", "No Name"), "--catalog-ca-secret"),
    (("--layout", "split", "--catalog-accounts", "yes"), "on or off"),
])
def test_a_wrong_value_is_refused_with_what_is_allowed(tmp_path, args, said):
    result = subprocess.run(
        [binary(), "serve", "--listen", f"127.0.0.1:{free_port()}", "--registry-listen", f"127.0.0.1:{free_port()}",
         "--data-dir", tmp_path / "data", *args], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode in (1, 2), result.stderr
    assert said in result.stderr
    assert not (tmp_path / "data").exists()
