/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "auth/policy.h"
#include "base/file.h"

/* The example of auth/policy.h. */
#define POLICY \
	"rules:\n" \
	"- role: admin                       # viewer, editor, admin or puller\n" \
	"  namespaces: [\"*\"]                 # all of them\n" \
	"  groups: [oidc:platform]\n" \
	"- role: editor\n" \
	"  namespaces: [team-a, team-a-test]\n" \
	"  users: [oidc:alice@example.com, token:ci]\n" \
	"  groups: [\"kubernetes:team-a\"]\n" \
	"- role: viewer\n" \
	"  namespaces: [team-b]\n" \
	"  users: [oidc:alice@example.com]\n" \
	"- role: puller\n" \
	"  namespaces: [\"*\"]\n" \
	"  users: [anonymous]\n" \
	"quotas:\n" \
	"  \"*\": 1000\n" \
	"  team-a: 50\n" \
	"  empty: 0\n" \
	"rates:\n" \
	"  \"*\": 200\n" \
	"  token:portal: 1000\n"

static struct policy *policy_of(const char *yaml)
{
	struct policy *p = NULL;
	struct error err;

	if (policy_parse(&p, slice_of(yaml), &err) != 0)
		fail_msg("%s in\n%s", err.text, yaml);
	return p;
}

/* With at most one group. */
static struct subject *subject_of(enum auth_method method, const char *name, const char *group)
{
	const struct slice groups[] = {slice_of(group == NULL ? "" : group)};
	const struct subject_draft draft = {
		.method = method,
		.name = slice_of(name),
		.n_groups = group == NULL ? 0 : 1,
		.groups = groups,
	};
	struct subject *s = NULL;
	struct error err;

	if (subject_new(&s, &draft, &err) != 0)
		fail_msg("%s", err.text);
	return s;
}

static bool is_allowed(const struct policy *p, enum auth_method method, const char *name,
	const char *group, enum auth_action action, const char *namespace)
{
	CLEANUP(subject_unrefp) struct subject *s = subject_of(method, name, group);

	return policy_allows(p, s, action, namespace);
}

static unsigned rate_of(const struct policy *p, enum auth_method method, const char *name)
{
	CLEANUP(subject_unrefp) struct subject *s = subject_of(method, name, NULL);

	return policy_rate(p, s);
}

static void assert_refused(const char *yaml, const char *text)
{
	struct policy *p = NULL;
	struct error err;

	if (policy_parse(&p, slice_of(yaml), &err) == 0)
		fail_msg("accepted:\n%s", yaml);
	assert_null(p);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_string_equal(err.text, text);
}

/* ---- what it allows ---- */

static void a_rule_gives_its_role_to_whom_and_where_it_says(void **state UNUSED)
{
	static const struct {
		enum auth_method method;
		const char *name, *group;
		enum auth_action action;
		const char *namespace;
		bool allowed;
	} cases[] = {
		{AUTH_OIDC, "alice@example.com", NULL, ACTION_UPDATE, "team-a", true},
		{AUTH_OIDC, "alice@example.com", NULL, ACTION_UPDATE, "team-a-test", true},
		{AUTH_OIDC, "alice@example.com", NULL, ACTION_UPDATE, "team-b", false},
		{AUTH_OIDC, "alice@example.com", NULL, ACTION_GET, "team-b", true},
		{AUTH_OIDC, "alice@example.com", NULL, ACTION_GET, "team-c", false},
		{AUTH_OIDC, "alice@example.com", NULL, ACTION_ADMINISTER, "team-a", false},
		{AUTH_OIDC, "alice", NULL, ACTION_GET, "team-a", false},
		{AUTH_OIDC, "alice@example.com.", NULL, ACTION_GET, "team-a", false},
		{AUTH_KUBERNETES, "alice@example.com", NULL, ACTION_GET, "team-a", false},
		{AUTH_TOKEN, "ci", NULL, ACTION_DELETE, "team-a", true},
		{AUTH_OIDC, "bob", "platform", ACTION_ADMINISTER, "team-z", true},
		{AUTH_KUBERNETES, "bob", "platform", ACTION_GET, "team-a", false},
		{AUTH_KUBERNETES, "bob", "team-a", ACTION_PUSH, "team-a", true},
		{AUTH_KUBERNETES, "team-a", NULL, ACTION_PUSH, "team-a", false},
		{AUTH_OIDC, "platform", NULL, ACTION_GET, "team-a", false},
		{AUTH_ANONYMOUS, "", NULL, ACTION_PULL, "team-z", true},
		{AUTH_ANONYMOUS, "", NULL, ACTION_GET, "team-z", false},
	};
	CLEANUP(policy_unrefp) struct policy *p = policy_of(POLICY);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (is_allowed(p, cases[i].method, cases[i].name, cases[i].group, cases[i].action,
			    cases[i].namespace) != cases[i].allowed)
			fail_msg("%s of group %s: %s in %s is not %s", cases[i].name,
				cases[i].group == NULL ? "none" : cases[i].group,
				action_name(cases[i].action), cases[i].namespace,
				cases[i].allowed ? "allowed" : "refused");
}

