/* SPDX-License-Identifier: Apache-2.0 */
/* Which namespaces there are, and what becomes of resources whose namespace is not there. */
#include "test.h"

#include "cluster/namespaces.h"
#include "fake_kube.h"
#include "fake_publisher.h"

#include <stdio.h>

static struct error err;

/* ---- a cluster's namespaces ---- */

static void see(struct namespaces *n, const char *name, const char *phase)
{
	json_t *object = fake_json("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'%s'},"
				   "'spec':{'finalizers':['kubernetes']},'status':{'phase':'%s'}}",
		name, phase);

	namespaces_see(n, object);
	json_decref(object);
}

static void gone(struct namespaces *n, const char *name)
{
	json_t *object = fake_json("{'metadata':{'name':'%s'}}", name);

	namespaces_gone(n, object);
	json_decref(object);
}

static int check(struct namespaces *n, const char *name)
{
	err = (struct error)ERROR_INIT;
	return namespaces_check(n, name, &err);
}

/* "default" is there. */
static struct namespaces *new_synced(void)
{
	struct namespaces *n;

	assert_int_equal(namespaces_new(&n, &err), 0);
	namespaces_relist(n);
	see(n, "default", "Active");
	namespaces_synced(n);
	return n;
}

static void nothing_is_known_until_all_are_listed(void **state UNUSED)
{
	CLEANUP(namespaces_freep) struct namespaces *n = NULL;

	assert_int_equal(namespaces_new(&n, &err), 0);
	assert_int_equal(check(n, "default"), -1);
	namespaces_relist(n);
	see(n, "default", "Active");
	assert_int_equal(check(n, "default"), -1);
	namespaces_synced(n);
	assert_int_equal(check(n, "default"), 1);
}

static void while_the_watch_is_lost_the_last_list_answers(void **state UNUSED)
{
	CLEANUP(namespaces_freep) struct namespaces *n = new_synced();

	namespaces_lost(n, false);
	assert_int_equal(check(n, "default"), 1);
	assert_int_equal(check(n, "team-a"), 0);
	namespaces_relist(n); /* which goes on answering until the next one is complete */
	see(n, "team-a", "Active");
	assert_int_equal(check(n, "default"), 1);
	namespaces_synced(n);
	assert_int_equal(check(n, "default"), 0);
	assert_int_equal(check(n, "team-a"), 1);
}

static void where_the_list_is_denied_nothing_is_known(void **state UNUSED)
{
	CLEANUP(namespaces_freep) struct namespaces *n = NULL, *never = NULL;

	n = new_synced();
	namespaces_lost(n, true);
	assert_int_equal(check(n, "default"), -1);
	namespaces_lost(n, false); /* no connection after that either */
	assert_int_equal(check(n, "default"), -1);
	namespaces_relist(n);
	see(n, "default", "Active");
	namespaces_synced(n);
	assert_int_equal(check(n, "default"), 1);
	assert_int_equal(namespaces_new(&never, &err), 0);
	namespaces_lost(never, false);
	assert_int_equal(check(never, "default"), -1);
}

static void a_namespace_that_cannot_be_written_to_says_why(void **state UNUSED)
{
	CLEANUP(namespaces_freep) struct namespaces *n = new_synced();

	assert_int_equal(check(n, "team-a"), 0);
	assert_int_equal(err.code, ERROR_UNPROCESSABLE);
	assert_string_equal(err.field, "namespace");
	assert_string_equal(
		err.text, "namespace team-a does not exist in the cluster: create it first");
	see(n, "team-a", "Active");
	assert_int_equal(check(n, "team-a"), 1);
	see(n, "team-a", "Terminating");
	assert_int_equal(check(n, "team-a"), 0);
	assert_string_equal(err.text,
		"namespace team-a is being deleted in the cluster: wait until it is there again, "
		"or use another");
	gone(n, "team-a");
	assert_int_equal(check(n, "team-a"), 0);
	assert_non_null(strstr(err.text, "does not exist"));
}

static void what_a_list_does_not_name_is_gone(void **state UNUSED)
{
	CLEANUP(namespaces_freep) struct namespaces *n = new_synced();

	see(n, "team-a", "Active");
	namespaces_relist(n);
	see(n, "team-a", "Active");
	assert_int_equal(check(n, "default"), 1); /* until the list has ended */
	namespaces_synced(n);
	assert_int_equal(check(n, "default"), 0);
	assert_int_equal(check(n, "team-a"), 1);
}

