/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/revision.h"

#include <stdio.h>

static void revision_init(struct revision *rev)
{
	*rev = (struct revision){
		.catalog_layer = BUF_INIT(LIMIT_CATALOG_LAYER),
		.catalog_manifest = BUF_INIT(LIMIT_MANIFEST),
		.record_layer = BUF_INIT(LIMIT_RECORD),
		.record_manifest = BUF_INIT(LIMIT_MANIFEST),
	};
}

void revision_done(struct revision *rev)
{
	catalog_unref(rev->catalog);
	buf_done(&rev->catalog_layer);
	buf_done(&rev->catalog_manifest);
	buf_done(&rev->record_layer);
	buf_done(&rev->record_manifest);
	revision_init(rev);
}

static int make_catalog(struct revision *rev, struct error *err)
{
	if (catalog_layer(rev->catalog, &rev->catalog_layer, err) != 0)
		return -1;
	rev->catalog_layer_digest = digest_of(buf_slice(&rev->catalog_layer));
	catalog_manifest(&rev->catalog_layer_digest, rev->catalog_layer.len, rev->version,
		&rev->catalog_manifest);
	if (buf_check(&rev->catalog_manifest, err) != 0)
		return -1;
	rev->catalog_digest = digest_of(buf_slice(&rev->catalog_manifest));
	return 0;
}

static int make_record(struct revision *rev, struct record *record, struct error *err)
{
	struct record_catalog changed = {.repository = CATALOG_REPOSITORY};

	changed.digest = rev->catalog_digest;
	record->n_catalogs = 1;
	record->catalogs = &changed;
	if (record_state(&record->state, &changed, 1, err) != 0)
		return -1;
	record_write(record, &rev->record_layer);
	if (buf_check(&rev->record_layer, err) != 0)
		return -1;
	rev->record_layer_digest = digest_of(buf_slice(&rev->record_layer));
	record_manifest(&rev->record_layer_digest, rev->record_layer.len, rev->version,
		&rev->record_manifest);
	if (buf_check(&rev->record_manifest, err) != 0)
		return -1;
	rev->record_digest = digest_of(buf_slice(&rev->record_manifest));
	return 0;
}

int revision_make(struct revision *ret, struct catalog *catalog, uint64_t version,
	const struct digest *parent, const char *why, const struct record_change *changes,
	size_t n_changes, struct error *err)
{
	struct record record = {
		.version = version,
		.layout = "single",
		.who = "anonymous",
		.why = (char *)why,
		.n_changes = n_changes,
		.changes = (struct record_change *)changes,
	};
	struct revision rev;

	if (version > LIMIT_VERSION)
		return error_set(err, ERROR_UNAVAILABLE,
			"the next version would be past the year 9999: set the clock right, or "
			"take "
			"away the tag with such a version");
	if (parent != NULL) {
		record.has_parent = true;
		record.parent = *parent;
	}
	revision_init(&rev);
	rev.version = version;
	rev.catalog = catalog_ref(catalog);
	if (make_catalog(&rev, err) != 0 || make_record(&rev, &record, err) != 0) {
		revision_done(&rev);
		return -1;
	}
	*ret = rev;
	return 0;
}

int push_failure(const struct push *pushes, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		if (pushes[i].err.code == ERROR_NONE)
			continue;
		*err = pushes[i].err;
		return error_wrap(err, "%s:%s", pushes[i].repository, pushes[i].tag);
	}
	return 0;
}

int revision_push(struct revision *rev, struct registry *registry, struct error *err)
{
	char tag[RECORD_TAG_SIZE];
	struct push_blob catalog_blobs[] = {
		{digest_of(OCI_EMPTY), OCI_EMPTY},
		{rev->catalog_layer_digest, buf_slice(&rev->catalog_layer)},
	};
	struct push_blob record_blobs[] = {
		{digest_of(OCI_EMPTY), OCI_EMPTY},
		{rev->record_layer_digest, buf_slice(&rev->record_layer)},
	};
	struct push pushes[] = {
		{
			.repository = CATALOG_REPOSITORY,
			.tag = tag,
			.tag_is_new = true,
			.tag_may_exist = rev->version_is_behind,
			.media_type = OCI_MEDIA_MANIFEST,
			.manifest = buf_slice(&rev->catalog_manifest),
			.digest = rev->catalog_digest,
			.n_blobs = ARRAY_SIZE(catalog_blobs),
			.blobs = catalog_blobs,
		},
		{
			.repository = RECORD_REPOSITORY,
			.tag = tag,
			.tag_is_new = true,
			.tag_may_exist = rev->version_is_behind,
			.media_type = OCI_MEDIA_MANIFEST,
			.manifest = buf_slice(&rev->record_manifest),
			.digest = rev->record_digest,
			.n_blobs = ARRAY_SIZE(record_blobs),
			.blobs = record_blobs,
		},
	};

	record_tag(rev->version, tag);
	registry_push(registry, pushes, ARRAY_SIZE(pushes));
	return push_failure(pushes, ARRAY_SIZE(pushes), err);
}

int revision_point(struct revision *rev, struct registry *registry, struct error *err)
{
	struct push push = {
		.repository = RECORD_REPOSITORY,
		.tag = "latest",
		.media_type = OCI_MEDIA_MANIFEST,
		.manifest = buf_slice(&rev->record_manifest),
		.digest = rev->record_digest,
	};

	registry_push(registry, &push, 1);
	return push_failure(&push, 1, err);
}

struct push revision_catalog_latest(const struct revision *rev)
{
	return (struct push){
		.repository = CATALOG_REPOSITORY,
		.tag = "latest",
		.media_type = OCI_MEDIA_MANIFEST,
		.manifest = buf_slice(&rev->catalog_manifest),
		.digest = rev->catalog_digest,
	};
}

static int push_all(struct revision *rev, struct registry *registry, struct error *err)
{
	struct push latest = revision_catalog_latest(rev);

	if (revision_push(rev, registry, err) != 0 || revision_point(rev, registry, err) != 0)
		return -1;
	registry_push(registry, &latest, 1);
	return push_failure(&latest, 1, err);
}

int revision_commit(struct revision *rev, struct registry *registry, struct error *err)
{
	if (registry_begin(registry, err) != 0)
		return -1;
	if (push_all(rev, registry, err) != 0) {
		registry_rollback(registry);
		return -1;
	}
	return registry_commit(registry, err);
}
