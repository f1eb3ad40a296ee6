/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include "store/db.h"
#include "store/gc.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPOSITORY SLICE("team/app")

struct fixture {
	char dir[64];
	struct store *store;
};

static int setup(void **state)
{
	struct fixture *f = test_malloc(sizeof(*f));
	struct error err = ERROR_INIT;

	digest_setup();
	make_folder(f->dir);
	assert_ok(store_open(&f->store, f->dir, 2, &err));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->store);
	remove_folder(f->dir);
	test_free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	struct error err = ERROR_INIT;

	store_close(f->store);
	f->store = NULL;
	assert_ok(store_open(&f->store, f->dir, 2, &err));
}

static int get_blob(struct fixture *f, struct slice repository, const struct digest *digest,
	struct store_blob *ret, struct error *err)
{
	struct store_conn *reader = store_reader(f->store);
	int result = store_blob_get(reader, repository, digest, ret, err);

	store_reader_done(reader);
	return result;
}

static int put_manifest_in(struct store_conn *tx, const struct artifact *a, struct slice tag,
	bool is_new, struct error *err)
{
	struct store_push push = {
		.repository = REPOSITORY,
		.n_tags = tag.p != NULL,
		.tags = &tag,
		.n_new_tags = is_new,
		.media_type = SLICE(OCI_MEDIA_MANIFEST),
		.bytes = buf_slice(&a->manifest),
		.digest = a->digest,
		.parsed = a->parsed,
		.n_blobs = ARRAY_SIZE(a->blobs),
		.blobs = a->blobs,
	};

	return store_manifest_put(tx, &push, err);
}

static void put_manifest(struct fixture *f, const struct artifact *a, struct slice tag, bool is_new)
{
	struct error err = ERROR_INIT;
	struct store_conn *tx;

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(put_manifest_in(tx, a, tag, is_new, &err));
	assert_ok(store_commit(f->store, &err));
}

static int get_tag(struct fixture *f, struct slice tag, struct digest *ret, struct error *err)
{
	struct store_conn *reader = store_reader(f->store);
	int result = store_tag_get(reader, REPOSITORY, tag, ret, err);

	store_reader_done(reader);
	return result;
}

static void exec(const char *dir, const char *sql)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/registry.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static int count(struct fixture *f, const char *sql)
{
	char path[128];
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int n;

	snprintf(path, sizeof(path), "%s/registry.db", f->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return n;
}

static char *big_bytes(size_t n)
{
	char *p = test_malloc(n);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)(i * 31 + i / 4096);
	return p;
}

/* Changes bytes of the file that holds the blob. */
static void damage_file(struct fixture *f, const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE], path[256];
	const char *hex = strchr(digest_format(digest, text), ':') + 1;
	int fd;

	snprintf(path, sizeof(path), "%s/blobs/sha256/%.2s/%s", f->dir, hex, hex);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "damage", 6, 1000), 6);
	close(fd);
}

static void make_file(struct fixture *f, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	close(open(path, O_CREAT | O_WRONLY, 0600));
}

static bool has_file(struct fixture *f, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	return access(path, F_OK) == 0;
}

/* ---- the folder ---- */

static void a_second_process_is_refused(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct store *second;

	assert_refused(store_open(&second, f->dir, 1, &err), ERROR_CONFLICT);
}

static void what_was_committed_is_there_after_a_restart(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	struct digest got;

	artifact_init(&a, SLICE("layer"), NULL);
	put_manifest(f, &a, SLICE("v1"), false);
	reopen(f);
	assert_ok(get_tag(f, SLICE("v1"), &got, &err));
	assert_true(digest_eq(&got, &a.digest));
}

static void data_of_a_newer_program_is_refused_untouched(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct store *newer;

	store_close(f->store);
	f->store = NULL;
	exec(f->dir, "PRAGMA user_version = 99");
	make_file(f, "uploads/precious");
	assert_refused(store_open(&newer, f->dir, 1, &err), ERROR_INTERNAL);
	assert_non_null(strstr(err.text, "newer gsq (schema 99"));
	assert_true(has_file(f, "uploads/precious"));
}

