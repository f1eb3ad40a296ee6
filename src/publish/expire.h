/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expiry: which tags of a repository have been superseded for long enough, and taking them away
 * (DESIGN section 4, "Retention").
 *
 * A version is the microsecond it was made in, so the tags alone say when each was superseded: when
 * the next one was made. Whoever calls this sees to it that the clock can be trusted: that nothing
 * was made less than the age asked for ago that bears an older number (publish/retention.c).
 */
#ifndef PUBLISH_EXPIRE_H
#define PUBLISH_EXPIRE_H

#include "catalog/resource.h"
#include "oci/registry.h"

struct expiry_rule {
	size_t keep;     /* so many of the newest stay, and never less than one */
	uint64_t age_us; /* and those that were superseded less than so long ago */
};

/*
 * Sorts the versions, drops what is in the list twice, and returns how many of the first, which are
 * the oldest, may go. Of a part of a repository's versions never more of them than of all: so it
 * does no harm to have read only some.
 */
size_t expiry_count(uint64_t *versions, size_t *n, const struct expiry_rule *rule, uint64_t now_us);

/* When the next of those that are left will be due, if nothing is added; UINT64_MAX: never. */
uint64_t expiry_due_us(const uint64_t *versions, size_t n, const struct expiry_rule *rule);

/* The version that stays, with all that is newer: the current one, or an earlier one that Flux gets
 * while that is held. 0: current is NULL, so there is none. */
uint64_t expiry_first_needed(const struct resource *current);

struct expirer {
	struct registry *registry;    /* used from this thread only */
	bool (*go_on)(void *arg);     /* asked before each step: false ends it */
	void *arg;                    /* of go_on() */
	struct expiry_rule catalogs;  /* of a catalog's tags c<version> */
	struct expiry_rule resources; /* of a resource's tags v<version> */
	bool tombstones; /* what was deleted longer ago than resources.age_us goes altogether, where
			  * that is safe */
	uint64_t now_us;
	uint64_t n_tags; /* out: adds what was taken away, signatures too */
};

/* current: the digest of what is in the catalog now. *ret_due_us: when there may be more to do;
 * UINT64_MAX: not before there is a new tag. */
int expire_catalog(struct expirer *e, const char *repository, const struct digest *current,
	uint64_t *ret_due_us, struct error *err) MUST_CHECK;

/*
 * current: the version that is current, or one that was before; 0 for a resource that is deleted.
 * It stays, and all that is newer.
 *
 * needed: a version that stays whatever it is: a tombstone that a restart wants to find.
 */
int expire_resource(struct expirer *e, const char *namespace, const char *name, uint64_t current,
	uint64_t needed, struct error *err) MUST_CHECK;

#endif
