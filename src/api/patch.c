/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PATCH of one resource (RFC 5789) by a JSON merge patch (RFC 7396).
 *
 * The patch is made here, from the version that readers see, and the writer takes it only as long
 * as that is current; else it is made again, from what is current then. So patches of one resource
 * that come at the same time all take effect, and what one has changed no other undoes.
 */
#include "api/answer.h"
#include "api/change.h"
#include "api/preconditions.h"
#include "intent/document.h"
#include "publish/precondition.h"

#define MERGE_PATCH "application/merge-patch+json"

static void answer_precondition(
	struct http_exchange *x, const struct call *call, const struct resource *current)
{
	struct http_reply reply;

	preconditions_failed_init(&reply, &call->when, call->name, current);
	http_exchange_reply(x, &reply);
}

static int check_tries(struct call *call, struct error *err)
{
	if (call->tries++ < LIMIT_CHANGE_TRIES)
		return 0;
	return error_set(err, ERROR_CONFLICT,
		"others have changed %s each of the %d times that this patch was made: send it "
		"again",
		call->name, LIMIT_CHANGE_TRIES);
}

static void patch(struct http_exchange *x, struct call *call)
{
	CLEANUP(state_unrefp) struct state *state = call_state(x, call);
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct precondition when = {.kind = IF_VERSION};
	const struct resource *current;
	struct error err = ERROR_INIT;

	if (state == NULL)
		return;
	current = state_find(state, call->namespace, call->name);
	if (current == NULL) {
		answer_no_resource(x, call->namespace, call->name);
		return;
	}
	if (preconditions_read(&call->when, http_exchange_head(x), current, &err) != 0 ||
		intent_patch(&intent, current->intent, call->body, &err) != 0) {
		answer_error(x, &err);
		return;
	}
	if (!precondition_holds(&call->when, current)) {
		answer_precondition(x, call, current);
		return;
	}
	if (check_tries(call, &err) != 0) {
		answer_error(x, &err);
		return;
	}
	when.version = current->version;
	change_put(x, call, intent, when, patch);
}

static void patch_body(struct http_exchange *x, struct slice body, void *arg)
{
	struct call *call = arg;

	call->body = body;
	patch(x, call);
}

static bool is_merge_patch(const struct http_exchange *x)
{
	struct slice value = http_head_get(http_exchange_head(x), "content-type");
	struct slice type = slice_trim(slice_cut(&value, ';'));

	return slice_eq_nocase(type, SLICE(MERGE_PATCH));
}

static void answer_media_type(struct http_exchange *x)
{
	struct error err = ERROR_INIT;
	struct http_reply reply;

	error_set(&err, ERROR_MEDIA_TYPE,
		"send a JSON merge patch, with the header Content-Type: " MERGE_PATCH
		"; to replace all of the resource, use PUT");
	answer_error_init(&reply, &err);
	http_reply_header(&reply, "Accept-Patch", MERGE_PATCH);
	http_exchange_reply(x, &reply);
}

void resource_patch(struct http_exchange *x, struct call *call)
{
	struct error err = ERROR_INIT;

	if (change_query_parse(call, http_exchange_query(x), &err) != 0)
		answer_error(x, &err);
	else if (!is_merge_patch(x))
		answer_media_type(x);
	else if (call_check_namespace(call, call->namespace, &err) != 0)
		answer_error(x, &err);
	else
		http_exchange_collect(x, LIMIT_API_BODY, patch_body, call);
}
