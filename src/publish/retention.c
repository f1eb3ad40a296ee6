/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/retention.h"

#include "base/log.h"
#include "publish/expire.h"
#include "publish/head.h"
#include "publish/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define DAY_US (UINT64_C(86400) * 1000000)
#define INTERVAL_MAX_S 60
#define CLOCK_STEP_US 1000000 /* further off than that between two sweeps: the clock was set */
#define PACE 64               /* resources between pauses */
#define NOT_BEFORE_A_CHANGE UINT64_MAX

/* A catalog, when it was last swept. */
struct swept {
	char repository[CATALOG_REPOSITORY_SIZE];
	struct digest current; /* DIGEST_NONE: it was not swept yet */
	uint64_t due_us;       /* there may be more to do from then on */
};

enum kind { CATALOGS, VERSIONS, KINDS_ };
static const char *const kind_names[] = {[CATALOGS] = "catalogs", [VERSIONS] = "versions"};

struct retention {
	struct publisher *publisher;
	struct expirer expirer;
	bool versions; /* not all of them are kept */
	uint64_t grace_s, interval_s;
	pthread_t thread;

	/* the thread's own */
	int64_t clock_offset_us;  /* of the wall clock from the monotonic one, when last seen */
	uint64_t clock_steady_ms; /* since when it is so */
	uint64_t versions_due_ms; /* the next sweep of versions */
	bool refused[KINDS_];     /* the registry does not delete tags */
	size_t n_swept;           /* in the order of their repositories */
	struct swept *swept;

	pthread_mutex_t lock; /* guards stopping */
	pthread_cond_t wake;
	bool stopping;
};

/* ---- waiting ---- */

/* False: stop. */
static bool wait_ms(struct retention *r, uint64_t ms)
{
	uint64_t until_ms = clock_monotonic_ms() + ms;
	struct timespec until = {
		.tv_sec = (time_t)(until_ms / 1000),
		.tv_nsec = (long)(until_ms % 1000) * 1000000,
	};
	bool stopping;

	AZ(pthread_mutex_lock(&r->lock));
	while (!r->stopping && pthread_cond_timedwait(&r->wake, &r->lock, &until) == 0)
		;
	stopping = r->stopping;
	AZ(pthread_mutex_unlock(&r->lock));
	return !stopping;
}

/* What is being restored is nothing to judge by, and neither is what the cluster may know better;
 * and whoever holds the writer wants nothing changed. */
static bool may_go_on(void *arg)
{
	struct retention *r = arg;
	struct error ignored = ERROR_INIT;
	bool stopping;

	AZ(pthread_mutex_lock(&r->lock));
	stopping = r->stopping;
	AZ(pthread_mutex_unlock(&r->lock));
	return !stopping && publisher_writable(r->publisher, &ignored) == 0;
}

/*
 * May ages be read off versions? A version is never less than the clock when it was issued, but a
 * clock that is behind the last version lets the next ones follow it closely, and once it is right
 * again they look older than they are. So it must have been steady for the whole grace period, in
 * this process: then what was issued since is not older than its number, and all else is older than
 * the grace period.
 */
static bool clock_can_be_trusted(struct retention *r)
{
	uint64_t now_ms = clock_monotonic_ms();
	int64_t offset = (int64_t)clock_realtime_us() - (int64_t)clock_monotonic_us();
	int64_t change = offset - r->clock_offset_us;

	if (change > CLOCK_STEP_US || change < -CLOCK_STEP_US)
		r->clock_steady_ms = now_ms;
	r->clock_offset_us = offset;
	return now_ms - r->clock_steady_ms > r->grace_s * 1000;
}

/* ---- what came of it ---- */

static bool is_refusal(const struct error *err)
{
	return err->code == ERROR_NOT_IMPLEMENTED || err->code == ERROR_DENIED ||
	       err->code == ERROR_UNAUTHORIZED;
}

