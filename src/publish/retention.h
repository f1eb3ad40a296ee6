/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention: takes away the tags of superseded catalogs and, where it is asked to, of superseded
 * versions of resources (DESIGN section 4, "Retention"). Commit records are all kept.
 *
 * It has a thread and a struct registry of its own, so that the writer never waits for it: on the
 * embedded registry it takes its turn in small transactions, beside which the writer takes its own.
 */
#ifndef PUBLISH_RETENTION_H
#define PUBLISH_RETENTION_H

#include "publish/publisher.h"

#define RETENTION_CATALOGS 10 /* the last so many are kept, whatever their age */

struct retention_options {
	struct registry *registry;   /* borrowed; used by retention's thread only */
	struct publisher *publisher; /* borrowed */
	uint64_t
		catalog_grace_s; /* a superseded catalog is kept so long; from 1 to LIMIT_DURATION_S
				  */
	size_t keep_versions; /* of a resource; 0: whatever their number. Up to LIMIT_KEEP_VERSIONS
			       */
	uint64_t keep_days;   /* superseded versions and tombstones; 0: whatever their age. Up to
			       * LIMIT_KEEP_DAYS. Neither given: all versions are kept */
};

struct retention;

int retention_new(struct retention **ret, const struct retention_options *options,
	struct error *err) MUST_CHECK;

/* Ends after the step at hand; any thread, does not wait. */
void retention_stop(struct retention *r);

/* Waits for that; before the publisher and the registry go. */
void retention_free(struct retention *r);

#endif
