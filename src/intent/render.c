/* SPDX-License-Identifier: Apache-2.0 */
#include "intent/manifest.h"

#include "base/clock.h"
#include "intent/text.h"

#include <inttypes.h>

#define MANAGED_BY "app.kubernetes.io/managed-by"

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Words that some YAML reader takes for a boolean, a null or a number, in any case. */
static bool is_yaml_word(struct slice s)
{
	static const char *const words[] = {"y", "n", "yes", "no", "on", "off", "true", "false",
		"null", "nan", "inf", "infinity"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (slice_eq_nocase(s, slice_of(words[i])))
			return true;
	}
	return false;
}

/* Is it a string to every reader of YAML 1.1 or 1.2 when written as it is? Numbers of all kinds,
 * dates and .inf start with a digit, a sign or a dot. */
static bool is_plain(struct slice s)
{
	if (s.n == 0 || !is_letter(s.p[0]))
		return false;
	for (size_t i = 1; i < s.n; i++) {
		char c = s.p[i];

		if (!is_letter(c) && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '/' &&
			c != '-')
			return false;
	}
	return !is_yaml_word(s);
}

static void add_string(struct buf *b, const char *cstr)
{
	struct slice s = slice_of(cstr);

	if (is_plain(s)) {
		buf_add(b, s);
		return;
	}
	buf_putc(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_putc(b, '\\');
		buf_putc(b, s.p[i]);
	}
	buf_putc(b, '"');
}

static void add_label(struct buf *b, const char *key, const char *value)
{
	buf_add(b, SLICE("    "));
	add_string(b, key);
	buf_add(b, SLICE(": "));
	add_string(b, value);
	buf_putc(b, '\n');
}

static void add_labels(struct buf *b, const struct intent *intent)
{
	size_t i = 0;

	for (; i < intent->n_labels && strcmp(intent->labels[i].key, MANAGED_BY) < 0; i++)
		add_label(b, intent->labels[i].key, intent->labels[i].value);
	add_label(b, MANAGED_BY, "gitops-squared");
	for (; i < intent->n_labels; i++)
		add_label(b, intent->labels[i].key, intent->labels[i].value);
}

void intent_render(const struct intent *intent, uint64_t version, struct buf *ret)
{
	char pushed_at[CLOCK_RFC3339_SIZE];

	clock_rfc3339(version, pushed_at);
	buf_add(ret, SLICE("apiVersion: gitops-squared.io/v1alpha1\n"
			   "kind: PlatformResource\n"
			   "metadata:\n"
			   "  annotations:\n"
			   "    gitops-squared.io/pushed-at: "));
	add_string(ret, pushed_at);
	buf_printf(ret,
		"\n"
		"    gitops-squared.io/version: v%" PRIu64 "\n"
		"    kustomize.toolkit.fluxcd.io/substitute: disabled\n"
		"  labels:\n",
		version);
	add_labels(ret, intent);
	buf_add(ret, SLICE("  name: "));
	add_string(ret, intent->name);
	buf_add(ret, SLICE("\n  namespace: "));
	add_string(ret, intent->namespace);
	buf_add(ret, SLICE("\nspec:\n"));
	if (intent->region != NULL) {
		buf_add(ret, SLICE("  region: "));
		add_string(ret, intent->region);
		buf_putc(ret, '\n');
	}
	buf_printf(ret, "  replicas: %u\n  size: %s\n  type: %s\n", intent->replicas,
		intent_size_name(intent->size), intent_type_name(intent->type));
}
