/* SPDX-License-Identifier: Apache-2.0 */
/* Publishers on a registry in memory, and callers that wait for their answers. */
#ifndef TESTS_UNIT_PUBLISHER_FIXTURE_H
#define TESTS_UNIT_PUBLISHER_FIXTURE_H

#include "test.h"

#include "fake_registry.h"
#include "publish/publisher.h"

extern struct error err;

/* ---- a caller that waits ---- */

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	size_t left;
	struct outcome last; /* without its resource */
	size_t ok, unchanged;
};

void waiter_init(struct waiter *w, size_t n);
void waiter_done(const struct outcome *outcome, void *arg);
void waiter_wait(struct waiter *w);

/* All in the namespace default, but where one is given. */
struct intent *make_intent(const char *name, unsigned replicas);
struct intent *make_intent_in(const char *namespace, const char *name, unsigned replicas);
struct outcome put(struct publisher *p, const char *name, unsigned replicas);
struct outcome put_in(
	struct publisher *p, const char *namespace, const char *name, unsigned replicas);
struct outcome put_protected(struct publisher *p, const char *name, bool protected);
struct outcome delete (struct publisher *p, const char *name);
struct outcome hold(struct publisher *p, const char *name, uint64_t version,
	enum hold_reason reason, uint64_t instead);
struct outcome release(struct publisher *p, const char *name, enum hold_reason reason);
struct outcome repartition(struct publisher *p, enum record_repartition_step step,
	enum layout_kind kind, unsigned catalogs);

/* ---- publishers ---- */

/* A clock that stands still. */
extern uint64_t fixture_now;
uint64_t fixture_clock(void);

struct publisher *start_options(struct fake *f, struct publisher_options options);
struct publisher *start_with(struct fake *f, bool init, uint64_t (*now_us)(void));
struct publisher *start(struct fake *f); /* a new store, or the one that is there; ready */
/* A new store of a layout whose root says "registry.example". */
struct publisher *start_layout(struct fake *f, enum layout_kind kind, unsigned catalogs);
void wait_ready(struct publisher *p);
/* Until nothing waits in line: what was put is in a batch, which the fake's lock can hold up, and
 * what comes next shares another. */
void wait_taken(void);

/* Replicas of the resource as a reader sees it; 0: not there. */
unsigned seen(struct publisher *p, const char *name);
unsigned seen_after_restart(struct fake *f, const char *name);

/* Why the resource is held, as a reader sees it: HOLD_REASONS_ where it is not. */
enum hold_reason held(struct publisher *p, const char *name);

void expect_latest(struct fake *f, const char *name, const struct digest *digest);

/* That fsck finds; the publisher is at rest. */
size_t differences(struct fake *f);

/* The last commit record; the caller's to free. */
void last_record(struct fake *f, struct record *ret);

/* ---- tests ---- */

int fixture_setup(void **state);

/* State of a test: whether its registry has transactions, as the embedded one. */
extern bool with_transactions, without_transactions;

#define EMBEDDED(test) \
	{ \
#test " (embedded)", test, NULL, NULL, &with_transactions \
	}
#define REMOTE(test) \
	{ \
#test " (remote)", test, NULL, NULL, &without_transactions \
	}
#define ON_BOTH(test) EMBEDDED(test), REMOTE(test)

#endif
