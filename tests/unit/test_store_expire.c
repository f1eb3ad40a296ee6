/* SPDX-License-Identifier: Apache-2.0 */
/* Tags that expire, and the manifests that go with the last of theirs. */
#include "store_fixture.h"

#include "store/db.h"
#include "store/gc.h"

#define REPOSITORY SLICE("gitops-squared/catalog")
#define BIG (LIMIT_BLOB_IN_ROW + 1)

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

/* ---- doing ---- */

static void put_bytes(struct fixture *f, struct slice bytes, const char *media_type,
	const char *tag, const struct push_blob *blobs, size_t n_blobs)
{
	struct slice tags[] = {tag == NULL ? SLICE_NONE : slice_of(tag)};
	struct error err = ERROR_INIT;
	struct store_conn *tx;
	struct store_push push = {
		.repository = REPOSITORY,
		.n_tags = tag != NULL,
		.tags = tags,
		.media_type = slice_of(media_type),
		.bytes = bytes,
		.digest = digest_of(bytes),
		.n_blobs = n_blobs,
		.blobs = blobs,
	};

	for (size_t i = 0; i < n_blobs; i++)
		if (blobs[i].bytes.n > LIMIT_BLOB_IN_ROW)
			assert_ok(store_blob_write_file(
				f->store, &blobs[i].digest, blobs[i].bytes, &err));
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_manifest_put(tx, &push, &err));
	assert_ok(store_commit(f->store, &err));
}

static void put(struct fixture *f, const struct artifact *a, const char *tag)
{
	put_bytes(f, buf_slice(&a->manifest), OCI_MEDIA_MANIFEST, tag, a->blobs,
		ARRAY_SIZE(a->blobs));
}

/* How many of the tags were there. */
static size_t expire(struct fixture *f, const char *const *tags, size_t n)
{
	struct store_expiry list[16];
	struct error err = ERROR_INIT;
	struct store_conn *tx;
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		list[i] = (struct store_expiry){.tag = slice_of(tags[i])};
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_tags_expire(tx, REPOSITORY, list, n, &err));
	assert_ok(store_commit(f->store, &err));
	for (size_t i = 0; i < n; i++)
		found += list[i].found;
	return found;
}
#define EXPIRE(f, ...) \
	expire(f, (const char *const[]){__VA_ARGS__}, \
		sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static bool has_digest(struct fixture *f, const struct digest *digest)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(f->store);
	CLEANUP(store_manifest_done) struct store_manifest m;
	struct error err = ERROR_INIT;
	char text[DIGEST_TEXT_SIZE];

	store_manifest_init(&m);
	if (store_manifest_get(
		    reader, REPOSITORY, slice_of(digest_format(digest, text)), &m, &err) == 0)
		return true;
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	return false;
}

static struct gc_report collect(struct fixture *f)
{
	struct gc_options options = {.grace_s = 0};
	struct gc_report report;
	struct error err = ERROR_INIT;

	assert_ok(store_gc(f->store, &options, &report, &err));
	return report;
}

/* ---- what goes and what stays ---- */

static void a_manifest_goes_with_the_last_of_its_tags(void **state)
{
	struct fixture *f = *state;
	CLEANUP(artifact_done) struct artifact one, two, untagged;

	artifact_init(&one, SLICE("one"), NULL);
	artifact_init(&two, SLICE("two"), NULL);
	artifact_init(&untagged, SLICE("three"), NULL);
	put(f, &one, "c1");
	put(f, &two, "c2");
	put(f, &two, "latest");
	put(f, &untagged, NULL);
	assert_int_equal(EXPIRE(f, "c1", "c2", "c3"), 2);
	assert_false(has_digest(f, &one.digest));
	assert_true(has_digest(f, &two.digest));
	assert_true(has_digest(f, &untagged.digest));
	assert_int_equal(EXPIRE(f, "c1", "c2", "c3"), 0);
	assert_int_equal(EXPIRE(f, "latest"), 1);
	assert_false(has_digest(f, &two.digest));
}

