/* SPDX-License-Identifier: Apache-2.0 */
#include "tracker_fixture.h"

#include "cluster/metrics.h"

#include <stdio.h>

struct error err;
uint64_t clock_ms;

static struct gzips gzips;

/* ---- a tracker, a state, and who watches ---- */

static uint64_t read_clock(void)
{
	return __atomic_load_n(&clock_ms, __ATOMIC_RELAXED);
}

struct world world_of(enum layout_kind kind, bool watching)
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

struct world new_world(void)
{
	struct world w = world_of(LAYOUT_SPLIT, true);

	tracker_reset(w.t, w.state, w.version);
	tracker_relist(w.t);
	tracker_synced(w.t);
	feed_position_now(&w.at, w.feed);
	return w;
}

void end_world(struct world *w)
{
	tracker_free(w->t);
	feed_free(w->feed);
	state_unref(w->state);
}

/* ---- commits ---- */

struct resource *make(const char *namespace, const char *name, uint64_t version)
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

struct digest digest_at(uint64_t version)
{
	return digest_of((struct slice){(const char *)&version, sizeof(version)});
}

void change_state(struct world *w, const struct catalog_change *change,
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

/* n_catalogs: 0 where no catalog has the resource, before or after. */
static void commit_of(struct world *w, size_t n_catalogs, enum record_op op, const char *namespace,
	const char *name, struct resource *r, uint64_t version)
{
	struct catalog_change change = {namespace, name, r};
	struct publisher_change told = {op, namespace, name, version, digest_of(slice_of(name)), r};
	char repository[CATALOG_REPOSITORY_SIZE];
	const char *const repositories[] = {repository};
	struct publisher_event event = {.n_changes = 1,
		.changes = &told,
		.n_catalogs = n_catalogs,
		.catalogs = repositories};

	change_state(w, &change, repository);
	event.state = w->state;
	event.version = w->version;
	tracker_committed(w->t, &event);
}

static void commit(struct world *w, enum record_op op, const char *namespace, const char *name,
	struct resource *r, uint64_t version)
{
	commit_of(w, 1, op, namespace, name, r, version);
}

/* Flux may speak on a thread of its own meanwhile: see flux_says(). */
static uint64_t next_version(struct world *w)
{
	return __atomic_add_fetch(&w->version, 1, __ATOMIC_RELAXED);
}

uint64_t put(struct world *w, const char *namespace, const char *name)
{
	uint64_t version = next_version(w);
	CLEANUP(resource_unrefp) struct resource *r = make(namespace, name, version);
	bool is_there = state_find(w->state, namespace, name) != NULL;

	commit(w, is_there ? RECORD_UPDATE : RECORD_CREATE, namespace, name, r, version);
	return version;
}

uint64_t delete (struct world *w, const char *namespace, const char *name)
{
	uint64_t version = next_version(w);

	commit(w, RECORD_DELETE, namespace, name, NULL, version);
	return version;
}

uint64_t delete_held(struct world *w, const char *name)
{
	uint64_t version = next_version(w);

	commit_of(w, 0, RECORD_DELETE, "default", name, NULL, version);
	return version;
}

void hold(struct world *w, const char *name, enum hold_reason reason, const char *message)
{
	struct resource *accepted = state_find(w->state, "default", name);
	CLEANUP(resource_unrefp) struct resource *r = NULL;

	next_version(w);
	assert_int_equal(resource_new_held(&r, accepted, reason, NULL, message, &err), 0);
	commit(w, RECORD_HOLD, "default", name, r, accepted->version);
}

void release(struct world *w, const char *name)
{
	uint64_t version = state_find(w->state, "default", name)->version;
	CLEANUP(resource_unrefp) struct resource *r = make("default", name, version);

	next_version(w);
	commit(w, RECORD_RELEASE, "default", name, r, version);
}

/* ---- what is seen ---- */

void see_with(struct world *w, const char *namespace, const char *name, uint64_t version,
	bool is_deleting, const char *status)
{
	struct tracker_object object = {namespace, name, version, is_deleting, slice_of(status)};

	tracker_object(w->t, &object);
}

void see(struct world *w, const char *name, uint64_t version)
{
	see_with(w, "default", name, version, false, "");
}

static void say(struct world *w, const char *repository, uint64_t attempted, bool is_fetch,
	const char *message)
{
	struct tracker_flux flux = {
		.is_failing = message != NULL,
		.is_fetch = is_fetch,
		.asked_us = __atomic_load_n(&w->version, __ATOMIC_RELAXED),
		.reason = message == NULL ? "" : "ReconciliationFailed",
		.message = message == NULL ? "" : message,
		.attempted = digest_at(attempted),
		.applied = digest_at(FIRST_VERSION),
	};

	tracker_flux(w->t, repository, &flux);
}

void flux_says(struct world *w, uint64_t attempted, bool is_fetch, const char *message)
{
	say(w, DEFAULT_CATALOG, attempted, is_fetch, message);
}

void flux_says_of_all(struct world *w, uint64_t attempted, bool is_fetch, const char *message)
{
	say(w, CATALOG_REPOSITORY, attempted, is_fetch, message);
}

void flux_applied(struct world *w, uint64_t version, bool failing)
{
	struct tracker_flux flux = {
		.is_failing = failing,
		.reason = failing ? "ReconciliationFailed" : "",
		.message = failing ? "kustomize build failed" : "",
		.attempted = digest_at(failing ? w->version : version),
		.applied = digest_at(version),
	};

	tracker_flux(w->t, DEFAULT_CATALOG, &flux);
}

struct tracker_status status_of(struct world *w, const char *name)
{
	struct tracker_status status = {.object = BUF_INIT(LIMIT_STATUS_OBJECT)};
	const struct resource *r = state_find(w->state, "default", name);

	assert_true(tracker_status(w->t, "default", name, r, false, &status));
	if (r != NULL)
		assert_int_equal(tracker_phase(w->t, r), status.phase);
	return status;
}

void assert_phase(struct world *w, const char *name, const char *phase, const char *reason)
{
	struct tracker_status status = status_of(w, name);

	assert_string_equal(phase_name(status.phase), phase);
	assert_string_equal(status.reason, reason);
}

bool is_there(struct world *w, const char *name)
{
	struct tracker_status status;

	return tracker_status(
		w->t, "default", name, state_find(w->state, "default", name), false, &status);
}

/* ---- events ---- */

void assert_events(struct world *w, const char *expected)
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

void assert_reset(struct world *w)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_FEED_BYTES);

	assert_int_equal(feed_read(w->feed, &w->at, LIMIT_FEED_BYTES, &text), FEED_GONE);
	assert_int_equal(feed_read(w->feed, &w->at, LIMIT_FEED_BYTES, &text), FEED_END);
}

void skip_events(struct world *w)
{
	feed_position_now(&w->at, w->feed);
}

uint64_t count_of(struct world *w, enum phase phase)
{
	tracker_measure(w->t);
	for (size_t i = 0; i <= cluster_metric_resources.n_series; i++) {
		struct metric_series *s = &cluster_metric_resources.series[i];

		if (atomic_load(&s->used) && strcmp(s->labels[0], phase_name(phase)) == 0)
			return atomic_load(&s->value);
	}
	fail_msg("%s is not counted", phase_name(phase));
	return 0;
}

/* ---- all of it ---- */

int fixture_setup(void **state UNUSED)
{
	digest_setup();
	return 0;
}

int fixture_teardown(void **state UNUSED)
{
	gzips_done(&gzips);
	return 0;
}
