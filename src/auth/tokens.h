/* SPDX-License-Identifier: Apache-2.0 */
/*
 * API tokens: "gsq_" and 43 characters, 256 bits at random (base64url), shown once and kept as a
 * SHA-256. They are rows of one JSON file, which gsq token changes under a lock and the server
 * reads again when it has changed:
 *
 *   {"tokens":[{"name":"ci","role":"editor","namespaces":["team-a"],"created":"2026-...Z",
 *               "expires":"2027-...Z","hash":"sha256:..."}]}
 *
 * A hash of 256 random bits cannot be turned back, so it needs neither salt nor a slow function.
 * When each was last used is in a second file beside it, FILE.used, which the server alone writes.
 */
#ifndef AUTH_TOKENS_H
#define AUTH_TOKENS_H

#include "auth/subject.h"
#include "base/buf.h"

#define TOKEN_PREFIX "gsq_"
#define TOKEN_SECRET_SIZE (sizeof(TOKEN_PREFIX) + 43)

/* ---- the table: immutable but for the times of last use, shared by reference, any thread ---- */

struct tokens;

/* A file that is not there, or NULL, is an empty table. ERROR_INVALID names file, line or row, and
 * what to change; unknown members, names given twice and hashes given twice are errors. A damaged
 * FILE.used is none: it is logged. digest_setup() goes before. */
int tokens_load(struct tokens **ret, const char *file, struct error *err) MUST_CHECK;
struct tokens *tokens_ref(struct tokens *t);
void tokens_unref(struct tokens *t);
DEFINE_CLEANUP(struct tokens, tokens_unref);

size_t tokens_count(const struct tokens *t);

/* The subject of a secret, a reference for the caller; NULL: none has it. Notes the use. An expired
 * one is found too, though that is no use: the caller looks at its expires_s. */
struct subject *tokens_find(struct tokens *t, struct slice secret);

/* Is there still that subject's token, with the same grants and end? For streams. One that was made
 * anew under its name is another. */
bool tokens_has(const struct tokens *t, const struct subject *s);

/* Brings what is known of last uses from one table to the next, when the file was read again. */
void tokens_take_uses(struct tokens *t, const struct tokens *before);
/* Writes FILE.used, if there were uses since; replaced as a whole. */
int tokens_save_uses(struct tokens *t, const char *file, struct error *err) MUST_CHECK;

/* ---- changing the file: gsq token, and the server's first start ---- */

struct token_draft {
	const char *name; /* as of a namespace: lower-case letters, digits, dashes */
	enum auth_role role;
	size_t n_namespaces;
	const char *const *namespaces; /* names, or AUTH_EVERYWHERE alone */
	uint64_t expires_s;            /* since 1970; 0: never */
};

/* Makes a token and appends it to the file, which it makes (mode 0600) where it is missing, though
 * not its folder; all under a lock (FILE.lock), by replacing the file, so that readers see one or
 * the other. The file keeps its owner and mode; what root makes belongs to the folder's owner.
 * ERROR_CONFLICT: there is one of that name. secret is wiped by the caller when it was shown. */
int token_create(const char *file, const struct token_draft *draft,
	char ret_secret[TOKEN_SECRET_SIZE], struct error *err) MUST_CHECK;
/* ERROR_NOT_FOUND: there is none of that name, or no such folder. */
int token_revoke(const char *file, const char *name, struct error *err) MUST_CHECK;

struct token_row {
	const char *name;
	enum auth_role role;
	size_t n_namespaces;
	const char *const *namespaces;
	uint64_t created_s, expires_s, used_s; /* since 1970; 0: never */
};
/* Each row in the order of the file, borrowed for the call; each() returns -1, with an error of its
 * caller's, to end it. */
int token_list(const char *file, int (*each)(const struct token_row *row, void *arg), void *arg,
	struct error *err) MUST_CHECK;

#endif
