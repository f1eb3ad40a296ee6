/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to cluster. Which namespaces there are. One object in a namespace that is not there stops
 * Flux from applying the whole catalog (DESIGN invariant 11): so resources of a namespace that goes
 * away are held, which takes them off what Flux applies but not out of the index, and released when
 * it is back; and so is its account in the root (catalog/root.h).
 *
 * On kube's thread, but for what is said to be for any.
 */
#ifndef CLUSTER_NAMESPACES_H
#define CLUSTER_NAMESPACES_H

#include "publish/publisher.h"

#include <jansson.h>

struct namespaces;

int namespaces_new(struct namespaces **ret, struct error *err) MUST_CHECK;
void namespaces_free(struct namespaces *n); /* nothing may be under way: after the publisher */
DEFINE_CLEANUP(struct namespaces, namespaces_free);

/* What a watch of Namespaces says. */
void namespaces_relist(struct namespaces *n);
void namespaces_see(struct namespaces *n, const json_t *object);
void namespaces_gone(struct namespaces *n, const json_t *object);
void namespaces_synced(struct namespaces *n);
/* denied: it will not be told again, so that nothing is known. */
void namespaces_lost(struct namespaces *n, bool denied);

/* As cluster_namespace(). Any thread. */
int namespaces_check(struct namespaces *n, const char *namespace, struct error *err);

/* As struct root_lacks asks. Any thread. */
bool namespaces_lacks(struct namespaces *n, const char *namespace);

/* Resources of it have changed: the next tick looks, where it is not there. Any thread. */
void namespaces_look(struct namespaces *n, const char *namespace);
/* The next tick looks at all that resources or catalogs are in. Any thread. */
void namespaces_look_at_all(struct namespaces *n);

/* Holds and releases what has to be. is_ours: this is the cluster whose Flux applies what is held,
 * as far as can be told; else only a namespace that this process has seen Active can have gone
 * away: the kubeconfig of another cluster must not empty the catalogs. */
void namespaces_tick(struct namespaces *n, struct publisher *publisher, bool is_ours);

#endif
