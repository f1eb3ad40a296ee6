/* SPDX-License-Identifier: Apache-2.0 */
#include "http/connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Input comes in pieces of 4 KiB (libevent's own choice). Where more waits it is handed on in
 * larger ones, so that a service which passes each piece to another thread does so less often. */
#define PIECE_MIN LIMIT_HTTP_HEAD /* so a head that has come is always in one */
#define PIECE_MAX (64 * KIB)

/* ---- states ---- */

static bool idle_step(struct conn *c);
static bool head_step(struct conn *c);
static bool flush_step(struct conn *c);
static bool linger_step(struct conn *c);

static bool dead_step(struct conn *c UNUSED)
{
	return false;
}

#define TO(state) (1u << (state))

/* A step does what can be done now; true: look again. Every state may end in CONN_DEAD. */
static const struct {
	bool (*step)(struct conn *c);
	unsigned next;
} states[CONN_STATES_] = {
	[CONN_IDLE] = {idle_step, TO(CONN_HEAD) | TO(CONN_ANSWER) | TO(CONN_FLUSH)},
	[CONN_HEAD] = {head_step, TO(CONN_SERVICE) | TO(CONN_ANSWER) | TO(CONN_FLUSH)},
	[CONN_SERVICE] = {service_step, TO(CONN_ANSWER)},
	[CONN_ANSWER] = {answer_step, TO(CONN_SOURCE) | TO(CONN_DISCARD) | TO(CONN_FLUSH)},
	[CONN_SOURCE] = {source_step, TO(CONN_DISCARD) | TO(CONN_FLUSH)},
	[CONN_DISCARD] = {discard_step, TO(CONN_FLUSH)},
	[CONN_FLUSH] = {flush_step, TO(CONN_IDLE) | TO(CONN_LINGER)},
	[CONN_LINGER] = {linger_step, 0},
	[CONN_DEAD] = {dead_step, 0},
};

void conn_set_state(struct conn *c, enum conn_state state)
{
	ASSERT(state == CONN_DEAD || (states[c->state].next & TO(state)) != 0);
	c->state = state;
	c->deadline_ms = 0;
}

static void set_deadline(struct conn *c, unsigned ms)
{
	c->deadline_ms = clock_monotonic_ms() + ms;
}

void conn_ready(struct conn *c)
{
	if (c->is_ready)
		return;
	c->is_ready = true;
	STAILQ_INSERT_TAIL(&c->loop->ready, c, in_ready);
}

void conn_break(struct conn *c)
{
	conn_set_state(c, CONN_DEAD);
	conn_ready(c);
}

struct slice conn_input(struct conn *c)
{
	size_t n = evbuffer_get_contiguous_space(c->input);
	size_t all = evbuffer_get_length(c->input);
	size_t more = n >= PIECE_MIN || all <= n ? n : all < PIECE_MAX ? all : PIECE_MAX;
	const void *p = evbuffer_pullup(c->input, (ev_ssize_t)more);

	if (p != NULL)
		return (struct slice){p, more};
	return (struct slice){(const char *)evbuffer_pullup(c->input, (ev_ssize_t)n), n};
}

static void conn_free(struct conn *c)
{
	if (c->x != NULL)
		exchange_end(TAKE_PTR(c->x));
	request_over(c);
	http_reply_done(&c->reply);
	LIST_REMOVE(c, in_loop);
	transport_close(c);
	server_release(c->server);
	free(c);
}

/* Reading only as much as was just used would end in very many very small reads. So it stops when a
 * window is full, and starts again when half of it is used up. What comes while the service has
 * paused stays in the kernel, where receive_now() finds it. */
static bool wants_input(const struct conn *c)
{
	size_t max = c->stopped ? LIMIT_HTTP_WINDOW / 2 : LIMIT_HTTP_WINDOW;

	if (c->state == CONN_SERVICE && c->x->paused)
		return false;
	return evbuffer_get_length(c->input) < max;
}

static void regulate_input(struct conn *c)
{
	bool stop = !wants_input(c);

	if (stop == c->stopped)
		return;
	c->stopped = stop;
	transport_read(c, !stop);
}

void conns_run(struct loop *loop)
{
	struct conn *c;

	while ((c = STAILQ_FIRST(&loop->ready)) != NULL) {
		STAILQ_REMOVE_HEAD(&loop->ready, in_ready);
		c->received = 0;
		do
			while (states[c->state].step(c))
				;
		while (transport_flush(c));
		c->is_ready = false;
		if (c->state != CONN_DEAD)
			regulate_input(c);
		if (c->state == CONN_DEAD)
			conn_free(c);
	}
}

/* ---- steps ---- */

