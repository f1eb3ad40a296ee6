/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one layout to another while the store lives: every call of every step fails in turn, and
 * after that and a restart each resource is there, in exactly one catalog.
 */
#include "test.h"

#include "publisher_fixture.h"

#include <stdio.h>
#include <unistd.h>

#define THAW RECORD_SETTLED

static const char *const namespaces[] = {"default", "team-a"};
#define EACH 4 /* resources of each namespace */

struct way {
	struct layout from, to;
};

static const struct way ways[] = {
	{{LAYOUT_SINGLE, 1}, {LAYOUT_SPLIT, 2}}, {{LAYOUT_SPLIT, 2}, {LAYOUT_SINGLE, 1}},
	{{LAYOUT_SPLIT, 3}, {LAYOUT_SPLIT, 2}}, {{LAYOUT_SPLIT, 2}, {LAYOUT_SPLIT, 5}},
	{{LAYOUT_SPLIT, 3}, {LAYOUT_SPLIT, 101}}, /* 00 becomes 000: no repository stays */
};
#define DIFFERENT_WAYS 3 /* the first of these; faults take long */

static void name_of(size_t i, char ret[16])
{
	snprintf(ret, 16, "web-%zu", i);
}

static void fill(struct publisher *p)
{
	struct waiter w;

	waiter_init(&w, 2 * EACH);
	for (size_t i = 0; i < 2 * EACH; i++) {
		CLEANUP(intent_unrefp) struct intent *intent = NULL;
		char name[16];

		name_of(i / 2, name);
		intent = make_intent_in(namespaces[i % 2], name, 1 + (unsigned)i % 10);
		publisher_put(p, intent, ALWAYS, NULL, waiter_done, &w);
	}
	waiter_wait(&w);
	assert_int_equal(w.ok, 2 * EACH);
}

static struct publisher *make(struct fake *f, const struct layout *layout)
{
	struct publisher *p = start_layout(f, layout->kind, layout->catalogs);

	fill(p);
	return p;
}

static struct outcome step(
	struct publisher *p, enum record_repartition_step s, const struct layout *to)
{
	return repartition(p, s, to->kind, to->catalogs);
}

static void take_step(struct publisher *p, enum record_repartition_step s, const struct layout *to)
{
	struct outcome o = step(p, s, to);

	if (o.err.code != ERROR_NONE)
		fail_msg("step %d: %s", s, o.err.text);
}

/* ---- what is in the registry ---- */

static struct buf pull_layer_of(struct fake *f, const char *repository)
{
	struct pull pull = {
		.repository = repository,
		.reference = "latest",
		.manifest = BUF_INIT(LIMIT_MANIFEST),
		.layer = BUF_INIT(LIMIT_CATALOG_LAYER),
	};

	registry_pull(&f->registry, &pull, 1);
	assert_int_equal(pull.err.code, ERROR_NONE);
	buf_done(&pull.manifest);
	return pull.layer;
}

static struct catalog *read_catalog(struct fake *f, const char *repository)
{
	CLEANUP(buf_done) struct buf layer = pull_layer_of(f, repository);
	struct catalog *catalog;

	if (catalog_read(&catalog, buf_slice(&layer), &err) != 0)
		fail_msg("%s: %s", repository, err.text);
	return catalog;
}

/* Resources in all catalogs that anybody could pull as latest, leftovers too. */
static size_t count_in_catalogs(struct fake *f)
{
	CLEANUP(record_done) struct record record = {0};
	size_t n = 0;

	last_record(f, &record);
	for (size_t i = 0; i < f->n_tags; i++) {
		CLEANUP(catalog_unrefp) struct catalog *c = NULL;
		const char *repository = f->tags[i].repository;

		if (strcmp(f->tags[i].tag, "latest") != 0 ||
			!slice_starts(slice_of(repository), SLICE(CATALOG_REPOSITORY)) ||
			(record.layout.kind == LAYOUT_SPLIT &&
				strcmp(repository, CATALOG_REPOSITORY) == 0))
			continue;
		c = read_catalog(f, repository);
		n += catalog_count(c);
	}
	return n;
}

