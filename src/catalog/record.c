/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/record.h"

#include "base/clock.h"
#include "base/json.h"
#include "intent/intent.h"
#include "oci/json_read.h"
#include "oci/reference.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const op_names[RECORD_OPS_] = {
	[RECORD_CREATE] = "create",
	[RECORD_UPDATE] = "update",
	[RECORD_DELETE] = "delete",
	[RECORD_HOLD] = "hold",
	[RECORD_RELEASE] = "release",
};

static const char *const step_names[] = {
	[RECORD_FREEZE] = "freeze",
	[RECORD_SWITCH] = "switch",
};

const char *record_op_name(enum record_op op)
{
	ASSERT(op < RECORD_OPS_);
	return op_names[op];
}

void record_done(struct record *r)
{
	free(r->who);
	free(r->from);
	free(r->why);
	author_unref(r->frozen.by);
	free(r->keyed_before);
	for (size_t i = 0; i < r->n_changes; i++)
		author_unref(r->changes[i].author);
	free(r->changes);
	free(r->catalogs);
	*r = (struct record){0};
}

void record_tag(uint64_t version, char ret[RECORD_TAG_SIZE])
{
	snprintf(ret, RECORD_TAG_SIZE, "c%" PRIu64, version);
}

bool record_tag_parse(struct slice tag, uint64_t *ret_version)
{
	return tag.n > 1 && tag.p[0] == 'c' && tag.p[1] != '0' &&
	       slice_to_u64((struct slice){tag.p + 1, tag.n - 1}, ret_version);
}

struct record_freeze record_freeze_copy(const struct record_freeze *f)
{
	return (struct record_freeze){f->by == NULL ? NULL : author_ref(f->by), f->since};
}

/* ---- writing ---- */

static void member_digest(struct buf *b, const char *key, const struct digest *d)
{
	char text[DIGEST_TEXT_SIZE];

	json_member_cstr(b, key, digest_format(d, text));
}

/* from and why may be NULL. */
static void add_author(struct buf *b, const char *who, const char *from, const char *why)
{
	json_member_cstr(b, "who", who);
	if (from != NULL)
		json_member_cstr(b, "from", from);
	if (why != NULL)
		json_member_cstr(b, "why", why);
}

/* Does the record itself say who made the change? */
static bool is_records(const struct author *a, const struct record *r)
{
	return cstr_same(a->who, r->who) && cstr_same(a->from, r->from) &&
	       cstr_same(a->why, r->why);
}

static void add_change(
	struct buf *b, const struct record_change *change, const struct record *record)
{
	char tag[RESOURCE_TAG_SIZE];

	resource_tag(change->version, tag);
	json_begin_object(b);
	json_member_cstr(b, "op", record_op_name(change->op));
	json_member_cstr(b, "namespace", change->namespace);
	json_member_cstr(b, "name", change->name);
	json_member_cstr(b, "version", tag);
	member_digest(b, "digest", &change->digest);
	if (change->author != NULL && !is_records(change->author, record))
		add_author(b, change->author->who, change->author->from, change->author->why);
	json_end_object(b);
}

static void add_freeze(struct buf *b, const struct record_freeze *frozen)
{
	if (frozen->by == NULL)
		return;
	json_key(b, "frozen");
	json_begin_object(b);
	add_author(b, frozen->by->who, frozen->by->from, frozen->by->why);
	json_member_u64(b, "since", frozen->since);
	json_end_object(b);
}

static void add_key_members(struct buf *b, const struct record_key *key)
{
	member_digest(b, "key", &key->key);
	member_digest(b, "request", &key->request);
}

static void add_keys(struct buf *b, const struct record *r)
{
	if (r->key.is_set) {
		json_key(b, "idempotency");
		json_begin_object(b);
		add_key_members(b, &r->key);
		json_key(b, "before");
		json_begin_array(b);
		for (size_t i = 0; i < r->n_keyed_before; i++) {
			const struct record_keyed_commit *c = &r->keyed_before[i];

			json_begin_object(b);
			add_key_members(b, &c->key);
			json_member_u64(b, "version", c->version);
			member_digest(b, "record", &c->record);
			json_end_object(b);
		}
		json_end_array(b);
		json_end_object(b);
	}
	if (r->keyed.is_set)
		member_digest(b, "keyed", &r->keyed.record);
}

