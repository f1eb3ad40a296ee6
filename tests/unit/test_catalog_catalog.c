/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/limits.h"
#include "catalog/catalog.h"
#include "catalog/key.h"
#include "catalog/pages.h"
#include "intent/intent.h"

#include <stdio.h>

#define KEYS 400
#define HISTORIES 1000

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

/* A resource as it can be in a catalog. */
enum { PUBLISHED, EARLIER, LEFT_OFF, REPLACED, REPLACED_SILENTLY, FORMS };

struct forms {
	struct resource *of[FORMS];
};

static struct resource *hold(const struct resource *accepted, enum hold_reason reason,
	struct resource *instead, const char *message)
{
	struct resource *held;

	assert_int_equal(resource_new_held(&held, accepted, reason, instead, message, &err), 0);
	return held;
}

static void make_forms(struct forms *ret, unsigned key)
{
	struct resource *accepted = make(key, 1000 + key), *earlier = make(key, 500);

	*ret = (struct forms){{
		[PUBLISHED] = accepted,
		[EARLIER] = earlier,
		[LEFT_OFF] = hold(accepted, HOLD_NAMESPACE, NULL, "namespace is not there"),
		[REPLACED] = hold(accepted, HOLD_REFUSED, earlier, "denied by policy"),
		[REPLACED_SILENTLY] = hold(accepted, HOLD_REFUSED, earlier, ""),
	}};
}

static void forms_done(struct forms *forms)
{
	for (size_t i = 0; i < FORMS; i++)
		resource_unref(forms->of[i]);
}

/* Batches of random puts, holds and deletes, then whatever leads to the set. */
static struct catalog *random_history(
	struct forms *forms, struct resource **resources, size_t n, unsigned seed)
{
	struct catalog *c = empty();
	struct catalog_change changes[KEYS];
	size_t used;

	for (unsigned round = next_random(&seed) % 20; round > 0; round--) {
		unsigned step = 1 + next_random(&seed) % 40;

		used = 0;
		for (unsigned key = next_random(&seed) % step; key < KEYS; key += step) {
			struct resource *r = forms[key].of[next_random(&seed) % FORMS];

			changes[used++] = change_of(r, next_random(&seed) % 3 == 0);
		}
		c = apply(c, changes, used);
	}
	used = 0;
	for (size_t key = KEYS; key-- > 0;)
		changes[used++] = change_of(resources[key], key >= n);
	return apply(c, changes, used);
}

/* By turns: none is held, some are, nearly all, and all are left off. */
static void choose_forms(struct resource **ret, struct forms *forms, unsigned turn, unsigned *seed)
{
	for (unsigned key = 0; key < KEYS; key++) {
		unsigned any = next_random(seed), form = PUBLISHED;

		if (turn % 4 == 3)
			form = LEFT_OFF;
		else if (any / FORMS % 3 < turn % 4)
			form = any % FORMS;
		ret[key] = forms[key].of[form];
	}
}

