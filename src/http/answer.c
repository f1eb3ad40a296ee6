/* SPDX-License-Identifier: Apache-2.0 */
/* Sending answers: head, body in one of its three forms, and what is left of the request's body. */
#include "http/connection.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* A source that gives less has worked for it: others have their turn before it goes on. */
#define SHORT_PIECE KIB

/* ---- bytes ---- */

static void free_bytes(const void *sent UNUSED, size_t n UNUSED, void *data)
{
	free(data);
}

/* What the socket takes at once, when nothing waits before it. Saves the loop two system calls and
 * a turn for nearly every answer. */
static size_t send_now(struct conn *c, struct slice a, struct slice b, int flags)
{
	ssize_t n;

	if (evbuffer_get_length(c->output) > 0)
		return 0;
	n = transport_send(c, a, b, flags);
	if (n >= 0)
		return (size_t)n;
	if (errno != EAGAIN && errno != EINTR)
		conn_break(c);
	return 0;
}

static void queue(struct conn *c, struct slice bytes)
{
	if (bytes.n > 0 && evbuffer_add(c->output, bytes.p, bytes.n) != 0)
		conn_break(c);
}

static struct slice after(struct slice s, size_t n)
{
	return n < s.n ? (struct slice){s.p + n, s.n - n} : SLICE_NONE;
}

void conn_send(struct conn *c, struct slice bytes, int flags)
{
	c->queued += bytes.n;
	queue(c, after(bytes, send_now(c, bytes, SLICE_NONE, flags)));
}

/* The body's memory goes to the output buffer where it has to wait. */
static void send_with_body(struct conn *c, struct slice head, struct buf *body)
{
	size_t sent = send_now(c, head, buf_slice(body), 0), len = body->len;
	char *data;

	c->queued += head.n + len;
	queue(c, after(head, sent));
	sent = sent > head.n ? sent - head.n : 0;
	if (sent == len)
		return;
	data = buf_take(body);
	if (evbuffer_add_reference(c->output, data + sent, len - sent, free_bytes, data) != 0) {
		free(data);
		conn_break(c);
	}
}

static void queue_file(struct conn *c)
{
	int fd = c->reply.fd;
	struct evbuffer_file_segment *segment;

	ASSERT(c->reply.offset <= INT64_MAX && c->reply.length <= INT64_MAX);
	segment = evbuffer_file_segment_new(
		fd, (ev_off_t)c->reply.offset, (ev_off_t)c->reply.length, EVBUF_FS_CLOSE_ON_FREE);
	if (segment == NULL) {
		conn_break(c);
		return;
	}
	c->reply.fd = -1; /* the segment's now */
	if (evbuffer_add_file_segment(c->output, segment, 0, (ev_off_t)c->reply.length) == 0)
		evbuffer_file_segment_free(segment); /* libevent has done so where it failed */
	else
		conn_break(c);
	c->queued += c->reply.length;
}

/* ---- a file, by way of our memory ---- */

struct file_source {
	int fd;
	uint64_t at, left;
};

static int file_next(void *arg, struct buf *piece)
{
	struct file_source *f = arg;
	size_t max = f->left < LIMIT_HTTP_WINDOW ? (size_t)f->left : LIMIT_HTTP_WINDOW;
	char *room = buf_room(piece, max);
	ssize_t n = room != NULL ? pread(f->fd, room, max, (off_t)f->at) : -1;

	if (n <= 0)
		return -1;
	buf_claim(piece, (size_t)n);
	f->at += (uint64_t)n;
	f->left -= (uint64_t)n;
	return f->left > 0 ? 1 : 0;
}

static void file_free(void *arg)
{
	AUTO_FREE struct file_source *f = arg;

	close(f->fd);
}

/* What is encrypted cannot go from the file to the socket. Mapping it would: but a file that has
 * become shorter would end the process. */
static void make_file_source(struct conn *c)
{
	struct file_source *f = malloc(sizeof(*f));

	if (f == NULL) {
		conn_break(c);
		return;
	}
	*f = (struct file_source){c->reply.fd, c->reply.offset, c->reply.length};
	c->reply.fd = -1;
	c->reply.source = (struct http_source){file_next, file_free, f};
}

/* ---- the head ---- */

static bool has_body(const struct conn *c)
{
	return !c->is_head && c->reply.status != 204 && c->reply.status != 304;
}

/* The bytes that the body has, or would have where it is not sent. */
static uint64_t body_length(const struct conn *c)
{
	const struct http_reply *reply = &c->reply;

	if (reply->fd >= 0 || (reply->body.len == 0 && !has_body(c)))
		return reply->length;
	return reply->body.len;
}

/* No length with 204 (RFC 9110 section 8.6), and none with 304 where it is not known. */
static bool says_length(const struct conn *c)
{
	if (c->reply.source.next != NULL || c->reply.status == 204)
		return false;
	return c->reply.status != 304 || body_length(c) > 0;
}

static struct slice make_head(struct conn *c)
{
	struct buf *b = &c->loop->head;
	char line[128];
	int n;

	c->request.status = c->reply.status;
	buf_reset(b);
	n = snprintf(line, sizeof(line), "HTTP/1.1 %d %s\r\nDate: %s\r\n", c->reply.status,
		http_reason(c->reply.status), loop_date(c->loop));
	buf_append(b, line, (size_t)n);
	if (says_length(c)) {
		n = snprintf(line, sizeof(line), "Content-Length: %" PRIu64 "\r\n", body_length(c));
		buf_append(b, line, (size_t)n);
	}
	if (c->chunked)
		buf_puts(b, "Transfer-Encoding: chunked\r\n");
	if (!c->keep)
		buf_puts(b, "Connection: close\r\n");
	else if (c->minor == 0)
		buf_puts(b, "Connection: keep-alive\r\n");
	if (c->request.id.n > 0) {
		buf_puts(b, "X-Request-Id: ");
		buf_add(b, c->request.id);
		buf_puts(b, "\r\n");
	}
	buf_add(b, buf_slice(&c->reply.headers));
	buf_puts(b, "\r\n");
	return buf_slice(b);
}

