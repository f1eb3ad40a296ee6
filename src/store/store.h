/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded registry's data in one folder: what is where, and how it gets there durably.
 *
 *   lock                         held by the one process that has the folder open
 *   registry.db                  SQLite, WAL, synchronous=FULL; schema in schema.c
 *   blobs/<algorithm>/<xx>/<hex> blobs above LIMIT_BLOB_IN_ROW; smaller ones are rows
 *   uploads/                     files of open uploads; emptied at start
 *
 * One connection writes and checkpoints, ever. It is the transaction between store_begin() and
 * store_commit(), and one thread at a time has it. Readers are read-only connections out of a pool;
 * each read is one statement, so none keeps a snapshot open. Functions that take a connection run
 * on either: readers see the last commit, the writer what it has written itself.
 *
 * A blob file is complete and synced under its final name before the row that names it is
 * committed, so a crash leaves at most a file that no row names.
 *
 * Everything here blocks. ERROR_NO_SPACE: nothing was written, and it works again when there is
 * room. A failed fsync ends the process: it is never retried.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buf.h"
#include "oci/digest.h"
#include "oci/manifest.h"
#include "oci/registry.h"

/* The API is the only author of the repositories whose names begin so. */
#define STORE_OWN_REPOSITORIES "gitops-squared/"

struct store;
struct store_conn;

/* Opens or makes the folder and takes its lock. ERROR_CONFLICT: another process has it.
 * ERROR_INTERNAL: its data is newer than this program, or not a registry's. */
int store_open(struct store **ret, const char *dir, size_t n_readers, struct error *err) MUST_CHECK;
void store_close(struct store *s); /* no connection may be in use */
DEFINE_CLEANUP(struct store, store_close);

const char *store_dir(const struct store *s);

/* The process is about to end: long work on the store (gc, verify, layout, backup) ends at its next
 * step, where it asks store_interrupted(): ERROR_UNAVAILABLE. Any thread. */
void store_interrupt(struct store *s);
int store_interrupted(const struct store *s, struct error *err) MUST_CHECK;

/* A read-only connection, for one thread; waits until one is free. */
struct store_conn *store_reader(struct store *s);
void store_reader_done(struct store_conn *c); /* NULL is fine */
DEFINE_CLEANUP(struct store_conn, store_reader_done);

/*
 * A write transaction: waits for its turn (first come, first served).
 *
 * Once a statement fails in it, the transaction is lost: what follows fails too, and commit rolls
 * back and returns the first failure. A refusal (ERROR_NOT_FOUND, ERROR_CONFLICT, ERROR_INVALID)
 * is found before anything is written and leaves the transaction as it was.
 */
int store_begin(struct store *s, struct store_conn **ret, struct error *err) MUST_CHECK;
int store_commit(struct store *s, struct error *err) MUST_CHECK; /* ends it either way */
void store_rollback(struct store *s);

/* ---- blobs (blob.c) ---- */

struct store_blob {
	uint64_t size;
	int64_t pushed_at; /* seconds since 1970: when it was last said to be there */
	int fd;            /* >= 0: the file, of that size; else */
	struct buf data;   /* the bytes, verified */
};
void store_blob_init(struct store_blob *b);
void store_blob_done(struct store_blob *b);

/* A blob that this repository may serve: by push or mount. */
int store_blob_get(struct store_conn *c, struct slice repository, const struct digest *digest,
	struct store_blob *ret, struct error *err) MUST_CHECK;

/* Rows are verified as they are read; a file when this process has hashed it, and it has not
 * changed since. The other makes it so: without a connection, as it may take long. ERROR_INTERNAL:
 * damaged. */
bool store_blob_is_verified(
	struct store *s, const struct digest *digest, const struct store_blob *b);
int store_blob_verify(struct store *s, const struct digest *digest, const struct store_blob *b,
	struct error *err) MUST_CHECK;

/* Writes a blob file from memory, in place and durable. The row comes later. */
int store_blob_write_file(struct store *s, const struct digest *digest, struct slice bytes,
	struct error *err) MUST_CHECK;
/* Takes over a complete, synced file under uploads/ likewise. */
int store_blob_adopt_file(struct store *s, const struct digest *digest, const char *path,
	struct error *err) MUST_CHECK;

/* Makes it a blob of the repository. bytes: the content, up to LIMIT_BLOB_IN_ROW; a larger one is
 * in its file already. ERROR_UNAVAILABLE: garbage collection took the file before; push again. */
int store_blob_put(struct store_conn *tx, struct slice repository, const struct digest *digest,
	uint64_t size, struct slice bytes, struct error *err) MUST_CHECK;
/* Takes a blob that is in "from", or anywhere when from is SLICE_NONE, into the repository. */
int store_blob_mount(struct store_conn *tx, struct slice repository, struct slice from,
	const struct digest *digest, struct error *err) MUST_CHECK;
