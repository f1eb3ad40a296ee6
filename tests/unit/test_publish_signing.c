/* SPDX-License-Identifier: Apache-2.0 */
/* What is current is signed, whatever fails on the way; and what is not signed is not read. */
#include "publisher_fixture.h"

#include "cosign_fixture.h"
#include "publish/adopt.h"
#include "publish/head.h"
#include "publish/rebuild.h"

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
static const struct sign_keys *own_public, *other_public;
static struct sign_keys *both_public;

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
#define SIGNS_EXISTING ((struct signing){.key = own, .existing = true})

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
		    signature_check(keys, repository, digest, buf_slice(&pull.manifest),
			    buf_slice(&pull.layer), &err) == 0;
	buf_done(&pull.manifest);
	buf_done(&pull.layer);
	return is_signed;
}

/* Does a bundle that is tagged name it as its subject? Of records there are none. */
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
	return digest_is_signed(f, repository, &digest, keys) &&
	       has_bundle(f, repository, &digest) == (strcmp(repository, RECORD_REPOSITORY) != 0);
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
	assert_int_equal(n, 2 * 3 - 1); /* two formats, but of the record */
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
	p = start_signing(f, SIGNS);
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
	struct publisher *p = start_signing(f, SIGNS);
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
	p = start_signing(f, SIGNS);
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
	for (size_t i = 0; i < 3; i++) {
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

static void a_start_that_is_told_so_signs_what_is_current_and_nothing_twice(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p;

	leave_unsigned(f);
	p = start_signing(f, SIGNS_EXISTING);
	assert_true(all_is_signed_by(f, own_public));
	assert_int_equal(f->n_pushes, 3);
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
	p = start_signing(f, (struct signing){.key = own, .verify = other_public});
	assert_true(all_is_signed_by(f, own_public));
	publisher_free(p);
	fake_destroy(f);
}

/* One pass: what says that all is signed says by whom. */
static size_t calls_of_a_start(struct fake *f, struct signing signing)
{
	size_t before = f->n_calls;

	publisher_free(start_signing(f, signing));
	return f->n_calls - before;
}

/* What says that all is signed says by whom. */
static void a_start_reads_each_signature_once(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	size_t of_record_and_catalog = 2 * 2; /* a manifest and a layer each */
	size_t without;

	leave_unsigned(f);
	without = calls_of_a_start(f, (struct signing){.key = NULL});
	publisher_free(start_signing(f, SIGNS_EXISTING));
	assert_int_equal(calls_of_a_start(f, SIGNS), without + of_record_and_catalog);
	fake_destroy(f);
}

static void what_the_gate_keeps_unsigned_is_signed_when_it_opens(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p;

	leave_unsigned(f);
	p = begin(f, SIGNS_EXISTING, GATE_CLUSTER);
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
		p = start_signing(f, SIGNS_EXISTING);
		fake_fail(f, 0, 0, FAKE_OK); /* a start may have fewer calls */
		assert_true(all_is_signed_by(f, own_public));
		publisher_free(p);
		fake_destroy(f);
	}
}

/* ---- verifying ---- */

/* What somebody with the registry, and without the key, makes current. */
static void write_unsigned(struct fake *f)
{
	struct publisher *p = start(f);

	put(p, "web", 9);
	publisher_free(p);
}

/* Restoring is not looking away: the server signs nothing that it has not made, nor --sign-existing
 * what came after the start. */
static void what_somebody_else_writes_meanwhile_is_not_signed(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_signing(f, SIGNS_EXISTING);

	put(p, "web", 1);
	write_unsigned(f);
	fake_forget(f);
	assert_int_equal(put(p, "web", 2).err.code, ERROR_UNAVAILABLE);
	do {
		usleep(1000);
		assert_int_equal(publisher_ready(p, &err), -1);
	} while (strstr(err.text, "it has no signature") == NULL);
	assert_int_equal(f->n_pushes, 0);
	assert_int_equal(seen(p, "web"), 1);
	publisher_free(p);
	assert_false(all_is_signed_by(f, own_public));
	fake_destroy(f);
}

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
	assert_null(publisher_state(p, NULL));
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

