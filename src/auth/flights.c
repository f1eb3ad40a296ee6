/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/flights.h"

#include <pthread.h>

#define SLOTS 256 /* a power of two */

/* A flight is its first passenger, and those behind it with the same key. */
struct flights {
	pthread_mutex_t lock;
	struct passengers slots[SLOTS];
};

int flights_new(struct flights **ret, struct error *err)
{
	struct flights *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return error_no_memory(err);
	AZ(pthread_mutex_init(&f->lock, NULL));
	for (size_t i = 0; i < SLOTS; i++)
		STAILQ_INIT(&f->slots[i]);
	*ret = f;
	return 0;
}

void flights_free(struct flights *f)
{
	if (f == NULL)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		ASSERT(STAILQ_EMPTY(&f->slots[i]));
	AZ(pthread_mutex_destroy(&f->lock));
	free(f);
}

static struct passengers *slot_of(struct flights *f, const struct digest *key)
{
	return &f->slots[key->bytes[0] % SLOTS];
}

bool flights_board(struct flights *f, struct passenger *p)
{
	struct passengers *slot = slot_of(f, &p->key);
	const struct passenger *other;
	bool is_first = true;

	AZ(pthread_mutex_lock(&f->lock));
	STAILQ_FOREACH(other, slot, next)
	if (digest_eq(&other->key, &p->key)) {
		is_first = false;
		break;
	}
	STAILQ_INSERT_TAIL(slot, p, next);
	AZ(pthread_mutex_unlock(&f->lock));
	return is_first;
}

struct passenger *flights_land(struct flights *f, const struct digest *key)
{
	struct passengers *slot = slot_of(f, key);
	struct passengers landed = STAILQ_HEAD_INITIALIZER(landed);
	struct passengers left = STAILQ_HEAD_INITIALIZER(left);
	struct passenger *p;

	AZ(pthread_mutex_lock(&f->lock));
	while ((p = STAILQ_FIRST(slot)) != NULL) {
		STAILQ_REMOVE_HEAD(slot, next);
		if (digest_eq(&p->key, key))
			STAILQ_INSERT_TAIL(&landed, p, next);
		else
			STAILQ_INSERT_TAIL(&left, p, next);
	}
	STAILQ_CONCAT(slot, &left);
	AZ(pthread_mutex_unlock(&f->lock));
	return STAILQ_FIRST(&landed);
}
