/* SPDX-License-Identifier: Apache-2.0 */
/* What is current is signed, whatever fails on the way; and what is not signed is not read. */
#include "publisher_fixture.h"

#include "cosign_fixture.h"
#include "publish/signatures.h"

#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

/* Of nobody: it signs nothing else. */
#define OTHER_KEY \
	"-----BEGIN PRIVATE KEY-----\n" \
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgquLPTcE5FDIRakdS\n" \
	"5OED0SIYIyiN4TePiUjuXH9fzu2hRANCAATHnUq4RUU/Ynd5DJjuNFmc6hLgmPg+\n" \
	"yy2vKCYBsH7cEb0zHRxdtaIOwx5da4jNevzDSclsbhh6V3VB6gvGALeS\n" \
	"-----END PRIVATE KEY-----\n"

#define OTHER_PUBLIC_KEY \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEx51KuEVFP2J3eQyY7jRZnOoS4Jj4\n" \
	"PsstrygmAbB+3BG9Mx0cXbWiDsMeXWuIzXr8w0nJbG4Yeld1QeoLxgC3kg==\n" \
	"-----END PUBLIC KEY-----\n"

/* Of a blob that is not there. */
#define FOREIGN_DIGEST "sha256:00000000000000000000000000000000000000000000000000000000000000ff"

static struct sign_key *own, *other;
static struct sign_keys *own_public, *other_public, *both_public;

/* ---- publishers that sign ---- */

static struct publisher *begin(struct fake *f, struct signing signing, enum publisher_gate gate)
{
	return start_options(
		f, (struct publisher_options){.init = true, .gate = gate, .signing = signing});
}

static struct publisher *start_signing(struct fake *f, struct signing signing)
{
	struct publisher *p = begin(f, signing, GATE_OPEN);

	wait_ready(p);
	return p;
}

#define SIGNS ((struct signing){.key = own})
#define VERIFIES ((struct signing){.key = own, .verify = own_public})

/* ---- looking ---- */

static bool digest_is_signed(struct fake *f, const char *repository, const struct digest *digest,
	const struct sign_keys *keys)
{
	char tag[SIGNATURE_TAG_SIZE];
	struct pull pull = {
		.repository = repository,
		.reference = tag,
		.manifest = BUF_INIT(LIMIT_MANIFEST),
		.layer = BUF_INIT(LIMIT_SIGNATURE),
	};
	bool is_signed;

	signature_tag(digest, tag);
	registry_pull(&f->registry, &pull, 1);
	is_signed = pull.err.code == ERROR_NONE &&
		    signature_check(keys, digest, buf_slice(&pull.manifest), buf_slice(&pull.layer),
			    &err) == 0;
	buf_done(&pull.manifest);
	buf_done(&pull.layer);
	return is_signed;
}

/* Does a bundle that is tagged name it as its subject? */
static bool has_bundle(struct fake *f, const char *repository, const struct digest *digest)
{
	CLEANUP(buf_done) struct buf bytes = BUF_INIT(LIMIT_MANIFEST);
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	char tags[SIGNATURES_TAGS][SIGNATURES_TAG_SIZE];
	struct digest same;

	signatures_tags(digest, tags);
	if (registry_manifest(&f->registry, repository, tags[1], &bytes, &same, &err) != 0)
		return false;
	assert_int_equal(oci_manifest_parse(&m, buf_slice(&bytes), &err), 0);
	return m->has_subject && digest_eq(&m->subject.digest, digest);
}

static bool is_signed_by(
	struct fake *f, const char *repository, const char *tag, const struct sign_keys *keys)
{
	struct digest digest;

	assert_true(fake_resolve(f, repository, tag, &digest));
	return digest_is_signed(f, repository, &digest, keys) && has_bundle(f, repository, &digest);
}

static bool all_is_signed_by(struct fake *f, const struct sign_keys *keys)
{
	return is_signed_by(f, RECORD_REPOSITORY, "latest", keys) &&
	       is_signed_by(f, CATALOG_REPOSITORY, "latest", keys);
}

