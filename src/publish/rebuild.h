/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a new record out of the resource repositories, on an operator's word (DESIGN invariant 6).
 */
#ifndef PUBLISH_REBUILD_H
#define PUBLISH_REBUILD_H

#include "catalog/root.h"
#include "oci/registry.h"
#include "publish/prune_guard.h"
#include "publish/signing.h"

struct rebuild_options {
	const struct layout *layout; /* NULL: as the last record has it, or single */
	struct root_request root;    /* for the split layout */
	struct prune_guard guard;    /* against repositories that were lost too */
	struct signing signing;      /* verify: what the last record is to be signed by */
};

/* Reads the latest artifact of every resource repository, or the one that the last record names
 * where that can be read, verifies each, and commits a catalog and a record with what it found. Any
 * artifact that cannot be read or is altered stops it, by name, with nothing pushed; so does a
 * store without any (ERROR_NOT_FOUND), and one where more is missing of what the last record says,
 * as far as that can be read, than the guard lets pass (ERROR_CONFLICT). Blocks. */
int rebuild_run(struct registry *registry, const struct rebuild_options *options, size_t *ret_count,
	struct error *err) MUST_CHECK;

#endif
