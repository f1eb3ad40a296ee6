/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsck against a registry in memory: what moves while it looks, and a registry that fails it. The
 * differences themselves: tests/system/test_fsck.py.
 */
#include "test.h"

#include "fake_registry.h"
#include "publish/fsck.h"
#include "publish/publisher.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define CATALOG "gitops-squared/catalog"
#define IDLE_CATALOG "gitops-squared/catalogs/idle/00"
#define COMMITS "gitops-squared/commits"
#define WEB "gitops-squared/resources/default/web"
#define GONE "gitops-squared/resources/default/gone"

static struct error err;

/* ---- a store: web (twice), gone, and idle/db (before them) ---- */

struct store {
	struct fake *fake;
	struct registry_ops ops; /* the fake's, to be replaced one by one */
	struct digest first_web, web, first_idle_catalog, first_catalog, gone;
};

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done;
	struct digest digest;
};

static void on_done(const struct outcome *outcome, void *arg)
{
	struct waiter *w = arg;

	assert_int_equal(outcome->err.code, ERROR_NONE);
	AZ(pthread_mutex_lock(&w->lock));
	w->digest = outcome->digest;
	w->done = true;
	AZ(pthread_cond_signal(&w->wake));
	AZ(pthread_mutex_unlock(&w->lock));
}

/* replicas 0: delete. Returns the artifact's digest. */
static struct digest write_one(
	struct publisher *p, const char *namespace, const char *name, unsigned replicas)
{
	struct waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	char json[256];

	snprintf(json, sizeof(json),
		"{\"name\":\"%s\",\"spec\":{\"type\":\"vm\",\"size\":\"small\",\"replicas\":%u}}",
		name, replicas);
	if (replicas == 0) {
		publisher_delete(p, namespace, name, ALWAYS, NULL, on_done, &w);
	} else {
		assert_int_equal(intent_decode(&intent, slice_of(json), namespace, &err), 0);
		publisher_put(p, intent, ALWAYS, NULL, on_done, &w);
	}
	AZ(pthread_mutex_lock(&w.lock));
	while (!w.done)
		AZ(pthread_cond_wait(&w.wake, &w.lock));
	AZ(pthread_mutex_unlock(&w.lock));
	return w.digest;
}

static struct digest tag_of(const struct store *s, const char *repository, const char *tag)
{
	struct digest digest = {.algorithm = DIGEST_NONE};

	assert_true(fake_resolve(s->fake, repository, tag, &digest));
	return digest;
}

static void make(struct store *s, bool atomic, enum layout_kind kind)
{
	struct layout layout = {kind, 1};
	const char *idle_catalog = kind == LAYOUT_SPLIT ? IDLE_CATALOG : CATALOG;
	struct publisher_options options = {.init = true, .layout = &layout};
	struct publisher *p;

	assert_int_equal(
		root_url_parse(&options.root.options, "https://registry.example", &err), 0);
	s->fake = fake_new(atomic);
	s->ops = *s->fake->registry.ops;
	s->fake->registry.ops = &s->ops;
	options.registry = &s->fake->registry;
	assert_int_equal(publisher_new(&p, &options, &err), 0);
	while (publisher_ready(p, &err) != 0)
		usleep(1000);
	write_one(p, "idle", "db", 1);
	s->first_idle_catalog = tag_of(s, idle_catalog, "latest");
	write_one(p, "idle", "db", 2);
	s->first_web = write_one(p, "default", "web", 1);
	s->first_catalog = tag_of(s, CATALOG, "latest");
	write_one(p, "default", "gone", 1);
	s->web = write_one(p, "default", "web", 2);
	s->gone = write_one(p, "default", "gone", 0);
	publisher_free(p);
}

/* ---- running it ---- */

struct run {
	struct store *store;
	bool repair;
	void (*settle)(struct run *r); /* what happens in the meantime */
	unsigned settled;
	char said[8192];
	struct fsck_result result;
};

