/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/registry.h"

#include "oci/manifest.h"

int pull_layer(const struct pull *p, struct digest *ret, struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;

	if (oci_manifest_parse(&m, buf_slice(&p->manifest), err) != 0 || m->kind != OCI_IMAGE ||
		m->n_children != 1)
		return error_set(
			err, ERROR_INTERNAL, "the manifest is not an artifact with one layer");
	*ret = m->children[0].digest;
	return 0;
}

static int pull_one(struct registry *r, struct pull *p, struct error *err)
{
	struct digest layer;

	if (registry_manifest(r, p->repository, p->reference, &p->manifest, &p->digest, err) != 0 ||
		pull_layer(p, &layer, err) != 0)
		return -1;
	if (registry_blob(r, p->repository, &layer, &p->layer, err) == 0)
		return 0;
	if (err->code == ERROR_NOT_FOUND)
		err->code = ERROR_INTERNAL;
	return -1;
}

void registry_pull_in_turn(struct registry *r, struct pull *pulls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (pull_one(r, &pulls[i], &pulls[i].err) == 0)
			pulls[i].err = (struct error)ERROR_INIT;
	}
}
