/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/history.h"

#include "publish/artifact_read.h"
#include "publish/history_records.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- artifacts ---- */

/* One on its way, by its digest where a record names it. */
struct arrival {
	char reference[DIGEST_TEXT_SIZE];
	struct pull pull;
};

static void arrival_init(
	struct arrival *a, const char *repository, uint64_t version, const struct fate *fate)
{
	if (fate->kind == FATE_NAMED)
		digest_format(&fate->digest, a->reference);
	else
		resource_tag(version, a->reference);
	a->pull = (struct pull){
		.repository = repository,
		.reference = a->reference,
		.manifest = BUF_INIT(LIMIT_MANIFEST),
		.layer = BUF_INIT(LIMIT_INTENT_YAML),
	};
}

static void arrival_done(struct arrival *a)
{
	buf_done(&a->pull.manifest);
	buf_done(&a->pull.layer);
}

/* NULL: it is a deletion. ERROR_NOT_FOUND: it is not there. */
static int arrival_read(struct resource **ret, const struct arrival *a, uint64_t version,
	const char *namespace, const char *name, struct error *err)
{
	CLEANUP(resource_unrefp) struct resource *r = NULL;
	uint64_t own;

	*err = a->pull.err;
	if (err->code == ERROR_NOT_FOUND)
		return -1;
	if (err->code == ERROR_NONE) {
		if (artifact_read(&r, &own, &a->pull, namespace, name, err) == 0 && own != version)
			error_set(err, ERROR_INTERNAL, "it is that of v%" PRIu64, own);
		if (err->code != ERROR_NONE && err->code != ERROR_NO_MEMORY)
			err->code = ERROR_INTERNAL; /* a registry gives back what it was given */
	}
	if (err->code != ERROR_NONE) {
		error_wrap(err, "%s, v%" PRIu64, a->pull.repository, version);
		return history_failed(err);
	}
	*ret = TAKE_PTR(r);
	return 0;
}

/* ---- one version ---- */

static int no_version(const char *namespace, const char *name, uint64_t version, struct error *err)
{
	return error_set(err, ERROR_NOT_FOUND,
		"there is no version v%" PRIu64 " of %s in namespace %s", version, name, namespace);
}

static int is_deletion(const char *namespace, const char *name, uint64_t version, struct error *err)
{
	return error_set(err, ERROR_NOT_FOUND,
		"with v%" PRIu64 " %s in namespace %s was deleted: name the version before it",
		version, name, namespace);
}

static int not_kept(const char *namespace, const char *name, uint64_t version, struct error *err)
{
	return error_set(err, ERROR_GONE,
		"version v%" PRIu64 " of %s in namespace %s is not kept any more", version, name,
		namespace);
}

/* It has come, or not. */
static int take_wanted(struct history_wanted *w, const struct fate *fate, const struct arrival *a,
	struct error *err)
{
	if (arrival_read(&w->resource, a, w->version, w->namespace, w->name, err) != 0) {
		if (err->code != ERROR_NOT_FOUND)
			return -1;
		return fate->kind == FATE_NAMED
			       ? not_kept(w->namespace, w->name, w->version, err)
			       : no_version(w->namespace, w->name, w->version, err);
	}
	return w->resource != NULL ? 0 : is_deletion(w->namespace, w->name, w->version, err);
}

/* At most LIMIT_PULLS. */
static int read_wanted(struct registry *registry, struct history_wanted *wanted,
	const struct fate *fates, size_t n, struct error *err)
{
	AUTO_FREE struct arrival *arrivals = calloc(n, sizeof(*arrivals));
	AUTO_FREE struct pull *pulls = calloc(n, sizeof(*pulls));
	AUTO_FREE char(*repositories)[RESOURCE_REPOSITORY_SIZE] = calloc(n, sizeof(*repositories));
	int rc = 0;

	if (arrivals == NULL || pulls == NULL || repositories == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		resource_repository(wanted[i].namespace, wanted[i].name, repositories[i]);
		arrival_init(&arrivals[i], repositories[i], wanted[i].version, &fates[i]);
		pulls[i] = arrivals[i].pull;
	}
	registry_pull(registry, pulls, n);
	for (size_t i = 0; i < n; i++) {
		arrivals[i].pull = pulls[i];
		if (rc == 0)
			rc = take_wanted(&wanted[i], &fates[i], &arrivals[i], err);
		arrival_done(&arrivals[i]);
	}
	return rc;
}

static int judge_one(struct fate *ret, struct records *records, const struct history_wanted *w,
	struct error *err)
{
	if (records_judge(ret, records, w->namespace, w->name, w->version, err) != 0)
		return -1;
	if (ret->kind == FATE_DEBRIS)
		return no_version(w->namespace, w->name, w->version, err);
	if (ret->kind == FATE_NAMED && ret->op == RECORD_DELETE)
		return is_deletion(w->namespace, w->name, w->version, err);
	return 0;
}