static void on_line(const char *line, void *arg)
{
	struct run *r = arg;
	size_t len = strlen(r->said);

	snprintf(r->said + len, sizeof(r->said) - len, "%s\n", line);
}

static void on_settle(void *arg)
{
	struct run *r = arg;

	r->settled++;
	if (r->settle != NULL)
		r->settle(r);
}

static int fsck(struct run *r)
{
	struct fsck_options options = {
		.repair = r->repair, .say = on_line, .settle = on_settle, .arg = r};

	return fsck_run(&r->store->fake->registry, &options, &r->result, &err);
}

static bool says(const struct run *r, const char *text)
{
	return strstr(r->said, text) != NULL;
}

/* ---- what moves ---- */

static void web_arrives(struct run *r)
{
	fake_set_tag(r->store->fake, WEB, "latest", &r->store->web);
}

static void a_tag_that_a_server_is_about_to_move_is_no_difference(void **state UNUSED)
{
	struct store s;
	struct run r = {.store = &s, .settle = web_arrives};

	make(&s, false, LAYOUT_SINGLE);
	fake_set_tag(s.fake, WEB, "latest", &s.first_web);
	assert_int_equal(fsck(&r), 0);
	assert_int_equal(r.result.differences, 0);
	assert_int_equal(r.settled, 1);
	assert_string_equal(r.said, "");
	fake_destroy(s.fake);
}

static void a_difference_that_stands_is_looked_at_twice(void **state UNUSED)
{
	struct store s;
	struct run r = {.store = &s};

	make(&s, false, LAYOUT_SINGLE);
	fake_set_tag(s.fake, WEB, "latest", &s.first_web);
	assert_int_equal(fsck(&r), 0);
	assert_int_equal(r.result.differences, 1);
	assert_int_equal(r.settled, 1);
	assert_true(says(&r, WEB ":latest names "));
	fake_destroy(s.fake);
}

static void in_a_folder_that_is_ours_once_is_enough(void **state UNUSED)
{
	struct store s;
	struct run r = {.store = &s};

	make(&s, true, LAYOUT_SINGLE);
	fake_set_tag(s.fake, WEB, "latest", &s.first_web);
	assert_int_equal(fsck(&r), 0);
	assert_int_equal(r.result.differences, 1);
	assert_int_equal(r.settled, 0);
	fake_destroy(s.fake);
}

/* The catalog's tag is somewhere else each time. */
static void catalog_moves(struct run *r)
{
	fake_set_tag(r->store->fake, CATALOG, "latest",
		r->settled % 2 == 0 ? &r->store->first_catalog : &r->store->first_idle_catalog);
}

static void what_moves_all_the_time_is_not_counted_and_hides_nothing(void **state UNUSED)
{
	struct store s;
	struct run r = {.store = &s, .settle = catalog_moves};

	make(&s, false, LAYOUT_SINGLE);
	fake_set_tag(s.fake, WEB, "latest", &s.first_web);
	fake_set_tag(s.fake, CATALOG, "latest", &s.first_catalog);
	assert_int_equal(fsck(&r), 0);
	assert_int_equal(r.settled, LIMIT_FSCK_ROUNDS);
	assert_int_equal(r.result.differences, 1);
	assert_true(says(&r, WEB ":latest names "));
	assert_false(says(&r, CATALOG ":latest"));
	assert_true(says(&r, "not counted: 1 "));
	fake_destroy(s.fake);
}

/* ---- the split layout: digests from the records ---- */

static void a_moved_catalog_is_found_in_older_records(void **state UNUSED)
{
	struct store s;
	struct run r = {.store = &s, .repair = true};

	make(&s, false, LAYOUT_SPLIT);
	fake_set_tag(s.fake, IDLE_CATALOG, "latest", &s.first_idle_catalog);
	fake_drop_tag(s.fake, CATALOG, "latest");
	assert_int_equal(fsck(&r), 0);
	assert_int_equal(r.result.differences, 2);
	assert_int_equal(r.result.repaired, 2);
	assert_int_equal(r.result.resources, 2);
	assert_true(says(&r, IDLE_CATALOG ":latest names "));
	assert_true(says(&r, CATALOG ":latest is missing"));
	fake_destroy(s.fake);
}

