/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "publish/readers.h"

#include <pthread.h>
#include <stdio.h>
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
	bool open;          /* jobs that wait at the gate may go on, */
	size_t through;     /* or so many of them */
	size_t begun, last; /* how many came to it, and the number of the last */
	size_t waiting, done, dropped;
	bool shared;     /* two jobs had one registry at a time */
	bool disorder;   /* a thread took a job that came before its last one */
	size_t stopping; /* jobs that found it stopping */
};

struct job {
	struct jobs *jobs;
	size_t number;
	bool done;
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
	if (c == NULL) {
		j->dropped++;
		AZ(pthread_mutex_unlock(&j->lock));
		return;
	}
	j->shared = j->shared || c->busy;
	c->busy = true;
	j->disorder = j->disorder || job->number < c->next;
	c->next = job->number + 1;
	j->waiting++;
	j->begun++;
	j->last = job->number;
	AZ(pthread_cond_broadcast(&j->wake));
	while (!j->open && j->through == 0)
		AZ(pthread_cond_wait(&j->wake, &j->lock));
	j->through -= !j->open;
	j->stopping += readers_stopping(j->readers);
	c->busy = false;
	j->waiting--;
	j->done++;
	job->done = true;
	AZ(pthread_cond_broadcast(&j->wake));
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

static void wait_for_done(struct jobs *j, size_t n)
{
	AZ(pthread_mutex_lock(&j->lock));
	while (j->done < n)
		AZ(pthread_cond_wait(&j->wake, &j->lock));
	AZ(pthread_mutex_unlock(&j->lock));
}

static int run(struct readers *r, const char *subject, struct job *job)
{
	return readers_run(r, subject, wait_at_gate, job, &err);
}

/* All threads are busy, and `queued` jobs more wait for one; each is of another subject. */
static void fill(struct readers *r, struct jobs *j, struct job *jobs, size_t queued)
{
	for (size_t i = 0; i < LIMIT_READERS + queued; i++) {
		char subject[32];

		snprintf(subject, sizeof(subject), "token:%zu", i);
		jobs[i] = (struct job){j, i, false};
		assert_int_equal(run(r, subject, &jobs[i]), 0);
		if (i < LIMIT_READERS)
			wait_for_waiting(j, i + 1);
	}
}

/* So that none is dropped. */
static void finish(struct readers *r, struct jobs *j, size_t n)
{
	open_gate(j);
	wait_for_done(j, n);
	readers_free(r);
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
	finish(r, &j, LIMIT_READERS + 20);
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
	finish(r, &j, ARRAY_SIZE(list));
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
	late = (struct job){&j, 0, false};
	fill(r, &j, list, LIMIT_READER_QUEUE);
	assert_int_equal(run(r, "token:late", &late), -1);
	assert_int_equal(err.code, ERROR_TOO_MANY);
	finish(r, &j, ARRAY_SIZE(list));
	assert_false(late.done);
}

static void one_subject_has_so_many_jobs_that_wait_and_no_more(void **state UNUSED)
{
	struct connections of;
	struct readers *r = start(&of);
	struct job list[LIMIT_READERS + LIMIT_READER_SHARE + 1], other;
	struct jobs j;
	const size_t last = ARRAY_SIZE(list) - 1;

	jobs_init(&j, r);
	other = (struct job){&j, ARRAY_SIZE(list), false};
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		list[i] = (struct job){&j, i, false};
	for (size_t i = 0; i < last; i++) {
		assert_int_equal(run(r, "token:a", &list[i]), 0);
		if (i < LIMIT_READERS)
			wait_for_waiting(&j, i + 1);
	}
	assert_int_equal(run(r, "token:a", &list[last]), -1);
	assert_int_equal(err.code, ERROR_TOO_MANY);
	assert_int_equal(run(r, "token:b", &other), 0);
	open_gate(&j);
	wait_for_done(&j, last + 1);
	assert_int_equal(run(r, "token:a", &list[last]), 0);
	finish(r, &j, last + 2);
}

static void a_subject_does_not_wait_for_all_that_another_has_asked_for(void **state UNUSED)
{
	struct connections of;
	struct readers *r = start(&of);
	struct job many[LIMIT_READER_SHARE], other;
	struct jobs j;

	jobs_init(&j, r);
	other = (struct job){&j, LIMIT_READER_SHARE, false};
	for (size_t i = 0; i < LIMIT_READER_SHARE; i++) {
		many[i] = (struct job){&j, i, false};
		assert_int_equal(run(r, "token:many", &many[i]), 0);
		if (i < LIMIT_READERS)
			wait_for_waiting(&j, i + 1);
	}
	assert_int_equal(run(r, "token:other", &other), 0);
	AZ(pthread_mutex_lock(&j.lock));
	j.through = 1; /* one of those at work ends */
	AZ(pthread_cond_broadcast(&j.wake));
	while (j.begun < LIMIT_READERS + 1)
		AZ(pthread_cond_wait(&j.wake, &j.lock));
	assert_int_equal(j.last, other.number);
	AZ(pthread_mutex_unlock(&j.lock));
	finish(r, &j, LIMIT_READER_SHARE + 1);
}

static void a_stop_takes_no_new_job_and_runs_none_that_waits(void **state UNUSED)
{
	struct connections of;
	struct readers *r = start(&of);
	struct job list[LIMIT_READERS + 10], late;
	struct jobs j;

	jobs_init(&j, r);
	late = (struct job){&j, 0, false};
	fill(r, &j, list, 10);
	assert_false(readers_stopping(r));
	readers_stop(r);
	assert_true(readers_stopping(r));
	assert_int_equal(run(r, "token:late", &late), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	open_gate(&j);
	readers_free(r);
	assert_int_equal(j.done, LIMIT_READERS); /* those at work, which are told */
	assert_int_equal(j.stopping, LIMIT_READERS);
	assert_int_equal(j.dropped, 10); /* and nobody is left without an answer */
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
		cmocka_unit_test(one_subject_has_so_many_jobs_that_wait_and_no_more),
		cmocka_unit_test(a_subject_does_not_wait_for_all_that_another_has_asked_for),
		cmocka_unit_test(a_stop_takes_no_new_job_and_runs_none_that_waits),
		cmocka_unit_test(without_a_registry_for_every_thread_there_are_no_readers),
		cmocka_unit_test(readers_that_were_never_there_are_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
