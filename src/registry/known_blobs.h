/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to registry. Which blobs this process has stored in which repositories, so that they are
 * not sent again.
 *
 * Bounded: a newer entry may push out an older one, which costs a request. Entries are hashes: a
 * collision, or a blob that somebody deleted, shows when the registry refuses the manifest, upon
 * which the caller forgets the repository and sends everything.
 */
#ifndef REGISTRY_KNOWN_BLOBS_H
#define REGISTRY_KNOWN_BLOBS_H

#include "oci/digest.h"

struct known_blobs;

int known_blobs_new(struct known_blobs **ret, struct error *err) MUST_CHECK;
void known_blobs_free(struct known_blobs *known);

void known_blobs_add(struct known_blobs *known, const char *repository, const struct digest *blob);
bool known_blobs_has(
	const struct known_blobs *known, const char *repository, const struct digest *blob);
void known_blobs_forget(struct known_blobs *known, const char *repository);

#endif
