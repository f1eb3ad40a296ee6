/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/rebuild.h"

#include "base/clock.h"
#include "base/log.h"
#include "catalog/key.h"
#include "intent/manifest.h"
#include "publish/revision.h"

#include <stdio.h>

#define CATALOG_PREFIX "gitops-squared/catalogs/"

/* Names of repositories. */
struct names {
	size_t n, cap;
	char **list;
};

struct rebuild {
	struct registry *registry;
	const struct rebuild_options *options;
	struct layout layout;
	struct root_options root;
	struct record record; /* the last one, where it can be read; else empty */
	bool has_parent;
	struct digest parent; /* its manifest */
	uint64_t highest;     /* version number found in any tag */
	struct names resources, catalogs;
	size_t n_changes;
	struct catalog_change *changes; /* as many as resources; each owns its resource */
};

static void names_done(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i]);
	free(names->list);
}

static int add_name(struct names *names, struct slice name, struct error *err)
{
	size_t cap = names->cap == 0 ? 64 : 2 * names->cap;
	char **grown;

	if (names->n == names->cap) {
		grown = realloc(names->list, cap * sizeof(*grown));
		if (grown == NULL)
			return error_no_memory(err);
		names->list = grown;
		names->cap = cap;
	}
	names->list[names->n] = slice_dup(name);
	if (names->list[names->n] == NULL)
		return error_no_memory(err);
	names->n++;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A registry may list a repository twice, as on two pages when one is made in between. */
static void sort_names(struct names *names)
{
	size_t n = 0;

	if (names->n > 0)
		qsort(names->list, names->n, sizeof(names->list[0]), compare_names);
	for (size_t i = 0; i < names->n; i++) {
		if (n > 0 && strcmp(names->list[n - 1], names->list[i]) == 0)
			free(names->list[i]);
		else
			names->list[n++] = names->list[i];
	}
	names->n = n;
}

static void rebuild_done(struct rebuild *rb)
{
	names_done(&rb->resources);
	names_done(&rb->catalogs);
	for (size_t i = 0; i < rb->n_changes; i++)
		resource_unref(rb->changes[i].resource);
	record_done(&rb->record);
	free(rb->changes);
}

static int collect_repository(struct slice repository, void *arg, struct error *err)
{
	struct rebuild *rb = arg;

	if (slice_starts(repository, SLICE(RESOURCE_REPOSITORY_PREFIX)))
		return add_name(&rb->resources, repository, err);
	if (slice_starts(repository, SLICE(CATALOG_PREFIX)))
		return add_name(&rb->catalogs, repository, err);
	return 0;
}

/* New versions must be above every number ever used: tags v<number> and c<number>. One past all
 * dates was never issued, so it is nobody's. */
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

/* ---- checking artifacts ---- */

static int altered(const char *why, struct error *err)
{
	return error_set(err, ERROR_INTERNAL, "the artifact is altered: %s", why);
}

#define WRONG_MANIFEST "its manifest is not the one that belongs to its content"

static bool is_tombstone(const struct oci_manifest *m)
{
	const char *deleted = oci_manifest_annotation(m, "io.gitops-squared.resource.deleted");

	return deleted != NULL && strcmp(deleted, "true") == 0;
}

static int check_tombstone(const struct oci_manifest *m, const struct digest *digest,
	const char *namespace, const char *name, struct error *err)
{
	uint64_t version = artifact_version(m);
	bool same;

	if (version == 0)
		return altered("it is a tombstone without a version", err);
	if (artifact_is_tombstone(&same, digest, namespace, name, version, err) != 0)
		return -1;
	return same ? 0 : altered(WRONG_MANIFEST, err);
}

static int check_resource(struct resource **ret, struct slice yaml, const struct digest *digest,
	const char *namespace, const char *name, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct digest expected;
	uint64_t version;

	if (intent_parse(&intent, &version, yaml, err) != 0)
		return -1;
	if (strcmp(intent->namespace, namespace) != 0 || strcmp(intent->name, name) != 0)
		return altered("it holds a resource of another name", err);
	if (artifact_digest(&expected, intent, version, yaml, err) != 0)
		return -1;
	if (!digest_eq(&expected, digest))
		return altered(WRONG_MANIFEST, err);
	return resource_new(ret, intent, version, digest, err);
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
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;

	if (a->name[0] == '\0')
		return error_set(err, ERROR_INTERNAL, "this is no repository of a resource");
	if (oci_manifest_parse(&m, buf_slice(&pull->manifest), err) != 0)
		return -1;
	if (is_tombstone(m))
		return check_tombstone(m, &pull->digest, a->namespace, a->name, err);
	return check_resource(
		&a->resource, buf_slice(&pull->layer), &pull->digest, a->namespace, a->name, err);
}

/* The tag that is current: what the last record says, where it is readable and changed this
 * resource (derived tags may lag behind it), else latest. */
static void current_tag(const struct rebuild *rb, struct arrival *a)
{
	snprintf(a->tag, sizeof(a->tag), "latest");
	for (size_t i = 0; i < rb->record.n_changes; i++) {
		const struct record_change *change = &rb->record.changes[i];

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
	if (a->resource != NULL)
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
		if (registry_tags(rb->registry, repositories[i], note_version, rb, err) != 0)
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

/* The layout is the record's, if that can be read; else the operator has to know it. */
static int find_layout(struct rebuild *rb, struct error *err)
{
	const struct layout *given = rb->options->layout;
	bool known = rb->record.version != 0;

	if (known && given != NULL && !layout_eq(given, &rb->record.layout))
		return error_set(err, ERROR_INVALID,
			"the last commit record has the layout %s with %u catalogs for a "
			"namespace: "
			"leave out --layout and --catalogs",
			layout_kind_name(rb->record.layout.kind), rb->record.layout.catalogs);
	if (!known && given == NULL && rb->catalogs.n > 0)
		return error_set(err, ERROR_INVALID,
			"the store was of the layout split (there is %s): say --layout split and, "
			"with --catalogs, how many catalogs each namespace had",
			rb->catalogs.list[0]);
	rb->layout = known           ? rb->record.layout
		     : given != NULL ? *given
				     : (struct layout){LAYOUT_SINGLE, 1};
	root_choose(&rb->root, &rb->options->root, &rb->record.root);
	return 0;
}

static int list_all(struct rebuild *rb, struct error *err)
{
	if (registry_repositories(rb->registry, collect_repository, rb, err) != 0)
		return error_wrap(err, "cannot list the repositories");
	sort_names(&rb->resources);
	sort_names(&rb->catalogs);
	if (rb->resources.n == 0)
		return error_set(err, ERROR_NOT_FOUND,
			"there is no repository below %s to rebuild from: is this the right store?",
			RESOURCE_REPOSITORY_PREFIX);
	if (registry_tags(rb->registry, RECORD_REPOSITORY, note_version, rb, err) != 0)
		return error_wrap(err, RECORD_REPOSITORY);
	return 0;
}

static int read_all(struct rebuild *rb, struct error *err)
{
	size_t n;

	if (read_record(rb, err) != 0 || list_all(rb, err) != 0 || find_layout(rb, err) != 0)
		return -1;
	rb->changes = calloc(rb->resources.n, sizeof(rb->changes[0]));
	if (rb->changes == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < rb->resources.n; i += n) {
		n = rb->resources.n - i < LIMIT_PULLS ? rb->resources.n - i : LIMIT_PULLS;
		if (read_repositories(rb, rb->resources.list + i, n, err) != 0)
			return -1;
	}
	return 0;
}

/* ---- the new record ---- */

/* A catalog that was ever there; one that nothing comes into makes Flux prune. */
static int add_empty(struct partition **partitions, size_t *n, const struct rebuild *rb,
	struct slice repository, struct error *err)
{
	struct place place;

	if (!layout_repository_parse(&rb->layout, repository, &place))
		return 0;
	if (partition_new_empty(&partitions[*n], &rb->layout, &place, err) != 0)
		return -1;
	(*n)++;
	return 0;
}

static int compare_places(const void *a, const void *b)
{
	return place_cmp(
		&(*(struct partition *const *)a)->place, &(*(struct partition *const *)b)->place);
}

static int empty_state(
	struct state **ret, const struct state *none, const struct rebuild *rb, struct error *err)
{
	struct partition **partitions = calloc(rb->catalogs.n + 1, sizeof(*partitions));
	size_t n = 0;
	int rc;

	if (partitions == NULL)
		return error_no_memory(err);
	rc = add_empty(partitions, &n, rb, SLICE(CATALOG_REPOSITORY), err);
	for (size_t i = 0; rc == 0 && i < rb->catalogs.n; i++)
		rc = add_empty(partitions, &n, rb, slice_of(rb->catalogs.list[i]), err);
	qsort(partitions, n, sizeof(*partitions), compare_places);
	if (rc == 0)
		rc = state_replace(ret, none, partitions, n, NULL, err);
	partitions_free(partitions, n);
	return rc;
}

/* With what was found in its place. */
static int full_state(struct state **ret, const struct state *none, const struct rebuild *rb,
	struct gzips *gzips, struct error *err)
{
	CLEANUP(state_unrefp) struct state *empty = NULL;
	struct partition **changed;
	size_t n;
	int rc;

	if (empty_state(&empty, none, rb, err) != 0 ||
		state_change(empty, rb->changes, rb->n_changes, gzips, &changed, &n, err) != 0)
		return -1;
	rc = state_replace(ret, empty, changed, n, NULL, err);
	partitions_free(changed, n);
	return rc;
}

static int make_revision(struct revision *ret, const struct rebuild *rb, struct error *err)
{
	uint64_t now = clock_realtime_us();
	CLEANUP(gzips_done) struct gzips gzips = {0};
	CLEANUP(state_unrefp) struct state *none = NULL;
	CLEANUP(state_unrefp) struct state *full = NULL;
	AUTO_FREE struct partition **partitions = NULL;
	struct revision_draft draft = {
		.with_root = true,
		.root = &rb->root,
		.version = now > rb->highest ? now : rb->highest + 1,
		.parent = rb->has_parent ? &rb->parent : NULL,
		.why = "rebuild",
		.gzips = &gzips,
	};

	if (state_new(&none, &rb->layout, err) != 0 ||
		full_state(&full, none, rb, &gzips, err) != 0)
		return -1;
	partitions = calloc(state_n_partitions(full) + 1, sizeof(*partitions));
	if (partitions == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < state_n_partitions(full); i++)
		partitions[i] = state_partition(full, i);
	draft.state = none;
	draft.n_partitions = state_n_partitions(full);
	draft.partitions = partitions;
	return revision_make(ret, &draft, err);
}

static int commit(const struct rebuild *rb, struct error *err)
{
	struct revision rev;
	int rc;

	if (make_revision(&rev, rb, err) != 0)
		return -1;
	rc = revision_commit(&rev, rb->registry, err);
	revision_done(&rev);
	return rc;
}

int rebuild_run(struct registry *registry, const struct rebuild_options *options, size_t *ret_count,
	struct error *err)
{
	CLEANUP(rebuild_done) struct rebuild rb = {.registry = registry, .options = options};

	if (read_all(&rb, err) != 0 || commit(&rb, err) != 0)
		return -1;
	*ret_count = rb.n_changes;
	return 0;
}