static void any_history_with_the_same_end_gives_the_same_bytes(void **state UNUSED)
{
	struct forms forms[KEYS];
	struct resource *resources[KEYS];
	unsigned seed = 1;

	for (unsigned i = 0; i < KEYS; i++)
		make_forms(&forms[i], i);
	for (unsigned i = 0; i < HISTORIES; i++) {
		size_t n = next_random(&seed) % (KEYS + 1);
		struct catalog *direct, *wandered;
		struct digest a, b;

		choose_forms(resources, forms, i, &seed);
		direct = make_set(resources, n);
		wandered = random_history(forms, resources, n, seed);
		a = layer_digest(direct);
		b = layer_digest(wandered);
		assert_int_equal(catalog_count(direct), n);
		assert_int_equal(catalog_count(wandered), n);
		assert_true(digest_eq(&a, &b));
		catalog_unref(direct);
		catalog_unref(wandered);
	}
	for (unsigned i = 0; i < KEYS; i++)
		forms_done(&forms[i]);
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

/* ---- holds ---- */

/* The same place among the same pages as if it were published. */
static void a_held_resource_keeps_its_place(void **state UNUSED)
{
	struct resource *resources[KEYS];
	CLEANUP(catalog_unrefp) struct catalog *c = NULL;

	for (unsigned i = 0; i < KEYS; i++)
		resources[i] = make(i, 1000 + i);
	c = make_set(resources, KEYS);
	for (size_t i = 0; i < KEYS; i += 7) {
		const struct intent *key = resources[i]->intent;
		CLEANUP(resource_unrefp)
		struct resource *held = hold(resources[i], HOLD_REFUSED, NULL, "why");
		struct catalog_change change = change_of(held, false);
		CLEANUP(catalog_unrefp) struct catalog *with = NULL;
		size_t at = catalog_lower_bound(c, key->namespace, key->name);

		assert_int_equal(catalog_apply(&with, c, &change, 1, &gzip, &err), 0);
		assert_int_equal(catalog_count(with), KEYS);
		assert_int_equal(with->n_pages, c->n_pages);
		assert_int_equal(count_new_pages(c, with), 1);
		assert_int_equal(catalog_lower_bound(with, key->namespace, key->name), at);
		assert_ptr_equal(catalog_at(with, at), held);
		assert_ptr_equal(catalog_find(with, key->namespace, key->name), held);
	}
	for (unsigned i = 0; i < KEYS; i++)
		resource_unref(resources[i]);
}

/* The paths in a layer, a line each, and the content of the last file. */
static void list_layer(const struct catalog *c, struct buf *ret)
{
	CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_CATALOG_LAYER);
	CLEANUP(gzip_content_done)
	struct gzip_content content = {.bytes = BUF_INIT(LIMIT_CATALOG_TAR)};
	struct tar_file file;
	size_t at = 0;
	int rc;

	assert_int_equal(catalog_layer(c, &gzip, &layer, &err), 0);
	assert_int_equal(gzip_read(&content, buf_slice(&layer), &err), 0);
	while ((rc = tar_next(buf_slice(&content.bytes), &at, &file, &err)) == 1)
		buf_printf(ret, "%s\n", file.path);
	assert_int_equal(rc, 0);
	buf_add(ret, file.content);
	assert_int_equal(buf_check(ret, &err), 0);
}

static void held_files_stand_behind_what_is_published_and_are_not_listed(void **state UNUSED)
{
	struct forms forms[4];
	struct catalog_change changes[4];
	CLEANUP(catalog_unrefp) struct catalog *c = NULL;
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);

	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++)
		make_forms(&forms[i], i);
	changes[0] = change_of(forms[0].of[LEFT_OFF], false);
	changes[1] = change_of(forms[1].of[REPLACED], false);
	changes[2] = change_of(forms[2].of[PUBLISHED], false);
	changes[3] = change_of(forms[3].of[REPLACED_SILENTLY], false);
	c = apply(empty(), changes, ARRAY_SIZE(changes));
	list_layer(c, &text);
	assert_string_equal(text.data, "manifests/default-r1.yaml\n"
				       "held/refused/default-r1.yaml\n"
				       "held/refused/default-r1.txt\n"
				       "manifests/default-r2.yaml\n"
				       "held/namespace/team-a/r0.yaml\n"
				       "held/namespace/team-a/r0.txt\n"
				       "manifests/team-a/r3.yaml\n"
				       "held/refused/team-a/r3.yaml\n"
				       "manifests/kustomization.yaml\n" KUSTOMIZATION_HEAD "\n"
				       "- default-r1.yaml\n"
				       "- default-r2.yaml\n"
				       "- team-a/r3.yaml\n");
	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++)
		forms_done(&forms[i]);
}

/* DESIGN invariant 3, for both versions. */
static void files_of_a_held_resource_are_the_layers_of_its_versions(void **state UNUSED)
{
	struct forms forms;
	CLEANUP(catalog_unrefp) struct catalog *c = NULL;
	CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_CATALOG_LAYER);
	CLEANUP(gzip_content_done)
	struct gzip_content content = {.bytes = BUF_INIT(LIMIT_CATALOG_TAR)};
	struct catalog_change change;
	struct tar_file file;
	size_t at = 0;

	make_forms(&forms, 1);
	change = change_of(forms.of[REPLACED], false);
	c = apply(empty(), &change, 1);
	assert_int_equal(catalog_layer(c, &gzip, &layer, &err), 0);
	assert_int_equal(gzip_read(&content, buf_slice(&layer), &err), 0);
	for (unsigned form = EARLIER + 1; form-- > 0;) {
		const struct resource *r = forms.of[form];
		struct artifact a;

		assert_int_equal(artifact_of_resource(&a, r->intent, r->version, &err), 0);
		assert_int_equal(tar_next(buf_slice(&content.bytes), &at, &file, &err), 1);
		assert_true(slice_eq(file.content, buf_slice(&a.layer)));
		artifact_done(&a);
	}
	assert_int_equal(tar_next(buf_slice(&content.bytes), &at, &file, &err), 1);
	assert_slice(file.content, "denied by policy\n");
	forms_done(&forms);
}