static void a_store_that_nobody_signed_is_refused_until_a_start_is_told_to_sign_it(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p;

	leave_unsigned(f);
	expect_refused(f, SIGNS, "gitops-squared/commits@sha256:");
	expect_refused(f, SIGNS, "it has no signature");
	expect_refused(f, SIGNS, "start once with --sign-existing");
	assert_false(all_is_signed_by(f, own_public));
	publisher_free(start_signing(f, SIGNS_EXISTING));
	p = start_signing(f, SIGNS);
	assert_int_equal(seen(p, "web"), 1);
	publisher_free(p);
	fake_destroy(f);
}

static void a_catalog_without_signature_is_refused_by_name(void **state)
{
	struct fake *f = new_signed_store(*(bool *)*state);

	drop_signature(f, CATALOG_REPOSITORY);
	expect_refused(f, SIGNS, "gitops-squared/catalog@sha256:");
	fake_destroy(f);
}

/* Split, with catalogs of the layout before in the root; the last record does not speak of them. */
static struct fake *new_store_with_leftovers(bool atomic)
{
	struct fake *f = fake_new(atomic);
	struct layout layout = {LAYOUT_SPLIT, 3};
	struct publisher *p = start_options(
		f, (struct publisher_options){.init = true, .layout = &layout, .signing = SIGNS});

	wait_ready(p);
	for (unsigned i = 0; i < 8; i++) {
		char name[16];

		snprintf(name, sizeof(name), "web-%u", i);
		put(p, name, 1);
	}
	repartition(p, RECORD_FREEZE, LAYOUT_SPLIT, 2);
	repartition(p, RECORD_SWITCH, LAYOUT_SPLIT, 2);
	put(p, "web-0", 2);
	publisher_free(p);
	return f;
}

#define LEFTOVER "gitops-squared/catalogs/default/02"

/* Else it would be taken for a new store, and be given an empty record. */
static void a_catalog_left_over_that_is_gone_makes_no_new_store(void **state)
{
	struct fake *f = new_store_with_leftovers(*(bool *)*state);
	struct digest before, after;

	publisher_free(start_signing(f, SIGNS));
	assert_true(fake_resolve(f, RECORD_REPOSITORY, "latest", &before));
	fake_drop_tag(f, LEFTOVER, "latest");
	expect_refused(f, SIGNS, LEFTOVER ":latest");
	assert_true(fake_resolve(f, RECORD_REPOSITORY, "latest", &after));
	assert_true(digest_eq(&before, &after));
	fake_destroy(f);
}

