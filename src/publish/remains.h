/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to publish. What can still be read of a store that is to be given a new record, and that
 * record: everything anew, on an operator's word. Used by rebuild and adopt.
 */
#ifndef PUBLISH_REMAINS_H
#define PUBLISH_REMAINS_H

#include "publish/prune_guard.h"
#include "publish/revision.h"

/* Names of repositories. */
struct names {
	size_t n, cap;
	char **list;
};

struct remains {
	struct record record; /* the last one; version 0: it cannot be read */
	bool has_parent;
	struct digest parent;    /* its manifest */
	struct state *state;     /* what the record says; NULL: it cannot be read, */
	struct error why;        /* for this reason */
	struct places leftovers; /* with the state (struct head) */
	uint64_t highest;        /* version number found in any tag */
	/* of resources, and of catalogs but the root; sorted, each once */
	struct names resources, catalogs;
};

/* The record and its state. What is lost or damaged is why we are here; a record that cannot be
 * read just now is an error, and with signing->verify one that is not signed, or whose catalogs are
 * not. */
int remains_read(struct remains *ret, struct registry *registry, const struct signing *signing,
	struct error *err) MUST_CHECK;
/* The repositories, and the versions of records. ERROR_NOT_IMPLEMENTED, ERROR_DENIED,
 * ERROR_UNAUTHORIZED or ERROR_NOT_FOUND where the registry does not list. */
int remains_list(struct remains *r, struct registry *registry, struct error *err) MUST_CHECK;
void remains_done(struct remains *r);

/* New versions must be above every number ever used: tags v<number> and c<number>. arg: remains. */
int remains_note_version(struct slice tag, void *arg, struct error *err);

/* Refuses what takes too much away, as far as the old state is known; where it is not, for lack of
 * an answer alone, only what is confirmed goes on. after: sorted (publish/prune_guard.h). */
int remains_guard(const struct remains *r, const struct prune_guard *guard,
	const struct catalog_change *after, size_t n, struct error *err) MUST_CHECK;

/* The layout that was asked for, or NULL, where it does not contradict a record; else the record's.
 * ERROR_INVALID where it is not known. */
int remains_layout(const struct remains *r, const struct layout *given, struct layout *ret,
	struct error *err) MUST_CHECK;

/* Everything that will be current. */
struct whole {
	const struct layout *layout;
	const struct root_request *root;
	const char *why; /* of the record */
	uint64_t version;
	size_t n;
	const struct catalog_change *resources;
	const struct signing *signing; /* of the new revision */
};
/* The revision on top of what remains. Catalogs of the layout that were ever there are in it, so
 * that Flux prunes what is left in them. */
int remains_revision(struct revision *ret, const struct remains *r, const struct whole *whole,
	struct error *err) MUST_CHECK;

#endif
