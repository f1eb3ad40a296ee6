/* SPDX-License-Identifier: Apache-2.0 */
#include "base/workers.h"

#include <pthread.h>
#include <string.h>

struct job {
	void (*fn)(void *arg);
	void *arg;
	struct job *next;
};

struct workers {
	pthread_mutex_t lock; /* guards all below but threads */
	pthread_cond_t wake;
	struct job *head;
	struct job **tail;
	size_t n_jobs;
	bool stopping;
	size_t n_threads;
	pthread_t threads[];
};

static struct job *next_job(struct workers *w)
{
	struct job *job;

	AZ(pthread_mutex_lock(&w->lock));
	while (w->head == NULL && !w->stopping)
		AZ(pthread_cond_wait(&w->wake, &w->lock));
	job = w->head;
	if (job != NULL) {
		w->head = job->next;
		if (w->head == NULL)
			w->tail = &w->head;
		w->n_jobs--;
	}
	AZ(pthread_mutex_unlock(&w->lock));
	return job;
}

static void *work(void *arg)
{
	struct workers *w = arg;
	struct job *job;

	while ((job = next_job(w)) != NULL) {
		job->fn(job->arg);
		free(job);
	}
	return NULL;
}

int workers_new(struct workers **ret, const char *name, size_t n_threads, struct error *err)
{
	struct workers *w = calloc(1, sizeof(*w) + n_threads * sizeof(w->threads[0]));

	if (w == NULL)
		return error_no_memory(err);
	AZ(pthread_mutex_init(&w->lock, NULL));
	AZ(pthread_cond_init(&w->wake, NULL));
	w->tail = &w->head;
	for (; w->n_threads < n_threads; w->n_threads++) {
		int errnum = pthread_create(&w->threads[w->n_threads], NULL, work, w);

		if (errnum != 0) {
			workers_free(w);
			return error_set_errno(err, errnum, "cannot start a %s thread", name);
		}
		pthread_setname_np(w->threads[w->n_threads], name);
	}
	*ret = w;
	return 0;
}

void workers_free(struct workers *w)
{
	if (w == NULL)
		return;
	AZ(pthread_mutex_lock(&w->lock));
	w->stopping = true;
	AZ(pthread_cond_broadcast(&w->wake));
	AZ(pthread_mutex_unlock(&w->lock));
	for (size_t i = 0; i < w->n_threads; i++)
		AZ(pthread_join(w->threads[i], NULL));
	ASSERT(w->head == NULL);
	AZ(pthread_cond_destroy(&w->wake));
	AZ(pthread_mutex_destroy(&w->lock));
	free(w);
}

int workers_submit(struct workers *w, void (*fn)(void *arg), void *arg, struct error *err)
{
	struct job *job = malloc(sizeof(*job));
	bool full;

	if (job == NULL)
		return error_no_memory(err);
	*job = (struct job){.fn = fn, .arg = arg};
	AZ(pthread_mutex_lock(&w->lock));
	ASSERT(!w->stopping);
	full = w->n_jobs >= LIMIT_WORKER_QUEUE;
	if (!full) {
		*w->tail = job;
		w->tail = &job->next;
		w->n_jobs++;
		AZ(pthread_cond_signal(&w->wake));
	}
	AZ(pthread_mutex_unlock(&w->lock));
	if (full) {
		free(job);
		return error_set(
			err, ERROR_TOO_MANY, "too much work is waiting; try again in a moment");
	}
	return 0;
}
