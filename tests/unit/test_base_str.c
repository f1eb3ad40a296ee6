/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <wchar.h>

static void slices_are_equal_by_their_bytes(void **state UNUSED)
{
	static const struct {
		struct slice a, b;
		bool equal, equal_nocase;
	} cases[] = {
		{SLICE_NONE, SLICE(""), true, true}, {SLICE("abc"), SLICE("abc"), true, true},
		{SLICE("abc"), SLICE("abd"), false, false},
		{SLICE("abc"), SLICE("ab"), false, false},
		{SLICE("a\0b"), SLICE("a\0c"), false, false},
		{SLICE("Content-Type"), SLICE("content-type"), false, true},
		{SLICE("AZ"), SLICE("az"), false, true},
		{SLICE("@["), SLICE("`{"), false, false}, /* the characters next to the letters */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(slice_eq(cases[i].a, cases[i].b), cases[i].equal);
		assert_int_equal(slice_eq_nocase(cases[i].a, cases[i].b), cases[i].equal_nocase);
	}
}

static void slices_start_and_end_with_parts_of_them(void **state UNUSED)
{
	assert_true(slice_starts(SLICE("/v2/x"), SLICE("/v2/")));
	assert_true(slice_starts(SLICE("/v2/"), SLICE("/v2/")));
	assert_true(slice_starts(SLICE_NONE, SLICE("")));
	assert_false(slice_starts(SLICE("/v2"), SLICE("/v2/")));
	assert_false(slice_starts(SLICE("x/v2/"), SLICE("/v2/")));
	assert_true(slice_ends(SLICE("a/blobs"), SLICE("/blobs")));
	assert_true(slice_ends(SLICE_NONE, SLICE_NONE));
	assert_false(slice_ends(SLICE("blobs"), SLICE("/blobs")));
	assert_false(slice_ends(SLICE("a/blobs/"), SLICE("/blobs")));
}

static void cutting_leaves_the_rest_until_there_is_none(void **state UNUSED)
{
	struct slice rest = SLICE("a,,b,");

	assert_slice(slice_cut(&rest, ','), "a");
	assert_slice(slice_cut(&rest, ','), "");
	assert_slice(slice_cut(&rest, ','), "b");
	assert_non_null(rest.p); /* an empty last part, which is not the same as none */
	assert_slice(slice_cut(&rest, ','), "");
	assert_null(rest.p);
	assert_int_equal(slice_cut(&rest, ',').n, 0);
	assert_null(rest.p);
}

static void trimming_takes_spaces_and_tabs_off_both_ends(void **state UNUSED)
{
	assert_slice(slice_trim(SLICE(" \ta b\t ")), "a b");
	assert_slice(slice_trim(SLICE("a")), "a");
	assert_slice(slice_trim(SLICE("\na ")), "\na");
	assert_int_equal(slice_trim(SLICE(" \t ")).n, 0);
	assert_int_equal(slice_trim(SLICE_NONE).n, 0);
}

static void numbers_are_decimal_digits_without_overflow(void **state UNUSED)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t value;
	} cases[] = {
		{"0", true, 0},
		{"007", true, 7},
		{"18446744073709551615", true, UINT64_MAX},
		{"18446744073709551616", false, 0}, /* the sum overflows */
		{"18446744073709551620", false, 0},
		{"99999999999999999999", false, 0}, /* the product does */
		{"", false, 0},
		{"+1", false, 0},
		{"-1", false, 0},
		{" 1", false, 0},
		{"1 ", false, 0},
		{"1x", false, 0},
		{"/", false, 0}, /* the characters next to the digits */
		{":", false, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t value = 42;

		assert_int_equal(slice_to_u64(slice_of(cases[i].text), &value), cases[i].ok);
		assert_int_equal(value, cases[i].ok ? cases[i].value : 42);
	}
}

static void a_copy_is_terminated(void **state UNUSED)
{
	AUTO_FREE char *copy = slice_dup((struct slice){"abcdef", 3});
	AUTO_FREE char *empty = slice_dup(SLICE_NONE);

	assert_string_equal(copy, "abc");
	assert_string_equal(empty, "");
}

static void a_printed_string_is_as_long_as_it_must_be(void **state UNUSED)
{
	AUTO_FREE char *empty = str_printf("%s", "");
	AUTO_FREE char *text = str_printf("%s/%02x %0*d", "folder", 10, 5000, 7);

	assert_string_equal(empty, "");
	assert_int_equal(strlen(text), strlen("folder/0a ") + 5000);
	assert_memory_equal(text, "folder/0a 0", strlen("folder/0a 0"));
	assert_int_equal(text[strlen(text) - 1], '7');
}

static void what_cannot_be_printed_is_null(void **state UNUSED)
{
	assert_null(str_printf("%ls", (const wchar_t[]){0x110000, 0})); /* no character */
}

static void characters_are_taken_one_by_one(void **state UNUSED)
{
	static const uint32_t expected[] = {
		'a', 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff};
	struct slice rest = SLICE("a\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80"
				  "\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		uint32_t c = 0;

		assert_true(utf8_next(&rest, &c));
		assert_int_equal(c, expected[i]);
	}
	assert_int_equal(rest.n, 0);
}

static void malformed_utf8_is_refused(void **state UNUSED)
{
	static const char *const texts[] = {
		"\x80",             /* begins in the middle */
		"\xc3",             /* ends too early */
		"\xe2\x82",         /* ends too early */
		"\xc3(",            /* not continued */
		"\xc0\xaf",         /* overlong */
		"\xe0\x9f\xbf",     /* overlong */
		"\xf0\x8f\xbf\xbf", /* overlong */
		"\xed\xa0\x80",     /* surrogate */
		"\xf4\x90\x80\x80", /* beyond U+10FFFF */
		"\xf8\x88\x80\x80\x80",
		"\xff",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct slice rest = slice_of(texts[i]);
		uint32_t c;

		assert_false(utf8_next(&rest, &c));
		assert_ptr_equal(rest.p, texts[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slices_are_equal_by_their_bytes),
		cmocka_unit_test(slices_start_and_end_with_parts_of_them),
		cmocka_unit_test(cutting_leaves_the_rest_until_there_is_none),
		cmocka_unit_test(trimming_takes_spaces_and_tabs_off_both_ends),
		cmocka_unit_test(numbers_are_decimal_digits_without_overflow),
		cmocka_unit_test(a_copy_is_terminated),
		cmocka_unit_test(a_printed_string_is_as_long_as_it_must_be),
		cmocka_unit_test(what_cannot_be_printed_is_null),
		cmocka_unit_test(characters_are_taken_one_by_one),
		cmocka_unit_test(malformed_utf8_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
