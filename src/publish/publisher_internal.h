/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the publisher: publisher.c, which is its thread, and submit.c, which is others'. */
#ifndef PUBLISH_PUBLISHER_INTERNAL_H
#define PUBLISH_PUBLISHER_INTERNAL_H

#include "publish/commit.h"

#include <pthread.h>

#define PUBLISHER_RETRY_S 1

/*
 * RESTORING: the head is not known, or not trusted: reads it from the registry until that works.
 * READY: takes batches. Every doubt leads back to RESTORING, so there is one way to recover.
 */
enum phase { RESTORING, READY };

struct publisher {
	bool init;
	bool layout_given; /* else whatever the store has is right */
	struct layout layout;
	struct root_request root;
	struct publisher_listener listener;
	struct author *self; /* of what nobody asked for */
	pthread_t thread;

	/* the thread's own */
	struct writer writer;
	bool ever_ready;
	bool told_empty;          /* listeners know that the store is new, and nobody else */
	bool has_unrolled;        /* the gate was closed when the head was read: */
	struct unrolled unrolled; /* so this is yet to be done */
	struct batch *batch;
	uint64_t last_us; /* that the last batch took */

	pthread_mutex_t lock; /* guards all below; held for a few instructions only */
	pthread_cond_t wake;
	enum phase phase;
	bool stopping;
	struct error reason; /* why not READY */
	struct state *current;
	uint64_t current_version; /* of the commit that made it */
	struct root_options current_root;
	enum publisher_gate gate; /* opened by the thread only */
	unsigned admissions;      /* calls of publisher_admit(), */
	bool admission;           /* of which the thread has yet to see one */
	uint64_t above;           /* the highest version that any spoke of */
	bool closed;
	struct error closed_because;
	struct error no_deletes;     /* why none is taken; ERROR_NONE: they are */
	bool batch_may_delete;       /* the one that is being committed */
	struct record_freeze frozen; /* as the head is */
	struct step *steps;          /* first come, first served */
	struct step **last_step;
	size_t n_steps;
	struct set_request *sets; /* likewise, */
	struct set_request **last_set;
	size_t n_sets;
	bool set_is_next; /* and in turn with batches of other changes */
	struct queue queue;
	size_t expected; /* changes in the next batch: what the last had, and what it left in line
			  */
	size_t wake_at;  /* changes in line that wake the thread; 0: it is awake */
};

/* ---- publisher.c ---- */

/* Why nothing is written, though all can be read; ERROR_NONE when it is. Under the lock. */
struct error publisher_why_closed(const struct publisher *p);

/* ---- submit.c ---- */

/* Under the lock, when the queue has changed. */
void publisher_tell_depth(const struct publisher *p);
/* Under the lock; NULL: none. */
struct step *publisher_take_step(struct publisher *p);
struct set_request *publisher_take_set(struct publisher *p);
/* Refuses everything that waits. */
void publisher_refuse_waiting(struct publisher *p, const struct error *err);

#endif
