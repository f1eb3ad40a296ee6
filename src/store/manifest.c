/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

#include "oci/reference.h"

void store_manifest_init(struct store_manifest *m)
{
	*m = (struct store_manifest){.bytes = BUF_INIT(LIMIT_MANIFEST)};
}

void store_manifest_done(struct store_manifest *m)
{
	buf_done(&m->bytes);
	store_manifest_init(m);
}

static int unknown(struct slice repository, struct slice reference, struct error *err)
{
	return error_set(err, ERROR_NOT_FOUND, "there is no manifest %.*s in %.*s",
		SLICE_ARG(reference), SLICE_ARG(repository));
}

static int unknown_digest(struct slice repository, const struct digest *digest, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];

	return unknown(repository, slice_of(digest_format(digest, text)), err);
}

/* ---- repositories ---- */

int store_repository_find(struct store_conn *c, struct slice name, int64_t *ret, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_REPOSITORY_FIND);

	query_bind_text(&q, name);
	return query_id(&q, ret, err);
}

int store_repository_add(struct store_conn *tx, struct slice name, int64_t *ret, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_REPOSITORY_ADD);

	query_bind_text(&q, name);
	if (query_run(&q, err) != 0)
		return -1;
	*ret = sqlite3_last_insert_rowid(tx->db);
	return 0;
}

int store_repository_make(struct store_conn *tx, struct slice name, int64_t *ret, struct error *err)
{
	if (store_repository_find(tx, name, ret, err) != 0)
		return -1;
	return *ret != 0 ? 0 : store_repository_add(tx, name, ret, err);
}

/* ---- reading ---- */

static int read_row(struct query *q, struct store_manifest *ret, struct error *err)
{
	struct digest digest;
	struct slice media_type, bytes;

	if (query_digest(q, &digest, err) != 0)
		return -1;
	media_type = query_slice(q);
	bytes = query_slice(q);
	if (media_type.n >= sizeof(ret->media_type))
		return error_set(err, ERROR_INTERNAL,
			"the registry's database is damaged: a media type is too long");
	if (store_check_digest(&digest, bytes, err) != 0)
		return -1;
	buf_add(&ret->bytes, bytes);
	if (buf_check(&ret->bytes, err) != 0)
		return -1;
	ret->digest = digest;
	memcpy(ret->media_type, media_type.p, media_type.n);
	ret->media_type[media_type.n] = '\0';
	return 0;
}

int store_manifest_get(struct store_conn *c, struct slice repository, struct slice reference,
	struct store_manifest *ret, struct error *err)
{
	bool by_tag = oci_tag_ok(reference);
	CLEANUP(query_done)
	struct query q = query(c, by_tag ? SQL_MANIFEST_BY_TAG : SQL_MANIFEST_BY_DIGEST);
	struct digest digest;
	int row;

	query_bind_text(&q, repository);
	if (by_tag) {
		query_bind_text(&q, reference);
	} else {
		if (digest_parse(&digest, reference, err) != 0)
			return -1;
		query_bind_digest(&q, &digest);
	}
	row = query_row(&q, err);
	if (row < 0)
		return -1;
	return row == 0 ? unknown(repository, reference, err) : read_row(&q, ret, err);
}

int store_tag_get(struct store_conn *c, struct slice repository, struct slice tag,
	struct digest *ret, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_TAG_DIGEST);
	int row;

	query_bind_text(&q, repository);
	query_bind_text(&q, tag);
	row = query_row(&q, err);
	if (row < 0)
		return -1;
	return row == 0 ? unknown(repository, tag, err) : query_digest(&q, ret, err);
}

int store_manifest_find(struct store_conn *c, int64_t repository, const struct digest *digest,
	int64_t *ret, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_MANIFEST_FIND);

	query_bind_int(&q, repository);
	query_bind_digest(&q, digest);
	return query_id(&q, ret, err);
}

