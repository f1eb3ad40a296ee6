/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/revision.h"

#include "publish/metrics.h"

#include "base/parallel.h"

#include <stdio.h>

/* ---- bytes ---- */

void revision_done(struct revision *rev)
{
	state_unref(rev->state);
	author_unref(rev->frozen.by);
	places_done(&rev->leftovers);
	for (size_t i = 0; i < rev->n_catalogs; i++)
		artifact_done(&rev->catalogs[i].artifact);
	free(rev->catalogs);
	artifact_done(&rev->record);
	signatures_done(&rev->signatures);
	*rev = (struct revision){0};
}

static struct artifact *add_catalog(struct revision *rev, const char *repository)
{
	struct revision_catalog *c = &rev->catalogs[rev->n_catalogs++];

	snprintf(c->repository, sizeof(c->repository), "%s", repository);
	c->artifact.layer = (struct buf)BUF_INIT(LIMIT_CATALOG_LAYER);
	c->artifact.manifest = (struct buf)BUF_INIT(LIMIT_MANIFEST);
	return &c->artifact;
}

/* Digests and manifest around a layer that is in place. */
static int finish_catalog(struct artifact *a, uint64_t version, struct error *err)
{
	a->layer_digest = digest_of(buf_slice(&a->layer));
	catalog_manifest(&a->layer_digest, a->layer.len, version, &a->manifest);
	if (buf_check(&a->manifest, err) != 0)
		return -1;
	a->digest = digest_of(buf_slice(&a->manifest));
	return 0;
}

struct making {
	const struct revision *rev;
	const struct revision_draft *draft;
	struct error *errors; /* of each */
};

static int make_catalog(const struct making *m, size_t i, struct gzip *gzip, struct error *err)
{
	struct partition *p = m->draft->partitions[i];
	struct artifact *a = &m->rev->catalogs[i].artifact;

	if (catalog_layer(p->catalog, gzip, &a->layer, err) != 0 ||
		finish_catalog(a, m->rev->version, err) != 0)
		return error_wrap(err, "%s", p->repository);
	p->digest = a->digest;
	p->layer_size = a->layer.len;
	return 0;
}

static void run_catalog(size_t i, size_t thread, void *arg)
{
	struct making *m = arg;

	if (make_catalog(m, i, &m->draft->gzips->at[thread], &m->errors[i]) == 0)
		m->errors[i] = (struct error)ERROR_INIT;
}

static int make_catalogs(
	struct revision *rev, const struct revision_draft *draft, struct error *err)
{
	AUTO_FREE struct error *errors = calloc(draft->n_partitions + 1, sizeof(*errors));
	struct making m = {rev, draft, errors};

	if (errors == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < draft->n_partitions; i++)
		add_catalog(rev, draft->partitions[i]->repository);
	parallel_each(draft->n_partitions, run_catalog, &m);
	for (size_t i = 0; i < draft->n_partitions; i++) {
		if (errors[i].code != ERROR_NONE) {
			*err = errors[i];
			return -1;
		}
	}
	return state_replace(
		&rev->state, draft->state, draft->partitions, draft->n_partitions, NULL, err);
}

/* What is left of the layout before, without any resource from now on. */
static int make_leftovers(
	struct revision *rev, const struct revision_draft *draft, struct error *err)
{
	CLEANUP(catalog_unrefp) struct catalog *empty = NULL;

	if (catalog_new(&empty, err) != 0)
		return -1;
	for (size_t i = 0; i < draft->leftovers->n; i++) {
		char repository[CATALOG_REPOSITORY_SIZE];
		struct artifact *a;

		layout_repository(
			&draft->repartition.other, &draft->leftovers->list[i], repository);
		a = add_catalog(rev, repository);
		if (catalog_layer(empty, &draft->gzips->at[0], &a->layer, err) != 0 ||
			finish_catalog(a, rev->version, err) != 0)
			return error_wrap(err, "%s", repository);
	}
	return 0;
}

/* The root changes when catalogs are added to it, which happens seldom. */
static bool changes_root(const struct revision *rev, const struct revision_draft *draft)
{
	return state_layout(rev->state)->kind == LAYOUT_SPLIT &&
	       (draft->with_root ||
		       state_n_partitions(rev->state) != state_n_partitions(draft->state));
}