/* The last answer goes out, and that is the end. */
static void finish(struct conn *c)
{
	if (evbuffer_get_length(c->output) == 0) {
		transport_end(c);
		conn_set_state(c, CONN_DEAD);
		return;
	}
	c->keep = false;
	conn_set_state(c, CONN_FLUSH);
}

static bool idle_step(struct conn *c)
{
	bool empty = evbuffer_get_length(c->input) == 0;

	if (server_draining(c->server) || (empty && c->eof)) {
		finish(c);
		return true;
	}
	if (empty)
		return false;
	conn_set_state(c, CONN_HEAD);
	c->request.started_us = clock_monotonic_us();
	c->deadline_ms = c->request.started_us / 1000 + server_limits(c->server)->head_ms;
	c->scanned = 0;
	return true;
}

static void refuse_head(struct conn *c, const struct error *err)
{
	c->body = (struct http_body){.done = true};
	c->minor = 1;
	c->is_head = false;
	c->continue_wanted = false;
	conn_fail(c, err, true);
}

static void begin_exchange(struct conn *c, struct http_exchange *x, const char *p, size_t head_size)
{
	const struct http_service *service = server_service(c->server);
	struct error err = ERROR_INIT;

	if (exchange_begin(x, c, p, head_size, &err) != 0) {
		exchange_give_back(c->loop, x);
		refuse_head(c, &err);
		return;
	}
	evbuffer_drain(c->input, head_size);
	conn_set_state(c, CONN_SERVICE);
	service->handle(x, service->arg);
}

static bool has_new_line(const struct conn *c, struct slice input)
{
	return c->scanned < input.n &&
	       memchr(input.p + c->scanned, '\n', input.n - c->scanned) != NULL;
}

/* The head is parsed anew only when another line has come, so a client that sends it byte by byte
 * gains nothing. */
static bool head_step(struct conn *c)
{
	struct slice input = conn_input(c);
	struct http_exchange *x = exchange_take(c->loop);
	struct error err = ERROR_INIT;
	ssize_t size = 0;

	if (x == NULL) {
		error_no_memory(&err);
		refuse_head(c, &err);
		return true;
	}
	if (has_new_line(c, input) || input.n >= LIMIT_HTTP_HEAD)
		size = http_head_parse(&x->head, input.p, input.n, &err);
	c->scanned = input.n;
	if (size > 0) {
		begin_exchange(c, x, input.p, (size_t)size);
		return true;
	}
	exchange_give_back(c->loop, x);
	if (size < 0)
		refuse_head(c, &err);
	else if (c->eof)
		finish(c);
	return size < 0 || c->eof;
}

/* The answer is queued. The next request may begin before the client has taken all of it, but only
 * when it is there already: an idle connection has nothing to send. */
static bool flush_step(struct conn *c)
{
	size_t left = evbuffer_get_length(c->output);

	if (c->keep) {
		if (left > 0 && (left >= LIMIT_HTTP_WINDOW || evbuffer_get_length(c->input) == 0))
			return false;
		request_over(c);
		conn_set_state(c, CONN_IDLE);
		set_deadline(c, server_limits(c->server)->idle_ms);
		return true;
	}
	evbuffer_drain(c->input, evbuffer_get_length(c->input));
	if (left > 0)
		return false;
	request_over(c);
	transport_end(c);
	if (c->eof) {
		conn_set_state(c, CONN_DEAD);
		return true;
	}
	/* Closing now, with bytes of the client unread, would send a reset, and that can take the
	 * answer away from it (RFC 9112 section 9.6). */
	shutdown(c->fd, SHUT_WR);
	conn_set_state(c, CONN_LINGER);
	set_deadline(c, LIMIT_HTTP_LINGER_MS);
	return true;
}

static bool linger_step(struct conn *c)
{
	evbuffer_drain(c->input, evbuffer_get_length(c->input));
	if (c->eof)
		conn_set_state(c, CONN_DEAD);
	return false;
}

void conn_fail(struct conn *c, const struct error *err, bool close)
{
	request_begin(c);
	if (c->x != NULL)
		exchange_end(TAKE_PTR(c->x));
	reply_from_error(&c->reply, server_service(c->server), err);
	c->reply.close = c->reply.close || close;
	conn_set_state(c, CONN_ANSWER);
	conn_ready(c);
}

/* ---- its begin ---- */

void conn_greeted(struct conn *c)
{
	if (c->state == CONN_IDLE)
		set_deadline(c, server_limits(c->server)->idle_ms);
}

void conn_refuse_plain(struct conn *c)
{
	struct error err = ERROR_INIT;

	error_set(&err, ERROR_INVALID, "this port speaks TLS: use https://");
	refuse_head(c, &err);
}

