/* SPDX-License-Identifier: Apache-2.0 */
/* Byte classes of HTTP grammar (RFC 9110 section 5.6, RFC 3986). Private to the room. */
#ifndef HTTP_CHARS_H
#define HTTP_CHARS_H

#include "base/str.h"

enum {
	CHAR_TOKEN = 1,       /* tchar: methods, field names, parameters */
	CHAR_VALUE = 2,       /* field values: visible, space, tab, obs-text */
	CHAR_TARGET = 4,      /* request target: visible ASCII */
	CHAR_HOST = 8,        /* host and port; no comma, which would make a list of it */
	CHAR_UNRESERVED = 16, /* never needs percent-encoding */
};

extern const unsigned char http_char_classes[256];

static inline bool http_char_is(char c, unsigned class)
{
	return (http_char_classes[(unsigned char)c] & class) != 0;
}

/* Every byte is of that class; true for the empty slice. */
static inline bool http_chars_are(struct slice s, unsigned class)
{
	for (size_t i = 0; i < s.n; i++)
		if (!http_char_is(s.p[i], class))
			return false;
	return true;
}

/* Value of a hex digit, or -1. */
static inline int http_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

#endif
