/* SPDX-License-Identifier: Apache-2.0 */
#include "http/chars.h"

#define V CHAR_VALUE
#define VT (V | CHAR_TARGET)
#define VTH (VT | CHAR_HOST)
#define TOKEN (VT | CHAR_TOKEN)
#define TOKEN_HOST (VTH | CHAR_TOKEN)
#define ALL (TOKEN_HOST | CHAR_UNRESERVED)

const unsigned char http_char_classes[256] = {
	['\t'] = V,
	[' '] = V,
	['!'] = TOKEN_HOST,
	['"'] = VT,
	['#'] = TOKEN,
	['$'] = TOKEN_HOST,
	['%'] = TOKEN_HOST,
	['&'] = TOKEN_HOST,
	['\''] = TOKEN_HOST,
	['('] = VTH,
	[')'] = VTH,
	['*'] = TOKEN_HOST,
	['+'] = TOKEN_HOST,
	[','] = VT,
	['-'] = ALL,
	['.'] = ALL,
	['/'] = VT,
	['0' ... '9'] = ALL,
	[':'] = VTH,
	[';'] = VTH,
	['<'] = VT,
	['='] = VTH,
	['>'] = VT,
	['?'] = VT,
	['@'] = VT,
	['A' ... 'Z'] = ALL,
	['['] = VTH,
	['\\'] = VT,
	[']'] = VTH,
	['^'] = TOKEN,
	['_'] = ALL,
	['`'] = TOKEN,
	['a' ... 'z'] = ALL,
	['{'] = VT,
	['|'] = TOKEN,
	['}'] = VT,
	['~'] = ALL,
	[0x80 ... 0xff] = V,
};
