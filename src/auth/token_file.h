/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a token file and of FILE.used beside it, for this room alone. Blocking. */
#ifndef AUTH_TOKEN_FILE_H
#define AUTH_TOKEN_FILE_H

#include "auth/tokens.h"
#include "oci/digest.h"

#include <jansson.h>

struct token_entry {
	struct token_row row; /* its texts lie in the file's root, or are a draft's */
	const char **namespaces;
	struct digest hash;
};

struct token_file {
	json_t *root;
	size_t n;
	struct token_entry *entries;
};

/* As tokens_load() says. used_s is not looked up. */
int token_file_read(struct token_file *ret, const char *file, struct error *err) MUST_CHECK;
void token_file_done(struct token_file *f);

/* Replaces the file, which keeps its owner and mode; a new one is 0600. */
int token_file_write(const struct token_file *f, const char *file, struct error *err) MUST_CHECK;

/* Held as long as *ret_fd is open; waits for whoever holds it. */
int token_file_lock(const char *file, int *ret_fd, struct error *err) MUST_CHECK;

int token_name_check(const char *name, struct error *err) MUST_CHECK;
int token_namespaces_check(size_t n, const char *const *namespaces, struct error *err) MUST_CHECK;

/* ---- FILE.used: {"used":{"sha256:...":"2026-...Z"}}, by the hash and not the name, which another
 * token may have later ---- */

/* NULL: nothing is known. A file that cannot be read is only logged: no token depends on it. */
json_t *token_uses_read(const char *file);
uint64_t token_uses_get(const json_t *uses, const struct digest *hash); /* 0: never */
/* The text is the whole of the file. */
int token_uses_write(const char *file, struct slice text, struct error *err) MUST_CHECK;

#endif
