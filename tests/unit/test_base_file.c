/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

/* Each test runs in a folder of its own, which is gone in the end. */
static int enter_folder(void **state)
{
	char *path = strdup("/tmp/gsq-file-XXXXXX");

	assert_non_null(path);
	assert_non_null(mkdtemp(path));
	assert_int_equal(chdir(path), 0);
	*state = path;
	return 0;
}

static int remove_one(
	const char *path, const struct stat *st UNUSED, int type UNUSED, struct FTW *ftw UNUSED)
{
	return remove(path);
}

static int leave_folder(void **state)
{
	AUTO_FREE char *path = *state;

	assert_int_equal(chdir("/"), 0);
	return nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const char *path, const void *p, size_t n)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct error err = ERROR_INIT;

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, p, n, &err), 0);
	assert_int_equal(file_sync(fd, &err), 0);
}

static void what_was_written_is_read(void **state UNUSED)
{
	static char bytes[100000]; /* more than one read's worth */
	CLEANUP(buf_done) struct buf got = BUF_INIT(sizeof(bytes) + 1);
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i % 251);
	write_file("file", bytes, sizeof(bytes));
	buf_putc(&got, '>');
	assert_int_equal(file_read("file", &got, &err), 0);
	assert_int_equal(got.len, sizeof(bytes) + 1);
	assert_memory_equal(got.data + 1, bytes, sizeof(bytes));
}

static void an_empty_file_is_read(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf got = BUF_INIT(10);
	struct error err = ERROR_INIT;

	write_file("file", "", 0);
	assert_int_equal(file_read("file", &got, &err), 0);
	assert_int_equal(got.len, 0);
}

static void a_file_without_end_is_read_up_to_the_maximum(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf got = BUF_INIT(100000);
	struct error err = ERROR_INIT;

	assert_int_equal(file_read("/dev/zero", &got, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_non_null(strstr(err.text, "/dev/zero"));
}

static void a_file_that_cannot_be_read_is_named(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf got = BUF_INIT(4);
	struct error err = ERROR_INIT;

	assert_int_equal(file_read("missing", &got, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_non_null(strstr(err.text, "missing"));
	assert_int_equal(file_read(".", &got, &err), -1);
	assert_int_equal(err.code, ERROR_INTERNAL);
	write_file("large", "12345", 5);
	assert_int_equal(file_read("large", &got, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_string_equal(err.text, "large: larger than the 4 bytes allowed");
}

static void bytes_are_written_where_they_belong(void **state UNUSED)
{
	char back[5];
	CLEANUP(buf_done) struct buf got = BUF_INIT(64);
	AUTO_CLOSE int fd = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct error err = ERROR_INIT;

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, "0123456789", 10, &err), 0);
	assert_int_equal(file_write_all_at(fd, "abc", 3, 2, &err), 0);
	assert_int_equal(file_write_all_at(fd, "xyz", 3, 12, &err), 0);
	assert_int_equal(file_write_all_at(fd, NULL, 0, 40, &err), 0);
	file_start_writeback(fd, 0, 15);
	assert_int_equal(file_write_all(fd, "!", 1, &err), 0);
	assert_int_equal(file_read("file", &got, &err), 0);
	assert_int_equal(got.len, 15);
	assert_memory_equal(got.data, "01abc56789!\0xyz", 15);
	assert_int_equal(file_read_all_at(fd, back, 5, 2, "it", &err), 0);
	assert_memory_equal(back, "abc56", 5);
	assert_int_equal(file_read_all_at(fd, back, 5, 12, "it", &err), -1);
	assert_non_null(strstr(err.text, "cannot read it"));
	assert_int_equal(file_write_all_at(-1, "x", 1, 0, &err), -1);
	assert_int_equal(err.code, ERROR_INTERNAL);
}

static void a_full_disk_has_its_own_code(void **state UNUSED)
{
	AUTO_CLOSE int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct error err = ERROR_INIT;

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, "x", 1, &err), -1);
	assert_int_equal(err.code, ERROR_NO_SPACE);
}

static void folders_are_made_with_their_parents(void **state)
{
	static const char *const paths[] = {"a", "a/b/c", "a/b/c", "./d/e/", "f//g", "/", "."};
	struct error err = ERROR_INIT;
	char absolute[100];
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		assert_int_equal(file_make_dirs(paths[i], &err), 0);
		assert_int_equal(stat(paths[i], &st), 0);
		assert_true(S_ISDIR(st.st_mode));
	}
	snprintf(absolute, sizeof(absolute), "%s/x/y", (const char *)*state);
	assert_int_equal(file_make_dirs(absolute, &err), 0);
	assert_int_equal(stat("x/y", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	file_sync_dir("x");
}

static void a_folder_needs_a_name(void **state UNUSED)
{
	struct error err = ERROR_INIT;

	assert_int_equal(file_make_dirs("", &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_non_null(strstr(err.text, "empty"));
}

static void a_file_in_the_way_of_a_folder_is_named(void **state UNUSED)
{
	struct error err = ERROR_INIT;

	write_file("file", "", 0);
	assert_int_equal(file_make_dirs("file/below", &err), -1);
	assert_non_null(strstr(err.text, "file/below"));
}

static void a_lock_is_held_until_it_is_closed(void **state UNUSED)
{
	struct error err = ERROR_INIT;
	int first = -1, second = -1;

	assert_int_equal(file_lock("lock", &first, &err), 0);
	assert_int_equal(file_lock("lock", &second, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_int_equal(second, -1);
	close(first);
	assert_int_equal(file_lock("lock", &second, &err), 0);
	close(second);
	assert_int_equal(file_lock("missing/lock", &second, &err), -1);
	assert_int_equal(err.code, ERROR_INTERNAL);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(what_was_written_is_read),
		IN_FOLDER(an_empty_file_is_read),
		IN_FOLDER(a_file_without_end_is_read_up_to_the_maximum),
		IN_FOLDER(a_file_that_cannot_be_read_is_named),
		IN_FOLDER(bytes_are_written_where_they_belong),
		IN_FOLDER(a_full_disk_has_its_own_code),
		IN_FOLDER(folders_are_made_with_their_parents),
		IN_FOLDER(a_folder_needs_a_name),
		IN_FOLDER(a_file_in_the_way_of_a_folder_is_named),
		IN_FOLDER(a_lock_is_held_until_it_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
