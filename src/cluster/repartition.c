/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/repartition.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <stdio.h>

#define LOOK_MS 200   /* at what Flux shows */
#define RETRY_MS 2000 /* after a failure */

static const char *const steps[REPARTITION_STEPS_] = {
	[REPARTITION_NONE] = "none",
	[REPARTITION_FREEZE] = "freeze",
	[REPARTITION_SWITCH] = "switch",
	[REPARTITION_THAW] = "thaw",
	[REPARTITION_DONE] = "done",
};

const char *repartition_step_name(enum repartition_step step)
{
	ASSERT(step < REPARTITION_STEPS_);
	return steps[step];
}

/* Where the way is. */
struct at {
	struct layout from, to;
	enum repartition_step step;
	bool committed;   /* the step is in the record: what is left is to wait for Flux */
	uint64_t version; /* of the switch, or of a later record; 0: not known */
};

struct repartition {
	struct repartition_options options;

	/* kube's thread's own */
	uint64_t next_ms;   /* not to be looked at before */
	char token[32];     /* that the root's Kustomization was woken with, before the thaw */
	bool refuses;       /* deletions are refused */
	bool was_looked_at; /* whether a thaw was cut short by the last end of the server */
	bool patching;      /* the root's Kustomization: that is not answered */
	json_int_t patched; /* its generation by the last answer, until that is seen */

	pthread_mutex_t lock; /* guards the rest, for a few instructions */
	struct at at;
	struct author *author; /* who asked for it; NULL: not known, the server goes on */
	bool busy;             /* a commit is under way: */
	enum repartition_step next;
	bool failed; /* the last one has */
	char waits_for[LIMIT_ERROR_TEXT];
};

int repartition_new(
	struct repartition **ret, const struct repartition_options *options, struct error *err)
{
	struct repartition *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return error_no_memory(err);
	r->options = *options;
	AZ(pthread_mutex_init(&r->lock, NULL));
	*ret = r;
	return 0;
}

void repartition_free(struct repartition *r)
{
	if (r == NULL)
		return;
	AZ(pthread_mutex_destroy(&r->lock));
	author_unref(r->author);
	free(r);
}

/* ---- where it stands ---- */

/* Is it the way back from a freeze? */
static bool is_given_up(const struct at *at)
{
	return layout_eq(&at->from, &at->to);
}

void repartition_restored(struct repartition *r, const struct record_repartition *recorded,
	const struct layout *layout, uint64_t version)
{
	struct at *at = &r->at;
	struct layout to;

	AZ(pthread_mutex_lock(&r->lock));
	switch (recorded->step) {
	case RECORD_FREEZE:
		to = recorded->other;
		if (at->step == REPARTITION_FREEZE && is_given_up(at))
			to = *layout;
		*at = (struct at){*layout, to, REPARTITION_FREEZE, true, 0};
		break;
	case RECORD_SWITCH:
		/* The thaw may have begun: it begins again. */
		*at = (struct at){recorded->other, *layout, REPARTITION_SWITCH, true, version};
		break;
	case RECORD_SETTLED:
		/* A freeze that was not committed yet is tried again. A thaw is followed to its
		 * end where it was seen to begin, that of a freeze that was given up too. */
		if (at->step == REPARTITION_SWITCH && layout_eq(&at->to, layout))
			at->step = REPARTITION_THAW;
		else if (at->step == REPARTITION_SWITCH ||
			 (at->step == REPARTITION_FREEZE && at->committed))
			*at = (struct at){*layout, *layout, REPARTITION_THAW, true, 0};
		break;
	}
	AZ(pthread_mutex_unlock(&r->lock));
}

void repartition_progress(struct repartition *r, struct repartition_progress *ret)
{
	AZ(pthread_mutex_lock(&r->lock));
	*ret = (struct repartition_progress){
		.from = r->at.from, .to = r->at.to, .step = r->at.step};
	memcpy(ret->waits_for, r->waits_for, sizeof(ret->waits_for));
	AZ(pthread_mutex_unlock(&r->lock));
}

static bool is_under_way(enum repartition_step step)
{
	return step == REPARTITION_FREEZE || step == REPARTITION_SWITCH || step == REPARTITION_THAW;
}

/* Before anything has moved. Under the lock. */
static bool may_give_up(const struct repartition *r)
{
	return r->at.step == REPARTITION_FREEZE && !(r->busy && r->next == REPARTITION_SWITCH);
}

