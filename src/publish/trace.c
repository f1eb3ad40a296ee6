/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/trace.h"

#include "publish/head.h"
#include "publish/restore.h"

#include <stdio.h>

/* What is known of the catalogs: first what their tags say, then more and more what records say. */
struct known {
	struct partition *partition; /* with nothing but its place and digest */
	bool by_record;              /* the newest record that names it has been read */
};

struct trace {
	const struct layout *layout;
	struct registry *registry;
	struct digest root; /* DIGEST_NONE: not known */
	bool root_by_record;
	size_t n, cap;
	struct known *list; /* in the order of their places */
};

static void trace_done(struct trace *t)
{
	for (size_t i = 0; i < t->n; i++)
		partition_unref(t->list[i].partition);
	free(t->list);
}

static size_t lower_bound(const struct trace *t, const struct place *place)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (place_cmp(&t->list[mid].partition->place, place) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int insert(struct trace *t, size_t at, const struct place *place, struct error *err)
{
	struct known k = {NULL, false};

	if (t->n == t->cap) {
		size_t cap = t->cap == 0 ? 64 : 2 * t->cap;
		struct known *grown = realloc(t->list, cap * sizeof(*grown));

		if (grown == NULL)
			return error_no_memory(err);
		t->list = grown;
		t->cap = cap;
	}
	if (partition_new_empty(&k.partition, t->layout, place, err) != 0)
		return -1;
	ASSERT(t->list != NULL);
	memmove(t->list + at + 1, t->list + at, (t->n - at) * sizeof(t->list[0]));
	t->list[at] = k;
	t->n++;
	return 0;
}

/* A record's word stands against that of every older record, and against tags. */
static int learn(struct trace *t, const struct place *place, const struct digest *digest,
	bool by_record, bool *ret_new, struct error *err)
{
	size_t at = lower_bound(t, place);

	if (t->list == NULL || at == t->n || place_cmp(&t->list[at].partition->place, place) != 0) {
		if (insert(t, at, place, err) != 0)
			return -1;
	} else if (t->list[at].by_record) {
		return 0;
	}
	t->list[at].partition->digest = *digest;
	t->list[at].by_record = by_record;
	*ret_new = true;
	return 0;
}

/* ---- tags ---- */

static int look_places(struct trace *t, const struct place *places, size_t n, struct error *err)
{
	AUTO_FREE struct look *looks = calloc(n + 1, sizeof(*looks));
	AUTO_FREE char(*repositories)[CATALOG_REPOSITORY_SIZE] =
		calloc(n + 1, sizeof(*repositories));
	bool ignored;

	if (looks == NULL || repositories == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		layout_repository(t->layout, &places[i], repositories[i]);
		looks[i] = (struct look){.repository = repositories[i], .tag = "latest"};
	}
	registry_look(t->registry, looks, n);
	for (size_t i = 0; i < n; i++)
		if (looks[i].err.code == ERROR_NONE &&
			learn(t, &places[i], &looks[i].digest, false, &ignored, err) != 0)
			return -1;
	return 0;
}

/* What cannot be read here the records must tell. */
static int read_tags(struct trace *t, const struct record *record, struct error *err)
{
	CLEANUP(places_done) struct places places = {0};
	CLEANUP(places_done) struct places leftovers = {0};
	struct error unread = ERROR_INIT;
	struct pull root = {
		.repository = CATALOG_REPOSITORY,
		.reference = "latest",
		.manifest = BUF_INIT(LIMIT_MANIFEST),
		.layer = BUF_INIT(LIMIT_CATALOG_LAYER),
	};
	int rc = 0;

	registry_pull(t->registry, &root, 1);
	if (root.err.code == ERROR_NONE &&
		restore_root(&places, &leftovers, record, buf_slice(&root.layer), &unread) == 0) {
		t->root = root.digest;
		rc = look_places(t, places.list, places.n, err);
	}
	buf_done(&root.manifest);
	buf_done(&root.layer);
	return rc;
}

/* ---- records ---- */

int trace_record(struct record *ret, const struct digest *digest, struct registry *registry,
	struct error *err)
{
	char reference[DIGEST_TEXT_SIZE];
	struct pull pull = {
		.repository = RECORD_REPOSITORY,
		.reference = digest_format(digest, reference),
		.manifest = BUF_INIT(LIMIT_MANIFEST),
		.layer = BUF_INIT(LIMIT_RECORD),
	};
	int rc = -1;

	registry_pull(registry, &pull, 1);
	*err = pull.err;
	if (err->code == ERROR_NONE)
		rc = record_parse(ret, buf_slice(&pull.layer), err);
	if (err->code == ERROR_NOT_FOUND)
		err->code = ERROR_INTERNAL;
	buf_done(&pull.manifest);
	buf_done(&pull.layer);
	return rc == 0 ? 0 : error_wrap(err, RECORD_REPOSITORY "@%s", reference);
}

static int learn_record(
	struct trace *t, const struct record *record, bool *ret_new, struct error *err)
{
	*ret_new = false;
	for (size_t i = 0; i < record->n_catalogs; i++) {
		const struct record_catalog *c = &record->catalogs[i];
		struct place place;

		if (strcmp(c->repository, CATALOG_REPOSITORY) == 0) {
			*ret_new = *ret_new || !t->root_by_record;
			if (!t->root_by_record)
				t->root = c->digest;
			t->root_by_record = true;
		} else if (layout_repository_parse(t->layout, slice_of(c->repository), &place) &&
			   learn(t, &place, &c->digest, true, ret_new, err) != 0) {
			return -1;
		}
	}
	return 0;
}

/* Is what is known now the state that the record speaks of? */
static int is_state(
	bool *ret, const struct trace *t, const struct record *record, struct error *err)
{
	CLEANUP(state_unrefp) struct state *none = NULL;
	CLEANUP(state_unrefp) struct state *state = NULL;
	AUTO_FREE struct partition **partitions = calloc(t->n + 1, sizeof(*partitions));
	struct digest digest;

	*ret = false;
	if (t->root.algorithm == DIGEST_NONE)
		return 0;
	if (partitions == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < t->n; i++)
		partitions[i] = t->list[i].partition;
	if (state_new(&none, t->layout, err) != 0 ||
		state_replace(&state, none, partitions, t->n, &t->root, err) != 0 ||
		state_digest(&digest, state, err) != 0)
		return -1;
	*ret = digest_eq(&digest, &record->state);
	return 0;
}

static int not_found(const struct record *record, struct error *err)
{
	return error_set(err, ERROR_INTERNAL,
		"the catalogs below %s are not those that the last commit record c%llu names, and "
		"the records before it do not tell which they were",
		CATALOG_REPOSITORY, (unsigned long long)record->version);
}

/* From the last record back, until all is known. */
static int read_records(struct trace *t, const struct record *last, struct error *err)
{
	CLEANUP(record_done) struct record older = {0};
	const struct record *record = last;
	bool is_new, known = false;

	for (unsigned i = 0; i < LIMIT_TRACE; i++) {
		struct record parent = {0};

		if (learn_record(t, record, &is_new, err) != 0)
			return -1;
		if ((i == 0 || is_new) && is_state(&known, t, last, err) != 0)
			return -1;
		if (known)
			return 0;
		if (!record->has_parent)
			break;
		if (trace_record(&parent, &record->parent, t->registry, err) != 0)
			return -1;
		if (!layout_eq(&parent.layout, t->layout)) { /* its catalogs are others */
			record_done(&parent);
			break;
		}
		record_done(&older);
		older = parent;
		record = &older;
	}
	return not_found(last, err);
}

/* ---- all of it ---- */

/* The record, as if it had changed every catalog: then each is read by its digest. */
static int restore_known(
	struct state **ret, const struct trace *t, const struct record *record, struct error *err)
{
	AUTO_FREE struct record_catalog *catalogs = calloc(t->n + 1, sizeof(*catalogs));
	struct record whole = *record;

	if (catalogs == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < t->n; i++) {
		const struct partition *p = t->list[i].partition;

		snprintf(catalogs[i].repository, sizeof(catalogs[i].repository), "%s",
			p->repository);
		catalogs[i].digest = p->digest;
	}
	snprintf(catalogs[t->n].repository, sizeof(catalogs[t->n].repository), "%s",
		CATALOG_REPOSITORY);
	catalogs[t->n].digest = t->root;
	whole.n_catalogs = t->n + 1;
	whole.catalogs = catalogs;
	return restore_state(ret, NULL, &whole, t->registry, err);
}

/* The tags come first: what a server changes while we read them stands in the last records. */
int trace_state(struct state **ret, struct record *record, struct digest *digest,
	struct registry *registry, struct error *err)
{
	struct layout layout = record->layout;
	CLEANUP(trace_done) struct trace t = {.layout = &layout, .registry = registry};
	struct record last = {0};
	struct digest last_digest;

	if (read_tags(&t, record, err) != 0 ||
		head_read_record(&last, &last_digest, registry, err) != 0)
		return -1;
	record_done(record);
	*record = last;
	*digest = last_digest;
	if (!layout_eq(&layout, &record->layout))
		return error_set(
			err, ERROR_UNAVAILABLE, "the layout changed while it was read: try again");
	if (read_records(&t, record, err) != 0)
		return -1;
	return restore_known(ret, &t, record, err);
}
