/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/adopt.h"

#include "base/clock.h"
#include "base/log.h"
#include "catalog/key.h"
#include "publish/remains.h"

#include <stdio.h>

/* A version to be stored. */
struct item {
	const char *namespace, *name;
	uint64_t version;
	struct intent *intent; /* borrowed; NULL: a tombstone */
};

struct adoption {
	struct registry *registry;
	const struct adopt_options *options;
	struct remains remains;
	struct adopt_result result;
	uint64_t next; /* version to be issued */
	size_t n_objects;
	const struct adopt_object *objects; /* sorted */
	size_t n_resources;
	struct catalog_change *resources; /* what will be current; each owns its resource */
	size_t n_items;
	struct item *items;
};

static void adoption_done(struct adoption *ad)
{
	for (size_t i = 0; i < ad->n_resources; i++)
		resource_unref(ad->resources[i].resource);
	free(ad->resources);
	free(ad->items);
	remains_done(&ad->remains);
}

/* ---- what the cluster has ---- */

static int compare_objects(const void *a, const void *b)
{
	const struct intent *x = ((const struct adopt_object *)a)->intent;
	const struct intent *y = ((const struct adopt_object *)b)->intent;

	return key_cmp(x->namespace, x->name, y->namespace, y->name);
}

static int take_objects(
	struct adoption *ad, struct adopt_object *objects, size_t n, struct error *err)
{
	if (n == 0 && ad->options->source == ADOPT_CLUSTER)
		return error_set(err, ERROR_UNPROCESSABLE,
			"the cluster has no resource of this program: is this the right cluster?");
	qsort(objects, n, sizeof(objects[0]), compare_objects);
	for (size_t i = 1; i < n; i++)
		if (compare_objects(&objects[i - 1], &objects[i]) == 0)
			return error_set(err, ERROR_CONFLICT,
				"the cluster names %s/%s twice: try again",
				objects[i].intent->namespace, objects[i].intent->name);
	for (size_t i = 0; i < n; i++)
		if (objects[i].version > ad->result.highest)
			ad->result.highest = objects[i].version;
	ad->objects = objects;
	ad->n_objects = n;
	return 0;
}

/* ---- what the store has ---- */

/* A store that is whole and not behind the cluster needs no adoption, which would only undo what
 * Flux has yet to apply. */
static int check_age(const struct adoption *ad, struct error *err)
{
	const struct remains *r = &ad->remains;

	if (r->state == NULL || r->record.version < ad->result.highest)
		return 0;
	return error_set(err, ERROR_CONFLICT,
		"the store is whole, and its last record c%llu is not older than anything in the "
		"cluster, which has v%llu at most: there is nothing to adopt; start the server",
		(unsigned long long)r->record.version, (unsigned long long)ad->result.highest);
}

/* Hosted registries do not list; then what the record says must do. */
static int list(struct adoption *ad, struct error *err)
{
	const struct remains *r = &ad->remains;

	if (remains_list(&ad->remains, ad->registry, err) != 0 &&
		err->code != ERROR_NOT_IMPLEMENTED && err->code != ERROR_DENIED &&
		err->code != ERROR_UNAUTHORIZED && err->code != ERROR_NOT_FOUND)
		return -1;
	if (r->record.version == 0 && r->resources.n > 0 && ad->options->source == ADOPT_CLUSTER)
		log_warn("there are repositories of resources: gsq rebuild may know more than the "
			 "cluster",
			LOG_STR("repository", r->resources.list[0]));
	return 0;
}

static void expected_kustomization(
	const struct layout *layout, const struct intent *intent, char ret[ROOT_OBJECT_SIZE])
{
	struct place place = layout_place(layout, intent->namespace, intent->name);
	char repository[CATALOG_REPOSITORY_SIZE];

	if (layout->kind == LAYOUT_SINGLE) {
		snprintf(ret, ROOT_OBJECT_SIZE, "%s", ROOT_KUSTOMIZATION);
		return;
	}
	layout_repository(layout, &place, repository);
	root_object_name(repository, ret);
}

/* An object that comes from another Kustomization than before is deleted by that one, perhaps after
 * it was applied by the new one. Names that are not ours are an operator's, who knows. */
