/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "catalog/key.h"
#include "publish/prune_guard.h"

#include <stdio.h>

static struct error err;

#define NAMES 200

/* Resources "r000" and on of some namespaces; what is after is a part of what was before. */
struct set {
	struct state *before;
	size_t n;
	struct catalog_change after[NAMES];
};

static struct resource *make_resource(const char *namespace, size_t i)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct digest digest = {.algorithm = DIGEST_NONE};
	struct resource *r;
	char json[128];

	snprintf(json, sizeof(json),
		"{\"name\":\"r%03zu\",\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}", i);
	assert_int_equal(intent_decode(&intent, slice_of(json), namespace, &err), 0);
	assert_int_equal(resource_new(&r, intent, i + 1, &digest, &err), 0);
	return r;
}

static void add(struct set *s, const char *namespace, size_t n, size_t n_removed)
{
	CLEANUP(gzips_done) struct gzips gzips = {0};
	struct catalog_change changes[NAMES];
	struct partition **partitions;
	struct state *old = s->before;
	size_t n_partitions;

	for (size_t i = 0; i < n; i++) {
		struct resource *r = make_resource(namespace, i);

		changes[i] = (struct catalog_change){namespace, r->intent->name, r};
	}
	assert_int_equal(
		state_change(old, changes, n, &gzips, &partitions, &n_partitions, &err), 0);
	assert_int_equal(state_replace(&s->before, old, partitions, n_partitions, NULL, &err), 0);
	partitions_free(partitions, n_partitions);
	state_unref(old);
	/* the names live as long as the state */
	for (size_t i = 0; i < n; i++) {
		if (i >= n_removed)
			s->after[s->n++] = changes[i];
		resource_unref(changes[i].resource);
	}
}

static void init(struct set *s)
{
	const struct layout layout = {LAYOUT_SPLIT, 3};

	*s = (struct set){.n = 0};
	assert_int_equal(state_new(&s->before, &layout, &err), 0);
}

static int check(struct set *s, const struct prune_guard *guard)
{
	int rc;

	qsort(s->after, s->n, sizeof(s->after[0]), prune_guard_compare);
	err = (struct error)ERROR_INIT;
	rc = prune_guard_check(guard, s->before, s->after, s->n, &err);
	state_unref(s->before);
	return rc;
}

static const struct prune_guard twenty = {.max_percent = 20, .confirm = "say so"};

/* Of one namespace. */
static int remove_of(size_t n_removed, size_t n, const struct prune_guard *guard)
{
	struct set s;

	init(&s);
	add(&s, "default", n, n_removed);
	return check(&s, guard);
}

static void five_may_always_go(void **state UNUSED)
{
	assert_int_equal(remove_of(5, 5, &twenty), 0);
	assert_int_equal(remove_of(6, 6, &twenty), -1);
}

static void a_fifth_may_go_and_not_one_more(void **state UNUSED)
{
	assert_int_equal(remove_of(20, 100, &twenty), 0);
	assert_int_equal(remove_of(21, 100, &twenty), -1);
	/* no rounding in anybody's favour */
	assert_int_equal(remove_of(20, 99, &twenty), -1);
}

static void the_percentage_is_the_operators(void **state UNUSED)
{
	const struct prune_guard none = {.max_percent = 0, .confirm = ""};
	const struct prune_guard all = {.max_percent = 100, .confirm = ""};

	assert_int_equal(remove_of(5, 100, &none), 0);
	assert_int_equal(remove_of(6, 100, &none), -1);
	assert_int_equal(remove_of(100, 100, &all), 0);
}

static void what_is_confirmed_may_go(void **state UNUSED)
{
	const struct prune_guard confirmed = {.max_percent = 0, .confirmed = true, .confirm = ""};

	assert_int_equal(remove_of(100, 100, &confirmed), 0);
}

static void a_refusal_gives_the_numbers_and_the_way_on(void **state UNUSED)
{
	assert_int_equal(remove_of(40, 100, &twenty), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_string_equal(err.text,
		"40 of the 100 resources in namespace default would be removed, and Flux would "
		"delete them: that is more than 20 percent; if it is meant, say so");
}

static void each_namespace_counts_by_itself(void **state UNUSED)
{
	struct set s;

	init(&s);
	add(&s, "aaa", 150, 0);
	add(&s, "small", 10, 6);
	add(&s, "zzz", 20, 0);
	assert_int_equal(check(&s, &twenty), -1);
	assert_non_null(strstr(err.text, "6 of the 10 resources in namespace small"));
}

static void the_last_namespace_counts_too(void **state UNUSED)
{
	struct set s;

	init(&s);
	add(&s, "aaa", 100, 10);
	add(&s, "zzz", 30, 30);
	assert_int_equal(check(&s, &twenty), -1);
	assert_non_null(strstr(err.text, "30 of the 30 resources in namespace zzz"));
}

static void what_is_added_makes_up_for_nothing(void **state UNUSED)
{
	static const char *const names[] = {"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"};
	struct set s;

	init(&s);
	add(&s, "default", 10, 6);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		s.after[s.n++] = (struct catalog_change){"default", names[i], NULL};
	s.after[s.n++] = (struct catalog_change){"another", "new", NULL};
	assert_int_equal(check(&s, &twenty), -1);
	assert_non_null(strstr(err.text, "6 of the 10"));
}

static void nothing_goes_where_nothing_was(void **state UNUSED)
{
	struct set s;

	init(&s);
	s.after[s.n++] = (struct catalog_change){"default", "web", NULL};
	assert_int_equal(check(&s, &twenty), 0);
}

static void a_percentage_is_a_whole_number_up_to_100(void **state UNUSED)
{
	unsigned n = 7;

	assert_true(prune_guard_percent(SLICE("0"), &n));
	assert_int_equal(n, 0);
	assert_true(prune_guard_percent(SLICE("100"), &n));
	assert_int_equal(n, 100);
	assert_false(prune_guard_percent(SLICE("101"), &n));
	assert_false(prune_guard_percent(SLICE("20%"), &n));
	assert_false(prune_guard_percent(SLICE("-1"), &n));
	assert_false(prune_guard_percent(SLICE(""), &n));
	assert_int_equal(n, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(five_may_always_go),
		cmocka_unit_test(a_fifth_may_go_and_not_one_more),
		cmocka_unit_test(the_percentage_is_the_operators),
		cmocka_unit_test(what_is_confirmed_may_go),
		cmocka_unit_test(a_refusal_gives_the_numbers_and_the_way_on),
		cmocka_unit_test(each_namespace_counts_by_itself),
		cmocka_unit_test(the_last_namespace_counts_too),
		cmocka_unit_test(what_is_added_makes_up_for_nothing),
		cmocka_unit_test(nothing_goes_where_nothing_was),
		cmocka_unit_test(a_percentage_is_a_whole_number_up_to_100),
	};

	digest_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
