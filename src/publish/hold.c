/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/hold.h"

#include "intent/manifest.h"

#include <stdio.h>

/* ---- deciding ---- */

static void take(struct item *item, enum record_op op)
{
	item->in_commit = true;
	item->op = op;
	item->version = item->old->version;
	item->digest = item->old->digest;
}

static uint64_t instead_of(const struct hold *hold)
{
	return hold->instead == NULL ? 0 : hold->instead->version;
}

/* Messages do not count: those of one refusal may differ each time. And what has no namespace is
 * not tried, so nobody can refuse it. */
static bool is_held_so(const struct hold *hold, const struct change *change)
{
	if (hold == NULL)
		return false;
	if (hold->reason == HOLD_NAMESPACE && change->reason == HOLD_REFUSED)
		return true;
	return hold->reason == change->reason && instead_of(hold) == change->instead;
}

void hold_decide(struct item *item)
{
	const struct change *change = item->change;
	const struct resource *old = item->old;

	if (old == NULL)
		return;
	if (change->kind == CHANGE_HOLD) {
		if (old->version == change->version && !is_held_so(old->hold, change))
			take(item, RECORD_HOLD);
	} else if (old->hold != NULL && old->hold->reason == change->reason) {
		take(item, RECORD_RELEASE);
	}
}

void hold_decide_repeated(struct item *item)
{
	if (item->old->hold != NULL && item->old->hold->reason == HOLD_REFUSED)
		take(item, RECORD_RELEASE);
}

/* ---- the version to apply instead ---- */

/* A version on its way from the registry. */
struct arrival {
	struct item *item;
	char repository[RESOURCE_REPOSITORY_SIZE];
	char tag[RESOURCE_TAG_SIZE];
};

static void leave(struct item *item, const struct error *err)
{
	item->in_commit = false;
	item->err = *err;
}

static int no_such_version(const struct change *change, struct error *err)
{
	return error_set(err, ERROR_NOT_FOUND,
		"there is no version v%llu of %s/%s to apply in place of v%llu: hold it without "
		"one",
		(unsigned long long)change->instead, change->namespace, change->name,
		(unsigned long long)change->version);
}

/* A tombstone is no version of the resource either. */
static int read_version(struct resource **ret, const struct change *change, const struct pull *pull,
	struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct error unread = ERROR_INIT;
	struct digest digest;
	uint64_t version;

	if (intent_parse(&intent, &version, buf_slice(&pull->layer), &unread) != 0 ||
		version != change->instead || strcmp(intent->namespace, change->namespace) != 0 ||
		strcmp(intent->name, change->name) != 0)
		return no_such_version(change, err);
	if (artifact_digest(&digest, intent, version, buf_slice(&pull->layer), err) != 0)
		return -1;
	if (!digest_eq(&digest, &pull->digest))
		return no_such_version(change, err);
	return resource_new(ret, intent, version, &digest, err);
}

static int take_arrival(struct item *item, const struct pull *pull, struct error *err)
{
	CLEANUP(resource_unrefp) struct resource *instead = NULL;
	const struct change *change = item->change;

	if (pull->err.code == ERROR_NOT_FOUND)
		return no_such_version(change, err);
	if (pull->err.code != ERROR_NONE) {
		*err = pull->err;
		return error_wrap(err, "%s:%s", pull->repository, pull->reference);
	}
	if (read_version(&instead, change, pull, err) != 0)
		return -1;
	return resource_new_held(
		&item->resource, item->old, change->reason, instead, change->message, err);
}

/* Of each item, its pull in the same place. */
static void read_arrivals(
	struct arrival *arrivals, struct pull *pulls, size_t n, struct registry *registry)
{
	for (size_t i = 0; i < n; i++) {
		const struct change *change = arrivals[i].item->change;

		resource_repository(change->namespace, change->name, arrivals[i].repository);
		resource_tag(change->instead, arrivals[i].tag);
		pulls[i] = (struct pull){
			.repository = arrivals[i].repository,
			.reference = arrivals[i].tag,
			.manifest = BUF_INIT(LIMIT_MANIFEST),
			.layer = BUF_INIT(LIMIT_INTENT_YAML),
		};
	}
	registry_pull(registry, pulls, n);
	for (size_t i = 0; i < n; i++) {
		struct error err = ERROR_INIT;

		if (take_arrival(arrivals[i].item, &pulls[i], &err) != 0)
			leave(arrivals[i].item, &err);
		buf_done(&pulls[i].manifest);
		buf_done(&pulls[i].layer);
	}
}

/* ---- making them ---- */

/* The one that is applied instead already, or NULL. */
static struct resource *known_instead(const struct item *item)
{
	const struct hold *hold = item->old->hold;

	return hold != NULL && item->change->instead != 0 &&
			       instead_of(hold) == item->change->instead
		       ? hold->instead
		       : NULL;
}

static bool must_be_read(const struct item *item)
{
	return item->in_commit && item->op == RECORD_HOLD && item->change->kind == CHANGE_HOLD &&
	       item->change->instead != 0 && known_instead(item) == NULL;
}

static int make_one(struct item *item, struct error *err)
{
	const struct resource *old = item->old;

	if (item->op == RECORD_RELEASE)
		return resource_new(&item->resource, old->intent, old->version, &old->digest, err);
	return resource_new_held(&item->resource, old, item->change->reason, known_instead(item),
		item->change->message, err);
}

static bool is_of_holds(const struct item *item)
{
	return item->in_commit && (item->op == RECORD_HOLD || item->op == RECORD_RELEASE);
}

/* Only an earlier version can have been applied. */
static bool is_later(const struct item *item)
{
	return item->change->instead >= item->change->version;
}

static void make_all(
	struct batch *b, struct registry *registry, struct arrival *arrivals, struct pull *pulls)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		struct item *item = &b->items[i];
		struct error err = ERROR_INIT;

		if (!is_of_holds(item))
			continue;
		if (must_be_read(item) && !is_later(item))
			arrivals[n++].item = item;
		else if (must_be_read(item) ? no_such_version(item->change, &err) != 0
					    : make_one(item, &err) != 0)
			leave(item, &err);
	}
	if (n > 0)
		read_arrivals(arrivals, pulls, n, registry);
}

void hold_make(struct batch *b, struct registry *registry)
{
	AUTO_FREE struct arrival *arrivals = NULL;
	AUTO_FREE struct pull *pulls = NULL;
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += is_of_holds(&b->items[i]);
	if (n == 0)
		return;
	arrivals = calloc(n, sizeof(*arrivals));
	pulls = calloc(n, sizeof(*pulls));
	if (arrivals != NULL && pulls != NULL) {
		make_all(b, registry, arrivals, pulls);
		return;
	}
	for (size_t i = 0; i < b->n; i++) {
		struct error err = ERROR_INIT;

		if (!is_of_holds(&b->items[i]))
			continue;
		error_no_memory(&err);
		leave(&b->items[i], &err);
	}
}

int hold_keep(struct resource **resource, const struct resource *old, struct error *err)
{
	struct resource *held;

	if (old == NULL || old->hold == NULL || old->hold->reason != HOLD_NAMESPACE)
		return 0;
	if (resource_new_held(&held, *resource, HOLD_NAMESPACE, NULL, old->hold->message, err) != 0)
		return -1;
	resource_unref(*resource);
	*resource = held;
	return 0;
}
