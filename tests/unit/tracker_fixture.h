/* SPDX-License-Identifier: Apache-2.0 */
/* A tracker with a clock that stands still, and what it is told: commits, objects and what Flux
 * says, all of the namespace default but where one is given. */
#ifndef TESTS_UNIT_TRACKER_FIXTURE_H
#define TESTS_UNIT_TRACKER_FIXTURE_H

#include "test.h"

#include "cluster/tracker.h"

#define DEFAULT_CATALOG "gitops-squared/catalogs/default/00"
#define FIRST_VERSION 1764000000000000

extern struct error err;
extern uint64_t clock_ms; /* the tracker's */

int fixture_setup(void **state);
int fixture_teardown(void **state);

/* ---- a tracker, a state, and who watches ---- */

struct world {
	struct feed *feed;
	struct feed_position at;
	struct tracker *t;
	struct state *state;
	uint64_t version; /* of the last commit */
};

struct world world_of(enum layout_kind kind, bool watching);
/* Nothing is wanted, nothing is there, and both are known. */
struct world new_world(void);
void end_world(struct world *w);

/* ---- commits ---- */

struct resource *make(const char *namespace, const char *name, uint64_t version);
/* Of a catalog, after the commit of that version. */
struct digest digest_at(uint64_t version);
/* Puts or removes, and gives the catalog that it is in a digest of this commit. */
void change_state(struct world *w, const struct catalog_change *change,
	char repository[CATALOG_REPOSITORY_SIZE]);
/* Each returns the version. */
uint64_t put(struct world *w, const char *namespace, const char *name);
uint64_t delete (struct world *w, const char *namespace, const char *name);
void hold(struct world *w, const char *name, enum hold_reason reason, const char *message);
void release(struct world *w, const char *name);
/* Of what is held: no catalog changes. */
uint64_t delete_held(struct world *w, const char *name);

/* ---- what is seen ---- */

void see_with(struct world *w, const char *namespace, const char *name, uint64_t version,
	bool is_deleting, const char *status);
void see(struct world *w, const char *name, uint64_t version);
/* message: NULL, or why it fails. What it has applied last is not known. */
void flux_says(struct world *w, uint64_t attempted, bool is_fetch, const char *message);
/* The same of the catalog of a single layout. */
void flux_says_of_all(struct world *w, uint64_t attempted, bool is_fetch, const char *message);
/* It has applied the catalog of that commit; failing: and fails with a later one. */
void flux_applied(struct world *w, uint64_t version, bool failing);

/* ---- what is told ---- */

struct tracker_status status_of(struct world *w, const char *name);
void assert_phase(struct world *w, const char *name, const char *phase, const char *reason);
bool is_there(struct world *w, const char *name);
uint64_t count_of(struct world *w, enum phase phase); /* by the metric */
/* "change:{...}\n" for each, until "since", which is a time. */
void assert_events(struct world *w, const char *expected);
/* Readers are told to list again, and then there is nothing more. */
void assert_reset(struct world *w);
void skip_events(struct world *w);

#endif
