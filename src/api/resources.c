/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of /api/v1/.../resources. */
#include "api/answer.h"
#include "api/call.h"
#include "api/list.h"

#include <stdio.h>

/* ---- reading: from memory ---- */

/* What is current, with a reference, or NULL after answering why there is nothing yet. */
static struct state *state_or_answer(struct http_exchange *x, struct call *call)
{
	struct state *state = publisher_state(call->api->publisher);
	struct error err = ERROR_INIT;

	if (state != NULL)
		return state;
	if (publisher_ready(call->api->publisher, &err) == 0)
		error_set(&err, ERROR_UNAVAILABLE, "just getting ready; try again");
	answer_error(x, &err);
	return NULL;
}

/* The namespace, where it is the path that says it. */
static const char *path_namespace(const struct http_exchange *x, const struct call *call)
{
	bool says = slice_starts(http_exchange_path(x), SLICE("/api/v1/namespaces/"));

	return says ? call->namespace : NULL;
}

void resources_list(struct http_exchange *x, struct call *call)
{
	CLEANUP(list_query_done) struct list_query query = {0};
	CLEANUP(state_unrefp) struct state *state = NULL;
	struct error err = ERROR_INIT;

	if (list_query_parse(&query, path_namespace(x, call), http_exchange_query(x), &err) != 0) {
		answer_error(x, &err);
		return;
	}
	state = state_or_answer(x, call);
	if (state != NULL)
		list_answer(x, state, &query);
}

void resource_get(struct http_exchange *x, struct call *call)
{
	CLEANUP(state_unrefp) struct state *state = state_or_answer(x, call);
	struct error err = ERROR_INIT;
	struct resource *r;

	if (state == NULL)
		return;
	r = state_find(state, call->namespace, call->name);
	if (r != NULL) {
		answer_resource(x, r);
		return;
	}
	error_set(&err, ERROR_NOT_FOUND, "there is no resource %s in namespace %s", call->name,
		call->namespace);
	answer_error(x, &err);
}

/* ---- writing: the publisher answers, on its own thread ---- */

struct pending {
	struct http_handle *handle;
	char name[LIMIT_NAME + 1];
	struct http_reply reply;
};

static void send_reply(struct http_exchange *x, void *arg)
{
	struct pending *pending = arg;

	if (x != NULL)
		http_exchange_reply(x, &pending->reply);
	http_reply_done(&pending->reply);
	free(pending);
}

static void answer_pending(const struct outcome *outcome, void *arg)
{
	struct pending *pending = arg;

	answer_outcome_init(&pending->reply, outcome, pending->name);
	http_handle_post(pending->handle, send_reply, pending);
}

/* What the publisher needs to answer later, or NULL after answering that memory is gone. */
static struct pending *defer(struct http_exchange *x, const char *name)
{
	struct pending *pending = calloc(1, sizeof(*pending));
	struct error err = ERROR_INIT;

	if (pending != NULL && (pending->handle = http_exchange_handle(x)) != NULL) {
		snprintf(pending->name, sizeof(pending->name), "%s", name);
		return pending;
	}
	free(pending);
	error_no_memory(&err);
	answer_error(x, &err);
	return NULL;
}

static void put_body(struct http_exchange *x, struct slice body, void *arg)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct call *call = arg;
	struct error err = ERROR_INIT;
	struct pending *pending;

	if (intent_decode(&intent, body, call->namespace, &err) != 0) {
		answer_error(x, &err);
		return;
	}
	pending = defer(x, intent->name);
	if (pending != NULL)
		publisher_put(call->api->publisher, intent, answer_pending, pending);
}

static int check_content_type(const struct http_head *head, struct error *err)
{
	struct slice value = http_head_get(head, "content-type");
	struct slice type = slice_trim(slice_cut(&value, ';'));

	if (slice_eq_nocase(type, SLICE("application/json")))
		return 0;
	return error_set(err, ERROR_MEDIA_TYPE,
		"send the resource as JSON, with the header Content-Type: application/json");
}

/* One object in a namespace that does not exist would stop Flux from applying the whole catalog. */
static int check_namespace(const struct call *call, struct error *err)
{
	for (size_t i = 0; i < call->api->n_namespaces; i++)
		if (strcmp(call->api->namespaces[i], call->namespace) == 0)
			return 0;
	error_set(err, ERROR_UNPROCESSABLE,
		"namespace %s is not known to exist in the cluster: an operator can add it to "
		"--namespaces once it does",
		call->namespace);
	snprintf(err->field, sizeof(err->field), "namespace");
	return -1;
}

void resources_put(struct http_exchange *x, struct call *call)
{
	struct error err = ERROR_INIT;

	if (check_content_type(http_exchange_head(x), &err) != 0 ||
		check_namespace(call, &err) != 0) {
		answer_error(x, &err);
		return;
	}
	http_exchange_collect(x, LIMIT_API_BODY, put_body, call);
}

void resource_delete(struct http_exchange *x, struct call *call)
{
	struct pending *pending = defer(x, call->name);

	if (pending != NULL)
		publisher_delete(
			call->api->publisher, call->namespace, call->name, answer_pending, pending);
}
