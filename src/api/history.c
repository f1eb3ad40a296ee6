/* SPDX-License-Identifier: Apache-2.0 */
/* Handler of /api/v1/.../resources/{name}/history: the versions of one resource. */
#include "publish/history.h"
#include "api/answer.h"
#include "api/reading.h"
#include "base/clock.h"
#include "base/json.h"
#include "intent/document.h"

static void add_author(struct buf *b, const struct author *author)
{
	answer_add_text(b, "who", author == NULL ? NULL : author->who);
	answer_add_text(b, "from", author == NULL ? NULL : author->from);
	answer_add_text(b, "why", author == NULL ? NULL : author->why);
}

/* To the version before; without the intent of both there is none. */
static void add_diff(struct buf *b, const struct history_entry *entry)
{
	CLEANUP(buf_done) struct buf diff = BUF_INIT(LIMIT_DIFF);
	char from[INTENT_DIFF_NAME_SIZE], to[INTENT_DIFF_NAME_SIZE];

	if (entry->is_expired || (entry->op != RECORD_CREATE && entry->before == NULL)) {
		answer_add_text(b, "diff", NULL);
		return;
	}
	intent_diff(entry->before, entry->intent,
		intent_diff_name(entry->before, entry->before_version, from),
		intent_diff_name(entry->intent, entry->version, to), &diff);
	json_member_string(b, "diff", buf_slice(&diff));
	if (diff.failed != ERROR_NONE)
		b->failed = diff.failed;
}

static void add_entry(struct buf *b, const struct history_entry *entry)
{
	char tag[RESOURCE_TAG_SIZE], at[CLOCK_RFC3339_SIZE], digest[DIGEST_TEXT_SIZE];
	char revision[RECORD_TAG_SIZE];

	resource_tag(entry->version, tag);
	record_tag(entry->revision, revision);
	clock_rfc3339(entry->version, at);
	json_begin_object(b);
	json_member_cstr(b, "version", tag);
	json_member_cstr(b, "operation", record_op_name(entry->op));
	json_member_cstr(b, "at", at);
	add_author(b, entry->author);
	answer_add_text(b, "revision", entry->revision == 0 ? NULL : revision);
	answer_add_text(b, "digest",
		entry->digest.algorithm == DIGEST_NONE ? NULL
						       : digest_format(&entry->digest, digest));
	if (entry->is_expired)
		json_member_bool(b, "expired", true);
	if (entry->intent != NULL)
		answer_add_intent(b, entry->intent);
	add_diff(b, entry);
	json_end_object(b);
}

static int read_history(struct reading *r, struct registry *registry, struct error *err)
{
	CLEANUP(history_page_done) struct history_page page = {0};
	struct buf *b = &r->answer;
	uint64_t below;
	size_t n = 0;

	if (history_of_resource(
		    &page, registry, r->namespace, r->name, r->below, r->page.limit, err) != 0)
		return -1;
	json_begin_object(b);
	json_key(b, "history");
	json_begin_array(b);
	while (n < page.n && !reading_is_large(r))
		add_entry(b, &page.entries[n++]);
	json_end_array(b);
	below = n < page.n ? page.entries[n - 1].version : page.next;
	if (below != 0) {
		char token[RESOURCE_TAG_SIZE];

		resource_tag(below, token);
		json_member_cstr(b, "continue", token);
	}
	json_end_object(b);
	return 0;
}

static int read_query(struct reading *r, struct slice query, struct error *err)
{
	if (page_query_parse(&r->page, "a history", query, err) != 0)
		return -1;
	if (r->page.after[0] != '\0' && !resource_tag_parse(slice_of(r->page.after), &r->below))
		return page_refuse_token(err);
	return 0;
}

void history_get(struct http_exchange *x, struct call *call)
{
	CLEANUP(reading_freep) struct reading *r = reading_new(x, call);
	struct error err = ERROR_INIT;

	if (r == NULL)
		return;
	if (read_query(r, http_exchange_query(x), &err) != 0)
		answer_error(x, &err);
	else
		reading_run(TAKE_PTR(r), x, read_history, reading_answer);
}
