/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/limits.h"
#include "catalog/tar.h"

#include <stdio.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_come_back_in_order),
		cmocka_unit_test(any_altered_byte_outside_the_content_is_found),
		cmocka_unit_test(a_cut_anywhere_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
