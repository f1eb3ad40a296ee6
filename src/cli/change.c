/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/change.h"

#include "base/json.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "cli/wait.h"

#include <stdio.h>
#include <unistd.h>

#define TRIES 6
#define FIRST_PAUSE_MS 250
#define SHOWN_FROM 500  /* resources: they take a second or so */
#define SHOWN_BEFORE 20 /* resources, before the question */
#define SEND_MS 120000  /* thousands of resources, to a registry that is far away */

/* ---- options ---- */

/* Without the end of its line, which it has where a program wrote it to a variable or a file. */
static struct slice reason_of(const char *reason)
{
	struct slice line = slice_of(reason);

	while (slice_ends(line, SLICE("\n")) || slice_ends(line, SLICE("\r")))
		line.n--;
	return line;
}

static int check_reason(const char *reason, struct error *err)
{
	struct slice line = reason_of(reason);

	if (line.n > LIMIT_REASON)
		return error_set(
			err, ERROR_INVALID, "--reason may have %d bytes at most", LIMIT_REASON);
	for (size_t i = 0; i < line.n; i++)
		if ((line.p[i] >= 0 && line.p[i] < ' ') || line.p[i] == 0x7f)
			return error_set(err, ERROR_INVALID,
				"--reason must be one line of printable text%s",
				line.p[i] == '\n' ? ": the first of a longer one says enough" : "");
	return 0;
}

char *change_reason_header(const char *reason)
{
	struct slice line = reason_of(reason);

	return str_printf("X-Change-Reason: %.*s", SLICE_ARG(line));
}

int change_check(const struct cli_values *v, size_t opt_wait, size_t opt_timeout, size_t opt_reason,
	struct error *err)
{
	if (wait_check(v, opt_wait, opt_timeout, err) != 0)
		return -1;
	return v->at[opt_reason] != NULL ? check_reason(v->at[opt_reason], err) : 0;
}

/* ---- sending ---- */

/* It may have been made: no answer came, or one that says so. */
static bool is_lost(const struct client_call *call, const struct error *err)
{
	return err->code == ERROR_UNKNOWN_OUTCOME ||
	       (err->code == ERROR_UNAVAILABLE && call->status == 0 && call->sent);
}

/* Another try may tell. */
static bool may_pass(const struct error *err)
{
	return err->code == ERROR_UNAVAILABLE || err->code == ERROR_UNKNOWN_OUTCOME;
}

static int explain(const struct client_call *call, bool was_lost, struct error *err)
{
	const char *confirm = view_text(call->json, "confirm");
	struct error why = *err;
	const char *advice = strrchr(why.text, ';');

	/* Its last words are what the API takes: here that is an option. */
	if (confirm[0] != '\0' && advice != NULL)
		error_set(err, why.code, "%.*s; if it is meant, give --confirm %s",
			(int)(advice - why.text), why.text, confirm);
	if (was_lost && may_pass(err))
		return error_wrap(err,
			"it is not known whether the change was made: run the same again, which is "
			"safe");
	return -1;
}

static char *route_with_query(const char *route, const struct change_options *o)
{
	return str_printf("%s%s%s%s%s", route, o->dry_run || o->confirmed ? "?" : "",
		o->dry_run ? "dryRun=true" : "", o->dry_run && o->confirmed ? "&" : "",
		o->confirmed ? "confirm=prune" : "");
}

/* What was refused, or never heard, is told at once. */
static int send_again_where_lost(
	struct client *c, struct client_call *call, bool dry_run, struct error *err)
{
	const struct client_call request = *call;
	unsigned pause_ms = FIRST_PAUSE_MS;
	bool was_lost = false;

	for (unsigned tries = 1;; tries++) {
		if (client_run(c, call, err) == 0)
			return 0;
		was_lost = was_lost || (!dry_run && is_lost(call, err));
		if (!was_lost || !may_pass(err) || tries == TRIES)
			return explain(call, was_lost, err);
		client_call_done(call);
		*call = request;
		usleep(pause_ms * 1000);
		pause_ms *= 2;
	}
}

