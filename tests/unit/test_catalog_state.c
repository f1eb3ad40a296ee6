/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "catalog/key.h"
#include "catalog/state.h"
#include "intent/intent.h"

#include <stdio.h>

#define KEYS 240
#define ROUNDS 20
#define LONG "a234567890123456789012345678901234567890123456789012345678901-z"

static struct error err;
static struct gzips gzips;

/* In the order of repositories "a-b" comes before "a", in that of keys after it. */
static const char *const namespaces[] = {"a", "a-b", "a-b-c", "a0", "default", LONG};

static const struct layout layouts[] = {
	{LAYOUT_SINGLE, 1},
	{LAYOUT_SPLIT, 1},
	{LAYOUT_SPLIT, 4},
	{LAYOUT_SPLIT, 100},
};

static struct resource *resources[KEYS]; /* in the order of their keys, version 1000 + i */

static struct resource *make(const char *namespace, const char *name, uint64_t version)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct digest digest = {.algorithm = DIGEST_SHA256};
	struct resource *r;
	char json[200];

	snprintf(json, sizeof(json),
		"{\"name\":\"%s\",\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}", name);
	assert_int_equal(intent_decode(&intent, slice_of(json), namespace, &err), 0);
	assert_int_equal(resource_new(&r, intent, version, &digest, &err), 0);
	return r;
}

static int cmp_keys(const void *a, const void *b)
{
	const struct intent *x = (*(struct resource *const *)a)->intent;
	const struct intent *y = (*(struct resource *const *)b)->intent;

	return key_cmp(x->namespace, x->name, y->namespace, y->name);
}

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static struct state *new_state(const struct layout *layout)
{
	struct state *s;

	assert_int_equal(state_new(&s, layout, &err), 0);
	return s;
}

static struct digest layer_digest(const struct partition *p)
{
	CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_CATALOG_LAYER);

	assert_int_equal(catalog_layer(p->catalog, &gzips.at[0], &layer, &err), 0);
	return digest_of(buf_slice(&layer));
}

/* Makes the changes and drops the old state. */
static struct state *apply(struct state *old, const struct catalog_change *changes, size_t n)
{
	struct partition **partitions;
	struct state *s;
	size_t n_partitions;

	assert_int_equal(
		state_change(old, changes, n, &gzips, &partitions, &n_partitions, &err), 0);
	assert_int_equal(state_replace(&s, old, partitions, n_partitions, NULL, &err), 0);
	partitions_free(partitions, n_partitions);
	state_unref(old);
	return s;
}

static struct catalog_change change_of(struct resource *r, bool removes)
{
	return (struct catalog_change){r->intent->namespace, r->intent->name, removes ? NULL : r};
}

/* A state of those that are marked. */
static struct state *state_of(const struct layout *layout, const bool *in)
{
	struct catalog_change changes[KEYS];
	size_t n = 0;

	for (size_t i = 0; i < KEYS; i++)
		if (in[i])
			changes[n++] = change_of(resources[i], false);
	return apply(new_state(layout), changes, n);
}

static void mark_at_random(bool *in, unsigned *seed)
{
	unsigned step = 1 + next_random(seed) % 8;

	for (size_t i = 0; i < KEYS; i++)
		in[i] = next_random(seed) % step == 0;
}

/* ---- walking ---- */

/* namespace: NULL for all. What the cursor gives is what a look at every key gives. */
static void assert_walks(struct state *s, const bool *in, const char *namespace,
	const char *after_ns, const char *after)
{
	CLEANUP(state_cursor_freep) struct state_cursor *c = NULL;

	if (namespace == NULL)
		assert_int_equal(state_cursor_new_all(&c, s, after_ns, after, &err), 0);
	else
		assert_int_equal(state_cursor_new(&c, s, namespace, after, &err), 0);
	for (size_t i = 0; i < KEYS; i++) {
		const struct intent *key = resources[i]->intent;

		if (!in[i] || (namespace != NULL && strcmp(key->namespace, namespace) != 0) ||
			key_cmp(key->namespace, key->name, after_ns, after) <= 0)
			continue;
		assert_ptr_equal(state_cursor_at(c), resources[i]);
		assert_ptr_equal(state_cursor_at(c), resources[i]);
		state_cursor_advance(c);
	}
	assert_null(state_cursor_at(c));
}

