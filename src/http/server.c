/* SPDX-License-Identifier: Apache-2.0 */
/* Listening, accepting, counting and draining. */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "http/connection.h"
#include "http/local_address.h"
#include "http/uri.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOCAL_PREFIX SLICE("unix:")
#define BACKLOG 4096
#define ACCEPT_MAX 16       /* connections taken at once, so that the other loops get some too */
#define ACCEPT_RETRY_MS 100 /* after running out of file descriptors */

const struct http_limits http_limits_default = {
	.connections = LIMIT_HTTP_CONNECTIONS,
	.head_ms = LIMIT_HTTP_HEAD_MS,
	.idle_ms = LIMIT_HTTP_IDLE_MS,
	.body_grace_ms = LIMIT_HTTP_BODY_GRACE_MS,
	.body_rate = LIMIT_HTTP_BODY_RATE,
	.large_rate = LIMIT_HTTP_LARGE_RATE,
	.send_stall_ms = LIMIT_HTTP_SEND_STALL_MS,
	.collected = LIMIT_HTTP_COLLECTED,
	.reserved = LIMIT_HTTP_RESERVED,
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* One loop's interest in the listening socket, which all loops share. */
struct listener {
	struct http_server *server;
	struct loop *loop;
	struct event *accept;
	struct event *retry; /* pending instead of accept for a moment when accepting fails */
	bool failing;        /* and that was logged */
};

struct http_server {
	struct http_loops *loops;
	struct http_service service;
	struct http_limits limits;
	struct http_tls *tls;
	int fd;
	uint16_t port;              /* 0: a Unix socket, */
	struct local_address local; /* which is there until the server drains */
	atomic_bool draining;
	atomic_size_t collected; /* bytes of memory that bodies hold */

	pthread_mutex_t lock; /* guards n_connections */
	pthread_cond_t empty;
	size_t n_connections;

	struct listener listeners[]; /* one per loop */
};

const struct http_service *server_service(const struct http_server *server)
{
	return &server->service;
}

const struct http_limits *server_limits(const struct http_server *server)
{
	return &server->limits;
}

struct http_tls *server_tls(const struct http_server *server)
{
	return server->tls;
}

bool server_draining(const struct http_server *server)
{
	return atomic_load_explicit(&server->draining, memory_order_relaxed);
}

uint16_t http_server_port(const struct http_server *server)
{
	return server->port;
}

/* ---- counting ---- */

enum admission { ADMITTED, REFUSED, CLOSED };

static enum admission admit(struct http_server *server)
{
	enum admission admission = ADMITTED;

	AZ(pthread_mutex_lock(&server->lock));
	if (server->n_connections >= server->limits.connections + LIMIT_HTTP_REFUSALS)
		admission = CLOSED;
	else if (server->n_connections++ >= server->limits.connections)
		admission = REFUSED;
	AZ(pthread_mutex_unlock(&server->lock));
	return admission;
}

void server_release(struct http_server *server)
{
	AZ(pthread_mutex_lock(&server->lock));
	ASSERT(server->n_connections > 0);
	if (--server->n_connections == 0)
		AZ(pthread_cond_broadcast(&server->empty));
	AZ(pthread_mutex_unlock(&server->lock));
}

bool server_take_memory(struct http_server *server, size_t n, bool is_small)
{
	size_t held = atomic_load(&server->collected);
	size_t max = server->limits.collected;

	if (!is_small)
		max -= server->limits.reserved;
	do {
		if (held > max || n > max - held)
			return false;
	} while (!atomic_compare_exchange_weak(&server->collected, &held, held + n));
	return true;
}

void server_return_memory(struct http_server *server, size_t n)
{
	atomic_fetch_sub(&server->collected, n);
}

/* ---- accepting ---- */

static void refuse(struct conn *c)
{
	struct error err = ERROR_INIT;

	error_set(&err, ERROR_UNAVAILABLE, "too many connections are open; try again in a moment");
	conn_fail(c, &err, true);
}

/* IPv4 as such, though the socket may take it as IPv6. */
static void set_peer(struct conn *c, const union address *address)
{
	const struct in6_addr *v6 = &address->v6.sin6_addr;

	if (address->any.sa_family == AF_INET)
		inet_ntop(AF_INET, &address->v4.sin_addr, c->peer, sizeof(c->peer));
	else if (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6))
		inet_ntop(AF_INET, &v6->s6_addr[12], c->peer, sizeof(c->peer));
	else if (address->any.sa_family == AF_INET6)
		inet_ntop(AF_INET6, v6, c->peer, sizeof(c->peer));
}

