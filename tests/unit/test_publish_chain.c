/* SPDX-License-Identifier: Apache-2.0 */
/* The chain of records: what is told of it, and what is found when somebody has been at it. */
#include "publisher_fixture.h"

#include "cosign_fixture.h"
#include "publish/chain.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- stores ---- */

struct fixture {
	struct fake *f;
	const struct sign_keys *keys;              /* for the walk */
	uint64_t versions[LIMIT_CHAIN_PULLS + 10]; /* of the commits after the first */
};

/* One with the first record and n commits after it. */
static void make(struct fixture *x, size_t n)
{
	struct publisher *p;

	*x = (struct fixture){.f = fake_new(true)};
	p = start(x->f);
	for (unsigned i = 0; i < n; i++)
		x->versions[i] = put(p, "web", i % 2 + 1).version;
	publisher_free(p);
}

static struct digest named(struct fixture *x, const char *tag)
{
	struct digest d;

	assert_true(fake_resolve(x->f, RECORD_REPOSITORY, tag, &d));
	return d;
}

static const char *tag_of(uint64_t version)
{
	static char tag[RECORD_TAG_SIZE];

	record_tag(version, tag);
	return tag;
}

/* A record without changes, as its tag names it; parent NULL: it has none. */
static struct digest forge_as(enum digest_algorithm algorithm, struct fixture *x, const char *tag,
	uint64_t version, const struct digest *parent)
{
	CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_RECORD);
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(LIMIT_MANIFEST);
	struct record record = {
		.version = version,
		.has_parent = parent != NULL,
		.layout = {LAYOUT_SINGLE, 1},
		.state = oci_empty_digest,
		.who = (char *)"mallory",
		.why = (char *)"init",
	};
	struct digest layer_digest;
	struct push_blob blobs[] = {{.bytes = {NULL, 0}}, {oci_empty_digest, OCI_EMPTY}};
	struct push push = {.repository = RECORD_REPOSITORY, .tag = tag, .n_blobs = 2};

	if (parent != NULL)
		record.parent = *parent;
	record_write(&record, &layer);
	layer_digest = digest_of(buf_slice(&layer));
	record_manifest(&layer_digest, layer.len, version, &manifest);
	blobs[0] = (struct push_blob){layer_digest, buf_slice(&layer)};
	push.blobs = blobs;
	push.manifest = buf_slice(&manifest);
	push.digest = digest_of_as(algorithm, push.manifest);
	assert_int_equal(registry_begin(&x->f->registry, &err), 0);
	registry_push(&x->f->registry, &push, 1);
	assert_int_equal(push.err.code, ERROR_NONE);
	assert_int_equal(registry_commit(&x->f->registry, &err), 0);
	return push.digest;
}

static struct digest forge(
	struct fixture *x, const char *tag, uint64_t version, const struct digest *parent)
{
	return forge_as(DIGEST_SHA256, x, tag, version, parent);
}

/* ---- walking ---- */

struct told {
	size_t n, enough;
	uint64_t versions[2 * LIMIT_CHAIN_PULLS], parents[2 * LIMIT_CHAIN_PULLS];
};

static bool each(const struct record *record, const struct record *parent, void *arg)
{
	struct told *t = arg;

	t->versions[t->n] = record->version;
	t->parents[t->n++] = parent == NULL ? 0 : parent->version;
	return t->n != t->enough;
}

static int walk(struct fixture *x, struct chain_result *ret)
{
	struct chain_options options = {.keys = x->keys};

	err = (struct error)ERROR_INIT;
	return chain_walk(&x->f->registry, &options, ret, &err);
}

static void expect_break(struct fixture *x, const char *text)
{
	struct chain_result result;

	assert_int_equal(walk(x, &result), -1);
	assert_int_equal(err.code, ERROR_INTERNAL);
	if (strstr(err.text, text) == NULL)
		fail_msg("\"%s\" is not in: %s", text, err.text);
}

/* A text that begins with the version's tag. */
static void expect_break_at(struct fixture *x, uint64_t version, const char *text)
{
	char expected[400];

	snprintf(expected, sizeof(expected), "%s %s", tag_of(version), text);
	expect_break(x, expected);
}

