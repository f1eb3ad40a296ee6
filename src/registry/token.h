/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to registry. The registry's own tokens, of the endpoint /token: who asks, and what for,
 * signed by a key that this process alone has (HMAC-SHA256).
 *
 * What a token may is in its text; who has it is in a table here, of the subjects that had one
 * lately, since a subject may belong to more groups than a header has room for. Where the table has
 * no more room for a subject, or its name has LIMIT_REGISTRY_SEATS of them, the tokens of another
 * that end first end now. Any thread.
 */
#ifndef REGISTRY_TOKEN_H
#define REGISTRY_TOKEN_H

#include "auth/subject.h"
#include "base/buf.h"

#define REGISTRY_TOKEN_PREFIX "gsqr."

struct registry_tokens;

int registry_tokens_new(struct registry_tokens **ret, struct error *err) MUST_CHECK;
void registry_tokens_free(struct registry_tokens *t);

/* Appends a token that counts for LIMIT_REGISTRY_TOKEN_S. scopes: as in access.h. */
int registry_token_make(struct registry_tokens *t, struct subject *subject, struct slice scopes,
	uint64_t now_s, struct buf *ret, struct error *err) MUST_CHECK;

enum registry_token {
	REGISTRY_TOKEN_OK,
	REGISTRY_TOKEN_BAD,     /* not made here, or by an earlier process */
	REGISTRY_TOKEN_EXPIRED, /* or pushed out */
	REGISTRY_TOKEN_NO_MEMORY,
};

/* The caller gets a reference to whoever it was made for, and a copy of its scopes. Whether the
 * subject still proves anything is auth's to say. */
enum registry_token registry_token_check(struct registry_tokens *t, struct slice token,
	uint64_t now_s, struct subject **ret_subject, char **ret_scopes) MUST_CHECK;

#endif
