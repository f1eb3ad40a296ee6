/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/cluster.h"

#include "base/clock.h"
#include "base/log.h"
#include "cluster/flux.h"
#include "cluster/kube.h"
#include "cluster/metrics.h"
#include "cluster/namespaces.h"
#include "cluster/quarantine.h"
#include "cluster/repartition.h"
#include "cluster/resources.h"
#include "cluster/review.h"
#include "cluster/waker.h"

#include <pthread.h>
#include <stdio.h>

#define VERSION_AHEAD_US (UINT64_C(86400) * 1000000) /* clocks differ, but not by a day */

struct cluster {
	bool quarantines, trusts_registry;
	struct publisher *publisher; /* from cluster_start() on */
	struct feed *feed;
	struct tracker *tracker;
	struct namespaces *namespaces;
	struct repartition *repartition;
	struct kube *kube;     /* NULL: there is no cluster to watch */
	struct review *review; /* likewise */

	/* kube's thread's own */
	struct flux flux;
	struct waker waker;
	struct quarantine quarantine;
	bool sees_resources; /* their first list is complete */
	bool is_ours;        /* its Flux has fetched what is current here */
	uint64_t started_ms;
	bool is_admitted; /* the record was compared with the cluster, or that was given up */
	bool is_compared;

	pthread_mutex_t lock;
	bool restored;    /* at least once */
	uint64_t version; /* of the record that was found then */
};

/* ---- PlatformResources ---- */

static uint64_t version_of(const json_t *object)
{
	uint64_t version = 0;

	if (!resource_tag_parse(slice_of(kube_annotation(object, RESOURCES_VERSION)), &version))
		return 0;
	/* From the future: by whoever can write objects, who must not be able to stop us. */
	return version > clock_realtime_us() + VERSION_AHEAD_US ? 0 : version;
}

static void resource_seen(json_t *object, void *arg)
{
	const json_t *status = json_object_get(object, "status");
	char *text = status == NULL ? NULL : json_dumps(status, JSON_COMPACT);
	struct tracker_object seen = {
		.namespace = kube_string(object, "metadata", "namespace", NULL),
		.name = kube_string(object, "metadata", "name", NULL),
		.version = version_of(object),
		.is_deleting =
			kube_string(object, "metadata", "deletionTimestamp", NULL)[0] != '\0',
		.status = text == NULL ? SLICE_NONE : slice_of(text),
	};
	struct cluster *c = arg;

	tracker_object(c->tracker, &seen);
	free(text);
}

static void resource_gone(json_t *object, void *arg)
{
	struct cluster *c = arg;

	tracker_gone(c->tracker, kube_string(object, "metadata", "namespace", NULL),
		kube_string(object, "metadata", "name", NULL));
}

static void resources_relist(void *arg)
{
	struct cluster *c = arg;

	tracker_relist(c->tracker);
}

static void resources_synced(void *arg)
{
	struct cluster *c = arg;

	c->sees_resources = true;
	c->quarantine.is_blind = false;
	tracker_synced(c->tracker);
}

static void resources_lost(const struct error *why, void *arg)
{
	struct cluster *c = arg;

	c->quarantine.is_blind = true;
	tracker_lost(c->tracker, why->text);
	log_warn("the cluster is not seen", LOG_STR("reason", why->text));
}

/* ---- Flux ---- */

/* A catalog that is new has a Kustomization before its OCIRepository has fetched anything, and the
 * source-controller may be away for a moment. */
static bool waits(const struct flux_failure *failure)
{
	return strcmp(failure->reason, "ArtifactFailed") == 0 ||
	       strcmp(failure->reason, "DependencyNotReady") == 0 ||
	       strcmp(failure->reason, "HealthCheckCanceled") == 0 ||
	       strcmp(failure->reason, FLUX_SUSPENDED) == 0;
}

/* What keeps a catalog from being applied; is_fetch: its OCIRepository. The objects of a new one
 * come with the root, so what keeps that keeps it too. */
