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
	uint64_t next_ms; /* not to be looked at before */
	char token[32];   /* that the root's Kustomization was woken with, before the thaw */

	pthread_mutex_t lock; /* guards the rest, for a few instructions */
	struct at at;
	bool busy; /* a commit is under way: */
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
	free(r);
}

/* ---- where it stands ---- */

void repartition_restored(struct repartition *r, const struct record_repartition *recorded,
	const struct layout *layout, uint64_t version)
{
	struct at *at = &r->at;

	AZ(pthread_mutex_lock(&r->lock));
	switch (recorded->step) {
	case RECORD_FREEZE:
		*at = (struct at){*layout, recorded->other, REPARTITION_FREEZE, true, 0};
		break;
	case RECORD_SWITCH:
		/* The thaw may have begun: it begins again. */
		*at = (struct at){recorded->other, *layout, REPARTITION_SWITCH, true, version};
		break;
	case RECORD_SETTLED:
		/* A freeze that was not committed yet is tried again. A thaw is followed to its
		 * end where it was seen to begin. */
		if (at->step == REPARTITION_SWITCH && layout_eq(&at->to, layout))
			at->step = REPARTITION_THAW;
		else if (at->step == REPARTITION_SWITCH ||
			 (at->step == REPARTITION_FREEZE && at->committed))
			at->step = REPARTITION_DONE;
		break;
	}
	if (at->step == REPARTITION_DONE)
		r->waits_for[0] = '\0';
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

int repartition_begin(struct repartition *r, struct publisher *publisher, const struct layout *to,
	struct error *err)
{
	CLEANUP(state_unrefp) struct state *state = publisher_state(publisher);
	int rc = 0;

	if (publisher_writable(publisher, err) != 0)
		return -1;
	ASSERT(state != NULL);
	if (state_fits(state, to, err) != 0)
		return -1;
	AZ(pthread_mutex_lock(&r->lock));
	if (is_under_way(r->at.step) && layout_eq(&r->at.to, to))
		;
	else if (is_under_way(r->at.step))
		rc = error_set(err, ERROR_CONFLICT,
			"a repartition to %s with %u catalogs for a namespace is under way: wait "
			"until it is done",
			layout_kind_name(r->at.to.kind), r->at.to.catalogs);
	else if (layout_eq(state_layout(state), to))
		rc = error_set(err, ERROR_CONFLICT, "the store has that layout already");
	else {
		r->at = (struct at){*state_layout(state), *to, REPARTITION_FREEZE, false, 0};
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
static bool old_ones_are(struct repartition *r, const struct state *state, bool gone)
{
	bool they_are = true;

	for (size_t i = 0; i < r->options.flux->n; i++) {
		const struct flux_catalog *c = r->options.flux->catalogs[i];

		if (!c->kustomization.is_there || is_root(c->repository) ||
			is_in(state, c->repository))
			continue;
		if (!gone && c->kustomization.n_inventory == 0)
			continue;
		if (they_are)
			wait_for(r, "Flux to let go of %s", c->object);
		if (!gone && c->repository[0] != '\0' &&
			clock_monotonic_ms() - c->wake.sent_ms > RETRY_MS)
			waker_wake(r->options.waker, c->repository);
		they_are = false;
	}
	return they_are;
}

/* ---- the root's Kustomization, which is the operator's ---- */

static void patched(int status UNUSED, json_t *object UNUSED, const struct error *err, void *arg)
{
	struct repartition *r = arg;

	if (err != NULL)
		wait_for(r, "the patch of " ROOT_KUSTOMIZATION ": %s", err->text);
}

static void patch_root(struct repartition *r, const char *body)
{
	char path[256];

	flux_kustomization_path(CATALOG_REPOSITORY, path);
	kube_patch(r->options.kube, path, slice_of(body), patched, r);
	r->next_ms = clock_monotonic_ms() + RETRY_MS;
}

/* Sees to it that it prunes or not; false: not yet. */
static bool set_root(struct repartition *r, bool prunes)
{
	const struct flux_catalog *root = flux_catalog(r->options.flux, CATALOG_REPOSITORY);

	if (root != NULL && root->kustomization.is_there && root->kustomization.prunes != prunes)
		patch_root(
			r, prunes ? "{\"spec\":{\"prune\":true}}" : "{\"spec\":{\"prune\":false}}");
	return is_set(r, CATALOG_REPOSITORY, prunes);
}

/* Its objects carry its labels after one more time: an old catalog may have come in between. */
static bool root_came_again(struct repartition *r)
{
	const struct flux_catalog *root = flux_catalog(r->options.flux, CATALOG_REPOSITORY);
	char body[160];

	if (root != NULL && r->token[0] != '\0' &&
		strcmp(root->kustomization.handled, r->token) == 0)
		return true;
	wait_for(r, "Flux to apply " CATALOG_REPOSITORY " once more");
	if (r->token[0] == '\0')
		snprintf(r->token, sizeof(r->token), "%llu",
			(unsigned long long)clock_realtime_us());
	snprintf(body, sizeof(body),
		"{\"metadata\":{\"annotations\":{\"" FLUX_REQUESTED "\":\"%s\"}}}", r->token);
	patch_root(r, body);
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

/* Has Flux moved everything, and may catalogs prune again? */
static bool is_moved(struct repartition *r, const struct at *at, const struct state *state)
{
	bool to_single = at->to.kind == LAYOUT_SINGLE;

	if (!all_applied(r, at, state) || !old_ones_are(r, state, to_single))
		return false;
	if (at->from.kind == LAYOUT_SINGLE)
		return set_root(r, true);
	return !to_single || root_came_again(r);
}

static bool is_thawed(struct repartition *r, const struct at *at, const struct state *state)
{
	if (at->to.kind == LAYOUT_SINGLE)
		return true;
	return all_set(r, state, true) && old_ones_are(r, state, true);
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

static void commit(struct repartition *r, struct publisher *publisher, const struct at *at,
	enum repartition_step step)
{
	static const enum record_repartition_step recorded[] = {
		[REPARTITION_FREEZE] = RECORD_FREEZE,
		[REPARTITION_SWITCH] = RECORD_SWITCH,
		[REPARTITION_THAW] = RECORD_SETTLED,
	};

	if (step == REPARTITION_SWITCH)
		r->token[0] = '\0';
	AZ(pthread_mutex_lock(&r->lock));
	r->next = step;
	r->busy = true;
	AZ(pthread_mutex_unlock(&r->lock));
	publisher_repartition(publisher, recorded[step], &at->to, step_done, r);
}

/* Unless a restore has found it elsewhere. */
static void finish(struct repartition *r, const struct at *at)
{
	AZ(pthread_mutex_lock(&r->lock));
	if (r->at.step == at->step) {
		r->at.step = REPARTITION_DONE;
		r->waits_for[0] = '\0';
	}
	AZ(pthread_mutex_unlock(&r->lock));
	log_info("repartition is done", LOG_STR("layout", layout_kind_name(at->to.kind)),
		LOG_NUM("catalogs", at->to.catalogs));
}

static void go_on(struct repartition *r, struct publisher *publisher, const struct at *at,
	const struct state *state)
{
	switch (at->step) {
	case REPARTITION_FREEZE:
		if (!at->committed)
			commit(r, publisher, at, REPARTITION_FREEZE);
		else if (is_frozen(r, at, state))
			commit(r, publisher, at, REPARTITION_SWITCH);
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

/* Copies where the way is, since the publisher's thread may change that at any time; false: there
 * is nothing to do now. A change in between does no harm: the publisher takes no step that is not
 * the next one. */
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

	if (!look(r, &at))
		return;
	r->next_ms = clock_monotonic_ms() + LOOK_MS;
	if (publisher_writable(publisher, &err) != 0) {
		wait_for(r, "the server: %s", err.text);
		return;
	}
	if (!r->options.flux->sees_kustomizations) {
		wait_for(r, "the cluster to list Flux's Kustomizations");
		return;
	}
	state = publisher_state(publisher);
	if (state != NULL)
		go_on(r, publisher, &at, state);
}
