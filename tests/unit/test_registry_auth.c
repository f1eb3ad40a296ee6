/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded registry where somebody else has to be asked who it is and what they may: the answer
 * comes later, on another thread. */
#include "store_fixture.h"

#include "registry/embedded.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUESTIONS 64
#define ANSWER_MAX (64 * KIB)

/* ---- somebody else ---- */

struct question {
	char token[64]; /* "": what may they? */
	bool allowed;
	reviewer_identified *identified;
	reviewer_authorized *authorized;
	void *arg;
};

/* Everybody is who their token says, but for "bad" and "down"; and may do all in team-a. What is
 * asked about team-b waits while that is held. */
struct somebody {
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	bool holds, holds_team_b, ends;
	bool is_slow; /* set before anything is asked: never answers before the question is out */
	size_t n, n_held, n_asked;
	struct question questions[QUESTIONS], held[QUESTIONS];
};

static void add_question(struct somebody *s, const struct question *q)
{
	AZ(pthread_mutex_lock(&s->lock));
	ASSERT(s->n < QUESTIONS);
	s->questions[s->n++] = *q;
	s->n_asked++;
	AZ(pthread_cond_broadcast(&s->changed));
	AZ(pthread_mutex_unlock(&s->lock));
}

static bool hold_team_b(struct somebody *s, const struct question *q)
{
	bool holds;

	AZ(pthread_mutex_lock(&s->lock));
	holds = s->holds_team_b;
	if (holds) {
		ASSERT(s->n_held < QUESTIONS);
		s->held[s->n_held++] = *q;
		AZ(pthread_cond_broadcast(&s->changed));
	}
	AZ(pthread_mutex_unlock(&s->lock));
	return holds;
}

static void identify(void *arg, struct slice token, reviewer_identified *done, void *done_arg)
{
	struct question q = {.identified = done, .arg = done_arg};

	snprintf(q.token, sizeof(q.token), "%.*s", SLICE_ARG(token));
	add_question(arg, &q);
}

static void authorize(void *arg, const struct subject *subject UNUSED,
	enum auth_action action UNUSED, const char *namespace, reviewer_authorized *done,
	void *done_arg)
{
	struct question q = {.authorized = done, .arg = done_arg};

	q.allowed = strcmp(namespace, "team-a") == 0;
	if (strcmp(namespace, "team-b") != 0 || !hold_team_b(arg, &q))
		add_question(arg, &q);
}

static void answer_identity(const struct question *q)
{
	CLEANUP(subject_unrefp) struct subject *subject = NULL;
	struct subject_draft draft = {.method = AUTH_KUBERNETES, .name = slice_of(q->token)};
	struct error err = ERROR_INIT;

	if (strcmp(q->token, "bad") == 0)
		error_set(&err, ERROR_UNAUTHORIZED, "nobody has this token");
	else if (strcmp(q->token, "down") == 0)
		error_set(&err, ERROR_UNAVAILABLE, "nobody answers");
	else
		assert_ok(subject_new(&subject, &draft, &err));
	q->identified(subject, &err, q->arg);
}

static void answer(const struct question *q)
{
	struct error err = ERROR_INIT;

	if (q->identified != NULL)
		return answer_identity(q);
	if (!q->allowed)
		error_set(&err, ERROR_DENIED, "no");
	q->authorized(&err, q->arg);
}

static void *somebody_run(void *arg)
{
	struct somebody *s = arg;

	AZ(pthread_mutex_lock(&s->lock));
	while (!s->ends || s->n > 0) {
		struct question q;

		if (s->holds || s->n == 0) {
			AZ(pthread_cond_wait(&s->changed, &s->lock));
			continue;
		}
		q = s->questions[--s->n];
		AZ(pthread_mutex_unlock(&s->lock));
		if (s->is_slow)
			usleep(2000);
		answer(&q);
		AZ(pthread_mutex_lock(&s->lock));
	}
	AZ(pthread_mutex_unlock(&s->lock));
	return NULL;
}

static void set(struct somebody *s, bool holds, bool ends)
{
	AZ(pthread_mutex_lock(&s->lock));
	s->holds = holds;
	s->ends = ends;
	AZ(pthread_cond_broadcast(&s->changed));
	AZ(pthread_mutex_unlock(&s->lock));
}

static void set_team_b(struct somebody *s, bool holds)
{
	AZ(pthread_mutex_lock(&s->lock));
	s->holds_team_b = holds;
	while (!holds && s->n_held > 0)
		s->questions[s->n++] = s->held[--s->n_held];
	AZ(pthread_cond_broadcast(&s->changed));
	AZ(pthread_mutex_unlock(&s->lock));
}

static void wait_for_held(struct somebody *s, size_t n)
{
	AZ(pthread_mutex_lock(&s->lock));
	while (s->n_held < n)
		AZ(pthread_cond_wait(&s->changed, &s->lock));
	AZ(pthread_mutex_unlock(&s->lock));
}

