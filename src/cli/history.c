/* SPDX-License-Identifier: Apache-2.0 */
/* The versions of a resource: who changed it when, why, and how. */
#include "cli/listing.h"
#include "cli/terminal.h"
#include "cli/view.h"

#include <stdio.h>

enum { OPT_PATCH = CLIENT_OPTIONS_, OPT_OUTPUT, OPT_LIMIT };

static const struct cli_option options[] = {
	CLIENT_OPTION_ROWS,
	[OPT_PATCH] = {.flag = "patch",
		.letter = 'p',
		.help = "show what each version changed, too"},
	[OPT_OUTPUT] = {.flag = "output",
		.letter = 'o',
		.argument = "FORMAT",
		.initial = "table",
		.values = "table|json|yaml",
		.help = "json and yaml have all that is known"},
	[OPT_LIMIT] = LISTING_OPTION_LIMIT,
	{NULL},
};

static const struct table_column columns[] = {
	{.head = "VERSION"},
	{.head = "OPERATION"},
	{.head = "AGE"},
	{.head = "WHO", .shrinks = true},
	{.head = "WHY", .shrinks = true},
	{.head = "REVISION"},
	{NULL},
};

/* arg: the table. */
static int show_row(json_t *entry, void *arg, struct error *err)
{
	char age[AGE_SIZE];
	const char *cells[] = {view_text(entry, "version"), view_text(entry, "operation"),
		terminal_age(view_text(entry, "at"), age), view_text(entry, "who"),
		view_text(entry, "why"), view_text(entry, "revision")};

	return table_add(arg, cells) == 0 ? 0 : error_no_memory(err);
}

static int show_patch(json_t *entry, void *arg UNUSED, struct error *err UNUSED)
{
	const char *why = view_text(entry, "why"), *who = view_text(entry, "who");

	printf("%s%s %s%s\n", colour_begin(stdout, COLOUR_BOLD), view_text(entry, "version"),
		view_text(entry, "operation"), colour_end(stdout, COLOUR_BOLD));
	printf("Date: %s\n", view_text(entry, "at"));
	if (who[0] != '\0')
		printf("Who:  %s\n", who);
	if (why[0] != '\0')
		printf("Why:  %s\n", why);
	putchar('\n');
	terminal_diff(stdout, view_text(entry, "diff"));
	putchar('\n');
	return 0;
}

/* ---- the verb ---- */

static int list(struct listing *l, struct client *c, const char *name, struct error *err)
{
	AUTO_FREE char *route = client_route(client_namespace(c), "/%s/history", name);

	if (route == NULL)
		return error_no_memory(err);
	if (listing_run(l, c, route, "history", err) == 0)
		return 0;
	return err->code == ERROR_NOT_FOUND ? view_not_there(c, client_namespace(c), name, err)
					    : -1;
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(client_freep) struct client *client = NULL;
	CLEANUP(table_freep) struct table *table = table_new(columns, false, true);
	CLEANUP(listing_done) struct listing l = {.show = show_row, .arg = table};
	struct error err = ERROR_INIT;

	if (v->at[OPT_PATCH] != NULL)
		l.show = show_patch;
	if (client_open(&client, v, &err) != 0 ||
		listing_begin(&l, v->at[OPT_OUTPUT], v->at[OPT_LIMIT], &err) != 0)
		return cli_usage(verb, &err);
	if (table == NULL)
		error_no_memory(&err);
	if (table == NULL || list(&l, client, view_name(v->argument), &err) != 0 ||
		listing_end(&l, v->at[OPT_OUTPUT], &err) != 0)
		return cli_failed(verb, &err);
	if (table_rows(table) > 0)
		table_print(table, stdout);
	return EXIT_OK;
}

const struct verb verb_history = {
	.name = "history",
	.summary = "Show the versions of a resource, newest first: who changed it when, and why. "
		   "Deletions are versions too, and what was before them stays.",
	.argument = "NAME",
	.options = options,
	.run = run,
	.example = "gsq history web\n"
		   "gsq history web -p",
	.completes_names = true,
};
