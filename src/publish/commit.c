/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/commit.h"

#include "publish/metrics.h"

/* ---- deciding: what does each change come to? ---- */

static void decide(struct item *item, const struct state *state)
{
	const struct change *change = item->change;

	item->old = state_find(state, change->namespace, change->name);
	if (item->old != NULL)
		resource_ref(item->old);
	if (change->intent == NULL) {
		if (item->old == NULL)
			error_set(&item->err, ERROR_NOT_FOUND,
				"there is no resource %s in namespace %s", change->name,
				change->namespace);
		else
			item->in_commit = true;
		return;
	}
	item->in_commit = item->old == NULL || !intent_eq(item->old->intent, change->intent);
}

static bool is_create(const struct item *item)
{
	return item->in_commit && item->old == NULL;
}

/* Is it a create in the catalog of that place? */
static bool comes_to(
	const struct item *item, const struct layout *layout, const struct place *place)
{
	const struct change *change = item->change;
	struct place own;

	if (!is_create(item))
		return false;
	own = layout_place(layout, change->namespace, change->name);
	return place_cmp(&own, place) == 0;
}

/* Resources in the catalog of item i, and those before it in the batch that come to it. */
static size_t count_before(const struct batch *b, size_t i, const struct state *state)
{
	const struct change *change = b->items[i].change;
	struct place place = layout_place(state_layout(state), change->namespace, change->name);
	const struct partition *p = state_partition_at(state, &place);
	size_t n = p == NULL ? 0 : catalog_count(p->catalog);

	if (n + b->n <= LIMIT_CATALOG_RESOURCES)
		return n; /* full by no means */
	for (size_t j = 0; j < i; j++)
		n += comes_to(&b->items[j], state_layout(state), &place);
	return n;
}

/* Flux cannot hold more in one inventory: creates past the limit are refused. */
static void refuse_overfull(struct batch *b, const struct state *state)
{
	bool split = state_layout(state)->kind == LAYOUT_SPLIT;

	for (size_t i = 0; i < b->n; i++) {
		struct item *item = &b->items[i];

		if (!is_create(item) || count_before(b, i, state) < LIMIT_CATALOG_RESOURCES)
			continue;
		item->in_commit = false;
		error_set(&item->err, ERROR_UNPROCESSABLE,
			"the catalog holds %d resources, the most that Flux can apply as one: "
			"delete some first, or start a new store with %s",
			LIMIT_CATALOG_RESOURCES,
			split ? "more --catalogs" : "--layout split and enough --catalogs");
	}
}

/* Is item i the first of the batch to come into a catalog that is not there? */
static bool brings_catalog(const struct batch *b, size_t i, const struct state *state)
{
	const struct layout *layout = state_layout(state);
	const struct change *change = b->items[i].change;
	struct place place = layout_place(layout, change->namespace, change->name);

	if (!is_create(&b->items[i]) || state_partition_at(state, &place) != NULL)
		return false;
	for (size_t j = 0; j < i; j++)
		if (comes_to(&b->items[j], layout, &place))
			return false;
	return true;
}

/* The same of the root, which holds every catalog there is. */
static void refuse_catalogs(struct batch *b, const struct state *state)
{
	size_t n = state_n_partitions(state);

	if (n + b->n <= LIMIT_ROOT_CATALOGS)
		return;
	for (size_t i = 0; i < b->n; i++) {
		struct item *item = &b->items[i];

		if (!brings_catalog(b, i, state) || n++ < LIMIT_ROOT_CATALOGS)
			continue;
		item->in_commit = false;
		error_set(&item->err, ERROR_UNPROCESSABLE,
			"the store has %d catalogs, the most that Flux can apply, and this "
			"resource needs one more: put it into a namespace that has resources, "
			"under another name, or start a new store with fewer --catalogs",
			LIMIT_ROOT_CATALOGS);
	}
}

size_t commit_changes(const struct batch *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += b->items[i].in_commit;
	return n;
}

/* ---- artifacts ---- */

/* The next version: the clock's microsecond, or one more than the highest where that is not more.
 */
static int issue_version(struct item *item, struct versions *versions, struct error *err)
{
	uint64_t now = versions->now_us();

	if (now >= LIMIT_VERSION || versions->highest >= LIMIT_VERSION)
		return error_set(err, ERROR_UNAVAILABLE,
			"the server's clock is past the year 9999: set it right");
	item->version_is_behind = now <= versions->highest;
	versions->highest = item->version_is_behind ? versions->highest + 1 : now;
	item->version = versions->highest;
	return 0;
}

