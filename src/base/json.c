/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

/* How many bytes at the start need no escape. */
static size_t clean_length(struct slice s)
{
	static const bool escaped[256] = {[0 ... 0x1f] = true, ['"'] = true, ['\\'] = true};
	size_t n = 0;

	while (n < s.n && !escaped[(unsigned char)s.p[n]])
		n++;
	return n;
}

static void add_escaped(struct buf *b, char c)
{
	static const char shorts[][2] = {
		{'"', '"'}, {'\\', '\\'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}};

	for (size_t i = 0; i < ARRAY_SIZE(shorts); i++)
		if (c == shorts[i][0]) {
			buf_putc(b, '\\');
			buf_putc(b, shorts[i][1]);
			return;
		}
	buf_printf(b, "\\u%04x", c);
}

void json_add_string(struct buf *b, struct slice s)
{
	size_t n = clean_length(s);

	buf_putc(b, '"');
	for (; n < s.n; n = clean_length(s)) {
		buf_append(b, s.p, n);
		add_escaped(b, s.p[n]);
		s.p += n + 1;
		s.n -= n + 1;
	}
	buf_add(b, s);
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
	buf_add_u64(b, value);
}

void json_member_bool(struct buf *b, const char *key, bool value)
{
	json_key(b, key);
	buf_puts(b, value ? "true" : "false");
}
