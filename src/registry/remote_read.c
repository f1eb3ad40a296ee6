/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads: each is a small state machine that sends one request at a time, as a push is. There are no
 * more of them than connections: one whose read is done takes the next of the batch, so thousands
 * of reads hold no more memory than their results do.
 *
 *   look: HEAD_TAG -> (GET_TAG) -> done
 *   pull: GET_ARTIFACT -> GET_LAYER -> done
 */
#include "registry/remote_internal.h"

enum step { HEAD_TAG, GET_TAG, GET_MANIFEST, GET_ARTIFACT, GET_LAYER, GET_BLOB, DONE };

struct batch;

struct reader {
	struct batch *batch;
	struct look *look; /* one of these two */
	struct pull *pull;
	struct error *err;    /* of that one */
	const char *manifest; /* its tag or digest */
	struct digest blob;
	enum step step; /* DONE: free for another read */
	struct request request;
};

struct batch {
	struct look *looks; /* one of these two */
	struct pull *pulls;
	size_t n, begun;
	enum step first;
	struct digest blob; /* of GET_BLOB */
	bool filling;
	struct reader readers[LIMIT_PARALLEL_TRANSFERS];
};

static void use_method(struct reader *r, const char *method, const char *accept, size_t body_max)
{
	r->request.method = method;
	r->request.accept = accept;
	r->request.body_max = body_max;
	r->request.transfer = 0;
}

static struct slice body_of(const struct reader *r)
{
	return buf_slice(&r->request.call.response_body);
}

/* ---- manifests ---- */

static int begin_manifest(struct reader *r, struct error *err)
{
	const struct buf *ret = r->pull == NULL ? NULL : &r->pull->manifest;

	use_method(r, "GET", REMOTE_ACCEPT, ret == NULL ? LIMIT_MANIFEST : ret->max - ret->len);
	return request_path(&r->request, err, "manifests/%s", r->manifest);
}

static int parse_said(struct digest *ret, struct slice said, struct error *err)
{
	if (digest_parse(ret, said, err) == 0)
		return 0;
	err->code = ERROR_INTERNAL;
	return error_wrap(err, "the registry's Docker-Content-Digest");
}

/* The answer must have the digest that was asked for, else the one that its header states, else
 * whatever it has. */
static int verify_manifest(struct digest *ret, const struct reader *r, struct error *err)
{
	struct slice said = http_call_header(&r->request.call, REMOTE_DIGEST_HEADER);
	struct digest expected, found;

	if (request_check(&r->request, "reading a manifest", err) != 0)
		return -1;
	if (strchr(r->manifest, ':') != NULL)
		said = slice_of(r->manifest);
	if (said.p == NULL) {
		*ret = digest_of(body_of(r));
		return 0;
	}
	if (parse_said(&expected, said, err) != 0)
		return -1;
	found = digest_of_as(expected.algorithm, body_of(r));
	if (!digest_eq(&found, &expected))
		return error_set(err, ERROR_INTERNAL,
			"the manifest %s is damaged: its bytes do not match its digest",
			r->manifest);
	*ret = found;
	return 0;
}

static int end_manifest(struct reader *r, struct error *err)
{
	struct digest digest;

	if (verify_manifest(&digest, r, err) != 0)
		return -1;
	buf_add(&r->pull->manifest, body_of(r));
	if (buf_check(&r->pull->manifest, err) != 0)
		return -1;
	r->pull->digest = digest;
	return 0;
}

static int end_artifact(struct reader *r, struct error *err)
{
	if (end_manifest(r, err) != 0 || pull_layer(r->pull, &r->blob, err) != 0)
		return -1;
	r->step = GET_LAYER;
	return 0;
}

/* ---- tags ---- */

static int begin_look(struct reader *r, struct error *err)
{
	use_method(r, "HEAD", REMOTE_ACCEPT, REQUEST_ERROR_BODY);
	return request_path(&r->request, err, "manifests/%s", r->manifest);
}

static void saw(struct reader *r, const struct digest *digest)
{
	remote_saw_tag(r->request.remote, r->request.repository, r->manifest, digest);
}

static int end_look(struct reader *r, struct error *err)
{
	struct slice said = http_call_header(&r->request.call, REMOTE_DIGEST_HEADER);

	if (request_check(&r->request, "looking up a tag", err) != 0) {
		if (err->code == ERROR_NOT_FOUND)
			saw(r, NULL);
		return -1;
	}
	if (said.p == NULL) {
		/* Some registries tell the digest on GET only, or not at all. */
		r->step = GET_TAG;
		return 0;
	}
	if (parse_said(&r->look->digest, said, err) != 0)
		return -1;
	saw(r, &r->look->digest);
	return 0;
}

static int end_tag(struct reader *r, struct error *err)
{
	if (verify_manifest(&r->look->digest, r, err) != 0)
		return -1;
	saw(r, &r->look->digest);
	return 0;
}

/* ---- blobs ---- */

static int begin_blob(struct reader *r, struct error *err)
{
	const struct buf *ret = &r->pull->layer;
	char text[DIGEST_TEXT_SIZE];

	use_method(r, "GET", NULL, ret->max - ret->len);
	r->request.transfer = r->request.body_max;
	return request_path(&r->request, err, "blobs/%s", digest_format(&r->blob, text));
}

