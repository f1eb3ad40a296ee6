/* SPDX-License-Identifier: Apache-2.0 */
/* What commits want, the cluster shows and Flux says, in any order, and which phase follows. */
#include "test.h"

#include "cluster/metrics.h"
#include "cluster/tracker.h"

#include <pthread.h>
#include <stdio.h>

#define DEFAULT_CATALOG "gitops-squared/catalogs/default/00"
#define FIRST_VERSION 1764000000000000

static struct error err;
static struct gzips gzips;
static uint64_t clock_ms; /* the tracker's */

/* ---- a tracker, a state, and who watches ---- */

struct world {
	struct feed *feed;
	struct feed_position at;
	struct tracker *t;
	struct state *state;
	uint64_t version; /* of the last commit */
};

static uint64_t read_clock(void)
{
	return __atomic_load_n(&clock_ms, __ATOMIC_RELAXED);
}

static struct world world_of(enum layout_kind kind, bool watching)
{
	struct layout layout = {kind, 1};
	struct world w = {.version = FIRST_VERSION};

	clock_ms = 1000000;
	assert_int_equal(feed_new(&w.feed, &err), 0);
	assert_int_equal(tracker_new(&w.t, w.feed, watching, &err), 0);
	tracker_set_clock(w.t, read_clock);
	assert_int_equal(state_new(&w.state, &layout, &err), 0);
	feed_position_now(&w.at, w.feed);
	return w;
}

/* Nothing is wanted, nothing is there, and both are known. */
static struct world new_world(void)
{
	struct world w = world_of(LAYOUT_SPLIT, true);

	tracker_reset(w.t, w.state, w.version);
	tracker_relist(w.t);
	tracker_synced(w.t);
	feed_position_now(&w.at, w.feed);
	return w;
}

static void end_world(struct world *w)
{
	tracker_free(w->t);
	feed_free(w->feed);
	state_unref(w->state);
}

/* ---- commits ---- */

static struct resource *make(const char *namespace, const char *name, uint64_t version)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct digest digest = digest_of(slice_of(name));
	struct resource *r;
	char json[200];

	snprintf(json, sizeof(json),
		"{\"name\":\"%s\",\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}", name);
	assert_int_equal(intent_decode(&intent, slice_of(json), namespace, &err), 0);
	assert_int_equal(resource_new(&r, intent, version, &digest, &err), 0);
	return r;
}

static struct digest digest_at(uint64_t version)
{
	return digest_of((struct slice){(const char *)&version, sizeof(version)});
}

/* Puts or removes, and gives the catalog that it is in a digest of this commit. */
static void change_state(struct world *w, const struct catalog_change *change,
	char repository[CATALOG_REPOSITORY_SIZE])
{
	const struct digest root = digest_of(SLICE("root"));
	struct partition **partitions;
	struct state *s;
	size_t n;

	assert_int_equal(state_change(w->state, change, 1, &gzips, &partitions, &n, &err), 0);
	assert_int_equal(n, 1);
	partitions[0]->digest = digest_at(w->version);
	snprintf(repository, CATALOG_REPOSITORY_SIZE, "%s", partitions[0]->repository);
	assert_int_equal(state_replace(&s, w->state, partitions, n, &root, &err), 0);
	partitions_free(partitions, n);
	state_unref(w->state);
	w->state = s;
}

static void commit(struct world *w, enum record_op op, const char *namespace, const char *name,
	struct resource *r, uint64_t version)
{
	struct catalog_change change = {namespace, name, r};
	struct publisher_change told = {op, namespace, name, version, digest_of(slice_of(name)), r};
	char repository[CATALOG_REPOSITORY_SIZE];
	const char *const repositories[] = {repository};
	struct publisher_event event = {
		.n_changes = 1, .changes = &told, .n_catalogs = 1, .catalogs = repositories};

	change_state(w, &change, repository);
	event.state = w->state;
	event.version = w->version;
	tracker_committed(w->t, &event);
}

/* Each returns the version. */
static uint64_t put(struct world *w, const char *namespace, const char *name)
{
	uint64_t version = ++w->version;
	CLEANUP(resource_unrefp) struct resource *r = make(namespace, name, version);
	bool is_there = state_find(w->state, namespace, name) != NULL;

	commit(w, is_there ? RECORD_UPDATE : RECORD_CREATE, namespace, name, r, version);
	return version;
}

static uint64_t delete (struct world *w, const char *namespace, const char *name)
{
	uint64_t version = ++w->version;

	commit(w, RECORD_DELETE, namespace, name, NULL, version);
	return version;
}

static void hold(struct world *w, const char *name, enum hold_reason reason, const char *message)
{
	struct resource *accepted = state_find(w->state, "default", name);
	CLEANUP(resource_unrefp) struct resource *r = NULL;

	w->version++;
	assert_int_equal(resource_new_held(&r, accepted, reason, NULL, message, &err), 0);
	commit(w, RECORD_HOLD, "default", name, r, accepted->version);
}

static void release(struct world *w, const char *name)
{
	uint64_t version = state_find(w->state, "default", name)->version;
	CLEANUP(resource_unrefp) struct resource *r = make("default", name, version);

	w->version++;
	commit(w, RECORD_RELEASE, "default", name, r, version);
}

/* ---- what is seen ---- */

static void see_with(struct world *w, const char *namespace, const char *name, uint64_t version,
	bool is_deleting, const char *status)
{
	struct tracker_object object = {namespace, name, version, is_deleting, slice_of(status)};

	tracker_object(w->t, &object);
}

static void see(struct world *w, const char *name, uint64_t version)
{
	see_with(w, "default", name, version, false, "");
}

static void flux_says(struct world *w, uint64_t attempted, bool is_fetch, const char *message)
{
	struct tracker_flux flux = {
		.is_failing = message != NULL,
		.is_fetch = is_fetch,
		.asked_us = w->version,
		.reason = message == NULL ? "" : "ReconciliationFailed",
		.message = message == NULL ? "" : message,
		.attempted = digest_at(attempted),
		.applied = digest_at(FIRST_VERSION),
	};

	tracker_flux(w->t, DEFAULT_CATALOG, &flux);
}

static struct tracker_status status_of(struct world *w, const char *name)
{
	struct tracker_status status = {.object = BUF_INIT(LIMIT_STATUS_OBJECT)};
	const struct resource *r = state_find(w->state, "default", name);

	assert_true(tracker_status(w->t, "default", name, r, false, &status));
	if (r != NULL)
		assert_int_equal(tracker_phase(w->t, r), status.phase);
	return status;
}

static void assert_phase(struct world *w, const char *name, const char *phase, const char *reason)
{
	struct tracker_status status = status_of(w, name);

	assert_string_equal(phase_name(status.phase), phase);
	assert_string_equal(status.reason, reason);
}

