/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/commit.h"

#include "publish/ancestry.h"
#include "publish/capacity.h"
#include "publish/hold.h"
#include "publish/metrics.h"
#include "publish/precondition.h"

#include <inttypes.h>

/* ---- deciding: what does each change come to? ---- */

static void take(struct item *item, enum record_op op)
{
	item->in_commit = true;
	item->op = op;
}

static void decide_put(struct item *item)
{
	if (item->old == NULL)
		take(item, RECORD_CREATE);
	else if (!intent_eq(item->old->intent, item->change->intent))
		take(item, RECORD_UPDATE);
	else
		hold_decide_repeated(item);
}

static void decide_delete(
	struct item *item, const struct head *head, const struct error *no_deletes)
{
	const struct change *change = item->change;

	if (no_deletes->code != ERROR_NONE) {
		item->err = *no_deletes;
	} else if (item->old == NULL) {
		if (!change->pruned)
			error_set(&item->err, ERROR_NOT_FOUND,
				"there is no resource %s in namespace %s", change->name,
				change->namespace);
	} else if (intent_is_protected(item->old->intent)) {
		error_set(&item->err, ERROR_CONFLICT,
			"%s is protected: take the label " INTENT_PROTECT_LABEL " off first",
			change->name);
	} else if (head->repartition.step != RECORD_SETTLED) {
		error_set(&item->err, ERROR_UNAVAILABLE,
			"a repartition is under way, and until its end nothing can be deleted: "
			"try again later");
		item->err.retry_after_s = COMMIT_NO_DELETES_RETRY_S;
	} else {
		take(item, RECORD_DELETE);
	}
}

/* What would be refused without it is refused so (RFC 9110 section 13.2.1). */
static int check_precondition(struct item *item)
{
	const struct change *change = item->change;

	if (change->kind == CHANGE_DELETE && item->old == NULL)
		return 0;
	if (precondition_holds(&change->when, item->old))
		return 0;
	return precondition_refuse(&change->when, change->name, item->old, &item->err);
}

static void decide(struct item *item, const struct head *head, const struct error *no_deletes)
{
	const struct change *change = item->change;

	item->old = state_find(head->state, change->namespace, change->name);
	if (item->old != NULL)
		resource_ref(item->old);
	if (change->kind == CHANGE_HOLD || change->kind == CHANGE_RELEASE) {
		hold_decide(item);
		return;
	}
	item->err = head_why_frozen(&head->frozen);
	if (item->err.code != ERROR_NONE || check_precondition(item) != 0)
		return;
	if (change->kind == CHANGE_PUT)
		decide_put(item);
	else
		decide_delete(item, head, no_deletes);
}

/* Others are about a version that is stored already. */
static bool has_artifact(const struct item *item)
{
	return item->in_commit && item->op != RECORD_HOLD && item->op != RECORD_RELEASE;
}

size_t commit_changes(const struct batch *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += b->items[i].in_commit;
	return n;
}

/* Whether there is anything to commit. */
static bool has_commit(const struct batch *b)
{
	return commit_changes(b) > 0 || (b->step != NULL && b->step->in_commit);
}

static bool is_dry_run(const struct batch *b)
{
	return b->set != NULL && b->set->set->dry_run;
}

static int decide_all(struct batch *b, struct writer *w, struct error *err)
{
	struct root_options root;

	root_choose(&root, w->root, &w->head.root);
	if (b->step != NULL) {
		step_decide(b->step, &w->head, &root);
		return 0;
	}
	if (b->set != NULL) {
		if (set_request_begin(b, w, err) != 0)
			return -1;
		if (b->set->is_replayed || b->set->err.code != ERROR_NONE)
			return 0;
	}
	for (size_t i = 0; i < b->n; i++)
		decide(&b->items[i], &w->head, &b->no_deletes);
	capacity_check(b, w, &root);
	hold_make(b, w->registry);
	if (b->set != NULL)
		set_request_settle(b, w);
	return 0;
}

/* ---- artifacts ---- */

/* Issues the next version: the clock's microsecond, or one more than the highest where that is not
 * more. */
