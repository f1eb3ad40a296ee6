/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/artifact_read.h"

#include "intent/manifest.h"

static int altered(const char *why, struct error *err)
{
	return error_set(err, ERROR_INTERNAL, "the artifact is altered: %s", why);
}

#define WRONG_MANIFEST "its manifest is not the one that belongs to its content"

static bool is_tombstone(const struct oci_manifest *m)
{
	const char *deleted = oci_manifest_annotation(m, "io.gitops-squared.resource.deleted");

	return deleted != NULL && strcmp(deleted, "true") == 0;
}

static int check_tombstone(uint64_t *ret_version, const struct oci_manifest *m,
	const struct digest *digest, const char *namespace, const char *name, struct error *err)
{
	uint64_t version = artifact_version(m);
	bool same;

	if (version == 0)
		return altered("it is a tombstone without a version", err);
	if (artifact_is_tombstone(&same, digest, namespace, name, version, err) != 0)
		return -1;
	if (!same)
		return altered(WRONG_MANIFEST, err);
	*ret_version = version;
	return 0;
}

static int check_resource(struct resource **ret, struct slice yaml, const struct digest *digest,
	const char *namespace, const char *name, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct digest expected;
	uint64_t version;

	if (intent_parse(&intent, &version, yaml, err) != 0)
		return -1;
	if (strcmp(intent->namespace, namespace) != 0 || strcmp(intent->name, name) != 0)
		return altered("it holds a resource of another name", err);
	if (artifact_digest(&expected, intent, version, yaml, err) != 0)
		return -1;
	if (!digest_eq(&expected, digest))
		return altered(WRONG_MANIFEST, err);
	return resource_new(ret, intent, version, digest, err);
}

int artifact_read(struct resource **ret, uint64_t *ret_version, const struct pull *pull,
	const char *namespace, const char *name, struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;

	if (oci_manifest_parse(&m, buf_slice(&pull->manifest), err) != 0)
		return -1;
	if (is_tombstone(m)) {
		if (check_tombstone(ret_version, m, &pull->digest, namespace, name, err) != 0)
			return -1;
		*ret = NULL;
		return 0;
	}
	if (check_resource(ret, buf_slice(&pull->layer), &pull->digest, namespace, name, err) != 0)
		return -1;
	*ret_version = (*ret)->version;
	return 0;
}
