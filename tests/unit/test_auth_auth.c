/* SPDX-License-Identifier: Apache-2.0 */
/* Who is asked what, and how often: with a reviewer that answers when the test says so. */
#include "test.h"

#include "auth/auth.h"

#include <stdio.h>

#define QUESTIONS 64

/* ---- somebody else, who is asked ---- */

/* Answers at once, or, where it holds, in answer_all(). Tokens are names; "bad" is nobody's. */
struct somebody {
	bool holds, is_down;
	const char *allows; /* the one namespace */
	unsigned n_identified, n_authorized;
	size_t n; /* that wait */
	struct {
		char token[64]; /* "": a permission, */
		bool allowed;
		reviewer_identified *identified;
		reviewer_authorized *authorized;
		void *arg;
	} waiting[QUESTIONS];
};

static void identified(const char *token, bool is_down, reviewer_identified *done, void *arg)
{
	CLEANUP(subject_unrefp) struct subject *subject = NULL;
	const struct subject_draft draft = {.method = AUTH_KUBERNETES, .name = slice_of(token)};
	struct error err = ERROR_INIT;

	if (is_down)
		error_set(&err, ERROR_UNAVAILABLE, "it is down");
	else if (strcmp(token, "bad") == 0 || strncmp(token, "bad-", 4) == 0)
		error_set(&err, ERROR_UNAUTHORIZED, "nobody has this token");
	else
		assert_int_equal(subject_new(&subject, &draft, &err), 0);
	done(subject, &err, arg);
}

static void authorized(bool allowed, reviewer_authorized *done, void *arg)
{
	struct error err = ERROR_INIT;

	if (!allowed)
		error_set(&err, ERROR_DENIED, "RBAC says no");
	done(&err, arg);
}

static void on_identify(void *arg, struct slice token, reviewer_identified *done, void *done_arg)
{
	struct somebody *s = arg;
	char text[64];

	s->n_identified++;
	snprintf(text, sizeof(text), "%.*s", SLICE_ARG(token));
	if (!s->holds) {
		identified(text, s->is_down, done, done_arg);
		return;
	}
	assert_true(s->n < QUESTIONS);
	memcpy(s->waiting[s->n].token, text, sizeof(text));
	s->waiting[s->n].identified = done;
	s->waiting[s->n++].arg = done_arg;
}

static void on_authorize(void *arg, const struct subject *subject UNUSED,
	enum auth_action action UNUSED, const char *namespace, reviewer_authorized *done,
	void *done_arg)
{
	struct somebody *s = arg;
	bool allowed = strcmp(namespace, s->allows) == 0;

	s->n_authorized++;
	if (!s->holds) {
		authorized(allowed, done, done_arg);
		return;
	}
	assert_true(s->n < QUESTIONS);
	s->waiting[s->n].token[0] = '\0';
	s->waiting[s->n].allowed = allowed;
	s->waiting[s->n].authorized = done;
	s->waiting[s->n++].arg = done_arg;
}

/* What is asked because of an answer waits for the next call. */
static void answer_all(struct somebody *s)
{
	struct somebody now = *s;

	s->n = 0;
	for (size_t i = 0; i < now.n; i++) {
		if (now.waiting[i].token[0] != '\0')
			identified(now.waiting[i].token, now.is_down, now.waiting[i].identified,
				now.waiting[i].arg);
		else
			authorized(now.waiting[i].allowed, now.waiting[i].authorized,
				now.waiting[i].arg);
	}
}

/* ---- the questions ---- */

struct world {
	struct somebody somebody;
	struct auth *auth;
};

static void begin(struct world *w, bool identifies, bool authorizes)
{
	const struct reviewer reviewer = {on_identify, on_authorize, &w->somebody};
	const struct auth_options options = {
		.reviewer = &reviewer,
		.reviewer_identifies = identifies,
		.reviewer_authorizes = authorizes,
	};
	struct error err = ERROR_INIT;

	*w = (struct world){.somebody.allows = "team-a"};
	digest_setup();
	assert_int_equal(auth_new(&w->auth, &options, &err), 0);
}

