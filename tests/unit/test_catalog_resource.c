/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "catalog/resource.h"
#include "intent/manifest.h"

#define VERSION UINT64_C(1764005082123456)

static int setup(void **state UNUSED)
{
	digest_setup();
	return 0;
}

static struct intent *decode(const char *name, const char *region)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
	struct error err = ERROR_INIT;
	struct intent *intent;

	buf_printf(&b,
		"{\"name\":\"%s\",\"labels\":{\"b\":\"1\",\"a\":\"2\"},"
		"\"spec\":{\"type\":\"vm\",\"size\":\"small\",\"region\":\"%s\"}}",
		name, region);
	if (intent_decode(&intent, buf_slice(&b), "default", &err) != 0)
		fail_msg("%s", err.text);
	return intent;
}

static void a_tag_is_v_and_the_version(void **state UNUSED)
{
	static const struct {
		uint64_t version;
		const char *tag;
	} cases[] = {
		{1, "v1"}, {VERSION, "v1764005082123456"}, {UINT64_MAX, "v18446744073709551615"}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char tag[RESOURCE_TAG_SIZE];
		uint64_t back = 0;

		resource_tag(cases[i].version, tag);
		assert_string_equal(tag, cases[i].tag);
		assert_true(resource_tag_parse(slice_of(tag), &back));
		assert_int_equal(back, cases[i].version);
	}
}

static void what_is_no_tag_of_a_version_is_refused(void **state UNUSED)
{
	static const char *const tags[] = {"", "v", "v0", "v01", "1", "latest", "v1x", "V1"};
	uint64_t version;

	for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
		assert_false(resource_tag_parse(slice_of(tags[i]), &version));
}

static void a_repository_is_that_of_one_resource_or_of_none(void **state UNUSED)
{
	static const char *const others[] = {"", "gitops-squared/resources/",
		"gitops-squared/resources/default", "gitops-squared/resources/default/",
		"gitops-squared/resources//web", "gitops-squared/resources/default/We",
		"gitops-squared/resources/default/web/more", "gitops-squared/catalog",
		"default/web"};
	char repository[RESOURCE_REPOSITORY_SIZE], namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];

	resource_repository("team-a", "web", repository);
	assert_true(resource_repository_parse(slice_of(repository), namespace, name));
	assert_string_equal(namespace, "team-a");
	assert_string_equal(name, "web");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(resource_repository_parse(slice_of(others[i]), namespace, name));
}

static void a_tombstone_is_known_by_its_own_version_and_digest(void **state UNUSED)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	struct error err = ERROR_INIT;
	struct artifact a;
	bool is = false;

	assert_int_equal(artifact_of_tombstone(&a, "default", "web", VERSION, &err), 0);
	assert_int_equal(oci_manifest_parse(&m, buf_slice(&a.manifest), &err), 0);
	assert_int_equal(artifact_version(m), VERSION);
	assert_int_equal(artifact_is_tombstone(&is, &a.digest, "default", "web", VERSION, &err), 0);
	assert_true(is);
	assert_int_equal(artifact_is_tombstone(&is, &a.digest, "default", "db", VERSION, &err), 0);
	assert_false(is);
	artifact_done(&a);
}

static void the_bytes_of_an_artifact_are_fixed(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *intent = decode("web-server", "eu");
	CLEANUP(artifact_done) struct artifact a;
	struct error err = ERROR_INIT;
	char text[DIGEST_TEXT_SIZE];

	assert_int_equal(artifact_of_resource(&a, intent, VERSION, &err), 0);
	assert_string_equal(digest_format(&a.digest, text),
		"sha256:c439fe2462a4ca5c508ca29111fe652991a9da0317c3cccd7d7d99591af1ee13");
}

static void the_bytes_of_a_tombstone_are_fixed(void **state UNUSED)
{
	CLEANUP(artifact_done) struct artifact a;
	struct error err = ERROR_INIT;
	char text[DIGEST_TEXT_SIZE];

	assert_int_equal(artifact_of_tombstone(&a, "team-a", "web", VERSION, &err), 0);
	assert_string_equal(a.layer.data, "# deleted: team-a/web\n");
	assert_string_equal(digest_format(&a.digest, text),
		"sha256:b5ab41a872f4379838d59abb0e846a98b435e994a4dc1fca14e6a485b92b46b5");
}

static void the_digest_alone_is_that_of_the_artifact(void **state UNUSED)
{
	static const char *const regions[] = {"eu", "", "\\\"a\\\" b"};

	for (size_t i = 0; i < ARRAY_SIZE(regions); i++) {
		CLEANUP(intent_unrefp) struct intent *intent = decode("web-server", regions[i]);
		CLEANUP(artifact_done) struct artifact a;
		struct error err = ERROR_INIT;
		struct digest digest;

		assert_int_equal(artifact_of_resource(&a, intent, VERSION, &err), 0);
		assert_int_equal(
			artifact_digest(&digest, intent, VERSION, buf_slice(&a.layer), &err), 0);
		assert_true(digest_eq(&digest, &a.digest));
	}
}

/* ---- holds ---- */