/* ---- holding ---- */

/* Ticks and answers until nothing happens any more; returns how many ticks did something. */
static size_t run_in(struct namespaces *n, struct publisher *p, bool is_ours)
{
	size_t rounds = 0;

	for (unsigned quiet = 0; quiet < 10; quiet++) {
		size_t first = p->n_calls;

		fake_clock_ms += 1000;
		namespaces_tick(n, p, is_ours);
		if (p->n_calls > first) {
			rounds++;
			quiet = 0;
		}
		for (size_t i = first; i < p->n_calls; i++)
			fake_publisher_answer(p, &p->calls[i]);
	}
	return rounds;
}

/* In our own cluster. */
static size_t run(struct namespaces *n, struct publisher *p)
{
	return run_in(n, p, true);
}

static size_t count_held(struct publisher *p, const char *namespace)
{
	CLEANUP(state_cursor_freep) struct state_cursor *cursor = NULL;
	const struct resource *r;
	size_t held = 0;

	assert_int_equal(state_cursor_new(&cursor, p->state, namespace, "", &err), 0);
	while ((r = state_cursor_at(cursor)) != NULL) {
		held += r->hold != NULL && r->hold->reason == HOLD_NAMESPACE;
		state_cursor_advance(cursor);
	}
	return held;
}

static void end(struct namespaces *n, struct publisher *p)
{
	fake_publisher_free(p);
	namespaces_free(n);
}

static void resources_of_a_namespace_that_goes_away_are_held_until_it_is_back(void **state UNUSED)
{
	struct namespaces *n = new_synced();
	struct publisher *p = fake_publisher_new(LAYOUT_SPLIT, 1);

	see(n, "team-a", "Active");
	fake_publisher_put(p, "default", "web", 1);
	fake_publisher_put(p, "team-a", "db", 2);
	fake_publisher_put(p, "team-a", "web", 3);
	assert_int_equal(run(n, p), 0);
	see(n, "team-a", "Terminating");
	assert_int_equal(run(n, p), 1);
	assert_int_equal(p->n_calls, 3);
	assert_int_equal(p->calls[0].kind, FAKE_ROOT);
	assert_int_equal(p->calls[1].kind, FAKE_HOLD);
	assert_int_equal(p->calls[1].reason, HOLD_NAMESPACE);
	assert_true(p->calls[1].version == 2 && p->calls[1].instead == 0);
	assert_string_equal(p->calls[1].message, "namespace team-a is being deleted");
	assert_int_equal(count_held(p, "team-a"), 2);
	assert_int_equal(count_held(p, "default"), 0);
	gone(n, "team-a");
	assert_int_equal(run(n, p), 0);
	see(n, "team-a", "Active");
	assert_int_equal(run(n, p), 1);
	assert_int_equal(p->n_calls, 6);
	assert_int_equal(p->calls[3].kind, FAKE_ROOT);
	assert_int_equal(p->calls[4].kind, FAKE_RELEASE);
	assert_int_equal(p->calls[4].reason, HOLD_NAMESPACE);
	assert_int_equal(count_held(p, "team-a"), 0);
	end(n, p);
}

static void many_resources_are_held_in_batches_until_none_is_left(void **state UNUSED)
{
	struct namespaces *n = new_synced();
	struct publisher *p = fake_publisher_new(LAYOUT_SINGLE, 1);
	char name[32];

	for (unsigned i = 0; i < LIMIT_BATCH + 88; i++) {
		snprintf(name, sizeof(name), "web-%03u", i);
		fake_publisher_put(p, "team-a", name, 1 + i);
	}
	fake_clock_ms += 1000;
	namespaces_tick(n, p, true);
	assert_int_equal(p->n_calls, LIMIT_BATCH);
	fake_clock_ms += 1000;
	namespaces_tick(n, p, true);
	assert_int_equal(p->n_calls, LIMIT_BATCH); /* those are not answered yet */
	for (size_t i = 0; i < LIMIT_BATCH; i++)
		fake_publisher_answer(p, &p->calls[i]);
	assert_int_equal(run(n, p), 1);
	assert_int_equal(p->n_calls, LIMIT_BATCH + 88);
	assert_int_equal(count_held(p, "team-a"), LIMIT_BATCH + 88);
	end(n, p);
}

