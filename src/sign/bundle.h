/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sigstore bundle v0.3 that cosign sign makes of a manifest: a DSSE envelope around an in-toto
 * statement (sigstore/protobuf-specs, sigstore_bundle.proto; secure-systems-lab/dsse, protocol.md).
 */
#ifndef SIGN_BUNDLE_H
#define SIGN_BUNDLE_H

#include "sign/key.h"

#define BUNDLE_PREDICATE_TYPE "https://sigstore.dev/cosign/sign/v1"

int bundle_write(const struct sign_key *key, const struct digest *subject, struct buf *ret,
	struct error *err) MUST_CHECK;

#endif
