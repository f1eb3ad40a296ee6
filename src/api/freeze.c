/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of /api/v1/freeze: whether the store takes changes, and why not. */
#include "api/answer.h"
#include "api/call.h"
#include "api/params.h"
#include "base/clock.h"
#include "base/json.h"
#include "intent/text.h"
#include "oci/json_read.h"

static void answer_freeze(struct http_exchange *x, struct call *call)
{
	struct record_freeze frozen = publisher_frozen(call->api->publisher);
	CLEANUP(author_unrefp) struct author *by = frozen.by;
	char since[CLOCK_RFC3339_SIZE];
	struct http_reply reply;

	answer_json_init(&reply, 200);
	json_begin_object(&reply.body);
	json_member_bool(&reply.body, "frozen", by != NULL);
	if (by != NULL) {
		clock_rfc3339(frozen.since, since);
		json_member_cstr(&reply.body, "reason", by->why);
		json_member_cstr(&reply.body, "who", by->who);
		json_member_cstr(&reply.body, "since", since);
	}
	json_end_object(&reply.body);
	http_exchange_reply(x, &reply);
}

void freeze_get(struct http_exchange *x, struct call *call)
{
	CLEANUP(state_unrefp) struct state *state = call_plain_state(x, call);

	if (state != NULL)
		answer_freeze(x, call);
}

/* ---- changing it ---- */

/* On its way through the publisher's thread. */
struct freezing {
	struct call *call; /* gone with the exchange */
	struct http_handle *handle;
	struct error err;
};

static void answer_change(struct http_exchange *x, void *arg)
{
	AUTO_FREE struct freezing *f = arg;

	if (x == NULL)
		return;
	if (f->err.code != ERROR_NONE)
		answer_error(x, &f->err);
	else
		answer_freeze(x, f->call);
}

static void decided(const struct outcome *outcome, void *arg)
{
	struct freezing *f = arg;

	f->err = outcome->err;
	http_handle_post(f->handle, answer_change, f);
}

/* reason NULL: thaws. */
static int change(struct http_exchange *x, struct call *call, const char *reason, struct error *err)
{
	CLEANUP(author_unrefp) struct author *author = NULL;
	AUTO_FREE struct freezing *f = calloc(1, sizeof(*f));

	if (call_author(&author, x, call, err) != 0)
		return -1;
	if (f == NULL)
		return error_no_memory(err);
	f->call = call;
	f->handle = http_exchange_handle(x);
	if (f->handle == NULL)
		return error_no_memory(err);
	publisher_freeze(call->api->publisher, reason, author, decided, TAKE_PTR(f));
	return 0;
}

static int check_fields(json_t *root, struct error *err)
{
	const char *key;
	json_t *value;

	json_object_foreach(root, key, value)
	{
		char excerpt[INTENT_EXCERPT_SIZE];

		if (strcmp(key, "reason") == 0)
			continue;
		intent_excerpt(slice_of(key), excerpt);
		return error_set_field(err, excerpt, "unknown field %s; known is reason", excerpt);
	}
	return 0;
}

static int read_reason(char **ret, struct slice body, struct error *err)
{
	CLEANUP(json_decrefp) json_t *root = NULL;
	const json_t *reason;

	if (json_read_object(&root, body, err) != 0 || check_fields(root, err) != 0)
		return -1;
	reason = json_object_get(root, "reason");
	if (!json_is_string(reason))
		return error_set_field(err, "reason",
			"reason must be a text: why no changes are taken, for everybody who is "
			"refused; DELETE thaws");
	*ret = strdup(json_string_value(reason));
	return *ret == NULL ? error_no_memory(err) : 0;
}

static void put_body(struct http_exchange *x, struct slice body, void *arg)
{
	AUTO_FREE char *reason = NULL;
	struct error err = ERROR_INIT;

	if (read_reason(&reason, body, &err) != 0 || change(x, arg, reason, &err) != 0)
		answer_error(x, &err);
}

void freeze_put(struct http_exchange *x, struct call *call)
{
	struct error err = ERROR_INIT;

	if (params_none(http_exchange_query(x), &err) != 0 || call_check_json(x, &err) != 0)
		answer_error(x, &err);
	else
		http_exchange_collect(x, LIMIT_API_BODY, put_body, call);
}

void freeze_delete(struct http_exchange *x, struct call *call)
{
	struct error err = ERROR_INIT;

	if (params_none(http_exchange_query(x), &err) != 0 || change(x, call, NULL, &err) != 0)
		answer_error(x, &err);
}
