/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/signatures.h"

#include "base/parallel.h"
#include "catalog/record.h"

#include <stdio.h>

#define PARALLEL_MIN 16

/* ---- tags ---- */

/* The first is the tag of the referrers' index (distribution-spec, "Referrers Tag Schema"). */
size_t signatures_tags(const struct digest *subject, char ret[SIGNATURES_TAGS][SIGNATURES_TAG_SIZE])
{
	char tag[SIGNATURE_TAG_SIZE];
	struct slice end, stem;

	if (!signature_tag(subject, tag))
		return 0;
	end = slice_of(tag);
	stem = slice_cut(&end, '.');
	snprintf(ret[0], SIGNATURES_TAG_SIZE, "%.*s", SLICE_ARG(stem));
	snprintf(ret[1], SIGNATURES_TAG_SIZE, "%.*s.bundle", SLICE_ARG(stem));
	snprintf(ret[2], SIGNATURES_TAG_SIZE, "%s", tag);
	return SIGNATURES_TAGS;
}

bool signatures_is_tag(struct slice tag)
{
	return slice_starts(tag, SLICE("sha256-")) || slice_starts(tag, SLICE("sha512-"));
}

/* ---- making ---- */

void signatures_done(struct signatures *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct signed_manifest *m = &s->list[i];

		if (m->made)
			signature_done(&m->signature);
		oci_manifest_free(m->bundle);
	}
	free(s->list);
	*s = (struct signatures){0};
}

int signatures_add(struct signatures *s, const char *repository, const struct digest *digest,
	uint64_t size, struct error *err)
{
	char tags[SIGNATURES_TAGS][SIGNATURES_TAG_SIZE] = {""};
	struct signed_manifest *m;

	signatures_tags(digest, tags);
	if (s->n == s->cap) {
		size_t cap = s->cap == 0 ? 4 : 2 * s->cap;
		struct signed_manifest *grown = realloc(s->list, cap * sizeof(*grown));

		if (grown == NULL)
			return error_no_memory(err);
		s->list = grown;
		s->cap = cap;
	}
	m = &s->list[s->n++];
	*m = (struct signed_manifest){.digest = *digest,
		.size = size,
		.bundled = strcmp(repository, RECORD_REPOSITORY) != 0};
	snprintf(m->repository, sizeof(m->repository), "%s", repository);
	snprintf(m->bundle_tag, sizeof(m->bundle_tag), "%s", tags[1]);
	return 0;
}

static int sign_one(struct signed_manifest *m, const struct signing *signing, struct error *err)
{
	AUTO_FREE char *name = str_printf(
		"%s%s", signing->location == NULL ? "" : signing->location, m->repository);
	const struct signature_subject subject = {
		.repository = name,
		.digest = m->digest,
		.bundled = m->bundled,
		.size = m->size,
		.media_type = OCI_MEDIA_MANIFEST,
	};

	if (name == NULL)
		return error_no_memory(err);
	if (signature_make(&m->signature, signing->key, &subject, err) != 0)
		return -1;
	m->made = true;
	if (!m->bundled)
		return 0;
	return oci_manifest_parse(&m->bundle, buf_slice(&m->signature.bundle.manifest), err);
}

struct making {
	struct signatures *signatures;
	const struct signing *signing;
};

static void run_one(size_t i, size_t thread UNUSED, void *arg)
{
	const struct making *making = arg;
	struct signed_manifest *m = &making->signatures->list[i];

	if (sign_one(m, making->signing, &m->err) == 0)
		m->err = (struct error)ERROR_INIT;
}

int signatures_make(struct signatures *s, const struct signing *signing, struct error *err)
{
	struct making making = {s, signing};

	signatures_each(s->n, run_one, &making);
	for (size_t i = 0; i < s->n; i++) {
		if (s->list[i].err.code == ERROR_NONE)
			continue;
		*err = s->list[i].err;
		return error_wrap(err, "cannot sign %s", s->list[i].repository);
	}
	return 0;
}

/* ---- pushing ---- */

/* Another signature of the same manifest takes the tag: no two of them are equal. */
static struct push push_of(const struct signed_manifest *m, const char *tag,
	const struct signature_artifact *a, const struct oci_manifest *parsed)
{
	return (struct push){
		.repository = m->repository,
		.tag = tag,
		.media_type = OCI_MEDIA_MANIFEST,
		.manifest = buf_slice(&a->manifest),
		.digest = a->digest,
		.parsed = parsed,
		.n_blobs = ARRAY_SIZE(a->blobs),
		.blobs = a->blobs,
	};
}

size_t signatures_pushes(const struct signatures *s, struct push *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct signed_manifest *m = &s->list[i];

		if (m->bundled)
			ret[n++] = push_of(m, m->bundle_tag, &m->signature.bundle, m->bundle);
	}
	for (size_t i = 0; i < s->n; i++) {
		const struct signed_manifest *m = &s->list[i];

		ret[n++] = push_of(m, m->signature.tag, &m->signature.simple, NULL);
	}
	return n;
}

/* ---- time ---- */

void signatures_each(size_t n, void (*fn)(size_t i, size_t thread, void *arg), void *arg)
{
	if (n >= PARALLEL_MIN) {
		parallel_each(n, fn, arg);
		return;
	}
	for (size_t i = 0; i < n; i++)
		fn(i, 0, arg);
}
