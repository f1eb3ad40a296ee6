/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON Web Tokens in compact form (RFC 7515, RFC 7519) and the keys that sign them (RFC 7517, RFC
 * 7518, RFC 8037). Pure functions: no clock, no network.
 *
 * The algorithm is the key's, never the token's: "alg" must name the one that belongs to the type
 * of the key, so neither "none" nor an HMAC with a public key can pass. Keys that a token brings
 * along ("jwk", "jku", "x5c") do not count.
 */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include "base/error.h"
#include "base/str.h"

#include <jansson.h>

/* ---- keys: immutable, any number of threads at a time ---- */

struct jwks;

/* Left out are keys that are no use here (RFC 7517 section 5): of other types, curves, algorithms
 * and uses, RSA keys below 2,048 bits, and those whose private part is published. ERROR_INVALID:
 * none is left, or there are more than LIMIT_JWKS_KEYS. */
int jwks_parse(struct jwks **ret, struct slice json, struct error *err) MUST_CHECK;
void jwks_free(struct jwks *keys);
DEFINE_CLEANUP(struct jwks, jwks_free);
size_t jwks_count(const struct jwks *keys); /* of those that count */

/* ---- tokens ---- */

struct jwt {
	json_t *header, *claims;  /* objects */
	const char *kid;          /* in the header; NULL: none */
	struct slice signed_part; /* of the token's text, which must outlive it */
	unsigned char *signature; /* decoded */
	size_t signature_len;
};

/* Takes it apart; nothing is verified. ERROR_UNAUTHORIZED: it is no JWT, or longer than
 * LIMIT_CREDENTIAL; "crit" is refused, and a "typ" that is neither JWT nor at+jwt, for other tokens
 * of an issuer say other things (RFC 8725 section 3.11). */
int jwt_parse(struct jwt *ret, struct slice token, struct error *err) MUST_CHECK;
void jwt_done(struct jwt *t);

/* Whether it says that it is of that issuer, whatever else is wrong with it. */
bool jwt_is_of(struct slice token, const char *issuer);

/* 0: signed by one of the keys. 1: none of them has its kid, or it names none and none fits: newer
 * keys may. -1: ERROR_UNAUTHORIZED. */
int jwt_verify(const struct jwt *t, const struct jwks *keys, struct error *err) MUST_CHECK;

/* "iss", "aud", "exp" (required), "nbf" and "iat" (where present), with LIMIT_CLOCK_SKEW_S of
 * leeway. ret_until_s: the second from which on it has expired, leeway included. */
int jwt_check_claims(const struct jwt *t, const char *issuer, const char *audience, uint64_t now_s,
	uint64_t *ret_until_s, struct error *err) MUST_CHECK;

#endif
