/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"

static char line[2 * LIMIT_LOG_LINE];
static int pipe_ends[2], real_stderr;

static void begin_capture(void)
{
	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
	real_stderr = dup(STDERR_FILENO);
	dup2(pipe_ends[1], STDERR_FILENO);
}

/* What was logged since. */
static const char *captured(void)
{
	ssize_t n;

	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	close(pipe_ends[1]);
	n = read(pipe_ends[0], line, sizeof(line) - 1);
	close(pipe_ends[0]);
	assert_true(n >= 0);
	line[n] = '\0';
	return line;
}

/* The same, a line, without its time. */
static const char *end_capture(void)
{
	assert_int_equal(strncmp(captured(), "ts=2", 4), 0);
	return strchr(line, ' ') + 1;
}

static const char *end_json_capture(void)
{
	assert_int_equal(strncmp(captured(), "{\"ts\":\"2", 8), 0);
	return strchr(line, ',') + 1;
}

static size_t lines(void)
{
	size_t n = 0;

	for (const char *at = line; (at = strchr(at, '\n')) != NULL; at++)
		n++;
	return n;
}

static void a_line_is_logfmt(void **state UNUSED)
{
	begin_capture();
	log_info("listening", LOG_STR("address", ":8080"), LOG_NUM("loops", 2),
		LOG_NUM("least", INT64_MIN));
	assert_string_equal(end_capture(),
		"level=info msg=listening address=:8080 loops=2 least=-9223372036854775808\n");
}

static void values_are_quoted_where_they_must_be(void **state UNUSED)
{
	begin_capture();
	log_warn("two words", LOG_STR("empty", ""), LOG_STR("quote", "\""), LOG_STR("equal", "a=b"),
		LOG_STR("line", "a\nb"), LOG_STR("letter", "é"));
	assert_string_equal(end_capture(),
		"level=warn msg=\"two words\" empty=\"\" quote=\"\\\"\" equal=\"a=b\" "
		"line=\"a\\nb\" letter=\"é\"\n");
}

