/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/readers.h"

#include <pthread.h>

struct job {
	void (*run)(struct registry *registry, void *arg);
	void *arg;
	struct job *next;
};

struct reader {
	struct readers *readers;
	struct registry *registry;
	pthread_t thread;
};

struct readers {
	pthread_mutex_t lock; /* guards the queue and stopping */
	pthread_cond_t wake;
	struct job *head;
	struct job **tail;
	size_t n_jobs;
	bool stopping;
	size_t n; /* threads that run */
	struct reader list[LIMIT_READERS];
};

static struct job *next_job(struct readers *r)
{
	struct job *job;

	AZ(pthread_mutex_lock(&r->lock));
	while (r->head == NULL && !r->stopping)
		AZ(pthread_cond_wait(&r->wake, &r->lock));
	job = r->head;
	if (job != NULL) {
		r->head = job->next;
		if (r->head == NULL)
			r->tail = &r->head;
		r->n_jobs--;
	}
	AZ(pthread_mutex_unlock(&r->lock));
	return job;
}

static void *read_all(void *arg)
{
	struct reader *reader = arg;
	struct job *job;

	while ((job = next_job(reader->readers)) != NULL) {
		job->run(reader->registry, job->arg);
		free(job);
	}
	return NULL;
}

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
	r->tail = &r->head;
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
	if (r->stopping)
		return error_set(err, ERROR_UNAVAILABLE, "the server is stopping");
	if (r->n_jobs >= LIMIT_READER_QUEUE)
		return error_set(err, ERROR_TOO_MANY,
			"too many requests for history are waiting; try again in a moment");
	*r->tail = job;
	r->tail = &job->next;
	r->n_jobs++;
	AZ(pthread_cond_signal(&r->wake));
	return 0;
}

int readers_run(struct readers *r, void (*job)(struct registry *registry, void *arg), void *arg,
	struct error *err)
{
	struct job *queued = malloc(sizeof(*queued));
	int rc;

	if (queued == NULL)
		return error_no_memory(err);
	*queued = (struct job){.run = job, .arg = arg};
	AZ(pthread_mutex_lock(&r->lock));
	rc = enqueue(r, queued, err);
	AZ(pthread_mutex_unlock(&r->lock));
	if (rc != 0)
		free(queued);
	return rc;
}

void readers_stop(struct readers *r)
{
	AZ(pthread_mutex_lock(&r->lock));
	r->stopping = true;
	AZ(pthread_cond_broadcast(&r->wake));
	AZ(pthread_mutex_unlock(&r->lock));
}

bool readers_stopping(struct readers *r)
{
	bool stopping;

	AZ(pthread_mutex_lock(&r->lock));
	stopping = r->stopping;
	AZ(pthread_mutex_unlock(&r->lock));
	return stopping;
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
