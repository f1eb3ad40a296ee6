/* SPDX-License-Identifier: Apache-2.0 */
/* Who changed what, when, from where and why, as the commit records say; and whether these are all
 * there. */
#include "base/clock.h"
#include "base/duration.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "cli/backend.h"
#include "cli/cli.h"
#include "publish/chain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* ---- one line for each change ---- */

struct listing {
	const char *namespace, *name; /* NULL: any */
	uint64_t since;               /* the oldest version that is wanted */
	uint64_t left;                /* lines */
	bool as_json;
	struct buf line;
	struct error err; /* of the first change that could not be printed */
};

/* From a change, or from a commit without any. */
struct entry {
	const struct record *record;
	const char *who, *from, *why; /* from, why: NULL: not known */
	const char *op;
	const struct record_change *change; /* NULL: none */
};

static const char *or_dash(const char *text)
{
	return text == NULL ? "-" : text;
}

#define TABLE_HEAD \
	"WHEN                         WHO                       FROM             OP           " \
	"RESOURCE                          VERSION            WHY"

static void print_table(const struct entry *e)
{
	char when[CLOCK_RFC3339_SIZE], tag[RESOURCE_TAG_SIZE] = "-";
	char resource[2 * LIMIT_NAME + 2] = "-";

	clock_rfc3339(e->record->version, when);
	if (e->change != NULL) {
		snprintf(
			resource, sizeof(resource), "%s/%s", e->change->namespace, e->change->name);
		resource_tag(e->change->version, tag);
	}
	printf("%s  %-24s  %-15s  %-11s  %-32s  %-17s  %s\n", when, e->who, or_dash(e->from), e->op,
		resource, tag, or_dash(e->why));
}

static int print_json(struct buf *line, const struct entry *e, struct error *err)
{
	char when[CLOCK_RFC3339_SIZE], commit[RECORD_TAG_SIZE], tag[RESOURCE_TAG_SIZE];

	clock_rfc3339(e->record->version, when);
	record_tag(e->record->version, commit);
	buf_reset(line);
	json_begin_object(line);
	json_member_cstr(line, "when", when);
	json_member_cstr(line, "commit", commit);
	json_member_cstr(line, "who", e->who);
	if (e->from != NULL)
		json_member_cstr(line, "from", e->from);
	if (e->why != NULL)
		json_member_cstr(line, "why", e->why);
	json_member_cstr(line, "op", e->op);
	if (e->change != NULL) {
		resource_tag(e->change->version, tag);
		json_member_cstr(line, "namespace", e->change->namespace);
		json_member_cstr(line, "name", e->change->name);
		json_member_cstr(line, "version", tag);
	}
	json_end_object(line);
	if (buf_check(line, err) != 0)
		return error_wrap(err, "%s", commit);
	puts(line->data);
	return 0;
}

static void print(struct listing *l, const struct entry *e)
{
	if (l->left == 0)
		return;
	l->left--;
	if (!l->as_json)
		print_table(e);
	else if (print_json(&l->line, e, &l->err) != 0)
		l->left = 0;
}

static bool is_wanted(const struct listing *l, const struct record_change *change)
{
	return (l->namespace == NULL || strcmp(change->namespace, l->namespace) == 0) &&
	       (l->name == NULL || strcmp(change->name, l->name) == 0);
}

static void print_change(
	struct listing *l, const struct record *record, const struct record_change *change)
{
	const struct author *author = change->author;
	struct entry e = {
		.record = record,
		.who = record->who,
		.op = record_op_name(change->op),
		.change = change,
	};

	if (!is_wanted(l, change))
		return;
	if (author != NULL) {
		e.who = author->who;
		e.from = author->from;
		e.why = author->why;
	}
	print(l, &e);
}

static bool is_frozen(const struct record *r)
{
	return r->frozen.by != NULL;
}

/* What a commit without changes was for. */
static const char *step_of(const struct record *r, const struct record *parent)
{
	static const char *const ours[] = {"init", "rebuild", "adopt", "namespaces"};

	for (size_t i = 0; i < ARRAY_SIZE(ours) && r->why != NULL && r->from == NULL; i++)
		if (strcmp(r->why, ours[i]) == 0)
			return ours[i];
	if (is_frozen(r) && r->frozen.since == r->version)
		return "freeze";
	if (!is_frozen(r) && parent != NULL && is_frozen(parent))
		return "thaw";
	return "repartition";
}

