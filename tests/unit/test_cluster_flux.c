/* SPDX-License-Identifier: Apache-2.0 */
/* Flux's objects, written as its controllers write them, and what is understood of them. */
#include "test.h"

#include "cluster/flux.h"
#include "fake_kube.h"

#include <stdio.h>

#define A "a3f5b9c0d1e2f30415263748596a7b8c9daebfc0d1e2f30415263748596a7b8c"
#define B "b3f5b9c0d1e2f30415263748596a7b8c9daebfc0d1e2f30415263748596a7b8c"
#define READY \
	"{'type':'Ready','status':'%s','reason':'%s','message':'%s'," \
	"'lastTransitionTime':'2026-11-24T17:24:42Z','observedGeneration':2}"

static void assert_digest(const struct digest *digest, const char *hex)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	assert_string_equal(text + strlen("sha256:"), hex);
}

static struct flux_catalog *see_source(struct flux *f, const char *name, const char *repository,
	const char *ready, const char *reason, const char *message)
{
	json_t *object =
		fake_json("{'apiVersion':'source.toolkit.fluxcd.io/v1',"
			  "'kind':'OCIRepository','metadata':{'name':'%s',"
			  "'namespace':'flux-system','generation':2},"
			  "'spec':{'insecure':true,'interval':'10m','ref':{'tag':'latest'},"
			  "'url':'oci://registry.example/prefix/%s'},'status':{"
			  "'artifact':{'digest':'sha256:" B "','metadata':{"
			  "'org.opencontainers.image.revision':'c1764'},"
			  "'revision':'latest@sha256:" A "','size':712},"
			  "'conditions':[{'type':'ArtifactInStorage','status':'True'}," READY
			  "],'lastHandledReconcileAt':'1764000000000001',"
			  "'observedGeneration':2}}",
			name, repository, ready, reason, message);
	struct flux_catalog *c = flux_see_source(f, object, false);

	json_decref(object);
	return c;
}

static json_t *kustomization(const char *name, const char *source, int observed, const char *ready,
	const char *reason, const char *message)
{
	return fake_json("{'apiVersion':'kustomize.toolkit.fluxcd.io/v1','kind':'Kustomization',"
			 "'metadata':{'name':'%s','namespace':'flux-system','generation':3},"
			 "'spec':{'deletionPolicy':'Orphan','interval':'10m','path':'./manifests',"
			 "'prune':true,'sourceRef':{'kind':'OCIRepository','name':'%s'},"
			 "'wait':false},'status':{'conditions':[" READY "],'inventory':{'entries':["
			 "{'id':'default_web_gitops-squared.io_PlatformResource','v':'v1alpha1'},"
			 "{'id':'default_db_gitops-squared.io_PlatformResource','v':'v1alpha1'}]},"
			 "'lastAppliedOriginRevision':'c1764000000000001',"
			 "'lastAppliedRevision':'latest@sha256:" A "',"
			 "'lastAttemptedRevision':'latest@sha256:" B "',"
			 "'lastHandledReconcileAt':'17','observedGeneration':%d}}",
		name, source, ready, reason, message, observed);
}

static struct flux_catalog *see_kustomization(struct flux *f, const char *name, int observed,
	const char *ready, const char *reason, const char *message)
{
	json_t *object = kustomization(name, name, observed, ready, reason, message);
	struct flux_catalog *c = flux_see_kustomization(f, object, false);

	json_decref(object);
	return c;
}