static void a_cursor_walks_a_namespace_in_the_order_of_names(void **state UNUSED)
{
	unsigned seed = 1;

	for (unsigned i = 0; i < ROUNDS * ARRAY_SIZE(layouts); i++) {
		CLEANUP(state_unrefp) struct state *s = NULL;
		bool in[KEYS];

		mark_at_random(in, &seed);
		s = state_of(&layouts[i % ARRAY_SIZE(layouts)], in);
		for (size_t n = 0; n < ARRAY_SIZE(namespaces); n++)
			assert_walks(s, in, namespaces[n], namespaces[n], "");
		assert_walks(s, in, "nobody", "nobody", "");
	}
}

static void a_cursor_of_all_goes_through_the_namespaces_in_order(void **state UNUSED)
{
	unsigned seed = 2;

	for (unsigned i = 0; i < ROUNDS * ARRAY_SIZE(layouts); i++) {
		CLEANUP(state_unrefp) struct state *s = NULL;
		bool in[KEYS];

		mark_at_random(in, &seed);
		s = state_of(&layouts[i % ARRAY_SIZE(layouts)], in);
		assert_walks(s, in, NULL, "", "");
	}
}

static void a_cursor_starts_after_a_name_that_is_there_or_not(void **state UNUSED)
{
	unsigned seed = 3;

	for (size_t l = 0; l < ARRAY_SIZE(layouts); l++) {
		CLEANUP(state_unrefp) struct state *s = NULL;
		bool in[KEYS];

		mark_at_random(in, &seed);
		s = state_of(&layouts[l], in);
		for (size_t i = 0; i < KEYS; i++) {
			const struct intent *key = resources[i]->intent;
			char between[LIMIT_NAME + 1];

			snprintf(between, sizeof(between), "%.60s-0", key->name);
			assert_walks(s, in, key->namespace, key->namespace, key->name);
			assert_walks(s, in, key->namespace, key->namespace, between);
			assert_walks(s, in, NULL, key->namespace, key->name);
			assert_walks(s, in, NULL, key->namespace, between);
		}
	}
}

static void a_cursor_starts_after_a_namespace_that_is_gone(void **state UNUSED)
{
	static const char *const gone[] = {"0", "a-a", "a-b-b", "a00", "b", "zzz"};

	for (size_t l = 0; l < ARRAY_SIZE(layouts); l++) {
		CLEANUP(state_unrefp) struct state *s = NULL;
		bool in[KEYS];

		memset(in, true, sizeof(in));
		s = state_of(&layouts[l], in);
		for (size_t i = 0; i < ARRAY_SIZE(gone); i++)
			assert_walks(s, in, NULL, gone[i], "web");
	}
}

static void an_empty_state_has_nothing_to_walk_or_to_find(void **state UNUSED)
{
	static const bool in[KEYS];

	for (size_t l = 0; l < ARRAY_SIZE(layouts); l++) {
		CLEANUP(state_unrefp) struct state *s = new_state(&layouts[l]);
		struct catalog_change changes[KEYS];

		assert_walks(s, in, "default", "default", "");
		assert_walks(s, in, NULL, "", "");
		assert_null(state_find(s, "default", "web"));
		for (size_t i = 0; i < KEYS; i++)
			changes[i] = change_of(resources[i], false);
		s = apply(s, changes, KEYS);
		assert_int_equal(state_count(s), KEYS);
		for (size_t i = 0; i < KEYS; i++)
			changes[i] = change_of(resources[i], true);
		s = apply(s, changes, KEYS);
		assert_int_equal(state_count(s), 0);
		assert_true(state_n_partitions(s) > 0);
		assert_walks(s, in, "default", "default", "");
		assert_walks(s, in, NULL, "", "");
	}
}

static void a_cursor_goes_on_in_the_state_that_it_was_made_of(void **state UNUSED)
{
	CLEANUP(state_cursor_freep) struct state_cursor *c = NULL;
	struct catalog_change changes[KEYS];
	struct state *s;
	bool in[KEYS];

	memset(in, true, sizeof(in));
	s = state_of(&layouts[2], in);
	assert_int_equal(state_cursor_new_all(&c, s, "", "", &err), 0);
	for (size_t i = 0; i < KEYS; i++)
		changes[i] = change_of(resources[i], true);
	s = apply(s, changes, KEYS);
	state_unref(s);
	for (size_t i = 0; i < KEYS; i++, state_cursor_advance(c))
		assert_ptr_equal(state_cursor_at(c), resources[i]);
	assert_null(state_cursor_at(c));
}

