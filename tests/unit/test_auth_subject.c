/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdio.h>

#include "auth/subject.h"

/* ---- roles ---- */

static void each_role_may_what_the_table_says(void **state UNUSED)
{
	static const char *const may[ROLES_] = {
		[ROLE_VIEWER] = "get list watch pull ",
		[ROLE_EDITOR] = "get list watch update delete pull push ",
		[ROLE_ADMIN] = "get list watch update delete administer pull push ",
		[ROLE_PULLER] = "pull ",
	};

	for (unsigned role = 0; role < ROLES_; role++) {
		char got[100] = "";

		for (unsigned action = 0; action < ACTIONS_; action++) {
			if (!role_may((enum auth_role)role, (enum auth_action)action))
				continue;
			strcat(got, action_name((enum auth_action)action));
			strcat(got, " ");
		}
		assert_string_equal(got, may[role]);
	}
}

static void a_role_is_known_by_its_name_alone(void **state UNUSED)
{
	static const char *const wrong[] = {"", "view", "viewers", "Viewer", " viewer", "*"};
	enum auth_role role;

	for (unsigned i = 0; i < ROLES_; i++) {
		assert_true(role_parse(slice_of(role_name((enum auth_role)i)), &role));
		assert_int_equal(role, i);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_false(role_parse(slice_of(wrong[i]), &role));
}

static void kubernetes_is_asked_with_its_own_verbs(void **state UNUSED)
{
	static const char *const verbs[ACTIONS_] = {
		[ACTION_GET] = "get",
		[ACTION_LIST] = "list",
		[ACTION_WATCH] = "watch",
		[ACTION_UPDATE] = "update",
		[ACTION_DELETE] = "delete",
		[ACTION_ADMINISTER] = "*",
		[ACTION_PULL] = "get",
		[ACTION_PUSH] = "*",
	};

	for (unsigned i = 0; i < ACTIONS_; i++)
		assert_string_equal(action_verb((enum auth_action)i), verbs[i]);
}

/* ---- subjects ---- */

static struct subject *make(const struct subject_draft *draft)
{
	struct error err = ERROR_INIT;
	struct subject *s;

	assert_int_equal(subject_new(&s, draft, &err), 0);
	return s;
}

static void assert_refused(const struct subject_draft *draft, const char *said)
{
	struct error err = ERROR_INIT;
	struct subject *s = NULL;

	assert_int_equal(subject_new(&s, draft, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_non_null(strstr(err.text, said));
	assert_null(s);
}

static void a_name_says_how_it_was_proven(void **state UNUSED)
{
	static const struct {
		enum auth_method method;
		const char *name, *group;
	} all[] = {
		{AUTH_ANONYMOUS, "anonymous", "it"},
		{AUTH_TOKEN, "token:it", "token:it"},
		{AUTH_OIDC, "oidc:it", "oidc:it"},
		{AUTH_KUBERNETES, "kubernetes:it", "kubernetes:it"},
	};
	const struct slice group = SLICE("it");

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		CLEANUP(subject_unrefp)
		struct subject *s = make(&(struct subject_draft){
			.method = all[i].method,
			.name = SLICE("it"),
			.n_groups = 1,
			.groups = &group,
			.expires_s = 17,
		});

		assert_int_equal(s->method, all[i].method);
		assert_string_equal(s->name, all[i].name);
		assert_int_equal(s->n_groups, 1);
		assert_string_equal(s->groups[0], all[i].group);
		assert_int_equal(s->expires_s, 17);
	}
}

static void names_are_printable_text_on_one_line(void **state UNUSED)
{
	static const char *const good[] = {
		"alice@example.com", "system:serviceaccount:a:b", "Ren\xc3\xa9 M\xc3\xbcller", "*"};
	static const char *const bad[] = {
		"", "a\nb", "\t", "\x1b[31m", "\xff", "\xc3", "\xe2\x80\xa8", "\x7f"};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		subject_unref(make(
			&(struct subject_draft){.method = AUTH_OIDC, .name = slice_of(good[i])}));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct slice wrong = slice_of(bad[i]);
		const struct slice groups[] = {SLICE("fine"), wrong};

		assert_refused(&(struct subject_draft){.method = AUTH_OIDC, .name = wrong}, "name");
		assert_refused(&(struct subject_draft){.method = AUTH_OIDC,
				       .name = SLICE("fine"),
				       .n_groups = 2,
				       .groups = groups},
			"group");
	}
	assert_refused(&(struct subject_draft){.method = AUTH_OIDC, .name = {"a\0b", 3}}, "name");
}

/* With the prefix. */
static void names_have_a_greatest_length(void **state UNUSED)
{
	char text[LIMIT_SUBJECT + 1];
	struct slice longest = {text, LIMIT_SUBJECT - strlen("oidc:")};
	struct slice longer = {text, longest.n + 1};

	memset(text, 'x', sizeof(text));
	subject_unref(make(&(struct subject_draft){.method = AUTH_OIDC, .name = longest}));
	assert_refused(&(struct subject_draft){.method = AUTH_OIDC, .name = longer}, "379 bytes");
}

static void groups_are_limited(void **state UNUSED)
{
	struct slice groups[LIMIT_GROUPS + 1];

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		groups[i] = SLICE("g");
	subject_unref(make(&(struct subject_draft){.method = AUTH_OIDC,
		.name = SLICE("a"),
		.n_groups = LIMIT_GROUPS,
		.groups = groups}));
	assert_refused(&(struct subject_draft){.method = AUTH_OIDC,
			       .name = SLICE("a"),
			       .n_groups = LIMIT_GROUPS + 1,
			       .groups = groups},
		"201 groups");
}

static void a_subject_lasts_as_long_as_its_last_reference(void **state UNUSED)
{
	char name[] = "ci";
	struct subject *s =
		make(&(struct subject_draft){.method = AUTH_TOKEN, .name = slice_of(name)});
	struct subject *again = subject_ref(s);

	memset(name, 'x', 2);
	assert_ptr_equal(again, s);
	subject_unref(s);
	assert_string_equal(again->name, "token:ci");
	subject_unref(again);
	subject_unref(NULL);
}

/* ---- grants ---- */

static void a_grant_is_for_its_namespace_alone(void **state UNUSED)
{
	static const struct grant grants[] = {
		{ROLE_EDITOR, "team-a"}, {ROLE_PULLER, "team-b"}, {ROLE_VIEWER, "team-b"}};
	CLEANUP(subject_unrefp)
	struct subject *s = make(&(struct subject_draft){
		.method = AUTH_TOKEN, .name = SLICE("ci"), .n_grants = 3, .grants = grants});

	assert_true(subject_may(s, ACTION_UPDATE, "team-a"));
	assert_false(subject_may(s, ACTION_UPDATE, "team-b"));
	assert_true(subject_may(s, ACTION_GET, "team-b"));
	assert_true(subject_may(s, ACTION_PULL, "team-b"));
	assert_false(subject_may(s, ACTION_GET, "team-c"));
	assert_false(subject_may(s, ACTION_GET, "team-"));
	assert_false(subject_may(s, ACTION_GET, "team-aa"));
	assert_false(subject_may(s, ACTION_GET, ""));
	assert_false(subject_may(s, ACTION_GET, AUTH_EVERYWHERE));
	assert_false(subject_may(s, ACTION_ADMINISTER, "team-a"));
}

static void a_grant_everywhere_is_for_each_and_for_all(void **state UNUSED)
{
	static const struct grant everywhere = {ROLE_ADMIN, AUTH_EVERYWHERE};
	CLEANUP(subject_unrefp)
	struct subject *s = make(&(struct subject_draft){
		.method = AUTH_TOKEN, .name = SLICE("root"), .n_grants = 1, .grants = &everywhere});

	assert_true(subject_may(s, ACTION_DELETE, "team-a"));
	assert_true(subject_may(s, ACTION_LIST, AUTH_EVERYWHERE));
	assert_true(subject_may(s, ACTION_ADMINISTER, AUTH_EVERYWHERE));
}

static void without_a_grant_nothing_is_allowed(void **state UNUSED)
{
	CLEANUP(subject_unrefp)
	struct subject *s =
		make(&(struct subject_draft){.method = AUTH_OIDC, .name = SLICE("alice")});

	for (unsigned action = 0; action < ACTIONS_; action++) {
		assert_false(subject_may(s, (enum auth_action)action, "default"));
		assert_false(subject_may(s, (enum auth_action)action, AUTH_EVERYWHERE));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_role_may_what_the_table_says),
		cmocka_unit_test(a_role_is_known_by_its_name_alone),
		cmocka_unit_test(kubernetes_is_asked_with_its_own_verbs),
		cmocka_unit_test(a_name_says_how_it_was_proven),
		cmocka_unit_test(names_are_printable_text_on_one_line),
		cmocka_unit_test(names_have_a_greatest_length),
		cmocka_unit_test(groups_are_limited),
		cmocka_unit_test(a_subject_lasts_as_long_as_its_last_reference),
		cmocka_unit_test(a_grant_is_for_its_namespace_alone),
		cmocka_unit_test(a_grant_everywhere_is_for_each_and_for_all),
		cmocka_unit_test(without_a_grant_nothing_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
