/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/duration.h"

static void durations_have_a_number_and_a_unit(void **state UNUSED)
{
	static const struct {
		const char *text;
		uint64_t seconds;
	} cases[] = {
		{"0", 0},
		{"0s", 0},
		{"90s", 90},
		{"15m", 900},
		{"1h", 3600},
		{"7d", 604800},
		{"007d", 604800},
		{"36500d", LIMIT_DURATION_S},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = ERROR_INIT;
		uint64_t got = 1;

		assert_int_equal(duration_parse(cases[i].text, &got, &err), 0);
		assert_int_equal(got, cases[i].seconds);
	}
}

static void anything_else_is_refused_and_quoted(void **state UNUSED)
{
	static const char *const cases[] = {"", "s", "5", "1w", "-1h", "1.5h", "1h30m", " 1h",
		"1 h", "1H", "500ms", "36501d", "18446744073709551616s", "18446744073709551615d"};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = ERROR_INIT;
		uint64_t got = 1;

		assert_int_equal(duration_parse(cases[i], &got, &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_non_null(strstr(err.text, cases[i]));
		assert_int_equal(got, 1);
	}
}

static void milliseconds_are_a_unit_where_they_are_asked_for(void **state UNUSED)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} cases[] = {{"0", 0}, {"0ms", 0}, {"500ms", 500}, {"30s", 30000}, {"2m", 120000},
		{"1h", 3600000}, {"36500d", LIMIT_DURATION_S * 1000}};
	static const char *const bad[] = {"", "ms", "5", "-1ms", "1.5s", "1s500ms", "1 ms",
		"36501d", "18446744073709551615ms", "18446744073709551615s"};
	struct error err = ERROR_INIT;
	uint64_t got;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(duration_parse_ms(cases[i].text, &got, &err), 0);
		assert_int_equal(got, cases[i].ms);
	}
	got = 1;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(duration_parse_ms(bad[i], &got, &err), -1);
		assert_non_null(strstr(err.text, bad[i]));
		assert_int_equal(got, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_have_a_number_and_a_unit),
		cmocka_unit_test(anything_else_is_refused_and_quoted),
		cmocka_unit_test(milliseconds_are_a_unit_where_they_are_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
