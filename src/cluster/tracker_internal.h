/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the tracker. All of it under its lock. */
#ifndef CLUSTER_TRACKER_INTERNAL_H
#define CLUSTER_TRACKER_INTERNAL_H

#include "base/siphash.h"
#include "cluster/flux.h"
#include "cluster/tracker.h"

#include <pthread.h>

/* What phase a resource is in, and why. */
enum verdict {
	VERDICT_NONE, /* neither wanted nor there */
	VERDICT_PENDING,
	VERDICT_NEWER,       /* pending: the cluster has a later version */
	VERDICT_TERMINATING, /* pending: somebody else deletes the object */
	VERDICT_BLOCKED,     /* pending: Flux refuses another one of the catalog */
	VERDICT_WAITING,     /* pending: Flux says what for */
	VERDICT_APPLIED,
	VERDICT_QUARANTINED,  /* failed: held, as Flux refuses it */
	VERDICT_NO_NAMESPACE, /* failed: held, as its namespace is not there */
	VERDICT_REFUSED,      /* failed: Flux says so of this object, or of the whole catalog */
	VERDICT_DELETING,
	VERDICTS_,
};
enum phase verdict_phase(enum verdict verdict);

#define KEY_SIZE TRACKER_KEY_SIZE

/* A resource that is wanted or in the cluster. There may be a hundred thousand. */
struct tracked {
	struct tracked *next; /* with the same hash */
	/* Among the unsettled of the catalog, which are wanted, not held and not yet there, or
	 * deleted and perhaps about to come: what Flux says of the catalog concerns only these.
	 * unsettled NULL: not among them. */
	struct tracked *next_unsettled, **unsettled;
	struct tracked_catalog *catalog; /* NULL: not known */
	char *status;                    /* JSON; NULL: none */
	uint64_t wanted;                 /* version; 0: not wanted */
	uint64_t commit;                 /* the last one that changed what Flux gets of it; where
					  * it may come: one whose catalog is without it */
	uint64_t seen;                   /* version in the cluster; 0: not there */
	uint64_t since_us;               /* realtime; of the phase */
	uint64_t committed_us;           /* monotonic; 0: not by this process, or applied already */
	uint64_t deleted_ms;             /* where it may come: since then; the tracker's clock */
	uint32_t hash;
	uint32_t list; /* the number of the list in which it was seen last */
	uint8_t verdict;
	uint8_t hold; /* 0, or 1 and its enum hold_reason */
	bool is_deleting : 1;
	/* A version of before its deletion was not seen, and Flux may just be applying it. */
	bool may_come : 1;
	bool is_in_state : 1; /* while there is a reset */
	uint8_t namespace_len;
	char key[]; /* "namespace/name" */
};

/* A commit of a catalog: what version Flux is at, if it is at this digest. */
struct tracked_commit {
	unsigned char sha256[32];
	uint64_t version;
};

struct tracked_catalog {
	struct tracked_catalog *next; /* with the same hash */
	struct tracked *unsettled;
	/* What Flux says. */
	bool is_failing, is_fetch, is_of_root, is_waiting;
	uint64_t asked_us;
	bool names_objects; /* the message does */
	char *message;      /* NULL: none */
	struct digest attempted, applied;
	/* Its last commits, in their order. */
	size_t n_commits, cap_commits;
	struct tracked_commit *commits;
	char reason[64];
	char repository[CATALOG_REPOSITORY_SIZE];
};

#define CATALOG_SLOTS 1024 /* powers of two */
#define WAIT_SLOTS 1024

struct tracker {
	struct feed *feed;
	bool watching;
	uint64_t (*monotonic_ms)(void);
	uint64_t started_us; /* realtime */
	struct siphash_key key;

	pthread_mutex_t lock; /* guards all below */
	struct state *state;  /* what is wanted; NULL: not known yet */
	size_t n, n_slots;    /* of slots, a power of two */
	struct tracked **slots;
	struct tracked_catalog *catalogs[CATALOG_SLOTS];
	size_t counts[VERDICTS_];
	struct buf text; /* of the event at hand */