int change_send(struct client *c, const char *route, struct slice body,
	const struct change_options *options, struct client_call *call, struct error *err)
{
	AUTO_FREE char *whole = route_with_query(route, options), *reason = NULL;
	struct progress progress = {.what = "sent", .done = options->n, .all = options->n};
	char key[64];
	uint64_t random[2];
	size_t n = 0;
	int rc;

	arc4random_buf(random, sizeof(random));
	snprintf(key, sizeof(key), "Idempotency-Key: %016llx%016llx", (unsigned long long)random[0],
		(unsigned long long)random[1]);
	if (options->reason != NULL)
		reason = change_reason_header(options->reason);
	if (whole == NULL || (options->reason != NULL && reason == NULL))
		return error_no_memory(err);
	*call = (struct client_call){
		.method = "POST", .route = whole, .body = body, .timeout_ms = SEND_MS};
	call->headers[n++] = key;
	if (reason != NULL)
		call->headers[n++] = reason;
	if (options->precondition != NULL)
		call->headers[n++] = options->precondition;
	if (options->n >= SHOWN_FROM)
		progress_show(&progress);
	rc = send_again_where_lost(c, call, options->dry_run, err);
	progress_end(&progress);
	call->route = NULL;
	memset(call->headers, 0, sizeof(call->headers));
	return rc;
}

/* ---- what files say ---- */

void change_add_resource(struct buf *b, const struct intent *intent, bool is_told)
{
	json_begin_object(b);
	json_member_cstr(b, "name", intent->name);
	if (is_told)
		json_member_cstr(b, "namespace", intent->namespace);
	if (intent->n_labels > 0) {
		json_key(b, "labels");
		json_begin_object(b);
		for (size_t i = 0; i < intent->n_labels; i++)
			json_member_cstr(b, intent->labels[i].key, intent->labels[i].value);
		json_end_object(b);
	}
	json_key(b, "spec");
	json_begin_object(b);
	json_member_cstr(b, "type", intent_type_name(intent->type));
	json_member_cstr(b, "size", intent_size_name(intent->size));
	if (intent->region != NULL)
		json_member_cstr(b, "region", intent->region);
	json_member_u64(b, "replicas", intent->replicas);
	json_end_object(b);
	json_end_object(b);
}

void change_add_input(struct buf *body, const struct input *input)
{
	json_key(body, "changes");
	json_begin_array(body);
	for (size_t i = 0; i < input->n; i++) {
		json_begin_object(body);
		json_key(body, "resource");
		change_add_resource(body, input->items[i].intent, true);
		json_end_object(body);
	}
	json_end_array(body);
}

int change_nothing_given(struct error *err)
{
	return error_set(err, ERROR_INVALID, "there is no resource in what was given");
}

int change_check_body(const struct buf *body, struct error *err)
{
	if (buf_check(body, err) == 0)
		return 0;
	return err->code == ERROR_TOO_LARGE
		       ? error_set(err, ERROR_TOO_LARGE,
				 "one change may have %zu MiB at most: split the files up",
				 LIMIT_CHANGES_BODY / MIB)
		       : -1;
}

int change_explain_item(
	const struct input *input, const struct client_call *call, struct error *err)
{
	const json_t *index = json_object_get(call->json, "index");
	char place[INPUT_PLACE_SIZE];
	const char *text;
	size_t i;

	if (!json_is_integer(index) || json_integer_value(index) < 0 ||
		(size_t)json_integer_value(index) >= input->n)
		return -1;
	i = (size_t)json_integer_value(index);
	/* "changes[17] (default/web): " is where it stands in the body, which nobody sees. */
	text = slice_starts(slice_of(err->text), SLICE("changes[")) ? strstr(err->text, "): ")
								    : NULL;
	if (text != NULL)
		memmove(err->text, text + 3, strlen(text + 3) + 1);
	error_wrap(err, "%s/%s", input->items[i].intent->namespace, input->items[i].intent->name);
	return error_wrap(err, "%s", input_place(input, i, place));
}

/* ---- telling ---- */