static size_t asked(struct somebody *s)
{
	size_t n;

	AZ(pthread_mutex_lock(&s->lock));
	n = s->n_asked;
	AZ(pthread_mutex_unlock(&s->lock));
	return n;
}

static void wait_for_question(struct somebody *s, size_t n)
{
	AZ(pthread_mutex_lock(&s->lock));
	while (s->n_asked < n)
		AZ(pthread_cond_wait(&s->changed, &s->lock));
	AZ(pthread_mutex_unlock(&s->lock));
}

/* ---- the server ---- */

struct fixture {
	char dir[64];
	struct somebody somebody;
	struct auth *auth;
	struct embedded *embedded;
	struct http_loops *loops;
	struct http_server *server;
};

static void push(struct fixture *f, const char *repository)
{
	CLEANUP(artifact_done) struct artifact a;
	struct registry *registry;
	struct error err = ERROR_INIT;
	struct push push;

	artifact_init(&a, SLICE("layer"), NULL);
	push = artifact_push(&a, repository, "v1");
	assert_ok(embedded_registry(&registry, f->embedded, &err));
	assert_ok(registry_begin(registry, &err));
	registry_push(registry, &push, 1);
	assert_ok(registry_commit(registry, &err));
	registry_free(registry);
}

static void serve(struct fixture *f)
{
	struct http_server_options options = {.address = "127.0.0.1:0"};
	struct http_service service = embedded_service(f->embedded, f->auth, NULL);
	struct error err = ERROR_INIT;

	assert_ok(http_loops_new(&f->loops, 2, &err));
	assert_ok(http_server_new(&f->server, f->loops, &options, &service, &err));
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	struct reviewer reviewer = {
		.identify = identify, .authorize = authorize, .arg = &f->somebody};
	char tokens[128];
	struct auth_options options = {.token_file = tokens,
		.reviewer = &reviewer,
		.reviewer_identifies = true,
		.reviewer_authorizes = true};
	struct error err = ERROR_INIT;

	digest_setup();
	AZ(pthread_mutex_init(&f->somebody.lock, NULL));
	AZ(pthread_cond_init(&f->somebody.changed, NULL));
	AZ(pthread_create(&f->somebody.thread, NULL, somebody_run, &f->somebody));
	make_folder(f->dir);
	snprintf(tokens, sizeof(tokens), "%s/none.json", f->dir);
	assert_ok(auth_new(&f->auth, &options, &err));
	assert_ok(embedded_new(&f->embedded, f->dir, &err));
	push(f, "team-a/app");
	push(f, "team-b/app");
	serve(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	http_server_free(f->server);
	set_team_b(&f->somebody, false);
	set(&f->somebody, false, true);
	AZ(pthread_join(f->somebody.thread, NULL));
	embedded_free(f->embedded);
	http_loops_free(f->loops);
	auth_free(f->auth);
	AZ(pthread_cond_destroy(&f->somebody.changed));
	AZ(pthread_mutex_destroy(&f->somebody.lock));
	remove_folder(f->dir);
	test_free(f);
	return 0;
}

/* ---- requests ---- */

static int send_request(
	struct fixture *f, const char *method, const char *target, const char *authorization)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(http_server_port(f->server)),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	AUTO_FREE char *request =
		str_printf("%s %s HTTP/1.1\r\nHost: registry.test\r\nConnection: close\r\n"
			   "Authorization: %s\r\nContent-Length: 0\r\n\r\n",
			method, target, authorization);
	const struct timeval patience = {.tv_sec = 60};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_non_null(request);
	AZ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	return fd;
}

/* All of the answer, and its status. */
static int receive(int fd, struct buf *ret)
{
	ssize_t n;

	for (;;) {
		char *room = buf_room(ret, 4096);

		assert_non_null(room);
		n = recv(fd, room, 4096, 0);
		assert_true(n >= 0);
		if (n == 0)
			break;
		buf_claim(ret, (size_t)n);
	}
	close(fd);
	assert_true(ret->len > strlen("HTTP/1.1 200"));
	return atoi(ret->data + strlen("HTTP/1.1 "));
}

static int ask(struct fixture *f, const char *method, const char *target, const char *authorization)
{
	CLEANUP(buf_done) struct buf got = BUF_INIT(ANSWER_MAX);

	return receive(send_request(f, method, target, authorization), &got);
}

/* The value of a member of the answer's JSON; the caller's. */
static char *member(const struct buf *got, const char *key)
{
	AUTO_FREE char *begin = str_printf("\"%s\":\"", key);
	const char *at;

	assert_non_null(begin);
	at = strstr(got->data, begin);
	assert_non_null(at);
	at += strlen(begin);
	return slice_dup((struct slice){at, strcspn(at, "\"")});
}

