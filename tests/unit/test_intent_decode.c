/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "intent/intent.h"

#include <stdio.h>

#define BODY(name, rest) "{\"name\":" name rest "}"
#define SPEC(members) ",\"spec\":{\"type\":\"vm\",\"size\":\"small\"" members "}"
#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static int decode(struct intent **ret, const char *json, struct error *err)
{
	return intent_decode(ret, slice_of(json), "default", err);
}

static void a_whole_body_is_decoded(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *i = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(
		intent_decode(&i,
			SLICE("{\"spec\":{\"replicas\":10,\"region\":\"eu "
			      "\\u00fc\",\"size\":\"large\","
			      "\"type\":\"database\"},\"labels\":{\"team\":\"a\",\"app\":\"\"},"
			      "\"name\":\"web-1\"}"),
			"team-a", &err),
		0);
	assert_string_equal(i->namespace, "team-a");
	assert_string_equal(i->name, "web-1");
	assert_int_equal(i->type, INTENT_DATABASE);
	assert_int_equal(i->size, INTENT_LARGE);
	assert_string_equal(i->region, "eu ü");
	assert_int_equal(i->replicas, 10);
	assert_int_equal(i->n_labels, 2);
	assert_string_equal(i->labels[0].key, "app");
	assert_string_equal(i->labels[0].value, "");
	assert_string_equal(i->labels[1].key, "team");
	assert_string_equal(i->labels[1].value, "a");
}

static void what_is_left_out_has_a_default(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *i = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(decode(&i, BODY("\"a\"", SPEC("")), &err), 0);
	assert_null(i->region);
	assert_int_equal(i->replicas, 1);
	assert_int_equal(i->n_labels, 0);
}

static void an_empty_region_is_not_the_same_as_none(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *empty = NULL, *none = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(decode(&empty, BODY("\"a\"", SPEC(",\"region\":\"\"")), &err), 0);
	assert_int_equal(decode(&none, BODY("\"a\"", SPEC("")), &err), 0);
	assert_string_equal(empty->region, "");
	assert_false(intent_eq(empty, none));
}

static void syntax_errors_have_line_and_column(void **state UNUSED)
{
	static const struct slice bodies[] = {
		{"", 0},
		{"name: a", 7},
		{"[]", 2},
		{"null", 4},
		{"{\"name\":\"a\"}}", 13},
		{"{\"name\":\"a\",\n\"name\":\"a\"}", 24},
		{"{\"name\":NaN}", 12},
		{"{\"name\":\"\xff\"}", 12},
		{"{\"name\":\"\\u0000\"}", 17},
	};

	for (size_t n = 0; n < ARRAY_SIZE(bodies); n++) {
		struct error err = ERROR_INIT;
		struct intent *i = NULL;

		assert_int_equal(intent_decode(&i, bodies[n], "default", &err), -1);
		assert_null(i);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(err.field, "");
		if (strstr(err.text, " at line ") == NULL || strstr(err.text, ", column ") == NULL)
			fail_msg("%zu: %s", n, err.text);
	}
}

