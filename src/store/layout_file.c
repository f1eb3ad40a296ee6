/* SPDX-License-Identifier: Apache-2.0 */
#include "store/layout_file.h"
#include "store/db.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

const char *layout_path(const struct digest *digest, char ret[LAYOUT_PATH_SIZE])
{
	char text[DIGEST_TEXT_SIZE];

	snprintf(ret, LAYOUT_PATH_SIZE, "blobs/%s", digest_format(digest, text));
	*strchr(ret, ':') = '/';
	return ret;
}

static int path_damaged(const char *path, const char *how, struct error *err)
{
	return error_set(
		err, ERROR_INVALID, "the layout is damaged: %s %s; copy it again", path, how);
}

int layout_damaged(const struct digest *digest, const char *how, struct error *err)
{
	char path[LAYOUT_PATH_SIZE];

	return path_damaged(layout_path(digest, path), how, err);
}

int layout_open_path(int dir, const char *path, int *ret, uint64_t *ret_size, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	/* Not to wait for who might write to a named pipe. */
	fd = openat(dir, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return error_set_errno(err, errno, "cannot open %s of the layout", path);
	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)))
		return path_damaged(path, "is not a file", err);
	*ret_size = fd < 0 ? 0 : (uint64_t)st.st_size;
	*ret = fd;
	fd = -1;
	return 0;
}

int layout_open(
	int dir, const struct digest *digest, int *ret, uint64_t *ret_size, struct error *err)
{
	char path[LAYOUT_PATH_SIZE];

	return layout_open_path(dir, layout_path(digest, path), ret, ret_size, err);
}

static int damaged(const struct digest *digest, struct error *err)
{
	return layout_damaged(digest, "has bytes that do not match its name", err);
}

int layout_read(
	int fd, const struct digest *digest, size_t size, struct buf *ret, struct error *err)
{
	struct digest got;
	char *room = buf_room(ret, size);

	if (room == NULL)
		return buf_check(ret, err);
	for (size_t at = 0; at < size;) {
		ssize_t n = read(fd, room + at, size - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(err, errno, "cannot read the layout");
		if (n == 0)
			return layout_damaged(digest, "is cut off", err);
		at += (size_t)n;
	}
	buf_claim(ret, size);
	got = digest_of_as(digest->algorithm, buf_slice(ret));
	return digest_eq(&got, digest) ? 0 : damaged(digest, err);
}

int layout_copy(
	const struct store *s, int fd, const struct digest *digest, int to, struct error *err)
{
	bool same;

	if (store_copy(s, fd, digest, UINT64_MAX, to, &same, err) != 0)
		return -1;
	return same ? 0 : damaged(digest, err);
}
