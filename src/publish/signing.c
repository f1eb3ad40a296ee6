/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/signing.h"

#include "base/log.h"
#include "base/parallel.h"
#include "catalog/record.h"
#include "publish/artifact_push.h"
#include "publish/head.h"
#include "publish/signatures.h"

#include <stdio.h>

/* ---- what is current ---- */

struct current {
	char repository[CATALOG_REPOSITORY_SIZE];
	struct digest digest;
	char tag[SIGNATURE_TAG_SIZE];
	struct error err; /* of its signature */
};

struct currents {
	size_t n;
	struct current *list;
};

static void currents_done(struct currents *c)
{
	free(c->list);
}

static void set_digest(struct current *c, const struct digest *digest)
{
	c->digest = *digest;
	signature_tag(digest, c->tag);
}

static struct current *add_repository(struct currents *c, const char *repository)
{
	struct current *last = &c->list[c->n++];

	*last = (struct current){.err = ERROR_INIT};
	snprintf(last->repository, sizeof(last->repository), "%s", repository);
	return last;
}

static int add_leftovers(
	struct currents *c, const struct head *head, struct registry *registry, struct error *err)
{
	for (size_t i = 0; i < head->leftovers.n; i++) {
		char repository[CATALOG_REPOSITORY_SIZE];
		struct digest digest;

		layout_repository(&head->repartition.other, &head->leftovers.list[i], repository);
		if (registry_resolve(registry, repository, "latest", &digest, err) != 0)
			return error_wrap(err, "%s:latest", repository);
		set_digest(add_repository(c, repository), &digest);
	}
	return 0;
}

/* All that Flux is told to fetch. */
static int list_catalogs(
	struct currents *ret, const struct head *head, struct registry *registry, struct error *err)
{
	size_t n = state_n_partitions(head->state);
	const struct digest *root = state_root(head->state);

	/* The root, and the record that others add. */
	ret->list = calloc(n + head->leftovers.n + 2, sizeof(ret->list[0]));
	if (ret->list == NULL)
		return error_no_memory(err);
	if (root != NULL)
		set_digest(add_repository(ret, CATALOG_REPOSITORY), root);
	for (size_t i = 0; i < n; i++) {
		const struct partition *p = state_partition(head->state, i);

		set_digest(add_repository(ret, p->repository), &p->digest);
	}
	return add_leftovers(ret, head, registry, err);
}

/* ---- checking signatures: many at once ---- */

struct checking {
	const struct sign_keys *keys;
	struct current *list;
	struct pull *pulls;
};

static void check_one(size_t i, size_t thread UNUSED, void *arg)
{
	const struct checking *checking = arg;
	struct current *c = &checking->list[i];
	struct pull *pull = &checking->pulls[i];

	c->err = pull->err;
	if (c->err.code == ERROR_NONE &&
		signature_check(checking->keys, &c->digest, buf_slice(&pull->manifest),
			buf_slice(&pull->layer), &c->err) == 0)
		c->err = (struct error)ERROR_INIT;
	buf_done(&pull->layer);
}

/* Somebody may have added a signature to ours, which is a layer more, and so no artifact of those
 * that can be pulled as one. */
static int check_layers(const struct current *c, struct slice manifest,
	const struct sign_keys *keys, struct registry *registry, struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	int rc = -1;

	if (oci_manifest_parse(&m, manifest, err) != 0 || m->n_children < 2)
		return -1;
	for (size_t i = 0; i < m->n_children && i < LIMIT_SIGNATURE_LAYERS && rc != 0; i++) {
		CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_SIGNATURE);

		if (registry_blob(registry, c->repository, &m->children[i].digest, &layer, err) ==
			0)
			rc = signature_check(keys, &c->digest, manifest, buf_slice(&layer), err);
	}
	return rc;
}

/* Each has its own outcome in err. */
static int check_some(struct current *list, size_t n, const struct sign_keys *keys,
	struct registry *registry, struct error *err)
{
	AUTO_FREE struct pull *pulls = calloc(n, sizeof(*pulls));
	struct checking checking = {keys, list, pulls};

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
	parallel_each(n, check_one, &checking);
	for (size_t i = 0; i < n; i++) {
		struct current *c = &list[i];

		if (c->err.code == ERROR_INTERNAL && check_layers(c, buf_slice(&pulls[i].manifest),
							     keys, registry, &c->err) == 0)
			c->err = (struct error)ERROR_INIT;
		buf_done(&pulls[i].manifest);
	}
	return 0;
}

static int check_all(struct currents *c, const struct sign_keys *keys, struct registry *registry,
	struct error *err)
{
	for (size_t i = 0; i < c->n; i += LIMIT_PULLS)
		if (check_some(c->list + i, c->n - i < LIMIT_PULLS ? c->n - i : LIMIT_PULLS, keys,
			    registry, err) != 0)
			return -1;
	return 0;
}

/* It is not the signature that fails, but the registry or we. */
static bool is_unknown(const struct error *err)
{
	return err->code == ERROR_UNAVAILABLE || err->code == ERROR_NO_MEMORY ||
	       err->code == ERROR_UNAUTHORIZED;
}

/* ---- verifying ---- */

