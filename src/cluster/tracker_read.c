/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "cluster/metrics.h"
#include "cluster/tracker_internal.h"

#include <stdio.h>

static const char *const names[PHASES_] = {
	[PHASE_PENDING] = "pending",
	[PHASE_APPLIED] = "applied",
	[PHASE_FAILED] = "failed",
	[PHASE_DELETING] = "deleting",
	[PHASE_UNKNOWN] = "unknown",
};

const char *phase_name(enum phase phase)
{
	ASSERT(phase < PHASES_);
	return names[phase];
}

bool phase_parse(struct slice name, enum phase *ret)
{
	for (unsigned i = 0; i < PHASES_; i++) {
		if (slice_eq(name, slice_of(names[i]))) {
			*ret = (enum phase)i;
			return true;
		}
	}
	return false;
}

enum phase verdict_phase(enum verdict verdict)
{
	static const enum phase phases[VERDICTS_] = {
		[VERDICT_NONE] = PHASE_PENDING,
		[VERDICT_PENDING] = PHASE_PENDING,
		[VERDICT_NEWER] = PHASE_PENDING,
		[VERDICT_TERMINATING] = PHASE_PENDING,
		[VERDICT_BLOCKED] = PHASE_PENDING,
		[VERDICT_WAITING] = PHASE_PENDING,
		[VERDICT_APPLIED] = PHASE_APPLIED,
		[VERDICT_QUARANTINED] = PHASE_FAILED,
		[VERDICT_NO_NAMESPACE] = PHASE_FAILED,
		[VERDICT_REFUSED] = PHASE_FAILED,
		[VERDICT_DELETING] = PHASE_DELETING,
	};

	ASSERT(verdict < VERDICTS_);
	return phases[verdict];
}

/* ---- reasons ---- */

/* The message on one line. */
static void explain(
	struct tracker_status *ret, const char *reason, const char *before, const char *message)
{
	int n;

	snprintf(ret->reason, sizeof(ret->reason), "%s", reason);
	n = snprintf(ret->message, sizeof(ret->message), "%s%s", before, message);
	for (char *p = ret->message; *p != '\0'; p++)
		if (*p == '\n' || *p == '\r' || *p == '\t')
			*p = ' ';
	utf8_make_printable(ret->message, n >= (int)sizeof(ret->message));
	utf8_make_printable(ret->reason, true);
}

/* May it name objects of other namespaces? What an OCIRepository says is about no object, and that
 * Flux is suspended are our own words. */
static bool is_shared(const struct tracker *t, const struct tracked_catalog *c, const char *own)
{
	return (c->is_of_root || strcmp(c->repository, CATALOG_REPOSITORY) == 0) && !c->is_fetch &&
	       strcmp(c->reason, FLUX_SUSPENDED) != 0 && t->state != NULL &&
	       state_has_others(t->state, own);
}

static void explain_hidden(
	struct tracker_status *ret, const char *reason, const char *what, bool is_of_other)
{
	char message[256];

	snprintf(message, sizeof(message),
		is_of_other ? "Flux %s of this catalog until it accepts a resource of another "
			      "namespace."
			    : "Flux %s of this catalog: the Kustomization " ROOT_KUSTOMIZATION
			      " says why.",
		what);
	explain(ret, reason, "", message);
}

/* What Flux says of the catalog. Whoever may read a resource may read those of its namespace, and
 * no others. is_blocked: by another resource; what: Flux does not do. */
static void explain_flux(struct tracker_status *ret, const struct tracker *t,
	const struct tracked *e, bool is_blocked, const char *what)
{
	const struct tracked_catalog *c = e->catalog;
	const char *reason = is_blocked ? "Blocked" : c->reason, *rest;
	const char *message = c->message == NULL ? "" : c->message;
	char own[LIMIT_NAME + 1], namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	char words[LIMIT_FLUX_MESSAGE + 1], before[256] = "";
	bool is_named = flux_message_object(message, namespace, name, &rest);
	size_t n = strlen(message);

	tracked_namespace(e, own);
	if (is_shared(t, c, own)) {
		if (!is_named || strcmp(namespace, own) != 0) {
			explain_hidden(ret, reason, what, is_named);
			return;
		}
		n = flux_message_own(message);
	}
	if (is_blocked && is_named)
		snprintf(before, sizeof(before),
			"Flux %s of this catalog until it accepts " FLUX_OBJECT "%s/%s: ", what,
			namespace, name);
	else if (is_blocked)
		snprintf(before, sizeof(before), "Flux %s of this catalog: ", what);
	snprintf(words, sizeof(words), "%.*s", (int)n, message);
	explain(ret, reason, before, words);
}

