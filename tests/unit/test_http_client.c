/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "http/client.h"

/* A server that answers every request on every connection with the same bytes, each connection on
 * a thread of its own. answer: NULL never answers. */
struct server {
	struct server *next;
	int fd;
	char url[64];
	const char *answer;
	unsigned delay_ms;
	const char *rest; /* NULL, or: comes behind the answer once go is posted */
	sem_t go;
	pthread_mutex_t lock; /* what follows */
	unsigned connections, running, most_running;
	char last[4096]; /* the last request's head and what came with it */
};

struct connection {
	struct server *server;
	int fd;
};

static void note(struct server *s, const char *request)
{
	AZ(pthread_mutex_lock(&s->lock));
	snprintf(s->last, sizeof(s->last), "%s", request);
	if (++s->running > s->most_running)
		s->most_running = s->running;
	AZ(pthread_mutex_unlock(&s->lock));
}

static void *serve(void *arg)
{
	struct connection *c = arg;
	struct error err;
	char request[4096];
	ssize_t n;

	while ((n = read(c->fd, request, sizeof(request) - 1)) > 0) {
		request[n] = '\0';
		note(c->server, request);
		if (c->server->answer == NULL)
			continue;
		usleep(1000 * c->server->delay_ms);
		AZ(pthread_mutex_lock(&c->server->lock));
		c->server->running--;
		AZ(pthread_mutex_unlock(&c->server->lock));
		if (file_write_all(c->fd, c->server->answer, strlen(c->server->answer), &err) != 0)
			break;
		if (c->server->rest != NULL && (sem_wait(&c->server->go) != 0 ||
						       file_write_all(c->fd, c->server->rest,
							       strlen(c->server->rest), &err) != 0))
			break;
		if (strstr(c->server->answer, "Connection: close") != NULL)
			break;
	}
	close(c->fd);
	free(c);
	return NULL;
}

static void *accept_all(void *arg)
{
	struct server *s = arg;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		struct connection *c = malloc(sizeof(*c));
		pthread_t thread;

		*c = (struct connection){s, fd};
		AZ(pthread_mutex_lock(&s->lock));
		s->connections++;
		AZ(pthread_mutex_unlock(&s->lock));
		AZ(pthread_create(&thread, NULL, serve, c));
		AZ(pthread_detach(thread));
	}
	return NULL;
}

/* They live as long as the process: their threads may still look at them. */
static struct server *servers;

static struct server *server_new(const char *answer, unsigned delay_ms)
{
	struct server *s = calloc(1, sizeof(*s));
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	pthread_t thread;

	s->next = servers;
	servers = s;
	AZ(pthread_mutex_init(&s->lock, NULL));
	AZ(sem_init(&s->go, 0, 0));
	s->answer = answer;
	s->delay_ms = delay_ms;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AZ(bind(s->fd, (struct sockaddr *)&address, size));
	AZ(listen(s->fd, 64));
	AZ(getsockname(s->fd, (struct sockaddr *)&address, &size));
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", ntohs(address.sin_port));
	AZ(pthread_create(&thread, NULL, accept_all, s));
	AZ(pthread_detach(thread));
	return s;
}

static struct http_client *new_client(size_t parallel)
{
	struct http_client_options options = {.parallel = parallel};
	struct http_client *client;
	struct error err;

	AZ(http_client_new(&client, &options, &err));
	return client;
}

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Some-Thing:  a b \r\n\r\nhello"

static void an_answer_has_status_headers_and_body(void **state UNUSED)
{
	CLEANUP(http_client_freep) struct http_client *client = new_client(1);
	struct server *server = server_new(OK_HELLO, 0);
	const char *const headers[] = {"Accept: a/b", NULL};
	CLEANUP(http_call_done) struct http_call call;

	http_call_init(&call, "GET", server->url, 100);
	call.headers = headers;
	http_client_run(client, &call, 1);
	assert_int_equal(call.err.code, ERROR_NONE);
	assert_int_equal(call.status, 200);
	assert_true(call.sent);
	assert_slice(buf_slice(&call.response_body), "hello");
	assert_slice(http_call_header(&call, "x-some-thing"), "a b");
	assert_null(http_call_header(&call, "x-some").p);
	assert_non_null(strstr(server->last, "GET / HTTP/1.1\r\n"));
	assert_non_null(strstr(server->last, "Accept: a/b\r\n"));
	assert_null(strstr(server->last, "Content-"));
}