static void a_wrong_field_is_named_and_told_what_is_allowed(void **state UNUSED)
{
	static const struct {
		const char *body, *field, *says;
	} cases[] = {
		{"{}", "name", "name is missing; it must be 1 to 63 lower-case"},
		{"{\"name\":\"a\"}", "spec",
			"spec is missing; it must be an object with type and size"},
		{BODY("\"a\"", ",\"spec\":{\"size\":\"small\"}"), "spec.type",
			"spec.type is missing; it must be vm, database or bucket"},
		{BODY("\"a\"", ",\"spec\":{\"type\":\"vm\"}"), "spec.size",
			"spec.size is missing; it must be small, medium or large"},
		{BODY("\"Bad_Name!\"", SPEC("")), "name", "digit, not \"Bad_Name!\""},
		{BODY("\"" A64 "\"", SPEC("")), "name", "1 to 63 lower-case letters"},
		{BODY("\"\"", SPEC("")), "name", "not \"\""},
		{BODY("\"-a\"", SPEC("")), "name", "starting and ending with a letter or digit"},
		{BODY("\"a-\"", SPEC("")), "name", "starting and ending with a letter or digit"},
		{BODY("\"a.b\"", SPEC("")), "name", "letters, digits and dashes"},
		{BODY("7", SPEC("")), "name", "not a number"},
		{BODY("null", SPEC("")), "name", "not null"},
		{BODY("\"a\"", ",\"spec\":[]"), "spec",
			"must be an object with type and size, not a list"},
		{BODY("\"a\"", ",\"spec\":{\"type\":\"vmm\",\"size\":\"small\"}"), "spec.type",
			"must be vm, database or bucket, not \"vmm\""},
		{BODY("\"a\"", ",\"spec\":{\"type\":true,\"size\":\"small\"}"), "spec.type",
			"not true"},
		{BODY("\"a\"", ",\"spec\":{\"type\":\"vm\",\"size\":\"Small\"}"), "spec.size",
			"must be small, medium or large, not \"Small\""},
		{BODY("\"a\"", SPEC(",\"replicas\":0")), "spec.replicas",
			"must be a whole number from 1 to 10, in digits only, not 0"},
		{BODY("\"a\"", SPEC(",\"replicas\":-3")), "spec.replicas", "not -3"},
		{BODY("\"a\"", SPEC(",\"replicas\":11")), "spec.replicas", "not 11"},
		{BODY("\"a\"", SPEC(",\"replicas\":2.5")), "spec.replicas", "a whole number"},
		{BODY("\"a\"", SPEC(",\"replicas\":1e1")), "spec.replicas", "in digits only"},
		{BODY("\"a\"", SPEC(",\"replicas\":4294967297")), "spec.replicas",
			"not 4294967297"},
		{BODY("\"a\"", SPEC(",\"replicas\":99999999999999999999")), "spec.replicas",
			"a whole number"},
		{BODY("\"a\"", SPEC(",\"replicas\":\"3\"")), "spec.replicas", "not a string"},
		{BODY("\"a\"", SPEC(",\"replicas\":null")), "spec.replicas",
			"must not be null; leave it out, or give a whole number"},
		{BODY("\"a\"", SPEC(",\"region\":null")), "spec.region", "must not be null"},
		{BODY("\"a\"", SPEC(",\"region\":1")), "spec.region", "not a number"},
		{BODY("\"a\"", SPEC(",\"region\":\"" A64 A64 A64 A64 "a\"")), "spec.region",
			"at most 256 bytes, not 257"},
		{BODY("\"a\"", SPEC(",\"region\":\"a\\nb\"")), "spec.region", "U+000A"},
		{BODY("\"a\"", SPEC(",\"region\":\"a\\u0081\"")), "spec.region", "U+0081"},
		{BODY("\"a\"", SPEC(",\"region\":\"a\\u0085\"")), "spec.region", "U+0085"},
		{BODY("\"a\"", SPEC(",\"region\":\"a\\u2028\"")), "spec.region", "U+2028"},
		{BODY("\"a\"", SPEC(",\"region\":\"\\ufeffa\"")), "spec.region", "U+FEFF"},
		{BODY("\"a\"", SPEC(",\"region\":\"a\\ufffe\"")), "spec.region", "U+FFFE"},
		{BODY("\"a\"", SPEC(",\"region\":\"\\ud83f\\udfff\"")), "spec.region", "U+1FFFF"},
		{BODY("\"a\"", ",\"labels\":null" SPEC("")), "labels", "must not be null"},
		{BODY("\"a\"", ",\"labels\":[]" SPEC("")), "labels", "not a list"},
		{BODY("\"a\"", ",\"labels\":{\"a\":1}" SPEC("")), "labels", "not a number"},
	};

	for (size_t n = 0; n < ARRAY_SIZE(cases); n++) {
		struct error err = ERROR_INIT;
		struct intent *i = NULL;

		assert_int_equal(decode(&i, cases[n].body, &err), -1);
		assert_null(i);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(err.field, cases[n].field);
		if (strstr(err.text, cases[n].says) == NULL)
			fail_msg("%zu: %s", n, err.text);
	}
}

static void an_unknown_field_is_named_with_the_nearest_known(void **state UNUSED)
{
	static const struct {
		const char *body, *field, *text;
	} cases[] = {
		{BODY("\"a\"", SPEC(",\"replica\":3")), "spec.replica",
			"unknown field spec.replica; did you mean spec.replicas?"},
		{BODY("\"a\"", SPEC("") ",\"replicas\":3"), "replicas",
			"unknown field replicas; did you mean spec.replicas?"},
		{BODY("\"a\"", SPEC(",\"Region\":\"eu\"")), "spec.Region",
			"unknown field spec.Region; did you mean spec.region?"},
		{BODY("\"a\"", SPEC("") ",\"label\":{}"), "label",
			"unknown field label; did you mean labels?"},
		{BODY("\"a\"", SPEC("") ",\"namespace\":\"b\""), "namespace",
			"unknown field namespace; known are name, labels, spec"},
		{BODY("\"a\"", SPEC(",\"\":1")), "spec.",
			"unknown field spec.; known are spec.type, spec.size, spec.region, "
			"spec.replicas"},
		{"{\"\\n" A64 "\":1}", "?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...",
			"unknown field ?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...; known "
			"are name, labels, spec"},
	};

	for (size_t n = 0; n < ARRAY_SIZE(cases); n++) {
		struct error err = ERROR_INIT;
		struct intent *i = NULL;

		assert_int_equal(decode(&i, cases[n].body, &err), -1);
		assert_string_equal(err.field, cases[n].field);
		assert_string_equal(err.text, cases[n].text);
	}
}