	bool is_incomplete; /* memory ran out, so that something may be missing for good */
	bool is_listing;
	bool was_synced;
	uint32_t list;             /* the number of the last list */
	bool is_lost;              /* since then: */
	uint64_t lost_ms, lost_us; /* monotonic and realtime */
	char why[LIMIT_ERROR_TEXT];
	uint64_t doubts_ms; /* when to look at what may come; 0: there is no such thing */

	size_t n_waits;
	struct tracker_wait *waits[WAIT_SLOTS];
	struct tracker_wait *ended; /* about to be told */
};

/* ---- tracker_table.c ---- */

uint32_t tracked_key(const struct tracker *t, const char *namespace, const char *name,
	char ret[KEY_SIZE]); /* its hash */
/* NULL where there is none. */
struct tracked *tracked_find(struct tracker *t, const char *namespace, const char *name);
/* Finds or adds. NULL where the name cannot be one of ours, and without memory, when the tracker is
 * incomplete from then on. */
struct tracked *tracked_get(struct tracker *t, const char *namespace, const char *name);
void tracked_remove(struct tracker *t, struct tracked *e);
/* Puts it among the unsettled of its catalog, or takes it away, as it should be. */
void tracked_list(struct tracked *e);
void tracked_unlist(struct tracked *e);
/* Where the layout of the state puts it; its old catalog is left. */
void tracked_place(struct tracker *t, struct tracked *e);
/* Each in turn, in any order; fn may remove what it is given. */
void tracked_each(
	struct tracker *t, void (*fn)(struct tracker *t, struct tracked *e, void *arg), void *arg);
void tracked_free_all(struct tracker *t);
void tracked_namespace(const struct tracked *e, char ret[LIMIT_NAME + 1]);

/* Finds or adds; NULL without memory. */
struct tracked_catalog *tracked_catalog_get(struct tracker *t, const char *repository);
void tracked_catalog_add(struct tracked_catalog *c, const struct digest *digest, uint64_t version);
/* 0: none of the last commits. */
uint64_t tracked_catalog_commit(const struct tracked_catalog *c, const struct digest *digest);
/* The last commit; 0: none is known. */
uint64_t tracked_catalog_last(const struct tracked_catalog *c);

/* ---- tracker.c ---- */

/* What is wanted of a resource. */
struct wanted {
	uint64_t version; /* 0: not wanted */
	uint64_t commit;
	uint8_t hold;
};
/* e: NULL where nothing is known. */
enum verdict tracker_judge(const struct tracked *e, const struct wanted *w);
/* Is enough heard from the cluster? */
bool tracker_is_known(const struct tracker *t);
/* What may come since LIMIT_CLUSTER_LOST_MS, and of whose catalog nobody knows what Flux has
 * applied, is taken for gone. */
void tracker_settle_doubts(struct tracker *t);
/* Unlocks, and calls whom it concerns what happened under the lock. */
void tracker_unlock_and_tell(struct tracker *t);

/* ---- tracker_read.c ---- */

/* All but the object. e: NULL where nothing is known; held: why it is, where it is. */
void tracker_describe(struct tracker *t, const struct tracked *e, const struct wanted *w,
	const char *held, struct tracker_status *ret);

/* ---- tracker_wait.c ---- */

enum outlook {
	GOES_ON,
	IS_APPLIED,  /* of a deletion: it is gone, or something later is in its place */
	HAS_FAILED,  /* that version, or a later one */
	NEVER_COMES, /* it is deleted */
};
/* Of what is waited for; e NULL: it is neither wanted nor there. */
enum outlook tracker_outlook(const struct tracked *e, const struct tracker_wait *wait);
/* Ends the waits for a resource that are over; e as above. */
void tracker_check_waits(
	struct tracker *t, const char *key, uint32_t hash, const struct tracked *e);
/* Up to n that have ended, copied, to be told. */
size_t tracker_take_ended(struct tracker *t, struct tracker_wait *ret, size_t n);

#endif