static const struct flux_failure *failure_of(
	struct cluster *c, const struct flux_catalog *of, bool *is_fetch, bool *is_of_root)
{
	const struct flux_catalog *root = NULL;

	*is_fetch = of->source.failure.is_failing;
	if (!*is_fetch && !of->kustomization.is_there)
		root = flux_catalog(&c->flux, CATALOG_REPOSITORY);
	*is_of_root = root != NULL && !root->source.failure.is_failing;
	if (*is_fetch)
		return &of->source.failure;
	if (root == NULL)
		return &of->kustomization.failure;
	return root->source.failure.is_failing ? &root->source.failure
					       : &root->kustomization.failure;
}

static void tell_tracker(struct cluster *c, const struct flux_catalog *of)
{
	bool is_fetch, is_of_root;
	const struct flux_failure *failure = failure_of(c, of, &is_fetch, &is_of_root);
	struct tracker_flux flux = {
		.is_failing = failure->is_failing,
		.is_fetch = is_fetch,
		.is_of_root = is_of_root,
		.is_waiting =
			waits(failure) || !of->kustomization.is_there || of->retry.outstanding,
		.reason = failure->reason,
		.message = failure->message,
		.asked_us = waker_time(of->source.handled),
		.attempted = of->kustomization.attempted,
		.applied = of->kustomization.applied,
	};

	if (of->repository[0] != '\0')
		tracker_flux(c->tracker, of->repository, &flux);
}

/* After a list: some may be gone. */
static void tell_of_all(struct cluster *c)
{
	for (size_t i = 0; i < c->flux.n; i++)
		tell_tracker(c, c->flux.catalogs[i]);
}

static void source_said(struct cluster *c, struct flux_catalog *of)
{
	if (of == NULL)
		return;
	waker_seen(&c->waker, of);
	tell_tracker(c, of);
}

static void source_seen(json_t *object, void *arg)
{
	struct cluster *c = arg;

	source_said(c, flux_see_source(&c->flux, object, false));
}

static void source_gone(json_t *object, void *arg)
{
	struct cluster *c = arg;

	source_said(c, flux_see_source(&c->flux, object, true));
}

static void sources_relist(void *arg)
{
	struct cluster *c = arg;

	flux_relist_sources(&c->flux);
}

static void sources_synced(void *arg)
{
	struct cluster *c = arg;

	flux_synced_sources(&c->flux);
	tell_of_all(c);
}

static void kustomization_said(struct cluster *c, struct flux_catalog *of)
{
	if (of == NULL)
		return;
	waker_seen(&c->waker, of);
	tell_tracker(c, of);
	if (c->quarantines)
		quarantine_look(&c->quarantine, of);
}

static void kustomization_seen(json_t *object, void *arg)
{
	struct cluster *c = arg;

	kustomization_said(c, flux_see_kustomization(&c->flux, object, false));
}

static void kustomization_gone(json_t *object, void *arg)
{
	struct cluster *c = arg;

	kustomization_said(c, flux_see_kustomization(&c->flux, object, true));
}

static void kustomizations_relist(void *arg)
{
	struct cluster *c = arg;

	flux_relist_kustomizations(&c->flux);
}

static void kustomizations_synced(void *arg)
{
	struct cluster *c = arg;

	flux_synced_kustomizations(&c->flux);
	tell_of_all(c);
}

/* What was heard of Flux stays true until something else is heard; the watch of resources says
 * that nothing is. */
static void flux_lost(const struct error *why UNUSED, void *arg UNUSED)
{
}

/* ---- Namespaces ---- */

static void namespaces_begin(void *arg)
{
	struct cluster *c = arg;

	namespaces_relist(c->namespaces);
}

static void namespace_seen(json_t *object, void *arg)
{
	struct cluster *c = arg;

	namespaces_see(c->namespaces, object);
}

