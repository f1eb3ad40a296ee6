/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of /api/v1/layout: how resources are shared out among catalogs, and on the way where. */
#include "api/answer.h"
#include "api/call.h"
#include "api/params.h"
#include "base/json.h"
#include "intent/text.h"
#include "oci/json_read.h"

static void add_layout(struct buf *b, const struct layout *layout)
{
	json_member_cstr(b, "layout", layout_kind_name(layout->kind));
	json_member_u64(b, "catalogs", layout->catalogs);
}

static void add_member(struct buf *b, const char *key, const struct layout *layout)
{
	json_key(b, key);
	json_begin_object(b);
	add_layout(b, layout);
	json_end_object(b);
}

/* from and to are there from the first step on. */
static void add_progress(struct buf *b, const struct repartition_progress *progress)
{
	json_key(b, "repartition");
	json_begin_object(b);
	json_member_cstr(b, "step", repartition_step_name(progress->step));
	if (progress->step != REPARTITION_NONE) {
		add_member(b, "from", &progress->from);
		add_member(b, "to", &progress->to);
	}
	if (progress->waits_for[0] != '\0')
		json_member_cstr(b, "waitsFor", progress->waits_for);
	json_end_object(b);
}

static void answer_layout(struct http_exchange *x, struct call *call, int status)
{
	CLEANUP(state_unrefp) struct state *state = call_plain_state(x, call);
	struct repartition_progress progress;
	struct http_reply reply;

	if (state == NULL)
		return;
	cluster_repartition_progress(call->api->cluster, &progress);
	answer_json_init(&reply, status);
	json_begin_object(&reply.body);
	add_layout(&reply.body, state_layout(state));
	add_progress(&reply.body, &progress);
	json_end_object(&reply.body);
	http_exchange_reply(x, &reply);
}

void layout_get(struct http_exchange *x, struct call *call)
{
	answer_layout(x, call, 200);
}

/* ---- from one to another ---- */

static int read_kind(struct layout *ret, const json_t *value, struct error *err)
{
	struct slice name = {json_string_value(value), json_string_length(value)};

	if (json_is_string(value) && layout_kind_parse(name, &ret->kind))
		return 0;
	return error_set_field(err, "layout", "layout must be single or split");
}

/* As with the flags of gsq serve: 1 where it is not given. */
static int read_catalogs(struct layout *ret, const json_t *value, struct error *err)
{
	json_int_t n = value == NULL ? 1 : json_integer_value(value);

	if ((value != NULL && !json_is_integer(value)) || n < 1 || n > LIMIT_LAYOUT_CATALOGS)
		return error_set_field(err, "catalogs",
			"catalogs must be a whole number from 1 to %d, or be left out for 1",
			LIMIT_LAYOUT_CATALOGS);
	if (ret->kind == LAYOUT_SINGLE && n != 1)
		return error_set_field(
			err, "catalogs", "catalogs goes with the layout split: single has one");
	ret->catalogs = (unsigned)n;
	return 0;
}

static int refuse_unknown(const char *key, struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE];

	intent_excerpt(slice_of(key), excerpt);
	return error_set_field(
		err, excerpt, "unknown field %s; known are layout and catalogs", excerpt);
}

static int read_layout(struct layout *ret, struct slice body, struct error *err)
{
	CLEANUP(json_decrefp) json_t *root = NULL;
	const char *key;
	json_t *value;

	if (json_read_object(&root, body, err) != 0)
		return -1;
	json_object_foreach(root, key, value)
	{
		if (strcmp(key, "layout") != 0 && strcmp(key, "catalogs") != 0)
			return refuse_unknown(key, err);
	}
	if (read_kind(ret, json_object_get(root, "layout"), err) != 0)
		return -1;
	return read_catalogs(ret, json_object_get(root, "catalogs"), err);
}

static void put_body(struct http_exchange *x, struct slice body, void *arg)
{
	CLEANUP(author_unrefp) struct author *author = NULL;
	struct call *call = arg;
	struct error err = ERROR_INIT;
	struct layout to;

	if (read_layout(&to, body, &err) != 0 || call_author(&author, x, call, &err) != 0 ||
		cluster_repartition(call->api->cluster, &to, author, &err) != 0)
		answer_error(x, &err);
	else
		answer_layout(x, call, 202);
}

void layout_put(struct http_exchange *x, struct call *call)
{
	struct error err = ERROR_INIT;

	if (params_none(http_exchange_query(x), &err) != 0 || call_check_json(x, &err) != 0)
		answer_error(x, &err);
	else
		http_exchange_collect(x, LIMIT_API_BODY, put_body, call);
}
