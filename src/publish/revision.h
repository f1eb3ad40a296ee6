/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to publish. A revision: the catalogs that a commit changes and the record that makes them
 * current, as bytes and as pushes. Used by every commit: of a batch, of the first record, of a
 * rebuild.
 */
#ifndef PUBLISH_REVISION_H
#define PUBLISH_REVISION_H

#include "publish/artifact_push.h"
#include "publish/head.h"
#include "publish/signatures.h"

struct revision_catalog {
	char repository[CATALOG_REPOSITORY_SIZE];
	struct artifact artifact;
};

struct revision {
	uint64_t version;
	struct state *state;      /* what will be current, */
	struct root_options root; /* how Flux gets it, */
	struct record_repartition repartition;
	struct record_freeze frozen;
	struct record_key key;
	struct record_keyed keyed; /* before it */
	struct record_ancestry ancestry;
	struct places leftovers; /* and what of the layout before is in the root */
	size_t n_catalogs;
	struct revision_catalog *catalogs;
	struct artifact record;
	bool version_is_behind;        /* not taken from the clock: its tags may be there already */
	const struct signing *signing; /* borrowed; NULL: nothing is signed */
	struct signatures signatures;  /* pushed with it: what is noted here before, and its own */
};

/* What a revision is made of; all borrowed. */
struct revision_draft {
	const struct state *state; /* before */
	size_t n_partitions;       /* what changes in it, from state_change() */
	struct partition **partitions;
	bool with_root;                        /* the root is made again in any case */
	const struct root_options *root;       /* with a root or not: the record has it */
	struct root_lacks lacks;               /* when it is made */
	struct record_repartition repartition; /* likewise; under way, no catalog may prune */
	const struct places *leftovers;        /* of repartition.other, in the root; NULL: none */
	bool empties_leftovers;                /* now: they are pushed without any resource */
	uint64_t version;
	const struct digest *parent; /* NULL: the first of a chain */
	/* Of a revision without changes: who makes it (NULL: the server), and what it is where they
	 * gave no reason. */
	const struct author *author;
	const char *why; /* NULL: none */
	struct record_freeze frozen;
	struct record_key key;
	struct record_keyed keyed;
	size_t n_keyed_before;
	const struct record_keyed_commit *keyed_before; /* where there is a key */
	struct record_ancestry ancestry;
	size_t n_changes; /* each with its author */
	const struct record_change *changes;
	struct gzips *gzips;
	const struct signing *signing; /* NULL: nothing is signed */
};

/* Renders it all, and gives the partitions their digests; nothing is pushed. ERROR_UNAVAILABLE for
 * a version above LIMIT_VERSION. */
int revision_make(
	struct revision *ret, const struct revision_draft *draft, struct error *err) MUST_CHECK;
void revision_done(struct revision *rev);

/* Stores catalogs and record under the tags of this version, and all signatures. Atomic registries
 * move the tags latest with them; elsewhere nothing is current yet. ERROR_CONFLICT: a tag is there
 * already, debris of a commit that failed. Once for each revision. */
int revision_push(struct revision *rev, struct registry *registry, struct error *err) MUST_CHECK;

/* Moves commits:latest: the commit point. ERROR_UNKNOWN_OUTCOME when it may have moved. */
int revision_point(struct revision *rev, struct registry *registry, struct error *err) MUST_CHECK;

/* The push that moves the latest of catalog i. */
struct push revision_catalog_latest(const struct revision *rev, size_t i);

/* All of it, for a revision without changes of resources. */
int revision_commit(struct revision *rev, struct registry *registry, struct error *err) MUST_CHECK;

#endif
