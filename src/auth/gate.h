/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/auth.h for a request that is on its event loop: asks with the request's own Authorization
 * header and address, and comes back to the loop with the answer. Loops must run until auth has
 * answered all.
 */
#ifndef AUTH_GATE_H
#define AUTH_GATE_H

#include "auth/auth.h"
#include "http/server.h"

/* On the loop's thread: before gate_ask() returns, or later. x NULL: the exchange is gone by then,
 * and what hung on it. subject: borrowed; NULL: it is not known. err: as of auth_question. */
typedef void gate_then(
	struct http_exchange *x, struct subject *subject, const struct error *err, void *arg);

/* Who it is, and whether they may. Without memory then() is told so. */
void gate_ask(struct http_exchange *x, struct auth *auth, enum auth_action action,
	const char *namespace, gate_then *then, void *arg);
/* Who it is alone. authorization: the header's value, or what stands in its place in a body. */
void gate_identify(struct http_exchange *x, struct auth *auth, struct slice authorization,
	gate_then *then, void *arg);
/* Whether that subject may. quiet: as of auth_question. */
void gate_authorize(struct http_exchange *x, struct auth *auth, struct subject *subject,
	enum auth_action action, const char *namespace, bool quiet, gate_then *then, void *arg);

#endif
