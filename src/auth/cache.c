/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/cache.h"

#include <pthread.h>
#include <stdio.h>

#define WAYS 4 /* places that a key can be in */
#define TEXT 200

struct entry {
	struct digest key;
	uint64_t until_ms; /* 0: free */
	struct subject *subject;
	enum error_code code;
	char text[TEXT];
};

struct cache {
	pthread_mutex_t lock;
	size_t n_sets;
	struct entry entries[]; /* WAYS of each set */
};

int cache_new(struct cache **ret, size_t room, struct error *err)
{
	size_t n_sets = (room + WAYS - 1) / WAYS;
	struct cache *c = calloc(1, sizeof(*c) + n_sets * WAYS * sizeof(c->entries[0]));

	ASSERT(room > 0);
	if (c == NULL)
		return error_no_memory(err);
	AZ(pthread_mutex_init(&c->lock, NULL));
	c->n_sets = n_sets;
	*ret = c;
	return 0;
}

void cache_free(struct cache *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n_sets * WAYS; i++)
		subject_unref(c->entries[i].subject);
	AZ(pthread_mutex_destroy(&c->lock));
	free(c);
}

/* Keys are digests, so any of their bits will do. */
static struct entry *set_of(struct cache *c, const struct digest *key)
{
	uint64_t bits;

	memcpy(&bits, key->bytes, sizeof(bits));
	return &c->entries[bits % c->n_sets * WAYS];
}

bool cache_get(struct cache *c, const struct digest *key, uint64_t now_ms, struct subject **ret,
	struct error *ret_err)
{
	struct entry *set = set_of(c, key);
	bool found = false;

	AZ(pthread_mutex_lock(&c->lock));
	for (size_t i = 0; i < WAYS && !found; i++) {
		struct entry *e = &set[i];

		if (e->until_ms <= now_ms || !digest_eq(&e->key, key))
			continue;
		found = true;
		*ret = e->subject == NULL ? NULL : subject_ref(e->subject);
		*ret_err = (struct error)ERROR_INIT;
		if (e->code != ERROR_NONE)
			error_set(ret_err, e->code, "%s", e->text);
	}
	AZ(pthread_mutex_unlock(&c->lock));
	return found;
}

/* The key's own place, else the one that ends first: a free one has ended. */
static struct entry *place_for(struct entry *set, const struct digest *key)
{
	struct entry *place = &set[0];

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].until_ms != 0 && digest_eq(&set[i].key, key))
			return &set[i];
		if (set[i].until_ms < place->until_ms)
			place = &set[i];
	}
	return place;
}

void cache_put(struct cache *c, const struct digest *key, uint64_t now_ms, uint64_t until_ms,
	struct subject *subject, const struct error *err)
{
	struct subject *old;
	struct entry *e;

	if (until_ms <= now_ms)
		return;
	AZ(pthread_mutex_lock(&c->lock));
	e = place_for(set_of(c, key), key);
	old = e->subject;
	*e = (struct entry){
		.key = *key,
		.until_ms = until_ms,
		.subject = subject == NULL ? NULL : subject_ref(subject),
		.code = err->code,
	};
	snprintf(e->text, sizeof(e->text), "%.*s", TEXT - 1, err->text);
	AZ(pthread_mutex_unlock(&c->lock));
	subject_unref(old);
}
