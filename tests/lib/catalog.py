# SPDX-License-Identifier: Apache-2.0
"""The catalog as any OCI client sees it."""
import urllib.request

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def catalog_digest(registry_url):
    """Digest of gitops-squared/catalog:latest."""
    request = urllib.request.Request(
        f"{registry_url}/v2/gitops-squared/catalog/manifests/latest", method="HEAD", headers={"Accept": MANIFEST})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return answer.headers["Docker-Content-Digest"]
