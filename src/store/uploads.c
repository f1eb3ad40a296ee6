/* SPDX-License-Identifier: Apache-2.0 */
#include "store/uploads.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/siphash.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#define BUCKETS 256  /* by the first byte of the id */
#define OWNERS 65536 /* that are told apart; two that are not have one share together */

/* What sessions hold between requests, beyond LIMIT_UPLOAD_HEAD bytes of content each. */
struct share {
	size_t heads; /* bytes */
	size_t files; /* open */
};

struct upload {
	struct uploads *uploads;
	struct upload *next; /* in its bucket */
	char id[UPLOAD_ID_SIZE];
	char repository[LIMIT_REPOSITORY + 1];
	size_t owner; /* where its sessions are counted; OWNERS: nobody has a share */
	bool claimed;
	uint64_t idle_since_ms;
	struct share share; /* as of its last release */

	/* the claimer's */
	_Atomic uint64_t offset; /* others may look */
	struct hasher hasher;
	struct buf head; /* everything, until there is a file */
	char *path;      /* of the file; NULL: none yet */
	int fd;          /* of the file, or -1 */
	bool reopened;   /* the file was closed meanwhile */
};

struct uploads {
	struct store *store;
	struct siphash_key hash; /* of owners, at random: nobody can choose whose share to have */
	pthread_mutex_t
		lock; /* guards the table, and what a session has above its claimer's part */
	size_t n;
	uint16_t n_of[OWNERS + 1];
	struct share held; /* the sum of the shares */
	struct upload *buckets[BUCKETS];
};

static void close_file(struct upload *up)
{
	closep(&up->fd);
	up->fd = -1;
}

static void remove_file(struct upload *up)
{
	close_file(up);
	if (up->path != NULL)
		unlink(up->path);
	free(TAKE_PTR(up->path));
}