static int make_artifact(struct item *item, struct versions *versions, struct error *err)
{
	const struct change *change = item->change;

	if (issue_version(item, versions, err) != 0)
		return -1;
	artifact_done(&item->artifact);
	resource_unref(TAKE_PTR(item->resource));
	if (change->intent == NULL)
		return artifact_of_tombstone(
			&item->artifact, change->namespace, change->name, item->version, err);
	if (artifact_of_resource(&item->artifact, change->intent, item->version, err) != 0)
		return -1;
	return resource_new(
		&item->resource, change->intent, item->version, &item->artifact.digest, err);
}

/* The push of an item that is in the commit, and the memory it points into. */
struct item_push {
	struct item *item;
	char repository[RESOURCE_REPOSITORY_SIZE];
	char tag[RESOURCE_TAG_SIZE];
	struct artifact_push borrowed;
};

static struct push prepare_push(struct item_push *p, struct item *item)
{
	p->item = item;
	resource_repository(item->change->namespace, item->change->name, p->repository);
	resource_tag(item->version, p->tag);
	return artifact_push(&p->borrowed, &item->artifact, RESOURCE_ARTIFACT_TYPE, p->repository,
		p->tag, item->version_is_behind);
}

/* Whatever the registry holds against us (a refusal, a lost answer, a damaged reply) is no fault of
 * the caller, who can only wait; a full disk is told apart, since somebody must make room. */
static void blame_registry(struct error *err)
{
	if (err->code != ERROR_NO_SPACE && err->code != ERROR_NO_MEMORY)
		err->code = ERROR_UNAVAILABLE;
	if (err->retry_after_s == 0)
		err->retry_after_s = 1;
}

static void leave_batch(struct item *item, const struct error *err)
{
	item->in_commit = false;
	item->err = *err;
	blame_registry(&item->err);
}

/* Makes and pushes the artifact of each item that has none; a tag that exists already (debris of a
 * write that failed) takes the next number. Returns how many have to be tried again. */
static size_t push_round(struct batch *b, bool *waiting, struct writer *w, struct push *pushes,
	struct item_push *items)
{
	size_t n = 0, again = 0;

	for (size_t i = 0; i < b->n; i++) {
		struct error err = ERROR_INIT;

		if (!waiting[i])
			continue;
		waiting[i] = false;
		if (make_artifact(&b->items[i], &w->versions, &err) != 0) {
			leave_batch(&b->items[i], &err);
			continue;
		}
		pushes[n] = prepare_push(&items[n], &b->items[i]);
		pushes[n].moves_latest = w->registry->atomic;
		n++;
	}
	registry_push(w->registry, pushes, n);
	for (size_t i = 0; i < n; i++) {
		struct item *item = items[i].item;

		if (pushes[i].err.code == ERROR_CONFLICT) {
			waiting[item - b->items] = true;
			again++;
		} else if (pushes[i].err.code != ERROR_NONE) {
			error_wrap(&pushes[i].err, "%s:%s", items[i].repository, items[i].tag);
			leave_batch(item, &pushes[i].err);
		}
	}
	return again;
}

static int push_artifacts(struct batch *b, struct writer *w, struct error *err)
{
	size_t n = commit_changes(b);
	AUTO_FREE struct push *pushes = calloc(n, sizeof(*pushes));
	AUTO_FREE struct item_push *items = calloc(n, sizeof(*items));
	bool waiting[LIMIT_BATCH] = {false};
	size_t again = n;

	if (pushes == NULL || items == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < b->n; i++)
		waiting[i] = b->items[i].in_commit;
	for (unsigned round = 0; again > 0; round++) {
		if (round > LIMIT_VERSION_RETRIES)
			return error_set(err, ERROR_UNAVAILABLE,
				"no free version number found after %d tries",
				LIMIT_VERSION_RETRIES);
		again = push_round(b, waiting, w, pushes, items);
	}
	return 0;
}

/* ---- catalog and record ---- */

/* What the commit changes, for the catalogs and for the record. */
struct changes {
	size_t n;
	struct catalog_change *catalog;
	struct record_change *record;
};

static void changes_done(struct changes *c)
{
	free(c->catalog);
	free(c->record);
}

static int list_changes(struct changes *ret, const struct batch *b, struct error *err)
{
	size_t max = commit_changes(b);

	ret->catalog = calloc(max, sizeof(ret->catalog[0]));
	ret->record = calloc(max, sizeof(ret->record[0]));
	if (ret->catalog == NULL || ret->record == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < b->n; i++) {
		const struct item *item = &b->items[i];
		struct record_change *record = &ret->record[ret->n];

		if (!item->in_commit)
			continue;
		ret->catalog[ret->n++] = (struct catalog_change){
			item->change->namespace, item->change->name, item->resource};
		record->op = item->resource == NULL ? RECORD_DELETE
			     : item->old == NULL    ? RECORD_CREATE
						    : RECORD_UPDATE;
		memcpy(record->namespace, item->change->namespace, sizeof(record->namespace));
		memcpy(record->name, item->change->name, sizeof(record->name));
		record->version = item->version;
		record->digest = item->artifact.digest;
	}
	return 0;
}

