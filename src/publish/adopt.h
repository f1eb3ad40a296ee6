/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a store say what another source has, on an operator's word: the cluster, for a registry
 * that was lost and for one that was restored from a backup older than what Flux has applied since
 * (DESIGN invariant 6); or the original proof of concept (publish/original.h). Intent and version
 * become the source's: of the cluster's, Flux has nothing to change.
 */
#ifndef PUBLISH_ADOPT_H
#define PUBLISH_ADOPT_H

#include "catalog/root.h"
#include "oci/registry.h"
#include "publish/prune_guard.h"
#include "publish/signing.h"

enum adopt_source { ADOPT_CLUSTER, ADOPT_ORIGINAL };

/* What the source has of one resource. */
struct adopt_object {
	struct intent *intent;
	uint64_t version;
	/* The Kustomization that applied it, as Flux's label says; "" where it does not. */
	char kustomization[ROOT_OBJECT_SIZE];
};

/* A resource that the source has deleted, whose tombstone is to be made again as ours are. */
struct adopt_gone {
	char namespace[LIMIT_NAME + 1];
	char name[LIMIT_NAME + 1];
};

enum adopt_op {
	ADOPT_ADD,    /* the record does not have it */
	ADOPT_CHANGE, /* the record has another version */
	ADOPT_KEEP,   /* the record has it, or holds it back from Flux */
	ADOPT_REMOVE, /* only the record has it: a tombstone */
	ADOPT_OPS_,
};

struct adopt_options {
	enum adopt_source source;
	size_t n_gone;
	const struct adopt_gone *gone;
	const struct layout *layout; /* NULL: the record's, or single */
	struct root_request root;    /* for the split layout */
	struct prune_guard guard;    /* what the record has and the cluster has not */
	struct signing signing;      /* verify: what the last record is to be signed by */
	bool dry_run;                /* nothing is written */
	/* NULL, or told of each resource in turn, before anything is written. */
	void (*tell)(enum adopt_op op, const char *namespace, const char *name, uint64_t version,
		void *arg);
	void *arg;
};

struct adopt_result {
	size_t counts[ADOPT_OPS_];
	struct layout layout;
	uint64_t before;  /* version of the record before; 0: there was none that can be read */
	uint64_t highest; /* in the cluster */
	uint64_t version; /* of the new record */
};

/*
 * The objects may come in any order, each name once; they are sorted. Artifacts are pushed with the
 * versions that the objects carry; then a record is committed on top of the one there is.
 * - ERROR_CONFLICT: the store is whole and not older than the cluster; the guard refuses; an object
 *   is not what was stored as its version; a name is there twice
 * - ERROR_INVALID, ERROR_UNPROCESSABLE: another layout is needed; there is nothing to adopt
 * Any error before the record is current leaves everything as it was, but for versions that were
 * pushed already. Blocks.
 */
int adopt_run(struct registry *registry, const struct adopt_options *options,
	struct adopt_object *objects, size_t n, struct adopt_result *ret,
	struct error *err) MUST_CHECK;

#endif
