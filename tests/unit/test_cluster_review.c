/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cluster/review.h"
#include "kube_stub.h"

#define TOKEN "eyJhbGciOi.J9.secret"

/* ---- asking ---- */

struct server {
	struct fixture kube;
	struct review *review;
	struct reviewer reviewer;
};

static void begin(struct server *s, answer_request *answer, const char *const *audiences)
{
	struct error err;

	fixture_init(&s->kube, answer, NULL);
	assert_int_equal(review_new(&s->review, s->kube.kube, audiences, &err), 0);
	s->reviewer = review_reviewer(s->review);
	fixture_start(&s->kube);
}

static void end(struct server *s)
{
	fixture_done(&s->kube);
	review_free(s->review);
}

struct answer {
	atomic_uint n; /* how often done() was called */
	struct subject *subject;
	struct error err;
};

static void on_identified(struct subject *subject, const struct error *err, void *arg)
{
	struct answer *a = arg;

	a->subject = subject == NULL ? NULL : subject_ref(subject);
	a->err = err == NULL ? (struct error)ERROR_INIT : *err;
	a->n++;
}

static void on_authorized(const struct error *err, void *arg)
{
	struct answer *a = arg;

	a->err = *err;
	a->n++;
}

static void wait_answer(struct answer *a)
{
	uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;

	while (a->n == 0) {
		if (clock_monotonic_ms() > until_ms)
			fail_msg("no answer");
		usleep(1000);
	}
}

/* What is given is gone when the function returns. */
static void identify(struct server *s, const char *token, struct answer *ret)
{
	char *gone = strdup(token);

	*ret = (struct answer){.n = 0};
	s->reviewer.identify(s->reviewer.arg, slice_of(gone), on_identified, ret);
	memset(gone, 'x', strlen(gone));
	free(gone);
	wait_answer(ret);
}

static struct subject *subject_of(enum auth_method method, const char *name, const char *group)
{
	const struct slice groups[] = {slice_of(group), SLICE("system:authenticated")};
	const struct subject_draft draft = {
		.method = method, .name = slice_of(name), .n_groups = 2, .groups = groups};
	struct subject *subject = NULL;
	struct error err;

	if (subject_new(&subject, &draft, &err) != 0)
		fail_msg("%s", err.text);
	return subject;
}

static void authorize(struct server *s, enum auth_method method, enum auth_action action,
	const char *namespace, struct answer *ret)
{
	struct subject *subject = subject_of(method, "alice", "team-a");
	char *gone = strdup(namespace);

	*ret = (struct answer){.n = 0};
	s->reviewer.authorize(s->reviewer.arg, subject, action, gone, on_authorized, ret);
	subject_unref(subject);
	memset(gone, 'x', strlen(gone));
	free(gone);
	wait_answer(ret);
}

static void assert_error(const struct answer *a, enum error_code code, const char *text)
{
	assert_null(a->subject);
	assert_int_equal(a->n, 1);
	assert_string_equal(a->err.text, text);
	assert_int_equal(a->err.code, code);
}

/* ---- what is answered: the same to each request ---- */

static const char *answered;
static int answered_status;

static bool answer_all(struct stub *s UNUSED, int fd, const char *request UNUSED, unsigned n UNUSED)
{
	return stub_reply(fd, answered_status, answered);
}

static void begin_answering(struct server *s, int status, const char *body)
{
	answered_status = status;
	answered = body;
	begin(s, answer_all, NULL);
}

#define REVIEWED(status) \
	"{\"kind\":\"TokenReview\",\"apiVersion\":\"authentication.k8s.io/v1\"," \
	"\"spec\":{\"token\":\"" TOKEN "\"},\"status\":{" status "}}"
#define KNOWN(name, groups) \
	"\"authenticated\":true,\"user\":{\"username\":\"" name \
	"\",\"uid\":\"1\",\"groups\":[" groups "]}"
#define ALLOWED(status) "{\"kind\":\"SubjectAccessReview\",\"spec\":{},\"status\":{" status "}}"

/* ---- TokenReview ---- */

