/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Kubernetes API as a reviewer of credentials and permissions: TokenReview
 * (authentication.k8s.io/v1) and SubjectAccessReview (authorization.k8s.io/v1),
 * https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
 * https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/
 *
 * Both need the ClusterRole system:auth-delegator. Nothing is remembered here: who asks caches.
 * What Kubernetes knows of a user beside name and groups ("extra") is not passed on.
 *
 * Who has a token of the cluster is asked for by the name that it has there; all others as
 * "gsq:<name>", such as "gsq:oidc:alice", and so are their groups: whatever prefixes the API server
 * itself gives, RBAC for its own users says nothing about these.
 *
 * Why the API cannot be asked, or does not take a token, is for the log alone, once per reason.
 */
#ifndef CLUSTER_REVIEW_H
#define CLUSTER_REVIEW_H

#include "auth/reviewer.h"
#include "cluster/kube.h"

struct review;

/* audiences: a token must be of one of them; NULL-terminated, borrowed until review_free(). NULL:
 * those of the API server. */
int review_new(struct review **ret, struct kube *kube, const char *const *audiences,
	struct error *err) MUST_CHECK;
/* Its functions call done on kube's thread, or before they return. At most LIMIT_REVIEWS_WAITING
 * wait at one time: more are ERROR_UNAVAILABLE, and so are all that wait when one gets no answer
 * within LIMIT_REVIEW_MS. */
struct reviewer review_reviewer(struct review *r);
/* After kube_stop(), which answers all that wait. */
void review_free(struct review *r);
DEFINE_CLEANUP(struct review, review_free);

#endif
