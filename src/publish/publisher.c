/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/publisher.h"

#include "base/clock.h"
#include "base/log.h"
#include "publish/commit.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define RESTORE_WAIT_FIRST_MS 100
#define RETRY_AFTER_S 1
#define KEY_SLOTS 2048 /* a power of two, well above LIMIT_BATCH */

/*
 * RESTORING: the head is not known, or not trusted: reads it from the registry until that works.
 * READY: takes batches. Every doubt leads back to RESTORING, so there is one way to recover.
 */
enum state { RESTORING, READY };

struct publisher {
	struct registry *registry;
	bool init;
	struct versions versions;
	pthread_t thread;

	/* the thread's own */
	struct head head;
	bool ever_ready;
	struct batch *batch;

	pthread_mutex_t lock; /* guards all below; held for a few instructions only */
	pthread_cond_t wake;
	enum state state;
	bool stopping;
	struct error reason; /* why not READY */
	struct catalog *catalog;
	struct change *first;
	struct change **last;
	size_t n_waiting;
};

/* ---- the queue ---- */

static void refuse(struct change *change, const struct error *err)
{
	struct outcome outcome = {.err = *err};

	change->done(&outcome, change->arg);
	intent_unref(change->intent);
	free(change);
}

/* Why a change cannot be taken now; ERROR_NONE when it can. Under the lock. */
static struct error refusal(const struct publisher *p)
{
	struct error err = ERROR_INIT;

	if (p->stopping)
		error_set(&err, ERROR_UNAVAILABLE, "the server is stopping; try again");
	else if (p->state != READY)
		err = p->reason;
	else if (p->n_waiting >= LIMIT_QUEUE)
		error_set(&err, ERROR_TOO_MANY, "%d changes are waiting already; try again",
			LIMIT_QUEUE);
	if (err.retry_after_s == 0)
		err.retry_after_s = RETRY_AFTER_S;
	return err;
}

static void submit(struct publisher *p, struct change *change)
{
	struct error err;

	AZ(pthread_mutex_lock(&p->lock));
	err = refusal(p);
	if (err.code == ERROR_NONE) {
		*p->last = change;
		p->last = &change->next;
		p->n_waiting++;
		AZ(pthread_cond_signal(&p->wake));
	}
	AZ(pthread_mutex_unlock(&p->lock));
	if (err.code != ERROR_NONE)
		refuse(change, &err);
}

static void submit_new(struct publisher *p, struct intent *intent, const char *namespace,
	const char *name, publisher_done *done, void *arg)
{
	struct change *change = calloc(1, sizeof(*change));

	if (change == NULL) {
		struct outcome outcome = {.err = ERROR_INIT};

		error_no_memory(&outcome.err);
		done(&outcome, arg);
		return;
	}
	change->intent = intent == NULL ? NULL : intent_ref(intent);
	snprintf(change->namespace, sizeof(change->namespace), "%s", namespace);
	snprintf(change->name, sizeof(change->name), "%s", name);
	change->done = done;
	change->arg = arg;
	submit(p, change);
}

void publisher_put(struct publisher *p, struct intent *intent, publisher_done *done, void *arg)
{
	submit_new(p, intent, intent->namespace, intent->name, done, arg);
}

void publisher_delete(struct publisher *p, const char *namespace, const char *name,
	publisher_done *done, void *arg)
{
	submit_new(p, NULL, namespace, name, done, arg);
}

/* Refuses everything that waits. */
static void refuse_waiting(struct publisher *p, const struct error *err)
{
	struct change *change;

	AZ(pthread_mutex_lock(&p->lock));
	change = p->first;
	p->first = NULL;
	p->last = &p->first;
	p->n_waiting = 0;
	AZ(pthread_mutex_unlock(&p->lock));
	while (change != NULL) {
		struct change *next = change->next;

		refuse(change, err);
		change = next;
	}
}

/* ---- taking a batch: every key at most once, in the order of arrival ---- */

struct keys {
	const struct change *slots[KEY_SLOTS];
};

