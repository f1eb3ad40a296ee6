/* SPDX-License-Identifier: Apache-2.0 */
/* One request and its answer, as the service sees it. */
#include "http/connection.h"

#include <errno.h>

/* What a body may bring past libevent before the other connections of the loop have their turn. */
#define TURN_MAX (4 * LIMIT_HTTP_WINDOW)

struct http_handle {
	struct mail mail;
	struct loop *loop;
	struct http_exchange *x; /* NULL: gone. On the loop's thread only. */
	LIST_ENTRY(http_handle) in_exchange;
	void (*fn)(struct http_exchange *x, void *arg);
	void *arg;
};

/* ---- life ---- */

struct http_exchange *exchange_take(struct loop *loop)
{
	struct http_exchange *x = TAKE_PTR(loop->spare);

	if (x != NULL)
		return x;
	x = calloc(1, sizeof(*x));
	if (x != NULL)
		buf_init(&x->raw, LIMIT_HTTP_HEAD);
	return x;
}

static void free_exchange(struct http_exchange *x)
{
	buf_done(&x->raw);
	free(x);
}

void exchange_give_back(struct loop *loop, struct http_exchange *x)
{
	struct buf raw = x->raw;

	/* The parser fills the head anew; the rest must be as in a new one. */
	memset(x, 0, offsetof(struct http_exchange, head));
	x->raw = raw;
	if (loop->spare == NULL)
		loop->spare = x;
	else
		free_exchange(x);
}

void exchange_free_spare(struct loop *loop)
{
	if (loop->spare != NULL)
		free_exchange(TAKE_PTR(loop->spare));
}

int exchange_begin(
	struct http_exchange *x, struct conn *c, const char *p, size_t head_size, struct error *err)
{
	struct slice target;

	buf_reset(&x->raw);
	buf_append(&x->raw, p, head_size);
	if (buf_check(&x->raw, err) != 0)
		return -1;
	http_head_rebase(&x->head, p, x->raw.data);
	target = x->head.target;
	x->path = slice_cut(&target, '?');
	x->query = target;
	x->c = c;
	LIST_INIT(&x->handles);

	c->x = x;
	c->minor = x->head.minor;
	c->is_head = slice_eq(x->head.method, SLICE("HEAD"));
	c->keep = x->head.keep_alive;
	c->continue_wanted = x->head.expect_continue;
	c->probed = false;
	c->body_since_ms = c->body_paused_ms = c->body_bytes = 0;
	http_body_init(&c->body, &x->head);
	request_begin(c);
	return 0;
}

void exchange_detach(struct http_exchange *x)
{
	struct http_handle *handle;

	while ((handle = LIST_FIRST(&x->handles)) != NULL) {
		LIST_REMOVE(handle, in_exchange);
		handle->x = NULL;
	}
}

void exchange_end(struct http_exchange *x)
{
	struct conn *c = x->c;

	exchange_detach(x);
	if (x->reading == READING_STREAM)
		x->sink.gone(x->reading_arg);
	if (x->free_data != NULL)
		x->free_data(x->data);
	buf_done(&x->body);
	server_return_memory(c->server, x->body_memory);
	ASSERT(c->request.past == NULL);
	c->request.past = x;
}

/* The service may act on an exchange until it has answered. */
static struct conn *open_conn(const struct http_exchange *x)
{
	struct conn *c = x->c;

	ASSERT(c != NULL && loop_is_mine(c->loop));
	ASSERT(c->x == x && c->state == CONN_SERVICE);
	return c;
}

/* It lives on while it answers with a source. */
static struct conn *live_conn(const struct http_exchange *x)
{
	struct conn *c = x->c;

	ASSERT(c != NULL && loop_is_mine(c->loop) && c->x == x);
	ASSERT(c->state == CONN_SERVICE || c->reply.source.next != NULL);
	return c;
}

/* ---- the request ---- */

const struct http_head *http_exchange_head(const struct http_exchange *x)
{
	return &x->head;
}

struct slice http_exchange_path(const struct http_exchange *x)
{
	return x->path;
}

struct slice http_exchange_query(const struct http_exchange *x)
{
	return x->query;
}

const char *http_exchange_peer(const struct http_exchange *x)
{
	return x->c->peer;
}

bool http_exchange_is_tls(const struct http_exchange *x)
{
	return is_secure(x->c);
}

void http_exchange_set_route(struct http_exchange *x, const char *route, bool probe)
{
	open_conn(x);
	x->route = route;
	x->probe = probe;
}

void http_exchange_set_data(struct http_exchange *x, void *data, void (*free_data)(void *data))
{
	ASSERT(loop_is_mine(x->c->loop) && x->free_data == NULL);
	x->data = data;
	x->free_data = free_data;
}

