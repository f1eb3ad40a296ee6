/* SPDX-License-Identifier: Apache-2.0 */
/* Lists (distribution-spec, "Listing Tags", "Listing Referrers"), _catalog, and the version check.
 */
#include "registry/service.h"

#include "base/json.h"
#include "http/uri.h"

#include <inttypes.h>
#include <stdio.h>

#define CATALOG_BATCH 128 /* names read together, where some are hidden */

/* Room for one more descriptor, which is smaller than the manifest it is made of, escapes aside. */
#define REFERRERS_MAX (16 * LIMIT_MANIFEST)

#define CATALOG "_catalog"

int version_get(struct call *c, struct error *err UNUSED)
{
	http_reply_header(&c->reply, "Content-Type", "application/json");
	buf_puts(&c->reply.body, "{}");
	return 0;
}

/* ---- pages ---- */

struct page {
	size_t n;
	char *last; /* NULL: from the start */
};

static void page_done(struct page *p)
{
	free(p->last);
}

static int parse_page(struct call *c, struct page *ret, struct error *err)
{
	AUTO_FREE char *n = NULL;
	uint64_t value = LIMIT_LIST_PAGE;

	if (call_query(c, "n", &n, err) != 0 || call_query(c, "last", &ret->last, err) != 0)
		return -1;
	if (n != NULL && !slice_to_u64(slice_of(n), &value))
		return error_set(
			err, ERROR_INVALID, "n must be a number: how many to list at most");
	ret->n = value < LIMIT_LIST_PAGE ? (size_t)value : LIMIT_LIST_PAGE;
	return 0;
}

static struct slice page_last(const struct page *p)
{
	return p->last == NULL ? SLICE_NONE : slice_of(p->last);
}

/* path: below /v2/. type: the artifactType that the list is filtered by, or NULL. */
static void add_link(
	struct call *c, const char *path, size_t n, struct slice last, const char *type)
{
	CLEANUP(buf_done) struct buf link = BUF_INIT(LIMIT_HTTP_HEAD);

	buf_printf(&link, "</v2/%s?n=%zu&last=", path, n);
	http_encode(last, &link);
	if (type != NULL) {
		buf_puts(&link, "&artifactType=");
		http_encode(slice_of(type), &link);
	}
	buf_puts(&link, ">; rel=\"next\"");
	if (link.failed == ERROR_NONE)
		http_reply_header(&c->reply, "Link", "%s", link.data);
	else
		c->reply.headers.failed = link.failed;
}

/* Returns the name that a next page goes on after, if there is one. */
static struct slice add_names(struct buf *b, const char *key, const struct store_names *names)
{
	struct slice name = SLICE_NONE;

	json_key(b, key);
	json_begin_array(b);
	for (size_t at = 0; store_names_next(names, &at, &name);) {
		json_item(b);
		json_add_string(b, name);
	}
	json_end_array(b);
	return names->more ? name : SLICE_NONE;
}

/* next: from add_names(). */
static void add_page_headers(
	struct call *c, const char *path, const struct page *page, struct slice next)
{
	if (next.n > 0)
		add_link(c, path, page->n, next, NULL);
	http_reply_header(&c->reply, "Content-Type", "application/json");
}

/* ---- the catalog ---- */

static bool catalog_from_cache(struct call *c, const struct page *page)
{
	CLEANUP(buf_done) struct buf next = BUF_INIT(LIMIT_REPOSITORY);

	if (!page_cache_get(c->e->catalog_pages, store_repositories_generation(c->e->store),
		    page_last(page), page->n, &c->reply.body, &next))
		return false;
	add_page_headers(c, CATALOG, page, buf_slice(&next));
	return true;
}

/* A page that is there already needs no worker. */
void catalog_start(struct http_exchange *x, struct call *c)
{
	CLEANUP(page_done) struct page page = {0};

	if (parse_page(c, &page, &c->err) != 0 || (c->sees_all && catalog_from_cache(c, &page)))
		call_answer(x, c);
	else
		call_run(x, c);
}

static int add_catalog(struct call *c, const struct page *page, const struct store_names *names,
	struct slice *ret_next, struct error *err)
{
	struct buf *b = &c->reply.body;

	json_begin_object(b);
	*ret_next = add_names(b, "repositories", names);
	json_end_object(b);
	add_page_headers(c, CATALOG, page, *ret_next);
	return buf_check(b, err);
}

