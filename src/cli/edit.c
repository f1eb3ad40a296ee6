/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edits a resource as it is in an editor, and sends it where nobody else has changed it meanwhile.
 * What cannot be taken is shown to the editor again, with the reason.
 */
#include "base/file.h"
#include "cli/change.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "cli/wait.h"
#include "intent/document.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define HEAD \
	"# Please edit the resource below. Lines that begin with # are ignored, and an empty\n" \
	"# file leaves everything as it is. What cannot be saved is shown again, with the\n" \
	"# reason.\n" \
	"#\n"
#define ERROR_COLUMNS 76

enum { OPT_REASON = CLIENT_OPTIONS_, OPT_WAIT, OPT_TIMEOUT };

static const struct cli_option options[] = {
	CLIENT_OPTION_ROWS,
	[OPT_REASON] = CHANGE_OPTION_REASON,
	[OPT_WAIT] = WAIT_OPTION_WAIT,
	[OPT_TIMEOUT] = WAIT_OPTION_TIMEOUT,
	{NULL},
};

struct editing {
	const struct cli_values *v;
	struct client *client;
	const char *name;
	char *folder, *file; /* ours alone */
	struct intent *old;
	char etag[64];  /* of the version that is edited */
	char saved[64]; /* the version that was made of it; "": none */
	bool keeps;     /* the file stays, as it has what somebody wrote */
};

/* ---- the resource ---- */

static int fetch(struct editing *e, struct error *err)
{
	AUTO_FREE char *route = client_route(client_namespace(e->client), "/%s", e->name);
	CLEANUP(client_call_done) struct client_call call = {.method = "GET", .route = route};
	struct view view;

	if (route == NULL)
		return error_no_memory(err);
	if (!intent_name_ok(slice_of(e->name)))
		return view_not_there(e->client, client_namespace(e->client), e->name, err);
	if (client_run(e->client, &call, err) != 0)
		return err->code == ERROR_NOT_FOUND
			       ? view_not_there(
					 e->client, client_namespace(e->client), e->name, err)
			       : -1;
	if (call.etag[0] == '\0')
		return client_not_understood(e->client, err);
	memcpy(e->etag, call.etag, sizeof(e->etag));
	if (view_read(&view, e->client, call.json, err) != 0)
		return -1;
	return view_intent(&e->old, &view, err);
}

static int put(struct editing *e, const struct intent *new, struct error *err)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_API_BODY);
	AUTO_FREE char *route = client_route(client_namespace(e->client), "/%s", e->name);
	AUTO_FREE char *match = str_printf("If-Match: \"%s\"", e->etag);
	const char *why = e->v->at[OPT_REASON];
	AUTO_FREE char *reason = change_reason_header(why != NULL ? why : "");
	CLEANUP(client_call_done)
	struct client_call call = {.method = "PUT", .route = route, .headers = {match}};

	if (route == NULL || match == NULL || reason == NULL)
		return error_no_memory(err);
	if (why != NULL)
		call.headers[1] = reason;
	change_add_resource(&body, new, false);
	if (buf_check(&body, err) != 0)
		return -1;
	call.body = buf_slice(&body);
	if (client_run(e->client, &call, err) != 0)
		return -1;
	snprintf(e->saved, sizeof(e->saved), "%s", view_text(call.json, "version"));
	return 0;
}

/* ---- the file ---- */

static int make_folder(struct editing *e, struct error *err)
{
	const char *tmp = getenv("TMPDIR");

	e->folder = str_printf("%s/gsq-edit-XXXXXX", tmp != NULL && *tmp != '\0' ? tmp : "/tmp");
	if (e->folder == NULL)
		return error_no_memory(err);
	if (mkdtemp(e->folder) == NULL) {
		error_set_errno(err, errno, "cannot make the folder %s", e->folder);
		free(TAKE_PTR(e->folder));
		return -1;
	}
	e->file = str_printf("%s/%s.yaml", e->folder, e->name);
	return e->file != NULL ? 0 : error_no_memory(err);
}

/* In lines that are comments. */
static void add_comment(struct buf *b, const char *text)
{
	struct slice rest = slice_of(text);
	size_t column = 0;

	while (rest.p != NULL) {
		struct slice word = slice_cut(&rest, ' ');

		if (column == 0 || column + 1 + word.n > ERROR_COLUMNS) {
			buf_puts(b, column == 0 ? "#" : "\n#");
			column = 0;
		}
		buf_putc(b, ' ');
		buf_add(b, word);
		column += 1 + word.n;
	}
	buf_puts(b, "\n#\n");
}

