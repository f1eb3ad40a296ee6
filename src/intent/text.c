/* SPDX-License-Identifier: Apache-2.0 */
#include "intent/text.h"

bool intent_utf8_next(struct slice *rest, uint32_t *ret)
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

bool intent_char_ok(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} refused[] = {
		{0x0000, 0x001f},
		{0x007f, 0x009f},
		{0x2028, 0x2029},
		{0xfdd0, 0xfdef},
		{0xfeff, 0xfeff},
	};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		if (c >= refused[i].first && c <= refused[i].last)
			return false;
	}
	return (c & 0xfffe) != 0xfffe;
}

const char *intent_excerpt(struct slice s, char ret[INTENT_EXCERPT_SIZE])
{
	static const char more[] = "...";
	size_t len = 0;

	while (s.n > 0) {
		struct slice at = s;
		uint32_t c;

		if (len + 4 + sizeof(more) > INTENT_EXCERPT_SIZE) {
			memcpy(ret + len, more, sizeof(more));
			return ret;
		}
		if (!intent_utf8_next(&s, &c)) {
			s.p++;
			s.n--;
			ret[len++] = '?';
		} else if (!intent_char_ok(c)) {
			ret[len++] = '?';
		} else {
			memcpy(ret + len, at.p, at.n - s.n);
			len += at.n - s.n;
		}
	}
	ret[len] = '\0';
	return ret;
}
