/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include "store/db.h"
#include "store/verify.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define BIG_SIZE (200 * KIB)

/* What a test's store holds: in team/app a tagged artifact, an artifact with a big layer, a
 * referrer of the first, an index of it and of one that is not there; in team/other the first once
 * more. */
struct fixture {
	char dir[64];
	struct store *store;
	char *big;
	struct digest layer, big_layer, big_layer_512, image, index, referrer;
	struct verify_report report;
};

static void put(struct fixture *f, struct slice repository, struct slice tag,
	const char *media_type, struct slice bytes)
{
	struct error err = ERROR_INIT;
	struct store_conn *tx;
	struct store_push push = {
		.repository = repository,
		.n_tags = tag.p != NULL,
		.tags = &tag,
		.sparse = true,
		.media_type = slice_of(media_type),
		.bytes = bytes,
		.digest = digest_of(bytes),
	};

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_manifest_put(tx, &push, &err));
	assert_ok(store_commit(f->store, &err));
}

static struct digest put_artifact(
	struct fixture *f, struct slice repository, struct slice tag, struct slice layer)
{
	CLEANUP(artifact_done) struct artifact a;

	artifact_init(&a, layer, NULL);
	put_blob(f->store, repository, OCI_EMPTY);
	put_blob(f->store, repository, layer);
	put(f, repository, tag, OCI_MEDIA_MANIFEST, buf_slice(&a.manifest));
	return a.digest;
}

#define DESCRIPTOR(type) "{\"mediaType\":\"" type "\",\"size\":%zu,\"digest\":\"%s\"}"

static struct digest put_referrer(struct fixture *f)
{
	char json[1024], empty[DIGEST_TEXT_SIZE], subject[DIGEST_TEXT_SIZE];
	struct digest digest = digest_of(OCI_EMPTY);

	digest_format(&digest, empty);
	snprintf(json, sizeof(json),
		"{\"schemaVersion\":2,\"mediaType\":\"" OCI_MEDIA_MANIFEST "\","
		"\"config\":" DESCRIPTOR(OCI_MEDIA_EMPTY) ",\"layers\":[" DESCRIPTOR(
			OCI_MEDIA_EMPTY) "],\"subject\":" DESCRIPTOR(OCI_MEDIA_MANIFEST) "}",
		OCI_EMPTY.n, empty, OCI_EMPTY.n, empty, (size_t)400,
		digest_format(&f->image, subject));
	put(f, SLICE("team/app"), SLICE_NONE, OCI_MEDIA_MANIFEST, slice_of(json));
	return digest_of(slice_of(json));
}

static struct digest put_index(struct fixture *f)
{
	char json[1024], image[DIGEST_TEXT_SIZE], missing[DIGEST_TEXT_SIZE];
	struct digest digest = digest_of(SLICE("not there"));

	snprintf(json, sizeof(json),
		"{\"schemaVersion\":2,\"mediaType\":\"" OCI_MEDIA_INDEX "\","
		"\"manifests\":[" DESCRIPTOR(OCI_MEDIA_MANIFEST) "," DESCRIPTOR(
			OCI_MEDIA_MANIFEST) "]}",
		(size_t)400, digest_format(&f->image, image), (size_t)400,
		digest_format(&digest, missing));
	put(f, SLICE("team/app"), SLICE("all"), OCI_MEDIA_INDEX, slice_of(json));
	return digest_of(slice_of(json));
}

static char *big_bytes(size_t n)
{
	char *p = test_malloc(n);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)(i * 31 + i / 4096);
	return p;
}

