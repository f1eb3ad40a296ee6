/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/publisher_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "publish/commit.h"
#include "publish/event.h"
#include "publish/metrics.h"
#include "publish/report.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define RESTORE_WAIT_FIRST_MS 100
#define CLOSED_RETRY_S 60 /* it takes an operator */

/* ---- the gate ---- */

struct error publisher_why_closed(const struct publisher *p)
{
	struct error err = ERROR_INIT;

	if (p->closed)
		return p->closed_because;
	if (p->gate == GATE_CLUSTER)
		error_set(&err, ERROR_UNAVAILABLE,
			"the cluster is being asked whether it has newer versions than the "
			"registry; try again");
	else if (p->gate == GATE_HOLD)
		error_set(&err, ERROR_UNAVAILABLE,
			"the server was started with --hold, so it takes no changes: start it "
			"again without");
	if (err.code != ERROR_NONE)
		err.retry_after_s = PUBLISHER_RETRY_S;
	return err;
}

void publisher_admit(struct publisher *p, uint64_t above)
{
	AZ(pthread_mutex_lock(&p->lock));
	p->admissions++;
	p->admission = true;
	if (p->above < above)
		p->above = above;
	AZ(pthread_cond_signal(&p->wake));
	AZ(pthread_mutex_unlock(&p->lock));
}

void publisher_close(struct publisher *p, const char *reason)
{
	AZ(pthread_mutex_lock(&p->lock));
	p->closed = true;
	error_set(&p->closed_because, ERROR_UNAVAILABLE, "%s", reason);
	p->closed_because.retry_after_s = CLOSED_RETRY_S;
	AZ(pthread_mutex_unlock(&p->lock));
}

void publisher_refuse_deletes(struct publisher *p, const char *reason)
{
	struct error why = ERROR_INIT;

	if (reason != NULL) {
		error_set(&why, ERROR_UNAVAILABLE, "%s", reason);
		why.retry_after_s = COMMIT_NO_DELETES_RETRY_S;
	}
	AZ(pthread_mutex_lock(&p->lock));
	p->no_deletes = why;
	AZ(pthread_mutex_unlock(&p->lock));
}

bool publisher_may_delete(struct publisher *p)
{
	bool may;

	AZ(pthread_mutex_lock(&p->lock));
	may = p->no_deletes.code == ERROR_NONE || p->batch_may_delete;
	AZ(pthread_mutex_unlock(&p->lock));
	return may;
}

