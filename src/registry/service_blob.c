/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs by digest (distribution-spec, "Pulling blobs", "Deleting Blobs"). */
#include "registry/service.h"

#include "base/clock.h"
#include "http/uri.h"

#include <inttypes.h>

struct part {
	uint64_t first, length;
};

static void not_satisfiable(struct call *c, uint64_t size)
{
	struct error err = ERROR_INIT;

	error_set(
		&err, ERROR_RANGE, "the range lies outside of the blob's %" PRIu64 " bytes", size);
	call_error_reply(c, &err);
	http_reply_header(&c->reply, "Content-Range", "bytes */%" PRIu64, size);
}

/* False: the reply says that there is no such part. */
static bool choose_part(struct call *c, uint64_t size, struct part *ret)
{
	uint64_t first, last;

	*ret = (struct part){0, size};
	if (c->header == NULL)
		return true;
	switch (http_range_parse(slice_of(c->header), size, &first, &last)) {
	case HTTP_RANGE_NONE:
		return true;
	case HTTP_RANGE_UNSATISFIABLE:
		not_satisfiable(c, size);
		return false;
	case HTTP_RANGE_OK:
		break;
	}
	*ret = (struct part){first, last - first + 1};
	c->reply.status = 206;
	http_reply_header(&c->reply, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
		first, last, size);
	return true;
}

static void set_body(struct call *c, struct store_blob *b, const struct part *part)
{
	if (b->fd >= 0) {
		c->reply.fd = b->fd;
		b->fd = -1;
		c->reply.offset = part->first;
		c->reply.length = part->length;
		return;
	}
	if (part->length > 0)
		buf_append(&c->reply.body, b->data.data + part->first, (size_t)part->length);
}

/* Who asks whether a blob is there is about to name it in a manifest, so it must stay as long as if
 * it had just been pushed (store/gc.h). A write only for one that is half-way to the grace. */
static bool must_renew(const struct call *c, const struct store_blob *b)
{
	return c->head && (int64_t)(clock_realtime_us() / 1000000) - b->pushed_at >=
				  (int64_t)(c->e->gc_grace_s / 2);
}

static int renew_apply(struct call *c, struct store_conn *tx, struct error *err)
{
	return store_blob_touch(tx, slice_of(c->repository), &c->digest, err);
}

int blob_get(struct call *c, struct error *err)
{
	CLEANUP(store_blob_done) struct store_blob b;
	struct store_conn *reader;
	struct part part;
	int result;

	store_blob_init(&b);
	if (call_digest(c, slice_of(c->reference), &c->digest, err) != 0)
		return -1;
	reader = store_reader(c->e->store);
	result = store_blob_get(reader, slice_of(c->repository), &c->digest, &b, err);
	store_reader_done(reader);
	if (result != 0)
		return -1;
	/* The first time takes long, so it has a thread of its own, where this is run again. */
	if (!c->on_checker && !store_blob_is_verified(c->e->store, &c->digest, &b)) {
		c->on_checker = true;
		return 0;
	}
	if (store_blob_verify(c->e->store, &c->digest, &b, err) != 0)
		return -1;
	if (!choose_part(c, b.size, &part))
		return 0;
	http_reply_header(&c->reply, "Content-Type", "application/octet-stream");
	http_reply_header(&c->reply, "Accept-Ranges", "bytes");
	call_reply_digest(c, &c->digest);
	set_body(c, &b, &part);
	return must_renew(c, &b) ? call_write(c, renew_apply) : 0;
}

static int delete_apply(struct call *c, struct store_conn *tx, struct error *err)
{
	return store_blob_delete(tx, slice_of(c->repository), &c->digest, err);
}

int blob_delete(struct call *c, struct error *err)
{
	if (call_digest(c, slice_of(c->reference), &c->digest, err) != 0)
		return -1;
	c->reply.status = 202;
	return call_write(c, delete_apply);
}
