/* SPDX-License-Identifier: Apache-2.0 */
/* One commit of a split layout: how many catalogs there may be, and what the root says of them. */
#include "test.h"

#include "base/clock.h"
#include "fake_registry.h"
#include "intent/draft.h"
#include "publish/commit.h"
#include "publish/layout_step.h"

#include <stdio.h>

static struct error err;

struct fixture {
	struct fake *fake;
	struct root_request root;
	struct writer writer;
	struct batch *batch;
	struct outcome outcomes[LIMIT_BATCH];
};

/* A store with that many catalogs, n0000 and on, all empty. */
static void make(struct fixture *x, size_t n)
{
	static const struct layout layout = {LAYOUT_SPLIT, 1};
	CLEANUP(state_unrefp) struct state *none = NULL;
	struct partition **partitions = calloc(n + 1, sizeof(*partitions));

	*x = (struct fixture){.fake = fake_new(true), .batch = calloc(1, sizeof(*x->batch))};
	assert_non_null(partitions);
	assert_non_null(x->batch);
	assert_int_equal(batch_reserve(x->batch, LIMIT_BATCH, &err), 0);
	for (size_t i = 0; i < n; i++) {
		struct place place = {.number = 0};

		snprintf(place.namespace, sizeof(place.namespace), "n%04zu", i);
		assert_int_equal(partition_new_empty(&partitions[i], &layout, &place, &err), 0);
		partitions[i]->digest = digest_of(slice_of(place.namespace));
	}
	x->writer.head.record = digest_of(SLICE("record"));
	fake_set_tag(x->fake, RECORD_REPOSITORY, "latest", &x->writer.head.record);
	assert_int_equal(state_new(&none, &layout, &err), 0);
	assert_int_equal(
		state_replace(&x->writer.head.state, none, partitions, n, &oci_empty_digest, &err),
		0);
	partitions_free(partitions, n);
	assert_int_equal(root_url_parse(&x->root.options, "http://asked.example", &err), 0);
	assert_int_equal(root_url_parse(&x->writer.head.root, "http://has.example", &err), 0);
	x->writer.registry = &x->fake->registry;
	x->writer.root = &x->root;
	x->writer.versions.now_us = clock_realtime_us;
}

static void destroy(struct fixture *x)
{
	head_done(&x->writer.head);
	gzips_done(&x->writer.gzips);
	batch_free(x->batch);
	fake_destroy(x->fake);
}

static void keep_outcome(const struct outcome *outcome, void *arg)
{
	*(struct outcome *)arg = *outcome;
}

static struct change *add(
	struct fixture *x, enum change_kind kind, const char *namespace, const char *name)
{
	struct change *change = calloc(1, sizeof(*change));

	assert_non_null(change);
	change->kind = kind;
	snprintf(change->namespace, sizeof(change->namespace), "%s", namespace);
	snprintf(change->name, sizeof(change->name), "%s", name);
	assert_int_equal(author_new(&change->author, "token:ci", "", SLICE_NONE, &err), 0);
	change->done = keep_outcome;
	change->arg = &x->outcomes[x->batch->n];
	x->batch->items[x->batch->n++] = (struct item){.change = change};
	return change;
}

static void add_change(struct fixture *x, const char *namespace, const char *name, const char *size)
{
	struct change *change = add(x, CHANGE_PUT, namespace, name);
	char json[256];

	snprintf(json, sizeof(json), "{\"name\":\"%s\",\"spec\":{\"type\":\"vm\",\"size\":\"%s\"}}",
		name, size);
	assert_int_equal(intent_decode(&change->intent, slice_of(json), namespace, &err), 0);
}

static void add_create(struct fixture *x, const char *namespace, const char *name)
{
	add_change(x, namespace, name, "small");
}

static void add_delete(struct fixture *x, const char *namespace, const char *name)
{
	add(x, CHANGE_DELETE, namespace, name);
}

static void commit(struct fixture *x)
{
	assert_int_equal(commit_run(x->batch, &x->writer, &err), COMMIT_DONE);
	commit_answer(x->batch, NULL);
	batch_reset(x->batch);
}

static size_t catalogs(const struct fixture *x)
{
	return state_n_partitions(x->writer.head.state);
}

