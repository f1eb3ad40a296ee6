/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/upkeep.h"

#include "base/clock.h"
#include "base/log.h"
#include "registry/embedded_private.h"

#include <errno.h>

#define NEVER UINT64_MAX

struct upkeep {
	struct embedded *embedded;
	struct upkeep_options options;
	pthread_t thread;
	uint64_t gc_due_ms; /* the thread's */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	struct job_request *head;
	struct job_request **tail;
	size_t n_waiting;
	bool stopping;
};

/* As the store says it, which upkeep_stop() has told. */
static int stopped(const struct upkeep *u, struct error *err)
{
	int result = store_interrupted(u->embedded->store, err);

	ASSERT(result != 0);
	return result;
}

/* ---- the thread ---- */

static void plan_gc(struct upkeep *u)
{
	uint64_t interval_s = u->options.gc_interval_s;

	u->gc_due_ms = interval_s == 0 ? NEVER : clock_monotonic_ms() + interval_s * 1000;
}

static void log_garbage(const struct gc_totals *t, uint64_t began_ms)
{
	const struct gc_report *r = &t->store;

	if (r->unlinked + r->blobs + r->files + t->uploads == 0)
		return;
	log_info("collected garbage", LOG_NUM("unlinked", r->unlinked), LOG_NUM("blobs", r->blobs),
		LOG_NUM("blob_bytes", r->blob_bytes), LOG_NUM("files", r->files),
		LOG_NUM("file_bytes", r->file_bytes), LOG_NUM("uploads", t->uploads),
		LOG_NUM("upload_bytes", t->upload_bytes),
		LOG_NUM("ms", clock_monotonic_ms() - began_ms));
}

static void collect_garbage(struct upkeep *u)
{
	uint64_t began_ms = clock_monotonic_ms();
	struct error err = ERROR_INIT;
	struct gc_totals totals;

	if (job_collect_garbage(u->embedded, false, u->options.gc_grace_s, &totals, &err) == 0)
		log_garbage(&totals, began_ms);
	else
		log_warn("garbage collection ended early", LOG_STR("reason", err.text));
	plan_gc(u);
}

/* Returns ETIMEDOUT when garbage is to be collected. Under the lock. */
static int wait(struct upkeep *u)
{
	struct timespec until = {
		.tv_sec = (time_t)(u->gc_due_ms / 1000),
		.tv_nsec = (long)(u->gc_due_ms % 1000) * 1000000,
	};
	int errnum = u->gc_due_ms == NEVER ? pthread_cond_wait(&u->wake, &u->lock)
					   : pthread_cond_timedwait(&u->wake, &u->lock, &until);

	ASSERT(errnum == 0 || errnum == ETIMEDOUT);
	return errnum;
}

enum work { WORK_STOP, WORK_GC, WORK_REQUEST };

/* Whatever is asked for, collecting comes when it is due. */
static enum work next_work(struct upkeep *u, struct job_request **ret)
{
	enum work work = WORK_REQUEST;

	AZ(pthread_mutex_lock(&u->lock));
	while (!u->stopping && u->head == NULL && wait(u) == 0)
		;
	if (u->stopping) {
		work = WORK_STOP;
	} else if (clock_monotonic_ms() >= u->gc_due_ms || u->head == NULL) {
		work = WORK_GC;
	} else {
		*ret = u->head;
		u->head = u->head->next;
		if (u->head == NULL)
			u->tail = &u->head;
		u->n_waiting--;
	}
	AZ(pthread_mutex_unlock(&u->lock));
	return work;
}

static void run_job(struct upkeep *u, struct job_request *r)
{
	if (r->job->run(u->embedded, &r->args, &r->report, &r->err) != 0)
		ASSERT(r->err.code != ERROR_NONE);
	r->done(r);
}

/* Nothing is added any more. */
static void refuse_waiting(struct upkeep *u)
{
	for (struct job_request *r = u->head, *next; r != NULL; r = next) {
		next = r->next;
		(void)stopped(u, &r->err);
		r->done(r);
	}
	u->head = NULL;
}

static void *run(void *arg)
{
	struct upkeep *u = arg;
	struct job_request *request = NULL;
	enum work work;

	plan_gc(u);
	while ((work = next_work(u, &request)) != WORK_STOP) {
		if (work == WORK_GC)
			collect_garbage(u);
		else
			run_job(u, request);
	}
	refuse_waiting(u);
	return NULL;
}

/* ---- life ---- */

static void init_locks(struct upkeep *u)
{
	pthread_condattr_t attr;

	AZ(pthread_mutex_init(&u->lock, NULL));
	AZ(pthread_condattr_init(&attr));
	AZ(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	AZ(pthread_cond_init(&u->wake, &attr));
	AZ(pthread_condattr_destroy(&attr));
}

int upkeep_new(struct upkeep **ret, struct embedded *e, const struct upkeep_options *options,
	struct error *err)
{
	struct upkeep *u = calloc(1, sizeof(*u));
	int errnum;

	ASSERT(options->gc_interval_s <= LIMIT_DURATION_S &&
		options->gc_grace_s <= LIMIT_DURATION_S);
	if (u == NULL)
		return error_no_memory(err);
	u->embedded = e;
	u->options = *options;
	u->tail = &u->head;
	init_locks(u);
	errnum = pthread_create(&u->thread, NULL, run, u);
	if (errnum != 0) {
		u->stopping = true;
		upkeep_free(u);
		return error_set_errno(err, errnum, "cannot start the thread for upkeep");
	}
	pthread_setname_np(u->thread, "upkeep");
	*ret = u;
	return 0;
}

void upkeep_stop(struct upkeep *u)
{
	AZ(pthread_mutex_lock(&u->lock));
	ASSERT(!u->stopping);
	u->stopping = true;
	store_interrupt(u->embedded->store);
	AZ(pthread_cond_signal(&u->wake));
	AZ(pthread_mutex_unlock(&u->lock));
	AZ(pthread_join(u->thread, NULL));
}

void upkeep_free(struct upkeep *u)
{
	if (u == NULL)
		return;
	ASSERT(u->stopping && u->head == NULL);
	AZ(pthread_cond_destroy(&u->wake));
	AZ(pthread_mutex_destroy(&u->lock));
	free(u);
}

int upkeep_submit(struct upkeep *u, struct job_request *r, struct error *err)
{
	int result = 0;

	r->report = (struct buf)BUF_INIT(LIMIT_JOB_REPORT);
	r->err = (struct error)ERROR_INIT;
	r->next = NULL;
	AZ(pthread_mutex_lock(&u->lock));
	if (u->stopping) {
		result = stopped(u, err);
	} else if (u->n_waiting == LIMIT_JOB_QUEUE) {
		result = error_set(err, ERROR_TOO_MANY,
			"%d jobs wait already; try again when some of them have ended",
			LIMIT_JOB_QUEUE);
	} else {
		*u->tail = r;
		u->tail = &r->next;
		u->n_waiting++;
		AZ(pthread_cond_signal(&u->wake));
	}
	AZ(pthread_mutex_unlock(&u->lock));
	return result;
}
