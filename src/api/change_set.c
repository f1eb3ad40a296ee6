/* SPDX-License-Identifier: Apache-2.0 */
#include "api/change_set.h"

#include "api/answer.h"
#include "api/long_answer.h"
#include "api/params.h"
#include "api/routes.h"
#include "base/json.h"
#include "intent/document.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- the query ---- */

static int read_dry_run(void *arg, struct slice value, struct error *err)
{
	struct set_query *q = arg;

	return params_dry_run(&q->dry_run, value, err);
}

static int read_confirm(void *arg, struct slice value, struct error *err)
{
	struct set_query *q = arg;

	q->confirmed = slice_eq(value, SLICE("prune"));
	return q->confirmed ? 0 : params_refuse("confirm", "prune", value, err);
}

static const struct param parameters[] = {{"dryRun", read_dry_run}, {"confirm", read_confirm}};

int set_query_parse(struct set_query *ret, struct slice query, struct error *err)
{
	struct set_query q = {.dry_run = false};

	if (params_read(query, parameters, ARRAY_SIZE(parameters),
		    "this path takes the parameters dryRun and confirm", &q, err) != 0)
		return -1;
	*ret = q;
	return 0;
}

/* ---- the key ---- */

static struct slice header(const struct http_exchange *x, const char *name)
{
	return http_head_get(http_exchange_head(x), name);
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

int set_check_key(const struct http_exchange *x, struct error *err)
{
	return check_key(header(x, "idempotency-key"), err);
}

int set_refuse_none_match(const struct http_exchange *x, struct error *err)
{
	if (header(x, "if-none-match").p == NULL)
		return 0;
	return error_set_field(err, "If-None-Match",
		"this takes no If-None-Match: If-Match says which revision it is about, and in "
		"changes the operation create says what must be new");
}

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

int set_give_key(
	struct change_set *set, const struct http_exchange *x, struct slice body, struct error *err)
{
	struct slice key = header(x, "idempotency-key");

	if (key.p == NULL || set->dry_run)
		return 0;
	snprintf(set->key, sizeof(set->key), "%.*s", SLICE_ARG(key));
	return digest_request(&set->request, x, body, err);
}

/* ---- which namespaces ---- */

static int compare_items(const void *a, const void *b)
{
	const struct set_item *x = *(const struct set_item *const *)a;
	const struct set_item *y = *(const struct set_item *const *)b;
	int order = strcmp(x->namespace, y->namespace);

	return order != 0 ? order : (x > y) - (x < y);
}

static size_t keep_first_of_each(const struct set_item **items, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (kept == 0 || strcmp(items[kept - 1]->namespace, items[i]->namespace) != 0)
			items[kept++] = items[i];
	return kept;
}

int set_namespaces(const struct change_set *set, bool puts, const struct set_item ***ret,
	size_t *ret_n, struct error *err)
{
	const struct set_item **items = calloc(set->n > 0 ? set->n : 1, sizeof(*items));
	size_t n = 0;

	if (items == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < set->n; i++)
		if ((set->items[i].intent != NULL) == puts)
			items[n++] = &set->items[i];
	qsort(items, n, sizeof(*items), compare_items);
	*ret_n = keep_first_of_each(items, n);
	*ret = items;
	return 0;
}

/* ---- errors ---- */

void set_error_wrap(struct error *err, const struct set_place *place)
{
	char field[sizeof(err->field)];

	if (place->name[0] != '\0')
		error_wrap(
			err, "changes[%zu] (%s/%s)", place->index, place->namespace, place->name);
	else
		error_wrap(err, "changes[%zu]", place->index);
	snprintf(field, sizeof(field), "changes[%zu]%s%.40s", place->index,
		err->field[0] == '\0' ? "" : ".", err->field);
	memcpy(err->field, field, sizeof(field));
}

static void error_init(
	struct http_reply *reply, const struct error *err, const struct set_place *place)
{
	answer_error_begin(reply, err);
	if (place->index != SIZE_MAX)
		json_member_u64(&reply->body, "index", place->index);
	if (place->namespace[0] != '\0')
		json_member_cstr(&reply->body, "namespace", place->namespace);
	if (place->name[0] != '\0')
		json_member_cstr(&reply->body, "name", place->name);
	json_end_object(&reply->body);
}

void set_error(struct http_exchange *x, const struct error *err, const struct set_place *place)
{
	struct http_reply reply;

	error_init(&reply, err, place);
	http_exchange_reply(x, &reply);
}

/* ---- the answer ---- */

struct result {
	enum outcome_op op;
	const char *namespace, *name;
	uint64_t version; /* 0: a dry run would make it, nothing is there and nothing was, or nobody
			     knows any more */
	const struct digest *digest;
};

struct results {
	size_t n;
	struct result *list;
};

static void results_done(struct results *r)
{
	free(r->list);
}

static void list_made(struct results *r, const struct set_outcome *outcome)
{
	for (size_t i = 0; i < outcome->n; i++) {
		const struct outcome *o = &outcome->items[i];
		const struct set_item *item = &outcome->set->items[i];

		r->list[r->n++] =
			(struct result){o->op, item->namespace, item->name, o->version, &o->digest};
	}
}

/* As commit_outcome() made it then: what was put again only because it was held is unchanged. */
static struct result result_of(const struct record_change *c)
{
	static const enum outcome_op ops[RECORD_OPS_] = {
		[RECORD_CREATE] = OUTCOME_CREATED,
		[RECORD_UPDATE] = OUTCOME_UPDATED,
		[RECORD_DELETE] = OUTCOME_DELETED,
		[RECORD_HOLD] = OUTCOME_UNCHANGED,
		[RECORD_RELEASE] = OUTCOME_UNCHANGED,
	};