/* Under the lock. */
static void set_author(struct repartition *r, struct author *author)
{
	author_unref(r->author);
	r->author = author == NULL ? NULL : author_ref(author);
}

int repartition_begin(struct repartition *r, struct publisher *publisher, const struct layout *to,
	struct author *author, struct error *err)
{
	CLEANUP(state_unrefp) struct state *state = publisher_state(publisher, NULL);
	struct root_options root;
	int rc = 0;

	if (publisher_writable(publisher, err) != 0)
		return -1;
	ASSERT(state != NULL);
	publisher_root(publisher, &root);
	if (state_fits(state, to, &root, err) != 0)
		return -1;
	AZ(pthread_mutex_lock(&r->lock));
	if (is_under_way(r->at.step) && layout_eq(&r->at.to, to))
		;
	else if (may_give_up(r) && layout_eq(&r->at.from, to)) {
		r->at.to = *to;
		set_author(r, author);
	} else if (is_under_way(r->at.step))
		rc = error_set(err, ERROR_CONFLICT,
			"a repartition to %s with %u catalogs for a namespace is under way: wait "
			"until it is done, or, while it is at the freeze, ask for the layout that "
			"there is to give it up",
			layout_kind_name(r->at.to.kind), r->at.to.catalogs);
	else if (layout_eq(state_layout(state), to))
		rc = error_set(err, ERROR_CONFLICT, "the store has that layout already");
	else {
		r->at = (struct at){*state_layout(state), *to, REPARTITION_FREEZE, false, 0};
		set_author(r, author);
		snprintf(r->waits_for, sizeof(r->waits_for), "the first commit");
	}
	AZ(pthread_mutex_unlock(&r->lock));
	return rc;
}

