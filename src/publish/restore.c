/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/restore.h"

#include "base/parallel.h"
#include "publish/artifact_push.h"
#include "publish/revision.h"

#include <stdio.h>

/* ---- pulling ---- */

/* A catalog on its way from the registry. */
struct arrival {
	struct place place; /* not the root's */
	char repository[CATALOG_REPOSITORY_SIZE];
	char reference[DIGEST_TEXT_SIZE];
	struct pull pull;
	struct partition *partition; /* what it is read into */
};

/* The record's digest where it changed the catalog, the tag latest otherwise. */
static void catalog_reference(
	const struct record *record, const char *repository, char ret[DIGEST_TEXT_SIZE])
{
	snprintf(ret, DIGEST_TEXT_SIZE, "latest");
	for (size_t i = 0; i < record->n_catalogs; i++)
		if (strcmp(record->catalogs[i].repository, repository) == 0)
			digest_format(&record->catalogs[i].digest, ret);
}

static void arrival_init(struct arrival *a, const char *repository, const struct record *record)
{
	*a = (struct arrival){.partition = NULL};
	snprintf(a->repository, sizeof(a->repository), "%s", repository);
	catalog_reference(record, repository, a->reference);
	a->pull = (struct pull){
		.repository = a->repository,
		.reference = a->reference,
		.manifest = BUF_INIT(LIMIT_MANIFEST),
		.layer = BUF_INIT(LIMIT_CATALOG_LAYER),
	};
}

static void arrival_done(struct arrival *a)
{
	buf_done(&a->pull.manifest);
	buf_done(&a->pull.layer);
	partition_unref(a->partition);
}

/* Its own error, with its name; what the record or the root names must be there. */
static int arrival_failed(const struct arrival *a, struct error *err)
{
	*err = a->pull.err;
	if (err->code == ERROR_NOT_FOUND)
		err->code = ERROR_INTERNAL;
	return error_wrap(err, "%s%s%s", a->repository,
		strchr(a->reference, ':') != NULL ? "@" : ":", a->reference);
}

/* ---- reading: many at once, each by itself ---- */

struct reading {
	const struct record *record;
	struct arrival *arrivals;
};

static int check_resource(const struct record *record, const struct place *place,
	const struct resource *r, struct error *err)
{
	const struct intent *intent = r->intent;
	struct place own = layout_place(&record->layout, intent->namespace, intent->name);

	if (place_cmp(&own, place) != 0)
		error_set(err, ERROR_INTERNAL, "it holds %s/%s, which belongs elsewhere",
			intent->namespace, intent->name);
	else if (r->version > record->version)
		error_set(err, ERROR_INTERNAL,
			"%s/%s has version v%llu, above the record's highest", intent->namespace,
			intent->name, (unsigned long long)r->version);
	else
		return 0;
	return error_for_operators(err);
}

static int read_arrival(struct arrival *a, const struct record *record, struct error *err)
{
	CLEANUP(catalog_unrefp) struct catalog *catalog = NULL;

	if (catalog_read(&catalog, buf_slice(&a->pull.layer), err) != 0)
		return error_for_operators(err);
	for (size_t i = 0; i < catalog_count(catalog); i++)
		if (check_resource(record, &a->place, catalog_at(catalog, i), err) != 0)
			return -1;
	if (partition_new(&a->partition, &record->layout, &a->place, TAKE_PTR(catalog), err) != 0)
		return -1;
	a->partition->digest = a->pull.digest;
	a->partition->layer_size = a->pull.layer.len;
	return 0;
}

static void read_one(size_t i, size_t thread UNUSED, void *arg)
{
	struct reading *reading = arg;
	struct arrival *a = &reading->arrivals[i];
	struct error err = ERROR_INIT;

	if (a->pull.err.code == ERROR_NONE && read_arrival(a, reading->record, &err) != 0)
		a->pull.err = err;
	buf_done(&a->pull.layer);
}

/* Pulls and reads them; the first that failed is the error. */
static int read_arrivals(struct arrival *arrivals, size_t n, const struct record *record,
	struct registry *registry, struct error *err)
{
	struct reading reading = {record, arrivals};
	AUTO_FREE struct pull *pulls = calloc(n, sizeof(*pulls));