static void fill(struct fixture *f)
{
	struct slice big = {f->big, BIG_SIZE};

	f->layer = digest_of(SLICE("layer"));
	f->big_layer = digest_of(big);
	f->big_layer_512 = digest_of_as(DIGEST_SHA512, big);
	f->image = put_artifact(f, SLICE("team/app"), SLICE("v1"), SLICE("layer"));
	put_artifact(f, SLICE("team/other"), SLICE("v1"), SLICE("layer"));
	put_artifact(f, SLICE("team/app"), SLICE("big"), big);
	put_blob_as(f->store, SLICE("team/app"), &f->big_layer_512, big);
	f->referrer = put_referrer(f);
	f->index = put_index(f);
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	struct error err = ERROR_INIT;

	digest_setup();
	make_folder(f->dir);
	assert_ok(store_open(&f->store, f->dir, 2, &err));
	f->big = big_bytes(BIG_SIZE);
	fill(f);
	verify_report_init(&f->report);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	verify_report_done(&f->report);
	store_close(f->store);
	remove_folder(f->dir);
	test_free(f->big);
	test_free(f);
	return 0;
}

static void exec(struct fixture *f, const char *sql)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/registry.db", f->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static const struct verify_report *verify(struct fixture *f)
{
	struct error err = ERROR_INIT;

	verify_report_done(&f->report);
	assert_ok(store_verify_all(f->store, &f->report, &err));
	return &f->report;
}

static const char *text_of(const struct verify_report *r)
{
	return r->text.len == 0 ? "" : r->text.data;
}

static void assert_clean(struct fixture *f)
{
	const struct verify_report *r = verify(f);

	if (r->problems != 0)
		fail_msg("%llu problems:\n%s", (unsigned long long)r->problems, text_of(r));
	assert_int_equal(r->text.len, 0);
}

/* One of the problems is this line. */
static void assert_line(const struct verify_report *r, const char *line)
{
	char wanted[1024];
	const char *text = text_of(r), *at = strstr(text, line);

	snprintf(wanted, sizeof(wanted), "%s\n", line);
	at = strstr(text, wanted);
	if (at == NULL || (at != text && at[-1] != '\n'))
		fail_msg("no line \"%s\" in:\n%s", line, text);
}

static void assert_only_line(struct fixture *f, const char *line)
{
	const struct verify_report *r = verify(f);

	assert_line(r, line);
	if (r->problems != 1)
		fail_msg("%llu problems:\n%s", (unsigned long long)r->problems, text_of(r));
}

/* ---- nothing wrong ---- */

static void what_was_pushed_is_clean_and_counted(void **state)
{
	struct fixture *f = *state;

	assert_clean(f);
	assert_int_equal(f->report.manifests, 5);
	assert_int_equal(f->report.tags, 4);
	assert_int_equal(f->report.blobs, 4);
	assert_true(f->report.bytes > 2 * BIG_SIZE);
	assert_int_equal(f->report.unused_files, 0);
}

static void deleted_manifests_tags_and_blobs_leave_nothing_wrong(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct store_conn *tx;

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_tag_delete(tx, SLICE("team/app"), SLICE("big"), &err));
	assert_ok(store_manifest_delete(tx, SLICE("team/other"), &f->image, &err));
	assert_ok(store_blob_delete(tx, SLICE("team/other"), &f->layer, &err));
	assert_ok(store_commit(f->store, &err));
	assert_clean(f);
	assert_int_equal(f->report.manifests, 4);
}

static void a_layer_that_is_never_pushed_is_not_missed(void **state)
{
	struct fixture *f = *state;
	char json[1024], empty[DIGEST_TEXT_SIZE], missing[DIGEST_TEXT_SIZE], line[1024];
	struct digest of_empty = digest_of(OCI_EMPTY), not_there = digest_of(SLICE("not there"));
	struct digest digest;
	static const char *const types[] = {
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
		"application/vnd.oci.image.layer.v1.tar+gzip",
	};

	digest_format(&of_empty, empty);
	digest_format(&not_there, missing);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		snprintf(json, sizeof(json),
			"{\"schemaVersion\":2,\"mediaType\":\"" OCI_MEDIA_MANIFEST "\","
			"\"config\":" DESCRIPTOR(
				OCI_MEDIA_EMPTY) ",\"layers\":[{\"mediaType\":"
						 "\"%s\",\"size\":3,\"digest\":\"%s\"}]}",
			OCI_EMPTY.n, empty, types[i], missing);
		put(f, SLICE("team/app"), SLICE_NONE, OCI_MEDIA_MANIFEST, slice_of(json));
		if (i < ARRAY_SIZE(types) - 1)
			assert_clean(f);
	}
	digest = digest_of(slice_of(json));
	snprintf(line, sizeof(line),
		"incomplete: manifest %s in team/app names the blob %s, which is not there",
		digest_format(&digest, empty), missing);
	assert_line(verify(f), line);
	assert_int_equal(f->report.problems, 0);
	assert_int_equal(f->report.incomplete, 1);
}