static void a_hold_that_failed_is_tried_again(void **state UNUSED)
{
	struct namespaces *n = new_synced();
	struct publisher *p = fake_publisher_new(LAYOUT_SINGLE, 1);

	fake_publisher_put(p, "team-a", "web", 1);
	namespaces_tick(n, p, true);
	fake_publisher_refuse(p, fake_publisher_last(p), ERROR_UNAVAILABLE);
	namespaces_tick(n, p, true);
	assert_int_equal(p->n_calls, 1); /* not at once */
	assert_int_equal(run(n, p), 1);
	assert_int_equal(count_held(p, "team-a"), 1);
	end(n, p);
}

static void what_flux_refuses_is_left_alone_where_nothing_of_it_is_applied(void **state UNUSED)
{
	struct namespaces *n = new_synced();
	struct publisher *p = fake_publisher_new(LAYOUT_SINGLE, 1);

	fake_publisher_put_held(p, "default", "a", 5, HOLD_REFUSED, 0);
	fake_publisher_put_held(p, "default", "b", 6, HOLD_REFUSED, 2);
	fake_publisher_put_held(p, "team-a", "a", 5, HOLD_REFUSED, 0);
	fake_publisher_put_held(p, "team-a", "b", 6, HOLD_REFUSED, 2);
	assert_int_equal(run(n, p), 1);
	assert_int_equal(p->n_calls, 1); /* its earlier version would stop all others */
	assert_string_equal(p->calls[0].namespace, "team-a");
	assert_string_equal(p->calls[0].name, "b");
	assert_int_equal(fake_publisher_held(p, "team-a", "a"), HOLD_REFUSED);
	assert_int_equal(fake_publisher_held(p, "team-a", "b"), HOLD_NAMESPACE);
	see(n, "team-a", "Active");
	assert_int_equal(run(n, p), 1);
	assert_int_equal(fake_publisher_held(p, "team-a", "a"), HOLD_REFUSED);
	assert_int_equal(fake_publisher_held(p, "team-a", "b"), HOLD_REASONS_);
	assert_int_equal(fake_publisher_held(p, "default", "a"), HOLD_REFUSED);
	end(n, p);
}

static void a_commit_into_a_namespace_that_is_gone_is_held(void **state UNUSED)
{
	struct namespaces *n = new_synced();
	struct publisher *p = fake_publisher_new(LAYOUT_SINGLE, 1);

	assert_int_equal(run(n, p), 0);
	fake_publisher_put(p, "team-a", "web", 1);
	namespaces_look(n, "team-a");
	fake_publisher_put(p, "default", "web", 1);
	namespaces_look(n, "default");
	assert_int_equal(run(n, p), 1);
	assert_int_equal(p->n_calls, 1);
	assert_string_equal(p->calls[0].message, "namespace team-a does not exist");
	end(n, p);
}

static void after_a_start_all_that_resources_are_in_are_looked_at(void **state UNUSED)
{
	struct publisher *p = fake_publisher_new(LAYOUT_SPLIT, 1);
	struct namespaces *n;

	fake_publisher_put_held(p, "default", "web", 1, HOLD_NAMESPACE, 0);
	fake_publisher_put(p, "team-a", "web", 2);
	assert_int_equal(namespaces_new(&n, &err), 0);
	namespaces_look_at_all(n);
	assert_int_equal(run(n, p), 0); /* nothing is known */
	namespaces_relist(n);
	see(n, "default", "Active");
	assert_int_equal(run(n, p), 0);
	namespaces_synced(n);
	assert_int_equal(run(n, p), 2);
	assert_int_equal(count_held(p, "default"), 0);
	assert_int_equal(count_held(p, "team-a"), 1);
	end(n, p);
}

static void nothing_is_held_while_nobody_may_write_or_nothing_is_heard(void **state UNUSED)
{
	struct namespaces *n = new_synced();
	struct publisher *p = fake_publisher_new(LAYOUT_SINGLE, 1);

	fake_publisher_put(p, "team-a", "web", 1);
	p->unwritable.code = ERROR_UNAVAILABLE;
	assert_int_equal(run(n, p), 0);
	p->unwritable.code = ERROR_NONE;
	namespaces_lost(n, false);
	assert_int_equal(run(n, p), 0);
	namespaces_lost(n, true);
	assert_int_equal(run(n, p), 0);
	namespaces_synced(n);
	assert_int_equal(run(n, p), 1);
	end(n, p);
}

