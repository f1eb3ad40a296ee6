/* SPDX-License-Identifier: Apache-2.0 */
/* Private to registry. The index of a manifest's referrers that clients keep under a tag where a
 * registry has no API for them (distribution-spec, "Referrers Tag Schema"). */
#ifndef REGISTRY_REFERRERS_H
#define REGISTRY_REFERRERS_H

#include "oci/registry.h"

#define REFERRERS_TAG_SIZE (32 + sizeof("-") + 64)

/* "sha256-<hex>" of the subject, at most 64 digits of it. */
void referrers_tag(const struct digest *subject, char ret[REFERRERS_TAG_SIZE]);

/* The index (SLICE_NONE: there is none yet) with what is pushed, whose manifest is parsed, added as
 * the last. *ret_changed: false where it is in there already, and then ret is empty. */
int referrers_add(struct buf *ret, bool *ret_changed, struct slice index, const struct push *push,
	struct error *err) MUST_CHECK;

#endif