static size_t key_hash(const struct change *change)
{
	size_t h = 5381;

	for (const char *s = change->namespace; *s != '\0'; s++)
		h = h * 33 + (unsigned char)*s;
	for (const char *s = change->name; *s != '\0'; s++)
		h = h * 33 + (unsigned char)*s;
	return h;
}

/* False when a change of the same resource is among them already. */
static bool keys_add(struct keys *keys, const struct change *change)
{
	for (size_t i = key_hash(change);; i++) {
		const struct change **slot = &keys->slots[i % KEY_SLOTS];

		if (*slot == NULL) {
			*slot = change;
			return true;
		}
		if (strcmp((*slot)->name, change->name) == 0 &&
			strcmp((*slot)->namespace, change->namespace) == 0)
			return false;
	}
}

/* Moves changes from the queue into the batch; a second change of a resource stays for the next.
 * The number looked at is bounded, so that a long queue of one resource costs no more. */
static void fill_batch(struct publisher *p, struct batch *b, struct keys *keys)
{
	struct change **at = &p->first;

	for (size_t looked = 0; *at != NULL && b->n < LIMIT_BATCH && looked < LIMIT_BATCH;
		looked++) {
		struct change *change = *at;

		if (!keys_add(keys, change)) {
			at = &change->next;
			continue;
		}
		*at = change->next;
		change->next = NULL;
		p->n_waiting--;
		b->items[b->n++] = (struct item){.change = change};
	}
	if (*at == NULL)
		p->last = at;
}

/* Waits for changes. False: stop. */
static bool take_batch(struct publisher *p)
{
	struct keys keys = {0};
	bool stopping;

	AZ(pthread_mutex_lock(&p->lock));
	while (p->first == NULL && !p->stopping)
		AZ(pthread_cond_wait(&p->wake, &p->lock));
	stopping = p->stopping;
	if (!stopping)
		fill_batch(p, p->batch, &keys);
	AZ(pthread_mutex_unlock(&p->lock));
	return !stopping;
}

/* ---- states ---- */

static void become_ready(struct publisher *p)
{
	struct catalog *old;

	AZ(pthread_mutex_lock(&p->lock));
	p->state = READY;
	old = p->catalog;
	p->catalog = catalog_ref(p->head.catalog);
	AZ(pthread_mutex_unlock(&p->lock));
	catalog_unref(old);
	p->ever_ready = true;
}

static void become_restoring(struct publisher *p, const struct error *reason)
{
	AZ(pthread_mutex_lock(&p->lock));
	p->state = RESTORING;
	p->reason = *reason;
	p->reason.code = ERROR_UNAVAILABLE; /* whatever the cause, the caller has to wait */
	if (p->reason.retry_after_s == 0)
		p->reason.retry_after_s = RETRY_AFTER_S;
	AZ(pthread_mutex_unlock(&p->lock));
}

/* Returns false as soon as the publisher is told to stop. */
static bool wait_ms(struct publisher *p, unsigned ms)
{
	struct timespec until;
	bool stopping;

	AZ(clock_gettime(CLOCK_MONOTONIC, &until));
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	AZ(pthread_mutex_lock(&p->lock));
	while (!p->stopping && pthread_cond_timedwait(&p->wake, &p->lock, &until) == 0)
		;
	stopping = p->stopping;
	AZ(pthread_mutex_unlock(&p->lock));
	return !stopping;
}

/* Versions only grow: a record older than ours is a backup put back under a running server, or a
 * write of long ago that came late. Going on from it would make Flux delete what we acknowledged
 * since, so that takes an operator's word: a restart. */
static int check_not_older(const struct publisher *p, const struct head *head, struct error *err)
{
	if (!p->ever_ready || head->version >= p->head.version)
		return 0;
	return error_set(err, ERROR_UNAVAILABLE,
		"commits:latest went back from c%llu to c%llu: put the newer record back, or "
		"restart the server to go on from the older one",
		(unsigned long long)p->head.version, (unsigned long long)head->version);
}

