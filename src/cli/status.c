/* SPDX-License-Identifier: Apache-2.0 */
/* Tells what became of resources in the cluster, or waits until they are there. */
#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "cli/wait.h"

#include <stdio.h>

#define FAILED_SHOWN 50
#define INDENT 10 /* of what is told of one, beside its heads */

enum { OPT_ALL = CLIENT_OPTIONS_, OPT_SELECTOR, OPT_OUTPUT, OPT_WAIT, OPT_TIMEOUT };

static const struct cli_option options[] = {
	CLIENT_OPTION_ROWS,
	[OPT_ALL] = VIEW_OPTION_ALL_NAMESPACES,
	[OPT_SELECTOR] = VIEW_OPTION_SELECTOR,
	[OPT_OUTPUT] = {.flag = "output",
		.letter = 'o',
		.argument = "FORMAT",
		.initial = "text",
		.values = "text|json|yaml",
		.help = "json and yaml are a list of what text shows, of each resource"},
	[OPT_WAIT] = {.flag = "wait",
		.help = "wait until all are applied; the status is 1 where one fails"},
	[OPT_TIMEOUT] = WAIT_OPTION_TIMEOUT,
	{NULL},
};

/* ---- one of them ---- */

/* A head, and the text in lines that fit the terminal. */
static void show_wrapped(const char *head, const char *text)
{
	size_t width = terminal_width(), room = SIZE_MAX, column = 0;
	struct slice rest = slice_of(text);

	if (width != SIZE_MAX)
		room = width > 2 * INDENT ? width - INDENT : INDENT;
	printf("%-*s", INDENT, head);
	while (rest.p != NULL) {
		struct slice word = slice_cut(&rest, ' ');

		if (column > 0 && column + 1 + word.n > room) {
			printf("\n%*s", INDENT, "");
			column = 0;
		}
		printf("%s%.*s", column > 0 ? " " : "", SLICE_ARG(word));
		column += word.n + (column > 0);
	}
	putchar('\n');
}

static void show_text(const char *head, const char *text)
{
	if (text[0] != '\0')
		show_wrapped(head, text);
}

static void show_phase(const char *phase)
{
	printf("%-*s", INDENT, "Phase:");
	colour_print(stdout, colour_of_phase(phase), "%s", phase);
	putchar('\n');
}

/* resource NULL: it is deleted, and not yet gone. */
static void show_one(const char *namespace, const char *name, json_t *resource, json_t *status)
{
	const char *since = view_text(status, "since"), *wanted = view_text(resource, "version");
	const char *there = view_text(status, "version");
	char age[AGE_SIZE];

	printf("%-*s%s/%s\n", INDENT, "Name:", namespace, name);
	show_phase(view_text(status, "phase"));
	if (wanted[0] != '\0')
		printf("%-*s%s\n", INDENT, "Version:", wanted);
	if (there[0] != '\0' && strcmp(there, wanted) != 0)
		printf("%-*s%s, in the cluster\n", INDENT,
			wanted[0] != '\0' ? "" : "Version:", there);
	if (since[0] != '\0')
		printf("%-*s%s (%s)\n", INDENT, "Since:", since, terminal_age(since, age));
	show_text("Reason:", view_text(status, "reason"));
	show_text("Message:", view_text(status, "message"));
}

static int status_of_name(struct client *c, const char *name, bool is_first, struct error *err)
{
	CLEANUP(json_decrefp) json_t *status = NULL, *resource = NULL;
	const char *namespace = client_namespace(c);
	AUTO_FREE char *route = client_route(namespace, "/%s", name);
	struct error ignored = ERROR_INIT;

	if (view_get_part(&status, c, namespace, name, "/status", err) != 0)
		return -1;
	/* What is being deleted has a status, and is not there. */
	if (route != NULL && client_get(c, route, &resource, &ignored) != 0)
		resource = NULL;
	if (!is_first)
		putchar('\n');
	show_one(namespace, name, resource, status);
	return 0;
}

static int status_of_names(const struct verb *verb, const struct cli_values *v, struct client *c)
{
	int status = EXIT_OK;
	bool is_first = true;

	for (size_t i = 0; i < v->n_arguments; i++) {
		struct error err = ERROR_INIT;

		if (status_of_name(c, view_name(v->arguments[i]), is_first, &err) == 0) {
			is_first = false;
			continue;
		}
		status = cli_failed(verb, &err);
		if (err.code != ERROR_NOT_FOUND)
			break;
	}
	return status;
}

/* ---- for programs ---- */

struct collecting {
	struct client *client;
	json_t *all;
};

/* {"namespace","name","version",...what .../status answers} */
static int add_status(json_t *resource, void *arg, struct error *err)
{
	struct collecting *c = arg;
	CLEANUP(json_decrefp) json_t *status = NULL, *one = NULL;
	const char *namespace = view_text(resource, "namespace"),
		   *name = view_text(resource, "name");
	struct error why = ERROR_INIT;

	if (view_get_part(&status, c->client, namespace, name, "/status", &why) != 0) {
		if (why.code == ERROR_NOT_FOUND)
			return 0; /* deleted meanwhile */
		*err = why;
		return -1;
	}
	one = json_pack("{s:s,s:s,s:O*,s:O}", "namespace", namespace, "name", name, "version",
		json_object_get(resource, "version"), "status", status);
	return one != NULL && json_array_append(c->all, one) == 0 ? 0 : error_no_memory(err);
}

