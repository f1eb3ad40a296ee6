/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/history_records.h"

#include "catalog/author.h"
#include "publish/head.h"

#include <inttypes.h>
#include <stdio.h>

#define TAG_SIZE 22 /* a letter and a 64-bit number */

int history_failed(struct error *err)
{
	return err->code == ERROR_INTERNAL ? error_for_operators(err) : -1;
}

/* ---- version tags ---- */

struct listing {
	char letter;
	uint64_t from, to;
	size_t max;
	enum versions_end end;
	/* All numbers in the range have as many digits as the others, so tags are in their order.
	 */
	bool in_order;
	char last[TAG_SIZE]; /* the tag of `to` */
	bool enough;         /* it was ended early */
	struct versions found;
};

void versions_done(struct versions *v)
{
	free(v->list);
	*v = (struct versions){0};
}

static int compare_versions(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Sorted, each once, and no more than max. */
static void tidy(struct listing *l)
{
	struct versions *v = &l->found;
	size_t n = 0;

	if (v->n > 0)
		qsort(v->list, v->n, sizeof(v->list[0]), compare_versions);
	for (size_t i = 0; i < v->n; i++)
		if (n == 0 || v->list[n - 1] != v->list[i])
			v->list[n++] = v->list[i];
	if (n > l->max) {
		if (l->end == VERSIONS_NEWEST)
			memmove(v->list, v->list + n - l->max, l->max * sizeof(v->list[0]));
		n = l->max;
	}
	v->n = n;
}

/* Never more than twice what is wanted. */
static int make_room(struct listing *l, struct error *err)
{
	struct versions *v = &l->found;
	size_t cap = v->cap == 0 ? 64 : 2 * v->cap;
	uint64_t *grown;

	if (v->n < v->cap)
		return 0;
	tidy(l);
	if (v->n <= v->cap / 2 && v->cap > 0)
		return 0;
	grown = realloc(v->list, cap * sizeof(*grown));
	if (grown == NULL)
		return error_no_memory(err);
	v->list = grown;
	v->cap = cap;
	return 0;
}

static int end_listing(struct listing *l, struct error *err)
{
	l->enough = true;
	return error_set(err, ERROR_UNAVAILABLE, "enough tags were read");
}

static bool parse_tag(struct slice tag, char letter, uint64_t *ret)
{
	return (letter == 'c' ? record_tag_parse(tag, ret) : resource_tag_parse(tag, ret)) &&
	       *ret <= LIMIT_VERSION;
}

static int list_tag(struct slice tag, void *arg, struct error *err)
{
	struct listing *l = arg;
	uint64_t version;

	if (l->in_order && strncmp(tag.p, l->last, tag.n) > 0)
		return end_listing(l, err);
	if (!parse_tag(tag, l->letter, &version) || version < l->from || version > l->to)
		return 0;
	if (l->found.n > 0 && l->found.list[l->found.n - 1] == version)
		return 0; /* on two pages, as when one shifts */
	if (make_room(l, err) != 0)
		return -1;
	l->found.list[l->found.n++] = version;
	if (l->in_order && l->end == VERSIONS_OLDEST && l->found.n == l->max)
		return end_listing(l, err);
	return 0;
}

static void write_tag(char letter, uint64_t version, char ret[TAG_SIZE])
{
	snprintf(ret, TAG_SIZE, "%c%" PRIu64, letter, version);
}

int versions_list(struct versions *ret, struct registry *registry, const char *repository,
	char letter, uint64_t from, uint64_t to, size_t max, enum versions_end end,
	struct error *err)
{
	struct listing l = {.letter = letter, .from = from, .to = to, .max = max, .end = end};
	char after[TAG_SIZE];

	if (from > to) {
		*ret = (struct versions){0};
		return 0;
	}
	write_tag(letter, from, after);
	write_tag(letter, to, l.last);
	l.in_order = strlen(after) == strlen(l.last);
	after[strlen(after) - 1] = '\0'; /* sorts before `from`, and after what is much less */
	if (registry_tags(registry, repository, l.in_order ? after : NULL, list_tag, &l, err) !=
			0 &&
		!l.enough) {
		versions_done(&l.found);
		return error_wrap(err, "%s", repository);
	}
	tidy(&l);
	*ret = l.found;
	return 0;
}

/* ---- reading records ---- */

int records_init(struct records *ret, struct registry *registry, struct error *err)
{
	struct records r = {.registry = registry, .n = 1};
	struct kept_record *head = &r.kept[0];

	if (head_read_record(&head->record, &head->digest, registry, err) != 0) {
		if (err->code == ERROR_NOT_FOUND)
			err->code = ERROR_INTERNAL;
		return history_failed(err);
	}
	head->since = head->record.version;
	r.newest = head->record.version;
	r.head = head->digest;
	*ret = r;
	return 0;
}

void records_done(struct records *r)
{
	for (size_t i = 0; i < r->n; i++)
		record_done(&r->kept[i].record);
	r->n = 0;
}

/* A place for another: that of the one which nobody has used for longest. */
static struct kept_record *vacate(struct records *r)
{
	struct kept_record *oldest = &r->kept[0];

	if (r->n < RECORDS_KEPT)
		return &r->kept[r->n++];
	for (size_t i = 1; i < r->n; i++)
		if (r->kept[i].used < oldest->used)
			oldest = &r->kept[i];
	record_done(&oldest->record);
	return oldest;
}

static struct kept_record *find_kept(struct records *r, uint64_t version)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->kept[i].record.version == version) {
			r->kept[i].used = ++r->clock;
			return &r->kept[i];
		}
	}
	return NULL;
}

