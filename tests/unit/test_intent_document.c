/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "intent/document.h"
#include "intent/manifest.h"

#include <stdio.h>

#define HEAD "apiVersion: gitops-squared.io/v1alpha1\nkind: PlatformResource\n"
#define SPEC "spec: {type: vm, size: small}\n"
#define OBJECT(metadata) HEAD "metadata: " metadata "\n" SPEC
#define JSON_OBJECT(metadata) \
	"{\"apiVersion\":\"gitops-squared.io/v1alpha1\",\"kind\":\"PlatformResource\"," \
	"\"metadata\":" metadata ",\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}"
#define JSON_SHORT(name) "{\"name\":\"" name "\",\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}"

#define TAKEN_MAX 8

struct taken {
	struct intent *intents[TAKEN_MAX];
	size_t lines[TAKEN_MAX];
	size_t n;
};

static void taken_done(struct taken *t)
{
	for (size_t i = 0; i < t->n; i++)
		intent_unref(t->intents[i]);
}

static int take(
	struct intent *intent, const struct document_place *place, void *arg, struct error *err)
{
	struct taken *t = arg;

	if (t->n == TAKEN_MAX)
		return error_set(err, ERROR_TOO_MANY, "no more");
	assert_int_equal(place->index, t->n);
	t->lines[t->n] = place->line;
	t->intents[t->n++] = intent_ref(intent);
	return 0;
}

static int read_text(
	struct taken *ret, enum document_format format, struct slice text, struct error *err)
{
	struct document_options options = {.format = format, .namespace = "default", .max = 100};

	return document_read(text, &options, take, ret, err);
}

static int read_yaml(struct taken *ret, const char *text, struct error *err)
{
	return read_text(ret, DOCUMENT_YAML, slice_of(text), err);
}

static int read_json(struct taken *ret, const char *text, struct error *err)
{
	return read_text(ret, DOCUMENT_JSON, slice_of(text), err);
}

/* The one intent of a text. */
static struct intent *one(enum document_format format, const char *text)
{
	struct taken taken = {.n = 0};
	struct error err = ERROR_INIT;

	if (read_text(&taken, format, slice_of(text), &err) != 0)
		fail_msg("%s: %s", text, err.text);
	assert_int_equal(taken.n, 1);
	return taken.intents[0];
}

static void assert_says(const struct error *err, const char *says)
{
	if (strstr(err->text, says) == NULL)
		fail_msg("\"%s\" is not in: %s", says, err->text);
}

static void refuse(
	enum document_format format, const char *text, const char *field, const char *says)
{
	CLEANUP(taken_done) struct taken taken = {.n = 0};
	struct error err = ERROR_INIT;

	if (read_text(&taken, format, slice_of(text), &err) != -1)
		fail_msg("taken: %s", text);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_says(&err, says);
	assert_string_equal(err.field, field);
}

/* ---- forms ---- */

static void all_forms_of_a_resource_are_the_same_intent(void **state UNUSED)
{
	static const struct {
		enum document_format format;
		const char *text;
	} forms[] = {
		{DOCUMENT_JSON, "{\"name\":\"web\",\"namespace\":\"a\",\"labels\":{\"k\":\"v\"},"
				"\"spec\":{\"type\":\"vm\",\"size\":\"large\",\"replicas\":2}}"},
		{DOCUMENT_JSON, "{\"apiVersion\":\"gitops-squared.io/v1alpha1\","
				"\"kind\":\"PlatformResource\",\"metadata\":{\"name\":\"web\","
				"\"namespace\":\"a\",\"labels\":{\"k\":\"v\"}},\"spec\":"
				"{\"type\":\"vm\",\"size\":\"large\",\"replicas\":2}}"},
		{DOCUMENT_YAML, "name: web\nnamespace: a\nlabels: {k: v}\n"
				"spec:\n  type: vm\n  size: large\n  replicas: 2\n"},
		{DOCUMENT_YAML, HEAD "metadata:\n  name: web\n  namespace: a\n  labels:\n"
				     "    k: v\nspec:\n  type: 'vm'\n  size: >-\n    large\n"
				     "  replicas: 2\n"},
		{DOCUMENT_YAML, "apiVersion: v1\nkind: List\nitems:\n- name: web\n  namespace: a\n"
				"  labels: {k: v}\n  spec: {type: vm, size: large, replicas: 2}\n"},
		{DOCUMENT_YAML, "- {name: web, namespace: a, labels: {k: v}, "
				"spec: {type: vm, size: large, replicas: 2}}"},
		{DOCUMENT_YAML, "{\"name\":\"web\",\"namespace\":\"a\",\"labels\":{\"k\":\"v\"},"
				"\"spec\":{\"type\":\"vm\",\"size\":\"large\",\"replicas\":2}}"},
		{DOCUMENT_JSON, "\xef\xbb\xbf[{\"name\":\"web\",\"namespace\":\"a\",\"labels\":"
				"{\"k\":\"v\"},\"spec\":{\"type\":\"vm\",\"size\":\"large\","
				"\"replicas\":2}}]"},
	};
	CLEANUP(intent_unrefp) struct intent *first = one(forms[0].format, forms[0].text);

	assert_string_equal(first->namespace, "a");
	assert_int_equal(first->replicas, 2);
	for (size_t i = 1; i < ARRAY_SIZE(forms); i++) {
		CLEANUP(intent_unrefp) struct intent *same = one(forms[i].format, forms[i].text);

		assert_true(intent_eq(first, same));
	}
}

