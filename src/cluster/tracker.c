/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "cluster/metrics.h"
#include "cluster/tracker_internal.h"

#include <stdio.h>

#define SHARE 64 /* waits told each time that the lock is taken */

/* ---- life ---- */

int tracker_new(struct tracker **ret, struct feed *feed, bool watching, struct error *err)
{
	struct tracker *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return error_no_memory(err);
	t->feed = feed;
	t->watching = watching;
	t->monotonic_ms = clock_monotonic_ms;
	t->started_us = clock_realtime_us();
	arc4random_buf(&t->key, sizeof(t->key));
	buf_init(&t->text, LIMIT_TRACKER_EVENT);
	AZ(pthread_mutex_init(&t->lock, NULL));
	metric_set(&cluster_metric_watch_up, METRIC_NO_LABELS, 0);
	*ret = t;
	return 0;
}

void tracker_free(struct tracker *t)
{
	if (t == NULL)
		return;
	ASSERT(t->n_waits == 0 && t->ended == NULL);
	tracked_free_all(t);
	state_unref(t->state);
	buf_done(&t->text);
	AZ(pthread_mutex_destroy(&t->lock));
	free(t);
}

void tracker_set_clock(struct tracker *t, uint64_t (*monotonic_ms)(void))
{
	t->monotonic_ms = monotonic_ms;
}

bool tracker_is_known(const struct tracker *t)
{
	return t->watching && t->state != NULL && t->was_synced && !t->is_incomplete &&
	       !(t->is_lost && t->monotonic_ms() - t->lost_ms > LIMIT_CLUSTER_LOST_MS);
}

void tracker_unlock_and_tell(struct tracker *t)
{
	struct tracker_wait ended[SHARE];
	size_t n = tracker_take_ended(t, ended, SHARE);

	AZ(pthread_mutex_unlock(&t->lock));
	feed_wake(t->feed);
	while (n > 0) {
		for (size_t i = 0; i < n; i++)
			ended[i].done(ended[i].arg);
		AZ(pthread_mutex_lock(&t->lock));
		n = tracker_take_ended(t, ended, SHARE);
		AZ(pthread_mutex_unlock(&t->lock));
	}
}

/* ---- what follows from what is known ---- */

static bool is_named(const struct tracked *e, const char *message)
{
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	const char *rest;

	return flux_message_object(message, namespace, name, &rest) &&
	       strncmp(e->key, namespace, e->namespace_len) == 0 &&
	       namespace[e->namespace_len] == '\0' &&
	       strcmp(e->key + e->namespace_len + 1, name) == 0;
}

/* What a failure of the catalog means for something of it that is not yet there. A failed attempt
 * at what was current before tells nothing of what is current now. */
static enum verdict judge_failure(const struct tracked *e, const struct wanted *w)
{
	const struct tracked_catalog *c = e->catalog;
	uint64_t attempted;
	bool named;

	if (c == NULL || !c->is_failing)
		return VERDICT_PENDING;
	if (c->is_waiting)
		return VERDICT_WAITING;
	if (c->is_fetch)
		return w->commit <= c->asked_us ? VERDICT_REFUSED : VERDICT_WAITING;
	attempted = tracked_catalog_commit(c, &c->attempted);
	if (attempted != 0 && attempted < w->commit)
		return VERDICT_PENDING;
	named = c->names_objects && is_named(e, c->message);
	if (attempted == 0) /* perhaps long ago */
		return named ? VERDICT_WAITING : VERDICT_PENDING;
	return named || !c->names_objects ? VERDICT_REFUSED : VERDICT_BLOCKED;
}

enum verdict tracker_judge(const struct tracked *e, const struct wanted *w)
{
	uint64_t seen = e == NULL ? 0 : e->seen;

	if (w->version == 0)
		return e == NULL || (seen == 0 && !e->may_come) ? VERDICT_NONE : VERDICT_DELETING;
	if (w->hold != 0)
		return w->hold == 1 + HOLD_NAMESPACE ? VERDICT_NO_NAMESPACE : VERDICT_QUARANTINED;
	if (e == NULL)
		return VERDICT_PENDING;
	if (e->is_deleting)
		return VERDICT_TERMINATING;
	if (seen == w->version)
		return VERDICT_APPLIED;
	return seen > w->version ? VERDICT_NEWER : judge_failure(e, w);
}

static struct wanted wanted_of(const struct tracked *e)
{
	return (struct wanted){e->wanted, e->commit, e->hold};
}

/* ---- events ---- */

