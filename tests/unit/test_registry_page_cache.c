/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "registry/page_cache.h"

#include "base/limits.h"

#include <pthread.h>
#include <stdio.h>

#define NONE SLICE_NONE

static int setup(void **state)
{
	struct page_cache *cache;
	struct error err = ERROR_INIT;

	assert_int_equal(page_cache_new(&cache, &err), 0);
	*state = cache;
	return 0;
}

static int teardown(void **state)
{
	page_cache_free(*state);
	return 0;
}

static bool has(struct page_cache *cache, uint64_t generation, struct slice last, size_t n)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_CACHED_PAGE_BYTES);
	CLEANUP(buf_done) struct buf next = BUF_INIT(LIMIT_REPOSITORY);

	return page_cache_get(cache, generation, last, n, &body, &next);
}

static void a_page_comes_back_as_it_was_put(void **state)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(64);
	CLEANUP(buf_done) struct buf next = BUF_INIT(64);

	assert_false(page_cache_get(*state, 1, NONE, 10, &body, &next));
	page_cache_put(*state, 1, NONE, 10, SLICE("[a,b]"), SLICE("b"));
	page_cache_put(*state, 1, SLICE("b"), 10, SLICE("[c]"), NONE);
	assert_true(page_cache_get(*state, 1, NONE, 10, &body, &next));
	assert_string_equal(body.data, "[a,b]");
	assert_string_equal(next.data, "b");
	buf_reset(&body);
	buf_reset(&next);
	assert_true(page_cache_get(*state, 1, SLICE("b"), 10, &body, &next));
	assert_string_equal(body.data, "[c]");
	assert_int_equal(next.len, 0);
}

static void only_the_same_question_finds_a_page(void **state)
{
	page_cache_put(*state, 7, SLICE("b"), 10, SLICE("[c]"), NONE);
	assert_true(has(*state, 7, SLICE("b"), 10));
	assert_false(has(*state, 7, SLICE("b"), 11));
	assert_false(has(*state, 7, SLICE("a"), 10));
	assert_false(has(*state, 7, SLICE("bb"), 10));
	assert_false(has(*state, 7, NONE, 10));
}

static void only_the_same_generation_finds_a_page(void **state)
{
	page_cache_put(*state, 7, NONE, 10, SLICE("[a]"), NONE);
	assert_false(has(*state, 6, NONE, 10));
	assert_false(has(*state, 8, NONE, 10));
	page_cache_put(*state, 8, NONE, 10, SLICE("[a,b]"), NONE);
	assert_true(has(*state, 8, NONE, 10));
	assert_false(has(*state, 7, NONE, 10));
}

static void the_oldest_pages_make_room(void **state)
{
	for (size_t n = 0; n < LIMIT_CACHED_PAGES; n++)
		page_cache_put(*state, 1, NONE, n, SLICE("[]"), NONE);
	for (size_t n = 0; n < LIMIT_CACHED_PAGES; n++)
		assert_true(has(*state, 1, NONE, n));
	/* One that is there already takes no other's place. */
	page_cache_put(*state, 1, NONE, 5, SLICE("[a]"), NONE);
	assert_true(has(*state, 1, NONE, 0));
	page_cache_put(*state, 1, SLICE("b"), 0, SLICE("[]"), NONE);
	assert_false(has(*state, 1, NONE, 0));
	assert_true(has(*state, 1, NONE, 1));
	assert_true(has(*state, 1, SLICE("b"), 0));
}

static void the_bytes_of_all_pages_are_bounded(void **state)
{
	size_t size = LIMIT_CACHED_PAGE_BYTES / 4;
	char *bytes = test_calloc(1, size + 1);
	struct slice body = {bytes, size};

	for (size_t n = 0; n < 4; n++)
		page_cache_put(*state, 1, NONE, n, body, NONE);
	assert_true(has(*state, 1, NONE, 0));
	page_cache_put(*state, 1, NONE, 4, SLICE("x"), NONE);
	assert_false(has(*state, 1, NONE, 0));
	for (size_t n = 1; n <= 4; n++)
		assert_true(has(*state, 1, NONE, n));
	/* What is replaced counts no more. */
	page_cache_put(*state, 1, NONE, 3, body, NONE);
	assert_true(has(*state, 1, NONE, 1));
	test_free(bytes);
}

static void what_is_too_big_is_not_kept(void **state)
{
	char name[LIMIT_REPOSITORY + 1];
	struct slice longest = {name, LIMIT_REPOSITORY}, too_long = {name, sizeof(name)};
	struct slice too_big = {NULL, LIMIT_CACHED_PAGE_BYTES + 1};

	memset(name, 'a', sizeof(name));
	page_cache_put(*state, 1, longest, 1, SLICE("[]"), longest);
	page_cache_put(*state, 1, too_long, 2, SLICE("[]"), NONE);
	page_cache_put(*state, 1, NONE, 3, SLICE("[]"), too_long);
	page_cache_put(*state, 1, NONE, 4, too_big, NONE);
	assert_true(has(*state, 1, longest, 1));
	assert_false(has(*state, 1, too_long, 2));
	assert_false(has(*state, 1, NONE, 3));
	assert_false(has(*state, 1, NONE, 4));
}

/* Each page says of which generation and number it is. */
static void *put_and_get(void *cache)
{
	struct buf body = BUF_INIT(64), next = BUF_INIT(64);
	char text[32];
	size_t wrong = 0;

	for (unsigned i = 0; i < 20000; i++) {
		unsigned generation = i / 64, n = i % 7;

		buf_reset(&body);
		buf_reset(&next);
		snprintf(text, sizeof(text), "%u/%u", generation, n);
		if (!page_cache_get(cache, generation, NONE, n, &body, &next))
			page_cache_put(cache, generation, NONE, n, slice_of(text), slice_of(text));
		else
			wrong += strcmp(body.data, text) != 0 || strcmp(next.data, text) != 0;
	}
	buf_done(&body);
	buf_done(&next);
	return (void *)wrong;
}

static void threads_get_whole_pages_of_their_generation(void **state)
{
	pthread_t threads[4];
	void *wrong;

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_and_get, *state), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_page_comes_back_as_it_was_put),
		TEST(only_the_same_question_finds_a_page),
		TEST(only_the_same_generation_finds_a_page),
		TEST(the_oldest_pages_make_room),
		TEST(the_bytes_of_all_pages_are_bounded),
		TEST(what_is_too_big_is_not_kept),
		TEST(threads_get_whole_pages_of_their_generation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