/* ---- finding and changing ---- */

static void every_resource_is_found_and_in_one_catalog_only(void **state UNUSED)
{
	for (size_t l = 0; l < ARRAY_SIZE(layouts); l++) {
		CLEANUP(state_unrefp) struct state *s = NULL;
		bool in[KEYS];
		size_t count = 0;

		for (size_t i = 0; i < KEYS; i++)
			in[i] = i % 3 != 0;
		s = state_of(&layouts[l], in);
		for (size_t i = 0; i < KEYS; i++) {
			const struct intent *key = resources[i]->intent;

			assert_ptr_equal(state_find(s, key->namespace, key->name),
				in[i] ? resources[i] : NULL);
		}
		for (size_t i = 0; i < state_n_partitions(s); i++) {
			const struct partition *p = state_partition(s, i);

			assert_ptr_equal(state_partition_at(s, &p->place), p);
			count += catalog_count(p->catalog);
			for (size_t r = 0; r < catalog_count(p->catalog); r++) {
				const struct intent *key = catalog_at(p->catalog, r)->intent;
				struct place own =
					layout_place(&layouts[l], key->namespace, key->name);

				assert_int_equal(place_cmp(&own, &p->place), 0);
			}
		}
		assert_int_equal(count, state_count(s));
	}
}

static void the_resources_of_a_namespace_are_counted(void **state UNUSED)
{
	unsigned seed = 7;

	for (size_t l = 0; l < ARRAY_SIZE(layouts); l++) {
		CLEANUP(state_unrefp) struct state *s = NULL;
		bool in[KEYS];

		mark_at_random(in, &seed);
		s = state_of(&layouts[l], in);
		for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
			size_t n = 0;

			for (size_t k = 0; k < KEYS; k++)
				n += in[k] &&
				     strcmp(resources[k]->intent->namespace, namespaces[i]) == 0;
			assert_int_equal(state_count_namespace(s, namespaces[i]), n);
		}
		assert_int_equal(state_count_namespace(s, "none"), 0);
		assert_int_equal(state_count_namespace(s, "0"), 0); /* before all of them, */
		assert_int_equal(state_count_namespace(s, "z"), 0); /* and after them */
	}
}

static void it_is_known_whether_there_is_anything_of_others(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		CLEANUP(resource_unrefp) struct resource *a = make("a", "web", 1);
		CLEANUP(resource_unrefp) struct resource *b = make("a-b", "web", 2);
		struct catalog_change one = change_of(a, false), other = change_of(b, false);
		struct state *s = new_state(&layouts[i]);

		assert_false(state_has_others(s, "a"));
		s = apply(s, &one, 1);
		assert_false(state_has_others(s, "a"));
		assert_true(state_has_others(s, "a-b"));
		s = apply(s, &other, 1);
		assert_true(state_has_others(s, "a"));
		assert_true(state_has_others(s, "a-b"));
		state_unref(s);
	}
}

/* A root has two objects for a catalog, and with accounts two more for a namespace, and one. */
static void with_accounts_fewer_namespaces_fit_a_split_layout(void **state UNUSED)
{
	const struct layout single = {LAYOUT_SINGLE, 1}, split = {LAYOUT_SPLIT, 1};
	const struct root_options plain = {.accounts = false}, accounts = {.accounts = true};
	struct state *s = new_state(&single);

	for (int i = 0; i <= 1249; i++) {
		struct resource *r;
		struct catalog_change change;
		char namespace[16];

		snprintf(namespace, sizeof(namespace), "n%04d", i);
		r = make(namespace, "web", 1);
		change = change_of(r, false);
		if (i == 1249)
			assert_int_equal(state_fits(s, &split, &accounts, &err), 0);
		s = apply(s, &change, 1);
		resource_unref(r);
	}
	assert_int_equal(state_fits(s, &split, &plain, &err), 0);
	assert_int_equal(state_fits(s, &single, &accounts, &err), 0);
	assert_int_equal(state_fits(s, &split, &accounts, &err), -1);
	assert_int_equal(err.code, ERROR_UNPROCESSABLE);
	assert_non_null(strstr(err.text, "1250 catalogs of 1250 namespaces"));
	assert_non_null(strstr(err.text, "5001 objects"));
	state_unref(s);
}

