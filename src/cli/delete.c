/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes resources, all that are named or none, by name, as files have them, or by their labels.
 */
#include "base/json.h"
#include "cli/change.h"
#include "cli/view.h"
#include "cli/wait.h"

#include <stdio.h>

#define ROUTE "/api/v1/changes"

enum {
	OPT_SELECTOR = CLIENT_OPTIONS_,
	OPT_ALL,
	OPT_FILE,
	OPT_RECURSIVE,
	OPT_IGNORE,
	OPT_DRY_RUN,
	OPT_WAIT,
	OPT_TIMEOUT,
	OPT_REASON,
	OPT_CONFIRM,
	OPT_YES
};

static const struct cli_option options[] = {
	CLIENT_OPTION_ROWS,
	[OPT_SELECTOR] = VIEW_OPTION_SELECTOR,
	[OPT_ALL] = {.flag = "all", .help = "all of the namespace"},
	[OPT_FILE] = INPUT_OPTION_FILE,
	[OPT_RECURSIVE] = INPUT_OPTION_RECURSIVE,
	[OPT_IGNORE] = {.flag = "ignore-not-found", .help = "what is not there is as it should be"},
	[OPT_DRY_RUN] = CHANGE_OPTION_DRY_RUN,
	[OPT_WAIT] = {.flag = "wait", .help = "wait until they are gone from the cluster"},
	[OPT_TIMEOUT] = WAIT_OPTION_TIMEOUT,
	[OPT_REASON] = CHANGE_OPTION_REASON,
	[OPT_CONFIRM] = CHANGE_OPTION_CONFIRM,
	[OPT_YES] = CHANGE_OPTION_YES,
	{NULL},
};

struct target {
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
};

struct deleting {
	const struct verb *verb;
	const struct cli_values *v;
	struct client *client;
	struct target *targets; /* that are named */
	size_t n, room;
};

/* ---- what is to go ---- */

static int add_target(
	struct deleting *d, const char *namespace, const char *name, struct error *err)
{
	if (d->n == LIMIT_CHANGES)
		return error_set(err, ERROR_TOO_LARGE,
			"one change takes %u resources at most: split them up", LIMIT_CHANGES);
	if (d->n == d->room) {
		size_t room = 2 * d->room + 16;
		struct target *targets = realloc(d->targets, room * sizeof(*targets));

		if (targets == NULL)
			return error_no_memory(err);
		d->targets = targets;
		d->room = room;
	}
	snprintf(d->targets[d->n].namespace, sizeof(d->targets[0].namespace), "%s", namespace);
	snprintf(d->targets[d->n].name, sizeof(d->targets[0].name), "%s", name);
	d->n++;
	return 0;
}

static bool is_target(const struct deleting *d, const char *namespace, const char *name)
{
	for (size_t i = 0; i < d->n; i++)
		if (strcmp(d->targets[i].name, name) == 0 &&
			strcmp(d->targets[i].namespace, namespace) == 0)
			return true;
	return false;
}

/* Whether it is there to be deleted; asked only where it need not be. */
static int look_up(
	struct deleting *d, const char *namespace, const char *name, bool *ret, struct error *err)
{
	AUTO_FREE char *route = client_route(namespace, "/%s", name);
	CLEANUP(json_decrefp) json_t *resource = NULL;
	struct error why = ERROR_INIT;

	*ret = true;
	if (d->v->at[OPT_IGNORE] == NULL)
		return 0;
	if (route == NULL)
		return error_no_memory(err);
	if (client_get(d->client, route, &resource, &why) == 0)
		return 0;
	*ret = false;
	if (why.code == ERROR_NOT_FOUND)
		return 0;
	*err = why;
	return -1;
}

static int take(struct deleting *d, const char *namespace, const char *name, struct error *err)
{
	bool is_there;

	if (look_up(d, namespace, name, &is_there, err) != 0)
		return -1;
	return is_there ? add_target(d, namespace, name, err) : 0;
}