static bool is_behind(const struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->items[i].in_commit && b->items[i].version_is_behind)
			return true;
	return false;
}

static int make_revision(struct batch *b, struct writer *w, struct error *err)
{
	CLEANUP(changes_done) struct changes changes = {0};
	struct root_options root;
	struct revision_draft draft = {
		.state = w->head.state,
		.root = &root,
		.version = w->versions.highest,
		.parent = &w->head.record,
		.gzips = &w->gzips,
	};
	int rc;

	root_choose(&root, w->root, &w->head.root);
	draft.with_root = !root_options_eq(&root, &w->head.root);
	if (list_changes(&changes, b, err) != 0 ||
		state_change(w->head.state, changes.catalog, changes.n, &w->gzips,
			&draft.partitions, &draft.n_partitions, err) != 0)
		return -1;
	draft.n_changes = changes.n;
	draft.changes = changes.record;
	rc = revision_make(&b->revision, &draft, err);
	partitions_free(draft.partitions, draft.n_partitions);
	if (rc != 0)
		return -1;
	b->revision.version_is_behind = is_behind(b);
	b->has_revision = true;
	return 0;
}

static void drop_revision(struct batch *b)
{
	if (b->has_revision)
		revision_done(&b->revision);
	b->has_revision = false;
}

/* ---- derived tags ---- */

static int push_derived(struct batch *b, struct registry *registry, struct error *err)
{
	size_t n = 0, max = commit_changes(b) + b->revision.n_catalogs;
	AUTO_FREE struct push *pushes = calloc(max, sizeof(*pushes));
	AUTO_FREE char(*repositories)[RESOURCE_REPOSITORY_SIZE] =
		calloc(max, sizeof(*repositories));

	if (pushes == NULL || repositories == NULL)
		return error_no_memory(err);
	while (n < b->revision.n_catalogs) {
		pushes[n] = revision_catalog_latest(&b->revision, n);
		n++;
	}
	for (size_t i = 0; i < b->n; i++) {
		struct item *item = &b->items[i];

		if (!item->in_commit)
			continue;
		resource_repository(item->change->namespace, item->change->name, repositories[n]);
		pushes[n] = artifact_push_latest(&item->artifact, repositories[n]);
		n++;
	}
	registry_push(registry, pushes, n);
	return push_failure(pushes, n, err);
}

/* ---- the commit ---- */

/* What was decided is true of the head alone: where that is not known to be current, a refusal is
 * no more of an answer than any other. */
static enum commit_result head_unknown(struct batch *b, enum commit_result result)
{
	for (size_t i = 0; i < b->n; i++)
		b->items[i].err = (struct error)ERROR_INIT;
	return result;
}

/* Is commits:latest still what we wrote last? */
static enum commit_result check_head(struct batch *b, const struct writer *w, struct error *err)
{
	struct digest current;

	if (head_resolve(&current, w->registry, err) == 0) {
		if (digest_eq(&current, &w->head.record))
			return COMMIT_DONE;
	} else if (err->code != ERROR_NOT_FOUND) {
		error_wrap(err, RECORD_REPOSITORY ":latest");
		return head_unknown(b, COMMIT_FAILED);
	}
	error_set(err, ERROR_UNAVAILABLE,
		RECORD_REPOSITORY ":latest is not what this server wrote last, so another one has "
				  "written: reading it; try again");
	return head_unknown(b, COMMIT_NOT_HEAD);
}

/* A refusal is an answer; anything else may have been done before the answer was lost. */
static bool is_refusal(enum error_code code)
{
	return code == ERROR_DENIED || code == ERROR_UNAUTHORIZED || code == ERROR_NO_SPACE ||
	       code == ERROR_NO_MEMORY;
}

/* Returns when the next one begins. */
static uint64_t stage_ends(const char *stage, uint64_t began_us)
{
	return metric_lap(&publish_metric_commit_duration, METRIC_LABELS(stage), began_us);
}