static int end_blob(struct reader *r, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];
	struct digest found;

	if (request_check(&r->request, "reading a blob", err) != 0)
		return -1;
	found = digest_of_as(r->blob.algorithm, body_of(r));
	if (!digest_eq(&found, &r->blob))
		return error_set(err, ERROR_INTERNAL,
			"the blob %s is damaged: its bytes do not match its digest",
			digest_format(&r->blob, text));
	buf_add(&r->pull->layer, body_of(r));
	return buf_check(&r->pull->layer, err);
}

static int end_layer(struct reader *r, struct error *err)
{
	if (end_blob(r, err) == 0)
		return 0;
	if (err->code == ERROR_NOT_FOUND)
		err->code = ERROR_INTERNAL;
	return -1;
}

/* ---- the machine ---- */

/* end() names the next step where there is one. */
static const struct {
	int (*begin)(struct reader *r, struct error *err);
	int (*end)(struct reader *r, struct error *err);
} steps[] = {
	[HEAD_TAG] = {begin_look, end_look},
	[GET_TAG] = {begin_manifest, end_tag},
	[GET_MANIFEST] = {begin_manifest, end_manifest},
	[GET_ARTIFACT] = {begin_manifest, end_artifact},
	[GET_LAYER] = {begin_blob, end_layer},
	[GET_BLOB] = {begin_blob, end_blob},
};

static void fill(struct batch *batch);

/* Begins the step that is set, if any. */
static void go_on(struct reader *r)
{
	if (r->step != DONE && steps[r->step].begin(r, r->err) != 0)
		r->step = DONE;
	if (r->step == DONE)
		return;
	request_renew(&r->request);
	request_start(&r->request, 0);
}

static void on_request_ended(struct request *req UNUSED, void *arg)
{
	struct reader *r = arg;
	enum step step = r->step;

	r->step = DONE;
	if (steps[step].end(r, r->err) != 0)
		r->step = DONE;
	go_on(r);
	if (r->step == DONE)
		fill(r->batch);
}

static void take(struct reader *r, size_t i)
{
	struct batch *batch = r->batch;
	const char *repository;

	if (batch->looks != NULL) {
		r->look = &batch->looks[i];
		r->err = &r->look->err;
		r->manifest = r->look->tag;
		repository = r->look->repository;
	} else {
		r->pull = &batch->pulls[i];
		r->err = &r->pull->err;
		r->manifest = r->pull->reference;
		repository = r->pull->repository;
	}
	r->blob = batch->blob;
	*r->err = (struct error)ERROR_INIT;
	if (request_repository(&r->request, repository, "pull,push", r->err) == 0)
		r->step = batch->first;
	go_on(r);
}

static struct reader *find_free(struct batch *batch)
{
	for (size_t i = 0; i < ARRAY_SIZE(batch->readers); i++) {
		if (batch->readers[i].step == DONE)
			return &batch->readers[i];
	}
	return NULL;
}

/* Gives reads to those who are free. A read may end before its start returns, which leads here
 * again: then the first of us goes on, lest thousands of failures be as many frames. */
static void fill(struct batch *batch)
{
	struct reader *r;

	if (batch->filling)
		return;
	batch->filling = true;
	while (batch->begun < batch->n && (r = find_free(batch)) != NULL)
		take(r, batch->begun++);
	batch->filling = false;
}

static void run(struct registry *registry, struct batch *batch)
{
	struct remote *remote = (struct remote *)registry;

	for (size_t i = 0; i < ARRAY_SIZE(batch->readers); i++) {
		struct reader *r = &batch->readers[i];

		r->batch = batch;
		r->step = DONE;
		request_init(&r->request, remote);
		r->request.ended = on_request_ended;
		r->request.arg = r;
	}
	fill(batch);
	http_client_drain(remote->client);
	for (size_t i = 0; i < ARRAY_SIZE(batch->readers); i++)
		request_done(&batch->readers[i].request);
}

void remote_look(struct registry *registry, struct look *looks, size_t n)
{
	struct batch batch = {.looks = looks, .n = n, .first = HEAD_TAG};

	run(registry, &batch);
}

void remote_pull(struct registry *registry, struct pull *pulls, size_t n)
{
	struct batch batch = {.pulls = pulls, .n = n, .first = GET_ARTIFACT};

	run(registry, &batch);
}

static int failed(const struct pull *pull, struct error *err)
{
	*err = pull->err;
	return -1;
}

int remote_manifest(struct registry *registry, const char *repository, const char *reference,
	struct buf *ret, struct digest *ret_digest, struct error *err)
{
	struct pull pull = {.repository = repository, .reference = reference, .manifest = *ret};
	struct batch batch = {.pulls = &pull, .n = 1, .first = GET_MANIFEST};

	run(registry, &batch);
	*ret = pull.manifest;
	if (pull.err.code != ERROR_NONE)
		return failed(&pull, err);
	*ret_digest = pull.digest;
	return 0;
}

int remote_blob(struct registry *registry, const char *repository, const struct digest *digest,
	struct buf *ret, struct error *err)
{
	struct pull pull = {.repository = repository, .layer = *ret};
	struct batch batch = {.pulls = &pull, .n = 1, .first = GET_BLOB, .blob = *digest};

	run(registry, &batch);
	*ret = pull.layer;
	return pull.err.code == ERROR_NONE ? 0 : failed(&pull, err);
}
