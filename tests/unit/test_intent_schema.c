/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "intent/draft.h"
#include "intent/schema.h"

#include <regex.h>

static bool matches(const char *pattern, const char *text)
{
	regex_t regex;
	bool found;

	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	found = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return found;
}

static void patterns_of_the_schema_say_what_the_decoder_does(void **state UNUSED)
{
	static const char *const texts[] = {"", "a", "0", "A", "-a", "a-", "a-b", "a.b", "a_b",
		"a b", "a/b", "/a", "a/", "a/b/c", "A.com/b", "a..com/b", "a.com/B_c.d", "a_b/c",
		"a.b-c.d/e", "-a/b", "a.-b/c", "\xc3\xa9"};
	const struct schema_field *name = schema_find("name"), *labels = schema_find("labels");

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct slice text = slice_of(texts[i]);
		struct draft_label key = {text, SLICE("x")}, value = {SLICE("x"), text};
		struct error err = ERROR_INIT;

		assert_int_equal(matches(name->pattern, texts[i]), intent_name_ok(text));
		assert_int_equal(matches(labels->key_pattern, texts[i]),
			intent_label_check(&key, &err) == 0);
		assert_int_equal(
			matches(labels->pattern, texts[i]), intent_label_check(&value, &err) == 0);
	}
}

static void the_schema_names_every_field_and_what_is_allowed(void **state UNUSED)
{
	for (enum intent_field f = 0; f < FIELDS_; f++) {
		const struct schema_field *field = intent_field_schema(f);

		assert_non_null(field->path);
		assert_ptr_equal(schema_find(field->path), field);
		assert_true(strlen(field->description) > 0);
		for (size_t i = 0; field->values != NULL && field->values[i] != NULL; i++)
			assert_non_null(strstr(field->allowed, field->values[i]));
	}
	assert_null(schema_fields[FIELDS_SHORT_].path);
	assert_null(schema_object_fields[FIELDS_ - FIELDS_SHORT_].path);
	assert_null(schema_find("spec.replica"));
	assert_string_equal(schema_find("spec.replicas")->initial, "1");
	assert_string_equal(schema_find("spec.type")->values[INTENT_BUCKET], "bucket");
	assert_null(schema_find("spec.type")->values[INTENT_TYPES_]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_of_the_schema_say_what_the_decoder_does),
		cmocka_unit_test(the_schema_names_every_field_and_what_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