static bool is_there(struct world *w, const char *name)
{
	struct tracker_status status;

	return tracker_status(
		w->t, "default", name, state_find(w->state, "default", name), false, &status);
}

/* ---- events ---- */

/* "change:{...}\n" for each, until "since", which is a time. */
static void assert_events(struct world *w, const char *expected)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_FEED_BYTES);
	CLEANUP(buf_done) struct buf events = BUF_INIT(LIMIT_FEED_BYTES);
	struct slice rest;

	buf_puts(&events, "");
	assert_int_not_equal(feed_read(w->feed, &w->at, LIMIT_FEED_BYTES, &text), FEED_GONE);
	rest = buf_slice(&text);
	while (rest.n > 0) {
		struct slice line = slice_cut(&rest, '\n');
		const char *since = memmem(line.p, line.n, ",\"since\"", strlen(",\"since\""));

		if (since != NULL)
			line.n = (size_t)(since - line.p);
		if (slice_starts(line, SLICE("event: ")))
			buf_printf(&events, "%.*s:", (int)line.n - 7, line.p + 7);
		if (slice_starts(line, SLICE("data: ")))
			buf_printf(&events, "%.*s\n", (int)line.n - 6, line.p + 6);
	}
	assert_string_equal(events.data, expected);
}

/* Readers are told to list again, and then there is nothing more. */
static void assert_reset(struct world *w)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_FEED_BYTES);

	assert_int_equal(feed_read(w->feed, &w->at, LIMIT_FEED_BYTES, &text), FEED_GONE);
	assert_int_equal(feed_read(w->feed, &w->at, LIMIT_FEED_BYTES, &text), FEED_END);
}

static void skip_events(struct world *w)
{
	feed_position_now(&w->at, w->feed);
}

/* ---- unknown ---- */

static void without_a_cluster_every_phase_is_unknown(void **state UNUSED)
{
	struct world w = world_of(LAYOUT_SPLIT, false);
	size_t counts[PHASES_];

	tracker_reset(w.t, w.state, w.version);
	put(&w, "default", "web");
	assert_phase(&w, "web", "unknown", "NoCluster");
	assert_false(is_there(&w, "other"));
	tracker_counts(w.t, counts);
	assert_int_equal(counts[PHASE_UNKNOWN], 1);
	end_world(&w);
}

static void until_the_cluster_is_listed_phases_are_unknown(void **state UNUSED)
{
	struct world w = world_of(LAYOUT_SPLIT, true);
	uint64_t version;

	tracker_reset(w.t, w.state, w.version);
	version = put(&w, "default", "web");
	assert_phase(&w, "web", "unknown", "NotSeen");
	tracker_lost(w.t, "connection refused");
	assert_phase(&w, "web", "unknown", "NotSeen");
	assert_non_null(strstr(status_of(&w, "web").message, "connection refused"));
	tracker_relist(w.t);
	see(&w, "web", version);
	assert_phase(&w, "web", "unknown", "NotSeen");
	tracker_synced(w.t);
	assert_phase(&w, "web", "applied", "");
	assert_reset(&w);
	end_world(&w);
}

static void a_cluster_that_shows_itself_before_the_registry_deletes_nothing(void **state UNUSED)
{
	struct world w = world_of(LAYOUT_SPLIT, true);
	CLEANUP(resource_unrefp) struct resource *r = make("default", "web", 5);
	struct catalog_change change = {"default", "web", r};
	char repository[CATALOG_REPOSITORY_SIZE];

	tracker_relist(w.t);
	see(&w, "web", 5);
	tracker_synced(w.t);
	assert_events(&w, "");
	change_state(&w, &change, repository);
	tracker_reset(w.t, w.state, w.version);
	assert_phase(&w, "web", "applied", "");
	end_world(&w);
}

static void a_cluster_lost_for_long_makes_phases_unknown_but_not_versions(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	size_t counts[PHASES_];

	see(&w, "web", version);
	skip_events(&w);
	tracker_lost(w.t, "no route to host");
	clock_ms += LIMIT_CLUSTER_LOST_MS;
	tracker_lost(w.t, "connection refused");
	assert_phase(&w, "web", "applied", "");
	clock_ms++;
	assert_phase(&w, "web", "unknown", "ClusterUnreachable");
	assert_string_equal(status_of(&w, "web").message, "connection refused");
	assert_int_equal(status_of(&w, "web").version, version);
	tracker_counts(w.t, counts);
	assert_int_equal(counts[PHASE_UNKNOWN], 1);
	assert_int_equal(counts[PHASE_APPLIED], 0);
	tracker_expire(w.t);
	assert_events(&w, "");
	tracker_synced(w.t);
	assert_phase(&w, "web", "applied", "");
	assert_reset(&w);
	end_world(&w);
}

static void a_short_loss_changes_nothing(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");

	see(&w, "web", version);
	skip_events(&w);
	tracker_lost(w.t, "connection reset");
	clock_ms += LIMIT_CLUSTER_LOST_MS / 2;
	tracker_synced(w.t);
	assert_phase(&w, "web", "applied", "");
	assert_events(&w, "");
	tracker_lost(w.t, "again"); /* which begins anew */
	clock_ms += LIMIT_CLUSTER_LOST_MS / 2 + 1;
	assert_phase(&w, "web", "applied", "");
	end_world(&w);
}

/* ---- versions ---- */

static void a_version_is_pending_until_the_object_carries_it(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t first = put(&w, "default", "web"), second;

	assert_phase(&w, "web", "pending", "");
	assert_int_equal(status_of(&w, "web").version, 0);
	see(&w, "web", first);
	assert_phase(&w, "web", "applied", "");
	second = put(&w, "default", "web");
	assert_phase(&w, "web", "pending", "");
	assert_int_equal(status_of(&w, "web").version, first);
	see(&w, "web", second);
	assert_phase(&w, "web", "applied", "");
	assert_int_equal(status_of(&w, "web").version, second);
	assert_int_equal(tracker_highest(w.t), second);
	end_world(&w);
}

static void an_object_that_carries_no_version_is_not_ours(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version;

	see(&w, "web", 0);
	assert_false(is_there(&w, "web"));
	version = put(&w, "default", "web");
	see(&w, "web", 0);
	assert_phase(&w, "web", "pending", "");
	see(&w, "web", version);
	see(&w, "web", 0);
	assert_phase(&w, "web", "pending", "");
	end_world(&w);
}

static void an_object_whose_name_is_too_long_to_be_ours_is_ignored(void **state UNUSED)
{
	struct world w = new_world();
	size_t counts[PHASES_];
	char name[254] = {0};

	memset(name, 'a', sizeof(name) - 1);
	see(&w, name, 7);
	tracker_gone(w.t, "default", name);
	assert_false(is_there(&w, name));
	tracker_counts(w.t, counts);
	assert_int_equal(counts[PHASE_DELETING], 0);
	end_world(&w);
}

