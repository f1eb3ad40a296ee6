/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS on a connection. Not by libevent's bufferevent for it: that writes each of its buffer's
 * pieces whole before any of it counts as taken, maps files into memory (so one that is cut short
 * would end the process), and asks the kernel twice for each record.
 *
 * What is to be sent waits in the output until conns_run is through with the connection's steps:
 * so a small answer, or several, are one record.
 */
#include "http/connection.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>

#define RECORD_MAX SSL3_RT_MAX_PLAIN_LENGTH
#define HANDSHAKE 0x16 /* the first byte of every TLS connection (RFC 8446 section 5.1) */

/* Those that somebody has left on this thread would be taken for ours. Looking is much cheaper. */
static void forget_errors(void)
{
	if (ERR_peek_error() != 0)
		ERR_clear_error();
}

/* ---- reading ---- */

/* OpenSSL stays inside SSL_read() for as long as records without data come, such as KeyUpdate: a
 * client could keep the loop there. After too many it is as if the client had closed. */
static void on_record(int is_ours, int version UNUSED, int type, const void *head UNUSED,
	size_t n UNUSED, SSL *ssl, void *arg)
{
	struct secure *s = arg;

	if (!is_ours && type == SSL3_RT_HEADER && s->records++ == LIMIT_TLS_RECORDS)
		SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN);
}

/* As recv(2). */
static ssize_t read_record(struct conn *c, char *ret, size_t max)
{
	struct secure *s = &c->secure;
	int n;

	forget_errors();
	n = SSL_read(s->ssl, ret, (int)max);
	if (n > 0) {
		s->records = 0;
		s->dry = SSL_has_pending(s->ssl) == 0;
		return n;
	}
	s->dry = false;
	errno = EPROTO;
	switch (SSL_get_error(s->ssl, n)) {
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_WANT_READ:
		s->dry = true;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_WANT_WRITE:
		s->dry = s->read_blocked = true;
		event_del(s->readable);
		event_add(s->writable, NULL);
		errno = EAGAIN;
		return -1;
	default:
		return -1;
	}
}

ssize_t secure_receive(struct conn *c, char *ret, size_t max)
{
	size_t all = 0;
	ssize_t n;

	do {
		n = read_record(c, ret + all, max - all);
		all += n > 0 ? (size_t)n : 0;
	} while (n > 0 && all < max);
	return all > 0 ? (ssize_t)all : n;
}

/* What has come goes to the input; the handshake happens on the way. */
static void take_records(struct conn *c)
{
	struct secure *s = &c->secure;
	char bytes[RECORD_MAX];
	ssize_t n;

	do {
		n = read_record(c, bytes, sizeof(bytes));
		if (n > 0 && evbuffer_add(c->input, bytes, (size_t)n) != 0)
			n = -1;
	} while (n > 0 && !s->dry && evbuffer_get_length(c->input) < LIMIT_HTTP_WINDOW);
	if (n == 0) {
		c->eof = true;
		event_del(s->readable);
	} else if (n < 0 && errno != EAGAIN) {
		conn_break(c);
	}
	if (!s->greeted && SSL_is_init_finished(s->ssl)) {
		s->greeted = true;
		conn_greeted(c);
	}
}

static void become_plain(struct conn *c)
{
	if (c->state != CONN_IDLE) { /* one connection too many: its answer cannot be given */
		conn_break(c);
		return;
	}
	secure_close(c);
	if (transport_open_plain(c) == 0)
		conn_refuse_plain(c);
	else
		conn_break(c);
}

static void begin(struct conn *c)
{
	unsigned char first;
	ssize_t n = recv(c->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n == 1 && first != HANDSHAKE) {
		become_plain(c);
	} else if (n == 1) {
		c->secure.begun = true;
		take_records(c);
	} else if (n == 0 || errno != EAGAIN) {
		conn_break(c);
	}
}

static void on_readable(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct conn *c = arg;
	struct loop *loop = c->loop;

	if (c->secure.begun)
		take_records(c);
	else
		begin(c);
	conn_ready(c);
	conns_run(loop);
}

/* The socket says nothing of what was read from it already. By a timer, so that other connections
 * have their turn before. */
static void read_rest(struct conn *c)
{
	static const struct timeval soon = {.tv_usec = 0};

	if (!c->secure.dry && !c->stopped && !c->eof)
		event_add(c->secure.again, &soon);
}