	if (pulls == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++)
		pulls[i] = arrivals[i].pull;
	registry_pull(registry, pulls, n);
	for (size_t i = 0; i < n; i++)
		arrivals[i].pull = pulls[i];
	parallel_each(n, read_one, &reading);
	for (size_t i = 0; i < n; i++)
		if (arrivals[i].pull.err.code != ERROR_NONE)
			return arrival_failed(&arrivals[i], err);
	return 0;
}

/* Some of the places, one after the other in "partitions". */
static int read_partitions(struct partition **partitions, const struct place *places, size_t n,
	const struct record *record, struct registry *registry, struct error *err)
{
	AUTO_FREE struct arrival *arrivals = calloc(n, sizeof(*arrivals));
	int rc;

	if (arrivals == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		char repository[CATALOG_REPOSITORY_SIZE];

		layout_repository(&record->layout, &places[i], repository);
		arrival_init(&arrivals[i], repository, record);
		arrivals[i].place = places[i];
	}
	rc = read_arrivals(arrivals, n, record, registry, err);
	for (size_t i = 0; i < n; i++) {
		if (rc == 0)
			partitions[i] = TAKE_PTR(arrivals[i].partition);
		arrival_done(&arrivals[i]);
	}
	return rc;
}

/* ---- the root, which says what catalogs there are ---- */

/* What the root says. */
struct found {
	struct places places;
	struct places leftovers; /* of the layout before */
	struct digest root;      /* DIGEST_NONE: there is none */
};

static void found_done(struct found *f)
{
	places_done(&f->places);
	places_done(&f->leftovers);
}

/* The layout before, of which something may be left in the root; or NULL. */
static const struct layout *layout_before(const struct record *record)
{
	const struct record_repartition *r = &record->repartition;

	return record->layout.kind == LAYOUT_SPLIT && r->step == RECORD_SWITCH &&
			       r->other.kind == LAYOUT_SPLIT
		       ? &r->other
		       : NULL;
}

/* A place of the layout before whose repository is one of the layout's is none of these. */
static void drop_current(
	struct places *places, const struct layout *before, const struct layout *layout)
{
	size_t n = places->n;

	places->n = 0;
	for (size_t i = 0; i < n; i++) {
		char repository[CATALOG_REPOSITORY_SIZE];
		struct place ignored;

		layout_repository(before, &places->list[i], repository);
		if (!layout_repository_parse(layout, slice_of(repository), &ignored))
			places->list[places->n++] = places->list[i];
	}
}

int restore_root(struct places *ret, struct places *ret_leftovers, const struct record *record,
	struct slice layer, struct error *err)
{
	const struct layout *layout = &record->layout, *before = layout_before(record);
	struct places places = {0}, leftovers = {0};

	if (root_read(&places.list, &places.n, layout, before, layer, err) != 0)
		return -1;
	if (before != NULL &&
		root_read(&leftovers.list, &leftovers.n, before, layout, layer, err) != 0) {
		places_done(&places);
		return -1;
	}
	if (before != NULL)
		drop_current(&leftovers, before, layout);
	*ret = places;
	*ret_leftovers = leftovers;
	return 0;
}

static int read_root(struct found *ret, const struct record *record, struct registry *registry,
	struct error *err)
{
	struct arrival root;
	int rc = 0;

	arrival_init(&root, CATALOG_REPOSITORY, record);
	registry_pull(registry, &root.pull, 1);
	if (root.pull.err.code == ERROR_NONE)
		rc = restore_root(&ret->places, &ret->leftovers, record,
			buf_slice(&root.pull.layer), &root.pull.err);
	ret->root = root.pull.digest;
	if (rc != 0 || root.pull.err.code != ERROR_NONE)
		rc = arrival_failed(&root, err);
	arrival_done(&root);
	return rc;
}

static int find_places(struct found *ret, const struct record *record, struct registry *registry,
	struct error *err)
{
	if (record->layout.kind == LAYOUT_SPLIT)
		return read_root(ret, record, registry, err);
	ret->places.list = calloc(1, sizeof(ret->places.list[0]));
	ret->places.n = 1;
	return ret->places.list == NULL ? error_no_memory(err) : 0;
}