static const char *word(const char *operation, bool named)
{
	if (strcmp(operation, "updated") == 0)
		return "configured";
	if (strcmp(operation, "deleted") == 0 && !named)
		return "pruned";
	return operation;
}

static void tell(FILE *out, const struct client *c, json_t *change, bool named, bool dry_run)
{
	const char *namespace = view_text(change, "namespace");

	fprintf(out, VIEW_KIND "/%s %s", view_text(change, "name"),
		word(view_text(change, "result"), named));
	if (strcmp(namespace, client_namespace(c)) != 0)
		fprintf(out, " in the namespace %s", namespace);
	fputs(dry_run ? " (dry run)\n" : "\n", out);
}

json_t *change_list(const struct client *c, const struct client_call *call, struct error *err)
{
	json_t *changes = json_object_get(call->json, "changes");

	if (json_is_array(changes))
		return changes;
	client_not_understood(c, err);
	return NULL;
}

int change_tell(const struct client *c, const struct client_call *call, size_t named, bool dry_run,
	struct error *err)
{
	json_t *changes = change_list(c, call, err), *change;
	size_t i;

	if (changes == NULL)
		return -1;
	json_array_foreach(changes, i, change)
	{
		tell(stdout, c, change, i < named, dry_run);
	}
	if (json_array_size(changes) == 0)
		puts("nothing to change");
	fflush(stdout);
	return 0;
}

/* ---- asking ---- */

/* The first of those that would change; returns how many there are. */
static size_t show_first(const struct client *c, json_t *changes, size_t from)
{
	size_t n = 0, i;
	json_t *change;

	json_array_foreach(changes, i, change)
	{
		if (i < from || strcmp(view_text(change, "result"), "unchanged") == 0)
			continue;
		if (n++ < SHOWN_BEFORE)
			tell(stderr, c, change, from == 0, true);
	}
	if (n > SHOWN_BEFORE)
		fprintf(stderr, "and %zu more\n", n - SHOWN_BEFORE);
	return n;
}

int change_ask(struct client *c, const char *route, struct slice body,
	const struct change_question *question, struct change_options *options, bool *ret_is_meant,
	struct error *err)
{
	CLEANUP(client_call_done) struct client_call call = {.method = NULL};
	struct change_options trial = *options;
	char text[160];
	json_t *changes;
	size_t n;

	*ret_is_meant = true;
	if (options->dry_run || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return 0;
	trial.dry_run = trial.confirmed = true;
	if (change_send(c, route, body, &trial, &call, err) != 0)
		return -1;
	changes = change_list(c, &call, err);
	if (changes == NULL)
		return -1;
	n = show_first(c, changes, question->from);
	if (n == 0)
		return 0;
	snprintf(text, sizeof(text), "%s %zu resource%s %s?", question->what, n, n == 1 ? "" : "s",
		question->rest);
	*ret_is_meant = view_ask(text);
	options->confirmed = options->confirmed || *ret_is_meant;
	if (!*ret_is_meant)
		fputs("nothing is changed\n", stderr);
	return 0;
}

/* ---- waiting ---- */

int change_wait(const struct verb *verb, struct client *c, const struct cli_values *v,
	size_t opt_timeout, const struct client_call *call)
{
	json_t *changes = json_object_get(call->json, "changes"), *change;
	AUTO_FREE struct wait_item *items = calloc(json_array_size(changes) + 1, sizeof(*items));
	struct error err = ERROR_INIT;
	size_t i;

	if (items == NULL) {
		error_no_memory(&err);
		return cli_failed(verb, &err);
	}
	json_array_foreach(changes, i, change)
	{
		bool deleted = strcmp(view_text(change, "result"), "deleted") == 0;
		const char *version = view_text(change, "version");

		items[i] = (struct wait_item){
			.namespace = view_text(change, "namespace"),
			.name = view_text(change, "name"),
			.version = deleted || version[0] == '\0' ? NULL : version,
			.deleted = deleted,
		};
	}
	return wait_run(verb, c, v, opt_timeout, items, i);
}
