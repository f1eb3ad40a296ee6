/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog: every current resource, held or not, sorted by namespace and name, and its
 * deterministic tar.gz.
 *
 * Immutable and shared by reference: a change makes a new catalog that shares all untouched pages
 * with the old one. A page is a run of resources *and* one gzip member with their tar entries.
 * Borders between pages depend on the keys alone, never on history: same set, same bytes
 * (DESIGN invariant 4, section 4 "Pages").
 */
#ifndef CATALOG_CATALOG_H
#define CATALOG_CATALOG_H

#include "catalog/gzip.h"
#include "catalog/resource.h"

struct catalog;

/* The empty one. */
int catalog_new(struct catalog **ret, struct error *err) MUST_CHECK;
struct catalog *catalog_ref(struct catalog *c);
void catalog_unref(struct catalog *c);
DEFINE_CLEANUP(struct catalog, catalog_unref);

/* One change: resource replaces or adds; resource == NULL removes. */
struct catalog_change {
	const char *namespace, *name;
	struct resource *resource; /* borrowed; the catalog takes its own reference */
};

/* A new catalog with the changes made; they may come in any order, each key once. */
int catalog_apply(struct catalog **ret, const struct catalog *old,
	const struct catalog_change *changes, size_t n, struct gzip *z,
	struct error *err) MUST_CHECK;

size_t catalog_count(const struct catalog *c);
/* Borrowed from the catalog; NULL where there is none. */
struct resource *catalog_find(const struct catalog *c, const char *namespace, const char *name);
/* The i-th in order, i < catalog_count(). */
struct resource *catalog_at(const struct catalog *c, size_t i);
/* Index of the first that is not before (namespace, name). */
size_t catalog_lower_bound(const struct catalog *c, const char *namespace, const char *name);

/* Appends the layer: tar.gz of manifests/..., each held resource's held/... behind where it would
 * be, then manifests/kustomization.yaml, which lists what is published. */
int catalog_layer(
	const struct catalog *c, struct gzip *z, struct buf *ret, struct error *err) MUST_CHECK;

/* Reads a layer back into a catalog; every file is decoded, must be canonical, in its place and
 * listed, or held; anything else is ERROR_INTERNAL, naming the file. */
int catalog_read(struct catalog **ret, struct slice layer, struct error *err) MUST_CHECK;

/* The artifact that carries a layer: manifest with the commit's tag as its revision. */
#define CATALOG_MEDIA_CONFIG "application/vnd.cncf.flux.config.v1+json"
#define CATALOG_MEDIA_LAYER "application/vnd.cncf.flux.content.v1.tar+gzip"
void catalog_manifest(
	const struct digest *layer, uint64_t layer_size, uint64_t commit_version, struct buf *ret);

#endif