static int collect_named(struct collecting *c, const struct cli_values *v, struct error *err)
{
	for (size_t i = 0; i < v->n_arguments; i++) {
		CLEANUP(json_decrefp) json_t *resource = NULL;

		if (view_get(&resource, c->client, client_namespace(c->client),
			    view_name(v->arguments[i]), err) != 0 ||
			add_status(resource, c, err) != 0)
			return -1;
	}
	return 0;
}

static int print_statuses(const struct verb *verb, const struct cli_values *v,
	struct client *client, const char *route)
{
	CLEANUP(json_decrefp) json_t *all = json_array();
	struct collecting c = {.client = client, .all = all};
	struct error err = ERROR_INIT;
	int rc;

	if (all == NULL)
		rc = error_no_memory(&err);
	else if (v->n_arguments > 0)
		rc = collect_named(&c, v, &err);
	else
		rc = client_list(client, route, "resources", add_status, &c, &err);
	if (rc == 0)
		rc = view_print(all, v->at[OPT_OUTPUT], &err);
	return rc == 0 ? EXIT_OK : cli_failed(verb, &err);
}

/* ---- all of them, in short ---- */

static const char *const phases[] = {"applied", "pending", "failed", "unknown"};

struct summary {
	struct client *client;
	struct table *table; /* of those that failed, */
	size_t first_column; /* without the namespace where all are of one */
	size_t counts[ARRAY_SIZE(phases)], n;
	json_t *unknown; /* the first of which nothing is known */
};

static const struct table_column failed_columns[] = {
	{.head = "NAMESPACE", .shrinks = true},
	{.head = "NAME"},
	{.head = "SINCE"},
	{.head = "REASON"},
	{.head = "MESSAGE", .shrinks = true},
	{NULL},
};

static int status_of(struct client *c, json_t *resource, json_t **ret, struct error *err)
{
	AUTO_FREE char *route = client_route(
		view_text(resource, "namespace"), "/%s/status", view_text(resource, "name"));

	return route == NULL ? error_no_memory(err) : client_get(c, route, ret, err);
}

static int add_row(struct summary *s, json_t *resource, json_t *status, struct error *err)
{
	char age[AGE_SIZE];
	const char *cells[] = {view_text(resource, "namespace"), view_text(resource, "name"),
		terminal_age(view_text(status, "since"), age), view_text(status, "reason"),
		view_text(status, "message")};

	if (table_add(s->table, cells + s->first_column) != 0)
		return error_no_memory(err);
	return 0;
}

/* One that is deleted meanwhile has failed all the same. */
static int add_failed(struct summary *s, json_t *resource, struct error *err)
{
	CLEANUP(json_decrefp) json_t *status = NULL;
	struct error why = ERROR_INIT;

	if (table_rows(s->table) >= FAILED_SHOWN)
		return 0;
	if (status_of(s->client, resource, &status, &why) != 0 && why.code != ERROR_NOT_FOUND) {
		*err = why;
		return -1;
	}
	return add_row(s, resource, status, err);
}

static int count(json_t *resource, void *arg, struct error *err)
{
	struct summary *s = arg;
	const char *phase = view_text(json_object_get(resource, "status"), "phase");

	s->n++;
	for (size_t i = 0; i < ARRAY_SIZE(phases); i++)
		s->counts[i] += strcmp(phase, phases[i]) == 0;
	if (strcmp(phase, "unknown") == 0 && s->unknown == NULL)
		s->unknown = json_incref(resource);
	return strcmp(phase, "failed") == 0 ? add_failed(s, resource, err) : 0;
}

static void show_counts(const struct summary *s)
{
	const char *before = ": ";

	printf("%zu resource%s", s->n, s->n == 1 ? "" : "s");
	for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
		if (s->counts[i] == 0)
			continue;
		printf("%s%zu ", before, s->counts[i]);
		colour_print(stdout, colour_of_phase(phases[i]), "%s", phases[i]);
		before = ", ";
	}
	putchar('\n');
}

/* It is the same for all of them. */
static void show_why_unknown(const struct summary *s)
{
	CLEANUP(json_decrefp) json_t *status = NULL;
	struct error ignored = ERROR_INIT;

	if (s->unknown != NULL && status_of(s->client, s->unknown, &status, &ignored) == 0 &&
		view_text(status, "message")[0] != '\0')
		show_wrapped("Unknown:", view_text(status, "message"));
}

static int summarize(struct summary *s, const char *route, const char *namespace, struct error *err)
{
	size_t shown, failed;

	if (client_list(s->client, route, "resources", count, s, err) != 0)
		return -1;
	if (s->n == 0) {
		view_tell_none(namespace);
		return 0;
	}
	show_counts(s);
	show_why_unknown(s);
	shown = table_rows(s->table);
	failed = s->counts[2];
	if (shown > 0)
		putchar('\n');
	if (shown > 0)
		table_print(s->table, stdout);
	if (failed > shown)
		printf("and %zu more that failed\n", failed - shown);
	return 0;
}