static void a_cluster_that_is_newer_is_pending_and_says_so(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");

	see(&w, "web", version + 1);
	assert_phase(&w, "web", "pending", "ClusterIsNewer");
	assert_int_equal(tracker_highest(w.t), version + 1);
	end_world(&w);
}

static void an_applied_object_that_goes_away_is_pending(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");

	see(&w, "web", version);
	see_with(&w, "default", "web", version, true, "");
	assert_phase(&w, "web", "pending", "BeingDeleted");
	tracker_gone(w.t, "default", "web");
	assert_phase(&w, "web", "pending", "");
	see(&w, "web", version);
	assert_phase(&w, "web", "applied", "");
	end_world(&w);
}

static void what_is_deleted_is_deleting_until_the_object_is_gone(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");

	see(&w, "web", version);
	delete (&w, "default", "web");
	assert_phase(&w, "web", "deleting", "");
	see_with(&w, "default", "web", version, true, "");
	assert_phase(&w, "web", "deleting", "");
	tracker_gone(w.t, "default", "web");
	assert_false(is_there(&w, "web"));
	tracker_gone(w.t, "default", "web");
	end_world(&w);
}

static void what_is_made_again_before_it_is_gone_is_pending(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");

	see(&w, "web", version);
	delete (&w, "default", "web");
	put(&w, "default", "web");
	see_with(&w, "default", "web", version, true, "");
	assert_phase(&w, "web", "pending", "BeingDeleted");
	end_world(&w);
}

static void an_object_that_nobody_wants_any_more_is_deleting(void **state UNUSED)
{
	struct world w = new_world();

	see(&w, "web", 7);
	assert_phase(&w, "web", "deleting", "");
	assert_int_equal(status_of(&w, "web").version, 7);
	end_world(&w);
}

static void what_a_list_does_not_name_is_gone(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t web = put(&w, "default", "web"), db = put(&w, "default", "db");

	see(&w, "web", web);
	see(&w, "db", db);
	see(&w, "stray", 7);
	tracker_relist(w.t);
	see(&w, "web", web);
	tracker_relist(w.t); /* the first list failed */
	assert_phase(&w, "db", "applied", "");
	see(&w, "db", db);
	tracker_synced(w.t);
	assert_phase(&w, "web", "pending", "");
	assert_phase(&w, "db", "applied", "");
	assert_false(is_there(&w, "stray"));
	end_world(&w);
}

static void a_watch_that_goes_on_forgets_nothing(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t web = put(&w, "default", "web");

	see(&w, "web", web);
	tracker_lost(w.t, "cut");
	tracker_synced(w.t);
	assert_phase(&w, "web", "applied", "");
	end_world(&w);
}

/* ---- holds ---- */

static void what_is_held_has_failed_and_says_why(void **state UNUSED)
{
	struct world w = new_world();

	put(&w, "default", "web");
	hold(&w, "web", HOLD_REFUSED, "admission webhook denied the request");
	assert_phase(&w, "web", "failed", "Quarantined");
	assert_string_equal(status_of(&w, "web").message, "admission webhook denied the request");
	put(&w, "default", "db");
	hold(&w, "db", HOLD_NAMESPACE, "the namespace is gone");
	assert_phase(&w, "db", "failed", "NamespaceMissing");
	end_world(&w);
}

static void what_is_released_waits_for_another_attempt(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");

	flux_says(&w, w.version, false, "PlatformResource/default/web dry-run failed: no");
	hold(&w, "web", HOLD_REFUSED, "no");
	release(&w, "web");
	assert_phase(&w, "web", "pending", "");
	flux_says(&w, w.version, false, "PlatformResource/default/web dry-run failed: no");
	assert_phase(&w, "web", "failed", "ReconciliationFailed");
	see(&w, "web", version);
	assert_phase(&w, "web", "applied", "");
	end_world(&w);
}

/* ---- what Flux says ---- */

static void the_object_that_flux_names_has_failed_and_others_are_blocked(void **state UNUSED)
{
	static const char message[] =
		"PlatformResource/default/web dry-run failed (Forbidden): denied\nby policy";
	struct world w = new_world();
	uint64_t applied = put(&w, "default", "applied");

	see(&w, "applied", applied);
	put(&w, "default", "web");
	put(&w, "default", "web-1");
	put(&w, "team-a", "web");
	put(&w, "default", "we");
	flux_says(&w, w.version, false, message);
	assert_phase(&w, "web", "failed", "ReconciliationFailed");
	assert_string_equal(status_of(&w, "web").message,
		"PlatformResource/default/web dry-run failed (Forbidden): denied by policy");
	assert_phase(&w, "web-1", "pending", "Blocked");
	assert_string_equal(status_of(&w, "web-1").message,
		"Flux applies nothing of this catalog until it accepts "
		"PlatformResource/default/web: PlatformResource/default/web dry-run failed "
		"(Forbidden): denied by policy");
	assert_phase(&w, "we", "pending", "Blocked");
	assert_phase(&w, "applied", "applied", "");
	assert_int_equal(tracker_phase(w.t, state_find(w.state, "team-a", "web")), PHASE_PENDING);
	flux_says(&w, w.version, false, NULL);
	assert_phase(&w, "web", "pending", "");
	assert_phase(&w, "web-1", "pending", "");
	end_world(&w);
}

static void a_name_ends_where_the_message_goes_on(void **state UNUSED)
{
	static const char *const named[] = {
		"PlatformResource/default/web",
		"PlatformResource/default/web.",
		"PlatformResource/default/web: x",
		"PlatformResource/default/web-1 and PlatformResource/default/web, too",
	};
	static const char *const others[] = {
		"PlatformResource/default/web-1",
		"PlatformResource/default/web1 x",
		"PlatformResource/default/we x",
		"PlatformResource/team-a/web x",
	};
	struct world w = new_world();

	put(&w, "default", "web");
	for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
		flux_says(&w, w.version, false, named[i]);
		assert_phase(&w, "web", "failed", "ReconciliationFailed");
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		flux_says(&w, w.version, false, others[i]);
		assert_phase(&w, "web", "pending", "Blocked");
	}
	end_world(&w);
}

static void a_failure_that_names_no_object_is_everybodys(void **state UNUSED)
{
	struct world w = new_world();

	put(&w, "default", "web");
	put(&w, "default", "db");
	flux_says(&w, w.version, false, "kustomize build failed");
	assert_phase(&w, "web", "failed", "ReconciliationFailed");
	assert_phase(&w, "db", "failed", "ReconciliationFailed");
	end_world(&w);
}

