/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/listing.h"

#include "cli/view.h"

#include <stdio.h>

bool listing_is_tag(char letter, struct slice text)
{
	uint64_t number;

	return text.n > 1 && text.p[0] == letter &&
	       slice_to_u64((struct slice){text.p + 1, text.n - 1}, &number);
}

int listing_begin(struct listing *l, const char *output, const char *limit, struct error *err)
{
	bool kept = strcmp(output, "json") == 0 || strcmp(output, "yaml") == 0;

	l->left = UINT64_MAX;
	l->all = NULL;
	if (limit != NULL && !slice_to_u64(slice_of(limit), &l->left))
		return error_set(err, ERROR_INVALID, "--limit must be a number, not \"%s\"", limit);
	if (kept && (l->all = json_array()) == NULL)
		return error_no_memory(err);
	return 0;
}

int listing_one(struct listing *l, json_t *element, struct error *err)
{
	if (l->all == NULL)
		return l->show(element, l->arg, err);
	return json_array_append(l->all, element) == 0 ? 0 : error_no_memory(err);
}

/* -1 without an error: that is enough. */
static int take(json_t *element, void *arg, struct error *err)
{
	struct listing *l = arg;

	if (listing_one(l, element, err) != 0)
		return -1;
	l->left -= l->left != UINT64_MAX;
	return l->left > 0 ? 0 : -1;
}

int listing_run(
	struct listing *l, struct client *c, const char *route, const char *list, struct error *err)
{
	unsigned page = l->left < LIMIT_CLIENT_PAGE ? (unsigned)l->left : LIMIT_CLIENT_PAGE;

	*err = (struct error)ERROR_INIT;
	if (l->left == 0)
		return 0;
	if (client_list_by(c, route, list, page, take, l, err) == 0 || err->code == ERROR_NONE)
		return 0;
	return -1;
}

int listing_end(struct listing *l, const char *output, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_HTTP_REPLY);
	char *json;

	if (l->all == NULL)
		return 0;
	if (strcmp(output, "yaml") == 0) {
		view_add_yaml(&text, l->all, 0, false);
		if (buf_check(&text, err) != 0)
			return -1;
		fwrite(text.data, 1, text.len, stdout);
		return 0;
	}
	json = json_dumps(l->all, JSON_INDENT(2));
	if (json == NULL)
		return error_no_memory(err);
	puts(json);
	free(json);
	return 0;
}

void listing_done(struct listing *l)
{
	json_decref(l->all);
}
