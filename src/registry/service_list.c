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
static void add_page_headers(struct call *c, const char *path, size_t n, struct slice next)
{
	if (next.n > 0)
		add_link(c, path, n, next, NULL);
	http_reply_header(&c->reply, "Content-Type", "application/json");
}

/* ---- the catalog ---- */

static bool catalog_from_cache(struct call *c, const struct page *page)
{
	CLEANUP(buf_done) struct buf next = BUF_INIT(LIMIT_REPOSITORY);

	if (!page_cache_get(c->e->catalog_pages, store_repositories_generation(c->e->store),
		    page_last(page), page->n, &c->reply.body, &next))
		return false;
	add_page_headers(c, CATALOG, page->n, buf_slice(&next));
	return true;
}

static struct slice add_catalog(struct buf *b, const struct store_names *names)
{
	struct slice next;

	json_begin_object(b);
	next = add_names(b, "repositories", names);
	json_end_object(b);
	return next;
}

static int parse_catalog_page(struct call *c, struct page *ret, struct error *err)
{
	AUTO_FREE char *cursor = NULL;

	if (parse_page(c, ret, err) != 0)
		return -1;
	if (!slice_starts(page_last(ret), SLICE(CURSOR_PREFIX)))
		return 0;
	cursor = TAKE_PTR(ret->last);
	return cursor_read(&ret->last, &c->e->cursor_key, slice_of(cursor), err);
}

int catalog_get(struct call *c, struct error *err)
{
	CLEANUP(page_done) struct page page = {0};
	CLEANUP(store_reader_donep) struct store_conn *reader = NULL;
	CLEANUP(store_names_done) struct store_names names;
	uint64_t generation;
	struct slice next;

	store_names_init(&names);
	if (parse_catalog_page(c, &page, err) != 0)
		return -1;
	generation = store_repositories_generation(c->e->store); /* before the query */
	reader = store_reader(c->e->store);
	if (store_repositories(reader, page_last(&page), page.n, &names, err) != 0)
		return -1;
	next = add_catalog(&c->reply.body, &names);
	add_page_headers(c, CATALOG, page.n, next);
	if (buf_check(&c->reply.body, err) != 0)
		return -1;
	page_cache_put(c->e->catalog_pages, generation, page_last(&page), page.n,
		buf_slice(&c->reply.body), next);
	return 0;
}

/* ---- the catalog of who does not see all ---- */

/* A walk through all names for those that the subject may pull: a worker reads some, the loop asks
 * about them, and so on. Neither the names nor where a page ends tell of what is hidden. */
struct catalog_walk {
	size_t n_max;
	struct store_names visible; /* as a query would have returned them */
	struct buf last;            /* names are read after this, */
	struct store_names names;   /* these, */
	size_t at;                  /* and looked at from here on */
	struct slice seen;          /* the last that was */
	char namespace[ACCESS_NAMESPACE_SIZE];
	size_t block;           /* of the namespace: access_namespace() */
	bool is_known, is_seen; /* may it pull from the namespace? */
	bool waits;             /* for an answer to that from elsewhere */
	size_t n_steps, n_questions;
	bool is_cut; /* before its page is full */
};

static int walk_new(struct catalog_walk **ret, const struct page *page, struct error *err)
{
	struct catalog_walk *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return error_no_memory(err);
	w->n_max = page->n;
	store_names_init(&w->visible);
	store_names_init(&w->names);
	buf_init(&w->last, LIMIT_HTTP_HEAD);
	buf_add(&w->last, page_last(page));
	*ret = w;
	return buf_check(&w->last, err);
}

void catalog_walk_free(struct catalog_walk *w)
{
	if (w == NULL)
		return;
	store_names_done(&w->visible);
	store_names_done(&w->names);
	buf_done(&w->last);
	free(w);
}

static void see(struct catalog_walk *w, struct slice name)
{
	struct store_names *v = &w->visible;

	w->seen = name;
	if (!w->is_seen)
		return;
	if (v->n == w->n_max) {
		v->more = true;
		return;
	}
	buf_add(&v->text, name);
	buf_putc(&v->text, '\0');
	v->n++;
}