static void a_catalog_that_is_not_fetched_fails_whatever_is_not_there(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t applied = put(&w, "default", "applied");

	see(&w, "applied", applied);
	put(&w, "default", "web");
	flux_says(&w, FIRST_VERSION, true, "failed to pull artifact");
	put(&w, "default", "db"); /* Flux was not asked since */
	assert_phase(&w, "web", "failed", "ReconciliationFailed");
	assert_phase(&w, "db", "pending", "ReconciliationFailed");
	flux_says(&w, FIRST_VERSION, true, "failed to pull artifact");
	assert_phase(&w, "db", "failed", "ReconciliationFailed");
	assert_phase(&w, "applied", "applied", "");
	end_world(&w);
}

static void a_failed_attempt_says_nothing_of_later_versions(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t attempted;

	put(&w, "default", "web");
	attempted = w.version;
	flux_says(&w, attempted, false, "PlatformResource/default/web dry-run failed: no");
	assert_phase(&w, "web", "failed", "ReconciliationFailed");
	put(&w, "default", "web");
	put(&w, "default", "db");
	assert_phase(&w, "web", "pending", "");
	assert_phase(&w, "db", "pending", "");
	flux_says(&w, w.version, false, "PlatformResource/default/web dry-run failed: no");
	assert_phase(&w, "web", "failed", "ReconciliationFailed");
	assert_phase(&w, "db", "pending", "Blocked");
	end_world(&w);
}

static void an_attempt_at_something_unknown_concerns_only_whom_it_names(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t applied = put(&w, "default", "applied");

	see(&w, "applied", applied);
	put(&w, "default", "web");
	put(&w, "default", "db");
	flux_says(&w, 1, false, "PlatformResource/default/web dry-run failed: no");
	assert_phase(&w, "web", "failed", "ReconciliationFailed");
	assert_phase(&w, "db", "pending", "");
	flux_says(&w, 1, false, "PlatformResource/default/applied dry-run failed: no");
	assert_phase(&w, "applied", "applied", "");
	flux_says(&w, 1, false, "kustomize build failed");
	assert_phase(&w, "web", "pending", "");
	end_world(&w);
}

static void as_many_commits_as_the_limit_are_remembered(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t first, second;

	put(&w, "default", "web");
	first = w.version;
	put(&w, "default", "other");
	second = w.version;
	for (unsigned i = 2; i < LIMIT_TRACKED_COMMITS; i++)
		put(&w, "default", "other");
	flux_says(&w, first, false, "kustomize build failed");
	assert_phase(&w, "web", "failed", "ReconciliationFailed");
	put(&w, "default", "other");
	flux_says(&w, first, false, "kustomize build failed");
	assert_phase(&w, "web", "pending", "");
	flux_says(&w, second, false, "kustomize build failed");
	assert_phase(&w, "web", "failed", "ReconciliationFailed");
	end_world(&w);
}

static void what_flux_has_said_before_a_restart_is_understood_after_it(void **state UNUSED)
{
	struct world w = new_world();
	struct tracker *again;

	put(&w, "default", "web");
	assert_int_equal(tracker_new(&again, w.feed, true, &err), 0);
	tracker_free(w.t);
	w.t = again;
	flux_says(&w, w.version, false, "PlatformResource/default/web dry-run failed: no");
	tracker_reset(w.t, w.state, w.version + 10);
	tracker_synced(w.t);
	assert_phase(&w, "web", "failed", "ReconciliationFailed");
	end_world(&w);
}

static void a_deletion_says_what_flux_waits_for(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");

	see(&w, "web", version);
	put(&w, "default", "db");
	delete (&w, "default", "web");
	flux_says(&w, w.version, false, "PlatformResource/default/db dry-run failed: no");
	assert_phase(&w, "web", "deleting", "Blocked");
	end_world(&w);
}

static void a_long_message_is_cut_between_characters(void **state UNUSED)
{
	struct world w = new_world();
	CLEANUP(buf_done) struct buf message = BUF_INIT(MIB);
	struct slice rest;
	struct tracker_status status;
	uint32_t c;

	put(&w, "default", "web");
	buf_puts(&message, "x");
	for (unsigned i = 0; i < 60000; i++)
		buf_puts(&message, "\xc3\xa9");
	flux_says(&w, w.version, false, message.data);
	status = status_of(&w, "web");
	assert_true(strlen(status.message) > sizeof(status.message) - 4);
	rest = slice_of(status.message);
	while (utf8_next(&rest, &c))
		assert_true(c == 'x' || c == 0xe9);
	assert_int_equal(rest.n, 0);
	end_world(&w);
}

static void a_single_catalog_is_known_by_its_repository(void **state UNUSED)
{
	struct world w = world_of(LAYOUT_SINGLE, true);
	struct tracker_flux flux = {.is_failing = true, .reason = "BuildFailed", .message = "no"};

	tracker_reset(w.t, w.state, w.version);
	tracker_synced(w.t);
	put(&w, "default", "web");
	flux.attempted = digest_at(w.version);
	tracker_flux(w.t, CATALOG_REPOSITORY, &flux);
	assert_phase(&w, "web", "failed", "BuildFailed");
	end_world(&w);
}

/* ---- JSON ---- */

static void a_status_is_written_with_what_there_is(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct tracker_status status = {.object = BUF_INIT(LIMIT_STATUS_OBJECT)};
	CLEANUP(buf_done) struct buf text = BUF_INIT(MIB);
	char expected[512], revision[DIGEST_TEXT_SIZE];
	struct digest applied = digest_at(FIRST_VERSION);

	flux_says(&w, w.version, false, NULL);
	see_with(&w, "default", "web", version, false, "{\"ready\":true}");
	assert_true(tracker_status(
		w.t, "default", "web", state_find(w.state, "default", "web"), true, &status));
	status.since_us = FIRST_VERSION;
	tracker_status_json(&status, &text);
	snprintf(expected, sizeof(expected),
		"{\"phase\":\"applied\",\"version\":\"v%llu\",\"revision\":\"%s\","
		"\"since\":\"2025-11-24T16:00:00.000000Z\",\"object\":{\"ready\":true}}",
		(unsigned long long)version, digest_format(&applied, revision));
	assert_string_equal(text.data, expected);
	buf_done(&status.object);
	buf_reset(&text);
	status =
		(struct tracker_status){.phase = PHASE_FAILED, .reason = "A", .message = "b \"c\""};
	tracker_status_json(&status, &text);
	assert_string_equal(text.data,
		"{\"phase\":\"failed\",\"reason\":\"A\",\"message\":\"b \\\"c\\\"\","
		"\"since\":\"1970-01-01T00:00:00.000000Z\"}");
	end_world(&w);
}