/* What the first schema had in place of `reference`, filled from it. */
static const char to_version_1[] =
	"CREATE TABLE manifest_blob(manifest INTEGER NOT NULL, blob INTEGER NOT NULL,"
	" PRIMARY KEY(manifest, blob)) WITHOUT ROWID;"
	"CREATE TABLE manifest_child(manifest INTEGER NOT NULL, digest BLOB NOT NULL,"
	" PRIMARY KEY(manifest, digest)) WITHOUT ROWID;"
	"INSERT INTO manifest_blob SELECT r.manifest, b.id FROM reference r"
	" JOIN blob b ON b.digest = r.digest;"
	"INSERT INTO manifest_child SELECT manifest, digest FROM reference"
	" WHERE digest NOT IN (SELECT digest FROM blob);"
	"DROP TABLE reference;"
	"DROP TABLE collected;"
	"INSERT INTO blob(digest, size, data) VALUES(x'12', 1, x'00');" /* deleted: nobody has it */
	"ALTER TABLE repository_blob RENAME TO new;"
	"CREATE TABLE repository_blob(repository INTEGER NOT NULL, blob INTEGER NOT NULL,"
	" pushed_at INTEGER NOT NULL, PRIMARY KEY(repository, blob)) WITHOUT ROWID;"
	"INSERT INTO repository_blob SELECT repository, blob, pushed_at FROM new;"
	"DROP TABLE new;"
	"PRAGMA user_version = 1";

static void data_of_an_older_program_is_upgraded_with_all_that_it_has(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct gc_options options = {.grace_s = 0};
	struct gc_report report;
	CLEANUP(artifact_done) struct artifact a;
	CLEANUP(store_blob_done) struct store_blob blob;
	struct digest got, unused = digest_of(SLICE("unused"));

	artifact_init(&a, SLICE("layer"), NULL);
	put_manifest(f, &a, SLICE("v1"), true);
	put_blob(f->store, REPOSITORY, SLICE("unused"));
	store_close(f->store);
	f->store = NULL;
	exec(f->dir, to_version_1);
	assert_ok(store_open(&f->store, f->dir, 2, &err));
	assert_int_equal(count(f, "SELECT count(*) FROM blob"), 3);
	assert_ok(store_gc(f->store, &options, &report, &err));
	assert_int_equal(report.unlinked, 1);
	store_blob_init(&blob);
	assert_refused(get_blob(f, REPOSITORY, &unused, &blob, &err), ERROR_NOT_FOUND);
	assert_ok(get_blob(f, REPOSITORY, &a.blobs[1].digest, &blob, &err));
	assert_ok(get_tag(f, SLICE("v1"), &got, &err));
	assert_true(digest_eq(&got, &a.digest));
}

static void another_programs_database_is_refused(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct store *foreign;

	store_close(f->store);
	f->store = NULL;
	exec(f->dir, "PRAGMA application_id = 1");
	assert_refused(store_open(&foreign, f->dir, 1, &err), ERROR_INTERNAL);
	assert_non_null(strstr(err.text, "not a registry's database"));
}

static void files_of_uploads_are_removed_at_start(void **state)
{
	struct fixture *f = *state;
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/uploads/0123", f->dir);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	reopen(f);
	assert_int_equal(access(path, F_OK), -1);
}

/* ---- blobs ---- */

