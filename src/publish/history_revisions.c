/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/history.h"

#include "publish/head.h"
#include "publish/history_records.h"
#include "publish/trace.h"

#include <inttypes.h>

void revisions_page_done(struct revisions_page *page)
{
	for (size_t i = 0; i < page->n; i++)
		record_done(&page->entries[i].record);
	free(page->entries);
	*page = (struct revisions_page){0};
}

/* ---- one ---- */

int history_revision(struct record *ret, struct digest *ret_digest, struct registry *registry,
	uint64_t version, struct error *err)
{
	CLEANUP(records_done) struct records records = {.newest = 0};
	struct ancestor *a;

	if (records_init(&records, registry, err) != 0 ||
		records_seek(&a, &records, version, err) != 0)
		return -1;
	if (a == NULL || a->record.version != version)
		return history_no_revision(version, err);
	*ret = a->record;
	*ret_digest = a->digest;
	a->record = (struct record){0};
	return 0;
}

/* ---- where a page begins ---- */

static int no_record(const struct digest *digest, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];

	return error_set(
		err, ERROR_NOT_FOUND, "%s is no commit record", digest_format(digest, text));
}

/* The digest is a client's: whatever has it may be something else, as a signature is. */
static int check_is_record(
	const struct digest *digest, struct registry *registry, struct error *err)
{
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(LIMIT_MANIFEST);
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	char reference[DIGEST_TEXT_SIZE];
	struct digest ignored;

	if (registry_manifest(registry, RECORD_REPOSITORY, digest_format(digest, reference),
		    &manifest, &ignored, err) != 0)
		return err->code == ERROR_NOT_FOUND ? no_record(digest, err) : history_failed(err);
	if (oci_manifest_parse(&m, buf_slice(&manifest), err) != 0 || m->artifact_type == NULL ||
		strcmp(m->artifact_type, RECORD_ARTIFACT_TYPE) != 0)
		return no_record(digest, err);
	return 0;
}

static int read_record(struct record *ret, const struct digest *digest, struct registry *registry,
	struct error *err)
{
	if (trace_record(ret, digest, registry, err) != 0)
		return history_failed(err);
	return 0;
}

/* It was current once. */
static int read_first(struct record *ret, const struct digest *digest, struct registry *registry,
	struct error *err)
{
	CLEANUP(record_done) struct record own = {0}, record = {0};
	struct digest current;

	if (check_is_record(digest, registry, err) != 0 ||
		read_record(&own, digest, registry, err) != 0)
		return -1;
	if (history_revision(&record, &current, registry, own.version, err) != 0 &&
		err->code != ERROR_NOT_FOUND)
		return -1;
	if (record.version != own.version || !digest_eq(&current, digest))
		return no_record(digest, err);
	*ret = record;
	record = (struct record){0};
	return 0;
}

static int begin(struct record *ret, struct digest *ret_digest, struct registry *registry,
	const struct revisions_query *query, struct error *err)
{
	const struct digest *from = query->from;

	if (from != NULL) {
		*ret_digest = *from;
		return query->is_next ? read_record(ret, from, registry, err)
				      : read_first(ret, from, registry, err);
	}
	if (head_read_record(ret, ret_digest, registry, err) == 0)
		return 0;
	if (err->code == ERROR_NOT_FOUND)
		err->code = ERROR_INTERNAL;
	return history_failed(err);
}

/* ---- a page ---- */

/* Leaves what it changes in the namespace, and says whether there is any. */
static bool cut_changes(struct record *r, const char *namespace)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_changes; i++) {
		if (strcmp(r->changes[i].namespace, namespace) == 0)
			r->changes[n++] = r->changes[i];
		else
			author_unref(r->changes[i].author);
	}
	r->n_changes = n;
	return n > 0;
}

/* The names of catalogs are those of namespaces. */
static void cut_catalogs(struct record *r, const char *namespace)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_catalogs; i++) {
		struct place place;

		if (layout_repository_parse(
			    &r->layout, slice_of(r->catalogs[i].repository), &place) &&
			strcmp(place.namespace, namespace) == 0)
			r->catalogs[n++] = r->catalogs[i];
	}
	r->n_catalogs = n;
}

static bool cut(struct record *r, const char *namespace)
{
	if (namespace == NULL)
		return true;
	cut_catalogs(r, namespace);
	return cut_changes(r, namespace);
}

struct pager {
	struct registry *registry;
	const struct revisions_query *query;
	struct record record; /* the next one, */
	struct digest digest;
	size_t n_looks, n_changes;
	struct revisions_page page;
};

static void pager_done(struct pager *p)
{
	record_done(&p->record);
	revisions_page_done(&p->page);
}

/* A page of records with many changes is a short one. */
static bool is_full(const struct pager *p)
{
	return p->page.n == p->query->limit || p->n_looks == LIMIT_HISTORY_LOOKS ||
	       p->n_changes >= LIMIT_HISTORY_CHANGES;
}

/* Its record comes into the page, or goes. */
static void take_record(struct pager *p)
{
	if (cut(&p->record, p->query->namespace)) {
		p->page.entries[p->page.n++] = (struct revision_entry){p->record, p->digest};
		p->n_changes += p->record.n_changes;
		p->record = (struct record){0};
	}
	record_done(&p->record);
	p->n_looks++;
}

static int read_page(struct pager *p, struct error *err)
{
	for (;;) {
		bool more = p->record.has_parent;
		struct digest parent = p->record.parent;

		take_record(p);
		if (!more)
			return 0;
		if (is_full(p)) {
			p->page.has_next = true;
			p->page.next = parent;
			return 0;
		}
		p->digest = parent;
		if (read_record(&p->record, &parent, p->registry, err) != 0)
			return -1;
	}
}

int history_revisions(struct revisions_page *ret, struct registry *registry,
	const struct revisions_query *query, struct error *err)
{
	CLEANUP(pager_done) struct pager p = {.registry = registry, .query = query};

	ASSERT(query->limit > 0 && query->limit <= LIMIT_HISTORY_PAGE);
	p.page.entries = calloc(query->limit, sizeof(p.page.entries[0]));
	if (p.page.entries == NULL)
		return error_no_memory(err);
	if (begin(&p.record, &p.digest, registry, query, err) != 0 || read_page(&p, err) != 0)
		return -1;
	*ret = p.page;
	p.page = (struct revisions_page){0};
	return 0;
}