	return (struct result){ops[c->op], c->namespace, c->name, c->version, &c->digest};
}

/* The record has those that were changed, in the order of the set: what is listed, then what was
 * pruned. */
static void list_replayed(struct results *r, const struct set_outcome *outcome, bool is_listed)
{
	const struct change_set *set = outcome->set;
	const struct record *record = outcome->replayed;
	size_t at = 0;

	for (size_t i = 0; is_listed && i < set->n; i++) {
		const struct set_item *item = &set->items[i];
		const struct record_change *c = &record->changes[at];
		bool was_changed = at < record->n_changes &&
				   strcmp(c->namespace, item->namespace) == 0 &&
				   strcmp(c->name, item->name) == 0;

		if (item->pruned)
			continue;
		r->list[r->n++] = was_changed ? result_of(c)
					      : (struct result){.op = OUTCOME_UNCHANGED,
							.namespace = item->namespace,
							.name = item->name};
		at += was_changed;
	}
	while (at < record->n_changes)
		r->list[r->n++] = result_of(&record->changes[at++]);
}

static int list_results(
	struct results *r, const struct set_outcome *outcome, bool is_listed, struct error *err)
{
	size_t most = outcome->set->n + 1;

	if (outcome->replayed != NULL)
		most += outcome->replayed->n_changes;
	r->list = calloc(most, sizeof(*r->list));
	if (r->list == NULL)
		return error_no_memory(err);
	if (outcome->replayed != NULL)
		list_replayed(r, outcome, is_listed);
	else
		list_made(r, outcome);
	return 0;
}

static const char *result_name(enum outcome_op op)
{
	static const char *const names[] = {
		[OUTCOME_CREATED] = "created",
		[OUTCOME_UPDATED] = "updated",
		[OUTCOME_UNCHANGED] = "unchanged",
		[OUTCOME_DELETED] = "deleted",
	};

	return names[op];
}

#define ADD(b, literal) buf_add(b, SLICE(literal))

static void add_counts(const struct results *results, struct buf *b)
{
	static const enum outcome_op ops[] = {
		OUTCOME_CREATED, OUTCOME_UPDATED, OUTCOME_UNCHANGED, OUTCOME_DELETED};
	size_t counts[ARRAY_SIZE(ops)] = {0};

	for (size_t i = 0; i < results->n; i++)
		counts[results->list[i].op]++;
	json_key(b, "counts");
	json_begin_object(b);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		json_member_u64(b, result_name(ops[i]), counts[ops[i]]);
	json_end_object(b);
}

static void add_diff(
	const struct set_item *item, const struct outcome *outcome, struct buf *diff, struct buf *b)
{
	char from[INTENT_DIFF_NAME_SIZE], to[INTENT_DIFF_NAME_SIZE];
	const struct resource *old = outcome->old;
	const struct intent *there = old == NULL ? NULL : old->intent;

	buf_reset(diff);
	if (outcome->op != OUTCOME_UNCHANGED)
		intent_diff(there, item->intent,
			intent_diff_name(there, old == NULL ? 0 : old->version, from),
			intent_diff_name(item->intent, 0, to), diff);
	if (diff->failed != ERROR_NONE)
		b->failed = diff->failed;
	ADD(b, ",\"diff\":");
	json_add_string(b, diff->data == NULL ? SLICE("") : buf_slice(diff));
}

static void add_result(const struct result *r, struct buf *b)
{
	char digest[DIGEST_TEXT_SIZE];

	ADD(b, "{\"result\":\"");
	buf_puts(b, result_name(r->op));
	ADD(b, "\",\"namespace\":\"");
	buf_puts(b, r->namespace);
	ADD(b, "\",\"name\":\"");
	buf_puts(b, r->name);
	if (r->version == 0) {
		ADD(b, "\",\"version\":null,\"digest\":null");
		return;
	}
	ADD(b, "\",\"version\":\"v");
	buf_add_u64(b, r->version);
	ADD(b, "\",\"digest\":\"");
	buf_puts(b, digest_format(r->digest, digest));
	buf_putc(b, '"');
}

static void add_results(
	const struct results *results, const struct set_outcome *outcome, struct buf *b)
{
	CLEANUP(buf_done) struct buf diff = BUF_INIT(4 * LIMIT_INTENT_YAML);

	json_key(b, "changes");
	json_begin_array(b);
	for (size_t i = 0; i < results->n && b->failed == ERROR_NONE; i++) {
		if (i > 0)
			buf_putc(b, ',');
		add_result(&results->list[i], b);
		if (outcome->set->dry_run)
			add_diff(&outcome->set->items[i], &outcome->items[i], &diff, b);
		buf_putc(b, '}');
	}
	json_end_array(b);
}

static void answer_init(
	struct http_reply *reply, const struct set_outcome *outcome, const struct results *results)
{
	struct buf *b = &reply->body;

