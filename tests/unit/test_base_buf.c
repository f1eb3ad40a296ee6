/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/buf.h"
#include "base/json.h"

static void appends_are_concatenated_and_terminated(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(100);
	struct error err = ERROR_INIT;

	buf_puts(&b, "one ");
	buf_printf(&b, "%d", 2);
	buf_putc(&b, '!');
	assert_int_equal(buf_check(&b, &err), 0);
	assert_string_equal(b.data, "one 2!");
}

static void the_maximum_is_exact_and_failure_is_sticky(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(4);
	struct error err = ERROR_INIT;

	buf_puts(&b, "1234");
	assert_int_equal(buf_check(&b, &err), 0);
	buf_putc(&b, '5');
	assert_int_equal(buf_check(&b, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	buf_append(&b, "", 0);
	assert_int_equal(buf_check(&b, &err), -1);
	assert_string_equal(b.data, "1234");
	buf_reset(&b);
	buf_puts(&b, "ok");
	assert_int_equal(buf_check(&b, &err), 0);
}

static void data_is_terminated_whenever_it_is_there(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(100);

	assert_non_null(buf_room(&b, 10));
	assert_string_equal(b.data, "");
	buf_puts(&b, "text");
	buf_reset(&b);
	assert_string_equal(b.data, "");
}

static void a_printed_text_may_need_more_room_than_there_is(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(200);
	struct error err = ERROR_INIT;

	buf_puts(&b, "start");
	buf_printf(&b, "%0*d", 195, 7);
	assert_int_equal(buf_check(&b, &err), 0);
	assert_int_equal(b.len, 200);
	assert_memory_equal(b.data, "start0", 6);
	assert_string_equal(b.data + 198, "07");
}

static void a_printed_text_too_long_leaves_nothing_behind(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(200);
	struct error err = ERROR_INIT;

	buf_puts(&b, "start");
	buf_printf(&b, "%0*d", 196, 7);
	assert_int_equal(buf_check(&b, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_string_equal(b.data, "start");
}

static void no_more_memory_is_taken_than_the_maximum_needs(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(100);

	while (b.failed == ERROR_NONE)
		buf_putc(&b, 'x');
	assert_int_equal(b.len, 100);
	assert_int_equal(b.cap, 101);
}

/* What of a secret is in memory when that is given back, at whatever length. */
static const char *watched;
static size_t n_watched, n_left;

void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
	if (p != NULL && p == watched) {
		for (size_t i = 0; i < n_watched; i++)
			n_left += watched[i] != '\0';
		watched = NULL;
	}
	__real_free(p);
}

static void a_wiped_secret_leaves_none_of_its_bytes(void **state UNUSED)
{
	struct buf b = BUF_INIT(100);

	buf_puts(&b, "a secret that is cut off");
	watched = b.data;
	n_watched = b.len;
	b.len = 8;
	buf_wipe(&b);
	assert_null(watched);
	assert_int_equal(n_left, 0);
	assert_null(b.data);
	buf_wipe(&b);
}

static void numbers_are_added_in_decimal(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(100);

	buf_add_u64(&b, 0);
	buf_putc(&b, ' ');
	buf_add_u64(&b, 1234567890);
	buf_putc(&b, ' ');
	buf_add_u64(&b, UINT64_MAX);
	assert_string_equal(b.data, "0 1234567890 18446744073709551615");
}

static void json_places_commas_and_escapes(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000);

	json_begin_object(&b);
	json_member_cstr(&b, "a", "q\"b\\s\n\x01é:");
	json_key(&b, "list");
	json_begin_array(&b);
	json_begin_object(&b);
	json_end_object(&b);
	json_item(&b);
	buf_puts(&b, "1");
	json_end_array(&b);
	json_member_u64(&b, "n", UINT64_MAX);
	json_member_bool(&b, "t", true);
	json_end_object(&b);
	assert_string_equal(b.data, "{\"a\":\"q\\\"b\\\\s\\n\\u0001é:\",\"list\":[{},1],"
				    "\"n\":18446744073709551615,\"t\":true}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_are_concatenated_and_terminated),
		cmocka_unit_test(the_maximum_is_exact_and_failure_is_sticky),
		cmocka_unit_test(data_is_terminated_whenever_it_is_there),
		cmocka_unit_test(a_printed_text_may_need_more_room_than_there_is),
		cmocka_unit_test(a_printed_text_too_long_leaves_nothing_behind),
		cmocka_unit_test(no_more_memory_is_taken_than_the_maximum_needs),
		cmocka_unit_test(a_wiped_secret_leaves_none_of_its_bytes),
		cmocka_unit_test(numbers_are_added_in_decimal),
		cmocka_unit_test(json_places_commas_and_escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
