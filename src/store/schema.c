/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema, and every statement that the store runs.
 *
 * Digests are binary keys (store_key()), everything else refers to small integers, so the rows of
 * one push are few and short and mostly appended. Foreign keys are not declared: the store's
 * transactions keep them, and a check on each insert is a look-up that a push need not pay.
 */
#include "store/db.h"

#define APPLICATION_ID 0x67737172 /* "gsqr" */

/* migrations[n] leads from version n to n + 1. Never change one that was released. */
static const char *const migrations[] = {
	/* data is NULL for a blob that is a file. */
	"CREATE TABLE blob("
	" id INTEGER PRIMARY KEY,"
	" digest BLOB NOT NULL UNIQUE,"
	" size INTEGER NOT NULL,"
	" data BLOB);"

	"CREATE TABLE repository("
	" id INTEGER PRIMARY KEY,"
	" name TEXT NOT NULL UNIQUE);"

	/* Which blobs a repository may serve: those pushed to it or mounted. pushed_at (seconds
	 * since 1970) protects a blob between its upload and the manifest that names it. */
	"CREATE TABLE repository_blob("
	" repository INTEGER NOT NULL,"
	" blob INTEGER NOT NULL,"
	" pushed_at INTEGER NOT NULL,"
	" PRIMARY KEY(repository, blob)) WITHOUT ROWID;"

	"CREATE TABLE manifest("
	" id INTEGER PRIMARY KEY,"
	" repository INTEGER NOT NULL,"
	" digest BLOB NOT NULL,"
	" media_type TEXT NOT NULL,"
	" artifact_type TEXT,"
	" subject BLOB,"
	" pushed_at INTEGER NOT NULL,"
	" bytes BLOB NOT NULL,"
	" UNIQUE(repository, digest));"
	"CREATE INDEX manifest_subject ON manifest(repository, subject, id)"
	" WHERE subject IS NOT NULL;"

	/* What a manifest keeps alive: config and layers, and an index's manifests by digest. */
	"CREATE TABLE manifest_blob("
	" manifest INTEGER NOT NULL,"
	" blob INTEGER NOT NULL,"
	" PRIMARY KEY(manifest, blob)) WITHOUT ROWID;"
	"CREATE TABLE manifest_child("
	" manifest INTEGER NOT NULL,"
	" digest BLOB NOT NULL,"
	" PRIMARY KEY(manifest, digest)) WITHOUT ROWID;"

	"CREATE TABLE tag("
	" repository INTEGER NOT NULL,"
	" name TEXT NOT NULL,"
	" manifest INTEGER NOT NULL,"
	" immutable INTEGER NOT NULL,"
	" PRIMARY KEY(repository, name)) WITHOUT ROWID;",

	/* What each manifest names, there or not: config and layers of an image, manifests of an
	 * index. By digest, so that a blob is protected also when it comes after its manifest. */
	"CREATE TABLE reference("
	" repository INTEGER NOT NULL,"
	" digest BLOB NOT NULL,"
	" manifest INTEGER NOT NULL,"
	" PRIMARY KEY(repository, digest, manifest)) WITHOUT ROWID;"
	"INSERT INTO reference SELECT m.repository, b.digest, m.id FROM manifest_blob mb"
	" JOIN manifest m ON m.id = mb.manifest JOIN blob b ON b.id = mb.blob;"
	"INSERT INTO reference SELECT m.repository, mc.digest, m.id FROM manifest_child mc"
	" JOIN manifest m ON m.id = mc.manifest WHERE true ON CONFLICT DO NOTHING;"
	"DROP TABLE manifest_blob;"
	"DROP TABLE manifest_child;"
	/* Ordered by blob, to see who else has one. */
	"ALTER TABLE repository_blob RENAME TO old_repository_blob;"
	"CREATE TABLE repository_blob("
	" blob INTEGER NOT NULL,"
	" repository INTEGER NOT NULL,"
	" pushed_at INTEGER NOT NULL,"
	" PRIMARY KEY(blob, repository)) WITHOUT ROWID;"
	"INSERT INTO repository_blob SELECT blob, repository, pushed_at FROM old_repository_blob;"
	"DROP TABLE old_repository_blob;"
	"DELETE FROM blob WHERE id NOT IN (SELECT blob FROM repository_blob);"
	/* What garbage collection has taken, and when: a manifest that names it comes too late, and
	 * is not a sparse one. */
	"CREATE TABLE collected("
	" repository INTEGER NOT NULL,"
	" digest BLOB NOT NULL,"
	" collected_at INTEGER NOT NULL,"
	" PRIMARY KEY(repository, digest)) WITHOUT ROWID;",
};

