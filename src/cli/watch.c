/* SPDX-License-Identifier: Apache-2.0 */
/* Shows what happens to resources, as it happens, a line an event. */
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/view.h"

#include <signal.h>
#include <stdio.h>

#define WIDE 80 /* columns */

enum { OPT_ALL = CLIENT_OPTIONS_, OPT_OUTPUT };

static const struct cli_option options[] = {
	CLIENT_OPTION_ROWS,
	[OPT_ALL] = VIEW_OPTION_ALL_NAMESPACES,
	[OPT_OUTPUT] = {.flag = "output",
		.letter = 'o',
		.argument = "FORMAT",
		.initial = "table",
		.values = "table|json",
		.help = "json is an object a line"},
	{NULL},
};

struct watching {
	bool as_json;
	struct error err;
};

/* ---- one event ---- */

/* "14:03:07", of here. */
static void show_time(void)
{
	time_t now = (time_t)(clock_realtime_us() / 1000000);
	struct tm local;
	char text[16];

	if (localtime_r(&now, &local) != NULL &&
		strftime(text, sizeof(text), "%H:%M:%S", &local) > 0)
		printf("%s  ", text);
}

/* Padded, so that most lines stand below each other, where there is room for it. */
static void show_padded(int width, const char *text)
{
	printf("%-*s  ", terminal_width() >= WIDE ? width : 0, text);
}

static void show_line(const char *event, json_t *data)
{
	json_t *status = json_object_get(data, "status");
	const char *reason = view_text(status, "reason"), *message = view_text(status, "message");
	bool is_change = strcmp(event, "change") == 0;
	const char *phase = view_text(is_change ? data : status, "phase");
	char resource[2 * LIMIT_NAME + 2];

	snprintf(resource, sizeof(resource), "%s/%s", view_text(data, "namespace"),
		view_text(data, "name"));
	show_time();
	show_padded(24, resource);
	show_padded(8, is_change ? view_text(data, "op") : event);
	colour_print(stdout, colour_of_phase(phase), "%s", phase);
	if (reason[0] != '\0')
		printf("  %s", reason);
	if (message[0] != '\0')
		printf(": %s", message);
	putchar('\n');
}

static int show_json(const char *event, json_t *data, struct error *err)
{
	CLEANUP(json_decrefp) json_t *line = json_pack("{s:s}", "event", event);
	AUTO_FREE char *text = NULL;

	if (line == NULL || json_object_update(line, data) != 0)
		return error_no_memory(err);
	text = json_dumps(line, JSON_COMPACT);
	if (text == NULL)
		return error_no_memory(err);
	puts(text);
	return 0;
}

static bool each(const char *event, json_t *data, void *arg)
{
	struct watching *w = arg;

	if (w->as_json) {
		if (show_json(event, data, &w->err) != 0)
			return false;
	} else if (strcmp(event, "reset") == 0) {
		fputs("gsq watch: some events were missed: gsq get shows how things are\n", stderr);
	} else if (strcmp(event, "hello") != 0) {
		show_line(event, data);
	}
	fflush(stdout);
	return !ferror(stdout);
}

/* ---- the verb ---- */

static int run(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(client_freep) struct client *client = NULL;
	AUTO_FREE char *route = NULL;
	struct watching w = {.as_json = strcmp(v->at[OPT_OUTPUT], "json") == 0};
	struct error err = ERROR_INIT;

	if (client_open(&client, v, &err) != 0)
		return cli_usage(verb, &err);
	route = str_printf("/api/v1/watch?namespace=%s",
		v->at[OPT_ALL] != NULL ? CLIENT_ALL : client_namespace(client));
	if (route == NULL)
		error_no_memory(&err);
	else if (client_watch(client, route, 0, each, &w, &err) == 0)
		err = w.err;
	return err.code == ERROR_NONE ? EXIT_INTERRUPTED : cli_failed(verb, &err);
}

const struct verb verb_watch = {
	.name = "watch",
	.summary = "Show what happens to resources as it happens, a line for each change and each "
		   "phase they come into, until Ctrl-C.",
	.options = options,
	.run = run,
	.example = "gsq watch\n"
		   "gsq watch -A -o json\n",
};