static void begin_event(struct tracker *t, const struct tracked *e, const char *op)
{
	char namespace[LIMIT_NAME + 1];

	tracked_namespace(e, namespace);
	buf_reset(&t->text);
	json_begin_object(&t->text);
	if (op != NULL)
		json_member_cstr(&t->text, "op", op);
	json_member_cstr(&t->text, "namespace", namespace);
	json_member_cstr(&t->text, "name", e->key + e->namespace_len + 1);
}

static void add_version(struct tracker *t, uint64_t version)
{
	char tag[RESOURCE_TAG_SIZE];

	resource_tag(version, tag);
	json_member_cstr(&t->text, "version", tag);
}

static void end_event(struct tracker *t, const char *event, const char *namespace)
{
	json_end_object(&t->text);
	if (t->text.failed == ERROR_NONE)
		feed_add(t->feed, event, namespace, buf_slice(&t->text));
	else
		feed_reset(t->feed);
}

static void tell_phase(struct tracker *t, const struct tracked *e)
{
	struct wanted w = wanted_of(e);
	struct tracker_status status = {.phase = PHASE_UNKNOWN};
	char namespace[LIMIT_NAME + 1];

	tracked_namespace(e, namespace);
	begin_event(t, e, NULL);
	add_version(t, e->wanted != 0 ? e->wanted : e->seen);
	tracker_describe(t, e, &w, "", &status);
	json_key(&t->text, "status");
	tracker_status_json(&status, &t->text);
	end_event(t, "phase", namespace);
}

static void tell_gone(struct tracker *t, const struct tracked *e)
{
	char namespace[LIMIT_NAME + 1];

	tracked_namespace(e, namespace);
	begin_event(t, e, NULL);
	end_event(t, "gone", namespace);
}

enum tell {
	QUIETLY,   /* somebody else tells */
	IF_NEW,    /* where it is another phase, or another reason for it */
	IF_REASON, /* also where it is failed still, for which Flux says something else */
};

/* What is known of it has changed: its phase may have, and it may be no longer worth knowing. */
static void settle(struct tracker *t, struct tracked *e, enum tell tell)
{
	struct wanted w = wanted_of(e);
	enum verdict before = e->verdict, now = tracker_judge(e, &w);
	bool is_new = now != before || (tell == IF_REASON && now == VERDICT_REFUSED);

	tracked_list(e);
	t->counts[before]--;
	t->counts[now]++;
	e->verdict = (uint8_t)now;
	if (verdict_phase(now) != verdict_phase(before) || before == VERDICT_NONE)
		e->since_us = clock_realtime_us();
	if (now == VERDICT_APPLIED && e->committed_us != 0) {
		metric_lap(&cluster_metric_applied, METRIC_NO_LABELS, e->committed_us);
		e->committed_us = 0;
	}
	if (t->n_waits > 0)
		tracker_check_waits(t, e->key, e->hash, e);
	if (is_new && tell != QUIETLY && tracker_is_known(t)) {
		if (now != VERDICT_NONE)
			tell_phase(t, e);
		else if (before == VERDICT_DELETING)
			tell_gone(t, e);
	}
	if (now == VERDICT_NONE)
		tracked_remove(t, e);
}

/* ---- what is wanted ---- */

static void set_wanted(struct tracked *e, uint64_t version, uint64_t commit, uint8_t hold)
{
	e->wanted = version;
	e->commit = commit;
	e->hold = hold;
	e->committed_us = 0;
}

/* Has Flux applied a catalog that is without it? Not known: false. */
static bool is_taken_out(const struct tracked *e)
{
	return tracked_catalog_commit(e->catalog, &e->catalog->applied) >= e->commit;
}

/* What was never seen may be in what Flux applies just now: until it has applied a catalog of
 * later, or nothing at all was ever published. The last one is without it in any case. */
static void set_deleted(struct tracker *t, struct tracked *e)
{
	set_wanted(e, 0, e->catalog == NULL ? 0 : tracked_catalog_last(e->catalog), 0);
	e->may_come = e->commit != 0 && e->seen == 0 && !is_taken_out(e);
	if (!e->may_come)
		return;
	e->deleted_ms = t->monotonic_ms();
	if (t->doubts_ms == 0)
		t->doubts_ms = e->deleted_ms + LIMIT_CLUSTER_LOST_MS;
}

static uint8_t hold_of(const struct resource *r)
{
	return r == NULL || r->hold == NULL ? 0 : (uint8_t)(1 + r->hold->reason);
}

