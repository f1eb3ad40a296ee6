/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, and whether they may: before anything of the request but its head is looked at, so that
 * a refusal does not depend on what is there.
 *
 * A credential of auth's stands for all that its subject may. A registry token (registry/token.h)
 * stands for what it was asked for, and for no more than its subject may now.
 */
#include "registry/service.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/uri.h"

/* Of whoever was asked about for the first time. */
static void learn(struct call *c, struct subject *subject)
{
	if (c->subject == NULL && subject != NULL)
		c->subject = subject_ref(subject);
}

/* ---- refusals ---- */

static struct scope scope_of(const struct call *c)
{
	struct scope scope = {.repository = slice_of(c->repository), .actions = SCOPE_PULL};

	if (c->route->need == NEED_CATALOG)
		return (struct scope){.actions = 0};
	if (c->route->need == NEED_PUSH)
		scope.actions |= SCOPE_PUSH;
	return scope;
}

/* Distribution's token specification: where to get a token, and which. */
static void add_bearer(struct buf *b, const struct call *c, const char *scheme, struct slice host)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_HTTP_HEAD);
	struct slice url = c->e->public_url == NULL ? SLICE_NONE : slice_of(c->e->public_url);
	struct scope scope = scope_of(c);

	while (slice_ends(url, SLICE("/")))
		url.n--;
	if (url.n > 0)
		buf_printf(b, "Bearer realm=\"%.*s/token\"", SLICE_ARG(url));
	else
		buf_printf(b, "Bearer realm=\"%s://%.*s/token\"", scheme, SLICE_ARG(host));
	buf_puts(b, ",service=\"gsq\"");
	if (c->route->need != NEED_PROOF) {
		scope_add(&text, &scope);
		buf_printf(b, ",scope=\"%s\"", text.data == NULL ? "" : text.data);
	}
	if (c->challenge != NULL)
		buf_printf(b, ",error=\"%s\"", c->challenge);
}

static bool is_loopback(struct slice host)
{
	AUTO_FREE char *text = str_printf("http://%.*s", SLICE_ARG(host));
	struct error ignored = ERROR_INIT;
	struct http_url url;

	return text != NULL && http_url_parse(&url, text, &ignored) == 0 &&
	       http_host_is_loopback(url.host);
}

/* Of a plain connection nobody knows whether the client's own is one: where TLS ends at a proxy, a
 * realm without TLS would have it send its credential for all to read. */
static bool knows_realm(const struct http_exchange *x, const struct call *c, struct slice host)
{
	return c->e->public_url != NULL ||
	       (host.n > 0 && (http_exchange_is_tls(x) || is_loopback(host)));
}

/* A Host header has no quote in it (http/codec.c). HTTP/1.0 may do without one. */
void call_add_challenge(struct http_exchange *x, struct call *c)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_HTTP_HEAD);
	struct slice host = http_head_get(http_exchange_head(x), "Host");

	if (c->route->need == NEED_TOKEN || !knows_realm(x, c, host))
		buf_puts(&b, "Basic realm=\"gsq\"");
	else
		add_bearer(&b, c, http_exchange_is_tls(x) ? "https" : "http", host);
	if (b.failed == ERROR_NONE)
		http_reply_header(&c->reply, "WWW-Authenticate", "%s", b.data);
	else
		c->reply.headers.failed = b.failed;
}

static void ask_to_log_in(struct http_exchange *x, struct call *c)
{
	error_set(&c->err, ERROR_UNAUTHORIZED,
		"without a credential you may only pull: log in to the registry with a token as "
		"the password");
	call_answer(x, c);
}

/* Whoever has not said who it is may try again with a credential. */
static void refuse(struct http_exchange *x, struct call *c, const struct error *err)
{
	c->err = *err;
	if (c->err.code == ERROR_DENIED && c->subject != NULL &&
		c->subject->method == AUTH_ANONYMOUS)
		ask_to_log_in(x, c);
	else
		call_answer(x, c);
}