static void a_moved_catalog_whose_records_are_damaged_is_a_difference(void **state UNUSED)
{
	struct store s;
	struct run r = {.store = &s};
	struct digest first = {.algorithm = DIGEST_NONE};

	make(&s, false, LAYOUT_SPLIT);
	fake_set_tag(s.fake, IDLE_CATALOG, "latest", &s.first_idle_catalog);
	/* Every record but the last. */
	for (size_t i = 0; i < s.fake->n_tags; i++) {
		const struct fake_tag *t = &s.fake->tags[i];
		struct digest last = tag_of(&s, COMMITS, "latest");

		if (strcmp(t->repository, COMMITS) != 0 || digest_eq(&t->digest, &last))
			continue;
		first = t->digest;
		fake_damage(s.fake, &first);
	}
	assert_int_equal(first.algorithm, DIGEST_SHA256);
	assert_int_equal(fsck(&r), 0);
	assert_true(r.result.differences >= 1);
	assert_int_equal(r.result.resources, 0);
	assert_true(says(&r, COMMITS "@"));
	assert_true(says(&r, "not checked: "));
	fake_destroy(s.fake);
}

/* ---- a registry that refuses or fails ---- */

static int refuse_to_list(struct registry *registry UNUSED,
	int (*each)(struct slice repository, void *arg, struct error *e) UNUSED, void *arg UNUSED,
	struct error *e)
{
	return error_set(e, ERROR_DENIED, "no listing here");
}

static void a_registry_that_does_not_list_is_checked_as_far_as_it_goes(void **state UNUSED)
{
	struct store s;
	struct run r = {.store = &s};

	make(&s, false, LAYOUT_SINGLE);
	s.ops.repositories = refuse_to_list;
	assert_int_equal(fsck(&r), 0);
	assert_int_equal(r.result.differences, 0);
	assert_true(says(&r, "no listing here"));

	/* The last record tells of the last deletion. */
	fake_drop_tag(s.fake, GONE, "latest");
	r.said[0] = '\0';
	assert_int_equal(fsck(&r), 0);
	assert_int_equal(r.result.differences, 1);
	assert_true(says(&r, GONE ":latest is missing"));
	fake_destroy(s.fake);
}

static void a_registry_that_is_down_is_an_error_and_no_difference(void **state UNUSED)
{
	struct store s;
	struct run r = {.store = &s};
	size_t calls;

	make(&s, false, LAYOUT_SPLIT);
	calls = s.fake->n_calls;
	assert_int_equal(fsck(&r), 0);
	calls = s.fake->n_calls - calls;
	for (size_t i = 0; i < calls; i++) {
		fake_fail(s.fake, i, 1, FAKE_UNAVAILABLE);
		err = (struct error)ERROR_INIT;
		assert_int_equal(fsck(&r), -1);
		assert_int_equal(err.code, ERROR_UNAVAILABLE);
		assert_string_equal(r.said, "");
	}
	fake_destroy(s.fake);
}

/* ---- repair ---- */

static int begin_late(struct registry *registry, struct error *e UNUSED)
{
	struct fake *f = (struct fake *)registry;

	AZ(pthread_mutex_lock(&f->lock));
	f->n_tags_at_begin = f->n_tags;
	memcpy(f->tags_at_begin, f->tags, f->n_tags * sizeof(f->tags[0]));
	for (size_t i = 0; i < f->n_tags; i++)
		if (strcmp(f->tags[i].repository, COMMITS) == 0 && f->tags[i].tag[0] == 'c')
			fake_set_tag(f, COMMITS, "latest", &f->tags[i].digest);
	return 0;
}

