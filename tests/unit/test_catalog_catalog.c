/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/limits.h"
#include "catalog/catalog.h"
#include "catalog/key.h"
#include "catalog/pages.h"
#include "intent/intent.h"

#include <stdio.h>

#define KEYS 400
#define HISTORIES 2000

static struct error err;
static struct gzip gzip;

static struct resource *make(unsigned key, uint64_t version)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct artifact artifact;
	struct resource *r;
	char json[200];

	snprintf(json, sizeof(json),
		"{\"name\":\"r%u\",\"spec\":{\"type\":\"vm\",\"size\":\"small\",\"region\":\"r%"
		"llu\"}}",
		key, (unsigned long long)version);
	assert_int_equal(
		intent_decode(&intent, slice_of(json), key % 3 ? "default" : "team-a", &err), 0);
	assert_int_equal(artifact_of_resource(&artifact, intent, version, &err), 0);
	assert_int_equal(resource_new(&r, intent, version, &artifact.digest, &err), 0);
	artifact_done(&artifact);
	return r;
}

static struct catalog_change change_of(struct resource *r, bool removes)
{
	return (struct catalog_change){r->intent->namespace, r->intent->name, removes ? NULL : r};
}

static struct catalog *empty(void)
{
	struct catalog *c;

	assert_int_equal(catalog_new(&c, &err), 0);
	return c;
}

/* Applies and drops the old one. */
static struct catalog *apply(struct catalog *old, const struct catalog_change *changes, size_t n)
{
	struct catalog *c;

	assert_int_equal(catalog_apply(&c, old, changes, n, &gzip, &err), 0);
	catalog_unref(old);
	return c;
}

static struct digest layer_digest(const struct catalog *c)
{
	CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_CATALOG_LAYER);

	assert_int_equal(catalog_layer(c, &gzip, &layer, &err), 0);
	return digest_of(buf_slice(&layer));
}

/* The set {0..n-1} at version 1000 + key, in one go. */
static struct catalog *make_set(struct resource **resources, size_t n)
{
	struct catalog_change changes[KEYS];

	for (size_t i = 0; i < n; i++)
		changes[i] = change_of(resources[i], false);
	return apply(empty(), changes, n);
}

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Batches of random puts and deletes, then whatever leads to the set. */
static struct catalog *random_history(struct resource **resources, size_t n, unsigned seed)
{
	struct catalog *c = empty();
	struct catalog_change changes[KEYS];
	size_t used;

	for (unsigned round = next_random(&seed) % 20; round > 0; round--) {
		unsigned step = 1 + next_random(&seed) % 40;

		used = 0;
		for (unsigned key = next_random(&seed) % step; key < KEYS; key += step)
			changes[used++] = change_of(resources[key], next_random(&seed) % 3 == 0);
		c = apply(c, changes, used);
	}
	used = 0;
	for (size_t key = KEYS; key-- > 0;)
		changes[used++] = change_of(resources[key], key >= n);
	return apply(c, changes, used);
}

static void any_history_with_the_same_end_gives_the_same_bytes(void **state UNUSED)
{
	struct resource *resources[KEYS];
	unsigned seed = 1;

	for (unsigned i = 0; i < KEYS; i++)
		resources[i] = make(i, 1000 + i);
	for (unsigned i = 0; i < HISTORIES; i++) {
		size_t n = next_random(&seed) % (KEYS + 1);
		struct catalog *direct = make_set(resources, n);
		struct catalog *wandered = random_history(resources, n, seed);
		struct digest a = layer_digest(direct), b = layer_digest(wandered);

		assert_int_equal(catalog_count(direct), n);
		assert_int_equal(catalog_count(wandered), n);
		assert_true(digest_eq(&a, &b));
		catalog_unref(direct);
		catalog_unref(wandered);
	}
	for (unsigned i = 0; i < KEYS; i++)
		resource_unref(resources[i]);
}

static size_t count_new_pages(const struct catalog *old, const struct catalog *c)
{
	size_t n = c->n_pages;

	for (size_t i = 0; i < c->n_pages; i++)
		for (size_t j = 0; j < old->n_pages; j++)
			n -= c->pages[i] == old->pages[j];
	return n;
}

