/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parallel.h"

#include "base/base.h"

#include <pthread.h>
#include <unistd.h>

struct task {
	_Atomic size_t next, threads;
	size_t n;
	void (*fn)(size_t i, size_t thread, void *arg);
	void *arg;
};

static void *work(void *arg)
{
	struct task *task = arg;
	size_t i, thread = task->threads++;

	while ((i = task->next++) < task->n)
		task->fn(i, thread, task->arg);
	return NULL;
}

static size_t count_threads(size_t n)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	size_t threads = cores < 1 ? 1 : (size_t)cores;

	if (threads > PARALLEL_MAX)
		threads = PARALLEL_MAX;
	return threads < n ? threads : n;
}

void parallel_each(size_t n, void (*fn)(size_t i, size_t thread, void *arg), void *arg)
{
	struct task task = {.n = n, .fn = fn, .arg = arg};
	size_t wanted = count_threads(n), started = 0;
	pthread_t threads[PARALLEL_MAX];

	while (started + 1 < wanted && pthread_create(&threads[started], NULL, work, &task) == 0)
		started++;
	work(&task);
	while (started > 0)
		AZ(pthread_join(threads[--started], NULL));
}