/* Whether anything may be pushed, derived tags among it: an old record's would go back. */
static bool may_push(struct publisher *p)
{
	bool may;

	AZ(pthread_mutex_lock(&p->lock));
	may = !p->closed &&
	      (p->gate == GATE_OPEN || (p->gate == GATE_CLUSTER && p->admissions > 0));
	AZ(pthread_mutex_unlock(&p->lock));
	return may;
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

enum work { WORK_STOP, WORK_ADMIT, WORK_STEP, WORK_SET, WORK_BATCH };

static bool has_work(const struct publisher *p)
{
	return p->queue.in_line > 0 || p->sets != NULL || p->steps != NULL || p->admission ||
	       p->stopping;
}

/* Under the lock. */
static enum work find_work(struct publisher *p)
{
	p->wake_at = 1;
	while (!has_work(p))
		AZ(pthread_cond_wait(&p->wake, &p->lock));
	if (p->stopping)
		return WORK_STOP;
	if (p->admission)
		return WORK_ADMIT;
	if (p->steps != NULL)
		return WORK_STEP;
	if (p->sets != NULL && (p->set_is_next || p->queue.in_line == 0))
		return WORK_SET;
	gather(p);
	return p->stopping ? WORK_STOP : WORK_BATCH;
}

/* What cannot be taken is refused here, and the batch is empty. */
static void fill_from_set(struct publisher *p, struct set_request *set)
{
	struct error err = ERROR_INIT;

	if (set_request_fill(p->batch, set, p->self, &err) == 0)
		return;
	batch_reset(p->batch);
	set_request_refuse(set, &err);
}

/* Waits for something to do, and takes it into the batch. */
static enum work take_work(struct publisher *p)
{
	struct change *changes[LIMIT_BATCH];
	struct set_request *set = NULL;
	enum work work;

	AZ(pthread_mutex_lock(&p->lock));
	p->batch_may_delete = false; /* the last one is answered */
	work = find_work(p);
	p->wake_at = 0;
	if (work == WORK_STEP)
		p->batch->step = publisher_take_step(p);
	if (work == WORK_SET)
		set = publisher_take_set(p);
	if (work == WORK_BATCH)
		p->batch->n = queue_take(&p->queue, changes, LIMIT_BATCH);
	if (work == WORK_SET || work == WORK_BATCH) {
		p->set_is_next = work == WORK_BATCH;
		p->batch->no_deletes = p->no_deletes;
		p->batch_may_delete = p->no_deletes.code == ERROR_NONE;
	}
	publisher_tell_depth(p);
	AZ(pthread_mutex_unlock(&p->lock));
	for (size_t i = 0; i < p->batch->n; i++)
		p->batch->items[i] = (struct item){.change = changes[i]};
	if (set != NULL)
		fill_from_set(p, set);
	return work;
}

/* ---- phases ---- */

static void become_ready(struct publisher *p)
{
	struct record_freeze was_frozen;
	struct state *old;

	AZ(pthread_mutex_lock(&p->lock));
	p->phase = READY;
	old = p->current;
	p->current = state_ref(p->writer.head.state);
	p->current_version = p->writer.head.version;
	root_choose(&p->current_root, &p->root, &p->writer.head.root);
	was_frozen = p->frozen;
	p->frozen = record_freeze_copy(&p->writer.head.frozen);
	p->expected = (p->batch->set == NULL ? p->batch->n : 0) + p->queue.in_line;
	AZ(pthread_mutex_unlock(&p->lock));
	state_unref(old);
	author_unref(was_frozen.by);
	p->ever_ready = true;
	report_state(p->writer.head.state);
}

/* What anybody may be told; the log has all of it. */
static struct error public_reason(const struct error *err)
{
	struct error told = *err;

	if (err->is_private)
		error_set(&told, err->code,
			"what the registry has of a resource is damaged, or cannot be read or "
			"written: the server's log names it");
	return told;
}

static void become_restoring(struct publisher *p, const struct error *reason)
{
	AZ(pthread_mutex_lock(&p->lock));
	p->phase = RESTORING;
	p->reason = public_reason(reason);
	p->reason.code = ERROR_UNAVAILABLE; /* whatever the cause, the caller has to wait */
	if (p->reason.retry_after_s == 0)
		p->reason.retry_after_s = PUBLISHER_RETRY_S;
	AZ(pthread_mutex_unlock(&p->lock));
	metric_set(&publish_metric_ready, METRIC_NO_LABELS, 0);
}

/* Returns false as soon as the publisher is told to stop; an admission ends the wait too. */
static bool wait_ms(struct publisher *p, unsigned ms)
{
	struct timespec until = clock_deadline((uint64_t)ms * 1000);
	unsigned admissions;
	bool stopping;

	AZ(pthread_mutex_lock(&p->lock));
	admissions = p->admissions;
	while (!p->stopping && p->admissions == admissions &&
		pthread_cond_timedwait(&p->wake, &p->lock, &until) == 0)
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

/* What flags say about the layout is for a new store; of another one it must be true at the start.
 * Later a repartition may have changed it. */
static int check_layout(const struct publisher *p, const struct head *head, struct error *err)
{
	const struct layout *has = state_layout(head->state);

	if (p->ever_ready || !p->layout_given || layout_eq(has, &p->layout))
		return 0;
	return error_set(err, ERROR_UNAVAILABLE,
		"the store has the layout %s with %u catalogs for a namespace, not what --layout "
		"and --catalogs say: leave them out, or change it with gsq repartition",
		layout_kind_name(has->kind), has->catalogs);
}

static int init_store(
	struct publisher *p, struct head *ret, struct unrolled *ret_unrolled, struct error *err)
{
	struct registry *registry = p->writer.registry;

	if (head_init(registry, &p->layout, &p->root.options, &p->writer.signing,
		    p->writer.versions.now_us(), err) != 0 ||
		head_read(ret, ret_unrolled, registry, &p->writer.signing, err) != 0)
		return -1;
	log_info("made the first commit record of a new store", LOG_NUM("version", ret->version));
	return 0;
}

/* No record may mean that the registry lost everything, and then the cluster has versions which
 * nobody else knows. Listeners are shown an empty state, to compare that with. */
static int ask_cluster(struct publisher *p, struct error *err)
{
	struct head none = {.version = 0};

	if (!p->told_empty) {
		if (state_new(&none.state, &p->layout, err) != 0)
			return -1;
		event_restored(&p->listener, &none);
		head_done(&none);
		p->told_empty = true;
	}
	AZ(pthread_mutex_lock(&p->lock));
	*err = publisher_why_closed(p);
	AZ(pthread_mutex_unlock(&p->lock));
	return -1;
}

/* A store that had a record and has none was lost, not new. */
static int read_or_init(
	struct publisher *p, struct head *ret, struct unrolled *ret_unrolled, struct error *err)
{
	if (head_read(ret, ret_unrolled, p->writer.registry, &p->writer.signing, err) == 0)
		return 0;
	if (err->code != ERROR_NOT_FOUND || !p->init || p->ever_ready || p->gate == GATE_HOLD)
		return -1;
	return may_push(p) ? init_store(p, ret, ret_unrolled, err) : ask_cluster(p, err);
}

/* For the day when the gate opens. */
static void keep_unrolled(struct publisher *p, struct unrolled *u)
{
	unrolled_done(&p->unrolled);
	p->unrolled = *u;
	*u = (struct unrolled){.record = {0}};
	p->has_unrolled = true;
}

static int finish(
	struct publisher *p, const struct head *head, struct unrolled *u, struct error *err)
{
	return head_roll_forward(head, u, p->writer.registry, &p->writer.signing, err);
}

/* No tag moves before the head is known to be one to go on from. */
static int read_head(struct publisher *p, struct error *err)
{
	CLEANUP(unrolled_done) struct unrolled unrolled = {.record = {0}};
	bool rolls;
	struct head head;

	if (read_or_init(p, &head, &unrolled, err) != 0)
		return -1;
	rolls = may_push(p);
	if (check_not_older(p, &head, err) != 0 || check_layout(p, &head, err) != 0 ||
		(rolls && finish(p, &head, &unrolled, err) != 0)) {
		head_done(&head);
		return -1;
	}
	p->has_unrolled = false;
	if (!rolls)
		keep_unrolled(p, &unrolled);
	head_done(&p->writer.head);
	idempotency_done(&p->writer.idempotency);
	p->writer.head = head;
	if (p->writer.versions.highest < head.version)
		p->writer.versions.highest = head.version;
	return 0;
}

/* At the start listeners come first, so that nobody who can read finds them without what they have
 * to know. Later readers do, for who is told that anything may have changed reads it at once. */
static void tell_restored(struct publisher *p)
{
	bool is_first = !p->ever_ready;

	if (is_first)
		event_restored(&p->listener, &p->writer.head);
	become_ready(p);
	if (!is_first)
		event_restored(&p->listener, &p->writer.head);
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
		publisher_refuse_waiting(p, &p->reason);
		log_warn("not ready", LOG_STR("reason", err.text));
		if (!wait_ms(p, wait))
			return false;
		wait = 2 * wait > LIMIT_RESTORE_WAIT_MS ? LIMIT_RESTORE_WAIT_MS : 2 * wait;
	}
	p->writer.signing.existing = false; /* an operator's word, about what there was */
	tell_restored(p);
	took = clock_monotonic_us() - started;
	metric_set(&publish_metric_restore, METRIC_NO_LABELS, took);
	log_info("ready", LOG_NUM("resources", state_count(p->writer.head.state)),
		LOG_NUM("catalogs", state_n_partitions(p->writer.head.state)),
		LOG_NUM("version", p->writer.head.version), LOG_NUM("restore_ms", took / 1000));
	report_sizes(p->writer.head.state);
	report_root(&p->root, &p->writer.head);
	return true;
}

/* ---- one batch ---- */

static struct error unavailable(const char *why)
{
	struct error err = ERROR_INIT;

	error_set(&err, ERROR_UNAVAILABLE, "%s", why);
	err.retry_after_s = PUBLISHER_RETRY_S;
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

/* What the batch has come to, to who listens. */
static void tell(const struct publisher *p)
{
	const struct batch *b = p->batch;

	if (b->has_revision) {
		report_outcome(COMMIT_DONE, commit_changes(b));
		event_committed(&p->listener, b, &p->writer.head);
	}
	if (b->set == NULL || !b->set->set->dry_run)
		event_repeated(&p->listener, b, p->writer.head.state);
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
		tell(p);
		commit_answer(p->batch, NULL);
		report_commit(p->batch, &p->writer.head, started);
		if (p->batch->has_revision && p->batch->step == NULL)
			report_grown(old, &p->batch->revision);
		return true;
	}
	report_outcome(result, commit_changes(p->batch));
	log_warn("commit failed", LOG_STR("reason", err.text),
		LOG_NUM("changes", commit_changes(p->batch)));
	if (result == COMMIT_FAILED) {
		told = commit_changes(p->batch) > 1 ? public_reason(&err) : err;
		commit_answer(p->batch, &told);
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

/* ---- opening the gate ---- */

/* What restoring has left to be done; only if nobody else has written meanwhile. */
static int roll_forward(struct publisher *p, struct error *err)
{
	struct registry *registry = p->writer.registry;
	struct digest now;

	if (head_resolve(&now, registry, err) != 0)
		return -1;
	if (!digest_eq(&now, &p->writer.head.record))
		return error_set(err, ERROR_UNAVAILABLE,
			"another server has written while the cluster was asked: reading it");
	if (finish(p, &p->writer.head, &p->unrolled, err) != 0)
		return -1;
	unrolled_done(&p->unrolled);
	p->has_unrolled = false;
	return 0;
}

/* False: stop. */
static bool admit(struct publisher *p)
{
	struct error err = ERROR_INIT;
	uint64_t above;

	AZ(pthread_mutex_lock(&p->lock));
	p->admission = false;
	above = p->above;
	AZ(pthread_mutex_unlock(&p->lock));
	if (p->writer.versions.highest < above)
		p->writer.versions.highest = above;
	if (!may_push(p))
		return true;
	if (p->has_unrolled && roll_forward(p, &err) != 0) {
		become_restoring(p, &err);
		if (!restore(p))
			return false;
	}
	AZ(pthread_mutex_lock(&p->lock));
	if (p->gate == GATE_CLUSTER)
		p->gate = GATE_OPEN;
	AZ(pthread_mutex_unlock(&p->lock));
	return true;
}

static bool do_work(struct publisher *p, enum work work)
{
	uint64_t started = clock_monotonic_us();
	bool going_on;

	if (work == WORK_ADMIT)
		return admit(p);
	going_on = run_batch(p);
	if (work == WORK_BATCH)
		p->last_us = clock_monotonic_us() - started;
	batch_reset(p->batch);
	return going_on;
}

static void *run(void *arg)
{
	struct publisher *p = arg;
	struct error stopping = unavailable("the server is stopping; try again");
	bool going_on = restore(p);

	while (going_on) {
		enum work next = take_work(p);

		going_on = next != WORK_STOP && do_work(p, next);
	}
	publisher_refuse_waiting(p, &stopping);
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
	idempotency_done(&p->writer.idempotency);
	idempotency_done(&p->writer.unchanged);
	unrolled_done(&p->unrolled);
	gzips_done(&p->writer.gzips);
	state_unref(p->current);
	author_unref(p->frozen.by);
	author_unref(p->self);
	batch_free(p->batch);
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
	p->listener = options->listener;
	p->gate = options->gate;
	p->last_step = &p->steps;
	p->last_set = &p->sets;
	p->writer.registry = options->registry;
	p->writer.signing = options->signing;
	p->writer.root = &p->root;
	p->writer.quota = options->quota;
	p->writer.quota_arg = options->quota_arg;
	p->writer.guard = options->guard;
	p->writer.lacks = options->lacks;
	p->writer.versions.now_us = options->now_us != NULL ? options->now_us : clock_realtime_us;
	queue_init(&p->queue);
	init_lock(p);
	error_set(&reason, ERROR_UNAVAILABLE, "reading the registry");
	become_restoring(p, &reason);
	p->batch = calloc(1, sizeof(*p->batch));
	if (p->batch == NULL || batch_reserve(p->batch, LIMIT_BATCH, err) != 0 ||
		author_new(&p->self, AUTHOR_SERVER, "", SLICE_NONE, err) != 0) {
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

int publisher_open(struct publisher *p, struct error *err)
{
	struct error why;

	if (publisher_ready(p, err) != 0)
		return -1;
	AZ(pthread_mutex_lock(&p->lock));
	why = publisher_why_closed(p);
	AZ(pthread_mutex_unlock(&p->lock));
	if (why.code == ERROR_NONE)
		return 0;
	*err = why;
	return -1;
}

int publisher_writable(struct publisher *p, struct error *err)
{
	CLEANUP(author_unrefp) struct author *by = NULL;
	struct record_freeze frozen;
	struct error why;

	if (publisher_open(p, err) != 0)
		return -1;
	frozen = publisher_frozen(p);
	by = frozen.by;
	why = head_why_frozen(&frozen);
	if (why.code == ERROR_NONE)
		return 0;
	*err = why;
	return -1;
}

struct record_freeze publisher_frozen(struct publisher *p)
{
	struct record_freeze frozen;

	AZ(pthread_mutex_lock(&p->lock));
	frozen = record_freeze_copy(&p->frozen);
	AZ(pthread_mutex_unlock(&p->lock));
	return frozen;
}

struct state *publisher_state(struct publisher *p, uint64_t *ret_version)
{
	struct state *s;

	AZ(pthread_mutex_lock(&p->lock));
	s = p->current == NULL ? NULL : state_ref(p->current);
	if (ret_version != NULL)
		*ret_version = p->current_version;
	AZ(pthread_mutex_unlock(&p->lock));
	return s;
}

void publisher_root(struct publisher *p, struct root_options *ret)
{
	AZ(pthread_mutex_lock(&p->lock));
	*ret = p->current_root;
	AZ(pthread_mutex_unlock(&p->lock));
}
