/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

#include "base/log.h"

#include <errno.h>

/* Codes of the multihash table: stored, so not those of an enum that may be reordered. */
enum { KEY_SHA256 = 0x12, KEY_SHA512 = 0x13 };

size_t store_key(const struct digest *d, unsigned char ret[STORE_KEY_SIZE])
{
	size_t n = digest_size(d->algorithm);

	ret[0] = d->algorithm == DIGEST_SHA256 ? KEY_SHA256 : KEY_SHA512;
	memcpy(ret + 1, d->bytes, n);
	return 1 + n;
}

static int digest_of_key(struct digest *ret, struct slice key, struct error *err)
{
	struct digest d = {0};

	if (key.n > 0 && key.p[0] == KEY_SHA256)
		d.algorithm = DIGEST_SHA256;
	else if (key.n > 0 && key.p[0] == KEY_SHA512)
		d.algorithm = DIGEST_SHA512;
	if (d.algorithm == DIGEST_NONE || key.n != 1 + digest_size(d.algorithm))
		return error_set(err, ERROR_INTERNAL,
			"the registry's database is damaged: a digest in it is malformed");
	memcpy(d.bytes, key.p + 1, key.n - 1);
	*ret = d;
	return 0;
}

static NORETURN void sync_failed(sqlite3 *db)
{
	log_error("cannot sync to disk; ending, since what was written may be lost",
		LOG_STR("what", "registry.db"),
		LOG_STR("error", strerror(sqlite3_system_errno(db))));
	abort();
}

int store_db_error(sqlite3 *db, struct error *err)
{
	int code = sqlite3_extended_errcode(db);
	int errnum = sqlite3_system_errno(db);
	bool no_space = errnum == ENOSPC || errnum == EDQUOT;

	if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
		sync_failed(db);
	switch (code & 0xff) {
	case SQLITE_FULL:
		return error_set(err, ERROR_NO_SPACE,
			"the registry's disk is full; make room and try again");
	case SQLITE_NOMEM:
		return error_no_memory(err);
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		if (no_space)
			return error_set(err, ERROR_NO_SPACE,
				"the registry's disk is full; make room and try again");
		break;
	}
	return error_set(err, ERROR_INTERNAL, "the registry's database failed: %s (%d)",
		sqlite3_errmsg(db), code);
}

struct query query(struct store_conn *c, enum store_sql sql)
{
	ASSERT(c->statements[sql] != NULL);
	return (struct query){.conn = c, .stmt = c->statements[sql], .rc = SQLITE_OK};
}

void query_done(struct query *q)
{
	/* What it returns was reported by query_row() already. */
	(void)sqlite3_reset(q->stmt);
	AZ(sqlite3_clear_bindings(q->stmt));
}

static void bound(struct query *q, int rc)
{
	if (q->rc == SQLITE_OK)
		q->rc = rc;
}

void query_bind_int(struct query *q, int64_t value)
{
	bound(q, sqlite3_bind_int64(q->stmt, ++q->bound, value));
}

void query_bind_text(struct query *q, struct slice value)
{
	bound(q, sqlite3_bind_text64(
			 q->stmt, ++q->bound, value.p, value.n, SQLITE_STATIC, SQLITE_UTF8));
}

void query_bind_blob(struct query *q, struct slice value)
{
	bound(q, sqlite3_bind_blob64(q->stmt, ++q->bound, value.p, value.n, SQLITE_STATIC));
}

void query_bind_digest(struct query *q, const struct digest *value)
{
	unsigned char key[STORE_KEY_SIZE];

	if (value == NULL)
		return query_bind_blob(q, SLICE_NONE);
	bound(q, sqlite3_bind_blob64(
			 q->stmt, ++q->bound, key, store_key(value, key), SQLITE_TRANSIENT));
}

/* In a transaction the first failure is the last word: see store_begin(). */
static int failed(struct query *q, struct error *err)
{
	store_db_error(q->conn->db, err);
	if (q->conn->writes && q->conn->broken.code == ERROR_NONE)
		q->conn->broken = *err;
	return -1;
}

int query_row(struct query *q, struct error *err)
{
	if (q->conn->broken.code != ERROR_NONE) {
		*err = q->conn->broken;
		return -1;
	}
	if (q->rc != SQLITE_OK)
		return failed(q, err);
	q->column = 0;
	switch (sqlite3_step(q->stmt)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return failed(q, err);
	}
}

int query_run(struct query *q, struct error *err)
{
	int row = query_row(q, err);

	ASSERT(row <= 0);
	return row;
}

int64_t query_int(struct query *q)
{
	return sqlite3_column_int64(q->stmt, q->column++);
}

int query_id(struct query *q, int64_t *ret, struct error *err)
{
	int row = query_row(q, err);

	if (row >= 0)
		*ret = row == 0 ? 0 : query_int(q);
	return row < 0 ? -1 : 0;
}

struct slice query_slice(struct query *q)
{
	int column = q->column++;
	const void *p = sqlite3_column_blob(q->stmt, column);

	if (p != NULL)
		return (struct slice){p, (size_t)sqlite3_column_bytes(q->stmt, column)};
	/* A value without bytes is not NULL, but SQLite's pointer is. */
	return sqlite3_column_type(q->stmt, column) == SQLITE_NULL ? SLICE_NONE : SLICE("");
}

int query_digest(struct query *q, struct digest *ret, struct error *err)
{
	return digest_of_key(ret, query_slice(q), err);
}