static void what_the_server_and_kubectl_add_is_passed_over(void **state UNUSED)
{
	CLEANUP(intent_unrefp)
	struct intent *intent = one(DOCUMENT_YAML,
		HEAD "metadata:\n"
		     "  annotations:\n"
		     "    gitops-squared.io/version: v1\n"
		     "    kustomize.toolkit.fluxcd.io/substitute: disabled\n"
		     "    kubectl.kubernetes.io/last-applied-configuration: |\n      {}\n"
		     "  creationTimestamp: null\n"
		     "  generation: 3\n"
		     "  labels:\n"
		     "    app.kubernetes.io/managed-by: gitops-squared\n"
		     "    kustomize.toolkit.fluxcd.io/name: gsq\n"
		     "    team: shop\n"
		     "  managedFields: [{}]\n"
		     "  name: web\n"
		     "  resourceVersion: \"17\"\n"
		     "  selfLink: /apis\n"
		     "  uid: 0b0c\n"
		     "spec: {type: vm, size: small}\n"
		     "status: {state: Running}\n");

	assert_int_equal(intent->n_labels, 1);
	assert_string_equal(intent->labels[0].key, "team");
	assert_string_equal(intent->namespace, "default");
}

static void what_nothing_would_keep_is_refused(void **state UNUSED)
{
	refuse(DOCUMENT_YAML, OBJECT("{name: web, annotations: {example.com/a: b}}"),
		"metadata.annotations", "the annotation example.com/a would not be kept");
	refuse(DOCUMENT_YAML, OBJECT("{name: web, annotations: [a]}"), "metadata.annotations",
		"metadata.annotations must be an object whose values are strings, not a list");
	refuse(DOCUMENT_YAML, OBJECT("{name: web, annotations: }"), "metadata.annotations",
		"metadata.annotations must not be null; leave it out");
	refuse(DOCUMENT_YAML, OBJECT("{name: web, finalizers: []}"), "metadata.finalizers",
		"unknown field metadata.finalizers; known are metadata.namespace, metadata.name, "
		"metadata.labels, metadata.annotations");
	refuse(DOCUMENT_YAML, OBJECT("{name: web, labels: {app.kubernetes.io/managed-by: me}}"),
		"metadata.labels", "it says gitops-squared on every resource");
	refuse(DOCUMENT_YAML, "name: web\nlabels: {kustomize.toolkit.fluxcd.io/name: a}\n" SPEC,
		"labels", "is reserved: Flux");
}

static void other_kinds_and_versions_are_refused(void **state UNUSED)
{
	refuse(DOCUMENT_YAML, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n",
		"kind",
		"\"web\" (document 1, line 1): kind must be PlatformResource, not \"Deployment\": "
		"only PlatformResources are taken");
	refuse(DOCUMENT_YAML, "apiVersion: v1\nkind: ConfigMap\ndata: {}\n", "kind",
		"document 1, line 1: kind must be PlatformResource");
	refuse(DOCUMENT_YAML, "apiVersion: gitops-squared.io/v1\nkind: PlatformResource\n",
		"apiVersion",
		"apiVersion must be gitops-squared.io/v1alpha1, not \"gitops-squared.io/v1\"");
	refuse(DOCUMENT_YAML, "kind: PlatformResource\n", "apiVersion",
		"apiVersion is missing; it must be gitops-squared.io/v1alpha1");
	refuse(DOCUMENT_YAML, "metadata: {name: web}\n", "kind",
		"kind is missing; it must be PlatformResource");
	refuse(DOCUMENT_YAML, "kind: 7\n", "kind", "kind must be PlatformResource, not a number");
	refuse(DOCUMENT_YAML, HEAD SPEC, "metadata",
		"metadata is missing; it must be an object with name");
	refuse(DOCUMENT_YAML, OBJECT("[]"), "metadata",
		"metadata must be an object with name, not a list");
	refuse(DOCUMENT_YAML, "just words\n", "", "a resource must be an object, not a string");
	refuse(DOCUMENT_YAML, "[[]]", "", "a resource must be an object, not a list");
}

