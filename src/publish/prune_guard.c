/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/prune_guard.h"

#include "catalog/key.h"

#include <stdio.h>

bool prune_guard_percent(struct slice text, unsigned *ret)
{
	uint64_t n;

	if (!slice_to_u64(text, &n) || n > 100)
		return false;
	*ret = (unsigned)n;
	return true;
}

int prune_guard_compare(const void *a, const void *b)
{
	const struct catalog_change *x = a, *y = b;

	return key_cmp(x->namespace, x->name, y->namespace, y->name);
}

/* What becomes of one namespace. */
struct loss {
	char namespace[LIMIT_NAME + 1];
	size_t before, removed;
};

int prune_guard_judge(const struct prune_guard *guard, const char *namespace, size_t before,
	size_t removed, struct error *err)
{
	if (guard->confirmed || removed <= LIMIT_PRUNE ||
		removed * 100 <= before * (size_t)guard->max_percent)
		return 0;
	return error_set(err, ERROR_CONFLICT,
		"%zu of the %zu resources in namespace %s would be removed, and Flux would delete "
		"them: that is more than %u percent; if it is meant, %s",
		removed, before, namespace, guard->max_percent, guard->confirm);
}

static int judge(const struct prune_guard *guard, const struct loss *loss, struct error *err)
{
	return prune_guard_judge(guard, loss->namespace, loss->before, loss->removed, err);
}

/* Both are in the same order, so one walk finds what is missing. */
static int walk(const struct prune_guard *guard, struct state_cursor *before,
	const struct catalog_change *after, size_t n, struct error *err)
{
	struct loss loss = {.before = 0};
	const struct resource *r;
	size_t i = 0;

	for (; (r = state_cursor_at(before)) != NULL; state_cursor_advance(before)) {
		const struct intent *intent = r->intent;
		struct catalog_change key = {intent->namespace, intent->name, NULL};

		if (strcmp(loss.namespace, intent->namespace) != 0) {
			if (judge(guard, &loss, err) != 0)
				return -1;
			loss = (struct loss){.before = 0};
			snprintf(loss.namespace, sizeof(loss.namespace), "%s", intent->namespace);
		}
		while (i < n && prune_guard_compare(&after[i], &key) < 0)
			i++;
		loss.before++;
		if (i == n || prune_guard_compare(&after[i], &key) != 0)
			loss.removed++;
	}
	return judge(guard, &loss, err);
}

int prune_guard_check(const struct prune_guard *guard, struct state *before,
	const struct catalog_change *after, size_t n, struct error *err)
{
	CLEANUP(state_cursor_freep) struct state_cursor *cursor = NULL;

	if (guard->confirmed)
		return 0;
	if (state_cursor_new_all(&cursor, before, "", "", err) != 0)
		return -1;
	return walk(guard, cursor, after, n, err);
}