/* A handshake has as long as a request's head. */
static unsigned first_deadline_ms(struct http_server *server)
{
	const struct http_limits *limits = server_limits(server);

	return server_tls(server) != NULL ? limits->head_ms : limits->idle_ms;
}

struct conn *conn_new(struct loop *loop, struct http_server *server, int fd)
{
	static const struct timeval every = {.tv_usec = TICK_MS * 1000};
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		close(fd);
		return NULL;
	}
	c->loop = loop;
	c->server = server;
	c->fd = fd;
	if (transport_open(c, server_tls(server)) != 0) {
		transport_close(c);
		free(c);
		return NULL;
	}
	c->request.started_us = clock_monotonic_us();
	c->taken_at_ms = c->request.started_us / 1000;
	http_reply_init(&c->reply, 200);
	set_deadline(c, first_deadline_ms(server));
	if (LIST_EMPTY(&loop->conns))
		event_add(loop->tick, &every);
	LIST_INSERT_HEAD(&loop->conns, c, in_loop);
	return c;
}

/* ---- deadlines ---- */

static bool waits_for_body(const struct conn *c)
{
	if (c->body_since_ms == 0 || c->body.done)
		return false;
	return c->state == CONN_DISCARD ||
	       (c->state == CONN_SERVICE && c->x->reading != READING_NOT && !c->x->paused);
}

void conn_time_body(struct conn *c, uint64_t now)
{
	c->body_since_ms = now;
	c->body_paused_ms = c->body_bytes = 0;
}

/* Judged period by period, so that what came fast at first does not pay for a long silence. */
static bool body_is_slow(struct conn *c, uint64_t now)
{
	const struct http_limits *limits = server_limits(c->server);
	bool is_large =
		c->state == CONN_SERVICE && (c->x->is_large || c->x->body.len > LIMIT_HTTP_SMALL);
	unsigned rate = is_large ? limits->large_rate : limits->body_rate;
	uint64_t elapsed = now - c->body_since_ms - c->body_paused_ms;
	uint64_t bytes = c->body_bytes;

	if (elapsed <= limits->body_grace_ms)
		return false;
	conn_time_body(c, now);
	return bytes * 1000 / elapsed < rate;
}

/* Has the client taken nothing of what waits for it, for too long? */
static bool output_stalls(struct conn *c, uint64_t now)
{
	size_t left = evbuffer_get_length(c->output);
	uint64_t taken = c->queued - left;

	if (left == 0 || taken != c->taken) {
		c->taken = taken;
		c->taken_at_ms = now;
	}
	return now - c->taken_at_ms > server_limits(c->server)->send_stall_ms;
}

static void fail_slow(struct conn *c, const char *why)
{
	struct error err = ERROR_INIT;

	error_set(&err, ERROR_TIMEOUT, "%s", why);
	conn_fail(c, &err, true);
}

/* A client that has said its last byte has left, or it still reads (RFC 9112 section 9.6). Only
 * bytes sent to it tell: where it is gone they are answered with a reset. An interim answer is what
 * one that reads must skip (RFC 9110 section 15.2). libevent no longer looks at the socket then. */
static void probe_client(struct conn *c, uint64_t now)
{
	struct pollfd socket = {.fd = c->fd};
	bool old = now - c->request.started_us / 1000 >= LIMIT_HTTP_PROBE_MS;

	if (c->probed) {
		if (poll(&socket, 1, 0) > 0 && (socket.revents & (POLLERR | POLLHUP)) != 0)
			conn_break(c);
	} else if (old && c->minor == 1 && c->body.done && evbuffer_get_length(c->output) == 0) {
		c->probed = true;
		conn_send(c, SLICE("HTTP/1.1 100 Continue\r\n\r\n"), 0);
		conn_ready(c);
	}
}

static void conn_tick(struct conn *c, uint64_t now)
{
	bool expired = c->deadline_ms != 0 && now >= c->deadline_ms;

	if (c->state == CONN_DEAD)
		return;
	if (output_stalls(c, now))
		conn_break(c);
	else if (c->state == CONN_HEAD && expired)
		fail_slow(c, "the request took too long to arrive; send its headers at once");
	else if (expired)
		conn_break(c);
	else if (waits_for_body(c) && body_is_slow(c, now)) {
		if (c->state == CONN_SERVICE)
			fail_slow(c, "the body arrives too slowly; send it faster");
		else
			conn_break(c);
	} else if (c->state == CONN_SERVICE && c->eof) {
		probe_client(c, now);
	}
}

void conns_tick(struct loop *loop)
{
	uint64_t now = clock_monotonic_ms();
	struct conn *c;

	LIST_FOREACH(c, &loop->conns, in_loop)
	conn_tick(c, now);
	conns_run(loop);
}
