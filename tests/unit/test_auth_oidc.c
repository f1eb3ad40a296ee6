/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "auth/metrics.h"
#include "auth/oidc.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "jwt_mint.h"
#include "oidc_stub.h"

#define START UINT64_C(1800000000)

static struct mint first, second;
static _Atomic uint64_t clock_s;

static uint64_t now_s(void)
{
	return atomic_load(&clock_s);
}

static void pass(uint64_t seconds)
{
	atomic_fetch_add(&clock_s, seconds);
}

static int make_keys(void **state UNUSED)
{
	mint_init(&first, "ES256", "first");
	mint_init(&second, "EdDSA", "second");
	return 0;
}

static int free_keys(void **state UNUSED)
{
	mint_done(&first);
	mint_done(&second);
	return 0;
}

/* ---- an answer ---- */

struct outcome {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned n;    /* how often done was called */
	char name[64]; /* of the last one's subject, or "" */
	char groups[256];
	uint64_t expires_s;
	struct error err;
	unsigned n_accepted, n_unavailable;
};

#define OUTCOME_INIT \
	{ \
		.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER \
	}

static void on_done(struct subject *subject, const struct error *err, void *arg)
{
	struct outcome *out = arg;

	AZ(pthread_mutex_lock(&out->lock));
	out->n++;
	out->name[0] = out->groups[0] = '\0';
	out->err = (struct error)ERROR_INIT;
	if (subject == NULL) {
		out->err = *err;
		out->n_unavailable += err->code == ERROR_UNAVAILABLE;
	} else {
		assert_int_equal(subject->method, AUTH_OIDC);
		out->n_accepted++;
		out->expires_s = subject->expires_s;
		snprintf(out->name, sizeof(out->name), "%s", subject->name);
		for (size_t i = 0; i < subject->n_groups; i++) {
			size_t len = strlen(out->groups);

			snprintf(out->groups + len, sizeof(out->groups) - len, "%s ",
				subject->groups[i]);
		}
	}
	AZ(pthread_cond_broadcast(&out->changed));
	AZ(pthread_mutex_unlock(&out->lock));
}

static void wait_for(struct outcome *out, unsigned n)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_MS / 1000;
	AZ(pthread_mutex_lock(&out->lock));
	while (out->n < n)
		if (pthread_cond_timedwait(&out->changed, &out->lock, &until) != 0)
			fail_msg("%u answers came, not %u", out->n, n);
	AZ(pthread_mutex_unlock(&out->lock));
}

static unsigned answers(struct outcome *out)
{
	unsigned n;

	AZ(pthread_mutex_lock(&out->lock));
	n = out->n;
	AZ(pthread_mutex_unlock(&out->lock));
	return n;
}

/* ---- an issuer and its user ---- */

struct fixture {
	struct oidc_stub stub;
	struct oidc *oidc;
};

static void announce(struct fixture *f, const struct mint *const *mints, size_t n)
{
	AUTO_FREE char *json = mint_jwks(mints, n);

	oidc_stub_keys(&f->stub, json);
}

static void announce_one(struct fixture *f, const struct mint *m)
{
	announce(f, &m, 1);
}

static void open_with(struct fixture *f, const char *username_claim, const char *groups_claim)
{
	const struct oidc_options options = {.issuer = f->stub.url,
		.audience = "gsq",
		.username_claim = username_claim,
		.groups_claim = groups_claim,
		.now_s = now_s};
	struct error err;

	if (oidc_new(&f->oidc, &options, &err) != 0)
		fail_msg("%s", err.text);
}

static void prepare(struct fixture *f)
{
	atomic_store(&clock_s, START);
	oidc_stub_init(&f->stub);
	announce_one(f, &first);
}

static void begin(struct fixture *f)
{
	prepare(f);
	open_with(f, NULL, NULL);
}

static void end(struct fixture *f)
{
	oidc_free(f->oidc);
	oidc_stub_done(&f->stub);
}

static char *claims_of(struct fixture *f, const char *more)
{
	return str_printf("{\"iss\":\"%s\",\"aud\":\"gsq\",\"exp\":%llu%s}", f->stub.url,
		(unsigned long long)(START + 1000000), more);
}

static char *token_of(struct fixture *f, const struct mint *m)
{
	AUTO_FREE char *claims = claims_of(f, ",\"sub\":\"alice\"");

	return mint_token(m, NULL, claims);
}