static void a_status_of_an_object_that_is_too_large_is_left_out(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct tracker_status status = {.object = BUF_INIT(MIB)};
	CLEANUP(buf_done) struct buf large = BUF_INIT(MIB);

	for (size_t i = 0; i <= LIMIT_STATUS_OBJECT; i++)
		buf_putc(&large, '1');
	see_with(&w, "default", "web", version, false, "{}");
	see_with(&w, "default", "web", version, false, large.data);
	assert_true(tracker_status(
		w.t, "default", "web", state_find(w.state, "default", "web"), true, &status));
	assert_int_equal(status.object.len, 0);
	see_with(&w, "default", "web", version, false, large.data + 1);
	assert_true(tracker_status(
		w.t, "default", "web", state_find(w.state, "default", "web"), true, &status));
	assert_int_equal(status.object.len, LIMIT_STATUS_OBJECT);
	buf_done(&status.object);
	end_world(&w);
}

static void phases_are_read_back(void **state UNUSED)
{
	enum phase phase;

	for (unsigned i = 0; i < PHASES_; i++) {
		assert_true(phase_parse(slice_of(phase_name((enum phase)i)), &phase));
		assert_int_equal(phase, i);
	}
	assert_false(phase_parse(SLICE("Applied"), &phase));
	assert_false(phase_parse(SLICE(""), &phase));
}

static void since_is_when_the_phase_of_the_version_began(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t before = clock_realtime_us(), version, pending, applied;

	version = put(&w, "default", "web");
	pending = status_of(&w, "web").since_us;
	assert_true(pending >= before);
	flux_says(&w, 1, false, "something");
	assert_int_equal(status_of(&w, "web").since_us, pending);
	see(&w, "web", version);
	applied = status_of(&w, "web").since_us;
	assert_true(applied >= pending);
	see_with(&w, "default", "web", version, false, "{}");
	assert_int_equal(status_of(&w, "web").since_us, applied);
	put(&w, "default", "web");
	pending = status_of(&w, "web").since_us;
	assert_true(pending >= applied);
	end_world(&w);
}

static void after_a_restart_a_version_is_pending_since_it_was_made(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct tracker *again;

	assert_int_equal(tracker_new(&again, w.feed, true, &err), 0);
	tracker_free(w.t);
	w.t = again;
	tracker_reset(w.t, w.state, w.version);
	tracker_synced(w.t);
	assert_int_equal(status_of(&w, "web").since_us, version);
	end_world(&w);
}

/* ---- events ---- */

static void commits_and_changes_of_phase_are_told_in_order(void **state UNUSED)
{
	struct world w = new_world();
	char expected[2048], digest[DIGEST_TEXT_SIZE];
	struct digest d = digest_of(SLICE("web"));
	unsigned long long v;

	v = put(&w, "default", "web");
	digest_format(&d, digest);
	snprintf(expected, sizeof(expected),
		"change:{\"op\":\"created\",\"namespace\":\"default\",\"name\":\"web\","
		"\"version\":\"v%llu\",\"digest\":\"%s\",\"phase\":\"pending\"}\n",
		v, digest);
	assert_events(&w, expected);
	see(&w, "web", v);
	see(&w, "web", v);
	snprintf(expected, sizeof(expected),
		"phase:{\"namespace\":\"default\",\"name\":\"web\",\"version\":\"v%llu\","
		"\"status\":{\"phase\":\"applied\",\"version\":\"v%llu\"\n",
		v, v);
	assert_events(&w, expected);
	snprintf(expected, sizeof(expected),
		"change:{\"op\":\"deleted\",\"namespace\":\"default\",\"name\":\"web\","
		"\"version\":\"v%llu\",\"digest\":\"%s\",\"phase\":\"deleting\"}\n"
		"gone:{\"namespace\":\"default\",\"name\":\"web\"}\n",
		(unsigned long long)delete (&w, "default", "web"), digest);
	tracker_gone(w.t, "default", "web");
	assert_events(&w, expected);
	end_world(&w);
}

static void what_never_was_in_the_cluster_is_gone_at_once(void **state UNUSED)
{
	struct world w = new_world();
	CLEANUP(buf_done) struct buf text = BUF_INIT(MIB);

	put(&w, "default", "web");
	skip_events(&w);
	delete (&w, "default", "web");
	assert_int_equal(feed_read(w.feed, &w.at, MIB, &text), FEED_EVENTS);
	assert_non_null(strstr(text.data, "\"op\":\"deleted\""));
	assert_non_null(strstr(text.data, "event: gone"));
	end_world(&w);
}

static void holds_and_releases_are_told_as_what_they_are(void **state UNUSED)
{
	struct world w = new_world();
	CLEANUP(buf_done) struct buf text = BUF_INIT(MIB);

	put(&w, "default", "web");
	skip_events(&w);
	hold(&w, "web", HOLD_REFUSED, "no");
	assert_int_equal(feed_read(w.feed, &w.at, MIB, &text), FEED_EVENTS);
	assert_non_null(strstr(text.data, "\"op\":\"held\""));
	assert_non_null(strstr(text.data, "\"phase\":\"failed\"}"));
	buf_reset(&text);
	release(&w, "web");
	assert_int_equal(feed_read(w.feed, &w.at, MIB, &text), FEED_EVENTS);
	assert_non_null(strstr(text.data, "\"op\":\"released\""));
	assert_non_null(strstr(text.data, "\"phase\":\"pending\"}"));
	end_world(&w);
}

static size_t count_events(struct world *w)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_FEED_BYTES);
	size_t n = 0;

	assert_int_not_equal(feed_read(w->feed, &w->at, LIMIT_FEED_BYTES, &text), FEED_GONE);
	for (const char *at = text.data; at != NULL && (at = strstr(at, "event: ")) != NULL; at++)
		n++;
	return n;
}

static void a_failure_is_told_once_and_again_where_flux_says_something_else(void **state UNUSED)
{
	struct world w = new_world();

	put(&w, "default", "web");
	put(&w, "default", "db");
	skip_events(&w);
	flux_says(&w, w.version, false, "PlatformResource/default/web dry-run failed: no");
	assert_int_equal(count_events(&w), 2);
	flux_says(&w, w.version, false, "PlatformResource/default/web dry-run failed: no");
	assert_int_equal(count_events(&w), 0);
	flux_says(&w, w.version, false, "PlatformResource/default/web dry-run failed: never");
	assert_int_equal(count_events(&w), 1);
	flux_says(&w, w.version, false, "kustomize build failed in /tmp/1");
	assert_int_equal(count_events(&w), 1);
	flux_says(&w, w.version, false, "kustomize build failed in /tmp/2");
	assert_int_equal(count_events(&w), 0);
	end_world(&w);
}

static void a_restore_of_the_same_state_is_no_news(void **state UNUSED)
{
	struct world w = new_world();
	CLEANUP(state_unrefp) struct state *before = NULL;

	put(&w, "default", "web");
	before = state_ref(w.state);
	skip_events(&w);
	tracker_reset(w.t, w.state, w.version);
	assert_events(&w, "");
	put(&w, "default", "db");
	put(&w, "default", "web");
	skip_events(&w);
	tracker_reset(w.t, before, w.version);
	assert_reset(&w);
	state_unref(w.state);
	w.state = state_ref(before);
	assert_phase(&w, "web", "pending", "");
	assert_false(is_there(&w, "db"));
	end_world(&w);
}

