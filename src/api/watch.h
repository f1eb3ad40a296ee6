/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. Streams of events (Server-Sent Events: WHATWG HTML, section 9.2).
 *
 * Each has a position in the cluster's feed and reads on as its client does, so one costs little
 * more than its connection. One thread waits for the feed, and for the time of the next heartbeat,
 * on behalf of all of them, and wakes them on their loops: once for all events that come together.
 */
#ifndef API_WATCH_H
#define API_WATCH_H

#include "auth/auth.h"
#include "cluster/feed.h"

struct watch_room;

/* The namespace that such a query watches, or AUTH_EVERYWHERE; as it is where it cannot be read. */
void watch_query_scope(char scope[LIMIT_NAME + 1], const char *path_namespace, struct slice query);

/* Starts the thread. The feed is borrowed, and auth, which says whether a stream may go on. */
int watch_room_new(struct watch_room **ret, struct feed *feed, struct auth *auth,
	struct error *err) MUST_CHECK;
void watch_room_stop(struct watch_room *room); /* ends the thread and all streams */
void watch_room_free(struct watch_room *room); /* stopped; no stream is left */

#endif