static void a_line_break_in_a_header_ends_the_call_before_anything_is_sent(void **state UNUSED)
{
	static const char *const breaks[] = {
		"X-Change-Reason: a\r\nX-Other: b", "X-A: a\nX-B: b", "X-A: a\rX-B: b", "X-A: a\n"};
	CLEANUP(http_client_freep) struct http_client *client = new_client(1);
	struct server *server = server_new(OK_HELLO, 0);

	for (size_t i = 0; i < ARRAY_SIZE(breaks); i++) {
		const char *const headers[] = {"Accept: a/b", breaks[i], NULL};
		CLEANUP(http_call_done) struct http_call call;

		http_call_init(&call, "GET", server->url, 100);
		call.headers = headers;
		http_client_run(client, &call, 1);
		assert_int_equal(call.err.code, ERROR_INVALID);
		assert_non_null(strstr(call.err.text, "line break"));
		assert_int_equal(call.status, 0);
		assert_false(call.sent);
	}
	assert_string_equal(server->last, "");
}

static void a_body_goes_out_with_its_length_and_without_expect(void **state UNUSED)
{
	CLEANUP(http_client_freep) struct http_client *client = new_client(1);
	struct server *server = server_new(OK_HELLO, 0);
	const char *const headers[] = {"Content-Type: a/b", NULL};
	CLEANUP(http_call_done) struct http_call call;

	http_call_init(&call, "PUT", server->url, 100);
	call.headers = headers;
	call.send_body = true;
	call.body = SLICE("a\0b");
	http_client_run(client, &call, 1);
	assert_int_equal(call.status, 200);
	assert_non_null(strstr(server->last, "PUT / HTTP/1.1\r\n"));
	assert_non_null(strstr(server->last, "Content-Length: 3\r\n"));
	assert_non_null(strstr(server->last, "Content-Type: a/b\r\n"));
	assert_null(strstr(server->last, "Expect"));

	call.headers = NULL;
	call.body = SLICE_NONE;
	call.method = "POST";
	http_client_run(client, &call, 1);
	assert_int_equal(call.status, 200);
	assert_non_null(strstr(server->last, "Content-Length: 0\r\n"));
	assert_null(strstr(server->last, "Content-Type"));
	assert_int_equal(server->connections, 1);
}

static void the_answer_to_head_has_no_body(void **state UNUSED)
{
	CLEANUP(http_client_freep) struct http_client *client = new_client(1);
	struct server *server = server_new("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", 0);
	CLEANUP(http_call_done) struct http_call call;

	http_call_init(&call, "HEAD", server->url, 0);
	http_client_run(client, &call, 1);
	assert_int_equal(call.status, 200);
	assert_slice(http_call_header(&call, "content-length"), "5000");
}

static void an_interim_answer_is_forgotten(void **state UNUSED)
{
	CLEANUP(http_client_freep) struct http_client *client = new_client(1);
	struct server *server = server_new("HTTP/1.1 103 Early Hints\r\nLink: early\r\n\r\n"
					   "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
		0);
	CLEANUP(http_call_done) struct http_call call;

	http_call_init(&call, "GET", server->url, 100);
	http_client_run(client, &call, 1);
	assert_int_equal(call.status, 404);
	assert_null(http_call_header(&call, "link").p);
}

static void too_long_a_body_is_an_error_but_the_body_of_an_error_is_cut(void **state UNUSED)
{
	CLEANUP(http_client_freep) struct http_client *client = new_client(1);
	struct server *fine = server_new(OK_HELLO, 0);
	struct server *sorry =
		server_new("HTTP/1.1 500 Sorry\r\nContent-Length: 5\r\n\r\nsorry", 0);
	CLEANUP(http_call_done) struct http_call call;

	http_call_init(&call, "GET", fine->url, 4);
	http_client_run(client, &call, 1);
	assert_int_equal(call.err.code, ERROR_TOO_LARGE);
	assert_int_equal(call.status, 0);
	call.url = sorry->url;
	http_client_run(client, &call, 1);
	assert_int_equal(call.status, 500);
	assert_slice(buf_slice(&call.response_body), "sorr");
}

