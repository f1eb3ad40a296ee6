/* SPDX-License-Identifier: Apache-2.0 */
/* Which failures of Flux hold a resource, and how. */
#include "test.h"

#include "cluster/quarantine.h"
#include "fake_kube.h"
#include "fake_publisher.h"

#include <stdio.h>

static struct error err;

/* ---- messages ---- */

/* As pkg/ssa of Flux writes them. */
#define FORBIDDEN \
	"PlatformResource/default/web dry-run failed (Forbidden): admission webhook " \
	"\"policy.example\" denied the request: no replicas\n"
#define INVALID \
	"PlatformResource/default/web dry-run failed (Invalid): " \
	"PlatformResource.gitops-squared.io \"web\" is invalid: spec.size: Unsupported value\n"

static bool is_refusal(const char *message)
{
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	const char *rest;

	assert_true(flux_message_object(message, namespace, name, &rest));
	return quarantine_is_refusal(rest);
}

#define WEB "PlatformResource/default/web "

static void only_refusals_of_the_object_count(void **state UNUSED)
{
	static const char *const refusals[] = {
		FORBIDDEN,
		INVALID,
		WEB "dry-run failed (BadRequest): strict decoding error: unknown field",
		/* a webhook that gives no reason */
		WEB "dry-run failed: admission webhook \"w\" denied the request: no",
		WEB "apply failed: admission webhook \"w\" denied the request: no",
		WEB "dry-run failed (RequestEntityTooLarge): platformresources.gitops-squared.io "
		    "\"web\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied "
		    "request: too large",
		/* what is quoted there says nothing about Flux's account, or the namespace */
		WEB "dry-run failed (Forbidden): admission webhook \"w\" denied the request: "
		    "platformresources.gitops-squared.io \"web\" is forbidden: User \"x\" cannot "
		    "patch resource",
		WEB "dry-run failed (Forbidden): platformresources.gitops-squared.io \"web\" is "
		    "forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "
		    "\" is forbidden: User \"x\" cannot",
		WEB "dry-run failed (Forbidden): platformresources.gitops-squared.io \"web\" is "
		    "forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "
		    "\" is forbidden: unable to create new content in namespace x",
		WEB "dry-run failed (Invalid): PlatformResource.gitops-squared.io \"web\" is "
		    "invalid: spec.size: Unsupported value: \"\" is forbidden: User \"x\" cannot\"",
		WEB "dry-run failed (Forbidden): admission webhook \"w\" denied the request: "
		    "no\" is forbidden: User \"x\" cannot",
		WEB "dry-run failed (BadRequest): platformresources.gitops-squared.io \"web\" is "
		    "odd: \"no\" is forbidden: User \"x\" cannot",
		WEB "dry-run failed: admission webhook \"w\" denied the request: "
		    "platformresources.gitops-squared.io \"x\" is forbidden: User \"x\" cannot",
	};
	static const char *const others[] = {
		WEB "dry-run failed (InternalError): Internal error occurred: failed calling "
		    "webhook \"w\": failed to call webhook: Post \"https://w\": (Forbidden): no",
		WEB "dry-run failed (Timeout): the server was unable to return a response",
		WEB "dry-run failed: Get \"https://10.0.0.1\": connection refused",
		WEB "not found: namespaces \"default\" not found",
		WEB "dry-run failed (Conflict): Apply failed with 1 conflict",
		WEB "dry-run failed (Forbidden): platformresources.gitops-squared.io \"web\" is "
		    "forbidden: User \"system:serviceaccount:flux-system:team-a\" cannot patch "
		    "resource \"platformresources\" in API group \"gitops-squared.io\"",
		WEB "dry-run failed (Forbidden): platformresources.gitops-squared.io \"web\" is "
		    "forbidden: unable to create new content in namespace default because it is "
		    "being terminated",
		WEB ", PlatformResource/other/victim dry-run failed (Invalid): no",
		WEB "dry-run failed (Conflict): (Forbidden): no",
		"PlatformResource/default/web.v2 dry-run failed (Invalid): no",
	};

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (!is_refusal(refusals[i]))
			fail_msg("is one: %s", refusals[i]);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (is_refusal(others[i]))
			fail_msg("is none: %s", others[i]);
}