static void explain_verdict(const struct tracker *t, enum verdict verdict, const struct tracked *e,
	const char *held, struct tracker_status *ret)
{
	const struct tracked_catalog *c = e == NULL ? NULL : e->catalog;

	switch (verdict) {
	case VERDICT_NEWER:
		explain(ret, "ClusterIsNewer", "",
			"The object in the cluster carries a later version than the accepted one.");
		break;
	case VERDICT_TERMINATING:
		explain(ret, "BeingDeleted", "",
			"The object in the cluster is being deleted, which was not asked for here; "
			"Flux applies it again when it is gone.");
		break;
	case VERDICT_BLOCKED:
		ASSERT(c != NULL);
		explain_flux(ret, t, e, true, "applies nothing");
		break;
	case VERDICT_QUARANTINED:
		explain(ret, "Quarantined", "", held);
		break;
	case VERDICT_NO_NAMESPACE:
		explain(ret, "NamespaceMissing", "", held);
		break;
	case VERDICT_WAITING:
	case VERDICT_REFUSED:
		ASSERT(c != NULL);
		explain_flux(ret, t, e, false, "applies nothing");
		break;
	case VERDICT_DELETING:
		if (c != NULL && c->is_failing)
			explain_flux(ret, t, e, true, "deletes nothing");
		break;
	default:
		break;
	}
}

static void explain_unknown(const struct tracker *t, struct tracker_status *ret)
{
	ret->phase = PHASE_UNKNOWN;
	ret->since_us = t->started_us;
	if (!t->watching) {
		explain(ret, "NoCluster", "",
			"No cluster is watched; give the server access to one, to know what "
			"becomes "
			"of resources.");
	} else if (t->is_incomplete) {
		explain(ret, "NotSeen", "",
			"Memory ran out while the cluster was watched; start the server again.");
	} else if (t->state == NULL || !t->was_synced) {
		explain(ret, "NotSeen", "The cluster has not been heard from yet",
			t->why[0] == '\0' ? "." : "");
		if (t->why[0] != '\0')
			explain(ret, "NotSeen",
				"The cluster has not been heard from yet: ", t->why);
	} else {
		explain(ret, "ClusterUnreachable", "", t->why);
		ret->since_us = t->lost_us;
	}
}

void tracker_describe(struct tracker *t, const struct tracked *e, const struct wanted *w,
	const char *held, struct tracker_status *ret)
{
	enum verdict verdict = tracker_judge(e, w);

	ret->phase = verdict_phase(verdict);
	ret->version = e == NULL ? 0 : e->seen;
	ret->revision[0] = ret->reason[0] = ret->message[0] = '\0';
	if (e != NULL && e->catalog != NULL && e->catalog->applied.algorithm != DIGEST_NONE)
		digest_format(&e->catalog->applied, ret->revision);
	/* A reader may be a little ahead; versions are times. */
	ret->since_us = w->version;
	if (e != NULL && e->wanted == w->version)
		ret->since_us = e->since_us;
	if (tracker_is_known(t))
		explain_verdict(t, verdict, e, held, ret);
	else
		explain_unknown(t, ret);
}

/* ---- asking ---- */

/* What the reader's state wants; the entry may be of the state before it. */
static struct wanted wanted_of(const struct resource *r, const struct tracked *e)
{
	struct wanted w = {.version = 0};

	if (r == NULL)
		return w;
	w.version = r->version;
	w.commit = e != NULL && e->wanted == r->version ? e->commit : r->version;
	w.hold = r->hold == NULL ? 0 : (uint8_t)(1 + r->hold->reason);
	return w;
}

static const char *held_because(const struct resource *r)
{
	return r == NULL || r->hold == NULL ? "" : r->hold->message;
}

static void copy_object(const struct tracked *e, struct tracker_status *ret)
{
	buf_reset(&ret->object);
	if (e != NULL && e->status != NULL)
		buf_puts(&ret->object, e->status);
}

bool tracker_status(struct tracker *t, const char *namespace, const char *name,
	const struct resource *r, bool with_object, struct tracker_status *ret)
{
	const struct tracked *e;
	struct wanted w;
	bool is_there;

	AZ(pthread_mutex_lock(&t->lock));
	e = tracked_find(t, namespace, name);
	w = wanted_of(r, e);
	is_there = tracker_judge(e, &w) != VERDICT_NONE;
	if (is_there)
		tracker_describe(t, e, &w, held_because(r), ret);
	if (is_there && with_object)
		copy_object(e, ret);
	AZ(pthread_mutex_unlock(&t->lock));
	return is_there;
}

/* Of a phase that the current version is not in. */
static void set_phase(struct tracker_status *ret, enum phase phase)
{
	if (ret->phase != phase)
		ret->since_us = clock_realtime_us();
	ret->phase = phase;
	ret->reason[0] = ret->message[0] = '\0';
}

void tracker_status_waited(
	struct tracker *t, const struct tracker_wait *wait, struct tracker_status *ret)
{
	const struct resource *r = NULL;
	const struct tracked *e;
	enum outlook outlook;
	struct wanted w;

