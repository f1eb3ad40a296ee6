/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cluster_objects.h"

#include "cluster/kube.h"
#include "cluster/resources.h"
#include "intent/draft.h"

#include <pthread.h>
#include <stdio.h>

#define KUSTOMIZATION "kustomize.toolkit.fluxcd.io/name"

#define NAMED 3 /* refused objects whose names are in the error */

/* The first list of a watch; then it is over. All but the lock and what it guards is kube's
 * thread's own until that has ended. */
struct reading {
	struct cluster_objects objects;
	size_t n_refused;
	struct buf refused;  /* names of the first, and why */
	struct error failed; /* what is no fault of an object */

	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t wake;
	bool over;
	struct error outcome;
};

static void clear(struct cluster_objects *o)
{
	for (size_t i = 0; i < o->n; i++)
		intent_unref(o->list[i].intent);
	o->n = o->n_deleting = 0;
}

void cluster_objects_done(struct cluster_objects *o)
{
	clear(o);
	free(o->list);
	*o = (struct cluster_objects){0};
}

/* ---- one object ---- */

/* Those that a user may give. The API server has checked the form of all, so that what is refused
 * here is ours, or Flux's. */
static json_t *labels_of(const json_t *object)
{
	json_t *all = json_object_get(json_object_get(object, "metadata"), "labels");
	json_t *ret = json_object(), *value;
	struct error ignored = ERROR_INIT;
	const char *key;

	json_object_foreach(all, key, value)
	{
		struct draft_label label = {
			slice_of(key), {json_string_value(value), json_string_length(value)}};

		if (intent_label_check(&label, &ignored) == 0 &&
			json_object_set(ret, key, value) != 0) {
			json_decref(ret);
			return NULL;
		}
	}
	return ret;
}

/* As a user would declare it: so the rules are those of a POST. */
static int read_intent(struct intent **ret, const json_t *object, struct error *err)
{
	json_t *spec = json_object_get(object, "spec");
	CLEANUP(json_decrefp)
	json_t *body =
		json_pack("{s:s, s:o, s:O}", "name", kube_string(object, "metadata", "name", NULL),
			"labels", labels_of(object), "spec", spec != NULL ? spec : json_null());
	AUTO_FREE char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;

	if (text == NULL)
		return error_no_memory(err);
	return intent_decode(
		ret, slice_of(text), kube_string(object, "metadata", "namespace", NULL), err);
}

static int read_version(uint64_t *ret, const json_t *object, struct error *err)
{
	const char *text = kube_annotation(object, RESOURCES_VERSION);

	if (resource_tag_parse(slice_of(text), ret) && *ret > 0 && *ret <= LIMIT_VERSION)
		return 0;
	if (*text == '\0')
		return error_set(err, ERROR_INVALID, "it has no annotation " RESOURCES_VERSION);
	return error_set(err, ERROR_INVALID, "its " RESOURCES_VERSION " is no version");
}

static int read_object(struct adopt_object *ret, const json_t *object, struct error *err)
{
	struct adopt_object o;

	if (read_version(&o.version, object, err) != 0 || read_intent(&o.intent, object, err) != 0)
		return -1;
	/* A longer name is none of ours, and its beginning cannot pass for one. */
	snprintf(o.kustomization, sizeof(o.kustomization), "%s", kube_label(object, KUSTOMIZATION));
	*ret = o;
	return 0;
}

/* ---- all of them ---- */

static int add(struct cluster_objects *o, const struct adopt_object *object, struct error *err)
{
	size_t cap = o->cap == 0 ? LIMIT_KUBE_PAGE : 2 * o->cap;
	struct adopt_object *grown;

	if (o->n == LIMIT_ADOPT)
		return error_set(err, ERROR_UNPROCESSABLE,
			"the cluster has more than %d objects of ours", LIMIT_ADOPT);
	if (o->n == o->cap) {
		grown = realloc(o->list, cap * sizeof(*grown));
		if (grown == NULL)
			return error_no_memory(err);
		o->list = grown;
		o->cap = cap;
	}
	o->list[o->n++] = *object;
	return 0;
}

