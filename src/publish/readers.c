/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/readers.h"

#include <pthread.h>
#include <stdatomic.h>

struct job {
	readers_job *run;
	void *arg;
	char *subject;
	struct job *next;
};

struct reader {
	struct readers *readers;
	struct registry *registry;
	struct job *at_work; /* or NULL */
	pthread_t thread;
};

struct readers {
	pthread_mutex_t lock; /* guards the queue and what is at work */
	pthread_cond_t wake;
	struct job *head;
	size_t n_jobs;
	atomic_bool stopping; /* set with the lock held */
	size_t n;             /* threads that run */
	struct reader list[LIMIT_READERS];
};

static void job_free(struct job *job)
{
	if (job == NULL)
		return;
	free(job->subject);
	free(job);
}
DEFINE_CLEANUP(struct job, job_free);

/* ---- who is next ---- */

static size_t count_at_work(const struct readers *r, const char *subject)
{
	size_t n = 0;

	for (size_t i = 0; i < LIMIT_READERS; i++)
		n += r->list[i].at_work != NULL &&
		     strcmp(r->list[i].at_work->subject, subject) == 0;
	return n;
}

static size_t count_waiting(const struct readers *r, const char *subject)
{
	size_t n = 0;

	for (const struct job *job = r->head; job != NULL; job = job->next)
		n += strcmp(job->subject, subject) == 0;
	return n;
}

static struct job *take_next(struct readers *r)
{
	struct job **best = NULL, *job;
	size_t fewest = SIZE_MAX;

	for (struct job **at = &r->head; *at != NULL && fewest > 0; at = &(*at)->next) {
		size_t n = count_at_work(r, (*at)->subject);

		if (n < fewest) {
			best = at;
			fewest = n;
		}
	}
	if (best == NULL)
		return NULL;
	job = *best;
	*best = job->next;
	r->n_jobs--;
	return job;
}

static struct job *next_job(struct reader *reader)
{
	struct readers *r = reader->readers;
	struct job *job;

	AZ(pthread_mutex_lock(&r->lock));
	job_free(TAKE_PTR(reader->at_work));
	while (r->head == NULL && !r->stopping)
		AZ(pthread_cond_wait(&r->wake, &r->lock));
	job = take_next(r);
	reader->at_work = job;
	AZ(pthread_mutex_unlock(&r->lock));
	return job;
}

static void *read_all(void *arg)
{
	struct reader *reader = arg;
	struct job *job;

	while ((job = next_job(reader)) != NULL)
		job->run(readers_stopping(reader->readers) ? NULL : reader->registry, job->arg);
	return NULL;
}

/* ---- life ---- */

static int start(struct reader *reader, readers_connect *connect, void *arg, struct error *err)
{
	int errnum;

	if (connect(&reader->registry, arg, err) != 0)
		return -1;
	errnum = pthread_create(&reader->thread, NULL, read_all, reader);
	if (errnum != 0) {
		registry_free(reader->registry);
		return error_set_errno(err, errnum, "cannot start a thread that reads history");
	}
	pthread_setname_np(reader->thread, "gsq-reader");
	return 0;
}

int readers_new(struct readers **ret, readers_connect *connect, void *arg, struct error *err)
{
	struct readers *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return error_no_memory(err);
	AZ(pthread_mutex_init(&r->lock, NULL));
	AZ(pthread_cond_init(&r->wake, NULL));
	for (; r->n < LIMIT_READERS; r->n++) {
		r->list[r->n].readers = r;
		if (start(&r->list[r->n], connect, arg, err) != 0) {
			readers_free(r);
			return -1;
		}
	}
	*ret = r;
	return 0;
}

/* Takes the job, unless there is a reason not to. */
static int enqueue(struct readers *r, struct job *job, struct error *err)
{
	struct job **end = &r->head;

	if (r->stopping)
		return error_set(err, ERROR_UNAVAILABLE, "the server is stopping");
	if (r->n_jobs >= LIMIT_READER_QUEUE)
		return error_set(err, ERROR_TOO_MANY,
			"too many requests for history are waiting; try again in a moment");
	if (count_waiting(r, job->subject) >= LIMIT_READER_SHARE)
		return error_set(err, ERROR_TOO_MANY,
			"%d of your requests for history are waiting already; try again when one "
			"of them is answered",
			LIMIT_READER_SHARE);
	while (*end != NULL)
		end = &(*end)->next;
	*end = job;
	r->n_jobs++;
	AZ(pthread_cond_signal(&r->wake));
	return 0;
}

int readers_run(
	struct readers *r, const char *subject, readers_job *job, void *arg, struct error *err)
{
	CLEANUP(job_freep) struct job *queued = calloc(1, sizeof(*queued));
	int rc;

	if (queued == NULL || (queued->subject = strdup(subject)) == NULL)
		return error_no_memory(err);
	queued->run = job;
	queued->arg = arg;
	AZ(pthread_mutex_lock(&r->lock));
	rc = enqueue(r, queued, err);
	AZ(pthread_mutex_unlock(&r->lock));
	if (rc == 0)
		queued = NULL; /* the queue's */
	return rc;
}

void readers_stop(struct readers *r)
{
	AZ(pthread_mutex_lock(&r->lock));
	r->stopping = true;
	AZ(pthread_cond_broadcast(&r->wake));
	AZ(pthread_mutex_unlock(&r->lock));
}

bool readers_stopping(const struct readers *r)
{
	return r->stopping;
}

void readers_free(struct readers *r)
{
	if (r == NULL)
		return;
	readers_stop(r);
	for (size_t i = 0; i < r->n; i++) {
		AZ(pthread_join(r->list[i].thread, NULL));
		registry_free(r->list[i].registry);
	}
	ASSERT(r->head == NULL);
	AZ(pthread_cond_destroy(&r->wake));
	AZ(pthread_mutex_destroy(&r->lock));
	free(r);
}