static void small_blobs_are_rows_and_big_ones_are_files(void **state)
{
	static const struct {
		size_t size;
		bool is_file;
	} cases[] = {
		{0, false},
		{1, false},
		{LIMIT_BLOB_IN_ROW, false},
		{LIMIT_BLOB_IN_ROW + 1, true},
		{3 * MIB, true},
	};
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	char *bytes = big_bytes(3 * MIB);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slice content = {bytes, cases[i].size};
		struct digest digest = digest_of(content);
		struct store_blob b;

		store_blob_init(&b);
		put_blob(f->store, REPOSITORY, content);
		assert_ok(get_blob(f, REPOSITORY, &digest, &b, &err));
		assert_int_equal(b.size, content.n);
		assert_int_equal(b.fd >= 0, cases[i].is_file);
		if (!cases[i].is_file)
			assert_true(slice_eq(buf_slice(&b.data), content));
		store_blob_done(&b);
	}
	test_free(bytes);
}

static void a_blob_is_served_only_by_repositories_that_have_it(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct digest digest = digest_of(SLICE("bytes"));
	CLEANUP(store_blob_done) struct store_blob b;
	struct store_conn *tx;

	store_blob_init(&b);
	put_blob(f->store, REPOSITORY, SLICE("bytes"));
	assert_refused(get_blob(f, SLICE("other"), &digest, &b, &err), ERROR_NOT_FOUND);

	assert_ok(store_begin(f->store, &tx, &err));
	assert_refused(store_blob_mount(tx, SLICE("other"), SLICE("third"), &digest, &err),
		ERROR_NOT_FOUND);
	assert_ok(store_blob_mount(tx, SLICE("other"), REPOSITORY, &digest, &err));
	assert_ok(store_blob_mount(tx, SLICE("anonymous"), SLICE_NONE, &digest, &err));
	assert_ok(store_blob_delete(tx, REPOSITORY, &digest, &err));
	assert_ok(store_commit(f->store, &err));

	assert_refused(get_blob(f, REPOSITORY, &digest, &b, &err), ERROR_NOT_FOUND);
	assert_ok(get_blob(f, SLICE("other"), &digest, &b, &err));
	assert_ok(get_blob(f, SLICE("anonymous"), &digest, &b, &err));
}

static void a_damaged_row_is_an_error_and_never_wrong_bytes(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct digest digest = digest_of(SLICE("bytes"));
	CLEANUP(store_blob_done) struct store_blob b;

	store_blob_init(&b);
	put_blob(f->store, REPOSITORY, SLICE("bytes"));
	exec(f->dir, "UPDATE blob SET data = x'6279746573ff'");
	assert_refused(get_blob(f, REPOSITORY, &digest, &b, &err), ERROR_INTERNAL);
	assert_int_equal(b.data.len, 0);
}

static void a_damaged_file_is_found_also_after_it_was_good_once(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(store_blob_done) struct store_blob blob;
	char *bytes = big_bytes(LIMIT_BLOB_IN_ROW + 1);
	struct slice content = {bytes, LIMIT_BLOB_IN_ROW + 1};
	struct digest digest = digest_of(content);

	store_blob_init(&blob);
	put_blob(f->store, REPOSITORY, content);
	assert_ok(get_blob(f, REPOSITORY, &digest, &blob, &err));
	assert_ok(store_blob_verify(f->store, &digest, &blob, &err));
	damage_file(f, &digest);
	assert_refused(store_blob_verify(f->store, &digest, &blob, &err), ERROR_INTERNAL);
	reopen(f);
	assert_refused(store_blob_verify(f->store, &digest, &blob, &err), ERROR_INTERNAL);
	test_free(bytes);
}

static void a_damaged_blob_is_healed_by_pushing_it_again(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(store_blob_done) struct store_blob blob;
	char *bytes = big_bytes(LIMIT_BLOB_IN_ROW + 1);
	struct slice content = {bytes, LIMIT_BLOB_IN_ROW + 1};
	struct digest big = digest_of(content), small = digest_of(SLICE("small"));

	store_blob_init(&blob);
	put_blob(f->store, REPOSITORY, content);
	put_blob(f->store, REPOSITORY, SLICE("small"));
	damage_file(f, &big);
	exec(f->dir, "UPDATE blob SET data = 'smell' WHERE data = CAST('small' AS BLOB)");
	assert_refused(get_blob(f, REPOSITORY, &small, &blob, &err), ERROR_INTERNAL);
	put_blob(f->store, REPOSITORY, content);
	put_blob(f->store, REPOSITORY, SLICE("small"));
	assert_ok(get_blob(f, REPOSITORY, &small, &blob, &err));
	store_blob_done(&blob);
	assert_ok(get_blob(f, REPOSITORY, &big, &blob, &err));
	assert_ok(store_blob_verify(f->store, &big, &blob, &err));
	test_free(bytes);
}

