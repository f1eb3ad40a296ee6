/* SPDX-License-Identifier: Apache-2.0 */
/* Accepted versions that Flux does not get, and resources that nobody may delete. */
#include "publisher_fixture.h"

#include <stdio.h>

/* What Flux would find for the resource in the catalog: its replicas; 0: nothing. */
static unsigned published(struct publisher *p, const char *name)
{
	CLEANUP(state_unrefp) struct state *s = publisher_state(p, NULL);
	const struct resource *r = state_find(s, "default", name);

	r = r == NULL ? NULL : resource_published(r);
	return r == NULL ? 0 : r->intent->replicas;
}

static struct publisher *restart(struct fake *f, struct publisher *p)
{
	publisher_free(p);
	p = start_with(f, false, NULL);
	wait_ready(p);
	return p;
}

static void expect_record(struct fake *f, enum record_op op, uint64_t version)
{
	CLEANUP(record_done) struct record record = {0};

	last_record(f, &record);
	assert_int_equal(record.n_changes, 1);
	assert_int_equal(record.changes[0].op, op);
	assert_int_equal(record.changes[0].version, version);
	assert_true(record.version > version);
}

/* ---- holding and releasing ---- */

static void a_held_version_is_what_readers_see_and_not_what_flux_gets(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct outcome first = put(p, "web", 1), second = put(p, "web", 2), o;

	o = hold(p, "web", second.version, HOLD_REFUSED, first.version);
	assert_int_equal(o.err.code, ERROR_NONE);
	assert_int_equal(o.op, OUTCOME_UPDATED);
	assert_int_equal(o.version, second.version);
	assert_true(digest_eq(&o.digest, &second.digest));
	expect_record(f, RECORD_HOLD, second.version);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(seen(p, "web"), 2);
		assert_int_equal(published(p, "web"), 1);
		assert_int_equal(held(p, "web"), HOLD_REFUSED);
		fake_forget(f);
		p = restart(f, p);
		assert_int_equal(f->n_pushes, 0);
	}
	o = release(p, "web", HOLD_REFUSED);
	assert_int_equal(o.op, OUTCOME_UPDATED);
	assert_int_equal(o.version, second.version);
	expect_record(f, RECORD_RELEASE, second.version);
	assert_int_equal(published(p, "web"), 2);
	p = restart(f, p);
	assert_int_equal(published(p, "web"), 2);
	assert_int_equal(held(p, "web"), HOLD_REASONS_);
	publisher_free(p);
	fake_destroy(f);
}

static void without_an_earlier_version_flux_gets_nothing(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct outcome o = put(p, "web", 1);

	put(p, "db", 3);
	hold(p, "web", o.version, HOLD_NAMESPACE, 0);
	p = restart(f, p);
	assert_int_equal(seen(p, "web"), 1);
	assert_int_equal(published(p, "web"), 0);
	assert_int_equal(published(p, "db"), 3);
	publisher_free(p);
	fake_destroy(f);
}

static void a_hold_stores_no_artifact(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct outcome first = put(p, "web", 1), second = put(p, "web", 2);

	fake_forget(f);
	hold(p, "web", second.version, HOLD_REFUSED, first.version);
	assert_null(strstr(f->last_pushes, "gitops-squared/resources/"));
	expect_latest(f, "web", &second.digest);
	publisher_free(p);
	fake_destroy(f);
}

static void a_hold_that_comes_too_late_or_twice_changes_nothing(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct outcome first = put(p, "web", 1), second = put(p, "web", 2), o;

	fake_forget(f);
	o = hold(p, "web", first.version, HOLD_REFUSED, 0);
	assert_int_equal(o.op, OUTCOME_UNCHANGED);
	o = hold(p, "none", first.version, HOLD_REFUSED, 0);
	assert_int_equal(o.err.code, ERROR_NONE);
	assert_int_equal(o.op, OUTCOME_UNCHANGED);
	assert_int_equal(release(p, "web", HOLD_REFUSED).op, OUTCOME_UNCHANGED);
	assert_int_equal(f->n_pushes, 0);
	hold(p, "web", second.version, HOLD_REFUSED, first.version);
	fake_forget(f);
	o = hold(p, "web", second.version, HOLD_REFUSED, first.version);
	assert_int_equal(o.op, OUTCOME_UNCHANGED);
	assert_int_equal(release(p, "web", HOLD_NAMESPACE).op, OUTCOME_UNCHANGED);
	assert_int_equal(f->n_pushes, 0);
	publisher_free(p);
	fake_destroy(f);
}