/* The header with a registry token for scopes; the caller's. */
static char *registry_token(struct fixture *f, const char *credential, const char *scopes)
{
	CLEANUP(buf_done) struct buf got = BUF_INIT(ANSWER_MAX);
	AUTO_FREE char *target = str_printf("/token?service=gsq%s", scopes);
	AUTO_FREE char *token = NULL;

	assert_non_null(target);
	assert_int_equal(receive(send_request(f, "GET", target, credential), &got), 200);
	token = member(&got, "token");
	assert_non_null(token);
	return str_printf("Bearer %s", token);
}

/* ---- tests ---- */

static void the_answer_waits_for_who_is_asked(void **state)
{
	CLEANUP(buf_done) struct buf got = BUF_INIT(ANSWER_MAX);
	struct fixture *f = *state;
	char byte;
	int fd;

	set(&f->somebody, true, false);
	fd = send_request(f, "GET", "/v2/team-a/app/tags/list", "Bearer alice");
	wait_for_question(&f->somebody, 1);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	set(&f->somebody, false, false);
	assert_int_equal(receive(fd, &got), 200);
	assert_non_null(strstr(got.data, "{\"name\":\"team-a/app\",\"tags\":[\"v1\"]}"));
}

static void what_is_answered_later_is_answered_alike(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "GET", "/v2/", "Bearer a1"), 200);
	assert_int_equal(ask(f, "GET", "/v2/", "Bearer bad"), 401);
	assert_int_equal(ask(f, "GET", "/v2/", "Bearer down"), 503);
	assert_int_equal(ask(f, "GET", "/v2/team-a/app/manifests/v1", "Bearer a2"), 200);
	assert_int_equal(ask(f, "GET", "/v2/team-b/app/manifests/v1", "Bearer a3"), 403);
	assert_int_equal(ask(f, "GET", "/v2/team-b/none/manifests/v1", "Bearer a4"), 403);
	assert_int_equal(ask(f, "POST", "/v2/team-a/app/blobs/uploads/", "Bearer a5"), 202);
	assert_int_equal(ask(f, "POST", "/v2/team-b/app/blobs/uploads/", "Bearer a6"), 403);
	assert_int_equal(ask(f, "GET", "/token", "Bearer bad"), 401);
	assert_int_equal(ask(f, "GET", "/token", "Bearer down"), 503);
}

static void a_registry_token_is_made_of_as_many_answers_as_it_takes(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *token = registry_token(f, "Bearer alice",
		"&scope=repository:team-b/app:pull,push&scope=repository:team-a/app:pull,push"
		"&scope=repository:team-a/other:pull");

	assert_int_equal(ask(f, "GET", "/v2/team-a/app/manifests/v1", token), 200);
	assert_int_equal(ask(f, "GET", "/v2/team-a/other/manifests/v1", token), 404);
	assert_int_equal(ask(f, "POST", "/v2/team-a/app/blobs/uploads/", token), 202);
	assert_int_equal(ask(f, "POST", "/v2/team-a/other/blobs/uploads/", token), 401);
	assert_int_equal(ask(f, "GET", "/v2/team-b/app/manifests/v1", token), 403);
}

static void the_catalog_has_what_somebody_else_lets_be_pulled(void **state)
{
	CLEANUP(buf_done) struct buf got = BUF_INIT(ANSWER_MAX);
	struct fixture *f = *state;

	assert_int_equal(
		receive(send_request(f, "GET", "/v2/_catalog", "Bearer alice"), &got), 200);
	assert_non_null(strstr(got.data, "{\"repositories\":[\"team-a/app\"]}"));
}

/* There are four workers. */
static void whoever_waits_for_a_catalog_is_in_nobodys_way(void **state)
{
	CLEANUP(buf_done) struct buf got = BUF_INIT(ANSWER_MAX);
	struct fixture *f = *state;
	int fds[8];

	set_team_b(&f->somebody, true);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		AUTO_FREE char *credential = str_printf("Bearer walker%zu", i);

		assert_non_null(credential);
		fds[i] = send_request(f, "GET", "/v2/_catalog", credential);
	}
	wait_for_held(&f->somebody, 4);
	assert_int_equal(ask(f, "GET", "/v2/team-a/app/manifests/v1", "Bearer alice"), 200);
	set_team_b(&f->somebody, false);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		buf_reset(&got);
		assert_int_equal(receive(fds[i], &got), 200);
		assert_non_null(strstr(got.data, "{\"repositories\":[\"team-a/app\"]}"));
	}
}

/* The path in the Link header; NULL: there is none. The caller's. */
static char *next_page(const struct buf *got)
{
	const char *at = strstr(got->data, "Link: <");

	if (at == NULL)
		return NULL;
	at += strlen("Link: <");
	return slice_dup((struct slice){at, strcspn(at, ">")});
}

