/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of /api/v1/.../revisions and /diff: the commit records, the state that one of them left,
 * and what two of them differ in. */
#include "api/answer.h"
#include "api/params.h"
#include "api/reading.h"
#include "base/clock.h"
#include "base/json.h"
#include "catalog/key.h"
#include "intent/document.h"
#include "publish/history.h"

#include <stdio.h>

/* ---- commit records ---- */

#define RECORDS_AT_ONCE 16 /* in memory: one may have LIMIT_CHANGES changes */

/* Who made it, from where and why; any of them may be NULL. */
struct said {
	const char *who, *from, *why;
};

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool is_shown(const struct record_change *change, const char *namespace)
{
	return namespace == NULL || strcmp(change->namespace, namespace) == 0;
}

static struct said said_by(const struct author *a)
{
	return a == NULL ? (struct said){0} : (struct said){a->who, a->from, a->why};
}

/* The record's own, or what the namespace's changes have in common: others' are not for those who
 * see only that. */
static struct said said_of(const struct record *record, const char *namespace)
{
	struct said said = {record->who, record->from, record->why};
	bool is_first = true;

	for (size_t i = 0; namespace != NULL && i < record->n_changes; i++) {
		struct said one = said_by(record->changes[i].author);

		if (!is_shown(&record->changes[i], namespace) || one.who == NULL)
			continue;
		if (is_first)
			said = one;
		is_first = false;
		if (!same_text(said.who, one.who))
			said.who = RECORD_SEVERAL;
		if (!same_text(said.from, one.from))
			said.from = NULL;
		if (!same_text(said.why, one.why))
			said.why = NULL;
	}
	return said;
}

static void add_digest(struct buf *b, const char *key, const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	json_member_cstr(b, key, digest_format(digest, text));
}

static void add_change(struct buf *b, const struct record_change *change, const struct said *said)
{
	struct said own = said_by(change->author);
	char tag[RESOURCE_TAG_SIZE];

	resource_tag(change->version, tag);
	json_begin_object(b);
	json_member_cstr(b, "operation", record_op_name(change->op));
	json_member_cstr(b, "namespace", change->namespace);
	json_member_cstr(b, "name", change->name);
	json_member_cstr(b, "version", tag);
	add_digest(b, "digest", &change->digest);
	if (own.who != NULL && !same_text(own.who, said->who))
		json_member_cstr(b, "who", own.who);
	if (own.why != NULL && !same_text(own.why, said->why))
		json_member_cstr(b, "why", own.why);
	json_end_object(b);
}

static void add_record(struct buf *b, const struct record *record, const struct digest *digest,
	const char *namespace)
{
	struct said said = said_of(record, namespace);
	char tag[RECORD_TAG_SIZE], at[CLOCK_RFC3339_SIZE], parent[DIGEST_TEXT_SIZE];

	record_tag(record->version, tag);
	clock_rfc3339(record->version, at);
	json_begin_object(b);
	json_member_cstr(b, "version", tag);
	add_digest(b, "digest", digest);
	answer_add_text(
		b, "parent", record->has_parent ? digest_format(&record->parent, parent) : NULL);
	json_member_cstr(b, "at", at);
	answer_add_text(b, "who", said.who);
	answer_add_text(b, "from", said.from);
	answer_add_text(b, "why", said.why);
	if (record->frozen.by != NULL)
		json_member_bool(b, "frozen", true);
	json_key(b, "changes");
	json_begin_array(b);
	for (size_t i = 0; i < record->n_changes; i++)
		if (is_shown(&record->changes[i], namespace))
			add_change(b, &record->changes[i], &said);
	json_end_array(b);
	json_end_object(b);
}

/* ---- a page of them ---- */

/* The token of a page is the digest of the record where it begins. */
static int read_token(struct reading *r, struct error *err)
{
	struct error ignored = ERROR_INIT;

	if (r->page.after[0] == '\0')
		return 0;
	if (digest_parse(&r->from, slice_of(r->page.after), &ignored) != 0)
		return page_refuse_token(err);
	r->has_from = true;
	return 0;
}

