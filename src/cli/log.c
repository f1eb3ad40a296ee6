/* SPDX-License-Identifier: Apache-2.0 */
/* The commit records: what was changed together, by whom and why. */
#include "cli/listing.h"
#include "cli/terminal.h"
#include "cli/view.h"

#include <stdio.h>

#define CHANGES_SHOWN 20 /* of one commit, without --output */

enum { OPT_ALL = CLIENT_OPTIONS_, OPT_OUTPUT, OPT_LIMIT, OPT_ONELINE };

static const struct cli_option options[] = {
	CLIENT_OPTION_ROWS,
	[OPT_ALL] = VIEW_OPTION_ALL_NAMESPACES,
	[OPT_OUTPUT] = {.flag = "output",
		.letter = 'o',
		.argument = "FORMAT",
		.initial = "text",
		.values = "text|json|yaml",
		.help = "json and yaml have all that is known"},
	[OPT_LIMIT] = LISTING_OPTION_LIMIT,
	[OPT_ONELINE] = {.flag = "oneline", .help = "one line a commit"},
	{NULL},
};

static const struct table_column columns[] = {
	{.head = "COMMIT"},
	{.head = "AGE"},
	{.head = "WHO", .shrinks = true},
	{.head = "CHANGES"},
	{.head = "WHY", .shrinks = true},
	{NULL},
};

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

/* arg: the table. */
static int show_row(json_t *commit, void *arg, struct error *err)
{
	char age[AGE_SIZE], changes[96];
	const char *cells[] = {view_text(commit, "version"),
		terminal_age(view_text(commit, "at"), age), view_text(commit, "who"), changes,
		view_text(commit, "why")};

	in_short(json_object_get(commit, "changes"), changes, sizeof(changes));
	return table_add(arg, cells) == 0 ? 0 : error_no_memory(err);
}

static void show_change(json_t *change)
{
	const char *operation = view_text(change, "operation");

	printf("    %s%-7s%s %s/%s %s\n",
		colour_begin(stdout, strcmp(operation, "delete") == 0   ? COLOUR_BAD
				     : strcmp(operation, "create") == 0 ? COLOUR_GOOD
									: COLOUR_WAITING),
		operation, colour_end(stdout, COLOUR_NONE), view_text(change, "namespace"),
		view_text(change, "name"), view_text(change, "version"));
}

static int show_text(json_t *commit, void *arg UNUSED, struct error *err UNUSED)
{
	const char *who = view_text(commit, "who"), *from = view_text(commit, "from");
	const char *why = view_text(commit, "why");
	json_t *changes = json_object_get(commit, "changes"), *change;
	size_t i;

	printf("%scommit %s%s\n", colour_begin(stdout, COLOUR_BOLD), view_text(commit, "version"),
		colour_end(stdout, COLOUR_BOLD));
	printf("Who:  %s%s%s%s\n", who, from[0] != '\0' ? " (" : "", from,
		from[0] != '\0' ? ")" : "");
	printf("Date: %s\n", view_text(commit, "at"));
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
	return 0;
}

/* ---- the verb ---- */

static char *route_of(const struct client *c, const struct cli_values *v)
{
	const char *slash = v->argument != NULL ? "/" : "";
	const char *commit = v->argument != NULL ? v->argument : "";

	if (v->at[OPT_ALL] != NULL)
		return str_printf("/api/v1/revisions%s%s", slash, commit);
	return str_printf(
		"/api/v1/namespaces/%s/revisions%s%s", client_namespace(c), slash, commit);
}

static int list(struct listing *l, struct client *c, const struct cli_values *v, struct error *err)
{
	CLEANUP(json_decrefp) json_t *commit = NULL;
	AUTO_FREE char *route = route_of(c, v);

	if (route == NULL)
		return error_no_memory(err);
	if (v->argument == NULL)
		return listing_run(l, c, route, "revisions", err);
	if (client_get(c, route, &commit, err) != 0)
		return err->code == ERROR_NOT_FOUND
			       ? error_set(err, ERROR_NOT_FOUND,
					 "there is no commit %s: gsq log shows those there are",
					 v->argument)
			       : -1;
	return listing_one(l, commit, err);
}

static int check(const struct cli_values *v, struct error *err)
{
	if (v->argument == NULL || listing_is_tag('c', slice_of(v->argument)))
		return 0;
	return error_set(err, ERROR_INVALID,
		"\"%s\" is no commit: they are like c1795893153160483. The versions of a resource "
		"are shown by gsq history NAME",
		v->argument);
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(client_freep) struct client *client = NULL;
	CLEANUP(table_freep) struct table *table = table_new(columns, false, true);
	CLEANUP(listing_done) struct listing l = {.show = show_text, .arg = table};
	struct error err = ERROR_INIT;

	if (v->at[OPT_ONELINE] != NULL)
		l.show = show_row;
	if (check(v, &err) != 0 || client_open(&client, v, &err) != 0 ||
		listing_begin(&l, v->at[OPT_OUTPUT], v->at[OPT_LIMIT], &err) != 0)
		return cli_usage(verb, &err);
	if (table == NULL)
		error_no_memory(&err);
	if (table == NULL || list(&l, client, v, &err) != 0 ||
		listing_end(&l, v->at[OPT_OUTPUT], &err) != 0)
		return cli_failed(verb, &err);
	if (table_rows(table) > 0)
		table_print(table, stdout);
	return EXIT_OK;
}

const struct verb verb_log = {
	.name = "log",
	.summary = "Show the commits, newest first: what was changed together, by whom, from where "
		   "and why. Of the namespace, or with -A all of them.",
	.argument = "[COMMIT]",
	.options = options,
	.run = run,
	.example = "gsq log --oneline --limit 10\n"
		   "gsq log c1795893153160483 -o yaml",
};