static void a_question_of_some_namespace_needs_one_rule(void **state UNUSED)
{
	const struct grant grant = {ROLE_EDITOR, "team-c"};
	const struct subject_draft draft = {
		.method = AUTH_TOKEN, .name = SLICE("other"), .n_grants = 1, .grants = &grant};
	CLEANUP(policy_unrefp) struct policy *p = policy_of(POLICY);
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	struct error err;

	assert_true(is_allowed(p, AUTH_OIDC, "alice@example.com", NULL, ACTION_UPDATE, NULL));
	assert_false(is_allowed(p, AUTH_OIDC, "alice@example.com", NULL, ACTION_ADMINISTER, NULL));
	assert_true(is_allowed(p, AUTH_OIDC, "bob", "platform", ACTION_ADMINISTER, NULL));
	assert_false(is_allowed(p, AUTH_OIDC, "bob", NULL, ACTION_GET, NULL));
	assert_true(is_allowed(p, AUTH_ANONYMOUS, "", NULL, ACTION_PULL, NULL));
	assert_false(is_allowed(p, AUTH_ANONYMOUS, "", NULL, ACTION_UPDATE, NULL));
	assert_int_equal(subject_new(&s, &draft, &err), 0);
	assert_true(policy_allows(p, s, ACTION_UPDATE, NULL));
	assert_false(policy_allows(p, s, ACTION_ADMINISTER, NULL));
}

/* A role in every namespace that there is today is none in those of tomorrow. */
static void a_question_of_all_namespaces_needs_a_rule_for_all(void **state UNUSED)
{
	CLEANUP(policy_unrefp) struct policy *p = policy_of(POLICY);

	assert_true(is_allowed(p, AUTH_OIDC, "bob", "platform", ACTION_LIST, AUTH_EVERYWHERE));
	assert_false(
		is_allowed(p, AUTH_OIDC, "alice@example.com", NULL, ACTION_LIST, AUTH_EVERYWHERE));
	assert_true(is_allowed(p, AUTH_ANONYMOUS, "", NULL, ACTION_PULL, AUTH_EVERYWHERE));
}

static void what_a_subject_brings_along_is_allowed_without_a_rule(void **state UNUSED)
{
	const struct grant grant = {ROLE_VIEWER, "team-c"};
	const struct subject_draft draft = {
		.method = AUTH_TOKEN, .name = SLICE("ci"), .n_grants = 1, .grants = &grant};
	CLEANUP(policy_unrefp) struct policy *p = policy_of(POLICY);
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	struct error err;

	assert_int_equal(subject_new(&s, &draft, &err), 0);
	assert_true(policy_allows(p, s, ACTION_GET, "team-c"));
	assert_false(policy_allows(p, s, ACTION_UPDATE, "team-c"));
	assert_true(policy_allows(p, s, ACTION_UPDATE, "team-a"));
	assert_false(policy_allows(p, s, ACTION_GET, "team-d"));
}

