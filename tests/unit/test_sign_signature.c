/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>

#include "cosign_fixture.h"
#include "sign/payload.h"
#include "sign/signature.h"

#define SUBJECT "sha256:227e44a702e81b0dd1421384e1fc2175c9d86ae47f3daaf27c2c31cc5a1c2e7b"
#define SUBJECT_HEX "227e44a702e81b0dd1421384e1fc2175c9d86ae47f3daaf27c2c31cc5a1c2e7b"

static struct error err;
#define CATALOG "gitops-squared/catalog"

static struct sign_key *key;         /* the one in cosign_fixture.h */
static const struct sign_keys *keys; /* its public half */
static struct signature_subject subject = {
	.repository = "registry.example/" CATALOG,
	.bundled = true,
	.size = 423,
	.media_type = OCI_MEDIA_MANIFEST,
};

static int setup(void **state UNUSED)
{
	digest_setup();
	assert_int_equal(digest_parse(&subject.digest, SLICE(SUBJECT), &err), 0);
	assert_int_equal(sign_key_parse(&key, SLICE(COSIGN_KEY), SLICE(COSIGN_PASSWORD), &err), 0);
	keys = sign_key_public(key);
	return 0;
}

static int tear_down(void **state UNUSED)
{
	sign_key_free(key);
	return 0;
}

static struct digest digest_from(const char *text)
{
	struct digest d;

	assert_int_equal(digest_parse(&d, slice_of(text), &err), 0);
	return d;
}

static int check(const struct signature_artifact *a)
{
	return signature_check(keys, CATALOG, &subject.digest, buf_slice(&a->manifest),
		buf_slice(&a->layer), &err);
}

/* Has the check refused it, and for this reason? */
static void assert_denied(int rc, const char *reason)
{
	assert_int_equal(rc, -1);
	assert_int_equal(err.code, ERROR_DENIED);
	if (strstr(err.text, reason) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, reason);
}

/* ---- what is made ---- */

static void the_tag_is_made_of_the_digest(void **state UNUSED)
{
	char tag[SIGNATURE_TAG_SIZE];

	assert_true(signature_tag(&subject.digest, tag));
	assert_string_equal(tag, "sha256-" SUBJECT_HEX ".sig");
}

/* A registry may name anything so. */
static void what_another_algorithm_names_has_no_tag_and_is_not_signed(void **state UNUSED)
{
	struct digest sha512 = digest_of_as(DIGEST_SHA512, SLICE("a manifest"));
	struct signature_subject other = subject;
	CLEANUP(signature_done) struct signature s = {.tag = ""};
	char tag[SIGNATURE_TAG_SIZE];

	assert_false(signature_tag(&sha512, tag));
	assert_string_equal(tag, "");
	other.digest = sha512;
	assert_int_equal(signature_make(&s, key, &other, &err), -1);
	assert_int_equal(err.code, ERROR_INTERNAL);
}

/* cosign writes the same, but for a manifest's order of members. */
static void the_older_format_has_the_bytes_of_cosign(void **state UNUSED)
{
	CLEANUP(signature_done) struct signature s = {.tag = ""};
	char layer[DIGEST_TEXT_SIZE];
	AUTO_FREE char *config = NULL;
	AUTO_FREE char *layers = NULL;

	assert_int_equal(signature_make(&s, key, &subject, &err), 0);
	assert_string_equal(s.tag, "sha256-" SUBJECT_HEX ".sig");
	assert_string_equal(s.simple.layer.data,
		"{\"critical\":{\"identity\":{\"docker-reference\":"
		"\"registry.example/gitops-squared/catalog\"},"
		"\"image\":{\"docker-manifest-digest\":\"" SUBJECT "\"},"
		"\"type\":\"cosign container image signature\"},\"optional\":null}");
	digest_format(&s.simple.layer_digest, layer);
	config = str_printf("{\"architecture\":\"\",\"created\":\"0001-01-01T00:00:00Z\","
			    "\"history\":[{\"created\":\"0001-01-01T00:00:00Z\"}],\"os\":\"\","
			    "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]},"
			    "\"config\":{}}",
		layer);
	assert_string_equal(s.simple.config.data, config);
	layers = str_printf(
		",\"layers\":[{\"mediaType\":\"application/vnd.dev.cosign.simplesigning.v1+json\","
		"\"digest\":\"%s\",\"size\":%zu,"
		"\"annotations\":{\"dev.cosignproject.cosign/signature\":\"ME",
		layer, s.simple.layer.len);
	assert_non_null(strstr(s.simple.manifest.data, layers));
}

