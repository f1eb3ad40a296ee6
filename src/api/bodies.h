/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. Bodies of changes: which large ones there is room for, and the threads that
 * decode what would hold up an event loop.
 *
 * A large body takes a seat from its first byte until nobody needs it any more: one of each
 * subject, and no more bytes in all than LIMIT_LARGE_BODIES. So small ones always have room,
 * whatever is sent slowly. Any thread.
 */
#ifndef API_BODIES_H
#define API_BODIES_H

#include "auth/subject.h"

struct bodies;
struct body_seat;

int bodies_new(struct bodies **ret, struct error *err) MUST_CHECK;
/* Runs what waits for a thread, and takes nothing more. */
void bodies_stop(struct bodies *b);
void bodies_free(struct bodies *b); /* stops; nobody has a seat any more */

/* peer: stands for who is anonymous. ERROR_TOO_MANY, and when to come again: it has one, or there
 * is no room. */
int bodies_sit(struct body_seat **ret, struct bodies *b, const struct subject *subject,
	const char *peer, size_t size, struct error *err) MUST_CHECK;
void body_seat_free(struct body_seat *seat);
DEFINE_CLEANUP(struct body_seat, body_seat_free);

/* On a thread. False: there is none for it, now or any more. */
bool bodies_run(struct bodies *b, void (*fn)(void *arg), void *arg) MUST_CHECK;

#endif