/* Each of these users is in two rules, and the rules are in no order. */
static void among_thousands_of_rules_each_counts(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf yaml = BUF_INIT(LIMIT_CONFIG_FILE);
	CLEANUP(policy_unrefp) struct policy *p = NULL;

	buf_puts(&yaml, "rules:\n");
	for (int i = 0; i < 4000; i++)
		buf_printf(&yaml, "- {role: %s, namespaces: [n-%d, m-%d], users: [oidc:u-%d]}\n",
			i % 2 == 0 ? "viewer" : "editor", i, i, i * 1777 % 2000);
	p = policy_of(yaml.data);
	for (int i = 0; i < 4000; i++) {
		AUTO_FREE char *user = str_printf("u-%d", i * 1777 % 2000);
		AUTO_FREE char *namespace = str_printf("m-%d", i);
		AUTO_FREE char *other = str_printf("m-%d", (i + 1) % 4000);

		assert_true(is_allowed(p, AUTH_OIDC, user, NULL, ACTION_GET, namespace));
		assert_int_equal(
			is_allowed(p, AUTH_OIDC, user, NULL, ACTION_UPDATE, namespace), i % 2);
		assert_false(is_allowed(p, AUTH_OIDC, user, NULL, ACTION_GET, other));
	}
}

static void without_a_file_nothing_is_allowed_and_nothing_limited(void **state UNUSED)
{
	CLEANUP(policy_unrefp) struct policy *p = NULL;
	struct error err;

	assert_int_equal(policy_load(&p, NULL, &err), 0);
	assert_false(is_allowed(p, AUTH_OIDC, "bob", "platform", ACTION_GET, "team-a"));
	assert_true(policy_quota(p, "team-a") == POLICY_UNLIMITED);
	assert_int_equal(rate_of(p, AUTH_OIDC, "bob"), 0);
}

/* ---- what is fair ---- */

static void a_quota_is_the_namespaces_own_or_that_of_all_others(void **state UNUSED)
{
	CLEANUP(policy_unrefp) struct policy *p = policy_of(POLICY);
	CLEANUP(policy_unrefp) struct policy *some = policy_of("quotas: {team-a: 5}");

	assert_int_equal(policy_quota(p, "team-a"), 50);
	assert_int_equal(policy_quota(p, "empty"), 0);
	assert_int_equal(policy_quota(p, "team-b"), 1000);
	assert_int_equal(policy_quota(some, "team-a"), 5);
	assert_true(policy_quota(some, "team-b") == POLICY_UNLIMITED);
}

static void a_rate_is_the_subjects_own_or_that_of_all_others(void **state UNUSED)
{
	CLEANUP(policy_unrefp) struct policy *p = policy_of(POLICY);
	CLEANUP(policy_unrefp) struct policy *some = policy_of("rates: {anonymous: 5}");

	assert_int_equal(rate_of(p, AUTH_TOKEN, "portal"), 1000);
	assert_int_equal(rate_of(p, AUTH_OIDC, "portal"), 200);
	assert_int_equal(rate_of(p, AUTH_ANONYMOUS, ""), 200);
	assert_int_equal(rate_of(some, AUTH_ANONYMOUS, ""), 5);
	assert_int_equal(rate_of(some, AUTH_TOKEN, "portal"), 0);
}

/* ---- what is refused ---- */

