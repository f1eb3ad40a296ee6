/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

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

int store_verify(const struct digest *digest, struct slice bytes, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];
	struct digest got = digest_of_as(digest->algorithm, bytes);

	if (digest_eq(&got, digest))
		return 0;
	return error_set(err, ERROR_INTERNAL,
		"the stored bytes of %s are damaged: they do not match the digest",
		digest_format(digest, text));
}

static int unknown(const struct digest *digest, struct slice repository, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];

	return error_set(err, ERROR_NOT_FOUND, "there is no blob %s in %.*s",
		digest_format(digest, text), SLICE_ARG(repository));
}

/* ---- files ---- */

/* blobs/<algorithm>/<first two digits>/<hex>; *ret_name is where the last component starts. */
static int file_path(const struct store *s, const struct digest *digest, char **ret,
	size_t *ret_name, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];
	struct slice hex = slice_of(digest_format(digest, text));
	struct slice algorithm = slice_cut(&hex, ':');
	int n = asprintf(
		ret, "%s/blobs/%.*s/%.2s/%s", store_dir(s), SLICE_ARG(algorithm), hex.p, hex.p);

	if (n < 0) {
		*ret = NULL;
		return error_no_memory(err);
	}
	*ret_name = (size_t)n - hex.n;
	return 0;
}

static int open_file(const struct store *s, const struct digest *digest, uint64_t size, int *ret,
	struct error *err)
{
	AUTO_FREE char *path = NULL;
	AUTO_CLOSE int fd = -1;
	char text[DIGEST_TEXT_SIZE];
	struct stat st;
	size_t name;

	if (file_path(s, digest, &path, &name, err) != 0)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return error_set_errno(
			err, errno, "cannot open the file of blob %s", digest_format(digest, text));
	if ((uint64_t)st.st_size != size)
		return error_set(err, ERROR_INTERNAL,
			"the stored bytes of %s are damaged: %lld in place of %llu",
			digest_format(digest, text), (long long)st.st_size,
			(unsigned long long)size);
	*ret = fd;
	fd = -1;
	return 0;
}

int store_blob_adopt_file(
	struct store *s, const struct digest *digest, const char *path, struct error *err)
{
	AUTO_FREE char *folder = NULL;
	AUTO_CLOSE int fd = -1;
	size_t name;

	if (file_path(s, digest, &folder, &name, err) != 0)
		return -1;
	folder[name - 1] = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* A file that is there already has the same bytes. */
	if (fd < 0 || renameat(AT_FDCWD, path, fd, folder + name) != 0)
		return error_set_errno(err, errno, "cannot store a blob");
	return file_sync(fd, err);
}

int store_blob_write_file(
	struct store *s, const struct digest *digest, struct slice bytes, struct error *err)
{
	AUTO_FREE char *path = NULL;
	AUTO_CLOSE int fd = -1;

	if (asprintf(&path, "%s/uploads/blob.XXXXXX", store_dir(s)) < 0) {
		path = NULL;
		return error_no_memory(err);
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot store a blob");
	if (file_write_all(fd, bytes.p, bytes.n, err) == 0 && file_sync(fd, err) == 0 &&
		store_blob_adopt_file(s, digest, path, err) == 0)
		return 0;
	unlink(path);
	return -1;
}

/* ---- rows ---- */

static int read_row(struct query *q, const struct digest *digest, struct store *s,
	struct store_blob *ret, struct error *err)
{
	uint64_t size = (uint64_t)query_int(q);
	struct slice data = query_slice(q);

	if (data.p == NULL) {
		if (open_file(s, digest, size, &ret->fd, err) != 0)
			return -1;
	} else {
		if (store_verify(digest, data, err) != 0)
			return -1;
		buf_add(&ret->data, data);
		if (buf_check(&ret->data, err) != 0)
			return -1;
	}
	ret->size = size;
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

static int insert(struct store_conn *tx, const struct digest *digest, uint64_t size,
	struct slice bytes, int64_t *ret, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_BLOB_ADD);

	query_bind_digest(&q, digest);
	query_bind_int(&q, (int64_t)size);
	query_bind_blob(&q, bytes);
	if (query_run(&q, err) != 0)
		return -1;
	*ret = sqlite3_last_insert_rowid(tx->db);
	return 0;
}

static int link_to(struct store_conn *tx, int64_t repository, int64_t blob, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_REPOSITORY_BLOB_ADD);

	query_bind_int(&q, repository);
	query_bind_int(&q, blob);
	query_bind_int(&q, store_now_s());
	return query_run(&q, err);
}

int store_blob_add(struct store_conn *tx, int64_t repository, const struct digest *digest,
	uint64_t size, struct slice bytes, int64_t *ret, struct error *err)
{
	struct slice data = SLICE_NONE; /* of a file */
	int64_t blob;

	if (size <= LIMIT_BLOB_IN_ROW) {
		ASSERT(bytes.n == size);
		data = size == 0 ? SLICE("") : bytes;
	}
	if (find_anywhere(tx, digest, &blob, err) != 0)
		return -1;
	if (blob == 0 && insert(tx, digest, size, data, &blob, err) != 0)
		return -1;
	if (link_to(tx, repository, blob, err) != 0)
		return -1;
	*ret = blob;
	return 0;
}

int store_blob_put(struct store_conn *tx, struct slice repository, const struct digest *digest,
	uint64_t size, struct slice bytes, struct error *err)
{
	int64_t id, blob;

	if (store_repository_make(tx, repository, &id, err) != 0)
		return -1;
	return store_blob_add(tx, id, digest, size, bytes, &blob, err);
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
	return link_to(tx, id, blob, err);
}

int store_blob_delete(struct store_conn *tx, struct slice repository, const struct digest *digest,
	struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_REPOSITORY_BLOB_DELETE);
	int64_t id, blob;

	if (store_repository_find(tx, repository, &id, err) != 0 ||
		store_blob_find(tx, id, digest, &blob, err) != 0)
		return -1;
	if (blob == 0)
		return unknown(digest, repository, err);
	query_bind_int(&q, id);
	query_bind_int(&q, blob);
	return query_run(&q, err);
}
