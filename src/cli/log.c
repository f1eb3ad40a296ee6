/* SPDX-License-Identifier: Apache-2.0 */
/* The revisions: what was changed together, by whom and why. */
#include "cli/listing.h"
#include "cli/verbs.h"
#include "cli/view.h"

#include <stdio.h>

#define CHANGES_SHOWN 20 /* of one revision, without --output */

enum { OPT_ALL = CLIENT_OPTIONS_, OPT_PATCH, OPT_OUTPUT, OPT_LIMIT, OPT_ONELINE };

static const struct cli_option options[] = {
	CLIENT_OPTION_ROWS,
	[OPT_ALL] = VIEW_OPTION_ALL_NAMESPACES,
	[OPT_PATCH] = {.flag = "patch",
		.letter = 'p',
		.help = "show what each revision changed, too"},
	[OPT_OUTPUT] = {.flag = "output",
		.letter = 'o',
		.argument = "FORMAT",
		.initial = "text",
		.values = "text|json|yaml",
		.help = "json and yaml have all that is known"},
	[OPT_LIMIT] = LISTING_OPTION_LIMIT,
	[OPT_ONELINE] = {.flag = "oneline", .help = "one line a revision"},
	{NULL},
};

static const struct table_column columns[] = {
	{.head = "REVISION"},
	{.head = "AGE"},
	{.head = "WHO", .shrinks = true},
	{.head = "CHANGES"},
	{.head = "WHY", .shrinks = true},
	{NULL},
};

/* Where the paths begin: of the namespace, or of all. NULL without memory. */
static char *path_of(const struct listing *l, const char *what, const char *revision)
{
	const char *slash = revision[0] != '\0' ? "/" : "";

	if (l->v->at[OPT_ALL] != NULL)
		return str_printf("/api/v1/%s%s%s", what, slash, revision);
	return str_printf(
		"/api/v1/namespaces/%s/%s%s%s", client_namespace(l->client), what, slash, revision);
}

/* ---- one line ---- */

/* "web created", or how many where there are more. */
static void in_short(json_t *changes, char *ret, size_t size)
{
	json_t *first = json_array_get(changes, 0);

	if (json_array_size(changes) == 1)
		snprintf(ret, size, "%s %s", view_text(first, "operation"),
			view_text(first, "name"));
	else
		snprintf(ret, size, "%zu", json_array_size(changes));
}

static int show_row(struct listing *l, json_t *revision, struct error *err)
{
	char age[AGE_SIZE], changes[96];
	const char *cells[] = {view_text(revision, "revision"),
		terminal_age(view_text(revision, "at"), age), view_text(revision, "who"), changes,
		view_text(revision, "why")};

	in_short(json_object_get(revision, "changes"), changes, sizeof(changes));
	return table_add(l->table, cells) == 0 ? 0 : error_no_memory(err);
}

/* ---- all of it ---- */

static enum colour colour_of_operation(const char *operation)
{
	if (strcmp(operation, "delete") == 0)
		return COLOUR_BAD;
	return strcmp(operation, "create") == 0 ? COLOUR_GOOD : COLOUR_WAITING;
}

static void show_change(json_t *change)
{
	const char *operation = view_text(change, "operation");

	fputs("    ", stdout);
	colour_print(stdout, colour_of_operation(operation), "%-7s", operation);
	printf(" %s/%s %s\n", view_text(change, "namespace"), view_text(change, "name"),
		view_text(change, "version"));
}

static void show_text(json_t *revision)
{
	const char *who = view_text(revision, "who"), *from = view_text(revision, "from");
	const char *why = view_text(revision, "why");
	json_t *changes = json_object_get(revision, "changes"), *change;
	size_t i;

	colour_print(stdout, COLOUR_BOLD, "revision %s", view_text(revision, "revision"));
	printf("\nWho:  %s%s%s%s\n", who, from[0] != '\0' ? " (" : "", from,
		from[0] != '\0' ? ")" : "");
	printf("Date: %s\n", view_text(revision, "at"));
	if (why[0] != '\0')
		printf("Why:  %s\n", why);
	putchar('\n');
	json_array_foreach(changes, i, change)
	{
		if (i == CHANGES_SHOWN) {
			printf("    and %zu more\n", json_array_size(changes) - i);
			break;
		}
		show_change(change);
	}
	putchar('\n');
}

static int show(struct listing *l, json_t *revision, struct error *err)
{
	if (l->v->at[OPT_ONELINE] != NULL)
		return show_row(l, revision, err);
	show_text(revision);
	return 0;
}

/* ---- patches ---- */

static int show_difference(json_t *change, void *arg UNUSED, struct error *err UNUSED)
{
	terminal_diff(stdout, view_text(change, "diff"));
	return 0;
}

/* before NULL: it is the first, whose changes say all. */
static int show_patch(struct listing *l, json_t *revision, json_t *before, struct error *err)
{
	AUTO_FREE char *range = str_printf(
		"%s..%s", view_text(before, "revision"), view_text(revision, "revision"));
	AUTO_FREE char *route = range != NULL ? path_of(l, "diff", range) : NULL;

	if (route == NULL)
		return error_no_memory(err);
	show_text(revision);
	if (before == NULL)
		return 0;
	if (client_list(l->client, route, "changes", show_difference, NULL, err) != 0)
		return -1;
	putchar('\n');
	return 0;
}

