/* SPDX-License-Identifier: Apache-2.0 */
/* A frozen store takes no changes and says why; and who the records say has made those it took. */
#include "publisher_fixture.h"

#include <unistd.h>

static struct author *make_author(const char *who, const char *from, const char *why)
{
	struct author *a;

	assert_int_equal(
		author_new(&a, who, from, why == NULL ? SLICE_NONE : slice_of(why), &err), 0);
	return a;
}

static struct outcome freeze_by(struct publisher *p, const char *reason, struct author *by)
{
	struct waiter w;

	waiter_init(&w, 1);
	publisher_freeze(p, reason, by, waiter_done, &w);
	waiter_wait(&w);
	return w.last;
}

static struct outcome freeze(struct publisher *p, const char *reason)
{
	CLEANUP(author_unrefp) struct author *ops = make_author("token:ops", "192.0.2.9", NULL);

	return freeze_by(p, reason, ops);
}

static void expect_refused(const struct outcome *outcome, const char *reason)
{
	assert_int_equal(outcome->err.code, ERROR_UNAVAILABLE);
	assert_int_equal(outcome->err.retry_after_s, 60);
	assert_non_null(strstr(outcome->err.text, reason));
}

/* ---- freezing ---- */

static void while_it_is_frozen_no_change_is_taken_and_every_refusal_says_why(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);

	put(p, "web", 1);
	assert_int_equal(freeze(p, "migration until 17:00").op, OUTCOME_UPDATED);
	{
		struct outcome refused[] = {
			put(p, "db", 1),
			put(p, "web", 1), /* equal intent */
			delete (p, "web"),
			delete (p, "none"),
			repartition(p, RECORD_FREEZE, LAYOUT_SPLIT, 4),
		};

		for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
			expect_refused(&refused[i],
				"the store is frozen: migration until 17:00 (by token:ops)");
	}
	assert_int_equal(publisher_ready(p, &err), 0);
	assert_int_equal(publisher_writable(p, &err), -1);
	assert_non_null(strstr(err.text, "migration until 17:00"));
	assert_int_equal(seen(p, "web"), 1);
	assert_int_equal(freeze(p, NULL).op, OUTCOME_UPDATED);
	assert_int_equal(publisher_writable(p, &err), 0);
	assert_int_equal(put(p, "web", 2).op, OUTCOME_UPDATED);
	assert_int_equal(differences(f), 0);
	publisher_free(p);
	fake_destroy(f);
}

static void it_is_frozen_after_a_restart_too(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct record_freeze frozen;
	struct outcome outcome;
	uint64_t version;

	put(p, "web", 1);
	version = freeze(p, "migration").version;
	publisher_free(p);
	p = start(f);
	outcome = put(p, "web", 2);
	expect_refused(&outcome, "migration (by token:ops)");
	frozen = publisher_frozen(p);
	assert_string_equal(frozen.by->why, "migration");
	assert_string_equal(frozen.by->from, "192.0.2.9");
	assert_int_equal(frozen.since, version);
	author_unref(frozen.by);
	freeze(p, NULL);
	publisher_free(p);
	p = start(f);
	assert_null(publisher_frozen(p).by);
	assert_int_equal(put(p, "web", 2).op, OUTCOME_UPDATED);
	publisher_free(p);
	fake_destroy(f);
}

/* The transaction of somebody else holds up the first commit. */
static void changes_that_wait_in_line_are_refused_too(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *one = make_intent("web", 1);
	CLEANUP(intent_unrefp) struct intent *two = make_intent("db", 1);
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct waiter first, frozen, second;

	waiter_init(&first, 1);
	waiter_init(&frozen, 1);
	waiter_init(&second, 1);
	AZ(pthread_mutex_lock(&f->lock));
	publisher_put(p, one, ALWAYS, NULL, waiter_done, &first);
	wait_taken();
	publisher_freeze(p, "migration", NULL, waiter_done, &frozen);
	publisher_put(p, two, ALWAYS, NULL, waiter_done, &second);
	AZ(pthread_mutex_unlock(&f->lock));
	waiter_wait(&first);
	waiter_wait(&frozen);
	waiter_wait(&second);
	assert_int_equal(first.last.op, OUTCOME_CREATED);
	assert_int_equal(frozen.last.op, OUTCOME_UPDATED);
	expect_refused(&second.last, "migration (by gsq)");
	publisher_free(p);
	fake_destroy(f);
}

