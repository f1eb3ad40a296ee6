/* SPDX-License-Identifier: Apache-2.0 */
/* The key of a resource, namespace and name: its order, and the hash that decides where it goes. */
#ifndef CATALOG_KEY_H
#define CATALOG_KEY_H

#include "base/base.h"

#include <stdint.h>

/* Namespace, then name, by bytes. */
int key_cmp(
	const char *namespace_a, const char *name_a, const char *namespace_b, const char *name_b);

/* 64 bits, all of them good: FNV-1a of "namespace/name", whose bits alone depend on too few of the
 * key's (of ten thousand names that differ in their digits, none drew a border), and MurmurHash3's
 * finalizer. Part of the format: its high half draws the borders of pages (catalog/page.h), its
 * remainder places resources in catalogs (catalog/layout.h). */
uint64_t key_hash(const char *namespace, const char *name);

#endif