static void errors_name_the_field_of_their_form(void **state UNUSED)
{
	static const struct {
		const char *text, *field, *says;
	} cases[] = {
		{OBJECT("{name: Web}"), "metadata.name",
			"\"Web\" (document 1, line 1): metadata.name must be 1 to 63 lower-case"},
		{OBJECT("{}"), "metadata.name", "metadata.name is missing; it must be 1 to 63"},
		{OBJECT("{name: 7}"), "metadata.name", "not a number"},
		{OBJECT("{name: a, namespace: _}"), "metadata.namespace",
			"metadata.namespace must be 1 to 63 lower-case"},
		{OBJECT("{name: a, labels: []}"), "metadata.labels",
			"metadata.labels must be an object"},
		{OBJECT("{name: a, labels: }"), "metadata.labels",
			"metadata.labels must not be null"},
		{OBJECT("{name: a, labels: {a: 1.20}}"), "metadata.labels",
			"metadata.labels must be an object whose values are strings, not a number"},
		{OBJECT("{name: a, labels: {a b: c}}"), "metadata.labels", "the label key \"a b\""},
		{OBJECT("{name: a, labels: {gitops-squared.io/protect: 'yes'}}"),
			"metadata.labels.gitops-squared.io/protect",
			"metadata.labels.gitops-squared.io/protect must be the string \"true\""},
		{OBJECT("{name: a, naem: b}"), "metadata.naem",
			"unknown field metadata.naem; did you mean metadata.name?"},
		{OBJECT("{name: a, replicas: 2}"), "metadata.replicas",
			"unknown field metadata.replicas; did you mean spec.replicas?"},
		{OBJECT("{name: a}") "labels: {}", "labels",
			"unknown field labels; did you mean metadata.labels?"},
		{"apiversion: v1\nkind: PlatformResource\n", "apiversion",
			"unknown field apiversion; did you mean apiVersion?"},
		{OBJECT("{name: a}") "spce: {}", "spce", "unknown field spce; did you mean spec?"},
		{HEAD "metadata: {name: a}\nspec: {type: vm, size: huge}", "spec.size",
			"spec.size must be small, medium or large, not \"huge\""},
		{HEAD "metadata: {name: a}\nspec: {type: vm, size: small, replicas: 99}",
			"spec.replicas", "from 1 to 10, in digits only, not 99"},
		{HEAD "metadata: {name: a}\nspec: {type: vm, size: small, replicas: "
		      "99999999999999999999}",
			"spec.replicas", "from 1 to 10, in digits only"},
		{"name: a\nnamespace: B\n" SPEC, "namespace",
			"namespace must be 1 to 63 lower-case"},
		{"name: a\nlabels:\n" SPEC, "labels", "labels must not be null; leave it out"},
		{"name: a\nmetadat: {}\n" SPEC, "metadat",
			"unknown field metadat; known are namespace, name, labels, spec"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refuse(DOCUMENT_YAML, cases[i].text, cases[i].field, cases[i].says);
}

/* ---- many of them ---- */

static void every_document_and_item_has_its_place(void **state UNUSED)
{
	CLEANUP(taken_done) struct taken taken = {.n = 0};
	struct error err = ERROR_INIT;

	assert_int_equal(
		read_yaml(&taken,
			"# first\nname: a\n" SPEC "---\n# nothing\n---\n\n" OBJECT(
				"{name: b}") "...\n---\nkind: List\napiVersion: v1\n"
					     "metadata: {resourceVersion: ''}\nitems:\n"
					     "- name: c\n  " SPEC "- # d\n  name: d\n  " SPEC
					     "---\n- name: e\n  " SPEC,
			&err),
		0);
	assert_int_equal(taken.n, 5);
	for (size_t i = 0; i < taken.n; i++)
		assert_int_equal(taken.intents[i]->name[0], 'a' + (int)i);
	assert_int_equal(taken.lines[0], 2);
	assert_int_equal(taken.lines[1], 8);
	assert_int_equal(taken.lines[2], 18);
	assert_int_equal(taken.lines[3], 21);
	assert_int_equal(taken.lines[4], 24);
}

static void the_one_that_is_wrong_is_named_with_its_place(void **state UNUSED)
{
	refuse(DOCUMENT_YAML, "name: a\n" SPEC "---\nname: b\nspec: {type: vm}\n", "spec.size",
		"\"b\" (document 2, line 4): spec.size is missing; it must be small, medium");
	refuse(DOCUMENT_YAML, "---\n---\n" SPEC, "name", "document 2, line 3: name is missing");
	refuse(DOCUMENT_YAML,
		"apiVersion: v1\nkind: List\nitems:\n- name: a\n  " SPEC "- name: b\n", "spec",
		"\"b\" (document 1, line 6): spec is missing");
	refuse(DOCUMENT_JSON, "[" JSON_SHORT("a") ",\n{\"name\":\"b\"}]", "spec",
		"\"b\" (document 1, item 2): spec is missing");
	refuse(DOCUMENT_JSON, JSON_SHORT("a") "\n\n{\"name\":\"b\"}", "spec",
		"\"b\" (document 2, line 3): spec is missing");
}

/* The error of a text in a file of that name. */
static void refuse_file(enum document_format format, const char *text, const char *expected)
{
	struct document_options options = {
		.format = format, .namespace = "a", .max = 9, .file = "shop"};
	CLEANUP(taken_done) struct taken taken = {.n = 0};
	struct error err = ERROR_INIT;

	assert_int_equal(document_read(slice_of(text), &options, take, &taken, &err), -1);
	if (strncmp(err.text, expected, strlen(expected)) != 0)
		assert_string_equal(err.text, expected);
}

static void in_a_file_errors_begin_with_its_name_and_the_line(void **state UNUSED)
{
	refuse_file(DOCUMENT_YAML, "name: a\n" SPEC "---\nname: b\nspec: {type: vm}\n",
		"shop:4: b: spec.size is missing");
	refuse_file(DOCUMENT_YAML, "---\n---\n" SPEC, "shop:3: name is missing");
	refuse_file(DOCUMENT_JSON, "[" JSON_SHORT("a") ",\n{\"name\":\"b\"}]",
		"shop: \"b\" (document 1, item 2): spec is missing");
	refuse_file(DOCUMENT_YAML, "name: [", "shop:2:1: not YAML: ");
	refuse_file(DOCUMENT_JSON, "", "shop: empty: ");
}

static void json_may_be_many_values(void **state UNUSED)
{
	CLEANUP(taken_done) struct taken taken = {.n = 0};
	struct error err = ERROR_INIT;

	assert_int_equal(
		read_json(&taken,
			" " JSON_SHORT("a") "\n" JSON_OBJECT("{\"name\":\"b\"}") "[" JSON_SHORT(
				"c") "," JSON_SHORT("d") "]\n"
							 "{\"apiVersion\":\"gitops-squared.io/"
							 "v1alpha1\","
							 "\"kind\":\"PlatformResourceList\","
							 "\"items\":[" JSON_SHORT("e") "]}\n\n",
			&err),
		0);
	assert_int_equal(taken.n, 5);
	assert_int_equal(taken.lines[0], 1);
	assert_int_equal(taken.lines[1], 2);
	assert_int_equal(taken.lines[2], 0);
	for (size_t i = 0; i < taken.n; i++)
		assert_int_equal(taken.intents[i]->name[0], 'a' + (int)i);
}

static void json_errors_have_their_line_in_the_whole_text(void **state UNUSED)
{
	refuse(DOCUMENT_JSON, "", "", "empty: expected a JSON object or list");
	refuse(DOCUMENT_JSON, " \n", "", "empty");
	refuse(DOCUMENT_JSON, "null", "", "expected { or [ at line 1, column 1");
	refuse(DOCUMENT_JSON, JSON_SHORT("a") "\n  x", "", "expected { or [ at line 2, column 3");
	refuse(DOCUMENT_JSON, JSON_SHORT("a") "\n{\n\"a\":x}", "", " at line 3, column 5");
	refuse(DOCUMENT_JSON, JSON_SHORT("a") "  {x}", "", " at line 1, column 52");
	refuse(DOCUMENT_JSON, JSON_SHORT("a") "\n{\"name\":", "", "ends too early at line 2");
	refuse(DOCUMENT_JSON, "{\"name\":\"a\",\n\"name\":\"b\"}", "",
		"a key that was given already at line 2");
	refuse(DOCUMENT_JSON, "[}", "", "expected a value at line 1, column 2");
	refuse(DOCUMENT_JSON, JSON_SHORT("a") "\n[" JSON_SHORT("b") "\n,{\"a\":x}]", "",
		" at line 3, column 7");
	refuse(DOCUMENT_JSON, "[" JSON_SHORT("a") "\n" JSON_SHORT("b") "]", "",
		"expected , or ] at line 2, column 1");
	refuse(DOCUMENT_JSON, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\n\"items\":[{\"a\":]}", "",
		" at line 2, column");
}

static void what_is_no_object_in_a_json_list_is_refused(void **state UNUSED)
{
	refuse(DOCUMENT_JSON, "[" JSON_SHORT("a") ",[{}]]", "",
		"document 1, item 2: a resource must be an object, not a list");
	refuse(DOCUMENT_JSON, "[1]", "", "item 1: a resource must be an object, not");
	refuse(DOCUMENT_JSON, "[nope]", "", "expected { at line 1, column 2");
}

static void a_json_list_is_found_however_it_is_written(void **state UNUSED)
{
	static const char *const texts[] = {
		"{\"items\":[" JSON_SHORT("a") "],\"kind\":\"List\",\"apiVersion\":\"v1\"}",
		"{\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"\"},\"kind\":\"List\","
		"\"items\":[" JSON_SHORT("a") "]}",
		"{\"apiVersion\":\"v1\",\"k\\u0069nd\":\"List\",\"items\":[" JSON_SHORT("a") "]}",
		"{\"apiVersion\":\"v\\u0031\",\"kind\":\"L\\u0069st\",\"metadata\":null,\"items\":"
		"[" JSON_SHORT("a") "]}",
	};
	CLEANUP(intent_unrefp) struct intent *expected = one(DOCUMENT_JSON, JSON_SHORT("a"));

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP(intent_unrefp) struct intent *intent = one(DOCUMENT_JSON, texts[i]);

		assert_true(intent_eq(intent, expected));
	}
	refuse(DOCUMENT_JSON, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[],\"items\":[]}",
		"", "a key that was given already at line 1");
	refuse(DOCUMENT_JSON, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"item\":[]}", "item",
		"unknown field item of a list; did you mean items?");
	refuse(DOCUMENT_JSON, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":1}", "items",
		"items must be a list of resources");
}

struct counted {
	size_t n, last_line;
};

static int count_one(struct intent *intent UNUSED, const struct document_place *place, void *arg,
	struct error *err UNUSED)
{
	struct counted *c = arg;

	c->n++;
	c->last_line = place->line;
	return 0;
}

static void expect_too_many_values(enum document_format format, struct slice text, const char *says)
{
	CLEANUP(taken_done) struct taken taken = {.n = 0};
	struct error err = ERROR_INIT;

	assert_int_equal(read_text(&taken, format, text, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	if (strstr(err.text, says) == NULL)
		fail_msg("%s", err.text);
}

/* Each of them would be a hundred bytes of memory for its three. */
static void many_small_values_are_refused_however_they_are_nested(void **state UNUSED)
{
	static const char *const before[] = {"{\"name\":\"a\",\"spec\":[", "[{\"a\":["};
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CHANGES_BODY);

	for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
		buf_reset(&text);
		buf_puts(&text, before[i]);
		for (size_t n = 0; n < LIMIT_JSON_VALUES; n++)
			buf_puts(&text, n == 0 ? "{}" : ",{}");
		buf_puts(&text, i == 0 ? "]}" : "]}]");
		expect_too_many_values(DOCUMENT_JSON, buf_slice(&text),
			"more than the 10000 values allowed at line 1");
	}
	buf_reset(&text);
	for (size_t n = 0; n < LIMIT_DOCUMENT_VALUES; n++)
		buf_puts(&text, "- {}\n");
	expect_too_many_values(DOCUMENT_YAML, buf_slice(&text),
		"more than the 250000 values allowed in one document: make one of each resource, "
		"with a line --- before it, at line 250000, column 3");
}

/* Whose values are counted one by one: of all together there are more. */
static void a_json_list_of_many_resources_is_read(void **state UNUSED)
{
	struct document_options options = {
		.format = DOCUMENT_JSON, .namespace = "default", .max = SIZE_MAX};
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CHANGES_BODY);
	struct counted counted = {0};
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < LIMIT_CHANGES; i++)
		buf_printf(&text, "%c%s", i == 0 ? '[' : ',', JSON_SHORT("a"));
	buf_putc(&text, ']');
	assert_int_equal(document_read(buf_slice(&text), &options, count_one, &counted, &err), 0);
	assert_int_equal(counted.n, LIMIT_CHANGES);
}

