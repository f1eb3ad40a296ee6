/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blob uploads (distribution-spec, "Pushing blobs"): POST alone, POST and PUT, or with PATCHes in
 * between; mounts.
 *
 * A body flows through two buffers: one is filled by the loop while a worker hashes and writes the
 * other. When both are full the connection is paused. An upload that fails is dropped with what it
 * has taken of the disk; one whose connection breaks during a PATCH can be continued after the last
 * byte that came.
 */
#include "registry/service.h"

#include "http/uri.h"
#include "oci/reference.h"

#include <inttypes.h>

/* ---- answers ---- */

static void add_location(struct call *c, const char *id)
{
	http_reply_header(&c->reply, "Location", "/v2/%s/blobs/uploads/%s", c->repository, id);
	http_reply_header(&c->reply, "Docker-Upload-UUID", "%s", id);
}

/* The range is inclusive, so the spec cannot tell no byte from one. */
static void add_progress(struct call *c, uint64_t offset)
{
	http_reply_header(&c->reply, "Range", "0-%" PRIu64, offset > 0 ? offset - 1 : (uint64_t)0);
}

static void reply_open(struct call *c, int status, const char *id, uint64_t offset)
{
	c->reply.status = status;
	add_location(c, id);
	add_progress(c, offset);
}

static void reply_created(struct call *c)
{
	char text[DIGEST_TEXT_SIZE];

	c->reply.status = 201;
	http_reply_header(&c->reply, "Location", "/v2/%s/blobs/%s", c->repository,
		digest_format(&c->digest, text));
	call_reply_digest(c, &c->digest);
}

/* ---- the body, on its way to the upload ---- */

static void drop_job(void *arg)
{
	upload_drop(arg);
}

/* An upload to be continued, and what it has not written yet. */
struct leftover {
	struct upload *upload;
	struct buf first, second;
};

static void keep_job(void *arg)
{
	AUTO_FREE struct leftover *left = arg;
	struct error err = ERROR_INIT;

	if (upload_write(left->upload, buf_slice(&left->first), &err) == 0 &&
		upload_write(left->upload, buf_slice(&left->second), &err) == 0)
		upload_release(left->upload, &err);
	else
		upload_drop(left->upload);
	buf_done(&left->first);
	buf_done(&left->second);
}

static void move_buf(struct buf *to, struct buf *from)
{
	*to = *from;
	buf_init(from, from->max);
}

void upload_abandon(struct call *c)
{
	struct leftover *left = c->drop_when_cut ? NULL : calloc(1, sizeof(*left));
	struct error err = ERROR_INIT;
	void (*job)(void *) = drop_job;
	void *arg = c->upload;

	if (left != NULL) {
		left->upload = c->upload;
		move_buf(&left->first, &c->draining);
		move_buf(&left->second, &c->filling);
		job = keep_job;
		arg = left;
	}
	c->upload = NULL;
	if (workers_submit(c->e->workers, job, arg, &err) != 0)
		job(arg);
}

/* On a worker. */
static int drain(struct call *c, struct buf *b, struct error *err)
{
	int result = upload_write(c->upload, buf_slice(b), err);

	buf_reset(b);
	if (result != 0)
		upload_drop(TAKE_PTR(c->upload));
	return result;
}

static void drain_work(struct call *c)
{
	(void)drain(c, &c->draining, &c->err);
	call_return(c);
}

static void drained(struct http_exchange *x, struct call *c);

static void start_draining(struct http_exchange *x, struct call *c)
{
	struct buf full = c->filling;

	c->filling = c->draining;
	c->draining = full;
	c->draining_now = true;
	call_work(x, c, drain_work, drained);
}

/* On the loop again. */
static void drained(struct http_exchange *x, struct call *c)
{
	c->draining_now = false;
	if (x == NULL)
		return;
	if (c->err.code != ERROR_NONE)
		return call_answer(x, c);
	if (c->ended)
		return call_run(x, c);
	/* A sender that is slower than the disk needs no second buffer. */
	if (!c->paused)
		buf_done(&c->draining);
	if (c->paused) {
		c->paused = false;
		http_exchange_resume(x);
	}
	if (c->filling.len >= LIMIT_UPLOAD_CHUNK)
		start_draining(x, c);
}

static void on_data(struct http_exchange *x, struct slice data, void *arg)
{
	struct call *c = arg;

	buf_add(&c->filling, data);
	if (buf_check(&c->filling, &c->err) != 0)
		return call_answer(x, c);
	if (c->filling.len < LIMIT_UPLOAD_CHUNK)
		return;
	if (!c->draining_now)
		return start_draining(x, c);
	c->paused = true;
	http_exchange_pause(x);
}