static void a_change_shares_the_catalogs_that_it_does_not_touch(void **state UNUSED)
{
	const struct layout *layout = &layouts[2];
	CLEANUP(state_unrefp) struct state *before = NULL;
	struct state *after;
	struct catalog_change change = change_of(resources[0], true);
	struct place touched = layout_place(layout, change.namespace, change.name);
	bool in[KEYS];

	memset(in, true, sizeof(in));
	before = state_of(layout, in);
	after = apply(state_ref(before), &change, 1);
	assert_int_equal(state_count(after), KEYS - 1);
	assert_int_equal(state_n_partitions(after), state_n_partitions(before));
	for (size_t i = 0; i < state_n_partitions(before); i++) {
		const struct partition *p = state_partition(before, i);
		bool same = p == state_partition(after, i);

		assert_int_equal(same, place_cmp(&p->place, &touched) != 0);
	}
	assert_ptr_equal(state_find(before, change.namespace, change.name), resources[0]);
	assert_null(state_find(after, change.namespace, change.name));
	state_unref(after);
}

/* Batches of random puts and deletes, then whatever leads to the set. */
static struct state *random_history(const struct layout *layout, const bool *in, unsigned seed)
{
	struct state *s = new_state(layout);
	struct catalog_change changes[KEYS];

	for (unsigned round = next_random(&seed) % 8; round > 0; round--) {
		unsigned step = 1 + next_random(&seed) % 40;
		size_t n = 0;

		for (unsigned key = next_random(&seed) % step; key < KEYS; key += step)
			changes[n++] = change_of(resources[key], next_random(&seed) % 3 == 0);
		s = apply(s, changes, n);
	}
	for (size_t i = 0; i < KEYS; i++)
		changes[i] = change_of(resources[KEYS - 1 - i], !in[KEYS - 1 - i]);
	return apply(s, changes, KEYS);
}

static void any_history_with_the_same_end_gives_the_same_layers(void **state UNUSED)
{
	unsigned seed = 4;

	for (unsigned i = 0; i < ROUNDS * ARRAY_SIZE(layouts); i++) {
		const struct layout *layout = &layouts[i % ARRAY_SIZE(layouts)];
		CLEANUP(state_unrefp) struct state *direct = NULL;
		CLEANUP(state_unrefp) struct state *wandered = NULL;
		bool in[KEYS];

		mark_at_random(in, &seed);
		direct = state_of(layout, in);
		wandered = random_history(layout, in, seed);
		assert_int_equal(state_count(wandered), state_count(direct));
		for (size_t p = 0; p < state_n_partitions(wandered); p++) {
			const struct partition *a = state_partition(wandered, p);
			const struct partition *b = state_partition_at(direct, &a->place);
			struct digest x, y;

			/* One that was emptied stays, for Flux to prune what was in it. */
			assert_int_equal(b == NULL, catalog_count(a->catalog) == 0);
			if (b == NULL)
				continue;
			assert_string_equal(a->repository, b->repository);
			x = layer_digest(a);
			y = layer_digest(b);
			assert_true(digest_eq(&x, &y));
		}
	}
}

/* Drops the old one. */
static struct state *state_with_root(struct state *old, const char *text)
{
	struct digest root = digest_of(slice_of(text));
	struct state *s;

	assert_int_equal(state_replace(&s, old, NULL, 0, &root, &err), 0);
	assert_true(digest_eq(state_root(s), &root));
	state_unref(old);
	return s;
}

static void the_digest_of_a_state_changes_with_any_catalog_and_the_root(void **state UNUSED)
{
	CLEANUP(state_unrefp) struct state *s = NULL;
	struct digest first, second;
	bool in[KEYS];

	memset(in, true, sizeof(in));
	s = state_of(&layouts[2], in);
	s = state_with_root(s, "a root");
	for (size_t i = 0; i < state_n_partitions(s); i++)
		state_partition(s, i)->digest = digest_of(SLICE("before"));
	assert_int_equal(state_digest(&first, s, &err), 0);
	for (size_t i = 0; i < state_n_partitions(s); i++) {
		state_partition(s, i)->digest =
			digest_of(slice_of(state_partition(s, i)->repository));
		assert_int_equal(state_digest(&second, s, &err), 0);
		assert_false(digest_eq(&first, &second));
		first = second;
	}
	s = state_with_root(s, "another root");
	assert_int_equal(state_digest(&second, s, &err), 0);
	assert_false(digest_eq(&first, &second));
}

