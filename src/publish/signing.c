/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/signing.h"

#include "base/log.h"
#include "catalog/record.h"
#include "catalog/state.h"
#include "publish/artifact_push.h"
#include "publish/places.h"
#include "publish/signatures.h"

#include <stdio.h>

/* ---- what is to be signed ---- */

/* In the order of preference, where there are several signatures. */
enum verdict {
	UNSIGNED,
	UNKNOWN, /* the registry does not say, or memory is gone */
	SIGNED_BY_ANOTHER,
	SIGNED, /* by our key */
};

struct current {
	char repository[CATALOG_REPOSITORY_SIZE];
	struct digest digest;
	char tag[SIGNATURE_TAG_SIZE];
	enum verdict verdict;
	struct error why; /* it is not signed, or not known to be */
};

struct currents {
	size_t n;
	struct current *list;
};

static void currents_done(struct currents *c)
{
	free(c->list);
}

/* There is room. */
static int add(
	struct currents *c, const char *repository, const struct digest *digest, struct error *err)
{
	struct current *last = &c->list[c->n];
	char text[DIGEST_TEXT_SIZE];

	*last = (struct current){.digest = *digest};
	snprintf(last->repository, sizeof(last->repository), "%s", repository);
	if (!signature_tag(digest, last->tag))
		return error_set(err, ERROR_INTERNAL,
			"%s@%s cannot be signed, for its digest is not SHA-256", repository,
			digest_format(digest, text));
	c->n++;
	return 0;
}

/* What the record changed it to, or else what is current: as restore_state() reads catalogs. */
static int find_leftover(struct digest *ret, const struct record *record, const char *repository,
	struct registry *registry, struct error *err)
{
	for (size_t i = 0; i < record->n_catalogs; i++) {
		if (strcmp(record->catalogs[i].repository, repository) != 0)
			continue;
		*ret = record->catalogs[i].digest;
		return 0;
	}
	if (registry_resolve(registry, repository, "latest", ret, err) == 0)
		return 0;
	if (err->code == ERROR_NOT_FOUND)
		err->code = ERROR_INTERNAL; /* the root names it */
	return error_wrap(err, "%s:latest", repository);
}

static int add_leftovers(struct currents *c, const struct record *record,
	const struct places *leftovers, struct registry *registry, struct error *err)
{
	for (size_t i = 0; i < leftovers->n; i++) {
		char repository[CATALOG_REPOSITORY_SIZE];
		struct digest digest;

		layout_repository(&record->repartition.other, &leftovers->list[i], repository);
		if (find_leftover(&digest, record, repository, registry, err) != 0 ||
			add(c, repository, &digest, err) != 0)
			return -1;
	}
	return 0;
}

static int list_catalogs(struct currents *ret, const struct record *record,
	const struct state *state, const struct places *leftovers, struct registry *registry,
	struct error *err)
{
	size_t n = state_n_partitions(state);
	const struct digest *root = state_root(state);

	ret->list = calloc(n + leftovers->n + 1, sizeof(ret->list[0]));
	if (ret->list == NULL)
		return error_no_memory(err);
	if (root != NULL && add(ret, CATALOG_REPOSITORY, root, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct partition *p = state_partition(state, i);

		if (add(ret, p->repository, &p->digest, err) != 0)
			return -1;
	}
	return add_leftovers(ret, record, leftovers, registry, err);
}

/* ---- checking signatures: many at once ---- */

/* A registry's errors are not those of a check: "denied" is its word about us. */
static void take_failure(struct current *c, const struct error *err)
{
	bool has_looked = err->code == ERROR_NOT_FOUND || err->code == ERROR_INTERNAL ||
			  err->code == ERROR_TOO_LARGE;

	c->verdict = has_looked ? UNSIGNED : UNKNOWN;
	c->why = *err;
}

static bool is_signed_by(
	const struct sign_keys *keys, struct current *c, struct slice manifest, struct slice layer)
{
	return signature_check(keys, c->repository, &c->digest, manifest, layer, &c->why) == 0;
}

static void judge(
	const struct signing *signing, struct current *c, struct slice manifest, struct slice layer)
{
	if (signing->key != NULL && is_signed_by(sign_key_public(signing->key), c, manifest, layer))
		c->verdict = SIGNED;
	else if (signing->verify != NULL && is_signed_by(signing->verify, c, manifest, layer))
		c->verdict = SIGNED_BY_ANOTHER;
	else
		c->verdict = c->why.code == ERROR_DENIED ? UNSIGNED : UNKNOWN;
}

struct checking {
	const struct signing *signing;
	struct current *list;
	struct pull *pulls;
};

static void check_one(size_t i, size_t thread UNUSED, void *arg)
{
	const struct checking *checking = arg;
	struct current *c = &checking->list[i];
	struct pull *pull = &checking->pulls[i];

	if (pull->err.code == ERROR_NONE)
		judge(checking->signing, c, buf_slice(&pull->manifest), buf_slice(&pull->layer));
	else
		take_failure(c, &pull->err);
	buf_done(&pull->layer);
}

/* Somebody may have added a signature to ours, which is a layer more, and so no artifact of those
 * that can be pulled as one. The best of them counts. */
static void check_layers(const struct signing *signing, struct current *c, struct slice manifest,
	struct registry *registry)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	struct error err = ERROR_INIT;

