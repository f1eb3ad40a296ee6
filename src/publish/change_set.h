/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several changes that are made in one commit, or not at all: what somebody applies together, a
 * rollback, a prune. A set is a batch by itself, and its commit record says all of it.
 *
 * Made on any thread, then handed to publisher_apply().
 */
#ifndef PUBLISH_CHANGE_SET_H
#define PUBLISH_CHANGE_SET_H

#include "publish/publisher.h"

struct set_item {
	struct intent *intent; /* a reference: wanted current; NULL: gone */
	char namespace[LIMIT_NAME + 1];
	char name[LIMIT_NAME + 1];
	struct precondition when;
	/* Nobody named it: a prune or a rollback takes it away. Such removals are counted by the
	 * prune guard, and what is not there any more is as it should be. */
	bool pruned;
};

struct change_set {
	size_t n;
	struct set_item *items; /* each resource once */
	struct author *author;  /* a reference; NULL: the server itself */
	uint64_t if_revision;   /* version of the commit that must be the last; 0: any */
	bool dry_run;           /* answers as if, and changes nothing */
	bool confirmed;         /* whatever the prune guard counts, it is meant */
	/* Idempotency-Key, "": none. The set that comes again with a key is answered as the first
	 * time, also after a restart, for LIMIT_IDEMPOTENCY_S; another set with it is
	 * ERROR_UNPROCESSABLE. A key belongs to the author's name. */
	char key[LIMIT_IDEMPOTENCY_KEY + 1];
	struct digest request; /* of all that was asked for, where there is a key */
};

int change_set_new(struct change_set **ret, struct error *err) MUST_CHECK;
void change_set_free(struct change_set *set);
DEFINE_CLEANUP(struct change_set, change_set_free);

/* Takes a reference to the intent. ERROR_TOO_LARGE: more than LIMIT_CHANGES. */
int change_set_put(struct change_set *set, struct intent *intent, struct precondition when,
	struct error *err) MUST_CHECK;
int change_set_delete(struct change_set *set, const char *namespace, const char *name,
	struct precondition when, bool pruned, struct error *err) MUST_CHECK;

/* Two items of one resource: ERROR_INVALID names it, *ret_first and *ret_second are their places.
 * To be called once, when all are there. */
int change_set_check(const struct change_set *set, size_t *ret_first, size_t *ret_second,
	struct error *err) MUST_CHECK;

/* The answer; valid during the call of done(). */
struct set_outcome {
	/* ERROR_NONE: it is durable, or would be. Else nothing was changed; that of one item, where
	 * failed says which. ERROR_CONFLICT of none: the prune guard, and confirming helps;
	 * ERROR_PRECONDITION of none: if_revision. */
	struct error err;
	size_t failed;    /* place of the item at fault; SIZE_MAX: none alone */
	uint64_t version; /* of the commit; 0: nothing was to be changed, or dry run */
	/* It was made before, with that key, by this commit: what it changed, in the order of the
	 * set of then. There are no items: what was unchanged then nobody has written down, and the
	 * set of now does not matter, but that its request is the same. NULL: it was not. */
	const struct record *replayed;
	size_t n;
	const struct outcome *items; /* in the order of the set's; NULL with err. A dry run issues
				      * no versions: what would be made has 0, and no resource */
	const struct change_set *set;
};

#endif
