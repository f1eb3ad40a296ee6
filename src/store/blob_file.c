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

int store_blob_open_file(
	struct store *s, const struct digest *digest, uint64_t size, int *ret, struct error *err)
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
		return store_damaged(digest, err);
	*ret = fd;
	fd = -1;
	return 0;
}

int store_blob_adopt_file(
	struct store *s, const struct digest *digest, const char *path, struct error *err)
{
	AUTO_FREE char *folder = NULL;
	AUTO_CLOSE int fd = -1;
	struct verified v;
	struct stat st;
	size_t name;

	if (file_path(s, digest, &folder, &name, err) != 0)
		return -1;
	folder[name - 1] = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Garbage collection goes by the time; a file that is there already has the same bytes. */
	if (fd < 0 || utimensat(AT_FDCWD, path, NULL, 0) != 0 ||
		renameat(AT_FDCWD, path, fd, folder + name) != 0)
		return error_set_errno(err, errno, "cannot store a blob");
	/* The writer has hashed what it wrote. */
	if (fstatat(fd, folder + name, &st, 0) == 0) {
		v = verified_of(digest, &st);
		set_verified(store_blob_files(s), &v);
	}
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

int store_blob_check_file(
	struct store *s, const struct digest *digest, uint64_t size, struct error *err)
{
	AUTO_FREE char *path = NULL;
	char text[DIGEST_TEXT_SIZE];
	struct stat st;
	size_t name;

	if (size <= LIMIT_BLOB_IN_ROW)
		return 0;
	if (file_path(s, digest, &path, &name, err) != 0)
		return -1;
	if (stat(path, &st) == 0 && (uint64_t)st.st_size == size)
		return 0;
	return error_set(err, ERROR_UNAVAILABLE,
		"the file of blob %s was removed before it was in use; push it again",
		digest_format(digest, text));
}

int store_hash_file(int fd, uint64_t size, enum digest_algorithm algorithm, struct digest *ret,
	struct error *err)
{
	CLEANUP(hasher_done) struct hasher h = {0};
	AUTO_FREE char *chunk = malloc(LIMIT_FILE_CHUNK);

	if (chunk == NULL)
		return error_no_memory(err);
	if (hasher_init(&h, algorithm, err) != 0)
		return -1;
	for (uint64_t at = 0; at < size;) {
		uint64_t left = size - at;
		size_t want = left < LIMIT_FILE_CHUNK ? (size_t)left : LIMIT_FILE_CHUNK;
		ssize_t n = pread(fd, chunk, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set_errno(err, n < 0 ? errno : EIO, "cannot read a file");
		hasher_update(&h, (struct slice){chunk, (size_t)n});
		at += (uint64_t)n;
	}
	*ret = hasher_finish(&h);
	return 0;
}

int store_blob_verify(
	struct store *s, const struct digest *digest, const struct store_blob *b, struct error *err)
{
	struct verified v;
	struct digest got;
	struct stat st;

	if (b->fd < 0)
		return 0; /* a row: was checked as it was read */
	if (fstat(b->fd, &st) != 0)
		return error_set_errno(err, errno, "cannot read a blob");
	v = verified_of(digest, &st);
	if (is_verified(store_blob_files(s), &v))
		return 0;
	if (store_hash_file(b->fd, b->size, digest->algorithm, &got, err) != 0)
		return -1;
	if (!digest_eq(&got, digest))
		return store_damaged(digest, err);
	set_verified(store_blob_files(s), &v);
	return 0;
}
