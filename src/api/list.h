/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. Lists of resources: what the query of one asks for, and the answer.
 *
 * A list is of the state at the moment of its request, which it holds by reference while it is
 * sent: however long it is, a piece of it is in memory at a time, and what writers replace
 * meanwhile stays until the client has read it, or the server gives up on one that reads nothing
 * (LIMIT_HTTP_SEND_STALL_MS). Phases are not part of the state: they are those of the moment.
 */
#ifndef API_LIST_H
#define API_LIST_H

#include "api/selector.h"
#include "auth/action.h"
#include "catalog/state.h"
#include "cluster/tracker.h"
#include "http/server.h"

struct list_query {
	const char *path_namespace;     /* that the path names, or NULL */
	bool all;                       /* of all namespaces */
	char namespace[LIMIT_NAME + 1]; /* else of this one */
	bool by_type, by_size, by_phase;
	enum intent_type type;
	enum intent_size size;
	enum phase phase;
	char *region;                         /* NULL: any or none */
	struct selector *labels;              /* NULL: any */
	uint64_t limit;                       /* 0: all */
	char after_namespace[LIMIT_NAME + 1]; /* "", with after "": from the first */
	char after[LIMIT_NAME + 1];
	bool after_all; /* that was said of a list of all namespaces */
};

/* path_namespace: the one that the path names, or NULL. Unknown parameters are errors, as a
 * mistyped filter must not list everything. */
int list_query_parse(struct list_query *ret, const char *path_namespace, struct slice query,
	struct error *err) MUST_CHECK;
void list_query_done(struct list_query *q);

/* The namespace that such a query lists, or AUTH_EVERYWHERE; as it is where it cannot be read. */
void list_query_scope(char scope[LIMIT_NAME + 1], const char *path_namespace, struct slice query);

/* Appends what goes on with the list after this resource, as "continue": no character of it needs
 * an escape in JSON or in a query. */
void list_query_add_token(const struct list_query *q, const struct resource *last, struct buf *ret);

/* Answers {"resources":[...],"count":N,"continue"?}, streamed, each resource with the phase that it
 * has when it is sent. version: of the commit that made the state; the ETag names it. Takes over
 * what the query holds. */
void list_answer(struct http_exchange *x, struct state *state, uint64_t version,
	struct tracker *tracker, struct list_query *query);

#endif
