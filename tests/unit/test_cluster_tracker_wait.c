/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for the cluster, and what he is told. */
#include "tracker_fixture.h"

#include <pthread.h>

#define ROUNDS 3000

/* Somebody who waits, and what was told him. */
struct answer {
	struct tracker *t;
	struct tracker_wait wait;
	struct tracker_status status;
	unsigned n;
};

static void read_status(struct answer *a)
{
	buf_init(&a->status.object, LIMIT_STATUS_OBJECT);
	tracker_status_waited(a->t, &a->wait, &a->status);
	buf_done(&a->status.object);
}

static void note(void *arg)
{
	struct answer *a = arg;

	read_status(a);
	__atomic_add_fetch(&a->n, 1, __ATOMIC_RELEASE);
}

static bool begin(
	struct world *w, const char *name, uint64_t version, bool deleted, struct answer *a)
{
	*a = (struct answer){
		.t = w->t,
		.wait = {.namespace = "default",
			.version = version,
			.deleted = deleted,
			.deadline_ms = clock_ms + 1000,
			.done = note,
			.arg = a},
	};
	strcpy(a->wait.name, name);
	return tracker_wait(w->t, &a->wait);
}

static bool wait_for(struct world *w, const char *name, uint64_t version, struct answer *a)
{
	return begin(w, name, version, false, a);
}

static bool wait_for_deletion(struct world *w, const char *name, uint64_t version, struct answer *a)
{
	return begin(w, name, version, true, a);
}

static void assert_waits(const struct answer *a)
{
	assert_int_equal(a->n, 0);
}

/* Told once, of that phase and of what was in the cluster then; 0: nothing. */
static void assert_told(const struct answer *a, const char *phase, uint64_t version)
{
	assert_int_equal(a->n, 1);
	assert_string_equal(phase_name(a->status.phase), phase);
	assert_int_equal(a->status.version, version);
}

/* What somebody finds who does not wait. */
static void assert_found(struct answer *a, const char *phase, uint64_t version)
{
	assert_int_equal(a->n, 0);
	read_status(a);
	assert_string_equal(phase_name(a->status.phase), phase);
	assert_int_equal(a->status.version, version);
}

/* ---- for a version ---- */

static void a_wait_ends_when_the_version_is_applied(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t first = put(&w, "default", "web"), second;
	struct answer a, late;

	see(&w, "web", first);
	second = put(&w, "default", "web");
	assert_true(wait_for(&w, "web", second, &a));
	see(&w, "web", first);
	assert_waits(&a);
	see(&w, "web", second);
	assert_told(&a, "applied", second);
	assert_false(tracker_cancel(w.t, &a.wait));
	assert_false(wait_for(&w, "web", second, &late));
	assert_found(&late, "applied", second);
	end_world(&w);
}

static void a_later_version_will_do(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t first = put(&w, "default", "web"), second;
	struct answer a;

	assert_true(wait_for(&w, "web", first, &a));
	second = put(&w, "default", "web");
	assert_waits(&a);
	see(&w, "web", second);
	assert_told(&a, "applied", second);
	end_world(&w);
}

static void of_two_writers_each_is_told_of_his_own_version(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t first = put(&w, "default", "web"), second;
	struct answer early, late, too_late;

	assert_true(wait_for(&w, "web", first, &early));
	second = put(&w, "default", "web");
	assert_true(wait_for(&w, "web", second, &late));
	see(&w, "web", first);
	assert_told(&early, "applied", first);
	assert_string_equal(early.status.reason, "");
	assert_phase(&w, "web", "pending", "");
	assert_waits(&late);
	assert_false(wait_for(&w, "web", first, &too_late));
	assert_found(&too_late, "applied", first);
	flux_says(&w, w.version, false, "PlatformResource/default/web dry-run failed: no");
	assert_told(&late, "failed", first);
	assert_string_equal(late.status.reason, "ReconciliationFailed");
	assert_found(&too_late, "applied", first);
	end_world(&w);
}

static void a_wait_ends_when_the_version_has_failed(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct answer a, late, held;

	assert_true(wait_for(&w, "web", version, &a));
	flux_says(&w, w.version, false, "PlatformResource/default/db dry-run failed: no");
	assert_waits(&a);
	flux_says(&w, w.version, false, "PlatformResource/default/web dry-run failed: no");
	assert_told(&a, "failed", 0);
	assert_false(wait_for(&w, "web", version, &late));
	assert_found(&late, "failed", 0);
	version = put(&w, "default", "db");
	assert_true(wait_for(&w, "db", version, &held));
	hold(&w, "db", HOLD_REFUSED, "never");
	assert_told(&held, "failed", 0);
	assert_string_equal(held.status.message, "never");
	end_world(&w);
}

static void what_is_deleted_meanwhile_is_not_waited_for(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct answer a, late;

	assert_true(wait_for(&w, "web", version, &a));
	delete (&w, "default", "web");
	assert_told(&a, "deleting", 0);
	assert_string_equal(a.status.reason, "Deleted");
	assert_false(wait_for(&w, "web", version, &late));
	assert_found(&late, "deleting", 0);
	end_world(&w);
}

