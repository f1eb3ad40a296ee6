/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares what the last commit record says with what the registry holds: catalogs, the artifact of
 * every resource, the tags, and what is left of deleted resources. It may run beside a server.
 */
#ifndef PUBLISH_FSCK_H
#define PUBLISH_FSCK_H

#include "oci/registry.h"

struct fsck_options {
	bool repair; /* move derived tags to where they belong; nothing else is ever written */
	/* One line, without its end: a difference, or a note on what could not be checked. */
	void (*say)(const char *line, void *arg);
	/* Waits, so that a server ends what it is at, before a difference is looked at again. */
	void (*settle)(void *arg);
	void *arg;
};

struct fsck_result {
	uint64_t version;   /* the record's; 0: it cannot be read */
	size_t resources;   /* current ones, each checked */
	size_t catalogs;    /* the root is not among them */
	size_t unfinished;  /* repositories of resources without a latest: of writes that failed */
	size_t differences; /* the repaired ones among them */
	size_t repaired;
};

/* Damage is no error but a difference: -1 only where the registry cannot be read just now, does not
 * let us, or was written by a newer program. Blocks. */
int fsck_run(struct registry *registry, const struct fsck_options *options, struct fsck_result *ret,
	struct error *err) MUST_CHECK;

#endif