/* With the kubeconfig of another cluster none of the namespaces is there. */
static void in_a_cluster_that_may_not_be_ours_a_namespace_never_seen_is_not_held(
	void **state UNUSED)
{
	struct namespaces *n = new_synced();
	struct publisher *p = fake_publisher_new(LAYOUT_SPLIT, 1);

	fake_publisher_put(p, "team-a", "web", 1);
	fake_publisher_put(p, "team-b", "web", 2);
	see(n, "team-b", "Terminating"); /* there, but never seen Active */
	namespaces_look(n, "team-a");
	assert_int_equal(run_in(n, p, false), 0);
	assert_int_equal(p->n_calls, 0);
	assert_int_equal(run_in(n, p, true), 2); /* it has turned out to be ours */
	assert_int_equal(count_held(p, "team-a"), 1);
	assert_int_equal(count_held(p, "team-b"), 1);
	end(n, p);
}

static void one_that_was_seen_active_is_held_and_released_in_any_cluster(void **state UNUSED)
{
	struct namespaces *n = new_synced();
	struct publisher *p = fake_publisher_new(LAYOUT_SPLIT, 1);

	fake_publisher_put(p, "default", "web", 1);
	fake_publisher_put_held(p, "team-a", "web", 2, HOLD_NAMESPACE, 0);
	gone(n, "default");
	see(n, "team-a", "Active");
	assert_int_equal(run_in(n, p, false), 2);
	assert_int_equal(count_held(p, "default"), 1);
	assert_int_equal(count_held(p, "team-a"), 0);
	end(n, p);
}

/* ---- its account in the root ---- */

/* Also where its catalogs have become empty, and nothing is to be held. */
static void a_namespace_that_goes_away_loses_its_account_until_it_is_back(void **state UNUSED)
{
	struct namespaces *n = new_synced();
	struct publisher *p = fake_publisher_new(LAYOUT_SPLIT, 1);

	see(n, "team-a", "Active");
	fake_publisher_put_held(p, "team-a", "web", 1, HOLD_REFUSED, 0);
	assert_int_equal(run(n, p), 0);
	assert_false(namespaces_lacks(n, "team-a"));
	see(n, "team-a", "Terminating");
	assert_int_equal(run(n, p), 1);
	assert_int_equal(p->n_calls, 1);
	assert_int_equal(p->calls[0].kind, FAKE_ROOT);
	assert_true(namespaces_lacks(n, "team-a"));
	assert_false(namespaces_lacks(n, "default"));
	gone(n, "team-a");
	assert_int_equal(run(n, p), 0);
	assert_true(namespaces_lacks(n, "team-a"));
	see(n, "team-a", "Active");
	assert_int_equal(run(n, p), 1);
	assert_int_equal(p->n_calls, 2);
	assert_int_equal(p->calls[1].kind, FAKE_ROOT);
	assert_false(namespaces_lacks(n, "team-a"));
	end(n, p);
}

/* What was committed before its account is in the root could not be applied. */
static void a_namespace_that_is_back_is_written_to_once_its_account_is_under_way(
	void **state UNUSED)
{
	struct namespaces *n = new_synced();
	struct publisher *p = fake_publisher_new(LAYOUT_SPLIT, 1);

	fake_publisher_put_held(p, "default", "web", 1, HOLD_NAMESPACE, 0);
	gone(n, "default");
	assert_int_equal(run(n, p), 1);
	see(n, "default", "Active");
	assert_int_equal(check(n, "default"), 0);
	assert_non_null(strstr(err.text, "default is back"));
	namespaces_tick(n, p, true);
	assert_int_equal(p->calls[1].kind, FAKE_ROOT);
	assert_int_equal(check(n, "default"), 1);
	for (size_t i = 1; i < p->n_calls; i++)
		fake_publisher_answer(p, &p->calls[i]);
	end(n, p);
}

static void the_root_is_left_alone_where_the_namespace_has_no_catalog(void **state UNUSED)
{
	struct namespaces *n = new_synced();
	struct publisher *p = fake_publisher_new(LAYOUT_SPLIT, 1);

	fake_publisher_put(p, "default", "web", 1);
	see(n, "team-a", "Active");
	gone(n, "team-a");
	assert_int_equal(run(n, p), 0);
	assert_int_equal(p->n_calls, 0);
	assert_true(namespaces_lacks(n, "team-a"));
	end(n, p);
}

