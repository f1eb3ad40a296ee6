/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include "store/backup.h"
#include "store/db.h"
#include "store/verify.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPOSITORY SLICE("team/app")
#define BIG_SIZE (3 * MIB)
#define N_WRITERS 4

struct fixture {
	char dir[64];  /* has: */
	char data[80]; /* the store's folder */
	char file[80]; /* the backup */
	char restored[80];
	struct store *store;
	char *big;
};

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	struct error err = ERROR_INIT;

	digest_setup();
	make_folder(f->dir);
	snprintf(f->data, sizeof(f->data), "%s/data", f->dir);
	snprintf(f->file, sizeof(f->file), "%s/b.tar", f->dir);
	snprintf(f->restored, sizeof(f->restored), "%s/restored", f->dir);
	assert_ok(store_open(&f->store, f->data, 2, &err));
	f->big = test_malloc(BIG_SIZE);
	for (size_t i = 0; i < BIG_SIZE; i++)
		f->big[i] = (char)(i * 31 + i / 4096);
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

static struct digest put_artifact(
	struct fixture *f, struct slice tag, bool immutable, struct slice layer)
{
	CLEANUP(artifact_done) struct artifact a;
	struct error err = ERROR_INIT;
	struct store_conn *tx;
	struct store_push push = {
		.repository = REPOSITORY,
		.n_tags = 1,
		.tags = &tag,
		.n_new_tags = immutable,
		.media_type = SLICE(OCI_MEDIA_MANIFEST),
	};

	artifact_init(&a, layer, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(a.blobs); i++)
		put_blob_as(f->store, REPOSITORY, &a.blobs[i].digest, a.blobs[i].bytes);
	push.bytes = buf_slice(&a.manifest);
	push.digest = a.digest;
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_manifest_put(tx, &push, &err));
	assert_ok(store_commit(f->store, &err));
	return a.digest;
}

static uint64_t backup(struct fixture *f)
{
	CLEANUP(backup_report_done) struct backup_report report;
	struct error err = ERROR_INIT;

	backup_report_init(&report);
	assert_ok(store_backup(f->store, f->file, &report, &err));
	assert_int_equal(report.damaged, 0);
	assert_int_equal(report.text.len, 0);
	return report.bytes;
}

/* The error says this, too. */
static void assert_not_backed_up(
	struct fixture *f, const char *path, enum error_code code, const char *says)
{
	CLEANUP(backup_report_done) struct backup_report report;
	struct error err = ERROR_INIT;

	backup_report_init(&report);
	assert_refused(store_backup(f->store, path, &report, &err), code);
	assert_int_equal(report.bytes, 0);
	assert_non_null(strstr(err.text, path));
	assert_non_null(strstr(err.text, says));
}

