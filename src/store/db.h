/* SPDX-License-Identifier: Apache-2.0 */
/* Private to store: connections with their prepared statements. */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "store/store.h"

#include <sqlite3.h>

/* Statements that read come first: a reader prepares only those. */
enum store_sql {
	SQL_BLOB_OF_REPOSITORY,
	SQL_BLOB_FIND,
	SQL_BLOB_COMPARE,
	SQL_BLOB_FILE_FIND,
	SQL_BLOB_OF_REPOSITORY_FIND,
	SQL_GC_PAGE,
	SQL_COLLECTED_FIND,
	SQL_REPOSITORY_FIND,
	SQL_MANIFEST_BY_TAG,
	SQL_MANIFEST_BY_DIGEST,
	SQL_MANIFEST_FIND,
	SQL_MANIFEST_ANY,
	SQL_MANIFEST_COMPARE,
	SQL_TAG_DIGEST,
	SQL_TAG_FIND,
	SQL_TAG_MANIFEST,
	SQL_TAGS,
	SQL_TAGGED,
	SQL_MANIFEST_NAMED,
	SQL_REPOSITORIES,
	SQL_REFERRERS,
	SQL_BLOB_FILES,
	SQL_COPY_DATABASE,
	SQL_INTEGRITY_CHECK,
	SQL_REPOSITORY_NAME,
	SQL_VERIFY_REFERENCES,
	SQL_VERIFY_REFERENCES_OF,
	SQL_VERIFY_NEXT_MANIFEST,
	SQL_VERIFY_MANIFEST,
	SQL_VERIFY_TAGS,
	SQL_VERIFY_REPOSITORY_BLOBS,
	SQL_VERIFY_BLOB,
	SQL_MANIFEST_LAST,
	SQL_MANIFEST_NEXT,
	SQL_LAYOUT_TAGS,
	SQL_LAYOUT_UNTAGGED,
	SQL_READS_,
	SQL_BEGIN = SQL_READS_,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_REPOSITORY_ADD,
	SQL_BLOB_ADD,
	SQL_BLOB_REPLACE,
	SQL_REPOSITORY_BLOB_ADD,
	SQL_REPOSITORY_BLOB_KEEP,
	SQL_REPOSITORY_BLOB_TOUCH,
	SQL_REPOSITORY_BLOB_DELETE,
	SQL_REPOSITORY_BLOB_COLLECT,
	SQL_BLOB_DELETE_UNUSED,
	SQL_COLLECTED_ADD,
	SQL_COLLECTED_FORGET,
	SQL_MANIFEST_ADD,
	SQL_MANIFEST_REPLACE,
	SQL_MANIFEST_DELETE,
	SQL_REFERENCE_ADD,
	SQL_REFERENCE_DELETE,
	SQL_REFERENCES_DELETE,
	SQL_TAG_PUT,
	SQL_TAG_DELETE,
	SQL_TAGS_OF_MANIFEST_DELETE,
	SQL_ALL_
};
extern const char *const store_sql[SQL_ALL_];

/* A digest as a key: the multihash code of its algorithm, then its bytes. */
#define STORE_KEY_SIZE (1 + DIGEST_BYTES_MAX)
size_t store_key(const struct digest *d, unsigned char ret[STORE_KEY_SIZE]);

struct store_conn {
	struct store *store;
	sqlite3 *db;
	sqlite3_stmt *statements[SQL_ALL_];
	bool writes;
	struct error broken;       /* of the transaction: the first statement that failed in it */
	bool repositories_changed; /* in the transaction: which of them hold a manifest */
	struct store_conn *next_free;
};

/* A connection that reads, beside the pool's, for a statement that takes long: to the store's
 * database, or to the copy of it at path. */
int store_conn_open(
	struct store_conn **ret, struct store *s, const char *path, struct error *err) MUST_CHECK;
void store_conn_close(struct store_conn *c); /* NULL is fine */
DEFINE_CLEANUP(struct store_conn, store_conn_close);

/* Brings a new or older database to this program's schema; refuses a newer or foreign one before it
 * touches it. */
int store_schema_apply(sqlite3 *db, const char *path, struct error *err) MUST_CHECK;

/* What the connection's last call failed with. A failed fsync ends the process here. */
int store_db_error(sqlite3 *db, struct error *err);

/*
 * One use of a prepared statement:
 *
 *   CLEANUP(query_done) struct query q = query(c, SQL_TAG_FIND);
 *   query_bind_int(&q, repository);
 *   query_bind_text(&q, tag);
 *   found = query_row(&q, err);     1: a row, 0: no more, -1: failed
 *   id = query_int(&q);             columns from left to right
 *
 * Bound slices must live until query_done(); columns until the next query_row().
 */
struct query {
	struct store_conn *conn;
	sqlite3_stmt *stmt;
	int bound;  /* parameters so far */
	int column; /* next to be read */
	int rc;     /* first bind that failed */
};
struct query query(struct store_conn *c, enum store_sql sql);
void query_done(struct query *q);

