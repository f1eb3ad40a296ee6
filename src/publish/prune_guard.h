/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The prune guard: a change that takes away many resources which nobody named one by one is more
 * often a mistake than meant, and Flux would delete them all. So it is refused until it is
 * confirmed (rebuild, adopt, whatever replaces a whole set). A single DELETE is never in its way.
 */
#ifndef PUBLISH_PRUNE_GUARD_H
#define PUBLISH_PRUNE_GUARD_H

#include "catalog/state.h"

struct prune_guard {
	unsigned max_percent; /* of a namespace's resources, which may go; 100: any number */
	bool confirmed;       /* whatever the numbers are, it is meant */
	const char *confirm;  /* what to do if it is: "give --confirm prune" */
};

/* The percentage that max_percent is in decimal digits; false where that is none. */
bool prune_guard_percent(struct slice text, unsigned *ret);

/* after: what will be current, sorted by key_cmp(); only the names count. ERROR_CONFLICT where more
 * than LIMIT_PRUNE resources of one namespace would go, and more than max_percent of what it has;
 * the text gives the numbers. */
int prune_guard_check(const struct prune_guard *guard, struct state *before,
	const struct catalog_change *after, size_t n, struct error *err) MUST_CHECK;

/* The same of one namespace, where it is known how many of its resources would go. */
int prune_guard_judge(const struct prune_guard *guard, const char *namespace, size_t before,
	size_t removed, struct error *err) MUST_CHECK;

/* Of what a guard is asked with: by namespace, then name. For qsort(). */
int prune_guard_compare(const void *a, const void *b);

#endif
