/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/publisher.h"

#include "base/clock.h"
#include "base/log.h"
#include "publish/commit.h"
#include "publish/metrics.h"
#include "publish/restore.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define RESTORE_WAIT_FIRST_MS 100
#define RETRY_AFTER_S 1

/*
 * RESTORING: the head is not known, or not trusted: reads it from the registry until that works.
 * READY: takes batches. Every doubt leads back to RESTORING, so there is one way to recover.
 */
enum phase { RESTORING, READY };

struct publisher {
	bool init;
	bool layout_given; /* else whatever the store has is right */
	struct layout layout;
	struct root_request root;
	pthread_t thread;

	/* the thread's own */
	struct writer writer;
	bool ever_ready;
	struct batch *batch;
	uint64_t last_us; /* that the last batch took */

	pthread_mutex_t lock; /* guards all below; held for a few instructions only */
	pthread_cond_t wake;
	enum phase phase;
	bool stopping;
	struct error reason; /* why not READY */
	struct state *current;
	struct queue queue;
	size_t expected; /* changes in the next batch: what the last had, and what it left in line
			  */
	size_t wake_at;  /* changes in line that wake the thread; 0: it is awake */
};

/* ---- the queue ---- */

static void refuse(struct change *change, const struct error *err)
{
	struct outcome outcome = {.err = *err};

	change->done(&outcome, change->arg);
	intent_unref(change->intent);
	free(change);
}

/* Why a change cannot be taken now; ERROR_NONE when it can. Under the lock. */
static struct error refusal(const struct publisher *p)
{
	struct error err = ERROR_INIT;

	if (p->stopping)
		error_set(&err, ERROR_UNAVAILABLE, "the server is stopping; try again");
	else if (p->phase != READY)
		err = p->reason;
	else if (p->queue.n >= LIMIT_QUEUE)
		error_set(&err, ERROR_TOO_MANY, "%d changes are waiting already; try again",
			LIMIT_QUEUE);
	if (err.retry_after_s == 0)
		err.retry_after_s = RETRY_AFTER_S;
	return err;
}

/* Under the lock, when the queue has changed. */
static void tell_depth(const struct publisher *p)
{
	metric_set(&publish_metric_queue_depth, METRIC_NO_LABELS, p->queue.n);
}

static void submit(struct publisher *p, struct change *change)
{
	struct error err;

	AZ(pthread_mutex_lock(&p->lock));
	err = refusal(p);
	if (err.code == ERROR_NONE) {
		queue_add(&p->queue, change);
		tell_depth(p);
		if (p->queue.in_line == p->wake_at)
			AZ(pthread_cond_signal(&p->wake));
	}
	AZ(pthread_mutex_unlock(&p->lock));
	if (err.code != ERROR_NONE)
		refuse(change, &err);
}

static void submit_new(struct publisher *p, struct intent *intent, const char *namespace,
	const char *name, publisher_done *done, void *arg)
{
	struct change *change = calloc(1, sizeof(*change));

	if (change == NULL) {
		struct outcome outcome = {.err = ERROR_INIT};

		error_no_memory(&outcome.err);
		done(&outcome, arg);
		return;
	}
	change->intent = intent == NULL ? NULL : intent_ref(intent);
	snprintf(change->namespace, sizeof(change->namespace), "%s", namespace);
	snprintf(change->name, sizeof(change->name), "%s", name);
	change->done = done;
	change->arg = arg;
	submit(p, change);
}

void publisher_put(struct publisher *p, struct intent *intent, publisher_done *done, void *arg)
{
	submit_new(p, intent, intent->namespace, intent->name, done, arg);
}

void publisher_delete(struct publisher *p, const char *namespace, const char *name,
	publisher_done *done, void *arg)
{
	submit_new(p, NULL, namespace, name, done, arg);
}

/* Refuses everything that waits. */
static void refuse_waiting(struct publisher *p, const struct error *err)
{
	struct change *change;
	size_t n;

	do {
		AZ(pthread_mutex_lock(&p->lock));
		n = queue_take(&p->queue, &change, 1);
		tell_depth(p);
		AZ(pthread_mutex_unlock(&p->lock));
		if (n > 0)
			refuse(change, err);
	} while (n > 0);
}