static void both_objects_of_a_catalog_are_read(void **state UNUSED)
{
	CLEANUP(flux_done) struct flux f = {0};
	struct flux_catalog *c = see_source(&f, "gitops-squared-team-a-07",
		"gitops-squared/catalogs/team-a/07", "True", "Succeeded", "stored artifact");

	assert_non_null(c);
	assert_string_equal(c->repository, "gitops-squared/catalogs/team-a/07");
	assert_true(c->source.is_there);
	assert_false(c->source.failure.is_failing);
	assert_string_equal(c->source.handled, "1764000000000001");
	assert_digest(&c->source.artifact, A);
	assert_false(c->kustomization.is_there);
	assert_ptr_equal(see_kustomization(&f, "gitops-squared-team-a-07", 3, "True",
				 "ReconciliationSucceeded", "Applied revision"),
		c);
	assert_true(c->kustomization.is_there && c->kustomization.is_ready);
	assert_true(c->kustomization.prunes && c->kustomization.orphans);
	assert_true(c->kustomization.is_observed);
	assert_digest(&c->kustomization.applied, A);
	assert_digest(&c->kustomization.attempted, B);
	assert_true(c->kustomization.applied_version == 1764000000000001);
	assert_int_equal(c->kustomization.generation, 3);
	assert_int_equal(c->kustomization.n_inventory, 2);
	assert_string_equal(c->kustomization.handled, "17");
	see_kustomization(&f, "gitops-squared-team-a-07", 2, "True", "", "");
	assert_false(c->kustomization.is_observed);
}

static void the_roots_objects_have_names_of_their_own(void **state UNUSED)
{
	CLEANUP(flux_done) struct flux f = {0};
	struct flux_catalog *c = flux_catalog(&f, "gitops-squared/catalog");
	json_t *object = kustomization(
		"gitops-squared-resources", "gitops-squared-catalog", 3, "True", "", "");
	char path[256];

	assert_ptr_equal(flux_see_kustomization(&f, object, false), c);
	json_decref(object);
	assert_ptr_equal(
		see_source(&f, "gitops-squared-catalog", "gitops-squared/catalog", "True", "", ""),
		c);
	assert_string_equal(c->repository, "gitops-squared/catalog");
	flux_source_path(c->repository, path);
	assert_string_equal(path, "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/"
				  "ocirepositories/gitops-squared-catalog");
	flux_kustomization_path(c->repository, path);
	assert_string_equal(path, "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/"
				  "kustomizations/gitops-squared-resources");
	assert_int_equal(f.n, 1);
}

static void the_url_tells_the_repository_of_a_long_namespace(void **state UNUSED)
{
	CLEANUP(flux_done) struct flux f = {0};
	char repository[CATALOG_REPOSITORY_SIZE], name[ROOT_OBJECT_SIZE];
	struct flux_catalog *c;

	snprintf(repository, sizeof(repository), "gitops-squared/catalogs/%063d/00", 7);
	root_object_name(repository, name);
	c = see_kustomization(&f, name, 3, "True", "", "");
	assert_non_null(c);
	assert_string_equal(c->repository, "");
	assert_ptr_equal(see_source(&f, name, repository, "True", "", ""), c);
	assert_string_equal(c->repository, repository);
	assert_ptr_equal(flux_catalog(&f, repository), c);
}

static void the_words_of_a_repository_may_be_in_its_prefix_too(void **state UNUSED)
{
	CLEANUP(flux_done) struct flux f = {0};
	char repository[CATALOG_REPOSITORY_SIZE], name[ROOT_OBJECT_SIZE], url[256];
	struct flux_catalog *c;

	snprintf(repository, sizeof(repository), "gitops-squared/catalogs/%063d/00", 7);
	root_object_name(repository, name);
	snprintf(url, sizeof(url), "gitops-squared/catalogs/%s", repository);
	c = see_source(&f, name, url, "True", "", "");
	assert_non_null(c);
	assert_string_equal(c->repository, repository);
}

static void a_kustomization_alone_tells_its_repository(void **state UNUSED)
{
	CLEANUP(flux_done) struct flux f = {0};
	struct flux_catalog *c =
		see_kustomization(&f, "gitops-squared-team-1-007", 3, "True", "", "");

	assert_string_equal(c->repository, "gitops-squared/catalogs/team-1/007");
}

