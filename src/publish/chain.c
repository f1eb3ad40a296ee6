/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/chain.h"

#include "publish/signing.h"

#include <inttypes.h>
#include <stdio.h>

/* A record as it was read, by its tag or by its digest. */
struct link {
	char reference[DIGEST_TEXT_SIZE];
	uint64_t version; /* that of the tag; 0: read by digest */
	struct digest digest;
	struct record record;
	bool is_signed;         /* by one of the keys, */
	struct error signature; /* or why not */
	struct error err;
};

/* A record that is not in the chain. */
struct outsider {
	uint64_t version;
	struct digest digest, parent;
};

struct walk {
	struct registry *registry;
	const struct chain_options *options;
	struct chain_result result;

	size_t n_tags, cap_tags;
	uint64_t *tags; /* of all records, the newest first */
	size_t n_taken; /* of them */

	struct digest expected; /* the record that is due: the parent of the newer one */
	struct link due;        /* it, where it was not found by the next tag */
	bool has_due;
	struct record newer;
	bool has_newer;
	bool ended;

	size_t n_outsiders, cap_outsiders;
	struct outsider *outsiders;
};

static void walk_done(struct walk *w)
{
	record_done(&w->due.record);
	record_done(&w->newer);
	free(w->tags);
	free(w->outsiders);
}

/* ---- tags ---- */