	answer_json_init(reply, 200);
	b->max = LIMIT_CHANGES_ANSWER;
	if (outcome->version != 0)
		http_reply_header(reply, "ETag", "\"c%" PRIu64 "\"", outcome->version);
	if (outcome->replayed != NULL)
		http_reply_header(reply, "Idempotency-Replayed", "true");
	ADD(b, "{\"revision\":");
	if (outcome->version != 0)
		buf_printf(b, "\"c%" PRIu64 "\"", outcome->version);
	else
		ADD(b, "null");
	if (outcome->set->dry_run)
		json_member_bool(b, "dryRun", true);
	if (outcome->replayed != NULL)
		json_member_bool(b, "replayed", true);
	add_counts(results, b);
	add_results(results, outcome, b);
	json_end_object(b);
}

/* ---- on its way ---- */

/* Through the publisher's thread. */
struct submission {
	struct http_handle *handle;
	struct call *call; /* gone with the exchange */
	bool is_listed;    /* its items are those of the body's "changes" */
	set_then *then;    /* where that is to be done in place of an answer; or NULL */
	bool is_recall;    /* a set of nothing, to hear whether there was one with its key */
	bool goes_on;      /* then() */
	struct http_reply reply;
};

static void submission_free(struct submission *s)
{
	http_reply_done(&s->reply);
	free(s);
}

static void give_up(struct http_exchange *x)
{
	struct error err = ERROR_INIT;

	error_set(&err, ERROR_CONFLICT,
		"others have changed what this is made of each of the %d times that it was tried: "
		"send it again",
		LIMIT_CHANGE_TRIES);
	answer_error(x, &err);
}

static void go_on(struct http_exchange *x, const struct submission *s)
{
	if (s->is_recall || s->call->tries < LIMIT_CHANGE_TRIES)
		s->then(x, s->call);
	else
		give_up(x);
}

/* On the loop. */
static void answer(struct http_exchange *x, void *arg)
{
	struct submission *s = arg;

	if (x != NULL && s->goes_on)
		go_on(x, s);
	else if (x != NULL)
		http_exchange_reply(x, &s->reply);
	submission_free(s);
}

/* What is pruned is in no list of the caller's: it has a name alone. */
static void answer_failed(
	struct submission *s, const struct set_outcome *outcome, const struct set_item *item)
{
	struct set_place place = SET_PLACE_NONE;
	struct error err = outcome->err;