/* The state was read from catalogs, so there are no others. */
static void expect_all_once(struct fake *f, struct publisher *p)
{
	CLEANUP(state_unrefp) struct state *s = publisher_state(p, NULL);

	for (size_t i = 0; i < 2 * EACH; i++) {
		const struct resource *r;
		char name[16];

		name_of(i / 2, name);
		r = state_find(s, namespaces[i % 2], name);
		assert_non_null(r);
		assert_int_equal(r->intent->replicas, 1 + i % 10);
	}
	assert_int_equal(state_count(s), 2 * EACH);
	assert_int_equal(count_in_catalogs(f), 2 * EACH);
}

static bool root_says(struct fake *f, const char *what)
{
	CLEANUP(gzip_content_done)
	struct gzip_content content = {.bytes = BUF_INIT(LIMIT_CATALOG_TAR)};
	CLEANUP(buf_done) struct buf layer = pull_layer_of(f, CATALOG_REPOSITORY);

	assert_int_equal(gzip_read(&content, buf_slice(&layer), &err), 0);
	return memmem(content.bytes.data, content.bytes.len, what, strlen(what)) != NULL;
}

static struct publisher *restart(struct fake *f, struct publisher *p)
{
	publisher_free(p);
	p = start_with(f, false, NULL);
	wait_ready(p);
	return p;
}

/* ---- the whole way ---- */

static void each_step_keeps_every_resource_in_exactly_one_catalog(void **state)
{
	static const enum record_repartition_step steps[] = {RECORD_FREEZE, RECORD_SWITCH, THAW};

	for (size_t w = 0; w < ARRAY_SIZE(ways); w++) {
		struct fake *f = fake_new(*(bool *)*state);
		struct publisher *p = make(f, &ways[w].from);

		for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
			CLEANUP(record_done) struct record record = {0};
			const struct layout *has = i == 0 ? &ways[w].from : &ways[w].to;
			struct outcome o = step(p, steps[i], &ways[w].to);

			assert_int_equal(o.err.code, ERROR_NONE);
			assert_int_equal(o.op, OUTCOME_UPDATED);
			expect_all_once(f, p);
			last_record(f, &record);
			assert_int_equal(record.version, o.version);
			assert_string_equal(record.why, "repartition");
			assert_true(layout_eq(&record.layout, has));
			assert_int_equal(record.repartition.step, steps[i]);
			if (steps[i] != THAW)
				assert_true(layout_eq(&record.repartition.other,
					i == 0 ? &ways[w].to : &ways[w].from));
			fake_forget(f);
			p = restart(f, p);
			assert_int_equal(f->n_pushes, 0);
			expect_all_once(f, p);
			assert_int_equal(differences(f), 0);
		}
		publisher_free(p);
		fake_destroy(f);
	}
}

static void while_it_is_under_way_no_catalog_may_prune_and_the_old_ones_stay_in_the_root(
	void **state)
{
	struct layout to = {LAYOUT_SPLIT, 1};
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_layout(f, LAYOUT_SPLIT, 2);

	fill(p);
	assert_true(root_says(f, "prune: true"));
	take_step(p, RECORD_FREEZE, &to);
	assert_false(root_says(f, "prune: true"));
	assert_true(root_says(f, "prune: false"));
	take_step(p, RECORD_SWITCH, &to);
	assert_false(root_says(f, "prune: true"));
	assert_true(root_says(f, "catalogs/team-a/00"));
	assert_true(root_says(f, "catalogs/team-a/01"));
	/* A catalog that is added meanwhile, also after a restart: the root stays so. */
	assert_int_equal(put_in(p, "new", "web", 1).op, OUTCOME_CREATED);
	assert_true(root_says(f, "catalogs/new/00"));
	assert_true(root_says(f, "catalogs/team-a/01"));
	p = restart(f, p);
	assert_int_equal(put_in(p, "newer", "web", 1).op, OUTCOME_CREATED);
	assert_true(root_says(f, "catalogs/team-a/01"));
	assert_false(root_says(f, "prune: true"));
	take_step(p, THAW, &to);
	assert_false(root_says(f, "prune: false"));
	assert_false(root_says(f, "catalogs/team-a/01"));
	assert_true(root_says(f, "catalogs/newer/00"));
	publisher_free(p);
	fake_destroy(f);
}

