/* SPDX-License-Identifier: Apache-2.0 */
#include "store/uploads.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#define BUCKETS 256 /* by the first byte of the id */

struct upload {
	struct uploads *uploads;
	struct upload *next; /* in its bucket */
	char id[UPLOAD_ID_SIZE];
	char repository[LIMIT_REPOSITORY + 1];
	bool claimed;
	uint64_t idle_since_ms;

	/* the claimer's */
	_Atomic uint64_t offset; /* others may look */
	struct hasher hasher;
	struct buf head; /* everything, until there is a file */
	char *path;      /* of the file; NULL: none yet */
	int fd;
};

struct uploads {
	struct store *store;
	pthread_mutex_t lock; /* guards the table, claimed and idle_since_ms */
	size_t n;
	struct upload *buckets[BUCKETS];
};

static void upload_free(struct upload *up)
{
	if (up == NULL)
		return;
	closep(&up->fd);
	if (up->path != NULL)
		unlink(up->path);
	free(up->path);
	buf_done(&up->head);
	hasher_done(&up->hasher);
	free(up);
}
DEFINE_CLEANUP(struct upload, upload_free);

int uploads_new(struct uploads **ret, struct store *store, struct error *err)
{
	struct uploads *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return error_no_memory(err);
	u->store = store;
	AZ(pthread_mutex_init(&u->lock, NULL));
	*ret = u;
	return 0;
}

void uploads_free(struct uploads *u)
{
	if (u == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct upload *up = u->buckets[i], *next; up != NULL; up = next) {
			next = up->next;
			ASSERT(!up->claimed);
			upload_free(up);
		}
	}
	AZ(pthread_mutex_destroy(&u->lock));
	free(u);
}

/* ---- the table; under the lock ---- */

