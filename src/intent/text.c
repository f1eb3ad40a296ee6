/* SPDX-License-Identifier: Apache-2.0 */
#include "intent/text.h"

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

	if (c >= 0x20 && c < 0x7f)
		return true;
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
		if (!utf8_next(&s, &c)) {
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