static void changes_go_on_at_each_step_and_the_record_keeps_saying_so(void **state)
{
	struct layout to = {LAYOUT_SPLIT, 3};
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_layout(f, LAYOUT_SINGLE, 1);

	assert_int_equal(put(p, "web", 1).op, OUTCOME_CREATED);
	for (int s = RECORD_FREEZE; s <= RECORD_SWITCH; s++) {
		CLEANUP(record_done) struct record record = {0};

		take_step(p, (enum record_repartition_step)s, &to);
		assert_int_equal(put(p, "web", 1 + (unsigned)s).op, OUTCOME_UPDATED);
		last_record(f, &record);
		assert_int_equal(record.repartition.step, s);
		assert_int_equal(seen_after_restart(f, "web"), 1 + s);
	}
	publisher_free(p);
	fake_destroy(f);
}

static void deletions_are_refused_until_its_end(void **state)
{
	struct layout to = {LAYOUT_SPLIT, 3};
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_layout(f, LAYOUT_SINGLE, 1);

	put(p, "web", 1);
	for (int s = RECORD_FREEZE; s <= RECORD_SWITCH; s++) {
		struct outcome o;

		take_step(p, (enum record_repartition_step)s, &to);
		o = delete (p, "web");
		assert_int_equal(o.err.code, ERROR_UNAVAILABLE);
		assert_true(o.err.retry_after_s > 0);
		assert_non_null(strstr(o.err.text, "repartition is under way"));
		assert_int_equal(seen(p, "web"), 1);
	}
	take_step(p, THAW, &to);
	assert_int_equal(delete (p, "web").op, OUTCOME_DELETED);
	publisher_free(p);
	fake_destroy(f);
}

static void held_resources_stay_held(void **state)
{
	struct layout to = {LAYOUT_SPLIT, 3};
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_layout(f, LAYOUT_SINGLE, 1);
	uint64_t first = put(p, "web", 1).version, second = put(p, "web", 2).version;

	assert_int_equal(hold(p, "web", second, HOLD_REFUSED, first).err.code, ERROR_NONE);
	take_step(p, RECORD_FREEZE, &to);
	take_step(p, RECORD_SWITCH, &to);
	p = restart(f, p);
	assert_int_equal(held(p, "web"), HOLD_REFUSED);
	take_step(p, THAW, &to);
	assert_int_equal(release(p, "web", HOLD_REFUSED).err.code, ERROR_NONE);
	assert_int_equal(held(p, "web"), HOLD_REASONS_);
	publisher_free(p);
	fake_destroy(f);
}

static void an_empty_store_can_change_its_layout_too(void **state)
{
	for (size_t w = 0; w < ARRAY_SIZE(ways); w++) {
		struct fake *f = fake_new(*(bool *)*state);
		struct publisher *p = start_layout(f, ways[w].from.kind, ways[w].from.catalogs);

		take_step(p, RECORD_FREEZE, &ways[w].to);
		take_step(p, RECORD_SWITCH, &ways[w].to);
		p = restart(f, p);
		take_step(p, THAW, &ways[w].to);
		assert_int_equal(put(p, "web", 3).op, OUTCOME_CREATED);
		assert_int_equal(seen_after_restart(f, "web"), 3);
		publisher_free(p);
		fake_destroy(f);
	}
}

/* A child that Flux still looks at must not show what another has by now. */
static void a_leftover_whose_tag_lags_behind_is_a_difference_and_rolled_forward(void **state UNUSED)
{
	struct layout to = {LAYOUT_SINGLE, 1};
	struct fake *f = fake_new(false);
	struct publisher *p = start_layout(f, LAYOUT_SPLIT, 1);
	struct digest full;

	fill(p);
	assert_true(fake_resolve(f, "gitops-squared/catalogs/team-a/00", "latest", &full));
	take_step(p, RECORD_FREEZE, &to);
	take_step(p, RECORD_SWITCH, &to);
	assert_int_equal(count_in_catalogs(f), 2 * EACH);
	fake_set_tag(f, "gitops-squared/catalogs/team-a/00", "latest", &full);
	assert_int_equal(count_in_catalogs(f), 3 * EACH);
	assert_int_equal(differences(f), 1);
	p = restart(f, p);
	expect_all_once(f, p);
	assert_int_equal(differences(f), 0);
	publisher_free(p);
	fake_destroy(f);
}