/* ---- taking a batch ---- */

/* Who was answered just now is about to send the next change. Without a little patience the first
 * of these would make a commit of its own, which the others wait for: so, for at most half of what
 * the last commit took, until there are as many as it had and left behind. One client alone never
 * waits. */
static void gather(struct publisher *p)
{
	uint64_t patience_us = p->last_us / 2;
	struct timespec until =
		clock_deadline(patience_us < LIMIT_GATHER_US ? patience_us : LIMIT_GATHER_US);

	p->wake_at = p->expected < LIMIT_BATCH ? p->expected : LIMIT_BATCH;
	while (p->queue.in_line < p->wake_at && !p->stopping &&
		pthread_cond_timedwait(&p->wake, &p->lock, &until) == 0)
		;
}

/* Waits for changes. False: stop. */
static bool take_batch(struct publisher *p)
{
	struct change *changes[LIMIT_BATCH];
	bool stopping;

	AZ(pthread_mutex_lock(&p->lock));
	p->wake_at = 1;
	while (p->queue.in_line == 0 && !p->stopping)
		AZ(pthread_cond_wait(&p->wake, &p->lock));
	gather(p);
	p->wake_at = 0;
	stopping = p->stopping;
	if (!stopping)
		p->batch->n = queue_take(&p->queue, changes, LIMIT_BATCH);
	tell_depth(p);
	AZ(pthread_mutex_unlock(&p->lock));
	for (size_t i = 0; i < p->batch->n; i++)
		p->batch->items[i] = (struct item){.change = changes[i]};
	return !stopping;
}

/* ---- phases ---- */

static void tell_state(const struct state *state)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < state_n_partitions(state); i++)
		bytes += state_partition(state, i)->layer_size;
	metric_set(&publish_metric_ready, METRIC_NO_LABELS, 1);
	metric_set(&publish_metric_catalog_resources, METRIC_NO_LABELS, state_count(state));
	metric_set(&publish_metric_catalog_bytes, METRIC_NO_LABELS, bytes);
}

static void become_ready(struct publisher *p)
{
	struct state *old;

	AZ(pthread_mutex_lock(&p->lock));
	p->phase = READY;
	old = p->current;
	p->current = state_ref(p->writer.head.state);
	p->expected = p->batch->n + p->queue.in_line;
	AZ(pthread_mutex_unlock(&p->lock));
	state_unref(old);
	p->ever_ready = true;
	tell_state(p->writer.head.state);
}

static void become_restoring(struct publisher *p, const struct error *reason)
{
	AZ(pthread_mutex_lock(&p->lock));
	p->phase = RESTORING;
	p->reason = *reason;
	p->reason.code = ERROR_UNAVAILABLE; /* whatever the cause, the caller has to wait */
	if (p->reason.retry_after_s == 0)
		p->reason.retry_after_s = RETRY_AFTER_S;
	AZ(pthread_mutex_unlock(&p->lock));
	metric_set(&publish_metric_ready, METRIC_NO_LABELS, 0);
}

/* Returns false as soon as the publisher is told to stop. */
static bool wait_ms(struct publisher *p, unsigned ms)
{
	struct timespec until = clock_deadline((uint64_t)ms * 1000);
	bool stopping;

	AZ(pthread_mutex_lock(&p->lock));
	while (!p->stopping && pthread_cond_timedwait(&p->wake, &p->lock, &until) == 0)
		;
	stopping = p->stopping;
	AZ(pthread_mutex_unlock(&p->lock));
	return !stopping;
}

/* Versions only grow: a record older than ours is a backup put back under a running server, or a
 * write of long ago that came late. Going on from it would make Flux delete what we acknowledged
 * since, so that takes an operator's word: a restart. */
static int check_not_older(const struct publisher *p, const struct head *head, struct error *err)
{
	uint64_t last = p->writer.head.version;

	if (!p->ever_ready || head->version >= last)
		return 0;
	return error_set(err, ERROR_UNAVAILABLE,
		"commits:latest went back from c%llu to c%llu: put the newer record back, or "
		"restart the server to go on from the older one",
		(unsigned long long)last, (unsigned long long)head->version);
}