static void a_page_of_the_catalog_asks_a_few_questions(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *path = strdup("/v2/_catalog?n=5");
	size_t n_pages = 0, n_found = 0, before;

	f->somebody.is_slow = true;
	for (size_t i = 0; i < 3 * LIMIT_CATALOG_QUESTIONS; i++) {
		AUTO_FREE char *name = str_printf("hidden-%02zu/%s", i, i % 2 == 0 ? "app" : "x/y");

		assert_non_null(name);
		push(f, name);
	}
	assert_int_equal(ask(f, "GET", "/v2/", "Bearer alice"), 200);
	for (; path != NULL; n_pages++) {
		CLEANUP(buf_done) struct buf got = BUF_INIT(ANSWER_MAX);

		before = asked(&f->somebody);
		assert_int_equal(receive(send_request(f, "GET", path, "Bearer alice"), &got), 200);
		assert_in_range(asked(&f->somebody) - before, 0, 2 * LIMIT_CATALOG_QUESTIONS);
		assert_null(strstr(got.data, "hidden"));
		n_found += strstr(got.data, "\"team-a/app\"") != NULL;
		free(path);
		path = next_page(&got);
	}
	assert_int_equal(n_found, 1);
	assert_true(n_pages > 1);
}

static void a_page_that_nobody_linked_to_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "GET", "/v2/_catalog?last=~x", "Bearer alice"), 400);
}

static void one_subject_leaves_uploads_for_others(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < LIMIT_UPLOADS_OF_ONE; i++)
		assert_int_equal(
			ask(f, "POST", "/v2/team-a/app/blobs/uploads/", "Bearer alice"), 202);
	assert_int_equal(ask(f, "POST", "/v2/team-a/app/blobs/uploads/", "Bearer alice"), 429);
	assert_int_equal(ask(f, "POST", "/v2/team-a/app/blobs/uploads/", "Bearer bob"), 202);
}

static void a_mount_asks_about_the_other_repository(void **state)
{
	struct fixture *f = *state;
	struct digest digest = digest_of(SLICE("layer"));
	char text[DIGEST_TEXT_SIZE];
	static const struct {
		const char *from;
		int status;
	} mounts[] = {{"&from=team-a/app", 201}, {"&from=team-b/app", 202},
		{"&from=team-a/none", 202}, {"", 202}};

	digest_format(&digest, text);
	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		AUTO_FREE char *target = str_printf(
			"/v2/team-a/new%zu/blobs/uploads/?mount=%s%s", i, text, mounts[i].from);

		assert_non_null(target);
		assert_int_equal(ask(f, "POST", target, "Bearer alice"), mounts[i].status);
	}
}

/* The teardown waits for all calls. */
static void a_client_that_leaves_meanwhile_leaves_nothing(void **state)
{
	static const char *const requests[][2] = {
		{"GET", "/v2/"},
		{"GET", "/v2/_catalog"},
		{"GET", "/v2/team-a/app/tags/list"},
		{"POST", "/v2/team-a/app/blobs/uploads/"},
		{"GET", "/token?scope=repository:team-a/app:pull"},
	};
	const struct linger reset = {.l_onoff = 1};
	struct fixture *f = *state;
	size_t before = asked(&f->somebody);

	set(&f->somebody, true, false);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		AUTO_FREE char *credential = str_printf("Bearer leaver%zu", i);
		int fd = send_request(f, requests[i][0], requests[i][1], credential);

		wait_for_question(&f->somebody, before + i + 1);
		AZ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
		close(fd);
	}
	http_server_drain(f->server, 0);
	set(&f->somebody, false, false);
}

/* Who is asked may be as quick as the way there. */
static void many_at_once_get_an_answer_each(void **state)
{
	struct fixture *f = *state;
	int fds[LIMIT_LOGIN_BURST];

	for (size_t round = 0; round < 20; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
			AUTO_FREE char *credential = str_printf("Bearer t%zu.%zu", round, i);

			fds[i] = send_request(f, "GET", "/v2/team-a/app/tags/list", credential);
		}
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
			CLEANUP(buf_done) struct buf got = BUF_INIT(ANSWER_MAX);

			assert_int_equal(receive(fds[i], &got), 200);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_answer_waits_for_who_is_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_answered_later_is_answered_alike, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_registry_token_is_made_of_as_many_answers_as_it_takes, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_catalog_has_what_somebody_else_lets_be_pulled, setup, teardown),
		cmocka_unit_test_setup_teardown(
			whoever_waits_for_a_catalog_is_in_nobodys_way, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_page_of_the_catalog_asks_a_few_questions, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_page_that_nobody_linked_to_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_subject_leaves_uploads_for_others, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_mount_asks_about_the_other_repository, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_client_that_leaves_meanwhile_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(many_at_once_get_an_answer_each, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
