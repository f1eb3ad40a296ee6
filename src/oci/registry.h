/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct registry: what the rest of the program needs of an OCI registry. Two implement it:
 * registry/embedded and registry/remote.
 *
 * Calls block: from the publisher's thread or a command, never from an event loop. One thread at a
 * time. Repository names are without the registry's own prefix.
 *
 * Errors: ERROR_NOT_FOUND (it is not there), ERROR_UNAVAILABLE (try again), ERROR_NO_SPACE,
 * ERROR_CONFLICT (an immutable tag names something else), ERROR_UNKNOWN_OUTCOME (the answer to a
 * write was lost: it may have happened), ERROR_DENIED and ERROR_UNAUTHORIZED, ERROR_INTERNAL
 * (what came back is damaged: bytes do not match their digest).
 */
#ifndef OCI_REGISTRY_H
#define OCI_REGISTRY_H

#include "base/buf.h"
#include "oci/manifest.h"

struct push_blob {
	struct digest digest;
	struct slice bytes;
};

/* One manifest to store, with the blobs it needs; all borrowed until the push returns. */
struct push {
	const char *repository;
	const char *tag; /* NULL: by digest only */
	bool tag_is_new; /* refuse with ERROR_CONFLICT when the tag names another manifest already;
			  * the tag is immutable */
	bool moves_latest;  /* the tag latest moves to it, too: atomic registries only */
	bool tag_may_exist; /* hint: the number may have been used before, so do look; a registry
			     * where looking costs nothing always does */
	const char *media_type;
	struct slice manifest;
	struct digest digest;              /* of the manifest */
	const struct oci_manifest *parsed; /* of it, where the caller has that; else NULL */
	size_t n_blobs;
	const struct push_blob *blobs; /* none for a tag that moves to a stored manifest */

	struct error err; /* out: ERROR_NONE when it is stored */
};

/* One artifact to read: its manifest and its only layer, both verified. */
struct pull {
	const char *repository;
	const char *reference; /* tag or digest */

	struct buf manifest, layer; /* out; the caller sets their maxima and frees them */
	struct digest digest;       /* out: of the manifest */
	struct error err;           /* out: ERROR_NONE when all of it is there */
};

/* One tag to look up. */
struct look {
	const char *repository;
	const char *tag;

	struct digest digest; /* out */
	struct error err;     /* out; ERROR_NOT_FOUND: there is no such tag */
};

/* One tag to take away. */
struct untag {
	const char *tag;
	struct error err; /* out; ERROR_NOT_FOUND: there was no such tag */
};

struct registry;

struct registry_ops {
	int (*begin)(struct registry *r, struct error *err);
	void (*push)(struct registry *r, struct push *pushes, size_t n);
	int (*commit)(struct registry *r, struct error *err);
	void (*rollback)(struct registry *r);
	void (*pull)(struct registry *r, struct pull *pulls, size_t n);
	void (*look)(struct registry *r, struct look *looks, size_t n);
	int (*manifest)(struct registry *r, const char *repository, const char *reference,
		struct buf *ret, struct digest *ret_digest, struct error *err);
	int (*blob)(struct registry *r, const char *repository, const struct digest *digest,
		struct buf *ret, struct error *err);
	int (*tags)(struct registry *r, const char *repository, const char *after,
		int (*each)(struct slice tag, void *arg, struct error *err), void *arg,
		struct error *err);
	int (*repositories)(struct registry *r,
		int (*each)(struct slice repository, void *arg, struct error *err), void *arg,
		struct error *err);
	void (*untag)(struct registry *r, const char *repository, struct untag *untags, size_t n);
	void (*free)(struct registry *r);
};

struct registry {
	const struct registry_ops *ops;
	/* Between begin and commit nothing is visible to others, and rollback (or a failed commit)
	 * undoes it all. False: every push is visible and durable when it returns. */
	bool atomic;
};

/* Brackets the writes of one commit. Only then may registry_push be called. */
static inline int registry_begin(struct registry *r, struct error *err)
{
	return r->ops->begin(r, err);
}

/* Stores them all, in parallel where that helps and in no particular order; each has its own
 * outcome in push->err. A push is done when blobs, manifest and tag are all there. */
