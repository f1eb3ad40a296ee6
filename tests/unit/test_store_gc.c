/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include "store/db.h"
#include "store/gc.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPOSITORY SLICE("team/app")
#define BIG (LIMIT_BLOB_IN_ROW + 1)

struct fixture {
	char dir[64];
	struct store *store;
	char *big; /* BIG bytes */
};

static int setup(void **state)
{
	struct fixture *f = test_malloc(sizeof(*f));
	struct error err = ERROR_INIT;

	digest_setup();
	make_folder(f->dir);
	assert_ok(store_open(&f->store, f->dir, 4, &err));
	f->big = test_malloc(BIG);
	memset(f->big, 'x', BIG);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->store);
	remove_folder(f->dir);
	test_free(f->big);
	test_free(f);
	return 0;
}

/* ---- doing ---- */

static struct gc_report collect(struct fixture *f, uint64_t grace_s, bool dry_run)
{
	struct gc_options options = {.dry_run = dry_run, .grace_s = grace_s};
	struct gc_report report;
	struct error err = ERROR_INIT;

	assert_ok(store_gc(f->store, &options, &report, &err));
	return report;
}

/* With no blobs of its own: they are there, or are not. */
static int try_manifest(
	struct fixture *f, struct slice repository, const struct artifact *a, struct error *err)
{
	struct store_conn *tx;
	int result;
	struct store_push push = {
		.repository = repository,
		.sparse = true,
		.media_type = SLICE(OCI_MEDIA_MANIFEST),
		.bytes = buf_slice(&a->manifest),
		.digest = a->digest,
		.parsed = a->parsed,
	};

	assert_int_equal(store_begin(f->store, &tx, err), 0);
	result = store_manifest_put(tx, &push, err);
	assert_int_equal(store_commit(f->store, err), 0);
	return result;
}

static void put_manifest(struct fixture *f, struct slice repository, const struct artifact *a)
{
	struct error err = ERROR_INIT;

	assert_ok(try_manifest(f, repository, a, &err));
}

static void delete_manifest(struct fixture *f, struct slice repository, const struct artifact *a)
{
	struct error err = ERROR_INIT;
	struct store_conn *tx;

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_manifest_delete(tx, repository, &a->digest, &err));
	assert_ok(store_commit(f->store, &err));
}

/* ---- looking ---- */

static bool has_blob(struct fixture *f, struct slice repository, struct slice bytes)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(f->store);
	CLEANUP(store_blob_done) struct store_blob blob;
	struct digest digest = digest_of(bytes);
	struct error err = ERROR_INIT;

	store_blob_init(&blob);
	if (store_blob_get(reader, repository, &digest, &blob, &err) == 0)
		return true;
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	return false;
}

static void path_of(struct fixture *f, struct slice bytes, char ret[256])
{
	struct digest digest = digest_of(bytes);
	char text[DIGEST_TEXT_SIZE];
	const char *hex = strchr(digest_format(&digest, text), ':') + 1;

	snprintf(ret, 256, "%s/blobs/sha256/%.2s/%s", f->dir, hex, hex);
}

static bool has_file(struct fixture *f, struct slice bytes)
{
	char path[256];

	path_of(f, bytes, path);
	return access(path, F_OK) == 0;
}

/* ---- what goes ---- */

static void a_blob_that_no_manifest_names_goes_row_or_file(void **state)
{
	struct fixture *f = *state;
	struct slice big = {f->big, BIG};
	struct gc_report report;

	put_blob(f->store, REPOSITORY, SLICE("small"));
	put_blob(f->store, REPOSITORY, big);
	report = collect(f, 0, false);
	assert_int_equal(report.unlinked, 2);
	assert_int_equal(report.blobs, 2);
	assert_int_equal(report.blob_bytes, 5 + BIG);
	assert_int_equal(report.files, 1);
	assert_int_equal(report.file_bytes, BIG);
	assert_false(has_blob(f, REPOSITORY, SLICE("small")));
	assert_false(has_blob(f, REPOSITORY, big));
	assert_false(has_file(f, big));
	report = collect(f, 0, false);
	assert_int_equal(report.unlinked + report.blobs + report.files, 0);
}

static void a_dry_run_counts_the_same_and_takes_nothing(void **state)
{
	struct fixture *f = *state;
	struct slice big = {f->big, BIG};
	struct gc_report dry, wet;

	put_blob(f->store, REPOSITORY, SLICE("small"));
	put_blob(f->store, SLICE("other"), SLICE("small"));
	put_blob(f->store, REPOSITORY, big);
	dry = collect(f, 0, true);
	assert_true(has_blob(f, REPOSITORY, SLICE("small")) && has_blob(f, REPOSITORY, big));
	wet = collect(f, 0, false);
	assert_int_equal(dry.unlinked, 3);
	assert_int_equal(dry.unlinked, wet.unlinked);
	assert_int_equal(dry.blobs, wet.blobs);
	assert_int_equal(dry.blob_bytes, wet.blob_bytes);
	assert_int_equal(dry.files, 1);
	assert_int_equal(dry.files, wet.files);
	assert_int_equal(dry.file_bytes, wet.file_bytes);
}

