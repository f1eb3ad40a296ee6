/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#include <inttypes.h>
#include <unistd.h>

#define LOG_LINE_MAX (16 * KIB)

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

static void add_value(struct buf *b, struct slice s)
{
	if (needs_quotes(s))
		json_add_string(b, s);
	else
		buf_add(b, s);
}

void log_write(const char *level, const char *msg, const struct log_field *fields)
{
	CLEANUP(buf_done) struct buf line = BUF_INIT(LOG_LINE_MAX);
	char ts[CLOCK_RFC3339_SIZE];
	ssize_t ignored;

	clock_rfc3339(clock_realtime_us(), ts);
	buf_printf(&line, "ts=%s level=%s msg=", ts, level);
	add_value(&line, slice_of(msg));
	for (const struct log_field *f = fields; f->key != NULL; f++) {
		buf_printf(&line, " %s=", f->key);
		if (f->is_number)
			buf_printf(&line, "%" PRId64, f->number);
		else
			add_value(&line, f->string);
	}
	buf_putc(&line, '\n');
	ignored = write(STDERR_FILENO, line.data, line.len); /* one write: lines never mix */
	(void)ignored;                                       /* nobody is left to tell */
}
