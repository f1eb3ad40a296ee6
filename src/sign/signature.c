/* SPDX-License-Identifier: Apache-2.0 */
#include "sign/signature.h"

#include "base/json.h"
#include "sign/base64.h"
#include "sign/bundle.h"
#include "sign/payload.h"

#include <stdio.h>

#define SIGNATURE_ANNOTATION "dev.cosignproject.cosign/signature"
#define IMAGE_CONFIG_TYPE "application/vnd.oci.image.config.v1+json"
#define NO_TIME "0001-01-01T00:00:00Z"
#define SIGNATURE_BYTES_MAX 128 /* of ECDSA on P-256: 72 */

bool signature_tag(const struct digest *subject, char ret[SIGNATURE_TAG_SIZE])
{
	char digest[DIGEST_TEXT_SIZE];
	struct slice hex;

	ret[0] = '\0';
	if (subject->algorithm != DIGEST_SHA256)
		return false;
	hex = slice_of(digest_format(subject, digest));
	slice_cut(&hex, ':');
	snprintf(ret, SIGNATURE_TAG_SIZE, "sha256-%.*s.sig", SLICE_ARG(hex));
	return true;
}

/* ---- making ---- */

static void artifact_init(struct signature_artifact *a)
{
	buf_init(&a->manifest, LIMIT_SIGNATURE);
	buf_init(&a->config, LIMIT_SIGNATURE);
	buf_init(&a->layer, LIMIT_SIGNATURE);
}

static void artifact_done(struct signature_artifact *a)
{
	buf_done(&a->manifest);
	buf_done(&a->config);
	buf_done(&a->layer);
}

void signature_done(struct signature *s)
{
	artifact_done(&s->simple);
	artifact_done(&s->bundle);
}

/* With config and layer written: their digests, the manifest out of the draft, and its digest. */
static int finish(struct signature_artifact *a, struct oci_manifest_draft *draft, struct error *err)
{
	if (buf_check(&a->config, err) != 0 || buf_check(&a->layer, err) != 0)
		return -1;
	a->config_digest = digest_of(buf_slice(&a->config));
	a->layer_digest = digest_of(buf_slice(&a->layer));
	draft->config.digest = a->config_digest;
	draft->config.size = a->config.len;
	draft->layer.digest = a->layer_digest;
	draft->layer.size = a->layer.len;
	oci_manifest_write(draft, &a->manifest);
	if (buf_check(&a->manifest, err) != 0)
		return -1;
	a->digest = digest_of(buf_slice(&a->manifest));
	a->blobs[0] = (struct push_blob){a->config_digest, buf_slice(&a->config)};
	a->blobs[1] = (struct push_blob){a->layer_digest, buf_slice(&a->layer)};
	return 0;
}

/* The empty image with one layer, as go-containerregistry writes it for cosign. */
static void write_image_config(const struct digest *layer, struct buf *ret)
{
	char digest[DIGEST_TEXT_SIZE];

	json_begin_object(ret);
	json_member_cstr(ret, "architecture", "");
	json_member_cstr(ret, "created", NO_TIME);
	json_key(ret, "history");
	json_begin_array(ret);
	json_begin_object(ret);
	json_member_cstr(ret, "created", NO_TIME);
	json_end_object(ret);
	json_end_array(ret);
	json_member_cstr(ret, "os", "");
	json_key(ret, "rootfs");
	json_begin_object(ret);
	json_member_cstr(ret, "type", "layers");
	json_key(ret, "diff_ids");
	json_begin_array(ret);
	json_item(ret);
	json_add_string(ret, slice_of(digest_format(layer, digest)));
	json_end_array(ret);
	json_end_object(ret);
	json_key(ret, "config");
	json_begin_object(ret);
	json_end_object(ret);
	json_end_object(ret);
}

static int make_simple(struct signature_artifact *a, const struct sign_key *key,
	const struct signature_subject *subject, struct error *err)
{
	CLEANUP(buf_done) struct buf signature = BUF_INIT(SIGNATURE_BYTES_MAX);
	CLEANUP(buf_done) struct buf text = BUF_INIT(2 * SIGNATURE_BYTES_MAX);
	struct digest layer;

	payload_write(subject->repository, &subject->digest, &a->layer);
	if (buf_check(&a->layer, err) != 0 ||
		sign_bytes(key, buf_slice(&a->layer), &signature, err) != 0)
		return -1;
	base64_add(&text, buf_slice(&signature));
	if (buf_check(&text, err) != 0)
		return -1;
	layer = digest_of(buf_slice(&a->layer));
	write_image_config(&layer, &a->config);

	const struct oci_annotation annotation = {SIGNATURE_ANNOTATION, text.data};
	struct oci_manifest_draft draft = {
		.config.media_type = IMAGE_CONFIG_TYPE,
		.layer = {.media_type = PAYLOAD_MEDIA_TYPE,
			.n_annotations = 1,
			.annotations = &annotation},
	};

	return finish(a, &draft, err);
}