static void ask(struct fixture *f, const char *token, struct outcome *out)
{
	oidc_verify(f->oidc, slice_of(token), on_done, out);
}

static struct outcome judge_token(struct fixture *f, const char *token)
{
	struct outcome out = OUTCOME_INIT;

	ask(f, token, &out);
	wait_for(&out, 1);
	return out;
}

static struct outcome judge(struct fixture *f, const struct mint *m)
{
	AUTO_FREE char *token = token_of(f, m);

	return judge_token(f, token);
}

static void assert_accepted(struct fixture *f, const struct mint *m)
{
	struct outcome out = judge(f, m);

	if (out.err.code != ERROR_NONE)
		fail_msg("%s", out.err.text);
	assert_string_equal(out.name, "oidc:alice");
}

static void assert_refused(struct fixture *f, const struct mint *m, enum error_code code)
{
	assert_int_equal(judge(f, m).err.code, code);
}

/* ---- tokens ---- */

static void a_token_is_a_subject_with_groups_and_an_end(void **state UNUSED)
{
	struct fixture f;
	AUTO_FREE char *claims = NULL, *token = NULL;
	struct outcome out;

	begin(&f);
	claims = claims_of(&f, ",\"sub\":\"alice\",\"groups\":[\"dev\",\"ops\"]");
	token = mint_token(&first, NULL, claims);
	out = judge_token(&f, token);
	assert_string_equal(out.name, "oidc:alice");
	assert_string_equal(out.groups, "oidc:dev oidc:ops ");
	assert_int_equal(out.expires_s, START + 1000000 + LIMIT_CLOCK_SKEW_S);
	end(&f);
}