static int list_all(struct call *c, const struct page *page, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = NULL;
	CLEANUP(store_names_done) struct store_names names;
	uint64_t generation;
	struct slice next;

	store_names_init(&names);
	generation = store_repositories_generation(c->e->store); /* before the query */
	reader = store_reader(c->e->store);
	if (store_repositories(reader, page_last(page), page->n, &names, err) != 0 ||
		add_catalog(c, page, &names, &next, err) != 0)
		return -1;
	page_cache_put(c->e->catalog_pages, generation, page_last(page), page->n,
		buf_slice(&c->reply.body), next);
	return 0;
}

/* A walk through all names for those that the subject may pull. */
struct walk {
	struct call *call;
	size_t n_max;
	struct store_names *visible; /* as a query would have returned them */
	struct buf last;             /* goes on after this */
	char namespace[ACCESS_NAMESPACE_SIZE];
	int sees; /* the namespace; -1: none was asked for yet */
	size_t steps;
};

static int look_at(struct walk *w, struct slice name, size_t *ret_block, struct error *err)
{
	char namespace[ACCESS_NAMESPACE_SIZE];

	*ret_block = access_namespace(name, namespace);
	if (w->sees >= 0 && strcmp(namespace, w->namespace) == 0)
		return 0;
	memcpy(w->namespace, namespace, sizeof(namespace));
	w->steps++;
	w->sees = call_may_pull(w->call, namespace, err);
	return w->sees < 0 ? -1 : 0;
}

static void add_visible(struct walk *w, struct slice name)
{
	struct store_names *v = w->visible;

	if (v->n == w->n_max) {
		v->more = true;
		return;
	}
	buf_add(&v->text, name);
	buf_putc(&v->text, '\0');
	v->n++;
}

/* *ret_done: the page is full, or there are no more. */
static int walk_batch(struct walk *w, bool *ret_done, struct error *err)
{
	CLEANUP(store_names_done) struct store_names names;
	struct store_conn *reader;
	struct slice name = SLICE_NONE;
	size_t block = 0, at = 0;
	int result;

	store_names_init(&names);
	w->steps++;
	reader = store_reader(w->call->e->store);
	result = store_repositories(reader, buf_slice(&w->last), CATALOG_BATCH, &names, err);
	store_reader_done(reader);
	while (result == 0 && !w->visible->more && store_names_next(&names, &at, &name)) {
		result = look_at(w, name, &block, err);
		if (result == 0 && w->sees > 0)
			add_visible(w, name);
	}
	if (result != 0)
		return -1;
	*ret_done = w->visible->more || !names.more;
	if (*ret_done)
		return 0;
	buf_reset(&w->last);
	buf_add(&w->last, name);
	if (w->sees == 0 && block > 0) { /* over all of the namespace: "~" is behind every name */
		w->last.len = block;
		buf_putc(&w->last, '~');
	}
	return buf_check(&w->last, err);
}

static int walk(struct walk *w, struct error *err)
{
	bool done = false;

	while (!done && w->steps < LIMIT_CATALOG_STEPS)
		if (walk_batch(w, &done, err) != 0)
			return -1;
	if (done)
		return 0;
	if (w->visible->n == 0)
		return error_set(err, ERROR_UNPROCESSABLE,
			"there are too many repositories before the next that you may pull: add "
			"?last= with the beginning of its name");
	w->visible->more = true;
	return 0;
}

/* Neither the names nor where a page ends tell of what is hidden. */
static int list_visible(struct call *c, const struct page *page, struct error *err)
{
	CLEANUP(store_names_done) struct store_names names;
	struct walk w = {.call = c,
		.n_max = page->n,
		.visible = &names,
		.last = BUF_INIT(LIMIT_HTTP_HEAD),
		.sees = -1};
	struct slice next;
	int result;

	store_names_init(&names);
	buf_add(&w.last, page_last(page));
	result = walk(&w, err);
	buf_done(&w.last);
	if (result != 0 || buf_check(&names.text, err) != 0)
		return -1;
	return add_catalog(c, page, &names, &next, err);
}

int catalog_get(struct call *c, struct error *err)
{
	CLEANUP(page_done) struct page page = {0};

	if (parse_page(c, &page, err) != 0)
		return -1;
	return (c->sees_all ? list_all : list_visible)(c, &page, err);
}

/* ---- tags ---- */