static void after_a_start_all_that_catalogs_are_in_are_looked_at(void **state UNUSED)
{
	struct publisher *p = fake_publisher_new(LAYOUT_SPLIT, 1);
	struct namespaces *n;

	fake_publisher_put(p, "default", "web", 1);
	fake_publisher_put_held(p, "team-a", "web", 2, HOLD_NAMESPACE, 0);
	fake_publisher_remove(p, "team-a", "web");
	assert_int_equal(namespaces_new(&n, &err), 0);
	namespaces_look_at_all(n);
	assert_int_equal(run(n, p), 0); /* nothing is known */
	assert_false(namespaces_lacks(n, "team-a"));
	namespaces_relist(n);
	see(n, "default", "Active");
	namespaces_synced(n);
	assert_int_equal(run(n, p), 1);
	assert_int_equal(p->calls[0].kind, FAKE_ROOT);
	assert_true(namespaces_lacks(n, "team-a"));
	end(n, p);
}

static void in_a_cluster_that_may_not_be_ours_no_account_is_lost(void **state UNUSED)
{
	struct namespaces *n = new_synced();
	struct publisher *p = fake_publisher_new(LAYOUT_SPLIT, 1);

	fake_publisher_put(p, "team-a", "web", 1);
	namespaces_look(n, "team-a");
	assert_int_equal(run_in(n, p, false), 0);
	assert_false(namespaces_lacks(n, "team-a"));
	assert_int_equal(run_in(n, p, true), 1);
	assert_true(namespaces_lacks(n, "team-a"));
	end(n, p);
}

static void a_root_that_failed_is_tried_again(void **state UNUSED)
{
	struct namespaces *n = new_synced();
	struct publisher *p = fake_publisher_new(LAYOUT_SPLIT, 1);

	fake_publisher_put_held(p, "default", "web", 1, HOLD_NAMESPACE, 0);
	gone(n, "default");
	namespaces_tick(n, p, true);
	assert_int_equal(fake_publisher_last(p)->kind, FAKE_ROOT);
	fake_publisher_refuse(p, fake_publisher_last(p), ERROR_UNAVAILABLE);
	namespaces_tick(n, p, true);
	assert_int_equal(p->n_calls, 1); /* not at once */
	assert_int_equal(run(n, p), 1);
	assert_int_equal(p->n_calls, 2);
	assert_int_equal(p->calls[1].kind, FAKE_ROOT);
	end(n, p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_known_until_all_are_listed),
		cmocka_unit_test(while_the_watch_is_lost_the_last_list_answers),
		cmocka_unit_test(where_the_list_is_denied_nothing_is_known),
		cmocka_unit_test(a_namespace_that_cannot_be_written_to_says_why),
		cmocka_unit_test(what_a_list_does_not_name_is_gone),
		cmocka_unit_test(resources_of_a_namespace_that_goes_away_are_held_until_it_is_back),
		cmocka_unit_test(many_resources_are_held_in_batches_until_none_is_left),
		cmocka_unit_test(a_hold_that_failed_is_tried_again),
		cmocka_unit_test(what_flux_refuses_is_left_alone_where_nothing_of_it_is_applied),
		cmocka_unit_test(a_commit_into_a_namespace_that_is_gone_is_held),
		cmocka_unit_test(after_a_start_all_that_resources_are_in_are_looked_at),
		cmocka_unit_test(nothing_is_held_while_nobody_may_write_or_nothing_is_heard),
		cmocka_unit_test(
			in_a_cluster_that_may_not_be_ours_a_namespace_never_seen_is_not_held),
		cmocka_unit_test(one_that_was_seen_active_is_held_and_released_in_any_cluster),
		cmocka_unit_test(a_namespace_that_goes_away_loses_its_account_until_it_is_back),
		cmocka_unit_test(
			a_namespace_that_is_back_is_written_to_once_its_account_is_under_way),
		cmocka_unit_test(the_root_is_left_alone_where_the_namespace_has_no_catalog),
		cmocka_unit_test(after_a_start_all_that_catalogs_are_in_are_looked_at),
		cmocka_unit_test(in_a_cluster_that_may_not_be_ours_no_account_is_lost),
		cmocka_unit_test(a_root_that_failed_is_tried_again),
	};

	digest_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
