/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to cluster. Never wedged: the first object that Flux cannot apply stops all of its
 * catalog. With --quarantine the resource that Flux's message names is held, so that its last
 * applied version, or none, is published in its place, and the others go on.
 *
 * Only a refusal counts, which the same object would meet again: not what may pass by itself, such
 * as a webhook that does not answer. On kube's thread.
 */
#ifndef CLUSTER_QUARANTINE_H
#define CLUSTER_QUARANTINE_H

#include "cluster/flux.h"
#include "cluster/kube.h"
#include "cluster/namespaces.h"
#include "cluster/tracker.h"

struct quarantine {
	struct tracker *tracker;
	struct namespaces *namespaces;
	struct publisher *publisher;
	struct kube *kube;
	bool is_blind;      /* what the cluster has is not seen just now: nothing is held */
	uint64_t looked_ms; /* the last time at all, for quarantine_tick() */
};

/* Flux has said something about the catalog. */
void quarantine_look(struct quarantine *q, struct flux_catalog *c);
/* Now and then: a failure may have been seen before the resource was, or a hold may have failed. */
void quarantine_tick(struct quarantine *q, struct flux *flux);

/* Is it the API server's refusal of the object that a message is about, and not a failure on the
 * way? message: what follows the name (flux_message_object()). */
bool quarantine_is_refusal(const char *message);

#endif
