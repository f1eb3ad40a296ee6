/* SPDX-License-Identifier: Apache-2.0 */
/* Change sets: all or none, in one commit. */
#include "publisher_fixture.h"

#include "publish/change_set.h"

#include <stdio.h>

/* ---- a caller ---- */

#define KEPT 16

struct caller {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool answered;
	struct error err;
	size_t failed, n;
	uint64_t version;
	bool replayed;
	size_t n_then;
	struct record_change then[KEPT]; /* that were replayed, without authors */
	struct outcome items[KEPT];      /* without what they borrow */
	bool had_old[KEPT], had_resource[KEPT];
};

static void caller_done(const struct set_outcome *outcome, void *arg)
{
	struct caller *c = arg;

	AZ(pthread_mutex_lock(&c->lock));
	c->err = outcome->err;
	c->failed = outcome->failed;
	c->version = outcome->version;
	c->replayed = outcome->replayed != NULL;
	c->n_then = c->replayed ? outcome->replayed->n_changes : 0;
	for (size_t i = 0; i < c->n_then && i < KEPT; i++)
		c->then[i] = outcome->replayed->changes[i];
	c->n = outcome->n;
	for (size_t i = 0; i < outcome->n && i < KEPT; i++) {
		c->items[i] = outcome->items[i];
		c->had_old[i] = outcome->items[i].old != NULL;
		c->had_resource[i] = outcome->items[i].resource != NULL;
	}
	c->answered = true;
	AZ(pthread_cond_signal(&c->wake));
	AZ(pthread_mutex_unlock(&c->lock));
}

static void caller_init(struct caller *c)
{
	*c = (struct caller){.n = 0};
	AZ(pthread_mutex_init(&c->lock, NULL));
	AZ(pthread_cond_init(&c->wake, NULL));
}

static void caller_wait(struct caller *c)
{
	AZ(pthread_mutex_lock(&c->lock));
	while (!c->answered)
		AZ(pthread_cond_wait(&c->wake, &c->lock));
	AZ(pthread_mutex_unlock(&c->lock));
}

static struct caller apply(struct publisher *p, struct change_set *set)
{
	struct caller c;

	caller_init(&c);
	publisher_apply(p, set, caller_done, &c);
	caller_wait(&c);
	return c;
}

/* ---- sets ---- */

static struct change_set *new_set(void)
{
	struct change_set *set;

	assert_int_equal(change_set_new(&set, &err), 0);
	return set;
}

static void add_put_in(struct change_set *set, const char *namespace, const char *name,
	unsigned replicas, struct precondition when)
{
	CLEANUP(intent_unrefp) struct intent *intent = make_intent_in(namespace, name, replicas);

	assert_int_equal(change_set_put(set, intent, when, &err), 0);
}

static void add_put(struct change_set *set, const char *name, unsigned replicas)
{
	add_put_in(set, "default", name, replicas, ALWAYS);
}

static void add_delete(struct change_set *set, const char *name)
{
	assert_int_equal(change_set_delete(set, "default", name, ALWAYS, false, &err), 0);
}

static void add_prune(struct change_set *set, const char *name)
{
	assert_int_equal(change_set_delete(set, "default", name, ALWAYS, true, &err), 0);
}

static void give_key(struct change_set *set, const char *key, const char *request)
{
	snprintf(set->key, sizeof(set->key), "%s", key);
	set->request = digest_of(slice_of(request));
}

static uint64_t revision_of(struct publisher *p)
{
	uint64_t version = 0;

	state_unref(publisher_state(p, &version));
	return version;
}

/* ---- tests ---- */