/* Who freezes a store does so when there is too much of everything. */
static void a_full_line_of_changes_keeps_no_freeze_out(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *intent = make_intent("web", 1);
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct waiter first, line, late, frozen;

	waiter_init(&first, 1);
	waiter_init(&line, LIMIT_QUEUE);
	waiter_init(&late, 1);
	waiter_init(&frozen, 1);
	AZ(pthread_mutex_lock(&f->lock));
	publisher_put(p, intent, ALWAYS, NULL, waiter_done, &first);
	wait_taken();
	for (size_t i = 0; i < LIMIT_QUEUE; i++)
		publisher_put(p, intent, ALWAYS, NULL, waiter_done, &line);
	publisher_put(p, intent, ALWAYS, NULL, waiter_done, &late);
	publisher_freeze(p, "too much", NULL, waiter_done, &frozen);
	AZ(pthread_mutex_unlock(&f->lock));
	waiter_wait(&late);
	waiter_wait(&frozen);
	waiter_wait(&line);
	waiter_wait(&first);
	assert_int_equal(late.last.err.code, ERROR_TOO_MANY);
	assert_int_equal(frozen.last.op, OUTCOME_UPDATED);
	expect_refused(&line.last, "too much");
	publisher_free(p);
	fake_destroy(f);
}

static void freezes_wait_in_a_line_of_their_own_that_ends(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct waiter first, line, late;

	for (unsigned round = 1; round <= 2; round++) { /* those that were answered count no more */
		CLEANUP(intent_unrefp) struct intent *intent = make_intent("web", round);

		waiter_init(&first, 1);
		waiter_init(&line, LIMIT_STEPS);
		waiter_init(&late, 1);
		AZ(pthread_mutex_lock(&f->lock));
		publisher_put(p, intent, ALWAYS, NULL, waiter_done, &first);
		wait_taken();
		for (size_t i = 0; i < LIMIT_STEPS; i++)
			publisher_freeze(p, NULL, NULL, waiter_done, &line);
		publisher_freeze(p, NULL, NULL, waiter_done, &late);
		AZ(pthread_mutex_unlock(&f->lock));
		waiter_wait(&first);
		waiter_wait(&line);
		waiter_wait(&late);
		assert_int_equal(line.unchanged, LIMIT_STEPS);
		assert_int_equal(late.last.err.code, ERROR_TOO_MANY);
	}
	publisher_free(p);
	fake_destroy(f);
}

static void what_the_cluster_holds_and_releases_goes_on(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	uint64_t version = put(p, "web", 1).version;
	struct outcome outcome;

	freeze(p, "migration");
	assert_int_equal(publisher_open(p, &err), 0);
	assert_int_equal(hold(p, "web", version, HOLD_REFUSED, 0).err.code, ERROR_NONE);
	assert_int_equal(held(p, "web"), HOLD_REFUSED);
	assert_int_equal(release(p, "web", HOLD_REFUSED).err.code, ERROR_NONE);
	assert_int_equal(held(p, "web"), HOLD_REASONS_);
	publisher_free(p);
	p = start(f);
	outcome = put(p, "web", 2);
	expect_refused(&outcome, "migration"); /* the commits between have carried it on */
	publisher_free(p);
	fake_destroy(f);
}

static void the_same_reason_again_is_no_commit_and_another_one_is(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct outcome outcome;

	assert_int_equal(freeze(p, NULL).op, OUTCOME_UNCHANGED);
	assert_int_equal(freeze(p, "migration").op, OUTCOME_UPDATED);
	fake_forget(f);
	assert_int_equal(freeze(p, "migration").op, OUTCOME_UNCHANGED);
	assert_int_equal(f->n_pushes, 0);
	assert_int_equal(freeze(p, "longer than we thought").op, OUTCOME_UPDATED);
	outcome = put(p, "web", 1);
	expect_refused(&outcome, "longer than we thought");
	publisher_free(p);
	fake_destroy(f);
}

static void a_freeze_without_a_reason_is_refused(void **state UNUSED)
{
	static const char *const cases[] = {"", "two\nlines"};
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(freeze(p, cases[i]).err.code, ERROR_INVALID);
	assert_int_equal(publisher_writable(p, &err), 0);
	publisher_free(p);
	fake_destroy(f);
}

static void a_freeze_that_fails_changes_nothing(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);

	fake_fail(f, 0, 1, FAKE_UNAVAILABLE);
	assert_int_equal(freeze(p, "migration").err.code, ERROR_UNAVAILABLE);
	assert_int_equal(put(p, "web", 1).op, OUTCOME_CREATED);
	publisher_free(p);
	fake_destroy(f);
}

/* ---- what the record says ---- */

static void the_record_of_a_freeze_says_who_and_why(void **state UNUSED)
{
	CLEANUP(record_done) struct record frozen = {0}, thawed = {0};
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);

	freeze(p, "migration");
	last_record(f, &frozen);
	assert_string_equal(frozen.who, "token:ops");
	assert_string_equal(frozen.from, "192.0.2.9");
	assert_string_equal(frozen.why, "migration");
	assert_int_equal(frozen.n_changes, 0);
	assert_int_equal(frozen.n_catalogs, 0);
	freeze(p, NULL);
	last_record(f, &thawed);
	assert_string_equal(thawed.who, "token:ops");
	assert_string_equal(thawed.why, "thaw");
	assert_null(thawed.frozen.by);
	publisher_free(p);
	fake_destroy(f);
}

