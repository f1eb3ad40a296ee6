/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/manifest.h"

#include "base/json.h"
#include "oci/json_read.h"

#include <stdio.h>

const struct digest oci_empty_digest = {
	.algorithm = DIGEST_SHA256,
	.bytes = {0x44, 0x13, 0x6f, 0xa3, 0x55, 0xb3, 0x67, 0x8a, 0x11, 0x46, 0xad, 0x16, 0xf7,
		0xe8, 0x64, 0x9e, 0x94, 0xfb, 0x4f, 0xc2, 0x1f, 0xe7, 0x7e, 0x83, 0x10, 0xc0, 0x60,
		0xf6, 0x1c, 0xaa, 0xff, 0x8a},
};

/* ---- writing ---- */

static void write_annotations(const struct oci_annotation *annotations, size_t n, struct buf *b)
{
	if (n == 0)
		return;
	json_key(b, "annotations");
	json_begin_object(b);
	for (size_t i = 0; i < n; i++)
		json_member_cstr(b, annotations[i].key, annotations[i].value);
	json_end_object(b);
}

static void write_descriptor(const struct oci_descriptor *d, struct buf *b)
{
	char digest[DIGEST_TEXT_SIZE];

	json_begin_object(b);
	json_member_cstr(b, "mediaType", d->media_type);
	json_member_cstr(b, "digest", digest_format(&d->digest, digest));
	json_member_u64(b, "size", d->size);
	write_annotations(d->annotations, d->n_annotations, b);
	json_end_object(b);
}

void oci_manifest_write(const struct oci_manifest_draft *draft, struct buf *ret)
{
	json_begin_object(ret);
	json_member_u64(ret, "schemaVersion", 2);
	json_member_cstr(ret, "mediaType", OCI_MEDIA_MANIFEST);
	if (draft->artifact_type != NULL)
		json_member_cstr(ret, "artifactType", draft->artifact_type);
	json_key(ret, "config");
	write_descriptor(&draft->config, ret);
	json_key(ret, "layers");
	json_begin_array(ret);
	write_descriptor(&draft->layer, ret);
	json_end_array(ret);
	if (draft->subject != NULL) {
		json_key(ret, "subject");
		write_descriptor(draft->subject, ret);
	}
	write_annotations(draft->annotations, draft->n_annotations, ret);
	json_end_object(ret);
}

/* ---- media types ---- */