static void on_end(struct http_exchange *x, void *arg)
{
	struct call *c = arg;

	c->ended = true;
	if (c->draining_now)
		return;
	/* Most blobs are small: no worker need be woken to hash them. */
	(upload_offset(c->upload) + c->filling.len <= LIMIT_RUN_HERE ? call_run_here : call_run)(
		x, c);
}

/* The exchange frees the call, which leaves or drops the upload. */
static void on_gone(void *arg UNUSED)
{
}

static void stream(struct http_exchange *x, struct call *c)
{
	static const struct http_sink sink = {.data = on_data, .end = on_end, .gone = on_gone};

	if (http_exchange_head(x)->framing == HTTP_NO_BODY)
		return on_end(x, c);
	http_exchange_stream(x, &sink, c);
}

/* ---- POST ---- */

/* Each has a share of all uploads, but for who is nobody: then everybody may do everything. */
static int start(
	struct call *c, enum digest_algorithm algorithm, struct upload **ret, struct error *err)
{
	bool is_known = c->subject != NULL && c->subject->method != AUTH_ANONYMOUS;

	return uploads_start(c->e->uploads, slice_of(c->repository),
		is_known ? slice_of(c->subject->name) : SLICE_NONE, algorithm, ret, err);
}

static int mount_apply(struct call *c, struct store_conn *tx, struct error *err)
{
	struct slice from = c->from[0] == '\0' ? SLICE_NONE : slice_of(c->from);
	struct upload *up;

	/* A blob where it may not look is not there. */
	if (c->may_mount &&
		store_blob_mount(tx, slice_of(c->repository), from, &c->digest, err) == 0) {
		reply_created(c);
		return 0;
	}
	if (c->may_mount && err->code != ERROR_NOT_FOUND)
		return -1;
	/* Not there: the client is to upload it. */
	if (start(c, c->digest.algorithm, &up, err) != 0)
		return -1;
	reply_open(c, 202, upload_id(up), 0);
	return upload_release(up, err);
}

/* *ret_mount: the request names a blob that may be there, in c->digest, and where, in c->from. What
 * is malformed cannot be mounted, so it becomes an ordinary upload (distribution-spec). */
static int parse_mount(struct call *c, bool *ret_mount, struct error *err)
{
	AUTO_FREE char *mount = NULL;
	AUTO_FREE char *from = NULL;
	struct error ignored = ERROR_INIT;

	if (call_query(c, "mount", &mount, err) != 0 || call_query(c, "from", &from, err) != 0)
		return -1;
	*ret_mount = mount != NULL && digest_parse(&c->digest, slice_of(mount), &ignored) == 0 &&
		     (from == NULL || oci_repository_ok(slice_of(from)));
	if (*ret_mount && from != NULL)
		memcpy(c->from, from, strlen(from) + 1);
	return 0;
}

/* The hash that runs along: of digest=, or as digest-algorithm= asks. */
static int parse_digest(
	struct call *c, bool *ret_whole, enum digest_algorithm *ret_algorithm, struct error *err)
{
	AUTO_FREE char *digest = NULL;
	AUTO_FREE char *algorithm = NULL;

	if (call_query(c, "digest", &digest, err) != 0 ||
		call_query(c, "digest-algorithm", &algorithm, err) != 0)
		return -1;
	*ret_whole = digest != NULL;
	if (digest != NULL && call_digest(c, slice_of(digest), &c->digest, err) != 0)
		return -1;
	if (digest != NULL)
		*ret_algorithm = c->digest.algorithm;
	else
		*ret_algorithm = algorithm != NULL && strcmp(algorithm, "sha512") == 0
					 ? DIGEST_SHA512
					 : DIGEST_SHA256;
	return 0;
}

static void commit_mount(
	struct http_exchange *x, struct subject *subject UNUSED, const struct error *err, void *arg)
{
	struct call *c = arg;

	if (x == NULL)
		return;
	c->may_mount = err->code == ERROR_NONE;
	call_commit(x, c, mount_apply);
}

void upload_post(struct http_exchange *x, struct call *c)
{
	enum digest_algorithm algorithm;
	bool mount, whole;

	if (parse_mount(c, &mount, &c->err) != 0)
		return call_answer(x, c);
	if (mount)
		return call_ask_pull(x, c, c->from, commit_mount);
	if (parse_digest(c, &whole, &algorithm, &c->err) != 0 ||
		start(c, algorithm, &c->upload, &c->err) != 0)
		return call_answer(x, c);
	if (whole) {
		c->drop_when_cut = true;
		return stream(x, c);
	}
	reply_open(c, 202, upload_id(c->upload), 0);
	upload_release(TAKE_PTR(c->upload), &c->err);
	call_answer(x, c);
}

/* ---- PATCH ---- */

