/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests by tag and digest (distribution-spec, "Pulling manifests", "Pushing manifests"). */
#include "registry/service.h"

#include "http/uri.h"
#include "oci/reference.h"

#include <stdio.h>

/* ---- GET, HEAD ---- */

static int check_reference(struct call *c, struct error *err)
{
	struct slice reference = slice_of(c->reference);

	if (oci_tag_ok(reference))
		return 0;
	if (strchr(c->reference, ':') != NULL)
		return call_digest(c, reference, &c->digest, err);
	return error_set(err, ERROR_NOT_FOUND,
		"no manifest can have this name: it is neither a tag nor a digest");
}

int manifest_get(struct call *c, struct error *err)
{
	CLEANUP(store_manifest_done) struct store_manifest m;
	CLEANUP(store_reader_donep) struct store_conn *reader = NULL;
	char text[DIGEST_TEXT_SIZE], etag[DIGEST_TEXT_SIZE + 2];

	store_manifest_init(&m);
	if (check_reference(c, err) != 0)
		return -1;
	reader = store_reader(c->e->store);
	if (store_manifest_get(reader, slice_of(c->repository), slice_of(c->reference), &m, err) !=
		0)
		return -1;
	snprintf(etag, sizeof(etag), "\"%s\"", digest_format(&m.digest, text));
	if (c->header != NULL && strcmp(c->header, etag) == 0)
		c->reply.status = 304;
	http_reply_header(&c->reply, "Content-Type", "%s", m.media_type);
	http_reply_header(&c->reply, "ETag", "%s", etag);
	call_reply_digest(c, &m.digest);
	buf_done(&c->reply.body);
	c->reply.body = m.bytes;
	m.bytes = (struct buf)BUF_INIT(LIMIT_MANIFEST);
	return 0;
}

/* ---- PUT ---- */

static void collected(struct http_exchange *x, struct slice body, void *arg)
{
	struct call *c = arg;

	buf_add(&c->body, body);
	if (buf_check(&c->body, &c->err) != 0)
		return call_answer(x, c);
	(body.n <= LIMIT_RUN_HERE ? call_run_here : call_run)(x, c);
}

void manifest_collect(struct http_exchange *x, struct call *c)
{
	http_exchange_collect(x, LIMIT_MANIFEST, collected, c);
}

/* What the header, or else the document, or else its form says; all must agree. */
static int media_type(
	const struct call *c, const struct oci_manifest *m, struct slice *ret, struct error *err)
{
	struct slice type = SLICE_NONE;
	enum oci_manifest_kind kind;
	const char *known;

	if (c->header != NULL) {
		struct slice rest = slice_of(c->header);

		type = slice_trim(slice_cut(&rest, ';'));
	}
	if (m->media_type != NULL) {
		struct slice own = slice_of(m->media_type);

		if (type.n > 0 && !slice_eq(type, own))
			return error_set(err, ERROR_INVALID,
				"the Content-Type is not the mediaType of the manifest, %.100s: "
				"send the same",
				m->media_type);
		type = own;
	}
	if (type.n == 0)
		type = m->kind == OCI_IMAGE ? SLICE(OCI_MEDIA_MANIFEST) : SLICE(OCI_MEDIA_INDEX);
	known = oci_manifest_media_type(type, &kind);
	if (known != NULL && kind == m->kind) {
		*ret = slice_of(known);
		return 0;
	}
	return error_set(err, ERROR_INVALID,
		"the media type %.*s does not fit the manifest: an image has %s, an index %s",
		(int)(type.n < 100 ? type.n : 100), type.p, OCI_MEDIA_MANIFEST, OCI_MEDIA_INDEX);
}

/* The digest that the manifest is stored under: the one in the path, which it must have. */
static int check_digest(struct call *c, bool by_tag, struct error *err)
{
	char got[DIGEST_TEXT_SIZE];
	struct digest want;

	c->digest = digest_of(buf_slice(&c->body));
	if (by_tag)
		return 0;
	if (call_digest(c, slice_of(c->reference), &want, err) != 0)
		return -1;
	c->digest = digest_of_as(want.algorithm, buf_slice(&c->body));
	if (digest_eq(&c->digest, &want))
		return 0;
	c->code = "DIGEST_INVALID";
	return error_set(err, ERROR_INVALID,
		"the manifest's digest is %s, not the one in the path: push it under its own",
		digest_format(&c->digest, got));
}

