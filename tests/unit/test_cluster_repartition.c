/* SPDX-License-Identifier: Apache-2.0 */
/* From one layout to another: what is done when, and above all not before Flux shows that it may.
 */
#include "test.h"

#include "cluster/repartition.h"
#include "fake_kube.h"
#include "fake_publisher.h"

#include <stdio.h>

#define ROOT "gitops-squared/catalog"

static const struct layout single = {LAYOUT_SINGLE, 1}, split1 = {LAYOUT_SPLIT, 1},
			   split3 = {LAYOUT_SPLIT, 3};
static struct error err;

struct world {
	struct kube kube;
	struct flux flux;
	struct waker waker;
	struct publisher *p;
	struct feed *feed;
	struct tracker *tracker;
	struct repartition *r;
};

static void new_repartition(struct world *w)
{
	const struct repartition_options options = {
		.kube = &w->kube,
		.flux = &w->flux,
		.waker = &w->waker,
		.tracker = w->tracker,
	};

	w->waker = (struct waker){.kube = &w->kube, .flux = &w->flux};
	assert_int_equal(repartition_new(&w->r, &options, &err), 0);
}

/* ---- Flux ---- */

static struct flux_kustomization *of(struct world *w, const char *repository)
{
	struct flux_catalog *c = flux_catalog(&w->flux, repository);

	assert_non_null(c);
	return &c->kustomization;
}

/* Flux works by that spec, as root_layer() writes it. */
static void make_kustomization(struct world *w, const char *repository, bool prunes)
{
	struct flux_kustomization *k = of(w, repository);

	k->is_there = k->is_observed = true;
	k->prunes = prunes;
	k->orphans = strcmp(repository, ROOT) != 0;
}

static void apply_one(struct world *w, const char *repository, const struct digest *digest)
{
	struct flux_kustomization *k = of(w, repository);

	k->is_ready = true;
	k->applied = *digest;
	k->n_inventory = 1;
}

/* Flux shows all that is in the state. */
static void flux_follows(struct world *w, bool prunes)
{
	const struct state *s = w->p->state;

	for (size_t i = 0; i < state_n_partitions(s); i++) {
		const struct partition *p = state_partition(s, i);

		if (strcmp(p->repository, ROOT) != 0)
			make_kustomization(w, p->repository, prunes);
		apply_one(w, p->repository, &p->digest);
	}
	if (state_root(s) != NULL)
		apply_one(w, ROOT, state_root(s));
}

static void world_init(struct world *w, const struct layout *from)
{
	*w = (struct world){.p = fake_publisher_new(from->kind, from->catalogs)};
	fake_publisher_put(w->p, "a", "web", 1);
	fake_publisher_put(w->p, "b", "web", 2);
	w->flux.sees_sources = w->flux.sees_kustomizations = true;
	assert_int_equal(feed_new(&w->feed, &err), 0);
	assert_int_equal(tracker_new(&w->tracker, w->feed, true, &err), 0);
	tracker_reset(w->tracker, w->p->state, 2);
	tracker_relist(w->tracker);
	tracker_synced(w->tracker);
	new_repartition(w);
	make_kustomization(w, ROOT, true);
	flux_follows(w, true);
}

static void world_done(struct world *w)
{
	fake_kube_answer_all(&w->kube);
	repartition_free(w->r);
	tracker_free(w->tracker);
	feed_free(w->feed);
	fake_publisher_free(w->p);
	flux_done(&w->flux);
}

/* ---- what it does ---- */

/* By then all patches are answered. */
static void tick(struct world *w)
{
	fake_kube_answer_all(&w->kube);
	fake_clock_ms += 10000;
	repartition_tick(w->r, w->p);
}

static struct repartition_progress progress(struct world *w)
{
	struct repartition_progress now;

	repartition_progress(w->r, &now);
	return now;
}

static void expect_step(struct world *w, enum repartition_step step)
{
	assert_string_equal(repartition_step_name(progress(w).step), repartition_step_name(step));
}

