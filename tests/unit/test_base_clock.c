/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/clock.h"
#include "base/limits.h"

#include <stdio.h>
#include <time.h>

#define US_PER_DAY UINT64_C(86400000000)

static void a_time_is_written_to_the_microsecond(void **state UNUSED)
{
	static const struct {
		uint64_t us;
		const char *text;
	} cases[] = {
		{0, "1970-01-01T00:00:00.000000Z"},
		{1, "1970-01-01T00:00:00.000001Z"},
		{951782399999999, "2000-02-28T23:59:59.999999Z"},
		{951782400000000, "2000-02-29T00:00:00.000000Z"},
		{951868800000000, "2000-03-01T00:00:00.000000Z"},
		{1764005082123456, "2025-11-24T17:24:42.123456Z"},
		{4107542400000000, "2100-03-01T00:00:00.000000Z"}, /* no leap year */
		{LIMIT_VERSION, "9999-12-31T23:59:59.999999Z"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[CLOCK_RFC3339_SIZE];

		clock_rfc3339(cases[i].us, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void assert_as_the_c_library(uint64_t us)
{
	char expected[CLOCK_RFC3339_SIZE], text[CLOCK_RFC3339_SIZE];
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm;
	size_t len;

	assert_non_null(gmtime_r(&seconds, &tm));
	len = strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(expected + len, sizeof(expected) - len, ".%06uZ", (unsigned)(us % 1000000));
	clock_rfc3339(us, text);
	assert_string_equal(text, expected);
}

/* The calendar comes again after 400 years. */
static void every_day_of_four_centuries_is_the_c_librarys(void **state UNUSED)
{
	for (uint64_t day = 0; day < 146097; day++)
		assert_as_the_c_library(day * US_PER_DAY + day * 590001 % US_PER_DAY);
}

static void times_up_to_the_year_9999_are_the_c_librarys(void **state UNUSED)
{
	for (uint64_t us = 0; us <= LIMIT_VERSION; us += UINT64_C(12345678901237))
		assert_as_the_c_library(us);
}

static void the_date_of_http_has_names(void **state UNUSED)
{
	char text[CLOCK_HTTP_DATE_SIZE];

	clock_http_date(UINT64_C(1764005082123456), text);
	assert_string_equal(text, "Mon, 24 Nov 2025 17:24:42 GMT");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_time_is_written_to_the_microsecond),
		cmocka_unit_test(every_day_of_four_centuries_is_the_c_librarys),
		cmocka_unit_test(times_up_to_the_year_9999_are_the_c_librarys),
		cmocka_unit_test(the_date_of_http_has_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
