/* SPDX-License-Identifier: Apache-2.0 */
#include "api/set.h"

#include "api/answer.h"
#include "api/params.h"
#include "api/routes.h"
#include "base/json.h"
#include "intent/document.h"

#include <inttypes.h>
#include <stdatomic.h>
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

void set_error_init(
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

	set_error_init(&reply, err, place);
	http_exchange_reply(x, &reply);
}

/* ---- the answer ---- */

const char *set_operation_name(enum outcome_op op)
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

/* What a prune finds now is not what it found the first time. */
static bool is_shown(const struct set_outcome *outcome, size_t i)
{
	return !outcome->replayed || !outcome->set->items[i].unnamed;
}

static void add_counts(const struct set_outcome *outcome, struct buf *b)
{
	static const enum outcome_op ops[] = {
		OUTCOME_CREATED, OUTCOME_UPDATED, OUTCOME_UNCHANGED, OUTCOME_DELETED};
	size_t counts[ARRAY_SIZE(ops)] = {0};

	for (size_t i = 0; i < outcome->n; i++)
		if (is_shown(outcome, i))
			counts[outcome->items[i].op]++;
	json_key(b, "counts");
	json_begin_object(b);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		json_member_u64(b, set_operation_name(ops[i]), counts[ops[i]]);
	json_end_object(b);
}

static void add_diff(
	const struct set_item *item, const struct outcome *outcome, struct buf *diff, struct buf *b)
{
	char from[2 * LIMIT_NAME + 16], to[2 * LIMIT_NAME + 16];
	const struct intent *old = outcome->old == NULL ? NULL : outcome->old->intent;

	buf_reset(diff);
	snprintf(from, sizeof(from), "live/%s/%s", item->namespace, item->name);
	snprintf(to, sizeof(to), "wanted/%s/%s", item->namespace, item->name);
	if (outcome->op != OUTCOME_UNCHANGED)
		intent_diff(old, item->intent, from, to, diff);
	if (diff->failed != ERROR_NONE)
		b->failed = diff->failed;
	ADD(b, ",\"diff\":");
	json_add_string(b, diff->data == NULL ? SLICE("") : buf_slice(diff));
}

static void add_item(const struct set_item *item, const struct outcome *outcome, struct buf *b)
{
	char digest[DIGEST_TEXT_SIZE];

	ADD(b, "{\"operation\":\"");
	buf_puts(b, set_operation_name(outcome->op));
	ADD(b, "\",\"namespace\":\"");
	buf_puts(b, item->namespace);
	ADD(b, "\",\"name\":\"");
	buf_puts(b, item->name);
	if (outcome->version == 0) { /* a dry run's, or nothing is there and nothing was */
		ADD(b, "\",\"version\":null,\"digest\":null");
		return;
	}
	ADD(b, "\",\"version\":\"v");
	buf_add_u64(b, outcome->version);
	ADD(b, "\",\"digest\":\"");
	buf_puts(b, digest_format(&outcome->digest, digest));
	buf_putc(b, '"');
}

static void add_items(const struct set_outcome *outcome, struct buf *b)
{
	CLEANUP(buf_done) struct buf diff = BUF_INIT(4 * LIMIT_INTENT_YAML);

	json_key(b, "changes");
	json_begin_array(b);
	for (size_t i = 0; i < outcome->n && b->failed == ERROR_NONE; i++) {
		if (!is_shown(outcome, i))
			break; /* these are the last */
		if (i > 0)
			buf_putc(b, ',');
		add_item(&outcome->set->items[i], &outcome->items[i], b);
		if (outcome->set->dry_run)
			add_diff(&outcome->set->items[i], &outcome->items[i], &diff, b);
		buf_putc(b, '}');
	}
	json_end_array(b);
}

static void answer_init(struct http_reply *reply, const struct set_outcome *outcome)
{
	struct buf *b = &reply->body;

	answer_json_init(reply, 200);
	b->max = LIMIT_CHANGES_ANSWER;
	if (outcome->version != 0)
		http_reply_header(reply, "ETag", "\"c%" PRIu64 "\"", outcome->version);
	if (outcome->replayed)
		http_reply_header(reply, "Idempotency-Replayed", "true");
	ADD(b, "{\"version\":");
	if (outcome->version != 0)
		buf_printf(b, "\"c%" PRIu64 "\"", outcome->version);
	else
		ADD(b, "null");
	if (outcome->set->dry_run)
		json_member_bool(b, "dryRun", true);
	if (outcome->replayed)
		json_member_bool(b, "replayed", true);
	add_counts(outcome, b);
	add_items(outcome, b);
	json_end_object(b);
}

/* ---- long answers ---- */

/* Bytes of all of them, from when they are made to when they are sent: clients may take their time.
 */
