/* SPDX-License-Identifier: Apache-2.0 */
/* Any ancestor of the head is found in few reads. */
#include "publisher_fixture.h"

#include "publish/ancestry.h"

#define COMMITS 600

static uint64_t versions[COMMITS];

/* As many commits, whose versions are noted. */
static struct fake *make_chain(void)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);

	for (unsigned i = 0; i < COMMITS; i++)
		versions[i] = put(p, "web", 1 + i % 9).version;
	publisher_free(p);
	return f;
}

static void seek(struct ancestor *at, struct fake *f, uint64_t version)
{
	assert_int_equal(ancestry_seek(at, &f->registry, version, &err), 0);
}

static void every_version_is_found_in_its_own_commit(void **state UNUSED)
{
	struct fake *f = make_chain();

	for (unsigned i = 0; i < COMMITS; i++) {
		CLEANUP(ancestor_done) struct ancestor at = {0};

		assert_int_equal(ancestry_head(&at, &f->registry, &err), 0);
		seek(&at, f, versions[i]);
		assert_int_equal(at.record.n_changes, 1);
		assert_int_equal(at.record.changes[0].version, versions[i]);
		assert_int_equal(at.record.ancestry.height, i + 1);
	}
	fake_destroy(f);
}

/* A pull is two reads of the fake: at most 15 on each level, and one too many. */
static void far_back_takes_few_reads(void **state UNUSED)
{
	struct fake *f = make_chain();

	for (unsigned i = 0; i < COMMITS; i += 37) {
		CLEANUP(ancestor_done) struct ancestor at = {0};

		assert_int_equal(ancestry_head(&at, &f->registry, &err), 0);
		fake_forget(f);
		f->n_calls = 0;
		seek(&at, f, versions[i]);
		assert_in_range(f->n_calls, 0, 2 * (3 * (RECORD_STRIDE - 1) + 2));
	}
	fake_destroy(f);
}

static void a_walk_over_falling_versions_goes_on_from_where_it_is(void **state UNUSED)
{
	struct fake *f = make_chain();
	CLEANUP(ancestor_done) struct ancestor at = {0};

	assert_int_equal(ancestry_head(&at, &f->registry, &err), 0);
	for (unsigned i = COMMITS; i-- > 0;) {
		seek(&at, f, versions[i]);
		assert_int_equal(at.record.changes[0].version, versions[i]);
	}
	seek(&at, f, 1);
	assert_false(at.record.has_parent);
	fake_destroy(f);
}

static void between_two_commits_the_later_one_counts(void **state UNUSED)
{
	struct fake *f = make_chain();
	CLEANUP(ancestor_done) struct ancestor at = {0};

	assert_int_equal(ancestry_head(&at, &f->registry, &err), 0);
	seek(&at, f, versions[300] - 1);
	assert_true(at.record.version >= versions[300] - 1);
	assert_true(at.record.ancestry.parent_version < versions[300] - 1);
	fake_destroy(f);
}

static void a_record_that_is_lost_is_an_error(void **state UNUSED)
{
	struct fake *f = make_chain();
	CLEANUP(ancestor_done) struct ancestor at = {0};

	assert_int_equal(ancestry_head(&at, &f->registry, &err), 0);
	fake_fail(f, 3, 1, FAKE_UNAVAILABLE);
	assert_int_equal(ancestry_seek(&at, &f->registry, versions[1], &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	fake_destroy(f);
}

/* As records were before heights were noted: every parent is read. */
static void records_without_heights_are_walked_one_by_one(void **state UNUSED)
{
	struct fake *f = make_chain();
	CLEANUP(ancestor_done) struct ancestor at = {0};

	assert_int_equal(ancestry_head(&at, &f->registry, &err), 0);
	at.record.ancestry = (struct record_ancestry){.is_known = false};
	seek(&at, f, versions[COMMITS - 2]);
	assert_int_equal(at.record.changes[0].version, versions[COMMITS - 2]);
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_version_is_found_in_its_own_commit),
		cmocka_unit_test(far_back_takes_few_reads),
		cmocka_unit_test(a_walk_over_falling_versions_goes_on_from_where_it_is),
		cmocka_unit_test(between_two_commits_the_later_one_counts),
		cmocka_unit_test(a_record_that_is_lost_is_an_error),
		cmocka_unit_test(records_without_heights_are_walked_one_by_one),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
