/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include "store/uploads.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#define REPOSITORY SLICE("team/app")

struct fixture {
	char dir[64];
	struct store *store;
	struct uploads *uploads;
};

static int setup(void **state)
{
	struct fixture *f = test_malloc(sizeof(*f));
	struct error err = ERROR_INIT;

	digest_setup();
	make_folder(f->dir);
	assert_ok(store_open(&f->store, f->dir, 1, &err));
	assert_ok(uploads_new(&f->uploads, f->store, &err));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	uploads_free(f->uploads);
	store_close(f->store);
	remove_folder(f->dir);
	test_free(f);
	return 0;
}

static int try_start(struct fixture *f, struct slice owner, struct upload **ret, struct error *err)
{
	return uploads_start(f->uploads, REPOSITORY, owner, DIGEST_SHA256, ret, err);
}

/* Each is another's. */
static struct upload *start(struct fixture *f)
{
	static uint64_t n;
	char owner[U64_DIGITS];
	struct error err = ERROR_INIT;
	struct upload *up = NULL;

	assert_ok(try_start(f, u64_digits(n++, owner), &up, &err));
	return up;
}

static void release(struct upload *up)
{
	struct error err = ERROR_INIT;

	assert_ok(upload_release(up, &err));
}

static size_t n_entries(const char *path)
{
	DIR *d = opendir(path);
	size_t n = 0;

	assert_non_null(d);
	for (struct dirent *entry; (entry = readdir(d)) != NULL;)
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

static size_t n_files(const struct fixture *f)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/uploads", f->dir);
	return n_entries(path);
}

static size_t n_open(void)
{
	return n_entries("/proc/self/fd");
}

/* Idle uploads of that size each. */
static void leave_open(struct fixture *f, size_t n, size_t size)
{
	struct error err = ERROR_INIT;
	char *bytes = test_calloc(1, size);

	for (size_t i = 0; i < n; i++) {
		struct upload *up = start(f);

		assert_ok(upload_write(up, (struct slice){bytes, size}, &err));
		release(up);
	}
	test_free(bytes);
}

/* As many as may hold memory, and as many as may keep a file open. */
static void leave_no_room(struct fixture *f)
{
	leave_open(f, LIMIT_UPLOADS_HEADS / LIMIT_BLOB_IN_ROW, LIMIT_BLOB_IN_ROW);
	leave_open(f, LIMIT_BLOB_IN_ROW / LIMIT_UPLOAD_HEAD, LIMIT_UPLOAD_HEAD + 1);
	leave_open(f, LIMIT_UPLOADS_FILES, LIMIT_BLOB_IN_ROW + 1);
}

static void a_small_upload_never_touches_the_disk(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct upload *up = start(f);
	struct digest digest = digest_of(SLICE("two parts"));
	struct slice content;

	assert_ok(upload_write(up, SLICE("two "), &err));
	assert_ok(upload_write(up, SLICE("parts"), &err));
	assert_int_equal(n_files(f), 0);
	assert_ok(upload_finish(up, &digest, &content, &err));
	assert_slice(content, "two parts");
	upload_drop(up);
}

static void a_large_upload_becomes_a_blob_file(void **state)
{
	static const enum digest_algorithm algorithms[] = {DIGEST_SHA256, DIGEST_SHA512};
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	char *bytes = test_calloc(3, LIMIT_BLOB_IN_ROW);
	struct slice all = {bytes, 3 * LIMIT_BLOB_IN_ROW};

	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		struct upload *up = start(f);
		struct digest digest = digest_of_as(algorithms[i], all);
		CLEANUP(store_blob_done) struct store_blob b;
		struct slice content;
		struct store_conn *c;

		store_blob_init(&b);
		for (size_t at = 0; at < all.n; at += all.n / 6)
			assert_ok(upload_write(up, (struct slice){bytes + at, all.n / 6}, &err));
		assert_int_equal(n_files(f), 1);
		assert_ok(upload_finish(up, &digest, &content, &err));
		assert_int_equal(n_files(f), 0);
		assert_ok(store_begin(f->store, &c, &err));
		assert_ok(store_blob_put(c, REPOSITORY, &digest, upload_offset(up), content, &err));
		assert_ok(store_commit(f->store, &err));
		upload_drop(up);
		c = store_reader(f->store);
		assert_ok(store_blob_get(c, REPOSITORY, &digest, &b, &err));
		assert_true(b.fd >= 0);
		assert_int_equal(b.size, all.n);
		store_reader_done(c);
	}
	test_free(bytes);
}

