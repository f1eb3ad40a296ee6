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
	fake_kube_answer_all(&w->kube);
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

/* ---- children that somebody took away ---- */

/* All catalogs are there, and applied as they are in the state; b's goes on to be looked at. */
static struct flux_catalog *apply(struct world *w, const struct state *state)
{
	add(w, ROOT);
	for (size_t i = 0; i < state_n_partitions(state); i++)
		add(w, state_partition(state, i)->repository)->kustomization.is_there = true;
	fetch(w, state);
	w->flux.sees_sources = w->flux.sees_kustomizations = true;
	flux_catalog(&w->flux, ROOT)->kustomization.applied = *state_root(state);
	return flux_catalog(&w->flux, "gitops-squared/catalogs/b/00");
}

static void sweep(struct world *w, const struct state *state)
{
	fake_clock_ms += LIMIT_WAKE_MS;
	waker_tick(&w->w, state);
}

static void assert_root_retried(struct world *w, size_t i)
{
	fake_kube_assert_patch(
		&w->kube, i, FLUX_KUSTOMIZATIONS, ROOT_KUSTOMIZATION, FLUX_REQUESTED);
}

static void a_child_that_somebody_took_away_comes_back_with_the_root(void **state UNUSED)
{
	struct publisher *p = new_publisher();
	CLEANUP(world_done) struct world w;
	struct flux_catalog *b, *root;

	world_init(&w);
	b = apply(&w, p->state);
	root = flux_catalog(&w.flux, ROOT);
	sweep(&w, p->state);
	assert_int_equal(w.kube.n, 0);
	b->kustomization.is_there = false;
	sweep(&w, p->state);
	assert_int_equal(w.kube.n, 1);
	assert_root_retried(&w, 0);
	b->kustomization.is_there = true;
	fake_kube_token(&w.kube, 0, root->kustomization.handled);
	waker_seen(&w.w, root);
	sweep(&w, p->state);
	assert_int_equal(w.kube.n, 1);
	b->source.is_there = false;
	sweep(&w, p->state);
	assert_root_retried(&w, 1);
	fake_publisher_free(p);
}

static void a_child_that_does_not_come_is_asked_for_again_but_not_twice_at_once(void **state UNUSED)
{
	struct publisher *p = new_publisher();
	CLEANUP(world_done) struct world w;
	struct flux_catalog *root;
	size_t n;

	world_init(&w);
	apply(&w, p->state)->kustomization.is_there = false;
	sweep(&w, p->state);
	assert_int_equal(w.kube.n, 1);
	sweep(&w, p->state); /* the first one is given up */
	assert_int_equal(w.kube.n, 2);
	root = flux_catalog(&w.flux, ROOT);
	fake_kube_token(&w.kube, 1, root->kustomization.handled);
	waker_seen(&w.w, root);
	root->kustomization.failure.is_failing = true;
	fake_clock_ms += LIMIT_WAKE_MS - 1;
	waker_retry(&w.w, ROOT); /* that will bring it */
	n = w.kube.n;
	fake_clock_ms++;
	waker_tick(&w.w, p->state);
	assert_int_equal(w.kube.n, n);
	assert_true(root->retry.outstanding);
	assert_false(root->retry.wanted);
	fake_publisher_free(p);
}

static void a_child_is_not_missed_before_flux_has_applied_the_current_root(void **state UNUSED)
{
	struct publisher *p = new_publisher();
	CLEANUP(world_done) struct world w;
	struct flux_catalog *root;

	world_init(&w);
	apply(&w, p->state)->kustomization.is_there = false;
	root = flux_catalog(&w.flux, ROOT);
	root->kustomization.applied = (struct digest){.algorithm = DIGEST_NONE};
	sweep(&w, p->state);
	root->kustomization.applied = digest_of(SLICE("earlier"));
	sweep(&w, p->state);
	root->kustomization.applied = *state_root(p->state);
	w.flux.sees_kustomizations = false; /* it may be there */
	sweep(&w, p->state);
	assert_int_equal(w.kube.n, 0);
	w.flux.sees_kustomizations = true;
	sweep(&w, p->state);
	assert_int_equal(w.kube.n, 1);
	assert_root_retried(&w, 0);
	fake_publisher_free(p);
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

static void set_failure(struct flux_catalog *c, const char *message)
{
	c->kustomization.failure.is_failing = true;
	snprintf(c->kustomization.failure.message, sizeof(c->kustomization.failure.message), "%s",
		message);
}

/* Flux has tried it again, and says the same. */
static void fail_again(struct world *w, struct flux_catalog *c, size_t patch)
{
	fake_kube_assert_patch(
		&w->kube, patch, FLUX_KUSTOMIZATIONS, "gitops-squared-b-00", FLUX_REQUESTED);
	fake_kube_token(&w->kube, patch, c->kustomization.handled);
	waker_seen(&w->w, c);
}

/* Which may have given it the rights; once more for an attempt that was under way then, and no
 * longer. */
static void what_was_forbidden_is_tried_again_when_the_root_was_applied(void **state UNUSED)
{
	struct publisher *p = new_publisher();
	CLEANUP(world_done) struct world w;
	struct flux_catalog *b, *root;

	world_init(&w);
	b = apply(&w, p->state);
	root = flux_catalog(&w.flux, ROOT);
	for (unsigned i = 0; i < 4; i++)
		sweep(&w, p->state);
	set_failure(b, "PlatformResource/b/web dry-run failed (Forbidden): ... is forbidden: ...");
	set_failure(flux_catalog(&w.flux, A), "PlatformResource/a/web dry-run failed: quota");
	sweep(&w, p->state);
	assert_int_equal(w.kube.n, 0); /* the root is what it was */
	fake_publisher_touch(p);
	fetch(&w, p->state);
	root->kustomization.applied = *state_root(p->state);
	sweep(&w, p->state);
	assert_int_equal(w.kube.n, 1);
	fail_again(&w, b, 0);
	sweep(&w, p->state);
	assert_int_equal(w.kube.n, 2);
	fail_again(&w, b, 1);
	for (unsigned i = 0; i < 4; i++)
		sweep(&w, p->state);
	assert_int_equal(w.kube.n, 2);
	fake_publisher_free(p);
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
		cmocka_unit_test(a_child_that_somebody_took_away_comes_back_with_the_root),
		cmocka_unit_test(
			a_child_that_does_not_come_is_asked_for_again_but_not_twice_at_once),
		cmocka_unit_test(a_child_is_not_missed_before_flux_has_applied_the_current_root),
		cmocka_unit_test(equal_intent_makes_flux_apply_again_what_it_refused),
		cmocka_unit_test(what_was_forbidden_is_tried_again_when_the_root_was_applied),
	};

	digest_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