static void where_all_are_left_off_nothing_is_listed(void **state UNUSED)
{
	struct forms forms[3];
	struct catalog_change changes[3];
	CLEANUP(catalog_unrefp) struct catalog *c = NULL;
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);

	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		make_forms(&forms[i], i);
		changes[i] = change_of(forms[i].of[LEFT_OFF], false);
	}
	c = apply(empty(), changes, ARRAY_SIZE(changes));
	assert_int_equal(catalog_count(c), 3);
	list_layer(c, &text);
	assert_non_null(strstr(text.data, KUSTOMIZATION_HEAD " []\n"));
	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++)
		forms_done(&forms[i]);
}

static void assert_same_resource(const struct resource *a, const struct resource *b)
{
	assert_int_equal(a->version, b->version);
	assert_true(digest_eq(&a->digest, &b->digest));
	assert_int_equal(a->hold == NULL, b->hold == NULL);
	if (a->hold == NULL)
		return;
	assert_int_equal(a->hold->reason, b->hold->reason);
	assert_string_equal(a->hold->message, b->hold->message);
	assert_int_equal(a->hold->instead == NULL, b->hold->instead == NULL);
	if (a->hold->instead != NULL)
		assert_same_resource(a->hold->instead, b->hold->instead);
}

static void holds_are_read_back_as_they_were(void **state UNUSED)
{
	struct forms forms[KEYS];
	struct resource *resources[KEYS];
	unsigned seed = 7;

	for (unsigned i = 0; i < KEYS; i++)
		make_forms(&forms[i], i);
	for (unsigned turn = 0; turn < 40; turn++) {
		size_t n = turn < 4 ? 1 : next_random(&seed) % (KEYS + 1);
		CLEANUP(catalog_unrefp) struct catalog *c = NULL;
		CLEANUP(catalog_unrefp) struct catalog *again = NULL;
		CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_CATALOG_LAYER);
		struct digest a, b;

		choose_forms(resources, forms, turn, &seed);
		c = make_set(resources, n);
		assert_int_equal(catalog_layer(c, &gzip, &layer, &err), 0);
		assert_int_equal(catalog_read(&again, buf_slice(&layer), &err), 0);
		assert_int_equal(catalog_count(again), n);
		a = layer_digest(c);
		b = layer_digest(again);
		assert_true(digest_eq(&a, &b));
		for (size_t i = 0; i < n; i++)
			assert_same_resource(catalog_at(c, i), catalog_at(again, i));
	}
	for (unsigned i = 0; i < KEYS; i++)
		forms_done(&forms[i]);
}

#define LONGEST "a23456789012345678901234567890123456789012345678901234567890123"

static void the_longest_names_and_message_can_be_held(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	CLEANUP(resource_unrefp) struct resource *accepted = NULL;
	CLEANUP(resource_unrefp) struct resource *held = NULL;
	CLEANUP(catalog_unrefp) struct catalog *c = NULL;
	CLEANUP(catalog_unrefp) struct catalog *again = NULL;
	CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_CATALOG_LAYER);
	char message[LIMIT_HOLD_MESSAGE + 1];
	struct catalog_change change;
	struct artifact a;

	assert_int_equal(intent_decode(&intent,
				 SLICE("{\"name\":\"" LONGEST
				       "\",\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}"),
				 LONGEST, &err),
		0);
	memset(message, 'm', LIMIT_HOLD_MESSAGE);
	message[LIMIT_HOLD_MESSAGE] = '\0';
	assert_int_equal(artifact_of_resource(&a, intent, 1000, &err), 0);
	assert_int_equal(resource_new(&accepted, intent, 1000, &a.digest, &err), 0);
	artifact_done(&a);
	held = hold(accepted, HOLD_NAMESPACE, NULL, message);
	change = change_of(held, false);
	c = apply(empty(), &change, 1);
	assert_int_equal(catalog_layer(c, &gzip, &layer, &err), 0);
	assert_int_equal(catalog_read(&again, buf_slice(&layer), &err), 0);
	assert_same_resource(catalog_find(again, LONGEST, LONGEST), held);
}

