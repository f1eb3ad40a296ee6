/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/remote_auth.h"

#include <jansson.h>
#include <stdio.h>

#include "base/clock.h"
#include "registry/credentials.h"
#include "registry/remote_internal.h"

#define TOKEN_DEFAULT_S 60 /* distribution's token specification */
#define TOKEN_LONGEST_S 86400

enum scheme { SCHEME_UNKNOWN, SCHEME_BASIC, SCHEME_BEARER };

struct token {
	struct token *next;
	struct remote_auth *auth;
	char *scope;
	char *header; /* "Authorization: Bearer ..." once it is there */
	uint64_t expires_ms;
	bool reread;             /* credentials were looked up anew for this fetch */
	struct request *waiting; /* while it is fetched: who wants it */
	struct request fetch;
	struct buf form; /* body of the fetch with an identity token */
};

struct remote_auth {
	struct remote *remote;
	struct credential_store *credentials;
	enum scheme scheme;
	struct http_challenge challenge; /* of SCHEME_BEARER */
	struct token *tokens;            /* oldest first */
	size_t n_tokens;
};

int remote_auth_new(struct remote_auth **ret, struct remote *remote, const char *docker_config,
	struct error *err)
{
	AUTO_FREE struct remote_auth *auth = calloc(1, sizeof(*auth));

	if (auth == NULL)
		return error_no_memory(err);
	auth->remote = remote;
	if (credential_store_new(&auth->credentials, docker_config, remote->location.host, err) !=
		0)
		return -1;
	*ret = TAKE_PTR(auth);
	return 0;
}

static void token_free(struct token *token)
{
	if (token == NULL)
		return;
	ASSERT(token->waiting == NULL);
	request_done(&token->fetch);
	buf_done(&token->form);
	free(token->scope);
	free(token->header);
	free(token);
}
DEFINE_CLEANUP(struct token, token_free);

void remote_auth_free(struct remote_auth *auth)
{
	if (auth == NULL)
		return;
	while (auth->tokens != NULL) {
		struct token *token = auth->tokens;

		auth->tokens = token->next;
		token_free(token);
	}
	credential_store_free(auth->credentials);
	free(auth);
}

/* ---- headers ---- */

static int set_header(char **header, const char *scheme, const char *value, struct error *err)
{
	char *line = str_printf("Authorization: %s%s", scheme, value);

	if (line == NULL)
		return error_no_memory(err);
	free(*header);
	*header = line;
	return 0;
}

static int set_basic(char **header, const struct credentials *c, struct error *err)
{
	CLEANUP(buf_done) struct buf value = BUF_INIT(4 * LIMIT_TOKEN);

	if (credentials_basic(c, &value, err) != 0)
		return -1;
	return set_header(header, "", value.data, err);
}

static int copy_header(char **header, const char *from, struct error *err)
{
	char *copy = strdup(from);

	if (copy == NULL)
		return error_no_memory(err);
	free(*header);
	*header = copy;
	return 0;
}

/* ---- the list of tokens ---- */

static struct token *find_token(struct remote_auth *auth, const char *scope)
{
	struct token *token = auth->tokens;

	while (token != NULL && strcmp(token->scope, scope) != 0)
		token = token->next;
	return token;
}

static void remove_token(struct remote_auth *auth, struct token *token)
{
	struct token **at = &auth->tokens;

	while (*at != token)
		at = &(*at)->next;
	*at = token->next;
	auth->n_tokens--;
	token_free(token);
}

/* The oldest that nobody waits for. */
static void remove_oldest(struct remote_auth *auth)
{
	struct token *token = auth->tokens;

	while (token != NULL && token->waiting != NULL)
		token = token->next;
	if (token != NULL)
		remove_token(auth, token);
}

static void on_fetch_ended(struct request *fetch, void *arg);

static struct token *add_token(struct remote_auth *auth, const char *scope)
{
	CLEANUP(token_freep) struct token *token = calloc(1, sizeof(*token));
	struct token **at = &auth->tokens;

	if (token == NULL)
		return NULL;
	token->auth = auth;
	buf_init(&token->form, 4 * LIMIT_TOKEN);
	request_init(&token->fetch, auth->remote);
	token->fetch.body_max = LIMIT_TOKEN;
	token->fetch.ended = on_fetch_ended;
	token->fetch.arg = token;
	token->scope = strdup(scope);
	if (token->scope == NULL)
		return NULL;
	if (auth->n_tokens >= LIMIT_TOKENS)
		remove_oldest(auth);
	while (*at != NULL)
		at = &(*at)->next;
	*at = token;
	auth->n_tokens++;
	return TAKE_PTR(token);
}

/* ---- fetching one ---- */

/* The scopes of a token are separated by spaces; a GET names each by itself. */
static void add_scopes(struct buf *url, const char *scope)
{
	struct slice rest = slice_of(scope);

	while (rest.n > 0) {
		buf_puts(url, "&scope=");
		http_encode(slice_cut(&rest, ' '), url);
	}
}