static void another_digest_is_refused_and_the_file_goes(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	char *bytes = test_calloc(2, LIMIT_BLOB_IN_ROW);
	struct upload *up = start(f);
	struct digest digest = digest_of(SLICE("something else"));
	struct slice content;

	assert_ok(upload_write(up, (struct slice){bytes, 2 * LIMIT_BLOB_IN_ROW}, &err));
	assert_refused(upload_finish(up, &digest, &content, &err), ERROR_INVALID);
	upload_drop(up);
	assert_int_equal(n_files(f), 0);
	test_free(bytes);
}

static void a_session_belongs_to_one_repository_and_one_request(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct upload *up = start(f), *again;
	char id[UPLOAD_ID_SIZE];
	uint64_t offset;

	memcpy(id, upload_id(up), sizeof(id));
	assert_ok(upload_write(up, SLICE("12345"), &err));
	assert_refused(
		uploads_claim(f->uploads, REPOSITORY, slice_of(id), &again, &err), ERROR_CONFLICT);
	assert_ok(uploads_offset(f->uploads, REPOSITORY, slice_of(id), &offset, &err));
	assert_int_equal(offset, 5);
	release(up);
	assert_refused(uploads_claim(f->uploads, SLICE("other"), slice_of(id), &again, &err),
		ERROR_NOT_FOUND);
	assert_ok(uploads_claim(f->uploads, REPOSITORY, slice_of(id), &again, &err));
	upload_drop(again);
	assert_refused(
		uploads_claim(f->uploads, REPOSITORY, slice_of(id), &again, &err), ERROR_NOT_FOUND);
}

static void what_is_no_id_is_unknown(void **state)
{
	static const char *const ids[] = {"", "x", "../../etc/passwd",
		"0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcdef0"};
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct upload *up;

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		assert_refused(uploads_claim(f->uploads, REPOSITORY, slice_of(ids[i]), &up, &err),
			ERROR_NOT_FOUND);
}

static void the_number_of_open_uploads_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct upload *up;

	for (int i = 0; i < LIMIT_UPLOADS; i++)
		release(start(f));
	assert_refused(try_start(f, SLICE("another"), &up, &err), ERROR_TOO_MANY);
}

static void nobody_has_more_than_a_share_of_the_open_uploads(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct upload *up = NULL, *other = NULL;

	for (int i = 0; i < LIMIT_UPLOADS_OF_ONE; i++) {
		assert_ok(try_start(f, SLICE("greedy"), &up, &err));
		release(up);
	}
	assert_refused(try_start(f, SLICE("greedy"), &other, &err), ERROR_TOO_MANY);
	err.code = ERROR_NONE;
	assert_ok(try_start(f, SLICE("modest"), &other, &err));
	upload_drop(other);
	assert_ok(uploads_claim(f->uploads, REPOSITORY, slice_of(upload_id(up)), &other, &err));
	upload_drop(other);
	assert_ok(try_start(f, SLICE("greedy"), &up, &err));
	upload_drop(up);
}

