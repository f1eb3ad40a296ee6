/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers of /api/v1/.../changes.
 *
 * What may be found out is what the caller may do: so the namespaces of the body are asked about
 * before anything is said of what is there, or of which namespaces there are.
 */
#include "api/answer.h"
#include "api/bodies.h"
#include "api/changes_body.h"
#include "api/permit.h"
#include "api/preconditions.h"

#include <stdio.h>

/* ---- the head ---- */

struct changes_head {
	struct set_query query;
	enum document_format format;
	uint64_t if_revision;
};

static int read_format(enum document_format *ret, const struct http_exchange *x, struct error *err)
{
	static const struct {
		struct slice type;
		enum document_format format;
	} types[] = {
		{SLICE("application/json"), DOCUMENT_JSON},
		{SLICE("application/yaml"), DOCUMENT_YAML},
		{SLICE("application/x-yaml"), DOCUMENT_YAML},
		{SLICE("text/yaml"), DOCUMENT_YAML},
	};
	struct slice value = http_head_get(http_exchange_head(x), "content-type");
	struct slice type = slice_trim(slice_cut(&value, ';'));

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		*ret = types[i].format;
		if (slice_eq_nocase(type, types[i].type))
			return 0;
	}
	return error_set(err, ERROR_MEDIA_TYPE,
		"send it as JSON or YAML, with the header Content-Type: application/json or "
		"application/yaml");
}

static int read_if_match(
	uint64_t *ret, const struct http_exchange *x, const struct call *call, struct error *err)
{
	CLEANUP(state_unrefp) struct state *state = NULL;
	uint64_t current = 0;

	*ret = 0;
	if (!preconditions_given(http_exchange_head(x)))
		return 0;
	state = publisher_state(call->api->publisher, &current);
	return preconditions_read_catalog(ret, http_exchange_head(x), current, err);
}

static int read_head(struct changes_head *ret, const struct http_exchange *x,
	const struct call *call, struct error *err)
{
	if (set_refuse_none_match(x, err) != 0 || set_check_key(x, err) != 0 ||
		set_query_parse(&ret->query, http_exchange_query(x), err) != 0 ||
		read_if_match(&ret->if_revision, x, call, err) != 0)
		return -1;
	return read_format(&ret->format, x, err);
}

/* ---- asking, then doing ---- */

/* While it is decoded and its permissions are asked. */
struct changing {
	struct call *call; /* gone with the exchange */
	struct changes_head head;
	struct changes_body body;
	struct set_place place; /* that err is about */
	struct error err;
	bool is_of_revision; /* If-Match: of that one, or not at all */

	/* On a thread, where the exchange may go meanwhile. */
	struct slice text;
	char namespace[LIMIT_NAME + 1];
	bool is_of_path;                  /* that must be */
	struct http_collected *collected; /* the call's otherwise, */
	struct body_seat *seat;           /* and so is this */
	struct http_handle *handle;
};

static void changing_free(struct changing *c)
{
	if (c == NULL)
		return;
	changes_body_done(&c->body);
	http_collected_free(c->collected);
	body_seat_free(c->seat);
	free(c);
}
DEFINE_CLEANUP(struct changing, changing_free);

static struct changing *changing_new(const struct http_exchange *x, struct call *call)
{
	struct changing *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->call = call;
	c->text = call->body;
	c->place = SET_PLACE_NONE;
	c->is_of_path = call_path_namespace(x, call) != NULL;
	snprintf(c->namespace, sizeof(c->namespace), "%s", call->namespace);
	return c;
}

/* The body is needed no more; what follows may take long. */
static void let_go_of_body(struct call *call)
{
	http_collected_free(TAKE_PTR(call->collected));
	body_seat_free(TAKE_PTR(call->seat));
}

static int check_namespaces(const struct call *call, const struct change_set *set,
	struct set_place *ret_place, struct error *err)
{
	AUTO_FREE const struct set_item **items = NULL;
	size_t n;

