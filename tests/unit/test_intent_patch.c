/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "intent/document.h"

#include <stdio.h>

static const char old_json[] =
	"{\"name\":\"web\",\"labels\":{\"team\":\"shop\",\"gitops-squared.io/protect\":\"true\"},"
	"\"spec\":{\"type\":\"vm\",\"size\":\"small\",\"region\":\"eu\",\"replicas\":3}}";

static struct intent *decoded(const char *json)
{
	struct error err = ERROR_INIT;
	struct intent *intent = NULL;

	if (intent_decode(&intent, slice_of(json), "a", &err) != 0)
		fail_msg("%s: %s", json, err.text);
	return intent;
}

static struct intent *patched(const char *patch)
{
	CLEANUP(intent_unrefp) struct intent *old = decoded(old_json);
	struct error err = ERROR_INIT;
	struct intent *ret = NULL;

	if (intent_patch(&ret, old, slice_of(patch), &err) != 0)
		fail_msg("%s: %s", patch, err.text);
	return ret;
}

/* What the patch makes is what a whole body says. */
static void assert_patch(const char *patch, const char *whole)
{
	CLEANUP(intent_unrefp) struct intent *got = patched(patch);
	CLEANUP(intent_unrefp) struct intent *expected = decoded(whole);

	if (!intent_eq(got, expected))
		fail_msg("%s does not make %s", patch, whole);
}

static void a_patch_of_nothing_changes_nothing(void **state UNUSED)
{
	static const char *const patches[] = {"{}", "{\"spec\":{}}", "{\"labels\":{}}",
		"{\"metadata\":{}}", "{\"metadata\":{\"labels\":{}},\"spec\":{}}",
		"{\"name\":\"web\"}", "{\"namespace\":\"a\"}",
		"{\"metadata\":{\"name\":\"web\",\"namespace\":\"a\"}}",
		"{\"labels\":{\"other\":null}}", "{\"spec\":{\"replicas\":3}}",
		"{\"apiVersion\":\"gitops-squared.io/v1alpha1\",\"kind\":\"PlatformResource\"}",
		"{\"metadata\":{\"annotations\":{\"example.com/a\":null}}}",
		"{\"metadata\":{\"annotations\":null,\"uid\":\"x\"},\"status\":{\"a\":1}}"};

	for (size_t i = 0; i < ARRAY_SIZE(patches); i++)
		assert_patch(patches[i], old_json);
}

static void only_what_is_named_changes(void **state UNUSED)
{
	assert_patch("{\"spec\":{\"replicas\":5,\"size\":\"large\"}}",
		"{\"name\":\"web\",\"labels\":{\"team\":\"shop\",\"gitops-squared.io/protect\":"
		"\"true\"},\"spec\":{\"type\":\"vm\",\"size\":\"large\",\"region\":\"eu\","
		"\"replicas\":5}}");
	assert_patch("{\"labels\":{\"gitops-squared.io/protect\":null,\"a\":\"b\"}}",
		"{\"name\":\"web\",\"labels\":{\"team\":\"shop\",\"a\":\"b\"},\"spec\":{\"type\":"
		"\"vm\",\"size\":\"small\",\"region\":\"eu\",\"replicas\":3}}");
	assert_patch("{\"metadata\":{\"labels\":{\"gitops-squared.io/protect\":null,\"team\":"
		     "\"x\"}},\"spec\":{\"type\":\"bucket\"}}",
		"{\"name\":\"web\",\"labels\":{\"team\":\"x\"},\"spec\":{\"type\":\"bucket\","
		"\"size\":\"small\",\"region\":\"eu\",\"replicas\":3}}");
}

static void null_takes_away_or_means_the_default(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *none = patched("{\"spec\":{\"region\":null}}");
	CLEANUP(intent_unrefp) struct intent *empty = patched("{\"spec\":{\"region\":\"\"}}");
	CLEANUP(intent_unrefp) struct intent *one = patched("{\"spec\":{\"replicas\":null}}");
	CLEANUP(intent_unrefp) struct intent *bare = patched("{\"labels\":null}");
	CLEANUP(intent_unrefp)
	struct intent *bare_too = patched("{\"metadata\":{\"labels\":null}}");

	assert_null(none->region);
	assert_string_equal(empty->region, "");
	assert_int_equal(one->replicas, 1);
	assert_string_equal(one->region, "eu");
	assert_int_equal(bare->n_labels, 0);
	assert_int_equal(bare_too->n_labels, 0);
}