/* why NULL: nothing is wrong yet. */
static int write_file(
	const struct editing *e, struct slice text, const struct error *why, struct error *err)
{
	CLEANUP(buf_done) struct buf all = BUF_INIT(LIMIT_INPUT_FILE);
	AUTO_CLOSE int fd = -1;

	AN(e->file);
	buf_puts(&all, HEAD);
	if (why != NULL)
		add_comment(&all, why->text);
	buf_add(&all, text);
	if (buf_check(&all, err) != 0)
		return -1;
	fd = open(e->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot write %s", e->file);
	return file_write_all(fd, all.data, all.len, err);
}

/* Without the lines at its beginning that are comments: ours, which are not to pile up. */
static struct slice without_head(struct slice text)
{
	while (text.n > 0 && text.p[0] == '#')
		(void)slice_cut(&text, '\n');
	return text.p != NULL ? text : SLICE("");
}

static bool is_empty(struct slice text)
{
	while (text.p != NULL) {
		struct slice line = slice_trim(slice_cut(&text, '\n'));

		if (line.n > 0 && line.p[0] != '#' && line.p[0] != '\r')
			return false;
	}
	return true;
}

/* Not where it has what somebody wrote, and nobody took. */
static void clean_up(struct editing *e)
{
	if (e->file != NULL && !e->keeps)
		unlink(e->file);
	if (e->folder != NULL && !e->keeps)
		rmdir(e->folder); /* not where the editor has left something */
	free(e->file);
	free(e->folder);
	intent_unref(e->old);
}

/* ---- the editor ---- */

static const char *editor(void)
{
	static const char *const names[] = {"KUBE_EDITOR", "VISUAL", "EDITOR"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value = getenv(names[i]);

		if (value != NULL && *value != '\0')
			return value;
	}
	return "vi";
}

/* Of the shell's, as it may have options. */
static void run_editor(const char *command, const char *file)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	execl("/bin/sh", "sh", "-c", command, "sh", file, (char *)NULL);
	_exit(127);
}

/* Ctrl-C is the editor's while it runs. */
static int open_editor(const struct editing *e, struct error *err)
{
	AUTO_FREE char *command = str_printf("%s \"$1\"", editor());
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct sigaction interrupt, quit;
	int status = 0;
	pid_t pid;

	if (command == NULL)
		return error_no_memory(err);
	fflush(NULL);
	AZ(sigaction(SIGINT, &ignore, &interrupt));
	AZ(sigaction(SIGQUIT, &ignore, &quit));
	pid = fork();
	if (pid == 0)
		run_editor(command, e->file);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	AZ(sigaction(SIGINT, &interrupt, NULL));
	AZ(sigaction(SIGQUIT, &quit, NULL));
	if (pid < 0)
		return error_set_errno(err, errno, "cannot start the editor");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return error_set(err, ERROR_INVALID,
		"the editor \"%s\" failed, so nothing is changed; KUBE_EDITOR, VISUAL or EDITOR "
		"names another",
		editor());
}

/* ---- what was written ---- */

static int take_intent(struct intent *intent, const struct document_place *place UNUSED, void *arg,
	struct error *err)
{
	struct intent **ret = arg;

	if (*ret != NULL)
		return error_set(err, ERROR_INVALID, "there is more than one resource: leave one");
	*ret = intent_ref(intent);
	return 0;
}

static int parse(const struct editing *e, struct slice text, struct intent **ret, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *new = NULL;
	const char *namespace = client_namespace(e->client);
	struct document_options from = {
		.format = DOCUMENT_YAML, .namespace = namespace, .only = namespace, .max = 2};

	if (document_read(text, &from, take_intent, &new, err) != 0)
		return -1;
	if (new == NULL)
		return error_set(err, ERROR_INVALID, "there is no resource any more");
	if (strcmp(new->name, e->name) != 0)
		return error_set_field(err, "metadata.name",
			"metadata.name must stay %s: another name is another resource, for gsq "
			"apply",
			e->name);
	*ret = TAKE_PTR(new);
	return 0;
}

/* Not by writing otherwise. */
static bool is_for_good(const struct error *err)
{
	switch (err->code) {
	case ERROR_INVALID:
	case ERROR_UNPROCESSABLE:
	case ERROR_TOO_LARGE:
	case ERROR_DENIED:
	case ERROR_CONFLICT:
		return false;
	default:
		return true;
	}
}

