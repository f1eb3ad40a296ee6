/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to registry. The last pages of a list that were made, so that they are not made again.
 *
 * Each is of a generation of what is listed, and found only by who asks for that generation.
 * Bounded: LIMIT_CACHED_PAGES with LIMIT_CACHED_PAGE_BYTES of bodies; the oldest make room. Any
 * thread; nothing blocks.
 */
#ifndef REGISTRY_PAGE_CACHE_H
#define REGISTRY_PAGE_CACHE_H

#include "base/buf.h"

struct page_cache;

int page_cache_new(struct page_cache **ret, struct error *err) MUST_CHECK;
void page_cache_free(struct page_cache *cache); /* NULL is fine */

/* Appends the body of the page of n names after last, and the name after which the next page
 * begins, if there is one. false: it is not here, and nothing was appended. */
bool page_cache_get(struct page_cache *cache, uint64_t generation, struct slice last, size_t n,
	struct buf *ret_body, struct buf *ret_next);

/* Keeps copies, in place of an earlier such page. Where memory is missing, or a name is longer than
 * LIMIT_REPOSITORY, it keeps nothing. next: empty on the last page. */
void page_cache_put(struct page_cache *cache, uint64_t generation, struct slice last, size_t n,
	struct slice body, struct slice next);

#endif
