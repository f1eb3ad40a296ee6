/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs that are files: where they lie, and when their bytes were last checked. */
#include "store/db.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * What is known to be undamaged: files that were hashed by this process, and have not changed
 * since. A slot holds the last file that fell into it, so a busy one may be hashed again, never
 * trusted wrongly.
 */
struct verified {
	uint64_t digest, state; /* the first bytes of the one, a mix of size, inode and times */
};

struct blob_files {
	pthread_mutex_t lock;
	struct verified slots[LIMIT_VERIFIED_FILES];
};

int blob_files_new(struct blob_files **ret, struct error *err)
{
	struct blob_files *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return error_no_memory(err);
	AZ(pthread_mutex_init(&f->lock, NULL));
	*ret = f;
	return 0;
}

void blob_files_free(struct blob_files *f)
{
	if (f == NULL)
		return;
	AZ(pthread_mutex_destroy(&f->lock));
	free(f);
}

/* Splitmix64's finalizer. */
static uint64_t mix(uint64_t h, uint64_t value)
{
	h ^= value;
	h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
	return h ^ h >> 31;
}

static struct verified verified_of(const struct digest *digest, const struct stat *st)
{
	struct verified v = {.state = 1};

	memcpy(&v.digest, digest->bytes, sizeof(v.digest));
	v.state = mix(v.state, st->st_ino);
	v.state = mix(v.state, (uint64_t)st->st_size);
	v.state = mix(v.state, (uint64_t)st->st_mtim.tv_sec);
	v.state = mix(v.state, (uint64_t)st->st_mtim.tv_nsec);
	v.state = mix(v.state, (uint64_t)st->st_ctim.tv_sec);
	v.state = mix(v.state, (uint64_t)st->st_ctim.tv_nsec);
	return v;
}

static bool is_verified(struct blob_files *f, const struct verified *v)
{
	const struct verified *slot = &f->slots[v->digest % LIMIT_VERIFIED_FILES];
	bool same;

	AZ(pthread_mutex_lock(&f->lock));
	same = slot->digest == v->digest && slot->state == v->state;
	AZ(pthread_mutex_unlock(&f->lock));
	return same;
}

static void set_verified(struct blob_files *f, const struct verified *v)
{
	AZ(pthread_mutex_lock(&f->lock));
	f->slots[v->digest % LIMIT_VERIFIED_FILES] = *v;
	AZ(pthread_mutex_unlock(&f->lock));
}

const char *store_blob_path(const struct digest *digest, char ret[STORE_BLOB_PATH_SIZE])
{
	char text[DIGEST_TEXT_SIZE];
	struct slice hex = slice_of(digest_format(digest, text));
	struct slice algorithm = slice_cut(&hex, ':');

	snprintf(ret, STORE_BLOB_PATH_SIZE, "blobs/%.*s/%.2s/%s", SLICE_ARG(algorithm), hex.p,
		hex.p);
	return ret;
}

/* With the data folder. */
static char *full_path(const struct store *s, const struct digest *digest)
{
	char relative[STORE_BLOB_PATH_SIZE];

	return str_printf("%s/%s", store_dir(s), store_blob_path(digest, relative));
}

int store_blob_open_file(const struct store *s, const struct digest *digest, uint64_t size,
	int *ret, struct error *err)
{
	AUTO_FREE char *path = full_path(s, digest);
	AUTO_CLOSE int fd = -1;
	char relative[STORE_BLOB_PATH_SIZE];
	struct stat st;

	if (path == NULL)
		return error_no_memory(err);
	store_blob_path(digest, relative);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return error_set(err, ERROR_INTERNAL, "the file %s is missing", relative);
	if (fd < 0 || fstat(fd, &st) != 0)
		return error_set_errno(err, errno, "cannot open the file %s", relative);
	if ((uint64_t)st.st_size != size)
		return error_set(err, ERROR_INTERNAL, "the file %s has %lld bytes in place of %llu",
			relative, (long long)st.st_size, (unsigned long long)size);
	*ret = fd;
	fd = -1;
	return 0;
}

int store_blob_adopt_file(
	struct store *s, const struct digest *digest, const char *path, struct error *err)
{
	AUTO_FREE char *folder = full_path(s, digest);
	AUTO_CLOSE int fd = -1;
	struct verified v;
	struct stat st;
	char *name;

