/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of every resource: the one place that puts together what is wanted (commits) and what
 * the cluster shows (objects, Flux's conditions), and tells phases from that.
 *
 *   pending   accepted; the cluster does not have this version yet. reason and message say what it
 *             waits for, where that is known
 *   applied   the object in the cluster carries this version
 *   failed    Flux or the API server refuses it, or it is held: reason and message are theirs; but
 *             where namespaces share a catalog, no text about an object of another one is told
 *   deleting  no longer wanted, and the object is still there, or may be about to come: Flux is not
 *             known to have applied a catalog without it
 *   unknown   nothing is heard from the cluster, or there is none
 *
 * Any thread; one lock, held for a few instructions (but in tracker_reset() and where a list of the
 * cluster ends), never while anybody is called.
 *
 * To the feed go, each with "namespace" and "name":
 *
 * - change, of a commit, with "op" (created, updated, deleted, held or released), "version",
 *   "digest" where there is one, and "phase".
 *
 * - phase, where that of a version has changed, with "version" and "status", which is what
 *   tracker_status_json() writes.
 *
 * - gone, where what was deleted has left the cluster, with nothing else.
 *
 * None of them says unknown because nothing is heard any more: readers know that by the status, and
 * are told to list again as soon as more is known.
 *
 *   tracker.c        what happens, and what follows from it
 *   tracker_table.c  what is known of each resource and catalog
 *   tracker_read.c   statuses, as they are told
 *   tracker_wait.c   who waits
 */
#ifndef CLUSTER_TRACKER_H
#define CLUSTER_TRACKER_H

#include "cluster/feed.h"
#include "publish/publisher.h"

struct tracker;

enum phase { PHASE_PENDING, PHASE_APPLIED, PHASE_FAILED, PHASE_DELETING, PHASE_UNKNOWN, PHASES_ };
const char *phase_name(enum phase phase); /* "pending" */
bool phase_parse(struct slice name, enum phase *ret);

/* watching: there is a cluster to hear from; false: every phase is unknown, for good. feed is
 * borrowed. */
int tracker_new(
	struct tracker **ret, struct feed *feed, bool watching, struct error *err) MUST_CHECK;
void tracker_free(struct tracker *t); /* nobody may wait */
DEFINE_CLEANUP(struct tracker, tracker_free);
/* For tests: another clock than clock_monotonic_ms(). Before all others. */
void tracker_set_clock(struct tracker *t, uint64_t (*monotonic_ms)(void));

/* ---- what is wanted: on the publisher's thread ---- */

/* Everything anew, after a restore. */
void tracker_reset(struct tracker *t, struct state *state, uint64_t version);
/* A commit has become current, before it is answered. */
void tracker_committed(struct tracker *t, const struct publisher_event *event);

/* ---- what the cluster shows: on kube's thread ---- */

/* One PlatformResource. All borrowed, copied. */
struct tracker_object {
	const char *namespace, *name;
	uint64_t version;    /* of its annotation gitops-squared.io/version; 0: none, not ours */
	bool is_deleting;    /* it has a deletionTimestamp */
	struct slice status; /* its .status, as compact JSON; SLICE_NONE: none */
};
void tracker_relist(struct tracker *t);
void tracker_object(struct tracker *t, const struct tracker_object *object);
void tracker_gone(struct tracker *t, const char *namespace, const char *name);
void tracker_synced(struct tracker *t); /* what has not been seen since relist is gone */
void tracker_lost(struct tracker *t, const char *why);

/* What Flux says of one catalog, its OCIRepository and its Kustomization together. Copied. */
struct tracker_flux {
	bool is_failing; /* Ready=False of one of them */
	bool is_fetch;   /* ... the OCIRepository, so of the whole catalog */
	/* ... and the last wake that it has handled, which is a time (waker.h): what was committed
	 * later is not known to have failed. 0: none */
	uint64_t asked_us;
	bool is_of_root;    /* ... said of the root, which all namespaces have in common */
	bool is_waiting;    /* ... for something that comes by itself: nothing has failed */
	const char *reason; /* Flux's words, "" where there are none */
	const char *message;
	struct digest attempted; /* of the catalog's manifest; DIGEST_NONE: never */
	struct digest applied;   /* likewise */
};
/* repository: of the catalog. */
void tracker_flux(struct tracker *t, const char *repository, const struct tracker_flux *flux);

/* Flux is asked to try the catalog again: what it refused may pass now. The publisher's thread. */
void tracker_retried(struct tracker *t, const char *repository);

/* ---- reading ---- */

struct tracker_status {
	enum phase phase;
	uint64_t version;                /* in the cluster; 0: none */
	char revision[DIGEST_TEXT_SIZE]; /* of the catalog that Flux applied last, or "" */
	char reason[64];                 /* "" where there is none */
	char message[LIMIT_FLUX_MESSAGE + 1];
	uint64_t since_us; /* realtime; of the phase */
	struct buf object; /* .status of the object, JSON; empty: none. Only where asked for */
};

/* r: the current one, from a state; or NULL, for what is not wanted: false then where it is not
 * deleting either. with_object: fills ret->object, which the caller has
 * initialised. */
bool tracker_status(struct tracker *t, const char *namespace, const char *name,
	const struct resource *r, bool with_object, struct tracker_status *ret);
/* The phase alone; for lists. */
enum phase tracker_phase(struct tracker *t, const struct resource *r);
/* {"phase":...,"version"?:"v1","revision"?,"reason"?,"message"?,"since","object"?} */
void tracker_status_json(const struct tracker_status *status, struct buf *ret);

/* Resources whose object Flux has yet to delete; SIZE_MAX while nothing is heard of the cluster. */
size_t tracker_deleting(struct tracker *t);
/* The object in the cluster with the highest version of those that no commit which is known
 * accounts for, and what it is: "namespace/name". 0: there is none. */
#define TRACKER_KEY_SIZE (2 * LIMIT_NAME + 2)
uint64_t tracker_stranger(struct tracker *t, char ret[TRACKER_KEY_SIZE]);
/* Brings the gauges of cluster/metrics.h up to date: before they are written. */
void tracker_measure(struct tracker *t);

/* ---- waiting ---- */

/* Waits until a version, or a later one, is applied or has failed, or until what was deleted is
 * gone, or something later in its place. What is deleted meanwhile is not waited for. The memory is
 * the caller's, in use until done() was called or tracker_cancel() has returned. */
struct tracker_wait {
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	uint64_t version;
	bool deleted;         /* that version is a tombstone's */
	uint64_t deadline_ms; /* clock_monotonic_ms() */
	/* Once, on kube's or the publisher's thread: must not block. tracker_status_waited() tells
	 * what has become of it. */
	void (*done)(void *arg);
	void *arg;
	/* the tracker's */
	struct tracker_wait *next, *previous;
	bool is_waiting;
};
/* False: it is so already, or waiting is of no use, as nothing is heard from the cluster or it is
 * deleted by now; done() will not be called. */
bool tracker_wait(struct tracker *t, struct tracker_wait *wait);
/* True: done() will not be called. False: it was, or is just now being called. */
bool tracker_cancel(struct tracker *t, struct tracker_wait *wait);
/* What has become of what a wait is for, at any time: applied (of a deletion: gone, or something
 * later in its place) and failed are what it waits for, though another version may be current by
 * now. Fills ret->object as tracker_status() does. */
void tracker_status_waited(
	struct tracker *t, const struct tracker_wait *wait, struct tracker_status *ret);
/* Ends what has lasted long enough: waits whose deadline is over, and doubts whether something
 * deleted may still come. Called every now and then. */
void tracker_expire(struct tracker *t);

#endif
