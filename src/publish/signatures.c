/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/signatures.h"

#include "base/parallel.h"

#include <stdio.h>

/* ---- tags ---- */

/* Without its end: the tag of the referrers' index (distribution-spec, "Referrers Tag Schema"). */
static int write_stem(const struct digest *subject, char ret[SIGNATURES_TAG_SIZE])
{
	char text[SIGNATURE_TAG_SIZE];

	signature_tag(subject, text);
	return snprintf(
		ret, SIGNATURES_TAG_SIZE, "%.*s", (int)(strlen(text) - strlen(".sig")), text);
}

static void write_bundle_tag(const struct digest *subject, char ret[SIGNATURES_TAG_SIZE])
{
	int n = write_stem(subject, ret);

	snprintf(ret + n, SIGNATURES_TAG_SIZE - (size_t)n, ".bundle");
}

void signatures_tags(const struct digest *subject, char ret[SIGNATURES_TAGS][SIGNATURES_TAG_SIZE])
{
	write_stem(subject, ret[0]);
	write_bundle_tag(subject, ret[1]);
	signature_tag(subject, ret[2]);
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
	struct signed_manifest *m;

	if (s->n == s->cap) {
		size_t cap = s->cap == 0 ? 4 : 2 * s->cap;
		struct signed_manifest *grown = realloc(s->list, cap * sizeof(*grown));

		if (grown == NULL)
			return error_no_memory(err);
		s->list = grown;
		s->cap = cap;
	}
	m = &s->list[s->n++];
	*m = (struct signed_manifest){.digest = *digest, .size = size};
	snprintf(m->repository, sizeof(m->repository), "%s", repository);
	write_bundle_tag(digest, m->bundle_tag);
	return 0;
}

static int sign_one(struct signed_manifest *m, const struct signing *signing, struct error *err)
{
	AUTO_FREE char *name = str_printf(
		"%s%s", signing->location == NULL ? "" : signing->location, m->repository);
	const struct signature_subject subject = {
		.repository = name,
		.digest = m->digest,
		.size = m->size,
		.media_type = OCI_MEDIA_MANIFEST,
	};

	if (name == NULL)
		return error_no_memory(err);
	if (signature_make(&m->signature, signing->key, &subject, err) != 0)
		return -1;
	m->made = true;
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

	parallel_each(s->n, run_one, &making);
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
	for (size_t i = 0; i < s->n; i++) {
		const struct signed_manifest *m = &s->list[i];

		ret[i] = push_of(m, m->bundle_tag, &m->signature.bundle, m->bundle);
		ret[s->n + i] = push_of(m, m->signature.tag, &m->signature.simple, NULL);
	}
	return SIGNATURES_PUSHES * s->n;
}