static void whoever_leaves_is_not_told(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct answer a;

	assert_true(wait_for(&w, "web", version, &a));
	assert_true(tracker_cancel(w.t, &a.wait));
	see(&w, "web", version);
	assert_waits(&a);
	end_world(&w);
}

/* ---- for a deletion ---- */

static void a_deletion_is_waited_for_until_the_object_is_gone(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web"), deleted;
	struct answer a, late;

	see(&w, "web", version);
	deleted = delete (&w, "default", "web");
	assert_true(wait_for_deletion(&w, "web", deleted, &a));
	see_with(&w, "default", "web", version, true, "");
	assert_waits(&a);
	tracker_gone(w.t, "default", "web");
	assert_told(&a, "applied", 0);
	assert_false(wait_for_deletion(&w, "web", deleted, &late));
	assert_found(&late, "applied", 0);
	end_world(&w);
}

static void something_later_in_its_place_ends_the_wait_for_a_deletion(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web"), deleted;
	struct answer a, late;

	see(&w, "web", version);
	deleted = delete (&w, "default", "web");
	assert_true(wait_for_deletion(&w, "web", deleted, &a));
	version = put(&w, "default", "web");
	assert_waits(&a);
	see(&w, "web", version);
	assert_told(&a, "applied", version);
	assert_false(wait_for_deletion(&w, "web", deleted, &late));
	assert_found(&late, "applied", version);
	end_world(&w);
}

static void a_list_that_does_not_name_it_ends_the_wait_for_a_deletion(void **state UNUSED)
{
	struct world w = new_world();
	struct answer a;

	see(&w, "web", put(&w, "default", "web"));
	assert_true(wait_for_deletion(&w, "web", delete (&w, "default", "web"), &a));
	tracker_relist(w.t);
	tracker_synced(w.t);
	assert_told(&a, "applied", 0);
	end_world(&w);
}

static void what_was_never_seen_is_gone_when_flux_has_applied_its_deletion(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t made = put(&w, "default", "web"), deleted = delete (&w, "default", "web");
	struct answer a, again;

	assert_true(wait_for_deletion(&w, "web", deleted, &a));
	flux_applied(&w, made, false);
	assert_waits(&a);
	flux_applied(&w, deleted, false);
	assert_told(&a, "applied", 0);
	made = put(&w, "default", "web");
	deleted = delete (&w, "default", "web");
	assert_true(wait_for_deletion(&w, "web", deleted, &again));
	put(&w, "default", "web");
	see(&w, "web", made);
	assert_waits(&again);
	tracker_gone(w.t, "default", "web");
	assert_told(&again, "applied", 0);
	end_world(&w);
}

static void what_is_made_again_is_gone_when_flux_has_applied_its_deletion(void **state UNUSED)
{
	struct world w = new_world();
	struct answer a;
	uint64_t deleted;

	put(&w, "default", "web");
	deleted = delete (&w, "default", "web");
	assert_true(wait_for_deletion(&w, "web", deleted, &a));
	put(&w, "default", "web");
	assert_waits(&a);
	flux_applied(&w, deleted, false);
	assert_told(&a, "applied", 0);
	end_world(&w);
}

static void where_nobody_knows_what_flux_has_applied_a_while_is_waited(void **state UNUSED)
{
	struct world w = new_world();
	struct answer a;

	put(&w, "default", "web");
	assert_true(wait_for_deletion(&w, "web", delete (&w, "default", "web"), &a));
	a.wait.deadline_ms = clock_ms + 2 * LIMIT_CLUSTER_LOST_MS;
	clock_ms += LIMIT_CLUSTER_LOST_MS - 1;
	tracker_expire(w.t);
	assert_waits(&a);
	clock_ms++;
	tracker_expire(w.t);
	assert_told(&a, "applied", 0);
	end_world(&w);
}

/* ---- how long ---- */

static void a_wait_ends_at_its_deadline(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct answer a, longer;

	assert_true(wait_for(&w, "web", version, &a));
	assert_true(wait_for(&w, "web", version, &longer));
	longer.wait.deadline_ms++;
	clock_ms = a.wait.deadline_ms - 1;
	tracker_expire(w.t);
	assert_waits(&a);
	clock_ms++;
	tracker_expire(w.t);
	assert_told(&a, "pending", 0);
	assert_waits(&longer);
	see(&w, "web", version);
	assert_told(&a, "pending", 0);
	assert_told(&longer, "applied", version);
	end_world(&w);
}

static void where_nothing_is_heard_nobody_waits(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct answer a, late;

	assert_true(wait_for(&w, "web", version, &a));
	a.wait.deadline_ms = clock_ms + 10 * LIMIT_CLUSTER_LOST_MS;
	tracker_lost(w.t, "cut");
	tracker_expire(w.t);
	assert_waits(&a);
	clock_ms += LIMIT_CLUSTER_LOST_MS + 1;
	tracker_expire(w.t);
	assert_told(&a, "unknown", 0);
	assert_false(wait_for(&w, "web", version, &late));
	assert_found(&late, "unknown", 0);
	end_world(&w);
	w = world_of(LAYOUT_SPLIT, false);
	tracker_reset(w.t, w.state, w.version);
	assert_false(wait_for_deletion(&w, "web", version, &late));
	assert_found(&late, "unknown", 0);
	end_world(&w);
}