static int check_layout(const struct adoption *ad, struct error *err)
{
	const struct layout *layout = &ad->result.layout;
	char expected[ROOT_OBJECT_SIZE];

	for (size_t i = 0; i < ad->n_objects; i++) {
		const struct adopt_object *o = &ad->objects[i];

		expected_kustomization(layout, o->intent, expected);
		if (!slice_starts(slice_of(o->kustomization), SLICE("gitops-squared-")) ||
			strcmp(o->kustomization, expected) == 0)
			continue;
		return error_set(err, ERROR_INVALID,
			"%s/%s comes from the Kustomization %s, and with the layout %s and %u "
			"catalogs from %s, so Flux would delete it: say --layout and --catalogs "
			"as the cluster has them",
			o->intent->namespace, o->intent->name, o->kustomization,
			layout_kind_name(layout->kind), layout->catalogs, expected);
	}
	return 0;
}

/* The cluster's layout wins over the record's, which may be older than a repartition. */
static int choose_layout(struct adoption *ad, struct error *err)
{
	if (ad->options->layout != NULL)
		ad->result.layout = *ad->options->layout;
	else if (remains_layout(&ad->remains, NULL, &ad->result.layout, err) != 0)
		return -1;
	return check_layout(ad, err);
}

static int read_store(struct adoption *ad, struct error *err)
{
	if (remains_read(&ad->remains, ad->registry, &ad->options->signing, err) != 0 ||
		check_age(ad, err) != 0 || list(ad, err) != 0 || choose_layout(ad, err) != 0)
		return -1;
	ad->result.before = ad->remains.record.version;
	return 0;
}

/* ---- what becomes of each resource ---- */

static void decided(struct adoption *ad, enum adopt_op op, const char *namespace, const char *name,
	uint64_t version)
{
	ad->result.counts[op]++;
	if (ad->options->tell != NULL)
		ad->options->tell(op, namespace, name, version, ad->options->arg);
}

static struct resource *recorded(const struct adoption *ad, const char *namespace, const char *name)
{
	return ad->remains.state == NULL ? NULL : state_find(ad->remains.state, namespace, name);
}

/* Whether the cluster has just what the record would have it have. An object that was edited in the
 * cluster is among them: Flux sets that right. */
static bool is_as_recorded(const struct resource *old, uint64_t version)
{
	const struct resource *published = resource_published(old);

	return old->version == version || (published != NULL && published->version == version);
}

static void keep(struct adoption *ad, struct resource *r)
{
	ad->resources[ad->n_resources++] =
		(struct catalog_change){r->intent->namespace, r->intent->name, resource_ref(r)};
	decided(ad, ADOPT_KEEP, r->intent->namespace, r->intent->name, r->version);
}

static int take(
	struct adoption *ad, const struct adopt_object *o, enum adopt_op op, struct error *err)
{
	const struct intent *intent = o->intent;
	struct resource *r;
	struct artifact a;
	int rc;

	if (artifact_of_resource(&a, intent, o->version, err) != 0)
		return error_wrap(err, "%s/%s", intent->namespace, intent->name);
	rc = resource_new(&r, o->intent, o->version, &a.digest, err);
	artifact_done(&a);
	if (rc != 0)
		return -1;
	ad->resources[ad->n_resources++] =
		(struct catalog_change){intent->namespace, intent->name, r};
	ad->items[ad->n_items++] =
		(struct item){intent->namespace, intent->name, o->version, o->intent};
	decided(ad, op, intent->namespace, intent->name, o->version);
	return 0;
}

static int take_all(struct adoption *ad, struct error *err)
{
	for (size_t i = 0; i < ad->n_objects; i++) {
		const struct adopt_object *o = &ad->objects[i];
		struct resource *old = recorded(ad, o->intent->namespace, o->intent->name);

		if (old != NULL && is_as_recorded(old, o->version))
			keep(ad, old);
		else if (take(ad, o, old == NULL ? ADOPT_ADD : ADOPT_CHANGE, err) != 0)
			return -1;
	}
	return 0;
}

static bool is_in_cluster(const struct adoption *ad, struct intent *intent)
{
	struct adopt_object key = {.intent = intent};

	return bsearch(&key, ad->objects, ad->n_objects, sizeof(ad->objects[0]), compare_objects) !=
	       NULL;
}

