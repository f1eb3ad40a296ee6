/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one writer: takes the changes that wait, pushes their artifacts, the catalog and a commit
 * record, moves commits:latest, and answers (DESIGN invariants 1, 2, 6-10; section 4 "Group
 * commit").
 *
 * The publisher has a thread of its own; all functions here may be called from any thread and
 * never wait for the registry.
 */
#ifndef PUBLISH_PUBLISHER_H
#define PUBLISH_PUBLISHER_H

#include "catalog/root.h"
#include "catalog/state.h"
#include "oci/registry.h"

struct publisher;

struct publisher_options {
	struct registry *registry;   /* borrowed; used by the publisher's thread only */
	bool init;                   /* an empty store may be given its first record */
	const struct layout *layout; /* of a new store, and of any other that it must be so; NULL:
				      * single for a new one, and whatever another has */
	struct root_request root;    /* for the split layout */
	uint64_t (*now_us)(void);    /* NULL: clock_realtime_us */
};

int publisher_new(struct publisher **ret, const struct publisher_options *options,
	struct error *err) MUST_CHECK;

/* Refuses new changes, finishes the batch at hand, answers the rest with 503, ends the thread. */
void publisher_free(struct publisher *p);

/* ---- reading: from memory ---- */

/* 0 when restored; -1 with the reason (ERROR_UNAVAILABLE) until then or when writing stopped. */
int publisher_ready(struct publisher *p, struct error *err);

/* What is current, with a reference for the caller; NULL before the first restore. */
struct state *publisher_state(struct publisher *p);

/* ---- writing ---- */

enum outcome_op { OUTCOME_CREATED, OUTCOME_UPDATED, OUTCOME_UNCHANGED, OUTCOME_DELETED };

/* The answer to a change; valid during the call of done(). */
struct outcome {
	enum outcome_op op;
	const struct resource *resource; /* NULL after a deletion */
	uint64_t version;
	struct digest digest; /* of the artifact, a tombstone's after a deletion */
	struct error err;     /* ERROR_NONE: it is durable; else the rest is unset */
};

/* Called once per change, on the publisher's thread (or the caller's, when refused at once):
 * must not block. */
typedef void publisher_done(const struct outcome *outcome, void *arg);

/* Wants the intent to be current. Takes a reference to it. */
void publisher_put(struct publisher *p, struct intent *intent, publisher_done *done, void *arg);

/* Wants the resource gone; ERROR_NOT_FOUND where there is none. */
void publisher_delete(struct publisher *p, const char *namespace, const char *name,
	publisher_done *done, void *arg);

#endif
