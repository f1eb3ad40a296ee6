/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to registry. A place in a list as a text that tells nobody where it is: for pages that
 * end among names which their reader may not see. Sealed by a key that this process alone has
 * (XSalsa20 and Poly1305). Any thread.
 */
#ifndef REGISTRY_CURSOR_H
#define REGISTRY_CURSOR_H

#include "base/buf.h"
#include "base/limits.h"

#define CURSOR_PREFIX "~" /* no repository's name begins like this */
#define CURSOR_KEY_SIZE 32

struct cursor_key {
	unsigned char bytes[CURSOR_KEY_SIZE];
};

int cursor_key_init(struct cursor_key *key, struct error *err) MUST_CHECK;

/* Appends the text, which is of one length for all places. place: of at most LIMIT_REPOSITORY
 * bytes. */
void cursor_add(struct buf *b, const struct cursor_key *key, struct slice place);
/* *ret is the caller's. ERROR_INVALID: not made by this process. */
int cursor_read(
	char **ret, const struct cursor_key *key, struct slice text, struct error *err) MUST_CHECK;

#endif