/* ---- the request's body, unread ---- */

/* Drops what of it has come. False when its framing is bad. */
static bool drop_body(struct conn *c)
{
	struct slice input;

	while (!c->body.done && (input = conn_input(c)).n > 0) {
		struct error ignored = ERROR_INIT;
		struct slice data;
		ssize_t used = http_body_feed(&c->body, input.p, input.n, &data, &ignored);

		if (used < 0)
			return false;
		c->body_bytes += (uint64_t)used;
		c->request.body += (uint64_t)used;
		evbuffer_drain(c->input, (size_t)used);
	}
	return true;
}

/* Can the next request be found after this one's body? When little of it is left, or none. A
 * client that still waits for 100 Continue may or may not send it (RFC 9110 section 10.1.1). */
static bool can_find_next(struct conn *c)
{
	if (c->body.done)
		return true;
	if (!drop_body(c))
		return false;
	if (c->body.done)
		return true;
	return c->body.framing == HTTP_LENGTH && c->body.left <= LIMIT_HTTP_DISCARD &&
	       !c->continue_wanted;
}

static bool may_keep(struct conn *c)
{
	bool last = c->eof && evbuffer_get_length(c->input) == 0;
	bool until_close = c->reply.source.next != NULL && c->minor == 0 && has_body(c);

	return c->keep && !c->reply.close && !last && !until_close && !server_draining(c->server) &&
	       can_find_next(c);
}

/* ---- steps ---- */

/* All of the answer is queued. */
static void end_answer(struct conn *c)
{
	if (c->x != NULL)
		exchange_end(TAKE_PTR(c->x));
	http_reply_done(&c->reply);
	if (c->state == CONN_DEAD)
		return;
	c->request.answered = true;
	if (!c->keep || c->body.done) {
		conn_set_state(c, CONN_FLUSH);
		return;
	}
	conn_time_body(c, clock_monotonic_ms());
	conn_set_state(c, CONN_DISCARD);
}

static void replace_failed_reply(struct conn *c)
{
	struct error err = ERROR_INIT;

	if (c->reply.headers.failed == ERROR_NONE && c->reply.body.failed == ERROR_NONE)
		return;
	error_set(&err, ERROR_UNAVAILABLE, "the answer does not fit in memory; try again later");
	reply_from_error(&c->reply, server_service(c->server), &err);
}

bool answer_step(struct conn *c)
{
	struct slice head;

	replace_failed_reply(c);
	c->source_waits = false;
	c->keep = may_keep(c);
	c->chunked = c->reply.source.next != NULL && c->minor == 1 && has_body(c);
	head = make_head(c);
	if (c->loop->head.failed != ERROR_NONE) {
		conn_break(c);
		return true;
	}
	if (!has_body(c) || body_length(c) == 0) {
		conn_send(c, head, 0);
	} else if (c->reply.fd >= 0) {
		conn_send(c, head, MSG_MORE);
		if (is_secure(c))
			make_file_source(c);
		else
			queue_file(c);
	} else {
		send_with_body(c, head, &c->reply.body);
	}
	if (c->state == CONN_ANSWER && c->reply.source.next != NULL && has_body(c))
		conn_set_state(c, CONN_SOURCE);
	else
		end_answer(c);
	return true;
}

static void queue_piece(struct conn *c, struct slice piece)
{
	char line[24];
	int n = snprintf(line, sizeof(line), "%zx\r\n", piece.n);
	size_t before = evbuffer_get_length(c->output);

	if (c->chunked)
		queue(c, (struct slice){line, (size_t)n});
	queue(c, piece);
	if (c->chunked)
		queue(c, SLICE("\r\n"));
	c->queued += evbuffer_get_length(c->output) - before;
}

/* A source that waits might do so for ever: it is over when the client has said its last byte,
 * which most often is all that we hear of one that left, and when the server is about to go. */
static bool waits_in_vain(const struct conn *c)
{
	return c->source_waits && (c->eof || server_draining(c->server));
}

/* By way of the output buffer, so that a client which reads fast has to wait for its next turn;
 * after a short piece it waits too. */
bool source_step(struct conn *c)
{
	struct buf *piece = &c->loop->piece;
	int more = HTTP_SOURCE_WAITS;

	if (!c->keep)
		evbuffer_drain(c->input, evbuffer_get_length(c->input));
	if (evbuffer_get_length(c->output) >= LIMIT_HTTP_WINDOW)
		return false;
	buf_reset(piece);
	if (!c->source_waits)
		more = c->reply.source.next(c->reply.source.arg, piece);
	if (more < 0 || piece->failed != ERROR_NONE) {
		conn_break(c);
		return true;
	}
	ASSERT(more == 0 || (more == HTTP_SOURCE_WAITS) == (piece->len == 0));
	c->source_waits = more == HTTP_SOURCE_WAITS;
	if (waits_in_vain(c))
		more = 0;
	if (piece->len > 0)
		queue_piece(c, buf_slice(piece));
	if (more == 0) {
		if (c->chunked)
			conn_send(c, SLICE("0\r\n\r\n"), 0);
		end_answer(c);
	}
	return more == 0 || piece->len >= SHORT_PIECE;
}

bool discard_step(struct conn *c)
{
	bool good = drop_body(c);

	if (good && !c->body.done && !c->eof)
		return false;
	if (!c->body.done)
		c->keep = false;
	conn_set_state(c, CONN_FLUSH);
	return true;
}