static void namespace_gone(json_t *object, void *arg)
{
	struct cluster *c = arg;

	namespaces_gone(c->namespaces, object);
}

static void namespaces_end(void *arg)
{
	struct cluster *c = arg;

	namespaces_synced(c->namespaces);
}

static void namespaces_unseen(const struct error *why, void *arg)
{
	struct cluster *c = arg;

	namespaces_lost(c->namespaces, why->code == ERROR_DENIED);
	if (why->code == ERROR_DENIED)
		log_warn("the cluster does not let us see its namespaces: --namespaces decides",
			LOG_STR("reason", why->text));
}

static int add_watches(struct cluster *c, struct error *err)
{
	const struct kube_watch watches[] = {
		{RESOURCES_PATH, RESOURCES_QUERY, resources_relist, resource_seen, resource_gone,
			resources_synced, resources_lost, c},
		{FLUX_SOURCES, NULL, sources_relist, source_seen, source_gone, sources_synced,
			flux_lost, c},
		{FLUX_KUSTOMIZATIONS, NULL, kustomizations_relist, kustomization_seen,
			kustomization_gone, kustomizations_synced, flux_lost, c},
		{"/api/v1/namespaces", NULL, namespaces_begin, namespace_seen, namespace_gone,
			namespaces_end, namespaces_unseen, c},
	};

	for (size_t i = 0; i < ARRAY_SIZE(watches); i++)
		if (kube_add_watch(c->kube, &watches[i], err) != 0)
			return -1;
	return 0;
}

/* ---- the record against the truth ---- */

static bool first_version(struct cluster *c, uint64_t *ret)
{
	bool restored;

	AZ(pthread_mutex_lock(&c->lock));
	restored = c->restored;
	*ret = c->version;
	AZ(pthread_mutex_unlock(&c->lock));
	return restored;
}

/* Everybody is told the reason; the object is for the log. */
static void refuse_record(struct cluster *c, uint64_t record, uint64_t seen, const char *object)
{
	struct error why = ERROR_INIT;
	char last[RECORD_TAG_SIZE] = "none";

	if (record > 0)
		record_tag(record, last);
	error_set(&why, ERROR_UNAVAILABLE,
		"the cluster shows version v%llu, and the registry's last record is %s: it was put "
		"back from an older backup, or is another one. Put the newer registry back, or "
		"take over what the cluster has with \"gsq adopt --from-cluster\", or start with "
		"--trust-registry if the older state is right",
		(unsigned long long)seen, last);
	publisher_close(c->publisher, why.text);
	log_error("read-only", LOG_STR("object", object), LOG_STR("reason", why.text));
}

/* What is needed of the cluster before anything is written has been heard. */
static bool has_answered(const struct cluster *c)
{
	return c->sees_resources && c->flux.sees_kustomizations;
}

static void admit_unseen(struct cluster *c)
{
	if (c->is_admitted || clock_monotonic_ms() - c->started_ms < LIMIT_CLUSTER_FIRST_MS)
		return;
	log_warn("the cluster does not answer: whether the record is older than what it shows will "
		 "be seen when it does");
	c->is_admitted = true;
	publisher_admit(c->publisher, 0);
}

/* Versions only grow, so an object with a higher one than the record's, which no commit of ours
 * since accounts for, is from a later commit. The cluster is asked once, and not waited for for
 * long. */
static void compare(struct cluster *c)
{
	char object[TRACKER_KEY_SIZE];
	uint64_t record, seen;

	if (c->is_compared || !first_version(c, &record))
		return;
	if (!has_answered(c)) {
		admit_unseen(c);
		return;
	}
	c->is_compared = true;
	seen = tracker_stranger(c->tracker, object);
	if (seen > record && !c->trusts_registry)
		refuse_record(c, record, seen, object);
	else
		publisher_admit(c->publisher, seen);
}

/* ---- what commits mean for Flux ---- */

