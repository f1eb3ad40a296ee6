/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "oci/reference.h"

static struct slice repeated(char *buffer, char c, size_t n)
{
	memset(buffer, c, n);
	return (struct slice){buffer, n};
}

static void repositories_of_the_specification_are_accepted(void **state UNUSED)
{
	static const char *const names[] = {"a", "0", "library/ubuntu", "a.b", "a_b", "a__b", "a-b",
		"a---b", "gitops-squared/resources/default/web-server", "a/b/c/d/e", "1.2.3"};
	char buffer[LIMIT_REPOSITORY];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_true(oci_repository_ok(slice_of(names[i])));
	assert_true(oci_repository_ok(repeated(buffer, 'a', LIMIT_REPOSITORY)));
}

static void other_repositories_are_refused(void **state UNUSED)
{
	static const char *const names[] = {"", "/", "a/", "/a", "a//b", "A", "a b", ".a", "a.",
		"-a", "a-", "_a", "a_", "a..b", "a___b", "a._b", "a-.b", "a.-b", "../a", "a/../b",
		"a/./b", "a:b", "a@b", "a%2fb", "\xc3\xa9"};
	char buffer[LIMIT_REPOSITORY + 1];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_false(oci_repository_ok(slice_of(names[i])));
	assert_false(oci_repository_ok(repeated(buffer, 'a', LIMIT_REPOSITORY + 1)));
	assert_false(oci_repository_ok(SLICE("a\0b")));
	assert_false(oci_repository_ok(SLICE_NONE));
}

static void tags_of_the_specification_are_accepted(void **state UNUSED)
{
	static const char *const tags[] = {
		"latest", "v1764005082123456", "_", "A", "0", "1.0-rc_1"};
	char buffer[LIMIT_TAG];

	for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
		assert_true(oci_tag_ok(slice_of(tags[i])));
	assert_true(oci_tag_ok(repeated(buffer, 'x', LIMIT_TAG)));
}

static void other_tags_are_refused(void **state UNUSED)
{
	static const char *const tags[] = {"", ".a", "-a", "a/b", "a:b", "a b", "a+b", "\xc3\xa9"};
	char buffer[LIMIT_TAG + 1];

	for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
		assert_false(oci_tag_ok(slice_of(tags[i])));
	assert_false(oci_tag_ok(repeated(buffer, 'x', LIMIT_TAG + 1)));
	assert_false(oci_tag_ok(SLICE("a\0b")));
}

static void a_registry_is_an_address_or_a_url(void **state UNUSED)
{
	static const struct {
		const char *text, *base, *host, *prefix;
	} cases[] = {
		{"localhost:5000", "http://localhost:5000", "localhost:5000", ""},
		{"zot.flux-system.svc:5000", "http://zot.flux-system.svc:5000",
			"zot.flux-system.svc:5000", ""},
		{"[::1]:5000", "http://[::1]:5000", "[::1]:5000", ""},
		{"http://127.0.0.1", "http://127.0.0.1", "127.0.0.1", ""},
		{"http://[fe80::1]/", "http://[fe80::1]", "[fe80::1]", ""},
		{"HTTPS://ghcr.io/acme", "https://ghcr.io", "ghcr.io", "acme/"},
		{"https://harbor.example:8443/acme/team-1/", "https://harbor.example:8443",
			"harbor.example:8443", "acme/team-1/"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct registry_location location;
		struct error err = ERROR_INIT;

		assert_int_equal(registry_location_parse(&location, cases[i].text, &err), 0);
		assert_string_equal(location.base, cases[i].base);
		assert_string_equal(location.host, cases[i].host);
		assert_string_equal(location.prefix, cases[i].prefix);
	}
}

static void an_address_that_is_not_clear_is_refused(void **state UNUSED)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"", "must be host:port"},
		{"https://", "must be host:port"},
		{"ftp://a:21", "must be host:port"},
		{"localhost", "write https:// or http://"},
		{"ghcr.io/acme", "write https:// or http://"},
		{"localhost:5000/acme", "write https:// or http://"},
		{"https://user:secret@ghcr.io", "take user and password out"},
		{"localhost:0", "must be host:port"},
		{"localhost:65536", "must be host:port"},
		{"localhost:", "must be host:port"},
		{":5000", "must be host:port"},
		{"a b:1", "must be host:port"},
		{"::1:5000", "must be host:port"},
		{"[::1:5000", "must be host:port"},
		{"[]:5000", "must be host:port"},
		{"[::1]5000", "must be host:port"},
		{"https://ghcr.io?x", "must be host:port"},
		{"https://ghcr.io#x", "must be host:port"},
		{"https://ghcr.io/acme?x", "path"},
		{"https://ghcr.io/Acme", "path"},
		{"https://ghcr.io//acme", "path"},
		{"https://ghcr.io/acme//", "path"},
		{"https://ghcr.io/a/../b", "path"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct registry_location location;
		struct error err = ERROR_INIT;

		assert_int_equal(registry_location_parse(&location, cases[i].text, &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_non_null(strstr(err.text, cases[i].says));
	}
}

static void a_password_does_not_reach_the_error_text(void **state UNUSED)
{
	struct registry_location location;
	struct error err = ERROR_INIT;

	assert_int_equal(registry_location_parse(&location, "https://u:hunter2@a", &err), -1);
	assert_null(strstr(err.text, "hunter2"));
}

static void an_address_that_fits_no_buffer_is_refused(void **state UNUSED)
{
	struct registry_location location;
	struct error err = ERROR_INIT;
	char text[600] = "https://";

	memset(text + strlen(text), 'a', 256);
	assert_int_equal(registry_location_parse(&location, text, &err), -1);
	strcpy(text, "https://a/");
	memset(text + strlen(text), 'b', LIMIT_PREFIX - 1);
	text[strlen("https://a/") + LIMIT_PREFIX - 1] = '\0';
	assert_int_equal(registry_location_parse(&location, text, &err), 0);
	assert_int_equal(strlen(location.prefix), LIMIT_PREFIX);
	strcat(text, "b");
	assert_int_equal(registry_location_parse(&location, text, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(repositories_of_the_specification_are_accepted),
		cmocka_unit_test(other_repositories_are_refused),
		cmocka_unit_test(tags_of_the_specification_are_accepted),
		cmocka_unit_test(other_tags_are_refused),
		cmocka_unit_test(a_registry_is_an_address_or_a_url),
		cmocka_unit_test(an_address_that_is_not_clear_is_refused),
		cmocka_unit_test(a_password_does_not_reach_the_error_text),
		cmocka_unit_test(an_address_that_fits_no_buffer_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