static void a_blob_file_that_was_cut_or_lost_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	char *bytes = big_bytes(MIB), text[DIGEST_TEXT_SIZE], path[256];
	struct slice content = {bytes, MIB};
	struct digest digest = digest_of(content);
	CLEANUP(store_blob_done) struct store_blob b;
	const char *hex = digest_format(&digest, text) + strlen("sha256:");

	store_blob_init(&b);
	put_blob(f->store, REPOSITORY, content);
	snprintf(path, sizeof(path), "%s/blobs/sha256/%.2s/%s", f->dir, hex, hex);
	assert_int_equal(truncate(path, MIB - 1), 0);
	assert_refused(get_blob(f, REPOSITORY, &digest, &b, &err), ERROR_INTERNAL);
	assert_int_equal(unlink(path), 0);
	assert_refused(get_blob(f, REPOSITORY, &digest, &b, &err), ERROR_INTERNAL);
	test_free(bytes);
}

/* ---- manifests and tags ---- */

static void a_manifest_is_found_by_tag_and_digest_with_its_media_type(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	char text[DIGEST_TEXT_SIZE];

	artifact_init(&a, SLICE("layer"), NULL);
	put_manifest(f, &a, SLICE("v1"), false);
	for (int by_tag = 0; by_tag <= 1; by_tag++) {
		CLEANUP(store_manifest_done) struct store_manifest m;
		CLEANUP(store_reader_donep) struct store_conn *c = store_reader(f->store);
		struct slice reference =
			by_tag ? SLICE("v1") : slice_of(digest_format(&a.digest, text));

		store_manifest_init(&m);
		assert_ok(store_manifest_get(c, REPOSITORY, reference, &m, &err));
		assert_true(digest_eq(&m.digest, &a.digest));
		assert_string_equal(m.media_type, OCI_MEDIA_MANIFEST);
		assert_true(slice_eq(buf_slice(&m.bytes), buf_slice(&a.manifest)));
		assert_refused(store_manifest_get(c, SLICE("other"), reference, &m, &err),
			ERROR_NOT_FOUND);
	}
}

static void a_damaged_manifest_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	CLEANUP(store_manifest_done) struct store_manifest m;
	CLEANUP(store_reader_donep) struct store_conn *c = NULL;

	store_manifest_init(&m);
	artifact_init(&a, SLICE("layer"), NULL);
	put_manifest(f, &a, SLICE("v1"), false);
	exec(f->dir, "UPDATE manifest SET bytes = CAST('{}' AS BLOB)");
	c = store_reader(f->store);
	assert_refused(store_manifest_get(c, REPOSITORY, SLICE("v1"), &m, &err), ERROR_INTERNAL);
}

static void a_tag_moves_unless_it_was_new(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact one, two;
	struct store_conn *tx;
	struct digest got;

	artifact_init(&one, SLICE("one"), NULL);
	artifact_init(&two, SLICE("two"), NULL);
	put_manifest(f, &one, SLICE("latest"), false);
	put_manifest(f, &two, SLICE("latest"), false);
	assert_ok(get_tag(f, SLICE("latest"), &got, &err));
	assert_true(digest_eq(&got, &two.digest));

	put_manifest(f, &one, SLICE("v1"), true);
	put_manifest(f, &one, SLICE("v1"), true); /* the same again is no conflict */
	assert_ok(store_begin(f->store, &tx, &err));
	assert_refused(put_manifest_in(tx, &two, SLICE("v1"), true, &err), ERROR_CONFLICT);
	assert_refused(put_manifest_in(tx, &two, SLICE("v1"), false, &err), ERROR_CONFLICT);
	assert_refused(put_manifest_in(tx, &one, SLICE("latest"), true, &err), ERROR_CONFLICT);
	/* A refusal leaves the transaction as it was. */
	assert_ok(put_manifest_in(tx, &two, SLICE("v2"), true, &err));
	assert_ok(store_commit(f->store, &err));
	assert_ok(get_tag(f, SLICE("v1"), &got, &err));
	assert_true(digest_eq(&got, &one.digest));
	assert_ok(get_tag(f, SLICE("v2"), &got, &err));
}