/* The answer to a body with this one label. */
static int decode_label(const char *key, const char *value, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *i = NULL;
	char body[2048];

	snprintf(body, sizeof(body), BODY("\"a\"", ",\"labels\":{\"%s\":\"%s\"}" SPEC("")), key,
		value);
	return decode(&i, body, err);
}

static void labels_of_kubernetes_are_accepted(void **state UNUSED)
{
	static const char *const keys[] = {"a", "0", "A_b.c-D", "example.com/a", "a/b",
		"x.gitops-squared.io/a", "gitops-squared.io", "app.kubernetes.io/name",
		"app.kubernetes.io/managed-by-me"};
	static const char *const values[] = {"", "a", "0", "A_b.c-D", "true"};
	struct error err = ERROR_INIT;
	char key[LIMIT_LABEL_KEY + 1], value[LIMIT_LABEL_VALUE + 1];

	for (size_t n = 0; n < ARRAY_SIZE(keys); n++)
		assert_int_equal(decode_label(keys[n], "x", &err), 0);
	for (size_t n = 0; n < ARRAY_SIZE(values); n++)
		assert_int_equal(decode_label("x", values[n], &err), 0);
	memset(key, 'a', sizeof(key));
	key[253] = '/';
	key[LIMIT_LABEL_KEY] = '\0';
	memset(value, 'a', sizeof(value));
	value[LIMIT_LABEL_VALUE] = '\0';
	assert_int_equal(decode_label(key, value, &err), 0);
}