static bool is_signed(struct fake *f, const char *repository, const char *tag)
{
	return is_signed_by(f, repository, tag, own_public);
}

/* ---- commits ---- */

static void a_commit_is_pushed_with_the_signatures_of_catalog_and_record(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_signing(f, SIGNS);

	assert_true(all_is_signed_by(f, own_public));
	put(p, "web", 1);
	assert_true(all_is_signed_by(f, own_public));
	assert_false(is_signed(f, "gitops-squared/resources/default/web", "latest"));
	assert_int_equal(differences(f), 0);
	publisher_free(p);
	fake_destroy(f);
}

static void no_signature_comes_after_the_commit_point(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_signing(f, (struct signing){.key = own, .resources = true});
	const char *point, *signature;
	size_t n = 0;

	fake_forget(f);
	put(p, "web", 1);
	point = strstr(f->last_pushes, RECORD_REPOSITORY ":latest");
	assert_non_null(point);
	for (signature = f->last_pushes; (signature = strstr(signature, ":sha256-")) != NULL;
		signature++, n++)
		assert_true(f->registry.atomic || signature < point);
	assert_int_equal(n, 2 * 3);
	publisher_free(p);
	fake_destroy(f);
}

static void each_catalog_of_a_split_layout_is_signed_and_its_root(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct layout layout = {LAYOUT_SPLIT, 1};
	struct publisher *p = start_options(
		f, (struct publisher_options){.init = true, .layout = &layout, .signing = SIGNS});

	wait_ready(p);
	put_in(p, "default", "web", 1);
	put_in(p, "tools", "ci", 1);
	assert_true(all_is_signed_by(f, own_public));
	assert_true(is_signed(f, "gitops-squared/catalogs/default/00", "latest"));
	assert_true(is_signed(f, "gitops-squared/catalogs/tools/00", "latest"));
	publisher_free(p);
	p = start_signing(f, VERIFIES);
	assert_int_equal(seen(p, "web"), 1);
	publisher_free(p);
	fake_destroy(f);
}

static void where_it_is_asked_for_artifacts_are_signed_and_tombstones(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_signing(f, (struct signing){.key = own, .resources = true});

	put(p, "web", 1);
	assert_true(is_signed(f, "gitops-squared/resources/default/web", "latest"));
	delete (p, "web");
	assert_true(is_signed(f, "gitops-squared/resources/default/web", "latest"));
	assert_int_equal(differences(f), 0);
	publisher_free(p);
	fake_destroy(f);
}

/* Each call of a commit fails in turn; then all of it is restored by who trusts nothing unsigned.
 */
static void fail_each_call(struct fake *f, enum fake_fault fault)
{
	struct publisher *p = start_signing(f, VERIFIES);
	unsigned failures = 0;
	size_t n_calls;

	put(p, "web", 1);
	n_calls = f->n_calls;
	put(p, "web", 2);
	n_calls = f->n_calls - n_calls;
	for (size_t n = 0; n < n_calls; n++) {
		struct outcome outcome;

		fake_fail(f, n, 1, fault);
		outcome = put(p, "web", 3 + (unsigned)n % 8);
		failures += outcome.err.code != ERROR_NONE;
		wait_ready(p);
		assert_true(all_is_signed_by(f, own_public));
		if (outcome.err.code == ERROR_NONE)
			assert_int_equal(seen(p, "web"), 3 + n % 8);
	}
	/* All but the pushes of derived tags, which a restore makes up for, and answers as such. */
	assert_true(failures >= 6);
	publisher_free(p);
	p = start_signing(f, VERIFIES);
	publisher_free(p);
}

static void whatever_fails_what_is_current_is_signed(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);

	fail_each_call(f, FAKE_UNAVAILABLE);
	fail_each_call(f, FAKE_LOST_AFTER);
	fake_destroy(f);
}