/* Nothing is committed, for want of this. */
static void expect_waits_for(struct world *w, const char *what)
{
	size_t n = w->p->n_calls;

	tick(w);
	tick(w);
	assert_int_equal(w->p->n_calls, n);
	if (strstr(progress(w).waits_for, what) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", what, progress(w).waits_for);
}

/* The next tick commits this step, and it succeeds. */
static void expect_commit(
	struct world *w, enum record_repartition_step step, const struct layout *to)
{
	size_t n = w->p->n_calls;
	struct fake_call *call;

	tick(w);
	if (w->p->n_calls != n + 1)
		fail_msg("no commit, for it waits for: %s", progress(w).waits_for);
	tick(w);
	assert_int_equal(w->p->n_calls, n + 1); /* one at a time */
	call = fake_publisher_last(w->p);
	assert_int_equal(call->step, step);
	assert_true(layout_eq(&call->to, to));
	if (step == RECORD_SWITCH)
		fake_publisher_lay_out(w->p, to);
	fake_publisher_answer(w->p, call);
}

static void begin(struct world *w, const struct layout *to)
{
	if (repartition_begin(w->r, w->p, to, NULL, &err) != 0)
		fail_msg("%s", err.text);
	expect_step(w, REPARTITION_FREEZE);
	expect_commit(w, RECORD_FREEZE, to);
	expect_step(w, REPARTITION_FREEZE);
}

/* Without this flag it waits. */
static void expect_flag_needed(struct world *w, bool *flag, const char *waits_for)
{
	*flag = !*flag;
	expect_waits_for(w, waits_for);
	*flag = !*flag;
}

static void expect_root_patched(struct world *w, size_t i, const char *body)
{
	fake_kube_assert_patch(&w->kube, i, FLUX_KUSTOMIZATIONS, ROOT_KUSTOMIZATION, body);
}

#define FREEZES "{\"spec\":{\"prune\":false}}"
#define THAWS "{\"spec\":{\"prune\":true}}"

static void expect_last_patch(struct world *w, const char *body)
{
	assert_true(w->kube.n > 0);
	expect_root_patched(w, w->kube.n - 1, body);
}

static void expect_deletes(struct world *w, bool taken)
{
	if (taken)
		assert_string_equal(w->p->no_deletes, "");
	else
		assert_non_null(strstr(w->p->no_deletes, "a repartition is under way"));
}

static void every_step_is_of_whoever_asked_for_the_layout(void **state UNUSED)
{
	CLEANUP(author_unrefp) struct author *author = NULL;
	CLEANUP(world_done) struct world w;

	world_init(&w, &split1);
	assert_int_equal(author_new(&author, "token:ops", "", SLICE_NONE, &err), 0);
	assert_int_equal(repartition_begin(w.r, w.p, &split3, author, &err), 0);
	expect_commit(&w, RECORD_FREEZE, &split3);
	flux_follows(&w, false);
	expect_commit(&w, RECORD_SWITCH, &split3);
	for (size_t i = 0; i < w.p->n_calls; i++)
		assert_string_equal(w.p->calls[i].who, "token:ops");
}

static void from_single_to_split(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	struct flux_kustomization *root, *a;

	world_init(&w, &single);
	root = of(&w, ROOT);
	begin(&w, &split1);
	/* The root is the operator's, so it is patched. */
	expect_waits_for(&w, "prune: false for " ROOT);
	expect_root_patched(&w, 0, FREEZES);
	root->prunes = false;
	expect_flag_needed(&w, &root->is_observed, "prune: false for " ROOT);
	expect_flag_needed(&w, &root->is_there, "prune: false for " ROOT);
	expect_commit(&w, RECORD_SWITCH, &split1);
	expect_step(&w, REPARTITION_SWITCH);
	expect_waits_for(&w, "Flux to apply gitops-squared/catalogs/a/00");
	flux_follows(&w, false);
	a = of(&w, "gitops-squared/catalogs/a/00");
	expect_waits_for(&w, "prune: true for " ROOT);
	expect_flag_needed(&w, &a->is_there, "apply gitops-squared/catalogs/a/00");
	a->failure.is_failing = true;
	snprintf(a->failure.message, sizeof(a->failure.message), "no such luck");
	expect_waits_for(&w, "apply gitops-squared/catalogs/a/00: no such luck");
	a->failure.is_failing = false;
	a->applied = digest_of(SLICE("other"));
	expect_waits_for(&w, "apply gitops-squared/catalogs/a/00");
	root->applied = digest_of(SLICE("other"));
	flux_follows(&w, false);
	root->applied = digest_of(SLICE("other"));
	expect_waits_for(&w, "Flux to apply " ROOT);
	flux_follows(&w, false);
	fake_kube_assert_patch(
		&w.kube, w.kube.n - 1, FLUX_KUSTOMIZATIONS, ROOT_KUSTOMIZATION, THAWS);
	root->prunes = true;
	expect_flag_needed(&w, &root->is_observed, "prune: true for " ROOT);
	expect_commit(&w, RECORD_SETTLED, &split1);
	expect_step(&w, REPARTITION_THAW);
	expect_waits_for(&w, "prune: true for gitops-squared/catalogs/a/00");
	flux_follows(&w, true);
	tick(&w);
	expect_step(&w, REPARTITION_DONE);
	assert_string_equal(progress(&w).waits_for, "");
	assert_int_equal(w.p->n_calls, 3);
}

static void from_split_to_split(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	struct flux_kustomization *old, *b;

	world_init(&w, &split3);
	old = of(&w, "gitops-squared/catalogs/zz/02"); /* which the new layout has not */
	make_kustomization(&w, "gitops-squared/catalogs/zz/02", true);
	old->n_inventory = 5;
	begin(&w, &split1);
	expect_waits_for(&w, "prune: false for gitops-squared/catalogs/a/0");
	flux_follows(&w, false);
	b = of(&w, state_partition(w.p->state, 1)->repository);
	expect_flag_needed(&w, &b->prunes, "prune: false");
	expect_flag_needed(&w, &b->is_observed, "prune: false");
	expect_flag_needed(&w, &b->orphans, "prune: false");
	expect_flag_needed(&w, &b->is_there, "prune: false");
	expect_commit(&w, RECORD_SWITCH, &split1);
	flux_follows(&w, false);
	for (size_t i = 0; i < w.flux.n; i++)
		if (&w.flux.catalogs[i]->kustomization != old &&
			w.flux.catalogs[i]->kustomization.n_inventory > 0 &&
			strstr(w.flux.catalogs[i]->object, "-00") == NULL &&
			strcmp(w.flux.catalogs[i]->repository, ROOT) != 0)
			w.flux.catalogs[i]->kustomization.n_inventory = 0;
	expect_waits_for(&w, "let go of gitops-squared-zz-02");
	old->n_inventory = 0;
	expect_commit(&w, RECORD_SETTLED, &split1);
	flux_follows(&w, true);
	expect_waits_for(&w, "let go of");
	for (size_t i = 0; i < w.flux.n; i++)
		if (strstr(w.flux.catalogs[i]->object, "-00") == NULL &&
			strcmp(w.flux.catalogs[i]->repository, ROOT) != 0)
			w.flux.catalogs[i]->kustomization.is_there = false;
	expect_flag_needed(&w, &old->is_there, "let go of gitops-squared-zz-02");
	tick(&w);
	expect_step(&w, REPARTITION_DONE);
	for (size_t i = 0; i < w.kube.n; i++) /* wakes: the root prunes all the time */
		assert_null(strstr(w.kube.patches[i].path, "/kustomizations/"));
}

static void from_split_to_single(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	struct flux_kustomization *root, *a, *b;
	size_t first;

	world_init(&w, &split1);
	root = of(&w, ROOT);
	a = of(&w, "gitops-squared/catalogs/a/00");
	b = of(&w, "gitops-squared/catalogs/b/00");
	begin(&w, &single);
	flux_follows(&w, false);
	expect_commit(&w, RECORD_SWITCH, &single);
	expect_waits_for(&w, "Flux to apply " ROOT);
	flux_follows(&w, true);
	expect_waits_for(&w, "let go of gitops-squared-a-00");
	a->is_there = b->is_there = false;
	expect_flag_needed(&w, &b->is_there, "let go of gitops-squared-b-00");
	first = w.kube.n;
	expect_waits_for(&w, "apply " ROOT " once more");
	assert_true(w.kube.n > first);
	expect_root_patched(&w, first, FLUX_REQUESTED);
	snprintf(root->handled, sizeof(root->handled), "17");
	expect_waits_for(&w, "apply " ROOT " once more");
	fake_kube_token(&w.kube, first, root->handled);
	root->failure.is_failing = true;
	expect_waits_for(&w, "Flux to apply " ROOT);
	root->failure.is_failing = false;
	expect_commit(&w, RECORD_SETTLED, &single);
	tick(&w);
	expect_step(&w, REPARTITION_DONE);
}

/* ---- what may come in between ---- */

static void a_catalog_that_changes_faster_than_flux_applies_does_not_stop_it(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	struct flux_kustomization *a;

	world_init(&w, &single);
	begin(&w, &split1);
	of(&w, ROOT)->prunes = false;
	expect_commit(&w, RECORD_SWITCH, &split1); /* as c1002 */
	flux_follows(&w, false);
	of(&w, ROOT)->prunes = true;
	a = of(&w, "gitops-squared/catalogs/a/00");
	a->applied_version = 1001;
	fake_publisher_put(w.p, "a", "web", 2000);
	flux_catalog(&w.flux, ROOT)->kustomization.applied = *state_root(w.p->state);
	expect_waits_for(&w, "apply gitops-squared/catalogs/a/00");
	a->applied_version = 1002;
	expect_commit(&w, RECORD_SETTLED, &split1);
}

static void restart(struct world *w, enum record_repartition_step step, const struct layout *other)
{
	struct record_repartition recorded = {.step = step};

	if (other != NULL)
		recorded.other = *other;
	fake_kube_answer_all(&w->kube);
	repartition_free(w->r);
	new_repartition(w);
	repartition_restored(w->r, &recorded, state_layout(w->p->state), 5000);
}

static void a_restart_goes_on_where_the_record_is(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	struct repartition_progress now;

	world_init(&w, &single);
	begin(&w, &split1);
	restart(&w, RECORD_FREEZE, &split1);
	expect_step(&w, REPARTITION_FREEZE);
	expect_waits_for(&w, "prune: false for " ROOT);
	of(&w, ROOT)->prunes = false;
	expect_commit(&w, RECORD_SWITCH, &split1);
	restart(&w, RECORD_SWITCH, &single);
	expect_step(&w, REPARTITION_SWITCH);
	expect_waits_for(&w, "Flux to apply gitops-squared/catalogs/a/00");
	flux_follows(&w, false);
	of(&w, ROOT)->prunes = true;
	now = progress(&w);
	assert_true(layout_eq(&now.from, &single));
	expect_commit(&w, RECORD_SETTLED, &split1);
	restart(&w, RECORD_SETTLED, NULL);
	expect_step(&w, REPARTITION_NONE);
	tick(&w);
	assert_int_equal(w.p->n_calls, 3);
}

static void a_restore_that_finds_the_thaw_made_waits_for_its_end(void **state UNUSED)
{
	const struct record_repartition settled = {.step = RECORD_SETTLED};
	CLEANUP(world_done) struct world w;

	world_init(&w, &single);
	begin(&w, &split1);
	of(&w, ROOT)->prunes = false;
	expect_commit(&w, RECORD_SWITCH, &split1);
	flux_follows(&w, false);
	of(&w, ROOT)->prunes = true;
	tick(&w);
	fake_publisher_refuse(w.p, fake_publisher_last(w.p), ERROR_UNKNOWN_OUTCOME);
	expect_step(&w, REPARTITION_SWITCH);
	repartition_restored(w.r, &settled, &split1, 6000);
	expect_step(&w, REPARTITION_THAW);
	expect_waits_for(&w, "prune: true for gitops-squared/catalogs/a/00");
	flux_follows(&w, true);
	tick(&w);
	expect_step(&w, REPARTITION_DONE);
}

static void a_commit_that_fails_says_why_and_is_repeated_if_flux_still_shows_it(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w, &single);
	assert_int_equal(repartition_begin(w.r, w.p, &split1, NULL, &err), 0);
	tick(&w);
	fake_publisher_refuse(w.p, fake_publisher_last(w.p), ERROR_UNAVAILABLE);
	assert_string_equal(progress(&w).waits_for, "the commit: the commit failed");
	for (unsigned i = 0; i < 3; i++) { /* not at once */
		fake_clock_ms += 500;
		repartition_tick(w.r, w.p);
	}
	assert_int_equal(w.p->n_calls, 1);
	expect_commit(&w, RECORD_FREEZE, &split1);
	of(&w, ROOT)->prunes = false;
	tick(&w);
	assert_int_equal(fake_publisher_last(w.p)->step, RECORD_SWITCH);
	fake_publisher_refuse(w.p, fake_publisher_last(w.p), ERROR_UNPROCESSABLE);
	assert_string_equal(progress(&w).waits_for, "the commit: the commit failed");
	expect_step(&w, REPARTITION_FREEZE);
	of(&w, ROOT)->prunes = true; /* the operator has put it back */
	expect_waits_for(&w, "prune: false for " ROOT);
	of(&w, ROOT)->prunes = false;
	expect_commit(&w, RECORD_SWITCH, &split1);
}

