/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/expire.h"

#include "base/limits.h"
#include "catalog/record.h"
#include "publish/signatures.h"

#include <stdio.h>

#define TAG_SIZE 22 /* a letter and a 64-bit number */
#define REMOTE_STEP 16

/* ---- the rule ---- */

static int version_cmp(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static size_t sort_versions(uint64_t *versions, size_t n)
{
	size_t unique = 0;

	if (n > 0)
		qsort(versions, n, sizeof(versions[0]), version_cmp);
	for (size_t i = 0; i < n; i++)
		if (unique == 0 || versions[i] != versions[unique - 1])
			versions[unique++] = versions[i];
	return unique;
}

static size_t kept(const struct expiry_rule *rule)
{
	return rule->keep == 0 ? 1 : rule->keep;
}

size_t expiry_count(uint64_t *versions, size_t *n, const struct expiry_rule *rule, uint64_t now_us)
{
	size_t count = 0;

	*n = sort_versions(versions, *n);
	while (count + kept(rule) < *n) {
		uint64_t superseded = versions[count + 1];

		if (superseded >= now_us || now_us - superseded <= rule->age_us)
			break;
		count++;
	}
	return count;
}

uint64_t expiry_due_us(const uint64_t *versions, size_t n, const struct expiry_rule *rule)
{
	return n <= kept(rule) ? UINT64_MAX : versions[1] + rule->age_us + 1;
}

uint64_t expiry_first_needed(const struct resource *current)
{
	if (current == NULL)
		return 0;
	if (current->hold != NULL && current->hold->instead != NULL)
		return current->hold->instead->version;
	return current->version;
}

static int check_go_on(const struct expirer *e, struct error *err)
{
	if (e->go_on(e->arg))
		return 0;
	return error_set(err, ERROR_UNAVAILABLE, "the server is stopping, or not ready");
}

/* ---- the tags of a repository ---- */

struct listing {
	const struct expirer *expirer;
	char letter; /* c<version> or v<version> */
	bool sorted; /* the registry gives tags in byte order */
	/* Tags from here on are too young to go; of a sorted listing n_young more are read. */
	uint64_t young_us;
	size_t n_young;
	bool enough; /* the listing was ended early */
	size_t n_seen;
	bool more;           /* there are more old versions than those that are in the list */
	bool has_signatures; /* or it is not known, as of a sorted listing, where they come last */
	size_t n;
	uint64_t *list;    /* up to 2 * LIMIT_EXPIRY_VERSIONS */
	struct buf others; /* NUL-terminated names of tags that are no versions */
};

static void listing_done(struct listing *l)
{
	free(l->list);
	buf_done(&l->others);
}

/* As record_tag() and resource_tag() write it, and nothing else: it must lead back to the tag. */
static bool parse_tag(struct slice tag, char letter, uint64_t *ret)
{
	bool is_version = letter == 'c' ? record_tag_parse(tag, ret) : resource_tag_parse(tag, ret);

	return is_version && *ret <= LIMIT_VERSION;
}

static void write_tag(char letter, uint64_t version, char ret[TAG_SIZE])
{
	snprintf(ret, TAG_SIZE, "%c%llu", letter, (unsigned long long)version);
}

/* In whatever order they come, the oldest are in the list at the end. */
static void make_room(struct listing *l)
{
	if (l->n < 2 * (size_t)LIMIT_EXPIRY_VERSIONS)
		return;
	l->n = sort_versions(l->list, l->n);
	if (l->n > LIMIT_EXPIRY_VERSIONS) {
		l->n = LIMIT_EXPIRY_VERSIONS;
		l->more = true;
	}
}

static int end_listing(struct listing *l, struct error *err)
{
	l->enough = true;
	return error_set(err, ERROR_UNAVAILABLE, "enough tags were read");
}

static int add_version(struct listing *l, uint64_t version, struct error *err)
{
	make_room(l);
	l->list[l->n++] = version;
	if (!l->sorted)
		return 0;
	if (l->n == LIMIT_EXPIRY_VERSIONS) {
		l->more = true;
		return end_listing(l, err);
	}
	if (version < l->young_us)
		return 0;
	if (l->n_young == 0)
		return end_listing(l, err);
	l->n_young--;
	return 0;
}

/* Signatures name something else than what they sign. */
static int add_other(struct listing *l, struct slice tag, struct error *err)
{
	if (signatures_is_tag(tag)) {
		l->has_signatures = true;
		return 0;
	}
	buf_add(&l->others, tag);
	buf_putc(&l->others, '\0');
	if (buf_check(&l->others, err) == 0)
		return 0;
	return error_wrap(err, "it has more than %d tags beside its versions", LIMIT_EXPIRY_OTHERS);
}

static int list_tag(struct slice tag, void *arg, struct error *err)
{
	struct listing *l = arg;
	uint64_t version;

	if (++l->n_seen % LIMIT_LIST_PAGE == 0 && check_go_on(l->expirer, err) != 0)
		return -1;
	if (parse_tag(tag, l->letter, &version))
		return add_version(l, version, err);
	return l->sorted ? 0 : add_other(l, tag, err);
}

/* sorted, young_us and n_young are set. */
static int list_tags(
	struct listing *l, struct registry *registry, const char *repository, struct error *err)
{
	l->has_signatures = l->sorted;
	l->list = calloc(2 * (size_t)LIMIT_EXPIRY_VERSIONS, sizeof(l->list[0]));
	buf_init(&l->others, LIMIT_EXPIRY_OTHERS * (LIMIT_TAG + 1));
	if (l->list == NULL)
		return error_no_memory(err);
	if (registry_tags(registry, repository, NULL, list_tag, l, err) != 0 && !l->enough)
		return error_wrap(err, "%s", repository);
	l->n = sort_versions(l->list, l->n);
	return 0;
}

/* ---- what must stay, whatever its age ----
 *
 * Some registries untag everything on a manifest when one of its tags is deleted, and signatures go
 * with any of them. So no tag is taken away that names the same as a tag which stays.
 */

struct needed {
	size_t n;
	struct digest *list;
};

static void needed_done(struct needed *needed)
{
	free(needed->list);
}

static bool is_needed(const struct needed *needed, const struct digest *digest)
{
	for (size_t i = 0; i < needed->n; i++)
		if (digest_eq(&needed->list[i], digest))
			return true;
	return false;
}

static int look_at_all(struct needed *needed, struct look *looks, size_t n,
	struct registry *registry, struct error *err)
{
	registry_look(registry, looks, n);
	for (size_t i = 0; i < n; i++) {
		if (looks[i].err.code == ERROR_NONE)
			needed->list[needed->n++] = looks[i].digest;
		else if (looks[i].err.code != ERROR_NOT_FOUND) {
			*err = looks[i].err;
			return error_wrap(err, "%s:%s", looks[i].repository, looks[i].tag);
		}
	}
	return 0;
}

/* current: NULL where nothing is known of it. A sorted listing has no others: the embedded registry
 * takes none from outside. */
static int find_needed(struct needed *ret, const struct listing *l, const char *repository,
	const struct digest *current, struct registry *registry, struct error *err)
{
	AUTO_FREE struct look *looks = NULL;
	size_t n = 0;

	for (size_t at = 0; at < l->others.len; at += strlen(l->others.data + at) + 1)
		n++;
	ret->list = calloc(n + 1, sizeof(ret->list[0]));
	looks = calloc(n + 1, sizeof(looks[0]));
	if (ret->list == NULL || looks == NULL)
		return error_no_memory(err);
	if (current != NULL)
		ret->list[ret->n++] = *current;
	n = 0;
	for (size_t at = 0; at < l->others.len; at += strlen(l->others.data + at) + 1)
		looks[n++] = (struct look){.repository = repository, .tag = l->others.data + at};
	return look_at_all(ret, looks, n, registry, err);
}

/* ---- taking away ---- */

#define STEP (LIMIT_GROUP / 2)

/* A version, and its signatures, which nobody would find any more once it has gone: so they go
 * before it. */
struct going {
	char tag[TAG_SIZE];
	struct digest digest; /* that it names */
	char signatures[SIGNATURES_TAGS][SIGNATURES_TAG_SIZE];
};

/* Some that go together: on the embedded registry, in one transaction. */
struct step {
	size_t n;
	struct going list[STEP];
	struct look looks[STEP];
	struct untag untags[STEP * (SIGNATURES_TAGS + 1)];
};

static void fill_step(struct step *s, char letter, const uint64_t *versions, size_t n)
{
	s->n = n;
	for (size_t i = 0; i < n; i++)
		write_tag(letter, versions[i], s->list[i].tag);
}

static size_t add_untags(struct untag *ret, struct going *g, bool has_signatures)
{
	size_t n_signatures = has_signatures ? signatures_tags(&g->digest, g->signatures) : 0;
	size_t n = 0;

	for (size_t i = 0; i < n_signatures; i++)
		ret[n++] = (struct untag){.tag = g->signatures[i]};
	ret[n++] = (struct untag){.tag = g->tag};
	return n;
}

/* Leaves out those that name what is needed, or nothing any more. */
static int spare_needed(struct step *s, const struct needed *needed, const char *repository,
	struct registry *registry, struct error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		s->looks[i] = (struct look){.repository = repository, .tag = s->list[i].tag};
	registry_look(registry, s->looks, s->n);
	for (size_t i = 0; i < s->n; i++) {
		const struct look *l = &s->looks[i];

		if (l->err.code != ERROR_NONE && l->err.code != ERROR_NOT_FOUND) {
			*err = l->err;
			return error_wrap(err, "%s:%s", repository, l->tag);
		}
		if (l->err.code != ERROR_NONE || is_needed(needed, &l->digest))
			continue;
		s->list[n] = s->list[i];
		s->list[n++].digest = l->digest;
	}
	s->n = n;
	return 0;
}

/* What is not there any more is no failure. */
static int untag(struct untag *untags, size_t n, const char *repository, struct registry *registry,
	size_t *ret_n, struct error *err)
{
	size_t gone = 0;

	registry_untag(registry, repository, untags, n);
	for (size_t i = 0; i < n; i++) {
		if (untags[i].err.code == ERROR_NONE)
			gone++;
		else if (untags[i].err.code != ERROR_NOT_FOUND) {
			*err = untags[i].err;
			return error_wrap(err, "%s:%s", repository, untags[i].tag);
		}
	}
	*ret_n = gone;
	return 0;
}

/* The same, and ends the transaction that is open. */
static int untag_and_commit(struct expirer *e, struct untag *untags, size_t n,
	const char *repository, struct error *err)
{
	size_t gone = 0;

	if (untag(untags, n, repository, e->registry, &gone, err) != 0) {
		registry_rollback(e->registry);
		return -1;
	}
	if (registry_commit(e->registry, err) != 0)
		return -1;
	e->n_tags += gone;
	return 0;
}

static int run_step(struct expirer *e, struct step *s, bool has_signatures, const char *repository,
	struct error *err)
{
	size_t n = 0;

	if (s->n == 0)
		return 0;
	for (size_t i = 0; i < s->n; i++)
		n += add_untags(&s->untags[n], &s->list[i], has_signatures);
	if (registry_begin(e->registry, err) != 0)
		return -1;
	return untag_and_commit(e, s->untags, n, repository, err);
}

/* The first n versions of the listing. */
static int take_away(struct expirer *e, const struct listing *l, size_t n, const char *repository,
	const struct digest *current, struct error *err)
{
	CLEANUP(needed_done) struct needed needed = {0};
	AUTO_FREE struct step *step = NULL;
	size_t n_step = e->registry->atomic ? STEP : REMOTE_STEP;

	if (n == 0)
		return 0;
	if (find_needed(&needed, l, repository, current, e->registry, err) != 0)
		return -1;
	step = calloc(1, sizeof(*step));
	if (step == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i += n_step) {
		fill_step(step, l->letter, l->list + i, n - i < n_step ? n - i : n_step);
		if (check_go_on(e, err) != 0 ||
			spare_needed(step, &needed, repository, e->registry, err) != 0 ||
			run_step(e, step, l->has_signatures, repository, err) != 0)
			return -1;
	}
	return 0;
}

/* ---- catalogs ---- */

static int expire_catalog_once(struct expirer *e, const char *repository,
	const struct digest *current, uint64_t *ret_due_us, bool *ret_more, struct error *err)
{
	CLEANUP(listing_done)
	struct listing l = {
		.expirer = e, .letter = 'c', .sorted = e->registry->atomic, .others = BUF_INIT(0)};
	const struct expiry_rule *rule = &e->catalogs;
	uint64_t before = e->n_tags;
	size_t n;

	l.young_us = e->now_us > rule->age_us ? e->now_us - rule->age_us : 0;
	l.n_young = kept(rule);
	if (list_tags(&l, e->registry, repository, err) != 0)
		return -1;
	n = expiry_count(l.list, &l.n, rule, e->now_us);
	if (take_away(e, &l, n, repository, current, err) != 0)
		return -1;
	*ret_due_us = expiry_due_us(l.list + n, l.n - n, rule);
	*ret_more = l.more && e->n_tags > before;
	return 0;
}

int expire_catalog(struct expirer *e, const char *repository, const struct digest *current,
	uint64_t *ret_due_us, struct error *err)
{
	bool more = true;

	while (more)
		if (expire_catalog_once(e, repository, current, ret_due_us, &more, err) != 0)
			return -1;
	return 0;
}

/* ---- resources ---- */

/* Cuts the list off behind the current version, which is added where it is missing; what is newer
 * is no concern of ours. Any part of what is older will do. */
static void end_at(struct listing *l, uint64_t current)
{
	size_t n = 0;

	while (n < l->n && l->list[n] < current)
		n++;
	if (n == 2 * (size_t)LIMIT_EXPIRY_VERSIONS)
		n--;
	l->list[n] = current;
	l->n = n + 1;
}

/* The version whose tombstone this is; 0 when it is none of the list's. */
static int find_tombstone(uint64_t *ret, const struct listing *l, const struct digest *digest,
	const char *namespace, const char *name, struct error *err)
{
	*ret = 0;
	for (size_t i = l->n; i > 0 && *ret == 0; i--) {
		struct artifact tombstone;

		if (artifact_of_tombstone(&tombstone, namespace, name, l->list[i - 1], err) != 0)
			return -1;
		if (digest_eq(&tombstone.digest, digest))
			*ret = l->list[i - 1];
		artifact_done(&tombstone);
	}
	return 0;
}

/*
 * The tombstone and the tag latest, the last that is left of a resource. It may be created again at
 * this very moment. On an atomic registry that is another transaction: one before this moves
 * latest, so it does not name the tombstone any more, and all stays; one after it finds an empty
 * repository, as that of any new name. Other registries cannot tell latest from what it was a
 * moment ago, so there the two stay.
 */
static int bury(struct expirer *e, const char *repository, uint64_t version,
	const struct digest *tombstone, struct error *err)
{
	struct going going = {.digest = *tombstone};
	struct untag untags[SIGNATURES_TAGS + 2];
	size_t n = add_untags(untags, &going, true);
	struct error missing = ERROR_INIT;
	struct digest latest;

	ASSERT(e->registry->atomic);
	write_tag('v', version, going.tag);
	untags[n++] = (struct untag){.tag = "latest"};
	if (check_go_on(e, err) != 0 || registry_begin(e->registry, err) != 0)
		return -1;
	if (registry_resolve(e->registry, repository, "latest", &latest, &missing) != 0 ||
		!digest_eq(&latest, tombstone)) {
		registry_rollback(e->registry);
		return 0;
	}
	return untag_and_commit(e, untags, n, repository, err);
}

static bool may_be_buried(
	const struct expirer *e, const struct listing *l, uint64_t tombstone, uint64_t needed)
{
	return e->tombstones && e->registry->atomic && !l->more && tombstone != needed &&
	       tombstone == l->list[l->n - 1] && tombstone < e->now_us &&
	       e->now_us - tombstone > e->resources.age_us;
}

static int expire_deleted(struct expirer *e, struct listing *l, const char *repository,
	const char *namespace, const char *name, uint64_t needed, struct error *err)
{
	struct digest latest;
	uint64_t tombstone;
	bool bury_it;
	size_t n;

	if (registry_resolve(e->registry, repository, "latest", &latest, err) != 0)
		return err->code == ERROR_NOT_FOUND ? 0 : -1;
	if (find_tombstone(&tombstone, l, &latest, namespace, name, err) != 0)
		return -1;
	/* Not what a deleted resource looks like: a commit is under way, or was never finished. */
	if (tombstone == 0 && !l->more)
		return 0;
	bury_it = tombstone != 0 && may_be_buried(e, l, tombstone, needed);
	if (tombstone != 0)
		end_at(l, tombstone);
	n = bury_it ? l->n - 1 : expiry_count(l->list, &l->n, &e->resources, e->now_us);
	if (take_away(e, l, n, repository, &latest, err) != 0)
		return -1;
	return bury_it ? bury(e, repository, tombstone, &latest, err) : 0;
}

static int expire_resource_once(struct expirer *e, const char *namespace, const char *name,
	uint64_t current, uint64_t needed, bool *ret_more, struct error *err)
{
	CLEANUP(listing_done)
	struct listing l = {
		.expirer = e, .letter = 'v', .sorted = e->registry->atomic, .others = BUF_INIT(0)};
	char repository[RESOURCE_REPOSITORY_SIZE];
	uint64_t before = e->n_tags;
	size_t n;

	l.young_us = UINT64_MAX;
	resource_repository(namespace, name, repository);
	if (list_tags(&l, e->registry, repository, err) != 0)
		return -1;
	if (l.n == 0) {
		*ret_more = false;
		return 0;
	}
	if (current == 0) {
		if (expire_deleted(e, &l, repository, namespace, name, needed, err) != 0)
			return -1;
	} else {
		end_at(&l, current);
		n = expiry_count(l.list, &l.n, &e->resources, e->now_us);
		if (take_away(e, &l, n, repository, NULL, err) != 0)
			return -1;
	}
	*ret_more = l.more && e->n_tags > before;
	return 0;
}

int expire_resource(struct expirer *e, const char *namespace, const char *name, uint64_t current,
	uint64_t needed, struct error *err)
{
	bool more = true;

	while (more)
		if (expire_resource_once(e, namespace, name, current, needed, &more, err) != 0)
			return -1;
	return 0;
}
