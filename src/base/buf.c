/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdio.h>

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf)BUF_INIT(max);
}

void buf_done(struct buf *b)
{
	free(b->data);
	buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = ERROR_NONE;
	if (b->data != NULL)
		b->data[0] = '\0';
}

/* Makes room for n more bytes and the NUL. */
static bool grow(struct buf *b, size_t n)
{
	size_t cap = b->cap;
	char *data;

	if (b->failed != ERROR_NONE)
		return false;
	if (n > b->max - b->len) {
		b->failed = ERROR_TOO_LARGE;
		return false;
	}
	if (b->len + n < cap)
		return true;
	if (cap == 0)
		cap = 64;
	while (cap <= b->len + n)
		cap *= 2;
	data = realloc(b->data, cap);
	if (data == NULL) {
		b->failed = ERROR_NO_MEMORY;
		return false;
	}
	b->data = data;
	b->cap = cap;
	b->data[b->len] = '\0';
	return true;
}

void *buf_room(struct buf *b, size_t n)
{
	return grow(b, n) ? b->data + b->len : NULL;
}

void buf_claim(struct buf *b, size_t n)
{
	ASSERT(b->len + n < b->cap);
	b->len += n;
	b->data[b->len] = '\0';
}

void buf_append(struct buf *b, const void *p, size_t n)
{
	char *room = buf_room(b, n);

	if (room == NULL)
		return;
	if (n > 0)
		memcpy(room, p, n);
	buf_claim(b, n);
}

void buf_add(struct buf *b, struct slice s)
{
	buf_append(b, s.p, s.n);
}

void buf_puts(struct buf *b, const char *cstr)
{
	buf_append(b, cstr, strlen(cstr));
}

void buf_putc(struct buf *b, char c)
{
	buf_append(b, &c, 1);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	char *room;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	ASSERT(n >= 0);
	room = buf_room(b, (size_t)n);
	if (room == NULL)
		return;
	vsnprintf(room, (size_t)n + 1, fmt, ap);
	buf_claim(b, (size_t)n);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

int buf_check(const struct buf *b, struct error *err)
{
	if (b->failed == ERROR_NONE)
		return 0;
	if (b->failed == ERROR_NO_MEMORY)
		return error_no_memory(err);
	return error_set(err, ERROR_TOO_LARGE, "larger than the %zu bytes allowed", b->max);
}

char *buf_take(struct buf *b)
{
	char *data = TAKE_PTR(b->data);

	buf_init(b, b->max);
	return data;
}
