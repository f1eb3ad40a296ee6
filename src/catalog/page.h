/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to catalog. A page: a run of resources, and their part of the layer, compressed once.
 * Immutable, shared by reference between catalogs.
 */
#ifndef CATALOG_PAGE_H
#define CATALOG_PAGE_H

#include "catalog/gzip.h"
#include "catalog/resource.h"
#include "catalog/tar.h"

struct page {
	unsigned refs; /* atomic */
	size_t n;
	struct resource **resources;
	struct slice files; /* gzip member: the tar entries */
	struct slice lines; /* gzip member: the lines in kustomization.yaml */
	size_t lines_size;  /* of the lines, not compressed */
};

/* Takes a reference to each resource. */
int page_new(struct page **ret, struct resource *const *resources, size_t n, struct gzip *z,
	struct error *err) MUST_CHECK;
struct page *page_ref(struct page *p);
void page_unref(struct page *p);

/* Order of resources: namespace, then name, by bytes. */
int page_key_cmp(
	const char *namespace_a, const char *name_a, const char *namespace_b, const char *name_b);

/* Does a page start at this key wherever it appears? One key in sixteen; a pure function of it. */
bool page_is_border(const char *namespace, const char *name);

/* Files of a catalog. */
#define CATALOG_FOLDER "manifests/"
#define KUSTOMIZATION_PATH CATALOG_FOLDER "kustomization.yaml"
#define KUSTOMIZATION_HEAD \
	"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:"
/* "manifests/default-web.yaml", "manifests/team-a/web.yaml". */
void page_file_path(const char *namespace, const char *name, char ret[TAR_PATH_MAX + 1]);
/* Its line in kustomization.yaml. */
void page_add_line(const char *namespace, const char *name, struct buf *ret);

#endif
