/* SPDX-License-Identifier: Apache-2.0 */
/* When Flux is woken, and how seldom. */
#include "test.h"

#include "cluster/waker.h"
#include "fake_kube.h"
#include "fake_publisher.h"

#include <stdio.h>

#define ROOT "gitops-squared/catalog"
#define A "gitops-squared/catalogs/a/00"

struct world {
	struct kube kube;
	struct flux flux;
	struct waker w;
};

static void world_init(struct world *w)
{
	*w = (struct world){.w = {.kube = &w->kube, .flux = &w->flux}};
}

/* Answers what is under way, so that nothing leaks. */
static void world_done(struct world *w)
{
	for (size_t i = 0; i < w->kube.n; i++)
		if (w->kube.patches[i].done != NULL)
			fake_kube_answer(&w->kube, i, ERROR_NONE);
	flux_done(&w->flux);
}

static struct flux_catalog *add(struct world *w, const char *repository)
{
	struct flux_catalog *c = flux_catalog(&w->flux, repository);

	assert_non_null(c);
	c->source.is_there = true;
	return c;
}

/* source-controller has handled this patch. */
static void handle(struct world *w, struct flux_catalog *c, size_t patch)
{
	fake_kube_token(&w->kube, patch, c->source.handled);
	waker_seen(&w->w, c);
}

static void assert_woken(struct world *w, size_t i, const char *name)
{
	fake_kube_assert_patch(
		&w->kube, i, FLUX_SOURCES, name, "\"reconcile.fluxcd.io/requestedAt\":\"1");
}

static void a_commit_wakes_the_catalog(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w);
	add(&w, A);
	waker_wake(&w.w, A);
	assert_int_equal(w.kube.n, 1);
	assert_woken(&w, 0, "gitops-squared-a-00");
}

static void one_wake_is_outstanding_and_all_that_comes_meanwhile_makes_one_more(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	struct flux_catalog *c;
	char first[32], second[32];

	world_init(&w);
	c = add(&w, A);
	waker_wake(&w.w, A);
	waker_wake(&w.w, A);
	fake_kube_answer(&w.kube, 0, ERROR_NONE);
	waker_wake(&w.w, A);
	assert_int_equal(w.kube.n, 1);
	handle(&w, c, 0);
	assert_int_equal(w.kube.n, 2);
	fake_kube_token(&w.kube, 0, first);
	fake_kube_token(&w.kube, 1, second);
	assert_string_not_equal(first, second);
	waker_seen(&w.w, c); /* the same once more */
	handle(&w, c, 1);
	assert_int_equal(w.kube.n, 2);
	waker_wake(&w.w, A);
	assert_int_equal(w.kube.n, 3);
}

static void catalogs_do_not_wait_for_each_other(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w);
	add(&w, A);
	add(&w, "gitops-squared/catalogs/b/00");
	waker_wake(&w.w, A);
	waker_wake(&w.w, "gitops-squared/catalogs/b/00");
	assert_int_equal(w.kube.n, 2);
	assert_woken(&w, 1, "gitops-squared-b-00");
}

static void handled_by_another_token_does_nothing(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	struct flux_catalog *c;

	world_init(&w);
	c = add(&w, A);
	waker_wake(&w.w, A);
	waker_wake(&w.w, A);
	snprintf(c->source.handled, sizeof(c->source.handled), "2026-11-24T17:24:42Z");
	waker_seen(&w.w, c);
	c->source.handled[0] = '\0';
	waker_seen(&w.w, c);
	assert_int_equal(w.kube.n, 1);
}

static void a_child_that_flux_does_not_know_comes_with_the_root(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w);
	waker_wake(&w.w, A);
	waker_wake(&w.w, "gitops-squared/catalogs/b/00");
	assert_int_equal(w.kube.n, 1);
	assert_woken(&w, 0, "gitops-squared-catalog");
}

static void a_child_that_turns_out_to_be_gone_comes_with_the_root(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w);
	add(&w, A);
	waker_wake(&w.w, A);
	fake_kube_answer(&w.kube, 0, ERROR_NOT_FOUND);
	assert_int_equal(w.kube.n, 2);
	assert_woken(&w, 1, "gitops-squared-catalog");
	fake_kube_answer(&w.kube, 1, ERROR_NOT_FOUND); /* nor is there a root */
	assert_int_equal(w.kube.n, 2);
}

static void a_wake_without_an_answer_is_given_up_and_what_waits_goes(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w);
	add(&w, A);
	add(&w, "gitops-squared/catalogs/b/00");
	waker_wake(&w.w, A);
	waker_wake(&w.w, A);
	waker_wake(&w.w, "gitops-squared/catalogs/b/00");
	fake_clock_ms += LIMIT_WAKE_MS - 1;
	waker_tick(&w.w, NULL);
	assert_int_equal(w.kube.n, 2);
	fake_clock_ms++;
	waker_tick(&w.w, NULL);
	assert_int_equal(w.kube.n, 3);
	assert_woken(&w, 2, "gitops-squared-a-00");
	waker_wake(&w.w, "gitops-squared/catalogs/b/00"); /* is not held up any more */
	assert_int_equal(w.kube.n, 4);
}

/* ---- the sweep ---- */

static struct publisher *new_publisher(void)
{
	struct publisher *p = fake_publisher_new(LAYOUT_SPLIT, 1);

