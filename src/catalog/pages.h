/* SPDX-License-Identifier: Apache-2.0 */
/* Private to catalog. What a catalog is made of, for those who put one together. */
#ifndef CATALOG_PAGES_H
#define CATALOG_PAGES_H

#include "catalog/catalog.h"
#include "catalog/page.h"

struct catalog {
	unsigned refs; /* atomic */
	size_t count;
	size_t n_pages;
	struct page **pages;
	size_t *starts; /* index of each page's first resource */
};

/* An empty one with room for so many pages; NULL without memory. */
struct catalog *catalog_alloc(size_t n_pages) MUST_CHECK;
/* Takes over the reference. */
void catalog_add_page(struct catalog *c, struct page *p);

#endif
