/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/subject.h"

#include "intent/text.h"

#include <stdio.h>

static const char *const prefixes[] = {
	[AUTH_ANONYMOUS] = "",
	[AUTH_TOKEN] = "token:",
	[AUTH_OIDC] = "oidc:",
	[AUTH_KUBERNETES] = "kubernetes:",
};

static bool is_printable(struct slice s)
{
	uint32_t c;

	while (s.n > 0) {
		if (!utf8_next(&s, &c) || !intent_char_ok(c))
			return false;
	}
	return true;
}

/* what: "name" or "group", for the error. */
static int with_prefix(
	char **ret, enum auth_method method, struct slice s, const char *what, struct error *err)
{
	const char *prefix = prefixes[method];
	size_t prefix_len = strlen(prefix);
	char excerpt[INTENT_EXCERPT_SIZE];
	char *text;

	if (s.n == 0 || s.n > LIMIT_SUBJECT - prefix_len || !is_printable(s))
		return error_set(err, ERROR_INVALID,
			"the %s \"%s\" must be 1 to %zu bytes of printable UTF-8", what,
			intent_excerpt(s, excerpt), LIMIT_SUBJECT - prefix_len);
	text = str_printf("%s%.*s", prefix, SLICE_ARG(s));
	if (text == NULL)
		return error_no_memory(err);
	*ret = text;
	return 0;
}

static int copy_groups(struct subject *s, const struct subject_draft *draft, struct error *err)
{
	if (draft->n_groups > LIMIT_GROUPS)
		return error_set(err, ERROR_INVALID, "%zu groups are more than the %d allowed",
			draft->n_groups, LIMIT_GROUPS);
	if (draft->n_groups == 0)
		return 0;
	s->groups = calloc(draft->n_groups, sizeof(*s->groups));
	if (s->groups == NULL)
		return error_no_memory(err);
	for (; s->n_groups < draft->n_groups; s->n_groups++) {
		if (with_prefix(&s->groups[s->n_groups], draft->method, draft->groups[s->n_groups],
			    "group", err) != 0)
			return -1;
	}
	return 0;
}

static int copy_grants(struct subject *s, const struct subject_draft *draft, struct error *err)
{
	if (draft->n_grants == 0)
		return 0;
	s->grants = calloc(draft->n_grants, sizeof(*s->grants));
	if (s->grants == NULL)
		return error_no_memory(err);
	memcpy(s->grants, draft->grants, draft->n_grants * sizeof(*s->grants));
	s->n_grants = draft->n_grants;
	return 0;
}

int subject_new(struct subject **ret, const struct subject_draft *draft, struct error *err)
{
	struct slice name = draft->method == AUTH_ANONYMOUS ? SLICE("anonymous") : draft->name;
	CLEANUP(subject_unrefp) struct subject *s = calloc(1, sizeof(*s));

	ASSERT((size_t)draft->method < ARRAY_SIZE(prefixes));
	if (s == NULL)
		return error_no_memory(err);
	s->refs = 1;
	s->method = draft->method;
	s->expires_s = draft->expires_s;
	if (draft->token_hash != NULL)
		memcpy(s->token_hash, draft->token_hash, sizeof(s->token_hash));
	if (with_prefix(&s->name, draft->method, name, "name", err) != 0 ||
		copy_groups(s, draft, err) != 0 || copy_grants(s, draft, err) != 0)
		return -1;
	*ret = TAKE_PTR(s);
	return 0;
}

struct subject *subject_ref(struct subject *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void subject_unref(struct subject *s)
{
	if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < s->n_groups; i++)
		free(s->groups[i]);
	free(s->groups);
	free(s->grants);
	free(s->name);
	free(s);
}

static bool same_groups(const struct subject *a, const struct subject *b)
{
	if (a->n_groups != b->n_groups)
		return false;
	for (size_t i = 0; i < a->n_groups; i++)
		if (strcmp(a->groups[i], b->groups[i]) != 0)
			return false;
	return true;
}

static bool same_grants(const struct subject *a, const struct subject *b)
{
	if (a->n_grants != b->n_grants)
		return false;
	for (size_t i = 0; i < a->n_grants; i++)
		if (a->grants[i].role != b->grants[i].role ||
			strcmp(a->grants[i].namespace, b->grants[i].namespace) != 0)
			return false;
	return true;
}

bool subject_eq(const struct subject *a, const struct subject *b)
{
	return a == b || (a->method == b->method && strcmp(a->name, b->name) == 0 &&
				 memcmp(a->token_hash, b->token_hash, sizeof(a->token_hash)) == 0 &&
				 same_groups(a, b) && same_grants(a, b));
}

static bool reaches(const struct grant *g, const char *namespace)
{
	return namespace == NULL || strcmp(g->namespace, AUTH_EVERYWHERE) == 0 ||
	       strcmp(g->namespace, namespace) == 0;
}

bool subject_may(const struct subject *s, enum auth_action action, const char *namespace)
{
	for (size_t i = 0; i < s->n_grants; i++)
		if (role_may(s->grants[i].role, action) && reaches(&s->grants[i], namespace))
			return true;
	return false;
}