static int status_of_all(
	const struct verb *verb, struct client *c, const char *route, const char *namespace)
{
	size_t first_column = client_is_all(namespace) ? 0 : 1;
	CLEANUP(table_freep)
	struct table *table = table_new(failed_columns + first_column, false, true);
	struct summary s = {.client = c, .table = table, .first_column = first_column};
	struct error err = ERROR_INIT;
	int rc;

	rc = table == NULL ? error_no_memory(&err) : summarize(&s, route, namespace, &err);
	json_decref(s.unknown);
	return rc == 0 ? EXIT_OK : cli_failed(verb, &err);
}

/* ---- waiting ---- */

struct waited {
	struct wait_item *items;
	size_t n, room;
};

static void waited_done(struct waited *w)
{
	for (size_t i = 0; i < w->n; i++) {
		free((char *)w->items[i].namespace);
		free((char *)w->items[i].name);
	}
	free(w->items);
}

/* Whichever version it has: that of somebody who changes it meanwhile is as good. */
static int add_waited(json_t *resource, void *arg, struct error *err)
{
	struct waited *w = arg;
	char *namespace, *name;

	if (w->n == w->room) {
		size_t room = 2 * w->room + 16;
		struct wait_item *items = realloc(w->items, room * sizeof(*items));

		if (items == NULL)
			return error_no_memory(err);
		w->items = items;
		w->room = room;
	}
	namespace = slice_dup(slice_of(view_text(resource, "namespace")));
	name = slice_dup(slice_of(view_text(resource, "name")));
	w->items[w->n++] = (struct wait_item){.namespace = namespace, .name = name};
	return namespace != NULL && name != NULL ? 0 : error_no_memory(err);
}

static int collect_names(
	struct waited *w, const struct cli_values *v, struct client *c, struct error *err)
{
	for (size_t i = 0; i < v->n_arguments; i++) {
		CLEANUP(json_decrefp) json_t *resource = NULL;

		if (view_get(&resource, c, client_namespace(c), view_name(v->arguments[i]), err) !=
				0 ||
			add_waited(resource, w, err) != 0)
			return -1;
	}
	return 0;
}

static int wait_for_all(
	const struct verb *verb, const struct cli_values *v, struct client *c, const char *route)
{
	CLEANUP(waited_done) struct waited w = {.n = 0};
	struct error err = ERROR_INIT;
	int rc;

	if (v->n_arguments > 0)
		rc = collect_names(&w, v, c, &err);
	else
		rc = client_list(c, route, "resources", add_waited, &w, &err);
	if (rc != 0)
		return cli_failed(verb, &err);
	return wait_run(verb, c, v, OPT_TIMEOUT, w.items, w.n);
}

/* ---- the verb ---- */

static int check(const struct cli_values *v, struct error *err)
{
	if (v->n_arguments > 0 && v->at[OPT_ALL] != NULL)
		return error_set(err, ERROR_INVALID,
			"a name belongs to one namespace: give -n, not --all-namespaces");
	if (v->n_arguments > 0 && v->at[OPT_SELECTOR] != NULL)
		return error_set(err, ERROR_INVALID, "give names or --selector, not both");
	if (v->at[OPT_WAIT] != NULL && strcmp(v->at[OPT_OUTPUT], "text") != 0)
		return error_set(err, ERROR_INVALID, "give --wait or --output, not both");
	return wait_check(v, OPT_WAIT, OPT_TIMEOUT, err);
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(client_freep) struct client *c = NULL;
	AUTO_FREE char *route = NULL;
	struct error err = ERROR_INIT;
	const char *namespace;

	if (check(v, &err) != 0 || client_open(&c, v, &err) != 0)
		return cli_usage(verb, &err);
	namespace = v->at[OPT_ALL] != NULL ? CLIENT_ALL : client_namespace(c);
	route = view_list_route(namespace, v->at[OPT_SELECTOR]);
	if (route == NULL) {
		error_no_memory(&err);
		return cli_failed(verb, &err);
	}
	if (strcmp(v->at[OPT_OUTPUT], "text") != 0)
		return print_statuses(verb, v, c, route);
	if (v->at[OPT_WAIT] != NULL)
		return wait_for_all(verb, v, c, route);
	if (v->n_arguments > 0)
		return status_of_names(verb, v, c);
	return status_of_all(verb, c, route, namespace);
}

const struct verb verb_status = {
	.name = "status",
	.summary =
		"Tell what became of resources in the cluster, and why where they are not there. "
		"Without a name: how many are in which phase, and those that failed. With --wait "
		"it waits until all are applied: the status is 1 where one fails or the time is "
		"over, and 130 after Ctrl-C.",
	.argument = "[NAME]...",
	.options = options,
	.run = run,
	.example = "gsq status\n"
		   "gsq status web\n"
		   "gsq status -A -l team=shop\n"
		   "gsq status web db --wait --timeout 2m\n",
	.completes_names = true,
};
