/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subjects: who asks, once that is proven. Immutable, shared by reference, any thread.
 *
 * The name says how it was proven: "token:ci", "oidc:alice@example.com",
 * "kubernetes:system:serviceaccount:flux-system:default", "anonymous".
 */
#ifndef AUTH_SUBJECT_H
#define AUTH_SUBJECT_H

#include "auth/action.h"
#include "base/error.h"
#include "base/limits.h"

enum auth_method {
	AUTH_ANONYMOUS,
	AUTH_TOKEN,      /* of the token file */
	AUTH_OIDC,       /* a JWT of the OpenID Connect issuer */
	AUTH_KUBERNETES, /* TokenReview */
};

/* A role that comes with the subject itself; those of the policy file are added to it. */
struct grant {
	enum auth_role role;
	char namespace[LIMIT_NAME + 1]; /* or AUTH_EVERYWHERE */
};

#define SUBJECT_TOKEN_HASH 32 /* SHA-256 of an API token's secret */

struct subject {
	unsigned refs; /* atomic */
	enum auth_method method;
	char *name; /* with the prefix of its method; at most LIMIT_SUBJECT bytes, printable */
	size_t n_groups;
	char **groups; /* with the prefix too: "oidc:platform" */
	size_t n_grants;
	struct grant *grants;
	uint64_t expires_s; /* seconds since 1970; 0: never. From then on it proves nothing */
	/* Of AUTH_TOKEN, so that a token made later under the same name is another. */
	unsigned char token_hash[SUBJECT_TOKEN_HASH];
};

/* With copies of all that is given; ERROR_INVALID: a name or group that is empty, too long or not
 * printable UTF-8 on one line, or more than LIMIT_GROUPS. */
struct subject_draft {
	enum auth_method method;
	struct slice name; /* without the prefix; of AUTH_ANONYMOUS it does not count */
	size_t n_groups;
	const struct slice *groups; /* without the prefix */
	size_t n_grants;
	const struct grant *grants;
	uint64_t expires_s;
	const unsigned char *token_hash; /* NULL: none */
};
int subject_new(
	struct subject **ret, const struct subject_draft *draft, struct error *err) MUST_CHECK;
struct subject *subject_ref(struct subject *s);
void subject_unref(struct subject *s);
DEFINE_CLEANUP(struct subject, subject_unref);

/* Whoever proves it anew is the same, with the same groups and grants: when a proof ends does not
 * count. */
bool subject_eq(const struct subject *a, const struct subject *b);

/* By its own grants alone. namespace NULL: in one at least. */
bool subject_may(const struct subject *s, enum auth_action action, const char *namespace);

#endif
