/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes over a registry that the original proof of concept of this system wrote, in Go: resource
 * repositories with tags of whole seconds, YAML that says the version "pending", and a catalog
 * whose file names can collide, but no commit record.
 *
 * The repositories are what counts, as they did for the original at its start. Each resource gets a
 * new version of the same intent, and a first record names them all: Flux updates annotations, and
 * deletes nothing. What was there stays, below its old tags.
 */
#ifndef PUBLISH_ORIGINAL_H
#define PUBLISH_ORIGINAL_H

#include "publish/adopt.h"

enum original_fate {
	ORIGINAL_TAKEN,
	ORIGINAL_DELETED, /* a tombstone is its latest */
	ORIGINAL_SKIPPED, /* as the caller says */
	ORIGINAL_REFUSED, /* Kubernetes or kustomize would not take it: it would stop all others */
	ORIGINAL_FATES_,
};

struct original_options {
	const char *const *skip;    /* "namespace/name"; NULL ends; NULL: none */
	struct adopt_options adopt; /* layout, root, signing, dry_run; the rest is unset */
	/* Of each resource, in the order of the registry. why: of one that is refused. */
	void (*tell)(enum original_fate fate, const char *namespace_and_name, const char *why,
		void *arg);
	void *arg;
};

struct original_result {
	size_t counts[ORIGINAL_FATES_];
	uint64_t version; /* of the first record; 0: a dry run */
};

/*
 * Nothing is written where any resource is refused (ERROR_UNPROCESSABLE), which is told of each.
 * - ERROR_CONFLICT: the registry has a commit record, so it is not the original's any more
 * - ERROR_NOT_FOUND: there is no repository of a resource at all
 * - ERROR_INTERNAL: an artifact is damaged, and which
 * Blocks.
 */
int original_import(struct registry *registry, const struct original_options *options,
	struct original_result *ret, struct error *err) MUST_CHECK;

#endif