int tags_get(struct call *c, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = NULL;
	CLEANUP(store_names_done) struct store_names names;
	CLEANUP(page_done) struct page page = {0};
	char path[LIMIT_REPOSITORY + sizeof("/tags/list")];
	struct buf *b = &c->reply.body;
	struct slice next;

	store_names_init(&names);
	if (parse_page(c, &page, err) != 0)
		return -1;
	reader = store_reader(c->e->store);
	if (store_tags(reader, slice_of(c->repository), page_last(&page), page.n, &names, err) != 0)
		return -1;
	snprintf(path, sizeof(path), "%s/tags/list", c->repository);
	json_begin_object(b);
	json_member_cstr(b, "name", c->repository);
	next = add_names(b, "tags", &names);
	json_end_object(b);
	add_page_headers(c, path, &page, next);
	return 0;
}

/* ---- referrers ---- */

struct referrers {
	struct call *call;
	size_t n, n_max;
	int64_t last; /* position of the last one listed */
	bool more;
};

static void add_annotations(struct buf *b, const struct oci_manifest *m)
{
	if (m->n_annotations == 0)
		return;
	json_key(b, "annotations");
	json_begin_object(b);
	for (size_t i = 0; i < m->n_annotations; i++)
		json_member_cstr(b, m->annotations[i].key, m->annotations[i].value);
	json_end_object(b);
}

/* As an answer is an index, it stays below the size that clients take of one. */
static int add_referrer(const struct store_referrer *r, void *arg, struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	struct referrers *list = arg;
	struct buf *b = &list->call->reply.body;
	char text[DIGEST_TEXT_SIZE];

	if (list->n == list->n_max || (list->n > 0 && b->len + r->bytes.n > LIMIT_MANIFEST)) {
		list->more = true;
		return 1;
	}
	if (oci_manifest_parse(&m, r->bytes, err) != 0)
		return -1;
	json_begin_object(b);
	json_member_string(b, "mediaType", r->media_type);
	json_member_cstr(b, "digest", digest_format(&r->digest, text));
	json_member_u64(b, "size", r->bytes.n);
	if (r->artifact_type.p != NULL)
		json_member_string(b, "artifactType", r->artifact_type);
	add_annotations(b, m);
	json_end_object(b);
	list->n++;
	list->last = r->position;
	return 0;
}

static void add_referrers_headers(
	struct call *c, const struct referrers *list, const char *artifact_type)
{
	char path[LIMIT_REPOSITORY + sizeof("/referrers/") + DIGEST_TEXT_SIZE];
	char last[24];

	http_reply_header(&c->reply, "Content-Type", "%s", OCI_MEDIA_INDEX);
	if (artifact_type != NULL)
		http_reply_header(&c->reply, "OCI-Filters-Applied", "artifactType");
	if (!list->more || list->n == 0)
		return;
	snprintf(path, sizeof(path), "%s/referrers/%s", c->repository, c->reference);
	snprintf(last, sizeof(last), "%" PRId64, list->last);
	add_link(c, path, list->n_max, slice_of(last), artifact_type);
}

static int list_referrers(struct call *c, const struct page *page, const char *artifact_type,
	struct referrers *list, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = NULL;
	struct slice type = artifact_type == NULL ? SLICE_NONE : slice_of(artifact_type);
	uint64_t after = 0;

	if (page->last != NULL &&
		(!slice_to_u64(slice_of(page->last), &after) || after > INT64_MAX))
		return error_set(err, ERROR_INVALID, "last must be a number of an earlier Link");
	reader = store_reader(c->e->store);
	return store_referrers(reader, slice_of(c->repository), &c->digest, type, (int64_t)after,
		add_referrer, list, err);
}

/* Of whatever subject: nothing refers to what nobody knows. */
int referrers_get(struct call *c, struct error *err)
{
	AUTO_FREE char *artifact_type = NULL;
	CLEANUP(page_done) struct page page = {0};
	struct referrers list = {.call = c};
	struct buf *b = &c->reply.body;

	if (call_digest(c, slice_of(c->reference), &c->digest, err) != 0 ||
		parse_page(c, &page, err) != 0 ||
		call_query(c, "artifactType", &artifact_type, err) != 0)
		return -1;
	list.n_max = page.n;
	buf_done(b);
	buf_init(b, REFERRERS_MAX);
	json_begin_object(b);
	json_member_u64(b, "schemaVersion", 2);
	json_member_cstr(b, "mediaType", OCI_MEDIA_INDEX);
	json_key(b, "manifests");
	json_begin_array(b);
	if (list_referrers(c, &page, artifact_type, &list, err) != 0)
		return -1;
	json_end_array(b);
	json_end_object(b);
	add_referrers_headers(c, &list, artifact_type);
	return 0;
}