static void half_an_answer_is_none(void **state UNUSED)
{
	CLEANUP(http_client_freep) struct http_client *client = new_client(1);
	struct server *server = server_new(
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhalf", 0);
	CLEANUP(http_call_done) struct http_call call;

	http_call_init(&call, "GET", server->url, 100);
	http_client_run(client, &call, 1);
	assert_int_equal(call.status, 0);
	assert_int_equal(call.err.code, ERROR_UNAVAILABLE);
	assert_true(call.sent);
}

static void silence_ends_with_the_timeout_and_a_closed_port_at_once(void **state UNUSED)
{
	CLEANUP(http_client_freep) struct http_client *client = new_client(2);
	struct server *server = server_new(NULL, 0);
	struct http_call calls[2];
	uint64_t began_ms = clock_monotonic_ms();

	http_call_init(&calls[0], "GET", server->url, 100);
	calls[0].timeout_ms = 200;
	http_call_init(&calls[1], "GET", "http://127.0.0.1:1/a?secret", 100);
	http_client_run(client, calls, 2);
	assert_int_equal(calls[0].err.code, ERROR_UNAVAILABLE);
	assert_true(calls[0].sent);
	assert_int_equal(calls[1].err.code, ERROR_UNAVAILABLE);
	assert_false(calls[1].sent);
	assert_null(strstr(calls[1].err.text, "secret"));
	assert_true(clock_monotonic_ms() - began_ms >= 200);
	http_call_done(&calls[0]);
	http_call_done(&calls[1]);
}

static void only_web_addresses_without_a_password_are_called(void **state UNUSED)
{
	static const char *const urls[] = {
		"ftp://127.0.0.1/x", "file:///etc/passwd", "http://user:password@127.0.0.1/", ""};
	CLEANUP(http_client_freep) struct http_client *client = new_client(1);

	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		CLEANUP(http_call_done) struct http_call call;

		http_call_init(&call, "GET", urls[i], 100);
		http_client_run(client, &call, 1);
		assert_int_equal(call.status, 0);
		assert_int_equal(call.err.code, ERROR_INVALID);
		assert_null(strstr(call.err.text, "password@"));
	}
}

static void no_more_calls_run_at_one_time_than_allowed(void **state UNUSED)
{
	enum { CALLS = 12 };
	CLEANUP(http_client_freep) struct http_client *client = new_client(3);
	struct server *server = server_new(OK_HELLO, 20);
	struct http_call calls[CALLS];

	for (size_t i = 0; i < CALLS; i++)
		http_call_init(&calls[i], "GET", server->url, 100);
	http_client_run(client, calls, CALLS);
	for (size_t i = 0; i < CALLS; i++) {
		assert_int_equal(calls[i].status, 200);
		http_call_done(&calls[i]);
	}
	assert_int_equal(server->most_running, 3);
	assert_int_equal(server->connections, 3);
}

/* A conversation of so many calls, each started by the end of the one before. */
struct conversation {
	struct http_client *client;
	struct http_call call;
	unsigned left, delay_ms;
	uint64_t ended_ms;
};

static void go_on(struct http_call *call, void *arg)
{
	struct conversation *c = arg;

	assert_int_equal(call->status, 200);
	if (--c->left > 0)
		http_client_start(c->client, call, c->delay_ms);
	else
		c->ended_ms = clock_monotonic_ms();
}

static void a_conversation_goes_on_while_another_waits(void **state UNUSED)
{
	CLEANUP(http_client_freep) struct http_client *client = new_client(1);
	struct server *server = server_new(OK_HELLO, 0);
	struct conversation waits = {.client = client, .left = 2, .delay_ms = 300};
	struct conversation hurries = {.client = client, .left = 20};
	struct conversation *both[] = {&waits, &hurries};
	uint64_t began_ms = clock_monotonic_ms();

	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		http_call_init(&both[i]->call, "GET", server->url, 100);
		both[i]->call.ended = go_on;
		both[i]->call.arg = both[i];
		http_client_start(client, &both[i]->call, 0);
	}
	http_client_drain(client);
	assert_int_equal(waits.left, 0);
	assert_int_equal(hurries.left, 0);
	assert_true(waits.ended_ms - began_ms >= 300);
	assert_true(hurries.ended_ms < waits.ended_ms);
	http_call_done(&waits.call);
	http_call_done(&hurries.call);
}

/* ---- streams ---- */

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

struct stream {
	struct http_client *client;
	struct server *server;
	struct buf got;
	unsigned pieces, woken, ended;
	struct http_call *call, *other;
};

static void stream_call(struct stream *s, struct http_call *call, struct server *server,
	int (*data)(struct slice piece, void *arg, struct error *err))
{
	s->server = server;
	s->call = call;
	buf_init(&s->got, 1000);
	http_call_init(call, "GET", server->url, 100);
	call->data = data;
	call->arg = s;
}