static void tags_of_one_manifest_may_go_together(void **state)
{
	struct fixture *f = *state;
	CLEANUP(artifact_done) struct artifact a;

	artifact_init(&a, SLICE("one"), NULL);
	put(f, &a, "c1");
	put(f, &a, "c2");
	assert_int_equal(EXPIRE(f, "c2", "c1", "c2"), 2);
	assert_false(has_digest(f, &a.digest));
}

static void an_unknown_repository_has_nothing_to_lose(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(EXPIRE(f, "c1"), 0);
}

static void what_an_index_names_stays(void **state)
{
	struct fixture *f = *state;
	CLEANUP(artifact_done) struct artifact a;
	CLEANUP(buf_done) struct buf index = BUF_INIT(KIB);
	char text[DIGEST_TEXT_SIZE];

	artifact_init(&a, SLICE("layer"), NULL);
	put(f, &a, "c1");
	buf_printf(&index,
		"{\"schemaVersion\":2,\"mediaType\":\"%s\",\"manifests\":[{\"mediaType\":\"%s\","
		"\"digest\":\"%s\",\"size\":%zu}]}",
		OCI_MEDIA_INDEX, OCI_MEDIA_MANIFEST, digest_format(&a.digest, text),
		a.manifest.len);
	put_bytes(f, buf_slice(&index), OCI_MEDIA_INDEX, "index", NULL, 0);
	assert_int_equal(EXPIRE(f, "c1"), 1);
	assert_true(has_digest(f, &a.digest));
}

/* Pushes a referrer of the manifest. */
static struct digest put_referrer(struct fixture *f, const struct artifact *a, const char *tag)
{
	CLEANUP(buf_done) struct buf signature = BUF_INIT(KIB);
	char text[DIGEST_TEXT_SIZE], empty[DIGEST_TEXT_SIZE];
	struct push_blob blob = {digest_of(SLICE("{}")), SLICE("{}")};

	digest_format(&blob.digest, empty);
	buf_printf(&signature,
		"{\"schemaVersion\":2,\"mediaType\":\"%s\",\"config\":{\"mediaType\":"
		"\"application/vnd.oci.empty.v1+json\",\"digest\":\"%s\",\"size\":2},\"layers\":[],"
		"\"subject\":{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu}}",
		OCI_MEDIA_MANIFEST, empty, OCI_MEDIA_MANIFEST, digest_format(&a->digest, text),
		a->manifest.len);
	put_bytes(f, buf_slice(&signature), OCI_MEDIA_MANIFEST, tag, &blob, 1);
	return digest_of(buf_slice(&signature));
}

static void a_subject_stays(void **state)
{
	struct fixture *f = *state;
	CLEANUP(artifact_done) struct artifact a;

	artifact_init(&a, SLICE("layer"), NULL);
	put(f, &a, "c1");
	put_referrer(f, &a, NULL);
	assert_int_equal(EXPIRE(f, "c1"), 1);
	assert_true(has_digest(f, &a.digest));
}

static void a_subject_goes_together_with_its_referrers_in_any_order(void **state)
{
	struct fixture *f = *state;
	CLEANUP(artifact_done) struct artifact one, two;
	struct digest before, after;

	artifact_init(&one, SLICE("one"), NULL);
	artifact_init(&two, SLICE("two"), NULL);
	before = put_referrer(f, &one, "s1");
	put(f, &one, "c1");
	put(f, &two, "c2");
	after = put_referrer(f, &two, "s2");
	assert_int_equal(EXPIRE(f, "s1", "c1", "c2", "s2"), 4);
	assert_false(has_digest(f, &one.digest));
	assert_false(has_digest(f, &two.digest));
	assert_false(has_digest(f, &before));
	assert_false(has_digest(f, &after));
}