	snprintf(place.namespace, sizeof(place.namespace), "%s", item->namespace);
	snprintf(place.name, sizeof(place.name), "%s", item->name);
	if (s->is_listed && !item->pruned) {
		place.index = outcome->failed;
		set_error_wrap(&err, &place);
	}
	error_init(&s->reply, &err, &place);
}

/* Of a conflict that is no item's only the prune guard speaks. */
static void answer_refused(struct submission *s, const struct error *err)
{
	answer_error_begin(&s->reply, err);
	if (err->code == ERROR_CONFLICT)
		json_member_cstr(&s->reply.body, "confirm", "prune");
	json_end_object(&s->reply.body);
}

/* A dry run's answer may be very long, and is no loss. */
static int check_length(const struct http_reply *reply, struct error *err)
{
	if (reply->body.failed != ERROR_TOO_LARGE)
		return 0;
	return error_set(err, ERROR_TOO_LARGE,
		"what it would change is more than %zu MiB of text: ask for a part of it at a time",
		LIMIT_CHANGES_ANSWER / MIB);
}

static void answer_made(struct submission *s, const struct set_outcome *outcome)
{
	CLEANUP(results_done) struct results results = {.n = 0};
	struct error err = ERROR_INIT;

	if (list_results(&results, outcome, s->is_listed, &err) != 0) {
		answer_error_init(&s->reply, &err);
		return;
	}
	answer_init(&s->reply, outcome, &results);
	if (!outcome->set->dry_run) {
		long_answer_make_anyway(&s->reply);
	} else if (check_length(&s->reply, &err) != 0 || long_answer_make(&s->reply, &err) != 0) {
		http_reply_done(&s->reply);
		answer_error_init(&s->reply, &err);
	}
}

/* Whether then() is called, where it is given. */
static bool goes_on(const struct submission *s, const struct set_outcome *outcome)
{
	if (s->is_recall)
		return outcome->err.code == ERROR_NONE && outcome->replayed == NULL;
	return outcome->err.code == ERROR_PRECONDITION &&
	       (outcome->failed == SIZE_MAX || !s->is_listed ||
		       outcome->set->items[outcome->failed].pruned);
}

/* On the publisher's thread. */
static void decided(const struct set_outcome *outcome, void *arg)
{
	struct submission *s = arg;

	s->goes_on = s->then != NULL && goes_on(s, outcome);
	if (outcome->err.code == ERROR_NONE)
		answer_made(s, outcome);
	else if (outcome->failed == SIZE_MAX)
		answer_refused(s, &outcome->err);
	else
		answer_failed(s, outcome, &outcome->set->items[outcome->failed]);
	http_handle_post(s->handle, answer, s);
}

/* What is to be sent, but for the set. */
static int submission_new(struct submission **ret, struct http_exchange *x, struct call *call,
	set_then *then, struct error *err)
{
	AUTO_FREE struct submission *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return error_no_memory(err);
	s->handle = http_exchange_handle(x);
	if (s->handle == NULL)
		return error_no_memory(err);
	s->call = call;
	s->is_listed = call->method->scope == SCOPE_BODY;
	s->then = then;
	http_reply_init(&s->reply, 200);
	*ret = TAKE_PTR(s);
	return 0;
}

static int recall(struct http_exchange *x, struct call *call, struct change_set *set,
	set_then *then, struct error *err)
{
	struct submission *s;

	if (call_author(&set->author, x, call, err) != 0 ||
		submission_new(&s, x, call, then, err) != 0)
		return -1;
	s->is_recall = true;
	publisher_apply(call->api->publisher, set, decided, s);
	return 0;
}

static int ask_for(struct change_set **ret, const struct http_exchange *x, struct slice body,
	struct error *err)
{
	CLEANUP(change_set_freep) struct change_set *set = NULL;
	struct set_query query;

	if (set_query_parse(&query, http_exchange_query(x), err) != 0 ||
		change_set_new(&set, err) != 0)
		return -1;
	set->dry_run = query.dry_run;
	if (set_give_key(set, x, body, err) != 0)
		return -1;
	*ret = TAKE_PTR(set);
	return 0;
}

void set_recall(struct http_exchange *x, struct call *call, struct slice body, set_then *then)
{
	CLEANUP(change_set_freep) struct change_set *set = NULL;
	struct error err = ERROR_INIT;

	if (ask_for(&set, x, body, &err) != 0) {
		answer_error(x, &err);
		return;
	}
	if (set->key[0] == '\0')
		then(x, call);
	else if (recall(x, call, set, then, &err) == 0)
		set = NULL; /* the publisher's */
	else
		answer_error(x, &err);
}

static int submit(struct http_exchange *x, struct call *call, struct change_set *set,
	set_then *again, struct error *err)
{
	struct submission *s;

	if (long_answer_check(err) != 0 ||
		(set->author == NULL && call_author(&set->author, x, call, err) != 0) ||
		submission_new(&s, x, call, again, err) != 0)
		return -1;
	call->tries++;
	publisher_apply(call->api->publisher, set, decided, s);
	return 0;
}

void set_submit_or_again(
	struct http_exchange *x, struct call *call, struct change_set *set, set_then *again)
{
	struct error err = ERROR_INIT;

	if (submit(x, call, set, again, &err) == 0)
		return;
	change_set_free(set);
	answer_error(x, &err);
}

void set_submit(struct http_exchange *x, struct call *call, struct change_set *set)
{
	set_submit_or_again(x, call, set, NULL);
}
