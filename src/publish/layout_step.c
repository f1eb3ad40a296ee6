/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/layout_step.h"

#include <stdio.h>

/* ---- which places there would be ---- */

static const struct place *find_place(const struct places *places, const struct place *place)
{
	return places->n == 0
		       ? NULL
		       : bsearch(place, places->list, places->n, sizeof(*place), place_compare);
}

/* The place of each resource, sorted, so that those of one catalog are side by side. */
static int place_all(
	struct places *ret, const struct state *s, const struct layout *to, struct error *err)
{
	struct place *list = calloc(state_count(s) + 1, sizeof(*list));
	size_t n = 0;

	if (list == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < state_n_partitions(s); i++) {
		const struct catalog *c = state_partition(s, i)->catalog;

		for (size_t j = 0; j < catalog_count(c); j++) {
			const struct intent *intent = catalog_at(c, j)->intent;

			list[n++] = layout_place(to, intent->namespace, intent->name);
		}
	}
	qsort(list, n, sizeof(*list), place_compare);
	*ret = (struct places){n, list};
	return 0;
}

/* Leaves each place in the list once. */
static void drop_repeated(struct places *places)
{
	size_t n = places->n;

	places->n = 0;
	for (size_t i = 0; i < n; i++)
		if (i == 0 || place_cmp(&places->list[i], &places->list[places->n - 1]) != 0)
			places->list[places->n++] = places->list[i];
}

/* While it is under way the root holds catalogs that have become empty, too. */
static int check_root(const struct state *s, const struct layout *to,
	const struct root_options *root, struct error *err)
{
	CLEANUP(places_done) struct places filled = {0};
	size_t n;

	if (place_all(&filled, s, to, err) != 0)
		return -1;
	drop_repeated(&filled);
	n = filled.n;
	for (size_t i = 0; i < state_n_partitions(s); i++) {
		struct slice repository = slice_of(state_partition(s, i)->repository);
		struct place place;

		if (!layout_repository_parse(to, repository, &place) ||
			find_place(&filled, &place) == NULL)
			n++;
	}
	return root_check_size(root, n, state_count_namespaces(s), err);
}

static int check_fits(struct state *s, const struct layout *to, const struct root_options *root,
	struct error *err)
{
	if (state_fits(s, to, root, err) != 0)
		return -1;
	if (state_layout(s)->kind != LAYOUT_SPLIT || to->kind != LAYOUT_SPLIT)
		return 0;
	return check_root(s, to, root, err);
}

/* ---- deciding ---- */

static int check_possible(const struct layout_step *r, const struct head *head,
	const struct root_options *root, struct error *err)
{
	if (r->to.kind == LAYOUT_SPLIT && root->location[0] == '\0')
		return error_set(err, ERROR_UNPROCESSABLE,
			"it is not known where Flux finds the catalogs: start the server with "
			"--catalog-url");
	return check_fits(head->state, &r->to, root, err);
}

static int out_of_order(const struct head *head, struct error *err)
{
	const struct layout *other = &head->repartition.other;
	const struct layout *has = state_layout(head->state);

	if (head->repartition.step == RECORD_SETTLED)
		return error_set(err, ERROR_CONFLICT,
			"no repartition is under way, and the store has the layout %s with %u "
			"catalogs for a namespace",
			layout_kind_name(has->kind), has->catalogs);
	if (head->repartition.step == RECORD_SWITCH)
		other = has;
	return error_set(err, ERROR_CONFLICT,
		"a repartition to the layout %s with %u catalogs for a namespace is under way: "
		"wait for its end",
		layout_kind_name(other->kind), other->catalogs);
}

/* Whether the step is due, was made already, or neither. */
enum due { DUE, MADE, OUT_OF_ORDER };

static enum due is_due(const struct layout_step *r, const struct head *head)
{
	const struct record_repartition *at = &head->repartition;
	bool is_current = layout_eq(&r->to, state_layout(head->state));
	bool is_next = at->step == RECORD_FREEZE && layout_eq(&r->to, &at->other);

	switch (r->step) {
	case RECORD_FREEZE:
		if (at->step == RECORD_SETTLED && !is_current)
			return DUE;
		return is_next ? MADE : OUT_OF_ORDER;
	case RECORD_SWITCH:
		if (is_next)
			return DUE;
		return at->step == RECORD_SWITCH && is_current ? MADE : OUT_OF_ORDER;
	case RECORD_SETTLED: /* thaw: after the freeze alone, that gives it up */
		if (!is_current)
			return OUT_OF_ORDER;
		return at->step == RECORD_SETTLED ? MADE : DUE;
	}
	return OUT_OF_ORDER;
}

