/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/head.h"

#include "publish/restore.h"
#include "publish/revision.h"

void head_done(struct head *h)
{
	state_unref(h->state);
	author_unref(h->frozen.by);
	places_done(&h->leftovers);
	*h = (struct head){0};
}

void unrolled_done(struct unrolled *u)
{
	record_done(&u->record);
	signatures_done(&u->to_sign);
	*u = (struct unrolled){0};
}

/* Both may be longer than an error's text. */
#define FROZEN_WHY 300
#define FROZEN_WHO 150

struct error head_why_frozen(const struct record_freeze *f)
{
	struct error err = ERROR_INIT;

	if (f->by == NULL)
		return err;
	error_set(&err, ERROR_UNAVAILABLE, "the store is frozen: %.*s (by %.*s)", FROZEN_WHY,
		f->by->why, FROZEN_WHO, f->by->who);
	err.retry_after_s = HEAD_FROZEN_RETRY_S;
	return err;
}

int head_resolve(struct digest *ret, struct registry *registry, struct error *err)
{
	return registry_resolve(registry, RECORD_REPOSITORY, "latest", ret, err);
}

int head_read_record(
	struct record *ret, struct digest *ret_digest, struct registry *registry, struct error *err)
{
	struct pull pull = {
		.repository = RECORD_REPOSITORY,
		.reference = "latest",
		.manifest = BUF_INIT(LIMIT_MANIFEST),
		.layer = BUF_INIT(LIMIT_RECORD),
	};

	registry_pull(registry, &pull, 1);
	*err = pull.err;
	if (err->code == ERROR_NONE && record_parse(ret, buf_slice(&pull.layer), err) == 0)
		*ret_digest = pull.digest;
	buf_done(&pull.manifest);
	buf_done(&pull.layer);
	return err->code == ERROR_NONE ? 0 : error_wrap(err, RECORD_REPOSITORY ":latest");
}

static int record_was_lost(const char *has, struct error *err)
{
	return error_set(err, ERROR_INTERNAL,
		"the store has %s but no commit record: it was lost; run \"gsq rebuild\" to make "
		"one from the resource repositories",
		has);
}

static int refuse_resources(struct slice repository, void *arg UNUSED, struct error *err)
{
	if (!slice_starts(repository, SLICE(RESOURCE_REPOSITORY_PREFIX)))
		return 0;
	return record_was_lost("resources", err);
}

/* A store without a record is new only if neither a current catalog nor any resource is there. What
 * a first start that was interrupted leaves, tags c<version>, is neither: the next one may finish.
 */
static int explain_missing_record(struct registry *registry, struct error *err)
{
	struct digest ignored;

	if (registry_resolve(registry, CATALOG_REPOSITORY, "latest", &ignored, err) == 0)
		return record_was_lost(CATALOG_REPOSITORY, err);
	if (err->code != ERROR_NOT_FOUND)
		return error_wrap(err, CATALOG_REPOSITORY ":latest");
	if (registry_repositories(registry, refuse_resources, NULL, err) != 0 &&
		err->code != ERROR_NOT_IMPLEMENTED && err->code != ERROR_DENIED &&
		err->code != ERROR_UNAUTHORIZED && err->code != ERROR_NOT_FOUND)
		return -1; /* hosted registries do not list; then the catalog's tag must do */
	return error_set(err, ERROR_NOT_FOUND,
		"the store has no commit record: start once with --init if it is new, "
		"or run \"gsq rebuild\" if it lost its record");
}

/* What the record speaks of. A store that has one is not new, whatever else is not there. */
static int read_rest(struct head *head, struct unrolled *u, struct registry *registry,
	const struct signing *signing, struct error *err)
{
	const struct record *record = &u->record;

	if (signing_check_record(&u->to_sign, signing, &head->record, registry, err) == 0 &&
		restore_state(&head->state, &head->leftovers, record, registry, err) == 0 &&
		signing_check_catalogs(&u->to_sign, signing, record, head->state, &head->leftovers,
			registry, err) == 0)
		return 0;
	if (err->code == ERROR_NOT_FOUND)
		err->code = ERROR_INTERNAL;
	return -1;
}

int head_read(struct head *ret, struct unrolled *ret_unrolled, struct registry *registry,
	const struct signing *signing, struct error *err)
{
	CLEANUP(unrolled_done) struct unrolled u = {.record = {0}};
	CLEANUP(head_done) struct head head = {0};

	if (head_read_record(&u.record, &head.record, registry, err) != 0) {
		if (err->code == ERROR_NOT_FOUND)
			return explain_missing_record(registry, err);
		return -1;
	}
	if (read_rest(&head, &u, registry, signing, err) != 0)
		return -1;
	head.version = u.record.version;
	head.root = u.record.root;
	head.repartition = u.record.repartition;
	head.frozen = record_freeze_copy(&u.record.frozen);
	head.ancestry = u.record.ancestry;
	head.keyed = u.record.keyed;
	if (u.record.key.is_set)
		head.keyed = (struct record_keyed){true, head.record};
	*ret = head;
	head = (struct head){0};
	*ret_unrolled = u;
	u = (struct unrolled){.record = {0}};
	return 0;
}

int head_roll_forward(const struct head *h, struct unrolled *u, struct registry *registry,
	const struct signing *signing, struct error *err)
{
	if (restore_latest(h->state, &u->record, registry, err) != 0)
		return -1;
	return signing_sign(&u->to_sign, signing, registry, err);
}

/* A new store of the single layout has its catalog from the start, one of the split layout only the
 * root. */
static int first_revision(struct revision *ret, const struct layout *layout,
	const struct root_options *root, const struct signing *signing, uint64_t now_us,
	struct error *err)
{
	CLEANUP(gzips_done) struct gzips gzips = {0};
	CLEANUP(state_unrefp) struct state *state = NULL;
	CLEANUP(partition_unrefp) struct partition *only = NULL;
	struct place place = {.number = 0};
	struct revision_draft draft = {
		.partitions = &only,
		.with_root = true,
		.root = root,
		.version = now_us,
		.why = "init",
		.ancestry = {.is_known = true},
		.gzips = &gzips,
		.signing = signing,
	};

	if (state_new(&state, layout, err) != 0)
		return -1;
	draft.state = state;
	if (layout->kind == LAYOUT_SINGLE) {
		if (partition_new_empty(&only, layout, &place, err) != 0)
			return -1;
		draft.n_partitions = 1;
	}
	return revision_make(ret, &draft, err);
}

/* Whatever has led here: nothing is put in place of a record. */
static int check_new(struct registry *registry, struct error *err)
{
	struct digest ignored;

	if (head_resolve(&ignored, registry, err) == 0)
		return error_set(err, ERROR_CONFLICT,
			"the store is not new: it has " RECORD_REPOSITORY ":latest");
	return err->code == ERROR_NOT_FOUND ? 0 : error_wrap(err, RECORD_REPOSITORY ":latest");
}

int head_init(struct registry *registry, const struct layout *layout,
	const struct root_options *root, const struct signing *signing, uint64_t now_us,
	struct error *err)
{
	struct revision rev;
	int rc;

	if (check_new(registry, err) != 0 ||
		first_revision(&rev, layout, root, signing, now_us, err) != 0)
		return -1;
	rc = revision_commit(&rev, registry, err);
	revision_done(&rev);
	return rc;
}
