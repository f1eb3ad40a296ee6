/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The publisher against a registry in memory: every call of a write fails in turn, on a registry
 * with transactions (as the embedded one) and on one without (as any remote one).
 */
#include "test.h"

#include "publish/metrics.h"
#include "publish/rebuild.h"
#include "publisher_fixture.h"

#include <stdio.h>
#include <unistd.h>

static const struct rebuild_options rebuild;

/* ---- the story ---- */

static void a_resource_is_created_updated_and_deleted(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct outcome created = put(p, "web", 1), updated = put(p, "web", 2), deleted;

	assert_int_equal(created.err.code, ERROR_NONE);
	assert_int_equal(created.op, OUTCOME_CREATED);
	assert_int_equal(updated.op, OUTCOME_UPDATED);
	assert_true(updated.version > created.version);
	assert_int_equal(seen(p, "web"), 2);
	expect_latest(f, "web", &updated.digest);
	deleted = delete (p, "web");
	assert_int_equal(deleted.op, OUTCOME_DELETED);
	assert_true(deleted.version > updated.version);
	assert_int_equal(seen(p, "web"), 0);
	expect_latest(f, "web", &deleted.digest);
	assert_int_equal(delete (p, "web").err.code, ERROR_NOT_FOUND);
	publisher_free(p);
	assert_int_equal(seen_after_restart(f, "web"), 0);
	fake_destroy(f);
}

static void equal_intent_is_no_change_and_pushes_nothing(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct outcome first = put(p, "web", 1), second;

	fake_forget(f);
	second = put(p, "web", 1);
	assert_int_equal(second.op, OUTCOME_UNCHANGED);
	assert_int_equal(second.version, first.version);
	assert_true(digest_eq(&second.digest, &first.digest));
	assert_int_equal(f->n_pushes, 0);
	publisher_free(p);
	fake_destroy(f);
}

static void a_restart_pushes_nothing(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);

	put(p, "web", 1);
	delete (p, "web");
	put(p, "db", 3);
	publisher_free(p);
	fake_forget(f);
	assert_int_equal(seen_after_restart(f, "db"), 3);
	assert_int_equal(f->n_pushes, 0);
	fake_destroy(f);
}

static void the_order_of_a_commit_is_artifacts_catalog_record_commit_point_derived(void **state)
{
	bool atomic = *(bool *)*state;
	struct fake *f = fake_new(atomic);
	struct publisher *p = start_with(f, true, fixture_clock);

	wait_ready(p);
	fake_forget(f);
	put(p, "web", 1);
	/* In a transaction every tag moves with what it names. */
	assert_string_equal(
		f->last_pushes, atomic ? "gitops-squared/resources/default/web:v1764000000000001 "
					 "gitops-squared/resources/default/web:latest "
					 "gitops-squared/catalog:c1764000000000001 "
					 "gitops-squared/catalog:latest "
					 "gitops-squared/commits:c1764000000000001 "
					 "gitops-squared/commits:latest "
				       : "gitops-squared/resources/default/web:v1764000000000001 "
					 "gitops-squared/catalog:c1764000000000001 "
					 "gitops-squared/commits:c1764000000000001 "
					 "gitops-squared/commits:latest "
					 "gitops-squared/catalog:latest "
					 "gitops-squared/resources/default/web:latest ");
	publisher_free(p);
	fake_destroy(f);
}

/* ---- versions ---- */

static void versions_rise_when_the_clock_stands_still_or_steps_back(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_with(f, true, fixture_clock);
	uint64_t start_us = fixture_now, last = 0;

	wait_ready(p);
	for (unsigned i = 1; i <= 10; i++) {
		struct outcome o = put(p, "web", i);

		assert_true(o.version > last);
		last = o.version;
		if (i == 5)
			__atomic_sub_fetch(&fixture_now, 3600ULL * 1000000, __ATOMIC_RELAXED);
	}
	publisher_free(p);
	p = start_with(f, false, fixture_clock);
	wait_ready(p);
	assert_true(put(p, "web", 1).version > last);
	publisher_free(p);
	fixture_now = start_us;
	fake_destroy(f);
}