static void a_list_is_checked_too(void **state UNUSED)
{
	refuse(DOCUMENT_YAML, "apiVersion: v2\nkind: List\nitems: []\n", "apiVersion",
		"document 1, line 1: apiVersion of a List must be v1");
	refuse(DOCUMENT_YAML, "apiVersion: v1\nkind: PlatformResourceList\nitems: []\n",
		"apiVersion",
		"apiVersion of a PlatformResourceList must be gitops-squared.io/v1alpha1");
	refuse(DOCUMENT_YAML, "kind: List\nitems: []\n", "apiVersion", "must be v1");
	refuse(DOCUMENT_YAML, "apiVersion: v1\nkind: List\n", "items",
		"items must be a list of resources");
	refuse(DOCUMENT_YAML, "apiVersion: v1\nkind: List\nitem: []\n", "item",
		"unknown field item of a list; did you mean items?");
	refuse(DOCUMENT_YAML, "apiVersion: v1\nkind: List\nitems: []\nspec: {}\n", "spec",
		"unknown field spec of a list; known are apiVersion, kind, metadata, items");
	refuse(DOCUMENT_YAML,
		"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: []}]\n",
		"kind", "not \"List\": only PlatformResources are taken");
}

static void more_than_the_most_is_too_large(void **state UNUSED)
{
	struct document_options options = {
		.format = DOCUMENT_YAML, .namespace = "default", .max = 2};
	CLEANUP(taken_done) struct taken taken = {.n = 0};
	struct error err = ERROR_INIT;

	assert_int_equal(
		document_read(SLICE("name: a\n" SPEC "---\nname: b\n" SPEC "---\nname: c\n" SPEC),
			&options, take, &taken, &err),
		-1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_says(&err, "more than the 2 resources allowed");
	assert_int_equal(taken.n, 2);
}

static void a_taker_may_end_it_with_an_error_of_its_own(void **state UNUSED)
{
	CLEANUP(taken_done) struct taken taken = {.n = 0};
	CLEANUP(buf_done) struct buf text = BUF_INIT(MIB);
	struct error err = ERROR_INIT;

	for (size_t i = 0; i <= TAKEN_MAX; i++)
		buf_printf(&text, "---\nname: a%zu\n" SPEC, i);
	assert_int_equal(read_text(&taken, DOCUMENT_YAML, buf_slice(&text), &err), -1);
	assert_string_equal(err.text, "no more");
	assert_int_equal(err.code, ERROR_TOO_MANY);
}

/* ---- namespaces ---- */

static void a_namespace_that_is_said_comes_before_the_one_that_is_given(void **state UNUSED)
{
	CLEANUP(intent_unrefp)
	struct intent *said = one(DOCUMENT_YAML, "name: x\nnamespace: b\n" SPEC);
	CLEANUP(intent_unrefp) struct intent *given = one(DOCUMENT_YAML, "name: x\n" SPEC);

	assert_string_equal(said->namespace, "b");
	assert_string_equal(given->namespace, "default");
}

static void a_namespace_is_given_or_said(void **state UNUSED)
{
	struct document_options none = {.format = DOCUMENT_YAML, .max = 9};
	struct document_options only = {
		.format = DOCUMENT_YAML, .namespace = "a", .only = "a", .max = 9};
	CLEANUP(taken_done) struct taken taken = {.n = 0};
	struct error err = ERROR_INIT;

	assert_int_equal(document_read(SLICE("name: x\n" SPEC), &none, take, &taken, &err), -1);
	assert_string_equal(err.field, "namespace");
	assert_says(&err, "namespace is missing; it must be 1 to 63 lower-case");
	assert_int_equal(document_read(SLICE(OBJECT("{name: x}")), &none, take, &taken, &err), -1);
	assert_string_equal(err.field, "metadata.namespace");
	assert_says(&err, "metadata.namespace is missing");
	assert_int_equal(
		document_read(SLICE(OBJECT("{name: x, namespace: b}")), &only, take, &taken, &err),
		-1);
	assert_string_equal(err.field, "metadata.namespace");
	assert_says(&err, "metadata.namespace must be a here, or be left out, not \"b\"");
	assert_int_equal(taken.n, 0);
	assert_int_equal(document_read(SLICE(OBJECT("{name: x}")), &only, take, &taken, &err), 0);
}

static void a_single_body_may_be_an_object_of_its_path(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *i = NULL, *named = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(intent_decode(&i, SLICE(JSON_OBJECT("{\"name\":\"web\"}")), "a", &err), 0);
	assert_string_equal(i->namespace, "a");
	assert_int_equal(intent_decode_named(&named, SLICE(JSON_OBJECT("{\"namespace\":\"a\"}")),
				 "a", "web", &err),
		0);
	assert_true(intent_eq(i, named));
	assert_int_equal(
		intent_decode(&i, SLICE(JSON_OBJECT("{\"name\":\"web\",\"namespace\":\"b\"}")), "a",
			&err),
		-1);
	assert_string_equal(err.field, "metadata.namespace");
	assert_says(&err, "must be a here");
	assert_int_equal(
		intent_decode_named(&i, SLICE(JSON_OBJECT("{\"name\":\"db\"}")), "a", "web", &err),
		-1);
	assert_string_equal(err.field, "metadata.name");
	assert_string_equal(err.text, "metadata.name must be web, as in the path, or be left out");
}

static void one_that_others_read_as_json_is_decoded(void **state UNUSED)
{
	CLEANUP(json_decrefp)
	json_t *json = json_pack("{s:s,s:s,s:{s:s,s:s}}", "name", "web", "namespace", "b", "spec",
		"type", "vm", "size", "small");
	CLEANUP(intent_unrefp) struct intent *i = NULL;
	CLEANUP(json_decrefp) json_t *list = json_array();
	struct error err = ERROR_INIT;

	assert_int_equal(intent_from_json(&i, json, "a", &err), 0);
	assert_string_equal(i->namespace, "b");
	assert_int_equal(intent_from_json(&i, list, "a", &err), -1);
	assert_string_equal(err.text, "a resource must be an object, not a list");
}

/* ---- YAML ---- */

static void empty_texts_have_no_resources(void **state UNUSED)
{
	static const char *const texts[] = {"", "\n", "# nothing\n", "---\n", "---\n---\n...\n",
		"\xef\xbb\xbf", "\xef\xbb\xbf# nothing\n", "null\n", "--- ~\n", "---\r\n# x\r\n"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP(taken_done) struct taken taken = {.n = 0};
		struct error err = ERROR_INIT;

		if (read_yaml(&taken, texts[i], &err) != 0)
			fail_msg("%s: %s", texts[i], err.text);
		assert_int_equal(taken.n, 0);
	}
}

static void what_yaml_allows_is_taken(void **state UNUSED)
{
	static const char *const texts[] = {
		"\xef\xbb\xbfname: a\n" SPEC,
		"name: a\r\nspec:\r\n  type: vm\r\n  size: small\r\n",
		"%YAML 1.2\n---\nname: a\n" SPEC,
		"name: a\nspec:\n  type: vm\t# tab\n  size: small\n...\n",
		"name: a\nspec: {\n\ttype: vm,\n\tsize: small}\n",
		"? name\n: a\n? spec\n: type: vm\n  size: \"sm\\\n    all\"\n",
		"{name: a, spec: {type: vm, size: small, }}",
		"--- # comment\nname: a\n" SPEC "...\n# end\n",
	};
	CLEANUP(intent_unrefp) struct intent *expected = one(DOCUMENT_JSON, JSON_SHORT("a"));

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP(intent_unrefp) struct intent *intent = one(DOCUMENT_YAML, texts[i]);

		assert_true(intent_eq(intent, expected));
	}
}

