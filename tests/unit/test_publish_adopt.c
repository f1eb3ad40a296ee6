/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/clock.h"
#include "fake_registry.h"
#include "publish/adopt.h"
#include "publish/head.h"
#include "publish/rebuild.h"
#include "publish/remains.h"

#include <stdio.h>

#define RECORDS "gitops-squared/commits"
#define CATALOG "gitops-squared/catalog"
#define RESOURCE(name) "gitops-squared/resources/default/" name

static struct error err;

/* ---- a cluster ---- */

#define OBJECTS 1300

struct cluster {
	size_t n;
	struct adopt_object objects[OBJECTS];
};

static struct intent *make_intent_in(const char *namespace, const char *name, unsigned replicas)
{
	struct intent *intent;
	char json[128];

	snprintf(json, sizeof(json),
		"{\"name\":\"%s\",\"spec\":{\"type\":\"vm\",\"size\":\"small\",\"replicas\":%u}}",
		name, replicas);
	assert_int_equal(intent_decode(&intent, slice_of(json), namespace, &err), 0);
	return intent;
}

static struct intent *make_intent(const char *name, unsigned replicas)
{
	return make_intent_in("default", name, replicas);
}

static struct adopt_object *has(
	struct cluster *c, const char *name, unsigned replicas, uint64_t version)
{
	struct adopt_object *o = &c->objects[c->n++];

	*o = (struct adopt_object){.intent = make_intent(name, replicas), .version = version};
	return o;
}

/* "r00" and on. */
static void has_many(struct cluster *c, size_t n, uint64_t version)
{
	char name[24];

	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "r%02zu", i);
		has(c, name, 1, version + i);
	}
}

static void cluster_done(struct cluster *c)
{
	for (size_t i = 0; i < c->n; i++)
		intent_unref(c->objects[i].intent);
	c->n = 0;
}

/* ---- adopting ---- */

static const struct prune_guard guard = {.max_percent = 20, .confirm = "give --confirm prune"};

static int adopt_with(struct fake *f, struct cluster *c, const struct adopt_options *options,
	struct adopt_result *ret)
{
	err = (struct error)ERROR_INIT;
	return adopt_run(&f->registry, options, c->objects, c->n, ret, &err);
}

static int adopt(struct fake *f, struct cluster *c, struct adopt_result *ret)
{
	const struct adopt_options options = {.guard = guard};

	return adopt_with(f, c, &options, ret);
}

static void adopt_first(struct fake *f, struct cluster *c)
{
	struct adopt_result result;

	assert_int_equal(adopt(f, c, &result), 0);
}

/* The last record, which the test frees. */
static struct head read_head(struct fake *f)
{
	struct unrolled unrolled;
	struct head head;

	if (head_read(&head, &unrolled, &f->registry, &(struct signing){.key = NULL}, &err) != 0)
		fail_msg("%s", err.text);
	unrolled_done(&unrolled);
	return head;
}

/* The version that is current; 0: none. */
static uint64_t current(struct fake *f, const char *name)
{
	struct head head = read_head(f);
	const struct resource *r = state_find(head.state, "default", name);
	uint64_t version = r == NULL ? 0 : r->version;

	head_done(&head);
	return version;
}

static bool same_tag(struct fake *f, const char *repository, const char *a, const char *b)
{
	struct digest x, y;

	return fake_resolve(f, repository, a, &x) && fake_resolve(f, repository, b, &y) &&
	       digest_eq(&x, &y);
}

/* ---- a store that was lost ---- */

static void a_lost_store_says_what_the_cluster_has(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct cluster c = {0};
	struct adopt_result result;

	has(&c, "web", 3, 1700000000000007);
	has(&c, "db", 1, 1700000000000001);
	assert_int_equal(adopt(f, &c, &result), 0);
	assert_int_equal(result.counts[ADOPT_ADD], 2);
	assert_int_equal(result.highest, 1700000000000007);
	assert_int_equal(result.before, 0);
	assert_int_equal(current(f, "web"), 1700000000000007);
	assert_int_equal(current(f, "db"), 1700000000000001);
	assert_true(same_tag(f, RESOURCE("web"), "v1700000000000007", "latest"));
	assert_true(same_tag(f, RESOURCE("db"), "v1700000000000001", "latest"));
	cluster_done(&c);
	fake_destroy(f);
}

