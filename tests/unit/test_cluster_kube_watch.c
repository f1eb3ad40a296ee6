/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "kube_stub.h"

static bool pages_and_events(struct stub *s UNUSED, int fd, const char *request, unsigned n UNUSED)
{
	if (strstr(request, "continue=") != NULL)
		return stub_reply(fd, 200, LIST("20", OBJECT("b", "7")));
	if (!stub_is_watch(request))
		return stub_reply(fd, 200, LIST_PAGE("20", "p/2=", OBJECT("a", "5")));
	stub_begin_watch(fd);
	stub_chunk(fd, EVENT("ADDED", "c", "21") "{\"type\":\"MODIFIED\",\"object");
	usleep(20000);
	stub_chunk(fd, "\":" OBJECT("a", "22"));
	usleep(20000);
	stub_chunk(fd, "}");
	usleep(20000);
	stub_chunk(fd, "\n" EVENT("DELETED", "b", "23"));
	return stub_stay_silent(fd);
}

static void a_list_comes_in_pages_and_a_watch_goes_on_from_there(void **state UNUSED)
{
	struct fixture f;

	fixture_begin(&f, pages_and_events);
	told_assert(&f.told, "relist +a +b synced +c +a -b ");
	stub_assert_request(
		f.stub, 0, "GET /apis/g/v1/things?limit=500&labelSelector=a%3Db HTTP/1.1");
	stub_assert_request(f.stub, 0, "Authorization: Bearer secret\r\n");
	stub_assert_request(f.stub, 1, "?limit=500&continue=p%2F2%3D&labelSelector=a%3Db HTTP");
	stub_assert_request(f.stub, 2,
		"?watch=1&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion=20&label");
	fixture_done(&f);
}

static bool bookmark_and_end(struct stub *s UNUSED, int fd, const char *request, unsigned n)
{
	if (!stub_is_watch(request))
		return stub_reply(fd, 200, LIST("20", OBJECT("a", "5")));
	stub_begin_watch(fd);
	if (n > 1)
		return stub_stay_silent(fd);
	return stub_chunk(fd, EVENT("BOOKMARK", "", "500")) && stub_end_watch(fd);
}

static void a_watch_that_ends_goes_on_from_the_last_bookmark(void **state UNUSED)
{
	struct fixture f;

	fixture_begin(&f, bookmark_and_end);
	stub_assert_request(f.stub, 1, "&resourceVersion=20&");
	stub_assert_request(f.stub, 2, "&resourceVersion=500&");
	told_assert(&f.told, "relist +a synced ");
	assert_int_equal(f.told.losses, 0);
	fixture_done(&f);
}

static bool expires(struct stub *s UNUSED, int fd, const char *request UNUSED, unsigned n)
{
	switch (n) {
	case 0:
	case 4:
		return stub_reply(fd, 200, LIST("20", OBJECT("a", "5") "," OBJECT("b", "5")));
	case 1: /* the watch has expired, in its stream */
		stub_begin_watch(fd);
		return stub_chunk(fd, ERROR_EVENT("410", "too old resource version: 20 (30)")) &&
		       stub_end_watch(fd);
	case 2:
		return stub_reply(fd, 200, LIST_PAGE("30", "x", OBJECT("a", "5")));
	case 3: /* the list has expired between its pages */
	case 5: /* the watch has expired, by its status */
		return stub_reply(fd, 410, STATUS("410", "expired"));
	case 6:
		return stub_reply(fd, 200, LIST("40", OBJECT("c", "39")));
	default:
		stub_begin_watch(fd);
		return stub_stay_silent(fd);
	}
}

static void what_has_expired_is_listed_again_and_is_not_lost(void **state UNUSED)
{
	struct fixture f;

	fixture_begin(&f, expires);
	stub_assert_request(f.stub, 2, "?limit=500&label");
	stub_assert_request(f.stub, 3, "&continue=x&");
	stub_assert_request(f.stub, 4, "?limit=500&label");
	stub_assert_request(f.stub, 5, "&resourceVersion=20&");
	stub_assert_request(f.stub, 7, "&resourceVersion=40&");
	told_assert(&f.told, "relist +a +b synced relist +a relist +a +b synced relist +c synced ");
	assert_int_equal(f.told.losses, 0);
	fixture_done(&f);
}

/* The first watch breaks in the middle of an event, three more come to nothing. */
static bool cut_and_silent(struct stub *s UNUSED, int fd, const char *request, unsigned n)
{
	if (!stub_is_watch(request))
		return stub_reply(fd, 200, LIST("20", OBJECT("a", "5")));
	if (n >= 2 && n <= 4)
		return false;
	stub_begin_watch(fd);
	if (n > 4)
		return stub_stay_silent(fd);
	stub_chunk(fd, EVENT("ADDED", "b", "21"));
	stub_chunk(fd, "{\"type\":\"ADDED\",\"object\":" OBJECT("half", "22"));
	return false;
}

