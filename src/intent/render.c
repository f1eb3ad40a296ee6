/* SPDX-License-Identifier: Apache-2.0 */
#include "intent/manifest.h"

#include "base/clock.h"
#include "base/line_diff.h"
#include "intent/document.h"
#include "intent/schema.h"
#include "intent/text.h"

#include <inttypes.h>
#include <stdio.h>

#define MANAGED_BY "app.kubernetes.io/managed-by"

/* Words that some YAML reader takes for a boolean, a null or a number, in any case. */
static bool is_yaml_word(struct slice s)
{
	static const struct slice words[] = {SLICE("y"), SLICE("n"), SLICE("yes"), SLICE("no"),
		SLICE("on"), SLICE("off"), SLICE("true"), SLICE("false"), SLICE("null"),
		SLICE("nan"), SLICE("inf"), SLICE("infinity")};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (s.n == words[i].n && slice_eq_nocase(s, words[i]))
			return true;
	}
	return false;
}

/* Is it a string to every reader of YAML 1.1 or 1.2 when written as it is? Numbers of all kinds,
 * dates and .inf start with a digit, a sign or a dot. */
static bool is_plain(struct slice s)
{
	enum { NO, INSIDE, ANYWHERE };
	static const unsigned char where[256] = {
		['a' ... 'z'] = ANYWHERE,
		['A' ... 'Z'] = ANYWHERE,
		['0' ... '9'] = INSIDE,
		['.'] = INSIDE,
		['_'] = INSIDE,
		['/'] = INSIDE,
		['-'] = INSIDE,
	};

	if (s.n == 0 || where[(unsigned char)s.p[0]] != ANYWHERE)
		return false;
	for (size_t i = 1; i < s.n; i++) {
		if (where[(unsigned char)s.p[i]] == NO)
			return false;
	}
	return !is_yaml_word(s);
}

static void add_quoted(struct buf *b, struct slice s)
{
	buf_putc(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_putc(b, '\\');
		buf_putc(b, s.p[i]);
	}
	buf_putc(b, '"');
}

static void add_string(struct buf *b, const char *cstr)
{
	struct slice s = slice_of(cstr);

	if (is_plain(s))
		buf_add(b, s);
	else
		add_quoted(b, s);
}

static void add_line(struct buf *b, struct slice key, const char *value)
{
	buf_add(b, key);
	add_string(b, value);
	buf_putc(b, '\n');
}

static void add_label(struct buf *b, const struct intent_label *label)
{
	buf_add(b, SLICE("    "));
	add_string(b, label->key);
	add_line(b, SLICE(": "), label->value);
}

static void add_labels(struct buf *b, const struct intent *intent)
{
	size_t i = 0;

	for (; i < intent->n_labels && strcmp(intent->labels[i].key, MANAGED_BY) < 0; i++)
		add_label(b, &intent->labels[i]);
	buf_add(b, SLICE("    " MANAGED_BY ": gitops-squared\n"));
	for (; i < intent->n_labels; i++)
		add_label(b, &intent->labels[i]);
}

/* The time starts with a digit, so it is quoted. */
static void add_version(struct buf *b, uint64_t version)
{
	char pushed_at[CLOCK_RFC3339_SIZE];

	clock_rfc3339(version, pushed_at);
	buf_add(b, SLICE("    gitops-squared.io/pushed-at: \""));
	buf_puts(b, pushed_at);
	buf_add(b, SLICE("\"\n    gitops-squared.io/version: v"));
	buf_add_u64(b, version);
	buf_putc(b, '\n');
}

static void add_name_and_spec(struct buf *b, const struct intent *intent)
{
	add_line(b, SLICE("  name: "), intent->name);
	add_line(b, SLICE("  namespace: "), intent->namespace);
	buf_add(b, SLICE("spec:\n"));
	if (intent->region != NULL)
		add_line(b, SLICE("  region: "), intent->region);
	buf_add(b, SLICE("  replicas: "));
	buf_add_u64(b, intent->replicas);
	buf_add(b, SLICE("\n  size: "));
	buf_puts(b, intent_size_name(intent->size));
	buf_add(b, SLICE("\n  type: "));
	buf_puts(b, intent_type_name(intent->type));
	buf_putc(b, '\n');
}

void intent_render(const struct intent *intent, uint64_t version, struct buf *ret)
{
	buf_add(ret, SLICE("apiVersion: " INTENT_API_VERSION "\n"
			   "kind: " INTENT_KIND "\n"
			   "metadata:\n"
			   "  annotations:\n"));
	add_version(ret, version);
	buf_add(ret, SLICE("    kustomize.toolkit.fluxcd.io/substitute: disabled\n"
			   "  labels:\n"));
	add_labels(ret, intent);
	add_name_and_spec(ret, intent);
}

/* ---- without what the server adds ---- */

void intent_write_yaml(const struct intent *intent, struct buf *ret)
{
	buf_add(ret, SLICE("apiVersion: " INTENT_API_VERSION "\n"
			   "kind: " INTENT_KIND "\n"
			   "metadata:\n"));
	if (intent->n_labels > 0)
		buf_add(ret, SLICE("  labels:\n"));
	for (size_t i = 0; i < intent->n_labels; i++)
		add_label(ret, &intent->labels[i]);
	add_name_and_spec(ret, intent);
}

/* Its maximum is enough for any intent, so only memory can be missing. */
static void write_or_nothing(const struct intent *intent, struct buf *ret)
{
	if (intent != NULL)
		intent_write_yaml(intent, ret);
}

void intent_diff(const struct intent *old, const struct intent *new, const char *from,
	const char *to, struct buf *ret)
{
	CLEANUP(buf_done) struct buf a = BUF_INIT(LIMIT_INTENT_YAML);
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_INTENT_YAML);

	write_or_nothing(old, &a);
	write_or_nothing(new, &b);
	if (ret->failed == ERROR_NONE)
		ret->failed = a.failed != ERROR_NONE ? a.failed : b.failed;
	line_diff(buf_slice(&a), buf_slice(&b), from, to, ret);
}

const char *intent_diff_name(
	const struct intent *intent, uint64_t version, char ret[INTENT_DIFF_NAME_SIZE])
{
	if (intent == NULL)
		snprintf(ret, INTENT_DIFF_NAME_SIZE, "/dev/null"); /* as of diff -N */
	else if (version == 0)
		snprintf(ret, INTENT_DIFF_NAME_SIZE, "%s/%s", intent->namespace, intent->name);
	else
		snprintf(ret, INTENT_DIFF_NAME_SIZE, "%s/%s@v%" PRIu64, intent->namespace,
			intent->name, version);
	return ret;
}
