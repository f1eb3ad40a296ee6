/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout: how resources are shared out among catalogs (DESIGN section 4, "Layouts"). Part of
 * every commit record; chosen when a store is made.
 *
 * single  every resource is in the catalog gitops-squared/catalog
 * split   each namespace has its own catalogs, gitops-squared/catalogs/<namespace>/<number>, among
 *         which a resource's name decides; gitops-squared/catalog is the root, which holds the two
 *         Flux objects of each of them (catalog/root.h)
 */
#ifndef CATALOG_LAYOUT_H
#define CATALOG_LAYOUT_H

#include "base/error.h"
#include "base/limits.h"
#include "base/str.h"

enum layout_kind { LAYOUT_SINGLE, LAYOUT_SPLIT, LAYOUT_KINDS_ };

struct layout {
	enum layout_kind kind;
	unsigned catalogs; /* of each namespace, 1 to LIMIT_LAYOUT_CATALOGS; 1 when single */
};

/* "single", "split" */
const char *layout_kind_name(enum layout_kind kind);
bool layout_kind_parse(struct slice name, enum layout_kind *ret);
bool layout_eq(const struct layout *a, const struct layout *b);

/* The place of one catalog in a layout. */
struct place {
	char namespace[LIMIT_NAME + 1]; /* "" when single: all of them */
	unsigned number;
};

struct place layout_place(const struct layout *layout, const char *namespace, const char *name);

/* In the order of their repositories' names. */
int place_cmp(const struct place *a, const struct place *b);
int place_compare(const void *a, const void *b); /* the same, for qsort() and bsearch() */

#define CATALOG_REPOSITORY "gitops-squared/catalog"          /* the only one, or the root */
#define CATALOG_REPOSITORY_PREFIX "gitops-squared/catalogs/" /* of all others */
#define CATALOG_REPOSITORY_SIZE (sizeof(CATALOG_REPOSITORY_PREFIX "/") + LIMIT_NAME + 10)
/* Numbers have as many digits as the highest needs, at least two: 07 of 16, 007 of 256. */
void layout_repository(
	const struct layout *layout, const struct place *place, char ret[CATALOG_REPOSITORY_SIZE]);
/* The place that a repository stands for; false where it is none of this layout's, as the root. */
bool layout_repository_parse(
	const struct layout *layout, struct slice repository, struct place *ret);

#endif