/* A manifest with n layers that are not there. */
static void put_without_layers(struct fixture *f, size_t n)
{
	CLEANUP(buf_done) struct buf json = BUF_INIT(LIMIT_MANIFEST);
	char text[DIGEST_TEXT_SIZE];
	struct digest digest = digest_of(OCI_EMPTY);

	buf_printf(&json,
		"{\"schemaVersion\":2,\"mediaType\":\"" OCI_MEDIA_MANIFEST
		"\",\"config\":" DESCRIPTOR(OCI_MEDIA_EMPTY) ",\"layers\":[",
		OCI_EMPTY.n, digest_format(&digest, text));
	for (size_t i = 0; i < n; i++) {
		digest = digest_of((struct slice){(const char *)&i, sizeof(i)});
		buf_printf(&json, "%s" DESCRIPTOR("application/octet-stream"), i == 0 ? "" : ",",
			(size_t)3, digest_format(&digest, text));
	}
	buf_puts(&json, "]}");
	put(f, SLICE("team/app"), SLICE_NONE, OCI_MEDIA_MANIFEST, buf_slice(&json));
}

static void an_image_that_lacks_many_blobs_counts_once_and_hides_no_problem(void **state)
{
	struct fixture *f = *state;

	put_without_layers(f, 5000);
	exec(f, "UPDATE tag SET manifest = 99 WHERE name = 'all'");
	assert_only_line(f, "tag all of team/app names no manifest of its repository");
	assert_int_equal(f->report.incomplete, 1);
}

/* A row of a repository's blob without the blob is no sparse push. */
static void a_blob_that_the_repository_should_have_stays_a_problem(void **state)
{
	struct fixture *f = *state;

	exec(f, "DELETE FROM repository_blob WHERE repository = 2 AND blob = 2;"
		"DELETE FROM blob WHERE id = 2");
	assert_only_line(f, "team/app has the blob with id 2, and one of them is not there");
	assert_int_equal(f->report.incomplete, 2);
}

static void assert_utf8(struct slice text)
{
	uint32_t c;

	while (text.n > 0)
		if (!utf8_next(&text, &c))
			fail_msg("not UTF-8: %.*s", SLICE_ARG(text));
}

static void what_is_not_utf8_is_quoted_as_a_question_mark(void **state)
{
	struct fixture *f = *state;
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/blobs/caf\xe9\xff.txt", f->dir);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_only_line(f, "blobs/caf??.txt is no folder of blobs");
	assert_int_equal(unlink(path), 0);

	exec(f, "UPDATE tag SET name = CAST(x'c328' AS TEXT), manifest = 99 WHERE name = 'all'");
	assert_only_line(f, "tag ?( of team/app names no manifest of its repository");

	/* Cut off inside of a character. */
	exec(f, "UPDATE tag SET name = replace(hex(zeroblob(2000)), '0', char(233))"
		" WHERE manifest = 99");
	assert_int_equal(verify(f)->problems, 1);
	assert_utf8(buf_slice(&f->report.text));
	exec(f, "UPDATE tag SET name = 'x' || name WHERE manifest = 99");
	verify(f);
	assert_utf8(buf_slice(&f->report.text));
	assert_null(strchr(f->report.text.data, '?'));
}

static void ids_far_apart_are_looked_at_in_several_passes(void **state)
{
	struct fixture *f = *state;

	exec(f, "UPDATE manifest SET id = id + 9000000 WHERE id > 2;"
		"UPDATE tag SET manifest = manifest + 9000000 WHERE manifest > 2;"
		"UPDATE reference SET manifest = manifest + 9000000 WHERE manifest > 2;");
	assert_clean(f);
	assert_int_equal(f->report.manifests, 5);
}