	if (folder == NULL)
		return error_no_memory(err);
	name = strrchr(folder, '/');
	*name++ = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Garbage collection goes by the time; a file that is there already has the same bytes. */
	if (fd < 0 || utimensat(AT_FDCWD, path, NULL, 0) != 0 ||
		renameat(AT_FDCWD, path, fd, name) != 0)
		return error_set_errno(err, errno, "cannot store a blob");
	/* The writer has hashed what it wrote. */
	if (fstatat(fd, name, &st, 0) == 0) {
		v = verified_of(digest, &st);
		set_verified(store_blob_files(s), &v);
	}
	return file_sync(fd, err);
}

int store_blob_write_file(
	struct store *s, const struct digest *digest, struct slice bytes, struct error *err)
{
	AUTO_FREE char *path = str_printf("%s/uploads/blob.XXXXXX", store_dir(s));
	AUTO_CLOSE int fd = -1;

	if (path == NULL)
		return error_no_memory(err);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot store a blob");
	if (file_write_all(fd, bytes.p, bytes.n, err) == 0 && file_sync(fd, err) == 0 &&
		store_blob_adopt_file(s, digest, path, err) == 0)
		return 0;
	unlink(path);
	return -1;
}

int store_blob_check_file(
	const struct store *s, const struct digest *digest, uint64_t size, struct error *err)
{
	AUTO_FREE char *path = NULL;
	char text[DIGEST_TEXT_SIZE];
	struct stat st;

	if (size <= LIMIT_BLOB_IN_ROW)
		return 0;
	path = full_path(s, digest);
	if (path == NULL)
		return error_no_memory(err);
	if (stat(path, &st) == 0 && (uint64_t)st.st_size == size)
		return 0;
	return error_set(err, ERROR_UNAVAILABLE,
		"the file of blob %s was removed before it was in use; push it again",
		digest_format(digest, text));
}

/* ---- reading from end to end ---- */

/* At most size bytes: 0 at the end of the file, -1 with an error. */
static ssize_t read_chunk(int fd, char *chunk, uint64_t size, struct error *err)
{
	ssize_t n;

	do
		n = read(fd, chunk, size < LIMIT_FILE_CHUNK ? (size_t)size : LIMIT_FILE_CHUNK);
	while (n < 0 && errno == EINTR);
	return n < 0 ? error_set_errno(err, errno, "cannot read a blob's file") : n;
}

static int copy(const struct store *s, int fd, struct hasher *hasher, uint64_t size, int to,
	struct error *err)
{
	AUTO_FREE char *chunk = malloc(LIMIT_FILE_CHUNK);
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

int store_copy(const struct store *s, int fd, const struct digest *digest, uint64_t size, int to,
	bool *ret_same, struct error *err)
{
	CLEANUP(hasher_done) struct hasher hasher = {0};
	struct digest got;

	if (hasher_init(&hasher, digest->algorithm, err) != 0 ||
		copy(s, fd, &hasher, size, to, err) != 0)
		return -1;
	got = hasher_finish(&hasher);
	*ret_same = digest_eq(&got, digest);
	return 0;
}

int store_blob_copy_file(const struct store *s, const struct digest *digest, uint64_t size, int to,
	struct error *err)
{
	AUTO_CLOSE int fd = -1;
	char relative[STORE_BLOB_PATH_SIZE];
	bool same;

	if (store_blob_open_file(s, digest, size, &fd, err) != 0 ||
		store_copy(s, fd, digest, size, to, &same, err) != 0)
		return -1;
	if (same)
		return 0;
	return error_set(err, ERROR_INTERNAL,
		"the file %s is damaged: its bytes do not match the digest",
		store_blob_path(digest, relative));
}

/* ---- before it is sent ---- */

static int state_of(const struct digest *digest, const struct store_blob *b, struct verified *ret,
	struct error *err)
{
	struct stat st;

	if (fstat(b->fd, &st) != 0)
		return error_set_errno(err, errno, "cannot read a blob's file");
	*ret = verified_of(digest, &st);
	return 0;
}

bool store_blob_is_verified(
	struct store *s, const struct digest *digest, const struct store_blob *b)
{
	struct error ignored = ERROR_INIT;
	struct verified v;

	return b->fd < 0 ||
	       (state_of(digest, b, &v, &ignored) == 0 && is_verified(store_blob_files(s), &v));
}

int store_blob_verify(
	struct store *s, const struct digest *digest, const struct store_blob *b, struct error *err)
{
	struct verified v;
	bool same;

	if (store_blob_is_verified(s, digest, b))
		return 0;
	/* The state before the bytes: what changes meanwhile is hashed again next time. */
	if (state_of(digest, b, &v, err) != 0 ||
		store_copy(s, b->fd, digest, b->size, -1, &same, err) != 0)
		return -1;
	if (!same)
		return store_damaged(digest, err);
	set_verified(store_blob_files(s), &v);
	return 0;
}
