/* SPDX-License-Identifier: Apache-2.0 */
#include "store/backup.h"

#include "base/file.h"
#include "catalog/tar.h"
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define SEND_MAX ((size_t)1 << 30) /* in one call */

struct backup {
	struct store *store;
	const char *path;
	char *database; /* the copy that is packed, until then under uploads/; NULL: none yet */
	char *partial;  /* the tar, until it is whole; NULL: none, or it has its name */
	int fd;         /* of the tar */
	uint64_t written;
};

static void remove_file(char *path)
{
	if (path != NULL)
		unlink(path);
	free(path);
}

static void backup_done(struct backup *b)
{
	closep(&b->fd);
	remove_file(b->database);
	remove_file(b->partial);
}

/* ---- the database, as it is at one moment ---- */

static int vacuum_into(struct store_conn *c, const char *path, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_COPY_DATABASE);
	int result;

	query_bind_text(&q, slice_of(path));
	result = query_run(&q, err);
	if (result != 0 && store_interrupted(c->store, err) != 0)
		return -1; /* that is why */
	return result;
}

static int copy_database(struct backup *b, struct error *err)
{
	CLEANUP(store_conn_closep) struct store_conn *c = NULL;
	AUTO_CLOSE int fd = -1;

	if (asprintf(&b->database, "%s/uploads/backup.XXXXXX", store_dir(b->store)) < 0) {
		b->database = NULL;
		return error_no_memory(err);
	}
	fd = mkostemp(b->database, O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot make a copy of the database");
	if (store_conn_open(&c, b->store, NULL, err) != 0)
		return -1;
	return vacuum_into(c, b->database, err);
}

/* ---- the tar ---- */

static int put(struct backup *b, const struct buf *bytes, struct error *err)
{
	if (buf_check(bytes, err) != 0 || file_write_all(b->fd, bytes->data, bytes->len, err) != 0)
		return -1;
	b->written += bytes->len;
	return 0;
}

static int put_header(
	struct backup *b, const char *path, unsigned mode, uint64_t size, struct error *err)
{
	CLEANUP(buf_done) struct buf bytes = BUF_INIT(4 * TAR_BLOCK);

	tar_add_entry(&bytes, &(struct tar_entry){
				      .path = slice_of(path),
				      .size = size,
				      .mode = mode,
				      .mtime_s = (uint64_t)store_now_s(),
			      });
	return put(b, &bytes, err);
}

/* What was copied past put(). */
static int finish_content(struct backup *b, uint64_t size, struct error *err)
{
	CLEANUP(buf_done) struct buf bytes = BUF_INIT(TAR_BLOCK);

	b->written += size;
	tar_add_padding(&bytes, (size_t)(size % TAR_BLOCK));
	return put(b, &bytes, err);
}

static int send_all(int from, int to, uint64_t size, struct error *err)
{
	while (size > 0) {
		ssize_t n = sendfile(to, from, NULL, size < SEND_MAX ? (size_t)size : SEND_MAX);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set_errno(err, n < 0 ? errno : EIO, "cannot write");
		size -= (uint64_t)n;
	}
	return 0;
}

static int put_database(struct backup *b, struct error *err)
{
	AUTO_CLOSE int fd = open(b->database, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		return error_set_errno(err, errno, "cannot open the copy of the database");
	if (put_header(b, "registry.db", 0600, (uint64_t)st.st_size, err) != 0 ||
		send_all(fd, b->fd, (uint64_t)st.st_size, err) != 0)
		return -1;
	return finish_content(b, (uint64_t)st.st_size, err);
}

static int put_blob(struct backup *b, const struct digest *digest, uint64_t size, struct error *err)
{
	char path[STORE_BLOB_PATH_SIZE];

	if (put_header(b, store_blob_path(digest, path), 0600, size, err) != 0 ||
		store_blob_copy_file(b->store, digest, size, b->fd, err) != 0)
		return -1;
	return finish_content(b, size, err);
}

/* Only for their owner: the folders that tar makes below them are open to all. */
static int put_folders(struct backup *b, struct error *err)
{
	static const char *const paths[] = {"blobs/", "blobs/sha256/", "blobs/sha512/"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (put_header(b, paths[i], 0700, 0, err) != 0)
			return -1;
	return 0;
}

/* Each file that the copy names is there: only garbage collection removes files. */
static int put_blobs_of(struct backup *b, struct store_conn *copy, struct error *err)
{
	CLEANUP(query_done) struct query q = query(copy, SQL_BLOB_FILES);
	struct digest digest;
	int row;

	while ((row = query_row(&q, err)) == 1)
		if (query_digest(&q, &digest, err) != 0 ||
			put_blob(b, &digest, (uint64_t)query_int(&q), err) != 0)
			return -1;
	return row;
}

static int put_blobs(struct backup *b, struct error *err)
{
	CLEANUP(store_conn_closep) struct store_conn *copy = NULL;

	if (store_conn_open(&copy, b->store, b->database, err) != 0)
		return -1;
	return put_blobs_of(b, copy, err);
}

static int put_end(struct backup *b, struct error *err)
{
	CLEANUP(buf_done) struct buf bytes = BUF_INIT(2 * TAR_BLOCK);

	tar_add_end(&bytes);
	return put(b, &bytes, err);
}

/* ---- its file ---- */

/* A rename would put a file in the place of a device or a link. */
static int check_target(const char *path, struct error *err)
{
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return error_set(err, ERROR_INVALID,
			"the backup cannot be written to %s, which is no regular file; name a file",
			path);
	return 0;
}

static int open_partial(struct backup *b, struct error *err)
{
	if (asprintf(&b->partial, "%s.partial", b->path) < 0) {
		b->partial = NULL;
		return error_no_memory(err);
	}
	/* Of an earlier one that was cut off. */
	if (unlink(b->partial) != 0 && errno != ENOENT)
		return error_set_errno(err, errno, "cannot remove %s", b->partial);
	b->fd = open(b->partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (b->fd < 0)
		return error_set_errno(err, errno, "cannot make %s", b->partial);
	return 0;
}

static int sync_folder_of(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *folder = NULL;
	AUTO_CLOSE int fd = -1;

	folder = slash == NULL ? slice_dup(SLICE("."))
			       : slice_dup((struct slice){path, (size_t)(slash - path) + 1});
	if (folder == NULL)
		return error_no_memory(err);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		return error_set_errno(err, errno, "cannot sync %s to disk", folder);
	return 0;
}

/* On a disk that need not be the store's: a failed sync ends the backup, not the process. */
static int publish(struct backup *b, struct error *err)
{
	if (fsync(b->fd) != 0)
		return error_set_errno(err, errno, "cannot sync to disk");
	if (rename(b->partial, b->path) != 0)
		return error_set_errno(err, errno, "cannot rename %s", b->partial);
	free(b->partial);
	b->partial = NULL;
	return sync_folder_of(b->path, err);
}

int store_backup(struct store *s, const char *path, uint64_t *ret_bytes, struct error *err)
{
	CLEANUP(backup_done) struct backup b = {.store = s, .path = path, .fd = -1};

	if (check_target(path, err) != 0 || copy_database(&b, err) != 0 ||
		open_partial(&b, err) != 0)
		return -1;
	if (put_database(&b, err) != 0 || put_folders(&b, err) != 0 || put_blobs(&b, err) != 0 ||
		put_end(&b, err) != 0 || publish(&b, err) != 0)
		return error_wrap(err, "the backup %s", path);
	*ret_bytes = b.written;
	return 0;
}
