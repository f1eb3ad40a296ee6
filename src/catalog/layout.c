/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/layout.h"

#include "base/str.h"
#include "catalog/key.h"
#include "intent/intent.h"

#include <stdio.h>

static const char *const kinds[LAYOUT_KINDS_] = {
	[LAYOUT_SINGLE] = "single",
	[LAYOUT_SPLIT] = "split",
};

const char *layout_kind_name(enum layout_kind kind)
{
	ASSERT(kind < LAYOUT_KINDS_);
	return kinds[kind];
}

bool layout_kind_parse(struct slice name, enum layout_kind *ret)
{
	for (unsigned i = 0; i < LAYOUT_KINDS_; i++) {
		if (slice_eq(name, slice_of(kinds[i]))) {
			*ret = (enum layout_kind)i;
			return true;
		}
	}
	return false;
}

bool layout_eq(const struct layout *a, const struct layout *b)
{
	return a->kind == b->kind && a->catalogs == b->catalogs;
}

struct place layout_place(const struct layout *layout, const char *namespace, const char *name)
{
	struct place place = {.number = 0};

	if (layout->kind == LAYOUT_SINGLE)
		return place;
	snprintf(place.namespace, sizeof(place.namespace), "%s", namespace);
	place.number = (unsigned)(key_hash(namespace, name) % layout->catalogs);
	return place;
}

/* The slash that ends the namespace in a repository's name sorts after the dash. */
int place_cmp(const struct place *a, const struct place *b)
{
	const unsigned char *x = (const unsigned char *)a->namespace;
	const unsigned char *y = (const unsigned char *)b->namespace;

	while (*x == *y && *x != '\0') {
		x++;
		y++;
	}
	if (*x != *y)
		return (*x == '\0' ? '/' : *x) - (*y == '\0' ? '/' : *y);
	return (a->number > b->number) - (a->number < b->number);
}

int place_compare(const void *a, const void *b)
{
	return place_cmp(a, b);
}

static int digits(const struct layout *layout)
{
	int n = 2;

	for (unsigned over = (layout->catalogs - 1) / 100; over > 0; over /= 10)
		n++;
	return n;
}

void layout_repository(
	const struct layout *layout, const struct place *place, char ret[CATALOG_REPOSITORY_SIZE])
{
	if (layout->kind == LAYOUT_SINGLE)
		snprintf(ret, CATALOG_REPOSITORY_SIZE, CATALOG_REPOSITORY);
	else
		snprintf(ret, CATALOG_REPOSITORY_SIZE, CATALOG_REPOSITORY_PREFIX "%s/%0*u",
			place->namespace, digits(layout), place->number);
}

bool layout_repository_parse(
	const struct layout *layout, struct slice repository, struct place *ret)
{
	struct slice rest = repository, namespace;
	char again[CATALOG_REPOSITORY_SIZE];
	struct place place = {.number = 0};
	uint64_t number = 0;

	if (layout->kind == LAYOUT_SPLIT) {
		if (!slice_starts(rest, SLICE(CATALOG_REPOSITORY_PREFIX)))
			return false;
		rest.p += strlen(CATALOG_REPOSITORY_PREFIX);
		rest.n -= strlen(CATALOG_REPOSITORY_PREFIX);
		namespace = slice_cut(&rest, '/');
		if (!intent_name_ok(namespace) || !slice_to_u64(rest, &number) ||
			number >= layout->catalogs)
			return false;
		snprintf(place.namespace, sizeof(place.namespace), "%.*s", SLICE_ARG(namespace));
		place.number = (unsigned)number;
	}
	layout_repository(layout, &place, again);
	if (!slice_eq(repository, slice_of(again)))
		return false;
	*ret = place;
	return true;
}