/* Catalogs to be woken, on their way from the publisher's thread to kube's. */
struct commit_note {
	struct cluster *cluster;
	bool repeated;
	size_t n;
	char repositories[][CATALOG_REPOSITORY_SIZE];
};

static void retry(struct cluster *c, const char *repository)
{
	const struct flux_catalog *of = flux_catalog(&c->flux, repository);

	waker_retry(&c->waker, repository);
	if (of != NULL)
		tell_tracker(c, of);
}

static void wake_all(void *arg)
{
	AUTO_FREE struct commit_note *note = arg;
	struct cluster *c = note->cluster;

	for (size_t i = 0; i < note->n; i++)
		if (note->repeated)
			retry(c, note->repositories[i]);
		else
			waker_wake(&c->waker, note->repositories[i]);
}

/* Without memory Flux is woken later, by the sweep. */
static void post_note(struct cluster *c, bool repeated, size_t n, const char *const *repositories)
{
	struct commit_note *note;
	struct error ignored = ERROR_INIT;

	if (c->kube == NULL || n == 0)
		return;
	note = malloc(sizeof(*note) + n * sizeof(note->repositories[0]));
	if (note == NULL)
		return;
	*note = (struct commit_note){.cluster = c, .repeated = repeated, .n = n};
	for (size_t i = 0; i < n; i++)
		snprintf(note->repositories[i], sizeof(note->repositories[i]), "%s",
			repositories[i]);
	if (kube_post(c->kube, wake_all, note, &ignored) != 0)
		free(note);
}

static void set_restored(struct cluster *c, uint64_t version)
{
	AZ(pthread_mutex_lock(&c->lock));
	if (!c->restored)
		c->version = version;
	c->restored = true;
	AZ(pthread_mutex_unlock(&c->lock));
}

static void on_restored(struct state *state, uint64_t version,
	const struct record_repartition *repartition, void *arg)
{
	struct cluster *c = arg;

	set_restored(c, version);
	repartition_restored(c->repartition, repartition, state_layout(state), version);
	tracker_reset(c->tracker, state, version);
	namespaces_look_at_all(c->namespaces);
}

static void on_committed(const struct publisher_event *event, void *arg)
{
	struct cluster *c = arg;

	tracker_committed(c->tracker, event);
	post_note(c, false, event->n_catalogs, event->catalogs);
	for (size_t i = 0; i < event->n_changes; i++)
		if (event->changes[i].resource != NULL)
			namespaces_look(c->namespaces, event->changes[i].namespace);
}

static void on_repeated(const char *repository, void *arg)
{
	struct cluster *c = arg;

	tracker_retried(c->tracker, repository);
	post_note(c, true, 1, &repository);
}

struct publisher_listener cluster_listener(struct cluster *c)
{
	return (struct publisher_listener){
		.restored = on_restored,
		.committed = on_committed,
		.repeated = on_repeated,
		.arg = c,
	};
}

/* ---- now and then ---- */

/* A catalog's manifest carries the version of its commit: no other store has it. */
static bool has_fetched(struct cluster *c, const struct state *state)
{
	const struct flux_catalog *root = flux_catalog(&c->flux, CATALOG_REPOSITORY);
	const struct digest *current = state == NULL ? NULL : state_root(state);

	if (root == NULL || state == NULL)
		return false;
	if (current == NULL && state_n_partitions(state) > 0)
		current = &state_partition(state, 0)->digest;
	return current != NULL && digest_eq(&root->source.artifact, current);
}

static void tick(void *arg)
{
	struct cluster *c = arg;
	CLEANUP(state_unrefp) struct state *state = publisher_state(c->publisher, NULL);

	tracker_expire(c->tracker);
	repartition_tick(c->repartition, c->publisher);
	compare(c);
	waker_tick(&c->waker, c->flux.sees_sources ? state : NULL);
	c->is_ours = c->is_ours || has_fetched(c, state);
	namespaces_tick(c->namespaces, c->publisher, c->is_ours);
	if (c->quarantines)
		quarantine_tick(&c->quarantine, &c->flux);
}

