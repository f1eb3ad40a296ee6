/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and the tokens that they sign, for tests of auth/jwt and auth/oidc. Texts are the caller's
 * to free. */
#ifndef TESTS_UNIT_JWT_MINT_H
#define TESTS_UNIT_JWT_MINT_H

#include "base/str.h"

#include <openssl/evp.h>

struct mint {
	const char *alg, *kid; /* kid NULL: none */
	EVP_PKEY *key;
};

/* A new key: for "RS256", "ES256" or "EdDSA". */
void mint_init(struct mint *m, const char *alg, const char *kid);
void mint_done(struct mint *m);

/* Its public part, with kid. */
char *mint_jwk(const struct mint *m);
/* {"keys":[JWK, ...]} of so many keys. */
char *mint_jwks(const struct mint *const *mints, size_t n);

/* Whatever the header says, it is signed as the key does; header NULL: alg and kid. */
char *mint_token(const struct mint *m, const char *header, const char *claims);
/* With the signature given. */
char *mint_with(const char *header, const char *claims, const void *signature, size_t len);

char *base64url(const void *bytes, size_t len);

#endif