static void a_manifest_whose_blobs_are_missing_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	CLEANUP(store_names_done) struct store_names names;
	CLEANUP(store_reader_donep) struct store_conn *c = NULL;
	struct store_conn *tx;
	struct slice tag = SLICE("v1");
	struct store_push push = {.repository = REPOSITORY,
		.n_tags = 1,
		.tags = &tag,
		.media_type = SLICE(OCI_MEDIA_MANIFEST)};

	artifact_init(&a, SLICE("layer"), NULL);
	put_blob(f->store, SLICE("other"), SLICE("layer")); /* that one does not count */
	push.bytes = buf_slice(&a.manifest);
	push.digest = a.digest;
	push.parsed = a.parsed;
	push.n_blobs = 1;
	push.blobs = a.blobs;
	assert_ok(store_begin(f->store, &tx, &err));
	assert_refused(store_manifest_put(tx, &push, &err), ERROR_NOT_FOUND);
	assert_ok(store_commit(f->store, &err));

	store_names_init(&names);
	c = store_reader(f->store);
	assert_refused(store_tags(c, REPOSITORY, SLICE_NONE, 10, &names, &err), ERROR_NOT_FOUND);
}

static void an_index_needs_its_manifests(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	CLEANUP(oci_manifest_freep) struct oci_manifest *parsed = NULL;
	CLEANUP(buf_done) struct buf json = BUF_INIT(KIB);
	char text[DIGEST_TEXT_SIZE];
	struct store_conn *tx;
	struct store_push push = {.repository = REPOSITORY, .media_type = SLICE(OCI_MEDIA_INDEX)};

	artifact_init(&a, SLICE("layer"), NULL);
	buf_printf(&json,
		"{\"schemaVersion\":2,\"mediaType\":\"%s\",\"manifests\":[{\"mediaType\":\"%s\","
		"\"digest\":\"%s\",\"size\":%zu}]}",
		OCI_MEDIA_INDEX, OCI_MEDIA_MANIFEST, digest_format(&a.digest, text),
		a.manifest.len);
	assert_ok(oci_manifest_parse(&parsed, buf_slice(&json), &err));
	push.bytes = buf_slice(&json);
	push.digest = digest_of_as(DIGEST_SHA512, push.bytes);
	push.parsed = parsed;
	assert_ok(store_begin(f->store, &tx, &err));
	assert_refused(store_manifest_put(tx, &push, &err), ERROR_NOT_FOUND);
	assert_ok(put_manifest_in(tx, &a, SLICE_NONE, false, &err));
	assert_ok(store_manifest_put(tx, &push, &err));
	assert_ok(store_manifest_delete(tx, REPOSITORY, &push.digest, &err));
	assert_ok(store_commit(f->store, &err));
}

static void deleting_a_manifest_takes_its_tags(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact one, two;
	struct store_conn *tx;
	struct digest got;

	artifact_init(&one, SLICE("one"), NULL);
	artifact_init(&two, SLICE("two"), NULL);
	put_manifest(f, &one, SLICE("a"), false);
	put_manifest(f, &one, SLICE("b"), true);
	put_manifest(f, &two, SLICE("c"), false);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_manifest_delete(tx, REPOSITORY, &one.digest, &err));
	assert_refused(store_manifest_delete(tx, REPOSITORY, &one.digest, &err), ERROR_NOT_FOUND);
	assert_refused(store_tag_delete(tx, REPOSITORY, SLICE("a"), &err), ERROR_NOT_FOUND);
	assert_ok(store_commit(f->store, &err));
	assert_refused(get_tag(f, SLICE("a"), &got, &err), ERROR_NOT_FOUND);
	assert_refused(get_tag(f, SLICE("b"), &got, &err), ERROR_NOT_FOUND);
	assert_ok(get_tag(f, SLICE("c"), &got, &err));
}