/* ---- holding ---- */

#define CATALOG "gitops-squared/catalogs/default/00"

struct world {
	struct kube kube;
	struct feed *feed;
	struct publisher *p;
	struct quarantine q;
	struct flux flux;
	struct flux_catalog *c;
	uint64_t commit;
};

/* The namespace default is there, and Flux says nothing yet. */
static void world_init(struct world *w)
{
	json_t *namespace =
		fake_json("{'metadata':{'name':'default'},'status':{'phase':'Active'}}");

	*w = (struct world){.p = fake_publisher_new(LAYOUT_SPLIT, 1)};
	assert_int_equal(feed_new(&w->feed, &err), 0);
	assert_int_equal(tracker_new(&w->q.tracker, w->feed, true, &err), 0);
	assert_int_equal(namespaces_new(&w->q.namespaces, &err), 0);
	w->q.publisher = w->p;
	w->q.kube = &w->kube;
	w->c = flux_catalog(&w->flux, CATALOG);
	assert_non_null(w->c);
	namespaces_relist(w->q.namespaces);
	namespaces_see(w->q.namespaces, namespace);
	namespaces_synced(w->q.namespaces);
	json_decref(namespace);
	tracker_relist(w->q.tracker);
}

static void world_done(struct world *w)
{
	tracker_free(w->q.tracker);
	feed_free(w->feed);
	fake_publisher_free(w->p);
	namespaces_free(w->q.namespaces);
	flux_done(&w->flux);
}

static void object(struct world *w, const char *name, uint64_t version)
{
	struct tracker_object o = {.namespace = "default", .name = name, .version = version};

	tracker_object(w->q.tracker, &o);
}

/* All that is in the state is wanted, and the cluster has been listed. */
static void start(struct world *w)
{
	tracker_reset(w->q.tracker, w->p->state, 1000);
	tracker_synced(w->q.tracker);
}

static void set_failure(struct world *w, const char *message)
{
	struct flux_kustomization *k = &w->c->kustomization;

	k->failure.is_failing = true;
	snprintf(k->failure.reason, sizeof(k->failure.reason), "ReconciliationFailed");
	snprintf(k->failure.message, sizeof(k->failure.message), "%s", message);
	k->attempted = state_partition(w->p->state, 0)->digest;
	tracker_flux(w->q.tracker, CATALOG,
		&(struct tracker_flux){.is_failing = true,
			.reason = k->failure.reason,
			.message = k->failure.message,
			.attempted = k->attempted});
}

static void fail_with(struct world *w, const char *message)
{
	set_failure(w, message);
	quarantine_look(&w->q, w->c);
}

static void a_refused_version_is_held_with_the_one_that_the_cluster_has(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	struct fake_call *call;

	world_init(&w);
	fake_publisher_put(w.p, "default", "web", 20);
	object(&w, "web", 10);
	start(&w);
	fail_with(&w, FORBIDDEN);
	assert_int_equal(w.p->n_calls, 1);
	call = fake_publisher_last(w.p);
	assert_int_equal(call->kind, FAKE_HOLD);
	assert_string_equal(call->name, "web");
	assert_int_equal(call->reason, HOLD_REFUSED);
	assert_true(call->version == 20 && call->instead == 10);
	assert_string_equal(call->message, FORBIDDEN);
	fake_publisher_answer(w.p, call);
	assert_false(w.c->holding);
	quarantine_look(&w.q, w.c); /* it is held */
	assert_int_equal(w.p->n_calls, 1);
}

