/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/rebuild.h"

#include "base/clock.h"
#include "base/log.h"
#include "catalog/key.h"
#include "publish/artifact_read.h"
#include "publish/remains.h"

#include <stdio.h>

struct rebuild {
	struct registry *registry;
	const struct rebuild_options *options;
	struct remains remains;
	struct layout layout;
	size_t n_changes;
	struct catalog_change *changes; /* as many as resources; each owns its resource */
};

static void rebuild_done(struct rebuild *rb)
{
	for (size_t i = 0; i < rb->n_changes; i++)
		resource_unref(rb->changes[i].resource);
	free(rb->changes);
	remains_done(&rb->remains);
}

/* ---- reading ---- */

/* An artifact on its way; resource stays NULL for a tombstone. */
struct arrival {
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	char tag[RESOURCE_TAG_SIZE];
	struct resource *resource;
};

static int check_arrival(struct arrival *a, const struct pull *pull, struct error *err)
{
	uint64_t ignored;

	if (a->name[0] == '\0')
		return error_set(err, ERROR_INTERNAL, "this is no repository of a resource");
	return artifact_read(&a->resource, &ignored, pull, a->namespace, a->name, err);
}

/* The tag that is current: what the last record says, where it is readable and changed this
 * resource (derived tags may lag behind it), else latest. */
static void current_tag(const struct rebuild *rb, struct arrival *a)
{
	snprintf(a->tag, sizeof(a->tag), "latest");
	for (size_t i = 0; i < rb->remains.record.n_changes; i++) {
		const struct record_change *change = &rb->remains.record.changes[i];

		if (key_cmp(change->namespace, change->name, a->namespace, a->name) == 0)
			resource_tag(change->version, a->tag);
	}
}

/* Without a name where the repository can be no resource's, which is an error if there is anything
 * current in it. */
static void arrival_init(struct arrival *a, const char *repository, const struct rebuild *rb)
{
	if (!resource_repository_parse(slice_of(repository), a->namespace, a->name))
		a->name[0] = '\0';
	current_tag(rb, a);
}

/* What Flux did not get it does not get now; the artifact does not say so. */
static void keep_hold(const struct rebuild *rb, struct arrival *a)
{
	struct resource *old = NULL;

	if (rb->remains.state != NULL)
		old = state_find(rb->remains.state, a->namespace, a->name);
	if (old == NULL || old->hold == NULL || !digest_eq(&old->digest, &a->resource->digest))
		return;
	resource_unref(a->resource);
	a->resource = resource_ref(old);
}

static int take_arrival(
	struct rebuild *rb, struct arrival *a, const struct pull *pull, struct error *err)
{
	*err = pull->err;
	if (err->code == ERROR_NOT_FOUND && strcmp(a->tag, "latest") == 0) {
		log_warn("left out: it has no latest tag, so no write to it was finished",
			LOG_STR("repository", pull->repository));
		return 0;
	}
	if (err->code != ERROR_NONE || check_arrival(a, pull, err) != 0)
		return error_wrap(err, "%s:%s", pull->repository, a->tag);
	if (a->resource == NULL)
		return 0;
	keep_hold(rb, a);
	rb->changes[rb->n_changes++] = (struct catalog_change){
		a->resource->intent->namespace, a->resource->intent->name, a->resource};
	return 0;
}

/* Some of the resource repositories. */
static int read_repositories(
	struct rebuild *rb, char *const *repositories, size_t n, struct error *err)
{
	AUTO_FREE struct arrival *arrivals = calloc(n, sizeof(*arrivals));
	AUTO_FREE struct pull *pulls = calloc(n, sizeof(*pulls));
	int rc = 0;

	if (arrivals == NULL || pulls == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		if (registry_tags(rb->registry, repositories[i], NULL, remains_note_version,
			    &rb->remains, err) != 0)
			return error_wrap(err, "%s", repositories[i]);
		arrival_init(&arrivals[i], repositories[i], rb);
		pulls[i] = (struct pull){
			.repository = repositories[i],
			.reference = arrivals[i].tag,
			.manifest = BUF_INIT(LIMIT_MANIFEST),
			.layer = BUF_INIT(LIMIT_INTENT_YAML),
		};
	}
	registry_pull(rb->registry, pulls, n);
	for (size_t i = 0; i < n; i++) {
		if (rc == 0)
			rc = take_arrival(rb, &arrivals[i], &pulls[i], err);
		buf_done(&pulls[i].manifest);
		buf_done(&pulls[i].layer);
	}
	return rc;
}

static int read_all(struct rebuild *rb, struct error *err)
{
	const struct names *resources = &rb->remains.resources;
	size_t n;

	if (remains_read(&rb->remains, rb->registry, &rb->options->signing, err) != 0 ||
		remains_list(&rb->remains, rb->registry, err) != 0)
		return -1;
	if (resources->n == 0)
		return error_set(err, ERROR_NOT_FOUND,
			"there is no repository below %s to rebuild from: is this the right store?",
			RESOURCE_REPOSITORY_PREFIX);
	if (remains_layout(&rb->remains, rb->options->layout, &rb->layout, err) != 0)
		return -1;
	rb->changes = calloc(resources->n, sizeof(rb->changes[0]));
	if (rb->changes == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < resources->n; i += n) {
		n = resources->n - i < LIMIT_PULLS ? resources->n - i : LIMIT_PULLS;
		if (read_repositories(rb, resources->list + i, n, err) != 0)
			return -1;
	}
	return 0;
}

/* The order of repositories' names is not that of keys. */
static int check_loss(const struct rebuild *rb, struct error *err)
{
	if (rb->n_changes > 0)
		qsort(rb->changes, rb->n_changes, sizeof(rb->changes[0]), prune_guard_compare);
	return remains_guard(&rb->remains, &rb->options->guard, rb->changes, rb->n_changes, err);
}

static int commit(const struct rebuild *rb, struct error *err)
{
	uint64_t now = clock_realtime_us(), highest = rb->remains.highest;
	struct whole whole = {
		.layout = &rb->layout,
		.root = &rb->options->root,
		.why = "rebuild",
		.version = now > highest ? now : highest + 1,
		.n = rb->n_changes,
		.resources = rb->changes,
		.signing = &rb->options->signing,
	};
	struct revision rev;
	int rc;

	if (remains_revision(&rev, &rb->remains, &whole, err) != 0)
		return -1;
	rc = revision_commit(&rev, rb->registry, err);
	revision_done(&rev);
	return rc;
}

int rebuild_run(struct registry *registry, const struct rebuild_options *options, size_t *ret_count,
	struct error *err)
{
	CLEANUP(rebuild_done) struct rebuild rb = {.registry = registry, .options = options};

	if (read_all(&rb, err) != 0 || check_loss(&rb, err) != 0 || commit(&rb, err) != 0)
		return -1;
	*ret_count = rb.n_changes;
	return 0;
}
