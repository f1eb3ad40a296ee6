/* SPDX-License-Identifier: Apache-2.0 */
/* Writes resources as files that apply takes back, without anything that the server puts there. */
#include "base/file.h"
#include "catalog/record.h"
#include "cli/listing.h"
#include "cli/verbs.h"
#include "cli/view.h"
#include "intent/document.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPT_ALL = CLIENT_OPTIONS_, OPT_SELECTOR, OPT_REVISION, OPT_FORCE };

static const struct cli_option options[] = {
	CLIENT_OPTION_ROWS,
	[OPT_ALL] = VIEW_OPTION_ALL_NAMESPACES,
	[OPT_SELECTOR] = VIEW_OPTION_SELECTOR,
	[OPT_REVISION] = {.flag = "revision",
		.argument = "REVISION",
		.help = "as they were at that revision, c1764005082123456: see gsq log"},
	[OPT_FORCE] = {.flag = "force",
		.help = "into a folder that is not empty: files of the same names are replaced, "
			"others stay"},
	{NULL},
};

struct exporting {
	struct client *client;
	const char *folder;             /* NULL: one stream on standard output */
	char namespace[LIMIT_NAME + 1]; /* whose folder is made */
	size_t n;
	struct buf text;
};

/* ---- folders ---- */

static int make_folder(const char *path, struct error *err)
{
	if (mkdir(path, 0777) == 0 || errno == EEXIST)
		return 0;
	return error_set_errno(err, errno, "cannot make the folder %s", path);
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* What is there already would be taken for a part of it. */
static int check_empty(const char *path, struct error *err)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool empty = true;

	if (dir == NULL)
		return error_set_errno(err, errno, "cannot read the folder %s", path);
	while (empty && (entry = readdir(dir)) != NULL)
		empty = is_dot(entry->d_name);
	closedir(dir);
	if (empty)
		return 0;
	return error_set(err, ERROR_CONFLICT,
		"the folder %s is not empty: name a new one, or give --force", path);
}

static int enter_namespace(struct exporting *e, const char *namespace, struct error *err)
{
	AUTO_FREE char *path = str_printf("%s/%s", e->folder, namespace);

	if (strcmp(e->namespace, namespace) == 0)
		return 0;
	if (path == NULL)
		return error_no_memory(err);
	if (make_folder(path, err) != 0)
		return -1;
	snprintf(e->namespace, sizeof(e->namespace), "%s", namespace);
	return 0;
}

/* ---- one resource ---- */

static int write_file(struct exporting *e, const struct intent *intent, struct error *err)
{
	AUTO_FREE char *path =
		str_printf("%s/%s/%s.yaml", e->folder, intent->namespace, intent->name);
	AUTO_CLOSE int fd = -1;

	if (path == NULL)
		return error_no_memory(err);
	if (enter_namespace(e, intent->namespace, err) != 0)
		return -1;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot write %s", path);
	if (file_write_all(fd, e->text.data, e->text.len, err) != 0)
		return error_wrap(err, "%s", path);
	return 0;
}

static void write_stream(const struct exporting *e)
{
	if (e->n > 0)
		fputs("---\n", stdout);
	fwrite(e->text.data, 1, e->text.len, stdout);
}

static int each(json_t *resource, void *arg, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct exporting *e = arg;
	struct view view;

	if (view_read(&view, e->client, resource, err) != 0 ||
		view_intent(&intent, &view, err) != 0)
		return -1;
	buf_reset(&e->text);
	intent_write_yaml(intent, &e->text);
	if (buf_check(&e->text, err) != 0)
		return -1;
	if (e->folder == NULL)
		write_stream(e);
	else if (write_file(e, intent, err) != 0)
		return -1;
	e->n++;
	return 0;
}

/* ---- the verb ---- */

static char *route_of(const struct cli_values *v, const char *namespace)
{
	const char *revision = v->at[OPT_REVISION];

	if (revision == NULL)
		return view_list_route(namespace, v->at[OPT_SELECTOR]);
	if (client_is_all(namespace))
		return str_printf("/api/v1/revisions/%s/resources", revision);
	return str_printf("/api/v1/namespaces/%s/revisions/%s/resources", namespace, revision);
}

