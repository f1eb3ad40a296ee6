/* SPDX-License-Identifier: Apache-2.0 */
/* The key of a resource, namespace and name: its order, and the hash that decides where it goes. */
#ifndef CATALOG_KEY_H
#define CATALOG_KEY_H

#include "base/base.h"

#include <stdint.h>

/* Namespace, then name, by bytes. */
int key_cmp(
	const char *namespace_a, const char *name_a, const char *namespace_b, const char *name_b);

/* FNV-1a of "namespace/name", 64 bits. Part of the format: it draws the borders of pages
 * (catalog/page.h), and mixed (key_mix()) it places resources in catalogs (catalog/layout.h). */
uint64_t key_hash(const char *namespace, const char *name);

/* Spreads a hash over all bits: FNV's low ones depend on too few bits of the key. */
uint64_t key_mix(uint64_t hash);

#endif