static void what_does_not_fit_the_root_is_refused_at_once(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	char namespace[16];

	world_init(&w, &single);
	for (int i = 0; i < 1248; i++) {
		snprintf(namespace, sizeof(namespace), "n%04d", i);
		fake_publisher_put(w.p, namespace, "web", 3);
	}
	w.p->root.accounts = true;
	assert_int_equal(repartition_begin(w.r, w.p, &split1, NULL, &err), -1);
	assert_int_equal(err.code, ERROR_UNPROCESSABLE);
	w.p->root.accounts = false;
	assert_int_equal(repartition_begin(w.r, w.p, &split1, NULL, &err), 0);
}

static void a_first_commit_that_can_never_be_ends_it(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w, &single);
	assert_int_equal(repartition_begin(w.r, w.p, &split1, NULL, &err), 0);
	tick(&w);
	fake_publisher_refuse(w.p, fake_publisher_last(w.p), ERROR_UNPROCESSABLE);
	expect_step(&w, REPARTITION_NONE);
	assert_string_equal(progress(&w).waits_for, "the commit: the commit failed");
	expect_deletes(&w, false);
	tick(&w);
	expect_deletes(&w, true);
	assert_int_equal(w.p->n_calls, 1);
	assert_int_equal(repartition_begin(w.r, w.p, &split3, NULL, &err), 0);
}