static void objects_of_others_are_ignored(void **state UNUSED)
{
	static const char *const names[] = {"flux-system", "gitops-squared-monitoring",
		"gitops-squared-", "gitops-squared-07", "gitops-squared-a-7", "gitops-squared-a7",
		"gitops-squared-resources-v2", ""};
	CLEANUP(flux_done) struct flux f = {0};
	json_t *object;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_null(see_kustomization(&f, names[i], 3, "True", "", ""));
		assert_null(see_source(&f, names[i], "gitops-squared/catalog", "True", "", ""));
	}
	/* It has the name of one of ours, but applies something else. */
	object = kustomization("gitops-squared-apps-2024", "apps", 3, "True", "", "");
	assert_null(flux_see_kustomization(&f, object, false));
	json_decref(object);
	/* The root's OCIRepository has this name, its Kustomization has not. */
	assert_null(see_kustomization(&f, "gitops-squared-catalog", 3, "True", "", ""));
	assert_int_equal(f.n, 0);
}

static void a_url_that_names_no_catalog_of_this_object_is_ignored(void **state UNUSED)
{
	static const char *const repositories[] = {"gitops-squared/catalog",
		"gitops-squared/catalogs", "gitops-squared/catalogs/", "gitops-squared/catalogs/a",
		"gitops-squared/catalogs/a/", "gitops-squared/catalogs//00", "mirror",
		"gitops-squared/catalogs/a/01", "gitops-squared/catalogs/a/00/"};
	CLEANUP(flux_done) struct flux f = {0};

	for (size_t i = 0; i < ARRAY_SIZE(repositories); i++) {
		struct flux_catalog *c =
			see_source(&f, "gitops-squared-a-00", repositories[i], "True", "", "");

		assert_string_equal(c->repository, "gitops-squared/catalogs/a/00");
	}
}

#define REFUSAL "PlatformResource/default/web dry-run failed (Forbidden): no"

static void while_flux_tries_again_its_last_failure_stands(void **state UNUSED)
{
	CLEANUP(flux_done) struct flux f = {0};
	const char *name = "gitops-squared-a-00";
	struct flux_catalog *c =
		see_kustomization(&f, name, 2, "False", "ReconciliationFailed", REFUSAL);
	const struct flux_failure *failure = &c->kustomization.failure;

	assert_true(failure->is_failing);
	assert_string_equal(failure->reason, "ReconciliationFailed");
	assert_string_equal(failure->message, REFUSAL);
	see_kustomization(&f, name, 2, "Unknown", "Progressing", "Reconciliation in progress");
	assert_true(failure->is_failing);
	assert_string_equal(failure->message, REFUSAL);
	assert_false(c->kustomization.is_ready);
	see_kustomization(&f, name, 3, "True", "ReconciliationSucceeded", "Applied revision");
	assert_false(failure->is_failing);
	assert_string_equal(failure->reason, "");
	assert_string_equal(failure->message, "");
	see_kustomization(&f, name, 3, "Unknown", "Progressing", "Reconciliation in progress");
	assert_false(failure->is_failing);
}

/* Flux says what it attempts before it says what became of it. */
static void a_failure_is_not_of_the_attempt_that_is_under_way(void **state UNUSED)
{
	CLEANUP(flux_done) struct flux f = {0};
	const char *name = "gitops-squared-a-00";
	json_t *object = kustomization(name, name, 2, "False", "ReconciliationFailed", REFUSAL);
	json_t *status = json_object_get(object, "status");
	struct flux_catalog *c;

	json_object_set_new(status, "lastAttemptedRevision", json_string("latest@sha256:" A));
	c = flux_see_kustomization(&f, object, false);
	assert_digest(&c->kustomization.attempted, A);
	json_decref(object);
	see_kustomization(&f, name, 2, "Unknown", "Progressing", "Reconciliation in progress");
	assert_digest(&c->kustomization.attempted, A);
	see_kustomization(&f, name, 2, "False", "ReconciliationFailed", REFUSAL);
	assert_digest(&c->kustomization.attempted, B);
}

static void a_source_fails_for_itself(void **state UNUSED)
{
	CLEANUP(flux_done) struct flux f = {0};
	struct flux_catalog *c = see_source(&f, "gitops-squared-a-00",
		"gitops-squared/catalogs/a/00", "False", "OCIArtifactPullFailed",
		"failed to determine artifact digest: connection refused");

	assert_true(c->source.failure.is_failing);
	assert_string_equal(c->source.failure.reason, "OCIArtifactPullFailed");
	assert_false(c->kustomization.failure.is_failing);
}

