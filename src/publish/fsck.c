/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server that runs writes while we read. So a difference counts only when it is found in the same
 * words twice, with a pause between, each time against the record that was the last one then.
 */
#include "publish/fsck.h"

#include "publish/fsck_check.h"
#include "publish/head.h"
#include "publish/revision.h"

#include <stdio.h>

struct fsck {
	struct check check;
	const struct fsck_options *options;
	struct fsck_result result;
};

/* ---- sets of findings: sorted by text, so by repository too ---- */

static int compare_findings(const void *a, const void *b)
{
	return strcmp(((const struct finding *)a)->text, ((const struct finding *)b)->text);
}

static void sort(struct findings *f)
{
	if (f->n > 1)
		qsort(f->list, f->n, sizeof(f->list[0]), compare_findings);
}

static bool contains(const struct findings *sorted, const struct finding *one)
{
	return sorted->n > 0 &&
	       bsearch(one, sorted->list, sorted->n, sizeof(*one), compare_findings) != NULL;
}

/* Drops those that were not there before; returns how many. */
static size_t keep_standing(struct findings *f, const struct findings *before)
{
	size_t n = f->n;

	f->n = 0;
	for (size_t i = 0; i < n; i++) {
		if (contains(before, &f->list[i]))
			f->list[f->n++] = f->list[i];
		else
			free(f->list[i].text);
	}
	return n - f->n;
}

static size_t count_standing(const struct findings *f, const struct findings *before)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		n += contains(before, &f->list[i]);
	return n;
}

/* ---- looking ---- */

static int look(struct fsck *f, struct error *err)
{
	struct check *c = &f->check;

	if (check_head(c, err) != 0 || check_resources(c, err) != 0)
		return -1;
	f->result.version = c->record.version;
	f->result.resources = c->state == NULL ? 0 : state_count(c->state);
	f->result.catalogs = c->state == NULL ? 0 : state_n_partitions(c->state);
	f->result.unfinished = c->unfinished;
	sort(&c->found);
	return 0;
}

/* At the head and what was found; *ret_before is the caller's. */
static int look_again(struct fsck *f, struct findings *ret_before, struct error *err)
{
	struct check *c = &f->check;

	*ret_before = c->found;
	c->found = (struct findings){0};
	if (check_head(c, err) != 0 || check_resources_again(c, ret_before, err) != 0)
		return -1;
	sort(&c->found);
	return 0;
}

/* Until all that is left is what stood still. Nobody else writes to an atomic registry: its folder
 * is ours. */
static int confirm(struct fsck *f, struct error *err)
{
	struct findings *found = &f->check.found;
	bool settled = f->check.registry->atomic;
	size_t n_moving = 0;

	for (unsigned round = 0; !settled && found->n > 0; round++) {
		CLEANUP(findings_done) struct findings before = {0};

		f->options->settle(f->options->arg);
		if (look_again(f, &before, err) != 0)
			return -1;
		settled = count_standing(found, &before) == found->n;
		if (!settled && round + 1 == LIMIT_FSCK_ROUNDS) {
			n_moving = keep_standing(found, &before);
			settled = true;
		}
	}
	if (n_moving == 0)
		return 0;
	return findings_add(&f->check.notes, "", NULL, err,
		"not counted: %zu tags moved each time they were looked at", n_moving);
}

/* ---- repair ---- */

/* Reads what the tag belongs to: a tag is no use without it. */
static int prepare(struct push *push, struct buf *manifest, const struct finding *one,
	struct registry *registry, struct error *err)
{
	char reference[DIGEST_TEXT_SIZE];
	struct digest same;

	if (registry_manifest(registry, one->repository, digest_format(&one->expected, reference),
		    manifest, &same, err) != 0)
		return error_wrap(err, "%s@%s", one->repository, reference);
	*push = (struct push){
		.repository = one->repository,
		.tag = "latest",
		.media_type = OCI_MEDIA_MANIFEST,
		.manifest = buf_slice(manifest),
		.digest = one->expected,
	};
	return 0;
}