/* ---- all of it ---- */

static int check_digest(const struct state *state, const struct record *record, struct error *err)
{
	struct digest digest;

	if (state_digest(&digest, state, err) != 0)
		return -1;
	if (digest_eq(&digest, &record->state))
		return 0;
	return error_set(err, ERROR_INTERNAL,
		"the catalogs below %s are not those that the last commit record c%llu names",
		CATALOG_REPOSITORY, (unsigned long long)record->version);
}

static int read_places(struct state **ret, const struct found *found, const struct record *record,
	struct registry *registry, struct error *err)
{
	const struct place *places = found->places.list;
	size_t n = found->places.n;
	struct partition **partitions = calloc(n + 1, sizeof(*partitions));
	CLEANUP(state_unrefp) struct state *empty = NULL;
	int rc =
		partitions == NULL ? error_no_memory(err) : state_new(&empty, &record->layout, err);

	for (size_t i = 0; rc == 0 && i < n; i += LIMIT_PULLS)
		rc = read_partitions(partitions + i, places + i,
			n - i < LIMIT_PULLS ? n - i : LIMIT_PULLS, record, registry, err);
	if (rc == 0)
		rc = state_replace(ret, empty, partitions, n, &found->root, err);
	if (partitions != NULL)
		partitions_free(partitions, n);
	return rc;
}

int restore_state(struct state **ret, struct places *ret_leftovers, const struct record *record,
	struct registry *registry, struct error *err)
{
	CLEANUP(state_unrefp) struct state *state = NULL;
	CLEANUP(found_done) struct found found = {.root = {.algorithm = DIGEST_NONE}};

	if (find_places(&found, record, registry, err) != 0 ||
		read_places(&state, &found, record, registry, err) != 0 ||
		check_digest(state, record, err) != 0)
		return -1;
	*ret = TAKE_PTR(state);
	if (ret_leftovers != NULL) {
		*ret_leftovers = found.leftovers;
		found.leftovers = (struct places){0};
	}
	return 0;
}

/* ---- derived tags ---- */

/* A repository whose latest must name a manifest of this digest. */
struct derived {
	char repository[CATALOG_REPOSITORY_SIZE > RESOURCE_REPOSITORY_SIZE
				? CATALOG_REPOSITORY_SIZE
				: RESOURCE_REPOSITORY_SIZE];
	struct digest digest;
	struct buf manifest; /* empty: it is yet to be read */
};

struct derived_list {
	size_t n;
	struct derived *list;
};

static void derived_list_done(struct derived_list *d)
{
	for (size_t i = 0; i < d->n; i++)
		buf_done(&d->list[i].manifest);
	free(d->list);
}

bool restore_agrees(const struct record_change *change, const struct resource *r)
{
	if (change->op == RECORD_DELETE || r == NULL)
		return change->op == RECORD_DELETE && r == NULL;
	if (r->version != change->version || !digest_eq(&r->digest, &change->digest))
		return false;
	return (change->op != RECORD_HOLD || r->hold != NULL) &&
	       (change->op != RECORD_RELEASE || r->hold == NULL);
}

/* The artifact that a change of the record stored, or that it is about, made again: it is a pure
 * function. */
static int artifact_of_change(struct artifact *ret, const struct record_change *change,
	const struct state *state, struct error *err)
{
	struct resource *r = state_find(state, change->namespace, change->name);
	struct artifact a;
	int rc;

	if (!restore_agrees(change, r)) {
		error_set(err, ERROR_INTERNAL,
			"the catalog does not hold %s/%s as the last commit record says",
			change->namespace, change->name);
		return error_for_operators(err);
	}
	if (r == NULL)
		rc = artifact_of_tombstone(
			&a, change->namespace, change->name, change->version, err);
	else
		rc = artifact_of_resource(&a, r->intent, r->version, err);
	if (rc != 0)
		return -1;
	if (!digest_eq(&a.digest, &change->digest)) {
		artifact_done(&a);
		error_set(err, ERROR_INTERNAL,
			"the last commit record names another artifact for %s/%s than belongs "
			"there",
			change->namespace, change->name);
		return error_for_operators(err);
	}
	*ret = a;
	return 0;
}

