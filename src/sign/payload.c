/* SPDX-License-Identifier: Apache-2.0 */
#include "sign/payload.h"

#include "base/json.h"
#include "oci/json_read.h"

#define PAYLOAD_TYPE "cosign container image signature"

void payload_write(const char *repository, const struct digest *subject, struct buf *ret)
{
	char digest[DIGEST_TEXT_SIZE];

	json_begin_object(ret);
	json_key(ret, "critical");
	json_begin_object(ret);
	json_key(ret, "identity");
	json_begin_object(ret);
	json_member_cstr(ret, "docker-reference", repository);
	json_end_object(ret);
	json_key(ret, "image");
	json_begin_object(ret);
	json_member_cstr(ret, "docker-manifest-digest", digest_format(subject, digest));
	json_end_object(ret);
	json_member_cstr(ret, "type", PAYLOAD_TYPE);
	json_end_object(ret);
	json_key(ret, "optional");
	buf_puts(ret, "null");
	json_end_object(ret);
}

static const char *member(const json_t *critical, const char *object, const char *key)
{
	return json_string_value(json_object_get(json_object_get(critical, object), key));
}

/* Is the reference HOST/PREFIX/repository, or less of it? */
static bool is_place(const char *reference, const char *repository)
{
	size_t n = strlen(reference), tail = strlen(repository);

	return n >= tail && strcmp(reference + n - tail, repository) == 0 &&
	       (n == tail || reference[n - tail - 1] == '/');
}

int payload_check(struct slice payload, const char *repository, const struct digest *subject,
	struct error *err)
{
	CLEANUP(json_decrefp) json_t *root = NULL;
	const char *type, *digest, *reference;
	const json_t *critical;
	char expected[DIGEST_TEXT_SIZE];

	if (json_read_object(&root, payload, err) != 0) {
		if (err->code == ERROR_INVALID)
			err->code = ERROR_DENIED;
		return error_wrap(err, "what is signed");
	}
	critical = json_object_get(root, "critical");
	type = json_string_value(json_object_get(critical, "type"));
	if (type == NULL || strcmp(type, PAYLOAD_TYPE) != 0)
		return error_set(
			err, ERROR_DENIED, "what is signed is not of the type " PAYLOAD_TYPE);
	digest = member(critical, "image", "docker-manifest-digest");
	if (digest == NULL || strcmp(digest, digest_format(subject, expected)) != 0)
		return error_set(err, ERROR_DENIED, "the signature is of another manifest, %s",
			digest == NULL ? "which it does not name" : digest);
	reference = member(critical, "identity", "docker-reference");
	if (reference == NULL || !is_place(reference, repository))
		return error_set(err, ERROR_DENIED, "the signature is for another repository, %s",
			reference == NULL ? "which it does not name" : reference);
	return 0;
}