/* Each is shown once the one before it is known: the next of the list. */
struct patches {
	struct listing *l;
	const char *only; /* that revision; NULL: all */
	uint64_t left;
	json_t *held;
};

static int take_patch(json_t *revision, void *arg, struct error *err)
{
	struct patches *p = arg;
	json_t *held = TAKE_PTR(p->held);
	int rc = held != NULL ? show_patch(p->l, held, revision, err) : 0;

	if (held != NULL)
		p->l->n++;
	json_decref(held);
	if (rc != 0 || (held != NULL && --p->left == 0))
		return -1;
	if (p->only == NULL || strcmp(view_text(revision, "revision"), p->only) == 0)
		p->held = json_incref(revision);
	return 0;
}

/* limit: as listing.limit has it. */
static int list_patches(struct listing *l, const char *only, uint64_t limit, struct error *err)
{
	AUTO_FREE char *route = path_of(l, "revisions", "");
	struct patches p = {.l = l, .only = only, .left = limit};
	int rc;

	if (route == NULL)
		return error_no_memory(err);
	*err = (struct error)ERROR_INIT;
	rc = client_list(l->client, route, "revisions", take_patch, &p, err);
	if (rc == 0 && p.held != NULL) {
		rc = show_patch(l, p.held, NULL, err);
		l->n++;
	}
	json_decref(p.held);
	return err->code == ERROR_NONE ? 0 : rc;
}

/* ---- the verb ---- */

/* It may be there, and have changed other namespaces alone. */
static int explain_missing(const struct listing *l, struct error *err)
{
	const char *revision = l->v->argument;
	AUTO_FREE char *route = str_printf("/api/v1/revisions/%s", revision);
	CLEANUP(json_decrefp) json_t *found = NULL;
	struct error ignored = ERROR_INIT;

	if (err->code == ERROR_NOT_FOUND && l->v->at[OPT_ALL] == NULL && route != NULL &&
		client_get(l->client, route, &found, &ignored) == 0)
		return error_set(err, ERROR_NOT_FOUND,
			"revision %s changes nothing in the namespace %s: %s log -A %s shows it",
			revision, client_namespace(l->client), cli_program(), revision);
	return listing_explain_revision(revision, err);
}

static void tell_none(const struct listing *l)
{
	const char *namespace = client_namespace(l->client);
	uint64_t number;

	if (l->v->at[OPT_ALL] != NULL)
		fputs("No changes\n", stderr);
	else if (slice_to_u64(slice_of(namespace), &number))
		fprintf(stderr,
			"No changes in %s namespace. -n is --namespace: --limit %s shows so "
			"many.\n",
			namespace, namespace);
	else
		fprintf(stderr, "No changes in %s namespace.\n", namespace);
}

static int list(struct listing *l, struct error *err)
{
	const char *argument = l->v->argument;
	AUTO_FREE char *route = path_of(l, "revisions", argument != NULL ? argument : "");
	CLEANUP(json_decrefp) json_t *revision = NULL;

	if (route == NULL)
		return error_no_memory(err);
	if (argument != NULL) {
		if (client_get(l->client, route, &revision, err) != 0)
			return explain_missing(l, err);
		return l->v->at[OPT_PATCH] != NULL ? list_patches(l, argument, 1, err)
						   : listing_one(l, revision, err);
	}
	if (l->v->at[OPT_PATCH] != NULL) {
		if (list_patches(l, NULL, l->limit, err) != 0)
			return -1;
	} else if (listing_run(l, route, "revisions", err) != 0) {
		return -1;
	}
	if (l->n == 0)
		tell_none(l);
	return 0;
}

static int check(const struct cli_values *v, struct error *err)
{
	if (v->at[OPT_PATCH] != NULL &&
		(v->at[OPT_ONELINE] != NULL || strcmp(v->at[OPT_OUTPUT], "text") != 0))
		return error_set(err, ERROR_INVALID, "--patch goes with --output text alone");
	if (v->argument == NULL || listing_is_tag('c', slice_of(v->argument)))
		return 0;
	return error_set(err, ERROR_INVALID,
		"\"%s\" is no revision: they are like c1795893153160483. The versions of a "
		"resource are shown by %s history NAME",
		v->argument, cli_program());
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	static const struct listing_verb how = {
		.opt_output = OPT_OUTPUT,
		.opt_limit = OPT_LIMIT,
		.columns = columns,
		.show = show,
		.list = list,
	};
	struct error err = ERROR_INIT;

	if (check(v, &err) != 0)
		return cli_usage(verb, &err);
	return listing_verb_run(verb, v, &how);
}

const struct verb verb_log = {
	.name = "log",
	.summary = "Show the revisions, newest first: what was changed together, by whom, from "
		   "where and why. Of the namespace, or with -A all of them.",
	.argument = "[REVISION]",
	.options = options,
	.run = run,
	.example = "gsq log --oneline --limit 10\n"
		   "gsq log -p --limit 1\n"
		   "gsq log c1795893153160483 -o yaml",
};
