/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/jobs.h"

#include "registry/embedded_private.h"
#include "store/backup.h"
#include "store/layout.h"
#include "store/verify.h"

#include <inttypes.h>

/* ---- garbage collection ---- */

int job_collect_garbage(struct embedded *e, bool dry_run, uint64_t grace_s, struct gc_totals *ret,
	struct error *err)
{
	struct gc_options options = {.dry_run = dry_run, .grace_s = grace_s};
	struct gc_totals t;

	ASSERT(grace_s <= LIMIT_DURATION_S);
	t.uploads = uploads_sweep(e->uploads, grace_s * 1000, dry_run, &t.upload_bytes);
	if (store_gc(e->store, &options, &t.store, err) != 0)
		return -1;
	*ret = t;
	return 0;
}

static int gc(
	struct embedded *e, const struct job_args *args, struct buf *report, struct error *err)
{
	struct gc_totals t;

	if (job_collect_garbage(e, args->dry_run, args->grace_s, &t, err) != 0)
		return -1;
	buf_printf(report, "blobs taken out of repositories: %" PRIu64 "\n", t.store.unlinked);
	buf_printf(report, "blobs removed: %" PRIu64 " (%" PRIu64 " bytes)\n", t.store.blobs,
		t.store.blob_bytes);
	buf_printf(report, "blob files removed: %" PRIu64 " (%" PRIu64 " bytes)\n", t.store.files,
		t.store.file_bytes);
	buf_printf(report, "abandoned uploads removed: %" PRIu64 " (%" PRIu64 " bytes)\n",
		t.uploads, t.upload_bytes);
	if (args->dry_run)
		buf_puts(report, "dry run: nothing was removed\n");
	return 0;
}

/* ---- verification ---- */

static void report_verified(struct buf *report, const struct verify_report *r)
{
	buf_printf(report,
		"verified: %" PRIu64 " manifests, %" PRIu64 " tags, %" PRIu64 " blobs, %" PRIu64
		" bytes\n",
		r->manifests, r->tags, r->blobs, r->bytes);
	if (r->unused_files > 0)
		buf_printf(report, "stray files, which gc removes: %" PRIu64 "\n", r->unused_files);
	if (r->incomplete > 0)
		buf_printf(report, "incomplete manifests, which lack blobs: %" PRIu64 "\n",
			r->incomplete);
	buf_printf(report, "problems: %" PRIu64 "\n", r->problems);
}

static int verify(struct embedded *e, const struct job_args *args UNUSED, struct buf *report,
	struct error *err)
{
	CLEANUP(verify_report_done) struct verify_report r;
	int result;

	verify_report_init(&r);
	result = store_verify_all(e->store, &r, err);
	buf_add(report, buf_slice(&r.text));
	if (result != 0)
		return -1;
	report_verified(report, &r);
	if (r.problems == 0)
		return 0;
	return error_set(err, ERROR_INTERNAL,
		"%" PRIu64 " problems found: restore from a backup what the report names, or push "
		"it again",
		r.problems);
}

/* ---- copies ---- */

static int backup(
	struct embedded *e, const struct job_args *args, struct buf *report, struct error *err)
{
	CLEANUP(backup_report_done) struct backup_report r;

	backup_report_init(&r);
	if (store_backup(e->store, args->path, &r, err) != 0)
		return -1;
	buf_add(report, buf_slice(&r.text));
	buf_printf(report, "backed up: %" PRIu64 " bytes\n", r.bytes);
	if (r.damaged == 0)
		return 0;
	return error_set(err, ERROR_INTERNAL,
		"%s holds everything but the damaged blobs that the report names (%" PRIu64
		"): push them again, or restore an older backup",
		args->path, r.damaged);
}

static void report_layout(struct buf *report, const char *verb, const struct layout_report *r)
{
	buf_printf(report,
		"%s: %" PRIu64 " repositories, %" PRIu64 " manifests, %" PRIu64 " tags, %" PRIu64
		" blobs, %" PRIu64 " bytes\n",
		verb, r->repositories, r->manifests, r->tags, r->blobs, r->bytes);
}

static int export(
	struct embedded *e, const struct job_args *args, struct buf *report, struct error *err)
{
	struct layout_report r;

	if (layout_export(e->store, args->path, args->repository, &r, err) != 0)
		return -1;
	report_layout(report, "exported", &r);
	return 0;
}

static int import(
	struct embedded *e, const struct job_args *args, struct buf *report, struct error *err)
{
	struct layout_import options = {
		.dir = args->path, .repository = args->repository, .live = args->live};
	struct layout_report r;

	if (layout_import(e->store, &options, &r, err) != 0)
		return -1;
	report_layout(report, "imported", &r);
	return 0;
}

/* ---- the table ---- */

static const struct job jobs[] = {
	{"gc", false, gc},
	{"verify", false, verify},
	{"backup", true, backup},
	{"export", true, export},
	{"import", true, import},
};

const struct job *job_find(struct slice name)
{
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		if (slice_eq(name, slice_of(jobs[i].name)))
			return &jobs[i];
	return NULL;
}
