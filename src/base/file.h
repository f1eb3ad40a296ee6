/* SPDX-License-Identifier: Apache-2.0 */
/* Files: whole reads, durable writes, folders, locks. All blocking: never on an event loop. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"

#include <unistd.h>

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
/* AUTO_CLOSE int fd = open(...); closed when it leaves its scope, if >= 0. */
#define AUTO_CLOSE CLEANUP(closep)

/* Appends the file to *ret. A missing file is ERROR_NOT_FOUND. */
int file_read(const char *path, struct buf *ret, struct error *err) MUST_CHECK;
/* The same of an open file, from where it stands; the name is for errors. */
int file_read_fd(int fd, const char *name, struct buf *ret, struct error *err) MUST_CHECK;

/* Reads exactly n bytes from byte "at" of the file on; fewer there are is an error. The name is for
 * errors. Does not move the file's own offset. */
int file_read_all_at(
	int fd, void *ret, size_t n, uint64_t at, const char *name, struct error *err) MUST_CHECK;

/* Writes all n bytes, across short writes and EINTR. */
int file_write_all(int fd, const void *p, size_t n, struct error *err) MUST_CHECK;

/* As file_write_all(), from byte "at" of the file on; does not move the file's own offset. */
int file_write_all_at(int fd, const void *p, size_t n, uint64_t at, struct error *err) MUST_CHECK;

/* Has the kernel begin to write these bytes to the disk, so that a later file_sync() waits for
 * less. A hint: only file_sync() says whether they are there. */
void file_start_writeback(int fd, uint64_t at, uint64_t n);

/* Creates the folder and its parents, mode 0700 where new. */
int file_make_dirs(const char *path, struct error *err) MUST_CHECK;

/* Makes the names in a folder durable (fsync of the directory). A failure ends the process: after a
 * failed fsync the kernel may have dropped the pages, so a retry would lie. */
void file_sync_dir(const char *path);

/* The folder of a path, "." where it names none; the caller's to free, NULL without memory. */
char *file_folder(const char *path) MUST_CHECK;

/* Replaces a file whole, with mode 0600, by a rename from "PATH.new": whoever reads sees the old
 * one or the new one, after a crash too. settle: NULL, or gives the new file its owner and mode
 * before anything is in it; path as given here. One writer at a time. */
int file_replace(const char *path, struct slice bytes,
	int (*settle)(int fd, const char *path, struct error *err), struct error *err) MUST_CHECK;

/* fsync of an open file; a failure ends the process, except for a full disk. */
int file_sync(int fd, struct error *err) MUST_CHECK;

/* Takes an exclusive lock on the file, made when missing, for as long as *ret_fd stays open.
 * ERROR_CONFLICT when another process holds it. */
int file_lock(const char *path, int *ret_fd, struct error *err) MUST_CHECK;

#endif