static void without_a_cluster_commits_are_told_all_the_same(void **state UNUSED)
{
	struct world w = world_of(LAYOUT_SPLIT, false);

	tracker_reset(w.t, w.state, w.version);
	put(&w, "default", "web");
	assert_int_equal(count_events(&w), 1);
	tracker_reset(w.t, w.state, w.version);
	assert_int_equal(count_events(&w), 0);
	end_world(&w);
}

/* ---- another layout ---- */

static void another_layout_asks_the_catalogs_of_its_own(void **state UNUSED)
{
	struct world w = world_of(LAYOUT_SINGLE, true);
	struct layout split = {LAYOUT_SPLIT, 1};
	CLEANUP(resource_unrefp) struct resource *r = NULL;
	struct publisher_event event = {.n_changes = 0};
	struct tracker_flux flux = {.is_failing = true, .reason = "Old", .message = "old"};
	struct catalog_change change = {"default", "web", NULL};
	char repository[CATALOG_REPOSITORY_SIZE];
	const char *const repositories[] = {repository};

	tracker_reset(w.t, w.state, w.version);
	tracker_synced(w.t);
	put(&w, "default", "web");
	r = resource_ref(state_find(w.state, "default", "web"));
	flux.attempted = digest_at(w.version);
	tracker_flux(w.t, CATALOG_REPOSITORY, &flux);
	assert_phase(&w, "web", "failed", "Old");
	state_unref(w.state);
	assert_int_equal(state_new(&w.state, &split, &err), 0);
	w.version++;
	change.resource = r;
	change_state(&w, &change, repository);
	event.state = w.state;
	event.version = w.version;
	event.n_catalogs = 1;
	event.catalogs = repositories;
	tracker_committed(w.t, &event);
	assert_phase(&w, "web", "pending", "");
	flux_says(&w, w.version, false, "kustomize build failed");
	assert_phase(&w, "web", "failed", "ReconciliationFailed");
	end_world(&w);
}

/* ---- counts and metrics ---- */

static void resources_are_counted_by_phase(void **state UNUSED)
{
	struct world w = new_world();
	size_t counts[PHASES_];
	uint64_t web = put(&w, "default", "web"), db = put(&w, "default", "db");

	put(&w, "default", "held");
	hold(&w, "held", HOLD_REFUSED, "no");
	put(&w, "default", "waits");
	see(&w, "web", web);
	see(&w, "db", db);
	delete (&w, "default", "db");
	tracker_counts(w.t, counts);
	assert_int_equal(counts[PHASE_APPLIED], 1);
	assert_int_equal(counts[PHASE_DELETING], 1);
	assert_int_equal(counts[PHASE_FAILED], 1);
	assert_int_equal(counts[PHASE_PENDING], 1);
	assert_int_equal(counts[PHASE_UNKNOWN], 0);
	tracker_gone(w.t, "default", "db");
	tracker_counts(w.t, counts);
	assert_int_equal(counts[PHASE_DELETING], 0);
	end_world(&w);
}

static uint64_t lag(struct world *w)
{
	tracker_measure(w->t);
	return atomic_load(&cluster_metric_lag.series[0].value);
}

static uint64_t applied_so_far(void)
{
	uint64_t n = 0;

	for (size_t i = 0; i <= METRIC_BOUNDS_MAX; i++)
		n += atomic_load(&cluster_metric_applied.series[0].buckets[i]);
	return n;
}

static void the_way_from_commit_to_cluster_is_measured_once(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t before = applied_so_far(), version = put(&w, "default", "web");

	see(&w, "web", version);
	assert_int_equal(applied_so_far(), before + 1);
	tracker_gone(w.t, "default", "web");
	see(&w, "web", version);
	assert_int_equal(applied_so_far(), before + 1);
	end_world(&w);
}

static void lag_is_the_age_of_the_oldest_that_is_pending(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t first, began = clock_realtime_us(), age;

	assert_int_equal(lag(&w), 0);
	first = put(&w, "default", "web");
	while (clock_realtime_us() < began + 2000)
		;
	put(&w, "default", "db");
	age = lag(&w);
	assert_true(age > 0 && age <= clock_realtime_us() - began);
	see(&w, "web", first);
	assert_true(lag(&w) < age + clock_realtime_us() - began);
	see(&w, "db", w.version);
	assert_int_equal(lag(&w), 0);
	end_world(&w);
}

/* ---- waiting ---- */

struct answer {
	unsigned n, in_time;
};

static void note(bool in_time, void *arg)
{
	struct answer *a = arg;

	a->in_time += in_time;
	__atomic_add_fetch(&a->n, 1, __ATOMIC_RELEASE);
}

static struct tracker_wait wait_for(const char *name, uint64_t version, struct answer *a)
{
	struct tracker_wait wait = {
		.namespace = "default",
		.version = version,
		.deadline_ms = clock_ms + 1000,
		.done = note,
		.arg = a,
	};

	*a = (struct answer){.n = 0};
	snprintf(wait.name, sizeof(wait.name), "%s", name);
	return wait;
}

static void a_wait_ends_when_the_version_is_applied(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t first = put(&w, "default", "web"), second;
	struct answer a;
	struct tracker_wait wait;

	see(&w, "web", first);
	second = put(&w, "default", "web");
	wait = wait_for("web", second, &a);
	assert_true(tracker_wait(w.t, &wait));
	see(&w, "web", first);
	assert_int_equal(a.n, 0);
	see(&w, "web", second);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.in_time, 1);
	assert_false(tracker_cancel(w.t, &wait));
	assert_false(tracker_wait(w.t, &wait));
	end_world(&w);
}

static void a_later_version_will_do(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t first = put(&w, "default", "web"), second;
	struct answer a;
	struct tracker_wait wait = wait_for("web", first, &a);

	assert_true(tracker_wait(w.t, &wait));
	second = put(&w, "default", "web");
	assert_int_equal(a.n, 0);
	see(&w, "web", second);
	assert_int_equal(a.in_time, 1);
	end_world(&w);
}

static void an_earlier_version_that_arrives_ends_its_own_wait_only(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t first = put(&w, "default", "web"), second = put(&w, "default", "web");
	struct answer a, b;
	struct tracker_wait early = wait_for("web", first, &a);
	struct tracker_wait late = wait_for("web", second, &b);

	assert_true(tracker_wait(w.t, &early));
	assert_true(tracker_wait(w.t, &late));
	see(&w, "web", first);
	assert_int_equal(a.in_time, 1);
	assert_int_equal(b.n, 0);
	assert_true(tracker_cancel(w.t, &late));
	see(&w, "web", second);
	assert_int_equal(b.n, 0);
	end_world(&w);
}

