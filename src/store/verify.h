/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verification of everything that is stored: SQLite's own integrity check, every manifest and blob
 * hashed again, every reference followed. Reads only, page by page, so others go on meanwhile; not
 * at the same time as garbage collection.
 */
#ifndef STORE_VERIFY_H
#define STORE_VERIFY_H

#include "store/store.h"

struct verify_report {
	uint64_t manifests, tags, blobs; /* looked at */
	uint64_t bytes;                  /* hashed */
	uint64_t problems;
	uint64_t incomplete;   /* images that lack blobs, as clients may push them; no problem */
	uint64_t unused_files; /* blob files that no row names: gc removes them; no problem */
	struct buf text; /* lines: each problem and missing blob, up to LIMIT_VERIFY_TEXT in all */
};
void verify_report_init(struct verify_report *r);
void verify_report_done(struct verify_report *r);

/* Returns 0 when it could look at everything, whatever it found. */
int store_verify_all(struct store *s, struct verify_report *ret, struct error *err) MUST_CHECK;

#endif