static void another_request_meanwhile_is_a_conflict_and_the_same_is_none(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w, &single);
	assert_int_equal(repartition_begin(w.r, w.p, &single, NULL, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_string_equal(err.text, "the store has that layout already");
	begin(&w, &split1);
	assert_int_equal(repartition_begin(w.r, w.p, &split1, NULL, &err), 0);
	assert_int_equal(repartition_begin(w.r, w.p, &split3, NULL, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_non_null(strstr(err.text, "to split with 1 catalogs"));
	expect_step(&w, REPARTITION_FREEZE);
}

static void nothing_is_done_before_flux_was_listed_or_while_nobody_may_write(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w, &single);
	begin(&w, &split1);
	of(&w, ROOT)->prunes = false;
	w.flux.sees_kustomizations = false;
	expect_waits_for(&w, "the cluster to list");
	w.flux.sees_kustomizations = true;
	w.flux.sees_sources = false;
	expect_waits_for(&w, "the cluster to list");
	w.flux.sees_sources = true;
	error_set(&w.p->unwritable, ERROR_UNAVAILABLE, "held by an operator");
	expect_waits_for(&w, "the server: held by an operator");
	assert_int_equal(repartition_begin(w.r, w.p, &split3, NULL, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	w.p->unwritable.code = ERROR_NONE;
	expect_commit(&w, RECORD_SWITCH, &split1);
}

static void a_patch_that_is_refused_says_so_and_is_repeated(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w, &single);
	begin(&w, &split1);
	tick(&w);
	fake_kube_answer(&w.kube, w.kube.n - 1, ERROR_DENIED);
	assert_string_equal(
		progress(&w).waits_for, "the patch of gitops-squared-resources: the patch failed");
	tick(&w);
	fake_kube_assert_patch(
		&w.kube, w.kube.n - 1, FLUX_KUSTOMIZATIONS, ROOT_KUSTOMIZATION, FREEZES);
	assert_int_equal(w.p->n_calls, 1);
}

/* ---- deletions ---- */

static void deletes_are_refused_from_before_the_freeze_until_after_the_thaw(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w, &single);
	tick(&w);
	expect_deletes(&w, true);
	w.p->is_deleting = true;
	assert_int_equal(repartition_begin(w.r, w.p, &split1, NULL, &err), 0);
	tick(&w);
	assert_int_equal(w.p->n_calls, 0); /* before anything is committed */
	expect_deletes(&w, false);
	w.p->is_deleting = false;
	expect_commit(&w, RECORD_FREEZE, &split1);
	expect_deletes(&w, false);
	of(&w, ROOT)->prunes = false;
	expect_commit(&w, RECORD_SWITCH, &split1);
	expect_deletes(&w, false);
	flux_follows(&w, false);
	of(&w, ROOT)->prunes = true;
	expect_commit(&w, RECORD_SETTLED, &split1);
	expect_waits_for(&w, "prune: true for gitops-squared/catalogs/a/00");
	expect_deletes(&w, false);
	flux_follows(&w, true);
	tick(&w);
	expect_step(&w, REPARTITION_DONE);
	tick(&w);
	expect_deletes(&w, true);
}

static void the_freeze_waits_until_all_that_was_deleted_is_gone(void **state UNUSED)
{
	const struct tracker_object old = {.namespace = "a", .name = "old", .version = 1};
	CLEANUP(world_done) struct world w;

	world_init(&w, &split1);
	tracker_object(w.tracker, &old);
	w.p->is_deleting = true;
	assert_int_equal(repartition_begin(w.r, w.p, &split3, NULL, &err), 0);
	expect_waits_for(&w, "changes that are being committed");
	w.p->is_deleting = false;
	expect_waits_for(&w, "Flux to delete 1 resources");
	tracker_gone(w.tracker, "a", "old");
	expect_commit(&w, RECORD_FREEZE, &split3);
	tracker_object(w.tracker, &old); /* whatever comes later: Flux may not prune */
	flux_follows(&w, false);
	expect_commit(&w, RECORD_SWITCH, &split3);
}

static void after_a_restart_in_the_thaw_deletes_are_refused_until_flux_prunes_again(
	void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w, &split1);
	of(&w, "gitops-squared/catalogs/b/00")->prunes = false;
	restart(&w, RECORD_SETTLED, NULL);
	w.flux.sees_kustomizations = false;
	tick(&w);
	expect_step(&w, REPARTITION_NONE); /* that is not known yet */
	w.flux.sees_kustomizations = true;
	error_set(&w.p->unwritable, ERROR_UNAVAILABLE, "the cluster is asked");
	tick(&w);
	expect_deletes(&w, false); /* before anybody may write */
	w.p->unwritable.code = ERROR_NONE;
	expect_waits_for(&w, "prune: true for gitops-squared/catalogs/b/00");
	expect_step(&w, REPARTITION_THAW);
	expect_deletes(&w, false);
	flux_follows(&w, true);
	tick(&w);
	expect_step(&w, REPARTITION_DONE);
	tick(&w);
	expect_deletes(&w, true);
	assert_int_equal(w.p->n_calls, 0);
}

static void after_a_restart_without_one_nothing_is_refused(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w, &split1);
	restart(&w, RECORD_SETTLED, NULL);
	tick(&w);
	expect_step(&w, REPARTITION_NONE);
	expect_deletes(&w, true);
	of(&w, "gitops-squared/catalogs/b/00")->prunes = false; /* that somebody else has changed */
	tick(&w);
	expect_step(&w, REPARTITION_NONE);
}