static int take_pull(
	struct records *r, const struct pull *pull, uint64_t version, struct error *err)
{
	struct record record;
	struct kept_record *kept;

	*err = pull->err;
	if (err->code == ERROR_NOT_FOUND)
		err->code = ERROR_INTERNAL; /* it was listed, and no record goes */
	if (err->code != ERROR_NONE || record_parse(&record, buf_slice(&pull->layer), err) != 0)
		return error_wrap(err, "%s:%s", RECORD_REPOSITORY, pull->reference);
	if (record.version != version) {
		error_set(err, ERROR_INTERNAL, "the tag %s of %s names the record of c%" PRIu64,
			pull->reference, RECORD_REPOSITORY, record.version);
		record_done(&record);
		return -1;
	}
	kept = vacate(r);
	*kept = (struct kept_record){record, pull->digest, UINT64_MAX, ++r->clock};
	return 0;
}

#define AT_ONCE 2 /* a record, and the one that tells whether it was current */

/* Those of the versions that are not there yet, by their tags. */
static int fetch(struct records *r, const uint64_t *versions, size_t n, struct error *err)
{
	char tags[AT_ONCE][RECORD_TAG_SIZE];
	struct pull pulls[AT_ONCE];
	uint64_t missing[AT_ONCE];
	size_t n_missing = 0;
	int rc = 0;

	for (size_t i = 0; i < n && i < AT_ONCE; i++)
		if (find_kept(r, versions[i]) == NULL)
			missing[n_missing++] = versions[i];
	for (size_t i = 0; i < n_missing; i++) {
		record_tag(missing[i], tags[i]);
		pulls[i] = (struct pull){
			.repository = RECORD_REPOSITORY,
			.reference = tags[i],
			.manifest = BUF_INIT(LIMIT_MANIFEST),
			.layer = BUF_INIT(LIMIT_RECORD),
		};
	}
	if (n_missing > 0)
		registry_pull(r->registry, pulls, n_missing);
	for (size_t i = 0; i < n_missing; i++) {
		if (rc == 0)
			rc = take_pull(r, &pulls[i], missing[i], err);
		buf_done(&pulls[i].manifest);
		buf_done(&pulls[i].layer);
	}
	return rc;
}

/* ---- which were current ---- */

#define SUCCESSORS 8 /* the first tells, but for debris of servers that were not alone */

/* The first of the versions: is one of the others built on it? */
static int has_successor(
	bool *ret, struct records *r, const uint64_t *versions, size_t n, struct error *err)
{
	struct digest digest;
	bool found = false;

	if (fetch(r, versions, n, err) != 0)
		return -1;
	digest = find_kept(r, versions[0])->digest;
	for (size_t i = 1; i < n && i <= SUCCESSORS && !found; i++) {
		const struct record *record;

		if (fetch(r, versions + i, 1, err) != 0)
			return -1;
		record = &find_kept(r, versions[i])->record;
		found = record->has_parent && digest_eq(&record->parent, &digest);
	}
	*ret = found;
	return 0;
}

/* The first of those versions whose record was current; 0: none is, as far as these tell. */
static int first_current(
	uint64_t *ret, struct records *r, const struct versions *v, bool is_all, struct error *err)
{
	size_t n_sure = is_all ? v->n : v->n > SUCCESSORS ? v->n - SUCCESSORS : 0;
	bool found = false;

	*ret = 0;
	for (size_t i = 0; i < n_sure && !found; i++) {
		if (v->list[i] == r->newest)
			found = true;
		else if (has_successor(&found, r, v->list + i, v->n - i, err) != 0)
			return -1;
		if (found)
			*ret = v->list[i];
	}
	return 0;
}

static struct kept_record *find_known(struct records *r, uint64_t version)
{
	for (size_t i = 0; i < r->n; i++) {
		struct kept_record *k = &r->kept[i];

		if (k->since <= version && version <= k->record.version) {
			k->used = ++r->clock;
			return k;
		}
	}
	return NULL;
}

/* The head, which may have been given up since. */
static int fetch_head(struct records *r, struct error *err)
{
	if (fetch(r, &r->newest, 1, err) != 0)
		return -1;
	if (digest_eq(&find_kept(r, r->newest)->digest, &r->head))
		return 0;
	return error_set(err, ERROR_INTERNAL,
		"the tag c%" PRIu64 " of %s names another record than latest did", r->newest,
		RECORD_REPOSITORY);
}