/* What flags say about the layout is for a new store; of another one it must be true. */
static int check_layout(const struct publisher *p, const struct head *head, struct error *err)
{
	const struct layout *has = state_layout(head->state);

	if (!p->layout_given || layout_eq(has, &p->layout))
		return 0;
	return error_set(err, ERROR_UNAVAILABLE,
		"the store has the layout %s with %u catalogs for a namespace, not what --layout "
		"and --catalogs say: leave them out, or give what it has",
		layout_kind_name(has->kind), has->catalogs);
}

static int init_store(
	struct publisher *p, struct head *ret, struct record *ret_record, struct error *err)
{
	struct registry *registry = p->writer.registry;

	if (head_init(registry, &p->layout, &p->root.options, p->writer.versions.now_us(), err) !=
			0 ||
		head_read(ret, ret_record, registry, err) != 0)
		return -1;
	log_info("made the first commit record of a new store", LOG_NUM("version", ret->version));
	return 0;
}

/* A store that had a record and has none was lost, not new. */
static int read_or_init(
	struct publisher *p, struct head *ret, struct record *ret_record, struct error *err)
{
	if (head_read(ret, ret_record, p->writer.registry, err) == 0)
		return 0;
	if (err->code != ERROR_NOT_FOUND || !p->init || p->ever_ready)
		return -1;
	return init_store(p, ret, ret_record, err);
}

/* No tag moves before the head is known to be one to go on from. */
static int read_head(struct publisher *p, struct error *err)
{
	CLEANUP(record_done) struct record record = {0};
	struct head head;

	if (read_or_init(p, &head, &record, err) != 0)
		return -1;
	if (check_not_older(p, &head, err) != 0 || check_layout(p, &head, err) != 0 ||
		restore_latest(head.state, &record, p->writer.registry, err) != 0) {
		head_done(&head);
		return -1;
	}
	head_done(&p->writer.head);
	p->writer.head = head;
	if (p->writer.versions.highest < head.version)
		p->writer.versions.highest = head.version;
	return 0;
}

/* Flux applies all of a catalog for every change, so a large one is slow. */
static bool is_large(const struct partition *p)
{
	return p != NULL && catalog_count(p->catalog) >= LIMIT_CATALOG_WARN;
}

static void warn_of_size(const struct partition *p)
{
	log_warn("the catalog grows large: each change takes Flux seconds",
		LOG_STR("catalog", p->repository), LOG_NUM("resources", catalog_count(p->catalog)),
		LOG_NUM("limit", LIMIT_CATALOG_RESOURCES));
}

static void warn_of_all(const struct state *state)
{
	for (size_t i = 0; i < state_n_partitions(state); i++)
		if (is_large(state_partition(state, i)))
			warn_of_size(state_partition(state, i));
}

/* Of those that the revision has made large. */
static void warn_of_changed(const struct state *before, const struct revision *rev)
{
	for (size_t i = 0; i < rev->n_catalogs; i++) {
		const struct partition *p;
		struct place place;

		if (!layout_repository_parse(
			    state_layout(before), slice_of(rev->catalogs[i].repository), &place))
			continue; /* the root */
		p = state_partition_at(rev->state, &place);
		if (is_large(p) && !is_large(state_partition_at(before, &place)))
			warn_of_size(p);
	}
}

/* A root is rendered with the next commit, not for its own sake: tells that it will be another. */
static void tell_root(const struct publisher *p)
{
	const struct head *head = &p->writer.head;
	struct root_options next;
	char url[ROOT_URL_SIZE];

	root_choose(&next, &p->root, &head->root);
	if (state_layout(head->state)->kind != LAYOUT_SPLIT || root_options_eq(&next, &head->root))
		return;
	root_url(&next, url);
	log_info("the next commit tells Flux another way to the catalogs",
		LOG_STR("catalog_url", url), LOG_STR("catalog_secret", next.secret));
}

/* Reads the head until that works; what waits in the queue is told to come back, for it may take
 * long. False: stop. */
