/* SPDX-License-Identifier: Apache-2.0 */
/* Shows resources: some by name, or a list that is printed as it comes, or what becomes of it. */
#include "api/selector.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "cli/yaml.h"

#include <stdio.h>

#define ROWS_AT_ONCE 500 /* the first say how wide the columns are */
#define REASONS_ASKED 500

enum { OPT_ALL = CLIENT_OPTIONS_, OPT_SELECTOR, OPT_OUTPUT, OPT_WATCH, OPT_NO_HEADERS };

static const struct cli_option options[] = {
	CLIENT_OPTION_ROWS,
	[OPT_ALL] = VIEW_OPTION_ALL_NAMESPACES,
	[OPT_SELECTOR] = VIEW_OPTION_SELECTOR,
	[OPT_OUTPUT] = {.flag = "output",
		.letter = 'o',
		.argument = "FORMAT",
		.initial = "table",
		.values = "table|wide|yaml|json|name",
		.help = "wide has versions, digests and reasons too, and lines as long as they "
			"need; yaml and json are Kubernetes objects"},
	[OPT_WATCH] = {.flag = "watch",
		.letter = 'w',
		.help = "then show every change, until Ctrl-C"},
	[OPT_NO_HEADERS] = {.flag = "no-headers", .help = "of a table: only the rows"},
	{NULL},
};

enum output { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_YAML, OUTPUT_JSON, OUTPUT_NAME };

struct getting {
	const struct verb *verb;
	const struct cli_values *v;
	struct client *client;
	const char *namespace; /* or CLIENT_ALL */
	enum output output;
	bool is_list;              /* of Kubernetes, around the objects */
	bool is_one_by_one;        /* what is shown is to be seen at once */
	struct selector *selector; /* NULL: any */
	json_t *seen; /* {"shop/web":true} that it holds of: what is deleted has no labels */
	struct table *table;
	size_t n_shown, n_reasons;
	struct buf text;
	struct error err; /* of what was heard while watching */
};

/* ---- tables ---- */

static enum colour phase_colour(const char *cell)
{
	return colour_of_phase(cell);
}

static const struct table_column columns[] = {
	{.head = "NAMESPACE", .shrinks = true},
	{.head = "NAME"},
	{.head = "TYPE"},
	{.head = "SIZE"},
	{.head = "REGION", .shrinks = true},
	{.head = "REPLICAS"},
	{.head = "STATUS", .colour = phase_colour},
	{.head = "AGE"},
	{.head = "VERSION", .wide = true},
	{.head = "DIGEST", .wide = true, .shrinks = true},
	{.head = "REASON", .wide = true},
	{NULL},
};

static bool is_table(const struct getting *g)
{
	return g->output == OUTPUT_TABLE || g->output == OUTPUT_WIDE;
}

/* One column less where all are of one namespace. */
static size_t first_column(const struct getting *g)
{
	return client_is_all(g->namespace) ? 0 : 1;
}

static int add_row(struct getting *g, const char *const *cells, struct error *err)
{
	if (table_add(g->table, cells + first_column(g)) != 0)
		return error_no_memory(err);
	if (g->is_one_by_one || table_rows(g->table) >= ROWS_AT_ONCE)
		table_print(g->table, stdout);
	return 0;
}

/* Lists tell phases alone; why one has failed, it says itself. */
static void ask_reason(struct getting *g, const struct view *view, char *ret, size_t size)
{
	CLEANUP(json_decrefp) json_t *status = NULL;
	struct error ignored = ERROR_INIT;
	AUTO_FREE char *route = client_route(view->namespace, "/%s/status", view->name);

	snprintf(ret, size, "%s", view->reason);
	if (g->output != OUTPUT_WIDE || ret[0] != '\0' || strcmp(view->phase, "applied") == 0 ||
		strcmp(view->phase, "unknown") == 0 || route == NULL ||
		g->n_reasons++ >= REASONS_ASKED)
		return;
	if (client_get(g->client, route, &status, &ignored) == 0)
		snprintf(ret, size, "%s", view_text(status, "reason"));
}

static int show_row(struct getting *g, const struct view *view, struct error *err)
{
	char replicas[24], age[AGE_SIZE], reason[64];
	const char *cells[] = {view->namespace, view->name, view->type, view->size, view->region,
		replicas, view->phase, age, view->version, view->digest, reason};

	snprintf(replicas, sizeof(replicas), "%" JSON_INTEGER_FORMAT, view->replicas);
	terminal_age(view->updated_at, age);
	ask_reason(g, view, reason, sizeof(reason));
	return add_row(g, cells, err);
}