/* Adds some of them; *ret_n is how many. */
static int add_records(struct reading *r, struct registry *registry, size_t max, size_t *ret_n,
	bool *ret_more, struct error *err)
{
	CLEANUP(revisions_page_done) struct revisions_page page = {0};
	struct revisions_query query = {
		.namespace = reading_namespace(r),
		.from = r->has_from ? &r->from : NULL,
		.limit = max,
	};

	if (history_revisions(&page, registry, &query, err) != 0)
		return -1;
	for (size_t i = 0; i < page.n; i++)
		add_record(&r->answer, &page.entries[i].record, &page.entries[i].digest,
			query.namespace);
	*ret_n = page.n;
	*ret_more = page.has_next;
	r->has_from = true;
	r->from = page.next;
	return 0;
}

/* Some at a time, until the page is full, or so many records were read for few that it is better
 * to let the client ask again. */
static int read_revisions(struct reading *r, struct registry *registry, struct error *err)
{
	size_t left = r->page.limit, wanted, n;
	bool more;

	json_begin_object(&r->answer);
	json_key(&r->answer, "revisions");
	json_begin_array(&r->answer);
	do {
		wanted = left < RECORDS_AT_ONCE ? left : RECORDS_AT_ONCE;
		if (reading_go_on(r, err) != 0 ||
			add_records(r, registry, wanted, &n, &more, err) != 0)
			return err->code == ERROR_NOT_FOUND ? page_refuse_token(err) : -1;
		left -= n;
	} while (more && n == wanted && left > 0 && !reading_is_large(r));
	json_end_array(&r->answer);
	if (more)
		add_digest(&r->answer, "continue", &r->from);
	json_end_object(&r->answer);
	return 0;
}

void revisions_list(struct http_exchange *x, struct call *call)
{
	CLEANUP(reading_freep) struct reading *r = reading_new(x, call);
	struct error err = ERROR_INIT;

	if (r == NULL)
		return;
	if (page_query_parse(&r->page, "a list of revisions", http_exchange_query(x), &err) != 0 ||
		read_token(r, &err) != 0)
		answer_error(x, &err);
	else
		reading_run(TAKE_PTR(r), x, read_revisions, reading_answer);
}

/* ---- one of them ---- */

static int changes_any(const struct record *record, const char *namespace, struct error *err)
{
	char tag[RECORD_TAG_SIZE];

	for (size_t i = 0; i < record->n_changes; i++)
		if (is_shown(&record->changes[i], namespace))
			return 0;
	if (namespace == NULL)
		return 0;
	record_tag(record->version, tag);
	return error_set(err, ERROR_NOT_FOUND,
		"revision %s changes nothing in namespace %s: those that do are at "
		"/api/v1/namespaces/%s/revisions",
		tag, namespace, namespace);
}

static int read_revision(struct reading *r, struct registry *registry, struct error *err)
{
	CLEANUP(record_done) struct record record = {0};
	struct digest digest;

	if (history_revision(&record, &digest, registry, r->revisions[0], err) != 0)
		return reading_explain(r, r->revisions[0], err);
	if (changes_any(&record, reading_namespace(r), err) != 0)
		return -1;
	add_record(&r->answer, &record, &digest, reading_namespace(r));
	return 0;
}

void revision_get(struct http_exchange *x, struct call *call)
{
	CLEANUP(reading_freep) struct reading *r = reading_new(x, call);
	struct error err = ERROR_INIT;

	if (r == NULL)
		return;
	if (params_none(http_exchange_query(x), &err) != 0)
		answer_error(x, &err);
	else
		reading_run(TAKE_PTR(r), x, read_revision, reading_answer);
}

/* ---- the state at a commit ---- */

/* What is current, with what has changed since put back to what it was, in the order of names. */
struct past {
	struct state_cursor *cursor; /* of what is current */
	struct history_change *changes;
	size_t n;
	size_t at; /* the first that the walk has not passed */
};

static void past_done(struct past *p)
{
	state_cursor_free(p->cursor);
	free(p->changes);
}