static bool restore(struct publisher *p)
{
	uint64_t started = clock_monotonic_us(), took;
	unsigned wait = RESTORE_WAIT_FIRST_MS;
	struct error err = ERROR_INIT;

	while (read_head(p, &err) != 0) {
		become_restoring(p, &err);
		refuse_waiting(p, &p->reason);
		log_warn("not ready", LOG_STR("reason", err.text));
		if (!wait_ms(p, wait))
			return false;
		wait = 2 * wait > LIMIT_RESTORE_WAIT_MS ? LIMIT_RESTORE_WAIT_MS : 2 * wait;
	}
	become_ready(p);
	took = clock_monotonic_us() - started;
	metric_set(&publish_metric_restore, METRIC_NO_LABELS, took);
	log_info("ready", LOG_NUM("resources", state_count(p->writer.head.state)),
		LOG_NUM("catalogs", state_n_partitions(p->writer.head.state)),
		LOG_NUM("version", p->writer.head.version), LOG_NUM("restore_ms", took / 1000));
	warn_of_all(p->writer.head.state);
	tell_root(p);
	return true;
}

/* ---- one batch ---- */

static struct error unavailable(const char *why)
{
	struct error err = ERROR_INIT;

	error_set(&err, ERROR_UNAVAILABLE, "%s", why);
	err.retry_after_s = RETRY_AFTER_S;
	return err;
}

/* What became of the batch, now that the head is known again. ERROR_NONE: it was committed. */
static struct error verdict(const struct publisher *p, const struct digest *old_record)
{
	if (digest_eq(&p->writer.head.record, &p->batch->revision.record.digest))
		return (struct error)ERROR_INIT;
	if (digest_eq(&p->writer.head.record, old_record))
		return unavailable("the registry failed at the commit, and the change was not "
				   "made; try again");
	return unavailable("the registry failed at the commit, and another server has written "
			   "since: it is not known whether this change was made; read the "
			   "resource first");
}

/* Whether commits:latest moved is not known: the batch is answered once it is. False: stop. */
static bool settle_doubt(struct publisher *p, const struct digest *old_record)
{
	struct error err = unavailable("the server stopped before it knew whether this change was "
				       "committed; read the resource first");
	bool going_on = restore(p);

	if (going_on)
		err = verdict(p, old_record);
	commit_answer(p->batch, err.code == ERROR_NONE ? NULL : &err);
	return going_on;
}

static void count_commit(enum commit_result result, size_t n_changes)
{
	static const char *const outcomes[] = {
		[COMMIT_DONE] = "done",
		[COMMIT_FAILED] = "failed",
		[COMMIT_NOT_HEAD] = "not_head",
		[COMMIT_IN_DOUBT] = "in_doubt",
		[COMMIT_UNFINISHED] = "unfinished",
	};

	metric_add(&publish_metric_commits, METRIC_LABELS(outcomes[result]), 1);
	metric_observe(&publish_metric_batch_size, METRIC_NO_LABELS, n_changes);
}

static void log_commit(const struct publisher *p, uint64_t started)
{
	if (p->batch->has_revision)
		log_info("committed", LOG_NUM("version", p->writer.head.version),
			LOG_NUM("changes", commit_changes(p->batch)),
			LOG_NUM("catalogs", p->batch->revision.n_catalogs),
			LOG_NUM("resources", state_count(p->writer.head.state)),
			LOG_NUM("ms", clock_monotonic_ms() - started));
}

/* False: stop. */
static bool run_batch(struct publisher *p)
{
	uint64_t started = clock_monotonic_ms();
	struct digest old_record = p->writer.head.record;
	CLEANUP(state_unrefp) struct state *old = state_ref(p->writer.head.state);
	struct error err = ERROR_INIT, told;
	enum commit_result result = commit_run(p->batch, &p->writer, &err);

	if (result == COMMIT_DONE) {
		become_ready(p); /* readers see it before the answer does */
		if (p->batch->has_revision)
			count_commit(result, commit_changes(p->batch));
		commit_answer(p->batch, NULL);
		log_commit(p, started);
		if (p->batch->has_revision)
			warn_of_changed(old, &p->batch->revision);
		return true;
	}
	count_commit(result, commit_changes(p->batch));
	log_warn("commit failed", LOG_STR("reason", err.text),
		LOG_NUM("changes", commit_changes(p->batch)));
	if (result == COMMIT_FAILED) {
		commit_answer(p->batch, &err);
		return true;
	}
	become_restoring(p, &err);
	if (result == COMMIT_IN_DOUBT)
		return settle_doubt(p, &old_record);
	told = result == COMMIT_NOT_HEAD
		       ? err
		       : unavailable("the change is committed, but the registry failed before all "
				     "of its "
				     "tags had moved: they are being rolled forward; try again");
	commit_answer(p->batch, &told);
	return restore(p);
}