static void a_token_that_kubernetes_knows_is_a_subject(void **state UNUSED)
{
	uint64_t from_s = clock_realtime_us() / 1000000;
	struct server s;
	struct answer a;

	begin_answering(&s, 201,
		REVIEWED(KNOWN("system:serviceaccount:a:b",
			"\"system:serviceaccounts\",\"system:authenticated\"")));
	identify(&s, TOKEN, &a);
	assert_int_equal(a.err.code, ERROR_NONE);
	assert_int_equal(a.subject->method, AUTH_KUBERNETES);
	assert_string_equal(a.subject->name, "kubernetes:system:serviceaccount:a:b");
	assert_int_equal(a.subject->n_groups, 2);
	assert_string_equal(a.subject->groups[0], "kubernetes:system:serviceaccounts");
	assert_string_equal(a.subject->groups[1], "kubernetes:system:authenticated");
	assert_int_equal(a.subject->n_grants, 0);
	assert_in_range(a.subject->expires_s, from_s + LIMIT_REVIEWED_S,
		clock_realtime_us() / 1000000 + LIMIT_REVIEWED_S);
	stub_assert_request(
		s.kube.stub, 0, "POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1\r\n");
	stub_assert_request(s.kube.stub, 0, "Authorization: Bearer secret\r\n");
	stub_assert_request(s.kube.stub, 0, "Content-Type: application/json\r\n");
	stub_assert_request(s.kube.stub, 0,
		"\r\n\r\n{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\","
		"\"spec\":{\"token\":\"" TOKEN "\"}}");
	subject_unref(a.subject);
	end(&s);
}

static void a_user_may_have_no_groups(void **state UNUSED)
{
	struct server s;
	struct answer a;

	begin_answering(
		&s, 201, REVIEWED("\"authenticated\":true,\"user\":{\"username\":\"admin\"}"));
	identify(&s, TOKEN, &a);
	assert_string_equal(a.subject->name, "kubernetes:admin");
	assert_int_equal(a.subject->n_groups, 0);
	subject_unref(a.subject);
	end(&s);
}

static void a_token_that_kubernetes_does_not_take_proves_nothing(void **state UNUSED)
{
	static const struct {
		const char *answer, *text;
	} cases[] = {
		{REVIEWED("\"error\":\"[invalid bearer token, token has expired]\""),
			"Kubernetes does not take the token"},
		{REVIEWED("\"authenticated\":false,\"user\":{\"username\":\"alice\"}"),
			"Kubernetes does not take the token"},
		{REVIEWED("\"authenticated\":\"true\",\"user\":{\"username\":\"alice\"}"),
			"Kubernetes does not take the token"},
		{REVIEWED(""), "Kubernetes does not take the token"},
		{"{}", "Kubernetes does not take the token"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct server s;
		struct answer a;

		begin_answering(&s, 201, cases[i].answer);
		identify(&s, TOKEN, &a);
		assert_error(&a, ERROR_UNAUTHORIZED, cases[i].text);
		end(&s);
	}
}

static void a_user_whose_name_or_group_cannot_be_shown_is_refused(void **state UNUSED)
{
	static const char *const answers[] = {
		REVIEWED("\"authenticated\":true"),
		REVIEWED(KNOWN("", "")),
		REVIEWED(KNOWN("a\\nb", "")),
		REVIEWED(KNOWN("alice\\u0000x", "")),
		REVIEWED(KNOWN("alice", "\"admins\\u0000x\"")),
		REVIEWED(KNOWN("alice", "\"\"")),
		REVIEWED(KNOWN("alice", "7")),
	};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct server s;
		struct answer a;

		begin_answering(&s, 201, answers[i]);
		identify(&s, TOKEN, &a);
		assert_null(a.subject);
		assert_int_equal(a.err.code, ERROR_UNAUTHORIZED);
		end(&s);
	}
}

