/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resource: one version of one intent, with the OCI artifact that stores it.
 *
 * The artifact's manifest is a pure function of the YAML, so its digest is known without asking the
 * registry (DESIGN section 2, "Resource artifact"; invariant 5). Immutable, shared by reference.
 */
#ifndef CATALOG_RESOURCE_H
#define CATALOG_RESOURCE_H

#include "intent/intent.h"
#include "oci/manifest.h"

#define RESOURCE_REPOSITORY_PREFIX "gitops-squared/resources/"
#define RESOURCE_REPOSITORY_SIZE (sizeof(RESOURCE_REPOSITORY_PREFIX) + 2 * LIMIT_NAME + 1)
#define RESOURCE_ARTIFACT_TYPE "application/vnd.gitops-squared.resource.v1"
#define RESOURCE_TAG_SIZE 22 /* "v" and a 64-bit number */

/* Why Flux does not get an accepted version; the name of a folder of the catalog's layer. */
enum hold_reason {
	HOLD_REFUSED,   /* Flux or the API server refuses it, which would stop all others too */
	HOLD_NAMESPACE, /* its namespace is not there, which would do the same */
	HOLD_REASONS_,
};
const char *hold_reason_name(enum hold_reason reason); /* "refused", "namespace" */

/* The accepted version stays in the catalog's layer, below held/, where Flux does not look. */
struct hold {
	enum hold_reason reason;
	struct resource *instead; /* an earlier version, which Flux gets; NULL: none */
	const char *message;      /* one line, of at most LIMIT_HOLD_MESSAGE */
};

struct resource {
	unsigned refs;        /* atomic */
	struct digest digest; /* of the artifact's manifest */
	uint64_t version;
	struct intent *intent;
	struct hold *hold; /* NULL: it is published */
};

/* Takes a reference to the intent; digest is the one that artifact_of_resource() gives. */
int resource_new(struct resource **ret, struct intent *intent, uint64_t version,
	const struct digest *digest, struct error *err) MUST_CHECK;
/* The same version, held. instead: NULL, or of the same name and of an earlier version; it is
 * referenced. message is copied, made one line, and cut. */
int resource_new_held(struct resource **ret, const struct resource *accepted,
	enum hold_reason reason, struct resource *instead, const char *message,
	struct error *err) MUST_CHECK;
/* What Flux gets of it: itself, an earlier version, or NULL. */
const struct resource *resource_published(const struct resource *r);
struct resource *resource_ref(struct resource *r);
void resource_unref(struct resource *r);
DEFINE_CLEANUP(struct resource, resource_unref);

void resource_repository(
	const char *namespace, const char *name, char ret[RESOURCE_REPOSITORY_SIZE]);
/* The namespace and name that a repository stands for; false where it is none of a resource. */
bool resource_repository_parse(
	struct slice repository, char namespace[LIMIT_NAME + 1], char name[LIMIT_NAME + 1]);
void resource_tag(uint64_t version, char ret[RESOURCE_TAG_SIZE]);
/* "v123" to 123; false for anything else, "latest" among them. */
bool resource_tag_parse(struct slice tag, uint64_t *ret_version);

/* Layer and manifest of the artifact that stores a version, or that marks a deletion (tombstone).
 */
struct artifact {
	struct buf layer;
	struct buf manifest;
	struct digest layer_digest;
	struct digest digest; /* of the manifest */
};
int artifact_of_resource(struct artifact *ret, const struct intent *intent, uint64_t version,
	struct error *err) MUST_CHECK;
int artifact_of_tombstone(struct artifact *ret, const char *namespace, const char *name,
	uint64_t version, struct error *err) MUST_CHECK;
void artifact_done(struct artifact *a);

/* The version that an artifact's manifest gives its layer; 0: none that there can be. */
uint64_t artifact_version(const struct oci_manifest *m);
/* Whether the digest is that of the manifest that this tombstone has. */
int artifact_is_tombstone(bool *ret, const struct digest *digest, const char *namespace,
	const char *name, uint64_t version, struct error *err) MUST_CHECK;

/* Only the digest of that manifest, where the layer is there already: layer is what intent_render()
 * writes, or intent_parse() has read. */
int artifact_digest(struct digest *ret, const struct intent *intent, uint64_t version,
	struct slice layer, struct error *err) MUST_CHECK;

#endif