/* Levels that are the last one again are left out. */
static void add_ancestry(struct buf *b, const struct record_ancestry *a)
{
	size_t n = RECORD_LEVELS;

	if (!a->is_known)
		return;
	json_member_u64(b, "height", a->height);
	if (a->parent_version == 0)
		return;
	json_member_u64(b, "parentVersion", a->parent_version);
	while (n > 1 && a->at[n - 1].version == a->at[n - 2].version)
		n--;
	json_key(b, "ancestors");
	json_begin_array(b);
	for (size_t i = 0; i < n; i++) {
		json_begin_object(b);
		json_member_u64(b, "version", a->at[i].version);
		member_digest(b, "digest", &a->at[i].digest);
		json_end_object(b);
	}
	json_end_array(b);
}

static void add_layout(struct buf *b, const struct layout *layout)
{
	json_member_cstr(b, "layout", layout_kind_name(layout->kind));
	if (layout->kind == LAYOUT_SPLIT)
		json_member_u64(b, "catalogsPerNamespace", layout->catalogs);
}

static void add_root(struct buf *b, const struct root_options *root)
{
	char url[ROOT_URL_SIZE];

	if (root->location[0] != '\0') {
		root_url(root, url);
		json_member_cstr(b, "catalogUrl", url);
	}
	if (root->secret[0] != '\0')
		json_member_cstr(b, "catalogSecret", root->secret);
	if (root->woken) {
		json_member_bool(b, "catalogsWoken", true);
	}
	if (root->accounts) {
		json_member_bool(b, "catalogAccounts", true);
	}
	if (root->verify[0] != '\0')
		json_member_cstr(b, "catalogVerify", root->verify);
	if (root->ca[0] != '\0')
		json_member_cstr(b, "catalogCa", root->ca);
}

static void add_repartition(struct buf *b, const struct record_repartition *repartition)
{
	if (repartition->step == RECORD_SETTLED)
		return;
	json_key(b, "repartition");
	json_begin_object(b);
	json_member_cstr(b, "step", step_names[repartition->step]);
	add_layout(b, &repartition->other);
	json_end_object(b);
}

void record_write(const struct record *r, struct buf *ret)
{
	char when[CLOCK_RFC3339_SIZE];

	clock_rfc3339(r->version, when);
	json_begin_object(ret);
	json_member_u64(ret, "format", RECORD_FORMAT);
	json_member_u64(ret, "version", r->version);
	json_member_cstr(ret, "when", when);
	add_author(ret, r->who, r->from, r->why);
	if (r->has_parent)
		member_digest(ret, "parent", &r->parent);
	add_ancestry(ret, &r->ancestry);
	add_layout(ret, &r->layout);
	if (r->layout.kind == LAYOUT_SPLIT)
		add_root(ret, &r->root);
	add_repartition(ret, &r->repartition);
	add_freeze(ret, &r->frozen);
	add_keys(ret, r);
	json_key(ret, "changes");
	json_begin_array(ret);
	for (size_t i = 0; i < r->n_changes; i++)
		add_change(ret, &r->changes[i], r);
	json_end_array(ret);
	json_key(ret, "catalogs");
	json_begin_array(ret);
	for (size_t i = 0; i < r->n_catalogs; i++) {
		json_begin_object(ret);
		json_member_cstr(ret, "repository", r->catalogs[i].repository);
		member_digest(ret, "digest", &r->catalogs[i].digest);
		json_end_object(ret);
	}
	json_end_array(ret);
	member_digest(ret, "state", &r->state);
	json_end_object(ret);
}