static void plain_scalars_are_those_of_the_core_schema(void **state UNUSED)
{
	static const struct {
		const char *written, *region; /* NULL: it is no string */
	} cases[] = {
		{"eu-west-1", "eu-west-1"},
		{"'1'", "1"},
		{"\"true\"", "true"},
		{"\"\"", ""},
		{"|-\n    null", "null"},
		{"2001-01-01", "2001-01-01"},
		{"10.0.0.1", "10.0.0.1"},
		{"1:30", "1:30"},
		{"0x", "0x"},
		{"1_a", "1_a"},
		{"-", NULL}, /* a list of nothing */
		{"nope", "nope"},
		{"yess", "yess"},
		{"trUE", "trUE"},
		{"=", "="},
		{"~x", "~x"},
		{"0b2", "0b2"},
		{"1e", "1e"},
		{"+", "+"},
		{".", "."},
		{"a: b", NULL},
		{"true", NULL},
		{"False", NULL},
		{"1", NULL},
		{"-0", NULL},
		{"1.5", NULL},
		{"1e3", NULL},
		{"18446744073709551616", NULL},
		{"~", NULL},
		{"", NULL},
		{"[a]", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(taken_done) struct taken taken = {.n = 0};
		struct error err = ERROR_INIT;
		char text[256];
		int rc;

		snprintf(text, sizeof(text),
			"name: a\nspec:\n  type: vm\n  size: small\n  region: %s\n",
			cases[i].written);
		rc = read_yaml(&taken, text, &err);
		if (rc != (cases[i].region == NULL ? -1 : 0))
			fail_msg("%s: %s", cases[i].written, err.text);
		if (rc == 0)
			assert_string_equal(taken.intents[0]->region, cases[i].region);
	}
}

static void what_readers_of_yaml_take_for_different_things_wants_quotes(void **state UNUSED)
{
	static const char *const booleans[] = {
		"y", "Y", "yes", "Yes", "YES", "on", "n", "N", "no", "No", "NO", "off", "OFF"};
	static const char *const numbers[] = {"010", "00", "0x1F", "0o17", "0b101", "1_000", "+1",
		"-0x1", ".5", "1.", "-01.5", "1_0.5", ".inf", "-.Inf", ".nan", ".NaN", "08",
		"+.5e+3",
		"0000000000000000000000000000000000000000000000000000000000000000000000001"};
	char text[256], says[256];

	for (size_t i = 0; i < ARRAY_SIZE(booleans); i++) {
		snprintf(text, sizeof(text), "name: a\nlabels:\n  k: %s\n" SPEC, booleans[i]);
		snprintf(says, sizeof(says), "%s is true or false to some readers of YAML",
			booleans[i]);
		refuse(DOCUMENT_YAML, text, "", says);
		refuse(DOCUMENT_YAML, text, "", ", at line 3, column 6");
	}
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		snprintf(text, sizeof(text), "name: a\nlabels:\n  k: %s\n" SPEC, numbers[i]);
		refuse(DOCUMENT_YAML, text, "", "is a number to some readers of YAML");
	}
	refuse(DOCUMENT_YAML, "name: a\nlabels: {on: k}\n" SPEC, "",
		"on is true or false to some readers of YAML");
	refuse(DOCUMENT_YAML, "name: a\nspec: {replicas: 1e999}\n", "",
		"a number that is too large");
}