static void what_a_message_says_of_another_object_is_not_kept_with_the_hold(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w);
	fake_publisher_put(w.p, "default", "web", 20);
	object(&w, "web", 10);
	start(&w);
	fail_with(&w, FORBIDDEN "PlatformResource/team-a/secret dry-run failed");
	assert_string_equal(fake_publisher_last(w.p)->message, FORBIDDEN);
	fake_publisher_answer(w.p, fake_publisher_last(w.p));
}

/* ---- what nothing is known of is asked for ---- */

#define PATH "/apis/gitops-squared.io/v1alpha1/namespaces/default/platformresources/web"

/* It is wanted as v20, and refused; the object that the watch shows has no version. */
static void refuse_unseen(struct world *w)
{
	world_init(w);
	fake_publisher_put(w->p, "default", "web", 20);
	start(w);
	fail_with(w, INVALID);
	assert_int_equal(w->p->n_calls, 0);
	assert_int_equal(w->kube.n_gets, 1);
	assert_string_equal(w->kube.gets[0].path, PATH);
	quarantine_look(&w->q, w->c); /* one at a time */
	assert_int_equal(w->kube.n_gets, 1);
}

static json_t *with_version(const char *version)
{
	return fake_json("{'metadata':{'name':'web','annotations':{"
			 "'gitops-squared.io/version':'%s'}}}",
		version);
}

static void one_that_is_not_in_the_cluster_is_held_with_none(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	refuse_unseen(&w);
	fake_kube_answer_get(&w.kube, 0, NULL, ERROR_NOT_FOUND);
	assert_int_equal(w.p->n_calls, 1);
	assert_true(w.p->calls[0].version == 20 && w.p->calls[0].instead == 0);
	assert_int_equal(w.p->calls[0].reason, HOLD_REFUSED);
	assert_string_equal(w.p->calls[0].message, INVALID);
	fake_publisher_answer(w.p, &w.p->calls[0]);
}

static void one_that_is_there_in_an_earlier_version_is_held_with_that(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	refuse_unseen(&w);
	fake_kube_answer_get(&w.kube, 0, with_version("v19"), ERROR_NONE);
	assert_int_equal(w.p->n_calls, 1);
	assert_true(w.p->calls[0].version == 20 && w.p->calls[0].instead == 19);
	fake_publisher_answer(w.p, &w.p->calls[0]);
}

/* Held with none, it would be deleted. */
static void one_of_which_nobody_knows_what_would_stay_is_not_held(void **state UNUSED)
{
	static const char *const versions[] = {"v20", "v21", "v0", "", "20", "vx"};
	CLEANUP(world_done) struct world w;
	size_t n = 0;

	refuse_unseen(&w);
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++, n++) {
		fake_kube_answer_get(&w.kube, n, with_version(versions[i]), ERROR_NONE);
		fake_clock_ms += 30000;
		quarantine_look(&w.q, w.c);
	}
	fake_kube_answer_get(&w.kube, n++, fake_json("{'metadata':{'name':'web'}}"), ERROR_NONE);
	fake_clock_ms += 30000;
	quarantine_look(&w.q, w.c);
	fake_kube_answer_get(&w.kube, n++, NULL, ERROR_UNAVAILABLE);
	fake_clock_ms += 30000;
	quarantine_look(&w.q, w.c);
	fake_kube_answer_get(&w.kube, n++, NULL, ERROR_DENIED);
	assert_int_equal(w.p->n_calls, 0);
	fake_clock_ms += 29999;
	quarantine_look(&w.q, w.c);
	assert_int_equal(w.kube.n_gets, n);
	fake_clock_ms++;
	quarantine_look(&w.q, w.c);
	assert_int_equal(w.kube.n_gets, n + 1);
	fake_kube_answer_get(&w.kube, n, NULL, ERROR_NOT_FOUND);
	assert_int_equal(w.p->n_calls, 1);
	fake_publisher_answer(w.p, &w.p->calls[0]);
}

