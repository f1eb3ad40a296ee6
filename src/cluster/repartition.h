/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to cluster. From one layout to another on live data, without deleting or making again a
 * single object. What makes that safe: a Kustomization that may not prune (spec.prune: false, seen
 * by Flux) deletes nothing when a resource leaves its catalog, so that the resource can move to
 * another catalog in one commit, whichever of the two Flux looks at first.
 *
 *   freeze  the record says where the way goes, and no catalog may prune; wait until Flux works by
 *           that. Of a single layout that is the operator's own Kustomization, which is patched.
 *   switch  one commit: the new layout is current, and old catalogs that it has not are empty; wait
 *           until Flux has applied all of it
 *   thaw    catalogs may prune again, which also makes Flux apply each of them once more, so that
 *           every object carries the labels of the Kustomization that has it now; the old ones
 *           leave the root, and go without touching an object (deletionPolicy: Orphan)
 *
 * Flux forgets what it should have deleted when it sees a removal while it may not prune. So from
 * before the freeze, when every earlier deletion has been seen done, until after the thaw, when
 * Flux works by it, deletions are refused (publisher_refuse_deletes()). A freeze can be given up by
 * asking for the layout that there is.
 *
 * Every step is in the record (publish/publisher.h), and each wait looks at what the cluster shows:
 * a server that starts again goes on where the last one was.
 *
 * On kube's thread, but where said.
 */
#ifndef CLUSTER_REPARTITION_H
#define CLUSTER_REPARTITION_H

#include "cluster/cluster.h"
#include "cluster/flux.h"
#include "cluster/kube.h"
#include "cluster/waker.h"

struct repartition;

struct repartition_options {
	struct kube *kube;
	struct flux *flux;
	struct waker *waker;
	struct tracker *tracker;
};
int repartition_new(struct repartition **ret, const struct repartition_options *options,
	struct error *err) MUST_CHECK;
void repartition_free(struct repartition *r); /* after the publisher */
DEFINE_CLEANUP(struct repartition, repartition_free);

/* What the record says, after a restore; version: of the record. The publisher's thread. */
void repartition_restored(struct repartition *r, const struct record_repartition *recorded,
	const struct layout *layout, uint64_t version);

/* As cluster_repartition() and cluster_repartition_progress(). Any thread. */
int repartition_begin(struct repartition *r, struct publisher *publisher, const struct layout *to,
	struct author *author, struct error *err) MUST_CHECK;
void repartition_progress(struct repartition *r, struct repartition_progress *ret);

/* Looks whether the next step can be taken, and takes it. */
void repartition_tick(struct repartition *r, struct publisher *publisher);

#endif
