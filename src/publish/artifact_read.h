/* SPDX-License-Identifier: Apache-2.0 */
/* Private to publish. The artifact of a resource or of its deletion, as it came from a registry. */
#ifndef PUBLISH_ARTIFACT_READ_H
#define PUBLISH_ARTIFACT_READ_H

#include "catalog/resource.h"
#include "oci/registry.h"

/* The pull has come. NULL for a tombstone; *ret_version is set in any case. ERROR_INTERNAL: it is
 * altered, or none of a resource of that name. */
int artifact_read(struct resource **ret, uint64_t *ret_version, const struct pull *pull,
	const char *namespace, const char *name, struct error *err) MUST_CHECK;

#endif
