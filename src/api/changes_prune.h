/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. "prune" of a change: in some namespaces, what a selector matches and the change
 * does not name is to go.
 */
#ifndef API_CHANGES_PRUNE_H
#define API_CHANGES_PRUNE_H

#include "api/selector.h"
#include "base/limits.h"
#include "catalog/state.h"
#include "publish/change_set.h"

#include <jansson.h>

struct changes_prune {
	size_t n; /* 0: nothing is pruned */
	char (*namespaces)[LIMIT_NAME + 1];
	struct selector *selector; /* NULL: all */
};
void changes_prune_done(struct changes_prune *p);

/* {"namespaces":["default"],"selector"?:"app=web"}. only: the one namespace that there may be,
 * which is meant where none are named; NULL: any, and they must be named. err->field is the path in
 * it. */
int changes_prune_read(
	struct changes_prune *ret, json_t *json, const char *only, struct error *err) MUST_CHECK;

/* Adds what the state has of that to the set, behind what it names: each to be deleted only if it
 * is still that version. */
int changes_prune_add(const struct changes_prune *p, struct state *state, struct change_set *set,
	struct error *err) MUST_CHECK;

#endif
