/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include "api/answer.h"
#include "api/bodies.h"
#include "api/change.h"
#include "api/description.h"
#include "api/list.h"
#include "api/permit.h"
#include "api/reading.h"
#include "api/routes.h"
#include "api/watch.h"
#include "auth/gate.h"
#include "http/access.h"
#include "http/uri.h"

#include <stdio.h>

/* ---- matching ---- */

/* Decodes a segment into a name of at most LIMIT_NAME; false where that cannot be one. */
static bool read_name(struct slice segment, char ret[LIMIT_NAME + 1])
{
	CLEANUP(buf_done) struct buf decoded = BUF_INIT(LIMIT_NAME);
	struct error ignored = ERROR_INIT;

	if (http_decode(segment, &decoded, &ignored) != 0 || !intent_name_ok(buf_slice(&decoded)))
		return false;
	memcpy(ret, decoded.data, decoded.len + 1);
	return true;
}

/* "c123..c456" */
static bool read_range(struct slice segment, uint64_t ret[2])
{
	const char *dots = memmem(segment.p, segment.n, "..", 2);
	size_t n = dots == NULL ? segment.n : (size_t)(dots - segment.p);

	return dots != NULL && record_tag_parse((struct slice){segment.p, n}, &ret[0]) &&
	       record_tag_parse((struct slice){dots + 2, segment.n - n - 2}, &ret[1]);
}

/* A segment that is no name is -1: the path matches, but nothing can be there. */
static int match_segment(struct slice pattern, struct slice segment, struct call *call)
{
	if (slice_eq(pattern, SLICE("{namespace}")))
		return read_name(segment, call->namespace) ? 1 : -1;
	if (slice_eq(pattern, SLICE("{name}")))
		return read_name(segment, call->name) ? 1 : -1;
	if (slice_eq(pattern, SLICE("{revision}")))
		return record_tag_parse(segment, &call->revisions[0]) ? 1 : -1;
	if (slice_eq(pattern, SLICE("{range}")))
		return read_range(segment, call->revisions) ? 1 : -1;
	return slice_eq(pattern, segment);
}

/* 1: it matches and call has the names; 0: another path; -1: it matches, with an impossible name.
 */
static int match(const char *route_path, struct slice path, struct call *call)
{
	struct slice pattern = slice_of(route_path);
	int result = 1;

	while (pattern.p != NULL && path.p != NULL) {
		int one = match_segment(slice_cut(&pattern, '/'), slice_cut(&path, '/'), call);

		if (one == 0)
			return 0;
		if (one < 0)
			result = -1;
	}
	return pattern.p == NULL && path.p == NULL ? result : 0;
}

static void answer_method(struct http_exchange *x, const struct route *route)
{
	struct error err = ERROR_INIT;
	struct http_reply reply;
	char allow[64] = "";

	for (const struct route_method *m = route->methods; m->method != NULL; m++) {
		size_t len = strlen(allow);

		snprintf(allow + len, sizeof(allow) - len, "%s%s%s", len > 0 ? ", " : "", m->method,
			strcmp(m->method, "GET") == 0 ? ", HEAD" : "");
	}
	error_set(&err, ERROR_METHOD, "this path answers to %s", allow);
	answer_error_init(&reply, &err);
	http_reply_header(&reply, "Allow", "%s", allow);
	http_exchange_reply(x, &reply);
}

static void answer_no_route(struct http_exchange *x, bool bad_name)
{
	struct slice path = http_exchange_path(x);
	struct error err = ERROR_INIT;

	if (bad_name)
		error_set(&err, ERROR_NOT_FOUND,
			"nothing can be at this path: names are 1 to %d lower-case letters, digits "
			"and dashes, with a letter or digit at both ends, and revisions are like "
			"c1795893153160483",
			LIMIT_NAME);
	else
		error_set(&err, ERROR_NOT_FOUND, "there is nothing at %.*s: /docs has all there is",
			path.n < 200 ? (int)path.n : 200, path.p);
	answer_error(x, &err);
}

/* ---- the gate ---- */

/* The namespace that the rule is about. Where the query cannot be read it is the path's, and the
 * handler says what is wrong with it. */
static const char *scope_of(
	const struct route_method *method, const struct http_exchange *x, struct call *call)
{
	const char *path = call_path_namespace(x, call);
	struct slice query = http_exchange_query(x);

	snprintf(call->scope, sizeof(call->scope), "%s", call->namespace);
	if (method->scope == SCOPE_EVERYWHERE)
		snprintf(call->scope, sizeof(call->scope), AUTH_EVERYWHERE);
	else if (method->scope == SCOPE_LIST)
		list_query_scope(call->scope, path, query);
	else if (method->scope == SCOPE_WATCH)
		watch_query_scope(call->scope, path, query);
	return call->scope;
}

static void passed(
	struct http_exchange *x, struct subject *subject, const struct error *err, void *arg)
{
	struct call *call = arg;

	if (x == NULL)
		return;
	if (err->code != ERROR_NONE) {
		answer_error(x, err);
		return;
	}
	call->subject = subject_ref(subject);
	call->method->handle(x, call);
}

static void may_something(struct http_exchange *x, const struct error *err, void *arg)
{
	struct call *call = arg;

	if (x == NULL)
		return;
	if (err->code != ERROR_NONE)
		answer_error(x, err);
	else
		call->method->handle(x, call);
}

/* What is asked of the body comes later. Who may change nothing, whatever it says, is told so
 * before it is waited for. */
