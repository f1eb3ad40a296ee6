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

void buf_wipe(struct buf *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data, b->cap);
	buf_done(b);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = ERROR_NONE;
	if (b->data != NULL)
		b->data[0] = '\0';
}

void *buf_grow(struct buf *b, size_t n)
{
	size_t cap = b->cap;
	char *data;

	if (b->failed != ERROR_NONE)
		return NULL;
	if (n > b->max - b->len) {
		b->failed = ERROR_TOO_LARGE;
		return NULL;
	}
	if (cap == 0)
		cap = 64;
	while (cap <= b->len + n)
		cap *= 2;
	if (cap - 1 > b->max)
		cap = b->max + 1;
	data = realloc(b->data, cap);
	if (data == NULL) {
		b->failed = ERROR_NO_MEMORY;
		return NULL;
	}
	b->data = data;
	b->cap = cap;
	b->data[b->len] = '\0';
	return b->data + b->len;
}

void buf_claim(struct buf *b, size_t n)
{
	ASSERT(b->len + n < b->cap);
	b->len += n;
	b->data[b->len] = '\0';
}

void buf_puts(struct buf *b, const char *cstr)
{
	buf_append(b, cstr, strlen(cstr));
}

void buf_add_u64(struct buf *b, uint64_t value)
{
	char digits[U64_DIGITS];

	buf_add(b, u64_digits(value, digits));
}

/* Into the room that there is; once more when that was too little. */
void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	char *room = buf_room(b, 0);
	va_list again;
	int n;

	if (room == NULL)
		return;
	va_copy(again, ap);
	n = vsnprintf(room, b->cap - b->len, fmt, ap);
	ASSERT(n >= 0);
	if ((size_t)n >= b->cap - b->len) {
		*room = '\0';
		room = buf_grow(b, (size_t)n);
		if (room != NULL)
			vsnprintf(room, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	if (room != NULL)
		b->len += (size_t)n;
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