#define REPOSITORY_ID(parameter) "(SELECT id FROM repository WHERE name = " parameter ")"
#define BLOB_DIGEST(parameter) "(SELECT digest FROM blob WHERE id = " parameter ")"
#define REFERENCED(repository, digest) \
	"EXISTS (SELECT 1 FROM reference WHERE repository = " repository " AND digest = " digest ")"

const char *const store_sql[SQL_ALL_] = {
	[SQL_BLOB_OF_REPOSITORY] =
		"SELECT b.size, rb.pushed_at, b.data FROM blob b JOIN repository_blob rb"
		" ON rb.blob = b.id AND rb.repository = " REPOSITORY_ID(
			"?1") " WHERE b.digest = ?2",
	[SQL_BLOB_FIND] = "SELECT id FROM blob WHERE digest = ?1",
	[SQL_BLOB_FILE_FIND] = "SELECT id FROM blob WHERE digest = ?1 AND data IS NULL",
	[SQL_BLOB_COMPARE] = "SELECT id, data IS ?2 FROM blob WHERE digest = ?1",
	[SQL_BLOB_OF_REPOSITORY_FIND] =
		"SELECT b.id FROM blob b JOIN repository_blob rb"
		" ON rb.blob = b.id AND rb.repository = ?1 WHERE b.digest = ?2",
	[SQL_GC_PAGE] = "SELECT rb.blob, rb.repository, rb.pushed_at <= ?3 AND NOT " REFERENCED(
		"rb.repository",
		BLOB_DIGEST("rb.blob")) " FROM repository_blob rb WHERE (rb.blob, rb.repository) > "
					"(?1, ?2)"
					" ORDER BY rb.blob, rb.repository LIMIT ?4",
	[SQL_COLLECTED_FIND] = "SELECT 1 FROM collected WHERE repository = ?1 AND digest = ?2",
	[SQL_REPOSITORY_FIND] = "SELECT id FROM repository WHERE name = ?1",
	[SQL_MANIFEST_BY_TAG] = "SELECT m.digest, m.media_type, m.bytes FROM tag t JOIN manifest m"
				" ON m.id = t.manifest"
				" WHERE t.repository = " REPOSITORY_ID("?1") " AND t.name = ?2",
	[SQL_MANIFEST_BY_DIGEST] = "SELECT digest, media_type, bytes FROM manifest"
				   " WHERE repository = " REPOSITORY_ID("?1") " AND digest = ?2",
	[SQL_MANIFEST_COMPARE] = "SELECT id, bytes IS ?3 FROM manifest"
				 " WHERE repository = ?1 AND digest = ?2",
	[SQL_MANIFEST_FIND] = "SELECT id FROM manifest WHERE repository = ?1 AND digest = ?2",
	[SQL_MANIFEST_ANY] = "SELECT id FROM manifest WHERE repository = ?1 LIMIT 1",
	[SQL_TAG_DIGEST] = "SELECT m.digest FROM tag t JOIN manifest m ON m.id = t.manifest"
			   " WHERE t.repository = " REPOSITORY_ID("?1") " AND t.name = ?2",
	[SQL_TAG_FIND] =
		"SELECT t.immutable, m.digest FROM tag t JOIN manifest m ON m.id = t.manifest"
		" WHERE t.repository = ?1 AND t.name = ?2",
	[SQL_TAG_MANIFEST] = "SELECT m.id, m.digest FROM tag t JOIN manifest m ON m.id = t.manifest"
			     " WHERE t.repository = ?1 AND t.name = ?2",
	[SQL_TAGGED] = "SELECT manifest FROM tag WHERE repository = ?1",
	/* By an index, or as a subject. */
	[SQL_MANIFEST_NAMED] =
		"SELECT 1 WHERE EXISTS (SELECT 1 FROM reference WHERE repository = ?1 AND digest = "
		"?2)"
		" OR EXISTS (SELECT 1 FROM manifest WHERE repository = ?1 AND subject = ?2)",
	[SQL_TAGS] =
		"SELECT name FROM tag WHERE repository = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
	[SQL_REPOSITORIES] = "SELECT name FROM repository r WHERE name > ?1"
			     " AND EXISTS (SELECT 1 FROM manifest WHERE repository = r.id)"
			     " ORDER BY name LIMIT ?2",
	[SQL_REFERRERS] = "SELECT id, digest, media_type, artifact_type, bytes FROM manifest"
			  " WHERE repository = " REPOSITORY_ID(
				  "?1") " AND subject = ?2 AND id > ?3"
					" AND (?4 IS NULL OR artifact_type = ?4) ORDER BY id",

	[SQL_BLOB_FILES] = "SELECT digest, size FROM blob WHERE data IS NULL ORDER BY id",
	[SQL_COPY_DATABASE] = "VACUUM INTO ?1",
	[SQL_INTEGRITY_CHECK] = "PRAGMA integrity_check",
	[SQL_REPOSITORY_NAME] = "SELECT name FROM repository WHERE id = ?1",
	[SQL_VERIFY_REFERENCES] =
		"SELECT f.repository, f.digest, f.manifest, m.id IS NULL, f.digest FROM reference f"
		" LEFT JOIN manifest m ON m.id = f.manifest AND m.repository = f.repository"
		" WHERE (f.repository, f.digest, f.manifest) > (?1, ?2, ?3)"
		" ORDER BY f.repository, f.digest, f.manifest LIMIT ?4",
	[SQL_VERIFY_REFERENCES_OF] =
		"SELECT digest FROM reference WHERE repository = ?1 AND manifest = ?2",
	[SQL_VERIFY_NEXT_MANIFEST] = "SELECT min(id) FROM manifest WHERE id > ?1",
	[SQL_VERIFY_MANIFEST] =
		"SELECT m.id, m.repository, m.digest, m.subject, m.bytes, r.id IS NULL"
		" FROM manifest m LEFT JOIN repository r ON r.id = m.repository"
		" WHERE m.id > ?1 AND m.id <= ?2 ORDER BY m.id LIMIT 1",
	[SQL_VERIFY_TAGS] =
		"SELECT t.repository, t.name, m.id IS NULL FROM tag t"
		" LEFT JOIN manifest m ON m.id = t.manifest AND m.repository = t.repository"
		" WHERE (t.repository, t.name) > (?1, ?2) ORDER BY t.repository, t.name LIMIT ?3",
	[SQL_VERIFY_REPOSITORY_BLOBS] =
		"SELECT rb.blob, rb.repository, b.id IS NULL OR r.id IS NULL"
		" FROM repository_blob rb LEFT JOIN blob b ON b.id = rb.blob"
		" LEFT JOIN repository r ON r.id = rb.repository"
		" WHERE (rb.blob, rb.repository) > (?1, ?2)"
		" ORDER BY rb.blob, rb.repository LIMIT ?3",
	[SQL_VERIFY_BLOB] = "SELECT id, size, data, digest FROM blob WHERE id > ?1"
			    " ORDER BY id LIMIT 1",
	[SQL_MANIFEST_LAST] = "SELECT max(id) FROM manifest",
	[SQL_MANIFEST_NEXT] = "SELECT digest, bytes FROM manifest"
			      " WHERE repository = ?1 AND digest > ?2 AND +id <= ?3"
			      " ORDER BY digest LIMIT 1",
	[SQL_LAYOUT_TAGS] = "SELECT t.name, t.name, t.immutable, m.digest, m.media_type,"
			    " m.artifact_type, length(m.bytes) FROM tag t"
			    " JOIN manifest m ON m.id = t.manifest"
			    " WHERE t.repository = ?1 AND t.name > ?2 AND m.id <= ?3"
			    " ORDER BY t.name LIMIT ?4",
	/* Those that no index names, either. */
	[SQL_LAYOUT_UNTAGGED] =
		"SELECT m.digest, NULL, 0, m.digest, m.media_type, m.artifact_type,"
		" length(m.bytes) FROM manifest m"
		" WHERE m.repository = ?1 AND m.digest > ?2 AND +m.id <= ?3"
		" AND m.id NOT IN (SELECT manifest FROM tag WHERE repository = ?1)"
		" AND NOT EXISTS (SELECT 1 FROM reference r JOIN manifest p ON p.id = r.manifest"
		" WHERE r.repository = ?1 AND r.digest = m.digest AND p.id <= ?3"
		" AND p.media_type IN ('" OCI_MEDIA_INDEX "', '" DOCKER_MEDIA_LIST "'))"
		" ORDER BY m.digest LIMIT ?4",

	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_REPOSITORY_ADD] = "INSERT INTO repository(name) VALUES(?1)",
	[SQL_BLOB_REPLACE] = "UPDATE blob SET size = ?2, data = ?3 WHERE id = ?1",
	[SQL_BLOB_ADD] = "INSERT INTO blob(digest, size, data) VALUES(?1, ?2, ?3)",
	[SQL_REPOSITORY_BLOB_ADD] =
		"INSERT INTO repository_blob(blob, repository, pushed_at) VALUES(?1, ?2, ?3)"
		" ON CONFLICT DO UPDATE SET pushed_at = excluded.pushed_at",
	[SQL_REPOSITORY_BLOB_KEEP] =
		"INSERT INTO repository_blob(blob, repository, pushed_at) VALUES(?1, ?2, ?3)"
		" ON CONFLICT DO NOTHING",
	[SQL_REPOSITORY_BLOB_TOUCH] =
		"UPDATE repository_blob SET pushed_at = ?3 WHERE blob = ?1 AND repository = ?2",
	[SQL_REPOSITORY_BLOB_DELETE] =
		"DELETE FROM repository_blob WHERE blob = ?1 AND repository = ?2",
	[SQL_REPOSITORY_BLOB_COLLECT] =
		"DELETE FROM repository_blob WHERE blob = ?1 AND repository = ?2"
		" AND pushed_at <= ?3 AND NOT " REFERENCED("?2", BLOB_DIGEST("?1")),
	[SQL_COLLECTED_ADD] = "INSERT INTO collected(repository, digest, collected_at)"
			      " SELECT ?2, digest, ?3 FROM blob WHERE id = ?1"
			      " ON CONFLICT DO UPDATE SET collected_at = excluded.collected_at",
	[SQL_COLLECTED_FORGET] = "DELETE FROM collected WHERE collected_at <= ?1",
	[SQL_BLOB_DELETE_UNUSED] = "DELETE FROM blob WHERE id = ?1"
				   " AND NOT EXISTS (SELECT 1 FROM repository_blob WHERE blob = ?1)"
				   " RETURNING size, data IS NULL",
	[SQL_MANIFEST_ADD] =
		"INSERT INTO manifest(repository, digest, media_type, artifact_type, subject,"
		" pushed_at, bytes) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[SQL_MANIFEST_REPLACE] = "UPDATE manifest SET bytes = ?2 WHERE id = ?1",
	[SQL_MANIFEST_DELETE] = "DELETE FROM manifest WHERE id = ?1",
	[SQL_REFERENCE_ADD] = "INSERT INTO reference(repository, digest, manifest)"
			      " VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING",
	[SQL_REFERENCES_DELETE] = "DELETE FROM reference WHERE repository = ?1 AND manifest = ?2",
	[SQL_REFERENCE_DELETE] = "DELETE FROM reference WHERE repository = ?1 AND digest = ?2"
				 " AND manifest = ?3",
	/* A tag that was immutable once stays so. */
	[SQL_TAG_PUT] =
		"INSERT INTO tag(repository, name, manifest, immutable) VALUES(?1, ?2, ?3, ?4)"
		" ON CONFLICT DO UPDATE SET manifest = excluded.manifest,"
		" immutable = max(immutable, excluded.immutable)",
	[SQL_TAG_DELETE] = "DELETE FROM tag WHERE repository = ?1 AND name = ?2",
	[SQL_TAGS_OF_MANIFEST_DELETE] = "DELETE FROM tag WHERE repository = ?1 AND manifest = ?2",
};

