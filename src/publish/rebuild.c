/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/rebuild.h"

#include "base/clock.h"
#include "intent/manifest.h"
#include "publish/revision.h"

struct rebuild {
	struct registry *registry;
	uint64_t highest; /* version number found in any tag */
	size_t n_repositories, cap;
	char **repositories;
	size_t n_changes;
	struct catalog_change *changes; /* as many as repositories; each owns its resource */
};

static void rebuild_done(struct rebuild *rb)
{
	for (size_t i = 0; i < rb->n_repositories; i++)
		free(rb->repositories[i]);
	for (size_t i = 0; i < rb->n_changes; i++)
		resource_unref(rb->changes[i].resource);
	free(rb->repositories);
	free(rb->changes);
}

static int collect_repository(struct slice repository, void *arg, struct error *err)
{
	struct rebuild *rb = arg;

	if (!slice_starts(repository, SLICE(RESOURCE_REPOSITORY_PREFIX)))
		return 0;
	if (rb->n_repositories == rb->cap) {
		size_t cap = rb->cap == 0 ? 64 : 2 * rb->cap;
		char **grown = realloc(rb->repositories, cap * sizeof(*grown));

		if (grown == NULL)
			return error_no_memory(err);
		rb->repositories = grown;
		rb->cap = cap;
	}
	rb->repositories[rb->n_repositories] = slice_dup(repository);
	if (rb->repositories[rb->n_repositories] == NULL)
		return error_no_memory(err);
	rb->n_repositories++;
	return 0;
}

/* New versions must be above every number ever used: tags v<number> and c<number>. */
static int note_version(struct slice tag, void *arg, struct error *err UNUSED)
{
	struct rebuild *rb = arg;
	uint64_t version;

	if (tag.n > 1 && (tag.p[0] == 'v' || tag.p[0] == 'c') &&
		slice_to_u64((struct slice){tag.p + 1, tag.n - 1}, &version) &&
		version > rb->highest && version <= LIMIT_VERSION)
		rb->highest = version;
	return 0;
}

static bool is_tombstone(const struct oci_manifest *m)
{
	const char *deleted = oci_manifest_annotation(m, "io.gitops-squared.resource.deleted");

	return deleted != NULL && strcmp(deleted, "true") == 0;
}

static int altered(const char *why, struct error *err)
{
	return error_set(err, ERROR_INTERNAL, "the artifact is altered: %s", why);
}

/* The resource that the layer holds; its artifact must be just the one that was read. */
static int check_resource(struct resource **ret, struct slice yaml, const struct digest *digest,
	const char *repository, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	char expected[RESOURCE_REPOSITORY_SIZE];
	struct artifact artifact;
	uint64_t version;
	bool same;

	if (intent_parse(&intent, &version, yaml, err) != 0)
		return -1;
	resource_repository(intent->namespace, intent->name, expected);
	if (strcmp(expected, repository) != 0)
		return altered("it holds a resource of another name", err);
	if (artifact_of_resource(&artifact, intent, version, err) != 0)
		return -1;
	same = digest_eq(&artifact.digest, digest);
	artifact_done(&artifact);
	if (!same)
		return altered("its manifest is not the one that belongs to its content", err);
	return resource_new(ret, intent, version, digest, err);
}

/* *ret stays NULL where the repository has no current resource. */
static int read_resource(
	struct resource **ret, struct registry *registry, const char *repository, struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(LIMIT_MANIFEST);
	CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_INTENT_YAML);
	struct digest digest;

	if (registry_manifest(registry, repository, "latest", &manifest, &digest, err) != 0)
		return err->code == ERROR_NOT_FOUND ? 0 : -1; /* only debris in there */
	if (oci_manifest_parse(&m, buf_slice(&manifest), err) != 0)
		return -1;
	if (m->kind != OCI_IMAGE || m->n_children != 1)
		return altered("it has not one layer", err);
	if (is_tombstone(m))
		return 0;
	if (registry_blob(registry, repository, &m->children[0].digest, &layer, err) != 0)
		return -1;
	return check_resource(ret, buf_slice(&layer), &digest, repository, err);
}

static int read_all(struct rebuild *rb, struct error *err)
{
	if (registry_repositories(rb->registry, collect_repository, rb, err) != 0)
		return error_wrap(err, "cannot list the repositories");
	if (registry_tags(rb->registry, RECORD_REPOSITORY, note_version, rb, err) != 0)
		return error_wrap(err, RECORD_REPOSITORY);
	rb->changes = calloc(rb->n_repositories + 1, sizeof(rb->changes[0]));
	if (rb->changes == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < rb->n_repositories; i++) {
		const char *repository = rb->repositories[i];
		struct resource *resource = NULL;

		if (registry_tags(rb->registry, repository, note_version, rb, err) != 0 ||
			read_resource(&resource, rb->registry, repository, err) != 0) {
			err->code = ERROR_INTERNAL;
			return error_wrap(err, "%s:latest", repository);
		}
		if (resource != NULL)
			rb->changes[rb->n_changes++] = (struct catalog_change){
				resource->intent->namespace, resource->intent->name, resource};
	}
	return 0;
}

static int commit(struct rebuild *rb, struct error *err)
{
	uint64_t now = clock_realtime_us();
	uint64_t version = now > rb->highest ? now : rb->highest + 1;
	CLEANUP(catalog_unrefp) struct catalog *empty = NULL;
	CLEANUP(catalog_unrefp) struct catalog *catalog = NULL;
	struct digest parent;
	struct revision rev;
	bool has_parent;
	int rc;

	has_parent = head_resolve(&parent, rb->registry, err) == 0;
	if (!has_parent && err->code != ERROR_NOT_FOUND)
		return error_wrap(err, RECORD_REPOSITORY ":latest");
	if (catalog_new(&empty, err) != 0 ||
		catalog_apply(&catalog, empty, rb->changes, rb->n_changes, err) != 0 ||
		revision_make(&rev, catalog, version, has_parent ? &parent : NULL, "rebuild", NULL,
			0, err) != 0)
		return -1;
	rc = revision_commit(&rev, rb->registry, err);
	revision_done(&rev);
	return rc;
}

int rebuild_run(struct registry *registry, size_t *ret_count, struct error *err)
{
	CLEANUP(rebuild_done) struct rebuild rb = {.registry = registry};

	if (read_all(&rb, err) != 0 || commit(&rb, err) != 0)
		return -1;
	*ret_count = rb.n_changes;
	return 0;
}