static int gather(struct slice piece, void *arg, struct error *err UNUSED)
{
	struct stream *s = arg;

	s->pieces++;
	buf_add(&s->got, piece);
	AZ(sem_post(&s->server->go));
	return 0;
}

static void a_good_answer_is_streamed_as_it_comes(void **state UNUSED)
{
	CLEANUP(http_client_freep) struct http_client *client = new_client(1);
	struct server *server = server_new(CHUNKED "3\r\none\r\n", 0);
	CLEANUP(http_call_done) struct http_call call;
	struct stream s = {.client = client};

	server->rest = "3\r\ntwo\r\n0\r\n\r\n"; /* only once "one" has been taken */
	stream_call(&s, &call, server, gather);
	call.timeout_ms = 20000;
	http_client_run(client, &call, 1);
	assert_int_equal(call.err.code, ERROR_NONE);
	assert_int_equal(call.status, 200);
	assert_slice(buf_slice(&s.got), "onetwo");
	assert_int_equal(s.pieces, 2);
	assert_int_equal(call.response_body.len, 0);
	buf_done(&s.got);
}

static void the_body_of_an_error_is_not_streamed(void **state UNUSED)
{
	CLEANUP(http_client_freep) struct http_client *client = new_client(1);
	struct server *server = server_new("HTTP/1.1 410 Gone\r\nContent-Length: 4\r\n\r\ngone", 0);
	CLEANUP(http_call_done) struct http_call call;
	struct stream s = {.client = client};

	stream_call(&s, &call, server, gather);
	http_client_run(client, &call, 1);
	assert_int_equal(call.status, 410);
	assert_slice(buf_slice(&call.response_body), "gone");
	assert_int_equal(s.pieces, 0);
}

static int dislike(struct slice piece, void *arg UNUSED, struct error *err)
{
	return error_set(err, ERROR_UNPROCESSABLE, "%.*s is not welcome", SLICE_ARG(piece));
}

static void who_takes_a_stream_may_end_it_with_an_error_of_its_own(void **state UNUSED)
{
	CLEANUP(http_client_freep) struct http_client *client = new_client(1);
	struct server *server = server_new(CHUNKED "3\r\none\r\n", 0);
	CLEANUP(http_call_done) struct http_call call;
	struct stream s = {.client = client};

	stream_call(&s, &call, server, dislike);
	http_client_run(client, &call, 1);
	assert_int_equal(call.status, 0);
	assert_int_equal(call.err.code, ERROR_UNPROCESSABLE);
	assert_string_equal(call.err.text, "one is not welcome");
}

static void a_stream_that_falls_silent_ends(void **state UNUSED)
{
	CLEANUP(http_client_freep) struct http_client *client = new_client(2);
	struct server *streams = server_new(CHUNKED "3\r\none\r\n", 0);
	struct server *silent = server_new(NULL, 0);
	struct stream s[2] = {{.client = client}, {.client = client}};
	struct http_call calls[2];

	stream_call(&s[0], &calls[0], streams, gather);
	stream_call(&s[1], &calls[1], silent, gather);
	for (size_t i = 0; i < 2; i++) {
		calls[i].idle_ms = 1000;
		calls[i].timeout_ms = 600000;
	}
	http_client_run(client, calls, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(calls[i].err.code, ERROR_UNAVAILABLE);
		http_call_done(&calls[i]);
		buf_done(&s[i].got);
	}
	assert_int_equal(s[0].pieces, 1);
}

/* ---- waking and giving up ---- */

static struct http_client *new_woken_client(
	struct stream *s, void (*woken)(void *arg), unsigned tick_ms, size_t parallel)
{
	struct http_client_options options = {
		.parallel = parallel, .woken = woken, .woken_arg = s, .tick_ms = tick_ms};
	struct error err;

	AZ(http_client_new(&s->client, &options, &err));
	return s->client;
}

static void count_end(struct http_call *call UNUSED, void *arg)
{
	struct stream *s = arg;

	s->ended++;
}

static int gather_and_wake(struct slice piece, void *arg, struct error *err)
{
	struct stream *s = arg;

	http_client_wake(s->client);
	return gather(piece, arg, err);
}

static void give_up(void *arg)
{
	struct stream *s = arg;

	s->woken++;
	http_client_cancel(s->client, s->call);
	assert_int_equal(s->ended, 1);
}