static int render_root(struct buf *ret, const struct revision *rev,
	const struct revision_draft *draft, struct error *err)
{
	size_t n = state_n_partitions(rev->state), n_leftovers = rev->leftovers.n;
	AUTO_FREE struct place *places = calloc(n + 1, sizeof(*places));
	AUTO_FREE char(*repositories)[CATALOG_REPOSITORY_SIZE] =
		calloc(n_leftovers + 1, sizeof(*repositories));
	AUTO_FREE const char **leftovers = calloc(n_leftovers + 1, sizeof(*leftovers));
	struct root_catalogs catalogs = {
		.layout = state_layout(rev->state),
		.n = n,
		.places = places,
		.n_leftovers = n_leftovers,
		.leftovers = leftovers,
		.holds_prune = rev->repartition.step != RECORD_SETTLED,
		.lacks = draft->lacks,
	};

	if (places == NULL || repositories == NULL || leftovers == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++)
		places[i] = state_partition(rev->state, i)->place;
	for (size_t i = 0; i < n_leftovers; i++) {
		layout_repository(
			&rev->repartition.other, &rev->leftovers.list[i], repositories[i]);
		leftovers[i] = repositories[i];
	}
	return root_layer(draft->root, &catalogs, &draft->gzips->at[0], ret, err);
}

static int make_root(struct revision *rev, const struct revision_draft *draft, struct error *err)
{
	struct artifact *a = add_catalog(rev, CATALOG_REPOSITORY);
	struct state *with_root;

	if (render_root(&a->layer, rev, draft, err) != 0 ||
		finish_catalog(a, rev->version, err) != 0)
		return error_wrap(err, CATALOG_REPOSITORY);
	if (state_replace(&with_root, rev->state, NULL, 0, &a->digest, err) != 0)
		return -1;
	state_unref(rev->state);
	rev->state = with_root;
	return 0;
}

/* What all changes have in common. */
static void set_common_author(struct record *r)
{
	const struct author *first = r->changes[0].author;

	r->who = first->who;
	r->from = first->from;
	r->why = first->why;
	for (size_t i = 1; i < r->n_changes; i++) {
		const struct author *a = r->changes[i].author;

		if (!cstr_same(a->who, r->who))
			r->who = (char *)RECORD_SEVERAL;
		if (!cstr_same(a->from, r->from))
			r->from = NULL;
		if (!cstr_same(a->why, r->why))
			r->why = NULL;
	}
}

/* All borrowed. */
static void set_author(struct record *r, const struct revision_draft *draft)
{
	const struct author *a = draft->author;

	if (r->n_changes > 0) {
		set_common_author(r);
		return;
	}
	r->who = a == NULL ? (char *)AUTHOR_SERVER : a->who;
	r->from = a == NULL ? NULL : a->from;
	r->why = a == NULL || a->why == NULL ? (char *)draft->why : a->why;
}

static int make_record(struct revision *rev, const struct revision_draft *draft, struct error *err)
{
	AUTO_FREE struct record_catalog *catalogs = calloc(rev->n_catalogs + 1, sizeof(*catalogs));
	struct record record = {
		.version = rev->version,
		.has_parent = draft->parent != NULL,
		.layout = *state_layout(rev->state),
		.root = rev->root,
		.repartition = rev->repartition,
		.frozen = rev->frozen,
		.key = rev->key,
		.keyed = rev->keyed,
		.n_keyed_before = draft->n_keyed_before,
		.keyed_before = (struct record_keyed_commit *)draft->keyed_before,
		.ancestry = rev->ancestry,
		.n_changes = draft->n_changes,
		.changes = (struct record_change *)draft->changes,
		.n_catalogs = rev->n_catalogs,
		.catalogs = catalogs,
	};
	struct artifact *a = &rev->record;

	if (catalogs == NULL)
		return error_no_memory(err);
	set_author(&record, draft);
	if (draft->parent != NULL)
		record.parent = *draft->parent;
	for (size_t i = 0; i < rev->n_catalogs; i++) {
		snprintf(catalogs[i].repository, sizeof(catalogs[i].repository), "%s",
			rev->catalogs[i].repository);
		catalogs[i].digest = rev->catalogs[i].artifact.digest;
	}
	if (state_digest(&record.state, rev->state, err) != 0)
		return -1;
	record_write(&record, &a->layer);
	if (buf_check(&a->layer, err) != 0)
		return -1;
	a->layer_digest = digest_of(buf_slice(&a->layer));
	record_manifest(&a->layer_digest, a->layer.len, rev->version, &a->manifest);
	if (buf_check(&a->manifest, err) != 0)
		return -1;
	a->digest = digest_of(buf_slice(&a->manifest));
	return 0;
}

