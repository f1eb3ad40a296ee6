/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "registry/access.h"
#include "registry/token.h"

#include <stdio.h>

#define NOW UINT64_C(1800000000)

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

/* ---- tokens ---- */

static int setup(void **state)
{
	struct registry_tokens *tokens;
	struct error err = ERROR_INIT;

	assert_int_equal(registry_tokens_new(&tokens, &err), 0);
	*state = tokens;
	return 0;
}

static int teardown(void **state)
{
	registry_tokens_free(*state);
	return 0;
}

static struct subject *subject(const char *name, const char *namespace)
{
	struct grant grant = {.role = ROLE_PULLER};
	struct subject_draft draft = {
		.method = AUTH_TOKEN, .name = slice_of(name), .n_grants = 1, .grants = &grant};
	struct error err = ERROR_INIT;
	struct subject *s;

	snprintf(grant.namespace, sizeof(grant.namespace), "%s", namespace);
	assert_int_equal(subject_new(&s, &draft, &err), 0);
	return s;
}

/* The text is the caller's. */
static char *make_at(
	struct registry_tokens *tokens, struct subject *s, const char *scopes, uint64_t now_s)
{
	struct buf b = BUF_INIT(LIMIT_HTTP_HEAD);
	struct error err = ERROR_INIT;

	assert_int_equal(registry_token_make(tokens, s, slice_of(scopes), now_s, &b, &err), 0);
	return buf_take(&b);
}

static char *make(struct registry_tokens *tokens, const char *name, const char *scopes)
{
	CLEANUP(subject_unrefp) struct subject *s = subject(name, "team-a");

	return make_at(tokens, s, scopes, NOW);
}

static enum registry_token check_at(
	struct registry_tokens *tokens, const char *token, uint64_t now_s)
{
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	AUTO_FREE char *scopes = NULL;
	enum registry_token result =
		registry_token_check(tokens, slice_of(token), now_s, &s, &scopes);

	assert_int_equal(s != NULL, result == REGISTRY_TOKEN_OK);
	assert_int_equal(scopes != NULL, result == REGISTRY_TOKEN_OK);
	return result;
}

static void assert_is_of(struct registry_tokens *tokens, const char *token, const char *name)
{
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	AUTO_FREE char *scopes = NULL;

	assert_int_equal(
		registry_token_check(tokens, slice_of(token), NOW, &s, &scopes), REGISTRY_TOKEN_OK);
	assert_string_equal(s->name, name);
}

static void a_token_brings_back_its_subject_and_its_scopes(void **state)
{
	static const char *const scopes[] = {
		"", "repository:team-a/app:pull", "repository:a:pull,push registry:catalog:*"};

	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++) {
		AUTO_FREE char *token = make(*state, "ci", scopes[i]);
		CLEANUP(subject_unrefp) struct subject *s = NULL;
		AUTO_FREE char *got = NULL;

		assert_int_equal(registry_token_check(*state, slice_of(token), NOW, &s, &got),
			REGISTRY_TOKEN_OK);
		assert_string_equal(s->name, "token:ci");
		assert_string_equal(s->grants[0].namespace, "team-a");
		assert_string_equal(got, scopes[i]);
	}
}

/* What an Authorization header may have (RFC 6750, section 2.1). */
static void a_token_is_a_word_that_fits_into_a_header(void **state)
{
	AUTO_FREE char *token = make(*state, "ci", "repository:team-a/app:pull,push");

	assert_int_equal(strncmp(token, REGISTRY_TOKEN_PREFIX, strlen(REGISTRY_TOKEN_PREFIX)), 0);
	assert_int_equal(strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				       "0123456789-._~+/="),
		strlen(token));
}

static void a_token_ends_when_it_says(void **state)
{
	AUTO_FREE char *token = make(*state, "ci", "");
	/* The same subject's next does not make it last longer. */
	CLEANUP(subject_unrefp) struct subject *s = subject("ci", "team-a");
	AUTO_FREE char *next = make_at(*state, s, "", NOW + 100);

	assert_int_equal(check_at(*state, token, NOW), REGISTRY_TOKEN_OK);
	assert_int_equal(
		check_at(*state, token, NOW + LIMIT_REGISTRY_TOKEN_S - 1), REGISTRY_TOKEN_OK);
	assert_int_equal(
		check_at(*state, token, NOW + LIMIT_REGISTRY_TOKEN_S), REGISTRY_TOKEN_EXPIRED);
	assert_int_equal(check_at(*state, next, NOW + LIMIT_REGISTRY_TOKEN_S), REGISTRY_TOKEN_OK);
}