static void a_signature_that_is_refused_fails_the_commit(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_signing(f, SIGNS);
	size_t artifact_catalog_record = 3, head = 1;
	struct outcome outcome;

	put(p, "web", 1);
	for (size_t i = 0; i < 4; i++) {
		fake_fail(f, head + artifact_catalog_record + i, 1, FAKE_UNAVAILABLE);
		outcome = put(p, "web", 2);
		assert_int_equal(outcome.err.code, ERROR_UNAVAILABLE);
		assert_non_null(strstr(outcome.err.text, ":sha256-"));
		assert_int_equal(seen(p, "web"), 1);
	}
	assert_int_equal(put(p, "web", 2).err.code, ERROR_NONE);
	publisher_free(p);
	assert_int_equal(seen_after_restart(f, "web"), 2);
	fake_destroy(f);
}

/* ---- the start ---- */

static void leave_unsigned(struct fake *f)
{
	struct publisher *p = start(f);

	put(p, "web", 1);
	publisher_free(p);
	assert_false(all_is_signed_by(f, own_public));
	fake_forget(f);
}

static void the_start_signs_what_is_current_and_nothing_twice(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p;

	leave_unsigned(f);
	p = start_signing(f, SIGNS);
	assert_true(all_is_signed_by(f, own_public));
	assert_int_equal(f->n_pushes, 4);
	publisher_free(p);
	fake_forget(f);
	p = start_signing(f, SIGNS);
	assert_int_equal(f->n_pushes, 0);
	publisher_free(p);
	fake_destroy(f);
}

static void the_start_signs_what_another_key_has_signed(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_signing(f, (struct signing){.key = other});

	put(p, "web", 1);
	assert_true(all_is_signed_by(f, other_public));
	publisher_free(p);
	p = start_signing(f, SIGNS);
	assert_true(all_is_signed_by(f, own_public));
	publisher_free(p);
	fake_destroy(f);
}

static void what_the_gate_keeps_unsigned_is_signed_when_it_opens(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p;

	leave_unsigned(f);
	p = begin(f, SIGNS, GATE_CLUSTER);
	wait_ready(p);
	assert_int_equal(f->n_pushes, 0);
	publisher_admit(p, 0);
	while (publisher_writable(p, &err) != 0)
		usleep(1000);
	assert_true(all_is_signed_by(f, own_public));
	publisher_free(p);
	fake_destroy(f);
}

/* Each call of a start fails in turn. */
static void no_start_is_ready_before_its_signatures_are_stored(void **state)
{
	for (size_t n = 0; n < 14; n++) {
		struct fake *f = fake_new(*(bool *)*state);
		struct publisher *p;

		leave_unsigned(f);
		fake_fail(f, n, 1, FAKE_UNAVAILABLE);
		p = start_signing(f, SIGNS);
		fake_fail(f, 0, 0, FAKE_OK); /* a start may have fewer calls */
		assert_true(all_is_signed_by(f, own_public));
		publisher_free(p);
		fake_destroy(f);
	}
}

/* ---- verifying ---- */

