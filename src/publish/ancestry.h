/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to publish. Which records were current: the head and its ancestors, whatever other tags
 * there are (debris of commits that failed, and what was left when commits:latest was set back).
 *
 * Each record names its parent and, for every power of RECORD_STRIDE, the last ancestor whose
 * height that power divides. So any ancestor is found in a few dozen reads, however long the chain
 * is.
 */
#ifndef PUBLISH_ANCESTRY_H
#define PUBLISH_ANCESTRY_H

#include "catalog/record.h"
#include "oci/registry.h"

/* A record with the digest of its manifest. */
struct ancestor {
	struct record record;
	struct digest digest;
};
void ancestor_done(struct ancestor *a);

/* The head: commits:latest. Errors as trace_record(). */
int ancestry_head(struct ancestor *ret, struct registry *registry, struct error *err) MUST_CHECK;

/* Moves *at, which is never older than that, to the oldest of its ancestors, itself among them,
 * whose version is at least `version`: the commit that issued the version, if it is one of the
 * chain's. Where all are newer that is the first of the chain. So a walk over falling versions goes
 * on from where it is. After an error *at is as it was. */
int ancestry_seek(struct ancestor *at, struct registry *registry, uint64_t version,
	struct error *err) MUST_CHECK;

/* What a new record names, on top of that parent. */
void ancestry_of_child(struct record_ancestry *ret, const struct record_ancestry *parent,
	uint64_t parent_version, const struct digest *parent_digest);

#endif
