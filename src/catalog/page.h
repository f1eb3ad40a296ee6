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
	unsigned refs;      /* atomic */
	struct slice files; /* gzip member: the tar entries */
	struct slice lines; /* gzip member: the lines in kustomization.yaml, which may be none */
	size_t lines_size;  /* of the lines, not compressed */
	bool is_border;     /* it begins here wherever its first resource is */
	size_t n;           /* at least one */
	struct resource *resources[];
};

/* Takes a reference to each resource. before: the page that held most of them, whose lines are
 * taken over when it lists the same names; or NULL. */
int page_new(struct page **ret, struct resource *const *resources, size_t n,
	const struct page *before, struct gzip *z, struct error *err) MUST_CHECK;
/* The same, with members that are known to be what page_new() would compress; copied. */
int page_adopt(struct page **ret, struct resource *const *resources, size_t n, struct slice files,
	struct slice lines, size_t lines_size, struct error *err) MUST_CHECK;
struct page *page_ref(struct page *p);
void page_unref(struct page *p);
DEFINE_CLEANUP(struct page, page_unref);

/* Does a page start at this resource wherever it appears? One key in twenty-four; a pure function
 * of the key. Beside these, a page ends when it has LIMIT_PAGE resources. */
bool page_is_border(const struct resource *r);

/* Files of a catalog. */
#define CATALOG_FOLDER "manifests/"
#define KUSTOMIZATION_PATH CATALOG_FOLDER "kustomization.yaml"
#define KUSTOMIZATION_HEAD \
	"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:"
/* "manifests/default-web.yaml", "manifests/team-a/web.yaml". */
void page_file_path(const char *namespace, const char *name, char ret[TAR_PATH_MAX + 1]);
/* "held/refused/default-web.yaml", where the accepted version of a held resource is, and with .txt
 * the message: behind the version that is published instead, if any is. */
#define HELD_FOLDER "held/"
void page_held_path(enum hold_reason reason, const char *namespace, const char *name,
	const char *ending, char ret[TAR_PATH_MAX + 1]);
/* Its line in kustomization.yaml. */
void page_add_line(const char *namespace, const char *name, struct buf *ret);

#endif
