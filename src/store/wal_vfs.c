/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wal_vfs.h"

#include "base/file.h"
#include "base/limits.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#define WRITEBACK_SIZE (256 * KIB)

/* The real file follows it in memory. */
struct wal_file {
	sqlite3_file base;
	sqlite3_int64 offset; /* of what waits, in the file */
	size_t n;             /* bytes that wait */
	char *waiting;        /* LIMIT_WAL_PIECE */
	int fd;               /* of the same file, to tell the kernel; -1: none */
	size_t written;       /* bytes that neither the disk nor the kernel was told of */
};

static sqlite3_vfs *real_vfs;

static struct wal_file *self(sqlite3_file *file)
{
	return (struct wal_file *)file;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
	return (sqlite3_file *)(self(file) + 1);
}

/* Nothing waits afterwards, also when it fails: the transaction is lost then. */
static int flush(sqlite3_file *file)
{
	struct wal_file *f = self(file);
	size_t n = f->n;

	f->n = 0;
	if (n == 0)
		return SQLITE_OK;
	f->written += n;
	return real_of(file)->pMethods->xWrite(real_of(file), f->waiting, (int)n, f->offset);
}

/* In a large transaction the disk has something to do while SQLite goes on with the frames. */
static void start_writeback(struct wal_file *f)
{
	if (f->written < WRITEBACK_SIZE || f->fd < 0)
		return;
	f->written = 0;
	file_start_writeback(f->fd, 0, 0);
}

static int wal_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 offset)
{
	struct wal_file *f = self(file);
	int rc = SQLITE_OK;

	if (offset != f->offset + (sqlite3_int64)f->n || (size_t)n > LIMIT_WAL_PIECE - f->n)
		rc = flush(file);
	if (rc != SQLITE_OK)
		return rc;
	start_writeback(f);
	if ((size_t)n > LIMIT_WAL_PIECE)
		return real_of(file)->pMethods->xWrite(real_of(file), bytes, n, offset);
	if (f->n == 0)
		f->offset = offset;
	memcpy(f->waiting + f->n, bytes, (size_t)n);
	f->n += (size_t)n;
	return SQLITE_OK;
}

static int wal_read(sqlite3_file *file, void *bytes, int n, sqlite3_int64 offset)
{
	int rc = flush(file);

	return rc != SQLITE_OK ? rc
			       : real_of(file)->pMethods->xRead(real_of(file), bytes, n, offset);
}

static int wal_sync(sqlite3_file *file, int flags)
{
	int rc = flush(file);

	self(file)->written = 0;
	return rc != SQLITE_OK ? rc : real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	int rc = flush(file);

	return rc != SQLITE_OK ? rc : real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int wal_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	int rc = flush(file);

	return rc != SQLITE_OK ? rc : real_of(file)->pMethods->xFileSize(real_of(file), ret);
}

static int wal_close(sqlite3_file *file)
{
	int flushed = flush(file), closed = real_of(file)->pMethods->xClose(real_of(file));

	free(self(file)->waiting);
	if (self(file)->fd >= 0)
		close(self(file)->fd);
	return flushed != SQLITE_OK ? flushed : closed;
}

static int wal_lock(sqlite3_file *file, int level)
{
	return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int wal_unlock(sqlite3_file *file, int level)
{
	return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int wal_check_lock(sqlite3_file *file, int *ret)
{
	return real_of(file)->pMethods->xCheckReservedLock(real_of(file), ret);
}

static int wal_control(sqlite3_file *file, int op, void *arg)
{
	return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int wal_sector_size(sqlite3_file *file)
{
	return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int wal_characteristics(sqlite3_file *file)
{
	return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static const sqlite3_io_methods wal_methods = {
	.iVersion = 1,
	.xClose = wal_close,
	.xRead = wal_read,
	.xWrite = wal_write,
	.xTruncate = wal_truncate,
	.xSync = wal_sync,
	.xFileSize = wal_size,
	.xLock = wal_lock,
	.xUnlock = wal_unlock,
	.xCheckReservedLock = wal_check_lock,
	.xFileControl = wal_control,
	.xSectorSize = wal_sector_size,
	.xDeviceCharacteristics = wal_characteristics,
};

static int open_wal(const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	struct wal_file *f = self(file);
	int rc;

	*f = (struct wal_file){.waiting = malloc(LIMIT_WAL_PIECE), .fd = -1};
	if (f->waiting == NULL)
		return SQLITE_NOMEM;
	rc = real_vfs->xOpen(real_vfs, name, real_of(file), flags, ret_flags);
	/* SQLite closes whatever has methods, opened or not. */
	if (real_of(file)->pMethods == NULL)
		free(f->waiting);
	else
		f->base.pMethods = &wal_methods;
	/* SQLite takes no lock on the WAL that closing another descriptor would drop. */
	if (rc == SQLITE_OK)
		f->fd = open(name, O_RDWR | O_CLOEXEC);
	return rc;
}

static int vfs_open(
	sqlite3_vfs *vfs UNUSED, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	if ((flags & SQLITE_OPEN_WAL) != 0)
		return open_wal(name, file, flags, ret_flags);
	return real_vfs->xOpen(real_vfs, name, file, flags, ret_flags);
}

void wal_vfs_register(void)
{
	static sqlite3_vfs vfs;

	real_vfs = sqlite3_vfs_find(NULL);
	AN(real_vfs);
	vfs = *real_vfs;
	vfs.zName = WAL_VFS_NAME;
	vfs.szOsFile = (int)sizeof(struct wal_file) + real_vfs->szOsFile;
	vfs.pNext = NULL;
	vfs.xOpen = vfs_open;
	AZ(sqlite3_vfs_register(&vfs, 0));
}
