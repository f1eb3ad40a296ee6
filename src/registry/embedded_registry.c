/* SPDX-License-Identifier: Apache-2.0 */
/* The publisher's way in: a struct registry whose transactions are the store's. */
#include "registry/embedded_private.h"

#include "base/file.h"

#include <stdio.h>

struct embedded_registry {
	struct registry base;
	struct store *store;
	struct store_conn *tx; /* between begin and commit */
};

static struct embedded_registry *self(struct registry *r)
{
	return (struct embedded_registry *)r;
}

/* Where reads go: into the transaction that is open, or to a reader, to be given back. */
struct view {
	struct store_conn *conn;
	struct store_conn *reader;
};

static struct view view_open(struct embedded_registry *r)
{
	struct store_conn *reader = r->tx == NULL ? store_reader(r->store) : NULL;

	return (struct view){.conn = reader != NULL ? reader : r->tx, .reader = reader};
}

static void view_done(struct view *v)
{
	store_reader_done(v->reader);
}

/* ---- transactions ---- */

static int begin(struct registry *r, struct error *err)
{
	ASSERT(self(r)->tx == NULL);
	return store_begin(self(r)->store, &self(r)->tx, err);
}

static int commit(struct registry *r, struct error *err)
{
	ASSERT(self(r)->tx != NULL);
	self(r)->tx = NULL;
	return store_commit(self(r)->store, err);
}

static void rollback(struct registry *r)
{
	ASSERT(self(r)->tx != NULL);
	self(r)->tx = NULL;
	store_rollback(self(r)->store);
}

static int write_files(struct store *store, const struct push *push, struct error *err)
{
	for (size_t i = 0; i < push->n_blobs; i++) {
		const struct push_blob *b = &push->blobs[i];

		if (b->bytes.n > LIMIT_BLOB_IN_ROW &&
			store_blob_write_file(store, &b->digest, b->bytes, err) != 0)
			return -1;
	}
	return 0;
}

static int push_one(struct embedded_registry *r, const struct push *push, struct error *err)
{
	struct slice tags[] = {
		push->tag == NULL ? SLICE_NONE : slice_of(push->tag), SLICE("latest")};
	struct store_push put = {
		.repository = slice_of(push->repository),
		.n_tags = (size_t)(push->tag != NULL) + push->moves_latest,
		.tags = tags,
		.n_new_tags = push->tag_is_new,
		.media_type = slice_of(push->media_type),
		.bytes = push->manifest,
		.digest = push->digest,
		.parsed = push->parsed,
		.n_blobs = push->n_blobs,
		.blobs = push->blobs,
	};

	ASSERT(push->tag != NULL || !push->moves_latest);
	if (write_files(r->store, push, err) != 0)
		return -1;
	return store_manifest_put(r->tx, &put, err);
}

static void push(struct registry *r, struct push *pushes, size_t n)
{
	ASSERT(self(r)->tx != NULL);
	for (size_t i = 0; i < n; i++) {
		pushes[i].err = (struct error)ERROR_INIT;
		(void)push_one(self(r), &pushes[i], &pushes[i].err);
	}
}

/* ---- reads ---- */

static void look(struct registry *r, struct look *looks, size_t n)
{
	CLEANUP(view_done) struct view v = view_open(self(r));

	for (size_t i = 0; i < n; i++) {
		struct look *l = &looks[i];

		if (store_tag_get(v.conn, slice_of(l->repository), slice_of(l->tag), &l->digest,
			    &l->err) == 0)
			l->err = (struct error)ERROR_INIT;
	}
}

static int manifest(struct registry *r, const char *repository, const char *reference,
	struct buf *ret, struct digest *ret_digest, struct error *err)
{
	CLEANUP(view_done) struct view v = view_open(self(r));
	CLEANUP(store_manifest_done) struct store_manifest m;

	store_manifest_init(&m);
	if (store_manifest_get(v.conn, slice_of(repository), slice_of(reference), &m, err) != 0)
		return -1;
	buf_add(ret, buf_slice(&m.bytes));
	if (buf_check(ret, err) != 0)
		return -1;
	*ret_digest = m.digest;
	return 0;
}

/* Appends all size bytes of the file, verified. */
static int read_file(
	int fd, uint64_t size, const struct digest *digest, struct buf *ret, struct error *err)
{
	char *room = buf_room(ret, (size_t)size);
	struct digest got;

	if (room == NULL)
		return buf_check(ret, err);
	if (file_read_all_at(fd, room, (size_t)size, 0, "a blob", err) != 0)
		return -1;
	got = digest_of_as(digest->algorithm, (struct slice){room, (size_t)size});
	if (!digest_eq(&got, digest))
		return error_set(err, ERROR_INTERNAL,
			"the stored bytes of a blob are damaged: they do not match the digest");
	buf_claim(ret, (size_t)size);
	return 0;
}