static void identified(
	struct http_exchange *x, struct subject *subject, const struct error *refusal, void *arg)
{
	struct error err = *refusal;
	struct call *call = arg;

	if (x == NULL)
		return;
	if (err.code != ERROR_NONE) {
		answer_error(x, &err);
		return;
	}
	call->subject = subject_ref(subject);
	if (call_path_namespace(x, call) != NULL) {
		permit_ask_any(x, call, may_something, call);
		return;
	}
	if (auth_check_somewhere(call->api->auth, subject, call->method->action,
		    http_exchange_peer(x), &err) != 0)
		answer_error(x, &err);
	else
		call->method->handle(x, call);
}

static void dispatch(struct http_exchange *x, const struct route *route, struct call *call)
{
	struct slice method = http_exchange_head(x)->method;
	const struct route_method *m = route->methods;

	if (slice_eq(method, SLICE("HEAD")))
		method = SLICE("GET");
	while (m->method != NULL && !slice_eq(method, slice_of(m->method)))
		m++;
	call->method = m;
	if (m->method == NULL)
		answer_method(x, route);
	else if (m->scope == SCOPE_OPEN)
		m->handle(x, call);
	else if (m->scope == SCOPE_BODY)
		gate_identify(x, call->api->auth,
			http_head_get(http_exchange_head(x), "authorization"), identified, call);
	else
		gate_ask(x, call->api->auth, m->action, scope_of(m, x, call), passed, call);
}

static void call_free(void *arg)
{
	struct call *call = arg;

	if (call->waiting != NULL)
		change_left(call->waiting);
	if (call->reading != NULL)
		reading_leave(call->reading);
	subject_unref(call->subject);
	http_collected_free(call->collected);
	body_seat_free(call->seat);
	free(call);
}

static void handle(struct http_exchange *x, void *arg)
{
	struct call *call = calloc(1, sizeof(*call));
	bool bad_name = false;

	if (call == NULL) {
		struct error err = ERROR_INIT;

		error_no_memory(&err);
		answer_error(x, &err);
		return;
	}
	http_exchange_set_data(x, call, call_free);
	call->api = arg;
	for (const struct route *route = api_routes; route->path != NULL; route++) {
		int matched;

		snprintf(call->namespace, sizeof(call->namespace), "default");
		matched = match(route->path, http_exchange_path(x), call);
		if (matched != 0)
			http_exchange_set_route(x, route->path, route->probe);
		if (matched == 1) {
			dispatch(x, route, call);
			return;
		}
		bad_name = bad_name || matched == -1;
	}
	answer_no_route(x, bad_name);
}

struct http_service api_service(struct api *api)
{
	return (struct http_service){
		.handle = handle,
		.arg = api,
		.error_body = answer_error_body,
		.done = http_access_done,
	};
}

/* ---- life ---- */

static int add_namespace(struct api *api, struct slice name, struct error *err)
{
	char(*grown)[LIMIT_NAME + 1];

	if (!intent_name_ok(name))
		return error_set(err, ERROR_INVALID,
			"--namespaces: \"%.*s\" is no namespace name (lower-case letters, digits "
			"and dashes)",
			name.n < 100 ? (int)name.n : 100, name.p);
	if (api->n_namespaces == LIMIT_NAMESPACES)
		return error_set(
			err, ERROR_INVALID, "--namespaces: more than %d", LIMIT_NAMESPACES);
	grown = realloc(api->namespaces, (api->n_namespaces + 1) * sizeof(*grown));
	if (grown == NULL)
		return error_no_memory(err);
	api->namespaces = grown;
	snprintf(grown[api->n_namespaces++], sizeof(*grown), "%.*s", SLICE_ARG(name));
	return 0;
}

static int add_namespaces(struct api *api, struct slice list, struct error *err)
{
	while (list.p != NULL)
		if (add_namespace(api, slice_trim(slice_cut(&list, ',')), err) != 0)
			return -1;
	return 0;
}

/* The thread of the watches comes last, as nothing fails after it. */
int api_new(struct api **ret, const struct api_options *options, struct error *err)
{
	struct api *api = calloc(1, sizeof(*api));

	if (api == NULL)
		return error_no_memory(err);
	api->publisher = options->publisher;
	api->auth = options->auth;
	api->cluster = options->cluster;
	api->tracker = cluster_tracker(api->cluster);
	api->embedded = options->embedded;
	api->readers = options->readers;
	metrics_setup(options->version);
	if (api->embedded != NULL)
		embedded_measure(api->embedded);
	if (add_namespaces(api, slice_of(options->namespaces), err) != 0 ||
		bodies_new(&api->bodies, err) != 0 ||
		description_new(&api->description, options->version, err) != 0 ||
		history_cache_new(&api->history, err) != 0 ||
		wait_room_new(&api->waits, err) != 0 ||
		watch_room_new(&api->watches, cluster_feed(api->cluster), api->auth, err) != 0) {
		api_free(api);
		return -1;
	}
	*ret = api;
	return 0;
}

void api_stop(struct api *api)
{
	bodies_stop(api->bodies);
	wait_room_stop(api->waits);
	watch_room_stop(api->watches);
}

void api_free(struct api *api)
{
	if (api == NULL)
		return;
	wait_room_free(api->waits);
	watch_room_free(api->watches);
	history_cache_free(api->history);
	description_free(api->description);
	bodies_free(api->bodies);
	free(api->namespaces);
	free(api);
}
