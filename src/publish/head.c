/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/head.h"

#include "oci/manifest.h"
#include "publish/revision.h"

#include <stdio.h>

void head_done(struct head *h)
{
	catalog_unref(h->catalog);
	*h = (struct head){0};
}

int head_resolve(struct digest *ret, struct registry *registry, struct error *err)
{
	return registry_resolve(registry, RECORD_REPOSITORY, "latest", ret, err);
}

/* What was there a moment ago, or must be, and is not: damage, not absence. */
static int missing_is_damage(struct error *err)
{
	if (err->code == ERROR_NOT_FOUND)
		err->code = ERROR_INTERNAL;
	return -1;
}

/* The manifest of an artifact of ours, and its only layer. */
static int read_artifact(struct registry *registry, const char *repository, const char *reference,
	struct buf *ret_manifest, struct digest *ret_digest, struct buf *ret_layer,
	struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;

	if (registry_manifest(registry, repository, reference, ret_manifest, ret_digest, err) != 0)
		return -1;
	if (oci_manifest_parse(&m, buf_slice(ret_manifest), err) != 0 || m->kind != OCI_IMAGE ||
		m->n_children != 1)
		return error_set(
			err, ERROR_INTERNAL, "the manifest is not an artifact with one layer");
	if (registry_blob(registry, repository, &m->children[0].digest, ret_layer, err) != 0)
		return missing_is_damage(err);
	return 0;
}

int head_read_record(
	struct record *ret, struct digest *ret_digest, struct registry *registry, struct error *err)
{
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(LIMIT_MANIFEST);
	CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_RECORD);

	if (read_artifact(
		    registry, RECORD_REPOSITORY, "latest", &manifest, ret_digest, &layer, err) != 0)
		return error_wrap(err, RECORD_REPOSITORY ":latest");
	if (record_parse(ret, buf_slice(&layer), err) != 0)
		return error_wrap(err, RECORD_REPOSITORY ":latest");
	return 0;
}

/* ---- the catalog that a record speaks of ---- */

static int read_catalog(struct catalog **ret, struct buf *ret_manifest, struct digest *ret_digest,
	const char *reference, struct registry *registry, struct error *err)
{
	CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_CATALOG_LAYER);

	if (read_artifact(registry, CATALOG_REPOSITORY, reference, ret_manifest, ret_digest, &layer,
		    err) != 0 ||
		catalog_read(ret, buf_slice(&layer), err) != 0) {
		missing_is_damage(err);
		return error_wrap(err, CATALOG_REPOSITORY "%s%s",
			strchr(reference, ':') != NULL ? "@" : ":", reference);
	}
	return 0;
}

/* The record's digest where it changed the catalog, the latest tag otherwise. */
static void catalog_reference(const struct record *record, char ret[DIGEST_TEXT_SIZE])
{
	snprintf(ret, DIGEST_TEXT_SIZE, "latest");
	for (size_t i = 0; i < record->n_catalogs; i++)
		if (strcmp(record->catalogs[i].repository, CATALOG_REPOSITORY) == 0)
			digest_format(&record->catalogs[i].digest, ret);
}

static int check_state(const struct record *record, const struct digest *catalog_digest,
	const struct catalog *catalog, struct error *err)
{
	struct record_catalog found = {.repository = CATALOG_REPOSITORY};
	struct digest state;

	found.digest = *catalog_digest;
	if (record_state(&state, &found, 1, err) != 0)
		return -1;
	if (!digest_eq(&state, &record->state))
		return error_set(err, ERROR_INTERNAL,
			"%s is not the catalog that the last commit record c%llu names",
			CATALOG_REPOSITORY, (unsigned long long)record->version);
	for (size_t i = 0; i < catalog_count(catalog); i++) {
		const struct resource *r = catalog_at(catalog, i);

		if (r->version > record->version)
			return error_set(err, ERROR_INTERNAL,
				"%s/%s has version v%llu, above the record's highest",
				r->intent->namespace, r->intent->name,
				(unsigned long long)r->version);
	}
	return 0;
}

/* ---- derived tags ---- */

/* Moves repository:latest to the manifest unless it is there. */
static int move_latest(struct registry *registry, const char *repository,
	const struct buf *manifest, const struct digest *digest, struct error *err)
{
	struct push push = {
		.repository = repository,
		.tag = "latest",
		.media_type = OCI_MEDIA_MANIFEST,
		.manifest = buf_slice(manifest),
		.digest = *digest,
	};
	struct digest current;

	if (registry_resolve(registry, repository, "latest", &current, err) == 0) {
		if (digest_eq(&current, digest))
			return 0;
	} else if (err->code != ERROR_NOT_FOUND) {
		return error_wrap(err, "%s:latest", repository);
	}
	if (registry_begin(registry, err) != 0)
		return -1;
	registry_push(registry, &push, 1);
	if (push_failure(&push, 1, err) == 0)
		return registry_commit(registry, err);
	registry_rollback(registry);
	return -1;
}

