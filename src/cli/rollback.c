/* SPDX-License-Identifier: Apache-2.0 */
/* Brings back what was: one resource at a version, or everything at a revision, as a new change.
 */
#include "base/json.h"
#include "cli/change.h"
#include "cli/listing.h"
#include "cli/verbs.h"
#include "cli/view.h"
#include "cli/wait.h"

#include <stdio.h>

#define PAGE 10 /* of the history: the version before is soon there */

enum {
	OPT_TO = CLIENT_OPTIONS_,
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
	[OPT_TO] = {.flag = "to",
		.argument = "VERSION",
		.help = "of a resource: v123, as gsq history shows it, else the one before the "
			"current; without a NAME: the revision c123, as gsq log shows it"},
	[OPT_ALL] = {.flag = "all-namespaces",
		.letter = 'A',
		.help = "everything in all namespaces"},
	[OPT_DRY_RUN] = CHANGE_OPTION_DRY_RUN,
	[OPT_WAIT] = WAIT_OPTION_WAIT,
	[OPT_TIMEOUT] = WAIT_OPTION_TIMEOUT,
	[OPT_REASON] = CHANGE_OPTION_REASON,
	[OPT_CONFIRM] = CHANGE_OPTION_CONFIRM,
	[OPT_YES] = CHANGE_OPTION_YES,
	{NULL},
};

/* ---- where to ---- */

/* The second of its versions that can be gone back to, and what the first is: nobody is to change
 * it meanwhile. */
struct search {
	unsigned n;
	char version[32];
	char precondition[64]; /* a header; "": it is not there, so there is nothing to match */
};

static int look(json_t *entry, void *arg, struct error *err UNUSED)
{
	bool is_deletion = strcmp(view_text(entry, "operation"), "delete") == 0;
	struct search *s = arg;

	if (s->n == 0 && !is_deletion)
		snprintf(s->precondition, sizeof(s->precondition), "If-Match: \"%s\"",
			view_text(entry, "version"));
	if (s->n++ == 0 || is_deletion)
		return 0;
	snprintf(s->version, sizeof(s->version), "%s", view_text(entry, "version"));
	return -1;
}

static int version_before(struct search *ret, struct client *c, const char *name, struct error *err)
{
	AUTO_FREE char *route = client_route(client_namespace(c), "/%s/history", name);

	*ret = (struct search){.n = 0};
	if (route == NULL)
		return error_no_memory(err);
	if (client_list_by(c, route, "history", PAGE, look, ret, err) != 0 &&
		ret->version[0] == '\0')
		return err->code == ERROR_NOT_FOUND
			       ? view_not_there(c, client_namespace(c), name, err)
			       : -1;
	if (ret->version[0] != '\0')
		return 0;
	return error_set(err, ERROR_NOT_FOUND,
		"%s has no version before the current one to go back to", name);
}

/* ---- the change ---- */

static void write_body(struct buf *body, const char *to)
{
	json_begin_object(body);
	json_member_cstr(body, "to", to);
	json_end_object(body);
}

static int send(struct client *c, const char *route, const char *to,
	const struct change_options *how, struct client_call *call, struct error *err)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(KIB);
	struct error why;

	write_body(&body, to);
	if (buf_check(&body, err) != 0)
		return -1;
	if (change_send(c, route, buf_slice(&body), how, call, err) == 0)
		return 0;
	why = *err;
	if (err->code == ERROR_PRECONDITION)
		return error_set(err, ERROR_PRECONDITION,
			"somebody has changed it just now, so nothing goes back: look at %s "
			"history, and say --to which version",
			cli_program());
	if (err->code == ERROR_NOT_FOUND && to[0] != 'c')
		return error_set(
			err, ERROR_NOT_FOUND, "%.450s; see %s history", why.text, cli_program());
	return listing_explain_revision(to, err);
}

static int ask(struct client *c, const char *route, const char *to, struct change_options *how,
	bool *ret_is_meant, struct error *err)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(KIB), rest = BUF_INIT(KIB);
	struct change_question question = {.what = "Take"};

	write_body(&body, to);
	buf_printf(&rest, "back to %s", to);
	if (buf_check(&body, err) != 0 || buf_check(&rest, err) != 0)
		return -1;
	question.rest = rest.data;
	return change_ask(c, route, buf_slice(&body), &question, how, ret_is_meant, err);
}