/* ---- deletions that are refused for what the cluster has yet to do ---- */

static void expect_refused(const struct outcome *o, const char *why)
{
	assert_int_equal(o->err.code, ERROR_UNAVAILABLE);
	assert_string_equal(o->err.text, why);
	assert_true(o->err.retry_after_s > 0);
}

static void deletions_are_refused_for_a_reason_until_they_are_taken_again(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	char reason[] = "Flux has yet to apply team-a";
	struct outcome o;

	put(p, "web", 1);
	assert_true(publisher_may_delete(p));
	publisher_refuse_deletes(p, reason);
	memset(reason, 'x', strlen(reason));
	while (publisher_may_delete(p)) /* until the thread is done with the last batch */
		usleep(1000);
	o = delete (p, "web");
	expect_refused(&o, "Flux has yet to apply team-a");
	o = delete (p, "nothing");
	expect_refused(&o, "Flux has yet to apply team-a");
	assert_int_equal(put(p, "web", 2).op, OUTCOME_UPDATED);
	publisher_refuse_deletes(p, "another reason");
	o = delete (p, "web");
	expect_refused(&o, "another reason");
	assert_int_equal(seen(p, "web"), 2);
	publisher_refuse_deletes(p, NULL);
	assert_true(publisher_may_delete(p));
	assert_int_equal(delete (p, "web").op, OUTCOME_DELETED);
	publisher_free(p);
	fake_destroy(f);
}

static void they_are_refused_whatever_the_record_says_and_taken_after_a_restart(void **state)
{
	static const enum record_repartition_step steps[] = {RECORD_FREEZE, RECORD_SWITCH, THAW};
	struct layout to = {LAYOUT_SPLIT, 3};
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_layout(f, LAYOUT_SINGLE, 1);

	put(p, "web", 1);
	publisher_refuse_deletes(p, "not now");
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct outcome o;

		take_step(p, steps[i], &to);
		o = delete (p, "web");
		expect_refused(&o, "not now");
	}
	p = restart(f, p);
	assert_int_equal(delete (p, "web").op, OUTCOME_DELETED);
	publisher_free(p);
	fake_destroy(f);
}

static void a_deletion_in_line_is_refused_and_one_that_was_decided_is_not(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct waiter decided, waiting;

	put(p, "web", 1);
	put(p, "db", 1);
	waiter_init(&decided, 1);
	waiter_init(&waiting, 1);
	AZ(pthread_mutex_lock(&f->lock)); /* so that its commit cannot begin */
	publisher_delete(p, "default", "web", ALWAYS, NULL, waiter_done, &decided);
	wait_taken();
	publisher_delete(p, "default", "db", ALWAYS, NULL, waiter_done, &waiting);
	publisher_refuse_deletes(p, "not now");
	assert_true(publisher_may_delete(p));
	AZ(pthread_mutex_unlock(&f->lock));
	waiter_wait(&decided);
	waiter_wait(&waiting);
	assert_int_equal(decided.last.op, OUTCOME_DELETED);
	expect_refused(&waiting.last, "not now");
	assert_false(publisher_may_delete(p));
	assert_int_equal(seen(p, "web"), 0);
	assert_int_equal(seen(p, "db"), 1);
	publisher_free(p);
	fake_destroy(f);
}

/* ---- which steps may be taken ---- */

