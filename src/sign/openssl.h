/* SPDX-License-Identifier: Apache-2.0 */
/* What the room needs of OpenSSL beside its API: secret bytes, and its errors as ours. */
#ifndef SIGN_OPENSSL_H
#define SIGN_OPENSSL_H

#include "base/error.h"

/* Bytes that are wiped before their memory goes. */
struct secret {
	unsigned char *p;
	size_t n;
};

int secret_init(struct secret *s, size_t n, struct error *err) MUST_CHECK;
void secret_done(struct secret *s);

/*
 * After a failed call: ERROR_NO_MEMORY where that is why, else the code and text given. OpenSSL's
 * queue of errors, which is the thread's and which TLS looks into, is empty then.
 */
int openssl_failed(struct error *err, enum error_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