/* precondition: a header, or NULL. */
static int make_change(const struct verb *verb, struct client *c, const char *route, const char *to,
	const char *precondition, const struct cli_values *v)
{
	CLEANUP(client_call_done) struct client_call call = {.method = NULL};
	struct change_options how = {
		.dry_run = v->at[OPT_DRY_RUN] != NULL,
		.confirmed = v->at[OPT_CONFIRM] != NULL,
		.reason = v->at[OPT_REASON],
		.precondition = precondition,
	};
	bool asks = v->argument == NULL && v->at[OPT_YES] == NULL, is_meant = true;
	struct error err = ERROR_INIT;

	if (asks && ask(c, route, to, &how, &is_meant, &err) != 0)
		return cli_failed(verb, &err);
	if (!is_meant)
		return EXIT_FAILED;
	if (send(c, route, to, &how, &call, &err) != 0 ||
		change_tell(c, &call, SIZE_MAX, how.dry_run, &err) != 0)
		return cli_failed(verb, &err);
	if (v->at[OPT_WAIT] == NULL || how.dry_run)
		return EXIT_OK;
	return change_wait(verb, c, v, OPT_TIMEOUT, &call);
}

/* ---- the verb ---- */

static int check(const struct cli_values *v, struct error *err)
{
	const char *to = v->at[OPT_TO];

	if (v->argument == NULL && to == NULL)
		return error_set(err, ERROR_INVALID,
			"--to is missing: the revision to go back to, as gsq log shows it");
	if (v->argument != NULL && v->at[OPT_ALL] != NULL)
		return error_set(err, ERROR_INVALID, "give a NAME or --all-namespaces");
	if (to != NULL && !listing_is_tag(v->argument != NULL ? 'v' : 'c', slice_of(to)))
		return error_set(err, ERROR_INVALID, "--to: %s",
			v->argument != NULL
				? "a resource goes back to a version: v123, as gsq history shows it"
				: "everything goes back to a revision: c123, as gsq log shows it; "
				  "or give the NAME of a resource");
	return change_check(v, OPT_WAIT, OPT_TIMEOUT, OPT_REASON, err);
}

static int roll_back_one(const struct verb *verb, struct client *c, const struct cli_values *v)
{
	const char *name = view_name(v->argument), *to = v->at[OPT_TO];
	AUTO_FREE char *route = client_route(client_namespace(c), "/%s/rollback", name);
	const char *precondition = NULL;
	struct error err = ERROR_INIT;
	struct search before;

	if (route == NULL) {
		error_no_memory(&err);
	} else if (!intent_name_ok(slice_of(name))) {
		view_not_there(c, client_namespace(c), name, &err);
		to = NULL;
	} else if (to == NULL && version_before(&before, c, name, &err) == 0) {
		to = before.version;
		precondition = before.precondition[0] != '\0' ? before.precondition : NULL;
	}
	if (to == NULL || route == NULL)
		return cli_failed(verb, &err);
	return make_change(verb, c, route, to, precondition, v);
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(client_freep) struct client *client = NULL;
	struct error err = ERROR_INIT;
	AUTO_FREE char *route = NULL;

	if (check(v, &err) != 0 || client_open(&client, v, &err) != 0)
		return cli_usage(verb, &err);
	if (v->argument != NULL)
		return roll_back_one(verb, client, v);
	route = v->at[OPT_ALL] != NULL
			? str_printf("/api/v1/rollback")
			: str_printf("/api/v1/namespaces/%s/rollback", client_namespace(client));
	if (route != NULL)
		return make_change(verb, client, route, v->at[OPT_TO], NULL, v);
	error_no_memory(&err);
	return cli_failed(verb, &err);
}

const struct verb verb_rollback = {
	.name = "rollback",
	.summary =
		"Bring back what was, as a new change: a resource at one of its versions, or all "
		"of a namespace (-A: of all) at a revision. What came since is removed, what was "
		"deleted comes back; history goes on.",
	.argument = "[NAME]",
	.options = options,
	.run = run,
	.example = "gsq rollback web\n"
		   "gsq rollback web --to v1795893153160483\n"
		   "gsq rollback --to c1795893153160483 --dry-run",
	.completes_names = true,
};
