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
	SQL_BLOB_OF_REPOSITORY_FIND,
	SQL_REPOSITORY_FIND,
	SQL_MANIFEST_BY_TAG,
	SQL_MANIFEST_BY_DIGEST,
	SQL_MANIFEST_FIND,
	SQL_TAG_DIGEST,
	SQL_TAG_FIND,
	SQL_TAGS,
	SQL_REPOSITORIES,
	SQL_REFERRERS,
	SQL_READS_,
	SQL_BEGIN = SQL_READS_,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_REPOSITORY_ADD,
	SQL_BLOB_ADD,
	SQL_REPOSITORY_BLOB_ADD,
	SQL_REPOSITORY_BLOB_DELETE,
	SQL_MANIFEST_ADD,
	SQL_MANIFEST_DELETE,
	SQL_MANIFEST_BLOB_ADD,
	SQL_MANIFEST_BLOB_DELETE,
	SQL_MANIFEST_CHILD_ADD,
	SQL_MANIFEST_CHILD_DELETE,
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
	struct error broken; /* of the transaction: the first statement that failed in it */
	struct store_conn *next_free;
};

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

/* The blob becomes the repository's, and new if nobody had it. bytes: as for store_blob_put(). */
int store_blob_add(struct store_conn *tx, int64_t repository, const struct digest *digest,
	uint64_t size, struct slice bytes, int64_t *ret, struct error *err) MUST_CHECK;

/* Do the bytes match the digest that they are stored under? */
int store_verify(const struct digest *digest, struct slice bytes, struct error *err) MUST_CHECK;

int64_t store_now_s(void); /* for the pushed_at columns */

#endif