static void wait_for(struct repartition *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void wait_for(struct repartition *r, const char *fmt, ...)
{
	va_list args;
	int n;

	AZ(pthread_mutex_lock(&r->lock));
	va_start(args, fmt);
	n = vsnprintf(r->waits_for, sizeof(r->waits_for), fmt, args);
	va_end(args);
	utf8_make_printable(r->waits_for, n >= (int)sizeof(r->waits_for));
	AZ(pthread_mutex_unlock(&r->lock));
}

/* ---- what Flux shows ---- */

static bool is_root(const char *repository)
{
	return strcmp(repository, CATALOG_REPOSITORY) == 0;
}

/* Does Flux work by a spec that has that word about pruning? */
static bool is_set(struct repartition *r, const char *repository, bool prunes)
{
	const struct flux_catalog *c = flux_catalog(r->options.flux, repository);
	const struct flux_kustomization *k = c == NULL ? NULL : &c->kustomization;

	if (k != NULL && k->is_there && k->prunes == prunes && k->is_observed &&
		(is_root(repository) || k->orphans))
		return true;
	wait_for(r, "Flux to work by prune: %s for %s%s%s", prunes ? "true" : "false", repository,
		k != NULL && k->failure.is_failing ? ": " : "",
		k != NULL ? k->failure.message : "");
	return false;
}

static bool all_set(struct repartition *r, const struct state *state, bool prunes)
{
	for (size_t i = 0; i < state_n_partitions(state); i++)
		if (!is_set(r, state_partition(state, i)->repository, prunes))
			return false;
	return true;
}

/* Has Flux applied what the switch made, or something later? Versions tell that of a catalog that
 * changes faster than Flux can apply it; one that was not changed since has its digest. */
static bool is_applied(struct repartition *r, const struct at *at, const char *repository,
	const struct digest *digest)
{
	const struct flux_catalog *c = flux_catalog(r->options.flux, repository);
	const struct flux_kustomization *k = c == NULL ? NULL : &c->kustomization;

	if (k != NULL && k->is_there && !k->failure.is_failing &&
		(digest_eq(&k->applied, digest) ||
			(at->version != 0 && k->applied_version >= at->version)))
		return true;
	wait_for(r, "Flux to apply %s%s%s", repository,
		k != NULL && k->failure.is_failing ? ": " : "",
		k != NULL ? k->failure.message : "");
	return false;
}

static bool all_applied(struct repartition *r, const struct at *at, const struct state *state)
{
	for (size_t i = 0; i < state_n_partitions(state); i++) {
		const struct partition *p = state_partition(state, i);

		if (!is_applied(r, at, p->repository, &p->digest))
			return false;
	}
	return state_root(state) == NULL ||
	       is_applied(r, at, CATALOG_REPOSITORY, state_root(state));
}

static bool is_in(const struct state *state, const char *repository)
{
	struct place place;

	return layout_repository_parse(state_layout(state), slice_of(repository), &place) &&
	       state_partition_at(state, &place) != NULL;
}

/* Catalogs that the new layout has not: they are to let go of everything, or to be gone. The state
 * does not know them any more, so nobody else wakes them again when a wake is lost. */
static bool old_ones_are(
	struct repartition *r, const struct at *at, const struct state *state, bool gone)
{
	bool they_are = true;
	struct place place;

	for (size_t i = 0; i < r->options.flux->n; i++) {
		const struct flux_catalog *c = r->options.flux->catalogs[i];

		if (!c->kustomization.is_there || is_root(c->repository) ||
			is_in(state, c->repository) ||
			!layout_repository_parse(&at->from, slice_of(c->repository), &place))
			continue;
		if (!gone && c->kustomization.n_inventory == 0)
			continue;
		if (they_are)
			wait_for(r, "Flux to let go of %s", c->object);
		if (!gone && clock_monotonic_ms() - c->wake.sent_ms > RETRY_MS)
			waker_wake(r->options.waker, c->repository);
		they_are = false;
	}
	return they_are;
}

/* ---- the root's Kustomization, which is the operator's ---- */

static void patched(int status UNUSED, json_t *object, const struct error *err, void *arg)
{
	struct repartition *r = arg;

	r->patching = false;
	if (err != NULL)
		wait_for(r, "the patch of " ROOT_KUSTOMIZATION ": %s", err->text);
	else
		r->patched = kube_generation(object);
}

/* Is the root's Kustomization seen as our last patch has left it? What was seen before that may not
 * be what Flux is about to work by. */
static bool sees_patch(struct repartition *r)
{
	const struct flux_catalog *root = flux_catalog(r->options.flux, CATALOG_REPOSITORY);

	if (r->patching || root == NULL ||
		(root->kustomization.is_there && root->kustomization.generation < r->patched))
		return false;
	r->patched = 0; /* it may be made again, and begin anew */
	return true;
}

static void patch_root(struct repartition *r, struct slice body)
{
	char path[256];

	flux_kustomization_path(CATALOG_REPOSITORY, path);
	r->patching = true;
	kube_patch(r->options.kube, path, body, patched, r);
	r->next_ms = clock_monotonic_ms() + RETRY_MS;
}

/* Sees to it that it prunes or not; false: not yet. */
static bool set_root(struct repartition *r, bool prunes)
{
	const struct flux_catalog *root = flux_catalog(r->options.flux, CATALOG_REPOSITORY);

	if (root != NULL && root->kustomization.is_there && root->kustomization.prunes != prunes)
		patch_root(r, slice_of(prunes ? "{\"spec\":{\"prune\":true}}"
					      : "{\"spec\":{\"prune\":false}}"));
	return is_set(r, CATALOG_REPOSITORY, prunes);
}

/* Its objects carry its labels after one more time: an old catalog may have come in between. */
static bool root_came_again(struct repartition *r)
{
	const struct flux_catalog *root = flux_catalog(r->options.flux, CATALOG_REPOSITORY);
	CLEANUP(buf_done) struct buf body = BUF_INIT(KIB);

	if (root != NULL && r->token[0] != '\0' &&
		strcmp(root->kustomization.handled, r->token) == 0)
		return true;
	wait_for(r, "Flux to apply " CATALOG_REPOSITORY " once more");
	if (r->token[0] == '\0')
		snprintf(r->token, sizeof(r->token), "%llu",
			(unsigned long long)clock_realtime_us());
	flux_add_request(&body, r->token);
	patch_root(r, buf_slice(&body));
	return false;
}

/* ---- deletions ---- */

static void refuse_deletes(struct repartition *r, struct publisher *publisher, bool refuse)
{
	if (r->refuses == refuse)
		return;
	r->refuses = refuse;
	publisher_refuse_deletes(publisher,
		refuse ? "a repartition is under way, in which Flux would leave the object behind; "
			 "try again when it is done"
		       : NULL);
}

/* Are all deletions done that were acknowledged? */
static bool has_deleted(struct repartition *r, struct publisher *publisher)
{
	size_t n;

	if (publisher_may_delete(publisher)) {
		wait_for(r, "changes that are being committed");
		return false;
	}
	n = tracker_deleting(r->options.tracker);
	if (n == 0)
		return true;
	if (n == SIZE_MAX)
		wait_for(r, "the cluster to show its resources");
	else
		wait_for(r, "Flux to delete %zu resources", n);
	return false;
}

/* ---- the steps ---- */

/* May Flux be trusted to delete nothing? */
static bool is_frozen(struct repartition *r, const struct at *at, const struct state *state)
{
	if (at->from.kind == LAYOUT_SINGLE)
		return set_root(r, false);
	return all_set(r, state, false);
}

/* The operator's Kustomization may have been set back by whoever made it. */
static void keep_root_frozen(struct repartition *r)
{
	const struct flux_catalog *root = flux_catalog(r->options.flux, CATALOG_REPOSITORY);

	if (root != NULL && root->kustomization.is_there && root->kustomization.prunes)
		patch_root(r, SLICE("{\"spec\":{\"prune\":false}}"));
}

/* Has Flux moved everything, and may catalogs prune again? */
static bool is_moved(struct repartition *r, const struct at *at, const struct state *state)
{
	bool from_single = at->from.kind == LAYOUT_SINGLE, to_single = at->to.kind == LAYOUT_SINGLE;

	if (!all_applied(r, at, state) || !old_ones_are(r, at, state, to_single)) {
		if (from_single)
			keep_root_frozen(r);
		return false;
	}
	if (from_single)
		return set_root(r, true);
	return !to_single || root_came_again(r);
}

static bool is_thawed(struct repartition *r, const struct at *at, const struct state *state)
{
	if (at->to.kind == LAYOUT_SINGLE)
		return true;
	return all_set(r, state, true) && old_ones_are(r, at, state, true);
}

/* What will not be different the next time. */
static bool is_final(enum error_code code)
{
	return code == ERROR_UNPROCESSABLE || code == ERROR_CONFLICT || code == ERROR_INVALID;
}

/* On the publisher's thread. After a failure all is as it was before, so that Flux is looked at
 * again; where the commit was made all the same, a restore says so. */
static void step_done(const struct outcome *outcome, void *arg)
{
	struct repartition *r = arg;
	bool is_done = outcome->err.code == ERROR_NONE;
	enum repartition_step step;

	if (!is_done)
		wait_for(r, "the commit: %s", outcome->err.text);
	AZ(pthread_mutex_lock(&r->lock));
	r->busy = false;
	r->failed = !is_done;
	step = r->next;
	if (is_done) {
		r->at.step = step;
		r->at.committed = true;
		r->waits_for[0] = '\0';
		if (outcome->version != 0)
			r->at.version = outcome->version;
	} else if (!r->at.committed && r->at.step == REPARTITION_FREEZE &&
		   is_final(outcome->err.code)) {
		r->at.step = REPARTITION_NONE; /* it cannot be, and waits_for says why */
	}
	AZ(pthread_mutex_unlock(&r->lock));
	if (is_done)
		log_info("repartition", LOG_STR("step", repartition_step_name(step)));
}

static bool is_at(const struct at *a, const struct at *b)
{
	return a->step == b->step && a->committed == b->committed &&
	       layout_eq(&a->from, &b->from) && layout_eq(&a->to, &b->to);
}

/* Unless it is elsewhere by now: given up, or found there by a restore. */
static void commit(struct repartition *r, struct publisher *publisher, const struct at *at,
	enum repartition_step step)
{
	static const enum record_repartition_step recorded[] = {
		[REPARTITION_FREEZE] = RECORD_FREEZE,
		[REPARTITION_SWITCH] = RECORD_SWITCH,
		[REPARTITION_THAW] = RECORD_SETTLED,
	};
	CLEANUP(author_unrefp) struct author *author = NULL;
	bool is_still;

	if (step == REPARTITION_SWITCH)
		r->token[0] = '\0';
	AZ(pthread_mutex_lock(&r->lock));
	is_still = is_at(&r->at, at);
	if (is_still) {
		r->next = step;
		r->busy = true;
		author = r->author == NULL ? NULL : author_ref(r->author);
	}
	AZ(pthread_mutex_unlock(&r->lock));
	if (is_still)
		publisher_repartition(publisher, recorded[step], &at->to, author, step_done, r);
}

/* Likewise. */
static void finish(struct repartition *r, const struct at *at)
{
	bool is_still;

	AZ(pthread_mutex_lock(&r->lock));
	is_still = is_at(&r->at, at);
	if (is_still) {
		r->at.step = REPARTITION_DONE;
		r->waits_for[0] = '\0';
	}
	AZ(pthread_mutex_unlock(&r->lock));
	if (is_still)
		log_info("repartition is done", LOG_STR("layout", layout_kind_name(at->to.kind)),
			LOG_NUM("catalogs", at->to.catalogs));
}

/* The way back, on which the root prunes again before the record is silent about it: after that a
 * restart does not look. */
static void give_up(struct repartition *r, struct publisher *publisher, const struct at *at)
{
	if (!at->committed)
		finish(r, at);
	else if (at->from.kind != LAYOUT_SINGLE || set_root(r, true))
		commit(r, publisher, at, REPARTITION_THAW);
}

static void freeze(struct repartition *r, struct publisher *publisher, const struct at *at,
	const struct state *state)
{
	if (is_given_up(at))
		give_up(r, publisher, at);
	else if (!at->committed && has_deleted(r, publisher))
		commit(r, publisher, at, REPARTITION_FREEZE);
	else if (at->committed && is_frozen(r, at, state))
		commit(r, publisher, at, REPARTITION_SWITCH);
}

static void go_on(struct repartition *r, struct publisher *publisher, const struct at *at,
	const struct state *state)
{
	switch (at->step) {
	case REPARTITION_FREEZE:
		freeze(r, publisher, at, state);
		break;
	case REPARTITION_SWITCH:
		if (is_moved(r, at, state))
			commit(r, publisher, at, REPARTITION_THAW);
		break;
	case REPARTITION_THAW:
		if (is_thawed(r, at, state))
			finish(r, at);
		break;
	default:
		break;
	}
}

/* The record of a thaw does not say that Flux has yet to follow: a child that may not prune does.
 */
static void look_back(struct repartition *r, const struct state *state)
{
	const struct layout *layout = state_layout(state);
	bool is_cut_short = false;

	if (r->was_looked_at || !r->options.flux->sees_kustomizations)
		return;
	r->was_looked_at = true;
	for (size_t i = 0; layout->kind == LAYOUT_SPLIT && i < state_n_partitions(state); i++) {
		const struct flux_catalog *c =
			flux_catalog(r->options.flux, state_partition(state, i)->repository);

		is_cut_short = is_cut_short ||
			       (c != NULL && c->kustomization.is_there && !c->kustomization.prunes);
	}
	AZ(pthread_mutex_lock(&r->lock));
	if (is_cut_short && r->at.step == REPARTITION_NONE)
		r->at = (struct at){*layout, *layout, REPARTITION_THAW, true, 0};
	AZ(pthread_mutex_unlock(&r->lock));
}

/* Copies where the way is, since the publisher's thread may change that at any time; false: there
 * is nothing to do now. */
static bool look(struct repartition *r, struct at *ret)
{
	bool failed, busy;

	AZ(pthread_mutex_lock(&r->lock));
	*ret = r->at;
	busy = r->busy;
	failed = r->failed;
	r->failed = false;
	AZ(pthread_mutex_unlock(&r->lock));
	if (failed)
		r->next_ms = clock_monotonic_ms() + RETRY_MS;
	return is_under_way(ret->step) && !busy && clock_monotonic_ms() >= r->next_ms;
}

void repartition_tick(struct repartition *r, struct publisher *publisher)
{
	CLEANUP(state_unrefp) struct state *state = NULL;
	struct error err = ERROR_INIT;
	struct at at;
	bool is_due;

	state = publisher_state(publisher, NULL);
	if (state == NULL)
		return;
	look_back(r, state);
	is_due = look(r, &at);
	refuse_deletes(r, publisher, is_under_way(at.step));
	if (!is_due || !sees_patch(r))
		return;
	r->next_ms = clock_monotonic_ms() + LOOK_MS;
	if (publisher_writable(publisher, &err) != 0) {
		wait_for(r, "the server: %s", err.text);
		return;
	}
	if (!r->options.flux->sees_sources || !r->options.flux->sees_kustomizations) {
		wait_for(r, "the cluster to list Flux's objects");
		return;
	}
	go_on(r, publisher, &at, state);
}
