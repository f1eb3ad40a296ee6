/* SPDX-License-Identifier: Apache-2.0 */
/* What commits want, the cluster shows and Flux says, in any order, and which phase follows. */
#include "tracker_fixture.h"

#include "cluster/metrics.h"

#include <stdio.h>

/* ---- unknown ---- */

static void without_a_cluster_every_phase_is_unknown(void **state UNUSED)
{
	struct world w = world_of(LAYOUT_SPLIT, false);

	tracker_reset(w.t, w.state, w.version);
	put(&w, "default", "web");
	assert_phase(&w, "web", "unknown", "NoCluster");
	assert_false(is_there(&w, "other"));
	assert_int_equal(count_of(&w, PHASE_UNKNOWN), 1);
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
	assert_int_equal(count_of(&w, PHASE_UNKNOWN), 1);
	assert_int_equal(count_of(&w, PHASE_APPLIED), 0);
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
	char key[TRACKER_KEY_SIZE];

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
	assert_int_equal(tracker_stranger(w.t, key), 0);
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
	char name[254] = {0};

	memset(name, 'a', sizeof(name) - 1);
	see(&w, name, 7);
	tracker_gone(w.t, "default", name);
	assert_false(is_there(&w, name));
	assert_int_equal(count_of(&w, PHASE_DELETING), 0);
	end_world(&w);
}

