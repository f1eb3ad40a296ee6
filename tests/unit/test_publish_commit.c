/* SPDX-License-Identifier: Apache-2.0 */
/* One commit of a split layout: how many catalogs there may be, and what the root says of them. */
#include "test.h"

#include "base/clock.h"
#include "fake_registry.h"
#include "intent/draft.h"
#include "publish/commit.h"

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
	free(x->batch);
	fake_destroy(x->fake);
}

static void keep_outcome(const struct outcome *outcome, void *arg)
{
	*(struct outcome *)arg = *outcome;
}

static void add_create(struct fixture *x, const char *namespace, const char *name)
{
	struct change *change = calloc(1, sizeof(*change));
	char json[256];

	assert_non_null(change);
	snprintf(json, sizeof(json),
		"{\"name\":\"%s\",\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}", name);
	assert_int_equal(intent_decode(&change->intent, slice_of(json), namespace, &err), 0);
	snprintf(change->namespace, sizeof(change->namespace), "%s", namespace);
	snprintf(change->name, sizeof(change->name), "%s", name);
	change->done = keep_outcome;
	change->arg = &x->outcomes[x->batch->n];
	x->batch->items[x->batch->n++] = (struct item){.change = change};
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
		cmocka_unit_test(the_address_that_the_record_has_is_kept),
		cmocka_unit_test(another_address_that_is_asked_for_comes_with_the_next_commit),
		cmocka_unit_test(a_record_that_does_not_say_gets_an_address_with_the_next_commit),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
