/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/limits.h"
#include "registry/retry.h"

static void only_what_may_pass_is_tried_again(void **state UNUSED)
{
	static const int again[] = {429, 500, 502, 503, 504};
	static const int final[] = {
		0, 200, 201, 301, 400, 401, 403, 404, 405, 409, 413, 416, 501, 505, 507};

	for (size_t i = 0; i < ARRAY_SIZE(again); i++)
		assert_true(retry_status(again[i]));
	for (size_t i = 0; i < ARRAY_SIZE(final); i++)
		assert_false(retry_status(final[i]));
}

static void the_wait_is_anything_up_to_a_ceiling_that_doubles(void **state UNUSED)
{
	static const unsigned ceilings[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000};

	for (unsigned n = 1; n <= ARRAY_SIZE(ceilings); n++) {
		unsigned ceiling = ceilings[n - 1];

		assert_int_equal(retry_backoff_ms(n, 0), 0);
		assert_int_equal(retry_backoff_ms(n, ceiling - 1), ceiling - 1);
		assert_int_equal(retry_backoff_ms(n, ceiling), 0);
		assert_true(retry_backoff_ms(n, UINT32_MAX) < ceiling);
	}
	assert_true(retry_backoff_ms(1000000, UINT32_MAX) < 5000);
}

static void retry_after_is_read_as_seconds_or_as_a_date(void **state UNUSED)
{
	static const struct {
		const char *value;
		bool ok;
		uint64_t ms;
	} cases[] = {
		{"0", true, 0},
		{"7", true, 7000},
		{"99999999999999999", true, (uint64_t)UINT32_MAX * 1000},
		{"Tue, 24 Nov 2026 17:24:42 GMT", true, 2000},
		{"Tue, 24 Nov 2026 17:24:40 GMT", true, 0},
		{"Tue, 24 Nov 2026 17:00:00 GMT", true, 0},
		{"Thu, 01 Jan 1960 00:00:00 GMT", false, 0},
		{"Tue, 24 Nov 2026 17:24:42 GMT and more than that", false, 0},
		{"Tue, 24 Nov 2026 17:24:42", false, 0},
		{"", false, 0},
		{"-1", false, 0},
		{"1.5", false, 0},
		{"soon", false, 0},
	};
	const uint64_t now_us = 1795541080123456; /* 2026-11-24T17:24:40.123456Z */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t ms = 0;

		assert_int_equal(
			retry_after_parse(slice_of(cases[i].value), now_us, &ms), cases[i].ok);
		assert_int_equal(ms, cases[i].ms);
	}
	assert_false(retry_after_parse(SLICE_NONE, now_us, &(uint64_t){0}));
}

static void tries_are_counted_and_end(void **state UNUSED)
{
	struct retry retry = {.max = 2, .deadline_ms = 1000000};
	unsigned delay_ms = 7;

	assert_true(retry_next(&retry, 0, 0, 99, &delay_ms));
	assert_int_equal(delay_ms, 99);
	assert_true(retry_next(&retry, 0, 0, 199, &delay_ms));
	assert_int_equal(delay_ms, 199);
	assert_false(retry_next(&retry, 0, 0, 0, &delay_ms));
	assert_int_equal(retry.made, 2);
}

static void no_try_begins_after_the_deadline(void **state UNUSED)
{
	struct retry retry = {.max = 9, .deadline_ms = 1000};
	unsigned delay_ms;

	assert_true(retry_next(&retry, 0, 950, 50, &delay_ms));
	retry.made = 0;
	assert_false(retry_next(&retry, 0, 950, 51, &delay_ms));
	assert_false(retry_next(&retry, 2000, 0, 0, &delay_ms));
	assert_int_equal(retry.made, 0);
}

static void retry_after_is_added_to_the_jitter_and_capped(void **state UNUSED)
{
	struct retry retry = {.max = 9, .deadline_ms = 1000000};
	unsigned delay_ms;

	assert_true(retry_next(&retry, 3000, 0, 10, &delay_ms));
	assert_int_equal(delay_ms, 3010);
	assert_true(retry_next(&retry, UINT64_MAX, 0, 10, &delay_ms));
	assert_int_equal(delay_ms, LIMIT_RETRY_AFTER_MS + 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_may_pass_is_tried_again),
		cmocka_unit_test(the_wait_is_anything_up_to_a_ceiling_that_doubles),
		cmocka_unit_test(retry_after_is_read_as_seconds_or_as_a_date),
		cmocka_unit_test(tries_are_counted_and_end),
		cmocka_unit_test(no_try_begins_after_the_deadline),
		cmocka_unit_test(retry_after_is_added_to_the_jitter_and_capped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
