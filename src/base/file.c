/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int file_read(const char *path, struct buf *ret, struct error *err)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		if (errno == ENOENT)
			return error_set(err, ERROR_NOT_FOUND, "%s does not exist", path);
		return error_set_errno(err, errno, "cannot open %s", path);
	}
	return file_read_fd(fd, path, ret, err);
}

int file_read_fd(int fd, const char *name, struct buf *ret, struct error *err)
{
	while (ret->failed == ERROR_NONE) {
		char chunk[16 * 1024];
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(err, errno, "cannot read %s", name);
		if (n == 0)
			break;
		buf_append(ret, chunk, (size_t)n);
	}
	return buf_check(ret, err) == 0 ? 0 : error_wrap(err, "%s", name);
}

int file_read_all_at(int fd, void *ret, size_t n, uint64_t at, const char *name, struct error *err)
{
	char *to = ret;

	while (n > 0) {
		ssize_t got = pread(fd, to, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return error_set_errno(err, got < 0 ? errno : EIO, "cannot read %s", name);
		to += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

int file_write_all(int fd, const void *p, size_t n, struct error *err)
{
	const char *at = p;

	while (n > 0) {
		ssize_t written = write(fd, at, n);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return error_set_errno(err, errno, "cannot write");
		at += written;
		n -= (size_t)written;
	}
	return 0;
}

int file_write_all_at(int fd, const void *p, size_t n, uint64_t at, struct error *err)
{
	const char *from = p;

	while (n > 0) {
		ssize_t written = pwrite(fd, from, n, (off_t)at);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return error_set_errno(err, errno, "cannot write");
		from += written;
		at += (uint64_t)written;
		n -= (size_t)written;
	}
	return 0;
}

void file_start_writeback(int fd, uint64_t at, uint64_t n)
{
	(void)sync_file_range(fd, (off_t)at, (off_t)n, SYNC_FILE_RANGE_WRITE);
}

int file_make_dirs(const char *path, struct error *err)
{
	AUTO_FREE char *copy = slice_dup(slice_of(path));

	if (copy == NULL)
		return error_no_memory(err);
	if (copy[0] == '\0')
		return error_set(err, ERROR_INVALID, "the path of the folder is empty; name one");
	for (char *at = copy + 1;; at++) {
		char end = *at;

		if (end != '/' && end != '\0')
			continue;
		*at = '\0';
		if (mkdir(copy, 0700) != 0 && errno != EEXIST)
			return error_set_errno(err, errno, "cannot make the folder %s", copy);
		if (end == '\0')
			return 0;
		*at = end;
	}
}

static NORETURN void sync_failed(const char *what, int errnum)
{
	log_error("cannot sync to disk; ending, since what was written may be lost",
		LOG_STR("what", what), LOG_STR("error", strerror(errnum)));
	abort();
}

void file_sync_dir(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) != 0)
		sync_failed(path, errno);
}

int file_sync(int fd, struct error *err)
{
	if (fsync(fd) == 0)
		return 0;
	if (errno == ENOSPC || errno == EDQUOT)
		return error_set_errno(err, errno, "cannot sync to disk");
	sync_failed("file", errno);
}

int file_lock(const char *path, int *ret_fd, struct error *err)
{
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			return error_set(err, ERROR_CONFLICT,
				"another process has locked %s; stop it first, or use another "
				"folder",
				path);
		return error_set_errno(err, errno, "cannot lock %s", path);
	}
	*ret_fd = fd;
	fd = -1;
	return 0;
}

/* ---- replacing ---- */

char *file_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return slice_dup(SLICE("."));
	return slice_dup((struct slice){path, slash == path ? 1 : (size_t)(slash - path)});
}

/* Over what an earlier one may have left when it was killed. */
static int write_new(const char *new, const char *path, struct slice bytes,
	int (*settle)(int fd, const char *path, struct error *err), struct error *err)
{
	AUTO_CLOSE int fd = -1;

	if (unlink(new) != 0 && errno != ENOENT)
		return error_set_errno(err, errno, "cannot remove %s", new);
	fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot make %s", new);
	if (settle != NULL && settle(fd, path, err) != 0)
		return -1;
	if (file_write_all(fd, bytes.p, bytes.n, err) != 0 || file_sync(fd, err) != 0)
		return error_wrap(err, "%s", new);
	return 0;
}

int file_replace(const char *path, struct slice bytes,
	int (*settle)(int fd, const char *path, struct error *err), struct error *err)
{
	AUTO_FREE char *folder = file_folder(path);
	AUTO_FREE char *new = str_printf("%s.new", path);

	if (folder == NULL || new == NULL)
		return error_no_memory(err);
	if (write_new(new, path, bytes, settle, err) != 0) {
		(void)unlink(new);
		return -1;
	}
	if (rename(new, path) != 0)
		return error_set_errno(err, errno, "cannot replace %s", path);
	file_sync_dir(folder);
	return 0;
}