static void a_sweep_drops_what_is_idle_with_its_file_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	char *bytes = test_calloc(2, LIMIT_BLOB_IN_ROW);
	struct upload *idle = start(f), *small = start(f), *busy = start(f);
	char id[UPLOAD_ID_SIZE];
	uint64_t swept;

	memcpy(id, upload_id(idle), sizeof(id));
	assert_ok(upload_write(idle, (struct slice){bytes, 2 * LIMIT_BLOB_IN_ROW}, &err));
	assert_ok(upload_write(small, SLICE("12345"), &err));
	assert_ok(upload_write(busy, (struct slice){bytes, 2 * LIMIT_BLOB_IN_ROW}, &err));
	release(idle);
	release(small);

	assert_int_equal(uploads_sweep(f->uploads, 3600 * 1000, false, &swept), 0);
	assert_int_equal(swept, 0);
	assert_int_equal(uploads_sweep(f->uploads, 0, true, &swept), 2);
	assert_int_equal(swept, 2 * LIMIT_BLOB_IN_ROW + 5);
	assert_int_equal(n_files(f), 2);
	assert_int_equal(uploads_sweep(f->uploads, 0, false, &swept), 2);
	assert_int_equal(swept, 2 * LIMIT_BLOB_IN_ROW + 5);
	assert_int_equal(n_files(f), 1);
	assert_refused(
		uploads_claim(f->uploads, REPOSITORY, slice_of(id), &idle, &err), ERROR_NOT_FOUND);
	assert_int_equal(uploads_sweep(f->uploads, 0, false, &swept), 0);
	upload_drop(busy);
	test_free(bytes);
}

static void a_sweep_makes_room_for_new_uploads(void **state)
{
	struct fixture *f = *state;
	uint64_t swept;

	for (int i = 0; i < LIMIT_UPLOADS; i++)
		release(start(f));
	assert_int_equal(uploads_sweep(f->uploads, 0, false, &swept), LIMIT_UPLOADS);
	for (int i = 0; i < LIMIT_UPLOADS; i++)
		release(start(f));
}

static void idle_uploads_leave_memory_and_close_their_files(void **state)
{
	enum { MORE = 50 };
	struct fixture *f = *state;
	size_t open_before, files_before;
	uint64_t swept;

	leave_no_room(f);
	open_before = n_open();
	files_before = n_files(f);
	leave_open(f, MORE, LIMIT_UPLOAD_HEAD);
	assert_int_equal(n_files(f), files_before);
	leave_open(f, MORE, LIMIT_UPLOAD_HEAD + 1);
	leave_open(f, MORE, LIMIT_BLOB_IN_ROW);
	leave_open(f, MORE, 2 * LIMIT_BLOB_IN_ROW);
	assert_int_equal(n_files(f), files_before + 3 * MORE);
	assert_int_equal(n_open(), open_before);

	/* What is gone makes room. */
	uploads_sweep(f->uploads, 0, false, &swept);
	assert_int_equal(n_files(f), 0);
	leave_open(f, 1, LIMIT_BLOB_IN_ROW);
	assert_int_equal(n_files(f), 0);
	open_before = n_open();
	leave_open(f, 1, LIMIT_BLOB_IN_ROW + 1);
	assert_int_equal(n_open(), open_before + 1);
}

static struct upload *claim(struct fixture *f, const char *id)
{
	struct error err = ERROR_INIT;
	struct upload *up = NULL;

	assert_ok(uploads_claim(f->uploads, REPOSITORY, slice_of(id), &up, &err));
	return up;
}