static void the_last_catalog_is_taken_and_one_more_is_refused(void **state UNUSED)
{
	struct fixture x;

	make(&x, LIMIT_ROOT_CATALOGS - 1);
	add_create(&x, "new", "web");
	add_create(&x, "one-more", "web");
	add_create(&x, "new", "db");      /* comes into the same catalog as the first */
	add_create(&x, "one-more", "db"); /* is refused as the second */
	add_create(&x, "n0001", "web");   /* is there */
	commit(&x);
	assert_int_equal(x.outcomes[0].err.code, ERROR_NONE);
	assert_int_equal(x.outcomes[1].err.code, ERROR_UNPROCESSABLE);
	assert_non_null(strstr(x.outcomes[1].err.text, "2500 catalogs"));
	assert_int_equal(x.outcomes[2].err.code, ERROR_NONE);
	assert_int_equal(x.outcomes[3].err.code, ERROR_UNPROCESSABLE);
	assert_int_equal(x.outcomes[4].err.code, ERROR_NONE);
	assert_int_equal(catalogs(&x), LIMIT_ROOT_CATALOGS);
	destroy(&x);
}

static void with_all_catalogs_there_writes_to_them_go_on(void **state UNUSED)
{
	struct fixture x;

	make(&x, LIMIT_ROOT_CATALOGS);
	add_create(&x, "new", "web");
	add_create(&x, "n0000", "web");
	commit(&x);
	assert_int_equal(x.outcomes[0].err.code, ERROR_UNPROCESSABLE);
	assert_int_equal(x.outcomes[1].err.code, ERROR_NONE);
	assert_int_equal(catalogs(&x), LIMIT_ROOT_CATALOGS);
	destroy(&x);
}

/* A namespace has objects of its own there then: 1 + 4 * 1249 make 4997, and no other fits. */
static void with_accounts_fewer_catalogs_fill_the_root(void **state UNUSED)
{
	struct fixture x;

	make(&x, 1248);
	x.writer.head.root.accounts = true;
	add_create(&x, "new", "web");
	add_create(&x, "one-more", "web");
	add_create(&x, "n0001", "web"); /* is there */
	commit(&x);
	assert_int_equal(x.outcomes[0].err.code, ERROR_NONE);
	assert_int_equal(x.outcomes[1].err.code, ERROR_UNPROCESSABLE);
	assert_non_null(strstr(x.outcomes[1].err.text, "1249 catalogs"));
	assert_int_equal(x.outcomes[2].err.code, ERROR_NONE);
	assert_int_equal(catalogs(&x), 1249);
	destroy(&x);
}

/* The catalogs of the layout before stay in the root until the last step. */
static void a_repartition_that_the_root_cannot_hold_does_not_begin(void **state UNUSED)
{
	const struct layout_step freeze = {RECORD_FREEZE, {LAYOUT_SPLIT, 200}};

	for (size_t n = 1249; n <= 1250; n++) {
		struct fixture x;
		bool fits = n == 1249;

		make(&x, n);
		err = (struct error)ERROR_INIT;
		assert_true(layout_step_decide(&freeze, &x.writer.head, &x.writer.head.root, &err));
		x.writer.head.root.accounts = true;
		assert_int_equal(fits,
			layout_step_decide(&freeze, &x.writer.head, &x.writer.head.root, &err));
		if (!fits) {
			assert_int_equal(err.code, ERROR_UNPROCESSABLE);
			assert_non_null(strstr(err.text, "take fewer catalogs for a namespace"));
		}
		destroy(&x);
	}
}

/* Whether the commit of one resource makes the root anew. */
static bool moves_root(struct fixture *x, const char *namespace, const char *name)
{
	struct digest before = *state_root(x->writer.head.state);

	add_create(x, namespace, name);
	commit(x);
	return !digest_eq(&before, state_root(x->writer.head.state));
}

static void the_address_that_the_record_has_is_kept(void **state UNUSED)
{
	struct fixture x;

	make(&x, 1);
	assert_false(moves_root(&x, "n0000", "web"));
	assert_true(moves_root(&x, "new", "web"));
	assert_string_equal(x.writer.head.root.location, "has.example/");
	destroy(&x);
}

