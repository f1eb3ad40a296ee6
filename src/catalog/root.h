/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root catalog of a split layout: for each catalog the OCIRepository and the Kustomization that
 * make Flux apply it, so that a cluster is still started with the same two objects (DESIGN section
 * 4, "Layouts").
 *
 * A pure function of the options and of which catalogs there are. A catalog that has become empty
 * stays in it: without its Kustomization nobody would prune what was there.
 */
#ifndef CATALOG_ROOT_H
#define CATALOG_ROOT_H

#include "base/buf.h"
#include "catalog/gzip.h"
#include "catalog/layout.h"

/* How Flux reaches the registry. */
struct root_options {
	char location[LIMIT_LOCATION + 1]; /* "HOST[:PORT]/", then perhaps "PREFIX/" */
	bool insecure;                     /* plain HTTP */
};

/* Appends the layer, for catalogs in the order of their repositories. */
int root_layer(const struct root_options *options, const struct layout *layout,
	const struct place *places, size_t n, struct gzip *z, struct buf *ret,
	struct error *err) MUST_CHECK;

/* The places that a layer names, the caller's to free; only the names of its files count, so that
 * a root of other options or of another version of this program can be read. ERROR_INTERNAL: it is
 * no root of this layout. */
int root_read(struct place **ret, size_t *ret_n, const struct layout *layout, struct slice layer,
	struct error *err) MUST_CHECK;

#endif