static void run(const char *fmt, const char *a, const char *b)
{
	char command[512];

	snprintf(command, sizeof(command), fmt, a, b);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

/* The backup, unpacked by tar(1) and opened. */
static struct store *restore(struct fixture *f)
{
	struct error err = ERROR_INIT;
	struct store *restored;

	assert_int_equal(mkdir(f->restored, 0700), 0);
	run("tar -xf %s -C %s", f->file, f->restored);
	assert_ok(store_open(&restored, f->restored, 2, &err));
	return restored;
}

static void assert_clean(struct store *s)
{
	CLEANUP(verify_report_done) struct verify_report report;
	struct error err = ERROR_INIT;

	verify_report_init(&report);
	assert_ok(store_verify_all(s, &report, &err));
	if (report.problems > 0 || report.unused_files > 0)
		fail_msg("%llu unused, and:\n%s", (unsigned long long)report.unused_files,
			report.problems > 0 ? report.text.data : "");
}

static void assert_blob(struct store *s, const struct digest *digest, struct slice bytes)
{
	struct store_conn *reader = store_reader(s);
	struct error err = ERROR_INIT;
	struct store_blob blob;

	store_blob_init(&blob);
	assert_ok(store_blob_get(reader, REPOSITORY, digest, &blob, &err));
	assert_int_equal(blob.size, bytes.n);
	if (blob.fd < 0) {
		assert_memory_equal(blob.data.data, bytes.p, bytes.n);
	} else {
		char *got = test_malloc(bytes.n);

		assert_int_equal(pread(blob.fd, got, bytes.n, 0), bytes.n);
		assert_memory_equal(got, bytes.p, bytes.n);
		test_free(got);
	}
	store_blob_done(&blob);
	store_reader_done(reader);
}

static void assert_tag(struct store *s, struct slice tag, const struct digest *expected)
{
	struct store_conn *reader = store_reader(s);
	struct error err = ERROR_INIT;
	struct digest got;

	assert_ok(store_tag_get(reader, REPOSITORY, tag, &got, &err));
	store_reader_done(reader);
	assert_true(digest_eq(&got, expected));
}

static void assert_only_b_tar(const struct fixture *f)
{
	struct dirent **names;
	int n = scandir(f->dir, &names, NULL, alphasort);

	assert_int_equal(n, 4); /* with the two of every folder */
	assert_string_equal(names[2]->d_name, "b.tar");
	assert_string_equal(names[3]->d_name, "data");
	while (n > 0)
		free(names[--n]);
	free(names);
}

static void assert_no_uploads(const struct fixture *f)
{
	char path[128];
	struct dirent **names;
	int n;

	snprintf(path, sizeof(path), "%s/uploads", f->data);
	n = scandir(path, &names, NULL, NULL);
	assert_int_equal(n, 2);
	while (n > 0)
		free(names[--n]);
	free(names);
}

/* ---- what is restored ---- */

static void everything_is_there_again(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct slice big = {f->big, BIG_SIZE};
	struct digest big_512 = digest_of_as(DIGEST_SHA512, big);
	struct digest big_digest = digest_of(big), empty = digest_of(SLICE(""));
	struct digest fixed, moving;
	CLEANUP(artifact_done) struct artifact other;
	struct store_conn *tx;
	struct store *restored;
	struct stat st;
	struct slice tag = SLICE("v1");
	uint64_t bytes;

	fixed = put_artifact(f, SLICE("v1"), true, SLICE("layer"));
	moving = put_artifact(f, SLICE("latest"), false, big);
	put_blob_as(f->store, REPOSITORY, &big_512, big);
	put_blob_as(f->store, REPOSITORY, &empty, SLICE(""));
	bytes = backup(f);
	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(st.st_size, bytes);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_only_b_tar(f);
	assert_no_uploads(f);

	restored = restore(f);
	assert_clean(restored);
	assert_tag(restored, SLICE("v1"), &fixed);
	assert_tag(restored, SLICE("latest"), &moving);
	assert_blob(restored, &big_512, big);
	assert_blob(restored, &big_digest, big);
	assert_blob(restored, &empty, SLICE(""));

	artifact_init(&other, SLICE("another"), NULL);
	assert_ok(store_begin(restored, &tx, &err));
	assert_refused(store_manifest_put(tx,
			       &(struct store_push){.repository = REPOSITORY,
				       .n_tags = 1,
				       .tags = &tag,
				       .sparse = true,
				       .media_type = SLICE(OCI_MEDIA_MANIFEST),
				       .bytes = buf_slice(&other.manifest),
				       .digest = other.digest},
			       &err),
		ERROR_CONFLICT);
	store_rollback(restored);
	store_close(restored);
}

static void an_empty_store_is_restored_too(void **state)
{
	struct fixture *f = *state;
	struct store *restored;

	backup(f);
	restored = restore(f);
	assert_clean(restored);
	store_close(restored);
}

static void only_their_owner_can_read_what_is_unpacked(void **state)
{
	static const char *const paths[] = {"registry.db", "blobs", "blobs/sha256", "blobs/sha512"};
	struct fixture *f = *state;
	struct stat st;
	char path[128];

	put_artifact(f, SLICE("v1"), true, (struct slice){f->big, BIG_SIZE});
	backup(f);
	assert_int_equal(mkdir(f->restored, 0700), 0);
	run("umask 0; tar -xf %s -C %s", f->file, f->restored);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->restored, paths[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0077, 0);
	}
}

static void other_programs_read_it(void **state)
{
	struct fixture *f = *state;
	struct slice big = {f->big, BIG_SIZE};
	struct digest big_512 = digest_of_as(DIGEST_SHA512, big);

	put_artifact(f, SLICE("v1"), true, big);
	put_blob_as(f->store, REPOSITORY, &big_512, big);
	backup(f);
	run("/usr/bin/python3 -c 'import sys, tarfile, hashlib\n"
	    "with tarfile.open(sys.argv[1], \"r:\") as tar:\n"
	    "    names = tar.getnames()\n"
	    "    assert names[0] == \"registry.db\" and len(names) == 6, names\n"
	    "    for name in names[-2:]:\n"
	    "        _, algorithm, folder, digits = name.split(\"/\")\n"
	    "        content = tar.extractfile(name).read()\n"
	    "        assert hashlib.new(algorithm, content).hexdigest() == digits\n"
	    "        assert digits[:2] == folder' %s",
		f->file, "");
}

