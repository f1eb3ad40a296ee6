/* SPDX-License-Identifier: Apache-2.0 */
/*
 * History, read from the registry: the versions of a resource, the commit records, and the state as
 * a commit left it, rebuilt from versions. Only the last record and its ancestors count, and what
 * they name: other tags are debris, or what was left behind when commits:latest was set back.
 *
 * A record that was made of what an operator found (rebuild, adopt, import) names no versions. What
 * it took of a resource is believed to be, the first of these that there is: the version that the
 * tag latest still names, if none before it did; the newest that adopt or import brought; the
 * newest that a record before it names; the newest that was there. One that no record names has
 * no author and no revision, and is shown no longer than there is no other.
 *
 * All functions block, read beside the writer, and hold a page at a time, or the names that have
 * changed since; any thread that has a struct registry of its own (publish/readers.h).
 * ERROR_UNAVAILABLE: the registry cannot be read now. ERROR_INTERNAL: what is there is damaged, and
 * the text is for operators.
 */
#ifndef PUBLISH_HISTORY_H
#define PUBLISH_HISTORY_H

#include "catalog/record.h"
#include "catalog/state.h"
#include "oci/registry.h"

/* ---- one resource ---- */

struct history_entry {
	uint64_t version;     /* a tombstone's where it was deleted */
	enum record_op op;    /* create, update or delete */
	struct digest digest; /* of the artifact */
	struct author
		*author;   /* a reference; NULL: the record is of a time before there were any */
	uint64_t revision; /* version of the commit record that names it; 0: none does */
	struct intent *intent; /* a reference; NULL: a deletion, or is_expired */
	struct intent *before; /* likewise, of the version before it; NULL: none, a deletion, or it
				* is not kept: then op is no create */
	uint64_t before_version; /* 0: it is the first */
	bool is_expired;         /* retention has taken the version itself away */
};

struct history_page {
	size_t n;
	struct history_entry *entries; /* newest first */
	uint64_t next;                 /* below_version of the next page; 0: that was the last */
};
void history_page_done(struct history_page *page);

/* The versions below that one (0: all), newest first, at most limit of them. Creation, deletion and
 * making again are all in it. ERROR_NOT_FOUND: there never was such a resource. */
int history_of_resource(struct history_page *ret, struct registry *registry, const char *namespace,
	const char *name, uint64_t below_version, size_t limit, struct error *err) MUST_CHECK;

/* The intent that a version of the resource was. ERROR_NOT_FOUND: there is no such version, or it
 * is a deletion (the text says which); ERROR_GONE: it is not kept any more. */
int history_intent(struct intent **ret, struct registry *registry, const char *namespace,
	const char *name, uint64_t version, struct error *err) MUST_CHECK;

/* ---- commits ---- */

struct revisions_query {
	const char *namespace;     /* records that change something in it, and only that of them;
				      NULL: all records, whole */
	const struct digest *from; /* of the record where the page begins; NULL: the head */
	bool is_next;              /* it came as next of such a page, so it is one of the chain */
	size_t limit;              /* at most LIMIT_HISTORY_PAGE */
};
struct revisions_page {
	size_t n;
	struct revision_entry {
		struct record record;
		struct digest digest; /* of its manifest */
	} * entries;                  /* newest first */
	bool has_next;
	struct digest next; /* where the next page begins. It may be there with n == 0: no more than
			     * LIMIT_HISTORY_LOOKS records are read for a page, and none after
			     * LIMIT_HISTORY_CHANGES changes */
};
void revisions_page_done(struct revisions_page *page);

/* ERROR_NOT_FOUND: from is neither the last record nor one of its ancestors. */
int history_revisions(struct revisions_page *ret, struct registry *registry,
	const struct revisions_query *query, struct error *err) MUST_CHECK;

/* The record of that version, if it is the last or one of its ancestors. ERROR_NOT_FOUND: it is
 * neither; its commit failed, or was taken back. */
int history_revision(struct record *ret, struct digest *ret_digest, struct registry *registry,
	uint64_t version, struct error *err) MUST_CHECK;

/* ---- the state at a commit ---- */

/* What a resource was then, and is in the later state. */
struct history_change {
	char namespace[LIMIT_NAME + 1];
	char name[LIMIT_NAME + 1];
	uint64_t before, after; /* versions; 0: it was not there */
};

/* What was found to have changed in the last LIMIT_HISTORY_CACHED_MS, so that the next page of it
 * is not read again: for LIMIT_HISTORY_CACHED pairs of commits. Any thread. */
struct history_cache;
int history_cache_new(struct history_cache **ret, struct error *err) MUST_CHECK;
void history_cache_free(struct history_cache *cache);

/* What the state at the commit `from` and that at the commit `to`, a later or the same one, differ
 * in: what their records between them say, by namespace and name. namespace: only of that one;
 * NULL: of all. A resource that is back at an equal intent is among them; one that was not there at
 * either is not. Memory: the names that have changed. cache: NULL: none. ERROR_NOT_FOUND: one of
 * both is no commit of the chain; ERROR_INVALID: from is the later one; ERROR_UNPROCESSABLE: the
 * store was rebuilt between them; ERROR_GONE: a version that was current at `from` is not kept any
 * more. */
int history_changes(struct history_change **ret, size_t *ret_n, struct registry *registry,
	struct history_cache *cache, const char *namespace, uint64_t from, uint64_t to,
	struct error *err) MUST_CHECK;

/* One of several versions that are wanted. */
struct history_wanted {
	const char *namespace, *name;
	uint64_t version;
	struct resource *resource; /* out: a reference */
};

/* The resources that these versions were, with their digests; at most LIMIT_HISTORY_PAGE, which
 * takes little longer than one. All or none. Errors as history_intent(). */
int history_resources(struct registry *registry, struct history_wanted *wanted, size_t n,
	struct error *err) MUST_CHECK;

#endif
