/* SPDX-License-Identifier: Apache-2.0 */
/* What a change finds, or it is not made (struct precondition; RFC 9110 section 13.1). */
#ifndef PUBLISH_PRECONDITION_H
#define PUBLISH_PRECONDITION_H

#include "publish/publisher.h"

/* current: what is there, NULL: nothing. */
bool precondition_holds(const struct precondition *when, const struct resource *current);

/* ERROR_PRECONDITION, and what is there instead: "web was changed since: it is at v2 now (...), and
 * the request is about v1: read it again". Who knows how it was asked for says more behind it. */
int precondition_refuse(const struct precondition *when, const char *name,
	const struct resource *current, struct error *err);

/* The same of the catalog, by the versions of commits. */
int precondition_refuse_revision(uint64_t wanted, uint64_t current, struct error *err);

#endif
