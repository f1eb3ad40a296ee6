/* SPDX-License-Identifier: Apache-2.0 */
/* Private to auth. The credential in an Authorization header (RFC 9110 section 11.6.2). */
#ifndef AUTH_CREDENTIAL_H
#define AUTH_CREDENTIAL_H

#include "base/buf.h"

/* Appends it to ret, whose maximum holds: what follows "Bearer" (RFC 6750), or the password of
 * "Basic" (RFC 7617). ERROR_UNAUTHORIZED: another scheme, nothing in it, or too long. */
int credential_read(struct slice authorization, struct buf *ret, struct error *err) MUST_CHECK;

#endif
