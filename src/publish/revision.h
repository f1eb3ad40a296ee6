/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to publish. A revision: one catalog and the record that makes it current, as bytes and
 * as pushes. Used by every commit: of a batch, of the first record, of a rebuild.
 */
#ifndef PUBLISH_REVISION_H
#define PUBLISH_REVISION_H

#include "publish/head.h"

struct revision {
	uint64_t version;
	struct catalog *catalog; /* a reference */
	struct buf catalog_layer, catalog_manifest;
	struct buf record_layer, record_manifest;
	struct digest catalog_layer_digest, record_layer_digest;
	struct digest catalog_digest; /* of the manifests */
	struct digest record_digest;
	bool version_is_behind; /* not taken from the clock: its tags may be there already */
};

/* Renders it all; nothing is pushed. parent: NULL for the first of a chain. The changes are copied
 * into the record's bytes. ERROR_UNAVAILABLE for a version above LIMIT_VERSION. */
int revision_make(struct revision *ret, struct catalog *catalog, uint64_t version,
	const struct digest *parent, const char *why, const struct record_change *changes,
	size_t n_changes, struct error *err) MUST_CHECK;
void revision_done(struct revision *rev);

/* Stores catalog and record under the tags of this version; nothing is current yet.
 * ERROR_CONFLICT: a tag is there already, debris of a commit that failed. */
int revision_push(struct revision *rev, struct registry *registry, struct error *err) MUST_CHECK;

/* Moves commits:latest: the commit point. ERROR_UNKNOWN_OUTCOME when it may have moved. */
int revision_point(struct revision *rev, struct registry *registry, struct error *err) MUST_CHECK;

/* The push that moves the catalog's latest. */
struct push revision_catalog_latest(const struct revision *rev);

/* -1 with the error of the first push that failed, and what it was for; 0 when none did. */
int push_failure(const struct push *pushes, size_t n, struct error *err) MUST_CHECK;

/* All of it, for a revision without changes of resources. */
int revision_commit(struct revision *rev, struct registry *registry, struct error *err) MUST_CHECK;

#endif