int store_note_if_no_manifest(struct store_conn *tx, int64_t repository, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_MANIFEST_ANY);
	int64_t manifest;

	query_bind_int(&q, repository);
	if (query_id(&q, &manifest, err) != 0)
		return -1;
	if (manifest == 0)
		tx->repositories_changed = true;
	return 0;
}

/* ---- references ---- */

static int refer(struct store_conn *tx, enum store_sql sql, int64_t repository, int64_t manifest,
	const struct oci_descriptor *to, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, sql);

	query_bind_int(&q, repository);
	query_bind_digest(&q, &to->digest);
	query_bind_int(&q, manifest);
	return query_run(&q, err);
}

int store_references(struct store_conn *tx, enum store_sql sql, int64_t repository,
	int64_t manifest, const struct oci_manifest *m, struct error *err)
{
	if (m->kind == OCI_IMAGE && refer(tx, sql, repository, manifest, &m->config, err) != 0)
		return -1;
	for (size_t i = 0; i < m->n_children; i++)
		if (refer(tx, sql, repository, manifest, &m->children[i], err) != 0)
			return -1;
	return 0;
}

/* ---- deleting ---- */

static int delete_tags_of(
	struct store_conn *tx, int64_t repository, int64_t manifest, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_TAGS_OF_MANIFEST_DELETE);

	query_bind_int(&q, repository);
	query_bind_int(&q, manifest);
	return query_run(&q, err);
}

/* Of a manifest whose bytes do not say what it names. */
static int search_references(
	struct store_conn *tx, int64_t repository, int64_t manifest, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_REFERENCES_DELETE);

	query_bind_int(&q, repository);
	query_bind_int(&q, manifest);
	return query_run(&q, err);
}

static int delete_references(struct store_conn *tx, int64_t repository, int64_t manifest,
	struct slice name, const struct digest *digest, struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	CLEANUP(store_manifest_done) struct store_manifest stored;
	struct error failure = ERROR_INIT;
	char text[DIGEST_TEXT_SIZE];

	store_manifest_init(&stored);
	if (store_manifest_get(
		    tx, name, slice_of(digest_format(digest, text)), &stored, &failure) != 0 ||
		oci_manifest_parse(&m, buf_slice(&stored.bytes), &failure) != 0)
		return search_references(tx, repository, manifest, err);
	return store_references(tx, SQL_REFERENCE_DELETE, repository, manifest, m, err);
}

static int delete_row(struct store_conn *tx, int64_t repository, int64_t manifest,
	struct slice name, const struct digest *digest, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_MANIFEST_DELETE);

	if (delete_references(tx, repository, manifest, name, digest, err) != 0)
		return -1;
	query_bind_int(&q, manifest);
	return query_run(&q, err);
}

int store_manifest_delete(struct store_conn *tx, struct slice repository,
	const struct digest *digest, struct error *err)
{
	int64_t id, manifest;

	if (store_repository_find(tx, repository, &id, err) != 0 ||
		store_manifest_find(tx, id, digest, &manifest, err) != 0)
		return -1;
	if (manifest == 0)
		return unknown_digest(repository, digest, err);
	if (delete_tags_of(tx, id, manifest, err) != 0 ||
		delete_row(tx, id, manifest, repository, digest, err) != 0)
		return -1;
	return store_note_if_no_manifest(tx, id, err);
}

static int delete_tag(struct store_conn *tx, int64_t repository, struct slice tag, bool *ret_found,
	struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_TAG_DELETE);

	query_bind_int(&q, repository);
	query_bind_text(&q, tag);
	if (query_run(&q, err) != 0)
		return -1;
	*ret_found = sqlite3_changes(tx->db) > 0;
	return 0;
}

int store_tag_delete(
	struct store_conn *tx, struct slice repository, struct slice tag, struct error *err)
{
	int64_t id;
	bool found;

	if (store_repository_find(tx, repository, &id, err) != 0 ||
		delete_tag(tx, id, tag, &found, err) != 0)
		return -1;
	return found ? 0 : unknown(repository, tag, err);
}

/* ---- expiring ---- */