static void its_record_is_above_every_version_in_the_cluster(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	uint64_t future = clock_realtime_us() + UINT64_C(3600000000);
	struct cluster c = {0};
	struct adopt_result result;
	struct head head;

	has(&c, "web", 1, future);
	assert_int_equal(adopt(f, &c, &result), 0);
	head = read_head(f);
	assert_true(head.version > future);
	assert_int_equal(head.version, result.version);
	head_done(&head);
	cluster_done(&c);
	fake_destroy(f);
}

static void a_rebuild_finds_the_same(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	const struct rebuild_options options = {.guard = guard};
	struct cluster c = {0};
	size_t count;

	has(&c, "web", 3, 7);
	has(&c, "db", 1, 8);
	adopt_first(f, &c);
	fake_drop_tag(f, RECORDS, "latest");
	assert_int_equal(rebuild_run(&f->registry, &options, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(current(f, "web"), 7);
	cluster_done(&c);
	fake_destroy(f);
}

static void a_cluster_without_anything_of_ours_is_the_wrong_one(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct cluster c = {0};
	struct adopt_result result;

	assert_int_equal(adopt(f, &c, &result), -1);
	assert_int_equal(err.code, ERROR_UNPROCESSABLE);
	assert_int_equal(f->n_pushes, 0);
	fake_destroy(f);
}

struct told {
	char lines[1024];
};

static void on_told(
	enum adopt_op op, const char *namespace, const char *name, uint64_t version, void *arg)
{
	struct told *told = arg;
	size_t n = strlen(told->lines);

	snprintf(told->lines + n, sizeof(told->lines) - n, "%d %s/%s %llu\n", (int)op, namespace,
		name, (unsigned long long)(op == ADOPT_REMOVE ? 0 : version));
}

static void a_dry_run_tells_all_and_writes_nothing(void **state UNUSED)
{
	struct fake *f = fake_new(false);
	struct cluster c = {0};
	struct told told = {""};
	struct adopt_options options = {
		.guard = guard, .dry_run = true, .tell = on_told, .arg = &told};
	struct adopt_result result;

	has(&c, "web", 1, 7);
	has(&c, "db", 1, 8);
	assert_int_equal(adopt_with(f, &c, &options, &result), 0);
	assert_string_equal(told.lines, "0 default/db 8\n0 default/web 7\n");
	assert_int_equal(result.counts[ADOPT_ADD], 2);
	assert_int_equal(f->n_pushes, 0);
	cluster_done(&c);
	fake_destroy(f);
}

/* ---- a backup that was put back ---- */

static void a_whole_store_that_is_not_older_is_left_alone(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct cluster c = {0};
	struct adopt_result result;

	has(&c, "web", 1, 7);
	adopt_first(f, &c);
	fake_forget(f);
	assert_int_equal(adopt(f, &c, &result), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_non_null(strstr(err.text, "v7"));
	assert_int_equal(f->n_pushes, 0);
	cluster_done(&c);
	fake_destroy(f);
}

/* Later than any record of this test. */
static uint64_t later(void)
{
	return clock_realtime_us() + UINT64_C(3600000000);
}

static void an_older_store_catches_up_with_the_cluster(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	uint64_t newest = later();
	struct cluster c = {0};
	struct adopt_result result;
	struct head before, after;
	struct record record = {0};
	struct digest digest;

	has(&c, "same", 1, 7);
	has(&c, "changed", 1, 8);
	has(&c, "gone", 1, 9);
	adopt_first(f, &c);
	before = read_head(f);
	cluster_done(&c);
	has(&c, "same", 1, 7);
	has(&c, "changed", 5, newest);
	has(&c, "new", 1, newest - 1);
	assert_int_equal(adopt(f, &c, &result), 0);
	assert_int_equal(result.counts[ADOPT_KEEP], 1);
	assert_int_equal(result.counts[ADOPT_CHANGE], 1);
	assert_int_equal(result.counts[ADOPT_ADD], 1);
	assert_int_equal(result.counts[ADOPT_REMOVE], 1);
	assert_int_equal(result.before, before.version);
	assert_int_equal(current(f, "same"), 7);
	assert_int_equal(current(f, "changed"), newest);
	assert_int_equal(current(f, "new"), newest - 1);
	assert_int_equal(current(f, "gone"), 0);
	/* on top of the record that was there */
	assert_int_equal(head_read_record(&record, &digest, &f->registry, &err), 0);
	assert_true(record.has_parent && digest_eq(&record.parent, &before.record));
	assert_string_equal(record.why, "adopt");
	record_done(&record);
	after = read_head(f);
	assert_true(after.version > newest);
	head_done(&before);
	head_done(&after);
	cluster_done(&c);
	fake_destroy(f);
}

static void what_only_the_record_has_gets_a_tombstone(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	const struct rebuild_options options = {.guard = guard};
	struct cluster c = {0};
	struct adopt_result result;
	size_t count;

	has(&c, "web", 1, 7);
	has(&c, "gone", 1, 8);
	adopt_first(f, &c);
	cluster_done(&c);
	has(&c, "web", 1, later());
	assert_int_equal(adopt(f, &c, &result), 0);
	assert_false(same_tag(f, RESOURCE("gone"), "v8", "latest"));
	fake_drop_tag(f, RECORDS, "latest");
	assert_int_equal(rebuild_run(&f->registry, &options, &count, &err), 0);
	assert_int_equal(count, 1);
	cluster_done(&c);
	fake_destroy(f);
}

static void more_removals_than_the_guard_lets_pass_need_a_confirmation(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct adopt_options confirmed = {.guard = guard};
	struct cluster c = {0};
	struct adopt_result result;

	has_many(&c, 12, 100);
	adopt_first(f, &c);
	cluster_done(&c);
	has_many(&c, 5, 100);
	has(&c, "web", 1, later());
	fake_forget(f);
	assert_int_equal(adopt(f, &c, &result), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_non_null(strstr(err.text, "7 of the 12 resources in namespace default"));
	assert_int_equal(f->n_pushes, 0);
	confirmed.guard.confirmed = true;
	assert_int_equal(adopt_with(f, &c, &confirmed, &result), 0);
	assert_int_equal(result.counts[ADOPT_REMOVE], 7);
	cluster_done(&c);
	fake_destroy(f);
}

static void an_object_that_was_edited_in_the_cluster_is_what_the_record_says(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct cluster c = {0};
	struct adopt_result result;
	struct head head;

	has(&c, "web", 1, 7);
	adopt_first(f, &c);
	cluster_done(&c);
	has(&c, "web", 9, 7);
	has(&c, "new", 1, later());
	assert_int_equal(adopt(f, &c, &result), 0);
	assert_int_equal(result.counts[ADOPT_KEEP], 1);
	head = read_head(f);
	assert_int_equal(state_find(head.state, "default", "web")->intent->replicas, 1);
	head_done(&head);
	cluster_done(&c);
	fake_destroy(f);
}

static void without_the_record_such_an_object_is_refused_by_name(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct cluster c = {0};
	struct adopt_result result;

	has(&c, "web", 1, 7);
	adopt_first(f, &c);
	fake_drop_tag(f, RECORDS, "latest");
	cluster_done(&c);
	has(&c, "web", 9, 7);
	assert_int_equal(adopt(f, &c, &result), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_non_null(strstr(err.text, RESOURCE("web") ":v7"));
	cluster_done(&c);
	fake_destroy(f);
}

static void damaged_catalogs_leave_nothing_to_compare_with(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct cluster c = {0};
	struct adopt_result result;
	struct digest catalog;

	has_many(&c, 12, 100);
	adopt_first(f, &c);
	cluster_done(&c);
	assert_true(fake_resolve(f, CATALOG, "latest", &catalog));
	fake_damage(f, &catalog);
	has(&c, "web", 1, 7); /* older than the record, which is of no use now */
	assert_int_equal(adopt(f, &c, &result), 0);
	assert_int_equal(result.counts[ADOPT_ADD], 1);
	assert_int_equal(current(f, "web"), 7);
	cluster_done(&c);
	fake_destroy(f);
}

/* ---- what is held ---- */

/* A store with one resource, "held", at version 20. instead: what Flux gets; 0: nothing. */
static void make_store_with_hold(struct fake *f, uint64_t instead)
{
	const struct layout layout = {LAYOUT_SINGLE, 1};
	const struct root_request root = {.url_given = false};
	CLEANUP(intent_unrefp) struct intent *intent = make_intent("held", 2);
	struct resource *accepted, *earlier = NULL, *held;
	struct digest digest = {.algorithm = DIGEST_NONE};
	struct catalog_change change;
	struct remains remains = {0};
	struct revision rev;
	struct artifact a;
	struct whole whole = {&layout, &root, "test", 30, 1, &change};

	assert_int_equal(artifact_of_resource(&a, intent, 20, &err), 0);
	assert_int_equal(resource_new(&accepted, intent, 20, &a.digest, &err), 0);
	artifact_done(&a);
	if (instead != 0) {
		assert_int_equal(artifact_of_resource(&a, intent, instead, &err), 0);
		digest = a.digest;
		artifact_done(&a);
		assert_int_equal(resource_new(&earlier, intent, instead, &digest, &err), 0);
	}
	assert_int_equal(resource_new_held(&held, accepted, HOLD_REFUSED, earlier, "no", &err), 0);
	change = (struct catalog_change){"default", "held", held};
	assert_int_equal(remains_revision(&rev, &remains, &whole, &err), 0);
	assert_int_equal(revision_commit(&rev, &f->registry, &err), 0);
	revision_done(&rev);
	remains_done(&remains);
	resource_unref(held);
	resource_unref(earlier);
	resource_unref(accepted);
}

static void assert_still_held(struct fake *f)
{
	struct head head = read_head(f);
	const struct resource *r = state_find(head.state, "default", "held");

	assert_non_null(r);
	assert_int_equal(r->version, 20);
	assert_non_null(r->hold);
	head_done(&head);
}

static void what_is_held_back_from_flux_is_not_taken_for_removed(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct cluster c = {0};
	struct adopt_result result;

	make_store_with_hold(f, 0);
	has(&c, "web", 1, 40);
	assert_int_equal(adopt(f, &c, &result), 0);
	assert_int_equal(result.counts[ADOPT_REMOVE], 0);
	assert_still_held(f);
	cluster_done(&c);
	fake_destroy(f);
}

static void the_earlier_version_of_what_is_held_does_not_replace_it(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct cluster c = {0};
	struct adopt_result result;

	make_store_with_hold(f, 10);
	has(&c, "held", 2, 10);
	has(&c, "web", 1, 40);
	assert_int_equal(adopt(f, &c, &result), 0);
	assert_int_equal(result.counts[ADOPT_KEEP], 1);
	assert_still_held(f);
	cluster_done(&c);
	fake_destroy(f);
}

/* ---- layouts ---- */

static void set_kustomization(struct adopt_object *o, const char *name)
{
	snprintf(o->kustomization, sizeof(o->kustomization), "%s", name);
}

static void another_layout_than_the_clusters_is_refused(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	const struct layout split = {LAYOUT_SPLIT, 1};
	struct adopt_options options = {.guard = guard};
	struct cluster c = {0};
	struct adopt_result result;

	assert_int_equal(
		root_url_parse(&options.root.options, "https://registry.example", &err), 0);
	set_kustomization(has(&c, "web", 1, 7), "gitops-squared-default-00");
	assert_int_equal(adopt_with(f, &c, &options, &result), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_non_null(strstr(err.text, "gitops-squared-default-00"));
	assert_int_equal(f->n_pushes, 0);
	options.layout = &split;
	assert_int_equal(adopt_with(f, &c, &options, &result), 0);
	assert_int_equal(result.layout.kind, LAYOUT_SPLIT);
	assert_int_equal(current(f, "web"), 7);
	cluster_done(&c);
	fake_destroy(f);
}

/* 1 + 4 * 1250 objects. */
static void with_accounts_more_namespaces_than_a_root_holds_are_refused(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	const struct layout split = {LAYOUT_SPLIT, 1};
	struct adopt_options options = {.guard = guard, .layout = &split, .dry_run = true};
	struct cluster c = {0};
	struct adopt_result result;

	assert_int_equal(
		root_url_parse(&options.root.options, "https://registry.example", &err), 0);
	for (size_t i = 0; i < 1250; i++) {
		char namespace[16], kustomization[40];

		snprintf(namespace, sizeof(namespace), "n%04zu", i);
		snprintf(kustomization, sizeof(kustomization), "gitops-squared-%s-00", namespace);
		c.objects[c.n] = (struct adopt_object){
			.intent = make_intent_in(namespace, "web", 1), .version = 7};
		set_kustomization(&c.objects[c.n++], kustomization);
	}
	assert_int_equal(adopt_with(f, &c, &options, &result), 0);
	options.root.options.accounts = options.root.accounts_given = true;
	assert_int_equal(adopt_with(f, &c, &options, &result), -1);
	assert_int_equal(err.code, ERROR_UNPROCESSABLE);
	assert_non_null(strstr(err.text, "take fewer catalogs for a namespace"));
	cluster_done(&c);
	fake_destroy(f);
}

static void a_split_is_refused_where_the_cluster_has_one_catalog(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	const struct layout split = {LAYOUT_SPLIT, 1};
	struct adopt_options options = {.guard = guard, .layout = &split};
	struct cluster c = {0};
	struct adopt_result result;

	set_kustomization(has(&c, "web", 1, 7), ROOT_KUSTOMIZATION);
	assert_int_equal(adopt_with(f, &c, &options, &result), -1);
	assert_non_null(strstr(err.text, ROOT_KUSTOMIZATION));
	cluster_done(&c);
	fake_destroy(f);
}

static void an_operators_own_kustomization_may_have_any_name(void **state UNUSED)
{
	struct fake *f = fake_new(true);
	struct cluster c = {0};
	struct adopt_result result;

	set_kustomization(has(&c, "web", 1, 7), "platform");
	assert_int_equal(adopt(f, &c, &result), 0);
	cluster_done(&c);
	fake_destroy(f);
}

/* ---- failures ---- */

static void a_push_that_fails_leaves_no_record(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct cluster c = {0};
	struct adopt_result result;
	struct digest ignored;

	has(&c, "web", 1, 7);
	has(&c, "db", 1, 8);
	/* every call in turn, until nothing is left to fail */
	for (size_t at = 0;; at++) {
		bool committed;

		fake_fail(f, at, 1, FAKE_UNAVAILABLE);
		if (adopt(f, &c, &result) == 0)
			break;
		committed = fake_resolve(f, RECORDS, "latest", &ignored);
		assert_true(!committed || strstr(err.text, "gsq fsck --repair") != NULL);
		if (committed)
			fake_drop_tag(f, RECORDS, "latest");
	}
	fake_fail(f, SIZE_MAX, 0, FAKE_OK);
	assert_int_equal(current(f, "web"), 7);
	cluster_done(&c);
	fake_destroy(f);
}

/* On a registry with transactions, and on one without. */
static bool atomic[] = {true, false};

#define ON_BOTH(test) \
	{#test " (atomic)", test, NULL, NULL, &atomic[0]}, \
	{ \
#test " (not atomic)", test, NULL, NULL, &atomic[1] \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_lost_store_says_what_the_cluster_has),
		cmocka_unit_test(its_record_is_above_every_version_in_the_cluster),
		ON_BOTH(a_rebuild_finds_the_same),
		cmocka_unit_test(a_cluster_without_anything_of_ours_is_the_wrong_one),
		cmocka_unit_test(a_dry_run_tells_all_and_writes_nothing),
		cmocka_unit_test(a_whole_store_that_is_not_older_is_left_alone),
		ON_BOTH(an_older_store_catches_up_with_the_cluster),
		ON_BOTH(what_only_the_record_has_gets_a_tombstone),
		cmocka_unit_test(more_removals_than_the_guard_lets_pass_need_a_confirmation),
		cmocka_unit_test(an_object_that_was_edited_in_the_cluster_is_what_the_record_says),
		ON_BOTH(without_the_record_such_an_object_is_refused_by_name),
		cmocka_unit_test(damaged_catalogs_leave_nothing_to_compare_with),
		cmocka_unit_test(what_is_held_back_from_flux_is_not_taken_for_removed),
		cmocka_unit_test(the_earlier_version_of_what_is_held_does_not_replace_it),
		cmocka_unit_test(another_layout_than_the_clusters_is_refused),
		cmocka_unit_test(with_accounts_more_namespaces_than_a_root_holds_are_refused),
		cmocka_unit_test(a_split_is_refused_where_the_cluster_has_one_catalog),
		cmocka_unit_test(an_operators_own_kustomization_may_have_any_name),
		ON_BOTH(a_push_that_fails_leaves_no_record),
	};

	digest_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
