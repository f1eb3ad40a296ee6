/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/revision.h"

#include "publish/metrics.h"

#include <stdio.h>

/* ---- bytes ---- */

static void revision_init(struct revision *rev)
{
	*rev = (struct revision){
		.record_layer = BUF_INIT(LIMIT_RECORD),
		.record_manifest = BUF_INIT(LIMIT_MANIFEST),
	};
}

void revision_done(struct revision *rev)
{
	state_unref(rev->state);
	for (size_t i = 0; i < rev->n_catalogs; i++) {
		buf_done(&rev->catalogs[i].layer);
		buf_done(&rev->catalogs[i].manifest);
	}
	free(rev->catalogs);
	buf_done(&rev->record_layer);
	buf_done(&rev->record_manifest);
	revision_init(rev);
}

static struct revision_catalog *add_catalog(struct revision *rev, const char *repository)
{
	struct revision_catalog *c = &rev->catalogs[rev->n_catalogs++];

	snprintf(c->repository, sizeof(c->repository), "%s", repository);
	c->layer = (struct buf)BUF_INIT(LIMIT_CATALOG_LAYER);
	c->manifest = (struct buf)BUF_INIT(LIMIT_MANIFEST);
	return c;
}

/* Digests and manifest around a layer that is in place. */
static int finish_catalog(struct revision_catalog *c, uint64_t version, struct error *err)
{
	c->layer_digest = digest_of(buf_slice(&c->layer));
	catalog_manifest(&c->layer_digest, c->layer.len, version, &c->manifest);
	if (buf_check(&c->manifest, err) != 0)
		return -1;
	c->digest = digest_of(buf_slice(&c->manifest));
	return 0;
}

static int make_catalogs(
	struct revision *rev, const struct revision_draft *draft, struct error *err)
{
	for (size_t i = 0; i < draft->n_partitions; i++) {
		struct partition *p = draft->partitions[i];
		struct revision_catalog *c = add_catalog(rev, p->repository);

		if (catalog_layer(p->catalog, draft->gzip, &c->layer, err) != 0 ||
			finish_catalog(c, rev->version, err) != 0)
			return error_wrap(err, "%s", p->repository);
		p->digest = c->digest;
		p->layer_size = c->layer.len;
	}
	return state_replace(
		&rev->state, draft->state, draft->partitions, draft->n_partitions, NULL, err);
}

/* The root changes when catalogs are added to it, which happens seldom. */
static bool changes_root(const struct revision *rev, const struct revision_draft *draft)
{
	return state_layout(rev->state)->kind == LAYOUT_SPLIT &&
	       (draft->with_root ||
		       state_n_partitions(rev->state) != state_n_partitions(draft->state));
}

static int make_root(struct revision *rev, const struct revision_draft *draft, struct error *err)
{
	size_t n = state_n_partitions(rev->state);
	AUTO_FREE struct place *places = calloc(n + 1, sizeof(*places));
	struct revision_catalog *c;
	struct state *with_root;

	if (places == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++)
		places[i] = state_partition(rev->state, i)->place;
	c = add_catalog(rev, CATALOG_REPOSITORY);
	if (root_layer(draft->root, state_layout(rev->state), places, n, draft->gzip, &c->layer,
		    err) != 0 ||
		finish_catalog(c, rev->version, err) != 0)
		return error_wrap(err, CATALOG_REPOSITORY);
	if (state_replace(&with_root, rev->state, NULL, 0, &c->digest, err) != 0)
		return -1;
	state_unref(rev->state);
	rev->state = with_root;
	return 0;
}

