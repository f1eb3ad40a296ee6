/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include "registry/cursor.h"

static char *seal(const struct cursor_key *key, const char *place)
{
	struct buf b = BUF_INIT(1024);

	cursor_add(&b, key, slice_of(place));
	return buf_take(&b);
}

static int setup(void **state)
{
	struct cursor_key *key = test_malloc(sizeof(*key));
	struct error err = ERROR_INIT;

	assert_ok(cursor_key_init(key, &err));
	*state = key;
	return 0;
}

static int teardown(void **state)
{
	test_free(*state);
	return 0;
}

static void a_place_comes_back(void **state)
{
	char longest[LIMIT_REPOSITORY + 1] = {0};
	const char *const places[] = {"", "a", "team-a/~", longest};
	struct error err = ERROR_INIT;

	memset(longest, 'x', LIMIT_REPOSITORY);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		AUTO_FREE char *text = seal(*state, places[i]);
		AUTO_FREE char *place = NULL;

		assert_ok(cursor_read(&place, *state, slice_of(text), &err));
		assert_string_equal(place, places[i]);
	}
}

static void the_text_tells_nothing_of_the_place(void **state)
{
	AUTO_FREE char *one = seal(*state, "team-a/app"), *again = seal(*state, "team-a/app");
	AUTO_FREE char *other = seal(*state, "x");

	assert_string_not_equal(one, again);
	assert_int_equal(strlen(one), strlen(other));
	assert_null(strstr(one, "team-a"));
}

static void what_was_not_made_by_this_process_is_refused(void **state)
{
	AUTO_FREE char *text = seal(*state, "team-a/app");
	struct cursor_key other;
	struct error err = ERROR_INIT;
	char *place = NULL;

	assert_ok(cursor_key_init(&other, &err));
	assert_refused(cursor_read(&place, &other, slice_of(text), &err), ERROR_INVALID);
	for (size_t n = 0; n < strlen(text); n++)
		assert_refused(
			cursor_read(&place, *state, (struct slice){text, n}, &err), ERROR_INVALID);
	for (size_t i = 0; text[i] != '\0'; i++) {
		char kept = text[i];

		text[i] = kept == 'A' ? 'B' : 'A';
		assert_refused(cursor_read(&place, *state, slice_of(text), &err), ERROR_INVALID);
		text[i] = kept;
	}
	assert_null(place);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_place_comes_back),
		TEST(the_text_tells_nothing_of_the_place),
		TEST(what_was_not_made_by_this_process_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