static bool each(const struct record *record, const struct record *parent, void *arg)
{
	struct listing *l = arg;
	struct entry e = {record, record->who, record->from, record->why};

	if (record->version < l->since)
		return false;
	for (size_t i = record->n_changes; i-- > 0;)
		print_change(l, record, &record->changes[i]);
	if (record->n_changes == 0 && l->namespace == NULL && l->name == NULL) {
		e.op = step_of(record, parent);
		if (e.why != NULL && strcmp(e.why, e.op) == 0)
			e.why = NULL; /* nobody said why */
		print(l, &e);
	}
	return l->left > 0 && !ferror(stdout);
}

/* ---- gsq audit ---- */

enum {
	OPT_REGISTRY,
	OPT_CA,
	OPT_DATA_DIR,
	OPT_NAMESPACE,
	OPT_NAME,
	OPT_SINCE,
	OPT_LIMIT,
	OPT_OUTPUT
};

static const struct cli_option options[] = {
	[OPT_REGISTRY] = BACKEND_OPTION_REGISTRY,
	[OPT_CA] = BACKEND_OPTION_CA,
	[OPT_DATA_DIR] = BACKEND_OPTION_DATA_DIR,
	[OPT_NAMESPACE] = {"namespace", NULL, "NAMESPACE", NULL,
		"only changes of this namespace's resources"},
	[OPT_NAME] = {"name", NULL, "NAME", NULL, "only changes of resources of this name"},
	[OPT_SINCE] = {"since", NULL, "DURATION|TIME", NULL,
		"only what is not older: 24h, 7d, 2026-11-24T17:00:00Z"},
	[OPT_LIMIT] = {"limit", NULL, "N", NULL, "the newest so many"},
	[OPT_OUTPUT] = {"output", NULL, "table|json", "table", "json is an object a line"},
	{NULL},
};

static int read_since(uint64_t *ret, const char *text, struct error *err)
{
	uint64_t now = clock_realtime_us(), ago_s;
	struct error no_duration = ERROR_INIT;

	if (timestamp_parse(slice_of(text), ret))
		return 0;
	if (duration_parse(text, &ago_s, &no_duration) != 0)
		return error_set(err, ERROR_INVALID,
			"--since: %s is neither a duration (24h, 7d) nor a time "
			"(2026-11-24T17:00:00Z)",
			text);
	*ret = ago_s * 1000000 < now ? now - ago_s * 1000000 : 0;
	return 0;
}

static int read_options(struct listing *l, const struct cli_values *v, struct error *err)
{
	const char *since = v->at[OPT_SINCE], *limit = v->at[OPT_LIMIT];

	l->namespace = v->at[OPT_NAMESPACE];
	l->name = v->at[OPT_NAME];
	l->as_json = strcmp(v->at[OPT_OUTPUT], "json") == 0;
	if (!l->as_json && strcmp(v->at[OPT_OUTPUT], "table") != 0)
		return error_set(err, ERROR_INVALID, "--output is table or json");
	if (limit != NULL && (!slice_to_u64(slice_of(limit), &l->left) || l->left == 0))
		return error_set(err, ERROR_INVALID, "--limit must be a number above 0");
	return since == NULL ? 0 : read_since(&l->since, since, err);
}

static int walk(const struct verb *verb, const struct cli_values *v,
	const struct chain_options *what, struct chain_result *ret, struct error *err)
{
	struct backend backend;
	int rc;

	digest_setup();
	if (backend_open_existing(&backend, v->at[OPT_REGISTRY], v->at[OPT_DATA_DIR], v->at[OPT_CA],
		    verb->name, err) != 0)
		return -1;
	rc = chain_walk(backend.registry, what, ret, err);
	backend_close(&backend);
	return rc;
}