static void *run(void *arg)
{
	struct publisher *p = arg;
	struct error stopping = unavailable("the server is stopping; try again");
	bool going_on = restore(p);

	while (going_on && take_batch(p)) {
		uint64_t started = clock_monotonic_us();

		going_on = run_batch(p);
		p->last_us = clock_monotonic_us() - started;
		batch_reset(p->batch);
	}
	refuse_waiting(p, &stopping);
	return NULL;
}

/* ---- life ---- */

static void init_lock(struct publisher *p)
{
	pthread_condattr_t attr;

	AZ(pthread_mutex_init(&p->lock, NULL));
	AZ(pthread_condattr_init(&attr));
	AZ(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	AZ(pthread_cond_init(&p->wake, &attr));
	AZ(pthread_condattr_destroy(&attr));
}

static void free_publisher(struct publisher *p)
{
	AZ(pthread_cond_destroy(&p->wake));
	AZ(pthread_mutex_destroy(&p->lock));
	head_done(&p->writer.head);
	gzips_done(&p->writer.gzips);
	state_unref(p->current);
	free(p->batch);
	free(p);
}

int publisher_new(
	struct publisher **ret, const struct publisher_options *options, struct error *err)
{
	struct publisher *p = calloc(1, sizeof(*p));
	struct error reason = ERROR_INIT;
	int errnum;

	if (p == NULL)
		return error_no_memory(err);
	p->init = options->init;
	p->layout_given = options->layout != NULL;
	p->layout = options->layout != NULL ? *options->layout : (struct layout){LAYOUT_SINGLE, 1};
	p->root = options->root;
	p->writer.registry = options->registry;
	p->writer.root = &p->root;
	p->writer.versions.now_us = options->now_us != NULL ? options->now_us : clock_realtime_us;
	queue_init(&p->queue);
	init_lock(p);
	error_set(&reason, ERROR_UNAVAILABLE, "reading the registry");
	become_restoring(p, &reason);
	p->batch = calloc(1, sizeof(*p->batch));
	if (p->batch == NULL) {
		free_publisher(p);
		return error_no_memory(err);
	}
	errnum = pthread_create(&p->thread, NULL, run, p);
	if (errnum != 0) {
		free_publisher(p);
		return error_set_errno(err, errnum, "cannot start the publisher's thread");
	}
	pthread_setname_np(p->thread, "publisher");
	*ret = p;
	return 0;
}

void publisher_free(struct publisher *p)
{
	if (p == NULL)
		return;
	AZ(pthread_mutex_lock(&p->lock));
	p->stopping = true;
	AZ(pthread_cond_broadcast(&p->wake));
	AZ(pthread_mutex_unlock(&p->lock));
	AZ(pthread_join(p->thread, NULL));
	free_publisher(p);
}

/* ---- reading ---- */

int publisher_ready(struct publisher *p, struct error *err)
{
	bool ready;

	AZ(pthread_mutex_lock(&p->lock));
	ready = p->phase == READY && !p->stopping;
	if (!ready)
		*err = p->stopping ? unavailable("the server is stopping") : p->reason;
	AZ(pthread_mutex_unlock(&p->lock));
	return ready ? 0 : -1;
}

struct state *publisher_state(struct publisher *p)
{
	struct state *s;

	AZ(pthread_mutex_lock(&p->lock));
	s = p->current == NULL ? NULL : state_ref(p->current);
	AZ(pthread_mutex_unlock(&p->lock));
	return s;
}