/* ---- damaged rows ---- */

#define OF_LAYER "CAST('layer' AS BLOB)"
#define LAYER_DIGEST "(SELECT digest FROM blob WHERE data = " OF_LAYER ")"
#define LAYER_ID "(SELECT id FROM blob WHERE data = " OF_LAYER ")"
#define INDEX "media_type LIKE '%index%'"
#define OF_ZEROS "sha256:0000000000000000000000000000000000000000000000000000000000000000"
#define OF_EMPTY "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define MALFORMED "the registry's database is damaged: a digest in it is malformed"

/* In the lines, LAYER, IMAGE, INDEX and REFERRER stand for digests. */
static const struct damage {
	const char *sql;
	const char *line;
	unsigned n_problems, n_incomplete;
} damages[] = {
	{"UPDATE blob SET data = CAST('lAyer' AS BLOB) WHERE data = " OF_LAYER,
		"blob LAYER: its bytes do not match the digest", 1},
	{"UPDATE blob SET size = 6 WHERE data = " OF_LAYER,
		"blob LAYER: its row says 6 bytes, but it has 5", 1},
	{"UPDATE blob SET digest = x'99' || substr(digest, 2) WHERE id = 2",
		"the blob with id 2: " MALFORMED, 1, 2},
	{"DELETE FROM blob WHERE data = " OF_LAYER,
		"incomplete: manifest IMAGE in team/app names the blob LAYER, which is not there",
		2, 2},
	{"DELETE FROM repository_blob WHERE repository = 1 AND blob = " LAYER_ID,
		"incomplete: manifest IMAGE in team/app names the blob LAYER, which is not there",
		0, 1},
	{"INSERT INTO repository_blob VALUES(99, 1, 0)",
		"team/app has the blob with id 99, and one of them is not there", 1},
	{"INSERT INTO repository_blob VALUES(1, 99, 0)",
		"(repository 99) has the blob with id 1, and one of them is not there", 1},
	{"UPDATE manifest SET bytes = CAST(bytes || ' ' AS BLOB) WHERE " INDEX,
		"manifest INDEX in team/app: its bytes do not match the digest", 1},
	{"UPDATE manifest SET bytes = CAST('{}' AS BLOB), digest = x'12" OF_EMPTY "' WHERE " INDEX,
		"manifest sha256:" OF_EMPTY " in team/app: ", 1},
	{"UPDATE manifest SET digest = x'12' WHERE " INDEX,
		"the manifest with id 5 in team/app: " MALFORMED, 1},
	{"UPDATE manifest SET repository = 99 WHERE " INDEX,
		"manifest INDEX in (repository 99): there is no such repository", 6},
	{"UPDATE manifest SET subject = NULL WHERE subject IS NOT NULL",
		"manifest REFERRER in team/app: its row has another subject", 1},
	{"UPDATE manifest SET subject = digest WHERE " INDEX,
		"manifest INDEX in team/app: its row has another subject", 1},
	{"DELETE FROM reference WHERE repository = 1 AND digest = " LAYER_DIGEST,
		"manifest IMAGE in team/app lacks its reference to LAYER", 1},
	{"INSERT INTO reference SELECT repository, CAST(x'12' || zeroblob(32) AS BLOB), id"
	 " FROM manifest WHERE " INDEX,
		"manifest INDEX in team/app has a reference to " OF_ZEROS
		", which it does not name",
		1},
	{"UPDATE reference SET digest = " LAYER_DIGEST
	 " WHERE manifest = 5 AND digest = (SELECT digest FROM manifest WHERE id = 1)",
		"manifest INDEX in team/app lacks its reference to IMAGE", 2},
	{"INSERT INTO reference VALUES(1, " LAYER_DIGEST ", 99)",
		"a reference to LAYER in team/app is of the manifest with id 99, which is not "
		"there",
		1},
	{"INSERT INTO reference VALUES(2, " LAYER_DIGEST ", 1)",
		"a reference to LAYER in team/other is of the manifest with id 1, which is not "
		"there",
		1},
	{"INSERT INTO reference VALUES(1, x'00', 1)",
		"a reference of the manifest with id 1: " MALFORMED, 1},
	{"UPDATE tag SET manifest = 99 WHERE name = 'all'",
		"tag all of team/app names no manifest of its repository", 1},
	{"UPDATE tag SET manifest = 2 WHERE name = 'all'",
		"tag all of team/app names no manifest of its repository", 1},
	{"INSERT INTO tag VALUES(99, char(10), 1, 0)",
		"tag ? of (repository 99) names no manifest of its repository", 1},
};