static void names_and_groups_that_claims_make(void **state UNUSED)
{
	static const struct {
		const char *username_claim, *groups_claim, *claims, *name, *groups;
	} cases[] = {
		{NULL, NULL, "\"sub\":\"alice\"", "oidc:alice", ""},
		{NULL, NULL, "\"sub\":\"alice\",\"groups\":\"dev\"", "oidc:alice", "oidc:dev "},
		{NULL, NULL, "\"sub\":\"alice\",\"groups\":[]", "oidc:alice", ""},
		{NULL, NULL, "\"sub\":\"alice\",\"groups\":null", "oidc:alice", ""},
		{NULL, "roles", "\"sub\":\"a\",\"groups\":7,\"roles\":[\"r\"]", "oidc:a",
			"oidc:r "},
		{NULL, NULL, "\"sub\":\"token:ci\"", "oidc:token:ci", ""},
		{"login", NULL, "\"login\":\"bob\",\"sub\":\"7\"", "oidc:bob", ""},
		{"email", NULL, "\"email\":\"b@x\"", "oidc:b@x", ""},
		{"email", NULL, "\"email\":\"b@x\",\"email_verified\":true", "oidc:b@x", ""},
		{"email", NULL, "\"email\":\"b@x\",\"email_verified\":\"true\"", "oidc:b@x", ""},
		{NULL, NULL, "\"sub\":\"a\",\"email\":\"b@x\",\"email_verified\":false", "oidc:a",
			""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture f;
		AUTO_FREE char *more = str_printf(",%s", cases[i].claims);
		AUTO_FREE char *claims = NULL, *token = NULL;
		struct outcome out;

		prepare(&f);
		open_with(&f, cases[i].username_claim, cases[i].groups_claim);
		claims = claims_of(&f, more);
		token = mint_token(&first, NULL, claims);
		out = judge_token(&f, token);
		assert_string_equal(out.err.text, "");
		assert_string_equal(out.name, cases[i].name);
		assert_string_equal(out.groups, cases[i].groups);
		end(&f);
	}
}

static void claims_that_make_no_subject(void **state UNUSED)
{
	static const struct {
		const char *username_claim, *claims, *why;
	} cases[] = {
		{NULL, "\"name\":\"alice\"", "no \"sub\""},
		{NULL, "\"sub\":7", "no \"sub\""},
		{NULL, "\"sub\":null", "no \"sub\""},
		{NULL, "\"sub\":\"\"", ""},
		{NULL, "\"sub\":\"a\\nb\"", ""},
		{"email", "\"sub\":\"alice\"", "no \"email\""},
		{"email", "\"email\":\"b@x\",\"email_verified\":false", "has not verified"},
		{"email", "\"email\":\"b@x\",\"email_verified\":\"false\"", "has not verified"},
		{"email", "\"email\":\"b@x\",\"email_verified\":null", "has not verified"},
		{"email", "\"email\":\"b@x\",\"email_verified\":1", "has not verified"},
		{NULL, "\"sub\":\"a\",\"groups\":7", "neither a string nor a list"},
		{NULL, "\"sub\":\"a\",\"groups\":{\"dev\":1}", "neither a string nor a list"},
		{NULL, "\"sub\":\"a\",\"groups\":[\"dev\",7]", "not a list of strings"},
		{NULL, "\"sub\":\"a\",\"groups\":[\"\"]", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture f;
		AUTO_FREE char *more = str_printf(",%s", cases[i].claims);
		AUTO_FREE char *claims = NULL, *token = NULL;
		struct outcome out;

		prepare(&f);
		open_with(&f, cases[i].username_claim, NULL);
		claims = claims_of(&f, more);
		token = mint_token(&first, NULL, claims);
		out = judge_token(&f, token);
		assert_int_equal(out.err.code, ERROR_UNAUTHORIZED);
		if (strstr(out.err.text, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].claims, out.err.text);
		end(&f);
	}
}

static void too_many_groups_are_refused(void **state UNUSED)
{
	struct buf more = BUF_INIT(MIB);
	struct fixture f;
	AUTO_FREE char *claims = NULL, *token = NULL;
	struct outcome out;

	begin(&f);
	buf_puts(&more, ",\"sub\":\"a\",\"groups\":[\"g\"");
	for (size_t i = 0; i < LIMIT_GROUPS; i++)
		buf_puts(&more, ",\"g\"");
	buf_puts(&more, "]");
	claims = claims_of(&f, more.data);
	token = mint_token(&first, NULL, claims);
	out = judge_token(&f, token);
	assert_int_equal(out.err.code, ERROR_UNAUTHORIZED);
	assert_non_null(strstr(out.err.text, "more than 200 groups"));
	buf_done(&more);
	end(&f);
}

static void a_token_is_ours_by_what_it_says_of_its_issuer(void **state UNUSED)
{
	struct fixture f;
	AUTO_FREE char *ours = NULL, *theirs = NULL;

	begin(&f);
	ours = token_of(&f, &second);
	theirs = mint_token(&second, NULL, "{\"iss\":\"https://kubernetes.default\"}");
	assert_true(oidc_is_ours(f.oidc, slice_of(ours)));
	assert_false(oidc_is_ours(f.oidc, slice_of(theirs)));
	assert_false(oidc_is_ours(f.oidc, SLICE("gsq_secret")));
	assert_false(oidc_is_ours(f.oidc, SLICE("")));
	end(&f);
}

/* ---- keys ---- */

static void tokens_wait_for_the_first_keys(void **state UNUSED)
{
	struct outcome out = OUTCOME_INIT;
	struct fixture f;
	AUTO_FREE char *token = NULL;

	prepare(&f);
	oidc_stub_set_silent(&f.stub, true);
	open_with(&f, NULL, NULL);
	token = token_of(&f, &first);
	ask(&f, token, &out);
	oidc_stub_wait_discoveries(&f.stub, 1);
	assert_int_equal(answers(&out), 0);
	oidc_stub_set_silent(&f.stub, false);
	wait_for(&out, 1);
	assert_string_equal(out.name, "oidc:alice");
	end(&f);
}

static void with_known_keys_the_answer_is_there_at_once(void **state UNUSED)
{
	struct outcome out = OUTCOME_INIT;
	struct fixture f;
	AUTO_FREE char *token = NULL;

	begin(&f);
	assert_accepted(&f, &first);
	oidc_stub_set_silent(&f.stub, true);
	token = token_of(&f, &first);
	ask(&f, token, &out);
	assert_int_equal(out.n, 1);
	assert_string_equal(out.name, "oidc:alice");
	end(&f);
}

static void a_new_key_is_fetched_for_the_first_token_that_names_it(void **state UNUSED)
{
	struct fixture f;

	begin(&f);
	assert_accepted(&f, &first);
	announce_one(&f, &second);
	pass(LIMIT_JWKS_AGAIN_S);
	assert_accepted(&f, &second);
	assert_int_equal(oidc_stub_fetches(&f.stub), 2);
	end(&f);
}

static void a_key_that_is_announced_no_more_counts_no_more(void **state UNUSED)
{
	struct fixture f;

	begin(&f);
	assert_accepted(&f, &first);
	announce_one(&f, &second);
	pass(LIMIT_JWKS_AGAIN_S);
	assert_accepted(&f, &second);
	assert_refused(&f, &first, ERROR_UNAUTHORIZED);
	end(&f);
}

/* Of a key that was withdrawn, too: no token with another kid has to come. */
static void keys_are_fetched_again_when_they_grow_old(void **state UNUSED)
{
	struct fixture f;

	begin(&f);
	assert_accepted(&f, &first);
	pass(LIMIT_JWKS_FRESH_S);
	oidc_stub_wait_discoveries(&f.stub, 2);
	end(&f);
}

static void many_tokens_with_a_new_key_wait_for_one_fetch(void **state UNUSED)
{
	struct outcome out = OUTCOME_INIT;
	struct fixture f;
	AUTO_FREE char *token = NULL;

	begin(&f);
	assert_accepted(&f, &first);
	announce_one(&f, &second);
	oidc_stub_set_silent(&f.stub, true);
	pass(LIMIT_JWKS_AGAIN_S);
	token = token_of(&f, &second);
	for (size_t i = 0; i < 100; i++)
		ask(&f, token, &out);
	oidc_stub_wait_discoveries(&f.stub, 2);
	assert_int_equal(answers(&out), 0);
	oidc_stub_set_silent(&f.stub, false);
	wait_for(&out, 100);
	assert_int_equal(out.n_accepted, 100);
	assert_int_equal(oidc_stub_fetches(&f.stub), 2);
	end(&f);
}

static void unknown_keys_do_not_make_it_ask_more_often(void **state UNUSED)
{
	struct fixture f;

	begin(&f);
	assert_accepted(&f, &first);
	for (size_t i = 0; i < 20; i++)
		assert_refused(&f, &second, ERROR_UNAUTHORIZED);
	pass(LIMIT_JWKS_AGAIN_S - 1);
	assert_refused(&f, &second, ERROR_UNAUTHORIZED);
	assert_int_equal(oidc_stub_discoveries(&f.stub), 1);
	pass(1);
	assert_refused(&f, &second, ERROR_UNAUTHORIZED);
	assert_int_equal(oidc_stub_discoveries(&f.stub), 2);
	end(&f);
}

static void tokens_that_cannot_be_right_cause_no_fetch(void **state UNUSED)
{
	struct fixture f;
	AUTO_FREE char *expired = NULL, *other = NULL, *hmac = NULL, *claims = NULL;

	begin(&f);
	assert_accepted(&f, &first);
	pass(LIMIT_JWKS_AGAIN_S);
	claims = str_printf("{\"iss\":\"%s\",\"aud\":\"gsq\",\"exp\":1,\"sub\":\"a\"}", f.stub.url);
	expired = mint_token(&second, NULL, claims);
	assert_int_equal(judge_token(&f, expired).err.code, ERROR_UNAUTHORIZED);
	free(claims);
	claims = str_printf("{\"iss\":\"%s\",\"aud\":\"other\",\"exp\":1900000000}", f.stub.url);
	other = mint_token(&second, NULL, claims);
	assert_int_equal(judge_token(&f, other).err.code, ERROR_UNAUTHORIZED);
	free(claims);
	claims = claims_of(&f, "");
	hmac = mint_token(&second, "{\"alg\":\"HS256\",\"kid\":\"new\"}", claims);
	assert_int_equal(judge_token(&f, hmac).err.code, ERROR_UNAUTHORIZED);
	assert_int_equal(oidc_stub_discoveries(&f.stub), 1);
	end(&f);
}

static void so_many_tokens_may_wait_and_no_more(void **state UNUSED)
{
	struct outcome out = OUTCOME_INIT, last = OUTCOME_INIT;
	struct fixture f;
	AUTO_FREE char *token = NULL;

	prepare(&f);
	oidc_stub_set_silent(&f.stub, true);
	open_with(&f, NULL, NULL);
	token = token_of(&f, &first);
	for (size_t i = 0; i < LIMIT_JWKS_WAITING; i++)
		ask(&f, token, &out);
	ask(&f, token, &last);
	assert_int_equal(last.n, 1);
	assert_int_equal(last.err.code, ERROR_UNAVAILABLE);
	assert_non_null(strstr(last.err.text, "too many tokens"));
	assert_int_equal(answers(&out), 0);
	oidc_stub_set_silent(&f.stub, false);
	wait_for(&out, LIMIT_JWKS_WAITING);
	assert_int_equal(out.n_accepted, LIMIT_JWKS_WAITING);
	end(&f);
}

/* ---- an issuer that is not there ---- */

static void down_at_the_start_and_there_later(void **state UNUSED)
{
	struct fixture f;
	struct outcome out;

	prepare(&f);
	oidc_stub_down(&f.stub);
	open_with(&f, NULL, NULL);
	out = judge(&f, &first);
	assert_int_equal(out.err.code, ERROR_UNAVAILABLE);
	assert_int_equal(out.err.retry_after_s, LIMIT_JWKS_AGAIN_S);
	pass(4);
	assert_int_equal(judge(&f, &first).err.retry_after_s, LIMIT_JWKS_AGAIN_S - 4);
	oidc_stub_up(&f.stub);
	pass(LIMIT_JWKS_AGAIN_S - 4);
	assert_accepted(&f, &first);
	end(&f);
}

/* Without a token that asks for it. */
static void an_issuer_that_comes_back_is_found(void **state UNUSED)
{
	struct fixture f;

	prepare(&f);
	oidc_stub_down(&f.stub);
	open_with(&f, NULL, NULL);
	assert_refused(&f, &first, ERROR_UNAVAILABLE);
	oidc_stub_up(&f.stub);
	pass(LIMIT_JWKS_AGAIN_S);
	oidc_stub_wait_discoveries(&f.stub, 1);
	end(&f);
}

static void while_it_is_down_known_keys_count_for_a_day(void **state UNUSED)
{
	struct fixture f;

	begin(&f);
	assert_accepted(&f, &first);
	oidc_stub_down(&f.stub);
	pass(LIMIT_JWKS_STALE_S - 1);
	assert_accepted(&f, &first);
	assert_refused(&f, &second, ERROR_UNAVAILABLE);
	assert_accepted(&f, &first);
	pass(1);
	assert_refused(&f, &first, ERROR_UNAVAILABLE);
	oidc_stub_up(&f.stub);
	pass(LIMIT_JWKS_AGAIN_S);
	assert_accepted(&f, &first);
	end(&f);
}

static void a_stop_answers_whoever_waits(void **state UNUSED)
{
	struct outcome out = OUTCOME_INIT;
	struct fixture f;
	AUTO_FREE char *token = NULL;

	prepare(&f);
	oidc_stub_set_silent(&f.stub, true);
	open_with(&f, NULL, NULL);
	token = token_of(&f, &first);
	oidc_stub_wait_discoveries(&f.stub, 1);
	for (size_t i = 0; i < 10; i++)
		ask(&f, token, &out);
	oidc_free(f.oidc);
	assert_int_equal(out.n, 10);
	assert_int_equal(out.n_unavailable, 10);
	oidc_stub_done(&f.stub);
}

static void a_stop_right_after_the_start(void **state UNUSED)
{
	struct fixture f;

	for (size_t i = 0; i < 20; i++) {
		begin(&f);
		end(&f);
	}
}

/* ---- an issuer that lies ---- */

/* After a fetch of what is there now: another key was not found, and the old ones still count. */
static void assert_keys_stay(struct fixture *f, const char *what)
{
	struct outcome out;

	pass(LIMIT_JWKS_AGAIN_S);
	out = judge(f, &second);
	if (out.err.code != ERROR_UNAVAILABLE)
		fail_msg("%s: %s", what, out.err.text);
	assert_accepted(f, &first);
}

#define OK(body) "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" body

static const char *const bad_answers[] = {
	"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
	"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 204 No Content\r\n\r\n",
	"HTTP/1.1 302 Found\r\nLocation: /keys\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
	"nonsense\r\n\r\n",
	"",
	OK(""),
	OK("{}"),
	OK("[]"),
	OK("null"),
	OK("<html>Sign in</html>"),
	OK("{\"keys\":["),
	OK("{\"keys\":[]}"),
	OK("{\"keys\":[{}]}"),
	OK("{\"keys\":[{\"kty\":\"oct\",\"kid\":\"second\",\"k\":\"AAAA\"}]}"),
	OK("{\"issuer\":\"https://other.example\",\"jwks_uri\":\"https://other.example/k\"}"),
};

static void answers_that_are_no_keys_change_nothing(void **state UNUSED)
{
	struct fixture f;

	begin(&f);
	assert_accepted(&f, &first);
	for (size_t i = 0; i < ARRAY_SIZE(bad_answers); i++) {
		oidc_stub_answer_keys(&f.stub, bad_answers[i]);
		assert_keys_stay(&f, bad_answers[i]);
	}
	end(&f);
}

static void answers_that_are_no_discovery_change_nothing(void **state UNUSED)
{
	struct fixture f;

	begin(&f);
	assert_accepted(&f, &first);
	announce_one(&f, &second);
	for (size_t i = 0; i < ARRAY_SIZE(bad_answers); i++) {
		oidc_stub_answer_discovery(&f.stub, bad_answers[i]);
		assert_keys_stay(&f, bad_answers[i]);
	}
	assert_int_equal(oidc_stub_fetches(&f.stub), 1);
	end(&f);
}

/* They name keys that would count, so nothing but the document is at fault. */
static void a_discovery_document_of_another_issuer_changes_nothing(void **state UNUSED)
{
	static const char *const forms[] = {
		"{\"issuer\":\"%s/\",\"jwks_uri\":\"%s/keys\"}",
		"{\"issuer\":\"%sx\",\"jwks_uri\":\"%s/keys\"}",
		"{\"issuer\":[\"%s\"],\"jwks_uri\":\"%s/keys\"}",
		"{\"Issuer\":\"%s\",\"jwks_uri\":\"%s/keys\"}",
		"{\"issuer\":\"%s\",\"issuer\":\"%s\",\"jwks_uri\":\"%s/keys\"}",
	};
	struct fixture f;

	begin(&f);
	assert_accepted(&f, &first);
	announce_one(&f, &second);
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct buf json = BUF_INIT(MIB);

		for (const char *p = forms[i]; *p != '\0'; p++) {
			if (p[0] == '%' && *++p == 's')
				buf_puts(&json, f.stub.url);
			else
				buf_putc(&json, *p);
		}
		oidc_stub_discovery(&f.stub, json.data);
		assert_keys_stay(&f, json.data);
		buf_done(&json);
	}
	assert_int_equal(oidc_stub_fetches(&f.stub), 1);
	oidc_stub_be_honest(&f.stub);
	pass(LIMIT_JWKS_AGAIN_S);
	assert_accepted(&f, &second);
	end(&f);
}

static void keys_are_not_fetched_from_just_anywhere(void **state UNUSED)
{
	static const char *const urls[] = {"\"http://keys.example/\"", "\"http://10.0.0.1/keys\"",
		"\"http://127.0.0.1.example/\"", "\"file:///etc/passwd\"", "\"/keys\"", "\"\"",
		"\"ftp://127.0.0.1/\"", "\"https://user:secret@127.0.0.1/\"", "\"https://\"",
		"\"http://[::2]/\"", "\"http://127.0.0.1\\u000d\\u000aX: y/\"", "7", "null",
		"[\"https://a\"]"};
	struct fixture f;

	begin(&f);
	assert_accepted(&f, &first);
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		AUTO_FREE char *json =
			str_printf("{\"issuer\":\"%s\",\"jwks_uri\":%s}", f.stub.url, urls[i]);

		oidc_stub_discovery(&f.stub, json);
		assert_keys_stay(&f, urls[i]);
	}
	end(&f);
}

