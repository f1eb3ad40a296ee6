/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

#include "base/file.h"

void store_blob_init(struct store_blob *b)
{
	*b = (struct store_blob){.fd = -1, .data = BUF_INIT(LIMIT_BLOB_IN_ROW)};
}

void store_blob_done(struct store_blob *b)
{
	closep(&b->fd);
	buf_done(&b->data);
	store_blob_init(b);
}

int store_damaged(const struct digest *digest, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];

	return error_set(err, ERROR_INTERNAL,
		"the stored bytes of %s are damaged: they do not match the digest",
		digest_format(digest, text));
}

int store_check_digest(const struct digest *digest, struct slice bytes, struct error *err)
{
	struct digest got = digest_of_as(digest->algorithm, bytes);

	return digest_eq(&got, digest) ? 0 : store_damaged(digest, err);
}

static int unknown(const struct digest *digest, struct slice repository, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];

	return error_set(err, ERROR_NOT_FOUND, "there is no blob %s in %.*s",
		digest_format(digest, text), SLICE_ARG(repository));
}

static int read_row(struct query *q, const struct digest *digest, struct store *s,
	struct store_blob *ret, struct error *err)
{
	uint64_t size = (uint64_t)query_int(q);
	int64_t pushed_at = query_int(q);
	struct slice data = query_slice(q);

	if (data.p == NULL) {
		if (store_blob_open_file(s, digest, size, &ret->fd, err) != 0)
			return -1;
	} else {
		if (store_check_digest(digest, data, err) != 0)
			return -1;
		buf_add(&ret->data, data);
		if (buf_check(&ret->data, err) != 0)
			return -1;
	}
	ret->size = size;
	ret->pushed_at = pushed_at;
	return 0;
}

int store_blob_get(struct store_conn *c, struct slice repository, const struct digest *digest,
	struct store_blob *ret, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_BLOB_OF_REPOSITORY);
	int row;

	query_bind_text(&q, repository);
	query_bind_digest(&q, digest);
	row = query_row(&q, err);
	if (row < 0)
		return -1;
	if (row == 0)
		return unknown(digest, repository, err);
	return read_row(&q, digest, c->store, ret, err);
}

int store_blob_find(struct store_conn *c, int64_t repository, const struct digest *digest,
	int64_t *ret, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_BLOB_OF_REPOSITORY_FIND);

	query_bind_int(&q, repository);
	query_bind_digest(&q, digest);
	return query_id(&q, ret, err);
}

/* The id of the blob, whoever has it; 0 when there is none. */
static int find_anywhere(
	struct store_conn *c, const struct digest *digest, int64_t *ret, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_BLOB_FIND);

	query_bind_digest(&q, digest);
	return query_id(&q, ret, err);
}

/* The id likewise, and whether the stored bytes are these. */
static int find_same(struct store_conn *tx, const struct digest *digest, struct slice data,
	int64_t *ret, bool *ret_same, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_BLOB_COMPARE);

	query_bind_digest(&q, digest);
	query_bind_blob(&q, data);
	if (query_id(&q, ret, err) != 0)
		return -1;
	*ret_same = *ret != 0 && query_int(&q) != 0;
	return 0;
}

static int insert(struct store_conn *tx, const struct digest *digest, uint64_t size,
	struct slice data, int64_t *ret, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_BLOB_ADD);

	query_bind_digest(&q, digest);
	query_bind_int(&q, (int64_t)size);
	query_bind_blob(&q, data);
	if (query_run(&q, err) != 0)
		return -1;
	*ret = sqlite3_last_insert_rowid(tx->db);
	return 0;
}

/* What is stored is damaged, or is a row where it was a file: the bytes at hand are right. */
static int replace(
	struct store_conn *tx, int64_t blob, uint64_t size, struct slice data, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_BLOB_REPLACE);

	query_bind_int(&q, blob);
	query_bind_int(&q, (int64_t)size);
	query_bind_blob(&q, data);
	return query_run(&q, err);
}

static int link_to(
	struct store_conn *tx, int64_t repository, int64_t blob, bool named, struct error *err)
{
	CLEANUP(query_done)
	struct query q = query(tx, named ? SQL_REPOSITORY_BLOB_KEEP : SQL_REPOSITORY_BLOB_ADD);