	if (set_namespaces(set, true, &items, &n, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (call_check_namespace(call, items[i]->namespace, err) == 0)
			continue;
		ret_place->index = (size_t)(items[i] - set->items);
		memcpy(ret_place->namespace, items[i]->namespace, sizeof(ret_place->namespace));
		memcpy(ret_place->name, items[i]->name, sizeof(ret_place->name));
		snprintf(err->field, sizeof(err->field), "resource.namespace");
		set_error_wrap(err, ret_place);
		return -1;
	}
	return 0;
}

static void make_of_body(struct http_exchange *x, struct call *call);

/* What is pruned is what is there now: where it is another when it is to go, it is looked for
 * again. */
static void submit_pruning(struct http_exchange *x, struct changing *c)
{
	CLEANUP(state_unrefp) struct state *state = call_state(x, c->call);
	struct error err = ERROR_INIT;

	if (state == NULL)
		return;
	if (changes_prune_add(&c->body.prune, state, c->body.set, &err) != 0) {
		answer_error(x, &err);
		return;
	}
	set_submit_or_again(
		x, c->call, TAKE_PTR(c->body.set), c->is_of_revision ? NULL : make_of_body);
}

static void permitted(struct http_exchange *x, const struct error *refusal, void *arg)
{
	CLEANUP(changing_freep) struct changing *c = arg;
	struct set_place place = SET_PLACE_NONE;
	struct error err = *refusal;

	if (x == NULL)
		return;
	if (err.code != ERROR_NONE || check_namespaces(c->call, c->body.set, &place, &err) != 0) {
		set_error(x, &err, &place);
		return;
	}
	if (c->body.prune.n > 0) {
		submit_pruning(x, c);
		return;
	}
	let_go_of_body(c->call);
	set_submit(x, c->call, TAKE_PTR(c->body.set));
}

/* ---- decoding, here or on a thread ---- */

static void decode(struct changing *c)
{
	struct changes_options options = {
		.format = c->head.format,
		.namespace = c->namespace,
		.only = c->is_of_path ? c->namespace : NULL,
	};
	struct error err = ERROR_INIT;

	if (changes_body_read(&c->body, c->text, &options, &c->place, &err) != 0)
		c->err = err;
}

static int complete(struct changing *c, const struct http_exchange *x, struct error *err)
{
	struct change_set *set = c->body.set;

	set->dry_run = c->head.query.dry_run;
	set->confirmed = c->head.query.confirmed;
	set->if_revision = c->head.if_revision;
	c->is_of_revision = c->head.if_revision != 0;
	return set_give_key(set, x, c->call->body, err);
}

static void decoded(struct http_exchange *x, struct changing *decoded_one)
{
	CLEANUP(changing_freep) struct changing *c = decoded_one;
	struct permit_prune prune;

	if (c->err.code != ERROR_NONE || complete(c, x, &c->err) != 0) {
		set_error(x, &c->err, &c->place);
		return;
	}
	prune = (struct permit_prune){c->body.prune.n, c->body.prune.namespaces};
	permit_ask_pruning(x, c->call, c->body.set, &prune, permitted, c);
	c = NULL; /* permitted() frees it */
}

static void come_back(struct http_exchange *x, void *arg)
{
	struct changing *c = arg;

	if (x == NULL) {
		changing_free(c);
		return;
	}
	c->call->collected = TAKE_PTR(c->collected);
	c->call->seat = TAKE_PTR(c->seat);
	decoded(x, c);
}

static void run(void *arg)
{
	struct changing *c = arg;

	decode(c);
	http_handle_post(c->handle, come_back, c);
}

static int send_to_thread(struct http_exchange *x, struct changing *c, struct error *err)
{
	struct call *call = c->call;

	if (call->collected == NULL)
		call->collected = http_exchange_take_body(x);
	if (call->collected == NULL)
		return error_no_memory(err);
	c->handle = http_exchange_handle(x);
	if (c->handle == NULL)
		return error_no_memory(err);
	c->collected = TAKE_PTR(call->collected);
	c->seat = TAKE_PTR(call->seat);
	if (!bodies_run(call->api->bodies, run, c))
		run(c);
	return 0;
}

static void make_of_body(struct http_exchange *x, struct call *call)
{
	CLEANUP(changing_freep) struct changing *c = changing_new(x, call);
	struct error err = ERROR_INIT;

	if (c == NULL) {
		error_no_memory(&err);
		answer_error(x, &err);
	} else if (read_head(&c->head, x, call, &err) != 0) {
		answer_error(x, &err);
	} else if (c->text.n <= LIMIT_DECODE_HERE) {
		decode(c);
		decoded(x, TAKE_PTR(c));
	} else if (send_to_thread(x, c, &err) != 0) {
		answer_error(x, &err);
	} else {
		c = NULL; /* come_back() has it */
	}
}

static void collected(struct http_exchange *x, struct slice text, void *arg)
{
	struct call *call = arg;

	call->body = text;
	make_of_body(x, call);
}

static int admit(struct http_exchange *x, size_t declared, void *arg, struct error *err)
{
	struct call *call = arg;

	return bodies_sit(&call->seat, call->api->bodies, call->subject, http_exchange_peer(x),
		declared, err);
}

/* The head is read twice, as a body that is never whole leaves nobody to free what it said. */
void changes_post(struct http_exchange *x, struct call *call)
{
	static const struct http_admission admission = {LIMIT_API_BODY, admit};
	struct error err = ERROR_INIT;
	struct changes_head head;

	if (read_head(&head, x, call, &err) == 0)
		http_exchange_collect_large(x, LIMIT_CHANGES_BODY, &admission, collected, call);
	else
		answer_error(x, &err);
}