static void an_object_without_a_status_says_nothing(void **state UNUSED)
{
	CLEANUP(flux_done) struct flux f = {0};
	json_t *object = fake_json("{'metadata':{'name':'gitops-squared-a-00','generation':1},"
				   "'spec':{'prune':false,"
				   "'sourceRef':{'name':'gitops-squared-a-00'}}}");
	struct flux_catalog *c = flux_see_kustomization(&f, object, false);

	assert_ptr_equal(flux_see_source(&f, object, false), c);
	json_decref(object);
	assert_false(c->kustomization.is_observed || c->kustomization.is_ready);
	assert_false(c->kustomization.prunes || c->kustomization.orphans);
	assert_false(c->kustomization.failure.is_failing || c->source.failure.is_failing);
	assert_int_equal(c->kustomization.applied.algorithm, DIGEST_NONE);
	assert_int_equal(c->source.artifact.algorithm, DIGEST_NONE);
	assert_int_equal(c->kustomization.n_inventory, 0);
	assert_true(c->kustomization.applied_version == 0);
}

static void a_message_that_is_too_long_is_cut(void **state UNUSED)
{
	CLEANUP(flux_done) struct flux f = {0};
	char message[2001];
	struct flux_catalog *c;

	memset(message, 'x', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	c = see_kustomization(&f, "gitops-squared-a-00", 2, "False", message, message);
	assert_int_equal(strlen(c->kustomization.failure.message),
		sizeof(c->kustomization.failure.message) - 1);
	assert_int_equal(strlen(c->kustomization.failure.reason),
		sizeof(c->kustomization.failure.reason) - 1);
}

static void a_message_that_is_cut_ends_with_a_whole_character(void **state UNUSED)
{
	CLEANUP(flux_done) struct flux f = {0};
	const size_t max = sizeof(f.catalogs[0]->kustomization.failure.message) - 1;
	char message[2001];
	const struct flux_failure *failure;

	for (size_t before = max - 2; before <= max - 1; before++) {
		memset(message, 'x', before);
		snprintf(message + before, sizeof(message) - before, "\xe2\x82\xac and more");
		failure = &see_kustomization(&f, "gitops-squared-a-00", 2, "False", "No", message)
				   ->kustomization.failure;
		assert_int_equal(strlen(failure->message), before);
		assert_true(failure->message[before - 1] == 'x');
	}
	memset(message, 'x', max - 3);
	snprintf(message + max - 3, sizeof(message) - max + 3, "\xe2\x82\xac and more");
	failure = &see_kustomization(&f, "gitops-squared-a-00", 2, "False", "No", message)
			   ->kustomization.failure;
	assert_int_equal(strlen(failure->message), max);
	assert_string_equal(failure->message + max - 3, "\xe2\x82\xac");
}

/* ---- suspended ---- */

static void suspend(json_t *object)
{
	json_object_set_new(json_object_get(object, "spec"), "suspend", json_true());
}

/* What it said last is not what keeps it from being applied. */
static void a_suspended_object_says_so_whatever_its_conditions_are(void **state UNUSED)
{
	static const char *const ready[] = {"True", "False", "Unknown"};
	CLEANUP(flux_done) struct flux f = {0};
	const char *name = "gitops-squared-a-00";
	struct flux_catalog *c = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(ready); i++) {
		json_t *object = kustomization(name, name, 3, ready[i], "Reason", "no");

		suspend(object);
		c = flux_see_kustomization(&f, object, false);
		json_decref(object);
		assert_true(c->kustomization.failure.is_failing);
		assert_string_equal(c->kustomization.failure.reason, FLUX_SUSPENDED);
		assert_string_equal(c->kustomization.failure.message,
			"Kustomization gitops-squared-a-00 is suspended.");
	}
	see_kustomization(&f, name, 3, "True", "ReconciliationSucceeded", "Applied revision");
	assert_false(c->kustomization.failure.is_failing);
}