static inline void registry_push(struct registry *r, struct push *pushes, size_t n)
{
	r->ops->push(r, pushes, n);
}

/* Atomic registries: durable when it returns 0, undone when it fails. Others: nothing to do. */
static inline int registry_commit(struct registry *r, struct error *err)
{
	return r->ops->commit(r, err);
}

static inline void registry_rollback(struct registry *r)
{
	r->ops->rollback(r);
}

/* Reads them all, in parallel where that helps; each has its own outcome in pull->err. A blob that
 * a manifest names and that is not there is ERROR_INTERNAL: damage, not absence. */
static inline void registry_pull(struct registry *r, struct pull *pulls, size_t n)
{
	r->ops->pull(r, pulls, n);
}

/* Looks them all up, likewise; inside a transaction, as the transaction sees it. */
static inline void registry_look(struct registry *r, struct look *looks, size_t n)
{
	r->ops->look(r, looks, n);
}

/* The digest that one tag names. */
static inline int registry_resolve(struct registry *r, const char *repository, const char *tag,
	struct digest *ret, struct error *err)
{
	struct look look = {.repository = repository, .tag = tag};

	r->ops->look(r, &look, 1);
	if (look.err.code != ERROR_NONE) {
		*err = look.err;
		return -1;
	}
	*ret = look.digest;
	return 0;
}

/* A manifest by tag or digest, verified; appended to ret, whose maximum holds. */
static inline int registry_manifest(struct registry *r, const char *repository,
	const char *reference, struct buf *ret, struct digest *ret_digest, struct error *err)
{
	return r->ops->manifest(r, repository, reference, ret, ret_digest, err);
}

/* A blob by digest, verified; appended to ret, whose maximum holds. */
static inline int registry_blob(struct registry *r, const char *repository,
	const struct digest *digest, struct buf *ret, struct error *err)
{
	return r->ops->blob(r, repository, digest, ret, err);
}

/* Every tag of a repository, or every repository under the prefix; each() ends it by returning -1
 * with an error, and no page is read after that. An unknown repository has no tags. Hosted
 * registries may refuse the second.
 *
 * after: only tags that sort after it, by bytes and in that order; be it a tag or not, the
 * embedded registry finds the first of them at once, as do others that know "last". NULL: all, in
 * whatever order a remote registry has. ERROR_UNAVAILABLE also where a registry turns out to list
 * in another order when some were given already; the next listing copes. */
static inline int registry_tags(struct registry *r, const char *repository, const char *after,
	int (*each)(struct slice tag, void *arg, struct error *err), void *arg, struct error *err)
{
	return r->ops->tags(r, repository, after, each, arg, err);
}
static inline int registry_repositories(struct registry *r,
	int (*each)(struct slice repository, void *arg, struct error *err), void *arg,
	struct error *err)
{
	return r->ops->repositories(r, each, arg, err);
}

/*
 * Takes tags of one repository away, inside or outside of begin and commit; each has its own
 * outcome in untag->err, and those after a failure fail likewise. ERROR_NOT_IMPLEMENTED where the
 * registry refuses. It is never asked to delete a manifest by digest; it may drop one that no tag
 * names any more (the embedded one does), or untag it altogether: a caller who cares makes sure
 * that no tag names it that must stay.
 */
static inline void registry_untag(
	struct registry *r, const char *repository, struct untag *untags, size_t n)
{
	r->ops->untag(r, repository, untags, n);
}

static inline int registry_delete_tag(
	struct registry *r, const char *repository, const char *tag, struct error *err)
{
	struct untag untag = {.tag = tag};

	r->ops->untag(r, repository, &untag, 1);
	if (untag.err.code == ERROR_NONE)
		return 0;
	*err = untag.err;
	return -1;
}

/* ---- for those who implement pull() ---- */

/* The layer that the manifest, which has come, names. */
int pull_layer(const struct pull *pull, struct digest *ret, struct error *err) MUST_CHECK;

/* For a registry that gains nothing from reading in parallel: its pull(), by manifest() and blob().
 */
void registry_pull_in_turn(struct registry *r, struct pull *pulls, size_t n);

static inline void registry_free(struct registry *r)
{
	if (r != NULL)
		r->ops->free(r);
}
DEFINE_CLEANUP(struct registry, registry_free);

#endif