static void what_the_server_does_by_itself_is_its_own(void **state UNUSED)
{
	CLEANUP(record_done) struct record first = {0}, held_one = {0};
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	uint64_t version;

	last_record(f, &first);
	assert_string_equal(first.who, AUTHOR_SERVER);
	assert_string_equal(first.why, "init");
	assert_null(first.from);
	version = put(p, "web", 1).version;
	hold(p, "web", version, HOLD_REFUSED, 0);
	last_record(f, &held_one);
	assert_string_equal(held_one.who, AUTHOR_SERVER);
	assert_string_equal(held_one.changes[0].author->who, AUTHOR_SERVER);
	publisher_free(p);
	fake_destroy(f);
}

struct put_by {
	const char *name, *who, *from, *why;
};

/* All in one commit: somebody else's transaction holds up the one before. */
static void put_together(struct fake *f, const struct put_by *puts, size_t n, struct record *ret)
{
	CLEANUP(intent_unrefp) struct intent *before = make_intent("before", 1);
	struct publisher *p = start(f);
	struct waiter w;

	waiter_init(&w, n + 1);
	AZ(pthread_mutex_lock(&f->lock));
	publisher_put(p, before, ALWAYS, NULL, waiter_done, &w);
	wait_taken();
	for (size_t i = 0; i < n; i++) {
		CLEANUP(intent_unrefp) struct intent *intent = make_intent(puts[i].name, 1);
		CLEANUP(author_unrefp)
		struct author *author = make_author(puts[i].who, puts[i].from, puts[i].why);

		publisher_put(p, intent, ALWAYS, author, waiter_done, &w);
	}
	AZ(pthread_mutex_unlock(&f->lock));
	waiter_wait(&w);
	assert_int_equal(w.ok, n + 1);
	last_record(f, ret);
	assert_int_equal(ret->n_changes, n);
	publisher_free(p);
}

static void each_change_of_a_batch_has_its_own_author(void **state UNUSED)
{
	static const struct put_by puts[] = {
		{"a", "token:ci", "192.0.2.7", "ticket 12"},
		{"b", "oidc:alice@example.com", "192.0.2.7", NULL},
	};
	CLEANUP(record_done) struct record r = {0};
	struct fake *f = fake_new(true);

	put_together(f, puts, ARRAY_SIZE(puts), &r);
	assert_string_equal(r.who, RECORD_SEVERAL);
	assert_string_equal(r.from, "192.0.2.7"); /* that they have in common */
	assert_null(r.why);
	for (size_t i = 0; i < ARRAY_SIZE(puts); i++) {
		assert_string_equal(r.changes[i].name, puts[i].name);
		assert_string_equal(r.changes[i].author->who, puts[i].who);
		assert_string_equal(r.changes[i].author->from, puts[i].from);
	}
	assert_string_equal(r.changes[0].author->why, "ticket 12");
	assert_null(r.changes[1].author->why);
	fake_destroy(f);
}

static void one_author_of_a_whole_batch_is_that_of_the_record(void **state UNUSED)
{
	static const struct put_by puts[] = {
		{"a", "token:ci", "192.0.2.7", "release 4"},
		{"b", "token:ci", "192.0.2.7", "release 4"},
	};
	CLEANUP(record_done) struct record r = {0};
	struct fake *f = fake_new(true);

	put_together(f, puts, ARRAY_SIZE(puts), &r);
	assert_string_equal(r.who, "token:ci");
	assert_string_equal(r.from, "192.0.2.7");
	assert_string_equal(r.why, "release 4");
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(while_it_is_frozen_no_change_is_taken_and_every_refusal_says_why),
		ON_BOTH(it_is_frozen_after_a_restart_too),
		cmocka_unit_test(changes_that_wait_in_line_are_refused_too),
		cmocka_unit_test(a_full_line_of_changes_keeps_no_freeze_out),
		cmocka_unit_test(freezes_wait_in_a_line_of_their_own_that_ends),
		cmocka_unit_test(what_the_cluster_holds_and_releases_goes_on),
		cmocka_unit_test(the_same_reason_again_is_no_commit_and_another_one_is),
		cmocka_unit_test(a_freeze_without_a_reason_is_refused),
		ON_BOTH(a_freeze_that_fails_changes_nothing),
		cmocka_unit_test(the_record_of_a_freeze_says_who_and_why),
		cmocka_unit_test(what_the_server_does_by_itself_is_its_own),
		cmocka_unit_test(each_change_of_a_batch_has_its_own_author),
		cmocka_unit_test(one_author_of_a_whole_batch_is_that_of_the_record),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
