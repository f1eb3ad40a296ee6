/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/original.h"

#include "base/clock.h"
#include "intent/document.h"
#include "publish/head.h"
#include "publish/remains.h"

#include <stdio.h>

struct original {
	struct registry *registry;
	const struct original_options *options;
	struct remains remains; /* for its list of repositories, and the highest tag */
	struct original_result result;
	size_t n_objects;
	struct adopt_object *objects; /* as many as repositories; each owns its intent */
	size_t n_gone;
	struct adopt_gone *gone; /* likewise */
};

static void original_done(struct original *o)
{
	for (size_t i = 0; i < o->n_objects; i++)
		intent_unref(o->objects[i].intent);
	free(o->objects);
	free(o->gone);
	remains_done(&o->remains);
}

static void tell(
	struct original *o, enum original_fate fate, const char *repository, const char *why)
{
	const struct original_options *options = o->options;

	o->result.counts[fate]++;
	if (options->tell != NULL)
		options->tell(
			fate, repository + strlen(RESOURCE_REPOSITORY_PREFIX), why, options->arg);
}

/* ---- one artifact ---- */

/* A repository on its way. */
struct arrival {
	const char *repository;
	bool has_latest;
	uint64_t newest; /* of its versions; 0: none */
	char reference[RESOURCE_TAG_SIZE];
	struct remains *remains;
};

static int note_tag(struct slice tag, void *arg, struct error *err)
{
	struct arrival *a = arg;
	uint64_t version;

	if (slice_eq(tag, SLICE("latest")))
		a->has_latest = true;
	if (resource_tag_parse(tag, &version) && version > a->newest)
		a->newest = version;
	return remains_note_version(tag, a->remains, err);
}

/* The original moved latest after it pushed the version: where that failed at the first one there
 * is only the version. False: nothing was ever finished. */
static bool choose_reference(struct arrival *a)
{
	if (a->has_latest)
		snprintf(a->reference, sizeof(a->reference), "latest");
	else if (a->newest != 0)
		resource_tag(a->newest, a->reference);
	return a->has_latest || a->newest != 0;
}

static bool is_tombstone(struct slice layer)
{
	return slice_starts(layer, SLICE("# deleted: "));
}

static bool is_skipped(const struct original *o, const char *repository)
{
	const char *own = repository + strlen(RESOURCE_REPOSITORY_PREFIX);

	for (const char *const *s = o->options->skip; s != NULL && *s != NULL; s++)
		if (strcmp(*s, own) == 0)
			return true;
	return false;
}

static int keep_intent(struct intent *intent, const struct document_place *place UNUSED, void *arg,
	struct error *err UNUSED)
{
	struct intent **ret = arg;

	intent_unref(*ret);
	*ret = intent_ref(intent);
	return 0;
}

/* What Kubernetes takes, under the name that its repository has. */
static int read_intent(
	struct intent **ret, const char *repository, struct slice layer, struct error *err)
{
	const struct document_options options = {.format = DOCUMENT_YAML, .max = 1};
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];

	if (!resource_repository_parse(slice_of(repository), namespace, name))
		return error_set(err, ERROR_INVALID,
			"names are 1 to %d lower-case letters, digits and dashes, with a letter or "
			"digit at both ends",
			LIMIT_NAME);
	if (document_read(layer, &options, keep_intent, &intent, err) != 0)
		return -1;
	if (intent == NULL || strcmp(intent->namespace, namespace) != 0 ||
		strcmp(intent->name, name) != 0)
		return error_set(err, ERROR_INVALID,
			"its YAML is not of the resource that its repository is named for");
	*ret = TAKE_PTR(intent);
	return 0;
}

/* A name that is none of ours was never to be in a catalog. */
static void bury(struct original *o, const char *repository)
{
	struct adopt_gone *gone = &o->gone[o->n_gone];

	o->n_gone += resource_repository_parse(slice_of(repository), gone->namespace, gone->name);
}

static int take_arrival(
	struct original *o, const struct arrival *a, const struct pull *pull, struct error *err)
{
	struct slice layer = buf_slice(&pull->layer);
	struct error why = ERROR_INIT;
	struct intent *intent = NULL;

	if (pull->err.code != ERROR_NONE) {
		*err = pull->err;
		return error_wrap(err, "%s:%s", a->repository, a->reference);
	}
	if (is_tombstone(layer)) {
		bury(o, a->repository);
		tell(o, ORIGINAL_DELETED, a->repository, NULL);
	} else if (read_intent(&intent, a->repository, layer, &why) == 0) {
		o->objects[o->n_objects++].intent = intent;
		tell(o, ORIGINAL_TAKEN, a->repository, NULL);
	} else if (why.code == ERROR_NO_MEMORY) {
		*err = why;
		return -1;
	} else {
		tell(o, ORIGINAL_REFUSED, a->repository, why.text);
	}
	return 0;
}

