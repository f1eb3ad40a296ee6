/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root catalog of a split layout: for each catalog the OCIRepository and the Kustomization that
 * make Flux apply it, so that a cluster is still started with the same two objects (DESIGN section
 * 4, "Layouts").
 *
 * A pure function of the options, of which catalogs there are, and of which namespaces the cluster
 * lacks. A catalog that has become empty stays in it: without its Kustomization nobody would prune
 * what was there.
 *
 * With accounts, each Kustomization works as a service account of its namespace, which may touch
 * the PlatformResources there and nothing else: so whatever somebody puts into that catalog, Flux
 * can apply no more of it. The root itself is applied with Flux's own rights.
 */
#ifndef CATALOG_ROOT_H
#define CATALOG_ROOT_H

#include "base/buf.h"
#include "catalog/gzip.h"
#include "catalog/layout.h"

/* How Flux reaches the registry. Each record of a split layout has it, since every root is rendered
 * as a whole: one with another address would cut Flux off from all catalogs. */
struct root_options {
	char location[LIMIT_LOCATION + 1]; /* "HOST[:PORT]/", then perhaps "PREFIX/"; "": unknown */
	bool insecure;                     /* plain HTTP */
	char secret[LIMIT_SECRET_NAME + 1]; /* Flux's credentials, in flux-system; "": none */
	bool woken;    /* Flux is woken after each commit, so that it need not look every minute */
	bool accounts; /* catalogs are applied by service accounts of their namespaces */
	/* Secrets in flux-system too: with the public keys one of which has to have signed a
	 * catalog, and with the authority of the registry's certificate; "": none. */
	char verify[LIMIT_SECRET_NAME + 1];
	char ca[LIMIT_SECRET_NAME + 1];
};
bool root_options_eq(const struct root_options *a, const struct root_options *b);

/* Location and insecure, of the registry's address as a user writes it, and back. */
int root_url_parse(struct root_options *ret, const char *text, struct error *err) MUST_CHECK;
#define ROOT_URL_SIZE (sizeof("https://") + LIMIT_LOCATION)
void root_url(const struct root_options *options, char ret[ROOT_URL_SIZE]);
/* The name of a Secret, or "", into one of the options. */
int root_secret_parse(
	char ret[LIMIT_SECRET_NAME + 1], const char *text, struct error *err) MUST_CHECK;

/* What an operator asks for: all of it for a new store, of another one what was given. woken is
 * what this server does, and always taken. */
struct root_request {
	struct root_options options;
	bool url_given, secret_given, accounts_given, verify_given, ca_given;
};
/* recorded: what the last record has; its location is "" where there is no record. */
void root_choose(struct root_options *ret, const struct root_request *request,
	const struct root_options *recorded);

/* Whether the cluster is known not to have a namespace (ask NULL: nothing is known). Its account is
 * left out then, since one RoleBinding that cannot be made stops Flux from applying all of the
 * root. Nothing can be applied to such a namespace, and nothing is left in it to prune. */
struct root_lacks {
	bool (*ask)(const char *namespace, void *arg);
	void *arg;
};

/* The catalogs that a root holds: places of a layout, in the order of their repositories, and
 * repositories of an older layout that are yet to be removed (catalog/layout.h), in order too. */
struct root_catalogs {
	const struct layout *layout;
	size_t n;
	const struct place *places;
	size_t n_leftovers;
	const char *const *leftovers;
	bool holds_prune; /* none of them may prune */
	struct root_lacks lacks;
};

/* How many objects of Kubernetes it has at most, all namespaces being there: LIMIT_ROOT_OBJECTS is
 * what Flux can hold. */
size_t root_count_objects(
	const struct root_options *options, size_t n_catalogs, size_t n_namespaces);
/* ERROR_UNPROCESSABLE where that is more. */
int root_check_size(const struct root_options *options, size_t n_catalogs, size_t n_namespaces,
	struct error *err) MUST_CHECK;

/* Appends the layer; its files are in the order of their names, but that those of no namespace are
 * the last. */
int root_layer(const struct root_options *options, const struct root_catalogs *catalogs,
	struct gzip *z, struct buf *ret, struct error *err) MUST_CHECK;

/* The places that a layer names, the caller's to free; only the names of its files count, so that
 * a root of other options or of another version of this program can be read. leftovers: NULL, or
 * the layout of what may be there too, and is left out. ERROR_INTERNAL: it is no root of this
 * layout. */
int root_read(struct place **ret, size_t *ret_n, const struct layout *layout,
	const struct layout *leftovers, struct slice layer, struct error *err) MUST_CHECK;

/* The name of the OCIRepository and of the Kustomization of a catalog, both in flux-system:
 * "gitops-squared-team-a-07". Of gitops-squared/catalog they differ, as deploy/flux has them:
 * ROOT_SOURCE and ROOT_KUSTOMIZATION. */
#define ROOT_SOURCE "gitops-squared-catalog"
#define ROOT_KUSTOMIZATION "gitops-squared-resources"
#define ROOT_OBJECT_SIZE (sizeof("gitops-squared--") + LIMIT_NAME + 10)
void root_object_name(const char *repository, char ret[ROOT_OBJECT_SIZE]);

#endif
