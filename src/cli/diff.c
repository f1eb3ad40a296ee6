/* SPDX-License-Identifier: Apache-2.0 */
/* What files would change, or what two commits differ in. */
#include "base/json.h"
#include "cli/change.h"
#include "cli/input.h"
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

static int diff_files(const struct verb *verb, struct client *c, const struct cli_values *v)
{
	CLEANUP(input_done) struct input input = {.n = 0};
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_CHANGES_BODY);
	CLEANUP(client_call_done) struct client_call call = {.method = NULL};
	const struct change_options how = {.dry_run = true};
	const char *namespace = client_namespace(c);
	const struct input_options from = {
		.paths = v->all[OPT_FILE],
		.recursive = v->at[OPT_RECURSIVE] != NULL,
		.namespace = namespace,
		.only = v->given[CLIENT_OPT_NAMESPACE] ? namespace : NULL,
	};
	struct error err = ERROR_INIT;
	bool differs = false;
	json_t *changes, *change;
	size_t i;

	if (input_read(&input, &from, &err) != 0)
		return trouble(verb, &err);
	if (input.n == 0)
		return EXIT_SAME;
	json_begin_object(&body);
	json_key(&body, "changes");
	json_begin_array(&body);
	for (i = 0; i < input.n; i++) {
		json_begin_object(&body);
		json_key(&body, "resource");
		change_add_resource(&body, input.items[i].intent);
		json_end_object(&body);
	}
	json_end_array(&body);
	json_end_object(&body);
	if (buf_check(&body, &err) != 0 ||
		change_send(c, "/api/v1/changes", buf_slice(&body), &how, &call, &err) != 0)
		return trouble(verb, &err);
	changes = json_object_get(call.json, "changes");
	json_array_foreach(changes, i, change)
	{
		show(change, &differs, &err);
	}
	return differs ? EXIT_DIFFERENT : EXIT_SAME;
}

/* ---- commits ---- */

static int diff_commits(const struct verb *verb, struct client *c, const struct cli_values *v)
{
	AUTO_FREE char *route = v->at[OPT_ALL] != NULL ? str_printf("/api/v1/diff/%s", v->argument)
						       : str_printf("/api/v1/namespaces/%s/diff/%s",
								 client_namespace(c), v->argument);
	struct error err = ERROR_INIT;
	bool differs = false;

	if (route == NULL) {
		error_no_memory(&err);
		return trouble(verb, &err);
	}
	if (client_list(c, route, "changes", show, &differs, &err) != 0)
		return trouble(verb, &err);
	return differs ? EXIT_DIFFERENT : EXIT_SAME;
}

/* ---- the verb ---- */

static int check(const struct cli_values *v, struct error *err)
{
	bool files = v->all[OPT_FILE] != NULL, commits = v->argument != NULL;

	if (files == commits)
		return error_set(err, ERROR_INVALID,
			"give -f FILE, or two commits as in c1795893153160483..c1795893160000000");
	if (commits && strstr(v->argument, "..") == NULL)
		return error_set(err, ERROR_INVALID,
			"two commits are written %s..%s: gsq log shows them", v->argument,
			v->argument);
	return 0;
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(client_freep) struct client *client = NULL;
	struct error err = ERROR_INIT;

	if (check(v, &err) != 0 || client_open(&client, v, &err) != 0)
		return cli_usage(verb, &err);
	if (v->all[OPT_FILE] != NULL)
		return diff_files(verb, client, v);
	return diff_commits(verb, client, v);
}

const struct verb verb_diff = {
	.name = "diff",
	.summary = "Show what apply would change, or what two commits differ in. The status is 0 "
		   "where nothing differs, 1 where something does, and 2 or more after an error.",
	.argument = "[FROM..TO]",
	.options = options,
	.run = run,
	.example = "gsq diff -f shop.yaml\n"
		   "gsq diff c1795893153160483..c1795893160000000",
};