static void refuse(struct reading *r, const json_t *object, const struct error *why)
{
	if (r->n_refused++ < NAMED)
		buf_printf(&r->refused, "%s%s/%s (%.60s)", r->n_refused > 1 ? ", " : "",
			kube_string(object, "metadata", "namespace", NULL),
			kube_string(object, "metadata", "name", NULL), why->text);
}

static void finish(struct reading *r, const struct error *outcome)
{
	AZ(pthread_mutex_lock(&r->lock));
	if (!r->over)
		r->outcome = *outcome;
	r->over = true;
	AZ(pthread_cond_signal(&r->wake));
	AZ(pthread_mutex_unlock(&r->lock));
}

static bool is_over(struct reading *r)
{
	bool over;

	AZ(pthread_mutex_lock(&r->lock));
	over = r->over;
	AZ(pthread_mutex_unlock(&r->lock));
	return over;
}

static void on_relist(void *arg)
{
	struct reading *r = arg;

	if (is_over(r))
		return;
	clear(&r->objects);
	buf_reset(&r->refused);
	r->n_refused = 0;
	r->failed = (struct error)ERROR_INIT;
}

static void on_object(json_t *object, void *arg)
{
	struct reading *r = arg;
	struct error err = ERROR_INIT;
	struct adopt_object o;

	if (is_over(r) || r->failed.code != ERROR_NONE)
		return;
	if (*kube_string(object, "metadata", "deletionTimestamp", NULL) != '\0') {
		r->objects.n_deleting++;
		return;
	}
	if (read_object(&o, object, &err) != 0) {
		if (err.code == ERROR_NO_MEMORY)
			r->failed = err;
		else
			refuse(r, object, &err);
		return;
	}
	if (add(&r->objects, &o, &r->failed) != 0)
		intent_unref(o.intent);
}

/* Nothing is deleted before the list is complete, and what comes after it is not looked at. */
static void on_deleted(json_t *object UNUSED, void *arg UNUSED)
{
}

static void on_synced(void *arg)
{
	struct reading *r = arg;
	struct error outcome = r->failed;

	if (outcome.code == ERROR_NONE && r->n_refused > 0)
		error_set(&outcome, ERROR_UNPROCESSABLE,
			"%zu objects cannot be taken over; correct them, or take their label "
			"app.kubernetes.io/managed-by away: %s%s",
			r->n_refused, r->refused.data != NULL ? r->refused.data : "?",
			r->n_refused > NAMED ? ", ..." : "");
	finish(r, &outcome);
}

static void on_lost(const struct error *why, void *arg)
{
	finish(arg, why);
}

static int wait_for_list(struct reading *r, struct kube *kube, struct error *err)
{
	struct kube_watch watch = {
		.path = RESOURCES_PATH,
		.query = RESOURCES_QUERY,
		.relist = on_relist,
		.object = on_object,
		.deleted = on_deleted,
		.synced = on_synced,
		.lost = on_lost,
		.arg = r,
	};

	if (kube_add_watch(kube, &watch, err) != 0 || kube_start(kube, err) != 0)
		return -1;
	AZ(pthread_mutex_lock(&r->lock));
	while (!r->over)
		AZ(pthread_cond_wait(&r->wake, &r->lock));
	AZ(pthread_mutex_unlock(&r->lock));
	if (r->outcome.code == ERROR_NONE)
		return 0;
	*err = r->outcome;
	return -1;
}

int cluster_objects_read(struct cluster_objects *ret, struct kube_config *config, struct error *err)
{
	struct reading r = {.refused = BUF_INIT(LIMIT_ERROR_TEXT)};
	struct kube *kube = NULL;
	int rc;

	if (kube_new(&kube, config, err) != 0) {
		kube_config_done(config);
		return -1;
	}
	AZ(pthread_mutex_init(&r.lock, NULL));
	AZ(pthread_cond_init(&r.wake, NULL));
	rc = wait_for_list(&r, kube, err);
	kube_stop(kube);
	kube_free(kube);
	AZ(pthread_cond_destroy(&r.wake));
	AZ(pthread_mutex_destroy(&r.lock));
	buf_done(&r.refused);
	if (rc == 0)
		*ret = r.objects;
	else
		cluster_objects_done(&r.objects);
	return rc;
}
