/* SPDX-License-Identifier: Apache-2.0 */
/* What is written for people must not land among the store's own files. */
#include "store/db.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* *fd is closed, then that of the folder. */
static int enter(int from, const char *name, int *fd, struct stat *ret, struct error *err)
{
	int next = openat(from, name, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (next < 0)
		return error_set_errno(err, errno, "cannot look where its folder lies");
	closep(fd);
	*fd = next;
	if (fstat(next, ret) != 0)
		return error_set_errno(err, errno, "cannot look where its folder lies");
	return 0;
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

int store_check_outside(const struct store *s, int folder, struct error *err)
{
	AUTO_CLOSE int at = -1;
	struct stat data, here, above;

	if (stat(store_dir(s), &data) != 0)
		return error_set_errno(err, errno, "cannot look at the data folder");
	if (enter(folder, ".", &at, &above, err) != 0)
		return -1;
	do {
		here = above;
		if (same(&here, &data))
			return error_set(err, ERROR_INVALID,
				"it is in the registry's data folder; name a place outside of %s",
				store_dir(s));
		if (enter(at, "..", &at, &above, err) != 0)
			return -1;
	} while (!same(&here, &above)); /* the root is its own parent */
	return 0;
}
