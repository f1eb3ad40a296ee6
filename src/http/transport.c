/* SPDX-License-Identifier: Apache-2.0 */
/* Between a connection's buffers and its socket: libevent's bufferevent, or TLS (secure.c). */
#include "http/connection.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- what libevent says ---- */

static void on_progress(struct bufferevent *bev UNUSED, void *arg)
{
	struct conn *c = arg;

	conn_ready(c);
	conns_run(c->loop);
}

static void on_event(struct bufferevent *bev UNUSED, short what, void *arg)
{
	struct conn *c = arg;
	struct loop *loop = c->loop;

	if (what == (BEV_EVENT_READING | BEV_EVENT_EOF))
		c->eof = true; /* legal while we answer: the client has no more requests */
	else
		conn_set_state(c, CONN_DEAD);
	conn_ready(c);
	conns_run(loop);
}

/* ---- life ---- */

int transport_open_plain(struct conn *c)
{
	c->bev = bufferevent_socket_new(c->loop->base, c->fd, BEV_OPT_CLOSE_ON_FREE);
	if (c->bev == NULL)
		return -1;
	c->input = bufferevent_get_input(c->bev);
	c->output = bufferevent_get_output(c->bev);
	bufferevent_setcb(c->bev, on_progress, on_progress, on_event, c);
	bufferevent_setwatermark(c->bev, EV_WRITE, LIMIT_HTTP_WINDOW / 2, 0);
	bufferevent_set_max_single_write(c->bev, LIMIT_HTTP_WINDOW);
	return bufferevent_enable(c->bev, EV_READ);
}

int transport_open(struct conn *c, struct http_tls *tls)
{
	return tls != NULL ? secure_open(c, tls) : transport_open_plain(c);
}

void transport_close(struct conn *c)
{
	if (c->bev != NULL) {
		bufferevent_free(c->bev); /* and closes */
		return;
	}
	secure_close(c);
	close(c->fd);
}

/* ---- bytes ---- */

void transport_read(struct conn *c, bool wanted)
{
	if (is_secure(c))
		secure_read(c, wanted);
	else if (!wanted)
		bufferevent_disable(c->bev, EV_READ);
	else if (!c->eof && bufferevent_enable(c->bev, EV_READ) != 0)
		conn_set_state(c, CONN_DEAD);
}

bool transport_flush(struct conn *c)
{
	return is_secure(c) && secure_flush(c);
}

ssize_t transport_send(struct conn *c, struct slice a, struct slice b, int flags)
{
	struct iovec vec[] = {{(void *)a.p, a.n}, {(void *)b.p, b.n}};
	struct msghdr msg = {.msg_iov = vec, .msg_iovlen = ARRAY_SIZE(vec)};

	if (!is_secure(c))
		return sendmsg(c->fd, &msg, flags | MSG_NOSIGNAL | MSG_DONTWAIT);
	errno = EAGAIN;
	return -1;
}

ssize_t transport_receive(struct conn *c, char *ret, size_t max)
{
	return is_secure(c) ? secure_receive(c, ret, max) : recv(c->fd, ret, max, MSG_DONTWAIT);
}

void transport_end(struct conn *c)
{
	if (is_secure(c))
		secure_end(c);
}