/* ---- objects ---- */

static int add_object_yaml(struct getting *g, json_t *object, struct error *err)
{
	buf_reset(&g->text);
	if (g->is_list)
		buf_puts(&g->text, g->n_shown == 0 ? "items:\n- " : "- ");
	else if (g->n_shown > 0)
		buf_puts(&g->text, "---\n");
	yaml_write(&g->text, object, g->is_list ? 2 : 0, g->is_list);
	return buf_check(&g->text, err);
}

/* Lines of an item begin further right. */
static void add_indented(struct buf *b, const char *text, const char *indent)
{
	struct slice rest = slice_of(text);

	for (bool first = true; rest.p != NULL; first = false) {
		if (!first)
			buf_putc(b, '\n');
		buf_puts(b, indent);
		buf_add(b, slice_cut(&rest, '\n'));
	}
}

static int add_object_json(struct getting *g, json_t *object, struct error *err)
{
	AUTO_FREE char *text = json_dumps(object, JSON_INDENT(4));

	if (text == NULL)
		return error_no_memory(err);
	buf_reset(&g->text);
	if (g->is_list)
		buf_puts(&g->text, g->n_shown == 0 ? "\n" : ",\n");
	add_indented(&g->text, text, g->is_list ? "        " : "");
	if (!g->is_list)
		buf_putc(&g->text, '\n');
	return buf_check(&g->text, err);
}

static int show_object(struct getting *g, const struct view *view, struct error *err)
{
	CLEANUP(json_decrefp) json_t *object = view_object(view);

	if (object == NULL)
		return error_no_memory(err);
	if ((g->output == OUTPUT_YAML ? add_object_yaml : add_object_json)(g, object, err) != 0)
		return -1;
	fwrite(g->text.data, 1, g->text.len, stdout);
	return 0;
}

static void begin_list(const struct getting *g)
{
	if (g->is_list && g->output == OUTPUT_YAML)
		fputs("apiVersion: v1\nkind: List\n", stdout);
	else if (g->is_list && g->output == OUTPUT_JSON)
		fputs("{\n    \"apiVersion\": \"v1\",\n    \"kind\": \"List\",\n    \"items\": [",
			stdout);
}

static void end_list(const struct getting *g)
{
	if (g->is_list && g->output == OUTPUT_YAML && g->n_shown == 0)
		fputs("items: []\n", stdout);
	else if (g->is_list && g->output == OUTPUT_JSON)
		fputs(g->n_shown == 0 ? "]\n}\n" : "\n    ]\n}\n", stdout);
}

/* ---- one, and many ---- */

#define KEY_SIZE (2 * LIMIT_NAME + 2)

static const char *key_of(const char *namespace, const char *name, char ret[KEY_SIZE])
{
	snprintf(ret, KEY_SIZE, "%s/%s", namespace, name);
	return ret;
}

/* What a list has the server has selected, what is heard of it has not. */
static int select_one(struct getting *g, const struct view *view, bool *ret, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	char key[KEY_SIZE];

	*ret = true;
	if (g->selector == NULL || g->seen == NULL)
		return 0;
	if (view_intent(&intent, view, err) != 0)
		return -1;
	*ret = selector_holds(g->selector, intent);
	key_of(view->namespace, view->name, key);
	if (*ret && json_object_set_new(g->seen, key, json_true()) != 0)
		return error_no_memory(err);
	return 0;
}

static int show(struct getting *g, json_t *resource, struct error *err)
{
	struct view view;
	bool wanted;
	int rc = 0;

	if (view_read(&view, g->client, resource, err) != 0 ||
		select_one(g, &view, &wanted, err) != 0)
		return -1;
	if (!wanted)
		return 0;
	if (is_table(g))
		rc = show_row(g, &view, err);
	else if (g->output == OUTPUT_NAME)
		printf(VIEW_KIND "/%s\n", view.name);
	else
		rc = show_object(g, &view, err);
	g->n_shown++;
	if (g->is_one_by_one)
		fflush(stdout);
	return rc;
}

static int each_listed(json_t *resource, void *arg, struct error *err)
{
	return show(arg, resource, err);
}

