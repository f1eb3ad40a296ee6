/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/nearest.h"

static void a_distance_counts_letters_put_in_left_out_or_changed(void **state UNUSED)
{
	static const struct {
		const char *a, *b;
		size_t distance;
	} cases[] = {
		{"", "", 0},
		{"", "abc", 3},
		{"get", "get", 0},
		{"kitten", "sitting", 3},
		{"replica", "replicas", 1},
		{"sunday", "saturday", 3},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(nearest_distance(cases[i].a, cases[i].b), cases[i].distance);
		assert_int_equal(nearest_distance(cases[i].b, cases[i].a), cases[i].distance);
	}
}

static void a_swap_of_neighbours_counts_once(void **state UNUSED)
{
	assert_int_equal(nearest_distance("naem", "name"), 1);
	assert_int_equal(nearest_distance("dleete", "delete"), 1);
	assert_int_equal(nearest_distance("badc", "abcd"), 2);
	/* Nothing more is changed between two that were swapped (optimal string alignment). */
	assert_int_equal(nearest_distance("ca", "abc"), 3);
}

static void case_of_ascii_letters_does_not_count(void **state UNUSED)
{
	assert_int_equal(nearest_distance("Region", "rEGION"), 0);
	assert_int_equal(nearest_distance("ESPORT", "export"), 1);
	assert_int_equal(nearest_distance("EP", "pe"), 1);
	assert_int_equal(nearest_distance("@", "`"), 1);
}

static void long_words_are_near_to_none(void **state UNUSED)
{
	static const char longest[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const char longer[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const char *const words[] = {longest, NULL};

	assert_int_equal(strlen(longest), NEAREST_WORD);
	assert_int_equal(nearest_distance(longest, longest), 0);
	assert_int_equal(nearest_distance(longest, ""), NEAREST_WORD);
	assert_true(nearest_distance(longer, longest) == SIZE_MAX);
	assert_true(nearest_distance("", longer) == SIZE_MAX);
	assert_null(nearest_word(longer, words));
}

static void a_third_of_a_word_and_one_may_be_wrong(void **state UNUSED)
{
	assert_true(nearest_is_close("ab", 1));
	assert_false(nearest_is_close("ab", 2));
	assert_true(nearest_is_close("abcdef", 3));
	assert_false(nearest_is_close("abcdef", 4));
	assert_false(nearest_is_close("abcdef", SIZE_MAX));
}

static void the_nearest_word_is_found(void **state UNUSED)
{
	static const char *const verbs[] = {"apply", "delete", "diff", "edit", "get", "gets", NULL};
	static const char *const none[] = {NULL};

	assert_string_equal(nearest_word("appyl", verbs), "apply");
	assert_string_equal(nearest_word("DELETEE", verbs), "delete");
	assert_string_equal(nearest_word("dif", verbs), "diff");
	assert_string_equal(nearest_word("gett", verbs), "get"); /* the first of equals */
	assert_string_equal(nearest_word("gets", verbs), "gets");
	assert_null(nearest_word("describe", verbs));
	assert_null(nearest_word("", verbs));
	assert_null(nearest_word("get", none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_distance_counts_letters_put_in_left_out_or_changed),
		cmocka_unit_test(a_swap_of_neighbours_counts_once),
		cmocka_unit_test(case_of_ascii_letters_does_not_count),
		cmocka_unit_test(long_words_are_near_to_none),
		cmocka_unit_test(a_third_of_a_word_and_one_may_be_wrong),
		cmocka_unit_test(the_nearest_word_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
