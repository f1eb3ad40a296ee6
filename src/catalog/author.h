/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who makes a change, from where and why, for its commit record. Immutable, shared by reference,
 * any thread.
 */
#ifndef CATALOG_AUTHOR_H
#define CATALOG_AUTHOR_H

#include "base/error.h"
#include "base/str.h"

struct author {
	unsigned refs; /* atomic */
	char *who;     /* "token:ci": a subject's name (auth/subject.h), which says how it was
			  proven; AUTHOR_SERVER where nobody asked */
	char *from;    /* the client's address; NULL: not from outside */
	char *why;     /* as they said, at most LIMIT_REASON bytes; NULL: they did not */
};

#define AUTHOR_SERVER "gsq"

/* from "" and why SLICE_NONE are none. ERROR_INVALID: why is too long or no printable text. */
int author_new(struct author **ret, const char *who, const char *from, struct slice why,
	struct error *err) MUST_CHECK;
struct author *author_ref(struct author *a);
void author_unref(struct author *a);
DEFINE_CLEANUP(struct author, author_unref);

#endif
