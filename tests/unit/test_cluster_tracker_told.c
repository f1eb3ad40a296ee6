/* SPDX-License-Identifier: Apache-2.0 */
/* What the tracker says: statuses as JSON, and events. */
#include "tracker_fixture.h"

#include "base/clock.h"

#include <stdio.h>

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

static void what_never_was_in_the_cluster_is_gone_when_that_is_known(void **state UNUSED)
{
	struct world w = new_world();
	CLEANUP(buf_done) struct buf text = BUF_INIT(MIB);

	put(&w, "default", "web");
	skip_events(&w);
	delete (&w, "default", "web");
	assert_int_equal(feed_read(w.feed, &w.at, MIB, &text), FEED_EVENTS);
	assert_non_null(strstr(text.data, "\"op\":\"deleted\""));
	assert_non_null(strstr(text.data, "\"phase\":\"deleting\""));
	assert_null(strstr(text.data, "event: gone"));
	flux_applied(&w, w.version, false);
	assert_events(&w, "gone:{\"namespace\":\"default\",\"name\":\"web\"}\n");
	put(&w, "default", "web");
	hold(&w, "web", HOLD_REFUSED, "no");
	flux_applied(&w, w.version, false);
	skip_events(&w);
	delete_held(&w, "web");
	buf_reset(&text);
	assert_int_equal(feed_read(w.feed, &w.at, MIB, &text), FEED_EVENTS);
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
	assert_phase(&w, "db", "deleting", "");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_status_is_written_with_what_there_is),
		cmocka_unit_test(a_status_of_an_object_that_is_too_large_is_left_out),
		cmocka_unit_test(phases_are_read_back),
		cmocka_unit_test(since_is_when_the_phase_of_the_version_began),
		cmocka_unit_test(after_a_restart_a_version_is_pending_since_it_was_made),
		cmocka_unit_test(commits_and_changes_of_phase_are_told_in_order),
		cmocka_unit_test(what_never_was_in_the_cluster_is_gone_when_that_is_known),
		cmocka_unit_test(holds_and_releases_are_told_as_what_they_are),
		cmocka_unit_test(a_failure_is_told_once_and_again_where_flux_says_something_else),
		cmocka_unit_test(a_restore_of_the_same_state_is_no_news),
		cmocka_unit_test(without_a_cluster_commits_are_told_all_the_same),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
