/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/limits.h"
#include "catalog/author.h"

static struct error err;

static void an_author_may_have_an_address_and_a_reason_or_not(void **state UNUSED)
{
	CLEANUP(author_unrefp) struct author *all = NULL, *none = NULL;

	assert_int_equal(author_new(&all, "token:ci", "192.0.2.7", SLICE("Größe \"12\""), &err), 0);
	assert_string_equal(all->who, "token:ci");
	assert_string_equal(all->from, "192.0.2.7");
	assert_string_equal(all->why, "Größe \"12\"");
	assert_int_equal(author_new(&none, AUTHOR_SERVER, "", SLICE_NONE, &err), 0);
	assert_null(none->from);
	assert_null(none->why);
}

static void an_author_lives_as_long_as_somebody_refers_to_it(void **state UNUSED)
{
	struct author *a, *again;

	assert_int_equal(author_new(&a, "token:ci", "", SLICE_NONE, &err), 0);
	again = author_ref(a);
	author_unref(a);
	assert_string_equal(again->who, "token:ci");
	author_unref(again);
}

static void a_reason_that_is_no_line_of_text_is_refused(void **state UNUSED)
{
	static const struct slice cases[] = {
		{"two\nlines", 9}, {"\x1b[31mred", 8}, {"\xff", 1}, {"cut \xc3", 5}, {"a\0b", 3}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct author *a;

		assert_int_equal(author_new(&a, "token:ci", "", cases[i], &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_non_null(strstr(err.text, "printable"));
	}
}

static void a_reason_has_a_longest_length(void **state UNUSED)
{
	char text[LIMIT_REASON + 1];
	struct author *a;

	memset(text, 'x', sizeof(text));
	assert_int_equal(
		author_new(&a, "token:ci", "", (struct slice){text, LIMIT_REASON}, &err), 0);
	author_unref(a);
	assert_int_equal(
		author_new(&a, "token:ci", "", (struct slice){text, LIMIT_REASON + 1}, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_non_null(strstr(err.text, "1001 bytes"));
}

static void who_and_from_where_are_what_they_say(void **state UNUSED)
{
	char long_name[LIMIT_SUBJECT + 2] = "";
	const struct {
		const char *who, *from;
	} cases[] = {{"ci\n2026-01-01", ""}, {"\x1b[2J", ""}, {"\xff", ""}, {long_name, ""},
		{"token:ci", "192.0.2.7\n"}, {"token:ci", "nowhere"}, {"token:ci", "192.0.2.7:80"}};
	struct author *a;

	memset(long_name, 'x', LIMIT_SUBJECT + 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(author_new(&a, cases[i].who, cases[i].from, SLICE_NONE, &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
	}
	long_name[LIMIT_SUBJECT] = '\0';
	assert_int_equal(author_new(&a, long_name, "2001:db8::1", SLICE_NONE, &err), 0);
	author_unref(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_author_may_have_an_address_and_a_reason_or_not),
		cmocka_unit_test(an_author_lives_as_long_as_somebody_refers_to_it),
		cmocka_unit_test(a_reason_that_is_no_line_of_text_is_refused),
		cmocka_unit_test(a_reason_has_a_longest_length),
		cmocka_unit_test(who_and_from_where_are_what_they_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
