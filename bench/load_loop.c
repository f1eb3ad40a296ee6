/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load_loop.h"

#include "base/file.h"
#include "bench/load_answer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define BUFFER_SIZE (64 * KIB)
#define EVENTS 256
#define SILENCE_MS 120000 /* of all connections of a thread */

struct client {
	int fd;
	SSL *tls; /* NULL: without */
	size_t i; /* the operation under way */
	uint64_t begin_ns;
	struct loop_request request;
	struct arrival arrival;
	size_t kept; /* at the start of buffer: a head or line that is not whole yet */
	char buffer[BUFFER_SIZE];
};

/* Shared by the threads of a run. */
struct course {
	const struct loop *loop;
	pthread_barrier_t start;
	uint64_t start_ns, deadline_ns;
	_Atomic size_t next;
	_Atomic size_t errors;
};

struct driver {
	struct course *course;
	pthread_t thread;
	int epoll;
	struct client *clients;
	unsigned n, busy;
	uint64_t end_ns;
	struct tally tally;
};

/* ---- what was measured ---- */

void tally_done(struct tally *t)
{
	for (unsigned k = 0; k < LOOP_KINDS; k++)
		free(t->kinds[k].latency_ns);
}

static int tally_reserve(struct tally_kind *kind, size_t n, struct error *err)
{
	size_t room = kind->room == 0 ? 4096 : kind->room;
	uint64_t *grown;

	while (room < kind->n + n)
		room *= 2;
	if (room == kind->room)
		return 0;
	grown = realloc(kind->latency_ns, room * sizeof(*grown));
	if (grown == NULL)
		return error_no_memory(err);
	kind->latency_ns = grown;
	kind->room = room;
	return 0;
}

static int tally_add(struct tally *t, unsigned kind, uint64_t latency_ns, struct error *err)
{
	struct tally_kind *k = &t->kinds[kind];

	if (k->n == k->room && tally_reserve(k, 1, err) != 0)
		return -1;
	k->latency_ns[k->n++] = latency_ns;
	return 0;
}

static int tally_merge(struct tally *to, const struct tally *from, struct error *err)
{
	for (unsigned k = 0; k < LOOP_KINDS; k++) {
		struct tally_kind *kind = &to->kinds[k];
		const struct tally_kind *more = &from->kinds[k];

		to->bytes[k] += from->bytes[k];
		if (more->n == 0)
			continue;
		if (tally_reserve(kind, more->n, err) != 0)
			return -1;
		memcpy(kind->latency_ns + kind->n, more->latency_ns,
			more->n * sizeof(more->latency_ns[0]));
		kind->n += more->n;
	}
	if (to->errors == 0)
		to->err = from->err;
	to->errors += from->errors;
	return 0;
}

struct result tally_result(struct tally *t, unsigned kind)
{
	struct result r = {.count = t->kinds[kind].n,
		.errors = t->errors,
		.seconds = t->seconds,
		.bytes = t->bytes[kind],
		.cores = t->seconds > 0 ? t->cpu_seconds / t->seconds : 0,
		.err = t->err};

	result_percentiles(&r, t->kinds[kind].latency_ns);
	return r;
}

/* ---- a client ---- */

static int client_open(struct client *c, const struct target *target, int epoll, struct error *err)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

	if (target_connect(target, &c->fd, &c->tls, err) != 0)
		return -1;
	if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0 ||
		epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
		return error_set_errno(err, errno, "cannot wait for %s", target->host);
	return 0;
}

static ssize_t client_send(const struct client *c)
{
	const struct loop_request *r = &c->request;

	return c->tls != NULL ? tls_send(c->tls, r->bytes, r->n)
			      : send(c->fd, r->bytes, r->n, MSG_NOSIGNAL);
}

