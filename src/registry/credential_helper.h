/* SPDX-License-Identifier: Apache-2.0 */
/* Private to registry. Runs a docker credential helper: docker-credential-NAME get. */
#ifndef REGISTRY_CREDENTIAL_HELPER_H
#define REGISTRY_CREDENTIAL_HELPER_H

#include "base/buf.h"

/* Appends what the helper prints for that server. ERROR_NOT_FOUND: it knows no credentials;
 * ERROR_UNAUTHORIZED: it cannot be run, fails, takes more than 10 s, or prints more than ret may
 * hold. Blocks. */
int credential_helper_get(
	const char *name, const char *server, struct buf *ret, struct error *err) MUST_CHECK;

#endif