static void an_error_has_a_line_and_says_what_may_stand_there(void **state UNUSED)
{
	static const struct {
		const char *yaml, *text;
	} cases[] = {
		{"rules:\n- rolez: admin\n",
			"line 2: unknown key \"rolez\": a rule has role, namespaces, users, "
			"groups"},
		{"rules: []\nquota:\n  a: 1\n",
			"line 2: unknown key \"quota\": a policy has rules, quotas, rates"},
		{"rules: []\nrates: {}\nrules: []\n", "line 3: \"rules\" is given twice"},
		{"rules:\n- role: admin\n  role: viewer\n", "line 3: \"role\" is given twice"},
		{"rules:\n\n- role: owner\n",
			"line 3: \"owner\" is no role: viewer, editor, admin or puller"},
		{"rules:\n- role: [admin]\n",
			"line 2: \"?\" is no role: viewer, editor, admin or puller"},
		{"rules:\n- namespaces: [a]\n  users: [oidc:a]\n",
			"line 2: the rule has no role: viewer, editor, admin or puller"},
		{"rules:\n- role: admin\n  users: [oidc:a]\n",
			"line 2: the rule is for no namespace: name them, or say namespaces: "
			"[\"*\"]"},
		{"rules:\n- role: admin\n  namespaces: []\n  users: [oidc:a]\n",
			"line 2: the rule is for no namespace: name them, or say namespaces: "
			"[\"*\"]"},
		{"rules:\n- {role: admin, namespaces: [a], users: [oidc:a]}\n- role: admin\n  "
		 "namespaces: [a]\n  users: []\n",
			"line 3: the rule is for nobody: name users or groups"},
		{"rules:\n- namespaces: [a,\n  Team]\n",
			"line 3: \"Team\" is no namespace: at most 63 lower-case letters, digits "
			"and "
			"dashes, or \"*\" for all"},
		{"rules:\n- namespaces: [a, \"*\"]\n",
			"line 2: \"*\" is all namespaces: take the others out"},
		{"rules:\n- namespaces: [\"*\", a]\n",
			"line 2: \"*\" is all namespaces: take the others out"},
		{"rules:\n- namespaces: a\n", "line 2: \"namespaces\" must be a list: [a, b]"},
		{"rules:\n- namespaces: [[a]]\n", "line 2: \"namespaces\" must be a list of names"},
		{"rules:\n- users:\n", "line 2: \"users\" must be a list: [a, b]"},
		{"rules:\n- users: [alice]\n",
			"line 2: \"alice\" is no user: token:NAME, oidc:NAME, kubernetes:NAME or "
			"anonymous, at most 384 bytes"},
		{"rules:\n- users: [\"oidc:\"]\n",
			"line 2: \"oidc:\" is no user: token:NAME, oidc:NAME, kubernetes:NAME or "
			"anonymous, at most 384 bytes"},
		{"rules:\n- users: [\"*\"]\n",
			"line 2: \"*\" is no user: token:NAME, oidc:NAME, kubernetes:NAME or "
			"anonymous, at most 384 bytes"},
		{"rules:\n- users: [\"oidc:a\\nb\"]\n",
			"line 2: \"oidc:a?b\" is no user: token:NAME, oidc:NAME, kubernetes:NAME "
			"or anonymous, at most 384 bytes"},
		{"rules:\n- users: [\"oidc:a\\0b\"]\n",
			"line 2: \"users\" must be a list of names"},
		{"rules:\n- groups: [token:ci]\n",
			"line 2: \"token:ci\" is no group: oidc:NAME or kubernetes:NAME, at most "
			"384 bytes"},
		{"rules:\n- admin\n",
			"line 2: a rule is a mapping: it has role, namespaces, users, groups"},
		{"rules: {}\n", "line 1: \"rules\" must be a list, each rule behind a dash"},
		{"rules:\n", "line 1: \"rules\" must be a list, each rule behind a dash"},
		{"quotas:\n  a: 1\n  b: many\n",
			"line 3: \"many\" must be a number of resources, in digits"},
		{"quotas:\n  a: -1\n", "line 2: \"-1\" must be a number of resources, in digits"},
		{"quotas:\n  Team: 1\n",
			"line 2: \"Team\" is no namespace: at most 63 lower-case letters, digits "
			"and "
			"dashes, or \"*\" for all"},
		{"quotas:\n  b: 1\n  a: 1\n  b: 1\n", "line 4: \"b\" is given twice in \"quotas\""},
		{"quotas: [a]\n", "line 1: \"quotas\" must be names, each with a number"},
		{"rates:\n  alice: 1\n",
			"line 2: \"alice\" is no user: token:NAME, oidc:NAME, kubernetes:NAME or "
			"anonymous, at most 384 bytes"},
		{"rates:\n  oidc:alice: 0\n",
			"line 2: \"0\" must be a number of requests a second, from 1 to 1000000"},
		{"rates:\n  oidc:alice: 1000001\n",
			"line 2: \"1000001\" must be a number of requests a second, from 1 to "
			"1000000"},
		{"- a\n", "line 1: a policy has rules, quotas, rates, as keys of a YAML mapping"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_refused(cases[i].yaml, cases[i].text);
}

static void yaml_that_is_more_than_text_lists_and_mappings_is_refused(void **state UNUSED)
{
	static const char no_extras[] =
		"line 2: a policy has no anchors (&), aliases (*) or tags (!): write it out, and "
		"quote what begins with one of them";

	assert_refused("\nrules: &r []\n", no_extras);
	assert_refused("\nrules: [*r]\n", no_extras);
	assert_refused("\n&p {}\n", no_extras);
	assert_refused("\nrules: !!seq []\n", no_extras);
	assert_refused("rules:\n- role: !role admin\n", no_extras);
	assert_refused(
		"rules: []\n---\nrules: []\n", "line 2: a second document begins: a policy is one");
}

/* What an editor that is killed leaves behind. */
static void a_text_that_is_not_whole_is_refused(void **state UNUSED)
{
	assert_refused("", "line 1: there is nothing in it; a policy that gives nobody a role is "
			   "\"rules: []\"");
	assert_refused("\n# all gone\n",
		"line 3: there is nothing in it; a policy that gives nobody a role is \"rules: "
		"[]\"");
	assert_refused("rules:\n- role: admin\n  namespaces: [team-a",
		"line 4: it is not YAML: did not find expected ',' or ']'");
	assert_refused("rules:\n- role: ad", "line 2: \"ad\" is no role: viewer, editor, admin or "
					     "puller");
	assert_refused("rules:\n- role: admin\n\xff\n",
		"line 3: it is not YAML: invalid leading UTF-8 octet");
}

static void the_longest_name_is_as_long_as_that_of_a_subject(void **state UNUSED)
{
	char name[LIMIT_SUBJECT + 1 - (sizeof("oidc:") - 1)];
	AUTO_FREE char *fits = NULL, *too_long = NULL;
	struct policy *none = NULL;
	struct error err;

	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	fits = str_printf("rules: [{role: viewer, namespaces: [a], users: ['oidc:%s']}]", name);
	too_long =
		str_printf("rules: [{role: viewer, namespaces: [a], users: ['oidc:%sx']}]", name);
	{
		CLEANUP(policy_unrefp) struct policy *p = policy_of(fits);

		assert_true(is_allowed(p, AUTH_OIDC, name, NULL, ACTION_GET, "a"));
	}
	assert_int_equal(policy_parse(&none, slice_of(too_long), &err), -1);
}

static void there_is_a_most_of_rules(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf yaml = BUF_INIT(LIMIT_CONFIG_FILE);

	buf_puts(&yaml, "rules:\n");
	for (int i = 0; i <= LIMIT_POLICY_RULES; i++)
		buf_puts(&yaml, "- {role: viewer, namespaces: [a], users: [oidc:a]}\n");
	assert_refused(yaml.data, "line 10002: there are more than 10000 rules");
}

/* ---- the file ---- */

static void an_error_in_a_file_names_the_file(void **state UNUSED)
{
	char path[] = "/tmp/gsq-policy-XXXXXX";
	AUTO_CLOSE int fd = mkstemp(path);
	AUTO_FREE char *text = str_printf("%s:2: unknown key \"rolez\": a rule has role, "
					  "namespaces, users, groups",
		path);
	struct policy *p = NULL;
	struct error err;

	assert_int_equal(file_write_all(fd, "rules:\n- rolez: a\n", 18, &err), 0);
	assert_int_equal(policy_load(&p, path, &err), -1);
	assert_string_equal(err.text, text);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(policy_load(&p, path, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_non_null(strstr(err.text, path));
	assert_null(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_gives_its_role_to_whom_and_where_it_says),
		cmocka_unit_test(a_question_of_some_namespace_needs_one_rule),
		cmocka_unit_test(a_question_of_all_namespaces_needs_a_rule_for_all),
		cmocka_unit_test(what_a_subject_brings_along_is_allowed_without_a_rule),
		cmocka_unit_test(among_thousands_of_rules_each_counts),
		cmocka_unit_test(without_a_file_nothing_is_allowed_and_nothing_limited),
		cmocka_unit_test(a_quota_is_the_namespaces_own_or_that_of_all_others),
		cmocka_unit_test(a_rate_is_the_subjects_own_or_that_of_all_others),
		cmocka_unit_test(an_error_has_a_line_and_says_what_may_stand_there),
		cmocka_unit_test(yaml_that_is_more_than_text_lists_and_mappings_is_refused),
		cmocka_unit_test(a_text_that_is_not_whole_is_refused),
		cmocka_unit_test(the_longest_name_is_as_long_as_that_of_a_subject),
		cmocka_unit_test(there_is_a_most_of_rules),
		cmocka_unit_test(an_error_in_a_file_names_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
