/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster behind Flux: wakes Flux after each commit, watches what becomes of it, and acts on
 * that where it was told to (holds, repartition). All of it is optional: without a Kubernetes API
 * everything else works, and every phase is unknown.
 *
 *   cluster.c      what is watched, and who is told
 *   kube.c         the Kubernetes API: calls and watches
 *   flux.c         Flux's objects as they stand
 *   waker.c        requestedAt, coalesced
 *   tracker.c      phases, waits
 *   feed.c         events for who watches
 *   namespaces.c   which namespaces there are
 *   quarantine.c   holds what Flux refuses
 *   repartition.c  from one layout to another, step by step
 *   review.c       who a token is of, and who may do what
 */
#ifndef CLUSTER_CLUSTER_H
#define CLUSTER_CLUSTER_H

#include "auth/reviewer.h"
#include "cluster/feed.h"
#include "cluster/kube_config.h"
#include "cluster/tracker.h"
#include "publish/publisher.h"

struct cluster;

struct cluster_options {
	struct kube_config *config; /* taken over; NULL: there is no cluster to watch */
	bool quarantine;            /* hold what Flux refuses, so that the others go on */
	const char *const
		*audiences;  /* of tokens that it knows (review.h); NULL: the API server's */
	bool trust_registry; /* start although the cluster shows newer versions than the record */
};

/* The publisher is started in between: with the cluster's listener in its options, and given to
 * cluster_start(). */
int cluster_new(
	struct cluster **ret, const struct cluster_options *options, struct error *err) MUST_CHECK;
struct publisher_listener cluster_listener(struct cluster *c);
int cluster_start(struct cluster *c, struct publisher *publisher, struct error *err) MUST_CHECK;
/* Ends its thread. Before the publisher is freed; the tracker and the feed stay. */
void cluster_stop(struct cluster *c);
void cluster_free(struct cluster *c); /* after the publisher */

bool cluster_is_watched(const struct cluster *c);
struct tracker *cluster_tracker(struct cluster *c);
struct feed *cluster_feed(struct cluster *c);

/* TokenReview and SubjectAccessReview (cluster/review.h), until cluster_free(); after
 * cluster_stop() all is ERROR_UNAVAILABLE. Without a cluster its functions are NULL. */
struct reviewer cluster_reviewer(struct cluster *c);

/* Is the namespace one that can be written to? 1: it is Active in the cluster; 0: it is not, and
 * err says why (ERROR_UNPROCESSABLE); -1: not known, for there is no cluster, nothing is heard from
 * it, or it does not let us see. Any thread. */
int cluster_namespace(struct cluster *c, const char *namespace, struct error *err);

/* As struct root_lacks asks; false where it is not known. Any thread. */
bool cluster_lacks_namespace(struct cluster *c, const char *namespace);

/* ---- repartition: any thread ---- */

enum repartition_step {
	REPARTITION_NONE,   /* never, or long done */
	REPARTITION_FREEZE, /* the old catalogs are told not to prune */
	REPARTITION_SWITCH, /* the new layout is current; Flux applies it */
	REPARTITION_THAW,   /* the catalogs may prune again; the old ones are removed */
	REPARTITION_DONE,
	REPARTITION_STEPS_,
};
const char *repartition_step_name(enum repartition_step step); /* "freeze" */

struct repartition_progress {
	struct layout from, to;
	enum repartition_step step;
	char waits_for[LIMIT_ERROR_TEXT]; /* what Flux has yet to show, or why it does not go on */
};

/* Begins, or goes on: ERROR_CONFLICT while another is under way, or where the store has that layout
 * already; ERROR_UNPROCESSABLE where it cannot be (no cluster, too many resources for one catalog,
 * too many catalogs). What was begun goes on by itself after a restart. */
int cluster_repartition(struct cluster *c, const struct layout *to, struct author *author,
	struct error *err) MUST_CHECK;
void cluster_repartition_progress(struct cluster *c, struct repartition_progress *ret);

#endif
