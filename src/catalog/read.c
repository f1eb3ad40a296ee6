/* SPDX-License-Identifier: Apache-2.0 */
/* A layer back into a catalog: every byte of the tar must be the one that we would write. */
#include "catalog/catalog.h"
#include "catalog/page.h"
#include "intent/manifest.h"

struct reader {
	size_t n, cap;
	struct catalog_change *changes; /* each owns its resource */
	struct buf kustomization;       /* the lines that the files call for */
};

static void reader_done(struct reader *r)
{
	for (size_t i = 0; i < r->n; i++)
		resource_unref(r->changes[i].resource);
	free(r->changes);
	buf_done(&r->kustomization);
}

static int grow(struct reader *r, struct error *err)
{
	size_t cap = r->cap == 0 ? 64 : 2 * r->cap;
	struct catalog_change *changes;

	if (r->n < r->cap)
		return 0;
	changes = realloc(r->changes, cap * sizeof(*changes));
	if (changes == NULL)
		return error_no_memory(err);
	r->changes = changes;
	r->cap = cap;
	return 0;
}

static int damaged(const char *path, const char *why, struct error *err)
{
	return error_set(err, ERROR_INTERNAL, "%s: %s", path, why);
}

static int read_resource(struct resource **ret, const struct tar_file *file, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	char expected[TAR_PATH_MAX + 1];
	struct artifact artifact;
	uint64_t version;
	int rc;

	if (intent_parse(&intent, &version, file->content, err) != 0) {
		if (err->code == ERROR_INVALID)
			err->code = ERROR_INTERNAL;
		return error_wrap(err, "%s", file->path);
	}
	page_file_path(intent->namespace, intent->name, expected);
	if (strcmp(file->path, expected) != 0)
		return damaged(file->path, "holds a resource of another name", err);
	if (artifact_of_resource(&artifact, intent, version, err) != 0)
		return -1;
	rc = resource_new(ret, intent, version, &artifact.digest, err);
	artifact_done(&artifact);
	return rc;
}

static int add_file(struct reader *r, const struct tar_file *file, struct error *err)
{
	struct resource *resource;
	const struct intent *intent;

	if (grow(r, err) != 0 || read_resource(&resource, file, err) != 0)
		return -1;
	intent = resource->intent;
	if (r->n > 0) {
		const struct catalog_change *last = &r->changes[r->n - 1];

		if (page_key_cmp(last->namespace, last->name, intent->namespace, intent->name) >=
			0) {
			resource_unref(resource);
			return damaged(file->path, "is out of order", err);
		}
	}
	r->changes[r->n++] = (struct catalog_change){intent->namespace, intent->name, resource};
	page_add_line(intent->namespace, intent->name, &r->kustomization);
	return 0;
}

/* The last file must list the others, no more and no fewer. */
static int check_kustomization(struct reader *r, const struct tar_file *file, struct error *err)
{
	struct slice head =
		r->n == 0 ? SLICE(KUSTOMIZATION_HEAD " []\n") : SLICE(KUSTOMIZATION_HEAD "\n");
	struct slice lines = {file->content.p + head.n, file->content.n - head.n};

	if (buf_check(&r->kustomization, err) != 0)
		return -1;
	if (!slice_starts(file->content, head) || !slice_eq(lines, buf_slice(&r->kustomization)))
		return damaged(file->path, "does not list just the files of the catalog", err);
	return 0;
}

static int read_tar(struct reader *r, struct slice tar, struct error *err)
{
	struct tar_file file;
	size_t at = 0;
	int rc;

	while ((rc = tar_next(tar, &at, &file, err)) == 1) {
		if (strcmp(file.path, KUSTOMIZATION_PATH) != 0) {
			if (add_file(r, &file, err) != 0)
				return -1;
			continue;
		}
		if (check_kustomization(r, &file, err) != 0)
			return -1;
		rc = tar_next(tar, &at, &file, err);
		return rc == 1 ? damaged(file.path, "comes after " KUSTOMIZATION_PATH, err) : rc;
	}
	return rc == 0 ? damaged(KUSTOMIZATION_PATH, "is missing", err) : rc;
}

int catalog_read(struct catalog **ret, struct slice layer, struct error *err)
{
	CLEANUP(reader_done) struct reader r = {.kustomization = BUF_INIT(LIMIT_CATALOG_TAR)};
	CLEANUP(buf_done) struct buf tar = BUF_INIT(LIMIT_CATALOG_TAR);
	CLEANUP(catalog_unrefp) struct catalog *empty = NULL;

	if (gzip_read(layer, &tar, err) != 0 || read_tar(&r, buf_slice(&tar), err) != 0)
		return -1;
	if (catalog_new(&empty, err) != 0)
		return -1;
	return catalog_apply(ret, empty, r.changes, r.n, err);
}