/* Anything may be different: each resource of the state is looked at. */
static void want_resource(struct tracker *t, const struct resource *r)
{
	struct tracked *e = tracked_get(t, r->intent->namespace, r->intent->name);
	bool is_new;

	if (e == NULL)
		return;
	e->is_in_state = true;
	is_new = e->wanted != r->version;
	if (is_new)
		e->since_us = clock_realtime_us();
	if (is_new || e->hold != hold_of(r))
		set_wanted(e, r->version, r->version, hold_of(r));
	settle(t, e, QUIETLY);
	if (is_new && verdict_phase(e->verdict) == PHASE_PENDING &&
		r->version < e->since_us) /* versions are times */
		e->since_us = r->version;
}

static void place_again(struct tracker *t, struct tracked *e, void *arg UNUSED)
{
	e->is_in_state = false;
	tracked_place(t, e);
}

static void want_no_more(struct tracker *t, struct tracked *e, void *arg UNUSED)
{
	if (e->is_in_state)
		return;
	if (e->wanted != 0)
		set_deleted(t, e);
	settle(t, e, QUIETLY);
}

static void want_state(struct tracker *t, struct state *state, uint64_t version)
{
	tracked_each(t, place_again, NULL);
	for (size_t i = 0; i < state_n_partitions(state); i++) {
		const struct partition *p = state_partition(state, i);
		struct tracked_catalog *c = tracked_catalog_get(t, p->repository);

		if (c != NULL)
			tracked_catalog_add(c, &p->digest, version);
		for (size_t r = 0; r < catalog_count(p->catalog); r++)
			want_resource(t, catalog_at(p->catalog, r));
	}
	tracked_each(t, want_no_more, NULL);
}

static bool is_same_state(const struct state *a, const struct state *b)
{
	if (!layout_eq(state_layout(a), state_layout(b)) ||
		state_n_partitions(a) != state_n_partitions(b))
		return false;
	for (size_t i = 0; i < state_n_partitions(a); i++) {
		const struct partition *x = state_partition(a, i), *y = state_partition(b, i);

		if (x != y && (place_cmp(&x->place, &y->place) != 0 ||
				      !digest_eq(&x->digest, &y->digest)))
			return false;
	}
	return true;
}

void tracker_reset(struct tracker *t, struct state *state, uint64_t version)
{
	struct state *old;
	bool was_known;

	AZ(pthread_mutex_lock(&t->lock));
	old = t->state;
	was_known = tracker_is_known(t);
	t->state = state_ref(state);
	if (old == NULL || !is_same_state(old, state)) {
		if (t->watching)
			want_state(t, state, version);
		if (old != NULL || (!was_known && tracker_is_known(t)))
			feed_reset(t->feed);
	}
	tracker_unlock_and_tell(t);
	state_unref(old);
}

/* ---- commits ---- */

static const char *const ops[RECORD_OPS_] = {
	[RECORD_CREATE] = "created",
	[RECORD_UPDATE] = "updated",
	[RECORD_DELETE] = "deleted",
	[RECORD_HOLD] = "held",
	[RECORD_RELEASE] = "released",
};

static void tell_change(struct tracker *t, const struct publisher_change *change, enum phase phase)
{
	char digest[DIGEST_TEXT_SIZE];

	buf_reset(&t->text);
	json_begin_object(&t->text);
	json_member_cstr(&t->text, "op", ops[change->op]);
	json_member_cstr(&t->text, "namespace", change->namespace);
	json_member_cstr(&t->text, "name", change->name);
	add_version(t, change->version);
	if (change->digest.algorithm != DIGEST_NONE)
		json_member_cstr(&t->text, "digest", digest_format(&change->digest, digest));
	json_member_cstr(&t->text, "phase", phase_name(phase));
	end_event(t, "change", change->namespace);
}

/* Of the phase in which the commit has left it. */
static void commit_change(struct tracker *t, const struct publisher_change *change, uint64_t commit)
{
	struct tracked *e = tracked_get(t, change->namespace, change->name);
	struct wanted w;
	enum verdict now;

	if (e == NULL) {
		tell_change(t, change, PHASE_UNKNOWN);
		return;
	}
	if (change->resource == NULL) {
		set_deleted(t, e);
	} else {
		if (e->wanted != change->version)
			e->since_us = clock_realtime_us();
		set_wanted(e, change->version, commit, hold_of(change->resource));
		e->committed_us = e->hold == 0 ? clock_monotonic_us() : 0;
	}
	w = wanted_of(e);
	now = tracker_judge(e, &w);
	if (!tracker_is_known(t)) {
		tell_change(t, change, PHASE_UNKNOWN);
	} else if (now == VERDICT_NONE) {
		tell_change(t, change, PHASE_DELETING);
		tell_gone(t, e);
	} else {
		tell_change(t, change, verdict_phase(now));
	}
	settle(t, e, QUIETLY);
}