/* Without borders a page ends when it is full, and so does the next. */
static size_t make_without_borders(struct resource **ret, size_t max)
{
	size_t n = 0;

	for (unsigned key = 0; n < max; key++) {
		struct resource *r = make(key, 1000 + key);

		if (page_is_border(r))
			resource_unref(r);
		else
			ret[n++] = r;
	}
	return n;
}

static void an_update_makes_one_page_also_where_no_key_draws_a_border(void **state UNUSED)
{
	struct resource *resources[3 * LIMIT_PAGE];
	struct catalog_change changes[3 * LIMIT_PAGE];
	size_t n = make_without_borders(resources, ARRAY_SIZE(resources));
	struct catalog *c, *updated;

	for (size_t i = 0; i < n; i++)
		changes[i] = change_of(resources[i], false);
	c = apply(empty(), changes, n);
	assert_int_equal(c->n_pages, 3);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(catalog_apply(&updated, c, &changes[i], 1, &gzip, &err), 0);
		assert_int_equal(count_new_pages(c, updated), 1);
		catalog_unref(updated);
	}
	catalog_unref(c);
	for (size_t i = 0; i < n; i++)
		resource_unref(resources[i]);
}

/* As people number them. */
static void names_that_differ_in_their_digits_draw_borders_too(void **state UNUSED)
{
	unsigned borders = 0;

	for (unsigned i = 0; i < 3200; i++) {
		struct resource *r = make(i, 1000);

		borders += page_is_border(r);
		resource_unref(r);
	}
	assert_in_range(borders, 50, 200);
}

static void resources_are_found_by_key_and_by_index_in_order(void **state UNUSED)
{
	struct resource *resources[KEYS];
	CLEANUP(catalog_unrefp) struct catalog *c = NULL;

	for (unsigned i = 0; i < KEYS; i++)
		resources[i] = make(i, 1000 + i);
	c = make_set(resources, KEYS);
	for (size_t i = 0; i < KEYS; i++) {
		const struct intent *key = resources[i]->intent;

		assert_ptr_equal(catalog_find(c, key->namespace, key->name), resources[i]);
	}
	for (size_t i = 1; i < KEYS; i++) {
		const struct intent *a = catalog_at(c, i - 1)->intent;
		const struct intent *b = catalog_at(c, i)->intent;

		assert_true(key_cmp(a->namespace, a->name, b->namespace, b->name) < 0);
	}
	assert_null(catalog_find(c, "default", "nobody"));
	assert_null(catalog_find(c, "a", "a"));
	assert_null(catalog_find(c, "zzz", "zzz"));
	assert_int_equal(catalog_lower_bound(c, "zzz", ""), KEYS);
	for (unsigned i = 0; i < KEYS; i++)
		resource_unref(resources[i]);
}

static void a_layer_is_read_back_to_the_same_catalog(void **state UNUSED)
{
	static const size_t sizes[] = {0, 1, 2, 15, 64, 65, KEYS};
	struct resource *resources[KEYS];

	for (unsigned i = 0; i < KEYS; i++)
		resources[i] = make(i, 1000 + i);
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		CLEANUP(catalog_unrefp) struct catalog *c = make_set(resources, sizes[s]);
		CLEANUP(catalog_unrefp) struct catalog *again = NULL;
		CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_CATALOG_LAYER);
		struct digest a, b;

		assert_int_equal(catalog_layer(c, &gzip, &layer, &err), 0);
		assert_int_equal(catalog_read(&again, buf_slice(&layer), &err), 0);
		assert_int_equal(catalog_count(again), sizes[s]);
		a = layer_digest(c);
		b = layer_digest(again);
		assert_true(digest_eq(&a, &b));
		for (size_t i = 0; i < sizes[s]; i++) {
			assert_true(digest_eq(
				&catalog_at(c, i)->digest, &catalog_at(again, i)->digest));
			assert_int_equal(catalog_at(c, i)->version, catalog_at(again, i)->version);
		}
	}
	for (unsigned i = 0; i < KEYS; i++)
		resource_unref(resources[i]);
}