static void expand(const struct fixture *f, const char *from, char ret[1024])
{
	const struct {
		const char *word;
		const struct digest *digest;
	} words[] = {
		{"LAYER", &f->layer},
		{"IMAGE", &f->image},
		{"INDEX", &f->index},
		{"REFERRER", &f->referrer},
	};
	CLEANUP(buf_done) struct buf out = BUF_INIT(1023);
	char text[DIGEST_TEXT_SIZE];

	while (*from != '\0') {
		size_t i = 0;

		while (i < ARRAY_SIZE(words) &&
			!slice_starts(slice_of(from), slice_of(words[i].word)))
			i++;
		if (i == ARRAY_SIZE(words)) {
			buf_putc(&out, *from++);
			continue;
		}
		buf_puts(&out, digest_format(words[i].digest, text));
		from += strlen(words[i].word);
	}
	snprintf(ret, 1024, "%s", out.data);
}

/* All tables as they were, to or from a second database. */
static void save(struct fixture *f)
{
	char sql[256];

	snprintf(sql, sizeof(sql), "VACUUM INTO '%s/saved.db'", f->dir);
	exec(f, sql);
}

static void restore(struct fixture *f)
{
	static const char *const tables[] = {
		"blob", "repository_blob", "manifest", "reference", "tag"};
	CLEANUP(buf_done) struct buf sql = BUF_INIT(4096);

	buf_printf(&sql, "ATTACH '%s/saved.db' AS saved; BEGIN;", f->dir);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		buf_printf(&sql, "DELETE FROM %s; INSERT INTO %s SELECT * FROM saved.%s;",
			tables[i], tables[i], tables[i]);
	buf_puts(&sql, "COMMIT");
	exec(f, sql.data);
}

static void each_damaged_row_is_found_and_named(void **state)
{
	struct fixture *f = *state;

	save(f);
	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		const struct damage *d = &damages[i];
		char line[1024];

		exec(f, d->sql);
		expand(f, d->line, line);
		verify(f);
		if (strstr(text_of(&f->report), line) == NULL ||
			f->report.problems != d->n_problems ||
			f->report.incomplete != d->n_incomplete)
			fail_msg("%s\n%llu problems, %llu incomplete, not %u, %u with "
				 "\"%s\":\n%s",
				d->sql, (unsigned long long)f->report.problems,
				(unsigned long long)f->report.incomplete, d->n_problems,
				d->n_incomplete, line, text_of(&f->report));
		restore(f);
	}
	assert_clean(f);
}

static void more_problems_than_fit_are_counted(void **state)
{
	struct fixture *f = *state;

	exec(f, "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
		" INSERT INTO tag SELECT 1, 'damaged' || i, 99, 0 FROM n");
	verify(f);
	assert_int_equal(f->report.problems, 5000);
	assert_int_equal(f->report.tags, 5004);
	assert_true(f->report.text.len > LIMIT_VERIFY_TEXT - 200);
	assert_true(f->report.text.len <= LIMIT_VERIFY_TEXT);
	assert_int_equal(f->report.text.data[f->report.text.len - 1], '\n');
}

/* ---- the database's own structure ---- */

