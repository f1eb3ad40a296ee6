/* SPDX-License-Identifier: Apache-2.0 */
/* Private to cluster. What kube.c, kube_request.c and kube_watch.c share. All of it on kube's
 * thread, but for what has a lock. */
#ifndef CLUSTER_KUBE_INTERNAL_H
#define CLUSTER_KUBE_INTERNAL_H

#include "cluster/kube.h"
#include "http/client.h"

#include <pthread.h>
#include <sys/queue.h>

struct kube_post {
	void (*fn)(void *arg);
	void *arg;
	STAILQ_ENTRY(kube_post) next;
};
STAILQ_HEAD(kube_posts, kube_post);

struct kube_call;
TAILQ_HEAD(kube_calls, kube_call);

struct kube_watcher;
STAILQ_HEAD(kube_watchers, kube_watcher);

struct kube {
	struct kube_config config;
	struct http_client *client;
	void (*tick)(void *arg);
	void *tick_arg;
	uint64_t ticked_ms;
	struct kube_watchers watchers;
	struct kube_calls ready;     /* to be sent as soon as no callback of the client runs */
	struct kube_calls under_way; /* sent */
	bool ending;                 /* nothing is sent any more */
	bool started;
	pthread_t thread;

	pthread_mutex_t lock; /* guards what follows */
	struct kube_posts posts;
	bool stopping;
	bool over; /* nothing that is posted would run */
};

/* ---- kube_request.c: one request, for calls and watches ---- */

struct kube_request {
	struct http_call call;
	char *url;
	char *authorization; /* "Authorization: Bearer ..." or NULL */
	const char *headers[4];
};

/* max: bytes of an answer */
void kube_request_init(struct kube_request *req, const char *method, size_t max);
void kube_request_done(struct kube_request *req);

/* Sends it, with the token as it is now. target: what follows the server in the URL.
 * content_type: a header line, or NULL. */
int kube_request_start(struct kube_request *req, struct kube *kube, const char *target,
	const char *content_type, struct error *err) MUST_CHECK;

/* The object of an answer below 300, which the caller owns; else the error that it means. */
int kube_request_answer(const struct kube_request *req, json_t **ret, struct error *err) MUST_CHECK;

/* JSON as the API server writes it. */
int kube_json(json_t **ret, struct slice text, struct error *err) MUST_CHECK;

/* What a Status says
 * (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/); otherwise:
 * where it says nothing. */
int kube_status_error(int status, const json_t *object, const char *otherwise, struct error *err);

/* ---- kube_watch.c ---- */

/* Takes up again what has failed, and sees which watches are accepted. */
void kube_watchers_tick(struct kube *kube);
void kube_watchers_cancel(struct kube *kube); /* kube->ending is set */
void kube_watchers_free(struct kube *kube);

#endif