/* ---- lists ---- */

static void deleting_a_damaged_manifest_leaves_no_reference(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	struct store_conn *tx;

	artifact_init(&a, SLICE("layer"), NULL);
	put_manifest(f, &a, SLICE("v1"), false);
	exec(f->dir, "UPDATE manifest SET bytes = 'damaged'");
	assert_int_equal(count(f, "SELECT count(*) FROM reference"), 2);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_manifest_delete(tx, REPOSITORY, &a.digest, &err));
	assert_ok(store_commit(f->store, &err));
	assert_int_equal(count(f, "SELECT count(*) FROM reference"), 0);
}

static void lists_come_in_byte_order_page_by_page(void **state)
{
	static const char *const pushed[] = {"v10", "b", "B", "v2", "_"};
	static const char *const sorted[] = {"B", "_", "b", "v10", "v2"};
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	CLEANUP(store_reader_donep) struct store_conn *c = NULL;
	struct slice last = SLICE_NONE;

	artifact_init(&a, SLICE("layer"), NULL);
	for (size_t i = 0; i < ARRAY_SIZE(pushed); i++)
		put_manifest(f, &a, slice_of(pushed[i]), false);
	c = store_reader(f->store);
	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
		CLEANUP(store_names_done) struct store_names names;
		struct slice name;
		size_t at = 0;

		store_names_init(&names);
		assert_ok(store_tags(c, REPOSITORY, last, 1, &names, &err));
		assert_true(store_names_next(&names, &at, &name));
		assert_true(slice_eq(name, slice_of(sorted[i])));
		assert_false(store_names_next(&names, &at, &name));
		assert_int_equal(names.more, i + 1 < ARRAY_SIZE(sorted));
		last = slice_of(sorted[i]);
	}
}

static void only_repositories_with_a_manifest_are_listed(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	CLEANUP(store_names_done) struct store_names names;
	CLEANUP(store_reader_donep) struct store_conn *c = NULL;

	store_names_init(&names);
	artifact_init(&a, SLICE("layer"), NULL);
	put_blob(f->store, SLICE("blobs/only"), SLICE("bytes"));
	put_manifest(f, &a, SLICE("v1"), false);
	c = store_reader(f->store);
	assert_ok(store_repositories(c, SLICE_NONE, 10, &names, &err));
	assert_int_equal(names.n, 1);
	assert_string_equal(names.text.data, "team/app");
	assert_false(names.more);
}

static void delete_manifest(struct fixture *f, const struct artifact *a)
{
	struct error err = ERROR_INIT;
	struct store_conn *tx;

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_manifest_delete(tx, REPOSITORY, &a->digest, &err));
	assert_ok(store_commit(f->store, &err));
}

static void the_generation_grows_when_a_repository_gets_its_first_or_loses_its_last_manifest(
	void **state)
{
	struct fixture *f = *state;
	CLEANUP(artifact_done) struct artifact a, b;
	uint64_t start = store_repositories_generation(f->store);

	artifact_init(&a, SLICE("one"), NULL);
	artifact_init(&b, SLICE("two"), NULL);
	put_blob(f->store, REPOSITORY, SLICE("bytes"));
	assert_int_equal(store_repositories_generation(f->store), start);
	put_manifest(f, &a, SLICE("v1"), false);
	assert_int_equal(store_repositories_generation(f->store), start + 1);
	put_manifest(f, &a, SLICE("v2"), false);
	put_manifest(f, &b, SLICE("v2"), false);
	delete_manifest(f, &a);
	assert_int_equal(store_repositories_generation(f->store), start + 1);
	delete_manifest(f, &b);
	assert_int_equal(store_repositories_generation(f->store), start + 2);
	put_manifest(f, &b, SLICE("v3"), false);
	assert_int_equal(store_repositories_generation(f->store), start + 3);
}

