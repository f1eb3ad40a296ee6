/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "api/bodies.h"

#include <stdatomic.h>

static struct subject *subject_of(enum auth_method method, const char *name)
{
	const struct subject_draft draft = {.method = method, .name = slice_of(name)};
	struct subject *s = NULL;
	struct error err;

	assert_int_equal(subject_new(&s, &draft, &err), 0);
	return s;
}

static struct bodies *bodies(void)
{
	struct bodies *b = NULL;
	struct error err;

	assert_int_equal(bodies_new(&b, &err), 0);
	return b;
}

static struct body_seat *sit(
	struct bodies *b, enum auth_method method, const char *name, const char *peer, size_t size)
{
	CLEANUP(subject_unrefp) struct subject *s = subject_of(method, name);
	struct body_seat *seat = NULL;
	struct error err = ERROR_INIT;

	if (bodies_sit(&seat, b, s, peer, size, &err) == 0)
		return seat;
	assert_int_equal(err.code, ERROR_TOO_MANY);
	assert_int_equal(err.retry_after_s, 1);
	return NULL;
}

static void a_subject_has_one_seat_at_a_time(void **state UNUSED)
{
	struct bodies *b = bodies();
	struct body_seat *ci = sit(b, AUTH_TOKEN, "ci", "::1", 1), *other;

	assert_non_null(ci);
	assert_null(sit(b, AUTH_TOKEN, "ci", "::2", 1));
	other = sit(b, AUTH_OIDC, "ci", "::1", 1);
	assert_non_null(other);
	body_seat_free(ci);
	ci = sit(b, AUTH_TOKEN, "ci", "::1", 1);
	assert_non_null(ci);
	body_seat_free(ci);
	body_seat_free(other);
	bodies_free(b);
}

static void who_is_anonymous_is_told_apart_by_address(void **state UNUSED)
{
	struct bodies *b = bodies();
	struct body_seat *one = sit(b, AUTH_ANONYMOUS, "", "::1", 1);
	struct body_seat *two = sit(b, AUTH_ANONYMOUS, "", "::2", 1);

	assert_non_null(one);
	assert_non_null(two);
	assert_null(sit(b, AUTH_ANONYMOUS, "", "::1", 1));
	body_seat_free(one);
	body_seat_free(two);
	bodies_free(b);
}

static void all_seats_together_have_a_size(void **state UNUSED)
{
	struct bodies *b = bodies();
	struct body_seat *one = sit(b, AUTH_TOKEN, "a", "", LIMIT_LARGE_BODIES - 1);
	struct body_seat *last;

	assert_non_null(one);
	assert_null(sit(b, AUTH_TOKEN, "b", "", 2));
	last = sit(b, AUTH_TOKEN, "b", "", 1);
	assert_non_null(last);
	assert_null(sit(b, AUTH_TOKEN, "c", "", 1));
	body_seat_free(one);
	body_seat_free(last);
	last = sit(b, AUTH_TOKEN, "c", "", LIMIT_LARGE_BODIES);
	assert_non_null(last);
	body_seat_free(last);
	bodies_free(b);
}

static void count(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
}

static void what_waits_is_run_before_it_stops_and_nothing_later(void **state UNUSED)
{
	struct bodies *b = bodies();
	atomic_uint n = 0;

	for (unsigned i = 0; i < 1000; i++)
		assert_true(bodies_run(b, count, &n));
	bodies_stop(b);
	assert_int_equal(n, 1000);
	assert_false(bodies_run(b, count, &n));
	bodies_stop(b);
	bodies_free(b);
	assert_int_equal(n, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_subject_has_one_seat_at_a_time),
		cmocka_unit_test(who_is_anonymous_is_told_apart_by_address),
		cmocka_unit_test(all_seats_together_have_a_size),
		cmocka_unit_test(what_waits_is_run_before_it_stops_and_nothing_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
