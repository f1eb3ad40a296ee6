/* SPDX-License-Identifier: Apache-2.0 */
/* What files would change, or what two revisions differ in. */
#include "base/json.h"
#include "cli/change.h"
#include "cli/listing.h"
#include "cli/terminal.h"
#include "cli/view.h"

#include <stdio.h>

/* As diff(1) and kubectl diff. */
#define EXIT_SAME 0
#define EXIT_DIFFERENT 1
#define EXIT_TROUBLE 2

enum { OPT_FILE = CLIENT_OPTIONS_, OPT_RECURSIVE, OPT_ALL };

static const struct cli_option options[] = {
	CLIENT_OPTION_ROWS,
	[OPT_FILE] = INPUT_OPTION_FILE,
	[OPT_RECURSIVE] = INPUT_OPTION_RECURSIVE,
	[OPT_ALL] = VIEW_OPTION_ALL_NAMESPACES,
	{NULL},
};

static int trouble(const struct verb *verb, const struct error *err)
{
	cli_failed(verb, err);
	return EXIT_TROUBLE;
}

static int show(json_t *change, void *arg, struct error *err UNUSED)
{
	const char *text = view_text(change, "diff");
	bool *differs = arg;

	terminal_diff(stdout, text);
	*differs = *differs || text[0] != '\0';
	return 0;
}

/* ---- files ---- */

/* What apply would be answered. */
static int ask_for_files(
	struct client *c, const struct input *input, struct client_call *call, struct error *err)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_CHANGES_BODY);
	const struct change_options how = {.dry_run = true, .n = input->n};

	json_begin_object(&body);
	change_add_input(&body, input);
	json_end_object(&body);
	if (change_check_body(&body, err) != 0)
		return -1;
	if (change_send(c, "/api/v1/changes", buf_slice(&body), &how, call, err) != 0)
		return change_explain_item(input, call, err);
	return 0;
}

static int diff_files(struct client *c, const struct cli_values *v, bool *ret, struct error *err)
{
	CLEANUP(input_done) struct input input = {.n = 0};
	CLEANUP(client_call_done) struct client_call call = {.method = NULL};
	const char *namespace = client_namespace(c);
	const struct input_options from = {
		.paths = v->all[OPT_FILE],
		.recursive = v->at[OPT_RECURSIVE] != NULL,
		.namespace = namespace,
		.only = v->given[CLIENT_OPT_NAMESPACE] ? namespace : NULL,
	};
	json_t *changes, *change;
	size_t i;

	if (input_read(&input, &from, err) != 0)
		return -1;
	if (input.n == 0)
		return change_nothing_given(err);
	if (ask_for_files(c, &input, &call, err) != 0)
		return -1;
	changes = change_list(c, &call, err);
	if (changes == NULL)
		return -1;
	json_array_foreach(changes, i, change)
	{
		show(change, ret, err);
	}
	return 0;
}

/* ---- revisions ---- */

static int diff_revisions(
	struct client *c, const struct cli_values *v, bool *ret, struct error *err)
{
	AUTO_FREE char *route = v->at[OPT_ALL] != NULL ? str_printf("/api/v1/diff/%s", v->argument)
						       : str_printf("/api/v1/namespaces/%s/diff/%s",
								 client_namespace(c), v->argument);

	if (route == NULL)
		return error_no_memory(err);
	if (client_list(c, route, "changes", show, ret, err) == 0)
		return 0;
	return err->code == ERROR_NOT_FOUND
		       ? error_set(err, ERROR_NOT_FOUND,
				 "%s: these are not both revisions, or not kept "
				 "any more: gsq log shows those there are, with -A of all "
				 "namespaces",
				 v->argument)
		       : -1;
}

/* ---- the verb ---- */

static bool is_range(const char *text)
{
	struct slice whole = slice_of(text);
	const char *dots = strstr(text, "..");

	if (dots == NULL)
		return false;
	return listing_is_tag('c', (struct slice){text, (size_t)(dots - text)}) &&
	       listing_is_tag('c', (struct slice){dots + 2, whole.n - (size_t)(dots + 2 - text)});
}

static int check(const struct cli_values *v, struct error *err)
{
	bool files = v->all[OPT_FILE] != NULL, revisions = v->argument != NULL;

	if (files == revisions)
		return error_set(err, ERROR_INVALID,
			"give -f FILE, or two revisions as in "
			"c1795893153160483..c1795893160000000");
	if (revisions && !is_range(v->argument))
		return error_set(err, ERROR_INVALID,
			"\"%s\" is not two revisions, as in c1795893153160483..c1795893160000000: "
			"gsq "
			"log shows them",
			v->argument);
	if (files && v->at[OPT_ALL] != NULL)
		return error_set(err, ERROR_INVALID,
			"--all-namespaces goes with two revisions: files say which they are for");
	return 0;
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(client_freep) struct client *client = NULL;
	struct error err = ERROR_INIT;
	bool differs = false;
	int rc;

	if (check(v, &err) != 0 || client_open(&client, v, &err) != 0)
		return cli_usage(verb, &err);
	rc = v->all[OPT_FILE] != NULL ? diff_files(client, v, &differs, &err)
				      : diff_revisions(client, v, &differs, &err);
	if (rc != 0)
		return trouble(verb, &err);
	return differs ? EXIT_DIFFERENT : EXIT_SAME;
}

const struct verb verb_diff = {
	.name = "diff",
	.summary = "Show what apply would change, or what two revisions differ in. The status is 0 "
		   "where nothing differs, 1 where something does, and 2 or more after an error.",
	.argument = "[FROM..TO]",
	.options = options,
	.run = run,
	.example = "gsq diff -f shop.yaml\n"
		   "gsq diff c1795893153160483..c1795893160000000",
};
