/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Not strncasecmp(), which ends at a NUL and asks the locale. */
bool slice_eq_nocase(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

bool slice_starts(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && slice_eq((struct slice){s.p, prefix.n}, prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
	if (s.n < suffix.n)
		return false;
	return suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0;
}

struct slice slice_cut(struct slice *rest, char sep)
{
	struct slice head = *rest;
	const char *at = rest->n == 0 ? NULL : memchr(rest->p, sep, rest->n);

	if (at == NULL) {
		*rest = SLICE_NONE;
		return head;
	}
	head.n = (size_t)(at - head.p);
	rest->p = at + 1;
	rest->n -= head.n + 1;
	return head;
}

struct slice slice_trim(struct slice s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

bool utf8_next(struct slice *rest, uint32_t *ret)
{
	/* By length: the bits that mark the first byte, and the least value that needs the length.
	 */
	static const struct {
		unsigned char mask, mark;
		uint32_t min;
	} forms[] = {
		{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
	const unsigned char *p = (const unsigned char *)rest->p;
	size_t more = 0;
	uint32_t c;

	if (rest->n == 0)
		return false;
	while (more < ARRAY_SIZE(forms) && (p[0] & forms[more].mask) != forms[more].mark)
		more++;
	if (more >= ARRAY_SIZE(forms) || rest->n <= more)
		return false;
	c = p[0] & (unsigned char)~forms[more].mask;
	for (size_t i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return false;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < forms[more].min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return false;
	rest->p += more + 1;
	rest->n -= more + 1;
	*ret = c;
	return true;
}

static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

void utf8_make_printable(char *text, bool cut)
{
	struct slice rest = slice_of(text);
	char *end = text;

	while (rest.n > 0) {
		const char *at = rest.p;
		uint32_t c;

		if (!utf8_next(&rest, &c)) {
			if (cut && rest.n < 4 && (*at & 0xc0) == 0xc0)
				break;
			c = 0;
			rest.p++;
			rest.n--;
		}
		if (is_control(c)) {
			*end++ = '?';
			continue;
		}
		memmove(end, at, (size_t)(rest.p - at));
		end += rest.p - at;
	}
	*end = '\0';
}

bool slice_to_u64(struct slice s, uint64_t *ret)
{
	uint64_t value = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(s.p[i] - '0'), &value))
			return false;
	}
	*ret = value;
	return true;
}

struct slice u64_digits(uint64_t value, char digits[U64_DIGITS])
{
	char *end = digits + U64_DIGITS, *p = end;

	do {
		*--p = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	return (struct slice){p, (size_t)(end - p)};
}

char *slice_dup(struct slice s)
{
	char *copy = malloc(s.n + 1);

	if (copy == NULL)
		return NULL;
	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}

/* What vasprintf() leaves in text when it fails depends on the C library. */
char *str_printf(const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : text;
}