static void steps_out_of_order_are_refused_and_change_nothing(void **state)
{
	struct layout here = {LAYOUT_SPLIT, 2}, to = {LAYOUT_SPLIT, 4}, other = {LAYOUT_SINGLE, 1};
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_layout(f, LAYOUT_SPLIT, 2);

	put(p, "web", 1);
	fake_forget(f);
	assert_int_equal(step(p, RECORD_FREEZE, &here).err.code, ERROR_CONFLICT);
	assert_int_equal(step(p, RECORD_SWITCH, &to).err.code, ERROR_CONFLICT);
	assert_int_equal(step(p, THAW, &to).err.code, ERROR_CONFLICT);
	assert_int_equal(f->n_pushes, 0);
	take_step(p, RECORD_FREEZE, &to);
	fake_forget(f);
	assert_int_equal(step(p, RECORD_FREEZE, &other).err.code, ERROR_CONFLICT);
	assert_int_equal(step(p, RECORD_SWITCH, &other).err.code, ERROR_CONFLICT);
	assert_int_equal(step(p, THAW, &to).err.code, ERROR_CONFLICT);
	assert_int_equal(f->n_pushes, 0);
	take_step(p, RECORD_SWITCH, &to);
	fake_forget(f);
	assert_int_equal(step(p, RECORD_FREEZE, &other).err.code, ERROR_CONFLICT);
	assert_int_equal(step(p, THAW, &here).err.code, ERROR_CONFLICT);
	assert_int_equal(f->n_pushes, 0);
	publisher_free(p);
	fake_destroy(f);
}

static void a_step_that_is_asked_for_again_is_no_change(void **state)
{
	static const enum record_repartition_step steps[] = {RECORD_FREEZE, RECORD_SWITCH, THAW};
	struct layout to = {LAYOUT_SPLIT, 4};
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_layout(f, LAYOUT_SPLIT, 2);

	put(p, "web", 1);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct outcome o;

		take_step(p, steps[i], &to);
		fake_forget(f);
		o = step(p, steps[i], &to);
		assert_int_equal(o.err.code, ERROR_NONE);
		assert_int_equal(o.op, OUTCOME_UNCHANGED);
		assert_int_equal(f->n_pushes, 0);
	}
	publisher_free(p);
	fake_destroy(f);
}

/* The store is as if nobody had thought of another layout. */
static void expect_given_up(struct fake *f, struct publisher *p, const struct way *way)
{
	CLEANUP(record_done) struct record record = {0};
	struct outcome again;

	last_record(f, &record);
	assert_int_equal(record.repartition.step, RECORD_SETTLED);
	assert_true(layout_eq(&record.layout, &way->from));
	if (way->from.kind == LAYOUT_SPLIT) {
		assert_true(root_says(f, "prune: true"));
		assert_false(root_says(f, "prune: false"));
	}
	again = step(p, THAW, &way->from);
	assert_int_equal(again.err.code, ERROR_NONE);
	assert_int_equal(again.op, OUTCOME_UNCHANGED);
	assert_int_equal(step(p, RECORD_SWITCH, &way->to).err.code, ERROR_CONFLICT);
	assert_int_equal(differences(f), 0);
}

static void before_the_switch_it_can_be_given_up_and_begun_anew(void **state)
{
	for (size_t w = 0; w < ARRAY_SIZE(ways); w++) {
		struct fake *f = fake_new(*(bool *)*state);
		struct publisher *p = make(f, &ways[w].from);

		take_step(p, RECORD_FREEZE, &ways[w].to);
		assert_int_equal(put_in(p, "new", "web", 1).op, OUTCOME_CREATED);
		p = restart(f, p);
		assert_int_equal(step(p, THAW, &ways[w].from).op, OUTCOME_UPDATED);
		expect_given_up(f, p, &ways[w]);
		p = restart(f, p);
		expect_given_up(f, p, &ways[w]);
		assert_int_equal(delete (p, "web-0").op, OUTCOME_DELETED);
		take_step(p, RECORD_FREEZE, &ways[w].to);
		take_step(p, RECORD_SWITCH, &ways[w].to);
		assert_int_equal(step(p, THAW, &ways[w].from).err.code, ERROR_CONFLICT);
		publisher_free(p);
		fake_destroy(f);
	}
}

static void a_layout_whose_catalog_would_be_too_large_is_refused(void **state UNUSED)
{
	struct layout one = {LAYOUT_SINGLE, 1};
	struct fake *f = fake_new(true);
	struct publisher *p = start_layout(f, LAYOUT_SPLIT, 4);
	struct outcome o;
	struct waiter w;

	waiter_init(&w, LIMIT_CATALOG_RESOURCES + 1);
	for (unsigned i = 0; i <= LIMIT_CATALOG_RESOURCES; i++) {
		CLEANUP(intent_unrefp) struct intent *intent = NULL;
		char name[16];

		snprintf(name, sizeof(name), "web-%u", i);
		intent = make_intent(name, 1);
		publisher_put(p, intent, ALWAYS, NULL, waiter_done, &w);
	}
	waiter_wait(&w);
	assert_int_equal(w.ok, LIMIT_CATALOG_RESOURCES + 1);
	fake_forget(f);
	o = step(p, RECORD_FREEZE, &one);
	assert_int_equal(o.err.code, ERROR_UNPROCESSABLE);
	assert_non_null(strstr(o.err.text, "5000"));
	assert_int_equal(f->n_pushes, 0);
	publisher_free(p);
	fake_destroy(f);
}

