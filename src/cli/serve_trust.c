/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/reload.h"
#include "cli/serve.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAVE_USES_S 60
#define FIRST_TOKEN "admin"

/* ---- the first token ---- */

/* Where nobody can be anybody, and nobody has ever made a token. */
static bool needs_first_token(const struct serve_options *o)
{
	return o->oidc.issuer == NULL && !o->auth_kubernetes &&
	       o->auth.anonymous == ANONYMOUS_NONE && access(o->token_file, F_OK) != 0;
}

/* On standard output, which no log is: alone where a program reads it. */
static void show(const char *secret)
{
	if (isatty(STDOUT_FILENO))
		printf("\nThe first start: this token of an admin is shown once, and only its hash "
		       "is kept.\n\n    %s\n\nSend it as \"Authorization: Bearer ...\"; gsq token "
		       "makes others.\n\n",
			secret);
	else
		printf("%s\n", secret);
	fflush(stdout);
}

static int make_first_token(const struct serve_options *o, struct error *err)
{
	static const char *const everywhere[] = {AUTH_EVERYWHERE};
	const struct token_draft draft = {
		.name = FIRST_TOKEN,
		.role = ROLE_ADMIN,
		.n_namespaces = 1,
		.namespaces = everywhere,
	};
	char secret[TOKEN_SECRET_SIZE];

	if (!needs_first_token(o))
		return 0;
	mkdir(o->data_dir, 0777); /* with a remote registry it may not be there; else it is */
	if (token_create(o->token_file, &draft, secret, err) != 0)
		return error_wrap(err,
			"the first token cannot be kept: let --token-file name a place that can be "
			"written to, or make it with gsq token create");
	show(secret);
	OPENSSL_cleanse(secret, sizeof(secret));
	log_info("first token made", LOG_STR("name", FIRST_TOKEN), LOG_STR("file", o->token_file));
	return 0;
}

/* ---- what is open ---- */

/* In red where somebody looks. */
static void warn(const char *text)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\033[1;31mWARNING: %s\033[0m\n", text);
	else
		log_warn(text);
}

static void warn_of_openness(const struct serve_options *o)
{
	if (o->auth.anonymous == ANONYMOUS_WRITE)
		warn("--anonymous write: whoever reaches this server may change and delete "
		     "everything");
	if (o->auth.anonymous == ANONYMOUS_READ)
		warn("--anonymous read: whoever reaches this server may read everything");
	if (o->tls_certificate == NULL && o->insecure)
		warn("--insecure: without TLS whoever is on the way reads tokens, and can use "
		     "them");
}

/* ---- files that change ---- */

static void reload_tls(void *arg)
{
	struct trust *t = arg;
	struct error err = ERROR_INIT;

	if (http_tls_reload(t->tls, &err) == 0)
		log_info("certificate read");
	else
		log_error("certificate not taken over: the one before stays",
			LOG_STR("reason", err.text));
}

static void reload_auth(void *arg)
{
	struct trust *t = arg;

	auth_reload(t->auth);
}

static void save_uses(void *arg)
{
	struct trust *t = arg;

	auth_save_uses(t->auth);
}

static int watch_files(struct trust *t, const struct serve_options *o, struct error *err)
{
	const char *const tls[] = {o->tls_certificate, o->tls_key, NULL};
	const char *const auth[] = {o->token_file, o->auth.policy_file, NULL};

	if (reloader_new(&t->reloader, err) != 0)
		return -1;
	if (t->tls != NULL && reloader_add(t->reloader, tls, reload_tls, t, err) != 0)
		return -1;
	if (reloader_add(t->reloader, auth, reload_auth, t, err) != 0)
		return -1;
	reloader_every(t->reloader, SAVE_USES_S, save_uses, t);
	return reloader_start(t->reloader, err);
}

/* ---- life ---- */

int trust_start(struct trust *ret, const struct serve_options *o, const struct reviewer *reviewer,
	struct error *err)
{
	struct auth_options auth = o->auth;

	if (o->tls_certificate != NULL &&
		http_tls_new(&ret->tls, o->tls_certificate, o->tls_key, err) != 0)
		return -1;
	warn_of_openness(o);
	if (make_first_token(o, err) != 0)
		return -1;
	auth.token_file = o->token_file;
	auth.oidc = o->oidc.issuer == NULL ? NULL : &o->oidc;
	auth.reviewer = reviewer;
	auth.reviewer_identifies = o->auth_kubernetes;
	if (auth_new(&ret->auth, &auth, err) != 0)
		return -1;
	return watch_files(ret, o, err);
}

void trust_reload(struct trust *t)
{
	reloader_now(t->reloader);
}

void trust_stop(struct trust *t)
{
	reloader_free(TAKE_PTR(t->reloader));
	if (t->auth == NULL)
		return;
	auth_save_uses(t->auth);
	auth_stop(t->auth);
}

void trust_done(struct trust *t)
{
	auth_free(t->auth);
	http_tls_free(t->tls);
}