static void upload_free(struct upload *up)
{
	if (up == NULL)
		return;
	remove_file(up);
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
	arc4random_buf(&u->hash, sizeof(u->hash));
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

/* Of a session that leaves the table. */
static void forget(struct uploads *u, const struct upload *up)
{
	u->n--;
	u->n_of[up->owner]--;
	u->held.heads -= up->share.heads;
	u->held.files -= up->share.files;
}

static void remove_from_table(struct uploads *u, struct upload *up)
{
	struct upload **at = bucket(u, up->id);

	while (*at != up)
		at = &(*at)->next;
	*at = up->next;
	forget(u, up);
}

/* Takes the session out that has been idle longest, if that is long enough. owner: whose, or NULL
 * for anybody's. */
static struct upload *take_stale(struct uploads *u, const size_t *owner)
{
	struct upload *oldest = NULL;

	for (size_t i = 0; i < BUCKETS; i++)
		for (struct upload *up = u->buckets[i]; up != NULL; up = up->next)
			if (!up->claimed && (owner == NULL || up->owner == *owner) &&
				(oldest == NULL || up->idle_since_ms < oldest->idle_since_ms))
				oldest = up;
	if (oldest == NULL || clock_monotonic_ms() - oldest->idle_since_ms < LIMIT_UPLOAD_IDLE_MS)
		return NULL;
	remove_from_table(u, oldest);
	return oldest;
}

static int make_room(struct uploads *u, size_t owner, struct upload **ret_stale, struct error *err)
{
	bool has_share = owner != OWNERS && u->n_of[owner] >= LIMIT_UPLOADS_OF_ONE;

	if (!has_share && u->n < LIMIT_UPLOADS)
		return 0;
	*ret_stale = take_stale(u, has_share ? &owner : NULL);
	if (*ret_stale != NULL)
		return 0;
	return error_set(err, ERROR_TOO_MANY,
		"%d uploads %s are open already; finish or cancel some, or try again later",
		has_share ? LIMIT_UPLOADS_OF_ONE : LIMIT_UPLOADS, has_share ? "of yours" : "here");
}

/* *ret_stale is what had to go. */
static int add(struct uploads *u, struct upload *up, struct upload **ret_stale, struct error *err)
{
	struct upload **at = bucket(u, up->id);

	if (make_room(u, up->owner, ret_stale, err) != 0)
		return -1;
	up->next = *at;
	*at = up;
	u->n++;
	u->n_of[up->owner]++;
	return 0;
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

int uploads_start(struct uploads *u, struct slice repository, struct slice owner,
	enum digest_algorithm algorithm, struct upload **ret, struct error *err)
{
	CLEANUP(upload_freep) struct upload *up = calloc(1, sizeof(*up));
	CLEANUP(upload_freep) struct upload *stale = NULL;
	int result;

	ASSERT(repository.n < sizeof(up->repository));
	if (up == NULL)
		return error_no_memory(err);
	up->uploads = u;
	up->fd = -1;
	up->owner = owner.p == NULL ? OWNERS : siphash(&u->hash, owner) % OWNERS;
	up->claimed = true;
	buf_init(&up->head, LIMIT_BLOB_IN_ROW);
	memcpy(up->repository, repository.p, repository.n);
	if (make_id(up->id, err) != 0 || hasher_init(&up->hasher, algorithm, err) != 0)
		return -1;
	AZ(pthread_mutex_lock(&u->lock));
	result = add(u, up, &stale, err);
	AZ(pthread_mutex_unlock(&u->lock));
	if (result != 0)
		return -1;
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
			forget(u, up);
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
	if (file_write_all_at(fd, up->head.data, up->head.len, 0, err) != 0) {
		unlink(path);
		return -1;
	}
	buf_done(&up->head);
	up->path = TAKE_PTR(path);
	up->fd = fd;
	fd = -1;
	return 0;
}

static int open_again(struct upload *up, struct error *err)
{
	if (up->fd >= 0)
		return 0;
	up->fd = open(up->path, O_RDWR | O_CLOEXEC);
	if (up->fd < 0)
		return error_set_errno(err, errno, "cannot open the file of the upload");
	up->reopened = true;
	return 0;
}

/* Has everything in a file that is closed. */
static int leave_memory(struct upload *up, struct error *err)
{
	if (up->path == NULL && spill(up, err) != 0)
		return -1;
	close_file(up);
	return 0;
}

/* At the offset: a write that failed may have left bytes behind it. */
static int append_to_file(struct upload *up, struct slice bytes, struct error *err)
{
	uint64_t full = up->offset / MIB, full_now = (up->offset + bytes.n) / MIB;

	if ((up->path == NULL ? spill : open_again)(up, err) != 0 ||
		file_write_all_at(up->fd, bytes.p, bytes.n, up->offset, err) != 0)
		return -1;
	if (full_now > full)
		file_start_writeback(up->fd, full * MIB, (full_now - full) * MIB);
	return 0;
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

static int hash_file(struct upload *up, struct hasher *h, struct error *err)
{
	AUTO_FREE char *chunk = malloc(LIMIT_FILE_CHUNK);

	if (chunk == NULL)
		return error_no_memory(err);
	for (uint64_t at = 0; at < up->offset;) {
		uint64_t left = up->offset - at;
		size_t n = left < LIMIT_FILE_CHUNK ? (size_t)left : LIMIT_FILE_CHUNK;

		if (file_read_all_at(up->fd, chunk, n, at, "the upload", err) != 0)
			return -1;
		hasher_update(h, (struct slice){chunk, n});
		at += n;
	}
	return 0;
}

/* The hash of what is there now, with any algorithm. */
static int hash_again(struct upload *up, enum digest_algorithm algorithm, struct error *err)
{
	CLEANUP(hasher_done) struct hasher h = {0};

	if (hasher_init(&h, algorithm, err) != 0)
		return -1;
	hasher_update(&h, buf_slice(&up->head));
	if (up->path != NULL && hash_file(up, &h, err) != 0)
		return -1;
	hasher_done(&up->hasher);
	up->hasher = h;
	h = (struct hasher){0};
	return 0;
}

/* A short content that had to leave the memory: it goes into a row nonetheless. */
static int return_to_memory(struct upload *up, struct error *err)
{
	size_t n = up->offset;
	void *room = buf_room(&up->head, n);

	if (room == NULL)
		return buf_check(&up->head, err);
	if (file_read_all_at(up->fd, room, n, 0, "the upload", err) != 0)
		return -1;
	buf_claim(&up->head, n);
	remove_file(up);
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

	if (up->path != NULL && open_again(up, err) != 0)
		return -1;
	if (up->path != NULL && up->offset <= LIMIT_BLOB_IN_ROW && return_to_memory(up, err) != 0)
		return -1;
	/* While a file is closed, the kernel may forget that it could not write some of it. */
	if ((up->hasher.algorithm != digest->algorithm || up->reopened) &&
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

/* ---- the end of a claim ---- */

/* A buffer that doubles is up to half empty; nothing may come for long. */
static void shrink(struct buf *b)
{
	char *data = b->data == NULL ? NULL : realloc(b->data, b->len + 1);

	if (data == NULL)
		return;
	b->data = data;
	b->cap = b->len + 1;
}

/* Ends the claim if what the session holds may stay. */
static bool try_release(struct upload *up)
{
	struct uploads *u = up->uploads;
	struct share held, share = {
				   .heads = up->head.len > LIMIT_UPLOAD_HEAD ? up->head.cap : 0,
				   .files = up->fd >= 0,
			   };
	bool fits;

	AZ(pthread_mutex_lock(&u->lock));
	ASSERT(up->claimed);
	held.heads = u->held.heads - up->share.heads + share.heads;
	held.files = u->held.files - up->share.files + share.files;
	fits = held.heads <= LIMIT_UPLOADS_HEADS && held.files <= LIMIT_UPLOADS_FILES;
	if (fits) {
		u->held = held;
		up->share = share;
		up->claimed = false;
		up->idle_since_ms = clock_monotonic_ms();
	}
	AZ(pthread_mutex_unlock(&u->lock));
	return fits;
}

int upload_release(struct upload *up, struct error *err)
{
	bool released;

	shrink(&up->head);
	released = try_release(up);
	if (!released && leave_memory(up, err) != 0) {
		upload_drop(up);
		return -1;
	}
	if (!released)
		released = try_release(up);
	ASSERT(released);
	return 0;
}