#define WINDOW (2 * SUCCESSORS)

static int find_first(uint64_t *ret, struct records *r, uint64_t version, struct error *err)
{
	uint64_t found = 0, from = version;
	bool is_all = false;

	while (found == 0 && !is_all) {
		struct versions v = {0};
		int rc;

		if (versions_list(&v, r->registry, RECORD_REPOSITORY, 'c', from, r->newest, WINDOW,
			    VERSIONS_OLDEST, err) != 0)
			return -1;
		is_all = v.n < WINDOW || v.list[v.n - 1] == r->newest;
		rc = first_current(&found, r, &v, is_all, err);
		if (rc == 0 && !is_all)
			from = v.list[WINDOW - SUCCESSORS];
		versions_done(&v);
		if (rc != 0)
			return -1;
	}
	*ret = found;
	return 0;
}

int records_first(struct kept_record **ret, struct records *r, uint64_t version, struct error *err)
{
	struct kept_record *known = find_known(r, version);
	uint64_t found;

	if (known == NULL && version <= r->newest) {
		if (find_first(&found, r, version, err) != 0)
			return history_failed(err);
		if (found == 0) {
			error_set(err, ERROR_INTERNAL, "the tag c%" PRIu64 " of %s is gone",
				r->newest, RECORD_REPOSITORY);
			return history_failed(err);
		}
		if ((found == r->newest ? fetch_head(r, err) : fetch(r, &found, 1, err)) != 0)
			return history_failed(err);
		known = find_kept(r, found);
		known->since = version;
	}
	*ret = known;
	return 0;
}

bool record_is_whole(const struct record *r)
{
	if (r->n_changes > 0)
		return false;
	if (!r->has_parent)
		return true;
	return r->who != NULL && strcmp(r->who, AUTHOR_SERVER) == 0 && r->why != NULL &&
	       (strcmp(r->why, "rebuild") == 0 || strcmp(r->why, "adopt") == 0 ||
		       strcmp(r->why, "import-original") == 0);
}

/* ---- versions of a resource ---- */

void fate_done(struct fate *f)
{
	author_unref(f->author);
	*f = (struct fate){0};
}

/* A hold and a release name a version that is there already. */
static const struct record_change *find_change(
	const struct record *r, const char *namespace, const char *name, uint64_t version)
{
	for (size_t i = 0; i < r->n_changes; i++) {
		const struct record_change *c = &r->changes[i];

		if (c->version == version && c->op <= RECORD_DELETE && strcmp(c->name, name) == 0 &&
			strcmp(c->namespace, namespace) == 0)
			return c;
	}
	return NULL;
}

/* The version that the tag latest names; 0: there is none, so no write was ever finished. */
static int latest_version(
	uint64_t *ret, struct registry *registry, const char *repository, struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(LIMIT_MANIFEST);
	struct digest ignored;

	*ret = 0;
	if (registry_manifest(registry, repository, "latest", &manifest, &ignored, err) != 0)
		return err->code == ERROR_NOT_FOUND ? 0 : error_wrap(err, "%s:latest", repository);
	if (oci_manifest_parse(&m, buf_slice(&manifest), err) != 0)
		return error_wrap(err, "%s:latest", repository);
	*ret = artifact_version(m);
	return 0;
}

/* Did the record, which is whole, take this version? That which is current still, or else the
 * newest there was. */
static int was_taken(bool *ret, const struct records *r, const struct record *whole,
	const char *namespace, const char *name, uint64_t version, struct error *err)
{
	CLEANUP(versions_done) struct versions newer = {0};
	char repository[RESOURCE_REPOSITORY_SIZE];
	uint64_t latest;

	resource_repository(namespace, name, repository);
	if (latest_version(&latest, r->registry, repository, err) != 0)
		return -1;
	if (latest <= whole->version) {
		*ret = latest == version;
		return 0;
	}
	if (versions_list(&newer, r->registry, repository, 'v', version + 1, whole->version, 1,
		    VERSIONS_OLDEST, err) != 0)
		return -1;
	*ret = newer.n == 0;
	return 0;
}

int records_judge(struct fate *ret, struct records *r, const char *namespace, const char *name,
	uint64_t version, struct error *err)
{
	struct kept_record *k;
	const struct record_change *c;
	bool taken = false;

	if (records_first(&k, r, version, err) != 0)
		return -1;
	c = k == NULL ? NULL : find_change(&k->record, namespace, name, version);
	if (c != NULL) {
		*ret = (struct fate){FATE_NAMED, c->op, c->digest,
			c->author == NULL ? NULL : author_ref(c->author), k->record.version};
		return 0;
	}
	if (k != NULL && record_is_whole(&k->record) &&
		was_taken(&taken, r, &k->record, namespace, name, version, err) != 0)
		return history_failed(err);
	*ret = (struct fate){.kind = taken ? FATE_TAKEN : FATE_DEBRIS};
	return 0;
}