static void a_cluster_that_is_newer_is_pending_and_says_so(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version = put(&w, "default", "web");
	char key[TRACKER_KEY_SIZE];

	see(&w, "web", version + 1);
	assert_phase(&w, "web", "pending", "ClusterIsNewer");
	assert_int_equal(tracker_stranger(w.t, key), version + 1);
	assert_string_equal(key, "default/web");
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

/* ---- what was never seen, and is deleted ---- */

static void what_was_never_seen_may_come_until_flux_has_applied_its_deletion(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t made = put(&w, "default", "web"), deleted = delete (&w, "default", "web");

	assert_phase(&w, "web", "deleting", "");
	flux_applied(&w, made, false);
	assert_phase(&w, "web", "deleting", "");
	assert_int_equal(count_of(&w, PHASE_DELETING), 1);
	flux_applied(&w, deleted, false);
	assert_false(is_there(&w, "web"));
	assert_int_equal(count_of(&w, PHASE_DELETING), 0);
	end_world(&w);
}

static void what_comes_after_its_deletion_is_deleting_until_it_is_gone(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t made = put(&w, "default", "web");

	delete (&w, "default", "web");
	see(&w, "web", made);
	flux_applied(&w, made, false);
	assert_phase(&w, "web", "deleting", "");
	tracker_gone(w.t, "default", "web");
	assert_false(is_there(&w, "web"));
	end_world(&w);
}

static void a_later_catalog_is_without_it_too(void **state UNUSED)
{
	struct world w = new_world();

	put(&w, "default", "web");
	delete (&w, "default", "web");
	flux_applied(&w, put(&w, "default", "db"), false);
	assert_false(is_there(&w, "web"));
	end_world(&w);
}

static void where_nobody_knows_what_flux_has_applied_it_is_gone_after_a_while(void **state UNUSED)
{
	struct world w = new_world();

	put(&w, "default", "web");
	put(&w, "default", "db");
	delete (&w, "default", "web");
	flux_says(&w, w.version, false, NULL);
	clock_ms += LIMIT_CLUSTER_LOST_MS / 2;
	delete (&w, "default", "db");
	clock_ms += LIMIT_CLUSTER_LOST_MS / 2 - 1;
	tracker_expire(w.t);
	assert_phase(&w, "web", "deleting", "");
	clock_ms++;
	tracker_expire(w.t);
	assert_false(is_there(&w, "web"));
	assert_phase(&w, "db", "deleting", "");
	clock_ms += LIMIT_CLUSTER_LOST_MS / 2;
	tracker_expire(w.t);
	assert_false(is_there(&w, "db"));
	end_world(&w);
}

static void while_the_catalog_fails_it_may_come_for_as_long_as_that_takes(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t made = put(&w, "default", "web"), deleted = delete (&w, "default", "web");

	flux_applied(&w, made, true);
	assert_phase(&w, "web", "deleting", "Blocked");
	clock_ms += 3 * LIMIT_CLUSTER_LOST_MS;
	tracker_expire(w.t);
	assert_phase(&w, "web", "deleting", "Blocked");
	flux_applied(&w, deleted, false);
	assert_false(is_there(&w, "web"));
	end_world(&w);
}

static void what_no_catalog_has_cannot_come(void **state UNUSED)
{
	struct world w = new_world();

	put(&w, "default", "web");
	hold(&w, "web", HOLD_REFUSED, "no");
	flux_applied(&w, w.version, false);
	delete_held(&w, "web");
	assert_false(is_there(&w, "web"));
	end_world(&w);
}

static void what_is_made_again_is_no_longer_deleting(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t version;

	put(&w, "default", "web");
	delete (&w, "default", "web");
	version = put(&w, "default", "web");
	assert_phase(&w, "web", "pending", "");
	clock_ms += LIMIT_CLUSTER_LOST_MS;
	tracker_expire(w.t);
	assert_phase(&w, "web", "pending", "");
	see(&w, "web", version);
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
	};
	static const char *const others[] = {
		"PlatformResource/default/web-1",
		"PlatformResource/default/web1 x",
		"PlatformResource/default/we x",
		"PlatformResource/team-a/web x",
		"PlatformResource/default/web-1 and PlatformResource/default/web, too",
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

static void an_attempt_at_something_unknown_has_failed_nobody(void **state UNUSED)
{
	struct world w = new_world();
	uint64_t applied = put(&w, "default", "applied");

	see(&w, "applied", applied);
	put(&w, "default", "web");
	put(&w, "default", "db");
	flux_says(&w, 1, false, "PlatformResource/default/web dry-run failed: no");
	assert_phase(&w, "web", "pending", "ReconciliationFailed");
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

/* ---- a catalog that namespaces share ---- */

/* web of default, and web of team-a, which the reader of the first may know nothing of. */
static struct world world_of_two(void)
{
	struct world w = world_of(LAYOUT_SINGLE, true);

	tracker_reset(w.t, w.state, w.version);
	tracker_relist(w.t);
	tracker_synced(w.t);
	put(&w, "team-a", "web");
	put(&w, "default", "db");
	put(&w, "default", "web");
	return w;
}

static void what_flux_says_of_another_namespace_is_not_told(void **state UNUSED)
{
	static const char *const messages[] = {
		"PlatformResource/team-a/secret dry-run failed (Invalid): no",
		"PlatformResource/team-a/web dry-run failed: PlatformResource/default/web",
	};
	struct world w = world_of_two();

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		flux_says_of_all(&w, w.version, false, messages[i]);
		assert_phase(&w, "web", "pending", "Blocked");
		assert_string_equal(status_of(&w, "web").message,
			"Flux applies nothing of this catalog until it accepts a resource of "
			"another namespace.");
	}
	end_world(&w);
}

static void of_what_flux_says_only_the_part_about_the_own_namespace_is_told(void **state UNUSED)
{
	struct world w = world_of_two();

	flux_says_of_all(&w, w.version, false,
		"PlatformResource/default/web dry-run failed: PlatformResource/default/web: no; "
		"PlatformResource/team-a/secret dry-run failed");
	assert_phase(&w, "web", "failed", "ReconciliationFailed");
	assert_string_equal(status_of(&w, "web").message,
		"PlatformResource/default/web dry-run failed: PlatformResource/default/web: no; ");
	assert_phase(&w, "db", "pending", "Blocked");
	assert_string_equal(status_of(&w, "db").message,
		"Flux applies nothing of this catalog until it accepts "
		"PlatformResource/default/web: PlatformResource/default/web dry-run failed: "
		"PlatformResource/default/web: no; ");
	end_world(&w);
}

static void what_flux_says_of_no_resource_may_name_others_and_is_not_told(void **state UNUSED)
{
	struct world w = world_of_two();

	flux_says_of_all(&w, w.version, false, "kustomize build failed: team-a/secret");
	assert_phase(&w, "web", "failed", "ReconciliationFailed");
	assert_string_equal(status_of(&w, "web").message,
		"Flux applies nothing of this catalog: the Kustomization gitops-squared-resources "
		"says why.");
	/* A registry knows nothing of resources. */
	flux_says_of_all(&w, w.version, true, "connection refused");
	assert_string_equal(status_of(&w, "web").message, "connection refused");
	end_world(&w);
}

static void an_event_tells_no_more_than_a_status(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_FEED_BYTES);
	struct world w = world_of_two();

	feed_position_now(&w.at, w.feed);
	flux_says_of_all(&w, w.version, false, "kustomize build failed: team-a/secret");
	assert_int_not_equal(feed_read(w.feed, &w.at, LIMIT_FEED_BYTES, &text), FEED_GONE);
	buf_puts(&text, "");
	assert_non_null(strstr(text.data, "says why"));
	assert_null(strstr(text.data, "secret"));
	end_world(&w);
}

static void what_the_root_says_is_of_all_namespaces(void **state UNUSED)
{
	struct tracker_flux flux = {.is_failing = true,
		.is_of_root = true,
		.reason = "ReconciliationFailed",
		.message = "RoleBinding/team-a/gitops-squared dry-run failed"};
	struct world w = new_world();

	put(&w, "default", "web");
	flux.attempted = digest_at(w.version);
	tracker_flux(w.t, DEFAULT_CATALOG, &flux);
	assert_string_equal(status_of(&w, "web").message, flux.message);
	put(&w, "team-a", "web");
	assert_string_equal(status_of(&w, "web").message,
		"Flux applies nothing of this catalog: the Kustomization gitops-squared-resources "
		"says why.");
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
	uint64_t web = put(&w, "default", "web"), db = put(&w, "default", "db");

	put(&w, "default", "held");
	hold(&w, "held", HOLD_REFUSED, "no");
	put(&w, "default", "waits");
	see(&w, "web", web);
	see(&w, "db", db);
	delete (&w, "default", "db");
	assert_int_equal(count_of(&w, PHASE_APPLIED), 1);
	assert_int_equal(count_of(&w, PHASE_DELETING), 1);
	assert_int_equal(count_of(&w, PHASE_FAILED), 1);
	assert_int_equal(count_of(&w, PHASE_PENDING), 1);
	assert_int_equal(count_of(&w, PHASE_UNKNOWN), 0);
	tracker_gone(w.t, "default", "db");
	assert_int_equal(count_of(&w, PHASE_DELETING), 0);
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

/* ---- together ---- */

#define NAMES 2000

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
		cmocka_unit_test(what_was_never_seen_may_come_until_flux_has_applied_its_deletion),
		cmocka_unit_test(what_comes_after_its_deletion_is_deleting_until_it_is_gone),
		cmocka_unit_test(a_later_catalog_is_without_it_too),
		cmocka_unit_test(where_nobody_knows_what_flux_has_applied_it_is_gone_after_a_while),
		cmocka_unit_test(while_the_catalog_fails_it_may_come_for_as_long_as_that_takes),
		cmocka_unit_test(what_no_catalog_has_cannot_come),
		cmocka_unit_test(what_is_made_again_is_no_longer_deleting),
		cmocka_unit_test(what_is_held_has_failed_and_says_why),
		cmocka_unit_test(what_is_released_waits_for_another_attempt),
		cmocka_unit_test(the_object_that_flux_names_has_failed_and_others_are_blocked),
		cmocka_unit_test(a_name_ends_where_the_message_goes_on),
		cmocka_unit_test(a_failure_that_names_no_object_is_everybodys),
		cmocka_unit_test(a_catalog_that_is_not_fetched_fails_whatever_is_not_there),
		cmocka_unit_test(a_failed_attempt_says_nothing_of_later_versions),
		cmocka_unit_test(an_attempt_at_something_unknown_has_failed_nobody),
		cmocka_unit_test(as_many_commits_as_the_limit_are_remembered),
		cmocka_unit_test(what_flux_has_said_before_a_restart_is_understood_after_it),
		cmocka_unit_test(a_deletion_says_what_flux_waits_for),
		cmocka_unit_test(a_long_message_is_cut_between_characters),
		cmocka_unit_test(a_single_catalog_is_known_by_its_repository),
		cmocka_unit_test(what_flux_says_of_another_namespace_is_not_told),
		cmocka_unit_test(of_what_flux_says_only_the_part_about_the_own_namespace_is_told),
		cmocka_unit_test(what_flux_says_of_no_resource_may_name_others_and_is_not_told),
		cmocka_unit_test(an_event_tells_no_more_than_a_status),
		cmocka_unit_test(what_the_root_says_is_of_all_namespaces),
		cmocka_unit_test(another_layout_asks_the_catalogs_of_its_own),
		cmocka_unit_test(resources_are_counted_by_phase),
		cmocka_unit_test(the_way_from_commit_to_cluster_is_measured_once),
		cmocka_unit_test(lag_is_the_age_of_the_oldest_that_is_pending),
		cmocka_unit_test(many_resources_are_tracked_one_by_one),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
