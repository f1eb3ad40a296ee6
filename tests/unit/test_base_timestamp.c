/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/timestamp.h"

static void times_are_read(void **state UNUSED)
{
	static const struct {
		const char *text;
		uint64_t us;
	} times[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-11-24T17:24:42Z", UINT64_C(1795541082000000)},
		{"2026-11-24t17:24:42z", UINT64_C(1795541082000000)},
		{"2026-11-24T17:24:42.5Z", UINT64_C(1795541082500000)},
		{"2026-11-24T17:24:42.123456789Z", UINT64_C(1795541082123456)},
		{"2026-11-24T18:24:42+01:00", UINT64_C(1795541082000000)},
		{"2026-11-24T11:54:42-05:30", UINT64_C(1795541082000000)},
		{"1969-12-31T23:59:59-00:01", UINT64_C(59000000)},
		{"2024-02-29T00:00:00Z", UINT64_C(1709164800000000)},
		{"9999-12-31T23:59:59.999999Z", UINT64_C(253402300799999999)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		uint64_t us = 1;

		assert_true(timestamp_parse(slice_of(times[i].text), &us));
		assert_int_equal(us, times[i].us);
	}
}

static void what_is_no_time_is_refused(void **state UNUSED)
{
	static const char *const texts[] = {
		"",
		"now",
		"2026-11-24",
		"2026-11-24T17:24:42",
		"2026-11-24 17:24:42Z",
		"2026-11-24T17:24Z",
		"26-11-24T17:24:42Z",
		"2026-11-24T17:24:42.Z",
		"2026-11-24T17:24:42Z ",
		" 2026-11-24T17:24:42Z",
		"2026-11-24T17:24:42ZZ",
		"2026-11-24T17:24:42+0100",
		"2026-11-24T17:24:42+24:00",
		"2026-11-24T17:24:42+01:60",
		"2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-01-00T00:00:00Z",
		"2026-02-29T00:00:00Z",
		"2026-04-31T00:00:00Z",
		"2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z",
		"2026-01-01T00:00:60Z",
		"2026-01-01T-1:00:00Z",
		"1969-12-31T23:59:59Z",
		"1970-01-01T00:00:00+00:01",
		"9999-12-31T23:59:59-00:01",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		uint64_t us = 7;

		assert_false(timestamp_parse(slice_of(texts[i]), &us));
		assert_int_equal(us, 7);
	}
}

static void a_time_ends_where_its_slice_does(void **state UNUSED)
{
	uint64_t us;

	assert_true(timestamp_parse((struct slice){"2026-11-24T17:24:42Zulu", 20}, &us));
	for (size_t n = 0; n < 20; n++)
		assert_false(timestamp_parse((struct slice){"2026-11-24T17:24:42Z", n}, &us));
}

static void seconds_are_written_and_read_back(void **state UNUSED)
{
	static const uint64_t times[] = {0, 59, 951782400, 1795541082, UINT64_C(253402300799)};
	char text[TIMESTAMP_SIZE];
	uint64_t us;

	assert_string_equal(timestamp_format(1795541082, text), "2026-11-24T17:24:42Z");
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		assert_true(timestamp_parse(slice_of(timestamp_format(times[i], text)), &us));
		assert_int_equal(us, times[i] * 1000000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_read),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(a_time_ends_where_its_slice_does),
		cmocka_unit_test(seconds_are_written_and_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