static unsigned hex_value(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static struct upload **bucket(struct uploads *u, const char *id)
{
	return &u->buckets[hex_value(id[0]) << 4 | hex_value(id[1])];
}

static bool id_ok(struct slice id)
{
	if (id.n != UPLOAD_ID_SIZE - 1)
		return false;
	for (size_t i = 0; i < id.n; i++)
		if (memchr("0123456789abcdef", id.p[i], 16) == NULL)
			return false;
	return true;
}

static struct upload *find(struct uploads *u, struct slice repository, struct slice id)
{
	if (!id_ok(id))
		return NULL;
	for (struct upload *up = *bucket(u, id.p); up != NULL; up = up->next)
		if (slice_eq(slice_of(up->id), id))
			return slice_eq(slice_of(up->repository), repository) ? up : NULL;
	return NULL;
}

static void remove_from_table(struct uploads *u, struct upload *up)
{
	struct upload **at = bucket(u, up->id);

	while (*at != up)
		at = &(*at)->next;
	*at = up->next;
	u->n--;
}

/* Takes the session out that has been idle longest, if that is long enough. */
static struct upload *take_stale(struct uploads *u)
{
	struct upload *oldest = NULL;

	for (size_t i = 0; i < BUCKETS; i++)
		for (struct upload *up = u->buckets[i]; up != NULL; up = up->next)
			if (!up->claimed &&
				(oldest == NULL || up->idle_since_ms < oldest->idle_since_ms))
				oldest = up;
	if (oldest == NULL || clock_monotonic_ms() - oldest->idle_since_ms < LIMIT_UPLOAD_IDLE_MS)
		return NULL;
	remove_from_table(u, oldest);
	return oldest;
}

/* Adds it unless the table is full; *ret_stale is what had to go. */
static bool add(struct uploads *u, struct upload *up, struct upload **ret_stale)
{
	struct upload **at;

	if (u->n == LIMIT_UPLOADS) {
		*ret_stale = take_stale(u);
		if (*ret_stale == NULL)
			return false;
	}
	at = bucket(u, up->id);
	up->next = *at;
	*at = up;
	u->n++;
	return true;
}

/* ---- sessions ---- */

static int unknown(struct slice repository, struct error *err)
{
	return error_set(err, ERROR_NOT_FOUND,
		"there is no such upload in %.*s (a restart of the registry ends them): start "
		"again",
		SLICE_ARG(repository));
}

static int make_id(char ret[UPLOAD_ID_SIZE], struct error *err)
{
	unsigned char random[(UPLOAD_ID_SIZE - 1) / 2];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return error_set_errno(err, errno, "cannot make an upload's id");
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(ret + 2 * i, 3, "%02x", random[i]);
	return 0;
}

int uploads_start(struct uploads *u, struct slice repository, enum digest_algorithm algorithm,
	struct upload **ret, struct error *err)
{
	CLEANUP(upload_freep) struct upload *up = calloc(1, sizeof(*up));
	CLEANUP(upload_freep) struct upload *stale = NULL;
	bool added;

	ASSERT(repository.n < sizeof(up->repository));
	if (up == NULL)
		return error_no_memory(err);
	up->uploads = u;
	up->fd = -1;
	up->claimed = true;
	buf_init(&up->head, LIMIT_BLOB_IN_ROW);
	memcpy(up->repository, repository.p, repository.n);
	if (make_id(up->id, err) != 0 || hasher_init(&up->hasher, algorithm, err) != 0)
		return -1;
	AZ(pthread_mutex_lock(&u->lock));
	added = add(u, up, &stale);
	AZ(pthread_mutex_unlock(&u->lock));
	if (!added)
		return error_set(err, ERROR_TOO_MANY,
			"%d uploads are open already; finish or cancel some, or try again later",
			LIMIT_UPLOADS);
	*ret = TAKE_PTR(up);
	return 0;
}

int uploads_claim(struct uploads *u, struct slice repository, struct slice id, struct upload **ret,
	struct error *err)
{
	struct upload *up;
	bool was_claimed = false;

	AZ(pthread_mutex_lock(&u->lock));
	up = find(u, repository, id);
	if (up != NULL) {
		was_claimed = up->claimed;
		up->claimed = true;
	}
	AZ(pthread_mutex_unlock(&u->lock));
	if (up == NULL)
		return unknown(repository, err);
	if (was_claimed)
		return error_set(err, ERROR_CONFLICT,
			"another request is writing to this upload; ask for its offset and go on "
			"there");
	*ret = up;
	return 0;
}

int uploads_offset(struct uploads *u, struct slice repository, struct slice id, uint64_t *ret,
	struct error *err)
{
	struct upload *up;

	AZ(pthread_mutex_lock(&u->lock));
	up = find(u, repository, id);
	if (up != NULL)
		*ret = up->offset;
	AZ(pthread_mutex_unlock(&u->lock));
	return up == NULL ? unknown(repository, err) : 0;
}

void upload_release(struct upload *up)
{
	struct uploads *u = up->uploads;

	AZ(pthread_mutex_lock(&u->lock));
	ASSERT(up->claimed);
	up->claimed = false;
	up->idle_since_ms = clock_monotonic_ms();
	AZ(pthread_mutex_unlock(&u->lock));
}

void upload_drop(struct upload *up)
{
	struct uploads *u = up->uploads;

	AZ(pthread_mutex_lock(&u->lock));
	ASSERT(up->claimed);
	remove_from_table(u, up);
	AZ(pthread_mutex_unlock(&u->lock));
	upload_free(up);
}

/* Takes the idle ones out of the table; under the lock. */
static struct upload *take_idle(
	struct uploads *u, uint64_t idle_ms, bool dry_run, size_t *ret_n, uint64_t *ret_bytes)
{
	uint64_t now_ms = clock_monotonic_ms();
	struct upload *taken = NULL;

	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct upload **at = &u->buckets[i], *up; (up = *at) != NULL;) {
			bool idle = !up->claimed && now_ms - up->idle_since_ms >= idle_ms;

			*ret_n += idle;
			*ret_bytes += idle ? up->offset : 0;
			if (!idle || dry_run) {
				at = &up->next;
				continue;
			}
			*at = up->next;
			u->n--;
			up->next = taken;
			taken = up;
		}
	}
	return taken;
}

size_t uploads_sweep(struct uploads *u, uint64_t idle_ms, bool dry_run, uint64_t *ret_bytes)
{
	struct upload *idle;
	size_t n = 0;

	*ret_bytes = 0;
	AZ(pthread_mutex_lock(&u->lock));
	idle = take_idle(u, idle_ms, dry_run, &n, ret_bytes);
	AZ(pthread_mutex_unlock(&u->lock));
	for (struct upload *next; idle != NULL; idle = next) {
		next = idle->next;
		upload_free(idle);
	}
	return n;
}