/* Whoever names a resource wants it, and no folder that is called so. */
static int check_no_name(struct exporting *e, struct error *err)
{
	CLEANUP(json_decrefp) json_t *resource = NULL;
	const char *namespace = client_namespace(e->client), *name = view_name(e->folder);
	AUTO_FREE char *route = client_route(namespace, "/%s", name);
	struct error ignored = ERROR_INIT;

	if (route == NULL)
		return error_no_memory(err);
	if (access(e->folder, F_OK) == 0 || !intent_name_ok(slice_of(name)) ||
		client_get(e->client, route, &resource, &ignored) != 0)
		return 0;
	return error_set(err, ERROR_INVALID,
		"%s is a resource, and a folder is to be named here: %s get %s -o yaml writes one "
		"resource, and ./%s is the folder",
		name, cli_program(), name, name);
}

static int export(struct exporting *e, const struct cli_values *v, struct error *err)
{
	const char *namespace = v->at[OPT_ALL] != NULL ? CLIENT_ALL : client_namespace(e->client);
	AUTO_FREE char *route = route_of(v, namespace);

	if (route == NULL)
		return error_no_memory(err);
	if (e->folder != NULL && check_no_name(e, err) != 0)
		return -1;
	if (e->folder != NULL && make_folder(e->folder, err) != 0)
		return -1;
	if (e->folder != NULL && v->at[OPT_FORCE] == NULL && check_empty(e->folder, err) != 0)
		return -1;
	if (client_list(e->client, route, "resources", each, e, err) == 0)
		return 0;
	if (e->n > 0)
		return error_wrap(err, "not all is exported, only the first %zu", e->n);
	return v->at[OPT_REVISION] != NULL ? listing_explain_revision(v->at[OPT_REVISION], err)
					   : -1;
}

static int check(const struct cli_values *v, struct error *err)
{
	uint64_t version;

	if (v->at[OPT_REVISION] != NULL &&
		!record_tag_parse(slice_of(v->at[OPT_REVISION]), &version))
		return error_set(err, ERROR_INVALID,
			"--revision: %s is no revision as gsq log names them, c1764005082123456",
			v->at[OPT_REVISION]);
	if (v->at[OPT_REVISION] != NULL && v->at[OPT_SELECTOR] != NULL)
		return error_set(err, ERROR_INVALID, "give --revision or --selector, not both");
	return 0;
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(client_freep) struct client *client = NULL;
	struct exporting e = {.text = BUF_INIT(LIMIT_INTENT_YAML)};
	struct error err = ERROR_INIT;
	int rc;

	if (check(v, &err) != 0 || client_open(&client, v, &err) != 0)
		return cli_usage(verb, &err);
	e.client = client;
	if (v->argument != NULL && strcmp(v->argument, "-") != 0)
		e.folder = v->argument;
	rc = export(&e, v, &err);
	buf_done(&e.text);
	fflush(stdout);
	if (rc != 0)
		return cli_failed(verb, &err);
	if (e.n == 0)
		view_tell_none(v->at[OPT_ALL] != NULL ? CLIENT_ALL : client_namespace(client));
	else if (e.folder != NULL)
		printf("%zu resource%s exported to %s: %s apply -R -f %s takes them back\n", e.n,
			e.n == 1 ? "" : "s", e.folder, cli_program(), e.folder);
	return EXIT_OK;
}

const struct verb verb_export = {
	.name = "export",
	.summary =
		"Write resources as YAML, a file NAMESPACE/NAME.yaml for each in a new folder, or "
		"one stream on standard output. gsq apply -R -f takes both back, and nothing is "
		"changed by that.",
	.argument = "[DIR|-]",
	.options = options,
	.run = run,
	.example = "gsq export -A backup/\n"
		   "gsq export -n shop | gsq apply --server https://other.example -f -\n"
		   "gsq export -A --revision c1764005082123456 then/\n",
};
