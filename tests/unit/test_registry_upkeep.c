/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of jobs and the collection that runs by itself, with jobs made for the purpose. */
#include "store_fixture.h"

#include "base/clock.h"
#include "registry/embedded_private.h"

#include <unistd.h>

#define WAIT_MS 20000

struct fixture {
	char dir[64];
	struct embedded *embedded;
};

static int setup(void **state)
{
	struct fixture *f = test_malloc(sizeof(*f));
	struct error err = ERROR_INIT;

	digest_setup();
	make_folder(f->dir);
	assert_ok(embedded_new(&f->embedded, f->dir, &err));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	embedded_free(f->embedded);
	remove_folder(f->dir);
	test_free(f);
	return 0;
}

static void start(struct fixture *f, uint64_t gc_interval_s, uint64_t gc_grace_s)
{
	struct upkeep_options options = {.gc_interval_s = gc_interval_s, .gc_grace_s = gc_grace_s};
	struct error err = ERROR_INIT;

	assert_ok(embedded_start_upkeep(f->embedded, &options, &err));
}

/* ---- jobs ---- */

struct asked {
	struct job_request request;
	_Atomic bool done;
};

static void note_done(struct job_request *r)
{
	((struct asked *)r)->done = true;
}

static void ask(struct fixture *f, struct asked *a, const struct job *job)
{
	struct error err = ERROR_INIT;

	*a = (struct asked){.request = {.job = job, .done = note_done}};
	assert_ok(upkeep_submit(f->embedded->upkeep, &a->request, &err));
}

static void wait_for(const _Atomic bool *what)
{
	uint64_t until_ms = clock_monotonic_ms() + WAIT_MS;

	while (!*what) {
		if (clock_monotonic_ms() > until_ms)
			fail_msg("it did not happen");
		usleep(1000);
	}
}

static _Atomic unsigned n_running, n_ran;

/* Says which of them it is; no other runs meanwhile. */
static int run_numbered(struct embedded *e UNUSED, const struct job_args *args UNUSED,
	struct buf *report, struct error *err)
{
	if (++n_running > 1)
		return error_set(err, ERROR_INTERNAL, "two jobs ran at once");
	usleep(2000);
	buf_printf(report, "%u", ++n_ran);
	n_running--;
	return 0;
}
static const struct job numbered = {"numbered", false, run_numbered};

static int run_failing(struct embedded *e UNUSED, const struct job_args *args UNUSED,
	struct buf *report, struct error *err)
{
	buf_puts(report, "half of it");
	return error_set(err, ERROR_NO_SPACE, "no room");
}
static const struct job failing = {"failing", false, run_failing};

static _Atomic bool endless_runs;

static int run_endless(struct embedded *e, const struct job_args *args UNUSED,
	struct buf *report UNUSED, struct error *err)
{
	endless_runs = true;
	while (store_interrupted(e->store, err) == 0)
		usleep(1000);
	return -1;
}
static const struct job endless = {"endless", false, run_endless};

/* ---- tests ---- */

static void jobs_run_one_at_a_time_in_the_order_of_their_coming(void **state)
{
	struct fixture *f = *state;
	struct asked asked[20];

	n_running = n_ran = 0;
	start(f, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
		ask(f, &asked[i], &numbered);
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		char number[16];

		wait_for(&asked[i].done);
		snprintf(number, sizeof(number), "%zu", i + 1);
		assert_int_equal(asked[i].request.err.code, ERROR_NONE);
		assert_string_equal(asked[i].request.report.data, number);
		buf_done(&asked[i].request.report);
	}
}

static void a_job_that_fails_says_so_and_the_next_one_runs(void **state)
{
	struct fixture *f = *state;
	struct asked bad, good;

	n_running = n_ran = 0;
	start(f, 0, 0);
	ask(f, &bad, &failing);
	ask(f, &good, &numbered);
	wait_for(&good.done);
	assert_true(bad.done);
	assert_int_equal(bad.request.err.code, ERROR_NO_SPACE);
	assert_slice(buf_slice(&bad.request.report), "half of it");
	assert_int_equal(good.request.err.code, ERROR_NONE);
	buf_done(&bad.request.report);
	buf_done(&good.request.report);
}

static void the_end_cuts_off_the_job_at_hand_and_refuses_the_others(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct asked at_hand, waiting, late = {.request = {.job = &numbered, .done = note_done}};

	endless_runs = false;
	n_ran = 0;
	start(f, 0, 0);
	ask(f, &at_hand, &endless);
	ask(f, &waiting, &numbered);
	wait_for(&endless_runs);
	embedded_stop_upkeep(f->embedded);
	assert_true(at_hand.done && waiting.done);
	assert_int_equal(at_hand.request.err.code, ERROR_UNAVAILABLE);
	assert_int_equal(waiting.request.err.code, ERROR_UNAVAILABLE);
	assert_int_equal(n_ran, 0);
	assert_refused(upkeep_submit(f->embedded->upkeep, &late.request, &err), ERROR_UNAVAILABLE);
	assert_false(late.done);
}

