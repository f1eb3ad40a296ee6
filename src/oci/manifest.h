/* SPDX-License-Identifier: Apache-2.0 */
/* Image manifests and indexes: OCI image-spec v1.1, and Docker's v2 schema 2 where it is alike. */
#ifndef OCI_MANIFEST_H
#define OCI_MANIFEST_H

#include "base/buf.h"
#include "oci/digest.h"

#define OCI_MEDIA_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_MEDIA_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_MEDIA_EMPTY "application/vnd.oci.empty.v1+json"
#define DOCKER_MEDIA_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_MEDIA_LIST "application/vnd.docker.distribution.manifest.list.v2+json"

/* The two bytes of the empty descriptor's content (image-spec, manifest.md). */
#define OCI_EMPTY SLICE("{}")
extern const struct digest oci_empty_digest;

struct oci_annotation {
	const char *key, *value;
};

struct oci_descriptor {
	const char *media_type; /* NULL only when unknown */
	struct digest digest;
	uint64_t size;
	size_t n_annotations;
	const struct oci_annotation *annotations;
};

/* ---- writing: an image manifest; a pure function of its input, byte for byte ---- */

struct oci_manifest_draft {
	const char *artifact_type; /* NULL: none */
	struct oci_descriptor config;
	struct oci_descriptor layer;
	const struct oci_descriptor *subject; /* NULL: none; else the manifest it refers to */
	size_t n_annotations;
	const struct oci_annotation *annotations; /* in the order to be written */
};
void oci_manifest_write(const struct oci_manifest_draft *draft, struct buf *ret);

/* ---- reading: what a registry and a restore need ---- */

enum oci_manifest_kind { OCI_IMAGE, OCI_INDEX };

/* The kind of manifest that has this media type, and the type as a constant; NULL when none has. */
const char *oci_manifest_media_type(struct slice type, enum oci_manifest_kind *ret);

/* Is it a layer that is never pushed to a registry, by its media type (image-spec, layer.md)? */
bool oci_descriptor_is_elsewhere(const struct oci_descriptor *d);

struct oci_manifest {
	enum oci_manifest_kind kind;
	const char *media_type;       /* as in the document, or NULL */
	const char *artifact_type;    /* artifactType, else config.mediaType; or NULL */
	struct oci_descriptor config; /* OCI_IMAGE */
	size_t n_children;            /* layers, or manifests of an index */
	struct oci_descriptor *children;
	bool has_subject;
	struct oci_descriptor subject;
	size_t n_annotations;
	const struct oci_annotation *annotations;
};

/* Strict about what it understands (types, digests, sizes, duplicate keys, at most
 * LIMIT_MANIFEST bytes and LIMIT_DESCRIPTORS children), silent about fields it does not know. */
int oci_manifest_parse(struct oci_manifest **ret, struct slice json, struct error *err) MUST_CHECK;
void oci_manifest_free(struct oci_manifest *m);
DEFINE_CLEANUP(struct oci_manifest, oci_manifest_free);
/* NULL where there is none. */
const char *oci_manifest_annotation(const struct oci_manifest *m, const char *key);

#endif
