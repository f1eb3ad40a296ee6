/* SPDX-License-Identifier: Apache-2.0 */
/* Private to publish. From a commit record to the state that it speaks of (DESIGN invariant 5). */
#ifndef PUBLISH_RESTORE_H
#define PUBLISH_RESTORE_H

#include "catalog/root.h"
#include "catalog/state.h"
#include "oci/registry.h"

/* Reads the record's catalogs, those that it changed by digest and the others by latest, each
 * verified to the last byte; the hash over all must be the record's. ERROR_INTERNAL: something is
 * missing or damaged; the text names it. */
int restore_state(struct state **ret, const struct record *record, struct registry *registry,
	struct error *err) MUST_CHECK;

/* Moves the tags latest of what the record changed to where they belong: rolls forward what a crash
 * between the commit point and the answer left behind. */
int restore_latest(const struct state *state, const struct record *record,
	struct registry *registry, struct error *err) MUST_CHECK;

#endif