/* Without org.opencontainers.image.created, which cosign adds: nothing reads it. */
static int make_bundle(struct signature_artifact *a, const struct sign_key *key,
	const struct signature_subject *subject, struct error *err)
{
	static const struct oci_annotation annotations[] = {
		{"dev.sigstore.bundle.content", "dsse-envelope"},
		{"dev.sigstore.bundle.predicateType", BUNDLE_PREDICATE_TYPE},
	};
	const struct oci_descriptor refers_to = {.media_type = subject->media_type,
		.digest = subject->digest,
		.size = subject->size};
	struct oci_manifest_draft draft = {
		.artifact_type = SIGNATURE_BUNDLE_TYPE,
		.config.media_type = OCI_MEDIA_EMPTY,
		.layer.media_type = SIGNATURE_BUNDLE_TYPE,
		.subject = &refers_to,
		.n_annotations = ARRAY_SIZE(annotations),
		.annotations = annotations,
	};

	buf_add(&a->config, OCI_EMPTY);
	if (bundle_write(key, &subject->digest, &a->layer, err) != 0)
		return -1;
	return finish(a, &draft, err);
}

int signature_make(struct signature *ret, const struct sign_key *key,
	const struct signature_subject *subject, struct error *err)
{
	struct signature s = {.tag = ""};

	if (!signature_tag(&subject->digest, s.tag))
		return error_set(err, ERROR_INTERNAL,
			"%s: its digest is not SHA-256, so it cannot be signed",
			subject->repository);
	artifact_init(&s.simple);
	artifact_init(&s.bundle);
	if (make_simple(&s.simple, key, subject, err) != 0 ||
		(subject->bundled && make_bundle(&s.bundle, key, subject, err) != 0)) {
		signature_done(&s);
		return -1;
	}
	*ret = s;
	return 0;
}

/* ---- checking ---- */

static const char *annotation_of(const struct oci_descriptor *d, const char *key)
{
	for (size_t i = 0; i < d->n_annotations; i++) {
		if (strcmp(d->annotations[i].key, key) == 0)
			return d->annotations[i].value;
	}
	return NULL;
}

/* Has one of the keys made the signature that the layer's descriptor carries? */
static int check_layer(const struct sign_keys *keys, const struct oci_descriptor *d,
	struct slice layer, struct error *err)
{
	const char *text = annotation_of(d, SIGNATURE_ANNOTATION);
	unsigned char bytes[SIGNATURE_BYTES_MAX];
	size_t n;

	if (text == NULL)
		return error_set(
			err, ERROR_DENIED, "the layer has no annotation " SIGNATURE_ANNOTATION);
	if (sodium_base642bin(bytes, sizeof(bytes), text, strlen(text), NULL, &n, NULL,
		    sodium_base64_VARIANT_ORIGINAL) != 0)
		return error_set(err, ERROR_DENIED,
			"the annotation " SIGNATURE_ANNOTATION " is not base64 of a signature");
	return sign_verify(keys, layer, (struct slice){(const char *)bytes, n}, err);
}

/* Two keys that sign the same payload make two descriptors of the same layer: any will do. */
static int check_layers(const struct sign_keys *keys, const struct oci_manifest *m,
	struct slice layer, struct error *err)
{
	struct digest digest = digest_of(layer);
	int rc = error_set(err, ERROR_DENIED,
		"the manifest has no layer of these bytes and the type " PAYLOAD_MEDIA_TYPE);

	if (m->n_children > LIMIT_SIGNATURE_LAYERS)
		return error_set(err, ERROR_DENIED, "the manifest has more than %d signatures",
			LIMIT_SIGNATURE_LAYERS);
	for (size_t i = 0; i < m->n_children && rc != 0; i++) {
		const struct oci_descriptor *d = &m->children[i];

		if (digest_eq(&d->digest, &digest) &&
			strcmp(d->media_type, PAYLOAD_MEDIA_TYPE) == 0)
			rc = check_layer(keys, d, layer, err);
	}
	return rc;
}

int signature_check(const struct sign_keys *keys, const char *repository,
	const struct digest *subject, struct slice manifest, struct slice layer, struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;

	if (oci_manifest_parse(&m, manifest, err) != 0) {
		if (err->code != ERROR_NO_MEMORY)
			err->code = ERROR_DENIED;
		return error_wrap(err, "the signature's manifest");
	}
	if (m->kind != OCI_IMAGE)
		return error_set(err, ERROR_DENIED,
			"the signature's manifest is an index, and should be an image");
	/* First the signature, then what is signed: nothing of a stranger's is parsed. */
	if (check_layers(keys, m, layer, err) != 0)
		return -1;
	return payload_check(layer, repository, subject, err);
}