static void a_tag_left_by_a_failed_write_is_passed_over(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_with(f, true, fixture_clock);
	struct digest debris = digest_of(SLICE("debris")), now;
	struct outcome o;

	wait_ready(p);
	fake_set_tag(f, "gitops-squared/resources/default/web", "v1764000000000001", &debris);
	fake_set_tag(f, "gitops-squared/resources/default/web", "v1764000000000002", &debris);
	o = put(p, "web", 1);
	assert_int_equal(o.err.code, ERROR_NONE);
	assert_int_equal(o.version, 1764000000000003);
	assert_true(
		fake_resolve(f, "gitops-squared/resources/default/web", "v1764000000000001", &now));
	assert_true(digest_eq(&now, &debris));
	publisher_free(p);
	fake_destroy(f);
}

/* ---- faults: every call of a write fails in turn ---- */

/* Calls of a write: 0 resolve, 1 artifact, 2 catalog, 3 record, 4 point, 5 and 6 derived. */
#define CALL_POINT 4
#define CALL_DERIVED 5

enum kind { CREATE, UPDATE, DELETE, KINDS };

static struct outcome act(struct publisher *p, enum kind kind)
{
	return kind == DELETE ? delete (p, "web") : put(p, "web", 2);
}

static unsigned replicas_after(enum kind kind)
{
	return kind == DELETE ? 0 : 2;
}

/* Prepares a store, lets call number n of the write fail, and checks all that must hold. Returns
 * false when the write has fewer calls than that. */
static bool one_fault(bool atomic, enum kind kind, size_t n, enum fake_fault fault)
{
	struct fake *f = fake_new(atomic);
	struct publisher *p = start(f);
	unsigned before = kind == CREATE ? 0 : 1, now;
	struct outcome o;
	bool reached, before_point = n < CALL_POINT;

	put(p, "other", 1);
	if (kind != CREATE)
		put(p, "web", 1);
	fake_fail(f, n, 1, fault);
	o = act(p, kind);
	wait_ready(p); /* the publisher lets go of the registry */
	reached = f->n_calls > f->fault_at;
	f->fault_at = SIZE_MAX;
	now = seen(p, "web");
	if (o.err.code == ERROR_NONE) {
		assert_int_equal(now, replicas_after(kind));
	} else {
		assert_int_equal(o.err.code, ERROR_UNAVAILABLE);
		assert_true(o.err.retry_after_s > 0);
		assert_true(now == before || (!before_point && now == replicas_after(kind)));
	}
	assert_int_equal(seen_after_restart(f, "web"), now);
	o = act(p, kind);
	if (kind == DELETE && now == 0)
		assert_int_equal(o.err.code, ERROR_NOT_FOUND);
	else
		assert_int_equal(o.err.code, ERROR_NONE);
	assert_int_equal(seen(p, "web"), replicas_after(kind));
	assert_int_equal(seen(p, "other"), 1);
	publisher_free(p);
	assert_int_equal(seen_after_restart(f, "web"), replicas_after(kind));
	assert_int_equal(seen_after_restart(f, "other"), 1);
	fake_destroy(f);
	return reached;
}

static void a_fault_at_any_call_of_a_write_loses_nothing_and_the_retry_succeeds(void **state)
{
	static const enum fake_fault faults[] = {
		FAKE_UNAVAILABLE, FAKE_LOST_BEFORE, FAKE_LOST_AFTER};

	for (int kind = 0; kind < KINDS; kind++) {
		for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
			size_t n = 0;

			while (one_fault(*(bool *)*state, (enum kind)kind, n, faults[i]))
				n++;
			/* Head, three pushes, and the commit or else point and two derived tags. */
			assert_true(n >= (*(bool *)*state ? 5 : 7));
		}
	}
}

static void a_commit_whose_answer_was_lost_is_answered_as_what_it_was(void **state UNUSED)
{
	struct fake *f = fake_new(false);
	struct publisher *p = start(f);

	fake_fail(f, CALL_POINT, 1, FAKE_LOST_AFTER);
	assert_int_equal(put(p, "web", 1).err.code, ERROR_NONE);
	assert_int_equal(seen(p, "web"), 1);
	fake_fail(f, CALL_POINT, 1, FAKE_LOST_BEFORE);
	assert_int_equal(put(p, "web", 2).err.code, ERROR_UNAVAILABLE);
	assert_int_equal(seen(p, "web"), 1);
	publisher_free(p);
	fake_destroy(f);
}

