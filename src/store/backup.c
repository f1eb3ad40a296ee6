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
	int folder;     /* that path is in */
	char *database; /* the copy that is packed; NULL: none yet */
	char *partial;  /* the tar, until it is whole; NULL: none, or it has its name */
	int fd;         /* of the tar */
	struct backup_report *report;
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
	closep(&b->folder);
	closep(&b->fd);
	remove_file(b->database);
	remove_file(b->partial);
}

/* Beside the backup; what an earlier one that was cut off has left there goes. */
static int create(
	const struct backup *b, const char *suffix, char **ret_path, int *ret_fd, struct error *err)
{
	AUTO_FREE char *path = str_printf("%s%s", b->path, suffix);
	int fd;

	if (path == NULL)
		return error_no_memory(err);
	if (unlink(path) != 0 && errno != ENOENT)
		return error_set_errno(err, errno, "cannot remove %s", path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot make %s", path);
	*ret_path = TAKE_PTR(path);
	*ret_fd = fd;
	return 0;
}

/* ---- the database, as it is at one moment ---- */

static int vacuum_into(struct store_conn *c, const char *path, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_COPY_DATABASE);

	query_bind_text(&q, slice_of(path));
	if (query_run(&q, err) == 0)
		return 0;
	if (store_interrupted(c->store, err) == 0 && err->code == ERROR_NO_SPACE)
		error_set(err, ERROR_NO_SPACE, "cannot write %s: No space left on device", path);
	return -1;
}

/* The copy goes when it is packed. Without a sync, as one that fails on the backup's disk would end
 * the process. */
static int do_not_sync(struct store_conn *c, struct error *err)
{
	if (sqlite3_exec(c->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL) != SQLITE_OK)
		return store_db_error(c->db, err);
	return 0;
}

static int copy_database(struct backup *b, struct error *err)
{
	CLEANUP(store_conn_closep) struct store_conn *c = NULL;
	AUTO_CLOSE int fd = -1;

	if (create(b, ".partial.db", &b->database, &fd, err) != 0 ||
		store_conn_open(&c, b->store, NULL, err) != 0 || do_not_sync(c, err) != 0)
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

static int pack_blob(
	struct backup *b, const struct digest *digest, uint64_t size, struct error *err)
{
	char path[STORE_BLOB_PATH_SIZE];

	if (put_header(b, store_blob_path(digest, path), 0600, size, err) != 0 ||
		store_blob_copy_file(b->store, digest, size, b->fd, err) != 0)
		return -1;
	return finish_content(b, size, err);
}

/* What was put from byte "end" on is undone. */
static int rewind_to(struct backup *b, uint64_t end, struct error *err)
{
	if (ftruncate(b->fd, (off_t)end) != 0 || lseek(b->fd, (off_t)end, SEEK_SET) < 0)
		return error_set_errno(err, errno, "cannot write");
	b->written = end;
	return 0;
}

static void note_damaged(
	struct backup_report *r, const struct digest *digest, const struct error *reason)
{
	char text[DIGEST_TEXT_SIZE];

	r->damaged++;
	if (r->text.len + LIMIT_ERROR_TEXT + DIGEST_TEXT_SIZE < r->text.max)
		buf_printf(&r->text, "blob %s: %s\n", digest_format(digest, text), reason->text);
}

/* One that is damaged is left out. */
static int put_blob(struct backup *b, const struct digest *digest, uint64_t size, struct error *err)
{
	struct error failure = ERROR_INIT, reason = ERROR_INIT;
	uint64_t start = b->written;

	if (pack_blob(b, digest, size, &failure) == 0)
		return 0;
	/* Reading it alone tells whether it is the blob, or the disk that the backup goes to. */
	if (store_blob_copy_file(b->store, digest, size, -1, &reason) == 0 ||
		reason.code != ERROR_INTERNAL) {
		*err = failure;
		return -1;
	}
	note_damaged(b->report, digest, &reason);
	return rewind_to(b, start, err);
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

static int open_folder_of(struct backup *b, struct error *err)
{
	const char *slash = strrchr(b->path, '/');
	AUTO_FREE char *folder = NULL;

	folder = slash == NULL ? slice_dup(SLICE("."))
			       : slice_dup((struct slice){b->path, (size_t)(slash - b->path) + 1});
	if (folder == NULL)
		return error_no_memory(err);
	b->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return b->folder >= 0 ? 0 : error_set_errno(err, errno, "cannot open its folder");
}

static int check_target(struct backup *b, struct error *err)
{
	struct stat st;

	/* A rename would put a file in the place of a device or a link. */
	if (lstat(b->path, &st) == 0 && !S_ISREG(st.st_mode))
		return error_set(err, ERROR_INVALID, "it is no regular file; name a file");
	if (open_folder_of(b, err) != 0)
		return -1;
	return store_check_outside(b->store, b->folder, err);
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
	if (fsync(b->folder) != 0)
		return error_set_errno(err, errno, "cannot sync its folder to disk");
	return 0;
}

void backup_report_init(struct backup_report *r)
{
	*r = (struct backup_report){.text = BUF_INIT(LIMIT_VERIFY_TEXT)};
}

void backup_report_done(struct backup_report *r)
{
	buf_done(&r->text);
}

int store_backup(struct store *s, const char *path, struct backup_report *ret, struct error *err)
{
	CLEANUP(backup_done)
	struct backup b = {.store = s, .path = path, .folder = -1, .fd = -1, .report = ret};

	if (check_target(&b, err) != 0 || copy_database(&b, err) != 0 ||
		create(&b, ".partial", &b.partial, &b.fd, err) != 0 || put_database(&b, err) != 0 ||
		put_folders(&b, err) != 0 || put_blobs(&b, err) != 0 || put_end(&b, err) != 0 ||
		publish(&b, err) != 0)
		return error_wrap(err, "the backup %s", path);
	ret->bytes = b.written;
	return 0;
}