/* The revision's own number may be that of a commit that failed: then the next one is taken. */
static int push_new_revision(struct batch *b, struct writer *w, struct error *err)
{
	for (unsigned round = 0; round <= LIMIT_VERSION_RETRIES; round++) {
		uint64_t at = clock_monotonic_us();

		if (make_revision(b, w, err) != 0)
			return -1;
		at = stage_ends("catalog", at);
		if (revision_push(&b->revision, w->registry, err) == 0) {
			stage_ends("record", at);
			return 0;
		}
		drop_revision(b);
		if (err->code != ERROR_CONFLICT)
			return -1;
		w->versions.highest++;
	}
	return -1;
}

/* Everything before the commit point: a failure here leaves the world as it was. */
static int push_before_point(struct batch *b, struct writer *w, struct error *err)
{
	uint64_t began = clock_monotonic_us();

	if (push_artifacts(b, w, err) != 0)
		return -1;
	stage_ends("artifacts", began);
	if (commit_changes(b) == 0)
		return 0;
	return push_new_revision(b, w, err);
}

/* Between begin and commit of the registry; the order is DESIGN invariant 7. An atomic registry has
 * moved all tags with what they name: its commit is the commit point. */
static enum commit_result write_all(struct batch *b, struct writer *w, struct error *err)
{
	enum commit_result result = check_head(b, w, err);
	uint64_t at;

	if (result != COMMIT_DONE)
		return result;
	if (push_before_point(b, w, err) != 0)
		return COMMIT_FAILED;
	if (commit_changes(b) == 0 || w->registry->atomic)
		return COMMIT_DONE;
	at = clock_monotonic_us();
	if (revision_point(&b->revision, w->registry, err) != 0)
		return is_refusal(err->code) ? COMMIT_FAILED : COMMIT_IN_DOUBT;
	at = stage_ends("point", at);
	if (push_derived(b, w->registry, err) != 0)
		return COMMIT_UNFINISHED;
	stage_ends("derived", at);
	return COMMIT_DONE;
}

static void move_head(struct batch *b, struct head *head)
{
	state_unref(head->state);
	head->state = state_ref(b->revision.state);
	head->record = b->revision.record.digest;
	head->version = b->revision.version;
	head->root = b->revision.root;
}

static enum commit_result run_transaction(struct batch *b, struct writer *w, struct error *err)
{
	enum commit_result result;
	uint64_t began;

	/* Answers without a commit ("unchanged", "not found") are true of the head alone. */
	if (commit_changes(b) == 0)
		return check_head(b, w, err);
	if (registry_begin(w->registry, err) != 0)
		return head_unknown(b, COMMIT_FAILED);
	result = write_all(b, w, err);
	if (result != COMMIT_DONE || commit_changes(b) == 0) {
		registry_rollback(w->registry);
		return result;
	}
	began = clock_monotonic_us();
	if (registry_commit(w->registry, err) != 0)
		return COMMIT_FAILED;
	stage_ends("sync", began);
	move_head(b, &w->head);
	return COMMIT_DONE;
}

enum commit_result commit_run(struct batch *b, struct writer *w, struct error *err)
{
	uint64_t began = clock_monotonic_us();
	enum commit_result result;

	for (size_t i = 0; i < b->n; i++)
		decide(&b->items[i], w->head.state);
	refuse_overfull(b, w->head.state);
	refuse_catalogs(b, w->head.state);
	result = run_transaction(b, w, err);
	if (result != COMMIT_DONE)
		blame_registry(err);
	else if (b->has_revision)
		stage_ends("all", began);
	return result;
}

/* ---- answering ---- */

static void outcome_of(struct outcome *ret, const struct item *item)
{
	*ret = (struct outcome){.err = item->err};
	if (item->err.code != ERROR_NONE)
		return;
	if (!item->in_commit) {
		ret->op = OUTCOME_UNCHANGED;
		ret->resource = item->old;
		ret->version = item->old->version;
		ret->digest = item->old->digest;
		return;
	}
	ret->op = item->resource == NULL ? OUTCOME_DELETED
		  : item->old == NULL    ? OUTCOME_CREATED
					 : OUTCOME_UPDATED;
	ret->resource = item->resource;
	ret->version = item->version;
	ret->digest = item->artifact.digest;
}

void commit_answer(struct batch *b, const struct error *err)
{
	for (size_t i = 0; i < b->n; i++) {
		struct item *item = &b->items[i];
		struct outcome outcome;

		if (err != NULL && item->err.code == ERROR_NONE)
			item->err = *err;
		outcome_of(&outcome, item);
		item->change->done(&outcome, item->change->arg);
	}
}

void batch_reset(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct item *item = &b->items[i];

		artifact_done(&item->artifact);
		resource_unref(item->resource);
		resource_unref(item->old);
		intent_unref(item->change->intent);
		free(item->change);
	}
	drop_revision(b);
	b->n = 0;
}