static void nothing_is_held_while_the_cluster_is_not_seen(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w);
	fake_publisher_put(w.p, "default", "web", 20);
	object(&w, "web", 10);
	start(&w);
	w.q.is_blind = true;
	fail_with(&w, FORBIDDEN);
	fake_clock_ms += 1000;
	quarantine_tick(&w.q, &w.flux);
	assert_int_equal(w.p->n_calls + w.kube.n_gets, 0);
	w.q.is_blind = false;
	fake_clock_ms += 1000;
	quarantine_tick(&w.q, &w.flux);
	assert_int_equal(w.p->n_calls, 1);
	fake_publisher_answer(w.p, &w.p->calls[0]);
}

/* ---- one after the other ---- */

/* With the same version in its place: without it Flux would delete the object. */
static void after_a_hold_that_failed_the_catalog_is_left_alone_for_half_a_minute(
	void **state UNUSED)
{
	static const enum error_code codes[] = {ERROR_UNAVAILABLE, ERROR_UNKNOWN_OUTCOME,
		ERROR_NO_MEMORY, ERROR_TOO_MANY, ERROR_INTERNAL, ERROR_NOT_FOUND};
	CLEANUP(world_done) struct world w;

	world_init(&w);
	fake_publisher_put(w.p, "default", "web", 20);
	object(&w, "web", 10);
	start(&w);
	set_failure(&w, FORBIDDEN);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		fake_clock_ms++;
		quarantine_look(&w.q, w.c);
		quarantine_look(&w.q, w.c);
		assert_int_equal(w.p->n_calls, i + 1);
		assert_true(w.p->calls[i].instead == 10);
		fake_publisher_refuse(w.p, &w.p->calls[i], codes[i]);
		fake_clock_ms += 29999;
		quarantine_look(&w.q, w.c);
		assert_int_equal(w.p->n_calls, i + 1);
	}
	assert_int_equal(w.kube.n_gets, 0);
}

static void after_a_hold_the_next_one_of_the_catalog_goes_at_once(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w);
	fake_publisher_put(w.p, "default", "db", 20);
	fake_publisher_put(w.p, "default", "web", 21);
	object(&w, "db", 10);
	object(&w, "web", 11);
	start(&w);
	fail_with(&w, INVALID);
	set_failure(&w, "PlatformResource/default/db dry-run failed (Invalid): no");
	quarantine_look(&w.q, w.c);
	assert_int_equal(w.p->n_calls, 1); /* that one is on its way */
	fake_publisher_answer(w.p, &w.p->calls[0]);
	tracker_reset(w.q.tracker, w.p->state, 1001);
	fail_with(&w, "PlatformResource/default/db dry-run failed (Invalid): no");
	assert_int_equal(w.p->n_calls, 2);
	assert_string_equal(w.p->calls[1].name, "db");
	fake_publisher_answer(w.p, &w.p->calls[1]);
}

/* ---- what holds nothing ---- */

/* Users write what a webhook or the API server quotes. */
static void what_a_message_quotes_of_users_holds_nothing(void **state UNUSED)
{
	static const char victim[] = "PlatformResource/default/db dry-run failed (Invalid):";
	CLEANUP(world_done) struct world w;
	char message[400];

	world_init(&w);
	fake_publisher_put(w.p, "default", "db", 20);
	fake_publisher_put(w.p, "default", "web", 21);
	object(&w, "db", 10);
	object(&w, "web", 11);
	start(&w);
	snprintf(message, sizeof(message), "kustomize build failed: %s no", victim);
	fail_with(&w, message);
	snprintf(message, sizeof(message), WEB "dry-run failed (Conflict): %s no", victim);
	fail_with(&w, message);
	snprintf(message, sizeof(message), "Secret/default/x dry-run failed (Invalid): %s", victim);
	fail_with(&w, message);
	assert_int_equal(w.p->n_calls, 0);
	snprintf(message, sizeof(message), WEB "dry-run failed (Invalid): %s no", victim);
	fail_with(&w, message);
	assert_int_equal(w.p->n_calls, 1);
	assert_string_equal(w.p->calls[0].name, "web");
	fake_publisher_answer(w.p, &w.p->calls[0]);
	quarantine_look(&w.q, w.c);
	assert_int_equal(w.p->n_calls, 1);
}