static void a_bad_patch_is_refused_with_its_field(void **state UNUSED)
{
	static const struct {
		const char *patch, *field, *says;
	} cases[] = {
		{"[]", "", "not a JSON object: expected { at line 1, column 1"},
		{"{\"spec\":{\"size\":\"small\",\"size\":\"small\"}}", "", "given already"},
		{"{\"spec\":{\"replica\":2}}", "spec.replica",
			"unknown field spec.replica; did you mean spec.replicas?"},
		{"{\"spec\":{\"regoin\":null}}", "spec.regoin", "did you mean spec.region?"},
		{"{\"replicas\":2}", "replicas", "did you mean spec.replicas?"},
		{"{\"metadata\":{\"label\":null}}", "metadata.label",
			"did you mean metadata.labels?"},
		{"{\"metadata\":{},\"labels\":{}}", "labels", "did you mean metadata.labels?"},
		{"{\"spec\":{\"size\":\"huge\"}}", "spec.size",
			"spec.size must be small, medium or large, not \"huge\""},
		{"{\"spec\":{\"size\":null}}", "spec.size", "spec.size is missing"},
		{"{\"spec\":{\"type\":null}}", "spec.type", "spec.type is missing"},
		{"{\"spec\":{\"replicas\":11}}", "spec.replicas", "not 11"},
		{"{\"spec\":{\"replicas\":2.0}}", "spec.replicas", "in digits only"},
		{"{\"spec\":{\"replicas\":99999999999999999999}}", "spec.replicas",
			"in digits only"},
		{"{\"spec\":{\"region\":{\"a\":null}}}", "spec.region", "not an object"},
		{"{\"spec\":null}", "spec", "spec is missing"},
		{"{\"spec\":[]}", "spec", "spec must be an object with type and size, not a list"},
		{"{\"metadata\":null}", "metadata", "metadata is missing"},
		{"{\"labels\":{\"a\":1}}", "labels", "not a number"},
		{"{\"labels\":[]}", "labels", "not a list"},
		{"{\"labels\":{\"app.kubernetes.io/managed-by\":\"me\"}}", "labels", "is reserved"},
		{"{\"metadata\":{\"labels\":{\"a b\":\"c\"}}}", "metadata.labels",
			"the label key \"a b\""},
		{"{\"metadata\":{\"annotations\":{\"a\":\"b\"}}}", "metadata.annotations",
			"the annotation a would not be kept"},
		{"{\"name\":\"db\"}", "name", "name must be web, as in the path, or be left out"},
		{"{\"name\":null}", "name",
			"name must not be null; leave it out: a patch cannot change it"},
		{"{\"namespace\":\"b\"}", "namespace", "namespace must be a here"},
		{"{\"namespace\":null}", "namespace", "namespace must not be null"},
		{"{\"metadata\":{\"name\":\"db\"}}", "metadata.name",
			"metadata.name must be web, as in the path"},
		{"{\"metadata\":{\"name\":null}}", "metadata.name",
			"metadata.name must not be null"},
		{"{\"metadata\":{\"namespace\":\"b\"}}", "metadata.namespace",
			"metadata.namespace must be a here"},
		{"{\"kind\":\"Deployment\"}", "kind", "only PlatformResources are taken"},
		{"{\"kind\":null}", "kind", "kind is missing"},
		{"{\"apiVersion\":\"v1\"}", "apiVersion", "must be gitops-squared.io/v1alpha1"},
	};
	CLEANUP(intent_unrefp) struct intent *old = decoded(old_json);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = ERROR_INIT;
		struct intent *ret = NULL;

		if (intent_patch(&ret, old, slice_of(cases[i].patch), &err) != -1)
			fail_msg("taken: %s", cases[i].patch);
		assert_null(ret);
		assert_int_equal(err.code, ERROR_INVALID);
		if (strstr(err.text, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].patch, err.text);
		assert_string_equal(err.field, cases[i].field);
	}
}

static void a_patch_of_an_intent_without_region_or_labels_gives_it_some(void **state UNUSED)
{
	CLEANUP(intent_unrefp)
	struct intent *old =
		decoded("{\"name\":\"b\",\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}");
	CLEANUP(intent_unrefp) struct intent *ret = NULL, *same = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(intent_patch(&same, old, SLICE("{\"metadata\":{}}"), &err), 0);
	assert_true(intent_eq(same, old));
	assert_int_equal(
		intent_patch(&ret, old,
			SLICE("{\"labels\":{\"a\":\"b\"},\"spec\":{\"region\":\"eu\"}}"), &err),
		0);
	assert_string_equal(ret->region, "eu");
	assert_int_equal(ret->n_labels, 1);
	assert_null(old->region);
	assert_int_equal(old->n_labels, 0);
}

static void labels_beyond_the_limit_are_refused(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *old = decoded(old_json);
	CLEANUP(buf_done) struct buf patch = BUF_INIT(MIB);
	struct error err = ERROR_INIT;
	struct intent *ret = NULL;

	buf_puts(&patch, "{\"labels\":{\"x\":null");
	for (int i = 0; i < LIMIT_LABELS - 1; i++)
		buf_printf(&patch, ",\"l%d\":\"\"", i);
	buf_puts(&patch, "}}");
	assert_int_equal(intent_patch(&ret, old, buf_slice(&patch), &err), -1);
	assert_string_equal(err.field, "labels");
	assert_non_null(strstr(err.text, "more than the 64 entries allowed"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_patch_of_nothing_changes_nothing),
		cmocka_unit_test(only_what_is_named_changes),
		cmocka_unit_test(null_takes_away_or_means_the_default),
		cmocka_unit_test(a_bad_patch_is_refused_with_its_field),
		cmocka_unit_test(a_patch_of_an_intent_without_region_or_labels_gives_it_some),
		cmocka_unit_test(labels_beyond_the_limit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