/* True: the others of this sweep may be tried. */
static bool take_failure(struct retention *r, enum kind kind, const struct error *err)
{
	if (!may_go_on(r))
		return false;
	if (is_refusal(err)) {
		r->refused[kind] = true;
		log_warn("the registry does not delete tags, so nothing of this kind is taken away "
			 "until a restart",
			LOG_STR("kind", kind_names[kind]), LOG_STR("reason", err->text));
		return false;
	}
	log_warn("could not take old tags away", LOG_STR("kind", kind_names[kind]),
		LOG_STR("reason", err->text));
	return err->code != ERROR_UNAVAILABLE && err->code != ERROR_NO_MEMORY;
}

static void sweep_begins(struct retention *r)
{
	r->expirer.now_us = clock_realtime_us();
	r->expirer.n_tags = 0;
}

static void sweep_ends(struct retention *r, enum kind kind, uint64_t began_ms)
{
	if (r->expirer.n_tags == 0)
		return;
	metric_add(&publish_metric_expired, METRIC_LABELS(kind_names[kind]), r->expirer.n_tags);
	log_info("took old tags away", LOG_STR("kind", kind_names[kind]),
		LOG_NUM("tags", r->expirer.n_tags), LOG_NUM("ms", clock_monotonic_ms() - began_ms));
}

/* ---- catalogs ---- */

static int swept_cmp(const void *a, const void *b)
{
	return strcmp(((const struct swept *)a)->repository, ((const struct swept *)b)->repository);
}

/* A catalog of the state, as it was left at the last sweep. */
static void add_catalog(struct retention *r, struct swept *list, size_t *n, const char *repository,
	const struct digest *current)
{
	struct swept *s = &list[(*n)++];
	const struct swept *before;

	*s = (struct swept){.current.algorithm = DIGEST_NONE};
	snprintf(s->repository, sizeof(s->repository), "%s", repository);
	before = r->n_swept == 0 ? NULL
				 : bsearch(s, r->swept, r->n_swept, sizeof(r->swept[0]), swept_cmp);
	if (before != NULL)
		*s = *before;
	if (!digest_eq(&s->current, current) && s->due_us == NOT_BEFORE_A_CHANGE)
		s->due_us = 0;
	s->current = *current;
}

/* Makes the list that of this state's catalogs, in the same order, the root first. */
static int renew_list(struct retention *r, const struct state *state, struct error *err)
{
	size_t n_catalogs = state_n_partitions(state), n = 0;
	struct swept *list = calloc(n_catalogs + 1, sizeof(*list));

	if (list == NULL)
		return error_no_memory(err);
	if (state_root(state) != NULL)
		add_catalog(r, list, &n, CATALOG_REPOSITORY, state_root(state));
	for (size_t i = 0; i < n_catalogs; i++) {
		const struct partition *p = state_partition(state, i);

		add_catalog(r, list, &n, p->repository, &p->digest);
	}
	free(r->swept);
	r->swept = list;
	r->n_swept = n;
	return 0;
}

static void sweep_catalogs(struct retention *r)
{
	CLEANUP(state_unrefp) struct state *state = publisher_state(r->publisher, NULL);
	uint64_t began_ms = clock_monotonic_ms();
	struct error err = ERROR_INIT;
	bool going_on = true;

	if (renew_list(r, state, &err) != 0) {
		take_failure(r, CATALOGS, &err);
		return;
	}
	sweep_begins(r);
	for (size_t i = 0; i < r->n_swept && going_on; i++) {
		struct swept *s = &r->swept[i];

		if (s->due_us >= r->expirer.now_us)
			continue;
		if (!may_go_on(r))
			break;
		if (expire_catalog(&r->expirer, s->repository, &s->current, &s->due_us, &err) != 0)
			going_on = take_failure(r, CATALOGS, &err);
	}
	sweep_ends(r, CATALOGS, began_ms);
}

/* ---- versions of resources ---- */

/* A restart moves the tags latest that the last record changed to where they belong, tombstones
 * too, so these must still be there. All that comes after it is younger than any age. */