static void a_deleted_manifest_frees_its_blobs(void **state)
{
	struct fixture *f = *state;
	CLEANUP(artifact_done) struct artifact a;

	artifact_init(&a, SLICE("layer"), NULL);
	put_blob(f->store, REPOSITORY, OCI_EMPTY);
	put_blob(f->store, REPOSITORY, SLICE("layer"));
	put_manifest(f, REPOSITORY, &a);
	assert_int_equal(collect(f, 0, false).unlinked, 0);
	delete_manifest(f, REPOSITORY, &a);
	assert_int_equal(collect(f, 0, false).blobs, 2);
}

static void a_file_that_a_crash_left_goes_and_foreign_names_stay(void **state)
{
	struct fixture *f = *state;
	struct slice big = {f->big, BIG};
	struct digest digest = digest_of(big);
	struct error err = ERROR_INIT;
	char foreign[256];
	struct gc_report report;

	assert_ok(store_blob_write_file(f->store, &digest, big, &err));
	snprintf(foreign, sizeof(foreign), "%s/blobs/sha256/00/README", f->dir);
	close(open(foreign, O_CREAT | O_WRONLY, 0600));
	report = collect(f, 0, false);
	assert_int_equal(report.blobs, 0);
	assert_int_equal(report.files, 1);
	assert_false(has_file(f, big));
	assert_int_equal(access(foreign, F_OK), 0);
}

/* ---- what stays ---- */

static void what_is_younger_than_the_grace_stays(void **state)
{
	struct fixture *f = *state;
	struct slice big = {f->big, BIG};
	struct digest digest = digest_of(big);
	struct error err = ERROR_INIT;
	struct gc_report report;

	assert_ok(store_blob_write_file(f->store, &digest, big, &err)); /* as before a crash */
	put_blob(f->store, REPOSITORY, SLICE("small"));
	report = collect(f, 3600, false);
	assert_int_equal(report.unlinked + report.blobs + report.files, 0);
	assert_true(has_blob(f, REPOSITORY, SLICE("small")));
	assert_true(has_file(f, big));
}

static void a_blob_of_two_repositories_stays_until_both_let_go(void **state)
{
	struct fixture *f = *state;
	CLEANUP(artifact_done) struct artifact a;
	struct gc_report report;

	artifact_init(&a, SLICE("layer"), NULL);
	put_blob(f->store, SLICE("one"), SLICE("layer"));
	put_blob(f->store, SLICE("two"), SLICE("layer"));
	put_manifest(f, SLICE("two"), &a);
	report = collect(f, 0, false);
	assert_int_equal(report.unlinked, 1);
	assert_int_equal(report.blobs, 0);
	assert_false(has_blob(f, SLICE("one"), SLICE("layer")));
	assert_true(has_blob(f, SLICE("two"), SLICE("layer")));
}

static void a_blob_that_comes_after_its_manifest_stays(void **state)
{
	struct fixture *f = *state;
	CLEANUP(artifact_done) struct artifact a;

	artifact_init(&a, SLICE("layer"), NULL);
	put_manifest(f, REPOSITORY, &a);
	put_blob(f->store, REPOSITORY, SLICE("layer"));
	assert_int_equal(collect(f, 0, false).unlinked, 0);
	assert_true(has_blob(f, REPOSITORY, SLICE("layer")));
}

static void a_touched_blob_is_young_again(void **state)
{
	struct fixture *f = *state;
	struct digest digest = digest_of(SLICE("small"));
	struct error err = ERROR_INIT;
	struct store_conn *tx;

	put_blob(f->store, REPOSITORY, SLICE("small"));
	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(
		sqlite3_exec(tx->db, "UPDATE repository_blob SET pushed_at = 0", NULL, NULL, NULL),
		SQLITE_OK);
	assert_ok(store_blob_touch(tx, REPOSITORY, &digest, &err));
	assert_ok(store_commit(f->store, &err));
	assert_int_equal(collect(f, 3600, false).unlinked, 0);
}

static void more_blobs_than_fit_a_page_are_collected(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct store_conn *tx;

	assert_ok(store_begin(f->store, &tx, &err));
	for (unsigned i = 0; i < 9000; i++) {
		struct slice bytes = {(const char *)&i, sizeof(i)};
		struct digest digest = digest_of(bytes);

		assert_ok(store_blob_put(tx, REPOSITORY, &digest, bytes.n, bytes, &err));
	}
	assert_ok(store_commit(f->store, &err));
	assert_int_equal(collect(f, 0, false).blobs, 9000);
}

/* ---- races ---- */

