/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/artifact_push.h"

struct push artifact_push(struct artifact_push *a, const struct artifact *artifact,
	const char *type, const char *repository, const char *tag, bool tag_may_exist)
{
	a->blobs[0] = (struct push_blob){oci_empty_digest, OCI_EMPTY};
	a->blobs[1] = (struct push_blob){artifact->layer_digest, buf_slice(&artifact->layer)};
	a->layer = (struct oci_descriptor){
		.digest = artifact->layer_digest, .size = artifact->layer.len};
	a->parsed = (struct oci_manifest){
		.kind = OCI_IMAGE,
		.artifact_type = type,
		.config = {.digest = oci_empty_digest, .size = OCI_EMPTY.n},
		.n_children = 1,
		.children = &a->layer,
	};
	return (struct push){
		.repository = repository,
		.tag = tag,
		.tag_is_new = true,
		.tag_may_exist = tag_may_exist,
		.media_type = OCI_MEDIA_MANIFEST,
		.manifest = buf_slice(&artifact->manifest),
		.digest = artifact->digest,
		.parsed = &a->parsed,
		.n_blobs = ARRAY_SIZE(a->blobs),
		.blobs = a->blobs,
	};
}

struct push artifact_push_latest(const struct artifact *artifact, const char *repository)
{
	return (struct push){
		.repository = repository,
		.tag = "latest",
		.media_type = OCI_MEDIA_MANIFEST,
		.manifest = buf_slice(&artifact->manifest),
		.digest = artifact->digest,
	};
}

int artifact_failure(struct error *err, const char *repository, const char *tag)
{
	if (slice_starts(slice_of(repository), SLICE(RESOURCE_REPOSITORY_PREFIX)))
		error_for_operators(err);
	return error_wrap(err, "%s:%s", repository, tag);
}

int push_failure(const struct push *pushes, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		if (pushes[i].err.code == ERROR_NONE)
			continue;
		*err = pushes[i].err;
		return artifact_failure(err, pushes[i].repository, pushes[i].tag);
	}
	return 0;
}
