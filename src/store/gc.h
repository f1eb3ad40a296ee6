/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Garbage collection: gives back what nothing refers to, once it has been so for a grace period.
 *
 *   - a blob of a repository where no manifest names it leaves that repository. Its age counts from
 *     the last time that a client was told it is there: push, mount, or a HEAD that found it (which
 *     counts once half of the server's grace has passed, so that most need not write);
 *   - a blob that no repository has is gone, row or file;
 *   - a blob file that no row names, as a crash leaves it, is removed.
 *
 * Manifests stay, tagged or not: whoever pushed them may pull them by digest.
 *
 * It cannot take live data, whatever the clock does: each removal looks once more inside the write
 * transaction that does it. A push that was too slow is refused, not acknowledged: the blob's when
 * its file is gone, and for a week the manifest's that names what was taken.
 * It writes in small transactions, between those of others, and may be cut off at any point.
 */
#ifndef STORE_GC_H
#define STORE_GC_H

#include "store/store.h"

struct gc_options {
	bool dry_run;     /* only count */
	uint64_t grace_s; /* what is younger stays */
};

struct gc_report {
	uint64_t unlinked;   /* blobs that left a repository */
	uint64_t blobs;      /* contents that are gone with that, */
	uint64_t blob_bytes; /* and their size */
	uint64_t files;      /* files removed: of those, or of a crash, */
	uint64_t file_bytes; /* and their size */
};

/* Blocks for as long as it takes. One at a time. */
int store_gc(struct store *s, const struct gc_options *options, struct gc_report *ret,
	struct error *err) MUST_CHECK;

#endif