bool layout_step_decide(const struct layout_step *r, const struct head *head,
	const struct root_options *root, struct error *err)
{
	enum due due = is_due(r, head);

	if (due == OUT_OF_ORDER)
		out_of_order(head, err);
	return due == DUE && (r->step != RECORD_FREEZE || check_possible(r, head, root, err) == 0);
}

/* ---- the switch: every resource in its new place ---- */

void layout_step_parts_done(struct layout_step_parts *parts)
{
	state_unref(parts->empty);
	if (parts->partitions != NULL)
		partitions_free(parts->partitions, parts->n);
	places_done(&parts->leftovers);
}

static struct catalog_change *list_resources(const struct state *s)
{
	struct catalog_change *list = calloc(state_count(s) + 1, sizeof(*list));
	size_t n = 0;

	if (list == NULL)
		return NULL;
	for (size_t i = 0; i < state_n_partitions(s); i++) {
		const struct catalog *c = state_partition(s, i)->catalog;

		for (size_t j = 0; j < catalog_count(c); j++) {
			struct resource *r = catalog_at(c, j);

			list[n++] =
				(struct catalog_change){r->intent->namespace, r->intent->name, r};
		}
	}
	return list;
}

/* There is a catalog in this place, with resources or without. filled: those that have some, the
 * first ones, in order; there is room for one more. */
static int add_place(struct layout_step_parts *parts, size_t filled, const struct layout *to,
	const struct place *place, struct error *err)
{
	struct partition key = {.place = *place}, *wanted = &key;

	if (filled > 0 && bsearch(&wanted, parts->partitions, filled, sizeof(wanted),
				  partition_compare) != NULL)
		return 0;
	if (partition_new_empty(&parts->partitions[parts->n], to, place, err) != 0)
		return -1;
	parts->n++;
	return 0;
}

/* Repositories of catalogs there are: in the new layout they stand for catalogs too, which replace
 * them, or else they are left over. That of a single catalog becomes the root. */
static int keep_repositories(struct layout_step_parts *parts, const struct state *old,
	const struct layout *to, struct error *err)
{
	size_t filled = parts->n, n = state_n_partitions(old);
	struct partition **grown =
		realloc(parts->partitions, (filled + n + 1) * sizeof(*parts->partitions));

	if (grown == NULL)
		return error_no_memory(err);
	parts->partitions = grown;
	parts->leftovers.list = calloc(n + 1, sizeof(parts->leftovers.list[0]));
	if (parts->leftovers.list == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n && state_layout(old)->kind == LAYOUT_SPLIT; i++) {
		const struct partition *p = state_partition(old, i);
		struct place place;

		if (!layout_repository_parse(to, slice_of(p->repository), &place))
			parts->leftovers.list[parts->leftovers.n++] = p->place;
		else if (add_place(parts, filled, to, &place, err) != 0)
			return -1;
	}
	if (to->kind == LAYOUT_SINGLE) {
		struct place only = {.number = 0};

		if (add_place(parts, filled, to, &only, err) != 0)
			return -1;
	}
	qsort(parts->partitions, parts->n, sizeof(*parts->partitions), partition_compare);
	return 0;
}

static int place_anew(struct layout_step_parts *parts, const struct state *old,
	const struct layout *to, struct gzips *gzips, struct error *err)
{
	AUTO_FREE struct catalog_change *resources = list_resources(old);

	if (resources == NULL)
		return error_no_memory(err);
	if (state_new(&parts->empty, to, err) != 0 ||
		state_change(parts->empty, resources, state_count(old), gzips, &parts->partitions,
			&parts->n, err) != 0)
		return -1;
	return keep_repositories(parts, old, to, err);
}

/* ---- the draft ---- */

int layout_step_draft(struct revision_draft *draft, struct layout_step_parts *parts,
	const struct layout_step *r, const struct head *head, struct error *err)
{
	draft->with_root = true;
	draft->why = "repartition";
	draft->state = head->state;
	draft->repartition = (struct record_repartition){.step = r->step};
	draft->leftovers = NULL;
	if (r->step == RECORD_FREEZE)
		draft->repartition.other = r->to;
	if (r->step != RECORD_SWITCH)
		return 0;
	if (place_anew(parts, head->state, &r->to, draft->gzips, err) != 0)
		return -1;
	draft->repartition.other = *state_layout(head->state);
	draft->state = parts->empty;
	draft->n_partitions = parts->n;
	draft->partitions = parts->partitions;
	draft->leftovers = &parts->leftovers;
	draft->empties_leftovers = true;
	return 0;
}