const char *upload_id(const struct upload *up)
{
	return up->id;
}

uint64_t upload_offset(const struct upload *up)
{
	return up->offset;
}

/* ---- content ---- */

/* Moves what is in memory to a file. */
static int spill(struct upload *up, struct error *err)
{
	AUTO_FREE char *path = NULL;
	AUTO_CLOSE int fd = -1;

	if (asprintf(&path, "%s/uploads/%s", store_dir(up->uploads->store), up->id) < 0) {
		path = NULL;
		return error_no_memory(err);
	}
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot make a file for the upload");
	if (file_write_all(fd, up->head.data, up->head.len, err) != 0) {
		unlink(path);
		return -1;
	}
	buf_done(&up->head);
	up->path = TAKE_PTR(path);
	up->fd = fd;
	fd = -1;
	return 0;
}

static int append_to_file(struct upload *up, struct slice bytes, struct error *err)
{
	if (up->path == NULL && spill(up, err) != 0)
		return -1;
	/* From the offset, not from where a write that failed has stopped. */
	if (lseek(up->fd, (off_t)up->offset, SEEK_SET) < 0)
		return error_set_errno(err, errno, "cannot write the upload");
	return file_write_all(up->fd, bytes.p, bytes.n, err);
}

int upload_write(struct upload *up, struct slice bytes, struct error *err)
{
	if (bytes.n == 0)
		return 0;
	if (up->path == NULL && up->offset + bytes.n <= LIMIT_BLOB_IN_ROW) {
		buf_add(&up->head, bytes);
		if (buf_check(&up->head, err) != 0) {
			up->head.failed = ERROR_NONE; /* nothing of it was appended */
			return -1;
		}
	} else if (append_to_file(up, bytes, err) != 0) {
		return -1;
	}
	hasher_update(&up->hasher, bytes);
	up->offset += bytes.n;
	return 0;
}

/* The content's hash with an algorithm that was not known when the upload began. */
static int hash_again(struct upload *up, enum digest_algorithm algorithm, struct error *err)
{
	CLEANUP(hasher_done) struct hasher h = {0};
	AUTO_FREE char *chunk = malloc(LIMIT_UPLOAD_CHUNK);

	if (chunk == NULL)
		return error_no_memory(err);
	if (hasher_init(&h, algorithm, err) != 0)
		return -1;
	hasher_update(&h, buf_slice(&up->head));
	for (uint64_t at = 0; up->path != NULL && at < up->offset;) {
		uint64_t left = up->offset - at;
		size_t want = left < LIMIT_UPLOAD_CHUNK ? (size_t)left : LIMIT_UPLOAD_CHUNK;
		ssize_t n = pread(up->fd, chunk, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set_errno(err, n < 0 ? errno : EIO, "cannot read the upload");
		hasher_update(&h, (struct slice){chunk, (size_t)n});
		at += (uint64_t)n;
	}
	hasher_done(&up->hasher);
	up->hasher = h;
	h = (struct hasher){0};
	return 0;
}

/* The file, complete and durable, under its digest. */
static int place_file(struct upload *up, const struct digest *digest, struct error *err)
{
	/* A write that failed may have left bytes behind the last offset. */
	if (ftruncate(up->fd, (off_t)up->offset) != 0)
		return error_set_errno(err, errno, "cannot write the upload");
	if (file_sync(up->fd, err) != 0 ||
		store_blob_adopt_file(up->uploads->store, digest, up->path, err) != 0)
		return -1;
	free(TAKE_PTR(up->path));
	return 0;
}

int upload_finish(
	struct upload *up, const struct digest *digest, struct slice *ret_bytes, struct error *err)
{
	char want[DIGEST_TEXT_SIZE], have[DIGEST_TEXT_SIZE];
	struct digest got;

	if (up->hasher.algorithm != digest->algorithm &&
		hash_again(up, digest->algorithm, err) != 0)
		return -1;
	got = hasher_finish(&up->hasher);
	if (!digest_eq(&got, digest))
		return error_set(err, ERROR_INVALID,
			"the digest was said to be %s, but that of the %llu bytes received is %s",
			digest_format(digest, want), (unsigned long long)up->offset,
			digest_format(&got, have));
	if (up->path != NULL && place_file(up, digest, err) != 0)
		return -1;
	*ret_bytes = buf_slice(&up->head);
	return 0;
}