static void another_address_that_is_asked_for_comes_with_the_next_commit(void **state UNUSED)
{
	struct fixture x;

	make(&x, 1);
	x.root.url_given = true;
	assert_true(moves_root(&x, "n0000", "web"));
	assert_string_equal(x.writer.head.root.location, "asked.example/");
	assert_false(moves_root(&x, "n0000", "db"));
	destroy(&x);
}

static void a_record_that_does_not_say_gets_an_address_with_the_next_commit(void **state UNUSED)
{
	struct fixture x;

	make(&x, 1);
	x.writer.head.root = (struct root_options){.location = ""};
	assert_true(moves_root(&x, "n0000", "web"));
	assert_string_equal(x.writer.head.root.location, "asked.example/");
	destroy(&x);
}

/* ---- the root by itself ---- */

static bool lacks(const char *namespace, void *arg)
{
	return strcmp(namespace, arg) == 0;
}

static bool renders_root(struct fixture *x)
{
	struct digest before = *state_root(x->writer.head.state);
	struct step *step = calloc(1, sizeof(*step));

	assert_non_null(step);
	step->kind = STEP_ROOT;
	assert_int_equal(author_new(&step->author, "gsq", "", SLICE_NONE, &err), 0);
	step->done = keep_outcome;
	step->arg = &x->outcomes[0];
	x->batch->step = step;
	commit(x);
	assert_int_equal(x->outcomes[0].err.code, ERROR_NONE);
	return !digest_eq(&before, state_root(x->writer.head.state));
}

/* How often the root names it, in its last layer. */
static size_t in_root(struct fixture *x, const char *what)
{
	CLEANUP(gzip_content_done)
	struct gzip_content content = {.bytes = BUF_INIT(LIMIT_CATALOG_TAR)};
	struct pull pull = {.repository = CATALOG_REPOSITORY,
		.reference = "latest",
		.manifest = BUF_INIT(LIMIT_MANIFEST),
		.layer = BUF_INIT(LIMIT_CATALOG_LAYER)};
	struct slice rest;
	size_t n = 0;

	registry_pull(&x->fake->registry, &pull, 1);
	assert_int_equal(pull.err.code, ERROR_NONE);
	assert_int_equal(gzip_read(&content, buf_slice(&pull.layer), &err), 0);
	rest = buf_slice(&content.bytes);
	for (const char *at; (at = memmem(rest.p, rest.n, what, strlen(what))) != NULL; n++) {
		rest.n -= (size_t)(at + 1 - rest.p);
		rest.p = at + 1;
	}
	buf_done(&pull.manifest);
	buf_done(&pull.layer);
	return n;
}

static void the_root_is_rendered_again_without_what_the_cluster_lacks(void **state UNUSED)
{
	struct fixture x;

	make(&x, 3);
	x.writer.head.root.accounts = true;
	assert_true(renders_root(&x));
	assert_int_equal(x.outcomes[0].op, OUTCOME_UPDATED);
	assert_int_equal(in_root(&x, "kind: RoleBinding\n"), 3);
	x.writer.lacks = (struct root_lacks){lacks, (void *)"n0001"};
	assert_true(renders_root(&x));
	assert_int_equal(in_root(&x, "kind: RoleBinding\n"), 2);
	assert_int_equal(in_root(&x, "  namespace: \"n0001\"\n"), 0);
	assert_int_equal(catalogs(&x), 3);
	destroy(&x);
}

/* As each start does, since what the cluster lacks is in no record. */
static void a_root_that_comes_out_as_it_is_makes_no_commit(void **state UNUSED)
{
	struct fixture x;
	size_t pushes;

	make(&x, 3);
	x.writer.head.root.accounts = true;
	x.writer.lacks = (struct root_lacks){lacks, (void *)"n0001"};
	assert_true(renders_root(&x));
	pushes = x.fake->n_pushes;
	for (unsigned i = 0; i < 3; i++) {
		assert_false(renders_root(&x));
		assert_int_equal(x.outcomes[0].op, OUTCOME_UNCHANGED);
	}
	assert_int_equal(x.fake->n_pushes, pushes);
	x.writer.lacks = (struct root_lacks){.ask = NULL};
	assert_true(renders_root(&x));
	destroy(&x);
}