/* The first change behind that name. */
static size_t first_after(
	const struct history_change *changes, size_t n, const char *namespace, const char *name)
{
	size_t i = 0;

	while (i < n && key_cmp(changes[i].namespace, changes[i].name, namespace, name) <= 0)
		i++;
	return i;
}

static int past_init(
	struct past *p, const struct reading *r, struct registry *registry, struct error *err)
{
	const char *only = reading_namespace(r);
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];

	if (page_after_name(&r->page, namespace, name, err) != 0)
		return -1;
	if (history_changes(&p->changes, &p->n, registry, only, r->revisions[0], r->version, err) !=
		0)
		return reading_explain(r, r->revisions[0], err);
	if (name[0] != '\0')
		p->at = first_after(p->changes, p->n, namespace, name);
	if (only != NULL)
		return state_cursor_new(&p->cursor, r->state, only, name, err);
	return state_cursor_new_all(&p->cursor, r->state, namespace, name, err);
}

static void add_name_token(struct buf *b, const char *namespace, const char *name)
{
	char token[2 * LIMIT_NAME + 2];

	snprintf(token, sizeof(token), "%s.%s", namespace, name);
	json_member_cstr(b, "continue", token);
}

/* What comes next: a change, or a resource that has stayed the same since; both NULL: nothing. The
 * walk is on it until past_advance(). */
static const struct history_change *past_change(struct past *p, const struct resource **ret_same)
{
	*ret_same = NULL;
	for (;;) {
		const struct history_change *c = p->at < p->n ? &p->changes[p->at] : NULL;
		const struct resource *current = state_cursor_at(p->cursor);
		int order = c == NULL ? 1 : -1;

		if (c != NULL && current != NULL)
			order = key_cmp(c->namespace, c->name, current->intent->namespace,
				current->intent->name);
		if (order > 0) {
			*ret_same = current;
			return NULL;
		}
		if (order == 0)
			state_cursor_advance(p->cursor); /* it is another now than it was */
		if (c->before != 0)
			return c;
		p->at++; /* it was not there */
	}
}

static void past_advance(struct past *p, const struct history_change *change)
{
	if (change != NULL)
		p->at++;
	else
		state_cursor_advance(p->cursor);
}

/* A page of it, before what has changed since is read. */
struct past_page {
	size_t n, n_wanted;
	const struct resource *same[LIMIT_HISTORY_PAGE]; /* the state's; NULL: the next wanted */
	struct history_wanted wanted[LIMIT_HISTORY_PAGE];
	bool has_more;
};

static void past_page_free(struct past_page *page)
{
	if (page == NULL)
		return;
	for (size_t i = 0; i < page->n_wanted; i++)
		resource_unref(page->wanted[i].resource);
	free(page);
}
DEFINE_CLEANUP(struct past_page, past_page_free);

static void collect_page(struct past_page *page, struct past *past, size_t limit)
{
	const struct history_change *change;
	const struct resource *same;

	while ((change = past_change(past, &same)) != NULL || same != NULL) {
		page->has_more = page->n == limit;
		if (page->has_more)
			return;
		page->same[page->n++] = same;
		if (change != NULL)
			page->wanted[page->n_wanted++] = (struct history_wanted){
				change->namespace, change->name, change->before, NULL};
		past_advance(past, change);
	}
}

static void write_page(const struct past_page *page, struct buf *b)
{
	const struct history_wanted *wanted = page->wanted;
	const struct resource *resource = NULL;

	json_begin_object(b);
	json_key(b, "resources");
	json_begin_array(b);
	for (size_t i = 0; i < page->n; i++) {
		resource = page->same[i] != NULL ? page->same[i] : (wanted++)->resource;
		json_item(b);
		answer_add_resource(b, resource);
		buf_putc(b, '}');
	}
	json_end_array(b);
	json_member_u64(b, "count", page->n);
	if (page->has_more)
		add_name_token(b, resource->intent->namespace, resource->intent->name);
	json_end_object(b);
}

