# SPDX-License-Identifier: Apache-2.0
"""A policy of the cluster that refuses some resources, as an administrator's would: no webhook, so nothing to run."""
import json

from tests.lib.controlplane import KubectlError
from tests.lib.wait import wait_until

NAME = "no-forbidden-region"
FORBIDDEN = "forbidden"
MESSAGE = "this region is closed for maintenance"


def install_policy(cluster):
    """Refuses whatever has spec.region "forbidden"; returns when it is in force."""
    cluster.apply(json.dumps({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": NAME},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["gitops-squared.io"], "apiVersions": ["v1alpha1"], "operations": ["CREATE", "UPDATE"],
                "resources": ["platformresources"]}]},
            "validations": [{
                "expression": f"!has(object.spec.region) || object.spec.region != '{FORBIDDEN}'",
                "message": MESSAGE}]}}))
    cluster.apply(json.dumps({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": NAME}, "spec": {"policyName": NAME, "validationActions": ["Deny"]}}))
    wait_until(lambda: is_refused(cluster), "the policy to be in force")


def remove_policy(cluster):
    cluster.kubectl("delete", "--ignore-not-found",
                    f"validatingadmissionpolicybinding/{NAME}", f"validatingadmissionpolicy/{NAME}")
    wait_until(lambda: not is_refused(cluster), "the policy to be out of force")


def is_refused(cluster):
    try:
        cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps({
            "apiVersion": "gitops-squared.io/v1alpha1", "kind": "PlatformResource",
            "metadata": {"generateName": "probe-", "namespace": "default"},
            "spec": {"type": "vm", "size": "small", "region": FORBIDDEN}}))
        return False
    except KubectlError as error:
        assert MESSAGE in str(error), error
        return True