static void a_version_to_apply_instead_that_is_not_there_is_not_found(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t first = put(p, "web", 1).version, deleted = delete (p, "web").version;
	uint64_t current = put(p, "web", 2).version;
	const uint64_t wrong[] = {first + 1, deleted, current, current + 1};

	fake_forget(f);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(
			hold(p, "web", current, HOLD_REFUSED, wrong[i]).err.code, ERROR_NOT_FOUND);
	assert_int_equal(held(p, "web"), HOLD_REASONS_);
	assert_int_equal(f->n_pushes, 0);
	assert_int_equal(hold(p, "web", current, HOLD_REFUSED, first).op, OUTCOME_UPDATED);
	assert_int_equal(published(p, "web"), 1);
	publisher_free(p);
	fake_destroy(f);
}

static void the_reason_and_the_version_instead_can_change(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t first = put(p, "web", 1).version, second = put(p, "web", 2).version;
	uint64_t third = put(p, "web", 3).version;

	hold(p, "web", third, HOLD_REFUSED, first);
	assert_int_equal(published(p, "web"), 1);
	hold(p, "web", third, HOLD_REFUSED, second);
	assert_int_equal(published(p, "web"), 2);
	hold(p, "web", third, HOLD_NAMESPACE, 0);
	assert_int_equal(held(p, "web"), HOLD_NAMESPACE);
	/* What has no namespace is not tried, so this is about what was. */
	assert_int_equal(hold(p, "web", third, HOLD_REFUSED, second).op, OUTCOME_UNCHANGED);
	assert_int_equal(held(p, "web"), HOLD_NAMESPACE);
	assert_int_equal(release(p, "web", HOLD_NAMESPACE).op, OUTCOME_UPDATED);
	assert_int_equal(published(p, "web"), 3);
	publisher_free(p);
	fake_destroy(f);
}

static void fsck_looks_for_the_version_that_flux_gets_too(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t first = put(p, "web", 1).version, second = put(p, "web", 2).version;
	char tag[RESOURCE_TAG_SIZE];

	hold(p, "web", second, HOLD_REFUSED, first);
	assert_int_equal(differences(f), 0);
	resource_tag(first, tag);
	fake_drop_tag(f, "gitops-squared/resources/default/web", tag);
	assert_int_equal(differences(f), 1);
	release(p, "web", HOLD_REFUSED);
	assert_int_equal(differences(f), 0);
	publisher_free(p);
	fake_destroy(f);
}

/* ---- what users do with a held resource ---- */

static void the_same_intent_again_tries_a_refused_version_again(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t version = put(p, "web", 1).version;
	struct outcome o;

	hold(p, "web", version, HOLD_REFUSED, 0);
	o = put(p, "web", 1);
	assert_int_equal(o.op, OUTCOME_UNCHANGED);
	assert_int_equal(o.version, version);
	assert_int_equal(published(p, "web"), 1);
	expect_record(f, RECORD_RELEASE, version);
	hold(p, "web", version, HOLD_NAMESPACE, 0);
	assert_int_equal(put(p, "web", 1).op, OUTCOME_UNCHANGED);
	assert_int_equal(held(p, "web"), HOLD_NAMESPACE);
	publisher_free(p);
	fake_destroy(f);
}

static void another_intent_is_published_unless_the_namespace_is_gone(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t version = put(p, "web", 1).version;

	hold(p, "web", version, HOLD_REFUSED, 0);
	version = put(p, "web", 2).version;
	assert_int_equal(published(p, "web"), 2);
	hold(p, "web", version, HOLD_NAMESPACE, 0);
	assert_int_equal(put(p, "web", 3).op, OUTCOME_UPDATED);
	p = restart(f, p);
	assert_int_equal(seen(p, "web"), 3);
	assert_int_equal(published(p, "web"), 0);
	release(p, "web", HOLD_NAMESPACE);
	assert_int_equal(published(p, "web"), 3);
	publisher_free(p);
	fake_destroy(f);
}

static void a_held_resource_can_be_deleted(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t version = put(p, "web", 1).version;

	hold(p, "web", version, HOLD_REFUSED, 0);
	assert_int_equal(delete (p, "web").op, OUTCOME_DELETED);
	assert_int_equal(seen_after_restart(f, "web"), 0);
	publisher_free(p);
	fake_destroy(f);
}

/* The transaction of somebody else holds the first change up, so the others share a batch. */
static void holds_and_changes_share_a_commit(void **state)
{
	CLEANUP(intent_unrefp) struct intent *first = make_intent("first", 1);
	CLEANUP(intent_unrefp) struct intent *other = make_intent("other", 1);
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	CLEANUP(record_done) struct record record = {0};
	uint64_t version = put(p, "web", 1).version;
	struct waiter w;

	waiter_init(&w, 3);
	AZ(pthread_mutex_lock(&f->lock));
	publisher_put(p, first, ALWAYS, NULL, waiter_done, &w);
	wait_taken();
	publisher_hold(p, "default", "web", version, HOLD_REFUSED, 0, "no", waiter_done, &w);
	publisher_put(p, other, ALWAYS, NULL, waiter_done, &w);
	AZ(pthread_mutex_unlock(&f->lock));
	waiter_wait(&w);
	assert_int_equal(w.ok, 3);
	last_record(f, &record);
	assert_int_equal(record.n_changes, 2);
	p = restart(f, p);
	assert_int_equal(held(p, "web"), HOLD_REFUSED);
	assert_int_equal(seen(p, "other"), 1);
	publisher_free(p);
	fake_destroy(f);
}

