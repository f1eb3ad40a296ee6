/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/flux.h"

#include "cluster/kube.h"
#include "intent/intent.h"

#include <stdio.h>

/* ---- names ---- */

#define NAME_PREFIX "gitops-squared-"

/* Of the OCIRepository; the root's has a name of its own. */
static void object_name(const char *repository, char ret[ROOT_OBJECT_SIZE])
{
	if (strcmp(repository, CATALOG_REPOSITORY) == 0)
		snprintf(ret, ROOT_OBJECT_SIZE, ROOT_SOURCE);
	else
		root_object_name(repository, ret);
}

static void object_path(const char *collection, const char *name, char ret[256])
{
	snprintf(ret, 256, "%s/%s", collection, name);
}

void flux_source_path(const char *repository, char ret[256])
{
	char name[ROOT_OBJECT_SIZE];

	object_name(repository, name);
	object_path(FLUX_SOURCES, name, ret);
}

void flux_kustomization_path(const char *repository, char ret[256])
{
	char name[ROOT_OBJECT_SIZE];

	object_name(repository, name);
	object_path(FLUX_KUSTOMIZATIONS, strcmp(name, ROOT_SOURCE) == 0 ? ROOT_KUSTOMIZATION : name,
		ret);
}

/* ---- the table ---- */

void flux_done(struct flux *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->catalogs[i]);
	free(f->catalogs);
}

/* Index of the first that is not before it. */
static size_t lower_bound(const struct flux *f, const char *object)
{
	size_t low = 0, high = f->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(f->catalogs[mid]->object, object) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool grow(struct flux *f)
{
	size_t cap = f->cap == 0 ? 16 : 2 * f->cap;
	struct flux_catalog **grown;

	if (f->n < f->cap)
		return true;
	grown = realloc(f->catalogs, cap * sizeof(struct flux_catalog *));
	if (grown == NULL)
		return false;
	f->catalogs = grown;
	f->cap = cap;
	return true;
}

static struct flux_catalog *find_or_add(struct flux *f, const char *object)
{
	size_t i = lower_bound(f, object);
	struct flux_catalog *c;

	if (i < f->n && strcmp(f->catalogs[i]->object, object) == 0)
		return f->catalogs[i];
	c = calloc(1, sizeof(*c));
	if (c == NULL || !grow(f)) {
		free(c);
		return NULL;
	}
	snprintf(c->object, sizeof(c->object), "%s", object);
	memmove(&f->catalogs[i + 1], &f->catalogs[i], (f->n - i) * sizeof(struct flux_catalog *));
	f->catalogs[i] = c;
	f->n++;
	return c;
}

struct flux_catalog *flux_catalog(struct flux *f, const char *repository)
{
	char name[ROOT_OBJECT_SIZE];
	struct flux_catalog *c;

	object_name(repository, name);
	c = find_or_add(f, name);
	/* It may be the catalog's own name for itself that was given. */
	if (c != NULL && strcmp(c->repository, repository) != 0)
		snprintf(c->repository, sizeof(c->repository), "%s", repository);
	return c;
}

#define DIGITS "0123456789"

static bool is_number(const char *text)
{
	size_t n = strspn(text, DIGITS);

	return n >= 2 && n <= 10 && text[n] == '\0';
}

/* "gitops-squared-team-a-07", or with a dot before the number, as of long namespaces. */
static bool is_child_name(const char *name)
{
	size_t n = strlen(name);

	if (!slice_starts(slice_of(name), SLICE(NAME_PREFIX)) || n >= ROOT_OBJECT_SIZE)
		return false;
	while (n > 0 && strchr(DIGITS, name[n - 1]) != NULL)
		n--;
	return n > strlen(NAME_PREFIX) + 1 && (name[n - 1] == '-' || name[n - 1] == '.') &&
	       is_number(name + n);
}

/* A repository that root_object_name() takes, and that has an object of this name. */
static bool is_repository_of(const char *repository, const char *object)
{
	char name[ROOT_OBJECT_SIZE];
	struct slice rest = slice_of(repository);

	if (strcmp(repository, CATALOG_REPOSITORY) != 0) {
		if (!slice_starts(rest, SLICE(CATALOG_REPOSITORY_PREFIX)))
			return false;
		rest.p += strlen(CATALOG_REPOSITORY_PREFIX);
		rest.n -= strlen(CATALOG_REPOSITORY_PREFIX);
		if (!intent_name_ok(slice_cut(&rest, '/')) || rest.p == NULL || !is_number(rest.p))
			return false;
	}
	object_name(repository, name);
	return strcmp(name, object) == 0;
}

/* "gitops-squared-team-a-07" is for gitops-squared/catalogs/team-a/07: the number has no dash. The
 * shortened names of long namespaces have a dot there. */
static void guess_repository(struct flux_catalog *c)
{
	const char *number = strrchr(c->object, '-');
	const char *namespace = c->object + strlen(NAME_PREFIX);
	char guess[CATALOG_REPOSITORY_SIZE];

	if (c->repository[0] != '\0')
		return;
	if (strcmp(c->object, ROOT_SOURCE) == 0)
		snprintf(guess, sizeof(guess), CATALOG_REPOSITORY);
	else if (number > namespace && number - namespace <= LIMIT_NAME && is_number(number + 1))
		snprintf(guess, sizeof(guess), CATALOG_REPOSITORY_PREFIX "%.*s/%.10s",
			(int)(number - namespace), namespace, number + 1);
	else
		return;
	if (is_repository_of(guess, c->object))
		memcpy(c->repository, guess, sizeof(c->repository));
}

/* The URL ends with it: "oci://HOST/PREFIX/gitops-squared/catalogs/team-a/07". A host or a prefix
 * may have the same words. */
static void read_repository(struct flux_catalog *c, const json_t *object)
{
	const char *at = kube_string(object, "spec", "url", NULL), *last = NULL;

	while ((at = strstr(at, CATALOG_REPOSITORY)) != NULL)
		last = at++;
	if (last != NULL && strlen(last) < sizeof(c->repository) &&
		is_repository_of(last, c->object))
		snprintf(c->repository, sizeof(c->repository), "%s", last);
}

/* ---- what an object says ---- */

static const json_t *status_of(const json_t *object)
{
	return json_object_get(object, "status");
}

static const json_t *condition(const json_t *object, const char *type)
{
	const json_t *list = json_object_get(status_of(object), "conditions"), *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (strcmp(kube_string(one, "type", NULL), type) == 0)
			return one;
	}
	return NULL;
}