static void a_stream_can_be_given_up_when_woken(void **state UNUSED)
{
	struct stream s = {.ended = 0};
	CLEANUP(http_client_freep) struct http_client *client = new_woken_client(&s, give_up, 0, 1);
	CLEANUP(http_call_done) struct http_call call;

	stream_call(&s, &call, server_new(CHUNKED "3\r\none\r\n", 0), gather_and_wake);
	call.ended = count_end;
	call.timeout_ms = 600000;
	http_client_run(client, &call, 1);
	assert_int_equal(s.woken, 1);
	assert_slice(buf_slice(&s.got), "one");
	assert_int_equal(call.status, 0);
	assert_int_equal(call.err.code, ERROR_UNAVAILABLE);
	assert_non_null(strstr(call.err.text, "given up"));
	buf_done(&s.got);
}

static void give_up_other(struct http_call *call, void *arg)
{
	struct stream *s = arg;

	assert_int_equal(call->status, 200);
	http_client_cancel(s->client, s->other);
}

static void a_call_that_has_not_begun_can_be_given_up(void **state UNUSED)
{
	CLEANUP(http_client_freep) struct http_client *client = new_client(1);
	struct server *server = server_new(OK_HELLO, 0);
	struct stream s = {.client = client};
	struct http_call call, other;

	http_call_init(&call, "GET", server->url, 100);
	call.ended = give_up_other;
	call.arg = &s;
	http_call_init(&other, "GET", server->url, 100);
	other.ended = count_end;
	other.arg = &s;
	s.other = &other;
	http_client_start(client, &other, 3600 * 1000);
	http_client_start(client, &call, 0);
	http_client_drain(client);
	assert_int_equal(s.ended, 1);
	assert_int_equal(other.err.code, ERROR_UNAVAILABLE);
	assert_false(other.sent);

	s.ended = 0;
	http_client_run(client, &other, 1); /* as good as new */
	assert_int_equal(other.status, 200);
	http_call_done(&call);
	http_call_done(&other);
}

static void a_call_given_up_leaves_the_others(void **state UNUSED)
{
	enum { CALLS = 5 };
	CLEANUP(http_client_freep) struct http_client *client = new_client(CALLS);
	struct server *server = server_new(OK_HELLO, 50), *silent = server_new(NULL, 0);
	struct stream s = {.client = client};
	struct http_call calls[CALLS];

	for (size_t i = 0; i < CALLS; i++)
		http_call_init(&calls[i], "GET", i == 0 ? silent->url : server->url, 100);
	calls[0].ended = count_end;
	calls[0].arg = &s;
	calls[1].ended = give_up_other;
	calls[1].arg = &s;
	s.other = &calls[0];
	http_client_run(client, calls, CALLS);
	assert_int_equal(s.ended, 1);
	assert_int_equal(calls[0].err.code, ERROR_UNAVAILABLE);
	for (size_t i = 1; i < CALLS; i++)
		assert_int_equal(calls[i].status, 200);
	for (size_t i = 0; i < CALLS; i++)
		http_call_done(&calls[i]);
}

static void leave(void *arg)
{
	struct stream *s = arg;

	s->woken++;
	http_client_leave(s->client);
}

static void a_wake_before_serving_is_not_lost(void **state UNUSED)
{
	struct stream s = {.ended = 0};
	CLEANUP(http_client_freep) struct http_client *client = new_woken_client(&s, leave, 0, 1);

	for (unsigned i = 1; i <= 3; i++) {
		http_client_wake(client);
		http_client_serve(client);
		assert_int_equal(s.woken, i);
	}
}

static void *wake_and_wait(void *arg)
{
	struct stream *s = arg;

	for (unsigned i = 0; i < 200; i++) {
		http_client_wake(s->client);
		AZ(sem_wait(&s->server->go));
	}
	return NULL;
}

static void leave_after_200(void *arg)
{
	struct stream *s = arg;

	if (++s->woken == 200)
		http_client_leave(s->client);
	AZ(sem_post(&s->server->go));
}

/* The client's own wait is a second: were any wake noticed only then, this would take minutes. */
static void another_thread_wakes_at_once_and_every_time(void **state UNUSED)
{
	struct stream s = {.server = server_new(NULL, 0)};
	CLEANUP(http_client_freep)
	struct http_client *client = new_woken_client(&s, leave_after_200, 0, 1);
	uint64_t began_ms = clock_monotonic_ms();
	pthread_t thread;

	AZ(pthread_create(&thread, NULL, wake_and_wait, &s));
	http_client_serve(client);
	AZ(pthread_join(thread, NULL));
	assert_int_equal(s.woken, 200);
	assert_true(clock_monotonic_ms() - began_ms < 100 * 1000);
}

