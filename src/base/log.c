/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#include <inttypes.h>
#include <unistd.h>

static bool needs_quotes(struct slice s)
{
	if (s.n == 0)
		return true;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
			return true;
	}
	return false;
}

/* As much of it, in whole characters, as json_add_string() writes in room bytes and the quotes. */
static struct slice cut(struct slice s, size_t room)
{
	size_t taken = 0, n = 0;

	while (n < s.n) {
		unsigned char c = (unsigned char)s.p[n];

		taken += c < 0x20 ? strlen("\\u0000") : c == '"' || c == '\\' ? 2 : 1;
		if (taken > room)
			break;
		n++;
	}
	while (n > 0 && n < s.n && (s.p[n] & 0xc0) == 0x80)
		n--;
	return (struct slice){s.p, n};
}

static void add_value(struct buf *b, struct slice s)
{
	s = cut(s, LIMIT_LOG_VALUE);
	if (needs_quotes(s))
		json_add_string(b, s);
	else
		buf_add(b, s);
}

/* Is there room for " key=", the longest value in its quotes, and the end of the line? */
static bool fits(const struct buf *line, const char *key)
{
	return line->max - line->len >= strlen(key) + LIMIT_LOG_VALUE + strlen(" =\"\"\n");
}

/* Without the heap: there is something to say when memory is short, too. */
void log_write(const char *level, const char *msg, const struct log_field *fields)
{
	char bytes[LIMIT_LOG_LINE];
	struct buf line = {.data = bytes, .cap = sizeof(bytes), .max = sizeof(bytes) - 1};
	char ts[CLOCK_RFC3339_SIZE];
	ssize_t ignored;

	clock_rfc3339(clock_realtime_us(), ts);
	buf_printf(&line, "ts=%s level=%s msg=", ts, level);
	add_value(&line, slice_of(msg));
	for (const struct log_field *f = fields; f->key != NULL && fits(&line, f->key); f++) {
		buf_printf(&line, " %s=", f->key);
		if (f->is_number)
			buf_printf(&line, "%" PRId64, f->number);
		else
			add_value(&line, f->string);
	}
	buf_putc(&line, '\n');
	ASSERT(line.failed == ERROR_NONE);
	ignored = write(STDERR_FILENO, line.data, line.len); /* one write: lines never mix */
	(void)ignored;                                       /* nobody is left to tell */
}