static int exec(sqlite3 *db, const char *sql, struct error *err)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_db_error(db, err);
}

/* The single integer that a statement yields. */
static int read_int(sqlite3 *db, const char *sql, int *ret, struct error *err)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int(stmt, 0);
	else
		store_db_error(db, err);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? 0 : -1;
}

static int migrate(sqlite3 *db, int version, struct error *err)
{
	const int ours = (int)ARRAY_SIZE(migrations);
	char header[128];

	sqlite3_snprintf(sizeof(header), header,
		"PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION_ID, ours);
	for (; version < ours; version++)
		if (exec(db, migrations[version], err) != 0)
			return -1;
	return exec(db, header, err);
}

int store_schema_apply(sqlite3 *db, const char *path, struct error *err)
{
	const int ours = (int)ARRAY_SIZE(migrations);
	int id, version, n_tables;

	if (read_int(db, "PRAGMA application_id", &id, err) != 0 ||
		read_int(db, "PRAGMA user_version", &version, err) != 0 ||
		read_int(db, "SELECT count(*) FROM sqlite_schema", &n_tables, err) != 0)
		return -1;
	if (n_tables > 0 && id != APPLICATION_ID)
		return error_set(err, ERROR_INTERNAL,
			"%s is not a registry's database; use another data folder", path);
	if (version > ours)
		return error_set(err, ERROR_INTERNAL,
			"%s was written by a newer gsq (schema %d, this one knows %d): start that "
			"version, or restore a backup made before the upgrade",
			path, version, ours);
	/* Not inside a transaction, and before the first one. */
	if (exec(db, "PRAGMA journal_mode = WAL", err) != 0)
		return -1;
	if (version == ours)
		return 0;
	if (exec(db, "BEGIN IMMEDIATE", err) != 0)
		return -1;
	if (migrate(db, version, err) != 0) {
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
		return -1;
	}
	return exec(db, "COMMIT", err);
}
