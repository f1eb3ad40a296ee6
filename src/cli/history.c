/* SPDX-License-Identifier: Apache-2.0 */
/* The versions of resources: who changed them when, why, and how. */
#include "cli/listing.h"
#include "cli/view.h"
#include "intent/intent.h"

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
	{.head = "NAME"}, /* only of several */
	{.head = "VERSION"},
	{.head = "OPERATION"},
	{.head = "AGE"},
	{.head = "WHO", .shrinks = true},
	{.head = "WHY", .shrinks = true},
	{.head = "REVISION"},
	{NULL},
};

static bool are_several(const struct cli_values *v)
{
	return v->n_arguments > 1;
}

static int show_row(struct listing *l, json_t *entry, struct error *err)
{
	char age[AGE_SIZE];
	const char *cells[] = {view_text(entry, "name"), view_text(entry, "version"),
		view_text(entry, "operation"), terminal_age(view_text(entry, "at"), age),
		view_text(entry, "who"), view_text(entry, "why"), view_text(entry, "revision")};

	return table_add(l->table, are_several(l->v) ? cells : cells + 1) == 0
		       ? 0
		       : error_no_memory(err);
}

static void show_patch(json_t *entry)
{
	const char *why = view_text(entry, "why"), *who = view_text(entry, "who");
	const char *name = view_text(entry, "name");

	colour_print(stdout, COLOUR_BOLD, "%s%s%s %s", name, name[0] != '\0' ? " " : "",
		view_text(entry, "version"), view_text(entry, "operation"));
	printf("\nDate: %s\n", view_text(entry, "at"));
	if (who[0] != '\0')
		printf("Who:  %s\n", who);
	if (why[0] != '\0')
		printf("Why:  %s\n", why);
	putchar('\n');
	terminal_diff(stdout, view_text(entry, "diff"));
	putchar('\n');
}

static int show(struct listing *l, json_t *entry, struct error *err)
{
	if (l->v->at[OPT_PATCH] == NULL)
		return show_row(l, entry, err);
	show_patch(entry);
	return 0;
}

/* ---- the verb ---- */

static int list_one(struct listing *l, const char *name, struct error *err)
{
	const char *namespace = client_namespace(l->client);
	AUTO_FREE char *route = client_route(namespace, "/%s/history", name);

	if (!intent_name_ok(slice_of(name)))
		return view_not_there(l->client, namespace, name, err);
	if (route == NULL)
		return error_no_memory(err);
	if (listing_run(l, route, "history", err) == 0)
		return 0;
	return err->code == ERROR_NOT_FOUND ? view_not_there(l->client, namespace, name, err) : -1;
}

static int list(struct listing *l, struct error *err)
{
	for (size_t i = 0; i < l->v->n_arguments; i++) {
		const char *name = view_name(l->v->arguments[i]);

		l->name = are_several(l->v) ? name : NULL;
		if (list_one(l, name, err) != 0)
			return -1;
	}
	return 0;
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	const struct listing_verb how = {
		.opt_output = OPT_OUTPUT,
		.opt_limit = OPT_LIMIT,
		.columns = are_several(v) ? columns : columns + 1,
		.show = show,
		.list = list,
	};

	return listing_verb_run(verb, v, &how);
}

const struct verb verb_history = {
	.name = "history",
	.summary = "Show the versions of resources, newest first: who changed them when, and why. "
		   "Deletions are versions too, and what was before them stays.",
	.argument = "NAME...",
	.options = options,
	.run = run,
	.example = "gsq history web\n"
		   "gsq history web -p\n"
		   "gsq get -o name | xargs gsq history --limit 1",
	.completes_names = true,
};