/* It is about to be said to be there: its age counts from now (store/gc.h). */
int store_blob_touch(struct store_conn *tx, struct slice repository, const struct digest *digest,
	struct error *err) MUST_CHECK;
/* Takes it out of the repository. The content goes when nobody else has it; its file, with the next
 * garbage collection. */
int store_blob_delete(struct store_conn *tx, struct slice repository, const struct digest *digest,
	struct error *err) MUST_CHECK;

/* ---- manifests and tags (manifest.c, push.c) ---- */

#define STORE_MEDIA_TYPE_SIZE 256

struct store_manifest {
	struct digest digest;
	char media_type[STORE_MEDIA_TYPE_SIZE];
	struct buf bytes; /* verified */
};
void store_manifest_init(struct store_manifest *m);
void store_manifest_done(struct store_manifest *m);

/* The reference is a tag or a digest. */
int store_manifest_get(struct store_conn *c, struct slice repository, struct slice reference,
	struct store_manifest *ret, struct error *err) MUST_CHECK;

/* The digest that a tag names. */
int store_tag_get(struct store_conn *c, struct slice repository, struct slice tag,
	struct digest *ret, struct error *err) MUST_CHECK;

struct store_push {
	struct slice repository;
	size_t n_tags; /* 0: by digest only */
	const struct slice *tags;
	size_t n_new_tags; /* the first so many are new: refused when one names another manifest,
			    * and never moved again */
	bool sparse;       /* what it names may be missing */
	struct slice media_type;
	struct slice bytes;
	struct digest digest;
	const struct oci_manifest *parsed; /* of bytes; NULL: is parsed if it is not stored yet */
	size_t n_blobs; /* stored with it; those above LIMIT_BLOB_IN_ROW are files already */
	const struct push_blob *blobs;
};
/* ERROR_CONFLICT: a tag is immutable, or new, and names something else. ERROR_NOT_FOUND: not
 * sparse, and a blob or manifest that it names (but for the subject) is not in the repository.
 * ERROR_INVALID: it is not a manifest. ERROR_UNAVAILABLE: as for store_blob_put(). */
int store_manifest_put(
	struct store_conn *tx, const struct store_push *push, struct error *err) MUST_CHECK;
/* With the tags that name it. */
int store_manifest_delete(struct store_conn *tx, struct slice repository,
	const struct digest *digest, struct error *err) MUST_CHECK;
int store_tag_delete(struct store_conn *tx, struct slice repository, struct slice tag,
	struct error *err) MUST_CHECK;

/* One tag that expires: it goes, and with it the manifest that it was the last to name. */
struct store_expiry {
	struct slice tag;
	bool found; /* out: it was there */
};
/* A manifest stays that another tag or an index names, or that is the subject of one. Reads every
 * tag of the repository, so many of them are expired together. */
int store_tags_expire(struct store_conn *tx, struct slice repository, struct store_expiry *list,
	size_t n, struct error *err) MUST_CHECK;

/* ---- lists (list.c): byte order, after "last", at most n ---- */

/* NUL-separated names. */
struct store_names {
	size_t n;
	struct buf text;
	bool more; /* there are names after these */
};
void store_names_init(struct store_names *names);
void store_names_done(struct store_names *names);
/* Visits them in order: start with *at == 0; false after the last. */
bool store_names_next(const struct store_names *names, size_t *at, struct slice *ret);

/* ERROR_NOT_FOUND for an unknown repository. */
int store_tags(struct store_conn *c, struct slice repository, struct slice last, size_t n,
	struct store_names *ret, struct error *err) MUST_CHECK;
/* Repositories that hold a manifest. */
int store_repositories(struct store_conn *c, struct slice last, size_t n, struct store_names *ret,
	struct error *err) MUST_CHECK;
/*
 * Grows with every commit that changes which repositories those are. Any thread.
 *
 * A list that is kept with the number read before its query, and used only while that is still the
 * number, is never stale: it grows after the change is visible, so the list has every change that
 * is counted; and before store_commit() returns, so what anybody was told of is counted.
 */
uint64_t store_repositories_generation(const struct store *s);

struct store_referrer {
	int64_t position; /* grows; names the place where a list goes on */
	struct digest digest;
	struct slice media_type, artifact_type; /* artifact_type.p == NULL: none */
	struct slice bytes;                     /* the manifest */
};
/* Manifests whose subject is the digest, those after position, until each() returns 1 (enough)
 * or -1 (with an error). artifact_type: SLICE_NONE for all. */
int store_referrers(struct store_conn *c, struct slice repository, const struct digest *subject,
	struct slice artifact_type, int64_t after,
	int (*each)(const struct store_referrer *referrer, void *arg, struct error *err), void *arg,
	struct error *err) MUST_CHECK;

#endif
