/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of /api/v1/.../resources. */
#include "api/answer.h"
#include "api/change.h"
#include "api/list.h"
#include "api/params.h"
#include "api/preconditions.h"

#include <stdio.h>

/* ---- reading: from memory ---- */

struct state *call_state(struct http_exchange *x, struct call *call)
{
	return call_state_at(x, call, NULL);
}

struct state *call_state_at(struct http_exchange *x, struct call *call, uint64_t *ret_version)
{
	struct state *state = publisher_state(call->api->publisher, ret_version);
	struct error err = ERROR_INIT;

	if (state != NULL)
		return state;
	if (publisher_ready(call->api->publisher, &err) == 0)
		error_set(&err, ERROR_UNAVAILABLE, "just getting ready; try again");
	answer_error(x, &err);
	return NULL;
}

struct state *call_plain_state(struct http_exchange *x, struct call *call)
{
	struct error err = ERROR_INIT;

	if (params_none(http_exchange_query(x), &err) == 0)
		return call_state(x, call);
	answer_error(x, &err);
	return NULL;
}

const char *call_path_namespace(const struct http_exchange *x, const struct call *call)
{
	bool says = slice_starts(http_exchange_path(x), SLICE("/api/v1/namespaces/"));

	return says ? call->namespace : NULL;
}

/* The query was read for the gate too, and without memory that may have come to nothing. */
static int check_scope(const struct call *call, const struct list_query *q, struct error *err)
{
	const char *lists = q->all ? AUTH_EVERYWHERE : q->namespace;

	return strcmp(call->scope, lists) == 0 ? 0 : error_no_memory(err);
}

void resources_list(struct http_exchange *x, struct call *call)
{
	CLEANUP(list_query_done) struct list_query query = {0};
	CLEANUP(state_unrefp) struct state *state = NULL;
	struct error err = ERROR_INIT;
	uint64_t version;

	if (list_query_parse(&query, call_path_namespace(x, call), http_exchange_query(x), &err) !=
			0 ||
		check_scope(call, &query, &err) != 0) {
		answer_error(x, &err);
		return;
	}
	state = call_state_at(x, call, &version);
	if (state != NULL)
		list_answer(x, state, version, call->api->tracker, &query);
}

void resource_get(struct http_exchange *x, struct call *call)
{
	CLEANUP(state_unrefp) struct state *state = call_plain_state(x, call);
	struct resource *r;

	if (state == NULL)
		return;
	r = state_find(state, call->namespace, call->name);
	if (r != NULL)
		answer_resource(x, r, call->api->tracker);
	else
		answer_no_resource(x, call->namespace, call->name);
}

/* Also of a resource that is deleted here, as long as the cluster has it. */
void resource_get_status(struct http_exchange *x, struct call *call)
{
	CLEANUP(state_unrefp) struct state *state = call_plain_state(x, call);
	struct tracker_status status;

	if (state == NULL)
		return;
	buf_init(&status.object, LIMIT_STATUS_OBJECT);
	if (tracker_status(call->api->tracker, call->namespace, call->name,
		    state_find(state, call->namespace, call->name), true, &status))
		answer_status(x, &status);
	else
		answer_no_resource(x, call->namespace, call->name);
	buf_done(&status.object);
}

/* ---- writing: the publisher answers, on its own thread ---- */

int call_check_json(const struct http_exchange *x, struct error *err)
{
	struct slice value = http_head_get(http_exchange_head(x), "content-type");
	struct slice type = slice_trim(slice_cut(&value, ';'));

	if (slice_eq_nocase(type, SLICE("application/json")))
		return 0;
	return error_set(err, ERROR_MEDIA_TYPE,
		"send it as JSON, with the header Content-Type: application/json");
}

static int check_listed(const struct api *api, const char *namespace, struct error *err)
{
	for (size_t i = 0; i < api->n_namespaces; i++)
		if (strcmp(api->namespaces[i], namespace) == 0)
			return 0;
	return error_set(err, ERROR_UNPROCESSABLE,
		"namespace %s is not known to exist in the cluster: an operator can add it to "
		"--namespaces once it does",
		namespace);
}

/* One object in a namespace that does not exist would stop Flux from applying the whole catalog.
 * Where the cluster does not say which there are, the operator's list does. */
int call_check_namespace(const struct call *call, const char *namespace, struct error *err)
{
	int known = cluster_namespace(call->api->cluster, namespace, err);

	if (known < 0)
		known = check_listed(call->api, namespace, err) == 0;
	if (known)
		return 0;
	snprintf(err->field, sizeof(err->field), "namespace");
	return -1;
}

int call_author(struct author **ret, const struct http_exchange *x, const struct call *call,
	struct error *err)
{
	struct slice why = http_head_get(http_exchange_head(x), "x-change-reason");

	if (author_new(ret, call->subject->name, http_exchange_peer(x), why, err) == 0)
		return 0;
	return error_wrap(err, "X-Change-Reason");
}

/* What the request says of the version that it changes, to call->when. Most say nothing, and need
 * not know what there is. */
static int read_preconditions(
	const struct http_exchange *x, struct call *call, const char *name, struct error *err)
{
	CLEANUP(state_unrefp) struct state *state = NULL;

	call->when = ALWAYS;
	if (!preconditions_given(http_exchange_head(x)))
		return 0;
	state = publisher_state(call->api->publisher, NULL);
	return preconditions_read(&call->when, http_exchange_head(x),
		state == NULL ? NULL : state_find(state, call->namespace, name), err);
}

static void put(struct http_exchange *x, struct call *call, struct intent *intent)
{
	struct error err = ERROR_INIT;

	if (read_preconditions(x, call, intent->name, &err) == 0)
		change_put(x, call, intent, call->when, NULL);
	else
		answer_error(x, &err);
}

static void post_body(struct http_exchange *x, struct slice body, void *arg)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct call *call = arg;
	struct error err = ERROR_INIT;

	if (intent_decode(&intent, body, call->namespace, &err) == 0)
		put(x, call, intent);
	else
		answer_error(x, &err);
}

static void put_body(struct http_exchange *x, struct slice body, void *arg)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct call *call = arg;
	struct error err = ERROR_INIT;

	if (intent_decode_named(&intent, body, call->namespace, call->name, &err) == 0)
		put(x, call, intent);
	else
		answer_error(x, &err);
}

static void collect(struct http_exchange *x, struct call *call,
	void (*done)(struct http_exchange *x, struct slice body, void *arg))
{
	struct error err = ERROR_INIT;

	if (change_query_parse(call, http_exchange_query(x), &err) != 0 ||
		call_check_json(x, &err) != 0 ||
		call_check_namespace(call, call->namespace, &err) != 0)
		answer_error(x, &err);
	else
		http_exchange_collect(x, LIMIT_API_BODY, done, call);
}

void resources_post(struct http_exchange *x, struct call *call)
{
	collect(x, call, post_body);
}

void resource_put(struct http_exchange *x, struct call *call)
{
	collect(x, call, put_body);
}

void resource_delete(struct http_exchange *x, struct call *call)
{
	struct error err = ERROR_INIT;

	if (change_query_parse(call, http_exchange_query(x), &err) == 0 &&
		read_preconditions(x, call, call->name, &err) == 0)
		change_delete(x, call, call->when);
	else
		answer_error(x, &err);
}