/* ---- the body ---- */

static void begin_reading(struct http_exchange *x, enum reading reading, void *arg)
{
	struct conn *c = open_conn(x);

	ASSERT(!x->was_read);
	x->was_read = true;
	x->reading = reading;
	x->reading_arg = arg;
	conn_time_body(c, clock_monotonic_ms());
	conn_ready(c);
}

void http_exchange_collect(struct http_exchange *x, size_t max,
	void (*done)(struct http_exchange *x, struct slice body, void *arg), void *arg)
{
	begin_reading(x, READING_WHOLE, arg);
	x->done = done;
	buf_init(&x->body, max);
}

void http_exchange_collect_large(struct http_exchange *x, size_t max,
	const struct http_admission *admission,
	void (*done)(struct http_exchange *x, struct slice body, void *arg), void *arg)
{
	http_exchange_collect(x, max, done, arg);
	x->admission = *admission;
}

struct http_collected {
	struct http_server *server;
	size_t memory; /* of its budget */
	struct buf text;
};

struct http_collected *http_exchange_take_body(struct http_exchange *x)
{
	struct http_collected *body = malloc(sizeof(*body));

	ASSERT(x->was_read && x->reading == READING_NOT);
	if (body == NULL)
		return NULL;
	*body = (struct http_collected){x->c->server, x->body_memory, x->body};
	x->body_memory = 0;
	buf_init(&x->body, 0);
	return body;
}

struct slice http_collected_text(const struct http_collected *body)
{
	return buf_slice(&body->text);
}

void http_collected_free(struct http_collected *body)
{
	if (body == NULL)
		return;
	buf_done(&body->text);
	server_return_memory(body->server, body->memory);
	free(body);
}

void http_exchange_stream(struct http_exchange *x, const struct http_sink *sink, void *arg)
{
	begin_reading(x, READING_STREAM, arg);
	x->sink = *sink;
}

void http_exchange_pause(struct http_exchange *x)
{
	open_conn(x);
	ASSERT(x->reading == READING_STREAM);
	if (x->paused)
		return;
	x->paused = true;
	x->paused_at_ms = clock_monotonic_ms();
}

void http_exchange_resume(struct http_exchange *x)
{
	struct conn *c = open_conn(x);

	ASSERT(x->reading == READING_STREAM);
	if (!x->paused)
		return;
	x->paused = false;
	c->body_paused_ms += clock_monotonic_ms() - x->paused_at_ms;
	conn_ready(c);
}

static void body_too_large(struct conn *c, size_t max)
{
	struct error err = ERROR_INIT;

	error_set(&err, ERROR_TOO_LARGE, "the body must be at most %zu bytes", max);
	conn_fail(c, &err, false);
}

/* Asks once. False: it is over. */
static bool is_admitted(struct http_exchange *x)
{
	struct conn *c = x->c;
	int (*admit)(struct http_exchange * x, size_t declared, void *arg, struct error *err) =
		x->admission.admit;
	bool is_declared = c->body.framing == HTTP_LENGTH;
	size_t size = x->body.len + (is_declared ? (size_t)c->body.left : 0);
	struct error err = ERROR_INIT;

	if (admit == NULL || size <= x->admission.small)
		return true;
	x->admission.admit = NULL;
	if (admit(x, is_declared ? size : x->body.max, x->reading_arg, &err) != 0) {
		conn_fail(c, &err, false);
		return false;
	}
	x->is_large = true;
	return true;
}

/* What the buffer has grown by is asked of the server's budget afterwards, so that can be exceeded
 * by one buffer per loop for a moment. */
static void collect(struct http_exchange *x, struct slice data)
{
	struct conn *c = x->c;
	struct error err = ERROR_INIT;
	size_t more;

	buf_add(&x->body, data);
	more = x->body.cap - x->body_memory;
	if (x->body.failed == ERROR_TOO_LARGE) {
		body_too_large(c, x->body.max);
	} else if (buf_check(&x->body, &err) != 0) {
		conn_fail(c, &err, false);
	} else if (!server_take_memory(c->server, more, x->body.cap <= 2 * LIMIT_HTTP_SMALL)) {
		error_set(&err, ERROR_UNAVAILABLE,
			"the bodies of other requests take all memory there is for them; try again "
			"in a moment");
		conn_fail(c, &err, true);
	} else {
		x->body_memory += more;
		is_admitted(x);
	}
}

static void hand_over(struct http_exchange *x, struct slice data)
{
	if (x->reading == READING_STREAM)
		x->sink.data(x, data, x->reading_arg);
	else
		collect(x, data);
}

