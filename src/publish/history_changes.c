/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/history.h"

#include "catalog/key.h"
#include "publish/history_records.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- what changed, each name once ---- */

struct seen {
	char namespace[LIMIT_NAME + 1];
	char name[LIMIT_NAME + 1];
	uint64_t newest, oldest; /* versions between the two commits */
	enum record_op newest_op, oldest_op;
};

struct comparison {
	struct records records;
	const char *namespace; /* NULL: all */
	uint64_t from, to;
	struct digest from_digest, to_digest;
	size_t n, cap;
	struct seen *seen;
};

static void comparison_done(struct comparison *c)
{
	free(c->seen);
	records_done(&c->records);
}

static int compare_seen(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	return key_cmp(x->namespace, x->name, y->namespace, y->name);
}

static void merge(struct seen *into, const struct seen *s)
{
	if (s->newest > into->newest) {
		into->newest = s->newest;
		into->newest_op = s->newest_op;
	}
	if (s->oldest < into->oldest) {
		into->oldest = s->oldest;
		into->oldest_op = s->oldest_op;
	}
}

static void tidy(struct comparison *c)
{
	size_t n = 0;

	if (c->n > 0)
		qsort(c->seen, c->n, sizeof(c->seen[0]), compare_seen);
	for (size_t i = 0; i < c->n; i++) {
		if (n > 0 && compare_seen(&c->seen[n - 1], &c->seen[i]) == 0)
			merge(&c->seen[n - 1], &c->seen[i]);
		else
			c->seen[n++] = c->seen[i];
	}
	c->n = n;
}

/* Never more than twice the names. */
static int make_room(struct comparison *c, struct error *err)
{
	size_t cap = c->cap == 0 ? 256 : 2 * c->cap;
	struct seen *grown;

	if (c->n < c->cap)
		return 0;
	tidy(c);
	if (c->cap > 0 && c->n <= c->cap / 2)
		return 0;
	grown = realloc(c->seen, cap * sizeof(*grown));
	if (grown == NULL)
		return error_no_memory(err);
	c->seen = grown;
	c->cap = cap;
	return 0;
}

/* A hold and a release leave the version what it is. */
static int see(struct comparison *c, const struct record *record, struct error *err)
{
	for (size_t i = 0; i < record->n_changes; i++) {
		const struct record_change *change = &record->changes[i];
		struct seen *s;

		if (change->op > RECORD_DELETE ||
			(c->namespace != NULL && strcmp(change->namespace, c->namespace) != 0))
			continue;
		if (make_room(c, err) != 0)
			return -1;
		s = &c->seen[c->n++];
		*s = (struct seen){.newest = change->version,
			.oldest = change->version,
			.newest_op = change->op,
			.oldest_op = change->op};
		memcpy(s->namespace, change->namespace, sizeof(s->namespace));
		memcpy(s->name, change->name, sizeof(s->name));
	}
	return 0;
}

/* ---- the records between ---- */

static int was_rebuilt(uint64_t version, struct error *err)
{
	return error_set(err, ERROR_UNPROCESSABLE,
		"with c%" PRIu64 " the store was made anew of what was found, and its record does "
		"not say what that changed: name two revisions that are both before it, or both "
		"not before it",
		version);
}

static int broken(const struct digest *expected, uint64_t newer, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];

	error_set(err, ERROR_INTERNAL,
		"%s: c%" PRIu64 " was committed on top of %s, which has no tag any more",
		RECORD_REPOSITORY, newer, digest_format(expected, text));
	return history_failed(err);
}

/* The one that is due: the parent of the one before. */
struct due {
	struct digest digest;
	uint64_t newer; /* version of the record that has it as its parent */
};

static int take_record(
	struct comparison *c, struct due *due, const struct record *record, struct error *err)
{
	if (see(c, record, err) != 0)
		return -1;
	if (record_is_whole(record))
		return was_rebuilt(record->version, err);
	due->digest = record->parent;
	due->newer = record->version;
	return 0;
}

static int take_pull(
	struct comparison *c, struct due *due, const struct pull *pull, struct error *err)
{
	struct record record;
	int rc;

	*err = pull->err;
	if (err->code == ERROR_NOT_FOUND)
		err->code = ERROR_INTERNAL;
	if (err->code == ERROR_NONE && !digest_eq(&pull->digest, &due->digest))
		return 0; /* of a commit that failed */
	if (err->code != ERROR_NONE || record_parse(&record, buf_slice(&pull->layer), err) != 0) {
		error_wrap(err, "%s:%s", RECORD_REPOSITORY, pull->reference);
		return history_failed(err);
	}
	rc = take_record(c, due, &record, err);
	record_done(&record);
	return rc;
}

#define AT_ONCE 16 /* of LIMIT_RECORD each */

