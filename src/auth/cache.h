/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to auth. Answers of others that count for a while, by a digest of the question, in memory
 * of a fixed size: where there is no room the one goes that ends first. Any thread.
 */
#ifndef AUTH_CACHE_H
#define AUTH_CACHE_H

#include "auth/subject.h"
#include "oci/digest.h"

struct cache;

/* room: answers; rounded up. */
int cache_new(struct cache **ret, size_t room, struct error *err) MUST_CHECK;
void cache_free(struct cache *c);

/* Was it answered? Then with a subject, a reference for the caller, or with an error, or, of a
 * question that has no other answer, with neither. */
bool cache_get(struct cache *c, const struct digest *key, uint64_t now_ms, struct subject **ret,
	struct error *ret_err);
/* subject and err: as above; subject is borrowed. Of the error code and the beginning of the text
 * are kept. */
void cache_put(struct cache *c, const struct digest *key, uint64_t now_ms, uint64_t until_ms,
	struct subject *subject, const struct error *err);

#endif
