/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small client of the Kubernetes API: calls, and watches that never end. One thread of its own,
 * on which every callback runs: what these share needs no lock.
 *
 * Names of paths and of what a watch does:
 * https://kubernetes.io/docs/reference/using-api/api-concepts/
 */
#ifndef CLUSTER_KUBE_H
#define CLUSTER_KUBE_H

#include "cluster/kube_config.h"

#include <jansson.h>

struct kube;

/* Takes over the config, but where it fails. Nothing is sent before kube_start(). */
int kube_new(struct kube **ret, struct kube_config *config, struct error *err) MUST_CHECK;
int kube_start(struct kube *kube, struct error *err) MUST_CHECK;
/* Ends the thread: calls under way end with ERROR_UNAVAILABLE, and so does each that is begun then;
 * functions that were posted have run. No callback runs any more. */
void kube_stop(struct kube *kube);
void kube_free(struct kube *kube); /* stopped, or never started */
DEFINE_CLEANUP(struct kube, kube_free);

/* Any thread, also before the start: runs fn on kube's thread, in the order of the posts. fn always
 * runs, at the latest in kube_stop(). ERROR_NO_MEMORY, or ERROR_UNAVAILABLE after kube_stop(): it
 * does not. */
int kube_post(struct kube *kube, void (*fn)(void *arg), void *arg, struct error *err) MUST_CHECK;

/* Runs fn on kube's thread about every LIMIT_KUBE_TICK_MS; before the start. */
void kube_on_tick(struct kube *kube, void (*fn)(void *arg), void *arg);

/* ---- calls: on kube's thread ---- */

/* done() is called once, and not before the function that takes it has returned, but for want of
 * memory. It may begin other calls. */

/* status: 0 when no whole answer came. object: of an answer below 300, borrowed; else NULL. err:
 * for everything else, with the API server's own sentence (the message of its Status);
 * ERROR_NOT_FOUND, ERROR_DENIED (403), ERROR_UNAUTHORIZED, ERROR_CONFLICT, ERROR_UNAVAILABLE. */
typedef void kube_done(int status, json_t *object, const struct error *err, void *arg);

void kube_get(struct kube *kube, const char *path, kube_done *done, void *arg);
/* JSON merge patch (RFC 7396); body is copied. fieldManager is gitops-squared. */
void kube_patch(struct kube *kube, const char *path, struct slice body, kube_done *done, void *arg);
/* POST of JSON, of which nothing is kept there: a review. body is copied, and the copy is wiped
 * when the call has ended. */
void kube_create(struct kube *kube, const char *path, struct slice body, unsigned timeout_ms,
	kube_done *done, void *arg);

/* ---- watches ---- */

/*
 * List, in pages, then watch from there with bookmarks. A watch that ends is taken up again where
 * it was; after 410 Gone, or when that fails, all is listed again. Failures are repeated with
 * growing, jittered pauses of at most LIMIT_KUBE_BACKOFF_MS; 404 (no such kind yet) and 403
 * likewise.
 */
struct kube_watch {
	const char *path;  /* of the collection, "/api/v1/namespaces" */
	const char *query; /* "labelSelector=a%3Db", or NULL */

	/* A list begins: what object() does not name until synced() is gone. */
	void (*relist)(void *arg);
	/* Listed, added or modified. The object is borrowed; managedFields are there still. */
	void (*object)(json_t *object, void *arg);
	void (*deleted)(json_t *object, void *arg);
	/* The list is complete, or (after lost()) a watch goes on from where it was. */
	void (*synced)(void *arg);
	/* Nothing is heard until synced() is called again. Told of each failure in turn, so more
	 * than once. A watch that ends regularly is not lost. */
	void (*lost)(const struct error *why, void *arg);
	void *arg;
};

/* Before kube_start(); copied but for the strings, which must be constants. */
int kube_add_watch(struct kube *kube, const struct kube_watch *watch, struct error *err) MUST_CHECK;

/* ---- reading objects ---- */

/* A string at a path of keys, "" where it is not there:
 *   kube_string(object, "metadata", "name", NULL) */
const char *kube_string(const json_t *object, ...);
/* metadata.annotations[key] and metadata.labels[key], or "". */
const char *kube_annotation(const json_t *object, const char *key);
const char *kube_label(const json_t *object, const char *key);
json_int_t kube_generation(const json_t *object); /* metadata.generation, or 0 */

#endif