/* Which of the catalogs that Flux will fetch has what version. */
static void add_commits(struct tracker *t, const struct publisher_event *event)
{
	const struct layout *layout = state_layout(event->state);

	for (size_t i = 0; i < event->n_catalogs; i++) {
		const struct partition *p;
		struct tracked_catalog *c;
		struct place place;

		if (!layout_repository_parse(layout, slice_of(event->catalogs[i]), &place))
			continue; /* the root, or one of the layout before */
		p = state_partition_at(event->state, &place);
		c = p == NULL ? NULL : tracked_catalog_get(t, p->repository);
		if (c != NULL)
			tracked_catalog_add(c, &p->digest, event->version);
	}
}

static void settle_again(struct tracker *t, struct tracked *e, void *arg UNUSED)
{
	settle(t, e, IF_NEW);
}

void tracker_committed(struct tracker *t, const struct publisher_event *event)
{
	struct state *old;

	AZ(pthread_mutex_lock(&t->lock));
	old = t->state;
	t->state = state_ref(event->state);
	if (t->watching) {
		add_commits(t, event);
		if (old == NULL || !layout_eq(state_layout(old), state_layout(t->state))) {
			tracked_each(t, place_again, NULL);
			tracked_each(t, settle_again, NULL);
		}
	}
	for (size_t i = 0; i < event->n_changes; i++) {
		if (t->watching)
			commit_change(t, &event->changes[i], event->version);
		else
			tell_change(t, &event->changes[i], PHASE_UNKNOWN);
	}
	tracker_unlock_and_tell(t);
	state_unref(old);
}

/* ---- what the cluster shows ---- */

void tracker_relist(struct tracker *t)
{
	AZ(pthread_mutex_lock(&t->lock));
	t->is_listing = true;
	t->list++;
	AZ(pthread_mutex_unlock(&t->lock));
}

static void set_status(struct tracked *e, struct slice status)
{
	if (e->status != NULL && slice_eq(slice_of(e->status), status))
		return;
	free(TAKE_PTR(e->status));
	if (status.n > 0 && status.n <= LIMIT_STATUS_OBJECT)
		e->status = slice_dup(status); /* without memory it is left out */
}

/* Under the lock. */
static void see(struct tracker *t, struct tracked *e, uint64_t version, bool is_deleting,
	struct slice status)
{
	bool is_new = e->seen != version || e->is_deleting != is_deleting;

	e->list = t->list;
	e->seen = version;
	e->is_deleting = is_deleting;
	e->may_come = e->may_come && version == 0;
	set_status(e, status);
	if (is_new)
		settle(t, e, IF_NEW);
}

void tracker_object(struct tracker *t, const struct tracker_object *object)
{
	struct tracked *e;

	AZ(pthread_mutex_lock(&t->lock));
	if (object->version == 0)
		e = tracked_find(t, object->namespace, object->name);
	else
		e = tracked_get(t, object->namespace, object->name);
	if (e != NULL)
		see(t, e, object->version, object->version != 0 && object->is_deleting,
			object->version != 0 ? object->status : SLICE_NONE);
	tracker_unlock_and_tell(t);
}

void tracker_gone(struct tracker *t, const char *namespace, const char *name)
{
	struct tracked *e;

	AZ(pthread_mutex_lock(&t->lock));
	e = tracked_find(t, namespace, name);
	if (e != NULL)
		see(t, e, 0, false, SLICE_NONE);
	tracker_unlock_and_tell(t);
}

static void see_if_listed(struct tracker *t, struct tracked *e, void *arg UNUSED)
{
	if (e->seen != 0 && e->list != t->list)
		see(t, e, 0, false, SLICE_NONE);
}

void tracker_synced(struct tracker *t)
{
	bool was_known;

	AZ(pthread_mutex_lock(&t->lock));
	was_known = tracker_is_known(t);
	if (t->is_listing)
		tracked_each(t, see_if_listed, NULL);
	t->is_listing = false;
	t->was_synced = true;
	t->is_lost = false;
	t->why[0] = '\0';
	if (!was_known && tracker_is_known(t))
		feed_reset(t->feed);
	tracker_unlock_and_tell(t);
	metric_set(&cluster_metric_watch_up, METRIC_NO_LABELS, 1);
}