static void a_wait_ends_when_the_version_has_failed(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct answer a, b;
	struct tracker_wait wait = wait_for("web", version, &a), other;

	assert_true(tracker_wait(w.t, &wait));
	flux_says(&w, w.version, false, "PlatformResource/default/db dry-run failed: no");
	assert_int_equal(a.n, 0);
	flux_says(&w, w.version, false, "PlatformResource/default/web dry-run failed: no");
	assert_int_equal(a.in_time, 1);
	assert_false(tracker_wait(w.t, &wait));
	version = put(&w, "default", "db");
	other = wait_for("db", version, &b);
	assert_true(tracker_wait(w.t, &other));
	hold(&w, "db", HOLD_REFUSED, "no");
	assert_int_equal(b.in_time, 1);
	end_world(&w);
}

static void a_deletion_is_waited_for_until_the_object_is_gone(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct answer a;
	struct tracker_wait wait;

	see(&w, "web", version);
	wait = wait_for("web", delete (&w, "default", "web"), &a);
	wait.deleted = true;
	assert_true(tracker_wait(w.t, &wait));
	see_with(&w, "default", "web", version, true, "");
	assert_int_equal(a.n, 0);
	tracker_gone(w.t, "default", "web");
	assert_int_equal(a.in_time, 1);
	assert_false(tracker_wait(w.t, &wait));
	end_world(&w);
}

static void something_later_in_its_place_ends_the_wait_for_a_deletion(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct answer a;
	struct tracker_wait wait;

	see(&w, "web", version);
	wait = wait_for("web", delete (&w, "default", "web"), &a);
	wait.deleted = true;
	assert_true(tracker_wait(w.t, &wait));
	version = put(&w, "default", "web");
	assert_int_equal(a.n, 0);
	see(&w, "web", version);
	assert_int_equal(a.in_time, 1);
	end_world(&w);
}

static void a_list_that_does_not_name_it_ends_the_wait_for_a_deletion(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct answer a;
	struct tracker_wait wait;

	see(&w, "web", version);
	wait = wait_for("web", delete (&w, "default", "web"), &a);
	wait.deleted = true;
	assert_true(tracker_wait(w.t, &wait));
	tracker_relist(w.t);
	tracker_synced(w.t);
	assert_int_equal(a.in_time, 1);
	end_world(&w);
}

static void what_is_deleted_meanwhile_is_not_waited_for(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct answer a;
	struct tracker_wait wait = wait_for("web", version, &a);

	assert_true(tracker_wait(w.t, &wait));
	delete (&w, "default", "web");
	assert_int_equal(a.n, 1);
	assert_int_equal(a.in_time, 0);
	assert_false(tracker_wait(w.t, &wait));
	end_world(&w);
}

static void a_wait_ends_at_its_deadline(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct answer a, b;
	struct tracker_wait wait = wait_for("web", version, &a);
	struct tracker_wait longer = wait_for("web", version, &b);

	longer.deadline_ms = wait.deadline_ms + 1;
	assert_true(tracker_wait(w.t, &wait));
	assert_true(tracker_wait(w.t, &longer));
	clock_ms = wait.deadline_ms - 1;
	tracker_expire(w.t);
	assert_int_equal(a.n, 0);
	clock_ms++;
	tracker_expire(w.t);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.in_time, 0);
	assert_int_equal(b.n, 0);
	see(&w, "web", version);
	assert_int_equal(a.n, 1);
	assert_int_equal(b.in_time, 1);
	end_world(&w);
}

static void where_nothing_is_heard_nobody_waits(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct answer a;
	struct tracker_wait wait = wait_for("web", version, &a);

	wait.deadline_ms = clock_ms + 10 * LIMIT_CLUSTER_LOST_MS;
	assert_true(tracker_wait(w.t, &wait));
	tracker_lost(w.t, "cut");
	tracker_expire(w.t);
	assert_int_equal(a.n, 0);
	clock_ms += LIMIT_CLUSTER_LOST_MS + 1;
	tracker_expire(w.t);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.in_time, 0);
	assert_false(tracker_wait(w.t, &wait));
	end_world(&w);
	w = world_of(LAYOUT_SPLIT, false);
	tracker_reset(w.t, w.state, w.version);
	assert_false(tracker_wait(w.t, &wait));
	end_world(&w);
}

static void all_of_many_waits_end(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	struct tracker_wait waits[1000];
	struct answer answers[1000];

	for (size_t i = 0; i < 1000; i++) {
		waits[i] = wait_for("web", version, &answers[i]);
		assert_true(tracker_wait(w.t, &waits[i]));
	}
	assert_true(tracker_cancel(w.t, &waits[500]));
	see(&w, "web", version);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(answers[i].in_time, i != 500);
	end_world(&w);
}

/* ---- together ---- */

#define NAMES 2000
#define ROUNDS 3000

static void many_resources_are_tracked_one_by_one(void **state UNUSED)
{
	struct world w = new_world();
	char name[LIMIT_NAME + 1];
	uint64_t versions[NAMES];

	for (size_t i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "r%zu", i);
		versions[i] = put(&w, "default", name);
	}
	for (size_t i = 0; i < NAMES; i += 2) {
		snprintf(name, sizeof(name), "r%zu", i);
		see(&w, name, versions[i]);
	}
	flux_says(&w, w.version, false, "kustomize build failed");
	for (size_t i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "r%zu", i);
		assert_string_equal(
			phase_name(status_of(&w, name).phase), i % 2 == 0 ? "applied" : "failed");
	}
	end_world(&w);
}

struct crowd {
	struct world w;
	uint64_t version; /* atomic: the last that was committed */
	bool is_over;     /* atomic */
};

/* As kube's thread does: what was committed is there a little later. */
static void *show(void *arg)
{
	struct crowd *c = arg;
	uint64_t last = 0;

	while (!__atomic_load_n(&c->is_over, __ATOMIC_ACQUIRE)) {
		uint64_t version = __atomic_load_n(&c->version, __ATOMIC_ACQUIRE);

		tracker_expire(c->w.t);
		if (version == last)
			continue;
		if (version % 7 == 0) {
			tracker_relist(c->w.t);
			tracker_gone(c->w.t, "default", "web");
		}
		see_with(&c->w, "default", "web", version, false, "{\"a\":1}");
		flux_says(&c->w, version, false, version % 5 == 0 ? "no" : NULL);
		if (version % 7 == 0)
			tracker_synced(c->w.t);
		last = version;
	}
	return NULL;
}

