/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#include <unistd.h>

static enum log_format chosen = LOG_LOGFMT;

/* Lines that wait for log_flush(). Never more than a pipe takes as one piece, so lines of different
 * threads do not mix. */
static _Thread_local struct {
	size_t n;
	char bytes[LIMIT_LOG_HELD];
} held;

void log_set_format(enum log_format format)
{
	chosen = format;
}

/* ---- values ---- */

/* Bytes that want quotes in logfmt, and those beyond ASCII or invisible. */
enum { QUOTE = 1, BEYOND = 2 };
static const unsigned char classes[256] = {
	[0x00 ... ' '] = QUOTE,
	['"'] = QUOTE,
	['='] = QUOTE,
	['\\'] = QUOTE,
	[0x7f ... 0xff] = QUOTE | BEYOND,
};

static unsigned classes_of(struct slice s)
{
	unsigned all = 0;

	for (size_t i = 0; i < s.n; i++)
		all |= classes[(unsigned char)s.p[i]];
	return all;
}

/* As json_add_string() writes it. */
static size_t written_size(unsigned char c)
{
	if (c != '\0' && strchr("\"\\\n\r\t", c) != NULL)
		return 2;
	return c < 0x20 ? strlen("\\u0000") : 1;
}

/* As much of it, in whole characters, as json_add_string() writes in room bytes and the quotes. */
static struct slice cut(struct slice s, size_t room)
{
	size_t taken = 0, n = 0;

	if (s.n <= room / strlen("\\u0000"))
		return s;
	while (n < s.n) {
		unsigned char c = (unsigned char)s.p[n];

		taken += written_size(c);
		if (taken > room)
			break;
		n++;
	}
	while (n > 0 && n < s.n && (s.p[n] & 0xc0) == 0x80)
		n--;
	return (struct slice){s.p, n};
}

/* In quotes. Terminals take some characters beyond ASCII for commands: only printable ones stay. */
static void add_quoted(struct buf *b, struct slice s, unsigned found)
{
	char text[LIMIT_LOG_VALUE + 1];

	if ((found & BEYOND) == 0) {
		json_add_string(b, s);
		return;
	}
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	utf8_make_printable(text, false);
	json_add_string(b, slice_of(text));
}

static void add_string(struct buf *b, struct slice s)
{
	unsigned found;

	s = cut(s, LIMIT_LOG_VALUE);
	found = classes_of(s);
	if (chosen == LOG_JSON || s.n == 0 || (found & QUOTE) != 0)
		add_quoted(b, s, found);
	else
		buf_add(b, s);
}

static void add_number(struct buf *b, int64_t number)
{
	if (number < 0)
		buf_putc(b, '-');
	buf_add_u64(b, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

static void add_ms(struct buf *b, int64_t us)
{
	char decimals[] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10),
		(char)('0' + us % 10)};

	add_number(b, us / 1000);
	buf_append(b, decimals, sizeof(decimals));
}

/* ---- lines ---- */

static void add_key(struct buf *line, const char *key)
{
	if (chosen == LOG_JSON) {
		buf_puts(line, line->len == 0 ? "{\"" : ",\"");
		buf_puts(line, key);
		buf_puts(line, "\":");
		return;
	}
	if (line->len > 0)
		buf_putc(line, ' ');
	buf_puts(line, key);
	buf_putc(line, '=');
}

static void add_field(struct buf *line, const struct log_field *f)
{
	add_key(line, f->key);
	switch (f->kind) {
	case LOG_IS_STRING:
		add_string(line, f->string);
		break;
	case LOG_IS_NUMBER:
		add_number(line, f->number);
		break;
	case LOG_IS_MS:
		add_ms(line, f->number);
		break;
	}
}

/* Is there room for the key, the longest value in its quotes, and the end of the line? */
static bool fits(const struct buf *line, const char *key)
{
	return line->max - line->len >= strlen(key) + LIMIT_LOG_VALUE + strlen(",\"\":\"\"}\n");
}

static void make_line(
	struct buf *line, const char *level, const char *msg, const struct log_field *fields)
{
	char ts[CLOCK_RFC3339_SIZE];

	clock_rfc3339(clock_realtime_us(), ts);
	add_field(line, &(struct log_field)LOG_STR("ts", ts));
	add_field(line, &(struct log_field)LOG_STR("level", level));
	add_field(line, &(struct log_field)LOG_STR("msg", msg));
	for (const struct log_field *f = fields; f->key != NULL && fits(line, f->key); f++)
		add_field(line, f);
	buf_puts(line, chosen == LOG_JSON ? "}\n" : "\n");
	ASSERT(line->failed == ERROR_NONE);
}

/* ---- output ---- */

/* One write: lines never mix. */
static void put(const char *p, size_t n)
{
	ssize_t ignored = write(STDERR_FILENO, p, n);

	(void)ignored; /* nobody is left to tell */
}

void log_flush(void)
{
	if (held.n > 0)
		put(held.bytes, held.n);
	held.n = 0;
}

/* Without the heap: there is something to say when memory is short, too. */
void log_write(const char *level, const char *msg, const struct log_field *fields)
{
	char bytes[LIMIT_LOG_LINE];
	struct buf line = {.data = bytes, .cap = sizeof(bytes), .max = sizeof(bytes) - 1};

	make_line(&line, level, msg, fields);
	log_flush();
	put(line.data, line.len);
}

void log_write_later(const char *level, const char *msg, const struct log_field *fields)
{
	char bytes[LIMIT_LOG_LINE];
	struct buf line = {.data = bytes, .cap = sizeof(bytes), .max = sizeof(bytes) - 1};

	make_line(&line, level, msg, fields);
	if (line.len > sizeof(held.bytes) - held.n)
		log_flush();
	if (line.len > sizeof(held.bytes)) {
		put(line.data, line.len);
		return;
	}
	memcpy(held.bytes + held.n, line.data, line.len);
	held.n += line.len;
}
