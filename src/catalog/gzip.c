/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/gzip.h"

#include "base/limits.h"

#include <libdeflate.h>

#define LEVEL 1 /* the bytes of a page are much alike: 6 is 7% smaller and takes twice as long */
#define ROOM_FIRST (64 * KIB)

/* ---- writing ---- */

void gzip_done(struct gzip *z)
{
	if (z->compressor != NULL)
		libdeflate_free_compressor(z->compressor);
	z->compressor = NULL;
}

void gzips_done(struct gzips *gzips)
{
	for (size_t i = 0; i < PARALLEL_MAX; i++)
		gzip_done(&gzips->at[i]);
}

void gzip_add(struct gzip *z, struct slice bytes, struct buf *ret)
{
	size_t bound, n;
	void *room;

	if (z->compressor == NULL)
		z->compressor = libdeflate_alloc_compressor(LEVEL);
	if (z->compressor == NULL) {
		ret->failed = ERROR_NO_MEMORY;
		return;
	}
	bound = libdeflate_gzip_compress_bound(z->compressor, bytes.n);
	room = buf_room(ret, bound);
	if (room == NULL)
		return;
	n = libdeflate_gzip_compress(z->compressor, bytes.p, bytes.n, room, bound);
	AN(n);
	buf_claim(ret, n);
}

/* ---- reading ---- */

/* One member from the start of *stream, which moves past it. */
static int read_member(
	struct libdeflate_decompressor *d, struct slice *stream, struct buf *ret, struct error *err)
{
	for (size_t size = ROOM_FIRST;; size *= 4) {
		size_t room_size = size < ret->max - ret->len ? size : ret->max - ret->len;
		void *room = buf_room(ret, room_size);
		size_t used, got;

		if (room == NULL)
			return buf_check(ret, err);
		switch (libdeflate_gzip_decompress_ex(
			d, stream->p, stream->n, room, room_size, &used, &got)) {
		case LIBDEFLATE_SUCCESS:
			buf_claim(ret, got);
			stream->p += used;
			stream->n -= used;
			return 0;
		case LIBDEFLATE_INSUFFICIENT_SPACE:
			if (room_size == size)
				continue;
			return error_set(err, ERROR_INTERNAL,
				"unpacks to more than the %zu bytes allowed", ret->max);
		default:
			return error_set(err, ERROR_INTERNAL, "the gzip stream is damaged");
		}
	}
}

/* Room for one more and the end. */
static int grow_members(struct gzip_content *c, size_t *cap, struct error *err)
{
	struct gzip_member *grown;

	if (c->n_members + 1 < *cap)
		return 0;
	*cap = *cap == 0 ? 64 : 2 * *cap;
	grown = realloc(c->members, *cap * sizeof(*grown));
	if (grown == NULL)
		return error_no_memory(err);
	c->members = grown;
	return 0;
}

static int read_members(struct gzip_content *ret, struct libdeflate_decompressor *d,
	struct slice stream, struct error *err)
{
	struct slice rest = stream;
	size_t cap = 0;

	do {
		if (grow_members(ret, &cap, err) != 0)
			return -1;
		ret->members[ret->n_members++] =
			(struct gzip_member){stream.n - rest.n, ret->bytes.len};
		if (read_member(d, &rest, &ret->bytes, err) != 0)
			return -1;
	} while (rest.n > 0);
	ret->members[ret->n_members] = (struct gzip_member){stream.n, ret->bytes.len};
	return 0;
}

int gzip_read(struct gzip_content *ret, struct slice stream, struct error *err)
{
	struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	int rc;

	if (d == NULL)
		return error_no_memory(err);
	rc = read_members(ret, d, stream, err);
	libdeflate_free_decompressor(d);
	return rc;
}

void gzip_content_done(struct gzip_content *c)
{
	buf_done(&c->bytes);
	free(c->members);
	c->members = NULL;
}