static int make_all(struct revision *rev, const struct revision_draft *draft, struct error *err)
{
	size_t n_leftovers = draft->leftovers == NULL ? 0 : draft->leftovers->n;
	uint64_t began;

	if (draft->version > LIMIT_VERSION)
		return error_set(err, ERROR_UNAVAILABLE,
			"the next version would be past the year 9999: set the clock right, or "
			"take away the tag with such a version");
	rev->version = draft->version;
	rev->root = *draft->root;
	rev->repartition = draft->repartition;
	rev->signing = draft->signing;
	rev->frozen = record_freeze_copy(&draft->frozen);
	rev->key = draft->key;
	rev->keyed = draft->keyed;
	rev->ancestry = draft->ancestry;
	rev->catalogs = calloc(draft->n_partitions + n_leftovers + 1, sizeof(rev->catalogs[0]));
	if (rev->catalogs == NULL)
		return error_no_memory(err);
	if (n_leftovers > 0 && state_layout(draft->state)->kind == LAYOUT_SPLIT &&
		places_copy(&rev->leftovers, draft->leftovers, err) != 0)
		return -1;
	began = clock_monotonic_us();
	if (make_catalogs(rev, draft, err) != 0)
		return -1;
	if (draft->empties_leftovers && make_leftovers(rev, draft, err) != 0)
		return -1;
	metric_lap(&publish_metric_catalog_build, METRIC_NO_LABELS, began);
	if (changes_root(rev, draft) && make_root(rev, draft, err) != 0)
		return -1;
	return make_record(rev, draft, err);
}

int revision_make(struct revision *ret, const struct revision_draft *draft, struct error *err)
{
	struct revision rev = {
		.record = {.layer = BUF_INIT(LIMIT_RECORD), .manifest = BUF_INIT(LIMIT_MANIFEST)},
	};

	if (make_all(&rev, draft, err) != 0) {
		revision_done(&rev);
		return -1;
	}
	*ret = rev;
	return 0;
}

/* ---- pushes ---- */

static int add_signature(struct revision *rev, const char *repository,
	const struct artifact *artifact, struct error *err)
{
	return signatures_add(
		&rev->signatures, repository, &artifact->digest, artifact->manifest.len, err);
}

static int sign(struct revision *rev, struct error *err)
{
	if (rev->signing == NULL || rev->signing->key == NULL)
		return 0;
	for (size_t i = 0; i < rev->n_catalogs; i++)
		if (add_signature(
			    rev, rev->catalogs[i].repository, &rev->catalogs[i].artifact, err) != 0)
			return -1;
	if (add_signature(rev, RECORD_REPOSITORY, &rev->record, err) != 0)
		return -1;
	return signatures_make(&rev->signatures, rev->signing, err);
}

/* What a used tag refuses is to be left without a signature, which would be nobody's: so where that
 * may be, and where waiting costs nothing, the signatures come after what they sign. */
static int push_signed(const struct revision *rev, struct registry *registry, struct push *pushes,
	size_t n, struct error *err)
{
	size_t n_signatures = signatures_pushes(&rev->signatures, pushes + n);

	if (!registry->atomic && !rev->version_is_behind) {
		registry_push(registry, pushes, n + n_signatures);
		return push_failure(pushes, n + n_signatures, err);
	}
	registry_push(registry, pushes, n);
	if (push_failure(pushes, n, err) != 0)
		return -1;
	registry_push(registry, pushes + n, n_signatures);
	return push_failure(pushes + n, n_signatures, err);
}

int revision_push(struct revision *rev, struct registry *registry, struct error *err)
{
	size_t n = rev->n_catalogs + 1;
	AUTO_FREE struct push *pushes = NULL;
	AUTO_FREE struct artifact_push *borrowed = calloc(n, sizeof(*borrowed));
	char tag[RECORD_TAG_SIZE];

	if (sign(rev, err) != 0)
		return -1;
	pushes = calloc(n + SIGNATURES_PUSHES * rev->signatures.n, sizeof(*pushes));
	if (pushes == NULL || borrowed == NULL)
		return error_no_memory(err);
	record_tag(rev->version, tag);
	for (size_t i = 0; i < rev->n_catalogs; i++)
		pushes[i] = artifact_push(&borrowed[i], &rev->catalogs[i].artifact,
			CATALOG_MEDIA_CONFIG, rev->catalogs[i].repository, tag,
			rev->version_is_behind);
	pushes[n - 1] = artifact_push(&borrowed[n - 1], &rev->record, RECORD_ARTIFACT_TYPE,
		RECORD_REPOSITORY, tag, rev->version_is_behind);
	for (size_t i = 0; i < n; i++)
		pushes[i].moves_latest = registry->atomic;
	return push_signed(rev, registry, pushes, n, err);
}

int revision_point(struct revision *rev, struct registry *registry, struct error *err)
{
	struct push push = artifact_push_latest(&rev->record, RECORD_REPOSITORY);

	registry_push(registry, &push, 1);
	return push_failure(&push, 1, err);
}

struct push revision_catalog_latest(const struct revision *rev, size_t i)
{
	return artifact_push_latest(&rev->catalogs[i].artifact, rev->catalogs[i].repository);
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
