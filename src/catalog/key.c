/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/key.h"

#include <string.h>

int key_cmp(
	const char *namespace_a, const char *name_a, const char *namespace_b, const char *name_b)
{
	int cmp = strcmp(namespace_a, namespace_b);

	return cmp != 0 ? cmp : strcmp(name_a, name_b);
}

static uint64_t hash(uint64_t h, const char *s)
{
	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return h;
}

/* MurmurHash3's finalizer. */
static uint64_t mix(uint64_t h)
{
	h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ (h >> 33);
}

uint64_t key_hash(const char *namespace, const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	h = hash(h, namespace);
	h = hash(h, "/");
	return mix(hash(h, name));
}
