/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of /api/v1/.../revisions: the commit records. */
#include "api/answer.h"
#include "api/params.h"
#include "api/reading.h"
#include "base/clock.h"
#include "base/json.h"
#include "publish/history.h"

/* ---- commit records ---- */

#define RECORDS_AT_ONCE 16 /* in memory: one may have LIMIT_CHANGES changes */

/* Who made it, from where and why; any of them may be NULL. */
struct said {
	const char *who, *from, *why;
};

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
		if (!cstr_same(said.who, one.who))
			said.who = RECORD_SEVERAL;
		if (!cstr_same(said.from, one.from))
			said.from = NULL;
		if (!cstr_same(said.why, one.why))
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
	if (own.who != NULL && !cstr_same(own.who, said->who))
		json_member_cstr(b, "who", own.who);
	if (own.why != NULL && !cstr_same(own.why, said->why))
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
	json_member_cstr(b, "revision", tag);
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
		.is_next = r->is_next,
		.limit = max,
	};

	if (history_revisions(&page, registry, &query, err) != 0)
		return -1;
	for (size_t i = 0; i < page.n; i++)
		add_record(&r->answer, &page.entries[i].record, &page.entries[i].digest,
			query.namespace);
	*ret_n = page.n;
	*ret_more = page.has_next;
	r->has_from = r->is_next = true;
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
