/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/remains.h"

#include "base/log.h"
#include "publish/ancestry.h"
#include "publish/restore.h"

/* ---- names ---- */

static void names_done(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i]);
	free(names->list);
}

static int add_name(struct names *names, struct slice name, struct error *err)
{
	size_t cap = names->cap == 0 ? 64 : 2 * names->cap;
	char **grown;

	if (names->n == names->cap) {
		grown = realloc(names->list, cap * sizeof(*grown));
		if (grown == NULL)
			return error_no_memory(err);
		names->list = grown;
		names->cap = cap;
	}
	names->list[names->n] = slice_dup(name);
	if (names->list[names->n] == NULL)
		return error_no_memory(err);
	names->n++;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A registry may list a repository twice, as on two pages when one is made in between. */
static void sort_names(struct names *names)
{
	size_t n = 0;

	if (names->n > 0)
		qsort(names->list, names->n, sizeof(names->list[0]), compare_names);
	for (size_t i = 0; i < names->n; i++) {
		if (n > 0 && strcmp(names->list[n - 1], names->list[i]) == 0)
			free(names->list[i]);
		else
			names->list[n++] = names->list[i];
	}
	names->n = n;
}

/* ---- reading ---- */

void remains_done(struct remains *r)
{
	names_done(&r->resources);
	names_done(&r->catalogs);
	state_unref(r->state);
	places_done(&r->leftovers);
	record_done(&r->record);
}

static int read_record(struct remains *r, struct registry *registry, struct error *err)
{
	if (head_read_record(&r->record, &r->parent, registry, err) == 0) {
		r->has_parent = true;
		return 0;
	}
	if (err->code != ERROR_NOT_FOUND && err->code != ERROR_INTERNAL)
		return -1;
	r->why = *err;
	r->has_parent = head_resolve(&r->parent, registry, err) == 0;
	if (!r->has_parent && err->code != ERROR_NOT_FOUND)
		return error_wrap(err, RECORD_REPOSITORY ":latest");
	return 0;
}

/* Every catalog that it names takes part in the revision, also where repositories are not listed.
 */
static int note_catalogs(struct remains *r, struct error *err)
{
	for (size_t i = 0; i < state_n_partitions(r->state); i++) {
		struct slice name = slice_of(state_partition(r->state, i)->repository);

		if (slice_starts(name, SLICE(CATALOG_REPOSITORY_PREFIX)) &&
			add_name(&r->catalogs, name, err) != 0)
			return -1;
	}
	sort_names(&r->catalogs);
	return 0;
}

static int not_verified(struct error *err)
{
	return error_wrap(err, "the last record does not pass --verify, which can be left out");
}

/* Without --verify the operator's word is enough, as it is for the resources. */
int remains_read(struct remains *ret, struct registry *registry, const struct signing *signing,
	struct error *err)
{
	bool verifies = signing->verify != NULL;

	if (read_record(ret, registry, err) != 0)
		return -1;
	if (ret->record.version == 0)
		return 0;
	if (verifies && signing_check_record(NULL, signing, &ret->parent, registry, err) != 0)
		return not_verified(err);
	ret->highest = ret->record.version;
	if (restore_state(&ret->state, &ret->leftovers, &ret->record, registry, &ret->why) != 0)
		return ret->why.code == ERROR_NO_MEMORY ? error_no_memory(err) : 0;
	if (verifies && signing_check_catalogs(NULL, signing, &ret->record, ret->state,
				&ret->leftovers, registry, err) != 0)
		return not_verified(err);
	return note_catalogs(ret, err);
}

static int collect_repository(struct slice repository, void *arg, struct error *err)
{
	struct remains *r = arg;

	if (slice_starts(repository, SLICE(RESOURCE_REPOSITORY_PREFIX)))
		return add_name(&r->resources, repository, err);
	if (slice_starts(repository, SLICE(CATALOG_REPOSITORY_PREFIX)))
		return add_name(&r->catalogs, repository, err);
	return 0;
}

/* One past all dates was never issued, so it is nobody's. */
int remains_note_version(struct slice tag, void *arg, struct error *err UNUSED)
{
	struct remains *r = arg;
	uint64_t version;

	if (tag.n > 1 && (tag.p[0] == 'v' || tag.p[0] == 'c') &&
		slice_to_u64((struct slice){tag.p + 1, tag.n - 1}, &version) &&
		version > r->highest && version <= LIMIT_VERSION)
		r->highest = version;
	return 0;
}

int remains_list(struct remains *r, struct registry *registry, struct error *err)
{
	if (registry_tags(registry, RECORD_REPOSITORY, NULL, remains_note_version, r, err) != 0)
		return error_wrap(err, RECORD_REPOSITORY);
	if (registry_repositories(registry, collect_repository, r, err) != 0)
		return error_wrap(err, "cannot list the repositories");
	sort_names(&r->resources);
	sort_names(&r->catalogs);
	return 0;
}

/* ---- judging ---- */

int remains_guard(const struct remains *r, const struct prune_guard *guard,
	const struct catalog_change *after, size_t n, struct error *err)
{
	if (r->state != NULL)
		return prune_guard_check(guard, r->state, after, n, err);
	if (!guard->confirmed && r->why.code != ERROR_NOT_FOUND && r->why.code != ERROR_INTERNAL) {
		*err = r->why;
		return error_wrap(err,
			"cannot read what there was, to see how much would be removed; try again, "
			"or %s",
			guard->confirm);
	}
	log_warn("cannot tell what is removed: there is nothing to compare with",
		LOG_STR("reason", r->why.text));
	return 0;
}

int remains_layout(
	const struct remains *r, const struct layout *given, struct layout *ret, struct error *err)
{
	bool known = r->record.version != 0;

	if (known && given != NULL && !layout_eq(given, &r->record.layout))
		return error_set(err, ERROR_INVALID,
			"the last commit record has the layout %s with %u catalogs for a "
			"namespace: leave out --layout and --catalogs",
			layout_kind_name(r->record.layout.kind), r->record.layout.catalogs);
	if (!known && given == NULL && r->catalogs.n > 0)
		return error_set(err, ERROR_INVALID,
			"the store was of the layout split (there is %s): say --layout split and, "
			"with --catalogs, how many catalogs each namespace had",
			r->catalogs.list[0]);
	*ret = known           ? r->record.layout
	       : given != NULL ? *given
			       : (struct layout){LAYOUT_SINGLE, 1};
	return 0;
}

/* ---- the new revision ---- */

/* A catalog that was ever there; one that nothing comes into makes Flux prune. */
static int add_empty(struct partition **partitions, size_t *n, const struct layout *layout,
	struct slice repository, struct error *err)
{
	struct place place;

	if (!layout_repository_parse(layout, repository, &place))
		return 0;
	if (partition_new_empty(&partitions[*n], layout, &place, err) != 0)
		return -1;
	(*n)++;
	return 0;
}

static int empty_state(
	struct state **ret, const struct state *none, const struct remains *r, struct error *err)
{
	struct partition **partitions = calloc(r->catalogs.n + 1, sizeof(*partitions));
	const struct layout *layout = state_layout(none);
	size_t n = 0;
	int rc;

	if (partitions == NULL)
		return error_no_memory(err);
	rc = add_empty(partitions, &n, layout, SLICE(CATALOG_REPOSITORY), err);
	for (size_t i = 0; rc == 0 && i < r->catalogs.n; i++)
		rc = add_empty(partitions, &n, layout, slice_of(r->catalogs.list[i]), err);
	qsort(partitions, n, sizeof(*partitions), partition_compare);
	if (rc == 0)
		rc = state_replace(ret, none, partitions, n, NULL, err);
	partitions_free(partitions, n);
	return rc;
}

/* With what will be current in its place. */
static int full_state(struct state **ret, const struct state *none, const struct remains *r,
	const struct whole *whole, struct gzips *gzips, struct error *err)
{
	CLEANUP(state_unrefp) struct state *empty = NULL;
	struct partition **changed;
	size_t n;
	int rc;

	if (empty_state(&empty, none, r, err) != 0 ||
		state_change(empty, whole->resources, whole->n, gzips, &changed, &n, err) != 0)
		return -1;
	rc = state_replace(ret, empty, changed, n, NULL, err);
	partitions_free(changed, n);
	return rc;
}

int remains_revision(
	struct revision *ret, const struct remains *r, const struct whole *whole, struct error *err)
{
	CLEANUP(gzips_done) struct gzips gzips = {0};
	CLEANUP(state_unrefp) struct state *none = NULL;
	CLEANUP(state_unrefp) struct state *full = NULL;
	AUTO_FREE struct partition **partitions = NULL;
	struct root_options root;
	struct revision_draft draft = {
		.with_root = true,
		.root = &root,
		.version = whole->version,
		.parent = r->has_parent ? &r->parent : NULL,
		.why = whole->why,
		.signing = whole->signing,
		.frozen = r->record.frozen,
		.keyed = r->record.key.is_set ? (struct record_keyed){true, r->parent}
					      : r->record.keyed,
		.gzips = &gzips,
	};

	draft.ancestry.is_known = !r->has_parent;
	if (r->record.version != 0)
		ancestry_of_child(
			&draft.ancestry, &r->record.ancestry, r->record.version, &r->parent);
	root_choose(&root, whole->root, &r->record.root);
	root.woken = r->record.root.woken; /* the server's to say */
	if (layout_eq(whole->layout, &r->record.layout)) {
		draft.repartition = r->record.repartition;
		draft.leftovers = &r->leftovers;
	}
	if (state_new(&none, whole->layout, err) != 0 ||
		full_state(&full, none, r, whole, &gzips, err) != 0)
		return -1;
	partitions = calloc(state_n_partitions(full) + 1, sizeof(*partitions));
	if (partitions == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < state_n_partitions(full); i++)
		partitions[i] = state_partition(full, i);
	draft.state = none;
	draft.n_partitions = state_n_partitions(full);
	draft.partitions = partitions;
	return revision_make(ret, &draft, err);
}
