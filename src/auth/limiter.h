/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets by key (a subject's name, a client's address), in memory of a fixed size: where
 * there are more keys than slots, one is forgotten whose bucket would be full again soonest, so a
 * crowd of new keys does not free one that has to wait. Any thread; never blocks for long.
 */
#ifndef AUTH_LIMITER_H
#define AUTH_LIMITER_H

#include "base/error.h"
#include "base/str.h"

struct limiter;

int limiter_new(struct limiter **ret, size_t slots, struct error *err) MUST_CHECK;
void limiter_free(struct limiter *l);

/* Takes one out of the key's bucket, which holds burst and gains rate each per_s seconds; none of
 * them is 0. 0: it was there; else the seconds until there is one, at least 1, and nothing is
 * taken. */
unsigned limiter_take(
	struct limiter *l, struct slice key, unsigned rate, unsigned per_s, unsigned burst);
/* Puts back what was taken a moment ago. */
void limiter_give(struct limiter *l, struct slice key, unsigned rate, unsigned per_s);

#endif
