/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers of /api/v1/.../changes.
 *
 * What may be found out is what the caller may do: so the namespaces of the body are asked about
 * before anything is said of what is there, or of which namespaces there are.
 */
#include "api/answer.h"
#include "api/changes_body.h"
#include "api/permit.h"

#include <stdio.h>

/* ---- the head ---- */

struct changes_head {
	struct set_query query;
	enum document_format format;
	uint64_t if_revision;
	struct slice key; /* Idempotency-Key; p == NULL: none */
};

static struct slice header(const struct http_exchange *x, const char *name)
{
	return http_head_get(http_exchange_head(x), name);
}

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
	struct slice value = header(x, "content-type");
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

/* The catalog's ETag, "c123", or * for any. What is none of ours is not that of what is current. */
static int read_if_match(uint64_t *ret, struct slice value, struct error *err)
{
	struct slice tag = value;

	*ret = 0;
	if (value.p == NULL || slice_eq(value, SLICE("*")))
		return 0;
	if (tag.n >= 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"')
		tag = (struct slice){tag.p + 1, tag.n - 2};
	if (record_tag_parse(tag, ret) && *ret != 0)
		return 0;
	error_set(err, ERROR_PRECONDITION,
		"If-Match is no ETag of the catalog: it is like \"c1795893153160483\", as a list "
		"of "
		"resources or a change answers it");
	snprintf(err->field, sizeof(err->field), "If-Match");
	return -1;
}

static int check_key(struct slice key, struct error *err)
{
	bool is_printable = true;

	if (key.p == NULL)
		return 0;
	for (size_t i = 0; i < key.n; i++)
		is_printable = is_printable && key.p[i] >= ' ' && key.p[i] <= '~';
	if (is_printable && key.n > 0 && key.n <= LIMIT_IDEMPOTENCY_KEY)
		return 0;
	return error_set_field(err, "Idempotency-Key",
		"Idempotency-Key must be 1 to %d printable ASCII characters: a new UUID for each "
		"change, and the same one again when it is repeated",
		LIMIT_IDEMPOTENCY_KEY);
}

static int read_head(struct changes_head *ret, const struct http_exchange *x, struct error *err)
{
	ret->key = header(x, "idempotency-key");
	if (header(x, "if-none-match").p != NULL)
		return error_set_field(err, "If-None-Match",
			"a change takes no If-None-Match: give the items that must be new the "
			"operation create");
	if (set_query_parse(&ret->query, http_exchange_query(x), err) != 0 ||
		check_key(ret->key, err) != 0 ||
		read_if_match(&ret->if_revision, header(x, "if-match"), err) != 0)
		return -1;
	return read_format(&ret->format, x, err);
}

/* ---- the request, for its key ---- */

static int digest_request(
	struct digest *ret, const struct http_exchange *x, struct slice body, struct error *err)
{
	const struct slice parts[] = {
		http_exchange_head(x)->method, http_exchange_path(x), http_exchange_query(x), body};
	struct hasher hasher;

	if (hasher_init(&hasher, DIGEST_SHA256, err) != 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		hasher_update(&hasher, parts[i]);
		hasher_update(&hasher, SLICE("\n"));
	}
	*ret = hasher_finish(&hasher);
	hasher_done(&hasher);
	return 0;
}

/* A dry run is not remembered: the change that it tries comes with the same key. */
static int set_key(struct change_set *set, const struct changes_head *head,
	const struct http_exchange *x, struct slice body, struct error *err)
{
	if (head->key.p == NULL || head->query.dry_run)
		return 0;
	snprintf(set->key, sizeof(set->key), "%.*s", SLICE_ARG(head->key));
	return digest_request(&set->request, x, body, err);
}

/* ---- asking, then doing ---- */

/* While its permissions are asked. */
struct changing {
	struct call *call; /* gone with the exchange */
	struct changes_body body;
};

static void changing_free(struct changing *c)
{
	if (c == NULL)
		return;
	changes_body_done(&c->body);
	free(c);
}
DEFINE_CLEANUP(struct changing, changing_free);

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

static void permitted(struct http_exchange *x, const struct error *refusal, void *arg)
{
	CLEANUP(changing_freep) struct changing *c = arg;
	CLEANUP(state_unrefp) struct state *state = NULL;
	struct set_place place = SET_PLACE_NONE;
	struct error err = *refusal;

	if (x == NULL)
		return;
	if (err.code != ERROR_NONE || check_namespaces(c->call, c->body.set, &place, &err) != 0) {
		set_error(x, &err, &place);
		return;
	}
	if (c->body.prune.n > 0) {
		state = call_state(x, c->call);
		if (state == NULL)
			return;
		if (changes_prune_add(&c->body.prune, state, c->body.set, &err) != 0) {
			answer_error(x, &err);
			return;
		}
	}
	set_submit(x, c->call, TAKE_PTR(c->body.set));
}

static int read_body(struct changing *c, const struct http_exchange *x, struct slice text,
	struct set_place *ret_place, struct error *err)
{
	struct changes_head head;
	struct changes_options options = {
		.namespace = c->call->namespace,
		.only = call_path_namespace(x, c->call),
	};

	if (read_head(&head, x, err) != 0)
		return -1;
	options.format = head.format;
	if (changes_body_read(&c->body, text, &options, ret_place, err) != 0)
		return -1;
	c->body.set->dry_run = head.query.dry_run;
	c->body.set->confirmed = head.query.confirmed;
	c->body.set->if_revision = head.if_revision;
	return set_key(c->body.set, &head, x, text, err);
}

static void collected(struct http_exchange *x, struct slice text, void *arg)
{
	CLEANUP(changing_freep) struct changing *c = calloc(1, sizeof(*c));
	struct set_place place = SET_PLACE_NONE;
	struct error err = ERROR_INIT;
	struct permit_prune prune;

	if (c == NULL) {
		error_no_memory(&err);
		answer_error(x, &err);
		return;
	}
	c->call = arg;
	if (read_body(c, x, text, &place, &err) != 0) {
		set_error(x, &err, &place);
		return;
	}
	prune = (struct permit_prune){c->body.prune.n, c->body.prune.namespaces};
	permit_ask_pruning(x, arg, c->body.set, &prune, permitted, c);
	c = NULL; /* permitted() frees it */
}

/* The head is read twice, as a body that is never whole leaves nobody to free what it said. */
void changes_post(struct http_exchange *x, struct call *call)
{
	struct error err = ERROR_INIT;
	struct changes_head head;

	if (read_head(&head, x, &err) == 0)
		http_exchange_collect(x, LIMIT_CHANGES_BODY, collected, call);
	else
		answer_error(x, &err);
}