/* ---- what there is ---- */

static void every_record_is_told_with_the_one_before_it(void **state UNUSED)
{
	size_t n = LIMIT_CHAIN_PULLS + 5; /* more than are read at once */
	struct told told = {.n = 0};
	struct chain_options options = {.each = each, .arg = &told};
	struct chain_result result;
	struct fixture x;
	struct digest head;

	make(&x, n);
	head = named(&x, "latest");
	assert_int_equal(chain_walk(&x.f->registry, &options, &result, &err), 0);
	assert_int_equal(told.n, n + 1);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(told.versions[i], x.versions[n - 1 - i]);
		assert_int_equal(told.parents[i], told.versions[i + 1]);
	}
	assert_int_equal(told.parents[n], 0);
	assert_int_equal(result.records, n + 1);
	assert_int_equal(result.newest, x.versions[n - 1]);
	assert_int_equal(result.oldest, told.versions[n]);
	assert_true(digest_eq(&result.head, &head));
	assert_int_equal(result.unfinished + result.forgotten, 0);
	fake_destroy(x.f);
}

static void whoever_has_had_enough_is_told_no_more(void **state UNUSED)
{
	struct told told = {.enough = 2};
	struct chain_options options = {.each = each, .arg = &told};
	struct chain_result result;
	struct fixture x;

	make(&x, 6);
	assert_int_equal(chain_walk(&x.f->registry, &options, &result, &err), 0);
	assert_int_equal(told.n, 2);
	assert_int_equal(told.versions[1], x.versions[4]);
	fake_destroy(x.f);
}