static void a_lost_answer_is_looked_up_until_the_registry_answers(void **state UNUSED)
{
	struct fake *f = fake_new(false);
	struct publisher *p = start(f);

	fake_fail(f, CALL_POINT, 3, FAKE_LOST_AFTER); /* the point, and two reads after it */
	assert_int_equal(put(p, "web", 1).err.code, ERROR_NONE);
	assert_int_equal(seen(p, "web"), 1);
	publisher_free(p);
	fake_destroy(f);
}

static void after_the_commit_point_tags_are_rolled_forward(void **state UNUSED)
{
	struct fake *f = fake_new(false);
	struct publisher *p = start(f);
	struct outcome o;

	put(p, "web", 1);
	fake_fail(f, CALL_DERIVED, 2, FAKE_UNAVAILABLE);
	assert_int_equal(delete (p, "web").err.code, ERROR_UNAVAILABLE);
	wait_ready(p);
	assert_int_equal(seen(p, "web"), 0);
	o = put(p, "web", 1);
	assert_int_equal(o.op, OUTCOME_CREATED);
	expect_latest(f, "web", &o.digest);
	publisher_free(p);
	fake_destroy(f);
}

static void a_crash_after_the_commit_point_of_a_delete_keeps_it_deleted(void **state UNUSED)
{
	struct fake *f = fake_new(false);
	struct publisher *p = start(f);
	struct digest old, latest;
	struct outcome deleted;

	put(p, "web", 1);
	assert_true(fake_resolve(f, "gitops-squared/resources/default/web", "latest", &old));
	deleted = delete (p, "web");
	publisher_free(p);
	/* as if the process had ended before any derived tag moved */
	fake_set_tag(f, "gitops-squared/resources/default/web", "latest", &old);
	assert_int_equal(seen_after_restart(f, "web"), 0);
	assert_true(fake_resolve(f, "gitops-squared/resources/default/web", "latest", &latest));
	assert_true(digest_eq(&latest, &deleted.digest));
	assert_int_equal(seen_after_restart(f, "web"), 0);
	fake_destroy(f);
}

/* ---- starting ---- */

static void expect_not_ready(struct fake *f, bool init, const char *why)
{
	struct publisher *p = start_with(f, init, NULL);

	for (size_t i = 0; i < 100; i++) {
		assert_int_equal(publisher_ready(p, &err), -1);
		if (strstr(err.text, why) != NULL)
			break;
		usleep(10 * 1000);
	}
	assert_non_null(strstr(err.text, why));
	assert_int_equal(put(p, "web", 9).err.code, ERROR_UNAVAILABLE);
	publisher_free(p);
	assert_int_equal(f->n_pushes, 0);
}

static void an_empty_store_without_init_is_refused(void **state UNUSED)
{
	struct fake *f = fake_new(true);

	expect_not_ready(f, false, "--init");
	fake_destroy(f);
}

static void a_store_that_lost_its_record_is_refused_even_with_init(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);

	put(p, "web", 1);
	publisher_free(p);
	fake_drop_tag(f, "gitops-squared/commits", "latest");
	fake_forget(f);
	expect_not_ready(f, true, "gsq rebuild");
	fake_drop_tag(f, "gitops-squared/catalog", "latest");
	expect_not_ready(f, true, "gsq rebuild");
	fake_destroy(f);
}

static void a_damaged_catalog_is_refused_by_name(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct digest catalog;

	put(p, "web", 1);
	publisher_free(p);
	assert_true(fake_resolve(f, "gitops-squared/catalog", "latest", &catalog));
	fake_damage(f, &catalog);
	fake_forget(f);
	expect_not_ready(f, true, "gitops-squared/catalog");
	fake_destroy(f);
}