	if (oci_manifest_parse(&m, manifest, &err) != 0 || m->n_children < 2)
		return;
	for (size_t i = 0; i < m->n_children && i < LIMIT_SIGNATURE_LAYERS; i++) {
		CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_SIGNATURE);
		struct current this = *c;

		if (registry_blob(registry, c->repository, &m->children[i].digest, &layer, &err) ==
			0)
			judge(signing, &this, manifest, buf_slice(&layer));
		else
			take_failure(&this, &err);
		if (this.verdict >= c->verdict)
			*c = this;
	}
}

static int check_some(const struct signing *signing, struct current *list, size_t n,
	struct registry *registry, struct error *err)
{
	AUTO_FREE struct pull *pulls = calloc(n, sizeof(*pulls));
	struct checking checking = {signing, list, pulls};

	if (pulls == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++)
		pulls[i] = (struct pull){
			.repository = list[i].repository,
			.reference = list[i].tag,
			.manifest = BUF_INIT(LIMIT_MANIFEST),
			.layer = BUF_INIT(LIMIT_SIGNATURE),
		};
	registry_pull(registry, pulls, n);
	signatures_each(n, check_one, &checking);
	for (size_t i = 0; i < n; i++) {
		if (pulls[i].err.code != ERROR_NONE && pulls[i].manifest.len > 0)
			check_layers(signing, &list[i], buf_slice(&pulls[i].manifest), registry);
		buf_done(&pulls[i].manifest);
	}
	return 0;
}

/* ---- what comes of it ---- */

static int refuse(const struct current *c, struct error *err)
{
	char digest[DIGEST_TEXT_SIZE];

	return error_set(err, ERROR_INTERNAL,
		"%s@%s is not signed by a key of --sign-key or --verify (%s), so nothing of it is "
		"read: give the key that has signed it with --verify, or, if you know it to be "
		"right, start once with --sign-existing",
		c->repository, digest_format(&c->digest, digest),
		c->why.code == ERROR_NOT_FOUND ? "it has no signature" : c->why.text);
}

/* Its size is a part of what is signed. */
static int note(
	struct signatures *s, const struct current *c, struct registry *registry, struct error *err)
{
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(LIMIT_MANIFEST);
	char reference[DIGEST_TEXT_SIZE];
	struct digest same;

	if (registry_manifest(registry, c->repository, digest_format(&c->digest, reference),
		    &manifest, &same, err) != 0)
		return error_wrap(err, "%s@%s", c->repository, reference);
	return signatures_add(s, c->repository, &c->digest, manifest.len, err);
}

static int decide(struct signatures *ret, const struct signing *signing, const struct current *c,
	struct registry *registry, struct error *err)
{
	if (c->verdict == UNKNOWN) {
		*err = c->why;
		err->code = ERROR_UNAVAILABLE;
		return error_wrap(err, "%s:%s", c->repository, c->tag);
	}
	if (c->verdict == UNSIGNED && !signing->existing)
		return refuse(c, err);
	if (c->verdict == SIGNED || signing->key == NULL || ret == NULL)
		return 0;
	return note(ret, c, registry, err);
}

