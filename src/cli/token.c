/* SPDX-License-Identifier: Apache-2.0 */
/* API tokens: rows of a file, which a running server reads again by itself. */
#include "auth/tokens.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/timestamp.h"
#include "cli/backend.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/token_file.h"
#include "oci/digest.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>

#define US_PER_S 1000000

/* The same places in all three tables. */
enum { OPT_FILE, OPT_DATA_DIR, OPT_ROLE, OPT_NAMESPACE, OPT_EXPIRES };

static const struct cli_option create_options[] = {
	[OPT_FILE] = TOKEN_OPTION_FILE,
	[OPT_DATA_DIR] = BACKEND_OPTION_DATA_DIR,
	[OPT_ROLE] = {"role", NULL, "viewer|editor|admin|puller", NULL,
		"what it may do: viewer reads and pulls; editor changes and pushes too; admin may "
		"do everything; puller may only pull from the registry, for Flux",
		.values = "viewer|editor|admin|puller"},
	[OPT_NAMESPACE] = {"namespace", NULL, "NAME[,NAME]...", NULL,
		"the namespaces it is for, or '*' for all; not set: all for admin and puller, "
		"and an error for the others"},
	[OPT_EXPIRES] = {"expires", NULL, "DURATION|TIME", NULL,
		"when it ends: from now (90d), or a time (2027-01-31T12:00:00Z); not set: never"},
	{NULL},
};

static const struct cli_option file_options[] = {
	[OPT_FILE] = TOKEN_OPTION_FILE,
	[OPT_DATA_DIR] = BACKEND_OPTION_DATA_DIR,
	{NULL},
};

/* ---- create ---- */

static int read_role(enum auth_role *ret, const char *value, struct error *err)
{
	if (value == NULL)
		return error_set(
			err, ERROR_INVALID, "--role is missing: viewer, editor, admin or puller");
	if (role_parse(slice_of(value), ret))
		return 0;
	return error_set(err, ERROR_INVALID,
		"--role: \"%s\" is not one of viewer, editor, admin and puller", value);
}

/* The names, which lie in *ret_text. */
static int read_namespaces(struct token_draft *ret, const char ***ret_names, char **ret_text,
	const char *value, struct error *err)
{
	bool may_be_all = ret->role == ROLE_ADMIN || ret->role == ROLE_PULLER;
	size_t n = 0;
	char *rest;

	if (value == NULL && !may_be_all)
		return error_set(err, ERROR_INVALID,
			"--namespace is missing: name those the token is for, or '*' for all");
	*ret_text = slice_dup(slice_of(value != NULL ? value : AUTH_EVERYWHERE));
	if (*ret_text == NULL)
		return error_no_memory(err);
	*ret_names = calloc(strlen(*ret_text) + 1, sizeof(**ret_names));
	if (*ret_names == NULL)
		return error_no_memory(err);
	rest = *ret_text;
	while (rest != NULL)
		(*ret_names)[n++] = strsep(&rest, ",");
	ret->namespaces = *ret_names;
	ret->n_namespaces = n;
	return 0;
}

static int read_expires(uint64_t *ret_s, const char *value, struct error *err)
{
	uint64_t now_us = clock_realtime_us(), us, s;
	struct error why = ERROR_INIT;

	if (value == NULL)
		return 0;
	if (duration_parse(value, &s, &why) == 0)
		us = now_us + s * US_PER_S;
	else if (!timestamp_parse(slice_of(value), &us))
		return error_set(err, ERROR_INVALID,
			"--expires: \"%s\" is neither a duration like 90d nor a time like "
			"2027-01-31T12:00:00Z",
			value);
	if (us / US_PER_S <= now_us / US_PER_S)
		return error_set(err, ERROR_INVALID,
			"--expires: %s is not in the future; leave it out for a token that does "
			"not end",
			value);
	*ret_s = us / US_PER_S;
	return 0;
}

/* Alone on standard output, and past stdio's buffer, which would keep it. A token that nobody has
 * seen is of no use. */
static int show(const char *file, const struct token_draft *draft, char *secret, struct error *err)
{
	struct error ignored = ERROR_INIT;

	secret[TOKEN_SECRET_SIZE - 1] = '\n';
	if (file_write_all(STDOUT_FILENO, secret, TOKEN_SECRET_SIZE, err) == 0)
		return 0;
	if (token_revoke(file, draft->name, &ignored) != 0)
		return error_wrap(
			err, "revoke the token %s, for its secret was not shown", draft->name);
	return error_wrap(
		err, "there is no token %s, for its secret could not be shown", draft->name);
}

static void explain(const struct token_draft *draft, const char *namespaces)
{
	char when[TIMESTAMP_SIZE];

	fprintf(stderr,
		"gsq token create: %s has the role %s in %s and %s%s. Its secret is shown only "
		"now.\n",
		draft->name, role_name(draft->role),
		strcmp(namespaces, AUTH_EVERYWHERE) == 0 ? "all namespaces" : namespaces,
		draft->expires_s != 0 ? "ends at " : "does not end",
		draft->expires_s != 0 ? timestamp_format(draft->expires_s, when) : "");
}

static int create(const char *file, const struct token_draft *draft, struct error *err)
{
	char secret[TOKEN_SECRET_SIZE];
	int result;

	if (token_create(file, draft, secret, err) != 0)
		return -1;
	result = show(file, draft, secret, err);
	OPENSSL_cleanse(secret, sizeof(secret));
	return result;
}

