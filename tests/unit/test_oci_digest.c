/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "oci/digest.h"

#define SHA256_ABC "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA256_EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA512_ABC \
	"sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a8" \
	"36ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

static int setup(void **state UNUSED)
{
	digest_setup();
	return 0;
}

static void known_answers(void **state UNUSED)
{
	static const struct {
		enum digest_algorithm algorithm;
		const char *bytes, *text;
	} cases[] = {
		{DIGEST_SHA256, "abc", SHA256_ABC},
		{DIGEST_SHA256, "", SHA256_EMPTY},
		{DIGEST_SHA512, "abc", SHA512_ABC},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct digest d = digest_of_as(cases[i].algorithm, slice_of(cases[i].bytes));
		char text[DIGEST_TEXT_SIZE];

		assert_string_equal(digest_format(&d, text), cases[i].text);
	}
}

static void no_bytes_at_all_have_a_digest(void **state UNUSED)
{
	struct digest d = digest_of(SLICE_NONE);
	char text[DIGEST_TEXT_SIZE];

	assert_string_equal(digest_format(&d, text), SHA256_EMPTY);
}

static void text_is_read_back_as_it_was_written(void **state UNUSED)
{
	static const char *const texts[] = {SHA256_ABC, SHA256_EMPTY, SHA512_ABC};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct error err = ERROR_INIT;
		char text[DIGEST_TEXT_SIZE];
		struct digest d;

		assert_int_equal(digest_parse(&d, slice_of(texts[i]), &err), 0);
		assert_string_equal(digest_format(&d, text), texts[i]);
	}
}

static void what_is_not_a_digest_is_refused(void **state UNUSED)
{
	static const char *const texts[] = {
		"",
		"sha256",
		"sha256:",
		":",
		SHA256_ABC "0",
		"sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
		"SHA256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
		"sha256:ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		" sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"md5:900150983cd24fb0d6963f7d28e17f72",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct digest d = {.algorithm = DIGEST_NONE};
		struct error err = ERROR_INIT;

		assert_int_equal(digest_parse(&d, slice_of(texts[i]), &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_int_equal(d.algorithm, DIGEST_NONE);
	}
}

static void an_unknown_algorithm_is_named_as_the_fault(void **state UNUSED)
{
	struct error err = ERROR_INIT;
	struct digest d;

	assert_int_equal(digest_parse(&d, SLICE("md5:900150983cd24fb0d6963f7d28e17f72"), &err), -1);
	assert_non_null(strstr(err.text, "use sha256 or sha512"));
	assert_int_equal(digest_parse(&d, SLICE_NONE, &err), -1);
}

static void hashing_in_pieces_gives_the_same(void **state UNUSED)
{
	struct digest whole = digest_of(SLICE("abc")), pieces;
	CLEANUP(hasher_done) struct hasher h = {.ctx = NULL};
	struct error err = ERROR_INIT;

	assert_int_equal(hasher_init(&h, DIGEST_SHA256, &err), 0);
	hasher_update(&h, SLICE("a"));
	hasher_update(&h, SLICE_NONE);
	hasher_update(&h, SLICE("bc"));
	pieces = hasher_finish(&h);
	assert_true(digest_eq(&whole, &pieces));
}

static void digests_differ_in_bytes_or_algorithm(void **state UNUSED)
{
	struct digest a = digest_of(SLICE("a")), b = digest_of(SLICE("b")), c = a;

	assert_true(digest_eq(&a, &c));
	assert_false(digest_eq(&a, &b));
	c.algorithm = DIGEST_SHA512;
	assert_false(digest_eq(&a, &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answers),
		cmocka_unit_test(no_bytes_at_all_have_a_digest),
		cmocka_unit_test(text_is_read_back_as_it_was_written),
		cmocka_unit_test(what_is_not_a_digest_is_refused),
		cmocka_unit_test(an_unknown_algorithm_is_named_as_the_fault),
		cmocka_unit_test(hashing_in_pieces_gives_the_same),
		cmocka_unit_test(digests_differ_in_bytes_or_algorithm),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
