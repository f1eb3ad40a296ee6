/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/rebuild.h"

#include "base/clock.h"
#include "base/log.h"
#include "intent/manifest.h"
#include "publish/revision.h"

#include <stdio.h>

struct rebuild {
	struct registry *registry;
	struct record record; /* the last one, where it can be read; else empty */
	bool has_parent;
	struct digest parent; /* its manifest */
	uint64_t highest;     /* version number found in any tag */
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
	record_done(&rb->record);
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
		version > rb->highest)
		rb->highest = version;
	return 0;
}

/* ---- checking artifacts ---- */

static int altered(const char *why, struct error *err)
{
	return error_set(err, ERROR_INTERNAL, "the artifact is altered: %s", why);
}

/* Frees what the artifact should be, having compared it with what it is. */
static int check_artifact(struct artifact *expected, const struct digest *digest, struct error *err)
{
	bool same = digest_eq(&expected->digest, digest);

	artifact_done(expected);
	return same ? 0 : altered("its manifest is not the one that belongs to its content", err);
}

/* The namespace and name that a repository stands for. */
static int split_repository(const char *repository, char namespace[LIMIT_NAME + 1],
	char name[LIMIT_NAME + 1], struct error *err)
{
	struct slice rest = slice_of(repository + strlen(RESOURCE_REPOSITORY_PREFIX));
	struct slice first = slice_cut(&rest, '/');

	if (!intent_name_ok(first) || !intent_name_ok(rest))
		return error_set(err, ERROR_INTERNAL, "this is no repository of a resource");
	snprintf(namespace, LIMIT_NAME + 1, "%.*s", SLICE_ARG(first));
	snprintf(name, LIMIT_NAME + 1, "%.*s", SLICE_ARG(rest));
	return 0;
}

static bool is_tombstone(const struct oci_manifest *m)
{
	const char *deleted = oci_manifest_annotation(m, "io.gitops-squared.resource.deleted");

	return deleted != NULL && strcmp(deleted, "true") == 0;
}

static int check_tombstone(const struct oci_manifest *m, const struct digest *digest,
	const char *namespace, const char *name, struct error *err)
{
	const struct oci_descriptor *layer = &m->children[0];
	struct artifact expected;
	uint64_t version = 0;

	for (size_t i = 0; i < layer->n_annotations; i++)
		if (strcmp(layer->annotations[i].key, "io.gitops-squared.resource.version") == 0 &&
			!resource_tag_parse(slice_of(layer->annotations[i].value), &version))
			version = 0;
	if (version == 0 || version > LIMIT_VERSION)
		return altered("it is a tombstone without a version", err);
	if (artifact_of_tombstone(&expected, namespace, name, version, err) != 0)
		return -1;
	return check_artifact(&expected, digest, err);
}

static int check_resource(struct resource **ret, struct slice yaml, const struct digest *digest,
	const char *namespace, const char *name, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct artifact expected;
	uint64_t version;

	if (intent_parse(&intent, &version, yaml, err) != 0)
		return -1;
	if (strcmp(intent->namespace, namespace) != 0 || strcmp(intent->name, name) != 0)
		return altered("it holds a resource of another name", err);
	if (artifact_of_resource(&expected, intent, version, err) != 0 ||
		check_artifact(&expected, digest, err) != 0)
		return -1;
	return resource_new(ret, intent, version, digest, err);
}

/* ---- reading ---- */

/* *ret stays NULL for a tombstone. ERROR_NOT_FOUND: there is no such tag. */
static int read_artifact(struct resource **ret, struct registry *registry, const char *repository,
	const char *tag, struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(LIMIT_MANIFEST);
	CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_INTENT_YAML);
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	struct digest digest;

	if (split_repository(repository, namespace, name, err) != 0 ||
		registry_manifest(registry, repository, tag, &manifest, &digest, err) != 0 ||
		oci_manifest_parse(&m, buf_slice(&manifest), err) != 0)
		return -1;
	if (m->kind != OCI_IMAGE || m->n_children != 1)
		return altered("it has not one layer", err);
	if (is_tombstone(m))
		return check_tombstone(m, &digest, namespace, name, err);
	if (registry_blob(registry, repository, &m->children[0].digest, &layer, err) != 0) {
		if (err->code == ERROR_NOT_FOUND)
			err->code = ERROR_INTERNAL;
		return -1;
	}
	return check_resource(ret, buf_slice(&layer), &digest, namespace, name, err);
}