static bool is_condition(const json_t *object, const char *type, const char *status)
{
	return strcmp(kube_string(condition(object, type), "status", NULL), status) == 0;
}

/* While Flux tries again Ready is Unknown: what it said last stands until it says something else.
 */
static void read_failure(struct flux_failure *ret, const json_t *object)
{
	const json_t *ready = condition(object, "Ready");
	int n;

	if (json_is_true(json_object_get(json_object_get(object, "spec"), "suspend"))) {
		*ret = (struct flux_failure){.is_failing = true, .reason = FLUX_SUSPENDED};
		snprintf(ret->message, sizeof(ret->message), "%s %s is suspended.",
			kube_string(object, "kind", NULL),
			kube_string(object, "metadata", "name", NULL));
		return;
	}
	if (is_condition(object, "Ready", "Unknown") && strcmp(ret->reason, FLUX_SUSPENDED) != 0)
		return;
	ret->is_failing = is_condition(object, "Ready", "False");
	snprintf(ret->reason, sizeof(ret->reason), "%s",
		ret->is_failing ? kube_string(ready, "reason", NULL) : "");
	n = snprintf(ret->message, sizeof(ret->message), "%s",
		ret->is_failing ? kube_string(ready, "message", NULL) : "");
	utf8_make_printable(ret->message, n >= (int)sizeof(ret->message));
}

/* "latest@sha256:..." */
static struct digest read_revision(const char *revision)
{
	const char *at = strrchr(revision, '@');
	struct error ignored = ERROR_INIT;
	struct digest digest;

	if (at == NULL || digest_parse(&digest, slice_of(at + 1), &ignored) != 0)
		return (struct digest){.algorithm = DIGEST_NONE};
	return digest;
}

static void read_handled(char ret[32], const json_t *object)
{
	snprintf(ret, 32, "%s", kube_string(status_of(object), "lastHandledReconcileAt", NULL));
}

struct flux_catalog *flux_see_source(struct flux *f, const json_t *object, bool deleted)
{
	const char *name = kube_string(object, "metadata", "name", NULL);
	bool is_ours = strcmp(name, ROOT_SOURCE) == 0 || is_child_name(name);
	struct flux_catalog *c = is_ours ? find_or_add(f, name) : NULL;
	struct flux_source *s = c == NULL ? NULL : &c->source;

	if (s == NULL)
		return NULL;
	if (deleted) {
		*s = (struct flux_source){.is_there = false};
		return c;
	}
	guess_repository(c);
	read_repository(c, object);
	s->is_there = true;
	s->is_listed = true;
	read_handled(s->handled, object);
	s->artifact = read_revision(kube_string(status_of(object), "artifact", "revision", NULL));
	read_failure(&s->failure, object);
	return c;
}