/* ---- giving up ---- */

static void give_up(struct world *w, const struct layout *has)
{
	if (repartition_begin(w->r, w->p, has, NULL, &err) != 0)
		fail_msg("%s", err.text);
	expect_step(w, REPARTITION_FREEZE);
}

static void before_the_first_commit_it_is_given_up_without_any(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w, &split1);
	w.p->is_deleting = true;
	assert_int_equal(repartition_begin(w.r, w.p, &split3, NULL, &err), 0);
	expect_waits_for(&w, "changes that are being committed");
	give_up(&w, &split1);
	tick(&w);
	expect_step(&w, REPARTITION_DONE);
	tick(&w);
	expect_deletes(&w, true);
	assert_int_equal(w.p->n_calls, 0);
}

static void a_freeze_of_a_single_catalog_is_given_up_and_the_root_prunes_again(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	struct flux_kustomization *root;

	world_init(&w, &single);
	root = of(&w, ROOT);
	begin(&w, &split1);
	tick(&w);
	expect_last_patch(&w, FREEZES);
	root->prunes = false;
	root->is_observed = false;
	give_up(&w, &single);
	expect_waits_for(&w, "prune: true for " ROOT);
	expect_last_patch(&w, THAWS);
	root->prunes = true;
	expect_waits_for(&w, "prune: true for " ROOT); /* the record says so until Flux does it */
	expect_deletes(&w, false);
	root->is_observed = true;
	expect_commit(&w, RECORD_SETTLED, &single);
	tick(&w);
	expect_step(&w, REPARTITION_DONE);
	tick(&w);
	expect_deletes(&w, true);
}

