/* SPDX-License-Identifier: Apache-2.0 */
/* Private to store: what an import is about to write, in order, many things to a transaction. */
#ifndef STORE_LAYOUT_BATCH_H
#define STORE_LAYOUT_BATCH_H

#include "store/store.h"

enum layout_change_kind { LAYOUT_PUT_BLOB, LAYOUT_MOUNT_BLOB, LAYOUT_PUT_MANIFEST };

/* Slices are borrowed until it is written. */
struct layout_change {
	enum layout_change_kind kind;
	struct slice repository;
	struct digest digest;
	uint64_t size;     /* of a blob to put */
	struct buf bytes;  /* of a manifest, or a blob that is a row; owned */
	struct slice tag;  /* of a manifest; p == NULL: none */
	bool immutable;    /* of the tag */
	struct slice type; /* of a manifest */
};
void layout_change_done(struct layout_change *c);

struct layout_batch {
	struct store *store;
	size_t n, bytes;
	struct layout_change changes[LIMIT_GROUP];
};
void layout_batch_done(struct layout_batch *b);

/* Takes the change over, whatever happens, and writes all when there are many. */
int layout_batch_add(
	struct layout_batch *b, struct layout_change *change, struct error *err) MUST_CHECK;
/* Writes all. A failure of one leaves those before it written. */
int layout_batch_flush(struct layout_batch *b, struct error *err) MUST_CHECK;

/* Is it waiting for the repository, or (SLICE_NONE) for any? */
bool layout_batch_has_blob(
	const struct layout_batch *b, struct slice repository, const struct digest *digest);
bool layout_batch_has_manifest(
	const struct layout_batch *b, struct slice repository, const struct digest *digest);

#endif