/* challenge: RFC 6750, section 3.1. */
static void refuse_token(
	struct http_exchange *x, struct call *c, const char *challenge, const char *why)
{
	c->challenge = challenge;
	error_set(&c->err, ERROR_UNAUTHORIZED, "%s", why);
	call_answer(x, c);
}

static void log_refused(struct http_exchange *x, const struct call *c, const char *reason)
{
	log_warn("registry token refused",
		LOG_STR("subject", c->subject == NULL ? "" : c->subject->name),
		LOG_STR("route", c->route->path), LOG_STR("peer", http_exchange_peer(x)),
		LOG_STR("reason", reason));
}

/* ---- what a route needs ---- */

static bool names_repository(const struct route *route)
{
	return route->need == NEED_PULL || route->need == NEED_PUSH;
}

static enum auth_action action_of(const struct route *route)
{
	return route->need == NEED_PUSH ? ACTION_PUSH : ACTION_PULL;
}

static bool covers(const struct call *c, const struct scope *scope)
{
	return c->scopes == NULL || scopes_cover(slice_of(c->scopes), scope);
}

static bool check_scope(struct http_exchange *x, struct call *c)
{
	struct scope scope = scope_of(c);

	/* A token to push alone is one: clients ask for what they need. */
	if (c->route->need == NEED_PUSH)
		scope.actions = SCOPE_PUSH;
	if (covers(c, &scope))
		return true;
	refuse_token(x, c, "insufficient_scope",
		"the token is for something else: get one for what is asked");
	return false;
}

static void judged(
	struct http_exchange *x, struct subject *subject, const struct error *err, void *arg)
{
	struct call *c = arg;

	if (x == NULL)
		return;
	learn(c, subject);
	if (err->code != ERROR_NONE)
		return refuse(x, c, err);
	if (check_scope(x, c))
		call_permitted(x, c);
}

static void has_looked(
	struct http_exchange *x, struct subject *subject UNUSED, const struct error *err, void *arg)
{
	struct call *c = arg;

	if (x == NULL)
		return;
	if (err->code != ERROR_NONE && err->code != ERROR_DENIED)
		return refuse(x, c, err);
	c->sees_all = err->code == ERROR_NONE;
	call_permitted(x, c);
}

static void look_around(struct http_exchange *x, struct call *c)
{
	if (check_scope(x, c))
		call_ask_namespace(x, c, AUTH_EVERYWHERE, has_looked);
}

/* Clients take it from /v2/ whether they need a credential at all, for whatever they do next. */
static bool wants_login(const struct call *c)
{
	unsigned generation = 0;

	return c->route->need == NEED_PROOF && c->scopes == NULL &&
	       c->subject->method == AUTH_ANONYMOUS &&
	       !auth_still(c->e->auth, c->subject, ACTION_PUSH, AUTH_EVERYWHERE, &generation);
}

static void identified(
	struct http_exchange *x, struct subject *subject, const struct error *err, void *arg)
{
	struct call *c = arg;

	if (x == NULL)
		return;
	learn(c, subject);
	if (err->code != ERROR_NONE)
		return refuse(x, c, err);
	if (wants_login(c))
		return ask_to_log_in(x, c);
	if (c->route->need == NEED_CATALOG)
		look_around(x, c);
	else
		call_permitted(x, c);
}

/* ---- registry tokens ---- */

static bool is_registry_token(struct slice authorization, struct slice *ret)
{
	struct slice rest = slice_trim(authorization), scheme = slice_cut(&rest, ' ');

	*ret = slice_trim(rest);
	return slice_eq_nocase(scheme, SLICE("bearer")) &&
	       slice_starts(*ret, SLICE(REGISTRY_TOKEN_PREFIX));
}

/* Whatever role an API token has, it may pull where it counts: a question that is answered by no as
 * soon as it was revoked. Others end by themselves. */
static bool still_proves(struct auth *auth, const struct subject *s, uint64_t now_s)
{
	unsigned generation = 0;

	if (s->n_grants > 0)
		return auth_still(auth, s, ACTION_PULL, s->grants[0].namespace, &generation);
	return s->expires_s == 0 || s->expires_s > now_s;
}