/* Who it was that came first, where that can be told. */
static void explain_newer(const struct editing *e, struct error *err)
{
	const char *namespace = client_namespace(e->client);
	AUTO_FREE char *route = client_route(namespace, "/%s/history?limit=1", e->name);
	CLEANUP(json_decrefp) json_t *history = NULL;
	struct error ignored = ERROR_INIT;
	json_t *newest = NULL;
	const char *who;
	char age[AGE_SIZE];

	if (route != NULL && client_get(e->client, route, &history, &ignored) == 0)
		newest = json_array_get(json_object_get(history, "history"), 0);
	if (newest == NULL) {
		error_set(err, ERROR_PRECONDITION,
			"somebody else has changed %s/%s meanwhile, so yours is not saved",
			namespace, e->name);
		return;
	}
	who = view_text(newest, "who");
	error_set(err, ERROR_PRECONDITION,
		"%s %s %s/%s %s ago, to %s, while you edited %s, so yours is not saved",
		who[0] != '\0' ? who : "somebody",
		strcmp(view_text(newest, "operation"), "delete") == 0 ? "has deleted"
								      : "has changed",
		namespace, e->name, terminal_age(view_text(newest, "at"), age),
		view_text(newest, "version"), e->etag);
}

/* 0: it is over, well. -1 of the first err that is for the editor to see again: *ret_again. */
static int save(struct editing *e, struct slice text, bool *ret_again, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *new = NULL;

	*ret_again = true;
	if (parse(e, text, &new, err) != 0)
		return -1;
	AN(new);
	if (intent_eq(new, e->old)) {
		fputs("Edit cancelled, no changes made.\n", stderr);
		return 0;
	}
	if (put(e, new, err) == 0) {
		printf(VIEW_KIND "/%s edited\n", e->name);
		return 0;
	}
	*ret_again = !is_for_good(err);
	if (err->code == ERROR_PRECONDITION)
		explain_newer(e, err);
	return -1;
}

/* ---- the verb ---- */

static int keep(struct editing *e, struct error *err)
{
	struct error why = *err;

	e->keeps = true;
	return error_set(err, why.code,
		"%.300s. What you wrote is in %s: see gsq diff -f, then gsq "
		"apply -f",
		why.text, e->file);
}

static bool is_same(struct slice written, const struct buf *before)
{
	return before->data != NULL && slice_eq(written, buf_slice(before));
}

static int edit(struct editing *e, struct error *err)
{
	CLEANUP(buf_done) struct buf before = BUF_INIT(LIMIT_INPUT_FILE);
	struct error why = ERROR_INIT;

	intent_write_yaml(e->old, &before);
	if (buf_check(&before, err) != 0)
		return -1;
	for (;;) {
		CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_INPUT_FILE);
		struct slice written;
		bool again;

		if (write_file(e, buf_slice(&before), why.code != ERROR_NONE ? &why : NULL, err) !=
				0 ||
			open_editor(e, err) != 0 || file_read(e->file, &text, err) != 0)
			return -1;
		written = without_head(buf_slice(&text));
		if (is_empty(written)) {
			fputs("Edit cancelled, saved file was empty.\n", stderr);
			return 0;
		}
		/* Twice the same is wrong twice. */
		if (why.code != ERROR_NONE && is_same(written, &before)) {
			*err = why;
			error_wrap(err, "Edit cancelled, no valid changes were saved");
			return keep(e, err);
		}
		if (save(e, buf_slice(&text), &again, &why) == 0)
			return 0;
		if (!again) {
			*err = why;
			return keep(e, err);
		}
		buf_reset(&before);
		buf_add(&before, written);
	}
}

static int wait_for(const struct verb *verb, const struct editing *e)
{
	struct wait_item item = {
		.namespace = client_namespace(e->client), .name = e->name, .version = e->saved};

	fflush(stdout);
	return wait_run(verb, e->client, e->v, OPT_TIMEOUT, &item, 1);
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(client_freep) struct client *client = NULL;
	struct editing e = {.v = v, .name = view_name(v->argument)};
	struct error err = ERROR_INIT;
	int rc;

	if (change_check(v, OPT_WAIT, OPT_TIMEOUT, OPT_REASON, &err) != 0 ||
		client_open(&client, v, &err) != 0)
		return cli_usage(verb, &err);
	e.client = client;
	rc = fetch(&e, &err);
	if (rc == 0)
		rc = make_folder(&e, &err);
	if (rc == 0)
		rc = edit(&e, &err);
	clean_up(&e);
	if (rc != 0)
		return cli_failed(verb, &err);
	return v->at[OPT_WAIT] != NULL && e.saved[0] != '\0' ? wait_for(verb, &e) : EXIT_OK;
}

const struct verb verb_edit = {
	.name = "edit",
	.summary =
		"Edit a resource, as YAML, in the editor that KUBE_EDITOR, VISUAL or EDITOR names, "
		"else vi. It is saved only where nobody else has changed it meanwhile.",
	.argument = "NAME",
	.options = options,
	.run = run,
	.example = "gsq edit web\n"
		   "KUBE_EDITOR='code --wait' gsq edit web -n shop\n",
	.completes_names = true,
};
