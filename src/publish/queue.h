/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to publish. The changes that wait for the writer, first come first served, and of each
 * resource one at a time: whoever sends many changes of one resource waits for himself alone.
 *
 * Not locked: the publisher's lock guards it. No call allocates or takes long.
 */
#ifndef PUBLISH_QUEUE_H
#define PUBLISH_QUEUE_H

#include "base/siphash.h"
#include "publish/publisher.h"

enum change_kind { CHANGE_PUT, CHANGE_DELETE, CHANGE_HOLD, CHANGE_RELEASE };

/* A change that somebody waits for. */
struct change {
	enum change_kind kind;
	struct author *author;    /* a reference */
	struct intent *intent;    /* put: what is wanted */
	struct precondition when; /* put and delete */
	bool pruned;              /* a delete of a change set that nobody named */
	enum hold_reason reason;  /* hold and release */
	uint64_t version;         /* hold: the accepted one, */
	uint64_t instead;         /* what to apply in its place, or 0, */
	char *message;            /* and why */
	char namespace[LIMIT_NAME + 1];
	char name[LIMIT_NAME + 1];
	publisher_done *done;
	void *arg;

	/* the queue's */
	struct change *next;         /* in line */
	struct change *next_in_slot; /* in line, with the same hash */
	struct change *later;        /* of the same resource, not in line yet, */
	struct change *last_later;   /* and the last of these */
};

#define QUEUE_SLOTS 4096 /* a power of two */

struct queue {
	size_t n;       /* changes */
	size_t in_line; /* one of each resource */
	struct change *first;
	struct change **last;
	struct siphash_key key; /* at random: nobody can choose names that share a slot */
	struct change *slots[QUEUE_SLOTS];
};

/* Its memory, and what it holds. */
void change_free(struct change *change);

void queue_init(struct queue *q);
void queue_add(struct queue *q, struct change *change);

/* Takes up to max changes, of different resources, in the order in which they came. */
size_t queue_take(struct queue *q, struct change **ret, size_t max);

#endif