/* ---- layouts ---- */

/* Part of the format: a store that was written by one version is read by the next. */
static void resources_are_placed_as_they_always_were(void **state UNUSED)
{
	static const struct {
		const char *namespace, *name;
		unsigned catalogs, number;
	} vectors[] = {
		{"default", "web", 2, 0},
		{"default", "web", 16, 2},
		{"default", "web", 100, 66},
		{"default", "web", 4096, 2946},
		{"default", "web-1", 1, 0},
		{"default", "web-1", 2, 0},
		{"default", "web-1", 16, 0},
		{"default", "web-1", 100, 4},
		{"default", "web-1", 4096, 1568},
		{"team-a", "web", 2, 1},
		{"team-a", "web", 16, 13},
		{"team-a", "web", 100, 93},
		{"team-a", "web", 4096, 2365},
		{LONG, "web", 2, 1},
		{LONG, "web", 16, 7},
		{LONG, "web", 100, 83},
		{LONG, "web", 4096, 2775},
	};

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct layout layout = {LAYOUT_SPLIT, vectors[i].catalogs};
		struct place place = layout_place(&layout, vectors[i].namespace, vectors[i].name);

		assert_string_equal(place.namespace, vectors[i].namespace);
		assert_int_equal(place.number, vectors[i].number);
		place = layout_place(&layouts[0], vectors[i].namespace, vectors[i].name);
		assert_string_equal(place.namespace, "");
		assert_int_equal(place.number, 0);
	}
}