static int issue_version(bool *ret_is_behind, struct versions *versions, struct error *err)
{
	uint64_t now = versions->now_us();

	if (now >= LIMIT_VERSION || versions->highest >= LIMIT_VERSION)
		return error_set(err, ERROR_UNAVAILABLE,
			"the server's clock is past the year 9999: set it right");
	*ret_is_behind = now <= versions->highest;
	versions->highest = *ret_is_behind ? versions->highest + 1 : now;
	return 0;
}

static int make_artifact(struct item *item, struct versions *versions, struct error *err)
{
	const struct change *change = item->change;

	if (issue_version(&item->version_is_behind, versions, err) != 0)
		return -1;
	item->version = versions->highest;
	artifact_done(&item->artifact);
	resource_unref(TAKE_PTR(item->resource));
	if (item->op == RECORD_DELETE) {
		if (artifact_of_tombstone(&item->artifact, change->namespace, change->name,
			    item->version, err) != 0)
			return -1;
		item->digest = item->artifact.digest;
		return 0;
	}
	if (artifact_of_resource(&item->artifact, change->intent, item->version, err) != 0)
		return -1;
	item->digest = item->artifact.digest;
	if (resource_new(&item->resource, change->intent, item->version, &item->digest, err) != 0)
		return -1;
	return hold_keep(&item->resource, item->old, err);
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

static size_t count_artifacts(const struct batch *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += has_artifact(&b->items[i]);
	return n;
}

/* Of a change set, what one item failed at all of them do. */
static int check_whole(const struct batch *b, struct error *err)
{
	for (size_t i = 0; i < b->n; i++) {
		if (b->items[i].err.code != ERROR_NONE) {
			*err = b->items[i].err;
			return -1;
		}
	}
	return 0;
}

static int push_artifacts(struct batch *b, struct writer *w, struct error *err)
{
	size_t again = count_artifacts(b);
	AUTO_FREE struct push *pushes = calloc(again + 1, sizeof(*pushes));
	AUTO_FREE struct item_push *items = calloc(again + 1, sizeof(*items));
	AUTO_FREE bool *waiting = calloc(b->n + 1, sizeof(*waiting));

	if (pushes == NULL || items == NULL || waiting == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < b->n; i++)
		waiting[i] = has_artifact(&b->items[i]);
	for (unsigned round = 0; again > 0; round++) {
		if (round > LIMIT_VERSION_RETRIES)
			return error_set(err, ERROR_UNAVAILABLE,
				"no free version number found after %d tries",
				LIMIT_VERSION_RETRIES);
		again = push_round(b, waiting, w, pushes, items);
	}
	return b->set == NULL ? 0 : check_whole(b, err);
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
	size_t max = commit_changes(b) + 1;

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
		record->op = item->op;
		memcpy(record->namespace, item->change->namespace, sizeof(record->namespace));
		memcpy(record->name, item->change->name, sizeof(record->name));
		record->version = item->version;
		record->digest = item->digest;
		record->author = item->change->author;
	}
	return 0;
}

static bool is_behind(const struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->items[i].in_commit && b->items[i].version_is_behind)
			return true;
	return b->version_is_behind;
}

static int make_of_changes(
	struct batch *b, struct revision_draft *draft, const struct head *head, struct error *err)
{
	CLEANUP(changes_done) struct changes changes = {0};
	int rc;

	draft->state = head->state;
	draft->with_root = !root_options_eq(draft->root, &head->root);
	draft->repartition = head->repartition;
	draft->leftovers = &head->leftovers;
	if (list_changes(&changes, b, err) != 0 ||
		state_change(head->state, changes.catalog, changes.n, draft->gzips,
			&draft->partitions, &draft->n_partitions, err) != 0)
		return -1;
	draft->n_changes = changes.n;
	draft->changes = changes.record;
	rc = revision_make(&b->revision, draft, err);
	partitions_free(draft->partitions, draft->n_partitions);
	return rc;
}

static int make_of_step(
	struct batch *b, struct revision_draft *draft, const struct head *head, struct error *err)
{
	CLEANUP(layout_step_parts_done) struct layout_step_parts parts = {.n = 0};

	if (step_draft(draft, &parts, b->step, head, err) != 0)
		return -1;
	return revision_make(&b->revision, draft, err);
}