static int compare_wanted(const void *a, const void *b)
{
	const struct history_wanted *x = *(const struct history_wanted *const *)a;
	const struct history_wanted *y = *(const struct history_wanted *const *)b;

	return (x->version < y->version) - (x->version > y->version);
}

/* The newest first, in one walk. */
static int judge_wanted(struct fate *fates, struct registry *registry,
	const struct history_wanted *wanted, size_t n, struct error *err)
{
	CLEANUP(records_done) struct records records = {.newest = 0};
	const struct history_wanted *order[LIMIT_HISTORY_PAGE];

	for (size_t i = 0; i < n; i++)
		order[i] = &wanted[i];
	qsort(order, n, sizeof(order[0]), compare_wanted);
	if (records_init(&records, registry, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (judge_one(&fates[order[i] - wanted], &records, order[i], err) != 0)
			return -1;
	return 0;
}

static int judge_and_read(struct registry *registry, struct history_wanted *wanted,
	struct fate *fates, size_t n, struct error *err)
{
	size_t some;

	if (judge_wanted(fates, registry, wanted, n, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i += some) {
		some = n - i < LIMIT_PULLS ? n - i : LIMIT_PULLS;
		if (read_wanted(registry, wanted + i, fates + i, some, err) != 0)
			return -1;
	}
	return 0;
}

int history_resources(
	struct registry *registry, struct history_wanted *wanted, size_t n, struct error *err)
{
	AUTO_FREE struct fate *fates = calloc(n + 1, sizeof(*fates));
	int rc;

	ASSERT(n <= LIMIT_HISTORY_PAGE);
	if (fates == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++)
		wanted[i].resource = NULL;
	rc = n == 0 ? 0 : judge_and_read(registry, wanted, fates, n, err);
	for (size_t i = 0; i < n; i++) {
		fate_done(&fates[i]);
		if (rc != 0) {
			resource_unref(wanted[i].resource);
			wanted[i].resource = NULL;
		}
	}
	return rc;
}

int history_intent(struct intent **ret, struct registry *registry, const char *namespace,
	const char *name, uint64_t version, struct error *err)
{
	struct history_wanted wanted = {namespace, name, version, NULL};

	if (history_resources(registry, &wanted, 1, err) != 0)
		return -1;
	*ret = intent_ref(wanted.resource->intent);
	resource_unref(wanted.resource);
	return 0;
}

/* ---- a page ---- */

void history_page_done(struct history_page *page)
{
	for (size_t i = 0; i < page->n; i++) {
		author_unref(page->entries[i].author);
		intent_unref(page->entries[i].intent);
		intent_unref(page->entries[i].before);
	}
	free(page->entries);
	*page = (struct history_page){0};
}

/* A version that was current. */
struct found {
	uint64_t version;
	struct fate fate;
	struct intent *intent; /* a reference; NULL: a deletion, or it is not kept */
	bool is_expired;
};

struct search {
	struct records records;
	const char *namespace, *name;
	char repository[RESOURCE_REPOSITORY_SIZE];
	size_t want; /* one more than the page has: the version before its last */
	size_t n;
	struct found *found; /* newest first */
};

static void search_done(struct search *s)
{
	for (size_t i = 0; i < s->n; i++) {
		fate_done(&s->found[i].fate);
		intent_unref(s->found[i].intent);
	}
	free(s->found);
	records_done(&s->records);
}

/* The newest first, until there are enough; those above *bound are none, as is known by now. */
static int judge_all(struct search *s, const struct versions *v, uint64_t *bound, struct error *err)
{
	for (size_t i = v->n; i > 0 && s->n < s->want; i--) {
		struct found *f = &s->found[s->n];

		if (v->list[i - 1] > *bound)
			continue;
		*f = (struct found){.version = v->list[i - 1]};
		if (records_judge(&f->fate, &s->records, s->namespace, s->name, f->version, err) !=
			0)
			return -1;
		*bound = f->fate.next;
		s->n += f->fate.kind != FATE_DEBRIS;
	}
	return 0;
}

#define SPARE 16 /* versions more than are wanted: some may be debris */

static int find_versions(struct search *s, uint64_t below, struct error *err)
{
	size_t n = s->want + SPARE;
	uint64_t bound = below - 1, lowest;
	bool more = bound > 0;

	while (more && s->n < s->want) {
		struct versions v = {0};
		int rc;

		if (versions_list(&v, s->records.registry, s->repository, 'v', 1, bound, n,
			    VERSIONS_NEWEST, err) != 0)
			return history_failed(err);
		lowest = v.n == n ? v.list[0] : 1;
		rc = judge_all(s, &v, &bound, err);
		versions_done(&v);
		if (rc != 0)
			return -1;
		if (bound >= lowest)
			bound = lowest - 1;
		more = bound > 0 && lowest > 1;
	}
	return 0;
}

static int take_arrival(
	struct search *s, struct found *f, const struct arrival *a, struct error *err)
{
	CLEANUP(resource_unrefp) struct resource *r = NULL;

	if (arrival_read(&r, a, f->version, s->namespace, s->name, err) != 0) {
		f->is_expired = err->code == ERROR_NOT_FOUND;
		return f->is_expired ? 0 : -1;
	}
	f->fate.digest = a->pull.digest;
	if (r != NULL)
		f->intent = intent_ref(r->intent);
	else if (f->fate.kind == FATE_TAKEN)
		f->fate.op = RECORD_DELETE;
	return 0;
}

/* Some of those found. */
static int read_some(struct search *s, struct found *found, size_t n, struct error *err)
{
	AUTO_FREE struct arrival *arrivals = calloc(n, sizeof(*arrivals));
	AUTO_FREE struct pull *pulls = calloc(n, sizeof(*pulls));
	int rc = 0;

	if (arrivals == NULL || pulls == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		arrival_init(&arrivals[i], s->repository, found[i].version, &found[i].fate);
		pulls[i] = arrivals[i].pull;
	}
	registry_pull(s->records.registry, pulls, n);
	for (size_t i = 0; i < n; i++) {
		arrivals[i].pull = pulls[i];
		if (rc == 0)
			rc = take_arrival(s, &found[i], &arrivals[i], err);
		arrival_done(&arrivals[i]);
	}
	return rc;
}

static int read_found(struct search *s, struct error *err)
{
	size_t n;

	for (size_t i = 0; i < s->n; i += n) {
		n = s->n - i < LIMIT_PULLS ? s->n - i : LIMIT_PULLS;
		if (read_some(s, s->found + i, n, err) != 0)
			return -1;
	}
	return 0;
}

/* What the record that took it does not say. */
static enum record_op op_of(const struct found *f, const struct found *before)
{
	if (f->fate.kind == FATE_NAMED || f->fate.op == RECORD_DELETE)
		return f->fate.op;
	return before == NULL || before->fate.op == RECORD_DELETE ? RECORD_CREATE : RECORD_UPDATE;
}

static void fill_entry(struct history_entry *ret, struct found *f, struct found *before)
{
	*ret = (struct history_entry){
		.version = f->version,
		.op = op_of(f, before),
		.digest = f->fate.digest,
		.author = TAKE_PTR(f->fate.author),
		.revision = f->fate.revision,
		.before_version = before == NULL ? 0 : before->version,
		.is_expired = f->is_expired,
	};
	if (f->intent != NULL)
		ret->intent = intent_ref(f->intent);
	if (before != NULL && before->intent != NULL)
		ret->before = intent_ref(before->intent);
}

static int make_page(
	struct history_page *ret, const struct search *s, size_t limit, struct error *err)
{
	struct history_page page = {.n = s->n < limit ? s->n : limit};

	page.entries = calloc(page.n + 1, sizeof(page.entries[0]));
	if (page.entries == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < page.n; i++)
		fill_entry(&page.entries[i], &s->found[i], i + 1 < s->n ? &s->found[i + 1] : NULL);
	if (s->n > limit)
		page.next = page.entries[page.n - 1].version;
	*ret = page;
	return 0;
}

/* A page after the last is an empty one. */
static int nothing_found(const struct search *s, bool is_first, struct error *err)
{
	CLEANUP(versions_done) struct versions any = {0};

	if (!is_first && versions_list(&any, s->records.registry, s->repository, 'v', 1,
				 LIMIT_VERSION, 1, VERSIONS_OLDEST, err) != 0)
		return -1;
	if (any.n > 0)
		return 0;
	return error_set(err, ERROR_NOT_FOUND, "there is no history of %s in namespace %s", s->name,
		s->namespace);
}

int history_of_resource(struct history_page *ret, struct registry *registry, const char *namespace,
	const char *name, uint64_t below_version, size_t limit, struct error *err)
{
	CLEANUP(search_done)
	struct search s = {.namespace = namespace, .name = name, .want = limit + 1};

	ASSERT(limit > 0 && limit <= LIMIT_HISTORY_PAGE);
	resource_repository(namespace, name, s.repository);
	s.found = calloc(s.want, sizeof(s.found[0]));
	if (s.found == NULL)
		return error_no_memory(err);
	if (records_init(&s.records, registry, err) != 0 ||
		find_versions(&s, below_version == 0 ? LIMIT_VERSION : below_version, err) != 0)
		return -1;
	if (s.n == 0 && nothing_found(&s, below_version == 0, err) != 0)
		return -1;
	if (read_found(&s, err) != 0)
		return -1;
	return make_page(ret, &s, limit, err);
}