static int read_resources(struct reading *r, struct registry *registry, struct error *err)
{
	CLEANUP(past_done) struct past past = {0};
	CLEANUP(past_page_freep) struct past_page *page = calloc(1, sizeof(*page));

	if (page == NULL)
		return error_no_memory(err);
	if (past_init(&past, r, registry, err) != 0)
		return -1;
	collect_page(page, &past, r->page.limit);
	if (reading_go_on(r, err) != 0 ||
		history_resources(registry, page->wanted, page->n_wanted, err) != 0)
		return -1;
	write_page(page, &r->answer);
	return 0;
}

void revision_resources(struct http_exchange *x, struct call *call)
{
	CLEANUP(reading_freep) struct reading *r = reading_new(x, call);
	struct error err = ERROR_INIT;

	if (r == NULL)
		return;
	if (page_query_parse(&r->page, "the state at a revision", http_exchange_query(x), &err) !=
		0) {
		answer_error(x, &err);
		return;
	}
	r->state = call_state_at(x, call, &r->version);
	if (r->state != NULL)
		reading_run(TAKE_PTR(r), x, read_resources, reading_answer);
}

/* ---- what two of them differ in ---- */

/* One side of a difference. */
struct side {
	uint64_t version;                                   /* 0: it was not there */
	const struct intent *intent;                        /* NULL likewise */
	char label[2 * LIMIT_NAME + RESOURCE_TAG_SIZE + 3]; /* "default/web@v123" */
};

static void side_init(
	struct side *s, const struct history_change *change, const struct resource *resource)
{
	char tag[RESOURCE_TAG_SIZE];

	*s = (struct side){.label = "/dev/null"};
	if (resource == NULL)
		return;
	s->version = resource->version;
	s->intent = resource->intent;
	resource_tag(s->version, tag);
	snprintf(s->label, sizeof(s->label), "%s/%s@%s", change->namespace, change->name, tag);
}

static void add_version(struct buf *b, const char *key, uint64_t version)
{
	char tag[RESOURCE_TAG_SIZE];

	resource_tag(version, tag);
	answer_add_text(b, key, version == 0 ? NULL : tag);
}

static void add_difference(struct buf *b, const struct history_change *change,
	const struct side *from, const struct side *to)
{
	CLEANUP(buf_done) struct buf diff = BUF_INIT(LIMIT_DIFF);
	enum record_op op = RECORD_UPDATE;

	if (from->version == 0)
		op = RECORD_CREATE;
	else if (to->version == 0)
		op = RECORD_DELETE;
	intent_diff(from->intent, to->intent, from->label, to->label, &diff);
	json_begin_object(b);
	json_member_cstr(b, "operation", record_op_name(op));
	json_member_cstr(b, "namespace", change->namespace);
	json_member_cstr(b, "name", change->name);
	add_version(b, "from", from->version);
	add_version(b, "to", to->version);
	json_member_string(b, "diff", buf_slice(&diff));
	json_end_object(b);
	if (diff.failed != ERROR_NONE)
		b->failed = diff.failed;
}

/* False: both are equal. */
static bool compare(struct buf *b, const struct history_change *change,
	const struct resource *from_resource, const struct resource *to_resource)
{
	struct side from, to;

	side_init(&from, change, from_resource);
	side_init(&to, change, to_resource);
	if (from.intent != NULL && to.intent != NULL && intent_eq(from.intent, to.intent))
		return false;
	add_difference(b, change, &from, &to);
	return true;
}

#define CHANGES_AT_ONCE 64

/* Of some changes, what they were and are. */
struct sides {
	size_t n;
	struct history_wanted wanted[2 * CHANGES_AT_ONCE];
};

static void sides_done(struct sides *s)
{
	for (size_t i = 0; i < s->n; i++)
		resource_unref(s->wanted[i].resource);
}

static void want(struct sides *s, const struct history_change *change, uint64_t version)
{
	if (version != 0)
		s->wanted[s->n++] =
			(struct history_wanted){change->namespace, change->name, version, NULL};
}

static const struct resource *next_side(const struct history_wanted **at, uint64_t version)
{
	return version == 0 ? NULL : (*at)++->resource;
}