static int make_revision(struct batch *b, struct writer *w, struct error *err)
{
	struct root_options root;
	struct revision_draft draft = {
		.root = &root,
		.version = w->versions.highest,
		.parent = &w->head.record,
		.frozen = w->head.frozen,
		.keyed = w->head.keyed,
		.lacks = w->lacks,
		.gzips = &w->gzips,
		.signing = &w->signing,
	};
	int rc;

	root_choose(&root, w->root, &w->head.root);
	ancestry_of_child(&draft.ancestry, &w->head.ancestry, w->head.version, &w->head.record);
	if (b->set != NULL && b->set->set->key[0] != '\0') {
		if (idempotency_key(&draft.key, b->set->set, err) != 0)
			return -1;
		draft.keyed_before = idempotency_last(&w->idempotency, &draft.n_keyed_before);
	}
	rc = b->step != NULL ? make_of_step(b, &draft, &w->head, err)
			     : make_of_changes(b, &draft, &w->head, err);
	if (rc != 0)
		return -1;
	b->revision.version_is_behind = is_behind(b);
	b->has_revision = true;
	return 0;
}

/* They are pushed with those of the catalogs. */
static int note_signatures(struct batch *b, const struct signing *signing, struct error *err)
{
	for (size_t i = 0; i < b->n && signing->key != NULL && signing->resources; i++) {
		const struct item *item = &b->items[i];
		char repository[RESOURCE_REPOSITORY_SIZE];

		if (!has_artifact(item))
			continue;
		resource_repository(item->change->namespace, item->change->name, repository);
		if (signatures_add(&b->revision.signatures, repository, &item->artifact.digest,
			    item->artifact.manifest.len, err) != 0)
			return -1;
	}
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
	size_t n = 0, max = commit_changes(b) + b->revision.n_catalogs + 1;
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

		if (!has_artifact(item))
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
	if (b->step != NULL)
		b->step->err = (struct error)ERROR_INIT;
	if (b->set != NULL)
		b->set->err = (struct error)ERROR_INIT;
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
		if (b->step != NULL &&
			step_compare(b->step, &b->revision, &w->head, w->registry, err) != 0)
			return -1;
		if (!has_commit(b)) {
			drop_revision(b);
			return 0;
		}
		at = stage_ends("catalog", at);
		if (note_signatures(b, &w->signing, err) == 0 &&
			revision_push(&b->revision, w->registry, err) == 0) {
			stage_ends("record", at);
			return 0;
		}
		drop_revision(b);
		if (err->code != ERROR_CONFLICT)
			return -1;
		w->versions.highest++;
		b->version_is_behind = true;
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
	if (!has_commit(b))
		return 0;
	if (count_artifacts(b) == 0 && issue_version(&b->version_is_behind, &w->versions, err) != 0)
		return -1;
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
	if (!has_commit(b) || w->registry->atomic)
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

static void move_head(struct batch *b, struct writer *w)
{
	const struct revision *rev = &b->revision;
	struct record_keyed_commit commit = {rev->key, rev->version, rev->record.digest};
	struct head *head = &w->head;

	if (rev->key.is_set)
		idempotency_add(&w->idempotency, &commit);
	head_done(head);
	*head = (struct head){
		.version = b->revision.version,
		.record = b->revision.record.digest,
		.state = state_ref(b->revision.state),
		.root = b->revision.root,
		.repartition = b->revision.repartition,
		.frozen = record_freeze_copy(&b->revision.frozen),
		.ancestry = rev->ancestry,
		.keyed = rev->key.is_set ? (struct record_keyed){true, rev->record.digest}
					 : rev->keyed,
		.leftovers = b->revision.leftovers,
	};
	b->revision.leftovers = (struct places){0};
}

static enum commit_result run_transaction(struct batch *b, struct writer *w, struct error *err)
{
	enum commit_result result;
	uint64_t began;

	/* Answers without a commit ("unchanged", "not found") are true of the head alone. */
	if (!has_commit(b))
		return check_head(b, w, err);
	if (registry_begin(w->registry, err) != 0)
		return head_unknown(b, COMMIT_FAILED);
	result = write_all(b, w, err);
	if (result != COMMIT_DONE || !has_commit(b)) {
		registry_rollback(w->registry);
		return result;
	}
	began = clock_monotonic_us();
	if (registry_commit(w->registry, err) != 0)
		return COMMIT_FAILED;
	stage_ends("sync", began);
	move_head(b, w);
	return COMMIT_DONE;
}

enum commit_result commit_run(struct batch *b, struct writer *w, struct error *err)
{
	uint64_t began = clock_monotonic_us();
	enum commit_result result;

	if (decide_all(b, w, err) != 0)
		result = head_unknown(b, COMMIT_FAILED);
	else if (is_dry_run(b))
		return COMMIT_DONE;
	else
		result = run_transaction(b, w, err);
	if (result != COMMIT_DONE)
		blame_registry(err);
	else if (b->has_revision)
		stage_ends("all", began);
	else if (b->set != NULL)
		set_request_note_unchanged(b, w);
	return result;
}

/* ---- answering ---- */

static enum outcome_op outcome_op(const struct item *item)
{
	if (!item->in_commit || (item->op == RECORD_RELEASE && item->change->kind == CHANGE_PUT))
		return OUTCOME_UNCHANGED;
	if (item->op == RECORD_DELETE)
		return OUTCOME_DELETED;
	return item->op == RECORD_CREATE ? OUTCOME_CREATED : OUTCOME_UPDATED;
}

void commit_outcome(struct outcome *ret, const struct item *item, bool dry_run)
{
	*ret = (struct outcome){.err = item->err, .old = item->old};
	if (item->err.code != ERROR_NONE)
		return;
	ret->op = outcome_op(item);
	if (item->in_commit && dry_run)
		return;
	if (item->in_commit) {
		ret->resource = item->resource;
		ret->version = item->version;
		ret->digest = item->digest;
	} else if (item->old != NULL) { /* a hold may come too late */
		ret->resource = item->old;
		ret->version = item->old->version;
		ret->digest = item->old->digest;
	}
}

static void answer_step(struct batch *b, const struct error *err)
{
	struct step *r = b->step;
	struct outcome outcome = {.op = r->in_commit ? OUTCOME_UPDATED : OUTCOME_UNCHANGED};

	if (err != NULL && r->err.code == ERROR_NONE)
		r->err = *err;
	outcome.err = r->err;
	if (r->err.code == ERROR_NONE && b->has_revision) {
		outcome.version = b->revision.version;
		outcome.digest = b->revision.record.digest;
	}
	r->done(&outcome, r->arg);
}

void commit_answer(struct batch *b, const struct error *err)
{
	if (b->step != NULL)
		answer_step(b, err);
	if (b->set != NULL) {
		set_request_answer(b, err);
		return;
	}
	for (size_t i = 0; i < b->n; i++) {
		struct item *item = &b->items[i];
		struct outcome outcome;

		if (err != NULL && item->err.code == ERROR_NONE)
			item->err = *err;
		commit_outcome(&outcome, item, false);
		item->change->done(&outcome, item->change->arg);
	}
}

int batch_reserve(struct batch *b, size_t n, struct error *err)
{
	struct item *items;

	if (n <= b->cap)
		return 0;
	items = reallocarray(b->items, n, sizeof(*items));
	if (items == NULL)
		return error_no_memory(err);
	b->items = items;
	b->cap = n;
	return 0;
}

void batch_free(struct batch *b)
{
	if (b == NULL)
		return;
	free(b->items);
	free(b);
}

/* A large change set needs much memory, and seldom. */
static void shrink(struct batch *b)
{
	struct item *items;

	if (b->cap <= LIMIT_BATCH)
		return;
	items = reallocarray(b->items, LIMIT_BATCH, sizeof(*items));
	if (items == NULL)
		return;
	b->items = items;
	b->cap = LIMIT_BATCH;
}

void batch_reset(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct item *item = &b->items[i];

		artifact_done(&item->artifact);
		resource_unref(item->resource);
		resource_unref(item->old);
		change_free(item->change);
	}
	drop_revision(b);
	step_free(TAKE_PTR(b->step));
	set_request_free(TAKE_PTR(b->set));
	b->version_is_behind = false;
	b->n = 0;
	shrink(b);
}
