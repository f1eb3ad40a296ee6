/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <pthread.h>
#include <stdio.h>

#include "auth/limiter.h"
#include "base/clock.h"

#define SLOTS 64
#define RATE 2u /* a second */
#define BURST 5u

/* The clock of these tests. */
static uint64_t now_ms;

uint64_t __wrap_clock_monotonic_ms(void);

uint64_t __wrap_clock_monotonic_ms(void)
{
	return now_ms;
}

static int set_up(void **state)
{
	struct limiter *l;
	struct error err = ERROR_INIT;

	now_ms = 1000000;
	assert_int_equal(limiter_new(&l, SLOTS, &err), 0);
	*state = l;
	return 0;
}

static int tear_down(void **state)
{
	limiter_free(*state);
	return 0;
}

static unsigned take(struct limiter *l, const char *key)
{
	return limiter_take(l, slice_of(key), RATE, 1, BURST);
}

/* How many it could take at this moment. */
static unsigned take_all(struct limiter *l, const char *key)
{
	unsigned n = 0;

	while (n < 1000 && take(l, key) == 0)
		n++;
	return n;
}

static void a_burst_is_taken_at_once_and_no_more(void **state)
{
	assert_int_equal(take_all(*state, "ci"), BURST);
	assert_int_equal(take(*state, "ci"), 1);
}

static void a_bucket_refills_at_its_rate(void **state)
{
	take_all(*state, "ci");
	now_ms += 499;
	assert_int_equal(take(*state, "ci"), 1);
	now_ms += 1;
	assert_int_equal(take_all(*state, "ci"), 1);
	now_ms += 1000;
	assert_int_equal(take_all(*state, "ci"), RATE);
}

static void a_bucket_never_holds_more_than_its_burst(void **state)
{
	take_all(*state, "ci");
	now_ms += 3600 * 1000;
	assert_int_equal(take_all(*state, "ci"), BURST);
}

/* Twenty a minute are one in three seconds; who comes each second waits 3, 2, 1. */
static void the_wait_is_told_in_whole_seconds(void **state)
{
	static const unsigned waits[] = {3, 2, 1, 0, 2};

	while (limiter_take(*state, SLICE("ip"), 20, 60, 20) == 0)
		;
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		assert_int_equal(limiter_take(*state, SLICE("ip"), 20, 60, 20), waits[i]);
		now_ms += 1000;
	}
}

static void a_refusal_takes_nothing(void **state)
{
	take_all(*state, "ci");
	for (int i = 0; i < 100; i++)
		assert_int_equal(take(*state, "ci"), 1);
	now_ms += 500;
	assert_int_equal(take(*state, "ci"), 0);
}

static void what_is_given_back_can_be_taken_again(void **state)
{
	take_all(*state, "ci");
	limiter_give(*state, SLICE("ci"), RATE, 1);
	assert_int_equal(take(*state, "ci"), 0);
	assert_int_equal(take(*state, "ci"), 1);
}

static void giving_back_fills_a_bucket_no_further(void **state)
{
	for (int i = 0; i < 100; i++)
		limiter_give(*state, SLICE("ci"), RATE, 1);
	assert_int_equal(take_all(*state, "ci"), BURST);
}

static void keys_have_buckets_of_their_own(void **state)
{
	take_all(*state, "ci");
	assert_int_equal(take_all(*state, "portal"), BURST);
	assert_int_equal(take(*state, "ci"), 1);
}

/* What was taken at the old rate is waited for at that; then the new one holds. */
static void a_rate_may_change(void **state)
{
	unsigned n = 0;

	take_all(*state, "ci");
	now_ms += 1000 * limiter_take(*state, SLICE("ci"), 100, 1, 100);
	while (n < 1000 && limiter_take(*state, SLICE("ci"), 100, 1, 100) == 0)
		n++;
	assert_in_range(n, 1, 100);
	now_ms += 100;
	assert_int_equal(limiter_take(*state, SLICE("ci"), 100, 1, 100), 0);
}

