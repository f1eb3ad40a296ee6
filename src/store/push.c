/* SPDX-License-Identifier: Apache-2.0 */
/* Putting a manifest, with the blobs that come with it and the tags that name it. */
#include "store/db.h"

struct putting {
	struct store_conn *tx;
	const struct store_push *push;
	int64_t repository; /* 0: not yet */
	int64_t manifest;   /* 0: not yet */
	bool has_tags;      /* so the repository has manifests */
	bool damaged;       /* what is stored of it; else only the tags move */
	const struct oci_manifest *parsed;
	struct oci_manifest *own_parsed; /* when the push had none */
};

static void putting_done(struct putting *p)
{
	oci_manifest_free(p->own_parsed);
}

/* ---- what may be refused; nothing is written yet ---- */

static int find_manifest(struct putting *p, struct error *err)
{
	CLEANUP(query_done) struct query q = query(p->tx, SQL_MANIFEST_COMPARE);

	query_bind_int(&q, p->repository);
	query_bind_digest(&q, &p->push->digest);
	query_bind_blob(&q, p->push->bytes);
	if (query_id(&q, &p->manifest, err) != 0)
		return -1;
	p->damaged = p->manifest != 0 && query_int(&q) == 0;
	return 0;
}

static int check_tag(struct putting *p, struct slice tag, bool is_new, struct error *err)
{
	CLEANUP(query_done) struct query q = query(p->tx, SQL_TAG_FIND);
	const struct store_push *push = p->push;
	char text[DIGEST_TEXT_SIZE];
	struct digest old;
	bool immutable;
	int row;

	query_bind_int(&q, p->repository);
	query_bind_text(&q, tag);
	row = query_row(&q, err);
	if (row <= 0)
		return row;
	p->has_tags = true;
	immutable = query_int(&q) != 0;
	if (query_digest(&q, &old, err) != 0)
		return -1;
	if (digest_eq(&old, &push->digest) || (!immutable && !is_new))
		return 0;
	return error_set(err, ERROR_CONFLICT,
		"the tag %.*s of %.*s names %s already and cannot be moved; use another tag",
		SLICE_ARG(tag), SLICE_ARG(push->repository), digest_format(&old, text));
}

static int check_tags(struct putting *p, struct error *err)
{
	for (size_t i = 0; i < p->push->n_tags; i++)
		if (check_tag(p, p->push->tags[i], i < p->push->n_new_tags, err) != 0)
			return -1;
	return 0;
}

static bool comes_along(const struct store_push *push, const struct digest *digest)
{
	for (size_t i = 0; i < push->n_blobs; i++)
		if (digest_eq(&push->blobs[i].digest, digest))
			return true;
	return false;
}

static int check_blob(const struct putting *p, const struct oci_descriptor *d, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];
	int64_t blob;

	if (comes_along(p->push, &d->digest))
		return 0;
	if (store_blob_find(p->tx, p->repository, &d->digest, &blob, err) != 0)
		return -1;
	if (blob != 0)
		return 0;
	return error_set(err, ERROR_NOT_FOUND,
		"the manifest names the blob %s, which is not in %.*s: push or mount it first",
		digest_format(&d->digest, text), SLICE_ARG(p->push->repository));
}

static int check_child(const struct putting *p, const struct oci_descriptor *d, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];
	int64_t child;

	if (store_manifest_find(p->tx, p->repository, &d->digest, &child, err) != 0)
		return -1;
	if (child != 0)
		return 0;
	return error_set(err, ERROR_NOT_FOUND,
		"the index names the manifest %s, which is not in %.*s: push it first",
		digest_format(&d->digest, text), SLICE_ARG(p->push->repository));
}

static int check_references(const struct putting *p, struct error *err)
{
	const struct oci_manifest *m = p->parsed;
	int (*check)(const struct putting *, const struct oci_descriptor *, struct error *) =
		m->kind == OCI_IMAGE ? check_blob : check_child;

	if (m->kind == OCI_IMAGE && check_blob(p, &m->config, err) != 0)
		return -1;
	for (size_t i = 0; i < m->n_children; i++)
		if (check(p, &m->children[i], err) != 0)
			return -1;
	return 0;
}

/* It may be missing, unless it was there, and garbage collection was quicker than the push. */
static int check_sparse_blob(
	const struct putting *p, const struct oci_descriptor *d, struct error *err)
{
	CLEANUP(query_done) struct query q = query(p->tx, SQL_COLLECTED_FIND);
	int row;

	query_bind_int(&q, p->repository);
	query_bind_digest(&q, &d->digest);
	row = query_row(&q, err);
	return row > 0 ? check_blob(p, d, err) : row;
}