static void digests_and_blobs_are_those_of_the_bytes(void **state UNUSED)
{
	CLEANUP(signature_done) struct signature s = {.tag = ""};
	const struct signature_artifact *const artifacts[] = {&s.simple, &s.bundle};

	assert_int_equal(signature_make(&s, key, &subject, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(artifacts); i++) {
		const struct signature_artifact *a = artifacts[i];
		CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
		struct digest manifest = digest_of(buf_slice(&a->manifest));

		assert_true(digest_eq(&a->digest, &manifest));
		assert_int_equal(oci_manifest_parse(&m, buf_slice(&a->manifest), &err), 0);
		assert_int_equal(m->n_children, 1);
		assert_true(digest_eq(&a->blobs[0].digest, &m->config.digest));
		assert_true(digest_eq(&a->blobs[1].digest, &m->children[0].digest));
		for (size_t j = 0; j < ARRAY_SIZE(a->blobs); j++) {
			struct digest blob = digest_of(a->blobs[j].bytes);

			assert_true(digest_eq(&a->blobs[j].digest, &blob));
		}
	}
}

static void the_bundle_refers_to_the_manifest(void **state UNUSED)
{
	CLEANUP(signature_done) struct signature s = {.tag = ""};
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;

	assert_int_equal(signature_make(&s, key, &subject, &err), 0);
	assert_int_equal(oci_manifest_parse(&m, buf_slice(&s.bundle.manifest), &err), 0);
	assert_string_equal(m->artifact_type, SIGNATURE_BUNDLE_TYPE);
	assert_string_equal(m->config.media_type, OCI_MEDIA_EMPTY);
	assert_string_equal(m->children[0].media_type, SIGNATURE_BUNDLE_TYPE);
	assert_true(m->has_subject);
	assert_true(digest_eq(&m->subject.digest, &subject.digest));
	assert_int_equal(m->subject.size, subject.size);
	assert_string_equal(m->subject.media_type, subject.media_type);
	assert_string_equal(
		oci_manifest_annotation(m, "dev.sigstore.bundle.content"), "dsse-envelope");
	assert_string_equal(oci_manifest_annotation(m, "dev.sigstore.bundle.predicateType"),
		"https://sigstore.dev/cosign/sign/v1");
}

/* Appends the bytes that the base64 text of this member stands for. */
static void add_decoded(struct buf *b, const json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));
	unsigned char bytes[1024];
	size_t n;

	assert_non_null(text);
	assert_int_equal(sodium_base642bin(bytes, sizeof(bytes), text, strlen(text), NULL, &n, NULL,
				 sodium_base64_VARIANT_ORIGINAL),
		0);
	buf_append(b, bytes, n);
}

/* DSSE signs its payload together with the payload's type. */
static void the_bundle_is_an_envelope_signed_by_the_key(void **state UNUSED)
{
	CLEANUP(signature_done) struct signature s = {.tag = ""};
	CLEANUP(buf_done) struct buf statement = BUF_INIT(1024);
	CLEANUP(buf_done) struct buf made = BUF_INIT(1024);
	CLEANUP(buf_done) struct buf to_verify = BUF_INIT(2048);
	CLEANUP(json_decrefp) json_t *root = NULL;
	const json_t *envelope, *public_key;

	assert_int_equal(signature_make(&s, key, &subject, &err), 0);
	root = json_loads(s.bundle.layer.data, 0, NULL);
	assert_string_equal(
		json_string_value(json_object_get(root, "mediaType")), SIGNATURE_BUNDLE_TYPE);
	public_key = json_object_get(json_object_get(root, "verificationMaterial"), "publicKey");
	assert_string_equal(
		json_string_value(json_object_get(public_key, "hint")), COSIGN_KEY_HINT);
	envelope = json_object_get(root, "dsseEnvelope");
	assert_string_equal(json_string_value(json_object_get(envelope, "payloadType")),
		"application/vnd.in-toto+json");
	add_decoded(&statement, envelope, "payload");
	assert_string_equal(statement.data,
		"{\"_type\":\"https://in-toto.io/Statement/v1\","
		"\"subject\":[{\"digest\":{\"sha256\":\"" SUBJECT_HEX "\"},\"annotations\":{}}],"
		"\"predicateType\":\"https://sigstore.dev/cosign/sign/v1\",\"predicate\":{}}");
	add_decoded(&made, json_array_get(json_object_get(envelope, "signatures"), 0), "sig");
	buf_printf(&to_verify, "DSSEv1 28 application/vnd.in-toto+json %zu %s", statement.len,
		statement.data);
	assert_int_equal(sign_verify(keys, buf_slice(&to_verify), buf_slice(&made), &err), 0);
}

