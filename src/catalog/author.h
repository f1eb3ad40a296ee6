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

/* May it be an author? who and why are printable lines of at most LIMIT_SUBJECT and LIMIT_REASON
 * bytes, from is an IP address; the last two may be empty. Else ERROR_INVALID says which is not. */
int author_check(
	struct slice who, struct slice from, struct slice why, struct error *err) MUST_CHECK;

/* from "" and why SLICE_NONE are none. Errors as author_check(). */
int author_new(struct author **ret, const char *who, const char *from, struct slice why,
	struct error *err) MUST_CHECK;
struct author *author_ref(struct author *a);
void author_unref(struct author *a);
DEFINE_CLEANUP(struct author, author_unref);

#endif
