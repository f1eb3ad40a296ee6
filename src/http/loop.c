/* SPDX-License-Identifier: Apache-2.0 */
#include "http/loop.h"

#include "base/file.h"
#include "base/log.h"
#include "http/connection.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* ---- mailbox ---- */

void loop_post(struct loop *loop, struct mail *mail)
{
	AZ(pthread_mutex_lock(&loop->lock));
	STAILQ_INSERT_TAIL(&loop->mails, mail, next);
	/* Under the lock: once the mail can be taken, this loop may be on its way out. */
	if (STAILQ_FIRST(&loop->mails) == mail)
		AZ(eventfd_write(loop->mailbox_fd, 1));
	AZ(pthread_mutex_unlock(&loop->lock));
}

static void deliver_mails(evutil_socket_t fd, short what UNUSED, void *arg)
{
	struct mail_queue mails = STAILQ_HEAD_INITIALIZER(mails);
	struct loop *loop = arg;
	struct mail *mail;
	eventfd_t ignored;
	bool more;

	AZ(pthread_mutex_lock(&loop->lock));
	STAILQ_CONCAT(&mails, &loop->mails);
	if (eventfd_read(fd, &ignored) != 0)
		ASSERT(errno == EAGAIN);
	AZ(pthread_mutex_unlock(&loop->lock));

	while ((mail = STAILQ_FIRST(&mails)) != NULL) {
		STAILQ_REMOVE_HEAD(&mails, next);
		mail->deliver(mail, loop);
	}
	conns_run(loop);

	AZ(pthread_mutex_lock(&loop->lock));
	more = !STAILQ_EMPTY(&loop->mails);
	AZ(pthread_mutex_unlock(&loop->lock));
	if (loop->stopping && !more)
		event_base_loopbreak(loop->base);
}

struct call {
	struct mail mail;
	void (*fn)(struct loop *loop, void *arg);
	void *arg;
	sem_t done;
};

static void run_call(struct mail *mail, struct loop *loop)
{
	struct call *call = (struct call *)mail; /* its first member */

	call->fn(loop, call->arg);
	conns_run(loop);
	AZ(sem_post(&call->done));
}

void loops_call(struct http_loops *loops, void (*fn)(struct loop *loop, void *arg), void *arg)
{
	for (size_t i = 0; i < loops->n; i++)
		ASSERT(!loop_is_mine(&loops->loops[i]));
	for (size_t i = 0; i < loops->n; i++) {
		struct call call = {.mail.deliver = run_call, .fn = fn, .arg = arg};

		AZ(sem_init(&call.done, 0, 0));
		loop_post(&loops->loops[i], &call.mail);
		while (sem_wait(&call.done) != 0)
			ASSERT(errno == EINTR);
		AZ(sem_destroy(&call.done));
	}
}

/* ---- time ---- */

const char *loop_date(struct loop *loop)
{
	time_t now = time(NULL);

	if (now != loop->date_s) {
		loop->date_s = now;
		clock_http_date((uint64_t)now * 1000000, loop->date);
	}
	return loop->date;
}

static void tick(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct loop *loop = arg;

	conns_tick(loop);
	if (LIST_EMPTY(&loop->conns))
		event_del(loop->tick);
}

/* ---- threads ---- */

static void *run(void *arg)
{
	struct loop *loop = arg;

	/* A turn at a time: log lines of a turn are written together. */
	while (!event_base_got_break(loop->base)) {
		AZ(event_base_loop(loop->base, EVLOOP_ONCE));
		log_flush();
	}
	return NULL;
}

static void set_thread(struct loop *loop, void *arg UNUSED)
{
	loop->thread = pthread_self();
}

/* Signals are for the main thread; SIGPIPE is for nobody, as every write looks at its result. */
static int start_thread(struct loop *loop, struct error *err)
{
	sigset_t all, old;
	int errnum;

	sigfillset(&all);
	AZ(pthread_sigmask(SIG_SETMASK, &all, &old));
	errnum = pthread_create(&loop->joinable, NULL, run, loop);
	AZ(pthread_sigmask(SIG_SETMASK, &old, NULL));
	if (errnum != 0)
		return error_set_errno(err, errnum, "cannot start an event loop's thread");
	pthread_setname_np(loop->joinable, "loop");
	loop->started = true;
	return 0;
}

static int loop_init(struct loop *loop, struct error *err)
{
	AZ(pthread_mutex_init(&loop->lock, NULL));
	STAILQ_INIT(&loop->mails);
	STAILQ_INIT(&loop->ready);
	LIST_INIT(&loop->conns);
	buf_init(&loop->head, 2 * LIMIT_HTTP_HEAD);
	buf_init(&loop->piece, LIMIT_HTTP_WINDOW);
	arc4random_buf(&loop->ids, sizeof(loop->ids));
	loop->mailbox_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (loop->mailbox_fd < 0)
		return error_set_errno(err, errno, "cannot make an event loop's mailbox");
	loop->base = event_base_new();
	if (loop->base == NULL)
		return error_no_memory(err);
	loop->tick = event_new(loop->base, -1, EV_PERSIST, tick, loop);
	loop->mailbox =
		event_new(loop->base, loop->mailbox_fd, EV_READ | EV_PERSIST, deliver_mails, loop);
	if (loop->tick == NULL || loop->mailbox == NULL || event_add(loop->mailbox, NULL) != 0)
		return error_no_memory(err);
	return start_thread(loop, err);
}

static void stop(struct mail *mail UNUSED, struct loop *loop)
{
	loop->stopping = true;
}

static void loop_done(struct loop *loop)
{
	struct mail last = {.deliver = stop};

	if (loop->started) {
		loop_post(loop, &last);
		AZ(pthread_join(loop->joinable, NULL));
	}
	ASSERT(STAILQ_EMPTY(&loop->mails) && LIST_EMPTY(&loop->conns) && loop->n_handles == 0);
	exchange_free_spare(loop);
	buf_done(&loop->head);
	buf_done(&loop->piece);
	if (loop->mailbox != NULL)
		event_free(loop->mailbox);
	if (loop->tick != NULL)
		event_free(loop->tick);
	if (loop->base != NULL)
		event_base_free(loop->base);
	closep(&loop->mailbox_fd);
	AZ(pthread_mutex_destroy(&loop->lock));
}

int http_loops_new(struct http_loops **ret, size_t n_loops, struct error *err)
{
	struct http_loops *loops;

	ASSERT(n_loops > 0 && n_loops <= LIMIT_HTTP_LOOPS);
	loops = calloc(1, sizeof(*loops) + n_loops * sizeof(loops->loops[0]));
	if (loops == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n_loops; i++) {
		loops->n++;
		if (loop_init(&loops->loops[i], err) != 0) {
			http_loops_free(loops);
			return -1;
		}
	}
	loops_call(loops, set_thread, NULL);
	*ret = loops;
	return 0;
}

void http_loops_free(struct http_loops *loops)
{
	if (loops == NULL)
		return;
	for (size_t i = 0; i < loops->n; i++)
		loop_done(&loops->loops[i]);
	free(loops);
}
