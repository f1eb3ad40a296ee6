/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load_oci.h"

#include "oci/manifest.h"

#include <stdio.h>

#define PATH_SIZE 1024
#define BLOB_TYPE "application/octet-stream"

int put_blob(struct conn *c, const char *repository, const char *digest,
	const struct slice content[2], struct error *err)
{
	char path[ANSWER_HEADER_SIZE + PATH_SIZE];
	struct request post = {.method = "POST", .path = path, .status = 202};
	struct request put = {.method = "PUT",
		.path = path,
		.content_type = BLOB_TYPE,
		.body = {content[0], content[1]},
		.status = 201};
	struct answer answer;

	snprintf(path, sizeof(path), "/v2/%s/blobs/uploads/", repository);
	if (conn_ask(c, &post, &answer, err) != 0)
		return -1;
	if (answer.location[0] == '\0')
		return error_set(err, ERROR_INVALID, "POST %s: the answer has no Location", path);
	snprintf(path, sizeof(path), "%s%cdigest=%s", answer.location,
		strchr(answer.location, '?') == NULL ? '?' : '&', digest);
	return conn_ask(c, &put, &answer, err);
}

int post_blob(struct conn *c, const char *repository, const char *digest,
	const struct slice content[2], struct error *err)
{
	char path[PATH_SIZE];
	struct request post = {.method = "POST",
		.path = path,
		.content_type = BLOB_TYPE,
		.body = {content[0], content[1]},
		.status = 201};
	struct answer answer;

	snprintf(path, sizeof(path), "/v2/%s/blobs/uploads/?digest=%s", repository, digest);
	return conn_ask(c, &post, &answer, err);
}

int put_manifest(struct conn *c, const char *repository, const char *tag, struct slice manifest,
	struct error *err)
{
	char path[PATH_SIZE];
	struct request put = {.method = "PUT",
		.path = path,
		.content_type = OCI_MEDIA_MANIFEST,
		.body = {manifest},
		.status = 201};
	struct answer answer;

	snprintf(path, sizeof(path), "/v2/%s/manifests/%s", repository, tag);
	return conn_ask(c, &put, &answer, err);
}