/* ---- tampering ---- */

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

/* A file of a layer written by hand: a version of r1, r2 or r9, or a text. */
struct part {
	const char *path;
	unsigned key; /* 0: it is the text */
	uint64_t version;
	const char *text;
};

static int read_parts(const struct part *parts, const char *lines)
{
	CLEANUP(buf_done) struct buf tar = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf list = BUF_INIT(1 * MIB);
	CLEANUP(catalog_unrefp) struct catalog *c = NULL;

	buf_printf(&list, KUSTOMIZATION_HEAD "%s\n%s", lines[0] == '\0' ? " []" : "", lines);
	for (const struct part *p = parts; p->path != NULL; p++) {
		CLEANUP(resource_unrefp) struct resource *r = make(p->key, p->version);
		struct slice content = slice_of(p->text == NULL ? "" : p->text);
		struct artifact a;

		assert_int_equal(artifact_of_resource(&a, r->intent, r->version, &err), 0);
		if (p->key > 0)
			content = buf_slice(&a.layer);
		tar_add_header(&tar, slice_of(p->path), content.n);
		buf_add(&tar, content);
		tar_add_padding(&tar, content.n);
		artifact_done(&a);
	}
	tar_add_header(&tar, SLICE(KUSTOMIZATION_PATH), list.len);
	buf_add(&tar, buf_slice(&list));
	tar_add_padding(&tar, list.len);
	tar_add_end(&tar);
	gzip_add(&gzip, buf_slice(&tar), &layer);
	return catalog_read(&c, buf_slice(&layer), &err);
}

#define PUBLISHED_AT(v) \
	{ \
		"manifests/default-r1.yaml", 1, v, NULL \
	}
#define HELD_AT(v) \
	{ \
		"held/refused/default-r1.yaml", 1, v, NULL \
	}
#define MESSAGE(text) \
	{ \
		"held/refused/default-r1.txt", 0, 1, text \
	}
#define NEXT_AT(v) \
	{ \
		"manifests/default-r2.yaml", 2, v, NULL \
	}
#define LISTED "- default-r1.yaml\n"

static void holds_written_as_they_should_be_are_read(void **state UNUSED)
{
	static const struct part left_off[] = {HELD_AT(2), {NULL}};
	static const struct part said[] = {HELD_AT(2), MESSAGE("why\n"), {NULL}};
	static const struct part replaced[] = {
		PUBLISHED_AT(1), HELD_AT(2), MESSAGE("why\n"), NEXT_AT(1), {NULL}};

	assert_int_equal(read_parts(left_off, ""), 0);
	assert_int_equal(read_parts(said, ""), 0);
	assert_int_equal(read_parts(replaced, LISTED "- default-r2.yaml\n"), 0);
}

