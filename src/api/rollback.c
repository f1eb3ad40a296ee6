/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers of /api/v1/.../rollback: one resource, a namespace or everything becomes again what it
 * was. That is a new change, with all that guards one: what was done since stays in the history.
 */
#include "api/answer.h"
#include "api/change_set.h"
#include "api/permit.h"
#include "api/preconditions.h"
#include "api/reading.h"
#include "base/nearest.h"
#include "intent/text.h"
#include "oci/json_read.h"
#include "publish/history.h"
#include "publish/precondition.h"

#include <stdio.h>

/* ---- the request ---- */

/* How a place to go back to is written, and where those there are can be found. */
struct target {
	bool (*parse)(struct slice tag, uint64_t *ret_version);
	const char *must_be;
};
static const struct target to_version = {resource_tag_parse,
	"to must be a version of the resource, as its history has it: \"v1795893153160483\""};
static const struct target to_revision = {record_tag_parse,
	"to must be a revision, as /api/v1/revisions has it: \"c1795893153160483\""};

static int check_fields(json_t *root, struct error *err)
{
	static const char *const known[] = {"to", NULL};
	const char *key;
	json_t *value;

	json_object_foreach(root, key, value)
	{
		char excerpt[INTENT_EXCERPT_SIZE];
		const char *meant = nearest_word(key, known);

		if (strcmp(key, "to") == 0)
			continue;
		intent_excerpt(slice_of(key), excerpt);
		if (meant != NULL)
			return error_set_field(
				err, excerpt, "unknown field %s: did you mean %s?", excerpt, meant);
		return error_set_field(err, excerpt, "unknown field %s; known is to", excerpt);
	}
	return 0;
}

static int read_target(
	uint64_t *ret, const struct target *target, struct slice body, struct error *err)
{
	CLEANUP(json_decrefp) json_t *root = NULL;
	char excerpt[INTENT_EXCERPT_SIZE];
	const char *text;

	if (json_read_object(&root, body, err) != 0 || check_fields(root, err) != 0)
		return -1;
	text = json_string_value(json_object_get(root, "to"));
	if (text == NULL)
		return error_set_field(err, "to", "%s", target->must_be);
	if (!target->parse(slice_of(text), ret))
		return error_set_field(err, "to", "%s, not \"%s\"", target->must_be,
			intent_excerpt(slice_of(text), excerpt));
	return 0;
}

/* The query is read again for each try. */
static int collect(struct http_exchange *x, struct call *call,
	void (*done)(struct http_exchange *x, struct slice body, void *arg), struct error *err)
{
	struct set_query query;

	if (set_check_key(x, err) != 0 ||
		set_query_parse(&query, http_exchange_query(x), err) != 0 ||
		call_check_json(x, err) != 0)
		return -1;
	http_exchange_collect(x, LIMIT_API_BODY, done, call);
	return 0;
}

/* Who asks, and what for where they do not say. */
static int set_author(struct change_set *set, const struct http_exchange *x,
	const struct call *call, const char *tag, struct error *err)
{
	CLEANUP(author_unrefp) struct author *asked = NULL;
	char why[sizeof("rollback to ") + RECORD_TAG_SIZE];

	if (call_author(&asked, x, call, err) != 0)
		return -1;
	if (asked->why != NULL) {
		set->author = TAKE_PTR(asked);
		return 0;
	}
	snprintf(why, sizeof(why), "rollback to %s", tag);
	return author_new(&set->author, asked->who, asked->from == NULL ? "" : asked->from,
		slice_of(why), err);
}

static int finish_set(struct change_set *set, const struct http_exchange *x,
	const struct call *call, const char *tag, struct error *err)
{
	struct set_query query;

	if (set_query_parse(&query, http_exchange_query(x), err) != 0)
		return -1;
	set->dry_run = query.dry_run;
	set->confirmed = query.confirmed;
	if (set_give_key(set, x, call->body, err) != 0)
		return -1;
	return set_author(set, x, call, tag, err);
}

/* ---- one resource ---- */

/* There is no such version, or nothing of it to put: a deletion is said to be one. */
static int explain_version(const struct reading *r, struct registry *registry, struct error *err)
{
	CLEANUP(history_page_done) struct history_page page = {0};
	uint64_t version = r->revisions[0];
	struct error ignored = ERROR_INIT;
	char tag[RESOURCE_TAG_SIZE];

	if (err->code != ERROR_NOT_FOUND)
		return -1;
	if (history_of_resource(&page, registry, r->namespace, r->name, version + 1, 1, &ignored) !=
			0 ||
		page.n == 0 || page.entries[0].version != version ||
		page.entries[0].op != RECORD_DELETE)
		return -1;
	resource_tag(version, tag);
	error_set(err, ERROR_UNPROCESSABLE,
		"%s is the deletion of %s: to have that again, DELETE the resource", tag, r->name);
	snprintf(err->field, sizeof(err->field), "to");
	return -1;
}

