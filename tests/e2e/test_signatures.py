# SPDX-License-Identifier: Apache-2.0
"""Flux applies what our key has signed, and nothing else: the real source-controller with spec.verify."""
import base64

import pytest

from tests.conftest import tools_or_skip
from tests.e2e.chain import ROOT_SOURCE, chain
from tests.lib.cosign import SigningKey
from tests.lib.kube import SOURCES, condition
from tests.lib.wait import wait_until

SECRETS = "/api/v1/namespaces/flux-system/secrets"
SECRET = "gitops-squared-signers"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    with tools_or_skip():
        return [SigningKey(folder, name) for name in ("own", "other")]


@pytest.fixture(scope="module")
def made(control_plane, keys, tmp_path_factory):
    """Signed by our key, which Flux has."""
    with chain(control_plane, tmp_path_factory.mktemp("signatures")) as started:
        trust(started, keys[0])
        started.restart(*keys[0].signs(), "--sign-existing")
        started.wait_writable()
        yield started
        started.kube.request("DELETE", f"{SECRETS}/{SECRET}")


def trust(made, *signers):
    """Flux takes what one of these keys has signed."""
    made.kube.apply(f"{SECRETS}/{SECRET}", {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": "flux-system"},
        "data": {signer.public.name: base64.b64encode(signer.public.read_bytes()).decode() for signer in signers}})
    made.kube.patch(f"{SOURCES}/{ROOT_SOURCE}", {
        "spec": {"verify": {"provider": "cosign", "secretRef": {"name": SECRET}}}})


def sign_by(made, signer, before):
    """By another key than before, which the server still has to know."""
    made.restart(*signer.signs(), "--verify", before.public)
    made.wait_writable()


def source_condition(made, kind):
    return condition(made.kube.get(f"{SOURCES}/{ROOT_SOURCE}"), kind)


def wait_condition(made, kind, status):
    """Returns it, once it has that status."""
    def has():
        found = source_condition(made, kind)
        assert found.get("status") == status, found
        return found
    return wait_until(has, lambda: f"{kind} to be {status}:\n{made.cluster.flux_conditions()}")


def test_a_catalog_that_our_key_signed_is_applied(made):
    made.declare_applied("signed")
    wait_condition(made, "SourceVerified", "True")


def test_a_catalog_of_another_key_is_not_applied_and_what_there_was_stays(made, keys):
    own, other = keys
    version = made.declare_applied("kept", region="eu")
    uid = made.uids()["default", "kept"]
    sign_by(made, other, before=own)
    made.declare("kept", region="us")
    made.declare("foreign")
    failed = wait_condition(made, "SourceVerified", "False")
    assert "verif" in failed["message"], failed
    assert source_condition(made, "Ready")["status"] == "False"
    assert made.versions()["default", "kept"] == version
    assert made.uids()["default", "kept"] == uid
    assert ("default", "foreign") not in made.objects()

    # The start signs what is current by our key again.
    sign_by(made, own, before=other)
    version = made.declare_applied("kept", region="ap")
    assert made.versions()["default", "kept"] == version
    assert ("default", "foreign") in made.objects()
    assert made.uids()["default", "kept"] == uid
    wait_condition(made, "SourceVerified", "True")


def test_keys_are_changed_while_flux_has_both(made, keys):
    own, other = keys
    trust(made, own, other)
    made.declare_applied("rotated", region="eu")
    sign_by(made, other, before=own)
    made.declare_applied("rotated", region="us")
    made.kube.patch(f"{SECRETS}/{SECRET}", {"data": {own.public.name: None}})
    made.declare_applied("rotated", region="ap")
    trust(made, own)
    sign_by(made, own, before=other)
    made.kube.patch(f"{SECRETS}/{SECRET}", {"data": {other.public.name: None}})
    made.declare_applied("rotated", region="eu")