static void what_goes_on_is_not_suspended_any_more_though_nothing_is_known_yet(void **state UNUSED)
{
	CLEANUP(flux_done) struct flux f = {0};
	const char *name = "gitops-squared-a-00";
	json_t *object = kustomization(name, name, 3, "False", "ReconciliationFailed", "no");
	struct flux_catalog *c;

	suspend(object);
	c = flux_see_kustomization(&f, object, false);
	json_decref(object);
	see_kustomization(&f, name, 3, "Unknown", "Progressing", "Reconciliation in progress");
	assert_false(c->kustomization.failure.is_failing);
	assert_string_equal(c->kustomization.failure.reason, "");
}

static void a_suspended_source_says_so_too(void **state UNUSED)
{
	CLEANUP(flux_done) struct flux f = {0};
	json_t *object = fake_json("{'kind':'OCIRepository','metadata':"
				   "{'name':'gitops-squared-catalog'},'spec':{'suspend':true}}");
	struct flux_catalog *c = flux_see_source(&f, object, false);

	json_decref(object);
	assert_true(c->source.failure.is_failing);
	assert_string_equal(c->source.failure.reason, FLUX_SUSPENDED);
	assert_string_equal(
		c->source.failure.message, "OCIRepository gitops-squared-catalog is suspended.");
	assert_false(c->kustomization.failure.is_failing);
}

/* ---- what a message is about ---- */

static void expect_object(
	const char *message, const char *namespace, const char *name, const char *rest)
{
	char got_namespace[LIMIT_NAME + 1], got_name[LIMIT_NAME + 1];
	const char *got_rest;

	assert_true(flux_message_object(message, got_namespace, got_name, &got_rest));
	assert_string_equal(got_namespace, namespace);
	assert_string_equal(got_name, name);
	assert_string_equal(got_rest, rest);
}

static void a_message_is_about_the_object_that_it_begins_with(void **state UNUSED)
{
	expect_object(REFUSAL, "default", "web", " dry-run failed (Forbidden): no");
	expect_object(
		"PlatformResource/a/b, PlatformResource/c/d", "a", "b", ", PlatformResource/c/d");
	expect_object("PlatformResource/a/b", "a", "b", "");
	expect_object("PlatformResource/a/web-2.x", "a", "web-2", ".x");
}

static void an_object_further_on_is_not_what_a_message_is_about(void **state UNUSED)
{
	static const char *const messages[] = {
		"",
		"x PlatformResource/a/b dry-run failed",
		" PlatformResource/a/b dry-run failed",
		"Deployment/a/b dry-run failed (Invalid): PlatformResource/a/b dry-run failed",
		"kustomize build failed: PlatformResource/a/b",
		"PlatformResource/default",
		"PlatformResource/default/",
		"PlatformResource//web PlatformResource/a/b",
		"PlatformResource/default web/a",
		"platformresource/a/b",
	};
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1], long_name[100 + LIMIT_NAME];
	const char *rest;

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
		if (flux_message_object(messages[i], namespace, name, &rest))
			fail_msg("%s/%s in: %s", namespace, name, messages[i]);
	snprintf(long_name, sizeof(long_name), "PlatformResource/default/%064d failed", 0);
	assert_false(flux_message_object(long_name, namespace, name, &rest));
	snprintf(long_name, sizeof(long_name), "PlatformResource/default/%063d failed", 0);
	assert_true(flux_message_object(long_name, namespace, name, &rest));
}