static void a_broken_watch_is_lost_until_one_is_accepted_from_the_same_place(void **state UNUSED)
{
	struct fixture f;

	fixture_begin(&f, cut_and_silent);
	told_assert(&f.told, "relist +a synced +b lost synced ");
	stub_assert_request(f.stub, 2, "&resourceVersion=21&");
	stub_assert_request(f.stub, 5, "&resourceVersion=21&");
	assert_int_equal(f.told.losses, 4);
	assert_int_equal(f.told.why.code, ERROR_UNAVAILABLE);
	fixture_done(&f);
}

/* The first watch breaks, and the second is refused. */
static bool refuse_to_go_on(struct stub *s UNUSED, int fd, const char *request, unsigned n)
{
	if (!stub_is_watch(request))
		return stub_reply(fd, 200, LIST("20", OBJECT("a", "5")));
	if (n == 2)
		return stub_reply(fd, 504, STATUS("504", "Too large resource version"));
	stub_begin_watch(fd);
	return n > 2 && stub_stay_silent(fd);
}

static void after_a_refused_watch_all_is_listed_again(void **state UNUSED)
{
	struct fixture f;

	fixture_begin(&f, refuse_to_go_on);
	told_assert(&f.told, "relist +a synced lost relist +a synced ");
	assert_int_equal(f.told.losses, 2);
	assert_string_equal(f.told.why.text, "Too large resource version");
	fixture_done(&f);
}

static bool refuse_all(struct stub *s UNUSED, int fd, const char *request UNUSED, unsigned n UNUSED)
{
	return stub_reply(fd, 503, STATUS("503", "etcd is down"));
}

static void pauses_between_failures_grow(void **state UNUSED)
{
	struct fixture f;

	fixture_begin(&f, refuse_all);
	stub_wait(f.stub, 6);
	for (unsigned n = 1; n < 6; n++) {
		uint64_t least_ms = UINT64_C(25) << n;

		assert_true(f.stub->came_ms[n] - f.stub->came_ms[n - 1] >= least_ms);
	}
	fixture_done(&f);
	assert_string_equal(f.told.words, "lost ");
	assert_string_equal(f.told.why.text, "etcd is down");
}

/* Watches of THINGS break when they are told to, once; others are refused until then. */
struct outage {
	atomic_uint refusals;
	atomic_bool is_over;
	_Atomic uint64_t refused_ms, accepted_ms; /* the others, last and first */
};

static bool go_through_outage(struct stub *s, int fd, const char *request, unsigned n UNUSED)
{
	struct outage *outage = s->arg;
	bool is_other = strstr(request, THINGS) == NULL;

	if (is_other && !outage->is_over) {
		outage->refused_ms = clock_monotonic_ms();
		outage->refusals++;
		return false;
	}
	if (is_other && outage->accepted_ms == 0)
		outage->accepted_ms = clock_monotonic_ms();
	if (!stub_is_watch(request))
		return stub_reply(fd, 200, LIST("20", ""));
	stub_begin_watch(fd);
	if (outage->is_over)
		return stub_stay_silent(fd);
	while (outage->refusals < 6)
		usleep(1000);
	outage->is_over = true;
	return false;
}

static void when_one_watch_is_back_the_others_do_not_sit_out_their_pauses(void **state UNUSED)
{
	static struct outage outage; /* the stub outlives the test */
	uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
	struct fixture f;

	fixture_init(&f, go_through_outage, NULL);
	f.stub->arg = &outage;
	fixture_watch(&f, THINGS);
	fixture_watch(&f, "/others");
	fixture_start(&f);
	while (outage.accepted_ms == 0 && clock_monotonic_ms() < until_ms)
		usleep(1000);
	fixture_done(&f);
	/* the sixth pause is at least half of 100 ms, doubled five times */
	assert_true(outage.accepted_ms != 0);
	assert_true(outage.accepted_ms - outage.refused_ms < 1600);
}

static bool no_such_kind_yet(struct stub *s UNUSED, int fd, const char *request, unsigned n)
{
	static const char *const refusals[] = {"404", "403"};

	if (n < 2)
		return stub_reply(fd, atoi(refusals[n]), "no JSON at all");
	if (!stub_is_watch(request))
		return stub_reply(fd, 200, LIST("20", OBJECT("a", "5")));
	stub_begin_watch(fd);
	return stub_stay_silent(fd);
}

