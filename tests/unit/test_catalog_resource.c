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
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