static void a_push_whose_file_was_taken_is_refused_not_acknowledged(void **state)
{
	struct fixture *f = *state;
	struct slice big = {f->big, BIG};
	struct digest digest = digest_of(big);
	struct error err = ERROR_INIT;
	struct store_conn *tx;

	assert_ok(store_blob_write_file(f->store, &digest, big, &err));
	assert_int_equal(collect(f, 0, false).files, 1); /* between the file and its row */
	assert_ok(store_begin(f->store, &tx, &err));
	assert_refused(
		store_blob_put(tx, REPOSITORY, &digest, big.n, big, &err), ERROR_UNAVAILABLE);
	assert_ok(store_commit(f->store, &err));
	assert_false(has_blob(f, REPOSITORY, big));
}

static void a_manifest_that_comes_after_its_blobs_were_taken_is_refused(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;

	artifact_init(&a, SLICE("layer"), NULL);
	put_blob(f->store, REPOSITORY, OCI_EMPTY);
	put_blob(f->store, REPOSITORY, SLICE("layer"));
	assert_int_equal(collect(f, 0, true).blobs, 2);
	assert_int_equal(collect(f, 0, false).blobs, 2);
	assert_refused(try_manifest(f, REPOSITORY, &a, &err), ERROR_NOT_FOUND);
	put_manifest(f, SLICE("other"), &a); /* never had them: a sparse one */
	put_blob(f->store, REPOSITORY, OCI_EMPTY);
	put_blob(f->store, REPOSITORY, SLICE("layer"));
	put_manifest(f, REPOSITORY, &a);
}

static void a_blob_that_was_taken_cannot_be_touched(void **state)
{
	struct fixture *f = *state;
	struct digest digest = digest_of(SLICE("small"));
	struct error err = ERROR_INIT;
	struct store_conn *tx;

	put_blob(f->store, REPOSITORY, SLICE("small"));
	put_blob(f->store, SLICE("other"), SLICE("small"));
	assert_int_equal(collect(f, 0, false).unlinked, 2);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_refused(store_blob_touch(tx, REPOSITORY, &digest, &err), ERROR_NOT_FOUND);
	assert_ok(store_commit(f->store, &err));
}

struct collector {
	struct fixture *fixture;
	_Atomic bool stop;
	unsigned rounds;
};

static void *collect_all_the_time(void *arg)
{
	struct collector *c = arg;

	while (!c->stop) {
		collect(c->fixture, 2, false);
		c->rounds++;
	}
	return NULL;
}

/* A blob, a pause, its manifest: while garbage is collected without a pause, with a grace that is
 * longer than the pause. */
static void nothing_is_taken_between_a_blob_and_its_manifest(void **state)
{
	struct fixture *f = *state;
	struct collector collector = {.fixture = f};
	pthread_t thread;
	unsigned rounds = getenv("GSQ_LONG") != NULL ? 5000 : 500;

	AZ(pthread_create(&thread, NULL, collect_all_the_time, &collector));
	for (unsigned i = 0; i < rounds; i++) {
		struct slice layer = {f->big, i % 8 == 0 ? BIG : 32};
		CLEANUP(artifact_done) struct artifact a;

		memcpy(f->big, &i, sizeof(i));
		artifact_init(&a, layer, NULL);
		put_blob(f->store, REPOSITORY, OCI_EMPTY);
		put_blob(f->store, REPOSITORY, layer);
		usleep(i % 4 * 500);
		put_manifest(f, REPOSITORY, &a);
		assert_true(has_blob(f, REPOSITORY, layer));
		if (i % 2 == 0)
			delete_manifest(f, REPOSITORY, &a);
	}
	collector.stop = true;
	AZ(pthread_join(thread, NULL));
	assert_true(collector.rounds > 0);
	for (unsigned i = 1; i < rounds; i += 2) {
		memcpy(f->big, &i, sizeof(i));
		assert_true(has_blob(f, REPOSITORY, (struct slice){f->big, i % 8 == 0 ? BIG : 32}));
	}
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_blob_that_no_manifest_names_goes_row_or_file),
		test(a_dry_run_counts_the_same_and_takes_nothing),
		test(a_deleted_manifest_frees_its_blobs),
		test(a_file_that_a_crash_left_goes_and_foreign_names_stay),
		test(what_is_younger_than_the_grace_stays),
		test(a_blob_of_two_repositories_stays_until_both_let_go),
		test(a_blob_that_comes_after_its_manifest_stays),
		test(a_touched_blob_is_young_again),
		test(more_blobs_than_fit_a_page_are_collected),
		test(a_push_whose_file_was_taken_is_refused_not_acknowledged),
		test(a_manifest_that_comes_after_its_blobs_were_taken_is_refused),
		test(a_blob_that_was_taken_cannot_be_touched),
		test(nothing_is_taken_between_a_blob_and_its_manifest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