static int blob(struct registry *r, const char *repository, const struct digest *digest,
	struct buf *ret, struct error *err)
{
	CLEANUP(view_done) struct view v = view_open(self(r));
	CLEANUP(store_blob_done) struct store_blob b;

	store_blob_init(&b);
	if (store_blob_get(v.conn, slice_of(repository), digest, &b, err) != 0)
		return -1;
	if (b.fd >= 0)
		return read_file(b.fd, b.size, digest, ret, err);
	buf_add(ret, buf_slice(&b.data));
	return buf_check(ret, err);
}

/* ---- lists: page by page, so that each() may use the registry ---- */

struct list {
	struct embedded_registry *registry;
	const char *repository; /* NULL: of repositories */
	size_t n;               /* of the next page */
	char last[LIMIT_REPOSITORY + 1];
};

/* Who says where to begin wants a few, as a rule. */
#define FIRST_AFTER 32

static int next_page(struct list *l, struct store_names *ret, struct error *err)
{
	CLEANUP(view_done) struct view v = view_open(l->registry);
	struct slice last = slice_of(l->last);

	if (l->repository == NULL)
		return store_repositories(v.conn, last, l->n, ret, err);
	if (store_tags(v.conn, slice_of(l->repository), last, l->n, ret, err) == 0)
		return 0;
	return err->code == ERROR_NOT_FOUND ? 0 : -1; /* unknown: it has no tags */
}

static int visit(struct list *l, int (*each)(struct slice name, void *arg, struct error *err),
	void *arg, struct error *err)
{
	bool more = true;

	while (more) {
		CLEANUP(store_names_done) struct store_names names;
		struct slice name;

		store_names_init(&names);
		if (next_page(l, &names, err) != 0)
			return -1;
		for (size_t at = 0; store_names_next(&names, &at, &name);) {
			ASSERT(name.n < sizeof(l->last));
			memcpy(l->last, name.p, name.n + 1);
			if (each(name, arg, err) != 0)
				return -1;
		}
		more = names.more;
		l->n = LIMIT_LIST_PAGE;
	}
	return 0;
}

static int repositories(struct registry *r,
	int (*each)(struct slice repository, void *arg, struct error *err), void *arg,
	struct error *err)
{
	struct list l = {.registry = self(r), .n = LIMIT_LIST_PAGE};

	return visit(&l, each, arg, err);
}

static int tags(struct registry *r, const char *repository, const char *after,
	int (*each)(struct slice tag, void *arg, struct error *err), void *arg, struct error *err)
{
	struct list l = {.registry = self(r), .repository = repository, .n = LIMIT_LIST_PAGE};

	if (after != NULL) {
		l.n = FIRST_AFTER;
		snprintf(l.last, sizeof(l.last), "%s", after);
	}
	return visit(&l, each, arg, err);
}

/* ---- the rest ---- */

/* The manifests go with their last tags: whoever pulls by digest had a tag before, and garbage
 * collection leaves what an untagged one names. */
static int expire(struct store_conn *tx, const char *repository, struct store_expiry *list,
	const struct untag *untags, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++)
		list[i] = (struct store_expiry){.tag = slice_of(untags[i].tag)};
	return store_tags_expire(tx, slice_of(repository), list, n, err);
}

static int untag_all(struct embedded_registry *r, const char *repository, struct untag *untags,
	size_t n, struct error *err)
{
	AUTO_FREE struct store_expiry *list = calloc(n + 1, sizeof(*list));
	struct store_conn *tx = r->tx;

	if (list == NULL)
		return error_no_memory(err);
	if (tx == NULL && store_begin(r->store, &tx, err) != 0)
		return -1;
	if (expire(tx, repository, list, untags, n, err) != 0) {
		if (r->tx == NULL)
			store_rollback(r->store);
		return -1;
	}
	if (r->tx == NULL && store_commit(r->store, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!list[i].found)
			error_set(&untags[i].err, ERROR_NOT_FOUND, "there is no tag %s in %s",
				untags[i].tag, repository);
	return 0;
}

static void untag(struct registry *r, const char *repository, struct untag *untags, size_t n)
{
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < n; i++)
		untags[i].err = (struct error)ERROR_INIT;
	if (untag_all(self(r), repository, untags, n, &err) != 0)
		for (size_t i = 0; i < n; i++)
			untags[i].err = err;
}

static void registry_ops_free(struct registry *r)
{
	ASSERT(self(r)->tx == NULL);
	free(r);
}

static const struct registry_ops ops = {
	.begin = begin,
	.push = push,
	.commit = commit,
	.rollback = rollback,
	.pull = registry_pull_in_turn,
	.look = look,
	.manifest = manifest,
	.blob = blob,
	.tags = tags,
	.repositories = repositories,
	.untag = untag,
	.free = registry_ops_free,
};

int embedded_registry(struct registry **ret, struct embedded *e, struct error *err)
{
	struct embedded_registry *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return error_no_memory(err);
	r->base = (struct registry){.ops = &ops, .atomic = true};
	r->store = e->store;
	*ret = &r->base;
	return 0;
}
