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

/* wait=applied, timeout=30s, dryRun=true: to call->wait and call->dry_run. */
int change_query_parse(struct call *call, struct slice query, struct error *err) MUST_CHECK;

/* On the loop: what is current is not what the change was made from; x is not NULL. */
typedef void change_again(struct http_exchange *x, struct call *call);

/*
 * Makes the intent current, or the resource that the path names gone, and answers x; a dry run only
 * answers. On the loop; x may be gone by the time of the answer.
 *
 * again: called in place of answering that the precondition does not hold; NULL: it is answered, as
 * that of call->when.
 */
void change_put(struct http_exchange *x, struct call *call, struct intent *intent,
	struct precondition when, change_again *again);
void change_delete(struct http_exchange *x, struct call *call, struct precondition when);

struct change;

/* The exchange of a change that waits is gone. */
void change_left(struct change *c);

/* All that wait, so that a stop can end them. */
struct wait_room;
int wait_room_new(struct wait_room **ret, struct error *err) MUST_CHECK;
void wait_room_stop(struct wait_room *room); /* nobody waits from now on */
void wait_room_free(struct wait_room *room);

#endif