	fake_publisher_put(p, "a", "web", 1);
	fake_publisher_put(p, "b", "web", 2);
	return p;
}

static void fetch(struct world *w, const struct state *state)
{
	flux_catalog(&w->flux, ROOT)->source.artifact = *state_root(state);
	for (size_t i = 0; i < state_n_partitions(state); i++)
		flux_catalog(&w->flux, state_partition(state, i)->repository)->source.artifact =
			state_partition(state, i)->digest;
}

static void after_a_start_catalogs_that_are_behind_are_woken_and_others_not(void **state UNUSED)
{
	struct publisher *p = new_publisher();
	CLEANUP(world_done) struct world w;
	struct flux_catalog *c;

	world_init(&w);
	add(&w, ROOT);
	add(&w, A);
	c = add(&w, "gitops-squared/catalogs/b/00");
	fetch(&w, p->state);
	c->source.artifact = (struct digest){.algorithm = DIGEST_NONE};
	waker_tick(&w.w, p->state);
	assert_int_equal(w.kube.n, 1);
	assert_woken(&w, 0, "gitops-squared-b-00");
	fetch(&w, p->state);
	handle(&w, c, 0);
	fake_clock_ms += LIMIT_WAKE_MS;
	waker_tick(&w.w, p->state);
	assert_int_equal(w.kube.n, 1);
	fake_publisher_free(p);
}

static void a_wake_that_failed_is_repeated_by_the_sweep(void **state UNUSED)
{
	struct publisher *p = new_publisher();
	CLEANUP(world_done) struct world w;

	world_init(&w);
	add(&w, ROOT);
	add(&w, A);
	add(&w, "gitops-squared/catalogs/b/00");
	fetch(&w, p->state);
	waker_tick(&w.w, p->state);
	fake_publisher_put(p, "a", "web", 3);
	flux_catalog(&w.flux, ROOT)->source.artifact = *state_root(p->state);
	waker_wake(&w.w, A);
	fake_kube_answer(&w.kube, 0, ERROR_UNAVAILABLE);
	fake_clock_ms += LIMIT_WAKE_MS - 1;
	waker_tick(&w.w, p->state);
	assert_int_equal(w.kube.n, 1);
	fake_clock_ms++;
	waker_tick(&w.w, p->state);
	assert_int_equal(w.kube.n, 2);
	assert_woken(&w, 1, "gitops-squared-a-00");
	fake_publisher_free(p);
}

static void a_failure_of_an_older_wake_does_not_end_the_one_that_is_outstanding(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	struct flux_catalog *c;

	world_init(&w);
	c = add(&w, A);
	waker_wake(&w.w, A);
	fake_clock_ms += LIMIT_WAKE_MS;
	waker_tick(&w.w, NULL);
	waker_wake(&w.w, A);
	assert_int_equal(w.kube.n, 2);
	fake_kube_answer(&w.kube, 0, ERROR_UNAVAILABLE);
	assert_true(c->wake.outstanding);
	waker_wake(&w.w, A);
	assert_int_equal(w.kube.n, 2);
}

/* ---- retries ---- */

static void equal_intent_makes_flux_apply_again_what_it_refused(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	struct flux_catalog *c;

	world_init(&w);
	c = add(&w, A);
	waker_retry(&w.w, A);
	assert_int_equal(w.kube.n, 1); /* nothing has failed */
	c->kustomization.failure.is_failing = true;
	waker_retry(&w.w, A);
	assert_int_equal(w.kube.n, 2);
	fake_kube_assert_patch(
		&w.kube, 1, FLUX_KUSTOMIZATIONS, "gitops-squared-a-00", FLUX_REQUESTED);
	for (unsigned i = 0; i < 10; i++)
		waker_retry(&w.w, A);
	assert_int_equal(w.kube.n, 2);
	fake_kube_token(&w.kube, 1, c->kustomization.handled);
	waker_seen(&w.w, c);
	assert_int_equal(w.kube.n, 3);
	fake_kube_assert_patch(
		&w.kube, 2, FLUX_KUSTOMIZATIONS, "gitops-squared-a-00", FLUX_REQUESTED);
	fake_kube_answer(&w.kube, 2, ERROR_NOT_FOUND);
	assert_true(c->source.is_there);
	assert_false(c->retry.outstanding);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_commit_wakes_the_catalog),
		cmocka_unit_test(
			one_wake_is_outstanding_and_all_that_comes_meanwhile_makes_one_more),
		cmocka_unit_test(catalogs_do_not_wait_for_each_other),
		cmocka_unit_test(handled_by_another_token_does_nothing),
		cmocka_unit_test(a_child_that_flux_does_not_know_comes_with_the_root),
		cmocka_unit_test(a_child_that_turns_out_to_be_gone_comes_with_the_root),
		cmocka_unit_test(a_wake_without_an_answer_is_given_up_and_what_waits_goes),
		cmocka_unit_test(after_a_start_catalogs_that_are_behind_are_woken_and_others_not),
		cmocka_unit_test(a_wake_that_failed_is_repeated_by_the_sweep),
		cmocka_unit_test(
			a_failure_of_an_older_wake_does_not_end_the_one_that_is_outstanding),
		cmocka_unit_test(equal_intent_makes_flux_apply_again_what_it_refused),
	};

	digest_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
