/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. Whether the caller may do what a body asks for: update or delete in each of the
 * namespaces that it names, each pair asked for once, one after the other (auth/gate.h).
 */
#ifndef API_PERMIT_H
#define API_PERMIT_H

#include "api/call.h"
#include "auth/action.h"
#include "publish/change_set.h"

/* On the loop: before permit_ask() returns, or later. x NULL: the exchange is gone, arg is to be
 * freed. err: ERROR_NONE where all is allowed; else the first refusal, as of the gate. */
typedef void permit_then(struct http_exchange *x, const struct error *err, void *arg);

/* All that a change set asks for: ACTION_UPDATE where something is put, ACTION_DELETE where
 * something is removed. set is borrowed until then(). */
void permit_ask(struct http_exchange *x, struct call *call, const struct change_set *set,
	permit_then *then, void *arg);

/* Whether it may change something at all in the path's namespace: ACTION_UPDATE, or else
 * ACTION_DELETE. The refusal is that of the former. */
void permit_ask_any(struct http_exchange *x, struct call *call, permit_then *then, void *arg);

/* Namespaces of which more is to be removed than the set says yet: ACTION_DELETE, whether there is
 * anything or not, as the answer would tell otherwise. */
struct permit_prune {
	size_t n;
	char (*namespaces)[LIMIT_NAME + 1];
};
void permit_ask_pruning(struct http_exchange *x, struct call *call, const struct change_set *set,
	const struct permit_prune *prune, permit_then *then, void *arg);

#endif
