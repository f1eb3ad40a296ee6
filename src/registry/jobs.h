/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upkeep of the embedded registry: garbage collection, verification, backup, export, import.
 *
 * The same jobs run in a command that has the store to itself, and in a server that a command asks
 * (registry/admin.h): there one at a time, on a thread of their own (registry/upkeep.h).
 */
#ifndef REGISTRY_JOBS_H
#define REGISTRY_JOBS_H

#include "registry/embedded.h"
#include "store/gc.h"

struct job_args {
	bool dry_run;           /* gc */
	uint64_t grace_s;       /* gc; up to LIMIT_DURATION_S */
	bool grace_given;       /* else a server that is asked takes its own */
	const char *path;       /* backup: the file; export, import: the folder; absolute */
	const char *repository; /* export, import; or NULL */
	bool live;              /* a server is running on the store */
};

struct job {
	const char *name; /* "gc", "verify", "backup", "export", "import" */
	bool needs_path;
	/* Appends to *report what it did, in lines of UTF-8 for people. Verification that found
	 * problems is a failure, with a report. Blocks; one at a time on a store. */
	int (*run)(struct embedded *e, const struct job_args *args, struct buf *report,
		struct error *err);
};

/* NULL: there is none of that name. */
const struct job *job_find(struct slice name);

/* What gc removed, or would. */
struct gc_totals {
	struct gc_report store;
	uint64_t uploads, upload_bytes; /* given up */
};
/* The job "gc", for its numbers. */
int job_collect_garbage(struct embedded *e, bool dry_run, uint64_t grace_s, struct gc_totals *ret,
	struct error *err) MUST_CHECK;

#endif
