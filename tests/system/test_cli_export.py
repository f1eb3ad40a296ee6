# SPDX-License-Identifier: Apache-2.0
"""gsq export: files that go back in, to the same state."""
import pytest
import yaml

from tests.lib.cli import cli_of
from tests.lib.gsq import Gsq
from tests.lib.oci import Oci
from tests.system.resources import declare, listed, remove

NAMESPACES = ("default", "shop", "empty")


@pytest.fixture
def server(tmp_path):
    with Gsq(tmp_path / "gsq", namespaces=NAMESPACES) as server:
        declare(server, "web", labels={"team": "shop", "a/b": "yes"}, size="medium", region="eu: \"1\" é", replicas=3)
        declare(server, "db", type="database")
        declare(server, "web", "shop", type="bucket")
        yield server


@pytest.fixture
def gsq(server):
    return cli_of(server)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def declared(server):
    return {(item["namespace"], item["name"]): (item["labels"], item["spec"])
            for namespace in NAMESPACES for item in listed(server, namespace).values()}


def test_there_is_a_file_for_each_resource_in_the_folder_of_its_namespace(gsq, tmp_path):
    told = gsq.ok("export", "-A", tmp_path / "out")
    assert told.startswith(f"3 resources exported to {tmp_path}/out: gsq apply -R -f")
    assert files(tmp_path / "out") == ["default/db.yaml", "default/web.yaml", "shop/web.yaml"]
    assert yaml.safe_load((tmp_path / "out/default/web.yaml").read_text(encoding="utf-8")) == {
        "apiVersion": "gitops-squared.io/v1alpha1", "kind": "PlatformResource",
        "metadata": {"name": "web", "namespace": "default", "labels": {"team": "shop", "a/b": "yes"}},
        "spec": {"type": "vm", "size": "medium", "region": "eu: \"1\" é", "replicas": 3}}


def test_one_namespace_alone_or_some_by_their_labels(gsq, tmp_path):
    gsq.ok("export", tmp_path / "one", "-n", "shop")
    assert files(tmp_path / "one") == ["shop/web.yaml"]
    gsq.ok("export", tmp_path / "some", "-A", "-l", "team")
    assert files(tmp_path / "some") == ["default/web.yaml"]


def test_standard_output_gets_one_stream_of_documents(gsq):
    for args in ((), ("-",)):
        found = list(yaml.safe_load_all(gsq.ok("export", *args)))
        assert [item["metadata"]["name"] for item in found] == ["db", "web"]
    result = gsq.run("export", "-n", "empty")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "No resources found in empty namespace.\n")


def test_whoever_names_a_resource_is_told_how_one_is_written(gsq, tmp_path):
    result = gsq.run("export", "web")
    assert (result.returncode, result.stdout) == (1, "")
    assert "gsq get web -o yaml writes one resource, and ./web is the folder" in result.stderr


def test_a_revision_that_is_not_there_is_an_error_that_says_where_they_are(gsq):
    result = gsq.run("export", "--revision", "c12")
    assert result.stderr == ("gsq export: there is no revision c12: gsq log shows those there are, with -A of all "
                             "namespaces\n")


def test_a_folder_that_is_not_empty_is_refused_unless_it_is_meant(gsq, server, tmp_path):
    (tmp_path / "out").mkdir()
    gsq.ok("export", tmp_path / "out")
    declare(server, "web", size="large")
    result = gsq.run("export", tmp_path / "out")
    assert result.returncode == 1 and "--force" in result.stderr
    assert "medium" in (tmp_path / "out/default/web.yaml").read_text(encoding="utf-8")
    gsq.ok("export", tmp_path / "out", "--force")
    assert "large" in (tmp_path / "out/default/web.yaml").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_made_is_named(gsq, tmp_path):
    (tmp_path / "file").write_text("x")
    result = gsq.run("export", tmp_path / "file" / "out")
    assert result.returncode == 1 and f"{tmp_path}/file/out" in result.stderr


def test_applied_again_nothing_is_changed_and_the_catalog_keeps_its_digest(gsq, server, tmp_path):
    oci = Oci(server.registry_host)
    before = oci.digest("gitops-squared/catalog", "latest"), oci.record()
    gsq.ok("export", "-A", tmp_path / "out")
    assert gsq.ok("apply", "-R", "-f", tmp_path / "out").count("unchanged") == 3
    assert gsq.ok("apply", "-f", "-", input=gsq.ok("export", "-A")).count("unchanged") == 3
    assert (oci.digest("gitops-squared/catalog", "latest"), oci.record()) == before


def test_applied_to_a_fresh_server_all_is_declared_as_it_was(gsq, server, tmp_path):
    """Versions are of the server that gave them; all else in the catalog is the same."""
    gsq.ok("export", "-A", tmp_path / "out")
    with Gsq(tmp_path / "fresh", namespaces=NAMESPACES) as fresh:
        other = cli_of(fresh)
        assert other.ok("apply", "-R", "-f", tmp_path / "out").count("created") == 3
        assert declared(fresh) == declared(server)
        other.ok("export", "-A", tmp_path / "again")
    assert files(tmp_path / "again") == files(tmp_path / "out")
    for file in files(tmp_path / "out"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "out" / file).read_bytes()


def test_what_was_changed_since_comes_back(gsq, server, tmp_path):
    before = declared(server)
    gsq.ok("export", "-A", tmp_path / "out")
    remove(server, "db")
    declare(server, "web", size="large")
    gsq.ok("apply", "-R", "-f", tmp_path / "out")
    assert declared(server) == before


def test_a_commit_is_exported_as_it_left_everything(gsq, server, tmp_path):
    then = gsq.ok("export", "-A")
    revision = server.get("/api/v1/revisions?limit=1").json["revisions"][0]["revision"]
    remove(server, "db")
    declare(server, "web", size="large")
    assert gsq.ok("export", "-A", "--revision", revision) == then
    gsq.ok("export", tmp_path / "out", "--revision", revision)
    assert files(tmp_path / "out") == ["default/db.yaml", "default/web.yaml"]


@pytest.mark.parametrize("args, status, said", [
    (("--revision", "v12"), 2, "--revision"), (("--revision", "c12", "-l", "a=b"), 2, "--selector"),
    (("--revision", "c12"), 1, "c12"), (("out", "more"), 2, "more")])
def test_wrong_usage_is_told(gsq, args, status, said):
    result = gsq.run("export", *args)
    assert (result.returncode, result.stdout) == (status, "")
    assert said in result.stderr
