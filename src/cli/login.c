/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a server, and the token that says who we are there, as the current context. */
#include "base/file.h"
#include "cli/client_internal.h"
#include "cli/config.h"
#include "cli/interrupt.h"
#include "http/uri.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <termios.h>

enum { OPT_NAME, OPT_BEARER_FILE, OPT_NAMESPACE, OPT_CA, OPT_INSECURE };

static const struct cli_option options[] = {
	[OPT_NAME] = {"name", NULL, "NAME", NULL,
		"what gsq context calls it; not set: the host of the URL"},
	[OPT_BEARER_FILE] = {"bearer-file", NULL, "FILE|-", NULL,
		"file with the token, or - for standard input; not set: asked for on a terminal",
		.is_file = true},
	[OPT_NAMESPACE] = {"namespace", NULL, "NAMESPACE", NULL,
		"of the resources, where none is named; not set: default", .letter = 'n'},
	[OPT_CA] = {"server-ca", NULL, "FILE", NULL,
		"PEM file of the authority that signed the server's certificate", .is_file = true},
	[OPT_INSECURE] = {"insecure", NULL, NULL, NULL,
		"send the token over http:// to another machine"},
	{NULL},
};

/* ---- the token ---- */

/* A line of the terminal, or -1: interrupted. The signal is let through in the wait alone, so that
 * it does not come between a look for it and the read. */
static int read_line(const char *url, struct buf *ret)
{
	struct pollfd typed = {.fd = STDIN_FILENO, .events = POLLIN};
	char line[LIMIT_CREDENTIAL];
	sigset_t interrupts, before;
	ssize_t n = -1;

	AZ(sigemptyset(&interrupts));
	AZ(sigaddset(&interrupts, SIGINT));
	AZ(sigprocmask(SIG_BLOCK, &interrupts, &before));
	fprintf(stderr, "Token for %s (empty: none): ", url);
	if (ppoll(&typed, 1, NULL, &before) > 0)
		n = read(STDIN_FILENO, line, sizeof(line));
	AZ(sigprocmask(SIG_SETMASK, &before, NULL));
	if (n > 0)
		buf_append(ret, line, (size_t)n);
	explicit_bzero(line, sizeof(line));
	return interrupt_came() ? -1 : 0;
}

/* Not shown while it is typed; Ctrl-C leaves the terminal as it was. -1: interrupted. */
static int ask(const char *url, struct buf *ret)
{
	struct interrupt interrupt;
	struct termios before, silent;
	int result;

	if (tcgetattr(STDIN_FILENO, &before) != 0)
		return 0;
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	interrupt_begin(&interrupt);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	result = read_line(url, ret);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	interrupt_end(&interrupt);
	fputc('\n', stderr);
	return result;
}

static int read_file(const char *file, struct buf *ret, struct error *err)
{
	int result = strcmp(file, "-") == 0 ? file_read_fd(STDIN_FILENO, "standard input", ret, err)
					    : file_read(file, ret, err);

	return result == 0 ? 0 : error_wrap(err, "--bearer-file");
}

/* Cuts the end of the line off; there is one line, and nothing but a token in it. */
static int check_token(struct buf *token, bool is_needed, struct error *err)
{
	while (token->len > 0 && strchr(" \t\r\n", token->data[token->len - 1]) != NULL)
		token->data[--token->len] = '\0';
	for (size_t i = 0; i < token->len; i++)
		if (token->data[i] <= ' ' || token->data[i] > '~')
			return error_set(err, ERROR_INVALID,
				"that is no token: it is one line without spaces");
	if (is_needed && token->len == 0)
		return error_set(err, ERROR_INVALID, "--bearer-file: there is no token in it");
	return 0;
}

/* ---- the context ---- */

static int name_of(const char *url, char **ret, struct error *err)
{
	struct http_url parsed;

	if (http_url_parse(&parsed, url, err) != 0)
		return -1;
	if (parsed.port == (parsed.https ? 443 : 80))
		*ret = slice_dup(parsed.host);
	else
		*ret = str_printf("%.*s:%u", SLICE_ARG(parsed.host), parsed.port);
	return *ret != NULL ? 0 : error_no_memory(err);
}

