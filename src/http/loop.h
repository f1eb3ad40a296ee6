/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop: a thread, its event base, and a mailbox through which other threads reach it.
 * Private to the server. Everything but loop_post and loops_call: on the loop's thread.
 */
#ifndef HTTP_LOOP_H
#define HTTP_LOOP_H

#include "base/buf.h"
#include "base/clock.h"
#include "http/server.h"

#include <event2/event.h>
#include <pthread.h>
#include <sys/queue.h>

#define TICK_MS 100 /* how often deadlines are looked at */

struct conn;
struct loop;

/* Something to run on a loop's thread; a member of what it is about. */
struct mail {
	STAILQ_ENTRY(mail) next;
	void (*deliver)(struct mail *mail, struct loop *loop);
};

STAILQ_HEAD(mail_queue, mail);
STAILQ_HEAD(conn_queue, conn);
LIST_HEAD(conn_list, conn);

struct loop {
	struct event_base *base;
	struct event *tick; /* pending while there are connections */
	struct event *mailbox;
	int mailbox_fd; /* eventfd: readable while mails wait */
	bool started, stopping;
	pthread_t joinable; /* for the thread that started it */
	pthread_t thread;   /* for itself */

	pthread_mutex_t lock; /* guards mails */
	struct mail_queue mails;

	struct conn_list conns;
	struct conn_queue ready; /* connections with something to do */
	size_t n_handles;
	struct http_exchange *spare; /* kept for the next request, or NULL */
	struct buf head;             /* the head of the answer being sent */
	struct buf piece;            /* the piece of a body being sent or received */
	time_t date_s;
	char date[CLOCK_HTTP_DATE_SIZE];
	uint64_t ids; /* of requests: the next one is made of this */
};

struct http_loops {
	size_t n;
	struct loop loops[];
};

/* Any thread. The mail must live until it is delivered. */
void loop_post(struct loop *loop, struct mail *mail);

/* Runs fn on every loop in turn, and what that made ready, and returns when it is done. Not from a
 * loop's thread. */
void loops_call(struct http_loops *loops, void (*fn)(struct loop *loop, void *arg), void *arg);

static inline bool loop_is_mine(const struct loop *loop)
{
	return pthread_equal(loop->thread, pthread_self());
}

/* The Date header's value, now. */
const char *loop_date(struct loop *loop);

#endif