static void a_kind_that_does_not_exist_is_asked_for_until_it_does(void **state UNUSED)
{
	struct fixture f;

	fixture_begin(&f, no_such_kind_yet);
	told_assert(&f.told, "lost relist +a synced ");
	assert_int_equal(f.told.losses, 2);
	assert_int_equal(f.told.why.code, ERROR_DENIED);
	fixture_done(&f);
}

static bool too_large_an_event(struct stub *s UNUSED, int fd, const char *request, unsigned n)
{
	AUTO_FREE char *filler = malloc(MIB + 1);

	if (!stub_is_watch(request))
		return stub_reply(fd, 200, LIST("20", OBJECT("a", "5")));
	stub_begin_watch(fd);
	if (n > 1)
		return stub_stay_silent(fd);
	memset(filler, 'x', MIB);
	filler[MIB] = '\0';
	for (size_t sent = 0; sent <= LIMIT_KUBE_EVENT; sent += MIB)
		if (!stub_chunk(fd, filler))
			return false;
	return stub_stay_silent(fd);
}

static void after_an_event_that_cannot_be_read_all_is_listed_again(void **state UNUSED)
{
	struct fixture f;

	fixture_begin(&f, too_large_an_event);
	told_assert(&f.told, "relist +a synced lost relist +a synced ");
	assert_int_equal(f.told.why.code, ERROR_TOO_LARGE);
	fixture_done(&f);
}

static bool ends_at_once(struct stub *s UNUSED, int fd, const char *request, unsigned n UNUSED)
{
	if (!stub_is_watch(request))
		return stub_reply(fd, 200, LIST("20", ""));
	return stub_begin_watch(fd) && stub_end_watch(fd);
}

static void a_server_that_ends_each_watch_at_once_is_not_hurried(void **state UNUSED)
{
	struct fixture f;

	fixture_begin(&f, ends_at_once);
	stub_wait(f.stub, 6);
	for (unsigned n = 2; n < 6; n++)
		assert_true(f.stub->came_ms[n] - f.stub->came_ms[n - 1] >= UINT64_C(25) << (n - 1));
	fixture_done(&f);
	assert_string_equal(f.told.words, "relist synced ");
}

/* ---- tokens ---- */

static void write_token(const char *path, const char *token)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	AN(fd >= 0);
	AN(stub_say(fd, token));
}

static bool token_expires(struct stub *s, int fd, const char *request, unsigned n)
{
	if (n == 1) {
		write_token(s->arg, "second\n");
		return stub_reply(fd, 401, STATUS("401", "Unauthorized"));
	}
	if (!stub_is_watch(request))
		return stub_reply(fd, 200, LIST("20", OBJECT("a", "5")));
	stub_begin_watch(fd);
	return stub_stay_silent(fd);
}

static void a_token_that_is_refused_is_read_again_from_its_file(void **state UNUSED)
{
	struct fixture f;
	char path[] = "/tmp/gsq-token-XXXXXX";

	assert_int_equal(close(mkstemp(path)), 0);
	write_token(path, "  first\n");
	fixture_init(&f, token_expires, path);
	f.stub->arg = path;
	fixture_watch(&f, THINGS);
	fixture_start(&f);
	told_assert(&f.told, "relist +a synced lost synced ");
	assert_int_equal(f.told.why.code, ERROR_UNAUTHORIZED);
	stub_assert_request(f.stub, 1, "Authorization: Bearer first\r\n");
	stub_assert_request(f.stub, 2, "Authorization: Bearer second\r\n");
	stub_assert_request(f.stub, 2, "&resourceVersion=20&");
	fixture_done(&f);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_comes_in_pages_and_a_watch_goes_on_from_there),
		cmocka_unit_test(a_watch_that_ends_goes_on_from_the_last_bookmark),
		cmocka_unit_test(what_has_expired_is_listed_again_and_is_not_lost),
		cmocka_unit_test(a_broken_watch_is_lost_until_one_is_accepted_from_the_same_place),
		cmocka_unit_test(after_a_refused_watch_all_is_listed_again),
		cmocka_unit_test(pauses_between_failures_grow),
		cmocka_unit_test(when_one_watch_is_back_the_others_do_not_sit_out_their_pauses),
		cmocka_unit_test(a_kind_that_does_not_exist_is_asked_for_until_it_does),
		cmocka_unit_test(after_an_event_that_cannot_be_read_all_is_listed_again),
		cmocka_unit_test(a_server_that_ends_each_watch_at_once_is_not_hurried),
		cmocka_unit_test(a_token_that_is_refused_is_read_again_from_its_file),
	};

	signal(SIGPIPE, SIG_IGN);
	setenv("no_proxy", "127.0.0.1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