static void the_newer_format_is_made_where_it_is_asked_for(void **state UNUSED)
{
	struct signature_subject older = subject;
	CLEANUP(signature_done) struct signature s = {.tag = ""};

	older.bundled = false;
	assert_int_equal(signature_make(&s, key, &older, &err), 0);
	assert_int_equal(check(&s.simple), 0);
	assert_int_equal(s.bundle.manifest.len, 0);
}

static void a_repository_that_is_too_long_to_be_written_is_an_error(void **state UNUSED)
{
	AUTO_FREE char *name = malloc(LIMIT_SIGNATURE + 1);
	struct signature_subject long_name = subject;
	CLEANUP(signature_done) struct signature s = {.tag = ""};

	memset(name, 'a', LIMIT_SIGNATURE);
	name[LIMIT_SIGNATURE] = '\0';
	long_name.repository = name;
	assert_int_equal(signature_make(&s, key, &long_name, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_null(s.simple.layer.data);
}

/* ---- what is checked ---- */

static void what_was_made_passes(void **state UNUSED)
{
	CLEANUP(signature_done) struct signature s = {.tag = ""};

	assert_int_equal(signature_make(&s, key, &subject, &err), 0);
	assert_int_equal(check(&s.simple), 0);
}

static void what_cosign_made_passes(void **state UNUSED)
{
	struct digest signed_ = digest_from(COSIGN_SIGNED);

	assert_int_equal(signature_check(keys, CATALOG, &signed_, SLICE(COSIGN_MANIFEST),
				 SLICE(COSIGN_PAYLOAD), &err),
		0);
}

/* cosign adds a second key's signature of the same payload as a second layer of the same digest. */
static void one_of_several_signatures_is_enough(void **state UNUSED)
{
	static const char *const manifests[] = {
		COSIGN_MANIFEST_HEAD COSIGN_LAYER "," COSIGN_OTHER_LAYER "]}",
		COSIGN_MANIFEST_HEAD COSIGN_OTHER_LAYER "," COSIGN_LAYER "]}",
	};
	struct digest signed_ = digest_from(COSIGN_SIGNED);

	for (size_t i = 0; i < ARRAY_SIZE(manifests); i++)
		assert_int_equal(signature_check(keys, CATALOG, &signed_, slice_of(manifests[i]),
					 SLICE(COSIGN_PAYLOAD), &err),
			0);
}

static void the_signature_of_another_key_is_denied(void **state UNUSED)
{
	CLEANUP(sign_keys_freep) struct sign_keys *others = NULL;
	struct digest signed_ = digest_from(COSIGN_SIGNED);

	assert_int_equal(sign_keys_parse(&others, SLICE(COSIGN_OTHER_PUBLIC_KEY), &err), 0);
	assert_denied(signature_check(others, CATALOG, &signed_, SLICE(COSIGN_MANIFEST),
			      SLICE(COSIGN_PAYLOAD), &err),
		"no key that counts has made the signature");
}

/* Taken from another manifest: in order by itself, but not for this digest. */
static void the_signature_of_another_manifest_is_denied(void **state UNUSED)
{
	assert_denied(signature_check(keys, CATALOG, &subject.digest, SLICE(COSIGN_MANIFEST),
			      SLICE(COSIGN_PAYLOAD), &err),
		"the signature is of another manifest, " COSIGN_SIGNED);
}

/* A catalog of one namespace cannot stand for another's, whoever has copied it there with its
 * signature. */
static void the_signature_of_another_repository_is_denied(void **state UNUSED)
{
	static const struct {
		const char *repository;
		bool passes;
	} cases[] = {
		{"gitops-squared/catalog", true},
		{"gitops-squared/catalogs/team-a/00", false},
		{"gitops-squared/catalo", false},
		{"squared/catalog", false}, /* not at a border */
		{"another/registry.example/gitops-squared/catalog", false},
		{"registry.example/gitops-squared/catalog", true},
	};
	struct digest signed_ = digest_from(COSIGN_SIGNED);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int rc = signature_check(keys, cases[i].repository, &signed_,
			SLICE(COSIGN_MANIFEST), SLICE(COSIGN_PAYLOAD), &err);

		if (cases[i].passes)
			assert_int_equal(rc, 0);
		else
			assert_denied(rc, "is for another repository, registry.example/" CATALOG);
	}
}

/* Every byte counts, also where the descriptor's digest was made to fit. */
static void a_payload_that_was_changed_is_denied(void **state UNUSED)
{
	CLEANUP(signature_done) struct signature s = {.tag = ""};
	char before[DIGEST_TEXT_SIZE], after[DIGEST_TEXT_SIZE];
	struct digest changed;
	char *at;

	assert_int_equal(signature_make(&s, key, &subject, &err), 0);
	at = strstr(s.simple.layer.data, "registry.example");
	*at = 'R';
	assert_denied(check(&s.simple), "the manifest has no layer of these bytes");
	changed = digest_of(buf_slice(&s.simple.layer));
	digest_format(&s.simple.layer_digest, before);
	digest_format(&changed, after);
	memcpy(strstr(s.simple.manifest.data, before), after, strlen(after));
	assert_denied(check(&s.simple), "no key that counts has made the signature");
}

/* What the key signed for another purpose is no signature of a manifest. */
static void other_documents_signed_by_the_key_are_denied(void **state UNUSED)
{
	static const char *const payloads[] = {
		"{\"critical\":{\"identity\":{},\"image\":{\"docker-manifest-digest\":\"" SUBJECT
		"\"},\"type\":\"atomic container signature\"},\"optional\":null}",
		"{\"critical\":{\"image\":{},\"type\":\"cosign container image signature\"}}",
		"{\"critical\":{\"image\":{\"docker-manifest-digest\":1},"
		"\"type\":\"cosign container image signature\"}}",
		"{\"critical\":{\"image\":{\"docker-manifest-digest\":\"" SUBJECT "0\"},"
		"\"type\":\"cosign container image signature\"}}",
		"{\"critical\":{\"image\":{\"docker-manifest-digest\":\"" SUBJECT "\","
		"\"docker-manifest-digest\":\"" SUBJECT "\"},"
		"\"type\":\"cosign container image signature\"}}",
		"{\"critical\":{\"image\":{\"docker-manifest-digest\":\"" SUBJECT "\"},"
		"\"type\":\"cosign container image signature\"}}",
		"{\"critical\":null}",
		"{}",
		"[]",
		"",
		"not JSON",
	};

	for (size_t i = 0; i < ARRAY_SIZE(payloads); i++)
		assert_denied(
			payload_check(slice_of(payloads[i]), CATALOG, &subject.digest, &err), "");
}

#define CONFIG "\"config\":{\"mediaType\":\"a/b\",\"size\":2,\"digest\":\"" SUBJECT "\"}"
#define LAYER_OF(type, more) \
	"{\"mediaType\":\"" type "\",\"size\":255,\"digest\":\"sha256:" \
	"8a6c5f7020ce17980d539b1caf60c3acb2fece164533c9e596f847ce1847101f\"" more "}"
#define MANIFEST_OF(layers) "{\"schemaVersion\":2," CONFIG ",\"layers\":[" layers "]}"
#define ANNOTATED(value) ",\"annotations\":{\"dev.cosignproject.cosign/signature\":\"" value "\"}"

static void manifests_that_carry_no_signature_are_denied(void **state UNUSED)
{
	static const struct {
		const char *manifest, *reason;
	} cases[] = {
		{"", "the signature's manifest: "},
		{"{}", "the signature's manifest: "},
		{"{\"schemaVersion\":2,\"manifests\":[]}", "is an index"},
		{MANIFEST_OF(""), "no layer of these bytes"},
		{MANIFEST_OF(LAYER_OF("text/plain", ANNOTATED("MEUC"))), "no layer of these bytes"},
		{MANIFEST_OF(LAYER_OF(PAYLOAD_MEDIA_TYPE, "")), "has no annotation"},
		{MANIFEST_OF(LAYER_OF(PAYLOAD_MEDIA_TYPE, ",\"annotations\":{\"a\":\"b\"}")),
			"has no annotation"},
		{MANIFEST_OF(LAYER_OF(PAYLOAD_MEDIA_TYPE, ANNOTATED(""))), "no key that counts"},
		{MANIFEST_OF(LAYER_OF(PAYLOAD_MEDIA_TYPE, ANNOTATED("MEUC"))),
			"no key that counts"},
		{MANIFEST_OF(LAYER_OF(PAYLOAD_MEDIA_TYPE, ANNOTATED("M%"))), "is not base64"},
	};
	struct digest signed_ = digest_from(COSIGN_SIGNED);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_denied(signature_check(keys, CATALOG, &signed_, slice_of(cases[i].manifest),
				      SLICE(COSIGN_PAYLOAD), &err),
			cases[i].reason);
}

static void the_bundle_is_no_signature_of_the_older_format(void **state UNUSED)
{
	CLEANUP(signature_done) struct signature s = {.tag = ""};

	assert_int_equal(signature_make(&s, key, &subject, &err), 0);
	assert_denied(check(&s.bundle), "no layer of these bytes");
}

/* A stranger's manifest cannot make the check long. */
static void a_manifest_with_too_many_signatures_is_denied(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(LIMIT_MANIFEST);
	struct digest signed_ = digest_from(COSIGN_SIGNED);

	buf_puts(&manifest, COSIGN_MANIFEST_HEAD);
	for (size_t i = 1; i < LIMIT_SIGNATURE_LAYERS; i++)
		buf_puts(&manifest, COSIGN_OTHER_LAYER ",");
	buf_puts(&manifest, COSIGN_LAYER "]}");
	assert_int_equal(signature_check(keys, CATALOG, &signed_, buf_slice(&manifest),
				 SLICE(COSIGN_PAYLOAD), &err),
		0);
	manifest.len -= 2;
	buf_puts(&manifest, "," COSIGN_LAYER "]}");
	assert_denied(signature_check(keys, CATALOG, &signed_, buf_slice(&manifest),
			      SLICE(COSIGN_PAYLOAD), &err),
		"more than 100 signatures");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tag_is_made_of_the_digest),
		cmocka_unit_test(what_another_algorithm_names_has_no_tag_and_is_not_signed),
		cmocka_unit_test(the_older_format_has_the_bytes_of_cosign),
		cmocka_unit_test(digests_and_blobs_are_those_of_the_bytes),
		cmocka_unit_test(the_bundle_refers_to_the_manifest),
		cmocka_unit_test(the_bundle_is_an_envelope_signed_by_the_key),
		cmocka_unit_test(the_newer_format_is_made_where_it_is_asked_for),
		cmocka_unit_test(a_repository_that_is_too_long_to_be_written_is_an_error),
		cmocka_unit_test(what_was_made_passes),
		cmocka_unit_test(what_cosign_made_passes),
		cmocka_unit_test(one_of_several_signatures_is_enough),
		cmocka_unit_test(the_signature_of_another_key_is_denied),
		cmocka_unit_test(the_signature_of_another_manifest_is_denied),
		cmocka_unit_test(the_signature_of_another_repository_is_denied),
		cmocka_unit_test(a_payload_that_was_changed_is_denied),
		cmocka_unit_test(other_documents_signed_by_the_key_are_denied),
		cmocka_unit_test(manifests_that_carry_no_signature_are_denied),
		cmocka_unit_test(the_bundle_is_no_signature_of_the_older_format),
		cmocka_unit_test(a_manifest_with_too_many_signatures_is_denied),
	};

	return cmocka_run_group_tests(tests, setup, tear_down);
}