/* Later calls come from other folders. */
static int absolute(const char *file, char **ret, struct error *err)
{
	if (file == NULL)
		return 0;
	*ret = realpath(file, NULL);
	if (*ret == NULL)
		return error_set_errno(err, errno, "--server-ca: cannot find %s", file);
	return 0;
}

/* Whoever is known and may do nothing here may do something elsewhere. */
static int try_it(const struct context *context, struct error *err)
{
	CLEANUP(client_freep) struct client *client = NULL;
	CLEANUP(json_decrefp) json_t *answer = NULL;
	AUTO_FREE char *route = NULL;

	if (client_open_context(&client, context, err) != 0)
		return -1;
	route = client_route(client_namespace(client), "?limit=1");
	if (route == NULL)
		return error_no_memory(err);
	if (client_get(client, route, &answer, err) != 0) {
		if (err->code != ERROR_DENIED || context->token == NULL)
			return -1;
		fprintf(stderr, "gsq login: the server knows you, but: %s\n", err->text);
		return 0;
	}
	return json_is_array(json_object_get(answer, "resources"))
		       ? 0
		       : client_not_understood(client, err);
}

static int keep(const struct context *context, struct error *err)
{
	CLEANUP(config_done) struct config config = {.lock = -1};

	if (config_lock(&config, err) != 0 || config_put(&config, context, err) != 0)
		return -1;
	return config_save(&config, err);
}

/* ---- the verb ---- */

static int read_options(struct context *ret, const struct cli_values *v, struct error *err)
{
	if (name_of(v->argument, &ret->name, err) != 0)
		return -1;
	if (v->at[OPT_NAME] != NULL) {
		free(ret->name);
		ret->name = slice_dup(slice_of(v->at[OPT_NAME]));
		if (ret->name == NULL)
			return error_no_memory(err);
	}
	if (context_name_check(ret->name, err) != 0)
		return error_wrap(err, "--name");
	ret->server = (char *)v->argument;
	ret->namespace = (char *)v->at[OPT_NAMESPACE]; /* client_open_context() looks at it */
	ret->insecure = v->at[OPT_INSECURE] != NULL;
	return absolute(v->at[OPT_CA], &ret->ca, err);
}

static int log_in(const struct verb *verb, struct context *context, const char *bearer_file)
{
	CLEANUP(buf_wipe) struct buf token = BUF_INIT(LIMIT_CREDENTIAL);
	struct error err = ERROR_INIT;

	if (buf_room(&token, LIMIT_CREDENTIAL) == NULL) {
		error_no_memory(&err);
		return cli_failed(verb, &err);
	}
	if (bearer_file != NULL && read_file(bearer_file, &token, &err) != 0)
		return cli_usage(verb, &err);
	if (bearer_file == NULL && isatty(STDIN_FILENO) && ask(context->server, &token) != 0)
		return cli_interrupted(verb, "nothing is kept");
	if (check_token(&token, bearer_file != NULL, &err) != 0)
		return cli_usage(verb, &err);
	if (token.len > 0)
		context->token = token.data;
	if (try_it(context, &err) != 0)
		return err.code == ERROR_INVALID ? cli_usage(verb, &err) : cli_failed(verb, &err);
	if (keep(context, &err) != 0)
		return cli_failed(verb, &err);
	printf("logged in to %s: the context %s is current\n", context->server, context->name);
	return EXIT_OK;
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	struct context context = {0};
	struct error err = ERROR_INIT;
	int status;

	if (read_options(&context, v, &err) != 0)
		status = cli_usage(verb, &err);
	else
		status = log_in(verb, &context, v->at[OPT_BEARER_FILE]);
	free(context.name);
	free(context.ca);
	return status;
}

const struct verb verb_login = {
	.name = "login",
	.summary = "Remember a server and the token for it, after trying them, and make it the one "
		   "that other verbs speak to. A token is asked for on the terminal where no file "
		   "is given.",
	.argument = "URL",
	.options = options,
	.run = run,
	.example = "gsq login https://gsq.example.org --name prod -n shop\n"
		   "gsq login http://127.0.0.1:8080 --bearer-file token",
};
