/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/resource.h"

#include "base/clock.h"
#include "intent/manifest.h"
#include "intent/text.h"

#include <stdio.h>

#define LAYER_TYPE "application/vnd.gitops-squared.manifest.v1+yaml"
#define LAYER_VERSION "io.gitops-squared.resource.version"
#define LAYER_TITLE "platformresource.yaml"

int resource_new(struct resource **ret, struct intent *intent, uint64_t version,
	const struct digest *digest, struct error *err)
{
	struct resource *r = malloc(sizeof(*r));

	if (r == NULL)
		return error_no_memory(err);
	*r = (struct resource){
		.refs = 1,
		.version = version,
		.intent = intent_ref(intent),
		.digest = *digest,
	};
	*ret = r;
	return 0;
}

struct resource *resource_ref(struct resource *r)
{
	__atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
	return r;
}

/* True: that was the last one. */
static bool drop_reference(struct resource *r)
{
	return r != NULL && __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL) == 0;
}

static void free_resource(struct resource *r)
{
	free(r->hold);
	intent_unref(r->intent);
	free(r);
}

void resource_unref(struct resource *r)
{
	struct resource *instead; /* which is not held itself */

	if (!drop_reference(r))
		return;
	instead = r->hold == NULL ? NULL : r->hold->instead;
	free_resource(r);
	if (drop_reference(instead))
		free_resource(instead);
}

/* ---- holds ---- */

static const char *const hold_reasons[HOLD_REASONS_] = {
	[HOLD_REFUSED] = "refused",
	[HOLD_NAMESPACE] = "namespace",
};

const char *hold_reason_name(enum hold_reason reason)
{
	ASSERT(reason < HOLD_REASONS_);
	return hold_reasons[reason];
}

/* One line: runs of blanks and of what is no text become one space, none at either end. What is cut
 * is cut between characters. Made again of what came out it is the same, so that a catalog can tell
 * whether it reads what was written. */
static size_t make_line(const char *text, char ret[LIMIT_HOLD_MESSAGE + 1])
{
	struct slice rest = slice_of(text);
	bool blank = false;
	size_t n = 0;

	while (rest.n > 0) {
		struct slice at = rest;
		uint32_t c;

		if (!utf8_next(&rest, &c)) {
			rest = (struct slice){at.p + 1, at.n - 1};
			c = 0;
		}
		if (c == ' ' || !intent_char_ok(c)) {
			blank = n > 0;
			continue;
		}
		at.n -= rest.n;
		if (n + blank + at.n > LIMIT_HOLD_MESSAGE)
			break;
		if (blank)
			ret[n++] = ' ';
		memcpy(ret + n, at.p, at.n);
		n += at.n;
		blank = false;
	}
	ret[n] = '\0';
	return n;
}

/* The message is in the same block of memory. */
static struct hold *make_hold(
	enum hold_reason reason, struct resource *instead, const char *message)
{
	char line[LIMIT_HOLD_MESSAGE + 1];
	size_t n = make_line(message, line);
	struct hold *hold = malloc(sizeof(*hold) + n + 1);

	if (hold == NULL)
		return NULL;
	*hold = (struct hold){
		.reason = reason,
		.instead = instead == NULL ? NULL : resource_ref(instead),
		.message = memcpy(hold + 1, line, n + 1),
	};
	return hold;
}

static bool is_earlier(const struct resource *instead, const struct resource *accepted)
{
	return instead->version < accepted->version && instead->hold == NULL &&
	       strcmp(instead->intent->namespace, accepted->intent->namespace) == 0 &&
	       strcmp(instead->intent->name, accepted->intent->name) == 0;
}

int resource_new_held(struct resource **ret, const struct resource *accepted,
	enum hold_reason reason, struct resource *instead, const char *message, struct error *err)
{
	CLEANUP(resource_unrefp) struct resource *r = NULL;

	ASSERT(reason < HOLD_REASONS_ && (instead == NULL || is_earlier(instead, accepted)));
	if (resource_new(&r, accepted->intent, accepted->version, &accepted->digest, err) != 0)
		return -1;
	r->hold = make_hold(reason, instead, message);
	if (r->hold == NULL)
		return error_no_memory(err);
	*ret = TAKE_PTR(r);
	return 0;
}

const struct resource *resource_published(const struct resource *r)
{
	return r->hold == NULL ? r : r->hold->instead;
}

void resource_repository(
	const char *namespace, const char *name, char ret[RESOURCE_REPOSITORY_SIZE])
{
	int n = snprintf(
		ret, RESOURCE_REPOSITORY_SIZE, RESOURCE_REPOSITORY_PREFIX "%s/%s", namespace, name);

	ASSERT(n > 0 && (size_t)n < RESOURCE_REPOSITORY_SIZE);
}

bool resource_repository_parse(
	struct slice repository, char namespace[LIMIT_NAME + 1], char name[LIMIT_NAME + 1])
{
	const size_t prefix = strlen(RESOURCE_REPOSITORY_PREFIX);
	struct slice rest, first;

	if (!slice_starts(repository, SLICE(RESOURCE_REPOSITORY_PREFIX)))
		return false;
	rest = (struct slice){repository.p + prefix, repository.n - prefix};
	first = slice_cut(&rest, '/');
	if (!intent_name_ok(first) || !intent_name_ok(rest))
		return false;
	snprintf(namespace, LIMIT_NAME + 1, "%.*s", SLICE_ARG(first));
	snprintf(name, LIMIT_NAME + 1, "%.*s", SLICE_ARG(rest));
	return true;
}

void resource_tag(uint64_t version, char ret[RESOURCE_TAG_SIZE])
{
	char room[U64_DIGITS];
	struct slice digits = u64_digits(version, room);

	ret[0] = 'v';
	memcpy(ret + 1, digits.p, digits.n);
	ret[1 + digits.n] = '\0';
}