/* What only the record has: gone, but for what is held and so never came to Flux. */
static int leave_rest(struct adoption *ad, struct error *err)
{
	CLEANUP(state_cursor_freep) struct state_cursor *cursor = NULL;
	const struct resource *at;

	if (ad->remains.state == NULL)
		return 0;
	if (state_cursor_new_all(&cursor, ad->remains.state, "", "", err) != 0)
		return -1;
	for (; (at = state_cursor_at(cursor)) != NULL; state_cursor_advance(cursor)) {
		struct intent *intent = at->intent;

		if (is_in_cluster(ad, intent))
			continue;
		if (resource_published(at) == NULL) {
			keep(ad, recorded(ad, intent->namespace, intent->name));
			continue;
		}
		ad->items[ad->n_items++] =
			(struct item){intent->namespace, intent->name, ad->next, NULL};
		decided(ad, ADOPT_REMOVE, intent->namespace, intent->name, ad->next++);
	}
	return 0;
}

static void bury(struct adoption *ad)
{
	for (size_t i = 0; i < ad->options->n_gone; i++) {
		const struct adopt_gone *g = &ad->options->gone[i];

		ad->items[ad->n_items++] = (struct item){g->namespace, g->name, ad->next++, NULL};
	}
}

/* Tombstones get the numbers below the record's own. */
static int decide(struct adoption *ad, struct error *err)
{
	size_t before = ad->remains.state == NULL ? 0 : state_count(ad->remains.state);
	size_t max = ad->n_objects + before + ad->options->n_gone + 1;
	uint64_t highest = ad->remains.highest, now = clock_realtime_us();

	if (highest < ad->result.highest)
		highest = ad->result.highest;
	ad->next = now > highest ? now : highest + 1;
	ad->resources = calloc(max, sizeof(ad->resources[0]));
	ad->items = calloc(max, sizeof(ad->items[0]));
	if (ad->resources == NULL || ad->items == NULL)
		return error_no_memory(err);
	if (take_all(ad, err) != 0 || leave_rest(ad, err) != 0)
		return -1;
	bury(ad);
	qsort(ad->resources, ad->n_resources, sizeof(ad->resources[0]), prune_guard_compare);
	ad->result.version = ad->next;
	if (ad->options->source == ADOPT_ORIGINAL)
		return 0; /* it had no record to compare with, and all is taken */
	return remains_guard(
		&ad->remains, &ad->options->guard, ad->resources, ad->n_resources, err);
}

/* ---- pushing ---- */

/* The push of an item, and the memory it points into. */
struct item_push {
	char repository[RESOURCE_REPOSITORY_SIZE];
	char tag[RESOURCE_TAG_SIZE];
	struct artifact artifact;
	struct artifact_push borrowed;
};

enum pass { PASS_VERSIONS, PASS_LATEST };

static int prepare(const struct adoption *ad, enum pass pass, const struct item *item,
	struct item_push *p, struct push *ret, struct error *err)
{
	if ((item->intent == NULL ? artifact_of_tombstone(&p->artifact, item->namespace, item->name,
					    item->version, err)
				  : artifact_of_resource(
					    &p->artifact, item->intent, item->version, err)) != 0)
		return -1;
	resource_repository(item->namespace, item->name, p->repository);
	resource_tag(item->version, p->tag);
	if (pass == PASS_LATEST) {
		*ret = artifact_push_latest(&p->artifact, p->repository);
		return 0;
	}
	/* Before the registry was lost these numbers were used. */
	*ret = artifact_push(
		&p->borrowed, &p->artifact, RESOURCE_ARTIFACT_TYPE, p->repository, p->tag, true);
	ret->moves_latest = ad->registry->atomic;
	return 0;
}

static int push_outcome(const struct push *pushes, size_t n, struct error *err)
{
	if (push_failure(pushes, n, err) == 0)
		return 0;
	if (err->code != ERROR_CONFLICT)
		return -1;
	return error_wrap(err,
		"the cluster's object is not what was stored as that version, so it was changed "
		"there; undo that, or run \"gsq rebuild\"");
}

static int push_some(const struct adoption *ad, enum pass pass, const struct item *items, size_t n,
	struct error *err)
{
	AUTO_FREE struct item_push *made = calloc(n, sizeof(*made));
	AUTO_FREE struct push *pushes = calloc(n, sizeof(*pushes));
	size_t n_made = 0;
	int rc = 0;

