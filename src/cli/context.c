/* SPDX-License-Identifier: Apache-2.0 */
/* The servers that gsq login knows. */
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/terminal.h"

#include <string.h>

enum { OPT_OUTPUT };

static const struct cli_option list_options[] = {
	[OPT_OUTPUT] = {"output", NULL, "table|name", "table", "how they are printed",
		.letter = 'o', .values = "table|name"},
	{NULL},
};

static const struct table_column columns[] = {
	{"CURRENT"},
	{"NAME", .shrinks = true},
	{"SERVER", .shrinks = true},
	{"NAMESPACE"},
	{"TOKEN"},
	{NULL},
};

/* ---- list ---- */

static int add_row(struct table *t, const struct context *c, bool is_current)
{
	const char *cells[] = {is_current ? "*" : " ", c->name, c->server,
		c->namespace != NULL ? c->namespace : "default", c->token != NULL ? "yes" : "no"};

	return table_add(t, cells);
}

static int print_table(const struct config *config, struct error *err)
{
	CLEANUP(table_freep) struct table *t = table_new(columns, false, true);
	const char *current = getenv("GSQ_CONTEXT");

	if (t == NULL)
		return error_no_memory(err);
	if (current == NULL || *current == '\0')
		current = config->current;
	for (size_t i = 0; i < config->n; i++) {
		const struct context *c = &config->contexts[i];

		if (add_row(t, c, current != NULL && strcmp(c->name, current) == 0) != 0)
			return error_no_memory(err);
	}
	table_print(t, stdout);
	return 0;
}

static int run_list(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(config_done) struct config config = {.lock = -1};
	struct error err = ERROR_INIT;

	if (config_load(&config, &err) != 0)
		return cli_failed(verb, &err);
	if (strcmp(v->at[OPT_OUTPUT], "name") == 0) {
		for (size_t i = 0; i < config.n; i++)
			puts(config.contexts[i].name);
	} else if (config.n == 0) {
		fprintf(stderr, "gsq context: there are none in %s: gsq login URL makes one\n",
			config.path);
	} else if (print_table(&config, &err) != 0) {
		return cli_failed(verb, &err);
	}
	return EXIT_OK;
}

/* ---- changes ---- */

static int change(const struct verb *verb, const char *name,
	int (*how)(struct config *config, struct context *context, struct error *err))
{
	CLEANUP(config_done) struct config config = {.lock = -1};
	struct error err = ERROR_INIT;
	struct context *context;

	if (config_lock(&config, &err) != 0 || config_need(&config, name, &context, &err) != 0 ||
		how(&config, context, &err) != 0 || config_save(&config, &err) != 0)
		return cli_failed(verb, &err);
	return EXIT_OK;
}

static int use(struct config *config, struct context *context, struct error *err)
{
	return config_use(config, context->name, err);
}

static int run_use(const struct verb *verb, const struct cli_values *v)
{
	const char *stronger = getenv("GSQ_CONTEXT");

	if (change(verb, v->argument, use) != EXIT_OK)
		return EXIT_FAILED;
	printf("the context %s is current\n", v->argument);
	if (stronger != NULL && *stronger != '\0')
		fprintf(stderr, "gsq %s: but GSQ_CONTEXT is set to %s, and counts for more\n",
			verb->name, stronger);
	return EXIT_OK;
}

static int delete (struct config *config, struct context *context, struct error *err UNUSED)
{
	config_remove(config, context);
	return 0;
}

static int run_delete(const struct verb *verb, const struct cli_values *v)
{
	if (change(verb, v->argument, delete) != EXIT_OK)
		return EXIT_FAILED;
	printf("the context %s is gone\n", v->argument);
	return EXIT_OK;
}

/* ---- the verbs ---- */

static const struct verb verb_use = {
	.name = "context use",
	.summary = "Make that server the one that other verbs speak to.",
	.argument = "CONTEXT",
	.run = run_use,
};

static const struct verb verb_delete_context = {
	.name = "context delete",
	.summary = "Forget a server and the token for it. The token itself stays good: gsq token "
		   "revoke ends it.",
	.argument = "CONTEXT",
	.run = run_delete,
};

static const struct verb *const verbs[] = {&verb_use, &verb_delete_context, NULL};

const struct verb verb_context = {
	.name = "context",
	.summary = "List the servers that gsq login knows, use one of them, or forget it.",
	.options = list_options,
	.verbs = verbs,
	.run = run_list,
	.example = "gsq context\ngsq context use prod",
};
