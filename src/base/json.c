/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <inttypes.h>

void json_add_string(struct buf *b, struct slice s)
{
	size_t clean = 0; /* start of the run that needs no escape */

	buf_putc(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_append(b, s.p + clean, i - clean);
		clean = i + 1;
		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else
			buf_printf(b, "\\u%04x", c);
	}
	if (s.n > clean)
		buf_append(b, s.p + clean, s.n - clean);
	buf_putc(b, '"');
}

void json_item(struct buf *b)
{
	char before = b->len == 0 ? '[' : b->data[b->len - 1];

	if (before != '{' && before != '[' && before != ':' && before != ',')
		buf_putc(b, ',');
}

void json_begin_object(struct buf *b)
{
	json_item(b);
	buf_putc(b, '{');
}

void json_end_object(struct buf *b)
{
	buf_putc(b, '}');
}

void json_begin_array(struct buf *b)
{
	json_item(b);
	buf_putc(b, '[');
}

void json_end_array(struct buf *b)
{
	buf_putc(b, ']');
}

void json_key(struct buf *b, const char *key)
{
	json_item(b);
	json_add_string(b, slice_of(key));
	buf_putc(b, ':');
}

void json_member_string(struct buf *b, const char *key, struct slice value)
{
	json_key(b, key);
	json_add_string(b, value);
}

void json_member_cstr(struct buf *b, const char *key, const char *value)
{
	json_member_string(b, key, slice_of(value));
}

void json_member_u64(struct buf *b, const char *key, uint64_t value)
{
	json_key(b, key);
	buf_printf(b, "%" PRIu64, value);
}

void json_member_bool(struct buf *b, const char *key, bool value)
{
	json_key(b, key);
	buf_puts(b, value ? "true" : "false");
}