static void a_registry_that_is_down_at_the_start_is_waited_for(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);

	put(p, "web", 1);
	publisher_free(p);
	fake_fail(f, 0, 2, FAKE_UNAVAILABLE);
	p = start_with(f, false, NULL);
	assert_int_equal(publisher_ready(p, &err), -1);
	wait_ready(p);
	assert_int_equal(seen(p, "web"), 1);
	publisher_free(p);
	fake_destroy(f);
}

static void the_server_that_is_behind_notices_and_loses_nothing(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *a = start(f), *b = start(f);

	assert_int_equal(put(a, "web", 1).err.code, ERROR_NONE);
	assert_int_equal(put(b, "db", 1).err.code, ERROR_UNAVAILABLE);
	wait_ready(b);
	assert_int_equal(seen(b, "web"), 1);
	assert_int_equal(put(b, "db", 1).err.code, ERROR_NONE);
	assert_int_equal(seen(b, "web"), 1);
	publisher_free(a);
	publisher_free(b);
	assert_int_equal(seen_after_restart(f, "web"), 1);
	assert_int_equal(seen_after_restart(f, "db"), 1);
	fake_destroy(f);
}

/* ---- the registry is not as we left it ---- */

static void no_answer_is_given_from_a_head_that_another_server_has_moved(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *a = start(f), *b;

	put(a, "web", 1);
	b = start(f);
	delete (a, "web");
	assert_int_equal(put(b, "web", 1).err.code, ERROR_UNAVAILABLE); /* not "unchanged" */
	wait_ready(b);
	assert_int_equal(put(b, "web", 1).op, OUTCOME_CREATED);
	publisher_free(a);
	publisher_free(b);
	fake_destroy(f);
}

static void a_server_that_is_behind_does_not_say_that_there_is_no_such_resource(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *a = start(f), *b = start(f);

	put(a, "web", 1);
	assert_int_equal(delete (b, "web").err.code, ERROR_UNAVAILABLE);
	wait_ready(b);
	assert_int_equal(delete (b, "web").op, OUTCOME_DELETED);
	publisher_free(a);
	publisher_free(b);
	fake_destroy(f);
}

static void whether_a_resource_is_there_is_not_said_while_the_head_cannot_be_read(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);

	fake_fail(f, 0, 1, FAKE_UNAVAILABLE);
	assert_int_equal(delete (p, "web").err.code, ERROR_UNAVAILABLE);
	assert_int_equal(delete (p, "web").err.code, ERROR_NOT_FOUND);
	publisher_free(p);
	fake_destroy(f);
}

/* The transaction of somebody else holds the first change up, so the second, of the same resource,
 * waits in the queue when the first is in doubt. */
static void what_waits_behind_a_batch_in_doubt_is_told_to_come_back(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *one = make_intent("web", 1);
	CLEANUP(intent_unrefp) struct intent *two = make_intent("web", 2);
	struct fake *f = fake_new(false);
	struct publisher *p = start(f);
	struct waiter first, second;

	waiter_init(&first, 1);
	waiter_init(&second, 1);
	AZ(pthread_mutex_lock(&f->lock));
	fake_fail(f, CALL_POINT, 3, FAKE_LOST_AFTER); /* the point, and two reads after it */
	publisher_put(p, one, ALWAYS, NULL, waiter_done, &first);
	publisher_put(p, two, ALWAYS, NULL, waiter_done, &second);
	AZ(pthread_mutex_unlock(&f->lock));
	waiter_wait(&first);
	waiter_wait(&second);
	assert_int_equal(first.last.err.code, ERROR_NONE);
	assert_int_equal(second.last.err.code, ERROR_UNAVAILABLE);
	assert_int_equal(seen(p, "web"), 1);
	publisher_free(p);
	fake_destroy(f);
}

static void a_record_that_went_back_is_not_adopted_while_running(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct digest old;

	put(p, "web", 1);
	assert_true(fake_resolve(f, "gitops-squared/commits", "latest", &old));
	put(p, "db", 1);
	fake_set_tag(f, "gitops-squared/commits", "latest", &old);
	fake_forget(f);
	assert_int_equal(put(p, "more", 1).err.code, ERROR_UNAVAILABLE);
	while (publisher_ready(p, &err) == 0 || strstr(err.text, "went back") == NULL)
		usleep(1000);
	assert_int_equal(seen(p, "db"), 1);
	publisher_free(p);
	assert_int_equal(f->n_pushes, 0); /* no tag went back with it, or Flux would prune */
	assert_int_equal(seen_after_restart(f, "db"), 0); /* on an operator's word */
	fake_destroy(f);
}

