/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include <ftw.h>
#include <unistd.h>

void make_folder(char ret[64])
{
	const char *tmp = getenv("TMPDIR");

	snprintf(ret, 64, "%s/gsq-test-XXXXXX", tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
	assert_non_null(mkdtemp(ret));
}

static int remove_one(
	const char *path, const struct stat *st UNUSED, int type UNUSED, struct FTW *ftw UNUSED)
{
	return remove(path);
}

void remove_folder(const char *path)
{
	assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void artifact_init(struct artifact *a, struct slice layer, const char *artifact_type)
{
	struct error err = ERROR_INIT;
	struct oci_manifest_draft draft = {.artifact_type = artifact_type};

	a->blobs[0] = (struct push_blob){digest_of(OCI_EMPTY), OCI_EMPTY};
	a->blobs[1] = (struct push_blob){digest_of(layer), layer};
	draft.config = (struct oci_descriptor){
		.media_type = OCI_MEDIA_EMPTY, .digest = a->blobs[0].digest, .size = OCI_EMPTY.n};
	draft.layer = (struct oci_descriptor){.media_type = "application/octet-stream",
		.digest = a->blobs[1].digest,
		.size = layer.n};
	buf_init(&a->manifest, LIMIT_MANIFEST);
	oci_manifest_write(&draft, &a->manifest);
	a->digest = digest_of(buf_slice(&a->manifest));
	a->parsed = NULL;
	assert_ok(oci_manifest_parse(&a->parsed, buf_slice(&a->manifest), &err));
}

void artifact_done(struct artifact *a)
{
	buf_done(&a->manifest);
	oci_manifest_free(a->parsed);
}

struct push artifact_push(const struct artifact *a, const char *repository, const char *tag)
{
	return (struct push){
		.repository = repository,
		.tag = tag,
		.media_type = OCI_MEDIA_MANIFEST,
		.manifest = buf_slice(&a->manifest),
		.digest = a->digest,
		.n_blobs = ARRAY_SIZE(a->blobs),
		.blobs = a->blobs,
	};
}

void put_blob_as(
	struct store *s, struct slice repository, const struct digest *digest, struct slice bytes)
{
	struct error err = ERROR_INIT;
	struct store_conn *tx;

	if (bytes.n > LIMIT_BLOB_IN_ROW)
		assert_ok(store_blob_write_file(s, digest, bytes, &err));
	assert_ok(store_begin(s, &tx, &err));
	assert_ok(store_blob_put(tx, repository, digest, bytes.n, bytes, &err));
	assert_ok(store_commit(s, &err));
}

void put_blob(struct store *s, struct slice repository, struct slice bytes)
{
	struct digest digest = digest_of(bytes);

	put_blob_as(s, repository, &digest, bytes);
}