static void an_upload_that_left_memory_can_be_finished(void **state)
{
	static const struct {
		enum digest_algorithm algorithm;
		size_t parts[3]; /* with a release after each */
	} cases[] = {
		{DIGEST_SHA256, {5000}},
		{DIGEST_SHA512, {5000}},
		{DIGEST_SHA256, {5000, 1}},
		{DIGEST_SHA256, {5000, 1000, LIMIT_BLOB_IN_ROW - 6000}},
		{DIGEST_SHA256, {5000, 1000, LIMIT_BLOB_IN_ROW - 5999}},
		{DIGEST_SHA256, {LIMIT_BLOB_IN_ROW + 1}},
		{DIGEST_SHA512, {LIMIT_BLOB_IN_ROW + 1, 1, 1}},
		{DIGEST_SHA256, {2 * MIB - 1, 2, MIB}},
	};
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	char *bytes = test_malloc(4 * MIB);
	size_t files_before;

	for (size_t i = 0; i < 4 * MIB; i++)
		bytes[i] = (char)(i % 251);
	leave_no_room(f);
	files_before = n_files(f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct upload *up = start(f);
		struct digest digest;
		struct slice content;
		char id[UPLOAD_ID_SIZE];
		size_t n = 0;

		memcpy(id, upload_id(up), sizeof(id));
		for (size_t j = 0; j < 3 && cases[i].parts[j] > 0; j++) {
			assert_ok(upload_write(
				up, (struct slice){bytes + n, cases[i].parts[j]}, &err));
			n += cases[i].parts[j];
			release(up);
			assert_int_equal(n_files(f), files_before + 1);
			up = claim(f, id);
			assert_int_equal(upload_offset(up), n);
		}
		digest = digest_of_as(cases[i].algorithm, (struct slice){bytes, n});
		assert_ok(upload_finish(up, &digest, &content, &err));
		assert_int_equal(n_files(f), files_before);
		if (n <= LIMIT_BLOB_IN_ROW) {
			assert_int_equal(content.n, n);
			assert_memory_equal(content.p, bytes, n);
		} else {
			assert_int_equal(content.n, 0);
		}
		upload_drop(up);
	}
	test_free(bytes);
}

static void a_file_that_changed_while_it_was_closed_is_refused(void **state)
{
	static const size_t sizes[] = {5000, 2 * LIMIT_BLOB_IN_ROW};
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	char *bytes = test_calloc(2, LIMIT_BLOB_IN_ROW);

	leave_no_room(f);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct upload *up = start(f);
		struct digest digest = digest_of((struct slice){bytes, sizes[i]});
		struct slice content;
		char path[160];
		int fd;

		assert_ok(upload_write(up, (struct slice){bytes, sizes[i]}, &err));
		snprintf(path, sizeof(path), "%s/uploads/%s", f->dir, upload_id(up));
		release(up);
		up = claim(f, strrchr(path, '/') + 1);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		assert_int_equal(pwrite(fd, "x", 1, 4000), 1);
		close(fd);
		assert_refused(upload_finish(up, &digest, &content, &err), ERROR_INVALID);
		upload_drop(up);
	}
	test_free(bytes);
}

static void without_descriptors_an_upload_is_unavailable(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	char *bytes = test_calloc(2, LIMIT_BLOB_IN_ROW);
	struct upload *large, *short_one;
	struct rlimit limit, none;

	leave_no_room(f);
	large = start(f);
	short_one = start(f);
	assert_ok(upload_write(short_one, (struct slice){bytes, 5000}, &err));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_refused(upload_write(large, (struct slice){bytes, 2 * LIMIT_BLOB_IN_ROW}, &err),
		ERROR_UNAVAILABLE);
	assert_int_equal(upload_offset(large), 0);
	assert_refused(upload_release(short_one, &err), ERROR_UNAVAILABLE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

	assert_ok(upload_write(large, (struct slice){bytes, 2 * LIMIT_BLOB_IN_ROW}, &err));
	upload_drop(large);
	test_free(bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_small_upload_never_touches_the_disk),
		TEST(a_large_upload_becomes_a_blob_file),
		TEST(another_digest_is_refused_and_the_file_goes),
		TEST(a_session_belongs_to_one_repository_and_one_request),
		TEST(what_is_no_id_is_unknown),
		TEST(the_number_of_open_uploads_is_bounded),
		TEST(nobody_has_more_than_a_share_of_the_open_uploads),
		TEST(a_sweep_drops_what_is_idle_with_its_file_and_nothing_else),
		TEST(a_sweep_makes_room_for_new_uploads),
		TEST(idle_uploads_leave_memory_and_close_their_files),
		TEST(an_upload_that_left_memory_can_be_finished),
		TEST(a_file_that_changed_while_it_was_closed_is_refused),
		TEST(without_descriptors_an_upload_is_unavailable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
