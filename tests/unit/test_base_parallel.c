/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/parallel.h"

#define ITEMS 1000

static void count(size_t i, size_t thread, void *arg)
{
	unsigned *counts = arg;

	assert_true(thread < PARALLEL_MAX);
	__atomic_add_fetch(&counts[i], 1, __ATOMIC_RELAXED);
}

static void every_item_is_worked_on_once(void **state UNUSED)
{
	static const size_t sizes[] = {0, 1, 2, 17, ITEMS};

	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		unsigned counts[ITEMS] = {0};

		parallel_each(sizes[s], count, counts);
		for (size_t i = 0; i < ITEMS; i++)
			assert_int_equal(counts[i], i < sizes[s]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_item_is_worked_on_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
