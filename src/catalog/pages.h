/* SPDX-License-Identifier: Apache-2.0 */
/* Private to catalog. What a catalog is made of, for those who put one together. */
#ifndef CATALOG_PAGES_H
#define CATALOG_PAGES_H

#include "catalog/catalog.h"
#include "catalog/page.h"

/* What surrounds the lines of kustomization.yaml, as two gzip members: its header and first lines,
 * and the end of the archive. All of it follows from the size of the lines. */
struct frame {
	char *bytes; /* NULL: yet to be made */
	size_t head_len, len;
};

struct catalog {
	unsigned refs; /* atomic */
	size_t count;
	size_t n_pages;
	struct page **pages;
	size_t *starts;    /* index of each page's first resource */
	size_t lines_size; /* bytes in kustomization.yaml, not compressed */
	struct frame frame;
};

/* An empty one with room for so many pages; NULL without memory. */
struct catalog *catalog_alloc(size_t n_pages) MUST_CHECK;
/* Takes over the reference. */
void catalog_add_page(struct catalog *c, struct page *p);

#endif
