/* SPDX-License-Identifier: Apache-2.0 */
/* Who may write: a gate that is closed lets nothing out, and reads go on. */
#include "publisher_fixture.h"

#include "publish/metrics.h"
#include "publish/retention.h"

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

/* ---- retention, which deletes tags ---- */

#define SUPERSEDED (2 * RETENTION_CATALOGS) /* catalogs, besides the current one */

/* All but the current one are so old that they may go. */
static void fill(struct fake *f)
{
	publisher_free(start(f));
	for (unsigned i = 0; i < SUPERSEDED; i++) {
		struct digest digest;
		char tag[32];

		snprintf(tag, sizeof(tag), "c17000000000000%02u", i);
		digest = digest_of(slice_of(tag));
		fake_set_tag(f, CATALOG_REPOSITORY, tag, &digest);
	}
}

static struct retention *start_retention(struct fake *f, struct publisher *p)
{
	const struct retention_options options = {
		.registry = &f->registry,
		.publisher = p,
		.catalog_grace_s = 1,
	};
	struct retention *r;

	assert_int_equal(retention_new(&r, &options, &err), 0);
	return r;
}

static size_t count_expired(void)
{
	static const char before[] = "gsq_expired_tags_total{kind=\"catalogs\"} ";
	CLEANUP(buf_done) struct buf text = BUF_INIT(64 * KIB);
	const char *at;

	metric_write(&publish_metric_expired, &text);
	assert_int_equal(buf_check(&text, &err), 0);
	at = strstr(text.data, before);
	return at == NULL ? 0 : strtoul(at + strlen(before), NULL, 10);
}

/* Until catalogs were taken away from so many stores. */
static void wait_swept(size_t stores)
{
	while (count_expired() < stores * (SUPERSEDED + 1 - RETENTION_CATALOGS))
		usleep(1000);
}

static size_t count_catalogs(const struct fake *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_tags; i++)
		n += strcmp(f->tags[i].repository, CATALOG_REPOSITORY) == 0 &&
		     f->tags[i].tag[0] == 'c';
	return n;
}

/* They begin before the one that is open, and so would have been swept before it. */
static void where_nothing_may_be_written_retention_takes_nothing_away(void **state UNUSED)
{
	enum { HELD, CLOSED, ASKING, OPEN, STORES };
	static const enum publisher_gate gates[STORES] = {
		[HELD] = GATE_HOLD, [ASKING] = GATE_CLUSTER, [OPEN] = GATE_OPEN};
	struct fake *fakes[STORES];
	struct publisher *publishers[STORES];
	struct retention *retentions[STORES];

	for (size_t i = 0; i < STORES; i++) {
		fakes[i] = fake_new(true);
		fill(fakes[i]);
		publishers[i] = start_gate(fakes[i], false, gates[i]);
		wait_ready(publishers[i]);
		if (i == CLOSED)
			publisher_close(publishers[i], "the registry is an old backup");
	}
	for (size_t i = 0; i < STORES; i++)
		retentions[i] = start_retention(fakes[i], publishers[i]);
	wait_swept(1);
	publisher_admit(publishers[ASKING], 0);
	wait_swept(2);
	for (size_t i = 0; i < STORES; i++) {
		retention_free(retentions[i]);
		publisher_free(publishers[i]);
	}
	assert_int_equal(count_catalogs(fakes[HELD]), SUPERSEDED + 1);
	assert_int_equal(count_catalogs(fakes[CLOSED]), SUPERSEDED + 1);
	assert_int_equal(count_catalogs(fakes[ASKING]), RETENTION_CATALOGS);
	assert_int_equal(count_catalogs(fakes[OPEN]), RETENTION_CATALOGS);
	for (size_t i = 0; i < STORES; i++)
		fake_destroy(fakes[i]);
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
		cmocka_unit_test(where_nothing_may_be_written_retention_takes_nothing_away),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