static void hand_over_end(struct http_exchange *x)
{
	enum reading reading = x->reading;

	x->reading = READING_NOT;
	if (reading == READING_STREAM)
		x->sink.end(x, x->reading_arg);
	else
		x->done(x, buf_slice(&x->body), x->reading_arg);
}

/* Asks for the body, now that the service wants it; not when it is on its way already. */
static void send_continue(struct conn *c)
{
	c->continue_wanted = false;
	if (evbuffer_get_length(c->input) == 0)
		conn_send(c, SLICE("HTTP/1.1 100 Continue\r\n\r\n"), 0);
}

/* Returns how many bytes of the input were used up, or -1 when that has ended the exchange. */
static ssize_t feed(struct conn *c, struct slice input)
{
	struct error err = ERROR_INIT;
	struct slice data;
	ssize_t used = http_body_feed(&c->body, input.p, input.n, &data, &err);

	if (used < 0) {
		conn_fail(c, &err, true);
		return -1;
	}
	c->body_bytes += (uint64_t)used;
	c->request.body += (uint64_t)used;
	if (data.n > 0)
		hand_over(c->x, data);
	return used;
}

/* What the socket has of a body, when nothing of it waits in the input buffer. Saves the loop two
 * system calls for every 4 KiB, as libevent reads no more at a time. Never more than is left of the
 * body: behind it comes the next request, and that is libevent's. False: nothing for now. */
static bool receive_now(struct conn *c)
{
	struct buf *piece = &c->loop->piece;
	size_t max = c->body.left < LIMIT_HTTP_WINDOW ? (size_t)c->body.left : LIMIT_HTTP_WINDOW;
	ssize_t n;
	char *room;

	if (c->body.framing != HTTP_LENGTH || c->received >= TURN_MAX)
		return false;
	buf_reset(piece);
	room = buf_room(piece, max);
	if (room == NULL)
		return false;
	n = transport_receive(c, room, max);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		conn_break(c);
		return true;
	}
	c->received += (size_t)n;
	feed(c, (struct slice){room, (size_t)n});
	return true;
}

bool service_step(struct conn *c)
{
	struct http_exchange *x = c->x;
	struct slice input;
	ssize_t used;

	if (x->reading == READING_NOT || x->paused)
		return false;
	if (x->reading == READING_WHOLE && c->body.framing == HTTP_LENGTH &&
		c->body.left > x->body.max - x->body.len) {
		body_too_large(c, x->body.max);
		return true;
	}
	if (x->reading == READING_WHOLE && !is_admitted(x))
		return true;
	if (c->continue_wanted) {
		send_continue(c);
		return true;
	}
	if (c->body.done) {
		hand_over_end(x);
		return true;
	}
	input = conn_input(c);
	if (input.n == 0 && !c->eof)
		return receive_now(c);
	if (input.n == 0) {
		conn_break(c);
		return true;
	}
	used = feed(c, input);
	if (used > 0)
		evbuffer_drain(c->input, (size_t)used);
	return true;
}

/* ---- the answer ---- */

void http_exchange_reply(struct http_exchange *x, struct http_reply *reply)
{
	struct conn *c = open_conn(x);

	x->reading = READING_NOT;
	if (reply->source.next == NULL)
		exchange_detach(x);
	http_reply_done(&c->reply);
	c->reply = *reply;
	http_reply_init(reply, 200);
	conn_set_state(c, CONN_ANSWER);
	conn_ready(c);
}

void http_exchange_resume_source(struct http_exchange *x)
{
	struct conn *c = live_conn(x);

	if (!c->source_waits)
		return;
	c->source_waits = false;
	conn_ready(c);
}

/* ---- handles ---- */

static void deliver_handle(struct mail *mail, struct loop *loop)
{
	struct http_handle *handle = (struct http_handle *)mail; /* its first member */

	if (handle->x != NULL)
		LIST_REMOVE(handle, in_exchange);
	loop->n_handles--;
	handle->fn(handle->x, handle->arg);
	free(handle);
}

struct http_handle *http_exchange_handle(struct http_exchange *x)
{
	struct conn *c = live_conn(x);
	struct http_handle *handle = calloc(1, sizeof(*handle));

	if (handle == NULL)
		return NULL;
	handle->mail.deliver = deliver_handle;
	handle->loop = c->loop;
	handle->x = x;
	LIST_INSERT_HEAD(&x->handles, handle, in_exchange);
	c->loop->n_handles++;
	return handle;
}

void http_handle_post(
	struct http_handle *handle, void (*fn)(struct http_exchange *x, void *arg), void *arg)
{
	handle->fn = fn;
	handle->arg = arg;
	loop_post(handle->loop, &handle->mail);
}