static void yaml_that_is_not_taken_has_line_and_column(void **state UNUSED)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"name: &a web\n", "anchors (&) and aliases (*) are not taken: write it out, and "
				   "quote what begins with one of them, at line 1, column 7"},
		{"name: a\nspec: &s {type: vm}\n", "anchors (&)"},
		{"name: a\nspec: *s\n", "aliases (*) are not taken"},
		{"name: a\nspec:\n  <<: {type: vm}\n",
			"merge keys (<<) are not taken: write it out, at line 3, column 3"},
		{"name: !!str a\n", "tags (!) are not taken"},
		{"name: ! a\n", "tags (!) are not taken"},
		{"--- !r\nname: a\n", "tags (!) are not taken"},
		{"name: a\nspec: {}\nname: b\n",
			"the key \"name\" was given already, at line 3, column 1"},
		{"name: a\nspec: {type: vm, type: vm}\n", "\"type\" was given already"},
		{"1: a\n", "a key must be a string: put it in quotes, at line 1, column 1"},
		{"~: a\n", "a key must be a string"},
		{"? \n: a\n", "a key must be a string"},
		{"? [a]\n: b\n", "a key must be a string, not a list or mapping,"},
		{"name: a\n\tspec: b\n", "not YAML: "},
		{"name: a\nspec:\n\ttype: vm\n", "at line 3, column 1"},
		{"name: [a\n", "not YAML: "},
		{"name: 'a\n", "not YAML: found unexpected end of stream while scanning a quoted"},
		{"name: a: b\n", "not YAML: mapping values are not allowed in this context at "
				 "line 1, column 8"},
		{"@name: a\n", "found character that cannot start any token"},
		{"name: \"a\\0b\"\n", "the character U+0000 is not allowed at line 1, column 7"},
		{"name: a\n\x01\n",
			"the character U+0001 is not allowed in YAML at line 2, column 1"},
		{"name: a\nb: \xff\n", "not UTF-8; save it as UTF-8 at line 2, column 4"},
		{"name: \xc3\xa9\xe9\n", "not UTF-8; save it as UTF-8 at line 1, column 8"},
		{"name: a\n" SPEC "---\n\xef\xbb\xbfname: a\n",
			"a byte order mark (U+FEFF) inside the text; remove it at line 4, column "
			"1"},
		{"name: a # b\xe2\x80\xa8name: b\n",
			"U+2028, which ends a line for some readers of YAML only; remove it at "
			"line 1, column 12"},
		{"name: \"a\xc2\x85\"\n", "U+0085, which ends a line"},
		{"\xff\xfen", "this is UTF-16, not UTF-8; save it as UTF-8"},
		{"\xfe\xffn", "this is UTF-16"},
		{"%TAG !a! b\n--- a\n", "a %TAG directive, and tags are not taken: leave it out"},
		{"name: a\n" SPEC "---\n...\n%TAG !a! b\n--- a\n", "text, at line 5, column 1"},
		{"%YAML 3.0\n---\na: b\n", "not YAML: found incompatible YAML document"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		refuse(DOCUMENT_YAML, cases[i].text, "", cases[i].says);
		refuse(DOCUMENT_YAML, cases[i].text, "", " at line ");
	}
}

