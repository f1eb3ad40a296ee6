/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer with a maximum.
 *
 * Failure is sticky: once an append fails (no memory, or past the maximum), later appends do
 * nothing, and buf_check() says so once, at the end. data is always NUL-terminated when not NULL.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/base.h"
#include "base/error.h"
#include "base/str.h"

#include <stdarg.h>

struct buf {
	char *data;
	size_t len;
	size_t cap; /* bytes at data; at most max and the NUL */
	size_t max;
	enum error_code failed; /* ERROR_NONE, ERROR_NO_MEMORY or ERROR_TOO_LARGE */
};

#define BUF_INIT(max_) \
	{ \
		.max = (max_) \
	}

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);
void buf_wipe(struct buf *b);  /* buf_done() of a secret. Growth leaves copies: make room first */
void buf_reset(struct buf *b); /* empty and not failed; keeps the memory */

/* Room for n more bytes at the end, to be written by the caller and claimed by buf_claim(); NULL
 * when the buffer has failed. */
void *buf_grow(struct buf *b, size_t n); /* the part of it that is seldom needed */
static inline void *buf_room(struct buf *b, size_t n)
{
	if (n < b->cap - b->len && b->failed == ERROR_NONE)
		return b->data + b->len;
	return buf_grow(b, n);
}
void buf_claim(struct buf *b, size_t n);

static inline void buf_append(struct buf *b, const void *p, size_t n)
{
	char *room = buf_room(b, n);

	if (room == NULL)
		return;
	if (p != NULL)
		memcpy(room, p, n);
	room[n] = '\0';
	b->len += n;
}
static inline void buf_add(struct buf *b, struct slice s)
{
	buf_append(b, s.p, s.n);
}
static inline void buf_putc(struct buf *b, char c)
{
	buf_append(b, &c, 1);
}
void buf_puts(struct buf *b, const char *cstr);
void buf_add_u64(struct buf *b, uint64_t value); /* in decimal */
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

static inline struct slice buf_slice(const struct buf *b)
{
	return (struct slice){b->data, b->len};
}

/* Did every append since the start succeed? */
int buf_check(const struct buf *b, struct error *err) MUST_CHECK;

/* The bytes, now the caller's to free; the buffer is empty. NULL when nothing was appended. */
char *buf_take(struct buf *b);

#endif
