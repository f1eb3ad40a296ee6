/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "publish/queue.h"

#include <stdio.h>

#define CHANGES 300

struct fixture {
	struct queue queue;
	struct change changes[CHANGES];
	size_t n;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	AN(f);
	queue_init(&f->queue);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static struct change *add_in(struct fixture *f, const char *namespace, const char *name)
{
	struct change *change = &f->changes[f->n++];

	assert_true(f->n <= CHANGES);
	snprintf(change->namespace, sizeof(change->namespace), "%s", namespace);
	snprintf(change->name, sizeof(change->name), "%s", name);
	queue_add(&f->queue, change);
	return change;
}

static struct change *add(struct fixture *f, const char *name)
{
	return add_in(f, "default", name);
}

static void changes_come_out_in_the_order_in_which_they_came(void **state)
{
	struct fixture *f = *state;
	struct change *taken[3], *a = add(f, "a"), *b = add(f, "b"), *c = add(f, "c");

	assert_int_equal(queue_take(&f->queue, taken, 2), 2);
	assert_ptr_equal(taken[0], a);
	assert_ptr_equal(taken[1], b);
	assert_int_equal(queue_take(&f->queue, taken, 3), 1);
	assert_ptr_equal(taken[0], c);
	assert_int_equal(queue_take(&f->queue, taken, 3), 0);
	assert_int_equal(f->queue.n, 0);
}

static void of_one_resource_only_one_change_is_taken_at_a_time_and_all_in_order(void **state)
{
	struct fixture *f = *state;
	struct change *taken[8], *first = add(f, "a"), *second = add(f, "a"), *third = add(f, "a");

	assert_int_equal(f->queue.n, 3);
	assert_int_equal(f->queue.in_line, 1);
	assert_int_equal(queue_take(&f->queue, taken, 8), 1);
	assert_ptr_equal(taken[0], first);
	assert_int_equal(queue_take(&f->queue, taken, 8), 1);
	assert_ptr_equal(taken[0], second);
	assert_int_equal(queue_take(&f->queue, taken, 8), 1);
	assert_ptr_equal(taken[0], third);
	assert_int_equal(f->queue.n, 0);
}

static void names_are_alike_only_within_a_namespace(void **state)
{
	struct fixture *f = *state;
	struct change *taken[4];

	add_in(f, "team-a", "web");
	add_in(f, "team-b", "web");
	assert_int_equal(queue_take(&f->queue, taken, 4), 2);
}

static void many_changes_of_one_resource_do_not_hold_up_the_others(void **state)
{
	struct fixture *f = *state;
	struct change *taken[8], *other;

	for (size_t i = 0; i < 200; i++)
		add(f, "busy");
	other = add(f, "other");
	assert_int_equal(queue_take(&f->queue, taken, 8), 2);
	assert_ptr_equal(taken[1], other);
}

static void a_resource_that_waits_again_stands_behind_those_that_came_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct change *taken[1], *again, *other;

	add(f, "busy");
	again = add(f, "busy");
	other = add(f, "other");
	assert_int_equal(queue_take(&f->queue, taken, 1), 1);
	assert_int_equal(queue_take(&f->queue, taken, 1), 1);
	assert_ptr_equal(taken[0], other);
	assert_int_equal(queue_take(&f->queue, taken, 1), 1);
	assert_ptr_equal(taken[0], again);
}

static bool fill_the_same_slots(const struct queue *a, const struct queue *b)
{
	for (size_t i = 0; i < QUEUE_SLOTS; i++)
		if ((a->slots[i] == NULL) != (b->slots[i] == NULL))
			return false;
	return true;
}

static void which_names_share_a_slot_differs_from_queue_to_queue(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE struct queue *other = malloc(sizeof(*other));
	AUTO_FREE struct change *again = calloc(64, sizeof(*again));

	AN(other);
	AN(again);
	queue_init(other);
	for (size_t i = 0; i < 64; i++) {
		char name[16];

		snprintf(name, sizeof(name), "web-%zu", i);
		again[i] = *add(f, name);
		queue_add(other, &again[i]);
	}
	assert_false(fill_the_same_slots(&f->queue, other));
}

/* Against the simplest model: of each resource a counter of what was added and what was taken. */
static void any_sequence_loses_nothing_and_keeps_the_order_of_each_resource(void **state)
{
	struct fixture *f = *state;
	struct change *last[10] = {NULL}, *taken[7];
	size_t left = CHANGES;
	unsigned seed = 7;

	for (unsigned i = 0; i < CHANGES || f->queue.n > 0; i++) {
		char name[8];
		size_t n;

		seed = seed * 1664525 + 1013904223;
		if (f->n < CHANGES) {
			snprintf(name, sizeof(name), "r%u", (seed >> 8) % 10);
			add(f, name);
		}
		n = queue_take(&f->queue, taken, (seed >> 16) % 3);
		for (size_t j = 0; j < n; j++) {
			unsigned who = (unsigned)(taken[j]->name[1] - '0');

			for (size_t k = 0; k < j; k++)
				assert_string_not_equal(taken[j]->name, taken[k]->name);
			assert_true(last[who] == NULL || last[who] < taken[j]);
			last[who] = taken[j];
			left--;
		}
	}
	assert_int_equal(left, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(changes_come_out_in_the_order_in_which_they_came),
		TEST(of_one_resource_only_one_change_is_taken_at_a_time_and_all_in_order),
		TEST(names_are_alike_only_within_a_namespace),
		TEST(many_changes_of_one_resource_do_not_hold_up_the_others),
		TEST(a_resource_that_waits_again_stands_behind_those_that_came_meanwhile),
		TEST(which_names_share_a_slot_differs_from_queue_to_queue),
		TEST(any_sequence_loses_nothing_and_keeps_the_order_of_each_resource),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
