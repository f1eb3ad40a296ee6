/* SPDX-License-Identifier: Apache-2.0 */
/* Idempotency-Keys over the life of a store: found in few reads, whatever else is lost. */
#include "publisher_fixture.h"

#include "publish/change_set.h"
#include "publish/idempotency.h"
#include "publish/rebuild.h"

#include <stdio.h>

struct answer {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool answered, replayed;
	enum error_code code;
	enum outcome_op op;
};

static void answered(const struct set_outcome *outcome, void *arg)
{
	struct answer *a = arg;

	AZ(pthread_mutex_lock(&a->lock));
	a->answered = true;
	a->replayed = outcome->replayed;
	a->code = outcome->err.code;
	a->op = outcome->n > 0 ? outcome->items[0].op : OUTCOME_UNCHANGED;
	AZ(pthread_cond_signal(&a->wake));
	AZ(pthread_mutex_unlock(&a->lock));
}

/* Puts one resource, with a key; the request is what it says. */
static struct answer put_keyed(
	struct publisher *p, const char *key, const char *name, unsigned replicas)
{
	CLEANUP(intent_unrefp) struct intent *intent = make_intent(name, replicas);
	struct change_set *set;
	struct answer a = {.answered = false};
	char request[64];

	AZ(pthread_mutex_init(&a.lock, NULL));
	AZ(pthread_cond_init(&a.wake, NULL));
	assert_int_equal(change_set_new(&set, &err), 0);
	assert_int_equal(change_set_put(set, intent, ALWAYS, &err), 0);
	snprintf(set->key, sizeof(set->key), "%s", key);
	snprintf(request, sizeof(request), "%s %u", name, replicas);
	set->request = digest_of(slice_of(request));
	publisher_apply(p, set, answered, &a);
	AZ(pthread_mutex_lock(&a.lock));
	while (!a.answered)
		AZ(pthread_cond_wait(&a.wake, &a.lock));
	AZ(pthread_mutex_unlock(&a.lock));
	return a;
}

static void put_many_keyed(struct publisher *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%u", i);
		assert_int_equal(put_keyed(p, key, "web", 1 + i % 2).code, ERROR_NONE);
	}
}

static void many_keys_are_found_in_few_reads_after_a_restart(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct answer a;

	put_many_keyed(p, 200);
	publisher_free(p);
	p = start(f);
	f->n_calls = 0;
	a = put_keyed(p, "k0", "web", 1);
	assert_true(a.replayed);
	assert_in_range(f->n_calls, 1, 2 * (200 / RECORD_KEYED_BEFORE + 4) + 4);
	for (unsigned i = 0; i < 200; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%u", i);
		assert_true(put_keyed(p, key, "web", 1 + i % 2).replayed);
	}
	publisher_free(p);
	fake_destroy(f);
}

static void a_lost_record_ends_the_list_and_nothing_else(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct digest middle;
	struct record record;

	put_many_keyed(p, 20);
	last_record(f, &record);
	middle = record.keyed.record;
	record_done(&record);
	put_many_keyed(p, 1);
	publisher_free(p);
	fake_damage(f, &middle);
	p = start(f);
	assert_int_equal(put_keyed(p, "another", "web", 9).code, ERROR_NONE);
	assert_true(put_keyed(p, "another", "web", 9).replayed);
	publisher_free(p);
	fake_destroy(f);
}

static void a_rebuild_forgets_no_key(void **state UNUSED)
{
	struct rebuild_options options = {.guard = {.confirmed = true}};
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	size_t count;

	put_keyed(p, "k8", "web", 1);
	put_keyed(p, "k9", "web", 2);
	publisher_free(p);
	assert_int_equal(rebuild_run(&f->registry, &options, &count, &err), 0);
	p = start(f);
	assert_true(put_keyed(p, "k9", "web", 2).replayed);
	assert_true(put_keyed(p, "k8", "web", 1).replayed);
	publisher_free(p);
	fake_destroy(f);
}

static void a_change_that_changed_nothing_is_remembered_too(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct answer a;

	put(p, "web", 1);
	a = put_keyed(p, "k1", "web", 1);
	assert_int_equal(a.op, OUTCOME_UNCHANGED);
	put(p, "web", 5);
	a = put_keyed(p, "k1", "web", 1);
	assert_true(a.replayed);
	assert_int_equal(a.op, OUTCOME_UNCHANGED);
	assert_int_equal(seen(p, "web"), 5);
	assert_int_equal(put_keyed(p, "k1", "web", 2).code, ERROR_UNPROCESSABLE);
	publisher_free(p);
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_keys_are_found_in_few_reads_after_a_restart),
		cmocka_unit_test(a_lost_record_ends_the_list_and_nothing_else),
		cmocka_unit_test(a_rebuild_forgets_no_key),
		cmocka_unit_test(a_change_that_changed_nothing_is_remembered_too),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