static int make_get(struct token *token, const struct credentials *c, struct error *err)
{
	const struct http_challenge *challenge = &token->auth->challenge;
	CLEANUP(buf_done) struct buf url = BUF_INIT(LIMIT_TOKEN);

	buf_printf(&url, "%s%cservice=", challenge->realm,
		strchr(challenge->realm, '?') == NULL ? '?' : '&');
	http_encode(slice_of(challenge->service), &url);
	add_scopes(&url, token->scope);
	if (buf_check(&url, err) != 0)
		return -1;
	token->fetch.method = "GET";
	token->fetch.send_body = false;
	token->fetch.content_type = NULL;
	free(TAKE_PTR(token->fetch.authorization));
	if (c->username != NULL && set_basic(&token->fetch.authorization, c, err) != 0)
		return -1;
	return request_url(&token->fetch, err, "%s", url.data);
}

/* OAuth2 (RFC 6749 section 6), as docker does it with an identity token. */
static int make_refresh(struct token *token, const struct credentials *c, struct error *err)
{
	const struct http_challenge *challenge = &token->auth->challenge;
	struct buf *form = &token->form;

	buf_reset(form);
	buf_puts(form, "grant_type=refresh_token&client_id=gsq&service=");
	http_encode(slice_of(challenge->service), form);
	buf_puts(form, "&scope=");
	http_encode(slice_of(token->scope), form);
	buf_puts(form, "&refresh_token=");
	http_encode(slice_of(c->identity_token), form);
	if (buf_check(form, err) != 0)
		return -1;
	token->fetch.method = "POST";
	token->fetch.send_body = true;
	token->fetch.body = buf_slice(form);
	token->fetch.content_type = "application/x-www-form-urlencoded";
	free(TAKE_PTR(token->fetch.authorization));
	return request_url(&token->fetch, err, "%s", challenge->realm);
}

static int make_fetch(struct token *token, struct error *err)
{
	struct remote_auth *auth = token->auth;
	const struct credentials *c;

	if (remote_check_url(auth->remote, auth->challenge.realm, err) != 0) {
		err->code = ERROR_UNAUTHORIZED;
		return error_wrap(err, "the token server");
	}
	if (credential_store_get(auth->credentials, &c, err) != 0)
		return -1;
	request_renew(&token->fetch);
	return c->identity_token != NULL ? make_refresh(token, c, err) : make_get(token, c, err);
}

/* ---- what the token server says ---- */

int remote_auth_parse_token(
	struct slice json, char **ret_token, unsigned *ret_expires_s, struct error *err)
{
	CLEANUP(json_decrefp)
	json_t *root = json_loadb(json.p == NULL ? "" : json.p, json.n, 0, NULL);
	const char *text = json_string_value(json_object_get(root, "token"));
	json_int_t expires_s = json_integer_value(json_object_get(root, "expires_in"));
	char *token;

