/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state: everything that is current, which is a layout and its catalogs.
 *
 * Immutable and shared by reference, any thread: a change makes a new state that shares all
 * catalogs that it does not touch.
 */
#ifndef CATALOG_STATE_H
#define CATALOG_STATE_H

#include "catalog/catalog.h"
#include "catalog/layout.h"
#include "catalog/record.h"

/* One catalog in its place. Immutable once it is in a state, shared by reference. */
struct partition {
	unsigned refs; /* atomic */
	struct place place;
	char repository[CATALOG_REPOSITORY_SIZE];
	struct catalog *catalog;
	struct digest digest; /* of its manifest in the registry */
	uint64_t layer_size;  /* bytes */
};

/* Takes over the reference to the catalog, also when it fails; digest and size come later. */
int partition_new(struct partition **ret, const struct layout *layout, const struct place *place,
	struct catalog *catalog, struct error *err) MUST_CHECK;
int partition_new_empty(struct partition **ret, const struct layout *layout,
	const struct place *place, struct error *err) MUST_CHECK;
struct partition *partition_ref(struct partition *p);
void partition_unref(struct partition *p);
/* Pointers to them, by their places: for qsort() and bsearch(). */
int partition_compare(const void *a, const void *b);
DEFINE_CLEANUP(struct partition, partition_unref);

struct state;

/* Without any catalog: state_replace() gives it the one of a single layout, or the root. */
int state_new(struct state **ret, const struct layout *layout, struct error *err) MUST_CHECK;
struct state *state_ref(struct state *s);
void state_unref(struct state *s);
DEFINE_CLEANUP(struct state, state_unref);

/* ---- reading ---- */

const struct layout *state_layout(const struct state *s);
size_t state_count(const struct state *s); /* resources */
/* Borrowed from the state; NULL where there is none. */
struct resource *state_find(const struct state *s, const char *namespace, const char *name);

/* Catalogs, in the order of their repositories; the root is not among them. */
size_t state_n_partitions(const struct state *s);
struct partition *state_partition(const struct state *s, size_t i);
/* NULL where nothing was ever in it. */
const struct partition *state_partition_at(const struct state *s, const struct place *place);
/* Of the root's manifest; NULL when single. */
const struct digest *state_root(const struct state *s);

/* The one hash over the names and digests of all catalogs, root included. */
int state_digest(struct digest *ret, const struct state *s, struct error *err) MUST_CHECK;

/* Walks resources in the order of their names, and holds the state. It starts after a name that
 * need not be there; "": at the first. */
struct state_cursor;
/* Of one namespace. */
int state_cursor_new(struct state_cursor **ret, struct state *s, const char *namespace,
	const char *after, struct error *err) MUST_CHECK;
/* Of all namespaces, one after the other in the order of key_cmp(). */
int state_cursor_new_all(struct state_cursor **ret, struct state *s, const char *after_namespace,
	const char *after, struct error *err) MUST_CHECK;
void state_cursor_free(struct state_cursor *c);
DEFINE_CLEANUP(struct state_cursor, state_cursor_free);
/* NULL after the last; the cursor stays where it is until state_cursor_advance(). */
const struct resource *state_cursor_at(const struct state_cursor *c);
void state_cursor_advance(struct state_cursor *c);

/* Resources of one namespace; takes two binary searches in each catalog that it may be in. */
size_t state_count_namespace(const struct state *s, const char *namespace);

/* Namespaces that have catalogs; 0 when single. */
size_t state_count_namespaces(const struct state *s);

/* Does it hold anything of other namespaces? Where it is split: has it catalogs of others? */
bool state_has_others(const struct state *s, const char *namespace);

/* Could all resources be in catalogs of that layout, and those in a root? ERROR_UNPROCESSABLE, and
 * why not. */
int state_fits(struct state *s, const struct layout *layout, const struct root_options *root,
	struct error *err) MUST_CHECK;

/* ---- changing ---- */

/* The catalogs that the changes touch, each once, with the changes made; in the order of their
 * repositories, made side by side. The caller frees them with partitions_free(). */
int state_change(const struct state *s, const struct catalog_change *changes, size_t n,
	struct gzips *gzips, struct partition ***ret, size_t *ret_n, struct error *err) MUST_CHECK;
void partitions_free(struct partition **partitions, size_t n);

/* A new state with these catalogs in place of those that were there, or added to them, in the order
 * of their repositories; root: NULL leaves it. */
int state_replace(struct state **ret, const struct state *old, struct partition *const *partitions,
	size_t n, const struct digest *root, struct error *err) MUST_CHECK;

#endif