/* A server may have written since we looked. */
static int check_record(const struct check *c, struct error *err)
{
	struct digest now;

	if (head_resolve(&now, c->registry, err) != 0)
		return error_wrap(err, RECORD_REPOSITORY ":latest");
	if (digest_eq(&now, &c->record_digest))
		return 0;
	return error_set(err, ERROR_UNAVAILABLE,
		"a server has written since the differences were found: try again");
}

static int push_all(const struct check *c, struct push *pushes, size_t n, struct error *err)
{
	if (n == 0)
		return 0;
	if (registry_begin(c->registry, err) != 0)
		return -1;
	if (check_record(c, err) == 0) {
		registry_push(c->registry, pushes, n);
		if (push_failure(pushes, n, err) == 0)
			return registry_commit(c->registry, err);
	}
	registry_rollback(c->registry);
	return -1;
}

static int note_failure(struct fsck *f, const struct error *failure, struct error *err)
{
	return findings_add(&f->check.notes, "", NULL, err, "not repaired: %s%s", failure->text,
		failure->code == ERROR_DENIED
			? "; where it is the registry of a gsq server, stop that and repair its "
			  "folder: gsq fsck --repair --data-dir FOLDER"
			: "");
}

/* At most LIMIT_PULLS of them. What fails is a note. */
static int repair_some(
	struct fsck *f, const struct finding *const *some, size_t n, struct error *err)
{
	AUTO_FREE struct push *pushes = calloc(n, sizeof(*pushes));
	AUTO_FREE struct buf *manifests = calloc(n, sizeof(*manifests));
	struct error failure = ERROR_INIT;
	size_t n_pushes = 0;
	int rc = 0;

	if (pushes == NULL || manifests == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		buf_init(&manifests[i], LIMIT_MANIFEST);
		if (rc == 0 && prepare(&pushes[n_pushes], &manifests[i], some[i], f->check.registry,
				       &failure) != 0)
			rc = note_failure(f, &failure, err);
		else
			n_pushes += rc == 0;
	}
	if (rc == 0 && push_all(&f->check, pushes, n_pushes, &failure) != 0)
		rc = note_failure(f, &failure, err);
	for (size_t i = 0; i < n; i++)
		buf_done(&manifests[i]);
	return rc;
}

static int repair(struct fsck *f, struct error *err)
{
	const struct findings *found = &f->check.found;
	const struct finding *some[LIMIT_PULLS];
	size_t n = 0;

	for (size_t i = 0; i < found->n; i++) {
		if (found->list[i].derived)
			some[n++] = &found->list[i];
		if (n == 0 || (n < LIMIT_PULLS && i + 1 < found->n))
			continue;
		if (repair_some(f, some, n, err) != 0)
			return -1;
		n = 0;
	}
	return 0;
}

/* ---- reporting ---- */

static void say(const struct fsck *f, const char *text, const char *more)
{
	char line[LIMIT_FINDING + 16];

	snprintf(line, sizeof(line), "%s%s", text, more);
	f->options->say(line, f->options->arg);
}

/* What was there before the repair, and what is there still or has come since. */
static void report(struct fsck *f, const struct findings *before)
{
	const struct findings *left = &f->check.found;

	for (size_t i = 0; i < before->n; i++) {
		if (!before->list[i].derived || contains(left, &before->list[i]))
			continue;
		say(f, before->list[i].text, ": repaired");
		f->result.differences++;
		f->result.repaired++;
	}
	for (size_t i = 0; i < left->n; i++)
		say(f, left->list[i].text, "");
	f->result.differences += left->n;
	for (size_t i = 0; i < f->check.notes.n; i++)
		say(f, f->check.notes.list[i].text, "");
}

static int run(struct fsck *f, struct error *err)
{
	CLEANUP(findings_done) struct findings before = {0};

	if (look(f, err) != 0 || confirm(f, err) != 0)
		return -1;
	if (f->options->repair && f->check.found.n > 0 &&
		(repair(f, err) != 0 || look_again(f, &before, err) != 0 || confirm(f, err) != 0))
		return -1;
	report(f, &before);
	return 0;
}

int fsck_run(struct registry *registry, const struct fsck_options *options, struct fsck_result *ret,
	struct error *err)
{
	struct fsck f = {.check = {.registry = registry}, .options = options};
	int rc = run(&f, err);

	check_done(&f.check);
	if (rc == 0)
		*ret = f.result;
	return rc;
}
