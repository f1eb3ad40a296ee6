/* SPDX-License-Identifier: Apache-2.0 */
/* Declares what files say, all of it in one change, or none. */
#include "base/json.h"
#include "cli/change.h"
#include "cli/view.h"
#include "cli/wait.h"

#include <stdio.h>

#define ROUTE "/api/v1/changes"

enum {
	OPT_FILE = CLIENT_OPTIONS_,
	OPT_RECURSIVE,
	OPT_PRUNE,
	OPT_SELECTOR,
	OPT_ALL,
	OPT_DRY_RUN,
	OPT_WAIT,
	OPT_TIMEOUT,
	OPT_REASON,
	OPT_CONFIRM,
	OPT_YES
};

static const struct cli_option options[] = {
	CLIENT_OPTION_ROWS,
	[OPT_FILE] = INPUT_OPTION_FILE,
	[OPT_RECURSIVE] = INPUT_OPTION_RECURSIVE,
	[OPT_PRUNE] = {.flag = "prune",
		.help = "delete what the files do not have any more, of what --selector matches, "
			"or "
			"with --all of everything in the namespaces that they name"},
	[OPT_SELECTOR] = {.flag = "selector",
		.letter = 'l',
		.argument = "SELECTOR",
		.help = "with --prune: only what has such labels: team=shop,tier!=test"},
	[OPT_ALL] = {.flag = "all", .help = "with --prune: everything"},
	[OPT_DRY_RUN] = CHANGE_OPTION_DRY_RUN,
	[OPT_WAIT] = WAIT_OPTION_WAIT,
	[OPT_TIMEOUT] = WAIT_OPTION_TIMEOUT,
	[OPT_REASON] = CHANGE_OPTION_REASON,
	[OPT_CONFIRM] = CHANGE_OPTION_CONFIRM,
	[OPT_YES] = CHANGE_OPTION_YES,
	{NULL},
};

/* ---- the body ---- */

/* Each namespace of the input once; few, so they are looked through. */
static void add_namespaces(const struct input *input, struct buf *body)
{
	json_begin_array(body);
	for (size_t i = 0; i < input->n; i++) {
		const char *namespace = input->items[i].intent->namespace;
		size_t before = 0;

		while (strcmp(input->items[before].intent->namespace, namespace) != 0)
			before++;
		if (before < i)
			continue;
		json_item(body);
		json_add_string(body, slice_of(namespace));
	}
	json_end_array(body);
}

static int write_body(
	struct buf *body, const struct input *input, const struct cli_values *v, struct error *err)
{
	json_begin_object(body);
	change_add_input(body, input);
	if (v->at[OPT_PRUNE] != NULL) {
		json_key(body, "prune");
		json_begin_object(body);
		json_key(body, "namespaces");
		add_namespaces(input, body);
		if (v->at[OPT_SELECTOR] != NULL)
			json_member_cstr(body, "selector", v->at[OPT_SELECTOR]);
		json_end_object(body);
	}
	json_end_object(body);
	return change_check_body(body, err);
}

/* ---- the change ---- */

static int make_change(const struct verb *verb, struct client *c, const struct input *input,
	const struct cli_values *v)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_CHANGES_BODY);
	CLEANUP(client_call_done) struct client_call call = {.method = NULL};
	const struct change_question question = {
		.what = "Delete", .rest = "that the files do not have", .from = input->n};
	bool asks = v->at[OPT_PRUNE] != NULL && v->at[OPT_ALL] != NULL && v->at[OPT_YES] == NULL;
	struct change_options how = {
		.dry_run = v->at[OPT_DRY_RUN] != NULL,
		.confirmed = v->at[OPT_CONFIRM] != NULL,
		.reason = v->at[OPT_REASON],
		.n = input->n,
	};
	struct error err = ERROR_INIT;
	bool is_meant = true;

	if (write_body(&body, input, v, &err) != 0 ||
		(asks && change_ask(c, ROUTE, buf_slice(&body), &question, &how, &is_meant, &err) !=
				 0))
		return cli_failed(verb, &err);
	if (!is_meant)
		return EXIT_FAILED;
	if (change_send(c, ROUTE, buf_slice(&body), &how, &call, &err) != 0) {
		change_explain_item(input, &call, &err);
		return cli_failed(verb, &err);
	}
	if (change_tell(c, &call, input->n, how.dry_run, &err) != 0)
		return cli_failed(verb, &err);
	if (v->at[OPT_WAIT] == NULL || how.dry_run)
		return EXIT_OK;
	return change_wait(verb, c, v, OPT_TIMEOUT, &call);
}

/* ---- the verb ---- */

static int check(const struct cli_values *v, struct error *err)
{
	bool prunes = v->at[OPT_PRUNE] != NULL;
	bool by_labels = v->at[OPT_SELECTOR] != NULL, all = v->at[OPT_ALL] != NULL;

	if (v->all[OPT_FILE] == NULL)
		return error_set(err, ERROR_INVALID,
			"what is to be applied? Give -f FILE, a folder, or -f - for standard "
			"input");
	if (prunes && by_labels == all)
		return error_set(err, ERROR_INVALID,
			"--prune needs --selector, or --all for everything in these namespaces");
	if (!prunes && (by_labels || all))
		return error_set(err, ERROR_INVALID, "--%s goes with --prune",
			by_labels ? "selector" : "all");
	return change_check(v, OPT_WAIT, OPT_TIMEOUT, OPT_REASON, err);
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(client_freep) struct client *client = NULL;
	CLEANUP(input_done) struct input input = {.n = 0};
	struct error err = ERROR_INIT;
	struct input_options from = {
		.paths = v->all[OPT_FILE], .recursive = v->at[OPT_RECURSIVE] != NULL};

	if (check(v, &err) != 0 || client_open(&client, v, &err) != 0)
		return cli_usage(verb, &err);
	from.namespace = client_namespace(client);
	from.only = v->given[CLIENT_OPT_NAMESPACE] ? from.namespace : NULL;
	if (input_read(&input, &from, &err) != 0)
		return cli_failed(verb, &err);
	if (input.n > 0)
		return make_change(verb, client, &input, v);
	change_nothing_given(&err);
	if (v->at[OPT_PRUNE] != NULL)
		error_wrap(&err, "nothing is pruned, as for that there is gsq delete");
	return cli_failed(verb, &err);
}

const struct verb verb_apply = {
	.name = "apply",
	.summary =
		"Declare the resources of files, folders or standard input: all of them in one "
		"change, or none. Equal intent is no change, so it may be run again at any time.",
	.options = options,
	.run = run,
	.example = "gsq apply -f shop.yaml\n"
		   "gsq apply -f shop/ --prune -l team=shop --wait\n"
		   "gsq get web -o yaml | sed s/small/large/ | gsq apply -f -",
};