	if (made == NULL || pushes == NULL)
		return error_no_memory(err);
	while (rc == 0 && n_made < n) {
		rc = prepare(ad, pass, &items[n_made], &made[n_made], &pushes[n_made], err);
		n_made += rc == 0;
	}
	if (rc == 0) {
		registry_push(ad->registry, pushes, n);
		rc = push_outcome(pushes, n, err);
	}
	for (size_t i = 0; i < n_made; i++)
		artifact_done(&made[i].artifact);
	return rc;
}

static int push_items(const struct adoption *ad, enum pass pass, struct error *err)
{
	size_t n;

	for (size_t i = 0; i < ad->n_items; i += n) {
		n = ad->n_items - i < LIMIT_BATCH ? ad->n_items - i : LIMIT_BATCH;
		if (push_some(ad, pass, ad->items + i, n, err) != 0)
			return -1;
	}
	return 0;
}

static int push_catalogs_latest(
	const struct adoption *ad, const struct revision *rev, struct error *err)
{
	AUTO_FREE struct push *pushes = calloc(rev->n_catalogs + 1, sizeof(*pushes));

	if (pushes == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < rev->n_catalogs; i++)
		pushes[i] = revision_catalog_latest(rev, i);
	registry_push(ad->registry, pushes, rev->n_catalogs);
	return push_failure(pushes, rev->n_catalogs, err);
}

/* In the order of every commit (DESIGN invariant 7). */
static int push_all(const struct adoption *ad, struct revision *rev, struct error *err)
{
	if (push_items(ad, PASS_VERSIONS, err) != 0 || revision_push(rev, ad->registry, err) != 0)
		return -1;
	if (ad->registry->atomic)
		return 0;
	if (revision_point(rev, ad->registry, err) != 0)
		return -1;
	if (push_catalogs_latest(ad, rev, err) == 0 && push_items(ad, PASS_LATEST, err) == 0)
		return 0;
	return error_wrap(err, "the record is committed, but not every tag latest has moved: run "
			       "\"gsq fsck --repair\"");
}

static int check_sizes(const struct adoption *ad, const struct state *full, struct error *err)
{
	size_t n = state_n_partitions(full);
	struct root_options root;

	root_choose(&root, &ad->options->root, &ad->remains.record.root);
	if (state_layout(full)->kind == LAYOUT_SPLIT &&
		root_check_size(&root, n, state_count_namespaces(full), err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct partition *p = state_partition(full, i);

		if (catalog_count(p->catalog) > LIMIT_CATALOG_RESOURCES)
			return error_set(err, ERROR_UNPROCESSABLE,
				"%s would hold %zu resources, and a catalog holds %d: say --layout "
				"split and a larger number of --catalogs",
				p->repository, catalog_count(p->catalog), LIMIT_CATALOG_RESOURCES);
	}
	return 0;
}

static int commit_revision(const struct adoption *ad, struct revision *rev, struct error *err)
{
	if (check_sizes(ad, rev->state, err) != 0)
		return -1;
	if (ad->options->dry_run)
		return 0;
	if (registry_begin(ad->registry, err) != 0)
		return -1;
	if (push_all(ad, rev, err) != 0) {
		registry_rollback(ad->registry);
		return -1;
	}
	return registry_commit(ad->registry, err);
}

static int commit(const struct adoption *ad, struct error *err)
{
	struct whole whole = {
		.layout = &ad->result.layout,
		.root = &ad->options->root,
		.why = ad->options->source == ADOPT_CLUSTER ? "adopt" : "import-original",
		.version = ad->result.version,
		.n = ad->n_resources,
		.resources = ad->resources,
		.signing = &ad->options->signing,
	};
	struct revision rev;
	int rc;

	if (remains_revision(&rev, &ad->remains, &whole, err) != 0)
		return -1;
	rc = commit_revision(ad, &rev, err);
	revision_done(&rev);
	return rc;
}

int adopt_run(struct registry *registry, const struct adopt_options *options,
	struct adopt_object *objects, size_t n, struct adopt_result *ret, struct error *err)
{
	CLEANUP(adoption_done) struct adoption ad = {.registry = registry, .options = options};

	if (take_objects(&ad, objects, n, err) != 0 || read_store(&ad, err) != 0 ||
		decide(&ad, err) != 0 || commit(&ad, err) != 0)
		return -1;
	*ret = ad.result;
	return 0;
}