static int read_intent(struct reading *r, struct registry *registry, struct error *err)
{
	if (history_intent(&r->intent, registry, r->namespace, r->name, r->revisions[0], err) == 0)
		return 0;
	return explain_version(r, registry, err);
}

static int make_set_of_one(struct change_set **ret, const struct http_exchange *x,
	const struct call *call, const struct reading *r, struct error *err)
{
	CLEANUP(change_set_freep) struct change_set *set = NULL;
	char tag[RESOURCE_TAG_SIZE];

	resource_tag(r->revisions[0], tag);
	if (call_check_namespace(call, call->namespace, err) != 0 ||
		change_set_new(&set, err) != 0 ||
		change_set_put(set, r->intent, call->when, err) != 0 ||
		finish_set(set, x, call, tag, err) != 0)
		return -1;
	*ret = TAKE_PTR(set);
	return 0;
}

static void put_version(struct http_exchange *x, struct call *call, struct reading *r)
{
	struct change_set *set;
	struct error err = ERROR_INIT;

	if (make_set_of_one(&set, x, call, r, &err) == 0)
		set_submit(x, call, set);
	else
		answer_error(x, &err);
}

static void rollback_one(struct http_exchange *x, struct call *call)
{
	CLEANUP(state_unrefp) struct state *state = call_state(x, call);
	struct error err = ERROR_INIT;
	struct reading *r;

	if (state == NULL)
		return;
	if (preconditions_read(&call->when, http_exchange_head(x),
		    state_find(state, call->namespace, call->name), &err) != 0) {
		answer_error(x, &err);
		return;
	}
	r = reading_new(x, call);
	if (r != NULL)
		reading_run(r, x, read_intent, put_version);
}

static void resource_body(struct http_exchange *x, struct slice body, void *arg)
{
	struct call *call = arg;
	struct error err = ERROR_INIT;

	call->body = body;
	if (read_target(&call->revisions[0], &to_version, body, &err) == 0)
		set_recall(x, call, body, rollback_one);
	else
		answer_error(x, &err);
}

void rollback_resource(struct http_exchange *x, struct call *call)
{
	struct error err = ERROR_INIT;

	if (collect(x, call, resource_body, &err) != 0)
		answer_error(x, &err);
}

/* ---- a namespace, or everything: what it takes ---- */

/* was: NULL where it was not there. What others change meanwhile makes the rollback begin again, if
 * it is of the same resources; all else is not in its way. */
static int add_change(struct change_set *set, const struct reading *r,
	const struct history_change *change, const struct resource *was, struct error *err)
{
	const struct resource *current = state_find(r->state, change->namespace, change->name);
	struct precondition when = {.kind = IF_NOT_THERE};

	if (current != NULL)
		when = (struct precondition){IF_VERSION, current->version};
	if (was == NULL && current == NULL)
		return 0;
	if (was == NULL)
		return change_set_delete(set, change->namespace, change->name, when, true, err);
	if (current != NULL && intent_eq(current->intent, was->intent))
		return 0;
	return change_set_put(set, was->intent, when, err);
}

#define CHANGES_AT_ONCE LIMIT_PULLS

static int add_some(struct change_set *set, const struct reading *r, struct registry *registry,
	const struct history_change *changes, size_t n, struct error *err)
{
	struct history_wanted wanted[CHANGES_AT_ONCE];
	const struct history_wanted *at = wanted;
	size_t n_wanted = 0;
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		if (changes[i].before != 0)
			wanted[n_wanted++] = (struct history_wanted){
				changes[i].namespace, changes[i].name, changes[i].before, NULL};
	if (history_resources(registry, wanted, n_wanted, err) != 0)
		return -1;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = add_change(
			set, r, &changes[i], changes[i].before == 0 ? NULL : (at++)->resource, err);
	for (size_t i = 0; i < n_wanted; i++)
		resource_unref(wanted[i].resource);
	return rc;
}

static int explain_size(const struct reading *r, struct error *err)
{
	if (err->code != ERROR_TOO_LARGE)
		return -1;
	if (reading_namespace(r) == NULL)
		return error_set(err, ERROR_UNPROCESSABLE,
			"more than %d resources would change, which is too much for one commit: "
			"roll back namespace by namespace, at "
			"/api/v1/namespaces/{namespace}/rollback",
			LIMIT_CHANGES);
	return error_set(err, ERROR_UNPROCESSABLE,
		"more than %d resources would change, which is too much for one commit: roll back "
		"to a later revision first, and from there further",
		LIMIT_CHANGES);
}