/* ---- all of them ---- */

/* Of these repositories the pulls that are to be made; their arrivals are in the same places. */
static int choose_pulls(struct original *o, char *const *repositories, size_t n,
	struct arrival *arrivals, struct pull *pulls, size_t *ret_n, struct error *err)
{
	*ret_n = 0;
	for (size_t i = 0; i < n; i++) {
		struct arrival *a = &arrivals[*ret_n];

		*a = (struct arrival){.repository = repositories[i], .remains = &o->remains};
		if (registry_tags(o->registry, a->repository, NULL, note_tag, a, err) != 0)
			return error_wrap(err, "%s", a->repository);
		if (!choose_reference(a))
			continue;
		if (is_skipped(o, a->repository)) {
			tell(o, ORIGINAL_SKIPPED, a->repository, NULL);
			continue;
		}
		pulls[(*ret_n)++] = (struct pull){
			.repository = a->repository,
			.reference = a->reference,
			.manifest = BUF_INIT(LIMIT_MANIFEST),
			.layer = BUF_INIT(LIMIT_INTENT_YAML),
		};
	}
	return 0;
}

static int read_some(struct original *o, char *const *repositories, size_t n, struct error *err)
{
	AUTO_FREE struct arrival *arrivals = calloc(n, sizeof(*arrivals));
	AUTO_FREE struct pull *pulls = calloc(n, sizeof(*pulls));
	size_t n_pulls;
	int rc = 0;

	if (arrivals == NULL || pulls == NULL)
		return error_no_memory(err);
	if (choose_pulls(o, repositories, n, arrivals, pulls, &n_pulls, err) != 0)
		return -1;
	registry_pull(o->registry, pulls, n_pulls);
	for (size_t i = 0; i < n_pulls; i++) {
		if (rc == 0)
			rc = take_arrival(o, &arrivals[i], &pulls[i], err);
		buf_done(&pulls[i].manifest);
		buf_done(&pulls[i].layer);
	}
	return rc;
}

static int check_no_record(struct registry *registry, struct error *err)
{
	CLEANUP(record_done) struct record record = {0};
	struct digest digest;

	if (head_read_record(&record, &digest, registry, err) == 0)
		return error_set(err, ERROR_CONFLICT,
			"the registry has the commit record c%llu, so it is not the original's any "
			"more: start the server on it, or run gsq fsck",
			(unsigned long long)record.version);
	return err->code == ERROR_NOT_FOUND ? 0 : -1;
}

static int read_all(struct original *o, struct error *err)
{
	const struct names *names = &o->remains.resources;
	size_t n;

	if (check_no_record(o->registry, err) != 0 ||
		remains_list(&o->remains, o->registry, err) != 0)
		return -1;
	if (names->n == 0)
		return error_set(err, ERROR_NOT_FOUND,
			"the registry has no repository below " RESOURCE_REPOSITORY_PREFIX
			": is it the one that the original wrote to?");
	o->objects = calloc(names->n, sizeof(*o->objects));
	o->gone = calloc(names->n, sizeof(*o->gone));
	if (o->objects == NULL || o->gone == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < names->n; i += n) {
		n = names->n - i < LIMIT_PULLS ? names->n - i : LIMIT_PULLS;
		if (read_some(o, names->list + i, n, err) != 0)
			return -1;
	}
	return 0;
}

static int check_refused(const struct original *o, struct error *err)
{
	size_t n = o->result.counts[ORIGINAL_REFUSED];

	if (n == 0)
		return 0;
	return error_set(err, ERROR_UNPROCESSABLE,
		"%zu of the resources cannot be taken over as they are, and nothing was written: "
		"change them in the original, or leave them out with --skip NAMESPACE/NAME",
		n);
}

/* Above every number that was ever used. */
static void issue_versions(struct original *o)
{
	uint64_t now = clock_realtime_us();
	uint64_t next = now > o->remains.highest ? now : o->remains.highest + 1;

	for (size_t i = 0; i < o->n_objects; i++)
		o->objects[i].version = next++;
}

int original_import(struct registry *registry, const struct original_options *options,
	struct original_result *ret, struct error *err)
{
	CLEANUP(original_done)
	struct original o = {.registry = registry, .options = options};
	struct adopt_options adopt = options->adopt;
	struct adopt_result adopted;

	if (read_all(&o, err) != 0 || check_refused(&o, err) != 0)
		return -1;
	issue_versions(&o);
	adopt.source = ADOPT_ORIGINAL;
	adopt.n_gone = o.n_gone;
	adopt.gone = o.gone;
	if (adopt_run(registry, &adopt, o.objects, o.n_objects, &adopted, err) != 0)
		return -1;
	o.result.version = adopt.dry_run ? 0 : adopted.version;
	*ret = o.result;
	return 0;
}