/* The artifact that a change of the record stored, made again: it is a pure function. */
static int artifact_of_change(struct artifact *ret, const struct record_change *change,
	const struct catalog *catalog, struct error *err)
{
	struct resource *r = catalog_find(catalog, change->namespace, change->name);
	struct artifact a;
	int rc;

	if (change->op == RECORD_DELETE && r == NULL)
		rc = artifact_of_tombstone(
			&a, change->namespace, change->name, change->version, err);
	else if (change->op != RECORD_DELETE && r != NULL && r->version == change->version)
		rc = artifact_of_resource(&a, r->intent, r->version, err);
	else
		return error_set(err, ERROR_INTERNAL,
			"the catalog does not hold %s/%s as the last commit record says",
			change->namespace, change->name);
	if (rc != 0)
		return -1;
	if (!digest_eq(&a.digest, &change->digest)) {
		artifact_done(&a);
		return error_set(err, ERROR_INTERNAL,
			"the last commit record names another artifact for %s/%s than belongs "
			"there",
			change->namespace, change->name);
	}
	*ret = a;
	return 0;
}

/* Rolls forward what a crash between the commit point and the answer left behind. */
static int move_derived(struct registry *registry, const struct record *record,
	const struct catalog *catalog, const struct buf *manifest, const struct digest *digest,
	struct error *err)
{
	if (move_latest(registry, CATALOG_REPOSITORY, manifest, digest, err) != 0)
		return -1;
	for (size_t i = 0; i < record->n_changes; i++) {
		const struct record_change *change = &record->changes[i];
		char repository[RESOURCE_REPOSITORY_SIZE];
		struct artifact artifact;
		int rc;

		if (artifact_of_change(&artifact, change, catalog, err) != 0)
			return -1;
		resource_repository(change->namespace, change->name, repository);
		rc = move_latest(registry, repository, &artifact.manifest, &artifact.digest, err);
		artifact_done(&artifact);
		if (rc != 0)
			return -1;
	}
	return 0;
}

/* ---- reading it all ---- */

static int read_state(
	struct head *ret, const struct record *record, struct registry *registry, struct error *err)
{
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(LIMIT_MANIFEST);
	CLEANUP(catalog_unrefp) struct catalog *catalog = NULL;
	char reference[DIGEST_TEXT_SIZE];
	struct digest digest;

	if (strcmp(record->layout, "single") != 0)
		return error_set(err, ERROR_UNAVAILABLE,
			"the store has layout %s, which this program does not know: use a newer "
			"gsq",
			record->layout);
	catalog_reference(record, reference);
	if (read_catalog(&catalog, &manifest, &digest, reference, registry, err) != 0 ||
		check_state(record, &digest, catalog, err) != 0 ||
		move_derived(registry, record, catalog, &manifest, &digest, err) != 0)
		return -1;
	ret->version = record->version;
	ret->catalog = TAKE_PTR(catalog);
	return 0;
}

static int record_was_lost(struct slice repository, struct error *err)
{
	return error_set(err, ERROR_INTERNAL,
		"the store has %.*s but no commit record: it was lost; run \"gsq rebuild\" to make "
		"one from the resource repositories",
		SLICE_ARG(repository));
}

static int refuse_resources(struct slice repository, void *arg UNUSED, struct error *err)
{
	if (!slice_starts(repository, SLICE(RESOURCE_REPOSITORY_PREFIX)))
		return 0;
	return record_was_lost(repository, err);
}

/* A store without a record is new only if neither a current catalog nor any resource is there. What
 * a first start that was interrupted leaves, tags c<version>, is neither: the next one may finish.
 */
static int explain_missing_record(struct registry *registry, struct error *err)
{
	struct digest ignored;

	if (registry_resolve(registry, CATALOG_REPOSITORY, "latest", &ignored, err) == 0)
		return record_was_lost(SLICE(CATALOG_REPOSITORY), err);
	if (err->code != ERROR_NOT_FOUND)
		return error_wrap(err, CATALOG_REPOSITORY ":latest");
	if (registry_repositories(registry, refuse_resources, NULL, err) != 0 &&
		err->code != ERROR_NOT_IMPLEMENTED && err->code != ERROR_DENIED &&
		err->code != ERROR_UNAUTHORIZED && err->code != ERROR_NOT_FOUND)
		return -1; /* hosted registries do not list; then the catalog's tag must do */
	return error_set(err, ERROR_NOT_FOUND,
		"the store has no commit record: start once with --init if it is new, "
		"or run \"gsq rebuild\" if it lost its record");
}

int head_read(struct head *ret, struct registry *registry, struct error *err)
{
	CLEANUP(record_done) struct record record = {0};
	struct head head = {0};

	if (head_read_record(&record, &head.record, registry, err) != 0) {
		if (err->code == ERROR_NOT_FOUND)
			return explain_missing_record(registry, err);
		return -1;
	}
	if (read_state(&head, &record, registry, err) != 0)
		return -1;
	*ret = head;
	return 0;
}

int head_init(struct registry *registry, uint64_t now_us, struct error *err)
{
	CLEANUP(catalog_unrefp) struct catalog *empty = NULL;
	struct revision rev;
	int rc;

	if (catalog_new(&empty, err) != 0 ||
		revision_make(&rev, empty, now_us, NULL, "init", NULL, 0, err) != 0)
		return -1;
	rc = revision_commit(&rev, registry, err);
	revision_done(&rev);
	return rc;
}
