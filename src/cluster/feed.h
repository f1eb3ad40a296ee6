/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The feed: what happened to resources, in order, for those who watch.
 *
 * A ring of the last events, in memory. Readers keep a position and read at their own pace, so a
 * slow one costs nothing: when the ring has gone past it, it is told to list again. Ids are
 * "<epoch>-<sequence>"; the epoch is drawn at random at start, so that an id of another process is
 * known for one.
 *
 * Any thread; one lock, never held while anybody is called, nor while text is copied: events are
 * rendered once, when they are added, and shared by reference.
 */
#ifndef CLUSTER_FEED_H
#define CLUSTER_FEED_H

#include "base/buf.h"
#include "base/limits.h"

struct feed;

int feed_new(struct feed **ret, struct error *err) MUST_CHECK;
void feed_free(struct feed *feed); /* nobody may be parked */
DEFINE_CLEANUP(struct feed, feed_free);

/* Both leave it to feed_wake() to wake who is parked: so who adds under a lock of his own has the
 * events in the order of what happened, and wakes when he has let go of it. */

/* Adds an event of a resource in a namespace. data: one line of JSON; copied. Without memory the
 * event is lost, and every reader is told to list again. */
void feed_add(struct feed *feed, const char *event, const char *namespace, struct slice data);
/* Anything may have changed: every reader is told to list again. */
void feed_reset(struct feed *feed);
void feed_wake(struct feed *feed);

struct feed_position {
	uint64_t next;                  /* sequence number of the next event to read */
	char namespace[LIMIT_NAME + 1]; /* only of this one; "": of all */
};

/* From now on, of all namespaces: another is filled in afterwards. */
void feed_position_now(struct feed_position *ret, struct feed *feed);
/* Likewise, after the event with this id; false where that is gone or was never given: list again.
 */
bool feed_position_after(struct feed_position *ret, struct feed *feed, struct slice id);

enum feed_read {
	FEED_EVENTS, /* some were appended */
	FEED_END,    /* there are none now */
	FEED_GONE,   /* the ring has gone past the position, which is now at its end: list again */
};
/* Appends events from the position on, at most max bytes but at least one, as Server-Sent Events
 * (WHATWG HTML, section 9.2): "id: ...\nevent: ...\ndata: ...\n\n". */
enum feed_read feed_read(
	struct feed *feed, struct feed_position *position, size_t max, struct buf *ret);
/* Appends the id of the last event before the position, for a reader that begins: "<epoch>-<n>". */
void feed_id(struct feed *feed, const struct feed_position *position, struct buf *ret);

/* Who waits for the next event at his position. The memory of both is the caller's, and in use
 * until wake() was called or feed_unpark() has returned; then the position is past all that is of
 * other namespaces, so that these never make a patient reader list again. */
struct feed_parked {
	void (*wake)(void *arg); /* once; on the thread that adds, so it must not block */
	void *arg;
	/* the feed's */
	struct feed_position *position;
	struct feed_parked *next, *previous;
	bool is_parked;
};
/* False: there are events after the position already, or it is gone; wake() will not be called. */
bool feed_park(struct feed *feed, struct feed_position *position, struct feed_parked *parked);
/* True: wake() will not be called. False: it was, or is just now being called. */
bool feed_unpark(struct feed *feed, struct feed_parked *parked);

#endif