static void the_generation_grows_with_the_commit_and_not_without_it(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	struct store_conn *tx;
	uint64_t start = store_repositories_generation(f->store);

	artifact_init(&a, SLICE("layer"), NULL);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(put_manifest_in(tx, &a, SLICE("v1"), false, &err));
	store_rollback(f->store);
	put_blob(f->store, REPOSITORY, SLICE("bytes")); /* the next commit is another's */
	assert_int_equal(store_repositories_generation(f->store), start);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(put_manifest_in(tx, &a, SLICE("v1"), false, &err));
	assert_int_equal(store_repositories_generation(f->store), start);
	assert_ok(store_commit(f->store, &err));
	assert_int_equal(store_repositories_generation(f->store), start + 1);
}

static int count_referrer(
	const struct store_referrer *r UNUSED, void *arg, struct error *err UNUSED)
{
	(*(size_t *)arg)++;
	return 0;
}

static void referrers_are_found_by_subject_and_artifact_type(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	CLEANUP(store_reader_donep) struct store_conn *c = NULL;
	struct digest subject = digest_of(SLICE("nobody has it"));
	size_t all = 0, of_type = 0, of_other = 0;

	artifact_init(&a, SLICE("signature"), "application/x-signature");
	a.parsed->has_subject = true;
	a.parsed->subject.digest = subject;
	put_manifest(f, &a, SLICE_NONE, false);
	c = store_reader(f->store);
	assert_ok(store_referrers(
		c, REPOSITORY, &subject, SLICE_NONE, 0, count_referrer, &all, &err));
	assert_ok(store_referrers(c, REPOSITORY, &subject, SLICE("application/x-signature"), 0,
		count_referrer, &of_type, &err));
	assert_ok(store_referrers(
		c, REPOSITORY, &subject, SLICE("x/other"), 0, count_referrer, &of_other, &err));
	assert_int_equal(all, 1);
	assert_int_equal(of_type, 1);
	assert_int_equal(of_other, 0);
}

static void a_damaged_manifest_is_healed_by_pushing_it_again(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	CLEANUP(store_manifest_done) struct store_manifest m;
	CLEANUP(store_reader_donep) struct store_conn *c = NULL;

	artifact_init(&a, SLICE("layer"), NULL);
	put_manifest(f, &a, SLICE("v1"), true);
	exec(f->dir, "UPDATE manifest SET bytes = 'damaged'");
	store_manifest_init(&m);
	c = store_reader(f->store);
	assert_refused(store_manifest_get(c, REPOSITORY, SLICE("v1"), &m, &err), ERROR_INTERNAL);
	put_manifest(f, &a, SLICE("v1"), true);
	assert_ok(store_manifest_get(c, REPOSITORY, SLICE("v1"), &m, &err));
	assert_int_equal(m.bytes.len, a.manifest.len);
}

/* ---- transactions ---- */

static void nothing_is_visible_before_the_commit(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	struct store_conn *tx;
	struct digest got;

	artifact_init(&a, SLICE("layer"), NULL);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(put_manifest_in(tx, &a, SLICE("v1"), false, &err));
	assert_ok(store_tag_get(tx, REPOSITORY, SLICE("v1"), &got, &err));
	assert_refused(get_tag(f, SLICE("v1"), &got, &err), ERROR_NOT_FOUND);
	store_rollback(f->store);
	assert_refused(get_tag(f, SLICE("v1"), &got, &err), ERROR_NOT_FOUND);
}

