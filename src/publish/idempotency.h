/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to publish. The commits whose change sets came with an Idempotency-Key
 * (draft-ietf-httpapi-idempotency-key-header): each record names the last one before it that has a
 * key, and that one some more, so they are found again after a restart in few reads.
 */
#ifndef PUBLISH_IDEMPOTENCY_H
#define PUBLISH_IDEMPOTENCY_H

#include "catalog/record.h"
#include "oci/registry.h"
#include "publish/change_set.h"

/* Newest first. In memory, as far as it was asked for. */
struct idempotency {
	size_t n;
	struct record_keyed_commit *list; /* room for LIMIT_IDEMPOTENCY_KEYS */
	bool complete;                    /* all that count are in the list */
};
void idempotency_done(struct idempotency *k); /* forgets them: the head is another */

/* The key as records have it: whose it is, hashed, so that it gives nothing away. */
int idempotency_key(
	struct record_key *ret, const struct change_set *set, struct error *err) MUST_CHECK;

/* The commit of a set with that key at most LIMIT_IDEMPOTENCY_S before now_us, or *ret NULL. last:
 * of the head. Errors are the registry's. */
int idempotency_find(const struct record_keyed_commit **ret, struct idempotency *k,
	const struct record_key *key, const struct record_keyed *last, uint64_t now_us,
	struct registry *registry, struct error *err) MUST_CHECK;

/* Those that the record of the next one names; borrowed. */
const struct record_keyed_commit *idempotency_last(const struct idempotency *k, size_t *ret_n);

/* One more was committed. */
void idempotency_add(struct idempotency *k, const struct record_keyed_commit *commit);

#endif