static void a_message_is_about_its_object_until_it_names_another(void **state UNUSED)
{
	static const struct {
		const char *own, *rest;
	} cases[] = {
		{"", "kustomize build failed: PlatformResource/a/b"},
		{"PlatformResource/a/b dry-run failed (Invalid): no", ""},
		{"PlatformResource/a/b failed: PlatformResource/a/b: no; ", "PlatformResource/a/c"},
		{"PlatformResource/a/b failed, ", "PlatformResource/b/b failed"},
		{"PlatformResource/a/b failed, ", "PlatformResource/a/bc failed"},
		{"PlatformResource/a/b failed, ", "PlatformResource/ failed"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char message[200];

		snprintf(message, sizeof(message), "%s%s", cases[i].own, cases[i].rest);
		assert_int_equal(flux_message_own(message), strlen(cases[i].own));
	}
}

static void what_is_deleted_or_not_in_a_list_is_gone(void **state UNUSED)
{
	CLEANUP(flux_done) struct flux f = {0};
	const char *a = "gitops-squared-a-00", *b = "gitops-squared-b-00";
	struct flux_catalog *first =
		see_source(&f, a, "gitops-squared/catalogs/a/00", "True", "", "");
	struct flux_catalog *second =
		see_source(&f, b, "gitops-squared/catalogs/b/00", "True", "", "");
	json_t *object = kustomization(a, a, 3, "True", "", "");

	see_kustomization(&f, a, 3, "True", "", "");
	see_kustomization(&f, b, 3, "True", "", "");
	flux_relist_sources(&f);
	see_source(&f, b, "gitops-squared/catalogs/b/00", "True", "", "");
	assert_true(first->source.is_there);
	flux_synced_sources(&f);
	assert_false(first->source.is_there);
	assert_true(second->source.is_there);
	assert_true(first->kustomization.is_there && second->kustomization.is_there);
	assert_false(f.sees_kustomizations);
	flux_relist_kustomizations(&f);
	see_kustomization(&f, a, 3, "True", "", "");
	flux_synced_kustomizations(&f);
	assert_true(f.sees_kustomizations);
	assert_true(first->kustomization.is_there);
	assert_false(second->kustomization.is_there);
	assert_ptr_equal(flux_see_kustomization(&f, object, true), first);
	json_decref(object);
	assert_false(first->kustomization.is_there);
	assert_int_equal(first->kustomization.n_inventory, 0);
	assert_string_equal(first->repository, "gitops-squared/catalogs/a/00");
}

static void many_catalogs_are_found_and_stay_where_they_are(void **state UNUSED)
{
	CLEANUP(flux_done) struct flux f = {0};
	struct flux_catalog *all[100];
	char repository[CATALOG_REPOSITORY_SIZE];

	for (unsigned i = 0; i < 100; i++) {
		snprintf(repository, sizeof(repository), "gitops-squared/catalogs/n%u/00",
			i * 37 % 100);
		all[i] = flux_catalog(&f, repository);
		assert_non_null(all[i]);
	}
	for (unsigned i = 0; i < 100; i++) {
		snprintf(repository, sizeof(repository), "gitops-squared/catalogs/n%u/00",
			i * 37 % 100);
		assert_ptr_equal(flux_catalog(&f, repository), all[i]);
		assert_string_equal(all[i]->repository, repository);
	}
	assert_int_equal(f.n, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_objects_of_a_catalog_are_read),
		cmocka_unit_test(the_roots_objects_have_names_of_their_own),
		cmocka_unit_test(the_url_tells_the_repository_of_a_long_namespace),
		cmocka_unit_test(the_words_of_a_repository_may_be_in_its_prefix_too),
		cmocka_unit_test(a_kustomization_alone_tells_its_repository),
		cmocka_unit_test(objects_of_others_are_ignored),
		cmocka_unit_test(a_url_that_names_no_catalog_of_this_object_is_ignored),
		cmocka_unit_test(while_flux_tries_again_its_last_failure_stands),
		cmocka_unit_test(a_failure_is_not_of_the_attempt_that_is_under_way),
		cmocka_unit_test(a_source_fails_for_itself),
		cmocka_unit_test(an_object_without_a_status_says_nothing),
		cmocka_unit_test(a_message_that_is_too_long_is_cut),
		cmocka_unit_test(a_message_that_is_cut_ends_with_a_whole_character),
		cmocka_unit_test(a_suspended_object_says_so_whatever_its_conditions_are),
		cmocka_unit_test(
			what_goes_on_is_not_suspended_any_more_though_nothing_is_known_yet),
		cmocka_unit_test(a_suspended_source_says_so_too),
		cmocka_unit_test(a_message_is_about_the_object_that_it_begins_with),
		cmocka_unit_test(an_object_further_on_is_not_what_a_message_is_about),
		cmocka_unit_test(a_message_is_about_its_object_until_it_names_another),
		cmocka_unit_test(what_is_deleted_or_not_in_a_list_is_gone),
		cmocka_unit_test(many_catalogs_are_found_and_stay_where_they_are),
	};

	digest_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
