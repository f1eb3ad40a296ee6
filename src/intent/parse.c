/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes the text apart line by line, as intent_render() puts it together. That need not be strict:
 * what the lines say is validated like a POST, rendered again, and must then be the same text.
 */
#include "intent/draft.h"
#include "intent/manifest.h"

struct reader {
	struct slice rest;
	struct intent_draft draft; /* borrows from the text, and from this: */
	char region[LIMIT_REGION];
	uint64_t version;
};

static int not_canonical(struct error *err)
{
	return error_set(
		err, ERROR_INVALID, "not a PlatformResource manifest as this server writes it");
}

/* ---- pieces of a line ---- */

static bool skip(struct reader *r, struct slice expected)
{
	if (!slice_starts(r->rest, expected))
		return false;
	r->rest.p += expected.n;
	r->rest.n -= expected.n;
	return true;
}

static bool read_plain(struct reader *r, char end, struct slice *ret)
{
	*ret = slice_cut(&r->rest, end);
	return r->rest.p != NULL;
}

/* What stands between double quotes, with its escapes. */
static bool read_quoted(struct reader *r, char end, struct slice *ret)
{
	size_t i = 1;

	while (i < r->rest.n && r->rest.p[i] != '"')
		i += r->rest.p[i] == '\\' ? 2 : 1;
	if (i + 1 >= r->rest.n || r->rest.p[i + 1] != end)
		return false;
	*ret = (struct slice){r->rest.p + 1, i - 1};
	r->rest.p += i + 2;
	r->rest.n -= i + 2;
	return true;
}

/* A string and the end after it. */
static bool read_string(struct reader *r, char end, struct slice *ret)
{
	bool quoted = r->rest.n > 0 && r->rest.p[0] == '"';

	return quoted ? read_quoted(r, end, ret) : read_plain(r, end, ret);
}

static bool read_number(struct reader *r, uint64_t max, uint64_t *ret)
{
	struct slice digits;

	return read_plain(r, '\n', &digits) && slice_to_u64(digits, ret) && *ret <= max;
}

/* ---- lines ---- */

static bool read_head(struct reader *r)
{
	struct slice pushed_at; /* what the version says too */

	return skip(r, SLICE("apiVersion: gitops-squared.io/v1alpha1\n"
			     "kind: PlatformResource\n"
			     "metadata:\n"
			     "  annotations:\n"
			     "    gitops-squared.io/pushed-at: ")) &&
	       read_plain(r, '\n', &pushed_at) &&
	       skip(r, SLICE("    gitops-squared.io/version: v")) &&
	       read_number(r, LIMIT_VERSION, &r->version) &&
	       skip(r, SLICE("    kustomize.toolkit.fluxcd.io/substitute: disabled\n"
			     "  labels:\n"));
}

static bool read_labels(struct reader *r)
{
	struct intent_draft *draft = &r->draft;

	while (skip(r, SLICE("    "))) {
		struct draft_label label;

		if (skip(r, SLICE("app.kubernetes.io/managed-by: gitops-squared\n")))
			continue;
		if (draft->n_labels == LIMIT_LABELS || !read_string(r, ':', &label.key) ||
			!skip(r, SLICE(" ")) || !read_string(r, '\n', &label.value))
			return false;
		draft->labels[draft->n_labels++] = label;
	}
	return true;
}

/* No other string can have something to escape, and be valid. */
static bool read_region(struct reader *r)
{
	struct slice text;
	size_t n = 0;

	if (!read_string(r, '\n', &text))
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\\' && i + 1 < text.n)
			i++;
		if (n == LIMIT_REGION)
			return false;
		r->region[n++] = text.p[i];
	}
	r->draft.region = (struct slice){r->region, n};
	return true;
}

static bool read_rest(struct reader *r)
{
	struct intent_draft *draft = &r->draft;
	uint64_t replicas;

	if (!skip(r, SLICE("  name: ")) || !read_string(r, '\n', &draft->name) ||
		!skip(r, SLICE("  namespace: ")) || !read_string(r, '\n', &draft->namespace) ||
		!skip(r, SLICE("spec:\n")))
		return false;
	if (skip(r, SLICE("  region: ")) && !read_region(r))
		return false;
	if (!skip(r, SLICE("  replicas: ")) || !read_number(r, INT64_MAX, &replicas))
		return false;
	draft->replicas = (int64_t)replicas;
	return skip(r, SLICE("  size: ")) && read_plain(r, '\n', &draft->size) &&
	       skip(r, SLICE("  type: ")) && read_plain(r, '\n', &draft->type);
}

/* ---- the whole ---- */

static int check_bytes(
	const struct intent *intent, uint64_t version, struct slice yaml, struct error *err)
{
	CLEANUP(buf_done) struct buf rendered = BUF_INIT(yaml.n);

	if (buf_room(&rendered, yaml.n) == NULL)
		return error_no_memory(err);
	intent_render(intent, version, &rendered);
	if (rendered.failed != ERROR_NONE || !slice_eq(buf_slice(&rendered), yaml))
		return not_canonical(err);
	return 0;
}

int intent_parse(struct intent **ret, uint64_t *ret_version, struct slice yaml, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct reader r = {.rest = yaml, .draft = INTENT_DRAFT_INIT};

	if (yaml.n > LIMIT_INTENT_YAML || !read_head(&r) || !read_labels(&r) || !read_rest(&r))
		return not_canonical(err);
	if (intent_new(&intent, &r.draft, err) != 0 ||
		check_bytes(intent, r.version, yaml, err) != 0)
		return -1;
	*ret = TAKE_PTR(intent);
	*ret_version = r.version;
	return 0;
}