struct versions_sweep {
	struct retention *retention;
	struct record last;
	uint64_t worked_since_ms;
	unsigned n;
	bool ended; /* by us: the listing did not fail */
};

static uint64_t needed_version(
	const struct versions_sweep *sweep, const char *namespace, const char *name)
{
	for (size_t i = 0; i < sweep->last.n_changes; i++) {
		const struct record_change *c = &sweep->last.changes[i];

		if (strcmp(c->namespace, namespace) == 0 && strcmp(c->name, name) == 0)
			return c->version;
	}
	return 0;
}

/* Works no more than half of the time. False: stop. */
static bool pace(struct versions_sweep *sweep)
{
	bool going_on = true;

	if (++sweep->n % PACE == 0) {
		going_on = wait_ms(sweep->retention, clock_monotonic_ms() - sweep->worked_since_ms);
		sweep->worked_since_ms = clock_monotonic_ms();
	}
	return going_on && may_go_on(sweep->retention);
}

/* False: the sweep ends. */
static bool sweep_resource(struct versions_sweep *sweep, const char *namespace, const char *name)
{
	struct retention *r = sweep->retention;
	CLEANUP(state_unrefp) struct state *state = publisher_state(r->publisher, NULL);
	const struct resource *current = state_find(state, namespace, name);
	struct error err = ERROR_INIT;

	if (!pace(sweep))
		return false;
	if (expire_resource(&r->expirer, namespace, name, expiry_first_needed(current),
		    needed_version(sweep, namespace, name), &err) == 0)
		return true;
	return take_failure(r, VERSIONS, &err);
}

static bool take_name(struct slice from, char ret[LIMIT_NAME + 1])
{
	if (from.p == NULL || from.n == 0 || from.n > LIMIT_NAME)
		return false;
	memcpy(ret, from.p, from.n);
	ret[from.n] = '\0';
	return true;
}

static int visit_repository(struct slice repository, void *arg, struct error *err)
{
	struct versions_sweep *sweep = arg;
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	struct slice prefix = SLICE(RESOURCE_REPOSITORY_PREFIX), rest = repository;

	if (!slice_starts(repository, prefix))
		return 0;
	rest.p += prefix.n;
	rest.n -= prefix.n;
	if (!take_name(slice_cut(&rest, '/'), namespace) || !take_name(rest, name) ||
		strchr(name, '/') != NULL)
		return 0;
	if (sweep_resource(sweep, namespace, name))
		return 0;
	sweep->ended = true;
	return error_set(err, ERROR_UNAVAILABLE, "the sweep ends here");
}

/* Where repositories are not listed: what is deleted is not seen, and stays. */
static int visit_state(struct versions_sweep *sweep, struct error *err)
{
	CLEANUP(state_unrefp)
	struct state *state = publisher_state(sweep->retention->publisher, NULL);
	CLEANUP(state_cursor_freep) struct state_cursor *cursor = NULL;
	const struct resource *resource;
	bool going_on = true;

	if (state_cursor_new_all(&cursor, state, "", "", err) != 0)
		return -1;
	while (going_on && (resource = state_cursor_at(cursor)) != NULL) {
		going_on =
			sweep_resource(sweep, resource->intent->namespace, resource->intent->name);
		state_cursor_advance(cursor);
	}
	return 0;
}

static int visit_all(struct versions_sweep *sweep, struct error *err)
{
	if (registry_repositories(
		    sweep->retention->expirer.registry, visit_repository, sweep, err) == 0 ||
		sweep->ended)
		return 0;
	if (sweep->n > 0 || (!is_refusal(err) && err->code != ERROR_NOT_FOUND))
		return -1;
	return visit_state(sweep, err);
}

