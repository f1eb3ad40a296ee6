/* SPDX-License-Identifier: Apache-2.0 */
/* The index of referrers that a client keeps. */
#include "test.h"

#include "registry/referrers.h"

#include <string.h>

#define SUBJECT "sha256:227e44a702e81b0dd1421384e1fc2175c9d86ae47f3daaf27c2c31cc5a1c2e7b"
#define MANIFEST \
	"{\"schemaVersion\":2,\"mediaType\":\"" OCI_MEDIA_MANIFEST \
	"\",\"artifactType\":\"application/vnd.example\",\"config\":{\"mediaType\":\"" \
	"application/vnd.oci.empty.v1+json\",\"digest\":\"" SUBJECT \
	"\",\"size\":2},\"layers\":[],\"subject\":{\"mediaType\":\"" OCI_MEDIA_MANIFEST \
	"\",\"digest\":\"" SUBJECT "\",\"size\":7},\"annotations\":{\"key\":\"value\"}}"
#define OTHER \
	"{\"mediaType\":\"" OCI_MEDIA_MANIFEST "\",\"digest\":\"sha256:other\",\"size\":3," \
	"\"annotations\":{\"of\":\"others\"},\"unknown\":true}"

static struct error err;

static int setup(void **state UNUSED)
{
	digest_setup();
	return 0;
}

/* Adds what is pushed to the index; the result is the caller's. */
static int add(struct buf *ret, bool *ret_changed, struct slice index)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *parsed = NULL;
	struct push push = {
		.media_type = OCI_MEDIA_MANIFEST,
		.manifest = SLICE(MANIFEST),
		.digest = digest_of(SLICE(MANIFEST)),
	};

	assert_int_equal(oci_manifest_parse(&parsed, push.manifest, &err), 0);
	push.parsed = parsed;
	return referrers_add(ret, ret_changed, index, &push, &err);
}

static void the_first_one_makes_the_index(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf index = BUF_INIT(64 * KIB);
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	struct digest pushed = digest_of(SLICE(MANIFEST));
	bool changed = false;

	assert_int_equal(add(&index, &changed, SLICE_NONE), 0);
	assert_true(changed);
	assert_int_equal(oci_manifest_parse(&m, buf_slice(&index), &err), 0);
	assert_int_equal(m->kind, OCI_INDEX);
	assert_int_equal(m->n_children, 1);
	assert_true(digest_eq(&m->children[0].digest, &pushed));
	assert_int_equal(m->children[0].size, strlen(MANIFEST));
	assert_non_null(strstr(index.data, "\"artifactType\":\"application/vnd.example\""));
	assert_non_null(strstr(index.data, "\"annotations\":{\"key\":\"value\"}"));
}

static void what_is_there_stays_as_it_is(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf index = BUF_INIT(64 * KIB);
	bool changed = false;

	assert_int_equal(add(&index, &changed,
				 SLICE("{\"schemaVersion\":2,\"manifests\":[" OTHER
				       "],\"annotations\":{\"a\":\"b\"}}")),
		0);
	assert_true(changed);
	assert_non_null(strstr(index.data, "\"manifests\":[" OTHER ",{"));
	assert_non_null(strstr(index.data, "\"annotations\":{\"a\":\"b\"}"));
}

static void nothing_is_added_twice(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf once = BUF_INIT(64 * KIB);
	CLEANUP(buf_done) struct buf twice = BUF_INIT(64 * KIB);
	bool changed = true;

	assert_int_equal(add(&once, &changed, SLICE_NONE), 0);
	assert_int_equal(add(&twice, &changed, buf_slice(&once)), 0);
	assert_false(changed);
	assert_int_equal(twice.len, 0);
}

static void what_is_no_index_is_not_written_over(void **state UNUSED)
{
	static const char *const others[] = {
		"", "[]", "{}", "{\"manifests\":{}}", "no JSON", MANIFEST};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		CLEANUP(buf_done) struct buf index = BUF_INIT(64 * KIB);
		bool changed;

		assert_int_equal(add(&index, &changed, slice_of(others[i])), -1);
		assert_int_equal(err.code, ERROR_INTERNAL);
		assert_non_null(strstr(err.text, "sha256-227e44a7"));
	}
}

static void an_index_without_end_is_refused(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf index = BUF_INIT(64);
	bool changed;

	assert_int_equal(add(&index, &changed, SLICE_NONE), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
}

static void the_tag_has_at_most_64_digits(void **state UNUSED)
{
	char tag[REFERRERS_TAG_SIZE];
	struct digest digest = digest_of_as(DIGEST_SHA512, SLICE(""));

	referrers_tag(&digest, tag);
	assert_string_equal(tag,
		"sha512-"
		"cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce");
	assert_int_equal(digest_parse(&digest, SLICE(SUBJECT), &err), 0);
	referrers_tag(&digest, tag);
	assert_string_equal(
		tag, "sha256-227e44a702e81b0dd1421384e1fc2175c9d86ae47f3daaf27c2c31cc5a1c2e7b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_one_makes_the_index),
		cmocka_unit_test(what_is_there_stays_as_it_is),
		cmocka_unit_test(nothing_is_added_twice),
		cmocka_unit_test(what_is_no_index_is_not_written_over),
		cmocka_unit_test(an_index_without_end_is_refused),
		cmocka_unit_test(the_tag_has_at_most_64_digits),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