static int show_list(struct getting *g, struct error *err)
{
	AUTO_FREE char *route = view_list_route(g->namespace, g->v->at[OPT_SELECTOR]);

	if (route == NULL)
		return error_no_memory(err);
	return client_list(g->client, route, "resources", each_listed, g, err);
}

static void finish(struct getting *g)
{
	if (is_table(g) && table_rows(g->table) > 0)
		table_print(g->table, stdout);
	end_list(g);
	fflush(stdout);
}

static void tell_none(const struct getting *g)
{
	view_tell_none(g->namespace);
}

static int get_list(struct getting *g)
{
	struct error err = ERROR_INIT;

	begin_list(g);
	if (show_list(g, &err) != 0) {
		/* What came before is shown; that it is not all, the status says. */
		if (is_table(g) && table_rows(g->table) > 0)
			table_print(g->table, stdout);
		return cli_failed(g->verb, &err);
	}
	finish(g);
	if (g->n_shown == 0 && (is_table(g) || g->output == OUTPUT_NAME))
		tell_none(g);
	return EXIT_OK;
}

/* Those that are there are shown, whatever the others are. */
static int get_names(struct getting *g)
{
	const struct cli_values *v = g->v;
	int status = EXIT_OK;

	for (size_t i = 0; i < v->n_arguments; i++) {
		CLEANUP(json_decrefp) json_t *resource = NULL;
		struct error err = ERROR_INIT;

		if (view_get(&resource, g->client, g->namespace, view_name(v->arguments[i]),
			    &err) == 0) {
			if (g->n_shown == 0)
				begin_list(g);
			if (show(g, resource, &err) == 0)
				continue;
		}
		status = cli_failed(g->verb, &err);
		if (err.code != ERROR_NOT_FOUND)
			break;
	}
	if (g->n_shown > 0)
		finish(g);
	return status;
}

/* ---- watching ---- */

static bool is_named(const struct getting *g, const char *name)
{
	const struct cli_values *v = g->v;

	for (size_t i = 0; i < v->n_arguments; i++)
		if (strcmp(view_name(v->arguments[i]), name) == 0)
			return true;
	return v->n_arguments == 0;
}

static int show_gone(struct getting *g, json_t *data, const char *what, struct error *err)
{
	const char *cells[] = {view_text(data, "namespace"), view_text(data, "name"), NULL, NULL,
		NULL, NULL, what, NULL, NULL, NULL, NULL};

	return is_table(g) ? add_row(g, cells, err) : 0;
}

/* As it is now: with all that the event does not tell. */
static int show_changed(struct getting *g, json_t *data, struct error *err)
{
	AUTO_FREE char *route =
		client_route(view_text(data, "namespace"), "/%s", view_text(data, "name"));
	CLEANUP(json_decrefp) json_t *resource = NULL;
	struct error why = ERROR_INIT;

	if (route == NULL)
		return error_no_memory(err);
	if (client_get(g->client, route, &resource, &why) == 0)
		return show(g, resource, err);
	if (why.code == ERROR_NOT_FOUND)
		return 0; /* deleted meanwhile: the next event says so */
	*err = why;
	return -1;
}

static bool is_seen(const struct getting *g, json_t *data)
{
	char key[KEY_SIZE];

	return g->selector == NULL ||
	       json_object_get(g->seen,
		       key_of(view_text(data, "namespace"), view_text(data, "name"), key)) != NULL;
}

static const char *gone_of(const char *event, json_t *data)
{
	json_t *status = json_object_get(data, "status");

	if (strcmp(event, "gone") == 0)
		return "gone";
	if (strcmp(view_text(data, "op"), "deleted") == 0)
		return "deleted";
	return strcmp(view_text(status, "phase"), "deleting") == 0 ? "deleting" : NULL;
}

static int show_event(struct getting *g, const char *event, json_t *data, struct error *err)
{
	const char *gone = gone_of(event, data);

	if (!is_named(g, view_text(data, "name")))
		return 0;
	if (gone != NULL)
		return is_seen(g, data) ? show_gone(g, data, gone, err) : 0;
	if (strcmp(event, "change") == 0 || strcmp(event, "phase") == 0)
		return show_changed(g, data, err);
	return 0;
}

