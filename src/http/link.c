/* SPDX-License-Identifier: Apache-2.0 */
/* The Link header (RFC 8288), as registries page with it. */
#include "http/params.h"
#include "http/uri.h"

/* Is next among the relations of rel="prev next"? */
static bool has_next(struct slice relations)
{
	while (relations.p != NULL)
		if (slice_eq_nocase(slice_cut(&relations, ' '), SLICE("next")))
			return true;
	return false;
}

/* Takes `<target> *( ";" param )` off *s. */
static bool take_link(struct slice *s, struct slice *ret_target, bool *ret_next)
{
	struct http_param param;
	bool next = false;

	if (!http_skip_char(s, '<'))
		return false;
	*ret_target = slice_cut(s, '>');
	if (s->p == NULL)
		return false;
	for (;;) {
		struct slice flag;

		http_skip_space(s);
		if (!http_skip_char(s, ';'))
			break;
		http_skip_space(s);
		if (http_take_param(s, &param))
			next = next ||
			       (slice_eq_nocase(param.name, SLICE("rel")) && has_next(param.value));
		else
			http_take_token(s, &flag);
	}
	*ret_next = next;
	return true;
}

struct slice http_link_next(struct slice value)
{
	struct slice target;
	bool next;

	for (;;) {
		do
			http_skip_space(&value);
		while (http_skip_char(&value, ','));
		if (!take_link(&value, &target, &next))
			return SLICE_NONE;
		if (next)
			return target;
		if (value.n > 0 && value.p[0] != ',')
			return SLICE_NONE;
	}
}
