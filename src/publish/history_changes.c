/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/history.h"

#include "catalog/key.h"
#include "publish/history_cache.h"
#include "publish/history_records.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- what changed, each name once ---- */

struct seen {
	char namespace[LIMIT_NAME + 1];
	char name[LIMIT_NAME + 1];
	uint64_t newest, oldest; /* versions between the two commits */
	enum record_op newest_op, oldest_op;
	uint64_t before; /* at the earlier one; 0: it was not there */
};

struct comparison {
	struct records records;
	const char *namespace; /* NULL: all */
	uint64_t from, to;
	struct digest from_digest, to_digest;
	struct change_list *known; /* from `from` to known_to, as of known_ms; or NULL */
	uint64_t known_to, known_ms;
	size_t n, cap;
	struct seen *seen; /* what records since known_to, or `from`, say */
};

static void comparison_done(struct comparison *c)
{
	free(c->seen);
	change_list_unref(c->known);
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

/* From `to` down, each the parent of the one before, to what is at that version. *ret_last is the
 * one that is due there. */
static int read_down(
	struct comparison *c, uint64_t version, struct due *ret_last, struct error *err)
{
	CLEANUP(versions_done) struct versions v = {0};
	struct due due = {c->to_digest, c->to};
	size_t n;

	if (versions_list(&v, c->records.registry, RECORD_REPOSITORY, 'c', version + 1, c->to,
		    SIZE_MAX, VERSIONS_OLDEST, err) != 0)
		return history_failed(err);
	for (size_t left = v.n; left > 0; left -= n) {
		n = left < AT_ONCE ? left : AT_ONCE;
		if (read_some(c, &due, v.list + left - n, n, err) != 0)
			return -1;
	}
	tidy(c);
	*ret_last = due;
	return 0;
}

/* Down to what is known already. A record that is none of the chain is of no use, though: its
 * commit was taken back. */
static int read_since_known(struct comparison *c, struct history_cache *cache, struct error *err)
{
	struct history_span span = {
		.namespace = c->namespace, .from = c->from_digest, .to_version = c->to};
	struct due last = {0};

	c->known = history_cache_get(cache, &span);
	if (c->known == NULL)
		return 0;
	c->known_to = span.to_version;
	c->known_ms = span.made_ms;
	if (read_down(c, c->known_to, &last, err) != 0)
		return -1;
	if (digest_eq(&last.digest, &span.to))
		return 0;
	change_list_unref(TAKE_PTR(c->known));
	c->known_ms = 0;
	c->n = 0;
	return 0;
}

static int read_between(struct comparison *c, struct history_cache *cache, struct error *err)
{
	struct due last = {0};

	if (cache != NULL && read_since_known(c, cache, err) != 0)
		return -1;
	if (c->known != NULL)
		return 0;
	if (read_down(c, c->from, &last, err) != 0)
		return -1;
	return digest_eq(&last.digest, &c->from_digest) ? 0 : broken(&last.digest, last.newer, err);
}

/* ---- the versions before ---- */

/* A version that may be the one before. */
struct guess {
	struct seen *seen;
	uint64_t version;
};

/* The newest there is up to that one. */
static int guess_from(
	struct guess *ret, struct comparison *c, struct seen *seen, uint64_t to, struct error *err)
{
	CLEANUP(versions_done) struct versions v = {0};
	char repository[RESOURCE_REPOSITORY_SIZE];

	resource_repository(seen->namespace, seen->name, repository);
	if (versions_list(
		    &v, c->records.registry, repository, 'v', 1, to, 1, VERSIONS_NEWEST, err) != 0)
		return history_failed(err);
	if (v.n == 0)
		return error_set(err, ERROR_GONE,
			"the version of %s in namespace %s that was current at c%" PRIu64
			" is not kept any more",
			seen->name, seen->namespace, c->from);
	*ret = (struct guess){seen, v.list[0]};
	return 0;
}

/* It was right, or the next is made; a deletion is what came after a version that is gone. */
static int check_guess(struct guess *g, struct comparison *c, bool *ret_right, struct error *err)
{
	CLEANUP(fate_done) struct fate fate = {.kind = FATE_DEBRIS};
	bool is_deletion;

	if (records_judge(&fate, &c->records, g->seen->namespace, g->seen->name, g->version, err) !=
		0)
		return -1;
	is_deletion = fate.kind == FATE_NAMED && fate.op == RECORD_DELETE;
	*ret_right = fate.kind != FATE_DEBRIS && !is_deletion;
	if (*ret_right) {
		g->seen->before = g->version;
		return 0;
	}
	return guess_from(g, c, g->seen, is_deletion ? 0 : fate.next, err);
}

static int compare_guesses(const void *a, const void *b)
{
	const struct guess *x = a, *y = b;

	return (x->version < y->version) - (x->version > y->version);
}

/* All in one walk down, and another for those that were wrong. */
static int check_guesses(struct guess *guesses, size_t n, struct comparison *c, struct error *err)
{
	while (n > 0) {
		size_t left = 0;
		bool right;

		qsort(guesses, n, sizeof(guesses[0]), compare_guesses);
		for (size_t i = 0; i < n; i++) {
			if (check_guess(&guesses[i], c, &right, err) != 0)
				return -1;
			if (!right)
				guesses[left++] = guesses[i];
		}
		n = left;
	}
	return 0;
}

static int compare_to_change(const void *key, const void *change)
{
	const struct seen *s = key;
	const struct history_change *c = change;

	return key_cmp(s->namespace, s->name, c->namespace, c->name);
}

static const struct history_change *find_known(const struct comparison *c, const struct seen *s)
{
	if (c->known == NULL)
		return NULL;
	return bsearch(
		s, c->known->list, c->known->n, sizeof(c->known->list[0]), compare_to_change);
}

static int find_before(struct comparison *c, struct error *err)
{
	AUTO_FREE struct guess *guesses = calloc(c->n + 1, sizeof(*guesses));
	size_t n = 0;

	if (guesses == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < c->n; i++) {
		struct seen *s = &c->seen[i];
		const struct history_change *known = find_known(c, s);

		if (known != NULL)
			s->before = known->before;
		else if (s->oldest_op != RECORD_CREATE &&
			 guess_from(&guesses[n++], c, s, c->from, err) != 0)
			return -1;
	}
	return check_guesses(guesses, n, c, err);
}

/* ---- what comes of it ---- */

static struct history_change change_of(const struct seen *s)
{
	struct history_change change = {
		.before = s->before,
		.after = s->newest_op == RECORD_DELETE ? 0 : s->newest,
	};

	memcpy(change.namespace, s->namespace, sizeof(change.namespace));
	memcpy(change.name, s->name, sizeof(change.name));
	return change;
}

/* Those that are known, and what was seen since in their place. */
static int make_changes(
	struct history_change **ret, size_t *ret_n, const struct comparison *c, struct error *err)
{
	size_t n_known = c->known == NULL ? 0 : c->known->n, at = 0, n = 0;
	AUTO_FREE struct history_change *changes = calloc(c->n + n_known + 1, sizeof(*changes));

	if (changes == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < c->n; i++) {
		int order = 1;

		while (at < n_known &&
			(order = compare_to_change(&c->seen[i], &c->known->list[at])) > 0)
			changes[n++] = c->known->list[at++];
		at += order == 0;
		changes[n] = change_of(&c->seen[i]);
		n += changes[n].before != 0 || changes[n].after != 0;
	}
	while (at < n_known)
		changes[n++] = c->known->list[at++];
	*ret = TAKE_PTR(changes);
	*ret_n = n;
	return 0;
}

/* Without memory it is read again. */
static void keep(struct history_cache *cache, const struct comparison *c,
	const struct history_change *changes, size_t n)
{
	CLEANUP(change_list_unrefp) struct change_list *list = NULL;
	const struct history_span span = {
		c->namespace, c->from_digest, c->to_digest, c->to, c->known_ms};

	if (cache == NULL || (c->known != NULL && c->known_to == c->to))
		return;
	list = change_list_new(changes, n);
	if (list != NULL)
		history_cache_put(cache, &span, list);
}

/* ---- all of it ---- */

static int find_commit(
	struct digest *ret, struct records *records, uint64_t version, struct error *err)
{
	struct ancestor *a;

	if (records_seek(&a, records, version, err) != 0)
		return -1;
	if (a == NULL || a->record.version != version)
		return history_no_revision(version, err);
	*ret = a->digest;
	return 0;
}

int history_changes(struct history_change **ret, size_t *ret_n, struct registry *registry,
	struct history_cache *cache, const char *namespace, uint64_t from, uint64_t to,
	struct error *err)
{
	CLEANUP(comparison_done)
	struct comparison c = {.namespace = namespace, .from = from, .to = to};

	if (from > to)
		return error_set(err, ERROR_INVALID,
			"c%" PRIu64 " is later than c%" PRIu64 ": name the earlier one first", from,
			to);
	if (records_init(&c.records, registry, err) != 0 ||
		find_commit(&c.to_digest, &c.records, to, err) != 0 ||
		find_commit(&c.from_digest, &c.records, from, err) != 0)
		return -1;
	if (from < to && (read_between(&c, cache, err) != 0 || find_before(&c, err) != 0))
		return -1;
	if (make_changes(ret, ret_n, &c, err) != 0)
		return -1;
	if (from < to)
		keep(cache, &c, *ret, *ret_n);
	return 0;
}
