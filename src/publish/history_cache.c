/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/history_cache.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>

struct cached {
	char namespace[LIMIT_NAME + 1]; /* "": all */
	struct digest from, to;
	uint64_t to_version;
	uint64_t made_ms;
	uint64_t used; /* when */
	struct change_list *list;
};

struct history_cache {
	pthread_mutex_t lock; /* guards all of it */
	uint64_t clock;
	size_t n, n_names;
	struct cached list[LIMIT_HISTORY_CACHED];
};

/* ---- lists ---- */

struct change_list *change_list_new(const struct history_change *list, size_t n)
{
	struct change_list *l = malloc(sizeof(*l) + n * sizeof(l->list[0]));

	if (l == NULL)
		return NULL;
	l->refs = 1;
	l->n = n;
	if (n > 0)
		memcpy(l->list, list, n * sizeof(l->list[0]));
	return l;
}

static struct change_list *change_list_ref(struct change_list *l)
{
	__atomic_add_fetch(&l->refs, 1, __ATOMIC_RELAXED);
	return l;
}

void change_list_unref(struct change_list *l)
{
	if (l != NULL && __atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(l);
}

/* ---- the cache ---- */

int history_cache_new(struct history_cache **ret, struct error *err)
{
	struct history_cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		return error_no_memory(err);
	AZ(pthread_mutex_init(&cache->lock, NULL));
	*ret = cache;
	return 0;
}

static void drop(struct history_cache *cache, size_t at)
{
	cache->n_names -= cache->list[at].list->n;
	change_list_unref(cache->list[at].list);
	cache->list[at] = cache->list[--cache->n];
}

void history_cache_free(struct history_cache *cache)
{
	if (cache == NULL)
		return;
	while (cache->n > 0)
		drop(cache, 0);
	AZ(pthread_mutex_destroy(&cache->lock));
	free(cache);
}

/* What is in them may be kept no more. */
static void drop_old(struct history_cache *cache)
{
	uint64_t now_ms = clock_monotonic_ms();

	for (size_t i = cache->n; i > 0; i--)
		if (now_ms - cache->list[i - 1].made_ms >= LIMIT_HISTORY_CACHED_MS)
			drop(cache, i - 1);
}

static bool fits(const struct cached *c, const struct history_span *span)
{
	return c->to_version <= span->to_version && digest_eq(&c->from, &span->from) &&
	       strcmp(c->namespace, span->namespace == NULL ? "" : span->namespace) == 0;
}

struct change_list *history_cache_get(struct history_cache *cache, struct history_span *span)
{
	struct cached *best = NULL;
	struct change_list *list = NULL;

	AZ(pthread_mutex_lock(&cache->lock));
	drop_old(cache);
	for (size_t i = 0; i < cache->n; i++) {
		struct cached *c = &cache->list[i];

		if (fits(c, span) && (best == NULL || c->to_version > best->to_version))
			best = c;
	}
	if (best != NULL) {
		best->used = ++cache->clock;
		span->to = best->to;
		span->to_version = best->to_version;
		span->made_ms = best->made_ms;
		list = change_list_ref(best->list);
	}
	AZ(pthread_mutex_unlock(&cache->lock));
	return list;
}

static void drop_oldest(struct history_cache *cache)
{
	size_t oldest = 0;

	for (size_t i = 1; i < cache->n; i++)
		if (cache->list[i].used < cache->list[oldest].used)
			oldest = i;
	drop(cache, oldest);
}

void history_cache_put(
	struct history_cache *cache, const struct history_span *span, struct change_list *list)
{
	struct cached *c;

	if (list->n > LIMIT_HISTORY_CACHED_NAMES)
		return;
	AZ(pthread_mutex_lock(&cache->lock));
	while (cache->n == LIMIT_HISTORY_CACHED ||
		cache->n_names + list->n > LIMIT_HISTORY_CACHED_NAMES)
		drop_oldest(cache);
	c = &cache->list[cache->n++];
	*c = (struct cached){.from = span->from,
		.to = span->to,
		.to_version = span->to_version,
		.made_ms = span->made_ms != 0 ? span->made_ms : clock_monotonic_ms(),
		.used = ++cache->clock,
		.list = change_list_ref(list)};
	snprintf(c->namespace, sizeof(c->namespace), "%s",
		span->namespace == NULL ? "" : span->namespace);
	cache->n_names += list->n;
	AZ(pthread_mutex_unlock(&cache->lock));
}