/* Begins the next operation; one fewer is busy where there is none. */
static int client_begin(struct driver *d, struct client *c, uint64_t now, struct error *err)
{
	struct course *course = d->course;

	if (now >= course->deadline_ns || course->errors > 0 ||
		(c->i = course->next++) >= course->loop->count) {
		d->busy--;
		return 0;
	}
	course->loop->write(course->loop->arg, c->i, &c->request);
	c->arrival = (struct arrival){0};
	c->begin_ns = now;
	/* The connection is idle, so there is room for a small request. */
	if (client_send(c) == (ssize_t)c->request.n)
		return 0;
	return error_set_errno(err, errno, "cannot send");
}

static int check_answer(const struct client *c, struct error *err)
{
	const struct arrival *a = &c->arrival;
	const struct loop_request *r = &c->request;

	if (a->status != r->status && a->status != r->or_status)
		return error_set(err, ERROR_UNPROCESSABLE, "the answer is %d in place of %d",
			a->status, r->status);
	if (r->body_length != 0 && a->length != r->body_length)
		return error_set(err, ERROR_UNPROCESSABLE, "%llu bytes in place of %llu",
			(unsigned long long)a->length, (unsigned long long)r->body_length);
	return 0;
}

static int client_end(struct driver *d, struct client *c, struct error *err)
{
	unsigned kind = c->request.kind;
	uint64_t now;

	if (check_answer(c, err) != 0)
		return -1;
	now = now_ns();
	d->end_ns = now;
	d->tally.bytes[kind] += c->arrival.length;
	if (tally_add(&d->tally, kind, now - c->begin_ns, err) != 0)
		return -1;
	return client_begin(d, c, now, err);
}

/* 1: something has come; 0: nothing. */
static int client_receive(struct driver *d, struct client *c, struct error *err)
{
	char *into = c->buffer + c->kept;
	ssize_t n = c->tls != NULL ? tls_receive(c->tls, into, BUFFER_SIZE - c->kept)
				   : recv(c->fd, into, BUFFER_SIZE - c->kept, 0);
	struct slice bytes;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return error_set_errno(err, errno, "cannot receive");
	if (n == 0)
		return error_set(err, ERROR_UNAVAILABLE, "the server has closed the connection");
	bytes = (struct slice){c->buffer, c->kept + (size_t)n};
	if (arrival_take(&c->arrival, &bytes, err) != 0)
		return -1;
	if (c->arrival.phase == ARRIVAL_DONE) {
		c->kept = 0;
		if (bytes.n > 0)
			return error_set(err, ERROR_INVALID, "the answer goes on and on");
		return client_end(d, c, err) == 0 ? 1 : -1;
	}
	if (bytes.n == BUFFER_SIZE)
		return error_set(err, ERROR_TOO_LARGE, "the answer's head is too long");
	memmove(c->buffer, bytes.p, bytes.n);
	c->kept = bytes.n;
	return 1;
}

/* What OpenSSL has taken from the socket already wakes nobody. */
static int client_receive_all(struct driver *d, struct client *c, struct error *err)
{
	int got;

	do {
		got = client_receive(d, c, err);
	} while (got > 0 && c->tls != NULL && SSL_has_pending(c->tls));
	return got < 0 ? -1 : 0;
}

/* ---- a thread ---- */

static void fail(struct driver *d, const struct client *c, struct error *err)
{
	struct slice line = {c->request.bytes, c->request.n};

	line = slice_cut(&line, '\r');
	error_wrap(err, "%.*s", SLICE_ARG(line));
	d->tally.errors++;
	d->tally.err = *err;
	d->course->errors++;
}

static void turn(struct driver *d)
{
	struct epoll_event events[EVENTS];
	struct error err = ERROR_INIT;
	int n = epoll_wait(d->epoll, events, EVENTS, SILENCE_MS);

	if (n == 0) {
		error_set(&err, ERROR_TIMEOUT, "no answer for %d s", SILENCE_MS / 1000);
		fail(d, &d->clients[0], &err);
		return;
	}
	for (int k = 0; k < n; k++) {
		struct client *c = events[k].data.ptr;

		if (client_receive_all(d, c, &err) != 0) {
			fail(d, c, &err);
			return;
		}
	}
}