static void a_start_with_the_layout_of_before_is_refused_and_names_the_remedy(void **state)
{
	struct layout from = {LAYOUT_SINGLE, 1}, to = {LAYOUT_SPLIT, 4};
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_layout(f, LAYOUT_SINGLE, 1);

	put(p, "web", 1);
	take_step(p, RECORD_FREEZE, &to);
	take_step(p, RECORD_SWITCH, &to);
	put(p, "web", 2);
	publisher_free(p);
	p = start_options(f, (struct publisher_options){.layout = &from});
	while (publisher_ready(p, &err) == 0 || strstr(err.text, "gsq repartition") == NULL)
		usleep(1000);
	publisher_free(p);
	p = start_options(f, (struct publisher_options){.layout = &to});
	wait_ready(p);
	assert_int_equal(seen(p, "web"), 2);
	publisher_free(p);
	fake_destroy(f);
}

/* ---- faults ---- */

/* Takes all steps up to this one, and lets its call number n fail. Returns false when the step has
 * fewer calls than that. */
static bool one_fault(bool atomic, const struct way *way, enum record_repartition_step last,
	size_t n, enum fake_fault fault)
{
	struct fake *f = fake_new(atomic);
	struct publisher *p = make(f, &way->from);
	struct outcome o;
	bool reached;

	if (last != RECORD_FREEZE)
		take_step(p, RECORD_FREEZE, &way->to);
	if (last == THAW)
		take_step(p, RECORD_SWITCH, &way->to);
	fake_fail(f, n, 1, fault);
	o = step(p, last, &way->to);
	wait_ready(p); /* the publisher lets go of the registry */
	reached = f->n_calls > f->fault_at;
	f->fault_at = SIZE_MAX;
	if (o.err.code != ERROR_NONE)
		assert_int_equal(o.err.code, ERROR_UNAVAILABLE);
	expect_all_once(f, p);
	p = restart(f, p);
	expect_all_once(f, p);
	take_step(p, last, &way->to); /* also when it was committed and the answer was lost */
	expect_all_once(f, p);
	if (last == RECORD_FREEZE)
		take_step(p, RECORD_SWITCH, &way->to);
	if (last != THAW)
		take_step(p, THAW, &way->to);
	p = restart(f, p);
	expect_all_once(f, p);
	publisher_free(p);
	fake_destroy(f);
	return reached;
}

static void a_fault_at_any_call_of_a_step_loses_nothing_and_the_retry_succeeds(void **state)
{
	static const enum fake_fault faults[] = {
		FAKE_UNAVAILABLE, FAKE_LOST_BEFORE, FAKE_LOST_AFTER};
	static const enum record_repartition_step steps[] = {RECORD_FREEZE, RECORD_SWITCH, THAW};

	for (size_t w = 0; w < DIFFERENT_WAYS; w++) {
		for (size_t i = 0; i < ARRAY_SIZE(steps) * ARRAY_SIZE(faults); i++) {
			size_t n = 0;

			while (one_fault(*(bool *)*state, &ways[w], steps[i / 3], n, faults[i % 3]))
				n++;
			/* Head, the record, and the commit or the point at least. */
			assert_true(n >= 3);
		}
	}
}

static bool one_fault_at_giving_up(
	bool atomic, const struct way *way, size_t n, enum fake_fault fault)
{
	struct fake *f = fake_new(atomic);
	struct publisher *p = make(f, &way->from);
	struct outcome o;
	bool reached;

	take_step(p, RECORD_FREEZE, &way->to);
	fake_fail(f, n, 1, fault);
	o = step(p, THAW, &way->from);
	wait_ready(p);
	reached = f->n_calls > f->fault_at;
	f->fault_at = SIZE_MAX;
	if (o.err.code != ERROR_NONE)
		assert_int_equal(o.err.code, ERROR_UNAVAILABLE);
	p = restart(f, p);
	take_step(p, THAW, &way->from);
	expect_all_once(f, p);
	expect_given_up(f, p, way);
	publisher_free(p);
	fake_destroy(f);
	return reached;
}