static void a_freeze_of_split_catalogs_is_given_up_and_they_prune_again(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w, &split1);
	begin(&w, &split3);
	flux_follows(&w, false);
	give_up(&w, &split1);
	expect_commit(&w, RECORD_SETTLED, &split1);
	expect_step(&w, REPARTITION_THAW);
	expect_waits_for(&w, "prune: true for gitops-squared/catalogs/a/00");
	expect_deletes(&w, false);
	flux_follows(&w, true);
	tick(&w);
	expect_step(&w, REPARTITION_DONE);
	assert_int_equal(w.kube.n, 0);
}

static void from_the_switch_on_there_is_no_way_back(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w, &single);
	begin(&w, &split1);
	of(&w, ROOT)->prunes = false;
	tick(&w);
	assert_int_equal(fake_publisher_last(w.p)->step, RECORD_SWITCH); /* is on its way */
	assert_int_equal(repartition_begin(w.r, w.p, &single, NULL, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	fake_publisher_lay_out(w.p, &split1);
	fake_publisher_answer(w.p, fake_publisher_last(w.p));
	expect_step(&w, REPARTITION_SWITCH);
	assert_int_equal(repartition_begin(w.r, w.p, &single, NULL, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
}

static void a_freeze_that_is_being_committed_is_given_up_after_it(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w, &split1);
	assert_int_equal(repartition_begin(w.r, w.p, &split3, NULL, &err), 0);
	tick(&w);
	give_up(&w, &split1);
	fake_publisher_answer(w.p, fake_publisher_last(w.p));
	expect_commit(&w, RECORD_SETTLED, &split1);
	expect_step(&w, REPARTITION_THAW);
}

static void ask_for_single(void *arg)
{
	struct world *w = arg;

	give_up(w, &single);
}

static void what_is_given_up_while_flux_is_looked_at_is_not_switched(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w, &single);
	begin(&w, &split1);
	of(&w, ROOT)->prunes = false;
	w.p->meanwhile = ask_for_single;
	w.p->meanwhile_arg = &w;
	tick(&w);
	assert_int_equal(w.p->n_calls, 1);
	of(&w, ROOT)->prunes = true;
	expect_commit(&w, RECORD_SETTLED, &single);
}

static void a_restore_does_not_forget_that_it_was_given_up(void **state UNUSED)
{
	const struct record_repartition frozen = {.step = RECORD_FREEZE, .other = split3};
	const struct record_repartition settled = {.step = RECORD_SETTLED};
	CLEANUP(world_done) struct world w;

	world_init(&w, &split1);
	begin(&w, &split3);
	flux_follows(&w, false);
	give_up(&w, &split1);
	repartition_restored(w.r, &frozen, &split1, 6000);
	tick(&w);
	assert_int_equal(fake_publisher_last(w.p)->step, RECORD_SETTLED);
	fake_publisher_refuse(w.p, fake_publisher_last(w.p), ERROR_UNKNOWN_OUTCOME);
	repartition_restored(w.r, &settled, &split1, 6000); /* it was made */
	expect_waits_for(&w, "prune: true for gitops-squared/catalogs/a/00");
	expect_deletes(&w, false);
	flux_follows(&w, true);
	tick(&w);
	expect_step(&w, REPARTITION_DONE);
}

/* ---- what others do to Flux's objects ---- */

static void a_root_that_somebody_lets_prune_during_the_switch_is_patched_again(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	size_t n;

	world_init(&w, &single);
	begin(&w, &split1);
	of(&w, ROOT)->prunes = false;
	expect_commit(&w, RECORD_SWITCH, &split1);
	n = w.kube.n;
	expect_waits_for(&w, "Flux to apply gitops-squared/catalogs/a/00");
	assert_int_equal(w.kube.n, n);
	of(&w, ROOT)->prunes = true;
	expect_waits_for(&w, "Flux to apply gitops-squared/catalogs/a/00");
	assert_true(w.kube.n > n);
	expect_last_patch(&w, FREEZES);
}

static void while_a_patch_of_the_root_is_not_seen_nothing_is_decided(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	struct flux_kustomization *root;

	world_init(&w, &single);
	root = of(&w, ROOT);
	root->generation = 7;
	begin(&w, &split1);
	tick(&w);
	expect_last_patch(&w, FREEZES);
	give_up(&w, &single);
	for (unsigned i = 0; i < 3; i++) { /* it seems to prune, but the patch is on its way */
		fake_clock_ms += 10000;
		repartition_tick(w.r, w.p);
	}
	w.kube.generation = 8;
	tick(&w); /* it is answered */
	tick(&w);
	assert_int_equal(w.kube.n, 1);
	assert_int_equal(w.p->n_calls, 1);
	root->generation = 8;
	root->prunes = false;
	w.kube.generation = 9;
	tick(&w);
	expect_last_patch(&w, THAWS);
	root->generation = 9;
	root->prunes = true;
	expect_commit(&w, RECORD_SETTLED, &single);
}

static void a_root_that_was_made_again_begins_anew(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	struct flux_kustomization *root;

	world_init(&w, &single);
	root = of(&w, ROOT);
	begin(&w, &split1);
	w.kube.generation = 8;
	tick(&w);
	tick(&w);
	root->generation = 8;
	root->prunes = false;
	root->is_observed = false;
	expect_waits_for(&w, "prune: false for " ROOT);
	root->generation = 1;
	root->is_observed = true;
	expect_commit(&w, RECORD_SWITCH, &split1);
}

static void kustomizations_of_others_are_not_waited_for(void **state UNUSED)
{
	static const char *const others[] = {
		"gitops-squared/catalogs/x/07", "gitops-squared/catalogs/x/007"};
	CLEANUP(world_done) struct world w;

	world_init(&w, &split3);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		make_kustomization(&w, others[i], true);
		of(&w, others[i])->n_inventory = 5;
	}
	make_kustomization(&w, "gitops-squared/catalogs/x/02", true); /* ours, and left over */
	of(&w, "gitops-squared/catalogs/x/02")->n_inventory = 5;
	begin(&w, &single);
	flux_follows(&w, false);
	expect_commit(&w, RECORD_SWITCH, &single);
	flux_follows(&w, true);
	for (size_t i = 0; i < w.flux.n; i++)
		if (strstr(w.flux.catalogs[i]->object, "-x-") == NULL &&
			strcmp(w.flux.catalogs[i]->repository, ROOT) != 0)
			w.flux.catalogs[i]->kustomization.is_there = false;
	expect_waits_for(&w, "let go of gitops-squared-x-02");
	of(&w, "gitops-squared/catalogs/x/02")->is_there = false;
	expect_waits_for(&w, "apply " ROOT " once more");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_step_is_of_whoever_asked_for_the_layout),
		cmocka_unit_test(from_single_to_split),
		cmocka_unit_test(from_split_to_split),
		cmocka_unit_test(from_split_to_single),
		cmocka_unit_test(a_catalog_that_changes_faster_than_flux_applies_does_not_stop_it),
		cmocka_unit_test(a_restart_goes_on_where_the_record_is),
		cmocka_unit_test(a_restore_that_finds_the_thaw_made_waits_for_its_end),
		cmocka_unit_test(
			a_commit_that_fails_says_why_and_is_repeated_if_flux_still_shows_it),
		cmocka_unit_test(a_first_commit_that_can_never_be_ends_it),
		cmocka_unit_test(what_does_not_fit_the_root_is_refused_at_once),
		cmocka_unit_test(another_request_meanwhile_is_a_conflict_and_the_same_is_none),
		cmocka_unit_test(nothing_is_done_before_flux_was_listed_or_while_nobody_may_write),
		cmocka_unit_test(a_patch_that_is_refused_says_so_and_is_repeated),
		cmocka_unit_test(deletes_are_refused_from_before_the_freeze_until_after_the_thaw),
		cmocka_unit_test(the_freeze_waits_until_all_that_was_deleted_is_gone),
		cmocka_unit_test(
			after_a_restart_in_the_thaw_deletes_are_refused_until_flux_prunes_again),
		cmocka_unit_test(after_a_restart_without_one_nothing_is_refused),
		cmocka_unit_test(before_the_first_commit_it_is_given_up_without_any),
		cmocka_unit_test(
			a_freeze_of_a_single_catalog_is_given_up_and_the_root_prunes_again),
		cmocka_unit_test(a_freeze_of_split_catalogs_is_given_up_and_they_prune_again),
		cmocka_unit_test(from_the_switch_on_there_is_no_way_back),
		cmocka_unit_test(a_freeze_that_is_being_committed_is_given_up_after_it),
		cmocka_unit_test(what_is_given_up_while_flux_is_looked_at_is_not_switched),
		cmocka_unit_test(a_restore_does_not_forget_that_it_was_given_up),
		cmocka_unit_test(
			a_root_that_somebody_lets_prune_during_the_switch_is_patched_again),
		cmocka_unit_test(while_a_patch_of_the_root_is_not_seen_nothing_is_decided),
		cmocka_unit_test(a_root_that_was_made_again_begins_anew),
		cmocka_unit_test(kustomizations_of_others_are_not_waited_for),
	};

	digest_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