static void of_too_many_groups_the_first_count(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(MIB);
	struct server s;
	struct answer a;

	buf_puts(&body, "{\"status\":{" KNOWN("alice", "\"g-0\"") "}}");
	body.len -= strlen("]}}}");
	for (int i = 1; i <= LIMIT_GROUPS; i++)
		buf_printf(&body, ",\"g-%d\"", i);
	buf_puts(&body, "]}}}");
	begin_answering(&s, 201, body.data);
	identify(&s, TOKEN, &a);
	assert_int_equal(a.subject->n_groups, LIMIT_GROUPS);
	assert_string_equal(a.subject->groups[LIMIT_GROUPS - 1], "kubernetes:g-199");
	subject_unref(a.subject);
	end(&s);
}

/* Whoever sends this has no token, so Kubernetes is not troubled. */
static void what_can_be_no_token_is_not_sent(void **state UNUSED)
{
	AUTO_FREE char *long_one = malloc(LIMIT_CREDENTIAL + 2);
	const char *const credentials[] = {"", "two words", "line\nline", "\xc3\xa4", long_one};
	struct server s;

	memset(long_one, 'x', LIMIT_CREDENTIAL + 1);
	long_one[LIMIT_CREDENTIAL + 1] = '\0';
	begin_answering(&s, 201, REVIEWED(KNOWN("alice", "")));
	for (size_t i = 0; i < ARRAY_SIZE(credentials); i++) {
		struct answer a;

		identify(&s, credentials[i], &a);
		assert_error(&a, ERROR_UNAUTHORIZED,
			"the credential is no token: ASCII, at most 16384 bytes");
	}
	assert_int_equal(stub_requests(s.kube.stub), 0);
	end(&s);
}

static void what_has_a_meaning_in_json_is_escaped(void **state UNUSED)
{
	struct server s;
	struct answer a;

	begin_answering(&s, 201, REVIEWED(""));
	identify(&s, "x\"},\\", &a);
	stub_assert_request(s.kube.stub, 0, "\"spec\":{\"token\":\"x\\\"},\\\\\"}}");
	end(&s);
}