static void take(struct listener *listener, int fd, const union address *peer)
{
	enum admission admission = admit(listener->server);
	struct conn *c;

	if (admission == CLOSED) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	c = conn_new(listener->loop, listener->server, fd);
	if (c == NULL) {
		server_release(listener->server);
		return;
	}
	set_peer(c, peer);
	if (admission == REFUSED && c->state != CONN_DEAD)
		refuse(c);
}

/* Out of descriptors or memory: the connection stays in the kernel's queue, and asking again at
 * once would spin. */
static void back_off(struct listener *listener, int errnum)
{
	static const struct timeval later = {.tv_usec = ACCEPT_RETRY_MS * 1000};

	if (!listener->failing)
		log_error("cannot accept connections", LOG_STR("error", strerror(errnum)),
			LOG_NUM("port", listener->server->port));
	listener->failing = true;
	event_del(listener->accept);
	event_add(listener->retry, &later);
}

static void on_retry(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct listener *listener = arg;

	event_add(listener->accept, NULL);
}

static bool is_shortage(int errnum)
{
	return errnum == EMFILE || errnum == ENFILE || errnum == ENOBUFS || errnum == ENOMEM;
}

static void on_accept(evutil_socket_t listening, short what UNUSED, void *arg)
{
	struct listener *listener = arg;

	for (int i = 0; i < ACCEPT_MAX; i++) {
		union address peer = {.any.sa_family = AF_UNSPEC};
		socklen_t size = sizeof(peer);
		int fd = accept4(listening, &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			listener->failing = false;
			take(listener, fd, &peer);
		} else if (is_shortage(errno)) {
			back_off(listener, errno);
			break;
		} else if (errno == EAGAIN) {
			break;
		} /* else that connection is gone already; there may be others */
	}
	conns_run(listener->loop);
}

/* ---- listening ---- */

static int listen_at(const struct addrinfo *ai)
{
	AUTO_CLOSE int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int listening;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0)
		return -1;
	if (ai->ai_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int)) != 0)
		return -1;
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
		return -1;
	listening = fd;
	fd = -1;
	return listening;
}

/* All addresses are one IPv6 socket that takes IPv4 too, or IPv4 where there is no IPv6. A name is
 * its IPv4 address first, as clients on this machine expect of "localhost". */
static int listen_on(const char *host, uint16_t port, const char *address, struct error *err)
{
	bool any = host[0] == '\0';
	const int families[] = {any ? AF_INET6 : AF_INET, any ? AF_INET : AF_INET6};
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	int errnum = 0;
	char text[8];

	snprintf(text, sizeof(text), "%u", port);
	for (size_t i = 0; i < ARRAY_SIZE(families) && errnum != EADDRINUSE; i++) {
		struct addrinfo *list;
		int fd;

		hints.ai_family = families[i];
		if (getaddrinfo(any ? NULL : host, text, &hints, &list) != 0)
			continue;
		fd = listen_at(list);
		errnum = errno;
		freeaddrinfo(list);
		if (fd >= 0)
			return fd;
	}
	if (errnum == EADDRINUSE)
		return error_set(err, ERROR_CONFLICT,
			"cannot listen on %s: port %u is taken; stop what listens there or choose "
			"another port",
			address, port);
	if (errnum == 0)
		return error_set(err, ERROR_INVALID,
			"cannot listen on %s: this machine has no address of that name", address);
	return error_set_errno(err, errnum, "cannot listen on %s", address);
}