static int take_names(struct deleting *d, struct error *err)
{
	const char *namespace = client_namespace(d->client);

	for (size_t i = 0; i < d->v->n_arguments; i++) {
		const char *name = view_name(d->v->arguments[i]);

		if (!intent_name_ok(slice_of(name))) {
			if (d->v->at[OPT_IGNORE] != NULL)
				continue;
			return view_not_there(d->client, namespace, name, err);
		}
		if (!is_target(d, namespace, name) && take(d, namespace, name, err) != 0)
			return -1;
	}
	return 0;
}

static int take_files(struct deleting *d, struct error *err)
{
	CLEANUP(input_done) struct input input = {.n = 0};
	const char *namespace = client_namespace(d->client);
	struct input_options from = {
		.paths = d->v->all[OPT_FILE],
		.recursive = d->v->at[OPT_RECURSIVE] != NULL,
		.namespace = namespace,
		.only = d->v->given[CLIENT_OPT_NAMESPACE] ? namespace : NULL,
	};

	if (from.paths == NULL)
		return 0;
	if (input_read(&input, &from, err) != 0)
		return -1;
	for (size_t i = 0; i < input.n; i++)
		if (take(d, input.items[i].intent->namespace, input.items[i].intent->name, err) !=
			0)
			return -1;
	return 0;
}

/* ---- what nobody names ---- */

static bool by_labels(const struct cli_values *v)
{
	return v->at[OPT_SELECTOR] != NULL || v->at[OPT_ALL] != NULL;
}

static int add_matching(json_t *resource, void *arg, struct error *err)
{
	struct deleting *d = arg;

	return add_target(d, view_text(resource, "namespace"), view_text(resource, "name"), err);
}

static int find_matching(struct deleting *d, struct error *err)
{
	AUTO_FREE char *route =
		view_list_route(client_namespace(d->client), d->v->at[OPT_SELECTOR]);

	if (route == NULL)
		return error_no_memory(err);
	return client_list(d->client, route, "resources", add_matching, d, err);
}

/* ---- the change ---- */

static void add_prune(const struct deleting *d, struct buf *body)
{
	json_key(body, "prune");
	json_begin_object(body);
	json_key(body, "namespaces");
	json_begin_array(body);
	json_item(body);
	json_add_string(body, slice_of(client_namespace(d->client)));
	json_end_array(body);
	if (d->v->at[OPT_SELECTOR] != NULL)
		json_member_cstr(body, "selector", d->v->at[OPT_SELECTOR]);
	json_end_object(body);
}

/* Those that match are for the server to find: as they are at that moment. */
static int write_body(const struct deleting *d, struct buf *body, struct error *err)
{
	bool named = !by_labels(d->v);

	json_begin_object(body);
	json_key(body, "changes");
	json_begin_array(body);
	for (size_t i = 0; named && i < d->n; i++) {
		json_begin_object(body);
		json_member_cstr(body, "operation", "delete");
		json_member_cstr(body, "namespace", d->targets[i].namespace);
		json_member_cstr(body, "name", d->targets[i].name);
		json_end_object(body);
	}
	json_end_array(body);
	if (!named)
		add_prune(d, body);
	json_end_object(body);
	return buf_check(body, err);
}

static int ask(struct deleting *d, struct slice body, struct change_options *how,
	bool *ret_is_meant, struct error *err)
{
	char rest[LIMIT_NAME + 32];
	const struct change_question question = {.what = "Delete", .rest = rest};

	*ret_is_meant = true;
	if (!by_labels(d->v) || d->v->at[OPT_YES] != NULL)
		return 0;
	snprintf(rest, sizeof(rest), "of the namespace %s", client_namespace(d->client));
	return change_ask(d->client, ROUTE, body, &question, how, ret_is_meant, err);
}

