/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. What a change finds, or it is not made: If-Match and If-None-Match (RFC 9110
 * sections 8.8.3, 13.1.1, 13.1.2). The ETag of a resource is its version, "v123": strong, as a
 * version is one intent and its bytes.
 *
 * Readings are not made conditional: what GET answers has the live status beside the version, so an
 * equal ETag does not mean an equal answer.
 */
#ifndef API_PRECONDITIONS_H
#define API_PRECONDITIONS_H

#include "catalog/resource.h"
#include "http/server.h"
#include "publish/publisher.h"

/* The header ETag. */
void preconditions_add_etag(struct http_reply *reply, uint64_t version);

/*
 * What both headers ask of the writer, which looks for one version: so a list comes down to the
 * version of current (what readers see now, NULL: nothing) where that is in it, and else to one
 * that is never found again, as versions only grow. ERROR_INVALID names the header that is no list
 * of ETags.
 */
int preconditions_read(struct precondition *ret, const struct http_head *head,
	const struct resource *current, struct error *err) MUST_CHECK;

/* The catalog's If-Match, whose ETags are those of commits, "c123": the version of the commit that
 * must be the last, in the same way (current: of what readers see now); 0: any. ERROR_PRECONDITION:
 * none of them is of a commit. */
int preconditions_read_catalog(uint64_t *ret, const struct http_head *head, uint64_t current,
	struct error *err) MUST_CHECK;

/* Whether there is any of these headers. */
bool preconditions_given(const struct http_head *head);

/* The answer 412: what is there instead (current, NULL: nothing), and what to send then. */
void preconditions_failed_init(struct http_reply *reply, const struct precondition *when,
	const char *name, const struct resource *current);

#endif