static void the_largest_numbers_overflow_nothing(void **state)
{
	assert_int_equal(limiter_take(*state, SLICE("a"), 1, UINT32_MAX, UINT32_MAX), 0);
	assert_int_equal(limiter_take(*state, SLICE("a"), 1, UINT32_MAX, UINT32_MAX), 0);
	assert_int_equal(limiter_take(*state, SLICE("b"), UINT32_MAX, 1, UINT32_MAX), 0);
	assert_int_equal(limiter_take(*state, SLICE("c"), 1, UINT32_MAX, 1), 0);
	assert_int_equal(limiter_take(*state, SLICE("c"), 1, UINT32_MAX, 1), UINT32_MAX);
}

#define THREADS 4
#define TRIES 1000

struct taker {
	pthread_t thread;
	struct limiter *limiter;
	unsigned taken;
};

static void *take_many(void *arg)
{
	struct taker *t = arg;

	for (unsigned i = 0; i < TRIES; i++)
		t->taken += limiter_take(t->limiter, SLICE("ci"), 1, 1, TRIES) == 0;
	return NULL;
}

static void threads_share_a_bucket(void **state)
{
	struct taker takers[THREADS] = {0};
	unsigned taken = 0;

	for (size_t i = 0; i < THREADS; i++) {
		takers[i].limiter = *state;
		AZ(pthread_create(&takers[i].thread, NULL, take_many, &takers[i]));
	}
	for (size_t i = 0; i < THREADS; i++) {
		AZ(pthread_join(takers[i].thread, NULL));
		taken += takers[i].taken;
	}
	assert_int_equal(taken, TRIES);
}

static void crowd(struct limiter *l, unsigned keys)
{
	char key[32];

	for (unsigned i = 0; i < keys; i++) {
		snprintf(key, sizeof(key), "crowd-%u", i);
		take(l, key);
	}
}

/* A hundred times as many keys as slots, each of which asked once. */
static void a_crowd_does_not_free_one_that_has_to_wait(void **state)
{
	take_all(*state, "ci");
	crowd(*state, 100 * SLOTS);
	assert_int_equal(take(*state, "ci"), 1);
}

/* A slot goes from one key to another; what the first has used is forgotten. */
static void a_slot_is_taken_over_when_there_are_more_keys(void **state)
{
	assert_int_equal(take(*state, "quiet"), 0);
	now_ms += 100;
	crowd(*state, 100 * SLOTS);
	assert_int_equal(take_all(*state, "quiet"), BURST);
}

/* Without a crowd nothing is forgotten: see the two above. */
static void as_many_keys_as_half_the_slots_are_remembered(void **state)
{
	unsigned forgotten = 0;
	char key[32];

	for (unsigned i = 0; i < SLOTS / 2; i++) {
		snprintf(key, sizeof(key), "key-%u", i);
		take_all(*state, key);
	}
	for (unsigned i = 0; i < SLOTS / 2; i++) {
		snprintf(key, sizeof(key), "key-%u", i);
		forgotten += take(*state, key) == 0;
	}
	assert_true(forgotten < SLOTS / 8);
}

static void a_limiter_of_one_slot_works(void **state UNUSED)
{
	struct error err = ERROR_INIT;
	struct limiter *l;

	assert_int_equal(limiter_new(&l, 1, &err), 0);
	assert_int_equal(take_all(l, ""), BURST);
	limiter_free(l);
	limiter_free(NULL);
}

int main(void)
{
#define LIMITED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		LIMITED(a_burst_is_taken_at_once_and_no_more),
		LIMITED(a_bucket_refills_at_its_rate),
		LIMITED(a_bucket_never_holds_more_than_its_burst),
		LIMITED(the_wait_is_told_in_whole_seconds),
		LIMITED(a_refusal_takes_nothing),
		LIMITED(what_is_given_back_can_be_taken_again),
		LIMITED(giving_back_fills_a_bucket_no_further),
		LIMITED(keys_have_buckets_of_their_own),
		LIMITED(a_rate_may_change),
		LIMITED(the_largest_numbers_overflow_nothing),
		LIMITED(threads_share_a_bucket),
		LIMITED(a_crowd_does_not_free_one_that_has_to_wait),
		LIMITED(a_slot_is_taken_over_when_there_are_more_keys),
		LIMITED(as_many_keys_as_half_the_slots_are_remembered),
		cmocka_unit_test(a_limiter_of_one_slot_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
