/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to publish. The head: what the registry says is current, as we last read or wrote it.
 */
#ifndef PUBLISH_HEAD_H
#define PUBLISH_HEAD_H

#include "catalog/root.h"
#include "catalog/state.h"
#include "oci/registry.h"
#include "publish/places.h"
#include "publish/signatures.h"

#define HEAD_FROZEN_RETRY_S 60 /* it takes an operator */

struct head {
	uint64_t version;     /* highest ever issued */
	struct digest record; /* the manifest that commits:latest names */
	struct state *state;
	struct root_options root; /* as the record has it, */
	struct record_repartition repartition;
	struct record_freeze frozen;
	struct record_ancestry ancestry;
	struct record_keyed keyed; /* the last commit with an Idempotency-Key, this one too */
	struct places leftovers; /* of repartition.other, which the root holds beside the state's */
};

void head_done(struct head *h);

/* What the registry may lack of a head, and is to be given once that is gone on from. */
struct unrolled {
	struct record record;      /* derived tags of it may lag behind */
	struct signatures to_sign; /* by our key (publish/signing.h) */
};

void unrolled_done(struct unrolled *u);

/* Why no changes are taken while the store is frozen; ERROR_NONE: it is not. */
struct error head_why_frozen(const struct record_freeze *f);

/*
 * Reads commits:latest and the catalogs it speaks of, and verifies all of it (DESIGN invariants
 * 5-7), its signatures where these are asked for. Writes nothing: that is for head_roll_forward(),
 * once the caller has found that this head is to be gone on from. Fails closed:
 * - ERROR_NOT_FOUND: no record, no current catalog and no resource; a new store
 * - ERROR_UNAVAILABLE: the registry cannot be reached, or the record is of a newer format
 * - ERROR_INTERNAL: something is missing, damaged or not signed; the text names it
 */
int head_read(struct head *ret, struct unrolled *ret_unrolled, struct registry *registry,
	const struct signing *signing, struct error *err) MUST_CHECK;

/* Makes what is current as it would be had the server never stopped. Once. */
int head_roll_forward(const struct head *h, struct unrolled *u, struct registry *registry,
	const struct signing *signing, struct error *err) MUST_CHECK;

/* The last commit record by itself, and the digest of its manifest. Errors as head_read(). */
int head_read_record(struct record *ret, struct digest *ret_digest, struct registry *registry,
	struct error *err) MUST_CHECK;

/* The digest that commits:latest names now; ERROR_NOT_FOUND where there is none. */
int head_resolve(struct digest *ret, struct registry *registry, struct error *err) MUST_CHECK;

/* Commits the first record of a new store of this layout. ERROR_CONFLICT: it has a record. */
int head_init(struct registry *registry, const struct layout *layout,
	const struct root_options *root, const struct signing *signing, uint64_t now_us,
	struct error *err) MUST_CHECK;

#endif