static void a_huge_document_changes_nothing(void **state UNUSED)
{
	AUTO_FREE char *huge = malloc(LIMIT_JWKS + 2), *jwk = mint_jwk(&second);
	struct fixture f;
	int n;

	begin(&f);
	assert_accepted(&f, &first);
	n = sprintf(huge, "{\"keys\":[%s]}", jwk);
	memset(huge + n, ' ', LIMIT_JWKS + 1 - (size_t)n);
	huge[LIMIT_JWKS + 1] = '\0';
	oidc_stub_keys(&f.stub, huge);
	assert_keys_stay(&f, "huge");
	huge[LIMIT_JWKS] = '\0';
	oidc_stub_keys(&f.stub, huge);
	pass(LIMIT_JWKS_AGAIN_S);
	assert_accepted(&f, &second);
	end(&f);
}

/* ---- what it tells ---- */

static int hear(void)
{
	int saved = dup(STDERR_FILENO);
	FILE *file = tmpfile();

	assert_non_null(file);
	AZ(fflush(stderr));
	assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
	fclose(file);
	return saved;
}

static void assert_heard(int saved, const char *const *parts, size_t n)
{
	char text[8192], *line = text;
	ssize_t len = pread(STDERR_FILENO, text, sizeof(text) - 1, 0);

	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	assert_true(len >= 0);
	text[len] = '\0';
	for (size_t i = 0; i < n; i++) {
		char *end_of_line = strchr(line, '\n');

		if (end_of_line == NULL)
			fail_msg("no line with \"%s\"", parts[i]);
		*end_of_line = '\0';
		if (strstr(line, parts[i]) == NULL)
			fail_msg("%s\nis without %s", line, parts[i]);
		line = end_of_line + 1;
	}
	assert_string_equal(line, "");
}