const char *oci_manifest_media_type(struct slice type, enum oci_manifest_kind *ret)
{
	static const struct {
		const char *name;
		enum oci_manifest_kind kind;
	} types[] = {
		{OCI_MEDIA_MANIFEST, OCI_IMAGE},
		{DOCKER_MEDIA_MANIFEST, OCI_IMAGE},
		{OCI_MEDIA_INDEX, OCI_INDEX},
		{DOCKER_MEDIA_LIST, OCI_INDEX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (slice_eq(type, slice_of(types[i].name))) {
			*ret = types[i].kind;
			return types[i].name;
		}
	}
	return NULL;
}

bool oci_descriptor_is_elsewhere(const struct oci_descriptor *d)
{
	return d->media_type != NULL && (strstr(d->media_type, ".nondistributable.") != NULL ||
						strstr(d->media_type, ".foreign.") != NULL);
}

/* ---- reading ---- */

/* A parsed manifest; its strings are those of the JSON document, which it keeps. */
struct parsed {
	struct oci_manifest manifest; /* first: the public face */
	json_t *root;
	struct oci_annotation *annotations; /* all of them, in the manifest and its descriptors */
	size_t n_annotations;               /* handed out so far */
};

/* Go programs write null for what is empty. */
static const json_t *member(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_null(value) ? NULL : value;
}

static int read_string(const char **ret, const json_t *object, const char *key, const char *path,
	struct error *err)
{
	const json_t *value = member(object, key);

	if (value == NULL)
		return 0;
	if (!json_is_string(value) || json_string_length(value) == 0)
		return error_set(
			err, ERROR_INVALID, "%s%s must be a string that is not empty", path, key);
	*ret = json_string_value(value);
	return 0;
}

static int read_annotations(const struct oci_annotation **ret, size_t *ret_n, const json_t *object,
	struct parsed *p, const char *path, struct error *err)
{
	json_t *annotations = json_object_get(object, "annotations");
	struct oci_annotation *first = p->annotations + p->n_annotations;
	const char *key;
	json_t *value;

	if (annotations == NULL || json_is_null(annotations))
		return 0;
	if (!json_is_object(annotations))
		return error_set(err, ERROR_INVALID, "%sannotations must be an object", path);
	json_object_foreach(annotations, key, value)
	{
		if (!json_is_string(value))
			return error_set(err, ERROR_INVALID, "%sannotations must be strings", path);
		p->annotations[p->n_annotations++] =
			(struct oci_annotation){key, json_string_value(value)};
	}
	*ret = first;
	*ret_n = json_object_size(annotations);
	return 0;
}

/* path says where it is, with a dot at its end: "layers[2]." */
static int read_descriptor(struct oci_descriptor *ret, const json_t *object, struct parsed *p,
	const char *path, struct error *err)
{
	struct oci_descriptor d = {.media_type = NULL};
	const json_t *size = json_object_get(object, "size");
	const char *digest = NULL;

	if (!json_is_object(object))
		return error_set(err, ERROR_INVALID, "%.*s must be a descriptor, an object",
			(int)strlen(path) - 1, path);
	if (read_string(&d.media_type, object, "mediaType", path, err) != 0 ||
		read_string(&digest, object, "digest", path, err) != 0)
		return -1;
	if (d.media_type == NULL || digest == NULL)
		return error_set(err, ERROR_INVALID, "%s%s is missing", path,
			digest == NULL ? "digest" : "mediaType");
	if (digest_parse(&d.digest, slice_of(digest), err) != 0)
		return error_wrap(err, "%sdigest", path);
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return error_set(
			err, ERROR_INVALID, "%ssize must be a whole number of bytes", path);
	d.size = (uint64_t)json_integer_value(size);
	if (read_annotations(&d.annotations, &d.n_annotations, object, p, path, err) != 0)
		return -1;
	*ret = d;
	return 0;
}

/* The list of layers or manifests; it must be there, but may be null. */
static int read_children(struct parsed *p, const char *key, struct error *err)
{
	const json_t *list = json_object_get(p->root, key);
	struct oci_manifest *m = &p->manifest;
	size_t n = json_array_size(list);

	if (!json_is_array(list) && !json_is_null(list))
		return error_set(err, ERROR_INVALID, "%s must be a list of descriptors", key);
	if (n > LIMIT_DESCRIPTORS)
		return error_set(err, ERROR_INVALID,
			"%s has %zu descriptors, more than the %d allowed", key, n,
			LIMIT_DESCRIPTORS);
	m->children = calloc(n + 1, sizeof(m->children[0]));
	if (m->children == NULL)
		return error_no_memory(err);
	for (; m->n_children < n; m->n_children++) {
		char path[32];

		snprintf(path, sizeof(path), "%s[%zu].", key, m->n_children);
		if (read_descriptor(&m->children[m->n_children],
			    json_array_get(list, m->n_children), p, path, err) != 0)
			return -1;
	}
	return 0;
}

/*
 * What kind of document it is: by its mediaType where it has one. One that could be read as either
 * kind is refused (CVE-2021-41190: two readers of the same digest must not see two things).
 */
static int read_kind(struct parsed *p, struct error *err)
{
	bool like_image = json_object_get(p->root, "layers") != NULL ||
			  json_object_get(p->root, "config") != NULL;
	bool like_index = json_object_get(p->root, "manifests") != NULL;
	struct oci_manifest *m = &p->manifest;
	enum oci_manifest_kind kind;

	if (read_string(&m->media_type, p->root, "mediaType", "", err) != 0)
		return -1;
	if (like_image == like_index)
		return error_set(err, ERROR_INVALID,
			"a manifest has either config and layers, or manifests");
	m->kind = like_image ? OCI_IMAGE : OCI_INDEX;
	if (m->media_type == NULL)
		return 0;
	if (oci_manifest_media_type(slice_of(m->media_type), &kind) != NULL && kind == m->kind)
		return 0;
	return error_set(err, ERROR_INVALID, "mediaType must be %s",
		like_image ? OCI_MEDIA_MANIFEST " or " DOCKER_MEDIA_MANIFEST
			   : OCI_MEDIA_INDEX " or " DOCKER_MEDIA_LIST);
}

static int read_image(struct parsed *p, struct error *err)
{
	struct oci_manifest *m = &p->manifest;

	if (read_descriptor(&m->config, json_object_get(p->root, "config"), p, "config.", err) != 0)
		return -1;
	if (m->artifact_type == NULL)
		m->artifact_type = m->config.media_type;
	return read_children(p, "layers", err);
}

static int read_manifest(struct parsed *p, struct error *err)
{
	const json_t *version = json_object_get(p->root, "schemaVersion");
	const json_t *subject = member(p->root, "subject");
	struct oci_manifest *m = &p->manifest;

	if (!json_is_integer(version) || json_integer_value(version) != 2)
		return error_set(err, ERROR_INVALID, "schemaVersion must be 2");
	if (read_kind(p, err) != 0 ||
		read_string(&m->artifact_type, p->root, "artifactType", "", err) != 0)
		return -1;
	if ((m->kind == OCI_IMAGE ? read_image(p, err) : read_children(p, "manifests", err)) != 0)
		return -1;
	if (subject != NULL && read_descriptor(&m->subject, subject, p, "subject.", err) != 0)
		return -1;
	m->has_subject = subject != NULL;
	return read_annotations(&m->annotations, &m->n_annotations, p->root, p, "", err);
}

/* An upper bound: the members of all annotations that could be read. */
static size_t count_annotations(const json_t *root)
{
	static const char *const singles[] = {"config", "subject"}, *const lists[] = {
									    "layers", "manifests"};
	size_t n = json_object_size(json_object_get(root, "annotations"));

	for (size_t i = 0; i < ARRAY_SIZE(singles); i++)
		n += json_object_size(
			json_object_get(json_object_get(root, singles[i]), "annotations"));
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		const json_t *list = json_object_get(root, lists[i]);

		for (size_t j = 0; j < json_array_size(list); j++)
			n += json_object_size(
				json_object_get(json_array_get(list, j), "annotations"));
	}
	return n;
}

int oci_manifest_parse(struct oci_manifest **ret, struct slice json, struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	struct parsed *p;

	if (json.n > LIMIT_MANIFEST)
		return error_set(err, ERROR_TOO_LARGE,
			"the manifest has %zu bytes, more than the %zu allowed", json.n,
			LIMIT_MANIFEST);
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return error_no_memory(err);
	m = &p->manifest;
	if (json_read_object(&p->root, json, err) != 0)
		return -1;
	p->annotations = calloc(count_annotations(p->root) + 1, sizeof(p->annotations[0]));
	if (p->annotations == NULL)
		return error_no_memory(err);
	if (read_manifest(p, err) != 0)
		return -1;
	*ret = TAKE_PTR(m);
	return 0;
}

void oci_manifest_free(struct oci_manifest *m)
{
	struct parsed *p = (struct parsed *)m;

	if (p == NULL)
		return;
	free(m->children);
	free(p->annotations);
	json_decref(p->root);
	free(p);
}

const char *oci_manifest_annotation(const struct oci_manifest *m, const char *key)
{
	for (size_t i = 0; i < m->n_annotations; i++) {
		if (strcmp(m->annotations[i].key, key) == 0)
			return m->annotations[i].value;
	}
	return NULL;
}