static int show_now(struct getting *g, struct error *err)
{
	size_t before = g->n_shown;

	g->is_one_by_one = false;
	if (g->v->n_arguments > 0) {
		if (get_names(g) != EXIT_OK && g->n_shown == before)
			return error_set(err, ERROR_NOT_FOUND, "none of them is there");
	} else if (show_list(g, err) != 0) {
		return -1;
	}
	finish(g);
	g->is_one_by_one = true;
	return 0;
}

static bool each_event(const char *event, json_t *data, void *arg)
{
	struct getting *g = arg;
	bool is_first = strcmp(event, "hello") == 0 || strcmp(event, "reset") == 0;
	int rc = is_first ? show_now(g, &g->err) : show_event(g, event, data, &g->err);

	fflush(stdout);
	return rc == 0 && !ferror(stdout);
}

static int watch(struct getting *g)
{
	CLEANUP(json_decrefp) json_t *seen = json_object();
	AUTO_FREE char *route = str_printf("/api/v1/watch?namespace=%s", g->namespace);
	struct error err = ERROR_INIT;

	g->seen = seen;
	if (route == NULL || seen == NULL)
		error_no_memory(&err);
	else if (client_watch(g->client, route, 0, each_event, g, &err) == 0)
		err = g->err;
	if (err.code == ERROR_NONE)
		return EXIT_INTERRUPTED;
	return cli_failed(g->verb, &err);
}

/* ---- the verb ---- */

static enum output output_of(const char *value)
{
	static const char *const names[] = {[OUTPUT_TABLE] = "table",
		[OUTPUT_WIDE] = "wide",
		[OUTPUT_YAML] = "yaml",
		[OUTPUT_JSON] = "json",
		[OUTPUT_NAME] = "name"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(value, names[i]) == 0)
			return (enum output)i;
	return OUTPUT_TABLE; /* it is one of them: cli_option.values */
}

static int check(const struct cli_values *v, struct error *err)
{
	if (v->n_arguments > 0 && v->at[OPT_ALL] != NULL)
		return error_set(err, ERROR_INVALID,
			"a name belongs to one namespace: give -n, not --all-namespaces");
	if (v->n_arguments > 0 && v->at[OPT_SELECTOR] != NULL)
		return error_set(err, ERROR_INVALID, "give names or --selector, not both");
	return 0;
}

/* Wrong ones are told before the server is asked. */
static int read_selector(struct selector **ret, const struct cli_values *v, struct error *err)
{
	const char *text = v->at[OPT_SELECTOR];

	return text == NULL ? 0 : selector_parse(ret, slice_of(text), "--selector", err);
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(client_freep) struct client *client = NULL;
	CLEANUP(table_freep) struct table *table = NULL;
	CLEANUP(selector_freep) struct selector *selector = NULL;
	struct getting g = {.verb = verb, .v = v, .text = BUF_INIT(LIMIT_API_ANSWER)};
	struct error err = ERROR_INIT;
	int status;

	if (check(v, &err) != 0 || read_selector(&selector, v, &err) != 0 ||
		client_open(&client, v, &err) != 0)
		return cli_usage(verb, &err);
	g.client = client;
	g.selector = selector;
	g.namespace = v->at[OPT_ALL] != NULL ? CLIENT_ALL : client_namespace(client);
	g.output = output_of(v->at[OPT_OUTPUT]);
	g.is_list = v->n_arguments != 1 && v->at[OPT_WATCH] == NULL;
	table = table_new(
		columns + first_column(&g), g.output == OUTPUT_WIDE, v->at[OPT_NO_HEADERS] == NULL);
	if (table == NULL) {
		error_no_memory(&err);
		return cli_failed(verb, &err);
	}
	g.table = table;
	if (v->at[OPT_WATCH] != NULL)
		status = watch(&g);
	else
		status = v->n_arguments > 0 ? get_names(&g) : get_list(&g);
	buf_done(&g.text);
	return status;
}

const struct verb verb_get = {
	.name = "get",
	.summary = "Show resources and what became of them in the cluster. Those that are named, "
		   "else all "
		   "of the namespace.",
	.argument = "[NAME]...",
	.options = options,
	.run = run,
	.example = "gsq get\n"
		   "gsq get web db -o yaml\n"
		   "gsq get -A -l team=shop -o wide\n"
		   "gsq get -w\n"
		   "gsq get -o name | xargs gsq history\n",
	.completes_names = true,
};
