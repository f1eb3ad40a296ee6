/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /token: a credential of auth's for a registry token (distribution's "Token Authentication" by
 * GET, and "OAuth2" by POST with a password). Of the scopes that are asked for it gets those that
 * its subject may have; the others are left out without a word, as the specification says.
 *
 * There are no refresh tokens: the credential is one, so clients keep that.
 */
#include "registry/service.h"

#include "base/clock.h"
#include "base/json.h"
#include "http/uri.h"

struct token_request {
	bool by_form;
	struct buf wanted; /* as it was asked for, */
	struct slice rest; /* and what of it is not answered */
	size_t n;
	struct scope scope; /* what is being answered: */
	unsigned asking;    /* this of it now, */
	unsigned unasked;   /* this is to come */
	struct buf granted;
};

static struct token_request *request_new(bool by_form)
{
	struct token_request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->by_form = by_form;
	r->rest = SLICE_NONE;
	buf_init(&r->wanted, LIMIT_TOKEN_FORM);
	buf_init(&r->granted, LIMIT_HTTP_HEAD);
	return r;
}

void token_request_free(struct token_request *r)
{
	if (r == NULL)
		return;
	buf_done(&r->wanted);
	buf_done(&r->granted);
	free(r);
}

/* ---- the token ---- */

static int write_token(struct call *c, uint64_t now_us, struct error *err)
{
	CLEANUP(buf_done) struct buf token = BUF_INIT(LIMIT_HTTP_HEAD);
	const struct token_request *r = c->token_request;
	struct buf *b = &c->reply.body;
	char issued[CLOCK_RFC3339_SIZE];

	if (buf_check(&r->granted, err) != 0 ||
		registry_token_make(c->e->tokens, c->subject, buf_slice(&r->granted),
			now_us / 1000000, &token, err) != 0)
		return -1;
	clock_rfc3339(now_us, issued);
	json_begin_object(b);
	json_member_string(b, "token", buf_slice(&token));
	json_member_string(b, "access_token", buf_slice(&token));
	json_member_u64(b, "expires_in", LIMIT_REGISTRY_TOKEN_S);
	json_member_cstr(b, "issued_at", issued);
	if (r->by_form)
		json_member_string(b, "scope", buf_slice(&r->granted));
	json_end_object(b);
	return 0;
}

static void answer_token(struct http_exchange *x, struct call *c)
{
	if (write_token(c, clock_realtime_us(), &c->err) == 0) {
		http_reply_header(&c->reply, "Content-Type", "application/json");
		http_reply_header(&c->reply, "Cache-Control", "no-store");
	}
	call_answer(x, c);
}

/* ---- what it is granted: a question for each scope and action ---- */

static void end_scope(struct token_request *r)
{
	if (r->scope.actions != 0)
		scope_add(&r->granted, &r->scope);
	r->scope.actions = 0;
}

/* False: there is none. */
static bool next_question(struct token_request *r)
{
	while (r->unasked == 0) {
		end_scope(r);
		if (!scope_next(&r->rest, &r->scope))
			return false;
		/* What it lists is looked at when it does. */
		if (r->scope.repository.p == NULL)
			scope_add(&r->granted, &r->scope);
		r->unasked = r->scope.actions;
	}
	r->asking = (r->unasked & SCOPE_PULL) != 0 ? SCOPE_PULL : SCOPE_PUSH;
	r->unasked &= ~r->asking;
	return true;
}

static void judged(
	struct http_exchange *x, struct subject *subject, const struct error *err, void *arg);

static void grant(struct http_exchange *x, struct call *c)
{
	struct token_request *r = c->token_request;
	char namespace[ACCESS_NAMESPACE_SIZE];

	if (!next_question(r))
		return answer_token(x, c);
	access_namespace(r->scope.repository, namespace);
	gate_authorize(x, c->e->auth, c->subject,
		r->asking == SCOPE_PULL ? ACTION_PULL : ACTION_PUSH, namespace, true, judged, c);
}

/* What is answered at once comes from within grant(): as deep as there are questions. */
static void judged(
	struct http_exchange *x, struct subject *subject UNUSED, const struct error *err, void *arg)
{
	struct call *c = arg;

