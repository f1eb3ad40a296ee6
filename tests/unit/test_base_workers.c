/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <semaphore.h>
#include <stdatomic.h>

#include "base/workers.h"

DEFINE_CLEANUP(struct workers, workers_free);

#define JOBS 5000

static void count(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
}

static void every_job_runs_once(void **state UNUSED)
{
	for (size_t n_threads = 1; n_threads <= 4; n_threads++) {
		static atomic_uint runs[JOBS];
		struct error err = ERROR_INIT;
		struct workers *w;

		assert_int_equal(workers_new(&w, "test", n_threads, &err), 0);
		for (size_t i = 0; i < JOBS; i++)
			assert_int_equal(workers_submit(w, count, &runs[i], &err), 0);
		workers_free(w); /* runs what waits */
		for (size_t i = 0; i < JOBS; i++)
			assert_int_equal(runs[i], n_threads);
	}
}

struct meeting {
	sem_t arrived, leave;
};

static void meet(void *arg)
{
	struct meeting *meeting = arg;

	sem_post(&meeting->arrived);
	sem_wait(&meeting->leave);
}

static void as_many_jobs_run_at_once_as_there_are_threads(void **state UNUSED)
{
	CLEANUP(workers_freep) struct workers *w = NULL;
	struct error err = ERROR_INIT;
	struct meeting meeting;

	sem_init(&meeting.arrived, 0, 0);
	sem_init(&meeting.leave, 0, 0);
	assert_int_equal(workers_new(&w, "test", 3, &err), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(workers_submit(w, meet, &meeting, &err), 0);
	for (int i = 0; i < 3; i++)
		sem_wait(&meeting.arrived); /* hangs unless all three run */
	for (int i = 0; i < 3; i++)
		sem_post(&meeting.leave);
}

static void a_full_queue_refuses_and_loses_nothing(void **state UNUSED)
{
	struct error err = ERROR_INIT;
	struct meeting meeting;
	atomic_uint runs = 0;
	struct workers *w;

	sem_init(&meeting.arrived, 0, 0);
	sem_init(&meeting.leave, 0, 0);
	assert_int_equal(workers_new(&w, "test", 1, &err), 0);
	assert_int_equal(workers_submit(w, meet, &meeting, &err), 0);
	sem_wait(&meeting.arrived); /* the only thread is busy, the queue empty */
	for (size_t i = 0; i < LIMIT_WORKER_QUEUE; i++)
		assert_int_equal(workers_submit(w, count, &runs, &err), 0);
	assert_int_equal(workers_submit(w, count, &runs, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_MANY);
	assert_int_equal(runs, 0);
	sem_post(&meeting.leave);
	workers_free(w);
	assert_int_equal(runs, LIMIT_WORKER_QUEUE);
}

static void there_may_be_nothing_to_free(void **state UNUSED)
{
	workers_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_job_runs_once),
		cmocka_unit_test(as_many_jobs_run_at_once_as_there_are_threads),
		cmocka_unit_test(a_full_queue_refuses_and_loses_nothing),
		cmocka_unit_test(there_may_be_nothing_to_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