/* ---- while others write ---- */

struct writer {
	struct fixture *f;
	unsigned number;
	_Atomic bool *stop;
	_Atomic unsigned pushed;
	pthread_t thread;
};

static void *push(void *arg)
{
	struct writer *w = arg;
	char *layer = test_malloc(BIG_SIZE), tag[32];
	size_t size = w->number % 2 == 0 ? 100 : LIMIT_BLOB_IN_ROW + 1;

	memcpy(layer, w->f->big, BIG_SIZE);
	for (unsigned i = 0; !*w->stop; i++) {
		snprintf(tag, sizeof(tag), "w%u-%u", w->number, i);
		memcpy(layer, tag, strlen(tag));
		put_artifact(w->f, slice_of(tag), true, (struct slice){layer, size});
		w->pushed = i + 1;
	}
	test_free(layer);
	return NULL;
}

static void a_backup_amid_pushes_has_all_that_was_acknowledged_before(void **state)
{
	struct fixture *f = *state;
	struct writer writers[N_WRITERS] = {0};
	unsigned before[N_WRITERS];
	_Atomic bool stop = false;
	struct digest got;
	struct store *restored;
	char tag[32];

	for (unsigned i = 0; i < N_WRITERS; i++) {
		writers[i].f = f;
		writers[i].number = i;
		writers[i].stop = &stop;
		assert_int_equal(pthread_create(&writers[i].thread, NULL, push, &writers[i]), 0);
	}
	for (unsigned i = 0; i < N_WRITERS; i++)
		while (writers[i].pushed < 5)
			usleep(1000);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < N_WRITERS; i++)
			before[i] = writers[i].pushed;
		backup(f);
		restored = restore(f);
		assert_clean(restored);
		for (unsigned i = 0; i < N_WRITERS; i++) {
			struct store_conn *reader = store_reader(restored);
			struct error err = ERROR_INIT;

			snprintf(tag, sizeof(tag), "w%u-%u", i, before[i] - 1);
			assert_ok(store_tag_get(reader, REPOSITORY, slice_of(tag), &got, &err));
			store_reader_done(reader);
		}
		store_close(restored);
		remove_folder(f->restored);
	}
	stop = true;
	for (unsigned i = 0; i < N_WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
}

/* ---- failure ---- */

static void write_file(const char *path, const char *content)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(content, file);
	fclose(file);
}

static void assert_file(const char *path, const char *content)
{
	char got[64] = {0};
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	assert_true(fread(got, 1, sizeof(got) - 1, file) < sizeof(got));
	fclose(file);
	assert_string_equal(got, content);
}

static void an_older_file_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct store *restored;
	char partial[128];

	snprintf(partial, sizeof(partial), "%s.partial", f->file);
	write_file(partial, "of one that was cut off");
	snprintf(partial, sizeof(partial), "%s.partial.db", f->file);
	write_file(partial, "of one that was cut off");
	write_file(f->file, "older");
	put_artifact(f, SLICE("v1"), false, SLICE("layer"));
	backup(f);
	assert_only_b_tar(f);
	restored = restore(f);
	assert_clean(restored);
	store_close(restored);
}

static void assert_blob_is_missing(struct store *s, const struct digest *digest)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(s);
	struct error err = ERROR_INIT;
	struct store_blob blob;

	store_blob_init(&blob);
	assert_refused(store_blob_get(reader, REPOSITORY, digest, &blob, &err), ERROR_INTERNAL);
	store_blob_done(&blob);
}