	query_bind_int(&q, blob);
	query_bind_int(&q, repository);
	query_bind_int(&q, store_now_s());
	return query_run(&q, err);
}

int store_blob_add(struct store_conn *tx, int64_t repository, const struct digest *digest,
	uint64_t size, struct slice bytes, bool named, struct error *err)
{
	struct slice data = SLICE_NONE; /* of a file */
	int64_t blob;
	bool same;

	if (size <= LIMIT_BLOB_IN_ROW) {
		ASSERT(bytes.n == size);
		data = size == 0 ? SLICE("") : bytes;
	}
	if (find_same(tx, digest, data, &blob, &same, err) != 0)
		return -1;
	if (blob == 0) {
		if (insert(tx, digest, size, data, &blob, err) != 0)
			return -1;
	} else if (!same && replace(tx, blob, size, data, err) != 0) {
		return -1;
	}
	return link_to(tx, repository, blob, named, err);
}

int store_blob_put(struct store_conn *tx, struct slice repository, const struct digest *digest,
	uint64_t size, struct slice bytes, struct error *err)
{
	int64_t id;

	if (store_blob_check_file(tx->store, digest, size, err) != 0 ||
		store_repository_make(tx, repository, &id, err) != 0)
		return -1;
	return store_blob_add(tx, id, digest, size, bytes, false, err);
}

/* *ret = 0 when the blob is not in "from". */
static int find_from(struct store_conn *c, struct slice from, const struct digest *digest,
	int64_t *ret, struct error *err)
{
	int64_t id;

	if (from.p == NULL)
		return find_anywhere(c, digest, ret, err);
	if (store_repository_find(c, from, &id, err) != 0)
		return -1;
	return store_blob_find(c, id, digest, ret, err);
}

int store_blob_mount(struct store_conn *tx, struct slice repository, struct slice from,
	const struct digest *digest, struct error *err)
{
	int64_t blob, id;

	if (find_from(tx, from, digest, &blob, err) != 0)
		return -1;
	if (blob == 0)
		return unknown(digest, from.p == NULL ? SLICE("any repository") : from, err);
	if (store_repository_make(tx, repository, &id, err) != 0)
		return -1;
	return link_to(tx, id, blob, false, err);
}

int store_blob_touch(struct store_conn *tx, struct slice repository, const struct digest *digest,
	struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_REPOSITORY_BLOB_TOUCH);
	int64_t id, blob;

	if (store_repository_find(tx, repository, &id, err) != 0 ||
		find_anywhere(tx, digest, &blob, err) != 0)
		return -1;
	query_bind_int(&q, blob);
	query_bind_int(&q, id);
	query_bind_int(&q, store_now_s());
	if (query_run(&q, err) != 0)
		return -1;
	return sqlite3_changes(tx->db) > 0 ? 0 : unknown(digest, repository, err);
}

int store_blob_delete_unused(struct store_conn *tx, int64_t blob, uint64_t *ret_size,
	bool *ret_deleted, bool *ret_file, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_BLOB_DELETE_UNUSED);
	int row;

	query_bind_int(&q, blob);
	row = query_row(&q, err);
	if (row < 0)
		return -1;
	*ret_deleted = row > 0;
	if (row > 0) {
		*ret_size = (uint64_t)query_int(&q);
		*ret_file = query_int(&q) != 0;
	}
	return 0;
}

static int unlink_from(struct store_conn *tx, int64_t repository, int64_t blob, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_REPOSITORY_BLOB_DELETE);

	query_bind_int(&q, blob);
	query_bind_int(&q, repository);
	return query_run(&q, err);
}

int store_blob_delete(struct store_conn *tx, struct slice repository, const struct digest *digest,
	struct error *err)
{
	int64_t id, blob;
	uint64_t size;
	bool deleted, is_file;

	if (store_repository_find(tx, repository, &id, err) != 0 ||
		store_blob_find(tx, id, digest, &blob, err) != 0)
		return -1;
	if (blob == 0)
		return unknown(digest, repository, err);
	if (unlink_from(tx, id, blob, err) != 0)
		return -1;
	return store_blob_delete_unused(tx, blob, &size, &deleted, &is_file, err);
}