static void *driver_main(void *arg)
{
	struct driver *d = arg;
	struct error err = ERROR_INIT;

	pthread_barrier_wait(&d->course->start);
	d->end_ns = d->course->start_ns;
	d->busy = d->n;
	for (unsigned k = 0; k < d->n && d->tally.errors == 0; k++)
		if (client_begin(d, &d->clients[k], now_ns(), &err) != 0)
			fail(d, &d->clients[k], &err);
	while (d->busy > 0 && d->tally.errors == 0)
		turn(d);
	return NULL;
}

static int driver_init(struct driver *d, struct course *course, unsigned n, struct error *err)
{
	*d = (struct driver){.course = course, .n = n, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	d->clients = calloc(n, sizeof(d->clients[0]));
	if (d->clients == NULL)
		return error_no_memory(err);
	for (unsigned k = 0; k < n; k++)
		d->clients[k].fd = -1;
	if (d->epoll < 0)
		return error_set_errno(err, errno, "cannot wait for connections");
	for (unsigned k = 0; k < n; k++)
		if (client_open(&d->clients[k], course->loop->target, d->epoll, err) != 0)
			return -1;
	return 0;
}

static void driver_done(struct driver *d)
{
	for (unsigned k = 0; d->clients != NULL && k < d->n; k++) {
		SSL_free(d->clients[k].tls);
		closep(&d->clients[k].fd);
	}
	if (d->course != NULL)
		closep(&d->epoll);
	free(d->clients);
	tally_done(&d->tally);
}

/* ---- a run ---- */

static int race(struct course *course, struct driver *drivers, unsigned n, struct tally *t,
	struct error *err)
{
	uint64_t end_ns;
	double cpu;

	AZ(pthread_barrier_init(&course->start, NULL, n + 1));
	for (unsigned k = 0; k < n; k++)
		AZ(pthread_create(&drivers[k].thread, NULL, driver_main, &drivers[k]));
	cpu = cpu_seconds();
	end_ns = course->start_ns = now_ns();
	course->deadline_ns = course->start_ns + (uint64_t)(course->loop->seconds * 1e9);
	pthread_barrier_wait(&course->start);
	for (unsigned k = 0; k < n; k++)
		AZ(pthread_join(drivers[k].thread, NULL));
	t->cpu_seconds += cpu_seconds() - cpu;
	AZ(pthread_barrier_destroy(&course->start));
	for (unsigned k = 0; k < n; k++) {
		if (drivers[k].end_ns > end_ns)
			end_ns = drivers[k].end_ns;
		if (tally_merge(t, &drivers[k].tally, err) != 0)
			return -1;
	}
	t->seconds += (double)(end_ns - course->start_ns) / 1e9;
	return 0;
}

int loop_run(const struct loop *loop, struct tally *t, size_t *ret_count, struct error *err)
{
	unsigned n = loop->threads < loop->clients ? loop->threads : loop->clients;
	AUTO_FREE struct driver *drivers = calloc(n, sizeof(*drivers));
	struct course course = {.loop = loop};
	int rc = 0;

	if (drivers == NULL)
		return error_no_memory(err);
	for (unsigned k = 0; rc == 0 && k < n; k++)
		rc = driver_init(
			&drivers[k], &course, loop->clients / n + (k < loop->clients % n), err);
	if (rc == 0)
		rc = race(&course, drivers, n, t, err);
	for (unsigned k = 0; k < n; k++)
		driver_done(&drivers[k]);
	if (rc == 0 && t->errors > 0) {
		*err = t->err;
		rc = -1;
	}
	if (rc == 0)
		*ret_count = course.next < loop->count ? course.next : loop->count;
	return rc;
}
