/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to publish. The commits whose change sets came with an Idempotency-Key
 * (draft-ietf-httpapi-idempotency-key-header): each record names the last one before it that has a
 * key, so they are found again after a restart without reading the others.
 */
#ifndef PUBLISH_KEYED_H
#define PUBLISH_KEYED_H

#include "catalog/record.h"
#include "oci/registry.h"
#include "publish/change_set.h"

struct keyed_commit {
	struct record_key key;
	uint64_t version;     /* of the commit */
	struct digest record; /* its manifest */
};

/* Newest first. In memory, as far as it was asked for. */
struct keyed {
	size_t n;
	struct keyed_commit *list; /* room for LIMIT_IDEMPOTENCY_KEYS */
	bool complete;             /* all that count are in the list */
};
void keyed_done(struct keyed *k); /* forgets them: the head is another */

/* The key as records have it: whose it is, hashed, so that it gives nothing away. */
int keyed_key(struct record_key *ret, const struct change_set *set, struct error *err) MUST_CHECK;

/* The commit of a set with that key at most LIMIT_IDEMPOTENCY_S before now_us, or *ret NULL. last:
 * of the head. Errors are the registry's. */
int keyed_find(const struct keyed_commit **ret, struct keyed *k, const struct record_key *key,
	const struct record_keyed *last, uint64_t now_us, struct registry *registry,
	struct error *err) MUST_CHECK;

/* One more was committed. */
void keyed_add(struct keyed *k, const struct keyed_commit *commit);

#endif