static void a_token_must_be_of_one_of_the_audiences(void **state UNUSED)
{
	static const char *const audiences[] = {"gsq", "gsq-test", NULL};
	static const struct {
		const char *answer;
		bool is_ours;
	} cases[] = {
		{REVIEWED(KNOWN("alice", "") ",\"audiences\":[\"gsq-test\"]"), true},
		{REVIEWED(KNOWN("alice", "") ",\"audiences\":[\"kubernetes\",\"gsq\"]"), true},
		{REVIEWED(KNOWN("alice", "") ",\"audiences\":[\"kubernetes\"]"), false},
		/* Of an authenticator that knows no audiences. */
		{REVIEWED(KNOWN("alice", "")), false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct server s;
		struct answer a;

		answered_status = 201;
		answered = cases[i].answer;
		begin(&s, answer_all, audiences);
		identify(&s, TOKEN, &a);
		stub_assert_request(s.kube.stub, 0,
			"\"spec\":{\"audiences\":[\"gsq\",\"gsq-test\"],\"token\":\"" TOKEN "\"}}");
		if (cases[i].is_ours) {
			assert_int_equal(a.err.code, ERROR_NONE);
			assert_string_equal(a.subject->name, "kubernetes:alice");
			subject_unref(a.subject);
		} else {
			assert_error(&a, ERROR_UNAUTHORIZED,
				"the token is for another audience, not for gsq");
		}
		end(&s);
	}
}

/* ---- SubjectAccessReview ---- */

static void kubernetes_is_asked_with_its_own_names(void **state UNUSED)
{
	struct server s;
	struct answer a;

	begin_answering(&s, 201, ALLOWED("\"allowed\":true"));
	authorize(&s, AUTH_KUBERNETES, ACTION_UPDATE, "team-a", &a);
	assert_int_equal(a.err.code, ERROR_NONE);
	stub_assert_request(s.kube.stub, 0,
		"POST /apis/authorization.k8s.io/v1/subjectaccessreviews HTTP/1.1\r\n");
	stub_assert_request(s.kube.stub, 0,
		"\r\n\r\n{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":"
		"\"SubjectAccessReview\",\"spec\":{\"user\":\"alice\",\"groups\":[\"team-a\","
		"\"system:authenticated\"],\"resourceAttributes\":{\"group\":\"gitops-squared.io\","
		"\"resource\":\"platformresources\",\"verb\":\"update\",\"namespace\":\"team-a\"}}"
		"}");
	end(&s);
}

/* An issuer must not be able to make somebody a "system:masters", nor the "oidc:alice" that the API
 * server knows from an issuer of its own. */
static void a_subject_of_others_is_asked_for_as_one_of_ours(void **state UNUSED)
{
	struct server s;
	struct answer a;

	begin_answering(&s, 201, ALLOWED("\"allowed\":true"));
	authorize(&s, AUTH_OIDC, ACTION_GET, "team-a", &a);
	stub_assert_request(s.kube.stub, 0,
		"\"user\":\"gsq:oidc:alice\",\"groups\":[\"gsq:oidc:team-a\","
		"\"gsq:oidc:system:authenticated\"]");
	end(&s);
}

static void in_all_namespaces_is_asked_with_none(void **state UNUSED)
{
	struct server s;
	struct answer a;

	begin_answering(&s, 201, ALLOWED("\"allowed\":true"));
	authorize(&s, AUTH_KUBERNETES, ACTION_ADMINISTER, AUTH_EVERYWHERE, &a);
	stub_assert_request(s.kube.stub, 0, "\"verb\":\"*\",\"namespace\":\"\"}}}");
	end(&s);
}

static void what_is_not_allowed_is_denied_with_the_reason(void **state UNUSED)
{
	static const struct {
		const char *answer, *namespace, *text;
	} cases[] = {
		{ALLOWED("\"allowed\":false"), "team-a",
			"Kubernetes does not let kubernetes:alice \"update\" platformresources in "
			"the namespace \"team-a\""},
		{ALLOWED("\"allowed\":false,\"denied\":true,\"reason\":\"the quarter ends\""),
			AUTH_EVERYWHERE,
			"Kubernetes does not let kubernetes:alice \"update\" platformresources in "
			"all namespaces: the quarter ends"},
		{ALLOWED("\"allowed\":1"), "team-a",
			"Kubernetes does not let kubernetes:alice \"update\" platformresources in "
			"the namespace \"team-a\""},
		{"{}", "team-a",
			"Kubernetes does not let kubernetes:alice \"update\" platformresources in "
			"the namespace \"team-a\""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct server s;
		struct answer a;

		begin_answering(&s, 201, cases[i].answer);
		authorize(&s, AUTH_KUBERNETES, ACTION_UPDATE, cases[i].namespace, &a);
		assert_error(&a, ERROR_DENIED, cases[i].text);
		end(&s);
	}
}

/* ---- who cannot be asked ---- */

#define CANNOT_BE_ASKED "the Kubernetes API cannot be asked now; the server's log says why"

/* What the log says while it is open is in *ret. */
struct log_capture {
	int stderr_fd;
	FILE *file;
};

static void capture_begin(struct log_capture *c)
{
	c->file = tmpfile();
	assert_non_null(c->file);
	c->stderr_fd = dup(STDERR_FILENO);
	dup2(fileno(c->file), STDERR_FILENO);
}

static void capture_end(struct log_capture *c, struct buf *ret)
{
	struct error err;

	dup2(c->stderr_fd, STDERR_FILENO);
	close(c->stderr_fd);
	rewind(c->file);
	assert_int_equal(file_read_fd(fileno(c->file), "log", ret, &err), 0);
	buf_puts(ret, "");
	fclose(c->file);
}

static unsigned count_lines(const struct buf *log, const char *with)
{
	unsigned n = 0;

	for (const char *at = log->data; (at = strstr(at, with)) != NULL; at++)
		n++;
	return n;
}

/* Never ERROR_UNAUTHORIZED or ERROR_DENIED: that would be said of who asks us. */
static void a_refusal_of_ourselves_is_for_the_log_once(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf log = BUF_INIT(MIB);
	struct log_capture capture;
	struct server s;
	struct answer a;

	begin_answering(&s, 403, STATUS("403", "tokenreviews is forbidden"));
	capture_begin(&capture);
	for (int i = 0; i < 2; i++) {
		identify(&s, TOKEN, &a);
		assert_error(&a, ERROR_UNAVAILABLE, CANNOT_BE_ASKED);
	}
	authorize(&s, AUTH_KUBERNETES, ACTION_GET, "team-a", &a);
	assert_error(&a, ERROR_UNAVAILABLE, CANNOT_BE_ASKED);
	answered = STATUS("401", "Unauthorized");
	answered_status = 401;
	identify(&s, TOKEN, &a);
	assert_error(&a, ERROR_UNAVAILABLE, CANNOT_BE_ASKED);
	capture_end(&capture, &log);
	end(&s);
	assert_int_equal(count_lines(&log,
				 "does not let gsq create tokenreviews.authentication.k8s.io: bind "
				 "the ClusterRole system:auth-delegator to the account of gsq"),
		1);
	assert_int_equal(count_lines(&log, "subjectaccessreviews.authorization.k8s.io"), 1);
	assert_int_equal(count_lines(&log, "client certificate: Unauthorized"), 1);
}

static void why_a_token_is_not_taken_is_for_the_log_once(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf log = BUF_INIT(MIB);
	struct log_capture capture;
	struct server s;
	struct answer a;

	begin_answering(&s, 201, REVIEWED("\"error\":\"webhook.internal does not answer\""));
	capture_begin(&capture);
	for (int i = 0; i < 2; i++)
		identify(&s, TOKEN, &a);
	capture_end(&capture, &log);
	end(&s);
	assert_error(&a, ERROR_UNAUTHORIZED, "Kubernetes does not take the token");
	assert_int_equal(count_lines(&log, "webhook.internal does not answer"), 1);
	assert_int_equal(count_lines(&log, TOKEN), 0);
}

static void an_answer_that_is_none_is_no_answer(void **state UNUSED)
{
	static const struct {
		int status;
		const char *body;
	} cases[] = {
		{500, STATUS("500", "etcd is away")},
		{404, STATUS("404", "not found")},
		{422, STATUS("422", "spec.token: Required value")},
		{201, "<html>"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct server s;
		struct answer a;

		begin_answering(&s, cases[i].status, cases[i].body);
		identify(&s, TOKEN, &a);
		assert_int_equal(a.err.code, ERROR_UNAVAILABLE);
		authorize(&s, AUTH_KUBERNETES, ACTION_GET, "team-a", &a);
		assert_int_equal(a.err.code, ERROR_UNAVAILABLE);
		end(&s);
	}
}

/* ---- many at once ---- */

static bool answer_none(
	struct stub *s UNUSED, int fd, const char *request UNUSED, unsigned n UNUSED)
{
	return stub_stay_silent(fd);
}

static struct answer answers[LIMIT_REVIEWS_WAITING + 1];

static void ask_many(struct server *s, size_t n)
{
	memset(answers, 0, sizeof(answers));
	for (size_t i = 0; i < n; i++)
		s->reviewer.identify(s->reviewer.arg, SLICE(TOKEN), on_identified, &answers[i]);
}

static unsigned count_unavailable(size_t n)
{
	unsigned count = 0;

	for (size_t i = 0; i < n; i++) {
		if (answers[i].n == 0)
			continue;
		assert_int_equal(answers[i].n, 1);
		assert_int_equal(answers[i].err.code, ERROR_UNAVAILABLE);
		count++;
	}
	return count;
}

static void of_too_many_the_last_is_refused_and_a_stop_answers_all(void **state UNUSED)
{
	struct server s;

	begin(&s, answer_none, NULL);
	ask_many(&s, LIMIT_REVIEWS_WAITING + 1);
	assert_int_equal(answers[LIMIT_REVIEWS_WAITING].n, 1);
	assert_string_equal(answers[LIMIT_REVIEWS_WAITING].err.text,
		"too many requests wait for the Kubernetes API to say who they are and what they "
		"may; try again");
	stub_wait(s.kube.stub, LIMIT_REVIEWS_PARALLEL);
	assert_int_equal(count_unavailable(LIMIT_REVIEWS_WAITING), 0);
	kube_stop(s.kube.kube);
	assert_int_equal(count_unavailable(LIMIT_REVIEWS_WAITING), LIMIT_REVIEWS_WAITING);
	assert_int_equal(stub_requests(s.kube.stub), LIMIT_REVIEWS_PARALLEL);
	end(&s);
}

static void after_the_stop_the_answer_is_there_at_once(void **state UNUSED)
{
	struct server s;
	struct answer a;

	begin_answering(&s, 201, REVIEWED(KNOWN("alice", "")));
	kube_stop(s.kube.kube);
	identify(&s, TOKEN, &a);
	assert_int_equal(a.err.code, ERROR_UNAVAILABLE);
	authorize(&s, AUTH_KUBERNETES, ACTION_GET, "team-a", &a);
	assert_int_equal(a.err.code, ERROR_UNAVAILABLE);
	end(&s);
}

static bool hang_up_on_the_last(struct stub *s, int fd, const char *request UNUSED, unsigned n)
{
	if (n + 1 < LIMIT_REVIEWS_PARALLEL)
		return stub_stay_silent(fd);
	*(atomic_bool *)s->arg = true;
	return false;
}

/* Or a thousand would wait for as many timeouts, sixteen at a time. */
static void when_one_gets_no_answer_those_that_wait_get_none_either(void **state UNUSED)
{
	const unsigned n = 100;
	uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
	atomic_bool hung_up = false;
	struct server s;

	begin(&s, hang_up_on_the_last, NULL);
	s.kube.stub->arg = &hung_up;
	ask_many(&s, n);
	while (count_unavailable(n) < n - LIMIT_REVIEWS_PARALLEL + 1) {
		if (clock_monotonic_ms() > until_ms)
			fail_msg("%u are answered", count_unavailable(n));
		usleep(1000);
	}
	assert_true(hung_up);
	kube_stop(s.kube.kube);
	assert_int_equal(count_unavailable(n), n);
	end(&s);
}

static bool answer_slowly(
	struct stub *s UNUSED, int fd, const char *request UNUSED, unsigned n UNUSED)
{
	usleep(1000);
	return stub_reply(fd, 201, REVIEWED(KNOWN("alice", "")));
}

static void all_that_wait_have_their_turn(void **state UNUSED)
{
	struct server s;

	begin(&s, answer_slowly, NULL);
	ask_many(&s, 200);
	for (size_t i = 0; i < 200; i++) {
		wait_answer(&answers[i]);
		assert_string_equal(answers[i].subject->name, "kubernetes:alice");
		subject_unref(answers[i].subject);
	}
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_that_kubernetes_knows_is_a_subject),
		cmocka_unit_test(a_user_may_have_no_groups),
		cmocka_unit_test(a_token_that_kubernetes_does_not_take_proves_nothing),
		cmocka_unit_test(a_user_whose_name_or_group_cannot_be_shown_is_refused),
		cmocka_unit_test(of_too_many_groups_the_first_count),
		cmocka_unit_test(what_can_be_no_token_is_not_sent),
		cmocka_unit_test(what_has_a_meaning_in_json_is_escaped),
		cmocka_unit_test(a_token_must_be_of_one_of_the_audiences),
		cmocka_unit_test(kubernetes_is_asked_with_its_own_names),
		cmocka_unit_test(a_subject_of_others_is_asked_for_as_one_of_ours),
		cmocka_unit_test(in_all_namespaces_is_asked_with_none),
		cmocka_unit_test(what_is_not_allowed_is_denied_with_the_reason),
		cmocka_unit_test(a_refusal_of_ourselves_is_for_the_log_once),
		cmocka_unit_test(why_a_token_is_not_taken_is_for_the_log_once),
		cmocka_unit_test(an_answer_that_is_none_is_no_answer),
		cmocka_unit_test(of_too_many_the_last_is_refused_and_a_stop_answers_all),
		cmocka_unit_test(after_the_stop_the_answer_is_there_at_once),
		cmocka_unit_test(when_one_gets_no_answer_those_that_wait_get_none_either),
		cmocka_unit_test(all_that_wait_have_their_turn),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