static void all_of_many_waits_end(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	static struct answer answers[1000];

	for (size_t i = 0; i < 1000; i++)
		assert_true(wait_for(&w, "web", version, &answers[i]));
	assert_true(tracker_cancel(w.t, &answers[500].wait));
	see(&w, "web", version);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(answers[i].n, i != 500);
	end_world(&w);
}

/* ---- together ---- */

struct crowd {
	struct world w;
	uint64_t version; /* atomic: the last that was committed */
	bool is_over;     /* atomic */
};

/* As kube's thread does: what was committed is there a little later. */
static void *show(void *arg)
{
	struct crowd *c = arg;
	uint64_t last = 0;

	while (!__atomic_load_n(&c->is_over, __ATOMIC_ACQUIRE)) {
		uint64_t version = __atomic_load_n(&c->version, __ATOMIC_ACQUIRE);

		tracker_expire(c->w.t);
		if (version == last)
			continue;
		if (version % 7 == 0) {
			tracker_relist(c->w.t);
			tracker_gone(c->w.t, "default", "web");
		}
		see_with(&c->w, "default", "web", version, false, "{\"a\":1}");
		flux_says(&c->w, version, false, version % 5 == 0 ? "no" : NULL);
		if (version % 7 == 0)
			tracker_synced(c->w.t);
		last = version;
	}
	return NULL;
}

/* As requests do: some are patient, some leave. */
static void *wait_and_leave(void *arg)
{
	struct crowd *c = arg;
	struct tracker_status status = {.object = BUF_INIT(LIMIT_STATUS_OBJECT)};
	CLEANUP(buf_done) struct buf text = BUF_INIT(MIB);
	struct feed_position at;

	feed_position_now(&at, c->w.feed);
	while (!__atomic_load_n(&c->is_over, __ATOMIC_ACQUIRE)) {
		uint64_t version = __atomic_load_n(&c->version, __ATOMIC_ACQUIRE);
		struct answer a;

		/* Whoever is not told, though he stays, would be here for ever. */
		if (version != 0 && wait_for(&c->w, "web", version, &a) &&
			(version % 3 != 0 || !tracker_cancel(c->w.t, &a.wait)))
			while (__atomic_load_n(&a.n, __ATOMIC_ACQUIRE) == 0)
				;
		tracker_status(c->w.t, "default", "web", NULL, true, &status);
		tracker_measure(c->w.t);
		buf_reset(&text);
		feed_read(c->w.feed, &at, 64 * KIB, &text);
	}
	buf_done(&status.object);
	return NULL;
}

static void commits_observations_and_waits_go_on_side_by_side(void **state UNUSED)
{
	struct crowd c = {.w = new_world()};
	pthread_t threads[4];

	AZ(pthread_create(&threads[0], NULL, show, &c));
	for (size_t i = 1; i < ARRAY_SIZE(threads); i++)
		AZ(pthread_create(&threads[i], NULL, wait_and_leave, &c));
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t version = put(&c.w, "default", "web");

		__atomic_store_n(&c.version, version, __ATOMIC_RELEASE);
	}
	/* The last of them is shown, so that nobody waits for ever. */
	while (tracker_phase(c.w.t, state_find(c.w.state, "default", "web")) != PHASE_APPLIED)
		;
	__atomic_store_n(&c.is_over, true, __ATOMIC_RELEASE);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		AZ(pthread_join(threads[i], NULL));
	assert_phase(&c.w, "web", "applied", "");
	end_world(&c.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wait_ends_when_the_version_is_applied),
		cmocka_unit_test(a_later_version_will_do),
		cmocka_unit_test(of_two_writers_each_is_told_of_his_own_version),
		cmocka_unit_test(a_wait_ends_when_the_version_has_failed),
		cmocka_unit_test(what_is_deleted_meanwhile_is_not_waited_for),
		cmocka_unit_test(whoever_leaves_is_not_told),
		cmocka_unit_test(a_deletion_is_waited_for_until_the_object_is_gone),
		cmocka_unit_test(something_later_in_its_place_ends_the_wait_for_a_deletion),
		cmocka_unit_test(a_list_that_does_not_name_it_ends_the_wait_for_a_deletion),
		cmocka_unit_test(what_was_never_seen_is_gone_when_flux_has_applied_its_deletion),
		cmocka_unit_test(what_is_made_again_is_gone_when_flux_has_applied_its_deletion),
		cmocka_unit_test(where_nobody_knows_what_flux_has_applied_a_while_is_waited),
		cmocka_unit_test(a_wait_ends_at_its_deadline),
		cmocka_unit_test(where_nothing_is_heard_nobody_waits),
		cmocka_unit_test(all_of_many_waits_end),
		cmocka_unit_test(commits_observations_and_waits_go_on_side_by_side),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