static void overwrite_root_page(struct fixture *f, const char *table)
{
	char path[128], page[4096];
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int root, fd;

	snprintf(path, sizeof(path), "%s/registry.db", f->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_prepare_v2(
			db, "SELECT rootpage FROM sqlite_schema WHERE name = ?1", -1, &stmt, NULL),
		SQLITE_OK);
	sqlite3_bind_text(stmt, 1, table, -1, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	root = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);

	memset(page, 0xff, sizeof(page));
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, page, sizeof(page), (off_t)(root - 1) * (off_t)sizeof(page)),
		sizeof(page));
	close(fd);
}

static void a_damaged_page_of_the_database_is_found_and_the_rest_is_looked_at(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;

	store_close(f->store);
	f->store = NULL;
	overwrite_root_page(f, "tag");
	assert_ok(store_open(&f->store, f->dir, 2, &err));
	verify(f);
	assert_true(f->report.problems > 1);
	assert_true(slice_starts(buf_slice(&f->report.text), SLICE("the database: ")));
	assert_non_null(strstr(f->report.text.data, "malformed"));
	assert_int_equal(f->report.blobs, 4);
}

/* ---- files ---- */

static void path_of(
	const struct fixture *f, const struct digest *digest, const char **ret_below, char ret[512])
{
	char below[STORE_BLOB_PATH_SIZE];

	snprintf(ret, 512, "%s/%s", f->dir, store_blob_path(digest, below));
	*ret_below = ret + strlen(f->dir) + 1;
}

static void assert_file_problem(
	struct fixture *f, const struct digest *digest, const char *before, const char *after)
{
	char line[1024], path[512], text[DIGEST_TEXT_SIZE];
	const char *below;

	path_of(f, digest, &below, path);
	snprintf(line, sizeof(line), "blob %s: %s%s%s", digest_format(digest, text), before, below,
		after);
	assert_only_line(f, line);
}

static void a_flipped_byte_in_a_file_is_found(void **state)
{
	struct fixture *f = *state;
	const struct digest *digests[] = {&f->big_layer, &f->big_layer_512};
	const off_t places[] = {0, BIG_SIZE / 2, BIG_SIZE - 1};
	const char *below;
	char path[512];

	for (size_t i = 0; i < ARRAY_SIZE(digests) * ARRAY_SIZE(places); i++) {
		off_t at = places[i % ARRAY_SIZE(places)];
		int fd;

		path_of(f, digests[i / ARRAY_SIZE(places)], &below, path);
		fd = open(path, O_WRONLY);
		assert_true(fd >= 0);
		assert_int_equal(pwrite(fd, &(char){(char)(f->big[at] ^ 1)}, 1, at), 1);
		assert_file_problem(f, digests[i / ARRAY_SIZE(places)], "the file ",
			" is damaged: its bytes do not match the digest");
		assert_int_equal(pwrite(fd, &f->big[at], 1, at), 1);
		close(fd);
	}
	assert_clean(f);
}

static void a_file_of_another_length_is_found(void **state)
{
	struct fixture *f = *state;
	const char *below;
	char path[512];

	path_of(f, &f->big_layer, &below, path);
	assert_int_equal(truncate(path, BIG_SIZE - 1), 0);
	assert_file_problem(f, &f->big_layer, "the file ", " has 204799 bytes in place of 204800");
	assert_int_equal(truncate(path, BIG_SIZE + 1), 0);
	assert_file_problem(f, &f->big_layer, "the file ", " has 204801 bytes in place of 204800");
}

static void a_missing_file_is_found(void **state)
{
	struct fixture *f = *state;
	const char *below;
	char path[512];

	path_of(f, &f->big_layer_512, &below, path);
	assert_int_equal(unlink(path), 0);
	assert_file_problem(f, &f->big_layer_512, "the file ", " is missing");
}

static void a_file_that_no_row_names_is_counted(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct digest digest = digest_of(SLICE("layer"));

	/* One of a blob that is a row, and one of none. */
	assert_ok(store_blob_write_file(f->store, &digest, SLICE("layer"), &err));
	digest = digest_of_as(DIGEST_SHA512, SLICE("orphan"));
	assert_ok(store_blob_write_file(f->store, &digest, SLICE("orphan"), &err));
	assert_clean(f);
	assert_int_equal(f->report.unused_files, 2);
}