static int check_collected(const struct putting *p, struct error *err)
{
	const struct oci_manifest *m = p->parsed;

	if (m->kind != OCI_IMAGE)
		return 0;
	if (check_sparse_blob(p, &m->config, err) != 0)
		return -1;
	for (size_t i = 0; i < m->n_children; i++)
		if (check_sparse_blob(p, &m->children[i], err) != 0)
			return -1;
	return 0;
}

static int check_manifest(struct putting *p, struct error *err)
{
	p->parsed = p->push->parsed;
	if (p->parsed == NULL) {
		if (oci_manifest_parse(&p->own_parsed, p->push->bytes, err) != 0)
			return -1;
		p->parsed = p->own_parsed;
	}
	return p->push->sparse ? check_collected(p, err) : check_references(p, err);
}

static int check_files(const struct putting *p, struct error *err)
{
	for (size_t i = 0; i < p->push->n_blobs; i++) {
		const struct push_blob *b = &p->push->blobs[i];

		if (store_blob_check_file(p->tx->store, &b->digest, b->bytes.n, err) != 0)
			return -1;
	}
	return 0;
}

/* ---- what is written ---- */

static int put_blobs(const struct putting *p, struct error *err)
{
	for (size_t i = 0; i < p->push->n_blobs; i++) {
		const struct push_blob *b = &p->push->blobs[i];

		if (store_blob_add(
			    p->tx, p->repository, &b->digest, b->bytes.n, b->bytes, true, err) != 0)
			return -1;
	}
	return 0;
}

static int add_manifest(struct putting *p, struct error *err)
{
	CLEANUP(query_done) struct query q = query(p->tx, SQL_MANIFEST_ADD);
	const struct oci_manifest *m = p->parsed;
	struct slice none = SLICE_NONE;

	if (!p->has_tags && store_note_if_no_manifest(p->tx, p->repository, err) != 0)
		return -1;
	query_bind_int(&q, p->repository);
	query_bind_digest(&q, &p->push->digest);
	query_bind_text(&q, p->push->media_type);
	query_bind_text(&q, m->artifact_type == NULL ? none : slice_of(m->artifact_type));
	query_bind_digest(&q, m->has_subject ? &m->subject.digest : NULL);
	query_bind_int(&q, store_now_s());
	query_bind_blob(&q, p->push->bytes);
	if (query_run(&q, err) != 0)
		return -1;
	p->manifest = sqlite3_last_insert_rowid(p->tx->db);
	return store_references(p->tx, SQL_REFERENCE_ADD, p->repository, p->manifest, m, err);
}

static int heal_manifest(const struct putting *p, struct error *err)
{
	CLEANUP(query_done) struct query q = query(p->tx, SQL_MANIFEST_REPLACE);

	query_bind_int(&q, p->manifest);
	query_bind_blob(&q, p->push->bytes);
	return query_run(&q, err);
}

static int put_tag(const struct putting *p, struct slice tag, bool is_new, struct error *err)
{
	CLEANUP(query_done) struct query q = query(p->tx, SQL_TAG_PUT);

	query_bind_int(&q, p->repository);
	query_bind_text(&q, tag);
	query_bind_int(&q, p->manifest);
	query_bind_int(&q, is_new);
	return query_run(&q, err);
}

static int put_tags(const struct putting *p, struct error *err)
{
	for (size_t i = 0; i < p->push->n_tags; i++)
		if (put_tag(p, p->push->tags[i], i < p->push->n_new_tags, err) != 0)
			return -1;
	return 0;
}

int store_manifest_put(struct store_conn *tx, const struct store_push *push, struct error *err)
{
	CLEANUP(putting_done) struct putting p = {.tx = tx, .push = push};

	if (store_repository_find(tx, push->repository, &p.repository, err) != 0 ||
		check_tags(&p, err) != 0 || find_manifest(&p, err) != 0)
		return -1;
	if (p.manifest == 0 && check_manifest(&p, err) != 0)
		return -1;
	if (check_files(&p, err) != 0)
		return -1;

	if (p.repository == 0 &&
		store_repository_add(tx, push->repository, &p.repository, err) != 0)
		return -1;
	if (put_blobs(&p, err) != 0)
		return -1;
	if (p.manifest == 0 && add_manifest(&p, err) != 0)
		return -1;
	if (p.damaged && heal_manifest(&p, err) != 0)
		return -1;
	return put_tags(&p, err);
}