bool resource_tag_parse(struct slice tag, uint64_t *ret_version)
{
	return tag.n > 1 && tag.p[0] == 'v' && tag.p[1] != '0' &&
	       slice_to_u64((struct slice){tag.p + 1, tag.n - 1}, ret_version);
}

struct version_of {
	const char *namespace, *name;
	uint64_t version;
	bool tombstone;
};

static void write_manifest(const struct version_of *of, const struct digest *layer,
	uint64_t layer_size, struct buf *ret)
{
	char tag[RESOURCE_TAG_SIZE], created[CLOCK_RFC3339_SIZE];
	struct oci_annotation layer_annotations[5], annotations[4];
	size_t n_layer = 0, n = 0;
	struct oci_manifest_draft draft;

	resource_tag(of->version, tag);
	clock_rfc3339(of->version, created);
	if (of->tombstone) {
		struct oci_annotation deleted = {"io.gitops-squared.resource.deleted", "true"};

		layer_annotations[n_layer++] = deleted;
		annotations[n++] = deleted;
	}
	annotations[n++] = (struct oci_annotation){"io.gitops-squared.resource.name", of->name};
	annotations[n++] =
		(struct oci_annotation){"io.gitops-squared.resource.namespace", of->namespace};
	annotations[n++] = (struct oci_annotation){"org.opencontainers.image.created", created};
	layer_annotations[n_layer++] =
		(struct oci_annotation){"io.gitops-squared.resource.name", of->name};
	layer_annotations[n_layer++] =
		(struct oci_annotation){"io.gitops-squared.resource.namespace", of->namespace};
	layer_annotations[n_layer++] = (struct oci_annotation){LAYER_VERSION, tag};
	layer_annotations[n_layer++] =
		(struct oci_annotation){"org.opencontainers.image.title", LAYER_TITLE};

	draft = (struct oci_manifest_draft){
		.artifact_type = RESOURCE_ARTIFACT_TYPE,
		.config = {.media_type = OCI_MEDIA_EMPTY,
			.digest = oci_empty_digest,
			.size = OCI_EMPTY.n},
		.layer = {.media_type = LAYER_TYPE,
			.digest = *layer,
			.size = layer_size,
			.n_annotations = n_layer,
			.annotations = layer_annotations},
		.n_annotations = n,
		.annotations = annotations,
	};
	oci_manifest_write(&draft, ret);
}

/* Manifest and digests around a layer that is already in place. */
static int finish(struct artifact *a, const struct version_of *of, struct error *err)
{
	if (buf_check(&a->layer, err) != 0)
		return -1;
	a->layer_digest = digest_of(buf_slice(&a->layer));
	write_manifest(of, &a->layer_digest, a->layer.len, &a->manifest);
	if (buf_check(&a->manifest, err) != 0)
		return -1;
	a->digest = digest_of(buf_slice(&a->manifest));
	return 0;
}

static void artifact_init(struct artifact *a)
{
	*a = (struct artifact){
		.layer = BUF_INIT(LIMIT_INTENT_YAML),
		.manifest = BUF_INIT(LIMIT_MANIFEST),
	};
}

static struct version_of version_of(const struct intent *intent, uint64_t version)
{
	return (struct version_of){
		.namespace = intent->namespace, .name = intent->name, .version = version};
}

int artifact_of_resource(
	struct artifact *ret, const struct intent *intent, uint64_t version, struct error *err)
{
	struct version_of of = version_of(intent, version);
	struct artifact a;

	artifact_init(&a);
	intent_render(intent, version, &a.layer);
	if (finish(&a, &of, err) != 0) {
		artifact_done(&a);
		return -1;
	}
	*ret = a;
	return 0;
}

int artifact_of_tombstone(struct artifact *ret, const char *namespace, const char *name,
	uint64_t version, struct error *err)
{
	struct version_of of = {namespace, name, version, true};
	struct artifact a;

	artifact_init(&a);
	buf_printf(&a.layer, "# deleted: %s/%s\n", namespace, name);
	if (finish(&a, &of, err) != 0) {
		artifact_done(&a);
		return -1;
	}
	*ret = a;
	return 0;
}

int artifact_digest(struct digest *ret, const struct intent *intent, uint64_t version,
	struct slice layer, struct error *err)
{
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(LIMIT_MANIFEST);
	struct digest layer_digest = digest_of(layer);
	struct version_of of = version_of(intent, version);

	write_manifest(&of, &layer_digest, layer.n, &manifest);
	if (buf_check(&manifest, err) != 0)
		return -1;
	*ret = digest_of(buf_slice(&manifest));
	return 0;
}

uint64_t artifact_version(const struct oci_manifest *m)
{
	uint64_t version = 0;

	for (size_t i = 0; m->n_children > 0 && i < m->children[0].n_annotations; i++) {
		const struct oci_annotation *a = &m->children[0].annotations[i];

		if (strcmp(a->key, LAYER_VERSION) == 0 &&
			!resource_tag_parse(slice_of(a->value), &version))
			version = 0;
	}
	return version <= LIMIT_VERSION ? version : 0;
}

int artifact_is_tombstone(bool *ret, const struct digest *digest, const char *namespace,
	const char *name, uint64_t version, struct error *err)
{
	struct artifact tombstone;

	if (artifact_of_tombstone(&tombstone, namespace, name, version, err) != 0)
		return -1;
	*ret = digest_eq(&tombstone.digest, digest);
	artifact_done(&tombstone);
	return 0;
}

void artifact_done(struct artifact *a)
{
	buf_done(&a->layer);
	buf_done(&a->manifest);
}
