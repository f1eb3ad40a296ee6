/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "publish/readers.h"

#include <pthread.h>
#include <unistd.h>

static struct error err;

/* ---- registries that do nothing but count ---- */

struct connections {
	size_t made, freed;
	size_t fails_at; /* the one that cannot be made; SIZE_MAX: none */
};

struct connection {
	struct registry registry;
	struct connections *of;
	bool busy;   /* a job runs with it */
	size_t next; /* one more than the number of its last job */
};

static void connection_free(struct registry *r)
{
	struct connection *c = (struct connection *)r;

	assert_false(c->busy);
	c->of->freed++;
	free(c);
}

static const struct registry_ops ops = {.free = connection_free};

static int connect_one(struct registry **ret, void *arg, struct error *e)
{
	struct connections *of = arg;
	struct connection *c;

	if (of->made == of->fails_at)
		return error_set(e, ERROR_UNAVAILABLE, "no registry answers");
	c = calloc(1, sizeof(*c));
	assert_non_null(c);
	c->registry.ops = &ops;
	c->of = of;
	of->made++;
	*ret = &c->registry;
	return 0;
}

static struct readers *start(struct connections *of)
{
	struct readers *r;

	*of = (struct connections){.fails_at = SIZE_MAX};
	assert_int_equal(readers_new(&r, connect_one, of, &err), 0);
	return r;
}

/* ---- jobs ---- */

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct readers *readers;
	bool open; /* jobs that wait at the gate may go on */
	size_t waiting, done;
	bool shared;     /* two jobs had one registry at a time */
	bool disorder;   /* a thread took a job that came before its last one */
	size_t stopping; /* jobs that found it stopping */
};

struct job {
	struct jobs *jobs;
	size_t number;
};

static void jobs_init(struct jobs *j, struct readers *r)
{
	*j = (struct jobs){.readers = r};
	AZ(pthread_mutex_init(&j->lock, NULL));
	AZ(pthread_cond_init(&j->wake, NULL));
}

static void wait_at_gate(struct registry *registry, void *arg)
{
	struct connection *c = (struct connection *)registry;
	struct job *job = arg;
	struct jobs *j = job->jobs;

	AZ(pthread_mutex_lock(&j->lock));
	j->shared = j->shared || c->busy;
	c->busy = true;
	j->disorder = j->disorder || job->number < c->next;
	c->next = job->number + 1;
	j->waiting++;
	AZ(pthread_cond_broadcast(&j->wake));
	while (!j->open)
		AZ(pthread_cond_wait(&j->wake, &j->lock));
	j->stopping += readers_stopping(j->readers);
	c->busy = false;
	j->waiting--;
	j->done++;
	AZ(pthread_mutex_unlock(&j->lock));
}

static void wait_for_waiting(struct jobs *j, size_t n)
{
	AZ(pthread_mutex_lock(&j->lock));
	while (j->waiting < n)
		AZ(pthread_cond_wait(&j->wake, &j->lock));
	AZ(pthread_mutex_unlock(&j->lock));
}

static void open_gate(struct jobs *j)
{
	AZ(pthread_mutex_lock(&j->lock));
	j->open = true;
	AZ(pthread_cond_broadcast(&j->wake));
	AZ(pthread_mutex_unlock(&j->lock));
}

/* All threads are busy, and `queued` jobs more wait for one. */
static void fill(struct readers *r, struct jobs *j, struct job *jobs, size_t queued)
{
	for (size_t i = 0; i < LIMIT_READERS + queued; i++) {
		jobs[i] = (struct job){j, i};
		assert_int_equal(readers_run(r, wait_at_gate, &jobs[i], &err), 0);
		if (i < LIMIT_READERS)
			wait_for_waiting(j, i + 1);
	}
}

/* ---- tests ---- */

static void each_thread_has_a_registry_of_its_own(void **state UNUSED)
{
	struct connections of;
	struct readers *r = start(&of);
	struct job list[LIMIT_READERS + 20];
	struct jobs j;

	assert_int_equal(of.made, LIMIT_READERS);
	jobs_init(&j, r);
	fill(r, &j, list, 20);
	open_gate(&j);
	readers_free(r);
	assert_int_equal(j.done, LIMIT_READERS + 20);
	assert_false(j.shared);
	assert_int_equal(of.freed, LIMIT_READERS);
}

static void jobs_are_begun_in_the_order_in_which_they_came(void **state UNUSED)
{
	struct connections of;
	struct readers *r = start(&of);
	struct job list[LIMIT_READERS + 50];
	struct jobs j;

	jobs_init(&j, r);
	fill(r, &j, list, 50);
	open_gate(&j);
	readers_free(r);
	assert_int_equal(j.done, ARRAY_SIZE(list));
	assert_false(j.disorder);
}

static void a_job_too_many_is_refused_and_not_run(void **state UNUSED)
{
	struct connections of;
	struct readers *r = start(&of);
	static struct job list[LIMIT_READERS + LIMIT_READER_QUEUE];
	struct job late;
	struct jobs j;

	jobs_init(&j, r);
	late = (struct job){&j, 0};
	fill(r, &j, list, LIMIT_READER_QUEUE);
	assert_int_equal(readers_run(r, wait_at_gate, &late, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_MANY);
	open_gate(&j);
	readers_free(r);
	assert_int_equal(j.done, ARRAY_SIZE(list));
}

static void a_stop_takes_no_new_job_and_runs_those_that_wait(void **state UNUSED)
{
	struct connections of;
	struct readers *r = start(&of);
	struct job list[LIMIT_READERS + 10], late;
	struct jobs j;

	jobs_init(&j, r);
	late = (struct job){&j, 0};
	fill(r, &j, list, 10);
	assert_false(readers_stopping(r));
	readers_stop(r);
	assert_true(readers_stopping(r));
	assert_int_equal(readers_run(r, wait_at_gate, &late, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	open_gate(&j);
	readers_free(r);
	assert_int_equal(j.done, ARRAY_SIZE(list));
	assert_int_equal(j.stopping, ARRAY_SIZE(list));
}

static void without_a_registry_for_every_thread_there_are_no_readers(void **state UNUSED)
{
	for (size_t i = 0; i < LIMIT_READERS; i++) {
		struct connections of = {.fails_at = i};
		struct readers *r = NULL;

		assert_int_equal(readers_new(&r, connect_one, &of, &err), -1);
		assert_int_equal(err.code, ERROR_UNAVAILABLE);
		assert_null(r);
		assert_int_equal(of.freed, i);
	}
}

static void readers_that_were_never_there_are_freed(void **state UNUSED)
{
	readers_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_thread_has_a_registry_of_its_own),
		cmocka_unit_test(jobs_are_begun_in_the_order_in_which_they_came),
		cmocka_unit_test(a_job_too_many_is_refused_and_not_run),
		cmocka_unit_test(a_stop_takes_no_new_job_and_runs_those_that_wait),
		cmocka_unit_test(without_a_registry_for_every_thread_there_are_no_readers),
		cmocka_unit_test(readers_that_were_never_there_are_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