static void everything_but_damaged_blobs_is_backed_up(void **state)
{
	static const struct {
		const char *command, *says;
	} cases[] = {
		{"printf x | dd of=%s bs=1 seek=2000000 conv=notrunc status=none", "damaged"},
		{"truncate -s 5 %s", "has 5 bytes in place of 3145728"},
		{"rm %s", "is missing"},
	};
	struct fixture *f = *state;
	struct slice big = {f->big, BIG_SIZE}, most = {f->big, BIG_SIZE - 1};
	struct digest digest = digest_of(big), other = digest_of(most), last;
	char path[256], below[STORE_BLOB_PATH_SIZE], text[DIGEST_TEXT_SIZE];

	put_artifact(f, SLICE("v1"), true, big);
	put_blob_as(f->store, REPOSITORY, &other, most);
	last = digest_of_as(DIGEST_SHA512, big);
	put_blob_as(f->store, REPOSITORY, &last, big);
	snprintf(path, sizeof(path), "%s/%s", f->data, store_blob_path(&digest, below));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(backup_report_done) struct backup_report report;
		struct error err = ERROR_INIT;
		struct store *restored;
		struct stat st;

		run(cases[i].command, path, "");
		backup_report_init(&report);
		assert_ok(store_backup(f->store, f->file, &report, &err));
		assert_int_equal(report.damaged, 1);
		assert_non_null(strstr(report.text.data, digest_format(&digest, text)));
		assert_non_null(strstr(report.text.data, cases[i].says));
		assert_int_equal(stat(f->file, &st), 0);
		assert_int_equal(st.st_size, report.bytes);
		assert_only_b_tar(f);

		restored = restore(f);
		assert_blob_is_missing(restored, &digest);
		assert_blob(restored, &other, most);
		assert_blob(restored, &last, big);
		store_close(restored);
		remove_folder(f->restored);
	}
}

static void a_place_in_the_data_folder_is_refused(void **state)
{
	static const char *const names[] = {"registry.db", "b.tar", "uploads/b.tar",
		"blobs/sha256/../../registry.db", "../data/lock", "../link/registry.db",
		"blobs/sha256/ab/b.tar"};
	struct fixture *f = *state;
	struct store *restored;
	char path[256];

	put_artifact(f, SLICE("v1"), true, SLICE("layer"));
	snprintf(path, sizeof(path), "%s/link", f->dir);
	assert_int_equal(symlink(f->data, path), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->data, names[i]);
		assert_not_backed_up(f, path, ERROR_INVALID, "in the registry's data folder");
	}
	assert_clean(f->store);
	backup(f); /* next to it */
	restored = restore(f);
	assert_clean(restored);
	store_close(restored);
}

/* With a limit on the size of files, in a process of its own, on a store that is copied whole. */
static int limited(struct fixture *f, rlim_t size)
{
	struct rlimit limit = {size, size};
	CLEANUP(backup_report_done) struct backup_report report;
	struct error err = ERROR_INIT;

	backup_report_init(&report);
	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
		return 1;
	if (store_backup(f->store, f->file, &report, &err) == 0)
		return 2;
	return strstr(err.text, "cannot write: File too large") != NULL ? 0 : 3;
}

static void a_file_that_cannot_grow_fails_it_and_the_older_one_stays(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t child;

	put_artifact(f, SLICE("v1"), true, (struct slice){f->big, BIG_SIZE});
	write_file(f->file, "older");
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(limited(f, 2 * MIB));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_file(f->file, "older");
	assert_only_b_tar(f);
	assert_no_uploads(f);
}

static void a_place_that_is_no_file_is_refused(void **state)
{
	static const struct {
		const char *path;
		enum error_code code;
	} cases[] = {
		{"/dev/null", ERROR_INVALID},
		{"/dev/stdout", ERROR_INVALID},
		{"/", ERROR_INVALID},
		{"/nowhere/at/all.tar", ERROR_INTERNAL},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_not_backed_up(f, cases[i].path, cases[i].code, "");
	assert_no_uploads(f);
}

static void it_ends_when_the_server_does(void **state)
{
	struct fixture *f = *state;

	put_artifact(f, SLICE("v1"), true, (struct slice){f->big, BIG_SIZE});
	write_file(f->file, "older");
	store_interrupt(f->store);
	assert_not_backed_up(f, f->file, ERROR_UNAVAILABLE, "the server is stopping");
	assert_file(f->file, "older");
	assert_only_b_tar(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(everything_is_there_again),
		TEST(an_empty_store_is_restored_too),
		TEST(only_their_owner_can_read_what_is_unpacked),
		TEST(other_programs_read_it),
		TEST(a_backup_amid_pushes_has_all_that_was_acknowledged_before),
		TEST(an_older_file_is_replaced),
		TEST(everything_but_damaged_blobs_is_backed_up),
		TEST(a_place_in_the_data_folder_is_refused),
		TEST(a_file_that_cannot_grow_fails_it_and_the_older_one_stays),
		TEST(a_place_that_is_no_file_is_refused),
		TEST(it_ends_when_the_server_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