static void sweep_versions(struct retention *r)
{
	struct versions_sweep sweep = {
		.retention = r,
		.worked_since_ms = clock_monotonic_ms(),
	};
	uint64_t began_ms = clock_monotonic_ms();
	struct error err = ERROR_INIT;
	struct digest digest;

	sweep_begins(r);
	if (head_read_record(&sweep.last, &digest, r->expirer.registry, &err) != 0) {
		take_failure(r, VERSIONS, &err);
		return;
	}
	if (visit_all(&sweep, &err) != 0)
		take_failure(r, VERSIONS, &err);
	sweep_ends(r, VERSIONS, began_ms);
	record_done(&sweep.last);
}

/* ---- the thread ---- */

static bool versions_are_due(const struct retention *r)
{
	return r->versions && !r->refused[VERSIONS] && clock_monotonic_ms() >= r->versions_due_ms;
}

static void *run(void *arg)
{
	struct retention *r = arg;

	while (wait_ms(r, r->interval_s * 1000)) {
		if (!clock_can_be_trusted(r))
			continue;
		if (!r->refused[CATALOGS] && may_go_on(r))
			sweep_catalogs(r);
		if (versions_are_due(r) && may_go_on(r)) {
			sweep_versions(r);
			r->versions_due_ms =
				clock_monotonic_ms() + INTERVAL_MAX_S * r->interval_s * 1000;
		}
	}
	return NULL;
}

/* ---- life ---- */

static void init_lock(struct retention *r)
{
	pthread_condattr_t attr;

	AZ(pthread_mutex_init(&r->lock, NULL));
	AZ(pthread_condattr_init(&attr));
	AZ(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	AZ(pthread_cond_init(&r->wake, &attr));
	AZ(pthread_condattr_destroy(&attr));
}

static void free_retention(struct retention *r)
{
	AZ(pthread_cond_destroy(&r->wake));
	AZ(pthread_mutex_destroy(&r->lock));
	free(r->swept);
	free(r);
}

static void set_options(struct retention *r, const struct retention_options *options)
{
	uint64_t interval_s = options->catalog_grace_s / 4;

	ASSERT(options->catalog_grace_s >= 1 && options->catalog_grace_s <= LIMIT_DURATION_S);
	ASSERT(options->keep_versions <= LIMIT_KEEP_VERSIONS);
	ASSERT(options->keep_days <= LIMIT_KEEP_DAYS);
	r->publisher = options->publisher;
	r->grace_s = options->catalog_grace_s;
	r->interval_s = interval_s < 1                ? 1
			: interval_s > INTERVAL_MAX_S ? INTERVAL_MAX_S
						      : interval_s;
	r->versions = options->keep_versions > 0 || options->keep_days > 0;
	r->clock_steady_ms = clock_monotonic_ms();
	r->clock_offset_us = (int64_t)clock_realtime_us() - (int64_t)clock_monotonic_us();
	r->expirer = (struct expirer){
		.registry = options->registry,
		.go_on = may_go_on,
		.arg = r,
		.catalogs = {RETENTION_CATALOGS, options->catalog_grace_s * 1000000},
		.resources = {options->keep_versions, options->keep_days * DAY_US},
		.tombstones = options->keep_days > 0,
	};
}

int retention_new(
	struct retention **ret, const struct retention_options *options, struct error *err)
{
	struct retention *r = calloc(1, sizeof(*r));
	int errnum;

	if (r == NULL)
		return error_no_memory(err);
	set_options(r, options);
	init_lock(r);
	errnum = pthread_create(&r->thread, NULL, run, r);
	if (errnum != 0) {
		free_retention(r);
		return error_set_errno(err, errnum, "cannot start the thread for retention");
	}
	pthread_setname_np(r->thread, "retention");
	*ret = r;
	return 0;
}

void retention_stop(struct retention *r)
{
	AZ(pthread_mutex_lock(&r->lock));
	r->stopping = true;
	AZ(pthread_cond_signal(&r->wake));
	AZ(pthread_mutex_unlock(&r->lock));
}

void retention_free(struct retention *r)
{
	if (r == NULL)
		return;
	retention_stop(r);
	AZ(pthread_join(r->thread, NULL));
	free_retention(r);
}
