/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to cluster. Wakes Flux: sets the annotation reconcile.fluxcd.io/requestedAt of a
 * catalog's OCIRepository, so that it is fetched now and not at its next interval (DESIGN section
 * 4).
 *
 * Of each catalog one wake is outstanding at most: sent, and not yet handled. What comes meanwhile
 * makes one more when it is. That the last state arrives does not hang on a single wake: see
 * waker_sweep().
 *
 * On kube's thread only.
 */
#ifndef CLUSTER_WAKER_H
#define CLUSTER_WAKER_H

#include "catalog/state.h"
#include "cluster/flux.h"
#include "cluster/kube.h"

struct waker {
	struct kube *kube;
	struct flux *flux;
	uint64_t swept_ms;
	uint64_t token;      /* the last one */
	struct digest root;  /* as Flux had applied it at the last look, */
	unsigned root_looks; /* and how many more are to follow upon that change */
};

/* The catalog of this repository has changed. One that Flux does not know yet comes with the root,
 * so the root is woken. */
void waker_wake(struct waker *w, const char *repository);

/* Makes Flux apply the catalog again though nothing has changed in it: what it refused may pass. */
void waker_retry(struct waker *w, const char *repository);

/* The time of a wake, in microseconds since 1970, of what an object says that it has handled; 0:
 * that was none of ours. */
uint64_t waker_time(const char *handled);

/* The OCIRepository or the Kustomization has said something. */
void waker_seen(struct waker *w, struct flux_catalog *c);

/* Now and then: wakes that Flux does not answer are given up, and catalogs that Flux has not
 * fetched as they are in the state are woken again: after a restart, a failure, a lost answer. And
 * what was forbidden is tried again when the root has been applied, which is what gives rights. */
void waker_tick(struct waker *w, const struct state *state);

#endif
