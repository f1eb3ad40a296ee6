/* SPDX-License-Identifier: Apache-2.0 */
#include "base/reload.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

#define LOOK_MS 1000

/* What tells a file from the one that was there before; all 0: there is none. */
struct look {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

struct watched {
	char *path;
	struct look last;
};

struct watch {
	STAILQ_ENTRY(watch) next;
	void (*changed)(void *arg);
	void *arg;
	size_t n;
	struct watched files[];
};

struct reloader {
	STAILQ_HEAD(, watch) watches;
	void (*every)(void *arg); /* or NULL */
	void *every_arg;
	uint64_t interval_ms, every_at_ms;

	bool started;
	pthread_t thread;
	pthread_mutex_t lock; /* guards the two below */
	pthread_cond_t wake;
	bool asked, stopping;
};

/* ---- looking ---- */

static struct look look_at(const char *path)
{
	struct look look;
	struct stat st;

	memset(&look, 0, sizeof(look)); /* compared with its padding */
	if (stat(path, &st) != 0)
		return look;
	look.device = st.st_dev;
	look.inode = st.st_ino;
	look.size = st.st_size;
	look.changed = st.st_mtim;
	return look;
}

/* All files are looked at before the first is read: what changes since is seen next time. */
static bool has_changed(struct watch *w)
{
	bool changed = false;

	for (size_t i = 0; i < w->n; i++) {
		struct look look = look_at(w->files[i].path);

		changed = changed || memcmp(&look, &w->files[i].last, sizeof(look)) != 0;
		w->files[i].last = look;
	}
	return changed;
}

static void run_watches(struct reloader *r, bool all)
{
	struct watch *w;

	STAILQ_FOREACH(w, &r->watches, next)
	if (has_changed(w) || all)
		w->changed(w->arg);
}

static void run_every(struct reloader *r, bool now)
{
	if (r->every == NULL || (!now && clock_monotonic_ms() < r->every_at_ms))
		return;
	r->every(r->every_arg);
	r->every_at_ms = clock_monotonic_ms() + r->interval_ms;
}

/* ---- the thread ---- */

/* Until it is time to look again. False: it is time to end. */
static bool wait_for_next(struct reloader *r, bool *asked)
{
	struct timespec until = clock_deadline(LOOK_MS * 1000);
	int errnum = 0;
	bool stopping;

	AZ(pthread_mutex_lock(&r->lock));
	while (!r->asked && !r->stopping && errnum == 0)
		errnum = pthread_cond_timedwait(&r->wake, &r->lock, &until);
	*asked = r->asked;
	r->asked = false;
	stopping = r->stopping;
	AZ(pthread_mutex_unlock(&r->lock));
	ASSERT(errnum == 0 || errnum == ETIMEDOUT);
	return !stopping;
}

static void *run(void *arg)
{
	struct reloader *r = arg;
	bool asked;

	while (wait_for_next(r, &asked)) {
		run_watches(r, asked);
		run_every(r, asked);
	}
	return NULL;
}

static void wake(struct reloader *r, bool *why)
{
	AZ(pthread_mutex_lock(&r->lock));
	*why = true;
	AZ(pthread_cond_signal(&r->wake));
	AZ(pthread_mutex_unlock(&r->lock));
}

/* ---- life ---- */

int reloader_new(struct reloader **ret, struct error *err)
{
	struct reloader *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;

	if (r == NULL)
		return error_no_memory(err);
	STAILQ_INIT(&r->watches);
	AZ(pthread_mutex_init(&r->lock, NULL));
	AZ(pthread_condattr_init(&attr));
	AZ(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	AZ(pthread_cond_init(&r->wake, &attr));
	AZ(pthread_condattr_destroy(&attr));
	*ret = r;
	return 0;
}

static void watch_free(struct watch *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->files[i].path);
	free(w);
}

int reloader_add(struct reloader *r, const char *const *files, void (*changed)(void *arg),
	void *arg, struct error *err)
{
	struct watch *w;
	size_t n = 0;

	ASSERT(!r->started);
	while (files[n] != NULL)
		n++;
	w = calloc(1, sizeof(*w) + n * sizeof(w->files[0]));
	if (w == NULL)
		return error_no_memory(err);
	w->changed = changed;
	w->arg = arg;
	for (; w->n < n; w->n++) {
		struct watched *file = &w->files[w->n];

		file->path = strdup(files[w->n]);
		if (file->path == NULL) {
			watch_free(w);
			return error_no_memory(err);
		}
		file->last = look_at(file->path);
	}
	STAILQ_INSERT_TAIL(&r->watches, w, next);
	return 0;
}

void reloader_every(struct reloader *r, unsigned interval_s, void (*every)(void *arg), void *arg)
{
	ASSERT(!r->started && r->every == NULL);
	r->every = every;
	r->every_arg = arg;
	r->interval_ms = (uint64_t)interval_s * 1000;
	r->every_at_ms = clock_monotonic_ms() + r->interval_ms;
}

int reloader_start(struct reloader *r, struct error *err)
{
	int errnum;

	ASSERT(!r->started);
	errnum = pthread_create(&r->thread, NULL, run, r);
	if (errnum != 0)
		return error_set_errno(err, errnum, "cannot start the reloader's thread");
	pthread_setname_np(r->thread, "reloader");
	r->started = true;
	return 0;
}

void reloader_now(struct reloader *r)
{
	wake(r, &r->asked);
}

void reloader_free(struct reloader *r)
{
	struct watch *w;

	if (r == NULL)
		return;
	if (r->started) {
		wake(r, &r->stopping);
		AZ(pthread_join(r->thread, NULL));
	}
	while ((w = STAILQ_FIRST(&r->watches)) != NULL) {
		STAILQ_REMOVE_HEAD(&r->watches, next);
		watch_free(w);
	}
	AZ(pthread_cond_destroy(&r->wake));
	AZ(pthread_mutex_destroy(&r->lock));
	free(r);
}
