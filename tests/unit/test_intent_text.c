/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "intent/text.h"

static void borders_of_what_yaml_readers_take(void **state UNUSED)
{
	static const struct {
		uint32_t c;
		bool ok;
	} cases[] = {
		{0x1f, false},
		{0x20, true},
		{0x7e, true},
		{0x7f, false},
		{0x9f, false},
		{0xa0, true},
		{0x2027, true},
		{0x2028, false},
		{0x2029, false},
		{0x202a, true},
		{0xfdcf, true},
		{0xfdd0, false},
		{0xfdef, false},
		{0xfdf0, true},
		{0xfefe, true},
		{0xfeff, false},
		{0xff00, true},
		{0xfffd, true},
		{0xfffe, false},
		{0xffff, false},
		{0x10000, true},
		{0x1fffd, true},
		{0x1fffe, false},
		{0x1ffff, false},
		{0x20000, true},
		{0x10fffd, true},
		{0x10fffe, false},
		{0x10ffff, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(intent_char_ok(cases[i].c), cases[i].ok);
}

static void an_excerpt_is_short_and_whole_characters(void **state UNUSED)
{
	char ret[INTENT_EXCERPT_SIZE], text[400] = "x";

	assert_string_equal(intent_excerpt(SLICE_NONE, ret), "");
	assert_string_equal(intent_excerpt(SLICE("größe"), ret), "größe");
	assert_string_equal(intent_excerpt(SLICE("a\nb\x1b[0m\xff\xc2\x85."), ret), "a?b?[0m??.");
	for (size_t i = 0; i < 100; i++)
		strcat(text, "ü");
	intent_excerpt(slice_of(text), ret);
	assert_true(slice_ends(slice_of(ret), SLICE("üü...")));
	assert_true(strlen(ret) > INTENT_EXCERPT_SIZE / 2 && strlen(ret) < INTENT_EXCERPT_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(borders_of_what_yaml_readers_take),
		cmocka_unit_test(an_excerpt_is_short_and_whole_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
