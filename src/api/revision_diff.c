/* SPDX-License-Identifier: Apache-2.0 */
/* Handler of /api/v1/.../diff/{range}: what two revisions differ in. */
#include "api/answer.h"
#include "api/reading.h"
#include "base/json.h"
#include "intent/document.h"
#include "publish/history.h"

static const struct intent *intent_of(const struct resource *r)
{
	return r == NULL ? NULL : r->intent;
}

static uint64_t version_of(const struct resource *r)
{
	return r == NULL ? 0 : r->version;
}

static void add_version(struct buf *b, const char *key, uint64_t version)
{
	char tag[RESOURCE_TAG_SIZE];

	resource_tag(version, tag);
	answer_add_text(b, key, version == 0 ? NULL : tag);
}

/* From what it was to what it is; NULL: nothing, but not both. */
static void add_difference(struct buf *b, const struct history_change *change,
	const struct resource *from, const struct resource *to)
{
	CLEANUP(buf_done) struct buf diff = BUF_INIT(LIMIT_DIFF);
	char from_name[INTENT_DIFF_NAME_SIZE], to_name[INTENT_DIFF_NAME_SIZE];
	enum record_op op = RECORD_UPDATE;

	if (from == NULL)
		op = RECORD_CREATE;
	else if (to == NULL)
		op = RECORD_DELETE;
	intent_diff(intent_of(from), intent_of(to),
		intent_diff_name(intent_of(from), version_of(from), from_name),
		intent_diff_name(intent_of(to), version_of(to), to_name), &diff);
	json_begin_object(b);
	json_member_cstr(b, "operation", record_op_name(op));
	json_member_cstr(b, "namespace", change->namespace);
	json_member_cstr(b, "name", change->name);
	add_version(b, "from", version_of(from));
	add_version(b, "to", version_of(to));
	json_member_string(b, "diff", buf_slice(&diff));
	json_end_object(b);
	if (diff.failed != ERROR_NONE)
		b->failed = diff.failed;
}

/* False: both are equal. */
static bool compare(struct buf *b, const struct history_change *change, const struct resource *from,
	const struct resource *to)
{
	if (from != NULL && to != NULL && intent_eq(from->intent, to->intent))
		return false;
	add_difference(b, change, from, to);
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
	if (history_changes(&changes, &n, registry, r->cache, reading_namespace(r), a < b ? a : b,
		    a < b ? b : a, err) != 0)
		return explain_range(r, err);
	end = name[0] == '\0' ? 0 : page_first_after(namespace, name, changes, n);
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
		page_add_name_token(&r->answer, changes[end - 1].namespace, changes[end - 1].name);
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