/* ---- rebuild ---- */

static void rebuild_finds_what_the_lost_record_said(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	uint64_t highest;
	size_t count;

	put(p, "web", 1);
	put(p, "db", 2);
	delete (p, "web");
	highest = put(p, "db", 3).version;
	publisher_free(p);
	fake_drop_tag(f, "gitops-squared/commits", "latest");
	assert_int_equal(rebuild_run(&f->registry, &rebuild, &count, &err), 0);
	assert_int_equal(count, 1);
	p = start_with(f, false, fixture_clock);
	wait_ready(p);
	assert_int_equal(seen(p, "db"), 3);
	assert_int_equal(seen(p, "web"), 0);
	assert_true(put(p, "db", 4).version > highest);
	publisher_free(p);
	fake_destroy(f);
}

static void rebuild_stops_at_an_altered_artifact_and_pushes_nothing(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct digest web;
	size_t count;

	put(p, "web", 1);
	put(p, "db", 2);
	publisher_free(p);
	assert_true(fake_resolve(f, "gitops-squared/resources/default/web", "latest", &web));
	fake_damage(f, &web);
	fake_forget(f);
	assert_int_equal(rebuild_run(&f->registry, &rebuild, &count, &err), -1);
	assert_non_null(strstr(err.text, "gitops-squared/resources/default/web"));
	assert_int_equal(f->n_pushes, 0);
	fake_destroy(f);
}

static void rebuild_goes_by_the_record_where_tags_lag_behind(void **state UNUSED)
{
	struct fake *f = fake_new(false);
	struct publisher *p = start(f);
	struct digest old;
	size_t count;

	put(p, "web", 1);
	put(p, "db", 1);
	assert_true(fake_resolve(f, "gitops-squared/resources/default/web", "latest", &old));
	delete (p, "web");
	publisher_free(p);
	/* as if the process had ended before any derived tag moved */
	fake_set_tag(f, "gitops-squared/resources/default/web", "latest", &old);
	assert_int_equal(rebuild_run(&f->registry, &rebuild, &count, &err), 0);
	assert_int_equal(count, 1);
	assert_int_equal(seen_after_restart(f, "web"), 0);
	fake_destroy(f);
}

static void rebuild_of_a_store_without_resources_is_refused(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	size_t count;

	assert_int_equal(rebuild_run(&f->registry, &rebuild, &count, &err), -1);
	assert_non_null(strstr(err.text, "right store"));
	assert_int_equal(f->n_pushes, 0);
	fake_destroy(f);
}

static void rebuild_stops_at_a_version_past_all_dates(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct digest d;
	size_t count;

	d = put(p, "web", 1).digest;
	publisher_free(p);
	fake_set_tag(f, "gitops-squared/resources/default/web", "v253402300799999999", &d);
	fake_forget(f);
	assert_int_equal(rebuild_run(&f->registry, &rebuild, &count, &err), -1);
	assert_non_null(strstr(err.text, "year 9999"));
	assert_int_equal(f->n_pushes, 0);
	fake_destroy(f);
}

static void rebuild_passes_over_a_version_that_nobody_can_have_issued(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct outcome o = put(p, "web", 1);
	size_t count;

	publisher_free(p);
	fake_set_tag(f, "gitops-squared/resources/default/web", "v18446744073709551615", &o.digest);
	assert_int_equal(rebuild_run(&f->registry, &rebuild, &count, &err), 0);
	p = start_with(f, false, fixture_clock);
	wait_ready(p);
	assert_true(put(p, "web", 2).version > o.version);
	publisher_free(p);
	fake_destroy(f);
}