static void all_of_it_is_one_commit(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct change_set *set = new_set();
	struct record record;
	struct caller c;

	put(p, "web", 1);
	put(p, "db", 1);
	put(p, "same", 1);
	add_put(set, "new", 1);
	add_put(set, "web", 2);
	add_put(set, "same", 1);
	add_delete(set, "db");
	c = apply(p, set);
	assert_int_equal(c.err.code, ERROR_NONE);
	assert_int_equal(c.n, 4);
	assert_int_equal(c.items[0].op, OUTCOME_CREATED);
	assert_int_equal(c.items[1].op, OUTCOME_UPDATED);
	assert_int_equal(c.items[2].op, OUTCOME_UNCHANGED);
	assert_int_equal(c.items[3].op, OUTCOME_DELETED);
	assert_false(c.had_old[0]);
	assert_true(c.had_old[1] && c.had_old[2] && c.had_old[3]);
	last_record(f, &record);
	assert_int_equal(record.version, c.version);
	assert_int_equal(record.n_changes, 3);
	record_done(&record);
	assert_int_equal(seen(p, "web"), 2);
	assert_int_equal(seen(p, "db"), 0);
	assert_int_equal(differences(f), 0);
	publisher_free(p);
	assert_int_equal(seen_after_restart(f, "new"), 1);
	fake_destroy(f);
}

static void one_item_that_cannot_be_leaves_all_as_it_was(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct change_set *set = new_set();
	struct caller c;

	put(p, "web", 1);
	fake_forget(f);
	add_put(set, "new", 1);
	add_put(set, "web", 2);
	add_delete(set, "none");
	c = apply(p, set);
	assert_int_equal(c.err.code, ERROR_NOT_FOUND);
	assert_int_equal(c.failed, 2);
	assert_int_equal(c.n, 0);
	assert_int_equal(f->n_pushes, 0);
	assert_int_equal(seen(p, "web"), 1);
	assert_int_equal(seen(p, "new"), 0);
	publisher_free(p);
	fake_destroy(f);
}

/* Whatever call of the registry it is. */
static void a_registry_that_fails_anywhere_leaves_all_or_none(void **state)
{
	bool atomic = *(bool *)*state;

	for (size_t at = 0; at < 40; at++) {
		struct fake *f = fake_new(atomic);
		struct publisher *p = start(f);
		struct change_set *set = new_set();
		struct caller c;
		bool made;

		put(p, "web", 1);
		fake_fail(f, at, 1, FAKE_UNAVAILABLE);
		add_put(set, "a", 1);
		add_put(set, "web", 2);
		add_put(set, "b", 1);
		c = apply(p, set);
		publisher_free(p);
		made = seen_after_restart(f, "a") == 1;
		assert_int_equal(seen_after_restart(f, "b"), made ? 1 : 0);
		assert_int_equal(seen_after_restart(f, "web"), made ? 2 : 1);
		if (c.err.code == ERROR_NONE)
			assert_true(made);
		fake_destroy(f);
	}
}

static void a_set_without_a_change_is_no_commit(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct change_set *set = new_set();
	struct caller c;

	put(p, "web", 1);
	fake_forget(f);
	add_put(set, "web", 1);
	add_prune(set, "gone");
	c = apply(p, set);
	assert_int_equal(c.err.code, ERROR_NONE);
	assert_int_equal(c.version, 0);
	assert_int_equal(c.items[0].op, OUTCOME_UNCHANGED);
	assert_int_equal(c.items[1].op, OUTCOME_UNCHANGED);
	assert_int_equal(f->n_pushes, 0);
	publisher_free(p);
	fake_destroy(f);
}