static int check_tag(struct slice tag, struct error *err)
{
	if (oci_tag_ok(tag))
		return 0;
	return error_set(err, ERROR_INVALID,
		"a tag consists of up to %d letters, digits, \"_\", \".\" and \"-\", and starts "
		"with "
		"neither \".\" nor \"-\"",
		LIMIT_TAG);
}

/* Collects ?tag=1.2&tag=latest in c->tag_text, NUL-terminated. */
static int collect_tags(struct call *c, struct error *err)
{
	struct slice query = slice_of(c->query);
	bool found;

	for (;;) {
		size_t at = c->tag_text.len;

		if (http_query_next(&query, "tag", &found, &c->tag_text, err) != 0)
			return -1;
		if (!found)
			return buf_check(&c->tag_text, err);
		if (check_tag((struct slice){c->tag_text.data + at, c->tag_text.len - at}, err) !=
			0)
			return -1;
		buf_putc(&c->tag_text, '\0');
		c->n_tags++;
	}
}

/* The tag in the path, or those in the query of a push by digest. */
static int parse_tags(struct call *c, bool by_tag, struct error *err)
{
	const char *at;

	if (by_tag) {
		buf_add(&c->tag_text, (struct slice){c->reference, strlen(c->reference) + 1});
		c->n_tags = 1;
	} else if (collect_tags(c, err) != 0) {
		return -1;
	}
	c->tags = calloc(c->n_tags + 1, sizeof(c->tags[0]));
	if (c->tags == NULL || c->tag_text.failed != ERROR_NONE)
		return error_no_memory(err);
	at = c->tag_text.data;
	for (size_t i = 0; i < c->n_tags; i++) {
		c->tags[i] = slice_of(at);
		at += c->tags[i].n + 1;
	}
	return 0;
}

static void reply_created(struct call *c, bool by_tag)
{
	char text[DIGEST_TEXT_SIZE];

	c->reply.status = 201;
	http_reply_header(&c->reply, "Location", "/v2/%s/manifests/%s", c->repository,
		digest_format(&c->digest, text));
	call_reply_digest(c, &c->digest);
	if (c->manifest->has_subject)
		http_reply_header(&c->reply, "OCI-Subject", "%s",
			digest_format(&c->manifest->subject.digest, text));
	for (size_t i = 0; !by_tag && i < c->n_tags; i++)
		http_reply_header(&c->reply, "OCI-Tag", "%.*s", SLICE_ARG(c->tags[i]));
}

static int put_apply(struct call *c, struct store_conn *tx, struct error *err)
{
	struct store_push push = {
		.repository = slice_of(c->repository),
		.n_tags = c->n_tags,
		.tags = c->tags,
		.sparse = true,
		.media_type = c->media_type,
		.bytes = buf_slice(&c->body),
		.digest = c->digest,
		.parsed = c->manifest,
	};

	return store_manifest_put(tx, &push, err);
}

int manifest_put(struct call *c, struct error *err)
{
	bool by_tag = strchr(c->reference, ':') == NULL;

	if (by_tag && check_tag(slice_of(c->reference), err) != 0)
		return -1;
	if (check_digest(c, by_tag, err) != 0 || parse_tags(c, by_tag, err) != 0 ||
		oci_manifest_parse(&c->manifest, buf_slice(&c->body), err) != 0 ||
		media_type(c, c->manifest, &c->media_type, err) != 0)
		return -1;
	reply_created(c, by_tag);
	return call_write(c, put_apply);
}

/* ---- DELETE ---- */

static int delete_tag_apply(struct call *c, struct store_conn *tx, struct error *err)
{
	return store_tag_delete(tx, slice_of(c->repository), slice_of(c->reference), err);
}

static int delete_apply(struct call *c, struct store_conn *tx, struct error *err)
{
	return store_manifest_delete(tx, slice_of(c->repository), &c->digest, err);
}

int manifest_delete(struct call *c, struct error *err)
{
	c->reply.status = 202;
	if (oci_tag_ok(slice_of(c->reference)))
		return call_write(c, delete_tag_apply);
	if (call_digest(c, slice_of(c->reference), &c->digest, err) != 0)
		return -1;
	return call_write(c, delete_apply);
}