/* A manifest that has lost a tag. */
struct leftover {
	int64_t id;
	struct digest digest;
	bool kept;
};

struct leftovers {
	size_t n;
	struct leftover *list;
};

static void leftovers_done(struct leftovers *l)
{
	free(l->list);
}

static int leftover_cmp(const void *a, const void *b)
{
	int64_t left = ((const struct leftover *)a)->id, right = ((const struct leftover *)b)->id;

	return (left > right) - (left < right);
}

static int note_manifest_of(struct leftovers *l, struct store_conn *tx, int64_t repository,
	struct slice tag, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_TAG_MANIFEST);
	struct leftover *m = &l->list[l->n];
	int row;

	query_bind_int(&q, repository);
	query_bind_text(&q, tag);
	row = query_row(&q, err);
	if (row <= 0)
		return row;
	m->id = query_int(&q);
	l->n++;
	return query_digest(&q, &m->digest, err);
}

/* In the order of their ids, each once. */
static void sort_leftovers(struct leftovers *l)
{
	size_t n = 0;

	qsort(l->list, l->n, sizeof(l->list[0]), leftover_cmp);
	for (size_t i = 0; i < l->n; i++)
		if (n == 0 || l->list[i].id != l->list[n - 1].id)
			l->list[n++] = l->list[i];
	l->n = n;
}

/* No index leads from a manifest to its tags, since each push would have to keep it: all tags are
 * read instead, once. */
static int keep_tagged(
	struct leftovers *l, struct store_conn *tx, int64_t repository, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_TAGGED);
	int row;

	query_bind_int(&q, repository);
	while ((row = query_row(&q, err)) > 0) {
		struct leftover key = {.id = query_int(&q)}, *found;

		found = bsearch(&key, l->list, l->n, sizeof(l->list[0]), leftover_cmp);
		if (found != NULL)
			found->kept = true;
	}
	return row;
}

static int keep_named(
	struct leftover *m, struct store_conn *tx, int64_t repository, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_MANIFEST_NAMED);
	int row;

	query_bind_int(&q, repository);
	query_bind_digest(&q, &m->digest);
	row = query_row(&q, err);
	m->kept = row > 0;
	return row < 0 ? -1 : 0;
}

/* Those that none names now; the others are left in the list. */
static int delete_unnamed(struct leftovers *l, struct store_conn *tx, int64_t repository,
	struct slice name, struct error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct leftover *m = &l->list[i];

		if (m->kept)
			continue;
		if (keep_named(m, tx, repository, err) != 0)
			return -1;
		if (m->kept)
			l->list[n++] = (struct leftover){.id = m->id, .digest = m->digest};
		else if (delete_row(tx, repository, m->id, name, &m->digest, err) != 0)
			return -1;
	}
	l->n = n;
	return 0;
}

/* One may name another, as signatures do, in any order. */
static int delete_leftovers(struct leftovers *l, struct store_conn *tx, int64_t repository,
	struct slice name, struct error *err)
{
	size_t before;

	if (l->n == 0)
		return 0;
	sort_leftovers(l);
	if (keep_tagged(l, tx, repository, err) != 0)
		return -1;
	do {
		before = l->n;
		if (delete_unnamed(l, tx, repository, name, err) != 0)
			return -1;
	} while (l->n > 0 && l->n < before);
	return store_note_if_no_manifest(tx, repository, err);
}

int store_tags_expire(struct store_conn *tx, struct slice repository, struct store_expiry *list,
	size_t n, struct error *err)
{
	CLEANUP(leftovers_done) struct leftovers l = {.list = calloc(n + 1, sizeof(l.list[0]))};
	int64_t id;

	if (l.list == NULL)
		return error_no_memory(err);
	if (store_repository_find(tx, repository, &id, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (note_manifest_of(&l, tx, id, list[i].tag, err) != 0 ||
			delete_tag(tx, id, list[i].tag, &list[i].found, err) != 0)
			return -1;
	return delete_leftovers(&l, tx, id, repository, err);
}