/* *ret_count grows by those that differ, until it is the page's limit; returns how many were
 * looked at, or -1. */
static ssize_t add_some(struct reading *r, struct registry *registry,
	const struct history_change *changes, size_t n, size_t *ret_count, struct error *err)
{
	CLEANUP(sides_done) struct sides sides = {.n = 0};
	const struct history_wanted *at = sides.wanted;
	bool backwards = r->revisions[0] > r->revisions[1];
	size_t i = 0;

	for (size_t j = 0; j < n; j++) {
		want(&sides, &changes[j], changes[j].before);
		want(&sides, &changes[j], changes[j].after);
	}
	if (reading_go_on(r, err) != 0 ||
		history_resources(registry, sides.wanted, sides.n, err) != 0)
		return -1;
	for (; i < n && *ret_count < r->page.limit && !reading_is_large(r); i++) {
		const struct resource *before = next_side(&at, changes[i].before);
		const struct resource *after = next_side(&at, changes[i].after);

		*ret_count += compare(&r->answer, &changes[i], backwards ? after : before,
			backwards ? before : after);
	}
	return (ssize_t)i;
}

/* From the change after the page before on; *ret_end is the place of the first that it did not look
 * at. Where most are equal, the client asks again before it has a full page. */
static int add_differences(struct reading *r, struct registry *registry,
	const struct history_change *changes, size_t n, size_t *ret_end, struct error *err)
{
	size_t end = *ret_end, looks = 0, count = 0;

	while (end < n && count < r->page.limit && looks < LIMIT_HISTORY_PAGE &&
		!reading_is_large(r)) {
		size_t some = n - end < CHANGES_AT_ONCE ? n - end : CHANGES_AT_ONCE;
		ssize_t seen = add_some(r, registry, changes + end, some, &count, err);

		if (seen < 0)
			return -1;
		end += (size_t)seen;
		looks += (size_t)seen;
	}
	*ret_end = end;
	return 0;
}

static int explain_range(const struct reading *r, struct error *err)
{
	char from[RECORD_TAG_SIZE], to[RECORD_TAG_SIZE];

	if (err->code != ERROR_NOT_FOUND)
		return -1;
	record_tag(r->revisions[0], from);
	record_tag(r->revisions[1], to);
	return error_set(err, ERROR_NOT_FOUND,
		"%s and %s are not both revisions: see /api/v1/revisions for those there are", from,
		to);
}

static int read_diff(struct reading *r, struct registry *registry, struct error *err)
{
	uint64_t a = r->revisions[0], b = r->revisions[1];
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1], tag[RECORD_TAG_SIZE];
	AUTO_FREE struct history_change *changes = NULL;
	size_t n, end;

	if (page_after_name(&r->page, namespace, name, err) != 0)
		return -1;
	if (history_changes(&changes, &n, registry, reading_namespace(r), a < b ? a : b,
		    a < b ? b : a, err) != 0)
		return explain_range(r, err);
	end = name[0] == '\0' ? 0 : first_after(changes, n, namespace, name);
	json_begin_object(&r->answer);
	record_tag(a, tag);
	json_member_cstr(&r->answer, "from", tag);
	record_tag(b, tag);
	json_member_cstr(&r->answer, "to", tag);
	json_key(&r->answer, "changes");
	json_begin_array(&r->answer);
	if (add_differences(r, registry, changes, n, &end, err) != 0)
		return -1;
	json_end_array(&r->answer);
	if (end < n)
		add_name_token(&r->answer, changes[end - 1].namespace, changes[end - 1].name);
	json_end_object(&r->answer);
	return 0;
}

void diff_get(struct http_exchange *x, struct call *call)
{
	CLEANUP(reading_freep) struct reading *r = reading_new(x, call);
	struct error err = ERROR_INIT;

	if (r == NULL)
		return;
	if (page_query_parse(&r->page, "a difference", http_exchange_query(x), &err) != 0)
		answer_error(x, &err);
	else
		reading_run(TAKE_PTR(r), x, read_diff, reading_answer);
}
