/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/buf.h"
#include "oci/json_read.h"

static void an_object_is_read(void **state UNUSED)
{
	CLEANUP(json_decrefp) json_t *root = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(json_read_object(&root, SLICE(" \r\n\t{\"a\": [1, {}]}\n"), &err), 0);
	assert_int_equal(json_array_size(json_object_get(root, "a")), 2);
}

static void what_is_wrong_is_said_with_line_and_column(void **state UNUSED)
{
	static const struct {
		struct slice text;
		const char *says;
	} cases[] = {
		{{"", 0}, "empty: expected a JSON object, { at line 1, column 1"},
		{{" \n ", 3}, "empty: expected a JSON object, { at line 2, column 2"},
		{{"[]", 2}, "not a JSON object: expected { at line 1, column 1"},
		{{"\n\"x\"", 4}, "not a JSON object: expected { at line 2, column 1"},
		{{"\xef\xbb\xbf{}", 5}, "not a JSON object: expected { at line 1, column 1"},
		{{"{", 1}, "the JSON ends too early at line 1, column 1"},
		{{"{\"a\":", 5}, "the JSON ends too early at line 1, column 5"},
		{{"{}x", 3}, "something follows the JSON object at line 1, column 3"},
		{{"{}{}", 4}, "something follows the JSON object at line 1, column 3"},
		{{"{\n\"a\": NaN}", 11}, "not valid JSON at line 2, column"},
		{{"{\"a\": Infinity}", 15}, "not valid JSON at line 1, column"},
		{{"{'a': 1}", 8}, "not valid JSON at line 1, column 2"},
		{{"{\"a\": 1,}", 9}, "not valid JSON at line 1, column 9"},
		{{"{\"a\": 01}", 9}, "not valid JSON at line 1, column"},
		{{"{\"a\": 1 /* */}", 14}, "not valid JSON at line 1, column"},
		{{"{\"a\": \"\n\"}", 10}, "not valid JSON at line 1, column"},
		{{"{\"a\": 1,\n \"a\": 2}", 17},
			"a key that was given already at line 2, column 4"},
		{{"{\"a\": \"\xff\"}", 10}, "invalid UTF-8 at line 1, column"},
		{{"{\"a\": \"\xc0\x80\"}", 11}, "invalid UTF-8 at line 1, column"},
		{{"{\"a\": \"\xed\xa0\x80\"}", 12}, "invalid UTF-8 at line 1, column"},
		{{"{\"a\": \"\\ud800\"}", 15}, "not valid JSON at line 1, column"},
		{{"{\"a\": \"\\u0000\"}", 15}, "the character U+0000 is not allowed at line 1"},
		{{"{\"\\u0000\": 1}", 13}, "the character U+0000 is not allowed at line 1"},
		{{"{\"a\": \0}", 8}, "the character U+0000 is not allowed at line 1, column 7"},
		{{"{}\0x", 4}, "the character U+0000 is not allowed at line 1, column 3"},
		{{"{\"a\": 1e999}", 12}, "a number that is too large at line 1, column 11"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = ERROR_INIT;
		json_t *root = NULL;

		assert_int_equal(json_read_object(&root, cases[i].text, &err), -1);
		assert_null(root);
		assert_int_equal(err.code, ERROR_INVALID);
		if (strstr(err.text, cases[i].says) == NULL)
			fail_msg("%zu: %s", i, err.text);
	}
}

static void nest(struct buf *b, size_t depth)
{
	buf_puts(b, "{\"a\":");
	for (size_t i = 1; i < depth; i++)
		buf_putc(b, '[');
	buf_puts(b, "\"[[[{{{\\\"[\"");
	for (size_t i = 1; i < depth; i++)
		buf_putc(b, ']');
	buf_putc(b, '}');
}

static void the_limit_of_nesting_is_exact(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
	CLEANUP(json_decrefp) json_t *root = NULL;
	struct error err = ERROR_INIT;
	json_t *none = NULL;

	nest(&b, LIMIT_JSON_DEPTH);
	assert_int_equal(json_read_object(&root, buf_slice(&b), &err), 0);
	buf_reset(&b);
	nest(&b, LIMIT_JSON_DEPTH + 1);
	assert_int_equal(json_read_object(&none, buf_slice(&b), &err), -1);
	assert_string_equal(err.text, "objects and lists are nested too deep at line 1, column 69");
}

static void columns_count_characters(void **state UNUSED)
{
	struct error err = ERROR_INIT;
	json_t *root = NULL;

	assert_int_equal(json_read_object(&root, SLICE("{\"é\":\"ü\"}x"), &err), -1);
	assert_non_null(strstr(err.text, "line 1, column 10"));
}

static void an_integer_is_what_was_written_as_one(void **state UNUSED)
{
	static const struct {
		const char *text;
		bool integer;
	} cases[] = {
		{"{\"n\": 2}", true},
		{"{\"n\": -3}", true},
		{"{\"n\": 9223372036854775807}", true},
		{"{\"n\": 2.0}", false},
		{"{\"n\": 1e1}", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(json_decrefp) json_t *root = NULL;
		struct error err = ERROR_INIT;
		const json_t *n;

		assert_int_equal(json_read_object(&root, slice_of(cases[i].text), &err), 0);
		n = json_object_get(root, "n");
		assert_true(json_is_number(n));
		assert_int_equal(json_is_integer(n), cases[i].integer);
	}
}

static void an_integer_beyond_64_bits_is_refused_or_a_real(void **state UNUSED)
{
	static const char *const texts[] = {
		"{\"n\": 9223372036854775808}", "{\"n\": -99999999999999999999999999}"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP(json_decrefp) json_t *wide = NULL;
		struct error err = ERROR_INIT;
		json_t *root = NULL;

		assert_int_equal(json_read_object(&root, slice_of(texts[i]), &err), -1);
		assert_non_null(strstr(err.text, "a number that is too large at line 1, column"));
		assert_int_equal(json_read_object_wide(&wide, slice_of(texts[i]), &err), 0);
		assert_true(json_is_real(json_object_get(wide, "n")));
	}
}

static void an_object_has_as_many_values_as_are_allowed_and_no_more(void **state UNUSED)
{
	for (size_t more = 0; more < 2; more++) {
		CLEANUP(buf_done) struct buf text = BUF_INIT(MIB);
		CLEANUP(json_decrefp) json_t *wide = NULL, *any = NULL;
		struct error err = ERROR_INIT;

		buf_puts(&text, "{\"a\":\"[,{,\\\",\",\n\"b\":[0");
		for (size_t n = 4; n < LIMIT_JSON_VALUES + more; n++)
			buf_puts(&text, ",0");
		buf_puts(&text, "]}");
		assert_int_equal(
			json_read_object_wide(&wide, buf_slice(&text), &err), more == 0 ? 0 : -1);
		assert_int_equal(json_read_object(&any, buf_slice(&text), &err), 0);
		if (more == 0)
			continue;
		assert_int_equal(err.code, ERROR_TOO_LARGE);
		assert_non_null(strstr(err.text, "the 10000 values allowed at line 2, column"));
	}
}

static void values_are_passed_over_one_by_one(void **state UNUSED)
{
	struct slice texts = SLICE(" {\"a\":\"}\"}[[],{}]\n\n{x"), value;
	struct json_reader reader = JSON_READER_INIT(texts);
	struct error err = ERROR_INIT;

	assert_int_equal(json_skip_next(&value, &reader, &err), 0);
	assert_true(slice_eq(value, SLICE("{\"a\":\"}\"}")));
	assert_int_equal(json_skip_next(&value, &reader, &err), 0);
	assert_true(slice_eq(value, SLICE("[[],{}]")));
	assert_int_equal(reader.begins, 1);
	assert_int_equal(json_skip_next(&value, &reader, &err), 0);
	assert_true(slice_eq(value, SLICE("{x")));
	assert_int_equal(reader.begins, 3);
	assert_int_equal(json_skip_next(&value, &reader, &err), 0);
	assert_null(value.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_is_read),
		cmocka_unit_test(what_is_wrong_is_said_with_line_and_column),
		cmocka_unit_test(the_limit_of_nesting_is_exact),
		cmocka_unit_test(columns_count_characters),
		cmocka_unit_test(an_integer_is_what_was_written_as_one),
		cmocka_unit_test(an_object_has_as_many_values_as_are_allowed_and_no_more),
		cmocka_unit_test(values_are_passed_over_one_by_one),
		cmocka_unit_test(an_integer_beyond_64_bits_is_refused_or_a_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
