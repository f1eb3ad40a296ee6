/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/history_records.h"

#include "catalog/author.h"
#include "publish/trace.h"

#include <inttypes.h>
#include <stdio.h>

#define TAG_SIZE 22 /* a letter and a 64-bit number */

int history_failed(struct error *err)
{
	return err->code == ERROR_INTERNAL ? error_for_operators(err) : -1;
}

int history_no_revision(uint64_t version, struct error *err)
{
	return error_set(err, ERROR_NOT_FOUND,
		"there is no revision c%" PRIu64 " among those that led to what is current",
		version);
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

/* ---- records ---- */

int records_init(struct records *ret, struct registry *registry, struct error *err)
{
	struct records r = {.registry = registry};

	if (ancestry_head(&r.at, registry, err) != 0) {
		if (err->code == ERROR_NOT_FOUND)
			err->code = ERROR_INTERNAL;
		return history_failed(err);
	}
	r.newest = r.at.record.version;
	r.head = r.at.digest;
	*ret = r;
	return 0;
}

void records_done(struct records *r)
{
	ancestor_done(&r->at);
}

/* By its digest: the tag may be another's by now. */
static int begin_walk(struct records *r, struct error *err)
{
	struct ancestor head = {.digest = r->head};

	if (trace_record(&head.record, &r->head, r->registry, err) != 0)
		return -1;
	ancestor_done(&r->at);
	r->at = head;
	return 0;
}

int records_seek(struct ancestor **ret, struct records *r, uint64_t version, struct error *err)
{
	*ret = NULL;
	if (version > r->newest)
		return 0;
	if ((r->at.record.version < version && begin_walk(r, err) != 0) ||
		ancestry_seek(&r->at, r->registry, version, err) != 0)
		return history_failed(err);
	if (r->at.record.version >= version)
		*ret = &r->at;
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
	const struct record *r, const char *namespace, const char *name)
{
	for (size_t i = 0; i < r->n_changes; i++) {
		const struct record_change *c = &r->changes[i];

		if (c->op <= RECORD_DELETE && strcmp(c->name, name) == 0 &&
			strcmp(c->namespace, namespace) == 0)
			return c;
	}
	return NULL;
}

/* Judges what a record with changes, the first at or above the version, says of it. */
static void judge_by(struct fate *ret, const struct record *r, const char *namespace,
	const char *name, uint64_t version)
{
	const struct record_change *c = find_change(r, namespace, name);
	bool is_known = r->ancestry.is_known || !r->has_parent;

	*ret = (struct fate){
		.kind = FATE_DEBRIS, .next = is_known ? r->ancestry.parent_version : version - 1};
	if (c != NULL && c->version < version) {
		ret->next = c->version;
	} else if (c != NULL && c->version == version) {
		ret->kind = FATE_NAMED;
		ret->op = c->op;
		ret->digest = c->digest;
		ret->author = c->author == NULL ? NULL : author_ref(c->author);
		ret->revision = r->version;
	}
}

/* ---- what a record that is whole took ---- */

struct taking {
	struct records *records;
	const char *namespace, *name;
	char repository[RESOURCE_REPOSITORY_SIZE];
	uint64_t version, before; /* of the record, and of its parent; 0: it has none */
	bool is_rebuild;
};

/* The version that the tag latest names; 0: there is none, so no write was ever finished. */
static int latest_version(uint64_t *ret, const struct taking *t, struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(LIMIT_MANIFEST);
	struct digest ignored;

	*ret = 0;
	if (registry_manifest(
		    t->records->registry, t->repository, "latest", &manifest, &ignored, err) != 0)
		return err->code == ERROR_NOT_FOUND ? 0
						    : error_wrap(err, "%s:latest", t->repository);
	if (oci_manifest_parse(&m, buf_slice(&manifest), err) != 0)
		return error_wrap(err, "%s:latest", t->repository);
	*ret = artifact_version(m);
	return 0;
}

/* 0: there is none. */
static int newest_tag(
	uint64_t *ret, const struct taking *t, uint64_t from, uint64_t to, struct error *err)
{
	CLEANUP(versions_done) struct versions v = {0};

	if (versions_list(&v, t->records->registry, t->repository, 'v', from, to, 1,
		    VERSIONS_NEWEST, err) != 0)
		return -1;
	*ret = v.n == 0 ? 0 : v.list[0];
	return 0;
}

/* The newest that an ancestor names, a deletion being one; 0: none does. */
static int newest_named(uint64_t *ret, const struct taking *t, struct error *err)
{
	uint64_t version, to = t->before;

	*ret = 0;
	while (to > 0 && *ret == 0) {
		CLEANUP(fate_done) struct fate fate = {.kind = FATE_DEBRIS};
		struct ancestor *a;

		if (newest_tag(&version, t, 1, to, err) != 0)
			return -1;
		if (version == 0)
			return 0;
		if (records_seek(&a, t->records, version, err) != 0)
			return -1;
		if (a == NULL)
			return 0;
		judge_by(&fate, &a->record, t->namespace, t->name, version);
		if (fate.kind == FATE_NAMED)
			*ret = version;
		to = fate.next;
	}
	return 0;
}

/* 0: nothing, as far as can be told. Where its tag latest has not moved since, that is it; it moves
 * only with what is committed, or is brought by who adopts. */
static int find_taken(uint64_t *ret, const struct taking *t, struct error *err)
{
	uint64_t latest;

	*ret = 0;
	if (latest_version(&latest, t, err) != 0)
		return -1;
	if (latest > t->before && latest <= t->version) {
		*ret = latest;
		return 0;
	}
	if (!t->is_rebuild && newest_tag(ret, t, t->before + 1, t->version, err) != 0)
		return -1;
	if (*ret == 0 && newest_named(ret, t, err) != 0)
		return -1;
	if (*ret != 0)
		return 0;
	if (latest > 0 && latest <= t->version) {
		*ret = latest;
		return 0;
	}
	return newest_tag(ret, t, 1, t->version, err);
}

/* Of a store of before parents' versions were noted it has to be read. */
static int parent_version(
	uint64_t *ret, const struct record *r, struct registry *registry, struct error *err)
{
	CLEANUP(record_done) struct record parent = {0};

	*ret = r->ancestry.parent_version;
	if (r->ancestry.is_known || !r->has_parent)
		return 0;
	if (trace_record(&parent, &r->parent, registry, err) != 0)
		return -1;
	*ret = parent.version;
	return 0;
}

static int judge_taken(struct fate *ret, struct records *r, const struct record *whole,
	const char *namespace, const char *name, uint64_t version, struct error *err)
{
	struct taking t = {
		.records = r,
		.namespace = namespace,
		.name = name,
		.version = whole->version,
		.is_rebuild = whole->why != NULL && strcmp(whole->why, "rebuild") == 0,
	};
	uint64_t taken;

	resource_repository(namespace, name, t.repository);
	if (parent_version(&t.before, whole, r->registry, err) != 0 ||
		find_taken(&taken, &t, err) != 0)
		return history_failed(err);
	*ret = (struct fate){.kind = taken == version ? FATE_TAKEN : FATE_DEBRIS,
		.next = taken > t.before && taken < version ? taken : t.before};
	return 0;
}

int records_judge(struct fate *ret, struct records *r, const char *namespace, const char *name,
	uint64_t version, struct error *err)
{
	struct ancestor *a;

	if (records_seek(&a, r, version, err) != 0)
		return -1;
	if (a == NULL)
		*ret = (struct fate){.kind = FATE_DEBRIS, .next = r->newest};
	else if (record_is_whole(&a->record))
		return judge_taken(ret, r, &a->record, namespace, name, version, err);
	else
		judge_by(ret, &a->record, namespace, name, version);
	return 0;
}