static atomic_size_t held;

struct long_answer {
	struct buf body;
	size_t sent;
};

static int next(void *arg, struct buf *piece)
{
	struct long_answer *a = arg;
	size_t rest = a->body.len - a->sent;
	size_t n = rest < LIMIT_HTTP_WINDOW / 2 ? rest : LIMIT_HTTP_WINDOW / 2;

	buf_append(piece, a->body.data + a->sent, n);
	a->sent += n;
	return a->sent < a->body.len;
}

static void long_answer_free(void *arg)
{
	struct long_answer *a = arg;

	atomic_fetch_sub(&held, a->body.cap);
	buf_done(&a->body);
	free(a);
}

/* Sends its body piece by piece, and counts it until it is sent. Without memory it is as it was. */
static void make_long(struct http_reply *reply)
{
	struct long_answer *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return;
	a->body = reply->body;
	buf_init(&reply->body, reply->body.max);
	atomic_fetch_add(&held, a->body.cap);
	reply->source = (struct http_source){next, long_answer_free, a};
}

/* ---- on its way ---- */

/* Through the publisher's thread. */
struct submission {
	struct http_handle *handle;
	struct call *call; /* gone with the exchange */
	bool is_listed;    /* its items are those of the body's "changes" */
	void (*again)(struct http_exchange *x, struct call *call); /* NULL: it is answered */
	bool is_outdated;                                          /* then again() */
	struct http_reply reply;
};

static void submission_free(struct submission *s)
{
	http_reply_done(&s->reply);
	free(s);
}

/* On the loop. */
static void answer(struct http_exchange *x, void *arg)
{
	struct submission *s = arg;
	void (*again)(struct http_exchange * x, struct call * call) = s->again;
	struct call *call = s->call;

	if (x != NULL && s->is_outdated && call->tries < LIMIT_PATCH_TRIES) {
		submission_free(s);
		again(x, call);
		return;
	}
	if (x != NULL)
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
	if (s->is_listed && !item->unnamed) {
		place.index = outcome->failed;
		set_error_wrap(&err, &place);
	}
	set_error_init(&s->reply, &err, &place);
}

/* A dry run's answer may be very long, and is no loss. */
static bool is_too_much(const struct http_reply *reply, struct error *err)
{
	if (reply->body.failed == ERROR_TOO_LARGE)
		error_set(err, ERROR_TOO_LARGE,
			"what it would change is more than %zu MiB of text: ask for a part of it "
			"at a "
			"time",
			LIMIT_CHANGES_ANSWER / MIB);
	else if (reply->body.cap + atomic_load(&held) > LIMIT_CHANGES_ANSWERS)
		error_set(err, ERROR_UNAVAILABLE,
			"there are too many long answers to send at the moment; try again");
	return err->code != ERROR_NONE;
}

static void answer_made(struct submission *s, const struct set_outcome *outcome)
{
	struct error err = ERROR_INIT;

	answer_init(&s->reply, outcome);
	if (!outcome->set->dry_run || s->reply.body.cap <= MIB)
		return;
	if (is_too_much(&s->reply, &err)) {
		http_reply_done(&s->reply);
		answer_error_init(&s->reply, &err);
		return;
	}
	make_long(&s->reply);
}

/* On the publisher's thread. */
static void decided(const struct set_outcome *outcome, void *arg)
{
	struct submission *s = arg;

	s->is_outdated = s->again != NULL && outcome->err.code == ERROR_PRECONDITION &&
			 outcome->failed == SIZE_MAX;
	if (outcome->err.code == ERROR_NONE)
		answer_made(s, outcome);
	else if (outcome->failed == SIZE_MAX)
		answer_error_init(&s->reply, &outcome->err);
	else
		answer_failed(s, outcome, &outcome->set->items[outcome->failed]);
	http_handle_post(s->handle, answer, s);
}

static int submit(struct http_exchange *x, struct call *call, struct change_set *set,
	void (*again)(struct http_exchange *x, struct call *call), struct error *err)
{
	AUTO_FREE struct submission *s = calloc(1, sizeof(*s));

	if (set->author == NULL && call_author(&set->author, x, call, err) != 0)
		return -1;
	if (s == NULL)
		return error_no_memory(err);
	s->handle = http_exchange_handle(x);
	if (s->handle == NULL)
		return error_no_memory(err);
	s->call = call;
	s->is_listed = call->method->scope == SCOPE_BODY;
	s->again = again;
	http_reply_init(&s->reply, 200);
	call->tries++;
	publisher_apply(call->api->publisher, set, decided, TAKE_PTR(s));
	return 0;
}

void set_submit_or_again(struct http_exchange *x, struct call *call, struct change_set *set,
	void (*again)(struct http_exchange *x, struct call *call))
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
