/* SPDX-License-Identifier: Apache-2.0 */
/* Who may write: a gate that is closed lets nothing out, and reads go on. */
#include "publisher_fixture.h"

#include <stdio.h>
#include <unistd.h>

static struct publisher *start_gate(struct fake *f, bool init, enum publisher_gate gate)
{
	return start_options(f, (struct publisher_options){.init = init, .gate = gate});
}

static void wait_writable(struct publisher *p)
{
	while (publisher_writable(p, &err) != 0)
		usleep(1000);
}

/* All kinds of writes, each refused for this reason. */
static void expect_closed(struct publisher *p, const char *why)
{
	struct outcome outcomes[] = {
		put(p, "db", 1),
		put(p, "web", 1), /* equal intent, where it is there */
		delete (p, "web"),
		hold(p, "web", 1, HOLD_REFUSED, 0),
		release(p, "web", HOLD_REFUSED),
		repartition(p, RECORD_FREEZE, LAYOUT_SPLIT, 4),
	};

	assert_int_equal(publisher_writable(p, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
		assert_int_equal(outcomes[i].err.code, ERROR_UNAVAILABLE);
		assert_non_null(strstr(outcomes[i].err.text, why));
		assert_true(outcomes[i].err.retry_after_s > 0);
	}
}

/* A store with one resource, as a process leaves it that ends before any derived tag has moved. */
static void make_lagging(struct fake *f, struct digest *ret_old, struct digest *ret_new)
{
	struct publisher *p = start(f);

	put(p, "web", 1);
	assert_true(fake_resolve(f, CATALOG_REPOSITORY, "latest", ret_old));
	put(p, "web", 2);
	assert_true(fake_resolve(f, CATALOG_REPOSITORY, "latest", ret_new));
	publisher_free(p);
	fake_set_tag(f, CATALOG_REPOSITORY, "latest", ret_old);
	fake_forget(f);
}

static void expect_catalog(struct fake *f, const struct digest *expected)
{
	struct digest now;

	assert_true(fake_resolve(f, CATALOG_REPOSITORY, "latest", &now));
	assert_true(digest_eq(&now, expected));
}

/* ---- while the cluster is being asked ---- */

static void until_the_cluster_has_answered_all_is_read_and_nothing_is_pushed(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct digest old, new;
	struct publisher *p;

	make_lagging(f, &old, &new);
	p = start_gate(f, false, GATE_CLUSTER);
	wait_ready(p);
	assert_int_equal(seen(p, "web"), 2);
	expect_closed(p, "the cluster is being asked");
	assert_int_equal(f->n_pushes, 0);
	expect_catalog(f, &old);
	publisher_admit(p, 0);
	wait_writable(p);
	expect_catalog(f, &new); /* rolled forward before anybody may write */
	assert_int_equal(put(p, "web", 3).op, OUTCOME_UPDATED);
	publisher_free(p);
	fake_destroy(f);
}

static void versions_are_issued_above_what_the_cluster_shows(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t far = 1900000000000000;

	publisher_free(p);
	p = start_gate(f, false, GATE_CLUSTER);
	publisher_admit(p, far);
	wait_writable(p);
	assert_int_equal(put(p, "web", 1).version, far + 1);
	publisher_free(p);
	p = start_gate(f, false, GATE_CLUSTER);
	publisher_admit(p, 1);
	wait_writable(p);
	assert_int_equal(put(p, "web", 2).version, far + 2);
	publisher_free(p);
	fake_destroy(f);
}

static void what_cannot_be_rolled_forward_at_once_is_tried_until_it_works(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct digest old, new;
	struct publisher *p;

	make_lagging(f, &old, &new);
	p = start_gate(f, false, GATE_CLUSTER);
	wait_ready(p);
	fake_fail(f, 0, 3, FAKE_UNAVAILABLE);
	publisher_admit(p, 0);
	wait_writable(p);
	expect_catalog(f, &new);
	assert_int_equal(seen(p, "web"), 2);
	publisher_free(p);
	fake_destroy(f);
}

static void what_another_server_wrote_meanwhile_is_not_undone(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f), *other;
	struct digest newest;

	put(p, "web", 1);
	publisher_free(p);
	p = start_gate(f, false, GATE_CLUSTER);
	wait_ready(p);
	other = start(f);
	put(other, "web", 2);
	publisher_free(other);
	assert_true(fake_resolve(f, CATALOG_REPOSITORY, "latest", &newest));
	publisher_admit(p, 0);
	wait_writable(p);
	expect_catalog(f, &newest);
	assert_int_equal(seen(p, "web"), 2);
	publisher_free(p);
	fake_destroy(f);
}