/* False: it was refused. */
static bool take_token(struct http_exchange *x, struct call *c, struct slice token)
{
	uint64_t now_s = clock_realtime_us() / 1000000;

	switch (registry_token_check(c->e->tokens, token, now_s, &c->subject, &c->scopes)) {
	case REGISTRY_TOKEN_OK:
		break;
	case REGISTRY_TOKEN_NO_MEMORY:
		error_no_memory(&c->err);
		call_answer(x, c);
		return false;
	case REGISTRY_TOKEN_BAD:
		log_refused(x, c, "it was not made by this process");
		refuse_token(x, c, "invalid_token",
			"the token was not made here, or before a restart: get a new one");
		return false;
	case REGISTRY_TOKEN_EXPIRED:
		refuse_token(x, c, "invalid_token", "the token has expired: get a new one");
		return false;
	}
	if (auth_take_rate(c->e->auth, c->subject, http_exchange_peer(x), &c->err) != 0) {
		call_answer(x, c);
		return false;
	}
	if (still_proves(c->e->auth, c->subject, now_s))
		return true;
	log_refused(x, c, "the credential that it was made for counts no more");
	refuse_token(x, c, "invalid_token",
		"the credential that the token was made for counts no more: get a new one");
	return false;
}

static void permit_token(struct http_exchange *x, struct call *c, struct slice token)
{
	char namespace[ACCESS_NAMESPACE_SIZE];

	if (!take_token(x, c, token))
		return;
	if (c->route->need == NEED_PROOF)
		return call_permitted(x, c);
	if (c->route->need == NEED_CATALOG)
		return look_around(x, c);
	access_namespace(slice_of(c->repository), namespace);
	gate_authorize(x, c->e->auth, c->subject, action_of(c->route), namespace, false, judged, c);
}

/* ---- the ways in ---- */

static void permit(struct http_exchange *x, struct call *c, struct slice authorization)
{
	char namespace[ACCESS_NAMESPACE_SIZE];

	if (!names_repository(c->route))
		return gate_identify(x, c->e->auth, authorization, identified, c);
	access_namespace(slice_of(c->repository), namespace);
	gate_ask(x, c->e->auth, action_of(c->route), namespace, judged, c);
}

void call_permit(struct http_exchange *x, struct call *c)
{
	struct slice authorization, token;

	if (c->e->auth == NULL) {
		c->sees_all = true;
		return call_permitted(x, c);
	}
	if (c->route->need == NEED_TOKEN)
		return call_permitted(x, c);
	authorization = http_head_get(http_exchange_head(x), "Authorization");
	if (is_registry_token(authorization, &token))
		permit_token(x, c, token);
	else
		permit(x, c, authorization);
}

/* ---- other repositories ---- */

static void say(struct http_exchange *x, struct call *c, enum error_code code, gate_then *then)
{
	struct error err = ERROR_INIT;

	err.code = code;
	then(x, c->subject, &err, c);
}

void call_ask_namespace(
	struct http_exchange *x, struct call *c, const char *namespace, gate_then *then)
{
	unsigned generation = 0;

	if (auth_still(c->e->auth, c->subject, ACTION_PULL, namespace, &generation))
		gate_authorize(x, c->e->auth, c->subject, ACTION_PULL, namespace, true, then, c);
	else
		say(x, c, ERROR_DENIED, then);
}

void call_ask_pull(struct http_exchange *x, struct call *c, const char *repository, gate_then *then)
{
	struct scope scope = {.repository = slice_of(repository), .actions = SCOPE_PULL};
	char namespace[ACCESS_NAMESPACE_SIZE] = AUTH_EVERYWHERE;

	if (c->e->auth == NULL)
		return say(x, c, ERROR_NONE, then);
	if (!covers(c, &scope))
		return say(x, c, ERROR_DENIED, then);
	if (repository[0] != '\0')
		access_namespace(scope.repository, namespace);
	call_ask_namespace(x, c, namespace, then);
}
