/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/change_set.h"

#include "catalog/key.h"

#include <stdio.h>

int change_set_new(struct change_set **ret, struct error *err)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret != NULL ? 0 : error_no_memory(err);
}

void change_set_free(struct change_set *set)
{
	if (set == NULL)
		return;
	for (size_t i = 0; i < set->n; i++)
		intent_unref(set->items[i].intent);
	free(set->items);
	author_unref(set->author);
	free(set);
}

static bool is_power_of_two(size_t n)
{
	return (n & (n - 1)) == 0;
}

static int add(struct change_set *set, const struct set_item *item, const char *namespace,
	const char *name, struct error *err)
{
	struct set_item *to;

	if (set->n == LIMIT_CHANGES)
		return error_set(err, ERROR_TOO_LARGE,
			"one change takes at most %d resources: send several", LIMIT_CHANGES);
	if (is_power_of_two(set->n)) { /* 0 is one too, and all memory is used up */
		to = reallocarray(set->items, set->n == 0 ? 1 : 2 * set->n, sizeof(*to));
		if (to == NULL)
			return error_no_memory(err);
		set->items = to;
	}
	to = &set->items[set->n++];
	*to = *item;
	if (to->intent != NULL)
		intent_ref(to->intent);
	snprintf(to->namespace, sizeof(to->namespace), "%s", namespace);
	snprintf(to->name, sizeof(to->name), "%s", name);
	return 0;
}

int change_set_put(
	struct change_set *set, struct intent *intent, struct precondition when, struct error *err)
{
	struct set_item item = {.intent = intent, .when = when};

	return add(set, &item, intent->namespace, intent->name, err);
}

int change_set_delete(struct change_set *set, const char *namespace, const char *name,
	struct precondition when, bool pruned, struct error *err)
{
	struct set_item item = {.when = when, .pruned = pruned};

	return add(set, &item, namespace, name, err);
}

/* Of one resource, those that came first are first. */
static int compare(const void *a, const void *b)
{
	const struct set_item *x = *(struct set_item *const *)a, *y = *(struct set_item *const *)b;
	int order = key_cmp(x->namespace, x->name, y->namespace, y->name);

	return order != 0 ? order : (x > y) - (x < y);
}

int change_set_check(
	const struct change_set *set, size_t *ret_first, size_t *ret_second, struct error *err)
{
	AUTO_FREE const struct set_item **sorted = calloc(set->n + 1, sizeof(*sorted));

	if (sorted == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < set->n; i++)
		sorted[i] = &set->items[i];
	qsort(sorted, set->n, sizeof(*sorted), compare);
	for (size_t i = 1; i < set->n; i++) {
		const struct set_item *a = sorted[i - 1], *b = sorted[i];

		if (key_cmp(a->namespace, a->name, b->namespace, b->name) != 0)
			continue;
		*ret_first = (size_t)(a - set->items);
		*ret_second = (size_t)(b - set->items);
		return error_set(err, ERROR_INVALID,
			"%s/%s is there twice: a change takes each resource once", b->namespace,
			b->name);
	}
	return 0;
}
