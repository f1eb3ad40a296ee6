/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "kube_stub.h"

/* ---- calls ---- */

struct answer {
	struct fixture *fixture;
	const char *path, *patch;
	atomic_bool is_there;
	int status;
	char name[64];
	struct error err;
};

static void on_answer(int status, json_t *object, const struct error *err, void *arg)
{
	struct answer *a = arg;

	a->status = status;
	snprintf(a->name, sizeof(a->name), "%s", kube_string(object, "metadata", "name", NULL));
	a->err = err == NULL ? (struct error)ERROR_INIT : *err;
	a->is_there = true;
}

static void begin_call(void *arg)
{
	struct answer *a = arg;

	if (a->patch != NULL)
		kube_patch(a->fixture->kube, a->path, slice_of(a->patch), on_answer, a);
	else
		kube_get(a->fixture->kube, a->path, on_answer, a);
}

static void post(struct fixture *f, struct answer *a, const char *path, const char *patch)
{
	struct error err;

	memset(a, 0, sizeof(*a));
	a->fixture = f;
	a->path = path;
	a->patch = patch;
	assert_int_equal(kube_post(f->kube, begin_call, a, &err), 0);
}

static void ask(struct fixture *f, struct answer *a, const char *path, const char *patch)
{
	uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;

	post(f, a, path, patch);
	while (!a->is_there) {
		if (clock_monotonic_ms() > until_ms)
			fail_msg("no answer to %s", path);
		usleep(1000);
	}
}