static int check(struct signatures *ret, const struct signing *signing, struct currents *c,
	struct registry *registry, struct error *err)
{
	for (size_t i = 0; i < c->n; i += LIMIT_PULLS)
		if (check_some(signing, c->list + i,
			    c->n - i < LIMIT_PULLS ? c->n - i : LIMIT_PULLS, registry, err) != 0)
			return -1;
	for (size_t i = 0; i < c->n; i++)
		if (decide(ret, signing, &c->list[i], registry, err) != 0)
			return -1;
	return 0;
}

static bool has_keys(const struct signing *signing)
{
	return signing->key != NULL || signing->verify != NULL;
}

int signing_check_record(struct signatures *ret, const struct signing *signing,
	const struct digest *record, struct registry *registry, struct error *err)
{
	struct current current;
	struct currents only = {.list = &current};

	if (!has_keys(signing))
		return 0;
	if (add(&only, RECORD_REPOSITORY, record, err) != 0)
		return -1;
	return check(ret, signing, &only, registry, err);
}

int signing_check_catalogs(struct signatures *ret, const struct signing *signing,
	const struct record *record, const struct state *state, const struct places *leftovers,
	struct registry *registry, struct error *err)
{
	CLEANUP(currents_done) struct currents currents = {.n = 0};

	if (!has_keys(signing))
		return 0;
	if (list_catalogs(&currents, record, state, leftovers, registry, err) != 0)
		return -1;
	return check(ret, signing, &currents, registry, err);
}

/* ---- signing what is not ---- */

static int untag(const struct signed_manifest *m, struct registry *registry, struct error *err)
{
	char tags[SIGNATURES_TAGS][SIGNATURES_TAG_SIZE];
	struct untag untags[SIGNATURES_TAGS];
	size_t n = signatures_tags(&m->digest, tags);

	for (size_t i = 0; i < n; i++)
		untags[i] = (struct untag){.tag = tags[i]};
	registry_untag(registry, m->repository, untags, n);
	for (size_t i = 0; i < n; i++) {
		*err = untags[i].err;
		if (err->code != ERROR_NONE && err->code != ERROR_NOT_FOUND)
			return artifact_failure(err, m->repository, tags[i]);
	}
	return 0;
}

/* A bundle that lost its tag to another would keep what it signs for ever; other registries see to
 * that as they like. */
static int untag_old(const struct signatures *s, struct registry *registry, struct error *err)
{
	for (size_t i = 0; i < s->n && registry->atomic; i++)
		if (untag(&s->list[i], registry, err) != 0)
			return -1;
	return 0;
}

/* The bundles first: the next start looks for the others only. */
static int push_in_turn(struct push *pushes, size_t n, size_t n_bundles, struct registry *registry,
	struct error *err)
{
	registry_push(registry, pushes, n_bundles);
	if (push_failure(pushes, n_bundles, err) != 0)
		return -1;
	registry_push(registry, pushes + n_bundles, n - n_bundles);
	return push_failure(pushes + n_bundles, n - n_bundles, err);
}

static int push_signatures(const struct signatures *s, struct registry *registry, struct error *err)
{
	AUTO_FREE struct push *pushes = calloc(SIGNATURES_PUSHES * s->n, sizeof(*pushes));
	size_t n;

	if (pushes == NULL)
		return error_no_memory(err);
	n = signatures_pushes(s, pushes);
	if (registry_begin(registry, err) != 0)
		return -1;
	if (untag_old(s, registry, err) == 0 &&
		push_in_turn(pushes, n, n - s->n, registry, err) == 0)
		return registry_commit(registry, err);
	registry_rollback(registry);
	return -1;
}

int signing_sign(struct signatures *noted, const struct signing *signing, struct registry *registry,
	struct error *err)
{
	if (noted->n == 0)
		return 0;
	if (signatures_make(noted, signing, err) != 0 || push_signatures(noted, registry, err) != 0)
		return -1;
	log_info("signed what had no signature by our key", LOG_NUM("manifests", noted->n));
	return 0;
}