void record_manifest(
	const struct digest *layer, uint64_t layer_size, uint64_t version, struct buf *ret)
{
	char tag[RECORD_TAG_SIZE], created[CLOCK_RFC3339_SIZE];
	struct oci_annotation annotations[] = {
		{"org.opencontainers.image.created", created},
		{"org.opencontainers.image.revision", tag},
	};
	struct oci_manifest_draft draft = {
		.artifact_type = RECORD_ARTIFACT_TYPE,
		.config = {.media_type = OCI_MEDIA_EMPTY,
			.digest = oci_empty_digest,
			.size = OCI_EMPTY.n},
		.layer = {.media_type = RECORD_MEDIA, .digest = *layer, .size = layer_size},
		.n_annotations = ARRAY_SIZE(annotations),
		.annotations = annotations,
	};

	record_tag(version, tag);
	clock_rfc3339(version, created);
	oci_manifest_write(&draft, ret);
}

/* ---- reading ---- */

static int malformed(const char *what, struct error *err)
{
	return error_set(err, ERROR_INTERNAL, "the commit record is damaged: %s", what);
}

/* What is not allowed of an author, as author_check() says it. */
static int malformed_author(struct error *err)
{
	if (err->code != ERROR_INVALID)
		return -1;
	err->code = ERROR_INTERNAL;
	return error_wrap(err, "the commit record is damaged");
}

/* A string member's value, or SLICE_NONE. */
static struct slice get_string(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_string(value))
		return SLICE_NONE;
	return (struct slice){json_string_value(value), json_string_length(value)};
}

static bool get_digest(const json_t *object, const char *key, struct digest *ret)
{
	struct error ignored = ERROR_INIT;

	return digest_parse(ret, get_string(object, key), &ignored) == 0;
}

static bool read_op(struct slice name, enum record_op *ret)
{
	for (size_t i = 0; i < RECORD_OPS_; i++) {
		if (slice_eq(name, slice_of(op_names[i]))) {
			*ret = (enum record_op)i;
			return true;
		}
	}
	return false;
}

/* Where nobody is named *ret stays as it is. */
static int read_author(struct author **ret, const json_t *object, struct error *err)
{
	struct slice who = get_string(object, "who"), from = get_string(object, "from");
	AUTO_FREE char *who_text = slice_dup(who), *from_text = slice_dup(from);

	if (json_object_get(object, "who") == NULL)
		return 0;
	if (who.n == 0)
		return malformed("an author", err);
	if (who_text == NULL || from_text == NULL)
		return error_no_memory(err);
	if (author_new(ret, who_text, from_text, get_string(object, "why"), err) == 0)
		return 0;
	return malformed_author(err);
}

static int read_change(struct record_change *ret, const json_t *object, struct error *err)
{
	struct slice namespace = get_string(object, "namespace"), name = get_string(object, "name");

	if (!intent_name_ok(namespace) || !intent_name_ok(name))
		return malformed("a change", err);
	snprintf(ret->namespace, sizeof(ret->namespace), "%.*s", SLICE_ARG(namespace));
	snprintf(ret->name, sizeof(ret->name), "%.*s", SLICE_ARG(name));
	if (!read_op(get_string(object, "op"), &ret->op) ||
		!resource_tag_parse(get_string(object, "version"), &ret->version) ||
		ret->version > LIMIT_VERSION || !get_digest(object, "digest", &ret->digest))
		return malformed("a change", err);
	return read_author(&ret->author, object, err);
}

static bool read_catalog(const json_t *object, struct record_catalog *ret)
{
	struct slice repository = get_string(object, "repository");

	if (!oci_repository_ok(repository))
		return false;
	snprintf(ret->repository, sizeof(ret->repository), "%.*s", SLICE_ARG(repository));
	return get_digest(object, "digest", &ret->digest);
}

