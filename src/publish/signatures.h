/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to publish. Signatures on their way to the registry, and the tags that they have there.
 *
 * The bundle is a referrer, which needs no tag to be found. It has one all the same, which nobody
 * reads: a tag is all that registry_untag() can take away, so without one it would outlive what it
 * signs, and on the embedded registry keep that too; and registries that clean up what no tag names
 * do not all spare referrers.
 */
#ifndef PUBLISH_SIGNATURES_H
#define PUBLISH_SIGNATURES_H

#include "publish/signing.h"

/* ---- tags ---- */

#define SIGNATURES_TAG_SIZE (sizeof("sha256-") + 64 + sizeof(".bundle") - 1)
#define SIGNATURES_TAGS 3

/* Of all that may be stored for a manifest's sake, in the order to be taken away: the index of its
 * referrers where the registry has no API for them, the bundle, and the older format. Returns how
 * many: none for one that cannot be signed. */
size_t signatures_tags(
	const struct digest *subject, char ret[SIGNATURES_TAGS][SIGNATURES_TAG_SIZE]);
/* Is it one of them, or one that somebody else has given to something of that kind? */
bool signatures_is_tag(struct slice tag);

/* ---- pushes ---- */

struct signed_manifest {
	char repository[LIMIT_REPOSITORY + 1];
	struct digest digest;
	uint64_t size;
	char bundle_tag[SIGNATURES_TAG_SIZE];
	bool bundled; /* there is a bundle, too */
	bool made;    /* these are: */
	struct signature signature;
	struct oci_manifest *bundle; /* parsed, for its subject */
	struct error err;
};

struct signatures {
	size_t n, cap;
	struct signed_manifest *list;
};

/* Notes a manifest to be signed, of so many bytes. Records, of which there is one for each commit
 * and for ever, get the older format only, which is half of the cost: whoever looks for a bundle
 * first goes on to that. */
int signatures_add(struct signatures *s, const char *repository, const struct digest *digest,
	uint64_t size, struct error *err) MUST_CHECK;
/* Signs them all. */
int signatures_make(
	struct signatures *s, const struct signing *signing, struct error *err) MUST_CHECK;
void signatures_done(struct signatures *s);

/* Fills at most so many pushes for each, which borrow from the signatures: first the bundles, then,
 * one for each, the older format. Returns how many. */
#define SIGNATURES_PUSHES 2
size_t signatures_pushes(const struct signatures *s, struct push *ret);

/* ---- time ---- */

/* parallel_each() where that pays: few signatures take less time than a thread's start. */
void signatures_each(size_t n, void (*fn)(size_t i, size_t thread, void *arg), void *arg);

#endif
