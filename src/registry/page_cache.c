/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/page_cache.h"

#include "base/limits.h"

#include <pthread.h>
#include <stdlib.h>

struct name {
	size_t n;
	char text[LIMIT_REPOSITORY];
};

struct cached_page {
	char *body; /* NULL: empty slot */
	size_t body_n;
	uint64_t generation;
	size_t n;
	struct name last, next;
};

struct page_cache {
	pthread_mutex_t lock; /* guards all of it */
	size_t bytes;         /* of bodies */
	size_t oldest;        /* the slot that is taken next; they are taken in turn */
	struct cached_page pages[LIMIT_CACHED_PAGES];
};

static struct slice name_slice(const struct name *name)
{
	return (struct slice){name->text, name->n};
}

static void name_set(struct name *name, struct slice s)
{
	name->n = s.n;
	if (s.n > 0)
		memcpy(name->text, s.p, s.n);
}

int page_cache_new(struct page_cache **ret, struct error *err)
{
	struct page_cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		return error_no_memory(err);
	AZ(pthread_mutex_init(&cache->lock, NULL));
	*ret = cache;
	return 0;
}

void page_cache_free(struct page_cache *cache)
{
	if (cache == NULL)
		return;
	for (size_t i = 0; i < LIMIT_CACHED_PAGES; i++)
		free(cache->pages[i].body);
	AZ(pthread_mutex_destroy(&cache->lock));
	free(cache);
}

/* Of whatever generation. */
static struct cached_page *find(struct page_cache *cache, struct slice last, size_t n)
{
	for (size_t i = 0; i < LIMIT_CACHED_PAGES; i++) {
		struct cached_page *page = &cache->pages[i];

		if (page->body != NULL && page->n == n && slice_eq(name_slice(&page->last), last))
			return page;
	}
	return NULL;
}

bool page_cache_get(struct page_cache *cache, uint64_t generation, struct slice last, size_t n,
	struct buf *ret_body, struct buf *ret_next)
{
	const struct cached_page *page;
	bool found;

	AZ(pthread_mutex_lock(&cache->lock));
	page = find(cache, last, n);
	found = page != NULL && page->generation == generation;
	if (found) {
		buf_append(ret_body, page->body, page->body_n);
		buf_add(ret_next, name_slice(&page->next));
	}
	AZ(pthread_mutex_unlock(&cache->lock));
	return found;
}

static void drop(struct page_cache *cache, struct cached_page *page)
{
	cache->bytes -= page->body_n;
	free(page->body);
	*page = (struct cached_page){0};
}

static void drop_oldest(struct page_cache *cache)
{
	drop(cache, &cache->pages[cache->oldest]);
	cache->oldest = (cache->oldest + 1) % LIMIT_CACHED_PAGES;
}

/* An empty slot, with room for the body. */
static struct cached_page *make_room(
	struct page_cache *cache, struct slice last, size_t n, size_t body_n)
{
	struct cached_page *page = find(cache, last, n);

	if (page != NULL) {
		drop(cache, page);
	} else {
		page = &cache->pages[cache->oldest];
		drop_oldest(cache);
	}
	while (cache->bytes + body_n > LIMIT_CACHED_PAGE_BYTES)
		drop_oldest(cache);
	return page;
}

void page_cache_put(struct page_cache *cache, uint64_t generation, struct slice last, size_t n,
	struct slice body, struct slice next)
{
	struct cached_page *page;
	char *copy;

	if (last.n > LIMIT_REPOSITORY || next.n > LIMIT_REPOSITORY ||
		body.n > LIMIT_CACHED_PAGE_BYTES)
		return;
	copy = slice_dup(body);
	if (copy == NULL)
		return;
	AZ(pthread_mutex_lock(&cache->lock));
	page = make_room(cache, last, n, body.n);
	page->body = copy;
	page->body_n = body.n;
	page->generation = generation;
	page->n = n;
	name_set(&page->last, last);
	name_set(&page->next, next);
	cache->bytes += body.n;
	AZ(pthread_mutex_unlock(&cache->lock));
}