void secure_read(struct conn *c, bool wanted)
{
	if (!wanted) {
		event_del(c->secure.readable);
		event_del(c->secure.again);
	} else if (!c->eof && !c->secure.read_blocked) {
		if (event_add(c->secure.readable, NULL) != 0)
			conn_set_state(c, CONN_DEAD);
		read_rest(c);
	}
}

/* ---- writing ---- */

/* The next n bytes of the output, copied only where they are in pieces. */
static const void *peek_output(struct conn *c, size_t n, char copy[RECORD_MAX])
{
	if (evbuffer_get_contiguous_space(c->output) >= n)
		return evbuffer_pullup(c->output, (ev_ssize_t)n);
	evbuffer_copyout(c->output, copy, n);
	return copy;
}

/* One record of the output. When the socket takes only a part of it, the same bytes are offered
 * again, with those that have come since. */
static bool write_record(struct conn *c)
{
	size_t all = evbuffer_get_length(c->output), max = all < RECORD_MAX ? all : RECORD_MAX;
	char copy[RECORD_MAX];
	int n;

	forget_errors();
	n = SSL_write(c->secure.ssl, peek_output(c, max, copy), (int)max);
	if (n > 0) {
		evbuffer_drain(c->output, (size_t)n);
		return true;
	}
	if (SSL_get_error(c->secure.ssl, n) == SSL_ERROR_WANT_WRITE)
		event_add(c->secure.writable, NULL);
	else
		conn_break(c);
	return false;
}

/* A window of it, then other connections have their turn. */
static void write_output(struct conn *c)
{
	size_t before = evbuffer_get_length(c->output), left = before;
	bool more = true;

	while (more && left > 0 && before - left < LIMIT_HTTP_WINDOW) {
		more = write_record(c);
		left = evbuffer_get_length(c->output);
	}
	if (more && (left > 0 || c->state == CONN_SOURCE))
		event_add(c->secure.writable, NULL);
}

bool secure_flush(struct conn *c)
{
	bool waits = evbuffer_get_length(c->output) > 0;

	if (c->state == CONN_DEAD || !c->secure.greeted)
		return false;
	if (waits)
		write_output(c);
	if (waits && c->state == CONN_FLUSH && evbuffer_get_length(c->output) == 0)
		return true;
	read_rest(c);
	return false;
}

static void on_writable(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct conn *c = arg;
	struct loop *loop = c->loop;

	if (c->secure.read_blocked) {
		c->secure.read_blocked = false;
		secure_read(c, !c->stopped);
		take_records(c);
	}
	conn_ready(c);
	conns_run(loop);
}

/* ---- life ---- */

int secure_open(struct conn *c, struct http_tls *tls)
{
	struct secure *s = &c->secure;
	struct event_base *base = c->loop->base;

	s->ssl = tls_session(tls);
	s->readable = event_new(base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
	s->writable = event_new(base, c->fd, EV_WRITE, on_writable, c);
	s->again = evtimer_new(base, on_readable, c);
	c->input = evbuffer_new();
	c->output = evbuffer_new();
	if (s->ssl == NULL || s->readable == NULL || s->writable == NULL || s->again == NULL ||
		c->input == NULL || c->output == NULL || SSL_set_fd(s->ssl, c->fd) != 1)
		return -1;
	SSL_set_accept_state(s->ssl);
	SSL_set_msg_callback(s->ssl, on_record);
	SSL_set_msg_callback_arg(s->ssl, s);
	s->dry = true;
	return event_add(s->readable, NULL);
}

void secure_close(struct conn *c)
{
	struct secure *s = &c->secure;

	if (s->readable != NULL)
		event_free(s->readable);
	if (s->writable != NULL)
		event_free(s->writable);
	if (s->again != NULL)
		event_free(s->again);
	if (c->input != NULL)
		evbuffer_free(TAKE_PTR(c->input));
	if (c->output != NULL)
		evbuffer_free(TAKE_PTR(c->output));
	SSL_free(s->ssl);
	*s = (struct secure){.ssl = NULL};
}

void secure_end(struct conn *c)
{
	if (SSL_is_init_finished(c->secure.ssl)) {
		forget_errors();
		SSL_shutdown(c->secure.ssl);
	}
}