static void a_new_store_is_made_only_when_the_cluster_has_answered(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_gate(f, true, GATE_CLUSTER);

	while (publisher_ready(p, &err) == 0 || strstr(err.text, "cluster is being asked") == NULL)
		usleep(1000);
	assert_int_equal(f->n_pushes, 0);
	publisher_admit(p, 0);
	wait_writable(p);
	assert_int_equal(put(p, "web", 1).op, OUTCOME_CREATED);
	publisher_free(p);
	fake_destroy(f);
}

struct told {
	unsigned n;
	uint64_t version;
	size_t count;
};

static void on_restored(struct state *s, uint64_t version,
	const struct record_repartition *repartition UNUSED, void *arg)
{
	struct told *told = arg;

	told->version = version;
	told->count = state_count(s);
	__atomic_add_fetch(&told->n, 1, __ATOMIC_RELEASE);
}

/* Else who asks the cluster would wait for the restore, and the restore for the cluster. */
static void of_a_new_store_listeners_are_shown_that_it_is_empty(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct told told = {.version = 1, .count = 1};
	struct publisher *p =
		start_options(f, (struct publisher_options){.init = true,
					 .gate = GATE_CLUSTER,
					 .listener = {.restored = on_restored, .arg = &told}});

	while (__atomic_load_n(&told.n, __ATOMIC_ACQUIRE) == 0)
		usleep(1000);
	assert_int_equal(told.version, 0);
	assert_int_equal(told.count, 0);
	publisher_close(p, "the cluster has resources of a store that was lost");
	while (publisher_ready(p, &err) == 0 || strstr(err.text, "was lost") == NULL)
		usleep(1000);
	publisher_admit(p, 0); /* too late */
	usleep(20 * 1000);
	assert_int_equal(publisher_ready(p, &err), -1);
	publisher_free(p);
	assert_int_equal(f->n_pushes, 0);
	fake_destroy(f);
}

/* ---- closed ---- */

static void a_record_that_is_older_than_the_cluster_is_read_and_nothing_is_pushed(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct digest old, new;
	struct publisher *p;

	make_lagging(f, &old, &new);
	p = start_gate(f, false, GATE_CLUSTER);
	wait_ready(p);
	publisher_close(p, "the registry is an old backup");
	expect_closed(p, "the registry is an old backup");
	publisher_admit(p, 0);
	usleep(20 * 1000);
	expect_closed(p, "the registry is an old backup");
	assert_int_equal(publisher_ready(p, &err), 0);
	assert_int_equal(seen(p, "web"), 2);
	publisher_free(p);
	assert_int_equal(f->n_pushes, 0);
	assert_int_equal(seen_after_restart(f, "web"), 2);
	fake_destroy(f);
}

/* ---- held ---- */

static void with_hold_all_is_read_and_nothing_is_pushed(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct digest old, new;
	struct publisher *p;

	make_lagging(f, &old, &new);
	p = start_gate(f, true, GATE_HOLD);
	wait_ready(p);
	assert_int_equal(seen(p, "web"), 2);
	expect_closed(p, "--hold");
	publisher_admit(p, 0);
	usleep(20 * 1000);
	expect_closed(p, "--hold");
	publisher_free(p);
	assert_int_equal(f->n_pushes, 0);
	expect_catalog(f, &old);
	fake_destroy(f);
}

static void with_hold_a_store_without_a_record_stays_not_ready(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_gate(f, true, GATE_HOLD);

	while (publisher_ready(p, &err) == 0 || strstr(err.text, "no commit record") == NULL)
		usleep(1000);
	assert_int_equal(publisher_writable(p, &err), -1);
	publisher_free(p);
	assert_int_equal(f->n_pushes, 0);
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(until_the_cluster_has_answered_all_is_read_and_nothing_is_pushed),
		ON_BOTH(versions_are_issued_above_what_the_cluster_shows),
		ON_BOTH(what_cannot_be_rolled_forward_at_once_is_tried_until_it_works),
		ON_BOTH(what_another_server_wrote_meanwhile_is_not_undone),
		ON_BOTH(a_new_store_is_made_only_when_the_cluster_has_answered),
		cmocka_unit_test(of_a_new_store_listeners_are_shown_that_it_is_empty),
		ON_BOTH(a_record_that_is_older_than_the_cluster_is_read_and_nothing_is_pushed),
		ON_BOTH(with_hold_all_is_read_and_nothing_is_pushed),
		ON_BOTH(with_hold_a_store_without_a_record_stays_not_ready),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