static void nothing_is_repaired_once_a_server_has_written(void **state UNUSED)
{
	struct store s;
	struct run r = {.store = &s, .repair = true};
	struct digest now;

	make(&s, true, LAYOUT_SINGLE);
	fake_set_tag(s.fake, WEB, "latest", &s.first_web);
	/* The transaction sees another record than the looks did. */
	fake_set_tag(s.fake, COMMITS, "c9", &s.first_web);
	s.ops.begin = begin_late;
	fake_forget(s.fake);
	assert_int_equal(fsck(&r), 0);
	assert_int_equal(s.fake->n_pushes, 0);
	assert_int_equal(r.result.repaired, 0);
	assert_true(says(&r, "not repaired: a server has written"));
	now = tag_of(&s, WEB, "latest");
	assert_true(digest_eq(&now, &s.first_web));
	fake_destroy(s.fake);
}

static void a_push_that_fails_repairs_nothing_and_says_so(void **state UNUSED)
{
	struct store s;
	struct run r = {.store = &s};
	size_t calls;

	make(&s, true, LAYOUT_SINGLE);
	fake_set_tag(s.fake, WEB, "latest", &s.first_web);
	calls = s.fake->n_calls;
	assert_int_equal(fsck(&r), 0);
	calls = s.fake->n_calls - calls;
	/* Then the manifest is read, and commits:latest looked up; the push is the third call. */
	for (size_t i = 0; i < 4; i++) {
		struct digest now;

		r.repair = true;
		r.said[0] = '\0';
		fake_fail(s.fake, calls + i, 1, FAKE_UNAVAILABLE);
		assert_int_equal(fsck(&r), 0);
		assert_int_equal(r.result.differences, 1);
		assert_int_equal(r.result.repaired, 0);
		assert_true(says(&r, "not repaired: "));
		now = tag_of(&s, WEB, "latest");
		assert_true(digest_eq(&now, &s.first_web));
	}
	fake_fail(s.fake, SIZE_MAX / 2, 1, FAKE_OK);
	r.said[0] = '\0';
	fake_forget(s.fake);
	assert_int_equal(fsck(&r), 0);
	assert_int_equal(r.result.repaired, 1);
	assert_string_equal(s.fake->last_pushes, WEB ":latest ");
	fake_destroy(s.fake);
}

static void no_tag_is_moved_to_an_artifact_that_is_not_there(void **state UNUSED)
{
	struct store s;
	struct run r = {.store = &s, .repair = true};

	make(&s, true, LAYOUT_SINGLE);
	fake_set_tag(s.fake, WEB, "latest", &s.first_web);
	fake_damage(s.fake, &s.web);
	fake_forget(s.fake);
	assert_int_equal(fsck(&r), 0);
	assert_int_equal(r.result.differences, 2);
	assert_int_equal(r.result.repaired, 0);
	assert_int_equal(s.fake->n_pushes, 0);
	fake_destroy(s.fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tag_that_a_server_is_about_to_move_is_no_difference),
		cmocka_unit_test(a_difference_that_stands_is_looked_at_twice),
		cmocka_unit_test(in_a_folder_that_is_ours_once_is_enough),
		cmocka_unit_test(what_moves_all_the_time_is_not_counted_and_hides_nothing),
		cmocka_unit_test(a_moved_catalog_is_found_in_older_records),
		cmocka_unit_test(a_moved_catalog_whose_records_are_damaged_is_a_difference),
		cmocka_unit_test(a_registry_that_does_not_list_is_checked_as_far_as_it_goes),
		cmocka_unit_test(a_registry_that_is_down_is_an_error_and_no_difference),
		cmocka_unit_test(nothing_is_repaired_once_a_server_has_written),
		cmocka_unit_test(a_push_that_fails_repairs_nothing_and_says_so),
		cmocka_unit_test(no_tag_is_moved_to_an_artifact_that_is_not_there),
	};

	digest_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