static void a_full_disk_undoes_the_whole_transaction_and_passes(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact small, large;
	char *bytes = big_bytes(LIMIT_BLOB_IN_ROW);
	struct store_conn *tx;
	struct digest got;

	artifact_init(&small, SLICE("small"), NULL);
	artifact_init(&large, (struct slice){bytes, LIMIT_BLOB_IN_ROW}, NULL);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(
		sqlite3_exec(tx->db, "PRAGMA max_page_count = 24", NULL, NULL, NULL), SQLITE_OK);
	assert_ok(put_manifest_in(tx, &small, SLICE("small"), false, &err));
	assert_refused(put_manifest_in(tx, &large, SLICE("large"), false, &err), ERROR_NO_SPACE);
	/* The transaction is lost: what fits by itself does not get in either. */
	assert_refused(put_manifest_in(tx, &small, SLICE("again"), false, &err), ERROR_NO_SPACE);
	assert_refused(store_commit(f->store, &err), ERROR_NO_SPACE);
	assert_refused(get_tag(f, SLICE("small"), &got, &err), ERROR_NOT_FOUND);

	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(sqlite3_exec(tx->db, "PRAGMA max_page_count = 1000000", NULL, NULL, NULL),
		SQLITE_OK);
	assert_ok(put_manifest_in(tx, &large, SLICE("large"), false, &err));
	assert_ok(store_commit(f->store, &err));
	assert_ok(get_tag(f, SLICE("large"), &got, &err));
	test_free(bytes);
}

static void the_log_of_changes_is_checkpointed_while_it_runs(void **state)
{
	struct fixture *f = *state;
	char *bytes = big_bytes(LIMIT_BLOB_IN_ROW), path[128];
	struct stat st;

	for (unsigned i = 0; i < 800; i++) {
		memcpy(bytes, &i, sizeof(i));
		put_blob(f->store, REPOSITORY, (struct slice){bytes, LIMIT_BLOB_IN_ROW});
	}
	snprintf(path, sizeof(path), "%s/registry.db-wal", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_in_range(st.st_size, 1, 24 * MIB); /* of 50 MiB that were written */
	test_free(bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_second_process_is_refused),
		TEST(what_was_committed_is_there_after_a_restart),
		TEST(data_of_a_newer_program_is_refused_untouched),
		TEST(data_of_an_older_program_is_upgraded_with_all_that_it_has),
		TEST(another_programs_database_is_refused),
		TEST(files_of_uploads_are_removed_at_start),
		TEST(small_blobs_are_rows_and_big_ones_are_files),
		TEST(a_blob_is_served_only_by_repositories_that_have_it),
		TEST(a_damaged_row_is_an_error_and_never_wrong_bytes),
		TEST(a_damaged_file_is_found_also_after_it_was_good_once),
		TEST(a_damaged_blob_is_healed_by_pushing_it_again),
		TEST(a_blob_file_that_was_cut_or_lost_is_an_error),
		TEST(a_manifest_is_found_by_tag_and_digest_with_its_media_type),
		TEST(a_damaged_manifest_is_an_error),
		TEST(a_damaged_manifest_is_healed_by_pushing_it_again),
		TEST(a_tag_moves_unless_it_was_new),
		TEST(a_manifest_whose_blobs_are_missing_leaves_nothing),
		TEST(an_index_needs_its_manifests),
		TEST(deleting_a_manifest_takes_its_tags),
		TEST(deleting_a_damaged_manifest_leaves_no_reference),
		TEST(lists_come_in_byte_order_page_by_page),
		TEST(only_repositories_with_a_manifest_are_listed),
		TEST(the_generation_grows_when_a_repository_gets_its_first_or_loses_its_last_manifest),
		TEST(the_generation_grows_with_the_commit_and_not_without_it),
		TEST(referrers_are_found_by_subject_and_artifact_type),
		TEST(nothing_is_visible_before_the_commit),
		TEST(a_full_disk_undoes_the_whole_transaction_and_passes),
		TEST(the_log_of_changes_is_checkpointed_while_it_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
