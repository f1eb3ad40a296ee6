/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a server for a job over its socket. */
#include "store_fixture.h"

#include "http/client.h"
#include "registry/admin.h"
#include "registry/embedded_private.h"

#include <signal.h>
#include <unistd.h>

struct fixture {
	char dir[64];
	char socket[128];
	struct embedded *embedded;
	struct http_loops *loops;
	struct http_server *server;
};

static int setup(void **state)
{
	struct fixture *f = test_malloc(sizeof(*f));
	struct upkeep_options upkeep = {0};
	struct error err = ERROR_INIT;

	digest_setup();
	make_folder(f->dir);
	snprintf(f->socket, sizeof(f->socket), "%s/admin.sock", f->dir);
	assert_ok(embedded_new(&f->embedded, f->dir, &err));
	assert_ok(embedded_start_upkeep(f->embedded, &upkeep, &err));
	assert_ok(http_loops_new(&f->loops, 1, &err));
	assert_ok(admin_listen(&f->server, f->loops, f->embedded, &err));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	embedded_stop_upkeep(f->embedded);
	http_server_free(f->server);
	embedded_free(f->embedded);
	http_loops_free(f->loops);
	remove_folder(f->dir);
	test_free(f);
	return 0;
}

static void a_job_answers_with_its_report(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct job_args args = {.dry_run = true, .grace_s = 3600, .grace_given = true};
	CLEANUP(buf_done) struct buf report = BUF_INIT(LIMIT_JOB_REPORT);

	assert_ok(admin_call(f->dir, "gc", &args, &report, &err));
	assert_non_null(strstr(report.data, "blobs removed: 0 (0 bytes)\n"));
	assert_non_null(strstr(report.data, "dry run"));
	buf_reset(&report);
	args.dry_run = false;
	assert_ok(admin_call(f->dir, "gc", &args, &report, &err));
	assert_null(strstr(report.data, "dry run"));
}

/* Which is 0 here. */
static void the_server_goes_by_its_own_grace_unless_one_is_given(void **state)
{
	static const struct {
		struct job_args args;
		const char *says;
	} cases[] = {
		{{.dry_run = true, .grace_s = 3600, .grace_given = true}, "blobs removed: 0 ("},
		{{.dry_run = true, .grace_s = 3600}, "blobs removed: 1 ("},
	};
	struct fixture *f = *state;
	struct slice bytes = SLICE("an orphan");
	struct digest digest = digest_of(bytes);
	struct error err = ERROR_INIT;
	struct store_conn *tx;

	assert_ok(store_begin(f->embedded->store, &tx, &err));
	assert_ok(store_blob_put(tx, SLICE("team/app"), &digest, bytes.n, bytes, &err));
	assert_ok(store_commit(f->embedded->store, &err));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(buf_done) struct buf report = BUF_INIT(LIMIT_JOB_REPORT);

		assert_ok(admin_call(f->dir, "gc", &cases[i].args, &report, &err));
		assert_non_null(strstr(report.data, cases[i].says));
	}
}

static void a_path_and_the_error_about_it_come_through_as_they_are(void **state)
{
	static const char *const names[] = {
		"with space", "a&b=c", "100%", "plus+", "quote\"", "\xc3\xa4", "no/such/folder"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP(buf_done) struct buf report = BUF_INIT(LIMIT_JOB_REPORT);
		struct job_args args = {0};
		struct error err = ERROR_INIT;
		char path[256];

		snprintf(path, sizeof(path), "%s/%s/import", f->dir, names[i]);
		args.path = path;
		assert_int_equal(admin_call(f->dir, "import", &args, &report, &err), -1);
		if (strstr(err.text, path) == NULL)
			fail_msg("%s: %s", path, err.text);
	}
}

static void a_request_that_makes_no_sense_is_refused(void **state)
{
	static const struct {
		const char *method, *target;
		int status;
	} cases[] = {
		{"POST", "/v1/jobs/", 404},
		{"POST", "/v1/jobs/format", 404},
		{"POST", "/", 404},
		{"GET", "/v1/jobs/gc", 405},
		{"POST", "/v1/jobs/gc?grace=-1", 400},
		{"POST", "/v1/jobs/gc?grace=1h", 400},
		{"POST", "/v1/jobs/gc?grace=99999999999999999999", 400},
		{"POST", "/v1/jobs/gc?grace=3153600001", 400},
		{"POST", "/v1/jobs/gc?grace=%zz", 400},
		{"POST", "/v1/jobs/backup", 400},
		{"POST", "/v1/jobs/backup?path=", 400},
		{"POST", "/v1/jobs/backup?path=relative", 400},
		{"POST", "/v1/jobs/verify", 200},
	};
	struct fixture *f = *state;
	struct http_client_options options = {.parallel = 1, .unix_socket = f->socket};
	CLEANUP(http_client_freep) struct http_client *client = NULL;
	struct error err = ERROR_INIT;

	assert_ok(http_client_new(&client, &options, &err));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(http_call_done) struct http_call call;
		char url[128];

		snprintf(url, sizeof(url), "http://localhost%s", cases[i].target);
		http_call_init(&call, cases[i].method, url, 10000);
		http_client_run(client, &call, 1);
		if (call.status != cases[i].status)
			fail_msg("%s: %d", url, call.status);
		assert_non_null(strstr(call.response_body.data, "{\"report\":\""));
		assert_int_equal(strstr(call.response_body.data, "\"error\":\"") != NULL,
			call.status != 200);
	}
}

static void without_a_server_nothing_has_happened(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf report = BUF_INIT(LIMIT_JOB_REPORT);
	struct error err = ERROR_INIT;
	struct job_args args = {0};
	char dir[64];

	make_folder(dir);
	assert_refused(admin_call(dir, "gc", &args, &report, &err), ERROR_NOT_FOUND);
	assert_refused(admin_call("/nowhere/at/all", "gc", &args, &report, &err), ERROR_NOT_FOUND);
	remove_folder(dir);
}

static void after_the_end_a_job_is_refused(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_done) struct buf report = BUF_INIT(LIMIT_JOB_REPORT);
	struct error err = ERROR_INIT;
	struct job_args args = {0};

	embedded_stop_upkeep(f->embedded);
	assert_int_equal(admin_call(f->dir, "gc", &args, &report, &err), -1);
	assert_non_null(strstr(err.text, "stopping"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_job_answers_with_its_report),
		TEST(the_server_goes_by_its_own_grace_unless_one_is_given),
		TEST(a_path_and_the_error_about_it_come_through_as_they_are),
		TEST(a_request_that_makes_no_sense_is_refused),
		cmocka_unit_test(without_a_server_nothing_has_happened),
		TEST(after_the_end_a_job_is_refused),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
