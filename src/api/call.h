/* SPDX-License-Identifier: Apache-2.0 */
/* Private to api. One call: the request with what the router read from its path. */
#ifndef API_CALL_H
#define API_CALL_H

#include "api/api.h"
#include "base/limits.h"
#include "publish/publisher.h"
#include "publish/readers.h"

struct bodies;
struct body_seat;
struct description;
struct wait_room;
struct watch_room;
struct change;
struct history_cache;
struct reading;

struct route_method;

struct api {
	struct publisher *publisher;
	struct auth *auth;
	struct cluster *cluster;
	struct tracker *tracker;   /* the cluster's */
	struct embedded *embedded; /* NULL with a remote registry */
	struct readers *readers;
	struct bodies *bodies;
	struct history_cache *history;
	struct description *description;
	struct wait_room *waits;
	struct watch_room *watches;
	size_t n_namespaces;
	char (*namespaces)[LIMIT_NAME + 1];
};

/* The query of a change: wait=applied, timeout=30s. */
struct wait_query {
	bool applied;
	uint64_t timeout_ms;
};

/* Lives as the exchange's data. */
struct call {
	struct api *api;
	char namespace[LIMIT_NAME + 1]; /* "default" where the path names none */
	char name[LIMIT_NAME + 1];
	uint64_t revisions[2]; /* the path's: one, or both ends of a range */
	const struct route_method *method;
	char scope[LIMIT_NAME + 1]; /* the namespace that was asked about, or AUTH_EVERYWHERE */
	struct subject *subject;    /* who may do this, as was found; NULL on an open route */
	struct precondition when;   /* of one resource: If-Match, If-None-Match */
	bool dry_run;
	unsigned tries;                   /* of a change that is made from what is current, */
	struct slice body;                /* and what it is made by; the exchange's, or: */
	struct http_collected *collected; /* NULL: that it is */
	struct body_seat *seat;           /* of one that is large; NULL: it is not */
	struct wait_query wait;
	struct reading *reading; /* from the registry, for it (api/reading.h); NULL: nothing is */
	struct change *waiting;  /* for the cluster (api/change.h); NULL: it does not */
};

/* The namespace, where it is the path that says it, or NULL. */
const char *call_path_namespace(const struct http_exchange *x, const struct call *call);

/* Whether resources may be put into the namespace: it is there in the cluster, or the operator says
 * so. ERROR_UNPROCESSABLE, with the field "namespace". */
int call_check_namespace(
	const struct call *call, const char *namespace, struct error *err) MUST_CHECK;

/* Who makes the change, and why they say so; ERROR_INVALID: X-Change-Reason is no text. */
int call_author(struct author **ret, const struct http_exchange *x, const struct call *call,
	struct error *err) MUST_CHECK;

/* Handlers; call is the exchange's data. */
void get_health(struct http_exchange *x, struct call *call);
void get_ready(struct http_exchange *x, struct call *call);
void resources_list(struct http_exchange *x, struct call *call);
void resources_post(struct http_exchange *x, struct call *call);
void resource_get(struct http_exchange *x, struct call *call);
void resource_put(struct http_exchange *x, struct call *call);
void resource_patch(struct http_exchange *x, struct call *call);
void resource_delete(struct http_exchange *x, struct call *call);
void resource_get_status(struct http_exchange *x, struct call *call);
void layout_get(struct http_exchange *x, struct call *call);
void layout_put(struct http_exchange *x, struct call *call);
void freeze_get(struct http_exchange *x, struct call *call);
void freeze_put(struct http_exchange *x, struct call *call);
void freeze_delete(struct http_exchange *x, struct call *call);
void changes_post(struct http_exchange *x, struct call *call);
void rollback_resource(struct http_exchange *x, struct call *call);
void rollback_all(struct http_exchange *x, struct call *call);
void history_get(struct http_exchange *x, struct call *call);
void revisions_list(struct http_exchange *x, struct call *call);
void revision_get(struct http_exchange *x, struct call *call);
void revision_resources(struct http_exchange *x, struct call *call);
void diff_get(struct http_exchange *x, struct call *call);
void openapi_get(struct http_exchange *x, struct call *call);
void docs_get(struct http_exchange *x, struct call *call);
void watch_get(struct http_exchange *x, struct call *call);
void get_metrics(struct http_exchange *x, struct call *call);

/* What is current, with a reference, or NULL after answering why there is nothing yet. */
struct state *call_state(struct http_exchange *x, struct call *call);
/* Likewise, with the version of the commit that made it so. */
struct state *call_state_at(struct http_exchange *x, struct call *call, uint64_t *ret_version);
/* Likewise, or NULL after refusing a query, for calls that take none. */
struct state *call_plain_state(struct http_exchange *x, struct call *call);

/* 0: a body of JSON is to come. */
int call_check_json(const struct http_exchange *x, struct error *err) MUST_CHECK;

/* metrics.c: what is known once and for all. */
void metrics_setup(const char *version);

#endif