static void start_and_leave(struct http_call *call, void *arg)
{
	struct stream *s = arg;

	assert_int_equal(call->status, 200);
	s->ended++;
	http_client_leave(s->client);
}

static void start_at_third_tick(void *arg)
{
	struct stream *s = arg;

	if (++s->woken == 3)
		http_client_start(s->client, s->call, 0);
}

static void who_serves_hears_a_tick_and_may_start_calls(void **state UNUSED)
{
	struct stream s = {.ended = 0};
	CLEANUP(http_client_freep)
	struct http_client *client = new_woken_client(&s, start_at_third_tick, 20, 1);
	CLEANUP(http_call_done) struct http_call call;

	stream_call(&s, &call, server_new(OK_HELLO, 0), NULL);
	call.ended = start_and_leave;
	http_client_serve(client);
	assert_int_equal(s.ended, 1);
	assert_true(s.woken >= 3);
}

static void references_are_resolved_against_the_url_of_their_request(void **state UNUSED)
{
	static const struct {
		const char *base, *reference, *joined;
	} cases[] = {
		{"http://h:1/v2/a/uploads/", "/x?y=1", "http://h:1/x?y=1"},
		{"http://h:1/v2/a/uploads/?q=2", "7", "http://h:1/v2/a/uploads/7"},
		{"http://h:1/v2/a/list", "?last=b", "http://h:1/v2/a/list?last=b"},
		{"http://h:1/a", "https://other/b", "https://other/b"},
		{"https://h/a", "//other:2/b", "https://other:2/b"},
		{"http://h/a", "ftp://x/", "ftp://x/"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_FREE char *joined = NULL;
		struct error err = ERROR_INIT;

		assert_int_equal(
			http_url_join(&joined, cases[i].base, cases[i].reference, &err), 0);
		assert_string_equal(joined, cases[i].joined);
	}
}

static void the_origin_of_a_url_ends_before_its_path(void **state UNUSED)
{
	assert_slice(http_url_origin("http://h:1/a?b"), "http://h:1");
	assert_slice(http_url_origin("https://[::1]?b"), "https://[::1]");
	assert_slice(http_url_origin("https://h"), "https://h");
	assert_slice(http_url_origin("/a/b"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_has_status_headers_and_body),
		cmocka_unit_test(a_line_break_in_a_header_ends_the_call_before_anything_is_sent),
		cmocka_unit_test(a_body_goes_out_with_its_length_and_without_expect),
		cmocka_unit_test(the_answer_to_head_has_no_body),
		cmocka_unit_test(an_interim_answer_is_forgotten),
		cmocka_unit_test(too_long_a_body_is_an_error_but_the_body_of_an_error_is_cut),
		cmocka_unit_test(half_an_answer_is_none),
		cmocka_unit_test(silence_ends_with_the_timeout_and_a_closed_port_at_once),
		cmocka_unit_test(only_web_addresses_without_a_password_are_called),
		cmocka_unit_test(no_more_calls_run_at_one_time_than_allowed),
		cmocka_unit_test(a_conversation_goes_on_while_another_waits),
		cmocka_unit_test(a_good_answer_is_streamed_as_it_comes),
		cmocka_unit_test(the_body_of_an_error_is_not_streamed),
		cmocka_unit_test(who_takes_a_stream_may_end_it_with_an_error_of_its_own),
		cmocka_unit_test(a_stream_that_falls_silent_ends),
		cmocka_unit_test(a_stream_can_be_given_up_when_woken),
		cmocka_unit_test(a_call_that_has_not_begun_can_be_given_up),
		cmocka_unit_test(a_call_given_up_leaves_the_others),
		cmocka_unit_test(a_wake_before_serving_is_not_lost),
		cmocka_unit_test(another_thread_wakes_at_once_and_every_time),
		cmocka_unit_test(who_serves_hears_a_tick_and_may_start_calls),
		cmocka_unit_test(references_are_resolved_against_the_url_of_their_request),
		cmocka_unit_test(the_origin_of_a_url_ends_before_its_path),
	};

	signal(SIGPIPE, SIG_IGN);
	setenv("no_proxy", "127.0.0.1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
