/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Export to and import from an OCI image layout (image-spec, image-layout.md), which oras, skopeo
 * and crane read and write.
 *
 * A layout holds many repositories: each descriptor in its index.json is annotated with
 * org.opencontainers.image.ref.name = "<repository>:<tag>", or "<repository>@<digest>" for a
 * manifest that neither a tag names nor an index of its repository. Clients take these names as
 * they are: skopeo copy oci:DIR:acme/app:v1, oras cp --from-oci-layout-path DIR acme/app:v1 (in
 * oras' DIR:tag form a tag has no slash, but DIR@<digest> works). In a layout from elsewhere the
 * name may be a tag alone, or be missing.
 *
 * Our own annotations: io.gitops-squared.immutable: "true" on the descriptor of a tag that never
 * moves, and io.gitops-squared.sparse: "true" on index.json when the store, too, lacked blobs that
 * its images name. Only then, or where its media type says that a layer is not distributed, may an
 * image's blob be missing; the manifests of an index always may.
 */
#ifndef STORE_LAYOUT_H
#define STORE_LAYOUT_H

#include "store/store.h"

/* Export: what the layout has. Import: the repositories and tags that it names, and what of the
 * others was not there before. Filled in as far as it went when something fails. */
struct layout_report {
	uint64_t repositories, manifests, tags, blobs, bytes;
};

/* Into a folder that is new or empty. repository NULL: all of them. What is pushed meanwhile may be
 * in it or not, but each manifest comes with its blobs. It is complete and durable when it has an
 * index.json. ERROR_CONFLICT: the folder is not empty. ERROR_INVALID: it lies in the data folder.
 * ERROR_NOT_FOUND: there is no such repository. ERROR_INTERNAL: something stored is damaged. */
int layout_export(struct store *s, const char *dir, const char *repository,
	struct layout_report *ret, struct error *err) MUST_CHECK;

struct layout_import {
	const char *dir;
	const char *repository; /* what names without one go to; NULL: they are refused */
	bool live;              /* a server runs on the store: refuse what only its API may write */
};

/* Verifies every digest on the way in. Stops at the first failure and says which; what came before
 * is in, so it may be run again, and takes as long then: each blob that the layout has is copied
 * also when the store has it, as that may be damaged, and heals. Tags that are there and may move,
 * do. ERROR_CONFLICT: an immutable tag names something else. ERROR_DENIED: see live. ERROR_INVALID:
 * no layout, or damaged. */
int layout_import(struct store *s, const struct layout_import *import, struct layout_report *ret,
	struct error *err) MUST_CHECK;

#endif