static void add_nested(struct buf *b, const char *before, size_t depth)
{
	buf_puts(b, before);
	for (size_t i = 0; i < depth; i++)
		buf_putc(b, '[');
	for (size_t i = 0; i < depth; i++)
		buf_putc(b, ']');
	buf_putc(b, '\n');
}

static void yaml_is_nested_as_deep_as_json_and_no_deeper(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf deep = BUF_INIT(MIB), too_deep = BUF_INIT(MIB);

	add_nested(&deep, "extra: ", LIMIT_JSON_DEPTH - 1);
	refuse(DOCUMENT_YAML, deep.data, "extra", "unknown field extra");
	add_nested(&too_deep, "extra: ", LIMIT_JSON_DEPTH);
	refuse(DOCUMENT_YAML, too_deep.data, "",
		"mappings and lists are nested too deep at line 1, column 71");
	buf_reset(&too_deep);
	add_nested(&too_deep, "", 100000);
	refuse(DOCUMENT_YAML, too_deep.data, "", "nested too deep");
}

static void a_million_lines_are_read(void **state UNUSED)
{
	static const char one_of_them[] = "---\n" HEAD "metadata:\n  name: web\n"
					  "spec:\n  type: vm\n  size: small\n"
					  "# a comment\n\n";
	struct document_options options = {
		.format = DOCUMENT_YAML, .namespace = "default", .max = SIZE_MAX};
	CLEANUP(buf_done) struct buf text = BUF_INIT(256 * MIB);
	struct counted counted = {0};
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < 100000; i++)
		buf_puts(&text, one_of_them);
	assert_int_equal(document_read(buf_slice(&text), &options, count_one, &counted, &err), 0);
	assert_int_equal(counted.n, 100000);
	assert_int_equal(counted.last_line, 99999 * 10 + 2);
}

/* ---- writing ---- */

static const char all_of_it[] =
	"{\"name\":\"0\",\"namespace\":\"a\",\"labels\":{\"yes\":\"no\",\"1\":\"1e3\",\"k\":\"\","
	"\"gitops-squared.io/protect\":\"true\",\"example.com/n\":\"null\"},\"spec\":{\"type\":"
	"\"bucket\",\"size\":\"medium\",\"region\":\"\\\"\\\\: #\\ud83d\\ude00 \",\"replicas\":7}}";

static void a_written_intent_has_kubectls_order_and_nothing_of_the_server(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *intent = one(DOCUMENT_JSON, all_of_it);
	CLEANUP(buf_done) struct buf yaml = BUF_INIT(LIMIT_INTENT_YAML);

	intent_write_yaml(intent, &yaml);
	assert_string_equal(yaml.data, "apiVersion: gitops-squared.io/v1alpha1\n"
				       "kind: PlatformResource\n"
				       "metadata:\n"
				       "  labels:\n"
				       "    \"1\": \"1e3\"\n"
				       "    example.com/n: \"null\"\n"
				       "    gitops-squared.io/protect: \"true\"\n"
				       "    k: \"\"\n"
				       "    \"yes\": \"no\"\n"
				       "  name: \"0\"\n"
				       "  namespace: a\n"
				       "spec:\n"
				       "  region: \"\\\"\\\\: #\xf0\x9f\x98\x80 \"\n"
				       "  replicas: 7\n"
				       "  size: medium\n"
				       "  type: bucket\n");
}

