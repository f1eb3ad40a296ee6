/* SPDX-License-Identifier: Apache-2.0 */
#include "http/params.h"

#include "http/chars.h"

static void advance(struct slice *s, size_t n)
{
	*s = (struct slice){s->p + n, s->n - n};
}

void http_skip_space(struct slice *s)
{
	while (s->n > 0 && (s->p[0] == ' ' || s->p[0] == '\t'))
		advance(s, 1);
}

bool http_skip_char(struct slice *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	advance(s, 1);
	return true;
}

bool http_take_token(struct slice *s, struct slice *ret)
{
	size_t n = 0;

	while (n < s->n && http_char_is(s->p[n], CHAR_TOKEN))
		n++;
	if (n == 0)
		return false;
	*ret = (struct slice){s->p, n};
	advance(s, n);
	return true;
}

/* The opening quote is taken already. */
static bool take_quoted(struct slice *s, struct slice *ret)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->p[i] == '"') {
			*ret = (struct slice){s->p, i};
			advance(s, i + 1);
			return true;
		}
		if (s->p[i] == '\\')
			i++;
	}
	return false;
}

bool http_take_param(struct slice *s, struct http_param *ret)
{
	struct slice rest = *s;
	struct http_param param;

	if (!http_take_token(&rest, &param.name))
		return false;
	http_skip_space(&rest);
	if (!http_skip_char(&rest, '='))
		return false;
	http_skip_space(&rest);
	param.quoted = http_skip_char(&rest, '"');
	if (!(param.quoted ? take_quoted(&rest, &param.value)
			   : http_take_token(&rest, &param.value)))
		return false;
	*ret = param;
	*s = rest;
	return true;
}

bool http_param_copy(const struct http_param *param, char *ret, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < param->value.n; i++) {
		if (param->quoted && param->value.p[i] == '\\')
			i++;
		if (n + 1 >= size)
			return false;
		ret[n++] = param->value.p[i];
	}
	ret[n] = '\0';
	return true;
}