static void a_fault_at_any_call_of_giving_up_loses_nothing_and_the_retry_succeeds(void **state)
{
	static const enum fake_fault faults[] = {
		FAKE_UNAVAILABLE, FAKE_LOST_BEFORE, FAKE_LOST_AFTER};

	for (size_t w = 0; w < DIFFERENT_WAYS; w++) {
		for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
			size_t n = 0;

			while (one_fault_at_giving_up(*(bool *)*state, &ways[w], n, faults[i]))
				n++;
			assert_true(n >= 3);
		}
	}
}

/* A process that ends between two pushes: all calls from the n-th on fail, until it is gone. */
static void a_crash_between_any_two_pushes_restores_to_the_step_before_or_after(void **state UNUSED)
{
	for (size_t w = 0; w < DIFFERENT_WAYS; w++) {
		bool reached = true;

		for (size_t n = 0; reached; n++) {
			struct fake *f = fake_new(false);
			struct publisher *p = make(f, &ways[w].from);
			struct layout to = ways[w].to;
			struct waiter waiter;

			take_step(p, RECORD_FREEZE, &to);
			fake_fail(f, n, SIZE_MAX, FAKE_LOST_BEFORE);
			waiter_init(&waiter, 1);
			publisher_repartition(p, RECORD_SWITCH, &to, NULL, waiter_done, &waiter);
			/* Where it is in doubt it is answered when the server stops. */
			for (bool known = false; !known;) {
				AZ(pthread_mutex_lock(&waiter.lock));
				known = waiter.left == 0;
				AZ(pthread_mutex_unlock(&waiter.lock));
				known = known || publisher_ready(p, &err) != 0;
				usleep(1000);
			}
			publisher_free(p);
			waiter_wait(&waiter);
			reached = f->n_calls > f->fault_at;
			f->fault_at = SIZE_MAX;
			p = start_with(f, false, NULL);
			wait_ready(p);
			expect_all_once(f, p);
			take_step(p, RECORD_SWITCH, &to);
			take_step(p, THAW, &to);
			expect_all_once(f, p);
			publisher_free(p);
			fake_destroy(f);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(each_step_keeps_every_resource_in_exactly_one_catalog),
		ON_BOTH(while_it_is_under_way_no_catalog_may_prune_and_the_old_ones_stay_in_the_root),
		ON_BOTH(changes_go_on_at_each_step_and_the_record_keeps_saying_so),
		ON_BOTH(deletions_are_refused_until_its_end),
		ON_BOTH(deletions_are_refused_for_a_reason_until_they_are_taken_again),
		ON_BOTH(they_are_refused_whatever_the_record_says_and_taken_after_a_restart),
		ON_BOTH(a_deletion_in_line_is_refused_and_one_that_was_decided_is_not),
		ON_BOTH(held_resources_stay_held),
		ON_BOTH(an_empty_store_can_change_its_layout_too),
		cmocka_unit_test(
			a_leftover_whose_tag_lags_behind_is_a_difference_and_rolled_forward),
		ON_BOTH(steps_out_of_order_are_refused_and_change_nothing),
		ON_BOTH(a_step_that_is_asked_for_again_is_no_change),
		ON_BOTH(before_the_switch_it_can_be_given_up_and_begun_anew),
		cmocka_unit_test(a_layout_whose_catalog_would_be_too_large_is_refused),
		ON_BOTH(a_start_with_the_layout_of_before_is_refused_and_names_the_remedy),
		ON_BOTH(a_fault_at_any_call_of_a_step_loses_nothing_and_the_retry_succeeds),
		ON_BOTH(a_fault_at_any_call_of_giving_up_loses_nothing_and_the_retry_succeeds),
		cmocka_unit_test(
			a_crash_between_any_two_pushes_restores_to_the_step_before_or_after),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