static int run_create(const struct verb *verb, const char *file, const struct cli_values *v)
{
	struct token_draft draft = {.name = v->argument};
	AUTO_FREE const char **names = NULL;
	AUTO_FREE char *text = NULL;
	struct error err = ERROR_INIT;

	if (read_role(&draft.role, v->at[OPT_ROLE], &err) != 0 ||
		read_namespaces(&draft, &names, &text, v->at[OPT_NAMESPACE], &err) != 0 ||
		read_expires(&draft.expires_s, v->at[OPT_EXPIRES], &err) != 0)
		return cli_usage(verb, &err);
	if (create(file, &draft, &err) != 0)
		return cli_failed(verb, &err);
	explain(&draft, v->at[OPT_NAMESPACE] != NULL ? v->at[OPT_NAMESPACE] : AUTH_EVERYWHERE);
	return EXIT_OK;
}

/* ---- list ---- */

enum { COL_NAME, COL_ROLE, COL_NAMESPACES, COL_CREATED, COL_EXPIRES, COL_USED, COLUMNS_ };

static const struct table_column columns[] = {
	[COL_NAME] = {"NAME"},
	[COL_ROLE] = {"ROLE"},
	[COL_NAMESPACES] = {"NAMESPACES", .shrinks = true},
	[COL_CREATED] = {"CREATED"},
	[COL_EXPIRES] = {"EXPIRES"},
	[COL_USED] = {"LAST USED"},
	{NULL},
};

struct listing {
	struct table *table;
	struct error *err;
};

static char *join(size_t n, const char *const *words)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TOKEN_FILE);

	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(&text, ',');
		buf_puts(&text, words[i]);
	}
	return text.failed == ERROR_NONE ? buf_take(&text) : NULL;
}

#define WHEN_SIZE (TIMESTAMP_SIZE + 16)

static const char *when(uint64_t s, const char *after, char ret[WHEN_SIZE])
{
	char text[TIMESTAMP_SIZE];

	snprintf(ret, WHEN_SIZE, "%s%s", s != 0 ? timestamp_format(s, text) : "never", after);
	return ret;
}

static int add_row(const struct token_row *row, void *arg)
{
	bool expired = row->expires_s != 0 && row->expires_s <= clock_realtime_us() / US_PER_S;
	AUTO_FREE char *namespaces = join(row->n_namespaces, row->namespaces);
	char created[WHEN_SIZE], expires[WHEN_SIZE], used[WHEN_SIZE];
	struct listing *l = arg;
	const char *cells[COLUMNS_] = {
		[COL_NAME] = row->name,
		[COL_ROLE] = role_name(row->role),
		[COL_NAMESPACES] = namespaces,
		[COL_CREATED] = when(row->created_s, "", created),
		[COL_EXPIRES] = when(row->expires_s, expired ? " (expired)" : "", expires),
		[COL_USED] = when(row->used_s, "", used),
	};

	if (namespaces == NULL || table_add(l->table, cells) != 0)
		return error_no_memory(l->err);
	return 0;
}

static int list(struct table *table, const struct verb *verb, const char *file, struct error *err)
{
	struct listing l = {table, err};

	if (table == NULL)
		return error_no_memory(err);
	if (token_list(file, add_row, &l, err) != 0)
		return -1;
	if (table_rows(table) == 0)
		fprintf(stderr, "gsq %s: there are no tokens in %s\n", verb->name, file);
	else
		table_print(table, stdout);
	return 0;
}

static int run_list(const struct verb *verb, const char *file, const struct cli_values *v UNUSED)
{
	CLEANUP(table_freep) struct table *table = table_new(columns, false, true);
	struct error err = ERROR_INIT;

	signal(SIGPIPE, SIG_DFL); /* a list that nobody reads any more is over */
	return list(table, verb, file, &err) == 0 ? EXIT_OK : cli_failed(verb, &err);
}

/* ---- revoke ---- */

static int run_revoke(const struct verb *verb, const char *file, const struct cli_values *v)
{
	struct error err = ERROR_INIT;

	if (token_revoke(file, v->argument, &err) != 0)
		return cli_failed(verb, &err);
	return EXIT_OK;
}

/* ---- the verbs ---- */

static int run(const struct verb *verb, const struct cli_values *v,
	int (*with)(const struct verb *verb, const char *file, const struct cli_values *v))
{
	char file[TOKEN_FILE_SIZE];
	struct error err = ERROR_INIT;

	if (token_file_path(file, v->at[OPT_FILE], v->at[OPT_DATA_DIR], &err) != 0)
		return cli_usage(verb, &err);
	signal(SIGPIPE, SIG_IGN);
	digest_setup();
	return with(verb, file, v);
}

static int create_verb(const struct verb *verb, const struct cli_values *v)
{
	return run(verb, v, run_create);
}

static int list_verb(const struct verb *verb, const struct cli_values *v)
{
	return run(verb, v, run_list);
}

static int revoke_verb(const struct verb *verb, const struct cli_values *v)
{
	return run(verb, v, run_revoke);
}

static const struct verb verb_create = {
	.name = "token create",
	.summary = "Make an API token and print its secret, which is not shown again. "
		   "Only its hash is kept. A running server takes it within seconds.",
	.argument = "NAME",
	.options = create_options,
	.run = create_verb,
};

static const struct verb verb_list = {
	.name = "token list",
	.summary = "List the API tokens, with their roles and when they were last used.",
	.options = file_options,
	.run = list_verb,
};

static const struct verb verb_revoke = {
	.name = "token revoke",
	.summary = "End an API token. A running server refuses it within seconds, and closes the "
		   "watches it has open.",
	.argument = "NAME",
	.options = file_options,
	.run = revoke_verb,
};

static const struct verb *const verbs[] = {&verb_create, &verb_list, &verb_revoke, NULL};

const struct verb verb_token = {
	.name = "token",
	.summary = "Make, list and revoke API tokens.",
	.verbs = verbs,
};