static void a_root_that_cannot_be_read_for_comparison_is_no_answer(void **state UNUSED)
{
	struct fixture x;
	struct step *step = calloc(1, sizeof(*step));

	assert_non_null(step);
	make(&x, 1);
	x.writer.head.root.accounts = true;
	assert_true(renders_root(&x));
	*step = (struct step){.kind = STEP_ROOT, .done = keep_outcome, .arg = &x.outcomes[0]};
	assert_int_equal(author_new(&step->author, "gsq", "", SLICE_NONE, &err), 0);
	x.batch->step = step;
	fake_fail(x.fake, 1, 1, FAKE_UNAVAILABLE); /* the first call reads commits:latest */
	assert_int_equal(commit_run(x.batch, &x.writer, &err), COMMIT_FAILED);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	commit_answer(x.batch, &err);
	assert_int_equal(x.outcomes[0].err.code, ERROR_UNAVAILABLE);
	batch_reset(x.batch);
	destroy(&x);
}

static void a_root_without_accounts_is_left_as_it_is(void **state UNUSED)
{
	struct fixture x;

	make(&x, 3);
	assert_false(renders_root(&x));
	assert_int_equal(x.outcomes[0].op, OUTCOME_UNCHANGED);
	destroy(&x);
}

/* ---- quota ---- */

static uint64_t quota_of(const char *namespace, void *arg)
{
	return strcmp(namespace, "team-a") == 0 ? *(uint64_t *)arg : UINT64_MAX;
}

static void a_namespace_has_as_many_resources_as_its_quota(void **state UNUSED)
{
	uint64_t quota = 3;
	struct fixture x;

	make(&x, 1);
	x.writer.quota = quota_of;
	x.writer.quota_arg = &quota;
	add_create(&x, "team-a", "one");
	commit(&x);
	add_create(&x, "team-a", "two");
	add_create(&x, "team-b", "one"); /* no limit */
	add_create(&x, "team-a", "three");
	add_create(&x, "team-a", "four"); /* those before it in the batch count */
	commit(&x);
	assert_int_equal(x.outcomes[0].err.code, ERROR_NONE);
	assert_int_equal(x.outcomes[1].err.code, ERROR_NONE);
	assert_int_equal(x.outcomes[2].err.code, ERROR_NONE);
	assert_int_equal(x.outcomes[3].err.code, ERROR_DENIED);
	assert_string_equal(x.outcomes[3].err.text,
		"namespace team-a has 3 resources, and its quota is 3: delete some, or ask an "
		"operator for more");
	assert_int_equal(state_count_namespace(x.writer.head.state, "team-a"), 3);
	destroy(&x);
}

static void past_its_quota_a_namespace_can_still_change_and_delete(void **state UNUSED)
{
	uint64_t quota = UINT64_MAX;
	struct fixture x;

	make(&x, 1);
	x.writer.quota = quota_of;
	x.writer.quota_arg = &quota;
	add_create(&x, "team-a", "one");
	add_create(&x, "team-a", "two");
	commit(&x);
	quota = 1; /* less than there are */
	add_change(&x, "team-a", "one", "large");
	add_delete(&x, "team-a", "two");
	commit(&x);
	assert_int_equal(x.outcomes[0].op, OUTCOME_UPDATED);
	assert_int_equal(x.outcomes[1].op, OUTCOME_DELETED);
	add_create(&x, "team-a", "two");
	commit(&x);
	assert_int_equal(x.outcomes[0].err.code, ERROR_DENIED);
	destroy(&x);
}

/* A name whose resource belongs into that catalog of team-a; *n: where to look on. */
static const char *name_in(const struct layout *layout, unsigned number, unsigned *n)
{
	static char name[LIMIT_NAME + 1];

	do
		snprintf(name, sizeof(name), "r%u", (*n)++);
	while (layout_place(layout, "team-a", name).number != number);
	return name;
}