static void a_store_without_a_record_has_no_chain(void **state UNUSED)
{
	struct fixture x = {.f = fake_new(true)};
	struct chain_result result;

	assert_int_equal(walk(&x, &result), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	fake_destroy(x.f);
}

static void the_record_of_a_commit_that_failed_is_no_break(void **state UNUSED)
{
	struct chain_result result;
	struct fixture x;
	struct digest parent;
	uint64_t between;

	make(&x, 3);
	parent = named(&x, tag_of(x.versions[0]));
	between = x.versions[1] - 1;
	assert_true(between > x.versions[0]);
	forge(&x, tag_of(between), between, &parent);
	parent = named(&x, "latest");
	forge(&x, tag_of(x.versions[2] + 1), x.versions[2] + 1, &parent);
	assert_int_equal(walk(&x, &result), 0);
	assert_int_equal(result.records, 4);
	assert_int_equal(result.newest, x.versions[2]);
	assert_int_equal(result.unfinished, 1);
	fake_destroy(x.f);
}

/* Of a commit that failed, or of one that was taken back. */
static void a_record_that_is_newer_than_the_head_is_named(void **state UNUSED)
{
	struct chain_result result;
	struct fixture x;
	struct digest old;

	make(&x, 3);
	old = named(&x, tag_of(x.versions[1]));
	fake_set_tag(x.f, RECORD_REPOSITORY, "latest", &old);
	forge(&x, tag_of(x.versions[2] + 1), x.versions[2] + 1, &old);
	assert_int_equal(walk(&x, &result), 0);
	assert_int_equal(result.newest, x.versions[1]);
	assert_int_equal(result.above, 2);
	assert_int_equal(result.newest_above, x.versions[2] + 1);
	assert_int_equal(result.unfinished, 0);
	fake_destroy(x.f);
}

/* ---- tampering ---- */

static void a_record_whose_bytes_have_changed_is_a_break(void **state UNUSED)
{
	struct fixture x;
	struct digest d;

	make(&x, 3);
	d = named(&x, tag_of(x.versions[1]));
	fake_damage(x.f, &d);
	expect_break_at(&x, x.versions[2], "was committed on top of sha256:");
	assert_non_null(strstr(err.text, "do not match their digest"));
	assert_non_null(strstr(err.text, tag_of(x.versions[1]))); /* the next tag */
	fake_destroy(x.f);
}

static void another_record_in_its_place_is_a_break(void **state UNUSED)
{
	struct fixture x;
	struct digest parent;

	make(&x, 3);
	parent = named(&x, tag_of(x.versions[0]));
	forge(&x, tag_of(x.versions[1]), x.versions[1], &parent);
	/* what was there can still be had by its digest */
	expect_break(&x, tag_of(x.versions[1]));
	assert_non_null(strstr(err.text, "names another record"));
	fake_destroy(x.f);
}

static void a_record_that_is_gone_is_a_break(void **state UNUSED)
{
	struct fixture x;
	struct digest d;

	make(&x, 3);
	d = named(&x, tag_of(x.versions[1]));
	fake_drop_tag(x.f, RECORD_REPOSITORY, tag_of(x.versions[1]));
	expect_break_at(&x, x.versions[1], "has lost its tag");
	fake_damage(x.f, &d);
	expect_break_at(&x, x.versions[2], "was committed on top of sha256:");
	fake_destroy(x.f);
}

static void a_first_record_that_is_gone_is_a_break(void **state UNUSED)
{
	struct chain_result result;
	struct fixture x;

	make(&x, 1);
	assert_int_equal(walk(&x, &result), 0);
	fake_drop_tag(x.f, RECORD_REPOSITORY, tag_of(result.oldest));
	expect_break_at(&x, result.oldest, "has lost its tag");
	fake_destroy(x.f);
}

static void a_head_that_went_back_is_a_break(void **state UNUSED)
{
	struct fixture x;
	struct digest old;

	make(&x, 4);
	old = named(&x, tag_of(x.versions[1]));
	fake_set_tag(x.f, RECORD_REPOSITORY, "latest", &old);
	expect_break_at(&x, x.versions[2], "is left out of the chain, though c");
	fake_destroy(x.f);
}

static void a_chain_that_goes_another_way_is_a_break(void **state UNUSED)
{
	struct fixture x;
	struct digest parent, forged;
	uint64_t version;

	make(&x, 4);
	version = x.versions[3] + 10;
	parent = named(&x, tag_of(x.versions[0]));
	forged = forge(&x, tag_of(version), version, &parent);
	fake_set_tag(x.f, RECORD_REPOSITORY, "latest", &forged);
	expect_break_at(&x, x.versions[2], "is left out of the chain");
	fake_destroy(x.f);
}

static void a_new_beginning_that_leaves_others_out_is_a_break(void **state UNUSED)
{
	struct fixture x;
	struct digest forged;
	uint64_t version;

	make(&x, 2);
	version = x.versions[1] + 10;
	forged = forge(&x, tag_of(version), version, NULL);
	fake_set_tag(x.f, RECORD_REPOSITORY, "latest", &forged);
	expect_break_at(&x, x.versions[0], "is left out of the chain");
	fake_destroy(x.f);
}

static void an_older_record_with_a_higher_number_is_a_break(void **state UNUSED)
{
	struct fixture x;
	struct digest parent, forged;

	make(&x, 2);
	parent = named(&x, "latest");
	forged = forge(&x, tag_of(x.versions[0] + 1), x.versions[0] + 1, &parent);
	fake_set_tag(x.f, RECORD_REPOSITORY, "latest", &forged);
	expect_break_at(&x, x.versions[0] + 1, "was committed on top of c");
	fake_destroy(x.f);
}

static void a_tag_that_names_the_record_of_another_commit_is_a_break(void **state UNUSED)
{
	struct fixture x;
	struct digest parent, forged;
	uint64_t version;

	make(&x, 2);
	version = x.versions[1] + 10;
	parent = named(&x, "latest");
	forged = forge(&x, tag_of(version), version + 1, &parent);
	fake_set_tag(x.f, RECORD_REPOSITORY, "latest", &forged);
	expect_break(&x, "names the record of c");
	fake_destroy(x.f);
}

static void records_without_a_head_are_a_break(void **state UNUSED)
{
	struct fixture x;

	make(&x, 2);
	fake_drop_tag(x.f, RECORD_REPOSITORY, "latest");
	expect_break(&x, tag_of(x.versions[1]));
	fake_destroy(x.f);
}

static void a_registry_that_is_down_is_no_break(void **state UNUSED)
{
	struct fixture x;

	make(&x, 3);
	for (size_t call = 0; call < 8; call++) {
		struct chain_result result;

		fake_fail(x.f, call, SIZE_MAX, FAKE_UNAVAILABLE);
		assert_int_equal(walk(&x, &result), -1);
		assert_int_equal(err.code, ERROR_UNAVAILABLE);
	}
	fake_destroy(x.f);
}

/* ---- with keys ---- */

static void a_head_that_is_damaged_is_a_break_with_keys_too(void **state UNUSED)
{
	CLEANUP(sign_keys_freep) struct sign_keys *keys = NULL;
	struct fixture x;
	struct digest d;

	make(&x, 2);
	assert_int_equal(sign_keys_parse(&keys, SLICE(COSIGN_PUBLIC_KEY), &err), 0);
	x.keys = keys;
	expect_break_at(&x, x.versions[1], "is not signed by the key: it has no signature");
	d = named(&x, "latest");
	fake_damage(x.f, &d);
	expect_break(&x, "commits:latest names sha256:");
	fake_destroy(x.f);
}

static void a_record_that_sha512_names_has_no_signature(void **state UNUSED)
{
	CLEANUP(sign_keys_freep) struct sign_keys *keys = NULL;
	struct fixture x;
	struct digest parent, forged;
	uint64_t version;

	make(&x, 2);
	assert_int_equal(sign_keys_parse(&keys, SLICE(COSIGN_PUBLIC_KEY), &err), 0);
	x.keys = keys;
	version = x.versions[1] + 10;
	parent = named(&x, "latest");
	forged = forge_as(DIGEST_SHA512, &x, tag_of(version), version, &parent);
	fake_set_tag(x.f, RECORD_REPOSITORY, "latest", &forged);
	expect_break_at(&x, version, "is not signed by the key: its digest is not of sha256");
	fake_destroy(x.f);
}

static void a_registry_that_is_down_is_no_break_with_keys_either(void **state UNUSED)
{
	CLEANUP(sign_keys_freep) struct sign_keys *keys = NULL;
	struct chain_result result;
	struct fixture x;

	make(&x, 3);
	assert_int_equal(sign_keys_parse(&keys, SLICE(COSIGN_PUBLIC_KEY), &err), 0);
	x.keys = keys;
	/* Until the head is read, which has no signature. */
	for (size_t call = 0; call < 3; call++) {
		fake_fail(x.f, call, SIZE_MAX, FAKE_UNAVAILABLE);
		assert_int_equal(walk(&x, &result), -1);
		assert_int_equal(err.code, ERROR_UNAVAILABLE);
	}
	fake_destroy(x.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_record_is_told_with_the_one_before_it),
		cmocka_unit_test(whoever_has_had_enough_is_told_no_more),
		cmocka_unit_test(a_store_without_a_record_has_no_chain),
		cmocka_unit_test(the_record_of_a_commit_that_failed_is_no_break),
		cmocka_unit_test(a_record_that_is_newer_than_the_head_is_named),
		cmocka_unit_test(a_record_whose_bytes_have_changed_is_a_break),
		cmocka_unit_test(another_record_in_its_place_is_a_break),
		cmocka_unit_test(a_record_that_is_gone_is_a_break),
		cmocka_unit_test(a_first_record_that_is_gone_is_a_break),
		cmocka_unit_test(a_head_that_went_back_is_a_break),
		cmocka_unit_test(a_chain_that_goes_another_way_is_a_break),
		cmocka_unit_test(a_new_beginning_that_leaves_others_out_is_a_break),
		cmocka_unit_test(an_older_record_with_a_higher_number_is_a_break),
		cmocka_unit_test(a_tag_that_names_the_record_of_another_commit_is_a_break),
		cmocka_unit_test(records_without_a_head_are_a_break),
		cmocka_unit_test(a_registry_that_is_down_is_no_break),
		cmocka_unit_test(a_head_that_is_damaged_is_a_break_with_keys_too),
		cmocka_unit_test(a_record_that_sha512_names_has_no_signature),
		cmocka_unit_test(a_registry_that_is_down_is_no_break_with_keys_either),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
