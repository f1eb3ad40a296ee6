/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/reload.h"

#define PATIENCE_MS 20000

struct fixture {
	char folder[40], a[60], b[60], link[60];
	struct reloader *reloader;
	atomic_uint changes, others, turns;
};

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void count(void *arg)
{
	atomic_uint *n = arg;

	(*n)++;
}

static void open_fixture(struct fixture *f)
{
	const char *const files[] = {f->a, f->link, NULL}, *const others[] = {f->b, NULL};
	struct error err;

	memset(f, 0, sizeof(*f));
	strcpy(f->folder, "/tmp/gsq-reload-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->a, sizeof(f->a), "%s/a", f->folder);
	snprintf(f->b, sizeof(f->b), "%s/b", f->folder);
	snprintf(f->link, sizeof(f->link), "%s/link", f->folder);
	write_file(f->a, "one");
	write_file(f->b, "one");
	assert_int_equal(symlink("nowhere", f->link), 0);
	assert_int_equal(reloader_new(&f->reloader, &err), 0);
	assert_int_equal(reloader_add(f->reloader, files, count, &f->changes, &err), 0);
	assert_int_equal(reloader_add(f->reloader, others, count, &f->others, &err), 0);
}

static void close_fixture(struct fixture *f)
{
	reloader_free(f->reloader);
	unlink(f->a);
	unlink(f->b);
	unlink(f->link);
	assert_int_equal(rmdir(f->folder), 0);
}

static void start(struct fixture *f)
{
	struct error err;

	assert_int_equal(reloader_start(f->reloader, &err), 0);
}

static void wait_for(atomic_uint *n, unsigned at_least)
{
	for (unsigned ms = 0; *n < at_least && ms < PATIENCE_MS; ms += 10)
		usleep(10 * 1000);
	assert_true(*n >= at_least);
}

/* ---- tests ---- */

static void a_change_of_one_file_is_told_to_who_asked_for_it_and_to_nobody_else(void **state UNUSED)
{
	struct fixture f;

	open_fixture(&f);
	start(&f);
	write_file(f.a, "another length");
	wait_for(&f.changes, 1);
	assert_int_equal(f.others, 0);
	write_file(f.b, "another length");
	wait_for(&f.others, 1);
	assert_int_equal(f.changes, 1);
	close_fixture(&f);
}

static void a_file_of_the_same_length_by_a_rename_is_a_change(void **state UNUSED)
{
	char new[80];
	struct fixture f;

	open_fixture(&f);
	start(&f);
	snprintf(new, sizeof(new), "%s.new", f.a);
	write_file(new, "two");
	assert_int_equal(rename(new, f.a), 0);
	wait_for(&f.changes, 1);
	close_fixture(&f);
}

static void a_symbolic_link_that_points_elsewhere_is_a_change(void **state UNUSED)
{
	char new[80];
	struct fixture f;

	open_fixture(&f);
	start(&f);
	snprintf(new, sizeof(new), "%s.new", f.link);
	assert_int_equal(symlink("b", new), 0);
	assert_int_equal(rename(new, f.link), 0);
	wait_for(&f.changes, 1);
	close_fixture(&f);
}

static void a_file_that_goes_and_one_that_comes_are_changes(void **state UNUSED)
{
	struct fixture f;

	open_fixture(&f);
	start(&f);
	assert_int_equal(unlink(f.b), 0);
	wait_for(&f.others, 1);
	write_file(f.b, "one");
	wait_for(&f.others, 2);
	close_fixture(&f);
}

static void what_changes_between_the_reading_and_the_start_is_not_missed(void **state UNUSED)
{
	struct fixture f;

	open_fixture(&f);
	write_file(f.a, "another length");
	start(&f);
	wait_for(&f.changes, 1);
	close_fixture(&f);
}

static void a_change_is_told_once(void **state UNUSED)
{
	struct fixture f;

	open_fixture(&f);
	write_file(f.a, "another length");
	reloader_every(f.reloader, 1, count, &f.turns);
	start(&f);
	wait_for(&f.turns, 3);
	assert_int_equal(f.changes, 1);
	assert_int_equal(f.others, 0);
	close_fixture(&f);
}

static void all_are_called_when_asked_for(void **state UNUSED)
{
	struct fixture f;

	open_fixture(&f);
	reloader_every(f.reloader, 3600, count, &f.turns);
	start(&f);
	for (unsigned i = 1; i < 4; i++) {
		reloader_now(f.reloader);
		wait_for(&f.turns, i);
		wait_for(&f.changes, i);
		wait_for(&f.others, i);
	}
	close_fixture(&f);
}

static void one_that_was_never_started_can_go(void **state UNUSED)
{
	struct fixture f;

	open_fixture(&f);
	reloader_now(f.reloader);
	close_fixture(&f);
	reloader_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_change_of_one_file_is_told_to_who_asked_for_it_and_to_nobody_else),
		cmocka_unit_test(a_file_of_the_same_length_by_a_rename_is_a_change),
		cmocka_unit_test(a_symbolic_link_that_points_elsewhere_is_a_change),
		cmocka_unit_test(a_file_that_goes_and_one_that_comes_are_changes),
		cmocka_unit_test(what_changes_between_the_reading_and_the_start_is_not_missed),
		cmocka_unit_test(a_change_is_told_once),
		cmocka_unit_test(all_are_called_when_asked_for),
		cmocka_unit_test(one_that_was_never_started_can_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