void tracker_lost(struct tracker *t, const char *why)
{
	AZ(pthread_mutex_lock(&t->lock));
	if (!t->is_lost) {
		t->is_lost = true;
		t->lost_ms = t->monotonic_ms();
		t->lost_us = clock_realtime_us();
	}
	snprintf(t->why, sizeof(t->why), "%s", why);
	AZ(pthread_mutex_unlock(&t->lock));
	metric_set(&cluster_metric_watch_up, METRIC_NO_LABELS, 0);
}

/* ---- what Flux says ---- */

/* Flux's message, of which only the beginning may be kept. */
static void set_message(struct tracked_catalog *c, const char *message)
{
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	size_t n = strnlen(message, LIMIT_FLUX_MESSAGE);
	const char *rest;

	free(c->message);
	c->message = n == 0 ? NULL : slice_dup((struct slice){message, n});
	c->names_objects =
		c->message != NULL && flux_message_object(c->message, namespace, name, &rest);
}

/* True where that is news to those that have failed. Flux says of a catalog that it cannot build
 * something else each time, as it names a folder of its own. */
static bool set_text(struct tracked_catalog *c, const struct tracker_flux *flux)
{
	const char *message = c->message == NULL ? "" : c->message;
	bool same_message = strncmp(message, flux->message, LIMIT_FLUX_MESSAGE) == 0;
	bool same_reason = strncmp(c->reason, flux->reason, sizeof(c->reason) - 1) == 0;

	if (!same_message)
		set_message(c, flux->message);
	snprintf(c->reason, sizeof(c->reason), "%s", flux->reason);
	return !same_reason || (!same_message && c->names_objects);
}

void tracker_flux(struct tracker *t, const char *repository, const struct tracker_flux *flux)
{
	struct tracked_catalog *c;
	struct tracked *next;
	enum tell tell = IF_NEW;

	AZ(pthread_mutex_lock(&t->lock));
	c = tracked_catalog_get(t, repository);
	if (c != NULL) {
		if (set_text(c, flux))
			tell = IF_REASON;
		c->is_failing = flux->is_failing;
		c->is_fetch = flux->is_fetch;
		c->is_of_root = flux->is_of_root;
		c->asked_us = flux->asked_us;
		c->is_waiting = flux->is_waiting;
		c->attempted = flux->attempted;
		c->applied = flux->applied;
		for (struct tracked *e = c->unsettled; e != NULL; e = next) {
			next = e->next_unsettled;
			e->may_come = e->may_come && !is_taken_out(e);
			settle(t, e, tell);
		}
	}
	tracker_unlock_and_tell(t);
}

static void settle_doubt(struct tracker *t, struct tracked *e, uint64_t now_ms)
{
	const struct tracked_catalog *c = e->catalog;
	uint64_t due_ms = e->deleted_ms + LIMIT_CLUSTER_LOST_MS;

	if (due_ms <= now_ms && tracked_catalog_commit(c, &c->applied) == 0) {
		e->may_come = false;
		settle(t, e, IF_NEW);
		return;
	}
	if (due_ms <= now_ms)
		due_ms = now_ms + LIMIT_CLUSTER_LOST_MS;
	if (t->doubts_ms == 0 || due_ms < t->doubts_ms)
		t->doubts_ms = due_ms;
}

void tracker_settle_doubts(struct tracker *t)
{
	uint64_t now_ms = t->monotonic_ms();
	struct tracked *next;

	if (t->doubts_ms == 0 || now_ms < t->doubts_ms)
		return;
	t->doubts_ms = 0;
	for (size_t i = 0; i < CATALOG_SLOTS; i++)
		for (const struct tracked_catalog *c = t->catalogs[i]; c != NULL; c = c->next)
			for (struct tracked *e = c->unsettled; e != NULL; e = next) {
				next = e->next_unsettled;
				if (e->may_come)
					settle_doubt(t, e, now_ms);
			}
}

void tracker_retried(struct tracker *t, const char *repository)
{
	struct tracked_catalog *c;
	struct tracked *next;

	AZ(pthread_mutex_lock(&t->lock));
	c = tracked_catalog_get(t, repository);
	if (c != NULL && c->is_failing && !c->is_waiting) {
		c->is_waiting = true;
		for (struct tracked *e = c->unsettled; e != NULL; e = next) {
			next = e->next_unsettled;
			settle(t, e, IF_NEW);
		}
	}
	tracker_unlock_and_tell(t);
}