static int add_tag(struct slice tag, void *arg, struct error *err)
{
	struct walk *w = arg;
	uint64_t version;

	if (!record_tag_parse(tag, &version))
		return 0;
	if (w->n_tags == w->cap_tags) {
		size_t cap = w->cap_tags == 0 ? 1024 : 2 * w->cap_tags;
		uint64_t *grown = realloc(w->tags, cap * sizeof(*grown));

		if (grown == NULL)
			return error_no_memory(err);
		w->tags = grown;
		w->cap_tags = cap;
	}
	w->tags[w->n_tags++] = version;
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

/* Of commits that are made meanwhile the head may be newer than the tags, never the other way
 * round. */
static int begin(struct walk *w, struct error *err)
{
	if (registry_tags(w->registry, RECORD_REPOSITORY, NULL, add_tag, w, err) != 0)
		return error_wrap(err, RECORD_REPOSITORY);
	if (w->n_tags > 0)
		qsort(w->tags, w->n_tags, sizeof(w->tags[0]), newest_first);
	if (registry_resolve(w->registry, RECORD_REPOSITORY, "latest", &w->expected, err) != 0) {
		if (err->code == ERROR_NOT_FOUND && w->n_tags > 0)
			return error_set(err, ERROR_INTERNAL,
				"the tag latest of the records is gone, and c%" PRIu64
				" is the newest that is there",
				w->tags[0]);
		return error_wrap(err, RECORD_REPOSITORY ":latest");
	}
	w->result.head = w->expected;
	return 0;
}

/* ---- reading ---- */

/* ret: the tag of its signature, if it could be read and has to be signed. */
static bool has_signature(const struct walk *w, struct link *l, char ret[SIGNATURE_TAG_SIZE])
{
	if (l->err.code != ERROR_NONE || l->record.version < w->options->signed_since)
		return false;
	if (signature_tag(&l->digest, ret))
		return true;
	error_set(&l->signature, ERROR_DENIED, "its digest is not of sha256");
	return false;
}

static void take_signature(const struct walk *w, struct link *l, struct pull *pull)
{
	l->signature = pull->err;
	if (pull->err.code == ERROR_NONE)
		l->is_signed = signature_check(w->options->keys, RECORD_REPOSITORY, &l->digest,
				       buf_slice(&pull->manifest), buf_slice(&pull->layer),
				       &l->signature) == 0;
	buf_done(&pull->manifest);
	buf_done(&pull->layer);
}

/* Of the records that could be read and have to be signed, many at once; each has its own outcome.
 */
static int read_signatures(const struct walk *w, struct link *links, size_t n, struct error *err)
{
	AUTO_FREE char(*tags)[SIGNATURE_TAG_SIZE] = calloc(n, sizeof(*tags));
	AUTO_FREE struct link **of = calloc(n, sizeof(struct link *));
	AUTO_FREE struct pull *pulls = calloc(n, sizeof(*pulls));
	size_t n_pulls = 0;

	if (tags == NULL || of == NULL || pulls == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		if (!has_signature(w, &links[i], tags[n_pulls]))
			continue;
		pulls[n_pulls] = (struct pull){
			.repository = RECORD_REPOSITORY,
			.reference = tags[n_pulls],
			.manifest = BUF_INIT(LIMIT_MANIFEST),
			.layer = BUF_INIT(LIMIT_SIGNATURE),
		};
		of[n_pulls++] = &links[i];
	}
	registry_pull(w->registry, pulls, n_pulls);
	for (size_t i = 0; i < n_pulls; i++)
		take_signature(w, of[i], &pulls[i]);
	return 0;
}

static void take_pull(struct link *l, struct pull *pull)
{
	l->err = pull->err;
	l->digest = pull->digest;
	if (l->err.code == ERROR_NONE &&
		record_parse(&l->record, buf_slice(&pull->layer), &l->err) == 0)
		l->err = (struct error)ERROR_INIT;
	buf_done(&pull->manifest);
	buf_done(&pull->layer);
}

/* By their references. */
static int read_links(const struct walk *w, struct link *links, size_t n, struct error *err)
{
	AUTO_FREE struct pull *pulls = calloc(n, sizeof(*pulls));

	if (pulls == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++)
		pulls[i] = (struct pull){
			.repository = RECORD_REPOSITORY,
			.reference = links[i].reference,
			.manifest = BUF_INIT(LIMIT_MANIFEST),
			.layer = BUF_INIT(LIMIT_RECORD),
		};
	registry_pull(w->registry, pulls, n);
	for (size_t i = 0; i < n; i++)
		take_pull(&links[i], &pulls[i]);
	return w->options->keys == NULL ? 0 : read_signatures(w, links, n, err);
}

/* ---- breaks ---- */

/* It is not the chain that is broken, but we cannot see it, or are too old to read it. */
static bool is_unknown(const struct error *err)
{
	return err->code != ERROR_INTERNAL && err->code != ERROR_NOT_FOUND &&
	       err->code != ERROR_TOO_LARGE;
}

/* The record that is due cannot be read. below: the next tag there is; 0: none. */
static int break_off(
	const struct walk *w, uint64_t below, const struct error *why, struct error *err)
{
	char digest[DIGEST_TEXT_SIZE], next[64] = "";

	if (is_unknown(why)) {
		*err = *why;
		return error_wrap(err, RECORD_REPOSITORY);
	}
	if (below > 0)
		snprintf(next, sizeof(next), " (the next tag is c%" PRIu64 ")", below);
	digest_format(&w->expected, digest);
	if (!w->has_newer)
		return error_set(err, ERROR_INTERNAL,
			"commits:latest names %s, which is no record%s: %s", digest, next,
			why->text);
	return error_set(err, ERROR_INTERNAL,
		"c%" PRIu64 " was committed on top of %s, which is not there as it was%s: %s",
		w->newer.version, digest, next, why->text);
}

/* ---- the chain ---- */

/* -1: it is not known. */
static int is_signed(const struct walk *w, const struct link *l, struct error *err)
{
	struct signing by_keys = {.verify = w->options->keys};

	if (l->is_signed)
		return 1;
	/* This knows of signatures that others have added, too. */
	if (signing_verify_record(&by_keys, &l->digest, w->registry, err) == 0)
		return 1;
	return is_unknown(err) ? -1 : 0;
}

static int not_signed(const struct walk *w, const struct link *l, struct error *err)
{
	char remedy[128] = "";

	if (w->has_newer && w->options->signed_since == 0)
		snprintf(remedy, sizeof(remedy),
			" (if the store was not signed before c%" PRIu64
			", say --signed-since c%" PRIu64 ")",
			w->newer.version, w->newer.version);
	return error_set(err, ERROR_INTERNAL, "c%" PRIu64 " is not signed by the key: %s%s",
		l->record.version,
		l->signature.code == ERROR_NOT_FOUND ? "it has no signature" : l->signature.text,
		remedy);
}

/* The head is signed in any case, for its signature is what vouches for the digests of all those
 * before it. */
static int check_signature(struct walk *w, const struct link *l, struct error *err)
{
	uint64_t since = w->options->signed_since, version = l->record.version;
	struct error why = ERROR_INIT;
	int rc;

	if (w->options->keys == NULL)
		return 0;
	if (!w->has_newer && version < since)
		return error_set(err, ERROR_INTERNAL,
			"the head is c%" PRIu64 ", which is older than --signed-since c%" PRIu64,
			version, since);
	if (version < since)
		return 0;
	rc = is_signed(w, l, &why);
	if (rc < 0) {
		*err = why;
		return -1;
	}
	if (rc == 0)
		return not_signed(w, l, err);
	w->result.signed_back_to = version;
	return 0;
}

static int check_link(struct walk *w, const struct link *l, struct error *err)
{
	uint64_t version = l->record.version;

	if (l->version != 0 && l->version != version)
		return error_set(err, ERROR_INTERNAL,
			"the tag c%" PRIu64 " names the record of c%" PRIu64, l->version, version);
	if (w->has_newer && w->newer.version <= version)
		return error_set(err, ERROR_INTERNAL,
			"c%" PRIu64 " was committed on top of c%" PRIu64
			", but the older one has to have the lower number",
			w->newer.version, version);
	return check_signature(w, l, err);
}

static void tell(struct walk *w, const struct record *parent)
{
	if (w->has_newer && w->options->each != NULL &&
		!w->options->each(&w->newer, parent, w->options->arg))
		w->ended = true;
}

/* It is the one that is due: its record moves to w->newer. */
static int take_link(struct walk *w, struct link *l, struct error *err)
{
	if (check_link(w, l, err) != 0)
		return -1;
	tell(w, &l->record);
	if (w->ended)
		return 0;
	record_done(&w->newer);
	w->newer = l->record;
	l->record = (struct record){0};
	if (!w->has_newer)
		w->result.newest = w->newer.version;
	w->has_newer = true;
	w->result.oldest = w->newer.version;
	w->result.records++;
	w->expected = w->newer.parent;
	if (!w->newer.has_parent) {
		w->ended = true;
		tell(w, NULL);
	}
	return 0;
}

static void drop_due(struct walk *w)
{
	record_done(&w->due.record);
	w->has_due = false;
}

/* Reads the record that is due by its digest, once. */
static int read_due(struct walk *w, uint64_t below, struct error *err)
{
	struct link *due = &w->due;

	if (w->has_due)
		return 0;
	*due = (struct link){.version = 0};
	digest_format(&w->expected, due->reference);
	if (read_links(w, due, 1, err) != 0)
		return -1;
	if (due->err.code != ERROR_NONE)
		return break_off(w, below, &due->err, err);
	w->has_due = true;
	return 0;
}

/* It was committed after the tags were listed, or else its tag is not as it was. */
static int take_due(struct walk *w, struct error *err)
{
	struct digest named;
	char tag[RECORD_TAG_SIZE];

	record_tag(w->due.record.version, tag);
	if (registry_resolve(w->registry, RECORD_REPOSITORY, tag, &named, err) != 0) {
		if (is_unknown(err))
			return error_wrap(err, "%s", tag);
		return error_set(err, ERROR_INTERNAL, "%s has lost its tag", tag);
	}
	if (!digest_eq(&named, &w->due.digest))
		return error_set(err, ERROR_INTERNAL, "the tag %s names another record", tag);
	w->has_due = false;
	return take_link(w, &w->due, err);
}

/* ---- outside of it ---- */

/* A commit that failed leaves its record, and nothing was ever committed on top of that. */
static int add_outsider(struct walk *w, const struct link *l, struct error *err)
{
	for (size_t i = 0; i < w->n_outsiders; i++)
		if (l->err.code == ERROR_NONE && digest_eq(&w->outsiders[i].parent, &l->digest))
			return error_set(err, ERROR_INTERNAL,
				"c%" PRIu64 " is left out of the chain, though c%" PRIu64
				" was committed on top of it: commits:latest was moved back, or "
				"the chain goes another way from there",
				l->version, w->outsiders[i].version);
	if (w->n_outsiders == w->cap_outsiders) {
		size_t cap = w->cap_outsiders == 0 ? 64 : 2 * w->cap_outsiders;
		struct outsider *grown = realloc(w->outsiders, cap * sizeof(*grown));

		if (grown == NULL)
			return error_no_memory(err);
		w->outsiders = grown;
		w->cap_outsiders = cap;
	}
	w->outsiders[w->n_outsiders++] = (struct outsider){l->version, l->digest, l->record.parent};
	if (w->has_newer)
		w->result.unfinished++;
	else if (w->result.above++ == 0)
		w->result.newest_above = l->version;
	return 0;
}

/* The next tag, downwards: it names the record that is due, or one outside of the chain. */
static int take_tag(struct walk *w, struct link *l, struct error *err)
{
	while (!w->ended) {
		if (l->err.code == ERROR_NONE && digest_eq(&l->digest, &w->expected)) {
			drop_due(w);
			return take_link(w, l, err);
		}
		if (read_due(w, l->version, err) != 0)
			return -1;
		if (w->due.record.version < l->version)
			break;
		if (take_due(w, err) != 0)
			return -1;
	}
	return add_outsider(w, l, err);
}

/* ---- walking ---- */

/* A store that had lost its last record went on without those before. */
static bool began_anew(const struct walk *w)
{
	return w->newer.why != NULL && strcmp(w->newer.why, "init") != 0;
}

/* Somebody has had enough, or what is left is known to be no part of the chain. */
static bool is_over(const struct walk *w)
{
	return w->ended && (w->newer.has_parent || began_anew(w));
}

/* Some tags. */
static int take_tags(struct walk *w, const uint64_t *tags, size_t n, struct error *err)
{
	AUTO_FREE struct link *links = calloc(n, sizeof(*links));
	int rc;

	if (links == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		links[i].version = tags[i];
		record_tag(tags[i], links[i].reference);
	}
	rc = read_links(w, links, n, err);
	for (size_t i = 0; i < n && rc == 0 && !is_over(w); i++, w->n_taken++)
		rc = take_tag(w, &links[i], err);
	for (size_t i = 0; i < n; i++)
		record_done(&links[i].record);
	return rc;
}

static int walk(struct walk *w, struct error *err)
{
	while (w->n_taken < w->n_tags && !is_over(w)) {
		size_t left = w->n_tags - w->n_taken;

		if (take_tags(w, w->tags + w->n_taken,
			    left < LIMIT_CHAIN_PULLS ? left : LIMIT_CHAIN_PULLS, err) != 0)
			return -1;
	}
	while (!w->ended)
		if (read_due(w, 0, err) != 0 || take_due(w, err) != 0)
			return -1;
	w->result.forgotten = w->n_tags - w->n_taken;
	return 0;
}

int chain_walk(struct registry *registry, const struct chain_options *options,
	struct chain_result *ret, struct error *err)
{
	CLEANUP(walk_done) struct walk w = {.registry = registry, .options = options};

	if (begin(&w, err) != 0 || walk(&w, err) != 0)
		return -1;
	*ret = w.result;
	return 0;
}