/* As requests do: some are patient, some leave. */
static void *wait_and_leave(void *arg)
{
	struct crowd *c = arg;
	struct tracker_status status = {.object = BUF_INIT(LIMIT_STATUS_OBJECT)};
	CLEANUP(buf_done) struct buf text = BUF_INIT(MIB);
	struct feed_position at;
	size_t counts[PHASES_];

	feed_position_now(&at, c->w.feed);
	while (!__atomic_load_n(&c->is_over, __ATOMIC_ACQUIRE)) {
		uint64_t version = __atomic_load_n(&c->version, __ATOMIC_ACQUIRE);
		struct answer a;
		struct tracker_wait wait = wait_for("web", version, &a);

		/* Whoever is not told, though he stays, would be here for ever. */
		if (version != 0 && tracker_wait(c->w.t, &wait) &&
			(version % 3 != 0 || !tracker_cancel(c->w.t, &wait)))
			while (__atomic_load_n(&a.n, __ATOMIC_ACQUIRE) == 0)
				;
		tracker_status(c->w.t, "default", "web", NULL, true, &status);
		tracker_counts(c->w.t, counts);
		buf_reset(&text);
		feed_read(c->w.feed, &at, 64 * KIB, &text);
	}
	buf_done(&status.object);
	return NULL;
}

static void commits_observations_and_waits_go_on_side_by_side(void **state UNUSED)
{
	struct crowd c = {.w = new_world()};
	pthread_t threads[4];

	AZ(pthread_create(&threads[0], NULL, show, &c));
	for (size_t i = 1; i < ARRAY_SIZE(threads); i++)
		AZ(pthread_create(&threads[i], NULL, wait_and_leave, &c));
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t version = put(&c.w, "default", "web");

		__atomic_store_n(&c.version, version, __ATOMIC_RELEASE);
	}
	/* The last of them is shown, so that nobody waits for ever. */
	while (tracker_phase(c.w.t, state_find(c.w.state, "default", "web")) != PHASE_APPLIED)
		;
	__atomic_store_n(&c.is_over, true, __ATOMIC_RELEASE);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		AZ(pthread_join(threads[i], NULL));
	assert_phase(&c.w, "web", "applied", "");
	end_world(&c.w);
}

static int setup(void **state UNUSED)
{
	digest_setup();
	return 0;
}

static int teardown(void **state UNUSED)
{
	gzips_done(&gzips);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_cluster_every_phase_is_unknown),
		cmocka_unit_test(until_the_cluster_is_listed_phases_are_unknown),
		cmocka_unit_test(a_cluster_that_shows_itself_before_the_registry_deletes_nothing),
		cmocka_unit_test(a_cluster_lost_for_long_makes_phases_unknown_but_not_versions),
		cmocka_unit_test(a_short_loss_changes_nothing),
		cmocka_unit_test(a_version_is_pending_until_the_object_carries_it),
		cmocka_unit_test(an_object_that_carries_no_version_is_not_ours),
		cmocka_unit_test(an_object_whose_name_is_too_long_to_be_ours_is_ignored),
		cmocka_unit_test(a_cluster_that_is_newer_is_pending_and_says_so),
		cmocka_unit_test(an_applied_object_that_goes_away_is_pending),
		cmocka_unit_test(what_is_deleted_is_deleting_until_the_object_is_gone),
		cmocka_unit_test(what_is_made_again_before_it_is_gone_is_pending),
		cmocka_unit_test(an_object_that_nobody_wants_any_more_is_deleting),
		cmocka_unit_test(what_a_list_does_not_name_is_gone),
		cmocka_unit_test(a_watch_that_goes_on_forgets_nothing),
		cmocka_unit_test(what_is_held_has_failed_and_says_why),
		cmocka_unit_test(what_is_released_waits_for_another_attempt),
		cmocka_unit_test(the_object_that_flux_names_has_failed_and_others_are_blocked),
		cmocka_unit_test(a_name_ends_where_the_message_goes_on),
		cmocka_unit_test(a_failure_that_names_no_object_is_everybodys),
		cmocka_unit_test(a_catalog_that_is_not_fetched_fails_whatever_is_not_there),
		cmocka_unit_test(a_failed_attempt_says_nothing_of_later_versions),
		cmocka_unit_test(an_attempt_at_something_unknown_concerns_only_whom_it_names),
		cmocka_unit_test(as_many_commits_as_the_limit_are_remembered),
		cmocka_unit_test(what_flux_has_said_before_a_restart_is_understood_after_it),
		cmocka_unit_test(a_deletion_says_what_flux_waits_for),
		cmocka_unit_test(a_long_message_is_cut_between_characters),
		cmocka_unit_test(a_single_catalog_is_known_by_its_repository),
		cmocka_unit_test(a_status_is_written_with_what_there_is),
		cmocka_unit_test(a_status_of_an_object_that_is_too_large_is_left_out),
		cmocka_unit_test(phases_are_read_back),
		cmocka_unit_test(since_is_when_the_phase_of_the_version_began),
		cmocka_unit_test(after_a_restart_a_version_is_pending_since_it_was_made),
		cmocka_unit_test(commits_and_changes_of_phase_are_told_in_order),
		cmocka_unit_test(what_never_was_in_the_cluster_is_gone_at_once),
		cmocka_unit_test(holds_and_releases_are_told_as_what_they_are),
		cmocka_unit_test(a_failure_is_told_once_and_again_where_flux_says_something_else),
		cmocka_unit_test(a_restore_of_the_same_state_is_no_news),
		cmocka_unit_test(without_a_cluster_commits_are_told_all_the_same),
		cmocka_unit_test(another_layout_asks_the_catalogs_of_its_own),
		cmocka_unit_test(resources_are_counted_by_phase),
		cmocka_unit_test(the_way_from_commit_to_cluster_is_measured_once),
		cmocka_unit_test(lag_is_the_age_of_the_oldest_that_is_pending),
		cmocka_unit_test(a_wait_ends_when_the_version_is_applied),
		cmocka_unit_test(a_later_version_will_do),
		cmocka_unit_test(an_earlier_version_that_arrives_ends_its_own_wait_only),
		cmocka_unit_test(a_wait_ends_when_the_version_has_failed),
		cmocka_unit_test(a_deletion_is_waited_for_until_the_object_is_gone),
		cmocka_unit_test(something_later_in_its_place_ends_the_wait_for_a_deletion),
		cmocka_unit_test(a_list_that_does_not_name_it_ends_the_wait_for_a_deletion),
		cmocka_unit_test(what_is_deleted_meanwhile_is_not_waited_for),
		cmocka_unit_test(a_wait_ends_at_its_deadline),
		cmocka_unit_test(where_nothing_is_heard_nobody_waits),
		cmocka_unit_test(all_of_many_waits_end),
		cmocka_unit_test(many_resources_are_tracked_one_by_one),
		cmocka_unit_test(commits_observations_and_waits_go_on_side_by_side),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
