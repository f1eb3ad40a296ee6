/* SPDX-License-Identifier: Apache-2.0 */
#include "api/changes_prune.h"

#include "base/nearest.h"
#include "catalog/key.h"
#include "intent/text.h"

#include <stdio.h>

void changes_prune_done(struct changes_prune *p)
{
	free(p->namespaces);
	selector_free(p->selector);
}

/* ---- reading ---- */

static int check_members(json_t *json, struct error *err)
{
	static const char *const members[] = {"namespaces", "selector", NULL};
	const char *key;
	json_t *value;

	json_object_foreach(json, key, value)
	{
		char excerpt[INTENT_EXCERPT_SIZE];
		const char *near = nearest_word(key, members);

		if (strcmp(key, members[0]) == 0 || strcmp(key, members[1]) == 0)
			continue;
		intent_excerpt(slice_of(key), excerpt);
		if (near != NULL)
			return error_set_field(err, excerpt,
				"prune has no member %s: did you mean %s?", excerpt, near);
		return error_set_field(err, excerpt,
			"prune has no member %s: known are namespaces and selector", excerpt);
	}
	return 0;
}

static int add_namespace(
	struct changes_prune *p, struct slice name, const char *only, struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE];

	if (!intent_name_ok(name))
		return error_set_field(err, "namespaces",
			"prune.namespaces: \"%s\" is no namespace (lower-case letters, digits and "
			"dashes)",
			intent_excerpt(name, excerpt));
	if (only != NULL && !slice_eq(name, slice_of(only)))
		return error_set_field(err, "namespaces",
			"prune.namespaces: the path is that of namespace %s, and nothing else can "
			"be "
			"pruned there: POST to /api/v1/changes",
			only);
	for (size_t i = 0; i < p->n; i++)
		if (slice_eq(name, slice_of(p->namespaces[i])))
			return error_set_field(err, "namespaces",
				"prune.namespaces has %s twice: name it once", p->namespaces[i]);
	snprintf(p->namespaces[p->n++], sizeof(*p->namespaces), "%.*s", SLICE_ARG(name));
	return 0;
}

static int make_room(struct changes_prune *p, size_t n, struct error *err)
{
	p->namespaces = calloc(n, sizeof(*p->namespaces));
	return p->namespaces == NULL ? error_no_memory(err) : 0;
}

static int read_namespaces(
	struct changes_prune *p, const json_t *list, const char *only, struct error *err)
{
	size_t n = json_array_size(list);

	if (list == NULL && only != NULL)
		return make_room(p, 1, err) != 0 ? -1 : add_namespace(p, slice_of(only), only, err);
	if (n == 0 || n > LIMIT_NAMESPACES)
		return error_set_field(err, "namespaces",
			"prune.namespaces must be a list of 1 to %d namespaces, as in "
			"[\"default\"]: "
			"what the change does not name is removed from them",
			LIMIT_NAMESPACES);
	if (make_room(p, n, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const json_t *name = json_array_get(list, i);

		if (!json_is_string(name))
			return error_set_field(
				err, "namespaces", "prune.namespaces must be a list of strings");
		if (add_namespace(p,
			    (struct slice){json_string_value(name), json_string_length(name)}, only,
			    err) != 0)
			return -1;
	}
	return 0;
}

static int read_selector(struct changes_prune *p, const json_t *text, struct error *err)
{
	if (text == NULL)
		return 0;
	if (!json_is_string(text))
		return error_set_field(err, "selector",
			"prune.selector must be a string, as in \"app=web,tier!=db\"");
	return selector_parse(&p->selector,
		(struct slice){json_string_value(text), json_string_length(text)}, "selector", err);
}

int changes_prune_read(struct changes_prune *ret, json_t *json, const char *only, struct error *err)
{
	CLEANUP(changes_prune_done) struct changes_prune p = {.n = 0};

	if (check_members(json, err) != 0 ||
		read_namespaces(&p, json_object_get(json, "namespaces"), only, err) != 0 ||
		read_selector(&p, json_object_get(json, "selector"), err) != 0)
		return -1;
	*ret = p;
	p = (struct changes_prune){.n = 0};
	return 0;
}

/* ---- what there is ---- */

static int compare(const void *a, const void *b)
{
	const struct set_item *x = *(const struct set_item *const *)a;
	const struct set_item *y = *(const struct set_item *const *)b;

	return key_cmp(x->namespace, x->name, y->namespace, y->name);
}

/* The set's items in the order of their names. */
struct named {
	size_t n;
	const struct set_item **items;
};

static int find_named(struct named *ret, const struct change_set *set, struct error *err)
{
	ret->n = set->n;
	ret->items = calloc(set->n > 0 ? set->n : 1, sizeof(*ret->items));
	if (ret->items == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < set->n; i++)
		ret->items[i] = &set->items[i];
	qsort(ret->items, ret->n, sizeof(*ret->items), compare);
	return 0;
}

static bool is_named(const struct named *named, const struct intent *intent)
{
	size_t from = 0, to = named->n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		const struct set_item *item = named->items[middle];
		int order = key_cmp(intent->namespace, intent->name, item->namespace, item->name);

		if (order == 0)
			return true;
		if (order < 0)
			to = middle;
		else
			from = middle + 1;
	}
	return false;
}

/* That version of it, for another one may not be meant: it may have other labels. */
static int add(struct change_set *set, const struct set_item *item, struct error *err)
{
	return change_set_delete(set, item->namespace, item->name, item->when, true, err);
}

static int add_of(struct state *state, const char *namespace, const struct selector *selector,
	const struct named *named, struct change_set *pruned, struct error *err)
{
	CLEANUP(state_cursor_freep) struct state_cursor *cursor = NULL;
	const struct resource *r;

	if (state_cursor_new(&cursor, state, namespace, "", err) != 0)
		return -1;
	for (; (r = state_cursor_at(cursor)) != NULL; state_cursor_advance(cursor)) {
		struct precondition when = {IF_VERSION, r->version};

		if (selector_holds(selector, r->intent) && !is_named(named, r->intent) &&
			change_set_delete(pruned, namespace, r->intent->name, when, true, err) != 0)
			return -1;
	}
	return 0;
}

/* Into a set of its own first: named points into the other one, which moves when it grows. */
int changes_prune_add(const struct changes_prune *p, struct state *state, struct change_set *set,
	struct error *err)
{
	CLEANUP(change_set_freep) struct change_set *pruned = NULL;
	struct named named;
	int rc;

	if (change_set_new(&pruned, err) != 0 || find_named(&named, set, err) != 0)
		return -1;
	rc = 0;
	for (size_t i = 0; i < p->n && rc == 0; i++)
		rc = add_of(state, p->namespaces[i], p->selector, &named, pruned, err);
	free(named.items);
	for (size_t i = 0; i < pruned->n && rc == 0; i++)
		rc = add(set, &pruned->items[i], err);
	return rc;
}