/* The tag that is current: what the last record says, where it is readable and changed this
 * resource (derived tags may lag behind it), else latest. */
static void current_tag(
	const struct rebuild *rb, const char *repository, char ret[RESOURCE_TAG_SIZE])
{
	snprintf(ret, RESOURCE_TAG_SIZE, "latest");
	for (size_t i = 0; i < rb->record.n_changes; i++) {
		const struct record_change *change = &rb->record.changes[i];
		char changed[RESOURCE_REPOSITORY_SIZE];

		resource_repository(change->namespace, change->name, changed);
		if (strcmp(changed, repository) == 0)
			resource_tag(change->version, ret);
	}
}

static int read_repository(struct rebuild *rb, const char *repository, struct error *err)
{
	struct resource *resource = NULL;
	char tag[RESOURCE_TAG_SIZE];

	current_tag(rb, repository, tag);
	if (registry_tags(rb->registry, repository, note_version, rb, err) != 0)
		return error_wrap(err, "%s", repository);
	if (read_artifact(&resource, rb->registry, repository, tag, err) != 0) {
		if (err->code != ERROR_NOT_FOUND || strcmp(tag, "latest") != 0)
			return error_wrap(err, "%s:%s", repository, tag);
		log_warn("left out: it has no latest tag, so no write to it was finished",
			LOG_STR("repository", repository));
	}
	if (resource != NULL)
		rb->changes[rb->n_changes++] = (struct catalog_change){
			resource->intent->namespace, resource->intent->name, resource};
	return 0;
}

/* A record that is lost or damaged is why we are here; one that cannot be read just now is not. */
static int read_record(struct rebuild *rb, struct error *err)
{
	if (head_read_record(&rb->record, &rb->parent, rb->registry, err) == 0) {
		rb->has_parent = true;
		return 0;
	}
	if (err->code != ERROR_NOT_FOUND && err->code != ERROR_INTERNAL)
		return -1;
	rb->has_parent = head_resolve(&rb->parent, rb->registry, err) == 0;
	if (!rb->has_parent && err->code != ERROR_NOT_FOUND)
		return error_wrap(err, RECORD_REPOSITORY ":latest");
	return 0;
}

static int read_all(struct rebuild *rb, struct error *err)
{
	if (read_record(rb, err) != 0)
		return -1;
	if (registry_repositories(rb->registry, collect_repository, rb, err) != 0)
		return error_wrap(err, "cannot list the repositories");
	if (rb->n_repositories == 0)
		return error_set(err, ERROR_NOT_FOUND,
			"there is no repository below %s to rebuild from: is this the right store?",
			RESOURCE_REPOSITORY_PREFIX);
	if (registry_tags(rb->registry, RECORD_REPOSITORY, note_version, rb, err) != 0)
		return error_wrap(err, RECORD_REPOSITORY);
	rb->changes = calloc(rb->n_repositories, sizeof(rb->changes[0]));
	if (rb->changes == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < rb->n_repositories; i++)
		if (read_repository(rb, rb->repositories[i], err) != 0)
			return -1;
	return 0;
}

static int commit(struct rebuild *rb, struct error *err)
{
	uint64_t now = clock_realtime_us();
	uint64_t version = now > rb->highest ? now : rb->highest + 1;
	CLEANUP(catalog_unrefp) struct catalog *empty = NULL;
	CLEANUP(catalog_unrefp) struct catalog *catalog = NULL;
	struct revision rev;
	int rc;

	if (catalog_new(&empty, err) != 0 ||
		catalog_apply(&catalog, empty, rb->changes, rb->n_changes, err) != 0 ||
		revision_make(&rev, catalog, version, rb->has_parent ? &rb->parent : NULL,
			"rebuild", NULL, 0, err) != 0)
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