void query_bind_int(struct query *q, int64_t value);
void query_bind_text(struct query *q, struct slice value);           /* p == NULL: NULL */
void query_bind_blob(struct query *q, struct slice value);           /* p == NULL: NULL */
void query_bind_digest(struct query *q, const struct digest *value); /* NULL: NULL */

int query_row(struct query *q, struct error *err) MUST_CHECK;
/* For statements that find one id: 0 where there is none. */
int query_id(struct query *q, int64_t *ret, struct error *err) MUST_CHECK;
/* For statements without rows. */
int query_run(struct query *q, struct error *err) MUST_CHECK;

int64_t query_int(struct query *q);
struct slice query_slice(struct query *q); /* text or blob; p == NULL for NULL */
int query_digest(struct query *q, struct digest *ret, struct error *err) MUST_CHECK;

/* ---- shared by the store's parts ---- */

/* Ids start at 1: 0 is what a _find() returns when there is none. */

int store_repository_find(
	struct store_conn *c, struct slice name, int64_t *ret, struct error *err) MUST_CHECK;
/* One that is not there. */
int store_repository_add(
	struct store_conn *tx, struct slice name, int64_t *ret, struct error *err) MUST_CHECK;
/* Finds or adds. */
int store_repository_make(
	struct store_conn *tx, struct slice name, int64_t *ret, struct error *err) MUST_CHECK;

/* A blob or manifest that the repository has. */
int store_blob_find(struct store_conn *c, int64_t repository, const struct digest *digest,
	int64_t *ret, struct error *err) MUST_CHECK;
int store_manifest_find(struct store_conn *c, int64_t repository, const struct digest *digest,
	int64_t *ret, struct error *err) MUST_CHECK;

/* The blob becomes the repository's, and new if nobody had it. bytes: as for store_blob_put().
 * named: a manifest of the same transaction names it, so its age does not matter, and a row that is
 * there stays as it is. */
int store_blob_add(struct store_conn *tx, int64_t repository, const struct digest *digest,
	uint64_t size, struct slice bytes, bool named, struct error *err) MUST_CHECK;

/* Refuses with ERROR_UNAVAILABLE a blob whose file, if it is to have one, is gone. In the write
 * transaction that adds its row: garbage collection has to take one too, to remove a file. */
int store_blob_check_file(const struct store *s, const struct digest *digest, uint64_t size,
	struct error *err) MUST_CHECK;
/* The row goes if no repository has the blob. */
int store_blob_delete_unused(struct store_conn *tx, int64_t blob, uint64_t *ret_size,
	bool *ret_deleted, bool *ret_file, struct error *err) MUST_CHECK;

/* Before a manifest is added, and after one is deleted: when the repository has no other, the
 * repositories that hold a manifest change with this transaction. */
int store_note_if_no_manifest(
	struct store_conn *tx, int64_t repository, struct error *err) MUST_CHECK;

/* Adds or deletes (sql) the rows of what the manifest names. */
int store_references(struct store_conn *tx, enum store_sql sql, int64_t repository,
	int64_t manifest, const struct oci_manifest *m, struct error *err) MUST_CHECK;

/* ---- blob files (blob_file.c) ---- */

/* Which of them this process has found undamaged. */
struct blob_files;
int blob_files_new(struct blob_files **ret, struct error *err) MUST_CHECK;
void blob_files_free(struct blob_files *f);
struct blob_files *store_blob_files(struct store *s);

/* blobs/<algorithm>/<first two digits>/<hex>, below the data folder. */
#define STORE_BLOB_PATH_SIZE (sizeof("blobs/sha512/xx/") + 2 * DIGEST_BYTES_MAX)
const char *store_blob_path(const struct digest *digest, char ret[STORE_BLOB_PATH_SIZE]);
/* ERROR_INTERNAL when it is missing or not of that size. */
int store_blob_open_file(const struct store *s, const struct digest *digest, uint64_t size,
	int *ret, struct error *err) MUST_CHECK;
/* Reads the whole file, checks size and digest and, to >= 0, writes it there on the way. Whatever
 * fails, some of it may be written. */
int store_blob_copy_file(const struct store *s, const struct digest *digest, uint64_t size, int to,
	struct error *err) MUST_CHECK;
/* The same with any open file, from where it stands, UINT64_MAX: to its end; *ret_same: the digest
 * is right. */
int store_copy(const struct store *s, int fd, const struct digest *digest, uint64_t size, int to,
	bool *ret_same, struct error *err) MUST_CHECK;

/* Sets the error of bytes that are not what was stored. Returns -1. */
int store_damaged(const struct digest *digest, struct error *err);

/* Do the bytes match the digest that they are stored under? */
int store_check_digest(
	const struct digest *digest, struct slice bytes, struct error *err) MUST_CHECK;

/* ERROR_INVALID when the open folder is the data folder or lies below it. */
int store_check_outside(const struct store *s, int folder, struct error *err) MUST_CHECK;

int64_t store_now_s(void); /* for the pushed_at columns */

#endif
