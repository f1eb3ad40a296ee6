/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to cluster. Flux's two objects of each catalog, as the cluster shows them:
 * https://fluxcd.io/flux/components/source/ocirepositories/ and .../kustomize/kustomizations/
 *
 * On kube's thread only.
 */
#ifndef CLUSTER_FLUX_H
#define CLUSTER_FLUX_H

#include "catalog/root.h"
#include "oci/digest.h"

#include <jansson.h>

#define FLUX_NAMESPACE "flux-system"
#define FLUX_SOURCES \
	"/apis/source.toolkit.fluxcd.io/v1/namespaces/" FLUX_NAMESPACE "/ocirepositories"
#define FLUX_KUSTOMIZATIONS \
	"/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/" FLUX_NAMESPACE "/kustomizations"
#define FLUX_REQUESTED "reconcile.fluxcd.io/requestedAt"

#define FLUX_SUSPENDED "Suspended" /* our reason for spec.suspend, which has no condition */

/* The condition Ready is False: why. */
struct flux_failure {
	bool is_failing;
	char reason[64];
	char message[LIMIT_FLUX_MESSAGE + 1];
};

struct flux_source {
	bool is_there, is_listed;
	char handled[32];       /* status.lastHandledReconcileAt, cut */
	struct digest artifact; /* that it has fetched; DIGEST_NONE: nothing yet */
	struct flux_failure failure;
};

struct flux_kustomization {
	bool is_there, is_listed;
	bool prunes;      /* spec.prune */
	bool orphans;     /* spec.deletionPolicy is Orphan */
	bool is_observed; /* the controller works by this spec: the last generation succeeded */
	bool is_ready;
	json_int_t generation; /* of the spec; grows with each change of it */
	char handled[32];      /* as of the source */
	struct digest
		attempted; /* with failure: the attempt that failed, until the next one ends */
	struct digest applied;
	uint64_t applied_version; /* of the commit that made the applied catalog; 0: unknown */
	size_t n_inventory;       /* objects that it holds */
	struct flux_failure failure;
};

/* A wake on its way (waker.h). */
struct flux_wake {
	bool outstanding; /* sent, and not handled */
	bool wanted;      /* again, once that is handled */
	char token[32];
	uint64_t sent_ms;
};

/* One catalog. */
struct flux_catalog {
	char object[ROOT_OBJECT_SIZE];            /* name of the OCIRepository; the key */
	char repository[CATALOG_REPOSITORY_SIZE]; /* "": not known yet */
	struct flux_source source;
	struct flux_kustomization kustomization;
	struct flux_wake wake;  /* of the OCIRepository */
	struct flux_wake retry; /* of the Kustomization */
	uint64_t hold_ms;       /* the next is not tried before; clock_monotonic_ms() */
	bool holding;           /* a hold of one of its resources is on its way (quarantine.h) */
};

struct flux {
	bool sees_sources, sees_kustomizations; /* the first list is complete */
	size_t n, cap;
	struct flux_catalog **catalogs; /* in the order of their objects' names */
};

void flux_done(struct flux *f);

/* Adds it where it is not known; NULL without memory. Stays where it is until flux_done(). */
struct flux_catalog *flux_catalog(struct flux *f, const char *repository) MUST_CHECK;

#define FLUX_OBJECT "PlatformResource/"
/* The object that a message of Flux is about, which it begins with:
 * "PlatformResource/<namespace>/<name> dry-run failed ...". Nothing further on is looked at, for
 * there users are quoted. rest: what follows the name. False: it is about none of ours. */
bool flux_message_object(const char *message, char namespace[LIMIT_NAME + 1],
	char name[LIMIT_NAME + 1], const char **rest);

/* How much of such a message is about that object: up to where it names another one of ours. */
size_t flux_message_own(const char *message);

/* Takes over what an object says, and returns its catalog; NULL: none of ours, or no memory. Others
 * may have objects in that namespace too, whose names may begin as ours do. The name of a long
 * namespace's catalog does not tell the repository; then the OCIRepository's URL does. */
struct flux_catalog *flux_see_source(struct flux *f, const json_t *object, bool deleted);
struct flux_catalog *flux_see_kustomization(struct flux *f, const json_t *object, bool deleted);

/* What the list that begins does not name is gone when it ends. */
void flux_relist_sources(struct flux *f);
void flux_relist_kustomizations(struct flux *f);
void flux_synced_sources(struct flux *f);
void flux_synced_kustomizations(struct flux *f);

/* "gitops-squared-catalog" and "gitops-squared-resources" for the root, else the same name. */
void flux_source_path(const char *repository, char ret[256]);
void flux_kustomization_path(const char *repository, char ret[256]);

/* Appends the merge patch that has an object of Flux reconciled now. */
void flux_add_request(struct buf *b, const char *token);

#endif