/* After a switch the catalogs of the layout before are emptied, and named too. */
static bool is_catalog(const struct record *r, struct slice repository)
{
	struct place place;

	return slice_eq(repository, SLICE(CATALOG_REPOSITORY)) ||
	       layout_repository_parse(&r->layout, repository, &place) ||
	       (r->repartition.step == RECORD_SWITCH &&
		       layout_repository_parse(&r->repartition.other, repository, &place));
}

/* Tags are moved where a record says so: it may not name a repository that is no catalog. */
static int check_catalogs(const struct record *r, struct error *err)
{
	for (size_t i = 0; i < r->n_catalogs; i++) {
		const char *repository = r->catalogs[i].repository;

		if (!is_catalog(r, slice_of(repository)))
			return error_set(err, ERROR_INTERNAL,
				"the commit record is damaged: %s is no catalog of its layout",
				repository);
	}
	return 0;
}

static int read_lists(struct record *r, const json_t *root, struct error *err)
{
	const json_t *changes = json_object_get(root, "changes");
	const json_t *catalogs = json_object_get(root, "catalogs");

	if (!json_is_array(changes) || !json_is_array(catalogs))
		return malformed("a list is missing", err);
	r->changes = calloc(json_array_size(changes) + 1, sizeof(r->changes[0]));
	r->catalogs = calloc(json_array_size(catalogs) + 1, sizeof(r->catalogs[0]));
	if (r->changes == NULL || r->catalogs == NULL)
		return error_no_memory(err);
	for (; r->n_changes < json_array_size(changes); r->n_changes++)
		if (read_change(&r->changes[r->n_changes], json_array_get(changes, r->n_changes),
			    err) != 0)
			return -1;
	for (; r->n_catalogs < json_array_size(catalogs); r->n_catalogs++)
		if (!read_catalog(
			    json_array_get(catalogs, r->n_catalogs), &r->catalogs[r->n_catalogs]))
			return malformed("a catalog", err);
	return check_catalogs(r, err);
}

static int read_layout(struct layout *ret, const json_t *root, struct error *err)
{
	const json_t *catalogs = json_object_get(root, "catalogsPerNamespace");
	struct slice kind = get_string(root, "layout");

	if (kind.n == 0)
		return malformed("no layout", err);
	if (!layout_kind_parse(kind, &ret->kind))
		return error_set(err, ERROR_UNAVAILABLE,
			"the store has layout %.*s, which this program does not know: use a newer "
			"gsq",
			kind.n < 40 ? (int)kind.n : 40, kind.p);
	ret->catalogs = 1;
	if (ret->kind == LAYOUT_SINGLE)
		return 0;
	if (!json_is_integer(catalogs) || json_integer_value(catalogs) < 1 ||
		json_integer_value(catalogs) > LIMIT_LAYOUT_CATALOGS)
		return malformed("the number of catalogs", err);
	ret->catalogs = (unsigned)json_integer_value(catalogs);
	return 0;
}

/* The name of a Secret; may be left out. */
static int read_secret(
	char ret[LIMIT_SECRET_NAME + 1], const json_t *root, const char *member, struct error *err)
{
	const json_t *secret = json_object_get(root, member);
	struct error why = ERROR_INIT;

	if (secret == NULL || (json_is_string(secret) &&
				      root_secret_parse(ret, json_string_value(secret), &why) == 0))
		return 0;
	return malformed("a Secret of the catalogs", err);
}

/* Each may be left out. */
static int read_root(struct root_options *ret, const json_t *root, struct error *err)
{
	const json_t *url = json_object_get(root, "catalogUrl");
	const json_t *woken = json_object_get(root, "catalogsWoken");
	const json_t *accounts = json_object_get(root, "catalogAccounts");
	struct error why = ERROR_INIT;

	if (url != NULL &&
		(!json_is_string(url) || root_url_parse(ret, json_string_value(url), &why) != 0))
		return malformed("the address of the catalogs", err);
	if (read_secret(ret->secret, root, "catalogSecret", err) != 0 ||
		read_secret(ret->verify, root, "catalogVerify", err) != 0 ||
		read_secret(ret->ca, root, "catalogCa", err) != 0)
		return -1;
	if (woken != NULL && !json_is_boolean(woken))
		return malformed("the waking of the catalogs", err);
	if (accounts != NULL && !json_is_boolean(accounts))
		return malformed("the accounts of the catalogs", err);
	ret->woken = json_is_true(woken);
	ret->accounts = json_is_true(accounts);
	return 0;
}