static void end(struct world *w)
{
	assert_int_equal(w->somebody.n, 0);
	auth_free(w->auth);
}

struct asked {
	struct auth_question q;
	bool is_answered;
};

static void answered(struct auth_question *q UNUSED, void *arg)
{
	struct asked *a = arg;

	assert_false(a->is_answered);
	a->is_answered = true;
}

static void ask(struct world *w, struct asked *a, const char *token, const char *peer,
	const char *namespace)
{
	char header[128];

	snprintf(header, sizeof(header), "Bearer %s", token);
	*a = (struct asked){.q = {
				    .authorization = slice_of(header),
				    .peer = peer,
				    .action = ACTION_GET,
				    .namespace = namespace,
				    .done = answered,
				    .arg = a,
			    }};
	if (auth_ask(w->auth, &a->q))
		a->is_answered = true;
}

static enum error_code code_of(struct asked *a)
{
	enum error_code code = a->q.err.code;

	assert_true(a->is_answered);
	subject_unref(TAKE_PTR(a->q.subject));
	return code;
}

static enum error_code ask_now(
	struct world *w, const char *token, const char *peer, const char *namespace)
{
	struct asked a;

	ask(w, &a, token, peer, namespace);
	return code_of(&a);
}

/* ---- the tests ---- */

static void an_answer_counts_for_a_while(void **state UNUSED)
{
	struct world w;

	begin(&w, true, true);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(ask_now(&w, "alice", "::1", "team-a"), ERROR_NONE);
		assert_int_equal(ask_now(&w, "alice", "::1", "team-b"), ERROR_DENIED);
	}
	assert_int_equal(w.somebody.n_identified, 1);
	assert_int_equal(w.somebody.n_authorized, 2);
	assert_int_equal(ask_now(&w, "mallory", "::1", "team-b"), ERROR_DENIED);
	assert_int_equal(w.somebody.n_authorized, 3);
	end(&w);
}

static void who_asks_the_same_meanwhile_waits_for_the_one_answer(void **state UNUSED)
{
	struct asked asked[100];
	struct world w;

	begin(&w, true, true);
	w.somebody.holds = true;
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
		ask(&w, &asked[i], "alice", "::1", "team-a");
	assert_int_equal(w.somebody.n_identified, 1);
	answer_all(&w.somebody);
	assert_int_equal(w.somebody.n_authorized, 1);
	assert_false(asked[0].is_answered);
	answer_all(&w.somebody);
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
		assert_int_equal(code_of(&asked[i]), ERROR_NONE);
	assert_int_equal(w.somebody.n_identified, 1);
	assert_int_equal(w.somebody.n_authorized, 1);
	end(&w);
}

static void many_bad_credentials_at_once_are_few_questions(void **state UNUSED)
{
	struct asked asked[QUESTIONS];
	unsigned n_late = 0;
	struct world w;

	begin(&w, true, false);
	w.somebody.holds = true;
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		char token[32];

		snprintf(token, sizeof(token), "bad-%zu", i);
		ask(&w, &asked[i], token, "192.0.2.1", "team-a");
	}
	assert_int_equal(w.somebody.n_identified, LIMIT_LOGIN_BURST);
	answer_all(&w.somebody);
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
		n_late += code_of(&asked[i]) == ERROR_TOO_MANY;
	assert_int_equal(n_late, QUESTIONS - LIMIT_LOGIN_BURST);
	assert_int_equal(ask_now(&w, "gsq_mistyped", "192.0.2.1", "team-a"), ERROR_TOO_MANY);
	end(&w);
}