/* Answers itself when it returns false. */
static bool claim(struct http_exchange *x, struct call *c)
{
	if (uploads_claim(c->e->uploads, slice_of(c->repository), slice_of(c->reference),
		    &c->upload, &c->err) == 0)
		return true;
	call_answer(x, c);
	return false;
}

/* Does the chunk begin where the upload is, and have the length that it says? Without a
 * Content-Length that is seen at its end. */
static bool chunk_fits(struct http_exchange *x, struct call *c)
{
	const struct http_head *head = http_exchange_head(x);
	uint64_t first, last;

	if (c->header == NULL)
		return true;
	if (!http_content_range_parse(slice_of(c->header), &first, &last) ||
		first != upload_offset(c->upload) ||
		(head->framing == HTTP_LENGTH && last - first + 1 != head->content_length))
		return false;
	c->chunk_end = last + 1;
	return true;
}

/* 416, with where to go on; the upload stays as it is. */
static void refuse_chunk(struct http_exchange *x, struct call *c)
{
	struct error err = ERROR_INIT;
	uint64_t offset = upload_offset(c->upload);

	error_set(&err, ERROR_RANGE,
		"the Content-Range is malformed, does not fit the body, or does not start at byte "
		"%" PRIu64 ", where the upload is",
		offset);
	c->code = c->route->invalid;
	call_error_reply(c, &err);
	add_location(c, upload_id(c->upload));
	add_progress(c, offset);
	upload_release(TAKE_PTR(c->upload), &c->err);
	call_answer(x, c);
}

void upload_patch(struct http_exchange *x, struct call *c)
{
	if (!claim(x, c))
		return;
	if (!chunk_fits(x, c))
		return refuse_chunk(x, c);
	stream(x, c);
}

/* The rest of the body. What does not fit its Content-Range cannot be taken back, so it ends the
 * upload. */
static int end_chunk(struct call *c, struct error *err)
{
	int result = drain(c, &c->filling, err);

	buf_done(&c->filling);
	buf_done(&c->draining);
	if (result != 0)
		return -1;
	if (c->chunk_end == 0 || c->chunk_end == upload_offset(c->upload))
		return 0;
	upload_drop(TAKE_PTR(c->upload));
	c->code = c->route->invalid;
	return error_set(err, ERROR_RANGE,
		"the body had another length than its Content-Range says, which ends the upload: "
		"start again");
}

int upload_patch_finish(struct call *c, struct error *err)
{
	if (end_chunk(c, err) != 0)
		return -1;
	reply_open(c, 202, upload_id(c->upload), upload_offset(c->upload));
	return upload_release(TAKE_PTR(c->upload), err);
}

/* ---- PUT, and the end of a POST with a body ---- */

void upload_put(struct http_exchange *x, struct call *c)
{
	enum digest_algorithm algorithm;
	bool has_digest;

	if (parse_digest(c, &has_digest, &algorithm, &c->err) != 0)
		return call_answer(x, c);
	if (!has_digest) {
		c->code = "DIGEST_INVALID";
		error_set(&c->err, ERROR_INVALID, "say what was uploaded: add ?digest=sha256:...");
		return call_answer(x, c);
	}
	if (!claim(x, c))
		return;
	if (!chunk_fits(x, c))
		return refuse_chunk(x, c);
	c->drop_when_cut = upload_offset(c->upload) == 0;
	stream(x, c);
}

static int put_apply(struct call *c, struct store_conn *tx, struct error *err)
{
	return store_blob_put(
		tx, slice_of(c->repository), &c->digest, upload_offset(c->upload), c->content, err);
}

/* The upload ends with the commit (in service.c), or here. */
int upload_put_finish(struct call *c, struct error *err)
{
	if (end_chunk(c, err) != 0)
		return -1;
	if (upload_finish(c->upload, &c->digest, &c->content, err) != 0) {
		if (err->code == ERROR_INVALID)
			c->code = "DIGEST_INVALID";
		upload_drop(TAKE_PTR(c->upload));
		return -1;
	}
	reply_created(c);
	return call_write(c, put_apply);
}

/* ---- GET, DELETE ---- */

void upload_status(struct http_exchange *x, struct call *c)
{
	uint64_t offset;

	if (uploads_offset(c->e->uploads, slice_of(c->repository), slice_of(c->reference), &offset,
		    &c->err) == 0)
		reply_open(c, 204, c->reference, offset);
	call_answer(x, c);
}

int upload_cancel(struct call *c, struct error *err)
{
	struct upload *up;

	if (uploads_claim(
		    c->e->uploads, slice_of(c->repository), slice_of(c->reference), &up, err) != 0)
		return -1;
	upload_drop(up);
	c->reply.status = 204;
	return 0;
}