static void a_failure_on_the_way_holds_nothing(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w);
	fake_publisher_put(w.p, "default", "web", 20);
	start(&w);
	fail_with(&w, WEB "dry-run failed (InternalError): failed calling webhook");
	fail_with(&w, "kustomize build failed: (Invalid)");
	fail_with(&w, "PlatformResource/default/other dry-run failed (Invalid): no");
	assert_int_equal(w.p->n_calls + w.kube.n_gets, 0);
}

static void what_has_no_namespace_is_not_for_quarantine(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;
	json_t *namespace = fake_json("{'metadata':{'name':'default'}}");

	world_init(&w);
	fake_publisher_put(w.p, "default", "web", 20);
	object(&w, "web", 10);
	start(&w);
	namespaces_gone(w.q.namespaces, namespace);
	json_decref(namespace);
	fail_with(&w, FORBIDDEN);
	assert_int_equal(w.p->n_calls, 0);
	namespaces_lost(w.q.namespaces, true); /* not known: the refusal counts */
	quarantine_look(&w.q, w.c);
	assert_int_equal(w.p->n_calls, 1);
	fake_publisher_answer(w.p, &w.p->calls[0]);
}

static void a_failure_of_an_earlier_version_holds_nothing(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w);
	fake_publisher_put(w.p, "default", "web", 20);
	object(&w, "web", 20); /* it is applied */
	start(&w);
	fail_with(&w, FORBIDDEN);
	assert_int_equal(w.p->n_calls + w.kube.n_gets, 0);
}

static void a_failure_that_was_heard_before_the_resources_is_not_forgotten(void **state UNUSED)
{
	CLEANUP(world_done) struct world w;

	world_init(&w);
	fake_publisher_put(w.p, "default", "web", 20);
	object(&w, "web", 10);
	fail_with(&w, FORBIDDEN);
	assert_int_equal(w.p->n_calls + w.kube.n_gets, 0);
	start(&w);
	fake_clock_ms += 1000;
	quarantine_tick(&w.q, &w.flux);
	assert_int_equal(w.p->n_calls, 1);
	fake_publisher_answer(w.p, &w.p->calls[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_refusals_of_the_object_count),
		cmocka_unit_test(a_refused_version_is_held_with_the_one_that_the_cluster_has),
		cmocka_unit_test(what_a_message_says_of_another_object_is_not_kept_with_the_hold),
		cmocka_unit_test(one_that_is_not_in_the_cluster_is_held_with_none),
		cmocka_unit_test(one_that_is_there_in_an_earlier_version_is_held_with_that),
		cmocka_unit_test(one_of_which_nobody_knows_what_would_stay_is_not_held),
		cmocka_unit_test(nothing_is_held_while_the_cluster_is_not_seen),
		cmocka_unit_test(
			after_a_hold_that_failed_the_catalog_is_left_alone_for_half_a_minute),
		cmocka_unit_test(after_a_hold_the_next_one_of_the_catalog_goes_at_once),
		cmocka_unit_test(what_a_message_quotes_of_users_holds_nothing),
		cmocka_unit_test(a_failure_on_the_way_holds_nothing),
		cmocka_unit_test(what_has_no_namespace_is_not_for_quarantine),
		cmocka_unit_test(a_failure_of_an_earlier_version_holds_nothing),
		cmocka_unit_test(a_failure_that_was_heard_before_the_resources_is_not_forgotten),
	};

	digest_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