static void the_queue_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct asked *asked = test_calloc(LIMIT_JOB_QUEUE + 1, sizeof(*asked));
	struct asked late = {.request = {.job = &numbered, .done = note_done}};

	endless_runs = false;
	start(f, 0, 0);
	ask(f, &asked[0], &endless);
	wait_for(&endless_runs);
	for (size_t i = 1; i <= LIMIT_JOB_QUEUE; i++)
		ask(f, &asked[i], &numbered);
	assert_refused(upkeep_submit(f->embedded->upkeep, &late.request, &err), ERROR_TOO_MANY);
	embedded_stop_upkeep(f->embedded);
	for (size_t i = 0; i <= LIMIT_JOB_QUEUE; i++)
		assert_true(asked[i].done);
	test_free(asked);
}

/* ---- collection by itself ---- */

static bool upload_is_there(struct fixture *f, const char *id)
{
	struct error err = ERROR_INIT;
	uint64_t offset;

	return uploads_offset(
		       f->embedded->uploads, SLICE("team/app"), slice_of(id), &offset, &err) == 0;
}

static void abandon_upload(struct fixture *f, char ret_id[UPLOAD_ID_SIZE])
{
	struct error err = ERROR_INIT;
	struct upload *up;

	assert_ok(uploads_start(
		f->embedded->uploads, SLICE("team/app"), SLICE("owner"), DIGEST_SHA256, &up, &err));
	memcpy(ret_id, upload_id(up), UPLOAD_ID_SIZE);
	assert_ok(upload_release(up, &err));
}

static void garbage_is_collected_by_itself_over_and_over(void **state)
{
	struct fixture *f = *state;
	uint64_t until_ms = clock_monotonic_ms() + WAIT_MS;

	start(f, 1, 0);
	for (int i = 0; i < 2; i++) {
		char id[UPLOAD_ID_SIZE];

		abandon_upload(f, id);
		while (upload_is_there(f, id)) {
			assert_true(clock_monotonic_ms() < until_ms);
			usleep(10000);
		}
	}
}

static void jobs_that_keep_coming_do_not_put_it_off(void **state)
{
	struct fixture *f = *state;
	uint64_t until_ms = clock_monotonic_ms() + WAIT_MS;
	char id[UPLOAD_ID_SIZE];
	struct asked asked[2];

	start(f, 1, 0);
	abandon_upload(f, id);
	ask(f, &asked[0], &numbered);
	for (size_t i = 0; upload_is_there(f, id); i++) { /* one waits at any time */
		assert_true(clock_monotonic_ms() < until_ms);
		ask(f, &asked[(i + 1) % 2], &numbered);
		wait_for(&asked[i % 2].done);
		buf_done(&asked[i % 2].request.report);
	}
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		wait_for(&asked[i].done);
		buf_done(&asked[i].request.report);
	}
}

static void the_grace_period_is_kept(void **state)
{
	struct fixture *f = *state;
	struct asked asked = {.request = {.job = job_find(SLICE("gc")),
				      .args = {.grace_s = 3600},
				      .done = note_done}};
	struct error err = ERROR_INIT;
	char id[UPLOAD_ID_SIZE];

	start(f, 1, 3600);
	abandon_upload(f, id);
	usleep(1500000); /* by itself, and asked for */
	assert_ok(upkeep_submit(f->embedded->upkeep, &asked.request, &err));
	wait_for(&asked.done);
	assert_int_equal(asked.request.err.code, ERROR_NONE);
	assert_true(upload_is_there(f, id));
	buf_done(&asked.request.report);
}

static void a_job_is_found_by_its_name(void **state UNUSED)
{
	static const char *const names[] = {"gc", "verify", "backup", "export", "import"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_string_equal(job_find(slice_of(names[i]))->name, names[i]);
	assert_null(job_find(SLICE("")));
	assert_null(job_find(SLICE("gc/")));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(jobs_run_one_at_a_time_in_the_order_of_their_coming),
		TEST(a_job_that_fails_says_so_and_the_next_one_runs),
		TEST(the_end_cuts_off_the_job_at_hand_and_refuses_the_others),
		TEST(the_queue_is_bounded),
		TEST(garbage_is_collected_by_itself_over_and_over),
		TEST(jobs_that_keep_coming_do_not_put_it_off),
		TEST(the_grace_period_is_kept),
		cmocka_unit_test(a_job_is_found_by_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