static void nothing_is_put_in_place_of_a_record(void **state)
{
	struct fake *f = new_signed_store(*(bool *)*state);
	const struct layout layout = {LAYOUT_SINGLE, 1};
	struct digest before, after;

	assert_true(fake_resolve(f, RECORD_REPOSITORY, "latest", &before));
	assert_int_equal(head_init(&f->registry, &layout, &(struct root_options){{0}}, &SIGNS,
				 fixture_clock(), &err),
		-1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_true(fake_resolve(f, RECORD_REPOSITORY, "latest", &after));
	assert_true(digest_eq(&before, &after));
	fake_destroy(f);
}

static void what_another_key_has_signed_is_refused(void **state)
{
	struct fake *f = new_signed_store(*(bool *)*state);

	expect_refused(f, (struct signing){.verify = other_public},
		"is not signed by a key of --sign-key or --verify");
	fake_destroy(f);
}

static void one_of_several_keys_is_enough(void **state)
{
	struct fake *f = new_signed_store(*(bool *)*state);

	publisher_free(start_signing(f, (struct signing){.key = own, .verify = both_public}));
	publisher_free(start_signing(f, (struct signing){.key = other, .verify = both_public}));
	assert_true(all_is_signed_by(f, other_public));
	publisher_free(start_signing(f, (struct signing){.key = other}));
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
	expect_refused(f, SIGNS, "gitops-squared/commits@sha256:");
	fake_destroy(f);
}

static void tampered_bytes_are_refused_by_their_digest(void **state)
{
	struct fake *f = new_signed_store(*(bool *)*state);
	struct digest catalog;

	assert_true(fake_resolve(f, CATALOG_REPOSITORY, "latest", &catalog));
	fake_damage(f, &catalog);
	expect_refused(f, SIGNS, "do not match their digest");
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
	publisher_free(start_signing(f, SIGNS));
	expect_refused(f, (struct signing){.verify = other_public},
		"is not signed by a key of --sign-key or --verify");
	fake_destroy(f);
}

static int check_record(struct fake *f)
{
	struct digest record;

	assert_true(fake_resolve(f, RECORD_REPOSITORY, "latest", &record));
	return signing_check_record(NULL, &SIGNS, &record, &f->registry, &err);
}

/* It says nothing of the signature: neither of one by itself, nor of one with others'. */
static void a_registry_that_denies_a_signature_is_not_one_without(void **state)
{
	struct fake *f = new_signed_store(*(bool *)*state);

	for (size_t n = 0; n < 2; n++) {
		fake_fail(f, n, 1, FAKE_DENIED);
		assert_int_equal(check_record(f), -1);
		assert_int_equal(err.code, ERROR_UNAVAILABLE);
		assert_int_equal(check_record(f), 0);
	}
	add_layer(f, RECORD_REPOSITORY);
	fake_fail(f, 2, 1, FAKE_DENIED);
	assert_int_equal(check_record(f), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_int_equal(check_record(f), 0);
	fake_destroy(f);
}

/* Registries may name a manifest by another hash than we do. */
static void a_record_that_sha512_names_is_refused_by_that_name(void **state)
{
	struct fake *f = new_signed_store(*(bool *)*state);
	CLEANUP(buf_done) struct buf bytes = BUF_INIT(LIMIT_MANIFEST);
	struct push push = {.repository = RECORD_REPOSITORY, .tag = "latest"};
	struct digest same;

	assert_int_equal(
		registry_manifest(&f->registry, RECORD_REPOSITORY, "latest", &bytes, &same, &err),
		0);
	push.manifest = buf_slice(&bytes);
	push.digest = digest_of_as(DIGEST_SHA512, push.manifest);
	registry_push(&f->registry, &push, 1);
	assert_int_equal(push.err.code, ERROR_NONE);
	expect_refused(f, SIGNS, "gitops-squared/commits@sha512:");
	fake_destroy(f);
}

static void a_registry_that_cannot_be_asked_is_asked_again(void **state)
{
	struct fake *f = new_signed_store(*(bool *)*state);
	struct publisher *p;

	for (size_t n = 0; n < 12; n++) {
		fake_fail(f, n, 1, FAKE_UNAVAILABLE);
		p = start_signing(f, SIGNS);
		assert_int_equal(seen(p, "web"), 1);
		publisher_free(p);
	}
	fake_destroy(f);
}

/* ---- a new record on an operator's word ---- */

static int rebuild(struct fake *f, struct signing signing)
{
	const struct rebuild_options options = {.signing = signing};
	size_t n;

	return rebuild_run(&f->registry, &options, &n, &err);
}

/* The cluster has a version that the store has lost. */
static int adopt(struct fake *f, struct signing signing)
{
	const struct adopt_options options = {.guard = {.confirmed = true}, .signing = signing};
	struct adopt_object object = {make_intent("web", 2), LIMIT_VERSION / 2, ""};
	struct adopt_result result;
	int rc = adopt_run(&f->registry, &options, &object, 1, &result, &err);

	intent_unref(object.intent);
	return rc;
}

static int (*const verbs[])(struct fake *f, struct signing signing) = {rebuild, adopt};

static void what_rebuild_and_adopt_make_is_signed(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		struct fake *f = fake_new(*(bool *)*state);

		leave_unsigned(f);
		assert_int_equal(verbs[i](f, SIGNS), 0);
		assert_true(all_is_signed_by(f, own_public));
		publisher_free(start_signing(f, SIGNS));
		fake_destroy(f);
	}
}

static void rebuild_and_adopt_verify_the_last_record_where_they_are_told_to(void **state)
{
	const struct signing verifies = {.key = own, .verify = other_public};

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		struct fake *f = fake_new(*(bool *)*state);

		leave_unsigned(f);
		assert_int_equal(verbs[i](f, verifies), -1);
		assert_non_null(strstr(err.text, "does not pass --verify"));
		assert_non_null(strstr(err.text, "gitops-squared/commits@sha256:"));
		assert_int_equal(f->n_pushes, 0);
		publisher_free(start_signing(f, SIGNS_EXISTING));
		drop_signature(f, CATALOG_REPOSITORY);
		fake_forget(f);
		assert_int_equal(verbs[i](f, verifies), -1);
		assert_non_null(strstr(err.text, "gitops-squared/catalog@sha256:"));
		assert_int_equal(f->n_pushes, 0);
		publisher_free(start_signing(f, SIGNS_EXISTING));
		assert_int_equal(verbs[i](f, verifies), 0);
		fake_destroy(f);
	}
}

