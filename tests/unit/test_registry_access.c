/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "registry/access.h"

#include <stdio.h>

/* ---- namespaces ---- */

static void assert_namespace(const char *repository, const char *namespace, const char *block)
{
	char got[ACCESS_NAMESPACE_SIZE];
	size_t n = access_namespace(slice_of(repository), got);

	assert_string_equal(got, namespace);
	assert_int_equal(n, strlen(block));
	assert_memory_equal(repository, block, n);
}

static void intent_belongs_to_the_namespace_in_its_name(void **state UNUSED)
{
	assert_namespace("gitops-squared/resources/team-a/web", "team-a",
		"gitops-squared/resources/team-a/");
	assert_namespace(
		"gitops-squared/catalogs/team-a/07", "team-a", "gitops-squared/catalogs/team-a/");
	assert_namespace("gitops-squared/resources/team-a", "team-a", "");
}

static void what_holds_all_namespaces_belongs_to_all(void **state UNUSED)
{
	static const char *const repositories[] = {
		"gitops-squared/catalog",
		"gitops-squared/commits",
		"gitops-squared/catalogs",
		"gitops-squared/resources",
		"gitops-squared/team-a/app",
		"gitops-squared/resourcess/team-a/app",
	};

	for (size_t i = 0; i < ARRAY_SIZE(repositories); i++)
		assert_namespace(repositories[i], AUTH_EVERYWHERE, "");
}

static void other_repositories_belong_to_their_first_segment(void **state UNUSED)
{
	assert_namespace("team-a/app", "team-a", "team-a/");
	assert_namespace("team-a/app/test", "team-a", "team-a/");
	assert_namespace("team-a/resources/team-b/x", "team-a", "team-a/");
	assert_namespace("app", "app", "");
	assert_namespace("gitops-squared", "gitops-squared", "");
	assert_namespace(
		"gitops-squared2/resources/team-a/x", "gitops-squared2", "gitops-squared2/");
}

static void a_first_segment_that_is_no_namespace_belongs_to_all(void **state UNUSED)
{
	char longest[LIMIT_NAME + 1 + sizeof("/app")];

	assert_namespace("my_team/app", AUTH_EVERYWHERE, "");
	assert_namespace("example.com/app", AUTH_EVERYWHERE, "");
	assert_namespace("gitops-squared/resources/my_team/x", AUTH_EVERYWHERE, "");
	memset(longest, 'a', LIMIT_NAME + 1);
	snprintf(longest + LIMIT_NAME + 1, sizeof("/app"), "/app");
	assert_namespace(longest, AUTH_EVERYWHERE, "");
	assert_int_equal(access_namespace(slice_of(longest + 1), (char[ACCESS_NAMESPACE_SIZE]){0}),
		LIMIT_NAME + 1);
}

/* ---- scopes ---- */

static void assert_scopes(const char *text, const char *understood)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(4096);
	struct slice rest = slice_of(text);
	struct scope scope;

	while (scope_next(&rest, &scope))
		scope_add(&b, &scope);
	assert_string_equal(b.data == NULL ? "" : b.data, understood);
}

static void scopes_are_read_as_clients_write_them(void **state UNUSED)
{
	assert_scopes("repository:a/b:pull", "repository:a/b:pull");
	assert_scopes("repository:a/b:push,pull", "repository:a/b:pull,push");
	assert_scopes("repository:a:delete", "repository:a:push");
	assert_scopes("repository:a:*", "repository:a:pull,push");
	assert_scopes("registry:catalog:*", "registry:catalog:*");
	assert_scopes("repository:a:pull repository:b:push  registry:catalog:*",
		"repository:a:pull repository:b:push registry:catalog:*");
}

static void what_is_no_scope_is_passed_over(void **state UNUSED)
{
	assert_scopes("", "");
	assert_scopes("   ", "");
	assert_scopes("repository", "");
	assert_scopes("repository:", "");
	assert_scopes("repository:a", "");
	assert_scopes("repository:a:", "");
	assert_scopes("repository::pull", "");
	assert_scopes("repository:A:pull", "");
	assert_scopes("repository:a:pull:push", "");
	assert_scopes("repository:a:fly,pull", "repository:a:pull");
	assert_scopes("repository:a:fly", "");
	assert_scopes("repository(plugin):a:pull", "");
	assert_scopes("registry:catalog:pull", "");
	assert_scopes("registry:other:*", "");
	assert_scopes("x:y:z repository:a:pull", "repository:a:pull");
}

static bool cover(const char *text, const char *scope)
{
	struct slice rest = slice_of(scope);
	struct scope wanted;

	assert_true(scope_next(&rest, &wanted));
	return scopes_cover(slice_of(text), &wanted);
}

static void a_scope_covers_its_own_repository_and_actions_alone(void **state UNUSED)
{
	assert_true(cover("repository:a/b:pull,push", "repository:a/b:pull"));
	assert_true(cover("repository:a/b:pull,push", "repository:a/b:push"));
	assert_true(cover("repository:x:pull repository:a:pull", "repository:a:pull"));
	assert_true(cover("registry:catalog:*", "registry:catalog:*"));
	assert_false(cover("repository:a/b:pull", "repository:a/b:push"));
	assert_false(cover("repository:a/b:push", "repository:a/b:pull"));
	assert_false(cover("repository:a/b:pull", "repository:a:pull"));
	assert_false(cover("repository:a:pull", "repository:a/b:pull"));
	assert_false(cover("registry:catalog:*", "repository:catalog:pull"));
	assert_false(cover("repository:catalog:*", "registry:catalog:*"));
	assert_false(cover("", "repository:a:pull"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(intent_belongs_to_the_namespace_in_its_name),
		cmocka_unit_test(what_holds_all_namespaces_belongs_to_all),
		cmocka_unit_test(other_repositories_belong_to_their_first_segment),
		cmocka_unit_test(a_first_segment_that_is_no_namespace_belongs_to_all),
		cmocka_unit_test(scopes_are_read_as_clients_write_them),
		cmocka_unit_test(what_is_no_scope_is_passed_over),
		cmocka_unit_test(a_scope_covers_its_own_repository_and_actions_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
