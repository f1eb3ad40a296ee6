/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to publish. One commit: a batch of changes, from artifacts to derived tags.
 */
#ifndef PUBLISH_COMMIT_H
#define PUBLISH_COMMIT_H

#include "publish/idempotency.h"
#include "publish/publisher.h"
#include "publish/queue.h"
#include "publish/revision.h"
#include "publish/set_request.h"
#include "publish/step.h"

struct item {
	struct change *change;
	struct resource *old;      /* what was current before, a reference; NULL: nothing */
	bool in_commit;            /* false: answered without one, by err or as unchanged */
	enum record_op op;         /* of one that is in the commit */
	uint64_t version;          /* issued for it; of a hold or a release, the accepted one */
	bool version_is_behind;    /* not taken from the clock: may have been used before */
	struct digest digest;      /* of that version's artifact */
	struct artifact artifact;  /* not of a hold or a release */
	struct resource *resource; /* NULL: delete */
	struct error err;
};

/* Changes of different resources, each key once; those of one change set, all or none; or a step,
 * by itself. */
struct batch {
	size_t n, cap;
	struct item *items;
	struct set_request *set; /* that they are of; NULL: of none */
	struct step *step;       /* NULL: none */
	struct error no_deletes; /* why none is made; ERROR_NONE: they are */
	bool version_is_behind;  /* likewise, where none was issued for a change */
	bool has_revision;
	struct revision revision;
};

#define COMMIT_NO_DELETES_RETRY_S 10 /* for deletes: a repartition takes Flux a while */

enum commit_result {
	COMMIT_DONE,       /* every item has its outcome; the head has moved if anything changed */
	COMMIT_FAILED,     /* nothing has changed */
	COMMIT_NOT_HEAD,   /* as COMMIT_FAILED, and commits:latest is not what we wrote last */
	COMMIT_IN_DOUBT,   /* commits:latest may name the batch's revision or not */
	COMMIT_UNFINISHED, /* committed, but derived tags lag behind */
};

/* Highest version ever issued by this process or found in the store, and the clock. */
struct versions {
	uint64_t highest;
	uint64_t (*now_us)(void);
};

/* What the one writer works with. */
struct writer {
	struct registry *registry;
	const struct root_request *root;                     /* for the split layout */
	uint64_t (*quota)(const char *namespace, void *arg); /* of struct publisher_options */
	void *quota_arg;
	struct prune_guard guard;
	struct idempotency idempotency; /* of the head, */
	struct idempotency unchanged;   /* and of sets that made no commit */
	struct root_lacks lacks;        /* likewise */
	struct signing signing;
	struct gzips gzips;
	struct versions versions;
	struct head head;
};

/* Runs the batch on top of the head; on COMMIT_DONE the head is the new one. err: why not DONE. */
enum commit_result commit_run(struct batch *b, struct writer *w, struct error *err) MUST_CHECK;

/* Changes that are in the commit; the others are refused, or change nothing. */
size_t commit_changes(const struct batch *b);

/* Answers every item, and the step: with its own error, else with err if that is given, else with
 * its outcome. */
void commit_answer(struct batch *b, const struct error *err);

/* What became of an item, with its own error. dry_run: nothing was made. */
void commit_outcome(struct outcome *ret, const struct item *item, bool dry_run);

/* Room for n items in all. */
int batch_reserve(struct batch *b, size_t n, struct error *err) MUST_CHECK;
/* Frees what the batch holds; changes, the set and the step too. Keeps room for LIMIT_BATCH items.
 */
void batch_reset(struct batch *b);
void batch_free(struct batch *b); /* that was reset */

#endif
