/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/limits.h"
#include "catalog/tar.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void add_file(struct buf *tar, const char *path, const char *content)
{
	tar_add_header(tar, slice_of(path), strlen(content));
	buf_puts(tar, content);
	tar_add_padding(tar, strlen(content));
}

static void files_come_back_in_order(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf tar = BUF_INIT(1 * MIB);
	char name[64], longest[200];
	struct error err = ERROR_INIT;
	struct tar_file file;
	size_t at = 0;

	memset(name, 'n', 63);
	name[63] = '\0';
	snprintf(longest, sizeof(longest), "manifests/%s/%s.yaml", name, name);
	add_file(&tar, "manifests/a.yaml", "one");
	add_file(&tar, longest, "");
	tar_add_end(&tar);
	assert_int_equal(tar.len % TAR_BLOCK, 0);

	assert_int_equal(tar_next(buf_slice(&tar), &at, &file, &err), 1);
	assert_string_equal(file.path, "manifests/a.yaml");
	assert_slice(file.content, "one");
	assert_int_equal(tar_next(buf_slice(&tar), &at, &file, &err), 1);
	assert_string_equal(file.path, longest);
	assert_int_equal(file.content.n, 0);
	assert_int_equal(tar_next(buf_slice(&tar), &at, &file, &err), 0);
}

static int read_all(struct slice tar)
{
	struct error err = ERROR_INIT;
	struct tar_file file;
	size_t at = 0;
	int rc;

	while ((rc = tar_next(tar, &at, &file, &err)) == 1)
		;
	return rc;
}

static void any_altered_byte_outside_the_content_is_found(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf tar = BUF_INIT(1 * MIB);

	add_file(&tar, "manifests/a.yaml", "one");
	tar_add_end(&tar);
	assert_int_equal(read_all(buf_slice(&tar)), 0);
	for (size_t i = 0; i < tar.len; i++) {
		bool in_content = i >= TAR_BLOCK && i < TAR_BLOCK + 3;
		char was = tar.data[i];

		tar.data[i] = (char)(was ^ 1);
		if (!in_content)
			assert_int_equal(read_all(buf_slice(&tar)), -1);
		tar.data[i] = was;
	}
}

static void a_cut_anywhere_is_found(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf tar = BUF_INIT(1 * MIB);

	add_file(&tar, "manifests/a.yaml", "one");
	tar_add_end(&tar);
	for (size_t n = 0; n < tar.len; n++)
		assert_int_equal(read_all((struct slice){tar.data, n}), -1);
}

/* ---- entries of any kind ---- */

#define LONGEST "blobs/sha512/ab/"

static void an_entry_like_a_catalogs_is_the_same(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf a = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 * MIB);

	tar_add_header(&a, SLICE("manifests/a.yaml"), 12345);
	tar_add_entry(&b, &(struct tar_entry){SLICE("manifests/a.yaml"), 12345, 0644, 0});
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
}

/* A sparse file with one entry of each kind, the last of 9 GiB; tar(1) skips the contents. */
static void write_archive(const char *path, const char *longest)
{
	const struct tar_entry entries[] = {
		{SLICE("blobs/"), 0, 0700, 1700000000},
		{SLICE("registry.db"), 512, 0600, 1700000000},
		{slice_of(longest), UINT64_C(8589934591), 0640, 0},
		{SLICE("big"), UINT64_C(9) << 30, 0600, UINT64_C(1) << 32},
	};
	CLEANUP(buf_done) struct buf bytes = BUF_INIT(1 * MIB);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	off_t at = 0;

	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		buf_reset(&bytes);
		tar_add_entry(&bytes, &entries[i]);
		assert_int_equal(pwrite(fd, bytes.data, bytes.len, at), bytes.len);
		at += (off_t)(bytes.len +
			      (entries[i].size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK);
	}
	assert_int_equal(ftruncate(fd, at + 2 * TAR_BLOCK), 0);
	close(fd);
}

static void long_paths_big_files_and_folders_are_as_tar_reads_them(void **state UNUSED)
{
	char path[] = "/tmp/gsq-test-XXXXXX", longest[160] = LONGEST, command[256], got[1024];
	char expected[1024];
	FILE *out;
	size_t n;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	memset(longest + strlen(LONGEST), 'a', 128);
	write_archive(path, longest);
	snprintf(command, sizeof(command),
		"TZ=UTC tar --numeric-owner --full-time -tvf %s 2>&1 | tr -s ' '", path);
	out = popen(command, "r");
	assert_non_null(out);
	n = fread(got, 1, sizeof(got) - 1, out);
	got[n] = '\0';
	assert_int_equal(pclose(out), 0);
	unlink(path);
	snprintf(expected, sizeof(expected),
		"drwx------ 0/0 0 2023-11-14 22:13:20 blobs/\n"
		"-rw------- 0/0 512 2023-11-14 22:13:20 registry.db\n"
		"-rw-r----- 0/0 8589934591 1970-01-01 00:00:00 %s\n"
		"-rw------- 0/0 9663676416 2106-02-07 06:28:16 big\n",
		longest);
	assert_string_equal(got, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_come_back_in_order),
		cmocka_unit_test(any_altered_byte_outside_the_content_is_found),
		cmocka_unit_test(a_cut_anywhere_is_found),
		cmocka_unit_test(an_entry_like_a_catalogs_is_the_same),
		cmocka_unit_test(long_paths_big_files_and_folders_are_as_tar_reads_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