/* Some records, the newest first. */
static int read_some(struct comparison *c, struct due *due, const uint64_t *versions, size_t n,
	struct error *err)
{
	char tags[AT_ONCE][RECORD_TAG_SIZE];
	struct pull pulls[AT_ONCE];
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		record_tag(versions[n - 1 - i], tags[i]);
		pulls[i] = (struct pull){
			.repository = RECORD_REPOSITORY,
			.reference = tags[i],
			.manifest = BUF_INIT(LIMIT_MANIFEST),
			.layer = BUF_INIT(LIMIT_RECORD),
		};
	}
	registry_pull(c->records.registry, pulls, n);
	for (size_t i = 0; i < n; i++) {
		if (rc == 0)
			rc = take_pull(c, due, &pulls[i], err);
		buf_done(&pulls[i].manifest);
		buf_done(&pulls[i].layer);
	}
	return rc;
}

/* From `to` down, each the parent of the one before, to what `from` is. */
static int read_between(struct comparison *c, struct error *err)
{
	CLEANUP(versions_done) struct versions v = {0};
	struct due due = {c->to_digest, c->to};
	size_t n;

	if (versions_list(&v, c->records.registry, RECORD_REPOSITORY, 'c', c->from + 1, c->to,
		    SIZE_MAX, VERSIONS_OLDEST, err) != 0)
		return history_failed(err);
	for (size_t left = v.n; left > 0; left -= n) {
		n = left < AT_ONCE ? left : AT_ONCE;
		if (read_some(c, &due, v.list + left - n, n, err) != 0)
			return -1;
	}
	tidy(c);
	return digest_eq(&due.digest, &c->from_digest) ? 0 : broken(&due.digest, due.newer, err);
}

/* ---- the versions before ---- */

#define LATEST_FEW 8 /* which may all be debris */

static int find_before(uint64_t *ret, struct comparison *c, const struct seen *s, struct error *err)
{
	char repository[RESOURCE_REPOSITORY_SIZE];
	uint64_t to = c->from, found = 0;
	bool more = true;

	resource_repository(s->namespace, s->name, repository);
	while (more && found == 0) {
		CLEANUP(versions_done) struct versions v = {0};

		if (versions_list(&v, c->records.registry, repository, 'v', 1, to, LATEST_FEW,
			    VERSIONS_NEWEST, err) != 0)
			return history_failed(err);
		for (size_t i = v.n; i > 0 && found == 0; i--) {
			CLEANUP(fate_done) struct fate fate = {.kind = FATE_DEBRIS};

			if (records_judge(&fate, &c->records, s->namespace, s->name, v.list[i - 1],
				    err) != 0)
				return -1;
			if (fate.kind == FATE_TAKEN ||
				(fate.kind == FATE_NAMED && fate.op != RECORD_DELETE))
				found = v.list[i - 1];
		}
		more = v.n == LATEST_FEW && v.list[0] > 1;
		to = v.n > 0 ? v.list[0] - 1 : 0;
	}
	if (found == 0)
		return error_set(err, ERROR_GONE,
			"the version of %s in namespace %s that was current at c%" PRIu64
			" is not kept any more",
			s->name, s->namespace, c->from);
	*ret = found;
	return 0;
}

static int fill_change(
	struct history_change *ret, struct comparison *c, const struct seen *s, struct error *err)
{
	uint64_t before = 0;

	if (s->oldest_op != RECORD_CREATE && find_before(&before, c, s, err) != 0)
		return -1;
	memcpy(ret->namespace, s->namespace, sizeof(ret->namespace));
	memcpy(ret->name, s->name, sizeof(ret->name));
	ret->before = before;
	ret->after = s->newest_op == RECORD_DELETE ? 0 : s->newest;
	return 0;
}

static int make_changes(
	struct history_change **ret, size_t *ret_n, struct comparison *c, struct error *err)
{
	AUTO_FREE struct history_change *changes = calloc(c->n + 1, sizeof(*changes));
	size_t n = 0;

	if (changes == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < c->n; i++) {
		if (fill_change(&changes[n], c, &c->seen[i], err) != 0)
			return -1;
		n += changes[n].before != 0 || changes[n].after != 0;
	}
	*ret = TAKE_PTR(changes);
	*ret_n = n;
	return 0;
}

/* ---- all of it ---- */

static int find_commit(
	struct digest *ret, struct records *records, uint64_t version, struct error *err)
{
	struct kept_record *k;

	if (records_first(&k, records, version, err) != 0)
		return -1;
	if (k == NULL || k->record.version != version)
		return error_set(err, ERROR_NOT_FOUND, "there is no revision c%" PRIu64, version);
	*ret = k->digest;
	return 0;
}

int history_changes(struct history_change **ret, size_t *ret_n, struct registry *registry,
	const char *namespace, uint64_t from, uint64_t to, struct error *err)
{
	CLEANUP(comparison_done)
	struct comparison c = {.namespace = namespace, .from = from, .to = to};

	if (from > to)
		return error_set(err, ERROR_INVALID,
			"c%" PRIu64 " is later than c%" PRIu64 ": name the earlier one first", from,
			to);
	if (records_init(&c.records, registry, err) != 0 ||
		find_commit(&c.from_digest, &c.records, from, err) != 0 ||
		find_commit(&c.to_digest, &c.records, to, err) != 0)
		return -1;
	if (from < to && read_between(&c, err) != 0)
		return -1;
	return make_changes(ret, ret_n, &c, err);
}
