/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to publish. The state of a split layout without trust in the tags latest: where one has
 * been moved, or moves while we read, the digest of its catalog is found in the records before.
 */
#ifndef PUBLISH_TRACE_H
#define PUBLISH_TRACE_H

#include "catalog/state.h"
#include "oci/registry.h"

/* As restore_state(), for the record that is the last one now: it takes the place of *record and
 * *digest. Reads the records before it until the hash over all catalogs is its own, at most
 * LIMIT_TRACE of them; ERROR_INTERNAL also where that does not come. */
int trace_state(struct state **ret, struct record *record, struct digest *digest,
	struct registry *registry, struct error *err) MUST_CHECK;

/* The record whose manifest has this digest; ERROR_INTERNAL also where it is not there. */
int trace_record(struct record *ret, const struct digest *digest, struct registry *registry,
	struct error *err) MUST_CHECK;

#endif