static int read_head(struct publisher *p, struct error *err)
{
	struct head head;

	if (head_read(&head, p->registry, err) != 0) {
		/* A store that had a record and has none was lost, not new. */
		if (err->code != ERROR_NOT_FOUND || !p->init || p->ever_ready)
			return -1;
		if (head_init(p->registry, p->versions.now_us(), err) != 0 ||
			head_read(&head, p->registry, err) != 0)
			return -1;
		log_info("made the first commit record of a new store",
			LOG_NUM("version", head.version));
	}
	if (check_not_older(p, &head, err) != 0) {
		head_done(&head);
		return -1;
	}
	head_done(&p->head);
	p->head = head;
	if (p->versions.highest < head.version)
		p->versions.highest = head.version;
	return 0;
}

/* Flux applies all of a catalog for every change, so a large one is slow. */
static void warn_of_size(size_t before, size_t now)
{
	if (before < LIMIT_CATALOG_WARN && now >= LIMIT_CATALOG_WARN)
		log_warn("the catalog grows large: each change takes Flux seconds",
			LOG_NUM("resources", now), LOG_NUM("limit", LIMIT_CATALOG_RESOURCES));
}

/* Reads the head until that works. False: stop. */
static bool restore(struct publisher *p)
{
	uint64_t started = clock_monotonic_ms();
	unsigned wait = RESTORE_WAIT_FIRST_MS;
	struct error err = ERROR_INIT;

	while (read_head(p, &err) != 0) {
		become_restoring(p, &err);
		log_warn("not ready", LOG_STR("reason", err.text));
		if (!wait_ms(p, wait))
			return false;
		wait = 2 * wait > LIMIT_RESTORE_WAIT_MS ? LIMIT_RESTORE_WAIT_MS : 2 * wait;
	}
	become_ready(p);
	log_info("ready", LOG_NUM("resources", catalog_count(p->head.catalog)),
		LOG_NUM("version", p->head.version),
		LOG_NUM("restore_ms", clock_monotonic_ms() - started));
	warn_of_size(0, catalog_count(p->head.catalog));
	return true;
}

/* ---- one batch ---- */

static struct error unavailable(const char *why)
{
	struct error err = ERROR_INIT;

	error_set(&err, ERROR_UNAVAILABLE, "%s", why);
	err.retry_after_s = RETRY_AFTER_S;
	return err;
}

/* What became of the batch, now that the head is known again. ERROR_NONE: it was committed. */
static struct error verdict(const struct publisher *p, const struct digest *old_record)
{
	if (digest_eq(&p->head.record, &p->batch->revision.record_digest))
		return (struct error)ERROR_INIT;
	if (digest_eq(&p->head.record, old_record))
		return unavailable("the registry failed at the commit, and the change was not "
				   "made; try again");
	return unavailable("the registry failed at the commit, and another server has written "
			   "since: it is not known whether this change was made; read the "
			   "resource first");
}

/* Whether commits:latest moved is not known: the batch is answered once it is. False: stop. */
static bool settle_doubt(struct publisher *p, const struct digest *old_record)
{
	struct error err = unavailable("the server stopped before it knew whether this change was "
				       "committed; read the resource first");
	bool going_on = restore(p);

	if (going_on)
		err = verdict(p, old_record);
	commit_answer(p->batch, err.code == ERROR_NONE ? NULL : &err);
	return going_on;
}

static void log_commit(const struct publisher *p, uint64_t started)
{
	if (p->batch->has_revision)
		log_info("committed", LOG_NUM("version", p->head.version),
			LOG_NUM("changes", p->batch->n),
			LOG_NUM("resources", catalog_count(p->head.catalog)),
			LOG_NUM("ms", clock_monotonic_ms() - started));
}