static void rebuild_takes_a_repository_once_that_is_listed_twice(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	size_t count;

	put(p, "web", 1);
	put(p, "db", 2);
	publisher_free(p);
	f->lists_twice = true;
	assert_int_equal(rebuild_run(&f->registry, &rebuild, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(seen_after_restart(f, "web"), 1);
	assert_int_equal(seen_after_restart(f, "db"), 2);
	fake_destroy(f);
}

static void rebuild_stops_at_a_forged_tombstone(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct digest tombstone;
	size_t count;

	put(p, "web", 1);
	put(p, "db", 1);
	tombstone = delete (p, "db").digest;
	publisher_free(p);
	fake_drop_tag(f, "gitops-squared/commits", "latest");
	fake_copy(f, "gitops-squared/resources/default/db", "gitops-squared/resources/default/web",
		&tombstone);
	fake_set_tag(f, "gitops-squared/resources/default/web", "latest", &tombstone);
	fake_forget(f);
	assert_int_equal(rebuild_run(&f->registry, &rebuild, &count, &err), -1);
	assert_non_null(strstr(err.text, "gitops-squared/resources/default/web"));
	assert_int_equal(f->n_pushes, 0);
	fake_destroy(f);
}

/* ---- many at once ---- */

#define WRITERS 100

static void a_hundred_writers_to_one_resource_all_get_their_answer(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct waiter w;
	size_t versions = 0;

	waiter_init(&w, WRITERS);
	for (unsigned i = 0; i < WRITERS; i++) {
		CLEANUP(intent_unrefp) struct intent *intent = make_intent("web", 1 + i % 10);

		publisher_put(p, intent, ALWAYS, NULL, waiter_done, &w);
	}
	waiter_wait(&w);
	assert_int_equal(w.ok, WRITERS);
	assert_int_equal(w.unchanged, 0);
	assert_int_equal(seen(p, "web"), 10);
	for (size_t i = 0; i < f->n_tags; i++)
		versions += strcmp(f->tags[i].repository, "gitops-squared/resources/default/web") ==
				    0 &&
			    f->tags[i].tag[0] == 'v';
	assert_int_equal(versions, WRITERS);
	publisher_free(p);
	assert_int_equal(seen_after_restart(f, "web"), 10);
	fake_destroy(f);
}

static void a_hundred_writers_to_a_hundred_resources_share_commits(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct waiter w;
	char name[16];

	waiter_init(&w, WRITERS);
	for (unsigned i = 0; i < WRITERS; i++) {
		CLEANUP(intent_unrefp) struct intent *intent = NULL;

		snprintf(name, sizeof(name), "web-%u", i);
		intent = make_intent(name, 1 + i % 10);
		publisher_put(p, intent, ALWAYS, NULL, waiter_done, &w);
	}
	waiter_wait(&w);
	assert_int_equal(w.ok, WRITERS);
	for (unsigned i = 0; i < WRITERS; i++) {
		snprintf(name, sizeof(name), "web-%u", i);
		assert_int_equal(seen(p, name), 1 + i % 10);
	}
	publisher_free(p);
	fake_destroy(f);
}

static unsigned committed_so_far(void)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(64 * KIB);
	const char *sum;
	unsigned n;

	metric_write(&publish_metric_batch_size, &text);
	assert_int_equal(buf_check(&text, &err), 0);
	sum = strstr(text.data, "gsq_commit_batch_size_sum ");
	AN(sum);
	assert_int_equal(sscanf(sum, "gsq_commit_batch_size_sum %u", &n), 1);
	return n;
}

/* The transaction of somebody else holds the first change up, so the others share a batch. */
static void the_size_of_a_batch_is_what_it_commits(void **state)
{
	CLEANUP(intent_unrefp) struct intent *first = make_intent("first", 1);
	CLEANUP(intent_unrefp) struct intent *same = make_intent("web", 1);
	CLEANUP(intent_unrefp) struct intent *other = make_intent("other", 1);
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	unsigned before;
	struct waiter w;

	put(p, "web", 1);
	before = committed_so_far();
	waiter_init(&w, 4);
	AZ(pthread_mutex_lock(&f->lock));
	publisher_put(p, first, ALWAYS, NULL, waiter_done, &w);
	publisher_put(p, same, ALWAYS, NULL, waiter_done, &w);
	publisher_put(p, other, ALWAYS, NULL, waiter_done, &w);
	publisher_delete(p, "default", "none", ALWAYS, NULL, waiter_done, &w);
	AZ(pthread_mutex_unlock(&f->lock));
	waiter_wait(&w);
	assert_int_equal(w.ok, 3);
	assert_int_equal(w.unchanged, 1);
	assert_int_equal(committed_so_far() - before, 2);
	publisher_free(p);
	fake_destroy(f);
}

static void a_failing_resource_leaves_its_batch_mates_alone(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct waiter w;
	char name[16];

	/* Both wait while the first is under way, and share a batch or not: one push fails. */
	waiter_init(&w, WRITERS);
	fake_fail(f, 1, 1, FAKE_UNAVAILABLE);
	for (unsigned i = 0; i < WRITERS; i++) {
		CLEANUP(intent_unrefp) struct intent *intent = NULL;

		snprintf(name, sizeof(name), "web-%u", i);
		intent = make_intent(name, 1);
		publisher_put(p, intent, ALWAYS, NULL, waiter_done, &w);
	}
	waiter_wait(&w);
	assert_int_equal(w.ok, WRITERS - 1);
	publisher_free(p);
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_resource_is_created_updated_and_deleted),
		ON_BOTH(equal_intent_is_no_change_and_pushes_nothing),
		ON_BOTH(a_restart_pushes_nothing),
		ON_BOTH(the_order_of_a_commit_is_artifacts_catalog_record_commit_point_derived),
		ON_BOTH(versions_rise_when_the_clock_stands_still_or_steps_back),
		ON_BOTH(a_tag_left_by_a_failed_write_is_passed_over),
		ON_BOTH(a_fault_at_any_call_of_a_write_loses_nothing_and_the_retry_succeeds),
		cmocka_unit_test(a_commit_whose_answer_was_lost_is_answered_as_what_it_was),
		cmocka_unit_test(a_lost_answer_is_looked_up_until_the_registry_answers),
		cmocka_unit_test(after_the_commit_point_tags_are_rolled_forward),
		cmocka_unit_test(a_crash_after_the_commit_point_of_a_delete_keeps_it_deleted),
		cmocka_unit_test(an_empty_store_without_init_is_refused),
		cmocka_unit_test(a_store_that_lost_its_record_is_refused_even_with_init),
		cmocka_unit_test(a_damaged_catalog_is_refused_by_name),
		cmocka_unit_test(a_registry_that_is_down_at_the_start_is_waited_for),
		ON_BOTH(the_server_that_is_behind_notices_and_loses_nothing),
		ON_BOTH(no_answer_is_given_from_a_head_that_another_server_has_moved),
		ON_BOTH(a_server_that_is_behind_does_not_say_that_there_is_no_such_resource),
		ON_BOTH(whether_a_resource_is_there_is_not_said_while_the_head_cannot_be_read),
		cmocka_unit_test(what_waits_behind_a_batch_in_doubt_is_told_to_come_back),
		cmocka_unit_test(a_record_that_went_back_is_not_adopted_while_running),
		cmocka_unit_test(rebuild_finds_what_the_lost_record_said),
		cmocka_unit_test(rebuild_stops_at_an_altered_artifact_and_pushes_nothing),
		cmocka_unit_test(rebuild_goes_by_the_record_where_tags_lag_behind),
		cmocka_unit_test(rebuild_of_a_store_without_resources_is_refused),
		cmocka_unit_test(rebuild_stops_at_a_version_past_all_dates),
		cmocka_unit_test(rebuild_passes_over_a_version_that_nobody_can_have_issued),
		cmocka_unit_test(rebuild_takes_a_repository_once_that_is_listed_twice),
		cmocka_unit_test(rebuild_stops_at_a_forged_tombstone),
		ON_BOTH(a_hundred_writers_to_one_resource_all_get_their_answer),
		ON_BOTH(a_hundred_writers_to_a_hundred_resources_share_commits),
		ON_BOTH(the_size_of_a_batch_is_what_it_commits),
		ON_BOTH(a_failing_resource_leaves_its_batch_mates_alone),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