static void preconditions_hold_or_nothing_is_made(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	uint64_t version = put(p, "web", 1).version;
	const struct {
		const char *name;
		struct precondition when;
		enum error_code expected;
	} cases[] = {
		{"web", {IF_NOT_THERE, 0}, ERROR_PRECONDITION},
		{"web", {IF_VERSION, version - 1}, ERROR_PRECONDITION},
		{"none", {IF_VERSION, version}, ERROR_PRECONDITION},
		{"none", {IF_THERE, 0}, ERROR_PRECONDITION},
		{"none", {IF_NOT_THERE, 0}, ERROR_NONE},
		{"web", {IF_THERE, 0}, ERROR_NONE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct change_set *set = new_set();
		struct caller c;

		set->dry_run = true;
		add_put(set, "other", 1);
		add_put_in(set, "default", cases[i].name, 3, cases[i].when);
		c = apply(p, set);
		assert_int_equal(c.err.code, cases[i].expected);
		assert_int_equal(c.failed, c.err.code == ERROR_NONE ? SIZE_MAX : 1);
	}
	publisher_free(p);
	fake_destroy(f);
}

static void what_is_pruned_is_of_that_version_or_gone_already(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	uint64_t old = put(p, "web", 1).version, now = put(p, "web", 2).version;
	const struct {
		const char *name;
		uint64_t version;
		enum error_code expected;
	} cases[] = {
		{"web", old, ERROR_PRECONDITION},
		{"web", now, ERROR_NONE},
		{"none", old, ERROR_NONE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct change_set *set = new_set();
		struct precondition when = {IF_VERSION, cases[i].version};
		struct caller c;

		set->dry_run = true;
		add_put(set, "other", 1);
		assert_int_equal(
			change_set_delete(set, "default", cases[i].name, when, true, &err), 0);
		c = apply(p, set);
		assert_int_equal(c.err.code, cases[i].expected);
		assert_int_equal(c.failed, c.err.code == ERROR_NONE ? SIZE_MAX : 1);
	}
	publisher_free(p);
	fake_destroy(f);
}

static void a_set_may_ask_for_the_catalog_as_it_was_read(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct change_set *set = new_set();
	uint64_t revision;
	struct caller c;

	put(p, "web", 1);
	revision = revision_of(p);
	set->if_revision = revision;
	add_put(set, "web", 2);
	assert_int_equal(apply(p, set).err.code, ERROR_NONE);
	set = new_set();
	set->if_revision = revision;
	add_put(set, "web", 3);
	c = apply(p, set);
	assert_int_equal(c.err.code, ERROR_PRECONDITION);
	assert_int_equal(c.failed, SIZE_MAX);
	assert_int_equal(seen(p, "web"), 2);
	publisher_free(p);
	fake_destroy(f);
}

static void a_dry_run_answers_as_if_and_changes_nothing(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct change_set *set = new_set();
	uint64_t revision;
	struct caller c;

	put(p, "web", 1);
	put(p, "db", 1);
	revision = revision_of(p);
	fake_forget(f);
	set->dry_run = true;
	add_put(set, "new", 1);
	add_put(set, "web", 2);
	add_delete(set, "db");
	c = apply(p, set);
	assert_int_equal(c.err.code, ERROR_NONE);
	assert_int_equal(c.items[0].op, OUTCOME_CREATED);
	assert_int_equal(c.items[1].op, OUTCOME_UPDATED);
	assert_int_equal(c.items[2].op, OUTCOME_DELETED);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(c.items[i].version, 0);
		assert_false(c.had_resource[i]);
	}
	assert_int_equal(c.version, 0);
	assert_int_equal(f->n_pushes, 0);
	assert_int_equal(revision_of(p), revision);
	assert_int_equal(seen(p, "web"), 1);
	publisher_free(p);
	fake_destroy(f);
}

/* ---- the prune guard ---- */

static struct publisher *start_with_ten(struct fake *f)
{
	struct publisher *p =
		start_options(f, (struct publisher_options){.init = true,
					 .guard = {.max_percent = 20, .confirm = "confirm it"}});
	char name[16];

	wait_ready(p);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "r%u", i);
		put(p, name, 1);
	}
	return p;
}

static struct change_set *remove_six(bool pruned)
{
	struct change_set *set = new_set();
	char name[16];

	for (unsigned i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "r%u", i);
		assert_int_equal(change_set_delete(set, "default", name, ALWAYS, pruned, &err), 0);
	}
	return set;
}

static void removals_that_nobody_named_are_guarded_until_confirmed(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start_with_ten(f);
	struct change_set *set = remove_six(true);
	struct caller c = apply(p, set);

	assert_int_equal(c.err.code, ERROR_CONFLICT);
	assert_int_equal(c.failed, SIZE_MAX);
	assert_non_null(strstr(c.err.text, "6 of the 10 resources in namespace default"));
	assert_int_equal(seen(p, "r0"), 1);
	set = remove_six(true);
	set->confirmed = true;
	assert_int_equal(apply(p, set).err.code, ERROR_NONE);
	assert_int_equal(seen(p, "r0"), 0);
	publisher_free(p);
	fake_destroy(f);
}