static void good_credentials_cost_an_address_nothing(void **state UNUSED)
{
	struct world w;

	begin(&w, true, true);
	for (int i = 0; i < 3 * LIMIT_LOGIN_BURST; i++) {
		char token[32];

		snprintf(token, sizeof(token), "user-%d", i);
		assert_int_equal(ask_now(&w, token, "192.0.2.1", "team-a"), ERROR_NONE);
	}
	end(&w);
}

static void addresses_of_one_ipv6_network_are_one(void **state UNUSED)
{
	struct world w;

	begin(&w, true, false);
	for (int i = 0; i < LIMIT_LOGIN_BURST; i++) {
		char peer[AUTH_PEER_SIZE];

		snprintf(peer, sizeof(peer), "2001:db8::%x", i + 1);
		assert_int_equal(ask_now(&w, "gsq_no", peer, "team-a"), ERROR_UNAUTHORIZED);
	}
	assert_int_equal(ask_now(&w, "gsq_no", "2001:db8::ffff:1", "team-a"), ERROR_TOO_MANY);
	assert_int_equal(ask_now(&w, "gsq_no", "2001:db8:0:1::1", "team-a"), ERROR_UNAUTHORIZED);
	end(&w);
}

static void a_reviewer_of_permissions_is_not_asked_who_somebody_is(void **state UNUSED)
{
	struct world w;

	begin(&w, false, true);
	assert_int_equal(ask_now(&w, "alice", "::1", "team-a"), ERROR_UNAUTHORIZED);
	assert_int_equal(w.somebody.n_identified, 0);
	end(&w);
}

static void what_a_reviewer_would_say_of_some_namespace_is_not_known(void **state UNUSED)
{
	for (int authorizes = 0; authorizes < 2; authorizes++) {
		struct error err = ERROR_INIT;
		struct asked a;
		struct world w;

		begin(&w, true, authorizes);
		ask(&w, &a, "alice", "::1", "team-z");
		assert_int_equal(
			auth_check_somewhere(w.auth, a.q.subject, ACTION_UPDATE, "::1", &err),
			authorizes ? 0 : -1);
		assert_int_equal(err.code, authorizes ? ERROR_NONE : ERROR_DENIED);
		assert_int_equal(code_of(&a), ERROR_DENIED);
		end(&w);
	}
}

static void nobody_answering_is_no_refusal_and_is_asked_again(void **state UNUSED)
{
	struct world w;

	begin(&w, true, true);
	w.somebody.is_down = true;
	for (int i = 0; i < 2 * LIMIT_LOGIN_BURST; i++)
		assert_int_equal(ask_now(&w, "alice", "::1", "team-a"), ERROR_UNAVAILABLE);
	w.somebody.is_down = false;
	assert_int_equal(ask_now(&w, "alice", "::1", "team-a"), ERROR_NONE);
	end(&w);
}

static void a_stream_of_who_was_reviewed_asks_again_some_day(void **state UNUSED)
{
	struct asked a;
	struct world w;

	begin(&w, true, true);
	ask(&w, &a, "alice", "::1", "team-a");
	assert_int_equal(auth_stream_s(w.auth, a.q.subject), LIMIT_REVIEWED_S);
	assert_int_equal(code_of(&a), ERROR_NONE);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_counts_for_a_while),
		cmocka_unit_test(who_asks_the_same_meanwhile_waits_for_the_one_answer),
		cmocka_unit_test(many_bad_credentials_at_once_are_few_questions),
		cmocka_unit_test(good_credentials_cost_an_address_nothing),
		cmocka_unit_test(addresses_of_one_ipv6_network_are_one),
		cmocka_unit_test(a_reviewer_of_permissions_is_not_asked_who_somebody_is),
		cmocka_unit_test(what_a_reviewer_would_say_of_some_namespace_is_not_known),
		cmocka_unit_test(nobody_answering_is_no_refusal_and_is_asked_again),
		cmocka_unit_test(a_stream_of_who_was_reviewed_asks_again_some_day),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