static int list_derived(struct derived_list *ret, const struct state *state,
	const struct record *record, struct error *err)
{
	ret->list = calloc(record->n_catalogs + record->n_changes + 1, sizeof(ret->list[0]));
	if (ret->list == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < record->n_catalogs; i++) {
		struct derived *d = &ret->list[ret->n++];

		snprintf(d->repository, sizeof(d->repository), "%.*s",
			(int)sizeof(d->repository) - 1, record->catalogs[i].repository);
		d->digest = record->catalogs[i].digest;
		d->manifest = (struct buf)BUF_INIT(LIMIT_MANIFEST);
	}
	for (size_t i = 0; i < record->n_changes; i++) {
		const struct record_change *change = &record->changes[i];
		struct derived *d = &ret->list[ret->n];
		struct artifact artifact;

		if (artifact_of_change(&artifact, change, state, err) != 0)
			return -1;
		resource_repository(change->namespace, change->name, d->repository);
		d->digest = artifact.digest;
		d->manifest = artifact.manifest;
		buf_done(&artifact.layer);
		ret->n++;
	}
	return 0;
}

/* The manifest of a catalog was read before, and dropped. */
static int read_manifest(struct derived *d, struct registry *registry, struct error *err)
{
	char reference[DIGEST_TEXT_SIZE];
	struct digest same;

	if (d->manifest.len > 0)
		return 0;
	if (registry_manifest(registry, d->repository, digest_format(&d->digest, reference),
		    &d->manifest, &same, err) != 0)
		return error_wrap(err, "%s@%s", d->repository, reference);
	return 0;
}

/* Makes pushes of those whose tag is not where it belongs. */
static int find_stale(struct push *pushes, size_t *n_pushes, const struct derived_list *derived,
	const struct look *looks, struct registry *registry, struct error *err)
{
	for (size_t i = 0; i < derived->n; i++) {
		struct derived *d = &derived->list[i];

		if (looks[i].err.code == ERROR_NONE && digest_eq(&looks[i].digest, &d->digest))
			continue;
		if (looks[i].err.code != ERROR_NONE && looks[i].err.code != ERROR_NOT_FOUND) {
			*err = looks[i].err;
			return artifact_failure(err, d->repository, "latest");
		}
		if (read_manifest(d, registry, err) != 0)
			return -1;
		pushes[(*n_pushes)++] = (struct push){
			.repository = d->repository,
			.tag = "latest",
			.media_type = OCI_MEDIA_MANIFEST,
			.manifest = buf_slice(&d->manifest),
			.digest = d->digest,
		};
	}
	return 0;
}

static int push_stale(struct push *pushes, size_t n, struct registry *registry, struct error *err)
{
	if (n == 0)
		return 0;
	if (registry_begin(registry, err) != 0)
		return -1;
	registry_push(registry, pushes, n);
	if (push_failure(pushes, n, err) == 0)
		return registry_commit(registry, err);
	registry_rollback(registry);
	return -1;
}

int restore_latest(const struct state *state, const struct record *record,
	struct registry *registry, struct error *err)
{
	CLEANUP(derived_list_done) struct derived_list derived = {0};
	AUTO_FREE struct look *looks = NULL;
	AUTO_FREE struct push *pushes = NULL;
	size_t n_pushes = 0;

	if (list_derived(&derived, state, record, err) != 0)
		return -1;
	looks = calloc(derived.n + 1, sizeof(*looks));
	pushes = calloc(derived.n + 1, sizeof(*pushes));
	if (looks == NULL || pushes == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < derived.n; i++)
		looks[i] = (struct look){.repository = derived.list[i].repository, .tag = "latest"};
	registry_look(registry, looks, derived.n);
	if (find_stale(pushes, &n_pushes, &derived, looks, registry, err) != 0)
		return -1;
	return push_stale(pushes, n_pushes, registry, err);
}