static void what_is_written_is_read_as_an_equal_intent(void **state UNUSED)
{
	static const char *const texts[] = {all_of_it, JSON_SHORT("a"), JSON_SHORT("null"),
		JSON_SHORT("y"), JSON_SHORT("1e3"), JSON_SHORT("0x1"), JSON_SHORT("2001-01-01")};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP(intent_unrefp) struct intent *intent = one(DOCUMENT_JSON, texts[i]);
		CLEANUP(buf_done) struct buf yaml = BUF_INIT(LIMIT_INTENT_YAML);
		CLEANUP(intent_unrefp) struct intent *back = NULL, *rendered = NULL;

		intent_write_yaml(intent, &yaml);
		back = one(DOCUMENT_YAML, yaml.data);
		assert_true(intent_eq(intent, back));
		buf_reset(&yaml);
		intent_render(intent, 1764005082123456, &yaml);
		rendered = one(DOCUMENT_YAML, yaml.data);
		assert_true(intent_eq(intent, rendered));
	}
}

static void a_difference_shows_the_lines_that_changed(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *old = one(DOCUMENT_JSON, JSON_SHORT("a"));
	CLEANUP(intent_unrefp)
	struct intent *new =
		one(DOCUMENT_YAML, "name: a\nspec: {type: vm, size: small, replicas: 3}\n");
	CLEANUP(buf_done) struct buf diff = BUF_INIT(MIB);

	intent_diff(old, old, "v1", "v2", &diff);
	assert_int_equal(diff.len, 0);
	intent_diff(NULL, NULL, "v1", "v2", &diff);
	assert_int_equal(diff.len, 0);
	intent_diff(old, new, "v1", "v2", &diff);
	assert_string_equal(diff.data, "--- v1\n+++ v2\n@@ -4,6 +4,6 @@\n   name: a\n"
				       "   namespace: default\n spec:\n-  replicas: 1\n"
				       "+  replicas: 3\n   size: small\n   type: vm\n");
}

static void a_side_of_a_difference_says_whether_it_is_stored(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *intent = one(DOCUMENT_JSON, JSON_SHORT("a"));
	char name[INTENT_DIFF_NAME_SIZE];

	assert_string_equal(intent_diff_name(intent, 7, name), "default/a@v7");
	assert_string_equal(
		intent_diff_name(intent, UINT64_MAX, name), "default/a@v18446744073709551615");
	assert_string_equal(intent_diff_name(intent, 0, name), "default/a");
	assert_string_equal(intent_diff_name(NULL, 0, name), "/dev/null");
	assert_string_equal(intent_diff_name(NULL, 7, name), "/dev/null");
}

static void a_difference_to_nothing_is_all_of_it(void **state UNUSED)
{
	static const char lines[] = "apiVersion: gitops-squared.io/v1alpha1\n";
	CLEANUP(intent_unrefp) struct intent *intent = one(DOCUMENT_JSON, JSON_SHORT("a"));
	CLEANUP(buf_done) struct buf added = BUF_INIT(MIB), removed = BUF_INIT(MIB);
	CLEANUP(buf_done) struct buf full = BUF_INIT(20);

	intent_diff(NULL, intent, "a", "b", &added);
	assert_true(slice_starts(buf_slice(&added), SLICE("--- a\n+++ b\n@@ -0,0 +1,9 @@\n+")));
	assert_non_null(strstr(added.data, lines));
	intent_diff(intent, NULL, "a", "b", &removed);
	assert_true(slice_starts(buf_slice(&removed), SLICE("--- a\n+++ b\n@@ -1,9 +0,0 @@\n-")));
	intent_diff(intent, NULL, "a", "b", &full);
	assert_int_equal(full.failed, ERROR_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_forms_of_a_resource_are_the_same_intent),
		cmocka_unit_test(what_the_server_and_kubectl_add_is_passed_over),
		cmocka_unit_test(what_nothing_would_keep_is_refused),
		cmocka_unit_test(other_kinds_and_versions_are_refused),
		cmocka_unit_test(errors_name_the_field_of_their_form),
		cmocka_unit_test(every_document_and_item_has_its_place),
		cmocka_unit_test(the_one_that_is_wrong_is_named_with_its_place),
		cmocka_unit_test(in_a_file_errors_begin_with_its_name_and_the_line),
		cmocka_unit_test(json_may_be_many_values),
		cmocka_unit_test(json_errors_have_their_line_in_the_whole_text),
		cmocka_unit_test(what_is_no_object_in_a_json_list_is_refused),
		cmocka_unit_test(a_json_list_is_found_however_it_is_written),
		cmocka_unit_test(many_small_values_are_refused_however_they_are_nested),
		cmocka_unit_test(a_json_list_of_many_resources_is_read),
		cmocka_unit_test(a_list_is_checked_too),
		cmocka_unit_test(more_than_the_most_is_too_large),
		cmocka_unit_test(a_taker_may_end_it_with_an_error_of_its_own),
		cmocka_unit_test(a_namespace_that_is_said_comes_before_the_one_that_is_given),
		cmocka_unit_test(a_namespace_is_given_or_said),
		cmocka_unit_test(a_single_body_may_be_an_object_of_its_path),
		cmocka_unit_test(one_that_others_read_as_json_is_decoded),
		cmocka_unit_test(empty_texts_have_no_resources),
		cmocka_unit_test(what_yaml_allows_is_taken),
		cmocka_unit_test(plain_scalars_are_those_of_the_core_schema),
		cmocka_unit_test(what_readers_of_yaml_take_for_different_things_wants_quotes),
		cmocka_unit_test(yaml_that_is_not_taken_has_line_and_column),
		cmocka_unit_test(yaml_is_nested_as_deep_as_json_and_no_deeper),
		cmocka_unit_test(a_million_lines_are_read),
		cmocka_unit_test(a_written_intent_has_kubectls_order_and_nothing_of_the_server),
		cmocka_unit_test(what_is_written_is_read_as_an_equal_intent),
		cmocka_unit_test(a_difference_shows_the_lines_that_changed),
		cmocka_unit_test(a_side_of_a_difference_says_whether_it_is_stored),
		cmocka_unit_test(a_difference_to_nothing_is_all_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