	if (x == NULL)
		return;
	if (err->code == ERROR_DENIED)
		c->token_request->scope.actions &= ~c->token_request->asking;
	else
		c->err = *err;
	if (c->err.code == ERROR_NONE)
		grant(x, c);
	else
		call_answer(x, c);
}

/* ---- who it is ---- */

static void identified(
	struct http_exchange *x, struct subject *subject, const struct error *err, void *arg)
{
	struct call *c = arg;

	if (x == NULL)
		return;
	c->err = *err;
	if (c->err.code != ERROR_NONE)
		return call_answer(x, c);
	c->subject = subject_ref(subject);
	c->token_request->rest = buf_slice(&c->token_request->wanted);
	grant(x, c);
}

/* ---- reading the request ---- */

/* Both are application/x-www-form-urlencoded, where a "+" is a space. */
static int copy_form(struct slice raw, struct buf *ret, struct error *err)
{
	buf_add(ret, raw);
	if (buf_check(ret, err) != 0)
		return -1;
	for (size_t i = 0; i < ret->len; i++)
		if (ret->data[i] == '+')
			ret->data[i] = ' ';
	return 0;
}

static int read_scopes(struct token_request *r, struct slice form, struct error *err)
{
	struct slice rest;
	struct scope scope;
	size_t n = 0;
	bool found;

	do {
		if (r->wanted.len > 0)
			buf_putc(&r->wanted, ' ');
		if (http_query_next(&form, "scope", &found, &r->wanted, err) != 0)
			return -1;
	} while (found);
	if (buf_check(&r->wanted, err) != 0)
		return -1;
	for (rest = buf_slice(&r->wanted); scope_next(&rest, &scope);)
		n++;
	if (n > LIMIT_REGISTRY_SCOPES)
		return error_set(err, ERROR_INVALID,
			"a token may have %d scopes: ask for fewer, or for several tokens",
			LIMIT_REGISTRY_SCOPES);
	return 0;
}

static int start_request(struct call *c, bool by_form, struct error *err)
{
	c->token_request = request_new(by_form);
	return c->token_request == NULL ? error_no_memory(err) : 0;
}

void token_get(struct http_exchange *x, struct call *c)
{
	CLEANUP(buf_wipe) struct buf query = BUF_INIT(LIMIT_HTTP_HEAD);

	if (start_request(c, false, &c->err) != 0 ||
		copy_form(slice_of(c->query), &query, &c->err) != 0 ||
		read_scopes(c->token_request, buf_slice(&query), &c->err) != 0)
		return call_answer(x, c);
	gate_identify(x, c->e->auth, http_head_get(http_exchange_head(x), "Authorization"),
		identified, c);
}

/* The password, as a header would have it. */
static int read_credential(struct slice form, struct buf *ret, struct error *err)
{
	AUTO_FREE char *grant_type = NULL;
	bool found;

	if (http_query_take(form, "grant_type", &grant_type, err) != 0)
		return -1;
	if (grant_type == NULL || strcmp(grant_type, "password") != 0)
		return error_set(err, ERROR_INVALID,
			"this server gives no refresh tokens: ask with grant_type=password, or by "
			"GET");
	(void)buf_room(ret, ret->max); /* a secret is not to be moved */
	buf_puts(ret, "Bearer ");
	if (http_query_get(form, "password", &found, ret, err) != 0)
		return -1;
	if (!found)
		return error_set(err, ERROR_INVALID, "say who you are: add password= with a token");
	return buf_check(ret, err);
}

static void form_collected(struct http_exchange *x, struct slice body, void *arg)
{
	struct call *c = arg;
	CLEANUP(buf_wipe) struct buf form = BUF_INIT(LIMIT_TOKEN_FORM);
	CLEANUP(buf_wipe) struct buf credential = BUF_INIT(LIMIT_CREDENTIAL + sizeof("Bearer "));

	if (start_request(c, true, &c->err) != 0 || copy_form(body, &form, &c->err) != 0 ||
		read_credential(buf_slice(&form), &credential, &c->err) != 0 ||
		read_scopes(c->token_request, buf_slice(&form), &c->err) != 0)
		return call_answer(x, c);
	gate_identify(x, c->e->auth, buf_slice(&credential), identified, c);
}

void token_post(struct http_exchange *x, struct call *c)
{
	http_exchange_collect(x, LIMIT_TOKEN_FORM, form_collected, c);
}