static void a_repository_that_lost_its_last_manifest_is_not_listed(void **state)
{
	struct fixture *f = *state;
	CLEANUP(artifact_done) struct artifact a;
	CLEANUP(store_names_done) struct store_names names;
	struct error err = ERROR_INIT;
	struct store_conn *reader;
	uint64_t generation;

	artifact_init(&a, SLICE("one"), NULL);
	put(f, &a, "c1");
	generation = store_repositories_generation(f->store);
	assert_int_equal(EXPIRE(f, "c1"), 1);
	assert_true(store_repositories_generation(f->store) > generation);
	store_names_init(&names);
	reader = store_reader(f->store);
	assert_ok(store_repositories(reader, SLICE_NONE, 10, &names, &err));
	store_reader_done(reader);
	assert_int_equal(names.n, 0);
}

static void a_rollback_brings_all_of_it_back(void **state)
{
	struct fixture *f = *state;
	CLEANUP(artifact_done) struct artifact a;
	struct store_expiry list[] = {{.tag = SLICE("c1")}};
	struct error err = ERROR_INIT;
	struct store_conn *tx;

	artifact_init(&a, SLICE("one"), NULL);
	put(f, &a, "c1");
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_tags_expire(tx, REPOSITORY, list, 1, &err));
	store_rollback(f->store);
	assert_true(has_digest(f, &a.digest));
	assert_int_equal(EXPIRE(f, "c1"), 1);
}

/* ---- and what is given back ---- */

static void garbage_collection_takes_the_blobs_of_what_expired_and_no_others(void **state)
{
	struct fixture *f = *state;
	CLEANUP(artifact_done) struct artifact old, new;
	char *big = test_malloc(BIG);
	struct gc_report report;

	memset(big, 'x', BIG);
	artifact_init(&old, (struct slice){big, BIG}, NULL);
	artifact_init(&new, SLICE("new"), NULL);
	put(f, &old, "c1");
	put(f, &new, "c2");
	assert_int_equal(EXPIRE(f, "c1"), 1);
	report = collect(f);
	assert_int_equal(report.unlinked, 1); /* the config is the new one's too */
	assert_int_equal(report.blobs, 1);
	assert_int_equal(report.file_bytes, BIG);
	/* The same layer comes back with a later catalog. */
	put(f, &old, "c3");
	assert_int_equal(collect(f).unlinked, 0);
	test_free(big);
}

static size_t pages(struct fixture *f)
{
	struct error err = ERROR_INIT;
	struct store_conn *tx;
	sqlite3_stmt *stmt;
	size_t n;

	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(
		sqlite3_prepare_v2(tx->db, "PRAGMA page_count", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = (size_t)sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	store_rollback(f->store);
	return n;
}

/* Catalogs come and go. */
static void turn_over(struct fixture *f, unsigned round)
{
	char *layer = test_malloc(32 * KIB);

	memset(layer, 'x', 32 * KIB);
	for (unsigned i = 0; i < 16; i++) {
		CLEANUP(artifact_done) struct artifact a;
		char tag[32];

		snprintf(layer, 32, "%u of %u", i, round);
		snprintf(tag, sizeof(tag), "c%u-%u", round, i);
		artifact_init(&a, (struct slice){layer, 32 * KIB}, NULL);
		put(f, &a, tag);
		assert_int_equal(EXPIRE(f, tag), 1);
	}
	collect(f);
	test_free(layer);
}

static void the_space_of_what_expired_is_used_again(void **state)
{
	struct fixture *f = *state;
	size_t once;

	turn_over(f, 0);
	once = pages(f);
	for (unsigned round = 1; round < 8; round++)
		turn_over(f, round);
	/* Not eight times as much: what is remembered of each collected blob is small. */
	assert_true(pages(f) < once + once / 4);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_manifest_goes_with_the_last_of_its_tags),
		TEST(tags_of_one_manifest_may_go_together),
		TEST(an_unknown_repository_has_nothing_to_lose),
		TEST(what_an_index_names_stays),
		TEST(a_subject_stays),
		TEST(a_subject_goes_together_with_its_referrers_in_any_order),
		TEST(a_repository_that_lost_its_last_manifest_is_not_listed),
		TEST(a_rollback_brings_all_of_it_back),
		TEST(garbage_collection_takes_the_blobs_of_what_expired_and_no_others),
		TEST(the_space_of_what_expired_is_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
