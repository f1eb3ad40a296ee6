/* SPDX-License-Identifier: Apache-2.0 */
#include "intent/draft.h"
#include "intent/text.h"

/* Whole keys, or with a slash at the end all keys under a prefix. */
static const struct {
	struct slice key;
	const char *reason;
} reserved[] = {
	{SLICE("app.kubernetes.io/managed-by"), "it says gitops-squared on every resource"},
	{SLICE("gitops-squared.io/"),
		"of this server's own only " INTENT_PROTECT_LABEL " may be given"},
	{SLICE("kustomize.toolkit.fluxcd.io/"), "Flux finds and prunes its objects by it"},
	{SLICE("config.kubernetes.io/"), "kustomize reads it as an instruction"},
};

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* [A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?, at most 63 */
static bool label_word_ok(struct slice s)
{
	if (s.n == 0 || s.n > LIMIT_LABEL_VALUE || !is_alphanumeric(s.p[0]) ||
		!is_alphanumeric(s.p[s.n - 1]))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!is_alphanumeric(s.p[i]) && s.p[i] != '-' && s.p[i] != '_' && s.p[i] != '.')
			return false;
	}
	return true;
}

/* [a-z0-9]([-a-z0-9]*[a-z0-9])? */
static bool domain_word_ok(struct slice s)
{
	if (s.n == 0 || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') &&
			s.p[i] != '-')
			return false;
	}
	return true;
}

/* DNS-1123 subdomain, at most 253 */
static bool prefix_ok(struct slice s)
{
	if (s.n > LIMIT_LABEL_PREFIX)
		return false;
	do {
		if (!domain_word_ok(slice_cut(&s, '.')))
			return false;
	} while (s.p != NULL);
	return true;
}

static bool key_ok(struct slice key)
{
	struct slice name = key, prefix = slice_cut(&name, '/');

	if (name.p == NULL)
		return label_word_ok(key);
	return prefix_ok(prefix) && label_word_ok(name);
}

static const char *reserved_because(struct slice key)
{
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
		struct slice r = reserved[i].key;
		bool matches = r.p[r.n - 1] == '/' ? slice_starts(key, r) : slice_eq(key, r);

		if (matches)
			return reserved[i].reason;
	}
	return NULL;
}

bool intent_name_ok(struct slice s)
{
	return s.n <= LIMIT_NAME && domain_word_ok(s);
}

static int check_protect(struct slice value, struct error *err)
{
	if (slice_eq(value, SLICE("true")) || slice_eq(value, SLICE("false")))
		return 0;
	return intent_refuse_text(FIELD_PROTECT, value, err);
}

int intent_label_check(const struct draft_label *label, struct error *err)
{
	const char *path = intent_field_path(FIELD_LABELS);
	const char *reason = reserved_because(label->key);
	char key[INTENT_EXCERPT_SIZE], value[INTENT_EXCERPT_SIZE];

	if (slice_eq(label->key, SLICE(INTENT_PROTECT_LABEL)))
		return check_protect(label->value, err);
	if (reason != NULL)
		return error_set_field(err, path,
			"the label %s is reserved: %s; choose another key",
			intent_excerpt(label->key, key), reason);
	if (!key_ok(label->key))
		return error_set_field(err, path,
			"the label key \"%s\" must be at most 63 letters, digits, - _ and ., "
			"starting and ending with a letter or digit, after an optional lower-case "
			"domain and /",
			intent_excerpt(label->key, key));
	if (label->value.n > 0 && !label_word_ok(label->value))
		return error_set_field(err, path,
			"the value \"%s\" of the label %s must be empty or at most 63 letters, "
			"digits, - _ and ., starting and ending with a letter or digit",
			intent_excerpt(label->value, value), intent_excerpt(label->key, key));
	return 0;
}