	AZ(pthread_mutex_lock(&t->lock));
	if (t->state != NULL && !wait->deleted)
		r = state_find(t->state, wait->namespace, wait->name);
	e = tracked_find(t, wait->namespace, wait->name);
	w = wanted_of(r, e);
	tracker_describe(t, e, &w, held_because(r), ret);
	copy_object(e, ret);
	outlook = tracker_is_known(t) ? tracker_outlook(e, wait) : GOES_ON;
	if (outlook == IS_APPLIED) {
		set_phase(ret, PHASE_APPLIED);
	} else if (outlook == NEVER_COMES) {
		set_phase(ret, PHASE_DELETING);
		explain(ret, "Deleted", "", "It was deleted while it was waited for.");
	}
	AZ(pthread_mutex_unlock(&t->lock));
}

enum phase tracker_phase(struct tracker *t, const struct resource *r)
{
	enum phase phase = PHASE_UNKNOWN;
	const struct tracked *e;
	struct wanted w;

	if (!t->watching)
		return phase;
	AZ(pthread_mutex_lock(&t->lock));
	if (tracker_is_known(t)) {
		e = tracked_find(t, r->intent->namespace, r->intent->name);
		w = wanted_of(r, e);
		phase = verdict_phase(tracker_judge(e, &w));
	}
	AZ(pthread_mutex_unlock(&t->lock));
	return phase;
}

void tracker_status_json(const struct tracker_status *status, struct buf *ret)
{
	char since[CLOCK_RFC3339_SIZE], tag[RESOURCE_TAG_SIZE];

	json_begin_object(ret);
	json_member_cstr(ret, "phase", phase_name(status->phase));
	if (status->version != 0) {
		resource_tag(status->version, tag);
		json_member_cstr(ret, "version", tag);
	}
	if (status->revision[0] != '\0')
		json_member_cstr(ret, "revision", status->revision);
	if (status->reason[0] != '\0')
		json_member_cstr(ret, "reason", status->reason);
	if (status->message[0] != '\0')
		json_member_cstr(ret, "message", status->message);
	clock_rfc3339(status->since_us, since);
	json_member_cstr(ret, "since", since);
	if (status->object.len > 0) {
		json_key(ret, "object");
		buf_add(ret, buf_slice(&status->object));
	}
	json_end_object(ret);
}

/* ---- all of them ---- */

/* Under the lock. */
static void count(struct tracker *t, size_t ret[PHASES_])
{
	for (unsigned i = 0; i < PHASES_; i++)
		ret[i] = 0;
	if (!tracker_is_known(t)) {
		ret[PHASE_UNKNOWN] = t->state == NULL ? 0 : state_count(t->state);
		return;
	}
	for (unsigned i = 0; i < VERDICTS_; i++)
		ret[verdict_phase((enum verdict)i)] += t->counts[i];
}

size_t tracker_deleting(struct tracker *t)
{
	size_t n;

	AZ(pthread_mutex_lock(&t->lock));
	n = tracker_is_known(t) ? t->counts[VERDICT_DELETING] : SIZE_MAX;
	AZ(pthread_mutex_unlock(&t->lock));
	return n;
}

struct stranger {
	uint64_t version;
	char *key;
};

static void look_for_stranger(struct tracker *t UNUSED, struct tracked *e, void *arg)
{
	uint64_t known = e->wanted > e->commit ? e->wanted : e->commit;
	struct stranger *s = arg;

	if (e->seen <= known || e->seen <= s->version)
		return;
	s->version = e->seen;
	snprintf(s->key, TRACKER_KEY_SIZE, "%s", e->key);
}

uint64_t tracker_stranger(struct tracker *t, char ret[TRACKER_KEY_SIZE])
{
	struct stranger s = {.key = ret};

	ret[0] = '\0';
	AZ(pthread_mutex_lock(&t->lock));
	tracked_each(t, look_for_stranger, &s);
	AZ(pthread_mutex_unlock(&t->lock));
	return s.version;
}

/* Since when the oldest is pending, or 0. Under the lock. */
static uint64_t oldest_pending(const struct tracker *t)
{
	uint64_t oldest = 0;

	for (size_t i = 0; i < CATALOG_SLOTS; i++)
		for (const struct tracked_catalog *c = t->catalogs[i]; c != NULL; c = c->next)
			for (const struct tracked *e = c->unsettled; e != NULL;
				e = e->next_unsettled)
				if (verdict_phase(e->verdict) == PHASE_PENDING &&
					(oldest == 0 || e->since_us < oldest))
					oldest = e->since_us;
	return oldest;
}

void tracker_measure(struct tracker *t)
{
	size_t counts[PHASES_];
	uint64_t oldest, now = clock_realtime_us();

	AZ(pthread_mutex_lock(&t->lock));
	count(t, counts);
	oldest = tracker_is_known(t) ? oldest_pending(t) : 0;
	AZ(pthread_mutex_unlock(&t->lock));
	for (unsigned i = 0; i < PHASES_; i++)
		metric_set(&cluster_metric_resources, METRIC_LABELS(names[i]), counts[i]);
	metric_set(&cluster_metric_lag, METRIC_NO_LABELS,
		oldest == 0 || oldest > now ? 0 : now - oldest);
}
