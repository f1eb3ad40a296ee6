/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdio.h>

#include "registry/known_blobs.h"

struct fixture {
	struct known_blobs *known;
	struct digest one, two;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error err;

	digest_setup();
	f->one = digest_of(SLICE("one"));
	f->two = digest_of(SLICE("two"));
	assert_int_equal(known_blobs_new(&f->known, &err), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	known_blobs_free(f->known);
	free(f);
	return 0;
}

static void a_blob_is_known_where_it_was_added_and_nowhere_else(void **state)
{
	struct fixture *f = *state;

	assert_false(known_blobs_has(f->known, "a", &f->one));
	known_blobs_add(f->known, "a", &f->one);
	assert_true(known_blobs_has(f->known, "a", &f->one));
	assert_false(known_blobs_has(f->known, "a", &f->two));
	assert_false(known_blobs_has(f->known, "b", &f->one));
}

static void a_repository_is_forgotten_whole_and_alone(void **state)
{
	struct fixture *f = *state;

	known_blobs_add(f->known, "a", &f->one);
	known_blobs_add(f->known, "a", &f->two);
	known_blobs_add(f->known, "b", &f->one);
	known_blobs_forget(f->known, "a");
	assert_false(known_blobs_has(f->known, "a", &f->one));
	assert_false(known_blobs_has(f->known, "a", &f->two));
	assert_true(known_blobs_has(f->known, "b", &f->one));
}

/* Places are few: some are lost, which must be rare where there is room for all. */
static void ten_thousand_repositories_fit(void **state)
{
	struct fixture *f = *state;
	char name[64];
	size_t kept = 0;

	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "gitops-squared/resources/default/web-%d", i);
		known_blobs_add(f->known, name, &f->one);
	}
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "gitops-squared/resources/default/web-%d", i);
		kept += known_blobs_has(f->known, name, &f->one);
	}
	assert_true(kept > 9000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_blob_is_known_where_it_was_added_and_nowhere_else, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_repository_is_forgotten_whole_and_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ten_thousand_repositories_fit, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