/* The first of two catalogs of team-a is full, and the second is not there. */
static void make_full(struct fixture *x, unsigned *n)
{
	static const struct layout layout = {LAYOUT_SPLIT, 2};
	CLEANUP(state_unrefp) struct state *none = NULL;
	struct catalog_change *changes = calloc(LIMIT_CATALOG_RESOURCES, sizeof(*changes));
	char(*names)[LIMIT_NAME + 1] = calloc(LIMIT_CATALOG_RESOURCES, sizeof(*names));
	struct partition **partitions;
	size_t n_partitions;

	assert_non_null(changes);
	assert_non_null(names);
	for (size_t i = 0; i < LIMIT_CATALOG_RESOURCES; i++) {
		CLEANUP(intent_unrefp) struct intent *intent = NULL;
		char json[256];

		snprintf(names[i], sizeof(names[i]), "%s", name_in(&layout, 0, n));
		snprintf(json, sizeof(json),
			"{\"name\":\"%s\",\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}",
			names[i]);
		assert_int_equal(intent_decode(&intent, slice_of(json), "team-a", &err), 0);
		changes[i] = (struct catalog_change){.namespace = "team-a", .name = names[i]};
		assert_int_equal(
			resource_new(&changes[i].resource, intent, 1, &oci_empty_digest, &err), 0);
	}
	make(x, 0);
	state_unref(x->writer.head.state);
	assert_int_equal(state_new(&none, &layout, &err), 0);
	assert_int_equal(state_change(none, changes, LIMIT_CATALOG_RESOURCES, &x->writer.gzips,
				 &partitions, &n_partitions, &err),
		0);
	assert_int_equal(n_partitions, 1);
	partitions[0]->digest = digest_of(SLICE("team-a"));
	assert_int_equal(state_replace(&x->writer.head.state, none, partitions, n_partitions,
				 &oci_empty_digest, &err),
		0);
	partitions_free(partitions, n_partitions);
	for (size_t i = 0; i < LIMIT_CATALOG_RESOURCES; i++)
		resource_unref(changes[i].resource);
	free(changes);
	free(names);
}

static void what_has_no_room_in_its_catalog_uses_up_no_quota(void **state UNUSED)
{
	static const struct layout layout = {LAYOUT_SPLIT, 2};
	uint64_t quota = LIMIT_CATALOG_RESOURCES + 1;
	struct fixture x;
	unsigned n = 0;

	make_full(&x, &n);
	x.writer.quota = quota_of;
	x.writer.quota_arg = &quota;
	add_create(&x, "team-a", name_in(&layout, 0, &n));
	add_create(&x, "team-a", name_in(&layout, 1, &n));
	add_create(&x, "team-a", name_in(&layout, 1, &n));
	commit(&x);
	assert_int_equal(x.outcomes[0].err.code, ERROR_UNPROCESSABLE);
	assert_int_equal(x.outcomes[1].err.code, ERROR_NONE);
	assert_int_equal(x.outcomes[2].err.code, ERROR_DENIED);
	destroy(&x);
}

static int setup(void **state UNUSED)
{
	digest_setup();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_catalog_is_taken_and_one_more_is_refused),
		cmocka_unit_test(with_all_catalogs_there_writes_to_them_go_on),
		cmocka_unit_test(with_accounts_fewer_catalogs_fill_the_root),
		cmocka_unit_test(a_repartition_that_the_root_cannot_hold_does_not_begin),
		cmocka_unit_test(the_address_that_the_record_has_is_kept),
		cmocka_unit_test(another_address_that_is_asked_for_comes_with_the_next_commit),
		cmocka_unit_test(a_record_that_does_not_say_gets_an_address_with_the_next_commit),
		cmocka_unit_test(the_root_is_rendered_again_without_what_the_cluster_lacks),
		cmocka_unit_test(a_root_that_comes_out_as_it_is_makes_no_commit),
		cmocka_unit_test(a_root_that_cannot_be_read_for_comparison_is_no_answer),
		cmocka_unit_test(a_root_without_accounts_is_left_as_it_is),
		cmocka_unit_test(a_namespace_has_as_many_resources_as_its_quota),
		cmocka_unit_test(past_its_quota_a_namespace_can_still_change_and_delete),
		cmocka_unit_test(what_has_no_room_in_its_catalog_uses_up_no_quota),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
