/* SPDX-License-Identifier: Apache-2.0 */
/* Putting a manifest, with the blobs that come with it and the tag that names it. */
#include "store/db.h"

struct putting {
	struct store_conn *tx;
	const struct store_push *push;
	int64_t repository; /* 0: not yet */
	int64_t manifest;   /* 0: not yet; else only the tag moves */
	const struct oci_manifest *parsed;
	struct oci_manifest *own_parsed; /* when the push had none */
	int64_t *blobs; /* of an image: what it references, config first; 0: comes with the push,
			 * or is elsewhere */
};

static void putting_done(struct putting *p)
{
	oci_manifest_free(p->own_parsed);
	free(p->blobs);
}

/* The blobs that an image references: its config, then its layers. */
static size_t n_blobs(const struct oci_manifest *m)
{
	return m->kind == OCI_IMAGE ? 1 + m->n_children : 0;
}

static const struct oci_descriptor *blob_at(const struct oci_manifest *m, size_t i)
{
	return i == 0 ? &m->config : &m->children[i - 1];
}

/* ---- what may be refused; nothing is written yet ---- */

static int check_tag(const struct putting *p, struct error *err)
{
	CLEANUP(query_done) struct query q = query(p->tx, SQL_TAG_FIND);
	const struct store_push *push = p->push;
	char text[DIGEST_TEXT_SIZE];
	struct digest old;
	bool immutable;
	int row;

	if (push->tag.p == NULL)
		return 0;
	query_bind_int(&q, p->repository);
	query_bind_text(&q, push->tag);
	row = query_row(&q, err);
	if (row <= 0)
		return row;
	immutable = query_int(&q) != 0;
	if (query_digest(&q, &old, err) != 0)
		return -1;
	if (digest_eq(&old, &push->digest) || (!immutable && !push->tag_is_new))
		return 0;
	return error_set(err, ERROR_CONFLICT,
		"the tag %.*s of %.*s names %s already and cannot be moved; use another tag",
		SLICE_ARG(push->tag), SLICE_ARG(push->repository), digest_format(&old, text));
}

static bool comes_along(const struct store_push *push, const struct digest *digest)
{
	for (size_t i = 0; i < push->n_blobs; i++)
		if (digest_eq(&push->blobs[i].digest, digest))
			return true;
	return false;
}

/* Layers that are never pushed to a registry, by their media types (image-spec, layer.md). */
static bool is_elsewhere(const struct oci_descriptor *d)
{
	return d->media_type != NULL && (strstr(d->media_type, ".nondistributable.") != NULL ||
						strstr(d->media_type, ".foreign.") != NULL);
}

static int find_blob(
	const struct putting *p, const struct oci_descriptor *d, int64_t *ret, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];

	if (comes_along(p->push, &d->digest)) {
		*ret = 0;
		return 0;
	}
	if (store_blob_find(p->tx, p->repository, &d->digest, ret, err) != 0)
		return -1;
	if (*ret != 0 || is_elsewhere(d))
		return 0;
	return error_set(err, ERROR_NOT_FOUND,
		"the manifest names the blob %s, which is not in %.*s: push or mount it first",
		digest_format(&d->digest, text), SLICE_ARG(p->push->repository));
}

static int find_blobs(struct putting *p, struct error *err)
{
	size_t n = n_blobs(p->parsed);

	p->blobs = calloc(n, sizeof(p->blobs[0]));
	if (p->blobs == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++)
		if (find_blob(p, blob_at(p->parsed, i), &p->blobs[i], err) != 0)
			return -1;
	return 0;
}

static int check_children(const struct putting *p, struct error *err)
{
	for (size_t i = 0; i < p->parsed->n_children; i++) {
		const struct digest *digest = &p->parsed->children[i].digest;
		char text[DIGEST_TEXT_SIZE];
		int64_t child;

		if (store_manifest_find(p->tx, p->repository, digest, &child, err) != 0)
			return -1;
		if (child == 0)
			return error_set(err, ERROR_NOT_FOUND,
				"the index names the manifest %s, which is not in %.*s: push it "
				"first",
				digest_format(digest, text), SLICE_ARG(p->push->repository));
	}
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
	return p->parsed->kind == OCI_IMAGE ? find_blobs(p, err) : check_children(p, err);
}

/* ---- what is written ---- */

static int put_blobs(struct putting *p, struct error *err)
{
	for (size_t i = 0; i < p->push->n_blobs; i++) {
		const struct push_blob *b = &p->push->blobs[i];
		int64_t id;

		if (store_blob_add(
			    p->tx, p->repository, &b->digest, b->bytes.n, b->bytes, &id, err) != 0)
			return -1;
		for (size_t j = 0; p->blobs != NULL && j < n_blobs(p->parsed); j++)
			if (digest_eq(&blob_at(p->parsed, j)->digest, &b->digest))
				p->blobs[j] = id;
	}
	return 0;
}

static int add_blob_reference(const struct putting *p, int64_t blob, struct error *err)
{
	CLEANUP(query_done) struct query q = query(p->tx, SQL_MANIFEST_BLOB_ADD);

	if (blob == 0)
		return 0; /* elsewhere */
	query_bind_int(&q, p->manifest);
	query_bind_int(&q, blob);
	return query_run(&q, err);
}

static int add_child_reference(
	const struct putting *p, const struct oci_descriptor *child, struct error *err)
{
	CLEANUP(query_done) struct query q = query(p->tx, SQL_MANIFEST_CHILD_ADD);

	query_bind_int(&q, p->manifest);
	query_bind_digest(&q, &child->digest);
	return query_run(&q, err);
}

static int add_references(const struct putting *p, struct error *err)
{
	const struct oci_manifest *m = p->parsed;

	for (size_t i = 0; i < n_blobs(m); i++)
		if (add_blob_reference(p, p->blobs[i], err) != 0)
			return -1;
	for (size_t i = 0; m->kind == OCI_INDEX && i < m->n_children; i++)
		if (add_child_reference(p, &m->children[i], err) != 0)
			return -1;
	return 0;
}

static int add_manifest(struct putting *p, struct error *err)
{
	CLEANUP(query_done) struct query q = query(p->tx, SQL_MANIFEST_ADD);
	const struct oci_manifest *m = p->parsed;
	struct slice none = SLICE_NONE;

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
	return add_references(p, err);
}

static int put_tag(const struct putting *p, struct error *err)
{
	CLEANUP(query_done) struct query q = query(p->tx, SQL_TAG_PUT);

	if (p->push->tag.p == NULL)
		return 0;
	query_bind_int(&q, p->repository);
	query_bind_text(&q, p->push->tag);
	query_bind_int(&q, p->manifest);
	query_bind_int(&q, p->push->tag_is_new);
	return query_run(&q, err);
}

int store_manifest_put(struct store_conn *tx, const struct store_push *push, struct error *err)
{
	CLEANUP(putting_done) struct putting p = {.tx = tx, .push = push};

	if (store_repository_find(tx, push->repository, &p.repository, err) != 0 ||
		check_tag(&p, err) != 0 ||
		store_manifest_find(tx, p.repository, &push->digest, &p.manifest, err) != 0)
		return -1;
	if (p.manifest == 0 && check_manifest(&p, err) != 0)
		return -1;

	if (p.repository == 0 &&
		store_repository_add(tx, push->repository, &p.repository, err) != 0)
		return -1;
	if (put_blobs(&p, err) != 0)
		return -1;
	if (p.manifest == 0 && add_manifest(&p, err) != 0)
		return -1;
	return put_tag(&p, err);
}
