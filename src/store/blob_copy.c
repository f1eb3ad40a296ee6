/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a blob's file from end to end, and finding damage on the way. */
#include "store/db.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define CHUNK (256 * KIB)

const char *store_blob_path(const struct digest *digest, char ret[STORE_BLOB_PATH_SIZE])
{
	char text[DIGEST_TEXT_SIZE];
	struct slice hex = slice_of(digest_format(digest, text));
	struct slice algorithm = slice_cut(&hex, ':');

	snprintf(ret, STORE_BLOB_PATH_SIZE, "blobs/%.*s/%.2s/%s", SLICE_ARG(algorithm), hex.p,
		hex.p);
	return ret;
}

static int open_file(
	const struct store *s, const char *relative, uint64_t size, int *ret, struct error *err)
{
	AUTO_FREE char *path = NULL;
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (asprintf(&path, "%s/%s", store_dir(s), relative) < 0) {
		path = NULL;
		return error_no_memory(err);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return error_set(err, ERROR_NOT_FOUND, "the file %s is missing", relative);
	if (fd < 0 || fstat(fd, &st) != 0)
		return error_set_errno(err, errno, "cannot open the file %s", relative);
	if ((uint64_t)st.st_size != size)
		return error_set(err, ERROR_INTERNAL, "the file %s has %lld bytes in place of %llu",
			relative, (long long)st.st_size, (unsigned long long)size);
	*ret = fd;
	fd = -1;
	return 0;
}

/* At most size bytes: 0 at the end of the file, -1 with an error. */
static ssize_t read_chunk(int fd, char *chunk, uint64_t size, struct error *err)
{
	ssize_t n;

	do
		n = read(fd, chunk, size < CHUNK ? (size_t)size : CHUNK);
	while (n < 0 && errno == EINTR);
	return n < 0 ? error_set_errno(err, errno, "cannot read a blob's file") : n;
}

/* Whatever there is of these bytes: too few do not have the digest. */
static int copy(const struct store *s, int fd, struct hasher *hasher, uint64_t size, int to,
	struct error *err)
{
	AUTO_FREE char *chunk = malloc(CHUNK);
	ssize_t n;

	if (chunk == NULL)
		return error_no_memory(err);
	while ((n = read_chunk(fd, chunk, size, err)) > 0) {
		hasher_update(hasher, (struct slice){chunk, (size_t)n});
		if (store_interrupted(s, err) != 0 ||
			(to >= 0 && file_write_all(to, chunk, (size_t)n, err) != 0))
			return -1;
		size -= (uint64_t)n;
	}
	return n < 0 ? -1 : 0;
}

int store_blob_copy_file(const struct store *s, const struct digest *digest, uint64_t size, int to,
	struct error *err)
{
	CLEANUP(hasher_done) struct hasher hasher = {0};
	AUTO_CLOSE int fd = -1;
	char path[STORE_BLOB_PATH_SIZE];
	struct digest got;

	if (open_file(s, store_blob_path(digest, path), size, &fd, err) != 0 ||
		hasher_init(&hasher, digest->algorithm, err) != 0 ||
		copy(s, fd, &hasher, size, to, err) != 0)
		return -1;
	got = hasher_finish(&hasher);
	if (!digest_eq(&got, digest))
		return error_set(err, ERROR_INTERNAL,
			"the file %s is damaged: its bytes do not match the digest", path);
	return 0;
}
