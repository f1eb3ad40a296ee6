/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "cli/event_stream.h"

#include <stdio.h>

struct seen {
	size_t n, enough; /* after so many it wants no more; 0: never */
	char text[512];   /* "event=data;" of each */
};

static bool note(const char *event, struct slice data, void *arg)
{
	struct seen *seen = arg;
	size_t len = strlen(seen->text);

	snprintf(seen->text + len, sizeof(seen->text) - len, "%s=%.*s;", event, SLICE_ARG(data));
	return ++seen->n != seen->enough;
}

/* In pieces of that size. */
static int feed(struct event_stream *s, const char *text, size_t size, struct error *err)
{
	struct slice rest = slice_of(text);

	while (rest.n > 0) {
		struct slice piece = {rest.p, rest.n < size ? rest.n : size};

		if (event_stream_feed(s, piece, err) != 0)
			return -1;
		rest = (struct slice){rest.p + piece.n, rest.n - piece.n};
	}
	return 0;
}

/* What comes of it must not depend on the pieces. */
static void assert_events(const char *text, const char *events, const char *id)
{
	for (size_t size = 1; size <= strlen(text); size++) {
		CLEANUP(event_stream_done) struct event_stream s;
		struct error err = ERROR_INIT;
		struct seen seen = {0};

		event_stream_init(&s, note, &seen);
		assert_int_equal(feed(&s, text, size, &err), 0);
		assert_string_equal(seen.text, events);
		assert_string_equal(s.id, id);
	}
}

static void events_have_a_name_an_id_and_data(void **state UNUSED)
{
	assert_events("retry: 2000\n\nevent: hello\nid: a-1\ndata: {}\n\nid: a-2\nevent: "
		      "change\ndata: 7\n\n",
		"hello={};change=7;", "a-2");
}

static void every_end_of_a_line_counts(void **state UNUSED)
{
	assert_events("event: a\r\ndata: 1\r\n\r\nevent: b\rdata: 2\r\revent: c\ndata: 3\n\n",
		"a=1;b=2;c=3;", "");
}

static void lines_of_data_are_joined_and_one_space_is_no_part_of_them(void **state UNUSED)
{
	assert_events("data: a\ndata:b\ndata:  c\n\n", "message=a\nb\n c;", "");
}

static void comments_other_fields_and_events_without_data_are_none(void **state UNUSED)
{
	assert_events(": heartbeat\n\nevent: x\n\nfoo: bar\ndata: 1\n\n", "message=1;", "");
}

static void an_id_counts_once_its_event_is_whole(void **state UNUSED)
{
	assert_events("id: 1\ndata: a\n\nid: 2\ndata: b\n", "message=a;", "1");
}

static void an_id_that_is_too_long_is_none(void **state UNUSED)
{
	char text[LIMIT_WATCH_ID * 2];

	snprintf(text, sizeof(text), "id: %0*d\ndata: a\n\n", LIMIT_WATCH_ID + 1, 0);
	assert_events(text, "message=a;", "");
}

static void a_new_connection_forgets_what_was_half_there_and_keeps_the_id(void **state UNUSED)
{
	CLEANUP(event_stream_done) struct event_stream s;
	struct error err = ERROR_INIT;
	struct seen seen = {0};

	event_stream_init(&s, note, &seen);
	assert_int_equal(feed(&s, "id: 1\ndata: a\n\nid: 2\nevent: x\ndata: lost", 5, &err), 0);
	event_stream_restart(&s);
	assert_string_equal(s.id, "1");
	assert_int_equal(feed(&s, "data: b\n\n", 5, &err), 0);
	assert_string_equal(seen.text, "message=a;message=b;");
	assert_string_equal(s.id, "1");
}

static void who_has_enough_gets_no_more(void **state UNUSED)
{
	CLEANUP(event_stream_done) struct event_stream s;
	struct error err = ERROR_INIT;
	struct seen seen = {.enough = 1};

	event_stream_init(&s, note, &seen);
	assert_int_equal(event_stream_feed(&s, SLICE("data: a\n\ndata: b\n\n"), &err), -1);
	assert_int_equal(err.code, ERROR_NONE);
	assert_string_equal(seen.text, "message=a;");
}

static void an_event_without_end_is_refused(void **state UNUSED)
{
	CLEANUP(event_stream_done) struct event_stream s;
	static const char line[] = "data: 0123456789012345678901234567890123456789\n";
	struct error err = ERROR_INIT;
	struct seen seen = {0};
	int result = 0;

	event_stream_init(&s, note, &seen);
	for (size_t i = 0; i <= LIMIT_CLIENT_EVENT / 40 && result == 0; i++)
		result = event_stream_feed(&s, SLICE(line), &err);
	assert_int_equal(result, -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_have_a_name_an_id_and_data),
		cmocka_unit_test(every_end_of_a_line_counts),
		cmocka_unit_test(lines_of_data_are_joined_and_one_space_is_no_part_of_them),
		cmocka_unit_test(comments_other_fields_and_events_without_data_are_none),
		cmocka_unit_test(an_id_counts_once_its_event_is_whole),
		cmocka_unit_test(an_id_that_is_too_long_is_none),
		cmocka_unit_test(a_new_connection_forgets_what_was_half_there_and_keeps_the_id),
		cmocka_unit_test(who_has_enough_gets_no_more),
		cmocka_unit_test(an_event_without_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
