/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/reload.h"
#include "cli/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAVE_USES_S 60
#define FIRST_TOKEN "admin"
#define FIRST_TOKEN_FILE "admin-token" /* in the data folder */

/* ---- the first token ---- */

/* Where nobody can be anybody, and nobody has ever made a token. */
static bool needs_first_token(const struct serve_options *o)
{
	return o->oidc.issuer == NULL && !o->auth_kubernetes &&
	       o->auth.anonymous == ANONYMOUS_NONE && access(o->token_file, F_OK) != 0;
}

static int print(const char *secret, struct error *err)
{
	char text[TOKEN_SECRET_SIZE + 256];
	int n = snprintf(text, sizeof(text),
		"\nThe first start: this token of an admin is shown once, and only its hash is "
		"kept.\n\n    %s\n\nSend it as \"Authorization: Bearer ...\"; gsq token makes "
		"others.\n\n",
		secret);
	int rc = file_write_all(STDOUT_FILENO, text, (size_t)n, err);

	OPENSSL_cleanse(text, sizeof(text));
	return rc;
}

/* In a new file, whatever is there under that name. */
static int keep(const char *path, const char *folder, const char *secret, struct error *err)
{
	AUTO_CLOSE int fd = -1;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "%s", path);
	if (file_write_all(fd, secret, strlen(secret), err) != 0 ||
		file_write_all(fd, "\n", 1, err) != 0 || file_sync(fd, err) != 0)
		return error_wrap(err, "%s", path);
	file_sync_dir(folder);
	return 0;
}

/* To who sits there; where nobody does, standard output is a log. */
static int hand_over(const struct serve_options *o, const char *secret, struct error *err)
{
	AUTO_FREE char *path = str_printf("%s/" FIRST_TOKEN_FILE, o->data_dir);
	int rc;

	if (path == NULL)
		return error_no_memory(err);
	rc = isatty(STDOUT_FILENO) ? print(secret, err) : keep(path, o->data_dir, secret, err);
	if (rc != 0)
		return error_wrap(err,
			"the first token is made, and cannot be handed over; make another with "
			"gsq token create");
	log_info("first token made", LOG_STR("name", FIRST_TOKEN),
		LOG_STR("token", isatty(STDOUT_FILENO) ? "standard output" : path));
	return 0;
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
	int rc;

	if (!needs_first_token(o))
		return 0;
	mkdir(o->data_dir, 0777); /* with a remote registry it may not be there; else it is */
	if (token_create(o->token_file, &draft, secret, err) != 0)
		return error_wrap(err,
			"the first token cannot be kept: let --token-file name a place that can be "
			"written to, or make it with gsq token create");
	rc = hand_over(o, secret, err);
	OPENSSL_cleanse(secret, sizeof(secret));
	return rc;
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
