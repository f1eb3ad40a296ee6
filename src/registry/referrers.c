/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/referrers.h"

#include <jansson.h>
#include <stdio.h>

void referrers_tag(const struct digest *subject, char ret[REFERRERS_TAG_SIZE])
{
	char text[DIGEST_TEXT_SIZE];
	const char *hex = strchr(digest_format(subject, text), ':') + 1;

	snprintf(ret, REFERRERS_TAG_SIZE, "%s-%.64s", digest_algorithm_name(subject->algorithm),
		hex);
}

/* NULL: it is no index. */
static json_t *read_index(struct slice index)
{
	json_t *root;

	if (index.p == NULL)
		return json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType",
			OCI_MEDIA_INDEX, "manifests");
	root = json_loadb(index.p, index.n, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(root) && json_is_array(json_object_get(root, "manifests")))
		return root;
	json_decref(root);
	return NULL;
}

static bool has(const json_t *manifests, const char *digest)
{
	const json_t *item;
	size_t i;

	json_array_foreach(manifests, i, item)
	{
		const char *other = json_string_value(json_object_get(item, "digest"));

		if (other != NULL && strcmp(other, digest) == 0)
			return true;
	}
	return false;
}

/* NULL: no memory. */
static json_t *annotations_of(const struct oci_manifest *m)
{
	json_t *annotations = json_object();

	for (size_t i = 0; i < m->n_annotations && annotations != NULL; i++) {
		const struct oci_annotation *a = &m->annotations[i];

		if (json_object_set_new(annotations, a->key, json_string(a->value)) == 0)
			continue;
		json_decref(annotations);
		return NULL;
	}
	return annotations;
}

/* As the API would list it. NULL: no memory. */
static json_t *descriptor_of(const struct push *push, const char *digest)
{
	const struct oci_manifest *m = push->parsed;
	json_t *annotations = annotations_of(m);

	if (annotations == NULL)
		return NULL;
	if (json_object_size(annotations) == 0) {
		json_decref(annotations);
		annotations = NULL;
	}
	return json_pack("{s:s, s:s, s:I, s:s*, s:o*}", "mediaType", push->media_type, "digest",
		digest, "size", (json_int_t)push->manifest.n, "artifactType", m->artifact_type,
		"annotations", annotations);
}

static int dump(struct buf *ret, const json_t *index, struct error *err)
{
	AUTO_FREE char *text = json_dumps(index, JSON_COMPACT);

	if (text == NULL)
		return error_no_memory(err);
	buf_add(ret, slice_of(text));
	return buf_check(ret, err);
}

int referrers_add(struct buf *ret, bool *ret_changed, struct slice index, const struct push *push,
	struct error *err)
{
	CLEANUP(json_decrefp) json_t *root = read_index(index);
	json_t *manifests = json_object_get(root, "manifests");
	char digest[DIGEST_TEXT_SIZE], tag[REFERRERS_TAG_SIZE];

	ASSERT(push->parsed->has_subject);
	referrers_tag(&push->parsed->subject.digest, tag);
	if (root == NULL)
		return error_set(err, ERROR_INTERNAL,
			"the tag %s should name an index of referrers, and names something else: "
			"take it away",
			tag);
	if (has(manifests, digest_format(&push->digest, digest))) {
		*ret_changed = false;
		return 0;
	}
	if (json_array_append_new(manifests, descriptor_of(push, digest)) != 0)
		return error_no_memory(err);
	if (dump(ret, root, err) != 0)
		return error_wrap(err, "%s", tag);
	*ret_changed = true;
	return 0;
}