static void removals_by_name_are_not_in_the_guards_way(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start_with_ten(f);

	assert_int_equal(apply(p, remove_six(false)).err.code, ERROR_NONE);
	publisher_free(p);
	fake_destroy(f);
}

static void what_is_protected_is_removed_by_no_prune(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct change_set *set = new_set();
	struct caller c;

	put(p, "web", 1);
	put_protected(p, "db", true);
	add_prune(set, "web");
	add_prune(set, "db");
	c = apply(p, set);
	assert_int_equal(c.err.code, ERROR_CONFLICT);
	assert_int_equal(c.failed, 1);
	assert_int_equal(seen(p, "web"), 1);
	publisher_free(p);
	fake_destroy(f);
}

/* ---- room ---- */

static void what_a_set_deletes_makes_room_for_what_it_creates(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct change_set *set = new_set();
	char name[16];
	struct caller c;

	for (unsigned i = 0; i < LIMIT_CATALOG_RESOURCES; i++) {
		snprintf(name, sizeof(name), "r%04u", i);
		add_put(set, name, 1);
	}
	assert_int_equal(apply(p, set).err.code, ERROR_NONE);
	set = new_set();
	add_put(set, "one-more", 1);
	c = apply(p, set);
	assert_int_equal(c.err.code, ERROR_UNPROCESSABLE);
	set = new_set();
	add_put(set, "one-more", 1);
	add_put(set, "two-more", 1);
	add_delete(set, "r0000");
	c = apply(p, set);
	assert_int_equal(c.err.code, ERROR_UNPROCESSABLE);
	assert_int_equal(c.failed, 1);
	set = new_set();
	add_put(set, "one-more", 1);
	add_delete(set, "r0000");
	assert_int_equal(apply(p, set).err.code, ERROR_NONE);
	publisher_free(p);
	fake_destroy(f);
}

/* ---- idempotency keys ---- */

static struct change_set *keyed(const char *key, const char *request)
{
	struct change_set *set = new_set();

	add_put(set, "web", 1);
	add_delete(set, "db");
	give_key(set, key, request);
	return set;
}

static void expect_replay(const struct caller *c, const struct caller *first)
{
	assert_int_equal(c->err.code, ERROR_NONE);
	assert_true(c->replayed);
	assert_int_equal(c->version, first->version);
	assert_int_equal(c->n, 0);
	assert_int_equal(c->n_then, 2);
	assert_int_equal(c->then[0].op, RECORD_CREATE);
	assert_int_equal(c->then[0].version, first->items[0].version);
	assert_true(digest_eq(&c->then[0].digest, &first->items[0].digest));
	assert_int_equal(c->then[1].op, RECORD_DELETE);
}

static void a_key_that_comes_again_is_answered_as_the_first_time(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct caller first, c;

	put(p, "db", 1);
	first = apply(p, keyed("k1", "a"));
	assert_int_equal(first.err.code, ERROR_NONE);
	assert_false(first.replayed);
	put(p, "web", 5);
	c = apply(p, keyed("k1", "a"));
	expect_replay(&c, &first);
	assert_int_equal(seen(p, "web"), 5);
	publisher_free(p);
	fake_destroy(f);
}

/* How one asks whether there was such a request, before making its set anew. */
static void a_set_of_nothing_hears_of_the_one_that_was_made_with_its_key(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct change_set *none = new_set(), *other = new_set();
	struct caller first, c;

	put(p, "db", 1);
	give_key(none, "k1", "a");
	c = apply(p, none);
	assert_int_equal(c.err.code, ERROR_NONE);
	assert_false(c.replayed);
	assert_int_equal(c.version, 0);
	first = apply(p, keyed("k1", "a"));
	none = new_set();
	give_key(none, "k1", "a");
	c = apply(p, none);
	expect_replay(&c, &first);
	give_key(other, "k1", "b");
	c = apply(p, other);
	assert_int_equal(c.err.code, ERROR_UNPROCESSABLE);
	publisher_free(p);
	fake_destroy(f);
}