static int read_repartition(struct record_repartition *ret, const json_t *root, struct error *err)
{
	const json_t *object = json_object_get(root, "repartition");
	struct slice step = get_string(object, "step");

	if (object == NULL)
		return 0;
	for (size_t i = RECORD_FREEZE; i < ARRAY_SIZE(step_names); i++)
		if (slice_eq(step, slice_of(step_names[i])))
			ret->step = (enum record_repartition_step)i;
	if (ret->step == RECORD_SETTLED)
		return malformed("the step of a repartition", err);
	return read_layout(&ret->other, object, err);
}

static int read_freeze(struct record_freeze *ret, const json_t *root, struct error *err)
{
	const json_t *object = json_object_get(root, "frozen");
	const json_t *since = json_object_get(object, "since");

	if (object == NULL)
		return 0;
	if (read_author(&ret->by, object, err) != 0)
		return -1;
	if (ret->by == NULL || ret->by->why == NULL || !json_is_integer(since) ||
		json_integer_value(since) <= 0 ||
		(uint64_t)json_integer_value(since) > LIMIT_VERSION)
		return malformed("who froze the store, and why", err);
	ret->since = (uint64_t)json_integer_value(since);
	return 0;
}

static bool get_version(const json_t *object, const char *key, uint64_t *ret)
{
	const json_t *version = json_object_get(object, key);

	if (!json_is_integer(version) || json_integer_value(version) <= 0 ||
		(uint64_t)json_integer_value(version) > LIMIT_VERSION)
		return false;
	*ret = (uint64_t)json_integer_value(version);
	return true;
}

static bool read_key(struct record_key *ret, const json_t *object)
{
	ret->is_set = true;
	return get_digest(object, "key", &ret->key) && get_digest(object, "request", &ret->request);
}

static int read_keyed_before(struct record *r, const json_t *list, struct error *err)
{
	size_t n = json_array_size(list);

	if (n > RECORD_KEYED_BEFORE)
		return malformed("the commits with a key before", err);
	r->keyed_before = calloc(n + 1, sizeof(*r->keyed_before));
	if (r->keyed_before == NULL)
		return error_no_memory(err);
	for (; r->n_keyed_before < n; r->n_keyed_before++) {
		struct record_keyed_commit *c = &r->keyed_before[r->n_keyed_before];
		const json_t *object = json_array_get(list, r->n_keyed_before);

		if (!read_key(&c->key, object) || !get_version(object, "version", &c->version) ||
			!get_digest(object, "record", &c->record))
			return malformed("a commit with a key before", err);
	}
	return 0;
}

static int read_keys(struct record *r, const json_t *root, struct error *err)
{
	const json_t *object = json_object_get(root, "idempotency");

	r->keyed.is_set = json_object_get(root, "keyed") != NULL;
	if (r->keyed.is_set && !get_digest(root, "keyed", &r->keyed.record))
		return malformed("the commit with a key before", err);
	if (object == NULL)
		return 0;
	if (!read_key(&r->key, object))
		return malformed("the idempotency key", err);
	return read_keyed_before(r, json_object_get(object, "before"), err);
}