/* ---- life ---- */

static int make(struct cluster *c, const struct cluster_options *options, struct error *err)
{
	struct repartition_options repartition = {.flux = &c->flux, .waker = &c->waker};

	if (feed_new(&c->feed, err) != 0 ||
		tracker_new(&c->tracker, c->feed, options->config != NULL, err) != 0 ||
		namespaces_new(&c->namespaces, err) != 0)
		return -1;
	if (options->config != NULL &&
		(kube_new(&c->kube, options->config, err) != 0 ||
			review_new(&c->review, c->kube, options->audiences, err) != 0))
		return -1;
	repartition.kube = c->kube;
	repartition.tracker = c->tracker;
	return repartition_new(&c->repartition, &repartition, err);
}

int cluster_new(struct cluster **ret, const struct cluster_options *options, struct error *err)
{
	struct cluster *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return error_no_memory(err);
	AZ(pthread_mutex_init(&c->lock, NULL));
	c->quarantines = options->quarantine;
	c->trusts_registry = options->trust_registry;
	if (make(c, options, err) != 0) {
		cluster_free(c);
		return -1;
	}
	*ret = c;
	return 0;
}

int cluster_start(struct cluster *c, struct publisher *publisher, struct error *err)
{
	c->publisher = publisher;
	if (c->kube == NULL)
		return 0;
	c->waker = (struct waker){.kube = c->kube, .flux = &c->flux};
	c->quarantine = (struct quarantine){.tracker = c->tracker,
		.namespaces = c->namespaces,
		.publisher = publisher,
		.kube = c->kube};
	c->started_ms = clock_monotonic_ms();
	if (add_watches(c, err) != 0)
		return -1;
	kube_on_tick(c->kube, tick, c);
	return kube_start(c->kube, err);
}

void cluster_stop(struct cluster *c)
{
	if (c != NULL && c->kube != NULL)
		kube_stop(c->kube);
}

void cluster_free(struct cluster *c)
{
	if (c == NULL)
		return;
	kube_free(c->kube);
	review_free(c->review);
	repartition_free(c->repartition);
	namespaces_free(c->namespaces);
	tracker_free(c->tracker);
	feed_free(c->feed);
	flux_done(&c->flux);
	AZ(pthread_mutex_destroy(&c->lock));
	free(c);
}

/* ---- asking ---- */

bool cluster_is_watched(const struct cluster *c)
{
	return c->kube != NULL;
}

struct tracker *cluster_tracker(struct cluster *c)
{
	return c->tracker;
}

struct feed *cluster_feed(struct cluster *c)
{
	return c->feed;
}

struct reviewer cluster_reviewer(struct cluster *c)
{
	return c->review == NULL ? (struct reviewer){.arg = NULL} : review_reviewer(c->review);
}

int cluster_namespace(struct cluster *c, const char *namespace, struct error *err)
{
	return c->kube == NULL ? -1 : namespaces_check(c->namespaces, namespace, err);
}

bool cluster_lacks_namespace(struct cluster *c, const char *namespace)
{
	return c->kube != NULL && namespaces_lacks(c->namespaces, namespace);
}

int cluster_repartition(
	struct cluster *c, const struct layout *to, struct author *author, struct error *err)
{
	if (c->kube == NULL)
		return error_set(err, ERROR_UNPROCESSABLE,
			"the layout changes step by step, as Flux follows, so the server has to "
			"see "
			"the cluster: start it with --kubeconfig or --in-cluster");
	return repartition_begin(c->repartition, c->publisher, to, author, err);
}

void cluster_repartition_progress(struct cluster *c, struct repartition_progress *ret)
{
	CLEANUP(state_unrefp) struct state *state = publisher_state(c->publisher, NULL);

	repartition_progress(c->repartition, ret);
	if (ret->step != REPARTITION_NONE || state == NULL)
		return;
	ret->from = ret->to = *state_layout(state);
}