static void a_key_is_known_after_a_restart_too(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct caller first, c;

	put(p, "db", 1);
	first = apply(p, keyed("k1", "a"));
	for (unsigned i = 2; i < 6; i++)
		put(p, "web", i);
	publisher_free(p);
	p = start(f);
	c = apply(p, keyed("k1", "a"));
	expect_replay(&c, &first);
	publisher_free(p);
	fake_destroy(f);
}

static void a_key_with_another_request_is_refused(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct caller c;

	put(p, "db", 1);
	apply(p, keyed("k1", "a"));
	c = apply(p, keyed("k1", "b"));
	assert_int_equal(c.err.code, ERROR_UNPROCESSABLE);
	publisher_free(p);
	fake_destroy(f);
}

static void a_key_is_its_authors_own(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct change_set *set = keyed("k1", "a");
	struct caller c;

	put(p, "db", 1);
	apply(p, keyed("k1", "a"));
	assert_int_equal(author_new(&set->author, "token:ana", "", SLICE_NONE, &err), 0);
	c = apply(p, set);
	assert_false(c.replayed);
	assert_int_equal(c.err.code, ERROR_NOT_FOUND);
	publisher_free(p);
	fake_destroy(f);
}

static void a_key_of_a_change_that_failed_may_be_tried_again(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct caller c = apply(p, keyed("k1", "a"));

	assert_int_equal(c.err.code, ERROR_NOT_FOUND);
	put(p, "db", 1);
	c = apply(p, keyed("k1", "a"));
	assert_int_equal(c.err.code, ERROR_NONE);
	assert_false(c.replayed);
	publisher_free(p);
	fake_destroy(f);
}

static void a_key_counts_no_more_after_a_day(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p;
	struct caller c;

	fixture_now = UINT64_C(1764005082000000);
	p = start_with(f, true, fixture_clock);
	wait_ready(p);
	put(p, "db", 1);
	apply(p, keyed("k1", "a"));
	fixture_now += UINT64_C(1000000) * (LIMIT_IDEMPOTENCY_S + 1);
	c = apply(p, keyed("k1", "a"));
	assert_false(c.replayed);
	assert_int_equal(c.err.code, ERROR_NOT_FOUND);
	publisher_free(p);
	fake_destroy(f);
}

/* ---- in line ---- */

static void a_frozen_store_takes_none(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct change_set *set = new_set();
	struct waiter w;
	struct caller c;

	waiter_init(&w, 1);
	publisher_freeze(p, "migration", NULL, waiter_done, &w);
	waiter_wait(&w);
	add_put(set, "web", 1);
	set->dry_run = true;
	c = apply(p, set);
	assert_int_equal(c.err.code, ERROR_UNAVAILABLE);
	assert_non_null(strstr(c.err.text, "migration"));
	publisher_free(p);
	fake_destroy(f);
}

static void sets_and_other_changes_take_turns(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *intent = make_intent("one", 1);
	CLEANUP(intent_unrefp) struct intent *other = make_intent("two", 1);
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct caller callers[4];
	struct waiter w;

	waiter_init(&w, 2);
	AZ(pthread_mutex_lock(&f->lock));
	publisher_put(p, intent, ALWAYS, NULL, waiter_done, &w);
	wait_taken();
	for (unsigned i = 0; i < ARRAY_SIZE(callers); i++) {
		struct change_set *set = new_set();

		caller_init(&callers[i]);
		add_put(set, "web", 1 + i);
		publisher_apply(p, set, caller_done, &callers[i]);
	}
	publisher_put(p, other, ALWAYS, NULL, waiter_done, &w);
	AZ(pthread_mutex_unlock(&f->lock));
	for (unsigned i = 0; i < ARRAY_SIZE(callers); i++) {
		caller_wait(&callers[i]);
		assert_int_equal(callers[i].err.code, ERROR_NONE);
	}
	waiter_wait(&w);
	assert_int_equal(w.ok, 2);
	assert_int_equal(seen(p, "web"), 4);
	publisher_free(p);
	fake_destroy(f);
}