static int make_record(struct revision *rev, const struct revision_draft *draft, struct error *err)
{
	AUTO_FREE struct record_catalog *catalogs = calloc(rev->n_catalogs + 1, sizeof(*catalogs));
	struct record record = {
		.version = rev->version,
		.has_parent = draft->parent != NULL,
		.layout = *state_layout(rev->state),
		.who = "anonymous",
		.why = (char *)draft->why,
		.n_changes = draft->n_changes,
		.changes = (struct record_change *)draft->changes,
		.n_catalogs = rev->n_catalogs,
		.catalogs = catalogs,
	};

	if (catalogs == NULL)
		return error_no_memory(err);
	if (draft->parent != NULL)
		record.parent = *draft->parent;
	for (size_t i = 0; i < rev->n_catalogs; i++) {
		snprintf(catalogs[i].repository, sizeof(catalogs[i].repository), "%s",
			rev->catalogs[i].repository);
		catalogs[i].digest = rev->catalogs[i].digest;
	}
	if (state_digest(&record.state, rev->state, err) != 0)
		return -1;
	record_write(&record, &rev->record_layer);
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

static int make_all(struct revision *rev, const struct revision_draft *draft, struct error *err)
{
	uint64_t began;

	if (draft->version > LIMIT_VERSION)
		return error_set(err, ERROR_UNAVAILABLE,
			"the next version would be past the year 9999: set the clock right, or "
			"take away the tag with such a version");
	rev->version = draft->version;
	rev->catalogs = calloc(draft->n_partitions + 1, sizeof(rev->catalogs[0]));
	if (rev->catalogs == NULL)
		return error_no_memory(err);
	began = clock_monotonic_us();
	if (make_catalogs(rev, draft, err) != 0)
		return -1;
	metric_lap(&publish_metric_catalog_build, METRIC_NO_LABELS, began);
	if (changes_root(rev, draft) && make_root(rev, draft, err) != 0)
		return -1;
	return make_record(rev, draft, err);
}

int revision_make(struct revision *ret, const struct revision_draft *draft, struct error *err)
{
	struct revision rev;

	revision_init(&rev);
	if (make_all(&rev, draft, err) != 0) {
		revision_done(&rev);
		return -1;
	}
	*ret = rev;
	return 0;
}

/* ---- pushes ---- */

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

/* An artifact to be pushed under the revision's tag, and the blobs that the push borrows. */
struct tagged_push {
	struct push_blob blobs[2];
};

static struct push push_under_tag(struct tagged_push *t, const struct revision *rev,
	const char *tag, const char *repository, const struct buf *layer,
	const struct digest *layer_digest, const struct buf *manifest, const struct digest *digest)
{
	t->blobs[0] = (struct push_blob){oci_empty_digest, OCI_EMPTY};
	t->blobs[1] = (struct push_blob){*layer_digest, buf_slice(layer)};
	return (struct push){
		.repository = repository,
		.tag = tag,
		.tag_is_new = true,
		.tag_may_exist = rev->version_is_behind,
		.media_type = OCI_MEDIA_MANIFEST,
		.manifest = buf_slice(manifest),
		.digest = *digest,
		.n_blobs = ARRAY_SIZE(t->blobs),
		.blobs = t->blobs,
	};
}

int revision_push(struct revision *rev, struct registry *registry, struct error *err)
{
	size_t n = rev->n_catalogs + 1;
	AUTO_FREE struct push *pushes = calloc(n, sizeof(*pushes));
	AUTO_FREE struct tagged_push *tagged = calloc(n, sizeof(*tagged));
	char tag[RECORD_TAG_SIZE];

	if (pushes == NULL || tagged == NULL)
		return error_no_memory(err);
	record_tag(rev->version, tag);
	for (size_t i = 0; i < rev->n_catalogs; i++) {
		const struct revision_catalog *c = &rev->catalogs[i];

		pushes[i] = push_under_tag(&tagged[i], rev, tag, c->repository, &c->layer,
			&c->layer_digest, &c->manifest, &c->digest);
	}
	pushes[n - 1] =
		push_under_tag(&tagged[n - 1], rev, tag, RECORD_REPOSITORY, &rev->record_layer,
			&rev->record_layer_digest, &rev->record_manifest, &rev->record_digest);
	for (size_t i = 0; i < n; i++)
		pushes[i].moves_latest = registry->atomic;
	registry_push(registry, pushes, n);
	return push_failure(pushes, n, err);
}

static struct push push_latest(
	const char *repository, const struct buf *manifest, const struct digest *digest)
{
	return (struct push){
		.repository = repository,
		.tag = "latest",
		.media_type = OCI_MEDIA_MANIFEST,
		.manifest = buf_slice(manifest),
		.digest = *digest,
	};
}

int revision_point(struct revision *rev, struct registry *registry, struct error *err)
{
	struct push push =
		push_latest(RECORD_REPOSITORY, &rev->record_manifest, &rev->record_digest);

	registry_push(registry, &push, 1);
	return push_failure(&push, 1, err);
}

struct push revision_catalog_latest(const struct revision *rev, size_t i)
{
	const struct revision_catalog *c = &rev->catalogs[i];

	return push_latest(c->repository, &c->manifest, &c->digest);
}

static int push_catalogs_latest(
	const struct revision *rev, struct registry *registry, struct error *err)
{
	AUTO_FREE struct push *pushes = calloc(rev->n_catalogs + 1, sizeof(*pushes));

	if (pushes == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < rev->n_catalogs; i++)
		pushes[i] = revision_catalog_latest(rev, i);
	registry_push(registry, pushes, rev->n_catalogs);
	return push_failure(pushes, rev->n_catalogs, err);
}

static int push_all(struct revision *rev, struct registry *registry, struct error *err)
{
	if (revision_push(rev, registry, err) != 0)
		return -1;
	if (registry->atomic)
		return 0;
	if (revision_point(rev, registry, err) != 0)
		return -1;
	return push_catalogs_latest(rev, registry, err);
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