/* It never comes to be ready, for this reason. */
static void expect_refused(struct fake *f, struct signing signing, const char *why)
{
	struct publisher *p = begin(f, signing, GATE_OPEN);
	struct error first = ERROR_INIT;

	do {
		usleep(1000);
		assert_int_equal(publisher_ready(p, &first), -1);
	} while (strcmp(first.text, "reading the registry") == 0);
	if (strstr(first.text, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", first.text, why);
	assert_null(publisher_state(p));
	publisher_free(p);
}

static void drop_signature(struct fake *f, const char *repository)
{
	char tag[SIGNATURE_TAG_SIZE];
	struct digest digest;

	assert_true(fake_resolve(f, repository, "latest", &digest));
	signature_tag(&digest, tag);
	fake_drop_tag(f, repository, tag);
}

static struct fake *new_signed_store(bool atomic)
{
	struct fake *f = fake_new(atomic);
	struct publisher *p = start_signing(f, SIGNS);

	put(p, "web", 1);
	publisher_free(p);
	return f;
}

static void a_store_that_nobody_signed_is_refused_until_a_start_without_verify(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p;

	leave_unsigned(f);
	expect_refused(f, VERIFIES, "gitops-squared/commits@sha256:");
	expect_refused(f, VERIFIES, "it has no signature");
	expect_refused(f, VERIFIES, "start once without --verify");
	publisher_free(start_signing(f, SIGNS));
	p = start_signing(f, VERIFIES);
	assert_int_equal(seen(p, "web"), 1);
	publisher_free(p);
	fake_destroy(f);
}

static void a_catalog_without_signature_is_refused_by_name(void **state)
{
	struct fake *f = new_signed_store(*(bool *)*state);

	drop_signature(f, CATALOG_REPOSITORY);
	expect_refused(f, VERIFIES, "gitops-squared/catalog@sha256:");
	fake_destroy(f);
}

static void what_another_key_has_signed_is_refused(void **state)
{
	struct fake *f = new_signed_store(*(bool *)*state);

	expect_refused(
		f, (struct signing){.verify = other_public}, "is not signed by a key of --verify");
	fake_destroy(f);
}

static void one_of_several_keys_is_enough(void **state)
{
	struct fake *f = new_signed_store(*(bool *)*state);

	publisher_free(start_signing(f, (struct signing){.key = own, .verify = both_public}));
	publisher_free(start_signing(f, (struct signing){.key = other, .verify = both_public}));
	assert_true(all_is_signed_by(f, other_public));
	publisher_free(start_signing(f, (struct signing){.key = other, .verify = other_public}));
	fake_destroy(f);
}

/* The signature of one record does not make another one good. */
static void a_signature_of_something_else_is_refused(void **state)
{
	struct fake *f = new_signed_store(*(bool *)*state);
	struct digest first, last, signature;
	char first_tag[SIGNATURE_TAG_SIZE], last_tag[SIGNATURE_TAG_SIZE];
	struct publisher *p;

	assert_true(fake_resolve(f, RECORD_REPOSITORY, "latest", &first));
	p = start_signing(f, SIGNS);
	put(p, "web", 2);
	publisher_free(p);
	assert_true(fake_resolve(f, RECORD_REPOSITORY, "latest", &last));
	signature_tag(&first, first_tag);
	signature_tag(&last, last_tag);
	assert_true(fake_resolve(f, RECORD_REPOSITORY, first_tag, &signature));
	fake_set_tag(f, RECORD_REPOSITORY, last_tag, &signature);
	expect_refused(f, VERIFIES, "gitops-squared/commits@sha256:");
	fake_destroy(f);
}

static void tampered_bytes_are_refused_by_their_digest(void **state)
{
	struct fake *f = new_signed_store(*(bool *)*state);
	struct digest catalog;

	assert_true(fake_resolve(f, CATALOG_REPOSITORY, "latest", &catalog));
	fake_damage(f, &catalog);
	expect_refused(f, VERIFIES, "do not match their digest");
	fake_destroy(f);
}

/* As cosign does it, who signs after us: a layer more. */
static void add_layer(struct fake *f, const char *repository)
{
	CLEANUP(buf_done) struct buf bytes = BUF_INIT(LIMIT_MANIFEST);
	struct digest subject, same;
	char tag[SIGNATURE_TAG_SIZE];
	struct push push = {.repository = repository, .tag = tag, .media_type = OCI_MEDIA_MANIFEST};
	json_t *manifest, *layers, *foreign;
	char *text;

	assert_true(fake_resolve(f, repository, "latest", &subject));
	signature_tag(&subject, tag);
	assert_int_equal(registry_manifest(&f->registry, repository, tag, &bytes, &same, &err), 0);
	manifest = json_loadb(bytes.data, bytes.len, 0, NULL);
	layers = json_object_get(manifest, "layers");
	foreign = json_deep_copy(json_array_get(layers, 0));
	json_object_set_new(foreign, "digest", json_string(FOREIGN_DIGEST));
	json_array_insert_new(layers, 0, foreign);
	text = json_dumps(manifest, JSON_COMPACT);
	push.manifest = slice_of(text);
	push.digest = digest_of(push.manifest);
	assert_int_equal(registry_begin(&f->registry, &err), 0);
	registry_push(&f->registry, &push, 1);
	assert_int_equal(push.err.code, ERROR_NONE);
	assert_int_equal(registry_commit(&f->registry, &err), 0);
	json_decref(manifest);
	free(text);
}

static void a_signature_that_somebody_has_added_does_no_harm(void **state)
{
	struct fake *f = new_signed_store(*(bool *)*state);

	add_layer(f, CATALOG_REPOSITORY);
	add_layer(f, RECORD_REPOSITORY);
	publisher_free(start_signing(f, VERIFIES));
	expect_refused(
		f, (struct signing){.verify = other_public}, "is not signed by a key of --verify");
	fake_destroy(f);
}

static void a_registry_that_cannot_be_asked_is_asked_again(void **state)
{
	struct fake *f = new_signed_store(*(bool *)*state);
	struct publisher *p;

	for (size_t n = 0; n < 12; n++) {
		fake_fail(f, n, 1, FAKE_UNAVAILABLE);
		p = start_signing(f, VERIFIES);
		assert_int_equal(seen(p, "web"), 1);
		publisher_free(p);
	}
	fake_destroy(f);
}

/* ---- tests ---- */

static int setup(void **state)
{
	fixture_setup(state);
	assert_int_equal(sign_key_parse(&own, SLICE(COSIGN_KEY), SLICE(COSIGN_PASSWORD), &err), 0);
	assert_int_equal(sign_key_parse(&other, SLICE(OTHER_KEY), SLICE_NONE, &err), 0);
	assert_int_equal(sign_keys_of(&own_public, own, &err), 0);
	assert_int_equal(sign_keys_of(&other_public, other, &err), 0);
	return sign_keys_parse(&both_public, SLICE(COSIGN_PUBLIC_KEY OTHER_PUBLIC_KEY), &err);
}

static int teardown(void **state UNUSED)
{
	sign_key_free(own);
	sign_key_free(other);
	sign_keys_free(own_public);
	sign_keys_free(other_public);
	sign_keys_free(both_public);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_commit_is_pushed_with_the_signatures_of_catalog_and_record),
		ON_BOTH(no_signature_comes_after_the_commit_point),
		ON_BOTH(each_catalog_of_a_split_layout_is_signed_and_its_root),
		ON_BOTH(where_it_is_asked_for_artifacts_are_signed_and_tombstones),
		ON_BOTH(whatever_fails_what_is_current_is_signed),
		ON_BOTH(a_signature_that_is_refused_fails_the_commit),
		ON_BOTH(the_start_signs_what_is_current_and_nothing_twice),
		ON_BOTH(the_start_signs_what_another_key_has_signed),
		ON_BOTH(what_the_gate_keeps_unsigned_is_signed_when_it_opens),
		ON_BOTH(no_start_is_ready_before_its_signatures_are_stored),
		ON_BOTH(a_store_that_nobody_signed_is_refused_until_a_start_without_verify),
		ON_BOTH(a_catalog_without_signature_is_refused_by_name),
		ON_BOTH(what_another_key_has_signed_is_refused),
		ON_BOTH(one_of_several_keys_is_enough),
		ON_BOTH(a_signature_of_something_else_is_refused),
		ON_BOTH(tampered_bytes_are_refused_by_their_digest),
		ON_BOTH(a_signature_that_somebody_has_added_does_no_harm),
		ON_BOTH(a_registry_that_cannot_be_asked_is_asked_again),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