	if (text == NULL || text[0] == '\0')
		text = json_string_value(json_object_get(root, "access_token"));
	/* It becomes a header: RFC 6750 allows none but these characters. */
	if (text == NULL || text[0] == '\0' ||
		text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789-._~+/=")] != '\0')
		return error_set(err, ERROR_UNAUTHORIZED, "the token server sent no token");
	token = strdup(text);
	if (token == NULL)
		return error_no_memory(err);
	if (expires_s <= 0)
		expires_s = TOKEN_DEFAULT_S;
	if (expires_s > TOKEN_LONGEST_S)
		expires_s = TOKEN_LONGEST_S;
	*ret_token = token;
	*ret_expires_s = (unsigned)expires_s;
	return 0;
}

/* Nine tenths of its time, so that it does not expire on the way. */
static int keep_token(struct token *token, struct error *err)
{
	const struct http_call *call = &token->fetch.call;
	AUTO_FREE char *text = NULL;
	unsigned expires_s;

	if (remote_auth_parse_token(buf_slice(&call->response_body), &text, &expires_s, err) != 0 ||
		set_header(&token->header, "Bearer ", text, err) != 0)
		return -1;
	token->expires_ms = call->started_ms + expires_s * 900u;
	return 0;
}

static int read_fetch(struct token *token, struct error *err)
{
	const struct request *fetch = &token->fetch;

	if (fetch->err.code == ERROR_NONE && fetch->call.status == 200)
		return keep_token(token, err);
	request_error(fetch, "asking for a token", err);
	if (fetch->err.code == ERROR_NONE && fetch->call.status < 500 && fetch->call.status != 429)
		error_set(err, ERROR_UNAUTHORIZED,
			"the token server answered %d for %s: check the credentials in docker's "
			"config.json (docker login)",
			fetch->call.status, token->auth->remote->location.host);
	return -1;
}

/* The token is not touched after the first request goes on, which may push it out of the list. */
static void answer_waiting(struct token *token, const struct error *err)
{
	struct request *waiting = TAKE_PTR(token->waiting), *req;

	for (req = waiting; req != NULL; req = req->next_waiting) {
		req->err = (struct error)ERROR_INIT;
		if (err != NULL)
			req->err = *err;
		else
			(void)copy_header(&req->authorization, token->header, &req->err);
	}
	if (err != NULL)
		remove_token(token->auth, token);
	while (waiting != NULL) {
		struct error own;

		req = waiting;
		waiting = TAKE_PTR(req->next_waiting);
		own = req->err;
		request_authorized(req, own.code == ERROR_NONE ? NULL : &own);
	}
}

static void start_fetch(struct token *token)
{
	struct error err = ERROR_INIT;

	if (make_fetch(token, &err) != 0)
		answer_waiting(token, &err);
	else
		request_start(&token->fetch, 0);
}

/* Credentials from a helper or a file may have been replaced since they were read: once more. */
static void on_fetch_ended(struct request *fetch, void *arg)
{
	struct token *token = arg;
	struct error err = ERROR_INIT;
	int status = fetch->call.status;
	bool had_credentials = fetch->authorization != NULL || fetch->send_body;
	bool refused = status == 400 || status == 401 || status == 403;

	if (refused && had_credentials && !token->reread) {
		token->reread = true;
		credential_store_forget(token->auth->credentials);
		start_fetch(token);
	} else if (read_fetch(token, &err) != 0) {
		answer_waiting(token, &err);
	} else {
		answer_waiting(token, NULL);
	}
}

/* ---- authorizing ---- */

static void authorize_bearer(struct remote_auth *auth, struct request *req)
{
	struct token *token = find_token(auth, req->scope);
	struct error err = ERROR_INIT;

	if (token == NULL)
		token = add_token(auth, req->scope);
	if (token == NULL) {
		error_no_memory(&err);
		request_authorized(req, &err);
	} else if (token->waiting != NULL) {
		req->next_waiting = token->waiting;
		token->waiting = req;
	} else if (token->header != NULL && clock_monotonic_ms() < token->expires_ms) {
		bool copied = copy_header(&req->authorization, token->header, &err) == 0;

		request_authorized(req, copied ? NULL : &err);
	} else {
		token->reread = false;
		token->waiting = req;
		start_fetch(token);
	}
}

static int authorize_basic(struct remote_auth *auth, struct request *req, struct error *err)
{
	const struct credentials *c;

	if (credential_store_get(auth->credentials, &c, err) != 0)
		return -1;
	if (c->username == NULL)
		return error_set(err, ERROR_UNAUTHORIZED,
			"the registry wants a password, and docker's config.json has none for %s: "
			"run docker login %s",
			auth->remote->location.host, auth->remote->location.host);
	return set_basic(&req->authorization, c, err);
}

void remote_auth_authorize(struct remote_auth *auth, struct request *req)
{
	struct error err = ERROR_INIT;

	free(TAKE_PTR(req->authorization));
	switch (auth->scheme) {
	case SCHEME_UNKNOWN:
		request_authorized(req, NULL);
		return;
	case SCHEME_BASIC:
		request_authorized(req, authorize_basic(auth, req, &err) == 0 ? NULL : &err);
		return;
	case SCHEME_BEARER:
		authorize_bearer(auth, req);
	}
}

/* ---- challenges ---- */

/* Each challenge may have a header of its own. */
static int read_challenge(
	struct http_challenge *ret, const struct http_call *call, struct error *err)
{
	CLEANUP(buf_done) struct buf all = BUF_INIT(LIMIT_HTTP_HEAD);
	struct slice rest = buf_slice(&call->response_headers), value;

	while ((value = http_header_next(&rest, "www-authenticate")).p != NULL) {
		if (all.len > 0)
			buf_puts(&all, ", ");
		buf_add(&all, value);
	}
	if (buf_check(&all, err) != 0 || http_challenge_parse(ret, buf_slice(&all), err) != 0)
		return error_wrap(err, "the registry's WWW-Authenticate");
	return 0;
}

/* A bearer token is preferred where both will do: it leaves the password with the token server. */
static int learn(struct remote_auth *auth, const struct http_call *call, struct error *err)
{
	struct http_challenge challenge;

	if (read_challenge(&challenge, call, err) != 0)
		return -1;
	if (challenge.bearer) {
		auth->scheme = SCHEME_BEARER;
		auth->challenge = challenge;
	} else if (challenge.basic) {
		auth->scheme = SCHEME_BASIC;
	} else {
		return error_set(err, ERROR_UNAUTHORIZED,
			"the registry answered 401 without a Basic or Bearer challenge");
	}
	return 0;
}

int remote_auth_challenge(struct remote_auth *auth, struct request *req, struct error *err)
{
	bool had_credentials = req->authorization != NULL;
	struct token *token;

	if (had_credentials ? req->refused : req->challenged)
		return error_set(err, ERROR_UNAUTHORIZED,
			"the registry refused what docker's config.json has for %s: run docker "
			"login %s, or ask for the right to push",
			auth->remote->location.host, auth->remote->location.host);
	if (learn(auth, &req->call, err) != 0) {
		err->code = err->code == ERROR_NO_MEMORY ? ERROR_NO_MEMORY : ERROR_UNAUTHORIZED;
		return -1;
	}
	req->challenged = true;
	if (!had_credentials)
		return 0;
	req->refused = true;
	credential_store_forget(auth->credentials);
	token = find_token(auth, req->scope);
	if (token != NULL && token->waiting == NULL)
		remove_token(auth, token);
	return 0;
}
