/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. A change on its way: handed to the publisher, then, where ?wait=applied says so,
 * waiting for the cluster, then answered.
 *
 * The publisher and the tracker call from threads of their own; all else happens on the loop of the
 * request. A client that leaves takes its wait with it: it hangs on the exchange's data.
 */
#ifndef API_CHANGE_H
#define API_CHANGE_H

#include "api/call.h"

int wait_query_parse(struct wait_query *ret, struct slice query, struct error *err) MUST_CHECK;

struct change;

/* For publisher_put() and publisher_delete(), with change_decided(); NULL after answering that
 * memory is gone. */
struct change *change_new(struct http_exchange *x, struct call *call, const char *name,
	const struct wait_query *query) MUST_CHECK;
publisher_done change_decided;

/* The exchange of a change that waits is gone. */
void change_left(struct change *c);

/* All that wait, so that a stop can end them. */
struct wait_room;
int wait_room_new(struct wait_room **ret, struct error *err) MUST_CHECK;
void wait_room_stop(struct wait_room *room); /* nobody waits from now on */
void wait_room_free(struct wait_room *room);

#endif