static int read_set(struct reading *r, struct registry *registry, struct error *err)
{
	AUTO_FREE struct history_change *changes = NULL;
	size_t n, some;

	if (history_changes(&changes, &n, registry, r->cache, reading_namespace(r), r->revisions[0],
		    r->version, err) != 0)
		return reading_explain(r, r->revisions[0], err);
	if (change_set_new(&r->set, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i += some) {
		some = n - i < CHANGES_AT_ONCE ? n - i : CHANGES_AT_ONCE;
		if (reading_go_on(r, err) != 0 ||
			add_some(r->set, r, registry, changes + i, some, err) != 0)
			return explain_size(r, err);
	}
	return 0;
}

/* ---- and whether it may be ---- */

/* Those that it would put something into, and that are not there any more: as many as the text has
 * room for. */
static int check_namespaces(
	const struct call *call, const struct change_set *set, struct error *err)
{
	AUTO_FREE const struct set_item **items = NULL;
	CLEANUP(buf_done) struct buf gone = BUF_INIT(LIMIT_ERROR_TEXT / 2);
	size_t n, n_gone = 0, n_named = 0;

	if (set_namespaces(set, true, &items, &n, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct error why = ERROR_INIT;

		if (call_check_namespace(call, items[i]->namespace, &why) == 0)
			continue;
		n_gone++;
		if (gone.len + LIMIT_NAME + 2 > gone.max)
			continue;
		n_named++;
		buf_printf(&gone, "%s%s", gone.len == 0 ? "" : ", ", items[i]->namespace);
	}
	if (n_gone == 0)
		return 0;
	error_set(err, ERROR_UNPROCESSABLE,
		"resources would come back into namespaces that are not known to exist in the "
		"cluster: %s%s; make them, or roll back the other namespaces one by one",
		gone.data, n_gone > n_named ? " and others" : "");
	snprintf(err->field, sizeof(err->field), "namespace");
	return -1;
}

static void rollback_to(struct http_exchange *x, struct call *call);

/* What waits to be allowed. */
struct proposal {
	struct call *call; /* gone with the exchange */
	struct change_set *set;
};

static void permitted(struct http_exchange *x, const struct error *err, void *arg)
{
	AUTO_FREE struct proposal *p = arg;

	if (x != NULL && err->code == ERROR_NONE) {
		set_submit_or_again(x, p->call, p->set, rollback_to);
		return;
	}
	change_set_free(p->set);
	if (x != NULL)
		answer_error(x, err);
}

static void propose(struct http_exchange *x, struct call *call, struct reading *r)
{
	AUTO_FREE struct proposal *p = calloc(1, sizeof(*p));
	struct error err = ERROR_INIT;
	char tag[RECORD_TAG_SIZE];

	record_tag(r->revisions[0], tag);
	if (p == NULL) {
		error_no_memory(&err);
		answer_error(x, &err);
	} else if (preconditions_read_catalog(
			   &r->set->if_revision, http_exchange_head(x), r->version, &err) != 0 ||
		   check_namespaces(call, r->set, &err) != 0 ||
		   finish_set(r->set, x, call, tag, &err) != 0) {
		answer_error(x, &err);
	} else {
		struct change_set *set = TAKE_PTR(r->set);

		*p = (struct proposal){call, set};
		permit_ask(x, call, set, permitted, TAKE_PTR(p));
	}
}

/* Nothing was changed since the caller has read it. */
static int check_if_match(const struct http_exchange *x, const struct reading *r, struct error *err)
{
	uint64_t wanted;

	if (preconditions_read_catalog(&wanted, http_exchange_head(x), r->version, err) != 0)
		return -1;
	if (wanted == 0 || wanted == r->version)
		return 0;
	return precondition_refuse_revision(wanted, r->version, err);
}

/* From the state of this moment; again, where another commit comes in between. */
static void rollback_to(struct http_exchange *x, struct call *call)
{
	CLEANUP(reading_freep) struct reading *r = reading_new(x, call);
	struct error err = ERROR_INIT;

	if (r == NULL)
		return;
	r->state = call_state_at(x, call, &r->version);
	if (r->state == NULL)
		return;
	if (check_if_match(x, r, &err) == 0)
		reading_run(TAKE_PTR(r), x, read_set, propose);
	else
		answer_error(x, &err);
}

static void all_body(struct http_exchange *x, struct slice body, void *arg)
{
	struct call *call = arg;
	struct error err = ERROR_INIT;

	call->body = body;
	if (read_target(&call->revisions[0], &to_revision, body, &err) == 0)
		set_recall(x, call, body, rollback_to);
	else
		answer_error(x, &err);
}

void rollback_all(struct http_exchange *x, struct call *call)
{
	struct error err = ERROR_INIT;

	if (set_refuse_none_match(x, &err) != 0 || collect(x, call, all_body, &err) != 0)
		answer_error(x, &err);
}