static struct resource *make(uint64_t version)
{
	CLEANUP(intent_unrefp) struct intent *intent = decode("web", "eu");
	CLEANUP(artifact_done) struct artifact a;
	struct error err = ERROR_INIT;
	struct resource *r;

	assert_int_equal(artifact_of_resource(&a, intent, version, &err), 0);
	assert_int_equal(resource_new(&r, intent, version, &a.digest, &err), 0);
	return r;
}

static struct resource *hold(
	const struct resource *accepted, struct resource *instead, const char *message)
{
	struct error err = ERROR_INIT;
	struct resource *held;

	assert_int_equal(
		resource_new_held(&held, accepted, HOLD_REFUSED, instead, message, &err), 0);
	return held;
}

static void a_held_version_stays_what_it_is_and_another_or_none_is_published(void **state UNUSED)
{
	CLEANUP(resource_unrefp) struct resource *accepted = make(VERSION);
	CLEANUP(resource_unrefp) struct resource *earlier = make(VERSION - 1);
	CLEANUP(resource_unrefp) struct resource *replaced = hold(accepted, earlier, "why");
	CLEANUP(resource_unrefp) struct resource *left_off = hold(accepted, NULL, "why");

	assert_ptr_equal(resource_published(accepted), accepted);
	assert_ptr_equal(resource_published(replaced), earlier);
	assert_null(resource_published(left_off));
	assert_int_equal(replaced->version, VERSION);
	assert_true(digest_eq(&replaced->digest, &accepted->digest));
	assert_ptr_equal(replaced->intent, accepted->intent);
	assert_null(accepted->hold);
}

/* Whoever gave them may be gone. */
static void a_hold_keeps_what_it_names(void **state UNUSED)
{
	struct resource *accepted = make(VERSION), *earlier = make(VERSION - 1);
	char message[] = "why";
	CLEANUP(resource_unrefp) struct resource *held = hold(accepted, earlier, message);

	message[0] = 'x';
	resource_unref(accepted);
	resource_unref(earlier);
	assert_int_equal(resource_published(held)->version, VERSION - 1);
	assert_string_equal(held->intent->name, "web");
	assert_string_equal(held->hold->message, "why");
}

static void a_message_is_made_one_line(void **state UNUSED)
{
	static const struct {
		const char *given, *kept;
	} cases[] = {
		{"", ""},
		{" \n\t", ""},
		{"denied by policy", "denied by policy"},
		{"\n a  b\r\n\tc \n", "a b c"},
		{"a\x01"
		 "b\x7f"
		 "c\u2028d\ufeff",
			"a b c d"},
		{"a\xff"
		 "b\xc3",
			"a b"},
		{"\u00fc \U0001f680", "\u00fc \U0001f680"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(resource_unrefp) struct resource *accepted = make(VERSION);
		CLEANUP(resource_unrefp) struct resource *r = hold(accepted, NULL, cases[i].given);

		assert_string_equal(r->hold->message, cases[i].kept);
	}
}

/* Where the limit falls into a character or a blank, and what is kept comes through again as it is.
 */
static void a_long_message_is_cut_between_characters(void **state UNUSED)
{
	CLEANUP(resource_unrefp) struct resource *accepted = make(VERSION);

	for (size_t before = 0; before < 4; before++) {
		CLEANUP(buf_done) struct buf text = BUF_INIT(4 * LIMIT_HOLD_MESSAGE);
		CLEANUP(resource_unrefp) struct resource *cut = NULL;
		CLEANUP(resource_unrefp) struct resource *again = NULL;
		size_t n;

		while (text.len < LIMIT_HOLD_MESSAGE - before)
			buf_putc(&text, 'a');
		while (text.len < LIMIT_HOLD_MESSAGE + 10)
			buf_puts(&text, " \u00fc");
		cut = hold(accepted, NULL, text.data);
		n = strlen(cut->hold->message);
		assert_in_range(n, LIMIT_HOLD_MESSAGE - 2, LIMIT_HOLD_MESSAGE);
		assert_int_equal(n, before == 3 ? LIMIT_HOLD_MESSAGE : LIMIT_HOLD_MESSAGE - before);
		again = hold(accepted, NULL, cut->hold->message);
		assert_string_equal(again->hold->message, cut->hold->message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tag_is_v_and_the_version),
		cmocka_unit_test(what_is_no_tag_of_a_version_is_refused),
		cmocka_unit_test(a_repository_is_that_of_one_resource_or_of_none),
		cmocka_unit_test(a_tombstone_is_known_by_its_own_version_and_digest),
		cmocka_unit_test(the_bytes_of_an_artifact_are_fixed),
		cmocka_unit_test(the_bytes_of_a_tombstone_are_fixed),
		cmocka_unit_test(the_digest_alone_is_that_of_the_artifact),
		cmocka_unit_test(a_held_version_stays_what_it_is_and_another_or_none_is_published),
		cmocka_unit_test(a_hold_keeps_what_it_names),
		cmocka_unit_test(a_message_is_made_one_line),
		cmocka_unit_test(a_long_message_is_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