/* *ret_is_meant: no, where nothing was sent as nobody wants it. */
static int send(struct deleting *d, struct client_call *call, bool *ret_is_meant, struct error *err)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_CHANGES_BODY);
	struct change_options how = {
		.dry_run = d->v->at[OPT_DRY_RUN] != NULL,
		.confirmed = d->v->at[OPT_CONFIRM] != NULL,
		.reason = d->v->at[OPT_REASON],
		.n = d->n,
	};
	const char *namespace, *name;

	if (write_body(d, &body, err) != 0 ||
		ask(d, buf_slice(&body), &how, ret_is_meant, err) != 0)
		return -1;
	if (!*ret_is_meant)
		return 0;
	if (change_send(d->client, ROUTE, buf_slice(&body), &how, call, err) == 0)
		return 0;
	namespace = view_text(call->json, "namespace");
	name = view_text(call->json, "name");
	if (err->code == ERROR_NOT_FOUND && name[0] != '\0')
		return view_not_there(d->client, namespace, name, err);
	return -1;
}

static void tell(const struct deleting *d, json_t *change)
{
	const char *namespace = view_text(change, "namespace"), *name = view_text(change, "name");

	if (strcmp(view_text(change, "result"), "deleted") != 0)
		return;
	printf(VIEW_KIND " \"%s\" deleted", name);
	if (strcmp(namespace, client_namespace(d->client)) != 0)
		printf(" in the namespace %s", namespace);
	puts(d->v->at[OPT_DRY_RUN] != NULL ? " (dry run)" : "");
}

static int make_change(struct deleting *d)
{
	CLEANUP(client_call_done) struct client_call call = {.method = NULL};
	struct error err = ERROR_INIT;
	json_t *changes, *change;
	bool is_meant;
	size_t i;

	if (send(d, &call, &is_meant, &err) != 0)
		return cli_failed(d->verb, &err);
	if (!is_meant)
		return EXIT_FAILED;
	changes = change_list(d->client, &call, &err);
	if (changes == NULL)
		return cli_failed(d->verb, &err);
	json_array_foreach(changes, i, change)
	{
		tell(d, change);
	}
	fflush(stdout);
	if (d->v->at[OPT_WAIT] == NULL || d->v->at[OPT_DRY_RUN] != NULL)
		return EXIT_OK;
	return change_wait(d->verb, d->client, d->v, OPT_TIMEOUT, &call);
}

/* ---- the verb ---- */

static int check(const struct cli_values *v, struct error *err)
{
	int ways = (v->n_arguments > 0) + (v->all[OPT_FILE] != NULL) +
		   (v->at[OPT_SELECTOR] != NULL) + (v->at[OPT_ALL] != NULL);

	if (ways == 0)
		return error_set(err, ERROR_INVALID,
			"what is to be deleted? Give names, -f, --selector or --all");
	if (ways > 1)
		return error_set(
			err, ERROR_INVALID, "give names, -f, --selector or --all: one of them");
	return change_check(v, OPT_WAIT, OPT_TIMEOUT, OPT_REASON, err);
}

static int delete_all(struct deleting *d)
{
	struct error err = ERROR_INIT;
	int rc;

	if (by_labels(d->v))
		rc = find_matching(d, &err);
	else if (take_names(d, &err) != 0)
		rc = -1;
	else
		rc = take_files(d, &err);
	if (rc != 0)
		return cli_failed(d->verb, &err);
	if (d->n == 0) {
		fputs("No resources found\n", stderr);
		return EXIT_OK;
	}
	return make_change(d);
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(client_freep) struct client *client = NULL;
	struct deleting d = {.verb = verb, .v = v};
	struct error err = ERROR_INIT;
	int status;

	if (check(v, &err) != 0 || client_open(&client, v, &err) != 0)
		return cli_usage(verb, &err);
	d.client = client;
	status = delete_all(&d);
	free(d.targets);
	return status;
}

const struct verb verb_delete = {
	.name = "delete",
	.summary =
		"Delete resources in one change: all of them, or none where one cannot be. Named "
		"one by one, as files have them, by their labels, or all of the namespace.",
	.argument = "[NAME]...",
	.options = options,
	.run = run,
	.example = "gsq delete web\n"
		   "gsq delete web db --reason OPS-1217 --wait\n"
		   "gsq delete -f shop.yaml --ignore-not-found\n"
		   "gsq delete -l team=shop --dry-run\n"
		   "gsq delete --all -n test --yes --confirm prune\n",
	.completes_names = true,
};