/* ---- faults ---- */

/* Lets call number n of a hold (or of the release after it) fail. Returns false when it has fewer
 * calls than that. */
static bool one_fault(bool atomic, bool releases, size_t n, enum fake_fault fault)
{
	struct fake *f = fake_new(atomic);
	struct publisher *p = start(f);
	uint64_t first = put(p, "web", 1).version, second = put(p, "web", 2).version;
	enum hold_reason before = HOLD_REASONS_, after = HOLD_REFUSED, now;
	struct outcome o;
	bool reached;

	if (releases) {
		hold(p, "web", second, HOLD_REFUSED, first);
		before = HOLD_REFUSED;
		after = HOLD_REASONS_;
	}
	fake_fail(f, n, 1, fault);
	o = releases ? release(p, "web", HOLD_REFUSED)
		     : hold(p, "web", second, HOLD_REFUSED, first);
	wait_ready(p); /* the publisher lets go of the registry */
	reached = f->n_calls > f->fault_at;
	f->fault_at = SIZE_MAX;
	now = held(p, "web");
	if (o.err.code == ERROR_NONE) {
		assert_int_equal(now, after);
	} else {
		assert_int_equal(o.err.code, ERROR_UNAVAILABLE);
		assert_true(now == before || now == after);
	}
	p = restart(f, p);
	assert_int_equal(held(p, "web"), now);
	assert_int_equal(seen(p, "web"), 2);
	o = releases ? release(p, "web", HOLD_REFUSED)
		     : hold(p, "web", second, HOLD_REFUSED, first);
	assert_int_equal(o.err.code, ERROR_NONE);
	p = restart(f, p);
	assert_int_equal(held(p, "web"), after);
	assert_int_equal(published(p, "web"), releases ? 2 : 1);
	publisher_free(p);
	fake_destroy(f);
	return reached;
}

static void a_fault_at_any_call_of_a_hold_or_a_release_loses_nothing(void **state)
{
	static const enum fake_fault faults[] = {
		FAKE_UNAVAILABLE, FAKE_LOST_BEFORE, FAKE_LOST_AFTER};

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(faults); i++) {
		size_t n = 0;

		while (one_fault(*(bool *)*state, i % 2 == 1, n, faults[i / 2]))
			n++;
		/* Head, catalog, record, and the commit, or the point and the derived tag. */
		assert_true(n >= (*(bool *)*state ? 4 : 5));
	}
}

/* ---- protection ---- */

static void a_protected_resource_is_not_deleted_until_the_label_is_taken_off(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct outcome o;

	assert_int_equal(put_protected(p, "web", true).op, OUTCOME_CREATED);
	fake_forget(f);
	o = delete (p, "web");
	assert_int_equal(o.err.code, ERROR_CONFLICT);
	assert_non_null(strstr(o.err.text, "gitops-squared.io/protect"));
	assert_int_equal(f->n_pushes, 0);
	assert_int_equal(seen(p, "web"), 1);
	assert_int_equal(put_protected(p, "web", false).op, OUTCOME_UPDATED);
	assert_int_equal(delete (p, "web").op, OUTCOME_DELETED);
	publisher_free(p);
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_held_version_is_what_readers_see_and_not_what_flux_gets),
		ON_BOTH(without_an_earlier_version_flux_gets_nothing),
		ON_BOTH(a_hold_stores_no_artifact),
		ON_BOTH(a_hold_that_comes_too_late_or_twice_changes_nothing),
		ON_BOTH(a_version_to_apply_instead_that_is_not_there_is_not_found),
		ON_BOTH(the_reason_and_the_version_instead_can_change),
		ON_BOTH(fsck_looks_for_the_version_that_flux_gets_too),
		ON_BOTH(the_same_intent_again_tries_a_refused_version_again),
		ON_BOTH(another_intent_is_published_unless_the_namespace_is_gone),
		ON_BOTH(a_held_resource_can_be_deleted),
		ON_BOTH(holds_and_changes_share_a_commit),
		ON_BOTH(a_fault_at_any_call_of_a_hold_or_a_release_loses_nothing),
		ON_BOTH(a_protected_resource_is_not_deleted_until_the_label_is_taken_off),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
