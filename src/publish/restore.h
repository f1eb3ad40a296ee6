/* SPDX-License-Identifier: Apache-2.0 */
/* Private to publish. From a commit record to the state that it speaks of (DESIGN invariant 5). */
#ifndef PUBLISH_RESTORE_H
#define PUBLISH_RESTORE_H

#include "catalog/root.h"
#include "catalog/state.h"
#include "oci/registry.h"
#include "publish/places.h"

/* Reads the record's catalogs, those that it changed by digest and the others by latest, each
 * verified to the last byte; the hash over all must be the record's. ERROR_INTERNAL: something is
 * missing or damaged; the text names it. ret_leftovers may be NULL (struct head). */
int restore_state(struct state **ret, struct places *ret_leftovers, const struct record *record,
	struct registry *registry, struct error *err) MUST_CHECK;

/* The catalogs that a root's layer names: those of the record's layout, and while a repartition is
 * under way what is left of the layout before. */
int restore_root(struct places *ret, struct places *ret_leftovers, const struct record *record,
	struct slice layer, struct error *err) MUST_CHECK;

/* Is r (NULL: there is none) what the change says? */
bool restore_agrees(const struct record_change *change, const struct resource *r);

/* Moves the tags latest of what the record changed to where they belong: rolls forward what a crash
 * between the commit point and the answer left behind. */
int restore_latest(const struct state *state, const struct record *record,
	struct registry *registry, struct error *err) MUST_CHECK;

#endif
