/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to others that are under way: who asks the same meanwhile waits for
 * the one answer. Any thread.
 */
#ifndef AUTH_FLIGHTS_H
#define AUTH_FLIGHTS_H

#include "oci/digest.h"

#include <sys/queue.h>

/* Who waits; part of a larger object, which lasts until it has landed. */
struct passenger {
	struct digest key;
	STAILQ_ENTRY(passenger) next; /* flights' */
};
STAILQ_HEAD(passengers, passenger);

struct flights;

int flights_new(struct flights **ret, struct error *err) MUST_CHECK;
void flights_free(struct flights *f); /* none is under way */

/* Joins the flight of p->key. True: p is its first and has to ask, and then to land it. */
bool flights_board(struct flights *f, struct passenger *p);

/* Ends the flight: the first who is on it, with the others behind it (STAILQ_NEXT). */
struct passenger *flights_land(struct flights *f, const struct digest *key);

#endif