static bool answer_by_path(struct stub *s UNUSED, int fd, const char *request, unsigned n UNUSED)
{
	if (strstr(request, " /missing") != NULL)
		return stub_reply(fd, 404, STATUS("404", "things.g \\\"x\\\" not found"));
	if (strstr(request, " /unknown") != NULL)
		return stub_reply(fd, 401, STATUS("401", "Unauthorized"));
	if (strstr(request, " /forbidden") != NULL)
		return stub_reply(fd, 403, STATUS("403", "no access for you"));
	if (strstr(request, " /conflict") != NULL)
		return stub_reply(fd, 409, STATUS("409", "the object has been modified"));
	if (strstr(request, " /invalid") != NULL)
		return stub_reply(fd, 422, STATUS("422", "spec.replicas must be less"));
	if (strstr(request, " /broken") != NULL)
		return stub_reply(fd, 502, "<html>");
	if (strstr(request, " /html") != NULL)
		return stub_reply(fd, 200, "<html>");
	if (strstr(request, " /cut") != NULL)
		return stub_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{") && false;
	if (strstr(request, " /silent") != NULL)
		return stub_stay_silent(fd);
	return stub_reply(fd, 200, OBJECT("x", "7"));
}

static void a_merge_patch_says_who_sends_it(void **state UNUSED)
{
	struct fixture f;
	struct answer a;

	fixture_init(&f, answer_by_path, NULL);
	fixture_start(&f);
	ask(&f, &a, "/api/v1/things/x", "{\"a\":null}");
	assert_int_equal(a.status, 200);
	assert_int_equal(a.err.code, ERROR_NONE);
	assert_string_equal(a.name, "x");
	stub_assert_request(
		f.stub, 0, "PATCH /api/v1/things/x?fieldManager=gitops-squared HTTP/1.1\r\n");
	stub_assert_request(f.stub, 0, "Content-Type: application/merge-patch+json\r\n");
	stub_assert_request(f.stub, 0, "Accept: application/json\r\n");
	stub_assert_request(f.stub, 0, "Authorization: Bearer secret\r\n");
	stub_assert_request(f.stub, 0, "\r\n\r\n{\"a\":null}");
	ask(&f, &a, "/x?dryRun=All", "{}");
	stub_assert_request(
		f.stub, 1, "PATCH /x?dryRun=All&fieldManager=gitops-squared HTTP/1.1\r\n");
	ask(&f, &a, "/x", NULL);
	stub_assert_request(f.stub, 2, "GET /x HTTP/1.1\r\n");
	assert_null(strstr(f.stub->requests[2], "Content-Type"));
	fixture_done(&f);
}

static void a_refusal_has_the_servers_own_sentence(void **state UNUSED)
{
	static const struct {
		const char *path;
		int status;
		enum error_code code;
		const char *text;
	} cases[] = {
		{"/missing", 404, ERROR_NOT_FOUND, "things.g \"x\" not found"},
		{"/unknown", 401, ERROR_UNAUTHORIZED,
			"the Kubernetes API does not take our token or client certificate: "
			"Unauthorized"},
		{"/forbidden", 403, ERROR_DENIED, "no access for you"},
		{"/conflict", 409, ERROR_CONFLICT, "the object has been modified"},
		{"/invalid", 422, ERROR_UNPROCESSABLE, "spec.replicas must be less"},
		{"/broken", 502, ERROR_UNAVAILABLE, NULL},
		{"/html", 0, ERROR_UNAVAILABLE, NULL},
		{"/cut", 0, ERROR_UNAVAILABLE, NULL},
	};
	struct fixture f;

	fixture_init(&f, answer_by_path, NULL);
	fixture_start(&f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct answer a;

		ask(&f, &a, cases[i].path, NULL);
		assert_int_equal(a.status, cases[i].status);
		assert_int_equal(a.err.code, cases[i].code);
		if (cases[i].text != NULL)
			assert_string_equal(a.err.text, cases[i].text);
		assert_string_equal(a.name, "");
	}
	fixture_done(&f);
}

static void without_a_readable_token_nothing_is_sent(void **state UNUSED)
{
	struct fixture f;
	struct answer a;

	fixture_init(&f, answer_by_path, "/nonexistent/token");
	fixture_start(&f);
	ask(&f, &a, "/x", NULL);
	assert_int_equal(a.status, 0);
	assert_int_equal(a.err.code, ERROR_UNAUTHORIZED);
	assert_int_equal(stub_requests(f.stub), 0);
	fixture_done(&f);
}

static void on_asked(int status, json_t *object, const struct error *err UNUSED, void *arg)
{
	told_add(arg, status == 200 ? "=" : "!", kube_string(object, "metadata", "name", NULL));
}

static void ask_too(struct told *told)
{
	kube_get(told->arg, "/ask", on_asked, told);
}

static bool watch_and_answer(struct stub *s UNUSED, int fd, const char *request, unsigned n UNUSED)
{
	if (strstr(request, " /ask") != NULL)
		return stub_reply(fd, 200, OBJECT("asked", "9"));
	if (!stub_is_watch(request))
		return stub_reply(fd, 200, LIST("20", ""));
	stub_begin_watch(fd);
	stub_chunk(fd, EVENT("ADDED", "a", "21"));
	return stub_stay_silent(fd);
}

static void a_call_can_be_begun_where_an_event_is_told(void **state UNUSED)
{
	struct fixture f;

	fixture_init(&f, watch_and_answer, NULL);
	f.told.object = ask_too;
	f.told.arg = f.kube;
	fixture_watch(&f, THINGS);
	fixture_start(&f);
	told_assert(&f.told, "relist synced +a =asked ");
	fixture_done(&f);
}

/* ---- the thread ---- */

static void say_word(void *arg)
{
	struct {
		struct told *told;
		const char *word;
	} *w = arg;

	told_add(w->told, w->word, "");
}

static void posts_run_in_their_order_also_those_before_the_start(void **state UNUSED)
{
	struct fixture f;
	struct {
		struct told *told;
		const char *word;
	} words[] = {{&f.told, "one"}, {&f.told, "two"}, {&f.told, "three"}};
	struct error err;

	fixture_init(&f, answer_by_path, NULL);
	assert_int_equal(kube_post(f.kube, say_word, &words[0], &err), 0);
	assert_int_equal(kube_post(f.kube, say_word, &words[1], &err), 0);
	fixture_start(&f);
	told_assert(&f.told, "one two ");
	assert_int_equal(kube_post(f.kube, say_word, &words[2], &err), 0);
	kube_stop(f.kube);
	assert_string_equal(f.told.words, "one two three ");
	assert_int_equal(kube_post(f.kube, say_word, &words[2], &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	fixture_done(&f);
}

static void a_client_that_never_started_runs_what_was_posted_when_it_stops(void **state UNUSED)
{
	struct fixture f;
	struct answer a;

	fixture_init(&f, answer_by_path, NULL);
	post(&f, &a, "/x", NULL);
	kube_stop(f.kube);
	assert_true(a.is_there);
	assert_int_equal(a.err.code, ERROR_UNAVAILABLE);
	assert_int_equal(stub_requests(f.stub), 0);
	fixture_done(&f);
}

static bool watch_or_silent(struct stub *s UNUSED, int fd, const char *request, unsigned n UNUSED)
{
	if (strstr(request, "?limit=") != NULL)
		return stub_reply(fd, 200, LIST("20", OBJECT("a", "5")));
	if (stub_is_watch(request))
		stub_begin_watch(fd);
	return stub_stay_silent(fd);
}

static void a_stop_ends_calls_and_watches(void **state UNUSED)
{
	struct fixture f;
	struct answer waits, late;

	fixture_begin(&f, watch_or_silent);
	stub_assert_request(f.stub, 1, "?watch=1");
	post(&f, &waits, "/silent", NULL);
	stub_assert_request(f.stub, 2, "GET /silent");
	post(&f, &late, "/silent", NULL);
	kube_stop(f.kube);
	assert_true(waits.is_there);
	assert_int_equal(waits.status, 0);
	assert_int_equal(waits.err.code, ERROR_UNAVAILABLE);
	assert_true(late.is_there);
	assert_int_equal(late.err.code, ERROR_UNAVAILABLE);
	assert_string_equal(f.told.words, "relist +a synced ");
	fixture_done(&f);
}

static void count(void *arg)
{
	++*(atomic_uint *)arg;
}

static void ticks_come_without_anything_else(void **state UNUSED)
{
	uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
	atomic_uint ticks = 0;
	struct fixture f;

	fixture_init(&f, answer_by_path, NULL);
	kube_on_tick(f.kube, count, &ticks);
	fixture_start(&f);
	while (ticks < 5 && clock_monotonic_ms() < until_ms)
		usleep(1000);
	assert_true(ticks >= 5);
	fixture_done(&f);
}

/* ---- objects ---- */

static void strings_of_an_object_are_found_by_their_path(void **state UNUSED)
{
	CLEANUP(json_decrefp)
	json_t *object = json_loads(
		"{\"metadata\":{\"name\":\"x\",\"generation\":3,\"labels\":{\"a/b\":\"l\"},"
		"\"annotations\":{\"a/b\":\"n\"}}}",
		0, NULL);

	assert_string_equal(kube_string(object, "metadata", "name", NULL), "x");
	assert_string_equal(kube_string(object, "metadata", "generation", NULL), "");
	assert_string_equal(kube_string(object, "metadata", "name", "more", NULL), "");
	assert_string_equal(kube_string(object, "spec", "x", "y", NULL), "");
	assert_string_equal(kube_string(NULL, "spec", NULL), "");
	assert_string_equal(kube_label(object, "a/b"), "l");
	assert_string_equal(kube_annotation(object, "a/b"), "n");
	assert_string_equal(kube_annotation(object, "b"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_merge_patch_says_who_sends_it),
		cmocka_unit_test(a_refusal_has_the_servers_own_sentence),
		cmocka_unit_test(without_a_readable_token_nothing_is_sent),
		cmocka_unit_test(a_call_can_be_begun_where_an_event_is_told),
		cmocka_unit_test(posts_run_in_their_order_also_those_before_the_start),
		cmocka_unit_test(a_client_that_never_started_runs_what_was_posted_when_it_stops),
		cmocka_unit_test(a_stop_ends_calls_and_watches),
		cmocka_unit_test(ticks_come_without_anything_else),
		cmocka_unit_test(strings_of_an_object_are_found_by_their_path),
	};

	signal(SIGPIPE, SIG_IGN);
	setenv("no_proxy", "127.0.0.1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
