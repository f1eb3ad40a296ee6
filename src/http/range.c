/* SPDX-License-Identifier: Apache-2.0 */
/* Range and Content-Range (RFC 9110 section 14, OCI distribution-spec for chunked uploads). */
#include "http/uri.h"

static bool is_digits(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

/* A position past what 64 bits hold is past every end, not malformed. */
static bool position(struct slice s, uint64_t *ret)
{
	if (!is_digits(s))
		return false;
	if (!slice_to_u64(s, ret))
		*ret = UINT64_MAX;
	return true;
}

static bool cut_prefix_nocase(struct slice *s, struct slice prefix)
{
	if (s->n < prefix.n || !slice_eq_nocase((struct slice){s->p, prefix.n}, prefix))
		return false;
	*s = (struct slice){s->p + prefix.n, s->n - prefix.n};
	return true;
}

static enum http_range suffix_range(
	uint64_t length, uint64_t size, uint64_t *ret_first, uint64_t *ret_last)
{
	if (length == 0)
		return HTTP_RANGE_UNSATISFIABLE;
	if (size == 0)
		return HTTP_RANGE_NONE; /* all of nothing: a 206 cannot say so */
	*ret_first = length < size ? size - length : 0;
	*ret_last = size - 1;
	return HTTP_RANGE_OK;
}

enum http_range http_range_parse(
	struct slice value, uint64_t size, uint64_t *ret_first, uint64_t *ret_last)
{
	struct slice last_text = value, first_text;
	uint64_t first, last = UINT64_MAX;

	if (!cut_prefix_nocase(&last_text, SLICE("bytes=")))
		return HTTP_RANGE_NONE;
	last_text = slice_trim(last_text);
	first_text = slice_cut(&last_text, '-');
	if (last_text.p == NULL || (last_text.n > 0 && !position(last_text, &last)))
		return HTTP_RANGE_NONE;
	if (first_text.n == 0)
		return last_text.n == 0 ? HTTP_RANGE_NONE
					: suffix_range(last, size, ret_first, ret_last);
	if (!position(first_text, &first))
		return HTTP_RANGE_NONE;
	if (first >= size || first > last)
		return HTTP_RANGE_UNSATISFIABLE;
	*ret_first = first;
	*ret_last = last < size ? last : size - 1;
	return HTTP_RANGE_OK;
}

bool http_content_range_parse(struct slice value, uint64_t *ret_first, uint64_t *ret_last)
{
	struct slice first_text, last_text = value;
	uint64_t first, last;

	cut_prefix_nocase(&last_text, SLICE("bytes "));
	first_text = slice_cut(&last_text, '-');
	if (!slice_to_u64(first_text, &first) || !slice_to_u64(last_text, &last) || first > last)
		return false;
	*ret_first = first;
	*ret_last = last;
	return true;
}
