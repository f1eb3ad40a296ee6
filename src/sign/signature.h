/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures of manifests in both formats of cosign, so that its verify and Flux's
 * source-controller take them:
 *
 * - the older: an image manifest under the tag sha256-<hex>.sig, whose one layer is a "simple
 *   signing" payload, with the signature as its annotation dev.cosignproject.cosign/signature
 *   (cosign, specs/SIGNATURE_SPEC.md);
 * - the newer: a sigstore bundle v0.3 as a referrer of the manifest (cosign v3's default): a DSSE
 *   envelope around an in-toto statement of the type that cosign sign makes
 *   (sigstore/protobuf-specs, cosign/bundle).
 *
 * Neither is in a transparency log: who verifies has the public key. Pure but for ECDSA's nonce:
 * two signatures of the same manifest differ.
 */
#ifndef SIGN_SIGNATURE_H
#define SIGN_SIGNATURE_H

#include "oci/manifest.h"
#include "oci/registry.h"
#include "sign/key.h"

#define SIGNATURE_TAG_SIZE (sizeof("sha256-") + 64 + 4)
#define SIGNATURE_BUNDLE_TYPE "application/vnd.dev.sigstore.bundle.v0.3+json"

/* "sha256-<hex>.sig" of a manifest's digest. False, and "": the digest is of another algorithm,
 * which a registry's answer may well be, and nothing is ever signed by that name. */
bool signature_tag(const struct digest *subject, char ret[SIGNATURE_TAG_SIZE]);

/* One artifact that carries a signature: a manifest, its config and its one layer. */
struct signature_artifact {
	struct buf manifest, config, layer;
	struct digest digest, config_digest, layer_digest;
	struct push_blob blobs[2]; /* config and layer, for a push */
};

struct signature {
	char tag[SIGNATURE_TAG_SIZE];
	struct signature_artifact simple; /* goes under the tag */
	struct signature_artifact bundle; /* goes by its digest: a referrer; empty where there is
					     none */
};

/* What is signed: a manifest that is stored, or about to be. All borrowed. */
struct signature_subject {
	const char *repository; /* as a puller names it, host and prefix included where known */
	struct digest digest;   /* SHA-256, or ERROR_INTERNAL */
	bool bundled;           /* in the newer format too, which has in it: */
	uint64_t size;          /* of the manifest's bytes */
	const char *media_type;
};

int signature_make(struct signature *ret, const struct sign_key *key,
	const struct signature_subject *subject, struct error *err) MUST_CHECK;
void signature_done(struct signature *s);

/*
 * Of the older format, as pulled by its tag. A manifest may carry several signatures (cosign adds
 * one for each key that signs); the layer given is one that it names, and one signature of it by
 * one of the keys is enough. repository: without host and prefix. ERROR_DENIED: it is not a
 * signature of this digest in this repository by one of the keys, and why.
 */
int signature_check(const struct sign_keys *keys, const char *repository,
	const struct digest *subject, struct slice manifest, struct slice layer,
	struct error *err) MUST_CHECK;

#endif