static uint16_t bound_port(int fd)
{
	union address address = {.v6 = {.sin6_port = 0}};
	socklen_t len = sizeof(address);

	AZ(getsockname(fd, &address.any, &len));
	return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

static int listen_locally(struct http_server *server, const char *path, struct error *err)
{
	AZ(server->tls);
	if (local_address_init(&server->local, path, err) != 0 ||
		local_address_listen(&server->local, BACKLOG, &server->fd, err) != 0)
		return -1;
	return 0;
}

static int start_listening(struct http_server *server, const char *address, struct error *err)
{
	char host[NI_MAXHOST];
	uint16_t port;

	if (slice_starts(slice_of(address), LOCAL_PREFIX))
		return listen_locally(server, address + LOCAL_PREFIX.n, err);
	if (http_address_parse(address, host, sizeof(host), &port, err) != 0)
		return -1;
	server->fd = listen_on(host, port, address, err);
	if (server->fd < 0)
		return -1;
	server->port = bound_port(server->fd);
	return 0;
}

static void stop_listening(struct http_server *server)
{
	if (server->fd < 0)
		return;
	close(server->fd);
	server->fd = -1;
	if (local_address_is_set(&server->local))
		unlink(server->local.sun.sun_path);
}

/* ---- life ---- */

static struct listener *listener_of(struct http_server *server, struct loop *loop)
{
	return &server->listeners[loop - server->loops->loops];
}

static void start_listener(struct loop *loop, void *arg)
{
	struct http_server *server = arg;
	struct listener *listener = listener_of(server, loop);

	listener->server = server;
	listener->loop = loop;
	listener->accept =
		event_new(loop->base, server->fd, EV_READ | EV_PERSIST, on_accept, listener);
	listener->retry = evtimer_new(loop->base, on_retry, listener);
	if (listener->accept != NULL && listener->retry != NULL)
		event_add(listener->accept, NULL);
}

static void stop_listener(struct loop *loop, void *arg)
{
	struct listener *listener = listener_of(arg, loop);
	struct conn *c;

	if (listener->accept != NULL)
		event_free(TAKE_PTR(listener->accept));
	if (listener->retry != NULL)
		event_free(TAKE_PTR(listener->retry));
	LIST_FOREACH(c, &loop->conns, in_loop)
	if (c->server == arg)
		conn_ready(c);
}

static void cut_connections(struct loop *loop, void *arg)
{
	struct conn *c;

	LIST_FOREACH(c, &loop->conns, in_loop)
	if (c->server == arg)
		conn_break(c);
}

static struct http_server *server_alloc(struct http_loops *loops)
{
	struct http_server *server;
	pthread_condattr_t attr;

	server = calloc(1, sizeof(*server) + loops->n * sizeof(server->listeners[0]));
	if (server == NULL)
		return NULL;
	server->loops = loops;
	server->fd = -1;
	server->local = (struct local_address)LOCAL_ADDRESS_NONE;
	AZ(pthread_mutex_init(&server->lock, NULL));
	AZ(pthread_condattr_init(&attr));
	AZ(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	AZ(pthread_cond_init(&server->empty, &attr));
	AZ(pthread_condattr_destroy(&attr));
	return server;
}

int http_server_new(struct http_server **ret, struct http_loops *loops,
	const struct http_server_options *options, const struct http_service *service,
	struct error *err)
{
	struct http_server *server;

	ASSERT(service->handle != NULL && service->error_body != NULL);
	server = server_alloc(loops);
	if (server == NULL)
		return error_no_memory(err);
	server->service = *service;
	server->limits = options->limits != NULL ? *options->limits : http_limits_default;
	server->tls = options->tls;
	if (start_listening(server, options->address, err) != 0) {
		http_server_free(server);
		return -1;
	}
	loops_call(loops, start_listener, server);
	for (size_t i = 0; i < loops->n; i++)
		if (server->listeners[i].accept == NULL || server->listeners[i].retry == NULL) {
			http_server_free(server);
			return error_no_memory(err);
		}
	*ret = server;
	return 0;
}

static void wait_until_empty(struct http_server *server, unsigned timeout_ms)
{
	struct timespec until = clock_deadline((uint64_t)timeout_ms * 1000);
	int errnum = 0;

	AZ(pthread_mutex_lock(&server->lock));
	while (server->n_connections > 0 && errnum == 0)
		errnum = pthread_cond_timedwait(&server->empty, &server->lock, &until);
	AZ(pthread_mutex_unlock(&server->lock));
	ASSERT(errnum == 0 || errnum == ETIMEDOUT);
}

void http_server_drain(struct http_server *server, unsigned timeout_ms)
{
	atomic_store(&server->draining, true);
	loops_call(server->loops, stop_listener, server);
	stop_listening(server);
	wait_until_empty(server, timeout_ms);
	loops_call(server->loops, cut_connections, server);
	ASSERT(server->n_connections == 0);
}

void http_server_free(struct http_server *server)
{
	if (server == NULL)
		return;
	http_server_drain(server, 0);
	ASSERT(server->collected == 0);
	local_address_done(&server->local);
	AZ(pthread_cond_destroy(&server->empty));
	AZ(pthread_mutex_destroy(&server->lock));
	free(server);
}