static void the_line_of_sets_ends(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *intent = make_intent("one", 1);
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct caller callers[LIMIT_SETS + 1];
	struct waiter w;

	waiter_init(&w, 1);
	AZ(pthread_mutex_lock(&f->lock));
	publisher_put(p, intent, ALWAYS, NULL, waiter_done, &w);
	wait_taken();
	for (unsigned i = 0; i < ARRAY_SIZE(callers); i++) {
		struct change_set *set = new_set();

		caller_init(&callers[i]);
		add_put(set, "web", 1);
		publisher_apply(p, set, caller_done, &callers[i]);
	}
	AZ(pthread_mutex_unlock(&f->lock));
	waiter_wait(&w);
	for (unsigned i = 0; i < ARRAY_SIZE(callers); i++) {
		caller_wait(&callers[i]);
		assert_int_equal(callers[i].err.code, i < LIMIT_SETS ? ERROR_NONE : ERROR_TOO_MANY);
	}
	publisher_free(p);
	fake_destroy(f);
}

/* ---- what a set may be ---- */

static void a_resource_that_is_there_twice_is_found(void **state UNUSED)
{
	struct change_set *set = new_set();
	size_t first, second;

	add_put(set, "b", 1);
	add_put(set, "a", 1);
	add_put_in(set, "other", "a", 1, ALWAYS);
	assert_int_equal(change_set_check(set, &first, &second, &err), 0);
	add_delete(set, "a");
	assert_int_equal(change_set_check(set, &first, &second, &err), -1);
	assert_int_equal(first, 1);
	assert_int_equal(second, 3);
	assert_string_equal(
		err.text, "default/a is there twice: a change takes each resource once");
	change_set_free(set);
}

static void a_set_has_an_end(void **state UNUSED)
{
	struct change_set *set = new_set();
	char name[16];

	for (unsigned i = 0; i < LIMIT_CHANGES; i++) {
		snprintf(name, sizeof(name), "r%u", i);
		add_delete(set, name);
	}
	assert_int_equal(change_set_delete(set, "default", "more", ALWAYS, false, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	change_set_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(all_of_it_is_one_commit),
		ON_BOTH(one_item_that_cannot_be_leaves_all_as_it_was),
		ON_BOTH(a_registry_that_fails_anywhere_leaves_all_or_none),
		cmocka_unit_test(a_set_without_a_change_is_no_commit),
		cmocka_unit_test(preconditions_hold_or_nothing_is_made),
		cmocka_unit_test(what_is_pruned_is_of_that_version_or_gone_already),
		cmocka_unit_test(a_set_may_ask_for_the_catalog_as_it_was_read),
		cmocka_unit_test(a_dry_run_answers_as_if_and_changes_nothing),
		cmocka_unit_test(removals_that_nobody_named_are_guarded_until_confirmed),
		cmocka_unit_test(removals_by_name_are_not_in_the_guards_way),
		cmocka_unit_test(what_is_protected_is_removed_by_no_prune),
		cmocka_unit_test(what_a_set_deletes_makes_room_for_what_it_creates),
		ON_BOTH(a_key_that_comes_again_is_answered_as_the_first_time),
		ON_BOTH(a_key_is_known_after_a_restart_too),
		cmocka_unit_test(a_set_of_nothing_hears_of_the_one_that_was_made_with_its_key),
		cmocka_unit_test(a_key_with_another_request_is_refused),
		cmocka_unit_test(a_key_is_its_authors_own),
		cmocka_unit_test(a_key_of_a_change_that_failed_may_be_tried_again),
		cmocka_unit_test(a_key_counts_no_more_after_a_day),
		cmocka_unit_test(a_frozen_store_takes_none),
		cmocka_unit_test(sets_and_other_changes_take_turns),
		cmocka_unit_test(the_line_of_sets_ends),
		cmocka_unit_test(a_resource_that_is_there_twice_is_found),
		cmocka_unit_test(a_set_has_an_end),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
