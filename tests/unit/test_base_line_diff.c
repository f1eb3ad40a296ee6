/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/line_diff.h"

#include <stdio.h>
#include <unistd.h>

static void assert_diff(const char *old, const char *new, const char *expected)
{
	CLEANUP(buf_done) struct buf got = BUF_INIT(MIB);

	line_diff(slice_of(old), slice_of(new), "a", "b", &got);
	assert_int_equal(got.failed, ERROR_NONE);
	assert_string_equal(got.len == 0 ? "" : got.data, expected);
}

static void equal_texts_have_no_difference(void **state UNUSED)
{
	assert_diff("", "", "");
	assert_diff("x\ny\n", "x\ny\n", "");
	assert_diff("x", "x", "");
}

static void a_change_has_three_lines_of_context(void **state UNUSED)
{
	assert_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n",
		"--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n");
}

static void near_changes_are_one_hunk_and_far_ones_two(void **state UNUSED)
{
	assert_diff("x\n1\n2\n3\n4\n5\n6\nx\n", "y\n1\n2\n3\n4\n5\n6\ny\n",
		"--- a\n+++ b\n@@ -1,8 +1,8 @@\n-x\n+y\n 1\n 2\n 3\n 4\n 5\n 6\n-x\n+y\n");
	assert_diff("x\n1\n2\n3\n4\n5\n6\n7\nx\n", "y\n1\n2\n3\n4\n5\n6\n7\ny\n",
		"--- a\n+++ b\n@@ -1,4 +1,4 @@\n-x\n+y\n 1\n 2\n 3\n"
		"@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-x\n+y\n");
}

static void of_nothing_and_to_nothing_the_range_is_zero(void **state UNUSED)
{
	assert_diff("", "x\n", "--- a\n+++ b\n@@ -0,0 +1 @@\n+x\n");
	assert_diff("x\ny\n", "", "--- a\n+++ b\n@@ -1,2 +0,0 @@\n-x\n-y\n");
}

static void a_last_line_without_its_end_is_marked(void **state UNUSED)
{
	assert_diff(
		"x", "x\n", "--- a\n+++ b\n@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+x\n");
	assert_diff("x\ny", "z\ny",
		"--- a\n+++ b\n@@ -1,2 +1,2 @@\n-x\n+z\n y\n\\ No newline at end of file\n");
}

static void what_is_added_to_repeated_lines_is_the_last_of_them(void **state UNUSED)
{
	assert_diff("a\nb\n", "a\na\nb\n", "--- a\n+++ b\n@@ -1,2 +1,3 @@\n a\n+a\n b\n");
}

static void add_numbers(struct buf *b, const char *before, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(b, "%s%zu\n", before, i);
}

static void a_long_text_is_one_hunk_that_takes_all_away(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(MIB), expected = BUF_INIT(MIB);

	add_numbers(&text, "", LIMIT_DIFF_LINES + 1);
	buf_printf(&expected, "--- a\n+++ b\n@@ -1,%d +1 @@\n", LIMIT_DIFF_LINES + 1);
	add_numbers(&expected, "-", LIMIT_DIFF_LINES + 1);
	buf_puts(&expected, "+0\n");
	assert_diff(text.data, "0\n", expected.data);
}

static void the_longest_text_that_is_compared_has_a_small_difference(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(MIB), more = BUF_INIT(MIB);

	add_numbers(&text, "", LIMIT_DIFF_LINES - 1);
	buf_add(&more, buf_slice(&text));
	buf_puts(&more, "x\n");
	assert_diff(
		text.data, more.data, "--- a\n+++ b\n@@ -997,3 +997,4 @@\n 996\n 997\n 998\n+x\n");
}

static void a_full_buffer_fails(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf small = BUF_INIT(10);

	line_diff(SLICE("a\n"), SLICE("b\n"), "a", "b", &small);
	assert_int_equal(small.failed, ERROR_TOO_LARGE);
}

/* ---- against diff and patch ---- */

/* Lines of few letters, so that many are the same; sometimes the last has no end. */
static void add_random(struct buf *b, unsigned *seed)
{
	size_t n = (size_t)rand_r(seed) % 30;

	for (size_t i = 0; i < n; i++)
		buf_printf(b, "%c\n", 'a' + rand_r(seed) % 5);
	if (n > 0 && rand_r(seed) % 4 == 0)
		b->data[--b->len] = '\0';
}

static void write_file(const char *folder, const char *name, struct slice text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
	assert_int_equal(fclose(f), 0);
}

static size_t count_changes(struct slice diff)
{
	size_t n = 0;

	while (diff.p != NULL) {
		struct slice line = slice_cut(&diff, '\n');

		n += line.n > 0 && (line.p[0] == '-' || line.p[0] == '+');
	}
	return n;
}

static void run(struct buf *ret, const char *folder, const char *command)
{
	char text[256];
	size_t n;
	FILE *f;

	snprintf(text, sizeof(text), "cd %s && %s", folder, command);
	f = popen(text, "r");
	assert_non_null(f);
	do {
		char *room = buf_room(ret, 4096);

		assert_non_null(room);
		n = fread(room, 1, 4096, f);
		buf_claim(ret, n);
	} while (n > 0);
	pclose(f);
}

static void random_differences_are_as_small_as_those_of_diff_and_patch_takes_them(
	void **state UNUSED)
{
	char folder[] = "/tmp/line-diff-XXXXXX";
	CLEANUP(buf_done) struct buf ignored = BUF_INIT(MIB);
	unsigned seed = 1;

	assert_non_null(mkdtemp(folder));
	for (int round = 0; round < 300; round++) {
		CLEANUP(buf_done) struct buf old = BUF_INIT(MIB), new = BUF_INIT(MIB);
		CLEANUP(buf_done) struct buf ours = BUF_INIT(MIB), theirs = BUF_INIT(MIB);

		add_random(&old, &seed);
		add_random(&new, &seed);
		line_diff(buf_slice(&old), buf_slice(&new), "old", "old", &ours);
		write_file(folder, "old", buf_slice(&old));
		write_file(folder, "new", buf_slice(&new));
		write_file(folder, "ours", buf_slice(&ours));
		run(&theirs, folder, "diff -d -u old new");
		assert_int_equal(
			count_changes(buf_slice(&ours)), count_changes(buf_slice(&theirs)));
		buf_reset(&theirs);
		/* patch removes what becomes empty. */
		run(&theirs, folder,
			"if test -s ours; then patch -s -F 0 old ours; fi 2>&1; cat old 2>&1");
		if (new.len > 0)
			assert_string_equal(theirs.data, new.data);
	}
	run(&ignored, folder, "rm -f old new ours old.orig old.rej; cd / && rmdir \"$OLDPWD\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_texts_have_no_difference),
		cmocka_unit_test(a_change_has_three_lines_of_context),
		cmocka_unit_test(near_changes_are_one_hunk_and_far_ones_two),
		cmocka_unit_test(of_nothing_and_to_nothing_the_range_is_zero),
		cmocka_unit_test(a_last_line_without_its_end_is_marked),
		cmocka_unit_test(what_is_added_to_repeated_lines_is_the_last_of_them),
		cmocka_unit_test(a_long_text_is_one_hunk_that_takes_all_away),
		cmocka_unit_test(the_longest_text_that_is_compared_has_a_small_difference),
		cmocka_unit_test(a_full_buffer_fails),
		cmocka_unit_test(
			random_differences_are_as_small_as_those_of_diff_and_patch_takes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