static int refuse(const struct current *c, const struct signing *signing, struct error *err)
{
	char digest[DIGEST_TEXT_SIZE];

	if (is_unknown(&c->err)) {
		*err = c->err;
		return error_wrap(err, "%s:%s", c->repository, c->tag);
	}
	return error_set(err, ERROR_INTERNAL,
		"%s@%s is not signed by a key of --verify (%s): nothing of it is read; if it is "
		"to be trusted, start once without --verify and with %s",
		c->repository, digest_format(&c->digest, digest),
		c->err.code == ERROR_NOT_FOUND ? "it has no signature" : c->err.text,
		signing->key != NULL ? "--sign-key, which signs it" : "a --sign-key, to sign it");
}

static int verify(struct currents *c, const struct signing *signing, struct registry *registry,
	struct error *err)
{
	if (check_all(c, signing->verify, registry, err) != 0)
		return -1;
	for (size_t i = 0; i < c->n; i++)
		if (c->list[i].err.code != ERROR_NONE)
			return refuse(&c->list[i], signing, err);
	return 0;
}

int signing_verify_record(const struct signing *signing, const struct digest *record,
	struct registry *registry, struct error *err)
{
	struct current current;
	struct currents only = {.list = &current};

	if (signing->verify == NULL)
		return 0;
	set_digest(add_repository(&only, RECORD_REPOSITORY), record);
	return verify(&only, signing, registry, err);
}

int signing_verify_catalogs(const struct signing *signing, const struct head *head,
	struct registry *registry, struct error *err)
{
	CLEANUP(currents_done) struct currents currents = {.n = 0};

	if (signing->verify == NULL)
		return 0;
	if (list_catalogs(&currents, head, registry, err) != 0)
		return -1;
	return verify(&currents, signing, registry, err);
}

/* ---- signing what is not ---- */

/* Its size is a part of what is signed. */
static int add_unsigned(
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

static int find_unsigned(struct signatures *s, const struct currents *currents,
	struct registry *registry, struct error *err)
{
	for (size_t i = 0; i < currents->n; i++) {
		const struct current *c = &currents->list[i];

		if (c->err.code == ERROR_NONE)
			continue;
		if (is_unknown(&c->err)) {
			*err = c->err;
			return error_wrap(err, "%s:%s", c->repository, c->tag);
		}
		if (add_unsigned(s, c, registry, err) != 0)
			return -1;
	}
	return 0;
}

static int untag(const struct signed_manifest *m, struct registry *registry, struct error *err)
{
	char tags[SIGNATURES_TAGS][SIGNATURES_TAG_SIZE];
	struct untag untags[SIGNATURES_TAGS];

	signatures_tags(&m->digest, tags);
	for (size_t i = 0; i < SIGNATURES_TAGS; i++)
		untags[i] = (struct untag){.tag = tags[i]};
	registry_untag(registry, m->repository, untags, SIGNATURES_TAGS);
	for (size_t i = 0; i < SIGNATURES_TAGS; i++) {
		*err = untags[i].err;
		if (err->code != ERROR_NONE && err->code != ERROR_NOT_FOUND)
			return error_wrap(err, "%s:%s", m->repository, tags[i]);
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
static int push_in_turn(
	struct push *pushes, size_t n_bundles, struct registry *registry, struct error *err)
{
	registry_push(registry, pushes, n_bundles);
	if (push_failure(pushes, n_bundles, err) != 0)
		return -1;
	registry_push(registry, pushes + n_bundles, n_bundles);
	return push_failure(pushes + n_bundles, n_bundles, err);
}

static int push_signatures(const struct signatures *s, struct registry *registry, struct error *err)
{
	AUTO_FREE struct push *pushes = calloc(SIGNATURES_PUSHES * s->n, sizeof(*pushes));

	if (pushes == NULL)
		return error_no_memory(err);
	signatures_pushes(s, pushes);
	if (registry_begin(registry, err) != 0)
		return -1;
	if (untag_old(s, registry, err) == 0 && push_in_turn(pushes, s->n, registry, err) == 0)
		return registry_commit(registry, err);
	registry_rollback(registry);
	return -1;
}

static int sign_all(const struct signing *signing, const struct currents *currents,
	struct registry *registry, struct error *err)
{
	CLEANUP(signatures_done) struct signatures s = {.n = 0};

	if (find_unsigned(&s, currents, registry, err) != 0)
		return -1;
	if (s.n == 0)
		return 0;
	if (signatures_make(&s, signing, err) != 0 || push_signatures(&s, registry, err) != 0)
		return -1;
	log_info("signed what had no signature by our key", LOG_NUM("manifests", s.n));
	return 0;
}

int signing_catch_up(const struct signing *signing, const struct head *head,
	struct registry *registry, struct error *err)
{
	CLEANUP(currents_done) struct currents currents = {.n = 0};
	CLEANUP(sign_keys_freep) struct sign_keys *own = NULL;

	if (signing->key == NULL)
		return 0;
	if (sign_keys_of(&own, signing->key, err) != 0 ||
		list_catalogs(&currents, head, registry, err) != 0)
		return -1;
	set_digest(add_repository(&currents, RECORD_REPOSITORY), &head->record);
	if (check_all(&currents, own, registry, err) != 0)
		return -1;
	return sign_all(signing, &currents, registry, err);
}
