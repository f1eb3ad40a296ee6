/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/listing.h"

#include "cli/verbs.h"
#include "cli/view.h"

#include <stdio.h>

bool listing_is_tag(char letter, struct slice text)
{
	uint64_t number;

	return text.n > 1 && text.p[0] == letter &&
	       slice_to_u64((struct slice){text.p + 1, text.n - 1}, &number);
}

int listing_explain_revision(const char *revision, struct error *err)
{
	if (err->code != ERROR_NOT_FOUND)
		return -1;
	return error_set(err, ERROR_NOT_FOUND,
		"there is no revision %s: %s log shows those there are, with -A of all namespaces",
		revision, cli_program());
}

/* ---- elements ---- */

int listing_one(struct listing *l, json_t *element, struct error *err)
{
	l->n++;
	if (l->name != NULL && json_object_set_new(element, "name", json_string(l->name)) != 0)
		return error_no_memory(err);
	if (l->all == NULL)
		return l->show(l, element, err);
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

int listing_run(struct listing *l, const char *route, const char *list, struct error *err)
{
	unsigned page = l->limit < LIMIT_CLIENT_PAGE ? (unsigned)l->limit : LIMIT_CLIENT_PAGE;

	*err = (struct error)ERROR_INIT;
	l->left = l->limit;
	if (client_list_by(l->client, route, list, page, take, l, err) == 0 ||
		err->code == ERROR_NONE)
		return 0;
	return -1;
}

/* ---- the verb ---- */

static int begin(struct listing *l, const char *output, const char *limit, struct error *err)
{
	bool kept = strcmp(output, "json") == 0 || strcmp(output, "yaml") == 0;

	l->limit = UINT64_MAX;
	if (limit != NULL && (!slice_to_u64(slice_of(limit), &l->limit) || l->limit == 0))
		return error_set(err, ERROR_INVALID,
			"--limit must be a number of 1 or more, not \"%s\"", limit);
	if (kept && (l->all = json_array()) == NULL)
		return error_no_memory(err);
	return 0;
}

static int list(
	struct listing *l, const struct listing_verb *how, const char *output, struct error *err)
{
	if (l->table == NULL)
		return error_no_memory(err);
	if (how->list(l, err) != 0)
		return -1;
	if (l->all != NULL)
		return view_print(l->all, output, err);
	if (table_rows(l->table) > 0)
		table_print(l->table, stdout);
	return 0;
}

int listing_verb_run(
	const struct verb *verb, const struct cli_values *v, const struct listing_verb *how)
{
	CLEANUP(client_freep) struct client *client = NULL;
	CLEANUP(table_freep) struct table *table = table_new(how->columns, false, true);
	struct listing l = {.v = v, .table = table, .show = how->show};
	const char *output = v->at[how->opt_output];
	struct error err = ERROR_INIT;
	int status = EXIT_OK;

	if (client_open(&client, v, &err) != 0 ||
		begin(&l, output, v->at[how->opt_limit], &err) != 0)
		return cli_usage(verb, &err);
	l.client = client;
	if (list(&l, how, output, &err) != 0)
		status = cli_failed(verb, &err);
	json_decref(l.all);
	return status;
}
