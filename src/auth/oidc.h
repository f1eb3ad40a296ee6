/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenID Connect: ID tokens and access tokens that are JWTs (RFC 7519) of one issuer, signed with
 * RS256, ES256 or EdDSA by a key of its JWKS (RFC 7517, OpenID Connect Discovery 1.0).
 *
 * Keys are fetched by a thread of its own: at the start, when they grow old, and when a token names
 * a kid that is not known, though not more often than every LIMIT_JWKS_AGAIN_S. Keys that were
 * fetched are in place of all older ones. While the issuer does not answer, or with something that
 * is no set of keys, those that are known count for LIMIT_JWKS_STALE_S; the log says why, once for
 * each reason.
 */
#ifndef AUTH_OIDC_H
#define AUTH_OIDC_H

#include "auth/subject.h"

struct oidc;

struct oidc_options {
	const char *issuer;         /* "https://..."; http only of a loopback address */
	const char *audience;       /* that "aud" must hold */
	const char *username_claim; /* "sub" when NULL; "email" counts only if "email_verified" is
				       not false */
	const char *groups_claim;   /* "groups" when NULL: a string or an array of strings */
	const char *ca_file;        /* NULL: the system's */
	uint64_t (*now_s)(void);    /* NULL: the clocks; for tests, any thread calls it */
};

/* Starts the thread; the issuer need not be there yet. */
int oidc_new(struct oidc **ret, const struct oidc_options *options, struct error *err) MUST_CHECK;
/* Whoever waits is told ERROR_UNAVAILABLE; nobody else may be in oidc_verify(). */
void oidc_free(struct oidc *o);

/* Whether a credential is a JWT that says it is of this issuer. Nothing is verified. */
bool oidc_is_ours(const struct oidc *o, struct slice token);

/* subject: borrowed, with ERROR_NONE; or NULL with err. */
typedef void oidc_done(struct subject *subject, const struct error *err, void *arg);

/*
 * Any thread, an event loop's too. Calls done exactly once: before it returns where the keys are
 * known, else on the thread of this module, when they were fetched. The token is copied.
 * ERROR_UNAUTHORIZED says what is wrong with the token, ERROR_UNAVAILABLE that the issuer cannot be
 * asked for its keys, or that LIMIT_JWKS_WAITING tokens wait for them. The subject's expires_s is
 * the token's "exp" and LIMIT_CLOCK_SKEW_S.
 */
void oidc_verify(struct oidc *o, struct slice token, oidc_done *done, void *arg);

#endif
