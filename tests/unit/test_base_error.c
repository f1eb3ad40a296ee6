/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <errno.h>
#include <stdio.h>

static void a_code_has_a_status_and_a_name(void **state UNUSED)
{
	for (enum error_code code = ERROR_NONE; code < ERROR_CODES_; code++) {
		int status = error_status(code);

		assert_true(code == ERROR_NONE ? status == 200 : status >= 400 && status < 600);
		assert_true(strlen(error_name(code)) > 0);
	}
	assert_int_equal(error_status(ERROR_NO_SPACE), 507);
	assert_string_equal(error_name(ERROR_NOT_FOUND), "not_found");
}

static void setting_replaces_what_was_there(void **state UNUSED)
{
	struct error err = {.code = ERROR_TOO_MANY,
		.retry_after_s = 7,
		.is_private = true,
		.field = "spec.size"};

	assert_int_equal(error_set(&err, ERROR_CONFLICT, "%s is taken", "port 80"), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_string_equal(err.text, "port 80 is taken");
	assert_string_equal(err.field, "");
	assert_int_equal(err.retry_after_s, 0);
	assert_false(err.is_private);

	assert_int_equal(error_set_field(&err, "spec.size", "choose a size"), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_string_equal(err.field, "spec.size");
}

static void a_system_error_says_what_and_why(void **state UNUSED)
{
	static const struct {
		int errnum;
		enum error_code code;
		const char *text;
	} cases[] = {
		{ENOENT, ERROR_INTERNAL, "cannot open x: No such file or directory"},
		{ENOSPC, ERROR_NO_SPACE, "cannot open x: No space left on device"},
		{EDQUOT, ERROR_NO_SPACE, "cannot open x: Disk quota exceeded"},
		{ENOMEM, ERROR_NO_MEMORY, "cannot open x: Cannot allocate memory"},
		{EMFILE, ERROR_UNAVAILABLE, "cannot open x: Too many open files"},
		{ENFILE, ERROR_UNAVAILABLE, "cannot open x: Too many open files in system"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(error_set_errno(&err, cases[i].errnum, "cannot open %s", "x"), -1);
		assert_int_equal(err.code, cases[i].code);
		assert_string_equal(err.text, cases[i].text);
	}
}

static void wrapping_puts_the_context_first_and_keeps_the_rest(void **state UNUSED)
{
	struct error err = ERROR_INIT;

	error_set_field(&err, "name", "no such name");
	err.retry_after_s = 3;
	assert_int_equal(error_wrap(&err, "row %d", 4), -1);
	assert_string_equal(err.text, "row 4: no such name");
	assert_int_equal(err.code, ERROR_INVALID);
	assert_string_equal(err.field, "name");
	assert_int_equal(err.retry_after_s, 3);
}

static void every_text_is_printable_utf8(void **state UNUSED)
{
	static const struct {
		const char *text, *printed;
	} cases[] = {
		{"", ""},
		{"plain ~", "plain ~"},
		{"né € 𐍈", "né € 𐍈"},
		{"a\nb\tc\x1b[31m\x7f", "a?b?c?[31m?"},
		{"\xc2\x80|\xc2\x9b|\xc2\xa0",
			"?|?|\xc2\xa0"}, /* C1 controls and what follows them */
		{"\xff|\xc3(|\x80", "?|?(|?"},
		{"\xc0\xaf|\xed\xa0\x80", "\?\?|\?\?\?"}, /* overlong; a surrogate */
		{"cut short: \xe2\x82", "cut short: \?\?"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = ERROR_INIT;
		char wrapped[200];

		error_set(&err, ERROR_INVALID, "%s", cases[i].text);
		assert_string_equal(err.text, cases[i].printed);
		error_wrap(&err, "%s", cases[i].text);
		snprintf(wrapped, sizeof(wrapped), "%s: %s", cases[i].printed, cases[i].printed);
		assert_string_equal(err.text, wrapped);
		error_set_field(&err, cases[i].text, "%s", cases[i].text);
		assert_string_equal(err.text, cases[i].printed);
		assert_string_equal(err.field, cases[i].printed);
	}
}

static void texts_too_long_are_cut_between_characters(void **state UNUSED)
{
	static const char *const characters[] = {"a", "é", "€", "𐍈"};

	for (size_t i = 0; i < ARRAY_SIZE(characters); i++) {
		size_t size = strlen(characters[i]);

		for (size_t before = 0; before < size; before++) {
			char text[2 * LIMIT_ERROR_TEXT] = "xxx";
			struct error err = ERROR_INIT;
			size_t len = before;

			while (len + size < sizeof(text)) {
				memcpy(text + len, characters[i], size + 1);
				len += size;
			}
			len = before + (LIMIT_ERROR_TEXT - 1 - before) / size * size;
			error_set_field(&err, text, "%s", text);
			assert_int_equal(strlen(err.text), len);
			assert_memory_equal(err.text, text, len);
			len = before + (sizeof(err.field) - 1 - before) / size * size;
			assert_int_equal(strlen(err.field), len);
			assert_memory_equal(err.field, text, len);
			error_wrap(&err, "%s", text);
			assert_memory_equal(err.text, text, len);
			assert_null(strchr(err.text, '?'));
		}
	}
}

static void a_full_text_takes_no_more(void **state UNUSED)
{
	struct error err = ERROR_INIT;

	error_set_errno(&err, ENOENT, "%0*d", LIMIT_ERROR_TEXT, 0);
	assert_int_equal(strlen(err.text), LIMIT_ERROR_TEXT - 1);
	error_wrap(&err, "%0*d", LIMIT_ERROR_TEXT - 3, 1);
	assert_int_equal(strlen(err.text), LIMIT_ERROR_TEXT - 1);
	assert_string_equal(err.text + LIMIT_ERROR_TEXT - 5, "01: ");
}

static void only_what_passes_soon_is_worth_a_retry(void **state UNUSED)
{
	static const struct {
		enum error_code code;
		unsigned said, expected;
	} cases[] = {
		{ERROR_UNAVAILABLE, 0, 1},
		{ERROR_UNAVAILABLE, 9, 9},
		{ERROR_NO_MEMORY, 0, 1},
		{ERROR_UNKNOWN_OUTCOME, 0, 1},
		{ERROR_TOO_MANY, 0, 1},
		{ERROR_NO_SPACE, 0, 0},
		{ERROR_NO_SPACE, 60, 60},
		{ERROR_INVALID, 0, 0},
		{ERROR_CONFLICT, 5, 5},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = {.code = cases[i].code, .retry_after_s = cases[i].said};

		assert_int_equal(error_retry_after_s(&err), cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_code_has_a_status_and_a_name),
		cmocka_unit_test(setting_replaces_what_was_there),
		cmocka_unit_test(a_system_error_says_what_and_why),
		cmocka_unit_test(wrapping_puts_the_context_first_and_keeps_the_rest),
		cmocka_unit_test(every_text_is_printable_utf8),
		cmocka_unit_test(texts_too_long_are_cut_between_characters),
		cmocka_unit_test(a_full_text_takes_no_more),
		cmocka_unit_test(only_what_passes_soon_is_worth_a_retry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
