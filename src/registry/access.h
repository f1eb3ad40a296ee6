/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the embedded registry asks permission for: namespaces of repositories, and the scopes of
 * distribution's token specification. Pure functions.
 *
 * A repository belongs to a namespace by its name alone, so an answer does not depend on whether it
 * is there:
 *
 *   gitops-squared/resources/NAMESPACE/...   that namespace
 *   gitops-squared/catalogs/NAMESPACE/...    that namespace
 *   gitops-squared/...                       all of them: the catalog, the root, the records
 *   FIRST or FIRST/...                       FIRST, where a namespace may have that name,
 *                                            else all of them
 */
#ifndef REGISTRY_ACCESS_H
#define REGISTRY_ACCESS_H

#include "auth/action.h"
#include "base/buf.h"

/* A name, or AUTH_EVERYWHERE. Returns the length of what all repositories that begin with it have
 * the namespace by ("team-a/", of team-a/app); 0: this one has it alone. */
#define ACCESS_NAMESPACE_SIZE (LIMIT_NAME + 1)
size_t access_namespace(struct slice repository, char ret[ACCESS_NAMESPACE_SIZE]);

enum {
	SCOPE_PULL = 1,
	SCOPE_PUSH = 2, /* and delete */
};

/* Either "repository:NAME:pull,push" or "registry:catalog:*", which has no actions here. */
struct scope {
	struct slice repository; /* SLICE_NONE: the catalog */
	unsigned actions;        /* none of them: it allows nothing */
};

/* Takes the next one off a text in which they stand with spaces between; false at its end. Other
 * types, names that cannot be, and actions that there are none of are passed over. "delete" is
 * push, "*" is all. */
bool scope_next(struct slice *text, struct scope *ret);
/* Appends it, after a space where there is something before it. */
void scope_add(struct buf *b, const struct scope *scope);

/* Is there one in the text that holds all of it? */
bool scopes_cover(struct slice text, const struct scope *scope);

#endif
