/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of structured field values: tokens and parameters (RFC 9110 section 5.6). Private. */
#ifndef HTTP_PARAMS_H
#define HTTP_PARAMS_H

#include "base/str.h"

void http_skip_space(struct slice *s);

/* Takes a byte off *s when it is c. */
bool http_skip_char(struct slice *s, char c);

/* Takes the longest token off *s; false when there is none. */
bool http_take_token(struct slice *s, struct slice *ret);

struct http_param {
	struct slice name;
	struct slice value; /* a quoted one without its quotes, its escapes still in it */
	bool quoted;
};

/* Takes `name "=" (token | quoted-string)` off *s; false, and *s as it was, when there is none. */
bool http_take_param(struct slice *s, struct http_param *ret);

/* Copies the value, unescaped and NUL-terminated; false when it does not fit. */
bool http_param_copy(const struct http_param *param, char *ret, size_t size);

#endif
