/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/event_stream.h"

#include <stdio.h>

void event_stream_init(
	struct event_stream *s, bool (*each)(const char *, struct slice, void *), void *arg)
{
	*s = (struct event_stream){
		.line = BUF_INIT(LIMIT_CLIENT_EVENT),
		.data = BUF_INIT(LIMIT_CLIENT_EVENT),
		.each = each,
		.arg = arg,
	};
}

void event_stream_done(struct event_stream *s)
{
	buf_done(&s->line);
	buf_done(&s->data);
}

static void begin_event(struct event_stream *s)
{
	buf_reset(&s->data);
	s->event[0] = '\0';
}

void event_stream_restart(struct event_stream *s)
{
	buf_reset(&s->line);
	begin_event(s);
	s->after_cr = false;
	snprintf(s->next_id, sizeof(s->next_id), "%s", s->id);
}

static void set_text(char *ret, size_t size, struct slice value)
{
	if (value.n < size)
		snprintf(ret, size, "%.*s", SLICE_ARG(value));
}

/* An empty line ends an event. One without data is none. */
static bool end_event(struct event_stream *s)
{
	bool more = true;

	memcpy(s->id, s->next_id, sizeof(s->id));
	if (s->data.len > 0)
		more = s->each(s->event[0] != '\0' ? s->event : "message",
			(struct slice){s->data.data, s->data.len - 1}, s->arg);
	begin_event(s);
	return more;
}

static bool take_line(struct event_stream *s)
{
	struct slice value = buf_slice(&s->line), field;

	if (value.n == 0)
		return end_event(s);
	field = slice_cut(&value, ':');
	if (value.n > 0 && value.p[0] == ' ')
		value = (struct slice){value.p + 1, value.n - 1};
	if (slice_eq(field, SLICE("data"))) {
		buf_add(&s->data, value);
		buf_putc(&s->data, '\n');
	} else if (slice_eq(field, SLICE("event"))) {
		set_text(s->event, sizeof(s->event), value);
	} else if (slice_eq(field, SLICE("id"))) {
		set_text(s->next_id, sizeof(s->next_id), value);
	}
	return true;
}

static bool take_byte(struct event_stream *s, char c)
{
	bool ends = c == '\r' || (c == '\n' && !s->after_cr), more = true;

	s->after_cr = c == '\r';
	if (ends) {
		more = take_line(s);
		buf_reset(&s->line);
	} else if (c != '\n') {
		buf_putc(&s->line, c);
	}
	return more;
}

int event_stream_feed(struct event_stream *s, struct slice piece, struct error *err)
{
	for (size_t i = 0; i < piece.n; i++)
		if (!take_byte(s, piece.p[i]))
			return -1;
	if (buf_check(&s->line, err) != 0 || buf_check(&s->data, err) != 0)
		return error_wrap(err, "an event of the server");
	return 0;
}