static void other_labels_are_refused_with_the_reason(void **state UNUSED)
{
	static const struct {
		const char *key, *value, *says;
	} cases[] = {
		{"", "", "the label key \"\" must be"},
		{"-a", "", "the label key \"-a\" must be"},
		{"a-", "", "the label key"},
		{"a b", "", "the label key"},
		{"é", "", "the label key \"é\""},
		{"/a", "", "the label key"},
		{"a/", "", "the label key"},
		{"a/b/c", "", "the label key"},
		{"A.com/b", "", "the label key"},
		{"a..com/b", "", "the label key"},
		{"-a.com/b", "", "the label key"},
		{"a_b/c", "", "the label key"},
		{A64, "", "the label key"},
		{"a", "-", "the value \"-\" of the label a must be empty or"},
		{"a", "a b", "the value"},
		{"a", "a/b", "the value"},
		{"a", A64, "the value"},
		{"app.kubernetes.io/managed-by", "me", "is reserved: it says gitops-squared"},
		{"gitops-squared.io/x", "", "is reserved"},
		{"kustomize.toolkit.fluxcd.io/name", "", "is reserved: Flux"},
		{"config.kubernetes.io/local-config", "true", "is reserved: kustomize"},
	};

	for (size_t n = 0; n < ARRAY_SIZE(cases); n++) {
		struct error err = ERROR_INIT;

		assert_int_equal(decode_label(cases[n].key, cases[n].value, &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(err.field, "labels");
		if (strstr(err.text, cases[n].says) == NULL)
			fail_msg("%zu: %s", n, err.text);
	}
}

/* The one label of ours that is the user's to set. */
static void protection_is_a_label_that_is_true_or_false(void **state UNUSED)
{
	static const char *const others[] = {"", "True", "yes", "1", " true", "a b"};
	static const char allowed[] =
		"labels." INTENT_PROTECT_LABEL " must be the string \"true\" or \"false\", not ";
	struct error err = ERROR_INIT;

	assert_int_equal(decode_label(INTENT_PROTECT_LABEL, "true", &err), 0);
	assert_int_equal(decode_label(INTENT_PROTECT_LABEL, "false", &err), 0);
	for (size_t n = 0; n < ARRAY_SIZE(others); n++) {
		assert_int_equal(decode_label(INTENT_PROTECT_LABEL, others[n], &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(err.field, "labels." INTENT_PROTECT_LABEL);
		assert_memory_equal(err.text, allowed, strlen(allowed));
		assert_non_null(strstr(err.text + strlen(allowed), others[n]));
	}
	assert_int_equal(decode_label(INTENT_PROTECT_LABEL "ed", "true", &err), -1);
	assert_non_null(strstr(err.text, "only " INTENT_PROTECT_LABEL " may be given"));
}

static void a_protection_that_is_no_string_is_refused_as_such(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *i = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(
		decode(&i,
			BODY("\"a\"", ",\"labels\":{\"" INTENT_PROTECT_LABEL "\":true}" SPEC("")),
			&err),
		-1);
	assert_string_equal(err.field, "labels." INTENT_PROTECT_LABEL);
	assert_string_equal(err.text, "labels." INTENT_PROTECT_LABEL
				      " must be the string \"true\" or \"false\", not true");
}

static void only_the_label_true_protects(void **state UNUSED)
{
	static const struct {
		const char *key, *value;
		bool protects;
	} cases[] = {
		{INTENT_PROTECT_LABEL, "true", true},
		{INTENT_PROTECT_LABEL, "false", false},
		{"protect", "true", false},
	};

	for (size_t n = 0; n < ARRAY_SIZE(cases); n++) {
		CLEANUP(intent_unrefp) struct intent *i = NULL;
		struct error err = ERROR_INIT;
		char body[512];

		snprintf(body, sizeof(body),
			BODY("\"a\"",
				",\"labels\":{\"zone\":\"a\",\"a\":\"true\",\"%s\":\"%s\"}" SPEC(
					"")),
			cases[n].key, cases[n].value);
		assert_int_equal(decode(&i, body, &err), 0);
		assert_int_equal(intent_is_protected(i), cases[n].protects);
	}
}

static void a_label_prefix_may_be_253_long_and_no_longer(void **state UNUSED)
{
	struct error err = ERROR_INIT;
	char key[LIMIT_LABEL_KEY + 1];

	memset(key, 'a', 254);
	strcpy(key + 254, "/b");
	assert_int_equal(decode_label(key, "", &err), -1);
	assert_int_equal(decode_label(key + 1, "", &err), 0);
}

static void the_number_of_labels_is_limited(void **state UNUSED)
{
	for (size_t n = LIMIT_LABELS; n <= LIMIT_LABELS + 1; n++) {
		CLEANUP(buf_done) struct buf body = BUF_INIT(MIB);
		CLEANUP(intent_unrefp) struct intent *i = NULL;
		struct error err = ERROR_INIT;
		int rc;

		buf_puts(&body, "{\"name\":\"a\",\"labels\":{\"z\":\"\"");
		for (size_t j = 1; j < n; j++)
			buf_printf(&body, ",\"l%02zu\":\"%zu\"", n - j, j);
		buf_puts(&body, "}" SPEC("") "}");
		rc = intent_decode(&i, buf_slice(&body), "default", &err);
		assert_int_equal(rc, n <= LIMIT_LABELS ? 0 : -1);
		if (rc != 0)
			assert_string_equal(err.field, "labels");
		for (size_t j = 1; rc == 0 && j < i->n_labels; j++)
			assert_true(strcmp(i->labels[j - 1].key, i->labels[j].key) < 0);
	}
}

static void a_namespace_is_checked_like_a_name(void **state UNUSED)
{
	struct error err = ERROR_INIT;
	struct intent *i = NULL;

	assert_int_equal(intent_decode(&i, SLICE(BODY("\"a\"", SPEC(""))), "A", &err), -1);
	assert_string_equal(err.field, "namespace");
}

static void intents_are_equal_when_all_of_them_is(void **state UNUSED)
{
	static const char *const others[] = {
		BODY("\"b\"", ",\"labels\":{\"k\":\"v\"}" SPEC(",\"region\":\"r\"")),
		BODY("\"a\"", ",\"labels\":{\"k\":\"w\"}" SPEC(",\"region\":\"r\"")),
		BODY("\"a\"", ",\"labels\":{\"j\":\"v\"}" SPEC(",\"region\":\"r\"")),
		BODY("\"a\"", SPEC(",\"region\":\"r\"")),
		BODY("\"a\"", ",\"labels\":{\"k\":\"v\"}" SPEC(",\"region\":\"s\"")),
		BODY("\"a\"", ",\"labels\":{\"k\":\"v\"}" SPEC("")),
		BODY("\"a\"", ",\"labels\":{\"k\":\"v\"}" SPEC(",\"region\":\"r\",\"replicas\":2")),
		BODY("\"a\"", ",\"labels\":{\"k\":\"v\"},\"spec\":{\"type\":\"bucket\","
			      "\"size\":\"small\",\"region\":\"r\"}"),
		BODY("\"a\"", ",\"labels\":{\"k\":\"v\"},\"spec\":{\"type\":\"vm\","
			      "\"size\":\"medium\",\"region\":\"r\"}"),
	};
	static const char same[] =
		BODY("\"a\"", ",\"labels\":{\"k\":\"v\"}" SPEC(",\"region\":\"r\",\"replicas\":1"));
	static const char body[] =
		BODY("\"a\"", ",\"labels\":{\"k\":\"v\"}" SPEC(",\"region\":\"r\""));
	CLEANUP(intent_unrefp) struct intent *a = NULL, *b = NULL, *elsewhere = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(decode(&a, body, &err), 0);
	assert_int_equal(decode(&b, same, &err), 0);
	assert_true(intent_eq(a, b));
	assert_int_equal(intent_decode(&elsewhere, slice_of(body), "other", &err), 0);
	assert_false(intent_eq(a, elsewhere));
	for (size_t n = 0; n < ARRAY_SIZE(others); n++) {
		CLEANUP(intent_unrefp) struct intent *other = NULL;

		assert_int_equal(decode(&other, others[n], &err), 0);
		assert_false(intent_eq(a, other));
		assert_false(intent_eq(other, a));
	}
}

static void an_intent_lives_until_its_last_reference(void **state UNUSED)
{
	struct error err = ERROR_INIT;
	struct intent *i = NULL;

	assert_int_equal(decode(&i, BODY("\"a\"", SPEC("")), &err), 0);
	assert_ptr_equal(intent_ref(i), i);
	intent_unref(i);
	assert_string_equal(i->name, "a");
	intent_unref(i);
	intent_unref(NULL);
}

static void labels_that_are_large_together_are_refused(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(64 * KIB);
	struct error err = ERROR_INIT;
	struct intent *intent;

	buf_puts(&body,
		"{\"name\":\"a\",\"spec\":{\"type\":\"vm\",\"size\":\"small\"},\"labels\":{");
	for (unsigned i = 0; i < LIMIT_LABELS; i++)
		buf_printf(&body, "%s\"%080u.example/%050u\":\"\"", i > 0 ? "," : "", i, i);
	buf_puts(&body, "}}");
	assert_int_equal(intent_decode(&intent, buf_slice(&body), "default", &err), -1);
	assert_string_equal(err.field, "labels");
	assert_non_null(strstr(err.text, "8192 bytes"));
}

static void a_name_that_is_known_may_be_left_out_and_must_agree(void **state UNUSED)
{
	static const char *const same[] = {
		"{\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}", BODY("\"a\"", SPEC(""))};
	static const char *const other[] = {BODY("\"b\"", SPEC("")), BODY("null", SPEC("")),
		BODY("\"\"", SPEC("")), BODY("\"A\"", SPEC(""))};
	struct error err = ERROR_INIT;

	for (size_t n = 0; n < ARRAY_SIZE(same); n++) {
		CLEANUP(intent_unrefp) struct intent *i = NULL;

		assert_int_equal(
			intent_decode_named(&i, slice_of(same[n]), "default", "a", &err), 0);
		assert_string_equal(i->name, "a");
	}
	for (size_t n = 0; n < ARRAY_SIZE(other); n++) {
		struct intent *i = NULL;

		assert_int_equal(
			intent_decode_named(&i, slice_of(other[n]), "default", "a", &err), -1);
		assert_string_equal(err.field, "name");
		assert_null(i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_body_is_decoded),
		cmocka_unit_test(labels_that_are_large_together_are_refused),
		cmocka_unit_test(what_is_left_out_has_a_default),
		cmocka_unit_test(a_name_that_is_known_may_be_left_out_and_must_agree),
		cmocka_unit_test(an_empty_region_is_not_the_same_as_none),
		cmocka_unit_test(syntax_errors_have_line_and_column),
		cmocka_unit_test(a_wrong_field_is_named_and_told_what_is_allowed),
		cmocka_unit_test(an_unknown_field_is_named_with_the_nearest_known),
		cmocka_unit_test(labels_of_kubernetes_are_accepted),
		cmocka_unit_test(other_labels_are_refused_with_the_reason),
		cmocka_unit_test(protection_is_a_label_that_is_true_or_false),
		cmocka_unit_test(a_protection_that_is_no_string_is_refused_as_such),
		cmocka_unit_test(only_the_label_true_protects),
		cmocka_unit_test(a_label_prefix_may_be_253_long_and_no_longer),
		cmocka_unit_test(the_number_of_labels_is_limited),
		cmocka_unit_test(a_namespace_is_checked_like_a_name),
		cmocka_unit_test(intents_are_equal_when_all_of_them_is),
		cmocka_unit_test(an_intent_lives_until_its_last_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