static void a_hold_that_is_written_otherwise_is_refused_with_the_name_of_the_file(
	void **state UNUSED)
{
	static char long_message[LIMIT_HOLD_MESSAGE + 3], longer_message[4 * LIMIT_HOLD_MESSAGE];
	const struct {
		struct part parts[5];
		const char *lines, *file;
	} cases[] = {
		/* order */
		{{HELD_AT(2), PUBLISHED_AT(1)}, LISTED, "manifests/default-r1.yaml"},
		{{PUBLISHED_AT(1), NEXT_AT(1), HELD_AT(2)}, LISTED "- default-r2.yaml\n",
			"held/refused/default-r1.yaml"},
		{{PUBLISHED_AT(1), MESSAGE("why\n"), HELD_AT(2)}, LISTED,
			"held/refused/default-r1.txt"},
		{{HELD_AT(2), HELD_AT(3)}, "", "held/refused/default-r1.yaml"},
		{{PUBLISHED_AT(1), HELD_AT(2), HELD_AT(3)}, LISTED, "held/refused/default-r1.yaml"},
		{{HELD_AT(2), MESSAGE("why\n"), MESSAGE("why\n")}, "",
			"held/refused/default-r1.txt"},
		/* a held file without its accepted resource */
		{{MESSAGE("why\n")}, "", "held/refused/default-r1.txt"},
		{{PUBLISHED_AT(1), MESSAGE("why\n")}, LISTED, "held/refused/default-r1.txt"},
		{{HELD_AT(2), {"held/namespace/default-r1.txt", 0, 1, "why\n"}}, "",
			"held/namespace/default-r1.txt"},
		{{HELD_AT(2), {"held/refused/default-r2.txt", 0, 1, "why\n"}}, "",
			"held/refused/default-r2.txt"},
		/* not earlier */
		{{PUBLISHED_AT(2), HELD_AT(2)}, LISTED, "held/refused/default-r1.yaml"},
		{{PUBLISHED_AT(3), HELD_AT(2)}, LISTED, "held/refused/default-r1.yaml"},
		/* another place */
		{{{"held/refused/default-r2.yaml", 1, 2, NULL}}, "",
			"held/refused/default-r2.yaml"},
		{{{"held/other/default-r1.yaml", 1, 2, NULL}}, "", "held/other/default-r1.yaml"},
		{{{"held/refused", 1, 2, NULL}}, "", "held/refused"},
		{{{"held/", 1, 2, NULL}}, "", "held/"},
		{{{"other/default-r1.yaml", 1, 2, NULL}}, "", "other/default-r1.yaml"},
		/* messages */
		{{HELD_AT(2), MESSAGE("")}, "", "held/refused/default-r1.txt"},
		{{HELD_AT(2), MESSAGE("\n")}, "", "held/refused/default-r1.txt"},
		{{HELD_AT(2), MESSAGE("why")}, "", "held/refused/default-r1.txt"},
		{{HELD_AT(2), MESSAGE("why\n\n")}, "", "held/refused/default-r1.txt"},
		{{HELD_AT(2), MESSAGE(" why\n")}, "", "held/refused/default-r1.txt"},
		{{HELD_AT(2), MESSAGE("w\ahy\n")}, "", "held/refused/default-r1.txt"},
		{{HELD_AT(2), MESSAGE("w\xffhy\n")}, "", "held/refused/default-r1.txt"},
		{{HELD_AT(2), MESSAGE(long_message)}, "", "held/refused/default-r1.txt"},
		{{HELD_AT(2), MESSAGE(longer_message)}, "", "held/refused/default-r1.txt"},
		/* lists */
		{{HELD_AT(2)}, LISTED, "kustomization.yaml"},
		{{PUBLISHED_AT(1), HELD_AT(2)}, "", "kustomization.yaml"},
		{{PUBLISHED_AT(1), HELD_AT(2)}, LISTED LISTED, "kustomization.yaml"},
	};

	memset(long_message, 'm', LIMIT_HOLD_MESSAGE + 1);
	long_message[LIMIT_HOLD_MESSAGE + 1] = '\n';
	memset(longer_message, 'm', sizeof(longer_message) - 2);
	longer_message[sizeof(longer_message) - 2] = '\n';
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (read_parts(cases[i].parts, cases[i].lines) != -1)
			fail_msg("case %zu was read", i);
		assert_int_equal(err.code, ERROR_INTERNAL);
		if (strstr(err.text, cases[i].file) == NULL)
			fail_msg("case %zu: %s", i, err.text);
	}
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
		cmocka_unit_test(a_held_resource_keeps_its_place),
		cmocka_unit_test(held_files_stand_behind_what_is_published_and_are_not_listed),
		cmocka_unit_test(files_of_a_held_resource_are_the_layers_of_its_versions),
		cmocka_unit_test(where_all_are_left_off_nothing_is_listed),
		cmocka_unit_test(holds_are_read_back_as_they_were),
		cmocka_unit_test(the_longest_names_and_message_can_be_held),
		cmocka_unit_test(a_tampered_layer_is_refused_with_the_name_of_the_file),
		cmocka_unit_test(holds_written_as_they_should_be_are_read),
		cmocka_unit_test(
			a_hold_that_is_written_otherwise_is_refused_with_the_name_of_the_file),
		cmocka_unit_test(names_of_different_namespaces_never_share_a_file),
		cmocka_unit_test(an_empty_catalog_lists_nothing_so_that_flux_prunes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