static void the_log_says_why_once_for_each_reason(void **state UNUSED)
{
	static const char *const lines[] = {
		"level=info msg=\"keys of the OpenID Connect issuer\"",
		"answers with status 503",
		"of another issuer: https://evil.example",
		"answers with status 503",
		"no answer from http://127.0.0.1:",
		"level=info msg=\"keys of the OpenID Connect issuer\"",
	};
	struct fixture f;
	int saved;

	prepare(&f);
	saved = hear();
	open_with(&f, NULL, NULL);
	assert_accepted(&f, &first);
	for (size_t round = 0; round < 2; round++) {
		for (size_t i = 0; i < 3; i++) {
			oidc_stub_answer_discovery(
				&f.stub, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
			assert_keys_stay(&f, "503");
		}
		for (size_t i = 0; round == 0 && i < 3; i++) {
			oidc_stub_discovery(&f.stub, "{\"issuer\":\"https://evil.example\"}");
			assert_keys_stay(&f, "issuer");
		}
	}
	oidc_stub_down(&f.stub);
	for (size_t i = 0; i < 5; i++)
		assert_keys_stay(&f, "down");
	oidc_stub_up(&f.stub);
	oidc_stub_be_honest(&f.stub);
	for (size_t i = 0; i < 3; i++) {
		pass(LIMIT_JWKS_AGAIN_S);
		assert_refused(&f, &second, ERROR_UNAUTHORIZED);
	}
	end(&f);
	assert_heard(saved, lines, ARRAY_SIZE(lines));
}

static uint64_t metric_of(const struct metric *m, const char *result)
{
	struct buf text = BUF_INIT(MIB);
	AUTO_FREE char *sample = str_printf("%s{result=\"%s\"} ", m->name, result);
	const char *at;
	uint64_t value = 0;

	metric_write(m, &text);
	at = strstr(text.data, sample);
	if (at != NULL)
		value = strtoull(at + strlen(sample), NULL, 10);
	buf_done(&text);
	return value;
}

static void fetches_and_tokens_are_counted(void **state UNUSED)
{
	uint64_t ok = metric_of(&oidc_metric_fetches, "ok"),
		 failed = metric_of(&oidc_metric_fetches, "failed"),
		 accepted = metric_of(&oidc_metric_tokens, "accepted"),
		 refused = metric_of(&oidc_metric_tokens, "refused"),
		 unavailable = metric_of(&oidc_metric_tokens, "unavailable");
	struct fixture f;

	begin(&f);
	assert_accepted(&f, &first);
	assert_refused(&f, &second, ERROR_UNAUTHORIZED);
	oidc_stub_answer_keys(&f.stub, "");
	pass(LIMIT_JWKS_AGAIN_S);
	assert_refused(&f, &second, ERROR_UNAVAILABLE);
	end(&f);
	assert_int_equal(metric_of(&oidc_metric_fetches, "ok"), ok + 1);
	assert_int_equal(metric_of(&oidc_metric_fetches, "failed"), failed + 1);
	assert_int_equal(metric_of(&oidc_metric_tokens, "accepted"), accepted + 1);
	assert_int_equal(metric_of(&oidc_metric_tokens, "refused"), refused + 1);
	assert_int_equal(metric_of(&oidc_metric_tokens, "unavailable"), unavailable + 1);
}

/* ---- options ---- */

static void options_that_are_refused(void **state UNUSED)
{
	static const struct oidc_options cases[] = {
		{.issuer = "http://issuer.example", .audience = "gsq"},
		{.issuer = "http://10.0.0.1", .audience = "gsq"},
		{.issuer = "http://128.0.0.1", .audience = "gsq"},
		{.issuer = "http://[::2]", .audience = "gsq"},
		{.issuer = "http://localhost.example", .audience = "gsq"},
		{.issuer = "issuer.example", .audience = "gsq"},
		{.issuer = "", .audience = "gsq"},
		{.issuer = "https://issuer.example?a=b", .audience = "gsq"},
		{.issuer = "https://issuer.example/#f", .audience = "gsq"},
		{.issuer = "https://user@issuer.example", .audience = "gsq"},
		{.issuer = "https://issuer.example", .audience = ""},
		{.issuer = "https://issuer.example"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct oidc *oidc = NULL;
		struct error err = ERROR_INIT;

		assert_int_equal(oidc_new(&oidc, &cases[i], &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_null(oidc);
	}
}

/* ---- threads ---- */

#define ASKERS 4
#define ROUNDS 200

struct asker {
	struct fixture *f;
	const char *tokens[2];
	struct outcome out;
};

static void *ask_often(void *arg)
{
	struct asker *a = arg;

	for (size_t i = 0; i < ROUNDS; i++) {
		ask(a->f, a->tokens[i % 2], &a->out);
		pass(1);
	}
	return NULL;
}

static void many_threads_ask_while_keys_change(void **state UNUSED)
{
	const struct mint *const both[] = {&first, &second};
	struct asker askers[ASKERS];
	pthread_t threads[ASKERS];
	struct fixture f;
	AUTO_FREE char *one = NULL, *two = NULL;

	begin(&f);
	assert_accepted(&f, &first);
	announce(&f, both, 2);
	pass(LIMIT_JWKS_AGAIN_S);
	one = token_of(&f, &first);
	two = token_of(&f, &second);
	for (size_t i = 0; i < ASKERS; i++) {
		askers[i] = (struct asker){&f, {one, two}, OUTCOME_INIT};
		AZ(pthread_create(&threads[i], NULL, ask_often, &askers[i]));
	}
	for (size_t i = 0; i < ASKERS; i++) {
		AZ(pthread_join(threads[i], NULL));
		wait_for(&askers[i].out, ROUNDS);
		assert_int_equal(askers[i].out.n_accepted, ROUNDS);
	}
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_a_subject_with_groups_and_an_end),
		cmocka_unit_test(names_and_groups_that_claims_make),
		cmocka_unit_test(claims_that_make_no_subject),
		cmocka_unit_test(too_many_groups_are_refused),
		cmocka_unit_test(a_token_is_ours_by_what_it_says_of_its_issuer),
		cmocka_unit_test(tokens_wait_for_the_first_keys),
		cmocka_unit_test(with_known_keys_the_answer_is_there_at_once),
		cmocka_unit_test(a_new_key_is_fetched_for_the_first_token_that_names_it),
		cmocka_unit_test(a_key_that_is_announced_no_more_counts_no_more),
		cmocka_unit_test(keys_are_fetched_again_when_they_grow_old),
		cmocka_unit_test(many_tokens_with_a_new_key_wait_for_one_fetch),
		cmocka_unit_test(unknown_keys_do_not_make_it_ask_more_often),
		cmocka_unit_test(tokens_that_cannot_be_right_cause_no_fetch),
		cmocka_unit_test(so_many_tokens_may_wait_and_no_more),
		cmocka_unit_test(down_at_the_start_and_there_later),
		cmocka_unit_test(an_issuer_that_comes_back_is_found),
		cmocka_unit_test(while_it_is_down_known_keys_count_for_a_day),
		cmocka_unit_test(a_stop_answers_whoever_waits),
		cmocka_unit_test(a_stop_right_after_the_start),
		cmocka_unit_test(answers_that_are_no_keys_change_nothing),
		cmocka_unit_test(answers_that_are_no_discovery_change_nothing),
		cmocka_unit_test(a_discovery_document_of_another_issuer_changes_nothing),
		cmocka_unit_test(keys_are_not_fetched_from_just_anywhere),
		cmocka_unit_test(a_huge_document_changes_nothing),
		cmocka_unit_test(the_log_says_why_once_for_each_reason),
		cmocka_unit_test(fetches_and_tokens_are_counted),
		cmocka_unit_test(options_that_are_refused),
		cmocka_unit_test(many_threads_ask_while_keys_change),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
