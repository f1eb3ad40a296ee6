/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a signature of the older format signs: the "simple signing" document of cosign
 * (specs/SIGNATURE_SPEC.md), which names a manifest by its digest.
 */
#ifndef SIGN_PAYLOAD_H
#define SIGN_PAYLOAD_H

#include "base/buf.h"
#include "oci/digest.h"

#define PAYLOAD_MEDIA_TYPE "application/vnd.dev.cosign.simplesigning.v1+json"

/* The bytes that cosign writes. */
void payload_write(const char *repository, const struct digest *subject, struct buf *ret);

/* ERROR_DENIED: it is not a signature, or one of another manifest, or of the same in another
 * repository. Host and prefix before the repository are as the signer knew them, and may differ. */
int payload_check(struct slice payload, const char *repository, const struct digest *subject,
	struct error *err) MUST_CHECK;

#endif