/* "c123", which the artifact brought along, to 123. */
static uint64_t read_version(const char *origin)
{
	uint64_t version = 0;

	if (origin[0] != 'c' || !slice_to_u64(slice_of(origin + 1), &version))
		return 0;
	return version;
}

/* NULL: it is none of ours. A child's names its OCIRepository, which has the same name. */
static const char *source_name(const json_t *object)
{
	const char *name = kube_string(object, "metadata", "name", NULL);

	if (strcmp(name, ROOT_KUSTOMIZATION) == 0)
		return ROOT_SOURCE;
	if (is_child_name(name) &&
		strcmp(kube_string(object, "spec", "sourceRef", "name", NULL), name) == 0)
		return name;
	return NULL;
}

struct flux_catalog *flux_see_kustomization(struct flux *f, const json_t *object, bool deleted)
{
	const char *name = source_name(object);
	struct flux_catalog *c = name == NULL ? NULL : find_or_add(f, name);
	struct flux_kustomization *k = c == NULL ? NULL : &c->kustomization;
	const json_t *spec = json_object_get(object, "spec"), *status = status_of(object);

	if (k == NULL)
		return NULL;
	if (deleted) {
		*k = (struct flux_kustomization){.is_there = false};
		return c;
	}
	guess_repository(c);
	k->is_there = true;
	k->is_listed = true;
	k->prunes = json_is_true(json_object_get(spec, "prune"));
	k->orphans = strcmp(kube_string(spec, "deletionPolicy", NULL), "Orphan") == 0;
	k->generation = kube_generation(object);
	k->is_observed =
		k->generation == json_integer_value(json_object_get(status, "observedGeneration"));
	k->is_ready = is_condition(object, "Ready", "True");
	read_handled(k->handled, object);
	k->applied = read_revision(kube_string(status, "lastAppliedRevision", NULL));
	k->applied_version = read_version(kube_string(status, "lastAppliedOriginRevision", NULL));
	k->n_inventory =
		json_array_size(json_object_get(json_object_get(status, "inventory"), "entries"));
	/* The failure that stands is of an earlier attempt than the one that is under way. */
	if (!k->failure.is_failing || !is_condition(object, "Ready", "Unknown"))
		k->attempted = read_revision(kube_string(status, "lastAttemptedRevision", NULL));
	read_failure(&k->failure, object);
	return c;
}

void flux_add_request(struct buf *b, const char *token)
{
	buf_printf(b, "{\"metadata\":{\"annotations\":{\"" FLUX_REQUESTED "\":\"%s\"}}}", token);
}

/* ---- what a message is about ---- */

static bool read_name(const char **at, char ret[LIMIT_NAME + 1])
{
	size_t n = strspn(*at, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (n == 0 || n > LIMIT_NAME)
		return false;
	snprintf(ret, LIMIT_NAME + 1, "%.*s", (int)n, *at);
	*at += n;
	return true;
}

bool flux_message_object(const char *message, char namespace[LIMIT_NAME + 1],
	char name[LIMIT_NAME + 1], const char **rest)
{
	const char *at = message + strlen(FLUX_OBJECT);

	if (strncmp(message, FLUX_OBJECT, strlen(FLUX_OBJECT)) != 0 || !read_name(&at, namespace) ||
		*at++ != '/')
		return false;
	*rest = at;
	return read_name(rest, name);
}

size_t flux_message_own(const char *message)
{
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	char its_namespace[LIMIT_NAME + 1], its_name[LIMIT_NAME + 1];
	const char *at, *rest;

	if (!flux_message_object(message, namespace, name, &rest))
		return 0;
	while ((at = strstr(rest, FLUX_OBJECT)) != NULL)
		if (!flux_message_object(at, its_namespace, its_name, &rest) ||
			strcmp(namespace, its_namespace) != 0 || strcmp(name, its_name) != 0)
			return (size_t)(at - message);
	return strlen(message);
}

/* ---- lists ---- */

void flux_relist_sources(struct flux *f)
{
	for (size_t i = 0; i < f->n; i++)
		f->catalogs[i]->source.is_listed = false;
}

void flux_synced_sources(struct flux *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (!f->catalogs[i]->source.is_listed)
			f->catalogs[i]->source = (struct flux_source){.is_there = false};
	f->sees_sources = true;
}

void flux_relist_kustomizations(struct flux *f)
{
	for (size_t i = 0; i < f->n; i++)
		f->catalogs[i]->kustomization.is_listed = false;
}

void flux_synced_kustomizations(struct flux *f)
{
	f->sees_kustomizations = true;
	for (size_t i = 0; i < f->n; i++)
		if (!f->catalogs[i]->kustomization.is_listed)
			f->catalogs[i]->kustomization =
				(struct flux_kustomization){.is_there = false};
}