/* ---- tests ---- */

static int setup(void **state)
{
	fixture_setup(state);
	assert_int_equal(sign_key_parse(&own, SLICE(COSIGN_KEY), SLICE(COSIGN_PASSWORD), &err), 0);
	assert_int_equal(sign_key_parse(&other, SLICE(OTHER_KEY), SLICE_NONE, &err), 0);
	own_public = sign_key_public(own);
	other_public = sign_key_public(other);
	return sign_keys_parse(&both_public, SLICE(COSIGN_PUBLIC_KEY OTHER_PUBLIC_KEY), &err);
}

static int teardown(void **state UNUSED)
{
	sign_key_free(own);
	sign_key_free(other);
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
		ON_BOTH(a_start_that_is_told_so_signs_what_is_current_and_nothing_twice),
		ON_BOTH(the_start_signs_what_another_key_has_signed),
		ON_BOTH(a_start_reads_each_signature_once),
		ON_BOTH(what_the_gate_keeps_unsigned_is_signed_when_it_opens),
		ON_BOTH(no_start_is_ready_before_its_signatures_are_stored),
		ON_BOTH(a_store_that_nobody_signed_is_refused_until_a_start_is_told_to_sign_it),
		ON_BOTH(a_catalog_without_signature_is_refused_by_name),
		ON_BOTH(what_somebody_else_writes_meanwhile_is_not_signed),
		ON_BOTH(a_catalog_left_over_that_is_gone_makes_no_new_store),
		ON_BOTH(nothing_is_put_in_place_of_a_record),
		ON_BOTH(what_another_key_has_signed_is_refused),
		ON_BOTH(one_of_several_keys_is_enough),
		ON_BOTH(a_signature_of_something_else_is_refused),
		ON_BOTH(tampered_bytes_are_refused_by_their_digest),
		ON_BOTH(a_signature_that_somebody_has_added_does_no_harm),
		ON_BOTH(a_registry_that_denies_a_signature_is_not_one_without),
		ON_BOTH(a_record_that_sha512_names_is_refused_by_that_name),
		ON_BOTH(a_registry_that_cannot_be_asked_is_asked_again),
		ON_BOTH(what_rebuild_and_adopt_make_is_signed),
		ON_BOTH(rebuild_and_adopt_verify_the_last_record_where_they_are_told_to),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