static void a_token_with_any_other_byte_is_refused(void **state)
{
	AUTO_FREE char *token = make(*state, "ci", "repository:team-a/app:pull");

	for (size_t i = 0; token[i] != '\0'; i++) {
		char right = token[i];

		token[i] = right == 'A' ? 'B' : 'A';
		assert_int_equal(check_at(*state, token, NOW), REGISTRY_TOKEN_BAD);
		token[i] = right;
	}
	assert_int_equal(check_at(*state, token, NOW), REGISTRY_TOKEN_OK);
}

static void a_token_of_any_other_length_is_refused(void **state)
{
	AUTO_FREE char *token = make(*state, "ci", "repository:team-a/app:pull");
	AUTO_FREE char *longer = str_printf("%sA", token);
	AUTO_FREE char *doubled = str_printf("%s%s", token, token);

	assert_int_equal(check_at(*state, longer, NOW), REGISTRY_TOKEN_BAD);
	assert_int_equal(check_at(*state, doubled, NOW), REGISTRY_TOKEN_BAD);
	for (size_t n = strlen(token); n-- > 0;) {
		token[n] = '\0';
		assert_int_equal(check_at(*state, token, NOW), REGISTRY_TOKEN_BAD);
	}
}

static void a_token_of_another_process_is_refused(void **state)
{
	AUTO_FREE char *token = make(*state, "ci", "");
	struct registry_tokens *other;
	struct error err = ERROR_INIT;

	assert_int_equal(registry_tokens_new(&other, &err), 0);
	assert_int_equal(check_at(other, token, NOW), REGISTRY_TOKEN_BAD);
	registry_tokens_free(other);
}

static void subjects_that_differ_in_anything_are_kept_apart(void **state)
{
	CLEANUP(subject_unrefp) struct subject *before = subject("ci", "team-a");
	CLEANUP(subject_unrefp) struct subject *after = subject("ci", "team-b");
	AUTO_FREE char *token = make_at(*state, before, "", NOW);
	AUTO_FREE char *next = make_at(*state, after, "", NOW);
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	AUTO_FREE char *scopes = NULL;

	assert_int_equal(
		registry_token_check(*state, slice_of(token), NOW, &s, &scopes), REGISTRY_TOKEN_OK);
	assert_ptr_equal(s, before);
	assert_is_of(*state, next, "token:ci");
}

/* The table is full of subjects whose tokens still count: the one that ends first makes room. */
static void a_crowd_of_subjects_ends_the_oldest_tokens_alone(void **state)
{
	CLEANUP(subject_unrefp) struct subject *first = subject("first", "team-a");
	CLEANUP(subject_unrefp) struct subject *second = subject("second", "team-a");
	AUTO_FREE char *oldest = make_at(*state, first, "", NOW - 2);
	AUTO_FREE char *second_oldest = make_at(*state, second, "", NOW - 1);

	for (int i = 0; i < LIMIT_REGISTRY_SUBJECTS - 2; i++) {
		char name[16];
		AUTO_FREE char *token = NULL;

		snprintf(name, sizeof(name), "t%d", i);
		token = make(*state, name, "");
	}
	assert_is_of(*state, oldest, "token:first");
	free(make(*state, "one-more", ""));
	assert_int_equal(check_at(*state, oldest, NOW), REGISTRY_TOKEN_EXPIRED);
	assert_is_of(*state, second_oldest, "token:second");
}

static void a_place_in_the_table_is_free_when_its_tokens_have_ended(void **state)
{
	CLEANUP(subject_unrefp) struct subject *s = subject("next", "team-a");
	AUTO_FREE char *old = make(*state, "ci", "");
	AUTO_FREE char *token = make_at(*state, s, "", NOW + LIMIT_REGISTRY_TOKEN_S);

	assert_int_equal(check_at(*state, old, NOW), REGISTRY_TOKEN_EXPIRED);
	assert_is_of(*state, token, "token:next");
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
		cmocka_unit_test_setup_teardown(
			a_token_brings_back_its_subject_and_its_scopes, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_token_is_a_word_that_fits_into_a_header, setup, teardown),
		cmocka_unit_test_setup_teardown(a_token_ends_when_it_says, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_token_with_any_other_byte_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_token_of_any_other_length_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_token_of_another_process_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			subjects_that_differ_in_anything_are_kept_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_crowd_of_subjects_ends_the_oldest_tokens_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_place_in_the_table_is_free_when_its_tokens_have_ended, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
