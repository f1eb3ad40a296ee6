/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/buf.h"
#include "base/limits.h"
#include "intent/json_walk.h"

/* "key=piece;" of each member. */
static int members(const char *text, struct buf *ret, struct error *err)
{
	struct slice whole = slice_of(text), key, piece;
	struct json_walk w;
	int rc;

	if (json_walk_begin(&w, whole, whole, '{', err) != 0)
		return -1;
	while ((rc = json_walk_member(&w, &key, &piece, err)) == 1)
		buf_printf(ret, "%.*s=%.*s;", SLICE_ARG(key), SLICE_ARG(piece));
	return rc;
}

/* "piece;" of each item. */
static int items(const char *text, struct buf *ret, struct error *err)
{
	struct slice whole = slice_of(text), piece;
	struct json_walk w;
	int rc;

	if (json_walk_begin(&w, whole, whole, '[', err) != 0)
		return -1;
	while ((rc = json_walk_item(&w, &piece, err)) == 1)
		buf_printf(ret, "%.*s;", SLICE_ARG(piece));
	return rc;
}

static void a_text_is_taken_apart_into_its_members_or_items(void **state UNUSED)
{
	static const struct {
		int (*walk)(const char *text, struct buf *ret, struct error *err);
		const char *text, *pieces;
	} cases[] = {
		{members, "{}", ""},
		{members, " { } \n", ""},
		{members, "{\"a\":1,\"b\":[2,{\"c\":3}],\"d\":\"x\"}",
			"a=1;b=[2,{\"c\":3}];d=\"x\";"},
		{members, "{ \"a\" : { } , \"b\" : null }", "a={ };b=null;"},
		{members, "{\"a\":\"}],\\\"\",\"b\\\"\":\"\\\\\"}",
			"a=\"}],\\\"\";b\\\"=\"\\\\\";"},
		{items, "[]", ""},
		{items, "[ 1,\"]\" ,[[]],{\"a\":\"[\"}\t]", "1;\"]\";[[]];{\"a\":\"[\"};"},
		{items, "[true,-1e5]", "true;-1e5;"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(buf_done) struct buf pieces = BUF_INIT(KIB);
		struct error err = ERROR_INIT;

		buf_puts(&pieces, "");
		assert_int_equal(cases[i].walk(cases[i].text, &pieces, &err), 0);
		assert_string_equal(pieces.data, cases[i].pieces);
	}
}

static void what_is_no_list_or_object_is_refused_with_its_place(void **state UNUSED)
{
	static const struct {
		int (*walk)(const char *text, struct buf *ret, struct error *err);
		const char *text, *error;
	} cases[] = {
		{members, "", "expected { at line 1, column 1"},
		{members, "[]", "expected { at line 1, column 1"},
		{items, "\n {}", "expected [ at line 2, column 2"},
		{members, "{", "expected a name in double quotes at line 1, column 2"},
		{members, "{a:1}", "expected a name in double quotes at line 1, column 2"},
		{members, "{\"a", "expected : at line 1, column 4"},
		{members, "{\"\xc3\xa4\" 1}", "expected : at line 1, column 6"},
		{members, "{\"a\":}", "expected a value at line 1, column 6"},
		{members, "{\"a\":1,}", "expected a name in double quotes at line 1, column 8"},
		{members, "{\"a\":1 \"b\":2}", "expected , or } at line 1, column 8"},
		{members, "{\"a\":1", "expected , or } at line 1, column 7"},
		{members, "{} {}", "something follows the end at line 1, column 4"},
		{items, "[1,]", "expected a value at line 1, column 4"},
		{items, "[,1]", "expected a value at line 1, column 2"},
		{items, "[1 2]", "expected , or ] at line 1, column 4"},
		{items, "[[1]", "expected , or ] at line 1, column 5"},
		{items, "[\"1", "expected , or ] at line 1, column 4"},
		{items, "[\"1\\", "expected , or ] at line 1, column 5"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(buf_done) struct buf pieces = BUF_INIT(KIB);
		struct error err = ERROR_INIT;

		assert_int_equal(cases[i].walk(cases[i].text, &pieces, &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(err.text, cases[i].error);
	}
}

static void a_piece_that_is_no_json_is_refused_with_its_place_in_the_whole(void **state UNUSED)
{
	struct slice whole = SLICE("[{\"\xc3\xa4\":1},\n {\"a\":1,\"a\":2}]"), piece;
	CLEANUP(json_decrefp) json_t *json = NULL, *none = NULL;
	struct error err = ERROR_INIT;
	struct json_walk w;

	assert_int_equal(json_walk_begin(&w, whole, whole, '[', &err), 0);
	assert_int_equal(json_walk_item(&w, &piece, &err), 1);
	assert_int_equal(json_walk_read(&json, &w, piece, &err), 0);
	assert_int_equal(json_integer_value(json_object_get(json, "\xc3\xa4")), 1);
	assert_int_equal(json_walk_item(&w, &piece, &err), 1);
	assert_int_equal(json_walk_read(&none, &w, piece, &err), -1);
	assert_null(none);
	assert_non_null(strstr(err.text, "line 2"));
	assert_int_equal(json_walk_item(&w, &piece, &err), 0);
}

static void a_piece_that_would_be_large_as_a_tree_is_refused(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(2 * MIB);
	CLEANUP(json_decrefp) json_t *json = NULL;
	struct error err = ERROR_INIT;
	struct slice piece;
	struct json_walk w;

	buf_puts(&text, "[{\"a\":[0");
	while (text.len < LIMIT_API_BODY)
		buf_puts(&text, ",0");
	buf_puts(&text, "]}]");
	assert_int_equal(json_walk_begin(&w, buf_slice(&text), buf_slice(&text), '[', &err), 0);
	assert_int_equal(json_walk_item(&w, &piece, &err), 1);
	assert_int_equal(json_walk_read(&json, &w, piece, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_null(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_is_taken_apart_into_its_members_or_items),
		cmocka_unit_test(what_is_no_list_or_object_is_refused_with_its_place),
		cmocka_unit_test(a_piece_that_is_no_json_is_refused_with_its_place_in_the_whole),
		cmocka_unit_test(a_piece_that_would_be_large_as_a_tree_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