static int finish_output(struct error *err)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	return error_set_errno(err, errno, "cannot write the report");
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	struct listing listing = {.left = UINT64_MAX, .line = BUF_INIT(LIMIT_AUDIT_LINE)};
	struct chain_options what = {.each = each, .arg = &listing};
	struct error err = ERROR_INIT;
	struct chain_result ignored;
	int rc;

	if (read_options(&listing, v, &err) != 0)
		return cli_usage(verb, &err);
	if (!listing.as_json)
		puts(TABLE_HEAD);
	rc = walk(verb, v, &what, &ignored, &err);
	if (rc == 0 && listing.err.code != ERROR_NONE) {
		err = listing.err;
		rc = -1;
	}
	buf_done(&listing.line);
	if (finish_output(rc == 0 ? &err : &(struct error)ERROR_INIT) != 0)
		rc = -1;
	return rc == 0 ? EXIT_OK : cli_failed(verb, &err);
}

/* ---- gsq audit verify ---- */

enum { OPT_KEY = OPT_DATA_DIR + 1, OPT_SIGNED_SINCE };

static const struct cli_option verify_options[] = {
	[OPT_REGISTRY] = BACKEND_OPTION_REGISTRY,
	[OPT_CA] = BACKEND_OPTION_CA,
	[OPT_DATA_DIR] = BACKEND_OPTION_DATA_DIR,
	[OPT_KEY] = {"key", NULL, "FILE", NULL,
		"PEM file of public keys, one of which must have signed each record"},
	[OPT_SIGNED_SINCE] = {"signed-since", NULL, "COMMIT", NULL,
		"with --key: records older than this one, c<version>, need no signature"},
	{NULL},
};

static void summarize(const struct chain_result *r)
{
	char head[DIGEST_TEXT_SIZE];

	printf("%zu records, unbroken%s from c%" PRIu64 " to c%" PRIu64 "; head %s\n", r->records,
		r->signed_back_to == r->oldest ? " and signed" : "", r->oldest, r->newest,
		digest_format(&r->head, head));
	if (r->signed_back_to > r->oldest)
		printf("signed back to c%" PRIu64 ", not before\n", r->signed_back_to);
	if (r->above > 0)
		printf("c%" PRIu64
		       " is newer than the head: its commit failed, or the head was moved back\n",
			r->newest_above);
	if (r->above > 1)
		printf("so are %zu older ones\n", r->above - 1);
	if (r->unfinished > 0)
		printf("beside them %zu of commits that failed\n", r->unfinished);
	if (r->forgotten > 0)
		printf("before them %zu that the store had lost sight of when it was rebuilt\n",
			r->forgotten);
}

static int read_signed_since(struct chain_options *what, const char *text, struct error *err)
{
	if (text == NULL)
		return 0;
	if (what->keys == NULL)
		return error_set(err, ERROR_INVALID, "--signed-since needs --key");
	if (!record_tag_parse(slice_of(text), &what->signed_since))
		return error_set(err, ERROR_INVALID,
			"--signed-since is a commit as reports name it, c1764005082123456");
	return 0;
}

static int verify(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(sign_keys_freep) struct sign_keys *keys = NULL;
	struct chain_options what = {.keys = NULL};
	struct error err = ERROR_INIT;
	struct chain_result result;

	if (v->at[OPT_KEY] != NULL && sign_keys_load(&keys, v->at[OPT_KEY], &err) != 0)
		return cli_failed(verb, &err);
	what.keys = keys;
	if (read_signed_since(&what, v->at[OPT_SIGNED_SINCE], &err) != 0)
		return cli_usage(verb, &err);
	if (walk(verb, v, &what, &result, &err) != 0)
		return cli_failed(verb, &err);
	summarize(&result);
	return finish_output(&err) == 0 ? EXIT_OK : cli_failed(verb, &err);
}

static const struct verb verb_verify = {
	.name = "audit verify",
	.summary =
		"Prove that every commit record is there, unchanged and in its place, back to the "
		"first. The status is 1 when not, and the first break is named. Keep the digest of "
		"the head somewhere else: a later report has to lead back to it, for whether a "
		"record that is newer than the head is of a commit that failed or of one that was "
		"taken back cannot be told.",
	.options = verify_options,
	.run = verify,
};

static const struct verb *const verbs[] = {&verb_verify, NULL};

const struct verb verb_audit = {
	.name = "audit",
	.summary = "Tell who changed what, when, from where and why, the newest first. \"gsq audit "
		   "verify\" proves that nothing of it was changed. Both may run beside a server, "
		   "over "
		   "HTTP: --registry http://HOST:5000 reads its embedded registry.",
	.options = options,
	.verbs = verbs,
	.run = run,
};