static int read_ancestry(struct record_ancestry *ret, const json_t *root, struct error *err)
{
	const json_t *height = json_object_get(root, "height");
	const json_t *list = json_object_get(root, "ancestors");
	size_t n = json_array_size(list);

	if (height == NULL)
		return 0;
	if (!json_is_integer(height) || json_integer_value(height) < 0 || n > RECORD_LEVELS)
		return malformed("its place in the chain", err);
	ret->is_known = true;
	ret->height = (uint64_t)json_integer_value(height);
	if (ret->height == 0)
		return 0;
	if (n == 0 || !get_version(root, "parentVersion", &ret->parent_version))
		return malformed("its place in the chain", err);
	for (size_t i = 0; i < RECORD_LEVELS; i++) {
		const json_t *object = json_array_get(list, i < n ? i : n - 1);

		if (!get_version(object, "version", &ret->at[i].version) ||
			!get_digest(object, "digest", &ret->at[i].digest))
			return malformed("an ancestor", err);
	}
	return 0;
}

/* Who is in every record; the others may be left out. */
static int read_own_author(struct record *r, const json_t *root, struct error *err)
{
	struct slice who = get_string(root, "who"), from = get_string(root, "from");
	struct slice why = get_string(root, "why");

	if (who.n == 0)
		return malformed("no author", err);
	if (author_check(who, from, why, err) != 0)
		return malformed_author(err);
	r->who = slice_dup(who);
	r->from = from.n > 0 ? slice_dup(from) : NULL;
	r->why = why.n > 0 ? slice_dup(why) : NULL;
	if (r->who == NULL || (from.n > 0 && r->from == NULL) || (why.n > 0 && r->why == NULL))
		return error_no_memory(err);
	return 0;
}

/* Whoever the changes do not name is the record's own. */
static int share_author(struct record *r, struct error *err)
{
	CLEANUP(author_unrefp) struct author *own = NULL;

	if (strcmp(r->who, RECORD_SEVERAL) == 0)
		return 0;
	if (author_new(&own, r->who, r->from != NULL ? r->from : "",
		    r->why != NULL ? slice_of(r->why) : SLICE_NONE, err) != 0)
		return -1;
	for (size_t i = 0; i < r->n_changes; i++)
		if (r->changes[i].author == NULL)
			r->changes[i].author = author_ref(own);
	return 0;
}

static int read_record(struct record *r, const json_t *root, struct error *err)
{
	const json_t *format = json_object_get(root, "format");
	const json_t *version = json_object_get(root, "version");

	if (!json_is_integer(format) || json_integer_value(format) < 1)
		return malformed("no format", err);
	if (json_integer_value(format) > RECORD_FORMAT)
		return error_set(err, ERROR_UNAVAILABLE,
			"the commit record has format %lld and this program reads up to %d: use a "
			"newer gsq",
			(long long)json_integer_value(format), RECORD_FORMAT);
	if (!json_is_integer(version) || json_integer_value(version) <= 0 ||
		(uint64_t)json_integer_value(version) > LIMIT_VERSION)
		return malformed("no version", err);
	r->version = (uint64_t)json_integer_value(version);
	if (read_layout(&r->layout, root, err) != 0)
		return -1;
	if (r->layout.kind == LAYOUT_SPLIT && read_root(&r->root, root, err) != 0)
		return -1;
	if (read_repartition(&r->repartition, root, err) != 0)
		return -1;
	if (read_own_author(r, root, err) != 0 || read_freeze(&r->frozen, root, err) != 0 ||
		read_keys(r, root, err) != 0 || read_ancestry(&r->ancestry, root, err) != 0)
		return -1;
	r->has_parent = json_object_get(root, "parent") != NULL;
	if (r->has_parent && !get_digest(root, "parent", &r->parent))
		return malformed("the parent", err);
	if (!get_digest(root, "state", &r->state))
		return malformed("the state", err);
	if (read_lists(r, root, err) != 0)
		return -1;
	return share_author(r, err);
}

int record_parse(struct record *ret, struct slice json, struct error *err)
{
	CLEANUP(json_decrefp) json_t *root = NULL;
	struct record r = {0};

	if (json_read_object(&root, json, err) != 0) {
		err->code = ERROR_INTERNAL;
		return error_wrap(err, "the commit record is damaged");
	}
	if (read_record(&r, root, err) != 0) {
		record_done(&r);
		return -1;
	}
	*ret = r;
	return 0;
}
