/* SPDX-License-Identifier: Apache-2.0 */
/* Private to publish. The push of an artifact of ours: one layer and the empty config. */
#ifndef PUBLISH_ARTIFACT_PUSH_H
#define PUBLISH_ARTIFACT_PUSH_H

#include "catalog/resource.h"
#include "oci/registry.h"

/* What the push borrows. */
struct artifact_push {
	struct push_blob blobs[2];
	struct oci_descriptor layer;
	struct oci_manifest parsed;
};

/* Under a new tag, which may be there already (struct push). type: its artifactType, or the media
 * type of its config where it has none. */
struct push artifact_push(struct artifact_push *a, const struct artifact *artifact,
	const char *type, const char *repository, const char *tag, bool tag_may_exist);

/* Of a stored manifest: the tag latest moves to it. */
struct push artifact_push_latest(const struct artifact *artifact, const char *repository);

/* Says where it was, and keeps what names a resource for operators. */
int artifact_failure(struct error *err, const char *repository, const char *tag);
/* -1 with the error of the first push that failed, and what it was for; 0 when none did. */
int push_failure(const struct push *pushes, size_t n, struct error *err) MUST_CHECK;

#endif