static void a_name_that_is_no_digest_is_found(void **state)
{
	static const struct {
		const char *path, *line;
	} cases[] = {
		{"blobs/notes.txt", "blobs/notes.txt is no folder of blobs"},
		{"blobs/sha256/xyz", "blobs/sha256/xyz is no folder of blobs"},
		{"blobs/sha256/AB", "blobs/sha256/AB is no folder of blobs"},
		{"blobs/sha256/ab/abcd",
			"the file blobs/sha256/ab/abcd is not named as a blob of this folder"},
		{"blobs/sha256/ab/" OF_EMPTY, "the file blobs/sha256/ab/" OF_EMPTY
					      " is not named as a blob of this folder"},
	};
	struct fixture *f = *state;
	char path[512];
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, cases[i].path);
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		assert_true(fd >= 0);
		close(fd);
		assert_only_line(f, cases[i].line);
		assert_int_equal(unlink(path), 0);
	}
}

/* ---- meanwhile ---- */

struct writer {
	struct fixture *f;
	_Atomic bool stop;
};

static void *push_and_delete(void *arg)
{
	struct writer *w = arg;
	struct error err = ERROR_INIT;
	struct store_conn *tx;
	char layer[32], *big = big_bytes(BIG_SIZE);

	for (unsigned i = 0; !w->stop; i++) {
		struct digest small, large, blob;

		snprintf(layer, sizeof(layer), "layer %u", i);
		memcpy(big, layer, sizeof(layer));
		small = put_artifact(w->f, SLICE("busy"), SLICE("small"), slice_of(layer));
		large = put_artifact(
			w->f, SLICE("busy"), SLICE("large"), (struct slice){big, BIG_SIZE});
		assert_ok(store_begin(w->f->store, &tx, &err));
		assert_ok(store_manifest_delete(tx, SLICE("busy"), &large, &err));
		blob = digest_of((struct slice){big, BIG_SIZE});
		assert_ok(store_blob_delete(tx, SLICE("busy"), &blob, &err));
		assert_ok(store_manifest_delete(tx, SLICE("busy"), &small, &err));
		blob = digest_of(slice_of(layer));
		assert_ok(store_blob_delete(tx, SLICE("busy"), &blob, &err));
		assert_ok(store_commit(w->f->store, &err));
	}
	test_free(big);
	return NULL;
}

static void pushes_and_deletes_meanwhile_are_no_problem(void **state)
{
	struct writer w = {.f = *state};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, push_and_delete, &w), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_clean(w.f);
	w.stop = true;
	pthread_join(thread, NULL);
	assert_clean(w.f);
}

static void it_ends_when_the_server_does(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;

	store_interrupt(f->store);
	assert_refused(store_verify_all(f->store, &f->report, &err), ERROR_UNAVAILABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(what_was_pushed_is_clean_and_counted),
		TEST(deleted_manifests_tags_and_blobs_leave_nothing_wrong),
		TEST(a_layer_that_is_never_pushed_is_not_missed),
		TEST(an_image_that_lacks_many_blobs_counts_once_and_hides_no_problem),
		TEST(a_blob_that_the_repository_should_have_stays_a_problem),
		TEST(what_is_not_utf8_is_quoted_as_a_question_mark),
		TEST(ids_far_apart_are_looked_at_in_several_passes),
		TEST(each_damaged_row_is_found_and_named),
		TEST(more_problems_than_fit_are_counted),
		TEST(a_damaged_page_of_the_database_is_found_and_the_rest_is_looked_at),
		TEST(a_flipped_byte_in_a_file_is_found),
		TEST(a_file_of_another_length_is_found),
		TEST(a_missing_file_is_found),
		TEST(a_file_that_no_row_names_is_counted),
		TEST(a_name_that_is_no_digest_is_found),
		TEST(pushes_and_deletes_meanwhile_are_no_problem),
		TEST(it_ends_when_the_server_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