/* False: stop. */
static bool run_batch(struct publisher *p)
{
	uint64_t started = clock_monotonic_ms();
	struct digest old_record = p->head.record;
	size_t old_count = catalog_count(p->head.catalog);
	struct error err = ERROR_INIT, told;
	enum commit_result result = commit_run(p->batch, &p->head, &p->versions, p->registry, &err);

	if (result == COMMIT_DONE) {
		become_ready(p); /* readers see it before the answer does */
		commit_answer(p->batch, NULL);
		log_commit(p, started);
		warn_of_size(old_count, catalog_count(p->head.catalog));
		return true;
	}
	log_warn("commit failed", LOG_STR("reason", err.text), LOG_NUM("changes", p->batch->n));
	if (result == COMMIT_FAILED) {
		commit_answer(p->batch, &err);
		return true;
	}
	become_restoring(p, &err);
	if (result == COMMIT_IN_DOUBT)
		return settle_doubt(p, &old_record);
	told = result == COMMIT_NOT_HEAD
		       ? err
		       : unavailable("the change is committed, but the registry failed before all "
				     "of its "
				     "tags had moved: they are being rolled forward; try again");
	commit_answer(p->batch, &told);
	return restore(p);
}

static void *run(void *arg)
{
	struct publisher *p = arg;
	struct error stopping = unavailable("the server is stopping; try again");
	bool going_on = restore(p);

	while (going_on && take_batch(p)) {
		going_on = run_batch(p);
		batch_reset(p->batch);
	}
	refuse_waiting(p, &stopping);
	return NULL;
}

/* ---- life ---- */

static void init_lock(struct publisher *p)
{
	pthread_condattr_t attr;

	AZ(pthread_mutex_init(&p->lock, NULL));
	AZ(pthread_condattr_init(&attr));
	AZ(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	AZ(pthread_cond_init(&p->wake, &attr));
	AZ(pthread_condattr_destroy(&attr));
}

static void free_publisher(struct publisher *p)
{
	AZ(pthread_cond_destroy(&p->wake));
	AZ(pthread_mutex_destroy(&p->lock));
	head_done(&p->head);
	catalog_unref(p->catalog);
	free(p->batch);
	free(p);
}

int publisher_new(
	struct publisher **ret, const struct publisher_options *options, struct error *err)
{
	struct publisher *p = calloc(1, sizeof(*p));
	struct error reason = ERROR_INIT;
	int errnum;

	if (p == NULL)
		return error_no_memory(err);
	p->registry = options->registry;
	p->init = options->init;
	p->versions.now_us = options->now_us != NULL ? options->now_us : clock_realtime_us;
	p->last = &p->first;
	init_lock(p);
	error_set(&reason, ERROR_UNAVAILABLE, "reading the registry");
	become_restoring(p, &reason);
	p->batch = calloc(1, sizeof(*p->batch));
	if (p->batch == NULL) {
		free_publisher(p);
		return error_no_memory(err);
	}
	errnum = pthread_create(&p->thread, NULL, run, p);
	if (errnum != 0) {
		free_publisher(p);
		return error_set_errno(err, errnum, "cannot start the publisher's thread");
	}
	pthread_setname_np(p->thread, "publisher");
	*ret = p;
	return 0;
}

void publisher_free(struct publisher *p)
{
	if (p == NULL)
		return;
	AZ(pthread_mutex_lock(&p->lock));
	p->stopping = true;
	AZ(pthread_cond_broadcast(&p->wake));
	AZ(pthread_mutex_unlock(&p->lock));
	AZ(pthread_join(p->thread, NULL));
	free_publisher(p);
}

/* ---- reading ---- */

int publisher_ready(struct publisher *p, struct error *err)
{
	bool ready;

	AZ(pthread_mutex_lock(&p->lock));
	ready = p->state == READY && !p->stopping;
	if (!ready)
		*err = p->stopping ? unavailable("the server is stopping") : p->reason;
	AZ(pthread_mutex_unlock(&p->lock));
	return ready ? 0 : -1;
}

struct catalog *publisher_catalog(struct publisher *p)
{
	struct catalog *c;

	AZ(pthread_mutex_lock(&p->lock));
	c = p->catalog == NULL ? NULL : catalog_ref(p->catalog);
	AZ(pthread_mutex_unlock(&p->lock));
	return c;
}