/* The names that are read next are those after what was seen. */
static int move_on(struct catalog_walk *w, struct error *err)
{
	if (w->seen.p != NULL) {
		buf_reset(&w->last);
		buf_add(&w->last, w->seen);
	}
	if (buf_check(&w->last, err) != 0)
		return -1;
	/* Over all of a namespace that is hidden: "~" is behind every name. */
	if (w->seen.p != NULL && !w->is_seen && w->block > 0) {
		w->last.len = w->block;
		buf_putc(&w->last, '~');
	}
	w->seen = SLICE_NONE;
	w->at = 0;
	store_names_done(&w->names);
	store_names_init(&w->names);
	return 0;
}

static void write_walk(struct call *c)
{
	CLEANUP(buf_done) struct buf cursor = BUF_INIT(LIMIT_HTTP_HEAD);
	struct catalog_walk *w = c->catalog_walk;
	struct slice next;

	if (buf_check(&w->visible.text, &c->err) != 0 || (w->is_cut && move_on(w, &c->err) != 0))
		return;
	next = add_catalog(&c->reply.body, &w->visible);
	if (w->is_cut) {
		cursor_add(&cursor, &c->e->cursor_key, buf_slice(&w->last));
		next = buf_slice(&cursor);
	}
	if (buf_check(&cursor, &c->err) == 0)
		add_page_headers(c, CATALOG, w->n_max, next);
}

static void walk(struct http_exchange *x, struct call *c);

static void namespace_judged(
	struct http_exchange *x, struct subject *subject UNUSED, const struct error *err, void *arg)
{
	struct call *c = arg;
	struct catalog_walk *w;

	if (x == NULL)
		return;
	w = c->catalog_walk;
	w->is_known = true;
	w->is_seen = err->code == ERROR_NONE;
	if (err->code != ERROR_DENIED)
		c->err = *err;
	if (w->waits) {
		w->waits = false;
		walk(x, c);
	}
}

static bool is_spent(const struct catalog_walk *w)
{
	return w->n_questions == LIMIT_CATALOG_QUESTIONS || w->n_steps >= LIMIT_CATALOG_STEPS;
}

/* False: the walk goes on with the answer, or has been cut. */
static bool look_at(struct http_exchange *x, struct call *c, struct slice name)
{
	struct catalog_walk *w = c->catalog_walk;
	char namespace[ACCESS_NAMESPACE_SIZE];
	size_t block = access_namespace(name, namespace);

	if (w->is_known && strcmp(namespace, w->namespace) == 0)
		return true;
	w->is_cut = is_spent(w);
	if (w->is_cut)
		return false;
	memcpy(w->namespace, namespace, sizeof(namespace));
	w->block = block;
	w->n_steps++;
	w->is_known = false;
	call_ask_namespace(x, c, namespace, namespace_judged);
	w->waits = !w->is_known;
	w->n_questions += w->waits;
	return w->is_known;
}

/* On a worker. */
static void read_names(struct call *c)
{
	struct catalog_walk *w = c->catalog_walk;
	struct store_conn *reader = store_reader(c->e->store);

	if (store_repositories(reader, buf_slice(&w->last), CATALOG_BATCH, &w->names, &c->err) == 0)
		w->n_steps++;
	store_reader_done(reader);
	call_return(c);
}

static void names_read(struct http_exchange *x, struct call *c)
{
	if (x != NULL)
		walk(x, c);
}

static void walk(struct http_exchange *x, struct call *c)
{
	struct catalog_walk *w = c->catalog_walk;
	size_t next = w->at;
	struct slice name;

	while (c->err.code == ERROR_NONE && !w->visible.more &&
		store_names_next(&w->names, &next, &name)) {
		if (!look_at(x, c, name))
			break;
		see(w, name);
		w->at = next;
	}
	if (w->waits)
		return;
	if (c->err.code == ERROR_NONE && !w->visible.more && !w->is_cut && w->names.more) {
		w->is_cut = is_spent(w);
		if (!w->is_cut && move_on(w, &c->err) == 0)
			return call_work(x, c, read_names, names_read);
	}
	if (c->err.code == ERROR_NONE)
		write_walk(c);
	call_answer(x, c);
}

/* A page that is there already needs no worker. */
void catalog_start(struct http_exchange *x, struct call *c)
{
	CLEANUP(page_done) struct page page = {0};

	if (parse_catalog_page(c, &page, &c->err) != 0 ||
		(c->sees_all && catalog_from_cache(c, &page)))
		return call_answer(x, c);
	if (c->sees_all)
		return call_run(x, c);
	if (walk_new(&c->catalog_walk, &page, &c->err) != 0)
		return call_answer(x, c);
	call_work(x, c, read_names, names_read);
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
	add_page_headers(c, path, page.n, next);
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