static void long_values_are_cut_and_the_rest_of_the_line_is_there(void **state UNUSED)
{
	static const struct {
		const char *unit, *written, *quote;
	} cases[] = {
		{"x", "x", ""},
		{"\n", "\\n", "\""},
		{"\x01", "\\u0001", "\""},
		{"\"", "\\\"", "\""},
		{"€", "€", "\""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(buf_done) struct buf value = BUF_INIT(3 * LIMIT_LOG_VALUE);
		CLEANUP(buf_done) struct buf expected = BUF_INIT(2 * LIMIT_LOG_VALUE);

		while (value.len <= 2 * LIMIT_LOG_VALUE)
			buf_puts(&value, cases[i].unit);
		buf_printf(&expected, "level=error msg=m key=%s", cases[i].quote);
		for (size_t n = LIMIT_LOG_VALUE / strlen(cases[i].written); n > 0; n--)
			buf_puts(&expected, cases[i].written);
		buf_printf(&expected, "%s after=1\n", cases[i].quote);

		begin_capture();
		log_error("m", LOG_STR("key", value.data), LOG_NUM("after", 1));
		assert_string_equal(end_capture(), expected.data);
	}
}

static void a_line_ends_however_much_there_is_to_say(void **state UNUSED)
{
	static char value[3 * LIMIT_LOG_VALUE];
	struct log_field fields[20] = {{.key = NULL}};
	size_t len;

	memset(value, ' ', sizeof(value) - 1);
	for (size_t i = 0; i + 1 < ARRAY_SIZE(fields); i++)
		fields[i] = (struct log_field)LOG_STR("key", value);
	begin_capture();
	log_write("info", value, fields);
	end_capture();
	len = strlen(line);
	assert_true(len > LIMIT_LOG_LINE - LIMIT_LOG_VALUE - 100 && len <= LIMIT_LOG_LINE);
	assert_string_equal(line + len - 3, " \"\n");
	assert_ptr_equal(strchr(line, '\n'), line + len - 1);
}

static void microseconds_are_written_as_milliseconds(void **state UNUSED)
{
	begin_capture();
	log_info("m", LOG_MS("none", 0), LOG_MS("some", 812), LOG_MS("more", 1234567));
	assert_string_equal(
		end_capture(), "level=info msg=m none=0.000 some=0.812 more=1234.567\n");
}

static void what_terminals_obey_and_what_is_no_text_becomes_a_question_mark(void **state UNUSED)
{
	begin_capture();
	log_info("m", LOG_STR("delete", "a\x7f"),
		LOG_STR("c1", "a\xc2\x9b"
			      "31m"),
		LOG_STR("cut", "a\xc3"), LOG_STR("escape", "a\x1b[31m"));
	assert_string_equal(end_capture(), "level=info msg=m delete=\"a?\" c1=\"a?31m\" cut=\"a?\" "
					   "escape=\"a\\u001b[31m\"\n");
}

static void a_line_is_json_where_that_was_chosen(void **state UNUSED)
{
	begin_capture();
	log_set_format(LOG_JSON);
	log_info("two words", LOG_STR("empty", ""), LOG_STR("quote", "\"\\"),
		LOG_STR("line", "a\nb"), LOG_STR("bad", "a\xff"), LOG_NUM("n", -2),
		LOG_MS("ms", 812));
	log_set_format(LOG_LOGFMT);
	assert_string_equal(end_json_capture(),
		"\"level\":\"info\",\"msg\":\"two words\",\"empty\":\"\",\"quote\":\"\\\"\\\\\","
		"\"line\":\"a\\nb\",\"bad\":\"a?\",\"n\":-2,\"ms\":0.812}\n");
}

static void a_json_line_ends_however_much_there_is_to_say(void **state UNUSED)
{
	static char value[3 * LIMIT_LOG_VALUE];
	struct log_field fields[20] = {{.key = NULL}};
	size_t len;

	memset(value, '\x01', sizeof(value) - 1);
	for (size_t i = 0; i + 1 < ARRAY_SIZE(fields); i++)
		fields[i] = (struct log_field)LOG_STR("key", value);
	begin_capture();
	log_set_format(LOG_JSON);
	log_write("info", value, fields);
	log_set_format(LOG_LOGFMT);
	end_json_capture();
	len = strlen(line);
	assert_true(len > LIMIT_LOG_LINE - LIMIT_LOG_VALUE - 100 && len <= LIMIT_LOG_LINE);
	assert_string_equal(line + len - 3, "\"}\n");
	assert_int_equal(lines(), 1);
}

static void lines_for_later_wait_for_the_flush(void **state UNUSED)
{
	begin_capture();
	log_write_later("info", "first", (struct log_field[]){{.key = NULL}});
	log_write_later("info", "second", (struct log_field[]){{.key = NULL}});
	assert_string_equal(captured(), "");

	begin_capture();
	log_flush();
	log_flush();
	captured();
	assert_int_equal(lines(), 2);
	assert_non_null(strstr(strstr(line, "msg=first\n"), "msg=second\n"));
}

static void a_line_for_now_comes_after_those_for_later(void **state UNUSED)
{
	begin_capture();
	log_write_later("info", "first", (struct log_field[]){{.key = NULL}});
	log_warn("second", LOG_NUM("n", 1));
	captured();
	assert_int_equal(lines(), 2);
	assert_non_null(strstr(strstr(line, "msg=first\n"), "msg=second n=1\n"));
}

static void lines_for_later_that_are_too_many_are_written_whole(void **state UNUSED)
{
	static char value[LIMIT_LOG_VALUE];
	struct log_field fields[4] = {{.key = NULL}};
	size_t len;

	memset(value, 'x', sizeof(value) - 1);
	fields[0] = (struct log_field)LOG_STR("key", value);
	begin_capture();
	log_write_later("info", "first", fields);
	log_write_later("info", "second", fields); /* these two do not fit together */
	captured();
	len = strlen(line);
	assert_int_equal(lines(), 1);
	assert_int_equal(line[len - 1], '\n');
	assert_non_null(strstr(line, "msg=first"));

	fields[1] = fields[2] = fields[0];
	begin_capture();
	log_write_later("info", "third", fields); /* and this one does not by itself */
	captured();
	assert_int_equal(lines(), 2);
	assert_non_null(strstr(strstr(line, "msg=second"), "msg=third"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_logfmt),
		cmocka_unit_test(values_are_quoted_where_they_must_be),
		cmocka_unit_test(long_values_are_cut_and_the_rest_of_the_line_is_there),
		cmocka_unit_test(a_line_ends_however_much_there_is_to_say),
		cmocka_unit_test(microseconds_are_written_as_milliseconds),
		cmocka_unit_test(what_terminals_obey_and_what_is_no_text_becomes_a_question_mark),
		cmocka_unit_test(a_line_is_json_where_that_was_chosen),
		cmocka_unit_test(a_json_line_ends_however_much_there_is_to_say),
		cmocka_unit_test(lines_for_later_wait_for_the_flush),
		cmocka_unit_test(a_line_for_now_comes_after_those_for_later),
		cmocka_unit_test(lines_for_later_that_are_too_many_are_written_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