/* One file written by hand into an otherwise good layer. */
static int read_tampered(const char *path, const char *yaml, const char *lines)
{
	CLEANUP(buf_done) struct buf tar = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf list = BUF_INIT(1 * MIB);
	struct catalog *c;
	int rc;

	buf_printf(&list, KUSTOMIZATION_HEAD "\n%s", lines);
	tar_add_header(&tar, slice_of(path), strlen(yaml));
	buf_puts(&tar, yaml);
	tar_add_padding(&tar, strlen(yaml));
	tar_add_header(&tar, SLICE(KUSTOMIZATION_PATH), list.len);
	buf_add(&tar, buf_slice(&list));
	tar_add_padding(&tar, list.len);
	tar_add_end(&tar);
	gzip_add(&gzip, buf_slice(&tar), &layer);
	rc = catalog_read(&c, buf_slice(&layer), &err);
	if (rc == 0)
		catalog_unref(c);
	return rc;
}

static void a_tampered_layer_is_refused_with_the_name_of_the_file(void **state UNUSED)
{
	struct resource *r = make(1, 1000);
	struct artifact a;
	char *yaml;

	assert_int_equal(artifact_of_resource(&a, r->intent, r->version, &err), 0);
	yaml = a.layer.data;
	assert_int_equal(
		read_tampered("manifests/default-r1.yaml", yaml, "- default-r1.yaml\n"), 0);

	assert_int_equal(
		read_tampered("manifests/default-r2.yaml", yaml, "- default-r2.yaml\n"), -1);
	assert_int_equal(err.code, ERROR_INTERNAL);
	assert_non_null(strstr(err.text, "manifests/default-r2.yaml"));

	assert_int_equal(read_tampered("manifests/default-r1.yaml", yaml, ""), -1);
	assert_int_equal(err.code, ERROR_INTERNAL);
	assert_non_null(strstr(err.text, "kustomization.yaml"));

	strstr(yaml, "small")[0] = 'S';
	assert_int_equal(
		read_tampered("manifests/default-r1.yaml", yaml, "- default-r1.yaml\n"), -1);
	assert_int_equal(err.code, ERROR_INTERNAL);
	assert_non_null(strstr(err.text, "manifests/default-r1.yaml"));
	artifact_done(&a);
	resource_unref(r);
}

static void names_of_different_namespaces_never_share_a_file(void **state UNUSED)
{
	char a[TAR_PATH_MAX + 1], b[TAR_PATH_MAX + 1];

	page_file_path("a", "b-c", a);
	page_file_path("a-b", "c", b);
	assert_string_equal(a, "manifests/a/b-c.yaml");
	assert_string_equal(b, "manifests/a-b/c.yaml");
	page_file_path("default", "web-server", a);
	assert_string_equal(a, "manifests/default-web-server.yaml");
}

static void an_empty_catalog_lists_nothing_so_that_flux_prunes(void **state UNUSED)
{
	CLEANUP(catalog_unrefp) struct catalog *c = empty();
	CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_CATALOG_LAYER);
	CLEANUP(gzip_content_done)
	struct gzip_content content = {.bytes = BUF_INIT(LIMIT_CATALOG_TAR)};
	struct tar_file file;
	size_t at = 0;

	assert_int_equal(catalog_layer(c, &gzip, &layer, &err), 0);
	assert_int_equal(gzip_read(&content, buf_slice(&layer), &err), 0);
	assert_int_equal(tar_next(buf_slice(&content.bytes), &at, &file, &err), 1);
	assert_string_equal(file.path, "manifests/kustomization.yaml");
	assert_slice(file.content, "apiVersion: kustomize.config.k8s.io/v1beta1\n"
				   "kind: Kustomization\nresources: []\n");
}

static int setup(void **state UNUSED)
{
	digest_setup();
	return 0;
}

static int teardown(void **state UNUSED)
{
	gzip_done(&gzip);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_history_with_the_same_end_gives_the_same_bytes),
		cmocka_unit_test(an_update_makes_one_page_also_where_no_key_draws_a_border),
		cmocka_unit_test(names_that_differ_in_their_digits_draw_borders_too),
		cmocka_unit_test(resources_are_found_by_key_and_by_index_in_order),
		cmocka_unit_test(a_layer_is_read_back_to_the_same_catalog),
		cmocka_unit_test(a_tampered_layer_is_refused_with_the_name_of_the_file),
		cmocka_unit_test(names_of_different_namespaces_never_share_a_file),
		cmocka_unit_test(an_empty_catalog_lists_nothing_so_that_flux_prunes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