static void a_number_has_as_many_digits_as_the_highest_needs(void **state UNUSED)
{
	static const struct {
		unsigned catalogs, number;
		const char *repository;
	} cases[] = {
		{1, 0, "gitops-squared/catalogs/team-a/00"},
		{2, 1, "gitops-squared/catalogs/team-a/01"},
		{16, 7, "gitops-squared/catalogs/team-a/07"},
		{100, 99, "gitops-squared/catalogs/team-a/99"},
		{101, 7, "gitops-squared/catalogs/team-a/007"},
		{101, 100, "gitops-squared/catalogs/team-a/100"},
		{256, 255, "gitops-squared/catalogs/team-a/255"},
		{4096, 7, "gitops-squared/catalogs/team-a/0007"},
		{4096, 4095, "gitops-squared/catalogs/team-a/4095"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct layout layout = {LAYOUT_SPLIT, cases[i].catalogs};
		struct place place = {"team-a", cases[i].number};
		char repository[CATALOG_REPOSITORY_SIZE];

		layout_repository(&layout, &place, repository);
		assert_string_equal(repository, cases[i].repository);
	}
}

static void every_repository_is_read_back_to_its_place(void **state UNUSED)
{
	static const unsigned catalogs[] = {
		1, 2, 16, 100, 101, 256, 1000, 1001, LIMIT_LAYOUT_CATALOGS};

	for (size_t i = 0; i < ARRAY_SIZE(catalogs); i++) {
		struct layout layout = {LAYOUT_SPLIT, catalogs[i]};

		for (unsigned number = 0; number < catalogs[i]; number++) {
			struct place place = {LONG, number}, again;
			char repository[CATALOG_REPOSITORY_SIZE];

			layout_repository(&layout, &place, repository);
			assert_true(layout_repository_parse(&layout, slice_of(repository), &again));
			assert_int_equal(place_cmp(&place, &again), 0);
		}
	}
}

static void a_repository_that_is_none_of_the_layouts_is_not_read(void **state UNUSED)
{
	static const char *const bad[] = {
		"",
		CATALOG_REPOSITORY,
		"gitops-squared/catalogs",
		"gitops-squared/catalogs/",
		"gitops-squared/catalogs/team-a",
		"gitops-squared/catalogs/team-a/",
		"gitops-squared/catalogs//07",
		"gitops-squared/catalogs/team-a/7",
		"gitops-squared/catalogs/team-a/007",
		"gitops-squared/catalogs/team-a/16",
		"gitops-squared/catalogs/team-a/+7",
		"gitops-squared/catalogs/team-a/99999999999999999999",
		"gitops-squared/catalogs/team-a/07/08",
		"gitops-squared/catalogs/Team/07",
		"gitops-squared/catalogs/" LONG "z/07",
		"gitops-squared/resources/team-a/07",
	};
	struct layout split = {LAYOUT_SPLIT, 16};
	struct place place;

	assert_true(layout_repository_parse(
		&split, SLICE("gitops-squared/catalogs/team-a/07"), &place));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(layout_repository_parse(&split, slice_of(bad[i]), &place));
	assert_true(layout_repository_parse(&layouts[0], SLICE(CATALOG_REPOSITORY), &place));
	assert_false(layout_repository_parse(
		&layouts[0], SLICE("gitops-squared/catalogs/team-a/07"), &place));
}

static int sign(int n)
{
	return (n > 0) - (n < 0);
}

static void places_are_in_the_byte_order_of_their_repositories(void **state UNUSED)
{
	static const char letters[] = {'-', '-', '0', '9', 'a', 'b'};
	struct layout layout = {LAYOUT_SPLIT, 101};
	unsigned seed = 5;

	for (unsigned i = 0; i < 20000; i++) {
		struct place places[2] = {
			{.number = next_random(&seed) % 101}, {.number = next_random(&seed) % 101}};
		char a[CATALOG_REPOSITORY_SIZE], b[CATALOG_REPOSITORY_SIZE];

		for (size_t p = 0; p < 2; p++) {
			size_t n = 1 + next_random(&seed) % 4;

			for (size_t at = 0; at < n; at++)
				places[p].namespace[at] =
					letters[next_random(&seed) % sizeof(letters)];
		}
		layout_repository(&layout, &places[0], a);
		layout_repository(&layout, &places[1], b);
		assert_int_equal(sign(place_cmp(&places[0], &places[1])), sign(strcmp(a, b)));
	}
}

static int setup(void **state UNUSED)
{
	digest_setup();
	for (size_t i = 0; i < KEYS; i++) {
		char name[LIMIT_NAME + 1];

		/* Of different lengths, and some the beginning of others. */
		snprintf(name, sizeof(name), i % 2 ? "r%zu" : "r%zu-1", i * 61 % 499);
		if (i % 20 == 0)
			snprintf(name, sizeof(name), "z%060zuz", i);
		resources[i] = make(namespaces[i % ARRAY_SIZE(namespaces)], name, 1000 + i);
	}
	qsort(resources, KEYS, sizeof(resources[0]), cmp_keys);
	for (size_t i = 1; i < KEYS; i++)
		if (cmp_keys(&resources[i - 1], &resources[i]) == 0)
			return -1;
	return 0;
}

static int teardown(void **state UNUSED)
{
	for (size_t i = 0; i < KEYS; i++)
		resource_unref(resources[i]);
	gzips_done(&gzips);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cursor_walks_a_namespace_in_the_order_of_names),
		cmocka_unit_test(a_cursor_of_all_goes_through_the_namespaces_in_order),
		cmocka_unit_test(a_cursor_starts_after_a_name_that_is_there_or_not),
		cmocka_unit_test(a_cursor_starts_after_a_namespace_that_is_gone),
		cmocka_unit_test(an_empty_state_has_nothing_to_walk_or_to_find),
		cmocka_unit_test(a_cursor_goes_on_in_the_state_that_it_was_made_of),
		cmocka_unit_test(every_resource_is_found_and_in_one_catalog_only),
		cmocka_unit_test(the_resources_of_a_namespace_are_counted),
		cmocka_unit_test(it_is_known_whether_there_is_anything_of_others),
		cmocka_unit_test(with_accounts_fewer_namespaces_fit_a_split_layout),
		cmocka_unit_test(a_change_shares_the_catalogs_that_it_does_not_touch),
		cmocka_unit_test(any_history_with_the_same_end_gives_the_same_layers),
		cmocka_unit_test(the_digest_of_a_state_changes_with_any_catalog_and_the_root),
		cmocka_unit_test(resources_are_placed_as_they_always_were),
		cmocka_unit_test(a_number_has_as_many_digits_as_the_highest_needs),
		cmocka_unit_test(every_repository_is_read_back_to_its_place),
		cmocka_unit_test(a_repository_that_is_none_of_the_layouts_is_not_read),
		cmocka_unit_test(places_are_in_the_byte_order_of_their_repositories),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
