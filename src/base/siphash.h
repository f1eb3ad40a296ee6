/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4: a hash for tables whose keys others choose. Who does not know the key of the hash
 * cannot find many keys that fall together. */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include "base/str.h"

struct siphash_key {
	uint64_t k[2];
};

uint64_t siphash(const struct siphash_key *key, struct slice bytes);

#endif
